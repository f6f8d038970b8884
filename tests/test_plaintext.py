"""The border of text: what leaves for a page, a terminal, a log or a workbook hides nothing."""

import datetime as dt
import io
import json
import unicodedata

import nbformat
import pytest
import python_calamine
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from salesops import cli, plaintext, sheets
from salesops.findings import FINDINGS, FRONT, PAGE
from salesops.problems import BadInput, Problem
from salesops.process.events import _harmless
from salesops.report import files, ledger, manifest, render, tell

ORDINARY = [
    "Acme Ltd., 1 000 € – “fine”",
    "Привет, «Ромашка» № 5 — ёж",
    "می‌خواهم کتاب‌ها را بخوانم",  # Persian with zero-width non-joiners
    "क्‍ष क्‌ष",  # joiner and non-joiner inside Hindi conjuncts
    "👩‍💻 👨‍👩‍👧 🏳️‍🌈 ❤️‍🔥 👩🏽‍🚀 1️⃣ 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "שלום עולם",
    "葛󠄀城",  # a variant of a character
    "🫨",  # newer than the table of characters of Python 3.11
    "á e\u0301",
]
HOSTILE = ["\x1b[31m", "\x9b2J", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2060", "\U000e0041", "\ud800", "\ue000",
           "\ufffe", "\u3164", "\x00", "\x7f", "\u034f"]  # fmt: skip
SCRIPT = "A\u202eB\x1b[31mC\u200bD"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text):
    assert plaintext.clean(text) == text
    assert plaintext.clean(f"<p>{text}</p>\n", lines=True) == f"<p>{text}</p>\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_hidden_is_shown(text):
    shown = plaintext.clean(f"Acme{text}Corp")
    assert text not in shown and plaintext.MARK in shown and shown.startswith("Acme") and shown.endswith("Corp")


def test_breaks_are_spaces_unless_lines_are_meant():
    assert plaintext.clean("a\nb\tc\u2028d\x85e") == "a b c d e"
    assert plaintext.clean("a\r\nb\tc\u2028d", lines=True) == "a\r\nb\tc d"
    assert plaintext.clean("so\u00adft a\u200e1") == "soft a1"


@pytest.mark.parametrize("text", ["pay\u200cpal", "pay\u200dpal", "\u200d😀", "😀\u200d\u202e", "a\ufe0f\ufe0f",
                                  "🏴\U000e0067\U000e0062\U000e0078\U000e007f", " \ufe0f"])  # fmt: skip
def test_joiners_and_selectors_stay_only_where_they_do_something(text):
    assert plaintext.MARK in plaintext.clean(text)


@given(st.text(st.one_of(st.characters(), st.sampled_from("".join(ORDINARY) + "\u200c\u200d\ufe0f\u202e\n\x1b"))),
       st.booleans())  # fmt: skip
@example("😀\u200d\ufe0f\u200c", False)
@example("🏴\u00ad\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", False)
def test_clean_text_is_clean_whatever_it_was(text, lines):
    shown = plaintext.clean(text, lines=lines)
    assert plaintext.clean(shown, lines=lines) == shown
    kept = plaintext._FLAGS.sub("", shown)
    odd = [c for c in kept if plaintext.is_hidden(c) and c not in "\u200c\u200d" + ("\t\n\r" if lines else "")]
    assert not odd
    assert not {unicodedata.category(c) for c in kept if c not in plaintext.SEEN_SIGNS} & {"Cs", "Co"}
    for at, c in enumerate(kept):
        assert c not in "\u200c\u200d" or 0 < at < len(kept) - 1


def executed(**page) -> nbformat.NotebookNode:
    about = {"analysis": "funnel", "parameters": {"lang": "en", "region": SCRIPT, "team": ""}, "title": "Funnel",
             "company": SCRIPT, "currency": "USD", "period": "2026-10", "as_of": "2026-10-31", "facts": [SCRIPT],
             "data": "0" * 64, **page}  # fmt: skip
    found = {"tone": "bad", "headline": SCRIPT, "detail": SCRIPT, "key": "a/b"}
    data = {
        PAGE: about,
        FINDINGS: [found],
        FRONT: [{"name": SCRIPT, "series": [1, 2]}],
        "text/html": f"<p>{SCRIPT}</p>",
    }
    output = nbformat.v4.new_output("display_data", data)
    cells = [nbformat.v4.new_markdown_cell("## A"), nbformat.v4.new_code_cell("", outputs=[output])]
    return nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def test_title_deck_findings_and_page_hide_nothing(root, monkeypatch):
    monkeypatch.chdir(root)
    notebook = executed()
    known = render.facts(notebook)
    texts = [known.headline, known.deck, known.page["company"], known.tiles[0]["name"], known.findings[0]["detail"]]
    assert all(plaintext.clean(one) == one and plaintext.MARK in one for one in texts)
    assert known.page["parameters"]["region"] == SCRIPT  # what a page is made with again stays as it was said
    page = render.render(notebook)
    assert plaintext.clean(page, lines=True) == page and "A\ufffdB\ufffd[31mC\ufffdD" in page


RECORD = {"page": "funnel.html", "lang": "en", "title": "Funnel", "company": "Acme", "period": "October", "deck": "",
          "headline": "A headline", "hashes": {}, "versions": {}, "seconds": {}, "parameters": {}, "analysis": "funnel",
          "findings": [{"tone": "bad", "headline": "It fell", "detail": "Much.", "key": "a/b", "money": 1.0, "p": None},
                       {"tone": "good", "headline": "On plan", "detail": "Yes.", "status": True}],
          "tiles": [{"name": "Won", "value": "1", "change": "", "against": "", "note": "", "tone": "plain",
                     "series": [1, 2], "at": [], "texts": [], "key": "won"}]}  # fmt: skip


