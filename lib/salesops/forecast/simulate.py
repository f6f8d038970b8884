"""The roll-up: the quarter drawn many times over, deal by deal, with what all deals have in common.

Deals of one quarter are not independent: a common shock moves all their chances on the logit. Its size is not known but
judged by the errors of earlier forecasts, and drawn anew each time. Totals of regions, teams and segments are added up
from the same draws, so that they agree.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import norm

LEVELS = 65  # of the shock, each as likely as the others
CHUNK = 256  # draws at once
PARTS = 1024  # of a unit of money, to which what a deal is won for is rounded
CENTRED = 4  # Newton steps; the mean chance is then right to its sixth digit under any shock met
SHOCKS = np.linspace(0.0, 1.5, 151)  # sizes that are thought possible
USUAL_SHOCK = 0.12  # half-Cauchy scale of what is believed beforehand


class Shock(NamedTuple):
    """How likely each size of the common shock is, on `SHOCKS`; n : past forecasts that speak of it. doubt : standard
    deviation, on the same scale, of the level of all chances, for want of wins to learn it from."""

    chances: np.ndarray
    n: int
    doubt: float = 0.0

    @property
    def size(self) -> float:
        """The size that is as likely to be too small as too large."""
        return float(np.interp(0.5, np.cumsum(self.chances), SHOCKS))

    def levels(self, n: int) -> np.ndarray:
        """`n` equally likely values of the shock, rising."""
        grid, below = _normals(round(self.doubt, 3))
        return np.interp((np.arange(n) + 0.5) / n, below @ self.chances, grid)


@lru_cache(maxsize=64)
def _normals(doubt: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of the shock, and the chance of less by size: (values, sizes)."""
    grid = np.linspace(-6, 6, 1201)
    return grid, norm.cdf(grid[:, None] / np.maximum(np.hypot(SHOCKS, doubt), 1e-3))


def judge_shock(errors: np.ndarray, slopes: np.ndarray, noises: np.ndarray, doubt: float = 0.0) -> Shock:
    """The size of the common shock from earlier forecasts.

    Parameters
    ----------
    errors : actual less forecast. slopes : by how much a forecast moves with the shock. noises : variance that each
    would have had without any shock.

    References
    ----------
    Half-Cauchy for a spread of few groups: Gelman (2006), Bayesian Analysis 1, 515-534.
    """
    prior = -np.log1p((SHOCKS / USUAL_SHOCK) ** 2)
    told = noises > 0  # where nothing was open or expected, nothing is said of the shock
    errors, slopes, noises = errors[told], slopes[told], noises[told]
    variance = noises[:, None] + (slopes[:, None] * SHOCKS) ** 2
    likely = prior - 0.5 * (np.log(variance) + errors[:, None] ** 2 / variance).sum(axis=0)
    chances = np.exp(likely - likely.max())
    return Shock(chances / chances.sum(), len(errors), doubt)


NO_SHOCK = Shock(np.eye(len(SHOCKS))[0], 0)


class Part(NamedTuple):
    """What may still be won: open deals, and deals to come.

    p, amounts : of open deals, the chance to be won in time and the amount then expected (whole units). atoms : the
    number of the finest unit that each belongs to. amount_spread : of what each is won for, relative.
    unborn : (atoms, 3) of deals to come: wins expected, mean amount of one, mean of its square. scatter : relative
    standard deviation of how many come in, beyond chance. share : of deals to come that are won in time.
    """

    p: np.ndarray
    amounts: np.ndarray
    atoms: np.ndarray
    amount_spread: np.ndarray
    unborn: np.ndarray
    scatter: float
    share: float

    def whole(self) -> "Part":
        """The same of one unit, where only the total is asked for."""
        mean = self.unborn[:, :1]
        cells = np.concatenate([mean, mean * self.unborn[:, 1:]], axis=1).sum(axis=0)
        cells[1:] /= max(cells[0], 1e-12)
        return self._replace(atoms=np.zeros_like(self.atoms), unborn=cells[None])

    @property
    def means(self) -> np.ndarray:
        """Amount expected of each unit."""
        return np.bincount(self.atoms, self.p * self.amounts, len(self.unborn)) + self.unborn[:, 0] * self.unborn[:, 1]

    @property
    def mean(self) -> float:
        return float(self.means.sum())

    @property
    def noise(self) -> float:
        """Variance of the total that is left without any common shock."""
        own = self.p * self.amounts**2 * (1 - self.p + self.amount_spread**2)
        come = self.unborn[:, 0] @ self.unborn[:, 1]
        return float(own.sum() + self.unborn[:, 0] @ self.unborn[:, 2] + (self.scatter * come) ** 2)

    @property
    def slope(self) -> float:
        """By how much the total moves with the shock."""
        come = self.unborn[:, 0] @ self.unborn[:, 1]
        return float((self.p * (1 - self.p)) @ self.amounts + (1 - self.share) * come)


