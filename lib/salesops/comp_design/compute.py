"""Plans beside each other: on the deals that were sold, and on the same drawn years. Groups only, nobody by name."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from salesops import crm, project
from salesops.comp_design import search
from salesops.comp_design.params import Params
from salesops.pay import costing, payouts, plans, spans, team
from salesops.pay.plans import Plan
from salesops.pay.records import Credit, Person
from salesops.problems import BadInput

EARNED = ("earned", "true_up", "spiff")
POINTS = np.linspace(0, 2, 81)  # of attainment, at which curves are drawn
SHIFTS = (-0.2, -0.1, 0.0, 0.1, 0.2)  # of all attainments
EDGES = (0.5, 1.0, 1.5)  # of the target pay
AS_MUCH = 0.01  # a change of pay below this share is none
FAR = 4.0  # the next sale is taken to pay at most this many times more or less


class Option(NamedTuple):
    """One plan. name : of its file, or A, B, ... of those found. earned : rep -> earned on the past, of those who can
    be paid. why : others cannot be. costs : of the drawn years. with_effort : of the same years if sales
    answer, or None. curve : pay of a year at each of `POINTS`, everything that is paid on totals. shifts : P50 of the
    cost when all attainments are so much other (`SHIFTS`). reward : what the best quarter of rep-years is paid over the
    middle half. found : of the search, or None."""

    name: str
    plan: Plan
    earned: Mapping[str, float]
    why: list[BadInput]
    costs: costing.Costs
    with_effort: costing.Costs | None
    curve: np.ndarray
    shifts: list[float]
    reward: float
    found: search.Candidate | None = None

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


class Found(NamedTuple):
    """options : the plan that holds, those against it, those found. quota : median of a year. since, through : of the
    past. years : rep -> years of it that they were on the plan. budget : P90. search : all candidates; None where none
    were looked for. why_not : the reason for that. scatter : see `costing`."""

    options: list[Option]
    quota: float
    since: dt.date
    through: dt.date
    years: Mapping[str, float]
    budget: float
    search: search.Search | None
    why_not: str
    scatter: costing.Scatter

    @property
    def currency(self) -> str:
        return self.options[0].plan.currency

    def gains(self, option: Option) -> np.ndarray:
        """What each rep would have had under a plan, base and variable pay together, over what it was under the one
        that holds, less one; of those who can be paid under both."""
        first = self.options[0]
        now, base, new_base = first.earned, float(first.plan.pay.base), float(option.plan.pay.base)
        both = [(option.earned[one] + new_base * self.years[one], now[one] + base * self.years[one])
                for one in now if one in option.earned]  # fmt: skip
        return np.array([new / old - 1 if old > 0 else np.inf if new > 0 else 0.0 for new, old in both])


def measure(book: crm.Book, params: Params) -> Found:
    """The plan that holds on the last day known, and others, on its deals and on the same drawn years.

    Raises
    ------
    BadInput
        Where a plan is not there or cannot be used.
    ValueError
        If no plan holds on the last day known, fewer than `min_group` are on it, or too few attainments are known.
    """
    folder = project.root() / "params" / "plans"
    versions = plans.versions(folder, params.plan)
    now = next((one for one in versions if one.start <= book.as_of <= one.until), None)
    if now is None:
        raise ValueError(f"no version of {params.plan} holds on {book.as_of}")
    now = moved(now, now.start, min(now.until, spans.year_end(now.start, now.year_starts)))
    people = team.read(book, [now], params.role, least=params.min_group)
    if len(people.people) < params.min_group:
        raise ValueError(
            f"{len(people.people)} reps are on {params.plan}, fewer than {params.min_group}: pay could be read off"
        )
    scatter = costing.judge(costing.read_history(book, now.year_starts))
    quotas = costing.year_quotas(now, people.people, book.as_of)
    if scatter is None or len(quotas) < params.min_group:
        raise ValueError("too few attainments are known to draw years from: they need quotas by quarter, and won deals")
    others = [(name, _against(folder, name, now)) for name in params.others]
    attained = costing.draw(scatter, params.n_years, len(quotas), seed=params.seed)
    through = spans.last_ended(book.as_of)
    past = _Past(book, params.role, through)
    world = _World(scatter, attained, quotas, people.credits, params.effort,
                   costing.sizes(people.credits), params.seed)  # fmt: skip
    first = option(params.plan, now, past, world)
    options = [first, *(option(name, plan, past, world, against=first) for name, plan in others)]
    budget = params.budget or first.costs.quantiles()[2]
    candidates, why_not = None, "none"
    if params.n_best:
        asked = search.Asked(budget, params.most_losers, params.pay_mix, params.n_best)
        candidates, why_not = search.find(now, attained, quotas, first, past.attained(now, people), asked)
    for one in candidates.best if candidates is not None else ():
        made = option(one.name, search.build(now, one), past, world, against=first)
        options.append(made._replace(found=one))
    quota = float(costing.typical_quota(now, people.people))
    years = {one.person_id: _years(one, through) for one in people.people}
    return Found(options, quota, now.start, through, years, budget, candidates, why_not, scatter)


def _years(person: Person, through: dt.date) -> float:
    last = min(through, person.left_on or through)
    return max((last - person.assignments[0].start).days + 1, 0) / 365


def moved(plan: Plan, start: dt.date, until: dt.date) -> Plan:
    """A plan as if it held from one day to another; its spiffs move with it."""
    by = start - plan.start
    spiffs = tuple(one.model_copy(update={"start": one.start + by, "until": one.until + by}) for one in plan.spiffs)
    return plan.model_copy(update={"start": start, "until": until, "spiffs": spiffs})


def _against(folder: Path, name: str, now: Plan) -> Plan:
    plan = plans.versions(folder, name)[-1]
    if (plan.currency, plan.year_starts) != (now.currency, now.year_starts):
        raise BadInput(f"the plan {name} cannot be compared", [
            f"it pays in {plan.currency} for years from month {plan.year_starts} on, {now.plan} in {now.currency} from "
            f"{now.year_starts} on"])  # fmt: skip
    return moved(plan, now.start, now.until)


class _World(NamedTuple):
    scatter: costing.Scatter
    attained: np.ndarray
    quotas: np.ndarray
    credits: Mapping[str, Sequence[Credit]]
    effort: float
    sizes: np.ndarray | None
    seed: int

    def cost(self, plan: Plan, attained: np.ndarray, shares: Mapping[str, float]) -> costing.Costs:
        return costing.cost(plan, self.scatter, attained, self.quotas, shares, sizes=self.sizes, seed=self.seed)


class _Past:
    """The deals that were sold, as any plan pays for them."""

    def __init__(self, book: crm.Book, role: str, through: dt.date):
        self.book, self.role, self.through = book, role, through

    def earned(self, plan: Plan) -> tuple[dict[str, float], list[BadInput]]:
        """Earned up to the last month that has ended, by rep; and why others cannot be paid."""
        found, why = {}, []
        read = team.read(self.book, [plan], self.role)
        for one in read.people:
            own = read.credits.get(one.person_id, [])
            try:
                lines = payouts.pay(one, {plan.version: plan}, own, through=self.through)
            except BadInput as error:
                why.append(error)
                continue
            found[one.person_id] = float(sum(line.amount for line in lines if line.kind in EARNED))
        return found, why

    def attained(self, plan: Plan, read: team.Team) -> list[np.ndarray]:
        """For each rep, the attainments of the main component's periods that have ended; to date, the last one."""
        main, found = search.main_of(plan), []
        for one in read.people if main is not None else ():
            own = read.credits.get(one.person_id, [])
            run = payouts.Run(one, plan, one.assignments[0], own, {}, {}, self.through)
            ended = run.spans_of(main)
            try:
                at = [run.attainment(main, span, span.last_on) for span in (ended[-1:] if main.to_date else ended)]
            except BadInput:  # who has no quota cannot be paid
                continue
            if values := [float(value) for value in at if value is not None]:
                found.append(np.array(values))
        return found


