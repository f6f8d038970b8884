"""What is asked of the reader of the front page: a small file of the team's own, `params/asks.yml`."""

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from salesops import lang, periods, yamlfile
from salesops.problems import BadInput, explain, printable

FILE = "asks.yml"
MOST_OF_A_NAME = 80


class Ask(BaseModel):
    """what : in every language. owner : who is to decide or do it, a name or one in every language. due : the last day.
    about : a finding's id; blank is none. since : the first month it is shown. done : the month in which it was done;
    blank while open. source : shown on front pages of this source only; blank is any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: Mapping[str, str]
    owner: str | Mapping[str, str]
    due: str
    about: str = Field("", pattern=r"^(F-[0-9a-f]{6})?$")
    since: str
    done: str = ""
    source: str = ""

    @field_validator("what")
    @classmethod
    def _in_every_language(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if set(value) != set(lang.LANGUAGES) or not all(text.strip() for text in value.values()):
            raise ValueError(f"needed are {', '.join(lang.LANGUAGES)}")
        return value

    @field_validator("owner", mode="before")
    @classmethod
    def _names_somebody(cls, value):
        names = list(value.values()) if isinstance(value, Mapping) else [value]
        if isinstance(value, Mapping) and set(value) != set(lang.LANGUAGES):
            raise ValueError(f"needed are {', '.join(lang.LANGUAGES)}")
        if not all(isinstance(name, str) and 0 < len(name.strip()) <= MOST_OF_A_NAME for name in names):
            raise ValueError(f"write a name of 1 to {MOST_OF_A_NAME} letters, or one for each language")
        return value

    @field_validator("due")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if not periods.is_day(value):
            raise ValueError("write a day as 2026-11-15")
        return value

    @field_validator("since", "done")
    @classmethod
    def _is_a_month(cls, value: str) -> str:
        if value and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
            raise ValueError("write a month as 2026-10")
        return value

    @model_validator(mode="after")
    def _ends_after_it_began(self):
        if self.done and self.done < self.since:
            raise ValueError(f"done {self.done} is before since {self.since}")
        return self

    def owner_in(self, language: str) -> str:
        return self.owner if isinstance(self.owner, str) else self.owner[language]

    def stands_in(self, period: periods.Period) -> bool:
        """Whether it is open in a period, or was done in it."""
        begun = periods.parse(self.since).first_on <= period.last_on
        return begun and (not self.done or periods.parse(self.done).last_on >= period.first_on)

    def is_late(self, on: dt.date) -> bool:
        return not self.done and dt.date.fromisoformat(self.due) < on


def read(root: Path) -> list[Ask]:
    """The asks of a project; none where the file is not there.

    Raises
    ------
    BadInput
        With every entry that cannot be used.
    """
    path = root / "params" / FILE
    if not path.is_file():
        return []
    said, asks, problems = yamlfile.load(path), [], []
    unknown = set(said) - {"asks"}
    problems += [f"{printable(name)}: unknown, allowed: asks" for name in sorted(unknown)]
    entries = said.get("asks") or []
    if not isinstance(entries, list):
        raise BadInput(f"{path} cannot be used", ["asks: expected a list"])
    for number, entry in enumerate(entries, 1):
        try:
            asks.append(Ask(**entry) if isinstance(entry, dict) else Ask())
        except (ValidationError, TypeError) as error:
            found = error.errors() if isinstance(error, ValidationError) else []
            problems += [f"ask {number}: {explain(one)}" for one in found] or [
                f"ask {number}: expected lines of the form `name: value`"
            ]
    if problems:
        raise BadInput(f"{path} cannot be used", problems)
    return sorted(asks, key=lambda ask: (ask.due, ask.owner_in("en")))
