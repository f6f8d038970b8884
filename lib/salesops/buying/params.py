"""What the page of repeat buying can be told."""

from typing import ClassVar, Literal

from pydantic import model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {}  # purchases, or deals that were won

    cohorts: Literal["month", "quarter", "year"] = option(
        "customers who first bought in one month, quarter or year are a cohort"
    )
    horizon_months: int = option("how far ahead is projected", unit="months", ge=1, le=60)
    margin: float = option("share of what is bought that a customer's value counts; 1 is revenue", gt=0, le=1)
    discount: float = option("what a year makes money to come worth less by", ge=0, le=1)
    dormant_below: float = option("below this chance of still being a customer one is dormant", gt=0, lt=1)
    silence_below: float = option("or below this chance that one who has not stopped is silent for so long", ge=0, lt=1)
    min_customers: int = option("fewer customers are too few for a rate", unit="customers", ge=5)
    n_draws: int = option("draws of what is to come", ge=200, le=5_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _is_of_whole_customers(self):
        if self.region or self.team:
            raise ValueError("region, team: purchases belong to accounts, not to deals; leave both blank")
        return self
