"""Whether a folder of tables is as it was written: `whole.json` lists the size, time and hash of each of its files.

A look at sizes and times is enough where nothing changed. A file that is as large as it was and has another time (a
copy) is read and hashed.
"""

import hashlib
import json
import shutil
import stat
from pathlib import Path

from salesops.ownership import MARK
from salesops.problems import printable

NAME = "whole.json"


def write(folder: Path) -> None:
    """List the files of a folder that is complete now."""
    listed = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in (NAME, MARK):
            state = path.stat()
            listed[path.name] = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": _hash(path)}
    (folder / NAME).write_text(json.dumps({"files": listed}, indent=1) + "\n", "utf-8")


def fault(folder: Path, needed: tuple[str, ...] = ("book.json", "deals.parquet")) -> str:
    """What is not as it was written, in a few words; blank where the folder is whole. needed : files it has to have."""
    listed = _listed(folder)
    if listed is None or not set(needed) <= set(listed):
        return f"{NAME} is missing or damaged"
    for name, written in listed.items():
        try:
            state = (folder / name).lstat()
            if Path(name).name != name or not stat.S_ISREG(state.st_mode):
                return f"{printable(name)} is no file of the folder"
            if state.st_size != written["size"]:
                return f"{name} has {state.st_size:,} bytes, {written['size']:,} were written"
            if state.st_mtime_ns != written["mtime_ns"] and _hash(folder / name) != written["sha256"]:
                return f"{name} was changed after it was written"
        except (FileNotFoundError, NotADirectoryError):
            return f"{name} is missing"
        except (OSError, ValueError, KeyError, TypeError):
            return f"{printable(name)} cannot be read"
    return ""


def content(folder: Path) -> list[bytes]:
    """Name and hash of each file, of a folder that has no fault; what tells one book from another."""
    return [f"{name} {written['sha256']}".encode() for name, written in sorted((_listed(folder) or {}).items())]


def copy(folder: Path, target: Path) -> None:
    """Copy a folder that is whole to an empty one or one that is not there yet, with the rights of the user's other
    files."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.name not in (NAME, MARK):
            shutil.copyfile(path, target / path.name)
    write(target)


def is_listed(folder: Path) -> bool:
    return (folder / NAME).is_file()


def _listed(folder: Path) -> dict[str, dict] | None:
    try:
        listed = json.loads((folder / NAME).read_text("utf-8"))["files"]
        return listed if isinstance(listed, dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
