"""Top-down: what the quarter would bring by the months before it, whatever is known of its deals.

Months that have ended count as they were; the others are forecast by their own past, for each working day where a
country's are given. The same is done again for earlier quarters, with as many months known.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, workdays
from salesops.forecast import series
from salesops.forecast.params import Params
from salesops.forecast.weeks import Weeks

TICK = 900  # seconds; every time zone's months begin on one
LEAST_MONTHS = 6
SEASONED = 24  # months, from which on a season can be told
LEAST_WEIGHTS = 8  # past forecasts, from which on weights are taken from them; below, both count alike
LEAST_RECORD = 5  # past quarters, below which no band is told
BAND = 0.8
ALWAYS = ("theta", "damped")  # in the combination whatever their record is
MODELS = ("ets", "sarimax", "components")  # in it, where their record is long enough and no worse than the naive one's
METHODS = ("combined", *ALWAYS, *MODELS, "seasonal_naive")


class TopDown(NamedTuple):
    """n_months : that are known whole. n_known : of them in the quarter. quarter : method -> amount (whole units);
    empty where fewer than `LEAST_MONTHS` are known. weights : method -> weight in `combined`. band : of 80 %, of
    `combined`, as wide as its past errors; None where they are too few. record : quarter, actual, and the forecast of
    each method (NaN where it had none)."""

    n_months: int
    n_known: int
    quarter: dict[str, float]
    weights: dict[str, float]
    band: tuple[float, float] | None
    record: pd.DataFrame


def measure(book: crm.Book, params: Params, weeks: Weeks, n_quarters: int) -> TopDown:
    """The quarter by its months, and the same for earlier quarters."""
    months = _months(book, params)
    target = weeks.target
    n_known = int(((months.index >= target.first_on) & (months.index <= target.last_on)).sum())
    values, days = months.to_numpy(), _working_days(months.index, params.working_days)
    columns, rows = ["quarter", "actual", *METHODS], []
    if len(values) < LEAST_MONTHS:
        return TopDown(len(values), n_known, {}, {}, None, pd.DataFrame(columns=columns))
    quarter, ends = target, []
    for _back in range(n_quarters):
        quarter = periods.quarter_of(periods.days_after(quarter.first_on, -1), weeks.year_starts)
        first = periods.months_between(months.index[0], quarter.first_on)
        if first + n_known < LEAST_MONTHS:
            break
        ends.append((quarter.name, first, values[first : first + 3].sum()))
    for name, first, actual in ends[::-1]:  # the earliest first, for each is combined by those before it
        told, _weights = _quarter(values[: first + n_known], days, n_known, pd.DataFrame(rows, columns=columns))
        rows.append((name, actual, *(told.get(method, np.nan) for method in METHODS)))
    record = pd.DataFrame(rows, columns=columns)
    now, weights = _quarter(values, days, n_known, record)
    return TopDown(len(values), n_known, now, weights, _band(record, now), record)


def _quarter(
    known: np.ndarray, days: np.ndarray, n_known: int, record: pd.DataFrame
) -> tuple[dict[str, float], dict[str, float]]:
    """The quarter's amount by each method that can tell it, `n_known` of its months being the last ones known, and the
    weights of those that are combined by their `record`."""
    booked, steps = float(known[len(known) - n_known :].sum()), 3 - n_known
    if not steps:
        return dict.fromkeys(("combined", *ALWAYS, "seasonal_naive"), booked), {}
    daily, ahead = known / days[: len(known)], days[len(known) : len(known) + steps]
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

    A model is left out where it has fewer than `LEAST_RECORD` past forecasts, or erred more than the same months of a
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
        or (errors[name].count() >= LEAST_RECORD
            and (errors[name] ** 2).mean() <= (naive[errors[name].notna()] ** 2).mean())
    ]  # fmt: skip
    both = errors[kept].dropna()
    squares, n = (both**2).mean().to_numpy(), len(both)
    weights = np.full(len(kept), 1 / len(kept))
    if n >= LEAST_WEIGHTS and (squares > 0).all():
        weights += ((1 / squares) / (1 / squares).sum() - weights) * n / (n + LEAST_WEIGHTS)
    return dict(zip(kept, weights.tolist(), strict=True))


def _working_days(months: pd.Index, calendar: str) -> np.ndarray:
    """Working days of each month and of the quarter after the last; ones where no calendar is given."""
    ahead = [periods.add_months(months[-1], k) for k in (1, 2, 3)] if len(months) else []
    if not calendar:
        return np.ones(len(months) + len(ahead))
    return np.array([
        max(workdays.count(day, periods.days_after(periods.add_months(day, 1), -1), calendar), 1)
        for day in [*months, *ahead]
    ], dtype="float64")  # fmt: skip


def _band(record: pd.DataFrame, now: dict[str, float]) -> tuple[float, float] | None:
    """Around today's forecast, as far as past ones were off in four of five cases (split conformal)."""
    if len(record) < LEAST_RECORD or not now:
        return None
    off = np.sort(np.abs(np.log(record["combined"].clip(lower=1) / record["actual"].clip(lower=1))))
    factor = float(np.exp(off[min(int(np.ceil((len(off) + 1) * BAND)), len(off)) - 1]))
    return now["combined"] / factor, now["combined"] * factor


class Combination(NamedTuple):
    """Of the forecast by deals and that by months. weight : of the one by deals. mean : today's. record : quarter,
    actual, mean: of past quarters, each with the weight that the others ask for."""

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
    weights = [_weight(np.delete(errors, k, axis=0)) for k in range(len(errors))]
    told = [w * a + (1 - w) * b for w, (a, b) in zip(weights, both[["mean", "combined"]].to_numpy(), strict=True)]
    weight = _weight(errors)
    now = weight * mean + (1 - weight) * top.quarter["combined"]
    return Combination(weight, now, both[["quarter", "actual"]].assign(mean=np.array(told, dtype=float)))


def _weight(errors: np.ndarray) -> float:
    """The weight of the first of two forecasts that leaves the least squared error, within 0 to 1 and drawn to a half;
    a half where they are too few to say."""
    n = len(errors)
    apart = float(((errors[:, 0] - errors[:, 1]) ** 2).sum())
    if n < LEAST_WEIGHTS - 1 or not apart:  # one is left out of each
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
