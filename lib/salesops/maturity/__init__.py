"""How mature the sales organisation is, by evidence in its own data, and what to build next."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"]},
)
