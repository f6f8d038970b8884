"""The manifest of a folder of pages, and the index made from it."""

import datetime as dt
import json
import time
from pathlib import Path

from salesops import lang
from salesops.findings import MARKS
from salesops.lang import _
from salesops.periods import is_day
from salesops.report import banner, files

NAME = "manifest.json"
PAUSES = 20  # the manifest is written at most for one part in so many of the time
_NEEDED = {
    **dict.fromkeys(("page", "lang", "title", "company", "period", "headline", "deck"), str),
    **dict.fromkeys(("hashes", "versions", "seconds", "parameters"), dict),
    "findings": list,
}


class Folder:
    """The pages of a period: what is known of each, kept on disk as `manifest.json` and `index.html`.

    Attributes
    ----------
    pages : stem -> record of a page that was made.
    not_made : stem -> on (day), reason, ending, notebook of a page that could not be made or renewed.
    """

    def __init__(self, path: Path):
        self.path = path
        self.pages, self.not_made = _read(path / NAME)
        self._changed = False
        self._next_write = 0.0

    def made(self, stem: str, page: str, record: dict) -> None:
        """Publish a page; an earlier one is replaced whole."""
        files.write(self.path / f"{stem}.html", page)
        self._kept(stem).unlink(missing_ok=True)
        self.pages[stem] = record
        self.not_made.pop(stem, None)
        self._write_now_and_then()

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
        if path.is_file():
            files.write(path, banner.put(files.read(path), language=language, on=today, reason=reason))
        self._write_now_and_then()
        return kept

    def still_good(self, stem: str) -> None:
        """Note that the page is as it would be made now: an earlier failure is over."""
        path = self.path / f"{stem}.html"
        page = files.read(path)
        if banner.without(page) != page:
            files.write(path, banner.without(page))
        if self.not_made.pop(stem, None) is not None:
            self._kept(stem).unlink(missing_ok=True)
            self._changed = True

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
        if not self._changed and ((self.path / "index.html").is_file() or not self.pages):
            return
        began = time.monotonic()
        content = {"pages": dict(sorted(self.pages.items())), "not_made": dict(sorted(self.not_made.items()))}
        files.write(self.path / NAME, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        files.write(self.path / "index.html", index(**content))
        self._changed = False
        self._next_write = time.monotonic() + PAUSES * (time.monotonic() - began)

    def _write_now_and_then(self) -> None:
        self._changed = True
        if time.monotonic() >= self._next_write:
            self.write()

    def _kept(self, stem: str) -> Path:
        return self.path / "failed" / f"{stem}.ipynb"


def _read(path: Path) -> tuple[dict, dict]:
    """Pages and failures; records that are not whole are left out."""
    try:
        content = json.loads(path.read_text("utf-8"))
        pages = {stem: page for stem, page in content["pages"].items() if _is_whole(page)}
        failures = {stem: failure for stem, failure in content.get("not_made", {}).items() if _is_failure(failure)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}, {}
    return pages, failures


def _is_whole(page: object) -> bool:
    return isinstance(page, dict) and all(isinstance(page.get(name), kind) for name, kind in _NEEDED.items())


def _is_failure(failure: object) -> bool:
    return isinstance(failure, dict) and is_day(str(failure.get("on"))) and isinstance(failure.get("reason"), str)


def index(pages: dict[str, dict], not_made: dict[str, dict]) -> str:
    """The page that lists the pages with their headline findings; in English unless every page is Russian."""
    import jinja2

    languages = {page["lang"] for page in pages.values()}
    language = languages.pop() if len(languages) == 1 else "en"
    before = lang.current()
    lang.use(language)
    try:
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(files.TEMPLATES / "salesops"), autoescape=True)
        failed = {stem: _sentence(pages.get(stem, {}).get("lang", language), one) for stem, one in not_made.items()}
        periods = list(dict.fromkeys(page["period"] for page in pages.values() if page["lang"] == language))
        return environment.get_template("month.html.j2").render(
            lang=language,
            title=", ".join(periods) or _("Nothing was made"),
            pages=[{**page, "failed": failed.get(stem, "")} for stem, page in pages.items()],
            missing=[(stem, sentence) for stem, sentence in failed.items() if stem not in pages],
            marks=MARKS,
            words={"skip": _("Skip to the report"), "deck": _("Every page with what it found"), "none": _("Not made")},
        )
    finally:
        lang.use(before)


def _sentence(language: str, failure: dict) -> str:
    return banner.sentence(language, dt.date.fromisoformat(failure["on"]), failure["reason"])
