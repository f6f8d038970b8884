"""A compensation plan as it stands in `params/plans/<name>.yml`: typed data, read and checked whole, no code in it.

Shares are written as 6% or 0.06, money and units as plain numbers. Everything is kept as exact fractions.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from salesops import periods, workdays, yamlfile
from salesops.problems import BadInput, printable

MEASURES = ("bookings", "revenue", "margin", "units", "score")
SPANS = {"month": 1, "quarter": 3, "half": 6, "year": 12}
CREDITS = ("direct", "overlay", "override")
EXPENSIVE = Fraction(5)  # a rate above this share of what is credited is taken for a slip
LARGEST = 10**15
LONGEST = 40  # characters of a number


def _number(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value != value:
        raise ValueError("is no number")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"is beyond {LARGEST:,}")
    text = str(value).strip().replace("_", "")
    if len(text) > LONGEST or re.search(r"[eE][-+]?\d{3}", text):
        raise ValueError("is no number that pay is reckoned with")
    share = text.endswith("%")
    try:
        found = Fraction(text[:-1].strip() if share else text)
    except (ValueError, ZeroDivisionError):
        raise ValueError("is no number: write 6%, 0.06 or 150000") from None
    if abs(found) > LARGEST:
        raise ValueError(f"is beyond {LARGEST:,}")
    return found / 100 if share else found


def _positive(value: object) -> Fraction:
    if (found := _number(value)) < 0:
        raise ValueError("must not be below 0")
    return found


def _rate(value: object) -> Fraction:
    if (found := _positive(value)) > EXPENSIVE:
        raise ValueError(f"would be {float(found):.0%}: write 6% or 0.06")
    return found


def _worth(value: object) -> Fraction:
    if (found := _positive(value)) == 0:
        raise ValueError("must be above 0")
    return found


def _part(value: object) -> Fraction:
    if (found := _positive(value)) > 1:
        raise ValueError("must not be above 100%")
    return found


def _day(value: object) -> dt.date:
    if not isinstance(value, str) or not periods.is_day(value):
        raise ValueError("is no day: write 2026-10-31")
    return dt.date.fromisoformat(value)


class Limit(NamedTuple):
    """An amount of money, or a share of the target pay of the span it limits."""

    value: Fraction
    of_target: bool

    def of(self, target: Fraction) -> Fraction:
        return self.value * target if self.of_target else self.value


def _limit(value: object) -> Limit:
    if (found := _positive(value)) == 0:
        raise ValueError("must be above 0")
    return Limit(found, isinstance(value, str) and value.strip().endswith("%"))


Number = Annotated[Fraction, BeforeValidator(_positive)]
Rate = Annotated[Fraction, BeforeValidator(_rate)]
Day = Annotated[dt.date, BeforeValidator(_day)]
Cap = Annotated[Limit, BeforeValidator(_limit)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Only = dict[Name, list[Name]]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Band(Part):
    """From where on, and one of: `rate` (of what is credited), `pays` (share of the target pay; marginal: for each
    share of the quota), `amount` (money), `times` (of a multiplier)."""

    start: Number = Field(alias="from")
    rate: Rate | None = None
    pays: Number | None = None
    amount: Number | None = None
    times: Number | None = None

    @property
    def kind(self) -> str:
        return next(name for name in ("rate", "pays", "amount", "times") if getattr(self, name) is not None)

    @property
    def value(self) -> Fraction:
        return getattr(self, self.kind)

    @model_validator(mode="after")
    def _one_thing(self):
        given = [name for name in ("rate", "pays", "amount", "times") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a band has one of rate, pays, amount or times, got {', '.join(given) or 'none'}")
        return self


def _rising(bands: tuple[Band, ...]) -> None:
    starts = [band.start for band in bands]
    if any(one >= other for one, other in zip(starts, starts[1:], strict=False)):
        raise ValueError("bands overlap or stand out of order: each must begin above the one before")
    if len({band.kind for band in bands}) > 1:
        raise ValueError("bands must all be of one kind: rate, pays, amount or times")


class Table(Part):
    """How much is paid. by : bands are shares of the quota (attainment) or of what is credited (amount). way :
    marginal pays each band its own, whole pays all at the band reached. between : step, or linear from band to band
    (of a whole one)."""

    by: Literal["attainment", "amount"]
    way: Literal["marginal", "whole"]
    between: Literal["step", "linear"] = "step"
    bands: tuple[Band, ...] = Field(min_length=1, max_length=50)

    @property
    def kind(self) -> str:
        return self.bands[0].kind

    @model_validator(mode="after")
    def _makes_sense(self):
        _rising(self.bands)
        if self.kind == "times":
            raise ValueError("`times` belongs to a multiplier; a table has rate, pays or amount")
        if self.between == "linear" and (self.way == "marginal" or len(self.bands) < 2):
            raise ValueError("`between: linear` needs `way: whole` and two bands or more")
        if self.way == "marginal" and self.kind == "amount":
            raise ValueError("`amount` is paid whole: write `way: whole`")
        if self.way == "marginal" and self.kind == "pays" and self.by == "amount":
            raise ValueError("`pays` in marginal bands is for each share of the quota: write `by: attainment`")
        return self


class Caps(Part):
    """The most that is paid for a deal, a period, a year: money, or a share of the target pay (200%)."""

    deal: Cap | None = None
    period: Cap | None = None
    year: Cap | None = None

    @model_validator(mode="after")
    def _not_of_a_deal(self):
        if self.deal is not None and self.deal.of_target:
            raise ValueError("a cap on a deal is an amount of money")
        return self


class Gate(Part):
    """Pays only where another component is attained by so much, in the same period or the year to date."""

    of: Name
    at_least: Number
    otherwise: Literal["nothing", "first_band"] = "nothing"


class Multiplier(Part):
    """Times what is paid, by the attainment of another component: the band reached."""

    of: Name
    bands: tuple[Band, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _makes_sense(self):
        _rising(self.bands)
        if self.bands[0].kind != "times":
            raise ValueError("bands of a multiplier have `times`")
        return self


class Windfall(Part):
    """What becomes of the credit of one deal above `over`: not counted (cap); paid at the rate reached without it and
    left out of attainment (carve_out); or counted, and what it earns paid in so many equal `months` (schedule)."""

    over: Number
    way: Literal["cap", "carve_out", "schedule"]
    months: int | None = Field(default=None, ge=2, le=60)

    @model_validator(mode="after")
    def _months_of_a_schedule(self):
        if (self.way == "schedule") != (self.months is not None):
            raise ValueError("`months` goes with `way: schedule`, and that with `months`")
        return self


class Choice(Part):
    """What of the credits is meant. only : fact -> the values that count. all_but : fact -> the values that do not; a
    credit that lacks the fact counts as none of them."""

    only: Only = Field(default_factory=dict)
    all_but: Only = Field(default_factory=dict)

    @property
    def facts(self) -> set[str]:
        """The names of the facts that it looks at."""
        return set(self.only) | set(self.all_but)

    def takes(self, facts: Mapping[str, str]) -> bool:
        """Whether a credit with such facts is meant."""
        return all(facts.get(name) in values for name, values in self.only.items()) and not any(
            facts.get(name) in values for name, values in self.all_but.items()
        )


class Component(Choice):
    """One thing that is paid for.

    measure : what of a credit counts; one of `MEASURES`, or another column as `column:name`. period : what is measured
    and paid together; `deal` takes each on its own. to_date : the year up to the period is measured, and what was paid
    before is taken off (true-up); that is no single deal's, so it goes with no hold, and of clawbacks with `rerun`.
    weight : share of the target variable pay. accelerates_after : share of the year's quota to be reached in the year
    to date before bands above the first count.
    """

    name: Name
    measure: str
    credits: tuple[Literal[CREDITS], ...] = ("direct", "overlay")
    period: Literal["deal", "month", "quarter", "half", "year"]
    to_date: bool = False
    weight: Rate = Fraction(0)
    table: Table
    threshold: Number | None = None
    accelerates_after: Number | None = None
    gate: Gate | None = None
    multiplier: Multiplier | None = None
    cap: Caps = Caps()
    windfall: Windfall | None = None

    @property
    def months(self) -> int:
        """Of what is measured and paid for together: the year where it is measured to date; a month of single deals."""
        return 12 if self.to_date else SPANS.get(self.period, 1)

    @property
    def needs_quota(self) -> bool:
        return self.table.by == "attainment" or self.threshold is not None or self.accelerates_after is not None

    @model_validator(mode="after")
    def _makes_sense(self):
        known = self.measure in MEASURES or re.fullmatch(r"column:\w+", self.measure)
        said = [] if known else [f"measure {printable(self.measure)!r} is unknown: {', '.join(MEASURES)}, column:name"]
        if self.period == "deal" and (self.cap.period is not None or self.cap.year is not None):
            said.append("`period: deal` is capped by the deal only")
        if self.period == "deal" and self.table.kind == "pays":
            said.append("`period: deal` pays a rate or an amount: a deal has no target pay")
        if self.windfall is not None and self.windfall.way == "schedule" and self.to_date:
            said.append("a windfall's schedule is of single deals, which `to_date` is not")
        if self.windfall is not None and self.table.between == "linear":
            said.append("a windfall needs bands in steps")
        if not self.credits or not all(self.only.values()):
            said.append("`credits` and each of `only` name at least one: nothing is ever paid otherwise")
        if not all(self.all_but.values()):
            said.append("each of `all_but` names at least one")
        if self.period == "deal" and (self.to_date or self.needs_quota or self.gate or self.multiplier):
            said.append("`period: deal` takes each deal by its amount: no to_date, quota, gate or multiplier")
        if self.period == "year" and self.to_date:
            said.append("`to_date` says nothing of a component paid once a year")
        if self.to_date and self.cap.period is not None:
            said.append("a cap on the period contradicts `to_date`, which makes up for earlier periods: cap the year")
        if self.table.kind == "pays" and not self.weight:
            said.append("bands that pay a share of the target pay need a weight")
        if self.threshold is not None and self.table.by == "attainment":
            most = self.cap.period or self.cap.year
            at = self.table.bands[0].start
            if most is not None and most.of_target and most.value <= self.threshold and self.table.kind == "pays":
                said.append("the cap lies below the threshold: nothing between them is ever paid in full")
            if at > self.threshold:
                said.append("the first band begins above the threshold: what is between them pays nothing")
        if said:
            raise ValueError("; ".join(said))
        return self


class Spiff(Choice):
    """Money for each deal of a kind in a span of days: `each` deal so much (of a split deal, each person their share of
    it), or (a kicker) a `rate` of its bookings."""

    name: Name
    start: Day = Field(alias="from")
    until: Day
    each: Number | None = None
    rate: Rate | None = None
    most: Number | None = None

    @model_validator(mode="after")
    def _makes_sense(self):
        if (self.each is None) == (self.rate is None):
            raise ValueError("a spiff has `each` or `rate`, not both")
        if self.until < self.start:
            raise ValueError(f"until {self.until} is before from {self.start}")
        return self


class Draw(Part):
    """Money paid each month while little is earned: `recoverable` from later earnings, or a `guarantee`. months : of
    tenure in which it is paid; none is always."""

    amount: Number
    kind: Literal["recoverable", "guarantee"]
    months: int | None = Field(default=None, ge=1, le=120)


class Hold(Part):
    """The share of what a deal earns that is paid as the customer pays."""

    share: Annotated[Fraction, BeforeValidator(_part)]


class Clawback(Part):
    """What is cancelled within so many days of its credit: taken back at the rate it was paid at, or by running its
    period again. unpaid_after : days after the win at which what the customer has not paid counts as cancelled, until
    it is paid; None waits for ever."""

    days: int = Field(ge=1, le=3650)
    way: Literal["original_rate", "rerun"]
    unpaid_after: int | None = Field(default=None, ge=1, le=3650)

    @model_validator(mode="after")
    def _in_time(self):
        if self.unpaid_after is not None and self.unpaid_after > self.days:
            raise ValueError(f"unpaid_after {self.unpaid_after} is beyond the {self.days} days of the clawback")
        return self


class Pay(Part):
    """A year's pay on target: base, and variable."""

    base: Number
    variable: Number


