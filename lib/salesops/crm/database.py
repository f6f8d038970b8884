"""A data base as the source of a mapping: each table is copied once, and read from there on like a file.

Any that Ibis connects to by a URL: PostgreSQL, MySQL, Snowflake, BigQuery, ... with the driver it needs installed. The
URL, which holds a password, is in an environment variable, and appears nowhere else.
"""

import os
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from salesops.crm.mapping import Mapping
from salesops.crm.part import wanted
from salesops.problems import BadInput, Problem, printable

CHUNK = 100_000  # rows


def copy(variable: str, spec: Mapping, place: Path) -> Path:
    """Copy the tables of a mapping from the data base whose URL is in an environment variable into a new folder.

    The table of `deals.csv` is `deals`, that of `sales.deals.csv` is `deals` of the schema `sales`. Rows are sorted by
    all columns that are wanted, so that the same content gives the same book.

    Raises
    ------
    BadInput
        If the variable is not set, the data base cannot be reached, or a table or column is not there; never with the
        URL in it.
    """
    import ibis

    url = os.environ.get(variable)
    if not url:
        raise BadInput(f"the data base ${variable} cannot be read", [f"the environment variable {variable} is not set"])
    place.mkdir()
    try:
        con = ibis.connect(url)
    except Exception as error:  # of whatever driver
        raise BadInput(f"the data base ${variable} cannot be read", [_without(url, error)]) from None
    problems = []
    for pattern in spec.patterns:
        try:
            _copy_table(con, pattern, spec, place)
        except Exception as error:
            problems.append(Problem(f"${variable}", None, PurePosixPath(pattern).stem, "", _without(url, error)))
    con.disconnect()
    if problems:
        raise BadInput(f"the data base ${variable} cannot be read", problems)
    return place


def _copy_table(con, pattern: str, spec: Mapping, place: Path) -> None:
    schema, _dot, name = PurePosixPath(pattern).stem.rpartition(".")
    table = con.table(name, database=schema or None)
    parts = [one for tables in spec.tables.values() for one in tables]
    names = wanted(parts[0], parts[1:])
    for one in parts:
        names.named += [key for join in one.join if join.file == pattern for key in join.on.values()]
        names.named += [c.not_in.column for c in one.only if c.not_in and c.not_in.file == pattern]
    joined = any(join.file == pattern for one in parts for join in one.join)
    found = names.found(table.columns)
    columns = (
        list(table.columns) if joined else sorted({table.columns[at] for places in found.values() for at in places})
    )
    if not columns:
        raise ValueError(f"no column of the mapping; the table has {', '.join(table.columns)}")
    rows = table.select(columns).order_by(columns)
    with pq.ParquetWriter(place / PurePosixPath(pattern).name, pa.schema(rows.schema().to_pyarrow())) as writer:
        for batch in rows.to_pyarrow_batches(chunk_size=CHUNK):
            writer.write_batch(batch)


def _without(url: str, error: Exception) -> str:
    """What a driver says, without the URL or any part of it that a password could stand in."""
    secrets = {url, url.partition("//")[2], url.partition("//")[2].partition("@")[0]}
    secrets |= {secret.partition(":")[2] for secret in secrets}
    text = " ".join(f"{type(error).__name__}: {error}".split())
    for secret in sorted(filter(lambda one: len(one) > 2, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return printable(text, 300)
