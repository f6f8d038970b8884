"""The numbers of the page of cohorts: customers with contracts, who stays, who grows, what they will come to."""

import datetime as dt
from typing import NamedTuple

import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.cohort import compare, projection, renewals, retention
from salesops.cohort.params import Params
from salesops.cohort.retention import STEPS

MOST_SHOWN = 13  # cohorts of a picture
EARLIER = 0  # the year of those who had begun before the first month


class Found(NamedTuple):
    """cube : see `retention`. triangle : of the cohorts asked for. months : the movements of each month. renewed,
    renewed_before : NRR and GRR in the last month of the period, and a year before it (None where the record is too
    short). differs, n_compared : what stands out at equal age, of how many comparisons. groups : see `_groups`; empty
    where not split. event : see `compare.around`; empty where there is none, or it could not be looked at (why).
    projection : None of too short a record. mix : year (`EARLIER`: not known), n, revenue of the last month.
    largest : share of the largest 1, 5, 10 customers and of a tenth of all of them -> share of revenue. Minor units."""

    cube: retention.Cube
    triangle: retention.Retention
    months: pd.DataFrame
    renewed: renewals.Renewals
    renewed_before: renewals.Renewals | None
    differs: list[compare.Differs]
    n_compared: int
    groups: pd.DataFrame
    event: list[compare.Event]
    no_event: str
    projection: projection.Projection | None
    mix: pd.DataFrame
    largest: dict[str, float]
    step: str
    ages: list[int]
    asked: dict[str, str]
    split_by: str
    min_customers: int
    horizon_months: int
    discount: float
    event_name: str
    event_month: int
    event_for: str
    currency: str
    minor_units: int
    span: periods.Period

    @property
    def shown_cohorts(self) -> list[dt.date]:
        """The last cohorts of enough customers, the oldest first: those of the pictures."""
        cells = self.triangle.cells
        return sorted(cells.loc[cells["n"] >= self.min_customers, "cohort"].unique())[-MOST_SHOWN:]

    @property
    def shown_ages(self) -> list[int]:
        """Ages of the pictures of triangles: the first months, then every third or sixth."""
        cells = self.triangle.cells
        oldest = cells.loc[cells["cohort"].isin(self.shown_cohorts), "age"].max()
        return [age for age in (1, 3, 6, 9, 12, 15, 18, 21, 24, 30, 36, 48, 60) if age <= oldest]


def measure(book: crm.Book, params: Params) -> Found:
    """Customers with recurring revenue up to the end of the period.

    Raises
    ------
    ValueError
        If the source (or the region) has no recurring revenue in a month that has ended, no value of the split, or no
        terms of contracts where these are asked for.
    """
    if params.region and not book.revenue.limit(1).count().execute():
        raise ValueError(f"region {params.region!r}: no account of it has revenue, or no account has a region")
    cube = retention.read_cube(book, params.split_by)
    made = retention.triangle(cube, params.cohorts)
    units = [made.cells.assign(kind="cohort", name=made.cells["cohort"])]
    by_age = pd.DataFrame()
    if params.split_by != "none":
        # A group's customers of all months that were watched so long, at one age.
        cells = retention.triangle(cube, "month", split=True).cells
        by_age = cells.drop(columns="cohort").groupby(["group", "age"], as_index=False).sum()
        units.append(by_age[by_age["group"] != crm.NOT_KNOWN].assign(kind="group", name=lambda rows: rows["group"]))
    differs, n_compared = compare.find(pd.concat(units), params.watched_ages, params.min_customers)
    asked = {"base": params.base, "escalators": params.escalators, "reactivation": params.reactivation}
    renewed, before = (
        renewals.measure(book, month, **asked, least=params.min_customers)
        if month - renewals.YEAR >= int(cube.rows["month"].min()) else None
        for month in (cube.ends, cube.ends - renewals.YEAR)
    )  # fmt: skip
    event, no_event = _event(cube, params)
    return Found(
        cube, made, retention.movements(cube), renewed, before, differs, n_compared,
        _groups(by_age, params), event, no_event,
        projection.project(projection.table(cube), n_months=params.horizon_months, margin=params.margin,
        discount=params.discount,
                           n_draws=params.n_draws, seed=params.seed),
        _mix(cube), _largest(book, cube), params.cohorts, params.watched_ages, asked, params.split_by,
        params.min_customers, params.horizon_months, params.discount, params.event,
        _month(periods.parse(params.event).first_on) if params.event else 0, params.event_for, book.currency,
        book.minor_units, params.reported,
    )  # fmt: skip


