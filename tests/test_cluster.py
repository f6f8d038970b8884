"""A Dask cluster of real processes: the same pages, also when a worker is killed in the middle."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.test_runner import alive, make_small, wait_until, write_pack


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, each with a cache of its own; gives the address and the workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, started = f"tcp://127.0.0.1:{port}", []

    def start(*command, **environment) -> subprocess.Popen:
        program = [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]]
        with (tmp_path / "cluster.log").open("ab") as log:
            process = subprocess.Popen(program, stdout=log, stderr=log, cwd=tmp_path, env={**os.environ, **environment})
        started.append(process)
        return process

    start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    options = ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
    workers = [
        start("worker", address, *options, SALESOPS_CACHE=str(tmp_path / f"cache{n}"), MARK=f"worker{n}-{tmp_path}")
        for n in (1, 2)
    ]
    from distributed import Client

    with Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
    yield address, workers
    for process in started:  # nobody is to wait for another to say goodbye
        process.kill()
        process.wait()


def pages(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.html")}


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_page(salesops, cluster, project_copy, tmp_path_factory):
    """Pages of the cluster have the bytes of local ones; nothing of the dead worker is left."""
    address, workers = cluster
    shared = tmp_path_factory.mktemp("shared")
    make_small(project_copy)
    pack = write_pack(
        project_copy, {"run": "funnel", "matrix": {"lang": ["en", "ru"], "min_deals": list(range(20, 28))}}
    )
    assert salesops("report", pack, "--out", "local", cwd=project_copy).returncode == 0
    command = [sys.executable, "-m", "salesops", "report", str(pack), "--out", "away", "--on", f"dask:{address}"]
    command += ["--files", shared.as_uri()]
    run = subprocess.Popen(command, cwd=project_copy, stdout=-1, stderr=-1, text=True)
    folder = project_copy / "away" / "2026-10"
    wait_until(lambda: list(folder.glob("funnel*.html")) or run.poll() is not None, 60)
    workers[0].send_signal(signal.SIGKILL)
    said, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert "16 made, 0 unchanged, 0 failed" in said
    assert pages(folder) == pages(project_copy / "local" / "2026-10")
    wait_until(lambda: not alive(f"worker1-{project_copy}"), 8)
    assert sorted(path.name for path in shared.iterdir()) == ["books", "projects"]


@pytest.mark.slow
def test_a_failing_page_fails_alone_and_an_interrupted_run_leaves_nothing(salesops, cluster, project_copy):
    address, _workers = cluster
    make_small(project_copy)
    runs = [{"run": "funnel", "name": name, "set": {"pipeline": name}} for name in ("ok", "raises", "killed")]
    pack = write_pack(project_copy, *runs)
    done = salesops("report", pack, "--out", "away", "--on", f"dask:{address}", cwd=project_copy)
    assert done.returncode == 1 and "1 made, 0 unchanged, 2 failed" in done.stdout
    assert "no luck" in done.stderr and "was killed (SIGKILL)" in done.stderr
    assert len(list((project_copy / "away" / "2026-10" / "failed").iterdir())) == 2
    pack = write_pack(project_copy, {"run": "funnel", "set": {"pipeline": "hangs"}})
    command = [sys.executable, "-m", "salesops", "report", str(pack), "--out", "away", "--on", f"dask:{address}"]
    run = subprocess.Popen(command, cwd=project_copy, stdout=-1, stderr=-1, text=True)
    time.sleep(8)
    run.send_signal(signal.SIGTERM)
    _said, errors = run.communicate(timeout=30)
    assert run.returncode == 143 and "Traceback" not in errors, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "says"),
    [("dask:tcp://127.0.0.1:1", "no scheduler answers"), ("ray:x", "write dask:tcp://host:8786")],
)
def test_a_cluster_that_is_not_there_is_refused(salesops, monkeypatch, tmp_path, address, says):
    done = salesops("report", "params/funnel.yml", "--out", tmp_path, "--on", address)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
