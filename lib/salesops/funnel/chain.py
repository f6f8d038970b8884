"""Bottlenecks: the stages as an absorbing Markov chain, and what one more point of conversion at each is worth."""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm

from salesops import crm, stats
from salesops.funnel.cohorts import HOUR, LOST, OPEN, WON, Scope
from salesops.funnel.watching import DAY_HOURS
from salesops.stats import Estimate
from salesops.stats.proportions import LEVEL

ALL = crm.ALL
POINT = 0.01
MOST_STAGES = 12
LEAST_ENDED = 0.9  # of the visits, by the last age known
_STEP = 1e-5


class Chain(NamedTuple):
    """Stages as states, won and lost as ends, of the visits of the present cohort.

    moves : from stage x to (stages, won, lost): the chance of what ends a visit; rows sum to 1.
    n_ended, n_open : visits of each stage.
    visits : expected visits of each stage by a deal that enters the first.
    win : chance to be won from each stage, by the chain.
    worth : Estimate for each stage of the won amount of the months that one more point of going further, taken from
        being lost, would bring; shared out by Shapley values, so that the stages sum to `joint`.
    joint : amount that a point at every stage together would bring. wins : the same for deals won, by stage.
    n_entered, amount : deals of the months and mean won amount that these rest on.
    """

    stages: tuple[str, ...]
    moves: np.ndarray
    n_ended: list[int]
    n_open: list[int]
    visits: np.ndarray
    win: np.ndarray
    wins: list[Estimate]
    worth: list[Estimate] | None
    joint: float
    n_entered: int
    amount: float | None


def measure(book: crm.Book, scope: Scope, cohort: ibis.Table, closed: pd.DataFrame, spread: float) -> Chain | None:
    """The chain; None where stages have no history, one is visited or watched too little, or there are more than 12.

    `spread` is the standard error of the mean won amount, as a part of it.
    """
    n = len(scope.stages)
    if not any(scope.stages) or not 2 <= n <= MOST_STAGES:
        return None
    now = cohort.filter(_.cohort == "now")
    table = move_counts(book, scope, now)
    ended = table[table["to"] != OPEN].groupby("stage")["n"].sum().reindex(range(n), fill_value=0)
    if (ended < scope.min_deals).any():
        return None
    found = [_ends(table[table["stage"] == k], scope) for k in range(n)]
    if any(one is None for one in found):
        return None
    moves = np.array(found)
    if np.linalg.matrix_rank(np.eye(n) - moves[:, :n]) < n:  # some deals never end
        return None
    n_entered = int(now.count().execute())
    row = closed[(closed["cohort"] == "now") & (closed["group"] == ALL)]
    n_won = int(row["n_won"].sum())
    known = len(row) and n_won >= scope.min_deals and np.isfinite(row["won_amount"].item())
    amount = row["won_amount"].item() / n_won if known else None
    wins = _worth(moves, ended.to_numpy())
    scaled = [Estimate(*(x * n_entered for x in one[:3]), one.n) for one in wins]
    inverse = np.linalg.inv(np.eye(n) - moves[:, :n])
    return Chain(
        stages=scope.stages,
        moves=moves,
        n_ended=[int(x) for x in ended],
        n_open=[int(table.loc[(table["stage"] == k) & (table["to"] == OPEN), "n"].sum()) for k in range(n)],
        visits=inverse[0],
        win=inverse @ moves[:, n],
        wins=scaled,
        worth=None if amount is None else [_times(one, amount, spread) for one in scaled],
        joint=sum(one.value for one in scaled) * (amount or 1.0),
        n_entered=n_entered,
        amount=amount,
    )


def _times(found: Estimate, amount: float, spread: float) -> Estimate:
    """An estimate times a mean amount that is itself uncertain, by `spread` of it."""
    half = np.hypot(found.high - found.value, norm.ppf(0.5 + LEVEL / 2) * found.value * spread)
    return Estimate(*(float(x * amount) for x in (found.value, found.value - half, found.value + half)), found.n)


