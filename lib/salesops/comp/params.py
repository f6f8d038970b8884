"""What the page of a compensation plan can be told."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at", "amount", "rep_id"), "reps": (), "quotas": ("amount",)}
    files: ClassVar[Mapping[str, str]] = {
        "plan": "params/plans/{}.*yml",
        "scores": "{}",
        "forecast": "{}/forecast-reps.parquet",
    }

    plan: str = option("the plan, a file of params/plans", pattern=r"^[a-z0-9_]+$")
    role: str = option("reps of this role are on the plan; blank is all")
    scores: str = option("a file of scores of people, from the project's folder, as data/mbo.csv; blank is none")
    forecast: str = option("a folder that salesops files wrote, from the project's; blank is none")
    margin: float = option("share of bookings that is left after its cost; 0 is not known", ge=0, le=1)
    budget: float = option("what a year of the plan may cost; 0 is not known", ge=0)
    n_years: int = option("years that are drawn", unit="years", ge=500, le=100_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)
    min_group: int = option("fewer reps than this are not shown as a group of their own", unit="reps", ge=2, le=50)

    @model_validator(mode="after")
    def _is_of_whole_people(self):
        if self.region or self.team:
            raise ValueError("region, team: pay is for all that a rep sold; leave both blank")
        return self
