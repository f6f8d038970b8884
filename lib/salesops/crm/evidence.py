"""How a column is written, decided over the whole of it: marks of numbers, order of dates.

The evidence is a table of masks (every digit a 9) with counts. Where it is ambiguous or contradicts itself
nothing is guessed: `Doubt` says what was seen and what to say in the mapping.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

MOST = 0.95  # share of a column that must be written in one way
FEW = 20  # with fewer values every one of them is evidence
DECISIVE = 0.05  # share of days above 12 that shows the order of day and month
TIME = (
    r"(?:(?:T|[ ,]+)(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d{1,9})?))? ?(?:([AaPp])\.?[Mm]\.?)?"
    r" ?(Z|UTC|GMT|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?"
)
FAMILIES = {  # name -> pattern; the first three groups are the parts of the day
    "iso": rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){TIME}",
    "compact": rf"(\d{{4}})(\d{{2}})(\d{{2}}){TIME}",
    "triple": rf"(\d{{1,2}})[-/. ](\d{{1,2}})[-/. ](\d{{4}}){TIME}",
    "short": rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{2}}){TIME}",
    "named": rf"(\d{{1,2}})[-. ]([A-Za-z]{{3,9}})\.?[- ,.]+(\d{{4}}){TIME}",
    "us_named": rf"([A-Za-z]{{3,9}})\.? (\d{{1,2}}),? (\d{{4}}){TIME}",
    "microseconds": r"(\d{15,16})",
    "milliseconds": r"(\d{12,13})",
    "seconds": r"(\d{9,10})",
    "serial": r"(\d{5}(?:[.,]\d+)?)",
}
_COMPILED = {name: re.compile(pattern) for name, pattern in FAMILIES.items()}


class Mask(NamedTuple):
    """One way of writing: how often, an example, and for dates the rows whose first and second part is above 12."""

    mask: str
    n: int
    example: str
    n_first: int = 0
    n_second: int = 0


class Numbers(NamedTuple):
    """Marks of a column of numbers; a space stands for every kind of space."""

    decimal: str = "."
    thousands: str = ""
    exponent: bool = False  # written by a program, which may write 1e+20
    signs: bool = True  # currency signs, percent signs or brackets may stand beside them
    sure: bool = False  # all of them are so written; none need be looked at again


class Dates(NamedTuple):
    """The family of a column of dates; `order` is dmy, mdy or ymd where it is three numbers."""

    family: str = "iso"
    order: str = ""
    sure: bool = False  # all of them are whole ISO days or moments, without an offset


class Doubt(Exception):
    """A column whose way of writing cannot be told: what was seen, and what to say."""

    def __init__(self, came: str, allowed: str):
        super().__init__(allowed)
        self.came, self.allowed = came, allowed


_NUMBER = re.compile(r"[-+]?9[9.,' ]*")
_WHOLE = re.compile(r"9999-99-99(?:[T ]99:99:99(?:\.9{1,6})?)?")
CLEAR_NUMBER = r"[-+]?\d+(?:\.\d{0,2}|\.\d{4,})?"  # a point that can only be the decimal mark
CLEAR_MOMENT = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?)?"


def plain(masks: Iterable[Mask]) -> bool:
    """Whether nothing but digits and marks stands in a column of numbers."""
    return all(_NUMBER.fullmatch(one.mask) for one in masks)


def numbers(masks: Iterable[Mask], *, decimal: str = "", thousands: str = "") -> Numbers:
    """The marks of a column of numbers.

    A mark is proved the decimal one where another count than three of digits follows it at the end, where more than
    three digits or a lone 0 stand before it, or where it is the last of two marks; it is proved the thousands one
    where it stands twice, or first of two.

    Raises
    ------
    Doubt
        If values such as 1,234 could mean two things, or both are proved.
    """
    if decimal:
        return Numbers(decimal, thousands)
    masks = list(masks)
    proved: dict[str, dict[str, str]] = {"decimal": {}, "thousands": {}}
    doubtful: dict[str, str] = {}
    n_bare, n_grouped, n_fraction, example = 0, 0, 0, ""  # of a thousand and more: without and with thousands marks
    for one in masks:
        if not _NUMBER.fullmatch(one.mask):
            continue
        text = one.mask.lstrip("+-")
        marks = re.findall(r"[.,' ]", text)
        kinds = list(dict.fromkeys(marks))
        if not kinds:
            n_bare += one.n if len(text) > 3 else 0
            continue
        if len(kinds) == 2 and marks.count(kinds[1]) == 1:
            proved["thousands"].setdefault(kinds[0], one.example)
            proved["decimal"].setdefault(kinds[1], one.example)
            n_fraction += one.n
        elif len(kinds) == 1:
            head, _mark, tail = text.rpartition(kinds[0])
            if len(marks) > 1:
                proved["thousands"].setdefault(kinds[0], one.example)
                n_grouped, example = n_grouped + one.n, example or one.example
            elif kinds[0] in " '":
                proved["thousands"].setdefault(kinds[0], one.example)
            elif len(tail) != 3 or len(head) > 3:
                proved["decimal"].setdefault(kinds[0], one.example)
                n_fraction += one.n
                n_bare += one.n if len(head) > 3 else 0
            else:
                doubtful.setdefault(kinds[0], one.example)
    both = set(proved["decimal"]) & set(proved["thousands"])
    if both or any(len(found) > 1 for found in proved.values()):
        seen = list(dict.fromkeys([*proved["decimal"].values(), *proved["thousands"].values()]))
        raise Doubt(
            " and ".join(seen[:3]),
            "numbers written in one way; say decimal and thousands in the mapping, or export again",
        )
    point = next(iter(proved["decimal"]), "")
    group = next(iter(proved["thousands"]), "")
    open_ = [mark for mark in doubtful if mark not in (point, group)]
    if open_ and (bool(point) == bool(group) or len(open_) > 1):
        raise Doubt(doubtful[open_[0]], "numbers whose marks can be told; say decimal and thousands in the mapping")
    for mark in open_:  # the other mark is known, so this one has the other part
        point, group = (mark, group) if group and not point else (point, mark)
    if n_grouped and n_fraction and n_bare and group not in " '":
        raise Doubt(
            example, "numbers written in one way; thousands marks stand only where there are no decimals, as when a"
            " spreadsheet took a decimal mark for one (2,024,994 for 2024.994); export again, or say decimal and"
            " thousands in the mapping",
        )  # fmt: skip
    point = point or ("," if group == "." else ".")
    sure = re.compile(rf"[-+]?9+(?:{re.escape(point)}9*)?")
    return Numbers(point, group, sure=all(sure.fullmatch(one.mask) for one in masks))


def family_of(text: str) -> str:
    """The family of a date; blank where it is none."""
    return next((name for name, pattern in _COMPILED.items() if pattern.fullmatch(text)), "")


def dates(masks: Iterable[Mask], *, order: str = "") -> Dates:
    """How the dates of a column are written.

    Raises
    ------
    Doubt
        If day and month cannot be told apart, or dates are written in several ways.
    """
    if order:
        return Dates("iso" if order == "ymd" else "triple", order)
    masks = list(masks)
    by: dict[str, list[Mask]] = {}
    for one in masks:
        by.setdefault(family_of(one.example), []).append(one)
    sizes = {family: sum(one.n for one in ones) for family, ones in by.items() if family}
    if not sizes:
        return Dates()
    family = max(sizes, key=lambda name: sizes[name])
    total = sum(sizes.values())
    if sizes[family] < MOST * total and total - sizes[family] > 1:
        seen = "; ".join(
            f"{n} as {by[name][0].example}" for name, n in sorted(sizes.items(), key=lambda one: -one[1])[:3]
        )
        raise Doubt(
            seen, "dates written in one way, not several, as when a spreadsheet changed some of them; export again, "
            "or say date_order in the mapping",
        )  # fmt: skip
    if family not in ("triple", "short"):
        return Dates(family, sure=family == "iso" and all(_WHOLE.fullmatch(one.mask) for one in masks))
    n = sizes[family]
    first, second = (sum(getattr(one, side) for one in by[family]) for side in ("n_first", "n_second"))
    example = by[family][0].example
    if first and second:
        raise Doubt(
            f"{example}, ...",
            "dates in one order; some have the day first and some the month; say date_order in the mapping",
        )
    if not (first or second) or (n >= FEW and max(first, second) < DECISIVE * n):
        raise Doubt(f"{example}, ...", "dates whose order can be told; say date_order in the mapping: dmy or mdy")
    if family == "short":  # 24.05.25 may also begin with the year
        raise Doubt(f"{example}, ...", "years of four digits; or say date_order in the mapping: dmy or mdy")
    return Dates("triple", "dmy" if first else "mdy")
