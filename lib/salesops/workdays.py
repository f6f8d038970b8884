"""Working days of a country or a part of it, by its law: weekends, holidays, and days moved by decree (`holidays`)."""

import datetime as dt
from functools import lru_cache

EXAMPLES = "RU, US or DE-BY"


def checked(calendar: str) -> str:
    """A calendar's name: a country by ISO 3166, with a part of it after a hyphen; blank is none.

    Raises
    ------
    ValueError
        If there is no such calendar.
    """
    if calendar:
        _of(calendar)
    return calendar


@lru_cache
def _of(calendar: str):
    import holidays

    country, _hyphen, part = calendar.partition("-")
    try:
        if country not in holidays.list_supported_countries():
            raise NotImplementedError(country)
        return holidays.country_holidays(country, subdiv=part or None)
    except (NotImplementedError, AttributeError):
        raise ValueError(
            f"{calendar!r} is not a calendar: write a country, and perhaps a part of it, as {EXAMPLES}"
        ) from None


def is_working(day: dt.date, calendar: str) -> bool:
    """Whether a day is worked; a Saturday that a decree makes one is."""
    return _of(calendar).is_working_day(day)


def count(first: dt.date, last: dt.date, calendar: str) -> int:
    """Working days from one day to another, both inclusive; none where the last is before the first."""
    days = (first + dt.timedelta(days=k) for k in range((last - first).days + 1))
    return sum(is_working(day, calendar) for day in days)


def back(day: dt.date, n: int, calendar: str) -> dt.date:
    """The day such that `n` days of a calendar lie after it, up to and with `day`; blank: every day counts."""
    if not calendar:
        return day - dt.timedelta(days=n)
    left = n
    while left:
        left -= is_working(day, calendar)
        day -= dt.timedelta(days=1)
    return day
