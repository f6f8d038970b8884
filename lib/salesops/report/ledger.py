"""The findings of a month as data: each has an id that next month's finding of the same thing has too.

`findings.parquet` of a period (see `records`) has those that came to the front page or could have, and those of the
period before that are not found any more, with what became of them.
"""

import hashlib
import json
import math
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

from salesops import formats, periods
from salesops.lang import LANGUAGES
from salesops.problems import BadInput
from salesops.report import files, records

FALSE_DISCOVERIES = 0.05  # share of claims of a change on a front page that may be due to chance
MOST_BITS = 10.0  # of surprise; more is as sure as it gets
COUNTED_BITS = 3.0  # of what is counted and not inferred
LONGEST = 24  # periods that are looked back
OPEN, CLOSED = "open", "closed"
UNSEEN = "unseen"  # stood on the front page of the period before; its page was not made in this one
HELD, GONE = "held", "gone"  # what became of a closed one: still found of its month with what is known now, or not
NUMBER = b"salesops.format"  # of the file's format, in its metadata
COLUMNS = ("id", "period", "state", "rank", "analysis", "stem", "lang", "key", "cause", "tone", "headline", "detail",
           "money", "p", "surprise", "verdict")  # fmt: skip


class Row(NamedTuple):
    """One finding of one period. rank : from 1 on the front page, 0 for the others; of an unseen one, the last it had.
    verdict : of a closed one."""

    id: str
    period: str
    state: str
    rank: int
    analysis: str
    stem: str
    lang: str
    key: str
    cause: str
    tone: str
    headline: str
    detail: str
    money: float | None
    p: float | None
    surprise: float
    verdict: str = ""


def identify(params_file: str, region: str, team: str, key: str) -> str:
    """The id of what a finding is about, whatever its numbers and its language."""
    digest = hashlib.sha256("\x1f".join((params_file, region, team, key)).encode()).hexdigest()
    return f"F-{digest[:6]}"


def surprise(p: float | None) -> float:
    """Bits: minus the logarithm (of two) of p."""
    return COUNTED_BITS if p is None else min(MOST_BITS, -math.log2(max(p, 2**-MOST_BITS)))


def candidates(pages: Mapping[str, dict], language: str, period: str) -> list[Row]:
    """The findings of a language's pages that may come to the front, the most important first, one for each cause.

    Claims that something changed or differs are held to one false-discovery rate: the families of claims (of each page)
    are chosen by the smallest p of each, and within a chosen one the level shrinks by the share of families chosen.
    What is left is ranked by money times surprise; what has no amount counts as the lower quartile of those of the
    company's own that have one.

    References
    ----------
    Benjamini, Bogomolov (2014), J. of the Royal Statistical Society B 76, 297-318.
    """
    own = {stem: page for stem, page in pages.items() if page["lang"] == language}
    level = _level(pages)
    rows = []
    for stem, page in own.items():
        told = page["parameters"]
        for found in page["findings"]:
            key, p = found.get("key"), found.get("p")
            if not key or found.get("status") or (p is not None and p > level):
                continue
            id_ = identify(page.get("params_file", ""), told.get("region", ""), told.get("team", ""), key)
            rows.append(Row(id_, period, OPEN, 0, page.get("analysis", ""), stem, language, key,
                            found.get("cause") or key, found["tone"], found["headline"], found["detail"],
                            *_rounded(found.get("money"), p, surprise(p))))  # fmt: skip
    whole = [row for row in rows if not _part(pages[row.stem])]  # of which every language has the same
    amounts = sorted(row.money for row in whole or rows if row.money is not None)
    usual = amounts[len(amounts) // 4] if amounts else 1.0

    def order(row: Row) -> tuple:
        money = usual if row.money is None else row.money
        return -money * row.surprise, row.stem, row.id

    companies = {(pages[row.stem].get("company"), row.cause) for row in rows if not _part(pages[row.stem])}
    kept: dict[tuple, Row] = {}
    for row in sorted(rows, key=order):
        company, part = pages[row.stem].get("company"), _part(pages[row.stem])
        if part and {(company, row.cause), (company, _of_part(row.cause, part))} & companies:
            continue  # a part of what the company's own page says
        kept.setdefault((company, row.cause, *part), row)
    return list(kept.values())


def _rounded(money: float | None, p: float | None, bits: float) -> tuple[float | None, float | None, float]:
    """To the cent and to nine digits: the order in which an engine adds up is no news."""
    return None if money is None else round(money, 2), None if p is None else float(f"{p:.9g}"), round(bits, 6)


def _part(page: dict) -> tuple[str, ...]:
    """The region and team that a page is of; empty of the whole company."""
    told = (page["parameters"].get("region") or "", page["parameters"].get("team") or "")
    return told if any(told) else ()


def _of_part(cause: str, part: tuple[str, ...]) -> str:
    """What the company's page would call the cause of a region's own page."""
    return f"{cause.removesuffix('/all')}/region={part[0]}" if cause.endswith("/all") else cause


def _level(pages: Mapping[str, dict]) -> float:
    """The corrected p up to which a claim may be said, after choosing among the families of all pages; a page in
    several languages is one, so that every language says the same."""
    families: dict[tuple[str, str], float] = {}
    for page in pages.values():
        same = {**page["parameters"], "lang": ""}
        stem = json.dumps([page.get("analysis"), page.get("params_file"), same], sort_keys=True)
        for found in page["findings"]:
            p, family = found.get("p"), found.get("family") or found.get("key") or ""
            if p is not None or found.get("family"):  # one that was tried and has found nothing counts too
                families[stem, family] = min(families.get((stem, family), 1.0), 1.0 if p is None else p)
    smallest = sorted(families.values())
    m = len(smallest)
    chosen = max((k for k, p in enumerate(smallest, 1) if p <= k * FALSE_DISCOVERIES / m), default=0)
    return FALSE_DISCOVERIES * chosen / m if chosen else 0.0


def read(folder: Path) -> list[Row]:
    """The findings of a folder; none where there are none.

    Raises
    ------
    ValueError
        If the file is not whole, or is not as it was written, or a later version wrote it.
    """
    path = records.findings(folder)
    if not path.is_file():
        return []
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        number = int((table.schema.metadata or {}).get(NUMBER, b"1"))
        formats.check(number, formats.FINDINGS, str(path))
        rows = table.select(COLUMNS).cast(_schema()).to_pylist()
    except BadInput:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise ValueError(f"{path}: not as it was written ({type(error).__name__})") from None
    if not all(map(_is_row, rows)):
        raise ValueError(f"{path}: not as it was written (a row that is no finding)")
    return [Row(**one) for one in rows]


def _is_row(row: dict) -> bool:
    """Whether a row can be one of ours: others may have edited the file, and an id becomes part of a page."""
    try:
        periods.parse(row["period"])
    except (TypeError, ValueError):
        return False
    return (
        re.fullmatch(r"F-[0-9a-f]{6}", row["id"] or "") is not None and row["lang"] in LANGUAGES
        and row["state"] in (OPEN, CLOSED, UNSEEN)
    )  # fmt: skip


def _schema():
    import pyarrow as pa

    number = str(formats.FINDINGS).encode()
    kinds = {"rank": pa.int64(), "money": pa.float64(), "p": pa.float64(), "surprise": pa.float64()}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS], metadata={NUMBER: number})


