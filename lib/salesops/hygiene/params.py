"""What the hygiene of the records can be told: its rules are parameters, and their values are the weights."""

from typing import ClassVar

from pydantic import field_validator

from salesops import periods, settings, workdays
from salesops.crm.tables import RULES, TABLES
from salesops.settings import option

REQUIRABLE = tuple(name for name in TABLES["deals"].names if name not in ("deal_id", "status", "currency", "closed_at"))


def weight(rule: str):
    """The weight of a rule in the score, from 0, which leaves it out, to 10."""
    return option(f"weight of the rule: {rule}", unit="weight", ge=0, le=10)


class Params(settings.Params):
    needs: ClassVar = {"deals": ("stage",)}

    months: int = option("month ends at which the score is shown, the last of them in the period", ge=1, le=36)
    rep: str = option("only deals that this rep owns, by id; blank is all")
    close_past: int = weight("open, and the day it was expected to close is over")
    no_next_step: int = weight("open, without a next step")
    untouched: int = weight("open, and nothing happened for longer than the days below")
    no_amount: int = weight("open in the stage below or later, with an amount of zero or none")
    pushed: int = weight("open, its closing day moved to a later month more often than below")
    probability_unlike: int = weight("open, its chance of winning unlike its stage's")
    owner_gone: int = weight("open, its owner has left or is not known")
    duplicate: int = weight("open, as another open deal of the same account is called")
    no_reason: int = weight("lost in the period without a reason")
    won_before_created: int = weight("closed in the period, before it was created")
    skipped: int = weight("went over a stage; open, or closed in the period")
    missing: int = weight("a field below is blank; open, or closed in the period")
    untouched_days: int = option(
        "days without activity or change after which a deal is untouched", unit="days", ge=1, le=365
    )
    calendar: str = option("country whose working days are counted so, as RU, US or DE-BY; blank: every day counts")
    amount_from: int = option("stage, from 1, from which a deal needs an amount", unit="stage", ge=1, le=50)
    most_pushes: int = option("times a closing day may move to a later month", ge=0, le=50)
    chance_gap: float = option("a chance further from its stage's than this is unlike it", unit="share", ge=0, le=1)
    similarity: int = option("names as alike as this are the same", unit="0 to 100", ge=50, le=100)
    required: str = option("fields of deals that must be filled, separated by commas; blank is none")
    link: str = option("address of a deal in the CRM, with {deal_id}; blank is none")
    listed: int = option("deals listed on the page, those worth most to mend first", unit="deals", ge=1, le=1000)
    min_deals: int = option("fewer deals than this are too few for a share", unit="deals", ge=5, le=10_000)

    @field_validator("required")
    @classmethod
    def _are_fields_of_deals(cls, value: str) -> str:
        unknown = [name for name in _names(value) if name not in REQUIRABLE]
        if unknown:
            raise ValueError(f"{', '.join(map(repr, unknown))}: allowed are {', '.join(REQUIRABLE)}")
        return value

    @field_validator("calendar")
    @classmethod
    def _has_a_calendar(cls, value: str) -> str:
        return workdays.checked(value)

    @field_validator("link")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and not (value.startswith(("https://", "http://")) and "{deal_id}" in value):
            raise ValueError(f"{value!r}: write an address such as https://crm.example/deals/{{deal_id}}")
        return value

    @property
    def required_fields(self) -> list[str]:
        return _names(self.required)

    @property
    def weights(self) -> dict[str, int]:
        """Rule -> its weight, of those that count."""
        return {name: getattr(self, name) for name in RULES if getattr(self, name)}

    @property
    def month_ends(self) -> list[periods.Period]:
        """The months at whose ends the score is shown, in order."""
        last = self.reported.last_on.replace(day=1)
        firsts = [periods.add_months(last, k + 1 - self.months) for k in range(self.months)]
        return [periods.parse(f"{first:%Y-%m}") for first in firsts]


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
