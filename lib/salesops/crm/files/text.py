"""CSV: encoding and delimiter decided from evidence, records split exactly, whatever is odd refused or named.

A row's number is that of its first line. Blocks without a quote are split by Arrow; all others by Python's strict
reader, which gives the same and knows quotes.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv

from salesops.crm.files.limits import CELL, Guard
from salesops.crm.files.sink import Sink, Unreadable

BLOCK = 8_000_000  # characters
LOOKED_AT = 262_144  # bytes, to decide on the delimiter
DELIMITERS = ",;\t|"
TITLE_LINES = 20  # lines that may stand above the header
FOOTER_LINES = 1000  # lines that may stand below the last row
_CYRILLIC = frozenset(range(0xC0, 0x100)) | {0xA8, 0xB8}
_MARKS_1251 = frozenset({0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, 0xA0, 0xA7, 0xAB, 0xB0, 0xB9, 0xBB, 0x88})


def read(path: Path, file: str, sink: Sink, *, encoding: str, delimiter: str) -> None:
    """Put a CSV file into the sink.

    Raises
    ------
    Unreadable
        If it is no text in that encoding, no CSV, or empty.
    """
    encoding = encoding or sniff_encoding(path, file)
    try:
        with (
            path.open("rb") as raw,
            io.TextIOWrapper(io.BufferedReader(Guard(raw, file)), encoding, newline="") as text,
        ):
            _Csv(text, file, sink, delimiter).read()
    except UnicodeError:
        raise _undecodable(path, file, encoding) from None
    except csv.Error as error:
        raise Unreadable(file, None, "", f"not readable as CSV: {error}") from None


def sniff_encoding(path: Path, file: str) -> str:
    """UTF-8 with or without mark, UTF-16, or Windows-1251 where all its high bytes make Cyrillic words."""
    with path.open("rb") as stream:
        head = stream.read(4096)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if head[1::2].count(0) > len(head) // 4:
            return "utf-16-le"
        if head[::2].count(0) > len(head) // 4:
            return "utf-16-be"
        stream.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        try:
            for block in iter(lambda: stream.read(1 << 22), b""):
                decoder.decode(block)
            decoder.decode(b"", final=True)
            return "utf-8-sig"
        except UnicodeDecodeError:
            pass
        stream.seek(0)
        counts = [0] * 256
        for block in iter(lambda: stream.read(1 << 22), b""):
            for value in range(128, 256):
                counts[value] += block.count(value)
    high = sum(counts)
    letters = sum(counts[value] for value in _CYRILLIC)
    odd = sum(counts[value] for value in range(128, 256) if value not in _CYRILLIC | _MARKS_1251)
    if not odd and letters >= 0.8 * high and _in_words(path):
        return "cp1251"
    raise _undecodable(path, file, "utf-8")


def _in_words(path: Path) -> bool:
    """Whether high bytes stand together, as in Cyrillic words, and not alone between Latin letters."""
    with path.open("rb") as stream:
        data = stream.read(1 << 22)
    runs = bytes(1 if value >= 0x80 else 0 for value in data).split(b"\0")
    lengths = [len(run) for run in runs if run]
    return bool(lengths) and sum(lengths) >= 2 * len(lengths)


def _undecodable(path: Path, file: str, encoding: str) -> Unreadable:
    """Where the bytes stop being text."""
    allowed = f"text in {encoding}; say another encoding in the mapping"
    decoder, row = codecs.getincrementaldecoder(encoding)(), 1
    with path.open("rb") as stream:
        for line in stream:
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                return Unreadable(file, row, f"bytes {line[error.start : error.start + 8].hex(' ')}", allowed)
            row += 1
    return Unreadable(file, None, "", allowed)


class _Csv:
    def __init__(self, text: io.TextIOWrapper, file: str, sink: Sink, delimiter: str):
        self.text, self.file, self.sink, self.delimiter = text, file, sink, delimiter
        self.line = 1  # number of the next line
        self.short: list[tuple[int, list[str]]] = []  # rows that may be a footer
        self.blank_at = 0  # the last blank line

    def read(self) -> None:
        before = csv.field_size_limit(CELL)  # of the whole process, where others read by their own limit
        try:
            self._read()
        finally:
            csv.field_size_limit(before)

    def _read(self) -> None:
        head = self.text.readlines(LOOKED_AT)
        if not "".join(head).strip():
            raise Unreadable(self.file, 1, "", "a header and rows; the file is empty")
        self.delimiter = self.delimiter or self._sniff(head)
        self.wrapped = self._is_wrapped(head)
        rest = self._header(head)
        blocks = chain([rest] if rest else [], iter(lambda: self.text.readlines(BLOCK), []))
        for lines in blocks:
            self._block(lines)
        if self.wrapped:
            self.sink.note("lines quoted whole, unwrapped", self.sink.n_read)
        self._footer()

    def _sniff(self, head: list[str]) -> str:
        """The delimiter that gives the most of the wanted names, then the most columns."""
        best = []
        for mark in DELIMITERS:
            try:
                rows = self._parsed(head[:TITLE_LINES], mark)
            except csv.Error:
                continue
            wanted, width = max((len(self.sink.wanted.found(row)), len(row)) for row in rows or [[]])
            best.append((wanted, width, mark))
        best.sort(reverse=True)
        if not best or best[0][0] == 0 and best[0][1] > 1 and len([b for b in best if b[1] == best[0][1]]) > 1:
            raise Unreadable(
                self.file, 1, head[0].strip(), "a header with the columns of the mapping; say its delimiter"
            )
        return best[0][2] if best[0][1] > 1 else ","

    def _parsed(self, lines: list[str], mark: str) -> list[list[str]]:
        """Whole records of some lines; a record cut off at the end is left out."""
        rows, reader = [], csv.reader(lines, delimiter=mark, strict=True)
        try:
            rows.extend([field.strip() for field in row] for row in reader)
        except csv.Error:
            if reader.line_num < len(lines):
                raise
        if rows and all(len(row) == 1 and mark in row[0] for row in rows if row):
            rows = [
                [field.strip() for field in row] for row in csv.reader((row[0] for row in rows if row), delimiter=mark)
            ]
        return rows

    def _is_wrapped(self, head: list[str]) -> bool:
        """Whether each line stands in quotes as a whole."""
        lines = [line.strip() for line in head[:50] if line.strip()]
        return all(
            line.startswith('"') and line.endswith('"') and len(row) == 1 and self.delimiter in row[0]
            for line in lines
            for row in [next(csv.reader([line], delimiter=self.delimiter), [])]
        )  # fmt: skip

    def _header(self, head: list[str]) -> list[str]:
        """Find the header, which may stand below some lines of title; gives the lines after it."""
        records = self._records(head[:TITLE_LINES], more=iter(head[TITLE_LINES:]))
        seen = []
        for number, used, row in records:
            seen.append((len(self.sink.wanted.found([name.strip() for name in row])), -number, used, row))
            if len(seen) == TITLE_LINES:
                break
        found, place, used, row = max(seen, key=lambda one: one[:2])
        if not found:
            _found, place, used, row = seen[0]
        header = [name.strip() or f"\0{number}" for number, name in enumerate(row)]
        self.sink.begin(self.file, header, row=-place)
        self.sink.note("lines above the header", -place - 1)
        self.width = len(header)
        self.line = used + 1
        return head[used:]

    def _records(self, lines: list[str], more: Iterable[str]) -> Iterator[tuple[int, int, list[str]]]:
        """Row number within the lines, lines used so far, fields; a record may go on into `more`."""
        reader = csv.reader(chain(lines, more), delimiter=self.delimiter, strict=True)
        used = 0
        while used < len(lines):
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = (
                    "a quote is opened and not closed"
                    if "end of data" in str(error) or "limit" in str(error)
                    else error
                )
                raise Unreadable(self.file, self.line + used, "", f"not readable as CSV: {reason}") from None
            first, used = used + 1, reader.line_num
            if self.wrapped and len(row) == 1:
                row = next(csv.reader(row, delimiter=self.delimiter), [])
            yield first, used, row

    def _block(self, lines: list[str]) -> None:
        if not self.short and (columns := self._fast(lines)) is not None:
            self.sink.add_columns(columns, range(self.line, self.line + len(lines)))
            self.line += len(lines)
            return
        rows, numbers, used = [], [], 0
        before = 0
        for first, used, row in self._records(lines, more=iter(self.text.readline, "")):
            number = self.line + first - 1
            if len(row) == self.width and used - before > 1 and self._swallowed(lines[before:used]):
                self._refuse_short()
                self.sink.refuse(
                    number, "", f"a quoted field over {used - before} lines that look like rows; a quote may be missing"
                )
            elif len(row) == self.width and not (self.width == 1 and not row[0]):
                self._refuse_short()
                rows.append(row)
                numbers.append(number)
            elif any(field.strip() for field in row):
                self.short.append((number, row))
                if len(self.short) > FOOTER_LINES:
                    self._refuse_short()
            elif not row or not any(row):
                self.blank_at = number
            before = used
        self.line += max(used, len(lines))
        self.sink.add(rows, numbers)

    def _fast(self, lines: list[str]) -> list[pa.Array] | None:
        """The wanted columns of lines that need no rules of quoting; None where they do, or are not regular."""
        text = "".join(lines)
        bare = text.replace("\r\n", "\n")
        if '"' in text or "\r" in bare or "\n\n" in bare or bare.startswith("\n") or self.width < 2 or "\0" in text:
            return None
        if self.sink.twice:
            return None
        names = [f"f{k}" for k in range(self.width)]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(bare.encode()),
                arrow_csv.ReadOptions(column_names=names, block_size=max(len(bare) * 4, 1 << 20), use_threads=False),
                arrow_csv.ParseOptions(delimiter=self.delimiter, quote_char=False, double_quote=False),
                arrow_csv.ConvertOptions(
                    include_columns=[f"f{k}" for k in dict.fromkeys(self.sink.places.values())] or names[:1],
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False,
                ),
            )  # fmt: skip
        except pa.ArrowInvalid:  # a row has too few fields or too many
            return None
        if table.num_rows != len(lines):
            return None
        return [table[f"f{k}"].combine_chunks() for k in self.sink.places.values()]

    def _swallowed(self, lines: list[str]) -> bool:
        """Whether each line of a record over several lines has itself as many delimiters as a row."""
        return self.width > 2 and len(lines) > 1 and all(line.count(self.delimiter) >= self.width - 1 for line in lines)

    def _refuse_short(self) -> None:
        for number, row in self.short:
            self.sink.refuse(number, f"{len(row)} fields", f"{self.width} as in the header")
        self.short.clear()

    def _footer(self) -> None:
        """Short lines after the last row and a blank line are a footer; without the blank line they are bad rows."""
        n_below = sum(1 for number, _row in self.short if self.blank_at and number > self.blank_at)
        self.short = self.short[: len(self.short) - n_below]
        self._refuse_short()
        self.sink.note("lines of a footer", n_below)
