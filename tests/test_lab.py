"""What an analyst has in JupyterLab: controls, `%load_ext salesops`, and `salesops new`."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from salesops.funnel import Params
from salesops.report.controls import LAB, Panel

from tests.conftest import FUNNEL, ROOT


def test_controls_set_the_variables_of_the_notebook_and_say_what_is_wrong():
    namespace = dict(FUNNEL)
    panel = Panel(Params, namespace)
    assert list(panel.fields) == list(Params.model_fields)
    panel.fields["horizon_days"].value = 45
    panel.fields["segment_by"].value = "team"
    assert namespace["horizon_days"] == 45 and namespace["segment_by"] == "team"
    assert panel.says.value == "Run the cells below."
    panel.fields["period"].value = "2026-13"
    assert "'2026-13' is not a period" in panel.says.value
    panel.fields["period"].value = "2026-09"
    assert panel.says.value == "Run the cells below."
    panel.fields["min_deals"].value = 1
    assert panel.fields["min_deals"].value == 5, "a number stays within its limits"


@pytest.mark.parametrize("in_lab", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_controls_are_there_in_jupyterlab_only(in_lab, tmp_path):
    """In a real kernel, with and without what a Jupyter server tells the kernels of open notebooks."""
    from jupyter_client.manager import start_new_kernel

    environment = {name: value for name, value in os.environ.items() if name != LAB}
    cells = {c.id: c.source for c in nbformat.read(ROOT / "notebooks" / "funnel.ipynb", as_version=4).cells}
    manager, client = start_new_kernel(env=environment | ({LAB: "funnel.ipynb"} if in_lab else {}), cwd=str(ROOT))
    shown = []
    try:
        for name in ("funnel-01", "funnel-controls"):
            hook = lambda message: message["msg_type"] == "display_data" and shown.append(message["content"]["data"])  # noqa: E731
            reply = client.execute_interactive(cells[name], output_hook=hook, timeout=60)
            assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [list(data)[-1] for data in shown] == (["application/vnd.jupyter.widget-view+json"] if in_lab else [])


@pytest.mark.slow
def test_the_extension_is_all_that_a_scratch_notebook_needs(tmp_path):
    cells = [
        "%load_ext salesops",
        "print(crm.open('sample', as_of='2026-06-30').as_of, funnel.Params.__name__, stats.wilson(1, 2).n)",
        "show.note('shown')\nfloat(theme.figure(2).get_figwidth()), periods.parse('2026').n_months",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = tmp_path / "scratch.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "papermill", path, path, "--no-progress-bar"]
    done = subprocess.run(command, cwd=ROOT / "notebooks", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outputs = [cell.outputs for cell in nbformat.read(path, as_version=4).cells]
    assert outputs[1][0].text == "2026-06-30 Params 2\n"
    assert "shown" in outputs[2][0].data["text/html"] and outputs[2][1].data["text/plain"] == "(5.2, 12)"


@pytest.mark.slow
def test_a_new_question_passes_the_tests_at_once(tmp_path):
    """In a copy of the project: the whole of the house rules, its own test, lint, and its page in both languages."""
    ignored = shutil.ignore_patterns(".venv", ".cache", ".git", "__pycache__", "data", "*.egg-info", ".*_cache")
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=ignored)
    environment = {**os.environ, "PYTHONPATH": str(project / "lib")}

    def run(*command):
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True, text=True
        )

    done = run("salesops", "new", "renewals")
    assert done.returncode == 0 and "notebooks/renewals.ipynb" in done.stdout, done.stderr
    tests = ["test_layout", "test_notebooks", "test_lang", "test_renewals"]
    done = run("pytest", "-q", "-n", "0", *[f"tests/{name}.py" for name in tests])
    assert done.returncode == 0, done.stdout
    assert run("ruff", "check", "lib", "tests", "notebooks").stdout.strip() == "All checks passed!"
    assert run("ruff", "format", "--check", "lib", "tests").returncode == 0
    for language in ("en", "ru"):
        done = run("salesops", "report", "params/renewals.yml", "--lang", language)
        assert done.returncode == 0, done.stderr
    page = (project / "reports" / "2026-10" / "renewals.ru.html").read_text("utf-8")
    assert "Создано сделок за октябрь 2026" in page
    for name, says in (("renewals", "is taken"), ("Funnel!", "write a word of small letters")):
        done = run("salesops", "new", name)
        assert done.returncode == 2 and says in done.stderr


@pytest.mark.slow
@pytest.mark.browser
def test_the_notebook_opens_and_runs_in_jupyterlab_with_controls(browser, tmp_path):
    """A real JupyterLab in a real browser: every cell run, the controls and the findings shown."""
    from selenium.webdriver.common.by import By

    project = tmp_path / "project"
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, project / name)
    (project / "runtime").mkdir()
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(project / "runtime"), "HOME": str(tmp_path)}
    command = ["jupyterlab", "--no-browser", "--port=0", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=t"]
    with (tmp_path / "lab.log").open("w") as log:
        lab = subprocess.Popen([sys.executable, "-m", *command], cwd=project, env=environment, stdout=log, stderr=log)
    try:
        found = _wait(lambda: list((project / "runtime").glob("jpserver-*.json")), 60)[0]
        url = json.loads(found.read_text())["url"]
        _wait(lambda: urllib.request.urlopen(f"{url}api/status?token=t").status == 200, 30)
        browser.get(f"{url}lab/tree/notebooks/funnel.ipynb?token=t")
        _wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell"), 60)
        time.sleep(3)
        browser.find_element(By.XPATH, "//*[contains(@class, 'lm-MenuBar-itemLabel') and text()='Run']").click()
        _wait(lambda: browser.find_elements(By.XPATH, "//*[text()='Run All Cells']"), 20)[0].click()
        _wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea .widget-dropdown select"), 90)
        _wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea ul.findings li"), 90)
    finally:
        lab.terminate()
        lab.wait(20)


def _wait(condition, seconds: float):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except OSError:
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
