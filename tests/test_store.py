"""The folder of a book: one switch, a lock, every table of each snapshot; what is not ours stays as it is."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from salesops import crm, formats, locks, ownership
from salesops.crm import cache, importing, snapshot, store, whole
from salesops.problems import BadInput

from tests.conftest import ROOT

FORMATS = ROOT / "tests" / "fixtures" / "formats"
STAGES = "Лид, Оферта, Успешно реализовано=won, Закрыто и не реализовано=lost"
HEADER = "ID;Название сделки;Бюджет;Этап сделки;Дата создания сделки;Дата закрытия;Ответственный"
DAYS = {
    "2026-01-31": "1;A;100;Лид;05.01.2026;не закрыта;Анна\n2;B;200;Лид;06.01.2026;не закрыта;Борис\n"
    "3;C;300;Оферта;13.01.2026;не закрыта;Анна\n",
    "2026-02-28": "1;A;150;Оферта;05.01.2026;не закрыта;Анна\n2;B;200;Лид;06.01.2026;не закрыта;Борис\n"
    "3;C;300;Успешно реализовано;13.01.2026;20.02.2026;Анна\n",
    "2026-03-31": "1;A;150;Успешно реализовано;05.01.2026;15.03.2026;Вера\n2;B;250;Оферта;06.01.2026;не закрыта;Борис\n"
    "3;C;300;Успешно реализовано;13.01.2026;20.02.2026;Анна\n",
}


def take(to: Path, day: str, rows: str = "", *, name: str = "export.csv", **said) -> crm.Book:
    """Add the snapshot of a day."""
    files = to.parent / f"files-{day}"
    files.mkdir(parents=True, exist_ok=True)
    for old in files.iterdir():
        old.unlink()
    (files / name).write_text(f"{HEADER}\n{rows or DAYS[day]}", "utf-8")
    said = {"currency": "RUB", "stages": STAGES, "exported_on": day} | said
    importing.bring_in("amocrm", [files], to, snapshot=True, **said)
    return crm.open(to)


def contents(book: crm.Book) -> dict[str, list]:
    """The rows of each table that is derived or read."""
    return {name: book._stored(name).execute().astype(str).to_numpy().tolist()
            for name in ("deals", "changes", "stages", "visits", "states", "reps")}  # fmt: skip


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def take_three(to: Path) -> Path:
    for day in DAYS:
        take(to, day)
    return to


@pytest.fixture
def three(tmp_path) -> Path:
    return take_three(tmp_path / "book")


@pytest.fixture(scope="module")
def taken(tmp_path_factory) -> Path:
    return take_three(tmp_path_factory.mktemp("taken") / "book")


@pytest.fixture
def copied_three(taken, tmp_path) -> Path:
    """A copy of such a book, for tests that do not ask who made its folders."""
    return Path(shutil.copytree(taken, tmp_path / "book"))


# --- what is the user's stays ---


def test_files_and_rights_of_the_user_stay(tmp_path):
    book = tmp_path / "book"
    take(book, "2026-01-31")
    (book / "notes.txt").write_text("mine")
    (book / "tables" / "old").mkdir()
    (book / "tables" / "old" / "deals.parquet").write_bytes(b"mine too")
    book.chmod(0o700)
    (book / "book.json").chmod(0o600)
    for day in ("2026-02-28", "2026-03-31"):
        take(book, day)
    assert (book / "notes.txt").read_text() == "mine"
    assert (book / "tables" / "old" / "deals.parquet").read_bytes() == b"mine too"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (book, *book.rglob("*")) if "old" not in path.parts}
    assert modes[book] == 0o700 and modes[book / "book.json"] == 0o600
    ours = [
        path
        for path in modes
        if path.name not in ("notes.txt", ownership.MARK, "tables", "snapshots") and "2026-01-31-" not in str(path)
    ]  # written when the folder was open to others
    assert not [path for path in ours if modes[path] & 0o077]


def test_a_folder_with_something_else_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="it holds something else"):
        take(tmp_path / "book", "2026-01-31")
    assert everything(tmp_path / "book") == {"notes.txt": b"mine"}
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="a link that leads nowhere"):
        take(tmp_path / "link", "2026-01-31")


def test_a_folder_of_links_is_not_written_through(tmp_path):
    take(tmp_path / "book", "2026-01-31")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "book" / "tables", elsewhere)
    shutil.rmtree(tmp_path / "book" / "tables")
    (tmp_path / "book" / "tables").symlink_to(elsewhere)
    before = everything(elsewhere)
    with pytest.raises(BadInput, match="it is a link or a file"):
        take(tmp_path / "book", "2026-02-28")
    assert everything(elsewhere) == before


def test_a_refused_export_leaves_nothing_behind(tmp_path):
    with pytest.raises(BadInput):
        take(tmp_path / "book", "2026-01-31", "1;A;x;Лид;soon;never;\n" * 3)
    assert not (tmp_path / "book").exists()
    (tmp_path / "book").mkdir(mode=0o700)
    with pytest.raises(BadInput):
        take(tmp_path / "book", "2026-01-31", "1;A;x;Лид;soon;never;\n" * 3)
    assert (tmp_path / "book").is_dir() and not list((tmp_path / "book").iterdir())
    take(tmp_path / "book", "2026-01-31")
    before = everything(tmp_path / "book")
    with pytest.raises(BadInput):
        take(tmp_path / "book", "2026-02-28", "1;A;x;Лид;soon;never;\n" * 3)
    assert everything(tmp_path / "book") == before


# --- two at once ---


def test_who_writes_into_a_book_is_alone(tmp_path):
    take(tmp_path / "book", "2026-01-31")
    with locks.hold(tmp_path / "book"), pytest.raises(locks.Locked, match="is being written by another run"):
        take(tmp_path / "book", "2026-02-28")


@pytest.mark.slow
def test_of_snapshots_taken_at_once_each_is_kept_or_refused_aloud(tmp_path):
    take(tmp_path / "book", "2026-01-31")
    code = "import sys; from salesops.cli import main; main(sys.argv[1:])"
    running = {}
    for month in range(2, 8):
        day = f"2026-{month:02}-28"
        (tmp_path / f"{day}.csv").write_text(f"{HEADER}\n{DAYS['2026-01-31']}", "utf-8")
        command = [sys.executable, "-c", code, "snapshot", "amocrm", str(tmp_path / f"{day}.csv"), "--to",
                   str(tmp_path / "book"), "--currency", "RUB", "--stages", STAGES]  # fmt: skip
        running[day] = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, cwd=ROOT)
    ended = {day: (process.communicate()[1], process.returncode) for day, process in running.items()}
    assert all(code in (0, 3) for _said, code in ended.values()), ended
    kept = [day for day, (_said, code) in ended.items() if code == 0]
    assert kept and crm.open(tmp_path / "book").about["snapshots"]["taken"] == ["2026-01-31", *kept]
    assert all("another run" in said for said, code in ended.values() if code == 3)


# --- snapshots ---


def test_a_snapshot_keeps_every_table(tmp_path):
    importing.bring_in("salesforce", [ROOT / "tests" / "exports" / "salesforce"], tmp_path / "book", currency="USD",
                       exported_on="2026-03-31", snapshot=True)  # fmt: skip
    (folder,) = (tmp_path / "book" / "snapshots").iterdir()
    n_rows = crm.open(tmp_path / "book").about["n_rows"]
    kept = {path.stem: len(pd.read_parquet(path)) for path in folder.glob("*.parquet")}
    read = {name: n for name, n in n_rows.items() if n and name not in ("visits", "states")}
    assert len(read) > 4 and read.items() <= kept.items() and not whole.fault(folder, snapshot.NEEDED)


@pytest.mark.slow
def test_a_snapshot_is_undone_as_if_it_had_never_been(tmp_path, three):
    for gone in DAYS:
        for day in (one for one in DAYS if one != gone):
            expected = take(tmp_path / f"without-{gone}" / "book", day)
        copied = tmp_path / f"copy-{gone}"
        shutil.copytree(three, copied)
        importing.undo(gone, copied)
        book = crm.open(copied)
        assert contents(book) == contents(expected) and book.about == expected.about
        assert book.digest() == expected.digest()
    with pytest.raises(BadInput, match="its snapshots are of 2026-01-31, 2026-02-28, 2026-03-31"):
        importing.undo("2026-05-01", three)


@pytest.mark.slow
def test_a_snapshot_is_replaced(tmp_path, three):
    wrong = DAYS["2026-02-28"].replace("150", "99999")
    take(three, "2026-02-28", wrong, replace=True)
    assert contents(crm.open(three)) != contents(take(tmp_path / "one" / "book", "2026-01-31"))
    for day in ("2026-02-28", "2026-03-31"):
        expected = take(tmp_path / "one" / "book", day)
    book = take(three, "2026-02-28", replace=True)
    assert contents(book) == contents(expected) and book.about == expected.about
    with pytest.raises(BadInput, match="there is none of 2026-05-31 to replace"):
        take(three, "2026-05-31", DAYS["2026-03-31"], replace=True)


def test_the_only_history_is_not_replaced_by_an_import(tmp_path, three):
    before = everything(three)
    for replace in (False, True):
        with pytest.raises(BadInput, match="it has snapshots, which are nowhere else"):
            importing.bring_in("amocrm", [tmp_path / "files-2026-03-31"], three, currency="RUB", stages=STAGES,
                               replace=replace)  # fmt: skip
    with pytest.raises(BadInput, match="is the only snapshot"):
        take(tmp_path / "one" / "book", "2026-01-31")
        importing.undo("2026-01-31", tmp_path / "one" / "book")
    assert everything(three) == before


def test_the_day_of_a_snapshot_is_that_of_the_file_or_is_said(tmp_path):
    for name, day in (("deals_2026-01-31.csv", "2026-01-31"), ("сделки 28.02.2026.csv", "2026-02-28"),
                      ("export20260331.csv", "2026-03-31")):  # fmt: skip
        book = take(tmp_path / "book", day, name=name, exported_on="")
        assert book.about["snapshots"]["taken"][-1] == day
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "export.csv").write_text(f"{HEADER}\n{DAYS['2026-03-31']}")
    with pytest.raises(BadInput, match="its day is not known: no file's name has it; say --exported-on"):
        importing.bring_in("amocrm", [tmp_path / "plain"], tmp_path / "book", currency="RUB", snapshot=True)
    assert importing.day_of([tmp_path / "files-2026-03-31"]) == "2026-03-31"
    for name in ("2026-13-45.csv", "12026-01-011.csv", "31.02.2026.csv"):
        assert not importing._days_in([name])
    with pytest.raises(BadInput, match=r"several \(2026-01-31, 2026-02-28\)"):
        importing.day_of([Path("a_2026-01-31.csv"), Path("b_2026-02-28.csv")])


def test_a_refused_row_is_not_gone_from_the_export(tmp_path):
    """Deal 2 has an amount that cannot be read in February: it stays as January has it, and moves on in March."""
    many = "".join(f"{n};D{n};50;Лид;07.01.2026;не закрыта;Анна\n" for n in range(10, 50))
    take(tmp_path / "book", "2026-01-31", DAYS["2026-01-31"] + many)
    book = take(tmp_path / "book", "2026-02-28", DAYS["2026-02-28"].replace("2;B;200", "2;B;1.2.3") + many)
    about = book.about["snapshots"]
    assert book.about["n_refused"] == {"deals": 1} and about["rewritten"] == {}
    assert about["kept"] == {"open": 1} and about["open"] == 42
    deal = book.deals.execute().set_index("deal_id").loc["2"]
    assert (deal["stage"], deal["amount_minor"]) == ("Лид", 20000)
    book = take(tmp_path / "book", "2026-03-31", DAYS["2026-03-31"] + many)
    assert book.about["snapshots"]["rewritten"] == {} and book.about["snapshots"]["kept"] == {}
    log = book.changes.filter(book.changes.deal_id == "2").execute()
    moved = {(str(row.changed_at.date()), row.field, row.old_value, row.new_value) for row in log.itertuples()}
    assert moved == {("2026-03-31", "stage", "Лид", "Оферта"), ("2026-03-31", "amount", "20000", "25000")}


def test_rows_without_an_id_make_a_disappearance_uncertain(tmp_path):
    many = "".join(f"{n};D{n};50;Лид;07.01.2026;не закрыта;Анна\n" for n in range(10, 50))
    take(tmp_path / "book", "2026-01-31", DAYS["2026-01-31"] + many)
    book = take(tmp_path / "book", "2026-02-28", DAYS["2026-02-28"].replace("2;B", ";B") + many)
    assert book.about["snapshots"]["rewritten"] == {"unseen": 1}
    gone = "".join(DAYS["2026-02-28"].splitlines(True)[::2])
    book = take(tmp_path / "book", "2026-02-28", gone + many, replace=True)
    assert book.about["snapshots"]["rewritten"] == {"vanished": 1}


def test_years_of_closed_deals_do_not_hide_that_open_ones_are_refused(tmp_path):
    closed = "".join(f"{n};D{n};50;Успешно реализовано;07.01.2026;09.01.2026;Анна\n" for n in range(100, 400))
    opened = "".join(f"{n};D{n};{{}};Лид;07.01.2026;не закрыта;Анна\n" for n in range(10, 20))
    with pytest.raises(BadInput, match=r"open deals: 10 of 10 rows; 5% of the open deals may be refused"):
        take(tmp_path / "book", "2026-01-31", closed + opened.replace("{}", "1.2.3"))
    take(tmp_path / "book", "2026-01-31", closed + opened.replace("{}", "1.2.3", 1).replace("{}", "70"))


@pytest.mark.slow
def test_a_deal_that_comes_back_keeps_what_was_seen_of_it(tmp_path):
    without = "".join(DAYS["2026-02-28"].splitlines(True)[1:])
    take(tmp_path / "book", "2026-01-31")
    book = take(tmp_path / "book", "2026-02-28", without)
    assert book.about["snapshots"]["rewritten"] == {"vanished": 1} and len(book.deals.execute()) == 2
    book = take(tmp_path / "book", "2026-03-31")
    rewritten = book.about["snapshots"]["rewritten"]
    assert (rewritten["vanished"], rewritten["returned"]) == (1, 1)
    moved = book.changes.filter(book.changes.deal_id == "1").execute()
    assert {(row.field, row.old_value, row.new_value) for row in moved.itertuples()} == {
        ("stage", "Лид", "Успешно реализовано"), ("amount", "10000", "15000"), ("rep_id", "Анна", "Вера")}  # fmt: skip
    then = crm.open(tmp_path / "book", as_of="2026-01-31").deals.execute().set_index("deal_id").loc["1"]
    assert (then["stage"], then["amount_minor"]) == ("Лид", 10000)


def test_a_log_that_later_exports_have_no_more_is_kept_and_completed(tmp_path):
    """The source logs stages for a month back: what it said then stays, and what it never said is what differs."""
    columns = {"deals": {"deal_id": "id", "stage": "stage", "amount": "amount", "created_at": "created"},
               "changes": {"deal_id": "id", "changed_at": "at", "new_value": "to", "old_value": "from"}}  # fmt: skip
    kinds = {"Lead": "open", "Offer": "open", "Won": "won"}
    spec = {"title": "Logged", "currency": "USD", "date_order": "ymd", "decimal": ".",
            "stages": [{"stage": name, "kind": kinds[name]} for name in kinds],
            "tables": {"deals": {"file": "deals.csv", "columns": columns["deals"]},
                       "changes": {"file": "log.csv", "columns": columns["changes"], "constants": {"field": "stage"},
                                   "optional": True}}}  # fmt: skip
    project = tmp_path / "project"
    (project / "params" / "crm").mkdir(parents=True)
    (project / "notebooks").mkdir()
    (project / "params" / "crm" / "logged.yml").write_text(json.dumps(spec), "utf-8")
    rows = {
        "2026-01-31": (
            "1,Offer,100,2026-01-05\n2,Lead,200,2026-01-06\n3,Lead,300,2026-01-07\n",
            "1,2026-01-20,Lead,Offer\n",
        ),
        "2026-02-28": (
            "1,Offer,100,2026-01-05\n2,Offer,200,2026-01-06\n3,Offer,300,2026-01-07\n",
            "2,2026-02-10,Lead,Offer\n",
        ),
        "2026-03-31": ("1,Offer,100,2026-01-05\n2,Offer,200,2026-01-06\n3,Won,300,2026-01-07\n", ""),
    }
    with contextlib.chdir(project):
        for day, (listed, log) in rows.items():
            files = tmp_path / day
            files.mkdir()
            (files / "deals.csv").write_text("id,stage,amount,created\n" + listed)
            if log:
                (files / "log.csv").write_text("id,at,from,to\n" + log)
            importing.bring_in("logged", [files], tmp_path / "book", snapshot=True, exported_on=day)
        changes = crm.open(tmp_path / "book").changes.execute()
    stages_ = {(row.deal_id, str(row.changed_at.date()), row.old_value, row.new_value)
               for row in changes[changes["field"] == "stage"].itertuples()}  # fmt: skip
    assert stages_ == {("1", "2026-01-20", "Lead", "Offer"), ("2", "2026-02-10", "Lead", "Offer"),
                       ("3", "2026-02-28", "Lead", "Offer"), ("3", "2026-03-31", "Offer", "Won")}  # fmt: skip


def test_a_snapshot_of_another_company_or_with_most_deals_gone_is_refused(tmp_path):
    many = "".join(f"{n};D{n};50;Лид;07.01.2026;не закрыта;Анна\n" for n in range(10, 50))
    take(tmp_path / "book", "2026-01-31", DAYS["2026-01-31"] + many)
    other = many.replace("07.01.2026", "09.01.2026")
    with pytest.raises(BadInput, match="40 of 40 deals that both have were created on another day"):
        take(tmp_path / "book", "2026-02-28", other)
    with pytest.raises(BadInput, match="40 of 43 deals of 2026-01-31 are not in it.*--fewer"):
        take(tmp_path / "book", "2026-02-28")
    assert take(tmp_path / "book", "2026-02-28", fewer=True).about["snapshots"]["rewritten"]["vanished"] == 40
    with pytest.raises(BadInput, match="it is of hubspot, and the book of amocrm"):
        importing.bring_in("hubspot", [ROOT / "tests" / "exports" / "hubspot"], tmp_path / "book", currency="RUB",
                           time_zone="Europe/Moscow", exported_on="2026-03-31", snapshot=True)  # fmt: skip


# --- damage ---


@pytest.mark.slow
def test_a_damaged_book_is_refused_and_derived_again_from_its_snapshots(three, salesops):
    expected = contents(crm.open(three))
    path = store.tables(three) / "deals.parquet"
    for damage in (b"", path.read_bytes()[:300], None):
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(BadInput, match="deals.parquet.*salesops snapshot --rebuild"):
            crm.open(three)
        importing.rebuild(three)
        assert contents(crm.open(three)) == expected
        path = store.tables(three) / "deals.parquet"
    shorter = pd.read_parquet(path).iloc[:-1]
    shorter.to_parquet(path)
    done = salesops("check", three)
    assert done.returncode == 2 and "deals.parquet" in done.stderr and "--rebuild" in done.stderr
    assert salesops("snapshot", "--rebuild", "--to", three).returncode == 0
    assert contents(crm.open(three)) == expected


def test_a_damaged_snapshot_is_named_and_stops_before_anything_is_written(three):
    with store.writing(three) as book:
        folder = book.snapshots["2026-02-28"]
    (folder / "deals.parquet").write_bytes(b"PAR1")
    before = everything(three)
    with pytest.raises(BadInput, match=rf"{folder.name} is damaged"):
        importing.undo("2026-01-31", three)
    assert everything(three) == before


def test_a_copied_book_is_written_into_like_the_one_it_was_copied_from(tmp_path, three):
    copied = tmp_path / "copied"
    shutil.copytree(three, copied)
    for path in copied.rglob("*"):
        os.utime(path)  # as a copy without times
    book = take(copied, "2026-03-31", replace=True)
    assert contents(book) == contents(crm.open(three))
    assert len(list((copied / "snapshots").iterdir())) == 3 and len(list((copied / "tables").iterdir())) == 2


@pytest.mark.slow
def test_a_book_json_that_is_lost_or_put_back_loses_no_snapshot(tmp_path, salesops):
    take(tmp_path / "book", "2026-01-31")
    book = tmp_path / "book"
    old = (book / "book.json").read_bytes()
    for day in ("2026-02-28", "2026-03-31"):
        take(book, day)
    expected, snapshots = contents(crm.open(book)), everything(book / "snapshots")
    lost = (book / "book.json").read_bytes()
    (book / "book.json").unlink()
    for command in (
        ("import", "amocrm", tmp_path / "files-2026-03-31"),
        ("snapshot", "amocrm", tmp_path / "files-2026-03-31"),
    ):
        done = salesops(*command, "--to", book, "--currency", "RUB", "--stages", STAGES)
        assert done.returncode == 2 and "salesops snapshot --rebuild --to" in done.stderr
        assert everything(book / "snapshots") == snapshots
    assert salesops("snapshot", "--rebuild", "--to", book).returncode == 0
    assert contents(crm.open(book)) == expected
    (book / "book.json").write_bytes(old)  # as a backup has it
    with pytest.raises(BadInput, match="nothing was undone"):
        importing.undo("2020-01-01", book)
    names = {name: content for name, content in everything(book / "snapshots").items() if "made" not in name}
    assert names == {name: content for name, content in snapshots.items() if "made" not in name}
    (book / "book.json").write_bytes(lost)
    importing.rebuild(book)
    assert contents(crm.open(book)) == expected
    (renamed,) = (book / "snapshots").glob("2026-02-28-*")
    renamed.rename(renamed.with_name("2026-02-28-mine"))
    with pytest.raises(BadInput, match="is damaged"):
        importing.rebuild(book)
    assert renamed.with_name("2026-02-28-mine").is_dir()


@pytest.mark.slow
def test_links_in_a_book_are_not_written_through(tmp_path, three):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    mine.chmod(0o600)
    (three / locks.NAME).symlink_to(mine)
    with pytest.raises(FileExistsError, match="not a lock of ours"):
        importing.rebuild(three)
    (three / locks.NAME).unlink()
    os.link(mine, three / locks.NAME)
    with pytest.raises(FileExistsError, match="not a lock of ours"):
        importing.rebuild(three)
    (three / locks.NAME).unlink()
    shutil.copytree(three, tmp_path / "copied")
    tables = store.tables(tmp_path / "copied")
    (tables / ownership.MARK).unlink()
    (tables / ownership.MARK).symlink_to(mine)
    (snapshot_,) = (tmp_path / "copied" / "snapshots").glob("2026-01-31-*")
    (snapshot_ / "x.parquet").symlink_to(mine)
    importing.rebuild(tmp_path / "copied")
    assert mine.read_text() == "mine" and stat.S_IMODE(mine.stat().st_mode) == 0o600


# --- formats ---


def test_a_book_of_format_1_is_read_and_replaced(tmp_path):
    shutil.copytree(FORMATS / "book", tmp_path / "book")
    rows = crm.open(tmp_path / "book").deals.execute()
    assert sorted(rows["status"]) == ["lost", "open", "open", "won"]
    importing.bring_in("zoho", [ROOT / "tests" / "exports" / "zoho" / "Deals.csv"], tmp_path / "book", currency="USD",
                       exported_on="2026-03-31", replace=True)  # fmt: skip
    pd.testing.assert_frame_equal(crm.open(tmp_path / "book").deals.execute(), rows)
    assert {path.name for path in (tmp_path / "book").iterdir()} == {"book.json", "tables"}
    before = tmp_path / "book" / json.loads((tmp_path / "book" / "book.json").read_text())["before"]
    kept = everything(before)
    assert all(kept[name] == content for name, content in everything(FORMATS / "book").items() if name != "book.json")


TABLES = ("deals", "changes", "stages", "visits", "states", "month_ends")


@pytest.mark.slow
def test_snapshots_of_format_1_go_on(tmp_path):
    """A book whose snapshots kept their deals alone gives what it gave, takes another one, and loses that again."""
    shutil.copytree(FORMATS / "snapshots", tmp_path / "book")
    (tmp_path / "book" / "notes.txt").write_text("mine")
    before = crm.open(tmp_path / "book")
    days, rewritten = before.about["snapshots"]["taken"], before.about["snapshots"]["rewritten"]
    rows = {name: before._stored(name).execute() for name in TABLES}
    importing.rebuild(tmp_path / "book")
    for later in (False, True):
        if later:
            more = (
                "2;B;260;Оферта;06.01.2026;не закрыта;Борис\n3;C;999;Успешно реализовано;13.01.2026;20.02.2026;Анна\n"
            )
            book = take(tmp_path / "book", "2026-05-31", more)
            assert book.about["snapshots"]["taken"] == [*days, "2026-05-31"]
            assert len(book.changes.execute()) > len(rows["changes"])
            importing.undo("2026-05-31", tmp_path / "book")
        book = crm.open(tmp_path / "book")
        for name in TABLES:
            pd.testing.assert_frame_equal(book._stored(name).execute(), rows[name])
        assert (book.about["snapshots"]["taken"], book.about["snapshots"]["rewritten"]) == (days, rewritten)
    names = sorted(path.name for path in (tmp_path / "book").iterdir())
    assert names == ["book.json", "notes.txt", "snapshots", "tables"]
    with pytest.raises(BadInput, match="an earlier version kept its deals alone"):
        importing.undo(days[-1], tmp_path / "book")


@pytest.mark.parametrize("number", [formats.BOOK + 1, 0, "2", True, None])
def test_a_book_of_another_format_is_refused_in_one_line(tmp_path, copied_three, number):
    for folder, name in ((copied_three, "book.json"), (store.tables(copied_three), "book.json")):
        content = json.loads((folder / name).read_text()) | {"format": number}
        (folder / name).write_text(json.dumps(content))
        with pytest.raises(BadInput) as refused:
            crm.open(copied_three)
        assert len(str(refused.value).splitlines()) == 2
        if number == formats.BOOK + 1:
            assert "update SalesOps Playbook" in str(refused.value)
            break


@pytest.mark.parametrize("name", ["../book", "tables/../../x", "/etc", "tables/", "snapshots", 5, "tables/a/b"])
def test_a_book_that_names_folders_of_others_is_refused(copied_three, name):
    content = json.loads((copied_three / "book.json").read_text())
    for changed in (
        content | {"tables": name},
        content | {"snapshots": {"2026-01-31": name}},
        content | {"before": name},
    ):
        (copied_three / "book.json").write_text(json.dumps(changed))
        with pytest.raises(BadInput, match="is no folder of this book"):
            crm.open(copied_three)


# --- what was valid when ---

OWN = """title: Own
currency: USD
time_zone: UTC
date_order: ymd
max_refused: 0.6
stages:
  - {pipeline: New, stage: Idea, kind: open}
  - {pipeline: New, stage: Offer, kind: open}
  - {pipeline: New, stage: Won, kind: won}
  - {pipeline: Partner, stage: Offer, kind: open}
  - {pipeline: Partner, stage: Signed, kind: won}
