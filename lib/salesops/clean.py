"""`make clean`: removes what can be made again, and nothing else. Needs no package but Python itself.

    python -m salesops.clean [PROJECT]

Of `reports/` only what the manifests name goes; of the cache, what carries our mark. Findings that an earlier version
kept among the pages move to `records/`. What is not ours stays, and is named.
"""

import contextlib
import json
import re
import shutil
import sys
from pathlib import Path

from salesops import locks, ownership
from salesops.report import files, records

MANIFEST = "manifest.json"
FRONT = re.compile(r"index(?:\.[a-z]{2})?\.html")
ENVIRONMENT = (".pytest_cache", ".hypothesis", ".ruff_cache")  # other tools' own caches


def clean(root: Path) -> list[Path]:
    """Remove the generated pages, the prepared books and the tools' caches of a project; what of these places stays."""
    with contextlib.suppress(OSError):
        records.migrate(root / "reports")
    for folder in sorted((root / "reports").iterdir()) if (root / "reports").is_dir() else ():
        if folder.is_dir() and not folder.is_symlink() and records.is_period(folder.name):
            with contextlib.suppress(OSError, ValueError, TypeError, RecursionError, locks.Locked):
                _clean_pages(folder)  # what stands in its way stays, and is named
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing else is in it
    for place in (root / ".cache" / "books", root / ".cache" / "elsewhere" / "books"):
        for kind in ownership.CACHED:
            for folder in list(ownership.in_(place, kind)):
                ownership.remove(folder, kind)
        for folder in list(place.iterdir()) if place.is_dir() else ():
            if ownership.is_old_book(folder):
                shutil.rmtree(folder, ignore_errors=True)
    for name in ENVIRONMENT:
        if not (root / name).is_symlink():
            shutil.rmtree(root / name, ignore_errors=True)
    return sorted(path for path in (root / "reports").glob("*") if path.name != "README.md")


def _clean_pages(folder: Path) -> None:
    """Remove what the manifest of a period's folder names and what is as it was made; not while a run writes there."""
    if not (folder / MANIFEST).is_file():
        return
    with locks.hold(folder):
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        if not isinstance(content, dict) or not isinstance(content.get("pages"), dict):
            return
        hashes = {page["page"]: page["hashes"]["page"] for page in content["pages"].values()}
        fronts = content.get("front") or dict.fromkeys(
            path.name for path in folder.iterdir() if FRONT.fullmatch(path.name)
        )
        edited = [name for name, digest in {**hashes, **fronts}.items() if not _remove_page(folder, name, digest)]
        _remove_failures(folder, content.get("not_made", {}))
        for left in list(ownership.in_(folder, files.DRAFTS)):
            ownership.remove(left, files.DRAFTS)
        if not edited:  # else it says which pages these are
            (folder / MANIFEST).unlink()


def _remove_page(folder: Path, name: str, digest: str | None) -> bool:
    """Whether a page is gone: one that was edited since it was made cannot be made again, and stays. Front pages of
    format 1 have no hash; those are ours that say so and are called as ours are."""
    path = folder / name
    if not files.is_page_name(name) or path.is_symlink() or not path.is_file():
        return not path.exists()
    page = files.read(path)
    made = files.NOT_RENEWED.sub("", page, count=1).encode("utf-8", "surrogateescape")
    ours = FRONT.fullmatch(name) and files.OURS[2] in page if digest is None else files.sha256(made) == digest
    if ours:
        path.unlink()
    return bool(ours)


def _remove_failures(folder: Path, failures: dict) -> None:
    """Remove the notebooks of pages that failed."""
    place = folder / "failed"
    if place.is_symlink() or not place.is_dir():
        return
    for failure in failures.values():
        name = Path(str(failure.get("notebook", ""))).name
        if name.endswith(".ipynb") and (place / name).is_file():
            (place / name).unlink()
    with contextlib.suppress(OSError):
        place.rmdir()


if __name__ == "__main__":
    kept = clean(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    for path in kept:
        sys.stdout.write(f"kept, not made by the playbook: {path}\n")
