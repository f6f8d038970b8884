"""Plans that are looked for: bands, accelerators and caps under a budget and a limit of losers; no black box.

Every candidate pays the target pay at the quota, so that what differs is who gets it. All of them are shown, and the
few on the frontier are paid again to the cent.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from salesops.pay.plans import Band, Component, Limit, Plan, Table

KINKS = (0.0, 0.4, 0.5, 0.6, 0.7)  # of the quota, where the second band begins
LOWS = (0.0, 0.5, 0.8, 1.0)  # rate below it; 0 is a threshold
TOPS = (1.0, 1.25, 1.5, 1.8, 2.0, 2.5, 3.0)  # rate above the quota
CAPS = (None, 2.0, 2.5, 3.0)  # of the target pay of a period
STEEPEST = 3.0  # rate between the kink and the quota
LESS = 0.01  # a fall of pay below this share is none


class Asked(NamedTuple):
    """budget : P90 of a year. most_losers : share of reps. pay_mix : variable over all; 0 is as now. n : plans."""

    budget: float
    most_losers: float
    pay_mix: float
    n: int


class Candidate(NamedTuple):
    """kink, low, mid, top, cap : of its bands, by shares of quota and target pay. cost : P50 of a year. p90. reward :
    see `reward`. losers : share of reps who would have had less, base
    and variable pay together. pay_mix : variable pay over all. name : of the
    best."""

    kink: float
    low: float
    mid: float
    top: float
    cap: float | None
    cost: float
    p90: float
    reward: float
    losers: float
    pay_mix: float
    name: str = ""


class Search(NamedTuple):
    """candidates : all. allowed : which of them are within the limits. best : on the frontier, the cheapest first."""

    candidates: list[Candidate]
    allowed: list[bool]
    best: list[Candidate]


class Parts(NamedTuple):
    """(years, reps), money: what the main component pays, all do, and those beside it whose pay is of the target."""

    main: np.ndarray
    all: np.ndarray
    of_target: np.ndarray


def main_of(plan: Plan) -> Component | None:
    """The component whose bands are looked for: bookings against a quota, in marginal shares of the target pay."""
    for one in plan.components:
        paid = one.table.way == "marginal" and one.table.kind == "pays" and one.table.by == "attainment"
        plain = one.gate is None and one.multiplier is None and one.windfall is None and one.accelerates_after is None
        whole = one.cap.deal is None and one.measure == "bookings" and one.period in ("quarter", "half", "year")
        if paid and plain and whole:
            return one
    return None


def find(
    plan: Plan, attained: np.ndarray, quotas: np.ndarray, share: float, parts: Parts,
    past: Mapping[str, tuple[float, float, np.ndarray]], asked: Asked,
) -> Search:  # fmt: skip
    """Candidates for the main component of a plan, everything else as it is.

    Parameters
    ----------
    attained : (years, reps, 4). quotas : (reps, 4). share : of what is booked that the main component measures. past :
    rep -> earned in all, years of base pay, attainments of the main component.
    """
    main = main_of(plan)
    ote, variable = float(plan.pay.base + plan.pay.variable), float(plan.pay.variable)
    mix = asked.pay_mix or variable / ote
    scale = mix * ote / variable
    base, base_now = ote * (1 - mix), float(plan.pay.base)
    n = {"quarter": 4, "half": 2, "year": 1}["year" if main.to_date else main.period]
    step = max(len(attained) // 1000, 1)  # of each block of draws some
    years = attained[::step]
    booked = (years * quotas).reshape(*years.shape[:2], n, 4 // n).sum(axis=3)
    at = share * booked / quotas.reshape(len(quotas), n, 4 // n).sum(axis=2)
    target = variable * float(main.weight) / n
    own = curve_of(main, target)
    # A share of the target pay is of another target under another mix; a rate of what is sold is not.
    rest = (parts.all - parts.main + (scale - 1) * parts.of_target)[::step] + base - base_now
    year = (years * quotas).sum(axis=2) / quotas.sum(axis=1)
    candidates = []
    for kink, low, mid, top, cap in shapes():
        points = curve(kink, low, mid, top, cap)
        pay = scale * target * np.interp(at, *points).sum(axis=2) + rest
        cost = pay.sum(axis=1)
        losers = 0
        for earned, on_it, reached in past.values():
            had = earned + base_now * on_it
            has = had + target * (scale * np.interp(reached, *points) - np.interp(reached, *own)).sum()
            losers += has + (base - base_now) * on_it < had * (1 - LESS)
        candidates.append(Candidate(kink, low, mid, top, cap, float(np.median(cost)), float(np.quantile(cost, 0.9)),
                                    reward(year, pay - base + base_now), losers / max(len(past), 1), mix))  # fmt: skip
    allowed = [one.p90 <= asked.budget and one.losers <= asked.most_losers for one in candidates]
    front = frontier([one for one, good in zip(candidates, allowed, strict=True) if good])
    at_most = min(asked.n, len(front))
    chosen = sorted({round(k) for k in np.linspace(0, len(front) - 1, at_most)}) if at_most else []
    return Search(candidates, allowed, [front[k]._replace(name="ABCDEF"[i]) for i, k in enumerate(chosen)])


def shapes():
    """kink, low, mid, top, cap of every candidate: at the quota the target pay is paid."""
    for kink in KINKS:
        for low in LOWS if kink else (1.0,):
            mid = round((1 - low * kink) / (1 - kink), 4)
            if mid > STEEPEST or (kink and low == 1.0):  # one band is there already
                continue
            for top in TOPS:
                for cap in CAPS:
                    yield kink, low, mid, top, cap


def curve(kink: float, low: float, mid: float, top: float, cap: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Attainments, and shares of the target pay, between which pay is straight."""
    far = 50.0
    x, y = [0.0, kink, 1.0, far], [0.0, low * kink, low * kink + mid * (1 - kink)]
    y.append(y[-1] + top * (far - 1))
    if cap is not None and y[-1] > cap:
        stops = 1 + (cap - y[2]) / top if top else far
        x, y = [*x[:3], stops, far], [*y[:3], cap, cap]
    return np.array(x), np.array(y)


