"""The score at the end of each month, as far as the log tells it."""

import datetime as dt

import pandas as pd
from ibis import _

from salesops import crm
from salesops.crm import rules
from salesops.crm.rules import Day
from salesops.hygiene.params import Params


def scores(book: crm.Book, params: Params) -> tuple[list[str], pd.DataFrame]:
    """The score at each month's end, by the rules that can be asked of all those days, and which these are."""
    can = rules.askable(book, params, past=True)
    past = [rule for rule in params.weights if can[rule]]
    nothing = past, pd.DataFrame(columns=["month_on", "score", "n"])
    if not past or book.about["history"] != "changes":
        return nothing
    begins = _first_known(book)
    days = [
        Day(min(month.last_on, book.as_of), month.first_on)
        for month in params.month_ends
        if begins <= month.first_on <= book.as_of
    ]
    if not days:
        return nothing
    rows = rules.facts(book, params, days, {}, past=True)
    if params.rep:
        rows = rows.filter(rows.rep_id == params.rep)
    rows = rules.weighed(rows, params)
    sums = rows.group_by("nth").agg(n=_.count(), lost=_.lost.sum(), weighed=_.weighed.sum()).execute().set_index("nth")
    table = [
        (day.since, 1 - sums["lost"][nth] / sums["weighed"][nth], int(sums["n"][nth]))
        for nth, day in enumerate(days)
        if nth in sums.index and sums["n"][nth] >= params.min_deals and sums["weighed"][nth]
    ]
    return past, pd.DataFrame(table, columns=["month_on", "score", "n"])


def _first_known(book: crm.Book) -> dt.date:
    """The first day of the first month that the history holds."""
    first = pd.Timestamp(book.about["log_begins"] or book.about["first_moment"]).tz_localize("UTC")
    return first.tz_convert(book.time_zone).date().replace(day=1)
