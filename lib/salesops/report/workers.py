"""The processes that make pages: one for each page, forked from a warm parent or started afresh.

Whatever happens in such a process (a hang, a crash, a kill), the run gets an outcome.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from salesops import locks, ownership
from salesops.project import PACKAGE
from salesops.report.files import KINDS

GRACE = 15  # seconds a page may go on after its time, to say so itself
START_SECONDS = 60  # until a warm parent has imported everything and forked
SECONDS_TO_END = 10
PROBE = 65_536  # bytes that a disk which is not full takes
FORKS = 200  # pages after which the warm parents are replaced
MARK = "SALESOPS_PROCESS"  # in the environment of a forked process and of all it begins
PREFIX = "salesops_"  # earlier versions remove every folder called salesops-... of the same user
WORKING = "working-folder"  # a kind of folders of ours
LONGEST_PLACE = 50  # bytes; a Unix socket's path has 107, and ours stand three folders deeper
CAN_FORK = sys.platform == "linux"
QUIET = {"PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
UNTHREADED = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # Arrow's allocator begins one when it is imported
NOT_OURS = ("MPLBACKEND", "PYTHONSTARTUP", "JPY_PARENT_PID", "JPY_SESSION_NAME", "PYTHONDONTWRITEBYTECODE")


class Workers:
    """Makes pages, also from several threads at once; use it as a context.

    Parameters
    ----------
    cold : start every process and every kernel afresh; always so where processes cannot be forked.
    """

    def __init__(self, *, cold: bool = False):
        place = _place()
        self.cold = cold or not CAN_FORK or len(os.fsencode(place)) > LONGEST_PLACE
        ownership.remove_left_over(place, WORKING)
        self._held = contextlib.ExitStack()
        self._folder = _own_folder(place, self._held)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._parents: list[_Parents] = []
        self._afresh: set[subprocess.Popen] = set()
        self._closed = False

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_error) -> None:
        self.close()

    def close(self) -> None:
        """End every process that was begun, and wait for it."""
        with self._lock:
            self._closed = True
            parents, afresh = list(self._parents), list(self._afresh)
        for process in afresh:
            process.stdin.close()
        for parent in parents:
            parent.close()
        for process in afresh:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._held.close()

    def do(self, task: dict) -> dict:
        """The outcome of a task; see `report.page`."""
        folder = self._folder / str(next(self._numbers))
        try:
            (folder / "tmp").mkdir(parents=True)
            (folder / "task.json").write_text(json.dumps(task), "utf-8")
            for attempt in (1, 2):  # if the parent of the kernels is gone, a new one takes over, once
                try:
                    outcome = _outcome(folder, self._run(folder, task), task)
                except OSError as error:
                    outcome = {"ending": "parent_gone", "reason": f"{type(error).__name__}: {error}"}
                if outcome["ending"] != "parent_gone" or self._closed or attempt == 2:
                    break
                (folder / "outcome.json").unlink(missing_ok=True)
            return outcome if outcome["ending"] == "made" else _with_disk(outcome, self._folder)
        except OSError as error:
            return _with_disk(_broken(f"{type(error).__name__}: {error}"), self._folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, folder: Path, task: dict) -> int | None:
        """The exit code of the process of a task; None if it had to be killed for taking too long."""
        environment = {**os.environ, **QUIET, **task["env"], "JUPYTER_RUNTIME_DIR": str(folder)}
        environment |= {"IPYTHONDIR": str(folder / "ipython"), "TMPDIR": str(folder / "tmp")}
        environment = {name: value for name, value in environment.items() if name not in NOT_OURS}
        seconds = task["page_seconds"] + GRACE
        if self.cold:
            return self._run_afresh(folder, environment, seconds)
        with self._parent() as parent:
            try:
                process = parent.fork(folder, environment)
                code = process.wait(seconds)
            except OSError as error:
                parent.unfit = True
                raise ConnectionError(f"{error} {parent.last_words()}".rstrip()) from error
            if code is None:
                parent.unfit = True  # it may be the parent that does not go on
                process.kill()
            elif process.orphaned:
                parent.unfit = True
                raise ConnectionError("the parent of the kernels ended")
            return code

    def _run_afresh(self, folder: Path, environment: dict, seconds: float) -> int | None:
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "salesops.report.page", str(folder)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True,
            )  # fmt: skip
        with self._lock:
            self._afresh.add(process)
            if self._closed:
                process.stdin.close()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.stdin.close()  # its life line: it ends with all it has begun
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)
            process.kill()
            process.wait()
            with self._lock:
                self._afresh.discard(process)

    @contextlib.contextmanager
    def _parent(self) -> Iterator["_Parents"]:
        """Warm parents that are alive, have not forked too often, and have the library as it is now on disk."""
        with self._lock:
            if self._closed:
                raise ConnectionError("the run is over")
            latest = self._parents[-1] if self._parents else None
            if latest is None or not latest.is_fit():
                latest = _Parents(Path(tempfile.mkdtemp(prefix="w", dir=self._folder)))
                self._parents.append(latest)
            for parent in [p for p in self._parents if p is not latest and p.users == 0]:
                parent.close()
                self._parents.remove(parent)
            latest.users += 1
        try:
            yield latest
        finally:
            with self._lock:
                latest.users -= 1


class _Parents:
    """Two warm parents, of pages and of kernels, and the life lines to them."""

    def __init__(self, folder: Path):
        self.users = 0
        self.unfit = False
        self._n_forks = 0
        self._code = _library_state()
        self._folders = {kind: folder / kind for kind in ("pages", "kernels")}
        self._processes = {kind: self._start(kind, place) for kind, place in self._folders.items()}

    @staticmethod
    def _start(kind: str, folder: Path) -> subprocess.Popen:
        folder.mkdir()
        environment = {**os.environ, **QUIET, **UNTHREADED}
        environment = {name: value for name, value in environment.items() if name not in NOT_OURS}
        with (folder.parent / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "salesops.report.warm", kind, str(folder)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip

    def is_fit(self) -> bool:
        alive = all(process.poll() is None for process in self._processes.values())
        return alive and not self.unfit and self._n_forks < FORKS and self._code == _library_state()

    def fork(self, folder: Path, environment: dict):
        """A process that does the task of a folder, with its kernel."""
        from salesops.report.forked import WARM, Forked

        self._n_forks += 1
        places = {kind: str(place / "warm") for kind, place in self._folders.items()}
        deadline = time.monotonic() + START_SECONDS
        while not all(map(os.path.exists, places.values())):
            ended = any(process.poll() is not None for process in self._processes.values())
            if ended or self.unfit or time.monotonic() > deadline:
                raise ConnectionError("the parent of the kernels did not start")
            time.sleep(0.005)
        environment = {**environment, WARM: places["kernels"]}
        request = {"do": "page", "folder": str(folder), "env": environment, "cwd": str(folder)}
        return Forked(places["pages"], request, seconds=START_SECONDS)

    def last_words(self) -> str:
        """What a parent that could not go on said last; blank where it said nothing."""
        log = self._folders["pages"].parent / "log"
        said = log.read_text("utf-8", "replace").strip().splitlines() if log.is_file() else []
        return f"({said[-1]})" if said else ""

    def close(self) -> None:
        """End both, with all they have begun; also what one left behind that was killed itself."""
        self.unfit = True
        for process in self._processes.values():
            process.stdin.close()
        deadline = time.monotonic() + SECONDS_TO_END
        for process in self._processes.values():
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.returncode != 0:
                _sweep(process.pid)


def _sweep(parent: int) -> None:
    """End the processes that carry the mark of a warm parent which cannot end them any more."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK, "").startswith(f"{parent}-"):
                process.kill()


