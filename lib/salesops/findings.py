"""What an analysis says: findings, tiles and tables, as finished plain text without any markup."""

from typing import Literal, NamedTuple

Tone = Literal["good", "bad", "warn", "plain"]
MARKS: dict[Tone, str] = {"good": "●", "bad": "▼", "warn": "▲", "plain": "–"}

# What a notebook says of itself as data, beside the HTML that is shown.
FINDINGS = "application/vnd.salesops.findings+json"
PAGE = "application/vnd.salesops.page+json"


class Finding(NamedTuple):
    """One sentence to act on. `headline` can stand alone, as the title of a page does."""

    tone: Tone
    headline: str
    detail: str = ""


class Tile(NamedTuple):
    """A headline number: its name, its value, its change, and what it rests on."""

    name: str
    value: str
    change: str = ""
    against: str = ""
    note: str = ""
    tone: Tone = "plain"


class Link(NamedTuple):
    """A cell of a table that leads to an address."""

    text: str
    address: str


class Table(NamedTuple):
    """A finished table. The first column names its row; `numeric` columns are set to the right."""

    caption: str
    columns: list[str]
    rows: list[list[str | Link]]
    numeric: list[bool]
    hot: list[bool] | None = None  # rows to mark
    notes: list[str] = []
