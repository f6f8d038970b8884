"""Forecasts made again at earlier days, each from what was known then, and how far off they were.

The rule that makes today's forecast makes all of them: fitted anew on the weeks that had ended, judged by the errors
of the quarters that had. Beside it stand the usual methods, made from the same knowledge.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import stats
from salesops.forecast import hazard, simulate, unborn
from salesops.forecast.risk import History, Layout, Moments
from salesops.forecast.weeks import EARLIER, END, N_WEEKS, Weeks
from salesops.stats import scores

POINTS = (13, 10, 7, 4, 1)  # weeks before a quarter's end
LEAST_WEEKS = 26  # of history, before a forecast is made for the record
RECORD_DRAWS = 1000
LEAST_CONFORMAL = 10  # past forecasts of a point, from which on intervals are widened to what they would have had to be
BAND = 0.8
QUANTILES = (0.1, 0.5, 0.9)
CHANCES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # between which those of single deals are counted together
PRIOR_DEALS = 20  # that a common rate counts for
SCORED = ["quarter", "point", "on", "actual", "booked", "mean", "low", "middle", "high", "widened", "crps", "place",
          "alone_low", "alone_high", "shock"]  # fmt: skip
METHODS = ("crm", "cycle", "stage", "stage_week", "last_year", "last_quarter")


class Made(NamedTuple):
    """One forecast. quarter, point, left, part_of_week, on : of what, when. booked, actual : won up to then, and in
    the quarter (NaN if not ended). part : what may still be won. shock : the common one as judged then. deals : open
    deals with p and expected. to_come : deals expected to come in. n_learnt : deal-weeks. usual : method -> (mean,
    variance) of the quarter's total. widened : factor by which the band was widened, 1 where the record is too short
    to say.
    """

    quarter: str
    point: int
    left: int
    part_of_week: float
    on: object
    booked: float
    actual: float
    part: simulate.Part
    shock: simulate.Shock
    deals: pd.DataFrame
    to_come: unborn.Unborn
    n_learnt: int
    usual: dict[str, tuple[float, float]]
    model: hazard.Model | None
    calibration: tuple[float, float]

    @property
    def mean(self) -> float:
        return self.booked + self.part.mean


def make_all(
    layout: Layout, history: History, moments: Moments, origins: pd.DataFrame, weeks: Weeks, *, minor_units: int,
    learn_quarters: int, n_atoms: int,
) -> list[Made]:  # fmt: skip
    """All forecasts of `origins`, the earliest first; the last is today's."""
    booked = moments.booked.groupby("week")["amount"].sum()
    actuals = origins[origins["point"] == END].set_index("quarter")["week"].map(booked).fillna(0.0).to_dict()
    by_week = dict(tuple(moments.deals.groupby("week")))
    nothing = moments.deals.iloc[:0]
    first = int(weeks.ends["week"].min()) if len(weeks.ends) else 0
    coded = hazard.code(layout, history.cells)
    arrivals = unborn.prepare(history.births, len(layout.stages), n_atoms)
    made, model = [], None
    for origin in origins[origins["point"] != END].itertuples():
        today = origin.quarter == origins["quarter"].iloc[-1]
        if origin.number - first < LEAST_WEEKS and not today:
            continue
        deals = by_week.get(origin.week, nothing)
        state = _learn(layout, history, coded, origin, learn_quarters, model)
        model = state or model
        ended = [one for one in made if one.actual == one.actual and one.quarter < origin.quarter]
        known = {name: amount for name, amount in actuals.items() if name < origin.quarter}
        made.append(
            _make(
                layout,
                history,
                arrivals,
                weeks,
                origin,
                deals,
                state,
                ended,
                known,
                float(booked.get(origin.week, 0.0)),
                np.nan if today else actuals.get(origin.quarter, np.nan),
                minor_units,
            )
        )
    return made


def _learn(layout: Layout, history: History, coded: hazard.Coded, origin, learn_quarters: int, start):
    """The model of the weeks that had ended; None where there were none."""
    since = origin.number - N_WEEKS * learn_quarters
    gathered = coded.gather((coded.week < origin.number) & (coded.week >= since))
    if not len(gathered.n):
        return None
    moves = history.moves[(history.moves["week"] < origin.number) & (history.moves["week"] >= since)]
    return hazard.fit(layout, gathered, moves, start)


