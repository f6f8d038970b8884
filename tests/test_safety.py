"""What a run writes over and what `make clean` removes is this program's own; what cannot be made again stays."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from salesops import clean, formats, locks, ownership
from salesops.report import files, inputs, ledger, manifest, records, workers
from salesops.report.manifest import Folder

from tests.conftest import ROOT
from tests.test_front import Page, finding, folder
from tests.test_front import record as bare_record
from tests.test_runner import make_small

FORMATS = ROOT / "tests" / "fixtures" / "formats"


def everything(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def playbook(tmp_path) -> Path:
    """A project with pages of two months that an earlier version made, and files of the user's own among them."""
    for name in ("notebooks", "params", "reports"):
        (tmp_path / name).mkdir()
    shutil.copytree(FORMATS / "reports", tmp_path / "reports", dirs_exist_ok=True)
    (tmp_path / "reports" / "README.md").write_text("about")
    (tmp_path / "reports" / "board.txt").write_text("mine")
    (tmp_path / "reports" / "2026-10" / "notes.txt").write_text("mine")
    (tmp_path / "reports" / "2026-10" / ".draft-0123456789ab").write_text("mine")
    front = (tmp_path / "reports" / "2026-10" / "index.html").read_text("utf-8")
    (tmp_path / "reports" / "2026-10" / "index-with-my-notes.html").write_text(front, "utf-8")
    with (tmp_path / "reports" / "2026-09" / "hygiene.html").open("a", encoding="utf-8") as edited:
        edited.write("<p>my own remark</p>")
    (tmp_path / "reports" / "archive").mkdir()
    (tmp_path / "reports" / "archive" / "index.html").write_text("mine")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "manifest.json").write_text('{"pages": {"a": {"page": "a.html"}}}')
    (tmp_path / "outside" / "a.html").write_text("mine")
    (tmp_path / "reports" / "2026-08").symlink_to(tmp_path / "outside")
    return tmp_path


def record(*arguments, **options) -> dict:
    """A record of the page that `folder` writes."""
    return bare_record(*arguments, **options) | {"hashes": {"page": files.sha256(b"<html>")}}


# --- working folders ---


