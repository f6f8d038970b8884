"""Changes of deals in the form that a CRM's own import takes: one file for each field, so that no blank cell can erase
what it was not meant to, and beside it what stood there before.
"""

import csv
import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from salesops import periods, plaintext
from salesops.crm.mapping import Mapping, WriteBack
from salesops.crm.tables import TABLES
from salesops.problems import BadInput, Problem

LARGEST = 10**15
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula


class Change(NamedTuple):
    """A field of a deal as it is to be; where it was read, for messages."""

    file: str
    row: int
    deal_id: str
    field: str  # canonical column of deals
    before: object
    after: object


def files(mapping: Mapping, changes: Sequence[Change], *, system: str) -> tuple[dict[str, bytes], dict[str, int]]:
    """The files of the changes, and the changes that the system does not take.

    A field that was blank has no row in `before`: an import cannot write a blank.

    Returns
    -------
    files : name -> contents; `<field>.csv` and, to go back, `before/<field>.csv`.
    left_out : field -> changes of it.

    Raises
    ------
    BadInput
        If the system takes no changes, or with every change that it cannot take, at once.
    """
    how = mapping.write
    if how is None:
        raise BadInput(f"{system} takes no changes", ["its mapping has no write"])
    problems, wanted, left_out = [], {}, Counter()
    for change in changes:
        if change.field not in TABLES["deals"].names or change.field == "deal_id":
            problems.append(Problem(change.file, change.row, "field", change.field, "a field of deals"))
            continue
        if change.field not in how.columns:
            left_out[change.field] += 1
            continue
        try:
            after = _text(change.field, change.after, how)
            before = "" if change.before in (None, "") else _text(change.field, change.before, how)
            _safe(change.deal_id)
        except ValueError as error:
            problems.append(Problem(change.file, change.row, change.field, str(change.after), str(error)))
            continue
        earlier = wanted.setdefault((change.field, change.deal_id), (after, before))
        if earlier[0] != after:
            problems.append(
                Problem(change.file, change.row, change.field, after, f"the deal has {earlier[0]} in another row")
            )
    if problems:
        raise BadInput("no changes were written", problems)
    made = {}
    for field in dict.fromkeys(field for field, _deal in sorted(wanted)):
        rows = [(deal, *pair) for (name, deal), pair in sorted(wanted.items()) if name == field and pair[0] != pair[1]]
        head = (how.columns["deal_id"], how.columns[field])
        if rows:
            made[f"{field}.csv"] = _csv(head, [(deal, after) for deal, after, _before in rows], how)
        if any(before for _deal, _after, before in rows):
            was = [(deal, before) for deal, _after, before in rows if before]
            made[f"before/{field}.csv"] = _csv(head, was, how)
    return made, dict(sorted(left_out.items()))


def _csv(head: tuple, rows: list[tuple], how: WriteBack) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=how.delimiter, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue().encode(how.encoding)


def _text(field: str, value: object, how: WriteBack) -> str:
    """A value as the import takes it.

    Raises
    ------
    ValueError
        If it is no value of the field; it says what is.
    """
    column = TABLES["deals"][field]
    match column.kind:
        case "money" | "share":
            number = _number(value)
            if column.kind == "share":
                if not 0 <= number <= 1:
                    raise ValueError("a share from 0 to 1")
                number = number * 100 if how.percent else number
            return f"{number.normalize():f}".replace(".", how.decimal)
        case "day" | "moment":
            return _day(value).strftime(how.dates)
    if not isinstance(value, str):
        raise ValueError("text; as a number or a date it has lost how it was written, so format its cell as text")
    text = " ".join(value.split())  # also no-break spaces and line breaks
    if column.allowed and text not in column.allowed:
        raise ValueError(column.says)
    return _safe(how.values.get(field, {}).get(text, text))


def _number(value: object) -> Decimal:
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", value.strip()):
        raise ValueError("a number, written as a number")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number, written as a number")
    number = Decimal(str(value).strip())
    if not number.is_finite() or abs(number) >= LARGEST:
        raise ValueError("a number below a thousand million millions")
    return number


def _day(value: object) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    if isinstance(value, str) and periods.is_day(value.strip()):
        return dt.date.fromisoformat(value.strip())
    raise ValueError("a day, as a date of the spreadsheet or as 2026-10-31")


def _safe(text: str) -> str:
    if text.startswith(FORMULA):
        raise ValueError(f"text that does not begin with {text[0]!r}, as a formula does")
    if not text or plaintext.clean(text) != text or plaintext.MARK in text:
        raise ValueError("text without control or hidden characters")
    return text
