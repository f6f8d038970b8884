"""A person's statement of a month: what was paid and why, and a mark by which a later edit shows.

Each statement carries the digest of the one before it, so that changing an old one changes all that follow.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from salesops.pay.records import Line

FIRST = "0" * 64


class Statement(NamedTuple):
    """lines : of the month. total : of them. year_to_date : of the calendar year up to it. before, digest : of the
    statement before and of this one (SHA-256)."""

    person_id: str
    month: str
    lines: tuple[Line, ...]
    total: Decimal
    year_to_date: Decimal
    before: str
    digest: str


def draw_up(lines: Iterable[Line]) -> list[Statement]:
    """The statements of one person, a chain from the first month that has a line.

    Raises
    ------
    ValueError
        If the lines are of more than one person.
    """
    lines = list(lines)
    if len({line.person_id for line in lines}) > 1:
        raise ValueError("a statement holds the lines of one person")
    found, before = [], FIRST
    for month in sorted({line.month for line in lines}):
        mine = tuple(line for line in lines if line.month == month)
        year = sum((line.amount for line in lines if month[:4] + "-01" <= line.month <= month), Decimal(0))
        digest = seal(mine, before)
        total = sum((line.amount for line in mine), Decimal(0))
        found.append(Statement(mine[0].person_id, month, mine, total, year, before, digest))
        before = digest
    return found


def broken(statements: Iterable[Statement]) -> list[str]:
    """The months whose statement is not what its digest says, or does not follow the one before it."""
    found, before, last = [], FIRST, None
    for one in statements:
        carried = last.year_to_date if last is not None and last.month[:4] == one.month[:4] else Decimal(0)
        total = sum((line.amount for line in one.lines), Decimal(0))
        true = (total, carried + one.total) == (one.total, one.year_to_date)
        true &= {(line.person_id, line.month) for line in one.lines} == {(one.person_id, one.month)}
        if one.before != before or seal(one.lines, one.before) != one.digest or not true:
            found.append(one.month)
        before, last = one.digest, one
    return found


def seal(lines: Iterable[Line], before: str) -> str:
    """Digest of lines, all of their derivation, and the statement before."""
    return seal_data([as_data(line) for line in lines], before)


def seal_data(lines: list, before: str) -> str:
    """The same of lines as JSON holds them."""
    content = json.dumps([before, lines], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def as_data(value: object) -> object:
    """A line or a part of it as JSON can hold it; fractions as 1/3, exactly."""
    match value:
        case Decimal() | Fraction():
            return str(value)
        case dt.date():
            return value.isoformat()
        case Mapping():
            return {key: as_data(one) for key, one in sorted(value.items())}
        case tuple() if hasattr(value, "_asdict"):
            return as_data(value._asdict())
        case list() | tuple():
            return [as_data(one) for one in value]
        case _:
            return value
