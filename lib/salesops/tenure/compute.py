"""The numbers of the page of tenure: how long contracts last, with those still running censored."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, stats
from salesops.stats import Estimate, contracts
from salesops.tenure import records
from salesops.tenure.params import Params

ALPHA = 0.05
LEAST_AGES = 6  # months of tenure that are projected from, or held out


class Found(NamedTuple):
    """counts : see `records.spells`. dated : days or months. n_left_out : contracts whose tenure is not known. n,
    n_ended. curves : group (`crm.ALL` first) -> Survival by months. table : group, n, n_ended, ended (Estimate: the
    share that has ended by now, of whatever tenure), at (age -> Estimate of the share still there, or None), median
    (Estimate or None), p_adjusted (of its share at the last age compared being the others'), age. trial : method, told,
    error (by how many points the share still there at `trial_age` was missed, from tenures up to half of it); empty of
    too few. fit : of all contracts. months_ahead : (low, middle, high) months that one who has stayed 0, 12, ... months
    will stay within the horizon. disagreements : see `records`."""

    counts: pd.DataFrame
    dated: str
    n_left_out: int
    n: int
    n_ended: int
    curves: dict[str, stats.Survival]
    table: pd.DataFrame
    trial: pd.DataFrame
    trial_age: int
    came: float
    fit: contracts.Fit | None
    months_ahead: dict[int, tuple[float, float, float]]
    disagreements: records.Disagreements
    ages: list[int]
    split_by: str
    min_customers: int
    horizon_months: int
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Found:
    """Contracts known by the last day.

    Raises
    ------
    ValueError
        If no contract has a first day or a tenure, or no value of the split.
    """
    counts, dated, n_left_out = records.spells(book, params.split_by)
    curves = {crm.ALL: _curve(counts)}
    sizes = counts.groupby("group")["n"].sum().sort_values(ascending=False, kind="stable")
    if params.split_by != "none":
        curves |= {group: _curve(counts[counts["group"] == group]) for group in sizes.index}
    trial, age, came = _trial(counts)
    left, stayed = _by_month(counts)
    fit = contracts.fit(left, stayed)
    return Found(
        counts, dated, n_left_out, int(counts["n"].sum()), int(counts.loc[counts["ended"], "n"].sum()), curves,
        _groups(counts, curves, params), trial, age, came, fit,
        _ahead(fit, left, stayed, params) if fit else {}, records.disagreements(book), params.watched_ages,
        params.split_by, params.min_customers, params.horizon_months, book.currency, book.minor_units, book.as_of,
    )  # fmt: skip


def _curve(counts: pd.DataFrame) -> stats.Survival:
    return stats.kaplan_meier(_ends(counts))


def _ends(counts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"age": counts["age"], "n_ended": np.where(counts["ended"], counts["n"], 0),
                         "n_open": np.where(counts["ended"], 0, counts["n"])})  # fmt: skip


def share_at(counts: pd.DataFrame, age: int) -> Estimate:
    """The share still there after so many months, running ones censored."""
    gone = _incidence(counts).at("ended", age)
    return Estimate(1 - gone.value, 1 - gone.high, 1 - gone.low, gone.n)


def _groups(counts: pd.DataFrame, curves: dict[str, stats.Survival], params: Params) -> pd.DataFrame:
    rows = []
    for group, curve in curves.items():
        part = counts if group == crm.ALL else counts[counts["group"] == group]
        n, n_ended = int(part["n"].sum()), int(part.loc[part["ended"], "n"].sum())
        few = n < params.min_customers
        # One that ended would have been watched longer: what censors is the last day known, not the end.
        watched = {age: _incidence(part).n_watched(age) for age in params.watched_ages}
        at = {age: None if few or not watched[age] else share_at(part, age) for age in params.watched_ages}
        row = {"group": group, "n": n, "n_ended": n_ended, "ended": None if few else stats.wilson(n_ended, n),
               "at": at, "median": None if few else curve.quantile(0.5), "p": np.nan, "age": None}  # fmt: skip
        others = counts[counts["group"] != group]
        rest = _incidence(others) if len(others) else None
        ages = [age for age in params.watched_ages if watched[age] >= params.min_customers
                and rest is not None and rest.n_watched(age) >= params.min_customers]  # fmt: skip
        if group not in (crm.ALL, crm.NOT_KNOWN) and not few and ages:
            sides = [_incidence(one) for one in (part, others)]
            row |= {"age": ages[-1], "p": stats.p_of_equal_incidence(*sides, "ended", ages[-1])}
        rows.append(row)
    table = pd.DataFrame(rows)
    tested = table["p"].notna()
    table["p_adjusted"] = np.nan
    if tested.any():
        table.loc[tested, "p_adjusted"] = stats.adjust_for_any(table.loc[tested, "p"])
    return table.drop(columns="p")


def _incidence(counts: pd.DataFrame) -> stats.Incidence:
    return stats.aalen_johansen(_ends(counts), {"ended": "n_ended"})


def _by_month(counts: pd.DataFrame, until: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Contracts that ended in their first, second, ... month, and that were last seen running after so many; those that
    lasted longer than `until` months are seen running then."""
    most = int(counts["age"].max()) + 1 if until is None else until
    left, stayed = np.zeros(most), np.zeros(most)
    for row in counts.itertuples():
        if row.ended and row.age < most:
            left[row.age] += row.n
        elif min(row.age, most) >= 1:
            stayed[min(row.age, most) - 1] += row.n
    return left, stayed


def _trial(counts: pd.DataFrame) -> tuple[pd.DataFrame, int, float]:
    """The share still there at the longest tenure well watched, told from tenures up to half of it."""
    by_age = counts.groupby("age")["n"].sum()[::-1].cumsum()[::-1]
    watched = by_age[by_age >= max(50, 0.05 * counts["n"].sum())]
    age = int(watched.index.max()) if len(watched) else 0
    half = age // 2
    left, stayed = _by_month(counts, half) if half else (np.zeros(1), np.zeros(1))
    fit = contracts.fit(left, stayed) if half >= LEAST_AGES else None
    empty = pd.DataFrame(columns=["method", "told", "error"])
    if fit is None:
        return empty, age, float("nan")
    came, at_half = share_at(counts, age), share_at(counts, half).value
    exposed = sum(left * np.arange(1, half + 1)) + sum(stayed * np.arange(1, half + 1))
    told = {"contracts": at_half * fit.survival(age)[age] / fit.survival(age)[half],
            "constant": at_half * (1 - left.sum() / exposed) ** (age - half)}  # fmt: skip
    rows = [(method, share, abs(share - came.value)) for method, share in told.items()]
    return pd.DataFrame(rows, columns=["method", "told", "error"]), age, came.value


def _ahead(fit: contracts.Fit, left: np.ndarray, stayed: np.ndarray, params: Params) -> dict:
    """Months to come within the horizon, of one who has stayed so long: the model fitted again to contracts drawn
    again."""
    rng = np.random.default_rng(params.seed)
    weights = np.concatenate([left, stayed])
    n, k = int(weights.sum()), len(left)
    ages = [0, *(age for age in params.watched_ages if age < k)]
    drawn = {age: [] for age in ages}
    for _draw in range(min(params.n_draws, 300)):
        again = rng.multinomial(n, weights / weights.sum())
        made = contracts.fit(again[:k], again[k:], near=fit) or fit
        for age in ages:
            drawn[age].append(made.expected(age, params.horizon_months))
    return {
        age: (float(np.quantile(one, 0.05)), fit.expected(age, params.horizon_months), float(np.quantile(one, 0.95)))
        for age, one in drawn.items()
    }
