"""Process behaviour (XmR) charts: what a series usually does, and whether its last points are more than that."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

SPREAD_OF_RANGE = 1.128  # d2: the mean range of two normal values, in standard deviations
LIMIT = 3  # standard deviations
FREEDOM = 0.62  # of each moving range, whose neighbours share a value
RECENT = 3  # points whose common level is looked at, beside the last one
EDGE = 1e-6  # as near as a share comes to 0 or 1
SCALES = ("plain", "log", "logit")


class Behaviour(NamedTuple):
    """centre, low, high : of each point that the limits were made of and of those judged, in the unit of the series.

    n : points that the limits are made of. p : of the last point being as these. p_recent : of the mean of the last
    `RECENT` points being as those before them; NaN where there are too few.
    """

    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    p: float
    p_recent: float


def behaviour(
    values: Sequence[float], *, scale: str = "plain", trend: bool = False, least: int = 8, noise: float = 0.0
) -> Behaviour | None:
    """What a series usually does, told by all but its last point, and how unusual that is; None of too few points.

    Parameters
    ----------
    values : in order, equally far apart, none missing.
    scale : `log` for amounts above zero and `logit` for shares, whose limits are then not symmetric.
    trend : the series is expected to grow or shrink by a straight line (on its scale), around which it varies.
    least : fewer points than this before those judged give no limits.
    noise : the standard deviation (on the scale) that the last points have by counting alone; a series that happened to
        scatter less is not taken for one that does.

    Returns
    -------
    Behaviour or None
        Limits at three standard deviations, each the mean moving range over 1.128: 2.66 mean ranges around the mean.

    Raises
    ------
    ValueError
        For an amount of zero or below on the scale `log`.

    References
    ----------
    Shewhart (1931); Wheeler (2000), Understanding Variation, 2nd ed.; NIST/SEMATECH e-Handbook of Statistical Methods,
    6.3.2.2 (limits). The p-values take the standard deviation for one of 0.62 (n - 1) degrees of freedom, which
    Wheeler (1995), Advanced Topics in Statistical Process Control, table 1 gives for mean moving ranges.
    """
    known = np.asarray(values, dtype=float)
    if len(known) - 1 < least:
        return None
    if scale == "log" and (known <= 0).any():
        raise ValueError("an amount of zero or below has no logarithm")
    to, back = {
        "plain": (lambda x: x, lambda x: x),
        "log": (np.log, np.exp),
        "logit": (lambda x: logit(np.clip(x, EDGE, 1 - EDGE)), expit),
    }[scale]
    points = to(known)
    line, sigma, p = _judge(points, 1, trend, noise)
    p_recent = _judge(points, RECENT, trend, noise)[2] if len(points) - RECENT >= least else float("nan")
    reach = LIMIT * sigma
    return Behaviour(back(line), back(line - reach), back(line + reach), len(points) - 1, p, p_recent)


def _judge(points: np.ndarray, n_judged: int, trend: bool, noise: float) -> tuple[np.ndarray, float, float]:
    """The line through all but the last points, the standard deviation around it, and p of those last being on it."""
    at = np.arange(len(points), dtype=float)
    base, here = points[:-n_judged], at[:-n_judged]
    n, middle = len(base), here.mean()
    spread = ((here - middle) ** 2).sum()
    slope = float(((here - middle) * base).sum() / spread) if trend else 0.0
    line = base.mean() + slope * (at - middle)
    sigma = max(float(np.abs(np.diff(base - line[:-n_judged])).mean()) / SPREAD_OF_RANGE, noise)
    off = float((points - line)[-n_judged:].mean())
    unsure = 1 / n_judged + 1 / n + (trend * (at[-n_judged:].mean() - middle) ** 2 / spread)
    if sigma == 0:
        return line, sigma, 1.0 if abs(off) < 1e-12 else 0.0
    return line, sigma, float(2 * student.sf(abs(off) / (sigma * np.sqrt(unsure)), FREEDOM * (n - 1) - trend))
