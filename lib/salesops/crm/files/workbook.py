"""Spreadsheets: real workbooks (xlsx, xls, xlsb, ods), and the HTML tables that some CRMs export as `.xls`."""

import datetime as dt
import zipfile
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from salesops.crm.files.sink import BATCH, Sink, Unreadable
from salesops.crm.files.text import TITLE_LINES, WIDEST_FIELD, sniff_encoding

LARGEST = 1 << 30  # bytes of a workbook when unpacked
WHOLE = 2**53  # a spreadsheet keeps larger whole numbers only roughly


def read(path: Path, file: str, sink: Sink, *, sheet: str) -> None:
    """Put a sheet of a workbook into the sink: the one named, else the only one with the wanted columns.

    Raises
    ------
    Unreadable
        If it is no workbook, has no such sheet, or is unreasonably large.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            if sum(member.file_size for member in packed.infolist()) > LARGEST:
                raise Unreadable(file, None, "", f"a workbook of at most {LARGEST >> 20} MB when unpacked")
    try:
        book = CalamineWorkbook.from_path(str(path))
        names = [sheet] if sheet else list(book.sheet_names)
        if sheet and sheet not in book.sheet_names:
            raise Unreadable(file, None, sheet, f"no such sheet; the workbook has {', '.join(book.sheet_names)}")
        pages = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in names}
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise Unreadable(file, None, "", f"not readable as a workbook: {' '.join(str(error).split())[:200]}") from None
    rows = {name: [[_text(cell) for cell in row] for row in page] for name, page in pages.items()}
    fit = {name: _header(page, sink) for name, page in rows.items() if any(map(any, page))}
    if not fit:
        raise Unreadable(file, 1, "", "a header and rows; the workbook is empty")
    most = max(found for found, _place in fit.values())
    best = [name for name, (found, _place) in fit.items() if found == most]
    if len(best) > 1:
        raise Unreadable(file, None, ", ".join(best), "one sheet with these columns; say which in the mapping (sheet)")
    name = best[0]
    place = fit[name][1]
    below = pages[name][place + 1 :]
    typed = [
        text.strip()
        for k, text in enumerate(rows[name][place])
        if all(not isinstance(row[k], str) or not row[k].strip() for row in below)
    ]
    _put(rows[name], place, file if len(book.sheet_names) == 1 else f"{file}[{name}]", sink, typed)


def _text(cell) -> str:
    """A cell as it would stand in a CSV file: ISO dates, numbers with a point."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        if cell.is_integer():
            return str(int(cell)) if abs(cell) < WHOLE else f"{cell:e}"
        return repr(cell)
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        text = cell.isoformat(" ") if isinstance(cell, dt.datetime) else cell.isoformat()
        return text.removesuffix(" 00:00:00")
    return str(cell)


def _header(rows: list[list[str]], sink: Sink) -> tuple[int, int]:
    """How many of the wanted names stand in the best of the first lines, and its place."""
    scored = [
        (len(sink.wanted.found([cell.strip() for cell in row])), -at) for at, row in enumerate(rows[:TITLE_LINES])
    ]
    found, place = max(scored)
    if not found:
        place = -next(at for at, row in enumerate(rows) if any(row))
    return found, -place


def _put(rows: list[list[str]], place: int, file: str, sink: Sink, typed: list[str]) -> None:
    header = [name.strip() or f"\0{number}" for number, name in enumerate(rows[place])]
    while header and header[-1].startswith("\0") and not any(row[len(header) - 1] for row in rows[place:]):
        header.pop()
    sink.begin(file, header, typed=typed, row=place + 1)
    sink.note("lines above the header", sum(map(any, rows[:place])))
    width = len(header)
    kept = [(number, row[:width]) for number, row in enumerate(rows[place + 1 :], place + 2) if any(row[:width])]
    for start in range(0, len(kept), BATCH):
        part = kept[start : start + BATCH]
        sink.add([row for _number, row in part], [number for number, _row in part])


class _Table(HTMLParser):
    """The rows of the tables of a page, in the order they end."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.cell: list[str] | None = None
        self.odd = ""  # what a plain table does not have

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "tr":
            self._end_cell()
            self.rows.append([])
        elif tag in ("td", "th"):
            self._end_cell()
            self.cell = []
            for name, value in attrs:
                if name in ("rowspan", "colspan") and value not in (None, "", "1"):
                    self.odd = f"{name}={value}"
        elif tag == "br" and self.cell is not None:
            self.cell.append("\n")
        elif tag == "table" and self.rows and any(self.rows):
            self.odd = self.odd or "a second table"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)

    def _end_cell(self) -> None:
        if self.cell is not None:
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append("".join(self.cell).strip())
            self.cell = None

    def take(self) -> list[list[str]]:
        """The rows that are whole."""
        whole, self.rows = self.rows[:-1], self.rows[-1:]
        return whole


def read_html(path: Path, file: str, sink: Sink, *, encoding: str) -> None:
    """Put the table of an HTML page into the sink.

    Raises
    ------
    Unreadable
        If there is no table, more than one, or one with merged cells.
    """
    width = 0
    for number, row in enumerate(_html_rows(path, file, encoding or sniff_encoding(path, file)), 1):
        if not width:
            width = len(row)
            sink.begin(file, [name or f"\0{k}" for k, name in enumerate(row)], row=number)
        elif len(row) == width:
            sink.add([row], [number])
        elif any(row):
            sink.refuse(number, f"{len(row)} cells", f"{width} as in the header")
    if not width:
        raise Unreadable(file, None, "", "a table; the page has none")


def _html_rows(path: Path, file: str, encoding: str) -> Iterator[list[str]]:
    page = _Table()
    try:
        with path.open(encoding=encoding) as text:
            for block in _blocks(text):
                page.feed(block)
                if len(page.rawdata) > 16 * WIDEST_FIELD:
                    raise Unreadable(file, None, "", "a page whose tags are closed")
                yield from page.take()
    except UnicodeError:
        raise Unreadable(file, None, "", f"text in {encoding}; say another encoding in the mapping") from None
    page.close()
    if page.odd:
        raise Unreadable(file, None, page.odd, "one plain table, without merged cells")
    yield from page.rows


def _blocks(text) -> Iterable[str]:
    return iter(lambda: text.read(1 << 20), "")
