"""Which compensation plan to sign: plans beside each other on the same past and the same drawn years."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "options", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"], "search": ["find"]},
)
