"""What a run says while it runs and at its end: to people, or a line of JSON for each event."""

import contextlib
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Iterator

import click

from salesops import plaintext
from salesops.problems import printable

WIDEST = 400
MOST_NAMES = 5  # of pages that failed for one reason


@contextlib.contextmanager
def teller(kind: str, n_pages: int) -> Iterator:
    """A function (event, **facts) that prints what happens, and at the end a summary; text or json."""
    if kind == "json":
        yield Lines(n_pages)
    elif sys.stdout is not None and sys.stdout.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        shown = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*shown, transient=True) as progress:
            yield Text(n_pages, progress)
    else:
        yield Text(n_pages)


class Lines:
    """A line of JSON for each event, with a moment in UTC; keys are the same for the same event."""

    def __init__(self, n_pages: int):
        self._say("begin", {"pages": n_pages})

    def __call__(self, event: str, **facts) -> None:
        if event == "end":
            result = facts["result"]
            facts = {
                **_counts(result),
                "trouble": result.trouble,
                "index": [str(folder / "index.html") for folder in facts["folders"]],
            }
        self._say({"page": "start", "data": "read"}.get(event, event), facts)

    def _say(self, event: str, facts: dict) -> None:
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        _print(json.dumps({"at": at, "event": event, **facts}, ensure_ascii=True))


class Text:
    """Lines for people; a bar where there is a terminal."""

    def __init__(self, n_pages: int, progress=None):
        self._began = time.monotonic()
        self._progress = progress
        self._task = progress.add_task("pages", total=n_pages) if progress else None
        self._told: dict[str, str] = {}  # why a page failed -> the first page of which that was said

    def __call__(self, event: str, **facts) -> None:
        getattr(self, f"_{event}")(**facts)

    def _print(self, text: str, *, error: bool = False) -> None:
        text = plaintext.block(text) if error else plaintext.line(text)
        if self._progress and not error:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            _print(text, error=error)

    def _advance(self) -> None:
        if self._progress:
            self._progress.advance(self._task)

    def _page(self, name: str, why: str) -> None:
        if self._progress:
            self._progress.update(self._task, description=printable(name))
        else:
            self._print(f"{name}: running ({why})")

    def _data(self, name: str) -> None:
        self._print(f"{printable(name)}: reading the data")

    def _again(self, name: str, reason: str) -> None:
        self._print(f"{printable(name)}: {_plain(reason)}", error=True)

    def _made(self, name: str, page: str) -> None:
        self._advance()
        self._print(f"{name}: {page}")

    def _unchanged(self, name: str, page: str) -> None:
        self._advance()
        self._print(f"{name}: as it would be made now: {page}")

    def _failed(self, name: str, reason: str, page: str, ending: str = "", notebook: str = "") -> None:  # noqa: ARG002
        self._advance()
        shown = "\n".join(_plain(line) for line in reason.splitlines()[:60])
        name = printable(name, WIDEST)
        first = self._told.setdefault(reason, name)
        self._print(f"{name}: failed: {shown if first == name else f'as {first}'}", error=True)
        if notebook:
            self._print(f"{name}: the notebook with its error is {plaintext.line(notebook)}", error=True)
        if os.path.isfile(page):  # noqa: PTH113  which a name that is too long does not stop
            self._print(f"{name}: the earlier page stays: {plaintext.line(page)}", error=True)

    def _end(self, result, folders) -> None:
        for trouble in result.trouble:
            self._print(trouble, error=True)
        if len(folders) > 1 or sum(_counts(result).values()) > 1:
            counts = ", ".join(f"{n} {name}" for name, n in _counts(result).items())
            self._print(f"{counts}, in {time.monotonic() - self._began:.1f} seconds")
        alike: dict[str, list[str]] = {}
        for failure in result.failed:
            alike.setdefault(failure.reason, []).append(failure.job.name)
        for reason, names in alike.items() if sum(_counts(result).values()) > 1 else ():
            why = reason.splitlines()[0].rstrip(":")
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            shown = ", ".join(map(printable, names[:MOST_NAMES]))
            self._print(f"failed: {shown}{more}: {_plain(why)}", error=True)
        for folder in folders:
            if (folder / "index.html").is_file():
                self._print(str(folder / "index.html"))


def _print(text: str, *, error: bool = False) -> None:
    """Print a line. Where nobody reads any more (a pipe that closed, a full disk), pages are made all the same."""
    try:
        click.echo(text, err=error)
    except OSError:
        stream = sys.stderr if error else sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _counts(result) -> dict[str, int]:
    return {"made": len(result.made), "unchanged": len(result.unchanged), "failed": len(result.failed)}


def _plain(text: str) -> str:
    return printable(text, WIDEST)
