"""Counts become figures: each metric of each group in each of its periods, with n and, where cases are counted,
limits."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from salesops import crm, stats
from salesops.scorecard.months import Span
from salesops.scorecard.params import Params
from salesops.scorecard.registry import Metric

LEVELS = ("company", "region", "team")
COLUMNS = ("metric", "level", "group", "period", "value", "low", "high", "n")
AT_END = ("n_open", "open", "n_open_priced", "weighted", "n_weighted")  # not a flow: a month without is not known
YEAR = 12
COVERED = 0.9  # share of the cases that have an amount, below which their sum is not told


def monthly(
    cells: pd.DataFrame, presence: pd.DataFrame, to_book: pd.DataFrame, months: Span
) -> dict[str, pd.DataFrame]:
    """level -> one row per group and month with every sum of `counts.read`, and what follows from them.

    Parameters
    ----------
    to_book : region, team, month, to_book: what was left of the quotas then; see `left_to_book`.
    """
    parts = [cells.drop(columns="rep_id"), presence.drop(columns="rep_id"), to_book]
    together = pd.concat(parts, ignore_index=True)
    known = {name for name in together if name not in ("month", "region", "team") and together[name].notna().any()}
    found = {}
    for level in LEVELS:
        rows = together.assign(group=crm.ALL) if level == "company" else together.rename(columns={level: "group"})
        sums = rows.groupby(["group", "month"])[sorted(known)].sum(min_count=1)
        groups = sorted(rows["group"].unique())
        every = pd.MultiIndex.from_product([groups, months.all], names=["group", "month"])
        sums = sums.reindex(every)
        whole = together.groupby("month")[sorted(known)].sum(min_count=1).notna().reindex(months.all, fill_value=False)
        for name in sorted(known):
            told = whole[name].reindex(sums.index.get_level_values("month")).to_numpy()
            sums[name] = sums[name].where(sums[name].notna() | (~told if name in AT_END else False), 0.0)
        found[level] = _derived(sums)
    return found


def _derived(sums: pd.DataFrame) -> pd.DataFrame:
    made = sums.assign(one=1.0)
    if "open" in sums:
        made["open_before"] = sums.groupby(level="group")["open"].shift()
        if {"won", "cycle_days", "n_open"} <= set(sums):
            before = sums.groupby(level="group")["n_open"].shift()
            closed, size = sums["n_won"] + sums["n_lost"], sums["won"] / sums["n_priced"]
            made["velocity"] = before * sums["n_won"] / closed * size / (sums["cycle_days"] / sums["n_cycled"])
    if "listed" in sums:
        made["given"] = sums["listed"] - sums["net"]
    if "asked" in sums:
        made["in_order"] = sums["asked"] - sums["lost"]
    if "heads" in sums and "won_settled" in sums:
        last_year = sums.groupby(level="group")[["won_settled", "settled"]].rolling(YEAR).sum().droplevel(0)
        made["capacity"] = sums["heads"] * last_year["won_settled"] / last_year["settled"]
    return made.replace([np.inf, -np.inf], np.nan)


def settled_bookings(cells: pd.DataFrame, presence: pd.DataFrame) -> pd.DataFrame:
    """`cells` with won_settled: what reps who were ramped at the month's end booked in it."""
    if "won" not in cells:
        return cells
    ramped = presence.loc[presence["settled"] == 1, ["rep_id", "month"]].assign(is_settled=True)
    both = cells.merge(ramped, on=["rep_id", "month"], how="left")
    return cells.assign(won_settled=both["won"].where(both["is_settled"].eq(True)).to_numpy())


def left_to_book(carried: pd.DataFrame, cells: pd.DataFrame, months: Span) -> pd.DataFrame:
    """region, team, month, to_book: of the quotas of the period that the day after a month's end is in, what was not
    booked by then. None where it is reached."""
    if carried.empty or "won" not in cells:
        return pd.DataFrame(columns=["region", "team", "month"])
    rows = []
    for month in months.all:
        following = months.first_on(month + 1)
        here = carried[(carried["first_on"] <= following) & (carried["last_on"] >= following)]
        if here.empty:
            continue
        begun = here["first_on"].iloc[0].year * 12 + here["first_on"].iloc[0].month - 1
        if begun < months.first:
            continue
        quota = here.groupby(["region", "team"])["quota"].sum()
        booked = cells[cells["month"].between(begun, month)].groupby(["region", "team"])["won"].sum()
        left = quota.sub(booked, fill_value=0).rename("to_book").reset_index()
        rows.append(left.assign(month=month))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["region", "team", "month"])


