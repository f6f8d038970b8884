"""The folder of a book: tables that never change once written, and `book.json`, which names those that count.

    book.json               format, title, which tables, which snapshots; its replacement is the one switch
    tables/<id>/            the tables of the book as it is, and as it was before the last import
    snapshots/<day>-<id>/   every table of each snapshot, as it was read

A writer holds the lock of the folder, writes new folders beside the old ones, brings them to the disk, and replaces
`book.json`. Whatever ends it before leaves the book as it was, whatever ends it later leaves the new one. The next run
removes what was never named, which its mark says, and what `book.json` says is to go; a folder that was named once goes
in no other way, so an older `book.json` that somebody put back loses nothing. Everything else in the folder is the
user's and stays.
"""

import contextlib
import filecmp
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from salesops import formats, locks, ownership
from salesops.crm import about, whole
from salesops.crm.tables import TABLES
from salesops.periods import is_day
from salesops.problems import BadInput, printable

NAME = "book.json"
VERSION, TAKEN, WORK, BOOK = "tables", "snapshots", "work", "book"  # kinds of folders of ours
NEW = "new-"  # before a kind: of a folder that no `book.json` has named yet
DERIVED = ("visits", "states", "month_ends", "stage_dates", "refused", "audit")
FLAT = (*(f"{name}.parquet" for name in (*TABLES, *DERIVED)), whole.NAME)  # where they stand beside `book.json`
OURS = re.compile(r"(?:[\d-]+-|format-1-)?[0-9a-f]{8}")  # names of folders that `new` gives
INSIDE = re.compile(rf"(?:{VERSION}|{TAKEN})/[A-Za-z0-9][A-Za-z0-9.-]*")


def read(folder: Path) -> dict:
    """What `book.json` of a folder says.

    Raises
    ------
    BadInput
        If it is damaged, of a later version, or names a folder that is not one of its own.
    """
    path = folder / NAME
    what, mend = f"the book {folder} cannot be read", "bring back the file from a copy"
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(what, [f"{NAME}: {error.strerror}; {mend}"]) from None
    except (ValueError, RecursionError):
        raise BadInput(what, [f"{NAME} is no JSON; {mend}"]) from None
    if not isinstance(content, dict):
        raise BadInput(what, [f"{NAME} has no facts of a book; {mend}"])
    formats.check(content.get("format", 1), formats.BOOK, str(path))
    if "tables" in content:
        _check_named(folder, content, what, mend)
    return content


def _check_named(folder: Path, content: dict, what: str, mend: str) -> None:
    snapshots, gone = content.get("snapshots"), content.get("gone", [])
    usable = isinstance(snapshots, dict) and all(map(is_day, snapshots)) and isinstance(gone, list)
    if not usable or ("was_flat" in content and "before" not in content):
        raise BadInput(what, [f"{NAME} has no facts of a book; {mend}"])
    named = [content["tables"], *snapshots.values(), *gone, *([content["before"]] if "before" in content else [])]
    for name in named:
        if not isinstance(name, str) or not INSIDE.fullmatch(name) or (folder / name).is_symlink():
            raise BadInput(what, [f"{NAME}: {printable(name)!r} is no folder of this book; {mend}"])


def tables(folder: Path) -> Path:
    """Where the tables of a book are that counts now: a folder of its own, or of format 1 the book's.

    Raises
    ------
    BadInput
        As `read`; and if the tables or their facts are not as they were written.
    """
    content = read(folder)
    place = folder / content["tables"] if "tables" in content else folder
    if "tables" not in content:
        about.read(place)  # people edit what stands beside their tables
    if ("tables" in content or whole.is_listed(place)) and (fault := whole.fault(place)):
        raise BadInput(f"{folder} is damaged", [f"{place.name}/{fault}; {_remedy(folder, content)}"])
    about.read(place)
    return place


def _remedy(folder: Path, content: dict) -> str:
    days = sorted(content.get("snapshots", {})) if "tables" in content else []
    if days:
        return f"derive it again from its snapshots: salesops snapshot --rebuild --to {folder}"
    return "import the files again (--replace), or put back a copy"