class Plan(Part):
    """One version of a plan, as people are assigned to it.

    year_starts : first month of the plan's year. digits : of the currency. rounding : of each line, once. prorate :
    whether quotas and target pay are for the days that a person is there and not on leave: calendar days (true), or the
    working days of a `calendar` (a country, as RU or DE-BY). ramp : share of the quota in each month since hiring, then
    all of it. reassign_days : a deal whose owner changes within so many days of the win was credited to the wrong
    person: the credit moves, as an adjustment; later, and by default always, it stays with the owner on the day of the
    win. rates : currency -> what one unit of it is worth in the plan's, all the
    plan long; deals of a currency that is not here are converted at the day they were won.
    """

    plan: Name
    version: Name
    start: Day = Field(alias="from")
    until: Day
    year_starts: int = Field(default=1, ge=1, le=12)
    currency: str = Field(pattern="^[A-Z]{3}$")
    digits: int = Field(default=2, ge=0, le=4)
    rounding: Literal["half_up", "half_even", "down"] = "half_up"
    rates: dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Annotated[Fraction, BeforeValidator(_worth)]] = Field(
        default_factory=dict
    )
    pay: Pay
    prorate: bool | Literal["working_days"] = True
    calendar: str = ""
    reassign_days: int = Field(default=0, ge=0, le=3650)
    ramp: tuple[Rate, ...] = ()
    components: tuple[Component, ...] = Field(min_length=1, max_length=20)
    spiffs: tuple[Spiff, ...] = ()
    draw: Draw | None = None
    hold: Hold | None = None
    clawback: Clawback | None = None

    @model_validator(mode="after")
    def _calendar_of_working_days(self):
        workdays.checked(self.calendar)
        if (self.prorate == "working_days") != bool(self.calendar):
            raise ValueError("`calendar` goes with `prorate: working_days`, and that with a calendar, as RU or DE-BY")
        return self

    @property
    def choices(self) -> dict[str, Choice]:
        """Components and spiffs by name: what looks at facts of credits."""
        return {one.name: one for one in (*self.components, *self.spiffs)}

    def component(self, name: str) -> Component:
        return next(one for one in self.components if one.name == name)


