"""What customers bought, as small tables: cohorts by age, and one row for each customer.

A purchase is a day on which an account bought; a return takes money off in the month it came back, and is no purchase.
Where the source has no purchases, each won deal is one.
"""

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods

STEPS = {"month": 1, "quarter": 3, "year": 12}
DAYS = 7  # of a week, in which times between purchases are told


class Bought(NamedTuple):
    """cells : started, period (whole ones, numbers of periods since year 0), n (active), net (minor units), orders.
    begun : the same of the period that has only begun, up to the last day known; empty where none has. sizes :
    customers by started. last : the last whole period. n_days, of_days : days of the begun period, and its length.
    n_never, net_never : customers who returned more than they bought here and never bought, and what they brought.
    returned : sum of returns. kind : purchases, or deals."""

    cells: pd.DataFrame
    begun: pd.DataFrame
    sizes: pd.Series
    last: int
    n_days: int
    of_days: int
    n_never: int
    net_never: int
    returned: int
    kind: str


def rows(book: crm.Book) -> tuple[ibis.Table, str]:
    """account_id, at (moment), amount (minor units); and where it is from.

    Raises
    ------
    ValueError
        If the source has neither purchases nor won deals of accounts.
    """
    if book.has("purchases"):
        table = book.purchases.select("account_id", at=_.bought_at, amount=_.amount_minor)
        return table, "purchases"
    deals = book.deals.filter(_.status == "won", _.account_id.notnull(), _.closed_at.notnull(), _.amount_minor > 0)
    table = deals.select("account_id", at=_.closed_at, amount=_.amount_minor)
    if not table.count().execute():
        raise ValueError("the source has neither purchases nor won deals of accounts")
    return table, "deals"


def read(book: crm.Book, step: str) -> Bought:
    """Cohorts of customers by the period of their first purchase, and in which periods they bought again."""
    table, kind = rows(book)
    at = crm.month_number(table.at, book.time_zone, book.as_of, STEPS[step])
    sums = table.group_by("account_id", period=at).agg(
        n=(_.amount > 0).sum(), net=_.amount.sum(), back=ibis.ifelse(_.amount < 0, _.amount, 0).sum()
    )
    own = ibis.window(group_by="account_id")
    sums = sums.mutate(started=ibis.ifelse(_.n > 0, _.period, ibis.null("int64")).min().over(own))
    known = sums.filter(_.started.notnull(), _.period >= _.started)
    cells = known.group_by("started", "period").agg(n=(_.n > 0).sum(), net=_.net.sum(), orders=_.n.sum())
    cells = cells.order_by("started", "period").execute().astype("int64")
    if cells.empty:
        raise ValueError("nothing was bought by the last day known")
    others = sums.filter(_.started.isnull() | (_.period < _.started))
    never = others.agg(n=others.account_id.nunique(where=others.started.isnull()), net=_.net.sum()).execute()
    never = never.fillna(0).iloc[0]
    returned = sums.agg(back=_.back.sum()).execute().fillna(0).iloc[0, 0]
    begins, ends = span(int(cells["period"].max()), step)
    current = _number(book.as_of, STEPS[step])
    begins, ends = span(current, step)
    whole = book.as_of == ends
    last = current if whole else current - 1
    sizes = cells[cells["started"] == cells["period"]].set_index("started")["n"]
    return Bought(
        cells[cells["period"] <= last], cells[cells["period"] > last], sizes, last,
        0 if whole else (book.as_of - begins).days + 1, (ends - begins).days + 1, int(never["n"]), int(never["net"]),
        int(returned), kind,
    )  # fmt: skip


def _number(day: dt.date, step: int) -> int:
    return (day.year * 12 + day.month - 1) // step


