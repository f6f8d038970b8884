"""Workbooks: text in them is text, never a formula or a link, and nothing in it is hidden."""

import datetime as dt
import io

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from salesops import plaintext

LONGEST = 32_767  # characters of a cell, as UTF-16 counts them; a longer one would be cut without a word


class Sheet(Worksheet):
    """A sheet whose every text passes the border of text."""

    def _write_string(self, row: int, col: int, string: str, cell_format=None) -> int:
        text = plaintext.clean(string, lines=True)
        if len(text) > LONGEST // 2 and len(units := text.encode("utf-16-le")) > 2 * LONGEST:
            text = units[: 2 * LONGEST - 2].decode("utf-16-le", "ignore") + "…"
        return super()._write_string(row, col, text, cell_format)


def workbook(stream: io.BytesIO, on: dt.date) -> xlsxwriter.Workbook:
    """A new workbook that is written to a stream when it is closed; its day of creation is given, so that the same
    content gives the same bytes."""
    book = xlsxwriter.Workbook(
        stream, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    book.worksheet_class = Sheet
    book.set_properties({"created": dt.datetime.combine(on, dt.time())})
    return book
