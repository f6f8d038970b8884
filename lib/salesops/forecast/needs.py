"""What it takes to reach the target: how likely it is, how much new pipeline would make it likely, and who could work
it."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from salesops.forecast.params import Params
from salesops.forecast.record import Made

WANTED = 0.8  # chance to reach the target
HALF_WORKED = 0.5  # of the hours of a deal that is open now, what is still to come: deals are met half-way on average
MOST = 1e6  # new deals


class Needs(NamedTuple):
    """Of the target of the quarter; amounts in whole units.

    target : None where there is none, and `no_target` why. chance : to reach it. coverage : open pipeline over what is
    left to book; None where it is reached. new_deals, new_amount : how many deals more, created in the coming week, and
    their amount, give `WANTED` chance; None where even many would not. each : what one more is expected to bring in
    time. room : how many more deals the reps have hours for; None where no rep is known. reachable : chance with no
    more than these. n_reps, hours_free, hours_bound : reps there are, hours they have in the weeks left, and those
    that open and expected deals need of them.
    """

    target: float | None
    no_target: str
    chance: float | None
    coverage: float | None
    new_deals: float | None
    new_amount: float | None
    each: float | None
    room: float | None
    reachable: float | None
    n_reps: int
    hours_free: float
    hours_bound: float


def measure(
    made: Made, totals: np.ndarray, target: float | None, no_target: str, n_reps: int, weeks_left: float, params: Params
) -> Needs:
    """What it takes, from the draws of the quarter's total (booked amounts included)."""
    free = n_reps * params.hours_a_week * weeks_left
    bound = params.hours_a_deal * (HALF_WORKED * len(made.deals) + made.to_come.n)
    if target is None:
        return Needs(None, no_target, *[None] * 7, n_reps, free, bound)
    left = target - made.booked
    open_amount = float(made.part.amounts.sum())
    chance = float((totals >= target).mean())
    wins, (amount, square) = made.to_come.chance, made.part.whole().unborn[0, 1:]
    room = max((free - bound) / params.hours_a_deal, 0.0) if n_reps else None
    needed = None
    if chance >= WANTED:
        needed = 0.0
    elif wins > 0:
        needed = _search(totals, target, wins, amount, square)
    return Needs(
        target, "", chance, open_amount / left if left > 0 else None, needed,
        None if needed is None else needed * made.to_come.created, wins * amount if wins > 0 else None, room,
        None if room is None or not wins > 0 else _reached(totals, target, room, wins, amount, square),
        n_reps, free, bound,
    )  # fmt: skip


def _reached(totals: np.ndarray, target: float, n: float, wins: float, amount: float, square: float) -> float:
    """Chance to reach the target with `n` deals more; what they bring is near a normal, being many."""
    mean, variance = n * wins * amount, n * wins * square
    if variance <= 0:
        return float((totals >= target).mean())
    return float(norm.sf((target - totals - mean) / np.sqrt(variance)).mean())


def _search(totals: np.ndarray, target: float, wins: float, amount: float, square: float) -> float | None:
    low, high = 0.0, 1.0
    while _reached(totals, target, high, wins, amount, square) < WANTED:
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _reached(totals, target, middle, wins, amount, square) < WANTED else (low, middle)
    return float(np.ceil(high))
