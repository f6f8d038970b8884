"""What is to be booked in a quarter, and by how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

from salesops import periods

if TYPE_CHECKING:
    from salesops.crm.book import Book


def find_quota(
    book: Book, quarter: periods.Period, *, region: str = "", team: str = "", pipeline: str = ""
) -> tuple[float | None, str]:
    """The quota of a quarter (whole units), else those of its months together; of the reps of a region or team. Periods
    are named by the calendar, whatever the fiscal year.

    None with the reason where there is none: `no_quotas`, `one_pipeline` (quotas are for all of them),
    `not_for_quarter`.
    """
    if not book.has("quotas"):
        return None, "no_quotas"
    if pipeline:
        return None, "one_pipeline"
    quotas = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    for name, wanted in (("region", region), ("team", team)):
        if wanted:
            reps = book.reps.filter(book.reps[name] == wanted).select("rep_id")
            quotas = quotas.semi_join(reps, "rep_id")
    months = [f"{periods.add_months(quarter.first_on, k):%Y-%m}" for k in range(3)]
    name = periods.calendar_name(quarter)
    quotas = quotas.filter(_.period.isin([name, *months]))
    table = quotas.group_by("rep_id", "period").agg(minor=_.amount_minor.sum()).execute()
    total = 0
    for _rep, own in table.groupby("rep_id"):
        found = dict(zip(own["period"], own["minor"], strict=True))
        total += found.get(name, sum(found.values()))  # a rep has one for the quarter, or one for each month
    return (float(total) / book.minor_units, "") if len(table) else (None, "not_for_quarter")


def count_reps(book: Book, *, region: str = "", team: str = "") -> int:
    """Reps who are there on the last day known; those on leave are not."""
    day = ibis.literal(book.as_of)
    reps = book.reps
    reps = reps.filter(
        reps.status.isnull() | ~reps.status.isin(["left", "leave"]),
        reps.hired_on.isnull() | (reps.hired_on <= day),
        reps.left_on.isnull() | (reps.left_on >= day),
    )
    reps = reps.filter(reps.region == region) if region else reps
    reps = reps.filter(reps.team == team) if team else reps
    return int(reps.count().execute())
