"""The numbers of growth: exact contributions, what has stopped growing, concentration."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import t as student

from salesops import crm, periods, stats
from salesops.growth import counts
from salesops.growth.concentrated import Concentration, concentration
from salesops.growth.params import Params
from salesops.stats import Estimate

STALLED_BY = "region"
ALPHA = 0.05
STILL = 0.1  # p of a share not falling within the last months, above which it is no fall that goes on
BEGUN = 5  # times the least number of deals that a group has to have created before the last months
LEAST = 20  # deals, of which a growth rate is told
LEAST_MONTHS = 6
LEAST_KNOWN = 12  # months before, for a customer to be called new


class Stalled(NamedTuple):
    """A group whose share of what is created has fallen. own, others : growth of a year in the last months (Estimates;
    None of hardly any deals). p, p_adjusted : of its share not having fallen. money : what it would have booked more in
    the months compared at the share it had before; minor units, None where that cannot be told."""

    group: str
    n: int
    own: Estimate | None
    others: Estimate | None
    p: float
    p_adjusted: float
    money: float | None


class Growth(NamedTuple):
    """spans : what is compared. now, before : won amounts, minor units; n_now, n_before : deals. parts : split ->
    group, now, before, n_now, n_before (minor units; they sum to the whole). home : the home region, and its share of
    now and before. stalled : what has stopped growing; tried : of how many groups; smallest : the smallest corrected
    p. monthly : month, then a column for each group: deals created. held : holder -> (now, before) concentration of
    what was won; open_deals, open_customers : of what is open; weighted_customers : of that by the chances of its
    stages. largest : name of the largest customer, its share, growth with and without it; largest_weighted : of the
    largest in the weighted pipeline, its weight and that of all, minor units. known_months : of the record before the
    earlier span, looked back for who is a new customer. partial : whether a month had begun that is left out."""

    spans: counts.Spans
    now: int
    before: int
    n_now: int
    n_before: int
    parts: dict[str, pd.DataFrame]
    home: tuple[str, float, float] | None
    stalled: list[Stalled]
    tried: int
    smallest: float | None
    monthly: pd.DataFrame
    recent_months: int
    held: dict[str, tuple[Concentration | None, Concentration | None]]
    open_deals: Concentration | None
    open_customers: Concentration | None
    weighted_customers: Concentration | None
    largest: tuple[str, float, float | None, float | None] | None
    largest_weighted: tuple[str, int, int] | None
    most_of_one: float
    min_deals: int
    known_months: int
    partial: bool
    currency: str
    minor_units: int
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Growth:
    """Growth over months against as many before; a month that is not known in full is left out.

    Raises
    ------
    ValueError
        If nothing of the period is known, the months before were not watched, or what was won in them
        is not above zero.
    """
    book.check_covers(params.reported)
    last = _last_whole(book, params.reported)
    now = periods.trailing(last, params.months)
    spans = counts.Spans(now, periods.before(now))
    begins = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    if spans.before.first_on < begins.replace(day=1):
        raise ValueError(f"months {params.months}: as many before would begin in {spans.before.first_on:%Y-%m}, "
                         f"and the source begins on {begins}")  # fmt: skip
    won = counts.won_in(book, book.deals, spans).cache()
    known = [one for one in counts.SPLITS if one in crm.known_dimensions(book)]
    known_months = counts.months_known(spans, begins)
    parts = {one: counts.by_group(book, won, one) for one in known}
    if "account_id" in book.about["filled"]["deals"] and known_months >= LEAST_KNOWN:
        parts["customer"] = counts.by_age(book, won, spans, known_months)
    whole = next(iter(parts.values()), pd.DataFrame({"now": [0], "before": [0], "n_now": [0], "n_before": [0]})).sum()
    if not (whole["now"] > 0 and whole["before"] > 0):
        raise ValueError("what was won comes to nothing, or less, in the months compared: no growth to tell")
    monthly = pd.DataFrame()
    if STALLED_BY in known and not params.region and "created_at" in book.about["filled"]["deals"]:
        n_months = min(params.watched_months, periods.months_between(begins, last.last_on) + (begins.day == 1))
        monthly = counts.created_by_month(book, STALLED_BY, last, n_months)
    weighted = counts.weighted_customers(book)
    stalled, tried, smallest = _stalled(monthly, params, parts.get(STALLED_BY))
    return Growth(
        spans, int(whole["now"]), int(whole["before"]), int(whole["n_now"]), int(whole["n_before"]), parts,
        _home(parts, params), stalled, tried, smallest, monthly, params.recent_months,
        {one: tuple(map(concentration, counts.holders(book, won, one))) for one in counts.HOLDERS},
        concentration(counts.open_amounts(book, "deal")), concentration(counts.open_amounts(book, "customer")),
        concentration(weighted.dropna()["weighted"].tolist()), _largest(book, won, whole),
        _largest_weighted(book, weighted), params.most_of_one, params.min_deals, known_months,
        last.last_on < params.reported.last_on, book.currency, book.minor_units, book.as_of,
    )  # fmt: skip


def _last_whole(book: crm.Book, period: periods.Period) -> periods.Period:
    """The period, or the last month that is known in full."""
    if book.as_of >= period.last_on:
        return period
    first = book.as_of.replace(day=1)
    day = periods.days_after(first, -1) if periods.days_after(book.as_of, 1).day != 1 else book.as_of
    return periods.parse(f"{day:%Y-%m}")


def _home(parts: dict[str, pd.DataFrame], params: Params) -> tuple[str, float, float] | None:
    """The home region and its share of now and before.

    Raises
    ------
    ValueError
        If there is no such region.
    """
    table = parts.get("region")
    if table is None or len(table) < 2:
        return None
    home = params.home or str(table["before"].idxmax())
    if home not in table.index:
        raise ValueError(f"home {home!r} is not a region of the source; it has: {', '.join(map(str, table.index))}")
    return home, *(float(table.loc[home, name] / table[name].sum()) for name in ("now", "before"))


def _largest(book: crm.Book, won, whole: pd.Series):
    found = counts.largest_customer(book, won)
    if found is None:
        return None
    _id, name, now, before = found
    with_, left = whole["now"] / whole["before"] - 1, whole["before"] - before
    without = (whole["now"] - now) / left - 1 if left else None
    return name, float(now / whole["now"]), float(with_), None if without is None else float(without)


def _largest_weighted(book: crm.Book, weighted: pd.DataFrame) -> tuple[str, int, int] | None:
    """Name, weight and the weight of the whole pipeline, deals without a customer in it too; None where none is
    told."""
    told = weighted[weighted["account_id"].notna() & (weighted["weighted"] > 0)]
    if told.empty:
        return None
    first = told.iloc[0]
    return counts.name_of(book, first["account_id"]), int(first["weighted"]), int(weighted["weighted"].sum())


def _stalled(
    monthly: pd.DataFrame, params: Params, won: pd.DataFrame | None
) -> tuple[list[Stalled], int, float | None]:
    """Groups whose share of what all create has fallen in the last months, and that do not grow themselves.

    A group that had hardly begun before those months is in no comparison: it takes share from every older one. What is
    found is set aside before the rest is looked at, as long as at least half of the groups are left to compare with.
    """
    earlier = (
        monthly.iloc[: -params.recent_months]
        if len(monthly) >= params.recent_months + LEAST_MONTHS
        else monthly.head(0)
    )
    groups = [name for name in monthly if len(earlier) and earlier[name].sum() >= BEGUN * params.min_deals]
    if len(groups) < 2:
        return [], 0, None
    found, smallest, left = [], None, list(groups)
    while len(left) > max(1, len(groups) / 2):
        bends = {name: bend(monthly[left], name, params.recent_months) for name in left}
        adjusted = dict(zip(bends, stats.adjust_for_any(list(bends.values())), strict=True))
        smallest = min(adjusted.values()) if smallest is None else smallest
        falling = [name for name in left if adjusted[name] < ALPHA and _stopped(monthly[left], name, params)]
        if not falling:
            break
        worst = min(falling, key=lambda name: (bends[name], name))
        rest = [one for one in left if one != worst]
        recent = monthly.iloc[-params.recent_months :]
        own, others = yearly(recent[worst].to_numpy()), yearly(recent[rest].sum(axis=1).to_numpy())
        found.append(Stalled(worst, int(monthly[worst].sum()), own, others, bends[worst], float(adjusted[worst]),
                             _missed(monthly[left], worst, params, won)))  # fmt: skip
        left.remove(worst)
    return found, len(groups), None if smallest is None else float(smallest)


def _stopped(monthly: pd.DataFrame, name: str, params: Params) -> bool:
    """Whether a group's share went on falling within the last months, and its own number does not surely grow."""
    recent = monthly.iloc[-params.recent_months :]
    own = yearly(recent[name].to_numpy())
    return own is None or (own.low <= 0 and bend(recent, name, len(recent)) < STILL)


