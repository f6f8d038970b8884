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


class Credit(NamedTuple):
    """Of one person for one deal. on : the day that counts. measures : bookings, margin, units, ... of the credit, the
    person's share taken; kind : direct, overlay or override. facts : what `only` looks at."""

    credit_id: str
    deal_id: str
    on: dt.date
    measures: Mapping[str, Fraction]
    kind: str = "direct"
    facts: Mapping[str, str] = MappingProxyType({})


class Cancellation(NamedTuple):
    """A share of a deal (0 to 1) that was undone, and when."""

    deal_id: str
    on: dt.date
    share: Fraction


class Payment(NamedTuple):
    """A share of a deal's price (0 to 1) that the customer paid, and when."""

    deal_id: str
    on: dt.date
    share: Fraction


class Assignment(NamedTuple):
    """A person on a plan (its name in `plans`), from one day to another, both inclusive; None is open."""

    plan: str
    start: dt.date
    until: dt.date | None = None


class Person(NamedTuple):
    """quotas : (measure, period name) -> what is to be reached in a month, quarter, half or year, whole and unramped.
    leaves : first and last day of each."""

    person_id: str
    hired_on: dt.date
    assignments: Sequence[Assignment]
    quotas: Mapping[tuple[str, str], Fraction] = MappingProxyType({})
    left_on: dt.date | None = None
    leaves: Sequence[tuple[dt.date, dt.date]] = ()


class Step(NamedTuple):
    """One step of a derivation: what was done, and the figures it was done with."""

    what: str
    values: Mapping[str, object]


class Line(NamedTuple):
    """What one person is paid for one thing in one month (the month that it is due in, as 2026-03).

    kind : earned, true_up (of earlier periods), spiff, held, released, clawback, draw, recovered, guarantee. span :
    the period measured. steps : how the amount came about, the last one its rounding.
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
