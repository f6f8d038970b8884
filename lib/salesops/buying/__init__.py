"""Who buys again: customers without contracts, by cohort and by what they are likely to do next."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "files", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"]},
)
