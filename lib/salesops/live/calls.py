"""Calls to a system: patient where it is busy, and never a secret in a message."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from salesops.live.store import Stopped
from salesops.problems import BadInput, printable

SECONDS = 120  # of one call
TRIES = 6
LONGEST = 120  # seconds to wait before a try
SECRET = "(secret)"  # noqa: S105  what stands for one


class Refusal(NamedTuple):
    """What a system said instead of an answer: `busy` can be tried again, after `wait` seconds if it says so."""

    said: str
    busy: bool = False
    wait: float | None = None


def needed(environment: Mapping[str, str], system: str, *names: str) -> list[str]:
    """The values of environment variables.

    Raises
    ------
    BadInput
        If one is not set; with all that are not.
    """
    missing = [f"the environment variable {name} is not set" for name in names if not environment.get(name, "").strip()]
    if missing:
        raise BadInput(f"{system} cannot be read", missing)
    return [environment[name].strip() for name in names]


def patient(call: Callable, explain: Callable[[Exception], Refusal], secrets: Sequence[str], *, sleep=None):
    """The answer of a call, tried again while the system is busy or cannot be reached.

    Raises
    ------
    Stopped
        If it does not answer after all tries, or refuses; without any of the secrets in the message.
    """
    wait = 1.0
    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except Exception as error:  # of whatever library; explained below
            refusal = explain(error)
        if not refusal.busy or attempt == TRIES or (refusal.wait or 0) > LONGEST:
            break
        (sleep or time.sleep)(min(refusal.wait if refusal.wait is not None else wait, LONGEST))
        wait *= 2
    raise Stopped(f"{clean(refusal.said, secrets)}; what was read is kept, and the next run goes on from there")


def clean(text: str, secrets: Sequence[str]) -> str:
    """Text without secrets, on one line."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, SECRET)
    return printable(re.sub(r"\s+", " ", text).strip(), 300)
