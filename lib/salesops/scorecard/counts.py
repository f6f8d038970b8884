"""What the engine counts for the scorecard: one pass for each table, by month, region, team and rep."""

import datetime as dt
from typing import NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.crm import rules
from salesops.crm.worktime import Hours, with_worked
from salesops.scorecard.params import Params

KEYS = ("month", "region", "team", "rep_id")
MEETING, CALL = "meeting", "call"
MINUTE, DAY = 60, 86_400
NO_SHOW = "no_show"


class Span(NamedTuple):
    """The months looked at (numbers since year 0), and the last of them that the data hold whole."""

    first: int
    last: int
    whole: int

    def first_on(self, month: int) -> dt.date:
        return dt.date(month // 12, month % 12 + 1, 1)

    def last_on(self, month: int) -> dt.date:
        return periods.days_after(self.first_on(month + 1), -1)

    @property
    def all(self) -> range:
        return range(self.first, self.last + 1)


def span(book: crm.Book, params: Params) -> Span:
    """The months that end with the period, as far as they are known.

    Raises
    ------
    ValueError
        If nothing of the period is known.
    """
    last_on = min(params.reported.last_on, book.as_of)
    if last_on < params.reported.first_on:
        raise ValueError(f"period {params.period}: the source ends on {book.as_of}, before it")
    last = last_on.year * 12 + last_on.month - 1
    whole = last if last_on == Span(last, last, last).last_on(last) else last - 1
    begins = first_watched(book)
    first = max(last - params.months + 1, begins.year * 12 + begins.month - 1)
    return Span(min(first, last), last, whole)


def first_watched(book: crm.Book) -> dt.date:
    """The first day of the first month that the record holds whole."""
    begins = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).date()
    return begins if begins.day == 1 else periods.add_months(begins.replace(day=1), 1)


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
        parts.append(_activities(whole, months))
    if "first_response_at" in whole.about["filled"]["leads"]:
        parts.append(_leads(whole, params, months))
    if whole.about["history"] == "changes":
        parts.append(_hygiene(whole, deals, params, months))
    if whole.has("revenue"):
        parts.append(_revenue(whole, months))
    table = pd.concat([part for part in parts if part is not None], ignore_index=True)
    table = table.fillna(dict.fromkeys(KEYS[1:], crm.NOT_KNOWN))
    table = table[table["month"].between(months.first, months.last)]
    sums = table.groupby(list(KEYS), sort=True).sum(min_count=1).reset_index()
    return only(sums, params)


def until(book: crm.Book, months: Span) -> ibis.Scalar:
    """The first moment after the last month looked at, or not known."""
    return ibis.literal(pd.Timestamp(min(book.cut, periods.end_of(months.last_on(months.last), book.time_zone))))


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


def _summed(rows: ibis.Table, **sums) -> pd.DataFrame:
    return rows.group_by(*(key for key in KEYS if key in rows.columns)).agg(**sums).execute()


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
    return _summed(rows, **sums)


