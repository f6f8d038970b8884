"""Prepared once, on import: the change log becomes intervals, kept as Parquet.

`visits`  one row per stay of a deal in a stage, half-open [entered_at, left_at), sorted by deal and time.
`month_ends`  open deals and their amount at the end of each month, by pipeline and stage.
`states`  one row per span in which nothing tracked of a deal changed: stage, amount, expected close,
          rep, forecast category, pipeline; what was known on a day is one filter on it.

Where the log does not begin with the deal, the first change's old value tells what was before. Where
there is no log, dated stage columns serve, else the current stage alone (`history` of the book says).
"""

import datetime as dt
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _

from salesops import formats, periods
from salesops.crm import engine, whole
from salesops.crm.tables import TABLES
from salesops.problems import BadInput

TICK = 900  # seconds
DIGITS = 9  # of the number of a change of one deal
NOTHING = "\x1f\x1f"  # written for a value that a change took away; no field of a log has it
TRACKED = {
    "amount_minor": ("amount", "int64"),
    "expected_close_on": ("expected_close_on", "date"),
    "rep_id": ("rep_id", "string"),
    "forecast_category": ("forecast_category", "string"),
    "pipeline": ("pipeline", "string"),
}
ALWAYS_KNOWN = ("rep_id", "pipeline")  # shown of an earlier day as they are now where the source does not log them


