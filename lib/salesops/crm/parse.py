"""Text into typed values, as SQL of the engine: a missing value wherever the text is not what was decided.

Nothing is guessed here: how a column is written was decided over the whole of it, or said by the mapping.
"""

import datetime as dt
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.numbers import get_currency_symbol

from salesops.crm.evidence import FAMILIES, Dates, Numbers

EPOCH = {"seconds": 1_000_000, "milliseconds": 1000, "microseconds": 1}  # family of moments -> its microseconds
SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\N{FIGURE SPACE}\t"
MINUS = "\N{MINUS SIGN}\N{EN DASH}"
YEARS = (1900, 2037)  # engines count seconds since 1970 in 32 bits
LARGEST = 10**16  # minor units: sums of 900 such amounts still fit 64 bits
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
FOREVER = "9999-12-31"  # how some systems write that something has no end
SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "timestamp[us]": "TIMESTAMP", "date32": "DATE", "double": "DOUBLE"}
_MORE_SIGNS = {"RUB": ["руб.", "руб", "р.", "RUR"], "USD": ["US$"], "GBP": ["£"], "JPY": ["¥", "円"]}


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def period_begins(period: str) -> str:
    """SQL of the first day of a period named 2026-10, 2026-Q4 or 2026; missing where it is named otherwise."""
    month = (
        f"CASE WHEN substr({period}, 6, 1) = 'Q' THEN 3 * TRY_CAST(substr({period}, 7, 1) AS INT) - 2"
        f" ELSE coalesce(TRY_CAST(substr({period}, 6, 2) AS INT), 1) END"
    )
    return f"make_date(TRY_CAST(substr({period}, 1, 4) AS INT), {month}, 1)"


@lru_cache
def signs(currency: str) -> str:
    """A pattern of the ways to write a currency: its code and its signs; no other currency's."""
    found = {currency, get_currency_symbol(currency, "en"), *_MORE_SIGNS.get(currency, [])}
    found |= {get_currency_symbol(currency, locale) for locale in ("de", "fr", "ru", "es", "pl", "ja")}
    found |= {Locale("en").currency_symbols.get(currency, currency)}
    if get_currency_symbol(currency, "en").endswith("$"):
        found.add("$")
    clean = sorted({one.strip() for one in found if one.strip()}, key=lambda one: (-len(one), one))
    return "|".join("".join(f"\\{c}" if c in ".$|()[]\\+*?^{}" else c for c in one) for one in clean)


def bare(text: str, currency: str) -> str:
    """A number without currency signs, percent sign and accounting's brackets; as masks and parsers need it."""
    text = f"translate({text}, {literal(SPACES + MINUS)}, {literal(' ' * len(SPACES) + '-' * len(MINUS))})"
    sign = signs(currency)
    text = f"regexp_replace({text}, {literal(rf'^([-+(]?) *(?:{sign}) *([-+]?)')}, '\\1\\2')"
    text = f"regexp_replace({text}, {literal(rf' *(?:{sign}) *([-)]?)$')}, '\\1')"
    text = f"regexp_replace({text}, '^\\((.*)\\)$', '-\\1')"
    return f"trim(regexp_replace({text}, '^(.*\\d)-$', '-\\1'))"


def plain(text: str, how: Numbers, *, percent: bool = False) -> str:
    """A number with a point for the decimal mark and no thousands marks; missing where malformed."""
    if how.sure:
        return f"replace({text}, ',', '.')" if how.decimal == "," else text
    mark = {"": "", " ": " ", "'": "['’]"}.get(how.thousands, f"[{how.thousands}]")
    whole = rf"(?:\d+|\d{{1,3}}(?:{mark}\d{{3}})+)" if mark else r"\d+"
    power = r"(?:[eE][-+]?\d{1,3})?" if how.exponent else ""
    form = rf"[-+]?{whole}(?:[{how.decimal}]\d*)?{power}{' ?%?' if percent else ''}"
    stripped = f"regexp_replace({text}, {literal(mark)}, '', 'g')" if mark else text
    stripped = f"replace({stripped}, ',', '.')" if how.decimal == "," else stripped
    stripped = f"rtrim({stripped}, '% ')" if percent else stripped
    return f"CASE WHEN regexp_full_match({text}, {literal(form)}) THEN {stripped} END"


def decimal(plain_: str, scale: str = "1") -> str:
    """DECIMAL of twenty whole digits, from plain text. Exact, and slow."""
    value = f"TRY_CAST({plain_} AS DECIMAL(38, 18))"
    return value if scale == "1" else f"CAST(CAST({value} AS DECIMAL(38, 9)) * {Decimal(scale)} AS DECIMAL(38, 18))"


