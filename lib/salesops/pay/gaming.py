"""What the record shows of a plan's pull: deals that waiting or hurrying paid for, and closings that pile up.

The gain from waiting is the plan's own arithmetic for the deals that were sold. Whether people did wait is another
question: reps who end just above their quota, and deals that close in a quarter's last days, are counted against what
was to be expected, with a test. Neither shows why.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from ibis import _
from scipy.stats import chi2
from scipy.stats import t as student

from salesops import crm, periods
from salesops.pay import lint, payouts, spans
from salesops.pay.plans import Component, Plan
from salesops.pay.records import Credit, Person
from salesops.problems import BadInput

NEAR = 14  # days before and after the end of a period in which a deal may have been moved
WIDTH = 0.05  # of attainment: the bin above the quota that is looked at, and of its neighbours
REACH = 0.5  # of attainment to both sides of the quota
LEAST = 100  # attainments in reach, below which nothing is tested
LAST = 5  # working days at the end of a quarter
QUARTERS = 6  # below which nothing is tested
CENT = Fraction(1, 100)


class Moves(NamedTuple):
    """Deals within `NEAR` days of a period's end. n : closed before it; waiting : of them, those that would have paid
    more after it, and by how much together; n_after : closed after it; hurried : of them, those that would have paid
    more before it, and by how much. reps : with a deal of the kind."""

    n: int
    waiting: int
    by_waiting: float
    n_after: int
    hurrying: int
    by_hurrying: float
    reps_waiting: int
    reps_hurrying: int


class Piled(NamedTuple):
    """n : what was counted. expected : what a smooth record would have. ratio, low, high : of the two, with 95 %.
    p : that so much comes by chance. of : attainments, or quarters."""

    n: float
    expected: float
    ratio: float
    low: float
    high: float
    p: float
    of: int


def moves(
    plan: Plan, main: Component | None, people: Sequence[Person], credits: Mapping[str, Sequence[Credit]],
    through: dt.date,
) -> Moves | None:  # fmt: skip
    """What waiting and hurrying would have paid for the deals sold around the ends of periods, one deal at a time; None
    where the plan has no component that a period's own total decides."""
    if main is None or main.to_date or main.period in ("deal", "year") or main.gate or main.multiplier:
        return None
    if main.windfall or main.accelerates_after or main.cap.deal or main.cap.year:
        return None
    counts, money, whose = [0, 0, 0, 0], [Fraction(0), Fraction(0)], (set(), set())
    for person in people:
        assignment = next((one for one in person.assignments if one.plan == plan.version), None)
        if assignment is None:
            continue
        run = payouts.Run(person, plan, assignment, credits.get(person.person_id, []), {}, {}, through)
        ended = run.spans_of(main)
        try:
            quotas = [run.quota(main, span) for span in ended]
        except BadInput:
            continue
        for k, (one, other) in enumerate(zip(ended, ended[1:], strict=False)):
            if quotas[k] is None or quotas[k + 1] is None or not quotas[k][0] or not quotas[k + 1][0]:
                continue
            for side, gain in _around(run, plan, main, one, other, quotas[k][0], quotas[k + 1][0]):
                counts[2 * side] += 1
                if gain >= CENT:
                    counts[2 * side + 1] += 1
                    money[side] += gain
                    whose[side].add(person.person_id)
    return Moves(counts[0], counts[1], float(money[0]), counts[2], counts[3], float(money[1]), len(whose[0]),
                 len(whose[1]))  # fmt: skip


def _around(run, plan: Plan, main: Component, one: spans.Span, other: spans.Span, quota: Fraction, then: Fraction):
    """0 or 1 (closed before or after the end), and what the other side would have paid more."""
    before = run.measured(main, one.first_on, one.last_on, one.last_on)
    after = run.measured(main, other.first_on, other.last_on, other.last_on)
    first, second = (sum((value for _credit, value in part), Fraction(0)) for part in (before, after))
    for credit, value in before:
        if value > 0 and (one.last_on - credit.on).days < NEAR:
            yield 0, lint.gain_from_delay(plan, main.name, first - value, second, value, quota, then)
    for credit, value in after:
        if value > 0 and (credit.on - other.first_on).days < NEAR:
            yield 1, -lint.gain_from_delay(plan, main.name, first, second - value, value, quota, then)


