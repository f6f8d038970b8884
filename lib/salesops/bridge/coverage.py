"""Coverage: the open pipeline over what is still to be booked, by day of the quarter, and what quarters needed."""

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import t as student

from salesops import crm, periods
from salesops.bridge.moves import NINETY, OPEN, WON, by_due, part_of
from salesops.bridge.params import Params
from salesops.stats import Estimate
from salesops.stats.proportions import LEVEL

TICK = 900  # seconds; every time zone's days begin on one
STEP_DAYS = 7
LEAST_QUARTERS = 4
WIDEST = 10.0  # times the lower limit, beyond which the upper one says nothing


class Coverage(NamedTuple):
    """Of the quarter that the period ends in; amounts in whole units; days are counted as of a quarter of ninety.

    quarter : the quarter. day : the last day known, of ninety. target : its quota, None where not known, and why.
    open_now, booked : open pipeline and won amount by that day.
    now : open_now over what is left of the target; None without a target, or where it is reached.
    curve : day, n (quarters), needed (Estimate: of the next quarter, from those before; or None).
    own : day, open, booked, coverage: this quarter up to now, against its target.
    landing : Estimate of the quarter's bookings, from what is open now and what quarters needed from this day on.
    past : quarter, final, open, booked, needed: each earlier quarter at this day.
    """

    quarter: periods.Period
    day: int
    target: float | None
    no_target: str
    open_now: float
    booked: float
    now: float | None
    curve: pd.DataFrame
    own: pd.DataFrame
    landing: Estimate | None
    past: pd.DataFrame


def measure(book: crm.Book, params: Params) -> Coverage:
    """Coverage of the quarter, and what earlier quarters needed at each day; nothing where amounts are on no log."""
    last_on = min(book.as_of, params.reported.last_on)
    this = periods.quarter_of(last_on, params.year_starts)
    if "amount" not in book.about["tracked"]:
        return _not_known(this, NINETY - (this.last_on - last_on).days)
    begins_on = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    past = [
        periods.quarter_of(periods.add_months(this.first_on, -3 * k), params.year_starts)
        for k in range(params.quarters, 0, -1)
    ]
    past = [one for one in past if one.first_on >= begins_on]
    day = NINETY - (this.last_on - last_on).days
    days = sorted({*range(0, NINETY, STEP_DAYS), day})
    table = _grid(book, params, [*past, this], days, last_on)
    history = table[(table["quarter"] != this.name)]
    curve = pd.DataFrame([{"day": d, **_needed(history[history["day"] == d])} for d in days])
    own = table[(table["quarter"] == this.name) & (table["day"] <= day)].copy()
    target, no_target = crm.find_quota(book, this, region=params.region, team=params.team, pipeline=params.pipeline)
    here = own[own["day"] == day].iloc[0]
    left = own["booked"].rsub(target) if target is not None else pd.Series(np.nan, index=own.index)
    own["coverage"] = (own["open"] / left).where(left > 0)
    needed = curve.loc[curve["day"] == day, "needed"].item()
    return Coverage(
        quarter=this, day=day, target=target, no_target=no_target, open_now=float(here["open"]),
        booked=float(here["booked"]), now=_or_none(own.loc[here.name, "coverage"]), curve=curve,
        own=own.drop(columns=["quarter", "final"]).reset_index(drop=True), landing=_landing(here, needed),
        past=history[history["day"] == day].drop(columns="day").reset_index(drop=True),
    )  # fmt: skip


def _not_known(quarter: periods.Period, day: int) -> Coverage:
    curve, own = (
        pd.DataFrame(columns=["day", "n", "needed"]),
        pd.DataFrame(columns=["day", "open", "booked", "coverage"]),
    )
    past = pd.DataFrame(columns=["quarter", "open", "booked", "final", "needed"])
    return Coverage(quarter, day, None, "no_amounts", np.nan, np.nan, None, curve, own, None, past)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _landing(here: pd.Series, needed: Estimate | None) -> Estimate | None:
    if needed is None or here["open"] <= 0:
        return None
    amounts = [here["booked"] + here["open"] / x for x in (needed.value, needed.high, needed.low)]
    return Estimate(*map(float, amounts), needed.n)


