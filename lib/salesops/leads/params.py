"""What the leads' page can be told."""

from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from salesops import periods, settings, workdays
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"leads": ("created_at",)}

    months: int = option(
        "leads that came in in this many months up to the end of the period", unit="months", ge=1, le=120
    )
    split_by: Literal["none", "source", "campaign", "region"] = option("what to split by")
    horizon_days: int = option("days in which a lead becomes a deal, or is won", unit="days", ge=1, le=730)
    sla_hours: float = option("working hours in which a lead is to be answered", unit="hours", gt=0, le=1000)
    work_from: int = option("the hour at which a working day begins", unit="hour", ge=0, le=23)
    work_to: int = option("the hour at which it ends", unit="hour", ge=1, le=24)
    calendar: str = option("country whose working days count, as RU, US or DE-BY; blank: Monday to Friday")
    min_leads: int = option("fewer leads than this are too few for a share", unit="leads", ge=5, le=10_000)

    @field_validator("calendar")
    @classmethod
    def _is_a_calendar(cls, value: str) -> str:
        return workdays.checked(value)

    @model_validator(mode="after")
    def _works(self):
        if self.work_to <= self.work_from:
            raise ValueError(f"work_to {self.work_to}: must be after work_from {self.work_from}")
        return self

    @property
    def window(self) -> periods.Period:
        """The months in which the leads shown came in."""
        return periods.trailing(self.reported, self.months)
