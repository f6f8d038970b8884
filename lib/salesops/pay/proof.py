"""What a folder of statements proves: that pages, chains and the list of a run belong together, and who signed them.

Without a signature everything here can be written anew by whoever holds the folder; a check then shows accidental
edits. With one it shows every change, except that a whole folder was replaced by an earlier one that was signed too:
of that the dates tell, which are signed and printed.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from salesops.pay import signing, statements
from salesops.problems import BadInput, printable

FORMAT = 2  # of chains and lists of a run; those of the first had no number
CHAIN, CHAIN_SIGNATURE = "chain.json", "chain.sig"
RUN, RUN_SIGNATURE = "run.json", "run.sig"
LARGEST = 200_000_000  # bytes of a file that is read
UNSIGNED = (
    "the pages are those of the chain; without a signature this shows accidental edits only, not a change by somebody "
    "who can seal the chain anew"
)
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OSError, ArithmeticError, RecursionError)


class Proof(NamedTuple):
    """faults : what was edited, or does not belong. shown : what is proved where there is none."""

    faults: list[str]
    shown: list[str]


def sealed(people: dict[str, dict[str, bytes]], facts: dict, key: Ed25519PrivateKey | None) -> dict[str, bytes]:
    """The files of a run: those of each person in a folder, the list that says which belong together, and signatures.

    Parameters
    ----------
    people : folder -> its files, the chain among them. facts : of the run, such as its period, put into the list.
    key : None signs nothing.
    """
    made = {f"{folder}/{name}": content for folder, files in people.items() for name, content in files.items()}
    listed = [
        {
            "folder": folder,
            "person_id": json.loads(files[CHAIN])["person_id"],
            CHAIN: hashlib.sha256(files[CHAIN]).hexdigest(),
        }
        for folder, files in people.items()
    ]
    content = {"format": FORMAT, "kind": "run", **facts, "people": listed}
    made[RUN] = json.dumps(content, ensure_ascii=False, indent=1).encode()
    if key is not None:
        made |= {f"{folder}/{CHAIN_SIGNATURE}": key.sign(files[CHAIN]) for folder, files in people.items()}
        made[RUN_SIGNATURE] = key.sign(made[RUN])
    return made


def check(folder: Path, *, key: Ed25519PublicKey | None = None, person_id: str = "") -> Proof:
    """What the statements of a folder prove: one person's, those of a run, or of several runs.

    Parameters
    ----------
    key : of who signed them; None verifies no signature. person_id : whose they have to be; blank is anybody's.

    Raises
    ------
    BadInput
        Where there are no statements, or those of a later version.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} cannot be checked", ["it is no folder; name the one that `salesops statements` made"])
    runs, chains = (sorted(folder.rglob(name)) for name in (RUN, CHAIN))
    if not runs and not chains:
        raise BadInput(f"{folder} cannot be checked", [f"there is no {CHAIN} in it"])
    faults: list[str] = []
    shown: list[str] = []
    listed: set[Path] = set()
    for path in runs:
        faults += [f"{_name(path)}: {one}" for one in _faults_of_run(path, key, listed, shown)]
    whose: dict[tuple[Path, str], str] = {}
    linked = {path for path in listed if path.is_file()}  # also behind a link, which the search does not follow
    for path in sorted({*chains, *linked}):
        alone = path.parent == folder
        faults += [f"{_name(path)}: {one}" for one in _faults_of_chain(path, key, whose, shown, person_id)]
        if key is not None and not alone and path not in listed:
            faults.append(f"{_name(path)}: it is in no {RUN} beside it, so that what else belongs to it is not known")
    shown.append(UNSIGNED if key is None else f"signed by the key {signing.fingerprint(key)}, and not changed since")
    return Proof(faults, shown)


def _name(path: Path) -> str:
    return printable(path.parent.resolve().name)


def _content(path: Path, what: str) -> tuple[bytes, dict]:
    """The bytes of a chain or list and what they say.

    Raises
    ------
    BadInput
        If it is of a later version.
    ValueError, TypeError, OSError, RecursionError
        If it is none.
    """
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise ValueError(path)
    data = path.read_bytes()
    content = json.loads(data)
    number = content.get("format", 1)
    if type(number) is not int or number < 1 or (number > 1 and content["kind"] != what):
        raise ValueError(number)
    if number > FORMAT:
        raise BadInput(
            f"{path} cannot be checked",
            [f"its format is {number}, and this version reads 1 to {FORMAT}; check it with the version that wrote it, "
             "or a later one"],
        )  # fmt: skip
    return data, content