def find_again(folder: Path) -> None:
    """Write a lost `book.json` from the snapshots of a folder, so that the book can be derived from them again.

    Raises
    ------
    BadInput
        If there are none that are whole, or two of one day.
    """
    with locks.hold(folder):
        needed = ("facts.json", "deals.parquet")
        whole_ones = [path for path in sorted((folder / TAKEN).iterdir()) if not whole.fault(path, needed)]
        days = [path.name[:10] for path in whole_ones if is_day(path.name[:10])]
        twice = sorted({day for day in days if days.count(day) > 1})
        if twice or not days:
            why = f"two snapshots are of {twice[0]}; move one away" if twice else "no snapshot in it is whole"
            raise BadInput(f"{folder} cannot be derived again", [why])
        named = {path.name[:10]: f"{TAKEN}/{path.name}" for path in whole_ones if is_day(path.name[:10])}
        content = {"format": formats.BOOK, "title": "", "tables": f"{VERSION}/lost", "snapshots": named}
        draft = folder / f"{NAME}-{secrets.token_hex(4)}"
        draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        draft.replace(folder / NAME)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator["Writer"]:
    """Write into the folder of a book, new or there already, alone; what an earlier run left half-done is removed.

    Raises
    ------
    Locked
        If another process writes into it.
    BadInput
        If there is something at the folder that is no book.
    OSError
        If it cannot be written to.
    """
    is_new = _claim(folder)
    try:
        with locks.hold(folder):
            if _is_fresh(folder):
                ownership.mark(folder, BOOK)
            try:
                writer = Writer(folder)
                writer.adopt()
                writer.recover()
                try:
                    yield writer
                finally:
                    writer.recover()
            finally:
                if not (folder / NAME).exists() and ownership.is_ours(folder, BOOK):
                    (folder / ownership.MARK).unlink()
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where no book came to be in it


def _claim(folder: Path) -> bool:
    """Whether the folder is new, with all that it holds ours."""
    if folder.is_symlink() and not folder.exists():
        raise BadInput(f"{folder} cannot be written", ["it is a link that leads nowhere"])
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} exists already", ["it is a file; name a folder"])
    if not folder.exists():
        folder.mkdir(parents=True)
        return True
    if not (folder / NAME).exists() and not _is_fresh(folder):
        if any((folder / TAKEN).glob(f"*/{whole.NAME}")):
            raise BadInput(
                f"{folder} has snapshots and no {NAME}",
                [f"bring that back from a copy, or derive it again: salesops snapshot --rebuild --to {folder}"],
            )
        raise BadInput(f"{folder} exists already", ["it holds something else; name a folder that does not"])
    return False


def _is_fresh(folder: Path) -> bool:
    """Whether a folder holds no book, and nothing but what a first import that was ended left in it."""
    if (folder / NAME).exists():
        return False
    names = {path.name for path in folder.iterdir() if not ownership.DRAFT_MARK.fullmatch(path.name)} - {locks.NAME}
    if not names:
        return True
    inside = [
        (kind, path)
        for kind in (VERSION, TAKEN, WORK)
        if (folder / kind).is_dir()
        for path in (folder / kind).iterdir()
    ]
    begun = all(ownership.is_ours(path, NEW + kind) or ownership.is_empty(path) for kind, path in inside)
    return names <= {ownership.MARK, VERSION, TAKEN, WORK} and ownership.is_ours(folder, BOOK) and begun


