"""The process's numbers, put together."""

from typing import NamedTuple

from salesops import crm
from salesops.process import paths, price
from salesops.process.params import Params


class Process(NamedTuple):
    """pipeline, stages : what is looked at. ways, prices : see `paths.Ways` and `price.Prices`."""

    pipeline: str
    stages: tuple[str, ...]
    ways: paths.Ways
    prices: price.Prices


def measure(book: crm.Book, params: Params) -> Process:
    """The ways of the deals created in the months, and what detours cost.

    Raises
    ------
    ValueError
        If the source keeps no history of stages, the pipeline is not in it, or no deal was created in the months.
    """
    pipeline, stages = crm.find_pipeline(book, params.pipeline)
    if not any(stages):
        raise ValueError("the source keeps no history of stages, so no way through them is known")
    deals = paths.looked_at(book, params, pipeline)
    return Process(pipeline, stages, paths.measure(book, params, pipeline, deals), price.measure(book, params, deals))
