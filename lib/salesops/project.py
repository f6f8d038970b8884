"""Where things are: the project's folders, and the cache of prepared books."""

import os
from pathlib import Path

PACKAGE = Path(__file__).parent


def root(start: Path | str | None = None) -> Path:
    """The nearest folder at or above `start` (else the working folder, else the installed package)
    that holds `notebooks/` and `params/`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    starts = [Path(start)] if start else []
    for origin in [*starts, Path.cwd(), PACKAGE]:
        for folder in (origin.resolve(), *origin.resolve().parents):
            if (folder / "notebooks").is_dir() and (folder / "params").is_dir():
                return folder
    raise FileNotFoundError("no folder with notebooks/ and params/ here or above")


def cache(of: Path | None = None) -> Path:
    """The folder of prepared books: `$SALESOPS_CACHE`, else `.cache` in the project."""
    named = os.environ.get("SALESOPS_CACHE")
    return Path(named) if named else (of or root()) / ".cache"
