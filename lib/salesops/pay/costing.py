"""What a year of a plan may cost: attainment drawn as it has scattered, paid to the cent, many years over.

Reps do not have good and bad quarters independently: some are better, some quarters are. How much of the scatter is the
rep's and how much the quarter's is taken from history, and drawn again by a Gaussian copula over the attainments met.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm, rankdata

from salesops import crm, periods
from salesops.pay import spans, vector
from salesops.pay.plans import Component, Plan
from salesops.pay.records import Credit, Person

QUARTERS = 12  # of history, at most
LEAST = 30  # attainments of reps and quarters, below which nothing is drawn
QUARTERS_OF = {"quarter": 1, "half": 2, "year": 4}  # quarters


class Scatter(NamedTuple):
    """values : attainments met, sorted. of_rep, of_quarter : shares of the scatter (of normal scores) that are a rep's
    own, and common to all reps of a quarter. n_reps, n_quarters."""

    values: np.ndarray
    of_rep: float
    of_quarter: float
    n_reps: int
    n_quarters: int


class Costs(NamedTuple):
    """Of simulated years; money in whole units. pay : (years, reps). booked : (years, reps). at_mean : what would be
    paid if every rep had the mean attainment in every quarter. left_out : components that cannot be paid on totals
    alone. scatter : what was drawn from."""

    pay: np.ndarray
    booked: np.ndarray
    at_mean: float
    left_out: list[str]
    scatter: Scatter

    @property
    def paid(self) -> np.ndarray:
        """(years,): to all reps together."""
        return self.pay.sum(axis=1)

    @property
    def cost_of_sales(self) -> np.ndarray:
        """(years,): paid over booked, a ratio of sums."""
        return self.paid / np.maximum(self.booked.sum(axis=1), 1e-9)

    def quantiles(self) -> tuple[float, float, float]:
        """P10, P50 and P90 of the cost."""
        return tuple(float(one) for one in np.quantile(self.paid, (0.1, 0.5, 0.9)))


def read_history(book: crm.Book, year_starts: int) -> pd.DataFrame:
    """rep_id, quarter, attainment: booked over quota of the last quarters that have ended."""
    quotas = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    quotas = quotas.group_by("rep_id", "period").agg(quota=_.amount_minor.sum()).order_by("rep_id", "period").execute()
    ends, rows = periods.quarter_of(book.as_of, year_starts), []
    before = periods.quarter_of(periods.days_after(ends.first_on, -1), year_starts)
    quarter = ends if ends.last_on == book.as_of else before
    won = book.deals.filter(_.status == "won", _.closed_at.notnull(), _.rep_id.notnull())
    for _back in range(QUARTERS):
        since = periods.start_of(quarter.first_on, book.time_zone)
        until = periods.end_of(quarter.last_on, book.time_zone)
        inside = won.filter(_.closed_at >= since, _.closed_at < until)
        booked = inside.group_by("rep_id").agg(booked=_.amount_minor.sum()).order_by("rep_id").execute()
        mine = quotas[(quotas["period"] == periods.calendar_name(quarter)) & (quotas["quota"] > 0)]
        both = mine.merge(booked, on="rep_id", how="left").fillna({"booked": 0})
        both["attainment"] = both["booked"].astype("float64") / both["quota"].astype("float64")
        rows.append(both.assign(quarter=f"{quarter.first_on}")[["rep_id", "quarter", "attainment"]])
        quarter = periods.quarter_of(periods.days_after(quarter.first_on, -1), year_starts)
    begins = book.about["log_begins"] or book.about["first_moment"]
    table = pd.concat(rows, ignore_index=True)
    return table[table["quarter"] >= str(begins)[:10]].reset_index(drop=True)


def judge(history: pd.DataFrame) -> Scatter | None:
    """How attainments scatter; None where too few are known.

    The shares are those of variance components of the normal scores, by the moments of a two-way layout without
    replication; none is below zero.

    References
    ----------
    Searle, Casella & McCulloch (1992), Variance Components, chapter 5.
    """
    if len(history) < LEAST or history["rep_id"].nunique() < 3 or history["quarter"].nunique() < 3:
        return None
    score = norm.ppf((rankdata(history["attainment"]) - 0.5) / len(history))
    table = history.assign(score=score)
    by_rep, by_quarter = table.groupby("rep_id")["score"], table.groupby("quarter")["score"]
    left = table["score"] - by_rep.transform("mean") - by_quarter.transform("mean") + table["score"].mean()
    freedom = max(len(table) - by_rep.ngroups - by_quarter.ngroups + 1, 1)
    noise = float((left**2).sum()) / freedom
    rep = max(float(by_rep.mean().var()) - noise * float((1 / by_rep.size()).mean()), 0.0)
    quarter = max(float(by_quarter.mean().var()) - noise * float((1 / by_quarter.size()).mean()), 0.0)
    whole = noise + rep + quarter
    return Scatter(np.sort(history["attainment"].to_numpy()), rep / whole, quarter / whole, by_rep.ngroups,
                   by_quarter.ngroups)  # fmt: skip


def year_quotas(plan: Plan, people: Sequence[Person], known: dt.date) -> np.ndarray:
    """(reps, 4 quarters), whole units: of the plan's year, of those who are there on a day and have all four."""
    rows = []
    for one in people:
        found = [spans.find_quota(one.quotas, "bookings", span.first_on, span.last_on, plan.year_starts)
                 for span in _quarters(plan)]  # fmt: skip
        if (one.left_on is None or one.left_on > known) and all(quota is not None for quota in found):
            rows.append([float(quota) for quota in found])
    return np.array(rows).reshape(-1, 4)


