"""The sample company: a B2B seller with three years of history, made from one seed.

Everything is vectorised; the same size and seed give the same bytes. What is planted stands in
`truth.Plan` and is written beside the book as `truth.json`.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesops.crm import prepare
from salesops.crm.sample import deals, money, people, truth
from salesops.crm.tables import TABLES
from salesops.problems import BadInput

LEAST, MOST = 2_000, 5_000_000


class Size(NamedTuple):
    """How large a company, from which seed; `planted` = 0 plants nothing (the null company)."""

    deals: int = 12_000
    seed: int = 1
    planted: int = 1


def parse_size(text: str) -> Size:
    """Read `deals=20000,seed=7`; what is not named keeps its default.

    Raises
    ------
    BadInput
        For an unknown name, no whole number, or a size outside 2,000 to 5,000,000 deals.
    """
    size, problems = Size(), []
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in Size._fields or not value.isascii() or not value.isdigit():
            problems.append(f"{part!r}: write deals=20000, seed=7 or planted=0, joined by commas")
        else:
            size = size._replace(**{name: int(value)})
    if not LEAST <= size.deals <= MOST:
        problems.append(f"deals={size.deals}: allowed are {LEAST:,} to {MOST:,}")
    if problems:
        raise BadInput("source sample cannot be made", problems)
    return size


def write(folder: Path, size: Size) -> None:
    """Make the company's book in `folder`."""
    plan = truth.Plan() if size.planted else truth.NOTHING
    rng = np.random.default_rng(size.seed)
    made = {"reps": people.reps(size.deals, rng), "accounts": people.accounts(size.deals, rng)}
    created = deals.create(size.deals, made["reps"], made["accounts"], plan, rng)
    log = deals.live(created, plan, rng)
    made["deals"], made["changes"], dirty = deals.tables(created, log, made["reps"], plan, rng)
    made["leads"], made["activities"] = people.leads(created, rng), people.activities(created, made["deals"], rng)
    made |= money.tables(made["deals"], made["reps"], plan, rng)
    made["stages"] = deals.stages()
    for name, frame in made.items():
        _write(folder, name, frame)
    facts = {"size": size._asdict(), "plan": plan._asdict(), "dirty": dirty, **money.callers(made["reps"])}
    facts["conversion"] = {f"{p} / {s}": truth.conversion(plan, p, s) for p, s in truth.MOVES}
    (folder / "truth.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    about = {
        "title": "Northwind Instruments (sample company)",
        "currency": "USD",
        "minor_digits": 2,
        "time_zone": "UTC",
        "exported_on": str(truth.UNTIL),
        "n_refused": {},
        "refused": [],
        "n_left_out": {},
        "repairs": [],
    }
    prepare.prepare(folder, about)


def _write(folder: Path, name: str, frame: pd.DataFrame) -> None:
    schema = TABLES[name].schema
    for column in schema.names:
        if column not in frame:
            frame[column] = None
    pq.write_table(
        pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False), folder / f"{name}.parquet"
    )
