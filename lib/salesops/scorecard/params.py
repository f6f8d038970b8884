"""What the scorecard can be told."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import field_validator, model_validator

from salesops import settings, workdays
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at",)}
    files: ClassVar[Mapping[str, str]] = {"metrics": "params/{}.yml", "rules": "params/{}.yml"}

    metrics: str = option("the metrics that are shown, a file of params", pattern=r"^[a-z0-9_.]+$")
    rules: str = option("the hygiene page's file, whose rules give the hygiene score", pattern=r"^[a-z0-9_.]+$")
    role: str = option("only quotas of reps of this role; blank is all")
    months: int = option("months of each series, the last of them in the period", unit="months", ge=6, le=60)
    window: int = option(
        "months that reps are compared over, the last of them in the period", unit="months", ge=1, le=36
    )
    false_discoveries: float = option("share of the signals said that may be due to chance", gt=0, le=0.2)
    near_target: float = option("how far below a target still counts as near it", unit="share", ge=0, lt=1)
    calendar: str = option("country whose working days are counted, as RU, US or DE-BY; blank: Monday to Friday")
    work_from: int = option("hour at which work begins", unit="hour", ge=0, le=23)
    work_to: int = option("hour at which work ends", unit="hour", ge=1, le=24)
    sla_hours: float = option("working hours within which a lead is to be answered", unit="hours", gt=0, le=1000)
    ramp_months: int = option("tenure at which a rep counts whole", unit="months", ge=0, le=36)
    min_cases: int = option("fewer cases are too few for a figure", unit="cases", ge=3, le=1000)

    @field_validator("calendar")
    @classmethod
    def _has_a_calendar(cls, value: str) -> str:
        return workdays.checked(value)

    @model_validator(mode="after")
    def _work_takes_time(self):
        if self.work_to <= self.work_from:
            raise ValueError(f"work_to {self.work_to}: work has to end after it begins, at {self.work_from}")
        return self

    def check_files(self, root: Path) -> None:
        from salesops.scorecard import registry

        registry.read(self.file("metrics", root))
