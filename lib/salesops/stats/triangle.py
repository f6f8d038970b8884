"""Triangles, cohort by age: what young cohorts will come to, with its standard error; money too.

The chain ladder takes from older cohorts how much is added from one age to the next. Where a young cohort has too
little of its own to be multiplied, what older ones came to stands in for it (Bornhuetter-Ferguson).

References
----------
Mack (1993), ASTIN Bulletin 23(2), 213-225. Bornhuetter & Ferguson (1972), Proceedings of the CAS 59, 181-195.
"""

from typing import NamedTuple

import numpy as np

LEAST_COHORTS = 3


class Projection(NamedTuple):
    """factors, sigma2 : from each age to the next. latest, ultimate, se : by cohort (its last age watched). total_se :
    of all cohorts together; with what they have in common. share : of the ultimate that is reached at each age."""

    factors: np.ndarray
    sigma2: np.ndarray
    latest: np.ndarray
    ultimate: np.ndarray
    se: np.ndarray
    total_se: float
    share: np.ndarray

    @property
    def to_come(self) -> np.ndarray:
        return self.ultimate - self.latest


def project(table: np.ndarray) -> Projection:
    """The chain ladder with Mack's standard errors.

    Parameters
    ----------
    table : (cohorts, ages), cumulative; NaN where a cohort was not watched so long, the oldest first. Each cohort is
    watched from the first age without a gap, no longer than the one before it.

    Raises
    ------
    ValueError
        If the table is no such triangle, has fewer than `LEAST_COHORTS` cohorts, or an age whose cohorts have nothing.
    """
    table = np.asarray(table, dtype="float64")
    known = ~np.isnan(table)
    n, ages = table.shape
    watched = known.sum(axis=1)
    shape = known == (np.arange(ages) < watched[:, None])
    if n < LEAST_COHORTS or not shape.all() or (watched < 1).any() or (np.diff(watched) > 0).any():
        raise ValueError("not a triangle: cohorts from the oldest on, each watched from its first age without a gap")
    if watched[0] < ages:
        raise ValueError("not a triangle: no cohort is watched to its last age")
    factors, sigma2 = np.ones(ages - 1), np.zeros(ages - 1)
    for k in range(ages - 1):
        both = watched > k + 1
        now, then = table[both, k], table[both, k + 1]
        if not now.sum():
            raise ValueError(f"nothing was reached at age {k + 1}")
        factors[k] = then.sum() / now.sum()
        if both.sum() > 1:
            ratio = np.divide(then, now, out=np.full(len(now), factors[k]), where=now != 0)
            sigma2[k] = float((now * (ratio - factors[k]) ** 2).sum()) / (both.sum() - 1)
        elif k > 1:  # the last one has one cohort: Mack's own rule
            last, before = sigma2[k - 1], sigma2[k - 2]
            sigma2[k] = min(last**2 / before, before, last) if before else 0.0
    full = table.copy()
    for k in range(1, ages):
        full[:, k] = np.where(known[:, k], table[:, k], full[:, k - 1] * factors[k - 1])
    latest = table[np.arange(n), watched - 1]
    ultimate = full[:, -1]
    sums = np.array([table[watched > k + 1, k].sum() for k in range(ages - 1)])
    spread = np.divide(sigma2, factors**2, out=np.zeros_like(sigma2), where=factors != 0)
    mse = np.zeros(n)
    for i in range(n):
        for k in range(watched[i] - 1, ages - 1):
            mse[i] += ultimate[i] ** 2 * spread[k] * (1 / max(full[i, k], 1e-300) + 1 / sums[k])
    total = mse.sum()
    for i in range(n):
        later = ultimate[i + 1 :].sum()
        for k in range(watched[i] - 1, ages - 1):
            total += 2 * ultimate[i] * later * spread[k] / sums[k]
    rest = np.append(np.cumprod(factors[::-1])[::-1], 1.0)
    share = np.divide(1.0, rest, out=np.zeros_like(rest), where=rest != 0)
    return Projection(factors, sigma2, latest, ultimate, np.sqrt(mse), float(np.sqrt(total)), share)


def bornhuetter_ferguson(made: Projection, exposure: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(cohorts,) ultimates: what each has, and for the rest of its way what a unit of exposure of all came to.

    Parameters
    ----------
    exposure : size of each cohort (leads, customers, quota). table : as of `project`.
    """
    watched = (~np.isnan(np.asarray(table, dtype="float64"))).sum(axis=1)
    reached = made.share[watched - 1]
    exposure = np.asarray(exposure, dtype="float64")
    rate = made.latest.sum() / (exposure * reached).sum()  # Cape Cod: by what the cohorts themselves have reached
    return made.latest + rate * exposure * (1 - reached)
