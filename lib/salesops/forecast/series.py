"""Monthly series forecast by their own past, all at once: what months would bring if nothing were known of deals.

Every function takes series as the rows of one array and forecasts them together, so that a backtest of many origins
costs little more than one forecast.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm, qmc

SEASON = 12
ROUNDS = 7
CANDIDATES = 32
COARSE = 4  # rounds on a grid, before a parabola
APART = 1e-4  # between the values that it is laid through
LEAST = 1e-4  # weight of a level
SHRINK = 0.55  # of the box that is searched, from round to round
SURE = float(norm.ppf(0.95))  # of a season, two-sided at 10 %, as in the M3 competition's Theta


class Smoothed(NamedTuple):
    """forecasts : (series, steps). sse : sum of squared one-step errors. weights : (series, k) what was chosen."""

    forecasts: np.ndarray
    sse: np.ndarray
    weights: np.ndarray


def naive(values: np.ndarray, steps: int) -> np.ndarray:
    """The last value again."""
    return np.repeat(values[:, -1:], steps, axis=1)


def seasonal_naive(values: np.ndarray, steps: int, season: int = SEASON) -> np.ndarray:
    """The value of a season before; the last one where there is no whole season."""
    if values.shape[1] < season:
        return naive(values, steps)
    return np.tile(values[:, -season:], (1, -(-steps // season)))[:, :steps]


def indices(values: np.ndarray, season: int = SEASON) -> np.ndarray:
    """Multiplicative seasonal indices by position from the first value, mean 1; ones where no season shows.

    Ratios to the centred moving average, averaged. A season shows where the autocorrelation at its lag is beyond its
    90 % limits, and where every value is above zero.

    References
    ----------
    Assimakopoulos & Nikolopoulos (2000), International Journal of Forecasting 16, 521-530.
    """
    n_series, n = values.shape
    found = np.ones((n_series, season))
    if season < 2 or n < 2 * season:
        return found
    centred = values - values.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    lags = np.stack([(centred[:, k:] * centred[:, :-k]).sum(axis=1) for k in range(1, season + 1)], axis=1)
    lags = np.divide(lags, total[:, None], out=np.zeros_like(lags), where=total[:, None] > 0)
    limit = SURE * np.sqrt((1 + 2 * (lags[:, :-1] ** 2).sum(axis=1)) / n)
    shows = (np.abs(lags[:, -1]) > limit) & (values > 0).all(axis=1)
    weights = np.ones(season + 1) if season % 2 == 0 else np.ones(season)
    weights[[0, -1]] = 0.5 if season % 2 == 0 else 1.0
    windows = np.lib.stride_tricks.sliding_window_view(values, len(weights), axis=1)
    trend = windows @ (weights / weights.sum())
    half = len(weights) // 2
    inside = values[:, half : half + trend.shape[1]]
    ratios = np.divide(inside, trend, out=np.ones_like(trend), where=trend > 0)
    at = (np.arange(trend.shape[1]) + half) % season
    means = np.stack([ratios[:, at == k].mean(axis=1) for k in range(season)], axis=1)
    means /= means.mean(axis=1, keepdims=True)
    found[shows] = means[shows]
    return found


def theta(values: np.ndarray, steps: int, season: int = SEASON) -> Smoothed:
    """The Theta method: exponential smoothing with half the slope of the trend as its drift, seasonally adjusted.

    References
    ----------
    Hyndman & Billah (2003), International Journal of Forecasting 19, 287-290.
    """
    n = values.shape[1]
    index = indices(values, season)
    adjusted = values / index[:, np.arange(n) % season]
    time = np.arange(n) - (n - 1) / 2
    slope = adjusted @ time / (time @ time)
    low, high = np.full(len(values), LEAST), np.full(len(values), 1 - LEAST)
    for _round in range(COARSE):
        grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, CANDIDATES)
        _level, sse = _smooth(adjusted, grid)
        best = sse.argmin(axis=1)
        width = (high - low) / (CANDIDATES - 1)
        alpha = np.take_along_axis(grid, best[:, None], axis=1)[:, 0]
        low, high = np.maximum(alpha - width, LEAST), np.minimum(alpha + width, 1 - LEAST)
    alpha = _at_vertex(adjusted, alpha)
    level, sse = (part[:, 0] for part in _smooth(adjusted, alpha[:, None]))
    ahead = np.arange(steps) + ((1 - (1 - alpha) ** n) / alpha)[:, None]
    forecasts = level[:, None] + 0.5 * slope[:, None] * ahead
    return Smoothed(forecasts * index[:, (n + np.arange(steps)) % season], sse, np.column_stack([alpha, slope]))


def _at_vertex(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Weights at the lowest points of parabolas about the best of a grid: a finer grid would choose by rounding."""
    for _step in range(2):
        _level, (left, here, right) = (
            part.T for part in _smooth(values, alpha[:, None] + APART * np.array([-1, 0, 1]))
        )
        bend = left - 2 * here + right
        move = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
        alpha = np.clip(alpha + APART * np.clip(move, -1, 1), LEAST, 1 - LEAST)
    return alpha


