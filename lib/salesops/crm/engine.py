"""The engine inside the process."""

import contextlib
from pathlib import Path

import duckdb
import ibis


def connect(scratch: Path | None = None) -> ibis.BaseBackend:
    """DuckDB in memory; it writes nothing to the terminal.

    With `scratch`, work that is larger than a few gigabytes goes to files in that folder.
    """
    con = ibis.duckdb.connect()
    with contextlib.suppress(
        duckdb.InvalidInputException
    ):  # in a notebook without ipywidgets there is no bar to forbid
        con.raw_sql("SET enable_progress_bar = false")
    if scratch is not None:
        folder = str(scratch).replace("'", "''")
        con.raw_sql(f"SET temp_directory = '{folder}'")
        con.raw_sql("SET memory_limit = '1200MB'")
    return con
