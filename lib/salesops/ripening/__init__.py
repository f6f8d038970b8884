"""How fast leads and deals ripen, and what the young cohorts will come to."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"]},
)
