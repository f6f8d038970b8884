"""Top-down: what the quarter would bring by the months before it, whatever is known of its deals.

What is booked counts as it is; the months to come, and the days left of the running one, are forecast by the months
that have ended, for each working day where a country's are given. The same is done again for earlier quarters at the
same day.
"""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, workdays
from salesops.forecast import series
from salesops.forecast.params import Params
from salesops.forecast.weeks import NOW, Weeks

TICK = 900  # seconds; every time zone's months begin on one
LEAST_MONTHS = 6
SEASONED = 24  # months, from which on a season can be told
LEAST_WEIGHTS = 8  # past forecasts, from which on weights are taken from them; below, both count alike
LEAST_RECORD = 5  # past quarters, below which no band is told
BAND = 0.8
ALWAYS = ("theta", "damped")  # in the combination whatever their record is
MODELS = ("ets", "sarimax", "components")  # in it, where their record is long and no worse than the naive one's
METHODS = ("combined", *ALWAYS, *MODELS, "seasonal_naive")


class TopDown(NamedTuple):
    """n_months : that are known whole. quarter : method -> amount (whole units);
    empty where fewer than `LEAST_MONTHS` are known. weights : method -> weight in `combined`. band : of 80 %, of
    `combined`, as wide as its past errors; None where they are too few. record : quarter, actual, and the forecast of
    each method (NaN where it had none)."""

    n_months: int
    quarter: dict[str, float]
    weights: dict[str, float]
    band: tuple[float, float] | None
    record: pd.DataFrame


def measure(
    book: crm.Book, params: Params, weeks: Weeks, origins: pd.DataFrame, booked: pd.Series, actuals: pd.Series
) -> TopDown:
    """The quarter by its months, and the same for earlier quarters.

    Parameters
    ----------
    origins : the days on which, see `weeks.origins`. booked : what was won in the quarter by each, by its number
    `week`. actuals : what each quarter brought, by its name.
    """
    months = _months(book, params)
    columns, rows = ["quarter", "actual", *METHODS], []
    ends = [periods.days_after(periods.add_months(month, 1), -1) for month in months.index]
    now, weights = {}, {}
    for origin in origins[origins["point"] == NOW].itertuples():
        known = months[[end <= origin.on for end in ends]]
        if len(known) < LEAST_MONTHS:
            continue
        ahead = _ahead(known.index, origin.on, origin.due_by)
        days = [_working_days(first, last, params.working_days) for first, last in _whole(known.index)]
        still = [_working_days(*span, params.working_days) for span in ahead]
        told, weights = _quarter(
            known.to_numpy(), np.array(days), np.array(still), float(booked.get(origin.week, 0.0)),
            pd.DataFrame(rows, columns=columns),
        )  # fmt: skip
        if origin.quarter == weeks.target.name:
            now = told
        else:
            rows.append((origin.quarter, actuals[origin.quarter], *(told.get(method, np.nan) for method in METHODS)))
    record = pd.DataFrame(rows, columns=columns)
    return TopDown(len(months), now, weights if now else {}, _band(record, now, booked), record)


def _whole(months: pd.Index) -> list[tuple[dt.date, dt.date]]:
    return [(month, periods.days_after(periods.add_months(month, 1), -1)) for month in months]


def _ahead(known: pd.Index, on: dt.date, until: dt.date) -> list[tuple[dt.date, dt.date]]:
    """First and last day of each month after the known ones up to a day; of the running one, only what is to come."""
    first, spans = periods.add_months(known[-1], 1), []
    while first <= until:
        last = periods.days_after(periods.add_months(first, 1), -1)
        spans.append((max(first, periods.days_after(on, 1)), last))
        first = periods.days_after(last, 1)
    return spans


def _working_days(first: dt.date, last: dt.date, calendar: str) -> float:
    """Working days of a month or of a part of it; the part itself where no calendar is given."""
    if calendar:
        return float(workdays.count(first, last, calendar))
    return ((last - first).days + 1) / last.day


def _quarter(
    known: np.ndarray, days: np.ndarray, ahead: np.ndarray, booked: float, record: pd.DataFrame
) -> tuple[dict[str, float], dict[str, float]]:
    """The quarter's amount by each method that can tell it, what is booked with it, and the weights of those that are
    combined by their `record`. days, ahead : of the known months, and of what is to come."""
    daily, steps = known / np.maximum(days, 1e-9), len(ahead)
    told = {name: method(daily[None], steps)[0] for name, method in series.METHODS.items()}
    if len(known) >= SEASONED:
        from salesops.forecast import models  # statsmodels' models take a while to import, and most histories are short

        told |= models.forecast(daily, steps)
    amounts = {name: float(booked + max(each @ ahead, 0.0)) for name, each in told.items()}
    weights = weigh(record, [name for name in (*ALWAYS, *MODELS) if name in amounts])
    amounts["combined"] = float(sum(weight * amounts[name] for name, weight in weights.items()))
    return amounts, weights


