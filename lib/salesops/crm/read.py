"""Read a source through its mapping into checked canonical tables.

A row with a value that is not allowed is refused whole, counted and listed; a source of which more
than `max_refused` would be refused, or whose structure is not as the mapping says, is refused as a
whole with every problem at once.
"""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from salesops import periods
from salesops.crm import files
from salesops.crm.files import ROW
from salesops.crm.mapping import Mapping, TableMap
from salesops.crm.parse import Conventions
from salesops.crm.tables import TABLES, Column, Table
from salesops.problems import BadInput, Problem

FILE = "\0file"


class Repair(NamedTuple):
    table: str
    column: str
    came: str
    became: str
    n_rows: int


class Read(NamedTuple):
    """What reading gave."""

    tables: dict[str, pa.Table]
    refused: list[Problem]  # one per refused row or more
    n_refused: dict[str, int]  # rows by table
    n_left_out: dict[str, int]  # rows that the mapping's `keep` left out, by table
    repairs: list[Repair]
    stage_dates: pd.DataFrame  # deal_id, stage, entered_at: from dated stage columns


def read(folder: Path, mapping: Mapping) -> Read:
    """Read every table of the mapping.

    Raises
    ------
    BadInput
        If a file or column is missing, a file is not readable, or too many rows are refused.
    """
    found = {name: _find(folder, table) for name, table in mapping.tables.items()}
    missing = [
        Problem(mapping.tables[name].file, None, "", "", f"no such file in {folder} (for {name})")
        for name, paths in found.items()
        if not paths
    ]
    if missing:
        raise BadInput(f"{mapping.title} cannot be read", missing)
    reader = _Reader(mapping)
    for name in sorted(found, key=lambda name: name != "stages"):  # the stages are needed by the others
        reader.add(name, found[name])
    reader.check_references()
    reader.raise_if_unusable()
    return reader.result()


def _find(folder: Path, table: TableMap) -> list[Path]:
    inside = folder.resolve()
    return sorted(p for p in folder.glob(table.file) if p.is_file() and p.resolve().is_relative_to(inside))


