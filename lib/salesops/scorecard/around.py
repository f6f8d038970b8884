"""What the engine counts around the deals: activities, leads, records, recurring revenue."""

import ibis
import pandas as pd
from ibis import _

from salesops import crm
from salesops.crm import rules
from salesops.crm.worktime import Hours, with_worked
from salesops.scorecard.months import Span, placed_at_ends, summed, until
from salesops.scorecard.params import Params

MEETING, CALL = "meeting", "call"
MINUTE = 60
NO_SHOW = "no_show"


def activities(book: crm.Book, months: Span) -> pd.DataFrame:
    """Meetings and time with customers, by who did it and where they were then; a deal's first meeting that was held
    counts once."""
    done = book.activities.filter(_.started_at < until(book, months))
    held = (done.kind == MEETING) & (done.outcome.isnull() | (done.outcome != NO_SHOW))
    month = crm.month_number(done.started_at, book.time_zone, months.last_on(months.last))
    done = done.mutate(month=month, held=held, absent=(done.kind == MEETING) & (done.outcome == NO_SHOW))
    nth = ibis.row_number().over(ibis.window(group_by=["deal_id", "held"], order_by=["started_at", "activity_id"]))
    rows = done.mutate(first=done.held & done.deal_id.notnull() & (nth == 0)).filter(_.month >= months.first)
    rows = crm.with_assignment(book, rows, "started_at").mutate(region=_.rep_region, team=_.rep_team)
    selling = (rows.kind == CALL) | rows.held
    return summed(rows, sold_seconds=(rows.minutes * 60).round().cast("int64").sum(where=selling).fill_null(0),
                   n_meetings=rows.held.sum(), n_absent=rows.absent.sum(), n_first=rows["first"].sum())  # fmt: skip


def leads(book: crm.Book, params: Params, months: Span) -> pd.DataFrame:
    """Leads by the month they came in: answered in time or not. One that still waits and is not late yet is neither."""
    end = int(pd.Timestamp(book.cut).timestamp())
    leads = book.leads.filter(_.created_at < until(book, months))
    month = crm.month_number(leads.created_at, book.time_zone, months.last_on(months.last))
    came = leads.created_at.epoch_seconds()
    answer = ibis.greatest(leads.first_response_at.epoch_seconds().fill_null(end), came)
    rows = leads.mutate(month=month, came=came, until=answer).filter(_.month >= months.first)
    rows = crm.with_assignment(book, rows, "created_at").mutate(team=_.rep_team)
    hours = Hours(params.work_from, params.work_to, params.calendar)
    rows = with_worked(book, rows, ("came", "until"), hours, months.first_on(months.first))
    minutes = ibis.greatest((rows.until_worked - rows.came_worked + MINUTE - 1) // MINUTE, 0)
    late = minutes > int(params.sla_hours * MINUTE + 1e-9)
    rows = rows.mutate(late=late, answered=rows.first_response_at.notnull() & ~late)
    return summed(rows, n_answered=rows.answered.sum(), n_late=rows.late.sum())


def hygiene(book: crm.Book, params: Params, months: Span) -> pd.DataFrame | None:
    """Weight of what is asked of records at each month's end and of what is broken, by who owned them then; see
    `crm.rules`."""
    wanted = rules.read_rules(params.file("rules"))
    can = rules.askable(book, wanted, past=True)
    if not any(can[rule] for rule in wanted.weights):
        return None
    days = [rules.Day(min(months.last_on(month), book.as_of), months.first_on(month)) for month in months.all]
    facts = rules.weighed(rules.facts(book, wanted, days, {}, past=True), wanted)
    rows = placed_at_ends(book, facts.mutate(month=facts.nth + months.first), months)
    return summed(rows, lost=rows.lost.sum(), asked=rows.weighed.sum())


def revenue(book: crm.Book, months: Span) -> pd.DataFrame:
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
        both.append(summed(here, **sums))
    return pd.concat(both, ignore_index=True)
