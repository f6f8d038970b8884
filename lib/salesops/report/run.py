"""From a parameter file to a published page: check, execute, render, publish.

The run knows only the convention of the stem: `params/funnel.maven.yml` is the variant `maven` of the
analysis `funnel`, whose notebook is `notebooks/funnel.ipynb` and whose schema `salesops.funnel.Params`.
"""

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from salesops import project, settings, yamlfile
from salesops.problems import BadInput
from salesops.report import files

# nbformat's schema checker would build an Earley grammar for IRIs at every start, 1.3 seconds for a check that
# no notebook needs; without the module jsonschema leaves that one check out.
sys.modules.setdefault("rfc3987_syntax", None)

VERSIONS = ("salesops", "papermill", "nbconvert", "pandas", "statsmodels", "ibis-framework", "duckdb", "matplotlib")
Progress = Callable[[int, int], None]  # cells done, cells in all


class Job(NamedTuple):
    """A checked run: everything that can be refused before a kernel starts has been."""

    stem: str  # funnel.maven, or funnel.maven.ru for the Russian page
    analysis: str
    params: settings.Params
    root: Path
    folder: Path  # of the pages of this period

    @property
    def page(self) -> Path:
        return self.folder / f"{self.stem}.html"


class RunFailed(Exception):
    """A page could not be made; `notebook` is the executed notebook with its error, if it got so far."""

    def __init__(self, reason: str, notebook: Path | None = None):
        super().__init__(reason)
        self.reason, self.notebook = reason, notebook


def analyses(root: Path) -> list[str]:
    """The questions the playbook answers: the folders of the library with a `params.py`, with a notebook."""
    found = sorted(path.parent.name for path in project.PACKAGE.glob("*/params.py"))
    return [name for name in found if (root / "notebooks" / f"{name}.ipynb").is_file()]


def prepare(params_file: Path, *, overrides: Mapping[str, object], out: Path | None = None) -> Job:
    """Check a parameter file with its overrides.

    Raises
    ------
    BadInput
        With every problem at once.
    """
    params_file = Path(params_file)
    values = {**yamlfile.load(params_file), **overrides}
    root = project.root(params_file.resolve().parent)
    analysis = params_file.name.split(".")[0]
    if analysis not in analyses(root):
        raise BadInput(
            f"{params_file} cannot be used", [f"no analysis {analysis!r}; there are: {', '.join(analyses(root))}"]
        )
    schema = importlib.import_module(f"salesops.{analysis}.params").Params
    params = schema.check(values, where=str(params_file))
    stem = params_file.name.removesuffix(".yml") + ("" if params.lang == "en" else f".{params.lang}")
    return Job(stem, analysis, params, root, (out or root / "reports").absolute() / params.period)


def run(job: Job, *, progress: Progress = lambda done, total: None) -> Path:
    """Make the page of a job.

    Returns
    -------
    Path
        The published page. An earlier page is replaced only by a whole new one.

    Raises
    ------
    RunFailed
        If the notebook fails or the page cannot be written; the executed notebook is kept in `failed/`.
    """
    from salesops.report import manifest

    kept = job.folder / "failed" / f"{job.stem}.ipynb"
    try:
        with files.draft_folder(job.folder) as draft:
            try:
                _make(job, draft, progress)
            except RunFailed as failure:
                if (draft / "run.ipynb").is_file():
                    kept.parent.mkdir(exist_ok=True)
                    (draft / "run.ipynb").replace(kept)
                    failure.notebook = kept
                manifest.failed(job.folder, job.stem, failure.reason)
                raise
    except OSError as error:
        raise RunFailed(f"{type(error).__name__}: {error}") from error
    kept.unlink(missing_ok=True)
    return job.page


