"""The leads' numbers: shares with open leads censored, answers in working hours."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, stats
from salesops.leads import counts
from salesops.leads.params import Params
from salesops.stats import Estimate

ALL = crm.ALL
DAY_HOURS = 24
MINUTES = 60  # in a working hour
MOST_GROUPS = 15
LANDMARKS = (1, 4, 24, 72)  # hours since a lead came in


class Leads(NamedTuple):
    """steps : the names of the steps that the source knows, in order.

    table : step (k: from step k to the next), n, n_moved, n_open, rate, rate_before (Estimate or None), age_days,
        change (Estimate or None), p_adjusted.
    groups : group, n, n_deal, n_won (so far), deal, won (Estimate or None: shares within `age_days` of coming in),
        p_adjusted (of its deals being as all others'), in_sla (Estimate), median_hours (Estimate or None).
    in_sla : Estimate of the share answered in time, waiting ones censored; None where answers are not known.
    median_hours, p90_hours : working hours until the answer. n_waiting, n_late : not answered yet, and past the SLA.
    n_unrecorded : accepted, or a deal, without an answer on record by then.
    answers : hours (since a lead came in), n, deal (leads answered by then), n_waiting, deal_waiting (not yet), change
        (Estimate or None: shares that become a deal within `age_days` from then on), p_adjusted.
    deal, won : Estimate of the share of all leads within `age_days` of coming in, or None.
    """

    steps: tuple[str, ...]
    table: pd.DataFrame
    groups: pd.DataFrame
    in_sla: Estimate | None
    median_hours: Estimate | None
    p90_hours: Estimate | None
    n_waiting: int
    n_late: int
    n_unrecorded: int
    answers: pd.DataFrame
    deal: Estimate | None
    won: Estimate | None
    age_days: float
    n: int
    n_before: int


def measure(book: crm.Book, params: Params) -> Leads:
    """The leads of the months, and what became of them.

    Raises
    ------
    ValueError
        If the source has no value of the split, or no lead came in in the months.
    """
    leads = counts.looked_at(book, params)
    steps = counts.steps_known(book)
    table = counts.step_counts(book, leads, len(steps))
    answered = "first_response_at" in book.about["filled"]["leads"]
    waits = counts.waits(book, params, leads) if answered else None
    after = counts.answered_by(book, leads, len(steps), LANDMARKS) if answered and "deal" in steps else None
    deal, won, age_days = _overall(table, params, len(steps)) if "deal" in steps else (None, None, float("nan"))
    sla = int(params.sla_hours * MINUTES + 1e-9)
    survival = _waiting(waits, params) if answered else None
    waiting = waits[waits["state"] == "waiting"] if answered else None
    sizes = counts.sizes(leads)
    return Leads(
        steps=steps,
        table=_steps(table, params, len(steps)),
        groups=_groups(table, waits, params, steps),
        in_sla=_by(survival, sla),
        median_hours=_hours(survival, 0.5),
        p90_hours=_hours(survival, 0.9),
        n_waiting=int(waiting["n"].sum()) if answered else 0,
        n_late=int(waiting.loc[waiting["age"] > sla, "n"].sum()) if answered else 0,
        n_unrecorded=int(waits.loc[waits["state"] == "worked", "n"].sum()) if answered else 0,
        answers=_answers(after, params),
        deal=deal,
        won=won,
        age_days=age_days,
        n=sizes.get("now", 0),
        n_before=sizes.get("before", 0),
    )  # fmt: skip


def _curve(part: pd.DataFrame) -> stats.Incidence:
    counted = {f"n_{end}": np.where(part["outcome"] == end, part["n"], 0) for end in ("moved", "lost", "open")}
    return stats.aalen_johansen(pd.DataFrame({"age": part["age"], **counted}), {"moved": "n_moved", "lost": "n_lost"})


def _age(curves: list[stats.Incidence], params: Params) -> float | None:
    """The horizon, or the last whole day that enough leads of every side were watched; hours."""
    watched = min(params.horizon_days * DAY_HOURS, *(curve.watched_until(params.min_leads) for curve in curves))
    return watched // DAY_HOURS * DAY_HOURS or None


def _steps(table: pd.DataFrame, params: Params, n_steps: int) -> pd.DataFrame:
    together = table.groupby(["cohort", "step", "outcome", "age"], as_index=False)["n"].sum()
    rows = []
    for k in range(n_steps - 1):
        sides = {name: together[(together["cohort"] == name) & (together["step"] == k)] for name in ("now", "before")}
        now = sides["now"]
        n = {end: int(now.loc[now["outcome"] == end, "n"].sum()) for end in ("moved", "lost", "open")}
        row = {"step": k, "n": sum(n.values()), "n_moved": n["moved"], "n_open": n["open"], "rate": None,
               "rate_before": None, "age_days": np.nan, "change": None, "p": np.nan}  # fmt: skip
        curves = {name: _curve(part) for name, part in sides.items() if part["n"].sum() >= params.min_leads}
        age = _age(list(curves.values()), params) if "now" in curves else None
        if age:
            rates = {name: curve.at("moved", age) for name, curve in curves.items()}
            row |= {"rate": rates["now"], "rate_before": rates.get("before"), "age_days": age / DAY_HOURS}
        if age and "before" in curves:
            p = stats.p_of_equal_incidence(curves["now"], curves["before"], "moved", age)
            row |= {"change": stats.difference(rates["now"], rates["before"]), "p": p}
        rows.append(row)
    columns = ["step", "n", "n_moved", "n_open", "rate", "rate_before", "age_days", "change", "p"]
    found = pd.DataFrame(rows, columns=columns)
    tested = found["p"].notna()
    found["p_adjusted"] = np.nan
    found.loc[tested, "p_adjusted"] = stats.adjust_for_many(found.loc[tested, "p"])
    return found.drop(columns="p")


def _groups(table: pd.DataFrame, waits: pd.DataFrame | None, params: Params, steps: tuple[str, ...]) -> pd.DataFrame:
    columns = ["group", "n", "n_deal", "n_won", "deal", "won", "age_days", "p", "in_sla", "median_hours"]
    n_steps = len(steps)
    if params.split_by == "none" or "deal" not in steps:
        return pd.DataFrame(columns=[*columns[:7], "p_adjusted", *columns[8:]])
    now = table[table["cohort"] == "now"]
    to_won, to_deal = now[now["step"] == -2], now[now["step"] == (-1 if n_steps > 2 else -2)]
    sizes = to_won.groupby("group")["n"].sum().sort_index().sort_values(ascending=False, kind="stable")
    rows = []
    for group in sizes.index:
        parts = {"deal": to_deal[to_deal["group"] == group], "won": to_won[to_won["group"] == group]}
        moved = {name: int(part.loc[part["outcome"] == "moved", "n"].sum()) for name, part in parts.items()}
        row = {"group": group, "n": int(sizes[group]), "n_deal": moved["deal"], "n_won": moved["won"], "deal": None,
               "won": None, "age_days": np.nan, "p": np.nan, "in_sla": None, "median_hours": None}  # fmt: skip
        others = to_deal[to_deal["group"] != group]
        if sizes[group] >= params.min_leads:
            curves = {name: _curve(part) for name, part in parts.items()}
            rest = _curve(others) if others["n"].sum() >= params.min_leads else None
            age = _age([*curves.values(), *([rest] if rest else [])], params)
            if age:
                row |= {name: curve.at("moved", age) for name, curve in curves.items()} | {"age_days": age / DAY_HOURS}
            if age and rest:
                row["p"] = stats.p_of_equal_incidence(curves["deal"], rest, "moved", age)
        if waits is not None:
            survival = _waiting(waits[waits["group"] == group], params)
            row |= {
                "in_sla": _by(survival, int(params.sla_hours * MINUTES + 1e-9)),
                "median_hours": _hours(survival, 0.5),
            }
        rows.append(row)
    found = pd.DataFrame(rows, columns=columns)
    tested = found["p"].notna()
    found["p_adjusted"] = np.nan
    found.loc[tested, "p_adjusted"] = stats.adjust_for_any(found.loc[tested, "p"])
    return found.drop(columns="p")


def _waiting(waits: pd.DataFrame, params: Params) -> stats.Survival | None:
    """Kaplan-Meier of the answer, those still waiting censored; None of too few."""
    if waits["n"].sum() < params.min_leads:
        return None
    answered = (waits["state"] == "answered").to_numpy(dtype=bool)
    table = pd.DataFrame({"age": waits["age"].to_numpy(), "n_ended": np.where(answered, waits["n"], 0),
                          "n_open": np.where(answered, 0, waits["n"])})  # fmt: skip
    return stats.kaplan_meier(table)


def _by(survival: stats.Survival | None, age: float) -> Estimate | None:
    """The share answered by an age, with its interval."""
    if survival is None:
        return None
    k = int(np.searchsorted(survival.age, age, side="right")) - 1
    if k < 0:
        return stats.wilson(0, survival.n)
    share, low, high = (float(curve[k]) for curve in (survival.share, survival.low, survival.high))
    return stats.wilson(survival.n, survival.n) if share == 0 else Estimate(1 - share, 1 - high, 1 - low, survival.n)


def _hours(survival: stats.Survival | None, share: float) -> Estimate | None:
    found = survival.quantile(share) if survival is not None else None
    return None if found is None else Estimate(*(x / MINUTES for x in found[:3]), found.n)


def _overall(table: pd.DataFrame, params: Params, n_steps: int) -> tuple[Estimate | None, Estimate | None, float]:
    """The shares of all leads of the months that became a deal, and were won, by one age; and that age in days."""
    now = table[table["cohort"] == "now"]
    parts = [now[now["step"] == step] for step in (-1 if n_steps > 2 else -2, -2)]
    if parts[1]["n"].sum() < params.min_leads:
        return None, None, float("nan")
    curves = [_curve(part) for part in parts]
    age = _age(curves, params)
    return (*(curve.at("moved", age) for curve in curves), age / DAY_HOURS) if age else (None, None, float("nan"))


def _answers(after: pd.DataFrame | None, params: Params) -> pd.DataFrame:
    """At each landmark, leads that were answered by then against those that were not."""
    columns = ["hours", "n", "deal", "n_waiting", "deal_waiting", "change", "p_adjusted", "age_days"]
    if after is None:
        return pd.DataFrame(columns=columns)
    rows = []
    for hours in LANDMARKS:
        here = after[after["landmark"] == hours]
        parts = [here[here["answered"]], here[~here["answered"]]]
        n = [int(part["n"].sum()) for part in parts]
        row = [hours, n[0], None, n[1], None, None, np.nan, np.nan]
        curves = [_curve(part) for part in parts] if min(n) >= params.min_leads else []
        if curves and (age := _age(curves, params)):
            rates = [curve.at("moved", age) for curve in curves]
            p = stats.p_of_equal_incidence(*curves, "moved", age)
            row = [hours, n[0], rates[0], n[1], rates[1], stats.difference(*rates), p, age / DAY_HOURS]
        rows.append(row)
    found = pd.DataFrame(rows, columns=columns)
    tested = found["p_adjusted"].notna()
    found.loc[tested, "p_adjusted"] = stats.adjust_for_any(found.loc[tested, "p_adjusted"])
    return found
