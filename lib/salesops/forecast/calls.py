"""Judgement: what reps and managers called, how far off each of them usually is, and what each hand-off added.

A call counts as it stood at a day: the last one made before it for the quarter. Nothing is overwritten. It is judged
by what the caller won: a deal that is handed over after the call and before its win counts for who won it. A manager
calls for all who report to them, directly or through others: at a call for those of that day, at a win above whoever
won it then. Quarters are called for by their calendar names.
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import t

from salesops import crm, periods, stats
from salesops.crm import owners
from salesops.forecast.params import Params
from salesops.forecast.weeks import NOW
from salesops.stats import Estimate, scores
from salesops.stats.shrinkage import pool_means

OPEN_CATEGORIES = ("commit", "most_likely", "best_case", "pipeline")  # each with all before it, and what is booked
LEAST_CALLS = 4  # quarters that a caller was there for
LEAST_CALLERS = 3  # of a level


class Calls(NamedTuple):
    """callers : rep_id, name, level (0 reps, 1 their managers, 2 the managers of those), n (past quarters), bias
    (Estimate of call over booked less 1, drawn to the common one of the level; None where there are too few), spread
    (relative standard deviation around it), p (of no bias, adjusted), now (their call of this quarter; NaN where none),
    corrected (the same without the bias). total, corrected : calls of this quarter together, both ways, of the lowest
    level that called; None where nobody did. n_now : callers of them. record : quarter, point, level, called, n: what
    the calls of past quarters added up to. totals : level -> what it calls now. categories : category, n, amount (whole
    units, with all before it and what is booked). commit : precision and recall of deals in commit at this day of past
    quarters, as Estimates of shares; None where no deal ever was, or categories are on no log.
    """

    callers: pd.DataFrame
    total: float | None
    corrected: float | None
    n_now: int
    record: pd.DataFrame
    totals: dict[int, float]
    categories: pd.DataFrame
    precision: Estimate | None
    recall: Estimate | None


def measure(book: crm.Book, params: Params, origins: pd.DataFrame, made: list) -> Calls:
    """What was called at each moment of `origins` (by its number `week`), against what was booked by the callers."""
    called, booked = _read(book, params, origins)
    now = made[-1]
    callers = _callers(book, _pairs(called, booked, origins, now.point))
    mine = called[called["week"] == origins["week"].iloc[-1]]
    of = ["level", "rep_id"]  # who was promoted has a record at each level
    callers["now"] = callers[of].merge(mine, on=of, how="left")["amount"].to_numpy("float64")
    callers["corrected"] = [
        row.now if row.bias is None else row.now / (1 + row.bias.value) for row in callers.itertuples()
    ]
    totals = mine.groupby("level")["amount"].sum().to_dict()
    level = min(totals, default=0)
    lowest = mine[mine["level"] == level].set_index("rep_id")["amount"]
    known = callers[callers["level"] == level].set_index("rep_id")["corrected"].reindex(lowest.index)
    return Calls(
        callers, float(lowest.sum()) if len(lowest) else None,
        float(known.fillna(lowest).sum()) if len(lowest) else None, len(lowest), _record(called, origins), totals,
        _categories(now), *_commit([one for one in made[:-1] if one.point == now.point]),
    )  # fmt: skip


def _read(book: crm.Book, params: Params, origins: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last call of each caller at each moment with the caller's level, and what each had booked by each quarter's
    end, managers with all below them; whole units."""
    empty = pd.DataFrame({"week": [], "rep_id": [], "amount": [], "level": []})
    empty = empty.astype({"week": "int64", "rep_id": "str", "level": "int64"})
    if not book.has("forecast_calls") or params.pipeline:
        return empty, empty.rename(columns={"week": "quarter"}).astype({"quarter": "str"})
    calls = book.forecast_calls.filter(_.category.isnull() | (_.category == "commit"))
    names = [periods.calendar_name(periods.quarter_of(day, params.year_starts)) for day in origins["due_by"]]
    asked = ibis.memtable(origins[["week", "at"]].assign(called=names).astype({"at": "datetime64[us]"}))
    known = calls.join(asked, [calls.period == asked.called, calls.called_at < asked.at])
    last = known.group_by("week", "rep_id").agg(minor=_.amount_minor.argmax(_.called_at))
    called = last.order_by("week", "rep_id").execute()
    moments, eras = _eras(book)
    own = _booked(book, origins, moments)
    for table in (called, own):
        table["amount"] = table.pop("minor").astype("float64") / book.minor_units
    at = dict(zip(origins["week"], np.searchsorted(moments, origins["at"].to_numpy("datetime64[us]")), strict=True))
    era = called["week"].map(at)
    called["level"] = [eras[k].levels.get(rep, 0) for k, rep in zip(era, called["rep_id"], strict=True)]
    called = called.astype({"level": "int64"})
    if params.region or params.team:
        inside = [_inside(one, params) for one in eras]
        called = called[[rep in inside[k] for k, rep in zip(era, called["rep_id"], strict=True)]]
    lines = [[rep, *eras[k].above.get(rep, ())] for rep, k in zip(own["rep_id"], own["era"], strict=True)]
    under = own.assign(rep_id=pd.Series(lines, index=own.index, dtype="object")).explode("rep_id")
    return called, under.groupby(["quarter", "rep_id"], as_index=False)["amount"].sum()