def _make(job: Job, draft: Path, progress: Progress) -> None:
    from salesops.report import manifest, render

    start = time.perf_counter()
    notebook = execute(job, draft, progress)
    executed = time.perf_counter()
    known = render.facts(notebook)
    hashes = {
        "data": known.page["data"],
        "parameters": files.fingerprint(job.params.model_dump()),
        "code": files.code(job.root, job.analysis),
        "lock": _lock(job.root),
    }
    versions = {name: version(name) for name in VERSIONS}
    made = {**{name: value[:16] for name, value in hashes.items()}, **versions}
    page = render.render(notebook, language=job.params.lang, made=made)
    seconds = {"execute": executed - start, "render": time.perf_counter() - executed, "cells": _cell_seconds(notebook)}
    record = {
        "page": job.page.name,
        "analysis": job.analysis,
        "lang": job.params.lang,
        **{name: known.page[name] for name in ("title", "company", "period", "as_of")},
        "headline": known.headline,
        "deck": known.deck,
        "findings": known.findings,
        "parameters": job.params.model_dump(),
        "hashes": {**hashes, "page": files.sha256(page.encode())},
        "versions": versions,
        "seconds": seconds,
    }
    files.write(job.page, page)
    manifest.record(job.folder, job.stem, record)


def execute(job: Job, draft: Path, progress: Progress):
    """The executed notebook; papermill saves it in `draft` as it goes.

    Raises
    ------
    RunFailed
        If a cell fails, the kernel dies, or a cell was not run.
    """
    import nbformat
    import papermill

    source = nbformat.read(job.root / "notebooks" / f"{job.analysis}.ipynb", as_version=4)
    total = sum(cell.cell_type == "code" for cell in source.cells) + 1  # papermill adds one
    output = str(draft / "run.ipynb").replace("{", "{{").replace("}", "}}")  # papermill formats paths
    done = iter(range(1, total + 10))
    try:
        with _private_profile(draft), _private_channels() as channels:
            notebook = papermill.execute_notebook(
                source, output, parameters=job.params.model_dump(), kernel_name="python3", cwd=job.root,
                progress_bar=False, on_cell_complete=lambda cell, cell_index: _count(cell, done, total, progress),
                **channels,
            )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise RunFailed(_first_line(error)) from None
    except Exception as error:  # a dead kernel, a time-out, a broken channel: the page fails, the pack goes on
        raise RunFailed(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    skipped = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip() and c.execution_count is None]
    if skipped:
        raise RunFailed(f"{len(skipped)} cells were not run; the notebook stopped early without an error")
    return notebook


def _count(cell, done: Iterator[int], total: int, progress: Progress) -> None:
    if cell.cell_type == "code":
        progress(min(next(done), total), total)


def _first_line(error) -> str:
    """What went wrong, as one would say it; the notebook kept has the whole of it."""
    what = "\n".join(line for line in str(error.evalue).splitlines() if line.strip())
    return f"{error.ename} in cell {error.cell_index + 1}: {what}"


@contextmanager
def _private_profile(draft: Path) -> Iterator[None]:
    """Kernels that know nothing of the user's own start-up files and hash the same way every time."""
    own = {"IPYTHONDIR": str(draft / "ipython"), "PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _private_channels() -> Iterator[dict]:
    """Unix sockets in a folder of the kernel's own, where there are such: no ports to race for, nothing on TCP."""
    if os.name != "posix":
        yield {}
        return
    from jupyter_client.manager import AsyncKernelManager

    with tempfile.TemporaryDirectory(prefix="salesops-") as folder:  # short: a socket's path has 107 bytes

        class PrivateKernelManager(AsyncKernelManager):
            def __init__(self, **kwargs):
                super().__init__(transport="ipc", ip=f"{folder}/k", **kwargs)

        yield {"kernel_manager_class": PrivateKernelManager}


def _cell_seconds(notebook) -> list[float]:
    return [round(cell.metadata.papermill.duration or 0, 3) for cell in notebook.cells if cell.cell_type == "code"]


def _lock(root: Path) -> str:
    lock = root / "requirements.lock"
    return files.sha256(lock.read_bytes()) if lock.is_file() else "none"
