"""What is to be booked in a quarter, and by how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import pandas as pd
from ibis import _

from salesops import periods
from salesops.crm import owners

if TYPE_CHECKING:
    from salesops.crm.book import Book


def find_quota(
    book: Book, quarter: periods.Period, *, region: str = "", team: str = "", pipeline: str = ""
) -> tuple[float | None, str]:
    """The quota of a quarter (whole units), else those of its months together; of a region or team for the days on
    which the reps are there. Periods are named by the calendar, whatever the fiscal year.

    None with the reason where there is none: `no_quotas`, `one_pipeline` (quotas are for all of them),
    `not_for_quarter`.
    """
    if not book.has("quotas"):
        return None, "no_quotas"
    if pipeline:
        return None, "one_pipeline"
    quotas = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    months = [f"{periods.add_months(quarter.first_on, k):%Y-%m}" for k in range(3)]
    name = periods.calendar_name(quarter)
    quotas = quotas.filter(_.period.isin([name, *months]))
    table = quotas.group_by("rep_id", "period").agg(minor=_.amount_minor.sum()).execute()
    if region or team:
        table = by_assignment(book, table.rename(columns={"minor": "quota"})).rename(columns={"quota": "minor"})
        inside = (table["region"] == region) | (not region)
        table = table[inside & ((table["team"] == team) | (not team))]
        table = table.groupby(["rep_id", "period"], as_index=False)["minor"].sum()
    total = 0
    for _rep, own in table.groupby("rep_id"):
        found = dict(zip(own["period"], own["minor"], strict=True))
        total += found.get(name, sum(found.values()))  # a rep has one for the quarter, or one for each month
    return (float(total) / book.minor_units, "") if len(table) else (None, "not_for_quarter")


def by_assignment(book: Book, quotas: pd.DataFrame) -> pd.DataFrame:
    """`quotas` (rep_id, period, quota in whole minor units, ...) by where the rep was in the period: a row for each
    assignment, with role, team, region (None where not known), `share` of the period's days, and that share of the
    quota; the parts of a quota sum to it."""
    spans = {rep_id: list(own.itertuples()) for rep_id, own in owners.assignments(book.whole).groupby("rep_id")}
    days = {name: periods.parse(name) for name in quotas["period"].unique()}
    rows = []
    for row in quotas.to_dict("records"):
        period = days[row["period"]]
        parts = owners.shares(spans.get(row["rep_id"], ()), period.first_on, period.last_on)
        total, before = 0.0, 0
        for span, share in parts or [(None, 1.0)]:
            total += share
            upto = round(int(row["quota"]) * total)
            where = {name: getattr(span, name, None) for name in ("role", "team", "region")}
            rows.append(row | where | {"share": share, "quota": upto - before})
            before = upto
    table = pd.DataFrame(rows, columns=[*quotas.columns, "role", "team", "region", "share"])
    return table.astype(dict.fromkeys(("rep_id", "role", "team", "region"), "str"))  # as the engine's tables are


def count_reps(book: Book, *, region: str = "", team: str = "") -> int:
    """Reps who are there on the last day known, by where they are then; those on leave are not."""
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