def curve_of(main: Component, target: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of a component as it is; thresholds and caps included as steps that are almost upright. target : pay of
    a period, money."""
    starts = [float(band.start) for band in main.table.bands]
    rates = [float(band.value) for band in main.table.bands]
    fine = np.unique(np.concatenate([np.linspace(0, 6, 2401), starts, [50.0]]))
    pay = np.zeros_like(fine)
    for k, (start, rate) in enumerate(zip(starts, rates, strict=True)):
        end = starts[k + 1] if k + 1 < len(starts) else np.inf
        pay += rate * np.clip(np.minimum(fine, end) - start, 0, None)
    if main.threshold is not None:
        pay = np.where(fine >= float(main.threshold), pay, 0)
    cap = main.cap.period
    if cap is not None:
        pay = np.minimum(pay, float(cap.value) if cap.of_target else float(cap.value) / max(target, 1e-9))
    return fine, pay


def reward(attained: np.ndarray, pay: np.ndarray) -> float:
    """What the quarter of rep-years with the highest attainment is paid, over what the middle half is."""
    low, high = np.quantile(attained, (0.25, 0.75))
    middle = pay[(attained >= low) & (attained <= high)].mean()
    return float(pay[attained > high].mean() / middle) if middle > 0 else np.nan


def frontier(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other is both cheaper than and rewards more, the cheapest first."""
    found: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: (one.cost, -one.reward)):
        if not found or one.reward > found[-1].reward + 1e-9:
            found.append(one)
    return found


def build(plan: Plan, one: Candidate) -> Plan:
    """A plan with a candidate's bands in the place of its main component's; exact, as any plan."""
    main = main_of(plan)
    starts = [(one.kink, one.mid)] if one.low == 0 else [(0.0, one.low), (one.kink, one.mid)] if one.kink else [
        (0.0, one.mid)
    ]  # fmt: skip
    starts += [(1.0, one.top)] if one.top != one.mid else []
    bands = tuple(Band.model_validate({"from": str(start), "pays": str(Fraction(str(rate)))}) for start, rate in starts)
    table = Table(by="attainment", way="marginal", bands=bands)
    cap = None if one.cap is None else Limit(Fraction(str(one.cap)), of_target=True)
    limits = {"period": None, "year": None, "year" if main.to_date else "period": cap}
    made = main.model_copy(update={"table": table, "cap": main.cap.model_copy(update=limits), "threshold": None})
    ote = plan.pay.base + plan.pay.variable
    variable = (Fraction(str(one.pay_mix)) * ote).limit_denominator(1)
    pay = plan.pay.model_copy(update={"variable": variable, "base": ote - variable})
    components = tuple(made if part.name == main.name else part for part in plan.components)
    return plan.model_copy(update={"plan": one.name, "components": components, "pay": pay})
