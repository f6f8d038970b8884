"""Ctrl-C and SIGTERM: a command ends at a moment when it holds nothing that others wait for.

An exception raised by a signal's handler comes up wherever the program is, also inside the standard library between
taking a lock and noting that it was taken; a thread that wants that lock then waits for ever. So whoever works with
threads is told of the signal instead, and raises where it waits.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator

_listeners: list[Callable[["Interrupted"], None]] = []
_ends: list["Interrupted"] = []  # the one that was raised, if any


class Interrupted(SystemExit):
    """The end of a command, with the exit code of its signal."""


def listen() -> None:
    """From now on the first SIGINT or SIGTERM ends this process as `Interrupted`."""
    _ends.clear()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def pending() -> "Interrupted | None":
    """The end that a signal asked for; a library in another language may have raised an error of its own instead."""
    return _ends[-1] if _ends else None


@contextlib.contextmanager
def told_to(listener: Callable[["Interrupted"], None]) -> Iterator[None]:
    """While this is entered, a signal is handed to a listener, who raises it; `SimpleQueue.put` is a safe one."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _end(number, frame) -> None:  # noqa: ARG001  the form of a handler
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda number, frame: None)  # once is enough; the rest is tidying up
    end = Interrupted(128 + number)
    _ends.append(end)
    if not _listeners:
        raise end
    _listeners[-1](end)
