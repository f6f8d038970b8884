"""The numbers of the page of ripening: conversion by age, equal-age comparison, ultimates, money."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, periods, stats
from salesops.ripening import counts as counting
from salesops.ripening import project
from salesops.ripening.counts import EPOCH, LOST, OPEN, WON
from salesops.ripening.params import Params
from salesops.stats import Estimate, triangle

ALPHA = 0.05
RIPE = 0.9  # of what will convert by the horizon
AUTOMATIC = 0.98
MOST_MONTHS = 24  # of the triangle of money


class Differs(NamedTuple):
    """A cohort whose share converted by an age differs from the others' by more than chance."""

    cohort: int
    age: int
    n: int
    share: Estimate
    others: Estimate
    p_adjusted: float


class Money(NamedTuple):
    """Won money by month of creation and months since: names (numbers of months), n, so_far, ultimate, se, bf (minor
    units); total, total_se of what is to come."""

    names: list[int]
    n: np.ndarray
    so_far: np.ndarray
    ultimate: np.ndarray
    se: np.ndarray
    bf: np.ndarray
    total: float
    total_se: float


class Found(NamedTuple):
    """counts : of the cohorts looked at (see `counts`). curve : of all of them. horizon, ripe : ages in days (ripe None
    where it cannot be told). rates : cohort, age -> Estimate, or None of too few or too young. ultimate, record : see
    `project`. differs, n_compared : what stands out at equal age, of how many comparisons. money : None where it cannot
    be told (no amounts, or a month in which nothing was won early)."""

    counts: pd.DataFrame
    curve: stats.Incidence
    horizon: int
    ripe: int | None
    overall: Estimate
    rates: pd.DataFrame
    ultimate: project.Ultimate
    record: project.Record | None
    differs: list[Differs]
    n_compared: int
    money: Money | None
    n_lost: int
    ages: list[int]
    what: str
    pipeline: str
    step: str
    min_deals: int
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Found:
    """Cohorts created in the months up to the end of the period.

    Raises
    ------
    ValueError
        If the source has no such deals or leads, nothing converted, or too few to take a horizon from.
    """
    table, pipeline = counting.read(book, params)
    today = (book.as_of - EPOCH).days
    window = periods.trailing(params.reported, params.months)
    first = (window.first_on - EPOCH).days
    table = table[(table["created"] >= first) & (table["created"] <= today)].reset_index(drop=True)
    won = table[table["outcome"] == WON]
    if won["n"].sum() < params.min_deals:
        raise ValueError(f"fewer than {params.min_deals} {params.what} have converted in the months looked at")
    horizon = params.horizon_days or _horizon(won)
    curve = _curve(table)
    ripe = _ripe(curve, horizon)
    record = project.judge(table, today, horizon, least=params.min_deals, n_draws=max(params.n_draws // 2, 100),
                           seed=params.seed)  # fmt: skip
    made = project.cohorts(table, horizon)
    ultimate = project.project(made, n_draws=params.n_draws, seed=params.seed,
                               chosen=record.chosen if record else "credibility")  # fmt: skip
    ages = [age for age in params.watched_ages if age <= horizon]
    differs, n_compared = _differences(table, ages, today, params.min_deals)
    return Found(
        table, curve, horizon, ripe, curve.at(WON, horizon), _rates(table, ages, today, params.min_deals), ultimate,
        record, differs, n_compared, _money(table, book.as_of), int(table.loc[table["outcome"] == LOST,
        "n"].sum()), ages,
        params.what, pipeline, params.cohorts, params.min_deals, book.currency, book.minor_units, book.as_of,
    )  # fmt: skip


def _horizon(won: pd.DataFrame) -> int:
    """Days by which 98 of 100 had converted, of those that have, to the next ten."""
    by_age = won.groupby("age")["n"].sum().cumsum()
    at = by_age.index[int(np.searchsorted(by_age.to_numpy(), AUTOMATIC * by_age.iloc[-1]))]
    return max(10, -(-int(at) // 10) * 10)


def _curve(table: pd.DataFrame) -> stats.Incidence:
    counted = {f"n_{end}": np.where(table["outcome"] == end, table["n"], 0) for end in (WON, LOST, OPEN)}
    return stats.aalen_johansen(pd.DataFrame({"age": table["age"], **counted}), {WON: "n_won", LOST: "n_lost"})


def _ripe(curve: stats.Incidence, horizon: int) -> int | None:
    """The age by which `RIPE` of what converts by the horizon has converted."""
    within = curve.age <= horizon
    share = curve.share[WON][within]
    return int(curve.age[within][int(np.argmax(share >= RIPE * share[-1]))]) if len(share) and share[-1] > 0 else None


def _watched(table: pd.DataFrame, today: int) -> pd.Series:
    """By cohort, the age that all of it has reached."""
    return today - table.groupby("cohort")["created"].max()


def _rates(table: pd.DataFrame, ages: list[int], today: int, least: int) -> pd.DataFrame:
    """cohort, n, and one column for each age: Estimate or None."""
    watched = _watched(table, today)
    rows = []
    for cohort, part in table.groupby("cohort"):
        n = int(part["n"].sum())
        curve = _curve(part)
        rows.append({"cohort": cohort, "n": n, **{age: curve.at(WON, age) if n >= least and watched[cohort] >= age
                                                  else None for age in ages}})  # fmt: skip
    return pd.DataFrame(rows)


def _differences(table: pd.DataFrame, ages: list[int], today: int, least: int) -> tuple[list[Differs], int]:
    """Each cohort against all others at each age that all of both have reached; what is found is set aside before the
    others are compared, Holm's correction over all."""
    watched, sizes = _watched(table, today), table.groupby("cohort")["n"].sum()
    usual = {age: [c for c in sizes.index if sizes[c] >= least and watched[c] >= age] for age in ages}
    curves: dict[tuple, stats.Incidence] = {}

    def curve(names: tuple) -> stats.Incidence:
        if names not in curves:
            curves[names] = _curve(table[table["cohort"].isin(names)])
        return curves[names]

    found: list[Differs] = []
    aside: set[int] = set()
    n_first = 0
    while True:
        tried = []
        for age, names in usual.items():
            here = [one for one in names if one not in aside]
            if len(here) < 2:
                continue
            for one in here:
                others = tuple(other for other in here if other != one)
                tried.append((stats.p_of_equal_incidence(curve((one,)), curve(others), WON, age), one, age, others))
        n_first = n_first or len(tried)
        if not tried:
            return found, n_first
        adjusted = stats.adjust_for_any([one[0] for one in tried])
        best = int(np.argmin(adjusted))
        if adjusted[best] >= ALPHA:
            return found, n_first
        _p, cohort, age, others = tried[best]
        aside.add(cohort)
        found.append(Differs(int(cohort), age, int(sizes[cohort]), curve((cohort,)).at(WON, age),
                             curve(others).at(WON, age), float(adjusted[best])))  # fmt: skip


def _money(table: pd.DataFrame, as_of: dt.date) -> Money | None:
    """The chain ladder of won money, by month of creation and whole months since; with Mack's standard errors."""
    whole = as_of if periods.days_after(as_of, 1).day == 1 else periods.days_after(as_of.replace(day=1), -1)
    last = whole.year * 12 + whole.month - 1
    day = pd.to_datetime(table["created"], unit="D", origin="unix")
    created = day.dt.year * 12 + day.dt.month - 1
    ended = pd.to_datetime(table["created"] + table["age"], unit="D", origin="unix")
    closed = ended.dt.year * 12 + ended.dt.month - 1
    first = max(int(created.min()), last - MOST_MONTHS + 1)
    names = list(range(first, last + 1))
    size = len(names)
    if size < triangle.LEAST_COHORTS:
        return None
    here = (table["outcome"] == WON) & (created >= first) & (closed <= last)
    amounts = np.zeros((size, size))
    np.add.at(amounts, ((created - first)[here], (closed - created)[here]), table["amount"][here].to_numpy("float64"))
    n = np.bincount((created - first)[(created >= first) & (created <= last)],
                    table["n"][(created >= first) & (created <= last)], size)  # fmt: skip
    known = np.add.outer(np.arange(size), np.arange(size)) < size
    amounts = np.where(known, amounts.cumsum(axis=1), np.nan)
    if not np.nansum(amounts) or (n == 0).any():
        return None
    try:
        made = triangle.project(amounts)
    except ValueError:
        return None
    bf = triangle.bornhuetter_ferguson(made, n, amounts)
    return Money(names, n, made.latest, made.ultimate, made.se, bf, float(made.to_come.sum()), made.total_se)
