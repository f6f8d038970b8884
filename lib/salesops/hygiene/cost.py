"""What the mess costs: each headline number as the range it can take under the missing and doubtful records.

Worst-case bounds, without any assumption on why a value is missing (Manski (2003), Partial Identification of
Probability Distributions, chapters 1 and 2). What is known of a missing amount is that it lies between the smallest and
the largest one of its pipeline, if two or more are there. The range is not an interval of chance: more data of the same
kind do not narrow it, only mended records do.
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.crm.rules import DOUBT, OPEN
from salesops.hygiene.params import Params

HOUR = 3600
DAY_HOURS = 24
LEAST_KNOWN = 2  # amounts of a pipeline; of one alone nothing is known of how they differ


class Range(NamedTuple):
    """A number as it is printed, the least and the most it can be, and how many records leave that open.

    `kind` is share, money (whole units), days or count. `printed` is None where it cannot be computed, `low` and
    `high` where nothing bounds it. `n` is how many deals the printed number rests on, `why` says which records are
    doubtful: undated, neglected, no_amount, doubt, copies, no_creation, before_created -> how many. `unasked` are the
    rules that might have found more and cannot be asked of the source.
    """

    name: str
    kind: str
    printed: float | None
    low: float | None
    high: float | None
    n: int
    why: dict[str, int]
    unasked: tuple[str, ...] = ()


def ranges(book: crm.Book, params: Params, rows: ibis.Table) -> list[Range]:
    """The range of each headline number of the period.

    Parameters
    ----------
    rows : the deals of the last day, of `rules.facts`, with `other`.
    """
    closed = _closed(book, params)
    open_ = _open(rows, book.minor_units)
    maybe = _maybe_won(book, params, rows)
    missing = [rule for rule in DOUBT if rule not in rows.columns]
    ended = tuple(rule for rule in ("close_past", "untouched") if rule in missing)
    found = [
        _win_rate(closed, maybe)._replace(unasked=ended),
        _won_amount(closed, maybe)._replace(unasked=ended),
        _average_won(closed, maybe)._replace(unasked=ended),
        _pipeline(open_)._replace(unasked=tuple(rule for rule in missing if rule != "no_amount")),
        _cycle(book, params, maybe)._replace(unasked=ended),
        _created(book, params, rows)._replace(unasked=tuple(rule for rule in missing if rule == "duplicate")),
    ]
    return found


def _span(book: crm.Book, params: Params) -> tuple:
    return periods.start_of(params.reported.first_on, book.time_zone), book.cut


def _mine(book: crm.Book, params: Params) -> ibis.Table:
    return book.deals.filter(_.rep_id == params.rep) if params.rep else book.deals


def _closed(book: crm.Book, params: Params) -> pd.DataFrame:
    """status, dated, pipeline, n, n_amount, total, and least and most of the known amounts of won deals there."""
    deals, (begin, cut) = _mine(book, params), _span(book, params)
    deals = deals.filter(_.status != OPEN, _.closed_at.isnull() | ((_.closed_at >= begin) & (_.closed_at < cut)))
    deals = deals.mutate(dated=_.closed_at.notnull(), pipeline=_.pipeline.coalesce(""), known=_.amount_minor > 0)
    sums = deals.group_by("status", "dated", "pipeline").agg(
        n=_.count(), n_amount=_.known.fill_null(False).sum(), total=_.amount_minor.sum(where=_.known)
    )
    known = book.deals.filter(_.status == "won", _.amount_minor > 0)
    return _with_limits(sums.execute(), _limits(known), book.minor_units)


def _open(rows: ibis.Table, minor_units: int) -> pd.DataFrame:
    """pipeline, other, n, n_amount, total, least, most of open deals; `other`: in doubt, but for a missing amount."""
    open_ = rows.filter(_.status == OPEN).mutate(pipeline=_.pipeline.coalesce(""), known=_.amount_minor > 0)
    sums = open_.group_by("pipeline", "other").agg(
        n=_.count(), n_amount=_.known.fill_null(False).sum(), total=_.amount_minor.sum(where=_.known)
    )
    return _with_limits(sums.execute(), _limits(open_.filter(_.known)), minor_units)


def _maybe_won(book: crm.Book, params: Params, rows: ibis.Table) -> pd.DataFrame:
    """The deals that may have been won in the period without its being known: why, least, most (of their amount).

    Those won on a day not known, and the neglected: open, past their closing day and untouched.
    """
    parts = [
        _mine(book, params).filter(_.status == "won", _.closed_at.isnull()).mutate(why=ibis.literal("undated")),
    ]
    if {"close_past", "untouched"} <= set(rows.columns):
        neglected = rows.filter(rows.close_past.fill_null(False) & rows.untouched.fill_null(False))
        parts.append(neglected.mutate(why=ibis.literal("neglected")))
    frames = [part.select("why", "amount_minor", pipeline=part.pipeline.coalesce("")).execute() for part in parts]
    limits = _limits(book.deals.filter(_.status == "won", _.amount_minor > 0))
    table = pd.concat(frames, ignore_index=True).merge(limits, on="pipeline", how="left")
    known = table["amount_minor"].astype("float64").where(table["amount_minor"] > 0) / book.minor_units
    least, most = (table[name].astype("float64") / book.minor_units for name in ("least", "most"))
    return pd.DataFrame(
        {"why": table["why"], "least": known.fillna(least).fillna(0.0), "most": known.fillna(most).fillna(np.inf)}
    )


def _count_of(maybe: pd.DataFrame, why: str) -> int:
    return int((maybe["why"] == why).sum())


def _limits(known: ibis.Table) -> pd.DataFrame:
    amounts = known.group_by(pipeline=_.pipeline.coalesce("")).agg(
        n=_.count(), least=_.amount_minor.min(), most=_.amount_minor.max()
    )
    return amounts.filter(_.n >= LEAST_KNOWN).drop("n").execute()


def _with_limits(sums: pd.DataFrame, limits: pd.DataFrame, minor_units: int) -> pd.DataFrame:
    table = sums.merge(limits, on="pipeline", how="left").fillna({"total": 0})
    for name in ("total", "least", "most"):
        table[name] = table[name].astype("float64") / minor_units
    return table


def _number(table: pd.DataFrame, column: str = "n") -> int:
    return int(table[column].sum())


def _missing(table: pd.DataFrame, limit: str) -> float:
    """What the amounts that are missing come to, each at a limit; infinite or nothing where there is no limit."""
    n = table["n"] - table["n_amount"]
    if (table.loc[n > 0, "most"].isna()).any():
        return np.inf if limit == "most" else 0.0
    return float((n * table[limit]).where(n > 0, 0.0).sum())


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _win_rate(closed: pd.DataFrame, maybe: pd.DataFrame) -> Range:
    won, lost = (_number(closed[(closed["status"] == kind) & closed["dated"]]) for kind in ("won", "lost"))
    late_won, late_lost = (_number(closed[(closed["status"] == kind) & ~closed["dated"]]) for kind in ("won", "lost"))
    ended = _count_of(maybe, "neglected")
    least, most = won + lost + late_lost + ended, won + lost + late_won + ended
    return Range(
        "win_rate",
        "share",
        won / (won + lost) if won + lost else None,
        won / least if least else None,
        (won + late_won + ended) / most if most else None,
        won + lost,
        {"undated": late_won + late_lost, "neglected": ended},
    )


def _dated_won(closed: pd.DataFrame) -> pd.DataFrame:
    return closed[(closed["status"] == "won") & closed["dated"]]


def _why_won(won: pd.DataFrame, maybe: pd.DataFrame) -> dict[str, int]:
    counts = {why: _count_of(maybe, why) for why in ("undated", "neglected")}
    return {"no_amount": _number(won) - _number(won, "n_amount"), **counts}


def _won_amount(closed: pd.DataFrame, maybe: pd.DataFrame) -> Range:
    won = _dated_won(closed)
    printed = float(won["total"].sum())
    return Range(
        "won_amount",
        "money",
        printed if _number(won, "n_amount") else None,
        printed + _missing(won, "least"),
        _finite(printed + _missing(won, "most") + maybe["most"].sum()),
        _number(won, "n_amount"),
        _why_won(won, maybe),
    )


def _average_won(closed: pd.DataFrame, maybe: pd.DataFrame) -> Range:
    """The average is least if just those of the deals that may have been won were that bring it down; most likewise."""
    won = _dated_won(closed)
    n, n_known, total = _number(won), _number(won, "n_amount"), float(won["total"].sum())
    ends = {}
    for limit, amounts in (("least", np.sort(maybe["least"])), ("most", np.sort(maybe["most"])[::-1])):
        begin = total + _missing(won, limit)
        sums, counts = begin + np.concatenate([[0.0], np.cumsum(amounts)]), n + np.arange(len(amounts) + 1)
        averages = sums[counts > 0] / counts[counts > 0]
        ends[limit] = (averages.min() if limit == "least" else averages.max()) if len(averages) else None
    return Range(
        "average_won",
        "money",
        total / n_known if n_known else None,
        ends["least"],
        None if ends["most"] is None else _finite(ends["most"]),
        n_known,
        _why_won(won, maybe),
    )


def _pipeline(open_: pd.DataFrame) -> Range:
    sure = open_[~open_["other"]]
    total = float(open_["total"].sum())
    return Range(
        "pipeline",
        "money",
        total if _number(open_, "n_amount") else None,
        float(sure["total"].sum()) + _missing(sure, "least"),
        _finite(total + _missing(open_, "most")),
        _number(open_, "n_amount"),
        {"doubt": _number(open_) - _number(sure), "no_amount": _number(open_) - _number(open_, "n_amount")},
    )


def _cycle(book: crm.Book, params: Params, maybe: pd.DataFrame) -> Range:
    """Median days from creation to closing of the deals won in the period; those of which it cannot be known, and those
    that may have been won, may lie on either side of all others."""
    deals, (begin, cut) = _mine(book, params), _span(book, params)
    won = deals.filter(_.status == "won", _.closed_at >= begin, _.closed_at < cut)
    hours = (won.closed_at.epoch_seconds() - won.created_at.epoch_seconds()) // HOUR
    counted = won.select(hours=hours).group_by("hours").agg(n=_.count()).order_by("hours").execute()
    known = counted[counted["hours"] >= 0]
    unknown = int(counted["n"].sum()) - int(known["n"].sum())
    before = int(counted.loc[counted["hours"] < 0, "n"].sum())
    ages, n = np.repeat(known["hours"].to_numpy(dtype=float), known["n"].to_numpy(dtype=int)), int(known["n"].sum())
    doubtful = unknown + len(maybe)
    ends = [np.concatenate([ages, np.full(doubtful, edge)]) for edge in (0.0, np.inf)]
    low, high = (float(np.median(end)) / DAY_HOURS if len(end) else None for end in ends)
    return Range(
        "cycle",
        "days",
        float(np.median(ages)) / DAY_HOURS if n else None,
        low,
        None if high is None else _finite(high),
        n,
        {
            "before_created": before,
            "no_creation": unknown - before,
            "undated": _count_of(maybe, "undated"),
            "neglected": _count_of(maybe, "neglected"),
        },
    )


def _created(book: crm.Book, params: Params, rows: ibis.Table) -> Range:
    deals, (begin, cut) = _mine(book, params), _span(book, params)
    n = int(deals.filter(_.created_at >= begin, _.created_at < cut).count().execute())
    unknown = int(deals.filter(_.created_at.isnull()).count().execute())
    copies = rows.filter(_.copy_of.notnull(), _.created_at >= begin, _.created_at < cut)
    n_copies = int(copies.count().execute())
    return Range(
        "created",
        "count",
        float(n),
        float(n - n_copies),
        float(n + unknown),
        n,
        {"copies": n_copies, "no_creation": unknown},
    )
