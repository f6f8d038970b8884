"""Credits of the wins of a book, with the days on which they became known to be so, and what was undone when.

A credit belongs to the owner on the day of the win, by the amount and the shares of that day. What changes later has a
day of its own: an amount that is raised, shares that are set or changed, and, where the plan says so, an owner who
was corrected. What lowers or ends a win is a cancellation.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from salesops.pay import credits, wins
from salesops.pay.plans import Plan
from salesops.pay.records import ONE, ZERO, Cancellation, Credit, Payment, Win, is_within
from salesops.problems import BadInput

CAUSES = ("lost", "lowered", "unpaid", "raised", "shared", "reassigned", "handed_over")
Convert = Callable[[Fraction, dt.date], Fraction]


class SplitSpell(NamedTuple):
    """A share of a deal's credit for a time. since, until : the day on which it became so, and that on which it was no
    longer; None is from the beginning, and still."""

    split: credits.Split
    since: dt.date | None = None
    until: dt.date | None = None

    def holds(self, day: dt.date) -> bool:
        return is_within(day, self.since, self.until)


class LineItem(NamedTuple):
    """A product on a deal, and its net amount in whole units of the book's currency."""

    product: str
    amount: Fraction


class Record(NamedTuple):
    """What a source says of a deal without a log, as known now. amount : in whole units of the book's currency; None
    where there is none. measures : beside bookings. lines : none where products are of no matter."""

    amount: Fraction | None
    facts: Mapping[str, str] = MappingProxyType({})
    measures: Mapping[str, Fraction] = MappingProxyType({})
    lines: Sequence[LineItem] = ()


class History(NamedTuple):
    """credits : by person, each with the days on which it was known. n_deals : won under the plan. n_unowned,
    n_unpriced : of them left out, having no owner or no amount. n_uneven : whose lines do not sum to the amount."""

    credits: dict[str, list[Credit]]
    cancellations: list[Cancellation]
    n_deals: int
    n_unowned: int
    n_unpriced: int
    n_uneven: int

    def known(self, day: dt.date) -> dict[str, list[Credit]]:
        """By person, the credits as known at the end of a day, as if they had been so from the beginning."""
        return {
            person: [one._replace(since=None, until=None) for one in listed if one.is_known(day)]
            for person, listed in self.credits.items()
        }


class Later(NamedTuple):
    """What became known of wins after their day. cause : lost, lowered, unpaid, raised, shared (other shares) or
    reassigned (by the plan's `reassign_days`); handed_over : deals that have another owner since, and stay with the
    owner on the day of the win. n : deals. amount : in whole units of the plan's currency, of what was undone or added;
    of the last three, what the deals were won for."""

    cause: str
    n: int
    amount: Fraction


class Terms(NamedTuple):
    """What crediting needs to know beside the wins. splits : by deal. reports : who reported to whom; none where nobody
    is credited for those below."""

    versions: Sequence[Plan]
    convert: Convert
    splits: Mapping[str, Sequence[SplitSpell]] = MappingProxyType({})
    reports: Sequence[credits.Reports] = ()

    def plan_on(self, day: dt.date) -> Plan | None:
        return next((plan for plan in self.versions if plan.start <= day <= plan.until), None)


def credit(
    won: Mapping[str, Sequence[wins.Episode]], records: Mapping[str, Record], payments: Mapping[str, Sequence[Payment]],
    terms: Terms, known: dt.date, *, is_paid_known: bool,
) -> History:  # fmt: skip
    """The credits of all wins under a plan, up to the last day known.

    Parameters
    ----------
    is_paid_known : whether the source has payments: otherwise nothing is known to be unpaid.

    Raises
    ------
    BadInput
        Where shares of a deal are not the whole, or people report to each other in a circle: all at once.
    """
    by_person: dict[str, list[Credit]] = {}
    undone: list[Cancellation] = []
    n_deals = n_unowned = n_unpriced = n_uneven = 0
    problems: list[object] = []
    for deal_id in sorted(won):
        record, episodes = records.get(deal_id, Record(None)), won[deal_id]
        for k, episode in enumerate(episodes):
            plan = terms.plan_on(episode.won_on)
            if plan is None:
                continue
            n_deals += 1
            credited = wins.amounts(episode)[0]
            n_unpriced += not credited
            n_unowned += bool(credited) and episode.owner_on(episode.won_on) is None
            if not credited or episode.owner_on(episode.won_on) is None:
                continue
            n_uneven += _is_uneven(record)
            try:
                versions = _versions(deal_id, k, episodes, record, plan, terms)
            except BadInput as error:
                problems += error.problems
                continue
            for person, one in versions:
                by_person.setdefault(person, []).append(one)
            undone += wins.cancellations(deal_id, episode)
            if is_paid_known and plan.clawback is not None and plan.clawback.unpaid_after is not None:
                undone += unpaid(deal_id, episode, payments.get(deal_id, ()), plan.clawback.unpaid_after, known)
    if problems:
        raise BadInput("deals cannot be credited", list(dict.fromkeys(problems)))
    return History(by_person, undone, n_deals, n_unowned, n_unpriced, n_uneven)