def at_quota(attained: np.ndarray) -> Piled | None:
    """Whether more reps and quarters end just above the quota than the attainments beside it lead one to expect; None
    where too few are known.

    Counts in bins of `WIDTH` are a smooth curve (Poisson, a cubic of attainment), the bin below the quota left out, and
    the one above it with a term of its own, whose likelihood ratio is the test; n is those in it.

    References
    ----------
    Chetty, Friedman, Olsen & Pistaferri (2011), Quarterly Journal of Economics 126, 749-804: bunching against a
    polynomial that leaves the bins at the kink out.
    """
    edges = 1 + WIDTH * np.arange(-round(REACH / WIDTH), round(REACH / WIDTH) + 1)
    inside = attained[(attained >= edges[0] - 1e-12) & (attained < edges[-1])]
    if len(inside) < LEAST:
        return None
    counts = np.bincount(np.floor((inside - edges[0]) / WIDTH + 1e-9).astype(int), minlength=len(edges) - 1)
    kept = ~np.isclose(edges[:-1], 1 - WIDTH)  # where those come from who are above, if they do
    middle, above = ((edges[:-1] + WIDTH / 2 - 1) / REACH)[kept], np.isclose(edges[:-1], 1)[kept]
    counts = counts[kept]
    if not counts[above][0]:
        return None  # nobody stands there: there is no bunch to look for
    smooth = np.column_stack([middle**k for k in range(4)])
    poisson = sm.families.Poisson()
    bare = sm.GLM(counts, smooth, family=poisson).fit()
    fit = sm.GLM(counts, np.column_stack([smooth, above]), family=poisson).fit()
    low, high = np.exp(fit.conf_int()[-1])
    n, ratio = float(counts[above][0]), float(np.exp(fit.params[-1]))
    p = float(chi2.sf(max(bare.deviance - fit.deviance, 0), 1))
    return Piled(n, n / ratio, ratio, float(low), float(high), p, len(inside))


def at_the_end(won_on: Sequence[dt.date], quarters: Sequence[periods.Period]) -> Piled | None:
    """Whether more deals are won on a working day of a quarter's last `LAST` than on its others; None where too few
    quarters are known. Each quarter is one observation of the ratio's logarithm, so that deals that come together do
    not count as many."""
    logs, n, expected = [], 0, 0.0
    days = pd.Series(pd.to_datetime(list(won_on)))
    for quarter in quarters:
        worked = pd.bdate_range(quarter.first_on, quarter.last_on)
        since = worked[-LAST]
        inside = days[(days >= pd.Timestamp(quarter.first_on)) & (days <= pd.Timestamp(quarter.last_on))]
        last, rest = int((inside >= since).sum()), int((inside < since).sum())
        if last + rest:
            logs.append(np.log((last + 0.5) / LAST) - np.log((rest + 0.5) / (len(worked) - LAST)))
            n, expected = n + last, expected + rest * LAST / (len(worked) - LAST)
    if len(logs) < QUARTERS:
        return None
    mean, error = float(np.mean(logs)), float(np.std(logs, ddof=1) / np.sqrt(len(logs)))
    if not error:
        return None
    reach = float(student.ppf(0.975, len(logs) - 1)) * error
    p = float(2 * student.sf(abs(mean / error), len(logs) - 1))
    return Piled(
        n, expected, float(np.exp(mean)), float(np.exp(mean - reach)), float(np.exp(mean + reach)), p, len(logs)
    )


def read_wins(book: crm.Book, year_starts: int) -> tuple[list[dt.date], list[periods.Period]]:
    """The days on which deals were won, and the quarters that were watched whole."""
    won = (
        book.deals.filter(_.status == "won", _.closed_at.notnull()).select("closed_at").order_by("closed_at").execute()
    )
    days = won["closed_at"].dt.tz_localize("UTC").dt.tz_convert(book.time_zone).dt.date.tolist()
    found: list[periods.Period] = []
    if not days:
        return days, found
    begins = str(book.about["log_begins"] or book.about["first_moment"])[:10]
    quarter = periods.quarter_of(book.as_of, year_starts)
    while str(quarter.first_on) >= begins and len(found) < 40:
        if quarter.last_on <= book.as_of:
            found.append(quarter)
        quarter = periods.quarter_of(periods.days_after(quarter.first_on, -1), year_starts)
    return days, found[::-1]