def test_a_run_removes_no_folder_for_its_name(tmp_path, monkeypatch):
    """A clone of the playbook in the temporary folder, reports of the user's own there, and a link to them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workers, "LONGEST_PLACE", 1000)
    for name in ("salesops-playbook/.git", "salesops_reports/2026-10", "salesops-x"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("mine")
    (tmp_path / "salesops-link").symlink_to(tmp_path / "salesops_reports")
    left = ownership.make(tmp_path / "salesops_left", workers.WORKING)
    other = ownership.make(tmp_path / "salesops_running", workers.WORKING)
    before = everything(tmp_path)
    with locks.hold(other), workers.Workers(cold=True):
        assert not left.exists() and other.exists()
    kept = everything(tmp_path)
    assert {name: before[name] for name in before if "left" not in name} == kept


# --- pages ---


def test_a_page_never_takes_the_place_of_a_file_of_somebody_else(tmp_path):
    place = tmp_path / "2026-10"
    place.mkdir()
    (place / "funnel.html").write_text("<html>mine</html>")
    (place / "index.html").write_text("<html>mine too</html>")
    reports = Folder(place)
    with pytest.raises(FileExistsError, match="a file that this program did not make; move it away"):
        reports.made("funnel", "<html>", record("funnel"))
    with pytest.raises(FileExistsError, match="index.html"):
        reports.made("growth", "<html>", record("growth"))
    assert (place / "funnel.html").read_text() == "<html>mine</html>"
    assert (place / "index.html").read_text() == "<html>mine too</html>"
    (place / "index.html").unlink()
    reports.write()
    (place / "growth.html").write_text("edited by hand")
    Folder(place).made("growth", "<html>", record("growth"))
    assert (place / "growth.html").read_text() == "<html>", "it is in the manifest: a page of ours that was edited"


def test_drafts_of_a_killed_run_go_and_nothing_else_does(tmp_path):
    from salesops.report import run

    (tmp_path / "failed").mkdir()
    left = [ownership.make(place / ".salesops-0123456789ab", files.DRAFTS) for place in (tmp_path, tmp_path / "failed")]
    (tmp_path / ".draft-0123456789ab").write_text("mine")
    (tmp_path / ".salesops-mine").mkdir()
    run._remove_drafts(tmp_path)
    assert not any(path.exists() for path in left)
    assert (tmp_path / ".draft-0123456789ab").exists() and (tmp_path / ".salesops-mine").exists()


# --- make clean ---


def test_clean_removes_what_can_be_made_again_and_nothing_else(playbook):
    before = everything(playbook / "reports")
    (playbook / ".cache" / "books" / "mine").mkdir(parents=True)
    (playbook / ".cache" / "books" / "mine" / "deals.parquet").write_text("mine")
    ours = ownership.make(playbook / ".cache" / "books" / "sample-1", ownership.BOOK)
    old = playbook / ".cache" / "books" / f"sample-{'0' * 32}"
    shutil.copytree(FORMATS / "book", old)
    (playbook / ".cache" / "airflow").mkdir()
    kept = clean.clean(playbook)
    left = everything(playbook / "reports")
    mine = {"README.md", "board.txt", "2026-10/notes.txt", "2026-10/.draft-0123456789ab", "archive/index.html",
            "2026-10/index-with-my-notes.html", "2026-09/hygiene.html", "2026-09/manifest.json"}  # fmt: skip
    assert left == {name: before[name] for name in mine}
    assert (playbook / "outside" / "a.html").read_text() == "mine" and (playbook / "reports" / "2026-08").is_symlink()
    assert {path.name for path in kept} == {"2026-08", "2026-09", "2026-10", "archive", "board.txt"}
    assert not ours.exists() and not old.exists()
    assert (playbook / ".cache" / "books" / "mine" / "deals.parquet").exists() and (
        playbook / ".cache" / "airflow"
    ).is_dir()
    for month in ("2026-09", "2026-10"):
        moved = playbook / "records" / month
        assert (moved / "findings.parquet").read_bytes() == (
            FORMATS / "reports" / month / "findings.parquet"
        ).read_bytes()
        assert json.loads((moved / "pages.json").read_text())["pages"]["hygiene"]["tiles"] is not None
    again = everything(playbook)
    assert clean.clean(playbook) == kept and everything(playbook) == again


def test_clean_waits_for_no_run_and_stops_at_nothing(playbook):
    """A month in which a run writes, a page that is a folder, a link in the place of a folder of ours."""
    mine = playbook / "mine"
    mine.mkdir()
    (mine / "hygiene.ipynb").write_text("mine")
    (playbook / "reports" / "2026-09" / "failed").symlink_to(mine)
    path = playbook / "reports" / "2026-09" / "manifest.json"
    content = json.loads(path.read_text())
    content["not_made"] = {"hygiene": {"on": "2026-09-30", "reason": "x", "notebook": "failed/hygiene.ipynb"}}
    content["pages"]["x"] = content["pages"]["hygiene"] | {"page": ".."}
    path.write_text(json.dumps(content))
    before = everything(playbook / "reports" / "2026-10")
    with locks.hold(playbook / "reports" / "2026-10"):
        clean.clean(playbook)
        now = {
            name: content
            for name, content in everything(playbook / "reports" / "2026-10").items()
            if "lock" not in name
        }
        assert now == {name: content for name, content in before.items() if name != "findings.parquet"}
    assert (mine / "hygiene.ipynb").read_text() == "mine"
    clean.clean(playbook)
    assert not (playbook / "reports" / "2026-10" / "hygiene.html").exists()


def test_make_clean_needs_no_installed_package(playbook):
    """By the Makefile's own line, with a Python that has nothing but its standard library."""
    (line,) = re.findall(r"^\t@?(PYTHONPATH=lib .*salesops\.clean.*)$", (ROOT / "Makefile").read_text(), flags=re.M)
    assert line == "PYTHONPATH=lib $(PYTHON) -m salesops.clean"
    code = f"import runpy, sys; sys.path.insert(0, {str(ROOT / 'lib')!r}); sys.argv[1:] = [{str(playbook)!r}]"
    code += "; runpy.run_module('salesops.clean', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=playbook)
    assert done.returncode == 0, done.stderr
    assert (
        "kept, not made by the playbook" in done.stdout
        and not (playbook / "reports" / "2026-10" / "manifest.json").exists()
    )


