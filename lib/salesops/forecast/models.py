"""Statistical models of a monthly series, fitted by statsmodels where it is long enough.

On logarithms where every value is above zero, so that trend and season are factors. A season is fitted where one shows
(see `series.indices`); the airline model has one by its making.
"""

import warnings

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents

from salesops.forecast import series
from salesops.stats import optima

LEAST = {"ets": 24, "components": 24, "sarimax": 48}  # months; SARIMAX loses thirteen to its differences
HARMONICS = 2  # of the season: the year and the half-year
MOST_STEPS = 100  # of the search
LIMITS = {"weight": (1e-4, 1 - 1e-4), "damping": (0.8, 0.98)}  # of exponential smoothing, as statsmodels has them
SEASON_AT = 6  # where the season's states begin among the parameters of exponential smoothing
STENCIL = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # of a first derivative by six values, exact to the sixth power of
APART = 5e-3  # between them
STARTS = ((-0.5, -0.5), (-0.2, -0.9), (-0.9, -0.2))  # of the airline model's weights
FAR = 1e3  # a weight beyond which nothing is looked for
TINY = 1e-30  # step into the complex plane, which leaves a derivative with all its digits


def ets(values: np.ndarray, season: int):
    """Exponential smoothing with a damped trend: ETS(A,Ad,A), or ETS(A,Ad,N) where `season` is 0.

    References
    ----------
    Hyndman, Koehler, Ord & Snyder (2008), Forecasting with Exponential Smoothing.
    """
    seasonal = {"seasonal": "add", "seasonal_periods": season} if season else {}
    model = ETSModel(values, error="add", trend="add", damped_trend=True, **seasonal)
    at = model.fit(disp=False, maxiter=MOST_STEPS).params
    free, damping = _free(at, season), 3 if season else 2
    low, high = np.full(len(free), -np.inf), np.full(len(free), np.inf)
    low[:damping], high[:damping] = LIMITS["weight"]
    low[damping], high[damping] = LIMITS["damping"]
    best = optima.lowest(_look(lambda one: model.loglike(_whole(one, season))), [free], low, high)
    return model.smooth(_whole(best.x, season))


def _free(params: np.ndarray, season: int) -> np.ndarray:
    """Parameters of exponential smoothing as they are searched: weights of trend and season as shares of what the
    level's weight leaves them, so that each has limits, and states of the season without the last, so that the level
    has their mean."""
    free = params.copy()
    free[1] /= params[0]
    if season:
        free[2] /= 1 - params[0]
        free[SEASON_AT:] -= params[SEASON_AT:].mean()
        free[4] += params[SEASON_AT:].mean()
    return free[:-1] if season else free


def _whole(free: np.ndarray, season: int) -> np.ndarray:
    """The parameters again; see `_free`."""
    params = np.concatenate([free, -free[SEASON_AT:].sum(keepdims=True)]) if season else free.copy()
    params[1] *= free[0]
    if season:
        params[2] *= 1 - free[0]
    return params


def sarimax(values: np.ndarray, season: int = series.SEASON):
    """The airline model, (0,1,1)(0,1,1). Box & Jenkins (1970), Time Series Analysis, chapter 9."""
    season = season or series.SEASON
    changes = np.diff(values[season:] - values[:-season])

    def look(weights: np.ndarray) -> tuple[float, np.ndarray]:
        def minus(move: np.ndarray) -> float:
            return _airline(weights + move, changes, season)[0]

        steps = np.eye(2) * APART
        slope = [sum(c * (minus(k * step) - minus(-k * step)) for k, c in STENCIL.items()) / APART for step in steps]
        return minus(np.zeros(2)), np.array(slope)

    # A weight and one over it are equally likely, so that 1 is a place like any other; the lesser is the one meant.
    weights = optima.lowest(look, STARTS, -FAR, FAR).x
    if (np.abs(weights) > 1).any():
        weights = optima.lowest(look, [np.where(np.abs(weights) > 1, 1 / weights, weights)], -1, 1).x
    model = SARIMAX(values, order=(0, 1, 1), seasonal_order=(0, 1, 1, season))
    return model.smooth([*weights, _airline(weights, changes, season)[1]])


def _airline(weights: np.ndarray, changes: np.ndarray, season: int) -> tuple[float, float]:
    """Minus the exact log-likelihood of what is left after both differences, and the variance that goes with it.

    A moving average's covariances are a band, so that this takes a hundredth of the time of a Kalman filter.
    """
    n, of_season = len(changes), np.zeros(season + 1)
    of_season[[0, -1]] = 1, weights[1]
    terms = np.convolve([1, weights[0]], of_season)
    band = np.array([np.full(n, terms[: len(terms) - k] @ terms[k:]) for k in range(len(terms))])
    root = cholesky_banded(band, lower=True)
    variance = max(float(changes @ cho_solve_banded((root, True), changes)) / n, 1e-300)
    return n / 2 * (np.log(2 * np.pi * variance) + 1) + float(np.log(root[0]).sum()), variance


def components(values: np.ndarray, season: int):
    """Unobserved components: a local level, and a season of harmonics where `season` is not 0.

    References
    ----------
    Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter.
    """
    seasonal = {"freq_seasonal": [{"period": season, "harmonics": HARMONICS}]} if season else {}
    return _filtered(UnobservedComponents(values, "llevel", use_exact_diffuse=True, **seasonal))


def _filtered(model):
    """The most likely parameters of a model in state-space form: statsmodels' search, brought to its end."""
    at = model.untransform_params(model.fit(disp=False, maxiter=MOST_STEPS).params)

    def likelihood(free: np.ndarray):
        return model.loglike(free, transformed=False, complex_step=np.iscomplexobj(free))

    best = optima.lowest(_look(likelihood), [at], -np.inf, np.inf)
    return model.smooth(model.transform_params(best.x))


def _look(likelihood) -> optima.Look:
    """Minus a likelihood and its slope, by steps into the complex plane (Squire & Trapp 1998, SIAM Review 40)."""

    def look(at: np.ndarray) -> tuple[float, np.ndarray]:
        steps = np.eye(len(at)) * (TINY * 1j)
        return -float(likelihood(at)), np.array([-likelihood(at + step).imag / TINY for step in steps])

    return look


MODELS = {"ets": ets, "sarimax": sarimax, "components": components}


def forecast(values: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """The next `steps` values by each model that the series is long enough for and that can be fitted.

    Parameters
    ----------
    values : one series, the oldest first.
    """
    logs = bool((values > 0).all())
    size = 1.0 if logs else float(np.abs(values).max()) or 1.0
    known = np.log(values) if logs else values / size
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
            ahead = np.exp(ahead) if logs else ahead * size
        if np.isfinite(ahead).all():
            found[name] = ahead
    return found
