"""Files as staged text: CSV, workbooks, HTML tables, JSON, Parquet, XES, alone or in archives.

What a file is, its first bytes say, not its name. Nothing is interpreted here: columns of text, each row with its
number.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from salesops.crm.files import limits, packed, text
from salesops.crm.files.sink import Names, Peek, Seen, Sink, Staged, Unreadable
from salesops.problems import Problem

ODD = (
    OSError,
    UnicodeError,
    LookupError,
    ValueError,
    zipfile.BadZipFile,
    EOFError,
    RecursionError,
)  # of readers that others wrote


class How(NamedTuple):
    """What a mapping says of the files of one table; blank is to be found out."""

    rows: str = "rows"  # of an event log: its cases or events
    sheet: str = ""  # of a workbook
    records: str = ""  # of a JSON file: the way to its records
    inside: str = ""  # of an archive: which of its files
    encoding: str = ""
    delimiter: str = ""


class Found(NamedTuple):
    """What the files of one table hold."""

    staged: list[Staged]
    headers: dict[str, list[str]]  # file -> its header
    n_read: int  # rows, with those that are refused
    notes: dict[tuple[str, str], int]  # (file, what was mended or left out) -> rows
    unreadable: list[Problem]


def stage(paths: list[Path], folder: Path, wanted: Names, tell: Callable[[Problem], None], how: How) -> Found:
    """Read files into Parquet below `folder`; `tell` gets the rows that cannot be read."""
    folder.mkdir(parents=True)
    sink = Sink(folder, wanted, tell)
    unreadable = []
    for path in paths:
        try:
            budget = limits.Budget(path)
            sink.open(path)
            if how.inside:
                for name, member in packed.members(path, how.inside, folder, budget):
                    _read(member, name, sink, how, budget)
            else:
                _read(path, path.name, sink, how, budget)
        except Unreadable as error:
            unreadable.append(error.problem)
        except ODD as error:
            reason = getattr(error, "strerror", None) or error
            unreadable.append(Problem(path.name, None, "", "", f"not readable: {reason}"))
    return Found(sink.close(), sink.headers, sink.n_read, dict(sink.notes), unreadable)


def header(path: Path, scratch: Path, wanted: Names, how: How) -> tuple[list[str], Problem | None]:
    """The header of a file, found by the columns wanted; empty, and why, where it cannot be read."""
    try:
        _read(path, path.name, Peek(scratch, wanted, lambda problem: None), how, limits.Budget(path))
    except Seen as seen:
        return seen.args[0], None
    except Unreadable as error:
        return [], error.problem
    except ODD as error:
        return [], Problem(path.name, None, "", "", f"not readable: {getattr(error, 'strerror', None) or error}")
    return [], None


def _read(path: Path, file: str, sink: Sink, how: How, budget: limits.Budget) -> None:
    with path.open("rb") as stream:
        head = stream.read(4096)
    name = file.lower()
    if head.startswith(b"\x1f\x8b") and not name.endswith(".xes.gz"):
        unzipped = packed.unzip(path, file, sink.folder, budget)
        _read(unzipped, file.removesuffix(".gz"), sink, how, budget)
        unzipped.unlink()
    elif head.startswith(b"PAR1") or name.endswith(".parquet"):
        from salesops.crm.files import typed

        typed.read_parquet(path, file, sink)
    elif head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) and not name.endswith(".xes"):
        from salesops.crm.files import workbook

        workbook.read(path, file, sink, sheet=how.sheet)
    elif name.endswith((".xes", ".xes.gz")) or b"<log" in head[:2000]:
        from salesops.crm.files import tree

        tree.read_xes(path, file, sink, rows=how.rows, budget=budget)
    elif _begins(head, b"BEGIN:VCALENDAR"):
        from salesops.crm.files import tree

        tree.read_ics(path, file, sink)
    elif _begins(head, b"<"):
        from salesops.crm.files import workbook

        workbook.read_html(path, file, sink, encoding=how.encoding)
    elif _begins(head, b"{", b"["):
        from salesops.crm.files import tree

        tree.read_json(path, file, sink, records=how.records)
    else:
        text.read(path, file, sink, encoding=how.encoding, delimiter=how.delimiter)


def _begins(head: bytes, *marks: bytes) -> bool:
    """Whether text begins so, whatever its encoding."""
    return (
        head.removeprefix(b"\xef\xbb\xbf")
        .removeprefix(b"\xff\xfe")
        .removeprefix(b"\xfe\xff")
        .lstrip(b" \t\r\n\0")
        .startswith(marks)
    )
