"""What the engine counts for the funnel: Ibis expressions that return small tables.

A deal belongs to the cohort of the months it was created in. It counts at a stage if it reached it or
passed it; a lost deal is not counted beyond its last real stage. What a deal is (won, lost, open) is
what it was at the end of `as_of`, so a deal that was lost and came back is followed on. Ages are whole
hours, by epoch seconds, which every engine counts alike.
"""

import datetime as dt
from typing import NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.funnel.params import Params

HOUR = 3600
WON, LOST, OPEN = "won", "lost", "open"
NOT_KNOWN = "\0"  # the group of deals for which the source has no value; no value can be this


class Scope(NamedTuple):
    """What is looked at: a pipeline, its open stages in order, and the cohorts by name."""

    pipeline: str
    stages: tuple[str, ...]  # one without a name where the source keeps no history of stages
    cohorts: dict[str, periods.Period]  # "now", and "before" where compared
    horizon_days: int
    min_deals: int
    begins_on: dt.date | None = None  # where nothing is compared because the history begins only then
    known_to: dt.date | None = None  # where the months shown are not over on the last day known


def find_scope(book: crm.Book, params: Params) -> Scope:
    """The pipeline asked for, or the one with most deals; its open stages in order."""
    stages = book.stages.execute().sort_values(["pipeline", "position"])
    sizes = book.deals.group_by("pipeline").agg(n=_.count()).order_by(ibis.desc("n"), "pipeline").execute()
    known = sizes["pipeline"].tolist()
    if params.pipeline and params.pipeline not in known:
        raise ValueError(f"pipeline {params.pipeline!r} is not in the source; it has: {', '.join(known)}")
    if not known:
        raise ValueError(f"no deal is known at the end of {book.as_of}")
    pipeline = params.pipeline or known[0]
    names = stages[(stages["pipeline"] == pipeline) & (stages["kind"] == OPEN)]["stage"]
    begins_on = _begins_on(book)
    window = params.window._replace(last_on=min(params.window.last_on, book.as_of))
    cohorts = {"now": window}
    if params.versus and params.versus.first_on >= begins_on:
        cohorts["before"] = params.versus
    staged = book.about["history"] != "current_stage"
    too_early = begins_on if params.versus and "before" not in cohorts else None
    return Scope(
        pipeline,
        tuple(names) if staged else ("",),
        cohorts,
        params.horizon_days,
        params.min_deals,
        begins_on=too_early,
        known_to=book.as_of if window.last_on < params.window.last_on else None,
    )


def _begins_on(book: crm.Book) -> dt.date:
    """The first day of the first month that the history holds."""
    first = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).tz_localize("UTC")
    return first.tz_convert(book.time_zone).date().replace(day=1)


def _in_cohort(moment: ibis.Column, book: crm.Book, scope: Scope) -> ibis.Column:
    """Which cohort a moment falls in; missing outside. Where two overlap, it is now."""
    bounds = {
        name: (periods.start_of(p.first_on, book.time_zone), periods.end_of(p.last_on, book.time_zone))
        for name, p in scope.cohorts.items()
    }
    return ibis.cases(*[((moment >= low) & (moment < high), name) for name, (low, high) in bounds.items()])


def cohort_deals(book: crm.Book, scope: Scope, dimension: str) -> ibis.Table:
    deals = crm.with_group(book, book.deals.filter(_.pipeline == scope.pipeline), dimension)
    deals = deals.mutate(cohort=_in_cohort(deals.created_at, book, scope)).filter(_.cohort.notnull())
    deals = deals.filter((_.status == OPEN) | _.closed_at.notnull())  # closed on a day not known: of no known age
    if book.about["log_begins"]:  # what a deal did before the log began is not known
        deals = deals.filter(deals.created_at >= ibis.timestamp(book.about["log_begins"]).truncate("s"))
    return deals.select("deal_id", "cohort", "group", "status", "created_at")


def paths(book: crm.Book, scope: Scope, cohort: ibis.Table) -> ibis.Table:
    """One row per deal: when it reached each step (t0, t1, ... won) or was lost, in epoch seconds."""
    n = len(scope.stages)
    visits = book.visits.join(cohort, "deal_id")
    won, lost = (visits.kind == kind for kind in (WON, LOST))
    ended = visits.left_at.isnull()
    at = visits.entered_at.epoch_seconds()
    step = ibis.cases((won, n + 1), (visits.position > n, n), else_=visits.position)  # missing where not known
    reached = ~lost & (~won | ended)
    since = visits.kind_since.epoch_seconds()
    times = {f"t{k}": at.min(where=reached & (step >= k + 1)) for k in range(1, n)}
    times[f"t{n}"] = since.min(where=won & ended)
    own = {f"own{k}": ((step == k + 1) & (visits.kind == OPEN)).any() for k in range(n)}
    own = {name: value.fill_null(False) for name, value in own.items()}
    own |= {} if any(scope.stages) else {"own0": (visits.seq >= 0).any()}  # every deal's creation is known
    paths = visits.group_by("deal_id", "cohort", "group", "status").agg(
        t0=ibis.least(at.min(), visits.created_at.min().epoch_seconds()),
        t_lost=since.max(where=lost & ended),
        **times,
        **own,
    )
    end = int(pd.Timestamp(book.cut).timestamp())
    return paths.mutate(t_end=ibis.literal(end, "int64"))


