"""Chances of open deals, week by week: won, lost or moved on, and from them what is won by the quarter's end.

A discrete-time hazard of each way a week can end (Allison 1982, Sociological Methodology 13, 61-98), by stage and
weeks in it, age, pushes, group, size of the deal and week of the quarter. Effects that few deals speak for are drawn
to zero. A deal that moves begins anew in its next stage, so that the chance of winning in time is summed backwards
over all ways there.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops.forecast.risk import AGE_EDGES, FACTORS, STAY_EDGES, Layout
from salesops.forecast.weeks import N_WEEKS, SEASONS, season
from salesops.stats.cells import Factors, Fitted, fit_logit

PRIOR_MOVES = 20  # moves of a stage that those of all groups together count for
WAYS = ("won", "lost", "moved")
STAYS, AGES = STAY_EDGES[-1] + 1, AGE_EDGES[-1] + 1  # weeks that are told apart; the last for all later ones
# Standard deviations of effects on the logit, as believed beforehand: at 0.5 a factor of 1.6 either way is usual.
SPREADS = {
    "stage": 2.0, "stay": 1.0, "stage x stay": 0.5, "age": 0.5, "pushes": 0.5, "group": 0.5, "stage x group": 0.5,
    "stay x group": 0.5, "stage x stay x group": 1.0, "size": 0.5, "season": 0.5,
}  # fmt: skip


class Model(NamedTuple):
    """fits : of each of `WAYS`; None where it never happened. onward : (groups, stages, stages) share of moves to each
    stage. n, n_won : deal-weeks learnt from, and how many ended in a win."""

    layout: Layout
    fits: dict[str, Fitted | None]
    onward: np.ndarray
    n: int
    n_won: int


def factor_sizes(layout: Layout) -> tuple[int, ...]:
    """Levels of each factor, in the order of `SPREADS`."""
    sizes = layout.sizes | {"season": SEASONS}
    return tuple(int(np.prod([sizes[one] for one in name.split(" x ")])) for name in SPREADS)


def codes_of(layout: Layout, cells: pd.DataFrame, seasons: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Codes of all factors of cells, and the levels of each; in the order of `SPREADS`."""
    single = {name: cells[name].to_numpy(dtype=int) for name in FACTORS} | {"season": seasons}
    sizes = layout.sizes | {"season": SEASONS}
    columns = []
    for name in SPREADS:
        first, *more = name.split(" x ")
        column = single[first]
        for other in more:
            column = column * sizes[other] + single[other]
        columns.append(column)
    return np.column_stack(columns), factor_sizes(layout)


class Gathered(NamedTuple):
    """Cells of some weeks together: codes (cells, factors), n, and counts (n_won, n_lost, n_moved) of each."""

    codes: np.ndarray
    n: np.ndarray
    counts: np.ndarray


class Coded(NamedTuple):
    """All cells, coded once. week : of each row of counts; cell : its number; sums : (rows, 4) n, n_won, n_lost,
    n_moved. codes : (cells, factors)."""

    week: np.ndarray
    cell: np.ndarray
    sums: np.ndarray
    codes: np.ndarray

    def gather(self, rows: np.ndarray) -> Gathered:
        """The rows of some weeks, cell by cell."""
        at, n_cells = self.cell[rows], len(self.codes)
        sums = np.column_stack([np.bincount(at, column[rows], n_cells) for column in self.sums.T])
        there = sums[:, 0] > 0
        return Gathered(self.codes[there], sums[there, 0], sums[there, 1:])


def code(layout: Layout, cells: pd.DataFrame) -> Coded:
    """Number the cells: rows that agree in every factor and in the season of the week that followed are one."""
    # The week after the one numbered w ends with one week less left; weeks are numbered by quarters of thirteen.
    left = (N_WEEKS - 2 - cells["week"].to_numpy(dtype=int)) % N_WEEKS
    seasons = np.array([season(one) for one in range(N_WEEKS)])[left]
    codes, _sizes = codes_of(layout, cells, seasons)
    unique, cell = np.unique(codes, axis=0, return_inverse=True)
    sums = cells[["n", "n_won", "n_lost", "n_moved"]].to_numpy(dtype=float)
    return Coded(cells["week"].to_numpy(dtype=int), cell.reshape(-1), sums, unique)


def fit(layout: Layout, gathered: Gathered, moves: pd.DataFrame, start: Model | None = None) -> Model:
    """Learn the chances from gathered cells and the moves of the same weeks."""
    factors = Factors(gathered.codes, factor_sizes(layout), tuple(SPREADS.values()))
    fits = {}
    for way, count in zip(WAYS, gathered.counts.T, strict=True):
        before = start.fits[way] if start else None
        fits[way] = fit_logit(factors, gathered.n, count, before) if count.sum() else None
    k, names = len(layout.stages), ("group", "stage", "to")
    onward = np.zeros((len(layout.groups), k, k))
    np.add.at(onward, tuple(moves[name].to_numpy(dtype=int) for name in names), moves["n"].to_numpy(dtype=float))
    every = onward.sum(axis=0)
    total = every.sum(axis=1, keepdims=True)
    every = np.divide(every, total, out=np.eye(k), where=total > 0)
    onward = (onward + PRIOR_MOVES * every) / (onward.sum(axis=2, keepdims=True) + PRIOR_MOVES)
    return Model(layout, fits, onward, int(gathered.n.sum()), int(gathered.counts[:, 0].sum()))


