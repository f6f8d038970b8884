"""Velocity: what the deals closed in the months bring a day, and what changed it, exactly."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from salesops import stats
from salesops.funnel.cohorts import LOST, WON, Scope
from salesops.stats import Estimate
from salesops.stats.proportions import LEVEL

FACTORS = ("n_deals", "win_rate", "deal_size", "cycle")
LEAST_WON = 50  # deals, for the spread of amounts to be known at all


class Velocity(NamedTuple):
    """Deals closed x win rate x mean won amount / mean days to win; all four of the same deals, so that the first
    three multiply to the won amount.

    now, before : the four factors and velocity (amount a day), by name; before is None where nothing is compared.
    parts : factor -> Estimate of what it brought to the change of velocity; the values sum to the change.
    beyond : the factors whose part is beyond chance, corrected for the four.
    """

    now: dict[str, float]
    before: dict[str, float] | None
    parts: dict[str, Estimate]
    beyond: list[str]


def measure(closing_counts: pd.DataFrame, scope: Scope, minor_units: int) -> Velocity | None:
    """The velocity of the months, and its change; None where too few deals were won or amounts are not known."""
    sides = {
        name: _factors(closing_counts[closing_counts["cohort"] == name], scope, minor_units) for name in scope.cohorts
    }
    now, before = sides["now"], sides.get("before")
    if now is None:
        return None
    if before is None:
        return Velocity(now[0], None, {}, [])
    values = [
        {name: 1 / side[0][name] if name == "cycle" else side[0][name] for name in FACTORS} for side in (now, before)
    ]
    days = [(scope.cohorts[name].last_on - scope.cohorts[name].first_on).days + 1 for name in ("now", "before")]
    if days[0] != days[1]:  # months of unlike length: deals a day are compared, over the present months
        values[1]["n_deals"] *= days[0] / days[1]
    parts = stats.lmdi(*values)
    spread = {name: float(np.hypot(now[1][name], before[1][name])) for name in FACTORS}
    weight = stats.log_mean(*(float(np.prod(list(side.values()))) for side in values))
    freedom = min(side[0]["n_deals"] * side[0]["win_rate"] for side in (now, before)) - 1  # of the fewer won
    half = {name: student.ppf(0.5 + LEVEL / 2, freedom) * weight * spread[name] for name in FACTORS}
    n = round(now[0]["n_deals"] + before[0]["n_deals"])
    found = {name: Estimate(parts[name], parts[name] - half[name], parts[name] + half[name], n) for name in FACTORS}
    p = [
        2 * student.sf(abs(parts[name]) / (weight * spread[name]), freedom) if spread[name] else 1.0 for name in FACTORS
    ]
    adjusted = stats.adjust_for_many(p)
    velocity_before = float(np.prod(list(values[1].values())))
    return Velocity(
        now[0], before[0] | {"velocity": velocity_before, "n_deals": values[1]["n_deals"]}, found,
        [name for name, q in zip(FACTORS, adjusted, strict=True) if q < 0.05],
    )  # fmt: skip


def amount_spread(closing_counts: pd.DataFrame) -> float:
    """The standard error of the mean won amount of the present months, as a part of it; 0 of none."""
    won = closing_counts[(closing_counts["cohort"] == "now") & (closing_counts["status"] == WON)]
    total, squares, n = (float(won[name].sum()) for name in ("total", "squares", "n_amount"))
    return _relative(total, squares, n) if total > 0 else 0.0


def _factors(table: pd.DataFrame, scope: Scope, minor_units: int) -> tuple[dict[str, float], dict[str, float]] | None:
    """The factors, and the standard errors of their logarithms; None where they cannot be known."""
    by = table.drop(columns=["cohort", "group"]).groupby("status").sum().reindex([WON, LOST], fill_value=0)
    won, n = by.loc[WON], float(by["n"].sum())
    valued = won["n"] and won["n_amount"] >= 0.9 * won["n"] and not won["n_negative"] and won["total"] > 0
    if won["n"] < max(scope.min_deals, LEAST_WON) or not valued or won["n_days"] < won["n"] * 0.9 or won["days"] <= 0:
        return None
    win_rate, size, cycle = won["n"] / n, won["total"] / won["n_amount"] / minor_units, won["days"] / won["n_days"]
    factors = {"n_deals": n, "win_rate": float(win_rate), "deal_size": float(size), "cycle": float(cycle)}
    spread = {
        "n_deals": 1 / np.sqrt(n),
        "win_rate": np.sqrt((1 - win_rate) / won["n"]),
        "deal_size": _relative(won["total"], won["squares"], won["n_amount"]),
        "cycle": _relative(won["days"], won["days_squares"], won["n_days"]),
    }
    factors["velocity"] = n * win_rate * size / cycle
    return factors, spread


def _relative(total: float, squares: float, n: float) -> float:
    """The standard error of a mean in the mean."""
    mean = total / n
    return float(np.sqrt(max(squares / n - mean**2, 0.0) / max(n - 1, 1)) / mean)