def step_counts(scope: Scope, paths: ibis.Table) -> pd.DataFrame:
    """cohort, group, step, dated, outcome, age (hours), n: what became of the deals that reached each step."""
    parts = []
    for k in range(len(scope.stages)):
        here = paths.filter(paths[f"t{k}"].notnull())
        moved, lost = here[f"t{k + 1}"].notnull(), here.t_lost.notnull()
        until = ibis.ifelse(moved, here[f"t{k + 1}"], ibis.ifelse(lost, here.t_lost, here.t_end))
        outcome = ibis.ifelse(moved, "moved", ibis.ifelse(lost, "lost", "open"))
        age = ibis.greatest((until - here[f"t{k}"]) // HOUR, 0)
        rows = here.select("cohort", "group", step=ibis.literal(k), dated=here[f"own{k}"], outcome=outcome, age=age)
        parts.append(rows.group_by("cohort", "group", "step", "dated", "outcome", "age").agg(n=_.count()))
    return ibis.union(*parts).execute() if len(parts) > 1 else parts[0].execute()


def life_counts(paths: ibis.Table) -> pd.DataFrame:
    """cohort, group, outcome, age (hours since creation), n."""
    won = paths.status == WON
    last = [name for name in paths.columns if name.startswith("t") and name[1:].isdigit()][-1]
    until = ibis.ifelse(won, paths[last], ibis.ifelse(paths.status == LOST, paths.t_lost, paths.t_end))
    age = ibis.greatest((until - paths.t0) // HOUR, 0)
    rows = paths.select("cohort", "group", outcome=paths.status, age=age)
    return rows.group_by("cohort", "group", "outcome", "age").agg(n=_.count()).execute()


def stay_counts(book: crm.Book, cohort: ibis.Table) -> pd.DataFrame:
    """stage, age (hours), n_ended, n_open: every visit of the present cohort, those still going on as open."""
    visits = book.visits.filter(_.kind == OPEN, _.entered_at.notnull())
    visits = visits.join(cohort.filter(_.cohort == "now").select("deal_id"), "deal_id")
    until = visits.left_at.coalesce(book.cut)
    age = (until.epoch_seconds() - visits.entered_at.epoch_seconds()) // HOUR
    rows = visits.select("stage", age=age, ended=visits.left_at.notnull())
    return rows.group_by("stage", "age").agg(n_ended=_.ended.sum(), n_open=(~_.ended).sum()).execute()


def closing_counts(book: crm.Book, scope: Scope, dimension: str) -> pd.DataFrame:
    """cohort (of the closing day), group, status, n, n_amount, n_negative, total, squares (minor units)."""
    deals = book.deals.filter(_.pipeline == scope.pipeline, _.closed_at.notnull())
    deals = crm.with_group(book, deals, dimension)
    deals = deals.mutate(cohort=_in_cohort(deals.closed_at, book, scope)).filter(_.cohort.notnull())
    amount = deals.amount_minor.cast("float64")
    counts = deals.group_by("cohort", "group", "status").agg(
        n=_.count(),
        n_amount=_.amount_minor.count(),
        n_negative=(_.amount_minor < 0).sum(),
        total=_.amount_minor.sum().cast("float64"),
        squares=(amount * amount).sum(),
    )
    return counts.execute().fillna({"total": 0.0, "squares": 0.0, "group": NOT_KNOWN})


def standing(book: crm.Book, scope: Scope) -> pd.DataFrame:
    """Every deal of the pipeline at the end of `as_of`: stage (missing where not known), kind, n, n_undated,
    n_amount, amount."""
    deals = book.deals.filter(_.pipeline == scope.pipeline)
    counts = deals.group_by("stage").agg(
        n=_.count(), n_undated=_.created_at.isnull().sum(), n_amount=_.amount_minor.count(), minor=_.amount_minor.sum()
    )
    stages = book.stages.filter(_.pipeline == scope.pipeline).execute().sort_values("position")
    counted = counts.execute()
    table = stages[["stage", "kind"]].merge(counted[counted["stage"].notna()], on="stage", how="left")
    table = pd.concat([table, counted[counted["stage"].isna()].assign(kind=OPEN)], ignore_index=True)
    table[["n", "n_undated", "n_amount"]] = table[["n", "n_undated", "n_amount"]].fillna(0).astype(int)
    amount = table["minor"].astype("float64") / book.minor_units
    return table.assign(amount=amount.where(table["n_amount"] > 0)).drop(columns="minor")


def longest(book: crm.Book, scope: Scope, n: int = 8) -> pd.DataFrame:
    """The open deals that have been longest in a known stage: deal, account, stage, days_in_stage, amount."""
    deals = book.deals.filter(_.pipeline == scope.pipeline, _.status == OPEN, _.stage_entered_at.notnull())
    deals = deals.filter(_.stage.notnull(), ibis.literal(any(scope.stages)))
    accounts = book.accounts.select("account_id", account=_.name)
    deals = deals.left_join(accounts, "account_id")
    seconds = ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64") - deals.stage_entered_at.epoch_seconds()
    rows = deals.select("deal_id", "name", "account", "stage", "amount_minor", "stage_entered_at", seconds=seconds)
    top = rows.order_by(ibis.desc("seconds"), "deal_id").limit(n).execute()
    return top.assign(
        days_in_stage=top["seconds"] / 86_400, amount=top["amount_minor"].astype("float64") / book.minor_units
    )


def open_before(book: crm.Book, scope: Scope) -> pd.DataFrame:
    """n_open and amount_minor of the pipeline at the end of the months compared with; no row where not known."""
    if "before" not in scope.cohorts or "amount" not in book.about["tracked"]:
        return pd.DataFrame(columns=["n_open", "amount_minor"])
    end = periods.end_of(scope.cohorts["before"].last_on, book.time_zone)
    spans = book.states.filter(_.kind == OPEN, _.entered_at < end, _.left_at.isnull() | (_.left_at >= end))
    spans = spans.semi_join(book.deals.filter(_.pipeline == scope.pipeline), "deal_id")
    return spans.agg(n_open=_.count(), amount_minor=_.amount_minor.sum()).execute()
