"""Months that stay as they were reported: what becomes known later is an adjustment of the month it became known in.

A month is reckoned by what was known at its end. Where a fact about an earlier month changes (a share of a deal, an
amount that was raised, a quota), all earlier months are reckoned again by what is known now, and the difference to what
was reported is posted once. So what was reported never changes, and everything posted together is what the whole
history, reckoned by what is known at the end, pays. Compensation systems call this prior period processing.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from salesops import periods
from salesops.pay import spans
from salesops.pay.plans import Component, Plan
from salesops.pay.records import Cancellation, Credit, Line, Person, Step

Key = tuple[str, str]  # component, span


class State(NamedTuple):
    """What was known at the end of a day, and the lines reckoned by it."""

    on: dt.date
    person: Person
    credits: list[Credit]
    lines: list[Line]


def doubled(credits: Sequence[Credit]) -> list[str]:
    """Ids of credits of which two are known on one day."""
    ids = Counter(one.credit_id for one in credits)
    twice: list[str] = []
    for credit_id in sorted(name for name, n in ids.items() if n > 1):
        own = [one for one in credits if one.credit_id == credit_id]
        spells = sorted((one.since or one.on, one.until or dt.date.max) for one in own)
        if any(later[0] < earlier[1] for earlier, later in zip(spells, spells[1:], strict=False)):
            twice.append(credit_id)
    return twice


def post(
    person: Person, plans: Mapping[str, Plan], credits: Sequence[Credit], cancellations: Sequence[Cancellation],
    through: dt.date, reckon: Callable[[Person, list[Credit], dt.date], list[Line]],
) -> list[Line]:  # fmt: skip
    """The lines of each month as reported at its end, with the adjustments of what became known later.

    Parameters
    ----------
    cancellations : of the deals credited; here those count that were restored later. reckon : person and credits by one
    state of knowledge, and the last day -> lines of all months up to it.
    """
    posted: list[Line] = []
    before: State | None = None
    for first, last in _states(person, credits, cancellations, through):
        own, known = person.as_known(last), [one for one in credits if one.is_known(last)]
        now = State(last, own, known, reckon(own, known, last))
        month = f"{first:%Y-%m}"
        posted += [line for line in now.lines if line.month >= month]
        if before is not None:
            posted += _adjust(before, now, month, plans, _restored(cancellations, before.on, last))
        before = now
    return sorted(posted, key=lambda line: line.month)


def _states(
    person: Person, credits: Sequence[Credit], cancellations: Sequence[Cancellation], through: dt.date
) -> list[tuple[dt.date, dt.date]]:
    """First and last day of spans of months within which nothing became known about an earlier one."""
    last = periods.month_end(through)
    changed = {day for one in credits for day in (one.since, one.until) if day and _month(day) > _month(one.on)}
    changed |= {one.until for one in cancellations if one.until and _month(one.until) > _month(one.on)}
    changed |= {day for one in person.quota_spells for day in (one.since, one.until) if day}
    starts = [dt.date.min, *sorted({_month(day) for day in changed if day <= last})]
    ends = [periods.days_after(day, -1) for day in starts[1:]] + [last]
    return list(zip(starts, ends, strict=True))


def _month(day: dt.date) -> dt.date:
    return day.replace(day=1)


def _restored(cancellations: Sequence[Cancellation], before: dt.date, now: dt.date) -> list[Cancellation]:
    """What was undone as known on a day, and restored by a later one; not what is a share of another price since."""
    renewed = {(one.deal_id, one.won_on, one.cause, one.on, one.since) for one in cancellations}
    return [
        one for one in cancellations
        if one.until and one.on <= before < one.until <= now and one.is_known(before)
        and (one.deal_id, one.won_on, one.cause, one.on, one.until) not in renewed
    ]  # fmt: skip


def _adjust(
    before: State, now: State, month: str, plans: Mapping[str, Plan], restored: Sequence[Cancellation]
) -> list[Line]:
    """What the months before one bring more by what is known now."""
    old, new = (_sums(state.lines, month) for state in (before, now))
    lines = []
    for key in sorted(old.keys() | new.keys()):
        reported, known = (sums.get(key, Decimal(0)) for sums in (old, new))
        if reported == known:
            continue
        like = next(line for line in (*now.lines, *before.lines) if (line.component, line.span) == key)
        steps = [*_causes(before, now, like, plans, restored), *_derivation(now, key, month), *_parts(now, key, month)]
        steps.append(Step("adjusted", {"reported": reported, "known": known, "amount": known - reported}))
        lines.append(like._replace(month=month, kind="adjustment", amount=known - reported, steps=tuple(steps)))
    return lines


def _sums(lines: Iterable[Line], before: str) -> dict[Key, Decimal]:
    sums: dict[Key, Decimal] = {}
    for line in lines:
        if line.month < before:
            key = line.component, line.span
            sums[key] = sums.get(key, Decimal(0)) + line.amount
    return sums


def _derivation(now: State, key: Key, month: str) -> Iterable[Step]:
    """How what was earned comes about by what is known now."""
    for line in now.lines:
        if (line.component, line.span) == key and line.month < month and line.kind in ("earned", "spiff"):
            yield from line.steps


def _parts(now: State, key: Key, month: str) -> Iterable[Step]:
    """What was earned, held, released and taken back of it by what is known now, where that is more than one."""
    sums: dict[str, Decimal] = {}
    for line in now.lines:
        if (line.component, line.span) == key and line.month < month:
            sums[line.kind] = sums.get(line.kind, Decimal(0)) + line.amount
    if len(sums) > 1:
        yield Step("parts", {"kinds": list(sums.items()), "known": sum(sums.values(), Decimal(0))})


def _causes(
    before: State, now: State, like: Line, plans: Mapping[str, Plan], restored: Sequence[Cancellation]
) -> Iterable[Step]:
    """What became known about the credits and quotas that a line is reckoned from."""
    plan = next(one for one in plans.values() if (one.plan, one.version) == (like.plan, like.version))
    part = next((one for one in plan.components if one.name == like.component), None)
    old, new = ({one.credit_id: one for one in state.credits} for state in (before, now))
    for credit_id in sorted(old.keys() | new.keys()):
        was, is_now = old.get(credit_id), new.get(credit_id)
        credit = is_now or was
        if (was and is_now and was.measures == is_now.measures) or not _concerns(credit, like, plan, part):
            continue
        if was is None and not (credit.since and credit.since > credit.on):
            continue  # a deal that was won since
        measure = part.measure.removeprefix("column:") if part is not None else "bookings"
        worth = [Fraction(one.measures.get(measure, 0)) if one else Fraction(0) for one in (was, is_now)]
        yield Step("credit_known", {"deal": credit.deal_id, "on": credit.since or was.until,
                                    "measured": worth[0], "over": worth[1], "measure": measure})  # fmt: skip
    deals = {one.deal_id for one in now.credits if _concerns(one, like, plan, part)}
    for one in restored:
        if one.deal_id in deals:
            yield Step("restored", {"deal": one.deal_id, "share": Fraction(one.share), "on": one.until})
    if part is not None and part.needs_quota:
        yield from _quotas(before, now, part, like, plan)


def _concerns(credit: Credit, like: Line, plan: Plan, part: Component | None) -> bool:
    """Whether a credit counts for the component or spiff, in the span, that a line is of."""
    choice = plan.choices.get(like.component)
    if choice is None or not choice.takes(credit.facts):
        return False
    if credit.kind not in (part.credits if part is not None else ("direct",)):
        return False
    if part is not None and part.period == "deal":
        return credit.deal_id == like.span
    first, last = spans.days(like.span, plan.year_starts)
    if part is not None and part.to_date:
        first = spans.year_start(first, plan.year_starts)
    return first <= credit.on <= last


def _quotas(before: State, now: State, part: Component, like: Line, plan: Plan) -> Iterable[Step]:
    first, last = spans.days(like.span, plan.year_starts)
    first = spans.year_start(first, plan.year_starts) if part.to_date else first
    old, new = before.person.quotas, now.person.quotas
    for measure, period in sorted(old.keys() | new.keys()):
        begins, ends = spans.days(period, plan.year_starts)
        was, is_now = old.get((measure, period)), new.get((measure, period))
        if measure == part.measure and was != is_now and begins <= last and ends >= first:
            yield Step("quota_known", {"span": period, "whole": was, "quota": is_now})
