"""What the page of ripening can be told."""

from typing import ClassVar, Literal

from pydantic import field_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {}  # deals, or leads

    what: Literal["deals", "leads"] = option(
        "what ripens: deals (from created to won) or leads (from came in to a deal)"
    )
    cohorts: Literal["month", "quarter"] = option("what was created in one month or quarter is a cohort")
    months: int = option("months of cohorts that are looked at", unit="months", ge=6, le=120)
    horizon_days: int = option(
        "age by which all is counted; 0 is when 98 of 100 had converted", unit="days", ge=0, le=3650
    )
    ages: str = option("ages at which cohorts are compared, as 30, 60, 90", unit="days")
    pipeline: str = option("only this pipeline; blank is the one with most deals")
    min_deals: int = option("fewer are too few for a rate", unit="deals", ge=5)
    n_draws: int = option("draws of what is to come", ge=200, le=10_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)

    @field_validator("ages")
    @classmethod
    def _are_days(cls, value: str) -> str:
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or any(not part.isdigit() or not 1 <= int(part) <= 3650 for part in parts):
            raise ValueError(f"{value!r}: write days from 1 to 3650, as 30, 60, 90")
        return ", ".join(str(age) for age in sorted({int(part) for part in parts}))

    @property
    def watched_ages(self) -> list[int]:
        return [int(part) for part in self.ages.split(",")]
