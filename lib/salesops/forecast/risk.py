"""What was at risk: open deals at the end of each week, as the CRM showed them then, and what the next week made of
them.

All of it is counted by the engine. Every row is built from the spans of the log that held at its moment, so that what
was learnt later is in none of them.
"""

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm
from salesops.forecast.params import Params
from salesops.forecast.weeks import Weeks

OPEN, WON, LOST = "open", "won", "lost"
WEEK_S = 7 * 86_400
PARTS = 10**9  # of a relative change
LONGEST_QUARTER = 93  # days
STAY_EDGES = (1, 2, 4, 8, 13)  # weeks in the stage
AGE_EDGES = (4, 9, 17)  # weeks since the deal was created
MOST_PUSHES = 2  # so many and more are one
MOST_GROUPS = 12
SIZES_FROM, SIZES_TO = 4, 14  # bands of half a power of ten: 100 to 10,000,000 of the currency


WON_AT_ONCE, LOST_AT_ONCE = -1, -2  # instead of a stage: closed in the week that it came in
FACTORS = ("stage", "stay", "age", "pushes", "group", "size")


class Layout(NamedTuple):
    """What the codes stand for.

    stages : code, pipeline, stage, position, probability (of the CRM; NaN where it has none); one code for each
    pipeline where the source keeps no history of stages. groups : names. n_sizes : bands of amounts, the last for
    those without one. dimension : what groups are of. units : dimensions that totals are told by. amounts, due,
    categories : whether amounts, expected closing days and forecast categories are on a log.
    """

    stages: pd.DataFrame
    groups: tuple[str, ...]
    n_sizes: int
    dimension: str
    units: tuple[str, ...]
    amounts: bool
    due: bool
    categories: bool

    @property
    def sizes(self) -> dict[str, int]:
        """Levels of each factor of a deal."""
        return {
            "stage": len(self.stages),
            "stay": len(STAY_EDGES) + 1,
            "age": len(AGE_EDGES) + 1,
            "pushes": MOST_PUSHES + 1,
            "group": len(self.groups),
            "size": self.n_sizes,
        }


class History(NamedTuple):
    """Counts up to the last day known; `week` is the one at whose end a deal was open.

    cells : week, stage, stay, age, pushes, group, size, n, n_won, n_lost, n_moved in the week after.
    moves : week, group, stage, to, n. births : week that they came in, group, size, the units, landed (code of the
    stage at its end; -1 won, -2 lost), n, n_priced (with an amount), minor, minor2 (sums of their amounts and of the
    squares; floats). wins : week, n, days (sum of days from creation to the win), priced (of those seen open with an
    amount), was, became (sums of their amounts when last seen open and when won), spread2 (sum of squared relative
    changes), n_paid, minor, minor2 (won with an amount; sums of amounts and of their squares).
    """

    cells: pd.DataFrame
    moves: pd.DataFrame
    births: pd.DataFrame
    wins: pd.DataFrame


def find_layout(book: crm.Book, params: Params) -> Layout:
    """Stages, groups and units of a book.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, no deal is known, or the source has no value of `segment_by`.
    """
    crm.find_pipeline(book, params.pipeline)
    known = book.about["history"] != "current_stage" and book.about.get("stages_dated", True)
    stages = book.stages.filter(_.kind == OPEN).select("pipeline", "stage", "position", "probability").execute()
    present = _deals(book, params, []).select("pipeline").distinct().execute()["pipeline"].tolist()
    if not present:
        raise ValueError(f"no deal that is known at the end of {book.as_of} has a creation date")
    stages = stages[stages["pipeline"].isin(present)].sort_values(["pipeline", "position"], kind="stable")
    if not known or stages.empty:
        stages = pd.DataFrame({"pipeline": sorted(present), "stage": "", "position": 0, "probability": np.nan})
    groups = [crm.ALL]
    if params.segment_by != "none":
        deals = crm.with_group(book, _deals(book, params, []), params.segment_by)
        sizes = deals.group_by("group").agg(n=_.count()).order_by(ibis.desc("n"), "group").limit(MOST_GROUPS).execute()
        groups = [*sorted(sizes["group"].dropna()), crm.NOT_KNOWN]
    units = [one for one in ("region", "team", "segment") if one in crm.known_dimensions(book)]
    tracked = book.about["tracked"]
    return Layout(
        stages.reset_index(drop=True),
        tuple(groups),
        SIZES_TO - SIZES_FROM + 2 if "amount" in tracked else 1,
        params.segment_by,
        tuple(units),
        "amount" in tracked,
        "expected_close_on" in tracked,
        "forecast_category" in tracked,
    )