def _smooth(values: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last level and sum of squared one-step errors of simple exponential smoothing, from the first value on."""
    level = np.repeat(values[:, :1], alpha.shape[1], axis=1)
    sse = np.zeros_like(level)
    for t in range(values.shape[1]):
        error = values[:, t : t + 1] - level
        sse += error**2
        level = level + alpha * error
    return level, sse


def damped(values: np.ndarray, steps: int, season: int = SEASON) -> Smoothed:
    """Exponential smoothing with a damped trend, ETS(A,Ad,N), of seasonally adjusted series; of their logarithms where
    every value is above zero, so that trend and season are factors.

    The weights of level, trend and damping that leave the least squared one-step errors, searched in a box that shrinks
    around the best (Sobol points). `sse` is of the logarithms where these were taken.

    References
    ----------
    Gardner & McKenzie (1985), Management Science 31, 1237-1246.
    """
    n = values.shape[1]
    index = indices(values, season)
    adjusted = values / index[:, np.arange(n) % season]
    logs = (values > 0).all(axis=1)
    adjusted[logs] = np.log(adjusted[logs])
    first = min(max(n // 3, 2), 12)
    time = np.arange(first) - (first - 1) / 2
    trend0 = adjusted[:, :first] @ time / (time @ time) if first > 1 else np.zeros(len(values))
    level0 = adjusted[:, :first].mean(axis=1) - trend0 * (first + 1) / 2  # the state before the first value
    points = qmc.Sobol(3, scramble=False).random(2 * CANDIDATES)
    # Weights of level and trend are searched by their square roots: the best often lie near nothing.
    lowest, highest = np.array([0.02, 0.01, 0.8]), np.array([0.9995, 0.7, 0.98])
    low, high = np.tile(lowest, (len(values), 1)), np.tile(highest, (len(values), 1))
    best = None
    for _round in range(ROUNDS):
        box = low[:, None] + (high - low)[:, None] * points
        if best is not None:
            box = np.concatenate([box, best[:, None]], axis=1)
        _level, _trend, sse = _damp(adjusted, level0, trend0, box)
        at = sse.argmin(axis=1)
        best, least = box[np.arange(len(box)), at], sse[np.arange(len(box)), at]
        half = (high - low) * SHRINK / 2
        low, high = np.maximum(best - half, lowest), np.minimum(best + half, highest)
    level, trend, _sse = _damp(adjusted, level0, trend0, best[:, None])
    weights = _weights(best)
    damping = np.cumsum(weights[:, 2:] ** np.arange(1, steps + 1), axis=1)
    forecasts = level + damping * trend
    forecasts[logs] = np.exp(forecasts[logs])
    return Smoothed(forecasts * index[:, (n + np.arange(steps)) % season], least, weights)


def _weights(box: np.ndarray) -> np.ndarray:
    """alpha, beta (not above alpha) and phi of points of the search."""
    alpha, beta = box[..., 0] ** 2, box[..., 1] ** 2
    return np.stack([alpha, np.minimum(beta, alpha), box[..., 2]], axis=-1)


def _damp(values: np.ndarray, level0: np.ndarray, trend0: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, ...]:
    """Last level and trend and the squared errors, for each series and candidate (alpha, beta, phi)."""
    alpha, beta, phi = np.moveaxis(_weights(box), -1, 0)
    level = np.repeat(level0[:, None], box.shape[1], axis=1)
    trend = np.repeat(trend0[:, None], box.shape[1], axis=1)
    sse = np.zeros_like(level)
    for t in range(values.shape[1]):
        ahead = phi * trend
        error = values[:, t : t + 1] - level - ahead
        sse += error**2
        level = level + ahead + alpha * error
        trend = ahead + beta * error
    return level, trend, sse


METHODS = {
    "theta": lambda values, steps: theta(values, steps).forecasts,
    "damped": lambda values, steps: damped(values, steps).forecasts,
    "seasonal_naive": seasonal_naive,
}


def combined(values: np.ndarray, steps: int) -> np.ndarray:
    """The mean of Theta and the damped trend, which errs less than either (M-competitions)."""
    return (theta(values, steps).forecasts + damped(values, steps).forecasts) / 2


def backtest(values: np.ndarray, steps: int, origins: range) -> dict[str, np.ndarray]:
    """Errors (forecast less actual) of every method: (series, origins, steps), NaN beyond the last value.

    Parameters
    ----------
    origins : how many values each forecast knows.
    """
    n = values.shape[1]
    errors = {}
    for name, method in {**METHODS, "combined": combined}.items():
        found = np.full((len(values), len(origins), steps), np.nan)
        for k, known in enumerate(origins):
            ahead = min(steps, n - known)
            if ahead > 0:
                found[:, k, :ahead] = method(values[:, :known], ahead) - values[:, known : known + ahead]
        errors[name] = found
    return errors
