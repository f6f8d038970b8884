"""What people are paid, exactly: plans, credits, quotas and payments in; lines with their whole derivation out.

Everything is computed in fractions and rounded once for each line, so the order of credits and of files does not
matter. A month's lines depend only on what was known at its end: computing a later month leaves them as they were.

What is cancelled before its period is paid was never earned, whatever the plan says. What is cancelled later is taken
back as the plan's `clawback` says; a plan without one takes nothing back. Any other fact that becomes known later
(`ledger`) is an adjustment of the month in which it became known.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from salesops import periods, workdays
from salesops.pay import curves, draws, ledger, spans
from salesops.pay.plans import SPANS, Component, Plan, Spiff
from salesops.pay.records import ONE, ZERO, Cancellation, Credit, Line, Payment, Person, Step, Win, round_money
from salesops.pay.spans import Span
from salesops.problems import BadInput

EARNED = ("earned", "true_up", "spiff", "clawback")  # kinds of lines of a rerun, whatever is held or drawn


class NoQuota(BadInput):
    """A quota that a plan asks for is missing: of a `measure`, for a `span`."""

    measure = span = ""


def pay(
    person: Person,
    plans: Mapping[str, Plan],
    credits: Iterable[Credit],
    *,
    through: dt.date,
    cancellations: Iterable[Cancellation] = (),
    payments: Iterable[Payment] = (),
) -> list[Line]:
    """All lines of a person up to the month that `through` is in, the earliest first.

    Raises
    ------
    BadInput
        Where a plan is not known, a day of a plan, a credit twice, a quota missing or below zero: all at once.
    """
    credits = list(credits)
    _check(person, plans, credits, through)
    deals = {one.deal_id for one in credits}
    own_payments, own_cancellations = (
        [one for one in all_ if one.deal_id in deals] for all_ in (payments, cancellations)
    )

    def reckon(person: Person, credits: list[Credit], through: dt.date) -> list[Line]:
        lines: list[Line] = []
        known = ([one for one in events if one.is_known(through)] for events in (own_payments, own_cancellations))
        paid, cancelled = map(by_deal, known)
        for assignment in person.assignments:
            lines += Run(person, plans[assignment.plan], assignment, credits, cancelled, paid, through).lines()
        return sorted(lines, key=lambda line: line.month)

    lines = ledger.post(person, plans, credits, own_cancellations, through, reckon)
    return draws.balance(person, plans, lines, through)


def rerun(
    person: Person,
    plans: Mapping[str, Plan],
    credits: Iterable[Credit],
    *,
    through: dt.date,
    cancellations: Iterable[Cancellation] = (),
    payments: Iterable[Payment] = (),
) -> list[Line]:
    """What the whole history pays if everything known at the end of `through` had been known from the beginning: the
    lines of `pay` without adjustments. What is cancelled still has its day, which a clawback asks for.

    Raises
    ------
    BadInput
        As `pay`.
    """

    def known(events: Iterable) -> list:
        return [one._replace(since=None, until=None) for one in events if one.is_known(through)]

    settled = person.as_known(through)._replace(quota_spells=())
    return pay(
        settled, plans, known(credits), through=through, cancellations=known(cancellations), payments=known(payments)
    )


def _check(person: Person, plans: Mapping[str, Plan], credits: list[Credit], through: dt.date) -> None:
    who, problems = person.person_id, []
    problems += [f"{who}: credit {one} stands twice" for one in ledger.doubled(credits)]
    quotas = [(*key, value) for key, value in sorted(person.quotas.items())]
    quotas += [(one.measure, one.period, one.value) for one in person.quota_spells if one.value is not None]
    problems += [
        f"{who}: the quota of {measure} in {period} is {float(value):,.2f}, must not be below 0"
        for measure, period, value in quotas
        if value < 0
    ]
    held = sorted((one.start, one.until or dt.date.max) for one in person.assignments)
    problems += [
        f"{who}: two plans hold on {other[0]}" for one, other in zip(held, held[1:], strict=False) if other[0] <= one[1]
    ]
    for one in person.assignments:
        if one.plan not in plans:
            problems.append(f"{who}: the plan {one.plan!r} is not known; there are: {', '.join(sorted(plans))}")
            continue
        plan = plans[one.plan]
        if one.start < plan.start or (one.until or through) > plan.until:
            problems.append(f"{who}: {one.plan} holds from {plan.start} to {plan.until}, not from {one.start} on to "
                            f"{one.until or through}")  # fmt: skip
    if problems:
        raise BadInput("pay cannot be computed", list(dict.fromkeys(problems)))


class Run:
    """One person on one plan, by one state of knowledge. cancelled, paid : by deal."""

    def __init__(self, person, plan, assignment, credits, cancelled, paid, through):
        self.person, self.plan, self.cancelled, self.paid = person, plan, cancelled, paid
        self.days: dict[tuple[dt.date, dt.date], list[dt.date]] = {}
        self.first_on = max(assignment.start, person.hired_on)
        self.last_on = min(assignment.until or plan.until, person.left_on or dt.date.max, plan.until)
        self.through = periods.month_end(through)
        self.credits = sorted(
            (one for one in credits if self.first_on <= one.on <= min(self.last_on, self.through)),
            key=lambda one: (one.on, one.credit_id),
        )

    @cached_property
    def months(self) -> list[Span]:
        """From the first month on the plan to the last one asked for."""
        return self._spans(1, self.first_on, self.through)

    def _spans(self, n_months: int, first: dt.date, last: dt.date) -> list[Span]:
        return spans.find(n_months, first, last, self.plan.year_starts, self.through)

    def spans_of(self, component: Component) -> list[Span]:
        """The periods of a component that the person is there for and that have ended."""
        return self._spans(SPANS[component.period], self.first_on, min(self.last_on, self.through))

    def lines(self) -> list[Line]:
        found = []
        for component in self.plan.components:
            found += self._each_deal(component) if component.period == "deal" else self.by_period(component)
        for spiff in self.plan.spiffs:
            found += self._spiff(spiff)
        return found

    # What is measured

    def _days(self, span: Span) -> list[dt.date]:
        """The days of a period that count: all, or the working days of the plan's calendar."""
        days = [span.first_on + dt.timedelta(days=k) for k in range((span.last_on - span.first_on).days + 1)]
        if self.plan.prorate != "working_days":
            return days
        return [day for day in days if workdays.is_working(day, self.plan.calendar)] or days

    def _active(self, span: Span) -> list[dt.date]:
        """Those of them on the plan and not on leave."""
        if (span.first_on, span.last_on) not in self.days:
            there = [day for day in self._days(span) if self.first_on <= day <= self.last_on]
            away = self.person.leaves
            active = [day for day in there if not any(first <= day <= last for first, last in away)]
            self.days[span.first_on, span.last_on] = active
        return self.days[span.first_on, span.last_on]

    def presence(self, span: Span) -> Fraction:
        """The share of a period's days that the person is on the plan and not on leave; 1 where nothing is prorated."""
        if not self.plan.prorate:
            return ONE
        return Fraction(len(self._active(span)), len(self._days(span)))

    def _ramped(self, span: Span) -> Fraction:
        """The share of a period's quota that is asked for: by days there, and by the ramp of the month of tenure."""
        days = self._active(span) if self.plan.prorate else self._days(span)
        ramp = self.plan.ramp
        total = ZERO
        for day in days:
            month = spans.tenure_month(self.person.hired_on, day)
            total += ramp[month] if 0 <= month < len(ramp) else ONE
        return total / len(self._days(span))

    def quota(self, component: Component, span: Span) -> tuple[Fraction, Step] | None:
        """The quota of a period: its own, else those of its parts; prorated and ramped. None where there is none."""
        whole = spans.find_quota(
            self.person.quotas, component.measure, span.first_on, span.last_on, self.plan.year_starts
        )
        if whole is None:
            return None
        share = self._ramped(span)
        return whole * share, Step("quota", {"span": span.name, "whole": whole, "share": share, "quota": whole * share})

    def counts(self, component: Component, credit: Credit) -> Fraction:
        """What of a credit a component measures; 0 where it is none of its."""
        if credit.kind not in component.credits or not component.takes(credit.facts):
            return ZERO
        name = component.measure.removeprefix("column:")
        return Fraction(credit.measures.get(name, 0))

    def measured(
        self, component: Component, first: dt.date, last: dt.date, known: dt.date
    ) -> list[tuple[Credit, Fraction]]:
        """The credits of some days and what each counts for, as known on a day: without what was cancelled before its
        period was paid, and under `rerun` without what was cancelled in time after it."""
        values = []
        for credit in self.credits:
            if not first <= credit.on <= last:
                continue
            value = self.counts(component, credit)
            if value and (credit.deal_id in self.cancelled or credit.earlier):
                until = known if self._reruns else min(known, self._closes_on(component, credit.on))
                value *= self._fresh(component, credit) * (ONE - self._undone(component, credit, until))
            if value:
                values.append((credit, value))
        return values

    @property
    def _reruns(self) -> bool:
        return self.plan.clawback is not None and self.plan.clawback.way == "rerun"

    def _closes_on(self, component: Component | None, day: dt.date) -> dt.date:
        """The last day of the period of a component that a day is in; of a spiff (None), of its month."""
        n_months = SPANS.get(component.period, 1) if component is not None else 1
        return spans.find(n_months, day, day, self.plan.year_starts, dt.date.max)[0].last_on

    def _undone(self, component: Component | None, credit: Credit, known: dt.date) -> Fraction:
        """The share of a credit that is cancelled by the end of a day: before its period was paid in any case, later
        within the days of the clawback."""
        clawback, closes_on = self.plan.clawback, self._closes_on(component, credit.on)
        undone = ZERO
        for event in self.cancelled.get(credit.deal_id, ()):
            if event.on > known or event.on < credit.on or event.won_on not in (None, credit.on):
                continue
            if event.cause == "lowered" and component is not None and component.measure != "bookings":
                continue
            in_time = clawback is not None and (event.on - credit.on).days <= clawback.days
            if in_time or event.on <= closes_on:
                undone += Fraction(event.share)
        return min(undone, ONE)

    def _fresh(self, component: Component | None, credit: Credit) -> Fraction:
        """The share of a credit that was not credited before: what of earlier wins of the deal was not taken back is
        not credited again."""
        kept: list[tuple[Win, Fraction]] = []
        for win in (*credit.earlier, Win(credit.on, ONE)):
            before = ZERO
            for prior, worth in kept:
                before += worth * (ONE - self._undone(component, credit._replace(on=prior.on), win.on))
            kept.append((win, max(win.worth - before, ZERO)))
        return kept[-1][1]

    def _lapsed(self, component: Component, credit: Credit, since: dt.date, known: dt.date) -> Fraction:
        """The share of what was earned, as known on the day `since`, that later cancellations undid."""
        if self.plan.clawback is None or credit.deal_id not in self.cancelled:
            return ZERO
        before = self._undone(component, credit, since)
        return (self._undone(component, credit, known) - before) / (ONE - before) if before < 1 else ZERO

    def attainment(self, component: Component, span: Span, known: dt.date) -> Fraction | None:
        """Measured over quota, of the period or of the year up to it; None where the quota is zero."""
        measured, quota, _target, _steps = self.basis(component, span, known)
        if quota is None:
            raise self.no_quota(component, span.name)
        return measured / quota if quota else None

    def no_quota(self, component: Component, span: str) -> "NoQuota":
        said = f"no quota of {component.measure} for {span}, which {self.plan.plan} ({component.name}) asks for"
        error = NoQuota("pay cannot be computed", [f"{self.person.person_id}: {said}"])
        error.measure, error.span = component.measure, span
        return error

    def basis(self, component: Component, span: Span, known: dt.date):
        """What is measured, the quota (None where any part has none) and the target pay of a period, or of the year up
        to it from the person's first day on."""
        first = self._year_start(span.first_on) if component.to_date else span.first_on
        parts = self.measured(component, first, span.last_on, known)
        measured = sum((value for _credit, value in parts), ZERO) - over_windfall(component, parts)
        target, quotas, steps, share = ZERO, [], [], Fraction(SPANS[component.period], 12)
        for one in self._spans(SPANS[component.period], first, span.last_on):
            if one.last_on < self.first_on:
                continue
            target += self.plan.pay.variable * component.weight * share * self.presence(one)
            found = self.quota(component, one)
            quotas.append(None if found is None else found[0])
            steps += [] if found is None else [found[1]]
        quota = None if None in quotas or not quotas else sum(quotas, ZERO)
        steps.insert(0, Step("measured", {"measure": component.measure, "first_on": first, "last_on": span.last_on,
                                          "measured": measured, "target": target}))  # fmt: skip
        return measured, quota, target, steps

    def _year_start(self, day: dt.date) -> dt.date:
        return spans.year_start(day, self.plan.year_starts)

    # What it earns

    def entitled(self, component: Component, span: Span, known: dt.date) -> tuple[Fraction, list[Step]]:
        """What a period (or the year up to it) earns as known on a day, before the cap of the year."""
        measured, quota, target, steps = self.basis(component, span, known)
        if component.needs_quota and quota is None:
            raise self.no_quota(component, span.name)
        attainment = measured / quota if quota else None
        if quota is not None:
            steps.append(Step("attainment", {"measured": measured, "quota": quota, "attainment": attainment}))
        first = self._year_start(span.first_on) if component.to_date else span.first_on
        parts = self.measured(component, first, span.last_on, known)
        if component.threshold is not None and (attainment is None or attainment < component.threshold):
            steps.append(Step("below_threshold", {"threshold": component.threshold}))
            return self._taken_back(component, parts, quota, target, steps)
        open_to = None
        if component.accelerates_after is not None and not self._year_reached(component, span, known):
            open_to = 1
            steps.append(Step("not_accelerated", {"at_least": component.accelerates_after}))
        if component.gate is not None:
            other = self.attainment(self.plan.component(component.gate.of), span, known)
            if other is None or other < component.gate.at_least:
                values = {"of": component.gate.of, "at_least": component.gate.at_least, "attainment": other}
                steps.append(Step("gate_closed", values))
                if component.gate.otherwise == "nothing":
                    return self._taken_back(component, parts, quota, target, steps)
                open_to = 1
        amount, more = self._earned(component, parts, quota, target, open_to)
        steps += more
        if component.multiplier is not None:
            other = self.attainment(self.plan.component(component.multiplier.of), span, known)
            factor = curves.times(component.multiplier, other)
            amount *= factor
            steps.append(Step("times", {"of": component.multiplier.of, "attainment": other, "factor": factor}))
        if component.cap.deal is not None:
            capped = self._cap_deals(component, parts, amount)
            if capped != amount:
                steps.append(Step("deal_cap", {"cap": component.cap.deal.value, "before": amount, "after": capped}))
            amount = capped
        if component.cap.period is not None and amount > (most := component.cap.period.of(target)):
            steps.append(Step("period_cap", {"cap": most, "before": amount}))
            amount = most
        return amount, steps

    def _taken_back(self, component, parts, quota, target, steps) -> tuple[Fraction, list[Step]]:
        """What a period earns whose threshold or gate is not met: nothing; but more returned than sold is taken back,
        for a gate stops what is paid, not what is owed."""
        amount, more = self._earned(component, parts, quota, target, 1)
        return (amount, [*steps, *more]) if amount < 0 else (ZERO, steps)

    def _earned(self, component, parts, quota, target, open_to) -> tuple[Fraction, list[Step]]:
        over, steps = over_windfall(component, parts), []
        if over:
            windfall = component.windfall
            steps.append(Step("windfall", {"over": windfall.over, "above": over, "way": windfall.way}))
        usual = sum((value for _credit, value in parts), ZERO) - over
        amount = curves.earned(component.table, usual, quota, target, open_to=open_to)
        scale = quota if component.table.by == "attainment" else ONE
        if component.table.way == "marginal" and usual > 0:
            bands = [(band.start, band.value, part) for band, part in
                     curves.portions(component.table, usual, scale, open_to)]  # fmt: skip
            steps.append(Step("bands", {"kind": component.table.kind, "bands": bands, "amount": amount}))
        else:
            steps.append(Step("table", {"kind": component.table.kind, "measured": usual, "amount": amount}))
        if over and component.windfall.way == "carve_out":
            rate = curves.next_rate(component.table, usual, quota, target, open_to=open_to)
            amount += over * rate
            steps.append(Step("carved_out", {"amount": over, "rate": rate, "paid": over * rate}))
        return amount, steps

    def _year_reached(self, component: Component, span: Span, known: dt.date) -> bool:
        """Whether the year so far has reached its share of the year's quota, for the days there and by the ramp."""
        first = self._year_start(span.first_on)
        last = periods.days_after(periods.add_months(first, 12), -1)
        parts = self.measured(component, first, span.last_on, known)
        measured = sum((value for _credit, value in parts), ZERO) - over_windfall(component, parts)
        whole = ZERO
        for one in spans.find(SPANS[component.period], first, last, self.plan.year_starts, last):
            if one.last_on < self.first_on:
                continue
            found = self.quota(component, one)
            if found is None:
                raise self.no_quota(component, one.name)
            whole += found[0]
        return measured >= component.accelerates_after * whole

    def _cap_deals(self, component: Component, parts, amount: Fraction) -> Fraction:
        """Each deal's part of what is earned, by its part of what is measured, up to the cap."""
        shares = _shares(parts)
        most = component.cap.deal.value
        return sum((min(amount * share, most) for share in shares.values()), ZERO) if shares else amount

    # What is paid when

    def by_period(self, component: Component) -> list[Line]:
        """Each period when it ends; under `rerun` also what earlier ones have become, in the month in which it became
        known, also after the plan."""
        own = self.spans_of(component)
        events = (event for credit in self.credits for event in self.cancelled.get(credit.deal_id, ()))
        changed = {event.on.replace(day=1) for event in events} if self._reruns else set()
        closing = {span.last_on for span in own}
        ends = [month for month in self.months if month.first_on in changed or month.last_on in closing]
        posted: dict[str, Fraction] = {}  # by the period that it was earned in
        found: list[Line] = []
        for now in ends:
            for span in own:
                is_its_end = span.last_on == now.last_on
                if span.last_on > now.last_on or not (is_its_end or now.first_on in changed):
                    continue
                amount, steps = self._still_due(component, span, now.last_on, posted, own)
                if not is_its_end and not amount:
                    continue
                posted[span.name] = posted.get(span.name, ZERO) + Fraction(amount)
                kind = "earned" if is_its_end else "true_up"
                found.append(self._line(now.month, component.name, kind, span.name, amount, steps))
                if is_its_end:
                    found += self._timed(component, span, now, amount)
        return found

    def _still_due(self, component, span, known, posted, own) -> tuple[Decimal, list[Step]]:
        """What a period still brings: all that it earns as known now, rounded, less what was posted for it."""
        amount, steps = self.entitled(component, span, known)
        year = self._year_start(span.first_on)
        before = sum((posted.get(one.name, ZERO) for one in own if year <= one.first_on < span.first_on), ZERO)
        if component.cap.year is not None:
            last = periods.days_after(periods.add_months(year, 12), -1)
            there = self.presence(Span(span.name, year, last, span.month))
            most = component.cap.year.of(self.plan.pay.variable * component.weight * there)
            most -= ZERO if component.to_date else before
            if amount > most:
                steps.append(Step("year_cap", {"left": most, "before": amount}))
                amount = most
        rounded = round_money(amount, self.plan)
        steps.append(Step("rounded", {"exact": amount, "amount": rounded, "way": self.plan.rounding}))
        already = posted.get(span.name, ZERO) + (before if component.to_date else ZERO)
        if already:
            rounded -= round_money(already, self.plan)
            steps.append(Step("less_paid", {"paid": already, "amount": rounded}))
        return rounded, steps

    def _timed(self, component: Component, span: Span, now: Span, amount: Decimal) -> list[Line]:
        """Holds, releases and clawbacks of what a period earned, deal by deal."""
        parts = self.measured(component, span.first_on, span.last_on, now.last_on)
        return self._of_deals(component, parts, amount, span.name, now.last_on)

    def _of_deals(self, component: Component, parts, amount: Decimal, span: str, posted_on: dt.date) -> list[Line]:
        """What was earned is each deal's by its part of what is measured; the parts are whole cents, and sum to it."""
        lines, so_far, given = [], ZERO, Decimal(0)
        worth = _by_deal(parts)
        for deal, share in sorted(_shares(parts).items()):
            so_far += share
            own = round_money(Fraction(amount) * so_far, self.plan) - given
            given += own
            sold = Sold(component, deal, [part for part in parts if part[0].deal_id == deal], Fraction(own), span)
            lines += self._held(sold, posted_on) + self._clawed_back(sold, posted_on)
            if component.windfall is not None and component.windfall.way == "schedule" and own > 0:
                over = max(worth[deal] - component.windfall.over, ZERO) / worth[deal]
                lines += self._scheduled(sold, over, posted_on)
        return lines

    def _gone(self, sold: "Sold", since: dt.date, known: dt.date) -> Fraction:
        """The share of what a deal earned that was cancelled after `since`: by the worth of its credits."""
        if sold.deal not in self.cancelled:
            return ZERO
        whole = sum((value for _credit, value in sold.parts), ZERO)
        lapsed = (value * self._lapsed(sold.component, credit, since, known) for credit, value in sold.parts)
        return min(max(sum(lapsed, ZERO) / whole, ZERO), ONE)

    def _paid(self, sold: "Sold", known: dt.date) -> Fraction:
        """The share of a deal's price that is paid by the end of a day: by the worth of its credits."""
        payments, whole, paid = self.paid.get(sold.deal, ()), ZERO, ZERO
        for credit, value in sold.parts:
            whole += value
            shares = (Fraction(one.share) for one in payments if one.on <= known and one.won_on in (None, credit.on))
            paid += value * sum(shares, ZERO)
        return paid / whole

    def _months_from(self, posted_on: dt.date) -> list[Span]:
        return [month for month in self.months if month.last_on >= posted_on]

    def _scheduled(self, sold: "Sold", over: Fraction, posted_on: dt.date) -> list[Line]:
        """What the part of a deal above the windfall's limit earns, paid in equal months from the next one on; of what
        is cancelled nothing is kept back any more."""
        kept, n = round_money(sold.earned * over, self.plan), sold.component.windfall.months
        if not kept:
            return []
        months = self._months_from(posted_on)
        values = {"deal": sold.deal, "earned": sold.earned, "share": over, "months": n}
        lines = [self._line(months[0].month, sold.name, "held", sold.span, -kept, [Step("scheduled", values)])]
        shares = (Fraction(k, n) + self._gone(sold, posted_on, month.last_on) for k, month in enumerate(months))
        return lines + self._released(sold, kept, months, shares, "scheduled_part")

    def _held(self, sold: "Sold", posted_on: dt.date) -> list[Line]:
        """What a deal earned that waits for the customer's payments; of what is cancelled nothing waits any more, for
        it is taken back whole."""
        share = self.plan.hold.share if self.plan.hold is not None else ZERO
        if not share or sold.earned <= 0:
            return []
        months = self._months_from(posted_on)
        kept = round_money(sold.earned * share, self.plan)
        values = {"deal": sold.deal, "earned": sold.earned, "share": share}
        lines = [self._line(months[0].month, sold.name, "held", sold.span, -kept, [Step("held", values)])]
        shares = (self._paid(sold, month.last_on) + self._gone(sold, posted_on, month.last_on) for month in months)
        return lines + self._released(sold, kept, months, shares, "released")

    def _released(self, sold: "Sold", kept: Decimal, months, shares, what: str) -> list[Line]:
        """Month by month, what has fallen due of what was kept back."""
        lines, before = [], Decimal(0)
        for month, share in zip(months, shares, strict=True):
            share = min(share, ONE)
            due = round_money(Fraction(kept) * share, self.plan)
            if due != before:
                step = Step(what, {"deal": sold.deal, "held": kept, "share": share, "before": before})
                lines.append(self._line(month.month, sold.name, "released", sold.span, due - before, [step]))
                before = due
        return lines

    def _clawed_back(self, sold: "Sold", posted_on: dt.date) -> list[Line]:
        """Month by month, what was cancelled of what a deal earned, at the rate that it was paid at."""
        if self.plan.clawback is None or self._reruns or sold.earned <= 0 or sold.deal not in self.cancelled:
            return []
        lines, before = [], Decimal(0)
        for month in self._months_from(posted_on):
            share = self._gone(sold, posted_on, month.last_on)
            due = round_money(sold.earned * share, self.plan)
            if due != before:
                step = Step("clawback", {"deal": sold.deal, "earned": sold.earned, "share": share, "before": before})
                lines.append(self._line(month.month, sold.name, "clawback", sold.span, before - due, [step]))
                before = due
        return lines

    def _each_deal(self, component: Component) -> list[Line]:
        found = []
        for month in self._spans(1, self.first_on, min(self.last_on, self.through)):
            parts = self.measured(component, month.first_on, month.last_on, month.last_on)
            for deal, _value in sorted(_by_deal(parts).items()):
                mine = [part for part in parts if part[0].deal_id == deal]
                amount, steps = self._earned(component, mine, None, self.plan.pay.variable * component.weight, None)
                if component.cap.deal is not None and amount > component.cap.deal.value:
                    steps.append(Step("deal_cap", {"cap": component.cap.deal.value, "before": amount,
                                                   "after": component.cap.deal.value}))  # fmt: skip
                    amount = component.cap.deal.value
                rounded = round_money(amount, self.plan)
                steps.append(Step("rounded", {"exact": amount, "amount": rounded, "way": self.plan.rounding}))
                found.append(self._line(month.month, component.name, "earned", deal, rounded, steps))
                found += self._of_deals(component, mine, rounded, deal, month.last_on)
        return found

    def _spiff(self, spiff: Spiff) -> list[Line]:
        """Each deal once, while it is sold at all, `each` by the person's share of it; together never above `most`.

        Whatever the clawback's way, a spiff is run again: what deals that were cancelled brought is taken back, as far
        as others do not fill the place under `most` that they leave.
        """
        lines, before = [], Decimal(0)
        for month in self.months:
            _n_deals, known = self._spiff_due(spiff, periods.days_after(month.first_on, -1), month.last_on)
            n_deals, due = self._spiff_due(spiff, month.last_on, month.last_on)
            if known != before:
                values = {"name": spiff.name, "before": before, "after": known}
                step = Step("spiff_again", values)
                lines.append(self._line(month.month, spiff.name, "clawback", month.name, known - before, [step]))
            if due != known:
                step = Step("spiff", {"deals": n_deals, "each": spiff.each, "rate": spiff.rate, "most": spiff.most,
                                      "after": due, "before": known})  # fmt: skip
                lines.append(self._line(month.month, spiff.name, "spiff", month.name, due - known, [step]))
            before = due
        return lines

    def _spiff_due(self, spiff: Spiff, sold_by: dt.date, known: dt.date) -> tuple[int, Decimal]:
        """How many deals won by a day count, and what they bring together, as known on another."""
        worth: dict[str, Fraction] = {}
        shares: dict[str, Fraction] = {}
        for credit in self.credits:
            if not spiff.start <= credit.on <= min(spiff.until, sold_by) or credit.kind != "direct":
                continue
            if not spiff.takes(credit.facts):
                continue
            left = self._fresh(None, credit) * (ONE - self._undone(None, credit, known))
            value, deal = Fraction(credit.measures.get("bookings", 0)) * left, credit.deal_id
            worth[deal] = worth.get(deal, ZERO) + value
            shares[deal] = shares.get(deal, ZERO) + (Fraction(credit.measures.get("units", 1)) if value > 0 else ZERO)
        sold = [deal for deal, value in worth.items() if value > 0]
        if spiff.each is not None:
            exact = spiff.each * sum((min(shares[deal], ONE) for deal in sold), ZERO)
        else:
            exact = spiff.rate * sum((worth[deal] for deal in sold), ZERO)
        return len(sold), round_money(exact if spiff.most is None else min(exact, spiff.most), self.plan)

    def _line(self, month: str, name: str, kind: str, span: str, amount: Decimal, steps: list[Step]) -> Line:
        return Line(self.person.person_id, month, name, kind, span, amount, tuple(steps), self.plan.plan,
                    self.plan.version)  # fmt: skip