def _deals(book: crm.Book, params: Params, units: list[str]) -> ibis.Table:
    deals = book.deals.filter(_.created_at.notnull())
    deals = deals.filter(_.pipeline == params.pipeline) if params.pipeline else deals
    return crm.with_dimensions(book, deals, units) if units else deals


class Spans(NamedTuple):
    """What held of deals from when to when, with pushes so far and what they are told by; read once, asked often."""

    table: ibis.Table
    layout: Layout
    minor_units: int
    cut: dt.datetime


def read_spans(book: crm.Book, params: Params, layout: Layout) -> Spans:
    """The spans of the log, of the deals looked at."""
    spans = book.states.filter(_.entered_at.notnull())
    order = ibis.window(group_by=spans.deal_id, order_by=spans.entered_at)
    month = spans.expected_close_on.cast("date").year() * 12 + spans.expected_close_on.cast("date").month()
    spans = spans.mutate(month=month).mutate(was_month=month.lag().over(order), was_kind=spans.kind.lag().over(order))
    pushed = (spans.kind == OPEN) & (spans.was_kind == OPEN) & (spans.month > spans.was_month)
    spans = spans.mutate(pushed=pushed.fill_null(False).cast("int64"))
    spans = spans.mutate(
        n_pushes=_.pushed.sum().over(ibis.cumulative_window(group_by="deal_id", order_by="entered_at"))
    )
    deals = _deals(book, params, list(dict.fromkeys([params.segment_by, *layout.units])))
    kept = ["deal_id", "created_at", *(f"by_{one}" for one in layout.units)]
    spans = spans.drop("stage", "seq", "month", "was_month", "was_kind", "pushed").join(
        deals.select(*kept, group=deals[f"by_{params.segment_by}"]), "deal_id"
    )
    # A closed deal is asked for until its quarter ends, no longer.
    closed_until = ibis.least(spans.left_at, spans.kind_since + ibis.interval(days=LONGEST_QUARTER))
    spans = spans.mutate(until=ibis.ifelse(spans.kind == OPEN, spans.left_at, closed_until))
    return Spans(spans.cache(), layout, book.minor_units, book.cut)


def read_history(spans: Spans, weeks: Weeks) -> History:
    """Count what stood at the end of each week, and what came of it by the end of the next."""
    ends = weeks.ends.assign(closed_from=weeks.ends["at"].shift())
    rows = _at(spans, ends).cache()
    then = rows.select("deal_id", week=_.week - 1, then=_.kind, to=_.stage)
    both = rows.filter(_.kind == OPEN).join(then, ["deal_id", "week"])
    moved = (both.then == OPEN) & (both.to != both.stage)
    cells = both.group_by("week", *FACTORS).agg(
        n=_.count(), n_won=(both.then == WON).sum(), n_lost=(both.then == LOST).sum(), n_moved=moved.sum()
    )
    moves = both.filter(moved).group_by("week", "group", "stage", "to").agg(n=_.count())
    return History(_sorted(cells), _sorted(moves), _births(rows, spans.layout), _wins(rows))


def _wins(rows: ibis.Table) -> pd.DataFrame:
    """Sums are of whole numbers, so that the order in which the engine adds does not matter."""
    won = rows.filter(_.kind == WON)
    was = rows.filter(_.kind == OPEN).select("deal_id", week=_.week + 1, was=_.amount_minor)
    both = won.left_join(was, ["deal_id", "week"]).drop("deal_id_right", "week_right")
    now = both.amount_minor
    priced = ((both.was > 0) & (now > 0)).fill_null(False)
    seconds = ibis.greatest(both.kind_since.epoch_seconds() - both.created_at.epoch_seconds(), 0)
    change2 = (((now.cast("float64") / both.was - 1) ** 2).clip(upper=100) * PARTS).round().cast("int64")
    table = _sorted(
        both.group_by("week").agg(
            n=_.count(), seconds=seconds.sum(), priced=priced.sum(), was=ibis.ifelse(priced, both.was, 0).sum(),
            became=ibis.ifelse(priced, now, 0).sum(), spread2=ibis.ifelse(priced, change2, 0).sum(),
            n_paid=(now > 0).sum().coalesce(0), minor=now.sum().coalesce(0), minor2=_squares(now),
        )
    )  # fmt: skip
    return table.assign(days=table.pop("seconds") / 86_400, spread2=table["spread2"] / PARTS)


def _squares(minor: ibis.Value) -> ibis.Value:
    """The exact sum of squares of whole numbers."""
    wide = minor.cast("decimal(19, 0)")
    return (wide * wide).sum().cast("float64").coalesce(0.0)


def _sorted(table: ibis.Table) -> pd.DataFrame:
    frame = table.execute()
    frame = frame.astype({name: "float64" for name in ("minor", "minor2", "was", "became", "seconds") if name in frame})
    text = frame.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]]
    frame = frame.fillna(dict.fromkeys(text, crm.NOT_KNOWN))
    return frame.sort_values(list(frame.columns), kind="stable", ignore_index=True)


