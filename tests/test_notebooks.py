"""House rules of the notebooks: thin, clean, and in step with schema and parameter files."""

import ast
import importlib
import re

import nbformat
import pytest
from salesops import yamlfile
from salesops.report import jobs

from tests.conftest import ROOT

NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def load(name: str):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def tagged(notebook, tag: str):
    return next(cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_are_committed_and_ids_are_fixed(name):
    notebook = load(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert re.fullmatch(rf"{name}-[a-z0-9-]+", cell.id)
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_its_order(name):
    notebook = load(name)
    markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    sections = [line[3:] for source in markdown for line in source.splitlines() if line.startswith("## ")]
    assert notebook.cells[0].source.startswith("# ") and "?" in notebook.cells[0].source
    assert sections[0] == "What we find" and sections[-1] == "Parameters of this run"
    assert not re.search(r"\d|\$", " ".join(markdown)), "a number in Markdown goes stale; mathematics needs the network"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_no_logic(name):
    banned = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.Try)
    for cell in load(name).cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            assert not [node for node in ast.walk(tree) if isinstance(node, banned)], cell.source
            assert len(cell.source.splitlines()) <= 14 or "parameters" in cell.metadata.get("tags", [])
            assert "print(" not in cell.source


@pytest.mark.parametrize("name", NAMES)
def test_parameters_cell_schema_and_files_are_in_step(name):
    schema = importlib.import_module(f"salesops.{name}.params").Params
    cell = ast.parse(tagged(load(name), "parameters").source)
    declared = {node.target.id: ast.literal_eval(node.value) for node in cell.body}
    assert all(isinstance(node, ast.AnnAssign) for node in cell.body)
    assert list(declared) == list(schema.model_fields)
    schema.check(declared, where="the parameters cell")
    assert all("=" not in line.partition("#")[2] for line in tagged(load(name), "parameters").source.splitlines())
    handed = next(one for one in ast.walk(ast.parse(tagged(load(name), "setup").source))
                  if isinstance(one, ast.Call) and getattr(one.func, "attr", "") == "Params")  # fmt: skip
    assert [word.arg for word in handed.keywords] == list(declared)
    paths = sorted((ROOT / "params").glob(f"{name}.*yml"))
    assert (ROOT / "params" / f"{name}.yml") in paths
    for path in paths:
        assert list(yamlfile.load(path)) == list(schema.model_fields), path.name
        jobs.prepare([path], overrides={})
    assert yamlfile.load(ROOT / "params" / f"{name}.yml") == declared


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_have_controls_before_anything_is_computed(name):
    cells = [cell for cell in load(name).cells if cell.cell_type == "code"]
    assert [cell.metadata.tags for cell in cells[:3]] == [["parameters"], ["controls"], ["setup"]]
    assert cells[1].source.endswith(f"controls({name}.Params)")


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_meaning(name):
    for field in importlib.import_module(f"salesops.{name}.params").Params.model_fields.values():
        assert field.description and "unit" in field.json_schema_extra


def test_every_notebook_is_an_analysis_and_the_other_way_round():
    assert jobs.analyses(ROOT) == NAMES
