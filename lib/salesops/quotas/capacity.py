"""Who will be there to sell: heads, the months newcomers take to sell as others do, and those who leave."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2

from salesops import periods

MONTHS = 12


class Leaving(NamedTuple):
    """Reps who left, in how many rep-years; the rate a year with its exact 95 % interval (Garwood 1936)."""

    n: int
    years: float
    rate: float
    low: float
    high: float


class Each(NamedTuple):
    """What a rep who is past the ramp books in a month. means : of each quarter of the record, of all such reps. spread
    : of one rep's from them. n : rep-quarters."""

    means: np.ndarray
    spread: float
    n: int


class Heads(NamedTuple):
    """Of the next months. months : their first days. heads, productive : (draws, months); a newcomer counts as the ramp
    says. booked : (draws, months), what those who are there book: each quarter as good as one of the record, and each
    rep as far from it as reps have been. each, leaving : see there."""

    months: list[dt.date]
    heads: np.ndarray
    productive: np.ndarray
    booked: np.ndarray
    each: Each
    leaving: Leaving


def leaving(reps: pd.DataFrame, since: dt.date, until: dt.date) -> Leaving:
    """How fast reps leave: of those there from one day to another.

    Parameters
    ----------
    reps : hired_on, left_on; days or missing (there before; still there).
    """
    n, days = 0, 0
    for row in reps.itertuples():
        first = max(row.hired_on or since, since)
        last = min(row.left_on or until, until)
        days += max((last - first).days + 1, 0)
        n += row.left_on is not None and since <= row.left_on <= until
    years = days / 365.25
    low = chi2.ppf(0.025, 2 * n) / 2 if n else 0.0
    high = chi2.ppf(0.975, 2 * n + 2) / 2
    return Leaving(int(n), years, n / years if years else 0.0, low / max(years, 1e-9), high / max(years, 1e-9))


def plan_heads(
    tenures: Sequence[int], ramp: Sequence[float], gone: Leaving, hires: Mapping[str, int], *, first: dt.date,
    months_to_fill: int, each: Each, n_draws: int, seed: int,
) -> Heads:  # fmt: skip
    """The next twelve months, drawn: each month a rep leaves with the record's rate (drawn, too, for it is not known
    well), and is followed after `months_to_fill` by a newcomer.

    Parameters
    ----------
    tenures : months that each rep has been there. ramp : share of what others sell in each month of tenure. hires :
    month (2027-01) -> new reps beside those who follow others. first : first day of the first month.
    """
    rng = np.random.default_rng(seed)
    months = [periods.add_months(first, k) for k in range(MONTHS)]
    # The rate is known as well as its count allows: a gamma with the Jeffreys prior.
    yearly = rng.gamma(gone.n + 0.5, 1 / max(gone.years, 1e-9), n_draws) if gone.years else np.zeros(n_draws)
    stay = np.exp(-yearly / 12)
    longest = max([len(ramp), *tenures, 1]) + MONTHS + 1
    there = np.zeros((n_draws, longest), dtype=np.int64)  # by months of tenure
    for tenure in tenures:
        there[:, min(tenure, longest - 1)] += 1
    share = np.ones(longest)
    share[: len(ramp)] = ramp
    coming = np.zeros((n_draws, MONTHS + months_to_fill + 1), dtype=np.int64)
    heads, productive = np.zeros((n_draws, MONTHS), dtype=np.int64), np.zeros((n_draws, MONTHS))
    for k, month in enumerate(months):
        there[:, 0] += coming[:, k] + hires.get(f"{month:%Y-%m}", 0)
        heads[:, k], productive[:, k] = there.sum(axis=1), there @ share
        left = there - rng.binomial(there, stay[:, None])
        there -= left
        coming[:, k + 1 + months_to_fill] += left.sum(axis=1)
        there[:, 1:-1], there[:, -1] = there[:, :-2].copy(), there[:, -1] + there[:, -2]
        there[:, 0] = 0
    quarter = rng.choice(each.means, (n_draws, -(-MONTHS // 3)))
    noise = each.spread * np.sqrt(np.maximum(productive[:, ::3], 0)) * rng.standard_normal(quarter.shape)
    booked = productive * np.repeat(quarter, 3, axis=1) + np.repeat(noise, 3, axis=1)
    return Heads(months, heads, productive, np.maximum(booked, 0), each, gone)
