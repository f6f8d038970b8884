"""How good forecasts were: errors, intervals and whole distributions against what came."""

import numpy as np
from scipy.stats import norm


def crps_of_draws(draws: np.ndarray, actual: float) -> float:
    """Continuous ranked probability score of a sample: E|X - y| - E|X - X'| / 2.

    References
    ----------
    Gneiting & Raftery (2007), Journal of the American Statistical Association 102, 359-378, equation 21.
    """
    x = np.sort(np.asarray(draws, dtype=float))
    n = len(x)
    between = 2 * float((2 * np.arange(n) - n + 1) @ x) / n**2
    return float(np.abs(x - actual).mean()) - between / 2


def crps_of_normal(mean: float, spread: float, actual: float) -> float:
    """Continuous ranked probability score of a normal distribution; of a point where `spread` is 0.

    References
    ----------
    Gneiting & Raftery (2007), equation 5 of section 4.2.
    """
    if not spread > 0:
        return abs(mean - actual)
    z = (actual - mean) / spread
    return float(spread * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)))


def pinball(quantile: float, level: float, actual: float) -> float:
    """Quantile score: what a forecast of the `level` quantile loses.

    References
    ----------
    Koenker & Bassett (1978), Econometrica 46, 33-50.
    """
    return float(max(level * (actual - quantile), (level - 1) * (actual - quantile)))


def wape(forecasts: np.ndarray, actuals: np.ndarray) -> float | None:
    """Sum of absolute errors over the sum of absolute actuals; None where nothing was booked."""
    actuals = np.asarray(actuals, dtype=float)
    whole = np.abs(actuals).sum()
    return float(np.abs(np.asarray(forecasts) - actuals).sum() / whole) if whole else None


def bias(forecasts: np.ndarray, actuals: np.ndarray) -> float | None:
    """Sum of forecast minus actual over the sum of actuals; above 0 is too much. None where nothing was booked."""
    whole = np.asarray(actuals, dtype=float).sum()
    return float((np.asarray(forecasts) - np.asarray(actuals)).sum() / whole) if whole else None


def mase(forecasts: np.ndarray, actuals: np.ndarray, training: np.ndarray, season: int = 1) -> float | None:
    """Mean absolute error over that of the seasonal naive within the training part; None where that is 0 or too short.

    References
    ----------
    Hyndman & Koehler (2006), International Journal of Forecasting 22, 679-688.
    """
    training = np.asarray(training, dtype=float)
    if len(training) <= season:
        return None
    scale = np.abs(training[season:] - training[:-season]).mean()
    return float(np.abs(np.asarray(forecasts) - np.asarray(actuals)).mean() / scale) if scale else None


def brier(chances: np.ndarray, came: np.ndarray) -> float:
    """Mean squared difference of chances and what came (0 or 1). Brier (1950), Monthly Weather Review 78, 1-3."""
    return float(((np.asarray(chances) - np.asarray(came, dtype=float)) ** 2).mean())
