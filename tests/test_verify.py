"""`salesops verify`: every page again from the manifest, and what differs, and why."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid

import nbformat
import pytest

from tests.test_runner import alive, make_small, wait_until, write_pack


@pytest.fixture(scope="module")
def made(salesops, tmp_path_factory, root):
    project = tmp_path_factory.mktemp("verified")
    for name in ("notebooks", "params"):
        shutil.copytree(root / name, project / name)
    make_small(project)
    (project / "requirements.lock").write_text("one")
    pack = write_pack(project, {"run": "funnel", "matrix": {"lang": ["en", "ru"], "min_deals": [20, 21]}})
    assert salesops("report", pack, cwd=project).returncode == 0
    return project


@pytest.fixture
def verify(made, salesops):
    """Verify after something was changed, which is put back; gives the exit code and what was said of each page."""
    saved = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}

    def run() -> tuple[int, dict[str, str]]:
        done = salesops("verify", made / "reports" / "2026-10", "--jobs", 2, cwd=made)
        assert "Traceback" not in done.stderr
        return done.returncode, dict(line.split(": ", 1) for line in done.stdout.splitlines())

    yield run
    for path, content in saved.items():
        path.write_bytes(content)


@pytest.mark.slow
def test_the_same_inputs_make_the_same_pages(verify, made):
    before = {path.name: path.read_bytes() for path in (made / "reports" / "2026-10").iterdir()}
    code, said = verify()
    assert code == 0 and set(said.values()) == {"the same"}
    assert set(said) == {"funnel.20", "funnel.20.ru", "funnel.21", "funnel.21.ru", "index.html", "index.ru.html"}
    assert {path.name: path.read_bytes() for path in (made / "reports" / "2026-10").iterdir()} == before


def test_it_says_what_differs_and_why(verify, made):
    folder = made / "reports" / "2026-10"
    (folder / "funnel.20.html").write_text("another page")
    (folder / "funnel.21.html").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["pages"]["funnel.20.ru"]["versions"]["pandas"] = "1.0"
    manifest["pages"]["funnel.21.ru"]["parameters"]["min_deals"] = 33
    manifest["pages"]["funnel.21.ru"]["hashes"]["data"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, said = verify()
    assert code == 1
    assert said["funnel.20"] == "the page was changed after it was made"
    assert said["funnel.21"] == "the page is missing"
    assert said["funnel.20.ru"].startswith("versions: pandas 1.0 then, 3.")
    assert "; parameters: those in the manifest are not the ones the page was made with" in said["funnel.21.ru"]
    assert "data: 000000000000 then, " in said["funnel.21.ru"]


@pytest.mark.slow
def test_changed_code_and_lock_are_named_and_a_page_that_reads_the_clock_is_caught(verify, made):
    (made / "requirements.lock").write_text("two")
    path = made / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "funnel-04").source += "\nshow.note(str(time.time_ns()))"
    nbformat.write(notebook, path)
    code, said = verify()
    pages = {name: text for name, text in said.items() if name.startswith("funnel")}
    assert code == 1 and all("code: " in text and "lock: " in text for text in pages.values())
    folder = made / "reports" / "2026-10"
    manifest = json.loads((folder / "manifest.json").read_text())
    from salesops.report import inputs

    for record in manifest["pages"].values():
        now = inputs.of(made, "funnel", record["parameters"], data="")
        record["hashes"] |= {name: now.hashes[name] for name in ("code", "lock")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, said = verify()
    pages = {name: text for name, text in said.items() if name.startswith("funnel")}
    assert code == 1 and all("the same inputs made another page: line " in text for text in pages.values())


def test_a_folder_without_pages_is_refused(salesops, tmp_path):
    done = salesops("verify", tmp_path)
    assert done.returncode == 2 and "there is no manifest.json with pages in it" in done.stderr


@pytest.mark.slow
def test_it_can_be_interrupted(made, verify):
    path = made / "notebooks" / "funnel.ipynb"
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "funnel-04").source += "\ntime.sleep(600)"
    nbformat.write(notebook, path)
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "salesops", "verify", "--pages", str(made / "reports" / "2026-10")]
    process = subprocess.Popen(command, cwd=made, env={**os.environ, "MARK": mark}, stdout=-1, stderr=-1, text=True)
    time.sleep(8)
    process.send_signal(signal.SIGTERM)
    _said, errors = process.communicate(timeout=20)
    assert process.returncode == 143 and "Traceback" not in errors
    wait_until(lambda: not alive(mark), 8)