class Chances(NamedTuple):
    """Chance to be won by the quarter's end, of deals in every state.

    fresh : (weeks, patterns, stages) of a deal that is new in its stage, and in the book, when a week begins; the last
    week of the quarter first. now : (patterns, stages, stays, ages) of a deal in any state on the last day known.
    patterns : (group, size, pushes) of each row of the arrays, as codes.
    """

    fresh: np.ndarray
    now: np.ndarray
    patterns: np.ndarray

    def rows(self, patterns: np.ndarray) -> np.ndarray:
        """The row of each of some patterns, all of which are among those known."""
        key = np.array([10_000, 100, 1])
        known = self.patterns @ key
        order = np.argsort(known)
        return order[np.searchsorted(known[order], patterns @ key)]

    def of(self, deals: pd.DataFrame) -> np.ndarray:
        """The chance of each deal, by its pattern, stage, stay_weeks and age_weeks."""
        at = self.rows(deals[["group", "size", "pushes"]].to_numpy(dtype=int))
        stay, age = deals["stay_weeks"].clip(upper=STAYS - 1), deals["age_weeks"].clip(upper=AGES - 1)
        return self.now[at, deals["stage"].to_numpy(dtype=int), stay.to_numpy(dtype=int), age.to_numpy(dtype=int)]


def look_ahead(model: Model, left: int, part: float, patterns: np.ndarray) -> Chances:
    """Chances to be won by the quarter's end, summed backwards from it over all ways a deal can take.

    Parameters
    ----------
    left : whole weeks after the one that runs. part : of the week that runs, what is still to come.
    patterns : (n, 3) codes of group, size and pushes, which a deal keeps.
    """
    rates = [_linear(model.fits[way], model.layout, patterns) for way in WAYS]
    later = np.zeros((len(patterns), len(model.layout.stages), STAYS, AGES))
    fresh_by_left = []
    for weeks_after in range(left + 1):
        share = part if weeks_after == left else 1.0
        won, lost, moved = _rates(rates, season(weeks_after), share)
        older = np.concatenate([later[..., 1:], later[..., -1:]], axis=3)
        longer = np.concatenate([older[:, :, 1:], older[:, :, -1:]], axis=2)
        stayed = longer if share == 1.0 else share * longer + (1 - share) * later
        fresh = np.einsum("pst,pta->psa", model.onward[patterns[:, 0]], older[:, :, 0])[:, :, None]
        later = won + moved * fresh + (1 - won - lost - moved) * stayed
        fresh_by_left.append(later[:, :, 0, 0])
    return Chances(np.array(fresh_by_left), later, patterns)


def _linear(fit_: Fitted | None, layout: Layout, patterns: np.ndarray) -> tuple | None:
    """Linear predictors without the season's: (patterns, stages, stays, ages), and the seasons' effects."""
    if fit_ is None:
        return None
    effects = dict(zip(SPREADS, fit_.effects, strict=True))
    sizes = layout.sizes
    stay = np.searchsorted(STAY_EDGES, np.arange(STAYS), side="right")
    age = np.searchsorted(AGE_EDGES, np.arange(AGES), side="right")
    crossed = effects["stage x stay"].reshape(sizes["stage"], sizes["stay"])
    by_stage = effects["stage"][:, None] + effects["stay"][stay] + crossed[:, stay]
    group, size, pushes = patterns.T
    mixed = effects["stage x group"].reshape(sizes["stage"], sizes["group"])
    by_pattern = effects["group"][group] + effects["size"][size] + effects["pushes"][pushes]
    paced = effects["stay x group"].reshape(sizes["stay"], sizes["group"])
    paced = paced + effects["stage x stay x group"].reshape(sizes["stage"], sizes["stay"], sizes["group"])
    paced = paced[:, stay][:, :, group].transpose(2, 0, 1)[..., None]  # (patterns, stages, stays, 1)
    linear = (
        paced + fit_.intercept + by_pattern[:, None, None, None] + mixed[:, group].T[:, :, None, None]
        + by_stage[None, :, :, None] + effects["age"][age]
    )  # fmt: skip
    return linear, effects["season"]


def _rates(rates: list, at_season: int, share: float) -> list[np.ndarray]:
    """The shares that end in each way in a week, or in a part of one; at most all of them."""
    found = []
    for linear in rates:
        if linear is None:
            found.append(np.zeros(1))
            continue
        p = 1 / (1 + np.exp(-(linear[0] + linear[1][at_season])))
        found.append(p if share == 1.0 else 1 - (1 - p) ** share)
    total = sum(found)
    return [p / np.maximum(total, 1.0) for p in found]


def calibrated(p: np.ndarray, calibration: tuple[float, float]) -> np.ndarray:
    """Chances after the correction that earlier forecasts asked for."""
    if calibration == (0.0, 1.0):
        return p
    inside = np.clip(p, 1e-9, 1 - 1e-9)
    moved = 1 / (1 + np.exp(-(calibration[0] + calibration[1] * np.log(inside / (1 - inside)))))
    return np.where((p <= 0) | (p >= 1), p, moved)
