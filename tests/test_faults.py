"""No input ends in a traceback: each command is given what is wrong in every way, and ends with a documented code."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import duckdb
import pytest
from click.testing import CliRunner
from salesops import faults
from salesops.cli import main
from salesops.problems import BadInput
from salesops.report.workers import Workers

from tests.conftest import ROOT

DOCUMENTED = (0, 1, 2, 3, 70, 130, 141, 143)
EXPORT = "tests/exports/hubspot"
SAMPLE = "sample:deals=2000"

# How a command is given a wrong value: W is an empty folder of the test's own.
GIVEN = {
    "report params": lambda bad, w: ["report", bad, "--out", f"{w}/out"],
    "report source": lambda bad, w: ["report", "params/funnel.yml", "-p", "source", bad, "--dry-run"],
    "report out": lambda bad, w: ["report", "params/funnel.yml", "--dry-run", "--out", bad],
    "report period": lambda bad, w: ["report", "params/funnel.yml", "--dry-run", "--period", bad],
    "report only": lambda bad, w: ["report", "params/monthly.yml", "--list", "--only", bad],
    "report plan": lambda bad, w: ["report", "params/comp.yml", "-p", "plan", bad, "--dry-run"],
    "report jobs": lambda bad, w: ["report", "params/funnel.yml", "--dry-run", "--jobs", bad],
    "verify": lambda bad, w: ["verify", bad],
    "import files": lambda bad, w: ["import", "hubspot", bad, "--to", f"{w}/b", "--currency", "USD"],
    "import system": lambda bad, w: ["import", bad, EXPORT, "--to", f"{w}/b"],
    "import to": lambda bad, w: ["import", "hubspot", f"{w}/none.csv", "--to", bad, "--currency", "USD"],
    "import rates": lambda bad, w: ["import", "hubspot", f"{w}/none.csv", "--to", f"{w}/b", "--rates", bad],
    "import data base": lambda bad, w: ["import", "hubspot", f"${bad}", "--to", f"{w}/b", "--currency", "USD"],
    "fetch to": lambda bad, w: ["fetch", "hubspot", "--to", bad],
    "fetch system": lambda bad, w: ["fetch", bad, "--to", f"{w}/live"],
    "snapshot files": lambda bad, w: ["snapshot", "hubspot", bad, "--to", f"{w}/b", "--currency", "USD"],
    "snapshot to": lambda bad, w: ["snapshot", "hubspot", f"{w}/none.csv", "--to", bad, "--currency", "USD"],
    "check": lambda bad, w: ["check", bad],
    "check mapping": lambda bad, w: ["check", f"hubspot:{bad}", "--json"],
    "fixes params": lambda bad, w: ["fixes", bad, "--to", f"{w}/o"],
    "fixes source": lambda bad, w: ["fixes", "params/hygiene.yml", "-p", "source", bad, "--to", f"{w}/o"],
    "fixes to": lambda bad, w: ["fixes", "params/hygiene.yml", "-p", "source", "none", "--to", bad],
    "files params": lambda bad, w: ["files", bad, "--to", f"{w}/o"],
    "files source": lambda bad, w: ["files", "params/ramp.yml", "-p", "source", bad, "--to", f"{w}/o"],
    "statements params": lambda bad, w: ["statements", bad, "--to", f"{w}/o"],
    "recompute params": lambda bad, w: ["recompute", bad, "xactly", str(w), "--to", f"{w}/o"],
    "recompute system": lambda bad, w: ["recompute", "params/comp.yml", bad, str(w), "--to", f"{w}/o"],
    "recompute export": lambda bad, w: ["recompute", "params/comp.yml", "xactly", bad, "--to", f"{w}/o"],
    "check-statements": lambda bad, w: ["check-statements", bad],
    "check-statements key": lambda bad, w: ["check-statements", "tests/fixtures/formats/statements", "--key", bad],
    "signing-key": lambda bad, w: ["signing-key", bad],
    "events source": lambda bad, w: ["events", bad, "--to", f"{w}/e.csv"],
    "events to": lambda bad, w: ["events", SAMPLE, "--to", bad],
    "events in": lambda bad, w: ["events", SAMPLE, "--to", f"{bad}/e.xes.gz"],
    "events as of": lambda bad, w: ["events", SAMPLE, "--to", f"{w}/e.csv", "--as-of", bad],
    "write-back system": lambda bad, w: ["write-back", bad, f"{w}/none.xlsx", "--to", f"{w}/o"],
    "write-back files": lambda bad, w: ["write-back", "hubspot", bad, "--to", f"{w}/o"],
    "sample to": lambda bad, w: ["sample", bad, "--deals", "2000"],
    "sample deals": lambda bad, w: ["sample", f"{w}/s", "--deals", bad],
    "new": lambda bad, w: ["new", bad],
}


def wrong_things(w: Path) -> dict[str, str]:
    """Everything that a name can lead to and should not, by what is wrong with it."""
    for name, content in (("file", b"x"), ("empty", b""), ("g.csv", b"\x00\xff\xfe,\x80\n" * 300),
                          ("g.yml", b"\xff\x00:[" * 300), ("g.xlsx", b"PK\x03\x04" + b"\x9c" * 3000)):  # fmt: skip
        (w / name).write_bytes(content)
    for name in ("folder", "d.yml", "d.xlsx", "d.csv", "round"):
        (w / name).mkdir()
    for name, target in (("dangling", "nothing"), ("loop", "loop"), ("round/in", ".")):
        (w / name).symlink_to(target)
    os.mkfifo(w / "pipe")
    names = ["file", "missing", "empty", "g.csv", "g.yml", "g.xlsx", "folder", "d.yml", "d.xlsx", "d.csv", "dangling",
             "loop", "round", "file/below", "a\0b", "a\nb", "a\udcffb", "x" * 300, "x/" * 3000]  # fmt: skip
    return {name: f"{w}/{name}" for name in names} | {"blank": "", "999999": "9" * 400, "home": "~nobody-here/x",
                                                      "device": "/dev/null/x", "number": "-1"}  # fmt: skip


FEW = ("file", "dangling", "a\0b", "a\udcffb", "x" * 300, "blank")


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(faults.DEVELOPER, raising=False)


def attack(command: str, w: Path, only=None) -> None:
    place = w / "w"
    place.mkdir(exist_ok=True)
    there = Path.cwd()
    os.chdir(ROOT)
    before = set(ROOT.iterdir())
    try:
        for name, bad in wrong_things(place).items():
            if only is None or name in only:
                done = CliRunner().invoke(main, GIVEN[command](bad, place))
                said = f"{command}, {name[:20]!r}: {done.exit_code} {done.output}"
                assert "Traceback" not in done.output and done.exit_code in (0, 1, 2, 3), said
                assert done.exit_code == 0 or done.stderr.strip() or done.stdout.strip(), said
    finally:
        for left in set(ROOT.iterdir()) - before:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        os.chdir(there)


@pytest.mark.parametrize("command", GIVEN)
def test_a_wrong_value_is_refused_in_plain_words(command, tmp_path):
    attack(command, tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("command", GIVEN)
def test_every_wrong_value_is_refused_in_plain_words(command, tmp_path):
    attack(command, tmp_path)


FACTS = {
    "no JSON": "{", "a list": "[]", "nothing": "null", "text": '"x"', "blank": "", "no entries": "{}",
    "bytes": b"\xff\xfe\x00", "nested": "[" * 100_000,
}  # fmt: skip
ENTRIES = {"title": 1, "currency": None, "minor_digits": 10**400, "time_zone": "Mars/Base", "exported_on": "soon",
           "n_rows": {}, "filled": [], "tracked": {}, "history": 5, "vat": 7, "refused": ["x"]}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "book"
    done = CliRunner().invoke(main, ["sample", str(folder), "--deals", "2000"])
    assert done.exit_code == 0, done.output
    return folder


def run(*arguments):
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert "Traceback" not in done.output and done.exit_code in DOCUMENTED, done.output
    return done


@pytest.mark.parametrize("damage", FACTS)
def test_damaged_facts_of_a_book_are_refused(damage, small, tmp_path):
    book = shutil.copytree(small, tmp_path / "book")
    content = FACTS[damage]
    (book / "book.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    (book / "snapshots").mkdir()
    for command in (["check", book], ["check", book, "--json"], ["events", book, "--to", tmp_path / "e.csv"],
                    ["snapshot", "hubspot", ROOT / EXPORT, "--to", book, "--currency", "USD",
                     "--exported-on", "2026-03-31"]):  # fmt: skip
        done = run(*command)
        assert done.exit_code == 2 and "book.json" in done.stderr, done.output


def test_each_missing_or_wrong_fact_of_a_book_is_named(small, tmp_path):
    book = shutil.copytree(small, tmp_path / "book")
    facts = json.loads((book / "book.json").read_text("utf-8"))
    wrong = [facts | {name: value} for name, value in ENTRIES.items()]
    needed = ["title", "currency", "minor_digits", "time_zone", "history", "tracked", "log_begins", "first_moment",
              "last_moment", "n_rows", "filled", "notes", "vat"]  # fmt: skip
    for name, changed in [*zip(ENTRIES, wrong, strict=True),
                          *((name, {k: v for k, v in facts.items() if k != name}) for name in needed)]:  # fmt: skip
        (book / "book.json").write_text(json.dumps(changed), "utf-8")
        done = run("check", book)
        assert done.exit_code == 2 and f"book.json: {name}" in done.stderr, (name, done.output)


@pytest.mark.parametrize("damage", ["truncated", "empty", "gone", "garbage", "a folder"])
def test_a_damaged_table_of_a_book_is_no_traceback(damage, small, tmp_path):
    book = shutil.copytree(small, tmp_path / "book")
    path = book / "deals.parquet"
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"truncated": content[:200], "empty": b"", "garbage": b"\x9c" * 5000}[damage])
    for command in (["check", book], ["events", book, "--to", tmp_path / "e.csv"]):
        done = run(*command)
        assert done.exit_code and "deals.parquet" in done.stderr, done.output


def failing(error: BaseException, *, environment=None):
    """What a command says that ends in an error, and the logs it leaves."""

    @click.group(cls=faults.Commands)
    def group():
        pass

    @group.command()
    def fail():
        secret = "local-value"  # noqa: F841  what a traceback with values would show
        raise error

    done = CliRunner().invoke(group, ["fail"], env=environment)
    logs = sorted(faults.folder().glob("*.log")) if environment is None else []
    return done, logs


KINDS = {
    "unexpected error: ZeroDivisionError: division by zero": ZeroDivisionError("division by zero"),
    "memory ran out": MemoryError(),
    "Permission denied: /x/y": PermissionError(errno.EACCES, "Permission denied", "/x/y"),
    "No space left on device: /x/y": OSError(errno.ENOSPC, "No space left on device", "/x/y"),
    "Disk quota exceeded: /x/y": OSError(errno.EDQUOT, "Disk quota exceeded", "/x/y"),
    "text that cannot be read or written as utf-8": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    "data could not be read or written: no such table": duckdb.CatalogException("no such table\nat line 1"),
    "something is nested too deeply": RecursionError(),
}


@pytest.mark.parametrize("said", KINDS)
def test_an_error_nobody_foresaw_is_one_line_and_a_log(said):
    done, logs = failing(KINDS[said])
    assert done.exit_code == faults.UNEXPECTED and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"salesops fail: {said}"), done.stderr
    assert len(logs) == 1 and str(logs[0]) in done.stderr
    text = logs[0].read_text("utf-8")
    assert text.startswith(faults.HEAD) and "Traceback" in text and "in fail" in text
    assert stat.S_IMODE(logs[0].stat().st_mode) == 0o600 and stat.S_IMODE(logs[0].parent.stat().st_mode) == 0o700


def test_what_was_refused_or_has_no_reader_is_no_fault():
    done, logs = failing(BadInput("the file cannot be used", ["write another"]))
    assert (done.exit_code, done.stderr, logs) == (2, "the file cannot be used:\n  write another\n", [])
    done, logs = failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (done.exit_code, done.output, logs) == (faults.PIPE, "", [])


def test_a_log_holds_no_secret_and_no_value(monkeypatch):
    monkeypatch.setenv("CRM_DB", "postgresql://me:geheim77@host/db")
    monkeypatch.setenv("HUBSPOT_TOKEN", "pat-na1-1234")
    error = ValueError("no row 'Acme Ltd' of \"Beta\", 1234567: postgresql://me:geheim77@host/db pat-na1-1234")
    _done, logs = failing(error)
    text = logs[0].read_text("utf-8")
    assert not [one for one in ("geheim77", "pat-na1-1234", "Acme", "Beta", "1234567", "local-value") if one in text]
    assert "://…@" in faults.without_secrets("see mysql://root:pw@db/x")


def test_logs_are_bounded_and_foreign_files_stay(tmp_path):
    faults.folder().mkdir(parents=True)
    (faults.folder() / "0-mine.log").write_text("my own")
    for _ in range(faults.KEPT + 5):
        _done, logs = failing(ZeroDivisionError())
    assert len(logs) == faults.KEPT + 1 and (faults.folder() / "0-mine.log").read_text() == "my own"


def test_where_no_log_can_be_written_the_line_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    for environment in ({"XDG_STATE_HOME": f"{tmp_path}/file"}, {"XDG_STATE_HOME": "", "HOME": f"{tmp_path}/file/x"}):
        done, _logs = failing(ZeroDivisionError(), environment=environment)
        assert done.exit_code == 70 and "No log could be written" in done.stderr and "Traceback" not in done.output
    done, _logs = failing(ZeroDivisionError("seen"), environment={faults.DEVELOPER: "1"})
    assert isinstance(done.exception, ZeroDivisionError)


ENDS = {
    "stdout closed": ("params/monthly.yml --list >&-", (0,)),
    "stderr closed": ("none.yml 2>&-", (2,)),
    "both closed": ("none.yml >&- 2>&-", (2,)),
    "stdout full": ("params/monthly.yml --list >/dev/full", (70,)),
    "stderr full": ("none.yml 2>/dev/full", (2, 70)),
    "no reader": ("params/monthly.yml --list | true", (0,)),
    "no locale": ("$(printf 'a\\377\\nb') </dev/null", (2,)),
}


@pytest.mark.parametrize("name", ENDS)
def test_streams_that_cannot_be_written_end_quietly(name, tmp_path):
    arguments, codes = ENDS[name]
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "LANG", "XDG_STATE_HOME")}
    environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "TMPDIR": f"{tmp_path}/none"}
    done = subprocess.run(["/bin/sh", "-c", f'"{sys.executable}" -m salesops report {arguments}'], cwd=ROOT,
                          env=environment, capture_output=True)  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode in codes and b"Traceback" not in said and b"Exception ignored" not in said, said


@pytest.fixture
def small_disk():
    """A disk of 256 KB; its path is short enough for the sockets of a run."""
    place = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True)
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)
    place.rmdir()


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as stream:
        try:
            while stream.write(b"\0" * 4096):
                pass
        except OSError:
            pass


@pytest.mark.parametrize("cold", [True, False])
def test_a_full_temporary_disk_is_named_in_the_reason(small_disk, monkeypatch, cold):
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    with Workers(cold=cold) as workers:
        fill(small_disk)
        outcome = workers.do({"do": "page", "root": str(ROOT), "env": {}, "page_seconds": 60, "memory": None})
    assert outcome["ending"] != "made" and f"No space left on device: {small_disk}" in outcome["reason"], outcome


@pytest.mark.slow
def test_a_page_that_fills_the_temporary_disk_fails_with_its_name(small_disk, salesops, tmp_path):
    (small_disk / "filler").write_bytes(b"\0" * 160_000)
    environment = {**os.environ, "TMPDIR": str(small_disk)}
    for more in ([], ["--cold"]):
        done = salesops("report", "params/funnel.yml", "--out", tmp_path / "out", *more, env=environment)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "No space left on device: " in said and "Traceback" not in said, said


def test_a_full_disk_of_the_target_and_of_the_cache_is_named(small_disk, small, tmp_path, monkeypatch):
    done = run("sample", small_disk / "book", "--deals", "2000")
    assert done.exit_code == 2 and "No space left on device" in done.stderr and not list(small_disk.iterdir())
    fill(small_disk)
    monkeypatch.setenv("SALESOPS_CACHE", str(small_disk))
    done = run("check", "sample:deals=2000,seed=5")
    assert done.exit_code in (2, 70) and "No space left" in done.stderr and str(small_disk) in done.stderr, done.output


@pytest.mark.slow
def test_sigterm_inside_a_query_is_sigterm(tmp_path):
    """DuckDB turns what a signal's handler raises into an error of its own."""
    command = [sys.executable, "-m", "salesops", "sample", tmp_path / "s", "--deals", "3000000"]
    began = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    time.sleep(15)
    began.terminate()
    _none, said = began.communicate(timeout=60)
    assert began.returncode == 143 and said == b"", said
