"""Customers as lists that sales works through; text is never a formula."""

import datetime as dt
import io

from salesops import crm, lang, sheets
from salesops.buying import compute
from salesops.buying.params import Params
from salesops.lang import _
from salesops.problems import BadInput

MOST_ROWS = 1_000_000  # of a sheet


def write(params: Params) -> dict[str, bytes]:
    """`customers.xlsx`: the dormant ones, the most worth first, and all by what they are expected to bring; in the
    language of the parameters.

    Raises
    ------
    BadInput
        If the source cannot be used, or too few customers have come back to tell anything of any of them.
    """
    lang.use(params.lang)
    try:
        book = crm.open(**params.book)
        found = compute.measure(book, params)
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    if found.model is None:
        raise BadInput("nothing was written", ["too few customers have come back to tell who will"])
    return {"customers.xlsx": _workbook(book, found)}


def _workbook(book: crm.Book, found: compute.Found) -> bytes:
    stream = io.BytesIO()
    made = sheets.workbook(stream, found.as_of)
    names = {}
    if "name" in book.about["filled"]["accounts"]:
        names = dict(book.accounts.select("account_id", "name").execute().itertuples(index=False))
    everybody = found.customers.sort_values(["value", "account_id"], ascending=[False, True]).head(MOST_ROWS)
    for title, table in ((_("Dormant"), found.dormant.head(MOST_ROWS)), (_("All customers"), everybody)):
        sheet = made.add_worksheet(title)
        head = made.add_format({"bold": True, "bottom": 1})
        money, share = made.add_format({"num_format": "#,##0"}), made.add_format({"num_format": "0%"})
        number, day = made.add_format({"num_format": "0.0"}), made.add_format({"num_format": "yyyy-mm-dd"})
        columns = ["account_id", _("Account"), _("Last purchase"), _("Came back, times"), _("Still a customer"),
                   _("Purchases expected"), _("Value expected") + f", {found.currency}", "P10", "P90",
                   _("Value if still a customer") + f", {found.currency}",
                   _("Bought so far") + f", {found.currency}"]  # fmt: skip
        for at, name in enumerate(columns):
            sheet.write_string(0, at, name, head)
        for at, row in enumerate(table.itertuples(), 1):
            sheet.write_string(at, 0, row.account_id)
            if isinstance(names.get(row.account_id), str):
                sheet.write_string(at, 1, names[row.account_id])
            sheet.write_datetime(at, 2, dt.datetime.combine(row.last_on, dt.time()), day)
            sheet.write_number(at, 3, row.x)
            sheet.write_number(at, 4, row.alive, share)
            sheet.write_number(at, 5, row.expected, number)
            for column, value in enumerate((row.value, row.low, row.high, row.if_alive, row.total), 6):
                sheet.write_number(at, column, value / found.minor_units, money)
        sheet.freeze_panes(1, 2)
        sheet.autofilter(0, 0, max(len(table), 1), len(columns) - 1)
        for at, width in enumerate((16, 32, 12, 12, 12, 12, 16, 12, 12, 18, 16)):
            sheet.set_column(at, at, width)
    made.close()
    return stream.getvalue()
