"""What young cohorts will come to: what they have, and what those still open will do.

Chances by age are taken from all cohorts. How far a cohort is above or below them is drawn from what it has done so
far, by how much cohorts have differed: between Bornhuetter and Ferguson (nothing of its own counts) and the chain
ladder (all of it does).

References
----------
Bornhuetter & Ferguson (1972), Proceedings of the CAS 59, 181-195. Bühlmann (1967), ASTIN Bulletin 4(3), 199-207.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops.ripening.counts import LOST, OPEN, WON, known_on

METHODS = ("credibility", "bf", "ladder", "so_far")
LOW, HIGH = 0.05, 0.95
EVERY = 91  # days between the days that are gone back to
MOST_BACK = 4
LEAST_EXPECTED = 3.0  # conversions expected of a cohort, below which it tells nothing of how cohorts differ


class Cohorts(NamedTuple):
    """Arrays by cohort (rows, the oldest first) and age in days 0 to horizon: at_risk (just before that age's ends),
    won,
    lost, open (watched up to that age and not ended). names : numbers of the cohorts. n : size."""

    names: np.ndarray
    n: np.ndarray
    at_risk: np.ndarray
    won: np.ndarray
    lost: np.ndarray
    open: np.ndarray

    @property
    def horizon(self) -> int:
        return self.won.shape[1] - 1


class Ultimate(NamedTuple):
    """By cohort: so_far (conversions), told (method -> conversions by the horizon), low, high (90 % interval of the
    method
    chosen), open (how many are), factor (own, over all cohorts')."""

    cohorts: Cohorts
    so_far: np.ndarray
    told: dict[str, np.ndarray]
    low: np.ndarray
    high: np.ndarray
    open: np.ndarray
    factor: np.ndarray
    spread: float


class Record(NamedTuple):
    """errors : method, error (sum of absolute errors over what came). n : cohorts told of. n_held : whose 90 % interval
    held what came. chosen : the method with the least error. days : gone back to (numbers of days)."""

    errors: pd.DataFrame
    n: int
    n_held: int
    chosen: str
    days: list[int]


def cohorts(counts: pd.DataFrame, horizon: int) -> Cohorts:
    """Counts by cohort and age, nothing beyond the horizon."""
    names, row = np.unique(counts["cohort"].to_numpy(), return_inverse=True)
    age = counts["age"].to_numpy()
    late = age > horizon
    shape = (len(names), horizon + 1)
    made = {}
    for kind in (WON, LOST, OPEN):
        here = (counts["outcome"] == kind).to_numpy() & ~late
        made[kind] = np.zeros(shape)
        np.add.at(made[kind], (row[here], age[here]), counts["n"].to_numpy()[here])
    beyond = np.zeros(len(names))
    np.add.at(beyond, row[late], counts["n"].to_numpy()[late])
    ends = made[WON] + made[LOST] + made[OPEN]
    at_risk = ends[:, ::-1].cumsum(axis=1)[:, ::-1] + beyond[:, None]
    n = np.bincount(row, counts["n"].to_numpy(), len(names))
    return Cohorts(names, n, at_risk, made[WON], made[LOST], made[OPEN])


def chances(made: Cohorts, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """At each age: the chance to convert of those at risk, and the chance to convert by the horizon of one open after
    that age's ends. weights : of the cohorts."""
    weights = np.ones(len(made.names)) if weights is None else weights
    risk = weights @ made.at_risk
    won, lost = (
        np.divide(weights @ one, risk, out=np.zeros_like(risk), where=risk > 0) for one in (made.won, made.lost)
    )
    later = np.zeros(len(risk))
    for age in range(len(risk) - 2, -1, -1):
        later[age] = won[age + 1] + (1 - won[age + 1] - lost[age + 1]) * later[age + 1]
    return won, later


def project(made: Cohorts, *, n_draws: int, seed: int, chosen: str = "credibility") -> Ultimate:
    """What each cohort will have come to when all of it is as old as the horizon.

    The interval knows that the chances are estimates (cohorts are drawn again), that a cohort may differ from the
    others
    by as much as cohorts have, and leaves to chance what each open one does.
    """
    won, later = chances(made)
    so_far = made.won.sum(axis=1)
    expected = made.at_risk @ won
    to_come = made.open @ later
    spread = between(so_far, expected)
    factors = _factors(so_far, expected, spread)
    told = {name: so_far + factor * to_come for name, factor in factors.items()}
    told["so_far"] = so_far
    rng = np.random.default_rng(seed)
    drawn = np.empty((n_draws, len(so_far)))
    n_open = made.open.sum(axis=1).astype("int64")
    size = len(made.names)
    for k in range(n_draws):
        weights = rng.multinomial(size, np.full(size, 1 / size)).astype("float64")
        again, ahead = chances(made, weights)
        own = _draw_factor(chosen, so_far, made.at_risk @ again, spread, rng)
        chance = np.divide(made.open @ ahead, n_open, out=np.zeros(size), where=n_open > 0)
        # Those open differ in age, and so in chance: their mean chance draws as many and scatters a little more.
        drawn[k] = so_far + rng.binomial(n_open, np.clip(own * chance, 0, 1))
    low, high = np.quantile(drawn, (LOW, HIGH), axis=0)
    factor = factors.get(chosen, np.ones(size))
    return Ultimate(made, so_far, told, low, high, n_open, factor, spread)


def between(so_far: np.ndarray, expected: np.ndarray) -> float:
    """The variance of cohorts' factors: what they differ by beyond what chance makes of counts."""
    enough = expected >= LEAST_EXPECTED
    if enough.sum() < 3:
        return 0.0
    off = (so_far - expected)[enough]
    return float(max(0.0, ((off**2).sum() - expected[enough].sum()) / (expected[enough] ** 2).sum()))


def _factors(so_far: np.ndarray, expected: np.ndarray, spread: float) -> dict[str, np.ndarray]:
    own = np.divide(so_far, expected, out=np.ones_like(expected), where=expected > 0)
    if spread <= 0:
        return {"credibility": np.ones_like(expected), "bf": np.ones_like(expected), "ladder": own}
    return {"credibility": (1 / spread + so_far) / (1 / spread + expected), "bf": np.ones_like(expected), "ladder": own}


def _draw_factor(chosen: str, so_far, expected, spread: float, rng: np.random.Generator) -> np.ndarray:
    if chosen == "ladder":
        return np.divide(rng.gamma(so_far + 0.5), expected, out=np.ones_like(expected), where=expected > 0)
    if spread <= 0:
        return np.ones_like(expected)
    if chosen == "bf":
        return rng.gamma(1 / spread, spread, len(expected))
    return rng.gamma(1 / spread + so_far) / (1 / spread + expected)


def judge(counts: pd.DataFrame, today: int, horizon: int, *, least: int, n_draws: int, seed: int) -> Record | None:
    """Each method told on days of the past, of cohorts that were not ripe then and are now. None where there are none.

    counts : see `counts.read`. today : the number of the last day known.
    """
    days = [today - horizon - EVERY * k for k in range(MOST_BACK)]
    missed, came = dict.fromkeys(METHODS, 0.0), 0.0
    held: dict[str, int] = dict.fromkeys(METHODS[:3], 0)
    n, told_on = 0, []
    whole = cohorts(counts, horizon)
    ripe = dict(zip(whole.names, whole.won.sum(axis=1), strict=True))
    for day in days:
        then = known_on(counts, day)
        if then.empty or then["created"].min() > day - horizon:
            continue
        # Only cohorts whose all had come by that day, and which were not ripe on it.
        last = then.groupby("cohort")["created"].max()
        complete = {name for name in last.index if name < max(last.index)}
        made = cohorts(then, horizon)
        ours = np.array([name in complete and last[name] > day - horizon and size >= least
                         for name, size in zip(made.names, made.n, strict=True)])  # fmt: skip
        if not ours.any():
            continue
        actual = np.array([ripe[name] for name in made.names])
        told_on.append(day)
        n += int(ours.sum())
        came += actual[ours].sum()
        for method in METHODS[:3]:
            got = project(made, n_draws=n_draws, seed=seed, chosen=method)
            held[method] += int(((got.low <= actual) & (actual <= got.high))[ours].sum())
        for method in METHODS:
            missed[method] += np.abs(got.told[method] - actual)[ours].sum()
    if not n or not came:
        return None
    errors = pd.DataFrame([(name, one / came) for name, one in missed.items()], columns=["method", "error"])
    chosen = errors.loc[errors["error"].idxmin(), "method"]
    chosen = "credibility" if chosen == "so_far" else chosen
    return Record(errors, n, held[chosen], chosen, told_on)
