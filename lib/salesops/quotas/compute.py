"""Quotas of a fiscal year against the target, the record, each other, and the heads there will be."""

import datetime as dt
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import t as student

from salesops import crm, periods, project
from salesops.pay import costing, gaming, payouts, plans, spans, team
from salesops.pay.plans import Component, Plan
from salesops.pay.records import Person
from salesops.problems import BadInput
from salesops.quotas import capacity, chances
from salesops.quotas.params import Params

OTHERS = ""
SHARES = (0.5, 0.6, 0.7)  # of seats that are to attain their quota
RAMPED = 12  # months of tenure, where the plan has no ramp


class Found(NamedTuple):
    """quarters : of the fiscal year. seats : one row for each seat with a quota of the whole year: rep_id, name, team,
    quota (for the days there and by the ramp), whole (as it was set), booked (so far), chance (to attain the year's
    quota), ratio (quota as set over pay on target). by_quarter : quarter, quota, booked so far, ended. drawn : (draws,
    seats) attainments of the year, booked so far taken as it is. elsewhere : booked in the year by those who have no
    such seat (who left, other roles, nobody). target : of the year; 0 is not known. groups : team
    (`OTHERS` for small ones together), n, quota_share, pipeline_share, booked_share (of the last year), attainment,
    low, high (of reps' means). p_groups : that they differ so by chance. factors : share of `SHARES` -> by what all
    quotas would be multiplied. record : see `chances`. heads : see `capacity`; None where nobody is past the ramp.
    n_left_out : on the plan, but without a quota for all four quarters."""

    plan: Plan
    quarters: list[spans.Span]
    seats: pd.DataFrame
    by_quarter: pd.DataFrame
    drawn: np.ndarray
    elsewhere: float
    target: float
    groups: pd.DataFrame
    p_groups: float | None
    factors: dict[float, float]
    record: chances.Record | None
    heads: capacity.Heads | None
    scatter: costing.Scatter
    n_left_out: int
    through: dt.date

    @property
    def currency(self) -> str:
        return self.plan.currency

    @property
    def ote(self) -> float:
        return float(self.plan.pay.base + self.plan.pay.variable)

    @property
    def booked(self) -> np.ndarray:
        """(draws,): the company's bookings of the year: of all seats, and what is booked elsewhere by now."""
        return self.drawn @ self.seats["quota"].to_numpy() + self.elsewhere

    @property
    def over_assigned(self) -> float | None:
        """Sum of the seats' quotas as they were set over the target, less one; None without a target."""
        return float(self.seats["whole"].sum()) / self.target - 1 if self.target else None


def measure(book: crm.Book, params: Params) -> Found:
    """The quotas of the fiscal year that the period ends in.

    Raises
    ------
    BadInput
        Where the plan is not there or cannot be used.
    ValueError
        If too few have a quota for each quarter of the year, or too few attainments are known.
    """
    versions = plans.versions(project.root() / "params" / "plans", params.plan)
    plan = next((one for one in versions if one.start <= book.as_of <= one.until), versions[-1])
    first = spans.year_start(params.reported.last_on, plan.year_starts)
    last = spans.year_end(first, plan.year_starts)
    plan = plan.model_copy(update={"start": first, "until": last})
    read = team.read(book, [plan], params.role, least=params.min_group)
    history = costing.read_history(book, plan)
    scatter = costing.judge(history, n_blocks=costing.BLOCKS)
    if scatter is None:
        raise ValueError("too few attainments are known: quotas by quarter, and won deals, of three quarters at least")
    quarters = spans.find(3, first, last, plan.year_starts, last)
    seats, booked, n_left_out = _seats(book, plan, read, quarters)
    if len(seats) < params.min_group:
        raise ValueError(f"{len(seats)} reps have a quota for each quarter of {quarters[0].name[:4]}, fewer than "
                         f"{params.min_group}")  # fmt: skip
    quotas = np.array(seats.pop("quotas").tolist())
    drawn = chances.draw(scatter, history, list(seats["rep_id"]), params.n_years, seed=params.seed)
    so_far = booked / np.maximum(quotas, 1e-9)
    ended = np.array([one.last_on <= book.as_of for one in quarters])
    left = np.array([_left(book, plan, one) for one in quarters])
    # What is over is as it was; of a running quarter what is booked, and what usually comes after such a day.
    drawn = so_far + drawn * left
    year = (drawn * quotas).sum(axis=2) / np.maximum(quotas.sum(axis=1), 1e-9)
    seats["quota"], seats["booked"] = quotas.sum(axis=1), booked.sum(axis=1)
    seats["chance"] = (year >= 1).mean(axis=0)
    pay = float(plan.pay.base + plan.pay.variable)
    seats["ratio"] = seats["whole"] / pay if pay else np.nan
    by_quarter = pd.DataFrame({"quarter": [one.name for one in quarters], "quota": quotas.sum(axis=0),
                               "booked": booked.sum(axis=0), "ended": ended})  # fmt: skip
    elsewhere = _all_booked(book, plan) - float(booked.sum())
    groups, p_groups = _groups(book, seats, history, params)
    return Found(
        plan, quarters, seats, by_quarter, year, elsewhere, params.target, groups, p_groups,
        {share: chances.quota_for(year, share) for share in SHARES}, chances.record(history),
        _heads(book, plan, params, history, read), scatter, n_left_out, book.as_of,
    )  # fmt: skip