def write(folder: Path, rows: list[Row]) -> None:
    """Keep the findings of a period; nothing is written of a period that has none and had none."""
    path = records.place(folder) / records.FINDINGS
    if not rows and not path.is_file():
        return
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=_schema())
    stream = io.BytesIO()
    pq.write_table(table, stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    _put_aside_what_is_damaged(folder)
    files.write(path, stream.getvalue())


def _put_aside_what_is_damaged(folder: Path) -> None:
    """Findings that cannot be read may be mended by somebody: they stay, under another name."""
    try:
        read(folder)
    except BadInput:
        raise
    except ValueError:
        path = records.findings(folder)
        path.replace(path.with_name(f"{path.stem}.damaged-{files.sha256(path.read_bytes())[:8]}{path.suffix}"))


def earlier(folder: Path) -> list[Path]:
    """The folders of the periods before, the nearest first, as long as they follow on each other."""
    found: list[Path] = []
    try:
        period = periods.parse(folder.name)
    except ValueError:
        return found
    while len(found) < LONGEST:
        period = _before(period)
        path = folder.parent / period.name
        if not records.findings(path).is_file():
            return found
        found.append(path)
    return found


def _before(period: periods.Period) -> periods.Period:
    """The period just before, under the kind of name that its folder has."""
    one = periods.before(period)
    if period.name.count("-") == 1 and "Q" in period.name:
        return periods.quarter_of(one.last_on)
    return one if period.n_months < 12 or ".." in period.name else periods.parse(str(one.first_on.year))


def read_earlier(folder: Path) -> tuple[list[list[Row]], str]:
    """The findings of the periods before, the nearest first, up to one that cannot be read; and the name of that."""
    found: list[list[Row]] = []
    for one in earlier(folder):
        try:
            found.append(read(one))
        except ValueError:
            return found, one.name
    return found, ""


def ages(rows: list[Row], before: list[list[Row]]) -> dict[str, int]:
    """id -> for how many periods in a row, this one included, it has been found, or its page was not made."""
    open_before = [{row.id for row in one if row.state != CLOSED} for one in before]
    found = {}
    for row in rows:
        n = next((k for k, ids in enumerate(open_before) if row.id not in ids), len(open_before))
        found[row.id] = n + 1
    return found


def gone(rows: list[Row], before: list[list[Row]], period: str, languages: set[str], made: Container[str]) -> list[Row]:
    """Those that stood on the front page of the period before and do not any more: closed where they are not found,
    unseen where the page that told them is not among those `made`."""
    here = {(row.id, row.lang) for row in rows}
    left = [row for row in (before[0] if before else [])
            if row.state != CLOSED and row.rank and row.lang in languages
            and (row.id, row.lang) not in here]  # fmt: skip
    shut, unseen = {"state": CLOSED, "rank": 0}, {"state": UNSEEN}
    return [row._replace(period=period, verdict="", **(shut if row.stem in made else unseen)) for row in left]
