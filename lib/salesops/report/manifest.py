"""The manifest of a folder of pages, and the index made from it."""

import json
from pathlib import Path

import jinja2

from salesops import lang
from salesops.lang import _
from salesops.report import files
from salesops.report.render import TEMPLATES
from salesops.report.show import MARKS

NAME = "manifest.json"
_NEEDED = {"page", "lang", "title", "company", "period", "headline", "deck", "findings"}  # by the index


def read(folder: Path) -> dict:
    """The manifest of a folder: {"pages": {stem: record}}; records that are not whole are left out."""
    try:
        pages = json.loads((folder / NAME).read_text("utf-8"))["pages"]
        whole = {stem: page for stem, page in pages.items() if set(page) >= _NEEDED}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {"pages": {}}
    return {"pages": whole}


def record(folder: Path, stem: str, page: dict) -> None:
    """Enter one page's record, and make the index again."""
    manifest = read(folder)
    manifest["pages"][stem] = page
    manifest["pages"] = dict(sorted(manifest["pages"].items()))
    files.write(folder / NAME, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    files.write(folder / "index.html", index(manifest["pages"]))


def failed(folder: Path, stem: str, reason: str) -> None:
    """Note that a page could not be renewed; the earlier page and its record stay."""
    page = read(folder)["pages"].get(stem)
    if page is not None:
        record(folder, stem, {**page, "failed": reason})


def index(pages: dict[str, dict]) -> str:
    """The page that lists the pages with their headline findings; in English unless every page is Russian."""
    languages = {page["lang"] for page in pages.values()}
    language = languages.pop() if len(languages) == 1 else "en"
    before = lang.current()
    lang.use(language)
    try:
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES / "salesops"), autoescape=True)
        shown = [{**page, "failed": _failure(page)} for page in pages.values()]
        periods = list(dict.fromkeys(page["period"] for page in pages.values() if page["lang"] == language))
        return environment.get_template("month.html.j2").render(
            lang=language,
            title=", ".join(periods),
            pages=shown,
            marks=MARKS,
            words={"skip": _("Skip to the report"), "deck": _("Every page with what it found")},
        )
    finally:
        lang.use(before)


def _failure(page: dict) -> str:
    if not page.get("failed"):
        return ""
    return _("This page was not renewed by the last run: {reason}").format(reason=page["failed"])
