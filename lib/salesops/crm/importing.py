"""`salesops import`: the files of a system, by its mapping, into a book of one's own."""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from salesops import project
from salesops.crm import database, making, mapping
from salesops.problems import BadInput, printable


def known(root: Path) -> list[str]:
    """The systems that have a mapping."""
    return sorted(path.stem for path in (root / "params" / "crm").glob("*.yml"))


def parse_stages(text: str) -> list[dict]:
    """Stages from `Lead, Offer, Won=won, Lost=lost`; a pipeline's begin with `Pipeline: `, and `;` is between them.

    Raises
    ------
    BadInput
        If a kind is not open, won or lost.
    """
    stages, wrong = [], []
    for part in filter(None, text.split(";")):
        pipeline, colon, names = part.rpartition(": ")
        for one in filter(str.strip, (names if colon else part).split(",")):
            name, equals, kind = one.strip().rpartition("=")
            if equals and not name.strip():
                wrong.append(f"{printable(one.strip())!r}: write the stage before =")
            kind, name = (kind.strip(), name.strip()) if equals else ("open", one.strip())
            if kind not in ("open", "won", "lost"):
                wrong.append(f"{printable(one.strip())!r}: write open, won or lost after =")
            stages.append({"stage": name, "kind": kind, "pipeline": pipeline.strip()})
    if wrong:
        raise BadInput("the stages cannot be understood", wrong)
    return stages


def bring_in(
    system: str,
    given: Sequence[Path],
    to: Path,
    *,
    replace: bool = False,
    snapshot: bool = False,
    stages: str = "",
    rates: Path | None = None,
    vat: str = "",
    **changes: str,
) -> Path:
    """Write the book of some files or folders to `to`; or of a data base, where `given` is `$NAME`: the environment
    variable with its URL. With `snapshot` the export is added to the snapshots of a book that is there already.

    Parameters
    ----------
    rates : a file of what currencies are worth: currency, date, rate (in the reporting currency), perhaps per (units).
    vat : of `parse_vat`.

    Raises
    ------
    BadInput
        If there is no such system, the files cannot be read, or there is something at `to` that is no book, or is one
        and `replace` was not said. What was there before then stays.
    """
    root = project.root()
    path = root / "params" / "crm" / f"{system}.yml"
    if "/" in system or not path.is_file():
        raise BadInput(f"{printable(system)!r} cannot be imported", [f"allowed: {', '.join(known(root))}"])
    earlier = to if snapshot and (to / "snapshots").is_dir() else None
    if not earlier and to.exists() and not (replace and (to / "book.json").is_file()):
        raise BadInput(
            f"{to} exists already", ["say --replace" if (to / "book.json").is_file() else "name a folder that does not"]
        )
    variable = str(given[0]).removeprefix("$") if len(given) == 1 and str(given[0]).startswith("$") else ""
    blocked = next((one for one in to.parents if one.exists() and not one.is_dir()), None)
    if blocked:
        raise BadInput(f"{to} cannot be written", [f"{blocked} is a file"])
    missing = [] if variable else [f"there is no {one}" for one in given if not one.exists()]
    if missing:
        raise BadInput("nothing was imported", missing)
    missing = [f"there is no {rates}"] if rates and not rates.is_file() else []
    if missing:
        raise BadInput("nothing was imported", missing)
    spec = mapping.load(path, stages=parse_stages(stages), vat=parse_vat(vat), **changes)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".importing-", dir=to.parent) as place:
        draft = Path(place) / "book"
        draft.mkdir()
        files = Path(place) / "files"
        folder = database.copy(variable, spec, files) if variable else _gathered(given, files)
        if rates:
            folder, spec = _with_rates(folder, rates, spec, Path(place) / "with-rates")
        making.from_export(draft, folder, spec, earlier=earlier, snapshots=snapshot)
        if to.exists():
            to.rename(Path(place) / "before")
        draft.rename(to)
    return to


RATES = {  # what a file of rates calls its columns; the last names are the Bank of Russia's
    "currency": ["currency", "Currency", "code", "Code", "cdx"],
    "rate_on": ["rate_on", "date", "Date", "day", "data"],
    "rate": ["rate", "Rate", "curs"],
    "per": ["per", "units", "nominal"],
}
NAMES_OF_CURRENCIES = {
    "Доллар США": "USD",
    "Евро": "EUR",
    "Китайский юань": "CNY",
    "Казахстанский тенге": "KZT",
    "Белорусский рубль": "BYN",
    "Турецкая лира": "TRY",
    "Дирхам ОАЭ": "AED",
    "Индийская рупия": "INR",
}


def parse_vat(text: str) -> dict | None:
    """VAT from `included 20%` or `excluded 18%, 20% from 2019-01-01`: whether amounts hold it, and how much it is.

    Raises
    ------
    BadInput
        If it is written in another way.
    """
    if not text.strip():
        return None
    kind, _space, shares = text.strip().partition(" ")
    found = {}
    for part in shares.split(","):
        match = re.fullmatch(r"\s*(\d{1,2}(?:\.\d+)?)\s*%(?:\s+from\s+(\S+))?\s*", part)
        if kind not in ("included", "excluded") or not match:
            form = "included 20%, or: excluded 18%, 20% from 2019-01-01"
            raise BadInput("nothing was imported", [f"{printable(text)!r} is not VAT: write {form}"])
        if (match[2] or "") in found:
            raise BadInput("nothing was imported", [f"{printable(text)!r}: two shares from one day"])
        found[match[2] or ""] = float(Decimal(match[1]) / 100)
    return {"included": kind == "included", "share": found}


def _with_rates(folder: Path, rates: Path, spec: mapping.Mapping, place: Path) -> tuple[Path, mapping.Mapping]:
    """A folder of the files and the rates, and the mapping that reads both; its patterns do not see the rates."""
    shutil.copytree(folder, place, copy_function=_link)
    (place / ".rates").mkdir()
    _link(rates.resolve(), place / ".rates" / rates.name)
    # A rate has no thousands marks: in a file of text the one mark is the decimal one.
    text = (
        rates.read_bytes()[:1_000_000].decode("utf-8", "replace")
        if rates.suffix.lower() in (".csv", ".txt", ".tsv")
        else ""
    )
    marks = {"decimal": "," if ";" in text and re.search(r"\d,\d", text) else "."} if text and not spec.decimal else {}
    part = mapping.TableMap(
        file=f".rates/{rates.name}", columns=RATES, values={"currency": NAMES_OF_CURRENCIES}, **marks
    )
    return place, spec.model_copy(update={"tables": {**spec.tables, "rates": [part]}})


def _link(path: str | Path, target: str | Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # on another disk
        shutil.copyfile(path, target)


def _gathered(given: Sequence[Path], place: Path) -> Path:
    """One folder that holds all files."""
    if len(given) == 1 and given[0].is_dir():
        return given[0].resolve()
    place.mkdir()
    twice = []
    for one in given:
        for path in sorted(one.iterdir()) if one.is_dir() else [one]:
            target = place / path.name
            if target.exists():
                twice.append(f"two files are called {path.name}")
            elif path.is_file():
                _link(path.resolve(), target)
    if twice:
        raise BadInput("nothing was imported", twice)
    return place
