"""What another system says it paid: its payouts, credits and quotas, read by a mapping of its columns."""

import datetime as dt
import re
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from salesops import periods, yamlfile
from salesops.crm import files
from salesops.pay.plans import LARGEST, SPANS
from salesops.problems import BadInput, Problem, printable

NEEDED = {
    "payouts": ("person", "period", "amount"),
    "credits": ("person", "deal", "day", "amount"),
    "quotas": ("person", "period", "amount"),
    "people": ("person", "rep_id"),
}
OPTIONAL = {"payouts": ("component", "deal")}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MOST_PROBLEMS = 1000


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lookup(Strict):
    """Another file that says what an id stands for."""

    file: str
    start: str = Field(alias="from")
    to: str


class Source(Strict):
    """One file. columns : ours -> theirs. only : theirs -> the values that count. lookups : of our columns."""

    file: str
    columns: dict[str, str]
    only: dict[str, list[str]] = {}
    lookups: dict[str, Lookup] = {}


class Spec(Strict):
    """Where a system's export holds what it paid. components : what it calls a component -> what the plan does."""

    dates: str = "%Y-%m-%d"
    payouts: Source
    credits: Source | None = None
    quotas: Source | None = None
    people: Source | None = None
    components: dict[str, str] = {}


class Payout(NamedTuple):
    """person : as the export calls them. span : first and last day of the period."""

    person: str
    first_on: dt.date
    last_on: dt.date
    component: str
    amount: Fraction


class Given(NamedTuple):
    """A deal credited to somebody, on a day, for so much."""

    person: str
    deal: str
    on: dt.date
    amount: Fraction


class Quota(NamedTuple):
    person: str
    first_on: dt.date
    last_on: dt.date
    amount: Fraction


class Claims(NamedTuple):
    """credits, quotas : None where the export has none. people : what it calls somebody -> rep_id."""

    payouts: list[Payout]
    credits: list[Given] | None
    quotas: list[Quota] | None
    people: Mapping[str, str]


def load(path: Path) -> Spec:
    """A mapping from its file; `BadInput` with every problem."""
    try:
        spec = Spec.model_validate(yamlfile.load(path))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg'].lower()}" for one in error.errors()]
        raise BadInput(f"{path} cannot be used", problems) from None
    problems = []
    for name, needed in NEEDED.items():
        source = getattr(spec, name)
        if source is None:
            continue
        allowed = needed + OPTIONAL.get(name, ())
        problems += [f"{name}.columns: {one} is missing" for one in needed if one not in source.columns]
        problems += [f"{name}.columns: {printable(one)} is unknown, allowed: {', '.join(allowed)}"
                     for one in source.columns if one not in allowed]  # fmt: skip
        problems += [f"{name}.lookups: {printable(one)} is none of its columns" for one in source.lookups
                     if one not in source.columns]  # fmt: skip
    if problems:
        raise BadInput(f"{path} cannot be used", problems)
    return spec


def read(folder: Path, spec: Spec) -> Claims:
    """What the files of a folder say.

    Raises
    ------
    BadInput
        With every problem: file, row, column, what came, what is allowed.
    """
    problems: list[Problem] = []
    made = {name: [] for name in NEEDED}
    with tempfile.TemporaryDirectory() as scratch:
        for name in NEEDED:
            source = getattr(spec, name)
            if source is not None:
                made[name] = list(_rows(folder, source, Path(scratch) / name, problems))
    parse = _Parser(spec.dates, problems)
    payouts = [
        Payout(row["person"], *span, row.get("component", ""), amount)
        for row in made["payouts"]
        for span, amount in [(parse.period(row), parse.amount(row))]
        if span and amount is not None
    ]
    credits = [
        Given(row["person"], row["deal"], day, amount)
        for row in made["credits"] for day, amount in [(parse.day(row), parse.amount(row))]
        if day and amount is not None
    ]  # fmt: skip
    quotas = [
        Quota(row["person"], *span, amount)
        for row in made["quotas"] for span, amount in [(parse.period(row), parse.amount(row))]
        if span and amount is not None
    ]  # fmt: skip
    if problems:
        raise BadInput(f"what {folder} says was paid cannot be read", problems[:MOST_PROBLEMS])
    people = {row["person"]: row["rep_id"] for row in made["people"]}
    return Claims(payouts, credits if spec.credits else None, quotas if spec.quotas else None, people)


