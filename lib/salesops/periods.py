"""Periods: a month, a quarter, a year, or a span of months, as whole days.

A period belongs to the day it starts. A fiscal year is named by the calendar year it starts in, and
its quarters count from its first month.
"""

import datetime as dt
import re
from typing import NamedTuple
from zoneinfo import ZoneInfo

FORMS = "2026-10 (month), 2026-Q3 (quarter), 2026 (year) or 2025-11..2026-10 (months)"
_MONTH = r"([0-9]{4})-(0[1-9]|1[0-2])"


class Period(NamedTuple):
    """Whole days, both inclusive; `name` is the form it was given in."""

    name: str
    first_on: dt.date
    last_on: dt.date

    @property
    def n_months(self) -> int:
        return months_between(self.first_on, self.last_on) + 1


def parse(text: str, *, year_starts: int = 1) -> Period:
    """Read a period.

    Parameters
    ----------
    text : one of `FORMS`.
    year_starts : first month (1 to 12) of the fiscal year that years and quarters count from.

    Raises
    ------
    ValueError
        If the text is none of the forms, or the span ends before it starts.
    """
    text = str(text)
    if match := re.fullmatch(rf"{_MONTH}\.\.{_MONTH}", text):
        year, month, last_year, last_month = map(int, match.groups())
        n_months = (last_year - year) * 12 + last_month - month + 1
    elif match := re.fullmatch(_MONTH, text):
        (year, month), n_months = map(int, match.groups()), 1
    elif match := re.fullmatch(r"([0-9]{4})-Q([1-4])", text):
        year, month, n_months = int(match[1]), year_starts + 3 * (int(match[2]) - 1), 3
    elif match := re.fullmatch(r"([0-9]{4})", text):
        year, month, n_months = int(match[1]), year_starts, 12
    else:
        raise ValueError(f"{text!r} is not a period: write {FORMS}")
    if n_months < 1 or not 1900 <= year <= 2200:
        raise ValueError(f"{text!r} is not a period: it must end after it starts, in 1900 to 2200")
    first = add_months(dt.date(year, 1, 1), month - 1)
    return Period(text, first, add_months(first, n_months) - dt.timedelta(days=1))


def is_day(text: str) -> bool:
    """Whether a text is a day of the calendar, as 2026-10-31."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def trailing(period: Period, n_months: int) -> Period:
    """The `n_months` months that end with `period`; 0 is the period itself."""
    if n_months == 0:
        return period
    last_month = period.last_on.replace(day=1)
    return _span(add_months(last_month, 1 - n_months), n_months)


def before(period: Period) -> Period:
    """The equally long span of months just before."""
    return _span(add_months(period.first_on, -period.n_months), period.n_months)


def year_ago(period: Period) -> Period:
    """The same months one year earlier."""
    return _span(add_months(period.first_on, -12), period.n_months)


def calendar_name(quarter: Period) -> str:
    """What a quarter is called by the calendar, 2026-Q4, whatever its fiscal year; blank where it is none of it."""
    first = quarter.first_on
    return f"{first.year}-Q{first.month // 3 + 1}" if first.month % 3 == 1 else ""


def quarter_of(day: dt.date, year_starts: int = 1) -> Period:
    """The quarter that a day belongs to; quarters count from the fiscal year's first month."""
    into = (day.month - year_starts) % 12
    return parse(f"{add_months(day, -into).year}-Q{into // 3 + 1}", year_starts=year_starts)


def month_before(today: dt.date) -> str:
    """The name of the last month that has ended on a day."""
    return f"{add_months(today.replace(day=1), -1):%Y-%m}"


def add_months(day: dt.date, n: int) -> dt.date:
    """The first of a month, `n` months later."""
    ordinal = day.year * 12 + day.month - 1 + n
    return dt.date(ordinal // 12, ordinal % 12 + 1, 1)


def days_after(day: dt.date, n: int) -> dt.date:
    """The day `n` days later; earlier where `n` is below zero."""
    return day + dt.timedelta(days=n)


def month_end(day: dt.date) -> dt.date:
    """The last day of the month that a day is in."""
    return days_after(add_months(day.replace(day=1), 1), -1)


def months_between(first: dt.date, last: dt.date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def start_of(day: dt.date, time_zone: str) -> dt.datetime:
    """The first moment of a day in a time zone, as a naive UTC moment."""
    local = dt.datetime.combine(day, dt.time(), tzinfo=ZoneInfo(time_zone))
    return local.astimezone(dt.UTC).replace(tzinfo=None)


def end_of(day: dt.date, time_zone: str) -> dt.datetime:
    """The first moment after a day in a time zone, as a naive UTC moment."""
    return start_of(day + dt.timedelta(days=1), time_zone)


def _span(first_on: dt.date, n_months: int) -> Period:
    last_on = add_months(first_on, n_months) - dt.timedelta(days=1)
    name = f"{first_on:%Y-%m}" if n_months == 1 else f"{first_on:%Y-%m}..{last_on:%Y-%m}"
    return Period(name, first_on, last_on)