def test_pages_made_one_by_one_after_a_clean_keep_what_the_others_said(tmp_path):
    for name in ("notebooks", "params", "reports"):
        (tmp_path / name).mkdir()
    month = tmp_path / "reports" / "2026-10"
    folder(month, *(record(stem, [finding(stem)]) for stem in ("funnel", "growth", "cohort")))
    clean.clean(tmp_path)
    folder(month, record("funnel", [finding("other")]))
    assert set(records.read_pages(month)) == {"funnel", "growth", "cohort"}
    assert {row.key for row in ledger.read(month) if row.state == ledger.OPEN} == {"other", "growth", "cohort"}
    records.findings(month).write_bytes(b"damaged")
    folder(month, record("funnel", [finding("other")]), record("leads", [finding("leads")]))
    (aside,) = records.place(month).glob("findings.damaged-*")
    assert aside.read_bytes() == b"damaged" and ledger.read(month)


def test_a_page_of_somebody_else_gets_no_line_and_keeps_its_rights(tmp_path):
    place = tmp_path / "2026-10"
    place.mkdir()
    (place / "funnel.html").write_text('<div class="page">\nmine')
    (place / "funnel.html").chmod(0o600)
    Folder(place).failed("funnel", language="en", ending="cell_error", reason="no", notebook=None)
    assert (place / "funnel.html").read_text() == '<div class="page">\nmine'
    assert (place / "funnel.html").stat().st_mode & 0o777 == 0o600


def test_records_of_somebody_else_are_not_written_over(tmp_path):
    (tmp_path / "records" / "2026-10").mkdir(parents=True)
    (tmp_path / "records" / "2026-10" / "pages.json").write_text('["mine"]')
    with pytest.raises(FileExistsError, match="move it away"):
        folder(tmp_path / "2026-10", record("funnel", [finding("stale")]))
    assert (tmp_path / "records" / "2026-10" / "pages.json").read_text() == '["mine"]'


def test_a_project_is_ones_own_where_its_user_made_pages_and_a_copy_or_link_is_not(tmp_path):
    mine, sent, linked = (tmp_path / name for name in ("mine", "sent", "linked"))
    for root in (mine, linked):
        root.mkdir()
    assert not records.is_own(mine)
    records.adopt(mine)
    shutil.copytree(mine, sent)
    (linked / "records").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    records.adopt(linked)
    assert [records.is_own(root) for root in (mine, sent, linked)] == [True, False, False]
    assert not list((tmp_path / "elsewhere").iterdir()), "nothing is written through a link"


def test_findings_of_somebody_else_are_not_moved(tmp_path):
    (tmp_path / "2025").mkdir()
    (tmp_path / "2025" / "findings.parquet").write_text("mine")
    records.migrate(tmp_path)
    assert everything(tmp_path) == {"2025/findings.parquet": b"mine"}


def test_findings_of_months_live_on_when_the_pages_are_gone(tmp_path):
    project = tmp_path / "project"
    for name in ("notebooks", "params", "reports"):
        (project / name).mkdir(parents=True)
    for month in ("2026-08", "2026-09"):
        folder(project / "reports" / month, record("funnel", [finding("stale")], month=month))
    clean.clean(project)
    assert not list((project / "reports").iterdir())
    folder(project / "reports" / "2026-10", record("funnel", [finding("stale")]))
    assert "open for 3 months" in Page(project / "reports" / "2026-10" / "index.html").said
    assert sorted(path.name for path in (project / "records").iterdir()) == ["2026-08", "2026-09", "2026-10"]


# --- formats ---


