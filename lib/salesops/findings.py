"""What an analysis says: findings, tiles and tables, as finished plain text without any markup."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Tone = Literal["good", "bad", "warn", "plain"]
MARKS: dict[Tone, str] = {"good": "●", "bad": "▼", "warn": "▲", "plain": "–"}

# What a notebook says of itself as data, beside the HTML that is shown.
FINDINGS = "application/vnd.salesops.findings+json"
PAGE = "application/vnd.salesops.page+json"
FRONT = "application/vnd.salesops.front+json"


class Finding(NamedTuple):
    """One sentence to act on. `headline` can stand alone, as the title of a page does.

    What has a `key` can come to the month's front page. It names what the finding is about, without its numbers, so
    that next month's is known for the same one: `stage/New business/Proposal/fell`. Findings of one `cause` are one to
    the reader; blank: the key.

    money : what is at stake, in whole units of the currency; None where that cannot be told.
    p : of a claim that something changed or differs, corrected within its `family`, the claims that were tried
        together; of "nothing did", the smallest of them. None for what is counted and not inferred.
    status : whether it says where the company stands against its target.
    """

    tone: Tone
    headline: str
    detail: str = ""
    key: str = ""
    cause: str = ""
    money: float | None = None
    p: float | None = None
    family: str = ""
    status: bool = False


class Tile(NamedTuple):
    """A headline number: its name, its value, its change, and what it rests on.

    series : its values so far, the last of them the one shown; at, texts : their periods, and how they are written.
    key : names it from month to month, so that what was told of a period can be held against what is known now.
    """

    name: str
    value: str
    change: str = ""
    against: str = ""
    note: str = ""
    tone: Tone = "plain"
    series: Sequence[float] = ()
    at: Sequence[str] = ()
    texts: Sequence[str] = ()
    key: str = ""


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
