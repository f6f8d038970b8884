"""A company's people, credits and payments as a plan asks for them, from a book."""

import bisect
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.pay import credits, spans
from salesops.pay.plans import Plan
from salesops.pay.records import Assignment, Credit, Payment, Person
from salesops.pay.scores import Score
from salesops.problems import BadInput

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


def read(book: crm.Book, versions: Sequence[Plan], role: str, scores: Sequence[Score] = (), *, least: int = 0) -> Team:
    """Who is on a plan (of a role; blank is every rep), and what they are credited for, up to the last day known.

    Deals count on the day they were won, in the report's time zone, by the amount known, in the plan's currency.
    Quotas are of bookings, for periods named by the calendar. Managers are credited by who reported to whom on that
    day, where a component pays overrides.

    Parameters
    ----------
    versions : of one plan, the earliest first. scores : of people, for components that measure a score. least : of
    those who have another role, where there are any.

    Raises
    ------
    BadInput
        Where the book does not tell what a component measures, or the plan's currency cannot be converted.
    ValueError
        If fewer than `least` have another role: their pay could be had by subtraction.
    """
    columns = _check(book, versions, scores)
    convert = converter(book, versions[-1])
    reps = book.reps.select("rep_id", "team", "role", "hired_on", "left_on").order_by("rep_id").execute()
    on_it = [row for row in reps.itertuples() if _assigned(row, versions, book.as_of)]
    mine = [row for row in on_it if not role or row.role == role]
    if 0 < len(on_it) - len(mine) < least:
        raise ValueError(
            f"{len(on_it) - len(mine)} reps have another role than {role!r}, fewer than {least}: their pay could be "
            "had by subtraction; leave the role blank"
        )
    quotas = _quotas(book, versions[-1], convert)
    for one in scores:
        quotas.setdefault(one.person_id, {})["score", one.span] = one.goal
    people = [
        Person(row.rep_id, _day(row.hired_on) or LONG_AGO, _assigned(row, versions, book.as_of),
               quotas.get(row.rep_id, {}), _day(row.left_on))
        for row in mine
    ]  # fmt: skip
    deals, n_unowned, n_unpriced = _deals(book, versions, convert, columns)
    overrides = any("override" in part.credits for plan in versions for part in plan.components)
    made = credits.make(deals, _splits(book, deals), _reports(book) if overrides else ())
    for one in scores:
        credit = Credit(f"score/{one.person_id}/{one.span}", "", one.on, {"score": one.score})
        made.setdefault(one.person_id, []).append(credit)
    teams = {row.rep_id: row.team if isinstance(row.team, str) else None for row in reps.itertuples()}
    return Team(people, made, _payments(book, deals, convert), teams, len(deals) + n_unowned + n_unpriced, n_unowned,
                n_unpriced)  # fmt: skip


def _check(book: crm.Book, versions: Sequence[Plan], scores: Sequence[Score]) -> dict[str, str]:
    """Columns of deals that components measure beside bookings: as plans call them -> as the book does."""
    found, problems = {}, []
    for plan in versions:
        for part in plan.components:
            name = part.measure.removeprefix("column:")
            if part.measure in ("bookings", "units") or (part.measure == "score" and scores):
                continue
            stored = next((one for one in (f"{name}_minor", name) if one in book.deals.columns), None)
            numeric = stored is not None and book.deals[stored].type().is_numeric()
            if part.measure == "score":
                problems.append(f"{part.name} measures a score: name a file of them")
            elif part.measure.startswith("column:") and numeric:
                found[name] = stored
            else:
                problems.append(f"{part.name} measures {name}, which the deals of this book do not tell")
    if problems:
        raise BadInput(f"the plan {versions[-1].plan} cannot be paid from this book", list(dict.fromkeys(problems)))
    return found


def converter(book: crm.Book, plan: Plan) -> Callable[[Fraction, dt.date], Fraction]:
    """From the book's currency into the plan's: at the plan's own rate, else at that of the day."""
    if plan.currency == book.currency:
        return lambda amount, _on: amount
    if book.currency in plan.rates:
        return lambda amount, _on: amount * plan.rates[book.currency]
    rows = book.rates.filter(book.rates.currency == plan.currency).order_by("rate_on").execute()
    if not len(rows):
        raise BadInput(f"the plan {plan.plan} cannot be paid from this book", [
            f"it pays in {plan.currency}, deals are in {book.currency}, and there is no rate: write "
            f"rates: {{{book.currency}: ...}} into the plan"])  # fmt: skip
    days = [_day(one) for one in rows["rate_on"]]
    worth = [Fraction(str(row.rate)) / Fraction(str(row.per if row.per == row.per and row.per else 1))
             for row in rows.itertuples()]  # fmt: skip
    return lambda amount, on: amount / worth[max(bisect.bisect_right(days, on) - 1, 0)]


