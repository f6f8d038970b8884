"""Periods of a plan's year: their names, their days, the quotas given for them."""

import datetime as dt
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from salesops import periods


class Span(NamedTuple):
    """A period of a component: its name, days, and the month that it is paid in."""

    name: str
    first_on: dt.date
    last_on: dt.date
    month: str


def find(n_months: int, first: dt.date, last: dt.date, year_starts: int, through: dt.date) -> list[Span]:
    """Periods of so many months that touch the days between, those that have ended by `through`."""
    into = (first.month - year_starts) % 12 % n_months
    begins, found = periods.add_months(first.replace(day=1), -into), []
    while begins <= last:
        ends = periods.days_after(periods.add_months(begins, n_months), -1)
        if ends <= through:
            found.append(Span(name(begins, n_months, year_starts), begins, ends, f"{ends:%Y-%m}"))
        begins = periods.days_after(ends, 1)
    return found


def last_ended(day: dt.date) -> dt.date:
    """The last day of the last month that has ended by the end of a day."""
    return periods.days_after(periods.days_after(day, 1).replace(day=1), -1)


def year_start(day: dt.date, year_starts: int) -> dt.date:
    return periods.add_months(day.replace(day=1), -((day.month - year_starts) % 12))


def year_end(day: dt.date, year_starts: int) -> dt.date:
    return periods.days_after(periods.add_months(year_start(day, year_starts), 12), -1)


def name(first: dt.date, n_months: int, year_starts: int) -> str:
    """A period's name in the plan's year: 2026-03, 2026-Q1, 2026-H1, 2026."""
    into = (first.month - year_starts) % 12
    year = periods.add_months(first, -into).year
    return {1: f"{first:%Y-%m}", 3: f"{year}-Q{into // 3 + 1}", 6: f"{year}-H{into // 6 + 1}", 12: f"{year}"}[n_months]


def days(name: str, year_starts: int) -> tuple[dt.date, dt.date]:
    """The first and last day of a period by its name in the plan's year."""
    if re.fullmatch(r"\d{4}-\d{2}", name):
        first, n_months = dt.date.fromisoformat(f"{name}-01"), 1
    else:
        n_months = {"Q": 3, "H": 6, "": 12}[name[5:6]]
        first = periods.add_months(dt.date(int(name[:4]), year_starts, 1), (int(name[6:] or 1) - 1) * n_months)
    return first, periods.days_after(periods.add_months(first, n_months), -1)


def find_quota(
    quotas: Mapping[tuple[str, str], Fraction], measure: str, first: dt.date, last: dt.date, year_starts: int
) -> Fraction | None:
    """The quota of a period of the plan's year: its own, else those of all its parts together; None where any part has
    none."""
    n_months = (last.year - first.year) * 12 + last.month - first.month + 1
    own = quotas.get((measure, name(first, n_months, year_starts)))
    if own is not None or n_months == 1:
        return None if own is None else Fraction(own)
    parts = []
    step = {12: 6, 6: 3, 3: 1}[n_months]
    for k in range(0, n_months, step):
        begins = periods.add_months(first, k)
        ends = periods.days_after(periods.add_months(begins, step), -1)
        parts.append(find_quota(quotas, measure, begins, ends, year_starts))
    return None if any(part is None for part in parts) else sum(parts, Fraction(0))


def tenure_month(hired_on: dt.date, day: dt.date) -> int:
    """Whole months since hiring: 0 in the first one."""
    months = (day.year - hired_on.year) * 12 + day.month - hired_on.month
    return months - (day.day < hired_on.day)
