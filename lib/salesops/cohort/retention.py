"""Who stays and who grows: recurring revenue by cohort and age, and each month's movements, exact to the cent.

A customer is an account with recurring revenue in a month; several subscriptions of one account are one customer, so
that nobody has left while anything is active. Whatever the engine returns is small: months, or cohorts by age.
"""

import datetime as dt
from typing import Literal, NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods

STEPS = {"month": 1, "quarter": 3, "year": 12}
MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")


class Retention(NamedTuple):
    """cells : cohort (first day), age (months since a customer's own first one), n (customers who started), active,
    revenue, kept (no more than at the start, nothing after a gap), start (revenue of the first month); minor units.
    Only ages that the whole cohort was watched for. last_on : last day of the last month watched whole. partial :
    whether a month had begun that is left out."""

    cells: pd.DataFrame
    last_on: dt.date
    partial: bool


def read_triangle(book: crm.Book, step: Literal["month", "quarter", "year"] = "month", by: str = "") -> Retention:
    """Cohorts of customers by the month, quarter or year they started in; of each value of an account's column `by`
    (segment, region, industry, country), where one is named.

    Raises
    ------
    ValueError
        If the book has no recurring revenue in a month that has ended.
    """
    last_on, partial = last_month(book)
    rows = _months(book, last_on)
    own = ibis.window(group_by="account_id", order_by="month")
    rows = rows.mutate(
        started=_.month.first().over(own), at_start=_.amount.first().over(own), place=ibis.row_number().over(own),
        least=_.amount.min().over(ibis.cumulative_window(group_by="account_id", order_by="month")),
    )  # fmt: skip
    rows = rows.mutate(
        age=_.month - _.started,
        # No more than at the start; after a month without anything, nothing, even of those who came back.
        kept=ibis.ifelse(_.month - _.started == _.place, _.least, 0),
        cohort=_.started - _.started % STEPS[step],
    )
    keys = ["cohort"]
    if by:
        accounts = book.accounts.select("account_id", group=book.accounts[by])
        rows = rows.left_join(accounts, "account_id").drop("account_id_right")
        keys.append("group")
    first = rows.filter(_.age == 0)
    sizes = first.group_by(keys).agg(n=_.count(), start=_.amount.sum()).order_by(keys).execute()
    cells = rows.group_by([*keys, "age"]).agg(active=_.count(), revenue=_.amount.sum(), kept=_.kept.sum())
    cells = cells.order_by([*keys, "age"]).execute()
    newest = first.group_by(keys).agg(newest=_.started.max()).order_by(keys).execute()
    if not len(sizes):
        raise ValueError("no month that has ended has recurring revenue")
    # The latest start of a cohort says how long all of it was watched; where nobody is left stands 0, not nothing.
    ends = last_on.year * 12 + last_on.month - 1
    frame = sizes.merge(newest, on=keys)
    frame["age"] = [list(range(ends - start + 1)) for start in frame["newest"]]
    frame = frame.explode("age").astype({"age": "int64"}).merge(cells, on=[*keys, "age"], how="left")
    frame[["active", "revenue", "kept"]] = frame[["active", "revenue", "kept"]].fillna(0).astype("int64")
    frame["cohort"] = [dt.date(int(month) // 12, int(month) % 12 + 1, 1) for month in frame["cohort"]]
    columns = [*keys, "age", "n", "active", "revenue", "kept", "start"]
    return Retention(frame[columns].reset_index(drop=True), last_on, partial)


def read_movements(book: crm.Book) -> pd.DataFrame:
    """month_on, opening, one column for each of `MOVEMENTS`, closing; minor units. The opening and the movements are
    the closing, which is the next opening."""
    last_on, _partial = last_month(book)
    rows = _months(book, last_on)
    own = ibis.window(group_by="account_id", order_by="month")
    rows = rows.mutate(before=_.amount.lag().over(own), last=_.month.lag().over(own), next=_.month.lead().over(own))
    change = _.amount - _.before
    follows = _.last == _.month - 1
    came = rows.group_by("month").agg(
        closing=_.amount.sum(),
        new=ibis.ifelse(_.last.isnull(), _.amount, 0).sum(),
        expansion=ibis.ifelse(follows & (change > 0), change, 0).sum(),
        contraction=ibis.ifelse(follows & (change < 0), change, 0).sum(),
        reactivation=ibis.ifelse(_.last < _.month - 1, _.amount, 0).sum(),
    )
    went = rows.filter(_.next.isnull() | (_.next > _.month + 1)).group_by(month=_.month + 1).agg(churn=-_.amount.sum())
    table = came.order_by("month").execute().merge(went.order_by("month").execute(), on="month", how="outer")
    if not len(table):
        raise ValueError("no month that has ended has recurring revenue")
    ends = last_on.year * 12 + last_on.month - 1
    table = table[table["month"] <= ends].set_index("month")
    table = table.reindex(range(int(table.index.min()), ends + 1)).fillna(0).astype("int64").reset_index()
    table["opening"] = table["closing"].shift(fill_value=0)
    table["month_on"] = [dt.date(month // 12, month % 12 + 1, 1) for month in table["month"]]
    return table[["month_on", "opening", *MOVEMENTS, "closing"]]


def last_month(book: crm.Book) -> tuple[dt.date, bool]:
    """The last day of the last month that has ended on the last day known, and whether another has begun."""
    after = periods.days_after(book.as_of, 1)
    if after.day == 1:
        return book.as_of, False
    return periods.days_after(book.as_of.replace(day=1), -1), True


def _months(book: crm.Book, last_on: dt.date) -> ibis.Table:
    """account_id, month (months since year 0), amount: of accounts with recurring revenue above zero."""
    revenue = book.revenue.filter(_.kind == "recurring", _.month_on <= ibis.literal(last_on))
    month = revenue.month_on.year() * 12 + revenue.month_on.month() - 1
    rows = revenue.group_by("account_id", month=month.cast("int64")).agg(amount=_.amount_minor.sum())
    return rows.filter(_.amount > 0)
