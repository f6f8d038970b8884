"""Pushes: closing days moved to a later month while a deal is open, and what became of deals after each."""

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.bridge.moves import OPEN, part_of
from salesops.bridge.params import Params

HOUR, DAY_HOURS = 3600, 24
MOST = 4  # this many and more are one row


def measure(book: crm.Book, params: Params) -> pd.DataFrame:
    """What became of deals after each push, of two years up to the end of the period.

    Returns
    -------
    DataFrame
        pushes (0: from creation; the last row is `MOST` and more), n (deals that had so many), n_open (of them still
        open with just so many on the last day), amount (of these), won (Estimate: share won within `age_days` of the
        push, open deals censored), again (Estimate: share pushed again within as many), age_days. Empty where closing
        days are on no log.
    """
    columns = ["pushes", "n", "n_open", "amount", "won", "again", "age_days"]
    if "expected_close_on" not in book.about["tracked"]:
        return pd.DataFrame(columns=columns)
    table, now = _counts(book, params)
    rows = []
    for k in range(MOST + 1):
        part, standing = table[table["pushes"] == k], now[now["pushes"] == k]
        n_open = int(standing["n"].sum())
        amount = float(standing["minor"].fillna(0).sum()) / book.minor_units if n_open else 0.0
        row = {"pushes": k, "n": int(part.loc[part["what"] == "won", "n"].sum()), "n_open": n_open, "amount": amount}
        rows.append(row | _shares(part, params))
    return pd.DataFrame(rows, columns=columns)


def _shares(part: pd.DataFrame, params: Params) -> dict:
    curves = {}
    for what, causes in (("won", ("won", "lost")), ("again", ("again", "won", "lost"))):
        mine = part[part["what"] == what]
        if mine["n"].sum() < params.min_deals:
            return {"won": None, "again": None, "age_days": float("nan")}
        counted = {f"n_{cause}": mine["n"].where(mine["outcome"] == cause, 0) for cause in (*causes, OPEN)}
        table = pd.DataFrame({"age": mine["age"], **counted})
        curves[what] = stats.aalen_johansen(table, {cause: f"n_{cause}" for cause in causes})
    age = min(params.horizon_days * DAY_HOURS, *(curve.watched_until(params.min_deals) for curve in curves.values()))
    if age < DAY_HOURS:
        return {"won": None, "again": None, "age_days": float("nan")}
    return {"won": curves["won"].at("won", age), "again": curves["again"].at("again", age), "age_days": age / DAY_HOURS}


def _counts(book: crm.Book, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """pushes, what (won, again), outcome, age (hours), n; and of the open deals now pushes, n, minor."""
    deals = part_of(book, params).filter((_.status == OPEN) | _.closed_at.notnull(), _.created_at.notnull())
    deals = deals.select("deal_id", "status", "amount_minor", begun=_.created_at.epoch_seconds(),
                         closed=_.closed_at.epoch_seconds())  # fmt: skip
    spans = book.states.filter(_.entered_at.notnull())
    order = ibis.window(group_by=spans.deal_id, order_by=spans.entered_at)
    month = spans.expected_close_on.cast("date").year() * 12 + spans.expected_close_on.cast("date").month()
    spans = spans.mutate(month=month).mutate(was_month=month.lag().over(order), was_kind=spans.kind.lag().over(order))
    pushed = spans.filter(_.kind == OPEN, _.was_kind == OPEN, _.month > _.was_month)
    pushed = pushed.select("deal_id", at=_.entered_at.epoch_seconds()).join(deals.select("deal_id"), "deal_id")
    nth = ibis.window(group_by="deal_id", order_by="at")
    pushed = pushed.mutate(k=ibis.row_number().over(nth) + 1, next=_.at.lead().over(nth))
    first = pushed.group_by("deal_id").agg(next=_.at.min())
    born = deals.left_join(first, "deal_id").select("deal_id", "next", k=ibis.literal(0, "int64"), at=_.begun)
    marks = ibis.union(born, pushed.select("deal_id", "next", k=_.k.cast("int64"), at=_.at)).join(deals, "deal_id")
    end = ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64")
    marks = marks.mutate(pushes=ibis.least(marks.k, MOST), end=marks.closed.coalesce(end)).cache()
    since = int(
        pd.Timestamp(periods.start_of(periods.add_months(params.reported.last_on, -23), book.time_zone)).timestamp()
    )
    recent = marks.filter(_.at >= since)
    again = recent.next.notnull() & (recent.next <= recent.end)
    longs = []
    for what, outcome, until in (
        ("won", recent.status, recent.end),
        ("again", ibis.ifelse(again, "again", recent.status), ibis.ifelse(again, recent.next, recent.end)),
    ):
        age = ibis.greatest((until - recent.at) // HOUR, 0)
        # Of deals with many pushes, the fourth counts for all later ones.
        rows = recent.filter(_.k <= MOST).select("pushes", what=ibis.literal(what), outcome=outcome, age=age)
        longs.append(rows.group_by("pushes", "what", "outcome", "age").agg(n=_.count()))
    last = marks.filter(_.status == OPEN, _.next.isnull())
    now = last.group_by("pushes").agg(n=_.count(), minor=_.amount_minor.sum())
    return ibis.union(*longs).execute(), now.execute()
