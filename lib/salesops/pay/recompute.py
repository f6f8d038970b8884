"""Another system's payouts against ours: what differs, line by line, and by how much for which cause; exactly.

The engine pays each person on our credits and quotas, then with one thing after another taken from the export: quotas,
the deals it leaves out, those it adds, amounts, days. What each step changes is its cause's; what is left when all
inputs are theirs is the arithmetic: a rate or a rule, or rounding."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from salesops.pay import payouts, spans
from salesops.pay.claims import Claims, Given
from salesops.pay.plans import SPANS, Plan
from salesops.pay.records import ONE, ZERO, Cancellation, Credit, Person

CAUSES = ("quota", "not_credited", "credited_besides", "amount", "day", "rounding", "rule", "person", "component")


class Row(NamedTuple):
    """One person, component and period. theirs, ours : paid. causes : of `CAUSES` -> amount; together theirs less ours.
    measured : what is credited by them; by us, where they give no credits."""

    person_id: str
    component: str
    span: str
    theirs: Fraction
    ours: Fraction
    causes: Mapping[str, Fraction]
    measured: Fraction

    @property
    def difference(self) -> Fraction:
        return self.theirs - self.ours


class Odd(NamedTuple):
    """A credit that differs. what : not_credited, credited_besides, amount or day."""

    person_id: str
    deal_id: str
    what: str
    theirs: Given | None
    ours: Credit | None


class Audit(NamedTuple):
    rows: list[Row]
    credits: list[Odd]

    def by_cause(self) -> list[tuple[str, float, int]]:
        """cause, amount paid there more than here, lines; of causes that are any line's."""
        found = []
        for cause in CAUSES:
            amounts = [row.causes[cause] for row in self.rows if cause in row.causes]
            if amounts:
                found.append((cause, float(sum(amounts)), len(amounts)))
        return found


def audit(
    people: Sequence[Person], plans: Mapping[str, Plan], credits: Mapping[str, Sequence[Credit]], claims: Claims,
    names: Mapping[str, str], components: Mapping[str, str], *, through: dt.date,
    cancellations: Iterable[Cancellation] = (),
) -> Audit:  # fmt: skip
    """Compare all that the export says of periods that have ended.

    Parameters
    ----------
    plans : the versions of one plan, by version. names : rep_id -> name. components : theirs -> ours.
    """
    known = {one.person_id: one for one in people}
    by_name = {name: rep for rep, name in names.items() if list(names.values()).count(name) == 1}

    def who(theirs: str) -> str:
        own = claims.people.get(theirs, theirs)
        return own if own in known else by_name.get(own, own)

    undone = list(cancellations)
    paid = _claimed(claims, who, plans, components, through)
    rows, odd = [], []
    for person_id in sorted({key[0] for key in paid} | set(known)):
        theirs = {key[1:]: amount for key, amount in paid.items() if key[0] == person_id}
        if person_id not in known:
            rows += [
                Row(person_id, *key, amount, ZERO, {"person": amount}, ZERO) for key, amount in sorted(theirs.items())
            ]
            continue
        mine = [one for one in claims.credits or () if who(one.person) == person_id]
        quotas = None if claims.quotas is None else [one for one in claims.quotas if who(one.person) == person_id]
        made, differ = _person(known[person_id], plans, list(credits.get(person_id, ())), theirs,
                               mine if claims.credits is not None else None, quotas, through, undone)  # fmt: skip
        rows += made
        odd += differ
    return Audit(rows, odd)


def _claimed(claims: Claims, who, plans, components, through) -> dict[tuple[str, str, str], Fraction]:
    """person, component, period of the plan -> paid; theirs may be paid in parts of it."""
    found: dict[tuple[str, str, str], Fraction] = {}
    parts = {part.name: part for plan in plans.values() for part in plan.components}
    starts = next(iter(plans.values())).year_starts
    only = next(iter(parts)) if len(parts) == 1 else ""
    for one in claims.payouts:
        if one.last_on > through:
            continue
        name = components.get(one.component, one.component) or only
        own = (one.last_on.year - one.first_on.year) * 12 + one.last_on.month - one.first_on.month + 1
        months = SPANS.get(parts[name].period, 1) if name in parts else own if own in SPANS.values() else 1
        first = period_start(one.last_on, months, starts)
        key = who(one.person), name, spans.name(first, months, starts)
        found[key] = found.get(key, ZERO) + one.amount
    return found


def period_start(day: dt.date, months: int, year_starts: int) -> dt.date:
    """The first day of the plan's period of so many months that a day is in."""
    return spans.find(months, day, day, year_starts, dt.date.max)[0].first_on


