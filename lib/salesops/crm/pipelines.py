"""Which pipeline a page is about, and its stages in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

if TYPE_CHECKING:
    from salesops.crm.book import Book


def find_pipeline(book: Book, asked: str = "") -> tuple[str, tuple[str, ...]]:
    """The pipeline asked for, or the one with most deals; and its open stages in order.

    One stage without a name where the source keeps no history of stages.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, or no deal is known.
    """
    sizes = book.deals.group_by("pipeline").agg(n=_.count()).order_by(ibis.desc("n"), "pipeline").execute()
    known = sizes["pipeline"].tolist()
    if asked and asked not in known:
        raise ValueError(f"pipeline {asked!r} is not in the source; it has: {', '.join(known)}")
    if not known:
        raise ValueError(f"no deal is known at the end of {book.as_of}")
    pipeline = asked or known[0]
    stages = book.stages.filter(_.pipeline == pipeline, _.kind == "open").order_by("position").execute()["stage"]
    # Dates of closings alone tell nothing of the stages before them.
    known = book.about["history"] != "current_stage" and book.about.get("stages_dated", True)
    return pipeline, tuple(stages) if known else ("",)