def move_counts(book: crm.Book, scope: Scope, deals: ibis.Table) -> pd.DataFrame:
    """stage (0, 1, ...), to (a stage, won, lost, open), age (hours), n: what ended each visit of some deals."""
    first = scope.rules.accepted_stage
    visits = book.own_visits
    order = ibis.window(group_by=visits.deal_id, order_by=visits.seq)
    visits = visits.mutate(to=visits.position.lead().over(order), to_kind=visits.kind.lead().over(order))
    visits = visits.filter(_.kind == OPEN, _.entered_at.notnull(), _.position >= first).semi_join(deals, "deal_id")
    to = ibis.cases(
        (_.left_at.isnull(), OPEN),
        (_.to_kind != OPEN, _.to_kind),
        (_.to < first, LOST),
        else_=(_.to - first).cast("string"),
    )
    until = visits.left_at.coalesce(book.cut).epoch_seconds()
    age = ibis.greatest((until - visits.entered_at.epoch_seconds()) // HOUR, 0)
    rows = visits.select(stage=visits.position - first, to=to, age=age)
    return rows.filter(_.to.notnull()).group_by("stage", "to", "age").agg(n=_.count()).execute()


def _ends(table: pd.DataFrame, scope: Scope) -> np.ndarray | None:
    """The chances of what ends a visit of one stage, open ones censored, among those ended by the last age known; None
    where too few have ended by then to stand for the others, which end otherwise if they last longer."""
    ends = [*map(str, range(len(scope.stages))), WON, LOST]
    found = [end for end in ends if (table["to"] == end).any()]
    counted = {f"n_{end}": np.where(table["to"] == end, table["n"], 0) for end in (*found, OPEN)}
    curve = stats.aalen_johansen(
        pd.DataFrame({"age": table["age"].to_numpy(), **counted}), {e: f"n_{e}" for e in found}
    )
    age = min(curve.watched_until(scope.min_deals), float(table["age"].max()) + DAY_HOURS)
    shares = {end: curve.at(end, age).value for end in found}
    total = sum(shares.values())
    if total < LEAST_ENDED:
        return None
    return np.array([shares.get(end, 0.0) / total for end in ends])


def won_from_first(moves: np.ndarray) -> float:
    """The chance that a deal in the first stage is won: the first row of (I - Q)^-1 R.

    References
    ----------
    Kemeny, Snell (1960), Finite Markov Chains, chapter III.
    """
    n = len(moves)
    return float(np.linalg.solve(np.eye(n) - moves[:, :n], moves[:, n])[0])


def _raised(moves: np.ndarray, stages: frozenset) -> np.ndarray:
    """`moves` with one point more of going further at these stages, in its proportions, taken from being lost."""
    n, found = len(moves), moves.copy()
    for k in stages:
        forward = np.zeros(n + 2)
        forward[k + 1 : n + 1] = moves[k, k + 1 : n + 1]
        gain = min(POINT, moves[k, n + 1])
        if forward.sum() > 0:
            found[k] += gain * forward / forward.sum()
            found[k, n + 1] -= gain
    return found


def _gains(moves: np.ndarray) -> np.ndarray:
    """By stage, its Shapley share of the chance to win that a point at every stage brings."""
    base = won_from_first(moves)
    shares = stats.shapley(range(len(moves)), lambda some: won_from_first(_raised(moves, some)) - base)
    return np.array(list(shares.values()))


def _worth(moves: np.ndarray, n_ended: np.ndarray) -> list[Estimate]:
    """The gains with their intervals, by the delta method: each stage's ends are multinomial."""
    gains, n = _gains(moves), len(moves)
    variance = np.zeros(n)
    for k in range(n):
        p = moves[k]
        slopes = np.zeros((n, n + 2))
        for end in np.flatnonzero(p > 0):
            moved = moves.copy()
            moved[k] = (p + _STEP * (np.arange(n + 2) == end)) / (1 + _STEP)
            slopes[:, end] = (_gains(moved) - gains) / _STEP
        centred = slopes - (slopes @ p)[:, None]
        variance += (centred**2 @ p) / n_ended[k]
    half = norm.ppf(0.5 + LEVEL / 2) * np.sqrt(variance)
    return [
        Estimate(float(g), float(g - h), float(g + h), int(m)) for g, h, m in zip(gains, half, n_ended, strict=True)
    ]
