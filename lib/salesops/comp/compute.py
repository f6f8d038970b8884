"""What a plan has paid so far, for what, and what it makes people do: groups only, nobody by name."""

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, project
from salesops.comp.params import Params
from salesops.pay import accrual, clauses, costing, curves, gaming, lint, payouts, plans, scores, spans, team
from salesops.pay.clauses import Blind
from salesops.pay.history import History, Later
from salesops.pay.plans import Component, Plan
from salesops.pay.records import Line, Person
from salesops.problems import BadInput

BANDS = (0.0, 0.5, 0.8, 1.0, 1.2, 1.5)  # of attainment; the last one has no end
POINTS = np.linspace(0, 2, 81)  # of attainment, at which the curve is drawn
OTHERS = ""
EARNED = ("earned", "true_up", "spiff", "clawback", "adjustment")  # what is held, released, drawn is a matter of time


class Pull(NamedTuple):
    """What the record shows of the plan's pull, see `gaming`. enough : whether `min_group` reps or more have deals that
    waiting, and that hurrying, would have paid more for; their sums are not shown otherwise."""

    moves: gaming.Moves | None
    enough: tuple[bool, bool]
    at_quota: gaming.Piled | None
    at_the_end: gaming.Piled | None


class Found(NamedTuple):
    """plan : the version that holds. main : the component whose bookings are attained against a quota, or None. reps :
    one row for each paid rep: team, booked, quota (of periods that have ended; NaN without one), earned (in them), paid
    (up to the last month that has ended). kinds : kind of line -> amount paid; those of few reps are `other` together.
    groups : team (`OTHERS` for small ones together), n, booked, quota, earned; never fewer than `min_group`. curve :
    attainment, and
    what a year of it earns (main component), whole units; empty where there is none. quota, target : of that year.
    issues : see `lint`. costs : of a year, see `costing`; None where too few attainments are known. unpaid : of each
    rep who could not be, why. history, later : what was credited, and what became known of it after the day of the win.
    blind : clauses without data. unlogged : what is taken as known now, see `clauses`. n_unlisted, n_absent : deals
    that pay nobody, or only in part, see `team.Team`.
    """

    plan: Plan
    main: Component | None
    reps: pd.DataFrame
    kinds: dict[str, float]
    groups: pd.DataFrame
    curve: pd.DataFrame
    quota: float
    target: float
    issues: list[lint.Issue]
    costs: costing.Costs | None
    pull: Pull
    accrual: accrual.Accrual | None
    unpaid: list[BadInput]
    history: History
    later: list[Later]
    blind: list[Blind]
    unlogged: list[str]
    n_unlisted: int
    n_absent: int

    @property
    def currency(self) -> str:
        """Of all money here: the plan's."""
        return self.plan.currency

    @property
    def bands(self) -> pd.Series:
        """Reps by band of attainment (its lower edge)."""
        known = self.reps[self.reps["quota"] > 0]
        at = np.searchsorted(BANDS, (known["booked"] / known["quota"]).to_numpy(), side="right") - 1
        return pd.Series(np.bincount(np.maximum(at, 0), minlength=len(BANDS)), index=list(BANDS))


