"""What goes into pay and what comes out of it: credits, people, payments; lines with their derivation."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from salesops.pay.plans import Plan

ZERO = Fraction(0)
ONE = Fraction(1)


def is_within(day: dt.date, since: dt.date | None, until: dt.date | None) -> bool:
    """Whether a day is in a span without the day of its end; None is from the beginning, and still."""
    return (since is None or since <= day) and (until is None or day < until)


class Win(NamedTuple):
    """An earlier win of a deal that was won again: its day, and its worth for each unit of the later win's."""

    on: dt.date
    worth: Fraction


class Credit(NamedTuple):
    """Of one person for one win of one deal.

    on : the day of the win. measures : bookings, margin, units, ... of the credit, the person's share taken. kind :
    direct, overlay or override. facts : what `only` looks at. since : the day on which the credit became known to be
    so; None is the day of the win. until : the day on which it was found to be otherwise; None is never. earlier :
    wins of the same deal before this one; what of them was not taken back is not credited again.
    """

    credit_id: str
    deal_id: str
    on: dt.date
    measures: Mapping[str, Fraction]
    kind: str = "direct"
    facts: Mapping[str, str] = MappingProxyType({})
    since: dt.date | None = None
    until: dt.date | None = None
    earlier: tuple[Win, ...] = ()

    def is_known(self, day: dt.date) -> bool:
        """Whether the credit was known to be so at the end of a day."""
        return is_within(day, self.since or self.on, self.until)


class Cancellation(NamedTuple):
    """A share of a deal (0 to 1) that was undone, and when.

    won_on : the day of the win that it undoes; None is every win of the deal before it. cause : lost (or reopened),
    lowered (the amount alone: other measures stay), unpaid. since : the day on which the credit became what the share
    is of; None is from the beginning. until : the day on which the credit became another, or what was undone was
    restored; None is never.
    """

    deal_id: str
    on: dt.date
    share: Fraction
    won_on: dt.date | None = None
    cause: str = "lost"
    since: dt.date | None = None
    until: dt.date | None = None

    def is_known(self, day: dt.date) -> bool:
        """Whether the share was known to be so at the end of a day."""
        return is_within(day, self.since, self.until)


class Payment(NamedTuple):
    """A share of a deal's price (0 to 1) that the customer paid, and when.

    won_on : the day of the win whose price it is a share of; None is any. since, until : the day on which the price
    became what the share is of, and that on which it became another; None is from the beginning, and still.
    """

    deal_id: str
    on: dt.date
    share: Fraction
    won_on: dt.date | None = None
    since: dt.date | None = None
    until: dt.date | None = None

    def is_known(self, day: dt.date) -> bool:
        """Whether the share was known to be so at the end of a day."""
        return is_within(day, self.since, self.until)


class Assignment(NamedTuple):
    """A person on a plan (its name in `plans`), from one day to another, both inclusive; None is open."""

    plan: str
    start: dt.date
    until: dt.date | None = None


class QuotaSpell(NamedTuple):
    """A quota of a period as it was for a time. value : None where there was none. since, until : the day on which it
    became so, and that on which it became another; None is from the beginning, and still."""

    measure: str
    period: str
    value: Fraction | None
    since: dt.date | None = None
    until: dt.date | None = None


class Person(NamedTuple):
    """quotas : (measure, period name) -> what is to be reached in a month, quarter, half or year, whole and unramped.
    leaves : first and last day of each. quota_spells : of quotas that changed, in place of those of `quotas`."""

    person_id: str
    hired_on: dt.date
    assignments: Sequence[Assignment]
    quotas: Mapping[tuple[str, str], Fraction] = MappingProxyType({})
    left_on: dt.date | None = None
    leaves: Sequence[tuple[dt.date, dt.date]] = ()
    quota_spells: Sequence[QuotaSpell] = ()

    def on_plan(self, day: dt.date) -> Assignment | None:
        """The plan on a day; None where there is none."""
        return next((one for one in self.assignments if one.start <= day <= (one.until or dt.date.max)), None)

    def as_known(self, day: dt.date) -> "Person":
        """The person with the quotas known at the end of a day."""
        if not self.quota_spells:
            return self
        spelled = {(one.measure, one.period) for one in self.quota_spells}
        others = {key: value for key, value in self.quotas.items() if key not in spelled}
        held = {
            (one.measure, one.period): one.value
            for one in self.quota_spells
            if one.value is not None and is_within(day, one.since, one.until)
        }
        return self._replace(quotas=others | held)


class Step(NamedTuple):
    """One step of a derivation: what was done, and the figures it was done with."""

    what: str
    values: Mapping[str, object]


class Line(NamedTuple):
    """What one person is paid for one thing in one month (the month that it is due in, as 2026-03).

    kind : earned, true_up (of earlier periods), spiff, held, released, clawback, adjustment (of what earlier months
    reported, by what became known in this one), draw, recovered, guarantee. span : the period measured.
    steps : how the amount came about, the last one its rounding.
    """

    person_id: str
    month: str
    component: str
    kind: str
    span: str
    amount: Decimal
    steps: tuple[Step, ...]
    plan: str
    version: str


def round_money(amount: Fraction, plan: Plan) -> Decimal:
    """To the currency's digits, by the plan's rule; exact before that."""
    scale = 10**plan.digits
    scaled = amount * scale
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    twice = 2 * rest - scaled.denominator
    up = {"half_up": twice >= 0, "half_even": twice > 0 or (twice == 0 and whole % 2 == 1), "down": False}[
        plan.rounding
    ]
    whole += up and rest > 0
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-plan.digits)
