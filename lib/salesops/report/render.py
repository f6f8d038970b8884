"""From an executed notebook to one self-contained page, by nbconvert with the playbook's own template."""

import re
from functools import lru_cache
from typing import NamedTuple

import nbformat
from nbconvert import HTMLExporter

from salesops import lang, plaintext, project
from salesops.findings import FINDINGS, FRONT, PAGE
from salesops.lang import _
from salesops.report import inputs
from salesops.report.files import TEMPLATES


class Facts(NamedTuple):
    """What an executed notebook says of itself, as data."""

    page: dict  # title, company, period, as_of, facts, data (hash)
    findings: list[dict]
    tiles: list[dict]  # those for the front page

    @property
    def headline(self) -> str:
        return self.findings[0]["headline"] if self.findings else self.page["title"]

    @property
    def deck(self) -> str:
        known = _("data as of {day}").format(day=self.page["as_of"])
        return " · ".join([self.page["title"], self.page["company"], self.page["period"], known, *self.page["facts"]])


def facts(notebook: nbformat.NotebookNode) -> Facts:
    """The page's facts and all findings, in the order they were shown.

    Raises
    ------
    ValueError
        If the notebook never began a page (`show.start`).
    """
    found: dict[str, list] = {PAGE: [], FINDINGS: [], FRONT: []}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for mime, collected in found.items():
                if mime in output.get("data", {}):
                    collected.append(output["data"][mime])
    if not found[PAGE]:
        raise ValueError("the notebook does not call show.start, so its page has no title")
    findings, tiles = ([_clean(dict(one)) for group in found[mime] for one in group] for mime in (FINDINGS, FRONT))
    page = dict(found[PAGE][0])
    return Facts(page | _clean({name: value for name, value in page.items() if name != "parameters"}), findings, tiles)


def _clean(value):
    """Data whose every text is clean; parameters are not text but what the page is made with again."""
    if isinstance(value, dict):
        return {name: _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return plaintext.clean(value) if isinstance(value, str) else value


class PageExporter(HTMLExporter):
    """Executed notebook to page; also `jupyter nbconvert --to salesops`, for a notebook that plain papermill ran."""

    export_from_notebook = "SalesOps page"
    template_name = "salesops"
    exclude_anchor_links = True
    optimistic_validation = True  # once, after everything that changes the notebook; not after each step

    def __init__(self, config=None, **kwargs):
        super().__init__(config=config, extra_template_basedirs=[str(TEMPLATES)], **kwargs)

    def from_notebook_node(self, nb, resources=None, **kwargs):
        known = facts(nb)
        lang.use(known.page["parameters"]["lang"])
        page = _page(nb, known)
        body, resources = super().from_notebook_node(nb, resources={**(resources or {}), "page": page}, **kwargs)
        return plaintext.clean(re.sub(r"\n\s*\n+", "\n", body).strip(), lines=True) + "\n", resources


@lru_cache
def exporter() -> PageExporter:
    """One for the process: its templates are compiled once."""
    return PageExporter()


def render(notebook: nbformat.NotebookNode) -> str:
    """The page of an executed notebook; its Markdown is English and is translated here.

    Raises
    ------
    ValueError
        If the notebook never began a page.
    """
    return exporter().from_notebook_node(notebook)[0]


def rehearse() -> None:
    """Make a page of nothing, so that templates and patterns are compiled before the first real one."""
    cells = [
        nbformat.v4.new_markdown_cell("## A heading\n\nA *word* of `text`."),
        nbformat.v4.new_code_cell(
            "", outputs=[nbformat.v4.new_output("display_data", {"text/html": "<table><tr><td>&lt;</td></tr></table>"})]
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    page = {"sections": _sections(notebook), "made": [], "words": {}, "parameters": {}}
    HTMLExporter.from_notebook_node(exporter(), notebook, resources={"page": page})


def _page(notebook: nbformat.NotebookNode, known: Facts) -> dict:
    """What the template is told. There is no clock in it: same inputs, same bytes."""
    made = inputs.of(project.root(), known.page["analysis"], known.page["parameters"], data=known.page["data"])
    return {
        **known.page,
        "lang": lang.current(),
        "headline": known.headline,
        "deck": known.deck,
        "sections": _sections(notebook),
        "made": [*((name, value[:16]) for name, value in made.hashes.items()), *made.versions.items()],
        "words": {
            "skip": _("Skip to the report"),
            "pages": _("Pages"),
            "contents": _("Contents"),
            "made": _("How this page was made"),
            "made_how": _(
                "By a notebook that papermill executed with the parameters above. The same inputs give the same bytes; "
                "these are their fingerprints (SHA-256, shortened) and the versions used."
            ),
        },
    }


def _sections(notebook: nbformat.NotebookNode) -> list[dict]:
    """The notebook cut at its `##` headings; what stands before the first is the page's head."""
    sections: list[dict] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = translate(cell.source)
            if match := re.match(r"## (.+)\n?", source):
                english = re.match(r"## (.+)", cell.source)[1]
                anchor = re.sub(r"[^a-z0-9]+", "-", english.lower()).strip("-")
                sections.append({"id": anchor, "title": match[1].strip(), "cells": []})
                source = source[match.end() :].strip()
            cell = nbformat.from_dict({**cell, "source": source})
        if sections and (cell.cell_type != "markdown" or cell.source):
            sections[-1]["cells"].append(cell)
    return sections


def blocks(source: str) -> list[tuple[str, str]]:
    """The translatable parts of Markdown: (mark of a heading or "", text), by paragraph."""
    parts = [part for part in re.split(r"\n\s*\n", source) if part.strip()]
    found = []
    for part in parts:
        first, _newline, rest = part.strip().partition("\n")
        if match := re.match(r"(#+ )(.*)", first):
            found.append((match[1], match[2].strip()))
            if rest.strip():
                found.append(("", " ".join(rest.split())))
        else:
            found.append(("", " ".join(part.split())))
    return found


def translate(source: str) -> str:
    """Markdown in the page's language, paragraph by paragraph."""
    return "\n\n".join(mark + _(text) for mark, text in blocks(source))
