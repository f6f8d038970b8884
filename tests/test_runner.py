"""Many pages at once: packs, what is not run again, locks, signals, and every way a page can fail, for real."""

import ast
import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml
from salesops import crm, locks
from salesops.problems import BadInput
from salesops.report import banner, jobs, run

from tests.conftest import ROOT

LINUX = sys.platform == "linux"
ENDS = {
    "ok": "pass",
    "raises": "raise ValueError('no luck <b>')",
    "exits": "os._exit(3)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "hungry": "b = bytearray(8 * 2**30); b[::4096] = b'x' * len(b[::4096])",
    "hangs": "time.sleep(600)",
    "deaf": "exec('while True:\\n try: time.sleep(600)\\n except BaseException: pass')",
    "leaves": "sys.exit(0)",
    "speechless": "input()",
    "orphans": "subprocess.Popen(['sleep', '600'], start_new_session=True); os._exit(4)",
    "once": "os.path.exists('once') or (open('once', 'w'), os.kill(os.getppid(), signal.SIGKILL), time.sleep(30))",
}


@pytest.fixture
def small(project_copy) -> Path:
    """A project whose page is quickly made, and does what its parameter `pipeline` says."""
    return make_small(project_copy)


def make_small(project: Path) -> Path:
    path = project / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    setup = cells["funnel-02"].source.replace("found = funnel.measure(book, params)\n", "").partition("show.start")[0]
    cells["funnel-02"].source = f'{setup}show.start(params, book, title="Small")'
    branches = "\n".join(f"if pipeline == {name!r}: {code}" for name, code in ENDS.items())
    cells["funnel-04"].source = f"import os, signal, subprocess, sys, time\n{branches}"
    kept = [
        "funnel-00",
        "funnel-01",
        "funnel-controls",
        "funnel-02",
        "funnel-03",
        "funnel-04",
        *(cell.id for cell in notebook.cells[-2:]),
    ]
    notebook.cells = [cells[name] for name in kept]
    nbformat.write(notebook, path)
    return project


def write_pack(project: Path, *runs: dict) -> Path:
    path = project / "params" / "pack.yml"
    path.write_text(yaml.safe_dump({"runs": list(runs)}, sort_keys=False))
    return path


