"""A mapping: how the files of one system become the canonical tables. Data, not code.

The files live in `params/crm/<name>.yml`; a new system is a new file.
"""

import codecs
import re
from collections import Counter
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from babel.numbers import get_currency_precision, list_currencies
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from salesops import yamlfile
from salesops.crm.tables import TABLES
from salesops.periods import is_day
from salesops.problems import BadInput, listed, printable


def known_encoding(value: str) -> str:
    try:
        known = codecs.lookup(value or "utf-8")._is_text_encoding
    except LookupError:
        known = False
    if not known:
        raise ValueError(f"{value!r} is not an encoding of text, such as utf-8 or cp1251")
    return value


class Stage(BaseModel):
    """A stage of a pipeline; the order in the list is the order of the stages."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stage: str
    kind: Literal["open", "won", "lost"]
    pipeline: str = ""
    probability: float | None = Field(None, ge=0, le=1)
    forecast_category: Literal[TABLES["stages"]["forecast_category"].allowed] | None = None


class Product(BaseModel):
    """A number that is the product of some columns, such as quantity and price."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    product: list[str] = Field(min_length=2)


# A column of the file; a template of columns, such as "{Year}-{Month}"; names of which the first that is there is
# taken; or a product of columns.
Cell = str | list[str] | Product


class Elsewhere(BaseModel):
    """A column of another file of the source."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    column: str


class Condition(BaseModel):
    """Which rows of the file are taken; the others are left out, and counted under the name `called`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    column: str | list[str]
    called: str
    flag: bool | None = None  # the column says yes, or says no, in whatever words; blank is no
    one_of: list[str] | None = None
    none_of: list[str] | None = None
    matches: str | None = None  # a regular expression for the whole text
    above: float | None = Field(None, allow_inf_nan=False)
    filled: bool | None = None
    not_in: Elsewhere | None = None

    @model_validator(mode="after")
    def _one_test(self):
        told = [
            name
            for name in type(self).model_fields
            if name not in ("column", "called") and getattr(self, name) is not None
        ]
        if len(told) != 1:
            raise ValueError(f"{self.called}: say one of flag, one_of, none_of, matches, above, filled, not_in")
        return self


class Unpivot(BaseModel):
    """Columns that are really rows, such as one for each month."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    columns: str  # a regular expression for their names; its first group, if any, becomes the name
    name: str  # what the column with the name is called from here on
    value: str  # and the one with the value


class Join(BaseModel):
    """Columns of another file, by keys that stand once in it; called `<name>.<column>` from here on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    name: str
    on: dict[str, str]  # column of this file: column of the other


class Closing(BaseModel):
    """A column that says won or lost where the stage keeps the last open one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    column: str | list[str]
    won: list[str] = []
    lost: list[str] = []
    won_stage: str = "Won"
    lost_stage: str = "Lost"


class WriteBack(BaseModel):
    """How the CRM's own import wants changes of deals: its columns, its words, its way to write a day."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    columns: dict[str, str]  # canonical column of deals: the import's column; deal_id is one of them
    values: dict[str, dict[str, str]] = {}  # canonical column: {canonical value: the CRM's word}
    dates: Literal["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"] = "%Y-%m-%d"
    percent: bool = False  # a share is written as 60, not as 0.6
    decimal: Literal[".", ","] = "."
    delimiter: Literal[",", ";"] = ","
    encoding: Literal["utf-8", "utf-8-sig"] = "utf-8"

    @field_validator("columns")
    @classmethod
    def _are_columns_of_deals(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(TABLES["deals"].names))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such column of deals")
        if "deal_id" not in value:
            raise ValueError("deal_id: missing; every change needs it")
        return value


