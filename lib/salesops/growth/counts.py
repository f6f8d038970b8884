"""What the engine counts for growth: what was won by group in two spans, by customer, and what is open."""

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods

SPLITS = ("region", "source", "segment", "product", "deal_type")
AGES = ("new", "young", "old")  # customers: first won in the span, in the year before it, earlier
KNOWN = "known"  # the last two together, where too little of the record lies before to tell them apart
HOLDERS = ("customer", "source", "region", "product", "rep")


class Spans(NamedTuple):
    """The months looked at and as many before."""

    now: periods.Period
    before: periods.Period


def won_in(book: crm.Book, deals: ibis.Table, spans: Spans) -> ibis.Table:
    """Won deals of both spans, with `span` (now, before)."""
    closed = deals.filter(_.status == "won", _.closed_at.notnull(), _.amount_minor.notnull())
    here = [
        (closed.closed_at.between(*_moments(book, span)), name) for name, span in spans._asdict().items()
    ]  # fmt: skip
    return closed.mutate(span=ibis.cases(*here)).filter(_.span.notnull())


def _moments(book: crm.Book, span: periods.Period) -> tuple:
    first = pd.Timestamp(periods.start_of(span.first_on, book.time_zone))
    end = pd.Timestamp(periods.end_of(span.last_on, book.time_zone)) - pd.Timedelta(microseconds=1)
    return ibis.literal(first), ibis.literal(end)


def by_group(book: crm.Book, won: ibis.Table, dimension: str) -> pd.DataFrame:
    """group (index; `crm.NOT_KNOWN`), now, before (minor units), n_now, n_before."""
    rows = crm.with_group(book, won, dimension)
    return _both(rows)


def _both(rows: ibis.Table) -> pd.DataFrame:
    now = rows.span == "now"
    table = rows.group_by("group").agg(
        now=rows.amount_minor.sum(where=now).fill_null(0), before=rows.amount_minor.sum(where=~now).fill_null(0),
        n_now=now.sum(), n_before=(~now).sum(),
    )  # fmt: skip
    return table.order_by("group").execute().fillna({"group": crm.NOT_KNOWN}).set_index("group").astype("int64")


def months_known(spans: Spans, begins: dt.date) -> int:
    """Months of the record before the earlier span, the one it begins in among them."""
    day = spans.before.first_on
    return max(0, 12 * (day.year - begins.year) + day.month - begins.month)


def by_age(book: crm.Book, won: ibis.Table, spans: Spans, known: int) -> pd.DataFrame:
    """The same by how long the customer had been one: see `AGES`. Deals without a customer are not known.

    known : months before each span that are looked back, as many for both, for else the later one would have fewer new
    customers only because more of the past is known. Under 24, those of before are one group.
    """
    deals = book.deals.filter(_.status == "won", _.account_id.notnull())
    rows, ages = won, []
    for name, span in spans._asdict().items():
        since, young, begun = (
            pd.Timestamp(periods.start_of(periods.add_months(span.first_on, -n), book.time_zone))
            for n in (known, 12, 0)
        )
        first = deals.filter(deals.closed_at >= since).group_by("account_id").agg(**{name: _.closed_at.min()})
        rows = rows.left_join(first, "account_id").drop("account_id_right")
        ages.append((name, begun, young))
    cases = []
    for name, begun, young in ages:
        here, at = rows.span == name, rows[name]
        cases += [(here & (at >= begun), "new"), (here & (at >= young), "young"), (here & at.notnull(), "old")]
    table = _both(rows.mutate(group=ibis.cases(*cases)))
    if known < 24:
        table = table.groupby(lambda age: KNOWN if age in AGES[1:] else age, sort=True).sum().rename_axis("group")
    return table


def holders(book: crm.Book, won: ibis.Table, holder: str) -> tuple[list[int], list[int]]:
    """What each customer (source, ...) brought, of both spans, the largest first; what has none is left out."""
    if holder == "customer":
        rows = won.mutate(group=won.account_id)
    elif holder in crm.known_dimensions(book):
        rows = crm.with_group(book, won, holder)
    else:
        return [], []
    table = _both(rows.filter(rows.group.notnull()))
    return tuple(sorted((int(x) for x in table[name] if x > 0), reverse=True) for name in ("now", "before"))


def open_amounts(book: crm.Book, of: str) -> list[int]:
    """Amounts open on the last day known by deal or by customer, the largest first."""
    rows = book.deals.filter(_.status == "open", _.amount_minor > 0)
    key = {"deal": rows.deal_id, "customer": rows.account_id}[of]
    sums = rows.mutate(key=key).filter(_.key.notnull()).group_by("key").agg(amount=_.amount_minor.sum())
    return sums.order_by(_.amount.desc()).execute()["amount"].astype("int64").tolist()


def weighted_customers(book: crm.Book) -> pd.DataFrame:
    """account_id (NaN of deals without one), weighted: open amounts by the chance of their stage, minor units, the
    largest first. Empty where no stage has a chance."""
    chances = book.stages.select("pipeline", "stage", chance=_.probability)
    rows = book.deals.filter(_.status == "open", _.amount_minor > 0).left_join(chances, ["pipeline", "stage"])
    weight = (rows.amount_minor * rows.chance).round().cast("int64")
    table = rows.mutate(weight=weight).filter(_.weight > 0).group_by("account_id").agg(weighted=_.weight.sum())
    return table.order_by(_.weighted.desc(), "account_id").execute().astype({"weighted": "int64"})


def largest_customer(book: crm.Book, won: ibis.Table) -> tuple[str, str, int, int] | None:
    """Id, name, and what the largest customer of now brought now and before; None where customers are not told."""
    rows = won.filter(_.account_id.notnull())
    table = _both(rows.mutate(group=rows.account_id))
    table = table[table["now"] > 0]
    if table.empty:
        return None
    first = table.sort_values("now", ascending=False, kind="stable").iloc[0]
    return str(first.name), name_of(book, first.name), int(first["now"]), int(first["before"])


def name_of(book: crm.Book, account: str) -> str:
    """A customer's name, or its id where the record has none."""
    known = book.accounts.filter(_.account_id == account).select("name").limit(1).execute()["name"]
    return known.iloc[0] if len(known) and isinstance(known.iloc[0], str) else str(account)


def created_by_month(book: crm.Book, dimension: str, last: periods.Period, n_months: int) -> pd.DataFrame:
    """Deals created: a row for each of the months that end with `last`, a column for each group."""
    span = periods.trailing(last, n_months)
    created = crm.with_owner(book, book.deals.filter(_.created_at.notnull()), "created_at")
    deals = crm.with_group(book, created, dimension)
    deals = deals.filter(deals.created_at.between(*_moments(book, span)), deals.group.notnull())
    month = crm.month_number(deals.created_at, book.time_zone, span.last_on)
    table = deals.mutate(month=month).group_by("month", "group").agg(n=_.count()).execute()
    wide = table.pivot_table(index="month", columns="group", values="n", fill_value=0, aggfunc="sum")
    first = span.first_on.year * 12 + span.first_on.month - 1
    return wide.reindex(range(first, first + n_months), fill_value=0).astype(np.int64)
