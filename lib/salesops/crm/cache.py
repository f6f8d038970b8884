"""The prepared books of sources: made once, checked when opened, and removed when nobody has used them for long.

    books/<name>-<hash>/         a prepared book; the hash is that of the export, its mapping and the code that reads it
    digests/<name>-<hash>-<day>  the hash of what was known on a day

All of it can be made again. It is readable by its user alone.
"""

import contextlib
import datetime as dt
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from salesops import locks, ownership
from salesops.crm.source import Located
from salesops.ownership import BOOK, COPY, DRAFT
from salesops.problems import printable

OLD = "prepared-book-of-an-earlier-version"
LIMIT = "SALESOPS_CACHE_LIMIT"  # gigabytes that prepared books may take
USUAL_LIMIT = 20.0
LONGEST_DAYS = 90  # without use
GRACE = 86_400  # seconds since its last use for which a book stays, because a run may still need it
GIGABYTE = 10**9
DIGEST = re.compile(r".+-[0-9a-f]{32,64}-(?:end|\d{4}-\d\d-\d\d)")


class Entry(NamedTuple):
    """A folder of the cache. used_at : seconds since 1970."""

    path: Path
    kind: str
    n_bytes: int
    used_at: float


@contextlib.contextmanager
def preparing(located: Located) -> Iterator[Path | None]:
    """An empty folder to write the book of a source into, which becomes its prepared book where no error ends this;
    None where another process has made it while this one waited."""
    books = _private(located.folder.parent)
    with locks.hold(books, f".{located.key}.lock", wait=True):
        if located.made:
            yield None
            return
        for left in _drafts_of(books, located.key):  # nobody else writes under this key now
            ownership.remove(left, DRAFT)
        ownership.remove_empty(books, re.compile(rf"\.{re.escape(located.key)}-[0-9a-f]{{8}}"))
        draft = ownership.make(books / f".{located.key}-{secrets.token_hex(4)}", DRAFT)
        try:
            yield draft
            _put_in_place(draft, located)
        finally:
            ownership.remove(draft, DRAFT)
    evict(located.cache, n_bytes=_limit(), days=LONGEST_DAYS)


def _drafts_of(books: Path, key: str) -> list[Path]:
    return [path for path in ownership.in_(books, DRAFT) if path.name.rpartition("-")[0] == f".{key}"]


def _put_in_place(draft: Path, located: Located) -> None:
    """Move a book that is whole to its place; a damaged one leaves it first."""
    if fault := located.fault:
        if not ownership.remove(located.folder, BOOK):
            raise OSError(f"{located.folder} is damaged ({fault}) and was not made by this program: move it away")
        note = f"source {printable(located.name)}: its prepared book was damaged ({fault}); it was prepared again\n"
        sys.stderr.write(note)
    ownership.mark(draft, BOOK)
    draft.chmod(0o700)
    for path in draft.iterdir():
        path.chmod(0o600)
    draft.rename(located.folder)


def note_use(folder: Path) -> None:
    """Note that a prepared book is in use; of other folders nothing is noted."""
    with contextlib.suppress(OSError):
        if ownership.is_ours(folder, BOOK):
            os.utime(folder / ownership.MARK)


def write(path: Path, content: str) -> None:
    """Write a file of the cache, whole or not at all."""
    draft = _private(path.parent) / f".{path.name}-{secrets.token_hex(4)}"
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def entries(cache: Path) -> list[Entry]:
    """What a cache has that this program made, the one used last first."""
    places = ((cache / "books", BOOK), (cache / "books", DRAFT), (cache / "elsewhere" / "books", COPY))
    listed = [_entry(path, kind) for place, kind in places for path in ownership.in_(place, kind)]
    books = cache / "books"
    old = [path for path in books.iterdir() if ownership.is_old_book(path)] if books.is_dir() else []
    listed += [_entry(path, OLD) for path in old if not ownership.is_ours(path, BOOK)]
    return sorted(listed, key=lambda entry: -entry.used_at)


def _entry(path: Path, kind: str) -> Entry:
    n_bytes = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_symlink())
    used = path / (ownership.MARK if kind != OLD else "book.json")
    return Entry(path, kind, n_bytes, used.stat().st_mtime)


def evict(cache: Path, *, n_bytes: float, days: float, grace: float = GRACE) -> list[Entry]:
    """Remove drafts that killed processes left, books that nobody has used for so many days, and, the longest unused
    first, books beyond so many bytes. What was used within `grace` seconds stays.

    Returns
    -------
    list of Entry
        What was removed.
    """
    now, kept, removed = time.time(), 0, []
    for entry in entries(cache):
        kept += entry.n_bytes
        age = now - entry.used_at
        too_old, too_much = age > days * 86_400, kept > n_bytes
        if entry.kind == DRAFT:
            gone = _remove_draft(entry.path)
        else:
            gone = age > grace and (too_old or too_much or entry.kind == OLD) and _remove(entry)
        if gone:
            kept -= entry.n_bytes
            removed.append(entry)
    _remove_digests(cache, now - days * 86_400)
    return removed


def _remove(entry: Entry) -> bool:
    if entry.kind == OLD:
        shutil.rmtree(entry.path, ignore_errors=True)
        return not entry.path.exists()
    return ownership.remove(entry.path, entry.kind)


def _remove_draft(draft: Path) -> bool:
    """Remove a draft whose process is gone: that one had the lock of its key."""
    key = draft.name.rpartition("-")[0]
    with contextlib.suppress(locks.Locked), locks.hold(draft.parent, f"{key}.lock"):
        return ownership.remove(draft, DRAFT)
    return False


def _remove_digests(cache: Path, before: float) -> None:
    place = cache / "digests"
    for path in place.iterdir() if place.is_dir() else ():
        if DIGEST.fullmatch(path.name) and path.is_file() and not path.is_symlink() and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _limit() -> float:
    """Bytes that prepared books may take: `$SALESOPS_CACHE_LIMIT` gigabytes."""
    try:
        gigabytes = float(os.environ.get(LIMIT, USUAL_LIMIT))
    except ValueError:
        gigabytes = USUAL_LIMIT
    return gigabytes * GIGABYTE


def _private(folder: Path) -> Path:
    """A folder of the cache, made if it is not there, for its user alone."""
    for part in (*reversed(folder.parents), folder):
        part.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_symlink() and folder.stat().st_mode & 0o077:
        with contextlib.suppress(PermissionError):  # somebody else's, who shares it on purpose
            folder.chmod(0o700)
    return folder


def text(listed: list[Entry]) -> str:
    """The entries of a cache for people."""
    lines = [
        f"{entry.path.name}: {entry.kind.replace('-', ' ')}, {entry.n_bytes / 1e6:,.1f} MB,"
        f" used {dt.datetime.fromtimestamp(entry.used_at).astimezone():%Y-%m-%d %H:%M}"
        for entry in listed
    ]
    total = sum(entry.n_bytes for entry in listed)
    return "\n".join([*lines, f"{len(listed)} in all, {total / 1e6:,.1f} MB"])
