"""The lowest point of a smooth function, to the last digits it has: alike on every processor and from every start.

A search that stops where the function hardly falls leaves five or six digits; what follows them hangs on the order in
which a processor adds. Newton's steps on an exact slope leave twelve or more.

References
----------
Nocedal & Wright (2006), Numerical Optimization, 2nd ed., sections 3.3 and 16.7 (Newton with a modified Hessian;
projection on bounds).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

STEPS = 200
LONGEST = 2.0  # step in one coordinate
APART = 1e-4  # between slopes that a curvature is taken from
ROUNDING = 1e-13  # of a value, as a share of it
QUICK = 1e-3  # of what there was to fall by, below which the curvature is not taken again
SETTLED = 1e-9  # a step below which only rounding is left to gain
FLAT = 1e-3  # curvature, below which the bounds are tried too
ALIKE = 1e-6  # difference of values that no data can tell: of a likelihood, a ratio of 1.000001

Look = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Lowest(NamedTuple):
    """x : where. value : there. bend : (k, k) the curvature there, by differences of slopes."""

    x: np.ndarray
    value: float
    bend: np.ndarray


def lowest(look: Look, starts: Sequence[Sequence[float]], low: float | np.ndarray, high: float | np.ndarray) -> Lowest:
    """The lowest point within bounds, by searches from several places.

    Where the function runs out flat towards a bound (a likelihood of customers who are all alike, for which ever
    greater parameters say the same), and is there as low as at the lowest point that was reached, the bound is it.

    Parameters
    ----------
    look : the value and the slope at a point; both accurate to rounding. starts : places to begin from. low, high :
    bounds of each coordinate, or of all.
    """
    low, high = (np.broadcast_to(np.asarray(limit, dtype="float64"), len(starts[0])) for limit in (low, high))
    starts = [np.clip(np.asarray(start, dtype="float64"), low, high) for start in starts]
    reached = [_descend(look, start, low, high) for start in starts]
    best = reached[0]
    for other in reached[1:]:
        best = other if other.value < best.value - ALIKE else best
    return _at_edge(look, best, low, high)


def _descend(look: Look, x: np.ndarray, low: np.ndarray, high: np.ndarray, pinned: int | None = None) -> Lowest:
    """Down from a point by damped Newton steps until rounding ends it. pinned : a coordinate that stays."""
    value, slope = look(x)
    damping, bend = 0.0, None
    for _step in range(STEPS):
        free = ~(((x <= low) & (slope > 0)) | ((x >= high) & (slope < 0)))
        if pinned is not None:
            free[pinned] = False
        bend = curvature(look, x) if bend is None else bend
        inner = bend[np.ix_(free, free)]
        if not slope[free].any() or not np.isfinite(inner).all():
            break
        move, damping, damped = _step_of(inner, slope[free], damping)
        nearer = x.copy()
        nearer[free] += move
        nearer = np.clip(nearer, low, high)
        new_value, new_slope = look(nearer)
        # What is left to fall by, were the function a parabola: in the values themselves it is lost in rounding.
        before, after = (float((one[free] * solve(damped, one[free])).sum()) for one in (slope, new_slope))
        fall, noise = value - new_value, ROUNDING * (1 + abs(value))
        if fall > noise or (fall > -noise and after < before):
            x, value, slope, bend = nearer, new_value, new_slope, bend if after < QUICK * before else None
            damping = damping / 10 if damping > 1e-8 else 0.0
        elif np.abs(move).max() < SETTLED or damping > 1e8:
            break
        else:
            damping = max(10 * damping, 1e-4)
    return Lowest(x, value, curvature(look, x) if bend is None else bend)


def curvature(look: Look, x: np.ndarray) -> np.ndarray:
    """(k, k) second derivatives at a point, by differences of slopes on either side."""
    rows = []
    for move in np.eye(len(x)) * APART:
        rows.append((look(x + move)[1] - look(x - move)[1]) / (2 * APART))
    return (np.array(rows) + np.array(rows).T) / 2


def _step_of(bend: np.ndarray, slope: np.ndarray, damping: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Newton's step, damped as much as it takes to lead down, that damping, and the curvature so damped."""
    size = np.maximum(np.abs(np.diag(bend)), 1e-8)
    while True:
        damped = bend + np.diag(damping * size)
        move = solve(damped, -slope)
        if move is not None:
            longest = np.abs(move).max()
            return move * min(1.0, LONGEST / max(longest, 1e-300)), damping, damped
        damping = max(10 * damping, 1e-4)


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """The solution of a few symmetric equations by Cholesky's decomposition; None where the matrix is not positive
    definite. In plain floats: LAPACK's last bits hang on the processor."""
    k, rows = len(right), matrix.tolist()
    root = [[0.0] * k for _row in rows]
    solved = [0.0] * k
    for i in range(k):
        for j in range(i + 1):
            rest = rows[i][j] - sum(root[i][m] * root[j][m] for m in range(j))
            if i > j:
                root[i][j] = rest / root[j][j]
            elif not rest > 1e-14 * abs(rows[i][i]):
                return None
            else:
                root[i][i] = rest**0.5
        solved[i] = (float(right[i]) - sum(root[i][m] * solved[m] for m in range(i))) / root[i][i]
    for i in reversed(range(k)):
        solved[i] = (solved[i] - sum(root[m][i] * solved[m] for m in range(i + 1, k))) / root[i][i]
    return np.array(solved)


def _at_edge(look: Look, best: Lowest, low: np.ndarray, high: np.ndarray) -> Lowest:
    """The point at a bound, where the function runs out flat to it and is as low there."""
    free = np.flatnonzero((best.x > low) & (best.x < high))
    inner = best.bend[np.ix_(free, free)]
    if not len(free) or not np.isfinite(inner).all():
        return best
    weights, ways = np.linalg.eigh(inner)
    if weights[0] > FLAT:
        return best
    along = np.zeros(len(best.x))
    along[free] = ways[:, 0]
    for way in (along, -along):
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(way > 1e-9, (high - best.x) / way, np.where(way < -1e-9, (low - best.x) / way, np.inf))
        at = int(room.argmin())
        if not np.isfinite(room[at]):
            continue
        start = np.clip(best.x + room[at] * way, low, high)
        start[at] = high[at] if way[at] > 0 else low[at]
        edge = _descend(look, start, low, high, pinned=at)
        if edge.value <= best.value + ALIKE:
            return edge
    return best
