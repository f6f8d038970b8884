"""Small files that would fill memory, disk or a day are refused, and large ones that mean well are read."""

import csv
import gzip
import io
import json
import lzma
import tarfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from salesops import yamlfile
from salesops.crm import files, mapping, stages
from salesops.crm import read as reading
from salesops.crm.files import limits, sink, text, tree, weight, workbook
from salesops.crm.files.sink import Unreadable
from salesops.crm.mapping import Mapping
from salesops.problems import BadInput, listed

HEAD = "id,stage,created\n"
SPEC = {
    "title": "A test export", "currency": "USD",
    "stages": [{"stage": "A", "kind": "open"}, {"stage": "Won", "kind": "won"}],
    "tables": {"deals": {"file": "*", "columns": {"deal_id": "id", "stage": "stage", "created_at": "created"}}},
}  # fmt: skip


def read(folder: Path, *, changes: dict | None = None, **part) -> reading.Read:
    """Read the files of a folder into another one beside it."""
    target = folder.parent / f"{folder.name}-book"
    target.mkdir(exist_ok=True)
    tables = {"deals": {**SPEC["tables"]["deals"], **part}}
    return reading.read(folder, Mapping(**{**SPEC, "tables": tables, **(changes or {})}), target)


def n_deals(folder: Path) -> int:
    return pq.read_metadata(folder.parent / f"{folder.name}-book" / "deals.parquet").num_rows


def refusal(folder: Path, **how) -> str:
    """What reading says; it must say it soon, whatever the file."""
    began = time.process_time()
    with pytest.raises(BadInput) as refused:
        read(folder, **how)
    assert time.process_time() - began < 20 and len(str(refused.value)) < 100_000
    return str(refused.value)