def alive(mark: str) -> list[str]:
    """The processes that carry a mark in their environment, as command lines."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if mark in process.environ().values() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def wait_until(condition, seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


# --- packs ---


def test_a_matrix_makes_a_page_for_each_combination(project_copy):
    pack = write_pack(
        project_copy,
        {"run": "funnel", "matrix": {"region": ["", "EMEA", "North America"], "lang": ["en", "ru"]}},
        {"run": "funnel", "name": "by-team", "set": {"segment_by": "team", "lang": "ru"}},
        {"run": "funnel", "name": "past", "months": 2},
    )
    made = jobs.prepare([pack], overrides={"period": "2026-01"}, out=project_copy / "out")
    assert [job.name for job in made] == [
        "2026-01/funnel",
        "2026-01/funnel.ru",
        "2026-01/funnel.emea",
        "2026-01/funnel.emea.ru",
        "2026-01/funnel.north-america",
        "2026-01/funnel.north-america.ru",
        "2026-01/funnel.by-team.ru",
        "2025-12/funnel.past",
        "2026-01/funnel.past",
    ]
    assert made[3].params.region == "EMEA" and made[3].params.lang == "ru"
    assert made[3].page == project_copy / "out" / "2026-01" / "funnel.emea.ru.html"
    only = jobs.prepare([pack], overrides={"period": "2026-01"}, only="*.ru")
    assert [job.stem for job in only] == ["funnel.ru", "funnel.emea.ru", "funnel.north-america.ru", "funnel.by-team.ru"]


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ([{"run": "nothing"}], "there is no such file"),
        ([{"run": "../funnel"}], "write the name of a parameter file"),
        ([{"run": "funnel", "matrx": {}}], "runs.0.matrx"),
        ([{"run": "funnel", "set": {"regoin": "x"}}], "did you mean region?"),
        ([{"run": "funnel", "matrix": {"lang": ["en", "fr"]}}], "'fr'"),
        ([{"run": "funnel", "set": {"lang": "en"}, "matrix": {"lang": ["ru"]}}], "stands in set and in matrix"),
        ([{"run": "funnel"}, {"run": "funnel", "set": {"months": 3}}], "give one of them a name"),
        ([{"run": "funnel", "name": "../x"}], "name"),
        ([{"run": "funnel", "months": 0}], "months"),
        ([], "runs"),
    ],
)
def test_a_bad_pack_is_refused(salesops, project_copy, runs, says):
    done = salesops("report", write_pack(project_copy, *runs), "--out", project_copy / "out", cwd=project_copy)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (project_copy / "out").exists()


def test_every_problem_of_a_pack_is_named_at_once(project_copy):
    pack = write_pack(project_copy, {"run": "funnel", "set": {"lang": "fr"}}, {"run": "nothing"}, {"run": "funel.x"})
    with pytest.raises(BadInput) as refused:
        jobs.prepare([pack], overrides={})
    assert all(part in str(refused.value) for part in ("run 1", "'fr'", "run 2", "run 3"))


@pytest.mark.parametrize(
    ("zone", "moment", "month"),
    [
        ("UTC", "2027-01-01T00:30:00+00:00", "2026-12"),
        ("America/New_York", "2027-01-01T03:00:00+00:00", "2026-11"),  # there it is still the old year
        ("Pacific/Auckland", "2026-12-31T11:30:00+00:00", "2026-12"),  # there it is the new one already
        ("Asia/Kolkata", "2026-02-28T18:45:00+00:00", "2026-02"),
        ("Europe/Berlin", "2024-02-29T23:30:00+00:00", "2024-02"),
    ],
)
def test_last_month_is_right_in_any_time_zone(monkeypatch, zone, moment, month):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert jobs.last_month(dt.datetime.fromisoformat(moment)) == month
    finally:
        monkeypatch.undo()
        time.tzset()


def test_last_month_in_a_file_and_on_the_command_line(salesops, project_copy):
    path = project_copy / "params" / "funnel.yml"
    path.write_text(path.read_text().replace('"2026-10" ', "last-month"))
    expected = f"{jobs.last_month()}/funnel"
    assert salesops("report", path, "--list").stdout.strip() == expected
    assert salesops("report", "params/funnel.yml", "--period", "last-month", "--list").stdout.strip() == expected


# --- unchanged is not run again ---


@pytest.fixture(scope="module")
def kernels():
    from salesops.report import workers

    with workers.Workers() as made_by:
        yield made_by


@pytest.fixture
def report(small, kernels):
    """Make pages in this process; gives why each page was made, and asserts that all went well."""

    def make(params_file, *, out=small / "out", force=False, only="*", **overrides) -> list[str]:
        wanted = jobs.prepare([small / "params" / params_file], overrides=overrides, out=out, only=only)
        whys = []
        result = run.run(
            wanted, kernels.do, force=force, tell=lambda event, **facts: event == "page" and whys.append(facts["why"])
        )
        assert result.good, [failure.reason for failure in result.failed]
        return whys

    return make


def test_only_what_changed_is_run_again(report, small):
    """Each input in turn: nothing, a parameter, the page, the lock file, the notebook."""
    pack = write_pack(small, {"run": "funnel", "matrix": {"lang": ["en", "ru"]}}).name
    folder = small / "out" / "2026-10"
    assert report(pack) == ["not made before"] * 2
    pages = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert report(pack) == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == pages
    assert report(pack, only="*.ru", force=True) == ["asked for"]
    assert report(pack, min_deals=21) == ["parameters changed"] * 2
    assert report(pack) == ["parameters changed"] * 2
    (folder / "funnel.ru.html").write_text("something else")
    assert report(pack) == ["the page is not as it was made"]
    (folder / "funnel.html").unlink()
    assert report(pack) == ["the page is not as it was made"]
    (small / "requirements.lock").write_text("pandas==0.1")
    assert report(pack) == ["lock changed"] * 2
    path = small / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source += "\n"
    nbformat.write(notebook, path)
    assert report(pack) == ["code changed"] * 2


def test_a_dry_run_says_what_would_be_made_and_why(report, small, salesops):
    report("funnel.yml")
    arguments = ["report", small / "params" / "funnel.yml", "--out", small / "out", "--dry-run"]
    assert salesops(*arguments, cwd=small).stdout == "2026-10/funnel: as it would be made now\n"
    done = salesops(*arguments, "-p", "horizon_days", "91", cwd=small)
    assert done.stdout == "2026-10/funnel: would be made: parameters changed\n"


@pytest.mark.slow
def test_data_that_came_later_change_nothing_and_earlier_ones_do(report, small):
    """The page of August is not made again because September came; it is when August is written again."""
    rows = ["id,stage,created,amount"] + [f"{n},Lead,2026-0{n % 9 + 1}-05,{n}.00" for n in range(90)]
    rows += [f"{n},Won,2026-0{n % 9 + 1}-07,{n}.00" for n in range(90, 120)]
    data = small / "data" / "acme"
    data.mkdir(parents=True)
    mapping = {
        "title": "Acme",
        "currency": "USD",
        "stages": [{"stage": "Lead", "kind": "open"}, {"stage": "Won", "kind": "won"}],
        "tables": {
            "deals": {
                "file": "deals.csv",
                "columns": {"deal_id": "id", "stage": "stage", "created_at": "created", "amount": "amount"},
            }
        },
    }
    (small / "params" / "crm" / "acme.yml").write_text(yaml.safe_dump(mapping))

    def of(rows: list[str]) -> list[str]:
        (data / "deals.csv").write_text("\n".join(rows) + "\n")
        return report("funnel.yml", source="acme:data/acme", period="2026-08")

    assert of(rows) == ["not made before"]
    page = (small / "out" / "2026-08" / "funnel.html").read_bytes()
    assert of([*rows, "900,Lead,2026-09-28,5.00"]) == []
    assert of([*rows, "900,Lead,2026-08-28,5.00"]) == ["data changed"]
    assert (small / "out" / "2026-08" / "funnel.html").read_bytes() != page


# --- every failure ---


@pytest.fixture(scope="module")
def broken(salesops, tmp_path_factory):
    """A pack in which nearly every page fails in its own way; after a run in which all went well."""
    project = tmp_path_factory.mktemp("broken")
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, project / name)
    make_small(project)
    names = [name for name in ENDS if name != "once"]
    good = [{"run": "funnel", "name": name, "set": {"pipeline": "ok"}} for name in names]
    done = salesops("report", write_pack(project, *good), "--out", "out", cwd=project)
    assert done.returncode == 0, done.stderr
    folder = project / "out" / "2026-10"
    before = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    bad = [{"run": "funnel", "name": name, "set": {"pipeline": name}} for name in names]
    bad += [{"run": "funnel", "name": "lost", "set": {"source": "nowhere:at-all"}}]
    mark = uuid.uuid4().hex
    limits = ["--cell-timeout", "3", "--memory", "4000", "--jobs", "3"]
    arguments = ["report", write_pack(project, *bad), "--out", "out", *limits]
    done = salesops(*arguments, cwd=project, env={**os.environ, "MARK": mark})
    return done, folder, before, mark


def test_one_reason_of_many_pages_is_said_once(salesops, project_copy):
    runs = [{"run": name, "set": {"source": "nowhere:at-all"}} for name in ("funnel", "leads", "growth")]
    done = salesops("report", write_pack(project_copy, *runs), "--out", "out", cwd=project_copy)
    assert done.returncode == 1 and done.stderr.count("allowed: sample") == 1, done.stderr
    assert "2026-10/leads: failed: as 2026-10/funnel" in done.stderr
    assert (
        "failed: 2026-10/funnel, 2026-10/leads, 2026-10/growth: source 'nowhere:at-all' cannot be read\n" in done.stderr
    )


@pytest.mark.skipif(not LINUX, reason="processes are forked on Linux only")
@pytest.mark.parametrize(
    ("name", "ending", "says"),
    [
        ("raises", "cell_error", "ValueError: no luck <b>"),
        ("exits", "kernel_died", "ended by itself with exit code 3"),
        ("killed", "kernel_died", "was killed (SIGKILL), as the system does when memory runs out"),
        ("hungry", "cell_error", "MemoryError"),
        ("hangs", "timeout", "the cell took longer than 3 seconds"),
        ("deaf", "timeout", "the cell took longer than 3 seconds"),
        ("leaves", "stopped_early", "of 6 cells were not run"),
        ("speechless", "cell_error", "StdinNotImplementedError"),
        ("orphans", "kernel_died", "ended by itself with exit code 4"),
    ],
)
def test_a_failing_page_keeps_the_earlier_one_and_its_notebook(broken, name, ending, says):
    done, folder, before, _mark = broken
    failure = json.loads((folder / "manifest.json").read_text("utf-8"))["not_made"][f"funnel.{name}"]
    assert failure["ending"] == ending and says in failure["reason"], failure
    page = (folder / f"funnel.{name}.html").read_text("utf-8")
    assert banner.without(page) == before[f"funnel.{name}.html"] and page.count("Not renewed on") == 1
    assert f"2026-10/funnel.{name}: failed: " in done.stderr
    kept = nbformat.read(folder / failure["notebook"], as_version=4)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    errors = [cell for cell in code if any(output.output_type == "error" for output in cell.outputs)]
    if ending == "stopped_early":
        assert [cell.execution_count for cell in code][-1] is None
    else:
        assert [cell.id for cell in errors] == ["funnel-04"]
        assert code[-1].metadata.papermill.status == "pending" and code[-1].execution_count is None


def test_the_others_are_made_and_the_run_says_so(broken):
    done, folder, before, mark = broken
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    assert f"0 made, 1 unchanged, {len(ENDS) - 1} failed" in done.stdout
    assert done.stdout.splitlines()[-1] == str(folder / "index.html")
    assert (folder / "funnel.ok.html").read_text("utf-8") == before["funnel.ok.html"]
    text = (folder / "index.html").read_text("utf-8")
    assert text.count("Not renewed on") == len(ENDS) - 2 and text.count("Not made on") == 1  # one was never there
    assert "funnel.lost" in text and "no luck &lt;b&gt;" in text
    assert not list(folder.glob(".salesops-*")) and not (folder / locks.NAME).exists()
    assert wait_until(lambda: not alive(mark), 5)


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="processes are forked on Linux only")
def test_when_the_parent_of_the_kernels_dies_a_new_one_takes_over(salesops, small):
    pack = write_pack(small, {"run": "funnel", "name": "a", "set": {"pipeline": "once"}}, {"run": "funnel"})
    done = salesops("report", pack, "-p", "min_deals", "20", "--out", "out", "--jobs", 2, cwd=small)
    assert done.returncode == 0, done.stderr
    assert (small / "once").exists() and "2 made" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["--jobs=1", "--cold"])
def test_a_page_that_takes_too_long_in_all_is_ended(salesops, small, mode):
    """Also by force, where it does not end itself: a process that is stuck before it begins."""
    done = salesops(
        "report", "params/funnel.yml", "-p", "pipeline", "deaf", "--timeout", 4, mode, "--out", "o", cwd=small
    )
    assert done.returncode == 1 and "the page took longer than 4 seconds" in done.stderr
    assert (
        json.loads((small / "o" / "2026-10" / "manifest.json").read_text())["not_made"]["funnel"]["ending"] == "timeout"
    )


@pytest.mark.slow
def test_a_process_that_is_stuck_is_ended_by_force(small, monkeypatch, tmp_path):
    from salesops.report import workers

    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(workers, "GRACE", 1)
    (job,) = jobs.prepare([small / "params" / "funnel.yml"], overrides={}, out=small / "out")
    with workers.Workers(cold=True) as made_by:
        result = run.run([job], made_by.do, limits=run.Limits(1, 1))
    assert "took longer than 1 seconds and was ended" in result.failed[0].reason


@pytest.mark.slow
def test_a_missing_table_fails_its_page_alone(salesops, small):
    assert salesops("sample", small / "book", "--deals", 2000).returncode == 0
    (small / "book" / "visits.parquet").unlink()
    path = small / "notebooks" / "funnel.ipynb"
    shutil.copy(ROOT / "notebooks" / "funnel.ipynb", path)
    pack = write_pack(small, {"run": "funnel"}, {"run": "funnel", "name": "torn", "set": {"source": "book"}})
    done = salesops("report", pack, "--out", "out", cwd=small)
    assert done.returncode == 1 and "1 made, 0 unchanged, 1 failed" in done.stdout
    assert "visits.parquet" in done.stderr and "Traceback" not in done.stderr


def test_a_source_that_changes_while_it_is_read_is_never_taken_for_another(small, monkeypatch):
    """Nor is a book that was handed over and is gone made from something else."""
    from salesops.crm import making, source

    data = small / "data" / "acme"
    data.mkdir(parents=True)
    (data / "deals.csv").write_text("id,stage,created\n1,Lead,2026-01-05\n")
    columns = {"deal_id": "id", "stage": "stage", "created_at": "created"}
    mapping = {
        "title": "Acme",
        "currency": "USD",
        "stages": [{"stage": "Lead", "kind": "open"}],
        "tables": {"deals": {"file": "deals.csv", "columns": columns}},
    }
    (small / "params" / "crm" / "acme.yml").write_text(yaml.safe_dump(mapping))
    monkeypatch.chdir(small)
    make = making.make

    def slowly(target, located):
        make(target, located)
        with (data / "deals.csv").open("a") as file:
            file.write("2,Lead,2026-01-06\n")

    monkeypatch.setattr(making, "make", slowly)
    with pytest.raises(BadInput, match="changed while they were read"):
        crm.open("acme:data/acme")
    monkeypatch.setattr(making, "make", make)
    assert crm.open("acme:data/acme").n_known["deals"] == 2
    monkeypatch.setenv(source.BOOKS, json.dumps({"acme:data/acme": [str(small / "nothing"), "acme-1"]}))
    with pytest.raises(BadInput, match="its prepared book is gone"):
        crm.open("acme:data/acme")


@pytest.mark.slow
def test_parents_that_do_not_answer_do_not_hang_the_run(small, monkeypatch, tmp_path):
    from salesops.report import workers

    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\nif 'salesops.report.warm' in sys.orig_argv: time.sleep(600)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(workers, "START_SECONDS", 1)
    monkeypatch.setattr(workers, "SECONDS_TO_END", 1)
    (job,) = jobs.prepare([small / "params" / "funnel.yml"], overrides={}, out=small / "out")
    with workers.Workers() as made_by:
        result = run.run([job], made_by.do)
    assert "the parent of the kernels did not start" in result.failed[0].reason


def test_what_a_parent_said_when_it_could_not_start_is_passed_on(small, monkeypatch, tmp_path):
    from salesops.report import workers

    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'salesops.report.warm' in sys.orig_argv: os.write(1, b'a library is torn\\n'); os._exit(1)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (job,) = jobs.prepare([small / "params" / "funnel.yml"], overrides={}, out=small / "out")
    with workers.Workers() as made_by:
        result = run.run([job], made_by.do)
    assert "(a library is torn)" in result.failed[0].reason


@pytest.mark.slow
def test_one_odd_file_does_not_stop_the_others(report, small):
    """A page that is not UTF-8, a hash that is not whole, a manifest of another shape, a carriage return."""
    pack = write_pack(small, {"run": "funnel", "matrix": {"lang": ["en", "ru"]}}).name
    path = small / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "funnel-04").source += "\nprint('50 %\\r100 %')"
    nbformat.write(notebook, path)
    report(pack)
    assert report(pack) == [], "the page has a carriage return, and is as it was made"
    folder = small / "out" / "2026-10"
    for kept in Path(os.environ["SALESOPS_CACHE"], "digests").glob("sample-*-2026-10-31"):
        kept.write_text("")
    (folder / "funnel.html").write_bytes(b"\xff\xfe not text")
    content = json.loads((folder / "manifest.json").read_text())
    del content["pages"]["funnel.ru"]["seconds"]
    content["not_made"] = {"gone": {"on": "yesterday", "reason": "x"}, "other": 5}
    (folder / "manifest.json").write_text(json.dumps(content))
    assert report(pack) == ["not made before", "the page is not as it was made"]
    assert json.loads((folder / "manifest.json").read_text())["not_made"] == {}


@pytest.mark.slow
def test_a_failure_marks_any_earlier_page_and_a_good_page_loses_its_mark(salesops, small):
    """Also where the manifest was lost, or a run was killed between page and manifest."""
    arguments = ["report", "params/funnel.yml", "--out", "out"]
    assert salesops(*arguments, cwd=small).returncode == 0
    folder = small / "out" / "2026-10"
    page, manifest = (folder / "funnel.html").read_bytes(), (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    assert salesops(*arguments, "-p", "pipeline", "raises", cwd=small).returncode == 1
    assert b"Not renewed on" in (folder / "funnel.html").read_bytes()
    (folder / "manifest.json").write_bytes(manifest)
    done = salesops(*arguments, cwd=small)
    assert "as it would be made now" in done.stdout and (folder / "funnel.html").read_bytes() == page


def test_names_too_long_for_a_file_and_empty_lists_are_refused(salesops, small):
    long = write_pack(small, {"run": "funnel", "matrix": {"region": ["x" * 300]}})
    done = salesops("report", long, cwd=small)
    assert done.returncode == 2 and "name is too long" in done.stderr
    done = salesops("report", write_pack(small, {"run": "funnel", "matrix": {"region": []}}), cwd=small)
    assert done.returncode == 2 and "at least 1 item" in done.stderr
    for arguments in (("--only", ""), ("--timeout", "inf")):
        assert salesops("report", "params/funnel.yml", *arguments, cwd=small).returncode == 2
    assert not list((small / "reports").glob("*")) if (small / "reports").exists() else True


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.slow
@pytest.mark.parametrize("where", ["| head -1", "> /dev/full", ">&-"])
def test_pages_are_made_whoever_reads_what_is_said(small, where):
    pack = write_pack(small, {"run": "funnel", "matrix": {"min_deals": [10, 11, 12]}})
    script = f"{sys.executable} -m salesops report {pack} --out out {where}"
    done = subprocess.run(["sh", "-c", script], cwd=small, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert len(json.loads((small / "out" / "2026-10" / "manifest.json").read_text())["pages"]) == 3


MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture(scope="module")
def can_mount():
    if not LINUX or subprocess.run([*MOUNT, "mount -t tmpfs none /mnt"], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(small, can_mount):
    """A disk of 120 kB: some pages find room, the others fail; every file there is whole."""
    pack = write_pack(small, {"run": "funnel", "matrix": {"min_deals": list(range(10, 22))}})
    check = (
        "import json, pathlib; pages = list(pathlib.Path('out/2026-10').glob('*.html'));"
        "assert all(p.read_text().rstrip().endswith('</html>') for p in pages);"
        "assert not list(pathlib.Path('out').rglob('.draft*')); print(len(pages))"
    )
    script = (
        "mkdir out; mount -t tmpfs -o size=120k none out; rc=0;"
        f' {sys.executable} -m salesops report {pack} --out out || rc=$?; {sys.executable} -c "{check}"; exit $rc'
    )
    done = subprocess.run([*MOUNT, script], cwd=small, capture_output=True, text=True)
    assert done.returncode == 1 and "No space left on device" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and 0 < int(done.stdout.split()[-1]) < 12


def test_a_target_that_is_read_only_is_one_clear_line(small, can_mount):
    script = (
        "mkdir -p out/2026-10; mount -t tmpfs none out; mkdir out/2026-10; echo old > out/2026-10/funnel.html;"
        f"mount -o remount,ro out; {sys.executable} -m salesops report params/funnel.yml --out out || rc=$?;"
        "cat out/2026-10/funnel.html; exit $rc"
    )
    done = subprocess.run([*MOUNT, script], cwd=small, capture_output=True, text=True)
    assert done.returncode == 1 and "Read-only file system" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "old"


# --- two runs, and runs that are ended ---


@pytest.fixture
def slow_run(small):
    """Start a run of pages that sleep, with a child of their own; gives (process, mark) once they all run."""
    started = []

    def start(*arguments, names=("hangs", "children"), pages=("ok",)):
        notebook_path = small / "notebooks" / "funnel.ipynb"
        notebook = nbformat.read(notebook_path, as_version=4)
        child = "subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
        acting = next(cell for cell in notebook.cells if cell.id == "funnel-04")
        acting.source += f"\nif pipeline == 'children': {child}"
        nbformat.write(notebook, notebook_path)
        runs = [{"run": "funnel", "name": name, "set": {"pipeline": name}} for name in (*pages, *names)]
        mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "salesops", "report", write_pack(small, *runs), "--out", "out", *arguments]
        process = subprocess.Popen(
            list(map(str, command)), cwd=small, env={**os.environ, "MARK": mark}, stdout=-1, stderr=-1, text=True
        )
        started.append(process)
        wait_until(lambda: process.poll() is not None or any("sleep 600" in line for line in alive(mark)), 60)
        return process, mark

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["--jobs=3", "--cold"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_outlives_a_run_that_is_ended(slow_run, small, salesops, number, code, mode):
    process, mark = slow_run(mode, "--jobs=3")
    page = small / "out" / "2026-10" / "funnel.ok.html"
    wait_until((small / "out" / "2026-10" / "manifest.json").exists)  # written just after the first page
    process.send_signal(number)
    time.sleep(0.05)  # two that come in one moment have no order
    process.send_signal(signal.SIGTERM)  # as supervisors do; what came first counts
    _out, said = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in said, said
    wait_until(lambda: not alive(mark), 8)
    folder = small / "out" / "2026-10"
    assert [path.name for path in folder.glob("*.html") if path.name != "index.html"] == ["funnel.ok.html"]
    assert page.read_text("utf-8").rstrip().endswith("</html>") and json.loads((folder / "manifest.json").read_text())
    good = [{"run": "funnel", "name": name, "set": {"pipeline": "ok"}} for name in ("hangs", "children")]
    pack = write_pack(small, {"run": "funnel", "name": "ok", "set": {"pipeline": "ok"}}, *good)
    done = salesops("report", pack, "--out", "out", cwd=small)
    assert done.returncode == 0 and "2 made, 1 unchanged, 0 failed" in done.stdout, done.stderr
    assert not list(folder.glob(".*"))


def test_a_signal_is_raised_where_a_run_waits_and_nowhere_else():
    """The executor's own lock is held when the signal comes: raised there, it would never be released."""
    script = """
import os, signal, time
from concurrent.futures import Future, ThreadPoolExecutor
from salesops import interrupts
from salesops.report import run

class Held(ThreadPoolExecutor):
    def submit(self, *task):
        os.kill(os.getpid(), signal.SIGTERM)
        submitted = super().submit(*task)
        print("submitted", flush=True)
        return submitted

interrupts.listen()
with Held(1) as executor:
    list(run._outcomes(executor, lambda task: time.sleep(0.2), [((None, "a"), {})], 1, run.silent))
print("not ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (143, ["submitted"]), done.stderr
    outside = script.replace("run._outcomes", "map").replace(
        "interrupts.listen()", "interrupts.listen()\nHeld(1).submit(print)"
    )
    done = subprocess.run([sys.executable, "-c", outside], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (143, ""), "with nobody to tell, it is raised at once"


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused_and_says_who_is_there(slow_run, small, salesops):
    process, _mark = slow_run(names=("children",))
    done = salesops("report", "params/funnel.yml", "--out", "out", cwd=small)
    assert done.returncode == 3 and f"process {process.pid}" in done.stderr and "nothing was run" in done.stderr
    pack = small / "params" / "two.yml"
    pack.write_text(yaml.safe_dump({"runs": [{"run": "funnel", "months": 2}]}))
    assert salesops("report", pack, "--out", "out", "--period", "2026-10", cwd=small).returncode == 3
    assert not list((small / "out" / "2026-09").iterdir()), "a run that is refused writes nothing"
    assert salesops("report", "params/funnel.yml", "--out", "out", "--period", "2026-09", cwd=small).returncode == 0
    process.kill()
    process.communicate()
    assert (small / "out" / "2026-10" / locks.NAME).exists()  # stale: its owner is dead
    assert salesops("report", "params/funnel.yml", "--out", "out", cwd=small).returncode == 0


def test_of_many_who_want_a_lock_at_once_one_has_it(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from salesops import locks\n"
        "with locks.hold(Path(sys.argv[1])):\n"
        "    mine = Path(sys.argv[1]) / 'in'; mine.mkdir(); time.sleep(0.2); mine.rmdir(); print('held')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(8)]
    said = [process.communicate()[:2] for process in running]
    assert any("held" in out for out, _ in said)
    assert all("held" in out or "is being written by another run (process" in err for out, err in said), said


def test_who_has_only_just_taken_a_lock_is_named_too(tmp_path):
    with (tmp_path / locks.NAME).open("a+", encoding="utf-8") as taken:
        assert locks._take(taken)
        owner = json.dumps({"process": 7, "host": "here", "since": "now", "command": "salesops"})
        late = threading.Timer(0.2, lambda: (taken.write(owner), taken.flush()))
        late.start()
        with pytest.raises(locks.Locked, match=r"another run \(process 7 on here"), locks.hold(tmp_path):
            pass
        late.join()


# --- the same page whatever way it is made ---


@pytest.mark.slow
def test_warm_cold_and_parallel_pages_have_the_same_bytes(salesops, project_copy):
    pack = write_pack(project_copy, {"run": "funnel", "matrix": {"region": ["EMEA", "APAC"], "lang": ["en", "ru"]}})
    for out, *mode in (("a", "--jobs=1"), ("b", "--jobs=4"), ("c", "--cold", "--jobs=2")):
        done = salesops("report", pack, "--out", out, *mode, cwd=project_copy)
        assert done.returncode == 0, done.stderr
    first = {path.name: path.read_bytes() for path in (project_copy / "a" / "2026-10").glob("*.html")}
    assert len(first) == 6  # four pages, and a front page in each language
    for out in ("b", "c"):
        assert {p.name: p.read_bytes() for p in (project_copy / out / "2026-10").glob("*.html")} == first


PARITY = [
    "import os, random, sys\nimport numpy as np\nprint(sys.argv[0].endswith('ipykernel_launcher.py'), __name__)",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    "import pandas as pd\npd.DataFrame({'a': [1]})",
    "await __import__('asyncio').sleep(0, 'awaited')",
    "from concurrent.futures import ProcessPoolExecutor\nwith ProcessPoolExecutor(1) as p: print(*p.map(abs, [-1]))",
    "import duckdb\nduckdb.sql('select sum(range) from range(1000000)').fetchall()",
    "print([name for name in globals() if not name.startswith('_')])",
    "sorted(signal for signal in map(str, [__import__('signal').getsignal(2)]))",
    "print(os.getcwd() == os.environ['WHERE'], hash('a'), sys.flags.hash_randomization)",
    "%timeit -n1 -r1 -q pass\nget_ipython().__class__.__name__",
    "1 / 0",
]


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="processes are forked on Linux only")
def test_a_forked_kernel_is_like_an_ordinary_one(tmp_path, monkeypatch):
    """The same outputs of the same cells, figures among them; random numbers that differ from fork to fork."""
    from salesops.report import workers

    monkeypatch.setenv("WHERE", str(tmp_path))
    start = [nbformat.v4.new_code_cell(source) for source in PARITY[:-1]]
    draws = nbformat.v4.new_code_cell("random.random(), float(np.random.random())")
    notebook = nbformat.v4.new_notebook(cells=[*start, draws, nbformat.v4.new_code_cell(PARITY[-1])])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    task = {
        "do": "page", "root": str(tmp_path), "notebook": nbformat.writes(notebook), "parameters": {}, "env": {},
        "cell_seconds": 60, "page_seconds": 120, "memory": None,
    }  # fmt: skip
    seen = []
    with workers.Workers() as warm, workers.Workers(cold=True) as cold:
        for made_by in (warm, warm, cold):  # two forks of one parent, and an ordinary kernel
            outcome = made_by.do(task)
            assert "ZeroDivisionError" in outcome["reason"]
            cells = nbformat.reads(outcome["notebook"], 4).cells
            seen.append([cell.outputs for cell in cells if cell.cell_type == "code"])
    for name, one, other in zip([*PARITY[:-1], "random"], seen[0], seen[2], strict=False):
        if name != "random":
            assert [_comparable(o) for o in one] == [_comparable(o) for o in other], name
    assert any("image/png" in output.get("data", {}) for output in seen[0][1])
    drawn = [ast.literal_eval(outputs[len(PARITY) - 1][0].data["text/plain"]) for outputs in seen[:2]]
    assert drawn[0][0] != drawn[1][0] and drawn[0][1] != drawn[1][1]


def _comparable(output) -> dict:
    return {name: value for name, value in output.items() if name != "metadata"}


# --- the warm parents ---


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="processes are forked on Linux only")
def test_parents_have_one_thread_and_are_replaced_when_the_library_changes_or_after_many_forks(small, monkeypatch):
    from salesops.report import workers

    def parents() -> dict[int, str]:
        children = psutil.Process().children()
        found = {p.pid: p.cmdline() for p in children if p.status() != psutil.STATUS_ZOMBIE}
        return {pid: line[-2] for pid, line in found.items() if "salesops.report.warm" in line}

    def page() -> dict[int, str]:
        (job,) = jobs.prepare([small / "params" / "funnel.yml"], overrides={}, out=small / "out")
        assert run.run([job], made_by.do, force=True).good
        return parents()

    state = ["as it was"]
    monkeypatch.setattr(workers, "_library_state", lambda: tuple(state))
    monkeypatch.setattr(workers, "FORKS", 2)
    crm.open("sample", as_of="2026-10-31").digest()
    before = set(parents())
    with workers.Workers() as made_by:
        first = {pid: kind for pid, kind in page().items() if pid not in before}
        assert sorted(first.values()) == ["kernels", "pages"]
        assert all(psutil.Process(pid).num_threads() == 1 for pid in first)
        assert set(page()) >= set(first), "the same parents serve again"
        second = set(page()) - before
        assert len(second) == 2 and not second & set(first), "after so many forks there are new ones"
        state[0] = "changed"
        third = set(page()) - before
        assert len(third) == 2 and not third & second, "the library has changed"
    assert set(parents()) == before


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="processes are forked on Linux only")
def test_notebooks_import_next_to_nothing_that_was_not_imported_before(root):
    """It says what a notebook still imports, so that the list of what is preloaded can be kept."""
    code = """
