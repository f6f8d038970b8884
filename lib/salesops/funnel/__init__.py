"""Where deals stop: conversion by stage, time in stage, the chance to be won, with open deals censored."""

from salesops.funnel import charts, words
from salesops.funnel.compute import Funnel, measure
from salesops.funnel.params import Params

__all__ = ["Funnel", "Params", "charts", "measure", "words"]
