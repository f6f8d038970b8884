"""How long: stays in stages, open ones included; and the open deals that are older than the won ones were."""

import itertools
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.funnel.cohorts import DAY, HOUR, OPEN, WON, Scope, bounds
from salesops.funnel.watching import DAY_HOURS, watch
from salesops.stats import Estimate

ALL = crm.ALL
STALE_BEYOND = 0.75  # of the stays of won deals
QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9}


class Times(NamedTuple):
    """Times in stage of the deals of the present cohort; days; amounts in whole units.

    stays : stage, n, n_again (visits of a stage the deal had been in before), n_open, median, p75, p90 (Estimate or
        None): each visit for itself.
    totals : stage, n (deals), n_open, median, p75, p90: all visits of a deal to the stage together.
    limits : stage, group, n_won, limit_days: three quarters of the stays of deals won in a year ended by then.
    stale : stage, n_open, n_limited (in a stage and group with a limit), n_stale, amount: open deals past it; and of
        stays entered in two years after (Estimate of the share of deals won within `age_days` of passing the limit),
        usual (the same of all, from entering the stage), or None.
    longest : the open deals longest past their limit: deal_id, name, account, stage, days_in_stage, limit_days, amount.
    """

    stays: pd.DataFrame
    totals: pd.DataFrame
    limits: pd.DataFrame
    stale: pd.DataFrame
    longest: pd.DataFrame


def stay_counts(book: crm.Book, cohort: ibis.Table, dimensions: list[str]) -> pd.DataFrame:
    """dimension, group, stage, again, age (hours), n_ended, n_open: every visit of the present cohort.

    The dimension `all` has one group.
    """
    visits = book.own_visits.filter(_.kind == OPEN, _.entered_at.notnull())
    again = ibis.row_number().over(ibis.window(group_by=[visits.deal_id, visits.stage], order_by=visits.seq)) > 0
    visits = visits.mutate(again=again)
    names = [f"by_{one}" for one in dimensions]
    visits = visits.join(cohort.filter(_.cohort == "now").select("deal_id", *names), "deal_id")
    age = (visits.left_at.coalesce(book.cut).epoch_seconds() - visits.entered_at.epoch_seconds()) // HOUR
    groups = {name: visits[name] for name in names}
    rows = visits.select("stage", "again", age=age, ended=visits.left_at.notnull(), all=ibis.literal(ALL), **groups)
    long = rows.pivot_longer(["all", *names], names_to="dimension", values_to="group")
    counted = long.group_by("dimension", "group", "stage", "again", "age")
    table = counted.agg(n_ended=_.ended.sum(), n_open=(~_.ended).sum()).execute()
    return table.assign(dimension=table["dimension"].str.removeprefix("by_"))


