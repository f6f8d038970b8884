"""What the funnel can be told: the months, what is compared, and every convention that changes a figure."""

from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from salesops import periods, settings
from salesops.crm.tables import DIMENSIONS
from salesops.settings import option

COMPARED = ("previous", "year_ago", "none")


class Params(settings.Params):
    needs: ClassVar = {"deals": ("stage", "created_at")}

    months: int = option(
        "deals of this many months up to the end of the period; 0 is the period itself",
        unit="months",
        ge=0,
        le=120,
    )
    compare_to: str = option(f"what to compare with: {', '.join(COMPARED)}, or a period")
    pipeline: str = option("the pipeline shown; blank is the one with most deals")
    segment_by: Literal[DIMENSIONS] = option("what to split by")
    horizon_days: int = option(
        "age at which shares are compared; 0 is the age by which nine of ten won deals were won",
        unit="days",
        ge=0,
        le=3650,
    )
    min_deals: int = option("fewer deals than this are too few for a rate", unit="deals", ge=5, le=10_000)
    cohort_by: Literal["entry", "active", "snapshot"] = option(
        "deals that entered the funnel in the months, were in it at any time in them, or stood in it at their end"
    )
    stage_rule: Literal["reached", "strict"] = option(
        "a stage counts if it was reached or passed, or only if it and all before it were really entered"
    )
    count_of: Literal["uniques", "totals"] = option("each deal once at a stage, or each of its visits")
    lost_date: Literal["transition", "close_date"] = option(
        "a lost deal closes when it was moved to lost, or on the closing day that the rep entered"
    )
    accepted_stage: int = option("a deal enters the funnel with this stage", unit="stage", ge=1, le=50)
    exclude_reasons: str = option("deals lost for one of these reasons are left out, separated by commas")
    exclude_amounts: Literal["none", "zero"] = option("leave out deals of an amount of zero or below, or none")
    sizes: str = option("amounts that part deals into bands of size, separated by commas; blank: thirds")

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of loss that are left out, in lower case."""
        return tuple(one.strip().casefold() for one in self.exclude_reasons.split(",") if one.strip())

    @property
    def edges(self) -> tuple[float, ...]:
        """The limits of the bands of size; empty where thirds are asked for."""
        return tuple(float(one) for one in self.sizes.split(",")) if self.sizes.strip() else ()

    @field_validator("sizes")
    @classmethod
    def _rises(cls, value: str) -> str:
        try:
            edges = [float(one) for one in value.split(",")] if value.strip() else []
        except ValueError:
            edges = [1, 0]
        if edges != sorted(set(edges)) or not all(0 < edge < 1e15 for edge in edges) or len(edges) > 7:
            raise ValueError(f"{value!r}: write up to seven rising amounts above zero, as 10000, 50000")
        return value

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
    def _fits_together(self):
        if self.versus and self.versus.last_on >= self.window.first_on:
            spans = f"{self.versus.name} must end before {self.window.name} begins"
            raise ValueError(f"compare_to {self.compare_to}: {spans}; previous always does")
        if self.count_of == "totals" and self.stage_rule == "strict":
            raise ValueError("stage_rule strict asks what one deal did; with count_of totals write reached")
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
