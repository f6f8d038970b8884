"""Why figures of months that are over differ now from what was told at their end, exactly and deal by deal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"]},
)
