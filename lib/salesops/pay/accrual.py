"""What the running quarter will cost, by the draws of the deal-level forecast; and what of it is earned by now."""

import datetime as dt
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from salesops import periods
from salesops.pay import costing, payouts, spans, vector
from salesops.pay.plans import SPANS, Component, Plan
from salesops.pay.records import Credit, Person, round_money
from salesops.problems import BadInput

FILE = "forecast-reps.parquet"
COLUMNS = ("as_of", "period", "currency", "draw", "rep_id", "to_come")


class Accrual(NamedTuple):
    """Of reps with a quota. period : the quarter. paid : (draws,), variable pay of the quarter. accrued : (draws,), the
    part of it for what is booked by now, at the rate that the quarter ends with. booked : by now. to_come : (draws,).
    n_reps. left_out : components that a rep's total does not decide, or that do not end with the quarter."""

    period: str
    paid: np.ndarray
    accrued: np.ndarray
    booked: float
    to_come: np.ndarray
    n_reps: int
    left_out: list[str]


def read(folder: Path, *, as_of: dt.date, currency: str) -> tuple[str, pd.DataFrame]:
    """The quarter, and what is still to come in it: a row for each draw, a column for each rep.

    Raises
    ------
    BadInput
        Where there is no such file, or it was made of another day or currency.
    """
    path = folder / FILE
    try:
        table = pq.read_table(path, columns=list(COLUMNS)).to_pandas()
    except FileNotFoundError:
        raise BadInput(f"{path} cannot be read", ["there is no such file: salesops files writes it"]) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read", [str(error)]) from None
    problems = [
        f"{name}: got {value}, allowed: {allowed}"
        for name, allowed in (("as_of", as_of), ("currency", currency))
        for value in table[name].unique() if value != allowed
    ]  # fmt: skip
    if problems or not len(table):
        raise BadInput(f"{path} cannot be used", problems or ["it is empty"])
    return str(table["period"].iloc[0]), table.pivot(index="draw", columns="rep_id", values="to_come")


def accrue(
    plan: Plan, people: Sequence[Person], credits: Mapping[str, Sequence[Credit]], draws: pd.DataFrame, quarter: str,
    shares: Mapping[str, float], *, known: dt.date,
) -> Accrual:  # fmt: skip
    """What the plan will pay for a quarter.

    Parameters
    ----------
    draws : what is still to be booked (whole units), draw x rep. shares : component -> share of what is booked that it
    measures. known : the last day known.

    Raises
    ------
    ValueError
        If the quarter is none of the plan's, or does not run on that day or after it.
    """
    period = periods.parse(quarter, year_starts=plan.year_starts)
    span = next((one for one in spans.find(3, period.first_on, period.last_on, plan.year_starts, dt.date.max)
                 if (one.first_on, one.last_on) == (period.first_on, period.last_on)), None)  # fmt: skip
    if span is None or span.last_on < known:
        raise ValueError(f"{quarter} is no quarter of the plan that runs on {known}")
    minor = 10**plan.digits
    paid, accrued = np.zeros(len(draws)), np.zeros(len(draws))
    booked, coming, n_reps, left_out = 0.0, np.zeros(len(draws)), 0, []
    counted = [part for part in plan.components if _ends_with(part, span, plan)]
    left_out = [part.name for part in plan.components if part not in counted]
    for person in people:
        assignment = next((one for one in person.assignments if one.plan == plan.version), None)
        if assignment is None or (person.left_on is not None and person.left_on < span.first_on):
            continue
        own = credits.get(person.person_id, [])
        run = payouts.Run(person, plan, assignment, own, {}, {}, span.last_on)
        mine = draws[person.person_id].to_numpy() if person.person_id in draws else np.zeros(len(draws))
        try:
            made = [
                _component(run, plan, part, span, known, mine, shares.get(part.name, 1.0), minor) for part in counted
            ]
        except BadInput:  # who has no quota cannot be paid
            continue
        n_reps += 1
        coming += mine
        booked += float(sum((one.measures.get("bookings", 0) for one in own
                             if one.kind == "direct" and span.first_on <= one.on <= known), Fraction(0)))  # fmt: skip
        for whole, part in made:
            paid += whole
            accrued += part
    return Accrual(quarter, paid, accrued, booked, coming, n_reps, left_out)


def _ends_with(part: Component, span: spans.Span, plan: Plan) -> bool:
    """Whether a component is decided by a rep's total of a span that ends with the quarter."""
    looks = part.gate, part.multiplier, part.windfall, part.accelerates_after
    if costing.beyond(part, plan) or any(look is not None for look in looks):
        return False
    months = 3 if part.to_date and SPANS[part.period] <= 3 else SPANS[part.period]
    own = spans.find(months, span.last_on, span.last_on, plan.year_starts, dt.date.max)[0]
    return own.last_on == span.last_on


def _component(run, plan: Plan, part: Component, span: spans.Span, known, to_come, share, minor):
    """(draws,) of what the quarter pays for a component, and of the part for what is booked by now."""
    own = spans.find(SPANS[part.period], span.last_on, span.last_on, plan.year_starts, dt.date.max)[0]
    first = spans.year_start(span.first_on, plan.year_starts) if part.to_date else own.first_on
    _measured, quota, target, _steps = run.basis(part, own, known)
    if part.needs_quota and quota is None:
        raise run.no_quota(part, own.name)
    measured = run.measured(part, first, min(known, span.last_on), known)
    so_far = sum((value for _credit, value in measured), Fraction(0))
    # A true-up pays the quarter alone; a longer period is due whole when the quarter ends it.
    before = sum((value for one, value in measured if part.to_date and one.on < span.first_on), Fraction(0))
    cents = max(int(round(so_far * minor)), 0)
    total = cents + np.round(np.maximum(to_come, 0) * share * minor).astype(np.int64)
    bare = part.model_copy(update={"to_date": False, "period": "quarter",
                                   "cap": part.cap.model_copy(update={"year": None})})  # fmt: skip
    whole = vector.entitled(bare, total, quota, target, minor_units=minor, rounding=plan.rounding) / minor
    if part.to_date:
        most = part.cap.year.of(plan.pay.variable * part.weight) if part.cap.year is not None else None
        whole = whole if most is None else np.minimum(whole, float(round_money(most, plan)))
        whole = whole - _earned_before(run, part, span)
    fresh, all_fresh = cents - int(round(before * minor)), total - int(round(before * minor))
    part_now = np.divide(fresh, all_fresh, out=np.ones(len(total)), where=all_fresh > 0)
    return whole, whole * np.clip(part_now, 0, 1)


def _earned_before(run, part: Component, span: spans.Span) -> float:
    """What a component to date has earned in the year before the quarter."""
    lines = run.by_period(part)
    year = f"{spans.year_start(span.first_on, run.plan.year_starts):%Y-%m}"
    return float(sum(line.amount for line in lines if year <= line.month < f"{span.first_on:%Y-%m}"
                     and line.kind in ("earned", "true_up")))  # fmt: skip