def _needed(part: pd.DataFrame) -> dict:
    """The coverage that quarters had at a day, by what they booked from then on: the mean of the logarithms, and where
    the next quarter's is to be expected (Student's interval of a new value)."""
    ratios = part["needed"]
    n = len(ratios)
    if n < LEAST_QUARTERS or ratios.isna().any():  # in one nothing more was booked: no coverage would have been enough
        return {"n": n, "needed": None}
    logs = np.log(ratios.to_numpy())
    half = student.ppf(0.5 + LEVEL / 2, n - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / n)
    mean = logs.mean()
    if half > np.log(WIDEST) / 2:
        return {"n": n, "needed": None}
    return {"n": n, "needed": Estimate(*(float(np.exp(mean + x)) for x in (0, -half, half)), n)}


def _grid(
    book: crm.Book, params: Params, quarters: list[periods.Period], days: list[int], last_on: dt.date
) -> pd.DataFrame:
    """quarter, day, open, booked, final, needed: at the end of each day of each quarter."""
    moves, wins = _open_moves(book, params, quarters), _wins(book, params)
    rows = []
    for number, quarter in enumerate(quarters):
        due = moves[moves["quarter"] == number] if "quarter" in moves else moves
        first, end = _seconds(quarter.first_on, book), _seconds(periods.days_after(quarter.last_on, 1), book)
        mine = wins[(wins["tick"] * TICK >= first) & (wins["tick"] * TICK < end)]
        final = mine["minor"].sum() / book.minor_units
        for day in days:
            on = periods.days_after(quarter.last_on, day - NINETY)
            if on > last_on:
                continue
            cut = _seconds(periods.days_after(on, 1), book)
            standing = due.loc[due["tick"] * TICK < cut, "minor"].sum() / book.minor_units
            booked = mine.loc[mine["tick"] * TICK < cut, "minor"].sum() / book.minor_units
            needed = standing / (final - booked) if final - booked > 0 and standing > 0 else np.nan
            rows.append((quarter.name, day, standing, booked, final, needed))
    return pd.DataFrame(rows, columns=["quarter", "day", "open", "booked", "final", "needed"])


def _seconds(day: dt.date, book: crm.Book) -> int:
    return int(pd.Timestamp(periods.start_of(day, book.time_zone)).timestamp())


def _open_moves(book: crm.Book, params: Params, quarters: list[periods.Period]) -> pd.DataFrame:
    """tick, minor (what comes into the open pipeline less what goes out), by quarter due where that counts."""
    deals = part_of(book, params).select("deal_id")
    spans = book.states.filter(_.kind == OPEN, _.entered_at.notnull()).semi_join(deals, "deal_id")
    keys = ["tick"]
    if by_due(book, params):
        due = spans.expected_close_on.cast("date")
        number = ibis.cases(*[
            (due.between(ibis.literal(q.first_on), ibis.literal(q.last_on)), k) for k, q in enumerate(quarters)
        ])  # fmt: skip
        spans, keys = spans.mutate(quarter=number).filter(_.quarter.notnull()), ["quarter", "tick"]
    parts = []
    for moment, sign in (("entered_at", 1), ("left_at", -1)):
        here = spans.filter(spans[moment].notnull())
        rows = here.mutate(tick=here[moment].epoch_seconds() // TICK)
        parts.append(rows.group_by(*keys).agg(minor=rows.amount_minor.sum().coalesce(0) * sign))
    return ibis.union(*parts).group_by(*keys).agg(minor=_.minor.sum()).execute()


def _wins(book: crm.Book, params: Params) -> pd.DataFrame:
    """tick, minor: won amounts by the moment they were won."""
    won = part_of(book, params).filter(_.status == WON, _.closed_at.notnull())
    rows = won.mutate(tick=won.closed_at.epoch_seconds() // TICK)
    return rows.group_by("tick").agg(minor=rows.amount_minor.sum().coalesce(0)).execute()