def weigh(record: pd.DataFrame, methods: list[str]) -> dict[str, float]:
    """The weights of methods in their combination: alike, or by their past errors where there are enough of them.

    A model is left out where it has fewer than `LEAST_WEIGHTS` past forecasts, or erred more than the same months of a
    year before. From `LEAST_WEIGHTS` on, weights are as one over the mean squared error (Bates & Granger 1969,
    Operational Research Quarterly 20, 451-468), drawn to equal ones.

    Parameters
    ----------
    record : actual and a column for each method, NaN where it told nothing.
    """
    errors = record[list(methods)].sub(record["actual"], axis=0).astype("float64")
    naive = (record["seasonal_naive"] - record["actual"]).astype("float64")
    kept = [
        name
        for name in methods
        if name in ALWAYS
        or (errors[name].count() >= LEAST_WEIGHTS
            and (errors[name] ** 2).mean() <= (naive[errors[name].notna()] ** 2).mean())
    ]  # fmt: skip
    both = errors[kept].dropna()
    squares, n = (both**2).mean().to_numpy(), len(both)
    weights = np.full(len(kept), 1 / len(kept))
    if n >= LEAST_WEIGHTS and (squares > 0).all():
        weights += ((1 / squares) / (1 / squares).sum() - weights) * n / (n + LEAST_WEIGHTS)
    return dict(zip(kept, weights.tolist(), strict=True))


def _band(record: pd.DataFrame, now: dict[str, float], booked: pd.Series) -> tuple[float, float] | None:
    """Around today's forecast, as far as past ones were off in four of five cases (split conformal); what is booked
    is sure."""
    if len(record) < LEAST_RECORD or not now:
        return None
    off = np.sort(np.abs(np.log(record["combined"].clip(lower=1) / record["actual"].clip(lower=1))))
    factor = float(np.exp(off[min(int(np.ceil((len(off) + 1) * BAND)), len(off)) - 1]))
    return max(now["combined"] / factor, float(booked.iloc[-1])), now["combined"] * factor


class Combination(NamedTuple):
    """Of the forecast by deals and that by months. weight : of the one by deals. mean : today's. record : quarter,
    actual, mean: of past quarters, each with the weight that those before it ask for."""

    weight: float
    mean: float
    record: pd.DataFrame


def combine(by_deals: pd.DataFrame, mean: float, top: TopDown) -> Combination | None:
    """The two together; None where there is no forecast by months.

    Parameters
    ----------
    by_deals : quarter, actual, mean of past forecasts at today's point. mean : today's.
    """
    if not top.quarter:
        return None
    both = by_deals[["quarter", "actual", "mean"]].merge(top.record[["quarter", "combined"]], on="quarter")
    errors = both[["mean", "combined"]].sub(both["actual"], axis=0).to_numpy()
    weights = [_weight(errors[:k]) for k in range(len(errors))]
    told = [w * a + (1 - w) * b for w, (a, b) in zip(weights, both[["mean", "combined"]].to_numpy(), strict=True)]
    weight = _weight(errors)
    now = weight * mean + (1 - weight) * top.quarter["combined"]
    return Combination(weight, now, both[["quarter", "actual"]].assign(mean=np.array(told, dtype=float)))


def _weight(errors: np.ndarray) -> float:
    """The weight of the first of two forecasts that leaves the least squared error, within 0 to 1 and drawn to a half;
    a half where they are too few to say."""
    n = len(errors)
    apart = float(((errors[:, 0] - errors[:, 1]) ** 2).sum())
    if n < LEAST_WEIGHTS or not apart:
        return 0.5
    best = float(errors[:, 1] @ (errors[:, 1] - errors[:, 0])) / apart
    return 0.5 + (min(max(best, 0.0), 1.0) - 0.5) * n / (n + LEAST_WEIGHTS)


def _months(book: crm.Book, params: Params) -> pd.Series:
    """Won amount (whole units) by first day of each month that is known whole."""
    begins = book.about["log_begins"] or book.about["first_moment"]
    first = pd.Timestamp(begins).tz_localize("UTC").tz_convert(book.time_zone).date()
    month = first if first.day == 1 else periods.add_months(first, 1)
    days = []
    while periods.days_after(periods.add_months(month, 1), -1) <= book.as_of:
        days.append(month)
        month = periods.add_months(month, 1)
    won = book.deals.filter(_.status == "won", _.closed_at.notnull())
    won = won.filter(_.pipeline == params.pipeline) if params.pipeline else won
    ticks = won.group_by(tick=won.closed_at.epoch_seconds() // TICK).agg(minor=_.amount_minor.sum().coalesce(0))
    table = ticks.order_by("tick").execute()
    starts = np.array([pd.Timestamp(periods.start_of(day, book.time_zone)).timestamp() for day in [*days, month]])
    at = np.searchsorted(starts, table["tick"].to_numpy() * TICK, side="right") - 1
    inside = (at >= 0) & (at < len(days))
    minor = table["minor"].to_numpy(dtype="float64")[inside]
    return pd.Series(np.bincount(at[inside], minor, len(days)) / book.minor_units, index=days, dtype="float64")
