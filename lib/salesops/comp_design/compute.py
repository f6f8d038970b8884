"""Plans beside each other: on the deals that were sold, and on the same drawn years. Groups only, nobody by name."""

import datetime as dt
from collections.abc import Mapping, Sequence
from math import lcm
from pathlib import Path
from typing import NamedTuple

import numpy as np

from salesops import crm, project
from salesops.comp_design import search
from salesops.comp_design.options import AS_MUCH, Option, Past, World, option
from salesops.comp_design.params import Params
from salesops.pay import costing, plans, spans, team
from salesops.pay.plans import SPANS, Plan
from salesops.pay.records import Person
from salesops.problems import BadInput


class Found(NamedTuple):
    """options : the plan that holds, those against it, those found. quota : median of a year. since, through : of the
    past: the last day on which a period of every component of every plan ends; None where there is none yet. years :
    rep -> years of it that they were on the plan. budget : P90. search : all candidates; None where none were looked
    for. why_not : the reason for that. scatter : see `costing`. least : reps that a group must have to be told."""

    options: list[Option]
    quota: float
    since: dt.date
    through: dt.date | None
    years: Mapping[str, float]
    budget: float
    search: search.Search | None
    why_not: str
    scatter: costing.Scatter
    least: int

    @property
    def currency(self) -> str:
        return self.options[0].plan.currency

    def comparable(self, option: Option) -> bool:
        """Whether all that both plans pay for is in the drawn years."""
        return not option.costs.left_out and not self.options[0].costs.left_out

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
    starts = now.year_starts
    year = spans.year_start(book.as_of, starts), spans.year_end(book.as_of, starts)
    now = now.model_copy(update={"start": max(now.start, year[0]), "until": min(now.until, year[1])})
    others = [(name, _against(folder, name, now)) for name in params.others]
    people = team.read(book, [now], params.role, least=params.min_group)
    if len(people.people) < params.min_group:
        raise ValueError(
            f"{len(people.people)} reps are on {params.plan}, fewer than {params.min_group}: pay could be read off"
        )
    scatter = costing.judge(costing.read_history(book, now), n_blocks=costing.BLOCKS)
    quotas = costing.year_quotas(now, people.people, book.as_of)
    if scatter is None or len(quotas) < params.min_group:
        raise ValueError("too few attainments are known to draw years from: they need quotas by quarter, and won deals")
    attained = costing.draw(scatter, params.n_years, len(quotas), seed=params.seed)
    past = Past(book, params.role, _through(now, [plan for _name, plan in others], book.as_of))
    world = World(scatter, attained, quotas, people.credits, params.effort, costing.sizes(people.credits), params.seed,
                   float(now.pay.base))  # fmt: skip
    first = option(params.plan, now, past, world)
    options = [first, *(option(name, plan, past, world, against=first) for name, plan in others)]
    years = {one.person_id: _years(one, past.through) for one in people.people}
    found = Found(options, float(costing.typical_quota(now, people.people, book.as_of)), now.start, past.through, years,
                  params.budget or first.quantiles()[2], None, "none", scatter, params.min_group)  # fmt: skip
    return _search(found, params, past, world, people) if params.n_best else found


def _search(found: Found, params: Params, past: Past, world: World, people: team.Team) -> Found:
    """With the plans that are looked for; of those thought to be within the limits, those that are, paid exactly."""
    first = found.options[0]
    if first.costs.left_out:
        return found._replace(why_not="left_out")
    asked = search.Asked(found.budget, params.most_losers, params.pay_mix, params.n_best)
    shares = costing.shares(first.plan, world.credits)
    main = search.main_of(first.plan)
    if main is None:
        return found._replace(why_not="no_main")
    alone = first.plan.model_copy(update={"components": (main,)})
    money = tuple(one for one in first.plan.components if one.name != main.name and one.table.kind == "pays")
    scaled = first.plan.model_copy(update={"components": money}) if money else None
    parts = search.Parts(
        world.cost(alone, world.attained, shares).pay, first.costs.pay,
        world.cost(scaled, world.attained, shares).pay if scaled is not None else np.zeros_like(first.costs.pay),
    )  # fmt: skip
    was = {rep: (first.earned[rep], found.years[rep], at) for rep, at in past.attained(first.plan, people).items()
           if rep in first.earned}  # fmt: skip
    made = search.find(first.plan, world.attained, world.quotas, shares[main.name], parts, was, asked)
    options = []
    for one in made.best:
        option_ = option(one.name, search.build(first.plan, one), past, world, against=first)._replace(found=one)
        losers = float((found.gains(option_) < -AS_MUCH).mean()) if option_.earned else 0.0
        if option_.quantiles()[2] <= found.budget and losers <= params.most_losers:
            exact = one._replace(name="ABCDEF"[len(options)], losers=losers)
            options.append(option_._replace(name=exact.name, found=exact))
    best = [one.found for one in options]
    return found._replace(options=[*found.options, *options], search=made._replace(best=best),
                          why_not="" if best else "none_allowed")  # fmt: skip


def _through(now: Plan, others: Sequence[Plan], known: dt.date) -> dt.date | None:
    """The last day by which a period of every component of every plan has ended, so that none is paid for less of the
    past than another; None where there is none."""
    months = lcm(*(SPANS.get(part.period, 1) for plan in (now, *others) for part in plan.components))
    ended = spans.find(months, now.start, now.until, now.year_starts, spans.last_ended(known))
    return ended[-1].last_on if ended else None


def _years(person: Person, through: dt.date | None) -> float:
    if through is None:
        return 0.0
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