def _missed(monthly: pd.DataFrame, name: str, params: Params, won: pd.DataFrame | None) -> float | None:
    """What the group would have booked more in the months compared at the share that it had before: the deals it
    created fewer, at what a deal created brought it; minor units."""
    earlier, last = monthly.iloc[: -params.recent_months], monthly.iloc[-params.months :]
    before, others = earlier[name].sum(), earlier.drop(columns=name).sum(axis=1).sum()
    expected = before / others * last.drop(columns=name).sum(axis=1).sum() if others else 0.0
    short = expected - last[name].sum()
    if won is None or name not in won.index or short <= 0:
        return None
    now, then = last[name].sum(), monthly.iloc[-2 * params.months : -params.months][name].sum()
    worth = (
        won.loc[name, "now"] / now if now and won.loc[name, "now"] else won.loc[name, "before"] / then if then else 0.0
    )
    return float(short * worth) or None


def bend(monthly: pd.DataFrame, group: str, recent: int) -> float:
    """One-sided p of a group's share of all not having fallen in the last `recent` months: a score test of the logit
    being flat against a line that is flat up to then and falls. Season and growth that all have in common cancel out;
    months that scatter more than counts do widen it (quasi-likelihood).

    References
    ----------
    McCullagh, Nelder (1989), Generalized Linear Models, 2nd ed., sections 4.5 and 9.2; Rao (1948).
    """
    n, own = monthly.sum(axis=1).to_numpy("float64"), monthly[group].to_numpy("float64")
    x = np.clip(np.arange(len(n)) - (len(n) - recent) + 1, 0, None).astype(float)
    there = n > 0
    n, own, x = n[there], own[there], x[there]
    p = own.sum() / n.sum() if n.sum() else 0.0
    spread = p * (1 - p) * ((n * x**2).sum() - (n * x).sum() ** 2 / max(n.sum(), 1))
    if spread <= 0 or len(n) < 4:
        return 1.0
    z = float((x * (own - n * p)).sum() / np.sqrt(spread))
    freedom = len(n) - 2
    scale = max((float(((own - n * p) ** 2 / (n * p * (1 - p))).sum()) - z**2) / freedom, 1.0)
    return float(student.cdf(z / np.sqrt(scale), freedom))


def yearly(n: np.ndarray) -> Estimate | None:
    """Growth of a year by the line through the logarithm of monthly counts, with 95 % limits (quasi-Poisson); None of
    hardly any, or of a group that has closed."""
    months = np.arange(len(n), dtype=float)
    if n.sum() < LEAST or not n[len(n) // 2 :].sum():
        return None
    fitted = sm.GLM(n, sm.add_constant(months), family=sm.families.Poisson()).fit()
    scale = max(float(fitted.pearson_chi2) / (len(n) - 2), 1.0)
    half = student.ppf(0.975, len(n) - 2) * fitted.bse[1] * np.sqrt(scale)
    low, middle, high = (float(np.expm1(12 * (fitted.params[1] + one))) for one in (-half, 0, half))
    return Estimate(middle, low, high, int(n.sum()))