tables:
  deals: {file: deals.csv, columns: {deal_id: id, pipeline: pipeline, stage: stage, amount: amount, created_at: created,
                                     closed_at: closed, rep_id: rep}}
  splits: {file: splits.csv, optional: true, columns: {deal_id: id, rep_id: rep, share: share, kind: [kind],
                                                       valid_from: [from], valid_to: [to]}}
  quotas: {file: quotas.csv, optional: true, columns: {rep_id: rep, period: period, amount: quota, valid_from: [from],
                                                       valid_to: [to]}}
  reps: {file: reps.csv, optional: true, columns: {rep_id: rep, name: name, role: role, manager_id: boss,
                                                   hired_on: hired, status: [status], valid_from: [from],
                                                   valid_to: [to]}}
"""
DEALS = "id,pipeline,stage,amount,created,closed,rep\n"
OWN_DAYS = {  # b is promoted in March, when c is hired; a's quota is raised; deal 1 goes to the partners, who sign
    "2026-01-31": {
        "deals": "1,New,Idea,100,2026-01-05,,a\n2,New,Offer,200,2026-01-06,,b\n",
        "splits": "id,rep,share\n1,a,0.5\n1,b,0.5\n2,b,1\n",
        "quotas": "rep,period,quota\na,2026-Q1,1000\nb,2026-Q1,500\n",
        "reps": "rep,name,role,boss,hired\na,Ann,AE,m,2025-01-01\nb,Bob,AE,m,2025-01-01\nm,Mia,Lead,,2024-01-01\n",
    },
    "2026-02-28": {
        "deals": "1,New,Offer,100,2026-01-05,,a\n2,New,Offer,200,2026-01-06,,b\n",
        "splits": "id,rep,share\n1,a,0.7\n1,b,0.3\n2,b,1\n",
        "quotas": "rep,period,quota\na,2026-Q1,1200\nb,2026-Q1,500\n",
        "reps": "rep,name,role,boss,hired\na,Anna,AE,m,2025-01-01\nb,Bob,AE,m,2025-01-01\nm,Mia,Lead,,2024-01-01\n",
    },
    "2026-04-30": {
        "deals": "1,Partner,Signed,100,2026-01-05,2026-04-15,a\n2,New,Offer,200,2026-01-06,,b\n"
                 "3,New,Idea,50,2026-03-10,,c\n",
        "splits": "id,rep,share\n1,a,1\n2,b,1\n3,c,1\n",
        "quotas": "rep,period,quota\na,2026-Q1,1200\nb,2026-Q1,500\na,2026-Q2,1300\nb,2026,9000\n",
        "reps": "rep,name,role,boss,hired\na,Anna,AE,b,2025-01-01\nb,Bob,Lead,m,2025-01-01\nm,Mia,Lead,,2024-01-01\n"
                "c,Cy,AE,b,2026-03-09\n",
    },
}  # fmt: skip


def project_of_own(folder: Path) -> Path:
    """A project with a mapping that reads every dated table."""
    for name in ("notebooks", "params/crm"):
        (folder / "project" / name).mkdir(parents=True)
    (folder / "project" / "params" / "crm" / "own.yml").write_text(OWN)
    return folder / "project"


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """Where the book of a project of one's own is to be."""
    monkeypatch.chdir(project_of_own(tmp_path))
    return tmp_path / "book"


