"""The funnel's numbers: counts in the engine, inference on the counts.

A deal belongs to the cohort of the months it was created in. It counts at a stage if it reached it or
passed it; a lost deal is not counted beyond its last real stage. What a deal is (won, lost, open) is
what it was at the end of `as_of`, so a deal that was lost and came back is followed on.
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm

from salesops import crm, periods, stats
from salesops.funnel.params import Params
from salesops.stats import Estimate

HOUR, DAY_HOURS = 3600, 24
WON, LOST, OPEN = "won", "lost", "open"
SETTLED = 0.05  # where less than this share is still open, a rate cannot move by more
ALL = ""  # the group of all deals together


class Scope(NamedTuple):
    """What is looked at: a pipeline, its open stages in order, and the cohorts by name."""

    pipeline: str
    stages: tuple[str, ...]
    cohorts: dict[str, periods.Period]  # "now", and "before" where compared
    horizon_days: int
    min_deals: int


class Funnel(NamedTuple):
    """Everything the page needs, as small frames; `cohort` is now or before, `group` is `ALL` for all.

    steps : cohort, group, step (0 for the first stage), n_reached, n_moved, n_lost, n_open, dated,
        rate (Estimate or None: the share that went further), age_days (by which age), watched.
    lives : cohort, group, n, n_won, n_lost, n_open, rate (the share won), age_days, watched.
    curves : cohort -> Incidence of won and lost by age in hours.
    stays : stage, n, n_open, median, upper (days; Estimate or None).
    closings : cohort, group, n_won, n_lost, won_amount, by_count, by_value (Estimate or None).
    standing : stage, kind, n, n_undated, n_amount, amount: every deal at the end of `as_of`.
    longest : the open deals that have been longest in their stage.
    changes : group, step, n, rate, rate_before, age_days, change (Estimate), p, p_adjusted.
    """

    scope: Scope
    steps: pd.DataFrame
    lives: pd.DataFrame
    curves: dict[str, stats.Incidence]
    stays: pd.DataFrame
    closings: pd.DataFrame
    standing: pd.DataFrame
    longest: pd.DataFrame
    changes: pd.DataFrame


def measure(book: crm.Book, params: Params) -> Funnel:
    """The funnel of one pipeline.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, or no deal of it was created in the period.
    """
    scope = find_scope(book, params)
    cohort = _cohort(book, scope, params.segment_by).cache()
    paths = _paths(book, scope, cohort).cache()
    steps = conversions(_with_all(_step_counts(scope, paths)), scope)
    life_counts = _with_all(_life_counts(paths))
    if not (life_counts["cohort"] == "now").any():
        window = scope.cohorts["now"]
        raise ValueError(
            f"no deal of the pipeline {scope.pipeline!r} was created from {window.first_on} to {window.last_on}; "
            f"the source runs to {book.last_on}"
        )
    together = life_counts[life_counts["group"] == ALL]
    curves = {name: _incidence(part, WON) for name, part in together.groupby("cohort")}
    return Funnel(
        scope,
        steps,
        lives(life_counts, scope),
        curves,
        _stays(book, scope, cohort),
        closings(_closing_counts(book, scope, params.segment_by), book.minor_units),
        _standing(book, scope),
        _longest(book, scope),
        changes(steps, scope),
    )


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
    cohorts = {"now": params.window} | ({"before": params.versus} if params.versus else {})
    return Scope(pipeline, tuple(names), cohorts, params.horizon_days, params.min_deals)


def _in_cohort(moment: ibis.Column, book: crm.Book, scope: Scope) -> ibis.Column:
    """Which cohort a moment falls in; missing outside. Where two overlap, it is now."""
    bounds = {
        name: (periods.start_of(p.first_on, book.time_zone), periods.end_of(p.last_on, book.time_zone))
        for name, p in scope.cohorts.items()
    }
    return ibis.cases(*[((moment >= low) & (moment < high), name) for name, (low, high) in bounds.items()])


def _cohort(book: crm.Book, scope: Scope, dimension: str) -> ibis.Table:
    deals = crm.with_group(book, book.deals.filter(_.pipeline == scope.pipeline), dimension)
    deals = deals.mutate(cohort=_in_cohort(deals.created_at, book, scope)).filter(_.cohort.notnull())
    return deals.select("deal_id", "cohort", "group", "status", "created_at")


def _paths(book: crm.Book, scope: Scope, cohort: ibis.Table) -> ibis.Table:
    """One row per deal: when it reached each step (t0, t1, ... won) or was lost, in epoch seconds."""
    n = len(scope.stages)
    visits = book.visits.join(cohort, "deal_id")
    won, lost = (visits.kind == kind for kind in (WON, LOST))
    ended = visits.left_at.isnull()
    at = visits.entered_at.epoch_seconds()
    step = ibis.ifelse(won, n + 1, visits.position)
    reached = ~lost & (~won | ended)
    times = {f"t{k}": at.min(where=reached & (step >= k + 1)) for k in range(1, n + 1)}
    own = {f"own{k}": ((visits.position == k + 1) & (visits.kind == OPEN)).any() for k in range(n)}
    paths = visits.group_by("deal_id", "cohort", "group", "status").agg(
        t0=ibis.least(at.min(), visits.created_at.min().epoch_seconds()), t_lost=at.max(where=lost & ended), **times, **own
    )
    end = int(pd.Timestamp(book.cut).timestamp())
    return paths.mutate(t_end=ibis.literal(end, "int64"))


def _step_counts(scope: Scope, paths: ibis.Table) -> pd.DataFrame:
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


def _life_counts(paths: ibis.Table) -> pd.DataFrame:
    """cohort, group, outcome, age (hours since creation), n."""
    won = paths.status == WON
    last = [name for name in paths.columns if name.startswith("t") and name[1:].isdigit()][-1]
    until = ibis.ifelse(won, paths[last], ibis.ifelse(paths.status == LOST, paths.t_lost, paths.t_end))
    age = ibis.greatest((until - paths.t0) // HOUR, 0)
    rows = paths.select("cohort", "group", outcome=paths.status, age=age)
    return rows.group_by("cohort", "group", "outcome", "age").agg(n=_.count()).execute()


def _with_all(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts of each group, and of all deals together as group `ALL`, in a fixed order."""
    keys = [name for name in counts.columns if name not in ("group", "n")]
    together = counts.groupby(keys, as_index=False)["n"].sum().assign(group=ALL)
    split = counts.assign(group=counts["group"].fillna("?"))
    parts = [together] if set(counts["group"]) <= {"all"} else [together, split]
    return pd.concat(parts, ignore_index=True).sort_values(["group", *keys], ignore_index=True)


