"""From the name of a source to the folder of its prepared book. Imports nothing heavy.

A run of many pages finds each source once and hands the folders to its notebooks in `$SALESOPS_BOOKS`, so
that every page of the run rests on the same data and none of them reads the export again.
"""

import datetime as dt
import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from salesops import project
from salesops.crm import store, whole
from salesops.crm.sample.size import parse_size
from salesops.problems import BadInput, printable

BOOKS = "SALESOPS_BOOKS"  # {source: [folder of its prepared book, key]}, as JSON


class Located(NamedTuple):
    """Where the prepared book of a source is, or is to be made."""

    name: str  # sample, the mapping's name, or the folder's
    key: str  # the name with the hash of what the book is made from: the source's files, its mapping, the code of crm
    folder: Path
    cache: Path
    mapping: Path | None = None  # of an export
    files: Path | None = None  # the export itself
    settings: str = ""  # of the sample: deals=20000,seed=7
    given: bool = False  # handed over by a run, which has made it

    @property
    def made(self) -> bool:
        """Whether its prepared book is there, and as it was written."""
        return (self.folder / "book.json").is_file() and not self.fault

    @property
    def fault(self) -> str:
        """What is not as it was written in the folder of the prepared book; blank where that is whole, or not there."""
        is_cached = self.folder.parent == self.cache / "books"
        listed = whole.is_listed(self.folder) or (is_cached and self.folder.exists())
        return whole.fault(self.folder) if listed else ""

    def digest_file(self, as_of: dt.date | None) -> Path:
        """Where the hash of what was known on a day is kept once it has been computed."""
        return self.cache / "digests" / f"{self.key}-{as_of or 'end'}"

    def contents(self, as_of: dt.date | None) -> dict | None:
        """The hash and the numbers of rows of what was known on a day; None where they are not computed yet."""
        try:
            found = json.loads(self.digest_file(as_of).read_text("utf-8"))
            return found if self.made and {"digest", "n_known"} <= set(found) else None
        except (OSError, ValueError, TypeError):
            return None


def locate(source: str, root: Path | None = None) -> Located:
    """The prepared book of a source, whether it is there already or not.

    Parameters
    ----------
    source : `sample` (or `sample:deals=20000,seed=7`); `<mapping>:<folder>`, where the mapping is
        `params/crm/<mapping>.yml`; or a folder that holds a prepared book. Folders count from the project.
    root : the project; None is the one of the working folder.

    Raises
    ------
    BadInput
        If there is no such source.
    """
    root = root or project.root()
    cache = project.cache(root)
    given = json.loads(os.environ.get(BOOKS, "{}")).get(source)
    if given:
        return Located(source.partition(":")[0], given[1], Path(given[0]), cache, given=True)
    name, _colon, rest = source.partition(":")
    if name == "sample":
        return _cached(cache, "sample", repr(parse_size(rest)).encode())._replace(settings=rest)
    try:
        mapping = root / "params" / "crm" / f"{name}.yml"
        if rest and mapping.is_file():
            return _export(cache, mapping, root / Path(rest).expanduser())
        folder = root / Path(source).expanduser()
        if (folder / "book.json").is_file():
            tables = store.tables(folder)
            listed = whole.is_listed(tables)
            content = whole.content(tables) if listed else _contents(tables, "*.parquet", "book.json")
            return Located(folder.name, f"book-{_digest(*content, _code())}", tables, cache)
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a path too long, a NUL in it
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"source {printable(source)!r} cannot be read", [str(error)]) from None
    known = sorted(path.stem for path in (root / "params" / "crm").glob("*.yml"))
    allowed = [f"{mapping_name}:<folder>" for mapping_name in known]
    raise BadInput(
        f"source {printable(source)!r} cannot be read", [f"allowed: sample, {', '.join(allowed)}, a book's folder"]
    )


def _export(cache: Path, mapping: Path, folder: Path) -> Located:
    from salesops.crm.mapping import load

    spec = load(mapping)
    if not folder.is_dir():
        raise BadInput(f"source {mapping.stem} cannot be read", [f"there is no folder {folder}"])
    content = [spec.model_dump_json().encode()]
    content += _contents(folder, *spec.patterns)
    return _cached(cache, mapping.stem, *content)._replace(mapping=mapping, files=folder)


def _contents(folder: Path, *patterns: str) -> list[bytes]:
    found = []
    for pattern in patterns:
        for path in sorted(p for p in folder.glob(pattern) if p.is_file()):
            with path.open("rb") as stream:
                found.append(path.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return found


def _cached(cache: Path, name: str, *content: bytes) -> Located:
    key = f"{name}-{_digest(*content, _code())[:32]}"
    return Located(name, key, cache / "books" / key, cache)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@lru_cache
def _code() -> bytes:
    """The hash of the code that makes books."""
    return _digest(*(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))).encode()
