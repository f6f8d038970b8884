"""The forecast as files: its quantiles and each rep's draws as Parquet, the open deals with their chances as a
workbook."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _ as row_

from salesops import crm, lang, periods, sheets
from salesops.forecast import compute, record, tables
from salesops.forecast.compute import LEVELS, Forecast
from salesops.forecast.params import Params
from salesops.lang import _
from salesops.problems import BadInput

SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("period", pa.string()),
        ("unit", pa.string()),
        ("value", pa.string()),
        ("quantile", pa.float64()),
        ("amount", pa.float64()),
        ("booked", pa.float64()),
        ("currency", pa.string()),
    ]
)


def write(params: Params) -> dict[str, bytes]:
    """`forecast.parquet`, `forecast-reps.parquet` and `forecast-deals.xlsx`, in the language of the parameters: name ->
    contents.

    Raises
    ------
    BadInput
        If the source cannot be used, or nothing can be forecast.
    """
    lang.use(params.lang)
    try:
        book = crm.open(**params.book)
        found = compute.measure(book, params.model_copy(update={"listed": compute.ALL_DEALS}))
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    return {
        "forecast.parquet": quantiles(found, book.currency),
        "forecast-reps.parquet": by_rep(found, book, params),
        "forecast-deals.xlsx": workbook(found, book.currency),
    }


def by_rep(found: Forecast, book: crm.Book, params: Params) -> bytes:
    """What is still to be won in the quarter by each rep: one row for each draw and rep, with the same common shock for
    all reps of a draw. Open deals are their owners' of now. Deals to come are the reps' who are there, by what each has
    won in the last twelve months, whoever owns it now."""
    made = found.made
    owners = book.deals.filter(row_.deal_id.isin(made.deals["deal_id"].tolist())).select("deal_id", "rep_id").execute()
    of = made.deals["deal_id"].map(owners.set_index("deal_id")["rep_id"])
    since = periods.start_of(periods.add_months(periods.days_after(book.as_of, 1), -12), book.time_zone)
    there = book.reps.filter(row_.left_on.isnull() | (row_.left_on > book.as_of)).select("rep_id")
    won = book.credited.filter(row_.status == "won", row_.closed_at >= since).semi_join(there, "rep_id")
    won = won.group_by("rep_id").agg(minor=row_.amount_minor.sum()).order_by("rep_id").execute()
    won = won.set_index("rep_id")["minor"].fillna(0)
    reps = sorted({*of.dropna(), *won.index})
    share = won.reindex(reps).fillna(0).to_numpy("float64")
    share = share / share.sum() if share.sum() else np.full(len(reps), 1 / max(len(reps), 1))
    codes = {rep: k for k, rep in enumerate(reps)}
    # Deals that are nobody's stand in a last place of their own, which is not written.
    atoms = np.array([codes.get(rep, len(reps)) for rep in of], dtype="int64")
    whole = made.part.whole().unborn[0]
    unborn = np.array([[whole[0] * part, whole[1], whole[2]] for part in [*share, 0.0]])
    alone = made._replace(part=made.part._replace(atoms=atoms, unborn=unborn))
    draws, _widened = record.draw(alone, found.here.to_dict("records"), n_draws=params.n_draws, seed=params.seed)
    n = len(draws)
    table = pa.table(
        {
            "as_of": pa.array([found.weeks.as_of] * (n * len(reps)), pa.date32()),
            "period": pa.array([found.weeks.target.name] * (n * len(reps))).dictionary_encode(),
            "currency": pa.array([book.currency] * (n * len(reps))).dictionary_encode(),
            "draw": pa.array(np.repeat(np.arange(n), len(reps)), pa.int32()),
            "rep_id": pa.array(reps * n).dictionary_encode(),
            "to_come": pa.array(draws[:, : len(reps)].reshape(-1), pa.float64()),
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def quantiles(found: Forecast, currency: str) -> bytes:
    """One row for each unit, its value, the period and the quantile (0.05 to 0.95; the mean has none). The whole has
    the unit `all`; what the source does not know is null."""
    long = found.quantiles.melt(
        ["unit", "value", "booked"], ["mean", *LEVELS], var_name="quantile", value_name="amount"
    )
    long = long.assign(
        unit=long["unit"].replace("", "all"),
        value=long["value"].replace({"": None, crm.NOT_KNOWN: None}),
        quantile=pd.to_numeric(long["quantile"].replace("mean", np.nan)),
        as_of=found.weeks.as_of, period=found.weeks.target.name, currency=currency,
    )  # fmt: skip
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(long[SCHEMA.names], schema=SCHEMA, preserve_index=False), stream)
    return stream.getvalue()


def workbook(found: Forecast, currency: str) -> bytes:
    """Every open deal with its chance, what it is expected to bring, and why; text is never a formula."""
    stream = io.BytesIO()
    book = sheets.workbook(stream, found.weeks.as_of)
    sheet = book.add_worksheet("deals")
    head = book.add_format({"bold": True, "bottom": 1})
    money, share = book.add_format({"num_format": "#,##0"}), book.add_format({"num_format": "0%"})
    columns = ["deal_id", _("Deal"), _("Account"), _("Rep"), _("Stage"), f"{_('Amount')}, {currency}", _("Won in time"),
               _("Expected"), _("Why")]  # fmt: skip
    for at, name in enumerate(columns):
        sheet.write_string(0, at, name, head)
    for at, row in enumerate(found.deals.to_dict("records"), 1):
        texts = [row["deal_id"], row["name"], row["account"], row["rep"], row["stage_name"]]
        for column, value in enumerate(texts):
            if isinstance(value, str):
                sheet.write_string(at, column, value)
        sheet.write_number(at, 5, row["expected"], money)
        sheet.write_number(at, 6, row["p"], share)
        sheet.write_number(at, 7, row["p"] * row["expected"], money)
        sheet.write_string(at, 8, tables.why(row["why"], found.layout.dimension))
    sheet.freeze_panes(1, 2)
    sheet.autofilter(0, 0, len(found.deals), len(columns) - 1)
    for at, width in enumerate((14, 40, 28, 20, 16, 14, 12, 14, 44)):
        sheet.set_column(at, at, width)
    book.close()
    return stream.getvalue()
