"""What the engine counts: when each deal or lead was created, and when and how it ended."""

import ibis
import pandas as pd
from ibis import _

from salesops import crm
from salesops.ripening.params import Params

WON, LOST, OPEN = "won", "lost", "open"


def read(book: crm.Book, params: Params) -> tuple[pd.DataFrame, str]:
    """created, cohort (numbers of a day and of a month or quarter), age (whole days; of open ones up to the last day
    known), outcome, n, amount (of those that converted; minor units); and the pipeline. Of leads, to convert is to
    become a deal, and nothing else ends them.

    Raises
    ------
    ValueError
        If the source has no deals or leads of the part asked for.
    """
    step = {"month": 1, "quarter": 3}[params.cohorts]
    if params.what == "deals":
        pipeline = crm.find_pipeline(book, params.pipeline)[0]
        rows = book.deals.filter(_.pipeline == pipeline, _.created_at.notnull())
        rows = rows.filter((_.status == OPEN) | _.closed_at.notnull())
        if book.about["log_begins"]:  # what a deal did before the log began is not known
            rows = rows.filter(_.created_at >= ibis.timestamp(book.about["log_begins"]).truncate("s"))
        rows = rows.mutate(came=_.created_at, ended=_.closed_at, outcome=_.status, amount=_.amount_minor)
    else:
        pipeline = ""
        rows = book.leads.filter(_.created_at.notnull())
        if params.region:
            rows = rows.filter(_.region == params.region)
        if params.team:
            rows = crm.with_assignment(book, rows, "created_at").filter(_.rep_team == params.team)
        deals = book.deals.select("deal_id", deal_at=_.created_at, worth=_.amount_minor)
        rows = rows.left_join(deals, "deal_id")
        became = rows.deal_at.notnull()
        rows = rows.mutate(came=rows.created_at, ended=rows.deal_at, amount=rows.worth,
                           outcome=ibis.ifelse(became, ibis.literal(WON), ibis.literal(OPEN)))  # fmt: skip
    if not rows.count().execute():
        raise ValueError(f"the source has no {params.what} of a known day")
    created = crm.day_number(rows.came, book.time_zone)
    ended = ibis.ifelse(rows.outcome == OPEN, (book.as_of - EPOCH).days, crm.day_number(rows.ended, book.time_zone))
    cohort = crm.month_number(rows.came, book.time_zone, book.as_of, step)
    table = rows.mutate(created=created, cohort=cohort, age=ibis.greatest(ended - created, 0))
    worth = ibis.ifelse(table.outcome == WON, table.amount.fill_null(0), 0)
    counted = table.group_by("created", "cohort", "age", "outcome").agg(n=_.count(), amount=worth.sum())
    made = counted.order_by("created", "age", "outcome").execute()
    return made.astype(dict.fromkeys(("created", "cohort", "age", "n", "amount"), "int64")), pipeline


def known_on(made: pd.DataFrame, day: int) -> pd.DataFrame:
    """The counts as they were at the end of a day: what ended later was open, what came later was not there."""
    table = made[made["created"] <= day].copy()
    later = (table["created"] + table["age"] > day) | (table["outcome"] == OPEN)
    table["outcome"] = table["outcome"].mask(later, OPEN)
    table["age"] = table["age"].mask(later, day - table["created"])
    table["amount"] = table["amount"].mask(later, 0)
    return table


EPOCH = pd.Timestamp("1970-01-01").date()
