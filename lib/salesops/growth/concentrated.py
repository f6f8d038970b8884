"""How concentrated amounts are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOPS = (1, 5, 10)


class Concentration(NamedTuple):
    """n : of those that brought anything. tops : share of the largest 1, 5, 10. hhi : sum of squared shares.
    effective : how many equal ones would be as concentrated (1 / hhi). gini : 0 where all are equal."""

    n: int
    tops: tuple[float, ...]
    hhi: float
    effective: float
    gini: float


def concentration(amounts: Sequence[int]) -> Concentration | None:
    """How concentrated amounts above zero are; None of none.

    References
    ----------
    Herfindahl (1950), Hirschman (1945); effective number: Laakso, Taagepera (1979), Comparative Political Studies 12,
    3-27. Gini (1912).
    """
    values = np.sort(np.asarray([x for x in amounts if x > 0], dtype=float))[::-1]
    if not len(values):
        return None
    share = values / values.sum()
    hhi, n = float((share**2).sum()), len(values)
    gini = float((share[::-1] * (2 * np.arange(1, n + 1) - n - 1)).sum() / n)
    return Concentration(n, tuple(float(share[:k].sum()) for k in TOPS), hhi, 1 / hhi, gini)
