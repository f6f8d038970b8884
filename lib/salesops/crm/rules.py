"""The rules on the records of deals: Ibis expressions on one row per deal and day looked at.

A rule says of which deals it can be asked and which of them break it: true, false, or missing where it does not
apply. On days before the last it can only be asked of what the source logs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import periods, workdays, yamlfile
from salesops.crm.tables import RULES, TABLES
from salesops.problems import BadInput

if TYPE_CHECKING:
    from salesops.crm.book import Book

OPEN = "open"
BLANK = "blank "  # before the name of a required field
# What puts the value or the day of an open deal in doubt; the others are about how it is written down.
DOUBT = ("close_past", "untouched", "no_amount", "pushed", "owner_gone", "duplicate")
NUMBERS = ("untouched_days", "amount_from", "most_pushes", "chance_gap", "similarity")
OF_NOW = ("no_next_step", "probability_unlike", "duplicate", "missing", "no_reason")  # from columns that are not logged


class Rules(NamedTuple):
    """What counts, and how strictly: rule -> its weight; fields that must be filled; days without activity, by a
    calendar; the stage from which an amount is needed; how often a closing day may move; how far a chance may be from
    its stage's; how alike (0 to 100) the names of copies are."""

    weights: Mapping[str, int]
    required_fields: Sequence[str]
    untouched_days: int
    calendar: str
    amount_from: int
    most_pushes: int
    chance_gap: float
    similarity: int


def read_rules(path: Path) -> Rules:
    """The rules that a parameter file of the hygiene page sets.

    Raises
    ------
    BadInput
        If it is not there or sets none of them; the hygiene page checks the values.
    """
    said = yamlfile.load(path)
    wanted = {name: said.get(name) for name in NUMBERS}
    weights = {rule: said.get(rule) for rule in RULES}
    missing = [name for name, value in (wanted | weights).items() if not isinstance(value, (int, float))]
    if missing:
        raise BadInput(f"{path} cannot be used", [f"{name}: a number is missing" for name in missing])
    fields = dict.fromkeys(name.strip() for name in str(said.get("required", "")).split(",") if name.strip())
    weights = {rule: weight for rule, weight in weights.items() if weight}
    return Rules(weights, list(fields), calendar=str(said.get("calendar", "")), **wanted)


class Day(NamedTuple):
    """A day whose end is looked at, with the first day of the closings that belong to it."""

    on: dt.date
    since: dt.date


def askable(book: Book, rules: Rules, *, past: bool = False) -> dict[str, bool]:
    """Each rule -> whether the source has what it asks about; of days in the `past`, in its log."""
    filled = {name: set(columns) for name, columns in book.about["filled"].items()}
    deals, now = filled["deals"], book.complete and not past
    has = {
        "close_past": "expected_close_on" in deals and (now or "expected_close_on" in book.about["tracked"]),
        "no_next_step": "next_step" in deals and now,
        "untouched": "started_at" in filled["activities"] or (now and "last_activity_at" in deals),
        "no_amount": "amount_minor" in deals and (now or "amount" in book.about["tracked"]),
        "pushed": "expected_close_on" in book.about["tracked"],
        "probability_unlike": {"probability"} <= deals & filled["stages"] and now,
        "owner_gone": "rep_id" in deals and (now or "rep_id" in book.about["tracked"]),
        "duplicate": {"name", "account_id"} <= deals and not past,
        "no_reason": "lost_reason" in deals and not past,
        "won_before_created": "created_at" in deals
        and ("closed_at" in deals or book.about["history"] != "current_stage"),
        "skipped": book.about["history"] == "changes",
        "missing": bool(required(book, rules)) and now,
    }
    return has


def required(book: Book, rules: Rules) -> list[str]:
    """The required fields that the source has at all: one that it never has is not the reps' to fill."""
    filled = book.about["filled"]["deals"]
    return [one for one in rules.required_fields if TABLES["deals"][one].stored in filled]


