"""Files as columns of text, each row with its number: CSV, Parquet, XES event logs.

Nothing is interpreted here. The header of a CSV file is row 1; a row's number is that of its first
line. Cases and events of a log are numbered from 1.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from salesops.problems import Problem

ROW = "\0row"  # the column with the row's number; no file can have a column of that name
WIDEST_FIELD = 1_000_000

Columns = tuple[pd.DataFrame, list[Problem]]


def read(path: Path, *, wanted: set[str], rows: str, encoding: str, delimiter: str) -> Columns:
    """The columns of a file as text ("" where blank) with `ROW`, and the rows that could not be read.

    `wanted` are the columns needed; others may be left out. The names of those that the file itself
    typed (Parquet) stand in `attrs["typed"]`.
    """
    name = path.name.lower()
    if name.endswith((".xes", ".xes.gz")):
        return _read_xes(path, rows=rows)
    if name.endswith(".parquet"):
        return _read_parquet(path, wanted)
    return _read_csv(path, encoding=encoding, delimiter=delimiter)


def _read_csv(path: Path, *, encoding: str, delimiter: str) -> Columns:
    csv.field_size_limit(WIDEST_FIELD)
    problems: list[Problem] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    header: list[str] = []
    line = 0
    try:
        with path.open(encoding=encoding, newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            line = reader.line_num
            for row in reader:
                if len(row) == len(header):
                    rows.append(row)
                    numbers.append(line + 1)
                elif row:
                    came, allowed = f"{len(row)} fields", f"{len(header)} as in the header"
                    problems.append(Problem(path.name, line + 1, "", came, allowed))
                line = reader.line_num
    except UnicodeError:
        return pd.DataFrame(), [_undecodable(path, encoding)]
    except (csv.Error, LookupError) as error:
        return pd.DataFrame(), [Problem(path.name, line + 1, "", "", f"not readable as CSV: {error}")]
    header = [name or f"\0{number}" for number, name in enumerate(header)]  # columns without a name are of no use
    twice = sorted({name for name in header if header.count(name) > 1})
    if not header or twice:
        allowed = "each name once in the header" if twice else "a header and rows; the file is empty"
        return pd.DataFrame(), [Problem(path.name, 1, "", ", ".join(twice), allowed)]
    columns = zip(*rows, strict=True) if rows else [[] for _ in header]
    frame = pd.DataFrame({name: list(values) for name, values in zip(header, columns, strict=True)}, dtype="str")
    frame[ROW] = numbers
    return frame, problems


def _undecodable(path: Path, encoding: str) -> Problem:
    """Where the bytes stop being text."""
    data = path.read_bytes()
    allowed = f"text in {encoding}; say another encoding in the mapping"
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        return Problem(path.name, row, "", f"bytes {data[error.start : error.start + 8].hex(' ')}", allowed)
    except UnicodeError:
        pass
    return Problem(path.name, None, "", "", allowed)


def _read_parquet(path: Path, wanted: set[str]) -> Columns:
    try:
        schema = pq.read_schema(path)
        names = [name for name in schema.names if name in wanted]
        table = pq.read_table(path, columns=names)
        text = {name: _as_text(table[name]) for name in names}
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        return pd.DataFrame(), [Problem(path.name, None, "", "", f"not readable as Parquet: {reason}")]
    frame = pa.table(text).to_pandas() if text else pd.DataFrame(index=range(table.num_rows))
    frame[ROW] = range(1, len(frame) + 1)
    words = [pa.types.is_string(t) or pa.types.is_large_string(t) for t in (_values(table[n].type) for n in names)]
    frame.attrs["typed"] = [name for name, is_words in zip(names, words, strict=True) if not is_words]
    return frame, []


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):  # pandas writes blanks as NaN
        text = pc.if_else(pc.is_nan(column), "", text)
    return text.fill_null("")


def _values(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _read_xes(path: Path, *, rows: str) -> Columns:
    """The cases of an event log, or its events with the attributes of their case as `case:<name>`."""
    records: list[dict] = []
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as stream:
            for number, (case, events) in enumerate(_cases(stream), start=1):
                if rows == "events":
                    records += [{**event, **case} for event in events]
                else:
                    records.append({**case, ROW: number})
    except (ParseError, DefusedXmlException, OSError, EOFError, zlib.error) as error:
        return pd.DataFrame(), [Problem(path.name, None, "", "", f"not readable as XES: {error}")]
    frame = pd.DataFrame.from_records(records)
    if rows == "events":
        frame[ROW] = range(1, len(frame) + 1)
    text = [name for name in frame.columns if name != ROW]
    frame[text] = frame[text].fillna("").astype("str")
    return frame, []


def _cases(stream) -> Iterator[tuple[dict, list[dict]]]:
    parents: list = []
    for moment, element in iterparse(stream, events=("start", "end")):
        if moment == "start":
            parents.append(element)
            continue
        parents.pop()
        if element.tag.rpartition("}")[2] == "trace":
            events = [child for child in element if child.tag.rpartition("}")[2] == "event"]
            case = {f"case:{name}": value for name, value in _attributes(element).items()}
            yield case, [_attributes(event) for event in events]
            parents[-1].remove(element)  # otherwise the whole log stays in memory


def _attributes(element) -> dict[str, str]:
    return {child.get("key"): child.get("value") for child in element if child.get("key")}
