"""Who stays and who grows: customers with contracts by cohort, compared at equal age, and what they will come to."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "files", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"], "retention": ["read_cube"]},
)
