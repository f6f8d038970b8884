"""What the page of growth can be told."""

from typing import ClassVar

from pydantic import model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at", "amount")}

    months: int = option(
        "months compared with as many before, the last of them in the period", unit="months", ge=1, le=36
    )
    home: str = option("home region; blank is the largest of the months before")
    watched_months: int = option("months over which groups are watched for a stop", unit="months", ge=12, le=60)
    recent_months: int = option("of these the last ones, in which a group may have stopped growing", unit="months",
    ge=3,
                                le=36)  # fmt: skip
    most_of_one: float = option(
        "share of one customer, channel or rep from which on it is said", unit="share", gt=0, le=1
    )
    min_deals: int = option("fewer deals than this are too few", unit="deals", ge=5, le=10_000)

    @model_validator(mode="after")
    def _some_months_come_before(self):
        if self.recent_months > self.watched_months - 6:
            raise ValueError(
                f"recent_months {self.recent_months}: at least 6 of {self.watched_months} have to come before"
            )
        return self
