"""History where the CRM keeps none: exports taken now and then, compared with each other.

A book that is fed with snapshots keeps every table of each, as it was read. Its own tables are derived from them: those
of the last snapshot, a log of changes, and spans of days for what has no log (see `spells`). What differs between one snapshot and the next becomes a row of `changes`,
dated on the day of the snapshot that first shows it (a closing on its own day, if that lies between the two); what the
source logs itself is taken from its log. `audit.parquet` lists what was rewritten: what one snapshot says of the past
against what an earlier one had seen. A deal whose row was refused is not gone: it stays as it was last seen.
"""

import datetime as dt
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from salesops import formats, periods
from salesops.crm import about as about_
from salesops.crm import spells, whole
from salesops.crm.parse import literal
from salesops.crm.prepare import TRACKED
from salesops.crm.tables import TABLES
from salesops.problems import BadInput

FACTS = "facts.json"  # of a snapshot: its format and what was known of its source
NEEDED = (FACTS, "deals.parquet")
REFUSED = "refused_deals.parquet"  # ids of the deals whose rows were refused; those of dated tables have others
FIELDS = {"stage": "stage", **{field: stored for stored, (field, _kind) in TRACKED.items()}}  # logged as -> column
KINDS = {
    "back_dated": "closed on a day on which it was seen open",
    "edited_after_close": "changed after it was closed",
    "vanished": "gone from the export",
    "returned": "back in the export after it was gone",
    "unseen": "not in the export, of which rows without an id were refused",
    "stage_renamed": "in a stage of which all deals are now in a new one",
}


class Pair(NamedTuple):
    """Two snapshots that follow each other: their days, views of their deals, and the last moment (naive UTC) of the
    later day.

    before, now : every deal ever seen by then, as it was last read; `seen_on` and `seen_end` beside its own columns are
    the day on which it was, and the last moment of that day. before_shown, now_shown : those that the snapshot has, and
    those whose rows in it were refused.
    """

    before_on: str
    now_on: str
    before: str
    now: str
    before_shown: str
    now_shown: str
    now_end: dt.datetime
    unread: bool  # rows without an id were refused in the later one


def facts(folder: Path) -> dict:
    """What is known of the source of a snapshot.

    Raises
    ------
    BadInput
        If the snapshot is not as it was written, or of a later version.
    """
    mend = "import that day again (--replace), or put back a copy"
    if fault := whole.fault(folder, NEEDED):
        raise BadInput(f"{folder} is damaged", [f"{fault}; {mend}"])
    try:
        content = json.loads((folder / FACTS).read_text("utf-8"))
        number, about = content["format"], content["about"]
        texts = {name: about[name] for name in ("title", "currency", "time_zone")}
        usable = all(isinstance(text, str) for text in texts.values()) and "vat" in about
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        usable = False
    if not usable:
        raise BadInput(f"{folder} is damaged", [f"{FACTS} has no facts of a snapshot; {mend}"])
    formats.check(number, formats.SNAPSHOT, str(folder / FACTS))
    return about