def a_workbook(path: Path, rows: str, shared: str = "") -> None:
    """A workbook by hand, as no honest program writes it."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    of = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    links = f'<Relationships xmlns="{package}/relationships">'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types"/>')
        to = f'<Relationship Id="a" Type="{of}/officeDocument" Target="xl/workbook.xml"/>'
        packed.writestr("_rels/.rels", f"{links}{to}</Relationships>")
        sheets = '<sheets><sheet name="S" sheetId="1" r:id="b"/></sheets>'
        packed.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{of}">{sheets}</workbook>')
        to = f'<Relationship Id="b" Type="{of}/worksheet" Target="worksheets/sheet1.xml"/>'
        to += f'<Relationship Id="c" Type="{of}/sharedStrings" Target="sharedStrings.xml"/>'
        packed.writestr("xl/_rels/workbook.xml.rels", f"{links}{to}</Relationships>")
        sheet = f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
        packed.writestr("xl/worksheets/sheet1.xml", sheet)
        packed.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{shared}</sst>')


def cells(*texts: str) -> str:
    return "<row>" + "".join(f'<c t="inlineStr"><is><t>{one}</t></is></c>' for one in texts) + "</row>"


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "export"
    made.mkdir()
    return made


def test_a_workbook_with_one_huge_cell(folder):
    a_workbook(folder / "d.xlsx", cells("id", "stage", "created") + cells("x" * 120_000_000, "A", "2026-01-01"))
    assert (folder / "d.xlsx").stat().st_size < 200_000
    said = refusal(folder)
    assert "d.xlsx: got '114 MB when unpacked'" in said and "at most 200 times its size" in said and "CSV" in said


def test_a_cell_below_the_ratio_is_bounded_too(folder):
    a_workbook(folder / "d.xlsx", cells("id", "stage", "created") + cells("x" * 17_000_000, "A", "2026-01-01"))
    assert "a cell is longer than" in refusal(folder)
    a_workbook(folder / "d.xlsx", cells("id", "stage", "created") + cells("x" * 1_100_000, "A", "2026-01-01"))
    assert "d.xlsx, row 2, id: got '1,100,000 characters', a cell of at most 1,000,000" in refusal(folder)


def test_two_cells_in_opposite_corners_are_not_a_sheet(folder):
    corner = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    a_workbook(folder / "d.xlsx", corner)
    assert "row 1,048,576, column 16,384" in refusal(folder)
    a_workbook(folder / "d.xlsx", corner.replace('"', "'"))
    assert "row 1,048,576, column 16,384" in refusal(folder)
    a_workbook(folder / "d.xlsx", '<row r="1048576"><c><v>1</v></c></row>' + corner.replace("1048576", "9"))
    assert "row 1,048,576, column 16,384" in refusal(folder)
    filled = "<c><v>1</v></c>"  # no cell says where it stands
    bare = f"<row>{'<c/>' * 20_000}{filled}</row>" + f"<row>{filled}</row>" * 20_000
    a_workbook(folder / "d.xlsx", bare)
    assert "at most 50,000,000 cells" in refusal(folder)


def test_cells_that_have_a_look_alone_are_no_cells(folder):
    """A program that formats whole rows writes blank cells to the end of the sheet."""
    looks = "".join(f'<c r="{column}{{0}}" s="1"/>' for column in ("D", "XFD"))
    rows = "".join(
        f'<row r="{k}">{cells(str(k), "A", "2026-01-01")[5:-6]}{looks.format(k)}</row>' for k in range(2, 5000)
    )
    a_workbook(folder / "d.xlsx", cells("id", "stage", "created") + rows + '<row r="1048576" s="1"/>')
    read(folder)
    assert n_deals(folder) == 4998


def test_a_long_text_shown_in_every_cell_is_refused(folder):
    shown = '<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>'
    a_workbook(folder / "d.xlsx", cells("id", "stage", "created") + shown * 10_000, f"<si><t>{'y' * 100_000}</t></si>")
    assert "each as often as it is shown" in refusal(folder)


def test_a_long_note_shown_once_is_no_bomb(folder):
    rows = "".join(f'<row><c t="s"><v>{k % 3}</v></c></row>' for k in range(30_000))
    rows += '<row><c t="s"><v>3</v></c></row>'
    a_workbook(folder / "d.xlsx", rows, f"<si><t>a</t></si>{'<si><t>b</t></si>' * 2}<si><t>{'y' * 100_000}</t></si>")
    weight.check(folder / "d.xlsx", "d.xlsx")  # 3 GB if the longest stood in each cell


@pytest.mark.parametrize(("rows", "columns"), [(1, 200_000_000), (1_000_000, 16_000)])
def test_cells_that_repeat_in_an_opendocument_sheet(folder, rows, columns):
    names = ("office", "table", "text")
    spaces = " ".join(f'xmlns:{one}="urn:oasis:names:tc:opendocument:xmlns:{one}:1.0"' for one in names)
    cell = f'<table:table-cell office:value-type="string" table:number-columns-repeated="{columns}"><text:p>id</text:p>'
    row = f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-cell></table:table-row>'
    with zipfile.ZipFile(folder / "d.ods", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        packed.writestr("content.xml", f'<a {spaces}><table:table table:name="S">{row}</table:table></a>')
    assert "at most 50,000,000 cells" in refusal(folder)


def test_a_workbook_is_read_as_before(folder, monkeypatch):
    """From any column and row on, with blank rows, numbers, days and text; columns of numbers are known for such."""
    monkeypatch.setattr(workbook, "BATCH", 1000)
    book = xlsxwriter.Workbook(folder / "d.xlsx")
    sheet = book.add_worksheet("S")
    sheet.write_row(2, 1, ["Title"])
    sheet.write_row(4, 1, ["id", "stage", "created"])
    for at in range(2500):  # more than one batch
        sheet.write_row(5 + at + (at > 9), 1, [at, "A", "2026-01-01"])
    book.add_worksheet("Empty")
    book.close()
    got = read(folder)
    assert n_deals(folder) == 2500 and not got.n_refused
    assert ("d.xlsx[S]", "lines above the header", 1) in got.notes


@pytest.mark.slow
def test_a_full_sheet_of_excel_is_read(folder):
    book = xlsxwriter.Workbook(folder / "d.xlsx", {"constant_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["id", "stage", "created"])
    for at in range(1, 1_048_576):
        sheet.write_row(at, 0, [at, "A", "2026-01-01"])
    book.close()
    read(folder)
    assert n_deals(folder) == 1_048_575


def test_gzip_inside_gzip_is_refused(folder):
    (folder / "d.csv.gz").write_bytes(gzip.compress(gzip.compress(HEAD.encode() + b"1,A,2026-01-01\n")))
    assert "d.csv.gz: got 'gzip inside gzip'" in refusal(folder)


def test_what_is_packed_inside_of_an_archive_counts_together(folder, monkeypatch):
    monkeypatch.setattr(limits, "SMALL", 1 << 20)
    inner = gzip.compress(HEAD.encode() + b"1,A,2026-01-01\n" * 60_000)
    with zipfile.ZipFile(folder / "d.zip", "w") as packed:
        for k in range(3):
            packed.writestr(f"{k}.csv.gz", inner)
    assert "200 times its size" in refusal(folder, inside="*.csv.gz")


def test_a_compressed_tar_is_not_unpacked_to_list_it(folder, monkeypatch):
    monkeypatch.setattr(limits, "SMALL", 1 << 20)  # and what they pack to is a few kilobytes
    for name, open_ in (("a.tar.xz", lzma.open), ("b.tar.gz", gzip.open)):
        with open_(folder / name, "wb") as packed:
            member = tarfile.TarInfo("a.csv")
            member.size = 24 << 20
            packed.write(member.tobuf())
            for _ in range(member.size >> 20):
                packed.write(bytes(1 << 20))
            packed.write(bytes(1024))
        assert name in refusal(folder, file=name, inside="a.csv")


def test_an_event_log_is_bounded_in_its_tags_and_its_size(folder, monkeypatch):
    attribute = '<string key="id" value="{}"/>'
    (folder / "d.xes").write_text(f"<log><trace>{attribute.format('x' * 3_000_000)}</trace></log>")
    assert "longer than 2,000,000 bytes" in refusal(folder, rows="cases")
    (folder / "d.xes").unlink()
    monkeypatch.setattr(limits, "SMALL", 1 << 20)
    with gzip.open(folder / "d.xes.gz", "wt") as packed:
        packed.write("<log>" + f"<trace>{attribute.format('x' * 1000)}</trace>" * 20_000 + "</log>")
    assert "200 times its size" in refusal(folder, rows="cases")


def test_what_stands_beside_the_cases_is_not_kept(folder):
    log = io.BytesIO(b"<log>" + b'<a b="1"/>' * 1000 + b'<trace><string key="x" value="1"/></trace></log>')
    root: list = []

    class Spy(io.BufferedReader):
        pass

    for case, _events in tree._cases(Spy(log), "d.xes"):
        root.append(case)
    assert root == [{"case:x": "1"}]


def test_names_of_keys_grow_with_the_file_and_not_with_its_square(folder, monkeypatch):
    """Each record has a key of its own: the cells that are made are those that are wanted."""
    n_cells = Counter()
    count = pa.array

    def counting(values, *rest, **more):
        values = list(values) if not isinstance(values, range) else values
        n_cells["all"] += len(values)
        return count(values, *rest, **more)

    monkeypatch.setattr("salesops.crm.files.sink.pa.array", counting)
    made = {}
    for n in (500, 1000):
        rows = [{"id": str(k), "stage": "A", "created": "2026-01-01", f"k{k}": "1"} for k in range(n)]
        (folder / "d.json").write_text(json.dumps(rows))
        n_cells.clear()
        read(folder)
        made[n] = n_cells["all"]
    assert made[1000] <= 2.1 * made[500] and n_deals(folder) == 1000


def test_records_know_those_that_they_stand_in(folder):
    content = {"deals": [{"id": 7, "more": {"stage": "A"}, "log": [{"steps": [{"created": "2026-01-01"}]}]}]}
    (folder / "d.json").write_text(json.dumps(content))
    columns = {"deal_id": "...id", "stage": "...more.stage", "created_at": "created"}
    read(folder, records="deals / log / steps", columns=columns)
    assert n_deals(folder) == 1


def test_json_is_bounded(folder, monkeypatch):
    path = folder / "d.json"
    path.write_text("[" * 5000 + "]" * 5000)
    assert "too deeply" in refusal(folder)
    path.write_text(json.dumps([{"p" * 3000: {f"a{k}": "1" for k in range(1000)}}]))
    assert "at most 2,000 characters" in refusal(folder)
    monkeypatch.setattr(tree, "MOST_VALUES", 1000)
    path.write_text("[" + "{}," * 1000 + '{"id":1}]')
    assert "got '2,002 values'" in refusal(folder)


def event(rule: str) -> str:
    begin = "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260110T235900Z\r\nDTSTART:20260101T090000Z\r\nDTEND:20260101T100000Z"
    return f"{begin}\r\nRRULE:{rule}\r\nEND:VEVENT\r\n"


def times(*rules: str) -> list:
    from icalendar import Calendar

    events = Calendar.from_ical(f"BEGIN:VCALENDAR\r\n{''.join(map(event, rules))}END:VCALENDAR\r\n").walk("VEVENT")
    return [row[2][:10] for row in tree._occurrences(events)[0]]


@pytest.mark.parametrize("rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
                                  "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3", "FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=31;COUNT=9",
                                  "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-30"])  # fmt: skip
def test_a_rule_that_no_day_fits_takes_place_once(rule):
    began = time.process_time()
    assert times(rule) == ["2026-01-01"] and time.process_time() - began < 2


@pytest.mark.parametrize(("rule", "days"), [
    ("FREQ=DAILY;INTERVAL=3", ["01", "04", "07", "10"]), ("FREQ=DAILY;COUNT=2", ["01", "02"]),
    ("FREQ=DAILY;UNTIL=20260103T120000Z", ["01", "02", "03"]), ("FREQ=WEEKLY;BYDAY=TH", ["01", "08"]),
    ("FREQ=DAILY;BYDAY=SA;BYMONTHDAY=3", ["01", "03"]), ("FREQ=MONTHLY;BYMONTHDAY=-22;COUNT=1", ["01", "10"]),
])  # fmt: skip
def test_rules_that_days_fit_are_followed(rule, days):
    assert times(rule) == [f"2026-01-{day}" for day in days]


def test_calendars_are_bounded(monkeypatch):
    with pytest.raises(ValueError, match="every 0 days"):
        times("FREQ=DAILY;INTERVAL=0")
    monkeypatch.setattr(tree, "MOST_ROWS", 100)
    with pytest.raises(ValueError, match="more than 100 times"):
        times(*["FREQ=DAILY;COUNT=60"] * 3)
    monkeypatch.setattr(tree, "MOST_STEPS", 1000)
    with pytest.raises(ValueError, match="more than 1,000 days"):
        times("FREQ=DAILY;COUNT=2")


def test_pages_are_bounded_and_read_in_batches(folder, monkeypatch):
    head = "<table><tr><td>id</td><td>stage</td><td>created</td></tr>"
    path = folder / "d.xls"
    for tail in ("<a " * 200_000, "<!" * 200_000, "<tr><td " + "x" * 3_000_000):
        path.write_text(head + tail)
        assert "a page whose tags are closed" in refusal(folder)
    path.write_text(f"{head}<tr><td>{'x' * 1_000_001}</td></tr></table>")
    assert "a cell of more than 1,000,000 characters" in refusal(folder)
    n_tables = Counter()
    write = pq.ParquetWriter.write_table
    monkeypatch.setattr(pq.ParquetWriter, "write_table", lambda *a, **k: n_tables.update(["n"]) or write(*a, **k))
    path.write_text(head + "".join(f"<tr><td>{k}</td><td>A</td><td>2026-01-01</td></tr>" for k in range(2000)))
    read(folder)
    assert n_deals(folder) == 2000 and n_tables["n"] < 10
    assert workbook.UNCLOSED


def test_a_parquet_file_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(sink, "SMALL_TEXT", 100 << 20)
    n = 300
    long = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array(["x" * 1_000_000]))
    ids, days = [str(k) for k in range(n)], ["2026-01-01"] * n
    pq.write_table(pa.table({"id": ids, "stage": long, "created": days}), folder / "d.parquet", compression="zstd")
    assert "MB of text" in refusal(folder)
    one = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array(["A"]))
    pq.write_table(pa.table({"id": ids, "stage": one, "created": days}), folder / "d.parquet")
    read(folder)
    assert n_deals(folder) == n
    monkeypatch.setattr("salesops.crm.files.typed.SMALL_ROWS", 10)
    monkeypatch.setattr("salesops.crm.files.typed.ROWS_OF_BYTE", 0)
    assert "got '300 rows'" in refusal(folder)


def test_lines_below_the_last_row_are_counted_once(folder):
    """A footer of a few lines is one; very many short lines are bad rows, and are not compared with each other."""
    (folder / "d.csv").write_text(HEAD + "1,A,2026-01-01\n\n" + "x,y\n" * 5)
    assert ("d.csv", "lines of a footer", 5) in read(folder).notes
    (folder / "d.csv").write_text(HEAD + "1,A,2026-01-01\n\n" + "x,y\n" * 30_000)
    assert "row 4: got '2 fields', 3 as in the header" in refusal(folder)
    assert text.FOOTER_LINES < 30_000


def test_a_missing_column_of_a_wide_file_is_said_briefly(folder, monkeypatch):
    (folder / "d.csv").write_text(",".join(f"c{k}" for k in range(5000)) + "\n" + "," * 4999 + "\n")
    said = refusal(folder)
    assert "and 4,960 more" in said and len(said) < 5000
    monkeypatch.setattr(sink, "MOST_COLUMNS", 4000)
    assert "got '5,000 columns', at most 4,000" in refusal(folder)
    assert listed(map(str, range(3))) == "0, 1, 2"


def test_numbers_of_any_length_are_refused_and_not_computed(folder):
    odd = ["1e999999", "9" * 500_000, "1" + "0" * 400, "-1e-999999", "1E+99999999999999999999"]
    rows = "".join(f"{k},A,2026-01-01,{value}\n" for k, value in enumerate(odd))
    (folder / "d.csv").write_text("id,stage,created,amount\n" + rows)
    columns = {**SPEC["tables"]["deals"]["columns"], "amount": "amount"}
    assert "an amount of money" in refusal(folder, columns=columns)
    (folder / "d.csv").unlink()
    (folder / "d.json").write_text('[{"id":"1","stage":"A","created":"2026-01-01","amount":%s}]' % ("9" * 1_100_000))
    assert "1,100,000 characters" in refusal(folder, columns=columns)


# stages


@pytest.mark.parametrize("column", ["stage", "pipeline"])
def test_another_column_taken_for_the_stage_is_said_briefly(folder, column):
    n = 20_000
    rows = "".join(f"{k},{f'S{k}' if column == 'stage' else 'A'},2026-01-01,P{k}\n" for k in range(n))
    (folder / "d.csv").write_text("id,stage,created,pipeline\n" + rows)
    columns = SPEC["tables"]["deals"]["columns"] | ({"pipeline": "pipeline"} if column == "pipeline" else {})
    for declared in ([], SPEC["stages"]) if column == "pipeline" else ([],):
        said = refusal(folder, changes={"stages": declared}, columns=columns)
        assert f"20,000 {column}s" in said and "is it another column" in said and len(said) < 500


class Counting(dict):
    """A dictionary that counts how often it is asked."""

    n = 0

    def get(self, *asked):
        Counting.n += 1
        return super().get(*asked)


def test_the_order_of_stages_is_found_by_moves_and_not_by_pairs():
    asked = {}
    for n in (200, 400):
        names = [f"S{k:04}" for k in range(n)]
        moves = Counting(dict.fromkeys(zip(names, names[1:], strict=False), 10))
        Counting.n = 0
        assert stages._order(names, "", {}, moves) == names
        asked[n] = Counting.n
    assert asked[400] <= 2.1 * asked[200]


def test_refused_stages_take_time_that_grows_with_their_number(folder):
    """Twice and twice again as many rows in stages that are not declared: compared by hash, and said once."""
    seconds = []
    for n in (10_000, 40_000):
        (folder / "d.csv").write_text(HEAD + "".join(f"{k},S{k},2026-01-01\n" for k in range(n)))
        declared = [{"stage": f"T{k}", "kind": "open"} for k in range(1000)]
        began = time.process_time()
        said = refusal(folder, changes={"stages": declared})
        seconds.append(time.process_time() - began)
        assert "and 960 more" in said and len(said) < 50_000
    assert seconds[1] < 8 * seconds[0]


def test_what_is_asked_of_many_stages_names_the_largest():
    names = [f"S{k:03}" for k in range(500)]
    said = stages._ask("", names, dict.fromkeys(names, "open"), {("", name): k for k, name in enumerate(names)})
    assert "S499 (499 deals, open)" in said and "and 460 more" in said and len(said) < 2000


def test_declared_stages_are_checked_once_each():
    many = [{"stage": f"S{k}", "kind": "open"} for k in range(20_000)]
    began = time.process_time()
    mapping.Mapping(**{**SPEC, "stages": many})
    assert time.process_time() - began < 5
    with pytest.raises(ValueError, match="each stage once"):
        mapping.Mapping(**{**SPEC, "stages": many[:2] * 2})


# YAML


def test_aliases_count_for_what_they_stand_for(tmp_path):
    path = tmp_path / "m.yml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 10)]
    path.write_text("\n".join(lines))
    with pytest.raises(BadInput, match="more than 200,000 values"):
        yamlfile.load(path)
    path.write_text("a: &a [1, *a]")
    with pytest.raises(BadInput, match="stands in itself"):
        yamlfile.load(path)
    path.write_text("a: &a {b: 1}\nc: *a\nd: [*a, *a]\n")
    assert yamlfile.load(path) == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}


@pytest.mark.parametrize(("content", "says"), [("a: " + "[" * 1500, "too deeply"), ("a: [" + "x," * 1_100_000, "2 MB"),
                                               ("a: " + "9" * 5000, "digits")])  # fmt: skip
def test_a_parameter_file_is_what_people_write(tmp_path, content, says):
    (tmp_path / "m.yml").write_text(content)
    with pytest.raises(BadInput, match=says):
        yamlfile.load(tmp_path / "m.yml")


def test_a_budget_is_shared(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    budget = limits.Budget(tmp_path / "a")
    budget.take(limits.SMALL)
    with pytest.raises(Unreadable):
        budget.take(1)


def test_reading_a_file_leaves_the_limits_of_other_readers_as_they_were(folder):
    before = csv.field_size_limit()
    (folder / "deals.csv").write_text('id,name\n1,"a"\n')
    header, problem = files.header(folder / "deals.csv", folder, sink.Names(["id"]), files.How())
    assert header == ["id", "name"] and problem is None
    assert csv.field_size_limit() == before
