"""Thousands of damaged exports: each ends in a right book or a clear refusal.

Never in a traceback, a wrong number, half a book or a hang. What is damaged is the structure, so that what is right is
known: every deal that is in the book has the amount, the days and the stage that it had before.
"""

import csv
import io
import random
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from salesops.crm import read as reading
from salesops.crm.mapping import Mapping
from salesops.problems import BadInput

from tests.conftest import examples

STAGES = ("Lead", "Offer", "Won", "Lost")
HEADER = ["Id", "Name", "Stage", "Amount", "Created", "Owner"]
SPEC = {
    "title": "Damaged",
    "currency": "USD",
    "max_refused": 1,
    "stages": [{"stage": s, "kind": {"Won": "won", "Lost": "lost"}.get(s, "open")} for s in STAGES],
    "tables": {
        "deals": {
            "file": "deals.*",
            "columns": {
                "deal_id": "Id", "name": "Name", "stage": "Stage", "amount": "Amount", "created_at": "Created",
                "rep_id": "Owner",
            },
        }
    },
}  # fmt: skip
NAMES = ("Acme", "Beta, Ltd", 'Gamma "big"', "ООО «Ромашка»", "Дельта; юг", "Epsilon\nnew line", "Ζήτα")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


def deals(rng: random.Random, n: int) -> list[list[str]]:
    return [
        [
            str(10**18 + rng.randrange(10**17)), rng.choice(NAMES), rng.choice(STAGES),
            f"{rng.randrange(10**7) / 100:.2f}", f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
            f"R{rng.randrange(9)}",
        ]
        for _ in range(n)
    ]  # fmt: skip


def write(rows: list[list[str]], *, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, header=HEADER) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue()


# Each damage takes rows and gives bytes.


def cut(rng, rows):
    data = write(rows).encode()
    return data[: rng.randrange(len(data))]


def columns_in_another_order(rng, rows):
    order = rng.sample(range(len(HEADER)), len(HEADER))
    return write([[row[k] for k in order] for row in rows], header=[HEADER[k] for k in order]).encode()


def cells_swapped(rng, rows):
    for row in rng.sample(rows, 3):
        a, b = rng.choice([(2, 3), (3, 4), (2, 4), (0, 4)])
        row[a], row[b] = row[b], row[a]
    return write(rows).encode()


def another_encoding(rng, rows):
    return write(rows).encode(rng.choice(ENCODINGS))


def encodings_mixed(rng, rows):
    lines = write([[*row[:1], "Ромашка", *row[2:]] for row in rows]).splitlines(keepends=True)
    return b"".join(line.encode(rng.choice(["utf-8", "cp1251"])) for line in lines)


def another_delimiter(rng, rows):
    return write(rows, delimiter=rng.choice(";\t|"), quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).encode()


def delimiters_added(rng, rows):
    lines = write(rows).splitlines(keepends=True)
    at = rng.randrange(1, len(lines))
    place = rng.randrange(len(lines[at]))
    lines[at] = lines[at][:place] + "," + lines[at][place:]
    return "".join(lines).encode()