def _signed(path: Path, data: bytes, key: Ed25519PublicKey | None) -> Iterable[str]:
    """What is wrong with the signature beside a file."""
    if key is None:
        return
    beside = path.with_suffix(".sig")
    if not beside.is_file():
        yield f"{path.name} is not signed: there is no {beside.name}"
        return
    with beside.open("rb") as stream:
        signature = stream.read(1_000)
    if not signing.verifies(key, data, signature):
        yield f"{path.name} was changed, or signed with another key"


def _faults_of_run(path: Path, key, listed: set[Path], shown: list[str]) -> Iterable[str]:
    try:
        data, content = _content(path, "run")
        yield from _signed(path, data, key)
        place, known = path.parent, {RUN, RUN_SIGNATURE}
        for one in content["people"]:
            if one["folder"] != Path(one["folder"]).name:
                raise ValueError(one["folder"])
            known.add(one["folder"])
            chain = place / one["folder"] / CHAIN
            listed.add(chain)
            if not chain.is_file():
                yield f"the statements of {printable(one['person_id'])} are missing: {printable(one['folder'])}"
            elif hashlib.sha256(chain.read_bytes()).hexdigest() != one[CHAIN]:
                yield f"the chain in {printable(one['folder'])} is not the one of this run"
        yield from (f"{name} does not belong to the run" for name in _strangers(place, known))
        shown.append(f"{_name(path)}: all {len(content['people'])} people of the run, {_span(content)}")
    except BadInput:
        raise
    except DAMAGE:
        yield f"{RUN} is no list of a run"


def _span(content: dict) -> str:
    return printable(f"period {content['period']}, paid by what was known on {content['as_of']}", 200)


def _strangers(folder: Path, known: set[str]) -> list[str]:
    """What stands in a folder and is not known; hidden files, which systems leave behind, are nobody's pages."""
    names = sorted(one.name for one in folder.iterdir())
    return [printable(name) for name in names if name not in known and not name.startswith(".")]


def _faults_of_chain(path: Path, key, whose: dict, shown: list[str], person_id: str) -> Iterable[str]:
    try:
        data, content = _content(path, "chain")
        yield from _signed(path, data, key)
        person = str(content["person_id"])
        other = whose.setdefault((path.parent.parent, person), path.parent.name)
        if other != path.parent.name:
            yield f"the chain of {printable(person)} stands in {printable(other)} too"
        if person_id and person != person_id:
            yield f"these are the statements of {printable(person)}, not of {printable(person_id)}"
        yield from list(_edited(content, path.parent))
        pages = sum("page" in one for one in content["statements"])
        months = f"{content['statements'][0]['month']} to {content['statements'][-1]['month']}"
        when = f", {_span(content)}" if "format" in content else ""
        shown.append(f"{_name(path)}: {printable(person)}, {pages} pages, chain of {months}{when}")
    except BadInput:
        raise
    except DAMAGE:
        yield f"{CHAIN} is no chain of statements"


def _edited(content: dict, folder: Path) -> Iterable[str]:
    before, last, to_date = statements.FIRST, "", {}
    known = {CHAIN, CHAIN_SIGNATURE}
    for one in content["statements"]:
        month, year = one["month"], one["month"][:4]
        if not re.fullmatch(r"\d{4}-\d{2}", month):
            raise ValueError(month)
        follows = one["before"] == before and month > last
        if not follows or statements.seal_data(one["lines"], one["before"]) != one["digest"]:
            yield f"{month} was edited, or does not follow the one before it"
        total = sum((Decimal(line["amount"]) for line in one["lines"]), Decimal(0))
        to_date[year] = to_date.get(year, Decimal(0)) + total
        if (str(total), str(to_date[year])) != (one["total"], one["year_to_date"]):
            yield f"{month}: its total is not that of its lines"
        if any((line["person_id"], line["month"]) != (content["person_id"], month) for line in one["lines"]):
            yield f"{month} holds lines of another person or month"
        if "page" in one:
            page = folder / f"{month}.html"
            known.add(page.name)
            if not page.is_file() or hashlib.sha256(page.read_bytes()).hexdigest() != one["page"]:
                yield f"{page.name} is not the page that was written" if page.exists() else f"{page.name} is missing"
        before, last = one["digest"], month
    yield from (f"{name} is in no chain" for name in _strangers(folder, known))
