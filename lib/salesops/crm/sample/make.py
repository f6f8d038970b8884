"""Making the sample company's book: everything is vectorised; the same size and seed give the same bytes.

What is planted stands in `truth.Plan` and is written beside the book as `truth.json`.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesops.crm import prepare
from salesops.crm.sample import deals, events, money, people, truth
from salesops.crm.sample.size import Size
from salesops.crm.tables import TABLES

DIVISION = 250_000  # deals made at once; a larger company has several divisions


def write(folder: Path, size: Size) -> None:
    """Make the company's book in `folder`; a large one division by division, so that memory stays small."""
    plan = truth.Plan() if size.planted else truth.NOTHING
    shocks = deals.shocks(size.seed, size.shock / 100)  # one for all divisions
    n_divisions = -(-size.deals // DIVISION)
    sizes = np.full(n_divisions, size.deals // n_divisions)
    sizes[: size.deals % n_divisions] += 1
    writers: dict[str, pq.ParquetWriter] = {}
    dirty: dict[str, int] = {}
    happened: dict[str, int] = {}
    callers: dict[str, str] = {}
    for number, (n, seed) in enumerate(zip(sizes, np.random.SeedSequence(size.seed).spawn(n_divisions), strict=True)):
        made, found, later = _division(int(n), plan, shocks, np.random.default_rng(seed))
        dirty = {kind: dirty.get(kind, 0) + count for kind, count in found.items()}
        happened = {kind: happened.get(kind, 0) + count for kind, count in later.items()}
        made = {name: _numbered(frame, number if n_divisions > 1 else None) for name, frame in made.items()}
        callers = callers or money.callers(made["reps"])
        for name, frame in made.items():
            _append(folder, writers, name, frame)
    for writer in writers.values():
        writer.close()
    pq.write_table(pa.Table.from_pandas(deals.stages(), schema=TABLES["stages"].schema), folder / "stages.parquet")
    facts = {"size": size._asdict(), "plan": plan._asdict(), "dirty": dirty, "happened": happened, **callers}
    facts["shocks"] = list(shocks.round(3))
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
        "notes_of_files": [],
        "written": {},
        "converted": [],
        "vat": None,
    }
    prepare.prepare(folder, about)


def _division(
    n: int, plan: truth.Plan, shocks: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, pd.DataFrame], dict[str, int], dict[str, int]]:
    """All tables of one division, its dirty records by kind, and what happened after wins by kind."""
    made = {"reps": people.reps(n, rng), "accounts": people.accounts(n, rng)}
    created = deals.create(n, made["reps"], made["accounts"], plan, rng)
    log = deals.live(created, plan, shocks, rng)
    made["deals"], made["changes"], dirty = deals.tables(created, log, made["reps"], plan, rng)
    made["leads"], made["activities"] = people.leads(created, rng), people.activities(created, made["deals"], rng)
    made |= money.tables(made["deals"], made["reps"], plan, rng)
    made, happened = events.happen(made, plan, people.own_stream(rng, 1))
    return made, dirty, happened


def _numbered(frame: pd.DataFrame, division: int | None) -> pd.DataFrame:
    """Ids that are one in the whole company: those of a division begin with its number."""
    if division is None:
        return frame
    names = [name for name in frame if name.endswith("_id") or name == "changed_by"]
    renamed = {name: (f"{division:02}-" + frame[name].astype("str")).where(frame[name].notna()) for name in names}
    if "field" in frame:  # owners stand in the log as values
        owner = frame["field"] == "rep_id"
        renamed |= {
            side: frame[side].mask(owner, f"{division:02}-" + frame[side].astype("str"))
            for side in ("old_value", "new_value")
        }
    return frame.assign(**renamed)


def _append(folder: Path, writers: dict[str, pq.ParquetWriter], name: str, frame: pd.DataFrame) -> None:
    schema = TABLES[name].schema
    missing = {column: None for column in schema.names if column not in frame}
    table = pa.Table.from_pandas(frame.assign(**missing)[schema.names], schema=schema, preserve_index=False)
    if name not in writers:
        writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", schema)
    writers[name].write_table(table)