def _left(book: crm.Book, plan: Plan, span: spans.Span) -> float:
    """The share of a quarter's bookings that usually comes after the last day known: of past quarters, what was booked
    when so many days or fewer were left; 0 where it is over, 1 where it has not begun."""
    days = (span.last_on - book.as_of).days
    if days <= 0 or book.as_of < span.first_on:
        return 0.0 if days <= 0 else 1.0
    won_on, quarters = gaming.read_wins(book, plan.year_starts)
    inside = [(day, quarter) for quarter in quarters for day in won_on if quarter.first_on <= day <= quarter.last_on]
    after = sum((quarter.last_on - day).days < days for day, quarter in inside)
    whole = (span.last_on - span.first_on).days + 1
    return after / len(inside) if len(inside) >= chances.LEAST_WINS else days / whole


def _all_booked(book: crm.Book, plan: Plan) -> float:
    """Everything booked in the plan's year by now, whoever sold it, in the plan's currency."""
    convert = team.converter(book, plan)
    since = periods.start_of(plan.start, book.time_zone)
    until = periods.end_of(plan.until, book.time_zone)
    won = book.deals.filter(_.status == "won", _.closed_at >= since, _.closed_at < until, _.amount_minor.notnull())
    days = won.group_by(on=_.closed_at.date()).agg(minor=_.amount_minor.sum()).order_by("on").execute()
    return float(sum(convert(Fraction(int(row.minor), book.minor_units), pd.Timestamp(row.on).date())
                     for row in days.itertuples()))  # fmt: skip


def main_of(plan: Plan) -> Component | None:
    return next((one for one in plan.components if one.measure == "bookings" and one.table.by == "attainment"), None)


def _seats(book: crm.Book, plan: Plan, read: team.Team, quarters) -> tuple[pd.DataFrame, np.ndarray, int]:
    """Seats that are filled on the last day known, with what each has booked in each quarter."""
    main = main_of(plan)
    if main is None:
        raise ValueError(f"the plan {plan.plan} has no component with a quota of bookings")
    names = dict(book.reps.select("rep_id", "name").execute().itertuples(index=False))
    rows, booked, left_out = [], [], 0
    for one in read.people:
        assignment = one.on_plan(book.as_of)
        if assignment is None or (one.left_on is not None and one.left_on <= book.as_of):
            continue
        own = read.credits.get(one.person_id, [])
        run = payouts.Run(one, plan, assignment, own, {}, {}, quarters[-1].last_on)
        quotas = [_of(run, main, span) for span in quarters]
        if any(quota is None for quota in quotas) or not sum(quotas):
            left_out += 1
            continue
        whole = sum(float(spans.find_quota(one.quotas, "bookings", span.first_on, span.last_on, plan.year_starts))
                    for span in quarters)  # fmt: skip
        name = names.get(one.person_id)
        rows.append({"rep_id": one.person_id, "name": name if isinstance(name, str) else one.person_id,
                     "team": read.teams[one.person_id], "quotas": quotas, "whole": whole})  # fmt: skip
        sold = [run.measured(main, span.first_on, span.last_on, span.last_on) for span in quarters]
        booked.append([float(sum(value for _credit, value in each)) for each in sold])
    return pd.DataFrame(rows, columns=["rep_id", "name", "team", "quotas", "whole"]), np.array(booked), left_out


def _of(run: payouts.Run, main: Component, span: spans.Span) -> float | None:
    try:
        found = run.quota(main, span)
    except BadInput:
        return None
    return None if found is None else float(found[0])


