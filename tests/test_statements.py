"""Statements: each holds its reader's data only, says what the engine paid, and shows a later edit."""

import json
import re
import shutil
import stat

import pandas as pd
import pytest
from ibis import _
from salesops import cli, crm, lang
from salesops.comp import files
from salesops.pay import payouts, plans, proof, signing, team
from salesops.problems import BadInput

from tests.conftest import ROOT, by_owner_then, checked
from tests.pay_cases import answering, small_book

PLAN = ROOT / "params" / "plans" / "account_executive.yml"


def faults(folder, **how):
    return proof.check(folder, **how).faults


@pytest.fixture(scope="module")
def written(tmp_path_factory, salesops):
    folder = tmp_path_factory.mktemp("made") / "statements"
    done = salesops("statements", "params/comp.yml", "--period", "2026-Q3", "--to", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_each_rep_has_a_page_for_each_month_and_reads_nobody_elses_data(written):
    book = crm.open("sample", as_of="2026-09-30")  # who owned and shared what on the last day known
    reps = book.reps.select("rep_id", "name").execute()
    deals = by_owner_then(book, book.deals.execute(), "closed_at")
    past = book.states.filter(_.kind == "won").select("deal_id", "rep_id").execute()  # of deals that were lost since
    deals = pd.concat([deals[["deal_id", "rep_id"]], past[~past["deal_id"].duplicated()]])
    shared = book.split_spells.execute()
    folders = sorted(path.name for path in written.iterdir() if path.is_dir())
    assert len(folders) == 26 and {path.name for path in written.iterdir()} - set(folders) == {"run.json"}
    for folder in folders:
        assert {path.name for path in (written / folder).iterdir()} <= {
            "2026-07.html", "2026-08.html", "2026-09.html", "chain.json"
        }  # fmt: skip
        text = "".join(path.read_text("utf-8") for path in (written / folder).iterdir())
        own = reps[reps["rep_id"] == folder]["name"].iloc[0]
        others = [one for one in reps["name"] if one != own]
        assert own in text and not [one for one in others if one in text]
        assert not [one for one in reps["rep_id"] if one != folder and one in text]
        theirs = {*deals[deals["rep_id"] == folder]["deal_id"], *shared[shared["rep_id"] == folder]["deal_id"]}
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
    done = salesops("check-statements", written)
    assert done.returncode == 0 and "all 26 people of the run, period 2026-Q3" in done.stdout
    assert "without a signature this shows accidental edits only, not a change by somebody who can seal" in done.stdout
    mine = tmp_path / "mine"
    shutil.copytree(written / "R0000001", mine)
    assert faults(mine) == []
    page = mine / "2026-08.html"
    page.write_text(page.read_text("utf-8").replace("$", "€", 1), "utf-8")
    assert faults(mine) == ["mine: 2026-08.html is not the page that was written"]
    chain = json.loads((mine / "chain.json").read_text("utf-8"))
    chain["statements"][1]["lines"][0]["amount"] = "1.00"
    (mine / "chain.json").write_text(json.dumps(chain))
    (mine / "2026-01.html").write_text("more")
    said = faults(mine)
    assert any("was edited, or does not follow" in one for one in said) and any("its total" in one for one in said)
    assert "mine: 2026-01.html is in no chain" in said
    done = salesops("check-statements", tmp_path)
    assert done.returncode == 1 and "was edited" in done.stdout
    shutil.copytree(written / "R0000002", tmp_path / "copy")
    shutil.copytree(written / "R0000002", tmp_path / "other")
    assert "other: the chain of R0000002 stands in copy too" in faults(tmp_path)
    for wrong in ("{", "[]", '{"statements": [{}]}', "null", "[" * 100_000):
        (mine / "chain.json").write_text(wrong)
        assert faults(mine) == ["mine: chain.json is no chain of statements"]
    for name in ("mine", "copy", "other"):
        (tmp_path / name / "chain.json").unlink()
    assert salesops("check-statements", tmp_path).returncode == 2


def test_names_of_deals_and_people_are_text_and_who_cannot_be_paid_is_said(tmp_path, monkeypatch):
    bad = "<script>alert(1)</script>{{ 7*7 }}"
    quotas = [{"rep_id": rep, "period": f"2026-Q{k}", "amount_minor": 10_000_000, "currency": "USD", "kind": "bookings"}
              for rep in ("r1", "../r2") for k in range(1, 5)]  # fmt: skip
    reps = [{"rep_id": rep, "name": bad, "role": "AE"} for rep in ("r1", "../r2", "r3")]
    book = small_book(tmp_path / "book", quotas=quotas, **answering(reps))
    monkeypatch.setattr(files.crm, "open", lambda **_how: book)
    made, left_out = files.statements(checked("comp", period="2026-03"))
    assert {one.split("/")[0] for one in made} <= {"r1", "r2", "run.json"}
    assert not [name for name in made if ".." in name]
    page = made["r1/2026-03.html"].decode()
    assert "<script>" not in page and "&lt;script&gt;" in page and "{{ 7*7 }}" in page
    stranger = "won deals that are credited, at least in part, to people who are not among the reps: 1 (d1)"
    assert len(left_out) == 2 and left_out[0] == stranger and left_out[1].startswith("r3: no quota of bookings")
    assert left_out[1].endswith("(Bookings) asks for")  # whole
    with pytest.raises(BadInput, match="'r9' is not on the plan"):
        files.statements(checked("comp", period="2026-03"), rep_id="r9")
    only, _none = files.statements(checked("comp", period="2026-03"), rep_id="r1")
    assert {one.split("/")[0] for one in only} == {"r1", "run.json"}
    russian, _none = files.statements(checked("comp", period="2026-03", lang="ru"), rep_id="r1")
    assert "Квота на 2026-Q1" in russian["r1/2026-03.html"].decode()


def test_of_two_runs_into_one_folder_the_second_leaves_what_the_first_wrote(tmp_path, capsys):
    def make():  # while it was made, another run wrote the folder
        (tmp_path / "st").mkdir()
        (tmp_path / "st" / "run.json").write_text("first")
        return {"run.json": b"second"}

    with pytest.raises(SystemExit) as ended:
        cli._write_whole(tmp_path / "st", make)
    assert ended.value.code == 2 and "exists already" in capsys.readouterr().err
    assert (tmp_path / "st" / "run.json").read_text() == "first" and [one.name for one in tmp_path.iterdir()] == ["st"]


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """The file of a private key, and the public key."""
    private = tmp_path_factory.mktemp("keys") / "pay"
    return private, signing.public(signing.generate(private))


@pytest.fixture
def signed(tmp_path, monkeypatch, key):
    """Writes the signed statements of a period of two people into a folder."""
    monkeypatch.setenv(signing.KEY, str(key[0]))
    quotas = [{"rep_id": rep, "period": f"2026-Q{k}", "amount_minor": 10_000_000, "currency": "USD", "kind": "bookings"}
              for rep in ("r1", "r2") for k in range(1, 5)]  # fmt: skip
    reps = [{"rep_id": rep, "role": "AE"} for rep in ("r1", "r2")]
    book = small_book(tmp_path / "book", quotas=quotas, **answering(reps))
    monkeypatch.setattr(files.crm, "open", lambda **_how: book)

    def write(name, period="2026-03"):
        made, _left_out = files.statements(checked("comp", period=period))
        for path, content in made.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return tmp_path / name

    return write


def sealed_anew(folder, change):
    """Change a chain as somebody would who has the code, and not the key: everything but the signature fits again."""
    chain = json.loads((folder / "chain.json").read_text("utf-8"))
    change(chain["statements"])
    before, total = "0" * 64, 0
    for one in chain["statements"]:
        one["before"], one["total"] = before, str(sum(proof.Decimal(line["amount"]) for line in one["lines"]))
        total += proof.Decimal(one["total"])
        one["year_to_date"] = str(total)
        one["digest"] = before = proof.statements.seal_data(one["lines"], before)
    (folder / "chain.json").write_text(json.dumps(chain), "utf-8")
    if (folder.parent / "run.json").is_file():
        run = json.loads((folder.parent / "run.json").read_text("utf-8"))
        for one in run["people"]:
            one["chain.json"] = proof.hashlib.sha256((folder.parent / one["folder"] / "chain.json").read_bytes()
                                                     ).hexdigest()  # fmt: skip
        (folder.parent / "run.json").write_text(json.dumps(run), "utf-8")


def pay_more(statements):
    statements[0]["lines"][0]["amount"] = "99999.00"


def test_who_can_seal_a_chain_anew_is_seen_by_the_signature_alone(signed, key):
    folder = signed("march")
    proved = proof.check(folder, key=key[1])
    assert proved.faults == [] and proved.shown[0].startswith("march: all 2 people of the run, period 2026-03")
    assert proved.shown[-1] == f"signed by the key {signing.fingerprint(key[1])}, and not changed since"
    sealed_anew(folder / "r1", pay_more)
    proved = proof.check(folder)
    assert proved.faults == [] and "accidental edits only" in proved.shown[-1]
    assert faults(folder, key=key[1]) == [
        "march: run.json was changed, or signed with another key",
        "r1: chain.json was changed, or signed with another key",
    ]
    assert faults(folder / "r1", key=key[1]) == ["r1: chain.json was changed, or signed with another key"]


def cut_the_end(folder):
    (folder / "r1" / "2026-03.html").unlink()
    sealed_anew(folder / "r1", lambda statements: statements.pop())


def unlist(folder):
    shutil.rmtree(folder / "r1")
    run = json.loads((folder / "run.json").read_text("utf-8"))
    run["people"].pop(0)
    (folder / "run.json").write_text(json.dumps(run), "utf-8")


def unsign(folder):
    for path in folder.rglob("*.sig"):
        path.unlink()


def number_away(folder):
    """As if it were of the version that signed nothing."""
    unsign(folder)
    (folder / "run.json").unlink()
    for path in folder.rglob("chain.json"):
        content = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({name: content[name] for name in ("person_id", "statements")}), "utf-8")