def facts(book: Book, rules: Rules, days: list[Day], copies: dict[str, str], *, past: bool = False) -> ibis.Table:
    """One row per deal and day: nth (of `days`), deal_id, rep_id, pipeline, stage, status, amount_minor, and a column
    for each rule that can be asked and each required field. Of deals that are open at the end of the day, or were
    closed since its `since`.

    Parameters
    ----------
    copies : deal -> the older deal it is a copy of.
    """
    spans, each = _pushes(book.states).join(_static(book), "deal_id"), _days(book, rules, days)
    rows = spans.cross_join(each)
    begun = (rows.entered_at < rows.cut) | (rows.entered_at.isnull() & rows.is_now)
    rows = rows.filter(begun, rows.left_at.isnull() | (rows.left_at >= rows.cut))
    rows = rows.filter((rows.kind == OPEN) | (rows.kind_since >= rows.begin))
    touches = _touches(book, each, said=book.complete and not past)
    if touches is not None:
        rows = rows.left_join(touches, ["deal_id", "nth"]).drop("deal_id_right", "nth_right")
    else:
        rows = rows.mutate(active_at=ibis.null("timestamp"))
    rows = _with_owner(book, _with_copies(rows, copies))
    asked = [rule for rule, can in askable(book, rules, past=past).items() if can]
    written = {rule: _written(rule, rows, rules, book) for rule in asked}
    if "missing" in asked:
        written |= {f"{BLANK}{one}": _is_blank(rows, one) for one in required(book, rules)}
    columns = ["nth", "deal_id", "rep_id", "pipeline", "stage", "amount_minor", "name", "account_id", "created_at"]
    columns += ["expected_close_on", "next_step", "chance", "stage_chance", "copy_of"]
    return rows.select(*columns, status=rows.kind, **written)


def _written(rule: str, rows: ibis.Table, rules: Rules, book: Book) -> ibis.Column:
    """Whether a row breaks a rule; missing where the rule does not apply to it."""
    open_, closed = rows.kind == OPEN, rows.kind != OPEN
    amount = rows.amount_minor
    match rule:
        case "close_past":
            applies, broken = open_ & rows.expected_close_on.notnull(), rows.expected_close_on <= rows.day
        case "no_next_step":
            applies, broken = open_, _blank(rows.next_step)
        case "untouched":
            touched = ibis.greatest(rows.entered_at, rows.active_at.coalesce(rows.entered_at))
            applies, broken = open_ & rows.entered_at.notnull(), touched < rows.idle_before
        case "no_amount":
            applies, broken = open_ & (rows.position >= rules.amount_from), amount.isnull() | (amount <= 0)
        case "pushed":
            applies, broken = open_, rows.pushes > rules.most_pushes
        case "probability_unlike":
            gap = (rows.chance - rows.stage_chance).abs()
            applies, broken = open_ & gap.notnull(), gap > rules.chance_gap + 1e-9
        case "owner_gone":
            known = ibis.literal("rep_id" in book.about["filled"]["reps"])
            left = (rows.owner_left_on <= rows.day).fill_null(False) | (rows.owner_status == "left").fill_null(False)
            gone = known & (rows.owner.isnull() | left)
            applies, broken = open_, _blank(rows.rep_id) | gone
        case "duplicate":
            applies, broken = open_ & rows.account_id.notnull() & rows.name.notnull(), rows.copy_of.notnull()
        case "no_reason":
            applies, broken = rows.kind == "lost", _blank(rows.lost_reason)
        case "won_before_created":
            applies, broken = closed & rows.created_at.notnull(), rows.kind_since < rows.created_at
        case "skipped":
            applies, broken = rows.kind.notnull(), rows.skips_at < rows.cut
        case "missing":
            applies, broken = rows.kind.notnull(), ibis.or_(*(_is_blank(rows, one) for one in required(book, rules)))
    if rule in OF_NOW:
        applies = applies & rows.is_now
    return ibis.ifelse(applies, broken.fill_null(False), ibis.null("boolean"))


def _is_blank(rows: ibis.Table, field: str) -> ibis.Column:
    """Whether a required field of a deal is blank."""
    column = rows[TABLES["deals"][field].stored if field != "probability" else "chance"]
    return _blank(column) if column.type().is_string() else column.isnull()


def _blank(column: ibis.Column) -> ibis.Column:
    return column.isnull() | (column.strip() == "")


def _pushes(states: ibis.Table) -> ibis.Table:
    """Spans with `pushes`: how often the closing day had moved to a later month by then."""
    by_deal = ibis.window(group_by="deal_id", order_by=ibis.asc("entered_at", nulls_first=True))
    months = states.mutate(due=states.expected_close_on.year() * 12 + states.expected_close_on.month())
    months = months.mutate(later=months.due > months.due.lag().over(by_deal))
    so_far = ibis.cumulative_window(group_by="deal_id", order_by=ibis.asc("entered_at", nulls_first=True))
    counted = months.mutate(pushes=months.later.fill_null(False).cast("int64").sum().over(so_far))
    return counted.drop("due", "later", "stage_entered_at", "seq", "forecast_category")