class Vat(BaseModel):
    """Whether the amounts of deals, their lines, revenue, contracts, purchases and payments hold VAT, and how much it
    is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    included: bool
    share: dict[str, float]  # from a day on, such as "2019-01-01": 0.2; a blank day is from the beginning

    @field_validator("share")
    @classmethod
    def _are_shares_of_days(cls, value: dict[str, float]) -> dict[str, float]:
        wrong = [day for day in value if day and not is_day(day)]
        if wrong or not value:
            raise ValueError(
                f"{', '.join(map(repr, wrong)) or 'nothing'}: write a day as 2019-01-01, or leave it blank"
            )
        if any(not 0 <= share < 1 for share in value.values()):
            raise ValueError("a share is from 0 to below 1, such as 0.2")
        return dict(sorted(value.items()))


class TableMap(BaseModel):
    """Where one canonical table, or a part of it, comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str  # relative to the source's folder; a pattern such as deals-*.csv is allowed
    has: list[str] = []  # of the files of that pattern, those whose header has all these columns
    has_not: list[str] = []  # and none of these
    optional: bool = False  # the file need not be there, nor any column but those that every row needs
    rows: Literal["rows", "cases", "events"] = "rows"  # of an event log (XES): its cases or events
    sheet: str = ""  # of a workbook
    records: str = ""  # of a JSON file: the way to its records, as results / propertiesWithHistory / *
    inside: str = ""  # of an archive: a pattern of the names of its files
    encoding: str = ""  # these four: blank is as the whole mapping says
    delimiter: str = Field("", max_length=1)
    decimal: Literal["", ".", ","] = ""
    thousands: Literal["", ",", ".", " ", "'"] = ""
    date_order: Literal["", "dmy", "mdy", "ymd"] = ""
    columns: dict[str, Cell]  # canonical column: column of the file
    constants: dict[str, str] = {}  # canonical column: one value for every row
    scale: dict[str, str] = {}  # canonical column: what its numbers are multiplied by, such as "1000" or "0.01"
    values: dict[str, dict[str, str]] = {}  # canonical column: {word of the file: canonical value}
    repairs: dict[str, dict[str, str]] = {}  # mends of known mistakes; counted, named on the page
    blanks: dict[str, list[str]] = {}  # canonical column: values that mean "not known"
    keep: dict[str, list[str]] = {}  # canonical column: only rows with one of these values; the others are counted
    only: list[Condition] = []  # only rows of the file that pass; the others are counted
    unpivot: Unpivot | None = None
    join: list[Join] = []
    stage_dates: dict[str, Cell] | str = {}  # deals only: {stage: column}, or a pattern whose group is the stage
    closing: Closing | None = None  # deals only
    probability: Cell = ""  # deals only: the chance of winning, as 0.6 or 60; tells the order of stages not declared
    repeats: bool = False  # rows that say the same of one key are one row
    sum: bool = False  # rows of one key are added up

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if not value or Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError("must be a path below the source's folder")
        if any("**" in part and part != "**" for part in Path(value).parts):
            raise ValueError("** stands for folders, alone between slashes")
        return value

    @field_validator("encoding")
    @classmethod
    def _text_encoding(cls, value: str) -> str:
        return known_encoding(value)


