"""What the engine counts for the leads: how far each came and when, and how long it waited in working hours."""

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.crm.worktime import Hours, with_worked
from salesops.leads.params import Params

HOUR, DAY = 3600, 86_400
STEPS = ("lead", "qualified", "accepted", "deal", "won")
MINUTE = 60  # seconds: waiting is counted in whole minutes, begun ones as whole


def steps_known(book: crm.Book) -> tuple[str, ...]:
    """The steps of which anything is known by the last day."""
    leads = book.leads
    columns = {"qualified": leads.mql_at, "accepted": leads.sql_at, "deal": leads.deal_id, "won": leads.deal_id}
    known = leads.agg(**{step: column.count() for step, column in columns.items()}).execute().iloc[0]
    return ("lead", *(step for step in STEPS[1:] if known[step]))


def looked_at(book: crm.Book, params: Params) -> ibis.Table:
    """One row per lead: cohort (now, before), group, t0, t1, ... (when it reached or passed each step), t_lost (when
    its deal was lost), answered, came; epoch seconds. Narrowed to the region asked for; `group` by the page's split.

    Raises
    ------
    ValueError
        If the source has no value of the split, or no lead came in in the months.
    """
    leads = book.leads.filter(_.created_at.notnull())
    if params.region:
        leads = leads.filter(_.region == params.region)
    if params.team:
        leads = crm.with_assignment(book, leads, "created_at").filter(_.rep_team == params.team)
    if params.split_by != "none" and params.split_by not in book.about["filled"]["leads"]:
        raise ValueError(f"split_by {params.split_by}: the source has no value of it on leads")
    group = leads[params.split_by] if params.split_by != "none" else ibis.literal(crm.ALL)
    deals = book.deals.select(
        "deal_id", "status", deal_at=_.created_at.epoch_seconds(), closed=_.closed_at.epoch_seconds()
    )
    rows = leads.mutate(group=group).left_join(deals, "deal_id")
    came = rows.created_at.epoch_seconds()
    own = {
        "lead": came,
        "qualified": rows.mql_at.epoch_seconds(),
        "accepted": rows.sql_at.epoch_seconds(),
        "deal": ibis.ifelse(rows.status.notnull(), rows.deal_at, ibis.null("int64")),
        "won": ibis.ifelse(rows.status == "won", rows.closed, ibis.null("int64")),
    }
    steps = steps_known(book)
    reached = {f"t{k}": ibis.least(*(own[step] for step in steps[k:])) for k in range(1, len(steps))}
    reached = {
        name: ibis.ifelse(value.isnull(), ibis.null("int64"), ibis.greatest(value, came))
        for name, value in reached.items()
    }
    lost = ibis.ifelse(rows.status == "lost", rows.closed, ibis.null("int64"))
    bounds = _bounds(book, params)
    cohort = ibis.cases(*[((came >= low) & (came < high), name) for name, (low, high) in bounds.items()])
    found = rows.select(
        "lead_id", "group", cohort=cohort, came=came, t0=came, **reached, t_lost=lost,
        answered=rows.first_response_at.epoch_seconds(), worked=own["accepted"].coalesce(own["deal"]),
    ).filter(_.cohort.notnull()).cache()  # fmt: skip
    if not found.filter(_.cohort == "now").count().execute():
        raise ValueError(f"no lead came in from {params.window.first_on} to {book.as_of}")
    return found


def _bounds(book: crm.Book, params: Params) -> dict[str, tuple[int, int]]:
    """The months shown and as many before, in epoch seconds."""
    spans = {"now": params.window, "before": periods.before(params.window)}
    seconds = lambda moment: int(pd.Timestamp(moment).timestamp())  # noqa: E731
    return {
        name: (seconds(periods.start_of(p.first_on, book.time_zone)),
               seconds(periods.end_of(min(p.last_on, book.as_of), book.time_zone)))
        for name, p in spans.items()
    }  # fmt: skip


def end_of(book: crm.Book) -> int:
    """The first moment not known, in epoch seconds."""
    return int(pd.Timestamp(book.cut).timestamp())