def keep(folder: Path, about: Mapping) -> None:
    """Complete the folder of a snapshot, which holds its tables as they were read."""
    content = {"format": formats.SNAPSHOT, "about": about}
    (folder / FACTS).write_text(json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
    whole.write(folder)


def drop_refused(folder: Path) -> None:
    """Remove the ids of refused rows, which snapshots are compared by, from tables that become a book."""
    for name in ("deals", *spells.NAMES):
        (folder / f"refused_{name}.parquet").unlink(missing_ok=True)


def migrate(book: Path, day: str, days: Sequence[str], folder: Path) -> Path:
    """Complete the folder of a snapshot from a book of format 1, which kept the deals of each day in
    `snapshots/<day>.parquet`, and all other tables of the last one alone; its log is the source's own part of the book's.
    """
    about = about_.read(book)
    shutil.copyfile(book / "snapshots" / f"{day}.parquet", folder / "deals.parquet")
    last = day == max(days)
    for name in [*TABLES, "stage_dates", "refused"] if last else ["stages"]:
        path = book / f"{name}.parquet"
        if name != "deals" and path.exists() and pq.read_metadata(path).num_rows:  # an empty one may have had no file
            shutil.copyfile(book / f"{name}.parquet", folder / f"{name}.parquet")
    if last:
        _keep_own_log(folder, book, days, about["time_zone"])
    known = ("title", "currency", "minor_digits", "time_zone", "n_refused", "refused", "n_left_out", "repairs",
             "notes_of_files", "written", "converted", "vat")  # fmt: skip
    keep(folder, {name: about[name] for name in known} | {"exported_on": day, "only_deals": not last})
    return folder


def _keep_own_log(folder: Path, book: Path, days: Sequence[str], zone: str) -> None:
    """Leave in a copied log the fields that the source logs itself: those whose rows are not what snapshots differ by."""
    path = folder / "changes.parquet"
    if not path.exists() or len(days) < 2:
        return
    place = {day: book / "snapshots" / f"{day}.parquet" for day in sorted(days)}
    with duckdb.connect() as con:
        con.execute("SET enable_progress_bar = false")
        con.execute(f"CREATE TABLE log AS SELECT * FROM read_parquet({literal(str(path))})")
        names = []
        for day, deals in place.items():
            end = periods.end_of(dt.date.fromisoformat(day), zone) - dt.timedelta(seconds=1)
            names.append((day, f"day{len(names)}", end))
            con.execute(
                f"CREATE VIEW {names[-1][1]} AS SELECT *, {literal(day)} AS seen_on, TIMESTAMP '{end}' AS seen_end"
                f" FROM read_parquet({literal(str(deals))})"
            )
        pairs = [
            Pair(before[0], now[0], before[1], now[1], before[1], now[1], now[2], False)
            for before, now in zip(names, names[1:], strict=False)
        ]
        differences = _differences(pairs, FIELDS)
        for (field,) in con.execute("SELECT DISTINCT field FROM log").fetchall():
            if field in FIELDS:
                own = f"SELECT deal_id, changed_at, old_value, new_value FROM log WHERE field = {literal(field)}"
                derived = " UNION ALL ".join(differences[field])
                derived = f"SELECT deal_id, changed_at, old_value, new_value FROM ({derived})"
                more = con.execute(f"SELECT count(*) FROM (({own}) EXCEPT ALL ({derived}))").fetchone()[0]
                if not more:
                    con.execute(f"DELETE FROM log WHERE field = {literal(field)}")
        con.execute(f"COPY log TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")


def stages(folders: Mapping[str, Path]) -> list[dict]:
    """The stages that snapshots (day -> folder) have seen, with positions in one order: that of the last snapshot, a
    stage that only an earlier one has behind the stage it stood behind there."""
    places: dict[tuple, tuple] = {}
    rows: dict[tuple, dict] = {}
    for age, folder in enumerate(path for _day, path in sorted(folders.items(), reverse=True)):
        anchor: dict[str | None, tuple] = {}
        for number, row in enumerate(_stored(folder, "stages")):
            key = row["pipeline"], row["stage"]
            if key in places:
                anchor[row["pipeline"]] = places[key]
            else:
                places[key] = (*anchor.get(row["pipeline"], (-1,)), age, number) if age else (number,)
                rows[key] = row
    ordered = sorted(rows, key=lambda key: places[key])
    return [rows[key] | {"position": position} for position, key in enumerate(ordered, 1)]


def _stored(folder: Path, name: str) -> list[dict]:
    path = folder / f"{name}.parquet"
    return pq.read_table(path).to_pylist() if path.exists() else []


def check(new: Path, about: Mapping, day: str, others: Mapping[str, Path], *, fewer: bool = False) -> None:
    """Refuse a snapshot that cannot be compared with those that a book has.

    Parameters
    ----------
    new : its folder, with the tables as they were read. about : what is known of its source.
    others : day -> folder of the book's other snapshots. fewer : most deals of the snapshot before may be missing.

    Raises
    ------
    BadInput
        If its amounts are in another currency or have other VAT, its days are of another time
        zone, its rates are not those of then, or its deals are not those of the snapshot before (or the first after) it.
    """
    if not others:
        return
    near = max((one for one in others if one < day), default=min(others))
    known = facts(others[near])
    differ = [
        f"{what} was {known[what]}, and is {about[what]}; say --{what.replace('_', '-')} {known[what]}, or begin another book"
        for what in ("currency", "time_zone")
        if known[what] != about[what]
    ]
    if known["vat"] != about["vat"]:
        differ.append("its amounts had other VAT; say the same --vat, or begin another book")
    if differ:
        raise BadInput("the snapshot was not added", differ)
    _same_deals(new, others[near], near, day, fewer=fewer)
    _same_rates({day: new, near: others[near]})


def check_system(system: str, others: Mapping[str, Path]) -> None:
    """Refuse a snapshot of another system than those that a book has.

    Raises
    ------
    BadInput
        If it is; snapshots of earlier versions do not say theirs.
    """
    known = {facts(folder).get("system") for folder in others.values()} - {None, system}
    if known:
        raise BadInput("the snapshot was not added", [f"it is of {system}, and the book of {min(known)}"])


def _same_deals(new: Path, other: Path, near: str, day: str, *, fewer: bool) -> None:
    """Refuse a snapshot whose deals are not those of a neighbour: none, created on other days, or most of them gone."""
    both = f"FROM {_rows(new, 'deals')} n JOIN {_rows(other, 'deals')} o USING (deal_id)"
    n_shared, n_strange = duckdb.execute(
        f"SELECT count(*), count(*) FILTER (CAST(n.created_at AS DATE) <> CAST(o.created_at AS DATE)) {both}"
    ).fetchone()
    n_other = duckdb.execute(f"SELECT count(*) FROM {_rows(other, 'deals')}").fetchone()[0]
    why = ""
    if not n_shared:
        why = f"not one deal of {near} is in it; is it the same system?"
    elif n_strange > n_shared / 2:
        why = f"{n_strange:,} of {n_shared:,} deals that both have were created on another day in it than in {near};"
        why += " is it the same company?"
    elif near < day and n_shared < n_other / 2 and not fewer:
        why = f"{n_other - n_shared:,} of {n_other:,} deals of {near} are not in it; if that is meant, say --fewer"
    if why:
        raise BadInput("the snapshot was not added", [why])


def _rows(folder: Path, name: str) -> str:
    return f"read_parquet({literal(str(folder / f'{name}.parquet'))})"


def _same_rates(snapshots: Mapping[str, Path]) -> None:
    """Rates of days that the earlier of two snapshots has seen must not change: its amounts would seem to."""
    day = min(snapshots)
    sides = []
    for folder in snapshots.values():
        rows = f"SELECT currency, rate_on, rate, per FROM {_rows(folder, 'rates')} WHERE rate_on <= DATE '{day}'"
        sides.append(set(duckdb.execute(rows).fetchall()) if (folder / "rates.parquet").exists() else set())
    if sides[0] != sides[1]:
        changed = sorted(f"{currency} of {on}" for currency, on, *_rate in sides[0] ^ sides[1])[:5]
        raise BadInput("the snapshot was not added", [f"rates up to {day} are not those of then: {', '.join(changed)}"])


def derive(draft: Path, snapshots: Mapping[str, Path]) -> dict:
    """Write the tables of a book, not yet prepared, into an empty folder: those of the last snapshot, and the log.

    Parameters
    ----------
    snapshots : day -> folder, one or more.

    Returns
    -------
    dict
        What is known of the source, with `snapshots`: taken (days), gap (the longest: first and last day, days),
        rewritten (kind -> rows), kept (status -> deals that stay as they were last seen, because their rows of the last
        snapshot were refused), open (open deals of the last snapshot).

    Raises
    ------
    BadInput
        If a snapshot is damaged, or the last one has only its deals (an earlier version kept no more).
    """
    days = sorted(snapshots)
    about = {day: facts(snapshots[day]) for day in days}
    last = about[days[-1]]
    if last.get("only_deals"):
        raise BadInput(
            f"the snapshot of {days[-1]} cannot be the last one",
            ["an earlier version kept its deals alone; import that day's export again (--replace)"],
        )
    for path in snapshots[days[-1]].glob("*.parquet"):
        shutil.copyfile(path, draft / path.name)
    drop_refused(draft)
    with duckdb.connect(config={"memory_limit": "900MB", "temp_directory": str(draft / "scratch")}) as con:
        con.execute("SET enable_progress_bar = false")
        _write_stages(con, draft, snapshots, derived=last.get("stages_derived", False))
        pairs, kept = _pairs(con, draft, snapshots, about, last["time_zone"])
        _write_changes(con, draft, snapshots, pairs)
        spells.write(con, draft, snapshots, about, last["time_zone"])
        rewritten = _write_audit(con, draft, pairs)
        n_open = con.execute(
            f"SELECT count(*) FROM {_kinds(draft, _rows(draft, 'deals'))} WHERE kind = 'open'"
        ).fetchone()[0]
    spans = [(first, then, (dt.date.fromisoformat(then) - dt.date.fromisoformat(first)).days)
             for first, then in zip(days, days[1:], strict=False)]  # fmt: skip
    gap = max(spans, key=lambda span: span[2], default=None)
    return last | {"snapshots": {"taken": days, "gap": gap, "rewritten": rewritten, "kept": kept, "open": n_open}}


def _write_stages(con, draft: Path, snapshots: Mapping[str, Path], *, derived: bool) -> None:
    """The stages of all snapshots; where they are derived, only those in which some deal is or was."""
    rows = stages(snapshots)
    if derived:
        used = set()
        for folder in snapshots.values():
            used |= set(
                con.execute(f"SELECT DISTINCT coalesce(pipeline, ''), stage FROM {_rows(folder, 'deals')}").fetchall()
            )
            if (folder / "changes.parquet").exists():
                used |= set(con.execute(
                    f"SELECT DISTINCT coalesce(pipeline, ''), unnest([old_value, new_value]) FROM {_rows(folder, 'changes')}"
                    f" JOIN {_rows(folder, 'deals')} USING (deal_id) WHERE field = 'stage'").fetchall())  # fmt: skip
        rows = [row for row in rows if (row["pipeline"] or "", row["stage"]) in used]
    if rows:
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["stages"].schema), draft / "stages.parquet")