class Mapping(BaseModel):
    """A whole source: its conventions, its stages, its tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    extends: str = ""  # another mapping, which this one completes or changes
    title: str
    currency: str = ""  # the reporting currency; a preset leaves it to the import
    time_zone: str = "UTC"  # of the file's moments without an offset
    report_zone: str = ""  # of the report's days, and of days without a clock; blank: as time_zone
    vat: Vat | None = None  # where amounts are to be shown with and without it
    encoding: str = ""  # this and the next four: blank is decided from the file, or asked for where it cannot be
    delimiter: str = Field("", max_length=1)
    decimal: Literal["", ".", ","] = ""
    thousands: Literal["", ",", ".", " ", "'"] = ""  # a space stands for every kind of space
    date_order: Literal["", "dmy", "mdy", "ymd"] = ""
    ids: Literal["", "salesforce"] = ""  # how ids of 15 and of 18 characters are the same
    exported_on: str = ""  # the day of the export; blank: the last moment in the data
    max_refused: float = Field(0.05, ge=0, le=1)  # share of a table's rows that may be refused
    stages: list[Stage] = []  # in their order; where they are not declared, they are derived if that is certain
    won: list[str] = []  # stages not declared that mean won
    lost: list[str] = []
    write: WriteBack | None = None  # how changes are written back
    tables: dict[str, list[TableMap]]  # one part, or several

    @field_validator("tables", mode="before")
    @classmethod
    def _parts(cls, value):
        return (
            {name: part if isinstance(part, list) else [part] for name, part in value.items()}
            if isinstance(value, dict)
            else value
        )

    @field_validator("time_zone", "report_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value and value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone of the IANA list, such as Europe/Moscow")
        return value

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        if value and value not in list_currencies():
            raise ValueError(f"{value!r} is not an ISO 4217 code, such as USD")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        return known_encoding(value)

    @field_validator("exported_on")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if value and not (is_day(value) and "1900" <= value[:4] <= "2037"):
            raise ValueError(f"{value!r}: write a day as 2026-10-31, or leave it out")
        return value

    @field_validator("stages")
    @classmethod
    def _each_stage_once(cls, value: list[Stage]) -> list[Stage]:
        names = Counter((stage.pipeline, stage.stage) for stage in value)
        twice = sorted({stage for (_pipeline, stage), n in names.items() if n > 1})
        if twice:
            raise ValueError(f"{listed(twice)}: each stage once in its pipeline")
        return value

    @model_validator(mode="after")
    def _marks_differ(self):
        if self.decimal and self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        return self

    @model_validator(mode="after")
    def _names_are_canonical(self):
        wrong = [f"tables.{name}: no such canonical table" for name in self.tables if name not in TABLES]
        for name, tables in self.tables.items():
            if name not in TABLES:
                continue
            for table in tables:
                for part in ("columns", "constants", "values", "repairs", "blanks", "keep", "scale"):
                    unknown = set(getattr(table, part)) - set(TABLES[name].names)
                    wrong += [f"tables.{name}.{part}.{column}: no such column" for column in sorted(unknown)]
                wrong += [f"tables.{name}.{part}" for part in self._gaps(name, table)]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _gaps(self, name: str, table: TableMap) -> list[str]:
        """What a table's map lacks or has too much."""
        told, known = {*table.columns, *table.constants}, {stage.stage for stage in self.stages}
        gaps = [
            f"columns.{c.name}: missing; every row needs it"
            for c in TABLES[name].columns
            if c.needed and c.name not in told
        ]
        gaps += [f"keep.{column}: this column is not mapped" for column in table.keep if column not in told]
        if isinstance(table.stage_dates, dict) and not table.optional:
            gaps += [
                f"stage_dates.{stage}: not in stages" for stage in table.stage_dates if known and stage not in known
            ]
        if table.stage_dates and (name != "deals" or "stage" not in told):
            gaps.append("stage_dates: only for deals, and only where their stage is mapped")
        if table.closing and (name != "deals" or "stage" not in told):
            gaps.append("closing: only for deals, and only where their stage is mapped")
        gaps += [
            f"scale.{column}: {factor} is no number"
            for column, factor in table.scale.items()
            if not re.fullmatch(r"\d+(\.\d+)?", factor)
        ]
        gaps += [f"keep.{column}: say at least one value" for column, words in table.keep.items() if not words]
        gaps += ["closing: say the words of won or of lost"] * bool(
            table.closing and not (table.closing.won or table.closing.lost)
        )
        gaps += [f"join.{join.name}: say what to join on" for join in table.join if not join.on]
        patterns = [table.stage_dates] if isinstance(table.stage_dates, str) and table.stage_dates else []
        if patterns and not re.search(r"(?<!\\)\((?!\?)", table.stage_dates):
            gaps.append(f"stage_dates.{table.stage_dates}: needs a group ( ) for the stage")
        patterns += [one.matches for one in table.only] + [table.unpivot and table.unpivot.columns]
        for pattern in filter(None, patterns):
            try:
                re.compile(pattern)
            except re.error as error:
                gaps.append(f"{pattern}: is no regular expression ({error})")
        return gaps

    @property
    def patterns(self) -> list[str]:
        """The files that the mapping reads, as patterns below the source's folder."""
        found = []
        for table in (table for tables in self.tables.values() for table in tables):
            found += [table.file, *(join.file for join in table.join), *(c.not_in.file for c in table.only if c.not_in)]
        return sorted(set(found))

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def days_of(self) -> str:
        """The time zone of the report's days."""
        return self.report_zone or self.time_zone

    @property
    def minor_digits(self) -> int:
        """Decimal digits of the reporting currency: 2 for USD, 0 for JPY."""
        return get_currency_precision(self.currency)


def load(path: Path, **changes) -> Mapping:
    """Read and check a mapping, completed by the one it extends.

    Parameters
    ----------
    changes : values that take the place of the file's own, such as a currency; blank ones do not.

    Raises
    ------
    BadInput
        With every problem of the file at once.
    """
    told = _extended(path) | {name: value for name, value in changes.items() if value}
    try:
        return Mapping(**told)
    except ValidationError as error:
        problems = []
        for one in error.errors():
            place = ".".join(str(part) for part in one["loc"])
            what = one["ctx"]["error"] if one["type"] == "value_error" else one["msg"]
            problems += [f"{place + ': ' if place else ''}{part}" for part in str(what).split("; ")]
            if one["type"] not in ("value_error", "missing", "extra_forbidden"):
                problems[-1] += f", got {printable(one['input'])!r}"
        raise BadInput(f"{path.name} is not a usable mapping", problems) from None


def _extended(path: Path, seen: tuple[Path, ...] = ()) -> dict:
    told = yamlfile.load(path)
    base = told.get("extends")
    if not base:
        return told
    below = path.parent / f"{base}.yml"
    if below in (*seen, path) or not below.is_file() or below.parent != path.parent:
        known = ", ".join(sorted(one.stem for one in path.parent.glob("*.yml") if one != path))
        raise BadInput(f"{path.name} is not a usable mapping", [f"extends: {printable(base)!r} is not one of {known}"])
    whole = _extended(below, (*seen, path))
    tables = (
        {**whole.get("tables", {}), **told.get("tables", {})}
        if isinstance(told.get("tables", {}), dict)
        else told["tables"]
    )
    return {**whole, **told, "tables": tables}
