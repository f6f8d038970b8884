"""Figures that need every case of the window: medians, and times with those who still wait counted for their wait."""

from collections.abc import Mapping

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, stats
from salesops.crm.worktime import Hours, with_worked
from salesops.scorecard.around import MINUTE
from salesops.scorecard.counts import DAY
from salesops.scorecard.months import Span, until
from salesops.scorecard.params import Params
from salesops.scorecard.registry import Metric
from salesops.scorecard.series import COLUMNS
from salesops.stats import Estimate

TENTHS = 10  # of an hour


def values(metrics: Mapping[str, Metric], book: crm.Book, params: Params, months: Span) -> pd.DataFrame:
    """Metrics told for all months of the window together, of the whole book looked at: see `series.values`."""
    wanted = {metric.formula for metric in metrics.values()}
    filled, found = book.about["filled"]["deals"], {}
    first = max(months.first, months.whole - params.window + 1)
    if {"cycle_median", "cycle_censored"} & wanted and "created_at" in filled:
        ages = _ages(book, months.first_on(first), until(book, months))
        found["cycle_median"] = _median_of_won(ages["closed"])
        found["cycle_censored"] = _median_of_all(ages["created"], params.min_cases)
    here = book.as_of <= months.last_on(months.last)  # what is open is told of the last day known alone
    if "deal_size_open_median" in wanted and "amount_minor" in filled and here:
        found["deal_size_open_median"] = _open_median(book)
    if "first_response_at" in book.about["filled"]["leads"]:
        waits = _waits(book, params, months.first_on(first), until(book, months))
        found["lead_response_median"] = _quantile(waits, 0.5)
        found["lead_response_p95"] = _quantile(waits, 0.95)
    rows = []
    for key, metric in metrics.items():
        if metric.of.by == "window":
            one = found.get(metric.formula)
            if one is not None and one.n >= params.min_cases:
                rows.append((key, "company", crm.ALL, months.last, one.value, one.low, one.high, one.n))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _ages(book: crm.Book, since, before) -> dict[str, pd.DataFrame]:
    """closed : age (days), n, of deals won since a day and before a moment. created : age, outcome, n, of deals created
    then; they are watched up to the last day known."""
    begin = ibis.literal(pd.Timestamp(since))
    deals = book.deals.filter(_.created_at.notnull())
    end = int(pd.Timestamp(book.cut).timestamp())
    age = (deals.closed_at.epoch_seconds().fill_null(end) - deals.created_at.epoch_seconds()) // DAY
    rows = deals.mutate(age=age, outcome=deals.status).filter(_.age >= 0)
    won = rows.filter(_.status == "won", _.closed_at >= begin, _.closed_at < before)
    counted = lambda table, *by: table.group_by(*by).agg(n=_.count()).order_by(*by).execute()  # noqa: E731
    return {
        "closed": counted(won, "age"),
        "created": counted(rows.filter(_.created_at >= begin, _.created_at < before), "age", "outcome"),
    }


def _median_of_won(counts: pd.DataFrame) -> Estimate | None:
    """The middle one, with limits at the ranks that hold the median with 95 % (Conover 1999, section 3.2)."""
    n = int(counts["n"].sum())
    if not n:
        return None
    return Estimate(*(float(np.median(_ranked(counts, rank))) for rank in _ranks(n)), n)


def _ranks(n: int) -> list[list[int]]:
    reach = 1.96 * np.sqrt(n) / 2
    low, high = max(int(np.floor(n / 2 - reach)), 0), min(int(np.ceil(n / 2 + reach)), n - 1)
    return [[(n - 1) // 2, n // 2], [low], [high]]


def _ranked(counts: pd.DataFrame, ranks: list[int]) -> list[float]:
    upto = counts["n"].cumsum().to_numpy()
    return [float(counts["age"].iloc[int(np.searchsorted(upto, rank, side="right"))]) for rank in ranks]


def _median_of_all(counts: pd.DataFrame, least: int) -> Estimate | None:
    """Days by which half of those that will be won are, with the open ones counted for as long as they were watched:
    where the incidence of winning (Aalen-Johansen) reaches half of its height."""
    if counts["n"].sum() < least or not (counts["outcome"] == "won").any():
        return None
    table = pd.DataFrame({"age": counts["age"], **{
        f"n_{name}": np.where(counts["outcome"] == name, counts["n"], 0) for name in ("won", "lost", "open")
    }})  # fmt: skip
    curve = stats.aalen_johansen(table, {"won": "n_won", "lost": "n_lost"})
    share = np.asarray(curve.share["won"])
    at = int(np.searchsorted(share, share[-1] / 2 - 1e-12))
    n = int(counts["n"].sum())
    return Estimate(float(curve.age[at]), np.nan, np.nan, n)


def _open_median(book: crm.Book) -> Estimate | None:
    priced = book.deals.filter(_.status == "open", _.amount_minor.notnull())
    n = int(priced.count().execute())
    if not n:
        return None
    ranks = _ranks(n)
    order = ibis.row_number().over(ibis.window(order_by=priced.amount_minor))
    wanted = sorted({rank for some in ranks for rank in some})
    rows = priced.select("amount_minor", at=order).filter(_.at.isin(wanted)).order_by("at").execute()
    amounts = dict(zip(rows["at"], rows["amount_minor"], strict=True))
    return Estimate(*(float(np.mean([amounts[rank] for rank in some])) / book.minor_units for some in ranks), n)


def _waits(book: crm.Book, params: Params, since, before) -> pd.DataFrame:
    """age (tenths of a working hour), n_ended (answered), n_open (still waiting) of leads that came in since a day."""
    end = int(pd.Timestamp(book.cut).timestamp())
    leads = book.leads.filter(_.created_at >= ibis.literal(pd.Timestamp(since)), _.created_at < before)
    if params.region:
        leads = leads.filter(_.region == params.region)
    if params.team:
        leads = crm.with_assignment(book, leads, "created_at").filter(_.rep_team == params.team)
    came = leads.created_at.epoch_seconds()
    answer = ibis.greatest(leads.first_response_at.epoch_seconds().fill_null(end), came)
    rows = leads.select(came=came, until=answer, answered=leads.first_response_at.notnull()).cache()
    hours = Hours(params.work_from, params.work_to, params.calendar)
    worked = with_worked(book, rows, ("came", "until"), hours, since)
    tenth = MINUTE * 60 // TENTHS
    age = (worked.until_worked - worked.came_worked + tenth - 1) // tenth
    table = worked.select("answered", age=age).group_by("age").agg(
        n_ended=_.answered.sum(), n_open=(~_.answered).sum()
    )  # fmt: skip
    return table.order_by("age").execute()


def _quantile(waits: pd.DataFrame, share: float) -> Estimate | None:
    if waits.empty:
        return None
    found = stats.kaplan_meier(waits).quantile(share)
    if found is None or not np.isfinite(found.value):
        return None
    return Estimate(found.value / TENTHS, found.low / TENTHS, found.high / TENTHS, int(waits["n_ended"].sum()))
