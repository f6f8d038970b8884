"""Decompositions whose parts sum to the whole exactly: of a product, of an average, of a joint effect."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd


def log_mean(a: float, b: float) -> float:
    """The logarithmic mean of two positive numbers: (a - b) / (ln a - ln b); `a` where they are equal."""
    return a if np.isclose(a, b, rtol=1e-12, atol=0) else (a - b) / (np.log(a) - np.log(b))


def lmdi(new: Mapping[str, float], old: Mapping[str, float]) -> dict[str, float]:
    """What each factor of a product brought to its change; the parts sum to the change.

    Parameters
    ----------
    new, old : the factors by name, all above zero; a divisor is given as its reciprocal.

    Returns
    -------
    dict
        In the unit of the product: L(V1, V0) ln(x1 / x0) for each factor x, L the logarithmic mean.

    Raises
    ------
    ValueError
        If the names differ or a factor is not above zero: a logarithm of it does not exist.

    References
    ----------
    Ang (2005), Energy Policy 33, 867-871: the additive LMDI-I method.
    """
    if list(new) != list(old):
        raise ValueError(f"factors differ: {list(new)} and {list(old)}")
    if bad := [name for side in (new, old) for name, x in side.items() if not x > 0]:
        raise ValueError(f"not above zero: {', '.join(bad)}")
    weight = log_mean(float(np.prod(list(new.values()))), float(np.prod(list(old.values()))))
    return {name: weight * float(np.log(new[name] / old[name])) for name in new}


def kitagawa(share: pd.DataFrame, rate: pd.DataFrame) -> pd.DataFrame:
    """What the change of an average owes to each group's share of the whole (mix) and to its own rate.

    Parameters
    ----------
    share, rate : columns now and before, one row per group; each column of `share` sums to 1.

    Returns
    -------
    DataFrame
        mix, own: one row per group. Their total is the change of the average. A group's mix counts
        against the average of both times, so a growing group of usual rate brings nothing.

    Raises
    ------
    ValueError
        If the shares of a time do not sum to 1.

    References
    ----------
    Kitagawa (1955), J. of the American Statistical Association 50, 1168-1194, with midpoint weights.
    """
    if not np.allclose(share[["now", "before"]].sum(), 1):
        raise ValueError(f"shares sum to {share['now'].sum()} now and {share['before'].sum()} before, not to 1")
    middle_rate, middle_share = rate[["now", "before"]].mean(axis=1), share[["now", "before"]].mean(axis=1)
    usual = float((share["now"] * rate["now"]).sum() + (share["before"] * rate["before"]).sum()) / 2
    mix = (share["now"] - share["before"]) * (middle_rate - usual)
    return pd.DataFrame({"mix": mix, "own": (rate["now"] - rate["before"]) * middle_share})


def shapley(players: Sequence[Hashable], value: Callable[[frozenset], float]) -> dict[Hashable, float]:
    """A joint effect shared out so that the order in which it was reached does not matter.

    Parameters
    ----------
    players : at most 12, since every one of their 2 ** n sets is asked for.
    value : the effect of a set of players together.

    Returns
    -------
    dict
        The shares; they sum to value(all) - value(none).

    Raises
    ------
    ValueError
        For more than 12 players.

    References
    ----------
    Shapley (1953), Contributions to the Theory of Games II, 307-317.
    """
    n = len(players)
    if n > 12:
        raise ValueError(f"{n} players have too many sets")
    found = {frozenset(some): value(frozenset(some)) for k in range(n + 1) for some in combinations(players, k)}
    weight = [factorial(k) * factorial(n - k - 1) / factorial(n) for k in range(n)]
    return {
        one: sum(weight[len(some)] * (found[some | {one}] - worth) for some, worth in found.items() if one not in some)
        for one in players
    }


def whole_parts(parts: Mapping[str, Fraction]) -> dict[str, int]:
    """Exact parts as whole numbers that sum to the rounded sum: the largest remainders are rounded up.

    Raises
    ------
    ValueError
        If there is no part.
    """
    if not parts:
        raise ValueError("no part to round")
    floors = {name: int(part // 1) for name, part in parts.items()}
    left = round(sum(parts.values(), Fraction(0))) - sum(floors.values())
    order = sorted(parts, key=lambda name: (floors[name] - parts[name], name))
    return {name: floors[name] + (name in order[:left]) for name in parts}