class Era(NamedTuple):
    """Days between which nobody changed place. reps : rep_id, manager_id, region, team. above : rep -> managers, the
    nearest first. levels : manager -> the number of hand-offs below."""

    reps: pd.DataFrame
    above: dict[str, list[str]]
    levels: dict[str, int]


def _eras(book: crm.Book) -> tuple[np.ndarray, list[Era]]:
    """The moments at which some rep changes place, and what holds before the first, between them and after the last."""
    spans = owners.assignments(book.whole)
    since, until = (pd.to_datetime(spans[name]).to_numpy("datetime64[us]") for name in ("since_at", "until_at"))
    moments, found = np.unique(since[~np.isnat(since)]), []
    for moment in [None, *moments]:
        here = np.isnat(since) if moment is None else (np.isnat(since) | (since <= moment)) & ~(until <= moment)
        reps = spans.loc[here, ["rep_id", "manager_id", "region", "team"]]
        reports = reps[reps["manager_id"].notna()]
        above = find_managers(dict(zip(reports["rep_id"], reports["manager_id"], strict=True)))
        levels: dict[str, int] = {}
        for managers in above.values():
            for height, manager in enumerate(managers, 1):
                levels[manager] = max(levels.get(manager, 0), height)
        found.append(Era(reps, above, levels))
    return moments, found


def _inside(era: Era, params: Params) -> set[str]:
    """Who calls for the part asked for: its reps, and managers all of whose reports are in it, since another manager's
    call is no call for this part."""
    reps = era.reps
    inside = (reps["region"] == params.region) | (not params.region)
    inside &= (reps["team"] == params.team) | (not params.team)
    theirs = set(reps.loc[inside, "rep_id"])
    mixed = {one for rep in reps.loc[~inside, "rep_id"] for one in era.above.get(rep, ())}
    return (theirs | {one for rep in theirs for one in era.above.get(rep, ())}) - mixed


def _booked(book: crm.Book, origins: pd.DataFrame, moments: np.ndarray) -> pd.DataFrame:
    """quarter, rep_id, era, minor: what each won in the quarters, by who had the deal at its win."""
    won = book.credited.filter(_.status == "won", _.closed_at.notnull(), _.rep_id.notnull())
    spans = origins[["quarter", "begun", "end"]].drop_duplicates()
    spans = spans.astype({"begun": "datetime64[us]", "end": "datetime64[us]"})
    spans = ibis.memtable(spans[spans["end"] <= pd.Timestamp(book.cut)])
    won = won.join(spans, [won.closed_at >= spans.begun, won.closed_at < spans.end])
    passed = [(won.closed_at >= ibis.literal(pd.Timestamp(moment))).cast("int64") for moment in moments]
    won = won.mutate(era=sum(passed, start=ibis.literal(0, "int64")))
    by = ["quarter", "rep_id", "era"]
    return won.group_by(*by).agg(minor=_.amount_minor.sum().coalesce(0)).order_by(*by).execute()


def find_managers(reports_to: dict[str, str]) -> dict[str, list[str]]:
    """By rep, their manager, that one's manager, and so on; a circle ends where it would begin anew."""
    above = {}
    for rep in reports_to:
        chain = [rep]
        while (manager := reports_to.get(chain[-1])) and manager not in chain:
            chain.append(manager)
        above[rep] = chain[1:]
    return above