def _make(layout, history, arrivals, weeks, origin, deals, model, ended, known, booked, actual, minor_units) -> Made:
    opening = origin.point == EARLIER and origin.left == N_WEEKS - 1 and origin.part == 1
    past = [one for one in ended if one.point == (POINTS[0] if opening else origin.point)]
    come = unborn.recent_patterns(arrivals, origin.number)
    patterns = np.unique(np.concatenate([deals[["group", "size", "pushes"]].to_numpy(dtype=int), come]), axis=0)
    amounts, spread = _amounts(history, origin.number, deals, minor_units)
    if model is None or not len(patterns):
        p, calibration = np.zeros(len(deals)), (0.0, 1.0)
        to_come = unborn.NONE._replace(cells=np.zeros((arrivals.n_atoms, 3)))
    else:
        chances = hazard.look_ahead(model, origin.left, origin.part, patterns)
        calibration = _calibration(past)
        p = hazard.calibrated(chances.of(deals), calibration)
        to_come = unborn.expect(
            arrivals, weeks, chances, origin.number, minor_units, left=origin.left, part=origin.part
        )
    cells = to_come.cells.copy()  # of wins, with the means of their amounts and of the squares
    cells[:, 1:] = np.divide(cells[:, 1:], cells[:, :1], out=np.zeros_like(cells[:, 1:]), where=cells[:, :1] > 0)
    share = min(cells[:, 0].sum() / max(to_come.n, 1e-9), 1.0)
    part = simulate.Part(p, amounts, deals["atom"].to_numpy(dtype=int), spread, cells, to_come.scatter, share)
    shock = simulate.judge_shock(
        np.array([one.actual - one.mean for one in past]), np.array([one.part.slope for one in past]),
        np.array([one.part.noise for one in past]),
        doubt=1 / np.sqrt((model.n_won if model else 0) + 1),
    )  # fmt: skip
    deals = deals.assign(p=p, expected=amounts)
    usual = _usual(layout, history, origin, deals, past, ended, known, booked)
    return Made(
        origin.quarter,
        origin.point,
        origin.left,
        origin.part,
        origin.on,
        booked,
        actual,
        part,
        shock,
        deals,
        to_come,
        model.n if model else 0,
        usual,
        model,
        calibration,
    )


def _amounts(history: History, number: int, deals: pd.DataFrame, minor_units: int) -> tuple[np.ndarray, np.ndarray]:
    """What each open deal will be won for, if it is, and how far from that, relatively."""
    wins = history.wins[history.wins["week"] <= number]
    seen = wins[["priced", "was", "became", "spread2", "n_paid", "minor", "minor2"]].sum()
    usual = seen["was"] / seen["priced"] * PRIOR_DEALS if seen["priced"] else 1.0
    ratio = (seen["became"] + usual) / (seen["was"] + usual)
    spread = np.sqrt(seen["spread2"] / seen["priced"]) if seen["priced"] else 0.0
    mean = seen["minor"] / seen["n_paid"] / minor_units if seen["n_paid"] else 0.0
    scatter = np.sqrt(max(seen["minor2"] / seen["n_paid"] / minor_units**2 - mean**2, 0)) / mean if mean else 0.0
    amount = deals["amount"].to_numpy()
    priced = np.nan_to_num(amount, nan=-1.0) > 0
    return np.where(priced, amount * ratio, mean), np.where(priced, spread, scatter)


def _calibration(past: list[Made]) -> tuple[float, float]:
    """Intercept and slope on the logit that earlier forecasts of the point would have needed, drawn to (0, 1)."""
    if not past:
        return 0.0, 1.0
    p = np.concatenate([one.deals["p"].to_numpy() for one in past])
    won = np.concatenate([one.deals["won"].to_numpy(dtype=float) for one in past])
    inside = (p > 1e-9) & (p < 1 - 1e-9)
    if not inside.any():
        return 0.0, 1.0
    x, y = np.log(p[inside] / (1 - p[inside])), won[inside]
    columns, prior = np.column_stack([np.ones(len(x)), x]), np.array([0.0, 1.0])
    precision, beta = np.diag([0.2**-2, 0.1**-2]), prior.copy()
    for _step in range(25):
        q = 1 / (1 + np.exp(-columns @ beta))
        slope = columns.T @ (y - q) - precision @ (beta - prior)
        move = np.linalg.solve((columns * (q * (1 - q))[:, None]).T @ columns + precision, slope)
        beta = beta + move
        if np.abs(move).max() < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def _usual(layout, history, origin, deals, past, ended, known, booked) -> dict[str, tuple[float, float]]:
    """What the usual methods would have said; a method that cannot be used then is missing."""
    amount, stage = deals["expected"].to_numpy(), deals["stage"].to_numpy(dtype=int)
    found = {}

    def add(name: str, p: np.ndarray, more: tuple[float, float] = (0.0, 0.0)) -> None:
        found[name] = (booked + float(p @ amount) + more[0], float((p * (1 - p)) @ amount**2) + more[1])

    chance = layout.stages["probability"].to_numpy(dtype=float)[stage]
    if len(deals) and np.isfinite(chance).all():
        add("crm", np.where(deals["due"], chance, 0.0))
    wins = history.wins.loc[history.wins["week"] <= origin.number, ["n", "days"]].sum()
    if wins["n"]:
        cycle = max(wins["days"] / wins["n"], 1.0)
        add("cycle", np.minimum((deals["age_weeks"].to_numpy() * 7 + 3.5) / cycle, 1.0))
    if past:
        n_stages = len(layout.stages)
        add("stage", _shares(ended, n_stages)[stage])
        later = np.array([one.actual - one.booked - one.deals["won_amount"].sum() for one in past])
        scatter = later.var(ddof=1) * (1 + 1 / len(later)) if len(later) > 1 else later.mean() ** 2
        add("stage_week", _shares(past, n_stages)[stage], (float(later.mean()), float(scatter)))
    year, quarter = origin.quarter.split("-")
    before = f"{int(year) - 1}-{quarter}"
    if before in known:
        found["last_year"] = (known[before], np.nan)
    if known:
        found["last_quarter"] = (known[max(known)], np.nan)
    return found