def add(to: Path, day: str, **changed: str | None) -> crm.Book:
    """Add the snapshot of a day; None for a table is no file of it."""
    files = to.parent / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir()
    for name, text in (OWN_DAYS[day] | changed).items():
        if text is not None:
            (files / f"{name}.csv").write_text((DEALS if name == "deals" else "") + text)
    importing.bring_in("own", [files], to, snapshot=True, exported_on=day, replace=day in taken_days(to))
    return crm.open(to)


def taken_days(to: Path) -> list[str]:
    return list(store.read(to)["snapshots"]) if (to / "book.json").exists() else []


def spans(table, *columns: str) -> list[tuple]:
    """Rows with their days as text, blank where there is none; sorted by the subject and its first day."""
    rows = table.execute()
    for name in ("valid_from", "valid_to"):
        rows[name] = pd.to_datetime(rows[name]).dt.strftime("%m-%d").fillna("")
    keys = [name for name in ("deal_id", "rep_id", "period", "kind") if name in rows.columns]
    rows = rows.sort_values([*keys, "valid_from"])[[*columns, "valid_from", "valid_to"]]
    return list(map(tuple, rows.astype(object).where(rows.notna(), None).to_numpy().tolist()))


@pytest.fixture(scope="module")
def dated_book(tmp_path_factory) -> Path:
    """The book of all days of `OWN_DAYS`, to be read."""
    folder = tmp_path_factory.mktemp("dated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project_of_own(folder))
        for day in OWN_DAYS:
            add(folder / "book", day)
    return folder / "book"


def test_splits_quotas_and_people_have_the_days_between_snapshots(dated_book):
    """Of what a snapshot changes the old row is valid until the day before, the new from that day. What is new begins
    on its own day, if that lies between two of them: c was hired on 9 March, deal 3 was created on the 10th, the second
    quarter begins in April."""
    book = crm.open(dated_book)
    assert spans(book.split_spells, "deal_id", "rep_id", "share") == [
        ("1", "a", 0.5, "", "02-27"), ("1", "a", 0.7, "02-28", "04-29"), ("1", "a", 1.0, "04-30", ""),
        ("1", "b", 0.5, "", "02-27"), ("1", "b", 0.3, "02-28", "04-29"),
        ("2", "b", 1.0, "", ""), ("3", "c", 1.0, "03-10", ""),
    ]  # fmt: skip
    assert spans(book.quota_spells, "rep_id", "period", "amount_minor") == [
        ("a", "2026-Q1", 100_000, "", "02-27"), ("a", "2026-Q1", 120_000, "02-28", ""),
        ("a", "2026-Q2", 130_000, "04-01", ""), ("b", "2026", 900_000, "04-30", ""), ("b", "2026-Q1", 50_000, "", ""),
    ]  # fmt: skip
    assert spans(book.rep_spells, "rep_id", "role", "manager_id") == [
        ("a", "AE", "m", "", "04-29"), ("a", "AE", "b", "04-30", ""),
        ("b", "AE", "m", "", "04-29"), ("b", "Lead", "m", "04-30", ""),
        ("c", "AE", "b", "03-09", ""), ("m", "Lead", None, "", ""),
    ]  # fmt: skip
    assert set(book.rep_spells.execute().query("rep_id == 'a'")["name"]) == {"Anna"}, "a name alone is no new span"


@pytest.mark.parametrize(("day", "shares", "quota", "role"), [
    ("2026-02-27", {"a": 0.5, "b": 0.5}, 100_000, "AE"), ("2026-02-28", {"a": 0.7, "b": 0.3}, 120_000, "AE"),
    ("2026-04-29", {"a": 0.7, "b": 0.3}, 120_000, "AE"), ("2026-04-30", {"a": 1.0}, 120_000, "Lead"),
])  # fmt: skip
def test_each_day_shows_what_was_valid_on_it(dated_book, day, shares, quota, role):
    book = crm.open(dated_book, as_of=day)
    splits = book.splits.execute()
    assert dict(splits[splits["deal_id"] == "1"][["rep_id", "share"]].to_numpy().tolist()) == shares
    quotas = book.quotas.execute()
    assert quotas[(quotas["rep_id"] == "a") & (quotas["period"] == "2026-Q1")]["amount_minor"].tolist() == [quota]
    assert book.reps.execute().set_index("rep_id")["role"]["b"] == role
    later = [table.execute()["valid_to"].dropna() for table in (book.split_spells, book.quota_spells, book.rep_spells)]
    assert all(pd.Timestamp(one) < pd.Timestamp(day) for one in pd.concat(later)), "an end that was not known yet"


def test_a_deal_has_the_pipeline_of_the_day(dated_book):
    """Deal 1 moves to the pipeline in which it is signed on 15 April, the day of its closing, not of the snapshot."""
    shown = {}
    for day in ("2026-02-28", "2026-04-14", "2026-04-15", "2026-04-30"):
        deal = crm.open(dated_book, as_of=day).deals.execute().set_index("deal_id").loc["1"]
        shown[day] = (deal["pipeline"], deal["stage"], int(deal["position"]), deal["status"])
    assert shown == {
        "2026-02-28": ("New", "Offer", 2, "open"), "2026-04-14": ("New", "Offer", 2, "open"),
        "2026-04-15": ("Partner", "Signed", 2, "won"), "2026-04-30": ("Partner", "Signed", 2, "won"),
    }  # fmt: skip
    log = crm.open(dated_book).changes.execute().query("field == 'pipeline'")
    assert log[["deal_id", "old_value", "new_value"]].to_numpy().tolist() == [["1", "New", "Partner"]]


@pytest.mark.slow
def test_undo_replace_and_rebuild_derive_the_days_again(own, dated_book):
    def dated() -> list:
        book = crm.open(own)
        tables = [spans(book.split_spells, "deal_id", "rep_id", "share"), spans(book.rep_spells, "rep_id", "role")]
        tables += [spans(book.quota_spells, "rep_id", "period", "amount_minor")]
        return [*tables, sorted(book.changes.execute().astype(str).to_numpy().tolist())]

    shutil.copytree(dated_book, own)
    whole_history = dated()
    importing.undo("2026-02-28", own)
    assert dated()[0] == [
        ("1", "a", 0.5, "", "04-29"), ("1", "a", 1.0, "04-30", ""), ("1", "b", 0.5, "", "04-29"),
        ("2", "b", 1.0, "", ""), ("3", "c", 1.0, "03-10", ""),
    ]  # fmt: skip
    assert ("a", "2026-Q1", 100_000, "", "04-29") in dated()[2]
    add(own, "2026-02-28")
    assert dated() == whole_history
    importing.rebuild(own)
    assert dated() == whole_history
    add(own, "2026-04-30", splits=OWN_DAYS["2026-02-28"]["splits"])
    assert ("1", "a", 0.7, "02-28", "") in dated()[0] and len(dated()[0]) == 5


@pytest.mark.slow
def test_what_was_refused_or_has_no_file_has_not_ended(own):
    """In February no file has quotas, and the day on which b was hired cannot be read: b and the quotas go on. The row
    of m is gone, and none that was refused can be hers."""
    add(own, "2026-01-31")
    reps = "rep,name,role,boss,hired\na,Ann,AE,m,2025-01-01\nb,Bob,AE,m,2025-99-01\n"
    book = add(own, "2026-02-28", quotas=None, reps=reps, splits="id,rep,share\n1,a,0.5\n1,b,half\n2,b,1\n")
    assert spans(book.rep_spells, "rep_id", "role") == [
        ("a", "AE", "", ""), ("b", "AE", "", ""), ("m", "Lead", "", "02-27"),
    ]  # fmt: skip
    assert spans(book.quotas, "rep_id", "amount_minor") == [("a", 100_000, "", ""), ("b", 50_000, "", "")]
    assert len(book.splits.execute()) == 3 and not book.split_spells.execute()["valid_to"].notna().any()
    nobody = reps.replace("2025-99-01", "2025-01-01").replace("b,Bob", ",Bob")
    book = add(own, "2026-02-28", reps=nobody)
    assert {row[0] for row in spans(book.reps, "rep_id")} == {"a", "b", "m"}, "a row that says nobody may be anybody's"


def test_an_export_that_dates_its_rows_is_taken_at_its_word(own):
    add(own, "2026-01-31")
    quotas = "rep,period,quota,from,to\na,2026-Q1,1000,,2026-02-09\na,2026-Q1,1200,2026-02-10,\n"
    book = add(own, "2026-02-28", quotas=quotas)
    assert spans(book.quota_spells, "rep_id", "amount_minor") == [
        ("a", 100_000, "", "02-09"), ("a", 120_000, "02-10", "")]  # fmt: skip
    assert book.on(pd.Timestamp("2026-02-09").date()).quotas.execute()["amount_minor"].tolist() == [100_000]
    book = add(own, "2026-04-30")  # which dates none: what was valid on the day of each
    assert spans(book.quota_spells, "rep_id", "period", "amount_minor")[:3] == [
        ("a", "2026-Q1", 100_000, "", "02-27"), ("a", "2026-Q1", 120_000, "02-28", ""),
        ("a", "2026-Q2", 130_000, "04-01", ""),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_tables_of_a_day_stay_when_the_next_day_has_a_snapshot(own):
    """What ended on a day is known when the next one has come, not before."""
    names = ("splits", "split_spells", "quotas", "quota_spells", "reps", "rep_spells")
    add(own, "2026-01-31")
    OWN_DAYS["2026-02-27"] = OWN_DAYS["2026-01-31"] | {"reps": OWN_DAYS["2026-02-28"]["reps"]}
    try:
        before = add(own, "2026-02-27")
    finally:
        del OWN_DAYS["2026-02-27"]
    rows = {name: getattr(before, name).execute() for name in names}
    add(own, "2026-02-28")
    after = crm.open(own, as_of="2026-02-27")
    for name in names:
        pd.testing.assert_frame_equal(getattr(after, name).order_by(*rows[name].columns[:2]).execute(),
                                      getattr(before, name).order_by(*rows[name].columns[:2]).execute())  # fmt: skip


def test_a_book_of_format_1_has_splits_and_quotas_without_days(tmp_path):
    shutil.copytree(FORMATS / "book", tmp_path / "book")
    book = crm.open(tmp_path / "book")
    for table in (book.splits, book.split_spells):
        assert {"kind", "valid_from", "valid_to"} <= set(table.columns)
    assert {"valid_from", "valid_to"} <= set(book.quota_spells.columns) and "pipeline" in book.states.columns
    assert len(book.digest()) == 64


# --- the cache of prepared books ---

SMALL = "sample:deals=2000"


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SALESOPS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["other", "empty", "truncated", "missing", "shorter", "no list"])
def test_a_damaged_prepared_book_is_prepared_again_with_one_line(own_cache, capfd, damage):
    first = crm.open(SMALL)
    expected, path = first.deals.count().execute(), first.folder / "deals.parquet"
    content = path.read_bytes()
    if damage == "shorter":  # a Parquet file like any other, with a row less
        duckdb.sql(f"COPY (SELECT * FROM '{path}' LIMIT 1999) TO '{path}.new' (FORMAT parquet)")
        Path(f"{path}.new").replace(path)
    elif damage in ("missing", "no list"):
        (path if damage == "missing" else first.folder / whole.NAME).unlink()
    else:
        changed = (
            content[:-100] + bytes(100) if damage == "other" else content[: {"empty": 0, "truncated": 500}[damage]]
        )
        path.write_bytes(changed)
    capfd.readouterr()
    again = crm.open(SMALL)
    assert again.deals.count().execute() == expected and again.digest() == first.digest()
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and "its prepared book was damaged" in said[0] and "prepared again" in said[0]
    assert not whole.fault(again.folder) and len(list((own_cache / "books").iterdir())) == 1


def test_the_cache_is_its_users_alone(own_cache):
    crm.open(SMALL).digest()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (own_cache, *own_cache.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


@pytest.mark.slow
def test_the_cache_is_bounded_and_only_ours_goes(own_cache, salesops, monkeypatch):
    for seed in (1, 2, 3):
        crm.open(f"{SMALL},seed={seed}").digest()
    books = own_cache / "books"
    (books / "mine").mkdir()
    (books / "mine" / "deals.parquet").write_text("x")
    old = ownership.make(books / ".sample-0-dead", ownership.DRAFT)
    names = {entry.path.name: entry for entry in cache.entries(own_cache)}
    assert len(names) == 4 and old.name in names
    now = max(entry.used_at for entry in names.values())
    for age, entry in enumerate(sorted((one for one in names.values() if one.kind == ownership.BOOK), key=str)):
        os.utime(entry.path / ownership.MARK, (now - age * 10 * 86_400,) * 2)
    assert cache.evict(own_cache, n_bytes=float("inf"), days=90) != []  # the draft alone
    assert not old.exists() and len(cache.entries(own_cache)) == 3
    two = sum(entry.n_bytes for entry in cache.entries(own_cache)[:2])
    (gone,) = cache.evict(own_cache, n_bytes=two, days=90)
    assert now - gone.used_at > 15 * 86_400 and len(cache.entries(own_cache)) == 2
    cache.evict(own_cache, n_bytes=0, days=0)
    assert len(cache.entries(own_cache)) == 1, "one is in use"
    done = salesops("cache", "list", env={**os.environ, "SALESOPS_CACHE": str(own_cache)})
    assert done.returncode == 0 and "1 in all" in done.stdout
    done = salesops("cache", "prune", "--older-than", "0", env={**os.environ, "SALESOPS_CACHE": str(own_cache)})
    assert "nothing to remove" in done.stdout, "it was used within the hour"
    assert (books / "mine" / "deals.parquet").read_text() == "x"
    monkeypatch.setenv("SALESOPS_CACHE_LIMIT", "0.000001")
    os.utime(cache.entries(own_cache)[0].path / ownership.MARK, (now - 2 * 86_400,) * 2)
    crm.open(f"{SMALL},seed=4")
    assert len(cache.entries(own_cache)) == 1, "a new book makes room for itself"


# --- whose folders are whose ---


def test_only_what_carries_our_mark_is_ours(tmp_path):
    ours = ownership.make(tmp_path / "salesops_1", "working-folder")
    copied = Path(shutil.copytree(ours, tmp_path / "salesops_2"))
    (tmp_path / "salesops-playbook" / ".git").mkdir(parents=True)
    (tmp_path / "link").symlink_to(ours)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ownership.MARK).symlink_to(ours / ownership.MARK)
    assert list(ownership.in_(tmp_path, "working-folder")) == [ours]
    for path in (copied, tmp_path / "salesops-playbook", tmp_path / "link", tmp_path / "linked"):
        assert not ownership.remove(path, "working-folder") and path.exists()
    assert not ownership.remove(ours, "drafts") and ownership.remove(ours, "working-folder")


def test_links_in_what_is_removed_are_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    ours = ownership.make(tmp_path / "ours", "drafts")
    (ours / "link").symlink_to(tmp_path / "mine")
    assert ownership.remove(ours, "drafts") and (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_ours(tmp_path):
    ours = ownership.make(tmp_path / "ours", "drafts")
    os.chown(ours, 65534, 65534)
    assert not ownership.is_ours(ours, "drafts")
