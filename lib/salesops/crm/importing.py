"""`salesops import`: the files of a system, by its mapping, into a book of one's own."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from salesops import periods, project
from salesops.crm import database, making, mapping, store
from salesops.crm import snapshot as taking
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
    fewer: bool = False,
    stages: str = "",
    rates: Path | None = None,
    vat: str = "",
    **changes: str,
) -> Path:
    """Write the book of some files or folders into the folder `to`; or of a data base, where `given` is `$NAME`: the
    environment variable with its URL.

    Parameters
    ----------
    replace : take the place of the book that is there; of a snapshot, of that of its day.
    snapshot : add the export to the snapshots of the book, as that of the day `exported_on`; where that is not said,
        of the one day that the names of the files have.
    fewer : a snapshot may lack most deals of the one before.
    rates : a file of what currencies are worth: currency, date, rate (in the reporting currency), perhaps per (units).
    vat : of `parse_vat`.

    Raises
    ------
    BadInput
        If there is no such system, the files cannot be read, or there is something at `to` that is no book, or is one
        and `replace` was not said. What was there before then stays, whatever happens.
    Locked
        If another process writes into the book.
    """
    path = _mapping_of(system)
    variable = str(given[0]).removeprefix("$") if len(given) == 1 and str(given[0]).startswith("$") else ""
    _check_given(given, to, variable, rates)
    spec = mapping.load(path, stages=parse_stages(stages), vat=parse_vat(vat), **changes)
    if snapshot and not spec.exported_on:
        spec = spec.model_copy(update={"exported_on": day_of(given)})
    with store.writing(to) as book:
        if not snapshot:
            _check_import(book, replace=replace)
        work = book.new(store.WORK)
        folder = database.copy(variable, spec, work / "files") if variable else _gathered(given, work / "files")
        if rates:
            folder, spec = _with_rates(folder, rates, spec, work / "with-rates", without=to.resolve())
        if snapshot:
            _add_snapshot(book, folder, spec, system, replace=replace, fewer=fewer)
        else:
            tables = book.new(store.VERSION)
            making.from_export(tables, folder, spec)
            book.switch(tables, title=spec.title)
    return to


def undo(day: str, to: Path) -> Path:
    """Take the snapshot of a day out of a book, and derive the book again from the others.

    Raises
    ------
    BadInput
        If there is no snapshot of that day, or no other one.
    """
    with _of_snapshots(to) as book:
        snapshots = _snapshots(book)
        if day not in snapshots:
            raise BadInput("nothing was undone", [f"{printable(day)!r}: its snapshots are of {', '.join(snapshots)}"])
        rest = {one: folder for one, folder in snapshots.items() if one != day}
        if not rest:
            raise BadInput("nothing was undone", [f"{day} is the only snapshot; remove the folder {to} instead"])
        _derive(book, rest)
    return to


def rebuild(to: Path) -> Path:
    """Derive a book again from its snapshots, which takes the place of damaged tables.

    Raises
    ------
    BadInput
        If it has no snapshots, or one of them is damaged.
    """
    if (to / store.TAKEN).is_dir() and not os.path.lexists(to / store.NAME):
        store.find_again(to)
    with _of_snapshots(to) as book:
        _derive(book, _snapshots(book))
    return to


@contextlib.contextmanager
def _of_snapshots(to: Path) -> Iterator[store.Writer]:
    if not (to / store.NAME).is_file():
        raise BadInput(f"{to} cannot be changed", ["there is no book in it"])
    with store.writing(to) as book:
        if not _snapshot_days(book):
            raise BadInput(f"{to} cannot be changed", ["its book was imported whole; it has no snapshots"])
        yield book


def _snapshot_days(book: store.Writer) -> list[str]:
    if book.is_flat:
        return list((book.content.get("snapshots") or {}).get("taken", []))
    return list(book.snapshots)


def _check_import(book: store.Writer, *, replace: bool) -> None:
    """Refuse to replace what was not meant to be, above all a history that is nowhere else."""
    if book.content and _snapshot_days(book):
        raise BadInput(
            f"{book.folder} exists already",
            ["it has snapshots, which are nowhere else: add one with salesops snapshot, or name another folder"],
        )
    if book.content and not replace:
        raise BadInput(f"{book.folder} exists already", ["say --replace"])


def _add_snapshot(
    book: store.Writer, folder: Path, spec: mapping.Mapping, system: str, *, replace: bool, fewer: bool
) -> None:
    day = spec.exported_on
    if book.content and not _snapshot_days(book):
        raise BadInput(
            "the snapshot was not added", [f"{book.folder} was imported whole; name a folder that does not exist"]
        )
    snapshots = _snapshots(book)
    if day in snapshots and not replace:
        raise BadInput("the snapshot was not added", [f"there is one of {day} already; say --replace, or --undo {day}"])
    if replace and snapshots and day not in snapshots:
        raise BadInput(
            "the snapshot was not added", [f"there is none of {day} to replace; there are: {', '.join(snapshots)}"]
        )
    others = {one: path for one, path in snapshots.items() if one != day}
    taking.check_system(system, others)
    taken = book.new(store.TAKEN, day)
    about = making.read_tables(taken, folder, spec, taking.stages(others)) | {"system": system}
    if not (taken / "deals.parquet").exists():
        raise BadInput(
            "the snapshot was not added", [f"no deals are in it; snapshots compare the deals of {spec.title}"]
        )
    taking.keep(taken, about)
    taking.check(taken, about, day, others, fewer=fewer)
    _derive(book, {**others, day: taken})


def _derive(book: store.Writer, snapshots: Mapping[str, Path]) -> None:
    """Write the book of snapshots, and make it the one that counts."""
    tables = book.new(store.VERSION)
    making.from_snapshots(tables, snapshots)
    title = taking.facts(snapshots[max(snapshots)])["title"]
    book.switch(tables, snapshots, title=title)


def _snapshots(book: store.Writer) -> dict[str, Path]:
    """The snapshots of a book, day -> folder; those of format 1 are copied into folders of their own."""
    if not book.is_flat:
        return book.snapshots
    days = _snapshot_days(book)
    return {day: taking.migrate(book.folder, day, days, book.new(store.TAKEN, day)) for day in days}


def _mapping_of(system: str) -> Path:
    root = project.root()
    path = root / "params" / "crm" / f"{system}.yml"
    if "/" in system or not path.is_file():
        raise BadInput(f"{printable(system)!r} cannot be imported", [f"allowed: {', '.join(known(root))}"])
    return path


def _check_given(given: Sequence[Path], to: Path, variable: str, rates: Path | None) -> None:
    blocked = next((above for above in to.parents if above.exists() and not above.is_dir()), None)
    if blocked:
        raise BadInput(f"{to} cannot be written", [f"{blocked} is a file"])
    missing = [] if variable else [f"there is no {path}" for path in given if not path.exists()]
    missing += [f"there is no {rates}"] if rates and not rates.is_file() else []
    if missing:
        raise BadInput("nothing was imported", missing)


DAY = re.compile(
    r"(?<!\d)(?:(20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"|(0[1-9]|[12]\d|3[01])[.](0[1-9]|1[0-2])[.](20\d\d))(?!\d)"
)


def day_of(given: Sequence[Path]) -> str:
    """The one day that the names of files (else of their folder) have, as 2026-10-31, 20261031 or 31.10.2026.

    Raises
    ------
    BadInput
        If they have none, or several.
    """
    paths = [path for one in given for path in (sorted(one.iterdir()) if one.is_dir() else [one])]
    days = _days_in(path.name for path in paths) or _days_in(path.resolve().name for path in given)
    if len(days) != 1:
        what = f"the names of the files have several ({', '.join(sorted(days))})" if days else "no file's name has it"
        raise BadInput("the snapshot was not added", [f"its day is not known: {what}; say --exported-on 2026-10-31"])
    return days.pop()


def _days_in(names: Iterable[str]) -> set[str]:
    days = set()
    for match in (match for name in names for match in DAY.finditer(name)):
        year, _mark, month, day, day_first, month_second, year_last = match.groups()
        written = f"{year or year_last}-{month or month_second}-{day or day_first}"
        days |= {written} if periods.is_day(written) else set()
    return days


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


def _with_rates(
    folder: Path, rates: Path, spec: mapping.Mapping, place: Path, *, without: Path
) -> tuple[Path, mapping.Mapping]:
    """A folder of the files and the rates, and the mapping that reads both; its patterns do not see the rates.

    without : the book that is written, which may stand among the files.
    """

    def skipped(above: str, names: list[str]) -> list[str]:
        return [name for name in names if (Path(above) / name).resolve() == without]

    shutil.copytree(folder, place, copy_function=_link, ignore=skipped)
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
        os.link(Path(path).resolve(), target)
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
