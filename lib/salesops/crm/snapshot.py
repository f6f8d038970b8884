"""History where the CRM keeps none: exports taken now and then, compared with each other.

A book that is fed with snapshots keeps the deals of each in `snapshots/<day>.parquet`. What differs between one and the
next becomes a row of `changes`, dated on the day of the snapshot that first shows it (a closing on its own day, if that lies
between the two); what the source logs itself is taken from its log. `audit.parquet` lists what was rewritten: what one
snapshot says of the past against what an earlier one had seen.
"""

import datetime as dt
import shutil
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow.parquet as pq

from salesops import periods
from salesops.crm import about as about_
from salesops.crm.parse import literal
from salesops.crm.prepare import TRACKED
from salesops.crm.tables import TABLES
from salesops.problems import BadInput

FIELDS = {"stage": "stage", **{field: stored for stored, (field, _kind) in TRACKED.items()}}  # logged as -> column
KINDS = {
    "back_dated": "closed on a day on which it was seen open",
    "edited_after_close": "changed after it was closed",
    "vanished": "gone from the export",
    "stage_renamed": "in a stage of which all deals are now in a new one",
}


class Pair(NamedTuple):
    """Two snapshots that follow each other: their days, their files, and the last moments (naive UTC) of their days."""

    before_on: str
    now_on: str
    before: str
    now: str
    before_end: dt.datetime
    now_end: dt.datetime


def earlier_stages(book: Path, currency: str, zone: str, vat: dict | None) -> list[dict]:
    """The stages of a book that a snapshot is added to, in their order.

    Raises
    ------
    BadInput
        If its amounts are in another currency or hold other VAT, or its days are of another time zone: they cannot be
        compared.
    """
    about = about_.read(book)
    differ = [
        f"{what} was {about[what]}, and is {now}; say --{what.replace('_', '-')} {about[what]}, or begin another book"
        for what, now in (("currency", currency), ("time_zone", zone))
        if about[what] != now
    ]
    if about["vat"] != vat:
        differ.append("its amounts held other VAT; say the same --vat, or begin another book")
    if differ:
        raise BadInput("the snapshot was not added", differ)
    return pq.read_table(book / "stages.parquet").to_pylist()


def add(draft: Path, earlier: Path | None, day: str, zone: str) -> dict:
    """Complete a book that was just read, and not yet prepared, by the snapshots of an earlier one.

    Parameters
    ----------
    draft : has `deals.parquet` and whatever else was read; gets `snapshots/`, `changes.parquet`, `audit.parquet`.
    earlier : the book that the snapshot is added to; None begins one.
    day : of this snapshot.

    Returns
    -------
    dict
        taken (days), gap (the longest: first and last day, days), rewritten (kind -> rows).

    Raises
    ------
    BadInput
        If there is a snapshot of that day or of a later one already.
    """
    place = draft / "snapshots"
    place.mkdir()
    old = sorted((earlier / "snapshots").glob("*.parquet")) if earlier else []
    if old and old[-1].stem >= day:
        raise BadInput("the snapshot was not added", [f"there is one of {old[-1].stem} already; this is of {day}"])
    if old:
        known = f"SELECT deal_id FROM read_parquet({literal(str(old[-1]))})"
        now = f"read_parquet({literal(str(draft / 'deals.parquet'))})"
        if not duckdb.execute(f"SELECT count(*) FROM {now} WHERE deal_id IN ({known})").fetchone()[0]:
            raise BadInput(
                "the snapshot was not added", [f"not one deal of {old[-1].stem} is in it; is it the same system?"]
            )
        _same_rates(draft, earlier, old[-1].stem)
    for path in old:
        shutil.copyfile(path, place / path.name)
    shutil.copyfile(draft / "deals.parquet", place / f"{day}.parquet")
    days = [path.stem for path in sorted(place.glob("*.parquet"))]
    pairs = [_pair(place, *two, zone) for two in zip(days, days[1:], strict=False)]
    with duckdb.connect(config={"memory_limit": "900MB", "temp_directory": str(draft / "scratch")}) as con:
        con.execute("SET enable_progress_bar = false")
        _write_changes(con, draft, pairs)
        rewritten = _write_audit(con, draft, pairs)
    spans = [
        (first, then, (dt.date.fromisoformat(then) - dt.date.fromisoformat(first)).days)
        for first, then in zip(days, days[1:], strict=False)
    ]
    return {"taken": days, "gap": max(spans, key=lambda span: span[2], default=None), "rewritten": rewritten}


