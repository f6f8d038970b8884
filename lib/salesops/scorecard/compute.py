"""The scorecard's numbers: every metric by group and period, what is more than noise, reps drawn together, bridges."""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, periods, stats
from salesops.scorecard import bridges, counts, people, registry, series, window
from salesops.scorecard.months import Span, span
from salesops.scorecard.params import Params
from salesops.scorecard.registry import Metric
from salesops.stats import Estimate

SCALE = {"share": "logit", "money": "log", "count": "log", "days": "log", "hours": "log", "times": "log"}
WATCHED = ("company", "region")  # levels whose series are watched
LEAST_POINTS = 8  # of a series, before the one judged


class Scorecard(NamedTuple):
    """Everything the page needs; amounts in whole units unless said.

    metrics : the registry. values : metric, level (company, region, team), group, period (a month's number, the name of
    a quota's period, or the last month for what is told for the whole window), value, low, high, n. behaviour :
    (metric, level, group) -> the limits of its series, and the periods they are of. signals : metric, level, group,
    kind (point: the last one; recent: the mean of the last ones), value, usual, p, p_adjusted, in order of p: of every
    series watched. reps : rep_id, name, n_won, n_lost, win_rate (Estimate drawn to the common one), above, best
    (probabilities), booked, attained (None without a quota), n_held. spread_p : see `people.p_of_alike`. plan, sales :
    see `bridges`. called : see `people.calls`. months : see `months.Span`. partial : days known and days of the last
    month, where it has not ended.
    """

    metrics: Mapping[str, Metric]
    values: pd.DataFrame
    behaviour: dict[tuple[str, str, str], tuple[stats.Behaviour, list]]
    signals: pd.DataFrame
    reps: pd.DataFrame
    spread_p: float | None
    plan: bridges.Plan | None
    sales: bridges.Sales | None
    called: pd.DataFrame
    months: Span
    partial: tuple[int, int] | None
    q: float
    near: float
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Scorecard:
    """Every metric of the registry that the source can tell.

    Raises
    ------
    BadInput
        If the registry or the rules of hygiene cannot be used.
    ValueError
        If nothing of the period is known.
    """
    metrics = registry.read(params.file("metrics"))
    months = span(book, params)
    cells = counts.read(book, params, months)
    here = people.presence(book.whole, params, months)
    carried = people.quotas(book.whole, params)
    called = people.calls(book.whole, params, carried)
    cells = series.settled_bookings(cells, here)
    tables = series.monthly(cells, here, series.left_to_book(carried, cells, months), months)
    known = carried[(carried["last_on"] <= min(book.as_of, params.reported.last_on))]
    first = months.first_on(months.first)
    found = pd.concat([
        series.values(metrics, tables, params, book.minor_units),
        series.of_quotas(metrics, known[known["first_on"] >= first], called, params),
        window.values(metrics, book, params, months),
    ], ignore_index=True)  # fmt: skip
    limits = _behaviours(metrics, found, months)
    days = here.groupby(["month", "rep_id"], as_index=False)["work_days"].sum()
    of_reps = cells.merge(days, on=["month", "rep_id"], how="left")
    table, spread_p = _reps(book, of_reps, known, params, months)
    by = "team" if params.region else "region"
    partial = None
    if months.whole < months.last:
        last = months.last_on(months.last)
        partial = (book.as_of.day, last.day)
    return Scorecard(
        metrics, found, limits, _signals(limits, found, params.false_discoveries), table, spread_p,
        bridges.plan(carried, params.reported, book.as_of, by), _sales(book, params), called, months, partial,
        params.false_discoveries, params.near_target, book.currency, book.minor_units, book.as_of,
    )  # fmt: skip


def _sales(book: crm.Book, params: Params) -> bridges.Sales | None:
    """The period against a year before, as many days of it as are known; against the one before where that is not."""
    now = params.reported
    if book.as_of < now.last_on:  # a part is never compared with a whole
        return None
    begins = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    before = periods.year_ago(now)
    if before.first_on < begins:
        before = periods.before(now)
    return bridges.sales(book, now, before) if before.first_on >= begins else None


def _behaviours(metrics: Mapping[str, Metric], values: pd.DataFrame, months: Span) -> dict:
    found = {}
    for (key, level, group), rows in values.groupby(["metric", "level", "group"], sort=True):
        metric = metrics[key]
        if not metric.signal or level not in WATCHED or metric.of.by == "window" or group == crm.NOT_KNOWN:
            continue
        if metric.of.by == "month":
            rows = rows[rows["period"] <= months.whole]
        points = _unbroken(rows)
        scale = SCALE[metric.unit]
        if metric.formula == "forecast_bias" or (scale == "log" and (points["value"] <= 0).any()):
            scale = "plain"
        if scale == "logit" and not points["value"].between(0, 1).all():
            scale = "log" if (points["value"] > 0).all() else "plain"
        judged = points["value"]
        if scale == "logit":  # no share of a few cases is quite none or all
            n = points["n"].clip(lower=1).fillna(1)
            judged = (judged * n + 0.5) / (n + 1)
        one = stats.behaviour(
            judged, scale=scale, trend=metric.growing, least=LEAST_POINTS, noise=_noise(points, metric, scale)
        )
        if one is not None:
            found[key, level, group] = (one, points["period"].tolist())
    return found