def conversions(counts: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """One row per cohort, group and step; see `Funnel.steps`."""
    rows = []
    for (cohort, group, step), part in counts.groupby(["cohort", "group", "step"], sort=True):
        by = part.groupby("outcome")["n"].sum().reindex(["moved", LOST, OPEN], fill_value=0)
        dated = int(part.loc[part["dated"], "n"].sum())
        row = {"cohort": cohort, "group": group, "step": step, "n_reached": int(by.sum()), "n_moved": int(by["moved"]),
               "n_lost": int(by[LOST]), "n_open": int(by[OPEN]), "dated": dated}  # fmt: skip
        rows.append(row | _rate(part, "moved", scope if dated else None))
    return pd.DataFrame(rows)


def lives(counts: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """One row per cohort and group; see `Funnel.lives`."""
    rows = []
    for (cohort, group), part in counts.groupby(["cohort", "group"], sort=True):
        by = part.groupby("outcome")["n"].sum().reindex([WON, LOST, OPEN], fill_value=0)
        row = {"cohort": cohort, "group": group, "n": int(by.sum()), "n_won": int(by[WON]), "n_lost": int(by[LOST]),
               "n_open": int(by[OPEN])}  # fmt: skip
        rows.append(row | _rate(part, WON, scope))
    return pd.DataFrame(rows)


class Watched(NamedTuple):
    """The share of some deals that ended by one cause, by age in hours, with open deals censored.

    Where none is open the cohort is complete, and the interval is Wilson's.
    """

    curve: stats.Incidence
    cause: str
    complete: bool

    def at(self, age: float) -> Estimate:
        found = self.curve.at(self.cause, age)
        return stats.wilson(round(found.value * found.n), found.n) if self.complete else found

    def supported(self, age: float, min_deals: int) -> float | None:
        """`age`, if enough deals were watched so long or next to none is open; else the last whole
        day that enough deals reached; None where there is no such day."""
        before = int(np.searchsorted(self.curve.age, age, side="right"))
        enough = np.flatnonzero(self.curve.n_at_risk[:before] >= min_deals)
        if not len(enough):
            return None
        last = enough[-1]
        if last == before - 1 or self.curve.still_open[last] <= SETTLED:
            return age
        return float(self.curve.age[last] // DAY_HOURS * DAY_HOURS) or None


def _rate(part: pd.DataFrame, cause: str, scope: Scope | None) -> dict:
    """rate, age_days and watched of a group; None where there are too few deals, or no scope to judge by."""
    nothing = {"rate": None, "age_days": np.nan, "watched": None}
    if scope is None or part["n"].sum() < scope.min_deals:
        return nothing
    watched = Watched(_incidence(part, cause), cause, complete=not (part["outcome"] == OPEN).any())
    age = watched.supported(scope.horizon_days * DAY_HOURS, scope.min_deals)
    if age is None:
        return nothing
    return {"rate": watched.at(age), "age_days": age / DAY_HOURS, "watched": watched}


def _incidence(part: pd.DataFrame, cause: str) -> stats.Incidence:
    """Aalen-Johansen of `cause` and of being lost, from rows of outcome, age and n."""
    wide = part.pivot_table(index="age", columns="outcome", values="n", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=[cause, LOST, OPEN], fill_value=0).add_prefix("n_").reset_index()
    return stats.aalen_johansen(wide, {cause: f"n_{cause}", LOST: "n_lost"})


def _stays(book: crm.Book, scope: Scope, cohort: ibis.Table) -> pd.DataFrame:
    """Time in stage of the present cohort: every visit counts, those still going on as censored."""
    visits = book.visits.filter(_.kind == OPEN, _.entered_at.notnull())
    visits = visits.join(cohort.filter(_.cohort == "now").select("deal_id"), "deal_id")
    until = visits.left_at.coalesce(book.cut)
    age = (until.epoch_seconds() - visits.entered_at.epoch_seconds()) // HOUR
    rows = visits.select("stage", age=age, ended=visits.left_at.notnull())
    counts = rows.group_by("stage", "age").agg(n_ended=_.ended.sum(), n_open=(~_.ended).sum()).execute()
    found = []
    for stage in scope.stages:
        part = counts[counts["stage"] == stage]
        n, n_open = int(part[["n_ended", "n_open"]].to_numpy().sum()), int(part["n_open"].sum())
        row = {"stage": stage, "n": n, "n_open": n_open, "median": None, "upper": None}
        if n >= scope.min_deals:
            survival = stats.kaplan_meier(part)
            row |= {"median": _in_days(survival.quantile(0.5)), "upper": _in_days(survival.quantile(0.75))}
        found.append(row)
    return pd.DataFrame(found)


def _in_days(hours: Estimate | None) -> Estimate | None:
    return None if hours is None else Estimate(*(value / DAY_HOURS for value in hours[:3]), hours.n)


def _closing_counts(book: crm.Book, scope: Scope, dimension: str) -> pd.DataFrame:
    """cohort (of the closing day), group, status, n, n_amount, total, squares (minor units)."""
    deals = book.deals.filter(_.pipeline == scope.pipeline, _.closed_at.notnull())
    deals = crm.with_group(book, deals, dimension)
    deals = deals.mutate(cohort=_in_cohort(deals.closed_at, book, scope)).filter(_.cohort.notnull())
    amount = deals.amount_minor.cast("float64")
    counts = deals.group_by("cohort", "group", "status").agg(
        n=_.count(), n_amount=_.amount_minor.count(), total=_.amount_minor.sum().cast("float64"), squares=(amount * amount).sum()
    )
    return counts.execute().fillna({"total": 0.0, "squares": 0.0, "group": "?"})


def closings(counts: pd.DataFrame, minor_units: int) -> pd.DataFrame:
    """Win rate of the deals closed in the period, by count and by value; None where it cannot be known.

    By value it is unknown where an amount is missing for any won or lost deal more than one in ten.
    """
    sums = ["n", "n_amount", "total", "squares"]
    together = counts.groupby(["cohort", "status"], as_index=False)[sums].sum().assign(group=ALL)
    rows = []
    split = counts[counts["group"] != "all"]
    for (cohort, group), part in pd.concat([together, split]).groupby(["cohort", "group"], sort=True):
        by = part.groupby("status")[sums].sum().reindex([WON, LOST], fill_value=0)
        (n_won, n_lost), (won, lost) = by["n"].astype(int), by["total"]
        valued = (by["n_amount"] >= 0.9 * by["n"]).all() and won + lost > 0
        rows.append({
            "cohort": cohort, "group": group, "n_won": n_won, "n_lost": n_lost,
            "won_amount": won / minor_units if by["n_amount"][WON] else np.nan,
            "by_count": stats.wilson(n_won, n_won + n_lost) if n_won + n_lost else None,
            "by_value": stats.ratio_of_sums(won, lost, *by["squares"], n_won + n_lost) if valued else None,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["cohort", "group", "n_won", "n_lost", "won_amount", "by_count", "by_value"])


def _standing(book: crm.Book, scope: Scope) -> pd.DataFrame:
    """Every deal of the pipeline at the end of `as_of`: stage, kind, n, n_undated, n_amount, amount."""
    deals = book.deals.filter(_.pipeline == scope.pipeline)
    counts = deals.group_by("stage").agg(
        n=_.count(), n_undated=_.created_at.isnull().sum(), n_amount=_.amount_minor.count(), minor=_.amount_minor.sum()
    )
    stages = book.stages.filter(_.pipeline == scope.pipeline).execute().sort_values("position")
    table = stages[["stage", "kind"]].merge(counts.execute(), on="stage", how="left")
    table[["n", "n_undated", "n_amount"]] = table[["n", "n_undated", "n_amount"]].fillna(0).astype(int)
    amount = table["minor"].astype("float64") / book.minor_units
    return table.assign(amount=amount.where(table["n_amount"] > 0)).drop(columns="minor")


def _longest(book: crm.Book, scope: Scope, n: int = 8) -> pd.DataFrame:
    """The open deals that have been longest in their stage: deal, account, stage, days_in_stage, amount."""
    deals = book.deals.filter(_.pipeline == scope.pipeline, _.status == OPEN, _.stage_entered_at.notnull())
    accounts = book.accounts.select("account_id", account=_.name)
    deals = deals.left_join(accounts, "account_id")
    seconds = ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64") - deals.stage_entered_at.epoch_seconds()
    rows = deals.select("deal_id", "name", "account", "stage", "amount_minor", "stage_entered_at", seconds=seconds)
    top = rows.order_by(ibis.desc("seconds"), "deal_id").limit(n).execute()
    return top.assign(
        days_in_stage=top["seconds"] / 86_400, amount=top["amount_minor"].astype("float64") / book.minor_units
    )


def changes(steps: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """Now against before, by group and step, at the latest age that both cohorts support.

    Returns
    -------
    DataFrame
        group, step, rate, rate_before, age_days, change (Estimate), p, p_adjusted. The stages of all
        deals together are one family of comparisons (Benjamini-Hochberg); those of the groups another.
    """
    columns = ["group", "step", "n", "rate", "rate_before", "age_days", "change", "p"]
    usable = steps[steps["watched"].notna()].set_index(["cohort", "group", "step"])
    rows = []
    for group, step in [key[1:] for key in usable.index if key[0] == "now"]:
        if ("before", group, step) not in usable.index:
            continue
        now, before = usable.loc[("now", group, step)], usable.loc[("before", group, step)]
        age = min(now["age_days"], before["age_days"]) * DAY_HOURS
        rates = [side["watched"].at(age) for side in (now, before)]
        p = _p_of_change(rates, [side["watched"].curve.se_at("moved", age) for side in (now, before)])
        rows.append([group, step, now["n_reached"], *rates, age / DAY_HOURS, stats.difference(*rates), p])
    table = pd.DataFrame(rows, columns=columns)
    together = table["group"] == ALL
    table["p_adjusted"] = 1.0
    for family in (together, ~together):
        table.loc[family, "p_adjusted"] = stats.adjust_for_many(table.loc[family, "p"])
    return table


def _p_of_change(rates: list[Estimate], se: list[float]) -> float:
    """Two-sided p of no change. The spread is at least the binomial one of the pooled rate, so that a
    rate of 0 or 1, whose own spread is estimated as nothing, is not taken for certain."""
    n = np.array([rate.n for rate in rates])
    pooled = n @ [rate.value for rate in rates] / n.sum()
    spread = float(np.hypot(*np.maximum(se, np.sqrt(pooled * (1 - pooled) / n))))
    return 1.0 if spread == 0 else float(2 * norm.sf(abs(rates[0].value - rates[1].value) / spread))
