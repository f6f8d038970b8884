"""How leads become deals and wins, by where they come from, and how soon they are answered."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "words"],
    submod_attrs={"compute": ["Leads", "measure"], "params": ["Params"]},
)