class Writer:
    """A locked folder of a book.

    Attributes
    ----------
    content : what `book.json` says; empty of a new book.
    snapshots : day -> folder of each snapshot, in their order.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.content: dict = {}
        self._read()

    def _read(self) -> None:
        if os.path.lexists(self.folder / NAME):
            self.content = read(self.folder)
            if "tables" not in self.content:
                about.read(self.folder)  # of format 1, which says all in one file

    @property
    def is_flat(self) -> bool:
        """Whether the tables stand beside `book.json`, as in format 1."""
        return bool(self.content) and "tables" not in self.content

    @property
    def tables(self) -> Path | None:
        """Where the tables are that count now; None of a new book."""
        if not self.content:
            return None
        return self.folder / self.content.get("tables", "")

    @property
    def snapshots(self) -> dict[str, Path]:
        named = {} if self.is_flat else self.content.get("snapshots", {})
        return {day: self.folder / name for day, name in sorted(named.items())}

    def new(self, kind: str, name: str = "") -> Path:
        """A new folder of ours: `VERSION`, `TAKEN` or `WORK`; it goes with the next run unless `switch` names it."""
        above = self.folder / kind
        if above.is_symlink() or (above.exists() and not above.is_dir()):
            raise BadInput(f"{above} cannot be written", ["it is a link or a file; the book needs a folder there"])
        above.mkdir(exist_ok=True)
        self._as_the_book(above)
        folder = ownership.make(above / "-".join(filter(None, (name, secrets.token_hex(4)))), NEW + kind)
        self._as_the_book(folder)
        return folder

    def switch(self, tables: Path, snapshots: Mapping[str, Path] | None = None, *, title: str = "") -> None:
        """Make these the book's tables and snapshots, at one moment; what was before stays until the next import."""
        content = {"format": formats.BOOK, "title": title, "tables": self._named(tables)}
        content |= {"snapshots": {day: self._named(path) for day, path in sorted((snapshots or {}).items())}}
        if self.is_flat:
            content |= {"before": f"{VERSION}/format-1-{secrets.token_hex(4)}", "was_flat": True}
        elif self.content:
            content |= {"before": self.content["tables"]}
        kept = {content["tables"], content.get("before"), *content["snapshots"].values()}
        content |= {"gone": [name for name in self._names() if name not in kept]}
        for path in (tables, *(snapshots or {}).values()):
            if ownership.is_ours(path, NEW + path.parent.name):
                self._to_disk(path)
        self._replace(content)
        self.recover()

    def recover(self) -> None:
        """Remove what was never named and what `book.json` says is to go; finish what a switch began.

        What counts is what stands on the disk: a signal may have come between the switch and our knowing of it.
        """
        self._read()
        self._note_named()
        if self.content.get("was_flat"):
            self._put_away()
        for kind in (VERSION, TAKEN, WORK):
            above = self.folder / kind
            if above.is_symlink():
                continue
            for path in list(ownership.in_(above, NEW + kind)):
                ownership.remove(path, NEW + kind)
            for name in self.content.get("gone", []):
                if name.startswith(f"{kind}/"):
                    ownership.remove(self.folder / name, kind)
            ownership.remove_empty(above, OURS)
            with contextlib.suppress(OSError):
                above.rmdir()  # where it is empty
        if self.content.get("gone"):
            self._replace({**self.content, "gone": []})
            self._read()

    def _note_named(self) -> None:
        """Mark the new folders that `book.json` names as such that were named."""
        for name in self._names():
            kind, path = name.split("/")[0], self.folder / name
            if not (self.folder / kind).is_symlink() and ownership.is_ours(path, NEW + kind):
                ownership.mark(path, kind)

    def adopt(self) -> None:
        """Mark the folders that `book.json` names as ours where the whole book was copied to another place."""
        for name in self._names():
            kind, path = name.split("/")[0], self.folder / name
            if (self.folder / kind).is_symlink() or not whole.is_listed(path):
                continue
            if not ownership.is_ours(path, kind) and not ownership.is_ours(path, NEW + kind):
                ownership.mark(path, kind)

    def _names(self) -> list[str]:
        """The folders that `book.json` names."""
        if "tables" not in self.content:
            return []
        return [
            name
            for name in (self.content["tables"], self.content.get("before"), *self.content["snapshots"].values())
            if name
        ]

    def _put_away(self) -> None:
        """Move the tables of format 1 into a folder of their own, as the book before the one that counts."""
        target = self.folder / self.content["before"]
        flat = [self.folder / name for name in FLAT if (self.folder / name).is_file()]
        flat = [path for path in flat if not path.is_symlink()]
        old = self.folder / TAKEN
        loose = [old / f"{day}.parquet" for day in self.content["snapshots"]] if old.is_dir() else []
        loose = [path for path in loose if path.is_file() and not path.is_symlink()]
        if not target.exists() and flat:
            target.parent.mkdir(exist_ok=True)
            ownership.make(target, VERSION)
            self._as_the_book(target)
        for path in flat:
            path.replace(target / path.name)
        for path in loose:
            copied = self.folder / self.content["snapshots"][path.stem] / "deals.parquet"
            if copied.is_file() and filecmp.cmp(path, copied, shallow=False):
                path.unlink()
        self._replace({name: value for name, value in self.content.items() if name != "was_flat"})
        self.content.pop("was_flat")

    def _named(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _replace(self, content: dict) -> None:
        draft = self.new(WORK) / NAME
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        earlier = self.folder / NAME
        if earlier.exists():
            shutil.copymode(earlier, draft)
        else:
            self._as_the_book(draft)
        _sync(draft)
        draft.replace(earlier)
        ownership.remove(draft.parent, NEW + WORK)
        _sync(self.folder)

    def _as_the_book(self, path: Path) -> None:
        """Give a path the rights of the book's folder: who may not read that shall not read this."""
        rights = self.folder.stat().st_mode & 0o777
        path.chmod(rights if path.is_dir() else rights & 0o666)

    def _to_disk(self, folder: Path) -> None:
        self._as_the_book(folder)
        for path in folder.iterdir():
            if path.is_file() and not path.is_symlink():
                self._as_the_book(path)
                _sync(path)
        _sync(folder)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    if os.name != "posix" and path.is_dir():
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
