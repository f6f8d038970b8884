"""The hygiene's numbers: counts of the engine become scores, and a list of what to mend."""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, stats
from salesops.crm import duplicates, rules
from salesops.crm.rules import OPEN, Day
from salesops.hygiene import cost, fixes
from salesops.hygiene import months as months_
from salesops.hygiene.params import Params
from salesops.stats import Estimate

NOBODY = ""  # the rep of deals that have none


class Hygiene(NamedTuple):
    """Everything the page needs, as small frames; amounts in whole units of the currency, scores from 0 to 1.

    asked : rule that counts -> whether the source has what it asks about.
    never : required fields that the source does not have at all.
    rules : rule, weight, n_asked, n_broken, share (Estimate or None: of those asked), amount (of the open ones).
    score : 1 less the weight of what is broken in the weight of what was asked; None where nothing was.
    clean : Estimate of the share of deals that break no rule, or None.
    reps : rep_id, name, team, n, n_broken, score, share, amount, doubtful, p_adjusted (share against all others').
    teams : team, n, n_broken, score, share, amount, doubtful.
    months : month_on, score, n; only the rules that can be asked of every one of these days.
    past : those rules.
    pipeline, doubtful : amount of the open deals, of those that break a rule of `DOUBT`; None where none is known.
    n_open, n_doubtful : how many deals these are.
    costs : what the mess leaves open of each headline number; see `cost.ranges`.
    fixes : what to mend, the most important first; see `fixes.listed`.
    n_deals, n_fixes : how many deals were looked at, and break a rule.
    n_not_compared : open deals of accounts with too many to look for duplicates.
    """

    asked: dict[str, bool]
    never: list[str]
    rules: pd.DataFrame
    score: float | None
    clean: Estimate | None
    reps: pd.DataFrame
    teams: pd.DataFrame
    months: pd.DataFrame
    past: list[str]
    pipeline: float | None
    doubtful: float | None
    n_open: int
    n_doubtful: int
    costs: list[cost.Range]
    fixes: pd.DataFrame
    n_deals: int
    n_fixes: int
    n_not_compared: int


def measure(book: crm.Book, params: Params) -> Hygiene:
    """How clean the records of a book are, and what to mend.

    Raises
    ------
    ValueError
        If no rule counts or can be asked of the source, or no deal is open or was closed in the period.
    """
    can = rules.askable(book, params)
    asked = {rule: can[rule] for rule in params.weights}
    if params.rep and not book.deals.filter(_.rep_id == params.rep).count().execute():
        owners = (
            book.deals.filter(_.rep_id.notnull()).select("rep_id").distinct().order_by("rep_id").limit(20).execute()
        )
        raise ValueError(f"rep {params.rep!r} owns no deal; among those who do: {', '.join(owners['rep_id'])}")
    if not any(asked.values()):
        raise ValueError(
            "no rule can be asked: all weights are zero, or the source has none of what the rules ask about"
        )
    copies = duplicates.find(book, params.similarity) if can["duplicate"] else duplicates.Copies({}, 0)
    rows = _now(book, params, copies)
    counts = _counts(rows, asked)
    if not counts["n"].sum():
        raise ValueError(f"no deal is open at the end of {book.as_of}, or was closed in the period before it")
    by_rule = _by_rule(counts, params, book.minor_units)
    reps = _reps(counts, params, book)
    total = _totals(counts, params, book.minor_units)
    past, months = months_.scores(book, params)
    return Hygiene(
        asked=asked,
        never=[one for one in params.required_fields if one not in rules.required(book, params)],
        rules=by_rule,
        score=total["score"],
        clean=total["clean"],
        reps=reps,
        teams=_teams(counts, params, book),
        months=months,
        past=past,
        pipeline=total["amount"],
        doubtful=total["doubtful"],
        n_open=int(counts["n_open"].sum()),
        n_doubtful=int(counts["n_doubtful"].sum()),
        costs=cost.ranges(book, params, rows),
        fixes=fixes.listed(book, params, rows, most=params.listed),
        n_deals=int(counts["n"].sum()),
        n_fixes=int(counts["n_broken"].sum()),
        n_not_compared=copies.n_left_out,
    )


def broken(book: crm.Book, params: Params) -> pd.DataFrame:
    """What to mend, all of it; see `fixes.listed`."""
    can = rules.askable(book, params)["duplicate"]
    copies = duplicates.find(book, params.similarity) if can else duplicates.Copies({}, 0)
    return fixes.listed(book, params, _now(book, params, copies), most=None)


def _now(book: crm.Book, params: Params, copies: duplicates.Copies) -> ibis.Table:
    """The rows of the last day, with `score` (weight broken), `asked` (weight asked) and `doubt`."""
    day = Day(book.as_of, min(params.reported.first_on, book.as_of))
    rows = rules.facts(book, params, [day], copies.of)
    if params.rep:
        rows = rows.filter(rows.rep_id == params.rep)
    return rules.weighed(rows, params).cache()


