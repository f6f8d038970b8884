"""Many small rates at once: how much they differ beyond chance, and what each is worth believing."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaln
from scipy.stats import beta as beta_
from scipy.stats import norm

from salesops.stats.proportions import LEVEL, Estimate

ALIKE = 1e4  # cases that the prior weighs, from which on the rates cannot be told apart
_GRID = np.linspace(0, 1, 2001)


class Pooled(NamedTuple):
    """Rates of one family drawn to their common mean.

    mean : the common rate. weight : how many cases the common rate counts for; `ALIKE` or more where the
    rates differ no more than chance lets them. rates : Estimate each, with a 95 % credible interval.
    p : of all rates being equal (Tarone).
    """

    mean: float
    weight: float
    rates: list[Estimate]
    p: float


def pool_rates(n_yes: np.ndarray, n: np.ndarray) -> Pooled:
    """Empirical-Bayes rates: each is (yes + weight * mean) / (n + weight).

    Parameters
    ----------
    n_yes, n : counts of each member of the family, at least two members with n > 0.

    Raises
    ------
    ValueError
        If fewer than two members have any case.

    References
    ----------
    Beta-binomial by maximum likelihood at the pooled mean: Griffiths (1973), Biometrics 29, 637-648. Test of equal
    rates: Tarone (1979), Biometrika 66, 585-590.
    """
    n_yes, n = np.asarray(n_yes, dtype=float), np.asarray(n, dtype=float)
    if (n > 0).sum() < 2:
        raise ValueError("a family of rates needs two members with cases")
    mean = float(n_yes.sum() / n.sum())
    weight = _weight(n_yes, n, mean)
    rates = drawn_together(n_yes, n, mean, weight)
    return Pooled(mean, weight, rates, _tarone(n_yes, n, mean))


def drawn_together(n_yes: np.ndarray, n: np.ndarray, mean: float, weight: float) -> list[Estimate]:
    """Rates drawn to a mean that counts for `weight` cases, each with its 95 % credible interval."""
    n_yes, n = np.asarray(n_yes, dtype=float), np.asarray(n, dtype=float)
    a, b = n_yes + weight * mean, n - n_yes + weight * (1 - mean)
    if mean in (0.0, 1.0):  # nothing to draw to but the edge: half a case on either side
        a, b = n_yes + 0.5, n - n_yes + 0.5
    limits = [beta_.ppf(level, a, b) for level in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    found = zip(a / (a + b), *limits, n, strict=True)
    return [Estimate(float(value), float(low), float(high), int(of)) for value, low, high, of in found]


def _weight(n_yes: np.ndarray, n: np.ndarray, mean: float) -> float:
    if mean in (0.0, 1.0):
        return ALIKE

    def unlikely(log_weight: float) -> float:
        a, b = np.exp(log_weight) * mean, np.exp(log_weight) * (1 - mean)
        return -float(np.sum(betaln(a + n_yes, b + n - n_yes) - betaln(a, b)))

    best = minimize_scalar(unlikely, bounds=(0.0, np.log(ALIKE)), method="bounded", options={"xatol": 1e-6})
    edge = np.log(ALIKE)
    return ALIKE if unlikely(edge) <= best.fun + 1e-9 else float(np.exp(best.x))


def _tarone(n_yes: np.ndarray, n: np.ndarray, mean: float) -> float:
    """One-sided p of no spread beyond the binomial."""
    if mean in (0.0, 1.0) or (n * (n - 1)).sum() == 0:
        return 1.0
    spread = ((n_yes - n * mean) ** 2).sum() / (mean * (1 - mean))
    return float(norm.sf((spread - n.sum()) / np.sqrt(2 * (n * (n - 1)).sum())))


def chance_of_best(pooled: Pooled) -> np.ndarray:
    """For each member, the probability that its rate is the highest of all, by quadrature over the posteriors."""
    a, b = _shapes(pooled)
    logs = np.log(np.clip(np.array([beta_.cdf(_GRID, x, y) for x, y in zip(a, b, strict=True)]), 1e-300, 1))
    steps = np.diff(np.exp(logs), axis=1)
    middle = (logs[:, 1:] + logs[:, :-1]) / 2
    others = middle.sum(axis=0) - middle
    chance = (steps * np.exp(others)).sum(axis=1)
    return chance / chance.sum()


def chance_above(pooled: Pooled) -> np.ndarray:
    """For each member, the probability that its rate is above the family's mean."""
    a, b = _shapes(pooled)
    return beta_.sf(pooled.mean, a, b)


def _shapes(pooled: Pooled) -> tuple[np.ndarray, np.ndarray]:
    """The posteriors' two numbers, from their means and weights."""
    n = np.array([rate.n for rate in pooled.rates], dtype=float)
    total = n + (1.0 if pooled.mean in (0.0, 1.0) else pooled.weight)
    value = np.array([rate.value for rate in pooled.rates])
    return value * total, (1 - value) * total