def option(name: str, plan: Plan, past: _Past, world: _World, *, against: Option | None = None) -> Option:
    """A plan on the past and on the drawn years."""
    earned, why = past.earned(plan)
    shares = costing.shares(plan, world.credits)
    costs = world.cost(plan, world.attained, shares)
    mean = world.quotas.mean(axis=0, keepdims=True)
    flat = np.repeat(POINTS[:, None, None], 4, axis=2)
    curve = costing.cost(plan, world.scatter, flat, mean, shares).pay[:, 0]
    few = world.attained[:1000]
    shifts = [float(np.median(world.cost(plan, few * (1 + by), shares).paid)) for by in SHIFTS]
    with_effort = None
    if world.effort and against is not None:
        answer = answered(world.attained, against.curve, curve, world.effort)
        with_effort = world.cost(plan, answer, shares)
    return Option(name, plan, earned, why, costs, with_effort, curve, shifts, reward(world, costs))


def answered(attained: np.ndarray, now: np.ndarray, new: np.ndarray, effort: float) -> np.ndarray:
    """Attainments if sales answer what the next sale pays: times the ratio of both plans' next pay to the power of
    `effort`. An assumption that no data of one plan can show."""
    step = 0.1

    def next_pay(curve: np.ndarray) -> np.ndarray:
        return np.maximum(np.interp(attained + step, POINTS, curve) - np.interp(attained - step, POINTS, curve), 0)

    low = 1e-3 * max(float(now[-1]), float(new[-1]), 1.0)
    ratio = (next_pay(new) + low) / (next_pay(now) + low)
    return attained * np.clip(ratio, 1 / FAR, FAR) ** effort


def reward(world: _World, costs: costing.Costs) -> float:
    """What the quarter of rep-years with the highest attainment is paid, over what the middle half is."""
    quota = world.quotas.sum(axis=1)
    at = (world.attained * world.quotas).sum(axis=2) / quota
    return search.reward(at, costs.pay)