def values(
    metrics: Mapping[str, Metric], tables: Mapping[str, pd.DataFrame], params: Params, minor: int
) -> pd.DataFrame:
    """Metrics that are told by month: metric, level, group, period (month), value, low, high, n. A figure of too few
    cases is absent."""
    parts = []
    for key, metric in metrics.items():
        formula = metric.of
        if formula.by != "month":
            continue
        for level, table in tables.items():
            if not set(formula.over + formula.under) <= set(table):
                continue
            top = table[list(formula.over)].sum(axis=1, min_count=len(formula.over))
            lost = set(formula.under) & {"n_lost", "lost_amount"}
            if lost and not tables["company"][list(lost)].sum().all():
                continue  # a source of won deals, or of their amounts, alone tells no rate
            rows = pd.DataFrame({"value": top / (minor if metric.unit == "money" else 1)})
            if formula.under:
                under = table[list(formula.under)].sum(axis=1, min_count=len(formula.under))
                rows["value"] = rows["value"] / under.where(under > 0)
            if formula.known and set(formula.known) <= set(table):
                told, all_ = (table[name] for name in formula.known)
                rows["value"] = rows["value"].where((told >= COVERED * all_) & ((all_ > 0) | (rows["value"] == 0)))
            rows["n"] = _cases(table, formula)
            rows = rows.reset_index().rename(columns={"month": "period"})
            if formula.under:
                rows.loc[rows["n"] < params.min_cases, "value"] = np.nan
            rows = with_limits(rows, formula.rate)
            parts.append(rows.assign(metric=key, level=level))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else pd.DataFrame(columns=list(COLUMNS))


N_OF = {"won": "n_won", "open": "n_open", "weighted": "n_weighted", "created": "n_created", "given": "n_listed",
        "velocity": "n_won", "won_new": "n_won", "now": "n_then", "kept": "n_then", "n_first": "n_first",
        "cycle_days": "n_cycled", "sold_seconds": "work_days", "in_order": "n_open", "capacity": "settled"}  # fmt: skip


def _cases(table: pd.DataFrame, formula) -> pd.Series:
    """What a figure rests on: the cases counted below, else the deals or customers behind the money."""
    if formula.rate:
        return table[list(formula.under)].sum(axis=1)
    name = N_OF.get(formula.over[0], formula.over[0])
    if formula.under and formula.under[0].startswith("n_"):
        return table[list(formula.under)].sum(axis=1)
    return table[name] if name in table else pd.Series(np.nan, index=table.index)


def with_limits(rows: pd.DataFrame, is_rate: bool) -> pd.DataFrame:
    """`rows` with Wilson limits where cases are counted; missing elsewhere."""
    low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    if is_rate:
        for at, (value, n) in enumerate(zip(rows["value"], rows["n"], strict=True)):
            if np.isfinite(value):
                one = stats.wilson(round(value * n), int(n))
                low[at], high[at] = one.low, one.high
    return rows.assign(low=low, high=high)


def of_quotas(
    metrics: Mapping[str, Metric], carried: pd.DataFrame, called: pd.DataFrame, params: Params
) -> pd.DataFrame:
    """Metrics told by the periods of quotas, of those that are known in full; calls of the company alone."""
    parts = []
    for level in LEVELS:
        rows = carried.assign(group=crm.ALL) if level == "company" else carried.rename(columns={level: "group"})
        rows = rows.groupby(["group", "period", "rep_id"], as_index=False).agg(
            quota=("quota", "sum"), booked=("booked", "sum"), ramped=("ramped", "first")
        )  # who was in two teams of a group is one carrier
        for (group, period), own in rows.groupby(["group", "period"], sort=True):
            sums = _attained(own)
            if level == "company" and not called.empty:
                here = called[(called["period"] == period) & (called["weeks"] == HEADLINE_WEEKS)]
                if len(here):
                    actual, n = float(here["actual"].iloc[0]), float(here["n"].iloc[0])
                    right, over = actual - here["off"].iloc[0], (here["called"] - here["actual"]).iloc[0]
                    sums |= {"called_right": (right, n), "called_over": (over, n), "actual": (actual, n)}
            for key, metric in metrics.items():
                formula = metric.of
                if formula.by != "quota" or not set(formula.over + formula.under) <= set(sums):
                    continue
                top, n = sums[formula.over[0]]
                under = sums[formula.under[0]][0]
                n = under if formula.rate else n
                value = top / under if under > 0 and n >= params.min_cases else np.nan
                parts.append((key, level, group, period, value, n, formula.rate))
    table = pd.DataFrame(parts, columns=["metric", "level", "group", "period", "value", "n", "rate"])
    both = [with_limits(part, rate).drop(columns="rate") for rate, part in table.groupby("rate")]
    return pd.concat(both, ignore_index=True)[list(COLUMNS)] if both else pd.DataFrame(columns=list(COLUMNS))


HEADLINE_WEEKS = 4  # before a period's end: the horizon of the headline figures of forecasts


def _attained(own: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """What is summed over the reps with a quota in one period: each sum with the number of reps."""
    own = own[own["quota"] > 0]
    n, at = len(own), own["booked"] >= own["quota"]
    ramped = own["ramped"]
    shares = own["booked"] / own["quota"]
    found = {"n_at_quota": at.sum(), "n_carriers": n, "n_ramped_at_quota": (at & ramped).sum(),
    "n_ramped": ramped.sum(),
             "booked": own["booked"].sum(), "quota": own["quota"].sum(), "one": 1.0}  # fmt: skip
    if n:
        found |= {name: float(shares.quantile(part)) for name, part in (("p25", 0.25), ("median", 0.5), ("p75", 0.75))}
    return {name: (float(value), float(n)) for name, value in found.items()}
