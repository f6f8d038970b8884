"""The facts of a prepared book, `book.json`: read with every wrong entry named, since people copy and edit folders."""

import json
import zoneinfo
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from salesops import formats, periods
from salesops.crm.tables import TABLES
from salesops.problems import BadInput, explain

NAME = "book.json"


class _Facts(BaseModel):
    """What each book has. n_rows, filled : by table. written : column -> how. exported_on : a day, or blank."""

    model_config = ConfigDict(strict=True)
    title: str
    currency: str = Field(pattern="^[A-Z]{3}$")
    minor_digits: int = Field(ge=0, le=4)
    time_zone: str
    first_moment: str | None
    last_moment: str | None
    log_begins: str | None
    history: str
    tracked: list[str]
    n_rows: dict[str, int]
    filled: dict[str, list[str]]
    notes: dict[str, int]
    vat: dict | None
    exported_on: str | None = None
    # What the import met; a book without these met nothing.
    n_refused: dict[str, int] = {}
    refused: list[dict] = []
    n_left_out: dict[str, dict[str, int]] = {}
    repairs: list[dict] = []
    notes_of_files: list[list] = []
    written: dict[str, str] = {}
    converted: list[list] = []

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
            raise ValueError("no time zone") from None
        return name

    @field_validator("exported_on", "first_moment", "last_moment", "log_begins")
    @classmethod
    def _day(cls, moment: str | None) -> str | None:
        if moment and not periods.is_day(moment[:10]):
            raise ValueError("no day or moment")
        return moment

    @field_validator("n_rows", "filled")
    @classmethod
    def _tables(cls, by_table: dict) -> dict:
        if missing := [name for name in TABLES if name not in by_table]:
            raise ValueError(f"without {', '.join(missing)}")
        return by_table

    @model_validator(mode="after")
    def _ends(self) -> "_Facts":
        if not (self.exported_on or self.last_moment):
            raise ValueError("neither exported_on nor last_moment")
        return self


def read(folder: Path) -> dict:
    """The facts of the book in a folder.

    Raises
    ------
    BadInput
        If they are damaged, with every problem at once; or if a later version wrote them.
    """
    path = folder / NAME
    what, mend = f"the book {folder} cannot be read", "import it again, or bring back the file"
    try:
        facts = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(what, [f"{NAME}: {error.strerror}; {mend}"]) from None
    except (ValueError, RecursionError):
        raise BadInput(what, [f"{NAME} is no JSON; {mend}"]) from None
    if not isinstance(facts, dict):
        raise BadInput(what, [f"{NAME} holds no facts of a book; {mend}"])
    formats.check(facts.get("format", 1), formats.BOOK, str(path))
    try:
        checked = _Facts.model_validate(facts)
    except ValidationError as error:
        raise BadInput(what, [*(f"{NAME}: {explain(one)}" for one in error.errors()), mend]) from None
    absent = _Facts.model_fields.keys() - facts.keys()
    return facts | {name: getattr(checked, name) for name in sorted(absent)}
