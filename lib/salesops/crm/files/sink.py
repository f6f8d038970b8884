"""Rows of text on their way into Parquet, whatever file they came from.

A staged file has the columns `n` (which counts on through all files), `file`, `row` and `c0, c1, ...`: text but for
spaces around it, "" where blank. Files with the same header share one staged file.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from salesops.problems import Problem

LISTED = 10_000  # problems remembered of one source; the others are counted
BATCH = 64_000  # rows
MOST_BYTES = 500  # of text for each byte of a file
SMALL_TEXT = 2 << 30  # bytes of text that any file may have
LONGEST_CELL = 1_000_000  # characters
MOST_COLUMNS = 100_000


class Unreadable(Exception):
    """A file that cannot be read at all, with the reason."""

    def __init__(self, file: str, row: int | None, came: str, allowed: str, column: str = ""):
        super().__init__(allowed)
        self.problem = Problem(file, row, column, came, allowed)


class Staged(NamedTuple):
    """One staged Parquet file."""

    path: Path
    columns: dict[str, str]  # name of the column wanted -> its staged name
    typed: frozenset[str]  # those that the file itself typed: numbers with a point, ISO dates
    n_rows: int


class Names:
    """Which columns of a header are wanted.

    `named` are names that have to be found as they are, or but for case and spaces; `like` are patterns.
    """

    def __init__(self, named: Iterable[str], like: Iterable[str] = ()):
        self.named = list(dict.fromkeys(named))
        self.like = [re.compile(pattern) for pattern in like]

    def may_want(self, name: str) -> bool:
        """Whether a column may be wanted by some header with it; no is certain."""
        stems = self._stems
        return name in stems or plain(name) in stems or any(pattern.fullmatch(name) for pattern in self.like)

    @cached_property
    def _stems(self) -> set[str]:
        return {form for name in self.named for form in (name, plain(name), name.rpartition("#")[0])}

    def found(self, header: Sequence[str]) -> dict[str, list[int]]:
        """Name wanted -> the places in the header where it stands."""
        exact: dict[str, list[int]] = {}
        for place, name in enumerate(header):
            exact.setdefault(name, []).append(place)
        loose: dict[str, list[int]] = {}
        if not exact.keys() >= set(self.named):
            for place, name in enumerate(header):
                loose.setdefault(plain(name), []).append(place)
        places = {}
        for name in self.named:
            stem, _mark, number = name.rpartition("#")  # Name#2 is the second column of that name
            if (
                (at := exact.get(name) or loose.get(plain(name)))
                or number.isdigit()
                and (at := (exact.get(stem) or [])[int(number) - 1 : int(number)])
            ):
                places[name] = at
        for pattern in self.like:
            places |= {name: at for name, at in exact.items() if name not in places and pattern.fullmatch(name)}
        return places


@lru_cache(10_000)
def plain(name: str) -> str:
    """A column's name but for case, spaces, underscores, hyphens and invisible characters."""
    return "".join(c for c in unicodedata.normalize("NFKC", name) if c.isalnum() or c in "#%₽").casefold() or name


class Seen(Exception):
    """The header of a file, where only that is asked for."""


