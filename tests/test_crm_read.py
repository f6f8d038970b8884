"""Reading through a mapping: values, repairs, and every problem at once with its place."""

import contextlib
import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops import yamlfile
from salesops.crm import evidence, mapping, parse
from salesops.crm import read as reading
from salesops.crm.evidence import Dates, Doubt, Mask, Numbers
from salesops.crm.mapping import Mapping
from salesops.problems import BadInput, Problem

from tests.conftest import examples

SPEC = {
    "title": "A test export",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "delimiter": ";",
    "decimal": ",",
    "thousands": ".",
    "date_order": "dmy",
    "stages": [
        {"stage": "Lead", "kind": "open"},
        {"stage": "Offer", "kind": "open"},
        {"stage": "Won", "kind": "won"},
        {"stage": "Lost", "kind": "lost"},
    ],
    "tables": {
        "deals": {
            "file": "deals.csv",
            "columns": {
                "deal_id": "Nr",
                "name": "Name",
                "stage": "Stufe",
                "created_at": "Angelegt",
                "amount": "Betrag",
            },
            "values": {"stage": {"Angebot": "Offer"}},
            "repairs": {"name": {"Acme Gmbh": "Acme GmbH"}},
            "blanks": {"amount": ["k.A."]},
        }
    },
}
GOOD = """Nr;Name;Stufe;Angelegt;Betrag
0000000000000000001;Acme Gmbh;Lead;31.03.2024 02:30;1.234,56
0000000000000000002;Beta;Angebot;01.01.2024;k.A.
0000000000000000003;"Gamma; Söhne";Won;27.10.2024 02:30;-5
"""


class Got(NamedTuple):
    """What reading gave, with its tables."""

    tables: dict[str, pa.Table]
    refused: list[Problem]
    n_refused: dict[str, int]
    n_left_out: dict[str, dict[str, int]]
    repairs: list
    notes: list
    written: dict[str, str]
    converted: list
    n_without_id: int
    n_without_key: dict[str, int]
    stages_derived: bool


def read(folder: Path, spec: Mapping) -> Got:
    target = Path(tempfile.mkdtemp(prefix="book-", dir=folder))
    try:
        got = reading.read(folder, spec, target)
    except BadInput:
        assert not list(target.glob("*.parquet")), "half a book"
        raise
    finally:
        assert not list(target.glob(".reading*"))
    return Got({path.stem: pq.read_table(path) for path in target.glob("*.parquet")}, *got)


def value(sql: str, text: str):
    """What an expression makes of the text of a column x."""
    return duckdb.execute(f"SELECT {sql} FROM (SELECT ? AS x)", [text]).fetchone()[0]


def moment(text: str, how: Dates, zone: str = "Europe/Berlin"):
    wall, offset = parse.wall("x", "g", how)
    layers = f"SELECT *, {wall} AS w, {offset} AS o FROM (SELECT x, {parse.parts('x', how)} AS g FROM (SELECT ? AS x))"
    return duckdb.execute(f"SELECT {parse.moment('w', 'o', ZoneInfo(zone))} FROM ({layers})", [text]).fetchone()[0]


def book(folder: Path, text: str, *, encoding: str = "utf-8", **changes):
    (folder / "deals.csv").write_bytes(text.encode(encoding))
    return read(folder, Mapping(**{**SPEC, **changes}))


def test_values_are_what_the_file_means(tmp_path):
    got = book(tmp_path, GOOD)
    deals = got.tables["deals"].to_pandas()
    assert deals["deal_id"].tolist() == [f"{n:019}" for n in (1, 2, 3)]
    assert deals["name"].tolist() == ["Acme GmbH", "Beta", "Gamma; Söhne"]
    assert deals["stage"].tolist() == ["Lead", "Offer", "Won"]
    assert deals["amount_minor"].fillna(-1).tolist() == [123456, -1, -500]
    # an hour that is not there is moved forward; of an hour that is there twice the first is meant
    utc = ["2024-03-31 01:00", "2023-12-31 23:00", "2024-10-27 00:30"]
    assert deals["created_at"].tolist() == [pd.Timestamp(moment) for moment in utc]
    assert [(r.column, r.came, r.became, r.n_rows) for r in got.repairs] == [("name", "Acme Gmbh", "Acme GmbH", 1)]
    assert not got.refused and not got.n_refused


