"""A company's people, credits and payments as a plan asks for them, from a book."""

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.pay import credits, spans
from salesops.pay.plans import Plan
from salesops.pay.records import Assignment, Credit, Payment, Person

LONG_AGO = dt.date(1970, 1, 1)  # whose first day is not known is no newcomer
FACTS = ("deal_type", "product", "segment", "region", "source", "pipeline")


class Team(NamedTuple):
    """people : who is on the plan at some day of it. credits : by person. payments : of the deals credited. teams :
    person -> team, None where it is not known. n_deals : won under the plan. n_unowned, n_unpriced : of them left out,
    having no owner or no amount."""

    people: list[Person]
    credits: Mapping[str, list[Credit]]
    payments: list[Payment]
    teams: Mapping[str, str | None]
    n_deals: int
    n_unowned: int
    n_unpriced: int


def read(book: crm.Book, plan: Plan, name: str, role: str) -> Team:
    """Who is on a plan (of a role; blank is every rep), and what they are credited for, up to the last day known.

    Deals count on the day they were won, in the report's time zone, by the amount known. Quotas are of bookings, for
    periods named by the calendar.
    """
    reps = book.reps
    reps = reps.filter(reps.role == role) if role else reps
    table = reps.select("rep_id", "team", "hired_on", "left_on").order_by("rep_id").execute()
    quotas = _quotas(book, plan)
    people = []
    for row in table.itertuples():
        hired, left = _day(row.hired_on) or LONG_AGO, _day(row.left_on)
        start = max(plan.start, hired)
        if start > min(plan.until, book.as_of) or (left is not None and left < start):
            continue
        people.append(
            Person(row.rep_id, hired, (Assignment(name, start, plan.until),), quotas.get(row.rep_id, {}), left)
        )
    deals, n_unowned, n_unpriced = _deals(book, plan)
    splits = []
    if book.has("splits"):
        shares = book.splits.filter(_.deal_id.isin([one.deal_id for one in deals])).execute()
        splits = [
            credits.Split(row.deal_id, row.rep_id, Fraction(str(row.share)),
                          "overlay" if getattr(row, "kind", None) == "overlay" else "direct")
            for row in shares.itertuples()
        ]  # fmt: skip
    made = credits.make(deals, splits)
    teams = {row.rep_id: row.team if isinstance(row.team, str) else None for row in table.itertuples()}
    return Team(people, made, _payments(book, deals), teams, len(deals) + n_unowned + n_unpriced, n_unowned, n_unpriced)


def _day(value: object) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def _quotas(book: crm.Book, plan: Plan) -> dict[str, dict[tuple[str, str], Fraction]]:
    """By rep: (measure, the plan's name of the period) -> quota."""
    found: dict[str, dict[tuple[str, str], Fraction]] = {}
    if not book.has("quotas"):
        return found
    quotas = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    table = quotas.group_by("rep_id", "period").agg(minor=_.amount_minor.sum()).order_by("rep_id", "period").execute()
    for row in table.itertuples():
        span = periods.parse(row.period)
        named = spans.name(span.first_on, span.n_months, plan.year_starts)
        if (span.first_on.month - plan.year_starts) % 12 % span.n_months or pd.isna(row.minor):
            continue
        own = found.setdefault(row.rep_id, {})
        own["bookings", named] = Fraction(int(row.minor), book.minor_units)
    return found


def _deals(book: crm.Book, plan: Plan) -> tuple[list[credits.Deal], int, int]:
    since = periods.start_of(plan.start, book.time_zone)
    until = periods.end_of(plan.until, book.time_zone)
    won = book.deals.filter(_.status == "won", _.closed_at.notnull(), _.closed_at >= since, _.closed_at < until)
    columns = [name for name in FACTS if name in won.columns]
    table = won.select("deal_id", "rep_id", "closed_at", "amount_minor", *columns).order_by("deal_id").execute()
    owned = table[table["rep_id"].notna()]
    priced = owned[owned["amount_minor"].notna()]
    days = priced["closed_at"].dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date
    found = []
    for row, day in zip(priced.to_dict("records"), days, strict=True):
        facts = {name: row[name] for name in columns if isinstance(row[name], str)}
        worth = {"bookings": Fraction(int(row["amount_minor"]), book.minor_units), "units": Fraction(1)}
        found.append(credits.Deal(row["deal_id"], day, row["rep_id"], worth, facts))
    return found, len(table) - len(owned), len(owned) - len(priced)


def _payments(book: crm.Book, deals: list[credits.Deal]) -> list[Payment]:
    if not book.has("payments"):
        return []
    worth = {one.deal_id: one.measures["bookings"] for one in deals}
    table = book.payments.filter(_.deal_id.notnull()).select("deal_id", "paid_at", "amount_minor").execute()
    table = table[table["deal_id"].isin(worth)].sort_values(["deal_id", "paid_at"])
    days = table["paid_at"].dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date
    return [
        Payment(row.deal_id, day, Fraction(int(row.amount_minor), book.minor_units) / worth[row.deal_id])
        for row, day in zip(table.itertuples(), days, strict=True)
        if worth[row.deal_id] > 0
    ]
