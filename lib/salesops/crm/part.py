"""One table of a mapping from staged text to typed rows, inside the engine, so that its size does not matter.

Views follow each other: `raw` (the columns of the files), `text` (those of the canonical table), `mended`, `typed`.
How each column is written is decided over the whole of `mended`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb

from salesops.crm import evidence, parse
from salesops.crm.evidence import Dates, Doubt, Mask, Numbers
from salesops.crm.files import Found
from salesops.crm.files.sink import LISTED, Names
from salesops.crm.mapping import Mapping, Product, TableMap
from salesops.crm.parse import literal, quoted
from salesops.crm.tables import Column, Table
from salesops.problems import Problem, listed

GONE = "gone"  # the engine's table of the ids of deals that a mapping leaves out
MOST_UNPIVOTED = 2000  # columns that are really rows
MASKS = 2000  # ways of writing that are looked at in a column
TIMES = " × "
PERCENT = ("number", "share")  # kinds that may be written in percent
LOST_RANGE = r"(?i)(\d{1,2}-)?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(-\d{1,2})?"
CUT_ID = r"\d(?:[.,]\d+)?[eE]\+\d+"
SIDES = ("old_value", "new_value")
FIRST_TWO = (r"^(\d{1,2})\D", r"^\d{1,2}\D(\d{1,2})\D")
ERRORS = ("#REF!", "#N/A", "#DIV/0!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!")
YES = ("true", "yes", "y", "1", "t", "x", "да", "истина", "ja", "oui", "sí", "si", "sim", "wahr", "vrai", "verdadero")
LOGGED = {"amount": "money", "expected_close_on": "day"}  # fields whose logged values are typed


class Repair(NamedTuple):
    table: str
    column: str
    came: str
    became: str
    n_rows: int


class Typed(NamedTuple):
    """A part as typed rows: `n`, `file`, `row`, its canonical columns as stored, and `s0, s1, ...` of dated stages."""

    path: Path
    columns: tuple[str, ...]  # canonical names that the part brings
    sources: dict[str, str]  # canonical name -> what the file calls it
    stages: list[str]  # of s0, s1, ...
    chances: bool  # whether it has a column `probability`, of which the order of stages may be told
    n_read: int
    n_left_out: dict[str, int]  # why -> rows
    n_refused: int


def cell_names(cell) -> list[str]:
    """The columns of the file that a cell may need."""
    if isinstance(cell, Product):
        return cell.product
    if isinstance(cell, list):
        return cell
    return re.findall(r"\{(.+?)\}", cell) or [cell]


def wanted(spec: TableMap, others: list[TableMap]) -> Names:
    """The columns of the file that this table, or another from the same file, needs."""
    named, like = [], []
    for one in [spec, *others]:
        cells = [*one.columns.values(), *(one.stage_dates.values() if isinstance(one.stage_dates, dict) else [])]
        cells += [condition.column for condition in one.only] + ([one.closing.column] if one.closing else [])
        cells += [one.probability] if one.probability else []
        made = {one.unpivot.name, one.unpivot.value} if one.unpivot else set()
        for cell in cells:
            named += [name for name in cell_names(cell) if name not in made]
        named += [key for join in one.join for key in join.on]
        like += [one.unpivot.columns] if one.unpivot else []
        like += [one.stage_dates] if isinstance(one.stage_dates, str) else []
    return Names(named, like)


class Part:
    """Reads one part; `tell` gets refused rows, `fatal` what makes the whole source unusable."""

    def __init__(self, con: duckdb.DuckDBPyConnection, table: Table, spec: TableMap, mapping: Mapping, found: Found,
                 key: str, tell: Callable[[Problem], None], fatal: list[Problem]):  # fmt: skip
        self.con, self.table, self.spec, self.mapping, self.found, self.key = con, table, spec, mapping, found, key
        self.tell, self.fatal = tell, fatal
        self.repairs: list[Repair] = []
        self.decided: dict[str, Numbers | Dates] = {}
        self.n_left_out: dict[str, int] = {}
        self.notes: dict[tuple[str, str], int] = {}  # (file, what was seen) -> rows
        self.raw: dict[str, str] = {}  # name in the files -> column of the view raw
        self.files = next(iter(found.headers), spec.file)

    def read(self, target: Path, elsewhere: Callable[[str, str], tuple[str, dict[str, str]]]) -> Typed | None:
        """Write the typed rows to `target`; None where the columns needed are not there.

        `elsewhere` gives the view and the columns of another file of the source.
        """
        self._raw(elsewhere)
        cells = {name: self._cell(name, cell) for name, cell in self.spec.columns.items()}
        dated = self._stage_dates()
        if len(self.fatal):
            return None
        self.cells = {name: cell for name, cell in cells.items() if cell is not None}
        self._only(elsewhere)
        self._text(dated)
        self._mended()
        self._name_lost_ranges()
        self._decide(dated)
        if len(self.fatal):
            return None
        return self._typed(target, dated)

    def ask(self, sql: str) -> list[tuple]:
        return self.con.execute(sql).fetchall()

    def _view(self, name: str, sql: str) -> str:
        view = quoted(f"{self.key}_{name}")
        self.con.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {sql}")
        return view

    # raw

    def _raw(self, elsewhere) -> None:
        names = list(dict.fromkeys(name for one in self.found.staged for name in one.columns))
        self.raw = {name: f"r{k}" for k, name in enumerate(names)}
        self.program = {  # written by a program in all files: numbers with a point
            name for name in names if all(name in one.typed for one in self.found.staged if name in one.columns)
        }
        selects = []
        for one in self.found.staged:
            columns = [f"{one.columns.get(name, literal(''))} AS {column}" for name, column in self.raw.items()]
            selects.append(
                f"SELECT {', '.join(['n', 'file', 'row', *columns])} FROM read_parquet({literal(str(one.path))})"
            )
        if not selects:
            columns = ["0::BIGINT AS n", "'' AS file", "0::BIGINT AS row", *(f"'' AS {c}" for c in self.raw.values())]
            selects = [f"SELECT {', '.join(columns)} WHERE false"]
        view = self._view("raw0", " UNION ALL ".join(selects))
        if self.spec.unpivot:
            view = self._unpivot(view)
        for number, join in enumerate(self.spec.join):
            view = self._join(view, number, join, elsewhere)
        self.view = view

    def _unpivot(self, view: str) -> str:
        told = self.spec.unpivot
        pattern = re.compile(told.columns)
        matched = [(name, pattern.fullmatch(name)) for name in self.raw]
        matched = [(name, (match.group(1) if match.groups() else name) or name) for name, match in matched if match]
        if not matched:
            self._lacks(told.columns, "no column of such a name")
            return view
        if len(matched) > MOST_UNPIVOTED:
            self._lacks(told.columns, f"at most {MOST_UNPIVOTED:,} columns of such a name, not {len(matched):,}")
            return view
        taken = {name for name, _word in matched}
        others = [column for name, column in self.raw.items() if name not in taken]
        name_at, value_at = f"r{len(self.raw)}", f"r{len(self.raw) + 1}"
        selects = [
            f"SELECT n * {len(matched)} + {k} AS n, file, row, {''.join(f'{c}, ' for c in others)}{literal(word)} AS {name_at},"
            f" {self.raw[name]} AS {value_at} FROM {view}"
            for k, (name, word) in enumerate(matched)
        ]
        self.raw |= {told.name: name_at, told.value: value_at}
        return self._view("raw1", " UNION ALL ".join(selects))

    def _join(self, view: str, number: int, join, elsewhere) -> str:
        other, columns = elsewhere(join.file, "")
        if not other:
            self.fatal.append(Problem(join.file, None, "", "", f"no such file (for {self.table.name})"))
            return view
        absent = [name for name in join.on if name not in self.raw] + [
            name for name in join.on.values() if name not in columns
        ]
        if absent:
            self._lacks(", ".join(absent), f"no such column, to join {join.file} on")
            return view
        keys = ", ".join(columns[name] for name in join.on.values())
        twice = self.ask(
            f"SELECT file, row, {keys} FROM {other} QUALIFY count(*) OVER (PARTITION BY {keys}) > 1 ORDER BY row LIMIT 1"
        )
        if twice:
            file, row, *key = twice[0]
            self.fatal.append(
                Problem(file, row, ", ".join(join.on.values()), ", ".join(key), "each key once, to be joined")
            )
            return view
        added = {f"{join.name}.{name}": f"j{number}_{column}" for name, column in columns.items()}
        on = " AND ".join(
            f"a.{self.raw[left]} = b.{columns[right]} AND b.{columns[right]} <> ''" for left, right in join.on.items()
        )
        picked = ", ".join(f"coalesce(b.{column}, '') AS j{number}_{column}" for column in columns.values())
        self.raw |= added
        return self._view(f"join{number}", f"SELECT a.*, {picked} FROM {view} a LEFT JOIN {other} b ON {on}")

    def _lacks(self, column: str, allowed: str) -> None:
        for file, header in self.found.headers.items():
            has = listed(name for name in header if not name.startswith("\0"))
            self.fatal.append(Problem(file, 1, column, "", f"{allowed}; the file has {has}"))

    # text

    def _cell(self, name: str, cell) -> str | None:
        """SQL of a cell's text; None, and where it must be there a fatal problem, if its columns are not."""
        if isinstance(cell, list):
            there = [one for one in cell if one in self.raw]
            if there:
                return self.raw[there[0]]
        else:
            names = cell_names(cell)
            if all(one in self.raw for one in names):
                if isinstance(cell, str) and "{" in cell:
                    pieces = re.split(r"\{(.+?)\}", cell)
                    return " || ".join(self.raw[p] if k % 2 else literal(p) for k, p in enumerate(pieces) if k % 2 or p)
                texts = [self.raw[one] for one in names]
                if isinstance(cell, Product):
                    filled = " AND ".join(f"{text} <> ''" for text in texts)
                    shown = f" || {literal(TIMES)} || ".join(texts)
                    return f"CASE WHEN {filled} THEN {shown} ELSE '' END"
                return texts[0]
        optional = (self.spec.optional or isinstance(cell, list)) and not (name and self.table[name].needed)
        if not optional and self.found.headers:
            for one in cell_names(cell) if not isinstance(cell, list) else [" / ".join(cell)]:
                if one not in self.raw:
                    self._lacks(one, "no such column")
        return None

    def _stage_dates(self) -> dict[str, str]:
        """Stage -> SQL of the text of the moment it was entered."""
        told = self.spec.stage_dates
        if isinstance(told, str):
            matched = {name: re.fullmatch(told, name) for name in self.raw}
            return {match.group(1): self.raw[name] for name, match in matched.items() if match and match.group(1)}
        cells = {stage: self._cell("", cell) for stage, cell in told.items()}
        return {stage: cell for stage, cell in cells.items() if cell is not None}

    def _only(self, elsewhere) -> None:
        """Leave out the rows that a condition of the mapping does not take."""
        for number, told in enumerate(self.spec.only):
            column = self._cell("", told.column)
            if column is None:
                continue
            if told.flag is not None:
                test = f"(lower({column}) IN ({', '.join(map(literal, YES))})) = {told.flag}"
            elif told.one_of is not None or told.none_of is not None:
                words = ", ".join(map(literal, told.one_of or told.none_of or [""]))
                test = f"{column} {'' if told.one_of is not None else 'NOT '}IN ({words})"
            elif told.matches is not None:
                test = f"regexp_full_match({column}, {literal(told.matches)})"
            elif told.above is not None:
                try:
                    how = self._numbers(column, self.view, typed=False)
                except Doubt as doubt:
                    self.fatal.append(Problem(self.files, None, str(told.column), doubt.came, doubt.allowed))
                    continue
                bare = parse.bare(column, self.mapping.currency) if how.signs else column
                test = f"coalesce(TRY_CAST({parse.plain(bare, how)} AS DOUBLE) > {told.above!r}, false)"
            elif told.filled is not None:
                test = f"({column} <> '') = {told.filled}"
            else:
                other, columns = elsewhere(told.not_in.file, told.not_in.column)
                if not other and not self.spec.optional:
                    self.fatal.append(Problem(told.not_in.file, None, "", "", f"no such file (for {told.called})"))
                if told.not_in.column not in columns:
                    continue
                test = f"{column} NOT IN (SELECT {columns[told.not_in.column]} FROM {other})"
            before = self.view
            n_left = self.ask(f"SELECT count(*) FROM {before} WHERE NOT ({test})")[0][0]
            if n_left:
                self.n_left_out[told.called] = self.n_left_out.get(told.called, 0) + n_left
                of_deals = self.table.name == "deals"  # what belongs to them leaves with them
                if of_deals and (key := self._cell("", self.spec.columns["deal_id"])):
                    key = parse.salesforce(key) if self.mapping.ids == "salesforce" else key
                    self.con.execute(f"INSERT INTO {GONE} SELECT {key} FROM {before} WHERE NOT ({test})")
                self.view = self._view(f"only{number}", f"SELECT * FROM {before} WHERE {test}")

    def _text(self, dated: dict[str, str]) -> None:
        """The canonical columns as text."""
        texts = dict(self.cells)
        if told := self.spec.closing:
            closed = self._cell("", told.column)
            if closed is not None:
                arms = [
                    f"WHEN {closed} IN ({', '.join(map(literal, words))}) THEN {literal(stage)}"
                    for words, stage in ((told.won, told.won_stage), (told.lost, told.lost_stage)) if words
                ]  # fmt: skip
                texts["stage"] = f"CASE {' '.join(arms)} ELSE {texts.get('stage', literal(''))} END"
        texts |= {name: literal(value) for name, value in self.spec.constants.items()}
        self.names = list(texts)
        extra = sorted(
            {self.raw[one] for cell in self.spec.columns.values() if isinstance(cell, Product) for one in cell.product}
        )
        columns = [f"{sql} AS {quoted('t_' + name)}" for name, sql in texts.items()]
        columns += [f"{sql} AS s{k}" for k, sql in enumerate(dated.values())] + extra
        own = "probability" in self.names
        self.chance = self._cell("", self.spec.probability) if self.spec.probability and not own else None
        columns += (
            [f"TRY_CAST(replace(rtrim({self.chance}, '% '), ',', '.') AS DOUBLE) AS chance"] if self.chance else []
        )
        kept = [
            f"{texts[name]} IN ({', '.join(map(literal, words))})"
            for name, words in self.spec.keep.items()
            if name in texts
        ]
        where = f" WHERE {' AND '.join(kept)}" if kept else ""
        if kept:
            n_left = self.ask(f"SELECT count(*) FROM {self.view} WHERE NOT ({' AND '.join(kept)})")[0][0]
            if n_left:
                self.n_left_out["of no use here"] = n_left
        self.view = self._view("text", f"SELECT n, file, row, {', '.join(columns)} FROM {self.view}{where}")

    def _mended(self) -> None:
        """Words replaced as the mapping says; what a spreadsheet could not compute is blank; each mend is counted."""
        texts = {}
        for name in self.names:
            text = _replaced(quoted(f"t_{name}"), dict.fromkeys(self.spec.blanks.get(name, []), ""))
            texts[name] = _replaced(text, self.spec.values.get(name, {}))
        marked = [f"count(*) FILTER (starts_with({text}, '#'))" for text in texts.values()]
        n_marked = dict(zip(texts, self.ask(f"SELECT {', '.join(marked)} FROM {self.view}")[0], strict=True))
        mends = {
            name: self.spec.repairs.get(name, {}) | (dict.fromkeys(ERRORS, "") if n_marked[name] else {})
            for name in texts
        }
        counted = [(name, came, became) for name, words in mends.items() for came, became in words.items()]
        if counted:
            columns = [f"count(*) FILTER ({texts[name]} = {literal(came)})" for name, came, _became in counted]
            for (name, came, became), n in zip(
                counted, self.ask(f"SELECT {', '.join(columns)} FROM {self.view}")[0], strict=True
            ):
                self.repairs += [Repair(self.table.name, name, came, became, n)] if n else []
        mended = []
        for name, before in texts.items():
            text = _replaced(before, mends[name])
            kind = self.table[name].kind
            if kind in ("day", "moment"):
                text = f"CASE WHEN starts_with({text}, {literal(parse.FOREVER)}) THEN '' ELSE {text} END"
            if kind == "id" and self._are_guarded(name):
                text = f"regexp_replace({text}, '^=\"(.*)\"$', '\\1')"
            if kind == "id" and self._are_floats(name):
                text = f"regexp_replace({text}, '\\.0$', '')"
            if kind == "id" and self.mapping.ids == "salesforce":
                text = parse.salesforce(text)
            mended.append(f"{text} AS {quoted('t_' + name)}")
        self.view = self._view("mended", f"SELECT * REPLACE ({', '.join(mended)}) FROM {self.view}")

    def _name_lost_ranges(self) -> None:
        """Ranges that a spreadsheet took for days: May-20 beside 21-50. What they were cannot be told, so they are named."""
        texts = [name for name in self.names if self.table[name].kind == "text" and name not in self.spec.constants]
        counts = [
            f"count(*) FILTER (regexp_full_match({quoted('t_' + name)}, {literal(form)}))"
            for name in texts
            for form in (LOST_RANGE, r"\d+ ?[-–] ?\d+")
        ]
        if not counts:
            return
        found = self.ask(f"SELECT {', '.join(counts)} FROM {self.view}")[0]
        for name, n_lost, n_ranges in zip(texts, found[::2], found[1::2], strict=True):
            if n_lost and n_ranges:
                what = f"{self.table.name}.{name} looks like ranges, of which a spreadsheet made days (May-20)"
                self.notes[self.files, what] = n_lost

    def _are_guarded(self, name: str) -> bool:
        """Whether ids are written as ="1", so that a spreadsheet leaves them alone."""
        text = quoted(f"t_{name}")
        n = self.ask(f"SELECT count(*) FILTER ({text} LIKE '=\"%\"') FROM {self.view}")[0][0]
        self.repairs += [Repair(self.table.name, name, '="id"', "id", n)] if n else []
        return n > 0

    def _are_floats(self, name: str) -> bool:
        """Whether every id of a column was written as a number with .0, which a program has done and not the CRM."""
        text = quoted(f"t_{name}")
        if not self.ask(f"SELECT count(*) FROM (SELECT {text} AS x FROM {self.view} LIMIT 1000) WHERE x LIKE '%.0'")[0][
            0
        ]:
            return False
        floats = f"regexp_full_match({text}, '\\d{{1,15}}\\.0')"
        n, n_floats = self.ask(f"SELECT count(*) FILTER ({text} <> ''), count(*) FILTER ({floats}) FROM {self.view}")[0]
        if n_floats == n > 0:
            self.repairs.append(Repair(self.table.name, name, "n.0", "n", n))
        return n_floats == n > 0

    # how it is written

    def _how(self, part: str) -> str:
        return getattr(self.spec, part) or getattr(self.mapping, part)

    def _decide(self, dated: dict[str, str]) -> None:
        for name in self.names:
            if name in self.spec.constants and self.table[name].kind in ("money", "number", "share", "count"):
                self.decided[name] = Numbers()
                continue
            cell = self.spec.columns.get(name)
            if isinstance(cell, Product):
                for one in cell.product:
                    self._decide_one(self.raw[one], self.table[name].kind, self.raw[one], one, one in self.program)
                continue
            typed = (
                all(one in self.program for one in cell_names(cell) if one in self.raw) if cell is not None else False
            )
            self._decide_one(name, self.table[name].kind, quoted(f"t_{name}"), self._source(name), typed)
        for k, stage in enumerate(dated):
            self._decide_one(f"s{k}", "moment", f"s{k}", stage, False)
        self._decide_logged()

    def _decide_logged(self) -> None:
        """The old and new values of fields that are no text, as columns of their own, which only rows of the field fill."""
        self.logged: dict[str, list[str]] = {}  # side -> the fields that it has
        if self.table.name != "changes":
            return
        fields = {field for (field,) in self.ask(f"SELECT DISTINCT t_field FROM {self.view}")} & set(LOGGED)
        self.logged = {side: sorted(fields) for side in SIDES if side in self.names}
        columns = [
            f"CASE WHEN t_field = {literal(field)} THEN {quoted('t_' + side)} ELSE '' END AS {quoted(f't_{field} {side}')}"
            for side in self.logged
            for field in sorted(fields)
        ]
        self.view = self._view("logged", f"SELECT *{''.join(f', {one}' for one in columns)} FROM {self.view}")
        for field in sorted(fields):
            texts = [quoted(f"t_{field} {side}") for side in self.logged]
            both = " UNION ALL ".join(
                f"SELECT {text} AS x FROM {self.view} WHERE t_field = {literal(field)}" for text in texts
            )
            self._decide_one(field, LOGGED[field], "x", f"{field} logged", False, view=f"({both})")
            self.decided |= {f"{field} {side}": self.decided[field] for side in self.logged if field in self.decided}

    def _decide_one(self, key: str, kind: str, text: str, source: str, typed: bool, *, view: str = "") -> None:
        view = view or self.view
        try:
            if kind in ("money", "number", "share", "count"):
                self.decided[key] = self._numbers(text, view, typed, percent=kind in PERCENT)
            elif kind in ("day", "moment"):
                order = "" if typed else self._how("date_order")
                self.decided[key] = evidence.dates([] if order else self._dates(text, view), order=order)
        except Doubt as doubt:
            self.fatal.append(Problem(self.files, None, source, doubt.came, doubt.allowed))

    def _numbers(self, text: str, view: str, typed: bool, *, percent: bool = False) -> Numbers:
        if typed:
            return Numbers(exponent=True, signs=False)
        if decimal := self._how("decimal"):
            return Numbers(decimal, self._how("thousands"))
        if self._all(text, view, evidence.CLEAR_NUMBER):
            return Numbers(signs=False, sure=True)
        masks = self._masks(text, view)
        if evidence.plain(masks):
            return evidence.numbers(masks)._replace(signs=False)
        bare = parse.bare(text, self.mapping.currency)
        bare = f"rtrim({bare}, '% ')" if percent else bare
        return evidence.numbers(self._masks(bare, view))._replace(sure=False)

    def _all(self, text: str, view: str, form: str) -> bool:
        """Whether all of a column is so written that there is nothing to decide."""
        odd = f"SELECT 1 FROM (SELECT {text} AS x FROM {view}) WHERE x <> '' AND NOT regexp_full_match(x, {literal(form)})"
        return not self.ask(f"{odd} LIMIT 1")

    def _masks(self, text: str, view: str) -> list[Mask]:
        rows = self.ask(
            f"SELECT translate(x, '012345678', '999999999') AS mask, count(*), min(x) FROM (SELECT {text} AS x FROM {view})"
            f" WHERE x <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MASKS}"
        )
        if len(rows) == MASKS:  # not all of them were seen
            rows.append(("?", 1, "?"))
        return [Mask(*row) for row in rows]

    def _dates(self, text: str, view: str) -> list[Mask]:
        """Masks, with how often the first and the second part is above 12 where they are three numbers."""
        if self._all(text, view, evidence.CLEAR_MOMENT):
            return [Mask("9999-99-99", 1, "2000-01-01")]
        masks = self._masks(text, view)
        triples = [one.mask for one in masks if evidence.family_of(one.example) in ("triple", "short")]
        if not triples:
            return masks
        above = [f"count(*) FILTER (TRY_CAST(regexp_extract(x, {literal(p)}, 1) AS INT) > 12)" for p in FIRST_TWO]
        mask = "translate(x, '012345678', '999999999')"
        rows = self.ask(
            f"SELECT {mask} AS mask, {', '.join(above)} FROM (SELECT {text} AS x FROM {view})"
            f" WHERE {mask} IN ({', '.join(map(literal, triples))}) GROUP BY 1"
        )
        counts = {mask: {"n_first": first, "n_second": second} for mask, first, second in rows}
        return [one._replace(**counts.get(one.mask, {})) for one in masks]

    def _source(self, name: str) -> str:
        cell = self.spec.columns.get(name)
        if isinstance(cell, list):
            return next((one for one in cell if one in self.raw), cell[0])
        return cell if isinstance(cell, str) else TIMES.join(cell.product) if cell else name

    # typed

    def _typed(self, target: Path, dated: dict[str, str]) -> Typed:
        """Write all rows with a bit for each column that is not as allowed; then list and drop those."""
        moments = {name: f"t_{name}" for name in self.names if self.table[name].kind in ("day", "moment")}
        moments |= {f"s{k}": f"s{k}" for k in range(len(dated))}
        moments |= {name: f"t_{name}" for name in self._logged("day")}
        hows = {name: self.decided[name] for name in moments}
        got = [f"{parse.parts(quoted(text), hows[name])} AS {quoted('g_' + name)}" for name, text in moments.items()]
        view = self._view("got", f"SELECT *{''.join(f', {one}' for one in got)} FROM {self.view}")
        walls = []
        for name, text in moments.items():
            stamp, offset = parse.wall(quoted(text), quoted(f"g_{name}"), hows[name])
            walls += [f"{stamp} AS {quoted('w_' + name)}", f"{offset} AS {quoted('o_' + name)}"]
        walls += [f"{sql} AS {quoted('b_' + name)}" for name, sql in self._bare().items()]
        view = self._view("walls", f"SELECT *{''.join(f', {one}' for one in walls)} FROM {view}")
        plain = [
            f"{parse.plain(quoted('b_' + name), self.decided[name], percent=kind in PERCENT)} AS {quoted('p_' + name)}"
            for name, (_text, kind) in self._numeric().items()
        ]
        view = self._view("plain", f"SELECT *{''.join(f', {one}' for one in plain)} FROM {view}")
        amounts = [f"{sql} AS {quoted('a_' + name)}" for name, sql in self._amounts().items()]
        view = self._view("amounts", f"SELECT *{''.join(f', {one}' for one in amounts)} FROM {view}")
        values = {name: self._value(self.table[name]) for name in self.names}
        values |= {f"s{k}": self._moment(f"s{k}", "moment") for k in range(len(dated))}
        texts = {name: quoted(f"t_{name}") for name in self.names} | {f"s{k}": f"s{k}" for k in range(len(dated))}
        tests = [(name, f"{texts[name]} <> '' AND {quoted('v_' + name)} IS NULL") for name in values]
        tests += [(name, f"{texts[name]} = ''") for name in self.names if self.table[name].needed]
        bits = " + ".join(f"CASE WHEN {test} THEN {1 << k} ELSE 0 END" for k, (_name, test) in enumerate(tests))
        stored = {name: self.table[name].stored if name in self.names else name for name in values}
        shown = ", ".join(f"{quoted('v_' + name)} AS {quoted(column)}" for name, column in stored.items())
        valued = ", ".join(
            f"CASE WHEN {texts[name]} <> '' THEN {sql} END AS {quoted('v_' + name)}" for name, sql in values.items()
        )
        view = self._view("values", f"SELECT *, {valued} FROM {view}")
        shown += ", chance AS probability" if self.chance else ""
        self.con.execute(
            f"COPY (SELECT n, file, row, {bits} AS bad, {shown} FROM {view}) TO {literal(str(target))} (FORMAT parquet, COMPRESSION lz4)"
        )
        rows = f"read_parquet({literal(str(target))})"
        n_read, n_bad, bad = self.ask(
            f"SELECT count(*), count(*) FILTER (bad <> 0), coalesce(bit_or(bad), 0) FROM {rows}"
        )[0]
        for k, (name, _test) in enumerate(tests):
            if bad & 1 << k:
                allowed = "a date, or a date and time" if name not in self.names else self.table[name].says
                if name in moments and self._how("date_order"):
                    allowed += f", in the order that was said ({self._how('date_order')})"
                allowed = "must not be blank" if k >= len(values) else allowed
                source = self._source(name) if name in self.names else list(dated)[int(name[1:])]
                which = f"SELECT n FROM {rows} WHERE bad & {1 << k} <> 0 ORDER BY n LIMIT {LISTED}"
                for file, row, text in self.ask(
                    f"SELECT file, row, {texts[name]} FROM {self.view} WHERE n IN ({which}) ORDER BY n"
                ):
                    self.tell(Problem(file, row, source, text, allowed))
        sources = {name: self._source(name) for name in self.names}
        return Typed(
            target, tuple(self.names), sources, list(dated), self.chance is not None, n_read, self.n_left_out, n_bad
        )

    def _numeric(self) -> dict[str, tuple[str, str]]:
        """What is a number: the key of its decision -> its text and its kind."""
        found = {}
        for name in self.names:
            cell, kind = self.spec.columns.get(name), self.table[name].kind
            if kind in ("money", "number", "share", "count"):
                if isinstance(cell, Product):
                    found |= {self.raw[one]: (self.raw[one], "money") for one in cell.product}
                else:
                    found[name] = (quoted(f"t_{name}"), kind)
        return found | {name: (quoted(f"t_{name}"), "money") for name in self._logged("money")}

    def _logged(self, kind: str) -> list[str]:
        """The columns of logged values of a kind."""
        return [f"{field} {side}" for side, fields in self.logged.items() for field in fields if LOGGED[field] == kind]

    def _bare(self) -> dict[str, str]:
        """Numbers without the signs beside them."""
        return {
            name: parse.bare(text, self.mapping.currency) if self.decided[name].signs else text
            for name, (text, _kind) in self._numeric().items()
        }

    def _amounts(self) -> dict[str, str]:
        """Numbers: money as minor units, or as DECIMAL where it is to be multiplied or added up first; others as DOUBLE."""
        found = {}
        for name, (_text, kind) in self._numeric().items():
            plain, how, scale = quoted(f"p_{name}"), self.decided[name], self.spec.scale.get(name, "1")
            if kind != "money":
                found[name] = parse.number(plain, quoted(f"b_{name}"), how, scale)
            elif self.spec.sum or name not in (*self.names, *self._logged("money")):
                found[name] = parse.decimal(plain, scale)
            else:
                found[name] = parse.money(plain, self.mapping.minor_digits, scale)
        return found

    def _value(self, column: Column) -> str:
        text, amount = quoted(f"t_{column.name}"), quoted(f"a_{column.name}")
        cell = self.spec.columns.get(column.name)
        if column.kind == "money":
            if isinstance(cell, Product):
                factors = [f"CAST({quoted('a_' + self.raw[one])} AS DECIMAL(38, 6))" for one in cell.product]
                amount = f"CAST({' * '.join(factors)} AS DECIMAL(38, 15))"
                return amount if self.spec.sum else parse.minor(amount, self.mapping.minor_digits)
            return amount
        if column.kind in ("number", "count", "share"):
            return parse.limited(column.kind, amount)
        if column.kind in ("moment", "day"):
            return self._moment(column.name, column.kind)
        if column.kind == "id":  # a spreadsheet has cut off its digits
            return f"CASE WHEN NOT regexp_full_match({text}, {literal(CUT_ID)}) THEN {text} END"
        if column.kind == "choice":
            return f"CASE WHEN {text} IN ({', '.join(map(literal, column.allowed))}) THEN {text} END"
        arms = "".join(
            f" WHEN {literal(field)} THEN CAST({self._of_log(field, column.name)} AS VARCHAR)"
            for field in self.logged.get(column.name, ())
        )
        return f"CASE t_field{arms} ELSE {text} END" if arms else text

    def _of_log(self, field: str, side: str) -> str:
        name = f"{field} {side}"
        return quoted(f"a_{name}") if LOGGED[field] == "money" else self._moment(name, "day")

    def _moment(self, name: str, kind: str) -> str:
        how = self.decided[name]
        offset = {**dict.fromkeys(parse.EPOCH, "0"), "serial": "NULL"}.get(how.family, quoted(f"o_{name}"))
        offset = "NULL" if how.sure else offset
        wall = quoted(f"w_{name}")
        moment, day = parse.moment(wall, offset, self.mapping.zone), parse.day(wall, offset, self.mapping.zone)
        if self.mapping.days_of != self.mapping.time_zone:  # a day without a clock is a day of the report
            days_of = ZoneInfo(self.mapping.days_of)
            text = name if re.fullmatch(r"s\d+", name) else quoted(f"t_{name}")
            clock = f"regexp_matches({text}, '{'[.,]' if how.family == 'serial' else ':|T[0-9]'}')"
            clock = "true" if how.family in parse.EPOCH else clock
            whole, own = parse.moment(wall, "NULL", days_of), parse.day(wall, "NULL", days_of)
            day = f"CASE WHEN {clock} THEN {parse.day(f'({moment})', '0', days_of)} ELSE {own} END"
            moment = f"CASE WHEN {clock} THEN {moment} ELSE {whole} END"
        if kind == "moment":
            return moment
        return f"CAST(date_trunc('month', {day}) AS DATE)" if name == "month_on" else day


def _replaced(text: str, words: dict[str, str]) -> str:
    if not words:
        return text
    arms = " ".join(f"WHEN {literal(came)} THEN {literal(became)}" for came, became in words.items())
    return f"CASE {text} {arms} ELSE {text} END"
