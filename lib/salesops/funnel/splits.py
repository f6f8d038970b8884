"""Who differs: every group of every dimension against all others, in the share won and in the time stages take."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from salesops import crm, stats
from salesops.funnel.cohorts import WON, Scope
from salesops.funnel.watching import DAY_HOURS, p_of_change, watch
from salesops.stats import Estimate
from salesops.stats.proportions import LEVEL

ALL = crm.ALL
MOST_GROUPS = 12  # of a dimension, the largest ones
LEAST_STAYS = 60  # of a stage, below which a median's interval says too little of its tails
_Z = norm.ppf(0.5 + LEVEL / 2)


Correlations = Mapping[frozenset[str], float]


def measure(lives: pd.DataFrame, stays: pd.DataFrame, alike: Correlations, scope: Scope) -> pd.DataFrame:
    """Every group against all other deals of its dimension, in the present cohort; `alike`: the correlation of a deal's
    stays in two stages.

    Returns
    -------
    DataFrame
        dimension, group, n, rate, rate_others (Estimate or None: share won by `age_days`), age_days, change (Estimate),
        p_won, pace (Estimate or None: its time in a stage in the others', 1 is alike), p_pace; the p adjusted for all
        comparisons of their kind (Holm: some groups do differ, and a claim about another is wrong if it is wrong).
    """
    now = lives[(lives["cohort"] == "now") & (lives["dimension"] != "group")]
    # What is blank is often blank because of what became of the deal, so it is on neither side.
    now, stays = now[now["group"].notna()], stays[stays["group"].notna()]
    rows, known_dimensions = [], set(now["dimension"].unique())
    known_dimensions -= set() if scope.valued else {"size"}
    for dimension in [one for one in crm.DIMENSIONS if one in known_dimensions]:
        mine, visits = now[now["dimension"] == dimension], stays[stays["dimension"] == dimension]
        sizes = mine.groupby("group")["n"].sum().sort_values(ascending=False, kind="stable")
        known = (sizes >= scope.min_deals) & (sizes.sum() - sizes >= scope.min_deals)
        groups = list(sizes[known].index[:MOST_GROUPS])
        groups = groups[:1] if len(groups) == len(sizes) == 2 else groups  # of two, one says it all
        paces = _paces(visits, groups, alike, scope)
        for group in groups:
            row = {"dimension": dimension, "group": group, "n": int(sizes[group])}
            rows.append(row | _won(mine, group, scope) | paces[group])
    columns = ["dimension", "group", "n", "rate", "rate_others", "age_days", "change", "p_won", "pace", "p_pace"]
    table = pd.DataFrame(rows, columns=columns)
    for name in ("p_won", "p_pace"):
        tested = table[name].notna()
        table.loc[tested, name] = stats.adjust_for_any(table.loc[tested, name])
    return table


def _won(table: pd.DataFrame, group: str, scope: Scope) -> dict:
    """The share won of a group and of the others, at one age."""
    sides = [table[table["group"] == group], table[table["group"] != group]]
    watched = [watch(side, WON, scope) for side in sides]
    nothing = {"rate": None, "rate_others": None, "age_days": np.nan, "change": None, "p_won": np.nan}
    if any(one["watched"] is None for one in watched):
        return nothing
    age = min(one["age_days"] for one in watched)
    rates = [one["watched"].at(age * DAY_HOURS) for one in watched]
    p = p_of_change(*(one["watched"] for one in watched), age)
    change = stats.difference(*rates)
    return {"rate": rates[0], "rate_others": rates[1], "age_days": age, "change": change, "p_won": p}


def _paces(table: pd.DataFrame, groups: list[str], alike: Correlations, scope: Scope) -> dict[str, dict]:
    """How many times as long as the others' each group's stays take: the ratio of Kaplan-Meier medians, stage by stage,
    averaged in logarithms by their precision. Two stages' medians are as correlated as a deal's stays in them are, by
    the deals that were in both."""
    found: dict[str, list[tuple]] = {group: [] for group in groups}
    for stage, part in table.groupby("stage"):
        ages, place = np.unique(part["age"].to_numpy(), return_inverse=True)
        code = pd.Index(groups).get_indexer(part["group"])
        sums = {}
        for name in ("n_ended", "n_open"):
            sums[name] = np.zeros((len(groups) + 1, len(ages)))
            np.add.at(sums[name], (code, place), part[name].to_numpy())  # the last row: groups that are not shown
        ended, opened = (np.vstack([x[:-1], x.sum(axis=0) - x[:-1]]) for x in sums.values())
        n = (ended + opened).sum(axis=1)
        value, low, high = stats.medians(ages, ended, opened)
        usable = (n >= max(scope.min_deals, LEAST_STAYS)) & (low > 0) & (low < high) & np.isfinite(high)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs, spread = np.log(value), (np.log(high) - np.log(low)) / (2 * _Z)
        for k, group in enumerate(groups):
            rest = k + len(groups)
            if usable[k] and usable[rest]:
                found[group].append((stage, logs[k] - logs[rest], float(np.hypot(spread[k], spread[rest])), int(n[k])))
    return {group: _pooled(one, alike) for group, one in found.items()}


def _pooled(found: list[tuple], alike: Correlations) -> dict:
    """The ratio over all stages, from stage, logarithm of the ratio, its spread and how many stays."""
    if not found:
        return {"pace": None, "p_pace": np.nan}
    stages, logs, spreads, n = ([one[k] for one in found] for k in range(4))
    spreads = np.array(spreads)
    weight = spreads**-2 / (spreads**-2).sum()
    pairs = [[_shared(a, b, alike) * np.sqrt(min(x, y) / max(x, y)) for b, y in zip(stages, n, strict=True)]
             for a, x in zip(stages, n, strict=True)]  # fmt: skip
    value, se = float(weight @ logs), float(np.sqrt((weight * spreads) @ np.array(pairs) @ (weight * spreads)))
    pace = Estimate(*(float(np.exp(value + z * se)) for z in (0, -_Z, _Z)), int(sum(n)))
    return {"pace": pace, "p_pace": float(2 * norm.sf(abs(value) / se))}


def _shared(one: str, other: str, alike: Correlations) -> float:
    return 1.0 if one == other else alike.get(frozenset((one, other)), 0.0)
