"""The funnel's numbers: inference on the counts that the engine returns."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from salesops import crm, stats
from salesops.funnel import counts
from salesops.funnel.counts import LOST, NOT_KNOWN, OPEN, WON, Scope
from salesops.funnel.params import Params
from salesops.stats import Estimate

DAY_HOURS = 24
LEAST_VALUED = 100  # deals, for an interval of a share of money
ALL = crm.ALL  # the group of all deals together


class Funnel(NamedTuple):
    """Everything the page needs, as small frames; `cohort` is now or before, `group` is `ALL` for all.

    steps : cohort, group, step (0 for the first stage), n_reached, n_moved, n_lost, n_open, dated,
        rate (Estimate or None: the share that went further), age_days (by which age), watched.
    lives : cohort, group, n, n_won, n_lost, n_open, rate (the share won), age_days, watched.
    curves : cohort -> Incidence of won and lost by age in hours.
    stays : stage, n, n_open, median, upper (days; Estimate or None).
    closings : cohort, group, n_won, n_lost, won_amount, by_count, by_value (Estimate or None).
    open_before : amount of the open pipeline at the end of the months compared with, None where not known.
    standing : stage, kind, n, n_undated, n_amount, amount: every deal at the end of `as_of`.
    longest : the open deals that have been longest in their stage.
    changes : group, step, n, rate, rate_before, age_days, change (Estimate), p, p_adjusted.
    """

    scope: Scope
    steps: pd.DataFrame
    lives: pd.DataFrame
    curves: dict[str, stats.Incidence]
    stays: pd.DataFrame
    closings: pd.DataFrame
    open_before: float | None
    standing: pd.DataFrame
    longest: pd.DataFrame
    changes: pd.DataFrame


def measure(book: crm.Book, params: Params) -> Funnel:
    """The funnel of one pipeline.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, or no deal of it was created in the period.
    """
    scope = counts.find_scope(book, params)
    cohort = counts.cohort_deals(book, scope, params.segment_by).cache()
    paths = counts.paths(book, scope, cohort).cache()
    life_counts = _with_all(counts.life_counts(paths))
    if not (life_counts["cohort"] == "now").any():
        window = scope.cohorts["now"]
        raise ValueError(
            f"no deal of the pipeline {scope.pipeline!r} was created from {window.first_on} to {window.last_on}; "
            f"the source runs to {book.last_on}"
        )
    steps = conversions(_with_all(counts.step_counts(scope, paths)), scope, logged=book.about["history"] == "changes")
    together = life_counts[life_counts["group"] == ALL]
    before = counts.open_before(book, scope)
    return Funnel(
        scope=scope,
        steps=steps,
        lives=lives(life_counts, scope),
        curves={name: _incidence(part, WON) for name, part in together.groupby("cohort")},
        stays=stays(counts.stay_counts(book, cohort), scope),
        closings=closings(counts.closing_counts(book, scope, params.segment_by), book.minor_units),
        open_before=before["amount_minor"].iloc[0] / book.minor_units if len(before) else None,
        standing=counts.standing(book, scope),
        longest=counts.longest(book, scope),
        changes=changes(steps),
    )


def _with_all(table: pd.DataFrame) -> pd.DataFrame:
    """The counts of each group, and of all deals together as group `ALL`, in a fixed order."""
    keys = [name for name in table.columns if name not in ("group", "n")]
    together = table.groupby(keys, as_index=False)["n"].sum().assign(group=ALL)
    split = table.assign(group=table["group"].fillna(NOT_KNOWN))
    parts = [together] if set(table["group"]) <= {ALL} else [together, split]
    return pd.concat(parts, ignore_index=True).sort_values(["group", *keys], ignore_index=True)


def conversions(table: pd.DataFrame, scope: Scope, *, logged: bool = True) -> pd.DataFrame:
    """One row per cohort, group and step; see `Funnel.steps`.

    A share needs dated entries: in a log all are; where stages are only dated by columns, at least half
    of the deals must have a date of their own in the stage.
    """
    rows = []
    for (cohort, group, step), part in table.groupby(["cohort", "group", "step"], sort=True):
        n_moved, n_lost, n_open = _numbers(part, "moved", LOST, OPEN)
        dated, n = int(part["n"].to_numpy() @ part["dated"].to_numpy()), n_moved + n_lost + n_open
        row = {"cohort": cohort, "group": group, "step": step, "n_reached": n, "n_moved": n_moved, "n_lost": n_lost,
               "n_open": n_open, "dated": dated}  # fmt: skip
        known = dated > 0 if logged else 2 * dated >= n
        rows.append(row | _watch(part, "moved", scope if known else None))
    seen = {row["step"] for row in rows if (row["cohort"], row["group"]) == ("now", ALL)}
    for step in set(range(len(scope.stages))) - seen:
        empty = dict.fromkeys(("n_reached", "n_moved", "n_lost", "n_open", "dated"), 0)
        rows.append({"cohort": "now", "group": ALL, "step": step, **empty, "watched": None, "age_days": np.nan})
    return _rates_at_common_ages(pd.DataFrame(rows), ["group", "step"])


def _numbers(part: pd.DataFrame, *outcomes: str) -> list[int]:
    """How many deals had each outcome, from rows of outcome and n."""
    outcome, n = part["outcome"].to_numpy(), part["n"].to_numpy()
    return [int(n[outcome == one].sum()) for one in outcomes]


def lives(table: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """One row per cohort and group; see `Funnel.lives`."""
    rows = []
    for (cohort, group), part in table.groupby(["cohort", "group"], sort=True):
        n_won, n_lost, n_open = _numbers(part, WON, LOST, OPEN)
        row = {"cohort": cohort, "group": group, "n": n_won + n_lost + n_open, "n_won": n_won, "n_lost": n_lost,
               "n_open": n_open}  # fmt: skip
        rows.append(row | _watch(part, WON, scope))
    return _rates_at_common_ages(pd.DataFrame(rows), ["group"])


def _rates_at_common_ages(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rates of now and before at one age, the latest that both support: younger deals are not worse deals."""
    table["age_days"] = table.groupby(keys)["age_days"].transform("min")
    table["rate"] = [
        None if watched is None else watched.at(age * DAY_HOURS)
        for watched, age in zip(table["watched"], table["age_days"], strict=True)
    ]
    return table


