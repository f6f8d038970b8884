"""What moved the open pipeline between two days, to the cent, and whether what is left is enough."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "words"],
    submod_attrs={"compute": ["Pipeline", "measure"], "params": ["Params"]},
)