def _creations(book: crm.Book, deals: ibis.Table, months: Span) -> pd.DataFrame | None:
    if "created_at" not in book.about["filled"]["deals"]:
        return None
    rows = deals.filter(_.created_at < until(book, months))
    month = crm.month_number(rows.created_at, book.time_zone, months.last_on(months.last))
    rows = rows.mutate(month=month).filter(_.month >= months.first)
    return _summed(rows, n_created=rows.count(), created=rows.amount_minor.sum().fill_null(0),
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
        where = deals.select("deal_id", "region", "team", "pipeline")
        rows = rows.join(where, "deal_id")
    elif "amount_minor" in book.about["filled"]["deals"] and book.as_of <= months.last_on(months.last):
        rows = deals.filter(_.status == "open").mutate(month=ibis.literal(months.last))
    else:
        return None
    chances = book.stages.select("pipeline", "stage", chance=_.probability)
    rows = rows.left_join(chances, ["pipeline", "stage"])
    amount, chance = rows.amount_minor, rows.chance
    weighted = (amount * chance).round().cast("int64")
    return _summed(rows, n_open=rows.count(), open=amount.sum().fill_null(0), n_open_priced=amount.count(),
                   weighted=weighted.sum().fill_null(0), n_weighted=weighted.count())  # fmt: skip


def _stays(book: crm.Book, deals: ibis.Table, months: Span) -> pd.DataFrame | None:
    """Stays in open stages that ended in the month, and those of them that ended further on."""
    if book.about["history"] != "changes":
        return None
    by_deal = ibis.window(group_by="deal_id", order_by="seq")
    visits = book.visits.mutate(next_kind=_.kind.lead().over(by_deal), next_at=_.position.lead().over(by_deal))
    rows = visits.filter(_.kind == "open", _.left_at < until(book, months), _.next_kind.notnull())
    month = crm.month_number(rows.left_at, book.time_zone, months.last_on(months.last))
    onward = (rows.next_kind == "won") | ((rows.next_kind == "open") & (rows.next_at > rows.position))
    rows = rows.mutate(month=month, onward=onward).filter(_.month >= months.first)
    rows = rows.join(deals.select("deal_id", "region", "team", "rep_id"), "deal_id")
    return _summed(rows, n_left=rows.count(), n_moved=rows.onward.sum())


def _activities(book: crm.Book, months: Span) -> pd.DataFrame:
    """Meetings and time with customers, by who did it; a deal's first meeting that was held counts once."""
    people = book.reps.select("rep_id", "region", "team")
    done = book.activities.filter(_.started_at < until(book, months))
    held = (done.kind == MEETING) & (done.outcome.isnull() | (done.outcome != NO_SHOW))
    month = crm.month_number(done.started_at, book.time_zone, months.last_on(months.last))
    done = done.mutate(month=month, held=held, absent=(done.kind == MEETING) & (done.outcome == NO_SHOW))
    nth = ibis.row_number().over(ibis.window(group_by=["deal_id", "held"], order_by=["started_at", "activity_id"]))
    rows = done.mutate(first=done.held & done.deal_id.notnull() & (nth == 0)).filter(_.month >= months.first)
    rows = rows.left_join(people, "rep_id")
    selling = (rows.kind == CALL) | rows.held
    return _summed(rows, sold_seconds=(rows.minutes * 60).round().cast("int64").sum(where=selling).fill_null(0),
                   n_meetings=rows.held.sum(), n_absent=rows.absent.sum(), n_first=rows["first"].sum())  # fmt: skip


def _leads(book: crm.Book, params: Params, months: Span) -> pd.DataFrame:
    """Leads by the month they came in: answered in time or not. One that still waits and is not late yet is neither."""
    end = int(pd.Timestamp(book.cut).timestamp())
    leads = book.leads.filter(_.created_at < until(book, months))
    month = crm.month_number(leads.created_at, book.time_zone, months.last_on(months.last))
    came = leads.created_at.epoch_seconds()
    answer = ibis.greatest(leads.first_response_at.epoch_seconds().fill_null(end), came)
    rows = leads.mutate(month=month, came=came, until=answer).filter(_.month >= months.first)
    team = book.reps.select("rep_id", "team")
    rows = rows.left_join(team, "rep_id").drop("rep_id_right")
    hours = Hours(params.work_from, params.work_to, params.calendar)
    rows = with_worked(book, rows, ("came", "until"), hours, months.first_on(months.first))
    minutes = ibis.greatest((rows.until_worked - rows.came_worked + MINUTE - 1) // MINUTE, 0)
    late = minutes > int(params.sla_hours * MINUTE + 1e-9)
    rows = rows.mutate(late=late, answered=rows.first_response_at.notnull() & ~late)
    return _summed(rows, n_answered=rows.answered.sum(), n_late=rows.late.sum())


def _hygiene(book: crm.Book, deals: ibis.Table, params: Params, months: Span) -> pd.DataFrame | None:
    """Weight of what is asked of records at each month's end and of what is broken; see `crm.rules`."""
    wanted = rules.read_rules(params.file("rules"))
    can = rules.askable(book, wanted, past=True)
    if not any(can[rule] for rule in wanted.weights):
        return None
    days = [rules.Day(min(months.last_on(month), book.as_of), months.first_on(month)) for month in months.all]
    facts = rules.weighed(rules.facts(book, wanted, days, {}, past=True), wanted)
    where = deals.select("deal_id", "region", "team")
    rows = facts.mutate(month=facts.nth + months.first).join(where, "deal_id")
    return _summed(rows, lost=rows.lost.sum(), asked=rows.weighed.sum())


def _revenue(book: crm.Book, months: Span) -> pd.DataFrame:
    """Recurring revenue of each month against the month before and the year before, account by account."""
    rows = book.revenue.filter(_.kind == "recurring")
    at = (rows.month_on.year() * 12 + rows.month_on.month() - 1).cast("int64")
    paid = rows.group_by("account_id", month=at).agg(amount=_.amount_minor.sum()).filter(_.amount > 0)
    begun = paid.group_by("account_id").agg(begun=_.month.min())
    both = []
    for back, names in ((1, ("opening", "closing")), (12, ("then", "now"))):
        before = paid.select("account_id", month=_.month + back, was=_.amount)
        here = paid.outer_join(before, ["account_id", "month"])
        here = here.select(account_id=ibis.coalesce(here.account_id, here.account_id_right),
                           month=ibis.coalesce(here.month, here.month_right),
                           amount=here.amount.fill_null(0), was=here.was.fill_null(0))  # fmt: skip
        here = here.filter(_.month.between(months.first, months.last)).left_join(begun, "account_id")
        region = book.accounts.select("account_id", "region")
        here = here.drop("account_id_right").left_join(region, "account_id")
        amount, was = here.amount, here.was
        sums = {names[0]: was.sum()}
        if back == 1:
            fresh = (was == 0) & (here.begun == here.month)
            sums |= {"new": amount.sum(where=fresh), "reactivation": amount.sum(where=(was == 0) & ~fresh),
                     "expansion": (amount - was).sum(where=(was > 0) & (amount > was)),
                     "contraction": (was - amount).sum(where=(amount > 0) & (amount < was)),
                     "churn": was.sum(where=amount == 0), "closing": amount.sum()}  # fmt: skip
        else:
            sums |= {"now": amount.sum(where=was > 0), "kept": ibis.least(amount, was).sum(),
                     "n_then": (was > 0).sum()}  # fmt: skip
        sums = {name: value.fill_null(0) for name, value in sums.items()}
        both.append(_summed(here, **sums))
    return pd.concat(both, ignore_index=True)