class _Reader:
    def __init__(self, mapping: Mapping):
        self.mapping = mapping
        self.frames: dict[str, pd.DataFrame] = {}
        self.n_read: dict[str, int] = {}
        self.fatal: list[Problem] = []
        self.refused: list[Problem] = []
        self.repairs: list[Repair] = []
        self.n_left_out: dict[str, int] = {}
        self.stage_dates: list[pd.DataFrame] = []
        positions: dict[str, int] = {}
        rows = []
        for stage in mapping.stages:
            positions[stage.pipeline] = positions.get(stage.pipeline, 0) + 1
            rows.append({**stage.model_dump(), "position": positions[stage.pipeline]})
        if rows:
            self.frames["stages"] = pd.DataFrame(rows)

    def add(self, name: str, paths: Iterable[Path]) -> None:
        parts = [self._add_file(TABLES[name], self.mapping.tables[name], path) for path in paths]
        frame = pd.concat(parts, ignore_index=True)
        for column in TABLES[name].columns:
            if column.name not in frame:
                frame[column.name] = None
        key = [k for k in TABLES[name].key if k in self.mapping.tables[name].columns]
        if key:
            twice = frame.duplicated(key, keep="first")
            self._refuse(frame, twice, key[0], frame[key[0]], "each key once; it stood in a row before")
            frame = frame[~twice]
        self.frames[name] = frame

    def _add_file(self, table: Table, spec: TableMap, path: Path) -> pd.DataFrame:
        wanted = {*spec.columns.values(), *spec.stage_dates.values()}
        raw, problems = files.read(
            path, wanted=wanted, rows=spec.rows, encoding=self.mapping.encoding, delimiter=self.mapping.delimiter
        )
        unreadable = raw.empty and ROW not in raw
        (self.fatal if unreadable else self.refused).extend(problems)
        absent = [] if unreadable else sorted(wanted - set(raw.columns))
        has = ", ".join(name for name in raw.columns if name != ROW)
        self.fatal += [Problem(path.name, 1, name, "", f"no such column; the file has {has}") for name in absent]
        self.n_read[table.name] = self.n_read.get(table.name, 0) + len(raw) + len(problems)
        if unreadable or absent:
            return pd.DataFrame(columns=[*table.names, ROW, FILE])
        return self._parse(table, spec, raw.assign(**{FILE: path.name}))

    def _how(self, raw: pd.DataFrame, column: str | None) -> Conventions:
        """How a column of a file is written: as the mapping says, or typed by the file itself."""
        return Conventions(self.mapping, typed=column in raw.attrs.get("typed", ()))

    def _parse(self, table: Table, spec: TableMap, raw: pd.DataFrame) -> pd.DataFrame:
        text = {name: raw[column].str.strip() for name, column in spec.columns.items()}
        text |= {name: pd.Series(value, index=raw.index, dtype="str") for name, value in spec.constants.items()}
        kept = pd.Series(True, index=raw.index)
        for name, words in spec.keep.items():
            kept &= text[name].isin(words)
        if not kept.all():
            self.n_left_out[table.name] = self.n_left_out.get(table.name, 0) + int((~kept).sum())
        frame = raw.loc[kept, [ROW, FILE]]
        good = pd.Series(True, index=frame.index)
        for name, values in text.items():
            column = table[name]
            values = self._mend(table.name, name, spec, values[kept])
            frame[name], allowed = self._typed(column, values, self._how(raw, spec.columns.get(name)))
            good &= ~self._refuse(frame, ~allowed, spec.columns.get(name, name), values, column.says)
            if column.needed:
                blank = values == ""
                good &= ~self._refuse(frame, blank, spec.columns.get(name, name), values, "must not be blank")
        if table.name == "changes":
            good &= self._canonical_values(frame, self._how(raw, None))
        for stage, column in spec.stage_dates.items():
            good &= self._date_stage(frame, raw.loc[kept], stage, column, self._how(raw, column))
        good &= self._before_export(table, frame)
        return frame[good]

    def _mend(self, table: str, name: str, spec: TableMap, values: pd.Series) -> pd.Series:
        values = values.mask(values.isin(spec.blanks.get(name, [])), "")
        values = values.replace(spec.values.get(name, {}))
        for came, became in spec.repairs.get(name, {}).items():
            n_rows = int((values == came).sum())
            if n_rows:
                self.repairs.append(Repair(table, name, came, became, n_rows))
        return values.replace(spec.repairs.get(name, {}))

    @staticmethod
    def _typed(column: Column, values: pd.Series, how: Conventions) -> tuple[pd.Series, pd.Series]:
        filled = values[values != ""]
        typed = how.parser(column)(filled)
        allowed = (values == "") | typed.notna().reindex(values.index, fill_value=False)
        return typed.reindex(values.index), allowed

    def _canonical_values(self, changes: pd.DataFrame, how: Conventions) -> pd.Series:
        """Old and new values of typed fields as canonical text: minor units, ISO days."""
        good = pd.Series(True, index=changes.index)
        for field in ("amount", "expected_close_on"):
            column = TABLES["deals"][field]
            for side in ("old_value", "new_value"):
                if side not in changes:
                    continue
                here = (changes["field"] == field) & changes[side].notna()
                if not here.any():
                    continue
                values = changes.loc[here, side]
                typed, allowed = self._typed(column, values, how)
                good &= ~self._refuse(changes.loc[here], ~allowed, side, values, column.says).reindex(
                    good.index, fill_value=False
                )
                changes.loc[here, side] = typed.astype("str")
        return good

    def _date_stage(self, frame, raw, stage: str, column: str, how: Conventions) -> pd.Series:
        """Remember when each deal entered `stage`; a closing stage only if the deal is in it."""
        values = raw[column].str.strip()
        filled = values[values != ""]
        entered = how.moments(filled).reindex(values.index)
        bad = (values != "") & entered.isna()
        closing = any(s.stage == stage and s.kind != "open" for s in self.mapping.stages)
        here = entered.notna() & (~pd.Series(closing, index=entered.index) | (frame["stage"] == stage))
        dated = frame[[ROW, FILE, "deal_id"]].assign(stage=stage, entered_at=entered)[here]
        self.stage_dates.append(dated)
        return ~self._refuse(frame, bad, column, values, "a date, or a date and time")

    def _before_export(self, table: Table, frame: pd.DataFrame) -> pd.Series:
        """What happened after the day of the export did not happen."""
        good = pd.Series(True, index=frame.index)
        if not self.mapping.exported_on:
            return good
        end = periods.end_of(dt.date.fromisoformat(self.mapping.exported_on), self.mapping.time_zone)
        for column in table.columns:
            if column.kind == "moment" and column.name in frame:
                late = frame[column.name] >= end
                values = frame[column.name].astype("str")
                good &= ~self._refuse(
                    frame, late, column.name, values, f"not after the export on {self.mapping.exported_on}"
                )
        return good

    def _refuse(self, frame, bad: pd.Series, column: str, values: pd.Series, allowed: str) -> pd.Series:
        rows = zip(frame.loc[bad, FILE], frame.loc[bad, ROW], values[bad], strict=True)
        self.refused += [
            Problem(file, int(row), column, "" if pd.isna(value) else str(value), allowed) for file, row, value in rows
        ]
        return bad

    def check_references(self) -> None:
        """Stages must be declared; changes must belong to a deal; one currency."""
        if self.fatal:
            return
        stages = self.frames.get("stages")
        if stages is None or stages.empty:
            self.fatal.append(Problem("mapping", None, "stages", "", "declare the stages of each pipeline"))
            return
        deals = self.frames["deals"]
        for frame in (deals, stages):
            frame["pipeline"] = frame["pipeline"].fillna("")
        declared = set(zip(stages["pipeline"], stages["stage"], strict=True))
        at = pd.Series(list(zip(deals["pipeline"], deals["stage"], strict=True)), index=deals.index, dtype=object)
        unknown = deals["stage"].notna() & ~at.isin(declared)
        names = ", ".join(stages["stage"].drop_duplicates())
        self._drop("deals", unknown, "stage", f"a stage of its pipeline: {names}")
        foreign = deals["currency"].notna() & (deals["currency"] != self.mapping.currency)
        self._drop("deals", foreign & ~unknown, "currency", f"the reporting currency {self.mapping.currency}")
        if "changes" in self.frames:
            changes = self.frames["changes"]
            orphan = ~changes["deal_id"].isin(self.frames["deals"]["deal_id"])
            self._drop("changes", orphan, "deal_id", "the id of a deal that was read")
            changes = self.frames["changes"]
            pipelines = changes["deal_id"].map(self.frames["deals"].set_index("deal_id")["pipeline"])
            for side in ("old_value", "new_value"):
                values = changes[side].where(changes["field"] == "stage")
                pairs = pd.Series(list(zip(pipelines, values, strict=True)), index=changes.index, dtype=object)
                strange = values.notna() & ~pairs.isin(declared)
                self._drop(
                    "changes", strange.reindex(self.frames["changes"].index), side, f"a stage of its pipeline: {names}"
                )
            self.frames["changes"] = _oldest_first(self.frames["changes"])

    def _drop(self, name: str, bad: pd.Series, column: str, allowed: str) -> None:
        frame = self.frames[name]
        bad = bad.reindex(frame.index, fill_value=False)
        self._refuse(frame, bad, column, frame[column], allowed)
        self.frames[name] = frame[~bad]

    def raise_if_unusable(self) -> None:
        if self.fatal:
            raise BadInput(f"{self.mapping.title} cannot be read", self.fatal)
        n_refused = self._n_refused()
        over = [name for name, n in n_refused.items() if n > self.mapping.max_refused * self.n_read[name]]
        if over:
            share = f"{self.mapping.max_refused:.0%} of a table's rows may be refused"
            counts = "; ".join(f"{name}: {n} of {self.n_read[name]} rows" for name, n in n_refused.items())
            raise BadInput(f"{self.mapping.title} is refused ({counts}; {share})", self.refused)
        if self.frames["deals"].empty:
            file = self.mapping.tables["deals"].file
            raise BadInput(f"{self.mapping.title} is refused", [Problem(file, None, "", "", "no deals in it")])

    def _n_refused(self) -> dict[str, int]:
        kept = {name: len(frame) for name, frame in self.frames.items() if name in self.n_read}
        left = {name: self.n_read[name] - n - self.n_left_out.get(name, 0) for name, n in kept.items()}
        return {name: n for name, n in left.items() if n}

    def result(self) -> Read:
        tables = {
            name: pa.Table.from_pandas(
                frame.rename(columns={c.name: c.stored for c in TABLES[name].columns}),
                schema=TABLES[name].schema,
                preserve_index=False,
            )
            for name, frame in self.frames.items()
        }
        dated = pd.concat(self.stage_dates) if self.stage_dates else pd.DataFrame()
        if len(dated):
            dated = dated.merge(self.frames["deals"][[ROW, FILE]], on=[ROW, FILE])[["deal_id", "stage", "entered_at"]]
        return Read(tables, self.refused, self._n_refused(), self.n_left_out, self.repairs, dated)


def _oldest_first(changes: pd.DataFrame) -> pd.DataFrame:
    """The log in the order things happened. Systems that list the newest first do so within one moment too."""
    step = changes["changed_at"].diff().where(changes["deal_id"] == changes["deal_id"].shift())
    newest_first = (step < pd.Timedelta(0)).sum() > (step > pd.Timedelta(0)).sum()
    return changes.iloc[::-1] if newest_first else changes
