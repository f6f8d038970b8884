"""How long customers stay by contract, and whether the source agrees with itself on who has left."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"], "records": ["disagreements"]},
)
