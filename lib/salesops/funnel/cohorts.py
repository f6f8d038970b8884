"""Which deals the funnel looks at, by the conventions it was told: the scope, what is left out, the cohorts."""

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.funnel.params import Params

HOUR, DAY = 3600, 86_400
WON, LOST, OPEN = "won", "lost", "open"
ONE_SIDED = 0.5  # share of lost deals without an amount from which on leaving them out would leave out losing


class Rules(NamedTuple):
    """The conventions, as `Params` has them. `amounts_kept`: leaving out zero amounts would choose by outcome."""

    cohort_by: str = "entry"
    stage_rule: str = "reached"
    count_of: str = "uniques"
    lost_date: str = "transition"
    accepted_stage: int = 1
    reasons: tuple[str, ...] = ()
    zero_amounts: bool = False
    amounts_kept: bool = False
    sizes: tuple[float, ...] = ()
    reasons_found: tuple[str, ...] = ()  # the reasons of the source that are meant, in its own letters

    @property
    def once_reached(self) -> bool:
        """Whether each deal counts once at every stage that it reached or passed."""
        return self.stage_rule == "reached" and self.count_of == "uniques"


class Scope(NamedTuple):
    """What is looked at: a pipeline, its open stages in order from the accepted one, and the cohorts by name."""

    pipeline: str
    stages: tuple[str, ...]  # one without a name where the source keeps no history of stages
    cohorts: dict[str, periods.Period]  # "now", and "before" where compared
    horizon_days: int
    min_deals: int
    begins_on: dt.date | None = None  # where nothing is compared because the history begins only then
    known_to: dt.date | None = None  # where the months shown are not over on the last day known
    rules: Rules = Rules()
    segment_by: str = "none"  # the dimension of the page's groups
    valued: bool = True  # whether lost deals keep their amounts, without which no share of money can be known


def find_scope(book: crm.Book, params: Params) -> Scope:
    """The pipeline asked for, or the one with most deals; its stages, the cohorts, the conventions that apply.

    Raises
    ------
    ValueError
        If the pipeline or the accepted stage is not in the book, or too few deals were won to take a horizon from.
    """
    pipeline, stages = crm.find_pipeline(book, params.pipeline)
    if not stages:
        raise ValueError(f"the pipeline {pipeline!r} has no stage in which a deal is open")
    if params.accepted_stage > len(stages):
        named = ", ".join(stages) if any(stages) else "no history of stages"
        raise ValueError(f"accepted_stage {params.accepted_stage}: the pipeline {pipeline!r} has {named}")
    begins_on = _begins_on(book)
    window = params.window._replace(last_on=min(params.window.last_on, book.as_of))
    cohorts = {"now": window}
    if params.versus and params.versus.first_on >= begins_on:
        cohorts["before"] = params.versus
    deals = book.deals.filter(_.pipeline == pipeline)
    emptied = _amounts_tell_outcome(deals)
    kept = params.exclude_amounts == "zero" and emptied
    rules = Rules(
        params.cohort_by, params.stage_rule, params.count_of, params.lost_date, params.accepted_stage,
        params.reasons, params.exclude_amounts == "zero" and not kept, kept, params.edges or _thirds(book, deals),
        _meant(deals, params.reasons),
    )  # fmt: skip
    scope = Scope(
        pipeline,
        stages[params.accepted_stage - 1 :],
        cohorts,
        params.horizon_days,
        params.min_deals,
        begins_on=begins_on if params.versus and "before" not in cohorts else None,
        known_to=book.as_of if window.last_on < params.window.last_on else None,
        rules=rules,
        segment_by=params.segment_by,
        valued=not emptied,
    )
    return scope if scope.horizon_days else scope._replace(horizon_days=_usual_cycle(book, scope))


def _begins_on(book: crm.Book) -> dt.date:
    """The first day of the first month that the history holds."""
    first = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).tz_localize("UTC")
    return first.tz_convert(book.time_zone).date().replace(day=1)