class Watched(NamedTuple):
    """The share of some deals that ended by one cause, by age in hours, with open deals censored.

    Where none is open the cohort is complete, and the interval is Wilson's.
    """

    curve: stats.Incidence
    cause: str
    complete: bool

    def at(self, age: float) -> Estimate:
        found = self.curve.at(self.cause, age)
        return stats.wilson(round(found.value * found.n), found.n) if self.complete else found

    def supported(self, age: float, min_deals: int) -> float | None:
        """`age`, if enough deals have been watched so long or ended before; else the last whole day
        that enough were; None where there is no such day."""
        watched = self.curve.watched_until(min_deals)
        return age if watched >= age else watched // DAY_HOURS * DAY_HOURS or None


def _watch(part: pd.DataFrame, cause: str, scope: Scope | None) -> dict:
    """watched and age_days of a group; None where there are too few deals, or no scope to judge by."""
    nothing = {"watched": None, "age_days": np.nan}
    if scope is None or part["n"].sum() < scope.min_deals:
        return nothing
    watched = Watched(_incidence(part, cause), cause, complete=not (part["outcome"] == OPEN).any())
    age = watched.supported(scope.horizon_days * DAY_HOURS, scope.min_deals)
    return nothing if age is None else {"watched": watched, "age_days": age / DAY_HOURS}


def _incidence(part: pd.DataFrame, cause: str) -> stats.Incidence:
    """Aalen-Johansen of `cause` and of being lost, from rows of outcome, age and n."""
    outcome, n = part["outcome"].to_numpy(), part["n"].to_numpy()
    counts = {f"n_{end}": np.where(outcome == end, n, 0) for end in (cause, LOST, OPEN)}
    table = pd.DataFrame({"age": part["age"].to_numpy(), **counts})
    return stats.aalen_johansen(table, {cause: f"n_{cause}", LOST: "n_lost"})


