"""What a book holds, and which questions it can answer: for `salesops check`."""

import importlib
from collections.abc import Mapping
from pathlib import Path

from salesops import project
from salesops.crm import snapshot
from salesops.crm.book import Book
from salesops.crm.tables import TABLES
from salesops.problems import printable

MOMENTS = ("moment", "day")


def facts(book: Book) -> dict:
    """The book's tables, spans, refused and repaired rows, how it was written, and what each question lacks.

    Everything is plain data, fit for JSON.
    """
    about = book.about
    return {
        "title": book.title,
        "currency": book.currency,
        "time_zone": book.time_zone,
        "last_on": str(book.last_on),
        "history": about["history"],
        "tracked": about["tracked"],
        "tables": {name: _table(book, name) for name in TABLES if about["n_rows"].get(name)},
        "refused": about["n_refused"],
        "problems": about["refused"],
        "left_out": about["n_left_out"],
        "repairs": about["repairs"],
        "found_in_files": about["notes_of_files"],
        "written": about["written"],
        "converted": about["converted"],
        "vat": about["vat"],
        "snapshots": about.get("snapshots"),
        "notes": {name: n for name, n in about["notes"].items() if n},
        "questions": {name: lacks(needs, about) for name, needs in questions().items()},
    }


def questions() -> dict[str, Mapping[str, tuple[str, ...]]]:
    """Each question of the playbook with the tables and columns that it needs."""
    found = {}
    for path in sorted(project.PACKAGE.glob("*/params.py")):
        params = importlib.import_module(f"salesops.{path.parent.name}.params").Params
        found[path.parent.name] = params.needs
    return found


def lacks(needs: Mapping[str, tuple[str, ...]], about: dict) -> list[str]:
    """What of the tables and columns needed a book has not."""
    missing = []
    for table, columns in needs.items():
        if not about["n_rows"].get(table):
            missing.append(table)
        else:
            stored = {name: TABLES[table][name].stored for name in columns}
            missing += [f"{table}.{name}" for name in columns if stored[name] not in about["filled"][table]]
    return missing


def _table(book: Book, name: str) -> dict:
    """Rows of a table, the columns that have any value, and the first and last of its moments."""
    filled = book.about["filled"][name]
    table = book._con.read_parquet(Path(book.folder) / f"{name}.parquet")
    dated = [c.stored for c in TABLES[name].columns if c.kind in MOMENTS and c.stored in filled]
    spans = {}
    if dated:
        row = (
            table.agg(**{f"{end}_{c}": getattr(table[c], end)() for c in dated for end in ("min", "max")})
            .execute()
            .iloc[0]
        )
        spans = {c: [str(row[f"min_{c}"])[:19], str(row[f"max_{c}"])[:19]] for c in dated}
    return {"rows": book.about["n_rows"][name], "columns": filled, "spans": spans}


def text(found: dict) -> str:
    """The facts for people."""
    lines = [
        f"{found['title']}: amounts in {found['currency']}, days of {found['time_zone']},"
        f" known up to {found['last_on']}",
        f"history: {found['history']}{'; logged: ' + ', '.join(found['tracked']) if found['tracked'] else ''}",
        "",
    ]
    for name, table in found["tables"].items():
        lines.append(f"{name}: {table['rows']:,} rows")
        lines += [f"  {column} {first} .. {last}" for column, (first, last) in table["spans"].items()]
        lines.append(f"  columns: {', '.join(table['columns'])}")
    for title, part in (("left out", found["left_out"]),):
        lines += [f"{title}: {name}, {n:,} rows, {why}" for name, reasons in part.items() for why, n in reasons.items()]
    lines += [
        f"repaired: {r['table']}.{r['column']}, {r['came']} -> {r['became'] or '(blank)'}, {r['n_rows']:,} rows"
        for r in found["repairs"]
    ]
    lines += [f"found in {file}: {what}, {n:,}" for file, what, n in found["found_in_files"]]
    lines += [f"written: {column}, {how}" for column, how in found["written"].items()]
    lines += [f"converted by dated rates: {name}, {n:,} rows from {of}" for name, of, n in found["converted"]]
    if vat := found["vat"]:
        shares = ", ".join(f"{share:.1%}{' from ' + day if day else ''}" for day, share in vat["share"].items())
        lines.append(f"VAT: {'included' if vat['included'] else 'not included'}, {shares}")
    if taken := found["snapshots"]:
        lines.append(f"snapshots: {len(taken['taken'])}, {taken['taken'][0]} .. {taken['taken'][-1]}")
        if kept := taken.get("kept"):
            counts = ", ".join(f"{n:,} {status}" for status, n in sorted(kept.items()))
            lines.append(f"  shown as last seen, because their rows were refused: {counts}")
        if taken["gap"]:
            lines.append("  longest time without one: {2} days, {0} .. {1}".format(*taken["gap"]))
        lines += [
            f"  rewritten: {n:,} {snapshot.KINDS[kind]} (audit.parquet)" for kind, n in taken["rewritten"].items()
        ]
    lines += [f"note: {name.replace('_', ' ')}, {n:,}" for name, n in found["notes"].items()]
    lines += [f"refused: {name}, {n:,} rows" for name, n in found["refused"].items()]
    for problem in found["problems"][:40]:
        place = ", ".join(str(part) for part in (problem["file"], f"row {problem['row']}", problem["column"]) if part)
        lines.append(f"  {place}: got {problem['value']!r}, {problem['allowed']}")
    lines.append("")
    for name, missing in found["questions"].items():
        lines.append(f"{name}: {'lacks ' + ', '.join(missing) if missing else 'can be answered'}")
    return "\n".join(printable(line, 400) for line in lines)