def quotes_lost_or_added(rng, rows):
    text = write(rows, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    for _ in range(rng.randrange(1, 3)):
        quotes = [k for k, c in enumerate(text) if c == '"']
        if quotes and rng.random() < 0.5:
            at = rng.choice(quotes)
            text = text[:at] + text[at + 1 :]
        else:
            at = rng.randrange(text.index("\n") + 1, len(text))
            text = text[:at] + '"' + text[at:]
    return text.encode()


def marks_mixed(rng, rows):
    for row in rng.sample(rows, rng.randrange(1, len(rows))):
        row[3] = row[3].replace(".", ",")
    return write(rows).encode()


def other_marks(rng, rows):
    point, group = rng.choice([(",", "."), (".", ","), (",", " "), (",", "\N{NARROW NO-BREAK SPACE}"), (".", "'")])
    for row in rows:
        whole, _point, cents = row[3].partition(".")
        row[3] = f"{int(whole):,}".replace(",", group) + point + cents
    return write(rows).encode()


def signs_beside_numbers(rng, rows):
    sign = rng.choice(["$", "USD ", "$ ", "€", "руб. "])
    for row in rows:
        row[3] = sign + row[3]
    return write(rows).encode()


def dates_in_another_order(rng, rows):
    pattern = rng.choice(["{2}.{1}.{0}", "{1}/{2}/{0}", "{2}/{1}/{0} 10:00", "{0}/{1}/{2}"])
    for row in rows:
        row[4] = pattern.format(*row[4].split("-"))
    return write(rows).encode()


def dates_mixed(rng, rows):
    for row in rows:
        year, month, day = row[4].split("-")
        row[4] = rng.choice([f"{day}/{month}/{year}", f"{month}/{day}/{year}", f"{year}-{month}-{day}"])
    return write(rows).encode()


def dates_a_spreadsheet_changed(_rng, rows):
    """Day first, opened where the month is first: days up to 12 become ISO dates with day and month swapped."""
    for row in rows:
        year, month, day = row[4].split("-")
        row[4] = f"{year}-{day}-{month}" if int(day) <= 12 else f"{day}/{month}/{year}"
    return write(rows).encode()


def ids_shortened(_rng, rows):
    for row in rows:
        row[0] = f"{int(row[0]):.5E}"
    return write(rows).encode()


def lines_quoted_whole(_rng, rows):
    rows = [[*row[:1], row[1].replace("\n", " "), *row[2:]] for row in rows]
    return "".join('"' + line.replace('"', '""') + '"\n' for line in write(rows).splitlines()).encode()


def titles_blank_lines_and_a_footer(rng, rows):
    rows = [[*row[:1], row[1].replace("\n", " "), *row[2:]] for row in rows]
    lines = write(rows).splitlines()
    for _ in range(3):
        lines.insert(rng.randrange(1, len(lines)), "")
    return "\n".join(["Report of deals", "", *lines, "", "Total of deals", "(c) A company"]).encode()


def lines_twice(rng, rows):
    return write(rows + rng.sample(rows, 5)).encode()


def another_line_end(rng, rows):
    return write(rows).replace("\n", rng.choice(["\r\n", "\r"])).encode()


def header_twice(_rng, rows):
    return write([[*row, "x"] for row in rows], header=[*HEADER, "Amount"]).encode()


def spreadsheet_errors(rng, rows):
    for row in rng.sample(rows, 4):
        row[rng.choice([1, 3, 5])] = rng.choice(["#REF!", "#N/A", "#DIV/0!"])
    return write(rows).encode()


def a_huge_field(_rng, rows):
    rows[3][1] = "x" * 10_000_000
    return write(rows).encode()


def random_bytes(rng, rows):
    data = bytearray(write(rows).encode())
    for _ in range(rng.randrange(1, 20)):
        data[rng.randrange(len(data))] = rng.choice([0, 10, 13, 34, 44, 0xFF, 0xC3, 0x1F])
    return bytes(data)


def not_what_it_says(rng, rows):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("deals.csv", write(rows))
    return rng.choice(
        [
            packed.getvalue(),
            b"PK\x03\x04junk",
            b"\xd0\xcf\x11\xe0junk",
            b"<html><table>",
            b"{",
            b"[[[[",
            b"PAR1x",
            b"\x1f\x8b\x08",
            b"",
        ]
    )


DAMAGES = [
    cut, columns_in_another_order, cells_swapped, another_encoding, encodings_mixed, another_delimiter,
    delimiters_added, quotes_lost_or_added, marks_mixed, other_marks, signs_beside_numbers, dates_in_another_order,
    dates_mixed, dates_a_spreadsheet_changed, ids_shortened, lines_quoted_whole, titles_blank_lines_and_a_footer,
    lines_twice, another_line_end, header_twice, spreadsheet_errors, random_bytes, not_what_it_says,
]  # fmt: skip
HARMLESS = {
    columns_in_another_order,
    another_encoding,
    another_delimiter,
    lines_quoted_whole,
    titles_blank_lines_and_a_footer,
}
REFUSED = {encodings_mixed, dates_a_spreadsheet_changed, ids_shortened}
ANY_NUMBER = {random_bytes, cut}  # may change a number into another one that nobody can tell from it


def outcome(data: bytes, folder: Path, before: list[list[str]], name: str = "deals.csv") -> tuple:
    """Whether there is a book or a refusal; of a book how many deals, each with what it was before, and the facts."""
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / name).write_bytes(data)
    target = place / "book"
    target.mkdir()
    try:
        got = reading.read(place, Mapping(**SPEC), target)
    except BadInput as error:
        assert error.problems and not list(target.iterdir())
        return "refused", 0
    known = {row[0]: row for row in before}
    table = pq.read_table(target / "deals.parquet").to_pylist()
    return "book", len(table), [(deal, known.get(deal["deal_id"])) for deal in table], got