def _noise(points: pd.DataFrame, metric: Metric, scale: str) -> float:
    """The scatter that counting alone gives the last point: of a rate, of a number, and of an amount by its number."""
    if points.empty or (scale == "plain" and not metric.of.rate):
        return 0.0
    n = max(float(points["n"].tail(stats.RECENT).mean()), 1.0)
    if metric.of.rate and scale == "logit":
        p = min(max(float(points["value"].mean()), 1 / n), 1 - 1 / n) if n > 2 else 0.5
        return float(1 / np.sqrt(n * p * (1 - p)))
    return float(1 / np.sqrt(n)) if scale == "log" and not metric.of.under else 0.0


def _unbroken(rows: pd.DataFrame) -> pd.DataFrame:
    """The points since the last one that is missing; none where the last one is."""
    missing = np.flatnonzero(rows["value"].isna().to_numpy())
    return rows.iloc[missing[-1] + 1 :] if len(missing) else rows


def _signals(limits: dict, values: pd.DataFrame, q: float) -> pd.DataFrame:
    """Every series watched, by how unusual its last points are; all of them are one family of tests."""
    rows = []
    by_series = dict(list(values.groupby(["metric", "level", "group"])))
    for (key, level, group), (one, periods_) in limits.items():
        points = by_series[key, level, group].set_index("period")["value"].loc[periods_].to_numpy()
        rows.append((key, level, group, "point", points[-1], one.centre[-1], one.p))
        if np.isfinite(one.p_recent):
            rows.append((key, level, group, "recent", points[-stats.RECENT:].mean(),
                         one.centre[-stats.RECENT:].mean(), one.p_recent))  # fmt: skip
    table = pd.DataFrame(rows, columns=["metric", "level", "group", "kind", "value", "usual", "p"])
    table["p_adjusted"] = stats.adjust_for_many(table["p"])
    table["said"] = table["p_adjusted"] <= q
    return table.sort_values(["p", "metric", "level", "group", "kind"], ignore_index=True)


def _reps(book: crm.Book, cells: pd.DataFrame, known: pd.DataFrame, params: Params, months: Span):
    """Reps who closed a deal in the window, drawn together; and how likely it is that all win alike."""
    first = max(months.first, months.last - params.window + 1)
    rows = cells[(cells["month"] >= first) & (cells["rep_id"] != crm.NOT_KNOWN)]
    wanted = ("n_won", "n_lost", "won", "n_priced", "cycle_days", "n_cycled", "n_first")
    columns = [name for name in wanted if name in rows]
    sums = rows.groupby("rep_id")[columns].sum()
    days = rows.drop_duplicates(["month", "rep_id"]).groupby("rep_id")["work_days"].sum()
    for name, top, under in (("deal_size", "won", "n_priced"), ("cycle", "cycle_days", "n_cycled")):
        if {top, under} <= set(sums):
            sums[name] = sums[top] / sums[under].where(sums[under] > 0)
    if "n_first" in sums:
        sums["meetings"] = sums["n_first"] / days.where(days > 0)
    sums = sums[(sums["n_won"] + sums["n_lost"]) > 0].reset_index()
    names = book.reps.select("rep_id", "name", "team").execute().drop_duplicates("rep_id")
    sums = sums.merge(names, on="rep_id", how="left")
    own = known[(known["first_on"] >= months.first_on(first))].groupby("rep_id")[["quota", "booked"]].sum()
    attained = (own["booked"] / own["quota"].where(own["quota"] > 0)).reindex(sums["rep_id"]).to_numpy()
    table = sums.assign(attained=attained, win_rate=None, above=np.nan, best=np.nan)
    spread_p = None
    if len(table) > 1 and table["n_lost"].sum():  # of won deals alone no rate is told
        pooled = stats.pool_rates(table["n_won"].to_numpy(), (table["n_won"] + table["n_lost"]).to_numpy())
        table["win_rate"], table["above"], table["best"] = pooled.rates, pooled.above, pooled.best
        spread_p = people.p_of_alike(book, months, first)
    return table.sort_values(["above", "rep_id"], ascending=[False, True], ignore_index=True), spread_p


def value_of(
    found: Scorecard, key: str, level: str = "company", group: str = crm.ALL, *, back: int = 0
) -> Estimate | None:
    """The figure of a metric in the last period that is known whole, or `back` of its periods before; None where
    absent. Limits are NaN where cases are not counted."""
    rows = found.values
    rows = rows[(rows["metric"] == key) & (rows["level"] == level) & (rows["group"] == group)]
    if found.metrics[key].of.by == "month":
        rows = rows[rows["period"] <= found.months.whole]
    if len(rows) <= back:
        return None
    one = rows.iloc[-1 - back]
    if not np.isfinite(one["value"]):
        return None
    return Estimate(
        float(one["value"]), float(one["low"]), float(one["high"]), int(one["n"] if one["n"] == one["n"] else 0)
    )
