"""Dated rows where an export has none: from when to when each was valid, by the tables of snapshots.

A row that a later snapshot has otherwise, or has no more, is valid until the day before that snapshot; the new one from
its day on. The rows of the first snapshot with the table are valid from the beginning. Something new begins on its own
day where that lies between the two snapshots: a rep on the day of hiring, the quota of a period on its first day, the
split of a new deal on the day of creation. Where a row was refused, or a file is missing, nothing has ended. Where the
last snapshot with the table dates its rows itself, its own dates are used.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from salesops.crm.parse import SQL_TYPES, literal, period_begins
from salesops.crm.tables import ARROW, TABLES, Table

NAMES = tuple(name for name, table in TABLES.items() if table.is_dated)
# Columns that can change without a new span: of all rows of a subject the value that was read last is shown.
UNDATED = {"reps": ("name", "hired_on", "left_on")}


class Taken(NamedTuple):
    """The table of one snapshot. before : the day of the snapshot before that has it too; None of the first. unread :
    rows of it that do not say of whom they are were refused."""

    day: dt.date
    before: dt.date | None
    folder: Path
    unread: bool


def write(con, draft: Path, snapshots: Mapping[str, Path], about: Mapping[str, Mapping], zone: str) -> None:
    """Write the dated tables of a book that is derived from snapshots (day -> folder) into its folder."""
    for name in NAMES:
        taken: list[Taken] = []
        for day, folder in sorted(snapshots.items()):
            if (folder / f"{name}.parquet").exists():
                unread = bool((about[day].get("n_refused_without_key") or {}).get(name))
                before = taken[-1].day if taken else None
                taken.append(Taken(dt.date.fromisoformat(day), before, folder, unread))
        if taken:
            _write(con, draft, TABLES[name], taken, zone)


def _write(con, draft: Path, table: Table, taken: list[Taken], zone: str) -> None:
    last = _rows(con, table, taken[-1].folder)
    is_dated = con.execute(f"SELECT count(valid_from) + count(valid_to) > 0 FROM {last}").fetchone()[0]
    rows = last if is_dated else _derive(con, table, taken, zone)
    columns = ", ".join(column.stored for column in table.columns)
    order = "" if is_dated else f" ORDER BY {', '.join(f'{column} NULLS FIRST' for column in table.key)}"
    path = draft / f"{table.name}.parquet"
    con.execute(
        f"COPY (SELECT {columns} FROM {rows}{order}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
    )


def _rows(con, table: Table, folder: Path) -> str:
    """The table of a snapshot with all columns of today, also where an earlier version wrote it."""
    file = f"read_parquet({literal(str(folder / f'{table.name}.parquet'))})"
    there = {name for name, *_type in con.execute(f"DESCRIBE SELECT * FROM {file}").fetchall()}
    shown = []
    for column in table.columns:
        value = column.stored if column.stored in there else f"NULL::{SQL_TYPES[ARROW[column.kind]]}"
        value = f"coalesce({value}, {literal(column.blank)})" if column.blank else value
        shown.append(f"{value} AS {column.stored}")
    return f"(SELECT {', '.join(shown)} FROM {file})"


def _derive(con, table: Table, taken: list[Taken], zone: str) -> str:
    """The engine's table of spans: a row for each time that what is said of a subject changed."""
    spans, undated = f"spans_{table.name}", UNDATED.get(table.name, ())
    for number, one in enumerate(taken):
        con.execute(f"CREATE OR REPLACE TEMP TABLE rows_now AS {_said(con, table, one)}")
        if not number:
            con.execute(f"CREATE TEMP TABLE {spans} AS SELECT *, true AS runs FROM rows_now")
            continue
        con.execute(
            f"UPDATE {spans} SET valid_to = DATE '{one.day}' - 1, runs = false WHERE runs"
            " AND subject || chr(29) || said NOT IN (SELECT subject || chr(29) || said FROM rows_now)"
            f" AND (subject IN (SELECT subject FROM rows_now) OR NOT ({_unsure(table, one)}))"
        )
        con.execute(
            f"INSERT INTO {spans} BY NAME SELECT * REPLACE ({_begins(table, one, spans, zone)} AS valid_from),"
            f" true AS runs FROM (FROM rows_now WHERE subject NOT IN (SELECT subject FROM {spans} WHERE runs)) new"
        )
        if undated:
            latest = ", ".join(f"{column} = n.{column}" for column in undated)
            con.execute(f"UPDATE {spans} s SET {latest} FROM rows_now n WHERE n.subject = s.subject")
    return spans


def _said(con, table: Table, one: Taken) -> str:
    """The rows of a snapshot that hold on its day, undated, one per `subject`; and what they have `said` of it."""
    texts = {
        column.name: f"coalesce(CAST({column.stored} AS VARCHAR), chr(30))"
        for column in table.columns
        if column.name not in ("valid_from", "valid_to")
    }
    free = {*table.subject, *UNDATED.get(table.name, ())}
    subject = " || chr(31) || ".join(texts[name] for name in table.subject)
    said = " || chr(31) || ".join(text for name, text in texts.items() if name not in free)
    day = f"DATE '{one.day}'"
    return (
        f"SELECT * REPLACE (NULL::DATE AS valid_from, NULL::DATE AS valid_to), {subject} AS subject, {said} AS said"
        f" FROM {_rows(con, table, one.folder)} WHERE coalesce(valid_from <= {day}, true) AND coalesce(valid_to >= {day}, true)"
        f" QUALIFY row_number() OVER (PARTITION BY {subject} ORDER BY valid_from DESC NULLS LAST, {said}) = 1"
    )


def _unsure(table: Table, one: Taken) -> str:
    """SQL: whether a row that a snapshot does not show may be among those that were refused."""
    refused = one.folder / f"refused_{table.name}.parquet"
    if one.unread or not refused.exists():
        return "true" if one.unread else "false"
    return f"{table.key[0]} IN (SELECT {table.key[0]} FROM read_parquet({literal(str(refused))}))"


def _begins(table: Table, one: Taken, spans: str, zone: str) -> str:
    """SQL of the first day of a row that a snapshot is the first to show."""
    day = f"DATE '{one.day}'"
    match table.name:
        case "reps":
            own = "hired_on"
        case "quotas":
            own = period_begins("period")
        case _:
            deals = f"read_parquet({literal(str(one.folder / 'deals.parquet'))})"
            local = f"CAST(created_at AT TIME ZONE 'UTC' AT TIME ZONE {literal(zone)} AS DATE)"
            own = f"(SELECT any_value({local}) FROM {deals} d WHERE d.deal_id = new.deal_id)"
    is_new = f"subject NOT IN (SELECT subject FROM {spans})"
    return f"CASE WHEN {is_new} AND {own} > DATE '{one.before}' AND {own} <= {day} THEN {own} ELSE {day} END"
