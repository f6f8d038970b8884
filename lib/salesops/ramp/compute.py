"""The numbers of the page of the ramp."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.stats import t as student

from salesops import crm, stats
from salesops.ramp import months
from salesops.ramp.params import Params
from salesops.stats import Estimate

BANDS = ((0, 2), (3, 5), (6, 8), (9, 11), (12, 17), (18, 23))  # months of tenure, both counted
LONGEST = 24


class Found(NamedTuple):
    """reps : see `months`. curve : month, n (reps), share (Estimate: bookings over those of settled peers in the same
    days; None of too few), smooth (never falling). bands : first, last, who (all, stays, left), n, share, attained
    (Estimates or None: over peers', over own quotas). newcomers : rep_id, age (months until ramped, left or now), end
    (ramped, left, open), of reps hired within the record. incidence : of ramped and left; None of too few. survival :
    time to ramp with leavers censored. to_ramp : months by which half are ramped, or None. missed : bookings that a
    newcomer is short of a peer until the ramp's end (Estimate; minor units), and of how many months. cost : of a rep
    until
    half are ramped. cycle_days : median days from created to won of settled reps' deals."""

    reps: months.Reps
    curve: pd.DataFrame
    bands: pd.DataFrame
    newcomers: pd.DataFrame
    incidence: stats.Incidence | None
    survival: stats.Survival | None
    to_ramp: Estimate | None
    missed: Estimate | None
    missed_months: int
    cost: float | None
    cycle_days: float | None
    role: str
    ramped_by: str
    ramped_share: float
    in_a_row: int
    settled_months: int
    cost_a_month: float
    min_reps: int
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Found:
    """Reps by tenure up to the last day known.

    Raises
    ------
    ValueError
        If no rep has a first day, nobody is settled, or quotas are asked for and there are none.
    """
    reps = months.read(book, role=params.role, settled=params.settled_months)
    if params.ramped_by == "quota" and reps.months["quota"].isna().all():
        raise ValueError("ramped_by quota: the source has no quotas of these reps")
    curve = _curve(reps.months, params.min_reps)
    newcomers = _newcomers(reps, params)
    incidence = survival = to_ramp = None
    if len(newcomers) >= params.min_reps:
        counts = {f"n_{end}": (newcomers["end"] == end).astype("int64") for end in ("ramped", "left", "open")}
        counts = pd.DataFrame({"age": newcomers["age"], **counts})
        incidence = stats.aalen_johansen(counts, {"ramped": "n_ramped", "left": "n_left"})
        survival = stats.kaplan_meier(
            counts.assign(n_ended=counts["n_ramped"], n_open=counts["n_open"] + counts["n_left"])
        )
        to_ramp = survival.quantile(0.5)
    missed, n_months = _missed(reps, params)
    cost = params.cost_a_month * to_ramp.value if params.cost_a_month and to_ramp is not None else None
    return Found(
        reps, curve, _bands(reps.months, params.min_reps), newcomers, incidence, survival, to_ramp, missed,
        n_months, cost,
        _cycle(book), params.role, params.ramped_by, params.ramped_share, params.in_a_row, params.settled_months,
        params.cost_a_month,
        params.min_reps, book.currency, book.minor_units, book.as_of,
    )  # fmt: skip


def over(rows: pd.DataFrame, base: str, least: int) -> Estimate | None:
    """Bookings over peers' (or quotas) of rep-months: a ratio of sums; reps are what varies, by Student's t.

    References
    ----------
    Cochran (1977), Sampling techniques, 3rd ed., 6.4 and 9A.
    """
    rows = rows[rows[base].notna()]
    sums = rows.groupby("rep_id")[["booked", base]].sum()
    n = len(sums)
    if n < least or not sums[base].sum():
        return None
    value = float(sums["booked"].sum() / sums[base].sum())
    off = sums["booked"] - value * sums[base]
    reach = student.ppf(0.975, n - 1) * float(np.sqrt((off**2).sum() * n / (n - 1))) / float(sums[base].sum())
    return Estimate(value, max(value - reach, 0.0), value + reach, n)


def _curve(table: pd.DataFrame, least: int) -> pd.DataFrame:
    rows = []
    for month in range(LONGEST):
        part = table[table["month"] == month]
        rows.append((month, part["rep_id"].nunique(), over(part, "peers", least)))
    made = pd.DataFrame(rows, columns=["month", "n", "share"])
    known = made["share"].notna()
    made["smooth"] = np.nan
    if known.any():
        values = np.array([one.value for one in made.loc[known, "share"]])
        made.loc[known, "smooth"] = isotonic_regression(values, weights=made.loc[known, "n"].to_numpy("float64")).x
    return made


def _bands(table: pd.DataFrame, least: int) -> pd.DataFrame:
    rows = []
    for first, last in BANDS:
        part = table[table["month"].between(first, last)]
        for who, some in (("all", part), ("stays", part[part["stays"]]), ("left", part[~part["stays"]])):
            rows.append({"first": first, "last": last, "who": who, "n": some["rep_id"].nunique(),
                         "share": over(some, "peers", least), "attained": over(some, "quota", least)})  # fmt: skip
    return pd.DataFrame(rows)


def _newcomers(reps: months.Reps, params: Params) -> pd.DataFrame:
    """How long each rep hired within the record took to be ramped: the end of the first months in a row that together
    reach the share; or until they left, or up to now."""
    base = {"peers": "peers", "quota": "quota"}[params.ramped_by]
    here = reps.people[reps.people["hired"] >= reps.people["first"].min()]
    here = here[here["hired"] == here["first"]]
    rows = []
    for person in here.itertuples():
        own = reps.months[reps.months["rep_id"] == person.rep_id].sort_values("month")
        sums = own[["booked", base]].rolling(params.in_a_row).sum()
        reached = (sums["booked"] >= params.ramped_share * sums[base]) & (sums[base] > 0)
        if reached.any():
            rows.append((person.rep_id, int(own.loc[reached.idxmax(), "month"]) + 1, "ramped"))
            continue
        last = int(own["month"].max()) + 1 if len(own) else 0
        rows.append((person.rep_id, last, "open" if person.stays else "left"))
    return pd.DataFrame(rows, columns=["rep_id", "age", "end"])


def _missed(reps: months.Reps, params: Params) -> tuple[Estimate | None, int]:
    """What a newcomer books less than a peer until the settled age, from the means of months; with reps varying."""
    table = reps.months[reps.months["month"] < params.settled_months]
    one = over(table, "peers", params.min_reps)
    if one is None:
        return None, 0
    whole = reps.peers_a_month * params.settled_months
    return Estimate(
        (1 - one.value) * whole, (1 - one.high) * whole, (1 - one.low) * whole, one.n
    ), params.settled_months


def _cycle(book: crm.Book) -> float | None:
    from ibis import _ as row_

    won = book.deals.filter(row_.status == "won", row_.created_at.notnull(), row_.closed_at.notnull())
    days = (won.closed_at.epoch_seconds() - won.created_at.epoch_seconds()) // 86_400
    counts = won.select(days=days).group_by("days").agg(n=row_.count()).order_by("days").execute()
    if counts.empty:
        return None
    upto = counts["n"].cumsum() / counts["n"].sum()
    return float(counts["days"].iloc[int(np.searchsorted(upto, 0.5))])


def plan_ramp(found: Found) -> list[float]:
    """Shares of the quota by month of tenure that a plan may ask for: the smoothed curve to the next five points, up to
    the month before it first reaches all."""
    shares = []
    for value in found.curve["smooth"]:
        if not np.isfinite(value) or value >= 0.975:
            break
        shares.append(max(round(float(value) * 20) / 20, 0.0))
    return shares