def _person(person, plans, ours, theirs, given, quotas, through, undone) -> tuple[list[Row], list[Odd]]:
    steps, odd = [], []
    person = person.as_known(through)._replace(quota_spells=())  # their quotas take the place of ours
    steps.append(("start", person, ours))
    with_quotas = person
    if quotas is not None:
        starts = next(iter(plans.values())).year_starts
        told = {}
        for one in quotas:
            months = (one.last_on.year - one.first_on.year) * 12 + one.last_on.month - one.first_on.month + 1
            told["bookings", spans.name(one.first_on, months, starts)] = one.amount
        kept = {key: value for key, value in person.quotas.items() if key[0] != "bookings"}
        with_quotas = person._replace(quotas=kept | (told or dict(person.quotas)))
    steps.append(("quota", with_quotas, ours))
    now = list(ours)
    if given is not None:
        by_deal = _by_deal(given)
        mine = {one.deal_id for one in ours}
        odd += [Odd(person.person_id, one.deal_id, "not_credited", None, one) for one in ours
                if one.deal_id not in by_deal and not any(each.deal_id == one.deal_id and each.cause == "lost"
                                                          for each in undone)]  # fmt: skip
        now = [one for one in now if one.deal_id in by_deal]
        steps.append(("not_credited", with_quotas, list(now)))
        for deal, one in by_deal.items():
            if deal not in mine:
                odd.append(Odd(person.person_id, deal, "credited_besides", one, None))
                now.append(Credit(f"{deal}/theirs", deal, one.on, {"bookings": one.amount}))
        steps.append(("credited_besides", with_quotas, list(now)))
        for what in ("amount", "day"):
            wholes: dict[str, Fraction] = {}
            for one in now:
                wholes[one.deal_id] = wholes.get(one.deal_id, ZERO) + one.measures.get("bookings", ZERO)
            now = [_taken(one, by_deal[one.deal_id], what, person.person_id, odd, wholes[one.deal_id]) for one in now]
            steps.append((what, with_quotas, list(now)))
    paid = [_paid(who, plans, credits, through, undone) for _name, who, credits in steps]
    found = []
    for key in sorted(set(theirs) | {key for one in paid for key in one}):
        amounts = [one.get(key, ZERO) for one in paid]
        causes = {name: after - before for (name, _who, _credits), before, after in
                  zip(steps[1:], amounts, amounts[1:], strict=False) if after != before}  # fmt: skip
        claimed = theirs.get(key, ZERO)
        rest = claimed - amounts[-1]
        known = any(part.name == key[0] for plan in plans.values() for part in (*plan.components, *plan.spiffs))
        smallest = Fraction(1, 10 ** next(iter(plans.values())).digits)
        if rest:
            causes["component" if not known else "rounding" if abs(rest) <= smallest else "rule"] = rest
        measured = _measured(person, plans, now, key)
        found.append(Row(person.person_id, *key, claimed, amounts[0], causes, measured))
    return found, odd


def _by_deal(given: Sequence[Given]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for one in given:
        had = found.get(one.deal)
        found[one.deal] = one if had is None else had._replace(amount=had.amount + one.amount, on=min(had.on, one.on))
    return found


def _taken(one: Credit, theirs: Given, what: str, person_id: str, odd: list[Odd], whole: Fraction) -> Credit:
    """A credit with its part of their amount for the deal (of which ours is `whole`), or on their day."""
    if what == "amount" and whole != theirs.amount and "bookings" in one.measures:
        if not any((each.deal_id, each.what) == (one.deal_id, what) for each in odd):
            odd.append(Odd(person_id, one.deal_id, what, theirs, one._replace(measures={"bookings": whole})))
        part = one.measures["bookings"] / whole if whole else ONE
        return one._replace(measures={**one.measures, "bookings": theirs.amount * part})
    if what == "day" and one.on != theirs.on:
        odd.append(Odd(person_id, one.deal_id, what, theirs, one))
        return one._replace(on=theirs.on)
    return one


def _paid(person, plans, credits, through, undone) -> dict[tuple[str, str], Fraction]:
    found: dict[tuple[str, str], Fraction] = {}
    by_deal = {part.name for plan in plans.values() for part in plan.components if part.period == "deal"}
    for line in payouts.rerun(person, plans, credits, through=through, cancellations=undone):
        if line.kind in payouts.EARNED:
            span = line.month if line.component in by_deal else line.span
            key = line.component, span
            found[key] = found.get(key, ZERO) + Fraction(line.amount)
    return found


def _measured(person, plans, credits, key) -> Fraction:
    for assignment in person.assignments:
        plan = plans[assignment.plan]
        for part in plan.components:
            if part.name == key[0]:
                run = payouts.Run(person, plan, assignment, credits, {}, {}, dt.date(9000, 1, 31))
                for span in spans.find(SPANS.get(part.period, 1), plan.start, plan.until, plan.year_starts, plan.until):
                    if span.name == key[1]:
                        return sum((value for _credit, value in
                                    run.measured(part, span.first_on, span.last_on, span.last_on)), ZERO)  # fmt: skip
    return ZERO
