"""What the engine counts for the scorecard: one pass for each table, by month, region, team and rep."""

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.scorecard import around
from salesops.scorecard.months import KEYS, Span, summed, until
from salesops.scorecard.params import Params

DAY = 86_400


def read(book: crm.Book, params: Params, months: Span) -> pd.DataFrame:
    """month, region, team, rep_id (`crm.NOT_KNOWN` where not told) and what is counted; NaN where a table is not there.

    n_won, n_lost, won, lost_amount (amounts), n_priced (won, with an amount), cycle_days, n_cycled, net, listed,
    n_listed (won, with a list price), won_new, won_again : of deals closed in the month. n_created,
    n_created_priced. n_open, open, n_open_priced, weighted, n_weighted : at its end. n_moved, n_left : stays in
    stages that ended, and ended forward. sold_seconds, n_meetings, n_absent, n_first (first meetings held with a
    deal). n_answered (in time), n_late : leads that came in. lost, asked : weight of rules. then, now, kept :
    recurring revenue a year before, of the same customers now, and of that no more than then. opening, new,
    expansion, contraction, churn : recurring revenue. Amounts in minor units.
    """
    whole = book.whole
    deals = _placed(whole)
    parts = [_closings(whole, deals, months), _creations(whole, deals, months), _open(whole, deals, months)]
    parts += [_stays(whole, deals, months)]
    if whole.has("activities"):
        parts.append(around.activities(whole, months))
    if "first_response_at" in whole.about["filled"]["leads"]:
        parts.append(around.leads(whole, params, months))
    if whole.about["history"] == "changes":
        parts.append(around.hygiene(whole, deals, params, months))
    if whole.has("revenue"):
        parts.append(around.revenue(whole, months))
    table = pd.concat([part for part in parts if part is not None], ignore_index=True)
    table = table.fillna(dict.fromkeys(KEYS[1:], crm.NOT_KNOWN))
    table = table[table["month"].between(months.first, months.last)]
    sums = table.groupby(list(KEYS), sort=True).sum(min_count=1).reset_index()
    return only(sums, params)