def _shares(past: list[Made], n_stages: int) -> np.ndarray:
    """By stage, the share of open deals that were won by the quarter's end, drawn to that of all stages together."""
    stage = np.concatenate([one.deals["stage"].to_numpy(dtype=int) for one in past])
    won = np.concatenate([one.deals["won"].to_numpy(dtype=float) for one in past])
    n, n_won = np.bincount(stage, minlength=n_stages), np.bincount(stage, won, n_stages)
    common = n_won.sum() / max(n.sum(), 1)
    return (n_won + PRIOR_DEALS * common) / (n + PRIOR_DEALS)


def score(made: list[Made], *, seed: int) -> pd.DataFrame:
    """One row for each forecast of a quarter that has ended.

    Returns
    -------
    DataFrame
        quarter, point, on, actual, booked, mean, low, middle, high (of the 80 % band), widened, crps, place (share of
        draws below the actual), alone_low, alone_high (the band if deals were independent), and for each method
        mean_<method>, crps_<method>.
    """
    rows = []
    for one in made:
        if one.point in (END, EARLIER) or one.actual != one.actual:
            continue
        past = [row for row in rows if row["point"] == one.point]
        one = one._replace(part=one.part.whole())
        draws, widened = draw(one, past, n_draws=RECORD_DRAWS, seed=seed)
        total = draws.sum(axis=1) + one.booked
        alone = simulate.roll_up(one.part, simulate.NO_SHOCK, n_draws=RECORD_DRAWS, seed=seed).sum(axis=1) + one.booked
        low, middle, high = np.quantile(total, QUANTILES)
        row = {
            "quarter": one.quarter, "point": one.point, "on": one.on, "actual": one.actual, "booked": one.booked,
            "mean": one.mean, "low": low, "middle": middle, "high": high, "widened": widened,
            "crps": scores.crps_of_draws(total, one.actual), "place": float((total < one.actual).mean()),
            "alone_low": np.quantile(alone, 0.1), "alone_high": np.quantile(alone, 0.9), "shock": one.shock.size,
        }  # fmt: skip
        for name, (mean, variance) in one.usual.items():
            row[f"mean_{name}"] = mean
            row[f"crps_{name}"] = (
                scores.crps_of_normal(mean, np.sqrt(variance), one.actual)
                if variance == variance
                else abs(mean - one.actual)
            )
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else SCORED)


class Reliability(NamedTuple):
    """Chances of single deals told at one point of past quarters, and what came. bands : low, high, n, told (mean
    chance), won (Estimate). brier, plain : mean squared error of the chances, and of the share won told for every
    deal."""

    bands: pd.DataFrame
    brier: float
    plain: float


def reliability(made: list[Made], point: int) -> Reliability | None:
    """How often deals were won in time, by the chance that was told; None where no quarter has ended."""
    past = [one.deals for one in made if one.point == point and one.actual == one.actual]
    if not past or not sum(map(len, past)):
        return None
    p = np.concatenate([deals["p"].to_numpy() for deals in past])
    won = np.concatenate([deals["won"].to_numpy(dtype=float) for deals in past])
    rows, band = [], np.searchsorted(CHANCES[1:-1], p, side="right")
    for k in np.unique(band):
        here = band == k
        rows.append(
            (
                CHANCES[k],
                CHANCES[k + 1],
                int(here.sum()),
                p[here].mean(),
                stats.wilson(int(won[here].sum()), int(here.sum())),
            )
        )
    bands = pd.DataFrame(rows, columns=["low", "high", "n", "told", "won"])
    return Reliability(bands, scores.brier(p, won), scores.brier(np.full(len(won), won.mean()), won))


def draw(one: Made, past: list[dict], *, n_draws: int, seed: int) -> tuple[np.ndarray, float]:
    """Draws of what is still to be won, (n_draws, atoms), and the factor by which the record widened them."""
    draws = simulate.roll_up(one.part, one.shock, n_draws=n_draws, seed=seed)
    if len(past) < LEAST_CONFORMAL:
        return draws, 1.0
    off = [
        abs(row["actual"] - row["middle"]) / max((row["high"] - row["low"]) / 2, 1e-9) * row["widened"] for row in past
    ]
    rank = min(int(np.ceil((len(off) + 1) * BAND)), len(off)) - 1
    factor = max(float(np.sort(off)[rank]), 1.0)
    total = draws.sum(axis=1, keepdims=True)
    wanted = np.maximum(total.mean() + factor * (total - total.mean()), 0)
    return draws * np.divide(wanted, total, out=np.ones_like(total), where=total > 0), factor