def test_every_bad_row_is_listed_with_file_row_column_value_and_what_is_allowed(tmp_path):
    bad = GOOD + "4;X;Lead;2024-01-01;1\n5;X;Nirvana;01.01.2024;1\n6;X;Lead;01.01.2024;1.23,4\n;X;Lead;01.01.2024;1\n"
    bad += "0000000000000000003;twice;Lead;01.01.2024;1\n8;short;Lead\n"
    got = book(tmp_path, bad, max_refused=1)
    listed = {(p.file, p.row, p.column, p.value) for p in got.refused}
    assert listed == {
        ("deals.csv", 5, "Angelegt", "2024-01-01"),
        ("deals.csv", 6, "stage", "Nirvana"),
        ("deals.csv", 7, "Betrag", "1.23,4"),
        ("deals.csv", 8, "Nr", ""),
        ("deals.csv", 9, "deal_id", "0000000000000000003"),
        ("deals.csv", 10, "", "3 fields"),
    }
    assert all(p.allowed for p in got.refused)
    assert got.n_refused == {"deals": 6}
    assert got.tables["deals"].num_rows == 3
    with pytest.raises(
        BadInput, match=r"6 of 9 rows; 5% of a table's rows may be refused(.|\n)*row 6, stage: got 'Nirvana'"
    ):
        book(tmp_path, bad)


@pytest.mark.parametrize(
    ("text", "encoding", "says"),
    [
        ("", "utf-8", "the file is empty"),
        ("Nr;Name\n1;a\n", "utf-8", "Angelegt: no such column; the file has Nr, Name"),
        (
            "Nr;Name;Nr;Stufe;Angelegt;Betrag\n1;a;2;Lead;01.01.2024;1\n",
            "utf-8",
            "Nr: got '1 and 2', the header has this name 2",
        ),
        (GOOD, "cp1252", "row 4: got 'bytes f6 68 6e 65 22 3b 57 6f', text in utf-8; say another encoding"),
        (GOOD + '4;"open', "utf-8", "row 5: not readable as CSV: a quote is opened and not closed"),
        ("Nr;Name;Stufe;Angelegt;Betrag\n", "utf-8", "no deals"),
        ("Nr;Name;Stufe;Angelegt;Betrag\n1;a;Lead;01.01.2024;" + "9" * 30 + "\n", "utf-8", "an amount of money"),
    ],
    ids=["empty", "columns", "twice", "cp1252", "quote", "no rows", "overflow"],
)
def test_a_file_that_is_not_as_declared_is_refused_with_one_message(tmp_path, text, encoding, says):
    with pytest.raises(BadInput) as error:
        book(tmp_path, text, encoding=encoding)
    assert says in str(error.value)


def test_missing_files_are_all_named(tmp_path):
    tables = {**SPEC["tables"], "reps": {"file": "reps.csv", "columns": {"rep_id": "id"}}}
    with pytest.raises(BadInput, match=r"deals.csv: no such file(.|\n)*reps.csv: no such file"):
        read(tmp_path, Mapping(**{**SPEC, "tables": tables}))


def test_a_mapping_names_all_its_mistakes(tmp_path):
    wrong = {**SPEC, "currency": "EURO", "time_zone": "Berlin", "colour": "red"}
    path = tmp_path / "wrong.yml"
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(BadInput) as error:
        mapping.load(path)
    assert all(name in str(error.value) for name in ("currency", "time_zone", "colour"))
    path.write_text(
        yaml.safe_dump({**SPEC, "tables": {"deals": {"file": "../../etc/passwd", "columns": {"nme": "x"}}}})
    )
    with pytest.raises(BadInput, match="must be a path below"):
        mapping.load(path)
    path.write_text(
        yaml.safe_dump(
            {**SPEC, "tables": {"deal": {"file": "d", "columns": {}}, "deals": {"file": "x", "columns": {"nme": "x"}}}}
        )
    )
    with pytest.raises(BadInput, match=r"tables.deal: no such canonical table(.|\n)*tables.deals.columns.nme"):
        mapping.load(path)


@given(st.integers(-(10**15), 10**15), st.sampled_from([(",", "."), (".", ","), (",", " "), (".", "'"), (".", "")]))
@settings(max_examples=examples(60))
def test_money_survives_being_written_with_marks(minor, marks):
    point, group = marks
    whole, cents = divmod(abs(minor), 100)
    text = f"{'-' * (minor < 0)}{whole:,}".replace(",", group) + f"{point}{cents:02}"
    sql = parse.money(parse.plain(parse.bare("x", "EUR"), Numbers(point, group)), 2)
    assert value(sql, text) == minor
    assert value(sql, f"€ {text}") == value(sql, f"{text} EUR") == minor and value(sql, f"$ {text}") is None


@pytest.mark.parametrize(
    ("text", "digits", "minor"),
    [
        ("1.005", 2, 100),
        ("1.015", 2, 102),
        ("1.0049999999999", 2, 100),
        ("-1.015", 2, -102),
        ("1.5", 0, 2),
        ("2.5", 0, 2),
        ("(12.30)", 2, -1230),
        ("12.30-", 2, -1230),
    ],
)
def test_money_is_rounded_once_half_to_even(text, digits, minor):
    assert value(parse.money(parse.plain(parse.bare("x", "USD"), Numbers()), digits), text) == minor


