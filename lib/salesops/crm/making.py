"""Making the book of a source that was not seen before: the sample company, or an export by its mapping."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from salesops.crm import mapping, prepare, sample
from salesops.crm.read import read
from salesops.crm.source import Located

LISTED = 200  # refused rows that the page can show


def make(target: Path, located: Located) -> None:
    """Write the book of a located source into an empty folder."""
    if located.files is None:
        sample.write(target, sample.parse_size(located.settings))
    else:
        _import(target, located.files, mapping.load(located.mapping))


def _import(target: Path, folder: Path, spec: mapping.Mapping) -> None:
    got = read(folder, spec)
    for name, table in got.tables.items():
        pq.write_table(table, target / f"{name}.parquet")
    columns = ["file", "row", "column", "value", "allowed"]
    pd.DataFrame(got.refused, columns=columns).to_parquet(target / "refused.parquet")
    about = {
        "title": spec.title,
        "currency": spec.currency,
        "minor_digits": spec.minor_digits,
        "time_zone": spec.time_zone,
        "exported_on": spec.exported_on,
        "n_refused": got.n_refused,
        "refused": [problem._asdict() for problem in got.refused[:LISTED]],
        "n_left_out": got.n_left_out,
        "repairs": [repair._asdict() for repair in got.repairs],
    }
    if not got.stage_dates.empty:
        got.stage_dates.to_parquet(target / "stage_dates.parquet", index=False)
    prepare.prepare(target, about)