def _counts(rows: ibis.Table, asked: dict[str, bool]) -> pd.DataFrame:
    """One row per rep: how many deals, and for each rule how many it was asked of and how many break it."""
    open_ = rows.status == OPEN
    amount = rows.amount_minor.cast("float64")
    sums = {
        "n": rows.count(),
        "n_open": open_.sum(),
        "n_broken": (rows.lost > 0).sum(),
        "n_doubtful": (open_ & rows.doubt).sum(),
        "n_amount": (open_ & rows.amount_minor.notnull()).sum(),
        "amount": amount.sum(where=open_),
        "doubtful": amount.sum(where=open_ & rows.doubt),
        "lost": rows.lost.sum(),
        "weighed": rows.weighed.sum(),
    }
    for rule, can in asked.items():
        if can:
            sums |= {
                f"n_asked {rule}": rows[rule].count(),
                f"n_broken {rule}": rows[rule].fill_null(False).sum(),
                f"amount {rule}": amount.sum(where=open_ & rows[rule].fill_null(False)),
            }
    counted = rows.group_by(rep_id=rows.rep_id.coalesce(NOBODY)).agg(**sums).order_by("rep_id").execute()
    return counted.fillna(dict.fromkeys([name for name in counted if name != "rep_id"], 0))


def _by_rule(counts: pd.DataFrame, params: Params, minor_units: int) -> pd.DataFrame:
    found, known = [], counts["n_amount"].sum() > 0
    for rule, weight in params.weights.items():
        if f"n_asked {rule}" not in counts:
            continue
        n_asked, n_broken = (int(counts[f"{name} {rule}"].sum()) for name in ("n_asked", "n_broken"))
        share = stats.wilson(n_broken, n_asked) if n_asked >= params.min_deals else None
        amount = float(counts[f"amount {rule}"].sum()) / minor_units if known else np.nan
        found.append((rule, weight, n_asked, n_broken, share, amount))
    columns = ["rule", "weight", "n_asked", "n_broken", "share", "amount"]
    return pd.DataFrame(found, columns=columns).sort_values(
        "n_broken", ascending=False, kind="stable", ignore_index=True
    )


def _totals(part: pd.DataFrame, params: Params, minor_units: int) -> dict:
    """Of some reps together: n, n_broken, score, clean, share, amount, doubtful."""
    n, n_broken, weighed = (int(part[name].sum()) for name in ("n", "n_broken", "weighed"))
    known = part["n_amount"].sum() > 0
    enough = n >= params.min_deals
    return {
        "n": n,
        "n_broken": n_broken,
        "score": 1 - part["lost"].sum() / weighed if weighed and enough else None,
        "clean": stats.wilson(n - n_broken, n) if enough else None,
        "share": stats.wilson(n_broken, n) if enough else None,
        "amount": part["amount"].sum() / minor_units if known else None,
        "doubtful": part["doubtful"].sum() / minor_units if known else None,
    }


def _named(counts: pd.DataFrame, book: crm.Book) -> pd.DataFrame:
    """Counts with the name and the team of each rep, blank where not known."""
    people = book.reps.select("rep_id", "name", "team").execute().drop_duplicates("rep_id")
    return counts.merge(people, on="rep_id", how="left").fillna({"name": "", "team": ""})


def _reps(counts: pd.DataFrame, params: Params, book: crm.Book) -> pd.DataFrame:
    """One row per rep, the lowest score first; whether the share of deals that break a rule is unlike all others'."""
    named, rows = _named(counts, book), []
    n_all, broken_all = int(counts["n"].sum()), int(counts["n_broken"].sum())
    for row in range(len(named)):
        part = named.iloc[row : row + 1]
        total = _totals(part, params, book.minor_units)
        others = (broken_all - total["n_broken"], n_all - total["n"])
        p = np.nan
        if part["rep_id"].item() != NOBODY and total["share"] is not None and others[1] >= params.min_deals:
            p = stats.p_of_equal_rates((total["n_broken"], total["n"]), others)
        rows.append(
            {"rep_id": part["rep_id"].item(), "name": part["name"].item(), "team": part["team"].item(), **total, "p": p}
        )
    table = pd.DataFrame(rows).drop(columns="clean")
    tested = table["p"].notna()
    table["p_adjusted"] = np.nan
    table.loc[tested, "p_adjusted"] = stats.adjust_for_many(table.loc[tested, "p"])
    by = [table["score"].isna(), table["score"].astype(float), table["rep_id"]]
    return table.iloc[np.lexsort(by[::-1])].reset_index(drop=True)


def _teams(counts: pd.DataFrame, params: Params, book: crm.Book) -> pd.DataFrame:
    named = _named(counts, book)
    rows = [
        {"team": team, **_totals(part, params, book.minor_units)} for team, part in named.groupby("team", sort=True)
    ]
    table = pd.DataFrame(rows).drop(columns="clean")
    by = [table["score"].isna(), table["score"].astype(float), table["team"]]
    return table.iloc[np.lexsort(by[::-1])].reset_index(drop=True)
