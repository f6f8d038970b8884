"""Which rep suits which deals: win rates by rep and group, drawn together as far as chance asks for it."""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.funnel.cohorts import WON, Scope, bounds

MOST_GROUPS, MOST_REPS = 8, 3
LEAST_DEALS = 5  # of a rep in a group, to be named


class Fit(NamedTuple):
    """Deals closed in a year ended by then.

    groups : group, n_reps, n, mean (the share won), p_adjusted (of all its reps being alike), differ.
    reps : group, rep, n_won, n, raw (Wilson), pooled (drawn to the group's mean), above (chance to be above it), best
        (chance to be the best of the group); in each group that differs the highest and the lowest, in the others the
        highest alone.
    period : the year.
    """

    groups: pd.DataFrame
    reps: pd.DataFrame
    period: periods.Period


def measure(book: crm.Book, scope: Scope, base: ibis.Table) -> Fit:
    """Win rates of reps within each group of the page's dimension (of all deals, where that is the rep)."""
    year = periods.trailing(scope.cohorts["now"], 12)
    year = year._replace(last_on=min(year.last_on, scope.cohorts["now"].last_on))
    if "by_rep" not in base.columns:
        return Fit(_groups([]), _reps([]), year)
    return Fit(*rank(_closed(book, scope, base, year)), year)


def _closed(book: crm.Book, scope: Scope, base: ibis.Table, year: periods.Period) -> pd.DataFrame:
    """group, rep, n_won, n: deals closed in the year whose rep is known."""
    low, high = bounds(year, book)
    deals = base.filter(_.closed_at >= low, _.closed_at < high, _.by_rep.notnull()).mutate(rep=_.by_rep)
    deals = deals.mutate(group=ibis.literal(crm.ALL)) if scope.segment_by == "rep" else deals
    counted = deals.group_by("group", "rep").agg(n_won=(_.status == WON).sum(), n=_.count())
    return counted.order_by("group", "rep").execute().fillna({"group": crm.NOT_KNOWN})


def rank(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`Fit.groups` and `Fit.reps` from group, rep, n_won, n."""
    sizes = table.groupby("group")["n"].sum().sort_values(ascending=False, kind="stable").head(MOST_GROUPS)
    groups, parts = [], []
    for group in sizes.index:
        part = table[table["group"] == group].reset_index(drop=True)
        if len(part) < 2:
            continue
        pooled = stats.pool_rates(part["n_won"].to_numpy(), part["n"].to_numpy())
        groups.append([group, len(part), int(part["n"].sum()), pooled.mean, pooled.p])
        parts.append(part.assign(
            raw=[stats.wilson(int(w), int(n)) for w, n in zip(part["n_won"], part["n"], strict=True)],
            pooled=pooled.rates, above=pooled.above, best=pooled.best,
        ))  # fmt: skip
    found = _groups(groups)
    found["p_adjusted"] = stats.adjust_for_many(found["p_adjusted"])
    found["differ"] = found["p_adjusted"] < 0.05
    named = [_named(part, differ) for part, differ in zip(parts, found["differ"], strict=True)]
    return found, pd.concat(named, ignore_index=True) if named else _reps([])


def _named(part: pd.DataFrame, differ: bool) -> pd.DataFrame:
    """Of one group, the highest and the lowest; where the reps cannot be told apart, the highest alone."""
    enough = part[part["n"] >= LEAST_DEALS].assign(
        value=[x.value for x in part.loc[part["n"] >= LEAST_DEALS, "pooled"]]
    )
    order = enough.sort_values(["value", "n", "rep"], ascending=[False, False, True], kind="stable").drop(
        columns="value"
    )
    if not differ:
        return order.head(1)
    places = np.unique([*range(min(MOST_REPS, len(order))), *range(max(len(order) - MOST_REPS, 0), len(order))])
    return order.iloc[places]


def _groups(rows: list) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["group", "n_reps", "n", "mean", "p_adjusted"])


def _reps(rows: list) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["group", "rep", "n_won", "n", "raw", "pooled", "above", "best"])