def later(won: Mapping[str, Sequence[wins.Episode]], past: History, terms: Terms) -> list[Later]:
    """What became known of wins under a plan after their day, by cause; causes without any are left out."""
    sums: dict[str, tuple[set[str], Fraction]] = {}

    def note(cause: str, deal_id: str, amount: Fraction) -> None:
        deals, total = sums.get(cause, (set(), ZERO))
        sums[cause] = deals | {deal_id}, total + amount

    for deal_id, episodes in won.items():
        for episode in episodes:
            plan, (credited, lowered_by) = terms.plan_on(episode.won_on), wins.amounts(episode)
            owner = episode.owner_on(episode.won_on)
            if plan is None or not credited or owner is None:
                continue
            worth = terms.convert(credited[0][1], episode.won_on)
            standing = (one.amount for one in lowered_by if one.until is None)
            lowered = terms.convert(sum(standing, ZERO), episode.won_on)
            if lowered > 0:
                note("lowered", deal_id, lowered)
            if episode.ended_on is not None:
                note("lost", deal_id, terms.convert(credited[-1][1], episode.won_on) - lowered)
            if len(credited) > 1:
                note("raised", deal_id, terms.convert(credited[-1][1] - credited[0][1], episode.won_on))
            if any(day and day > episode.won_on for one in terms.splits.get(deal_id, ())
                   for day in (one.since, one.until)):  # fmt: skip
                note("shared", deal_id, worth)
            moved = [spell.on for spell in episode.spells if spell.owner not in (None, owner)]
            if moved:
                corrected = (moved[0] - episode.won_on).days <= plan.reassign_days
                note("reassigned" if corrected else "handed_over", deal_id, worth)
    for one in past.cancellations:
        if one.cause == "unpaid":
            worth = terms.convert(wins.amounts(won[one.deal_id][-1])[0][0][1], one.won_on)
            note("unpaid", one.deal_id, worth * one.share)
    return [Later(cause, len(sums[cause][0]), sums[cause][1]) for cause in CAUSES if cause in sums]


def _is_uneven(record: Record) -> bool:
    return bool(record.lines) and sum((one.amount for one in record.lines), ZERO) != (record.amount or ZERO)


def _versions(
    deal_id: str, k: int, episodes: Sequence[wins.Episode], record: Record, plan: Plan, terms: Terms
) -> list[tuple[str, Credit]]:
    """Who is credited for a win, and for what: by person and line, and anew from each day on which it changed."""
    episode, splits = episodes[k], terms.splits.get(deal_id, ())
    won_on, credited = episode.won_on, wins.amounts(episode)[0]
    days = {won_on, *(on for on, _amount in credited)}
    days |= {day for one in splits for day in (one.since, one.until) if day}
    last_owner_on = won_on + dt.timedelta(days=plan.reassign_days)
    days |= {spell.on for spell in episode.spells if spell.on <= last_owner_on}
    first_owner_on = next(spell.on for spell in episode.spells if spell.owner)
    days = sorted(day for day in days | {first_owner_on} if day >= won_on)
    known: dict[tuple[str, str], list[tuple[dt.date, Credit]]] = {}  # by person and id
    for day in days:
        amount = next((amount for on, amount in reversed(credited) if on <= day), None)
        if amount is None or day < first_owner_on:
            continue
        owner = episode.owner_on(max(min(day, last_owner_on), first_owner_on))
        shares = [one.split for one in splits if one.holds(day)]
        for person, one in _on_a_day(deal_id, episode, amount, owner, shares, record, terms):
            known.setdefault((person, one.credit_id), []).append((day, one))
        for spells in known.values():  # who is credited no longer
            if spells[-1][0] != day:
                spells.append((day, spells[-1][1]._replace(measures={})))
    earlier = _earlier(episodes[:k], credited[0][1])
    again = f"@{won_on}" if k else ""  # a later win of the same deal
    return [
        (person, one._replace(earlier=earlier, credit_id=one.credit_id + again))
        for (person, _credit_id), spells in known.items() for one in _spells(spells, won_on)
    ]  # fmt: skip


def _on_a_day(deal_id, episode, amount, owner, shares, record: Record, terms: Terms) -> list[tuple[str, Credit]]:
    """Who was credited for a win on a day, and for what; by line where products matter."""
    facts = dict(record.facts)
    if episode.spells[0].pipeline:
        facts["pipeline"] = episode.spells[0].pipeline
    deals = [
        credits.Deal(
            f"{deal_id}{part}", episode.won_on, owner,
            {"units": share, **{name: value * share for name, value in record.measures.items()},
             "bookings": terms.convert(worth, episode.won_on)},
            facts | ({"product": product} if product else {}),
        )
        for part, product, worth, share in _parts(amount, record)
    ]  # fmt: skip
    own = [one._replace(deal_id=deal.deal_id) for deal in deals for one in shares]
    listed = credits.make(deals, own, terms.reports)
    return [(person, one._replace(deal_id=deal_id)) for person in sorted(listed) for one in listed[person]]