def _meant(deals: ibis.Table, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The reasons of loss that are meant, whatever their case and the blanks around them."""
    if not asked:
        return ()
    seen = deals.filter(_.lost_reason.notnull()).select("lost_reason").distinct().execute()["lost_reason"]
    return tuple(sorted(one for one in seen if one.strip().casefold() in asked))


def _amounts_tell_outcome(deals: ibis.Table) -> bool:
    """Whether most lost deals have an amount of zero: some systems write it there when a deal is lost."""
    lost = deals.filter(_.status == LOST)
    n, n_zero = lost.agg(n=_.count(), zero=(_.amount_minor <= 0).sum()).execute().iloc[0].fillna(0)
    return bool(n and n_zero > ONE_SIDED * n)


def _thirds(book: crm.Book, deals: ibis.Table) -> tuple[float, ...]:
    """Two amounts that part the deals in thirds, to two figures; none where amounts are not known."""
    amounts = deals.filter(_.amount_minor > 0).group_by(whole=_.amount_minor // book.minor_units).agg(n=_.count())
    table = amounts.execute().sort_values("whole")
    if table.empty:
        return ()
    upto = table["n"].cumsum() / table["n"].sum()
    found = [table["whole"].iloc[int(np.searchsorted(upto, share))] for share in (1 / 3, 2 / 3)]
    rounded = {float(f"{amount:.1e}") for amount in found if amount > 0}
    return tuple(sorted(rounded))


def _usual_cycle(book: crm.Book, scope: Scope) -> int:
    """Days by which nine of ten deals were won, of those won in the twelve months up to the end of the months."""
    year = periods.trailing(scope.cohorts["now"], 12)
    start, end = bounds(year, book)
    won = valid(book, scope).filter(_.status == WON, _.closed_at >= start, _.closed_at < end)
    days = (won.closed_at.epoch_seconds() - won.created_at.epoch_seconds()) // DAY
    table = won.select(days=ibis.greatest(days, 0)).group_by("days").agg(n=_.count()).execute().sort_values("days")
    if table["n"].sum() < scope.min_deals:
        raise ValueError(f"horizon_days 0: fewer than {scope.min_deals} deals were won in the year; write a number")
    upto = table["n"].cumsum() / table["n"].sum()
    return max(1, int(table["days"].iloc[int(np.searchsorted(upto, 0.9))]))


def bounds(period: periods.Period, book: crm.Book) -> tuple[dt.datetime, dt.datetime]:
    """The first moment of a period, and the first after it; naive UTC."""
    return periods.start_of(period.first_on, book.time_zone), periods.end_of(period.last_on, book.time_zone)


def within(moment: ibis.Column, book: crm.Book, scope: Scope) -> ibis.Column:
    """Which cohort's months a moment falls in; missing outside."""
    spans = {name: bounds(period, book) for name, period in scope.cohorts.items()}
    return ibis.cases(*[((moment >= low) & (moment < high), name) for name, (low, high) in spans.items()])


def closed_within(deals: ibis.Table, book: crm.Book, scope: Scope) -> ibis.Column:
    """Which cohort's months a deal closed in: when it was moved, or a lost one on its entered closing day where the
    scope says so; missing outside."""
    moved = within(deals.closed_at, book, scope)
    if scope.rules.lost_date == "transition":
        return moved
    day = deals.expected_close_on.cast("date")
    spans = {name: (ibis.literal(p.first_on), ibis.literal(p.last_on)) for name, p in scope.cohorts.items()}
    dated = ibis.cases(*[(day.between(first, last), name) for name, (first, last) in spans.items()])
    return ibis.ifelse((deals.status == LOST) & day.notnull(), dated, moved)


def why_left_out(deals: ibis.Table, rules: Rules) -> ibis.Column:
    """The convention that leaves a deal out: reason, amount; missing for those that count."""
    reason = deals.lost_reason.isin(list(rules.reasons_found)) if rules.reasons_found else ibis.literal(False)
    amount = deals.amount_minor <= 0 if rules.zero_amounts else ibis.literal(False)
    return ibis.cases((reason.fill_null(False), "reason"), (amount.fill_null(False), "amount"))


def valid(book: crm.Book, scope: Scope) -> ibis.Table:
    """The deals of the pipeline that count by the conventions."""
    deals = book.deals.filter(_.pipeline == scope.pipeline)
    return deals.filter(why_left_out(deals, scope.rules).isnull())


def left_out(book: crm.Book, scope: Scope, n_listed: int = 8) -> tuple[dict[str, int], pd.DataFrame]:
    """How many deals created or closed in the months each convention leaves out, and the first of them:
    deal_id, name, why, lost_reason, amount (whole units)."""
    deals = book.deals.filter(_.pipeline == scope.pipeline)
    deals = deals.mutate(why=why_left_out(deals, scope.rules)).filter(_.why.notnull())
    here = (within(deals.created_at, book, scope) == "now") | (within(deals.closed_at, book, scope) == "now")
    deals = deals.filter(here.fill_null(False))
    counted = deals.group_by("why").agg(n=_.count()).execute()
    first = deals.select("deal_id", "name", "why", "lost_reason", "amount_minor").order_by("why", "deal_id")
    listed = first.limit(n_listed).execute()
    listed["amount"] = listed.pop("amount_minor").astype("float64") / book.minor_units
    return dict(zip(counted["why"], map(int, counted["n"]), strict=True)), listed


def base_deals(book: crm.Book, scope: Scope, dimensions: list[str]) -> ibis.Table:
    """The deals that count, as `book.deals`, with `by_<dimension>` and group (of the page's own); computed once."""
    wanted = list(dict.fromkeys([*dimensions, scope.segment_by]))
    deals = crm.with_dimensions(book, valid(book, scope), wanted, sizes=scope.rules.sizes)
    return deals.mutate(group=deals[f"by_{scope.segment_by}"]).cache()


def cohort_deals(book: crm.Book, scope: Scope, base: ibis.Table) -> ibis.Table:
    """One row per deal of `base` and cohort it belongs to.

    Columns: deal_id, cohort, status, amount_minor, `by_<dimension>`, group, entry_s (when it entered the accepted
    stage), from_s (when its clock starts) and until_s (the end of the months); epoch seconds.
    """
    deals = base.filter((_.status == OPEN) | _.closed_at.notnull())  # closed on a day not known: of no known age
    if book.about["log_begins"]:  # what a deal did before the log began is not known
        deals = deals.filter(deals.created_at >= ibis.timestamp(book.about["log_begins"]).truncate("s"))
    deals = _entered(book, scope, deals)
    ended_s = deals.closed_at.epoch_seconds()
    parts = []
    for name, period in scope.cohorts.items():
        low, high = (int(pd.Timestamp(moment).timestamp()) for moment in bounds(period, book))
        begun = deals.entry_s < high
        match scope.rules.cohort_by:
            case "entry":
                here, clock = begun & (deals.entry_s >= low), deals.entry_s
            case "active":
                here = begun & (ended_s.isnull() | (ended_s >= low))
                clock = ibis.greatest(deals.entry_s, low)
            case "snapshot":
                here, clock = begun & (ended_s.isnull() | (ended_s >= high)), ibis.literal(high)
        columns = [column for column in deals.columns if column.startswith("by_")]
        marks = {"cohort": ibis.literal(name), "from_s": clock.cast("int64"), "until_s": ibis.literal(high, "int64")}
        parts.append(
            deals.filter(here).select("deal_id", "status", "amount_minor", *columns, "group", "entry_s", **marks)
        )
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _entered(book: crm.Book, scope: Scope, deals: ibis.Table) -> ibis.Table:
    """`deals` with `entry_s`: when each reached or passed the accepted stage; those that never did are gone."""
    if scope.rules.accepted_stage == 1:
        return deals.mutate(entry_s=deals.created_at.epoch_seconds()).filter(_.entry_s.notnull())
    visits = book.own_visits.filter(_.kind != LOST, (_.position >= scope.rules.accepted_stage) | (_.kind == WON))
    reached = visits.filter((_.kind == OPEN) | _.left_at.isnull()).group_by("deal_id").agg(at=_.entered_at.min())
    return deals.join(reached, "deal_id").mutate(entry_s=_.at.epoch_seconds()).filter(_.entry_s.notnull()).drop("at")
