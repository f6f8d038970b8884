"""Whether quotas are right: do they add up, can they be attained, are they fair, and who is there to sell them?"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["measure"], "params": ["Params"], "capacity": ["plan_heads"]},
)