def _rows(folder: Path, source: Source, scratch: Path, problems: list[Problem]) -> Iterator[dict]:
    """The rows of a file under our names, with their file and number; ids as what they stand for."""
    scratch.mkdir()
    told = {ours: {row["id"]: row["name"] for row in _read(
        folder, one.file, {"id": one.start, "name": one.to}, scratch / f"of-{ours}", problems)}
        for ours, one in source.lookups.items()}  # fmt: skip
    asked = source.columns | {f"only {name}": name for name in source.only}
    for row in _read(folder, source.file, asked, scratch / "rows", problems):
        if any(row[f"only {name}"] not in allowed for name, allowed in source.only.items()):
            continue
        for ours, names in told.items():
            if row[ours] not in names:
                lookup = source.lookups[ours]
                problems.append(Problem(row["file"], row["row"], source.columns[ours], row[ours],
                                        f"not in {lookup.file}"))  # fmt: skip
            row[ours] = names.get(row[ours], "")
        yield row


def _read(folder: Path, file: str, asked: Mapping[str, str], scratch: Path, problems: list[Problem]) -> Iterator[dict]:
    path = folder / file
    if not path.is_file():
        problems.append(Problem(file, None, "", "", f"there is no such file in {folder.name}"))
        return
    found = files.stage([path], scratch, files.Names(asked.values()), problems.append, files.How())
    problems += found.unreadable
    for staged in found.staged:
        missing = [theirs for theirs in asked.values() if theirs not in staged.columns]
        problems += [Problem(file, 1, theirs, "", "the column is missing") for theirs in missing]
        if missing:
            continue
        table = pq.read_table(staged.path).to_pylist()
        for row in table:
            yield {ours: row[staged.columns[theirs]] or "" for ours, theirs in asked.items()} | {
                "file": row["file"], "row": row["row"]
            }  # fmt: skip


class _Parser:
    def __init__(self, dates: str, problems: list[Problem]):
        self.dates, self.problems = dates, problems

    def _wrong(self, row: dict, column: str, allowed: str) -> None:
        self.problems.append(Problem(row["file"], row["row"], column, row[column], allowed))

    def amount(self, row: dict) -> Fraction | None:
        text = re.sub(r"[\s$€£₽\u2009\u202f]", "", row["amount"]).replace("\N{MINUS SIGN}", "-")
        text = re.sub(r"^\((.*)\)$", r"-\1", text)
        if not re.fullmatch(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", text):
            self._wrong(row, "amount", "allowed: an amount as 1234.56 or 1,234.56")
            return None
        value = Fraction(text.replace(",", ""))
        if abs(value) > LARGEST:
            self._wrong(row, "amount", f"allowed: below {LARGEST:,}")
            return None
        return value

    def day(self, row: dict) -> dt.date | None:
        text = row["day"]
        try:
            return dt.date.fromisoformat(text[:10]) if self.dates == "%Y-%m-%d" else dt.datetime.strptime(
                text, self.dates
            ).date()  # fmt: skip
        except ValueError:
            self._wrong(row, "day", f"allowed: a day as {self.dates}")
            return None

    def period(self, row: dict) -> tuple[dt.date, dt.date] | None:
        found = named_period(row["period"])
        if found is None:
            self._wrong(row, "period", "allowed: 2026-03, 2026-Q1, 2026, Mar-2026, March 2026, Q1 2026")
        return found


def named_period(text: str) -> tuple[dt.date, dt.date] | None:
    """First and last day of a period by the calendar, as compensation systems name them; None where it is none."""
    text = text.strip()
    if month := re.fullmatch(r"([A-Za-z]{3})[a-z]*[-\s,]+(\d{4})", text):
        name = month[1].lower()
        text = f"{month[2]}-{MONTHS.index(name) + 1:02d}" if name in MONTHS else text
    elif quarter := re.fullmatch(r"[Qq]([1-4])[-\s]+(\d{4})", text):
        text = f"{quarter[2]}-Q{quarter[1]}"
    try:
        period = periods.parse(text)
    except ValueError:
        return None
    return (period.first_on, period.last_on) if period.n_months in SPANS.values() else None
