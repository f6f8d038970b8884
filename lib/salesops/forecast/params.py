"""What the forecast can be told: which deals, how far back it learns, how its record is kept."""

from typing import ClassVar, Literal

from pydantic import field_validator

from salesops import settings, workdays
from salesops.crm.tables import UNBANDED
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("stage", "created_at", "closed_at")}

    pipeline: str = option("the pipeline forecast; blank is all of them together")
    segment_by: Literal[UNBANDED] = option("what the chances of deals may depend on, besides stage, age and amount")
    unit: Literal["region", "team", "segment"] = option(
        "what totals are told by; a forecast for each sums to the whole"
    )
    target: float = option("amount to book in the quarter; 0 takes the quotas", ge=0)
    learn_quarters: int = option("quarters that chances are learnt from", unit="quarters", ge=2, le=40)
    record_quarters: int = option(
        "past quarters that are forecast again for the record, which chances and bands are corrected by",
        unit="quarters",
        ge=0,
        le=20,
    )
    n_draws: int = option("draws of the simulation", unit="draws", ge=1000, le=100_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)
    hours_a_deal: float = option(
        "hours that a rep needs for a deal from its first day to its last", unit="hours", gt=0, le=1000
    )
    hours_a_week: float = option("hours that a rep has for deals", unit="hours a week", gt=0, le=100)
    working_days: str = option(
        "country whose working days months are compared by, as RU, US or DE-BY; blank takes months as they are"
    )
    listed: int = option("deals listed on the page", unit="deals", ge=0, le=200)

    @field_validator("working_days")
    @classmethod
    def _is_a_calendar(cls, value: str) -> str:
        return workdays.checked(value)
