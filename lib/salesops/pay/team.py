"""A company's people, credits and payments as a plan asks for them, from a book."""

import bisect
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.pay import careers, credits, history, payouts, spans, wins
from salesops.pay.plans import Plan
from salesops.pay.records import Credit, Line, Payment, Person, QuotaSpell
from salesops.pay.scores import Score
from salesops.problems import BadInput

FACTS = ("deal_type", "product", "segment", "region", "source", "pipeline")


class Team(NamedTuple):
    """people : who is on the plan at some day of it. history : what each is credited for, with the days on which it
    became known; of it, what was undone when. later : that of all wins together, by cause. credits : by person, as
    known on the last day, net of what was lost or lowered. payments : of the deals credited. teams : person -> team on
    the last day on the plan, None where it is not known. unlisted, absent : ids of deals won under the plan that are
    credited, at least in part, to people who are not among the reps, or were not there on the day: that pays nobody."""

    people: list[Person]
    history: history.History
    later: list[history.Later]
    credits: Mapping[str, list[Credit]]
    payments: list[Payment]
    teams: Mapping[str, str | None]
    unlisted: set[str]
    absent: set[str]

    def paid(self, person: Person, versions: Mapping[str, Plan], through: dt.date) -> list[Line]:
        """What a person is paid, see `payouts.pay`."""
        own = self.history.credits.get(person.person_id, [])
        return payouts.pay(
            person, versions, own, through=through, cancellations=self.history.cancellations, payments=self.payments
        )


def read(book: crm.Book, versions: Sequence[Plan], role: str, scores: Sequence[Score] = (), *, least: int = 0) -> Team:
    """Who is on a plan (of a role; blank is every rep), and what they are credited for, up to the last day known.

    Deals count on the day they were won, in the report's time zone, by the amount known, in the plan's currency, for
    who owned them on that day (`history`). Quotas are of bookings, for periods named by the calendar. People are on the
    plan while they have the role. Managers are credited by who reported to whom on that day, where a component pays
    overrides.

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
    everybody = careers.read(book)
    on_it = {rep: one for rep, one in everybody.items() if one.assignments(versions, "", book.as_of)}
    own = {rep: one for rep, one in on_it.items() if one.assignments(versions, role, book.as_of)}
    if 0 < len(on_it) - len(own) < least:
        raise ValueError(
            f"{len(on_it) - len(own)} reps have another role than {role!r}, fewer than {least}: their pay could be "
            "had by subtraction; leave the role blank"
        )
    _check_quotas(book, versions)
    quotas = _quotas(book, versions[-1], convert)
    goals: dict[str, dict] = {}
    for one in scores:
        goals.setdefault(one.person_id, {})["score", one.span] = one.goal
    people = [
        Person(rep, one.hired_on or careers.LONG_AGO, one.assignments(versions, role, book.as_of), goals.get(rep, {}),
               one.left_on, one.leaves(book.as_of), quotas.get(rep, ())).as_known(book.as_of)
        for rep, one in own.items()
    ]  # fmt: skip
    past, later, payments = _history(book, versions, convert, columns)
    unlisted, absent = _drop_strays(past.credits, everybody)
    for one in scores:
        credit = Credit(f"score/{one.person_id}/{one.span}", "", one.on, {"score": one.score})
        past.credits.setdefault(one.person_id, []).append(credit)
    teams = {rep: one.team(min(book.as_of, _last_day(people, rep) or book.as_of)) for rep, one in everybody.items()}
    net = history.net(past.credits, past.cancellations, book.as_of)
    return Team(people, past, later, net, payments, teams, unlisted, absent)


def _drop_strays(by_person: dict[str, list[Credit]], everybody: Mapping[str, careers.Career]) -> tuple[set, set]:
    """Take out the credits of people who are not among the reps, and of days on which a rep was not there; the ids of
    the deals of both."""
    unlisted = {one.deal_id for person in by_person.keys() - everybody.keys() for one in by_person.pop(person)}
    absent: set[str] = set()
    for rep, listed in by_person.items():
        by_person[rep] = [one for one in listed if everybody[rep].is_there(one.on)]
        absent |= {one.deal_id for one in listed} - {one.deal_id for one in by_person[rep]}
    return unlisted, absent


def _last_day(people: Sequence[Person], rep: str) -> dt.date | None:
    """The last day of a person on the plan."""
    return next((one.assignments[-1].until for one in people if one.person_id == rep), None)


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


def _check_quotas(book: crm.Book, versions: Sequence[Plan]) -> None:
    """Refuse a plan that asks for quotas of bookings where a book's quotas are all of something else."""
    asking = [part.name for plan in versions for part in plan.components
              if part.needs_quota and part.measure == "bookings"]  # fmt: skip
    if not asking or not book.has("quotas"):
        return
    kinds = book.quotas.select(kind=_.kind.fill_null("bookings")).distinct().order_by("kind").execute()["kind"].tolist()
    if kinds and "bookings" not in kinds:
        raise BadInput(f"the plan {versions[-1].plan} cannot be paid from this book", [
            f"{asking[0]} asks for quotas of bookings, and those of this source are of {', '.join(kinds)}: if they are "
            "of what is booked, write kind: bookings for quotas into its mapping"])  # fmt: skip


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


