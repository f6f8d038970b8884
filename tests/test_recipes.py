"""Every recipe for unattended runs, by the program it is for or by that program's own checker."""

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.test_runner import make_small

RECIPES = ROOT / "recipes"
AIRFLOW = ROOT / ".cache" / "airflow" / "bin" / "python"
COMMAND = ".venv/bin/salesops report params/monthly.yml --period last-month --log json"
KNOWN = "2026-09"  # a month the sample knows whole; its last month and that of today's clock drift apart


@pytest.fixture
def place(project_copy) -> Path:
    """A project where the recipes expect one, with quickly made pages, and this environment as its own. Its pack has
    each question in one language; `make reports` makes the whole one."""
    make_small(project_copy)
    pack = project_copy / "params" / "monthly.yml"
    questions = dict.fromkeys(run["run"] for run in yaml.safe_load(pack.read_text())["runs"])
    pack.write_text(yaml.safe_dump({"runs": [{"run": name} for name in questions]}))
    (project_copy / "reports").mkdir()
    (project_copy / ".venv").symlink_to(sys.prefix)
    return project_copy


def run(command: str, place: Path) -> list[dict]:
    """Run a recipe's command line; gives the events of its log."""
    done = subprocess.run(["sh", "-ec", command], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    log = done.stdout or (place / "reports" / "monthly.log").read_text()
    return [json.loads(line) for line in log.splitlines()]


def there(place: Path, text: str) -> str:
    return text.replace("/srv/salesops", str(place))


@pytest.mark.slow
def test_the_crontab(place):
    """Its one line runs, and makes the pages of a month; Debian's cron takes the file."""
    lines = [line for line in (RECIPES / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    (line,) = [line for line in lines if not re.match(r"[A-Z]+=", line)]
    when, command = line.split(maxsplit=5)[:5], line.split(maxsplit=5)[5]
    assert when == ["10", "6", "1", "*", "*"] and "%" not in command and COMMAND in command
    events = run(there(place, command.replace("last-month", KNOWN)), place)
    assert events[-1]["event"] == "end" and events[-1]["failed"] == 0 and events[-1]["made"] == len(events) // 2 - 1
    assert (place / "reports" / KNOWN / "index.html").is_file()
    for event in events:
        assert dt.datetime.fromisoformat(event["at"]).utcoffset() == dt.timedelta(0)
    if shutil.which("crontab"):
        done = subprocess.run(["crontab", "-n", str(RECIPES / "crontab")], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_systemd_units(place, tmp_path_factory):
    units = tmp_path_factory.mktemp("units")
    for name in ("salesops.service", "salesops.timer"):
        text = (RECIPES / name).read_text().replace("User=salesops\n", "")
        (units / name).write_text(there(place, text))
    done = subprocess.run(["systemd-analyze", "verify", *map(str, units.iterdir())], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "salesops" in line]
    assert done.returncode == 0 and not said, done.stderr
    calendar = re.search(r"OnCalendar=(.*)", (RECIPES / "salesops.timer").read_text())[1]
    assert subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True).returncode == 0
    assert f"ExecStart=/srv/salesops/{COMMAND}" in (RECIPES / "salesops.service").read_text()


@pytest.mark.parametrize(
    ("name", "schema"), [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")]
)
def test_the_files_of_code_hosts_meet_their_schemas_and_run_our_command(name, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(RECIPES / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    content = yaml.safe_load((RECIPES / name).read_text())
    if name.startswith("github"):
        steps = [step["run"] for step in content["jobs"]["pages"]["steps"] if "run" in step]
    else:
        steps = content["pages-of-the-month"]["script"]
    assert steps == ["make setup", COMMAND]
    assert re.search(r"^setup: \$\(READY\)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(not AIRFLOW.is_file(), reason="Airflow is not installed in .cache/airflow")
def test_the_airflow_dag(place, tmp_path):
    """Imported by real Airflow; the command of the run of 1 January is for December, and runs."""
    code = f"""
import importlib.util, json, pendulum
from airflow.sdk import DAG
made = []
init = DAG.__attrs_post_init__
def remember(self): made.append(self); init(self)
DAG.__attrs_post_init__ = remember
spec = importlib.util.spec_from_file_location("dag", {str(RECIPES / "airflow_dag.py")!r})
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
(dag,) = made
dag.validate()
(task,) = dag.tasks
end = pendulum.datetime(2027, 1, 1, 5, 10, tz="UTC")
from airflow.sdk.execution_time import macros
task.render_template_fields({{"data_interval_end": end, "macros": macros, "dag": dag}})
print(json.dumps([dag.dag_id, task.bash_command, task.cwd]))
"""
    home = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONPATH": ""}
    done = subprocess.run([AIRFLOW, "-c", code], capture_output=True, text=True, env=home)
    assert done.returncode == 0, done.stderr
    dag, command, cwd = json.loads(done.stdout.splitlines()[-1])
    assert dag == "salesops_monthly" and cwd == "/srv/salesops"
    assert command == COMMAND.replace("last-month", "2026-12")
    assert run(command.replace("2026-12", KNOWN), place)[-1]["failed"] == 0


@pytest.mark.slow
def test_a_job_of_jupyter_scheduler_makes_the_same_page(salesops, tmp_path, root):
    """By the extension's own executor and data base, from a staging folder, with parameters as it pastes them."""
    from jupyter_scheduler.executors import DefaultExecutionManager
    from jupyter_scheduler.orm import Job, create_session, create_tables

    assert salesops("report", "params/funnel.yml", "--out", tmp_path, "-p", "months", "3").returncode == 0
    staged = tmp_path / "staged" / "funnel.ipynb"
    staged.parent.mkdir()
    shutil.copy(root / "notebooks" / "funnel.ipynb", staged)
    data_base = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    create_tables(data_base)
    with create_session(data_base)() as session:
        job = Job(
            runtime_environment_name="python3",
            input_filename="funnel.ipynb",
            output_formats=["salesops"],
            parameters={"period": '"2026-10"', "months": "3"},
            name="funnel",
        )
        session.add(job)
        session.commit()
        number = job.job_id
    page = tmp_path / "staged" / "funnel.html"
    paths = {"input": str(staged), "salesops": str(page)}
    DefaultExecutionManager(number, str(tmp_path), data_base, paths).process()
    with create_session(data_base)() as session:
        assert session.query(Job).one().status == "COMPLETED"
    assert page.read_bytes() == (tmp_path / "2026-10" / "funnel.html").read_bytes()


def test_the_exit_codes_are_documented_as_they_are():
    from salesops import cli

    table = (RECIPES / "README.md").read_text()
    assert [cli.FAILED, cli.REFUSED, cli.LOCKED] == [1, 2, 3]
    assert re.findall(r"^\| ([\d, ]+) \|", table, flags=re.MULTILINE) == ["0", "1", "2", "3", "70", "130, 143"]
