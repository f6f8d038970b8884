"""What is wrong with the records, whose they are, what to mend, and what the mess costs the numbers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "files", "words"],
    submod_attrs={"compute": ["Hygiene", "measure"], "params": ["Params"]},
)
