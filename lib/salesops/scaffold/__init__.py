"""`salesops new`: a new question, small and whole, to be rewritten from there."""

import re
from pathlib import Path

import nbformat

from salesops import lang, messages, project
from salesops.problems import BadInput

HERE = Path(__file__).parent
PLACEHOLDER = "QUESTION"
TAKEN = re.compile(r"[a-z][a-z0-9_]{1,30}")


def new(name: str, *, root: Path) -> list[Path]:
    """Write a slice (params, compute, charts, words), its notebook, parameter file, test, README row and translations.

    Returns
    -------
    list of Path
        What was written or changed.

    Raises
    ------
    BadInput
        If the name cannot be a package, or is taken. Nothing is written then.
    """
    package = project.PACKAGE / name
    problems = []
    if not TAKEN.fullmatch(name):
        problems.append(f"{name!r}: write a word of small letters, digits and _")
    elif package.exists() or package.with_suffix(".py").exists() or (root / "tests" / f"test_{name}.py").exists():
        problems.append(f"{name!r} is taken")
    if project.PACKAGE.parent.parent != root:
        problems.append(f"the library is not that of {root}; run `make reports` there, and use its .venv/bin/salesops")
    if problems:
        raise BadInput("no question was made", problems)
    written = {
        **{package / f"{part}.py": f"{part}.py" for part in ("__init__", "params", "compute", "charts", "words")},
        root / "params" / f"{name}.yml": "params.yml",
        root / "tests" / f"test_{name}.py": "test.py",
    }
    package.mkdir()
    for path, template in written.items():
        path.write_text(_filled(f"{template}.txt", name), "utf-8")
    notebook = root / "notebooks" / f"{name}.ipynb"
    nbformat.write(_notebook(name), notebook)
    _list_in_readme(root / "README.md", name)
    for language in lang.LANGUAGES[1:]:
        messages.renew(root, language, given=_translations(language))
    return [*written, notebook, root / "README.md", *map(messages.catalogue_path, lang.LANGUAGES[1:])]


def _filled(template: str, name: str) -> str:
    """A template with the name of the question in it, and the imports in order again."""
    text = (HERE / template).read_text("utf-8").replace(PLACEHOLDER, name)
    line = re.compile(r"^from salesops import (.+)$", flags=re.MULTILINE)
    return line.sub(lambda found: f"from salesops import {', '.join(sorted(found[1].split(', ')))}", text)


def _notebook(name: str):
    """The notebook: its cells stand in `notebook.txt`, each under a line that says its kind."""
    text = _filled("notebook.txt", name)
    cells = []
    for number, part in enumerate(re.split(r"^# %% ?", text, flags=re.MULTILINE)[1:]):
        kind, _, source = part.partition("\n")
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        tags = {"tags": [kind]} if kind not in ("markdown", "") else {}
        cells.append(make(source.strip(), id=f"{name}-{number:02}", metadata=tags))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _list_in_readme(path: Path, name: str) -> None:
    rows = list(
        re.finditer(r"^\| \[`\w+`\]\(notebooks/\w+\.ipynb\) \|.*\n", path.read_text("utf-8"), flags=re.MULTILINE)
    )
    text, end = path.read_text("utf-8"), rows[-1].end()
    row = f"| [`{name}`](notebooks/{name}.ipynb) | How many deals were created in each month? |\n"
    path.write_text(text[:end] + row + text[end:], "utf-8")


def _translations(language: str) -> dict[str, str]:
    """English -> another language, for the words of the new slice."""
    lines = (HERE / f"words.{language}.txt").read_text("utf-8").splitlines()
    return dict(line.split(" = ", 1) for line in lines if line)
