"""Which folders this program made and may remove: a mark inside says so, never a name.

The mark names its folder by device and inode, so a copy that somebody made of a marked folder is theirs. A link is
never followed, and a folder of another user is never touched.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from salesops import locks

MARK = ".salesops-made"
STARTED = time.time()  # of this process, nearly
PROGRAM = "salesops"
CACHED = (BOOK, DRAFT, COPY) = ("prepared-book", "draft-of-a-book", "copy-of-a-book")  # kinds of folders of the cache
DRAFT_MARK = re.compile(rf"{re.escape(MARK)}-[0-9a-f]{{8}}")
OLD_BOOK = re.compile(r"[^.].*-[0-9a-f]{32}")


def make(folder: Path, kind: str) -> Path:
    """Make a folder of a kind of ours, with its mark; it must not be there yet."""
    folder.mkdir()
    mark(folder, kind)
    return folder


def mark(folder: Path, kind: str) -> None:
    """Mark a folder that this process made, or that a record of ours names, as ours."""
    state = folder.stat()
    content = {
        "program": PROGRAM,
        "kind": kind,
        "user": state.st_uid,
        "process": os.getpid(),
        "process_started": STARTED,
        "device": state.st_dev,
        "inode": state.st_ino,
    }
    draft = folder / f"{MARK}-{secrets.token_hex(4)}"  # a link in the mark's place is replaced, never followed
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        json.dump(content, stream)
    draft.replace(folder / MARK)


def is_ours(folder: Path, kind: str) -> bool:
    """Whether a path is a folder, no link, of this user, that carries our mark of a kind, made for this very folder."""
    try:
        state, marked = folder.lstat(), (folder / MARK).lstat()
        if not stat.S_ISDIR(state.st_mode) or not stat.S_ISREG(marked.st_mode):
            return False
        if hasattr(os, "getuid") and {state.st_uid, marked.st_uid} != {os.getuid()}:
            return False
        content = json.loads((folder / MARK).read_text("utf-8"))
        expected = {"program": PROGRAM, "kind": kind, "device": state.st_dev, "inode": state.st_ino}
        return all(content.get(name) == value for name, value in expected.items())
    except (OSError, ValueError, AttributeError):
        return False


def is_old_book(folder: Path) -> bool:
    """Whether a folder of the cache is a prepared book of format 1, which has no mark: its name ends in a hash, and it
    has `book.json` and tables, and nothing else."""
    if folder.is_symlink() or not OLD_BOOK.fullmatch(folder.name) or not (folder / "book.json").is_file():
        return False
    paths = list(folder.iterdir())
    plain = all(path.is_file() and not path.is_symlink() for path in paths)
    return plain and all(path.suffix == ".parquet" or path.name == "book.json" for path in paths)


def remove(folder: Path, kind: str) -> bool:
    """Remove a folder that is ours; whether it is gone. What links in it lead to stays.

    The mark goes last, so that what a killed process has begun to remove is known as ours.
    """
    if not is_ours(folder, kind):
        return False
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name == MARK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        (folder / MARK).unlink()
        folder.rmdir()
    return not folder.exists()


def is_empty(folder: Path) -> bool:
    """Whether a path is a folder with nothing in it, or only with a mark that a killed process had not finished."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(
        DRAFT_MARK.fullmatch(path.name) and path.is_file() and not path.is_symlink() for path in folder.iterdir()
    )


def remove_empty(place: Path, pattern: re.Pattern) -> None:
    """Remove the folders of a pattern in which there is nothing: a process was killed before it had marked or after it
    had emptied them. Nobody loses anything by it."""
    for path in list(place.iterdir()) if place.is_dir() else ():
        with contextlib.suppress(OSError):
            if pattern.fullmatch(path.name) and is_empty(path):
                for mark_ in path.iterdir():
                    mark_.unlink()
                path.rmdir()


def in_(place: Path, kind: str) -> Iterator[Path]:
    """The folders directly in a place that are ours, by name."""
    if place.is_dir():
        yield from (path for path in sorted(place.iterdir()) if is_ours(path, kind))


@contextlib.contextmanager
def working(place: Path, kind: str) -> Iterator[Path]:
    """A new folder in a place to work in, gone afterwards; those of the kind that killed processes left go first."""
    remove_left_over(place, kind)
    folder = Path(tempfile.mkdtemp(prefix=f".salesops-{kind}-", dir=place))
    try:
        with locks.hold(folder):  # before it is marked, so that no other process takes it for a left-over one
            mark(folder, kind)
            yield folder
    finally:
        remove(folder, kind)


def remove_left_over(place: Path, kind: str) -> None:
    """Remove the folders of a kind whose process, which had their lock, is gone."""
    for folder in list(in_(place, kind)):
        with contextlib.suppress(OSError, locks.Locked), locks.hold(folder):
            remove(folder, kind)
