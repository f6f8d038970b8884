"""Files that are whole or not there: written to a temporary place and moved at the end."""

import hashlib
import json
import os
import re
import secrets
import shutil
from functools import lru_cache
from pathlib import Path

from salesops import ownership, plaintext
from salesops.project import PACKAGE

DRAFTS = "drafts"  # a kind of folders of ours
NAMES = re.compile(r"\.salesops-[0-9a-f]{12}")  # of them
# What each page that this program makes has: front pages, the others, and front pages of format 1.
OURS = (
    '<meta name="generator" content="SalesOps Playbook">',
    '<meta content="SalesOps Playbook" name="generator"/>',
    '<body class="front">',
)
NOT_RENEWED = re.compile(r'<p class="failed" role="status">[^<]*</p>\n')  # the line on a page; see `banner`
KINDS = {".py", ".po", ".j2", ".css", ".json"}  # of files of the library
TEMPLATES = PACKAGE / "report" / "templates"


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing; who may read it stays as it was, or follows from the umask.

    It is written in a folder of ours beside it, whose mark says that it may be removed when a run was killed.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    place = ownership.make(path.parent / f".salesops-{secrets.token_hex(6)}", DRAFTS)
    try:
        draft = place / "draft"
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if path.is_file() and not path.is_symlink():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        ownership.remove(place, DRAFTS)


def read(path: Path) -> str:
    """A file as it is: no newline is changed, and what is not UTF-8 comes back as it was when it is written."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def is_page_name(name: object) -> bool:
    """Whether text names a page of the same folder and nothing else: no folder, no other site, no scheme."""
    return (
        isinstance(name, str) and re.fullmatch(r"[^./\\][^/\\]*\.html", name) is not None
        and plaintext.clean(name) == name
    )  # fmt: skip


def sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def fingerprint(value: object) -> str:
    """The hash of plain data, whatever the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


@lru_cache
def library() -> str:
    """The hash of the library's own files."""
    paths = sorted(path for path in PACKAGE.rglob("*") if path.suffix in KINDS and path.is_file())
    return sha256(
        *(part for path in paths for part in (path.relative_to(PACKAGE).as_posix().encode(), path.read_bytes()))
    )