def test_months_of_format_1_are_gone_on_from(tmp_path):
    """Findings that stood among the pages are those of the months before, and move to the records."""
    shutil.copytree(FORMATS / "reports", tmp_path / "reports")
    pages = manifest.pages_of(tmp_path / "reports" / "2026-10")
    rows = ledger.read(tmp_path / "reports" / "2026-10")
    assert pages and rows
    records.migrate(tmp_path / "reports")
    assert not list((tmp_path / "reports").glob("*/findings.parquet"))
    assert ledger.read(tmp_path / "reports" / "2026-10") == rows
    (stem,) = pages
    later = pages[stem] | {"period": "November 2026"}
    folder(tmp_path / "reports" / "2026-11", later | {"page": f"{stem}.html"})
    said = Page(tmp_path / "reports" / "2026-11" / "index.html").said
    assert "open for 3 months" in said and "October 2026" in said


@pytest.mark.parametrize("kind", ["manifest", "findings", "pages"])
def test_what_a_later_version_wrote_is_refused_in_one_line(tmp_path, salesops, kind):
    project = make_small(_project(tmp_path))
    place = project / "reports" / "2026-10"
    folder(place, record("funnel", [finding("stale")]))
    if kind == "findings":
        path = records.findings(place)
        table = pq.read_table(path)
        table = table.replace_schema_metadata({ledger.NUMBER: b"99"})
        pq.write_table(table.select(ledger.COLUMNS), path)
        with pytest.raises(ValueError, match=r"format 99; this one reads up to \d+\): update SalesOps Playbook"):
            ledger.read(place)
        return
    path = place / "manifest.json" if kind == "manifest" else records.place(place) / records.PAGES
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    if kind == "pages":
        with pytest.raises(ValueError, match="update SalesOps Playbook"):
            records.read_pages(place)
        return
    before = everything(project)
    for command in (("report", "params/funnel.yml"), ("verify", "reports/2026-10")):
        done = salesops(*command, cwd=project)
        assert done.returncode == 2 and "update SalesOps Playbook" in done.stderr and "Traceback" not in done.stderr
    assert everything(project) == before


def test_what_is_written_says_its_format(tmp_path):
    folder(tmp_path / "2026-10", record("funnel", [finding("stale")]))
    assert json.loads((tmp_path / "2026-10" / "manifest.json").read_text())["format"] == formats.MANIFEST
    assert json.loads((tmp_path / "records" / "2026-10" / "pages.json").read_text())["format"] == formats.MANIFEST
    metadata = pq.read_schema(tmp_path / "records" / "2026-10" / "findings.parquet").metadata
    assert metadata[ledger.NUMBER] == str(formats.FINDINGS).encode()
    assert isinstance(pq.read_table(tmp_path / "records" / "2026-10" / "findings.parquet"), pa.Table)


def _project(place: Path) -> Path:
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, place / name)
    return place


# --- verify ---


@pytest.fixture(scope="module")
def verified(salesops, tmp_path_factory):
    """Quick pages of questions whose parameters name files: a plan, metrics, rules."""
    project = _project(tmp_path_factory.mktemp("files"))
    for path in (project / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text("utf-8"))
        cells = notebook["cells"]
        setup = next(k for k, cell in enumerate(cells) if "show.start" in "".join(cell["source"]))
        kept = [ast.unparse(statement) for statement in ast.parse("".join(cells[setup]["source"])).body
                if isinstance(statement, (ast.Import, ast.ImportFrom))
                or (isinstance(statement, ast.Assign) and statement.targets[0].id in ("params", "book"))]  # fmt: skip
        cells[setup]["source"] = "\n".join([*kept, 'show.start(params, book, title="Small")'])
        notebook["cells"] = cells[: setup + 1]
        path.write_text(json.dumps(notebook), "utf-8")
    wanted = [f"params/{name}.yml" for name in ("comp", "scorecard", "maturity", "funnel")]
    done = salesops("report", *wanted, "-p", "source", "sample:deals=2000", cwd=project)
    assert done.returncode == 0, done.stderr
    return project


