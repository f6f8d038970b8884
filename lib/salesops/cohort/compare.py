"""Cohorts beside each other at one age, and before and after an event; one correction for all comparisons."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import binomtest, chi2, norm
from scipy.stats import t as student

from salesops import stats
from salesops.cohort.retention import Cube
from salesops.stats import Estimate

LEVEL = 0.05
MEASURES = {"stayed": "active", "more": "more", "less": "less"}
MOVES = {"churn": "n_gone", "expansion": "n_up", "contraction": "n_down"}
BANDS = (0, 1, 3, 6, 9, 12, 15, 18, 24, 30, 36, 48, 60)  # of age in months, within which a month's chance is one
LEAST_MONTHS, MOST_MONTHS = 6, 24  # before an event, by which is told how much months scatter
FEWEST = 5  # events expected, below which a ratio to them says nothing


class Differs(NamedTuple):
    """A cohort (kind cohort) or group that differs from the others of its kind at an age by more than chance.

    change : of the share, as Estimate. net, net_others : revenue over that of the start. money : what the difference
    of these is on the revenue that it began with; minor units, Estimate."""

    kind: str
    name: object
    age: int
    measure: str
    n: int
    share: Estimate
    others: Estimate
    change: Estimate
    p_adjusted: float
    net: Estimate
    net_others: Estimate
    money: Estimate


def ratio(cells: pd.DataFrame, of: str = "revenue") -> Estimate:
    """Revenue (or what of it was `kept`) over that of the start, of all customers of the cells together; customers are
    what varies.

    References
    ----------
    Cochran (1977), Sampling techniques, 3rd ed., 6.4: the ratio of two sums and its variance.
    """
    square, product = {"revenue": ("aa", "ab"), "kept": ("kk", "kb")}[of]
    sums = cells[[of, "start", "n", square, product, "bb"]].sum()
    n, value = int(sums["n"]), float(sums[of] / sums["start"])
    spread = sums[square] - 2 * value * sums[product] + value**2 * sums["bb"]
    se = np.sqrt(max(spread, 0.0) * n / max(n - 1, 1)) / sums["start"]
    reach = student.ppf(0.975, max(n - 1, 1)) * se
    low, high = value - reach, value + reach
    return Estimate(value, max(low, 0.0), min(high, 1.0) if of == "kept" else high, n)


def find(cells: pd.DataFrame, ages: list[int], least: int) -> tuple[list[Differs], int]:
    """What differs at equal age, and how many comparisons were made.

    Each unit (a cohort, a group) of `least` customers or more is compared with all others of its kind at each age: the
    share that stayed, pays more, pays less than at the start. Fisher's exact test, Holm's correction over everything.
    What is found is set aside, and the others are compared without it, so that one cohort does not make others
    stand out.

    Parameters
    ----------
    cells : kind, name, age, n, active, more, less, revenue, kept, start, and the squares of `Retention`.
    """
    cells = cells[cells["age"].isin(ages) & (cells["n"] >= least)]
    found: list[Differs] = []
    n_first = 0
    aside: set[tuple[str, object]] = set()
    while True:
        tried = _tests(cells, aside)
        n_first = n_first or len(tried)
        if not tried:
            return found, n_first
        adjusted = stats.adjust_for_any([one[0] for one in tried])
        best = int(np.argmin(adjusted))
        if adjusted[best] >= LEVEL:
            return found, n_first
        _p, row, others, measure = tried[best]
        aside.add((row["kind"], row["name"]))
        found.append(_differs(cells, row, others, measure, float(adjusted[best])))


def _tests(cells: pd.DataFrame, aside: set) -> list[tuple]:
    tried = []
    for (kind, _age), part in cells.groupby(["kind", "age"], sort=True):
        part = part[[(kind, name) not in aside for name in part["name"]]]
        if len(part) < 2:
            continue
        n_all = int(part["n"].sum())
        for row in part.to_dict("records"):
            others = part[part["name"] != row["name"]]
            for measure, column in MEASURES.items():
                k, k_all = int(row[column]), int(part[column].sum())
                p = stats.p_of_equal_rates((k, int(row["n"])), (k_all - k, n_all - int(row["n"])))
                tried.append((p, row, others, measure))
    return tried


def _differs(cells: pd.DataFrame, row: dict, others: pd.DataFrame, measure: str, p: float) -> Differs:
    column = MEASURES[measure]
    own = cells[(cells["kind"] == row["kind"]) & (cells["name"] == row["name"]) & (cells["age"] == row["age"])]
    share = stats.wilson(int(row[column]), int(row["n"]))
    rest = stats.wilson(int(others[column].sum()), int(others["n"].sum()))
    net, net_others = ratio(own), ratio(others)
    gap = stats.difference(net, net_others)
    money = Estimate(*(one * float(row["start"]) for one in gap[:3]), int(row["n"]))
    return Differs(
        row["kind"], row["name"], int(row["age"]), measure, int(row["n"]), share, rest, stats.difference(share,
        rest), p,
        net, net_others, money,
    )  # fmt: skip


class Window(NamedTuple):
    """Months on one side of an event: observed and expected movements; ratio as Estimate, or None of too few."""

    observed: int
    expected: float
    ratio: Estimate | None


class Event(NamedTuple):
    """One movement before and after an event.

    months : month, observed, expected. p : of both sides being alike. trend : by what the ratio grew a month before
    the event, as Estimate of a factor, with its p; None where too few. n : customers that it was for, at the event."""

    measure: str
    before: Window
    after: Window
    p: float
    p_adjusted: float
    trend: Estimate | None
    p_trend: float | None
    months: pd.DataFrame
    n: int


def around(cube: Cube, month: int, n_months: int, cohort: tuple[int, int] | None) -> list[Event]:
    """Each movement of customers of a cohort (its first and last month; None is all) in the months before and after
    the beginning of `month`, against what is to be expected at their ages.

    What is to be expected is how often customers of other cohorts, at the same ages, moved in the same way; where the
    event was for all, how often all did before it. Months that scattered more than chance makes counts do before the
    event (seasons, campaigns) make its intervals wider by as much.
    """
    rows = cube.known
    rows = rows.assign(age=rows["month"] - rows["started"])
    rows["band"] = np.searchsorted(BANDS, rows["age"], side="right") - 1
    ours = rows["started"].between(*cohort) if cohort else pd.Series(True, index=rows.index)
    found = []
    for measure, column in MOVES.items():
        # Who has nothing in the next month left in that month; growth is of those there in both.
        at = rows["month"] + (measure == "churn")
        risk = rows["n"] if measure == "churn" else rows["n"] - rows["n_back"]
        here = (rows["age"] > 0) if measure != "churn" else (rows["month"] < cube.ends)
        model = rows[here & (~ours if cohort else at < month)]
        chance = model.groupby("band")[column].sum() / risk[model.index].groupby(model["band"]).sum()
        part = rows[here & ours & at.between(month - n_months, month + n_months - 1)]
        expected = risk[part.index] * part["band"].map(chance)
        table = pd.DataFrame({"month": at[part.index], "observed": part[column], "expected": expected})
        table = table[table["expected"].notna()].groupby("month", as_index=False).sum()
        past = table["month"] < month
        spread = _dispersion(here & ours & (at < month), risk, rows, column, chance, at)
        before, after = (_window(table[side], spread) for side in (past, ~past))
        p = 1.0
        if before.observed + after.observed and before.expected and after.expected:
            share = after.expected / (before.expected + after.expected)
            counts = [round(one / spread) for one in (after.observed, before.observed + after.observed)]
            p = float(binomtest(*counts, share).pvalue) if counts[1] else 1.0
        trend, p_trend = _trend(table[past])
        n = int(rows.loc[ours & (rows["month"] == month - 1), "n"].sum())
        found.append(Event(measure, before, after, p, p, trend, p_trend, table, n))
    adjusted = stats.adjust_for_any([one.p for one in found])
    return [one._replace(p_adjusted=float(p)) for one, p in zip(found, adjusted, strict=True)]


def _dispersion(known: pd.Series, risk: pd.Series, rows: pd.DataFrame, column: str, chance, at: pd.Series) -> float:
    """By how much months before the event scatter more than counts do by chance: counts are worth so many times less.
    At least 1; 1 where fewer than `LEAST_MONTHS` months tell."""
    table = pd.DataFrame({"month": at[known], "observed": rows.loc[known, column],
                          "expected": risk[known] * rows.loc[known, "band"].map(chance)})  # fmt: skip
    table = table[table["expected"].notna()].groupby("month").sum()
    table = table[table["expected"] >= 1].tail(MOST_MONTHS)
    if len(table) < LEAST_MONTHS:
        return 1.0
    level = table["observed"].sum() / table["expected"].sum()
    if not level:
        return 1.0
    off = (table["observed"] - level * table["expected"]) ** 2 / (level * table["expected"])
    spread = float(off.sum()) / (len(table) - 1)
    # The scatter is an estimate itself, of so few months: as Student's t is wider than the normal.
    return max(1.0, spread * (student.ppf(0.975, len(table) - 1) / norm.ppf(0.975)) ** 2) if spread > 1 else 1.0


def _window(table: pd.DataFrame, spread: float) -> Window:
    observed, expected = int(table["observed"].sum()), float(table["expected"].sum())
    if expected < FEWEST:
        return Window(observed, expected, None)
    n, base = observed / spread, expected / spread
    low = chi2.ppf(0.025, 2 * n) / 2 if observed else 0.0  # exact limits of a Poisson count (Garwood 1936)
    high = chi2.ppf(0.975, 2 * n + 2) / 2
    return Window(observed, expected, Estimate(observed / expected, low / base, high / base, observed))


def _trend(table: pd.DataFrame) -> tuple[Estimate | None, float | None]:
    """By what observed over expected grew each month before the event; a Poisson regression."""
    table = table[table["expected"] > 0]
    if len(table) < 3 or table["observed"].sum() < FEWEST:
        return None, None
    months = table["month"].to_numpy(dtype="float64")
    design = sm.add_constant(months - months.mean())
    made = sm.GLM(table["observed"].to_numpy(), design, family=sm.families.Poisson(),
                  offset=np.log(table["expected"].to_numpy())).fit()  # fmt: skip
    low, high = made.conf_int()[1]
    factor = Estimate(*(float(np.exp(one)) for one in (made.params[1], low, high)), int(table["observed"].sum()))
    return factor, float(made.pvalues[1])
