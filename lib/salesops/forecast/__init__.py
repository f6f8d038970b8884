"""What the quarter will bring, how sure that is, and how wrong such forecasts have been."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["Forecast", "measure"], "params": ["Params"]},
)
