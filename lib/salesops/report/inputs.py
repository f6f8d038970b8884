"""What a page is made from, as hashes: when they are the same, so is the page."""

import glob
import importlib
import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from salesops.project import PACKAGE
from salesops.report import files

VERSIONS = ("salesops", "papermill", "nbconvert", "babel", "numpy", "scipy", "pandas", "statsmodels")
VERSIONS += ("ibis-framework", "duckdb", "matplotlib", "seaborn")


class Inputs(NamedTuple):
    hashes: dict[str, str]  # data, parameters, files, code, lock
    versions: dict[str, str]  # of what computes and draws
    files: dict[str, str]  # the files that parameters name, from the project's folder, and their hashes

    def differ(self, record: dict) -> list[str]:
        """The names of the inputs that are not those of a page's record; empty where all are the same."""
        changed = [name for name, value in self.hashes.items() if record["hashes"].get(name) != value]
        changed = [self.say_files(record) if name == "files" else name for name in changed]
        return changed + (["versions"] if record["versions"] != self.versions else [])

    def say_files(self, record: dict) -> str:
        """Which of the files that parameters name are not those of a record."""
        then = record.get("files") or {}
        differ = sorted(name for name in {*then, *self.files} if then.get(name) != self.files.get(name))
        return f"files ({', '.join(differ)})" if differ else "files"


def of(root: Path, analysis: str, parameters: dict, *, data: str) -> Inputs:
    """What a page of an analysis with these parameters and these data is made from."""
    named = _named(root, analysis, parameters)
    hashes = {
        "data": data,
        "parameters": files.fingerprint(parameters),
        "files": files.fingerprint(named),
        "code": code(root, analysis),
        "lock": _lock(root),
    }
    return Inputs(hashes, _versions(), named)


def _named(root: Path, analysis: str, parameters: dict) -> dict[str, str]:
    """The hashes of the files that parameters name, such as the versions of a plan; none where there is none."""
    forms, hashes = importlib.import_module(f"salesops.{analysis}.params").Params.files, {}
    for name, form in forms.items():
        for value in filter(None, map(str.strip, str(parameters.get(name, "")).split(","))):
            asked = form.format(glob.escape(value))
            paths = sorted(root.glob(asked)) if "*" in form else [root / form.format(value)]
            for path in (path for path in paths if path.is_file()):
                known = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
                hashes[known] = files.sha256(path.read_bytes())
    return hashes


@lru_cache
def code(root: Path, analysis: str) -> str:
    """The hash of the code a page rests on: its notebook and the library with templates and translations, but
    not the other questions, which no page of this one uses."""
    others = {path.parent for path in PACKAGE.glob("*/params.py")} - {PACKAGE / analysis}
    paths = sorted(
        p for p in PACKAGE.rglob("*") if p.suffix in files.KINDS and not others & set(p.parents) and p.is_file()
    )
    named = [part for p in paths for part in (p.relative_to(PACKAGE).as_posix().encode(), p.read_bytes())]
    return files.sha256(*named, (root / "notebooks" / f"{analysis}.ipynb").read_bytes())


@lru_cache
def _lock(root: Path) -> str:
    lock = root / "requirements.lock"
    return files.sha256(lock.read_bytes()) if lock.is_file() else "none"


@lru_cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}}


def forget() -> None:
    """Look at the files again: they may have changed since an earlier run of this process."""
    code.cache_clear()
    _lock.cache_clear()