def number(plain_: str, text: str, how: Numbers, scale: str = "1") -> str:
    """DOUBLE, from plain text and the bare text that it comes from; a percent sign divides by a hundred."""
    value = f"TRY_CAST({plain_} AS DOUBLE)"
    if how.signs:
        value = f"({value} / CASE WHEN {text} LIKE '%\\%' ESCAPE '\\' THEN 100 ELSE 1 END)"
    return value if scale == "1" else f"({value} * {float(Decimal(scale))!r})"


def limited(kind: str, value: str) -> str:
    """A DOUBLE as its kind allows: a share is from 0 to 1, a count is whole."""
    if kind == "share":
        return f"CASE WHEN {value} BETWEEN 0 AND 1 THEN {value} END"
    return f"CASE WHEN {value} % 1 = 0 THEN TRY_CAST({value} AS BIGINT) END" if kind == "count" else value


def money(plain_: str, digits: int, scale: str = "1") -> str:
    """BIGINT of minor units, from plain text: digits beyond the currency's are rounded half to even.

    A number that is far from half a unit rounds the same in binary, which is faster by far.
    """
    exact = minor(decimal(plain_, scale), digits)
    if scale != "1":
        return exact
    units = f"(TRY_CAST({plain_} AS DOUBLE) * {10**digits})"
    clear = f"abs({units}) < 1e10 AND abs(abs({units} - trunc({units})) - 0.5) > 1e-4"
    return f"CASE WHEN {clear} THEN CAST(round({units}) AS BIGINT) ELSE {exact} END"


def minor(amount: str, digits: int) -> str:
    """Whole minor units of a decimal; digits beyond the currency's are rounded half to even."""
    units = f"(CAST({amount} AS DECIMAL(38, 15)) * {10**digits})"
    rest = f"({units} - floor({units}))"
    up = f"({rest} > 0.5 OR ({rest} = 0.5 AND floor({units}) % 2 <> 0))"
    whole = f"(floor({units}) + CASE WHEN {up} THEN 1 ELSE 0 END)"
    return f"CASE WHEN abs({amount}) <= {LARGEST // 10**digits} THEN CAST({whole} AS BIGINT) END"


def parts(text: str, how: Dates) -> str:
    """A struct of the parts of a date as text (`a b c h mi s p z`); missing where a number says the whole moment."""
    if how.sure or how.family in (*EPOCH, "serial"):
        return "NULL"
    form = FAMILIES[how.family]
    if how.family == "triple" and how.order:  # years of two digits are understood where the order is known
        form = form.replace(r"(\d{4})", r"(\d{4}|\d{2})", 1)
    return f"regexp_extract({text}, {literal(f'^{form}$')}, ['a', 'b', 'c', 'h', 'mi', 's', 'p', 'z'])"


def wall(text: str, got: str, how: Dates) -> tuple[str, str]:
    """The wall clock's TIMESTAMP, and its offset from UTC in seconds (missing where none is written).

    `got` is the column with the parts of `text`.
    """
    form = literal(FAMILIES[how.family])
    if how.sure:
        return f"TRY_CAST({text} AS TIMESTAMP)", "NULL"
    if how.family in EPOCH:
        factor = EPOCH[how.family]
        return (
            f"CASE WHEN regexp_full_match({text}, {form}) THEN make_timestamp(CAST({text} AS BIGINT) * {factor}) END",
            "0",
        )
    if how.family == "serial":
        milliseconds = f"round(CAST(replace({text}, ',', '.') AS DOUBLE) * 86400) * 1000"
        moment_ = f"TIMESTAMP '1899-12-30' + to_milliseconds({milliseconds})"
        return f"CASE WHEN regexp_full_match({text}, {form}) THEN {moment_} END", "NULL"
    part = {name: f"{got}.{name}" for name in ("a", "b", "c", "h", "mi", "s", "p", "z")}
    order = {"iso": "abc", "compact": "abc", "named": "cba", "us_named": "cab"}.get(how.family)
    year, month, day_ = (part[one] for one in order or {"dmy": "cba", "mdy": "cab"}[how.order])
    if how.family in ("named", "us_named"):
        month = f"CAST(nullif(list_position({MONTHS}, lower(substr({month}, 1, 3))), 0) AS VARCHAR)"
    if how.family == "triple":
        year = f"CASE WHEN length({year}) = 2 THEN '20' ELSE '' END || {year}"
    half = f"CASE WHEN lower({part['p']}) = 'p' THEN 12 ELSE 0 END"
    hour = (
        f"CASE WHEN {part['p']} <> '' AND TRY_CAST({part['h']} AS INT) BETWEEN 1 AND 12"
        f" THEN CAST(CAST({part['h']} AS INT) % 12 + {half} AS VARCHAR)"
        f" WHEN {part['p']} <> '' THEN NULL WHEN {part['h']} = '' THEN '0' ELSE {part['h']} END"
    )
    minute, second = (
        f"CASE WHEN {part[one]} = '' THEN '00' ELSE replace({part[one]}, ',', '.') END" for one in ("mi", "s")
    )
    date_ = " || '-' || ".join([f"({year})", f"lpad({month}, 2, '0')", f"lpad({day_}, 2, '0')"])
    stamp = f"TRY_CAST({date_} || ' ' || lpad({hour}, 2, '0') || ':' || {minute} || ':' || {second} AS TIMESTAMP)"
    digits = f"replace({part['z']}, ':', '')"
    offset = (
        f"CASE WHEN coalesce({part['z']}, '') = '' THEN NULL WHEN {part['z']} IN ('Z', 'UTC', 'GMT') THEN 0 ELSE"
        f" CAST(substr({digits}, 1, 3) AS INT) * 3600"
        f" + CAST(substr({digits}, 1, 1) || '0' || substr({digits}, 4) AS INT) * 60 END"
    )
    return stamp, offset


