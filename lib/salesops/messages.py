"""The playbook's own text, collected for translation: `python -m salesops.messages` renews the catalogues.

Sentences are found in the library by their mark, `_()` or `ngettext()`; the meanings of parameters in the
schemas; the Markdown of notebooks paragraph by paragraph.
"""

import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import nbformat
from babel.messages import Catalog, extract, pofile

from salesops import lang, project
from salesops.report import jobs, render

KEYWORDS = {"_": None, "ngettext": (1, 2)}


def collect(root: Path) -> dict[str, str | None]:
    """Every message of the playbook -> its plural, None where it has none."""
    found: dict[str, str | None] = {}
    for path in sorted(project.PACKAGE.rglob("*.py")):
        for _line, message, _comments, _context in extract.extract("python", io.BytesIO(path.read_bytes()), KEYWORDS):
            one, many = message if isinstance(message, tuple) else (message, None)
            found[one] = many
    for analysis in jobs.analyses(root):
        for field in importlib.import_module(f"salesops.{analysis}.params").Params.model_fields.values():
            found |= dict.fromkeys(filter(None, (field.description, field.json_schema_extra["unit"])))
        notebook = nbformat.read(root / "notebooks" / f"{analysis}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                found |= {text: None for _mark, text in render.blocks(cell.source)}
    return found


def catalogue_path(language: str) -> Path:
    return project.PACKAGE / "locale" / language / "LC_MESSAGES" / "salesops.po"


def read(language: str) -> Catalog:
    path = catalogue_path(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as source:
        return pofile.read_po(source, locale=language)


def renew(root: Path, language: str, *, given: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write the catalogue with today's messages: new ones as `given`, else untranslated; gone ones removed."""
    old, new = read(language), Catalog(locale=language, project="SalesOps Playbook", charset="utf-8")
    new.mime_headers = []
    for one, many in sorted(collect(root).items()):
        known = old.get(one)
        text = known.string if known is not None and bool(known.pluralizable) == bool(many) else given.get(one, "")
        new.add((one, many) if many else one, text or ("" if not many else ("",) * new.num_plurals))
    written = io.BytesIO()
    pofile.write_po(written, new, width=110, omit_header=True, no_location=True)
    forms = f'"Plural-Forms: {new.plural_forms}\\n"'
    header = (
        f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: {language}\\n"\n{forms}\n\n'
    )
    catalogue_path(language).parent.mkdir(parents=True, exist_ok=True)
    catalogue_path(language).write_text(header + written.getvalue().decode("utf-8"), "utf-8")


if __name__ == "__main__":
    for other in lang.LANGUAGES:
        if other != "en":
            renew(project.root(), other)
