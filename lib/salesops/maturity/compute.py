"""The numbers of maturity: evidence from the data, and the stage that it adds up to."""

import datetime as dt
import difflib
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.crm import duplicates, rules
from salesops.maturity import stages as stages_
from salesops.maturity.params import Params
from salesops.maturity.stages import STAGES, Stages
from salesops.stats import Estimate

YEAR_DAYS, LEAST_DAYS = 365, 180
WEEKS = 4  # before the end of a quarter, at which its calls are looked at
TABLES = ("changes", "quotas", "forecast_calls", "leads", "activities", "revenue")  # what is measured at all


class Evidence(NamedTuple):
    """One evidence. value : None where it is not known (why). low, high : limits of a share, NaN where not counted.
    n : cases. stage : 0 early, 1 efficiency, 2 scale; None where not known."""

    name: str
    value: Estimate | None
    why: str
    stage: int | None


class Maturity(NamedTuple):
    """evidence : each of the file's. stage : 0, 1, 2, the highest that enough of the evidence has reached; None of too
    little evidence. share : of the known evidence that has reached each stage. missing : tables that the source lacks.
    """

    evidence: list[Evidence]
    stage: int | None
    share: list[float]
    missing: list[str]
    asked: Stages
    needed_share: float
    months: periods.Period
    currency: str
    as_of: dt.date


def measure(book: crm.Book, params: Params) -> Maturity:
    """The stage of the organisation.

    Raises
    ------
    BadInput
        If the stages or the rules of hygiene cannot be used.
    ValueError
        If nothing of the period is known.
    """
    book.check_covers(params.reported)
    asked = stages_.read(params.file("stages"))
    months = periods.trailing(params.reported, params.months)
    found = {
        "forecast_error": _forecast_error, "hygiene": _hygiene, "discipline": _discipline,
        "concentration": _concentration, "spread": _spread, "mix": _mix, "volume": _volume, "measured": _measured,
    }  # fmt: skip
    evidence = []
    for name, band in asked.evidence.items():
        value, why = found[name](book, params, months)
        evidence.append(Evidence(name, value, why, None if value is None else band.stage(value.value)))
    known = [one.stage for one in evidence if one.stage is not None]
    share = [float(np.mean([stage >= k for stage in known])) if known else 0.0 for k in range(len(STAGES))]
    stage = None
    if len(known) >= 3:
        stage = max(k for k in range(len(STAGES)) if all(share[j] >= params.needed_share for j in range(1, k + 1)))
    missing = [name for name in TABLES if not book.has(name)]
    return Maturity(evidence, stage, share, missing, asked, params.needed_share, months, book.currency, book.as_of)


def _span(book: crm.Book, months: periods.Period) -> tuple:
    return periods.start_of(months.first_on, book.time_zone), periods.end_of(months.last_on, book.time_zone)


def _won(book: crm.Book, months: periods.Period) -> ibis.Table:
    begin, end = _span(book, months)
    return book.credited.filter(_.status == "won", _.closed_at >= begin, _.closed_at < end)


def _quarters(book: crm.Book, months: periods.Period) -> pd.DataFrame:
    """rep_id, period, first_on, last_on, quota, booked of the quarters in the months that have ended."""
    rows = book.quotas.filter(_.kind.isnull() | (_.kind == "bookings"))
    table = rows.group_by("rep_id", "period").agg(quota=_.amount_minor.sum()).order_by("period", "rep_id").execute()
    spans = {name: periods.parse(name) for name in table["period"].unique()}
    kept = [name for name, one in spans.items() if one.n_months == 3 and one.first_on >= months.first_on
            and one.last_on <= min(months.last_on, book.as_of)]  # fmt: skip
    parts = []
    for name in kept:
        won = _won(book, spans[name]).filter(_.rep_id.notnull()).group_by("rep_id").agg(booked=_.amount_minor.sum())
        parts.append(table[table["period"] == name].merge(won.execute(), on="rep_id", how="left"))
    made = pd.concat(parts, ignore_index=True) if parts else table.head(0).assign(booked=0)
    return made.assign(booked=made["booked"].fillna(0), last_on=[spans[name].last_on for name in made["period"]])