@given(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2037, 12, 1)))
@settings(max_examples=examples(50), deadline=None)
def test_moments_with_an_offset_are_that_moment(at):
    at = at.replace(microsecond=0)
    assert moment(at.isoformat() + "+03:00", Dates("iso")) == at - dt.timedelta(hours=3)


@pytest.mark.slow
@given(
    st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2037, 12, 1)),
    st.sampled_from(
        ["Europe/Berlin", "Europe/Moscow", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
    ),
)
@settings(max_examples=examples(150), deadline=None)
def test_local_moments_are_those_of_the_zone(at, zone):
    """Of an hour that is there twice the first is meant; of one that is not there, the moment after it."""
    at = at.replace(microsecond=0)
    expected = at.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(dt.UTC)
    if expected.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != at:  # not there: the change itself
        offset = at.replace(tzinfo=ZoneInfo(zone), fold=1).utcoffset()
        later = at.replace(tzinfo=ZoneInfo(zone), fold=0).utcoffset()
        gap_from = max(offset, later)
        assert moment(at.isoformat(" "), Dates("iso"), zone) <= expected.replace(tzinfo=None) and gap_from
        return
    assert moment(at.isoformat(" "), Dates("iso"), zone) == expected.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("text", "how", "utc"),
    [
        ("31.12.2025", Dates("triple", "dmy"), "2025-12-31"),
        ("12/31/2025 3:05 PM", Dates("triple", "mdy"), "2025-12-31 15:05"),
        ("12/31/2025 12:05 am", Dates("triple", "mdy"), "2025-12-31 00:05"),
        ("1.2.26 0:00", Dates("triple", "dmy"), "2026-02-01"),
        ("2025-12-31T10:00:00.123456Z", Dates("iso"), "2025-12-31 10:00:00.123456"),
        ("2025/1/5 7:08", Dates("iso"), "2025-01-05 07:08"),
        ("20251231T1000", Dates("compact"), None),
        ("20251231", Dates("compact"), "2025-12-31"),
        ("31-Dec-2025 10:00", Dates("named"), "2025-12-31 10:00"),
        ("Dec 31, 2025, 10:00 PM", Dates("us_named"), "2025-12-31 22:00"),
        ("1767175445123", Dates("milliseconds"), "2025-12-31 10:04:05.123"),
        ("1767175445", Dates("seconds"), "2025-12-31 10:04:05"),
        ("46022", Dates("serial"), "2025-12-31"),
        ("46022.5", Dates("serial"), "2025-12-31 12:00"),
        ("31.13.2025", Dates("triple", "dmy"), None),
        ("29.02.2025", Dates("triple", "dmy"), None),
        ("12/31/2025 13:05 PM", Dates("triple", "mdy"), None),
        ("31-Foo-2025", Dates("named"), None),
        ("2199-01-01", Dates("iso"), None),
        ("2026-01-05T10:00:00+99:99", Dates("iso"), None),
    ],
)  # fmt: skip
def test_dates_in_every_family(text, how, utc):
    assert moment(text, how, "UTC") == (pd.Timestamp(utc).to_pydatetime() if utc else None)


