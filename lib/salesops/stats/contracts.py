"""How long customers with a contract stay: the shifted beta-geometric model, projected with intervals.

Each customer renews with a chance of their own, which does not change; chances differ from customer to customer as a
beta. Those who leave easily leave first, so that the rate of those who are left rises by itself: a constant rate of
churn, which most projections assume, falls short.

References
----------
Fader & Hardie (2007), Journal of Interactive Marketing 21(1), 76-90.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betaln

from salesops.stats import optima

LEAST_LEFT = 2  # periods in which somebody left, below which two parameters cannot be told apart
WIDE = 1e6
EDGE = 1e3
STARTS = ((0.0, 0.5), (-0.5, 1.5), (2.0, 3.0))


class Fit(NamedTuple):
    """alpha, beta : of the beta of chances to leave. log_likelihood."""

    alpha: float
    beta: float
    log_likelihood: float

    def survival(self, n_periods: int) -> np.ndarray:
        """Shares that are still there after 0, 1, ... periods."""
        t = np.arange(n_periods + 1)
        return np.exp(betaln(self.alpha, self.beta + t) - betaln(self.alpha, self.beta))

    def retention(self, n_periods: int) -> np.ndarray:
        """Of those there before a period, the share that is there after it: of the first, second, ... one."""
        t = np.arange(1, n_periods + 1)
        return (self.beta + t - 1) / (self.alpha + self.beta + t - 1)

    def expected(self, renewed: int, n_periods: int, discount: float = 0.0) -> float:
        """Payments to come of one who has renewed so often (the next one due now included), so many at most; each
        period's worth 1 / (1 + discount) of the one before."""
        t = np.arange(renewed, renewed + n_periods + 1)
        log_s = betaln(self.alpha, self.beta + t) - betaln(self.alpha, self.beta)
        weights = (1 + discount) ** -np.arange(1, n_periods + 1, dtype="float64")
        return float((np.exp(log_s[1:] - log_s[0]) * weights).sum())


def fit(left: np.ndarray, stayed: np.ndarray, *, near: Fit | None = None) -> Fit | None:
    """The most likely model of cohorts.

    Parameters
    ----------
    left : customers who left in their first, second, ... period. stayed : customers last seen there after so many
    periods (the first is after one), censored. Cohorts of different ages are added up. near : where to begin; without
    it, several places are tried.

    Returns
    -------
    None where fewer than `LEAST_LEFT` periods have anybody who left.
    """
    left, stayed = np.asarray(left, dtype="float64"), np.asarray(stayed, dtype="float64")
    if (left > 0).sum() < LEAST_LEFT:
        return None
    begun = np.cumsum((left + stayed)[::-1])[::-1]  # there when each period began
    renewed, k = begun - left, np.arange(len(left))

    def look(logs: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = np.exp(logs)
        leaves, all_ = a / (a + b + k), a + b + k
        value = left * np.log(leaves) + renewed * np.log1p(-leaves)
        by_a = left * (b + k) / all_ - renewed * leaves
        by_b = b / all_ * (renewed * a / (b + k) - left)
        return -float(value.sum()), -np.array([by_a.sum(), by_b.sum()])

    # A model at the edge (everybody alike) is a place from which no search comes back.
    starts = [np.log(near[:2])] if near and max(near[:2]) < EDGE else STARTS
    best = optima.lowest(look, starts, -8.0, np.log(WIDE))
    a, b = np.exp(best.x)
    return Fit(float(a), float(b), -best.value)


def draw_survivors(
    made: Fit, left: np.ndarray, stayed: np.ndarray, there: int, age: int, n_periods: int, *, n_draws: int, seed: int
) -> np.ndarray:
    """(draws, n_periods + 1): how many of a cohort that has `there` customers left at an age will be there after 0, 1,
    ... more periods: the model fitted again to data drawn from it (its parameters are not known well), and who leaves
    left to chance. left, stayed : what it was fitted to."""
    left, stayed = np.asarray(left), np.asarray(stayed)
    rng = np.random.default_rng(seed)
    n_ages = len(left)
    watched, base = _watched(left, stayed), made.survival(n_ages)
    counts = np.empty((n_draws, n_periods + 1), dtype="int64")
    counts[:, 0] = there
    for row in counts:
        gone, still = np.zeros(n_ages), np.zeros(n_ages)
        for until, size in enumerate(watched, 1):
            p = np.append(base[:until] - base[1 : until + 1], base[until])
            drawn = rng.multinomial(int(size), p / p.sum())
            gone[:until] += drawn[:-1]
            still[until - 1] += drawn[-1]
        again = fit(gone, still, near=made) or made
        stays = again.retention(age + n_periods)[age:]
        for t in range(n_periods):
            row[t + 1] = rng.binomial(row[t], stays[t])
    return counts


def _watched(left: np.ndarray, stayed: np.ndarray) -> np.ndarray:
    """Customers by how many periods they were watched, those who left spread as those who stayed at that age or
    later."""
    watched = stayed.astype("float64").copy()
    for k in range(len(left)):
        later = stayed[k:].astype("float64")
        if later.sum():
            watched[k:] += left[k] * later / later.sum()
        else:
            watched[-1] += left[k]
    return np.round(watched)
