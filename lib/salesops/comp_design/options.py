"""One plan on the past and on the drawn years: what it would have paid, costs, and whom it rewards."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from salesops import crm
from salesops.comp_design import search
from salesops.pay import costing, payouts, team
from salesops.pay.plans import Plan
from salesops.pay.records import Credit
from salesops.problems import BadInput

POINTS = np.linspace(0, 2, 81)  # of attainment, at which curves are drawn
SHIFTS = (-0.2, -0.1, 0.0, 0.1, 0.2)  # of all attainments
EDGES = (0.5, 1.0, 1.5)  # of the target pay
AS_MUCH = 0.01  # a change of pay below this share is none
FAR = 4.0  # the next sale is taken to pay at most this many times more or less


class Option(NamedTuple):
    """One plan. name : of its file, or A, B, ... of those found. earned : rep -> earned on the past, of those who can
    be paid. why : others cannot be. costs : of the drawn years. base : by how much more base pay it costs a year than
    the plan that holds, of the reps drawn. with_effort : of the same years if sales answer, or None. curve : pay of a
    year at each of `POINTS`, everything that is paid on totals. shifts : P50 of the cost when all attainments are so
    much other (`SHIFTS`). reward : what the best quarter of rep-years is paid over the middle half. found : of the
    search, or None."""

    name: str
    plan: Plan
    earned: Mapping[str, float]
    why: list[BadInput]
    costs: costing.Costs
    base: float
    with_effort: costing.Costs | None
    curve: np.ndarray
    shifts: list[float]
    reward: float
    found: search.Candidate | None = None

    @property
    def cost(self) -> np.ndarray:
        """(years,): variable pay, and the change of base pay."""
        return self.costs.paid + self.base

    def quantiles(self) -> tuple[float, float, float]:
        """P10, P50 and P90 of the cost."""
        return tuple(float(one) for one in np.quantile(self.cost, (0.1, 0.5, 0.9)))

    @property
    def leverage(self) -> float:
        """(base + most) / base, the most being what is paid at twice the quota."""
        base = float(self.plan.pay.base)
        return (base + float(self.curve[-1])) / base if base else np.nan

    @property
    def bands(self) -> np.ndarray:
        """Shares of rep-years paid nothing, and below each of `EDGES` of the target pay, and above them."""
        target = max(float(self.plan.pay.variable), 1e-9)
        pay = self.costs.pay / target
        counts = np.histogram(pay[pay > 0], bins=[0, *EDGES, np.inf])[0]
        return np.array([(pay <= 0).sum(), *counts]) / pay.size


class World(NamedTuple):
    scatter: costing.Scatter
    attained: np.ndarray
    quotas: np.ndarray
    credits: Mapping[str, Sequence[Credit]]
    effort: float
    sizes: np.ndarray | None
    seed: int
    base: float

    def cost(self, plan: Plan, attained: np.ndarray, shares: Mapping[str, float]) -> costing.Costs:
        return costing.cost(plan, self.scatter, attained, self.quotas, shares, sizes=self.sizes, seed=self.seed)


class Past:
    """The deals that were sold, as any plan pays for them."""

    def __init__(self, book: crm.Book, role: str, through: dt.date | None):
        self.book, self.role, self.through = book, role, through

    def earned(self, plan: Plan) -> tuple[dict[str, float], list[BadInput]]:
        """Earned in the periods that have ended, by what is known at their end, by rep; and why others cannot be paid.
        What is held or drawn is a matter of time, and no part of it."""
        found, why = {}, []
        if self.through is None:
            return found, why
        read = team.read(self.book, [plan], self.role)
        for one in read.people:
            try:
                lines = payouts.rerun(
                    one, {plan.version: plan}, read.history.credits.get(one.person_id, []), through=self.through,
                    cancellations=read.history.cancellations,
                )  # fmt: skip
            except BadInput as error:
                why.append(error)
                continue
            found[one.person_id] = float(sum(line.amount for line in lines if line.kind in payouts.EARNED))
        return found, why

    def attained(self, plan: Plan, read: team.Team) -> dict[str, np.ndarray]:
        """For each rep, the attainments of the main component's periods that have ended; to date, the last one."""
        main, found = search.main_of(plan), {}
        for one in read.people if main is not None and self.through is not None else ():
            own = read.credits.get(one.person_id, [])
            run = payouts.Run(one, plan, one.assignments[-1], own, {}, {}, self.through)
            ended = run.spans_of(main)
            try:
                at = [run.attainment(main, span, span.last_on) for span in (ended[-1:] if main.to_date else ended)]
            except BadInput:  # who has no quota cannot be paid
                continue
            if values := [float(value) for value in at if value is not None]:
                found[one.person_id] = np.array(values)
        return found


def option(name: str, plan: Plan, past: Past, world: World, *, against: Option | None = None) -> Option:
    """A plan on the past and on the drawn years."""
    earned, why = past.earned(plan)
    shares = costing.shares(plan, world.credits)
    costs = world.cost(plan, world.attained, shares)
    base = (float(plan.pay.base) - world.base) * len(world.quotas)
    mean = world.quotas.mean(axis=0, keepdims=True)
    flat = np.repeat(POINTS[:, None, None], 4, axis=2)
    curve = costing.cost(plan, world.scatter, flat, mean, shares).pay[:, 0]
    few = world.attained[:: max(len(world.attained) // 1000, 1)]
    shifts = [float(np.median(world.cost(plan, few * (1 + by), shares).paid)) + base for by in SHIFTS]
    with_effort = None
    if world.effort and against is not None:
        answer = answered(world.attained, against.curve, curve, world.effort)
        with_effort = world.cost(plan, answer, shares)
    return Option(name, plan, earned, why, costs, base, with_effort, curve, shifts, reward(world, costs))


def answered(attained: np.ndarray, now: np.ndarray, new: np.ndarray, effort: float) -> np.ndarray:
    """Attainments if sales answer what the next sale pays: times the ratio of both plans' next pay to the power of
    `effort`. An assumption that no data of one plan can show."""
    step = 0.1

    def next_pay(curve: np.ndarray) -> np.ndarray:
        return np.maximum(np.interp(attained + step, POINTS, curve) - np.interp(attained - step, POINTS, curve), 0)

    low = 1e-3 * max(float(now[-1]), float(new[-1]), 1.0)
    ratio = (next_pay(new) + low) / (next_pay(now) + low)
    return attained * np.clip(ratio, 1 / FAR, FAR) ** effort


def reward(world: World, costs: costing.Costs) -> float:
    """What the quarter of rep-years with the highest attainment is paid, over what the middle half is."""
    quota = world.quotas.sum(axis=1)
    at = (world.attained * world.quotas).sum(axis=2) / quota
    return search.reward(at, costs.pay)