def test_yaml_means_what_people_mean(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("country: NO\nday: 2026-10-31\ncode: 010\nn: 3\nyes: true\n")
    assert yamlfile.load(path) == {"country": "NO", "day": "2026-10-31", "code": "010", "n": 3, "yes": True}
    for text, says in (
        ("a: 1\na: 2\n", "stands twice"),
        ("- a\n", "name: value"),
        ("a: [\n", "expected"),
        ("a: !!python/name:os\n", "python/name"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=says):
            yamlfile.load(path)


def _in(folder: Path, text: str, encoding: str):
    (folder / "deals.csv").write_bytes(text.encode(encoding))
    return read(folder, Mapping(**{**SPEC, "encoding": encoding if encoding == "cp866" else ""}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1251", "cp866"])
def test_encodings_are_recognised_or_declared(tmp_path, encoding):
    text = GOOD.replace("Gamma; Söhne", "ООО Ромашка")
    got = _in(tmp_path, text, encoding)
    assert got.tables["deals"]["name"][2].as_py() == "ООО Ромашка"


def test_parquet_brings_its_own_types(tmp_path):
    moments = [dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC), None, dt.datetime(2024, 3, 2, 0, 30, tzinfo=dt.UTC)]
    table = pa.table(
        {
            "Nr": pa.array([1, 2, 2**60], pa.int64()),
            "Name": pa.array(["a", None, "b"]).dictionary_encode(),
            "Stufe": ["Lead", "Offer", "Won"],
            "Angelegt": pa.array(moments, pa.timestamp("ms", "Europe/Berlin")),
            "Betrag": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(12, 2)),
        }
    )
    pq.write_table(table, tmp_path / "deals.parquet")
    tables = {"deals": {**SPEC["tables"]["deals"], "file": "deals.parquet"}}
    got = read(tmp_path, Mapping(**{**SPEC, "date_order": "", "tables": tables})).tables["deals"].to_pandas()
    assert got["deal_id"].tolist() == ["1", "2", str(2**60)]
    assert got["amount_minor"].fillna(0).tolist() == [110, 0, -200]
    assert got["created_at"].tolist()[::2] == [pd.Timestamp("2024-03-01 12:00"), pd.Timestamp("2024-03-02 00:30")]


def test_an_event_log_becomes_deals_and_changes(tmp_path):
    at = '<date key="time:timestamp" value="2024-01-0{}T10:00:00+01:00"/>'
    event = '<event><string key="concept:name" value="{}"/>' + at + "</event>"
    log = '<log xmlns="http://www.xes-standard.org/"><trace><string key="concept:name" value="c1"/>{}</trace></log>'
    events = [("Lead", 1), ("Coffee", 2), ("Won", 3)]
    (tmp_path / "log.xes").write_text(log.format("".join(event.format(*e) for e in events)))
    tables = {
        "deals": {"file": "log.xes", "rows": "cases", "columns": {"deal_id": "case:concept:name"}},
        "changes": {
            "file": "log.xes",
            "rows": "events",
            "columns": {"deal_id": "case:concept:name", "changed_at": "time:timestamp", "new_value": "concept:name"},
            "constants": {"field": "stage"},
            "keep": {"new_value": ["Lead", "Won"]},
        },
    }
    got = read(tmp_path, Mapping(**{**SPEC, "date_order": "", "tables": tables}))
    changes = got.tables["changes"].to_pandas()
    assert changes["new_value"].tolist() == ["Lead", "Won"] and got.n_left_out == {"changes": {"of no use here": 1}}
    assert changes["changed_at"].tolist() == [pd.Timestamp("2024-01-01 09:00"), pd.Timestamp("2024-01-03 09:00")]
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><log>&c;</log>'
    for text in (bomb, "<log><trace>", "PK\x03\x04"):
        (tmp_path / "log.xes").write_text(text)
        with pytest.raises(BadInput, match="not readable as XES"):
            read(tmp_path, Mapping(**{**SPEC, "tables": tables}))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"thousands": ",", "decimal": ","}, "they must differ"),
        ({"date_order": "mix"}, "date_order"),
        ({"encoding": "utf-99"}, "is not an encoding"),
        ({"exported_on": "yesterday"}, "write a day"),
        ({"stages": [*SPEC["stages"], {"stage": "Lead", "kind": "lost"}]}, "each stage once"),
        ({"tables": {"deals": {"file": "deals.csv", "columns": {"name": "Name"}}}}, "deal_id: missing"),
        ({"tables": {"deals": {**SPEC["tables"]["deals"], "keep": {"region": ["x"]}}}}, "keep.region"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(tmp_path, changed, says):
    path = tmp_path / "m.yml"
    path.write_text(yaml.safe_dump({**SPEC, **changed}))
    with pytest.raises(BadInput, match=says):
        mapping.load(path)


@pytest.mark.parametrize("text", ["now", "today", "2026", "2026-03", "05.01", "infinity", "epoch", "2026-02-30"])
@pytest.mark.parametrize("how", [Dates("iso"), Dates("triple", "dmy")])
def test_what_is_no_whole_date_is_refused(text, how):
    assert moment(text, how) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05 10:00:00+00",
        "2026-01-05T11:00:00+01:00",
        "2026-01-05T10:00Z",
        "2026-01-05T11:00+0100",
        "2026-01-05T05:30-0430",
    ],
)
def test_offsets_in_every_form_are_understood(text):
    assert moment(text, Dates("iso")) == dt.datetime(2026, 1, 5, 10)


def test_a_log_listed_newest_first_is_turned_round(tmp_path):
    (tmp_path / "deals.csv").write_text(GOOD)
    log = [
        "Nr;am;alt;neu",
        "1;03.02.2024;Offer;Won",
        "1;02.02.2024 10:00;Lead;Offer",
        "1;02.02.2024 10:00;;Lead",
        "1;01.02.2024;;Lead",
    ]
    (tmp_path / "log.csv").write_text("\n".join(line.replace("1;", f"{1:019};", 1) for line in log))
    changes = {
        "file": "log.csv",
        "columns": {"deal_id": "Nr", "changed_at": "am", "old_value": "alt", "new_value": "neu"},
        "constants": {"field": "stage"},
    }
    got = read(tmp_path, Mapping(**{**SPEC, "tables": {**SPEC["tables"], "changes": changes}}))
    assert got.tables["changes"]["new_value"].to_pylist() == ["Lead", "Lead", "Offer", "Won"]


