"""The sample company: a B2B seller with three years of history, made from one seed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["deals", "events", "money", "people", "truth"],
    submod_attrs={"make": ["write"], "size": ["Size", "parse_size"]},
)
