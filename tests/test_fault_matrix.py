"""Killed, interrupted, refused by a full disk or a failed renaming at every change of its folders: nothing is lost.

Every point is one change of a file that Python tells of (`tests/fault_injection.py`). After each fault the book is the
one from before or the new one, each whole; files of the user's own are as they were; and the next run works and leaves
nothing behind. A slow test goes through a ninth of all points, a quick one through a few; set SLOW to 1 for all.
"""

import copy
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from salesops import ownership
from salesops.crm import snapshot, store, whole
from salesops.problems import BadInput
from salesops.report import jobs, run, workers

from tests.conftest import ROOT
from tests.test_runner import make_small
from tests.test_store import DAYS, HEADER, STAGES

QUICK, SLOW = 101, 9  # of all points, every so many are tried by the quick and by the slow test
KINDS = ("kill", "term", "full", "rename")


class Server:
    """Forks a child for each request; see `fault_injection`."""

    def __init__(self):
        environment = {**os.environ, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
        self._process = subprocess.Popen([sys.executable, "-m", "tests.fault_injection"], stdin=-1, stdout=-1, cwd=ROOT,
                                         stderr=subprocess.DEVNULL, text=True, env=environment)  # fmt: skip

    def ask(self, action: str, arguments: dict, watched: list[Path], at: int = 0, kind: str = "", **more) -> dict:
        request = {"action": action, "arguments": arguments, "watched": [str(path) for path in watched], "at": at,
                   "kind": kind, "cwd": str(ROOT), **more}  # fmt: skip
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Books:
    """A folder with a book, or none yet, and with files of the user's own; what an action does to it."""

    MINE = {"notes.txt": b"mine", "tables/mine/deals.parquet": b"mine too", "snapshots/2026-01-31.txt": b"mine"}

    def __init__(self, server: Server, place: Path, case: str):
        self.server, self.place, self.case = server, place, case
        self.book, self.start = place / "now" / "book", place / "start"
        for day in DAYS:
            (place / f"{day}.csv").write_text(f"{HEADER}\n{DAYS[day]}", "utf-8")
        say = {"system": "amocrm", "currency": "RUB", "stages": STAGES, "to": str(self.book)}
        one = say | {"given": [str(place / "2026-01-31.csv")]}
        two = say | {"given": [str(place / "2026-02-28.csv")]}
        self.action, self.arguments, before = {
            "first import": ("import", one, []),
            "import": ("import", two | {"replace": True}, [("import", one)]),
            "first snapshot": ("snapshot", one | {"snapshot": True}, []),
            "snapshot": ("snapshot", two | {"snapshot": True}, [("snapshot", one | {"snapshot": True})]),
            "undo": ("undo", {"day": "2026-02-28", "to": str(self.book)},
                     [("snapshot", one | {"snapshot": True}), ("snapshot", two | {"snapshot": True})]),
            "format 1": ("snapshot", two | {"snapshot": True, "given": [str(place / "2026-05-31.csv")]}, None),
        }[case]  # fmt: skip
        (place / "2026-05-31.csv").write_text(f"{HEADER}\n{DAYS['2026-03-31']}", "utf-8")
        self.fresh = before == []
        self.start.mkdir()
        if before is None:
            shutil.copytree(ROOT / "tests" / "fixtures" / "formats" / "snapshots", self.start / "book")
        for step, arguments in before or []:
            self.book.parent.mkdir(exist_ok=True)
            assert server.ask(step, arguments, [])["code"] == 0
        if before:
            shutil.move(self.book, self.start / "book")
        if not self.fresh:
            for name, content in self.MINE.items():
                (self.start / "book" / name).parent.mkdir(parents=True, exist_ok=True)
                (self.start / "book" / name).write_bytes(content)
            (self.start / "book").chmod(0o700)
        self.old = None if self.fresh else self.state(self.start / "book")
        self.reset()
        counted = self.act()
        assert counted["code"] == 0
        self.n_changes, self.new = counted["changes"], self.state(self.book)
        assert self.new != self.old

    def reset(self) -> None:
        shutil.rmtree(self.place / "now", ignore_errors=True)
        shutil.copytree(self.start, self.place / "now")

    def act(self, at: int = 0, kind: str = "") -> dict:
        return self.server.ask(self.action, self.arguments, [self.book], at, kind)

    def reads(self, where: str) -> list:
        try:
            return self.state(self.book)
        except BadInput as error:
            pytest.fail(f"{where}: {error}")

    @staticmethod
    def state(book: Path) -> list:
        """What a reader gets: the tables that count, by their hashes, and the snapshots; each is whole."""
        tables = store.tables(book)
        content = store.read(book)
        snapshots = content.get("snapshots", {}) if "tables" in content else {}
        assert not [name for name in snapshots.values() if whole.fault(book / name, snapshot.NEEDED)]
        flat = {path.name: path.read_bytes() for path in sorted(tables.glob("*.parquet"))}
        return [flat, sorted(snapshots)]

    def check(self, at: int, kind: str, ended: dict) -> None:
        where = f"{self.case}, {kind} at {at} of {self.n_changes}: {ended}"
        has_book = (self.book / store.NAME).exists()
        if has_book or not self.fresh:
            assert self.reads(where) in (self.old, self.new), where
        self.check_mine(where)
        again = self.act()
        if again["code"] != 0:  # it had come to its end before
            assert self.state(self.book) == self.new, where
        assert self.state(self.book) == self.new, where
        self.check_mine(where)
        self.check_left(where)

    def check_mine(self, where: str) -> None:
        if not self.fresh:
            assert {name: files_of(self.book).get(name) for name in self.MINE} == self.MINE, where
            assert stat.S_IMODE(self.book.stat().st_mode) == 0o700, where

    def check_left(self, where: str) -> None:
        """Nothing is left but what `book.json` names."""
        content = store.read(self.book)
        named = {content["tables"], content.get("before"), *content["snapshots"].values(), "tables/mine"}
        there = {f"{kind}/{path.name}" for kind in ("tables", "snapshots") if (self.book / kind).is_dir()
                 for path in (self.book / kind).iterdir() if path.is_dir()}  # fmt: skip
        left = {name for name in there - named if list((self.book / name).iterdir())}
        assert not left and not (self.book / "work").exists(), where
        assert "was_flat" not in content, where


class Prepared:
    """The cache of prepared books, with a book of another source in it and a folder of the user's own."""

    def __init__(self, server: Server, place: Path, _case: str):
        self.server, self.place = server, place
        project = place / "project"
        (project / "notebooks").mkdir(parents=True)
        shutil.copytree(ROOT / "params" / "crm", project / "params" / "crm")
        text = (project / "params" / "crm" / "amocrm.yml").read_text("utf-8")
        (project / "params" / "crm" / "acme.yml").write_text(f"{text}\ncurrency: RUB\n", "utf-8")
        kinds = {"Лид": "open", "Оферта": "open", "Успешно реализовано": "won", "Закрыто и не реализовано": "lost"}
        listed = "".join(f"  - {{stage: {name}, kind: {kind}}}\n" for name, kind in kinds.items())
        with (project / "params" / "crm" / "acme.yml").open("a", encoding="utf-8") as stream:
            stream.write(f"stages:\n{listed}")
        (project / "data").mkdir()
        (project / "data" / "export.csv").write_text(f"{HEADER}\n{DAYS['2026-02-28']}", "utf-8")
        self.project, self.cache = project, place / "cache"
        self.start = place / "start"
        (self.start / "books" / "mine").mkdir(parents=True)
        (self.start / "books" / "mine" / "deals.parquet").write_bytes(b"mine")
        self.reset()
        counted = self.act()
        assert counted["code"] == 0, counted
        self.n_changes, self.new = counted["changes"], self.state()

    def reset(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        shutil.copytree(self.start, self.cache)

    def act(self, at: int = 0, kind: str = "") -> dict:
        env = {"SALESOPS_CACHE": str(self.cache)}
        return self.server.ask("prepare", {"source": "acme:data"}, [self.cache], at, kind, env=env,
                               **{"cwd": str(self.project)})  # fmt: skip

    def state(self) -> list:
        books = [path for path in (self.cache / "books").iterdir() if path.name.startswith("acme-")]
        assert not [path for path in books if whole.fault(path)]
        digests = self.cache / "digests"
        contents = [whole.content(path) for path in books]
        return [contents, [path.read_text() for path in digests.glob("acme-*")] if digests.is_dir() else []]

    def check(self, at: int, kind: str, ended: dict) -> None:
        where = f"prepare, {kind} at {at} of {self.n_changes}: {ended}"
        found = self.state()
        assert found[0] in ([], self.new[0]) and found[1] in ([], self.new[1]), where
        assert self.act()["code"] == 0 and self.state() == self.new, where
        assert (self.cache / "books" / "mine" / "deals.parquet").read_bytes() == b"mine", where
        drafts = [path for path in (self.cache / "books").iterdir() if ownership.is_ours(path, ownership.DRAFT)]
        assert not drafts, where


class Reports:
    """A month whose pages and front page are renewed, among files of the user's own, after a month before."""

    def __init__(self, server: Server, place: Path, _case: str):
        self.server, self.place = server, place
        self.project, self.start = place / "project", place / "start"
        for name in ("notebooks", "params"):
            shutil.copytree(ROOT / name, self.project / name)
        make_small(self.project)
        self.outcomes = place / "outcomes.json"
        self.outcomes.write_text(json.dumps(self._make()), "utf-8")
        self.out = self.project / "reports"
        assert self.act(month="2026-09")["code"] == 0
        earlier = json.loads(self.outcomes.read_text("utf-8"))
        for outcome in earlier.values():
            outcome["page"] = outcome["page"].replace("Small", "Earlier")
        before = self.outcomes.read_bytes()
        self.outcomes.write_text(json.dumps(earlier), "utf-8")
        assert self.act()["code"] == 0
        self.outcomes.write_bytes(before)
        (self.out / "2026-10" / "notes.txt").write_bytes(b"mine")
        (self.out / "board.html").write_bytes(b"mine too")
        shutil.copytree(self.project / "reports", self.start / "reports")
        shutil.copytree(self.project / "records", self.start / "records")
        self.old = self.state()
        counted = self.act()
        assert counted["code"] == 0
        self.n_changes, self.new = counted["changes"], self.state()
        assert self.old != self.new and self.old.keys() == self.new.keys()

    def _make(self) -> dict:
        """The outcomes of real kernels, by period and language."""
        outcomes = {}
        with workers.Workers() as kernels:
            for period in ("2026-09", "2026-10"):
                for lang in ("en", "ru"):
                    asked = {"period": period, "lang": lang}
                    params = [self.project / "params" / "funnel.yml"]
                    (job,) = jobs.prepare(params, overrides=asked, out=self.place / "out")

                    def keep(task, name=f"{period} {lang}"):
                        outcome = kernels.do(task)
                        if task["do"] == "page":
                            outcomes[name] = copy.deepcopy(outcome)
                        return outcome

                    assert run.run([job], keep).good
        return outcomes

    def reset(self) -> None:
        for name in ("reports", "records"):
            shutil.rmtree(self.project / name, ignore_errors=True)
            shutil.copytree(self.start / name, self.project / name)

    def act(self, at: int = 0, kind: str = "", month: str = "2026-10") -> dict:
        pack = self.project / "params" / "pack.yml"
        pack.write_text("runs:\n- {run: funnel, matrix: {lang: [en, ru]}}\n", "utf-8")
        arguments = {"outcomes": str(self.outcomes), "params": [str(pack)], "out": str(self.out),
                     "overrides": {"period": month}}  # fmt: skip
        watched = [self.project / "reports", self.project / "records"]
        env = {"SALESOPS_CACHE": os.environ["SALESOPS_CACHE"]}
        return self.server.ask("report", arguments, watched, at, kind, env=env, **{"cwd": str(self.project)})

    def state(self) -> dict[str, bytes]:
        """The files that people and later runs read, but for the manifest, which has seconds in it."""
        places = [files_of(self.project / name) for name in ("reports", "records")]
        both = {f"{name}/{path}": content for name, found in zip(("reports", "records"), places, strict=True)
                for path, content in found.items()}  # fmt: skip
        return {name: content for name, content in both.items()
                if ".salesops" not in name and not name.endswith((".lock", "manifest.json", "pages.json"))}  # fmt: skip

    def check(self, at: int, kind: str, ended: dict) -> None:
        where = f"report, {kind} at {at} of {self.n_changes}: {ended}"
        found = self.state()
        assert found.keys() == self.new.keys(), where
        banner = b'<p class="failed" role="status">'
        for name, content in found.items():
            if kind in ("full", "rename") and banner in content and name.endswith(".html"):
                continue  # a page that could not be renewed says so
            assert content in (self.old[name], self.new[name]), f"{where}: {name}"
        manifest = json.loads((self.out / "2026-10" / "manifest.json").read_text("utf-8"))
        assert set(manifest["pages"]) == {"funnel", "funnel.ru"}, where
        assert self.act()["code"] == 0 and self.state() == self.new, where
        left = [path for path in self.project.rglob(".salesops-*") if path.is_dir() and list(path.iterdir())]
        assert not left, where


CASES = {
    "first import": Books, "import": Books, "first snapshot": Books, "snapshot": Books, "undo": Books,
    "format 1": Books, "prepare": Prepared, "report": Reports,
}  # fmt: skip


def go_through(server, place: Path, case: str, step: int) -> int:
    """Try every `step`-th point of a case with every kind of fault; how many were tried."""
    subject = CASES[case](server, place, case)
    points = [(kind, at) for kind in KINDS for at in range(1, subject.n_changes + 1)]
    tried = points[step // 2 :: step]
    for kind, at in tried:
        subject.reset()
        subject.check(at, kind, subject.act(at, kind))
    return len(tried)


@pytest.mark.parametrize("case", (pytest.param("snapshot", marks=pytest.mark.slow), "prepare"))
def test_some_faults_lose_nothing(server, tmp_path, case):
    assert go_through(server, tmp_path, case, QUICK) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_fault_at_any_change_loses_nothing(server, tmp_path, case):
    assert go_through(server, tmp_path, case, SLOW) >= 15