def measure(book: crm.Book, params: Params) -> Found:
    """What the plan has paid from its first day up to the last month that has ended by the last day known.

    Raises
    ------
    BadInput
        Where the plan is not there or cannot be used, or this book does not tell what it asks for.
    ValueError
        If the plan does not hold on the last day known, or fewer than `min_group` are on it.
    """
    plan, known, read = people(book, params, least=params.min_group)
    main = next((one for one in plan.components if one.table.by == "attainment" and one.measure == "bookings"), None)
    rows, lines, unpaid = [], [], []
    by_version = {one.version: one for one in known}
    through = spans.last_ended(book.as_of)
    for person in read.people:
        try:
            lines_of_rep = read.paid(person, by_version, through)
        except BadInput as error:
            unpaid.append(error)
            continue
        lines.append(lines_of_rep)
        booked, quota, ended = _attained(by_version, main.name if main is not None else None, person, read, through)
        rows.append((read.teams[person.person_id], booked, quota, *_sums(lines_of_rep, ended)))
    history = costing.read_history(book, plan)
    if not rows:
        why = unpaid[0].problems[0] if unpaid else "no rep is on it"
        raise ValueError(f"nobody could be paid by {params.plan}: {why}")
    if len(rows) < params.min_group:
        raise ValueError(f"{len(rows)} reps are on {params.plan}, fewer than {params.min_group}: pay could be read off")
    reps = pd.DataFrame(rows, columns=["team", "booked", "quota", "earned", "paid"])
    a_year = costing.typical_quota(plan, read.people, book.as_of) if main is not None else Fraction(0)
    quotas = {one.name: a_year * one.months / 12 for one in plan.components if one.needs_quota}
    return Found(
        plan, main, reps, _kinds(lines, params.min_group), group(reps, params.min_group), _curve(plan, main, a_year),
        float(a_year), float(plan.pay.variable * main.weight) if main is not None else 0.0,
        lint.find(plan, quotas, margin=Fraction(str(params.margin)) if params.margin else None),
        _costs(book, params, plan, read, history) if main is not None else None,
        _pull(book, params, plan, main, read, history, through),
        _accrual(book, params, plan, read),
        unpaid, read.history, read.later, clauses.find(book, known), clauses.unlogged(book), len(read.unlisted),
        len(read.absent),
    )  # fmt: skip


def people(book: crm.Book, params: Params, *, least: int = 0) -> tuple[Plan, list[Plan], team.Team]:
    """The version of the plan that holds on the last day known, it and those before it, and who is on them for what."""
    root = project.root()
    versions = plans.versions(root / "params" / "plans", params.plan)
    plan = next((one for one in versions if one.start <= book.as_of <= one.until), None)
    if plan is None:
        spans_ = ", ".join(f"from {one.start} to {one.until}" for one in versions)
        raise ValueError(f"the plan {params.plan} holds {spans_}, not on {book.as_of}")
    scored = scores.read(root / params.scores, plan.year_starts) if params.scores else []
    known = [one for one in versions if one.start <= plan.start]
    read = team.read(book, known, params.role, scored, least=least)
    return plan, known, read


def _pull(book, params, plan: Plan, main: Component | None, read: team.Team, history, through: dt.date) -> Pull:
    moves = gaming.moves(plan, main, read.people, read.credits, through)
    least = params.min_group
    enough = (False, False) if moves is None else (moves.reps_waiting >= least, moves.reps_hurrying >= least)
    ends = gaming.at_the_end(*gaming.read_wins(book, plan.year_starts))
    return Pull(moves, enough, gaming.at_quota(history["attainment"].to_numpy("float64")), ends)


def _accrual(book: crm.Book, params: Params, plan: Plan, read: team.Team) -> accrual.Accrual | None:
    """What the running quarter will cost by a forecast; None where none is named, or of too few reps."""
    if not params.forecast:
        return None
    quarter, draws = accrual.read(project.root() / params.forecast, as_of=book.as_of, currency=plan.currency)
    shares = costing.shares(plan, read.credits)
    made = accrual.accrue(plan, read.people, read.credits, draws, quarter, shares, known=book.as_of)
    return made if made.n_reps >= params.min_group else None


def _costs(book: crm.Book, params: Params, plan: Plan, read: team.Team, history: pd.DataFrame) -> costing.Costs | None:
    """A year of the reps who are there now and have a quota for each quarter of it."""
    scatter = costing.judge(history, n_blocks=costing.BLOCKS)
    quotas = costing.year_quotas(plan, read.people, book.as_of)
    if scatter is None or len(quotas) < params.min_group:
        return None
    shares = costing.shares(plan, read.credits)
    sizes = costing.sizes(read.credits)
    return costing.simulate(plan, scatter, quotas, shares, n_years=params.n_years, seed=params.seed, sizes=sizes)


