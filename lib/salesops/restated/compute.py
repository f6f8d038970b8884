"""The numbers of restatements: each figure as it was known at a month's end and as it is known now, and what lies
between, deal by deal."""

import datetime as dt
from typing import NamedTuple

import ibis
import pandas as pd

from salesops import crm, periods
from salesops.restated.params import Params

FIGURES = ("bookings", "n_won", "n_lost", "n_created")
CAUSES = ("late", "dated", "undone", "vanished", "amount")
MONEY = "bookings"


class Restated(NamedTuple):
    """told : month_on, figure, then, now, and a column for each cause; then plus the causes is now. Amounts in minor
    units. deals : month_on, figure, deal_id, name, cause, change: every deal that changed a figure, the largest changes
    first. figures : those that the source can tell.

    late : not known at the month's end. dated : known, and dated into the month since. undone : counted then, and now
    of another month or state. vanished : counted then, and not in the source now. amount : another amount now.
    """

    told: pd.DataFrame
    deals: pd.DataFrame
    figures: tuple[str, ...]
    months: list[periods.Period]
    listed: int
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Restated:
    """The months before the period's last one, as known at their own end and now.

    Raises
    ------
    ValueError
        If the source keeps no log of changes: what was known on a day in the past cannot be told, or none of the
        months was watched.
    """
    if book.about["history"] != "changes":
        raise ValueError("the source keeps no log of changes: what was told of an earlier month is not known")
    last = min(periods.trailing(params.reported, 1).first_on, book.as_of.replace(day=1))
    months = [periods.add_months(last, -k) for k in range(params.months, 0, -1)]
    begins = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    known = [periods.parse(f"{first:%Y-%m}") for first in months if first >= begins.replace(day=1)]
    if not known:
        raise ValueError(f"no earlier month was watched: the log begins on {begins}")
    priced = "amount_minor" in book.about["filled"]["deals"]
    figures = tuple(one for one in FIGURES if priced or one != MONEY)
    sums, parts = [], []
    for month in known:
        then = book.on(month.last_on)
        for figure in figures:
            told, changed = _compared(then, book, figure, month)
            sums.append({"month_on": month.first_on, "figure": figure, **told})
            parts.append(changed.assign(month_on=month.first_on, figure=figure))
    deals = pd.concat(parts, ignore_index=True)
    by_cause = deals.pivot_table(index=["month_on", "figure"], columns="cause", values="change", aggfunc="sum")
    causes = by_cause.reindex(columns=list(CAUSES)).fillna(0).astype("int64").reset_index()
    told = pd.DataFrame(sums).merge(causes, on=["month_on", "figure"], how="left").fillna(0)
    told[["then", "now", *CAUSES]] = told[["then", "now", *CAUSES]].astype("int64")
    order = deals.assign(money=deals["figure"] == MONEY, size=deals["change"].abs())
    order = order.sort_values(["money", "size", "deal_id", "figure"], ascending=[False, False, True, True])
    columns = ["month_on", "figure", "deal_id", "name", "cause", "change"]
    return Restated(told, order[columns].reset_index(drop=True), figures, known, params.listed, book.currency,
                    book.minor_units, book.as_of)  # fmt: skip


def _compared(then: crm.Book, now: crm.Book, figure: str, month: periods.Period) -> tuple[dict, pd.DataFrame]:
    """The figure then and now, and the deals between: deal_id, name, cause, change."""
    was, is_ = _counted(then, figure, month), _counted(now, figure, month)
    known, left = then.deals.select(known_id="deal_id"), now.deals.select(left_id="deal_id")
    both = was.select("deal_id", was=was.value).outer_join(is_.select("deal_id", is_=is_.value), "deal_id")
    rows = both.select(deal_id=ibis.coalesce(both.deal_id, both.deal_id_right), was=both.was, is_=both.is_)
    rows = rows.cache()
    sums = rows.agg(then=rows.was.sum().fill_null(0), now=rows.is_.sum().fill_null(0)).execute().iloc[0]
    rows = rows.filter(rows.was.isnull() | rows.is_.isnull() | (rows.was != rows.is_))
    rows = rows.left_join(known, rows.deal_id == known.known_id)
    rows = rows.left_join(left, rows.deal_id == left.left_id)
    cause = ibis.cases(
        (rows.was.isnull() & rows.known_id.isnull(), "late"), (rows.was.isnull(), "dated"),
        (rows.is_.isnull() & rows.left_id.isnull(), "vanished"), (rows.is_.isnull(), "undone"), else_="amount",
    )  # fmt: skip
    change = rows.is_.fill_null(0) - rows.was.fill_null(0)
    names = now.deals.select("deal_id", "name")
    listed = rows.select("deal_id", cause=cause, change=change).left_join(names, "deal_id").drop("deal_id_right")
    return {name: int(sums[name]) for name in ("then", "now")}, listed.order_by("deal_id").execute()


def _counted(book: crm.Book, figure: str, month: periods.Period) -> ibis.Table:
    """deal_id, value (1, or the amount) of the deals that count towards a figure of a month."""
    begin, end = (
        ibis.literal(pd.Timestamp(moment))
        for moment in (periods.start_of(month.first_on, book.time_zone), periods.end_of(month.last_on, book.time_zone))
    )
    deals = book.deals
    at = deals.created_at if figure == "n_created" else deals.closed_at
    rows = deals.filter(at >= begin, at < end)
    if figure != "n_created":
        rows = rows.filter(rows.status == ("lost" if figure == "n_lost" else "won"))
    value = rows.amount_minor.fill_null(0) if figure == MONEY else ibis.literal(1, "int64")
    return rows.select("deal_id", value=value)
