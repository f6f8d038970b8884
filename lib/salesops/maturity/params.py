"""What the page of maturity can be told."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import field_validator, model_validator

from salesops import settings
from salesops.settings import option


class Params(settings.Params):
    needs: ClassVar = {"deals": ("closed_at",)}
    files: ClassVar[Mapping[str, str]] = {"stages": "params/{}.yml", "rules": "params/{}.yml"}

    stages: str = option("bands and checklist of the stages, a file of params", pattern=r"^[a-z0-9_.]+$")
    rules: str = option("the hygiene page's file, whose rules give the hygiene score", pattern=r"^[a-z0-9_.]+$")
    months: int = option("months that the evidence is taken from, the last of them in the period", unit="months", ge=3,
                         le=36)  # fmt: skip
    planned_mix: str = option("planned shares of products, summing to 100; blank is none")
    needed_share: float = option("share of the evidence that has to have reached a stage", gt=0.5, le=1)
    min_cases: int = option("fewer cases are too few for a figure", unit="cases", ge=3, le=1000)

    @field_validator("planned_mix")
    @classmethod
    def _is_a_mix(cls, value: str) -> str:
        _mix(value)
        return value

    @model_validator(mode="after")
    def _is_of_the_whole_company(self):
        if self.region or self.team:
            raise ValueError("region, team: a stage is that of the whole organisation; leave both blank")
        return self

    @property
    def mix(self) -> dict[str, float]:
        """Product -> planned share; empty where none is planned."""
        return _mix(self.planned_mix)

    def check_files(self, root: Path) -> None:
        from salesops.maturity import stages

        stages.read(self.file("stages", root))


def _mix(text: str) -> dict[str, float]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _space, share = part.rpartition(" ")
        try:
            found[name.strip()] = float(share.rstrip("%"))
        except ValueError:
            raise ValueError(f"{part!r}: write a product and its share, as Sensors 50") from None
        if not name.strip() or not 0 <= found[name.strip()] <= 100:
            raise ValueError(f"{part!r}: write a product and its share from 0 to 100, as Sensors 50")
    if found and not 99 <= sum(found.values()) <= 101:
        raise ValueError(f"{text!r}: the shares sum to {sum(found.values()):g}, they have to sum to 100")
    return {name: share / sum(found.values()) for name, share in found.items()}
