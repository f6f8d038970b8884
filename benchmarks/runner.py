"""How fast the month's pages are made: the ordinary way against ours, interleaved on the same machine.

    python benchmarks/runner.py     # writes its part of benchmarks/README.md; a quarter of an hour on 2 cores

Ordinary is what everybody does: for each page the papermill command, then the nbconvert command, one after the other.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
import psutil
import readme
import yaml
from salesops.report import jobs

ROOT = Path(__file__).resolve().parents[1]
PACK = ROOT / "params" / "monthly.yml"


class Cost(NamedTuple):
    wall: float
    cpu: float  # of all processes, in seconds


def measured(work: Callable[[], None]) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def command(*arguments: object, cwd: Path = ROOT) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-m", *map(str, arguments)], check=True, capture_output=True, cwd=cwd, env=env)


def ordinary(folder: Path) -> None:
    """Eight times papermill, then nbconvert."""
    for job in jobs.prepare([PACK], overrides={}):
        values, executed = folder / f"{job.stem}.yml", folder / f"{job.stem}.ipynb"
        values.write_text(yaml.safe_dump(job.params.model_dump(mode="json")))
        command("papermill", ROOT / "notebooks" / f"{job.analysis}.ipynb", executed, "-f", values, "--no-progress-bar")
        command("nbconvert", "--to", "html", executed)


def ours(folder: Path, *options: object) -> None:
    command("salesops", "report", PACK, "--out", folder, "--force", *options)


def small_project(folder: Path, n_pages: int) -> Path:
    """A project of small pages: a notebook that opens the book and shows its parameters."""
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, folder / name)
    path = folder / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    setup = cells["funnel-02"].source.replace("found = funnel.measure(book, params)\n", "").partition("show.start")[0]
    cells["funnel-02"].source = f'{setup}show.start(params, book, title="Small")'
    notebook.cells = [cells[f"funnel-{n}"] for n in ("00", "01", "controls", "02", "03", "17", "18")]
    nbformat.write(notebook, path)
    pack = folder / "params" / "small.yml"
    pack.write_text(yaml.safe_dump({"runs": [{"run": "funnel", "matrix": {"min_deals": list(range(5, 5 + n_pages))}}]}))
    return pack


def small(n_pages: int, *options: object) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        pack = small_project(project, n_pages)
        return measured(lambda: command("salesops", "report", pack, "--out", project / "out", *options, cwd=project))


def peak_memory(work: Callable[[], None]) -> float:
    """The most memory of all processes of some work, in MB; shared pages count once (PSS)."""
    peak, over = 0.0, threading.Event()

    def watch():
        nonlocal peak
        while not over.wait(0.05):
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak = max(peak, total / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return peak


def medians(rounds: list[dict[str, Cost]]) -> dict[str, Cost]:
    return {
        name: Cost(*(statistics.median(getattr(one[name], kind) for one in rounds) for kind in Cost._fields))
        for name in rounds[0]
    }


def ratios(rounds: list[dict[str, Cost]], name: str, kind: str) -> tuple[float, float, float]:
    """Ordinary over ours in each round: the median, the least, the most."""
    found = [getattr(one["ordinary"], kind) / getattr(one[name], kind) for one in rounds]
    return statistics.median(found), min(found), max(found)


def run(n_rounds: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        n_pages = len(jobs.prepare([PACK], overrides={}))
        ways = {
            "ordinary": lambda: ordinary(out),
            "--jobs 1": lambda: ours(out, "--jobs", 1),
            "--jobs 2": lambda: ours(out, "--jobs", 2),
        }
        ours(out)  # the book is prepared and the files are in memory for every way
        rounds = [{name: measured(work) for name, work in ways.items()} for _ in range(n_rounds)]
        unchanged = [measured(lambda: command("salesops", "report", PACK, "--out", out)) for _ in range(n_rounds)]
        memory = {name: peak_memory(work) for name, work in ways.items()}
    sizes = {n: small(n, "--jobs", 2) for n in (10, 30, 50)}
    lines = [
        f"{n_pages} pages of `params/monthly.yml`, medians of {n_rounds} interleaved rounds; ratio: the round's"
        " ordinary way over ours, median (least to most).",
        "",
        "| way | wall s | CPU s | wall, times faster | CPU, times less | peak memory MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, cost in medians(rounds).items():
        shown = [f"{cost.wall:.1f}", f"{cost.cpu:.1f}"]
        for kind in Cost._fields:
            middle, least, most = ratios(rounds, name, kind)
            shown.append("1" if name == "ordinary" else f"**{middle:.1f}** ({least:.1f} to {most:.1f})")
        shown.append(f"{memory[name]:.0f}")
        lines.append(f"| {name} | {' | '.join(shown)} |")
    per_page = {n: (cost.wall - sizes[10].wall) / (n - 10) for n, cost in sizes.items() if n > 10}
    lines += [
        "",
        f"The unchanged pack, start-up included: {statistics.median(c.wall for c in unchanged):.2f} s.",
        "",
        "Small pages (a notebook that opens the book), `--jobs 2`: "
        + ", ".join(f"{n} in {cost.wall:.1f} s ({cost.cpu:.1f} s CPU)" for n, cost in sizes.items())
        + "; each further page "
        + ", ".join(f"{seconds:.2f} s (of {n})" for n, seconds in per_page.items())
        + ".",
        "",
        f"Machine: {os.cpu_count()} cores shared with others, {platform.system()}, Python {platform.python_version()}.",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    lines = run(parser.parse_args().rounds)
    readme.write("runner", lines)


if __name__ == "__main__":
    main()
