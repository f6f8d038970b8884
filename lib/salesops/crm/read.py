"""Read a source through its mapping into checked canonical tables.

A row with a value that is not allowed is refused whole, counted and listed; a source of which more
than `max_refused` would be refused, or whose structure is not as the mapping says, is refused as a
whole with every problem at once. Everything is staged on disk and worked on by the engine, so that memory
does not grow with the source.
"""

import datetime as dt
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesops import periods
from salesops.crm import files, parse, stages
from salesops.crm.files.sink import LISTED
from salesops.crm.mapping import Mapping, TableMap
from salesops.crm.parse import literal, quoted
from salesops.crm.part import GONE, Part, Repair, Typed, wanted
from salesops.crm.tables import ARROW, TABLES
from salesops.problems import BadInput, Problem, listed

MEMORY = "900MB"
DATA = (
    ".csv",
    ".tsv",
    ".txt",
    ".xls",
    ".xlsx",
    ".xlsb",
    ".ods",
    ".json",
    ".jsonl",
    ".parquet",
    ".gz",
    ".zip",
    ".ics",
    ".xes",
)
FRACTION = 10**12  # of a rate; its twelfth decimal is the last one kept
DAY_OF_RATE = {
    "deals": "the day of creation",
    "forecast_calls": "the day of the call",
    "payments": "the day of the payment",
    "purchases": "the day of the purchase",
    "revenue": "the first day of the month",
    "subscriptions": "the first day of the contract",
    "quotas": "the first day of the period",
}


class Read(NamedTuple):
    """What reading gave; the tables themselves stand in the target folder."""

    refused: list[Problem]  # one per refused row or more, of many the first
    n_refused: dict[str, int]  # rows by table
    n_left_out: dict[str, dict[str, int]]  # rows that the mapping left out, by table and why
    repairs: list[Repair]
    notes: list[tuple[str, str, int]]  # file, what was mended or left out on reading it, lines
    written: dict[str, str]  # table.column: how it was decided to be written
    converted: list[list]  # table, currency, rows in it
    n_without_id: int = 0  # refused rows of deals that do not say which deal
    n_without_key: dict[str, int] = {}  # refused rows of dated tables that do not say of whom or what, by table
    stages_derived: bool = False  # from the deals, and not declared


