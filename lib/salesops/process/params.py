"""What the process page can be told."""

from typing import ClassVar, Literal

from salesops import periods, settings
from salesops.crm.tables import UNBANDED
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("stage", "created_at"), "changes": ()}

    months: int = option("deals created in this many months up to the end of the period", unit="months", ge=1, le=120)
    pipeline: str = option("the pipeline shown; blank is the one with most deals")
    match_by: Literal[UNBANDED] = option("what deals are matched on, beside stage, age and amount")
    horizon_days: int = option("days after a detour by which its price is told", unit="days", ge=7, le=365)
    variants: int = option("ways listed", unit="ways", ge=1, le=50)
    min_deals: int = option("fewer deals than this are too few for a share", unit="deals", ge=5, le=10_000)

    @property
    def window(self) -> periods.Period:
        """The months in which the deals shown were created."""
        return periods.trailing(self.reported, self.months)