def _same_rates(draft: Path, earlier: Path, day: str) -> None:
    """Rates of days that a snapshot has seen must not change: its amounts would seem to."""
    sides = []
    for book in (earlier, draft):
        path = book / "rates.parquet"
        rows = (
            f"SELECT currency, rate_on, rate, per FROM read_parquet({literal(str(path))}) WHERE rate_on <= DATE '{day}'"
        )
        sides.append(set(duckdb.execute(rows).fetchall()) if path.exists() else set())
    if sides[0] != sides[1]:
        changed = sorted(f"{currency} of {on}" for currency, on, *_rate in sides[0] ^ sides[1])[:5]
        raise BadInput("the snapshot was not added", [f"rates up to {day} are not those of then: {', '.join(changed)}"])


def _pair(place: Path, before: str, now: str, zone: str) -> Pair:
    ends = [periods.end_of(dt.date.fromisoformat(day), zone) - dt.timedelta(seconds=1) for day in (before, now)]
    files = [f"read_parquet({literal(str(place / f'{day}.parquet'))})" for day in (before, now)]
    return Pair(before, now, *files, *ends)


def _write_changes(con, draft: Path, pairs: list[Pair]) -> None:
    """The source's own log, and for fields that it does not log what differs between snapshots."""
    path = draft / "changes.parquet"
    logged = set()
    if path.exists():
        logged = {
            row[0] for row in con.execute(f"SELECT DISTINCT field FROM read_parquet({literal(str(path))})").fetchall()
        }
    parts = (
        [f"SELECT *, 0 AS pair, row_number() OVER () AS nth FROM read_parquet({literal(str(path))})"] if logged else []
    )
    for number, pair in enumerate(pairs, 1):
        closed = f"n.closed_at > TIMESTAMP '{pair.before_end}' AND n.closed_at <= TIMESTAMP '{pair.now_end}'"
        for field, column in FIELDS.items():
            if field in logged:
                continue
            at = f"TIMESTAMP '{pair.now_end}'"
            at = f"CASE WHEN {closed} THEN n.closed_at ELSE {at} END" if field == "stage" else at
            parts.append(
                f"SELECT n.deal_id, {at} AS changed_at, {literal(field)} AS field, CAST(b.{column} AS VARCHAR) AS old_value,"
                f" CAST(n.{column} AS VARCHAR) AS new_value, NULL::VARCHAR AS changed_by, {number} AS pair, 0 AS nth"
                f" FROM {pair.now} n JOIN {pair.before} b USING (deal_id) WHERE n.{column} IS DISTINCT FROM b.{column}"
            )
    if not parts:
        return
    names = ", ".join(TABLES["changes"].names)
    new = draft / "changes-new.parquet"
    con.execute(
        f"COPY (SELECT {names} FROM ({' UNION ALL '.join(parts)}) ORDER BY pair, nth, changed_at, deal_id, field)"
        f" TO {literal(str(new))} (FORMAT parquet, COMPRESSION zstd)"
    )
    new.replace(path)


def _write_audit(con, draft: Path, pairs: list[Pair]) -> dict[str, int]:
    """day, deal_id, kind, was, became: what a snapshot says of the past against what the one before had seen."""
    stages = f"read_parquet({literal(str(draft / 'stages.parquet'))})"
    kind = f"(SELECT deal_id, s.kind AS kind FROM {{}} d LEFT JOIN {stages} s ON s.stage = d.stage AND coalesce(s.pipeline, '') = coalesce(d.pipeline, ''))"
    parts = []
    for pair in pairs:
        both = (
            f"FROM {pair.now} n JOIN {pair.before} b USING (deal_id) JOIN {kind.format(pair.now)} nk USING (deal_id)"
            f" JOIN {kind.format(pair.before)} bk USING (deal_id)"
        )
        head = f"SELECT {literal(pair.now_on)} AS day, deal_id"
        parts += [
            f"{head}, 'back_dated' AS kind, {literal('open on ' + pair.before_on)} AS was, 'closed ' || CAST(n.closed_at AS VARCHAR) AS became"
            f" {both} WHERE bk.kind = 'open' AND nk.kind <> 'open' AND n.closed_at <= TIMESTAMP '{pair.before_end}'",
            f"{head}, 'vanished', b.stage, NULL FROM {pair.before} b WHERE deal_id NOT IN (SELECT deal_id FROM {pair.now})",
            f"{head}, 'stage_renamed', b.stage, n.stage {both} WHERE (b.stage, n.stage) IN (SELECT (was, became) FROM (SELECT b.stage AS was,"
            f" n.stage AS became, count(*) OVER (PARTITION BY b.stage) AS ways FROM {pair.now} n JOIN {pair.before} b USING (deal_id)"
            f" WHERE b.stage NOT IN (SELECT stage FROM {pair.now} WHERE stage IS NOT NULL)"
            f" GROUP BY b.stage, n.stage) WHERE ways = 1 AND became NOT IN (SELECT stage FROM {pair.before} WHERE stage IS NOT NULL))"
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
