"""The funnel's numbers: inference on the counts that the engine returns."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from salesops import crm, stats
from salesops.funnel import chain, cohorts, counts, losses, parity, recent, reps, shift, splits, times, velocity
from salesops.funnel.cohorts import LOST, OPEN, WON, Scope
from salesops.funnel.params import Params
from salesops.funnel.watching import DAY_HOURS, incidence, watch
from salesops.stats import Estimate

LEAST_VALUED = 100  # deals, for an interval of a share of money
LEAST_EFFECTIVE = 30  # of equal amounts, that as uneven ones must weigh to tell a spread
ALL = crm.ALL  # the group of all deals together


class Funnel(NamedTuple):
    """Everything the page needs, as small frames; `cohort` is now or before, `group` is `ALL` for all.

    steps : cohort, group, step (0 for the first stage), n_reached, n_moved, n_lost, n_open, n_other, dated,
        rate (Estimate or None: the share that went further), by_value (the same of money), age_days (by which
        age), watched.
    lives : cohort, group, n, n_won, n_lost, n_open, rate (the share won), by_value, age_days, watched.
    curves : cohort -> Incidence of won and lost by age in hours.
    closings : cohort, group, n_won, n_lost, won_amount, by_count, by_value (Estimate or None).
    open_before : amount of the open pipeline at the end of the months compared with, None where not known.
    standing : stage, kind, n, n_undated, n_amount, amount: every deal at the end of `as_of`.
    changes : group, step, n, rate, rate_before, age_days, change (Estimate), p, p_adjusted.
    left_out, left_out_listed : by convention, how many deals, and the first of them; see `cohorts.left_out`.
    The others stand in the module of their name.
    """

    scope: Scope
    steps: pd.DataFrame
    lives: pd.DataFrame
    curves: dict[str, stats.Incidence]
    closings: pd.DataFrame
    open_before: float | None
    standing: pd.DataFrame
    changes: pd.DataFrame
    shifts: dict[int, shift.Shift]
    recent: recent.Recent | None
    times: times.Times
    velocity: velocity.Velocity | None
    splits: pd.DataFrame
    chain: chain.Chain | None
    reps: reps.Fit
    losses: losses.Losses
    parity: parity.Parity
    left_out: dict[str, int]
    left_out_listed: pd.DataFrame


def measure(book: crm.Book, params: Params) -> Funnel:
    """The funnel of one pipeline.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, or no deal of it entered in the months.
    """
    scope = cohorts.find_scope(book, params)
    dimensions = crm.known_dimensions(book)
    base = cohorts.base_deals(book, scope, dimensions)
    cohort = cohorts.cohort_deals(book, scope, base).cache()
    paths = counts.paths(book, scope, cohort).cache()
    every = counts.life_counts(paths, dimensions)
    life_counts = _with_all(every[every["dimension"] == "group"].drop(columns="dimension"))
    if not (life_counts["cohort"] == "now").any():
        raise ValueError(_nothing(book, scope))
    totals = scope.rules.count_of == "totals" and any(scope.stages)
    step_counts = counts.visit_counts(book, scope, cohort) if totals else counts.step_counts(scope, paths)
    steps = conversions(_with_all(step_counts), scope, logged=book.about["history"] == "changes")
    together = life_counts[life_counts["group"] == ALL]
    at_end = book.as_of == scope.cohorts["now"].last_on  # else the two days would not compare
    before = counts.open_before(book, scope) if at_end else ()
    closing_counts = counts.closing_counts(book, scope, base)
    closed = closings(closing_counts, book.minor_units, valued=scope.valued)
    changed = shift.changes(steps)
    stay_counts = times.stay_counts(book, cohort, dimensions)
    left_out, listed = cohorts.left_out(book, scope)
    return Funnel(
        scope=scope,
        steps=steps,
        lives=lives(life_counts, scope),
        curves={name: incidence(part, WON) for name, part in together.groupby("cohort")},
        closings=closed,
        open_before=before["amount_minor"].iloc[0] / book.minor_units if len(before) else None,
        standing=counts.standing(book, scope),
        changes=changed,
        shifts=shift.shifts(book, params, scope, steps, changed, closed),
        recent=recent.measure(book, scope, base, steps, closed) if len(changed) else None,
        times=times.measure(book, scope, base, cohort, stay_counts),
        velocity=velocity.measure(closing_counts, scope, book.minor_units),
        splits=splits.measure(every, stay_counts, times.stay_correlations(book, scope, cohort), scope),
        chain=chain.measure(book, scope, cohort, closed, velocity.amount_spread(closing_counts)),
        reps=reps.measure(book, scope, base),
        losses=losses.measure(book, scope, base),
        parity=parity.measure(book, scope, paths),
        left_out=left_out,
        left_out_listed=listed,
    )


def _nothing(book: crm.Book, scope: Scope) -> str:
    window, verb = scope.cohorts["now"], {"entry": "was created", "active": "was open"}
    did = verb.get(scope.rules.cohort_by, "stood open") if scope.rules.accepted_stage == 1 else "was accepted"
    return (
        f"no deal of the pipeline {scope.pipeline!r} {did} from {window.first_on} to {window.last_on}; "
        f"the source runs to {book.last_on}"
    )


def _with_all(table: pd.DataFrame) -> pd.DataFrame:
    """The counts of each group, and of all deals together as group `ALL`, in a fixed order."""
    summed = ["n", *counts.AMOUNTS]
    keys = [name for name in table.columns if name not in ("group", *summed)]
    together = table.groupby(keys, as_index=False)[summed].sum().assign(group=ALL)
    split = table.assign(group=table["group"].fillna(crm.NOT_KNOWN))
    parts = [together] if set(table["group"]) <= {ALL} else [together, split]
    return pd.concat(parts, ignore_index=True).sort_values(["group", *keys], ignore_index=True)


def conversions(table: pd.DataFrame, scope: Scope, *, logged: bool = True) -> pd.DataFrame:
    """One row per cohort, group and step; see `Funnel.steps`.

    A share needs dated entries: in a log all are; where stages are only dated by columns, at least half
    of the deals must have a date of their own in the stage.
    """
    rows = []
    for (cohort, group, step), part in table.groupby(["cohort", "group", "step"], sort=True):
        n_moved, n_lost, n_open, n_other = _numbers(part, "moved", LOST, OPEN, "other")
        dated, n = int(part["n"].to_numpy() @ part["dated"].to_numpy()), n_moved + n_lost + n_open + n_other
        row = {"cohort": cohort, "group": group, "step": step, "n_reached": n, "n_moved": n_moved, "n_lost": n_lost,
               "n_open": n_open, "n_other": n_other, "dated": dated}  # fmt: skip
        known = dated > 0 if logged else 2 * dated >= n
        rows.append(row | watch(part, "moved", scope if known else None) | {"part": part})
    seen = {row["step"] for row in rows if (row["cohort"], row["group"]) == ("now", ALL)}
    for step in set(range(len(scope.stages))) - seen:
        empty = dict.fromkeys(("n_reached", "n_moved", "n_lost", "n_open", "n_other", "dated"), 0)
        nothing = {"watched": None, "age_days": np.nan, "part": None}
        rows.append({"cohort": "now", "group": ALL, "step": step, **empty, **nothing})
    return _rates_at_common_ages(pd.DataFrame(rows), ["group", "step"], "moved", valued=scope.valued)


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
        rows.append(row | watch(part, WON, scope) | {"part": part})
    return _rates_at_common_ages(pd.DataFrame(rows), ["group"], WON, valued=scope.valued)


def _rates_at_common_ages(table: pd.DataFrame, keys: list[str], cause: str, *, valued: bool) -> pd.DataFrame:
    """Rates of now and before at one age, the latest that both support: younger deals are not worse deals."""
    table["age_days"] = table.groupby(keys)["age_days"].transform("min")
    known = zip(table["watched"], table["age_days"], table["part"], strict=True)
    rates = [
        (w.at(age * DAY_HOURS), _money_at(part, cause, age) if valued else None) if w else (None, None)
        for w, age, part in known
    ]
    table["rate"], table["by_value"] = ([pair[k] for pair in rates] for k in (0, 1))
    return table.drop(columns="part")


def _money_at(part: pd.DataFrame, cause: str, age_days: float) -> Estimate | None:
    """The share of the amount that ended by `cause` up to an age; None where amounts say too little."""
    n = int(part["n"].sum())
    known = part["n_amount"].sum() >= 0.9 * n >= 0.9 * LEAST_VALUED and not part["n_negative"].any()
    if not known or part["total"].sum() <= 0 or not _spread_known(part[part["outcome"] == cause]):
        return None
    found = stats.incidence_by_value(part, [cause, LOST, "other"], cause, age_days * DAY_HOURS)
    return found._replace(n=int(part["n_amount"].sum()))


def _spread_known(part: pd.DataFrame) -> bool:
    """Whether enough amounts carry a sum: as many as `LEAST_EFFECTIVE` equal ones would."""
    return part["total"].sum() ** 2 >= LEAST_EFFECTIVE * part["squares"].sum() > 0


def closings(table: pd.DataFrame, minor_units: int, *, valued: bool = True) -> pd.DataFrame:
    """Win rate of the deals closed in the period, by count and by value; None where it cannot be known.

    By value it is unknown for few deals, whose amounts say too little of their spread, where more than a tenth
    of the won or of the lost have no amount, where an amount is below zero, and where lost deals lose theirs.
    """
    sums = ["n", *counts.AMOUNTS]
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
                "by_value": _by_value(by) if valued and n_won + n_lost >= LEAST_VALUED else None,
            }
        )
    return pd.DataFrame(rows, columns=["cohort", "group", "n_won", "n_lost", "won_amount", "by_count", "by_value"])


def _by_value(by: pd.DataFrame) -> Estimate | None:
    won, lost = by["total"]
    known = (by["n_amount"] >= 0.9 * by["n"]).all() and not by["n_negative"].any() and won + lost > 0
    known = known and _spread_known(by.loc[[WON]])
    return stats.ratio_of_sums(won, lost, *by["squares"], int(by["n_amount"].sum())) if known else None
