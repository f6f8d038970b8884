"""What to mend as files: a workbook for each rep, which comes back filled and becomes files for the CRM's import."""

import datetime as dt
import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import python_calamine

from salesops import crm, lang, project, sheets
from salesops.crm import mapping, writeback
from salesops.crm.tables import TABLES
from salesops.crm.writeback import Change
from salesops.hygiene import compute, words
from salesops.hygiene.params import Params
from salesops.lang import _
from salesops.problems import BadInput, Problem, printable

SHEET = "fixes"
KEYS = ("deal_id", "field")  # the first two columns, whatever the language: what the workbook is read back by
FILLED = 9  # the column that a person fills, from 0
BEFORE = 8
LONGEST = 60  # characters in the name of a file
MOST = 1_000_000  # rows of one workbook
MOST_LINKS = 60_000  # of a sheet; Excel refuses more


def for_reps(params: Params) -> dict[str, bytes]:
    """The workbooks of what to mend, in the language of the parameters.

    Raises
    ------
    BadInput
        If the source cannot be used, or there is nothing to mend.
    """
    lang.use(params.lang)
    try:
        book = crm.open(**params.book)
        found = compute.broken(book, params)
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    return workbooks(found, link=params.link, currency=book.currency, as_of=book.as_of)


def for_import(system: str, paths: Sequence[Path]) -> tuple[dict[str, bytes], dict[str, int]]:
    """The files of filled workbooks for a system's own import; see `crm.writeback.files`."""
    known = project.root() / "params" / "crm"
    if "/" in system or not (known / f"{system}.yml").is_file():
        names = ", ".join(sorted(path.stem for path in known.glob("*.yml")))
        raise BadInput(f"{printable(system)!r} is not a system", [f"allowed: {names}"])
    spec = mapping.load(known / f"{system}.yml", currency="USD")
    return writeback.files(spec, read_back(paths), system=system)


def workbooks(fixes: pd.DataFrame, *, link: str, currency: str, as_of: dt.date) -> dict[str, bytes]:
    """A workbook for each rep: name -> contents. The same fixes give the same bytes.

    Parameters
    ----------
    fixes : of `hygiene.fixes.listed`.
    """
    made, reps = {}, fixes.groupby("rep_id", sort=True)
    for _rep_id, part in reps:
        if len(part) > MOST:
            raise BadInput("nothing was written", [f"{part['rep'].iloc[0]}: more rows to mend than a workbook holds"])
        name = re.sub(r"\W+", "-", part["rep"].iloc[0] or "nobody").strip("-")[:LONGEST] or "rep"
        taken = {one.casefold() for one in made}
        others = (f"{name}-{k}.xlsx" for k in itertools.count(2))
        free = next(
            one for one in (f"{name}.xlsx", *itertools.islice(others, len(taken) + 1)) if one.casefold() not in taken
        )
        made[free] = _workbook(part, link, currency, as_of)
    return made


def _workbook(part: pd.DataFrame, link: str, currency: str, as_of: dt.date) -> bytes:
    stream = io.BytesIO()
    book = sheets.workbook(stream, as_of)
    sheet = book.add_worksheet(SHEET)
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    day, money, fill = (book.add_format({"num_format": form}) for form in ("yyyy-mm-dd", "#,##0.00", "General"))
    fill_day = book.add_format({"num_format": "yyyy-mm-dd", "bg_color": "#FFF6E5"})
    fill.set_bg_color("#FFF6E5")
    fill_text = book.add_format({"num_format": "@", "bg_color": "#FFF6E5"})  # an id keeps its zeros
    fills = {"money": fill, "share": fill, "day": fill_day, "moment": fill_day}
    columns = [*KEYS, _("Deal"), _("Stage"), f"{_('Amount')}, {currency}", _("Weight"), _("Rule"), _("What to do"),
               _("Before"), _("After"), _("Older one")]  # fmt: skip
    for at, name in enumerate(columns):
        sheet.write_string(0, at, name, head)
    for at, row in enumerate(part.itertuples(), 1):
        sheet.write_string(at, 0, row.deal_id)
        sheet.write_string(at, 1, row.field)
        _write_name(sheet, at, row, link)
        sheet.write_string(at, 3, row.stage)
        _write(sheet, at, 4, row.amount, day, money)
        sheet.write_number(at, 5, row.weight)
        sheet.write_string(at, 6, words.rule_name(row.rule))
        sheet.write_string(at, 7, words.what_to_do(row.rule))
        _write(sheet, at, BEFORE, row.before, day, None)
        fit = fills.get(TABLES["deals"][row.field].kind, fill_text) if row.field else None
        _write(sheet, at, FILLED, row.after, fit, fit, blank=fit)
        _write(sheet, at, 10, row.copy_of, None, None)
    sheet.freeze_panes(1, 3)
    sheet.autofilter(0, 0, len(part), len(columns) - 1)
    for at, width in enumerate((14, 18, 40, 16, 14, 8, 26, 36, 20, 20, 14)):
        sheet.set_column(at, at, width)
    book.close()
    return stream.getvalue()


def _write_name(sheet, at: int, row, link: str) -> None:
    name = row.name or row.deal_id
    if not link or at > MOST_LINKS or sheet.write_url(at, 2, words.address(link, row.deal_id), string=name[:255]):
        sheet.write_string(at, 2, name)


def _write(sheet, row: int, column: int, value, day, number, *, blank=None) -> None:
    """A value as what it is; text never as a formula."""
    if value is None or value != value:
        if blank is not None:
            sheet.write_blank(row, column, None, blank)
    elif isinstance(value, dt.date):
        sheet.write_datetime(row, column, dt.datetime.combine(value, dt.time()), day)
    elif isinstance(value, str):
        sheet.write_string(row, column, value, number)
    else:
        sheet.write_number(row, column, value, number)


def read_back(paths: Sequence[Path]) -> list[Change]:
    """The changes that filled workbooks hold: the rows with something under "After" that is not what was before.

    Raises
    ------
    BadInput
        If a file is no such workbook; with every problem at once.
    """
    problems, found = [], []
    for path in paths:
        try:
            rows = python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_name(SHEET).to_python()
        except Exception as error:  # calamine's own, or of the operating system
            problems.append(
                Problem(path.name, None, "", "", f"a workbook of salesops fixes ({str(error) or 'damaged'})")
            )
            continue
        if not rows or tuple(rows[0][:2]) != KEYS or len(rows[0]) <= FILLED:
            problems.append(Problem(path.name, 1, "", "", f"a header that begins with {', '.join(KEYS)}"))
            continue
        for number, row in enumerate(rows[1:], 2):
            deal_id, field, before, after = row[0], row[1], row[BEFORE], row[FILLED]
            if after in ("", None):
                continue
            if not isinstance(deal_id, str) or not deal_id:
                problems.append(
                    Problem(path.name, number, "deal_id", str(deal_id), "the id as text, as it was written")
                )
            elif not field:
                problems.append(
                    Problem(path.name, number, "field", str(after), "nothing: this is to be done, not written")
                )
            else:
                found.append(Change(path.name, number, deal_id, str(field), before, after))
    if problems:
        raise BadInput("no changes were written", problems)
    return found
