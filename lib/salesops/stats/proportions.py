"""Rates with intervals: one rate, a share of a sum, the difference of two rates, many comparisons."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2, fisher_exact, norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


class Estimate(NamedTuple):
    """A number with its interval at `LEVEL`, and how many cases it rests on."""

    value: float
    low: float
    high: float
    n: int


def wilson(n_yes: int, n: int) -> Estimate:
    """The share `n_yes / n` with Wilson's score interval.

    Raises
    ------
    ValueError
        If `n` is 0 or `n_yes` is not between 0 and `n`: there is no such rate.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17, 857-872, method 3.
    """
    if not 0 <= n_yes <= n or n == 0:
        raise ValueError(f"no rate of {n_yes} in {n}")
    low, high = proportion_confint(n_yes, n, alpha=1 - LEVEL, method="wilson")
    low, high = 0.0 if n_yes == 0 else float(low), 1.0 if n_yes == n else float(high)  # exact at the ends
    return Estimate(n_yes / n, low, high, n)


def ratio_of_sums(sum_yes: float, sum_no: float, squares_yes: float, squares_no: float, n: int) -> Estimate:
    """The share of a sum, such as won money in closed money, when each case brings its own amount.

    Parameters
    ----------
    sum_yes, sum_no : sums of the amounts of the cases that do and do not count.
    squares_yes, squares_no : sums of the squares of those amounts.
    n : number of cases.

    Returns
    -------
    Estimate
        The interval is the linearised (delta-method) one, taken on the logit scale so that it stays
        within 0 and 1; it is 0 to 1 where all or none of the money counts, since the cases then say
        nothing of their spread.

    Raises
    ------
    ValueError
        If there is no money at all.

    References
    ----------
    Cochran (1977), Sampling Techniques, 3rd ed., section 6.4 (variance of a ratio).
    """
    total = sum_yes + sum_no
    if total <= 0 or n == 0 or min(sum_yes, sum_no) < 0:
        raise ValueError("no share of a sum of nothing, or of sums below zero")
    share = sum_yes / total
    if share in (0.0, 1.0):
        return Estimate(share, 0.0, 1.0, n)
    variance = (squares_yes * (1 - share) ** 2 + squares_no * share**2) / total**2
    half = norm.ppf(0.5 + LEVEL / 2) * np.sqrt(variance) / (share * (1 - share))
    return Estimate(share, float(expit(logit(share) - half)), float(expit(logit(share) + half)), n)


def difference(new: Estimate, old: Estimate) -> Estimate:
    """`new` minus `old`, two independent rates, from their own intervals (square and add).

    With Wilson intervals this is Newcombe's method 10; it holds for any two estimates with intervals,
    such as Aalen-Johansen ones (the method of variance estimates recovery).

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17, 873-890, method 10. Zou, Donner (2008), Statistics in
    Medicine 27, 1693-1702.
    """
    change = new.value - old.value
    low = change - np.hypot(new.value - new.low, old.high - old.value)
    high = change + np.hypot(new.high - new.value, old.value - old.low)
    return Estimate(change, float(low), float(high), new.n + old.n)


def adjust_for_many(p_values: Sequence[float]) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values of one declared family of comparisons, in the same order.

    References
    ----------
    Benjamini, Hochberg (1995), J. of the Royal Statistical Society B 57, 289-300.
    """
    return multipletests(np.asarray(p_values, dtype=float), method="fdr_bh")[1] if len(p_values) else np.array([])


def adjust_for_any(p_values: Sequence[float]) -> np.ndarray:
    """Holm adjusted p-values of one declared family, in the same order: the chance that any claim at all is wrong.

    References
    ----------
    Holm (1979), Scandinavian J. of Statistics 6, 65-70.
    """
    p = np.asarray(p_values, dtype=float)  # statsmodels has it too, and collects all garbage in passing
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return stepped[np.argsort(order, kind="stable")]


def p_of_equal_rates(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Two-sided p of two rates, each as (how many, of how many), being equal: Fisher's exact test.

    References
    ----------
    Fisher (1934), Statistical Methods for Research Workers, 5th ed., section 21.02.
    """
    table = [[n_yes, n - n_yes] for n_yes, n in (first, second)]
    return float(fisher_exact(table).pvalue)


def p_of_equal_rates_within(n_yes: np.ndarray, n: np.ndarray, member: np.ndarray, stratum: np.ndarray) -> float:
    """p of all members having one rate within each stratum, whatever the rates of the strata: the generalised
    Mantel-Haenszel test. 1 where nothing can be compared.

    Parameters
    ----------
    n_yes, n : counts, one for each member and stratum that has any. member, stratum : numbers from 0, as long.

    References
    ----------
    Landis, Heyman, Koch (1978), International Statistical Review 46, 237-254, general association.
    """
    n_members = int(member.max()) + 1 if len(member) else 0
    gap, spread = np.zeros(n_members), np.zeros((n_members, n_members))
    for one in np.unique(stratum):
        here = stratum == one
        size = np.bincount(member[here], n[here], n_members)
        yes = np.bincount(member[here], n_yes[here], n_members)
        total, all_yes = size.sum(), yes.sum()
        if total < 2:
            continue
        gap += yes - size * all_yes / total
        common = all_yes * (total - all_yes) / (total**2 * (total - 1))
        spread += common * (total * np.diag(size) - np.outer(size, size))
    freedom = int(np.linalg.matrix_rank(spread))
    if not freedom:
        return 1.0
    return float(chi2.sf(gap @ np.linalg.pinv(spread, hermitian=True) @ gap, freedom))
