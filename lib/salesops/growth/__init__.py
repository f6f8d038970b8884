"""Where growth comes from, what has stopped growing, and on how few customers, channels and reps it all rests."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"]},
)
