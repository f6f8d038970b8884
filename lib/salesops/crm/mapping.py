"""A mapping: how the files of one system become the canonical tables. Data, not code.

The files live in `params/crm/<name>.yml`; a new system is a new file.
"""

import codecs
import re
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from babel.numbers import get_currency_precision, list_currencies
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from salesops import yamlfile
from salesops.crm.tables import TABLES
from salesops.periods import is_day
from salesops.problems import BadInput, printable


class Stage(BaseModel):
    """A stage of a pipeline; the order in the list is the order of the stages."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stage: str
    kind: Literal["open", "won", "lost"]
    pipeline: str = ""
    probability: float | None = Field(None, ge=0, le=1)
    forecast_category: Literal[TABLES["stages"]["forecast_category"].allowed] | None = None


class TableMap(BaseModel):
    """Where one canonical table comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str  # relative to the source's folder; a pattern such as deals-*.csv is allowed
    rows: Literal["rows", "cases", "events"] = "rows"  # of an event log (XES): its cases or events
    columns: dict[str, str]  # canonical column: column of the file
    constants: dict[str, str] = {}  # canonical column: one value for every row
    values: dict[str, dict[str, str]] = {}  # canonical column: {word of the file: canonical value}
    repairs: dict[str, dict[str, str]] = {}  # mends of known mistakes; counted, named on the page
    blanks: dict[str, list[str]] = {}  # canonical column: values that mean "not known"
    keep: dict[str, list[str]] = {}  # only rows with one of these values; the others are counted
    stage_dates: dict[str, str] = {}  # deals only: {stage: column with the day it was entered}

    @field_validator("file")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if not value or Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError("must be a path below the source's folder")
        return value


class Mapping(BaseModel):
    """A whole source: its conventions, its stages, its tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    currency: str  # the reporting currency
    time_zone: str = "UTC"  # of the file's moments, and of the report's days
    encoding: str = "utf-8-sig"
    delimiter: str = Field(",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""  # a space stands for every kind of space
    dates: list[str] = ["%Y-%m-%d", "iso"]  # strptime patterns; iso is ISO 8601 with or without offset
    exported_on: str = ""  # the day of the export; blank: the last moment in the data
    max_refused: float = Field(0.05, ge=0, le=1)  # share of a table's rows that may be refused
    stages: list[Stage] = []
    tables: dict[str, TableMap]

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone of the IANA list, such as Europe/Moscow")
        return value

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        if value not in list_currencies():
            raise ValueError(f"{value!r} is not an ISO 4217 code, such as USD")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError(f"{value!r} is not an encoding, such as utf-8 or cp1251") from None
        return value

    @field_validator("dates")
    @classmethod
    def _whole_dates(cls, value: list[str]) -> list[str]:
        wrong = [p for p in value if p != "iso" and not all(re.search(part, p) for part in ("%[yY]", "%[mbB]", "%d"))]
        if wrong or not value:
            raise ValueError(f"{wrong}: write iso, or patterns with year, month and day, such as %d.%m.%Y")
        return value

    @field_validator("exported_on")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if value and not is_day(value):
            raise ValueError(f"{value!r}: write a day as 2026-10-31, or leave it out")
        return value

    @field_validator("stages")
    @classmethod
    def _each_stage_once(cls, value: list[Stage]) -> list[Stage]:
        names = [(stage.pipeline, stage.stage) for stage in value]
        twice = sorted({stage for pipeline, stage in names if names.count((pipeline, stage)) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: each stage once in its pipeline")
        return value

    @model_validator(mode="after")
    def _marks_differ(self):
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        return self

    @model_validator(mode="after")
    def _names_are_canonical(self):
        wrong = [f"tables.{name}: no such canonical table" for name in self.tables if name not in TABLES]
        for name, table in self.tables.items():
            if name not in TABLES:
                continue
            for part in ("columns", "constants", "values", "repairs", "blanks", "keep"):
                unknown = set(getattr(table, part)) - set(TABLES[name].names)
                wrong += [f"tables.{name}.{part}.{column}: no such column" for column in sorted(unknown)]
            wrong += [f"tables.{name}.{part}" for part in self._gaps(name, table)]
        if "deals" not in self.tables:
            wrong.append("tables.deals: missing; every source needs its deals")
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
        gaps += [f"stage_dates.{stage}: not in stages" for stage in table.stage_dates if known and stage not in known]
        if table.stage_dates and (name != "deals" or "stage" not in told):
            gaps.append("stage_dates: only for deals, and only where their stage is mapped")
        return gaps

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def minor_digits(self) -> int:
        """Decimal digits of the reporting currency: 2 for USD, 0 for JPY."""
        return get_currency_precision(self.currency)


def load(path: Path) -> Mapping:
    """Read and check a mapping.

    Raises
    ------
    BadInput
        With every problem of the file at once.
    """
    try:
        return Mapping(**yamlfile.load(path))
    except ValidationError as error:
        problems = []
        for one in error.errors():
            place = ".".join(str(part) for part in one["loc"])
            what = one["ctx"]["error"] if one["type"] == "value_error" else one["msg"]
            problems += [f"{place + ': ' if place else ''}{part}" for part in str(what).split("; ")]
            if one["type"] not in ("value_error", "missing", "extra_forbidden"):
                problems[-1] += f", got {printable(one['input'])!r}"
        raise BadInput(f"{path.name} is not a usable mapping", problems) from None