def stay_correlations(book: crm.Book, scope: Scope, cohort: ibis.Table) -> dict[frozenset[str], float]:
    """Pair of stages -> correlation of the logarithms of a deal's ended stays in them; 0 where it is not above 0.

    A slow deal is slow in every stage, so stays are no independent witnesses of a group's pace.
    """
    stages = [stage for stage in scope.stages if stage]
    visits = book.own_visits.filter(_.kind == OPEN, _.entered_at.notnull(), _.left_at.notnull())
    visits = visits.semi_join(cohort.filter(_.cohort == "now"), "deal_id")
    hours = (visits.left_at.epoch_seconds() - visits.entered_at.epoch_seconds()).cast("float64") / HOUR
    logs = (ibis.greatest(hours, 0.0) + 1).ln()
    deals = visits.group_by("deal_id").agg(
        **{f"x{k}": logs.mean(where=visits.stage == stage) for k, stage in enumerate(stages)}
    )
    pairs = list(itertools.combinations(range(len(stages)), 2))
    sums = {}
    for j, k in pairs:
        x, y = deals[f"x{j}"], deals[f"x{k}"]
        both = x.notnull() & y.notnull()
        for name, value in {"n": both.cast("int64"), "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}.items():
            sums[f"{name} {j} {k}"] = value.sum(where=both)
    if not pairs:
        return {}
    row = deals.agg(**sums).execute().iloc[0]
    found = {}
    for j, k in pairs:
        n, x, y, xx, yy, xy = (float(row[f"{name} {j} {k}"] or 0) for name in ("n", "x", "y", "xx", "yy", "xy"))
        spread = (n * xx - x * x) * (n * yy - y * y)
        rho = (n * xy - x * y) / np.sqrt(spread) if n > 2 and spread > 0 else 0.0
        found[frozenset((stages[j], stages[k]))] = float(np.clip(np.nan_to_num(rho), 0.0, 1.0))
    return found


def measure(book: crm.Book, scope: Scope, base: ibis.Table, cohort: ibis.Table, stays: pd.DataFrame) -> Times:
    """Times in stage of the deals of `base` and of the present cohort; see `Times`."""
    found = stays[stays["dimension"] == "all"]
    again = found[found["again"]].groupby("stage")[["n_ended", "n_open"]].sum().sum(axis=1)
    by_visit = _quantiles(found, scope)
    by_visit["n_again"] = [int(again.get(stage, 0)) for stage in by_visit["stage"]]
    staged = any(scope.stages)
    limits = _limits(_won_stays(book, scope, base), scope) if staged else _no_limits()
    stale, longest = _stale(book, scope, base, limits) if staged else (_no_stale(), pd.DataFrame())
    after = _after(book, scope, base, limits) if len(limits) else {}
    rates = [after.get(stage, (None, None, np.nan)) for stage in stale["stage"]]
    stale = stale.assign(**{name: [one[k] for one in rates] for k, name in enumerate(("after", "usual", "age_days"))})
    return Times(by_visit, _quantiles(_totals(book, cohort), scope), limits, stale, longest)


def _quantiles(table: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """One row per stage: n, n_open and the Kaplan-Meier quantiles in days."""
    rows = []
    for stage in filter(None, scope.stages):
        part = table[table["stage"] == stage]
        n, n_open = int(part[["n_ended", "n_open"]].to_numpy().sum()), int(part["n_open"].sum())
        row = {"stage": stage, "n": n, "n_open": n_open, **dict.fromkeys(QUANTILES)}
        if n >= scope.min_deals:
            survival = stats.kaplan_meier(part)
            row |= {name: _in_days(survival.quantile(share)) for name, share in QUANTILES.items()}
        rows.append(row)
    return pd.DataFrame(rows, columns=["stage", "n", "n_open", *QUANTILES])


def _in_days(hours: Estimate | None) -> Estimate | None:
    return None if hours is None else Estimate(*(value / DAY_HOURS for value in hours[:3]), hours.n)


def _totals(book: crm.Book, cohort: ibis.Table) -> pd.DataFrame:
    """stage, age (hours, all visits of a deal together), n_ended, n_open (the deal is in the stage)."""
    visits = book.own_visits.filter(_.kind == OPEN, _.entered_at.notnull())
    visits = visits.semi_join(cohort.filter(_.cohort == "now"), "deal_id")
    seconds = visits.left_at.coalesce(book.cut).epoch_seconds() - visits.entered_at.epoch_seconds()
    deals = visits.group_by("deal_id", "stage").agg(seconds=seconds.sum(), going_on=visits.left_at.isnull().any())
    rows = deals.select("stage", "going_on", age=deals.seconds // HOUR)
    return rows.group_by("stage", "age").agg(n_ended=(~_.going_on).sum(), n_open=_.going_on.sum()).execute()


def _won_stays(book: crm.Book, scope: Scope, base: ibis.Table) -> pd.DataFrame:
    """stage, group, age (hours), n: the ended stays of deals won in the year up to the end of the months."""
    low, high = bounds(periods.trailing(scope.cohorts["now"], 12), book)
    won = base.filter(_.status == WON, _.closed_at >= low, _.closed_at < high).select("deal_id", "group")
    visits = book.own_visits.filter(_.kind == OPEN, _.entered_at.notnull(), _.left_at.notnull()).join(won, "deal_id")
    age = (visits.left_at.epoch_seconds() - visits.entered_at.epoch_seconds()) // HOUR
    rows = visits.select("stage", "group", age=age)
    table = rows.group_by("stage", "group", "age").agg(n=_.count()).execute()
    return table.assign(group=table["group"].fillna(crm.NOT_KNOWN))


def _no_limits() -> pd.DataFrame:
    return pd.DataFrame(columns=["stage", "group", "n_won", "limit_days"])


def _limits(table: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """The limit of each stage and group, or of the stage (group `ALL`) for groups with too few won deals."""
    together = table.groupby(["stage", "age"], as_index=False)["n"].sum().assign(group=ALL)
    rows = []
    for (stage, group), part in pd.concat([table[table["group"] != ALL], together]).groupby(["stage", "group"]):
        part = part.sort_values("age")
        upto = part["n"].cumsum() / part["n"].sum()
        if part["n"].sum() >= scope.min_deals:
            limit = part["age"].iloc[int(np.searchsorted(upto, STALE_BEYOND))] / DAY_HOURS
            rows.append((stage, group, int(part["n"].sum()), max(float(limit), 1 / DAY_HOURS)))
    return pd.DataFrame(rows, columns=["stage", "group", "n_won", "limit_days"])


def _limited(limits: pd.DataFrame, stage: ibis.Column, group: ibis.Column) -> ibis.Column:
    """Seconds after which a stay is stale, in the engine; missing where no limit is known."""
    cases = [
        (
            (stage == row.stage) & (group.isnull() if row.group == crm.NOT_KNOWN else group == row.group),
            round(row.limit_days * DAY),
        )
        for row in limits[limits["group"] != ALL].itertuples()
    ]
    cases += [(stage == row.stage, round(row.limit_days * DAY)) for row in limits[limits["group"] == ALL].itertuples()]
    return ibis.cases(*cases)


def _after(book: crm.Book, scope: Scope, base: ibis.Table, limits: pd.DataFrame) -> dict[str, tuple]:
    """stage -> the share won of the deals that passed its limit, from then; of all, from entering it; by which day.

    Of each deal the first stay in the stage counts, and the first that passed the limit, of two years.
    """
    low, _high = bounds(periods.trailing(scope.cohorts["now"], 24), book)
    deals = base.filter((_.status == OPEN) | _.closed_at.notnull()).select(
        "deal_id", "status", "group", closed_s=_.closed_at.epoch_seconds()
    )
    visits = book.own_visits.filter(_.kind == OPEN, _.entered_at >= low).join(deals, "deal_id")
    end = ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64")
    entered = visits.entered_at.epoch_seconds()
    limit = _limited(limits, visits.stage, visits.group)
    stale = visits.left_at.epoch_seconds().coalesce(end) - entered > limit
    past = ibis.ifelse(stale, entered + limit, ibis.null("int64"))
    rows = visits.filter(limit.notnull()).mutate(past=past, entered=entered)
    each = rows.group_by("deal_id", "stage", "status", "closed_s").agg(after=_.past.min(), usual=_.entered.min())
    long = each.pivot_longer(["after", "usual"], names_to="clock", values_to="began").filter(_.began.notnull())
    age = ibis.greatest((long.closed_s.coalesce(end) - long.began) // HOUR, 0)
    counted = long.select("stage", "clock", outcome=_.status, age=age)
    table = counted.group_by("stage", "clock", "outcome", "age").agg(n=_.count()).execute()
    found = {}
    for stage, part in table.groupby("stage"):
        sides = [watch(part[part["clock"] == clock], WON, scope) for clock in ("after", "usual")]
        if all(one["watched"] for one in sides):
            days = min(one["age_days"] for one in sides)
            found[stage] = (*(one["watched"].at(days * DAY_HOURS) for one in sides), days)
    return found


def _no_stale() -> pd.DataFrame:
    return pd.DataFrame(columns=["stage", "n_open", "n_limited", "n_stale", "amount"])


def _stale(book: crm.Book, scope: Scope, base: ibis.Table, limits: pd.DataFrame, n_listed: int = 10):
    """Open deals by stage, those past their limit, and the first of these."""
    deals = base.filter(_.status == OPEN, _.stage_entered_at.notnull(), _.stage.notnull())
    end = ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64")
    limit = _limited(limits, deals.stage, deals.group) if len(limits) else ibis.null("int64")
    deals = deals.mutate(seconds=end - deals.stage_entered_at.epoch_seconds(), limit_s=limit)
    past = (deals.seconds > deals.limit_s).fill_null(False)
    by_stage = deals.group_by("stage").agg(
        n_open=_.count(), n_limited=_.limit_s.count(), n_stale=past.sum(),
        minor=deals.amount_minor.sum(where=past), n_amount=deals.amount_minor.count(where=past),
    ).execute().set_index("stage")  # fmt: skip
    rows = []
    for stage in scope.stages:
        row = by_stage.loc[stage] if stage in by_stage.index else None
        if row is not None:
            amount = float(row["minor"]) / book.minor_units if row["n_amount"] else np.nan
            rows.append((stage, int(row["n_open"]), int(row["n_limited"]), int(row["n_stale"]), amount))
    accounts = book.accounts.select("account_id", account=_.name)
    listed = deals.mutate(past=past).left_join(accounts, "account_id")
    top = listed.order_by(ibis.desc("past"), ibis.desc("seconds"), "deal_id").limit(n_listed)
    top = top.select("deal_id", "name", "account", "stage", "seconds", "limit_s", "amount_minor").execute()
    longest = top.assign(
        days_in_stage=top["seconds"] / DAY, limit_days=top["limit_s"].astype("float64") / DAY,
        amount=top["amount_minor"].astype("float64") / book.minor_units,
    )  # fmt: skip
    return pd.DataFrame(rows, columns=_no_stale().columns), longest
