"""Regressions on counted cells of factors: a cell counts once, however many rows it stands for.

Rows that agree in every factor have the same likelihood, so that the sums over cells hold all that the rows say: the
same coefficients and errors as from single rows (McCullagh & Nelder 1989, Generalized Linear Models, section 4.4).
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

STEPS = 60
NEAR = 1e-9
SETTLED = 1e-7  # of the likelihood; one whole step more is then exact to rounding
FREE = 1e-10  # precision of what is not drawn to zero


class Factors(NamedTuple):
    """Cells and the level that each has of every factor.

    codes : (cells, factors), 0 to sizes - 1. sizes : levels of each factor. spreads : the standard deviation of each
    factor's effects, as believed before any row is seen; effects are drawn to zero by it, infinity leaves them free.
    """

    codes: np.ndarray
    sizes: tuple[int, ...]
    spreads: tuple[float, ...]


class Fitted(NamedTuple):
    """intercept, effects (one array per factor), precision: of intercept and effects in that order."""

    intercept: float
    effects: tuple[np.ndarray, ...]
    precision: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Of intercept and effects, in that order."""
        return cho_solve(cho_factor(self.precision), np.eye(len(self.precision)))

    def linear(self, codes: np.ndarray) -> np.ndarray:
        """The linear predictor of rows of codes."""
        return self.intercept + sum(effect[codes[:, k]] for k, effect in enumerate(self.effects))


def fit_logit(factors: Factors, n: np.ndarray, n_yes: np.ndarray, start: Fitted | None = None) -> Fitted:
    """Logistic regression of `n_yes` of `n` rows in each cell.

    Parameters
    ----------
    start : a fit of much the same cells, to begin from.

    Raises
    ------
    ValueError
        If there is no row, or it does not come to rest.
    """

    def moments(linear):
        p = expit(linear)
        return n_yes - n * p, n * p * (1 - p), float(n_yes @ linear - n @ np.logaddexp(0, linear))

    if not n.sum() > 0:
        raise ValueError("no row to fit")
    p = (n_yes.sum() + 0.5) / (n.sum() + 1)
    return _newton(factors, moments, float(np.log(p / (1 - p))), start)


def _newton(factors: Factors, moments, intercept: float, start: Fitted | None) -> Fitted:
    codes, sizes = factors.codes, factors.sizes
    ends = np.cumsum([1, *sizes])
    penalty = np.concatenate([[FREE], *(np.full(k, 1 / s**2 if np.isfinite(s) else FREE)
                                        for k, s in zip(sizes, factors.spreads, strict=True))])  # fmt: skip
    beta = np.zeros(ends[-1])
    beta[0] = intercept
    if start is not None:
        beta = np.concatenate([[start.intercept], *start.effects])
    columns = np.ascontiguousarray(codes.T)
    pairs = {(a, b): columns[a] * sizes[b] + columns[b] for a, b in combinations(range(len(sizes)), 2)}

    def look(beta):
        linear = beta[0] + sum(beta[ends[k] : ends[k + 1]][column] for k, column in enumerate(columns))
        residual, weight, likelihood = moments(linear)
        return residual, weight, likelihood - 0.5 * float(penalty @ beta**2)

    residual, weight, best = look(beta)
    for _step in range(STEPS):
        slope = _totals(columns, sizes, residual) - penalty * beta
        precision = _gram(columns, sizes, ends, pairs, weight) + np.diag(penalty)
        move = cho_solve(cho_factor(precision), slope)
        gain = float(move @ slope)
        if gain < SETTLED:  # twice what the likelihood can still rise by
            beta = beta + move
            effects = tuple(beta[ends[k] : ends[k + 1]] for k in range(len(sizes)))
            return Fitted(float(beta[0]), effects, precision)
        length = 1.0
        while length > NEAR:  # a whole step may overshoot; part of it never does
            residual, weight, value = look(beta + length * move)
            if value >= best + 1e-4 * length * gain - NEAR:
                break
            length /= 2
        beta, best = beta + length * move, value
    raise ValueError("the regression does not come to rest")


def _totals(columns: np.ndarray, sizes: Sequence[int], weight: np.ndarray) -> np.ndarray:
    sums = [np.bincount(column, weight, size) for column, size in zip(columns, sizes, strict=True)]
    return np.concatenate([[weight.sum()], *sums])


def _gram(columns: np.ndarray, sizes: Sequence[int], ends: np.ndarray, pairs: dict, weight: np.ndarray) -> np.ndarray:
    """Weighted sums of products of the indicator columns: counts of pairs of levels."""
    table = np.zeros((ends[-1], ends[-1]))
    table[0] = _totals(columns, sizes, weight)
    np.fill_diagonal(table, table[0])
    for (a, b), codes in pairs.items():
        block = np.bincount(codes, weight, sizes[a] * sizes[b]).reshape(sizes[a], sizes[b])
        table[ends[a] : ends[a + 1], ends[b] : ends[b + 1]] = block
    return np.triu(table) + np.triu(table, 1).T