def _parts(amount: Fraction, record: Record) -> list[tuple[str, str, Fraction, Fraction]]:
    """Of a deal: the suffix of its part, the product, the amount and its share of the deal. What the lines leave of the
    amount is of the deal's own product."""
    whole = record.amount or ZERO
    if not record.lines or not whole:
        return [("", "", amount, ONE)]
    sums: dict[str, Fraction] = {}
    for one in record.lines:
        sums[one.product] = sums.get(one.product, ZERO) + one.amount
    parts = [(f":{product}", product, amount * value / whole, value / whole) for product, value in sums.items()]
    rest = whole - sum(sums.values(), ZERO)
    return parts + ([(":", "", amount * rest / whole, rest / whole)] if rest else [])


def _spells(known: Sequence[tuple[dt.date, Credit]], won_on: dt.date) -> Iterable[Credit]:
    """A credit as it was from day to day, those that are the same joined."""
    changes = [known[0]]
    for day, one in known[1:]:
        if one.measures != changes[-1][1].measures:
            changes.append((day, one))
    ends = [day for day, _one in changes[1:]] + [None]
    for (day, one), until in zip(changes, ends, strict=True):
        if one.measures:
            yield one._replace(since=None if day == won_on else day, until=until)


def _earlier(before: Sequence[wins.Episode], amount: Fraction) -> tuple[Win, ...]:
    """Earlier wins of a deal, for each unit of what it was won for again."""
    if amount <= 0:
        return ()
    worth = [(one.won_on, wins.amounts(one)[0]) for one in before]
    return tuple(Win(on, max(credited[-1][1], ZERO) / amount) for on, credited in worth if credited)


def shares_paid(deal_id: str, episode: wins.Episode, on: dt.date, amount: Fraction) -> list[Payment]:
    """A payment as shares of what a win was credited for, whatever that was on the day."""
    credited = wins.amounts(episode)[0]
    ends = [since for since, _worth in credited[1:]] + [None]
    return [
        Payment(deal_id, on, amount / worth, episode.won_on, since if k else None, until)
        for k, ((since, worth), until) in enumerate(zip(credited, ends, strict=True)) if worth > 0
    ]  # fmt: skip


def unpaid(
    deal_id: str, episode: wins.Episode, payments: Sequence[Payment], after: int, known: dt.date
) -> list[Cancellation]:
    """What the customer had not paid so many days after the win, as cancelled until it is paid, or lowered.

    Parameters
    ----------
    payments : of the deal, as shares of what this and other wins were credited for.
    """
    due_on = episode.won_on + dt.timedelta(days=after)
    if due_on > known or (episode.ended_on is not None and episode.ended_on <= due_on):
        return []
    credited, lowered = wins.amounts(episode)
    ends = [since for since, _worth in credited[1:]] + [None]
    events = []
    for k, ((since, worth), until) in enumerate(zip(credited, ends, strict=True)):
        begins = since if k else None
        own = [one for one in payments if one.won_on == episode.won_on and one.since == begins]
        days = {due_on, *(one.on for one in own), *(day for one in lowered for day in (one.on, one.until) if day)}
        levels = [
            (day, _open_share(day, worth, own, lowered)) for day in sorted(days)
            if due_on <= day <= known and (episode.ended_on is None or day < episode.ended_on)
        ]  # fmt: skip
        events += [
            Cancellation(deal_id, one.on, one.amount, episode.won_on, "unpaid", begins,
                         min(filter(None, (until, one.until)), default=None))
            for one in wins.layers(levels)
        ]  # fmt: skip
    return events


def _open_share(day: dt.date, worth: Fraction, payments: Iterable[Payment], lowered: Iterable[wins.Layer]) -> Fraction:
    """The share of what a win was credited for that is neither paid nor lowered at the end of a day."""
    if worth <= 0:
        return ZERO
    paid = sum((Fraction(one.share) for one in payments if one.on <= day), ZERO)
    gone = sum((one.amount for one in lowered if is_within(day, one.on, one.until)), ZERO)
    return max(ONE - gone / worth - paid, ZERO)


def net(
    by_person: Mapping[str, Sequence[Credit]], undone: Iterable[Cancellation], day: dt.date
) -> dict[str, list[Credit]]:
    """Credits as known at the end of a day, without what was lost or lowered by then."""
    left: dict[tuple[str, dt.date | None], Fraction] = {}
    for one in undone:
        if one.on <= day and one.is_known(day) and one.cause == "lowered":
            key = one.deal_id, one.won_on
            left[key] = left.get(key, ONE) - one.share
    left |= {(one.deal_id, one.won_on): ZERO for one in undone if one.on <= day and one.cause == "lost"}
    people = {}
    for person, listed in by_person.items():
        shares = ((one, left.get((one.deal_id, one.on), ONE)) for one in listed if one.is_known(day))
        people[person] = [one._replace(measures=_scaled(one.measures, share)) for one, share in shares if share]
    return people


def _scaled(measures: Mapping[str, Fraction], share: Fraction) -> Mapping[str, Fraction]:
    return {**measures, "bookings": measures["bookings"] * share} if "bookings" in measures and share != 1 else measures
