"""From an executed notebook to one self-contained page, by nbconvert with the playbook's own template."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import nbformat

from salesops import lang
from salesops.lang import _
from salesops.project import PACKAGE
from salesops.report.show import FINDINGS, PAGE

TEMPLATES = PACKAGE / "report" / "templates"


class Facts(NamedTuple):
    """What an executed notebook says of itself, as data."""

    page: dict  # title, company, period, as_of, facts, data (hash)
    findings: list[dict]

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
    found: dict[str, list] = {PAGE: [], FINDINGS: []}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for mime, collected in found.items():
                if mime in output.get("data", {}):
                    collected.append(output["data"][mime])
    if not found[PAGE]:
        raise ValueError("the notebook does not call show.start, so its page has no title")
    return Facts(dict(found[PAGE][0]), [dict(finding) for group in found[FINDINGS] for finding in group])


def render(notebook: nbformat.NotebookNode, *, language: str, made: Mapping[str, str]) -> str:
    """The page of an executed notebook.

    Parameters
    ----------
    notebook : executed; its Markdown is English and is translated here.
    language : of the page.
    made : how it was made: name -> value, shown at the end. No clock in it: same inputs, same bytes.
    """
    from nbconvert import HTMLExporter

    lang.use(language)
    known = facts(notebook)
    page = {
        **known.page,
        "lang": language,
        "headline": known.headline,
        "deck": known.deck,
        "sections": _sections(notebook),
        "made": list(made.items()),
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
    exporter = HTMLExporter(template_name="salesops", extra_template_basedirs=[str(TEMPLATES)])
    exporter.exclude_anchor_links = True
    body, _resources = exporter.from_notebook_node(notebook, resources={"page": page})
    return re.sub(r"\n\s*\n+", "\n", body).strip() + "\n"


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
