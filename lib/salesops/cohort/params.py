"""What the page of cohorts can be told."""

from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"revenue": ("month_on", "amount")}

    cohorts: Literal["month", "quarter", "year"] = option(
        "customers are one cohort that began in one month, quarter or year"
    )
    split_by: Literal["none", "segment", "region", "industry", "country", "plan", "product", "source"] = option(
        "customers are compared by none, segment, region, industry, country, plan, product or source"
    )
    ages: str = option("ages at which cohorts are compared, as 3, 6, 12", unit="months")
    event: str = option("month of an event, as 2026-01 (a rise of prices, a new onboarding); blank is none")
    event_for: str = option("cohort that it was for, as 2025-Q1 or 2025-03; blank is all")
    event_months: int = option("months before and after it that are compared", unit="months", ge=2, le=24)
    base: Literal["all", "renewing"] = option(
        "whose revenue of a year ago is looked at: all, or those renewing (a contract was up for renewal)"
    )
    escalators: Literal["in", "out"] = option("rises that the contract itself foresees: in or out")
    reactivation: Literal["in", "out"] = option("revenue of customers who had left and came back: in or out")
    horizon_months: int = option("how far ahead is projected", unit="months", ge=1, le=60)
    margin: float = option("share of revenue that a customer's value counts; 1 is revenue", gt=0, le=1)
    discount: float = option("what a year makes money to come worth less by", ge=0, le=1)
    min_customers: int = option("fewer customers are too few for a rate", unit="customers", ge=5)
    n_draws: int = option("draws of what is to come", ge=200, le=20_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)

    @field_validator("ages")
    @classmethod
    def _are_months(cls, value: str) -> str:
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or any(not part.isdigit() or not 1 <= int(part) <= 240 for part in parts):
            raise ValueError(f"{value!r}: write months from 1 to 240, as 3, 6, 12")
        return ", ".join(str(age) for age in sorted({int(part) for part in parts}))

    @field_validator("event", "event_for")
    @classmethod
    def _are_periods(cls, value: str, info) -> str:
        from salesops import periods

        if value:
            found = periods.parse(value)
            if info.field_name == "event" and found.n_months != 1:
                raise ValueError(f"{value!r}: write a month, as 2026-01")
        return value

    @model_validator(mode="after")
    def _is_of_whole_customers(self):
        if self.team:
            raise ValueError("team: revenue belongs to accounts, not to reps; leave it blank")
        if self.event_for and not self.event:
            raise ValueError("event_for: there is no event")
        return self

    @property
    def watched_ages(self) -> list[int]:
        return [int(part) for part in self.ages.split(",")]