def _attained(
    versions: Mapping[str, Plan], name: str | None, person: Person, read: team.Team, through: dt.date
) -> tuple[float, float, str]:
    """Booked and the quota, for the days there and by the ramp, of the main component's periods that have ended under
    each version, and the last month of them; where nothing is attained, all that is booked."""
    own = read.credits.get(person.person_id, [])
    if name is None:
        booked = sum(
            (one.measures.get("bookings", 0) for one in own if one.kind == "direct" and one.on <= through), Fraction(0)
        )
        return float(booked), np.nan, f"{through:%Y-%m}"
    booked, quota, ended = Fraction(0), Fraction(0), ""
    for assignment in person.assignments:
        plan = versions[assignment.plan]
        main = next((one for one in plan.components if one.name == name), None)
        if main is None:
            continue
        run = payouts.Run(person, plan, assignment, own, {}, {}, through)
        known = [(span, run.quota(main, span)) for span in run.spans_of(main)]
        if known and all(found is not None for _span, found in known):
            last = known[-1][0].last_on
            booked += sum((run.counts(main, one) for one in run.credits if one.on <= last), Fraction(0))
            quota += sum((found[0] for _span, found in known), Fraction(0))
            ended = f"{last:%Y-%m}"
    return float(booked), float(quota) if ended else np.nan, ended


def _sums(lines: list[Line], ended: str) -> tuple[float, float]:
    """Earned in months up to the last one that is measured, as what is booked is; and paid up to the last month."""
    earned = sum(float(line.amount) for line in lines if line.kind in EARNED and line.month <= ended)
    return earned, sum(float(line.amount) for line in lines)


def _kinds(by_rep: list[list[Line]], least: int) -> dict[str, float]:
    """Amounts by kind; kinds of fewer reps than may be shown are `other` together, with the next rarest if need be."""
    sums: dict[str, float] = {}
    whose: dict[str, set[int]] = {}
    for k, lines in enumerate(by_rep):
        for line in lines:
            sums[line.kind] = sums.get(line.kind, 0.0) + float(line.amount)
            whose.setdefault(line.kind, set()).add(k)
    rare = sorted(sums, key=lambda kind: len(whose[kind]))
    together: list[str] = []
    while rare and (len(whose[rare[0]]) < least or (together and len(set().union(*map(whose.get, together))) < least)):
        together.append(rare.pop(0))
    shown = {kind: amount for kind, amount in sums.items() if kind not in together}
    return shown | ({"other": sum(sums[kind] for kind in together)} if together else {})


def group(reps: pd.DataFrame, least: int) -> pd.DataFrame:
    """Teams of at least so many reps; smaller ones together, with the smallest of the others where they are too few
    even so, for what is left out could be had by subtraction."""
    named = reps.assign(team=reps["team"].fillna(OTHERS))
    sizes = named.groupby("team").size().sort_values(kind="stable")
    small = [name for name, n in sizes.items() if n < least or name == OTHERS]
    rest = [name for name in sizes.index if name not in small]
    while small and rest and sizes[small].sum() < least:
        small.append(rest.pop(0))
    named["team"] = named["team"].where(~named["team"].isin(small), OTHERS)
    groups = named.groupby("team").agg(
        n=("booked", "size"), booked=("booked", "sum"), quota=("quota", "sum"), earned=("earned", "sum")
    )
    groups = groups[groups["n"] >= least].reset_index()
    return groups.sort_values(["team"], key=lambda names: names.eq(OTHERS).astype("str") + names, ignore_index=True)


def _curve(plan: Plan, main: Component | None, quota: Fraction) -> pd.DataFrame:
    """What a year at one attainment throughout earns by the main component, before gates and multipliers."""
    if main is None or not quota:
        return pd.DataFrame({"attainment": [], "pay": []})
    n, of_period = 12 // main.months, quota * main.months / 12
    year = plan.pay.variable * main.weight
    target, pays = year / n, []
    for point in POINTS:
        at = Fraction(round(float(point) * 1000), 1000)
        paid = curves.earned(main.table, at * of_period, of_period, target)
        if main.threshold is not None and at < main.threshold:
            paid = Fraction(0)
        if main.cap.period is not None:
            paid = min(paid, main.cap.period.of(target))
        paid *= n
        pays.append(float(paid if main.cap.year is None else min(paid, main.cap.year.of(year))))
    return pd.DataFrame({"attainment": POINTS, "pay": pays})
