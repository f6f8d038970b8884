"""What a year of a plan may cost: attainment drawn as it has scattered, paid to the cent, many years over.

Reps do not have good and bad quarters independently: some are better, some quarters are. How much of the scatter is the
rep's and how much the quarter's is taken from history, and drawn again by a Gaussian copula over the attainments met.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
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
MOST_DEALS = 400  # of a rep in a quarter; what is left is one deal more
LEAST_QUARTERS = 4
BLOCKS = 40  # times that the record is judged again
ASKED = 0.5  # of a quarter's quota
LEAST = 30  # attainments of reps and quarters, below which nothing is drawn
QUARTERS_OF = {"quarter": 1, "half": 2, "year": 4}  # quarters


class Scatter(NamedTuple):
    """values : attainments met, sorted. of_rep, of_quarter : shares of the scatter (of normal scores) that are a rep's
    own, and common to all reps of a quarter. n_reps, n_quarters. blocks : the same judged again of quarters drawn from
    the record, for how good and how different quarters are is not known well from a few of them."""

    values: np.ndarray
    of_rep: float
    of_quarter: float
    n_reps: int
    n_quarters: int
    blocks: tuple["Scatter", ...] = ()


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


def read_history(book: crm.Book, plan: Plan) -> pd.DataFrame:
    """rep_id, quarter, attainment: booked over quota of the last quarters that have ended; quotas for the days that a
    rep was there and by the plan's ramp. Quarters of which less than `ASKED` was asked for are left out: of days or
    months at the beginning, attainment says nothing of what comes."""
    quotas = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    quotas = quotas.group_by("rep_id", "period").agg(quota=_.amount_minor.sum()).order_by("rep_id", "period").execute()
    reps = book.reps.select("rep_id", "hired_on", "left_on").execute()
    there = {row.rep_id: (_date(row.hired_on), _date(row.left_on)) for row in reps.itertuples()}
    ends, rows = periods.quarter_of(book.as_of, plan.year_starts), []
    before = periods.quarter_of(periods.days_after(ends.first_on, -1), plan.year_starts)
    quarter = ends if ends.last_on == book.as_of else before
    won = book.credited.filter(_.status == "won", _.closed_at.notnull(), _.rep_id.notnull())
    for _back in range(QUARTERS):
        since = periods.start_of(quarter.first_on, book.time_zone)
        until = periods.end_of(quarter.last_on, book.time_zone)
        inside = won.filter(_.closed_at >= since, _.closed_at < until)
        booked = inside.group_by("rep_id").agg(booked=_.amount_minor.sum()).order_by("rep_id").execute()
        mine = quotas[(quotas["period"] == periods.calendar_name(quarter)) & (quotas["quota"] > 0)]
        both = mine.merge(booked, on="rep_id", how="left").fillna({"booked": 0})
        both["asked"] = [_asked(*there.get(rep, (None, None)), quarter, plan) for rep in both["rep_id"]]
        both = both[both["asked"] >= ASKED]
        whole = both["quota"].astype("float64") * both["asked"]
        both["attainment"] = both["booked"].astype("float64") / whole
        rows.append(both.assign(quarter=f"{quarter.first_on}")[["rep_id", "quarter", "attainment"]])
        quarter = periods.quarter_of(periods.days_after(quarter.first_on, -1), plan.year_starts)
    begins = book.about["log_begins"] or book.about["first_moment"]
    table = pd.concat(rows, ignore_index=True)
    return table[table["quarter"] >= str(begins)[:10]].reset_index(drop=True)


def _date(value: object) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def _asked(hired: dt.date | None, left: dt.date | None, quarter: periods.Period, plan: Plan) -> float:
    """The share of a quarter's quota that was asked of a rep: by days there, and by the ramp."""
    n_days = (quarter.last_on - quarter.first_on).days + 1
    first = max(quarter.first_on, hired or quarter.first_on)
    last = min(quarter.last_on, left or quarter.last_on)
    total = 0.0
    for k in range((last - first).days + 1):
        month = spans.tenure_month(hired, first + dt.timedelta(days=k)) if hired else len(plan.ramp)
        total += float(plan.ramp[month]) if month < len(plan.ramp) else 1.0
    return total / n_days if plan.prorate else 1.0


