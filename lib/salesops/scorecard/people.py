"""Reps: when they are there to sell, what they are to book, what they book and what they call."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.crm.worktime import Hours
from salesops.scorecard.counts import only
from salesops.scorecard.months import Span, first_watched, until
from salesops.scorecard.params import Params

MONTH = 30.4375  # days of a month of tenure
WEEKS_BEFORE = (12, 8, 4, 1)  # of the end of a period, at which calls are looked at
HEADLINE = 4


def presence(book: crm.Book, params: Params, months: Span) -> pd.DataFrame:
    """month, region, team, rep_id, work_days (working days in that month, up to the last day known), work_seconds,
    heads (share of a ramped rep that is there at its end), settled (there and ramped at its end). Of reps whose first
    day is known; a rep who changes team or region counts in each for the days there."""
    reps = _reps(book)
    hours = Hours(params.work_from, params.work_to, params.calendar)
    rows = []
    for month in months.all:
        first, last = months.first_on(month), min(months.last_on(month), book.as_of)
        days = [periods.days_after(first, k) for k in range((last - first).days + 1)]
        works = np.array([hours.works(day) for day in days])
        at = np.array(days, dtype="datetime64[D]")
        here = (at >= reps["since"].to_numpy()[:, None]) & (at <= reps["until"].to_numpy()[:, None])
        n = (here & works).sum(axis=1)
        tenure = (np.datetime64(last) - reps["hired"].to_numpy()) / np.timedelta64(1, "D") / MONTH
        ramped = np.clip(tenure / params.ramp_months, 0, 1) if params.ramp_months else np.ones(len(reps))
        there = here[:, -1]
        rows.append(reps[["region", "team", "rep_id"]].assign(
            month=month, work_days=n, work_seconds=n * (hours.end - hours.begin) * 3600,
            heads=np.where(there, ramped, 0.0), settled=(there & (ramped >= 1)).astype("int64")))  # fmt: skip
    return only(pd.concat(rows, ignore_index=True), params)


def _reps(book: crm.Book) -> pd.DataFrame:
    """rep_id, region, team, hired, since and until (the first and the last day of the rep there): a row for each
    assignment."""
    dates = book.reps.select("rep_id", "hired_on", "left_on").order_by("rep_id").execute()
    spans = book.assignments.select("rep_id", "since_on", "until_on", "region", "team")
    table = dates.merge(spans.order_by("rep_id", "since_on").execute(), on="rep_id")
    table = table[table["hired_on"].notna()].fillna({"region": crm.NOT_KNOWN, "team": crm.NOT_KNOWN})
    day = lambda column, blank: pd.to_datetime(column).fillna(pd.Timestamp(blank)).to_numpy().astype("datetime64[D]")  # noqa: E731
    hired, left = day(table["hired_on"], "1900-01-01"), day(table["left_on"], "2200-12-31")
    since, until = day(table["since_on"], "1900-01-01"), day(table["until_on"], "2200-12-31") - np.timedelta64(1, "D")
    table = table.assign(hired=hired, since=np.maximum(hired, since), until=np.minimum(left, until))
    return table[table["since"] <= table["until"]]


def quotas(book: crm.Book, params: Params) -> pd.DataFrame:
    """rep_id, region, team, period, first_on, last_on, quota, booked (minor units), ramped, share.

    One row per rep, region and team of theirs, and period that quotas are set for: the longest kind of period that most
    quotas have. What was booked counts where the rep was on that day; a quota by the `share` of the period's days
    there, in the role asked for. It counts whole whenever the rep was hired: the source sets it.

    Raises
    ------
    ValueError
        If no rep has the role asked for.
    """
    columns = ["rep_id", "region", "team", "period", "first_on", "last_on", "quota", "booked", "ramped", "share"]
    if not book.has("quotas"):
        return pd.DataFrame(columns=columns)
    begins = first_watched(book)
    rows = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    if not rows.count().execute():  # a source that sets them for revenue alone books what it invoices
        rows = book.quotas
    table = rows.group_by("rep_id", "period").agg(quota=_.amount_minor.sum()).execute()
    spans = {name: periods.parse(name) for name in table["period"].unique()}
    table["n_months"] = [spans[name].n_months for name in table["period"]]
    table = table[table["n_months"] == table["n_months"].mode().max()]
    table = table[[spans[name].first_on >= begins for name in table["period"]]]  # what is told in part is not told
    if table.empty:
        return pd.DataFrame(columns=columns)
    table["first_on"] = [spans[name].first_on for name in table["period"]]
    table["last_on"] = [spans[name].last_on for name in table["period"]]
    booked = _booked(book, min(book.as_of, params.reported.last_on))
    table = crm.by_assignment(book, table)
    if params.role:
        _check_role(book, params.role)
        table, booked = table[table["role"] == params.role], booked[booked["role"] == params.role]
    where = dict.fromkeys(("region", "team"), crm.NOT_KNOWN)
    table, booked = table.fillna(where), booked.fillna(where)
    of = ["rep_id", "region", "team"]
    kept = [*of, "period", "n_months", "first_on", "last_on"]
    table = table.groupby(kept, as_index=False)[["quota", "share"]].sum()
    number = lambda day: day.year * 12 + day.month - 1  # noqa: E731
    parts = []
    for first, last in sorted(set(zip(table["first_on"], table["last_on"], strict=True))):
        own = booked[booked["month"].between(number(first), number(last))].groupby(of, as_index=False)["won"].sum()
        parts.append(own.assign(first_on=first))
    sums = pd.concat(parts, ignore_index=True).rename(columns={"won": "booked"}) if parts else table.assign(booked=0)
    table = table.merge(sums[[*of, "first_on", "booked"]], on=[*of, "first_on"], how="left").fillna({"booked": 0})
    table = table.merge(book.reps.select("rep_id", "hired_on").execute(), on="rep_id", how="left")
    tenure = (pd.to_datetime(table["first_on"]) - pd.to_datetime(table["hired_on"])) / pd.Timedelta(days=MONTH)
    table = table.assign(booked=table["booked"].astype("int64"), ramped=tenure.isna() | (tenure >= params.ramp_months))
    table["period"] = [_named(first, n) for first, n in zip(table["first_on"], table["n_months"], strict=True)]
    return only(table.sort_values(["first_on", "rep_id"], ignore_index=True)[columns], params)


def _named(first: dt.date, n_months: int) -> str:
    return {1: f"{first:%Y-%m}", 3: f"{first.year}-Q{first.month // 3 + 1}", 12: f"{first.year}"}[n_months]


def _check_role(book: crm.Book, role: str) -> None:
    roles = set(book.assignments.select("role").execute()["role"].dropna())
    if role not in roles:
        raise ValueError(f"role {role!r} is not in the source; it has: {', '.join(sorted(roles)) or 'none'}")


def _booked(book: crm.Book, last_on: dt.date) -> pd.DataFrame:
    """rep_id, role, region, team, month, won (minor units) up to a day: by who had each deal when it was won, and where
    they were that day."""
    end = ibis.literal(pd.Timestamp(periods.end_of(last_on, book.time_zone)))
    won = book.credited.filter(_.status == "won", _.closed_at < end, _.rep_id.notnull())
    month = crm.month_number(won.closed_at, book.time_zone, book.as_of)
    won = won.select("rep_id", "amount_minor", month=month, role=_.rep_role, region=_.rep_region, team=_.rep_team)
    by = ["rep_id", "role", "region", "team", "month"]
    return won.group_by(*by).agg(won=_.amount_minor.sum().fill_null(0)).order_by(*by).execute()


def calls(book: crm.Book, params: Params, carried: pd.DataFrame) -> pd.DataFrame:
    """period, weeks (before its end), called, actual, off (sum of what each rep was off by), n (reps); minor units.

    A call counts as it stood that many weeks before the period's end: the last one of the rep, commit or without a
    category, against what the caller won. Of periods that have ended, and reps who have a quota for all of them.
    """
    columns = ["period", "last_on", "weeks", "called", "actual", "off", "n"]
    if not book.has("forecast_calls") or carried.empty:
        return pd.DataFrame(columns=columns)
    made = book.forecast_calls.filter(_.category.isnull() | (_.category == "commit"))
    whole = ["rep_id", "period", "last_on"]
    ended = carried[carried["last_on"] <= book.as_of].groupby(whole, as_index=False)[["booked", "share"]].sum()
    ended = ended[ended["share"] > 1 - 1e-9]  # who was elsewhere for a part of it called for that too
    if ended.empty:
        return pd.DataFrame(columns=columns)
    ends = ended[["period", "last_on"]].drop_duplicates()
    moments = ends.merge(pd.DataFrame({"weeks": WEEKS_BEFORE}), how="cross")
    cuts = [
        periods.end_of(periods.days_after(row.last_on, -7 * row.weeks), book.time_zone) for row in moments.itertuples()
    ]
    looked = ibis.memtable(
        moments[["period", "weeks"]]
        .rename(columns={"period": "of"})
        .assign(cut=pd.to_datetime(cuts).astype("datetime64[us]"))
    )
    known = made.join(looked, [made.period == looked.of, made.called_at < looked.cut])
    last = known.group_by("rep_id", "period", "weeks").agg(called=_.amount_minor.argmax(_.called_at)).execute()
    both = ended.merge(last, on=["rep_id", "period"])
    both["off"] = (both["called"] - both["booked"]).abs()
    sums = both.groupby(["period", "last_on", "weeks"], as_index=False).agg(
        called=("called", "sum"), actual=("booked", "sum"), off=("off", "sum"), n=("rep_id", "size")
    )
    return sums[(sums["n"] >= params.min_cases) & (sums["actual"] > 0)].reset_index(drop=True)


def p_of_alike(book: crm.Book, months: Span, first: int) -> float:
    """p of all reps winning alike, deals of one pipeline, type and segment compared with each other only: who is given
    more of what is won more easily wins no better. Deals closed from the month `first` on."""
    begun = ibis.literal(pd.Timestamp(periods.start_of(months.first_on(first), book.time_zone)))
    kinds = [name for name in ("deal_type", "segment") if name in crm.known_dimensions(book)]
    deals = crm.with_dimensions(book, book.credited, kinds)
    closed = deals.filter(
        _.status != "open", _.rep_id.notnull(), _.closed_at >= begun, _.closed_at < until(book, months)
    )
    keys = ["pipeline", *(f"by_{name}" for name in kinds)]
    rows = closed.group_by("rep_id", *keys).agg(n=_.count(), n_won=(_.status == "won").sum()).execute()
    stratum = rows[keys].fillna(crm.NOT_KNOWN).groupby(keys, sort=True).ngroup().to_numpy()
    member = pd.factorize(rows["rep_id"], sort=True)[0]
    return stats.p_of_equal_rates_within(rows["n_won"].to_numpy(), rows["n"].to_numpy(), member, stratum)
