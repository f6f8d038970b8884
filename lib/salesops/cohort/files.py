"""Customers with contracts as a list: who is likely to stay, and what each is expected to bring; text is never a
formula."""

import io

import numpy as np
from ibis import _ as row_

from salesops import crm, lang, sheets
from salesops.cohort import projection, retention, words
from salesops.cohort.params import Params
from salesops.lang import _
from salesops.problems import BadInput

YEAR = 12
MOST_ROWS = 1_000_000  # of a sheet


def write(params: Params) -> dict[str, bytes]:
    """`customers.xlsx`: customers of the last month by what they are expected to bring within the horizon, in the
    language of the parameters.

    Raises
    ------
    BadInput
        If the source cannot be used, or its record is too short to tell anything of any customer.
    """
    lang.use(params.lang)
    try:
        book = crm.open(**params.book)
        cube = retention.read_cube(book)
        made = projection.table(cube)
        if made is None or len(made.unbroken) < projection.LEAST_MONTHS:
            raise ValueError("the record is too short to project")
        chosen = projection.judge(made)[1]
        n_ages = len(made.unbroken) + max(params.horizon_months, YEAR)
        paths = {value: projection.factors(made, value, method, n_ages) for value, method in chosen.items()}
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    if any(path is None for path in paths.values()):
        raise BadInput("nothing was written", ["the record is too short to project"])
    rows = book.revenue.filter(row_.kind == "recurring", row_.amount_minor > 0)
    month = (rows.month_on.year() * 12 + rows.month_on.month() - 1).cast("int64")
    now = month == cube.ends
    rows = rows.group_by("account_id").agg(started=month.min(), amount=row_.amount_minor.sum(where=now))
    table = rows.filter(row_.amount > 0).order_by(row_.amount.desc(), "account_id").limit(MOST_ROWS).execute()
    age = (cube.ends - table["started"]).to_numpy()
    if cube.stock:  # those who had begun before the record are at least so old
        age = np.minimum(age, len(made.unbroken) - 1)
    worth = (1 + params.discount) ** (-np.arange(params.horizon_months) / YEAR) * params.margin
    ahead = np.array([np.cumprod(paths["revenue"][one : one + params.horizon_months]) @ worth for one in age])
    table["stays"] = [float(np.prod(np.clip(paths["customers"][one : one + YEAR], 0, 1))) for one in age]
    table["value"] = ahead * table["amount"]
    # When each will leave is left to chance; what they pay until then stays as it is.
    paid = np.concatenate([[0.0], np.cumsum(worth)])
    lasts = np.array([_leaves(paths["customers"][one : one + params.horizon_months]) for one in age])
    table["low"], table["high"] = (paid[lasts[:, k]] * table["amount"] for k in (0, 1))
    return {
        "customers.xlsx": _workbook(book, cube, table.sort_values(["value", "account_id"], ascending=[False, True]))
    }


def _leaves(stays: np.ndarray) -> tuple[int, int]:
    """Months after which one in ten, and nine in ten, have left; the whole horizon where fewer have."""
    gone = 1 - np.cumprod(np.clip(stays, 0, 1))
    return tuple(int(np.argmax(gone >= share)) + 1 if gone[-1] >= share else len(gone) for share in (0.1, 0.9))


def _workbook(book: crm.Book, cube: retention.Cube, table) -> bytes:
    stream = io.BytesIO()
    made = sheets.workbook(stream, cube.last_on)
    names = {}
    if "name" in book.about["filled"]["accounts"]:
        names = dict(book.accounts.select("account_id", "name").execute().itertuples(index=False))
    sheet = made.add_worksheet(_("Customers"))
    head = made.add_format({"bold": True, "bottom": 1})
    money, share = made.add_format({"num_format": "#,##0"}), made.add_format({"num_format": "0%"})
    columns = ["account_id", _("Account"), _("Began in"), _("Revenue a month") + f", {book.currency}",
               _("Still there in 12 months"), _("Value expected") + f", {book.currency}", "P10", "P90"]  # fmt: skip
    for at, name in enumerate(columns):
        sheet.write_string(0, at, name, head)
    first = int(cube.rows["started"].min())
    for at, row in enumerate(table.itertuples(), 1):
        sheet.write_string(at, 0, row.account_id)
        if isinstance(names.get(row.account_id), str):
            sheet.write_string(at, 1, names[row.account_id])
        earlier = cube.stock and row.started == first
        began = words.year_name(0) if earlier else f"{retention.first_day(int(row.started)):%Y-%m}"
        sheet.write_string(at, 2, began)
        sheet.write_number(at, 3, row.amount / book.minor_units, money)
        sheet.write_number(at, 4, row.stays, share)
        for column, value in enumerate((row.value, row.low, row.high), 5):
            sheet.write_number(at, column, value / book.minor_units, money)
    sheet.freeze_panes(1, 2)
    sheet.autofilter(0, 0, max(len(table), 1), len(columns) - 1)
    for at, width in enumerate((16, 32, 12, 16, 14, 16, 12, 12)):
        sheet.set_column(at, at, width)
    made.close()
    return stream.getvalue()
