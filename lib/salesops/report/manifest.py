"""The manifest of a folder of pages; and what is made from it: the front page and the findings as data."""

import datetime as dt
import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from salesops import formats
from salesops.lang import LANGUAGES
from salesops.periods import is_day
from salesops.report import banner, files, front, ledger, records
from salesops.report.asks import Ask

NAME = "manifest.json"
PAUSES = 20  # the manifest is written at most for one part in so many of the time
_NEEDED = {
    **dict.fromkeys(("page", "lang", "title", "company", "period", "headline", "deck"), str),
    **dict.fromkeys(("hashes", "versions", "seconds", "parameters"), dict),
    "findings": list,
}


class Folder:
    """The pages of a period: what is known of each, kept on disk as `manifest.json` and the front page, `index.html`;
    in a language of its own, `index.ru.html`. What cannot be made again is kept beside it, see `records`.

    Attributes
    ----------
    pages : stem -> record of a page that was made.
    not_made : stem -> on (day), reason, ending, notebook of a page that could not be made or renewed.
    retold : stem -> what its page of the period before would tell as of then with the playbook of now; see `followup`.
    front : file -> hash of each front page, as it was written.

    Raises
    ------
    BadInput
        If a later version wrote the manifest.
    """

    def __init__(self, path: Path, *, asks: Sequence[Ask] = ()):
        self.path = path
        self.asks = asks
        content = _read(path / NAME)
        self.pages, self.not_made, self.retold = content["pages"], content["not_made"], content["retold"]
        self.front, self._rested_on = content["front"], content["rests_on"]
        # Pages of an earlier run whose manifest is gone: what they said stays known.
        known = records.read_pages(path)
        self._recorded = {
            stem: page for stem, page in known.items() if stem not in self.pages and _is_whole(stem, page)
        }
        self._changed = False
        self._next_write = 0.0

    @cached_property
    def _before(self) -> tuple[list[list[ledger.Row]], str]:
        """See `ledger.read_earlier`; read where a front page is made, and not before."""
        return ledger.read_earlier(self.path)

    @cached_property
    def _verdicts(self) -> dict[tuple[str, str], str]:
        try:
            rows = ledger.read(self.path)
        except ValueError:  # they are looked at again
            rows = []
        return {(row.id, row.lang): row.verdict for row in rows if row.state == ledger.CLOSED}

    def made(self, stem: str, page: str, record: dict) -> None:
        """Publish a page; an earlier one is replaced whole.

        Raises
        ------
        OSError
            If it cannot be written, or a file of somebody else's stands in its place.
        """
        self._publish(f"{stem}.html", page)
        self._forget_failure(stem)
        self.pages[stem] = record
        self._recorded.pop(stem, None)
        self._write_now_and_then()

    def _publish(self, name: str, page: str) -> None:
        """Write a page, never over a file that this program did not make."""
        path = self.path / name
        if os.path.lexists(path) and not self._is_ours(path):
            raise FileExistsError(errno.EEXIST, "a file that this program did not make; move it away", str(path))
        files.write(path, page)

    def _is_ours(self, path: Path) -> bool:
        """Whether a page on disk is one that this program made: the manifest knows it, or its head says so."""
        if path.is_symlink() or not path.is_file():
            return False
        known = path.name in self.front or path.stem in self.pages
        return known or any(mark in files.read(path) for mark in files.OURS)

    def _forget_failure(self, stem: str) -> bool:
        """Whether a failure of a page was noted, which is over now."""
        failure = self.not_made.pop(stem, None)
        if failure is not None and failure.get("notebook"):
            self._kept(stem).unlink(missing_ok=True)
        return failure is not None

    def failed(self, stem: str, *, language: str, ending: str, reason: str, notebook: str | None) -> Path | None:
        """Note that a page could not be made. An earlier one stays, and says so; so does the index.

        Returns
        -------
        Path or None
            Where the executed notebook with its error is kept.
        """
        today = dt.datetime.now().astimezone().date()
        self.not_made[stem] = {"on": str(today), "ending": ending, "reason": reason}
        self._changed = True
        kept = None
        if notebook is not None:
            kept = self._kept(stem)
            kept.parent.mkdir(exist_ok=True)
            files.write(kept, notebook)
            self.not_made[stem]["notebook"] = kept.relative_to(self.path).as_posix()
        path = self.path / f"{stem}.html"
        if self._is_ours(path):
            files.write(path, banner.put(files.read(path), language=language, on=today, reason=reason))
        self._write_now_and_then()
        return kept

    def still_good(self, stem: str) -> None:
        """Note that the page is as it would be made now: an earlier failure is over."""
        path = self.path / f"{stem}.html"
        page = files.read(path)
        if banner.without(page) != page:
            files.write(path, banner.without(page))
        self._changed = self._forget_failure(stem) or self._changed

    def is_as_made(self, stem: str) -> bool:
        """Whether the page on disk is what its record says was made."""
        try:
            page = banner.without(files.read(self.path / f"{stem}.html"))
        except OSError:
            return False
        return files.sha256(page.encode("utf-8", "surrogateescape")) == self.pages[stem]["hashes"].get("page")

    def write(self) -> None:
        """Bring the manifest and the index up to date on disk."""
        kept = self.path / "failed"
        if kept.is_dir() and not any(kept.iterdir()):
            kept.rmdir()
        rests_on = self._rests_on()
        as_it_was = (self.path / "index.html").is_file() and rests_on == self._rested_on
        if not self._changed and (as_it_was or not self.pages):
            return
        if rests_on != self._rested_on:
            self.__dict__.pop("_before", None)  # read again
        began = time.monotonic()
        content = {"pages": dict(sorted(self.pages.items())), "not_made": dict(sorted(self.not_made.items()))}
        self._rested_on = rests_on
        self._write_front(**content)
        records.write_pages(self.path, {**self._recorded, **content["pages"]})
        kept = {"format": formats.MANIFEST, **content}
        kept |= {"retold": dict(sorted(self.retold.items()))} if self.retold else {}
        kept |= {"front": self.front, "rests_on": rests_on}
        files.write(self.path / NAME, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        self._changed = False
        self._next_write = time.monotonic() + PAUSES * (time.monotonic() - began)

    def _rests_on(self) -> str:
        """The hash of what the front page tells besides its pages: what is asked, and the findings of periods
        before."""
        asked = json.dumps([one.model_dump(mode="json") for one in self.asks], sort_keys=True)
        before = [f"{one.name} {files.sha256(records.findings(one).read_bytes())}" for one in ledger.earlier(self.path)]
        return files.sha256("\n".join([asked, *before]).encode())

    def findings(self) -> list[ledger.Row]:
        """The findings of the period in every language, and those of the period before that are not among them."""
        rows = []
        for language in self._languages():
            own = ledger.candidates(self.pages, language, self.path.name)
            rows += [row._replace(rank=k if k <= front.MOST else 0) for k, row in enumerate(own, 1)]
        gone = ledger.gone(rows, self._before[0], self.path.name, set(self._languages()), self.pages)
        return rows + [row._replace(verdict=self._verdicts.get((row.id, row.lang), "")) for row in gone]

    def judge(self, verdicts: Mapping[tuple[str, str], str]) -> None:
        """Note what became of findings that closed: (id, language) -> verdict."""
        self._verdicts |= verdicts
        self._changed = True

    def retell(self, stem: str, told: dict) -> None:
        """Note what the page of the period before would tell now."""
        self.retold[stem] = told
        self._changed = True

    @property
    def period_before(self) -> dict[str, dict]:
        """The pages of the period before, by stem; none where it was not run."""
        earlier = ledger.earlier(self.path)
        return pages_of(earlier[0]) if earlier else {}

    def _languages(self) -> list[str]:
        return sorted({page["lang"] for page in self.pages.values()})  # English first

    def _write_front(self, pages: dict, not_made: dict) -> None:
        rows, languages = self.findings(), self._languages() or ["en"]
        before, damaged = self._before
        ledger.write(self.path, rows + self._rows_of_recorded(rows))
        for language in languages:
            others = [one for one in languages if one != language]
            other = (others[0], _front_name(others[0])) if others else None
            page = front.render(pages, not_made, language=language, folder=self.path, rows=rows, before=before,
                                asks=self.asks, other=other, was=self.period_before,
                                retold=self.retold, damaged=damaged)  # fmt: skip
            names = [_front_name(language)]
            names += ["index.html"] if language == languages[0] and language != "en" else []
            for name in names:
                self._publish(name, page)
                self.front[name] = files.sha256(page.encode())

    def _rows_of_recorded(self, rows: Sequence[ledger.Row]) -> list[ledger.Row]:
        """The findings of pages that this run has not, as an earlier one kept them."""
        here = {(row.id, row.lang) for row in rows}
        try:
            kept = ledger.read(self.path)
        except ValueError:  # damaged: it stays beside the new one
            return []
        gone = [row for row in kept if row.stem in self._recorded and row.stem not in self.pages]
        return [row for row in gone if (row.id, row.lang) not in here]

    def _write_now_and_then(self) -> None:
        self._changed = True
        if time.monotonic() >= self._next_write:
            self.write()

    def _kept(self, stem: str) -> Path:
        return self.path / "failed" / f"{stem}.ipynb"


def _front_name(language: str) -> str:
    return "index.html" if language == "en" else f"index.{language}.html"


def pages_of(folder: Path) -> dict[str, dict]:
    """Stem -> record of the pages of a period: by its manifest, or where that is gone by its records."""
    pages = _read(folder / NAME)["pages"]
    return pages or {stem: page for stem, page in records.read_pages(folder).items() if _is_whole(stem, page)}


def _read(path: Path) -> dict:
    """What a manifest says: pages, not_made, retold, front, rests_on; records that are not whole are left out.

    Raises
    ------
    BadInput
        If a later version wrote it.
    """
    nothing = {"pages": {}, "not_made": {}, "retold": {}, "front": {}, "rests_on": ""}
    try:
        content = json.loads(path.read_text("utf-8"))
        number = content.get("format", 1)
        pages = {stem: page for stem, page in content["pages"].items() if _is_whole(stem, page)}
        failures = {stem: failure for stem, failure in content.get("not_made", {}).items() if _is_failure(failure)}
        retold = {stem: one for stem, one in content.get("retold", {}).items() if isinstance(one, dict)}
        front_ = {name: str(digest) for name, digest in content.get("front", {}).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return nothing
    formats.check(number, formats.MANIFEST, str(path))
    return {"pages": pages, "not_made": failures, "retold": retold, "front": front_,
            "rests_on": str(content.get("rests_on", ""))}  # fmt: skip


def _is_whole(stem: str, page: object) -> bool:
    """Whether a record has what is needed of it, in a language there is; its page is a file of the folder."""
    if not isinstance(page, dict) or page.get("page") != f"{stem}.html" or Path(stem).name != stem:
        return False
    lacking = page.get("lacking") or {"day": "2000-01-01", "n_kept": 1, "n_open": 1}
    if not isinstance(lacking, dict) or not is_day(str(lacking.get("day"))):
        return False
    counted = all(type(lacking.get(name)) is int for name in ("n_kept", "n_open"))
    needed = all(isinstance(page.get(name), kind) for name, kind in _NEEDED.items())
    return counted and needed and page["lang"] in LANGUAGES


def _is_failure(failure: object) -> bool:
    return isinstance(failure, dict) and is_day(str(failure.get("on"))) and isinstance(failure.get("reason"), str)