def judge(history: pd.DataFrame, *, n_blocks: int = 0) -> Scatter | None:
    """How attainments scatter; None where too few are known.

    The shares are those of variance components of the normal scores, by the moments of a two-way layout without
    replication; none is below zero.

    References
    ----------
    Searle, Casella & McCulloch (1992), Variance Components, chapter 5.
    """
    if len(history) < LEAST or history["rep_id"].nunique() < 3 or history["quarter"].nunique() < LEAST_QUARTERS:
        return None
    names, reps = np.unique(history["rep_id"], return_inverse=True)
    dates, quarters = np.unique(history["quarter"], return_inverse=True)
    values = history["attainment"].to_numpy("float64")
    made = _judge(values, reps, quarters)
    by_quarter = [np.flatnonzero(quarters == k) for k in range(len(dates))]
    rng, blocks = np.random.default_rng(len(history)), []
    for _block in range(n_blocks):
        drawn = rng.integers(0, len(dates), len(dates))
        rows = np.concatenate([by_quarter[k] for k in drawn])
        place = np.repeat(np.arange(len(drawn)), [len(by_quarter[k]) for k in drawn])
        blocks.append(_judge(values[rows], reps[rows], place))
    return made._replace(blocks=tuple(blocks))


def _judge(values: np.ndarray, reps: np.ndarray, quarters: np.ndarray) -> Scatter:
    score = norm.ppf((rankdata(values) - 0.5) / len(values))

    def means(of: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = np.bincount(of)
        mean = np.bincount(of, weights=score) / np.maximum(n, 1)
        return mean, n, mean[of]

    (rep_means, rep_n, of_rep), (quarter_means, quarter_n, of_quarter) = means(reps), means(quarters)
    left = score - of_rep - of_quarter + score.mean()
    freedom = max(len(score) - (rep_n > 0).sum() - (quarter_n > 0).sum() + 1, 1)
    noise = float((left**2).sum()) / freedom
    rep = max(float(rep_means[rep_n > 0].var(ddof=1)) - noise * float((1 / rep_n[rep_n > 0]).mean()), 0.0)
    quarter = max(
        float(quarter_means[quarter_n > 0].var(ddof=1)) - noise * float((1 / quarter_n[quarter_n > 0]).mean()), 0.0
    )
    whole = max(noise + rep + quarter, 1e-12)
    return Scatter(np.sort(values), rep / whole, quarter / whole, int((rep_n > 0).sum()), int((quarter_n > 0).sum()))


def year_quotas(plan: Plan, people: Sequence[Person], known: dt.date) -> np.ndarray:
    """(reps, 4 quarters), whole units: of the plan's year that a day is in, of those there on it who have all four."""
    rows = []
    for one in people:
        found = [spans.find_quota(one.quotas, "bookings", span.first_on, span.last_on, plan.year_starts)
                 for span in _quarters(plan, known)]  # fmt: skip
        if (one.left_on is None or one.left_on > known) and all(quota is not None for quota in found):
            rows.append([float(quota) for quota in found])
    return np.array(rows).reshape(-1, 4)


def typical_quota(plan: Plan, people: Sequence[Person], known: dt.date) -> Fraction:
    """The median quota of bookings of the plan's year that a day is in, whole, of those who have one for all of it; 0
    where nobody has."""
    quarters = _quarters(plan, known)
    first, last = quarters[0].first_on, quarters[-1].last_on
    found = [spans.find_quota(one.quotas, "bookings", first, last, plan.year_starts) for one in people]
    whole = sorted(one for one in found if one)
    return whole[len(whole) // 2] if whole else Fraction(0)


def _quarters(plan: Plan, known: dt.date) -> list[spans.Span]:
    first = spans.year_start(known, plan.year_starts)
    last = spans.year_end(known, plan.year_starts)
    return spans.find(3, first, last, plan.year_starts, last)


def shares(plan: Plan, credits: Mapping[str, Sequence[Credit]]) -> dict[str, float]:
    """Component -> what it measures over what is booked: by its kinds of credit and what it looks at."""
    all_ = [one for made in credits.values() for one in made if "bookings" in one.measures]
    whole = float(sum((one.measures["bookings"] for one in all_ if one.kind == "direct"), Fraction(0)))
    found = {}
    for part in plan.components:
        mine = [one for one in all_ if one.kind in part.credits and part.takes(one.facts)]
        booked = float(sum((one.measures["bookings"] for one in mine), Fraction(0)))
        found[part.name] = booked / whole if whole else 1.0
    return found


def sizes(credits: Mapping[str, Sequence[Credit]]) -> np.ndarray | None:
    """Amounts of the deals that were credited, whole units, sorted; None where too few are known to draw from."""
    whole: dict[str, Fraction] = {}
    for one in (one for made in credits.values() for one in made):
        if one.kind == "direct" and "bookings" in one.measures:
            whole[one.deal_id] = whole.get(one.deal_id, Fraction(0)) + one.measures["bookings"]
    found = sorted(float(value) for value in whole.values() if value > 0)
    return np.array(found) if len(found) >= LEAST else None


def draw(scatter: Scatter, n_years: int, n_reps: int, *, seed: int) -> np.ndarray:
    """Attainments: (years, reps, 4 quarters); as many years from each block of the scatter, where it has any."""
    rng, blocks = np.random.default_rng(seed), scatter.blocks or (scatter,)
    return np.concatenate([
        _draw(one, len(part), n_reps, rng) for one, part in zip(blocks, np.array_split(range(n_years), len(blocks)),
                                                                strict=True)
    ])  # fmt: skip


def _draw(scatter: Scatter, n_years: int, n_reps: int, rng: np.random.Generator) -> np.ndarray:
    own = np.sqrt(scatter.of_rep) * rng.standard_normal((n_years, n_reps, 1))
    common = np.sqrt(scatter.of_quarter) * rng.standard_normal((n_years, 1, 4))
    rest = np.sqrt(max(1 - scatter.of_rep - scatter.of_quarter, 0)) * rng.standard_normal((n_years, n_reps, 4))
    return met(scatter, own + common + rest)


def met(scatter: Scatter, score: np.ndarray) -> np.ndarray:
    """Attainments of normal scores, by those met."""
    n = len(scatter.values)
    return np.interp(norm.cdf(score) * n - 0.5, np.arange(n), scatter.values)


def simulate(
    plan: Plan, scatter: Scatter, quotas: np.ndarray, shares: Mapping[str, float], *, n_years: int, seed: int,
    sizes: np.ndarray | None = None,
) -> Costs:  # fmt: skip
    """Years of a plan.

    Parameters
    ----------
    quotas : (reps, 4 quarters), whole units. shares : component -> share of what is booked that it measures. sizes :
    amounts of deals that were won, whole units, from which a quarter's deals are drawn; without them components that
    look at single deals are left out.
    """
    attained = draw(scatter, n_years, len(quotas), seed=seed)
    return cost(plan, scatter, attained, quotas, shares, sizes=sizes, seed=seed)


def cost(
    plan: Plan, scatter: Scatter, attained: np.ndarray, quotas: np.ndarray, shares: Mapping[str, float], *,
    sizes: np.ndarray | None = None, seed: int = 0,
) -> Costs:  # fmt: skip
    """What a plan pays for attainments (years, reps, 4 quarters); the rest as `simulate`. Plans are compared on the
    same draws."""
    minor = 10**plan.digits
    booked = np.round(attained * quotas * minor).astype(np.int64)
    mean = np.round(np.full((1, *quotas.shape), scatter.values.mean()) * quotas * minor).astype(np.int64)
    paid, at_mean, left_out = np.zeros(booked.shape[:2], dtype=np.int64), 0, []
    for one in plan.components:
        if beyond(one, plan, deals=sizes is not None):
            left_out.append(one.name)
            continue
        paid += _Year(plan, shares, quotas, minor, sizes, seed).pays(one, booked)
        at_mean += int(_Year(plan, shares, quotas, minor, sizes, seed).pays(one, mean).sum())
    return Costs(paid / minor, booked.sum(axis=2) / minor, at_mean / minor, left_out, scatter)


def beyond(one: Component, plan: Plan, *, deals: bool = False) -> bool:
    """Whether more than reps' totals of quarters (and, where they are known, their deals) decides what it pays."""
    looked_at = [plan.component(link.of) for link in (one.gate, one.multiplier) if link is not None]
    if any(_elsewhere(part) for part in (one, *looked_at)):
        return True
    if one.period == "month" and one.to_date and any(not part.to_date for part in looked_at):
        return True
    single = one.windfall is not None and one.windfall.way == "cap"
    if (one.windfall is not None and one.windfall.way == "carve_out") or (one.cap.deal and one.period != "deal"):
        return True
    return (one.period == "deal" or single) and not deals


def _elsewhere(part: Component) -> bool:
    monthly = part.period == "month" and not part.to_date
    return monthly or part.measure != "bookings" or not {"direct", "overlay"} & set(part.credits)


class _Year:
    """Years of reps under a plan; money in minor units, (years, reps)."""

    def __init__(self, plan: Plan, shares, quotas: np.ndarray, minor: int, sizes, seed: int):
        self.plan, self.shares, self.minor, self.sizes, self.seed = plan, shares, minor, sizes, seed
        self.quotas = [[Fraction(int(round(float(one) * minor)), minor) for one in row] for row in quotas]

    def measured(self, part: Component, booked: np.ndarray) -> np.ndarray:
        """(years, 4 quarters) of one rep."""
        share = self.shares.get(part.name, 1.0)
        return np.round(booked * share).astype(np.int64) if share != 1 else booked

    def pays(self, one: Component, booked: np.ndarray) -> np.ndarray:
        """Each rep's year; a true-up makes the year, so only its end counts."""
        paid = np.zeros(booked.shape[:2], dtype=np.int64)
        for rep in range(booked.shape[1]):
            paid[:, rep] = self._rep(one, booked[:, rep], rep)
        if one.cap.year is not None:
            paid = np.minimum(paid, self._cents(one.cap.year.of(self.plan.pay.variable * one.weight)))
        return paid

    def _rep(self, one: Component, booked: np.ndarray, rep: int) -> np.ndarray:
        if one.period == "deal":
            return self._each_deal(one, booked, rep)
        measured, paid = self.measured(one, booked), np.zeros(len(booked), dtype=np.int64)
        counted = measured
        if one.windfall is not None and one.windfall.way == "cap":
            most = self._cents(one.windfall.over)
            counted = np.stack([np.minimum(part, most).sum(axis=1) for part in self.deals(one, booked, rep)], axis=1)
        n = 4 if one.to_date else QUARTERS_OF[one.period]
        target = self.plan.pay.variable * one.weight * Fraction(n, 4)
        for first in range(0, 4, n):
            last = first + n
            quota = sum(self.quotas[rep][first:last], Fraction(0))
            total = counted[:, first:last].sum(axis=1)
            open_to = np.zeros(len(total), dtype=np.int64)  # 1: the first band only
            if one.accelerates_after is not None:
                whole = one.accelerates_after * sum(self.quotas[rep], Fraction(0))
                open_to |= counted[:, :last].sum(axis=1) < self._least(whole)
            shut = np.zeros(len(total), dtype=bool)
            if one.gate is not None:
                closed = ~self._attains(one.gate.of, booked, rep, last, one.gate.at_least)
                shut = closed if one.gate.otherwise == "nothing" else shut
                open_to |= 0 if one.gate.otherwise == "nothing" else closed
            factors = [(Fraction(1), np.ones(len(total), dtype=bool))]
            if one.multiplier is not None:
                factors = list(self._factors(one, booked, rep, last))
            for factor, mine in factors:
                for first_only in (0, 1):
                    here = mine & (open_to == first_only) & ~shut
                    if here.any():
                        bare = _bare(one, factor, first_only)
                        paid[here] += vector.entitled(bare, total[here], quota, target, minor_units=self.minor,
                                                      rounding=self.plan.rounding)  # fmt: skip
        return paid

    def _attains(self, name: str, booked: np.ndarray, rep: int, last: int, least: Fraction) -> np.ndarray:
        """(years,): whether another component is attained by so much in its period, or year, that ends with a quarter;
        of no quota, never."""
        part = self.plan.component(name)
        first = 0 if part.to_date else last - QUARTERS_OF[part.period]
        quota = sum(self.quotas[rep][first:last], Fraction(0))
        total = self.measured(part, booked)[:, first:last].sum(axis=1)
        return total >= self._least(least * quota) if quota else np.zeros(len(total), dtype=bool)

    def _factors(self, one: Component, booked: np.ndarray, rep: int, last: int):
        """Each factor of a multiplier, and the years in which it is reached."""
        left = np.ones(len(booked), dtype=bool)
        for band in reversed(one.multiplier.bands):
            here = left & self._attains(one.multiplier.of, booked, rep, last, band.start)
            left &= ~here
            yield band.value, here
        yield Fraction(1), left

    def deals(self, one: Component, booked: np.ndarray, rep: int) -> Iterator[np.ndarray]:
        """The deals of each quarter: (years, deals), minor units, drawn from the amounts that were won until what is
        booked is made up; the last one is what is left. A component that measures a share of what is booked gets each
        deal with that probability."""
        rng = np.random.default_rng((self.seed, rep))
        cents = np.maximum(np.round(np.sort(self.sizes) * self.minor).astype(np.int64), 1)
        for quarter in range(4):
            total = booked[:, quarter]
            made, so_far = [], np.zeros(len(total), dtype=np.int64)
            while (so_far < total).any() and len(made) < MOST_DEALS - 1:
                part = np.minimum(rng.choice(cents, len(total)), total - so_far)
                made.append(part)
                so_far += part
            made.append(total - so_far)
            drawn = np.stack(made, axis=1)
            share = self.shares.get(one.name, 1.0)
            yield np.where(rng.random(drawn.shape) < share, drawn, 0) if share < 1 else drawn

    def _each_deal(self, one: Component, booked: np.ndarray, rep: int) -> np.ndarray:
        paid = np.zeros(len(booked), dtype=np.int64)
        for drawn in self.deals(one, booked, rep):
            each = vector.earned(
                one.table, drawn, None, Fraction(0), minor_units=self.minor, rounding=self.plan.rounding
            )
            if one.cap.deal is not None:
                each = np.minimum(each, self._cents(one.cap.deal.value))
            paid += np.where(drawn > 0, each, 0).sum(axis=1)
        return paid

    def _cents(self, amount: Fraction) -> int:
        scaled = amount * self.minor
        return int(vector.divide(np.array([scaled.numerator], dtype=object), scaled.denominator, self.plan.rounding)[0])

    def _least(self, amount: Fraction) -> int:
        """The fewest minor units that are no less than an amount."""
        scaled = amount * self.minor
        return -((-scaled.numerator) // scaled.denominator)


def _bare(one: Component, factor: Fraction, first_only: int) -> Component:
    """A component whose own total decides, with every band's value times a factor."""
    bands = one.table.bands[:1] if first_only else one.table.bands
    kind = one.table.kind
    table = one.table.model_copy(update={
        "bands": tuple(band.model_copy(update={kind: band.value * factor}) for band in bands),
        "between": "step" if len(bands) == 1 else one.table.between,
    })  # fmt: skip
    return one.model_copy(update={
        "table": table, "to_date": False, "period": "quarter", "gate": None, "multiplier": None, "windfall": None,
        "accelerates_after": None, "cap": one.cap.model_copy(update={"year": None}),
    })  # fmt: skip
