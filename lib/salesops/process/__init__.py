"""Which ways deals take through the stages, where they leave the straight one, and what each detour costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "words"],
    submod_attrs={"compute": ["Process", "measure"], "events": ["write_events"], "params": ["Params"]},
)
