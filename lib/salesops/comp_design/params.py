"""What the page of plans side by side can be told."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from salesops import settings
from salesops.settings import option

NAMES = r"^([a-z0-9_]+( *, *[a-z0-9_]+)*)?$"


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at", "amount", "rep_id"), "reps": (), "quotas": ("amount",)}
    files: ClassVar[Mapping[str, str]] = {"plan": "params/plans/{}.*yml", "against": "params/plans/{}.*yml"}

    plan: str = option("the plan that holds, a file of params/plans", pattern=r"^[a-z0-9_]+$")
    against: str = option("plans to be compared with it, as one, other; blank is none", pattern=NAMES)
    role: str = option("reps of this role are on the plan; blank is all")
    budget: float = option(
        "P90 of what a year may cost, with the change of base pay; 0 is what the plan that holds costs", ge=0
    )
    effort: float = option(
        "how sales answer what the next sale pays: 0.1 is 7% more for twice the pay; 0 is not at all", ge=0, le=1
    )
    n_best: int = option("plans that are looked for; 0 is none", unit="plans", ge=0, le=6)
    most_losers: float = option("share of reps who may earn less than now, of plans that are looked for", ge=0, le=1)
    pay_mix: float = option("variable pay as a share of all, of plans that are looked for; 0 is as now", ge=0, le=0.9)
    n_years: int = option("years that are drawn", unit="years", ge=500, le=100_000)
    seed: int = option("where the random numbers begin", ge=0, le=2**31 - 1)
    min_group: int = option("fewer reps than this are not shown as a group of their own", unit="reps", ge=2, le=50)

    @model_validator(mode="after")
    def _is_of_whole_people(self):
        if self.region or self.team:
            raise ValueError("region, team: pay is for all that a rep sold; leave both blank")
        if self.plan in self.others:
            raise ValueError(f"against: {self.plan} is the plan that holds; leave it out")
        return self

    @property
    def others(self) -> list[str]:
        return list(dict.fromkeys(name.strip() for name in self.against.split(",") if name.strip()))
