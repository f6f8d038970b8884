"""Quotas of a fiscal year against the target, the record, each other, and the heads there will be."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import t as student

from salesops import crm, periods, project
from salesops.pay import costing, payouts, plans, spans, team
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
    seats) attainments of the year, booked so far taken as it is. target : of the year; 0 is not known. groups : team
    (`OTHERS` for small ones together), n, quota_share, pipeline_share, booked_share (of the last year), attainment,
    low, high (of reps' means). p_groups : that they differ so by chance. factors : share of `SHARES` -> by what all
    quotas would be multiplied. record : see `chances`. heads : see `capacity`; None where nobody is past the ramp.
    n_left_out : on the plan, but without a quota for all four quarters."""

    plan: Plan
    quarters: list[spans.Span]
    seats: pd.DataFrame
    by_quarter: pd.DataFrame
    drawn: np.ndarray
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
        """(draws,): the year's bookings of all seats, at the quotas as they are."""
        return self.drawn @ self.seats["quota"].to_numpy()

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
    read = team.read(book, [plan], params.role)
    history = costing.read_history(book, plan.year_starts)
    scatter = costing.judge(history)
    if scatter is None:
        raise ValueError("too few attainments are known: quotas by quarter, and won deals, of three quarters at least")
    quarters = spans.find(3, first, last, plan.year_starts, last)
    seats, booked, n_left_out = _seats(book, plan, read, quarters)
    if len(seats) < params.min_group:
        raise ValueError(f"{len(seats)} reps have a quota for each quarter of {quarters[0].name[:4]}, fewer than "
                         f"{params.min_group}")  # fmt: skip
    quotas = np.array(seats.pop("quotas").tolist())
    known = chances.own(scatter, history, list(seats["rep_id"]))
    drawn = chances.draw(scatter, known, params.n_years, seed=params.seed)
    so_far = booked / np.maximum(quotas, 1e-9)
    ended = np.array([one.last_on <= book.as_of for one in quarters])
    # What is over is as it was; a running quarter brings what is drawn, and no less than it has.
    drawn = np.where(ended, so_far, np.maximum(drawn, so_far))
    year = (drawn * quotas).sum(axis=2) / np.maximum(quotas.sum(axis=1), 1e-9)
    seats["quota"], seats["booked"] = quotas.sum(axis=1), booked.sum(axis=1)
    seats["chance"] = (year >= 1).mean(axis=0)
    pay = float(plan.pay.base + plan.pay.variable)
    seats["ratio"] = seats["whole"] / pay if pay else np.nan
    by_quarter = pd.DataFrame({"quarter": [one.name for one in quarters], "quota": quotas.sum(axis=0),
                               "booked": booked.sum(axis=0), "ended": ended})  # fmt: skip
    groups, p_groups = _groups(book, seats, history, params)
    return Found(
        plan, quarters, seats, by_quarter, year, params.target, groups, p_groups,
        {share: chances.quota_for(year, share) for share in SHARES}, chances.record(history),
        _heads(book, plan, params, history, read), scatter, n_left_out, book.as_of,
    )  # fmt: skip


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
        if one.left_on is not None and one.left_on <= book.as_of:
            continue
        own = read.credits.get(one.person_id, [])
        run = payouts.Run(one, plan, one.assignments[0], own, {}, {}, quarters[-1].last_on)
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
    deals = book.deals.filter(_.rep_id.notnull(), _.amount_minor.notnull())
    new = deals.filter(_.created_at >= since).group_by("rep_id").agg(made=_.amount_minor.sum()).order_by("rep_id")
    won = deals.filter(_.status == "won", _.closed_at >= since).group_by("rep_id").agg(won=_.amount_minor.sum())
    made = new.execute().set_index("rep_id")["made"].reindex(teams.index).fillna(0)
    closed = won.order_by("rep_id").execute().set_index("rep_id")["won"].reindex(teams.index).fillna(0)
    means = history.groupby("rep_id")["attainment"].mean().reindex(teams.index)
    table = pd.DataFrame({"team": teams, "quota": seats.set_index("rep_id")["whole"], "made": made, "won": closed,
                          "mean": means})  # fmt: skip
    found = table.groupby("team").agg(n=("quota", "size"), quota_share=("quota", "sum"), pipeline_share=("made", "sum"),
                                      booked_share=("won", "sum"), attainment=("mean", "mean"), sd=("mean", "std"),
                                      known=("mean", "count"))  # fmt: skip
    for name in ("quota_share", "pipeline_share", "booked_share"):
        found[name] = found[name] / max(found[name].sum(), 1e-9)
    reach = student.ppf(0.975, np.maximum(found["known"] - 1, 1)) * found["sd"] / np.sqrt(found["known"])
    found["low"], found["high"] = found["attainment"] - reach, found["attainment"] + reach
    found = found[found["n"] >= params.min_group].reset_index()
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
    amounts = [
        row.attainment * float(worth.get((row.rep_id, names[row.quarter]), np.nan)) for row in settled.itertuples()
    ]
    each = float(np.nanmedian(amounts)) / 3
    since = dt.date.fromisoformat(min(history["quarter"]))
    reps = book.reps.filter(_.role == params.role).execute() if params.role else book.reps.execute()
    for column in ("hired_on", "left_on"):
        reps[column] = [None if pd.isna(one) else pd.Timestamp(one).date() for one in reps[column]]
    first = periods.days_after(spans.last_ended(book.as_of), 1)
    return capacity.plan_heads(
        [max(spans.tenure_month(one.hired_on, first), 0) for one in people], ramp,
        capacity.leaving(reps, since, book.as_of), params.starting, first=first, months_to_fill=params.months_to_fill,
        each=each, n_each=len(settled), n_draws=params.n_years, seed=params.seed,
    )  # fmt: skip
