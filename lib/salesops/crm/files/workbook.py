"""Spreadsheets: real workbooks (xlsx, xls, xlsb, ods), and the HTML tables that some CRMs export as `.xls`."""

import datetime as dt
import itertools
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from salesops.crm.files import weight
from salesops.crm.files.limits import CELL
from salesops.crm.files.sink import BATCH, MOST_COLUMNS, Sink, Unreadable
from salesops.crm.files.text import TITLE_LINES, sniff_encoding
from salesops.problems import WIDEST, listed

MOST_SHEETS = 1000
LONGEST_TAG = 1 << 21  # characters
CELLS_AT_ONCE = 1_000_000  # of a page
UNCLOSED = "a page whose tags are closed"
WHOLE = 2**53  # a spreadsheet keeps larger whole numbers only roughly


def read(path: Path, file: str, sink: Sink, *, sheet: str) -> None:
    """Put a sheet of a workbook into the sink: the one named, else the only one with the wanted columns.

    Raises
    ------
    Unreadable
        If it is no workbook, has no such sheet, or is unreasonably large.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        weight.check(path, file)
        book = CalamineWorkbook.from_path(str(path))
        if len(book.sheet_names) > MOST_SHEETS:
            raise Unreadable(file, None, f"{len(book.sheet_names):,} sheets", f"at most {MOST_SHEETS}")
        if sheet and sheet not in book.sheet_names:
            raise Unreadable(file, None, sheet, f"no such sheet; the workbook has {listed(book.sheet_names)}")
        name, page, place = _best_sheet(book, [sheet] if sheet else book.sheet_names, file, sink)
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise Unreadable(file, None, "", f"not readable as a workbook: {' '.join(str(error).split())[:200]}") from None
    _put(page, place, file if len(book.sheet_names) == 1 else f"{file}[{name}]", sink)


def _best_sheet(book, names: list[str], file: str, sink: Sink) -> tuple[str, object, int]:
    """The only sheet with the most of the wanted columns, and the place of its header; one sheet at a time is kept."""
    most, best, kept = -1, [], None
    for name in names:
        page = book.get_sheet_by_name(name)
        if page.height * page.width > weight.MOST_CELLS:  # of a kind of file that was not weighed
            raise Unreadable(file, None, name, f"sheets of at most {weight.MOST_CELLS:,} cells")
        rows = [[_text(cell) for cell in row] for row in itertools.islice(_rows(page), TITLE_LINES)]
        if not any(map(any, rows)) and not any(any(_text(cell) for cell in row) for row in _rows(page)):
            continue
        found, place = _header(rows, sink, page)
        if found > most:
            most, best, kept = found, [], (page, place)
        best += [name] if found == most else []
    if kept is None:
        raise Unreadable(file, 1, "", "a header and rows; the workbook is empty")
    if len(best) > 1:
        raise Unreadable(file, None, listed(best), "one sheet with these columns; say which in the mapping (sheet)")
    return best[0], *kept


def _rows(page) -> Iterator[list]:
    """The rows of a sheet from its first line on, with the cells from column A on."""
    if page.start is None:
        return iter(())
    before = [""] * page.start[1]
    return (before + row for row in page.iter_rows()) if before else page.iter_rows()


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


def _header(rows: list[list[str]], sink: Sink, page) -> tuple[int, int]:
    """How many of the wanted names stand in the best of the first lines, and its place."""
    scored = [(len(sink.wanted.found([cell.strip() for cell in row])), -at) for at, row in enumerate(rows)]
    found, place = max(scored)
    if not found:
        place = -next(at for at, row in enumerate(_rows(page)) if any(_text(cell) for cell in row))
    return found, -place


def _put(page, place: int, file: str, sink: Sink) -> None:
    """The rows below the header; read twice, as what a column holds is known at its end, so that no copy is kept."""
    above = [[_text(cell) for cell in row] for row in itertools.islice(_rows(page), place + 1)]
    header = [name.strip() or f"\0{number}" for number, name in enumerate(above.pop())]
    filled, worded = [False] * len(header), [False] * len(header)
    for row in itertools.islice(_rows(page), place + 1, None):
        for k, cell in enumerate(row):
            if isinstance(cell, str):
                if cell:
                    filled[k] = True
                    worded[k] = worded[k] or bool(cell.strip())
            else:
                filled[k] = True
    while header and header[-1].startswith("\0") and not filled[len(header) - 1]:
        header.pop()
    typed = [name for name, is_word in zip(header, worded, strict=False) if not is_word]
    sink.begin(file, header, typed=typed, row=place + 1)
    sink.note("lines above the header", sum(map(any, above)))
    rows, numbers = [], []
    for number, row in enumerate(itertools.islice(_rows(page), place + 1, None), place + 2):
        cells = [_text(cell) for cell in row[: len(header)]]
        if any(cells):
            rows.append(cells)
            numbers.append(number)
        if len(rows) == BATCH:
            sink.add(rows, numbers)
            rows, numbers = [], []
    sink.add(rows, numbers)


class _Table(HTMLParser):
    """The rows of the tables of a page, in the order they end."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.cell: list[str] | None = None
        self.odd = ""  # what a plain table does not have
        self.n_letters = 0  # of the cell so far

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "tr":
            self._end_cell()
            self.rows.append([])
        elif tag in ("td", "th"):
            self._end_cell()
            self.cell, self.n_letters = [], 0
            if self.rows and len(self.rows[-1]) > MOST_COLUMNS:
                raise ValueError(f"a row of more than {MOST_COLUMNS:,} cells")
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
            self.n_letters += len(data)
            if self.n_letters > CELL:
                raise ValueError(f"a cell of more than {CELL:,} characters")

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
    width, rows, numbers = 0, [], []
    for number, row in enumerate(_html_rows(path, file, encoding or sniff_encoding(path, file)), 1):
        if not width:
            width = len(row)
            sink.begin(file, [name or f"\0{k}" for k, name in enumerate(row)], row=number)
        elif len(row) == width:
            rows.append(row)
            numbers.append(number)
            if len(rows) * width > CELLS_AT_ONCE:
                sink.add(rows, numbers)
                rows, numbers = [], []
        elif any(row):
            sink.refuse(number, f"{len(row)} cells", f"{width} as in the header")
    if width:
        sink.add(rows, numbers)
    if not width:
        raise Unreadable(file, None, "", "a table; the page has none")


def _html_rows(path: Path, file: str, encoding: str) -> Iterator[list[str]]:
    page = _Table()
    try:
        with path.open(encoding=encoding) as text:
            for block in _blocks(text):
                page.feed(block)
                if len(page.rawdata) > LONGEST_TAG:
                    raise Unreadable(file, None, "", UNCLOSED)
                yield from page.take()
    except UnicodeError:
        raise Unreadable(file, None, "", f"text in {encoding}; say another encoding in the mapping") from None
    except ValueError as error:
        raise Unreadable(file, None, "", f"not readable as a page: {error}") from None
    if page.rawdata.lstrip().startswith("<") and len(page.rawdata.strip()) > 1:  # a parser would try each letter of it
        raise Unreadable(file, None, page.rawdata.strip()[:WIDEST], UNCLOSED)
    page.close()
    if page.odd:
        raise Unreadable(file, None, page.odd, "one plain table, without merged cells")
    yield from page.rows


def _blocks(text) -> Iterable[str]:
    return iter(lambda: text.read(1 << 20), "")