def typical_quota(plan: Plan, people: Sequence[Person]) -> Fraction:
    """The median quota of bookings of the plan's year, whole, of those who have one for all of it; 0 where nobody
    has."""
    quarters = _quarters(plan)
    first, last = quarters[0].first_on, quarters[-1].last_on
    found = [spans.find_quota(one.quotas, "bookings", first, last, plan.year_starts) for one in people]
    known = sorted(one for one in found if one)
    return known[len(known) // 2] if known else Fraction(0)


def _quarters(plan: Plan) -> list[spans.Span]:
    first = spans.year_start(plan.start, plan.year_starts)
    last = periods.days_after(periods.add_months(first, 12), -1)
    return spans.find(3, first, last, plan.year_starts, last)


def shares(plan: Plan, credits: Mapping[str, Sequence[Credit]]) -> dict[str, float]:
    """Component -> share of what is booked that it measures."""
    direct = [one for made in credits.values() for one in made if one.kind == "direct" and "bookings" in one.measures]
    whole = float(sum((one.measures["bookings"] for one in direct), Fraction(0)))
    found = {}
    for part in plan.components:
        mine = [one for one in direct if all(one.facts.get(key) in allowed for key, allowed in part.only.items())]
        booked = float(sum((one.measures["bookings"] for one in mine), Fraction(0)))
        found[part.name] = booked / whole if whole else 1.0
    return found


def draw(scatter: Scatter, n_years: int, n_reps: int, *, seed: int) -> np.ndarray:
    """Attainments: (years, reps, 4 quarters)."""
    rng = np.random.default_rng(seed)
    own = np.sqrt(scatter.of_rep) * rng.standard_normal((n_years, n_reps, 1))
    common = np.sqrt(scatter.of_quarter) * rng.standard_normal((n_years, 1, 4))
    rest = np.sqrt(max(1 - scatter.of_rep - scatter.of_quarter, 0)) * rng.standard_normal((n_years, n_reps, 4))
    share = norm.cdf(own + common + rest)
    n = len(scatter.values)
    return np.interp(share * n - 0.5, np.arange(n), scatter.values)


def simulate(
    plan: Plan, scatter: Scatter, quotas: np.ndarray, shares: Mapping[str, float], *, n_years: int, seed: int
) -> Costs:
    """Years of a plan.

    Parameters
    ----------
    quotas : (reps, 4 quarters), whole units. shares : component -> share of what is booked that it measures.
    """
    attained = draw(scatter, n_years, len(quotas), seed=seed)
    return cost(plan, scatter, attained, quotas, shares)


def cost(plan: Plan, scatter: Scatter, attained: np.ndarray, quotas: np.ndarray, shares: Mapping[str, float]) -> Costs:
    """What a plan pays for attainments (years, reps, 4 quarters); the rest as `simulate`. Plans are compared on the
    same draws."""
    minor = 10**plan.digits
    booked = np.round(attained * quotas * minor).astype(np.int64)
    mean = np.round(np.full((1, *quotas.shape), scatter.values.mean()) * quotas * minor).astype(np.int64)
    paid, at_mean, left_out = np.zeros(booked.shape[:2], dtype=np.int64), 0, []
    for one in plan.components:
        if beyond(one):
            left_out.append(one.name)
            continue
        share = shares.get(one.name, 1.0)
        paid += _year(plan, one, booked, quotas, share, minor)
        at_mean += int(_year(plan, one, mean, quotas, share, minor).sum())
    return Costs(paid / minor, booked.sum(axis=2) / minor, at_mean / minor, left_out, scatter)


def beyond(one: Component) -> bool:
    """Whether more than a rep's total of a quarter or longer decides what a component pays."""
    looks = one.gate, one.multiplier, one.windfall, one.accelerates_after, one.cap.deal
    if one.measure != "bookings" or not {"direct", "overlay"} & set(one.credits):
        return True
    monthly = one.period == "month" and not one.to_date
    return any(look is not None for look in looks) or one.period == "deal" or monthly


def _year(plan: Plan, one: Component, booked: np.ndarray, quotas: np.ndarray, share: float, minor: int) -> np.ndarray:
    """What a component pays each rep in each year, minor units: a true-up makes the year, so only its end counts."""
    measured = np.round(booked * share).astype(np.int64) if share < 1 else booked
    n = 4 if one.to_date else QUARTERS_OF[one.period]
    target = plan.pay.variable * one.weight * Fraction(n, 4)
    uncapped = one.cap.model_copy(update={"year": None})
    bare = one.model_copy(update={"to_date": False, "period": "quarter", "cap": uncapped})
    paid = np.zeros(measured.shape[:2], dtype=np.int64)
    for rep in range(measured.shape[1]):
        for first in range(0, 4, n):
            quota = Fraction(int(round(float(quotas[rep, first : first + n].sum()) * minor)), minor)
            total = measured[:, rep, first : first + n].sum(axis=1)
            paid[:, rep] += vector.entitled(bare, total, quota, target, minor_units=minor, rounding=plan.rounding)
    if one.cap.year is not None:
        most = one.cap.year.of(plan.pay.variable * one.weight) * minor
        whole = vector.divide(np.array([most.numerator], dtype=object), most.denominator, plan.rounding)[0]
        paid = np.minimum(paid, int(whole))
    return paid