def verdicts(salesops, project: Path, *options, folder="reports/2026-10", cwd=None) -> dict[str, str]:
    done = salesops("verify", folder, *options, cwd=cwd or project)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_a_fresh_pack_has_no_difference(verified, salesops):
    assert set(verdicts(salesops, verified).values()) == {"the same"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "page", "says"),
    [
        ("params/plans/account_executive.yml", "comp", "files (params/plans/account_executive.yml)"),
        ("params/metrics.yml", "scorecard", "files (params/metrics.yml)"),
        ("params/stages.yml", "maturity", "files (params/stages.yml)"),
        ("reports/2026-10/funnel.html", "funnel", "the page was changed after it was made"),
        ("reports/2026-10/index.html", "index.html", "the front page was changed after it was made"),
        ("requirements.lock", "funnel", "lock: "),
    ],
)
def test_one_edited_byte_is_named(verified, salesops, path, page, says):
    target = verified / path
    content = target.read_bytes() if target.exists() else None
    try:
        target.write_bytes((content or b"") + b" ")
        found = verdicts(salesops, verified)
        differ = {name for name, text in found.items() if text != "the same"}
        assert says in found[page] and (differ == {page} or path.endswith(".lock")), found
    finally:
        target.write_bytes(content) if content is not None else target.unlink()


@pytest.mark.slow
def test_a_manifest_that_says_otherwise_of_a_page_is_named(verified, salesops):
    path = verified / "reports" / "2026-10" / "manifest.json"
    content = path.read_text("utf-8")
    changed = json.loads(content)
    changed["pages"]["funnel"]["headline"] = "All is well"
    path.write_text(json.dumps(changed), "utf-8")
    try:
        assert verdicts(salesops, verified)["funnel"] == "the manifest says otherwise of it: headline"
    finally:
        path.write_text(content, "utf-8")


def _code_hash(root: Path, analysis: str) -> str:
    inputs.forget()
    return inputs.code(root, analysis)


@pytest.mark.slow
def test_code_beside_a_folder_that_was_sent_does_not_run(verified, salesops, tmp_path):
    """A folder with notebooks beside it, as somebody may send it, is compared with the code of one's own project."""
    sent = tmp_path / "sent"
    shutil.copytree(verified, sent)
    path = sent / "notebooks" / "funnel.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"][-1]["source"] += f"\nopen({str(tmp_path / 'ran')!r}, 'w')"
    path.write_text(json.dumps(notebook), "utf-8")
    assert set(verdicts(salesops, sent, folder=sent / "reports" / "2026-10", cwd=verified).values()) == {"the same"}
    assert verdicts(salesops, sent)["funnel"].startswith("code: "), "code that differs is named and not run"
    assert not (tmp_path / "ran").exists()
    again = json.loads((manifest := sent / "reports" / "2026-10" / "manifest.json").read_text("utf-8"))
    again["pages"]["funnel"]["hashes"]["code"] = _code_hash(sent, "funnel")
    manifest.write_text(json.dumps(again), "utf-8")
    seen = verdicts(salesops, sent)  # from inside it, with a manifest that its sender wrote to fit
    assert "no page was made in this project by this user" in seen["funnel"] and not (tmp_path / "ran").exists()
    verdicts(salesops, sent, "--trust", "--pages", folder=sent / "reports" / "2026-10", cwd=verified)
    assert (tmp_path / "ran").exists()


@pytest.mark.slow
def test_pages_alone_are_compared_where_the_code_differs(verified, salesops):
    path = verified / "notebooks" / "funnel.ipynb"
    content = path.read_text("utf-8")
    notebook = json.loads(content)
    try:
        notebook["cells"][-1]["source"] += "\n# a remark"
        path.write_text(json.dumps(notebook), "utf-8")
        assert verdicts(salesops, verified)["funnel"].startswith("code: ")
        assert verdicts(salesops, verified, "--pages")["funnel"] == "the same"
        notebook["cells"][-1]["source"] = notebook["cells"][-1]["source"].replace("Small", "Other")
        path.write_text(json.dumps(notebook), "utf-8")
        found = verdicts(salesops, verified, "--pages")
        assert "another page: line " in found["funnel"] and found["comp"] == "the same"
    finally:
        path.write_text(content, "utf-8")
