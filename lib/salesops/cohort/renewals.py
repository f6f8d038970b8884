"""Net and gross revenue retention over a year, by the convention asked for."""

from typing import NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.cohort.retention import first_day
from salesops.stats import Estimate

YEAR = 12


class Renewals(NamedTuple):
    """Customers of a year before `month_on`, those that count: n, then and now (revenue of the month; minor units).
    net, gross : Estimate, or None of too few. n_all, then_all : of all customers of that month."""

    month_on: object
    n: int
    then: int
    now: int
    net: Estimate | None
    gross: Estimate | None
    n_all: int
    then_all: int


def measure(book: crm.Book, month: int, *, base: str, escalators: str, reactivation: str, least: int) -> Renewals:
    """What customers of the month a year before pay in `month` (months from year 0).

    Parameters
    ----------
    base : all, or renewing (a contract of theirs came up for renewal in between). escalators : out takes off what the
    contracts themselves raised. reactivation : out counts nothing of those who had left in between.

    Raises
    ------
    ValueError
        If contracts are asked for and the source does not tell their terms.
    """
    from salesops.cohort.compare import ratio

    first, last = (ibis.literal(first_day(one)) for one in (month - YEAR, month))
    rows = book.revenue.filter(_.kind == "recurring", _.month_on >= first, _.month_on < _after(month))
    if reactivation == "in":  # what was in between does not matter
        rows = rows.filter((_.month_on < _after(month - YEAR)) | (_.month_on >= last))
    at = (rows.month_on.year() * 12 + rows.month_on.month() - 1).cast("int32")
    rows = rows.group_by("account_id", month=at).agg(amount=_.amount_minor.sum()).filter(_.amount > 0)
    was, is_ = _.month == month - YEAR, _.month == month
    rows = rows.group_by("account_id").agg(
        then=ibis.ifelse(was, _.amount, 0).sum(), now=ibis.ifelse(is_, _.amount, 0).sum(), n=_.count()
    )
    rows = rows.filter(_.then > 0)
    whole = rows.agg(n=_.count(), then=_.then.sum()).execute().iloc[0].fillna(0).astype("int64")
    if base == "renewing" or escalators == "out":
        if not book.subscriptions.filter(_.term_months > 0).count().execute():
            raise ValueError("base, escalators: the source does not tell the terms of contracts (subscriptions)")
        terms = _terms(book, month)
        rows = rows.left_join(terms, "account_id")
        if escalators == "out":
            rows = rows.mutate(now=ibis.greatest(_.now - _.raised.fill_null(0), 0))
        if base == "renewing":
            rows = rows.filter(_.n_renewed > 0)
    if reactivation == "out":
        rows = rows.mutate(now=ibis.ifelse(_.n == YEAR + 1, _.now, 0))
    largest = rows.agg(most=ibis.greatest(_.then, _.now).max()).execute().iloc[0, 0]
    scale = 1 if pd.isna(largest) else max(1, int(largest) >> 20)
    rows = rows.mutate(kept=ibis.least(_.then, _.now))
    a, b, k = (rows[name] // scale for name in ("now", "then", "kept"))
    sums = rows.agg(
        n=rows.count(), start=rows.then.sum(), revenue=rows.now.sum(), kept=rows.kept.sum(), aa=(a * a).sum(),
        ab=(a * b).sum(), bb=(b * b).sum(), kk=(k * k).sum(), kb=(k * b).sum(),
    ).execute().fillna(0)  # fmt: skip
    squares = ["aa", "ab", "bb", "kk", "kb"]
    sums[squares] = sums[squares].astype("float64") * scale**2
    n = int(sums["n"].iloc[0])
    net, gross = (ratio(sums), ratio(sums, "kept")) if n >= least else (None, None)
    return Renewals(
        first_day(month), n, int(sums["start"].iloc[0]), int(sums["revenue"].iloc[0]), net, gross, int(whole["n"]),
        int(whole["then"]),
    )  # fmt: skip


def _after(month: int):
    return ibis.literal(periods.add_months(first_day(month), 1))


def _terms(book: crm.Book, month: int) -> ibis.Table:
    """account_id, n_renewed (contracts that came up for renewal since a year before `month`), raised (what their own
    escalators have added to a month since; minor units)."""
    rows = book.subscriptions.filter(_.term_months > 0, _.started_on.notnull(), _.account_id.notnull())
    start = rows.started_on.year() * 12 + rows.started_on.month() - 1
    end = ibis.ifelse(rows.ended_on.isnull(), month, rows.ended_on.year() * 12 + rows.ended_on.month())
    rows = rows.mutate(
        before=ibis.greatest((month - YEAR - start) // rows.term_months, 0),
        # A contract that ended with its term was up for renewal, and was not renewed.
        by=(ibis.least(end, month) - start) // rows.term_months,
        runs=rows.ended_on.isnull() | (end > month),
    )
    rows = rows.mutate(times=ibis.greatest(_.by - _.before, 0))
    grown = 1 - 1 / (1 + _.escalator.fill_null(0)) ** _.times
    raised = ibis.ifelse(_.runs, (_.amount_minor * grown).round().cast("int64"), 0)
    return rows.group_by("account_id").agg(n_renewed=(_.times > 0).sum(), raised=raised.sum().fill_null(0))
