"""Errors that nobody foresaw: one line for the user, and a log with the traceback for who mends them.

`SALESOPS_TRACEBACK=1` lets the traceback through, for developers.
"""

import contextlib
import datetime as dt
import errno
import os
import re
import shutil
import sys
from pathlib import Path

import click

from salesops import interrupts
from salesops.problems import BadInput, printable

UNEXPECTED, PIPE = 70, 141  # exit codes: EX_SOFTWARE of sysexits.h; 128 + SIGPIPE
DEVELOPER = "SALESOPS_TRACEBACK"
HEAD = "salesops error log"  # the first words of each log, by which this program knows its own
KEPT = 20  # logs
LONGEST = 300
FULL = (errno.ENOSPC, errno.EDQUOT)
OF_THE_SYSTEM = (
    *FULL,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
)  # not of our code
LEAST_BYTES = 1 << 20  # a disk with less is full
VERSIONS = ("salesops", "click", "duckdb", "ibis-framework", "numpy", "pandas", "papermill", "pyarrow")
SHORTEST_SECRET = 6
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\d{4,}")


class Commands(click.Group):
    """A group of commands none of which ends in a traceback."""

    def invoke(self, ctx: click.Context):
        _let_any_text_out()
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except SystemExit:
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if end := interrupts.pending():
                raise end from None
            if os.environ.get(DEVELOPER):
                raise
            code = _end(error, ctx.invoked_subcommand or "")
            _settle_streams()
            sys.exit(code)


def _end(error: BaseException, command: str) -> int:
    """Say what happened; the exit code."""
    from salesops.locks import Locked

    if isinstance(error, BrokenPipeError):  # who read our output has gone, as `head` does
        return PIPE
    if isinstance(error, (BadInput, Locked)):
        _say(str(error))
        return 2 if isinstance(error, BadInput) else 3
    _say(f"salesops {command}: {in_words(error)}. {_where_logged(error, command)}")
    return UNEXPECTED


def in_words(error: BaseException) -> str:
    """One line that says what an exception means."""
    if isinstance(error, OSError) and error.errno in FULL:
        return _full_disk(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return "memory ran out; close other programs, or take less data at once"
    if isinstance(error, OSError) and error.errno:
        named = f": {error.filename}" if error.filename is not None else ""
        return printable(f"{os.strerror(error.errno)}{named}", LONGEST)
    if isinstance(error, RecursionError):
        return "something is nested too deeply to be read"
    if isinstance(error, UnicodeError):
        return printable(f"text that cannot be read or written as {getattr(error, 'encoding', 'text')}", LONGEST)
    said = next(iter(str(error).strip().splitlines()), "")
    if type(error).__module__.split(".")[0] in ("duckdb", "_duckdb", "pyarrow"):
        return printable(f"data could not be read or written: {said}", LONGEST)
    return printable(f"unexpected error: {type(error).__name__}: {said}".removesuffix(": "), LONGEST)


def _full_disk(error: OSError) -> str:
    """Which disk is full: that of the file, or, where the system does not say which, those that have no room."""
    said, places = os.strerror(error.errno), [error.filename] if error.filename else list(full_places())
    if not places:
        return f"{said} (the system does not say where; perhaps what the output goes to)"
    listed = ", ".join(str(place) for place in places)
    advice = "make room there, or name another place (TMPDIR: temporary files; SALESOPS_CACHE: prepared books)"
    return f"{printable(f'{said}: {listed}', LONGEST)}; {advice}"


def full_places() -> list[Path]:
    """The folders that this program writes to without being asked whose disk has no room."""
    import tempfile

    from salesops import project

    places = []
    for find in (lambda: Path(tempfile.gettempdir()), project.cache, Path.cwd):
        with contextlib.suppress(OSError, ValueError):
            place = next(one for one in (find(), *find().absolute().parents) if one.exists())
            if shutil.disk_usage(place).free < LEAST_BYTES and place not in places:
                places.append(place)
    return places


def folder() -> Path:
    """Where logs go: `$XDG_STATE_HOME/salesops/errors`, by default under `~/.local/state`.

    Raises
    ------
    RuntimeError
        If there is no home.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    state = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return state / "salesops" / "errors"


def _where_logged(error: BaseException, command: str) -> str:
    try:
        path = _log(error, command)
    except (OSError, RuntimeError, ValueError) as trouble:
        again = f"to report it, run it again with {DEVELOPER}=1, and send what is printed"
        return f"No log could be written ({in_words(trouble)}); {again} to who maintains this playbook"
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in OF_THE_SYSTEM:
        return f"Details: {path}"
    return f"To report it, look through {path}, and send that file to who maintains this playbook"


def _log(error: BaseException, command: str) -> Path:
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    now = dt.datetime.now(dt.UTC)
    path = place / f"{now:%Y%m%dT%H%M%S%fZ}-{os.getpid()}.log"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(f"{HEAD}\n{without_secrets(_report(error, command, now))}")
    _forget_old(place)
    return path


def _forget_old(place: Path) -> None:
    """Keep the newest logs; what does not begin as one is not ours."""
    ours = []
    for path in sorted(place.glob("*.log")):
        with contextlib.suppress(OSError, UnicodeError):
            if path.is_file() and not path.is_symlink():
                with path.open(encoding="utf-8") as stream:
                    ours += [path] if stream.read(len(HEAD)) == HEAD else []
    for path in ours[:-KEPT]:
        with contextlib.suppress(OSError):
            path.unlink()


def _report(error: BaseException, command: str, now: dt.datetime) -> str:
    """The versions, the command without its arguments, and the traceback; what messages quote is left out."""
    import platform
    from importlib.metadata import version

    about = [f"{now:%Y-%m-%d %H:%M:%S} UTC", f"command: salesops {command}",
             f"Python {platform.python_version()} on {platform.platform()}",
             *(f"{name} {version(name)}" for name in VERSIONS), ""]  # fmt: skip
    return "\n".join([*about, *_chain(error)]) + "\n"


def _chain(error: BaseException) -> list[str]:
    import traceback

    lines, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = [line.rstrip() for line in traceback.format_tb(error.__traceback__)]
        lines = ["Traceback (most recent call last):", *frames, _summary(error), "", *lines]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return lines


def _summary(error: BaseException) -> str:
    """An exception without what it quotes, which may be data; of the operating system's errors, the number says all."""
    if isinstance(error, OSError) and error.errno:
        return f"{type(error).__name__}: {os.strerror(error.errno)}: {error.filename or ''}"
    return f"{type(error).__name__}: {QUOTED.sub('…', printable(error, LONGEST))}"


def without_secrets(text: str) -> str:
    """Text in which no value of the environment stands but paths, and no credentials of a URL."""
    values = {value for value in os.environ.values() if len(value) >= SHORTEST_SECRET and not value.startswith("/")}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "…")
    return re.sub(r"://[^/\s@]+@", "://…@", text)


def _say(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        click.echo(message, err=True)


def _let_any_text_out() -> None:
    """A name that the terminal's encoding lacks is printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def _settle_streams() -> None:
    """Where nothing can be written any more, let the interpreter's own last attempt succeed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
