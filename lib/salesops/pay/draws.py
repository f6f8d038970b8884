"""Draws and guarantees: what is paid in months in which little is earned, and what of it is recovered later."""

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction

from salesops import periods
from salesops.pay.plans import Plan
from salesops.pay.records import ZERO, Line, Person, Step, round_money

COUNTED = ("earned", "true_up", "spiff", "adjustment")  # what is held, released or taken back is no matter of draws


def balance(person: Person, plans: Mapping[str, Plan], lines: list[Line], through: dt.date) -> list[Line]:
    """The lines with those of draws, month by month: paid up where little is earned, recovered where more is."""
    drawing = [(one, plans[one.plan]) for one in person.assignments if plans[one.plan].draw is not None]
    if not drawing:
        return lines
    found, owed = list(lines), ZERO
    month = max(min(one.start for one, _plan in drawing), person.hired_on).replace(day=1)
    while month <= through:
        name, last = f"{month:%Y-%m}", periods.days_after(periods.add_months(month, 1), -1)
        counted = (Fraction(line.amount) for line in lines if line.month == name and line.kind in COUNTED)
        earned = max(sum(counted, ZERO), ZERO)
        holding = [(one, plan) for one, plan in drawing
                   if one.start <= last and (one.until or dt.date.max) >= month
                   and (person.left_on is None or person.left_on >= month)]  # fmt: skip
        plan = holding[-1][1] if holding else drawing[-1][1]
        draw = plan.draw
        months = (last.year - person.hired_on.year) * 12 + last.month - person.hired_on.month
        due = draw.amount if holding and (draw.months is None or months < draw.months) else ZERO
        kind, amount = None, ZERO
        if earned < due:
            kind, amount = ("draw" if draw.kind == "recoverable" else "guarantee"), due - earned
            owed += amount if draw.kind == "recoverable" else ZERO
        elif owed and earned > due:
            kind, amount = "recovered", -min(owed, earned - due)
            owed += amount
        if kind:
            step = Step(kind, {"earned": earned, "draw": due, "balance": owed})
            found.append(Line(person.person_id, name, kind, kind, name, round_money(amount, plan), (step,), plan.plan,
                              plan.version))  # fmt: skip
        month = periods.add_months(month, 1)
    return sorted(found, key=lambda line: line.month)
