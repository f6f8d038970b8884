"""The change log as an event log for process-mining tools: XES (IEEE 1849) or CSV, one case per deal."""

import csv
import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

import ibis
from ibis import _

from salesops import crm, plaintext
from salesops.crm import owners
from salesops.problems import BadInput

CASE = ("name", "pipeline", "status", "segment", "region", "source", "product", "deal_type")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
CONTROL = {code: None for code in range(32) if code not in (9, 10, 13)} | {0xFFFE: None, 0xFFFF: None}


def write_events(book: crm.Book, to: Path, *, pipeline: str = "") -> int:
    """Write every entry of a deal into a stage as an event; the format is the file's ending.

    Parameters
    ----------
    to : ends in .xes, .xes.gz, .csv or .csv.gz; an earlier file of the name is replaced once the new one is whole.
    pipeline : only this one; blank is all.

    Returns
    -------
    int
        How many events were written.

    Raises
    ------
    BadInput
        If the ending is another.
    ValueError
        If the pipeline is not in the book.
    """
    names = to.name.removesuffix(".gz")
    if not names.endswith((".xes", ".csv")):
        raise BadInput(
            "no events were written", [f"{to.name}: write a name that ends in .xes, .xes.gz, .csv or .csv.gz"]
        )
    events = _events(book, pipeline)
    write = _write_xes if names.endswith(".xes") else _write_csv
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}-")
    try:
        with os.fdopen(handle, "wb") as raw:
            # The same book gives the same bytes: no name and no clock in the archive.
            stream = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) if to.suffix == ".gz" else raw
            n = write(stream, events, book)
            if stream is not raw:
                stream.close()
        Path(draft).replace(to)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return n


def _events(book: crm.Book, pipeline: str) -> ibis.Table:
    deals = book.deals
    if pipeline:
        crm.find_pipeline(book, pipeline)
        deals = deals.filter(_.pipeline == pipeline)
    case = deals.select("deal_id", "amount_minor", "currency", **{f"case_{name}": deals[name] for name in CASE})
    visits = book.visits.filter(_.entered_at.notnull(), _.stage.notnull())
    visits = visits.select("deal_id", "seq", "stage", "entry_kind", "entered_at")
    visits = crm.with_owner(book, visits, "entered_at").drop(*owners.ASSIGNED)  # who moved it is who had it then
    return visits.join(case, "deal_id").order_by("deal_id", "seq")


def _rows(events: ibis.Table) -> Iterator[dict]:
    for batch in events.to_pyarrow_batches(chunk_size=50_000):
        yield from batch.to_pylist()


def _amount(row: dict, book: crm.Book) -> str | None:
    return (
        None
        if row["amount_minor"] is None
        else f"{row['amount_minor'] / book.minor_units:.{book.about['minor_digits']}f}"
    )


def _write_csv(stream, events: ibis.Table, book: crm.Book) -> int:
    """case_id, activity, timestamp (UTC), entry, resource, amount, currency and the deal's own columns."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    out, n = csv.writer(text), 0
    out.writerow(["case_id", "activity", "timestamp", "entry", "resource", "amount", "currency", *CASE])
    for row in _rows(events):
        cells = [
            row["deal_id"],
            row["stage"],
            f"{row['entered_at'].isoformat()}Z",
            row["entry_kind"],
            row["rep_id"],
            _amount(row, book),
            row["currency"] or book.currency,
            *(row[f"case_{name}"] for name in CASE),
        ]
        out.writerow([_harmless(cell) if k != 5 else cell for k, cell in enumerate(cells)])
        n += 1
    text.flush()
    text.detach()
    return n


def _harmless(cell: str | None) -> str | None:
    """Text that a spreadsheet would take for a formula begins with an apostrophe; nothing in it is hidden."""
    clean = plaintext.clean(cell) if cell else cell
    return f"'{clean}" if clean and clean.strip().startswith(FORMULA) else clean


def _write_xes(stream, events: ibis.Table, book: crm.Book) -> int:
    def put(line: str) -> None:
        stream.write(line.encode("utf-8"))

    put('<?xml version="1.0" encoding="UTF-8"?>\n<log xes.version="1849-2016" xes.features="">\n')
    for name, prefix in (("Concept", "concept"), ("Time", "time"), ("Organizational", "org")):
        put(f'<extension name="{name}" prefix="{prefix}" uri="http://www.xes-standard.org/{prefix}.xesext"/>\n')
    put(f'<classifier name="Activity" keys="concept:name"/>\n<string key="concept:name" value={_q(book.title)}/>\n')
    n, case = 0, None
    for row in _rows(events):
        if row["deal_id"] != case:
            put("</trace>\n" if case is not None else "")
            case = row["deal_id"]
            put(f'<trace>\n<string key="concept:name" value={_q(case)}/>\n')
            for name in CASE:
                value = row[f"case_{name}"]
                put(f'<string key="{name}" value={_q(value)}/>\n' if value is not None else "")
            if row["amount_minor"] is not None:
                put(f'<float key="amount" value="{_amount(row, book)}"/>\n')
            put(f'<string key="currency" value={_q(row["currency"] or book.currency)}/>\n')
        put(f'<event><string key="concept:name" value={_q(row["stage"])}/>')
        put(f'<date key="time:timestamp" value="{row["entered_at"].isoformat()}+00:00"/>')
        put(f'<string key="entry" value={_q(row["entry_kind"])}/>')
        put(f'<string key="org:resource" value={_q(row["rep_id"])}/>' if row["rep_id"] is not None else "")
        put("</event>\n")
        n += 1
    put("</trace>\n" if case is not None else "")
    put("</log>\n")
    return n


def _q(text: str) -> str:
    """A quoted attribute: markup escaped, characters that no XML may hold left out."""
    return quoteattr(str(text).translate(CONTROL))
