"""The house as a test: arrows go one way, one stem per question, the same packages everywhere."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from salesops.report import jobs

from tests.conftest import ROOT

LIBRARY = ROOT / "lib" / "salesops"
NEUTRAL = {
    "lang",
    "findings",
    "periods",
    "plaintext",
    "problems",
    "project",
    "settings",
    "sheets",
    "theme",
    "workdays",
    "yamlfile",
}  # the slices' words and looks
ANALYSES = jobs.analyses(ROOT)


def imports(path) -> set[str]:
    """Modules of the library that a file imports: crm, stats, report.show, funnel, ..."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "salesops":
            inside = node.module.removeprefix("salesops").lstrip(".")
            found |= {inside} if inside else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("salesops.") for alias in node.names if alias.name.startswith("salesops.")
            }
    return found


def outside(path) -> set[str]:
    """Third-party packages that a file imports."""
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    names = [alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names]
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    names += [node.module or "" for node in tree if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - {"salesops"}


@pytest.mark.parametrize("name", ANALYSES)
def test_a_question_has_all_its_parts(name):
    parts = [LIBRARY / name / f"{part}.py" for part in ("__init__", "params", "compute", "charts", "words")]
    parts += [ROOT / "notebooks" / f"{name}.ipynb", ROOT / "params" / f"{name}.yml", ROOT / "tests" / f"test_{name}.py"]
    assert not [str(part.relative_to(ROOT)) for part in parts if not part.is_file()]


@pytest.mark.parametrize("name", ANALYSES)
def test_a_slice_knows_crm_stats_and_itself(name):
    for path in (LIBRARY / name).glob("*.py"):
        tops = {module.split(".")[0] for module in imports(path)}
        assert tops <= {"crm", "stats", "pay", name} | NEUTRAL, path.name
    for part in ("compute", "counts"):
        path = LIBRARY / name / f"{part}.py"
        if path.is_file():
            assert not outside(path) & {"matplotlib", "seaborn", "IPython"}, part
            assert len(path.read_text().splitlines()) <= 260, part
    assert "pandas" not in outside(LIBRARY / name / "charts.py")
    assert len(importlib.import_module(f"salesops.{name}").__all__) <= 10


def test_stats_knows_nothing_and_crm_knows_no_question():
    for path in (LIBRARY / "stats").glob("*.py"):
        assert {m.split(".")[0] for m in imports(path)} <= {"stats"}, path.name
    for path in (LIBRARY / "crm").rglob("*.py"):
        assert {m.split(".")[0] for m in imports(path)} <= {
            "crm",
            "formats",
            "locks",
            "ownership",
            "periods",
            "plaintext",
            "problems",
            "project",
            "workdays",
            "yamlfile",
        }, path.name
    for path in (LIBRARY / "pay").glob("*.py"):
        assert {m.split(".")[0] for m in imports(path)} <= {"crm", "pay", "stats"} | NEUTRAL, path.name
        assert not outside(path) & {"matplotlib", "seaborn", "IPython"}, path.name


def test_the_report_knows_no_analysis():
    for path in (LIBRARY / "report").glob("*.py"):
        assert not {m.split(".")[0] for m in imports(path)} & set(ANALYSES), path.name


@pytest.mark.parametrize("name", ANALYSES)
def test_charts_have_no_colour_of_their_own(name):
    assert not re.search(r"#[0-9a-fA-F]{6}", (LIBRARY / name / "charts.py").read_text())


def test_no_module_is_named_for_nothing():
    assert not [p for p in LIBRARY.rglob("*.py") if p.stem in {"utils", "util", "helpers", "common", "misc", "tools"}]
    assert not [p for p in LIBRARY.rglob("*.py") if "filterwarnings" in p.read_text()]


def test_the_readme_lists_the_questions_on_disk():
    rows = re.findall(r"^\| \[`(\w+)`\]\(notebooks/(\w+)\.ipynb\) \|", (ROOT / "README.md").read_text(), flags=re.M)
    assert rows and all(name == stem for name, stem in rows)
    assert sorted(name for name, _ in rows) == ANALYSES


CONDA = {
    "duckdb": "python-duckdb",
    "ibis-framework": "ibis-duckdb",
    "matplotlib": "matplotlib-base",
    "tzdata": "python-tzdata",
}


def test_conda_and_pip_have_the_same_packages_and_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"python" + project["requires-python"]}
    for requirement in project["dependencies"]:
        name, bounds = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", requirement).groups()
        wanted.add(CONDA.get(name, name) + bounds)
    listed = [
        line for line in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"] if isinstance(line, str)
    ]
    assert set(listed) - {"pip"} == wanted


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock"])
def test_locks_have_hashes_and_no_addresses(lock):
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://|index[-]url|--find-links", text)
    packages = re.findall(r"^([\w.-]+)==", text, flags=re.M)
    assert len(packages) > 50 and text.count("--hash=sha256:") > len(packages)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[\w-]+", r)[0].lower() for r in project["dependencies"]}
    assert needed <= {p.lower() for p in packages}
    assert not {"pm4py", "scikit-survival", "lifelines"} & set(packages)


def test_help_and_checking_parameters_import_nothing_heavy():
    code = (
        "import sys, salesops.cli; from salesops.report import jobs, run, tell, workers; from pathlib import Path;"
        "run.plan(jobs.prepare([Path('params/monthly.yml')], overrides={})); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not {"pandas", "numpy", "ibis", "duckdb", "matplotlib", "papermill", "nbconvert", "IPython"} & set(
        done.stdout.split()
    )