def _splits(book: crm.Book, deals: Sequence[str]) -> dict[str, list[history.SplitSpell]]:
    """By deal; `valid_to` is the last day, so it ends on the next."""
    splits: dict[str, list[history.SplitSpell]] = {}
    if not book.has("splits"):
        return splits
    table = book.split_spells.filter(_.deal_id.isin(deals)).order_by("deal_id", "rep_id", "valid_from").execute()
    for row in table.itertuples():
        kind, last = "overlay" if row.kind == "overlay" else "direct", _day(row.valid_to)
        split = credits.Split(row.deal_id, row.rep_id, Fraction(str(row.share)), kind)
        spell = history.SplitSpell(split, _day(row.valid_from), last and periods.days_after(last, 1))
        splits.setdefault(row.deal_id, []).append(spell)
    return splits


def _reports(book: crm.Book) -> list[credits.Reports]:
    """Who reported to whom, as it was."""
    table = book.rep_spells.filter(_.manager_id.notnull()).order_by("rep_id", "valid_from").execute()
    return [
        credits.Reports(row.rep_id, row.manager_id, _day(row.valid_from) or careers.LONG_AGO, _day(row.valid_to))
        for row in table.itertuples()
    ]


def _quotas(book: crm.Book, plan: Plan, convert=lambda amount, _on: amount) -> dict[str, list[QuotaSpell]]:
    """By rep: quotas of bookings by the plan's name of the period, as they were from day to day. The first one of a
    period is taken as known from the beginning: without any, nothing could have been paid."""
    quotas: dict[str, list[QuotaSpell]] = {}
    if not book.has("quotas"):
        return quotas
    table = book.quota_spells.filter(_.kind.isnull() | (_.kind == "bookings"), _.amount_minor.notnull())
    rows: dict[tuple[str, str], list[tuple[dt.date | None, dt.date | None, int]]] = {}
    columns = table.select("rep_id", "period", "valid_from", "valid_to", "amount_minor").order_by("rep_id", "period")
    for rep, period, first, last, minor in columns.execute().itertuples(index=False):
        rows.setdefault((rep, period), []).append((_day(first), _day(last), int(minor)))
    for (rep, period), held in rows.items():
        span = periods.parse(period)
        if (span.first_on.month - plan.year_starts) % 12 % span.n_months:
            continue
        named = spans.name(span.first_on, span.n_months, plan.year_starts)
        for value, since, until in _sums(held):
            worth = convert(Fraction(value, book.minor_units), span.first_on)
            quotas.setdefault(rep, []).append(QuotaSpell("bookings", named, worth, since, until))
    return quotas


