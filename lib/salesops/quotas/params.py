"""What the page of quotas can be told."""

import re
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from salesops import settings
from salesops.settings import option

MOST_HIRES = 10_000


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at", "amount", "rep_id"), "reps": (), "quotas": ("amount",)}
    files: ClassVar[Mapping[str, str]] = {"plan": "params/plans/{}.*yml"}

    plan: str = option("the plan the reps are on, a file of params/plans", pattern=r"^[a-z0-9_]+$")
    role: str = option("reps of this role are on the plan; blank is all")
    target: float = option("what the company is to book in the fiscal year; 0 is not known", ge=0)
    hires: str = option("new reps and the month of their first day, as 2026-11: 2, 2027-01: 1; blank is none")
    months_to_fill: int = option("from a rep's last day to the successor's first", unit="months", ge=0, le=24)
    names: Literal["yes", "no"] = option("whether seats are listed by name: yes or no")
    n_years: int = option("years that are drawn", unit="years", ge=500, le=100_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)
    min_group: int = option("fewer reps than this are not shown as a group of their own", unit="reps", ge=2, le=50)

    @field_validator("hires")
    @classmethod
    def _months_and_heads(cls, value: str) -> str:
        parts = [part.strip() for part in value.split(",") if part.strip()]
        wrong = [one for one in parts if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2]) *: *\d{1,5}", one)]
        if wrong:
            raise ValueError(f"{wrong[0]!r}: write a month and how many, as 2027-01: 2")
        if sum(int(one.split(":")[1]) for one in parts) > MOST_HIRES:
            raise ValueError(f"more than {MOST_HIRES:,} new reps")
        return value

    @model_validator(mode="after")
    def _is_of_whole_people(self):
        if self.region or self.team:
            raise ValueError("region, team: a quota is for all that a rep sells; leave both blank")
        return self

    @property
    def starting(self) -> dict[str, int]:
        """Month -> new reps."""
        found: dict[str, int] = {}
        for part in filter(None, map(str.strip, self.hires.split(","))):
            month, n = part.split(":")
            found[month.strip()] = found.get(month.strip(), 0) + int(n)
        return found
