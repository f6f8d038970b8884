"""What the engine counts for the scorecard: one pass for each table, by month, region, team and rep."""

import ibis
import pandas as pd
from ibis import _

from salesops import crm
from salesops.scorecard import around
from salesops.scorecard.months import KEYS, Span, ends, placed, placed_at_ends, summed, until
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
    parts = [_closings(whole, months), _creations(whole, months), _open(whole, months), _stays(whole, months)]
    if whole.has("activities"):
        parts.append(around.activities(whole, months))
    if "first_response_at" in whole.about["filled"]["leads"]:
        parts.append(around.leads(whole, params, months))
    if whole.about["history"] == "changes":
        parts.append(around.hygiene(whole, params, months))
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


def _closings(book: crm.Book, months: Span) -> pd.DataFrame:
    """Deals closed, by who had them at the close."""
    closed = placed(book, book.deals.filter(_.status != "open", _.closed_at < until(book, months)), "closed_at")
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


def _creations(book: crm.Book, months: Span) -> pd.DataFrame | None:
    """Deals created, by who had them at the beginning."""
    if "created_at" not in book.about["filled"]["deals"]:
        return None
    rows = placed(book, book.deals.filter(_.created_at < until(book, months)), "created_at")
    month = crm.month_number(rows.created_at, book.time_zone, months.last_on(months.last))
    rows = rows.mutate(month=month).filter(_.month >= months.first)
    return summed(rows, n_created=rows.count(), created=rows.amount_minor.sum().fill_null(0),
                   n_created_priced=rows.amount_minor.count())  # fmt: skip


def _open(book: crm.Book, months: Span) -> pd.DataFrame | None:
    """The pipeline as it stood at the end of each month, by who had it then; of earlier months only where a log
    tells."""
    if "amount" in book.about["tracked"] and book.about["history"] == "changes":
        rows = book.states.filter(_.kind == "open").cross_join(ends(book, months))
        begun = rows.entered_at.isnull() | (rows.entered_at < rows.cut)
        rows = rows.filter(begun, rows.left_at.isnull() | (rows.left_at >= rows.cut))
        rows = rows.drop("cut").join(book.deals.select("deal_id", "region", "account_id"), "deal_id")
    elif "amount_minor" in book.about["filled"]["deals"] and book.as_of <= months.last_on(months.last):
        rows = book.deals.filter(_.status == "open").mutate(month=ibis.literal(months.last))
    else:
        return None
    rows = placed_at_ends(book, rows, months)
    chances = book.stages.select("pipeline", "stage", chance=_.probability)
    rows = rows.left_join(chances, ["pipeline", "stage"])
    amount, chance = rows.amount_minor, rows.chance
    weighted = (amount * chance).round().cast("int64")
    return summed(rows, n_open=rows.count(), open=amount.sum().fill_null(0), n_open_priced=amount.count(),
                   weighted=weighted.sum().fill_null(0), n_weighted=weighted.count())  # fmt: skip


def _stays(book: crm.Book, months: Span) -> pd.DataFrame | None:
    """Stays in open stages that ended in the month, by who had the deal then, and those that ended further on."""
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
    rows = rows.join(book.deals.select("deal_id", "region", "account_id"), "deal_id")
    rows = placed(book, rows, "left_at")
    return summed(rows, n_left=rows.count(), n_moved=rows.onward.sum())