def test_nothing_happens_after_the_export(tmp_path):
    got = book(tmp_path, GOOD, exported_on="2024-06-30", max_refused=1)
    assert [(p.row, p.column) for p in got.refused] == [(4, "created_at")] and got.n_refused == {"deals": 1}


# How a column is written, from evidence


def masks(*texts: str) -> list[Mask]:
    digits = str.maketrans("012345678", "9" * 9)
    found = {}
    for text in texts:
        parts = text.replace("/", ".").replace("-", ".").split(".")
        above = [part.isdigit() and len(part) <= 2 and int(part) > 12 for part in parts[:2]]
        mask = text.translate(digits)
        old = found.get(mask, Mask(mask, 0, text))
        found[mask] = Mask(mask, old.n + 1, old.example, old.n_first + above[0], old.n_second + (above + [False])[1])
    return list(found.values())


@pytest.mark.parametrize(
    ("texts", "marks"),
    [
        (["1", "22"], (".", "")),
        (["1.5", "1234.25"], (".", "")),
        (["1,5", "1234,25"], (",", "")),
        (["1,234.50", "12"], (".", ",")),
        (["1.234,50", "12"], (",", ".")),
        (["1 234,50"], (",", " ")),
        (["1'234.50"], (".", "'")),
        (["1,234,567", "1,234"], (".", ",")),
        (["1.234.567"], (",", ".")),
        (["1,234", "0.5"], (".", ",")),
        (["1.234", "1 000,5"], None),
        (["1,234"], None),
        (["1.234"], None),
        (["1,234", "1.234"], None),
        (["1,5", "1.5"], None),
        (["1,234.5", "1.234,5"], None),
        (["2,024,994", "4049.98", "57.68"], None),
        (["12345,678"], (",", "")),
        (["junk", "1.5"], (".", "")),
        ([], (".", "")),
    ],
)
def test_marks_of_numbers(texts, marks):
    if marks is None:
        with pytest.raises(Doubt):
            evidence.numbers(masks(*texts))
    else:
        assert evidence.numbers(masks(*texts))[:2] == marks


@pytest.mark.parametrize(
    ("texts", "how"),
    [
        (["2026-01-05"], Dates("iso")),
        (["05.01.2026", "25.01.2026"], Dates("triple", "dmy")),
        (["01/05/2026", "01/25/2026"], Dates("triple", "mdy")),
        (["05.01.2026"], None),
        (["25.01.2026", "01.25.2026"], None),
        (["2026-01-05", "25.01.2026"] * 3, None),
        (["2026-01-05"] * 30 + ["25.01.2026"], Dates("iso")),
        (["01.01.2026"] * 30 + ["13.01.2026"], None),
        (["25.01.26"], None),
        (["46022", "46023.25"], Dates("serial")),
        (["1767175445123"], Dates("milliseconds")),
        (["5-Jan-2026"], Dates("named")),
        (["Jan 5, 2026"], Dates("us_named")),
        (["soon"], Dates()),
    ],
)
def test_order_of_dates(texts, how):
    if how is None:
        with pytest.raises(Doubt):
            evidence.dates(masks(*texts))
    else:
        assert evidence.dates(masks(*texts))._replace(sure=False) == how


@given(
    st.lists(st.dates(dt.date(2000, 1, 1), dt.date(2037, 1, 1)), min_size=1, max_size=60),
    st.sampled_from(["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d"]),
)
@settings(max_examples=examples(300))
def test_a_decided_order_is_the_true_one(days, pattern):
    """Whatever the days, the order is the one they were written in, or asked for."""
    try:
        how = evidence.dates(masks(*(day.strftime(pattern) for day in days)))
    except Doubt:
        assert pattern != "%Y-%m-%d"
        return
    assert (
        how._replace(sure=False)
        == {"%d.%m.%Y": Dates("triple", "dmy"), "%m/%d/%Y": Dates("triple", "mdy"), "%Y-%m-%d": Dates("iso")}[pattern]
    )


@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=40),
    st.sampled_from([(",", "."), (".", ","), (",", " "), (".", "'"), (".", ""), (",", "")]),
    st.integers(0, 3),
)
@settings(max_examples=examples(300))
def test_decided_marks_give_the_true_numbers(numbers, marks, digits):
    point, group = marks

    def write(number: int) -> str:
        whole, rest = divmod(abs(number), 10**digits)
        text = f"{whole:,}".replace(",", group)
        return "-" * (number < 0) + text + (f"{point}{rest:0{digits}}" if digits else "")

    texts = [write(number) for number in numbers]
    try:
        how = evidence.numbers(masks(*texts))
    except Doubt:
        return
    read_back = [value(parse.decimal(parse.plain(parse.bare("x", "USD"), how)), text) for text in texts[:5]]
    assert read_back == [Decimal(number) / 10**digits for number in numbers[:5]]