def _outcome(folder: Path, code: int | None, task: dict) -> dict:
    path = folder / "outcome.json"
    if path.is_file():
        return json.loads(path.read_text("utf-8"))
    if code is None:
        return {
            "ending": "timeout",
            "reason": f"the page took longer than {task['page_seconds']:g} seconds and was ended",
        }
    log = folder / "log"
    said = log.read_text("utf-8", "replace").strip().splitlines() if log.is_file() else []
    return _broken(f"its process ended with exit code {code}" + (f": {said[-1]}" if said else ""))


def _with_disk(outcome: dict, place: Path) -> dict:
    """An outcome that names the disk where that is full: who ran out of it could often not even say so."""
    probe = place / "probe"
    try:
        probe.write_bytes(b"\0" * PROBE)
        return outcome
    except OSError as error:
        reason = f"{os.strerror(error.errno)}: {place} ({outcome['reason']})"
        return outcome | {"reason": f"{reason}; make room there, or set TMPDIR to another folder"}
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _broken(reason: str) -> dict:
    return {"ending": "broken", "reason": reason}


def _library_state() -> tuple:
    """What tells that a file of the library has changed."""
    return tuple((path, path.stat().st_mtime_ns) for path in sorted(PACKAGE.rglob("*")) if path.suffix in KINDS)


def _place() -> Path:
    """Where working folders go: the temporary folder, or another if its path is too long for Unix sockets in it."""
    usual = Path(tempfile.gettempdir())
    others = [Path(name) for name in ("/tmp", "/var/tmp", "/dev/shm") if os.access(name, os.W_OK)]  # noqa: S108
    fitting = [place for place in (usual, *others) if len(os.fsencode(place)) <= LONGEST_PLACE]
    return fitting[0] if fitting else usual


def _own_folder(place: Path, held: contextlib.ExitStack) -> Path:
    """A new working folder, marked as ours. It is locked before it has its name, so that no other run takes it for a
    left-over one."""
    draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=place))
    held.enter_context(locks.hold(draft))
    ownership.mark(draft, WORKING)
    folder = draft.with_name(draft.name.removeprefix("."))
    draft.rename(folder)
    return folder
