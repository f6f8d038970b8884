"""Reps by month of tenure: what each booked, and what peers booked in the same days.

Tenure counts from the first day of the job. Deals are those that the rep had when they were won, whoever has them now.
Of a role only the days in it count: who is promoted out of it has not left, and who comes into it is no newcomer.
"""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.crm import owners

MONTH = 30.4375  # days of a month of tenure
EPOCH = dt.date(1970, 1, 1)
EVER = 10**6  # days, before or after any that is known


class Reps(NamedTuple):
    """people : rep_id, hired, left (numbers of days; left is past the last day known for those still there), stays
    (has not left from the role), first, last (days from and up to which a rep is watched, in the role). months :
    rep_id, month (of tenure, 0 the first), booked (minor units), peers (what a settled rep booked on average in the
    same days), quota (of those days; nan where none is set), stays. Only whole months that were watched, of reps whose
    first day is known. peers_a_month : of a settled rep, over the whole record; minor units. n_settled : reps.
    n_undated : reps without a first day."""

    people: pd.DataFrame
    months: pd.DataFrame
    peers_a_month: float
    n_settled: int
    n_undated: int


def read(book: crm.Book, *, role: str, settled: int) -> Reps:
    """Bookings of each rep by month of tenure.

    Raises
    ------
    ValueError
        If no rep has a first day, or nobody is settled.
    """
    today = (book.as_of - EPOCH).days
    table = book.reps.select("rep_id", "hired_on", "left_on").order_by("rep_id").execute()
    served = _served(book, role)
    table = table[table["rep_id"].isin(served["rep_id"])]
    dated = table[table["hired_on"].notna()]
    hired, left = ((pd.to_datetime(dated[name]) - pd.Timestamp(EPOCH)).dt.days for name in ("hired_on", "left_on"))
    begun = _begun(book)
    people = pd.DataFrame({"rep_id": dated["rep_id"], "hired": hired.astype("int64"),
                           "left": left.where(left <= today, today + 1).fillna(today + 1).astype("int64")})  # fmt: skip
    role_days = served.groupby("rep_id").agg(since=("since", "min"), until=("until", "max"))
    people = people.join(role_days, on="rep_id")
    people["first"] = np.maximum(people["hired"].clip(lower=begun), people.pop("since"))
    people["last"] = np.minimum(people["left"].clip(upper=today), people["until"])
    people["stays"] = (people["left"] > today) | (people.pop("until") < people["left"])
    people = people[(people["hired"] <= today) & (people["last"] >= people["first"])].reset_index(drop=True)
    if people.empty:
        raise ValueError("no rep has a first day before the last day known")
    days = _booked_by_day(book, people, served)
    rate, n_settled, mean = _peers(people, days, served, begun, today, settled)
    if not n_settled:
        raise ValueError(f"no rep has been there for {settled} months")
    if not mean:
        raise ValueError("settled reps have booked nothing to compare newcomers with")
    months = _months(people, days, served, rate, _quotas(book, people["rep_id"]), begun)
    return Reps(people, months, mean * MONTH, n_settled, len(table) - len(dated))


def _served(book: crm.Book, role: str) -> pd.DataFrame:
    """rep_id, since, until (numbers of days, both counted): the days of each rep in a role, or all; consecutive ones
    together."""
    spans = owners.assignments(book)
    if role:
        roles = sorted(set(spans["role"].dropna()))
        if role not in roles:
            raise ValueError(f"role {role!r} is not in the source; it has: {', '.join(roles) or 'none'}")
        spans = spans[spans["role"] == role]
    number = lambda day, blank: blank if pd.isna(day) else (day - EPOCH).days  # noqa: E731
    rows: list[list] = []
    for one in spans.itertuples():
        since, until = number(one.since_on, -EVER), number(one.until_on, EVER) - 1
        if rows and rows[-1][0] == one.rep_id and rows[-1][2] == since - 1:
            rows[-1][2] = until
        else:
            rows.append([one.rep_id, since, until])
    return pd.DataFrame(rows, columns=["rep_id", "since", "until"])


def _begun(book: crm.Book) -> int:
    first = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).tz_localize("UTC")
    return (first.tz_convert(book.time_zone).date() - EPOCH).days


