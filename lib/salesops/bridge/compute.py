"""The pipeline's numbers, put together."""

import datetime as dt
from typing import NamedTuple

import pandas as pd

from salesops import crm, periods
from salesops.bridge import coverage, moves, pushes
from salesops.bridge.params import Params


class Pipeline(NamedTuple):
    """frame : the span looked at. bridge, pushes, coverage : see the modules of their names; before : the bridge of the
    span before, up to the same day of it, or None where the history does not reach so far."""

    frame: periods.Period
    bridge: moves.Bridge
    before: moves.Bridge | None
    pushes: pd.DataFrame
    coverage: coverage.Coverage


def measure(book: crm.Book, params: Params) -> Pipeline:
    """What moved the open pipeline, and whether what is left is enough.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, no deal is known, or nothing lies between the two days.
    """
    crm.find_pipeline(book, params.pipeline)  # there is one, and it is known
    frame = params.frame
    closing_on = min(book.as_of, frame.last_on, params.reported.last_on)
    return Pipeline(
        frame,
        moves.measure(book, params, frame, closing_on),
        _before(book, params, frame, closing_on),
        pushes.measure(book, params),
        coverage.measure(book, params),
    )


def _before(book: crm.Book, params: Params, frame: periods.Period, closing_on: dt.date) -> moves.Bridge | None:
    """The bridge of the span before, with as many days to its end; None where its opening is not known."""
    span = periods.before(frame)
    left = (frame.last_on - closing_on).days
    begins_on = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    closing_before = periods.days_after(span.last_on, -left)
    opening_before = periods.days_after(span.first_on, params.opening_day - 1)
    if opening_before < begins_on or closing_before <= opening_before:
        return None
    return moves.measure(book, params, span, closing_before)