def _groups(book: crm.Book, seats: pd.DataFrame, history: pd.DataFrame, params: Params):
    """Teams side by side: shares of quota, of new pipeline and of bookings, and attainment of the record."""
    teams = seats.set_index("rep_id")["team"].fillna(OTHERS)
    sizes = teams.value_counts()
    teams = teams.where(teams.map(sizes) >= params.min_group, OTHERS)
    since = periods.start_of(periods.add_months(periods.days_after(book.as_of, 1), -12), book.time_zone)
    new = book.deals.filter(_.amount_minor.notnull(), _.created_at >= since)
    new = crm.with_owner(book, new, "created_at").filter(_.rep_id.notnull())  # who had it when it was created
    new = new.group_by("rep_id").agg(made=_.amount_minor.sum()).order_by("rep_id")
    won = book.credited.filter(_.status == "won", _.closed_at >= since, _.rep_id.notnull(), _.amount_minor.notnull())
    won = won.group_by("rep_id").agg(won=_.amount_minor.sum())
    made = new.execute().set_index("rep_id")["made"].reindex(teams.index).fillna(0)
    closed = won.order_by("rep_id").execute().set_index("rep_id")["won"].reindex(teams.index).fillna(0)
    means = history.groupby("rep_id")["attainment"].mean().reindex(teams.index)
    table = pd.DataFrame({"team": teams, "quota": seats.set_index("rep_id")["whole"], "made": made, "won": closed,
                          "mean": means})  # fmt: skip
    found = table.groupby("team").agg(n=("quota", "size"), quota_share=("quota", "sum"), pipeline_share=("made", "sum"),
                                      booked_share=("won", "sum"), attainment=("mean", "mean"), sd=("mean", "std"),
                                      known=("mean", "count"))  # fmt: skip
    reach = student.ppf(0.975, np.maximum(found["known"] - 1, 1)) * found["sd"] / np.sqrt(found["known"])
    found["low"], found["high"] = found["attainment"] - reach, found["attainment"] + reach
    found = found[found["n"] >= params.min_group].reset_index()
    for name in ("quota_share", "pipeline_share", "booked_share"):  # of the teams shown: what is left would tell of few
        found[name] = found[name] / max(found[name].sum(), 1e-9)
    p = chances.fair(history, {rep: name for rep, name in teams.items() if name != OTHERS}, seed=params.seed)
    return found.sort_values("team", key=lambda names: names.eq(OTHERS).astype("str") + names, ignore_index=True), p


def _heads(book: crm.Book, plan: Plan, params: Params, history: pd.DataFrame, read: team.Team):
    """Heads of the next twelve months; None where nothing is known of reps past the ramp."""
    ramp = [float(one) for one in plan.ramp]
    past = len(ramp) or RAMPED
    people: list[Person] = [one for one in read.people if one.left_on is None or one.left_on > book.as_of]
    hired = {one.person_id: one.hired_on for one in read.people}
    quotas = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings")).execute()
    table = history[history["rep_id"].isin(hired)]
    starts = pd.to_datetime(table["quarter"]).dt.date
    tenure = [spans.tenure_month(hired[rep], start) for rep, start in zip(table["rep_id"], starts, strict=True)]
    settled = table[np.array(tenure, dtype="int64") >= past] if len(table) else table
    if not len(settled):
        return None
    names = {str(start): periods.calendar_name(periods.quarter_of(start, plan.year_starts)) for start in set(starts)}
    worth = quotas.groupby(["rep_id", "period"])["amount_minor"].sum() / book.minor_units
    convert = team.converter(book, plan)
    table = settled.assign(worth=[
        row.attainment * float(worth.get((row.rep_id, names[row.quarter]), np.nan)) for row in settled.itertuples()
    ])  # fmt: skip
    table["worth"] *= float(convert(Fraction(1), book.as_of)) / 3
    by_quarter = table.dropna(subset=["worth"]).groupby("quarter")["worth"]
    each = capacity.Each(by_quarter.mean().to_numpy(), float((table["worth"] - by_quarter.transform("mean")).std()),
                         int(by_quarter.size().sum()))  # fmt: skip
    if len(each.means) < costing.LEAST_QUARTERS:
        return None
    since = dt.date.fromisoformat(min(history["quarter"]))
    reps = book.reps.filter(_.role == params.role).execute() if params.role else book.reps.execute()
    for column in ("hired_on", "left_on"):
        reps[column] = [None if pd.isna(one) else pd.Timestamp(one).date() for one in reps[column]]
    first = periods.days_after(spans.last_ended(book.as_of), 1)
    late = [month for month in params.starting
            if not f"{first:%Y-%m}" <= month <= f"{periods.add_months(first, 11):%Y-%m}"]  # fmt: skip
    if late:
        raise ValueError(f"hires: {late[0]} is not in the twelve months from {first:%Y-%m} on")
    return capacity.plan_heads(
        [max(spans.tenure_month(one.hired_on, first), 0) for one in people], ramp,
        capacity.leaving(reps, since, book.as_of), params.starting, first=first, months_to_fill=params.months_to_fill,
        each=each, n_draws=params.n_years, seed=params.seed,
    )  # fmt: skip
