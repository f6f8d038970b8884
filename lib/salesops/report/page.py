"""One page in a process of its own: execute the notebook by papermill, render it, write the outcome.

    python -m salesops.report.page FOLDER

`FOLDER/task.json` says what to do and `FOLDER/outcome.json` what came of it. The executed notebook's own metadata is
no witness: after the death of a kernel papermill writes that every cell completed.
"""

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

from salesops.problems import BadInput

LEAST_SECONDS = 0.1
SUBREAPER = 36  # of prctl


class Stopped(Exception):
    """A page that cannot be made: which ending, why, and in which code cell (from 1)."""

    def __init__(self, ending: str, reason: str, cell: int | None = None):
        super().__init__(reason)
        self.ending, self.reason, self.cell = ending, reason, cell


def main(folder: Path) -> int:
    """Do the task of a folder; always leaves an outcome, unless the process is killed."""
    task = json.loads((folder / "task.json").read_text("utf-8"))
    os.chdir(task["root"])
    _limit_memory(task["memory"])
    try:
        outcome = prepare(task) if task["do"] == "prepare" else make(task)
    except Exception as error:
        outcome = {"ending": "broken", "reason": f"{type(error).__name__}: {_one_line(error)}"}
    draft = folder / "outcome.draft"
    draft.write_text(json.dumps(outcome, ensure_ascii=False), "utf-8")
    draft.replace(folder / "outcome.json")
    return 0


def prepare(task: dict) -> dict:
    """Make the prepared book of a source, and the hash of what was known on a day."""
    from salesops import crm

    try:
        crm.open(task["parameters"]["source"], as_of=task["as_of"]).digest()
    except BadInput as error:
        return {"ending": "bad_source", "reason": str(error)}
    return {"ending": "made"}


def make(task: dict) -> dict:
    """The page of a task, or what was in the way, with the notebook as far as it got."""
    import nbformat

    from salesops.report import render

    start = time.perf_counter()
    attempt = Attempt(task)
    try:
        notebook = attempt.execute()
        executed = time.perf_counter()
        try:
            known, page = render.facts(notebook), render.render(notebook)
        except Exception as error:
            raise Stopped("not_rendered", f"{type(error).__name__}: {_one_line(error)}") from error
    except Stopped as stop:
        attempt.mark(stop)
        text = nbformat.writes(attempt.notebook) if attempt.notebook else None
        return {"ending": stop.ending, "reason": stop.reason, "cell": stop.cell, "notebook": text}
    record = {
        **{name: known.page[name] for name in ("title", "company", "currency", "period", "as_of", "data", "lacking")},
        "headline": known.headline,
        "deck": known.deck,
        "findings": known.findings,
        "tiles": known.tiles,
        "seconds": {
            "execute": round(executed - start, 3),
            "render": round(time.perf_counter() - executed, 3),
            "cells": [round(c.metadata.papermill.duration or 0, 3) for c in notebook.cells if c.cell_type == "code"],
        },
    }
    return {"ending": "made", "page": page, "record": record}