def test_ranges_that_a_spreadsheet_made_days_are_named(tmp_path):
    columns = {**SPEC["tables"]["deals"]["columns"], "segment": "Size"}
    tables = {"deals": {**SPEC["tables"]["deals"], "columns": columns}}
    sizes = ["Size", "21-50", "May-20", "1-4"]
    text = "\n".join(f"{line};{size}" for line, size in zip(GOOD.splitlines(), sizes, strict=True))
    got = book(tmp_path, text, tables=tables)
    assert got.notes == [("deals.csv", "deals.segment looks like ranges, of which a spreadsheet made days (May-20)", 1)]
    assert got.tables["deals"]["segment"].to_pylist() == ["21-50", "May-20", "1-4"]


def test_errors_of_a_spreadsheet_are_blank_and_counted(tmp_path):
    got = book(tmp_path, GOOD.replace("k.A.", "#DIV/0!").replace("Beta", "#REF!"))
    assert [(r.column, r.came, r.became, r.n_rows) for r in got.repairs if r.came.startswith("#")] == [
        ("name", "#REF!", "", 1),
        ("amount", "#DIV/0!", "", 1),
    ]
    assert got.tables["deals"]["amount_minor"].to_pylist() == [123456, None, -500]


def test_percent_and_signs_are_understood(tmp_path):
    stages = {"file": "stages.csv", "columns": {"stage": "s", "position": "n", "kind": "k", "probability": "p"}}
    (tmp_path / "stages.csv").write_text(
        "s;n;k;p\nLead;1;open;12,5 %\nOffer;2;open;50%\nWon;3;won;100%\nLost;4;lost;0%\n"
    )
    tables = {**SPEC["tables"], "stages": stages}
    got = book(tmp_path, GOOD.replace("1.234,56", "€ 1.234,56"), tables=tables, stages=[])
    assert got.tables["stages"]["probability"].to_pylist() == [0.125, 0.5, 1.0, 0.0]
    assert got.tables["deals"]["amount_minor"].to_pylist() == [123456, None, -500]


SMALL = {
    "title": "X",
    "currency": "USD",
    "stages": [{"stage": "A", "kind": "open"}, {"stage": "W", "kind": "won"}],
}
DEALS = {"file": "d.csv", "columns": {"deal_id": "id", "stage": "s", "amount": "amt", "created_at": "c"}}
ROWS = "id,s,amt,c,w\n1,A,10.5,2026-01-01,2026-01-02\n2,W,20.5,2026-01-02,2026-01-03\n"


def small(folder: Path, deals: dict, text: str = ROWS, **files: str) -> Got:
    (folder / "d.csv").write_text(text)
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)
    return read(folder, Mapping(**SMALL, tables={"deals": {**DEALS, **deals}}))


def test_a_join_takes_all_files_of_its_pattern_and_no_blank_keys(tmp_path):
    told = {"join": [{"file": "r*.csv", "name": "r", "on": {"w": "k"}}], "columns": {**DEALS["columns"], "name": "r.n"}}
    text = ROWS.replace("2026-01-03", "")
    got = small(tmp_path, told, text, r1="k,n\nx,Zero\n,Nobody\n", r2="k,n,z\n2026-01-02,One,1\n")
    assert got.tables["deals"]["name"].to_pylist() == ["One", None]


def test_a_condition_knows_the_marks_of_its_column(tmp_path):
    text = 'id,s,amt,c,w\n1,A,"1,500.00",2026-01-01,\n2,A,7.50,2026-01-01,\n3,A,2.00,2026-01-01,\n'
    got = small(tmp_path, {"only": [{"column": "amt", "above": 5, "called": "small"}]}, text)
    assert got.tables["deals"]["deal_id"].to_pylist() == ["1", "2"] and got.n_left_out == {"deals": {"small": 1}}


def test_currencies_are_not_added_up(tmp_path):
    rows = "".join(f"{k},A,1,2026-01-01,USD\n" for k in range(3, 40))
    text = "id,s,amt,c,w\n1,A,10,2026-01-01,USD\n1,A,20,2026-01-01,EUR\n" + rows
    got = small(tmp_path, {"sum": True, "columns": {**DEALS["columns"], "currency": "w"}}, text)
    assert got.tables["deals"]["amount_minor"].to_pylist()[0] == 1000 and got.n_refused == {"deals": 1}


