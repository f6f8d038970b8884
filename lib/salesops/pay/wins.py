"""Which deals were won when, by whom and for how much, and what became of them: read from the log of a book.

A day is looked at as it ended, in the book's time zone: what changed back within the day did not happen.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.pay.records import ONE, ZERO, Cancellation

WON = "won"


class Spell(NamedTuple):
    """A deal from the end of a day on. amount : in whole units of the book's currency; None where it is not known.
    owner : None where there was none."""

    on: dt.date
    kind: str
    amount: Fraction | None
    owner: str | None
    pipeline: str | None = None


class Episode(NamedTuple):
    """A win of a deal and its time as won. spells : from the day of the win on. ended_on : the day on which it was lost
    or opened again; None while it is won."""

    spells: Sequence[Spell]
    ended_on: dt.date | None = None

    @property
    def won_on(self) -> dt.date:
        return self.spells[0].on

    def owner_on(self, day: dt.date) -> str | None:
        """The last owner up to a day; where the deal had none until then, the first one after it."""
        owners = [(spell.on, spell.owner) for spell in self.spells if spell.owner]
        before = [owner for on, owner in owners if on <= day]
        return before[-1] if before else (owners[0][1] if owners else None)


def read(book: crm.Book, first: dt.date, last: dt.date) -> dict[str, list[Episode]]:
    """The wins of each deal that was won between two days, up to the last day known; also those before `first` of deals
    that were won again."""
    since, until = periods.start_of(first, book.time_zone), periods.end_of(last, book.time_zone)
    states = book.states
    won = states.filter(_.kind == WON, _.kind_since >= since, _.kind_since < until).select("deal_id").distinct()
    columns = ["deal_id", "entered_at", "kind", "kind_since", "amount_minor", "rep_id"]
    columns += ["pipeline"] if "pipeline" in states.columns else []
    table = states.semi_join(won, "deal_id").select(*columns)
    table = table.order_by("deal_id", table.entered_at.asc(nulls_first=True)).execute()
    # A deal whose record begins with the win was won when it says so.
    at = table["entered_at"].fillna(table["kind_since"])
    table["on"] = at.dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date
    table = table[table["on"].notna()].drop_duplicates(["deal_id", "on"], keep="last")
    by_deal = itertools.groupby(table.to_dict("records"), key=lambda row: row["deal_id"])
    return {str(deal_id): list(_episodes([_spell(row, book.minor_units) for row in rows])) for deal_id, rows in by_deal}


def _spell(row: dict, minor_units: int) -> Spell:
    amount, owner, pipeline = row["amount_minor"], row["rep_id"], row.get("pipeline")
    return Spell(
        row["on"], row["kind"], None if pd.isna(amount) else Fraction(int(amount), minor_units),
        owner if isinstance(owner, str) else None, pipeline if isinstance(pipeline, str) else None,
    )  # fmt: skip


def _episodes(spells: Sequence[Spell]) -> Iterator[Episode]:
    run: list[Spell] = []
    for spell in spells:
        if spell.kind == WON:
            run.append(spell)
        elif run:
            yield Episode(run, spell.on)
            run = []
    if run:
        yield Episode(run)


class Layer(NamedTuple):
    """A part of what was undone. on : the day; until : the day on which it was restored, None is never."""

    on: dt.date
    amount: Fraction
    until: dt.date | None = None


def layers(levels: Iterable[tuple[dt.date, Fraction]]) -> list[Layer]:
    """What is undone from day to day as parts with their days; what is restored is what was undone last."""
    standing: list[Layer] = []
    restored: list[Layer] = []
    for day, level in levels:
        more = level - sum((one.amount for one in standing), ZERO)
        if more > 0:
            standing.append(Layer(day, more))
        while more < 0:
            last = standing.pop()
            part = min(last.amount, -more)
            restored.append(last._replace(amount=part, until=day))
            if part < last.amount:
                standing.append(last._replace(amount=last.amount - part))
            more += part
    return sorted([*restored, *standing], key=lambda one: (one.on, one.until or dt.date.max))


def amounts(episode: Episode) -> tuple[list[tuple[dt.date, Fraction]], list[Layer]]:
    """What a win was credited for from which day on, and by how much it was lowered when.

    An amount that is raised above what was credited is credited anew from that day. One that is lowered undoes a part
    of what was credited, and one that is raised again restores it. What is credited for less than nothing, a return, is
    credited anew with each change.
    """
    credited: list[tuple[dt.date, Fraction]] = []
    levels: list[tuple[dt.date, Fraction]] = []
    for spell in episode.spells:
        if spell.amount is None:
            continue
        worth = credited[-1][1] if credited else ZERO
        levels.append((spell.on, worth - max(min(spell.amount, worth), ZERO) if worth > 0 else ZERO))
        if not credited or spell.amount > worth or (worth <= 0 and spell.amount != worth):
            credited.append((spell.on, spell.amount))
    return credited, layers(levels)


def cancellations(deal_id: str, episode: Episode) -> list[Cancellation]:
    """What of a win was undone by its being lost, opened again, or lowered: as shares of what it is credited for, which
    change where that is raised."""
    credited, lowered = amounts(episode)
    ends = [since for since, _worth in credited[1:]] + [None]
    events = [
        Cancellation(deal_id, one.on, one.amount / worth, episode.won_on, "lowered", since if k else None,
                     min(filter(None, (until, one.until)), default=None))
        for k, ((since, worth), until) in enumerate(zip(credited, ends, strict=True)) if worth > 0
        for one in lowered if one.until is None or one.until > since
    ]  # fmt: skip
    if episode.ended_on is not None:
        events.append(Cancellation(deal_id, episode.ended_on, ONE, episode.won_on, "lost"))
    return events