def _at(spans: Spans, ends: pd.DataFrame) -> ibis.Table:
    """Deals at moments, by what they were then: one row for each of `ends` (week, at, closed_from, ...) and each deal
    that was open, or closed since `closed_from`."""
    layout, table = spans.layout, spans.table
    kept = ["deal_id", "pipeline", "created_at", *(f"by_{one}" for one in layout.units)]
    moments = ibis.memtable(ends.astype({"at": "datetime64[us]"}))
    here = [table.entered_at < moments.at, table.until.isnull() | (table.until >= moments.at)]
    rows = table.join(moments, [*here, (table.kind == OPEN) | (table.kind_since >= moments.closed_from)])
    known = rows.select(
        *ends.columns,
        *kept,
        "kind",
        "kind_since",
        "expected_close_on",
        "entered_at",
        "rep_id",
        category=rows.forecast_category if layout.categories else ibis.null("string"),
        amount_minor=rows.amount_minor
        if layout.amounts
        else ibis.ifelse(rows.kind == WON, rows.amount_minor, ibis.null("int64")),
        stage=_stage_code(rows, layout),
        stay_weeks=ibis.greatest((rows.at.epoch_seconds() - rows.stage_entered_at.epoch_seconds()) // WEEK_S, 0)
        if layout.stages["position"].min() > 0
        else ibis.greatest((rows.at.epoch_seconds() - rows.created_at.epoch_seconds()) // WEEK_S, 0),
        age_weeks=ibis.greatest((rows.at.epoch_seconds() - rows.created_at.epoch_seconds()) // WEEK_S, 0),
        pushes=ibis.least(rows.n_pushes, MOST_PUSHES),
        group=_group_code(rows.group, layout),
        size=_size_code(rows.amount_minor, spans),
    )
    return known.mutate(stay=_band(known.stay_weeks, STAY_EDGES), age=_band(known.age_weeks, AGE_EDGES))


def _band(weeks: ibis.Value, edges: tuple[int, ...]) -> ibis.Value:
    return sum(((weeks >= edge).cast("int64") for edge in edges), start=ibis.literal(0))


def _stage_code(rows: ibis.Table, layout: Layout) -> ibis.Value:
    """The code of an open stage; a stage that is not in the list is the first of its pipeline."""
    cases = []
    for pipeline, part in layout.stages.groupby("pipeline", dropna=False):
        here = rows.pipeline.isnull() if pd.isna(pipeline) else rows.pipeline == pipeline
        code = ibis.cases(*[(rows.position == int(row.position), row.Index) for row in part.itertuples()],
                          else_=int(part.index[0]))  # fmt: skip
        cases.append((here, code))
    return ibis.cases(*cases, else_=0)


def _group_code(group: ibis.Value, layout: Layout) -> ibis.Value:
    last = len(layout.groups) - 1
    if not last:
        return ibis.literal(0)
    return ibis.cases(*[(group == name, code) for code, name in enumerate(layout.groups[:-1])], else_=last)


def _size_code(minor: ibis.Value, spans: Spans) -> ibis.Value:
    """Bands that no data decide: half powers of ten of the currency; the last code is for no amount."""
    if not spans.layout.amounts:
        return ibis.literal(0)
    band = ibis.literal(0)
    for half in range(SIZES_FROM, SIZES_TO):
        band = band + (minor >= round(10 ** (half / 2) * spans.minor_units)).cast("int64")
    return band.coalesce(spans.layout.n_sizes - 1)


def _births(rows: ibis.Table, layout: Layout) -> pd.DataFrame:
    """Deals that came in during a week: created in it, or re-opened in it, by what they are at its end."""
    before = rows.filter(_.kind == OPEN).select("deal_id", week=_.week + 1, was=_.kind)
    here = rows.left_join(before, ["deal_id", "week"]).drop("deal_id_right", "week_right")
    new = here.created_at >= here.closed_from
    again = (here.created_at < here.closed_from) & (here.kind == OPEN) & here.was.isnull()
    here = here.filter((new | again).fill_null(False))
    landed = ibis.cases((here.kind == WON, WON_AT_ONCE), (here.kind == LOST, LOST_AT_ONCE), else_=here.stage)
    units = {one: here[f"by_{one}"] for one in layout.units}
    amount = here.amount_minor
    flat = here.select("week", "group", "size", landed=landed, amount=amount, **units,
                       pipeline=here.pipeline.coalesce(""))  # fmt: skip
    return _sorted(
        flat.group_by("week", "pipeline", "group", "size", *layout.units, "landed").agg(
            n=_.count(),
            n_priced=_.amount.count(),
            minor=_.amount.sum().coalesce(0),
            minor2=_squares(_.amount),
        )
    )


class Moments(NamedTuple):
    """What stood at some moments.

    deals : one row for each open deal at each: week (the moment's number), deal_id, stage, stay_weeks, age_weeks,
    pushes, group, size, rep_id, category, amount (whole units; NaN where it has none), due (expected to close by
    `due_by`), the units; and for quarters that have ended, won (by `due_by`) and won_amount.
    booked : week, the units, n, amount: won in the quarter up to each.
    """

    deals: pd.DataFrame
    booked: pd.DataFrame


def number_atoms(layout: Layout, history: History, moments: Moments) -> tuple[pd.DataFrame, History, Moments]:
    """The finest units, numbered, and what was read with the number (`atom`) in the place of their names."""
    units = list(layout.units)
    tables = [history.births, moments.deals, moments.booked]
    if not units:
        atoms, numbered = pd.DataFrame(index=[0]), [table.assign(atom=0) for table in tables]
    else:
        atoms = pd.concat([table[units].drop_duplicates() for table in tables]).drop_duplicates()
        atoms = atoms.sort_values(units, ignore_index=True)
        keyed = atoms.assign(atom=range(len(atoms)))
        numbered = [table.merge(keyed, on=units, how="left").drop(columns=units) for table in tables]
    births, deals, booked = numbered
    births = births.assign(pipeline=births["pipeline"].astype("category").cat.codes)
    return atoms, history._replace(births=births), Moments(deals, booked)


def read_booked(spans: Spans, moments: pd.DataFrame) -> pd.DataFrame:
    """week, deal_id, amount (whole units) of what was booked in the quarter up to each moment."""
    rows = _at(spans, moments[["week", "at", "begun"]].rename(columns={"begun": "closed_from"}))
    won = rows.filter(rows.kind == WON).select("week", "deal_id", "amount_minor")
    table = won.order_by("week", "deal_id").execute()
    return table.assign(amount=table.pop("amount_minor").astype("float64").fillna(0) / spans.minor_units)


def read_moments(book: crm.Book, spans: Spans, moments: pd.DataFrame) -> Moments:
    """Open deals and what was booked at moments, and what came of them by the quarter's end where that is known.

    Parameters
    ----------
    moments : week (a number of each, rising), at, begun (the quarter's first moment), end (the first after it), due_by.
    """
    layout = spans.layout
    columns = ["week", "at", "closed_from", "end", "due_by"]
    moments = moments.rename(columns={"begun": "closed_from"})
    rows = _at(spans, moments[columns]).cache()
    here = rows.filter(_.kind == OPEN)
    if not layout.amounts:  # the amounts of today are known, those of earlier days are not
        now = book.deals.select("deal_id", now_minor=_.amount_minor)
        here = here.left_join(now, "deal_id").drop("deal_id_right", "amount_minor")
        here = here.mutate(amount_minor=ibis.ifelse(here.at == spans.cut, here.now_minor, ibis.null("int64")))
    ends = moments.drop_duplicates("end").drop(columns="at").rename(columns={"end": "at"})
    ends = ends.loc[ends["at"] <= pd.Timestamp(spans.cut), ["week", "at", "closed_from"]]
    last = _at(spans, ends)
    last = last.filter(last.kind == WON)
    last = last.select("deal_id", end=last.at, won_minor=last.amount_minor, won_at=last.kind_since)
    both = here.left_join(last, ["deal_id", "end"]).drop("deal_id_right", "end_right")
    due = both.expected_close_on.cast("date") <= both.due_by.cast("date")
    deals = both.select(
        "week", "deal_id", "stage", "stay_weeks", "age_weeks", "pushes", "group", "size", "rep_id", "category",
        "amount_minor", "won_minor",
        won=both.won_at.notnull(), due=due.fill_null(False) if layout.due else ibis.literal(True),
        **{one: both[f"by_{one}"] for one in layout.units},
    ).order_by("week", "deal_id").execute()  # fmt: skip
    deals = deals.fillna(dict.fromkeys(layout.units, crm.NOT_KNOWN))
    units = spans.minor_units
    deals = deals.assign(amount=deals.pop("amount_minor").astype("float64") / units,
                         won_amount=deals.pop("won_minor").astype("float64").fillna(0) / units)  # fmt: skip
    won = rows.filter(rows.kind == WON)
    won = won.select("week", "amount_minor", **{one: won[f"by_{one}"] for one in layout.units})
    booked = _sorted(won.group_by("week", *layout.units).agg(n=_.count(), minor=_.amount_minor.sum().coalesce(0)))
    return Moments(deals, booked.assign(amount=booked.pop("minor").astype("float64") / units))