def _pairs(con, draft: Path, snapshots: Mapping[str, Path], about: Mapping, zone: str) -> tuple[list[Pair], dict]:
    """Snapshots that follow each other. The last one, with the deals whose rows in it were refused as they were last
    seen, becomes the deals of the book; and how many are shown so, by status."""
    pairs: list[Pair] = []
    before_on, kept = "", {}
    for number, (day, folder) in enumerate(sorted(snapshots.items())):
        end = periods.end_of(dt.date.fromisoformat(day), zone) - dt.timedelta(seconds=1)
        own, seen, shown, absent = (f"{kind}{number}" for kind in ("own", "seen", "shown", "absent"))
        columns = f"*, {literal(day)} AS seen_on, TIMESTAMP '{end}' AS seen_end"
        con.execute(f"CREATE VIEW {own} AS SELECT {columns} FROM {_rows(folder, 'deals')}")
        if not number:
            con.execute(f"CREATE VIEW {seen} AS FROM {own}")
            con.execute(f"CREATE VIEW {shown} AS FROM {own}")
        else:
            before = f"seen{number - 1}"
            con.execute(f"CREATE TABLE {absent} AS FROM {before} WHERE deal_id NOT IN (SELECT deal_id FROM {own})")
            con.execute(f"CREATE VIEW {seen} AS FROM {own} UNION ALL BY NAME FROM {absent}")
            ids = (
                f"SELECT deal_id FROM {_rows(folder, 'refused_deals')}" if (folder / REFUSED).exists() else "SELECT ''"
            )
            refused = f"(FROM {absent} WHERE deal_id IN ({ids}))"
            con.execute(f"CREATE VIEW {shown} AS FROM {own} UNION ALL BY NAME {refused}")
            kinds = f"SELECT coalesce(kind, 'open'), count(*) FROM {_kinds(draft, refused)} GROUP BY 1"
            kept = dict(con.execute(kinds).fetchall())
            unread = bool(about[day].get("n_refused_without_id"))
            pairs.append(Pair(before_on, day, before, seen, f"shown{number - 1}", shown, end, unread))
        before_on = day
    if kept:
        columns = ", ".join(column.stored for column in TABLES["deals"].columns)
        target = draft / "deals-new.parquet"
        con.execute(
            f"COPY (SELECT {columns} FROM {shown}) TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )
        target.replace(draft / "deals.parquet")
    return pairs, kept


def _kinds(draft: Path, deals: str) -> str:
    """The ids of deals with the kind of the stage that each is in."""
    return (
        f"(SELECT deal_id, s.kind AS kind FROM {deals} d LEFT JOIN {_rows(draft, 'stages')} s"
        f" ON s.stage = d.stage AND coalesce(s.pipeline, '') = coalesce(d.pipeline, ''))"
    )


def _write_changes(con, draft: Path, snapshots: Mapping[str, Path], pairs: list[Pair]) -> None:
    """The source's own log, as any snapshot has it, and what differs between snapshots where that log says nothing."""
    names = ", ".join(TABLES["changes"].names)
    logs = [folder / "changes.parquet" for _day, folder in sorted(snapshots.items())]
    logs = [f"SELECT {names} FROM read_parquet({literal(str(path))})" for path in logs if path.exists()]
    if logs:
        every = f"SELECT *, row_number() OVER () AS nth FROM ({' UNION ALL '.join(logs)})"
        first = f"QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY nth) = 1"
        con.execute(f"CREATE TABLE log AS SELECT * FROM ({every}) {first}")
    parts = [f"SELECT {names}, 0 AS pair, nth FROM log"] if logs else []
    for rows in _differences(pairs, FIELDS, "log" if logs else "").values():
        parts += rows
    if not parts:
        return
    new = draft / "changes-new.parquet"
    con.execute(
        f"COPY (SELECT {names} FROM ({' UNION ALL '.join(parts)}) ORDER BY pair, nth, changed_at, deal_id, field)"
        f" TO {literal(str(new))} (FORMAT parquet, COMPRESSION zstd)"
    )
    new.replace(draft / "changes.parquet")


def _differences(pairs: Sequence[Pair], fields: Iterable[str], log: str = "") -> dict[str, list[str]]:
    """Field -> the rows of a log, in SQL, for what differs between the snapshots of each pair, where the source's own
    `log` has no row on that deal and field from the one to the other."""
    selects: dict[str, list[str]] = {field: [] for field in fields}
    for number, pair in enumerate(pairs, 1):
        closed = f"n.closed_at > b.seen_end AND n.closed_at <= TIMESTAMP '{pair.now_end}'"
        for field in selects:
            column, at = FIELDS[field], f"TIMESTAMP '{pair.now_end}'"
            at = f"CASE WHEN {closed} THEN n.closed_at ELSE {at} END" if field in ("stage", "pipeline") else at
            unsaid = (
                f" AND NOT EXISTS (SELECT 1 FROM {log} l WHERE l.deal_id = n.deal_id AND l.field = {literal(field)}"
                f" AND l.changed_at > b.seen_end AND l.changed_at <= TIMESTAMP '{pair.now_end}')"
            )
            selects[field].append(
                f"SELECT n.deal_id, {at} AS changed_at, {literal(field)} AS field, CAST(b.{column} AS VARCHAR) AS old_value,"
                f" CAST(n.{column} AS VARCHAR) AS new_value, NULL::VARCHAR AS changed_by, {number} AS pair, 0 AS nth"
                f" FROM {pair.now} n JOIN {pair.before} b USING (deal_id)"
                f" WHERE n.{column} IS DISTINCT FROM b.{column}{unsaid if log else ''}"
            )
    return selects


def _write_audit(con, draft: Path, pairs: list[Pair]) -> dict[str, int]:
    """day, deal_id, kind, was, became: what a snapshot says of the past against what the one before had seen."""
    parts = []
    for pair in pairs:
        both = (
            f"FROM {pair.now} n JOIN {pair.before} b USING (deal_id) JOIN {_kinds(draft, pair.now)} nk USING (deal_id)"
            f" JOIN {_kinds(draft, pair.before)} bk USING (deal_id)"
        )
        head = f"SELECT {literal(pair.now_on)} AS day, deal_id"
        parts += [
            f"{head}, 'back_dated' AS kind, 'open on ' || b.seen_on AS was, 'closed ' || CAST(n.closed_at AS VARCHAR) AS became"
            f" {both} WHERE bk.kind = 'open' AND nk.kind <> 'open' AND n.closed_at <= b.seen_end",
            f"{head}, '{'unseen' if pair.unread else 'vanished'}', b.stage, NULL FROM {pair.before_shown} b WHERE deal_id NOT IN (SELECT deal_id FROM {pair.now_shown})",
            f"{head}, 'returned', 'last seen on ' || b.seen_on, n.stage {both} WHERE n.seen_on = {literal(pair.now_on)}"
            f" AND deal_id NOT IN (SELECT deal_id FROM {pair.before_shown})",
            f"{head}, 'stage_renamed', b.stage, n.stage {both} WHERE (b.stage, n.stage) IN (SELECT (was, became) FROM (SELECT b.stage AS was,"
            f" n.stage AS became, count(*) OVER (PARTITION BY b.stage) AS ways FROM {pair.now_shown} n JOIN {pair.before_shown} b USING (deal_id)"
            f" WHERE b.stage NOT IN (SELECT stage FROM {pair.now_shown} WHERE stage IS NOT NULL)"
            f" GROUP BY b.stage, n.stage) WHERE ways = 1 AND became NOT IN (SELECT stage FROM {pair.before_shown} WHERE stage IS NOT NULL))"
            f" AND bk.kind = nk.kind AND bk.kind IS NOT NULL",
        ]
        for column in ("amount_minor", "closed_at"):
            parts.append(
                f"{head}, 'edited_after_close', {literal(column + ' ')} || CAST(b.{column} AS VARCHAR), CAST(n.{column} AS VARCHAR)"
                f" {both} WHERE bk.kind <> 'open' AND n.{column} IS DISTINCT FROM b.{column}"
            )
    if not parts:
        return {}
    path = draft / "audit.parquet"
    con.execute(
        f"COPY ({' UNION ALL '.join(parts)} ORDER BY day, kind, deal_id, was) TO {literal(str(path))} (FORMAT parquet)"
    )
    kinds = pq.read_table(path, columns=["kind"])["kind"].to_pylist()
    return {name: kinds.count(name) for name in KINDS if name in kinds}