def load(path: Path | str) -> Plan:
    """A plan from its file.

    Raises
    ------
    BadInput
        With every problem at once: its path in the file, what came, and what is allowed.
    """
    return check(yamlfile.load(path), where=str(path))


def versions(folder: Path, name: str) -> list[Plan]:
    """A plan and its later versions, the earliest first: `name.yml`, and beside it `name.<anything>.yml`.

    Raises
    ------
    BadInput
        As `load`, of all files at once; and where two versions hold on one day, or pay in two currencies.
    """
    paths = [folder / f"{name}.yml", *sorted(folder.glob(f"{name}.*.yml"))]
    found, problems = [], []
    for path in paths:
        try:
            found.append(load(path))
        except BadInput as error:
            if len(paths) == 1:
                raise
            problems += [f"{path.name}: {one}" for one in error.problems]
    found.sort(key=lambda one: one.start)
    for one, other in zip(found, found[1:], strict=False):
        if other.start <= one.until:
            problems.append(f"versions {one.version} and {other.version} both hold on {other.start}")
        if (other.currency, other.digits, other.year_starts) != (one.currency, one.digits, one.year_starts):
            problems.append(f"versions {one.version} and {other.version} differ in currency, digits or year_starts")
    if problems:
        raise BadInput(f"the plan {name} cannot be used", problems)
    return found


