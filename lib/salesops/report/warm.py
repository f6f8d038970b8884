"""A warm parent: a small, single-threaded process that has imported what its children need, and forks them.

    python -m salesops.report.warm pages|kernels FOLDER

There is one for the processes that make pages (papermill, nbconvert) and one for kernels (the libraries of the
notebooks); they start side by side. Each listens on `FOLDER/warm`. A request is one line of JSON; a connection lives
as long as the process asked for: closed by the one who asked, it means kill; and the parent says the exit code on it.
Its standard input is the life line to the run: when that closes, everything is ended and the folder removed.
Linux only.

Safe to fork by construction: BLAS has one thread, no engine is connected and no event loop or socket of ZeroMQ
exists before a fork, and it refuses to fork if a second thread is found. What a forked process does not
inherit: descriptors, environment, working directory, signal handlers, the state of random numbers.
"""

import contextlib
import ctypes
import datetime as dt
import gc
import importlib.util
import io
import json
import os
import random
import resource
import selectors
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

from salesops.project import PACKAGE
from salesops.report.workers import MARK

PAGES = ("salesops.report.executor", "salesops.report.render", "salesops.report.page", "salesops.report.kernels")
KERNELS = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "sqlite3",
    "psutil",
    "tornado.platform.asyncio",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "seaborn",
    "ibis.backends.duckdb.converter",
    "ibis.expr.types.groupby",
    "ibis.formats.numpy",
    "ibis.formats.pandas",
    "ibis.formats.pyarrow",
    "matplotlib.style.core",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "salesops.crm.book",
    "salesops.report.show",
)
SUBREAPER, DIE_WITH_PARENT = 36, 1
_libc = ctypes.CDLL(None, use_errno=True)


def modules(kind: str) -> list[str]:
    """What is imported once: the machinery of pages; or that of kernels, the library, and every question."""
    if kind == "pages":
        return list(PAGES)
    questions = [path.parent for path in sorted(PACKAGE.glob("*/params.py"))]
    slices = [
        f"salesops.{folder.name}.{path.stem}" for folder in questions for path in sorted(folder.glob("[a-z]*.py"))
    ]
    stats = [f"salesops.stats.{path.stem}" for path in sorted((PACKAGE / "stats").glob("[a-z]*.py"))]
    return [*KERNELS, *stats, *slices]


