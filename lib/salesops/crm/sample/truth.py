"""The planted truth of the sample company: what the analyses must find, written down as data."""

import datetime as dt
from typing import NamedTuple

import numpy as np

UNTIL = dt.date(2026, 10, 31)  # the last day of the three years; the sample knows no clock
MONTHS = 36
SEGMENTS = ("Enterprise", "Mid-market", "SMB")
REGIONS = ("North America", "EMEA", "LatAm", "APAC")
SOURCES = ("Inbound", "Outbound", "Partner", "Event")
PRODUCTS = ("Sensors", "Analytics", "Platform")
PIPELINES = {
    "New business": ("Qualified", "Discovery", "Proposal", "Negotiation"),
    "Expansion": ("Scoping", "Quote", "Agreement"),
}


class Moves(NamedTuple):
    """Chances of what ends a stay in one stage; they sum to 1 with `lost`."""

    advance: float
    skip: float = 0.0  # over the next stage
    back: float = 0.0  # to the stage before

    @property
    def lost(self) -> float:
        return 1 - self.advance - self.skip - self.back


MOVES = {
    ("New business", "Enterprise"): (
        Moves(0.62, 0.04), Moves(0.60, 0.03, 0.04), Moves(0.58, 0, 0.06), Moves(0.62, 0, 0.04)),
    ("New business", "Mid-market"): (
        Moves(0.66, 0.05), Moves(0.65, 0.04, 0.03), Moves(0.66, 0, 0.04), Moves(0.68, 0, 0.03)),
    ("New business", "SMB"): (
        Moves(0.60, 0.08), Moves(0.62, 0.06, 0.02), Moves(0.64, 0, 0.03), Moves(0.72, 0, 0.02)),
    ("Expansion", "Enterprise"): (Moves(0.75), Moves(0.72, 0, 0.03), Moves(0.80)),
    ("Expansion", "Mid-market"): (Moves(0.75), Moves(0.75, 0, 0.03), Moves(0.82)),
    ("Expansion", "SMB"): (Moves(0.72), Moves(0.78, 0, 0.02), Moves(0.85)),
}  # fmt: skip
DWELL_DAYS = {"New business": (9.0, 14.0, 16.0, 12.0), "Expansion": (6.0, 9.0, 8.0)}  # medians
DWELL_FACTOR = {"Enterprise": 1.5, "Mid-market": 1.0, "SMB": 0.7}
DWELL_SIGMA = 0.7  # of the logarithm
REOPENED = 0.02  # share of lost deals that come back to the last open stage but one


class Plan(NamedTuple):
    """Every planted fact, with its size. `nothing` plants none: the null company."""

    drop_pipeline: str = "New business"
    drop_segment: str = "Mid-market"
    drop_stage: str = "Proposal"
    drop_quarter: str = "2026-Q3"
    drop_factor: float = 0.5  # times the usual chance to advance
    stalled_region: str = "LatAm"
    stalled_since: str = "2025-05"
    growth_a_year: float = 0.22  # of deals created, elsewhere
    stale_share: float = 0.08  # of stays in the third stage
    stale_advance: float = 0.06  # chance that a stale stay ends well
    stale_days: tuple[float, float] = (60.0, 200.0)
    partner_dwell_factor: float = 0.72
    sandbagger_factor: float = 0.70  # call over what was booked
    optimist_factor: float = 1.45
    price_rise: float = 0.12
    price_rise_cohort: str = "2025-Q1"
    price_rise_churn_factor: float = 3.0
    dirty_share: float = 0.04  # of deals, for each kind of dirt
    # What was true on the day of the win and is not true now; see `events`. No deal has two of these.
    handed_over: float = 0.06  # share of won deals that another rep of the region gets
    handed_over_days: tuple[int, int] = (10, 120)  # after the win, both inclusive; so are those below
    events_since: str = "2025-07"  # first and last month of the wins that are cancelled or change their amount
    events_until: str = "2026-09"
    cancelled: float = 0.02  # share of those wins
    cancelled_days: tuple[int, int] = (15, 160)
    lowered: float = 0.02
    raised: float = 0.01
    amended_days: tuple[int, int] = (10, 90)
    amended_by: tuple[float, float] = (0.10, 0.40)  # of the amount, down or up
    shared: float = 0.03  # share of wins since `shared_since` whose credit two reps of the region share
    shared_since: str = "2026-01"
    reshared: float = 0.25  # share of shared deals whose shares change
    reshared_days: tuple[int, int] = (20, 70)
    promoted_on: tuple[str, ...] = ("2026-05-01", "2026-07-01")  # a rep each; the first within a quarter
    manager_on: tuple[str, ...] = ("2026-04-01",)
    moved_on: tuple[str, ...] = ("2026-05-15",)  # to another team of the region, where it has one
    on_leave: int = 2  # reps, in 2026
    leave_weeks: tuple[int, int] = (4, 8)
    quota_cut_on: tuple[str, ...] = ("2026-05-18",)  # a rep each, of the quarter that the day is in
    quota_cut: float = 0.25


NOTHING = Plan(drop_factor=1.0, stale_share=0.0, partner_dwell_factor=1.0, sandbagger_factor=1.0,
               optimist_factor=1.0, price_rise=0.0, price_rise_churn_factor=1.0, dirty_share=0.0,
               stalled_since="2099-01", handed_over=0.0, cancelled=0.0, lowered=0.0, raised=0.0, shared=0.0,
               promoted_on=(), manager_on=(), moved_on=(), on_leave=0, quota_cut_on=())  # fmt: skip


def moves(plan: Plan, pipeline: str, segment: str, *, dropped: bool = False) -> list[Moves]:
    """What ends a stay, by stage, with stale stays mixed in; `dropped` is inside the planted drop."""
    usual = list(MOVES[pipeline, segment])
    at = PIPELINES[pipeline].index(plan.drop_stage) if plan.drop_stage in PIPELINES[pipeline] else -1
    if dropped and (pipeline, segment) == (plan.drop_pipeline, plan.drop_segment):
        usual[at] = usual[at]._replace(advance=usual[at].advance * plan.drop_factor)
    third = usual[2]
    if pipeline == "New business":
        fresh = 1 - plan.stale_share
        usual[2] = Moves(
            third.advance * fresh + plan.stale_advance * plan.stale_share, third.skip * fresh, third.back * fresh
        )
    return usual


def conversion(plan: Plan, pipeline: str, segment: str) -> list[float]:
    """True chance to ever go further, for deals that reached or passed each stage; the last is to won.

    From the absorbing Markov chain of the stages: reach[k] is the chance ever to be in stage k or
    beyond, and the conversion of stage k is reach[k + 1] / reach[k]. Lost deals that come back do so
    into the last open stage but one.
    """
    chances = moves(plan, pipeline, segment)
    n = len(chances)
    reach = [1.0]
    for target in range(1, n + 1):  # stages target.. count as reached; target == n is won
        step = np.zeros((target, target))
        enter = np.zeros(target)
        back_to = n - 2
        for k in range(target):
            for to, p in ((k + 1, chances[k].advance), (k + 2, chances[k].skip), (k - 1, chances[k].back)):
                if p and to >= target:
                    enter[k] += p
                elif p:
                    step[k, to] += p
            returning = REOPENED * chances[k].lost
            if back_to >= target:
                enter[k] += returning
            else:
                step[k, back_to] += returning
        reach.append(float(np.linalg.solve(np.eye(target) - step, enter)[0]))
    return [reach[k + 1] / reach[k] for k in range(n)]
