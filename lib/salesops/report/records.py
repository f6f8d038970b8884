"""What cannot be made again: the findings of each period, and what its pages said at the time.

They stand in `records/`, which `make clean` never touches: beside the project's `reports/`, or, where pages go
elsewhere (`--out`), in that folder. Of a period there are `findings.parquet` (see `ledger`) and `pages.json`, the
records of its pages as the manifest had them.
"""

import contextlib
import errno
import json
from collections.abc import Mapping
from pathlib import Path

from salesops import formats, ownership, periods
from salesops.problems import BadInput
from salesops.report import files

FOLDER = "records"
PROJECT = "records-of-a-project"  # in which this user has made pages on this machine
FINDINGS = "findings.parquet"
PAGES = "pages.json"


def adopt(root: Path) -> None:
    """Note that this user makes pages in a project, so that its notebooks are known as theirs; see `is_own`."""
    folder = root / FOLDER
    with contextlib.suppress(OSError):  # a project that only others may write is not this user's
        folder.mkdir(exist_ok=True)
        if not folder.is_symlink() and not is_own(root):
            ownership.mark(folder, PROJECT)


def is_own(root: Path) -> bool:
    """Whether this user has made pages in a project; a copy that somebody sent is another folder."""
    return ownership.is_ours(root / FOLDER, PROJECT)


def place(folder: Path) -> Path:
    """Where the records of the folder of a period's pages are."""
    out = folder.absolute().parent
    project = out.parent
    of_project = out.name == "reports" and (project / "notebooks").is_dir() and (project / "params").is_dir()
    return (project if of_project else out) / FOLDER / folder.name


def findings(folder: Path) -> Path:
    """The file of a period's findings; of format 1 it stands among its pages."""
    path, old = place(folder) / FINDINGS, folder / FINDINGS
    return old if old.is_file() and not path.is_file() else path


def read_pages(folder: Path) -> dict[str, dict]:
    """Stem -> record of each page of a period, as it was made; none where nothing is known of it.

    Raises
    ------
    BadInput
        If a later version wrote them.
    """
    path = place(folder) / PAGES
    try:
        content = json.loads(path.read_text("utf-8"))
        number, pages = content.get("format", 1), content["pages"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    formats.check(number, formats.MANIFEST, str(path))
    return {stem: page for stem, page in pages.items() if isinstance(page, dict)} if isinstance(pages, dict) else {}


def write_pages(folder: Path, pages: Mapping[str, dict]) -> None:
    """Keep what the pages of a period say."""
    target = place(folder)
    target.mkdir(parents=True, exist_ok=True)
    if (target / PAGES).exists() and b'"pages"' not in (target / PAGES).read_bytes():
        raise FileExistsError(errno.EEXIST, "a file that this program did not make; move it away", str(target / PAGES))
    content = {"format": formats.MANIFEST, "pages": dict(sorted(pages.items()))}
    files.write(target / PAGES, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def migrate(out: Path) -> None:
    """Move the records of format 1, which stand among the pages of each period, to their place; what cannot be read
    stays where it is."""
    for folder in sorted(out.iterdir()) if out.is_dir() else ():
        if not is_period(folder.name) or not (folder / FINDINGS).is_file():
            continue
        pages = _pages_of(folder / "manifest.json")
        if folder.is_symlink() or not pages:
            continue  # not a folder of our pages
        target = place(folder)
        target.mkdir(parents=True, exist_ok=True)
        if not (target / PAGES).is_file():
            write_pages(folder, pages)
        if not (target / FINDINGS).is_file():
            files.write(target / FINDINGS, (folder / FINDINGS).read_bytes())
            (folder / FINDINGS).unlink()


def _pages_of(manifest: Path) -> dict[str, dict]:
    try:
        pages = json.loads(manifest.read_text("utf-8"))["pages"]
        return {stem: page for stem, page in pages.items() if page["page"] == f"{stem}.html" and page["hashes"]["page"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def is_period(name: str) -> bool:
    try:
        periods.parse(name)
    except (ValueError, BadInput):
        return False
    return True