def _forecast_error(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """WAPE of the reps' calls four weeks before the quarters' ends."""
    if not book.has("forecast_calls") or not book.has("quotas"):
        return None, "no_calls"
    table = _quarters(book, months)
    called = book.forecast_calls.filter(_.category.isnull() | (_.category == "commit"))
    parts = []
    for (period, last_on), own in table.groupby(["period", "last_on"]):
        cut = periods.end_of(periods.days_after(last_on, -7 * WEEKS), book.time_zone)
        last = called.filter(_.period == period, _.called_at < cut)
        last = last.group_by("rep_id").agg(called=_.amount_minor.argmax(_.called_at)).execute()
        parts.append(own.merge(last, on="rep_id"))
    both = pd.concat(parts) if parts else table.assign(called=0).head(0)
    if len(both) < params.min_cases or not both["booked"].sum():
        return None, "too_few"
    error = float((both["called"] - both["booked"]).abs().sum() / both["booked"].sum())
    return Estimate(error, np.nan, np.nan, len(both)), ""


def _hygiene(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """The hygiene score of the last day, as the page of hygiene has it."""
    wanted = rules.read_rules(params.file("rules"))
    can = rules.askable(book, wanted)
    if not any(can[rule] for rule in wanted.weights):
        return None, "too_few"
    copies = duplicates.find(book, wanted.similarity).of if can["duplicate"] else {}
    last = min(months.last_on, book.as_of)
    facts = rules.facts(book, wanted, [rules.Day(last, last.replace(day=1))], copies)
    sums = rules.weighed(facts, wanted).agg(lost=_.lost.sum(), asked=_.weighed.sum(), n=_.count()).execute().iloc[0]
    if not sums["asked"] or sums["n"] < params.min_cases:
        return None, "too_few"
    return Estimate(1 - float(sums["lost"] / sums["asked"]), np.nan, np.nan, int(sums["n"])), ""


def _discipline(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """Closed deals that skipped no stage, did not move back and were not re-opened."""
    if book.about["history"] != "changes":
        return None, "no_log"
    begin, end = _span(book, months)
    closed = book.deals.filter(_.status != "open", _.closed_at >= begin, _.closed_at < end).select("deal_id")
    off = book.visits.filter(_.entry_kind.isin(["skip", "back", "reopen"])).select("deal_id").distinct()
    n, n_off = int(closed.count().execute()), int(closed.semi_join(off, "deal_id").count().execute())
    return (stats.wilson(n - n_off, n), "") if n >= params.min_cases else (None, "too_few")


def _concentration(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """Share of bookings that the ten largest customers bring."""
    won = _won(book, months).filter(_.account_id.notnull(), _.amount_minor > 0)
    sums = won.group_by("account_id").agg(amount=_.amount_minor.sum())
    n = int(sums.count().execute())
    if n < params.min_cases:
        return None, "too_few"
    top = sums.order_by(_.amount.desc()).limit(10).execute()["amount"].sum()
    return Estimate(float(top / sums.amount.sum().execute()), np.nan, np.nan, n), ""


def _spread(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """P75 over P25 of the reps' attainment over the quarters: how much hangs on who sells."""
    if not book.has("quotas"):
        return None, "no_quotas"
    sums = _quarters(book, months).groupby("rep_id")[["quota", "booked"]].sum()
    shares = (sums["booked"] / sums["quota"].where(sums["quota"] > 0)).dropna()
    low, high = (float(shares.quantile(one)) for one in (0.25, 0.75)) if len(shares) else (0.0, 0.0)
    if len(shares) < params.min_cases or low <= 0:
        return None, "too_few"
    return Estimate(high / low, np.nan, np.nan, len(shares)), ""


def _mix(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """How much of the planned mix of products was sold: the part of sales that follows it."""
    if not params.mix:
        return None, "no_plan"
    won = _won(book, months).filter(_.amount_minor > 0)
    sums = won.group_by("product").agg(amount=_.amount_minor.sum(), n=_.count()).execute()
    if sums["n"].sum() < params.min_cases:
        return None, "too_few"
    _check_names(book, params.mix)
    sold = dict(zip(sums["product"], sums["amount"] / sums["amount"].sum(), strict=True))
    return Estimate(float(sum(min(sold.get(name, 0.0), share) for name, share in params.mix.items())), np.nan, np.nan,
                    int(sums["n"].sum())), ""  # fmt: skip


def _check_names(book: crm.Book, mix: dict[str, float]) -> None:
    """Refuse a planned product that is no product of the source and is written much like one."""
    names = book.deals.filter(_.product.notnull()).select("product").distinct().execute()["product"].tolist()
    wrong = {
        name: near[0] for name in mix if name not in names and (near := difflib.get_close_matches(name, names, n=1))
    }
    if wrong:
        said = "; ".join(f"{name!r}, did you mean {near!r}?" for name, near in wrong.items())
        raise ValueError(f"planned_mix: no product of the source: {said}")


def _volume(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:
    """Bookings of a year; whole units."""
    won = _won(book, months)
    n = int(won.count().execute())
    if n < params.min_cases or "amount_minor" not in book.about["filled"]["deals"]:
        return None, "too_few"
    begins = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    known = (min(months.last_on, book.as_of) - max(months.first_on, begins)).days + 1
    if known < LEAST_DAYS:
        return None, "too_few"
    whole = float(won.amount_minor.sum().execute()) / book.minor_units
    return Estimate(whole * YEAR_DAYS / known, np.nan, np.nan, n), ""


def _measured(book: crm.Book, params: Params, months: periods.Period) -> tuple[Estimate | None, str]:  # noqa: ARG001
    """How many of the tables that management rests on the source has."""
    n = sum(book.has(name) for name in TABLES)
    return Estimate(n / len(TABLES), np.nan, np.nan, len(TABLES)), ""
