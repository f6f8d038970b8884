"""Parameters as typed, checked data: what may be set, with meaning, unit and limits.

A schema has no defaults: it says *what*, the parameter file says *which*, and the notebook's own
parameters cell holds the values for opening it by hand. A test keeps the three in step.
"""

import datetime as dt
import difflib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from salesops import periods, project
from salesops.crm.tables import VAT
from salesops.problems import BadInput, printable


def option(meaning: str, *, unit: str = "", **limits):
    """A parameter of an analysis: its meaning, its unit, and pydantic's limits (ge, le, pattern, ...)."""
    return Field(description=meaning, json_schema_extra={"unit": unit}, **limits)


class Params(BaseModel):
    """What every analysis can be told. Subclasses add their own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "deals": ()
    }  # tables and columns without which nothing can be said
    files: ClassVar[Mapping[str, str]] = {}  # parameters that name a file of the project, and where it is

    source: str = option("the book: sample, a mapping's name with its folder, or a folder", min_length=1)
    period: str = option(f"the period reported: {periods.FORMS}")
    as_of: str = option("the last day known, as 2026-10-31; blank is the last day of the period")
    year_starts: int = option("first month of the fiscal year", unit="month, 1 to 12", ge=1, le=12)
    lang: str = option("language of the page: en or ru", pattern="^(en|ru)$")
    region: str = option("only deals of this region; blank is all")
    team: str = option("only deals of this team; blank is all")
    vat: Literal[VAT] = option("amounts as the source gives them, with VAT (in) or without it (out)")

    @classmethod
    def check(cls, values: Mapping[str, object], *, where: str):
        """The checked parameters.

        Raises
        ------
        BadInput
            With every unknown name, missing name, wrong type and broken limit at once.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            problems = [_explain(cls, one) for one in error.errors()]
            raise BadInput(f"{where}: parameters cannot be used", problems) from None

    def file(self, name: str, root: Path | None = None) -> Path:
        """The file of a project that a parameter of `files` names."""
        return (root or project.root()) / self.files[name].format(getattr(self, name))

    def check_files(self, root: Path) -> None:
        """Read the files of the team's own that the parameters name, before anything runs; none here.

        Raises
        ------
        BadInput
            With every entry that cannot be used.
        """

    @field_validator("period", mode="before")
    @classmethod
    def _a_year_is_text(cls, value):
        return str(value) if type(value) is int else value

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value):
        if isinstance(value, bool):
            raise ValueError(f"{str(value).lower()} is neither text nor a number")
        return value

    @field_validator("as_of")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if value and not periods.is_day(value):
            raise ValueError(f"{value!r}: write a day as 2026-10-31, or leave it blank")
        return value

    @field_validator("period")
    @classmethod
    def _is_a_period(cls, value: str) -> str:
        return periods.parse(value).name

    @model_validator(mode="after")
    def _known_in_time(self):
        if self.as_of and self.last_known_on < self.reported.first_on:
            raise ValueError(f"as_of {self.as_of} is before the period {self.period} begins")
        return self

    @cached_property
    def reported(self) -> periods.Period:
        return periods.parse(self.period, year_starts=self.year_starts)

    @property
    def book(self) -> dict:
        """What `crm.open` is told."""
        return {
            "source": self.source,
            "as_of": self.last_known_on,
            "region": self.region,
            "team": self.team,
            "vat": self.vat,
        }

    @property
    def last_known_on(self) -> dt.date:
        """The last day whose end the report knows."""
        return dt.date.fromisoformat(self.as_of) if self.as_of else self.reported.last_on


def _explain(schema: type[Params], error: dict) -> str:
    name = ".".join(str(part) for part in error["loc"])
    came = printable(error["input"])
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(name, schema.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(schema.model_fields)}"
            return f"{printable(name)}: unknown, {hint}"
        case "missing":
            return f"{name}: missing ({schema.model_fields[name].description})"
        case "value_error":
            return f"{name + ': ' if name else ''}{error['ctx']['error']}"
        case "string_type":
            return f"{name}: expected text, got {came!r} (put it in quotes)"
        case _:
            meaning = schema.model_fields[name].description if name in schema.model_fields else ""
            return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, got {came!r} ({meaning})"
