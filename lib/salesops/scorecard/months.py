"""The months that the scorecard looks at, and sums by month, region, team and rep."""

import datetime as dt
from typing import NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.scorecard.params import Params

KEYS = ("month", "region", "team", "rep_id")


class Span(NamedTuple):
    """The months looked at (numbers since year 0), and the last of them that the data hold whole."""

    first: int
    last: int
    whole: int

    def first_on(self, month: int) -> dt.date:
        return dt.date(month // 12, month % 12 + 1, 1)

    def last_on(self, month: int) -> dt.date:
        return periods.days_after(self.first_on(month + 1), -1)

    @property
    def all(self) -> range:
        return range(self.first, self.last + 1)


def span(book: crm.Book, params: Params) -> Span:
    """The months that end with the period, as far as they are known.

    Raises
    ------
    ValueError
        If nothing of the period is known.
    """
    book.check_covers(params.reported)
    last_on = min(params.reported.last_on, book.as_of)
    last = last_on.year * 12 + last_on.month - 1
    whole = last if last_on == Span(last, last, last).last_on(last) else last - 1
    watched = first_watched(book)
    first = max(last - params.months + 1, watched.year * 12 + watched.month - 1)
    return Span(min(first, last), last, whole)


def first_watched(book: crm.Book) -> dt.date:
    """The first day of the first month that the record holds whole."""
    begins = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    return begins if begins.day == 1 else periods.add_months(begins.replace(day=1), 1)


def until(book: crm.Book, months: Span) -> ibis.Scalar:
    """The first moment after the last month looked at, or not known."""
    return ibis.literal(pd.Timestamp(min(book.cut, periods.end_of(months.last_on(months.last), book.time_zone))))


def placed(book: crm.Book, rows: ibis.Table, at: str) -> ibis.Table:
    """`rows` (deal_id, region, account_id and a moment `at`) with the owner of that moment: rep_id, region (the deal's
    own, else its account's, else the owner's) and team (the owner's)."""
    return _named(book, crm.with_owner(book, rows, at))


def placed_at_ends(book: crm.Book, rows: ibis.Table, months: Span) -> ibis.Table:
    """`rows` with deal_id, rep_id and month, with region and team as they were at the month's end; see `placed`."""
    rows = rows.join(ends(book, months), "month").mutate(just_before=_.cut - ibis.interval(seconds=1))
    missing = [name for name in ("region", "account_id") if name not in rows.columns]
    if missing:
        rows = rows.join(book.deals.select("deal_id", *missing), "deal_id")
    return _named(book, crm.with_assignment(book, rows, "just_before"))


def _named(book: crm.Book, rows: ibis.Table) -> ibis.Table:
    known = [one for one in ("region", "team") if one in crm.known_dimensions(book)]
    rows = crm.with_dimensions(book, rows, known)
    nothing = ibis.null("string")
    where = {one: rows[f"by_{one}"] if one in known else nothing for one in ("region", "team")}
    return rows.drop("region").mutate(**where)


def ends(book: crm.Book, months: Span) -> ibis.Table:
    """month, cut: the end of each month looked at, or of the last day known."""
    days = [min(months.last_on(month), book.as_of) for month in months.all]
    moments = pd.to_datetime([periods.end_of(day, book.time_zone) for day in days])
    frame = pd.DataFrame({"month": list(months.all), "cut": moments.astype("datetime64[us]")})
    return ibis.memtable(frame)


def summed(rows: ibis.Table, **sums) -> pd.DataFrame:
    """Sums of rows by what they have of `KEYS`."""
    return rows.group_by(*(key for key in KEYS if key in rows.columns)).agg(**sums).execute()