def span(period: int, step: str) -> tuple[dt.date, dt.date]:
    """The first and the last day of a period by its number."""
    month = period * STEPS[step]
    first = dt.date(month // 12, month % 12 + 1, 1)
    return first, periods.days_after(periods.add_months(first, STEPS[step]), -1)


def triangle(made: Bought) -> pd.DataFrame:
    """started, age (in periods), n (of the cohort), active, net, orders; whole periods only, 0 where nobody bought."""
    frame = pd.DataFrame({"started": made.sizes.index, "n": made.sizes.to_numpy()})
    frame = frame[frame["started"] <= made.last]
    frame["age"] = [list(range(made.last - one + 1)) for one in frame["started"]]
    frame = frame.explode("age").astype({"age": "int64"})
    cells = made.cells.assign(age=made.cells["period"] - made.cells["started"]).rename(columns={"n": "active"})
    frame = frame.merge(cells.drop(columns="period"), on=["started", "age"], how="left")
    names = ["active", "net", "orders"]
    frame[names] = frame[names].fillna(0).astype("int64")
    return frame.sort_values(["started", "age"], ignore_index=True)


def customers(book: crm.Book, until: dt.date | None = None) -> pd.DataFrame:
    """One row for each who bought by a day: account_id, x (days with a purchase after the first one), t_x (weeks from
    the first to the last), t (weeks watched), back (weeks to the second; nan), mean (of the amounts of those x days;
    minor units, 0 where none), total
    (net), last_on; in the order of ids. Days are of 24 hours from the first purchase's midnight, UTC."""
    table, _kind = rows(book)
    until = until or book.as_of
    table = table.filter(_.at < ibis.literal(periods.end_of(until, book.time_zone)))
    days = table.group_by("account_id", day=_.at.date()).agg(
        bought=ibis.ifelse(_.amount > 0, _.amount, 0).sum(), net=_.amount.sum()
    )
    own = ibis.window(group_by="account_id")
    buys = days.bought > 0
    days = days.mutate(first=ibis.ifelse(buys, days.day, ibis.null("date")).min().over(own))
    later = (days.bought > 0) & (days.day > days.first)
    found = days.filter(_.first.notnull()).group_by("account_id").agg(
        first=_.first.min(), last_on=ibis.ifelse(_.bought > 0, _.day, ibis.null("date")).max(),
        x=later.cast("int64").sum(),
        second=ibis.ifelse(later, _.day, ibis.null("date")).min(), spent=ibis.ifelse(later, _.bought, 0).sum(),
        total=_.net.sum(),
    )  # fmt: skip
    made = found.order_by("account_id").execute()
    first, last = pd.to_datetime(made["first"]), pd.to_datetime(made["last_on"])
    made["t_x"] = (last - first).dt.days / DAYS
    made["t"] = (pd.Timestamp(until) - first).dt.days / DAYS
    made["back"] = (pd.to_datetime(made["second"]) - first).dt.days / DAYS
    made["mean"] = np.where(made["x"] > 0, made["spent"] / made["x"].clip(lower=1), 0.0)
    made["last_on"] = last.dt.date
    return made[["account_id", "x", "t_x", "t", "back", "mean", "total", "last_on"]]


def bought_between(book: crm.Book, day: dt.date, until: dt.date) -> pd.Series:
    """Days with a purchase after a day and up to another one, by account."""
    table, _kind = rows(book)
    ends = [ibis.literal(periods.end_of(one, book.time_zone)) for one in (day, until)]
    later = table.filter(_.at >= ends[0], _.at < ends[1], _.amount > 0)
    counts = later.group_by("account_id").agg(n=_.at.date().nunique()).order_by("account_id").execute()
    return counts.set_index("account_id")["n"]


def largest(book: crm.Book, since: dt.date) -> tuple[dict[str, float], int]:
    """Share of net revenue since a day of the largest 1, 5, 10 customers and a tenth of all; and how many there are."""
    table, _kind = rows(book)
    recent = table.filter(_.at >= ibis.literal(periods.start_of(since, book.time_zone)))
    sums = recent.group_by("account_id").agg(net=_.amount.sum()).filter(_.net > 0)
    n, total = sums.agg(n=_.count(), total=_.net.sum()).execute().fillna(0).iloc[0]
    n = int(n)
    wanted = {"1": 1, "5": 5, "10": 10, "tenth": -(-n // 10)}
    top = sums.select("net").order_by(_.net.desc()).limit(max(wanted.values(), default=1)).execute()["net"]
    return {name: float(top.iloc[:k].sum()) / float(total) for name, k in wanted.items() if k < n}, n
