"""From a parameter file to a page, for real: papermill, a kernel, nbconvert, files on disk."""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from salesops.report import banner, files, jobs, manifest, records

CODE = "\"); import os; os.remove('x'); (\""


@pytest.fixture(scope="module")
def made(salesops, tmp_path_factory) -> Path:
    """The sample company's page in both languages; the folder of its period."""
    out = tmp_path_factory.mktemp("reports")
    for language in ("en", "ru"):
        done = salesops("report", "params/funnel.yml", "--out", out, "--lang", language)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == str(out / "2026-10" / "index.html")
    return out / "2026-10"


class Page(html.parser.HTMLParser):
    """What a browser would find in a page: tags with their attributes, and the text outside of styles."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "script"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if not self.open:
            self.text.append(data)


@pytest.mark.parametrize("name", ["funnel.html", "funnel.ru.html", "index.html"])
def test_a_page_is_self_contained_and_readable_by_everyone(made, name):
    page = Page(made / name)
    names = [tag for tag, _ in page.tags]
    assert "script" not in names and names.count("h1") == 1
    for tag, attributes in page.tags:
        for attribute in ("src", "href", "data", "action", "poster"):
            value = attributes.get(attribute) or ""
            assert value.startswith(("#", "data:image/", "index.html", "index.ru.html", "funnel")) or not value, (
                tag,
                value,
            )
        assert not [a for a in attributes if a.startswith("on")]
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", (made / name).read_text("utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "svg":
            spoken = attributes.get("role") == "img" and attributes["aria-labelledby"] in ids
            assert spoken or attributes["aria-hidden"] == "true"  # its number stands beside it
        if tag == "a":
            assert not attributes["href"].startswith("#") or attributes["href"][1:] in ids
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
    assert names.count("table") == names.count("caption")
    assert names.count("figure") == names.count("figcaption")


def test_a_page_says_what_it_rests_on(made):
    text = " ".join(" ".join(Page(made / "funnel.html").text).split())
    for part in (
        "What we find",
        "Parameters of this run",
        "How this page was made",
        "data as of 31 Oct 2026",
        "horizon_days",
        "Northwind Instruments",
        "Won ÷ (won + lost)",
        "95% interval",
        "Refused rows none",
    ):
        assert part in text
    assert not re.search(r"\bnan\b|\bNone\b|NaN|Traceback|import ", text)
    assert (made / "funnel.html").stat().st_size < 200_000


def test_the_manifest_and_the_index_know_the_findings(made):
    pages = json.loads((made / "manifest.json").read_text())["pages"]
    assert set(pages) == {"funnel", "funnel.ru"}
    page = pages["funnel"]
    assert set(page["hashes"]) == {"data", "parameters", "files", "code", "lock", "page"}
    assert all(len(value) == 64 for value in page["hashes"].values())
    assert page["hashes"]["page"] == files.sha256((made / "funnel.html").read_bytes())
    assert page["seconds"]["execute"] > 0 and page["versions"]["papermill"]
    assert page["parameters"]["period"] == "2026-10" and page["headline"] == page["findings"][0]["headline"]
    for stem, name in (("funnel", "index.html"), ("funnel.ru", "index.ru.html")):
        assert pages[stem]["headline"] in " ".join(Page(made / name).text)


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(made, salesops, tmp_path, monkeypatch):
    """Another process, another folder, a fresh cache of books, another time zone and locale of the machine."""
    elsewhere = {**os.environ, "SALESOPS_CACHE": str(tmp_path / "cache"), "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    for language in ("en", "ru"):
        assert (
            salesops("report", "params/funnel.yml", "--out", tmp_path, "--lang", language, env=elsewhere).returncode
            == 0
        )
    for name in ("funnel.html", "funnel.ru.html", "index.html", "index.ru.html"):
        assert (tmp_path / "2026-10" / name).read_bytes() == (made / name).read_bytes(), name
    kept = [records.findings(folder).read_bytes() for folder in (tmp_path / "2026-10", made)]
    assert kept[0] == kept[1]


def test_nothing_is_left_in_english_on_the_russian_page(made):
    english, russian = (" ".join(Page(made / name).text) for name in ("funnel.html", "funnel.ru.html"))
    known = [
        "Qualified",
        "Discovery",
        "Proposal",
        "Negotiation",
        "Enterprise",
        "Northwind",
        "Instruments",
        "sample",
        "company",
        "New",
        "business",
        "Lost",
        "Won",
    ]
    words = set(re.findall(r"[A-Za-z]{4,}", russian.partition("Источники")[0])) - set(known)
    names = set(re.findall(r"[A-Za-z]+", " ".join(re.findall(r"[A-Z]\w+ [A-Z]\w+ \d+: \w+", english))))
    assert words - names <= {"market"}, words - names
    assert Page(made / "funnel.ru.html").tags[0][1]["lang"] == "ru"
    assert "п. п." in russian and "1 788" not in russian.replace("\N{NO-BREAK SPACE}", "_")


def test_a_broken_manifest_is_made_anew(tmp_path):
    needed = ("page", "lang", "title", "company", "period", "headline", "deck")
    page = dict.fromkeys(needed, "en") | {"findings": []}
    page |= {name: {} for name in ("hashes", "versions", "seconds", "parameters")}
    for text in ("[]", '{"pages": []}', '{"pages": {"a": 5, "b": {}}}', "{", ""):
        (tmp_path / "manifest.json").write_text(text)
        folder = manifest.Folder(tmp_path)
        folder.made("x#y", f"{files.OURS[0]} a page", page | {"page": "x#y.html"})
        folder.write()
        assert set(manifest.Folder(tmp_path).pages) == {"x#y"}
        assert 'href="x%23y.html"' in (tmp_path / "index.html").read_text()


def test_nothing_private_stays_behind(made):
    assert sorted(p.name for p in made.iterdir()) == [
        "funnel.html", "funnel.ru.html", "index.html", "index.ru.html", "manifest.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["params/funnel.yml", "-p", "perod", "2026-10"], ["perod: unknown, did you mean period?"]),
        (["params/funnel.yml", "-p", "min_deals", "few", "-p", "lang", "fr"], ["min_deals", "'few'", "lang", "'fr'"]),
        (["params/funnel.yml", "--period", "2026-13"], ["'2026-13' is not a period: write 2026-10 (month)"]),
        (["params/nothing.yml"], ["there is no such file"]),
        (["params/crm/maven.yml"], ["no analysis 'maven'; there are: bridge, buying, cohort, comp"]),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(salesops, tmp_path, arguments, says):
    done = salesops("report", *arguments, "--out", tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert all(part in done.stderr for part in says), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_parameter_never_becomes_code(salesops, project_copy):
    """From YAML and from the command line; as a value that the schema lets through, and papermill writes."""
    victim = project_copy / "x"
    victim.write_text("still here")
    path = project_copy / "params" / "funnel.yml"
    values = yaml.safe_load(path.read_text()) | {"pipeline": CODE}
    path.write_text(yaml.safe_dump(values))
    for extra in ([], ["-p", "pipeline", CODE + "\n__import__('os').remove('x')"]):
        done = salesops("report", path, "--out", project_copy / "reports", *extra, cwd=project_copy)
        assert done.returncode == 1, done.stderr
        assert "is not in the source" in done.stderr and victim.read_text() == "still here"
    kept = nbformat.read(project_copy / "reports" / "2026-10" / "failed" / "funnel.ipynb", as_version=4)
    assert any(
        output.output_type == "error" for cell in kept.cells if cell.cell_type == "code" for output in cell.outputs
    )


@pytest.mark.slow
def test_a_failure_keeps_the_earlier_page_and_the_notebook_with_its_error(made, salesops, tmp_path):
    """The page says that it was not renewed, and why, in its own language; the index too; until it is."""
    folder = tmp_path / "2026-10"
    shutil.copytree(made, folder)
    before = {path.name: path.read_bytes().decode("utf-8", "replace") for path in folder.iterdir()}
    for language, words in (("en", "Not renewed on"), ("ru", "Не обновлено")):
        stem = "funnel" if language == "en" else "funnel.ru"
        arguments = ["report", "params/funnel.yml", "--out", tmp_path, "--lang", language]
        done = salesops(*arguments, "-p", "pipeline", "<b>Renewals</b>")
        assert done.returncode == 1
        assert "ValueError" in done.stderr and "pipeline '<b>Renewals</b>' is not in the source" in done.stderr
        assert "the earlier page stays" in done.stderr
        now = (folder / f"{stem}.html").read_text("utf-8")
        assert banner.without(now) == before[f"{stem}.html"]
        assert words in " ".join(Page(folder / f"{stem}.html").text) and "<b>Renewals" not in now
        assert words in (folder / ("index.html" if language == "en" else "index.ru.html")).read_text("utf-8")
        assert (folder / "failed" / f"{stem}.ipynb").is_file()
        failure = json.loads((folder / "manifest.json").read_text("utf-8"))["not_made"][stem]
        assert failure["ending"] == "cell_error" and "Renewals" in failure["reason"]
        done = salesops(*arguments)
        assert done.returncode == 0 and "as it would be made now" in done.stdout
        assert (folder / f"{stem}.html").read_text("utf-8") == before[f"{stem}.html"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(before)
    assert (folder / "index.html").read_text("utf-8") == before["index.html"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(salesops, tmp_path):
    (tmp_path / "2026-10").write_text("a file where the folder should be")
    done = salesops("report", "params/funnel.yml", "--out", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "2026-10" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_plain_papermill_and_nbconvert_make_the_same_page(made, root, tmp_path, folder):
    """From the project, and from the notebook's own folder as JupyterLab does."""
    notebook, values = str(root / "notebooks" / "funnel.ipynb"), str(root / "params" / "funnel.yml")
    commands = [
        ["papermill", notebook, str(tmp_path / "out.ipynb"), "--no-progress-bar", "-f", values],
        ["nbconvert", "--to", "salesops", str(tmp_path / "out.ipynb")],
    ]
    for command in commands:
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=root / folder)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.html").read_bytes() == (made / "funnel.html").read_bytes()


