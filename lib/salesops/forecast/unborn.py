"""Deals that do not exist yet: how many will come in by the quarter's end, and what they will bring before it.

Arrivals of a week are counted, with a trend and a season that are drawn to nothing until the history is long enough to
show them (Poisson regression, scatter beyond it estimated). What comes in is won in time as such deals were.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops.forecast.hazard import Chances
from salesops.forecast.risk import WON_AT_ONCE
from salesops.forecast.weeks import N_WEEKS, Weeks

TREND_SPREAD = 0.25  # a year, of the logarithm
SEASON_SPREAD = 0.15
YEAR = 52  # weeks
RECENT = 52  # weeks whose mix of deals is taken for that to come
LEAST_WEEKS = 8


class Unborn(NamedTuple):
    """What is to come in.

    cells : (atoms, 3) wins expected by the quarter's end, the sum of their amounts and of the squares, whole units. n
    : deals expected to come in. scatter : relative standard deviation of that, beyond chance. chance : that one which
    comes in during the week that runs is won in time. created : mean amount of a deal that comes in.
    """

    cells: np.ndarray
    n: float
    scatter: float
    chance: float
    created: float


NONE = Unborn(np.zeros((1, 3)), 0.0, 0.0, 0.0, 0.0)


class Arrivals(NamedTuple):
    """What came in, as arrays of one length: week, kind (a row of `kinds`), atom, landed (code of the stage at its
    week's end, or closed at once), and sums (n, n_priced, minor, minor2). kinds : (k, 3) pipeline, group, size.
    n_stages, n_atoms."""

    week: np.ndarray
    kind: np.ndarray
    atom: np.ndarray
    landed: np.ndarray
    sums: np.ndarray
    kinds: np.ndarray
    n_stages: int
    n_atoms: int


def prepare(births: pd.DataFrame, n_stages: int, n_atoms: int) -> Arrivals:
    """The counted births as arrays."""
    named = births[["pipeline", "group", "size"]].to_numpy(dtype=int)
    kinds, kind = (
        np.unique(named, axis=0, return_inverse=True) if len(named) else (np.zeros((0, 3), int), np.zeros(0, int))
    )
    columns = (births[name].to_numpy(dtype=int) for name in ("week", "atom", "landed"))
    week, atom, landed = columns
    sums = births[["n", "n_priced", "minor", "minor2"]].to_numpy(dtype=float)
    return Arrivals(week, kind.reshape(-1), atom, landed, sums, kinds, n_stages, n_atoms)


def recent_patterns(come: Arrivals, number: int) -> np.ndarray:
    """(group, size, no pushes) of what came in of late."""
    here = (come.week <= number) & (come.week > number - RECENT)
    found = come.kinds[np.unique(come.kind[here]), 1:]
    return np.column_stack([found, np.zeros(len(found), dtype=int)])


def expect(
    come: Arrivals, weeks: Weeks, chances: Chances, number: int, minor_units: int, *, left: int, part: float
) -> Unborn:
    """The wins to come of deals that are not there, from what came in up to week `number`."""
    known = come.week <= number
    if not known.any():
        return NONE._replace(cells=np.zeros((come.n_atoms, 3)))
    first = int(come.week[known].min())
    counts = np.bincount(come.week[known] - first, come.sums[known, 0], number - first + 1)[
        1:
    ]  # the first is not seen whole
    if len(counts) < LEAST_WEEKS:
        return NONE._replace(cells=np.zeros((come.n_atoms, 3)))
    rates, scatter = _arrivals(pd.Series(counts, index=range(first + 1, number + 1)), weeks, number, left)
    rates[0] *= part  # of the week that runs
    recent = known & (come.week > number - RECENT)
    cells, chance = _wins(come, recent, chances, rates, left, minor_units)
    sums = come.sums[recent].sum(axis=0)
    return Unborn(cells, float(rates.sum()), scatter, chance, float(sums[2] / max(sums[1], 1) / minor_units))


def _arrivals(counts: pd.Series, weeks: Weeks, number: int, left: int) -> tuple[np.ndarray, float]:
    """Expected arrivals of the week that runs and the `left` after it, and their common relative error."""
    months = _months(weeks)
    past = counts.index.to_numpy()
    to_come = np.arange(number + 1, number + 2 + left)
    trend = (past - number) / YEAR
    columns = np.column_stack([np.ones(len(past)), trend, np.eye(12)[months[past]]])
    precision = np.concatenate([[1e-6, TREND_SPREAD**-2], np.full(12, SEASON_SPREAD**-2)])
    y = counts.to_numpy(dtype=float)
    beta = np.zeros(14)
    beta[0] = np.log(max(y.mean(), 0.1))
    scale = 1.0
    for _round in range(3):  # the scatter decides how much the trend and the season are believed
        for _step in range(30):
            mean = np.exp(np.clip(columns @ beta, -20, 20))
            hessian = (columns * mean[:, None]).T @ columns / scale + np.diag(precision)
            move = np.linalg.solve(hessian, columns.T @ (y - mean) / scale - precision * beta)
            beta = beta + move * min(1.0, 2 / max(np.abs(move).max(), 1e-12))
            if np.abs(move).max() < 1e-10:
                break
        free = max(len(y) - 1 - 12 * min(1.0, len(y) / (2 * YEAR)), 1.0)
        scale = max(float(((y - mean) ** 2 / np.maximum(mean, 0.1)).sum() / free), 1.0)
    ahead = np.column_stack([np.ones(left + 1), (to_come - number) / YEAR, np.eye(12)[months[to_come]]])
    rates = np.exp(ahead @ beta)
    weights = rates / rates.sum()
    spread = np.linalg.inv(hessian)
    of_mean = float(weights @ ahead @ spread @ ahead.T @ weights)
    return rates, float(np.sqrt(of_mean + (scale - 1) / rates.sum()))


def _months(weeks: Weeks) -> np.ndarray:
    """Calendar month, 0 to 11, of the middle of each week, from the first that is known to the target's end."""
    ends = pd.to_datetime(weeks.ends["on"]) - pd.Timedelta(days=3)
    last = int(weeks.ends["week"].iloc[-1])
    on = pd.Timestamp(weeks.ends["on"].iloc[-1])
    later = [on + pd.Timedelta(days=7 * k - 3) for k in range(1, 2 * N_WEEKS)]
    months = np.zeros(last + 2 * N_WEEKS, dtype=int)
    months[weeks.ends["week"].to_numpy()] = ends.dt.month.to_numpy() - 1
    months[last + 1 :] = [day.month - 1 for day in later]
    return months


def _wins(
    come: Arrivals, here: np.ndarray, chances: Chances, rates: np.ndarray, left: int, minor_units: int
) -> tuple[np.ndarray, float]:
    """By atom, wins expected of the arrivals of each week to come, each with the weeks that are left to it, their
    amounts and the squares of these; and the chance of one that comes in during the week that runs."""
    n_kinds, landings = len(come.kinds), come.n_stages + 2
    n, priced, minor, minor2 = come.sums[here].T
    kind = come.kind[here]
    born = np.bincount(kind * landings + come.landed[here] + 2, n, n_kinds * landings).reshape(n_kinds, landings)
    shares = born / born.sum()
    used = born.sum(axis=1) > 0
    at = np.zeros(n_kinds, dtype=int)
    at[used] = chances.rows(np.column_stack([come.kinds[used, 1:], np.zeros(used.sum(), dtype=int)]))
    # What comes in during the last week has no week after it.
    after = np.concatenate([chances.fresh[:left][::-1], np.zeros((1, *chances.fresh.shape[1:]))])[:, at]
    by_week = np.einsum("ks,wks->wk", shares[:, 2:], after) + shares[:, WON_AT_ONCE + 2]
    won = rates @ by_week
    atoms = np.bincount(come.atom[here] * n_kinds + kind, n, come.n_atoms * n_kinds).reshape(come.n_atoms, n_kinds)
    mean = atoms / np.maximum(born.sum(axis=1), 1) * won
    size = come.kinds[:, 2]
    of_size = [
        np.bincount(size[kind], values, size.max() + 1) for values in (priced, minor, minor2)
    ]  # of deals anywhere
    whole = [values.sum() for values in (priced, minor, minor2)]
    known = of_size[0] > 0
    amounts = [np.where(known, sums / np.maximum(of_size[0], 1), total / max(whole[0], 1))[size]
               for sums, total in zip(of_size[1:], whole[1:], strict=True)]  # fmt: skip
    cells = np.column_stack([mean.sum(axis=1), mean @ amounts[0] / minor_units, mean @ amounts[1] / minor_units**2])
    return cells, float(by_week[0].sum())
