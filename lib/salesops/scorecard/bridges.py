"""From one amount to another in parts that sum to the cent: plan to booked, and one period's sales to another's."""

import datetime as dt
from fractions import Fraction
from typing import NamedTuple

import pandas as pd
from ibis import _

from salesops import crm, periods, stats

EFFECTS = ("volume", "mix", "size", "discount")


class Plan(NamedTuple):
    """periods : the quota periods told together. quota, booked : minor units. parts : group, quota, booked, n (reps),
    n_at
    (of them at the quota or above). running : the period that has begun and not ended, with quota, booked so far, and
    the share of its days that is over; None where there is none. unsold : periods in the report with a quota that the
    data do not hold in full, and what these quotas are. n_idle, idle_quota : who have a quota and booked nothing, and
    what these quotas are."""

    periods: list[str]
    quota: int
    booked: int
    parts: pd.DataFrame
    running: tuple[str, int, int, float] | None
    unsold: list[str]
    unsold_quota: int
    n_idle: int
    idle_quota: int


class Sales(NamedTuple):
    """now, before : the periods. amount_now, amount_before : minor units. parts : effect -> minor units, which sum to
    the
    change. unit : deals or pieces. n_now, n_before : how many of them. n_unlisted : without a list price; their
    discount
    counts as none."""

    now: periods.Period
    before: periods.Period
    amount_now: int
    amount_before: int
    parts: dict[str, int]
    unit: str
    n_now: float
    n_before: float
    n_unlisted: int


def plan(carried: pd.DataFrame, reported: periods.Period, as_of: dt.date, by: str) -> Plan | None:
    """Quotas against bookings of the periods in the report that are known in full, else of the last one before its end.

    A target is never compared with months whose sales are not known.
    """
    if carried.empty:
        return None
    ended = carried[(carried["last_on"] <= min(as_of, reported.last_on))]
    inside = carried[(carried["first_on"] >= reported.first_on) & (carried["last_on"] <= reported.last_on)]
    told = ended[ended["first_on"] >= reported.first_on]
    if told.empty:
        told = ended[ended["last_on"] == ended["last_on"].max()] if len(ended) else ended
    if told.empty:
        return None
    unsold = inside[inside["last_on"] > as_of]
    parts = told.groupby(by).agg(quota=("quota", "sum"), booked=("booked", "sum"))
    own = told.groupby([by, "rep_id"])[["quota", "booked"]].sum()
    own = own[own["quota"] > 0]
    parts["n"] = own.groupby(level=0).size().reindex(parts.index, fill_value=0)
    parts["n_at"] = (own["booked"] >= own["quota"]).groupby(level=0).sum().reindex(parts.index, fill_value=0)
    idle = told.groupby("rep_id")[["quota", "booked"]].sum()
    idle = idle[(idle["quota"] > 0) & (idle["booked"] == 0)]
    parts = parts.astype("int64").rename_axis("group").reset_index()
    order = parts.assign(short=parts["booked"] - parts["quota"]).sort_values(["short", "group"]).index
    last_known = min(as_of, reported.last_on)
    here = carried[(carried["first_on"] <= last_known) & (carried["last_on"] > last_known)]
    running = None
    if len(here):
        first, last = here["first_on"].iloc[0], here["last_on"].iloc[0]
        over = ((last_known - first).days + 1) / ((last - first).days + 1)
        running = (here["period"].iloc[0], int(here["quota"].sum()), int(here["booked"].sum()), over)
    return Plan(
        sorted(told["period"].unique()), int(told["quota"].sum()), int(told["booked"].sum()),
        parts.loc[order].reset_index(drop=True), running, sorted(unsold["period"].unique()), int(unsold["quota"].sum()),
        len(idle), int(idle["quota"].sum()),
    )  # fmt: skip


def sales(book: crm.Book, now: periods.Period, before: periods.Period) -> Sales | None:
    """What more or fewer deals (or pieces), other products, larger ones and other discounts brought to the change.

    None where amounts or one of the periods are not known.
    """
    both = {name: _sold(book, one) for name, one in (("now", now), ("before", before))}
    new, old = both["now"], both["before"]
    if new is None or old is None or not old["n"].sum() or not new["n"].sum():
        return None
    parts = stats.whole_parts(effects(new, old))
    return Sales(
        now, before, int(new["net"].sum()), int(old["net"].sum()), parts, "pieces" if book.has("lines") else "deals",
        float(new["n"].sum()), float(old["n"].sum()), int(new["n_unlisted"].sum() + old["n_unlisted"].sum()),
    )  # fmt: skip


def _sold(book: crm.Book, period: periods.Period) -> pd.DataFrame | None:
    """product (index), n (deals or pieces), listed (at list prices), net, n_unlisted; None without amounts."""
    filled = book.about["filled"]
    begin, end = periods.start_of(period.first_on, book.time_zone), periods.end_of(period.last_on, book.time_zone)
    won = book.deals.filter(_.status == "won", _.closed_at >= begin, _.closed_at < end)
    if {"quantity", "net_amount_minor"} <= set(filled["lines"]):
        rows = book.lines.semi_join(won, "deal_id").filter(_.net_amount_minor.notnull(), _.quantity > 0)
        listed = (rows.list_price_minor * rows.quantity).round().cast("int64")
        rows = rows.mutate(n=rows.quantity, listed=listed, net=rows.net_amount_minor)
    elif "amount_minor" in filled["deals"]:
        rows = won.filter(_.amount_minor.notnull()).mutate(n=1, listed=_.list_amount_minor, net=_.amount_minor)
    else:
        return None
    table = rows.group_by("product").agg(
        n=_.n.sum(), listed=_.listed.fill_null(_.net).sum(), net=_.net.sum(), n_unlisted=_.listed.isnull().sum()
    )  # fmt: skip
    return table.order_by("product").execute().fillna({"product": crm.NOT_KNOWN}).set_index("product")


def effects(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Fraction]:
    """The change of `net` in four parts, exactly.

    Parameters
    ----------
    new, old : by product: n (units), listed (their worth at list prices), net.

    Returns
    -------
    dict
        volume: more or fewer units of what was sold before, at its mean price. mix: other shares of products. size: a
        unit's list price within a product; a product not sold before counts at the mean price of all. discount.
    """
    exact = lambda value: Fraction(value) if isinstance(value, float) else Fraction(int(value))  # noqa: E731
    n1, n0 = (sum(map(exact, side["n"]), Fraction(0)) for side in (new, old))
    net0 = sum(map(exact, old["net"]), Fraction(0))
    mean = net0 / n0
    parts = dict.fromkeys(EFFECTS, Fraction(0))
    parts["volume"] = (n1 - n0) * mean
    for product in sorted(set(new.index) | set(old.index)):
        units, listed, net = (exact(new[name].get(product, 0)) for name in ("n", "listed", "net"))
        was, listed_was, net_was = (exact(old[name].get(product, 0)) for name in ("n", "listed", "net"))
        price = net_was / was if was else mean
        parts["mix"] += (units - n1 * was / n0) * price
        kept = net_was / listed_was if was and listed_was else None  # share of the list price that was paid
        if kept is None:
            parts["size"] += net - units * price
        else:
            parts["size"] += (listed - units * listed_was / was) * kept
            parts["discount"] += net - listed * kept
    return parts