class Attempt:
    """One execution by papermill, which keeps the notebook whatever happens to it."""

    def __init__(self, task: dict):
        self.task = task
        self.notebook = None
        self.running: int | None = None  # index of the cell that runs
        self.deadline = time.monotonic() + task["page_seconds"]

    def execute(self):
        """The executed notebook.

        Raises
        ------
        Stopped
            If a cell fails or takes too long, the kernel dies, or a cell was not run.
        """
        import nbformat
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        from salesops.report import kernels
        from salesops.report.executor import papermill

        kernels.Manager.exit_code, kernels.Manager.orphaned = None, False
        source = nbformat.reads(self.task["notebook"], as_version=4)
        try:
            notebook = papermill.execute_notebook(
                source, None, parameters=self.task["parameters"], kernel_name="python3", engine_name=self._engine(),
                progress_bar=False, request_save_on_cell_execute=False, kernel_manager_class=kernels.Manager,
                shutdown_kernel="immediate", timeout_func=self._seconds_left, on_cell_start=self._starts,
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            what = "\n".join(line for line in str(error.evalue).splitlines() if line.strip())
            raise Stopped("cell_error", f"{error.ename}: {what}", self._number()) from None
        except CellTimeoutError:
            raise Stopped("timeout", self._too_long(), self._number()) from None
        except DeadKernelError:
            if kernels.Manager.orphaned:
                raise Stopped("parent_gone", "the parent of the kernels ended", self._number()) from None
            raise Stopped("kernel_died", _how_it_ended(kernels.Manager.exit_code), self._number()) from None
        except Exception as error:  # a kernel that does not start, a broken channel
            gone = kernels.Manager.orphaned or isinstance(error, (ConnectionError, FileNotFoundError, TimeoutError))
            raise Stopped(
                "parent_gone" if gone else "kernel_died", f"{type(error).__name__}: {_one_line(error)}", self._number()
            ) from error
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        skipped = [n for n, cell in enumerate(code, 1) if cell.execution_count is None]
        if skipped:
            raise Stopped("stopped_early", f"{len(skipped)} of {len(code)} cells were not run", skipped[0])
        return notebook

    def mark(self, stop: Stopped) -> None:
        """Write what happened into the notebook, where papermill has not: the cells that ran, and the error."""
        if self.notebook is None or stop.ending == "cell_error":
            return
        from nbformat.v4 import new_output

        for index, cell in enumerate(self.notebook.cells):
            if cell.cell_type == "code" and self.running is not None and index >= self.running:
                cell.metadata.setdefault("papermill", {})["status"] = "failed" if index == self.running else "pending"
        if self.running is not None:
            error = new_output(
                "error", ename=stop.ending, evalue=stop.reason, traceback=[f"{stop.ending}: {stop.reason}"]
            )
            self.notebook.cells[self.running].outputs.append(error)
        self.notebook.metadata.setdefault("papermill", {})["exception"] = True

    def _engine(self) -> str:
        from salesops.report.executor import papermill

        attempt = self

        class Engine(papermill.engines.NBClientEngine):
            """Papermill's own, which lets the notebook be seen while it runs."""

            @classmethod
            def execute_managed_notebook(cls, nb_man, kernel_name, **options):
                attempt.notebook = nb_man.nb
                super().execute_managed_notebook(nb_man, kernel_name, **options)

        papermill.engines.papermill_engines.register("salesops", Engine)
        return "salesops"

    def _starts(self, cell, cell_index: int) -> None:
        if cell.cell_type == "code":
            self.running = cell_index

    def _seconds_left(self, cell) -> float:  # noqa: ARG002  nbclient gives it
        return max(LEAST_SECONDS, min(self.task["cell_seconds"], self.deadline - time.monotonic()))

    def _number(self) -> int | None:
        """Of the cell that runs, among the code cells, from 1; papermill's own cell of parameters counts."""
        if self.notebook is None or self.running is None:
            return None
        return sum(cell.cell_type == "code" for cell in self.notebook.cells[: self.running + 1])

    def _too_long(self) -> str:
        if time.monotonic() >= self.deadline:
            return f"the page took longer than {self.task['page_seconds']:g} seconds"
        return f"the cell took longer than {self.task['cell_seconds']:g} seconds"


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "the kernel ended"
    if code == -signal.SIGKILL:
        return "the kernel was killed (SIGKILL), as the system does when memory runs out"
    if code < 0:
        return f"the kernel was ended by {signal.Signals(-code).name}"
    return f"the kernel ended by itself with exit code {code}"


def _one_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


def _limit_memory(megabytes: int | None) -> None:
    """Bound what this process and its kernel may write to, each; a cell that wants more gets a MemoryError."""
    if megabytes:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20,) * 2)


def _end_with_the_run() -> None:
    """Where no warm parent watches over us: when our standard input closes, end with all we have begun."""

    def watch():
        while sys.stdin.buffer.read(1):
            pass
        _end_descendants()
        os._exit(1)

    if sys.platform == "linux":  # what leaves its parent comes to us
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    threading.Thread(target=watch, daemon=True).start()


def _end_descendants() -> None:
    """End everything that this process has begun, also what left its parent."""
    import psutil

    deadline = time.monotonic() + 5
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1)


if __name__ == "__main__":
    _end_with_the_run()
    code = main(Path(sys.argv[1]))
    _end_descendants()
    os._exit(code)  # a thread still reads the standard input, which the interpreter would want to close
