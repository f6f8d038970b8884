"""A folder that fills page by page: each is on the disk, and its mark with it, before the next one is asked for."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from salesops import locks, ownership
from salesops.crm.parse import literal
from salesops.problems import BadInput

STATE = "state.json"
OURS = {"parts", locks.NAME, f".{STATE}"}  # what may be there before it
WORK = "fetching"  # a kind of folders of ours
PART = re.compile(r"\d{9}\.(?:parquet|draft)")  # names that pages of records have


class Stopped(Exception):
    """A system that would not go on, with the reason; what was read before is kept."""


class Store:
    """The records read so far, by object; use it as a context. One process writes at a time.

    Raises
    ------
    BadInput
        If the folder belongs to another system or account, or holds something else.
    Stopped
        If another process is writing into it.
    """

    def __init__(self, folder: Path, system: str, account: str):
        self.folder, self.n_records = folder, 0
        self._belongs = {"system": system, "account": account}
        self._marks: dict[str, dict] = {}
        self._parts: list[str] = []  # names of files, in the order they were read
        self._files: list[str] = []  # names of the files of `export/` that are ours
        self._held = None

    def __enter__(self) -> "Store":
        state = self.folder / STATE
        if self.folder.exists() and not state.is_file() and {path.name for path in self.folder.iterdir()} - OURS:
            raise BadInput(f"{self.folder} cannot be used", ["it holds something else; name a new folder"])
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._held = locks.hold(self.folder)
            self._held.__enter__()
        except locks.Locked as error:
            raise Stopped(str(error)) from None
        told = self._state(state) if state.is_file() else self._belongs
        differ = [name for name, value in self._belongs.items() if told.get(name) != value]
        if differ:
            self._held.__exit__(None, None, None)
            raise BadInput(f"{self.folder} cannot be used", [f"its {name} is {told.get(name)}" for name in differ])
        self._marks, self._parts = told.get("marks", {}), told.get("parts", [])
        self._files = told.get("files", [])
        if (self.folder / "parts").is_symlink():
            self._held.__exit__(None, None, None)
            raise BadInput(f"{self.folder} cannot be used", ["parts is a link; it has to be a folder of its own"])
        (self.folder / "parts").mkdir(exist_ok=True)
        self._save()
        for path in (self.folder / "parts").iterdir():
            if PART.fullmatch(path.name) and path.name not in self._parts:  # its mark was not kept: it is read again
                path.unlink()
        return self

    def _state(self, path: Path) -> dict:
        """What was read so far; refused where it is not as this program writes it."""
        try:
            content = json.loads(path.read_text("utf-8"))
            names = [*content.get("parts", []), *content.get("files", [])]
            usable = isinstance(content.get("marks", {}), dict)
            usable = usable and all(isinstance(name, str) and Path(name).name == name for name in names)
            usable = usable and all(PART.fullmatch(name) for name in content.get("parts", []))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            usable = False
        if not usable:
            self._held.__exit__(None, None, None)
            raise BadInput(
                f"{self.folder} cannot be used", [f"{STATE} is damaged; name a new folder, and read all again"]
            )
        return content

    def __exit__(self, *_error) -> None:
        self._held.__exit__(None, None, None)

    def mark(self, name: str) -> dict:
        """How far an object was read; empty at first."""
        return self._marks.get(name, {})

    def add(self, name: str, records: Sequence[Mapping], mark: Mapping, *, kept_as: str) -> None:
        """Keep a page of records, each with its `id`, and how far the object has been read with it."""
        if records:
            path = self._next()
            table = pa.table({
                "object": [kept_as] * len(records), "id": [str(one["id"]) for one in records],
                "record": [json.dumps(one["record"], ensure_ascii=False) for one in records],
            })  # fmt: skip
            draft = path.with_suffix(".draft")
            pq.write_table(table, draft)
            _to_disk(draft)
            draft.replace(path)
            self._parts.append(path.name)
            self.n_records += len(records)
        self._marks[name] = dict(mark)
        self._save()

    def write(self, reader) -> None:
        """The files of `export/`, from the last that was read of each record; then one part in the place of all."""
        with ownership.working(self.folder, WORK) as place:
            whole = place / "whole.parquet"
            draft = place / "export"
            draft.mkdir()
            with duckdb.connect(config={"memory_limit": "900MB", "temp_directory": str(place / "spill")}) as con:
                con.execute("SET enable_progress_bar = false")
                self._gather(con, whole)
                for name in [name for name in reader.objects if name not in reader.kept_as]:
                    rows = con.execute(f"SELECT record FROM last WHERE object = {literal(name)} ORDER BY id")
                    reader.write(name, (json.loads(text) for text in _each(rows)), draft)
            self._publish(draft)
            if len(self._parts) > 1:
                gone, path = self._parts, self._next()
                _to_disk(whole)
                whole.rename(path)
                self._parts = [path.name]
                self._save()
                for name in gone:
                    (self.folder / "parts" / name).unlink()

    def _gather(self, con, whole: Path) -> None:
        """The last that was read of each record, as the view `last`."""
        if not self._parts:
            con.execute("CREATE TABLE last (object VARCHAR, id VARCHAR, record VARCHAR)")
            return
        paths = ", ".join(literal(str(self.folder / "parts" / name)) for name in self._parts)
        rows = f"read_parquet([{paths}], filename = true, file_row_number = true)"
        last = (
            f"SELECT object, id, arg_max(record, (filename, file_row_number)) AS record FROM {rows} GROUP BY object, id"
        )
        con.execute(f"COPY (SELECT * FROM ({last}) ORDER BY object, id) TO {literal(str(whole))} (FORMAT parquet)")
        con.execute(f"CREATE VIEW last AS SELECT * FROM read_parquet({literal(str(whole))})")

    def _publish(self, draft: Path) -> None:
        """Put the new files in the place of ours in `export/`, each whole; files of the user's own stay."""
        export = self.folder / "export"
        export.mkdir(exist_ok=True)
        new = sorted(path.name for path in draft.iterdir())
        before, self._files = self._files, sorted({*self._files, *new})
        foreign = [name for name in new if name not in before and before and (export / name).exists()]
        if foreign:
            raise BadInput(f"{export} cannot be written", [f"{name} is not ours; move it away" for name in foreign])
        self._save()
        for name in new:
            (draft / name).replace(export / name)
        for name in set(before) - set(new):
            (export / name).unlink(missing_ok=True)
        self._files = new
        self._save()

    def _next(self) -> Path:
        number = int(self._parts[-1].split(".")[0]) + 1 if self._parts else 0
        return self.folder / "parts" / f"{number:09}.parquet"

    def _save(self) -> None:
        draft = self.folder / f".{STATE}"
        with draft.open("w", encoding="utf-8") as stream:
            content = {**self._belongs, "marks": self._marks, "parts": self._parts, "files": self._files}
            json.dump(content, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self.folder / STATE)


def _to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _each(rows):
    while some := rows.fetchmany(10_000):
        yield from (text for (text,) in some)
