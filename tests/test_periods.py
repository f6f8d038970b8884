"""Periods as whole days, in fiscal years and time zones."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from salesops import periods

D = dt.date


@pytest.mark.parametrize(
    ("text", "starts", "first", "last"),
    [
        ("2026-10", 1, D(2026, 10, 1), D(2026, 10, 31)),
        ("2024-02", 1, D(2024, 2, 1), D(2024, 2, 29)),
        ("2026-Q3", 1, D(2026, 7, 1), D(2026, 9, 30)),
        ("2026-Q4", 2, D(2026, 11, 1), D(2027, 1, 31)),
        ("2026", 7, D(2026, 7, 1), D(2027, 6, 30)),
        ("2025-11..2026-10", 1, D(2025, 11, 1), D(2026, 10, 31)),
    ],
)
def test_forms(text, starts, first, last):
    assert periods.parse(text, year_starts=starts) == (text, first, last)


@pytest.mark.parametrize(
    "text", ["", "2026-13", "2026-Q5", "26-10", "2026-10..2026-09", "last month", "../2026", "2026-10\n", "9999"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="is not a period"):
        periods.parse(text)


@given(st.integers(1990, 2100), st.integers(1, 12), st.integers(1, 60))
def test_spans_touch(year, month, n):
    period = periods.trailing(periods.parse(f"{year}-{month:02}"), n)
    earlier = periods.before(period)
    assert period.n_months == earlier.n_months == n
    assert earlier.last_on + dt.timedelta(days=1) == period.first_on
    assert periods.parse(period.name) == period
    assert periods.year_ago(period).first_on == periods.add_months(period.first_on, -12)


@pytest.mark.parametrize(
    ("day", "name"), [(D(2026, 1, 1), "2025-12"), (D(2026, 3, 31), "2026-02"), (D(2026, 12, 31), "2026-11")]
)
def test_the_month_before_a_day(day, name):
    assert periods.month_before(day) == name


def test_days_begin_at_local_midnight():
    assert periods.start_of(D(2026, 3, 29), "Europe/Berlin") == dt.datetime(2026, 3, 28, 23)
    assert periods.end_of(D(2026, 3, 29), "Europe/Berlin") == dt.datetime(2026, 3, 29, 22)  # a day of 23 hours
