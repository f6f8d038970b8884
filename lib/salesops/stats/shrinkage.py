"""Many small rates at once: how much they differ beyond chance, and what each is worth believing."""

from typing import NamedTuple

import numpy as np
from scipy.special import betaln, expit, logit, psi
from scipy.stats import beta as beta_
from scipy.stats import norm

from salesops.stats import optima
from salesops.stats.proportions import LEVEL, Estimate

ALIKE = 1e4  # cases that the prior weighs, from which on the rates cannot be told apart
_GRID = np.linspace(0, 1, 401)
_Z = norm.ppf(0.5 + LEVEL / 2)


class Pooled(NamedTuple):
    """Rates of one family drawn to their common mean.

    mean : the common rate. weight : how many cases the common rate counts for; `ALIKE` or more where the
    rates differ no more than chance lets them. rates : Estimate each, with a 95 % credible interval.
    above : probability that each is above the common mean. best : that it is the highest of all.
    p : of all rates being equal (Tarone).
    """

    mean: float
    weight: float
    rates: list[Estimate]
    above: np.ndarray
    best: np.ndarray
    p: float


def pool_rates(n_yes: np.ndarray, n: np.ndarray) -> Pooled:
    """Rates drawn to a common mean, over all means and weights that the counts allow, by how likely each makes them.

    Parameters
    ----------
    n_yes, n : counts of each member of the family, at least two members with n > 0.

    Raises
    ------
    ValueError
        If fewer than two members have any case.

    References
    ----------
    Beta-binomial: Griffiths (1973), Biometrics 29, 637-648; integrated over its two numbers on a grid, as in Gelman et
    al. (2013), Bayesian Data Analysis, 3rd ed., section 5.3. Test of equal rates: Tarone (1979), Biometrika 66,
    585-590.
    """
    n_yes, n = np.asarray(n_yes, dtype=float), np.asarray(n, dtype=float)
    if (n > 0).sum() < 2:
        raise ValueError("a family of rates needs two members with cases")
    mean = float(n_yes.sum() / n.sum())
    means, weights, chances = _priors(n_yes, n)
    a = n_yes + (weights * means)[:, None]
    b = (n - n_yes) + (weights * (1 - means))[:, None]
    below = np.array([beta_.cdf(_GRID, x[:, None], y[:, None]) for x, y in zip(a, b, strict=True)])
    together = np.einsum("p,pmr->mr", chances, below)
    value = chances @ (a / (a + b))
    limits = [[float(np.interp(level, one, _GRID)) for one in together] for level in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    found = zip(value, *limits, n, strict=True)
    rates = [Estimate(float(x), min(low, float(x)), max(high, float(x)), int(of)) for x, low, high, of in found]
    above = chances @ beta_.sf(means[:, None], a, b)
    best = np.einsum("p,pm->m", chances, np.array([_best(one) for one in below]))
    return Pooled(mean, _weight(n_yes, n, mean), rates, above, best, _tarone(n_yes, n, mean))


def _priors(n_yes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and weights on a grid, and how probable the counts make each."""
    middle = (n_yes.sum() + 0.5) / (n.sum() + 1)
    spread = np.sqrt(1 / (n.sum() * middle * (1 - middle)) + 0.02)  # of its logit; wider where rates differ
    means = expit(logit(middle) + spread * np.linspace(-3, 3, 7))
    weights = np.exp(np.linspace(np.log(2), np.log(2000), 8))
    grid_mean, grid_weight = (x.ravel() for x in np.meshgrid(means, weights))
    a, b = grid_weight * grid_mean, grid_weight * (1 - grid_mean)
    logs = (betaln(a[:, None] + n_yes, b[:, None] + n - n_yes) - betaln(a, b)[:, None]).sum(axis=1)
    chances = np.exp(logs - logs.max())
    kept = chances > 0.01
    return grid_mean[kept], grid_weight[kept], chances[kept] / chances[kept].sum()


def _best(below: np.ndarray) -> np.ndarray:
    """The probability of being the highest, from each member's distribution over the grid of rates."""
    logs = np.log(np.clip(below, 1e-300, 1))
    steps, middle = np.diff(below, axis=1), (logs[:, 1:] + logs[:, :-1]) / 2
    chance = (steps * np.exp(middle.sum(axis=0) - middle)).sum(axis=1)
    return chance / chance.sum()


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

    def look(log_weight: np.ndarray) -> tuple[float, np.ndarray]:
        weight = float(np.exp(log_weight[0]))
        a, b = weight * mean, weight * (1 - mean)
        value = betaln(a + n_yes, b + n - n_yes) - betaln(a, b)
        slope = (
            a * (psi(a + n_yes) - psi(a)) + b * (psi(b + n - n_yes) - psi(b)) - weight * (psi(weight + n) - psi(weight))
        )
        return -float(np.sum(value)), -np.array([np.sum(slope)])

    edge = np.log(ALIKE)
    best = optima.lowest(look, [(1.0,), (4.0,)], 0.0, edge)
    return ALIKE if look(np.array([edge]))[0] <= best.value + 1e-9 else float(np.exp(best.x[0]))


def _tarone(n_yes: np.ndarray, n: np.ndarray, mean: float) -> float:
    """One-sided p of no spread beyond the binomial."""
    if mean in (0.0, 1.0) or (n * (n - 1)).sum() == 0:
        return 1.0
    spread = ((n_yes - n * mean) ** 2).sum() / (mean * (1 - mean))
    return float(norm.sf((spread - n.sum()) / np.sqrt(2 * (n * (n - 1)).sum())))


def pool_means(means: np.ndarray, errors: np.ndarray) -> list[Estimate]:
    """Means of one family drawn to their common mean, over all sizes of the differences between them.

    Parameters
    ----------
    means, errors : of each member, its mean and the standard error of that; two members at least.

    Returns
    -------
    list of Estimate
        With 95 % credible intervals; `n` is 0, for it is not known here.

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 5.4: normal means, flat on the common mean and on the
    standard deviation between members, integrated on a grid.
    """
    means, errors = np.asarray(means, dtype=float), np.asarray(errors, dtype=float)
    if len(means) < 2:
        raise ValueError("a family of means needs two members")
    between = np.linspace(0, 4 * max(float(means.std(ddof=1)), float(errors.max())), 200)[:, None]
    weights = 1 / (errors**2 + between**2)
    common = (weights * means).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    of_common = 1 / weights.sum(axis=1, keepdims=True)
    likely = 0.5 * (np.log(of_common) + np.log(weights).sum(axis=1, keepdims=True)
                    - (weights * (means - common) ** 2).sum(axis=1, keepdims=True))  # fmt: skip
    chances = np.exp(likely - likely.max())
    chances /= chances.sum()
    trust = between**2 / (between**2 + errors**2)
    centre = trust * means + (1 - trust) * common
    variance = trust * errors**2 + (1 - trust) ** 2 * of_common
    mean = (chances * centre).sum(axis=0)
    spread = np.sqrt((chances * (variance + (centre - mean) ** 2)).sum(axis=0))
    return [Estimate(float(m), float(m - _Z * s), float(m + _Z * s), 0) for m, s in zip(mean, spread, strict=True)]