def roll_up(part: Part, shock: Shock, *, n_draws: int, seed: int) -> np.ndarray:
    """Draw what is won from here to the quarter's end, whole units: (n_draws, atoms)."""
    rng = np.random.default_rng(seed)
    level = np.sort(rng.integers(0, LEVELS, n_draws))
    values = shock.levels(LEVELS)
    n_atoms = len(part.unborn)
    order = np.argsort(part.atoms, kind="stable")
    logits, amounts = _centred(part.p[order], values), part.amounts[order]
    belongs = np.eye(n_atoms)[part.atoms[order]]
    log_spread = np.sqrt(np.log1p(part.amount_spread[order] ** 2))
    totals = np.zeros((n_draws, n_atoms))
    uniform = np.empty((CHUNK, len(logits)), dtype="float32")
    for k in np.unique(level):
        chance = (1 / (1 + np.exp(-(logits + values[k])))).astype("float32")
        first, last = np.searchsorted(level, [k, k + 1])
        for start in range(first, last, CHUNK):
            stop = min(start + CHUNK, last)
            here = uniform[: stop - start]
            rng.random(out=here, dtype="float32")
            np.less(here, chance, out=here, casting="unsafe")  # 1 where won, in the place of the random number
            # What deals are won for is drawn once for some draws together: each of them alone is as it should be.
            worth = amounts * np.exp(log_spread * rng.standard_normal(len(logits)) - log_spread**2 / 2)
            # Whole multiples of one over a power of two add up exactly, in whatever order a processor adds them.
            totals[start:stop] = here.astype("float64") @ (belongs * (np.round(worth * PARTS) / PARTS)[:, None])
    if part.unborn[:, 0].any():
        totals += _unborn(rng, part, values[level])
    return totals


def _centred(p: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Logits whose chances are `p` on average over the values of the shock, which alone would draw them to a half."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    logits = np.log(p) - np.log1p(-p)
    for _step in range(CENTRED):
        chances = expit(logits + values[:, None])
        logits = logits - (chances.mean(axis=0) - p) / np.maximum((chances * (1 - chances)).mean(axis=0), 1e-12)
    return logits


def _unborn(rng: np.random.Generator, part: Part, shock: np.ndarray) -> np.ndarray:
    """Amounts of deals to come, by draw and atom: a Poisson number of wins, their sum by its mean and variance
    (gamma)."""
    mean, amount, square = part.unborn.T
    spread = np.sqrt(np.log1p(part.scatter**2))
    common = np.exp(spread * rng.standard_normal(len(shock)) - spread**2 / 2 + shock * (1 - part.share))
    common *= len(shock) / common.sum()
    n = rng.poisson(common[:, None] * mean)
    variance = np.maximum(square - amount**2, 0)
    shape = np.divide(amount**2, variance, out=np.full(len(mean), 1e6), where=variance > 1e-6 * amount**2)
    drawn = rng.gamma(np.maximum(n * shape, 1e-12))
    return np.where(n > 0, drawn * (amount / shape), 0.0)
