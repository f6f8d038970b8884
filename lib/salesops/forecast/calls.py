"""Judgement: what reps and managers called, how far off each of them usually is, and what each hand-off added.

A call counts as it stood at a day: the last one made before it for the quarter. Nothing is overwritten.
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm

from salesops import crm, stats
from salesops.forecast.params import Params
from salesops.stats import Estimate
from salesops.stats.shrinkage import pool_means

OPEN_CATEGORIES = ("commit", "most_likely", "best_case", "pipeline")  # each with all before it, and what is booked
LEAST_CALLS = 4  # quarters that a caller was there for
LEAST_CALLERS = 3


class Calls(NamedTuple):
    """callers : rep_id, name, n (past quarters), bias (Estimate of call over booked less 1, drawn to the common one;
    None where there are too few), spread (relative standard deviation around it), p (of no bias, adjusted), now (their
    call of this quarter; NaN where none), corrected (the same without the bias). total, corrected : calls of this
    quarter together, both ways; None where nobody called. n_now : callers of them. record : quarter, point, actual,
    called, corrected, n: what the calls of past quarters added up to. categories : category, n, amount (whole units,
    with all before it and what is booked). commit : precision and recall of deals in commit at this day of past
    quarters, as Estimates of shares; None where no deal ever was, or categories are on no log.
    """

    callers: pd.DataFrame
    total: float | None
    corrected: float | None
    n_now: int
    record: pd.DataFrame
    categories: pd.DataFrame
    precision: Estimate | None
    recall: Estimate | None


def measure(book: crm.Book, params: Params, origins: pd.DataFrame, made: list) -> Calls:
    """What was called at each moment of `origins` (by its number `week`), against what was booked by the callers."""
    called, booked = _read(book, params, origins)
    now = made[-1]
    past = _pairs(called, booked, origins, now.point)
    callers = _callers(book, past)
    mine = called[called["week"] == origins["week"].iloc[-1]].set_index("rep_id")["amount"]
    callers["now"] = callers["rep_id"].map(mine).astype("float64")
    callers["corrected"] = [
        row.now if row.bias is None else row.now / (1 + row.bias.value) for row in callers.itertuples()
    ]
    known = callers["now"].notna()
    unknown = mine[~mine.index.isin(callers["rep_id"])]
    total = float(mine.sum()) if len(mine) else None
    corrected = float(callers.loc[known, "corrected"].sum() + unknown.sum()) if len(mine) else None
    return Calls(
        callers, total, corrected, len(mine), _record(called, booked, origins), _categories(now),
        *_commit([one for one in made[:-1] if one.point == now.point]),
    )  # fmt: skip


def _read(book: crm.Book, params: Params, origins: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last call of each caller at each moment, and what each had booked by each quarter's end; whole units."""
    empty = pd.DataFrame({"week": [], "rep_id": [], "amount": []}).astype({"week": "int64", "rep_id": "str"})
    if not book.has("forecast_calls") or params.pipeline:
        return empty, empty.rename(columns={"week": "quarter"}).astype({"quarter": "str"})
    calls = book.forecast_calls.filter(_.category.isnull() | (_.category == "commit"))
    moments = ibis.memtable(origins[["week", "quarter", "at"]].astype({"at": "datetime64[us]"}))
    known = calls.join(moments, [calls.period == moments.quarter, calls.called_at < moments.at])
    last = known.group_by("week", "rep_id").agg(minor=_.amount_minor.argmax(_.called_at))
    called = last.order_by("week", "rep_id").execute()
    deals = book.deals.filter(_.status == "won", _.closed_at.notnull(), _.rep_id.notnull())
    spans = (
        origins[["quarter", "begun", "end"]]
        .drop_duplicates()
        .astype({"begun": "datetime64[us]", "end": "datetime64[us]"})
    )
    spans = ibis.memtable(spans[spans["end"] <= pd.Timestamp(book.cut)])
    won = deals.join(spans, [deals.closed_at >= spans.begun, deals.closed_at < spans.end])
    own = (
        won.group_by("quarter", "rep_id")
        .agg(minor=_.amount_minor.sum().coalesce(0))
        .order_by("quarter", "rep_id")
        .execute()
    )
    for table in (called, own):
        table["amount"] = table.pop("minor").astype("float64") / book.minor_units
    return called, own


