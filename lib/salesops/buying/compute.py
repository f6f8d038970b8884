"""The numbers of the page of repeat buying."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, periods, stats
from salesops.buying import purchases, values
from salesops.buying.params import Params
from salesops.stats import Estimate

YEAR = 12
WEEKS_A_MONTH = 365.25 / 12 / 7
PER_CUSTOMER = ("alive", "silence", "expected", "value", "low", "high", "if_alive")
LATER = (1, 2, 3, 6, 11, 12)  # periods after the first at which all cohorts together are told


class Found(NamedTuple):
    """bought : see `purchases`. triangle : cohorts by age. together : age, n, active (Estimate) of all cohorts watched
    so
    long. customers : one row for each (see `purchases.customers`), with the columns of `PER_CUSTOMER`
    (minor units) where there is a model. model : None of too few. worth_total : low, middle, high of everybody's
    value. record : None of too short a one. dormant : rows of customers, the most worth first. largest : shares of
    the last twelve months' revenue; n_recent : customers in them. again : share of customers who bought a second time
    within so many months (twelve, or fewer where not half of them were watched so long)."""

    bought: purchases.Bought
    triangle: pd.DataFrame
    together: pd.DataFrame
    customers: pd.DataFrame
    model: values.Model | None
    total: tuple[float, float, float] | None
    record: values.Record | None
    dormant: pd.DataFrame
    by_year: pd.DataFrame
    largest: dict[str, float]
    n_recent: int
    again: Estimate | None
    again_months: int
    step: str
    horizon_months: int
    discount: float
    dormant_below: float
    silence_below: float
    min_customers: int
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Found:
    """Customers who have bought by the last day known.

    Raises
    ------
    ValueError
        If the source has neither purchases nor won deals of accounts.
    """
    bought = purchases.read(book, params.cohorts)
    made = purchases.triangle(bought)
    table = purchases.customers(book)
    model = values.fit(table)
    total, weeks = None, params.horizon_months * WEEKS_A_MONTH
    record = values.record(book, table, model, weeks)
    dormant = table[:0]
    if model is not None:
        scale = record.expected[record.chosen] / max(record.expected["model"], 1e-9) if record else 1.0
        found = values.worth(
            model, table, weeks=weeks, margin=params.margin, discount=params.discount, n_draws=params.n_draws,
            seed=params.seed, scale=scale, shock=record.shock if record else 0.0,
        )  # fmt: skip
        named = {name: getattr(found, name) for name in PER_CUSTOMER}
        table = table.assign(**named)
        total = tuple(float(one) for one in np.quantile(found.total, (0.1, 0.5, 0.9)))
        dormant = table[(table["alive"] < params.dormant_below) | (table["silence"] < params.silence_below)]
        dormant = dormant.sort_values(["if_alive", "account_id"], ascending=[False, True], ignore_index=True)
    since = periods.add_months(periods.days_after(book.as_of, 1).replace(day=1), -YEAR)
    largest, n_recent = purchases.largest(book, since)
    again, months = _again(table, params.min_customers)
    return Found(
        bought, made, _together(made, params.min_customers), table, model, total,
        record, dormant, _by_year(bought, params.cohorts),
        largest, n_recent, again, months, params.cohorts, params.horizon_months, params.discount, params.dormant_below,
        params.silence_below, params.min_customers, book.currency, book.minor_units, book.as_of,
    )  # fmt: skip


def _together(made: pd.DataFrame, least: int) -> pd.DataFrame:
    sums = made[made["age"].isin(LATER)].groupby("age", as_index=False)[["n", "active"]].sum()
    sums = sums[sums["n"] >= least]
    sums["active"] = [stats.wilson(int(row.active), int(row.n)) for row in sums.itertuples()]
    return sums


def _by_year(bought: purchases.Bought, step: str) -> pd.DataFrame:
    """year (of the first purchase), n, net (so far), net of the last twelve months' periods."""
    cells = pd.concat([bought.cells, bought.begun])
    per_year = YEAR // purchases.STEPS[step]
    cells = cells.assign(year=cells["started"] // per_year)
    recent = cells[cells["period"] > cells["period"].max() - per_year]
    sizes = bought.sizes.groupby(bought.sizes.index // per_year).sum()
    found = pd.DataFrame({"n": sizes, "net": cells.groupby("year")["net"].sum()})
    return found.assign(recent=recent.groupby("year")["net"].sum()).fillna(0).rename_axis("year").reset_index()


def _again(table: pd.DataFrame, least: int) -> tuple[Estimate | None, int]:
    """The share who bought a second time within so many months, of those watched so long."""
    for months in (YEAR, 6, 3, 1):
        weeks = months * WEEKS_A_MONTH
        watched = table[table["t"] >= weeks]
        # The oldest customers alone, who often had bought before the record begins, would tell of themselves.
        if len(watched) >= max(least, len(table) / 2):
            return stats.wilson(int((watched["back"] <= weeks).sum()), len(watched)), months
    return None, 0