def _booked_by_day(book: crm.Book, people: pd.DataFrame, served: pd.DataFrame) -> pd.DataFrame:
    """rep_id, day, booked: by who had the deal when it was won, on the days in the role."""
    won = book.credited.filter(_.status == "won", _.rep_id.notnull(), _.closed_at.notnull(), _.amount_minor.notnull())
    day = crm.day_number(won.closed_at, book.time_zone)
    table = won.group_by("rep_id", day=day).agg(booked=_.amount_minor.sum()).order_by("rep_id", "day").execute()
    table = table[table["rep_id"].isin(people["rep_id"])].merge(served, on="rep_id")
    table = table[table["day"].between(table["since"], table["until"])]
    return table[["rep_id", "day", "booked"]].astype({"day": "int64", "booked": "int64"})


def _peers(people: pd.DataFrame, days, served: pd.DataFrame, begun: int, today: int, settled: int):
    """What a settled rep books a day, by day (of a quarter around it, so that it is not one deal); how many reps were
    settled at any time; and the mean of the whole record."""
    n = today - begun + 1
    there, booked = np.zeros(n), np.zeros(n)
    since = {}
    for row in people.merge(served, on="rep_id").itertuples():
        first = max(int(row.hired + settled * MONTH), row.first, row.since) - begun
        last = min(row.last, row.until) - begun
        if first <= last:
            there[first : last + 1] += 1
            since.setdefault(row.rep_id, first + begun)
    own = days[days["rep_id"].isin(since)]
    own = own[own["day"].to_numpy() >= own["rep_id"].map(since).to_numpy()]
    np.add.at(booked, (own["day"] - begun).to_numpy().clip(0, n - 1), own["booked"].to_numpy("float64"))
    sums = [np.concatenate([[0.0], one.cumsum()]) for one in (there, booked)]
    low, high = np.maximum(np.arange(n) - 45, 0), np.minimum(np.arange(n) + 46, n)
    around = [one[high] - one[low] for one in sums]
    mean = booked.sum() / there.sum() if there.sum() else 0.0
    return np.divide(around[1], around[0], out=np.full(n, mean), where=around[0] > 0), len(since), mean


def _quotas(book: crm.Book, reps: pd.Series) -> dict[str, list[tuple[int, int, float]]]:
    """rep_id -> first and last day of each period with a quota, and the quota of a day."""
    if not book.has("quotas"):
        return {}
    table = (
        book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
        .select("rep_id", "period", "amount_minor")
        .execute()
    )
    found: dict[str, list[tuple[int, int, float]]] = {}
    for row in table[table["rep_id"].isin(reps)].sort_values(["rep_id", "period"]).itertuples():
        try:
            span = periods.parse(row.period)
        except ValueError:
            continue
        first, last = ((day - EPOCH).days for day in (span.first_on, span.last_on))
        found.setdefault(row.rep_id, []).append((first, last, row.amount_minor / (last - first + 1)))
    return found


def _months(people, days, served, rate: np.ndarray, quotas: dict, begun: int) -> pd.DataFrame:
    own, spans = dict(list(days.groupby("rep_id"))), dict(list(served.groupby("rep_id")))
    rows = []
    for row in people.itertuples():
        k = max(int(np.ceil((row.first - row.hired) / MONTH)), 0)
        part, there = own.get(row.rep_id), spans[row.rep_id]
        at = part["day"].to_numpy() if part is not None else np.array([], dtype="int64")
        amounts = part["booked"].to_numpy("float64") if part is not None else np.array([])
        while True:
            first, last = int(row.hired + k * MONTH), int(row.hired + (k + 1) * MONTH) - 1
            if last > row.last:
                break
            k += 1
            if not ((there["since"] <= first) & (there["until"] >= last)).any():
                continue  # in another role on some of these days
            inside = (at >= first) & (at <= last)
            asked = sum(each * max(min(last, b) - max(first, a) + 1, 0) for a, b, each in quotas.get(row.rep_id, []))
            peers = float(rate[first - begun : last - begun + 1].sum())
            rows.append((row.rep_id, k - 1, float(amounts[inside].sum()), peers, asked or np.nan, row.stays))
    return pd.DataFrame(rows, columns=["rep_id", "month", "booked", "peers", "quota", "stays"])
