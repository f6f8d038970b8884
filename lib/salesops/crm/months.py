"""Moments as days and months of a time zone."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd

from salesops import periods


def month_number(at: ibis.Column, time_zone: str, last_on: dt.date, step: int = 1) -> ibis.Column:
    """The number (since year 0) of the month, or of the span of `step` months, that a moment falls in by the days of a
    time zone; moments after `last_on` fall in its own."""
    first = pd.Timestamp(at.min().execute())
    if first is pd.NaT:
        return ibis.null("int64")
    # The moment's own month of UTC may be the one before or after that of the zone.
    begun = (first.year * 12 + first.month - 2) // step * step
    starts = range(begun + step, last_on.year * 12 + last_on.month, step)
    moments = [periods.start_of(dt.date(month // 12, month % 12 + 1, 1), time_zone) for month in starts]
    passed = sum(((at >= ibis.literal(moment)).cast("int64") for moment in moments), start=ibis.literal(0, "int64"))
    return passed + begun // step


def day_number(at: ibis.Column, time_zone: str) -> ibis.Column:
    """The day (since 1 January 1970) of a moment in a time zone, by the zone's usual distance from UTC, so that summer
    time may move it by one within an hour of midnight."""
    noon = dt.datetime(2024, 1, 15, 12)
    local = pd.Timestamp(noon, tz="UTC").tz_convert(time_zone).tz_localize(None)
    ahead = int((local - pd.Timestamp(noon)).total_seconds())
    return (at.epoch_seconds() + ahead) // 86_400