@pytest.mark.slow
def test_what_a_crm_holds_is_shown_as_text(salesops, project_copy):
    """Names that are HTML, a spreadsheet formula, a template, mathematics, a terminal code."""
    nasty = [
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "{{7*7}}",
        "$x^2$ and $$y$$",
        "\x1b[31mred",
        "&lt;b&gt;",
        "<img src=x onerror=alert(1)>",
    ]
    rows = ["id,name,account,stage,created,amount,segment"]
    quoted = ['"' + text.replace('"', '""') + '"' for text in nasty]
    for n in range(60):
        text = quoted[n % len(quoted)]
        stage = ("Lead", "<b>Offer</b>", "Won", "Lost")[n % 4]
        rows.append(f"{n},{text},a{n % 7},{stage},2026-0{n % 6 + 1}-01,{n}.50,{text}")
    (project_copy / "data").mkdir()
    (project_copy / "data" / "deals.csv").write_text("\n".join(rows))
    (project_copy / "data" / "accounts.csv").write_text(
        "id,name\n" + "\n".join(f"a{k},{text}" for k, text in enumerate(quoted))
    )
    mapping = {
        "title": "A company </style><script>alert(2)</script>",
        "currency": "USD",
        "stages": [
            {"stage": s, "kind": k}
            for s, k in (("Lead", "open"), ("<b>Offer</b>", "open"), ("Won", "won"), ("Lost", "lost"))
        ],
        "tables": {
            "deals": {
                "file": "deals.csv",
                "columns": {
                    "deal_id": "id",
                    "name": "name",
                    "account_id": "account",
                    "stage": "stage",
                    "created_at": "created",
                    "amount": "amount",
                    "segment": "segment",
                },
            },
            "accounts": {"file": "accounts.csv", "columns": {"account_id": "id", "name": "name"}},
        },
    }
    (project_copy / "params" / "crm" / "nasty.yml").write_text(yaml.safe_dump(mapping))
    done = salesops(
        "report",
        project_copy / "params" / "funnel.yml",
        "--out",
        project_copy / "reports",
        "--period",
        "2026",
        "-p",
        "source",
        "nasty:data",
        "-p",
        "months",
        "0",
        "-p",
        "min_deals",
        "5",
        "-p",
        "compare_to",
        "none",
        cwd=project_copy,
    )
    assert done.returncode == 0, done.stderr
    page = Page(project_copy / "reports" / "2026" / "funnel.html")
    text = "".join(page.text)
    for name in nasty[:4] + nasty[5:] + ["</style><script>alert(2)</script>", "<b>Offer</b>"]:
        assert name in text, name
    assert not {"script", "img", "b"} & {tag for tag, _ in page.tags} - {"b"}
    assert len([tag for tag, _ in page.tags if tag == "b"]) == 1  # the page's own crumb
    index = Page(project_copy / "reports" / "2026" / "index.html")
    assert "script" not in {tag for tag, _ in index.tags}


def test_stems_name_pages_and_secrets_of_the_machine_stay_out(made, root):
    (job,) = jobs.prepare([root / "params" / "funnel.maven.yml"], overrides={"lang": "ru"})
    assert job.page == root / "reports" / "2016-10..2017-12" / "funnel.maven.ru.html"
    for path in made.iterdir():
        text = path.read_bytes().decode("utf-8", "replace")
        assert str(root) not in text and str(Path.home()) + "/" not in text