def _pairs(called: pd.DataFrame, booked: pd.DataFrame, origins: pd.DataFrame, point: int) -> pd.DataFrame:
    """Quarter, rep_id, level, call, actual: the calls of a point of past quarters and what was booked."""
    at = origins.loc[(origins["point"] == point), ["week", "quarter"]].iloc[:-1]
    pairs = called.merge(at, on="week").rename(columns={"amount": "call"})
    actual = booked[["quarter", "rep_id", "amount"]].rename(columns={"amount": "actual"})
    return pairs.merge(actual, on=["quarter", "rep_id"], how="left").fillna({"actual": 0.0})


def _callers(book: crm.Book, past: pd.DataFrame) -> pd.DataFrame:
    """Each caller's bias on the logarithm, drawn to that of their level by how much callers differ beyond their own
    scatter."""
    usable = past[(past["call"] > 0) & (past["actual"] > 0)]
    logs = usable.assign(log=np.log(usable["call"] / usable["actual"])).groupby(["level", "rep_id"])["log"]
    table = logs.agg(n="count", mean="mean", spread="std").reset_index()
    enough = table["n"] >= LEAST_CALLS
    table["bias"], table["p"] = None, np.nan
    for _level, mine in table[enough].groupby("level"):
        if len(mine) < LEAST_CALLERS:
            continue
        weights = mine["n"] - 1
        scatter = float(np.sqrt((mine["spread"] ** 2 * weights).sum() / weights.sum()))
        errors = scatter / np.sqrt(mine["n"])
        pooled = pool_means(mine["mean"].to_numpy(), errors.to_numpy())
        table.loc[mine.index, "bias"] = [
            Estimate(*(float(np.expm1(x)) for x in one[:3]), int(n)) for one, n in zip(pooled, mine["n"], strict=True)
        ]
        table.loc[mine.index, "p"] = 2 * t.sf((mine["mean"].abs() / errors).to_numpy(), weights.sum())
    tested = table["p"].notna()
    table.loc[tested, "p"] = stats.adjust_for_any(table.loc[tested, "p"].to_numpy())
    table["spread"] = np.sqrt(np.expm1(table["spread"] ** 2))
    names = book.reps.select("rep_id", "name").execute().set_index("rep_id")["name"]
    table["name"] = table["rep_id"].map(names).fillna(table["rep_id"])
    order = table["bias"].map(lambda one: -np.inf if one is None else one.value)
    return table.assign(order=order).sort_values(["order", "rep_id"], ignore_index=True).drop(columns=["order", "mean"])


def _record(called: pd.DataFrame, origins: pd.DataFrame) -> pd.DataFrame:
    """What the calls of past quarters added up to, by point and level."""
    sums = called.groupby(["week", "level"])["amount"].agg(called="sum", n="count").reset_index()
    return origins[["week", "quarter", "point"]].iloc[:-1].merge(sums, on="week").drop(columns="week")


def hand_offs(here: pd.DataFrame, called: Calls) -> pd.DataFrame:
    """Forecast value added: what each hand-off made better or worse, on the quarters that all of them told.

    step ("naive": the quarter before; "model"; then a level of callers, as text), n, wape, gain (the naive one's
    WAPE less this), closer (quarters in which it was closer than the step before). Empty where nobody called, or
    in fewer than `LEAST_CALLS` quarters.

    Parameters
    ----------
    here : quarter, actual, mean and mean_last_quarter of past forecasts at today's point.

    References
    ----------
    Gilliland (2010), The Business Forecasting Deal, chapter 4.
    """
    columns = ["step", "n", "wape", "gain", "closer"]
    if "mean_last_quarter" not in here:
        return pd.DataFrame(columns=columns)
    table = here[["quarter", "actual", "mean_last_quarter", "mean"]].dropna()
    table = table.set_axis(["quarter", "actual", "naive", "model"], axis=1)
    point = called.record[called.record["point"] == NOW]
    levels = []
    for level, mine in point.groupby("level"):
        both = table.merge(mine[["quarter", "called"]].rename(columns={"called": str(level)}), on="quarter")
        if len(both) >= LEAST_CALLS:
            table, levels = both, [*levels, str(level)]
    if not levels:
        return pd.DataFrame(columns=columns)
    rows, before = [], None
    naive = scores.wape(table["naive"], table["actual"])
    for step in ("naive", "model", *levels):
        error = scores.wape(table[step], table["actual"])
        off = (table[step] - table["actual"]).abs()
        closer = None if before is None else int((off < before).sum())
        rows.append((step, len(table), error, None if error is None else naive - error, closer))
        before = off
    return pd.DataFrame(rows, columns=columns)


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
