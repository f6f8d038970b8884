"""What the page of the ramp can be told."""

from typing import ClassVar, Literal

from pydantic import model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at", "amount", "rep_id"), "reps": ("hired_on",)}

    role: str = option("only reps of this role; blank is all")
    settled_months: int = option("tenure from which on a rep is one of the peers that newcomers are compared with",
                                 unit="months", ge=3, le=60)  # fmt: skip
    ramped_by: Literal["peers", "quota"] = option(
        "what ramped is told by: what peers book in the same months, or the rep's own quota"
    )
    ramped_share: float = option("share of it that a rep has to book to be ramped", gt=0, le=2)
    in_a_row: int = option("months in a row, taken together, in which it has to be reached", unit="months", ge=1, le=12)
    cost_a_month: float = option("what a rep costs a month; 0 is not known", ge=0)
    min_reps: int = option("fewer reps are too few for a mean", unit="reps", ge=3)

    @model_validator(mode="after")
    def _is_of_whole_reps(self):
        if self.region or self.team:
            raise ValueError("region, team: a rep's tenure is for all that a rep sells; leave both blank")
        return self
