"""Files that are whole or not there: written to a temporary place and moved at the end."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from salesops.project import PACKAGE

DRAFT = ".draft-"


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(prefix=DRAFT, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """A private folder beside the pages, gone afterwards; those of killed runs are removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{DRAFT}*"):
        owner = left.name.removeprefix(DRAFT).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{DRAFT}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OSError):
        return True
    return True


def sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def fingerprint(value: object) -> str:
    """The hash of plain data, whatever the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def code(root: Path, analysis: str) -> str:
    """The hash of the code a page rests on: the library with its templates and translations, and the notebook."""
    paths = sorted(p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix in {".py", ".po", ".j2", ".css", ".json"})
    named = [part for p in paths for part in (p.relative_to(PACKAGE).as_posix().encode(), p.read_bytes())]
    return sha256(*named, (root / "notebooks" / f"{analysis}.ipynb").read_bytes())
