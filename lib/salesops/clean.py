"""`make clean`: removes what can be made again, and nothing else. Needs no package but Python itself.

    python -m salesops.clean [PROJECT]

Of `reports/` only what the manifests name goes; of the cache, what carries our mark. Findings that an earlier version
kept among the pages move to `records/`. What is not ours stays, and is named.
"""

import contextlib
import json
import shutil
import sys
from pathlib import Path

from salesops import locks, ownership
from salesops.report import files, records

MANIFEST = "manifest.json"
ENVIRONMENT = (".pytest_cache", ".hypothesis", ".ruff_cache")  # other tools' own caches


def clean(root: Path) -> list[Path]:
    """Remove the generated pages, the prepared books and the tools' caches of a project; what of these places stays."""
    records.migrate(root / "reports")
    for folder in sorted((root / "reports").iterdir()) if (root / "reports").is_dir() else ():
        if folder.is_dir() and not folder.is_symlink():
            _clean_pages(folder)
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
    """Remove what the manifest of a period's folder names; the folder too, if nothing else is in it."""
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        pages = {str(page["page"]) for page in content["pages"].values()}
        failures = {str(failure.get("notebook", "")) for failure in content.get("not_made", {}).values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    front = {path.name for path in folder.glob("index*.html") if _is_ours(path)} | set(content.get("front", {}))
    for name in pages | front | {MANIFEST, locks.NAME}:
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
    for name in failures:
        if Path(name).parent == Path("failed"):
            (folder / name).unlink(missing_ok=True)
    for left in list(ownership.in_(folder, files.DRAFTS)):
        ownership.remove(left, files.DRAFTS)
    for place in (folder / "failed", folder):
        with contextlib.suppress(OSError):
            place.rmdir()  # where nothing else is in it


def _is_ours(path: Path) -> bool:
    text = files.read(path)
    return any(mark in text for mark in files.OURS)


if __name__ == "__main__":
    kept = clean(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    for path in kept:
        sys.stdout.write(f"kept, not made by the playbook: {path}\n")