@pytest.mark.parametrize(
    "told",
    [
        {"sum": True},
        {"columns": {**DEALS["columns"], "amount": {"product": ["amt", "w"]}}},
        {"scale": {"amount": "1000"}},
    ],
)
def test_numbers_that_are_too_large_are_refused(tmp_path, told):
    row = "1,A,90000000000000000000,2026-01-01,90000000000000000000\n"
    with pytest.raises(BadInput):
        small(tmp_path, told, "id,s,amt,c,w\n" + row * 3)


@pytest.mark.parametrize(
    "told",
    [
        {"stage_dates": "w("},
        {"stage_dates": "w"},
        {"closing": {"column": "w"}},
        {"keep": {"stage": []}},
        {"join": [{"file": "d.csv", "name": "q", "on": {}}]},
        {"only": [{"column": "amt", "above": float("inf"), "called": "x"}]},
        {"delimiter": ";;"},
        {"encoding": "rot13"},
        {"thousands": "]"},
        {"file": "**.csv"},
        {"only": [{"column": "amt", "matches": "(", "called": "x"}]},
    ],
)
def test_a_table_that_cannot_work_is_refused_before_anything_is_read(told):
    with pytest.raises(ValueError):
        Mapping(**SMALL, tables={"deals": {**DEALS, **told}})


@pytest.mark.parametrize("pattern", ["w(x)?", "(?=w)w", "'; DROP TABLE x; --(a)"])
def test_odd_patterns_do_no_harm(tmp_path, pattern):
    for told in ({"stage_dates": pattern}, {"only": [{"column": "s", "matches": pattern, "called": "x"}]}):
        with contextlib.suppress(BadInput, ValueError):
            small(tmp_path, told)


# --- rows that hold for a span of days ---

DATED = SPEC | {"tables": SPEC["tables"] | {
    "splits": {"file": "splits.csv", "columns": {"deal_id": "Deal", "rep_id": "Rep", "share": "Share", "kind": ["Kind"],
                                                 "valid_from": ["From"], "valid_to": ["To"]}, "optional": True},
    "quotas": {"file": "quotas.csv", "columns": {"rep_id": "Rep", "period": "Period", "amount": "Quota",
                                                 "valid_from": ["From"], "valid_to": ["To"]}, "optional": True},
    "reps": {"file": "reps.csv", "columns": {"rep_id": "Rep", "team": "Team",
                                             "status": ["Status"],
                                             "valid_from": ["From"], "valid_to": ["To"]}, "optional": True},
}, "max_refused": 1.0}  # fmt: skip


def dated(folder: Path, name: str, text: str) -> Got:
    (folder / "deals.csv").write_text(GOOD, "utf-8")
    (folder / f"{name}.csv").write_text(text, "utf-8")
    return read(folder, Mapping.model_validate(DATED))


SPANS = """Deal;Rep;Share;Kind;From;To
1;a;0,5;;;31.03.2026
1;a;0,3;direct;01.04.2026;
1;a;0,2;overlay;;
1;b;0,5;;15.03.2026;
"""


def test_a_split_has_a_kind_and_days_and_one_without_either_is_direct_from_the_beginning(tmp_path):
    got = dated(tmp_path, "splits", SPANS)
    rows = [(row["rep_id"], row["share"], row["kind"], str(row["valid_from"]), str(row["valid_to"]))
            for row in got.tables["splits"].to_pylist()]  # fmt: skip
    assert not got.refused and rows == [
        ("a", 0.5, "direct", "None", "2026-03-31"), ("a", 0.3, "direct", "2026-04-01", "None"),
        ("a", 0.2, "overlay", "None", "None"), ("b", 0.5, "direct", "2026-03-15", "None"),
    ]  # fmt: skip
    got = dated(tmp_path, "splits", "Deal;Rep;Share\n1;a;0,5\n1;b;0,5\n1;a;0,4\n")
    assert [(one.row, one.column) for one in got.refused] == [(4, "deal_id")]
    assert {row["kind"] for row in got.tables["splits"].to_pylist()} == {"direct"}
    got = dated(tmp_path, "splits", SPANS + "1;a;0,1;team;;\n")
    assert got.refused == [Problem("splits.csv", 6, "Kind", "team", "allowed: direct, overlay")]