def _event(cube: retention.Cube, params: Params) -> tuple[list[compare.Event], str]:
    """What is known around the event; or why nothing is: early, thin, unknown."""
    if not params.event:
        return [], ""
    month = _month(periods.parse(params.event).first_on)
    cohort = None
    if params.event_for:
        span = periods.parse(params.event_for, year_starts=params.year_starts)
        cohort = (_month(span.first_on), _month(span.last_on))
        if not cube.known["started"].between(*cohort).any():
            return [], "unknown"
    if not int(cube.rows["month"].min()) + 2 <= month <= cube.ends:
        return [], "early"
    found = compare.around(cube, month, params.event_months, cohort)
    return (found, "") if found[0].n >= params.min_customers else ([], "thin")


def _month(day: dt.date) -> int:
    return day.year * 12 + day.month - 1


def _groups(by_age: pd.DataFrame, params: Params) -> pd.DataFrame:
    """group, n (began in watched months), n_watched (of the age), stayed, net, gross (Estimates at `age`, the last one
    compared at which enough of each large group were watched)."""
    columns = ["group", "n", "n_watched", "age", "stayed", "net", "gross"]
    if by_age.empty:
        return pd.DataFrame(columns=columns)
    sizes = by_age[by_age["age"] == 0].set_index("group")["n"]
    large = sizes[sizes >= params.min_customers].index
    enough = (
        by_age[by_age["group"].isin(large) & (by_age["n"] >= params.min_customers)].groupby("age")["group"].nunique()
    )
    ages = [age for age in params.watched_ages if enough.get(age, 0) == len(large) and len(large)]
    rows = []
    for group in sizes.sort_values(ascending=False, kind="stable").index:
        cells = by_age[(by_age["group"] == group) & (by_age["age"] == (ages[-1] if ages else -1))]
        row = {"group": group, "n": int(sizes[group]), "n_watched": 0, "age": ages[-1] if ages else None}
        if len(cells) and group in large:
            n = int(cells["n"].iloc[0])
            row |= {"n_watched": n, "stayed": compare.stats.wilson(int(cells["active"].iloc[0]), n),
                    "net": compare.ratio(cells), "gross": compare.ratio(cells, "kept")}  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def _mix(cube: retention.Cube) -> pd.DataFrame:
    rows = cube.rows[cube.rows["month"] == cube.ends]
    year = rows["started"] // STEPS["year"]
    if cube.stock:
        year = year.where(rows["started"] > cube.rows["started"].min(), EARLIER)
    return rows.groupby(year.rename("year")).agg(n=("n", "sum"), revenue=("revenue", "sum")).reset_index()


def _largest(book: crm.Book, cube: retention.Cube) -> dict[str, float]:
    first = retention.first_day(cube.ends)
    rows = book.revenue.filter(_.kind == "recurring", _.month_on >= first, _.month_on <= cube.last_on)
    rows = rows.group_by("account_id").agg(amount=_.amount_minor.sum()).filter(_.amount > 0)
    n = int(rows.count().execute())
    if not n:
        return {}
    total = float(rows.amount.sum().execute())
    wanted = {"1": 1, "5": 5, "10": 10, "tenth": -(-n // 10)}
    top = rows.select("amount").order_by(_.amount.desc()).limit(max(wanted.values())).execute()["amount"]
    return {name: float(top.iloc[:k].sum()) / total for name, k in wanted.items() if k < n}
