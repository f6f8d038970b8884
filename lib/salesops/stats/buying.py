"""Customers who come back when they like: how often, whether they are still customers, and for how much.

BG/NBD (times of purchases), BG/BB (occasions at which one buys or not) and gamma-gamma (amounts). A customer buys at a
rate of their own until they stop for good, which nobody sees; who has been silent for long by their own measure has
probably stopped.

References
----------
Fader, Hardie & Lee (2005), Marketing Science 24(2), 275-284 (BG/NBD). Fader, Hardie & Shang (2010), Marketing Science
29(6), 1086-1108 (BG/BB). Fader & Hardie (2013), The gamma-gamma model of monetary value.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, betaln, expit, gammaln, hyp2f1, psi

from salesops.stats import optima

LEAST = 50  # customers, and repeat buyers for amounts, below which nothing is fitted
BOUND = 20.0  # of logarithms of parameters
NODES = 100  # of a mean over chances to stop


class Rates(NamedTuple):
    """BG/NBD. r, alpha : gamma of rates of buying. a, b : beta of the chance to stop after a purchase."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    def alive(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The chance that each is still a customer; who has never bought again has had no occasion to stop."""
        log_odds = (self.r + x) * np.log((self.alpha + t) / (self.alpha + t_x)) + np.log(self.a) - np.log(
            self.b + np.maximum(x, 1) - 1
        )  # fmt: skip
        return np.where(x > 0, 1 / (1 + np.exp(np.minimum(log_odds, 700))), 1.0)

    def silence(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The chance that one who has bought so often, and has not stopped, is silent for so long or longer: the last
        of
        x purchases, each at any moment alike, lies so early. Of who has never come back, that one has not."""
        never = (self.alpha / (self.alpha + t)) ** self.r
        return np.where(x > 0, (t_x / np.maximum(t, 1e-12)) ** x, never)

    def expected(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, horizon: float) -> np.ndarray:
        """Purchases of each in the time to come."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        with np.errstate(invalid="ignore", over="ignore"):
            share = hyp2f1(r + x, b + x, a + b + x - 1, horizon / (alpha + t + horizon))
            gone = ((alpha + t) / (alpha + t + horizon)) ** (r + x) * share
        base = (a + b + x - 1) / (a - 1) * (1 - gone)
        odds = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + t) / (alpha + t_x)) ** (r + x), 0.0)
        with np.errstate(invalid="ignore"):
            found = base / (1 + odds)
        beyond = ~np.isfinite(found) | (found < 0) | (found > (r + x) / (alpha + t) * horizon * (1 + 1e-6))
        if beyond.any():  # where customers are all alike, the series runs out of digits
            rest = tuple(np.broadcast_to(one, found.shape)[beyond] for one in (x, t_x, t))
            found = np.array(found, dtype="float64")
            found[beyond] = self._expected_by_nodes(*rest, horizon)
        return found

    def _expected_by_nodes(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, horizon: float) -> np.ndarray:
        """The same expectation, its mean over chances to stop taken at equally likely ones."""
        keys, place = np.unique(np.column_stack([x, t_x, t]), axis=0, return_inverse=True)
        kx, kt_x, kt = (one[:, None] for one in keys.T)
        chance = np.maximum(betaincinv(self.a, self.b + kx, (np.arange(NODES) + 0.5) / NODES), 1e-300)
        times = -np.expm1(-(self.r + kx) * np.log1p(chance * horizon / (self.alpha + kt))) / chance
        return (self.alive(kx, kt_x, kt)[:, 0] * times.mean(axis=1))[place.ravel()]

    def expected_new(self, horizon: np.ndarray | float) -> np.ndarray:
        """Repeat purchases of a new customer in a time."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        t = np.asarray(horizon, dtype="float64")
        share = hyp2f1(r, b, a + b - 1, t / (alpha + t))
        return (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t)) ** r * share)


def rates_likelihood(x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> optima.Look:
    """Minus the log-likelihood of the BG/NBD and its slope, by the logarithms of r, alpha, a, b; see `fit_rates`.

    Ratios of gamma functions are products over purchases, which keep their digits where customers are all alike and
    parameters are great.
    """
    keys, n = np.unique(np.column_stack([x, t_x, t]).astype("float64"), axis=0, return_counts=True)
    x, t_x, t = keys.T
    times, back = x.astype("int64"), x > 0
    k, last = np.arange(times.max(initial=0)), np.maximum(x, 1) - 1

    def sums(terms: np.ndarray) -> np.ndarray:
        return np.concatenate([[0.0], np.cumsum(terms)])[times]

    def look(logs: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, a, b = np.exp(logs)
        apart = np.log1p((t - t_x) / (alpha + t_x))
        log_odds = np.where(back, np.log(a) - np.log(b + last) + (r + x) * apart, -np.inf)
        buys = sums(np.log(r + k)) - x * np.log(alpha + t) - r * np.log1p(t / alpha)
        value = buys - sums(np.log1p(a / (b + k))) + np.logaddexp(0, log_odds)
        gone = expit(log_odds)
        slope = (
            r * (sums(1 / (r + k)) - np.log1p(t / alpha) + gone * apart),
            (r * t - x * alpha) / (alpha + t) - gone * (r + x) * alpha * (t - t_x) / ((alpha + t) * (alpha + t_x)),
            gone - sums(a / (a + b + k)),
            sums(a * b / ((b + k) * (a + b + k))) - gone * b / (b + last),
        )
        return -float((n * value).sum()), -np.array([(n * one).sum() for one in slope])

    return look


def fit_rates(x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> Rates | None:
    """The most likely BG/NBD.

    Parameters
    ----------
    x : repeat purchases of each customer. t_x : time of the last one since the first purchase; 0 where none. t : time
    that each was watched since the first purchase. All in one unit of time.

    Returns
    -------
    None of fewer than `LEAST` customers, or where nobody has come back.
    """
    x, t_x, t = (np.asarray(one, dtype="float64") for one in (x, t_x, t))
    if len(x) < LEAST or not (x > 0).any():
        return None
    scale = np.log(max(float(t.mean()), 1e-9))
    starts = [(0.0, scale, 0.0, 0.5), (-1.0, scale - 1.5, -0.3, 1.0), (0.5, scale - 0.5, -2.0, 0.0)]
    best = optima.lowest(rates_likelihood(x, t_x, t), starts, -BOUND, BOUND)
    return Rates(*map(float, np.exp(best.x)), -best.value)


class Occasions(NamedTuple):
    """BG/BB. alpha, beta : of the chance to buy at an occasion. gamma, delta : of the chance to stop before one."""

    alpha: float
    beta: float
    gamma: float
    delta: float
    log_likelihood: float

    def alive(self, x: np.ndarray, t_x: np.ndarray, n: np.ndarray) -> np.ndarray:
        """The chance to be there at the occasion after the last one watched."""
        log_l = _occasion_likelihood((self.alpha, self.beta, self.gamma, self.delta), x, t_x, n)
        there = betaln(self.alpha + x, self.beta + n - x) - betaln(self.alpha, self.beta)
        there = there + betaln(self.gamma, self.delta + n + 1) - betaln(self.gamma, self.delta)
        return np.exp(there - log_l)

    def expected(self, x: np.ndarray, t_x: np.ndarray, n: np.ndarray, horizon: int) -> np.ndarray:
        """Purchases of each at the next so many occasions."""
        a, b, g, d = self.alpha, self.beta, self.gamma, self.delta
        log_l = _occasion_likelihood((a, b, g, d), x, t_x, n)
        buys = betaln(a + x + 1, b + n - x) - betaln(a, b)
        stays = np.exp(gammaln(g + d) - gammaln(1 + d)) * (
            np.exp(gammaln(1 + d + n) - gammaln(g + d + n))
            - np.exp(gammaln(1 + d + n + horizon) - gammaln(g + d + n + horizon))
        )  # fmt: skip
        return np.exp(buys - log_l) * d / (g - 1) * stays


def fit_occasions(x: np.ndarray, t_x: np.ndarray, n: np.ndarray, weights: np.ndarray | None = None) -> Occasions | None:
    """The most likely BG/BB.

    Parameters
    ----------
    x : occasions at which each bought. t_x : the last of them; 0 where none. n : occasions watched. weights :
    customers of each row; one without.
    """
    x, t_x, n = (np.asarray(one, dtype="int64") for one in (x, t_x, n))
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, dtype="float64")
    if weights.sum() < LEAST or not (x > 0).any():
        return None
    keys, place = np.unique(np.column_stack([x, t_x, n]), axis=0, return_inverse=True)
    many = np.bincount(place.ravel(), weights=weights)

    def look(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _occasion_slopes(np.exp(logs), *keys.T)
        return -float((many * value).sum()), -(many * slope).sum(axis=1)

    starts = [(0.0, 0.0, 0.0, 0.5), (0.0, 0.0, -0.7, 1.0), (0.7, 0.7, -1.0, 0.0)]
    best = optima.lowest(look, starts, -BOUND, BOUND)
    return Occasions(*map(float, np.exp(best.x)), -best.value)


def _occasion_likelihood(parameters, x: np.ndarray, t_x: np.ndarray, n: np.ndarray) -> np.ndarray:
    return _occasion_slopes(parameters, x, t_x, n)[0]


def _occasion_slopes(parameters, x: np.ndarray, t_x: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log-likelihood of each, and (4, customers) its slope by the logarithms of the parameters."""
    a, b, g, d = parameters

    def ways(bought: np.ndarray, missed: np.ndarray, stopped: int, stayed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = betaln(a + bought, b + missed) - betaln(a, b) + betaln(g + stopped, d + stayed) - betaln(g, d)
        both, all_ = psi(a + b + bought + missed) - psi(a + b), psi(g + d + stopped + stayed) - psi(g + d)
        slope = (a * (psi(a + bought) - psi(a) - both), b * (psi(b + missed) - psi(b) - both),
                 g * (psi(g + stopped) - psi(g) - all_), d * (psi(d + stayed) - psi(d) - all_))  # fmt: skip
        return value, np.array(slope)

    total, slope = ways(x, n - x, 0, n)
    longest = int((n - t_x).max()) if len(n) else 0
    for k in range(longest):  # stopped after occasion t_x + k
        here = k <= n - t_x - 1
        one, its_slope = ways(x, t_x - x + k, 1, t_x + k)
        both = np.logaddexp(total, one)
        slope = np.where(here, slope * np.exp(total - both) + its_slope * np.exp(one - both), slope)
        total = np.where(here, both, total)
    return total, slope


class Amounts(NamedTuple):
    """Gamma-gamma. p, q, v : of the amounts of one's purchases, and of their means over customers."""

    p: float
    q: float
    v: float
    log_likelihood: float

    def expected(self, x: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """The mean amount of each: one's own, drawn towards everybody's; x : purchases that `mean` is of."""
        x, mean = np.asarray(x, dtype="float64"), np.asarray(mean, dtype="float64")
        everybody = self.v * self.p / (self.q - 1)
        trust = self.p * x / (self.p * x + self.q - 1)
        return (1 - trust) * everybody + trust * np.where(x > 0, mean, 0.0)


def fit_amounts(x: np.ndarray, mean: np.ndarray) -> Amounts | None:
    """The most likely gamma-gamma of repeat buyers: purchases (above 0) and their mean amount (above 0)."""
    x, mean = np.asarray(x, dtype="float64"), np.asarray(mean, dtype="float64")
    known = (x > 0) & (mean > 0)
    x, mean = x[known], mean[known]
    if len(x) < LEAST:
        return None
    scale = float(mean.mean())
    z = mean / scale  # so that the search is alike in every currency

    def look(logs: np.ndarray) -> tuple[float, np.ndarray]:
        p, q, v = np.exp(logs)
        all_ = np.log(x * z + v)
        value = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v)
        value = value + (p * x - 1) * np.log(z) + p * x * np.log(x) - (p * x + q) * all_
        both = psi(p * x + q)
        slope = (p * x * (both - psi(p * x) + np.log(z) + np.log(x) - all_), q * (both - psi(q) + np.log(v) - all_),
                 q - (p * x + q) * v / (x * z + v))  # fmt: skip
        return -float(value.sum()), -np.array([one.sum() for one in slope])

    best = optima.lowest(look, [(1.0, 1.0, -1.0), (0.0, 0.5, 0.0), (2.0, 1.5, -1.5)], -BOUND, BOUND)
    p, q, v = np.exp(best.x)
    return Amounts(float(p), float(q), float(v * scale), -best.value - len(x) * float(np.log(scale)))