def hide_behind_a_link(folder):
    (folder / "r1").rename(folder.parent / "elsewhere")
    (folder / "r1").symlink_to(folder.parent / "elsewhere")
    (folder / "r1" / "2026-03.html").write_text("paid less")


ATTACKS = {
    "a page is edited": (lambda f: (f / "r1" / "2026-03.html").write_text("x"), "not the page that was written"),
    "a page is missing": (lambda f: (f / "r1" / "2026-03.html").unlink(), "2026-03.html is missing"),
    "a page is added": (lambda f: (f / "r1" / "2026-04.html").write_text("x"), "2026-04.html is in no chain"),
    "another form is added": (lambda f: (f / "r1" / "2026-04.pdf").write_text("x"), "2026-04.pdf is in no chain"),
    "a folder is added": (lambda f: shutil.copytree(f / "r1", f / "r1" / "new"), "new is in no chain"),
    "months change places": (lambda f: sealed_anew(f / "r1", lambda s: s.reverse()), "chain.json was changed"),
    "the last month is cut": (cut_the_end, "chain.json was changed"),
    "a person is missing": (lambda f: shutil.rmtree(f / "r1"), "the statements of r1 are missing"),
    "a person is unlisted": (unlist, "run.json was changed"),
    "the list is missing": (lambda f: (f / "run.json").unlink(), "it is in no run.json"),
    "signatures are missing": (unsign, "chain.json is not signed"),
    "written as of old": (number_away, "chain.json is not signed"),
    "a signature is empty": (lambda f: (f / "r1" / "chain.sig").write_bytes(b""), "signed with another key"),
    "behind a link": (hide_behind_a_link, "not the page that was written"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_with_a_signature_every_change_is_named(signed, key, name):
    attack, said = ATTACKS[name]
    folder = signed("march")
    assert faults(folder, key=key[1]) == []
    attack(folder)
    assert any(said in one for one in faults(folder, key=key[1])), faults(folder, key=key[1])


def test_statements_of_two_runs_or_of_another_person_do_not_mix(signed, key, tmp_path):
    march, year = signed("march"), signed("year", "2026-01..2026-12")
    assert faults(march, key=key[1]) == faults(year, key=key[1]) == []
    mixed = shutil.copytree(year, tmp_path / "mixed")
    shutil.rmtree(mixed / "r1")
    shutil.copytree(march / "r1", mixed / "r1")
    assert faults(mixed, key=key[1]) == ["mixed: the chain in r1 is not the one of this run"]
    shutil.rmtree(mixed / "r1")
    shutil.copytree(year / "r2", mixed / "r1")
    assert "mixed: the chain in r1 is not the one of this run" in faults(mixed, key=key[1])
    assert faults(mixed / "r1", key=key[1], person_id="r1") == ["r1: these are the statements of r2, not of r1"]
    shutil.copy(year / "r1" / "chain.sig", march / "r1" / "chain.sig")
    assert "r1: chain.json was changed, or signed with another key" in faults(march, key=key[1])


def test_another_key_proves_nothing_and_the_same_key_signs_alike(signed, key, tmp_path):
    other = signing.public(signing.generate(tmp_path / "other"))
    march = signed("march")
    assert len(faults(march, key=other)) == 3
    again = signed("again")
    assert (march / "run.sig").read_bytes() == (again / "run.sig").read_bytes()


def test_keys_are_private_and_wrong_ones_are_refused(tmp_path, salesops, monkeypatch, signed):
    private = tmp_path / "pay"
    done = salesops("signing-key", private)
    assert done.returncode == 0 and "SHA256:" in done.stdout, done.stderr
    assert stat.S_IMODE(private.stat().st_mode) == 0o600 and "PRIVATE" not in (tmp_path / "pay.pub").read_text()
    assert salesops("signing-key", private).returncode == 2
    with pytest.raises(BadInput, match="private key, which only"):
        signing.public(private)
    (tmp_path / "junk").write_bytes(b"\0junk")
    for path in (tmp_path / "junk", tmp_path / "none", tmp_path, "a\0b", tmp_path / "pay.pub"):
        monkeypatch.setenv(signing.KEY, str(path)) if "\0" not in str(path) else None
        with pytest.raises(BadInput, match="cannot be used"):
            signing.from_environment()
        if path != tmp_path / "pay.pub":
            with pytest.raises(BadInput, match="cannot be used"):
                signing.public(proof.Path(path))
    monkeypatch.setenv(signing.KEY, str(private))
    private.chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        files.statements(checked("comp", period="2026-03"))


OLD = ROOT / "tests" / "fixtures" / "formats" / "statements"


def test_statements_without_a_format_number_still_check_and_later_ones_are_refused(tmp_path, salesops, key):
    assert faults(OLD) == []
    assert "R0000001: chain.json is not signed: there is no chain.sig" in faults(OLD, key=key[1])
    folder = shutil.copytree(OLD, tmp_path / "old")
    page = folder / "R0000001" / "2026-09.html"
    page.write_text(page.read_text("utf-8").replace("$", "€", 1), "utf-8")
    assert faults(folder) == ["R0000001: 2026-09.html is not the page that was written"]
    chain = folder / "R0000001" / "chain.json"
    content = json.loads(chain.read_text("utf-8"))
    chain.write_text(json.dumps(content | {"format": proof.FORMAT + 1, "kind": "chain"}))
    done = salesops("check-statements", folder)
    assert done.returncode == 2 and "its format is 3, and this version reads 1 to 2" in done.stderr
    for wrong in (0, -1, True, "2", 2.0, None, []):
        chain.write_text(json.dumps(content | {"format": wrong, "kind": "chain"}))
        assert "R0000001: chain.json is no chain of statements" in faults(folder)


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