def moment(wall_: str, offset: str, zone: ZoneInfo) -> str:
    """Naive UTC TIMESTAMP of a wall clock.

    A clock set back shows an hour twice: the first one is meant. Set forward, an hour is not there: the moment
    after it is meant.
    """
    local = _tree(
        _transitions(zone),
        f"({wall_})",
        "wall",
        lambda t: f"greatest(({wall_}) - to_seconds({t.after}), {_stamp(t.at)})",
    )
    known = f"({wall_}) - to_seconds({offset})"
    utc = (
        known
        if offset == "0"
        else local
        if offset == "NULL"
        else f"CASE WHEN {offset} IS NULL THEN {local} ELSE {known} END"
    )
    return f"CASE WHEN year({wall_}) BETWEEN {YEARS[0]} AND {YEARS[1]} THEN {utc} END"


def day(wall_: str, offset: str, zone: ZoneInfo) -> str:
    """The DATE in a time zone."""
    if offset == "NULL":
        local = f"({wall_})"
    else:
        utc = f"(({wall_}) - to_seconds({offset}))"
        shifted = _tree(_transitions(zone), utc, "at", lambda t: f"{utc} + to_seconds({t.after})")
        local = shifted if offset == "0" else f"CASE WHEN {offset} IS NULL THEN ({wall_}) ELSE {shifted} END"
    return f"CASE WHEN year({wall_}) BETWEEN {YEARS[0]} AND {YEARS[1]} THEN CAST({local} AS DATE) END"


class _Transition:
    """A change of a zone's offset: when (UTC), what the clock showed then, and the seconds from UTC after it."""

    def __init__(self, at: dt.datetime, before: int, after: int):
        self.at, self.after = at, after
        self.wall = at + dt.timedelta(seconds=before)


def _stamp(at: dt.datetime) -> str:
    return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'"


@lru_cache
def _transitions(zone: ZoneInfo) -> tuple[_Transition, ...]:
    """All changes of offset in the years that are understood, found by halving, to the second."""

    def offset(at: dt.datetime) -> int:
        return int(at.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset().total_seconds())

    at, end = dt.datetime(YEARS[0] - 1, 1, 1), dt.datetime(YEARS[1] + 1, 1, 2)
    found = [_Transition(at, offset(at), offset(at))]
    step = dt.timedelta(days=7)
    while at < end:
        if offset(at) != offset(at + step):
            low, high = at, at + step
            while high - low > dt.timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            found.append(_Transition(high, offset(low), offset(high)))
        at += step
    return tuple(found)


def _tree(found: tuple[_Transition, ...], value: str, side: str, leaf) -> str:
    """The leaf of the last transition that is not after a value, found by halving."""
    if len(found) == 1:
        return leaf(found[0])
    middle = len(found) // 2
    below, above = (_tree(part, value, side, leaf) for part in (found[:middle], found[middle:]))
    return f"CASE WHEN {value} < {_stamp(getattr(found[middle], side))} THEN {below} ELSE {above} END"


def salesforce(text: str) -> str:
    """The id of 18 characters that one of 15 is short for: its last three say which of the others are capitals."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    check = ""
    for block in range(3):
        bits = " + ".join(
            f"CASE WHEN substr({text}, {5 * block + k + 1}, 1) BETWEEN 'A' AND 'Z' THEN {1 << k} ELSE 0 END"
            for k in range(5)
        )
        check += f" || substr('{alphabet}', 1 + {bits}, 1)"
    return f"CASE WHEN regexp_full_match({text}, '[a-zA-Z0-9]{{15}}') THEN {text}{check} ELSE {text} END"
