"""Statistical models of a monthly series, fitted by statsmodels where it is long enough.

On logarithms where every value is above zero, so that trend and season are factors. A season is fitted where one shows
(see `series.indices`); the airline model has one by its making.
"""

import warnings

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents

from salesops.forecast import series

LEAST = {"ets": 24, "components": 24, "sarimax": 48}  # months; SARIMAX loses thirteen to its differences
HARMONICS = 2  # of the season: the year and the half-year
MOST_STEPS = 100  # of the search


def ets(values: np.ndarray, season: int):
    """Exponential smoothing with a damped trend: ETS(A,Ad,A), or ETS(A,Ad,N) where `season` is 0.

    References
    ----------
    Hyndman, Koehler, Ord & Snyder (2008), Forecasting with Exponential Smoothing.
    """
    seasonal = {"seasonal": "add", "seasonal_periods": season} if season else {}
    model = ETSModel(values, error="add", trend="add", damped_trend=True, **seasonal)
    return model.fit(disp=False, maxiter=MOST_STEPS)


def sarimax(values: np.ndarray, season: int = series.SEASON):
    """The airline model, (0,1,1)(0,1,1). Box & Jenkins (1970), Time Series Analysis, chapter 9."""
    seasonal = (0, 1, 1, season or series.SEASON)
    return SARIMAX(values, order=(0, 1, 1), seasonal_order=seasonal).fit(disp=False, maxiter=MOST_STEPS)


def components(values: np.ndarray, season: int):
    """Unobserved components: a local level, and a season of harmonics where `season` is not 0.

    References
    ----------
    Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter.
    """
    seasonal = {"freq_seasonal": [{"period": season, "harmonics": HARMONICS}]} if season else {}
    return UnobservedComponents(values, "llevel", **seasonal).fit(disp=False, maxiter=MOST_STEPS)


MODELS = {"ets": ets, "sarimax": sarimax, "components": components}


def forecast(values: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """The next `steps` values by each model that the series is long enough for and that can be fitted.

    Parameters
    ----------
    values : one series, the oldest first.
    """
    logs = bool((values > 0).all())
    known = np.log(values) if logs else values
    season = series.SEASON if (series.indices(values[None]) != 1).any() else 0
    found = {}
    for name, model in MODELS.items():
        if len(values) < LEAST[name]:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a search that does not come to its end is judged by its record
            try:
                ahead = np.asarray(model(known, season).forecast(steps), dtype=float)
            except (np.linalg.LinAlgError, ValueError):
                continue
        with np.errstate(over="ignore"):
            ahead = np.exp(ahead) if logs else ahead
        if np.isfinite(ahead).all():
            found[name] = ahead
    return found
