"""Where deals stop: conversion by stage, time in stage, the chance to be won, with open deals censored."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["charts", "tables", "words"],
    submod_attrs={"compute": ["Funnel", "measure"], "params": ["Params"]},
)
