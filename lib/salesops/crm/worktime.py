"""Moments as working time: seconds that were worked up to them, by the hours and the calendar of a company."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import ibis
import pandas as pd

from salesops import periods, workdays

if TYPE_CHECKING:
    from salesops.crm.book import Book

HOUR = 3600


class Hours(NamedTuple):
    """When work is done: from and to (hours of the day), and whose calendar; blank is Monday to Friday."""

    begin: int
    end: int
    calendar: str

    def works(self, day: dt.date) -> bool:
        return workdays.is_working(day, self.calendar) if self.calendar else day.weekday() < 5


def with_worked(book: Book, rows: ibis.Table, names: Sequence[str], hours: Hours, first_on: dt.date) -> ibis.Table:
    """`rows` with `<name>_worked` for each column of epoch seconds: working seconds from a day before `first_on` on."""
    days = ibis.memtable(_days(book, hours, first_on))
    for name in names:
        day = days.select(**{f"{name}_{column}": days[column] for column in days.columns})
        rows = rows.join(day, [rows[name] >= day[f"{name}_starts"], rows[name] < day[f"{name}_ends"]])
        into = rows[name] - rows[f"{name}_starts"] - hours.begin * HOUR
        length = (hours.end - hours.begin) * HOUR
        today = ibis.greatest(ibis.least(into, length), 0) * rows[f"{name}_works"]
        rows = rows.mutate(**{f"{name}_worked": rows[f"{name}_before"] + today})
    return rows


def _days(book: Book, hours: Hours, first_on: dt.date) -> pd.DataFrame:
    """Each local day: starts and ends (epoch seconds), works (1 on a working day), before (working seconds so far)."""
    first = first_on - dt.timedelta(days=1)
    every = [first + dt.timedelta(days=k) for k in range((book.as_of - first).days + 3)]
    works = [int(hours.works(day)) for day in every]
    starts = [int(pd.Timestamp(periods.start_of(day, book.time_zone)).timestamp()) for day in every]
    table = pd.DataFrame({"starts": starts[:-1], "ends": starts[1:], "works": works[:-1]})
    return table.assign(before=(table["works"] * (hours.end - hours.begin) * HOUR).cumsum().shift(fill_value=0))
