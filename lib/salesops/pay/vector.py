"""What a component pays for many thousand outcomes at once, to the cent what the exact engine pays for each.

Money is whole minor units (cents) in int64. A table that is linear in its pieces becomes integers over one denominator,
so nothing is ever a float; where a product would not fit 63 bits, the same is done in Python's own integers.
"""

from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from salesops.pay import curves
from salesops.pay.plans import Component, Table

ROOM = 2**62


class Piece(NamedTuple):
    """From `start` minor units on, pay is (slope x + level) / Pieces.denominator more than before it."""

    start: int
    slope: int
    level: int


class Pieces(NamedTuple):
    pieces: tuple[Piece, ...]
    denominator: int


def cut(table: Table, quota: Fraction | None, target: Fraction, *, minor_units: int = 100) -> Pieces | None:
    """A table as pieces in minor units, for one quota and target pay (whole units); None where a piece is no straight
    line (rates that are linear between bands)."""
    scale = quota if table.by == "attainment" else Fraction(1)
    lines = curves.straight(table, scale, target)
    if lines is None:
        return None
    steps, slope, level = [], Fraction(0), Fraction(0)
    for start, new_slope, new_level in lines:
        steps.append((start * minor_units, new_slope - slope, (new_level - level) * minor_units))
        slope, level = new_slope, new_level
    bottom = lcm(*(one.denominator for _start, a, b in steps for one in (a, b))) if steps else 1
    pieces = [Piece(_ceil(start), int(a * bottom), int(b * bottom)) for start, a, b in steps]
    return Pieces(tuple(pieces), bottom)


def _ceil(amount: Fraction) -> int:
    return -((-amount.numerator) // amount.denominator)


def earned(
    table: Table, measured: np.ndarray, quota: Fraction | None, target: Fraction, *, minor_units: int = 100,
    rounding: str = "half_up",
) -> np.ndarray:  # fmt: skip
    """Pay, int64 minor units, for each of `measured` (int64 minor units, any shape, none below zero).

    Raises
    ------
    ValueError
        If anything measured is below zero: returns are netted before.
    """
    if measured.size and int(measured.min()) < 0:
        raise ValueError("measured amounts must not be below zero; net returns before")
    pieces = cut(table, quota, target, minor_units=minor_units)
    most = int(measured.max()) if measured.size else 0
    if pieces is None:
        return _one_by_one(table, measured, quota, target, minor_units, rounding)
    top = sum(abs(one.slope) * most + abs(one.level) for one in pieces.pieces) * 2 + 2 * pieces.denominator
    x = measured if top < ROOM else measured.astype(object)
    total = np.zeros_like(x)
    for one in pieces.pieces:
        if one.start > most:
            break
        more = x * one.slope + one.level if one.level else x * one.slope
        total += more if one.start <= 0 else np.where(x >= one.start, more, 0)
    return divide(total, pieces.denominator, rounding).astype(np.int64)


def divide(total: np.ndarray, by: int, rounding: str) -> np.ndarray:
    """Whole numbers over a whole number, none below zero, rounded by the plan's rule."""
    if by == 1 or rounding == "down":
        return total // by
    if rounding == "half_up" or by % 2:
        return (total + by // 2) // by
    up = (total + by // 2) // by
    return up - ((total % by == by // 2) & (up % 2 == 1))


def _one_by_one(table, measured, quota, target, minor_units, rounding) -> np.ndarray:
    found = [
        curves.earned(table, Fraction(int(x), minor_units), quota, target) * minor_units for x in measured.reshape(-1)
    ]
    whole = [int(divide(np.array([one.numerator], dtype=object), one.denominator, rounding)[0]) for one in found]
    return np.array(whole, dtype=np.int64).reshape(measured.shape)


def entitled(
    component: Component, measured: np.ndarray, quota: Fraction | None, target: Fraction, *, minor_units: int = 100,
    rounding: str = "half_up",
) -> np.ndarray:  # fmt: skip
    """What a period pays, with threshold and the cap of the period. Shapes and errors as `earned`.

    Raises
    ------
    NotImplementedError
        Where the component looks at more than its own total: gates, multipliers, deals, windfalls, true-up.
    """
    beyond = [name for name in ("gate", "multiplier", "windfall", "accelerates_after") if getattr(component, name)]
    beyond += [name for name in ("to_date",) if component.to_date]
    beyond += [f"cap.{name}" for name in ("deal", "year") if getattr(component.cap, name) is not None]
    if beyond or component.period == "deal":
        what = ", ".join(beyond) or "each deal"
        raise NotImplementedError(f"{component.name}: {what} cannot be computed on totals alone")
    paid = earned(component.table, measured, quota, target, minor_units=minor_units, rounding=rounding)
    if component.threshold is not None:
        least = _ceil(component.threshold * quota * minor_units)
        paid = np.where(measured >= least, paid, 0) if quota else np.zeros_like(paid)
    if component.cap.period is not None:
        most = component.cap.period.of(target) * minor_units
        whole = divide(np.array([most.numerator], dtype=object), most.denominator, rounding)[0]
        paid = np.minimum(paid, int(whole))
    return paid