def only(rows: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The rows of the region and team asked for."""
    for name in ("region", "team"):
        if wanted := getattr(params, name):
            rows = rows[rows[name] == wanted]
    return rows


def _placed(book: crm.Book) -> ibis.Table:
    """Deals with their own region, and the team of their rep."""
    known = [one for one in ("region", "team") if one in crm.known_dimensions(book)]
    deals = crm.with_dimensions(book, book.deals, known)
    nothing = ibis.null("string")
    where = {one: deals[f"by_{one}"] if one in known else nothing for one in ("region", "team")}
    return deals.drop("region").mutate(**where).cache()


def _closings(book: crm.Book, deals: ibis.Table, months: Span) -> pd.DataFrame:
    closed = deals.filter(_.status != "open", _.closed_at < until(book, months))
    month = crm.month_number(closed.closed_at, book.time_zone, months.last_on(months.last))
    days = (closed.closed_at.epoch_seconds() - closed.created_at.epoch_seconds()) // DAY
    rows = closed.mutate(month=month, days=days).filter(_.month >= months.first)
    won = rows.status == "won"
    sums = {"n_won": won.sum(), "n_lost": (rows.status == "lost").sum()}
    if "amount_minor" in book.about["filled"]["deals"]:
        lost_amount = rows.amount_minor.sum(where=rows.status == "lost").fill_null(0)
        sums |= {"won": rows.amount_minor.sum(where=won).fill_null(0), "lost_amount": lost_amount,
                 "n_priced": rows.amount_minor.count(where=won)}  # fmt: skip
    if "created_at" in book.about["filled"]["deals"]:
        dated = won & (rows.days >= 0)
        sums |= {"cycle_days": rows.days.sum(where=dated).fill_null(0), "n_cycled": dated.sum()}
    if "list_amount_minor" in book.about["filled"]["deals"]:
        listed = won & (rows.list_amount_minor > 0) & rows.amount_minor.notnull()
        sums |= {"net": rows.amount_minor.sum(where=listed).fill_null(0), "n_listed": listed.sum(),
                 "listed": rows.list_amount_minor.sum(where=listed).fill_null(0)}  # fmt: skip
    if "deal_type" in book.about["filled"]["deals"]:
        fresh = won & (rows.deal_type == "new")
        again = won & rows.deal_type.isin(["expansion", "renewal"])
        sums |= {"won_new": rows.amount_minor.sum(where=fresh).fill_null(0),
                 "won_again": rows.amount_minor.sum(where=again).fill_null(0)}  # fmt: skip
    return summed(rows, **sums)


def _creations(book: crm.Book, deals: ibis.Table, months: Span) -> pd.DataFrame | None:
    if "created_at" not in book.about["filled"]["deals"]:
        return None
    rows = deals.filter(_.created_at < until(book, months))
    month = crm.month_number(rows.created_at, book.time_zone, months.last_on(months.last))
    rows = rows.mutate(month=month).filter(_.month >= months.first)
    return summed(rows, n_created=rows.count(), created=rows.amount_minor.sum().fill_null(0),
                   n_created_priced=rows.amount_minor.count())  # fmt: skip


def _ends(book: crm.Book, months: Span) -> ibis.Table:
    """month, cut: the end of each month looked at, or of the last day known."""
    ends = [min(months.last_on(month), book.as_of) for month in months.all]
    moments = pd.to_datetime([periods.end_of(day, book.time_zone) for day in ends])
    frame = pd.DataFrame({"month": list(months.all), "cut": moments.astype("datetime64[us]")})
    return ibis.memtable(frame)


def _open(book: crm.Book, deals: ibis.Table, months: Span) -> pd.DataFrame | None:
    """The pipeline as it stood at the end of each month; of earlier months only where a log tells."""
    if "amount" in book.about["tracked"] and book.about["history"] == "changes":
        rows = book.states.filter(_.kind == "open").cross_join(_ends(book, months))
        begun = rows.entered_at.isnull() | (rows.entered_at < rows.cut)
        rows = rows.filter(begun, rows.left_at.isnull() | (rows.left_at >= rows.cut))
        rows = rows.join(deals.select("deal_id", "region", "team"), "deal_id")
    elif "amount_minor" in book.about["filled"]["deals"] and book.as_of <= months.last_on(months.last):
        rows = deals.filter(_.status == "open").mutate(month=ibis.literal(months.last))
    else:
        return None
    chances = book.stages.select("pipeline", "stage", chance=_.probability)
    rows = rows.left_join(chances, ["pipeline", "stage"])
    amount, chance = rows.amount_minor, rows.chance
    weighted = (amount * chance).round().cast("int64")
    return summed(rows, n_open=rows.count(), open=amount.sum().fill_null(0), n_open_priced=amount.count(),
                   weighted=weighted.sum().fill_null(0), n_weighted=weighted.count())  # fmt: skip


def _stays(book: crm.Book, deals: ibis.Table, months: Span) -> pd.DataFrame | None:
    """Stays in open stages that ended in the month, and those of them that ended further on."""
    if book.about["history"] != "changes":
        return None
    by_deal = ibis.window(group_by="deal_id", order_by="seq")
    visits = book.visits.mutate(
        **{f"next_{name}": book.visits[name].lead().over(by_deal) for name in ("kind", "position", "pipeline")}
    )
    rows = visits.filter(
        _.kind == "open", _.left_at < until(book, months), _.next_kind.notnull(), _.next_pipeline == _.pipeline
    )
    month = crm.month_number(rows.left_at, book.time_zone, months.last_on(months.last))
    onward = (rows.next_kind == "won") | ((rows.next_kind == "open") & (rows.next_position > rows.position))
    rows = rows.mutate(month=month, onward=onward).filter(_.month >= months.first)
    rows = rows.join(deals.select("deal_id", "region", "team", "rep_id"), "deal_id")
    return summed(rows, n_left=rows.count(), n_moved=rows.onward.sum())