def _pairs(called: pd.DataFrame, booked: pd.DataFrame, origins: pd.DataFrame, point: int) -> pd.DataFrame:
    """Quarter, rep_id, call, actual: the calls of a point of past quarters and what was booked."""
    at = origins.loc[(origins["point"] == point), ["week", "quarter"]].iloc[:-1]
    pairs = called.merge(at, on="week").rename(columns={"amount": "call"})
    pairs = pairs.merge(booked.rename(columns={"amount": "actual"}), on=["quarter", "rep_id"], how="left")
    return pairs.fillna({"actual": 0.0})


def _callers(book: crm.Book, past: pd.DataFrame) -> pd.DataFrame:
    """Each caller's bias on the logarithm, drawn to that of all by how much callers differ beyond their own scatter."""
    usable = past[(past["call"] > 0) & (past["actual"] > 0)]
    logs = usable.assign(log=np.log(usable["call"] / usable["actual"])).groupby("rep_id")["log"]
    table = logs.agg(n="count", mean="mean", spread="std").reset_index()
    enough = table["n"] >= LEAST_CALLS
    table["bias"], table["p"] = None, np.nan
    if enough.sum() >= LEAST_CALLERS:
        mine = table[enough]
        weights = mine["n"] - 1
        scatter = float(np.sqrt((mine["spread"] ** 2 * weights).sum() / weights.sum()))
        pooled = pool_means(mine["mean"].to_numpy(), scatter / np.sqrt(mine["n"].to_numpy()))
        table.loc[enough, "bias"] = [
            Estimate(*(float(np.expm1(x)) for x in one[:3]), int(n)) for one, n in zip(pooled, mine["n"], strict=True)
        ]
        z = mine["mean"].abs() / (scatter / np.sqrt(mine["n"]))
        table.loc[enough, "p"] = stats.adjust_for_any(2 * norm.sf(z.to_numpy()))
    table["spread"] = np.sqrt(np.expm1(table["spread"] ** 2))
    names = book.reps.select("rep_id", "name").execute().set_index("rep_id")["name"]
    table["name"] = table["rep_id"].map(names).fillna(table["rep_id"])
    order = table["bias"].map(lambda one: -np.inf if one is None else one.value)
    return table.assign(order=order).sort_values(["order", "rep_id"], ignore_index=True).drop(columns=["order", "mean"])


def _record(called: pd.DataFrame, booked: pd.DataFrame, origins: pd.DataFrame) -> pd.DataFrame:
    """What the calls of past quarters added up to, by point."""
    sums = called.groupby("week")["amount"].agg(called="sum", n="count").reset_index()
    ended = booked.groupby("quarter")["amount"].sum().rename("by_callers").reset_index()
    table = origins[["week", "quarter", "point"]].merge(sums, on="week").merge(ended, on="quarter")
    return table.drop(columns="week")


def _categories(now) -> pd.DataFrame:
    """Cumulative: each category with all before it and what is booked."""
    deals = now.deals[now.deals["due"] & now.deals["category"].isin(OPEN_CATEGORIES)]
    rows, total, n = [("closed", np.nan, now.booked)], now.booked, 0
    for name in OPEN_CATEGORIES:
        mine = deals[deals["category"] == name]
        if len(mine):
            n += len(mine)
            total += float(mine["expected"].sum())
            rows.append((name, n, total))
    return pd.DataFrame(rows if len(rows) > 1 else [], columns=["category", "n", "amount"])


def _commit(past: list) -> tuple[Estimate | None, Estimate | None]:
    """Of deals in commit and due, the share won in the quarter; of the open ones won in it, the share that was in
    commit."""
    if not past:
        return None, None
    deals = pd.concat([one.deals for one in past])
    commit = (deals["category"] == "commit") & deals["due"]
    won = deals["won"].astype(bool)
    if not commit.any():
        return None, None
    both = int((commit & won).sum())
    return stats.wilson(both, int(commit.sum())), stats.wilson(both, int(won.sum())) if won.any() else None
