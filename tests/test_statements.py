"""Statements: each holds its reader's data only, says what the engine paid, and shows a later edit."""

import json
import re
import shutil

import pytest
from salesops import lang
from salesops.comp import files
from salesops.pay import letters, payouts, plans, team
from salesops.problems import BadInput

from tests.conftest import ROOT, checked
from tests.pay_cases import small_book

PLAN = ROOT / "params" / "plans" / "account_executive.yml"


@pytest.fixture(scope="module")
def written(tmp_path_factory, salesops):
    folder = tmp_path_factory.mktemp("made") / "statements"
    done = salesops("statements", "params/comp.yml", "--period", "2026-Q3", "--to", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_each_rep_has_a_page_for_each_month_and_reads_nobody_elses_data(written, book):
    reps = book.reps.select("rep_id", "name").execute()
    deals = book.deals.select("deal_id", "rep_id", "name").execute()
    folders = sorted(path.name for path in written.iterdir())
    assert len(folders) == 26
    for folder in folders:
        assert {path.name for path in (written / folder).iterdir()} <= {
            "2026-07.html", "2026-08.html", "2026-09.html", "chain.json"
        }  # fmt: skip
        text = "".join(path.read_text("utf-8") for path in (written / folder).iterdir())
        own = reps[reps["rep_id"] == folder]["name"].iloc[0]
        others = [one for one in reps["name"] if one != own]
        assert own in text and not [one for one in others if one in text]
        assert not [one for one in reps["rep_id"] if one != folder and one in text]
        theirs = set(deals[deals["rep_id"] == folder]["deal_id"])
        assert set(re.findall(r"\bD\d{7}\b", text)) <= theirs


def test_a_page_says_what_the_engine_pays(written, book):
    the_plan = plans.load(PLAN)
    read = team.read(book, [the_plan], "")
    who = next(one for one in read.people if one.person_id == "R0000001")
    lines = payouts.pay(who, {the_plan.version: the_plan}, read.credits[who.person_id],
                        through=book.as_of, payments=read.payments)  # fmt: skip
    september = [line for line in lines if line.month == "2026-09"]
    text = (written / "R0000001" / "2026-09.html").read_text("utf-8")
    total = sum(line.amount for line in september)
    assert lang.cents(total, "USD") in text
    earned = next(line for line in september if line.kind == "earned" and line.component == "Bookings")
    assert lang.cents(earned.amount, "USD") in text and "The quota of 2026-Q3 is $313,000.00." in text
    assert "Statement of Anna Adler, September 2026" in text and "version 2026.1" in text
    chain = json.loads((written / "R0000001" / "chain.json").read_text("utf-8"))["statements"]
    assert [one["total"] for one in chain if one["month"] == "2026-09"] == [str(total)]


def test_a_later_edit_is_named(written, tmp_path, salesops):
    assert salesops("check-statements", written).returncode == 0
    mine = tmp_path / "mine"
    shutil.copytree(written / "R0000001", mine)
    assert letters.check(mine) == []
    page = mine / "2026-08.html"
    page.write_text(page.read_text("utf-8").replace("$", "€", 1), "utf-8")
    assert letters.check(mine) == ["mine: 2026-08.html is not the page that was written"]
    chain = json.loads((mine / "chain.json").read_text("utf-8"))
    chain["statements"][1]["lines"][0]["amount"] = "1.00"
    (mine / "chain.json").write_text(json.dumps(chain))
    (mine / "2026-01.html").write_text("more")
    said = letters.check(mine)
    assert any("was edited, or does not follow" in one for one in said) and any("its total" in one for one in said)
    assert "mine: 2026-01.html is in no chain" in said
    done = salesops("check-statements", tmp_path)
    assert done.returncode == 1 and "was edited" in done.stdout
    shutil.copytree(written / "R0000002", tmp_path / "copy")
    shutil.copytree(written / "R0000002", tmp_path / "other")
    assert "other: the chain of R0000002 stands in copy too" in letters.check(tmp_path)
    for wrong in ("{", "[]", '{"statements": [{}]}', "null", "[" * 100_000):
        (mine / "chain.json").write_text(wrong)
        assert letters.check(mine) == ["mine: chain.json is no chain of statements"]
    for name in ("mine", "copy", "other"):
        (tmp_path / name / "chain.json").unlink()
    assert salesops("check-statements", tmp_path).returncode == 2


def test_names_of_deals_and_people_are_text_and_who_cannot_be_paid_is_said(tmp_path, monkeypatch):
    bad = "<script>alert(1)</script>{{ 7*7 }}"
    quotas = [{"rep_id": rep, "period": f"2026-Q{k}", "amount_minor": 10_000_000, "currency": "USD", "kind": "bookings"}
              for rep in ("r1", "../r2") for k in range(1, 5)]  # fmt: skip
    reps = [{"rep_id": rep, "name": bad, "role": "AE"} for rep in ("r1", "../r2", "r3")]
    book = small_book(tmp_path / "book", quotas=quotas, reps=reps)
    monkeypatch.setattr(files.crm, "open", lambda **_how: book)
    made, left_out = files.statements(checked("comp", period="2026-03"))
    assert {one.split("/")[0] for one in made} <= {"r1", "r2"}
    assert not [name for name in made if ".." in name]
    page = made["r1/2026-03.html"].decode()
    assert "<script>" not in page and "&lt;script&gt;" in page and "{{ 7*7 }}" in page
    assert len(left_out) == 1 and left_out[0].startswith("r3: no quota of bookings")
    with pytest.raises(BadInput, match="'r9' is not on the plan"):
        files.statements(checked("comp", period="2026-03"), rep_id="r9")
    only, _none = files.statements(checked("comp", period="2026-03"), rep_id="r1")
    assert {one.split("/")[0] for one in only} == {"r1"}
    russian, _none = files.statements(checked("comp", period="2026-03", lang="ru"), rep_id="r1")
    assert "Квота на 2026-Q1" in russian["r1/2026-03.html"].decode()


@pytest.mark.slow
def test_nothing_of_pay_is_left_in_what_the_team_page_leaves_behind(tmp_path, salesops, book):
    """The page of groups, its manifest and the notebook that is kept when it fails hold no one's name, id or pay."""
    done = salesops("report", "params/comp.yml", "-p", "plan", "nobody", "--out", tmp_path)
    assert done.returncode == 1
    done = salesops("report", "params/comp.yml", "-p", "min_group", "30", "--out", tmp_path)
    assert done.returncode == 1
    done = salesops("report", "params/comp.yml", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    reps = book.reps.select("rep_id", "name").execute()
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in paths} >= {".html", ".json"}
    for path in paths:
        text = path.read_text("utf-8", errors="replace")
        assert not [one for one in [*reps["name"], *reps["rep_id"]] if one in text], path.name
