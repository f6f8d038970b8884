"""Who stays and who grows: recurring revenue by cohort and age, and each month's movements, exact to the cent.

A customer is an account with recurring revenue in a month; several subscriptions of one account are one customer, so
that nobody has left while anything is active. One pass over the rows gives sums by the month a customer began, the
month, and a group; everything else is sums of those. Months count from year 0.
"""

import datetime as dt
from typing import Literal, NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods

STEPS = {"month": 1, "quarter": 3, "year": 12}
MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
COLUMNS = ("cohort", "group", "age", "n", "active", "more", "less", "unbroken", "revenue", "kept", "start", "aa", "ab",
           "kk", "kb", "bb")  # fmt: skip
AT_ONCE = 5_000_000  # rows of revenue that are put in order at a time, so that memory stays small
STOCK = 3  # times the usual month's new customers, from which on those of the first month had begun before it
OF_FIRST_DEAL = ("product", "source")  # what an account was won with


class Cube(NamedTuple):
    """rows : started, month, group, n (customers with revenue), revenue, unbroken (of n: without a gap since they
    began), kept (revenue, no more than at the start, nothing after a gap), more, less (customers who pay more, less
    than at the start), and what moved in the month: n_up, up, n_down, down, n_back, back; n_gone, gone (have nothing
    in the month after). aa, ab (sums of squares of revenue, and of its products with that of the start) and kk, kb (of
    what was kept) in units of `scale`. Minor units.
    last_on : last day of the last month watched whole. partial : whether a month had begun that is left out.
    stock : those of the first month had begun before it, so that their age is not known. n_stock : how many.
    scale : minor units of one unit of aa, ab, kk, kb's roots. n_below, below : rows of less than nothing (credit notes)
    and their sum: months without revenue, in no other figure."""

    rows: pd.DataFrame
    last_on: dt.date
    partial: bool
    stock: bool
    n_stock: int
    scale: int
    n_below: int
    below: int

    @property
    def ends(self) -> int:
        """The last month."""
        return self.last_on.year * 12 + self.last_on.month - 1

    @property
    def known(self) -> pd.DataFrame:
        """The rows of customers whose first month is known."""
        return self.rows[self.rows["started"] > self.rows["started"].min()] if self.stock else self.rows


class Retention(NamedTuple):
    """cells : cohort (first day), group, age (months since a customer's own first one), n (customers who started),
    active, more, less, unbroken, revenue, kept, start (revenue of the first month), aa, ab, bb, kk, kb (minor units
    squared); see `Cube`.
    Only ages that the whole cohort was watched for."""

    cells: pd.DataFrame
    last_on: dt.date