def _static(book: Book) -> ibis.Table:
    """What the source says of each deal on the last day known, whatever the day looked at."""
    deals = book.deals
    columns = [name for name in deals.columns if name not in ("status", "stage", "position", "kind", "kind_since")]
    spans = {"rep_id", "amount_minor", "expected_close_on", "forecast_category", "pipeline", "left_at", "entered_at"}
    static = deals.select(*(name for name in columns if name not in spans and name != "stage_entered_at"))
    static = static.rename(chance="probability")
    chances = book.stages.select("pipeline", "stage", stage_chance=_.probability)
    where = deals.select("deal_id", "pipeline", "stage").left_join(chances, ["pipeline", "stage"])
    static = static.left_join(where.select("deal_id", "stage_chance"), "deal_id").drop("deal_id_right")
    skips = book.visits.filter(_.entry_kind == "skip").group_by("deal_id").agg(skips_at=_.entered_at.min())
    return static.left_join(skips, "deal_id").drop("deal_id_right")


def _days(book: Book, rules: Rules, days: list[Day]) -> ibis.Table:
    """One row per day: nth, day, its end `cut`, `begin` of the closings that belong to it, `idle_before`, is_now."""
    rows = [
        {
            "nth": nth,
            "day": pd.Timestamp(day.on).date(),
            "cut": pd.Timestamp(periods.end_of(day.on, book.time_zone)),
            "begin": pd.Timestamp(periods.start_of(day.since, book.time_zone)),
            "idle_before": pd.Timestamp(
                periods.end_of(workdays.back(day.on, rules.untouched_days, rules.calendar), book.time_zone)
            ),
            "is_now": nth == len(days) - 1,
        }
        for nth, day in enumerate(days)
    ]
    kinds = {"nth": "int64", "day": "date", "is_now": "boolean"}
    kinds |= dict.fromkeys(("cut", "begin", "idle_before"), "timestamp")
    return ibis.memtable(pd.DataFrame(rows), schema={name: kinds[name] for name in rows[0]})


def _touches(book: Book, days: ibis.Table, *, said: bool) -> ibis.Table | None:
    """deal_id, nth, active_at: the last activity before the end of each day; None where the source has none.

    What a deal says of its last activity counts where it is `said` of the last day known: on earlier days it is missing
    for the very deals that were touched since.
    """
    parts = []
    if book.has("activities"):
        parts.append(book.activities.filter(_.deal_id.notnull()).select("deal_id", at=_.started_at))
    if said and "last_activity_at" in book.about["filled"]["deals"]:
        parts.append(book.deals.filter(_.last_activity_at.notnull()).select("deal_id", at=_.last_activity_at))
    if not parts:
        return None
    both = ibis.union(*parts) if len(parts) > 1 else parts[0]
    done = both.cross_join(days.select("nth", "cut")).filter(_.at < _.cut)
    return done.group_by("deal_id", "nth").agg(active_at=_.at.max())


def _with_copies(rows: ibis.Table, copies: dict[str, str]) -> ibis.Table:
    frame = pd.DataFrame({"deal_id": list(copies), "copy_of": list(copies.values())}, dtype="str")
    return rows.left_join(ibis.memtable(frame), "deal_id").drop("deal_id_right")


def _with_owner(book: Book, rows: ibis.Table) -> ibis.Table:
    owners = book.reps.select(owner="rep_id", owner_left_on="left_on", owner_status="status")
    return rows.left_join(owners, rows.rep_id == owners.owner)


def weighed(rows: ibis.Table, rules: Rules) -> ibis.Table:
    """`lost` and `weighed`: the weight that is broken and that was asked. `doubt`: whether a rule that counts puts the
    deal in doubt; `other`: whether any does but a missing amount, also those that do not count."""
    there = [rule for rule in rules.weights if rule in rows.columns]
    lost = [rows[rule].fill_null(False).cast("int64") * rules.weights[rule] for rule in there]
    weighed = [rows[rule].notnull().cast("int64") * rules.weights[rule] for rule in there]
    any_of = {
        "doubt": [rule for rule in DOUBT if rule in there],
        "other": [rule for rule in DOUBT if rule in rows.columns and rule != "no_amount"],
    }
    flags = {
        name: ibis.or_(*(rows[rule].fill_null(False) for rule in which)) if which else ibis.literal(False)
        for name, which in any_of.items()
    }
    return rows.mutate(lost=sum(lost, ibis.literal(0)), weighed=sum(weighed, ibis.literal(0)), **flags)