def prepare(folder: Path, about: dict) -> None:
    """Derive `visits` and `states` from the canonical Parquet files in `folder`; write `book.json` and `whole.json`.

    Parameters
    ----------
    folder : holds `<table>.parquet` for deals, stages and whatever else there is, and
        `stage_dates.parquet` (deal_id, stage, entered_at) where the source dates the stages of a deal.
    about : what is known of the source (title, currency, refused rows, ...); completed here.
    """
    con = engine.connect(scratch=folder / "scratch")
    for name, table in TABLES.items():
        if not (folder / f"{name}.parquet").exists():
            pq.write_table(table.schema.empty_table(), folder / f"{name}.parquet")
    _rank_stages(folder / "stages.parquet")
    read = {
        name: con.read_parquet(folder / f"{name}.parquet", table_name=name) for name in ("deals", "stages", "changes")
    }
    dated = (folder / "stage_dates.parquet").exists() and not _log(read["changes"]).count().execute()
    if dated:
        read["stage_dates"] = con.read_parquet(folder / "stage_dates.parquet", table_name="stage_dates")
        entered = _dated(read["stage_dates"], read["deals"], read["stages"])
        opened = entered.join(read["stages"].filter(_.kind == "open"), "stage")
        about = {**about, "stages_dated": bool(opened.count().execute())}
    fields = tuple(sorted(read["changes"].select("field").distinct().execute()["field"].dropna()))
    entries, history = (_dated_visits, ["stage_dates"]) if dated else (_logged_visits, [])
    used = [read[name] for name in ("deals", "stages", "changes", *history)]
    _derive(con, folder / "visits.parquet", entries, used, fields)
    read["visits"] = con.read_parquet(folder / "visits.parquet", table_name="visits")
    _derive(con, folder / "states.parquet", _states, [read[name] for name in ("deals", "visits", "changes")], fields)
    about = {**about, **_facts(con, folder, dated=dated)}
    if not (about["last_moment"] or about["exported_on"]):
        raise BadInput(f"{about['title']} cannot be used", ["no row has any date; say exported_on in the mapping"])
    ends = month_ends(con.read_parquet(folder / "states.parquet"), about)
    ends.to_parquet(folder / "month_ends.parquet", index=False)
    con.disconnect()
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    about = {"format": formats.BOOK, **about}
    (folder / "book.json").write_text(json.dumps(about, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
    whole.write(folder)


def _rank_stages(path: Path) -> None:
    """Positions 1, 2, ... in each pipeline, open stages first, whatever numbers the source has."""
    stages = pq.read_table(path).to_pandas()
    stages["ended"] = stages["kind"] != "open"
    stages = stages.sort_values(["pipeline", "ended", "position", "stage"], kind="stable")
    stages["position"] = stages.groupby("pipeline", dropna=False).cumcount() + 1
    pq.write_table(pa.Table.from_pandas(stages, schema=TABLES["stages"].schema, preserve_index=False), path)


def _derive(con, path: Path, derivation: Callable, tables: Sequence[ibis.Table], *more) -> None:
    """Write what is derived from tables of the engine, each read under a name of its own."""
    query = _sql(derivation, tuple((table.get_name(), table.schema()) for table in tables), *more)
    target = str(path).replace("'", "''")
    con.raw_sql(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


@functools.lru_cache(maxsize=32)
def _sql(derivation: Callable, schemas: tuple[tuple[str, ibis.Schema], ...], *more) -> str:
    """The query of a derivation, the same for all books of a shape: to write it takes longer than to run it on a small
    book."""
    return ibis.to_sql(derivation(*(ibis.table(schema, name) for name, schema in schemas), *more), dialect="duckdb")


def _log(changes: ibis.Table) -> ibis.Table:
    """The entries into stages that the log has; `line` is their place in it."""
    log = _numbered(changes).filter(_.field == "stage", _.new_value.notnull())
    return log.select("deal_id", at=_.changed_at, stage=_.new_value, before=_.old_value, line=_.line)


def _logged_visits(deals: ibis.Table, stages: ibis.Table, changes: ibis.Table, fields: tuple[str, ...]) -> ibis.Table:
    return _visits(deals, _log(changes), stages, _moves(changes, fields))


def _dated_visits(
    deals: ibis.Table, stages: ibis.Table, changes: ibis.Table, dated: ibis.Table, fields: tuple[str, ...]
) -> ibis.Table:
    return _visits(deals, _dated(dated, deals, stages), stages, _moves(changes, fields))


def _moves(changes: ibis.Table, fields: tuple[str, ...]) -> ibis.Table | None:
    """The changes of pipelines; None where none is logged."""
    return _numbered(changes).filter(_.field == "pipeline") if "pipeline" in fields else None


def _numbered(changes: ibis.Table) -> ibis.Table:
    """The log with the place of each row, `line`."""
    return changes.mutate(line=ibis.row_number(), **_no_blank_pipelines(changes))


def _dated(dated: ibis.Table, deals: ibis.Table, stages: ibis.Table) -> ibis.Table:
    order = stages.select("pipeline", "stage", line=_.position)
    placed = dated.join(deals.select("deal_id", "pipeline"), "deal_id").join(order, ["pipeline", "stage"])
    return placed.select(
        "deal_id", at=_.entered_at, stage=_.stage, before=ibis.null("string"), line=_.line.cast("int64")
    )


def _no_blank_pipelines(changes: ibis.Table) -> dict[str, ibis.Column]:
    """Logged values with pipelines as deals have them, where one without a name is blank and not missing."""
    is_pipeline = changes.field == "pipeline"
    return {
        side: ibis.ifelse(is_pipeline, changes[side].coalesce(""), changes[side]) for side in ("old_value", "new_value")
    }


def _visits(deals: ibis.Table, log: ibis.Table, stages: ibis.Table, moves: ibis.Table | None) -> ibis.Table:
    """moves : the changes of pipelines; None where none is logged."""
    kinds = stages.select("pipeline", "stage", "position", "kind")
    current = deals.left_join(kinds, ["pipeline", "stage"]).select(
        "deal_id", "pipeline", "stage", "kind", "created_at", "closed_at"
    )
    ends = log.group_by("deal_id").agg(
        first_at=_.at.min(),
        last_at=_.at.max(),
        before=_.before.argmin(_.line + _.at.epoch_seconds() * 2**30),
        last_stage=_.stage.argmax(_.line + _.at.epoch_seconds() * 2**30),
    )
    seen = current.left_join(ends, "deal_id").drop("deal_id_right")
    # Closed, but the log does not say so: the deal's own closing moment does.
    closing = seen.filter(
        _.kind.isin(["won", "lost"]),
        _.closed_at.notnull(),
        _.last_at.isnull() | ((_.last_stage != _.stage) & (_.closed_at >= _.last_at)),
    ).select("deal_id", at=_.closed_at, stage=_.stage, line=ibis.literal(2**31))
    # What was before the first entry of the log: its old value, else a stage that is not known.
    logged = _.first_at.notnull()
    closed_only = (~logged) & _.kind.isin(["won", "lost"]) & _.closed_at.notnull()
    undated = (~logged) & _.kind.isin(["won", "lost"]) & _.closed_at.isnull()
    begun_at = ibis.cases(
        (closed_only, ibis.least(_.created_at, _.closed_at)), (undated, ibis.null("timestamp")), else_=_.created_at
    )
    opening = seen.filter(
        (~logged) | _.before.notnull() | (_.created_at.epoch_seconds() < _.first_at.epoch_seconds())
    ).select(
        "deal_id",
        at=ibis.ifelse(logged, ibis.least(_.created_at.coalesce(_.first_at), _.first_at), begun_at),
        stage=ibis.ifelse(logged, _.before, ibis.ifelse(closed_only, ibis.null("string"), _.stage)),
        line=ibis.literal(-1),
    )
    rows = [part.mutate(line=_.line.cast("int64")) for part in (opening, log.drop("before"), closing)]
    events = ibis.union(*rows)
    events = (
        events.join(deals.select("deal_id", "pipeline"), "deal_id")
        if moves is None
        else _in_pipelines(events, moves, deals, stages)
    )
    order = [ibis.asc(events.at, nulls_first=True), events.line]
    by_deal = ibis.window(group_by=events.deal_id, order_by=order)
    prior = {f"was_{name}": events[name].lag().over(by_deal) for name in ("stage", "pipeline")}
    moved = events.mutate(n=ibis.row_number().over(by_deal), **prior)
    stays = _.stage.identical_to(_.was_stage) & _.pipeline.identical_to(_.was_pipeline)
    moved = moved.filter((_.n == 0) | ~stays).drop("n", *prior)
    placed = moved.left_join(kinds, ["pipeline", "stage"])
    placed = placed.select("deal_id", "at", "line", "pipeline", "stage", "position", kind=_.kind.coalesce("open"))
    order = [ibis.asc(placed.at, nulls_first=True), placed.line]
    by_deal = ibis.window(group_by=placed.deal_id, order_by=order)
    stays = placed.mutate(
        seq=ibis.row_number().over(by_deal),
        left_at=placed.at.lead().over(by_deal),
        prior=placed.position.lag().over(by_deal),
        prior_kind=placed.kind.lag().over(by_deal),
        prior_pipeline=placed.pipeline.lag().over(by_deal),
    )
    entry = ibis.cases(
        (stays.seq == 0, "new"),
        (stays.kind != "open", "close"),
        (stays.prior_kind != "open", "reopen"),
        (stays.pipeline != stays.prior_pipeline, "moved"),
        (stays.position > stays.prior + 1, "skip"),
        (stays.position < stays.prior, "back"),
        else_="advance",
    )
    # A deal is won when it first enters a won stage and stays in such: "won", then "delivered" is one win.
    turned = (stays.kind != stays.prior_kind).fill_null(True).cast("int64")
    runs = stays.mutate(entry_kind=entry, turn=turned)
    so_far = ibis.cumulative_window(group_by=runs.deal_id, order_by=runs.seq)
    runs = runs.mutate(run=runs.turn.sum().over(so_far))
    since = runs.at.min().over(ibis.window(group_by=[runs.deal_id, runs.run]))
    return (
        runs.mutate(kind_since=since)
        .select(
            "deal_id",
            "seq",
            "pipeline",
            "stage",
            "position",
            "kind",
            "kind_since",
            "left_at",
            "entry_kind",
            entered_at=_.at,
        )
        .order_by("deal_id", "seq")
    )


def _in_pipelines(events: ibis.Table, moves: ibis.Table, deals: ibis.Table, stages: ibis.Table) -> ibis.Table:
    """The entries of stages with the pipeline that the deal was in then, and an entry for each change of pipeline: a
    stage of the same name is another one there. Of a moment with both, the pipeline changed first.

    A stage that its pipeline does not have is one of the deal's pipeline now, if that has it: logs may date the change
    of a stage and that of its pipeline apart.
    """
    first = moves.group_by("deal_id").agg(first=_.old_value.argmin(_.line + _.changed_at.epoch_seconds() * 2**30))
    entries = events.select("deal_id", "at", "stage", is_entry=True, line=_.line, into=ibis.null("string"))
    changed = moves.select("deal_id", at=_.changed_at, stage=ibis.null("string"), is_entry=False,
                           line=_.line.cast("int64"), into=_.new_value)  # fmt: skip
    both = ibis.union(entries, changed)
    order = [ibis.asc(both.at, nulls_first=True), both.is_entry, both.line]
    both = both.mutate(
        nth=ibis.row_number().over(ibis.window(group_by=both.deal_id, order_by=order)),
        entered=both.is_entry.any().over(ibis.window(group_by=[both.deal_id, both.at])),
    )
    number = both.nth.cast("string").lpad(DIGITS, "0")
    so_far = ibis.cumulative_window(group_by="deal_id", order_by="nth")
    last_stage = ibis.ifelse(both.is_entry, number.concat(both.stage.coalesce(NOTHING)), ibis.null("string"))
    last_into = ibis.ifelse(both.is_entry, ibis.null("string"), number.concat(both.into))
    both = both.mutate(stage=last_stage.max().over(so_far), into=last_into.max().over(so_far))
    both = both.filter(both.stage.notnull(), both.is_entry | ~both.entered)
    both = both.mutate(stage=both.stage.substr(DIGITS).nullif(NOTHING), into=both.into.substr(DIGITS))
    placed = both.left_join(first, "deal_id").drop("deal_id_right")
    placed = placed.join(deals.select("deal_id", now="pipeline"), "deal_id")
    placed = placed.mutate(then=ibis.coalesce(placed.into, placed.first, placed.now))
    known = stages.select("pipeline", "stage", known=True)
    for name in ("then", "now"):
        placed = placed.left_join(known, [(name, "pipeline"), "stage"]).drop("pipeline", "stage_right")
        placed = placed.rename(**{f"{name}_has": "known"})
    elsewhere = placed.then_has.isnull() & placed.now_has.notnull()
    return placed.select("deal_id", "at", "line", "stage", pipeline=ibis.ifelse(elsewhere, placed.now, placed.then))


def _states(deals: ibis.Table, visits: ibis.Table, changes: ibis.Table, fields: tuple[str, ...]) -> ibis.Table:
    """fields : those that the log has."""
    changes = _numbered(changes)
    at_stage = visits.select(
        "deal_id", at=_.entered_at, line=_.seq, field=ibis.literal("stage"), value=_.seq.cast("string")
    )
    names = [field for field, kind in TRACKED.values() if field in fields]
    tracked = changes.filter(changes.field.isin(names))
    logged = tracked.select("deal_id", at=_.changed_at, line=_.line, field=_.field, value=_.new_value)
    key = tracked.line + tracked.changed_at.epoch_seconds() * 2**30
    first = tracked.group_by("deal_id", "field").agg(value=_.old_value.argmin(key))
    begun = visits.filter(_.seq == 0).select("deal_id", at=_.entered_at)
    opening = first.join(begun, "deal_id").select(
        "deal_id", "at", line=ibis.literal(-1, "int64"), field=_.field, value=_.value
    )
    events = ibis.union(at_stage, logged, opening)
    wide = events.group_by("deal_id", "at").agg(
        **{f"has_{f}": (_.field == f).any() for f in ["stage", *names]},
        **{f"new_{f}": _.value.argmax(_.line, where=_.field == f) for f in ["stage", *names]},
    )
    by_deal = ibis.window(group_by="deal_id", order_by=ibis.asc("at", nulls_first=True))
    wide = wide.mutate(left_at=_.at.lead().over(by_deal), nth=ibis.row_number().over(by_deal))
    # The last value set so far is the greatest of those that begin with their number, which is then cut off.
    so_far = ibis.cumulative_window(group_by="deal_id", order_by="nth")
    number = _.nth.cast("string").lpad(DIGITS, "0")
    set_to = {f: number.concat(_[f"new_{f}"].coalesce(NOTHING)) for f in ["stage", *names]}
    last = {f: ibis.ifelse(_[f"has_{f}"], value, ibis.null("string")).max().over(so_far) for f, value in set_to.items()}
    filled = wide.mutate(**last).mutate(**{f: _[f].substr(DIGITS) for f in last})
    spans = filled.select("deal_id", "at", "left_at", *names, seq=_.stage.cast("int64"))
    stays = visits.select("deal_id", "seq", "stage", "position", "kind", "kind_since", stage_entered_at=_.entered_at)
    spans = spans.join(stays, ["deal_id", "seq"])
    static = deals.select("deal_id", **{f"now_{name}": deals[name] for name in TRACKED})
    spans = spans.join(static, "deal_id")
    return spans.select(
        "deal_id",
        "left_at",
        "seq",
        "stage",
        "position",
        "kind",
        "kind_since",
        "stage_entered_at",
        entered_at=_.at,
        **{
            name: ibis.ifelse(_[field].notnull(), _[field].nullif(NOTHING).cast(kind), _[f"now_{name}"])
            if field in names
            else _[f"now_{name}"]
            for name, (field, kind) in TRACKED.items()
        },
    ).order_by("deal_id", "entered_at")


def _log_begins(deals: ibis.Table, visits: ibis.Table, changes: ibis.Table) -> str | None:
    """The first moment of the log, if some deals are older and had moved before; None where nothing is missing.

    Older deals that had not moved yet are no better known: that they had not is why they are seen.
    """
    first = changes.filter(_.field == "stage").changed_at.min().execute()
    if pd.isna(first):
        return None
    older = deals.filter(_.created_at < ibis.timestamp(str(first))).select("deal_id")
    begun = visits.filter(_.seq == 0, _.position.isnull() | (_.position > 1)).join(older, "deal_id")
    return str(first) if begun.count().execute() else None


def month_ends(states: ibis.Table, about: dict) -> pd.DataFrame:
    """The open pipeline at month ends, by sweep line: in when a span is entered, out when it is left.

    The engine sums by quarter of an hour (every time zone's months begin on one), exactly, in minor units;
    what is open at a month's end is the running sum of what came in and went out before it.
    """
    spans = states.filter(_.kind == "open")
    moves = []
    for moment, sign in (("entered_at", 1), ("left_at", -1)):
        here = spans.filter(spans[moment].notnull(), spans.entered_at.notnull())
        rows = here.select("pipeline", "stage", "amount_minor", tick=here[moment].epoch_seconds() // TICK)
        sums = rows.group_by("pipeline", "stage", "tick").agg(n_open=_.count(), amount_minor=_.amount_minor.sum())
        table = sums.execute().fillna({"amount_minor": 0, "stage": ""})
        moves.append(
            table.assign(n_open=sign * table["n_open"], amount_minor=sign * table["amount_minor"].astype("int64"))
        )
    moved = pd.concat(moves)
    if moved.empty:
        return pd.DataFrame(columns=["pipeline", "stage", "month_on", "end_at", "n_open", "amount_minor"])
    months = _months(about)
    cuts = np.array([pd.Timestamp(end).timestamp() for _first, end in months], dtype="int64")
    month = np.searchsorted(cuts, moved["tick"].to_numpy() * TICK, side="right")  # the first end that sees the move
    moved = moved.assign(month=month)[month < len(cuts)]
    by_month = moved.groupby(["pipeline", "stage", "month"])[["n_open", "amount_minor"]].sum()
    every = pd.MultiIndex.from_product([*by_month.index.levels[:2], range(len(cuts))], names=by_month.index.names)
    running = by_month.reindex(every, fill_value=0).groupby(level=[0, 1]).cumsum().reset_index()
    first, end = (pd.Series([pair[k] for pair in months]) for k in (0, 1))
    if "amount" not in about["tracked"]:  # what a deal was worth then is not known
        running["amount_minor"] = pd.array([pd.NA] * len(running), dtype="Int64")
    running = running.assign(
        month_on=running["month"].map(first), end_at=running["month"].map(end).astype("datetime64[us]")
    )
    return running[["pipeline", "stage", "month_on", "end_at", "n_open", "amount_minor"]]


def _months(about: dict) -> list[tuple[dt.date, dt.datetime]]:
    """Each whole month of the data: its first day, and the first moment (UTC) after it."""
    moments = [pd.Timestamp(about[name]).tz_localize("UTC") for name in ("first_moment", "last_moment")]
    first, last = (moment.tz_convert(about["time_zone"]).date().replace(day=1) for moment in moments)
    days = [periods.add_months(first, k) for k in range(periods.months_between(first, last) + 1)]
    return [(day, periods.start_of(periods.add_months(day, 1), about["time_zone"])) for day in days]


def _filled(table: ibis.Table) -> list[str]:
    """The columns that have any value."""
    counts = table.agg(**{name: table[name].count() for name in table.columns}).execute().iloc[0]
    return sorted(name for name, n in counts.items() if n)


def _ends(moments: ibis.Column) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first and the last of moments; NaT where there is none."""
    table = moments.name("at").as_table()
    return tuple(table.agg(first=_.at.min(), last=_.at.max()).execute().iloc[0])


def _facts_of(table: ibis.Table, moment: str, **conditions: ibis.Deferred) -> pd.Series:
    """`first` and `last` of a moment, and in how many rows each condition holds."""
    counts = {name: _.count(where=condition) for name, condition in conditions.items()}
    return table.agg(first=_[moment].min(), last=_[moment].max(), **counts).execute().iloc[0]


def _facts(con, folder: Path, *, dated: bool) -> dict:
    paths = {name: folder / f"{name}.parquet" for name in [*TABLES, "visits", "states"]}
    n_rows = {name: pq.read_metadata(path).num_rows for name, path in paths.items()}
    needed = {"deals", "visits", "changes"} | {name for name, n in n_rows.items() if n}
    read = {name: con.read_parquet(path) for name, path in paths.items() if name in needed}
    deals, visits, changes = read["deals"], read["visits"], read["changes"]
    of_deals = _facts_of(deals, "created_at", unknown=_.created_at.isnull(), closed_before=_.closed_at < _.created_at)
    of_changes = _facts_of(changes, "changed_at", of_stage=_.field == "stage")
    of_visits = _facts_of(visits, "entered_at", undated=(_.kind != "open") & _.entered_at.isnull())
    spans = [(one["first"], one["last"]) for one in (of_deals, of_changes, of_visits)]  # other moments may be plans
    if not n_rows["deals"]:  # a source of other tables alone
        others = {"leads": ["created_at"], "activities": ["started_at"], "payments": ["paid_at"],
                  "revenue": ["month_on"], "purchases": ["bought_at"], "cancellations": ["cancelled_on"],
                  "subscriptions": ["started_on", "ended_on"]}  # fmt: skip
        spans += [
            _ends(read[name][column].cast("timestamp"))
            for name, columns in others.items()
            if n_rows[name]
            for column in columns
        ]
    firsts = [first for first, last in spans if pd.notna(first)]
    lasts = [last for first, last in spans if pd.notna(last)]
    logged = set(changes.select("field").distinct().execute()["field"])
    ended = visits.filter(_.left_at.isnull()).join(deals.select("deal_id", now=_.stage), "deal_id")
    log_begins = _log_begins(deals, visits, changes)
    older = deals.filter(_.created_at < ibis.timestamp(log_begins)).count().execute() if log_begins else 0
    return {
        "history": "changes" if of_changes["of_stage"] else "stage_dates" if dated else "current_stage",
        "tracked": sorted(logged),
        "log_begins": log_begins,
        "first_moment": str(min(firsts)) if firsts else None,
        "last_moment": str(max(lasts)) if lasts else None,
        "n_rows": n_rows,
        "filled": {name: _filled(read[name]) if n_rows[name] else [] for name in TABLES},
        "notes": {
            "older_than_log": int(older),
            "created_unknown": int(of_deals["unknown"]),
            "closed_undated": int(of_visits["undated"]),
            "closed_before_created": int(of_deals["closed_before"]),
            "stage_not_as_logged": int(ended.filter(_.now.notnull(), _.now != _.stage).count().execute()),
        },
    }