def read_cube(book: crm.Book, by: str = "none") -> Cube:
    """One pass over recurring revenue; customers are grouped by a column `by` of accounts, by the plan of their first
    contract, the product or source of the first deal they were won with, or not at all (`crm.ALL`).

    Raises
    ------
    ValueError
        If the book has no recurring revenue in a month that has ended, or no value of `by`.
    """
    last_on, partial = last_month(book)
    groups = _groups(book, by)
    largest = book.revenue.filter(_.kind == "recurring").agg(most=_.amount_minor.max(), n=_.count()).execute().iloc[0]
    if not largest["n"] or largest["most"] <= 0:
        raise ValueError("no month that has ended has recurring revenue")
    scale = max(1, int(largest["most"]) >> 20)
    n_parts = -(-int(largest["n"]) // AT_ONCE)
    parts = []
    for part in range(n_parts):
        revenue, own = book.revenue.filter(_.kind == "recurring", _.month_on <= ibis.literal(last_on)), groups
        if n_parts > 1:
            here = (_.account_id.hash() % n_parts + n_parts) % n_parts == part
            revenue, own = revenue.filter(here), None if groups is None else groups.filter(here)
        parts.append(_pass(revenue, own, scale))
    table = pd.concat(parts)
    if table.empty:
        raise ValueError("no month that has ended has recurring revenue")
    keys = ["started", "month", "group"]
    table = table.groupby(keys, as_index=False, dropna=False).sum().sort_values(keys, ignore_index=True)
    table = table.astype({name: "int64" for name in table if name != "group"})
    ends = last_on.year * 12 + last_on.month - 1
    began = table[table["month"] == table["started"]].groupby("started")["n"].sum()
    later = began.reindex(range(int(began.index.min()) + 1, ends + 1), fill_value=0)
    stock = not len(later) or int(began.iloc[0]) > STOCK * max(float(later.median()), 1.0)
    below = book.revenue.filter(_.kind == "recurring", _.month_on <= ibis.literal(last_on), _.amount_minor < 0)
    n_below, sum_below = below.agg(n=_.count(), total=_.amount_minor.sum()).execute().fillna(0).iloc[0]
    return Cube(table, last_on, partial, stock, int(began.iloc[0]) if stock else 0, scale, int(n_below), int(sum_below))


def _pass(revenue: ibis.Table, groups: ibis.Table | None, scale: int) -> pd.DataFrame:
    month = (revenue.month_on.year() * 12 + revenue.month_on.month() - 1).cast("int32")
    rows = revenue.group_by("account_id", month=month).agg(amount=_.amount_minor.sum()).filter(_.amount > 0)
    own = ibis.window(group_by="account_id", order_by="month")
    so_far = ibis.cumulative_window(group_by="account_id", order_by="month")
    rows = rows.mutate(
        started=_.month.first().over(own), at_start=_.amount.first().over(own), place=ibis.row_number().over(own),
        least=_.amount.min().over(so_far), before=_.amount.lag().over(own), last=_.month.lag().over(own),
        next=_.month.lead().over(own),
    )  # fmt: skip
    whole = _.month - _.started == _.place
    rows = rows.mutate(whole=whole.cast("int64"), change=ibis.ifelse(_.last == _.month - 1, _.amount - _.before, 0))
    # No more than at the start; after a month without anything, nothing, even of those who came back.
    rows = rows.mutate(kept=_.whole * _.least, a=_.amount // scale, b=_.at_start // scale)
    rows = rows.mutate(k=_.kept // scale, back=ibis.ifelse(_.last < _.month - 1, _.amount, 0))
    rows = rows.mutate(gone=ibis.ifelse(_.next.isnull() | (_.next > _.month + 1), _.amount, 0))
    none = rows.mutate(group=ibis.literal(crm.ALL))
    rows = none if groups is None else rows.left_join(groups, "account_id")
    sums = rows.group_by("started", "month", "group").agg(
        n=_.count(), revenue=_.amount.sum(), unbroken=_.whole.sum(), kept=_.kept.sum(),
        more=(_.amount > _.at_start).sum(), less=(_.amount < _.at_start).sum(),
        n_up=(_.change > 0).sum(), up=_.change.clip(lower=0).sum(), n_down=(_.change < 0).sum(),
        down=_.change.clip(upper=0).sum(), n_back=(_.back > 0).sum(), back=_.back.sum(), n_gone=(_.gone > 0).sum(),
        gone=_.gone.sum(), aa=(_.a * _.a).sum(), ab=(_.a * _.b).sum(), bb=(_.b * _.b).sum(), kk=(_.k * _.k).sum(),
        kb=(_.k * _.b).sum(),
    )  # fmt: skip
    table = sums.execute()
    return table.assign(group=table["group"].fillna(crm.NOT_KNOWN))


def _groups(book: crm.Book, by: str) -> ibis.Table | None:
    """account_id, group."""
    if by == "none":
        return None
    if by == "plan":
        first = ibis.window(group_by="account_id", order_by=["started_on", "subscription_id"])
        rows = book.subscriptions.filter(_.account_id.notnull()).mutate(place=ibis.row_number().over(first))
        groups = rows.filter(_.place == 0).select("account_id", group=_.plan)
    elif by in OF_FIRST_DEAL:
        # Of all deals: a region's customer may have been won elsewhere.
        won = book.whole.deals.filter(_.status == "won", _.account_id.notnull())
        first = ibis.window(group_by="account_id", order_by=["closed_at", "deal_id"])
        rows = won.mutate(place=ibis.row_number().over(first), group=won[by])
        groups = rows.filter(_.place == 0).select("account_id", "group")
    else:
        groups = book.accounts.select("account_id", group=book.accounts[by])
    if not groups.filter(_.group.notnull()).count().execute():
        raise ValueError(f"split_by {by}: the source has no value of it")
    return groups


def triangle(cube: Cube, step: Literal["month", "quarter", "year"] = "month", *, split: bool = False) -> Retention:
    """Cohorts of customers by the month, quarter or year they began in; of each group where `split`. Those who had
    begun before the first month (see `Cube.stock`) are in none."""
    rows = cube.known.copy()
    if rows.empty:
        return Retention(pd.DataFrame(columns=COLUMNS), cube.last_on)
    rows["group"] = rows["group"] if split else crm.ALL
    rows["cohort"] = rows["started"] - rows["started"] % STEPS[step]
    rows["age"] = rows["month"] - rows["started"]
    keys = ["cohort", "group"]
    first = rows[rows["age"] == 0].groupby(keys)
    frame = first.agg(n=("n", "sum"), start=("revenue", "sum"), bb=("bb", "sum"), newest=("started", "max"))
    # The latest start of a cohort says how long all of it was watched; where nobody is left stands 0, not nothing.
    frame = frame.reset_index()
    newest = frame.groupby("cohort")["newest"].transform("max")
    frame["age"] = [list(range(cube.ends - start + 1)) for start in newest]
    names = ["active", "more", "less", "unbroken", "revenue", "kept", "aa", "ab", "kk", "kb"]
    cells = rows.rename(columns={"n": "active"}).groupby([*keys, "age"], as_index=False)[names].sum()
    frame = frame.explode("age").astype({"age": "int64"}).merge(cells, on=[*keys, "age"], how="left")
    frame[names] = frame[names].fillna(0).astype("int64")
    squares = [*names[6:], "bb"]
    frame[squares] = frame[squares].astype("float64") * cube.scale**2
    frame["cohort"] = [first_day(int(month)) for month in frame["cohort"]]
    frame = frame.sort_values([*keys, "age"], ignore_index=True)
    return Retention(frame[list(COLUMNS)], cube.last_on)


def movements(cube: Cube) -> pd.DataFrame:
    """month_on, opening, one column for each of `MOVEMENTS`, closing, and n_<movement> (customers). Minor units. The
    opening and the movements are the closing, which is the next opening."""
    rows = cube.rows
    begun = rows["started"] == rows["month"]
    rows = rows.assign(n_new=rows["n"].where(begun, 0), new=rows["revenue"].where(begun, 0))
    table = rows.groupby("month").agg(
        closing=("revenue", "sum"), new=("new", "sum"), expansion=("up", "sum"), contraction=("down", "sum"),
        reactivation=("back", "sum"), n_new=("n_new", "sum"), n_expansion=("n_up", "sum"),
        n_contraction=("n_down", "sum"), n_reactivation=("n_back", "sum"),
    )  # fmt: skip
    went = rows.groupby("month").agg(churn=("gone", "sum"), n_churn=("n_gone", "sum"))
    went.index += 1
    every = range(int(table.index.min()), cube.ends + 1)
    table = table.reindex(every, fill_value=0).join(went.reindex(every, fill_value=0))
    table["churn"] = -table["churn"]
    table["opening"] = table["closing"].shift(fill_value=0)
    table["month_on"] = [first_day(month) for month in table.index]
    counts = [f"n_{name}" for name in MOVEMENTS]
    return table[["month_on", "opening", *MOVEMENTS, "closing", *counts]].reset_index(drop=True)


def first_day(month: int) -> dt.date:
    return dt.date(month // 12, month % 12 + 1, 1)


def last_month(book: crm.Book) -> tuple[dt.date, bool]:
    """The last day of the last month that has ended on the last day known, and whether another has begun."""
    after = periods.days_after(book.as_of, 1)
    if after.day == 1:
        return book.as_of, False
    return periods.days_after(book.as_of.replace(day=1), -1), True
