"""Parquet, whose columns have types already: written out as text that the parsers read without doubt."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from salesops.crm.files.limits import RATIO, SMALL
from salesops.crm.files.sink import BATCH, Sink, Unreadable

SMALL_ROWS = 10_000_000  # whatever the size
ROWS_OF_BYTE = 10  # a row has an id of its own, which no way of packing makes smaller than a bit
LETTERS_AT_ONCE = 100_000_000


def read_parquet(path: Path, file: str, sink: Sink) -> None:
    """Put a Parquet file into the sink.

    Raises
    ------
    Unreadable
        If it is no Parquet, or a wanted column is no plain value.
    """
    try:
        with pq.ParquetFile(path) as table:
            names = table.schema_arrow.names
            _refuse_heavy(path, file, table.metadata)
            words = {f.name for f in table.schema_arrow if _is_text(f.type)}
            sink.begin(file, names, typed=set(names) - words, row=None)
            number = 1
            columns = [names[at] for at in sink.places.values()]
        with pq.ParquetFile(path, read_dictionary=[name for name in columns if name in words]) as table:
            for part in (part for batch in table.iter_batches(BATCH, columns=columns) for part in _light(batch)):
                sink.add_columns([_as_text(part[name]) for name in columns], range(number, number + part.num_rows))
                number += part.num_rows
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Unreadable(file, None, "", f"not readable as Parquet: {reason}") from None


def _refuse_heavy(path: Path, file: str, metadata: pq.FileMetaData) -> None:
    """Refuse a file that says of itself that it unpacks to unreasonably much."""
    size, groups = path.stat().st_size, range(metadata.num_row_groups)
    unpacked = sum(metadata.row_group(k).total_byte_size for k in groups)
    if unpacked > max(SMALL, RATIO * size):
        allowed = f"a file that unpacks to at most {RATIO} times its size"
        raise Unreadable(file, None, f"{unpacked >> 20:,} MB when unpacked", allowed)
    most = max(SMALL_ROWS, ROWS_OF_BYTE * size)
    if metadata.num_rows > most:
        raise Unreadable(file, None, f"{metadata.num_rows:,} rows", f"at most {most:,} rows in a file of its size")


def _light(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in parts that are small as text: a long text that many rows share is kept once, until it is written."""
    longest = 1
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            longest = max(longest, pc.max(pc.binary_length(column.dictionary)).as_py() or 0)
    step = max(1, min(BATCH, LETTERS_AT_ONCE // longest))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _as_text(column: pa.Array) -> pa.Array:
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):  # pandas writes blanks as NaN
        text = pc.if_else(pc.is_nan(column), "", text)
    return text.fill_null("")
