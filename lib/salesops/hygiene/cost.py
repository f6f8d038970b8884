"""What the mess costs: each headline number as the range it can take under the missing and doubtful records.

Worst-case bounds, without any assumption on why a value is missing (Manski (2003), Partial Identification of
Probability Distributions, chapters 1 and 2). What is not known of an amount is that it lies between the smallest and
the largest one known in its pipeline. The range is not an interval of chance: more data of the same kind do not narrow
it, only mended records do.
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.hygiene.params import Params
from salesops.hygiene.rules import OPEN

HOUR = 3600
DAY_HOURS = 24


class Range(NamedTuple):
    """A number as it is printed, the least and the most it can be, and how many records leave that open.

    `kind` is share, money (whole units), days or count. `printed` is None where it cannot be computed, `low` and
    `high` where nothing bounds it. `n` is how many deals the printed number rests on, `why` says which records are
    doubtful: undated, neglected, no_amount, doubt, copies, no_creation, before_created -> how many.
    """

    name: str
    kind: str
    printed: float | None
    low: float | None
    high: float | None
    n: int
    why: dict[str, int]

    @property
    def is_sure(self) -> bool:
        return not any(self.why.values())


def ranges(book: crm.Book, params: Params, rows: ibis.Table) -> list[Range]:
    """The range of each headline number of the period.

    Parameters
    ----------
    rows : the deals of the last day, of `rules.facts`, with `doubt`.
    """
    closed = _closed(book, params)
    open_ = _open(rows, book.minor_units)
    neglected = open_[open_["neglected"]]
    return [
        _win_rate(closed, neglected),
        _won_amount(closed, neglected),
        _average_won(closed),
        _pipeline(open_),
        _cycle(book, params, closed),
        _created(book, params, rows),
    ]


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
    """pipeline, neglected, other, n, n_amount, n_blank (of those that need one), total, least, most of open deals."""
    flags = {
        name: rows[name].fill_null(False) for name in ("close_past", "untouched", "no_amount") if name in rows.columns
    }
    neglected = (
        flags["close_past"] & flags["untouched"] if {"close_past", "untouched"} <= set(flags) else ibis.literal(False)
    )
    needs = flags.get("no_amount", ibis.literal(False))
    open_ = rows.filter(_.status == OPEN).mutate(pipeline=_.pipeline.coalesce(""), known=_.amount_minor > 0)
    open_ = open_.mutate(neglected=neglected, needs=needs, other=rows.doubt & ~needs)
    sums = open_.group_by("pipeline", "neglected", "other").agg(
        n=_.count(),
        n_amount=_.known.fill_null(False).sum(),
        n_blank=_.needs.sum(),
        total=_.amount_minor.sum(where=_.known),
    )
    return _with_limits(sums.execute(), _limits(open_.filter(_.known)), minor_units)


def _limits(known: ibis.Table) -> pd.DataFrame:
    amounts = known.group_by(pipeline=_.pipeline.coalesce("")).agg(
        least=_.amount_minor.min(), most=_.amount_minor.max()
    )
    return amounts.execute()


def _with_limits(sums: pd.DataFrame, limits: pd.DataFrame, minor_units: int) -> pd.DataFrame:
    table = sums.merge(limits, on="pipeline", how="left").fillna({"total": 0})
    for name in ("total", "least", "most"):
        table[name] = table[name].astype("float64") / minor_units
    return table


def _number(table: pd.DataFrame, column: str = "n") -> int:
    return int(table[column].sum())


def _missing(table: pd.DataFrame, limit: str, column: str | None = None) -> float:
    """What the amounts that are missing come to, each at a limit; infinite or nothing where there is no limit."""
    n = table[column] if column else table["n"] - table["n_amount"]
    if (table.loc[n > 0, "most"].isna()).any():
        return np.inf if limit == "most" else 0.0
    return float((n * table[limit]).where(n > 0, 0.0).sum())


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _win_rate(closed: pd.DataFrame, neglected: pd.DataFrame) -> Range:
    won, lost = (_number(closed[(closed["status"] == kind) & closed["dated"]]) for kind in ("won", "lost"))
    late_won, late_lost = (_number(closed[(closed["status"] == kind) & ~closed["dated"]]) for kind in ("won", "lost"))
    ended = _number(neglected)
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


def _won_amount(closed: pd.DataFrame, neglected: pd.DataFrame) -> Range:
    won = closed[closed["status"] == "won"]
    dated, undated = won[won["dated"]], won[~won["dated"]]
    printed = float(dated["total"].sum())
    maybe = sum(part["total"].sum() + _missing(part, "most") for part in (undated, neglected))
    return Range(
        "won_amount",
        "money",
        printed if _number(dated, "n_amount") else None,
        printed + _missing(dated, "least"),
        _finite(printed + _missing(dated, "most") + maybe),
        _number(dated, "n_amount"),
        {
            "no_amount": _number(dated) - _number(dated, "n_amount"),
            "undated": _number(undated),
            "neglected": _number(neglected),
        },
    )


def _average_won(closed: pd.DataFrame) -> Range:
    won = closed[(closed["status"] == "won") & closed["dated"]]
    n, n_known, total = _number(won), _number(won, "n_amount"), float(won["total"].sum())
    return Range(
        "average_won",
        "money",
        total / n_known if n_known else None,
        (total + _missing(won, "least")) / n if n else None,
        _finite((total + _missing(won, "most")) / n) if n else None,
        n_known,
        {"no_amount": n - n_known},
    )


def _pipeline(open_: pd.DataFrame) -> Range:
    sure = open_[~open_["other"]]
    total = float(open_["total"].sum())
    return Range(
        "pipeline",
        "money",
        total if _number(open_, "n_amount") else None,
        float(sure["total"].sum()) + _missing(sure, "least", "n_blank"),
        _finite(total + _missing(open_, "most", "n_blank")),
        _number(open_, "n_amount"),
        {"doubt": _number(open_) - _number(sure), "no_amount": _number(open_, "n_blank")},
    )


def _cycle(book: crm.Book, params: Params, closed: pd.DataFrame) -> Range:
    """Median days from creation to closing of the deals won in the period; those of which it cannot be known may lie
    on either side of all others."""
    deals, (begin, cut) = _mine(book, params), _span(book, params)
    won = deals.filter(_.status == "won", _.closed_at >= begin, _.closed_at < cut)
    hours = (won.closed_at.epoch_seconds() - won.created_at.epoch_seconds()) // HOUR
    counted = won.select(hours=hours).group_by("hours").agg(n=_.count()).order_by("hours").execute()
    known = counted[counted["hours"] >= 0]
    unknown = int(counted["n"].sum()) - int(known["n"].sum())
    before = int(counted.loc[counted["hours"] < 0, "n"].sum())
    ages, n = np.repeat(known["hours"].to_numpy(dtype=float), known["n"].to_numpy(dtype=int)), int(known["n"].sum())
    n_late = _number(closed[(closed["status"] == "won") & ~closed["dated"]])
    doubtful = unknown + n_late
    low, high = (np.concatenate([ages, np.full(doubtful, edge)]) for edge in (0.0, np.inf))
    return Range(
        "cycle",
        "days",
        float(np.median(ages)) / DAY_HOURS if n else None,
        float(np.median(low)) / DAY_HOURS if n + doubtful else None,
        _finite(float(np.median(high)) / DAY_HOURS) if n + doubtful else None,
        n,
        {"before_created": before, "no_creation": unknown - before, "undated": n_late},
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
