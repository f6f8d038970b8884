"""People over time: the roles and teams they had, when they were there, and when they were on leave."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from salesops import crm, periods
from salesops.pay.plans import Plan
from salesops.pay.records import Assignment

LONG_AGO = dt.date(1970, 1, 1)  # whose first day is not known is no newcomer
LEAVE = "leave"
Days = tuple[dt.date, dt.date]  # first and last


class Spell(NamedTuple):
    """A row of a rep, from one day to another, both inclusive: the days on which it holds and the rep was employed."""

    first_on: dt.date
    last_on: dt.date
    role: str | None
    team: str | None
    status: str | None


class Career(NamedTuple):
    """spells : without overlap, the earliest first. hired_on, left_on : the first day and the last one; None where they
    are not known, or the rep is still there."""

    spells: Sequence[Spell]
    hired_on: dt.date | None
    left_on: dt.date | None

    def assignments(self, versions: Sequence[Plan], role: str, known: dt.date) -> tuple[Assignment, ...]:
        """The spans on the versions of a plan, up to the last day known: while the role (blank: any) was had."""
        spans = [(one.first_on, one.last_on) for one in self.spells if not role or one.role == role]
        there = joined(spans, gaps=self._gaps())
        return tuple(
            Assignment(plan.version, begins, ends)
            for plan in versions for first, last in there
            for begins, ends in [(max(plan.start, first), min(plan.until, last))] if begins <= min(ends, known)
        )  # fmt: skip

    def is_there(self, day: dt.date) -> bool:
        """Whether the rep was employed on a day; a leave is no end of that."""
        return any(one.first_on <= day <= one.last_on for one in self.spells)

    def leaves(self, known: dt.date) -> tuple[Days, ...]:
        """First and last day of each leave that had begun: rows that say so, and days between rows."""
        away = [(one.first_on, one.last_on) for one in self.spells if one.status == LEAVE]
        return tuple(joined([one for one in [*away, *self._gaps()] if one[0] <= known]))

    def team(self, day: dt.date) -> str | None:
        """The team on a day, or the last one before it."""
        begun = [one for one in self.spells if one.first_on <= day] or list(self.spells[:1])
        return begun[-1].team if begun else None

    def _gaps(self) -> list[Days]:
        """Days between two rows: away, and the role that was had stays."""
        return [
            (periods.days_after(one.last_on, 1), periods.days_after(other.first_on, -1))
            for one, other in zip(self.spells, self.spells[1:], strict=False)
            if periods.days_after(one.last_on, 1) < other.first_on
        ]


def joined(spans: Sequence[Days], gaps: Sequence[Days] = ()) -> list[Days]:
    """Spans that touch as one, also across a gap between two of them."""
    inside = set(spans)
    bridging = [
        gap for gap in gaps
        if any(periods.days_after(last, 1) == gap[0] for _first, last in inside if last < dt.date.max)
        and any(periods.days_after(gap[1], 1) == first for first, _last in inside)
    ]  # fmt: skip
    together: list[Days] = []
    for first, last in sorted([*spans, *bridging]):
        if together and (together[-1][1] == dt.date.max or first <= periods.days_after(together[-1][1], 1)):
            together[-1] = together[-1][0], max(together[-1][1], last)
        else:
            together.append((first, last))
    return together


def read(book: crm.Book) -> dict[str, Career]:
    """The career of each rep as known on the last day, by id."""
    columns = ["rep_id", "role", "team", "status", "hired_on", "left_on", "valid_from", "valid_to"]
    table = book.rep_spells.select(*columns).execute()
    table = table.sort_values(["rep_id", "valid_from", "team", "role"], na_position="first", kind="stable")
    rows: dict[str, list] = {}
    for row in table.itertuples():
        rows.setdefault(str(row.rep_id), []).append(row)
    return {rep: _career(own) for rep, own in rows.items()}


def _career(rows: Sequence) -> Career:
    firsts = [_day(row.valid_from) or LONG_AGO for row in rows]
    firsts[0] = LONG_AGO  # what was before the first row is not known to have been otherwise
    spells = []
    for k, row in enumerate(rows):
        ends = periods.days_after(firsts[k + 1], -1) if k + 1 < len(firsts) else dt.date.max
        first = max(firsts[k], _day(row.hired_on) or LONG_AGO)
        last = min(_day(row.valid_to) or dt.date.max, _day(row.left_on) or dt.date.max, ends)
        if first <= last:
            spells.append(Spell(first, last, _text(row.role), _text(row.team), _text(row.status)))
    return Career(spells, _day(rows[0].hired_on), _day(rows[-1].left_on))


def _day(value: object) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
