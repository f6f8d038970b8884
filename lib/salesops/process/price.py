"""What a detour costs: deals that took it against deals that did not, of the same stage, age, amount and group.

Week by week of age a small comparison is set up: the deals open at the week's end that took the detour in that week,
and those that never had; skips and moves back by the stage at the week's beginning, the others by that at its end.
The others weigh as much in each stratum as those that took it. Both are followed from the week's end, open deals
censored.

References: Hernán, Robins (2016), American J. of Epidemiology 183, 758-764 (emulating a target trial).
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm

from salesops import crm, stats
from salesops.process.params import Params
from salesops.process.paths import DETOURS, LOST, OPEN, WON, as_of_end, detour_events
from salesops.stats import Estimate
from salesops.stats.proportions import LEVEL

WEEK, DAY = 7 * 86_400, 86_400
WEEKS = 26  # of age
LEAST_DAYS = 7  # after the detour, for anything to be said
STRATA = ["week", "group", "band", "stage"]
_Z = norm.ppf(0.5 + LEVEL / 2)


class Prices(NamedTuple):
    """table : detour, n (deals that ever took it), n_matched, won, won_others (shares within `days`), gap (Estimate),
    p_gap, more_days (Estimate: mean days longer open, within as many), p_days; p adjusted for all of them (Holm).

    n : deals looked at. days : after the end of the week.
    """

    table: pd.DataFrame
    n: int
    days: int


def measure(book: crm.Book, params: Params, deals: ibis.Table) -> Prices:
    """The price of every kind of detour that the log can tell."""
    firsts = detour_events(book, deals).cache()
    ever = firsts.group_by("kind").agg(n=_.count()).execute()
    known = dict(zip(ever["kind"], ever["n"], strict=True))
    weeks = _weeks(book, deals).cache()
    rows = []
    for kind in [one for one in DETOURS if one in known]:
        nothing = {
            "n_matched": 0,
            "won": None,
            "won_others": None,
            "gap": None,
            "p_gap": np.nan,
            "more_days": None,
            "p_days": np.nan,
        }
        row = {"detour": kind, "n": int(known[kind])} | nothing
        rows.append(
            row | (_price(weeks, firsts, kind, params, as_of_end(book)) if known[kind] >= params.min_deals else {})
        )
    columns = ["detour", "n", "n_matched", "won", "won_others", "gap", "p_gap", "more_days", "p_days", "days"]
    table = pd.DataFrame(rows, columns=columns)
    p = table[["p_gap", "p_days"]].to_numpy(dtype=float, copy=True)
    tested = ~np.isnan(p)
    p[tested] = stats.adjust_for_any(p[tested])
    table[["p_gap", "p_days"]] = p
    return Prices(table, int(deals.count().execute()), params.horizon_days)


def _weeks(book: crm.Book, deals: ibis.Table) -> ibis.Table:
    """One row per deal and week of age at whose end it is open: deal_id, week, ends (epoch seconds), before and after
    (positions of the stages at the week's beginning and end), group, band (third of the amounts), status, closed."""
    edges = [] if _amounts_tell_outcome(deals) else _thirds(deals)
    band = ibis.ifelse(
        deals.amount_minor.isnull(), -1, sum(((deals.amount_minor >= e).cast("int64") for e in edges), ibis.literal(0))
    )
    numbers = ibis.memtable({"week": list(range(1, WEEKS + 1))})
    rows = deals.mutate(band=band, group=deals.group.coalesce("")).cross_join(numbers)
    rows = rows.mutate(ends=rows.begun + rows.week * WEEK)
    rows = rows.filter(_.ends < as_of_end(book), _.closed.isnull() | (_.closed > _.ends) | (_.status == OPEN))
    visits = (
        book.own_visits.filter(_.entered_at.notnull())
        .semi_join(deals, "deal_id")
        .select(
            "deal_id",
            "position",
            "kind",
            since=_.entered_at.epoch_seconds(),
            until=_.left_at.epoch_seconds().coalesce(2**40),
        )
    )
    after = rows.join(visits, "deal_id").filter(_.since <= _.ends, _.until > _.ends, _.kind == OPEN)
    after = after.drop("since", "until", "kind").rename(after="position")
    begins = after.ends - WEEK
    open_then = visits.filter(_.kind == OPEN).select("deal_id", before="position", since2="since", until2="until")
    earlier = after.left_join(
        open_then, [after.deal_id == open_then.deal_id, open_then.since2 <= begins, open_then.until2 > begins]
    )
    return earlier.drop("deal_id_right", "since2", "until2")


def _amounts_tell_outcome(deals: ibis.Table) -> bool:
    """Whether most lost deals have no amount: then an amount says who will be won, and nobody is matched on it."""
    n, n_known = deals.filter(_.status == LOST).agg(n=_.count(), known=(_.amount_minor > 0).sum()).execute().iloc[0]
    return bool(n and 2 * (0 if pd.isna(n_known) else n_known) < n)


def _thirds(deals: ibis.Table) -> list[int]:
    """Two amounts that part the deals in thirds."""
    amounts = deals.filter(_.amount_minor > 0).group_by("amount_minor").agg(n=_.count()).execute()
    if amounts.empty:
        return []
    amounts = amounts.sort_values("amount_minor")
    upto = amounts["n"].cumsum() / amounts["n"].sum()
    return sorted({int(amounts["amount_minor"].iloc[int(np.searchsorted(upto, share))]) for share in (1 / 3, 2 / 3)})


def _price(weeks: ibis.Table, firsts: ibis.Table, kind: str, params: Params, end: int) -> dict:
    """What one kind of detour costs; empty where too few deals can be matched."""
    mine = firsts.filter(_.kind == kind).select("deal_id", "at")
    rows = weeks.left_join(mine, "deal_id").drop("deal_id_right")
    took = ((rows["at"] <= rows.ends) & (rows["at"] > rows.ends - WEEK)).fill_null(False)
    rows = rows.mutate(took=took).filter(_["at"].isnull() | (_["at"] > _.ends - WEEK))
    rows = rows.filter(_.took | _["at"].isnull() | (_["at"] > _.ends))
    if kind == "skip":  # against those that went on by one stage in the week: progress itself is not the detour
        rows = rows.filter(_.took | (_.after > _.before))
    stage = rows.before if kind in ("skip", "back") else rows.after
    rows = rows.mutate(stage=stage).filter(_.stage.notnull())
    days = ibis.greatest((rows.closed.coalesce(end) - rows.ends) // DAY, 0)
    rows = rows.select("deal_id", *STRATA, "took", outcome=_.status, age=days)
    sizes = (
        rows.group_by(*STRATA)
        .agg(n_took=_.took.sum(), n_others=(~_.took).sum())
        .filter(_.n_took > 0, _.n_others > 0)
        .execute()
    )
    n = int(sizes["n_took"].sum())
    if n < params.min_deals:
        return {"n_matched": n}
    weights = ibis.memtable(sizes.assign(weight=sizes["n_took"] / sizes["n_others"])[[*STRATA, "weight"]])
    known = rows.join(weights, STRATA)
    weight = ibis.ifelse(known.took, 1.0, known.weight)
    counted = known.group_by("took", "outcome", "age").agg(
        n=_.count(), total=weight.sum(), squares=(weight * weight).sum()
    )
    table = counted.execute()
    repeats = known.filter(~_.took).agg(n=_.count(), deals=_.deal_id.nunique()).execute().iloc[0]
    return {"n_matched": n} | _compared(
        table, float(repeats["n"] / repeats["deals"]), params.horizon_days, params.min_deals
    )


def _watched(side: pd.DataFrame, least: int) -> float:
    """The age in days up to which enough of a side were watched."""
    counted = {f"n_{end}": np.where(side["outcome"] == end, side["n"], 0) for end in (WON, LOST, OPEN)}
    curve = stats.aalen_johansen(pd.DataFrame({"age": side["age"], **counted}), {WON: "n_won", LOST: "n_lost"})
    return curve.watched_until(least)


def _compared(table: pd.DataFrame, repeats: float, days: int, least: int) -> dict:
    """The two sides; `repeats`: how often one deal is among the others, whose spread is that much larger."""
    sides = [table[table["took"]], table[~table["took"]]]
    ends = [WON, LOST]
    days = int(min(days, *(_watched(side, least) for side in sides)))
    if days < LEAST_DAYS:
        return {}
    won = [stats.weighted_se(side, ends, WON, days) for side in sides]
    opened = [stats.mean_open(side, ends, days) for side in sides]
    found = {"won": won[0][0], "won_others": won[1][0], "days": days}
    n = int(sides[0]["n"].sum())
    for name, p, (mine, others) in (("gap", "p_gap", won), ("more_days", "p_days", opened)):
        value, se = mine[0] - others[0], float(np.hypot(mine[1], others[1] * np.sqrt(repeats)))
        found[name] = Estimate(value, value - _Z * se, value + _Z * se, n)
        found[p] = float(2 * norm.sf(abs(value) / se)) if se > 0 else 1.0
    return found
