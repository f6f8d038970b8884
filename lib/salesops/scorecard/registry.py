"""The metrics that are shown: what each is called, means, is compared with; read from a file and checked whole."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from salesops import lang, yamlfile
from salesops.problems import BadInput, explain, printable

Unit = Literal["share", "money", "count", "days", "hours", "times"]


class Formula(NamedTuple):
    """A sum of columns of `counts.read`, over another where there is one; `rate` where both are counts of cases, so
    that the share has an interval. `by`: month, or quota (periods that quotas are set for), or window (all its months
    together). known : how many of the cases have what is summed, and how many there are; a sum of too few of them is
    absent. additive : the groups' values add up to the company's."""

    unit: Unit
    over: tuple[str, ...]
    under: tuple[str, ...] = ()
    rate: bool = False
    by: Literal["month", "quota", "window"] = "month"
    known: tuple[str, str] | None = None

    @property
    def additive(self) -> bool:
        return not self.under and self.by == "month"


MOST_SHARE = {True: 1.0, False: 5.0}  # of a target: of shares of cases, and of those that can be more than all

FORMULAS: dict[str, Formula] = {
    "bookings": Formula("money", ("won",), known=("n_priced", "n_won")),
    "n_won": Formula("count", ("n_won",)),
    "win_rate": Formula("share", ("n_won",), ("n_won", "n_lost"), rate=True),
    "win_rate_by_value": Formula("share", ("won",), ("won", "lost_amount")),
    "cycle_mean": Formula("days", ("cycle_days",), ("n_cycled",)),
    "deal_size_won": Formula("money", ("won",), ("n_priced",), known=("n_priced", "n_won")),
    "deal_size_open": Formula("money", ("open",), ("n_open_priced",), known=("n_open_priced", "n_open")),
    "pipeline_open": Formula("money", ("open",), known=("n_open_priced", "n_open")),
    "pipeline_weighted": Formula("money", ("weighted",), known=("n_weighted", "n_open")),
    "pipeline_created": Formula("money", ("created",), known=("n_created_priced", "n_created")),
    "n_created": Formula("count", ("n_created",)),
    "pipeline_yield": Formula("share", ("won",), ("open_before", "created"), known=("n_created_priced", "n_created")),
    "coverage": Formula("times", ("open",), ("to_book",), known=("n_open_priced", "n_open")),
    "velocity": Formula("money", ("velocity",), ("one",)),
    "stage_conversion": Formula("share", ("n_moved",), ("n_left",), rate=True),
    "time_selling": Formula("share", ("sold_seconds",), ("work_seconds",)),
    "meetings": Formula("count", ("n_first",), ("work_days",)),
    "meetings_held": Formula("share", ("n_meetings",), ("n_meetings", "n_absent"), rate=True),
    "lead_sla": Formula("share", ("n_answered",), ("n_answered", "n_late"), rate=True),
    "discount": Formula("share", ("given",), ("listed",)),
    "new_share": Formula("share", ("won_new",), ("won_new", "won_again")),
    "nrr": Formula("share", ("now",), ("then",)),
    "grr": Formula("share", ("kept",), ("then",)),
    "hygiene": Formula("share", ("in_order",), ("asked",)),
    "capacity": Formula("money", ("capacity",), ("one",)),
    "quota_achievement": Formula("share", ("n_at_quota",), ("n_carriers",), rate=True, by="quota"),
    "quota_achievement_ramped": Formula("share", ("n_ramped_at_quota",), ("n_ramped",), rate=True, by="quota"),
    "attainment": Formula("share", ("booked",), ("quota",), by="quota"),
    "attainment_median": Formula("share", ("median",), ("one",), by="quota"),
    "attainment_p25": Formula("share", ("p25",), ("one",), by="quota"),
    "attainment_p75": Formula("share", ("p75",), ("one",), by="quota"),
    "forecast_accuracy": Formula("share", ("called_right",), ("actual",), by="quota"),
    "forecast_bias": Formula("share", ("called_over",), ("actual",), by="quota"),
    "cycle_median": Formula("days", ("cycle_days",), by="window"),
    "cycle_censored": Formula("days", ("cycle_days",), by="window"),
    "deal_size_open_median": Formula("money", ("open",), by="window"),
    "lead_response_median": Formula("hours", ("n_answered",), by="window"),
    "lead_response_p95": Formula("hours", ("n_answered",), by="window"),
}


class Target(BaseModel):
    """A number in the metric's unit, and who set it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    source: str = Field(min_length=1, max_length=120)


class Metric(BaseModel):
    """One entry of the registry.

    better : whether more of it is good. growing : it is expected to follow a straight line, around which it varies.
    signal : its series is watched for signals. against : what it is compared with. digits : decimals shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Mapping[str, str]
    definition: Mapping[str, str]
    formula: str
    unit: Unit
    better: Literal["up", "down", "neither"]
    against: Literal["month_before", "year_ago", "period_before", "none"]
    digits: int = Field(ge=0, le=4)
    growing: bool = False
    signal: bool = True
    tile: bool = False
    target: Target | None = None

    @property
    def of(self) -> Formula:
        return FORMULAS[self.formula]

    @property
    def called(self) -> str:
        return self.name[lang.current()]

    @property
    def meaning(self) -> str:
        return self.definition[lang.current()]


def read(path: Path) -> dict[str, Metric]:
    """The metrics of a file by their keys, in its order.

    Raises
    ------
    BadInput
        With every entry that cannot be used: an unknown formula, another unit than its formula's, a name or definition
        that is missing in a language.
    """
    said = yamlfile.load(path)
    found, problems = {}, []
    for key, entry in said.items():
        try:
            metric = Metric(**entry) if isinstance(entry, dict) else None
        except ValidationError as error:
            problems += [f"{printable(key)}: {explain(one)}" for one in error.errors()]
            continue
        if metric is None:
            problems.append(f"{printable(key)}: expected lines of the form `name: value`")
        elif metric.formula not in FORMULAS:
            near = difflib.get_close_matches(metric.formula, FORMULAS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            allowed = f"allowed: {', '.join(FORMULAS)}"
            problems.append(f"{printable(key)}: formula: {printable(metric.formula)!r}, {hint}{allowed}")
        else:
            problems += _unlike(key, metric)
            found[key] = metric
    if not said:
        problems.append("no metric stands in it")
    if problems:
        raise BadInput(f"{path} cannot be used", problems)
    return found


def _unlike(key: str, metric: Metric) -> list[str]:
    problems = []
    if metric.unit != metric.of.unit:
        problems.append(f"{key}: unit: {metric.formula} is told in {metric.of.unit}, got {metric.unit!r}")
    for name in ("name", "definition"):
        given = getattr(metric, name)
        wrong = [one for one in lang.LANGUAGES if not given.get(one, "").strip()]
        wrong += [one for one in given if one not in lang.LANGUAGES]
        problems += [f"{key}: {name}: {printable(one)}: needed are {', '.join(lang.LANGUAGES)}" for one in wrong]
    if metric.of.by == "window" and metric.against != "none":
        problems.append(f"{key}: against: told for all months together, write none")
    most = MOST_SHARE[metric.of.rate]
    if metric.target is not None and metric.unit == "share" and not -most <= metric.target.value <= most:
        problems.append(f"{key}: target: value: a share, as 0.25 for 25%, got {metric.target.value:g}")
    return problems
