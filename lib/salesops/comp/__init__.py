"""Compensation plans: what a plan pays, for what, to whom."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["credits", "records"],
    submod_attrs={"payouts": ["pay"], "plans": ["Plan", "load"]},
)
