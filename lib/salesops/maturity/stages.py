"""The stages of a sales organisation: where each evidence has to be for a stage, and what no data shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from salesops import lang, yamlfile
from salesops.problems import BadInput, explain, printable

STAGES = ("early", "efficiency", "scale")
EVIDENCE = ("forecast_error", "hygiene", "discipline", "concentration", "spread", "mix", "volume", "measured")
Texts = Mapping[str, str]


class Band(BaseModel):
    """From which value on an evidence is that of a stage. next : what to build to get there, by stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    efficiency: float
    scale: float
    better: Literal["up", "down"]
    next: Mapping[Literal["efficiency", "scale"], Texts]

    @model_validator(mode="after")
    def _rises(self):
        if (self.scale > self.efficiency) != (self.better == "up"):
            raise ValueError(f"scale {self.scale:g} has to be {self.better} from efficiency {self.efficiency:g}")
        if set(self.next) != {"efficiency", "scale"} or any(
            set(text) != set(lang.LANGUAGES) for text in self.next.values()
        ):
            raise ValueError(f"next: needed for efficiency and scale, each in {', '.join(lang.LANGUAGES)}")
        return self

    def stage(self, value: float) -> int:
        """0 early, 1 efficiency, 2 scale."""
        sign = 1 if self.better == "up" else -1
        return sum(sign * value >= sign * edge for edge in (self.efficiency, self.scale))


class Item(BaseModel):
    """What the team answers for itself: whether something of a stage is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: Texts
    stage: Literal["early", "efficiency", "scale"]
    done: Literal[True, False, "unknown"]

    @field_validator("what")
    @classmethod
    def _in_every_language(cls, value: Texts) -> Texts:
        if set(value) != set(lang.LANGUAGES):
            raise ValueError(f"needed are {', '.join(lang.LANGUAGES)}")
        return value


class Stages(BaseModel):
    """The file: a band for each evidence, and the checklist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evidence: Mapping[str, Band]
    checklist: list[Item]

    @field_validator("evidence")
    @classmethod
    def _is_known(cls, value: Mapping[str, Band]) -> Mapping[str, Band]:
        if unknown := [name for name in value if name not in EVIDENCE]:
            raise ValueError(f"{', '.join(map(printable, unknown))}: allowed are {', '.join(EVIDENCE)}")
        return value


def read(path: Path) -> Stages:
    """The stages of a file.

    Raises
    ------
    BadInput
        With every entry that cannot be used.
    """
    try:
        return Stages(**yamlfile.load(path))
    except ValidationError as error:
        raise BadInput(f"{path} cannot be used", [explain(one) for one in error.errors()]) from None
