"""Who had a deal on the day of an event, and the role, team, region and manager that person had then.

What was achieved belongs to the owner on the day of the event; what is to be done next, to the owner now. So a closed
deal is credited to its owner at the close, whoever owns it later, and an open one to its owner on the last day known
(`Book.credited`). Who gets a deal at the very moment of the event has it then. Without a log of owners the owner is
the one known now; without dated rows of a rep, so are the role, team, region and manager.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

import ibis
import pandas as pd
import pyarrow as pa
from ibis import _

from salesops import periods

if TYPE_CHECKING:
    from salesops.crm.book import Book

FACTS = ("role", "team", "region", "manager_id")  # of a rep, which change from one dated row to the next
ASSIGNED = ("rep_role", "rep_team", "rep_region", "manager_id")  # what `with_assignment` calls them
EVER = (pd.Timestamp("1700-01-01"), pd.Timestamp("2250-01-01"))  # what has no beginning, or no end
SCHEMA = pa.schema([
    ("rep_id", pa.string()), ("since_on", pa.date32()), ("until_on", pa.date32()), ("since_at", pa.timestamp("us")),
    ("until_at", pa.timestamp("us")), *((name, pa.string()) for name in FACTS)])  # fmt: skip


def assignments(book: Book) -> pd.DataFrame:
    """Spans of reps without gap or overlap: rep_id, since_on (the first day; None from the beginning), until_on (the
    day after the last; None while it lasts), since_at, until_at (the same as moments, UTC), role, team, region,
    manager_id. Of several dated rows of a day the one that began last counts; on days of none, the one before, else the
    first."""
    spells = book.rep_spells.select("rep_id", "valid_from", "valid_to", *FACTS).order_by("rep_id", "valid_from", "team")
    rows = []
    for rep_id, own in spells.execute().groupby("rep_id", sort=True):
        spans = [(_day(row.valid_from), _day(row.valid_to), row) for row in own.itertuples()]
        days = {begun for begun, _end, _row in spans} | {periods.days_after(end, 1) for _b, end, _r in spans if end}
        starts = [None, *sorted(days - {None})]
        for since, until in zip(starts, [*starts[1:], None], strict=True):
            row = _row_of(spans, since)
            facts = {name: _text(getattr(row, name)) for name in FACTS}
            moments = {"since_at": _moment(book, since), "until_at": _moment(book, until)}
            rows.append({"rep_id": rep_id, "since_on": since, "until_on": until, **moments, **facts})
    return pd.DataFrame(rows, columns=SCHEMA.names).astype("object")


def _row_of(spans: list[tuple], day: dt.date | None):
    """The row that holds on a day; else the last that had ended, else the first. No day is before every row."""
    begun = [one for one in spans if one[0] is None or (day is not None and one[0] <= day)]
    holding = [one for one in begun if one[1] is None or (day is not None and day <= one[1])]
    by_start = lambda one: (one[0] is not None, one[0] or dt.date.min)  # noqa: E731
    if not begun:
        return min(spans, key=by_start)[2]
    return max(holding, key=by_start)[2] if holding else max(begun, key=lambda one: one[1])[2]


def _day(value: object) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(book: Book, day: dt.date | None) -> dt.datetime | None:
    return None if day is None else periods.start_of(day, book.time_zone)


def with_assignment(book: Book, rows: ibis.Table, at: str) -> ibis.Table:
    """`rows` (with rep_id and a moment `at`) with `rep_role`, `rep_team`, `rep_region` and `manager_id`: those that the
    rep had on that day in the time zone of the reports. Missing where the source does not tell them."""
    spans = book.assignments.rename(dict(zip(ASSIGNED, FACTS, strict=True)))
    rows = rows.drop(*(name for name in ASSIGNED if name in rows.columns))
    if not book.has_dated_reps:  # one row of each rep: no days to compare
        return rows.left_join(spans.select("rep_id", *ASSIGNED), "rep_id").drop("rep_id_right")
    # Equal on the rep alone: an engine that also joins by days compares every row with every span. Names of its own
    # keep these columns apart from those of the rows.
    spans = spans.select(
        assigned_rep=spans.rep_id, assigned_from=spans.since_at.coalesce(EVER[0]),
        assigned_until=spans.until_at.coalesce(EVER[1]), **{name: spans[name] for name in ASSIGNED},
    )  # fmt: skip
    joined = rows.mutate(assigned_at=rows[at].coalesce(EVER[0]))
    joined = joined.left_join(spans, joined.rep_id == spans.assigned_rep)
    inside = (joined.assigned_at >= joined.assigned_from) & (joined.assigned_at < joined.assigned_until)
    return joined.filter(joined.assigned_rep.isnull() | inside).select(*rows.columns, *ASSIGNED)


def with_owner(book: Book, rows: ibis.Table, at: str) -> ibis.Table:
    """`rows` (with deal_id and a moment `at`) with `rep_id`, the owner of the deal at that moment, and what
    `with_assignment` tells of the owner. A moment before the log begins, or not known, has the first owner known."""
    if "rep_id" not in book.about["tracked"]:
        owners = book.deals.select("deal_id", "rep_id")
        rows = rows.drop("rep_id") if "rep_id" in rows.columns else rows
        return with_assignment(book, rows.left_join(owners, "deal_id").drop("deal_id_right"), at)
    states = book.states
    nth = ibis.row_number().over(
        ibis.window(group_by=states.deal_id, order_by=ibis.asc(states.entered_at, nulls_first=True))
    )
    states = states.select(owned_deal=states.deal_id, owner=states.rep_id, owned_until=states.left_at.coalesce(EVER[1]),
                           owned_from=ibis.ifelse(nth == 0, ibis.literal(EVER[0]), states.entered_at))  # fmt: skip
    joined = rows.mutate(owned_at=rows[at].coalesce(EVER[0])).join(states, rows.deal_id == states.owned_deal)
    joined = joined.filter(joined.owned_at >= joined.owned_from, joined.owned_at < joined.owned_until)
    kept = [name for name in rows.columns if name != "rep_id"]
    return with_assignment(book, joined.select(*kept, rep_id=joined.owner), at)


def credited(book: Book) -> ibis.Table:
    """`book.deals` with those who are credited; see `Book.credited`."""
    now = ibis.literal(pd.Timestamp(book.cut) - pd.Timedelta(microseconds=1))
    rows = book.deals.mutate(credited_at=ibis.ifelse(_.status == "open", now, _.closed_at.coalesce(now)))
    return with_owner(book, rows, "credited_at").drop("credited_at")


def shares(spans: Iterable[tuple], first: dt.date, last: dt.date) -> list[tuple[object, float]]:
    """Of the days from `first` to `last`, the share in each of a rep's spans that has any: (span, share)."""
    n = (last - first).days + 1
    inside = []
    for span in spans:
        begun = max(first, span.since_on or first)
        ends = min(last, periods.days_after(span.until_on, -1) if span.until_on else last)
        if begun <= ends:
            inside.append((span, ((ends - begun).days + 1) / n))
    return inside
