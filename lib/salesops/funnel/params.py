"""What the funnel can be told."""

from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from salesops import periods, settings
from salesops.crm.tables import DIMENSIONS
from salesops.settings import option

COMPARED = ("previous", "year_ago", "none")


class Params(settings.Params):
    needs: ClassVar = {"deals": ("stage", "created_at")}

    months: int = option(
        "deals created in this many months up to the end of the period; 0 is the period itself",
        unit="months",
        ge=0,
        le=120,
    )
    compare_to: str = option(f"what to compare with: {', '.join(COMPARED)}, or a period")
    pipeline: str = option("the pipeline shown; blank is the one with most deals")
    segment_by: Literal[DIMENSIONS] = option("what to split by")
    horizon_days: int = option("age at which shares are compared", unit="days", ge=1, le=3650)
    min_deals: int = option("fewer deals than this are too few for a rate", unit="deals", ge=5, le=10_000)

    @field_validator("compare_to")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in COMPARED:
            try:
                periods.parse(value)
            except ValueError:
                raise ValueError(f"{value!r}: write {', '.join(COMPARED)}, or {periods.FORMS}") from None
        return value

    @model_validator(mode="after")
    def _compares_with_earlier_months(self):
        if self.versus and self.versus.last_on >= self.window.first_on:
            spans = f"{self.versus.name} must end before {self.window.name} begins"
            raise ValueError(f"compare_to {self.compare_to}: {spans}; previous always does")
        return self

    @property
    def window(self) -> periods.Period:
        """The months in which the deals shown were created."""
        return periods.trailing(self.reported, self.months)

    @property
    def versus(self) -> periods.Period | None:
        """The months compared with, or None."""
        match self.compare_to:
            case "none":
                return None
            case "previous":
                return periods.before(self.window)
            case "year_ago":
                return periods.year_ago(self.window)
            case named:
                return periods.parse(named, year_starts=self.year_starts)