def check(damage, seed: int, folder: Path) -> str:
    rng = random.Random(f"{damage.__name__} {seed}")
    rows = deals(rng, 40)
    before = [list(row) for row in rows]
    result = outcome(damage(rng, rows), folder, before)
    kind = result[0]
    if damage in HARMLESS:
        assert kind == "book" and result[1] == 40, (damage.__name__, seed)
    if damage in REFUSED:
        assert kind == "refused", (damage.__name__, seed)
    if kind == "book" and damage not in ANY_NUMBER:
        for deal, was in result[2]:
            if was is None:
                assert damage in (cells_swapped, quotes_lost_or_added, delimiters_added), (damage.__name__, seed, deal)
                continue
            at = deal["created_at"] and f"{deal['created_at']:%Y-%m-%d}"
            if deal["amount_minor"] is not None:
                assert deal["amount_minor"] == round(float(was[3]) * 100), (damage.__name__, seed, deal, was)
            assert at == was[4] and deal["stage"] == was[2], (damage.__name__, seed, deal, was)
        assert result[1] + sum(result[3].n_refused.values()) >= 40 - 3 * (damage is quotes_lost_or_added), (
            damage.__name__,
            seed,
        )
    return kind


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_export_ends_in_a_right_book_or_a_refusal(damage, tmp_path):
    for seed in range(examples(6)):
        check(damage, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_many_damaged_exports(damage, tmp_path):
    for seed in range(6, 100):
        check(damage, seed, tmp_path)


def test_a_huge_field_is_refused(tmp_path):
    rng = random.Random(1)
    rows = deals(rng, 40)
    assert outcome(a_huge_field(rng, rows), tmp_path, rows)[0] == "refused"


def archive(folder: Path, names: list[str], content: bytes) -> Path:
    path = folder / "deals.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../../out.csv", "/tmp/out.csv", "a/../../out.csv", "\\..\\out.csv", "out.csv\0x"])
def test_names_in_archives_lead_nowhere(tmp_path, name):
    """Members are read, and never written under their own names."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    archive(inner, [name], write(deals(random.Random(1), 5)).encode())
    spec = {**SPEC, "tables": {"deals": {**SPEC["tables"]["deals"], "file": "deals.tar.gz", "inside": "*out.csv*"}}}
    (inner / "book").mkdir()
    before = set(tmp_path.rglob("*"))
    reading.read(inner, Mapping(**spec), inner / "book")
    new = set(tmp_path.rglob("*")) - before
    assert {path.parent for path in new} == {inner / "book"} and not Path("/tmp/out.csv").exists()


@pytest.mark.slow
def test_bombs_are_refused(tmp_path):
    for number, inside in enumerate(["", "*.csv"]):
        place = tmp_path / str(number)
        (place / "book").mkdir(parents=True)
        with (
            zipfile.ZipFile(place / "deals.zip", "w", zipfile.ZIP_DEFLATED) as packed,
            packed.open("xl/workbook.csv", "w", force_zip64=True) as member,
        ):
            for _ in range(300):
                member.write(b"0" * (1 << 22))
        spec = {**SPEC, "tables": {"deals": {**SPEC["tables"]["deals"], "file": "deals.zip", "inside": inside}}}
        with pytest.raises(BadInput, match="at most"):
            reading.read(place, Mapping(**spec), place / "book")
        assert not list((place / "book").iterdir())
