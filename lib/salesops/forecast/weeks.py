"""The calendar of a forecast: the quarter that is forecast, and the weeks of it and of the quarters before.

Weeks are counted back from a quarter's last day, so that the last week of every quarter is the same week; the first
one has six to eight days. A forecast at any day stands in a week that is partly over.
"""

import datetime as dt
from typing import NamedTuple

import pandas as pd

from salesops import crm, periods

N_WEEKS = 13
LAST, NEXT, FIRST, SECOND, EARLY, USUAL = range(6)
SEASONS = 6
# Points of a quarter: the day of it that today is of this one; its end; the day of an earlier forecast of this one.
NOW, END, EARLIER = -1, 0, -2


ORIGIN = ["week", "quarter", "point", "on", "at", "begun", "end", "due_by", "left", "part", "number"]


class Weeks(NamedTuple):
    """target : the quarter forecast. as_of : the last day known. year_starts : month. begins_on : the first day of the
    log. ends : week (0, 1, ...), quarter (name), left (weeks of its quarter after it), on (last day), at (the first
    moment after it): those the book knows."""

    target: periods.Period
    as_of: dt.date
    year_starts: int
    begins_on: dt.date
    ends: pd.DataFrame

    @property
    def days_left(self) -> int:
        return (self.target.last_on - self.as_of).days


def lay_out(book: crm.Book, year_starts: int) -> Weeks:
    """The weeks that a book knows, and the quarter of the day after its last one."""
    target = periods.quarter_of(periods.days_after(book.as_of, 1), year_starts)
    begins = book.about["log_begins"] or book.about["first_moment"]
    begins_on = pd.Timestamp(begins).tz_localize("UTC").tz_convert(book.time_zone).date()
    rows, quarter = [], periods.quarter_of(begins_on, year_starts)
    while quarter.first_on <= target.first_on:
        rows += [(quarter.name, left, periods.days_after(quarter.last_on, -7 * left)) for left in range(N_WEEKS)[::-1]]
        quarter = periods.quarter_of(periods.days_after(quarter.last_on, 1), year_starts)
    table = pd.DataFrame(rows, columns=["quarter", "left", "on"])
    table.insert(0, "week", range(len(table)))
    table["at"] = [periods.end_of(on, book.time_zone) for on in table["on"]]
    known = (table["on"] <= book.as_of) & (table["on"] >= begins_on)
    return Weeks(target, book.as_of, year_starts, begins_on, table[known].reset_index(drop=True))


class Place(NamedTuple):
    """Where a day stands in its quarter. left : whole weeks after the one that runs. part : of that one, what is to
    come, above 0 to 1."""

    left: int
    part: float


def place(quarter: periods.Period, on: dt.date) -> Place:
    """The place of the end of a day, from the day before the quarter to the one before its last."""
    days = (quarter.last_on - on).days
    left = min(-(-days // 7), N_WEEKS) - 1
    begins = 7 * (left + 1) if left < N_WEEKS - 1 else (quarter.last_on - quarter.first_on).days + 1
    return Place(left, (days - 7 * left) / (begins - 7 * left))


def origins(book: crm.Book, weeks: Weeks, points: tuple[int, ...], n_quarters: int) -> pd.DataFrame:
    """The moments at which forecasts are made: today's, the same day of earlier quarters, and some weeks of each.

    Returns
    -------
    DataFrame
        week (number of the moment), quarter, point (weeks left, or `NOW`, or `END` for what came of it), on, at, begun,
        end, due_by, left, part, number (of the last week that had ended).
    """
    rows, quarter = [], weeks.target
    for back in range(n_quarters + 1):
        days = {NOW: periods.days_after(quarter.last_on, -weeks.days_left)}
        if back:
            days |= {k: periods.days_after(quarter.last_on, -7 * k) if k < N_WEEKS else
                     periods.days_after(quarter.first_on, -1) for k in points} | {END: quarter.last_on}  # fmt: skip
        rows += [(quarter, point, max(on, periods.days_after(quarter.first_on, -1))) for point, on in days.items()]
        quarter = periods.quarter_of(periods.days_after(quarter.first_on, -1), weeks.year_starts)
    table = []
    for quarter, point, on in rows[::-1]:
        if quarter.first_on < weeks.begins_on and quarter != weeks.target:
            continue  # what it brought is not known whole
        table.append((len(table), *_origin(book, weeks, quarter, point, on)))
    return pd.DataFrame(table, columns=ORIGIN)


def _origin(book: crm.Book, weeks: Weeks, quarter: periods.Period, point: int, on: dt.date) -> tuple:
    at = periods.end_of(on, book.time_zone)
    spot = place(quarter, on) if point != END else Place(-1, 0.0)
    known = weeks.ends.loc[weeks.ends["at"] <= at, "week"]
    begun, end = periods.start_of(quarter.first_on, book.time_zone), periods.end_of(quarter.last_on, book.time_zone)
    number = int(known.max()) if len(known) else -1
    return (quarter.name, point, on, at, begun, end, quarter.last_on, *spot, number)


def with_day(book: crm.Book, weeks: Weeks, table: pd.DataFrame, on: dt.date) -> pd.DataFrame:
    """`origins` with an earlier day of the target, before the last, and the same day of each earlier quarter, which it
    is judged by; the opening of a quarter is among `origins` already."""
    before, rows = (weeks.target.last_on - on).days, []
    for row in table.itertuples(index=False):
        if row.point == NOW and row.quarter != weeks.target.name and on >= weeks.target.first_on:
            quarter = periods.quarter_of(row.due_by, weeks.year_starts)
            day = max(periods.days_after(quarter.last_on, -before), periods.days_after(quarter.first_on, -1))
            rows.append((0, *_origin(book, weeks, quarter, EARLIER, day)))
        if row.quarter == weeks.target.name:
            rows.append((0, *_origin(book, weeks, weeks.target, EARLIER, on)))
        rows.append(tuple(row))
    return pd.DataFrame(rows, columns=ORIGIN).assign(week=range(len(rows)))


def season(left: int) -> int:
    """What a week of the quarter is for the rates of closing: its last, the last but one, its first three, or any."""
    return {0: LAST, 1: NEXT, N_WEEKS - 1: FIRST, N_WEEKS - 2: SECOND, N_WEEKS - 3: EARLY}.get(left, USUAL)
