"""Parquet, whose columns have types already: written out as text that the parsers read without doubt."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from salesops.crm.files.sink import BATCH, Sink, Unreadable


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
            words = {f.name for f in table.schema_arrow if _is_text(f.type)}
            sink.begin(file, names, typed=set(names) - words, row=None)
            number = 1
            columns = [names[at] for at in sink.places.values()]
            for batch in table.iter_batches(BATCH, columns=columns):
                sink.add_columns([_as_text(batch[name]) for name in columns], range(number, number + batch.num_rows))
                number += batch.num_rows
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Unreadable(file, None, "", f"not readable as Parquet: {reason}") from None


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _as_text(column: pa.Array) -> pa.Array:
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):  # pandas writes blanks as NaN
        text = pc.if_else(pc.is_nan(column), "", text)
    return text.fill_null("")
