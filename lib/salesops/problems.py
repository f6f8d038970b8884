"""What is wrong with the user's files: every problem at once, each with its place."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from salesops import plaintext

SHOWN = 40
WIDEST = 60  # characters of a value
LONGEST_PATH = 400
LONGEST = 2_000  # of a sentence; what lists names is cut


class Problem(NamedTuple):
    """One thing to mend: where it is, what came, what is allowed."""

    file: str
    row: int | None  # the header is row 1; None: the whole file
    column: str
    value: str
    allowed: str

    def __str__(self) -> str:
        place = [printable(self.file, LONGEST_PATH)]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column:
            place.append(printable(self.column))
        came = f"got {printable(self.value)!r}, " if self.value else ""
        return f"{', '.join(place)}: {came}{printable(self.allowed, LONGEST)}"


class BadInput(ValueError):
    """The user's data, mapping or parameters cannot be used; `problems` lists everything to mend."""

    def __init__(self, what: str, problems: Sequence[Problem | str]):
        self.what, self.problems = printable(what, LONGEST), list(problems)
        shown = [f"  {_shown(problem)}" for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            shown.append(f"  ... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join([f"{self.what}:", *shown]))


def _shown(problem: object) -> str:
    """A problem on a line of its own; another refusal inside of this one keeps its lines."""
    return str(problem) if isinstance(problem, Problem | BadInput) else printable(problem, LONGEST)


def explain(error: dict) -> str:
    """What pydantic found wrong with one entry: where it is, and what came where that is one value."""
    place = ".".join(map(str, error["loc"]))
    said = {"missing": "missing", "extra_forbidden": "unknown"}.get(error["type"])
    if said is None:
        told = error["msg"].removeprefix("Value error, ")
        came = "" if isinstance(error["input"], (dict, list)) else f", got {printable(error['input'])!r}"
        said = f"{told[0].lower()}{told[1:]}{came}"
    return f"{place}: {said}" if place else said


def listed(names: Iterable[str], most: int = SHOWN) -> str:
    """Names one after the other; of many the first, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(printable(name) for name in names[:most]) + more


def printable(value: object, most: int = WIDEST) -> str:
    """Text fit for a message: one line, nothing hidden, at most `most` long."""
    return plaintext.line(value, most)