def _assigned(row, versions: Sequence[Plan], known: dt.date) -> tuple[Assignment, ...]:
    """A rep's spans on the versions of a plan, up to the last day known."""
    hired, left = _day(row.hired_on) or LONG_AGO, _day(row.left_on)
    return tuple(
        Assignment(plan.version, max(plan.start, hired), plan.until) for plan in versions
        if max(plan.start, hired) <= min(plan.until, known) and (left is None or left >= max(plan.start, hired))
    )  # fmt: skip


def _splits(book: crm.Book, deals: list[credits.Deal]) -> list[credits.Split]:
    if not book.has("splits"):
        return []
    shares = book.splits.filter(_.deal_id.isin([one.deal_id for one in deals])).execute()
    return [
        credits.Split(row.deal_id, row.rep_id, Fraction(str(row.share)),
                      "overlay" if getattr(row, "kind", None) == "overlay" else "direct")
        for row in shares.itertuples()
    ]  # fmt: skip


def _reports(book: crm.Book) -> list[credits.Reports]:
    """Who reported to whom, as it was."""
    table = book.rep_spells.filter(_.manager_id.notnull()).order_by("rep_id", "valid_from").execute()
    return [
        credits.Reports(row.rep_id, row.manager_id, _day(row.valid_from) or LONG_AGO, _day(row.valid_to))
        for row in table.itertuples()
    ]


def _day(value: object) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def _quotas(
    book: crm.Book, plan: Plan, convert=lambda amount, _on: amount
) -> dict[str, dict[tuple[str, str], Fraction]]:
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
        own["bookings", named] = convert(Fraction(int(row.minor), book.minor_units), span.first_on)
    return found


def _deals(book: crm.Book, versions, convert, measured: dict[str, str]) -> tuple[list[credits.Deal], int, int]:
    since = periods.start_of(versions[0].start, book.time_zone)
    until = periods.end_of(versions[-1].until, book.time_zone)
    won = book.deals.filter(_.status == "won", _.closed_at.notnull(), _.closed_at >= since, _.closed_at < until)
    columns = [name for name in FACTS if name in won.columns]
    more = [name for name in measured.values() if name not in ("amount_minor", *columns)]
    table = won.select("deal_id", "rep_id", "closed_at", "amount_minor", *columns, *more)
    table = table.order_by("deal_id").execute()
    owned = table[table["rep_id"].notna()]
    priced = owned[owned["amount_minor"].notna()]
    days = priced["closed_at"].dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date
    found = []
    for row, day in zip(priced.to_dict("records"), days, strict=True):
        facts = {name: row[name] for name in columns if isinstance(row[name], str)}
        worth = {"bookings": convert(Fraction(int(row["amount_minor"]), book.minor_units), day), "units": Fraction(1)}
        for name, stored in measured.items():
            if pd.notna(row[stored]):
                money = stored.endswith("_minor")
                worth[name] = convert(Fraction(int(row[stored]), book.minor_units), day) if money else (
                    Fraction(str(row[stored]))
                )  # fmt: skip
        found.append(credits.Deal(row["deal_id"], day, row["rep_id"], worth, facts))
    return found, len(table) - len(owned), len(owned) - len(priced)


def _payments(book: crm.Book, deals: list[credits.Deal], convert) -> list[Payment]:
    if not book.has("payments"):
        return []
    worth = {one.deal_id: (one.measures["bookings"], one.on) for one in deals}
    table = book.payments.filter(_.deal_id.notnull()).select("deal_id", "paid_at", "amount_minor").execute()
    table = table[table["deal_id"].isin(worth)].sort_values(["deal_id", "paid_at"])
    days = table["paid_at"].dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date
    return [
        Payment(
            row.deal_id, day, convert(Fraction(int(row.amount_minor), book.minor_units), won_on) / price
        )  # at the rate it was won at
        for row, day in zip(table.itertuples(), days, strict=True)
        for price, won_on in [worth[row.deal_id]]
        if price > 0
    ]