class Sold(NamedTuple):
    """A deal's part in what a component earned for a span. parts : its credits there, and what each counts for."""

    component: Component
    deal: str
    parts: Sequence[tuple[Credit, Fraction]]
    earned: Fraction
    span: str

    @property
    def name(self) -> str:
        return self.component.name


def by_deal(events: Iterable[Cancellation | Payment]) -> dict[str, list[Cancellation | Payment]]:
    """Events by deal, the earliest first."""
    deals: dict[str, list[Cancellation | Payment]] = {}
    for event in sorted(events, key=lambda event: event.on):
        deals.setdefault(event.deal_id, []).append(event)
    return deals


def _by_deal(parts: Sequence[tuple[Credit, Fraction]]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for credit, value in parts:
        found[credit.deal_id] = found.get(credit.deal_id, ZERO) + value
    return found


def _shares(parts: Sequence[tuple[Credit, Fraction]]) -> dict[str, Fraction]:
    """Each deal's part of what is measured; of deals that were returned whole, none."""
    found = {deal: value for deal, value in _by_deal(parts).items() if value > 0}
    whole = sum(found.values(), ZERO)
    return {deal: value / whole for deal, value in found.items()} if whole else {}


def over_windfall(component: Component, parts: Sequence[tuple[Credit, Fraction]]) -> Fraction:
    """What of single deals lies above the windfall's limit: it is left out of attainment."""
    if component.windfall is None or component.windfall.way == "schedule":
        return ZERO
    over = component.windfall.over
    return sum((value - over for value in _by_deal(parts).values() if value > over), ZERO)
