"""What the pipeline's page can be told: the two days, which deals count, how far back history is asked."""

from typing import ClassVar, Literal

from salesops import periods, settings
from salesops.crm.tables import UNBANDED
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("stage", "created_at")}

    span: Literal["quarter", "period"] = option(
        "what is looked at: the quarter that the period ends in, up to the end of the period; or the period itself"
    )
    opening_day: int = option(
        "the day of the span at whose end the bridge opens; 0 is the end of the day before", unit="day", ge=0, le=31
    )
    due: Literal["span", "all"] = option("deals expected to close in the span, or all open deals")
    slip_from: int = option(
        "a deal that leaves the span from this day of ninety on has slipped; before, it was pushed", ge=1, le=90
    )
    pipeline: str = option("the pipeline shown; blank is all of them together")
    segment_by: Literal[UNBANDED] = option("what to split by")
    quarters: int = option("earlier quarters that tell what coverage was needed", unit="quarters", ge=4, le=20)
    horizon_days: int = option("age after a push by which shares are told", unit="days", ge=1, le=3650)
    min_deals: int = option("fewer deals than this are too few for a rate", unit="deals", ge=5, le=10_000)
    listed: int = option("deals listed on the page", unit="deals", ge=0, le=200)

    @property
    def frame(self) -> periods.Period:
        """The span looked at, whole."""
        if self.span == "period":
            return self.reported
        return periods.quarter_of(self.reported.last_on, self.year_starts)
