"""Reading through a mapping: values, repairs, and every problem at once with its place."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops import yamlfile
from salesops.crm import mapping
from salesops.crm.mapping import Mapping
from salesops.crm.parse import Conventions
from salesops.crm.read import read
from salesops.problems import BadInput

SPEC = {
    "title": "A test export",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "delimiter": ";",
    "decimal": ",",
    "thousands": ".",
    "dates": ["%d.%m.%Y", "%d.%m.%Y %H:%M"],
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
        ("Nr;Name;Nr;Angelegt;Betrag\n", "utf-8", "got 'Nr', each name once"),
        (GOOD, "cp1252", "text in utf-8-sig; say another encoding"),
        (GOOD, "utf-16", "text in utf-8-sig"),
        (GOOD + '4;"open', "utf-8", "row 5: not readable as CSV"),
        ("Nr;Name;Stufe;Angelegt;Betrag\n", "utf-8", "no deals"),
        ("Nr;Name;Stufe;Angelegt;Betrag\n1;a;Lead;01.01.2024;" + "9" * 30 + "\n", "utf-8", "an amount of money"),
    ],
    ids=["empty", "columns", "twice", "cp1252", "utf-16", "quote", "no rows", "overflow"],
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


@given(st.integers(-(10**15), 10**15))
@settings(max_examples=200)
def test_money_survives_being_written_with_marks(minor):
    how = Conventions(Mapping(**SPEC), typed=False)
    whole, cents = divmod(abs(minor), 100)
    text = f"{'-' * (minor < 0)}{whole:,}".replace(",", ".") + f",{cents:02}"
    assert how.money(pd.Series([text])).tolist() == [minor]


@given(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2037, 12, 1)))
def test_moments_with_an_offset_are_that_moment(moment):
    how = Conventions(Mapping(**{**SPEC, "dates": ["iso"]}), typed=False)
    text = moment.replace(microsecond=0).isoformat() + "+03:00"
    assert how.moments(pd.Series([text])).tolist() == [
        pd.Timestamp(moment.replace(microsecond=0)) - pd.Timedelta(hours=3)
    ]


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
    return read(folder, Mapping(**{**SPEC, "encoding": encoding}))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1251", "cp866"])
def test_encodings_are_those_declared(tmp_path, encoding):
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
    got = read(tmp_path, Mapping(**{**SPEC, "tables": tables})).tables["deals"].to_pandas()
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
    got = read(tmp_path, Mapping(**{**SPEC, "dates": ["iso"], "tables": tables}))
    changes = got.tables["changes"].to_pandas()
    assert changes["new_value"].tolist() == ["Lead", "Won"] and got.n_left_out == {"changes": 1}
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
        ({"dates": ["%d.%m"]}, "year, month and day"),
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


@pytest.mark.parametrize("text", ["now", "today", "2026", "2026-03", "05.01", "2199-01-01"])
def test_what_is_no_whole_date_is_refused(text):
    how = Conventions(Mapping(**{**SPEC, "dates": ["iso", "%d.%m.%Y"]}), typed=False)
    assert how.moments(pd.Series([text])).isna().all()


@pytest.mark.parametrize(
    "text", ["2026-01-05 10:00:00+00", "2026-01-05T11:00:00+01:00", "2026-01-05T10:00Z", "2026-01-05T11:00+0100"]
)
def test_offsets_in_every_form_are_understood(text):
    how = Conventions(Mapping(**{**SPEC, "dates": ["iso"]}), typed=False)
    assert how.moments(pd.Series([text])).tolist() == [pd.Timestamp("2026-01-05 10:00")]


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