def check(values: Mapping[str, object], *, where: str) -> Plan:
    """The plan that a mapping says; `BadInput` as `load`."""
    problems, plan = [], None
    try:
        plan = Plan.model_validate(dict(values))
    except ValidationError as error:
        problems = [_explain(one) for one in error.errors()]
    problems += _across(values)
    if problems:
        raise BadInput(f"{where}: the plan cannot be used", problems)
    return plan


def _explain(error: dict) -> str:
    path = ".".join(str(part) for part in error["loc"] if not str(part).endswith("]"))
    match error["type"]:
        case "extra_forbidden":
            return f"{path}: unknown"
        case "missing":
            return f"{path}: missing"
        case "value_error":
            said = str(error["ctx"]["error"])
            came = printable(error["input"])
            came = f"{came!r} " if isinstance(error["input"], str) else f"{came} "
            came = came if said.startswith(("is ", "must ", "would ")) else ""
            return f"{path}: {came}{said}"
        case _:
            return f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}, got {printable(error['input'])!r}"


def _across(values: Mapping[str, object]) -> Iterator[str]:
    """What only shows across components and days; said also of a plan that has other problems."""
    listed = values.get("components")
    components = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    yield from _by_deal(values, components)
    names = [one.get("name") for one in components]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield f"components: the name {printable(name)!r} stands twice"
    for k, one in enumerate(components):
        for link in ("gate", "multiplier"):
            of = one[link].get("of") if isinstance(one.get(link), dict) else None
            if of is None:
                continue
            if of == one.get("name"):
                yield f"components.{k}.{link}.of: {printable(of)!r} is the component itself"
            elif of not in names:
                allowed = ", ".join(str(name) for name in names if name != one.get("name")) or "none"
                yield f"components.{k}.{link}.of: {printable(of)!r} is no component; there are: {allowed}"
            else:
                other = components[names.index(of)]
                if other.get("period") != one.get("period"):
                    yield f"components.{k}.{link}.of: {printable(of)!r} is measured by another period"
    weights: list[Fraction] = []
    for one in components:
        try:
            weights.append(_number(one.get("weight", 0)))
        except ValueError:
            return
    if any(weights) and sum(weights) != 1:
        yield f"components: the weights are {float(sum(weights)):.0%} together, must be 100%"
    first, last = values.get("from"), values.get("until")
    days = all(isinstance(day, str) and periods.is_day(day) for day in (first, last))
    if days and last < first:
        yield f"until: {last} is before from {first}"


def _by_deal(values: Mapping[str, object], components: list[dict]) -> Iterator[str]:
    """What holds and clawbacks, which go deal by deal, cannot be had with."""
    for k, one in enumerate(components):
        windfall = one.get("windfall")
        if isinstance(windfall, dict) and windfall.get("way") == "schedule" and values.get("hold") is not None:
            yield f"components.{k}.windfall.way: what is paid by a schedule cannot be held as well: no hold"
    clawback = values.get("clawback")
    way = clawback.get("way") if isinstance(clawback, dict) else None
    for k, one in enumerate(components):
        if one.get("to_date") is True and (values.get("hold") is not None or way == "original_rate"):
            yield (f"components.{k}.to_date: what makes up for earlier periods is no single deal's: no hold, and "
                   "`clawback.way: rerun`")  # fmt: skip
        if one.get("period") == "deal" and way == "rerun":
            yield f"components.{k}.period: a deal has no period to run again: `clawback.way: original_rate`"