def read(folder: Path, mapping: Mapping, target: Path, known: Sequence[dict] = ()) -> Read:
    """Read every table of the mapping into Parquet files in `target`; dated stages into `stage_dates.parquet`.

    Parameters
    ----------
    known : stages of an earlier export of the same source, in their order; where stages are derived, these stay.

    Raises
    ------
    BadInput
        If a file or column is missing, a file is not readable, a column's way of writing cannot be told, or too many
        rows are refused. Nothing is then in `target`.
    """
    scratch = Path(tempfile.mkdtemp(prefix=".reading-", dir=target))
    try:
        with duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(scratch / "spill")}) as con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute("SET enable_progress_bar = false")
            return _Reader(con, folder, mapping, scratch, target, known).read()
    except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{mapping.title} cannot be read", [f"a number is too large to be added or multiplied: {reason}"]
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def find(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern below a folder, sorted; none outside of it."""
    inside = folder.resolve()
    return sorted(p for p in folder.glob(pattern) if p.is_file() and p.resolve().is_relative_to(inside))


class _Reader:
    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        folder: Path,
        mapping: Mapping,
        scratch: Path,
        target: Path,
        known: Sequence[dict],
    ):
        self.con, self.folder, self.mapping, self.scratch, self.target = con, folder, mapping, scratch, target
        self.known = known
        con.execute(f"CREATE TEMP TABLE {GONE} (deal_id VARCHAR)")
        self.fatal: list[Problem] = []
        self.refused: list[Problem] = []
        self.told: Counter[str] = Counter()  # table -> problems told, also those not listed
        self.n_read: Counter[str] = Counter()
        self.n_refused: Counter[str] = Counter()
        self.n_unread: Counter[str] = Counter()  # table -> rows of its files that cannot be split into fields
        self.stages_derived = False
        self.n_left_out: dict[str, dict[str, int]] = {}
        self.repairs: list[Repair] = []
        self.notes: dict[tuple[str, str], int] = {}
        self.written: dict[str, str] = {}
        self.converted: list[list] = []  # table, currency, rows
        self.steps = 0  # of dropping rows, each a view
        self.unread: list[Problem] = []  # of files that were looked at and cannot be read
        self.staged: dict[tuple, files.Found] = {}
        self.seen: dict[tuple, list[str]] = {}  # headers of files that were looked at
        self.others: dict[str, tuple[str, dict[str, str]]] = {}
        self.views: dict[str, str] = {}  # table -> its view of good rows, with n, file, row

    def read(self) -> Read:
        if not self.mapping.currency:
            self.fatal.append(
                Problem("mapping", None, "currency", "", "the reporting currency, such as USD; say it (--currency)")
            )
        parts = [(name, spec) for name, specs in self.mapping.tables.items() for spec in specs]
        here = [(name, spec) for name, spec in parts if self._paths(spec)]
        self.fatal += [
            Problem(spec.file, None, "", "", f"no such file in {self.folder} (for {name})")
            for name, spec in parts
            if not spec.optional and (name, spec) not in here
        ]
        if not here and not self.fatal:
            self._say_what_is_read(parts)
        self._name_files_not_read(parts)
        self._raise_if_fatal()
        typed: dict[str, list[Typed]] = {}
        for number, (name, spec) in enumerate(here):
            if done := self._part(name, spec, number, [other for _name, other in here]):
                typed.setdefault(name, []).append(done)
        self._raise_if_fatal()
        first = ("rates", "deals")  # what the others need to be converted
        for name in sorted(typed, key=lambda name: first.index(name) if name in first else len(first)):
            self._table(name, typed[name])
        self._stages()
        self._raise_if_fatal()
        if "deals" in self.views:
            self._check_deals()
        if "changes" in self.views:
            self._check_changes()
        of_deals = typed.get("deals", [])
        self._raise_if_unusable(of_deals)
        for name in self.views:
            self._write(name)
        self._write_stage_dates(of_deals)
        return Read(
            self.refused, {name: n for name, n in self.n_refused.items() if n}, self.n_left_out, self.repairs,
            [(file, what, n) for (file, what), n in self.notes.items()], self.written, self.converted,
            self._write_refused("deals", of_deals), self._refused_of_dated(typed), self.stages_derived,
        )  # fmt: skip

    def _paths(self, spec: TableMap) -> list[Path]:
        """The files of a part."""
        paths = find(self.folder, spec.file)
        if not spec.has:
            return paths
        names, how, found = files.Names(spec.has), self._how(spec), []
        told = [one for specs in self.mapping.tables.values() for one in specs]
        every = files.Names(name for one in told for name in one.has)  # they tell the delimiter and the header's line
        for path in paths:
            key = (path, how)
            if key not in self.seen:
                self.seen[key], problem = files.header(path, self.scratch, every, how)
                self.unread += [problem] if problem and problem not in self.unread else []
            here = len(names.found(self.seen[key])) == len(names.named)
            if here and not files.Names(spec.has_not).found(self.seen[key]):
                found.append(path)
        return found

    def _name_files_not_read(self, parts: list[tuple[str, TableMap]]) -> None:
        """A file that looks like data and cannot be read is not passed over; any other that no part takes is named."""
        taken = {path for _name, spec in parts for path in self._paths(spec)}
        unread = {}
        for problem in self.unread:
            unread.setdefault(problem.file, problem)
        for spec in {spec.file: spec for _name, spec in parts if spec.has}.values():
            inside = set(find(self.folder, spec.file))
            for path in sorted(one for one in self.folder.glob(spec.file) if one.is_file()):
                problem = unread.get(path.name)
                if path in taken or path.name.startswith("."):
                    continue
                if path not in inside:
                    self.fatal.append(
                        Problem(path.name, None, "", "", "a file of the folder itself; this link leads out of it")
                    )
                elif problem and path.name.lower().endswith(DATA):
                    self.fatal += [problem] if problem not in self.fatal else []
                else:
                    self.notes[path.name, "not read: it has not the columns of any table of the mapping"] = 1

    def _how(self, spec: TableMap) -> files.How:
        encoding, delimiter = spec.encoding or self.mapping.encoding, spec.delimiter or self.mapping.delimiter
        return files.How(spec.rows, spec.sheet, spec.records, spec.inside, encoding, delimiter)

    def _say_what_is_read(self, parts: list[tuple[str, TableMap]]) -> None:
        """No file fits any part: what there is, and what was looked for."""
        self.fatal += self.unread
        if self.unread:  # which says why
            return
        there = ", ".join(sorted(path.name for path in self.folder.glob("*") if path.is_file())[:20])
        for name, spec in parts:
            columns = f" with the columns {', '.join(spec.has)}" if spec.has else ""
            self.fatal.append(
                Problem(there or str(self.folder), None, "", "", f"a file for {name}: {spec.file}{columns}")
            )

    def _tell(self, name: str, problem: Problem) -> None:
        self.told[name] += 1
        if len(self.refused) < LISTED:
            self.refused.append(problem)

    # parts

    def _stage(self, name: str, spec: TableMap, others: list[TableMap]) -> files.Found:
        """The files of a part as staged text; those that several parts need are read once."""
        how = self._how(spec)
        key = (spec.file, tuple(spec.has), how)
        if key not in self.staged:
            same = [one for one in others if (one.file, one.has) == (spec.file, spec.has) and one is not spec]
            names = wanted(spec, same)
            for one in others:
                for join in one.join:
                    names.named += [name for name in join.on.values() if join.file == spec.file]
                names.named += [c.not_in.column for c in one.only if c.not_in and c.not_in.file == spec.file]
            place = self.scratch / f"staged-{len(self.staged)}"
            before = self.told[name]
            found = files.stage(self._paths(spec), place, names, lambda problem: self._tell(name, problem), how)
            self.n_unread[name] += self.told[name] - before
            self.n_refused[name] += self.told[name] - before
            self.n_read[name] += self.told[name] - before
            self.fatal += found.unreadable
            self.notes |= found.notes
            self.staged[key] = found
        return self.staged[key]

    def _part(self, name: str, spec: TableMap, number: int, others: list[TableMap]) -> Typed | None:
        found = self._stage(name, spec, others)
        if found.unreadable:
            return None
        problems: list[Problem] = []
        part = Part(
            self.con, TABLES[name], spec, self.mapping, found, f"p{number}", lambda p: self._tell(name, p), problems
        )
        try:
            done = part.read(self.scratch / f"part-{number}.parquet", self._elsewhere)
        except duckdb.Error as error:
            if "regular expression" not in str(error) and "invalid perl" not in str(error).lower():
                raise
            problems.append(Problem("mapping", None, f"tables.{name}", "", str(error).splitlines()[0]))
            done = None
        self.fatal = list(dict.fromkeys([*self.fatal, *problems]))
        self.repairs += part.repairs
        self.notes |= part.notes
        self.written |= {
            f"{name}.{column}": _says(how) for column, how in part.decided.items() if column in TABLES[name].names
        }
        if done is None:
            return None
        self.n_read[name] += done.n_read
        self.n_refused[name] += done.n_refused
        for why, n in done.n_left_out.items():
            kept = self.n_left_out.setdefault(name, {})
            kept[why] = kept.get(why, 0) + n
        return done

    def _elsewhere(self, file: str, column: str) -> tuple[str, dict[str, str]]:
        """A view of another file of the source, and its columns by name; blank `column` is all of them. Nothing where
        there is no such file."""
        if (file, column) not in self.others:
            place = self.scratch / f"other-{len(self.others)}"
            paths = find(self.folder, file)
            if not paths:
                return "", {}
            names = files.Names([column] if column else [], [] if column else [".+"])
            how = files.How(encoding=self.mapping.encoding, delimiter=self.mapping.delimiter)
            found = files.stage(paths, place, names, lambda problem: self.fatal.append(problem), how)
            self.fatal += found.unreadable
            if column and not any(column in one.columns for one in found.staged) and found.headers:
                self.fatal.append(Problem(file, 1, column, "", "no such column"))
            every = list(dict.fromkeys(name for one in found.staged for name in one.columns))
            columns = {name: f"c{k}" for k, name in enumerate(every)}
            view = quoted(f"other{len(self.others)}")
            selects = [
                f"SELECT {', '.join(['n', 'file', 'row', *(f'{one.columns.get(name, literal(str()))} AS {c}' for name, c in columns.items())])}"
                f" FROM read_parquet({literal(str(one.path))})"
                for one in found.staged
            ]
            self.con.execute(f"CREATE TEMP VIEW {view} AS {' UNION ALL '.join(selects) or 'SELECT 0 AS n WHERE false'}")
            self.others[file, column] = (view, columns)
        return self.others[file, column]

    # tables

    def _table(self, name: str, done: list[Typed]) -> None:
        """The good rows of all parts as one view, with the keys checked."""
        table = TABLES[name]
        specs = self.mapping.tables[name]
        selects = []
        for number, part in enumerate(done):
            brought = set(part.columns)
            brought |= {"probability"} if part.chances else set()
            columns = [
                f"{quoted(c.stored)}"
                if c.name in brought
                else f"NULL::{parse.SQL_TYPES[ARROW[c.kind]]} AS {quoted(c.stored)}"
                for c in table.columns
            ]
            selects.append(
                f"SELECT {number} AS part, n, file, row, {', '.join(columns)} FROM read_parquet({literal(str(part.path))}) WHERE bad = 0"
            )
        blanks = [f"coalesce({c.stored}, {literal(c.blank)}) AS {c.stored}" for c in table.columns if c.blank]
        meant = f" REPLACE ({', '.join(blanks)})" if blanks else ""
        view = self._view(name, "rows", f"SELECT *{meant} FROM ({' UNION ALL '.join(selects)})")
        if any(part.chances for part in done):
            most = f"(SELECT max(probability) FROM {view})"  # 60 or 0.6: the whole column tells
            share = f"CASE WHEN {most} > 1 THEN probability / 100 ELSE probability END"
            share = f"CASE WHEN {share} BETWEEN 0 AND 1 THEN {share} END"
            view = self._view(name, "chances", f"SELECT * REPLACE ({share} AS probability) FROM {view}")
        if name == "rates":
            view = self._drop(name, view, "rate <= 0", "rate", "rate", "a number above zero")
            view = self._drop(name, view, "per <= 0", "per", "per", "a number above zero")
        elif "currency" in table.names:
            view = self._in_one_currency(name, view)
        brought = {column for part in done for column in part.columns}
        key = [column for column in table.key if column in brought]
        if any(spec.sum for spec in specs):
            view = self._summed(name, view)
        elif any(spec.repeats for spec in specs):
            view = self._once(name, view)
        self.views[name] = view
        if name == "lines":
            self._convert_lines()
        if name != "deals":
            self._before_export(name)
        if key and set(key) & {column for part in done for column in part.columns if column in part.sources}:
            keys = ", ".join(quoted(table[column].stored) for column in key)
            self._refuse_two_files(name, keys)
            found = self._view(
                name,
                "numbered",
                f"SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY part, n) AS nth FROM {self.views[name]}",
            )
            self.views[name] = self._drop(
                name,
                found,
                "nth > 1",
                table[key[0]].stored,
                key[0],
                "each key once; it stood in a row before",
                and_then="EXCLUDE (nth)",
            )
        if table.is_dated and {"valid_from", "valid_to"} & brought:
            self._check_spans(name)

    def _check_spans(self, name: str) -> None:
        """Spans of days that end before they begin, or overlap, are refused: which row holds on a day could not be told.

        A rep's row without a last day is not: it ends where the next one begins, as lists of positions are written.
        """
        says = "a day not before valid_from, the first one of the row"
        view = self._drop(name, self.views[name], "valid_to < valid_from", "valid_to", "valid_to", says)
        subject = [quoted(column) for column in TABLES[name].subject]
        last = "valid_to" if name == "reps" else "coalesce(valid_to, DATE '9999-12-31')"
        before = f"PARTITION BY {', '.join(subject)} ORDER BY valid_from NULLS FIRST, part, n"
        before += " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
        view = self._view(name, "spans", f"SELECT *, max({last}) OVER ({before}) AS earlier_to FROM {view}")
        says = f"a day after the last one (valid_to) of the row before it of the same {', '.join(TABLES[name].subject)}"
        bad, column = "coalesce(valid_from, DATE '0001-01-01') <= earlier_to", "valid_from"
        self.views[name] = self._drop(name, view, bad, column, column, says, and_then="EXCLUDE (earlier_to)")

    # money

    def _in_one_currency(self, name: str, view: str) -> str:
        """The rows with their amounts in the reporting currency: by the rate of their day, where there are rates.

        Adds `times` and `per`, which are missing where nothing was converted.
        """
        own = literal(self.mapping.currency)
        view = self._view(name, "coded", f"SELECT * REPLACE (upper(currency) AS currency) FROM {view}")
        foreign = f"currency <> {own}"
        if "rates" not in self.views or any(spec.sum for spec in self.mapping.tables[name]):
            says = f"the reporting currency {self.mapping.currency}"
            says += "" if "rates" in self.views else ", or rates of others (--rates)"
            return self._drop(name, view, foreign, "currency", "currency", says)
        if self.mapping.minor_digits == 0:
            says = [f"{self.mapping.currency} has no minor units, in which other currencies could be kept exactly"]
            raise BadInput("rates cannot be used", says)
        rates = (
            f"SELECT upper(currency) AS of, rate_on, CAST(round(rate * {FRACTION}) AS HUGEINT) AS times,"
            f" CAST(round(coalesce(per, 1) * {FRACTION}) AS HUGEINT) AS per FROM {self.views['rates']} WHERE rate > 0 AND coalesce(per, 1) > 0"
        )
        on = self._view(name, "on", f"SELECT *, {self._day_of_rate(name)} AS day_of_rate FROM {view}")
        joined = f"SELECT t.*, r.times, r.per FROM {on} t ASOF LEFT JOIN ({rates}) r ON r.of = t.currency AND t.day_of_rate >= r.rate_on"
        view = self._view(
            name, "rated", f"SELECT * REPLACE (CASE WHEN {foreign} THEN times END AS times) FROM ({joined})"
        )
        money = [quoted(column.stored) for column in TABLES[name].columns if column.kind == "money"]
        some = " OR ".join(f"{column} IS NOT NULL" for column in money)
        # What is logged of a deal, and its lines, are in its currency: without a rate it cannot stay.
        missing = f"{foreign} AND times IS NULL" + ("" if name == "deals" else f" AND ({some})")
        known = self.con.execute(
            f"SELECT currency, min(rate_on) FROM {self.views['rates']} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        first = ", ".join(f"{currency} from {day}" for currency, day in known) or "none"
        says = f"a currency with a rate on {DAY_OF_RATE[name]} or before; rates: {first}"
        view = self._drop(name, view, missing, "currency", "currency", says)
        counted = f"SELECT currency, count(*) FROM {view} WHERE {foreign} AND ({some}) GROUP BY 1 ORDER BY 1"
        for currency, n in self.con.execute(counted).fetchall():
            self.converted.append([name, currency, n])
        values = ", ".join(f"{converted(column)} AS {column}" for column in money)
        return self._view(
            name, "converted", f"SELECT * EXCLUDE (day_of_rate) REPLACE ({values}, {own} AS currency) FROM {view}"
        )

    def _day_of_rate(self, name: str) -> str:
        """The day whose rate a row is converted at: one that does not change later, so that no page of the past does."""
        zone = literal(self.mapping.days_of)
        match name:
            case "deals":
                moment = "created_at"
            case "forecast_calls":
                moment = "called_at"
            case "payments":
                moment = "paid_at"
            case "purchases":
                moment = "bought_at"
            case "revenue":
                return "month_on"
            case "subscriptions":
                return "started_on"
            case "quotas":
                return parse.period_begins("period")
        return f"CAST({moment} AT TIME ZONE 'UTC' AT TIME ZONE {zone} AS DATE)"

    def _convert_lines(self) -> None:
        """Lines are in the currency of their deal."""
        if "rates" in self.views and "deals" in self.views:
            money = [quoted(column.stored) for column in TABLES["lines"].columns if column.kind == "money"]
            values = ", ".join(f"{converted(column)} AS {column}" for column in money)
            joined = f"SELECT l.*, d.times, d.per FROM {self.views['lines']} l LEFT JOIN {self.views['deals']} d ON d.deal_id = l.deal_id"
            if n := self.con.execute(f"SELECT count(*) FROM ({joined}) WHERE times IS NOT NULL").fetchone()[0]:
                self.converted.append(["lines", "others", n])
            self.views["lines"] = self._view(
                "lines", "converted", f"SELECT * EXCLUDE (times, per) REPLACE ({values}) FROM ({joined})"
            )

    def _refuse_two_files(self, name: str, keys: str) -> None:
        """Which of two files is right about a key cannot be told."""
        found = self.con.execute(
            f"SELECT min(file), max(file), any_value(row ORDER BY part, n DESC), any_value(({keys})::VARCHAR ORDER BY part, n)"
            f" FROM {self.views[name]} GROUP BY {keys} HAVING min(file) <> max(file) ORDER BY 1, 2 LIMIT 1"
        ).fetchall()
        for first, second, row, key in found:
            self.fatal.append(
                Problem(second, row, TABLES[name].key[0], key, f"each key in one file; {first} has it too")
            )

    def _view(self, name: str, step: str, sql: str) -> str:
        view = quoted(f"{name}_{step}")
        self.con.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {sql}")
        return view

    def _summed(self, name: str, view: str) -> str:
        """Rows of one key added up; money is rounded once, after adding."""
        table = TABLES[name]
        keys = [quoted(table[column].stored) for column in table.key]
        values = []
        for column in table.columns:
            if column.name in table.key:
                continue
            stored = quoted(column.stored)
            if column.kind == "money":
                values.append(f"{parse.minor(f'sum({stored})', self.mapping.minor_digits)} AS {stored}")
            elif column.kind == "number":
                values.append(f"sum({stored}) AS {stored}")
            else:
                values.append(f"any_value({stored} ORDER BY part, n) AS {stored}")
        firsts = "min(part) AS part, min(n) AS n, arg_min(file, n) AS file, min(row) AS row"
        place = self.scratch / f"{name}-summed.parquet"
        self.con.execute(
            f"COPY (SELECT {firsts}, {', '.join([*keys, *values])} FROM {view} GROUP BY {', '.join(keys)} ORDER BY part, n)"
            f" TO {literal(str(place))} (FORMAT parquet)"
        )
        n_before = self.con.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
        view = self._view(name, "summed", f"SELECT * FROM read_parquet({literal(str(place))})")
        n_after = self.con.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
        self._left_out(name, "added up with others of the same key", n_before - n_after)
        return view

    def _once(self, name: str, view: str) -> str:
        """Rows that say the same are one row."""
        columns = ", ".join(quoted(column.stored) for column in TABLES[name].columns)
        n_twice = self.con.execute(
            f"SELECT count(*) - count(DISTINCT ({columns})) FROM {view}"
        ).fetchone()[0]  # fmt: skip
        self._left_out(name, "repeated", n_twice)
        return self._view(
            name,
            "once",
            f"SELECT * FROM {view} QUALIFY row_number() OVER (PARTITION BY {columns} ORDER BY part, n) = 1",
        )

    def _left_out(self, name: str, why: str, n: int) -> None:
        if n:
            self.n_left_out.setdefault(name, {})[why] = n

    def _before_export(self, name: str) -> None:
        """What happened after the day of the export did not happen."""
        if not (day := self.mapping.exported_on):
            return
        end = periods.end_of(dt.date.fromisoformat(day), self.mapping.days_of)
        for column in TABLES[name].columns:
            late = f"{quoted(column.stored)} >= TIMESTAMP '{end}'"
            if name == "activities" and column.name == "started_at":  # calendars hold plans too
                n = self.con.execute(f"SELECT count(*) FROM {self.views[name]} WHERE {late}").fetchone()[0]
                self._left_out(name, "planned", n)
                self.views[name] = self._view(
                    name, "held", f"SELECT * FROM {self.views[name]} WHERE NOT coalesce({late}, false)"
                )
            elif column.kind == "moment":
                self.views[name] = self._drop(
                    name, self.views[name], late, column.stored, column.name, f"not after the export on {day}"
                )

    def _drop(
        self, name: str, view: str, bad: str, shown: str, column: str, allowed: str, *, and_then: str = ""
    ) -> str:
        """Refuse the rows of a view for which `bad` holds; the view of the others."""
        bad = f"coalesce({bad}, false)"
        count = self.con.execute(f"SELECT count(*) FROM {view} WHERE {bad}").fetchone()[0]
        if count:
            rows = self.con.execute(
                f"SELECT file, row, CAST({quoted(shown)} AS VARCHAR) FROM {view} WHERE {bad} ORDER BY part, n LIMIT {LISTED}"
            ).fetchall()
            for file, row, value in rows:
                self._tell(name, Problem(file, row, column, value or "", allowed))
            self.n_refused[name] += count
        if not count and not and_then:
            return view
        self.steps += 1
        return self._view(name, f"kept{self.steps}", f"SELECT * {and_then} FROM {view} WHERE NOT {bad}")

    # what holds between tables

    def _stages(self) -> None:
        """The stages as a table of the engine: declared, from the source's own table, or derived."""
        if self.mapping.stages:
            rows = self._in_every_pipeline([stage.model_dump() for stage in self.mapping.stages])
        elif "stages" in self.views:
            rows = None
        elif "deals" in self.views:
            deals, changes = self.views["deals"], self.views.get("changes")
            rows = stages.derive(self.con, self.mapping, deals, changes, self.known, self.fatal)
            self.stages_derived = True
        else:
            return
        if rows is not None and (problem := stages.too_many(Counter(row["pipeline"] for row in rows))):
            self.fatal.append(problem)
            self._raise_if_fatal()
        if rows is not None:
            positions: Counter[str] = Counter()
            for row in rows:
                positions[row["pipeline"]] += 1
                row["position"] = positions[row["pipeline"]]
            path = self.scratch / "declared.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["stages"].schema), path)
            source = f"SELECT 0 AS part, 0 AS n, 'mapping' AS file, 0 AS row, * FROM read_parquet({literal(str(path))})"
            self.views["stages"] = self._view("stages", "declared", source)
        view = f"SELECT * REPLACE (coalesce(pipeline, '') AS pipeline) FROM {self.views['stages']}"
        self.views["stages"] = self._view("stages", "piped", view)
        self.con.execute(f"CREATE TEMP TABLE declared AS SELECT pipeline, stage, kind FROM {self.views['stages']}")

    def _in_every_pipeline(self, rows: list[dict]) -> list[dict]:
        """Stages that are declared for no pipeline are those of each that the deals have."""
        if "deals" not in self.views or any(row["pipeline"] for row in rows):
            return rows
        found = self.con.execute(
            f"SELECT DISTINCT coalesce(pipeline, '') FROM ({self._pipelines()}) ORDER BY 1"
        ).fetchall()
        return [{**row, "pipeline": pipeline} for (pipeline,) in found for row in rows] or rows

    def _pipelines(self) -> str:
        """Those that deals are in, and were in by their log."""
        pipelines = f"SELECT pipeline FROM {self.views['deals']}"
        if "changes" in self.views:
            both = f"SELECT unnest([old_value, new_value]) FROM {self.views['changes']} WHERE field = 'pipeline'"
            pipelines += f" UNION ALL {both}"
        return pipelines

    def _check_deals(self) -> None:
        """Their stages are declared, their currency is the reporting one, and only closed ones have been closed."""
        view = self._view(
            "deals", "piped", f"SELECT * REPLACE (coalesce(pipeline, '') AS pipeline) FROM {self.views['deals']}"
        )
        strange = f"stage IS NOT NULL AND {_not_among('stage')}"
        view = self._drop("deals", view, strange, "stage", "stage", f"a stage of its pipeline: {self._names()}")
        self.views["deals"] = view
        ended = _not_among("stage", "WHERE kind = 'open'")  # whose closing day is a plan
        closed = f"CASE WHEN {ended} THEN {self._not_before_created('closed_at', 'created_at')} END AS closed_at"
        self.views["deals"] = self._view("deals", "closed", f"SELECT * REPLACE ({closed}) FROM {self.views['deals']}")
        self._no_plans()
        self._before_export("deals")
        rate = "times, per" if "rates" in self.views else "NULL AS times, NULL AS per"
        self.con.execute(f"CREATE TEMP TABLE known AS SELECT deal_id, pipeline, {rate} FROM {self.views['deals']}")

    def _names(self) -> str:
        """The declared stages, for a message."""
        return listed(dict.fromkeys(one[0] for one in self.con.execute("SELECT stage FROM declared").fetchall()))

    def _not_before_created(self, moment: str, created: str) -> str:
        """A closing without a clock, on the day of creation, is not before it."""
        local, made = (
            f"({one} AT TIME ZONE 'UTC' AT TIME ZONE {literal(self.mapping.days_of)})" for one in (moment, created)
        )
        same = f"{local} = date_trunc('day', {local}) AND {local} = date_trunc('day', {made})"
        return f"CASE WHEN {moment} < {created} AND {same} THEN {created} ELSE {moment} END"

    def _no_plans(self) -> None:
        """A last activity after the export is a planned one: not known is when the last one was."""
        if not (day := self.mapping.exported_on):
            return
        end = periods.end_of(dt.date.fromisoformat(day), self.mapping.days_of)
        late = f"last_activity_at >= TIMESTAMP '{end}'"
        n = self.con.execute(f"SELECT count(*) FROM {self.views['deals']} WHERE {late}").fetchone()[0]
        if n:
            self.repairs.append(Repair("deals", "last_activity_at", f"after {day}", "", n))
            blank = f"CASE WHEN {late} THEN NULL ELSE last_activity_at END AS last_activity_at"
            self.views["deals"] = self._view(
                "deals", "no_plans", f"SELECT * REPLACE ({blank}) FROM {self.views['deals']}"
            )

    def _check_changes(self) -> None:
        """They belong to a deal, and their stages are declared."""
        if "deals" not in self.views:
            return
        orphan = "deal_id NOT IN (SELECT deal_id FROM known)"
        theirs = f"{orphan} AND deal_id IN (SELECT deal_id FROM {GONE})"
        view = self.views["changes"]
        if n := self.con.execute(f"SELECT count(*) FROM {view} WHERE {theirs}").fetchone()[0]:
            self._left_out("changes", "of deals that were left out", n)
            view = self._view("changes", "theirs", f"SELECT * FROM {view} WHERE NOT ({theirs})")
        view = self._drop("changes", view, orphan, "deal_id", "deal_id", "the id of a deal that was read")
        view = self._view(
            "changes", "piped", f"SELECT c.*, k.pipeline, k.times, k.per FROM {view} c JOIN known k USING (deal_id)"
        )
        self._note_pipelines(view)
        for side in ("old_value", "new_value"):
            strange = f"field = 'stage' AND {side} IS NOT NULL AND {_not_among(side)}"
            strange += f" AND deal_id || chr(31) || {side} NOT IN (SELECT deal_id || chr(31) || stage FROM passed)"
            view = self._drop("changes", view, strange, side, side, f"a stage of its pipeline: {self._names()}")
        if "rates" in self.views:  # a logged amount is in the currency of its deal
            logged = ", ".join(
                f"CASE WHEN field = 'amount' AND times IS NOT NULL THEN CAST({converted(f'TRY_CAST({side} AS BIGINT)')} AS VARCHAR)"
                f" ELSE {side} END AS {side}"
                for side in ("old_value", "new_value")
            )
            view = self._view("changes", "converted", f"SELECT * REPLACE ({logged}) FROM {view}")
        self.views["changes"] = view

    def _note_pipelines(self, changes: str) -> None:
        """The stages of the pipelines that deals were in before, by their log, as the engine's table `passed`."""
        was = f"SELECT deal_id, unnest([old_value, new_value]) AS pipeline FROM {changes} WHERE field = 'pipeline'"
        self.con.execute(
            f"CREATE TEMP TABLE passed AS SELECT DISTINCT w.deal_id, d.stage FROM ({was}) w"
            " JOIN declared d ON d.pipeline = coalesce(w.pipeline, '')"
        )

    def _raise_if_fatal(self) -> None:
        if self.fatal:
            raise BadInput(f"{self.mapping.title} cannot be read", self.fatal)

    def _raise_if_unusable(self, of_deals: Sequence[Typed]) -> None:
        n_refused = {name: n for name, n in self.n_refused.items() if n}
        over = [name for name, n in n_refused.items() if n > self.mapping.max_refused * self.n_read[name]]
        if over:
            share = f"{self.mapping.max_refused:.0%} of a table's rows may be refused"
            counts = "; ".join(f"{name}: {n} of {self.n_read[name]} rows" for name, n in n_refused.items())
            raise BadInput(f"{self.mapping.title} is refused ({counts}; {share})", self.refused)
        self._raise_if_open_deals_lack(of_deals)
        names = [name for name in self.views if name not in ("stages", "rates")]
        if not any(self.con.execute(f"SELECT 1 FROM {self.views[name]} LIMIT 1").fetchall() for name in names):
            file = ", ".join([file for found in self.staged.values() for file in found.headers][:3])
            raise BadInput(f"{self.mapping.title} is refused", [Problem(file, None, "", "", f"no {names[0]} in it")])

    def _raise_if_open_deals_lack(self, of_deals: Sequence[Typed]) -> None:
        """Years of closed deals must not hide that of the open ones too many are refused.

        A refused row counts as an open deal's unless it says a stage that is won or lost.
        """
        if not self.n_refused["deals"] or "deals" not in self.views:
            return
        kind = f"FROM {self.views['deals']} d JOIN declared s ON s.stage = d.stage AND s.pipeline = d.pipeline"
        n_open = self.con.execute(f"SELECT count(*) {kind} WHERE s.kind = 'open'").fetchone()[0]
        shut = "stage IN (SELECT stage FROM declared GROUP BY stage HAVING bool_and(kind <> 'open'))"
        lacking = f"SELECT count(*) FILTER (NOT coalesce({shut}, false)) FROM ({self._refused_rows(of_deals)})"
        n_lacking = self.con.execute(lacking).fetchone()[0] + self.n_unread["deals"]
        if n_lacking > max(1, self.mapping.max_refused * (n_open + n_lacking)):
            share = f"{self.mapping.max_refused:.0%} of the open deals may be refused"
            counts = f"open deals: {n_lacking:,} of {n_open + n_lacking:,} rows"
            raise BadInput(f"{self.mapping.title} is refused ({counts}; {share})", self.refused)

    def _refused_rows(self, of_deals: Sequence[Typed]) -> str:
        """Deal and stage of the rows of deals that were read and refused."""
        selects = []
        for part in of_deals:
            columns = [name if name in part.columns else f"NULL::VARCHAR AS {name}" for name in ("deal_id", "stage")]
            selects.append(f"SELECT {', '.join(columns)} FROM read_parquet({literal(str(part.path))})")
        rows = " UNION ALL ".join(selects) or "SELECT NULL::VARCHAR AS deal_id, NULL::VARCHAR AS stage WHERE false"
        return f"SELECT * FROM ({rows}) WHERE deal_id IS NULL OR deal_id NOT IN (SELECT deal_id FROM {self.views['deals']})"

    def _refused_ids(self, name: str, parts: Sequence[Typed]) -> str:
        """The first column of the key of the rows of a table that were read and refused."""
        table = TABLES[name]
        first, selects = table.key[0], []
        for part in parts:
            key = [column if column in part.columns else f"NULL::VARCHAR AS {column}" for column in table.key]
            selects.append(f"SELECT {', '.join(key)} FROM read_parquet({literal(str(part.path))})")
        key = " || chr(31) || ".join(
            f"coalesce(CAST({column} AS VARCHAR), {literal(table[column].blank)})" for column in table.key
        )
        rows = f"SELECT {first}, {key} AS key FROM ({' UNION ALL '.join(selects)})"
        return (
            f"SELECT {first} FROM ({rows}) WHERE {first} IS NULL OR key NOT IN (SELECT {key} FROM {self.views[name]})"
        )

    # out

    def _write_refused(self, name: str, parts: Sequence[Typed]) -> int:
        """The ids of the deals or people whose rows of a table were refused, into a file if there are any; and how many
        rows say no id."""
        if not self.n_refused[name] or name not in self.views:
            return 0
        path = self.target / f"refused_{name}.parquet"
        first, rows = TABLES[name].key[0], self._refused_ids(name, parts)
        ids = f"SELECT DISTINCT {first} FROM ({rows}) WHERE {first} IS NOT NULL ORDER BY 1"
        self.con.execute(f"COPY ({ids}) TO {literal(str(path))} (FORMAT parquet)")
        without = self.con.execute(f"SELECT count(*) FROM ({rows}) WHERE {first} IS NULL").fetchone()[0]
        return without + self.n_unread[name]

    def _refused_of_dated(self, typed: dict[str, list[Typed]]) -> dict[str, int]:
        """`_write_refused` of each dated table that has any rows refused."""
        counts = {name: self._write_refused(name, parts) for name, parts in typed.items() if TABLES[name].is_dated}
        return {name: n for name, n in counts.items() if n}

    def _write(self, name: str) -> None:
        columns = ", ".join(quoted(column.stored) for column in TABLES[name].columns)
        order = "part, n"
        if name == "changes" and self._newest_first():
            order = "part DESC, n DESC"
        path = self.target / f"{name}.parquet"
        self.con.execute(
            f"COPY (SELECT {columns} FROM {self.views[name]} ORDER BY {order}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )

    def _newest_first(self) -> bool:
        """Systems that list the newest change first do so within one moment too."""
        steps = (
            f"SELECT changed_at - lag(changed_at) OVER (ORDER BY part, n) AS step, deal_id = lag(deal_id) OVER (ORDER BY part, n) AS same"
            f" FROM {self.views['changes']}"
        )
        back, on = self.con.execute(
            f"SELECT count(*) FILTER (step < INTERVAL 0 SECOND), count(*) FILTER (step > INTERVAL 0 SECOND) FROM ({steps}) WHERE same"
        ).fetchone()
        return back > on

    def _write_stage_dates(self, parts: list[Typed]) -> None:
        """When each deal entered a stage; a closing stage only if the deal is in it."""
        if "deals" not in self.views:
            return
        selects = []
        for number, part in enumerate(parts):
            for k, stage in enumerate(part.stages):
                selects.append(
                    f"SELECT d.deal_id, s.stage, {self._not_before_created(f'p.s{k}', 'd.created_at')} AS entered_at FROM read_parquet({literal(str(part.path))}) p"
                    f" JOIN {self.views['deals']} d ON d.part = {number} AND d.n = p.n"
                    f" JOIN declared s ON lower(s.stage) = lower({literal(stage)}) AND s.pipeline = d.pipeline"
                    f" WHERE p.s{k} IS NOT NULL AND (s.kind = 'open' OR d.stage = s.stage)"
                )
        if selects:
            path = self.target / "stage_dates.parquet"
            self.con.execute(
                f"COPY ({' UNION ALL '.join(selects)} ORDER BY deal_id, entered_at, stage) TO {literal(str(path))} (FORMAT parquet)"
            )
            if not pq.read_metadata(path).num_rows:
                path.unlink()


def _not_among(stage: str, where: str = "") -> str:
    """SQL: whether a stage of a pipeline is not declared. One text for both: of pairs, the engine would compare each with
    each."""
    key = "pipeline || chr(31) || {}"
    return f"({key.format(stage)}) NOT IN (SELECT {key.format('stage')} FROM declared {where})"


def converted(amount: str) -> str:
    """An amount of minor units times `times` over `per`, exactly, rounded half to even; as it is where nothing is said."""
    exact = f"(abs(CAST({amount} AS HUGEINT)) * times)"
    whole, rest = f"({exact} // per)", f"(2 * ({exact} % per))"
    up = f"CASE WHEN {rest} > per OR ({rest} = per AND {whole} % 2 <> 0) THEN 1 ELSE 0 END"
    return f"CASE WHEN times IS NULL THEN {amount} ELSE CAST(sign({amount}) * ({whole} + {up}) AS BIGINT) END"


def _says(how) -> str:
    """How a column is written, for people: its marks, or its family and order."""
    told = {name: value for name, value in how._asdict().items() if isinstance(value, str)}
    return ", ".join(f"{name} {value or 'none'}" for name, value in told.items() if value or name == "thousands")


def refused_frame(refused: list[Problem]) -> pd.DataFrame:
    """The refused rows as a table: file, row, column, value, allowed."""
    return pd.DataFrame(refused, columns=["file", "row", "column", "value", "allowed"])
