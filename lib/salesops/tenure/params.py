"""What the page of tenure can be told."""

from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"subscriptions": ("subscription_id",)}

    split_by: Literal["none", "plan", "segment", "region", "industry", "country"] = option(
        "what contracts are compared by: none, plan, segment, region, industry or country"
    )
    ages: str = option("tenures at which they are compared, as 12, 24", unit="months")
    horizon_months: int = option("how far ahead a customer's stay is projected", unit="months", ge=1, le=120)
    min_customers: int = option("fewer contracts are too few for a rate", unit="contracts", ge=5)
    n_draws: int = option("draws of the projection", ge=200, le=5_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)

    @field_validator("ages")
    @classmethod
    def _are_months(cls, value: str) -> str:
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or any(not part.isdigit() or not 1 <= int(part) <= 600 for part in parts):
            raise ValueError(f"{value!r}: write months from 1 to 600, as 12, 24")
        return ", ".join(str(age) for age in sorted({int(part) for part in parts}))

    @model_validator(mode="after")
    def _is_of_whole_customers(self):
        if self.region or self.team:
            raise ValueError("region, team: contracts belong to accounts, not to deals; leave both blank, use split_by")
        return self

    @property
    def watched_ages(self) -> list[int]:
        return [int(part) for part in self.ages.split(",")]
