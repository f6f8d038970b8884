"""Time to an end while some cases are still open: Kaplan-Meier and Aalen-Johansen on counts.

Both take a table of counts by age, which is what the engine returns, so that a million deals cost
what a thousand cost. An open case is censored: it counts for the time it has been watched. At one
age, ends come before censorings.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from salesops.stats.proportions import LEVEL, Estimate

_Z = norm.ppf(0.5 + LEVEL / 2)


class Survival(NamedTuple):
    """The share not yet ended, just after each age at which something ended."""

    age: np.ndarray
    share: np.ndarray
    se: np.ndarray  # Greenwood's
    low: np.ndarray  # log(-log) limits
    high: np.ndarray
    n: int
    n_ended: int

    def quantile(self, share: float) -> Estimate | None:
        """The age by which `share` have ended, with its interval; None where too few have yet.

        The first age at which the survival is at or below 1 - share. A limit that the data do not
        reach is infinite.

        References
        ----------
        Brookmeyer, Crowley (1982), Biometrics 38, 29-41, with log(-log) limits.
        """
        ages = [self._first_below(curve, 1 - share) for curve in (self.share, self.low, self.high)]
        return None if np.isinf(ages[0]) else Estimate(ages[0], ages[1], ages[2], self.n)

    def _first_below(self, curve: np.ndarray, level: float) -> float:
        below = np.flatnonzero(curve <= level + 1e-12)
        return float(self.age[below[0]]) if len(below) else np.inf


class Incidence(NamedTuple):
    """Cumulative incidence of each cause, just after each age at which something ended."""

    age: np.ndarray
    share: dict[str, np.ndarray]  # by cause
    se: dict[str, np.ndarray]
    n: int
    open_age: np.ndarray  # ages at which the watching of open cases stopped
    kept: np.ndarray  # share of the watching that goes on after each of those (Kaplan-Meier of censoring)

    def watched_until(self, n_least: int) -> float:
        """The age up to which at least `n_least` of the `n` cases would have been watched, had they not
        ended before; infinite where no case is open.

        References
        ----------
        Schemper, Smith (1996), Controlled Clinical Trials 17, 343-346: follow-up by the Kaplan-Meier
        estimate of censoring.
        """
        short = np.flatnonzero(self.n * self.kept < n_least)
        if self.n < n_least:
            return 0.0
        return float(self.open_age[short[0]]) if len(short) else np.inf

    def n_watched(self, age: float) -> int:
        """How many of the `n` cases would have been watched up to `age`, had they not ended before."""
        stopped = int(np.searchsorted(self.open_age, age, side="left"))
        return int(self.n * self.kept[stopped - 1] + 1e-9) if stopped else self.n

    @property
    def still_open(self) -> np.ndarray:
        return 1 - sum(self.share.values())

    def at(self, cause: str, age: float) -> Estimate:
        """The share ended by `cause` up to and with `age`, with a log(-log) interval.

        Where nobody or everybody has ended so, the spread cannot be estimated; the limits are then
        Wilson's for none or all of the cases that were watched so long.
        """
        before = np.searchsorted(self.age, age, side="right")
        if before == 0:
            return Estimate(0.0, *_extreme(0.0, self.n_watched(age)), self.n)
        share, se = float(self.share[cause][before - 1]), float(self.se[cause][before - 1])
        if share <= 0 or share >= 1 - 1e-12 or se == 0:
            return Estimate(share, *_extreme(share, self.n_watched(age)), self.n)
        low, high = _log_log(np.array([1 - share]), np.array([se]))
        return Estimate(share, float(1 - high[0]), float(1 - low[0]), self.n)

    def se_at(self, cause: str, age: float) -> float:
        before = np.searchsorted(self.age, age, side="right")
        return float(self.se[cause][before - 1]) if before else 0.0


def kaplan_meier(counts: pd.DataFrame) -> Survival:
    """The share not yet ended by age.

    Parameters
    ----------
    counts : columns age (any unit, 0 or more), n_ended, n_open; ages may repeat, in any order.

    Raises
    ------
    ValueError
        If there is no case, or an age is negative.

    References
    ----------
    Kaplan, Meier (1958), J. of the American Statistical Association 53, 457-481; variance by
    Greenwood (1926).
    """
    ages, table = _by_age(counts, ["n_ended", "n_open"])
    at_risk = _at_risk(table.sum(axis=1))
    ended = table[:, 0]
    here = ended > 0
    d, n = ended[here], at_risk[here]
    share = np.cumprod(1 - d / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        se = share * np.sqrt(np.cumsum(d / (n * (n - d))))
    low, high = _log_log(share, se)
    return Survival(ages[here], share, se, low, high, int(at_risk[0]), int(ended.sum()))


def medians(ages: np.ndarray, ended: np.ndarray, n_open: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kaplan-Meier medians of many groups at once, and their limits; infinite where the data do not reach them.

    Parameters
    ----------
    ages : rising. ended, n_open : a row for each group, a column for each age: how many ended, or were last seen open.

    References
    ----------
    See `kaplan_meier` and `Survival.quantile`, which give the same one by one.
    """
    at_risk = (ended + n_open)[:, ::-1].cumsum(axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.cumprod(np.where(at_risk > 0, 1 - ended / at_risk, 1.0), axis=1)
        growth = np.where(ended > 0, ended / (at_risk * (at_risk - ended)), 0.0)
        se = share * np.sqrt(growth.cumsum(axis=1))
    found = []
    for curve in (share, *_log_log(share, se)):
        below = (curve <= 0.5 + 1e-12) & (share < 1)
        found.append(np.where(below.any(axis=1), ages[below.argmax(axis=1)], np.inf))
    return found[0], found[1], found[2]


def aalen_johansen(counts: pd.DataFrame, causes: Mapping[str, str]) -> Incidence:
    """Cumulative incidence of competing ends, with open cases censored.

    Parameters
    ----------
    counts : columns age, n_open, and one with the number ended for each cause.
    causes : cause -> its column of `counts`.

    Returns
    -------
    Incidence
        At every age the shares of all causes and of what is still open sum to 1.

    Raises
    ------
    ValueError
        If there is no case, or an age is negative.

    References
    ----------
    Aalen, Johansen (1978), Scandinavian J. of Statistics 5, 141-150. Variance: the delta-method
    estimator of Marubini and Valsecchi (1995), as in R's cmprsk and in statsmodels.
    """
    ages, table = _by_age(counts, [*causes.values(), "n_open"])
    ended, n_open = table[:, :-1], table[:, -1]
    at_risk = _at_risk(table.sum(axis=1))
    here = ended.sum(axis=1) > 0
    d, n = ended[here], at_risk[here]
    total = d.sum(axis=1)
    open_after = np.cumprod(1 - total / n)
    open_before = np.concatenate([[1.0], open_after[:-1]])[: len(open_after)]
    share = {cause: np.cumsum(open_before * d[:, k] / n) for k, cause in enumerate(causes)}
    se = {cause: _incidence_se(share[cause], d[:, k], total, n, open_before) for k, cause in enumerate(causes)}
    stopped = n_open > 0
    kept = np.cumprod(1 - n_open[stopped] / (at_risk - ended.sum(axis=1))[stopped])
    return Incidence(ages[here], share, se, int(at_risk[0]), ages[stopped], kept)


def _incidence_se(share, d, total, n, open_before) -> np.ndarray:
    """Delta-method standard error, in one pass: sums over earlier ages of 1, share and share squared."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(n > total, total / (n * (n - total)), 0.0)
        own = open_before**2 * d * (n - d) / n**3
        cross = open_before * d / n**2
    variance = (
        share**2 * np.cumsum(spread)
        - 2 * share * np.cumsum(share * spread)
        + np.cumsum(share**2 * spread)
        + np.cumsum(own)
        - 2 * (share * np.cumsum(cross) - np.cumsum(share * cross))
    )
    return np.sqrt(np.clip(variance, 0, None))


def _by_age(counts: pd.DataFrame, columns: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The different ages, rising, and the sums of the columns at each."""
    ages, place = np.unique(counts["age"].to_numpy(), return_inverse=True)
    sums = [np.bincount(place, counts[column].to_numpy(), len(ages)) for column in columns]
    table = np.column_stack(sums) if len(ages) else np.empty((0, len(columns)))
    if table.sum() == 0:
        raise ValueError("no case to follow")
    if ages[0] < 0:
        raise ValueError(f"an age cannot be negative, got {ages[0]}")
    return ages, table


def _at_risk(leaving: np.ndarray) -> np.ndarray:
    return leaving[::-1].cumsum()[::-1]


def _log_log(share: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits of a survival on the log(-log) scale; 0 to 0 where nothing is left."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        width = _Z * se / (share * np.abs(np.log(share)))
        low, high = share ** np.exp(width), share ** np.exp(-width)
    return np.where(share > 0, low, 0.0), np.where(share > 0, high, 0.0)


def _extreme(share: float, n: int) -> tuple[float, float]:
    """Wilson's limits for none or all of `n`."""
    edge = _Z**2 / (n + _Z**2)
    return (0.0, edge) if share < 0.5 else (1 - edge, 1.0)


def p_of_equal_incidence(first: Incidence, second: Incidence, cause: str, age: float) -> float:
    """Two-sided p of two independent groups having one share ended by `cause` up to an age.

    A share of 0 or 1, whose own spread is estimated as nothing, is not certain: the spread is at least the binomial one
    of the pooled share, for such a share among the cases watched so long. Student's t with Welch's degrees of freedom
    by the cases watched so long, since the spread is itself an estimate, and rough where few were; the difference is
    corrected for shares going in steps of one case.

    References
    ----------
    Welch (1947), Biometrika 34, 28-35. Yates (1934), Supplement to the J. of the Royal Statistical Society 1, 217-235.
    """
    curves = (first, second)
    se = np.array([one.se_at(cause, age) for one in curves])
    value = np.array([one.at(cause, age).value for one in curves])
    n = np.array(
        [one.n if spread > 0 else one.n_watched(age) for one, spread in zip(curves, se, strict=True)], dtype=float
    )
    if n.sum() == 0:
        return 1.0
    pooled = float(np.clip(n @ value / n.sum(), 0, 1))
    spread = np.maximum(se, np.sqrt(pooled * (1 - pooled) / np.maximum(n, 1)))
    if not spread.any():
        return 1.0
    watched = np.array([one.n_watched(age) for one in curves], dtype=float)
    freedom = (spread**2).sum() ** 2 / (spread**4 / np.maximum(watched - 1, 1)).sum()
    apart = max(abs(value[0] - value[1]) - (1 / np.maximum(n, 1)).sum() / 2, 0.0)
    return float(2 * student.sf(apart / np.hypot(*spread), freedom))


def incidence_by_value(counts: pd.DataFrame, causes: Collection[str], cause: str, age: float) -> Estimate:
    """The share of money ended by `cause` up to `age`: Aalen-Johansen with each case weighing its amount.

    Parameters
    ----------
    counts : columns age, outcome (a cause or anything else for open), n, total and squares (sums of the amounts
        of these cases, and of their squares).
    causes : what ends a case, as outcomes.

    Returns
    -------
    Estimate
        With the infinitesimal jackknife's variance (each case's influence, squared and weighed by its squared
        amount), on the log(-log) scale; 0 to 1 where none or all of the money ended so.

    Raises
    ------
    ValueError
        If there is no money at all.

    References
    ----------
    Jaeckel (1972), The infinitesimal jackknife, Bell Laboratories; Therneau, Grambsch (2000), section 7.2.
    """
    n = int(counts["n"].sum())
    share, influence = _weighted_incidence(counts, causes, cause, age)
    if share <= 0 or share >= 1 - 1e-12:
        return Estimate(share, 0.0, 1.0, n)
    se = float(np.sqrt((influence**2 * counts["squares"].to_numpy(dtype=float)).sum()))
    low, high = _log_log(np.array([1 - share]), np.array([se]))
    return Estimate(share, float(1 - high[0]), float(1 - low[0]), n)


def weighted_se(counts: pd.DataFrame, causes: Collection[str], cause: str, age: float) -> tuple[float, float]:
    """The share ended by `cause` up to `age` with weighed cases, and its standard error; see `incidence_by_value`."""
    share, influence = _weighted_incidence(counts, causes, cause, age)
    return share, float(np.sqrt((influence**2 * counts["squares"].to_numpy(dtype=float)).sum()))


def mean_open(counts: pd.DataFrame, causes: Collection[str], until: int) -> tuple[float, float]:
    """The mean time that weighed cases are open within `until` units of age, and its standard error.

    The area under the share still open, by whole units of age; see `incidence_by_value` for `counts` and the variance.

    References
    ----------
    Irwin (1949), J. of Hygiene 47, 188-189: the restricted mean.
    """
    ended = counts.assign(outcome=counts["outcome"].where(~counts["outcome"].isin(list(causes)), "ended"))
    area, influence = 0.0, np.zeros(len(counts))
    for age in range(until):
        share, moves = _weighted_incidence(ended, ["ended"], "ended", age)
        area += 1 - share
        influence -= moves
    return area, float(np.sqrt((influence**2 * counts["squares"].to_numpy(dtype=float)).sum()))


def _weighted_incidence(
    counts: pd.DataFrame, causes: Collection[str], cause: str, age: float
) -> tuple[float, np.ndarray]:
    """The weighed Aalen-Johansen share, and what a unit more of weight of each row would do to it."""
    outcome, total = counts["outcome"].to_numpy(), counts["total"].to_numpy(dtype=float)
    if total.sum() <= 0 or (total < 0).any():
        raise ValueError("no share of a sum of nothing, or of sums below zero")
    ages, place = np.unique(counts["age"].to_numpy(), return_inverse=True)
    ended, mine = np.isin(outcome, list(causes)), outcome == cause
    d, d1 = (np.bincount(place, total * which, len(ages)) for which in (ended, mine))
    at_risk = _at_risk(np.bincount(place, total, len(ages)))
    with np.errstate(divide="ignore", invalid="ignore"):
        open_after = np.cumprod(np.where(at_risk > 0, 1 - d / at_risk, 1.0)).clip(0)
        open_before = np.concatenate([[1.0], open_after[:-1]])
        left = np.where(at_risk - d > 1e-9 * at_risk, at_risk - d, np.inf)  # nothing is left: nothing follows
        mass = np.where((ages <= age) & (at_risk > 0), open_before * d1 / at_risk, 0.0)
        growth = np.where(at_risk > 0, d / (at_risk * left), 0.0).cumsum()
        per_risk = np.where(at_risk > 0, mass / at_risk, 0.0)
        own = np.where(at_risk > 0, open_before / at_risk, 0.0)
    share = float(min(mass.sum(), 1.0))
    after = mass.sum() - mass.cumsum()  # what comes later than each age
    before = np.concatenate([[0.0], growth[:-1]])
    stay = np.cumsum(mass * before) + growth * after - np.cumsum(per_risk)  # of being watched up to an age
    influence = stay[place] - ended * after[place] / left[place] + mine * (ages <= age)[place] * own[place]
    return share, influence