def front_page(tmp_path, **changed) -> str:
    folder = tmp_path / "2026-10"
    folder.mkdir(exist_ok=True)
    content = {"pages": {"funnel": RECORD | changed}, "not_made": {}}
    (folder / "manifest.json").write_text(json.dumps(content), "utf-8")
    read = manifest.Folder(folder)
    read._changed = True
    read.write()
    return (folder / "index.html").read_text("utf-8")


@pytest.mark.parametrize("address", ["//evil.example", "//evil.example/x.html", "https://evil.example/x", "/x.html",
                                     "javascript:alert(1)", "../../x.html", "..\\x.html", ".html", "x", "a\u202e.html",
                                     "", "/etc/passwd", "\\\\evil\\x.html"])  # fmt: skip
def test_what_is_no_page_of_the_folder_is_no_link(tmp_path, address, monkeypatch):
    """The manifest's reader drops such a record; were one to come through, the front page shows text alone."""
    assert "A headline" not in front_page(tmp_path, page=address)
    monkeypatch.setattr(manifest, "_is_whole", lambda _stem, _page: True)
    page = front_page(tmp_path, page=address)
    assert "A headline" in page and "It fell" in page and 'href="' in page
    assert [one.split('"')[0] for one in page.split('href="')[1:]] == ["#main"]


def test_links_of_pages_are_their_names(tmp_path):
    page = front_page(tmp_path)
    assert {one.split('"')[0] for one in page.split('href="')[1:]} == {"#main", "funnel.html"}
    assert files.is_page_name("funnel.мой вид#1.html")


def test_a_manifest_cannot_put_markup_or_directions_into_the_front_page(tmp_path):
    hostile = '"><script>alert(1)</script>' + SCRIPT
    found = [{**one, "headline": hostile, "tone": hostile, "detail": hostile} for one in RECORD["findings"]]
    tiles = [{**RECORD["tiles"][0], "name": hostile, "value": hostile, "tone": hostile, "note": hostile}]
    page = front_page(tmp_path, title=hostile, company=hostile, headline=hostile, findings=found, tiles=tiles)
    assert "<script" not in page and plaintext.clean(page, lines=True) == page


def test_a_language_of_the_manifest_names_no_other_file(tmp_path):
    (tmp_path / "2026-10" / "index.").mkdir(parents=True)
    front_page(tmp_path, lang="/../../../evil")
    assert not list(tmp_path.glob("*evil*"))


def test_findings_of_others_are_not_taken(tmp_path):
    row = ledger.Row("F-000000", "2026-09", ledger.OPEN, 1, "funnel", "funnel", "en", "k", "c", "bad", "h", "d", 1.0,
                     None, 3.0)  # fmt: skip
    ledger.write(tmp_path, [row])
    assert ledger.read(tmp_path) == [row]
    for changed in ({"id": '"><script>'}, {"period": "x"}, {"lang": "/../x"}, {"state": "?"}):
        ledger.write(tmp_path, [row._replace(**changed)])
        with pytest.raises(ValueError, match="not as it was written"):
            ledger.read(tmp_path)


def test_a_file_name_cannot_forge_a_line_of_the_log(capsys):
    name = "x\x1b[2K\rok\n2026-10/funnel: made"
    say = tell.Text(2)
    say("page", name=name, why="new")
    say("made", name=name, page=f"/tmp/{name}.html")
    say("failed", name=name, reason=f"a: {name}", page="")
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert "\x1b" not in said.out + said.err and len(lines) == 5
    assert not any(line.startswith("2026-10/funnel: made") for line in lines)


def test_messages_of_the_command_line_hide_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "fun\x1b[31mnel\nok: all is well.yml"
    done = CliRunner().invoke(cli.main, ["report", name])
    assert done.exit_code == 2 and "\x1b" not in done.output
    assert not any(line.startswith("ok:") for line in done.output.splitlines())
    done = CliRunner().invoke(cli.main, ["check", f"acme:{name}", "--json"])
    assert "\x1b" not in done.output


def test_a_problem_is_one_line_whatever_stands_in_it():
    problem = Problem("a\nb\x1b.csv", 1, "c\nd", "e\nf", "g\nh")
    error = BadInput("x\ny", [problem, "z\nfree: text", BadInput("inner", [problem])])
    assert "\x1b" not in str(error) and str(problem).count("\n") == 0
    assert [line[:2] for line in str(error).splitlines()] == ["x ", "  ", "  ", "  ", "  "]


def test_a_long_list_is_cut_in_a_message():
    problem = Problem("a.csv", 1, "", "", "has " + ", ".join(map(str, range(100_000))))
    assert len(str(BadInput("x", [problem] * 100))) < 100_000


def test_texts_of_workbooks_hide_nothing_and_are_no_formulas():
    stream = io.BytesIO()
    book = sheets.workbook(stream, dt.date(2026, 1, 1))
    sheet = book.add_worksheet("S")
    for at, text in enumerate([SCRIPT, "=1+1", "a\nb", "x" * 40_000, "\ud800"]):
        sheet.write_string(at, 0, text)
    book.close()
    read = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(stream.getvalue()))
    texts = [row[0] for row in read.get_sheet_by_name("S").to_python()]
    assert texts[:3] == ["A\ufffdB\ufffd[31mC\ufffdD", "=1+1", "a\nb"] and texts[4] == "\ufffd"
    assert texts[3].endswith("…")  # a cell that is too long is cut where it can be seen


@pytest.mark.parametrize("text", ["=1+1", "\u00ad=1+1", "\u200e@x", " +1", "\t-1"])
def test_a_cell_of_an_event_log_is_no_formula(text):
    assert _harmless(text).startswith("'")