def _sums(held: Sequence[tuple[dt.date | None, dt.date | None, int]]) -> Iterator[tuple[int, dt.date, dt.date]]:
    """What rows that hold for a time are together, from day to day: value, since, until."""
    ends = [periods.days_after(last, 1) for _first, last, _value in held if last]
    days = sorted({first for first, _last, _value in held if first} | set(ends))
    changes: list[tuple[dt.date | None, int | None]] = []
    for day in [None, *days]:
        at = day or dt.date.min
        there = [value for first, last, value in held if (first or dt.date.min) <= at <= (last or dt.date.max)]
        value = sum(there) if there else None
        if value is not None and (not changes or changes[-1][1] != value):
            changes.append((day, value))
    for k, (day, value) in enumerate(changes):
        yield value, None if k == 0 else day, changes[k + 1][0] if k + 1 < len(changes) else None


def _history(
    book: crm.Book, versions: Sequence[Plan], convert: history.Convert, measured: Mapping[str, str]
) -> tuple[history.History, list[history.Later], list[Payment]]:
    won = wins.read(book, versions[0].start, versions[-1].until)
    deals = list(won)
    by_product = any("product" in one.facts for plan in versions for one in plan.choices.values())
    records = _records(book, deals, measured, convert, by_product=by_product)
    overrides = any("override" in part.credits for plan in versions for part in plan.components)
    terms = history.Terms(versions, convert, _splits(book, deals), _reports(book) if overrides else ())
    payments = _payments(book, won)
    by_deal = payouts.by_deal(payments)
    past = history.credit(won, records, by_deal, terms, book.as_of, is_paid_known=book.has("payments"))
    return past, history.later(won, past, terms), payments


def _records(book, deals, measured, convert, *, by_product: bool) -> dict[str, history.Record]:
    """What has no log: facts, measures beside bookings, and, where a plan looks at products, lines."""
    columns = [name for name in FACTS if name in book.deals.columns]
    more = [name for name in measured.values() if name not in ("amount_minor", *columns)]
    table = book.deals.filter(_.deal_id.isin(deals)).select("deal_id", "closed_at", "amount_minor", *columns, *more)
    lines = _lines(book, deals) if by_product else {}
    records = {}
    for row in table.order_by("deal_id").execute().to_dict("records"):
        facts = {name: row[name] for name in columns if isinstance(row[name], str)}
        on, measures = _day(row["closed_at"]) or book.as_of, {}
        for name, stored in measured.items():
            if pd.notna(row[stored]):
                money = stored.endswith("_minor")
                measures[name] = convert(Fraction(int(row[stored]), book.minor_units), on) if money else (
                    Fraction(str(row[stored]))
                )  # fmt: skip
        amount = None if pd.isna(row["amount_minor"]) else Fraction(int(row["amount_minor"]), book.minor_units)
        records[row["deal_id"]] = history.Record(amount, facts, measures, lines.get(row["deal_id"], ()))
    return records


def _lines(book: crm.Book, deals: Sequence[str]) -> dict[str, list[history.LineItem]]:
    """By deal: those whose amount is known."""
    lines: dict[str, list[history.LineItem]] = {}
    if not book.has("lines"):
        return lines
    table = book.lines.filter(_.deal_id.isin(deals), _.net_amount_minor.notnull())
    for row in table.order_by("deal_id", "product").execute().itertuples():
        item = history.LineItem(row.product, Fraction(int(row.net_amount_minor), book.minor_units))
        lines.setdefault(row.deal_id, []).append(item)
    return lines


def _payments(book: crm.Book, won: Mapping[str, Sequence[wins.Episode]]) -> list[Payment]:
    """Shares of the price that a deal was credited for, whatever it was on the day."""
    if not book.has("payments"):
        return []
    table = book.payments.filter(_.deal_id.notnull()).select("deal_id", "paid_at", "amount_minor").execute()
    table = table[table["deal_id"].isin(won)].sort_values(["deal_id", "paid_at"])
    days = table["paid_at"].dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date
    payments = []
    for row, on in zip(table.itertuples(), days, strict=True):
        worth = Fraction(int(row.amount_minor), book.minor_units)
        for episode in won[row.deal_id]:
            payments += history.shares_paid(row.deal_id, episode, on, worth)
    return payments


def _day(value: object) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()