import importlib, json, sys, nbformat
from salesops.report import show, warm
for name in warm.modules("kernels"): importlib.import_module(name)
warm._rehearse_translations(); warm._rehearse_analysis()
show.display = lambda *shown, **options: None
before, names = set(sys.modules), {}
for cell in nbformat.read("notebooks/funnel.ipynb", as_version=4).cells:
    if cell.cell_type == "code": exec(cell.source, names)
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    crm.open("sample", as_of="2026-10-31").digest()
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    late = json.loads(done.stdout.splitlines()[-1])
    assert len(late) <= 5, f"imported by the notebook itself: {late}"


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="processes are forked on Linux only")
def test_two_hundred_pages_leak_nothing(small, monkeypatch):
    """Of this process: no memory beyond 20 %, no descriptor, no thread; of the machine: no process, file or port."""
    import tempfile
    import threading

    from salesops.report import workers

    mark = uuid.uuid4().hex
    temporary = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    monkeypatch.setenv("MARK", mark)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = small / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = notebook.cells[:-1]
    nbformat.write(notebook, path)
    pack = write_pack(small, {"run": "funnel", "matrix": {"min_deals": list(range(5, 205))}})
    wanted = jobs.prepare([pack], overrides={"pipeline": "ok"}, out=small / "out")
    me, seen, n_threads = psutil.Process(), [], threading.active_count()
    connections = me.net_connections("inet")

    def look(event, **facts):
        if event == "made":
            seen.append((me.memory_info().rss, me.num_fds()))

    with workers.Workers() as made_by:
        result = run.run(wanted, made_by.do, at_once=2, tell=look)
        inside = me.num_fds()
    assert len(result.made) == 200 and result.good
    memory, descriptors = zip(*seen, strict=True)
    assert max(memory[50:]) <= 1.2 * memory[20], (memory[20], max(memory))
    assert max(descriptors) - min(descriptors[20:]) <= 12 and inside <= max(descriptors)
    assert me.net_connections("inet") == connections
    assert threading.active_count() == n_threads and not list(temporary.iterdir()) and not alive(mark)
    temporary.rmdir()
