"""Past one machine: the pages of a run made by the workers of a Dask cluster.

Files go through fsspec: this machine puts the prepared books and the project's files where the workers find them,
each under the hash of its content, so that they go there once. Pages come back as text, and only this machine
writes into the folders of the reports. Scheduling, and doing again what a lost worker had begun, is Dask's.
"""

import atexit
import io
import json
import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from salesops import project
from salesops.crm import source
from salesops.problems import BadInput
from salesops.report import files as local
from salesops.report.run import Limits
from salesops.report.workers import Workers

SECONDS_TO_CONNECT = 20
AHEAD = 2  # tasks sent beyond those that can run


@contextmanager
def workers(address: str, *, files: str | None, cold: bool, limits: Limits) -> Iterator[dict]:
    """The arguments of `run.run` that make it use a cluster.

    Parameters
    ----------
    address : of the scheduler, as dask:tcp://host:8786.
    files : a URL that fsspec knows, as s3://bucket/salesops or file:///mnt/shared; None is a folder in the project's
        cache, for workers that see this machine's disk.

    Raises
    ------
    BadInput
        If there is no such scheduler, or it has no workers.
    """
    kind, _, scheduler = address.partition(":")
    if kind != "dask" or "://" not in scheduler:
        raise BadInput(f"--on {address} cannot be used", ["write dask:tcp://host:8786"])
    try:
        from distributed import Client
    except ImportError:
        raise BadInput(
            f"--on {address} cannot be used", ["Dask is not installed: pip install salesops[dask]"]
        ) from None
    try:
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise BadInput(f"--on {address} cannot be used", [f"no scheduler answers: {error}"]) from None
    with client:
        n_threads = sum(client.nthreads().values())
        if not n_threads:
            raise BadInput(f"--on {address} cannot be used", ["the scheduler has no workers"])
        with Workers(cold=cold) as here, Cluster(client, files, here, cold=cold) as executor:
            stop = executor.stop
            yield {"do": do, "executor": executor, "at_once": n_threads + AHEAD, "limits": limits, "stop": stop}


class Cluster(Executor):
    """Sends pages to the cluster; data are prepared here, where the exports are."""

    def __init__(self, client, files: str | None, here: Workers, *, cold: bool):
        self._client, self._files, self._here, self._cold = client, files, here, cold
        self._threads = ThreadPoolExecutor(2)
        self._sent: dict[str, str] = {}
        self._lock = threading.Lock()

    def submit(self, _do, task: dict) -> Future:
        if task["do"] == "prepare":
            return self._threads.submit(self._here.do, task)
        ended: Future = Future()
        try:
            sent = self._client.submit(do, self._packed(task), pure=False)
        except OSError as error:
            ended.set_exception(error)
            return ended
        sent.add_done_callback(lambda there: _hand_over(there, ended))
        return ended

    def stop(self) -> None:
        """End what was begun here, and tell the cluster to begin no more."""
        self._here.close()
        self._client.cancel(list(self._client.futures.values()), force=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def _packed(self, task: dict) -> dict:
        """A task that needs nothing of this machine: its files are named by URLs."""
        root = Path(task["root"])
        place = self._files or (project.cache(root).absolute() / "elsewhere").as_uri()
        books = json.loads(task["env"].get(source.BOOKS, "{}"))
        with self._lock:
            for folder, key in books.values():
                self._send(f"{place}/books/{key}", lambda target, folder=folder: _put_folder(Path(folder), target))
            content = _project(root)
            key = local.sha256(content)[:32]
            self._send(f"{place}/projects/{key}.zip", lambda target: _put_bytes(content, target))
        return {
            **task,
            "env": {},
            "books": {name: [f"{place}/books/{key}", key] for name, (_folder, key) in books.items()},
            "project": [f"{place}/projects/{key}.zip", key],
            "library": local.library(),
            "cold": self._cold,
        }

    def _send(self, target: str, put) -> None:
        if target not in self._sent:
            put(target)
            self._sent[target] = target


def _hand_over(there, ended: Future) -> None:
    """The end of a Dask future as that of an ordinary one."""
    try:
        ended.set_result(there.result())
    except BaseException as error:
        ended.set_exception(error if isinstance(error, Exception) else RuntimeError(str(error)))


def _project(root: Path) -> bytes:
    """The files of a project that pages need, as a zip file of the same bytes each time."""
    paths = [*root.glob("notebooks/*.ipynb"), *root.glob("params/**/*.yml"), *root.glob("requirements.lock")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(paths):
            archive.writestr(
                zipfile.ZipInfo(path.relative_to(root).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED
            )
    return packed.getvalue()


def _put_bytes(content: bytes, target: str) -> None:
    import fsspec

    system, path = fsspec.core.url_to_fs(target)
    if not system.exists(path):
        system.makedirs(system._parent(path), exist_ok=True)
        system.pipe_file(f"{path}.part", content)
        system.mv(f"{path}.part", path)


def _put_folder(folder: Path, target: str) -> None:
    """Put a book there; `book.json` last, which says that it is whole."""
    import fsspec

    system, path = fsspec.core.url_to_fs(target)
    if not system.exists(f"{path}/book.json"):
        system.makedirs(path, exist_ok=True)
        for file in sorted(folder.iterdir(), key=lambda file: file.name == "book.json"):
            system.put_file(str(file), f"{path}/{file.name}")


# --- on a worker ---


def do(task: dict) -> dict:
    """The outcome of a task, made by a process of this worker."""
    if task["library"] != local.library():
        return _broken("a worker of the cluster has another version of the salesops library")
    try:
        root = _fetched(*task["project"], _unzip, "projects")
        books = {
            name: [str(_fetched(url, key, _get_folder, "books")), key] for name, (url, key) in task["books"].items()
        }
    except OSError as error:
        return _broken(f"a worker of the cluster does not find the files ({error}); name a place for them with --files")
    environment = {source.BOOKS: json.dumps(books), "SALESOPS_CACHE": str(_cache())}
    return _workers(task["cold"]).do({**task, "root": str(root), "env": environment})


def _broken(reason: str) -> dict:
    return {"ending": "broken", "reason": reason}


@lru_cache
def _workers(cold: bool) -> Workers:
    """Of this process; a worker of the cluster has one warm parent for all its pages."""
    made = Workers(cold=cold)
    atexit.register(made.close)
    return made


def _cache() -> Path:
    named = os.environ.get("SALESOPS_CACHE")
    if named:
        return Path(named)
    folder = Path(tempfile.gettempdir()) / f"salesops-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to another user; name a folder in $SALESOPS_CACHE")
    return folder


def _fetched(url: str, key: str, get, kind: str) -> Path:
    """The folder of what a URL holds; fetched once, in a temporary place, and moved when whole."""
    folder = _cache() / kind / key
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder.parent))
    try:
        get(url, draft)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _get_folder(url: str, target: Path) -> None:
    import fsspec

    system, path = fsspec.core.url_to_fs(url)
    for found in system.ls(path, detail=False):
        system.get_file(found, str(target / Path(found).name))


def _unzip(url: str, target: Path) -> None:
    import fsspec

    system, path = fsspec.core.url_to_fs(url)
    with zipfile.ZipFile(io.BytesIO(system.cat_file(path))) as archive:
        archive.extractall(target)
