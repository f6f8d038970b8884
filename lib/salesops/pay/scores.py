"""Scores of people (MBO) from a file: who reached how much of what was set, in which period."""

import csv
import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from salesops import periods
from salesops.pay import spans
from salesops.problems import BadInput, printable

COLUMNS = ("rep_id", "period", "score")
MOST = 10**6


class Score(NamedTuple):
    """span : the plan's name of the period. on : its last day. goal : what was to be reached; 1 where none is given."""

    person_id: str
    span: str
    on: dt.date
    score: Fraction
    goal: Fraction


def read(path: Path, year_starts: int) -> list[Score]:
    """The scores of a CSV file (UTF-8): rep_id, period (by the calendar: 2026-10, 2026-Q4, 2026), score, perhaps goal;
    numbers as 0.8 or 80%.

    Raises
    ------
    BadInput
        With the row and column of every problem.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror.lower()
        raise BadInput(f"{path.name} cannot be read", [why]) from None
    try:
        rows = csv.DictReader(text.splitlines())
        listed = list(enumerate(rows, 2))
    except csv.Error as error:
        raise BadInput(f"{path.name} cannot be read", [str(error)]) from None
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise BadInput(f"{path.name} cannot be read", [f"the column {name} is missing" for name in missing])
    found, problems, seen = [], [], set()
    for n, row in listed:
        wrong: list[str] = []
        who = (row["rep_id"] or "").strip()
        if not who:
            wrong.append(f"row {n}, rep_id: is blank")
        score = _number(row["score"], n, "score", wrong)
        goal = _number(row["goal"], n, "goal", wrong) if (row.get("goal") or "").strip() else Fraction(1)
        span = _span(row["period"] or "", n, year_starts, wrong)
        if span and (who, span.name) in seen:
            wrong.append(f"row {n}: {printable(who)} has two scores of {span.name}")
        problems += wrong
        if not wrong:
            seen.add((who, span.name))
            found.append(Score(who, span.name, span.last_on, score, goal))
    if problems:
        raise BadInput(f"{path.name} cannot be used", problems)
    return found


def _number(text: str | None, n: int, column: str, wrong: list[str]) -> Fraction | None:
    text = (text or "").strip()
    share = text.endswith("%")
    try:
        value = Fraction(text.rstrip("%").strip()) / (100 if share else 1)
    except (ValueError, ZeroDivisionError):
        value = None
    if value is None or not 0 <= value <= MOST or len(text) > 20:
        wrong.append(f"row {n}, {column}: {printable(text)!r} is no number from 0 to {MOST:,}, as 0.8 or 80%")
    return value


def _span(text: str, n: int, year_starts: int, wrong: list[str]) -> spans.Span | None:
    try:
        period = periods.parse(text.strip())
    except ValueError:
        period = None
    if period is None or period.n_months not in (1, 3, 6, 12) or (
        (period.first_on.month - year_starts) % 12 % period.n_months
    ):  # fmt: skip
        wrong.append(f"row {n}, period: {printable(text)!r} is no month, quarter or year of the plan")
        return None
    name = spans.name(period.first_on, period.n_months, year_starts)
    return spans.Span(name, period.first_on, period.last_on, f"{period.last_on:%Y-%m}")
