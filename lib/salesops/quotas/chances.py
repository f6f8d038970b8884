"""The chance that a seat attains its quota: its own record, drawn towards everybody's by how little there is of it.

Attainments are looked at as normal scores. What a rep's own mean says of the next quarter is shrunk by the shares of
the scatter that are the rep's and the quarter's (`costing.judge`); what is left is drawn.

References
----------
Searle, Casella & McCulloch (1992), Variance Components, chapter 7: best linear unbiased prediction.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from salesops.pay import costing

LEAST_WINS = 50  # of past quarters, below which days are taken alike
BANDS = (0.0, 0.25, 0.5, 0.75)  # of the chance


class Own(NamedTuple):
    """What is known of reps: mean and standard deviation of what is their own, in normal scores; (reps,)."""

    mean: np.ndarray
    sd: np.ndarray


class Record(NamedTuple):
    """What such chances were worth. said, came : mean chance told and share that attained, by band of the chance
    (`BANDS`); NaN where none was told. n : of each band. brier : mean squared error; base : of telling everybody the
    share that attained before. p : that the difference comes by chance, each quarter one observation; 1 where it is no
    gain, or fewer than three quarters were told."""

    said: np.ndarray
    came: np.ndarray
    n: np.ndarray
    brier: float
    base: float
    p: float


def own(scatter: costing.Scatter, history: pd.DataFrame, reps: Sequence[str]) -> Own:
    """What a rep's own record says; nothing of who has none."""
    scores = norm.ppf((rankdata(history["attainment"]) - 0.5) / len(history))
    by_rep = pd.Series(scores).groupby(history["rep_id"].to_numpy())
    mean, n = by_rep.mean().reindex(reps), by_rep.size().reindex(reps).fillna(0).to_numpy("float64")
    rest = max(1 - scatter.of_rep, 1e-9)  # a quarter's own luck is in a rep's mean, too
    trust = np.where(n > 0, scatter.of_rep / (scatter.of_rep + rest / np.maximum(n, 1)), 0.0)
    return Own(trust * mean.fillna(0).to_numpy("float64"), np.sqrt(scatter.of_rep * (1 - trust)))


def draw(
    scatter: costing.Scatter, history: pd.DataFrame, reps: Sequence[str], n_years: int, *, seed: int
) -> np.ndarray:
    """Attainments: (years, reps, 4 quarters); as many years from each block of the scatter, where it has any."""
    rng, blocks = np.random.default_rng(seed), scatter.blocks or (scatter,)
    found = []
    for one, part in zip(blocks, np.array_split(range(n_years), len(blocks)), strict=True):
        known = own(one, history, reps)
        mine = known.mean + known.sd * rng.standard_normal((len(part), len(reps)))
        common = np.sqrt(one.of_quarter) * rng.standard_normal((len(part), 1, 4))
        rest = np.sqrt(max(1 - one.of_rep - one.of_quarter, 0)) * rng.standard_normal((len(part), len(reps), 4))
        found.append(costing.met(one, mine[:, :, None] + common + rest))
    return np.concatenate(found)


def of_a_quarter(scatter: costing.Scatter, known: Own) -> np.ndarray:
    """(reps,): the chance to attain a quarter's quota."""
    n = len(scatter.values)
    below = np.clip(np.searchsorted(scatter.values, 1.0) / n, 0.5 / n, 1 - 0.5 / n)
    return norm.sf((norm.ppf(below) - known.mean) / np.sqrt(1 - scatter.of_rep + known.sd**2))


def record(history: pd.DataFrame) -> Record | None:
    """Chances as they would have been told before each quarter, from the quarters before it alone; None where no
    quarter has enough before it."""
    rows = []
    for quarter in sorted(history["quarter"].unique()):
        before, now = history[history["quarter"] < quarter], history[history["quarter"] == quarter]
        scatter = costing.judge(before)
        if scatter is not None:
            told = of_a_quarter(scatter, own(scatter, before, list(now["rep_id"])))
            alike = float((before["attainment"] >= 1).mean())
            rows += [(quarter, one, alike, float(hit)) for one, hit in zip(told, now["attainment"] >= 1, strict=True)]
    if not rows:
        return None
    table = pd.DataFrame(rows, columns=["quarter", "told", "alike", "hit"])
    errors, base = (table["told"] - table["hit"]) ** 2, (table["alike"] - table["hit"]) ** 2
    gains = (base - errors).groupby(table["quarter"]).mean()
    p = 1.0
    if len(gains) >= 3 and gains.std() and gains.mean() > 0:
        p = float(2 * student.sf(gains.mean() / (gains.std() / np.sqrt(len(gains))), len(gains) - 1))
    band = np.searchsorted(BANDS, table["told"].to_numpy(), side="right") - 1
    by_band = table.groupby(band)[["told", "hit"]].mean().reindex(range(len(BANDS)))
    n = np.bincount(band, minlength=len(BANDS))
    return Record(by_band["told"].to_numpy(), by_band["hit"].to_numpy(), n, float(errors.mean()), float(base.mean()), p)


def fair(history: pd.DataFrame, groups: Mapping[str, str], *, seed: int, times: int = 2000) -> float | None:
    """p that groups of reps differ in mean attainment as much by chance: reps are put into groups at random, so that a
    rep's quarters stay together; None where fewer than two groups have two reps."""
    means = history.groupby("rep_id")["attainment"].mean()
    means = means[[one in groups for one in means.index]]
    of = np.array([groups[one] for one in means.index])
    names, place = np.unique(of, return_inverse=True)
    if len(names) < 2 or (np.bincount(place) >= 2).sum() < 2:
        return None
    values, sizes = means.to_numpy("float64"), np.bincount(place)
    rng = np.random.default_rng(seed)
    mixed = np.stack([values, *(rng.permutation(values) for _k in range(times))])
    sums = np.stack([mixed[:, place == k].sum(axis=1) for k in range(len(names))], axis=1)
    between = ((sums / sizes - values.mean()) ** 2 * sizes).sum(axis=1)
    return float((1 + (between[1:] >= between[0] - 1e-12).sum()) / (1 + times))


def quota_for(attained: np.ndarray, share: float) -> float:
    """By what all quotas are to be multiplied for a share of seats to attain them, by the draws: (years, seats)."""
    return float(np.quantile(attained, 1 - share))
