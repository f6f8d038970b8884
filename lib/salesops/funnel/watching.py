"""A share of deals by age, with those still open censored, and the age up to which it can be told."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import stats
from salesops.funnel.cohorts import LOST, OPEN, Scope
from salesops.stats import Estimate

DAY_HOURS = 24


class Watched(NamedTuple):
    """The share of some deals that ended by one cause, by age in hours, with open deals censored.

    Where none is open the cohort is complete, and the interval is Wilson's.
    """

    curve: stats.Incidence
    cause: str
    complete: bool

    def at(self, age: float) -> Estimate:
        found = self.curve.at(self.cause, age)
        return stats.wilson(round(found.value * found.n), found.n) if self.complete else found

    def supported(self, age: float, min_deals: int) -> float | None:
        """`age`, if enough deals have been watched so long or ended before; else the last whole day
        that enough were; None where there is no such day."""
        watched = self.curve.watched_until(min_deals)
        return age if watched >= age else watched // DAY_HOURS * DAY_HOURS or None


def watch(part: pd.DataFrame, cause: str, scope: Scope | None) -> dict:
    """watched and age_days of a group; None where there are too few deals, or no scope to judge by."""
    nothing = {"watched": None, "age_days": np.nan}
    if scope is None or part["n"].sum() < scope.min_deals:
        return nothing
    watched = Watched(incidence(part, cause), cause, complete=not (part["outcome"] == OPEN).any())
    age = watched.supported(scope.horizon_days * DAY_HOURS, scope.min_deals)
    return nothing if age is None else {"watched": watched, "age_days": age / DAY_HOURS}


def incidence(part: pd.DataFrame, cause: str) -> stats.Incidence:
    """Aalen-Johansen of `cause`, of being lost and of going another way, from rows of outcome, age and n."""
    outcome, n = part["outcome"].to_numpy(), part["n"].to_numpy()
    ends = [cause, LOST, *(["other"] if (outcome == "other").any() else [])]
    counted = {f"n_{end}": np.where(outcome == end, n, 0) for end in (*ends, OPEN)}
    table = pd.DataFrame({"age": part["age"].to_numpy(), **counted})
    return stats.aalen_johansen(table, {end: f"n_{end}" for end in ends})


def p_of_change(new: Watched, old: Watched, age_days: float) -> float:
    """Two-sided p of two shares being one at an age; see `stats.p_of_equal_incidence`."""
    return stats.p_of_equal_incidence(new.curve, old.curve, new.cause, age_days * DAY_HOURS)
