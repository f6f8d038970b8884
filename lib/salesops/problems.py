"""What is wrong with the user's files: every problem at once, each with its place."""

from collections.abc import Sequence
from typing import NamedTuple

SHOWN = 40
WIDEST = 60


class Problem(NamedTuple):
    """One thing to mend: where it is, what came, what is allowed."""

    file: str
    row: int | None  # the header is row 1; None: the whole file
    column: str
    value: str
    allowed: str

    def __str__(self) -> str:
        place = [self.file]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column:
            place.append(printable(self.column))
        came = f"got {printable(self.value)!r}, " if self.value else ""
        return f"{', '.join(place)}: {came}{self.allowed}"


class BadInput(ValueError):
    """The user's data, mapping or parameters cannot be used; `problems` lists everything to mend."""

    def __init__(self, what: str, problems: Sequence[Problem | str]):
        self.what, self.problems = what, list(problems)
        shown = [f"  {problem}" for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            shown.append(f"  ... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join([f"{what}:", *shown]))


def explain(error: dict) -> str:
    """What pydantic found wrong with one entry: where it is, and what came where that is one value."""
    place = ".".join(map(str, error["loc"]))
    said = {"missing": "missing", "extra_forbidden": "unknown"}.get(error["type"])
    if said is None:
        told = error["msg"].removeprefix("Value error, ")
        came = "" if isinstance(error["input"], (dict, list)) else f", got {printable(error['input'])!r}"
        said = f"{told[0].lower()}{told[1:]}{came}"
    return f"{place}: {said}" if place else said


def printable(value: object, most: int = WIDEST) -> str:
    """Text fit for a terminal or a log: one line, no control characters, at most `most` long."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return text if len(text) <= most else text[: most - 1] + "…"