@pytest.mark.parametrize(("name", "head", "subject", "row"), [
    ("splits", "Deal;Rep;Share;Kind", "deal_id, rep_id, kind", "1;a;0,5;"),
    ("quotas", "Rep;Period;Quota", "rep_id, period, kind", "a;2026-Q2;100"),
    ("reps", "Rep;Team", "rep_id", "a;North"),
])  # fmt: skip
def test_days_that_overlap_or_end_before_they_begin_are_refused(tmp_path, name, head, subject, row):
    says = f"a day after the last one (valid_to) of the row before it of the same {subject}"
    rows = [f"{row};;31.03.2026", f"{row};31.03.2026;", f"{row};01.05.2026;30.04.2026", f"{row};01.06.2026;"]
    got = dated(tmp_path, name, "\n".join([f"{head};From;To", *rows]) + "\n")
    assert sorted((one.row, one.column, one.value, one.allowed) for one in got.refused) == [
        (3, "valid_from", "2026-03-31", says),
        (4, "valid_to", "2026-04-30", "a day not before valid_from, the first one of the row"),
    ] + ([] if name == "reps" else [(5, "valid_from", "2026-06-01", says)])
    apart = [f"{row};;31.03.2026", f"{row};01.04.2026;"]
    assert not dated(tmp_path, name, "\n".join([f"{head};From;To", *apart]) + "\n").refused
    still = [f"{row};;", f"{row};01.04.2026;"]  # positions are listed so; of shares and quotas, two would hold
    assert len(dated(tmp_path, name, "\n".join([f"{head};From;To", *still]) + "\n").refused) == (name != "reps")


def test_a_rep_can_be_on_leave(tmp_path):
    got = dated(
        tmp_path, "reps", "Rep;Team;Status;From;To\na;N;active;;31.03.2026\na;N;leave;01.04.2026;\nb;N;away;;\n"
    )
    assert [row["status"] for row in got.tables["reps"].to_pylist()] == ["active", "leave"]
    assert got.refused[0].allowed == "allowed: active, left, leave"


MOVED = """Nr;At;Field;Old;New
0000000000000000001;05.04.2024 10:00;pipeline;New;Old
0000000000000000001;05.04.2024 10:00;stage;Idea;Lead
"""


def test_a_logged_stage_may_be_of_a_pipeline_that_the_deal_was_in(tmp_path):
    log = {"file": "log.csv", "columns": {"deal_id": "Nr", "changed_at": "At", "field": "Field", "old_value": "Old",
                                          "new_value": "New"}}  # fmt: skip
    spec = SPEC | {"tables": SPEC["tables"] | {"changes": log}}
    spec["stages"] = [one | {"pipeline": "Old"} for one in SPEC["stages"]]
    spec["stages"] += [{"stage": "Idea", "kind": "open", "pipeline": "New"}]
    spec["tables"]["deals"] = SPEC["tables"]["deals"] | {"constants": {"pipeline": "Old"}}
    (tmp_path / "deals.csv").write_text(GOOD, "utf-8")
    (tmp_path / "log.csv").write_text(MOVED, "utf-8")
    got = read(tmp_path, Mapping.model_validate(spec))
    assert not got.refused and got.tables["changes"].num_rows == 2
    (tmp_path / "log.csv").write_text(MOVED.splitlines()[0] + "\n" + MOVED.splitlines()[2] + "\n", "utf-8")
    with pytest.raises(BadInput, match="Idea"):  # without the change of pipeline it is a stage of no pipeline of its
        read(tmp_path, Mapping.model_validate(spec))


def test_stages_are_derived_for_the_pipeline_that_a_deal_was_in(tmp_path):
    """Deal 1 passes through New before Care: its first stages are none of Care's."""
    log = {"file": "log.csv", "columns": {"deal_id": "Nr", "changed_at": "At", "field": "Field", "old_value": "Old",
                                          "new_value": "New"}}  # fmt: skip
    of_deals = {"file": "deals.csv", "columns": {"deal_id": "Nr", "pipeline": "Pipe", "stage": "Stufe",
                                                 "created_at": "Angelegt"}}  # fmt: skip
    spec = {key: value for key, value in SPEC.items() if key != "stages"} | {
        "tables": {"deals": of_deals, "changes": log}
    }
    (tmp_path / "deals.csv").write_text(
        "Nr;Pipe;Stufe;Angelegt\n1;Care;Talks;01.01.2024\n2;New;Won;13.01.2024\n3;Care;Talks;01.01.2024\n"
    )
    (tmp_path / "log.csv").write_text(
        "Nr;At;Field;Old;New\n1;05.01.2024;stage;Idea;Offer\n1;13.01.2024;pipeline;New;Care\n"
        "1;13.01.2024;stage;Offer;Talks\n3;05.01.2024;stage;Call;Check\n3;13.01.2024;stage;Check;Talks\n"
    )
    got = read(tmp_path, Mapping.model_validate(spec))
    rows = [(row["pipeline"], row["stage"], row["kind"]) for row in got.tables["stages"].to_pylist()]
    assert not got.refused and sorted(rows, key=lambda row: row[0]) == [
        ("Care", "Call", "open"), ("Care", "Check", "open"), ("Care", "Talks", "open"),
        ("New", "Idea", "open"), ("New", "Offer", "open"), ("New", "Won", "won"),
    ]  # fmt: skip
