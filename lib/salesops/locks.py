"""One process at a time in a folder. The lock ends with its process, however that ends."""

import contextlib
import datetime as dt
import errno
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from salesops.problems import printable

NAME = ".salesops.lock"
PAUSE = 0.1  # seconds between looks at a lock that is waited for


class Locked(Exception):
    """Another run is writing into the folder."""


@contextlib.contextmanager
def hold(folder: Path, name: str = NAME, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is not there.

    A lock that a killed process left behind is nobody's, and is taken.

    Parameters
    ----------
    name : of the lock's file, where a folder has several.
    wait : until the lock is free.

    Raises
    ------
    Locked
        If another process has it, and it is not waited for; it says which.
    OSError
        If the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    while True:
        stream = _opened(path)
        if not _take(stream):
            if wait:
                stream.close()
                time.sleep(PAUSE)
                continue
            owner = _owner(stream)
            stream.close()
            raise Locked(f"{folder} is being written by another run ({_said(owner)}); nothing was run")
        if _same_file(stream, path):
            break
        stream.close()  # its holder removed it between our opening and our taking it
    stream.truncate(0)
    stream.write(json.dumps({"process": os.getpid(), "host": platform.node(), "since": _now(), "command": _command()}))
    stream.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()


def _opened(path: Path):
    """The lock's file, which is made where it is not there; never what a link leads to.

    Raises
    ------
    FileExistsError
        If something else stands in its place.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        stream = os.fdopen(os.open(path, flags, 0o666), "a+", encoding="utf-8")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise FileExistsError(errno.EEXIST, "not a lock of ours; move it away", str(path)) from None
        raise
    state = os.fstat(stream.fileno())
    if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
        stream.close()
        raise FileExistsError(errno.EEXIST, "not a lock of ours; move it away", str(path))
    return stream


def _take(stream) -> bool:
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            stream.seek(1 << 20)  # beyond the text, which others may then read
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _owner(stream) -> str:
    """What its holder wrote into it; who has only just taken it is given a second to write."""
    for _ in range(20):
        stream.seek(0)
        if owner := stream.read():
            return owner
        time.sleep(0.05)
    return ""


def _same_file(stream, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _said(owner: str) -> str:
    try:
        known = json.loads(owner)
        return printable(
            f"process {known['process']} on {known['host']}, since {known['since']}: {known['command']}", 300
        )
    except (ValueError, KeyError, TypeError):
        return "it does not say which"


def _now() -> str:
    return dt.datetime.now().astimezone().isoformat(timespec="seconds")


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