def sizes(leads: ibis.Table) -> dict[str, int]:
    """How many leads each cohort has."""
    table = leads.group_by("cohort").agg(n=_.count()).execute()
    return dict(zip(table["cohort"], map(int, table["n"]), strict=True))


def step_counts(book: crm.Book, leads: ibis.Table, n_steps: int) -> pd.DataFrame:
    """cohort, group, step, outcome (moved, lost, open), age (hours), n.

    Step k is from step k to the next; -1 from the lead's coming in to a deal, -2 from there to a win.
    """
    parts, end = [], end_of(book)
    if n_steps == 1:  # nothing is known of what became of a lead
        return pd.DataFrame(columns=["cohort", "group", "step", "outcome", "age", "n"])
    spans = [(k, f"t{k}", f"t{k + 1}") for k in range(n_steps - 1)]
    spans += [(-2, "t0", f"t{n_steps - 1}")] + ([(-1, "t0", f"t{n_steps - 2}")] if n_steps > 2 else [])
    for step, begin, to in spans:
        here = leads.filter(leads[begin].notnull())
        lost = here.t_lost.notnull() & here[to].isnull()
        until = here[to].coalesce(here.t_lost).coalesce(end)
        outcome = ibis.cases((here[to].notnull(), "moved"), (lost, "lost"), else_="open")
        age = ibis.greatest((until - here[begin]) // HOUR, 0)
        rows = here.select("cohort", "group", step=ibis.literal(step), outcome=outcome, age=age)
        parts.append(rows.group_by("cohort", "group", "step", "outcome", "age").agg(n=_.count()))
    return ibis.union(*parts).execute().fillna({"group": crm.NOT_KNOWN})


def waits(book: crm.Book, params: Params, leads: ibis.Table) -> pd.DataFrame:
    """group, state (answered, worked, waiting), age (working minutes), n: how long leads of the present months waited.

    One that was not answered waits until the last day known; one that was accepted without an answer on record is
    `worked`, and is watched until then.
    """
    now = leads.filter(_.cohort == "now")
    early = now.worked.notnull() & (now.answered.isnull() | (now.worked < now.answered))
    until = ibis.ifelse(early, now.worked, now.answered).coalesce(end_of(book))
    state = ibis.cases((early, "worked"), (now.answered.notnull(), "answered"), else_="waiting")
    rows = now.select("group", "came", until=ibis.greatest(until, now.came), state=state)
    hours = Hours(params.work_from, params.work_to, params.calendar)
    worked = with_worked(book, rows, ("came", "until"), hours, params.window.first_on)
    age = ibis.greatest((worked.until_worked - worked.came_worked + MINUTE - 1) // MINUTE, 0)
    counted = worked.select("group", "state", age=age).group_by("group", "state", "age")
    return counted.agg(n=_.count()).execute().fillna({"group": crm.NOT_KNOWN})


def answered_by(book: crm.Book, leads: ibis.Table, n_steps: int, landmarks: tuple[int, ...]) -> pd.DataFrame:
    """landmark (hours since the lead came in), answered (by then), outcome (moved: became a deal, else open), age
    (hours since the landmark), n: leads that were no deal yet at the landmark, so that both sides have come as far."""
    to, end, parts = f"t{max(n_steps - 2, 1)}", end_of(book), []
    now = leads.filter(_.cohort == "now")
    for hours in landmarks:
        mark = now.came + hours * HOUR
        here = now.filter(mark < end, now[to].isnull() | (now[to] > mark))
        begun = here.came + hours * HOUR
        answered = (here.answered <= begun).fill_null(False)
        outcome = ibis.ifelse(here[to].notnull(), "moved", "open")
        age = ibis.greatest((here[to].coalesce(end) - begun) // HOUR, 0)
        rows = here.select(landmark=ibis.literal(hours), answered=answered, outcome=outcome, age=age)
        parts.append(rows.group_by("landmark", "answered", "outcome", "age").agg(n=_.count()))
    return ibis.union(*parts).execute()