class Sink:
    """Where the readers put what they read; it keeps the columns that are wanted."""

    def __init__(self, folder: Path, wanted: Names, tell: Callable[[Problem], None]):
        self.folder, self.wanted, self.tell = folder, wanted, tell
        self.headers: dict[str, list[str]] = {}  # file -> its header
        self.notes: Counter[tuple[str, str]] = Counter()  # (file, what was mended or left out) -> rows
        self.n_read = 0
        self.size, self.n_bytes = SMALL_TEXT // MOST_BYTES, 0  # of the file of the user, and of its text so far
        self._writers: dict[tuple, pq.ParquetWriter] = {}
        self._counts: Counter[tuple] = Counter()
        self._numbers = 0

    def open(self, path: Path) -> None:
        """The next file of the user, which may have others inside of it."""
        self.size, self.n_bytes = max(path.stat().st_size, SMALL_TEXT // MOST_BYTES), 0

    def begin(self, file: str, header: Sequence[str], *, typed: Iterable[str] = (), row: int | None = 1) -> None:
        """The next file, and the names of its columns.

        Raises
        ------
        Unreadable
            If a wanted name stands twice.
        """
        if len(header) > MOST_COLUMNS:
            raise Unreadable(file, row, f"{len(header):,} columns", f"at most {MOST_COLUMNS:,} columns")
        self.file, self.header = file, list(header)
        self.headers[file] = self.header
        found = self.wanted.found(self.header)
        self.twice = {name: at for name, at in found.items() if len(at) > 1}
        self.places = {name: at[0] for name, at in found.items()}
        self.row = row
        self.layout = (tuple(self.places), frozenset(name for name in self.places if name in set(typed)))
        self._counts[self.layout] += 0

    def add(self, rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> None:
        """Rows of as many fields as the header, and their numbers."""
        for name, at in self.twice.items():  # harmless where both say the same
            differ = next((k for k, row in enumerate(rows) if len({row[place] for place in at}) > 1), None)
            if differ is not None:
                raise Unreadable(
                    self.file, numbers[differ], " and ".join(rows[differ][place] for place in at),
                    f"the header has this name {len(at)} times with different values; say {name}#1 or {name}#2 in the"
                    " mapping",
                    name,
                )  # fmt: skip
        self.add_columns([pa.array([row[at] for row in rows], pa.string()) for at in self.places.values()], numbers)

    def add_columns(self, columns: Sequence[pa.Array], numbers: Sequence[int]) -> None:
        """The same, as the wanted columns in the order of `places`."""
        n = len(numbers)
        if not n:
            return
        self.n_read += n
        self._counts[self.layout] += n
        names = ["n", "file", "row", *(f"c{k}" for k in range(len(columns)))]
        self._refuse_long(columns, numbers)
        self.n_bytes += sum(column.nbytes for column in columns)
        if self.n_bytes > MOST_BYTES * self.size:
            allowed = f"a file whose text is at most {MOST_BYTES} times its size, or {SMALL_TEXT >> 20:,} MB"
            raise Unreadable(self.file, None, f"{self.n_bytes >> 20:,} MB of text", allowed)
        columns = [pc.utf8_trim_whitespace(column) for column in columns]
        running = pa.array(range(self.n_read - n, self.n_read), pa.int64())
        file = pa.array([self.file] * n, pa.string())
        self._writer().write_table(pa.table([running, file, pa.array(numbers, pa.int64()), *columns], names=names))

    def add_records(self, records: Sequence[Mapping[str, str]], numbers: Sequence[int]) -> None:
        """Rows by the names of their columns; those that a row has not are blank."""
        names = [self.header[at] for at in self.places.values()]
        self.add_columns([pa.array([one.get(name, "") for one in records], pa.string()) for name in names], numbers)

    def _refuse_long(self, columns: Sequence[pa.Array], numbers: Sequence[int]) -> None:
        for name, column in zip(self.places, columns, strict=True):
            if column.nbytes <= LONGEST_CELL:  # of all rows together
                continue
            lengths = pc.utf8_length(column)
            longest = pc.max(lengths).as_py() or 0
            if longest > LONGEST_CELL:
                row = numbers[pc.index(lengths, longest).as_py()]
                raise Unreadable(self.file, row, f"{longest:,} characters", f"a cell of at most {LONGEST_CELL:,}", name)

    def _writer(self) -> pq.ParquetWriter:
        if self.layout not in self._writers:
            self._numbers += 1
            kinds = [("n", pa.int64()), ("file", pa.string()), ("row", pa.int64())]
            schema = pa.schema([*kinds, *((f"c{k}", pa.string()) for k in range(len(self.layout[0])))])
            path = self.folder / f"{self._numbers}.parquet"
            self._writers[self.layout] = pq.ParquetWriter(
                path, schema, compression="lz4", use_dictionary=["file"], write_statistics=False
            )
        return self._writers[self.layout]

    def refuse(self, row: int | None, came: str, allowed: str) -> None:
        """A row that is not read."""
        self.n_read += 1
        self.tell(Problem(self.file, row, "", came, allowed))

    def note(self, what: str, n_rows: int) -> None:
        if n_rows:
            self.notes[self.file, what] += n_rows

    def close(self) -> list[Staged]:
        staged = []
        for layout in self._counts:  # also of files without a row
            self.layout = layout
            writer = self._writer()
            writer.close()
            names, typed = layout
            columns = {name: f"c{k}" for k, name in enumerate(names)}
            staged.append(Staged(Path(writer.where), columns, typed, self._counts[layout]))
        return staged


class Peek(Sink):
    """Takes no rows: the first header ends the reading."""

    def open(self, path: Path) -> None:
        """The next file of the user, which may have others inside of it."""
        self.size, self.n_bytes = max(path.stat().st_size, SMALL_TEXT // MOST_BYTES), 0

    def begin(self, file: str, header: Sequence[str], **_how) -> None:  # noqa: ARG002  as its base
        raise Seen(list(header))