def stays(table: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """One row per stage: how long visits last; see `Funnel.stays`."""
    found = []
    for stage in filter(None, scope.stages):
        part = table[table["stage"] == stage]
        n, n_open = int(part[["n_ended", "n_open"]].to_numpy().sum()), int(part["n_open"].sum())
        row = {"stage": stage, "n": n, "n_open": n_open, "median": None, "upper": None}
        if n >= scope.min_deals:
            survival = stats.kaplan_meier(part)
            row |= {"median": _in_days(survival.quantile(0.5)), "upper": _in_days(survival.quantile(0.75))}
        found.append(row)
    return pd.DataFrame(found, columns=["stage", "n", "n_open", "median", "upper"])


def _in_days(hours: Estimate | None) -> Estimate | None:
    return None if hours is None else Estimate(*(value / DAY_HOURS for value in hours[:3]), hours.n)


def closings(table: pd.DataFrame, minor_units: int) -> pd.DataFrame:
    """Win rate of the deals closed in the period, by count and by value; None where it cannot be known.

    By value it is unknown for few deals, whose amounts say too little of their spread, where more than a tenth
    of the won or of the lost have no amount, and where an amount is below zero.
    """
    sums = ["n", "n_amount", "n_negative", "total", "squares"]
    together = table.groupby(["cohort", "status"], as_index=False)[sums].sum().assign(group=ALL)
    rows = []
    split = table[table["group"] != ALL]
    for (cohort, group), part in pd.concat([together, split]).groupby(["cohort", "group"], sort=True):
        by = part.groupby("status")[sums].sum().reindex([WON, LOST], fill_value=0)
        n_won, n_lost = by["n"].astype(int)
        rows.append(
            {
                "cohort": cohort,
                "group": group,
                "n_won": n_won,
                "n_lost": n_lost,
                "won_amount": by["total"][WON] / minor_units if by["n_amount"][WON] else np.nan,
                "by_count": stats.wilson(n_won, n_won + n_lost) if n_won + n_lost else None,
                "by_value": _by_value(by) if n_won + n_lost >= LEAST_VALUED else None,
            }
        )
    return pd.DataFrame(rows, columns=["cohort", "group", "n_won", "n_lost", "won_amount", "by_count", "by_value"])


def _by_value(by: pd.DataFrame) -> Estimate | None:
    won, lost = by["total"]
    known = (by["n_amount"] >= 0.9 * by["n"]).all() and not by["n_negative"].any() and won + lost > 0
    return stats.ratio_of_sums(won, lost, *by["squares"], int(by["n_amount"].sum())) if known else None


def changes(steps: pd.DataFrame) -> pd.DataFrame:
    """Now against before, by group and step, at the latest age that both cohorts support.

    Returns
    -------
    DataFrame
        group, step, n, rate, rate_before, age_days, change (Estimate), p, p_adjusted. Every stage of all
        deals together and of every group is one family of comparisons (Benjamini-Hochberg).
    """
    columns = ["group", "step", "n", "rate", "rate_before", "age_days", "change", "p"]
    usable = steps[steps["watched"].notna()].set_index(["cohort", "group", "step"])
    rows = []
    for group, step in [key[1:] for key in usable.index if key[0] == "now"]:
        if ("before", group, step) not in usable.index:
            continue
        now, before = usable.loc[("now", group, step)], usable.loc[("before", group, step)]
        rates = [side["rate"] for side in (now, before)]
        p = _p_of_change(rates, [side["watched"].curve for side in (now, before)], now["age_days"] * DAY_HOURS)
        rows.append([group, step, now["n_reached"], *rates, now["age_days"], stats.difference(*rates), p])
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_adjusted=stats.adjust_for_many(table["p"]))


def _p_of_change(rates: list[Estimate], curves: list[stats.Incidence], age: float) -> float:
    """Two-sided p of no change. A rate of 0 or 1, whose own spread is estimated as nothing, is not certain:
    the spread is at least the binomial one of the pooled rate, for such a rate among the deals watched so long."""
    se = np.array([curve.se_at("moved", age) for curve in curves])
    n = np.where(se > 0, [rate.n for rate in rates], [curve.n_watched(age) for curve in curves])
    pooled = n @ [rate.value for rate in rates] / n.sum()
    spread = float(np.hypot(*np.maximum(se, np.sqrt(pooled * (1 - pooled) / n))))
    return 1.0 if spread == 0 else float(2 * norm.sf(abs(rates[0].value - rates[1].value) / spread))
