"""What customers of today will come to: three ways to go on, the one with the least error on what was held out."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops.cohort.retention import Cube
from salesops.stats import contracts

METHODS = ("contracts", "ladder", "constant")
MONTHS = 12  # held out at most; also the ages whose mean factor goes on where no cohort has been watched
LEAST_MONTHS = 6  # of a record that is projected, or held out against
EVERY = 3  # months between the days that are gone back to
MOST_ORIGINS = 4
LEAST_START = 5  # customers at risk, below which an age's factor is not taken by itself
STEP = 3  # cohorts of so many months are compared with what came


class Table(NamedTuple):
    """Cohorts of a month (rows, the first month first) by age in months; nan where not watched.

    unbroken : customers there without a gap. revenue : of all who began then; minor units."""

    first: int
    unbroken: np.ndarray
    revenue: np.ndarray

    def until(self, n_months: int) -> "Table":
        """As it was so many months ago."""
        n = len(self.unbroken) - n_months
        known = np.add.outer(np.arange(n), np.arange(n)) < n
        return Table(self.first, *(np.where(known, one[:n, :n], np.nan) for one in (self.unbroken, self.revenue)))


class Projection(NamedTuple):
    """errors : value (customers, revenue), method, error (sum of absolute errors of quarters' cohorts over what came),
    n_origins, horizon. None of a record that is too short. chosen : value -> method. factors : value -> from each age
    to the next. draws : value -> (draws, months) totals of today's customers, today first. value : of a new customer,
    over `horizon` months, discounted, by draw. by_year : year, n, so_far (revenue), to_come (draws); minor units."""

    errors: pd.DataFrame
    chosen: dict[str, str]
    factors: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]
    value: np.ndarray
    by_year: pd.DataFrame
    to_come: dict[int, np.ndarray]


def table(cube: Cube) -> Table | None:
    """Cohorts of a month by age; None where nobody's first month is known."""
    rows = cube.known
    if rows.empty:
        return None
    first = int(rows["started"].min())
    n = cube.ends - first + 1
    made = [np.zeros((n, n)) for _k in range(2)]
    at = (rows["started"] - first).to_numpy(), (rows["month"] - rows["started"]).to_numpy()
    for one, name in zip(made, ("unbroken", "revenue"), strict=True):
        np.add.at(one, at, rows[name].to_numpy(dtype="float64"))
    known = np.add.outer(np.arange(n), np.arange(n)) < n
    return Table(first, *(np.where(known, one, np.nan) for one in made))


def factors(
    made: Table, value: str, method: str, n_ages: int, weights: np.ndarray | None = None,
    near: contracts.Fit | None = None,
) -> np.ndarray | None:  # fmt: skip
    """From each age to the next, of `n_ages` ages; None where it cannot be told. weights : of the cohorts. near : the
    model of contracts near which to look."""
    values = made.unbroken if method == "contracts" or value == "customers" else made.revenue
    weights = np.ones(len(values)) if weights is None else weights
    if method == "contracts":
        stays = fit(made, weights, near)
        return None if stays is None else stays.retention(n_ages)
    both = ~np.isnan(values[:, 1:])
    came = np.nansum(np.where(both, values[:, 1:], 0) * weights[:, None], axis=0)
    base = np.nansum(np.where(both, values[:, :-1], 0) * weights[:, None], axis=0)
    whole = came.sum() / base.sum() if base.sum() > 0 else None
    if whole is None:
        return None
    if method == "constant":
        return np.full(n_ages, whole)
    at_risk = np.nansum(np.where(both, made.unbroken[:, :-1], 0) * weights[:, None], axis=0)
    told = at_risk >= LEAST_START
    n_told = int(np.argmin(told)) if not told.all() else len(told)
    own = came[:n_told] / np.maximum(base[:n_told], 1e-9)
    tail = slice(max(n_told - MONTHS, 0), n_told)
    goes_on = came[tail].sum() / base[tail].sum() if n_told and base[tail].sum() > 0 else whole
    return np.concatenate([own, np.full(max(n_ages - n_told, 0), goes_on)])[:n_ages]


def fit(made: Table, weights: np.ndarray, near: contracts.Fit | None = None) -> contracts.Fit | None:
    """The shifted beta-geometric of all cohorts; see `salesops.stats.contracts`."""
    unbroken = made.unbroken
    there = np.nan_to_num(unbroken) * weights[:, None]
    watched = (~np.isnan(unbroken)).sum(axis=1)
    left = np.zeros(unbroken.shape[1])
    stayed = np.zeros(unbroken.shape[1])
    for row, n in zip(there, watched, strict=True):
        left[: n - 1] += row[: n - 1] - row[1:n]
        if n > 1:
            stayed[n - 2] += row[n - 1]
    return contracts.fit(left, stayed, near=near)


def ahead(made: Table, value: str, path: np.ndarray, n_months: int) -> np.ndarray:
    """(cohorts, n_months + 1) what each cohort comes to after 0, 1, ... months."""
    values = made.unbroken if value == "customers" else made.revenue
    n = len(values)
    rows = np.empty((n, n_months + 1))
    for k in range(n):
        age = n - 1 - k
        rows[k] = values[k, age] * np.concatenate([[1.0], np.cumprod(path[age : age + n_months])])
    return rows


def judge(made: Table) -> tuple[pd.DataFrame, dict[str, str]]:
    """Each method's error on months that were held out, and the best of each value."""
    n = len(made.unbroken)
    horizon = min(MONTHS, n // 3)
    origins = list(range(horizon, n - LEAST_MONTHS + 1, EVERY))[:MOST_ORIGINS]
    if horizon < EVERY:
        origins = []
    rows = []
    for value in ("customers", "revenue"):
        actual = made.unbroken if value == "customers" else made.revenue
        for method in METHODS:
            missed = came = off = 0.0
            told = 0
            for back in origins:
                then = made.until(back)
                path = factors(then, value, method, n)
                if path is None:
                    continue
                m = len(then.unbroken)
                expected = ahead(then, value, path, horizon)[:, horizon]
                happened = np.array([actual[k, m - 1 - k + horizon] for k in range(m)])
                parts = np.arange(m) // STEP
                sums = [np.bincount(parts, one) for one in (expected, happened)]
                missed, came, told = missed + np.abs(sums[0] - sums[1]).sum(), came + sums[1].sum(), told + 1
                off += float(np.log(max(sums[0].sum(), 1e-9) / max(sums[1].sum(), 1e-9)) ** 2)
            if told and told == len(origins) and came:
                rows.append((value, method, missed / came, off / told, told, horizon))
    errors = pd.DataFrame(rows, columns=["value", "method", "error", "off", "n_origins", "horizon"])
    chosen = {value: part.loc[part["error"].idxmin(), "method"] for value, part in errors.groupby("value")}
    return errors, {value: chosen.get(value, "ladder") for value in ("customers", "revenue")}


def project(
    made: Table | None, *, n_months: int, margin: float, discount: float, n_draws: int, seed: int
) -> Projection | None:
    """Today's customers and their revenue, month by month, and what a new customer is worth.

    Cohorts are drawn again with replacement (how well the past tells the factors), and what happens to those there is
    left to chance: customers as a binomial, revenue as it has varied about its factors (Mack's variance, one for all
    ages). None of a record of fewer than `LEAST_MONTHS` months.
    """
    n = 0 if made is None else len(made.unbroken)
    if n < LEAST_MONTHS:
        return None
    errors, chosen = judge(made)
    n_ages = n + n_months
    best = {value: factors(made, value, method, n_ages) for value, method in chosen.items()}
    for value, path in best.items():
        if path is None:
            chosen[value], best[value] = "constant", factors(made, value, "constant", n_ages)
    if any(path is None for path in best.values()):
        return None
    near = fit(made, np.ones(n)) if "contracts" in chosen.values() else None
    rng = np.random.default_rng(seed)
    spread = _spread(made, best["revenue"])
    worth = (1 + discount) ** (-np.arange(n_months) / 12)
    begun = made.unbroken[:, 0]
    first = made.revenue[:, 0].sum() / begun.sum()
    draws = {value: np.empty((n_draws, n_months + 1)) for value in best}
    new, later = np.empty(n_draws), np.empty((n_draws, n))
    for k in range(n_draws):
        weights = rng.multinomial(n, np.full(n, 1 / n)).astype("float64")
        for value, method in chosen.items():
            path = factors(made, value, method, n_ages, weights, near)
            path = best[value] if path is None else path
            if value == "customers":
                draws[value][k] = _walk_customers(made, path, n_months, rng)
            else:
                walked = _walk_revenue(made, path, spread, n_months, rng)
                draws[value][k] = walked.sum(axis=0)
                later[k] = walked[:, 1:] @ (worth * margin)
                base = (made.revenue[:, 0] @ weights) / max(begun @ weights, 1e-9) if begun @ weights else first
                curve = np.concatenate([[1.0], np.cumprod(path[: n_months - 1])])
                new[k] = margin * base * (curve @ worth)
    for value in draws:
        draws[value] = _widened(draws[value], errors, value, chosen[value], rng)
    years = (made.first + np.arange(n)) // 12
    so_far = np.nansum(made.revenue, axis=1) * margin
    by_year = pd.DataFrame({"year": years, "n": begun, "so_far": so_far}).groupby("year", as_index=False).sum()
    to_come = {int(year): later[:, years == year].sum(axis=1) for year in by_year["year"]}
    return Projection(errors, chosen, best, draws, new, by_year, to_come)


def _widened(drawn: np.ndarray, errors: pd.DataFrame, value: str, method: str, rng: np.random.Generator) -> np.ndarray:
    """Totals as far off besides as they were on months that were held out, beyond what the draws scatter by; as the
    root
    of time."""
    row = errors[(errors["value"] == value) & (errors["method"] == method)]
    if row.empty:
        return drawn
    horizon = int(row["horizon"].iloc[0])
    at = min(horizon, drawn.shape[1] - 1)
    own = float(np.log(np.maximum(drawn[:, at], 1e-9) / np.maximum(drawn[:, 0], 1e-9)).var()) if at else 0.0
    more = np.sqrt(max(float(row["off"].iloc[0]) * at / horizon - own, 0.0))
    reach = np.sqrt(np.arange(drawn.shape[1]) / max(at, 1))
    return drawn * np.exp(more * rng.standard_normal(len(drawn))[:, None] * reach)


def _spread(made: Table, path: np.ndarray) -> float:
    """Mack's variance of a month's revenue about its factor, over the revenue before; one for all ages."""
    values = made.revenue
    base, came = values[:, :-1], values[:, 1:]
    both = ~np.isnan(came) & (base > 0)
    off = (came - base * path[: came.shape[1]]) ** 2 / np.where(base > 0, base, 1)
    return float(off[both].sum() / max(both.sum() - 1, 1)) if both.any() else 0.0


def _walk_customers(made: Table, path: np.ndarray, n_months: int, rng: np.random.Generator) -> np.ndarray:
    n = len(made.unbroken)
    there = np.array([made.unbroken[k, n - 1 - k] for k in range(n)]).astype("int64")
    ages = n - 1 - np.arange(n)
    total = [there.sum()]
    for t in range(n_months):
        there = rng.binomial(there, np.clip(path[ages + t], 0, 1))
        total.append(there.sum())
    return np.array(total, dtype="float64")


def _walk_revenue(made: Table, path: np.ndarray, spread: float, n_months: int, rng: np.random.Generator) -> np.ndarray:
    n = len(made.revenue)
    ages = n - 1 - np.arange(n)
    rows = np.empty((n, n_months + 1))
    rows[:, 0] = [made.revenue[k, n - 1 - k] for k in range(n)]
    for t in range(n_months):
        mean = rows[:, t] * path[ages + t]
        rows[:, t + 1] = np.maximum(mean + np.sqrt(spread * rows[:, t]) * rng.standard_normal(n), 0)
    return rows
