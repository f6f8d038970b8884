"""What a workbook will weigh in memory, told from its parts before it is read.

A reader of workbooks keeps a sheet as a full rectangle, and a shared text once for each cell that shows it: a file of a
few kilobytes can ask for more memory than any machine has. The parts are unpacked here once, to nowhere.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from salesops.crm.files.limits import LINE, RATIO, SMALL
from salesops.crm.files.sink import Unreadable

LARGEST = 3 << 30  # bytes of all parts when unpacked
MOST_CELLS = 50_000_000  # of the rectangle of a sheet: Excel's 1,048,576 rows of 47 columns
MOST_TEXT = 2 << 30  # bytes of the shared texts, each as often as it is shown
BLOCK = 1 << 22  # bytes
_ROW = re.compile(rb"<(?:\w+:)?row\b")
_CELL = re.compile(rb"<(?:\w+:)?c\b")
# Where a cell stands, unless it closes at once: a blank one, which has a look alone and is not kept.
_PLACE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{1,3})(\d{1,10})[\"'](?!(?:\s+[\w:]+\s*=\s*\"[^\"<>]*\")*\s*/>)")
_ROW_PLACE = re.compile(rb"[^<>]*?\br\s*=\s*[\"'](\d{1,10})[\"']")
_REPEATED = re.compile(rb"(<table:table-row\b[^>]*>)|(<table:(?:covered-)?table-cell\b[^>]*>)")
_TEXT = re.compile(rb"<(?:\w+:)?si\b")
_SHOWS_TEXT = re.compile(rb"\bt\s*=\s*[\"']s[\"']")
_SHOWN = re.compile(rb"\bt\s*=\s*[\"']s[\"'][^<>]*>\s*<(?:\w+:)?v>\s*(\d{1,9})\s*<")


def check(path: Path, file: str) -> None:
    """Refuse a workbook (a zip: xlsx, xlsm, ods) that would not fit.

    Raises
    ------
    Unreadable
        With what there is, and what is allowed.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        size = sum(member.file_size for member in packed.infolist())
        most = min(LARGEST, max(SMALL, RATIO * path.stat().st_size))
        if size > most:
            raise Unreadable(
                file, None, f"{size >> 20:,} MB when unpacked",
                f"a workbook of at most {RATIO} times its size, and of at most {LARGEST >> 20:,} MB, when unpacked;"
                " save it as CSV",
            )  # fmt: skip
        parts = [_Part(packed, member, file) for member in packed.infolist() if not member.is_dir()]
        longest = max((max(part.lengths, default=0) for part in parts), default=0)
        if longest * sum(part.n_shown for part in parts) > MOST_TEXT:
            _refuse_repeated(packed, parts, file)


class _Part:
    """One part of a workbook: the rectangle of its cells, the lengths of its shared texts in bytes, how many cells show
    one of those."""

    def __init__(self, packed: zipfile.ZipFile, member: zipfile.ZipInfo, file: str):
        self.member, self.file = member, file
        self.high = self.wide = self.n_shown = 0
        self._n_rows = self._row = self._in_row = 0  # rows so far, where the last one says it stands, its cells so far
        self._n_above = self._n_same = self._before = 0  # rows above this one, rows like it, cells before the next
        self.lengths: list[int] = []
        for piece in _pieces(packed, member, file):
            self._look(piece)
        if self.high * self.wide > MOST_CELLS:
            raise Unreadable(
                file, None, f"cells as far as row {self.high:,}, column {self.wide:,}",
                f"a sheet of at most {MOST_CELLS:,} cells, blank ones between others counted; delete what stands far"
                " from the table, or save it as CSV",
            )  # fmt: skip

    def _look(self, piece: bytes) -> None:
        texts = _TEXT.split(piece)
        if self.lengths:
            self.lengths[-1] += len(texts[0])
        self.lengths += map(len, texts[1:])
        self.n_shown += len(_SHOWS_TEXT.findall(piece))
        for k, row in enumerate(_ROW.split(piece)):
            if k:
                place = _ROW_PLACE.match(row)
                self._n_rows, self._row, self._in_row = self._n_rows + 1, int(place[1]) if place else 0, 0
            end = max(row.rfind(b"</c"), row.rfind(b":c"))  # of the last cell that holds something
            if end >= 0:
                self.high = max(self.high, self._n_rows, self._row)
                self.wide = max(self.wide, self._in_row + _n_cells(row[: end + 2]))
            self._in_row += _n_cells(row)
        if b"table:table-" in piece:
            self._look_at_repeats(piece)
        places = set(_PLACE.findall(piece))
        self.high = max(self.high, max((int(row) for _column, row in places), default=0))
        self.wide = max(self.wide, max((_number(column) for column in {column for column, _row in places}), default=0))

    def _look_at_repeats(self, piece: bytes) -> None:
        """Of an OpenDocument sheet: a tag may stand for many rows or cells; those that hold nothing are not kept."""
        for row, cell in _REPEATED.findall(piece):
            if row:
                self._n_above, self._n_same = self._n_above + self._n_same, _times(row, b"rows")
                self._before = 0
            else:
                self._before += _times(cell, b"columns")
                if b"value-type" in cell:
                    self.wide = max(self.wide, self._before)
                    self.high = max(self.high, self._n_above + self._n_same)


def _times(tag: bytes, of: bytes) -> int:
    match = re.search(b"number-" + of + rb"-repeated\s*=\s*[\"'](\d{1,10})", tag)
    return int(match[1]) if match else 1


def _n_cells(row: bytes) -> int:
    return row.count(b"<c") if b":c" not in row else len(_CELL.findall(row))


def _number(column: bytes) -> int:
    """The number of a column: 28 of AB."""
    n = 0
    for letter in column.upper():
        n = 26 * n + letter - 64
    return n


def _pieces(packed: zipfile.ZipFile, member: zipfile.ZipInfo, file: str) -> Iterator[bytes]:
    """The bytes of a part, cut before a tag that opens; text without any tag is no part of a table for long."""
    rest = b""
    with packed.open(member) as stream:
        while block := stream.read(BLOCK):
            whole, mark, rest = (rest + block).rpartition(b"<")
            rest = mark + rest
            if len(rest) > LINE and member.filename.endswith(".xml"):
                raise Unreadable(file, None, "", f"a cell is longer than {LINE:,} bytes")
            yield whole
            rest = rest if len(rest) <= LINE else b""
    yield rest


def _refuse_repeated(packed: zipfile.ZipFile, parts: list[_Part], file: str) -> None:
    """Count how long the shared texts are together, each as often as it is shown."""
    lengths = next(part.lengths for part in parts if part.lengths)
    total = 0
    for part in parts:
        rest, n_counted = b"", 0
        for piece in _pieces(packed, part.member, file):
            cells = _CELL.split(rest + piece)
            rest = b"<c" + cells.pop() if len(cells) > 1 else b""
            shown = Counter(map(int, _SHOWN.findall(b"<c".join(cells))))
            n_counted += shown.total()
            total += sum(lengths[k] * n for k, n in shown.items() if k < len(lengths))
        shown = Counter(map(int, _SHOWN.findall(rest)))
        n_counted += shown.total()
        total += sum(lengths[k] * n for k, n in shown.items() if k < len(lengths))
        if n_counted < part.n_shown:
            total = MOST_TEXT + 1  # written in a way of its own, so that it cannot be counted
        if total > MOST_TEXT:
            allowed = f"texts of at most {MOST_TEXT >> 20:,} MB, each as often as it is shown; save it as CSV"
            raise Unreadable(file, None, "texts that are shown very often", allowed)