def main(kind: str, folder: Path) -> None:
    """Serve until the life line closes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "warm"))
    listener.listen(256)
    _libc.prctl(SUBREAPER, 1, 0, 0, 0)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel sets it
    for name in modules(kind):
        importlib.import_module(name)
    _rehearse_translations()
    if kind == "pages":
        sys.modules["salesops.report.render"].rehearse()
    else:
        _rehearse_analysis()
        sys.modules[
            "duckdb"
        ].default_connection().close()  # importing it connects, with a thread; the next use does again
    gc.collect()
    gc.freeze()  # pages shared with every child stay shared
    Server(folder, listener).serve()


def _rehearse_translations() -> None:
    """Fill the caches that each child would fill again: translations, formats of numbers and days."""
    from salesops import lang

    for language in lang.LANGUAGES[::-1]:
        lang.use(language)
        lang.percent(0.5), lang.decimal(1.5), lang.money(1e6, "USD"), lang.money(1e6, "USD", compact=True)
        lang.day(dt.date(2026, 1, 1)), lang.month(dt.date(2026, 1, 1)), lang.catalogue(language)


def _rehearse_analysis() -> None:
    """The same for queries, which are written out here and not run, and for pictures."""
    import ibis
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    deals = ibis.table({"deal_id": "string", "at": "timestamp", "n": "int64"}, name="deals")
    joined = deals.filter(deals.n > 0).mutate(day=deals.at.date()).left_join(deals.view(), "deal_id")
    ibis.to_sql(joined.group_by("day").agg(n=joined.n.sum()).order_by("day"), dialect="duckdb")
    figure = Figure()
    figure.add_subplot().set_title("Да 1")
    FigureCanvasSVG(figure).print_svg(io.StringIO())


class Child:
    def __init__(self, pid: int, line: socket.socket):
        self.pid, self.line = pid, line


class Server:
    """One loop over the life line, new requests, and the ends of children and of connections."""

    def __init__(self, folder: Path, listener: socket.socket):
        self.folder, self.listener = folder, listener
        self.children: dict[int, Child] = {}
        self.asking: dict[socket.socket, bytes] = {}
        self.ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.wake = wake
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: self.close())
        self.ready = selectors.DefaultSelector()
        lifeline = sys.stdin.fileno()
        for watched, act in ((lifeline, self.close), (listener, self.accept), (self.ended, self.reap)):
            self.ready.register(watched, selectors.EVENT_READ, act)

    def serve(self) -> None:
        while True:
            for key, _events in self.ready.select():
                key.data()

    def accept(self) -> None:
        try:
            line, _address = self.listener.accept()
        except OSError:  # no descriptor is free; who asks waits until one is
            time.sleep(0.05)
            return
        self.asking[line] = b""
        self.ready.register(line, selectors.EVENT_READ, lambda: self.read(line))

    def read(self, line: socket.socket) -> None:
        """A part of a request, or the end of a connection."""
        try:
            part = line.recv(65536)
        except OSError:
            part = b""
        if part and line in self.asking:
            self.asking[line] += part
            if part.endswith(b"\n"):
                self.fork(line, json.loads(self.asking.pop(line)))
        elif not part:
            self.asking.pop(line, None)
            self.ready.unregister(line)
            line.close()
            for child in [child for child in self.children.values() if child.line is line]:
                self.kill(child.pid)

    def fork(self, line: socket.socket, request: dict) -> None:
        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise RuntimeError("a library that was imported has started a thread; forking is not safe")
        try:
            pid = os.fork()
        except OSError as error:
            return self.say(line, {"error": f"no process can be forked: {error}"})
        if pid == 0:
            self.become(request)
        self.children[pid] = Child(pid, line)
        self.say(line, {"pid": pid})

    def become(self, request: dict) -> None:
        """In the child: forget the parent, and be the process asked for. Never returns."""
        code = 1
        try:
            os.setsid()
            _libc.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            self.ready.close()
            for line in {self.listener, *self.asking, *(child.line for child in self.children.values())}:
                line.close()
            for descriptor in (self.ended, self.wake):
                os.close(descriptor)
            _settle(request)
            code = ROLES[request["do"]](request) or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def reap(self) -> None:
        """Say the exit codes of those that ended, and end what they left behind."""
        os.read(self.ended, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if child := self.children.pop(pid, None):
                self.kill(pid)
                self.say(child.line, {"exit": os.waitstatus_to_exitcode(status)})

    def kill(self, pid: int) -> None:
        """End a process, its group, and what left its group: that has come to us, and carries its mark."""
        _kill_group(pid)
        mark = f"{MARK}={os.getpid()}-{pid}".encode()
        for orphan in _children():
            if orphan not in self.children and mark in _environment(orphan):
                _kill_group(orphan)

    def say(self, line: socket.socket, word: dict) -> None:
        with contextlib.suppress(OSError):  # nobody is there any more
            line.send(json.dumps(word).encode() + b"\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """End everything that was begun, also what hides in a session of its own; remove the folder."""
        deadline = time.monotonic() + 5
        while (left := _children()) and time.monotonic() < deadline:
            for pid in left:
                _kill_group(pid)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:  # no descriptor is free, or the system does not tell
        return []


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _kill_group(pid: int) -> None:
    for end in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            end(pid, signal.SIGKILL)


def _settle(request: dict) -> None:
    """A process of its own: environment, folder, streams, limits, random numbers."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.environ[MARK] = f"{os.getppid()}-{os.getpid()}"
    time.tzset()
    os.chdir(request["cwd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(Path(request["env"]["JUPYTER_RUNTIME_DIR"]) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, stream in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, stream)
    os.closerange(3, 4096)
    if limit := request.get("memory"):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _be_a_page(request: dict) -> int:
    from salesops.report import page

    return page.main(Path(request["folder"]))


def _be_a_kernel(request: dict) -> int:
    from ipykernel.kernelapp import IPKernelApp

    arguments = request["argv"][request["argv"].index("-m") + 2 :]
    gc.set_threshold(10_000, 20, 20)  # a kernel lives for one page
    sys.argv = [importlib.util.find_spec("ipykernel_launcher").origin, *arguments]
    # The parent's process id was read from the environment when ipykernel was imported; here is the right one.
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])
    return 0


ROLES = {"page": _be_a_page, "kernel": _be_a_kernel}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
