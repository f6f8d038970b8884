"""Records inside trees: JSON of the CRMs' interfaces, XES event logs, calendars.

A record is flattened: `properties.amount` is the key `amount` of its `properties`; `..id` is the `id` of the record
that it stands in, `...id` of the one above. A key of a mapping that is stepped through stands in `key`.
"""

import calendar
import datetime as dt
import gzip
import io
import itertools
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from salesops.crm.files.limits import Budget, Guard
from salesops.crm.files.sink import BATCH, Names, Sink, Unreadable
from salesops.crm.files.text import sniff_encoding

MOST_TIMES = 20_000  # of an event that repeats
LARGEST = 1 << 29  # bytes of one JSON file
LARGEST_CALENDAR = 1 << 26  # bytes
MOST_VALUES = 30_000_000  # of a JSON file, which stand in memory together
MOST_ROWS = 250_000  # of a calendar
MOST_STEPS = 2_000_000  # that are taken through the days of events that repeat
MOST_ELEMENTS = 1_000_000  # of a case of an event log
MOST_YEARS = 100  # that an event goes on
STEP = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 28, "YEARLY": 365}  # days
MAY_SEARCH = 10_000  # steps that a rule counts as whose next day cannot be foreseen
CYCLE_YEARS = 28  # after which days fall on the same weekdays again
LONGEST_TAG = 2_000_000  # bytes of a tag or text of an event log
LONGEST_NAME = 2_000  # characters of a key with those above it
DEEPEST = 60


def read_json(path: Path, file: str, sink: Sink, *, records: str) -> None:
    """Put the records of a JSON file (or of one in lines) into the sink.

    Parameters
    ----------
    records : the way to them, such as `results`, or `results / propertiesWithHistory / *` for every entry of the
        lists below each key; blank for a list at the top, or the only list of the top's object.

    Raises
    ------
    Unreadable
        If it is no JSON, or there is no such way.
    """
    if path.stat().st_size > LARGEST:
        raise Unreadable(file, None, "", f"a JSON file of at most {LARGEST >> 20} MB; split it")
    text = path.read_text(encoding=sniff_encoding(path, file))
    n_values = sum(map(text.count, "{[,"))  # about so many, and never fewer
    if n_values > MOST_VALUES:
        raise Unreadable(file, None, f"{n_values:,} values", f"a JSON file of at most {MOST_VALUES:,}; split it")
    try:
        tree = _parse(text)
    except RecursionError:
        raise Unreadable(file, None, "", "not readable as JSON: lists stand too deeply inside each other") from None
    except ValueError as error:
        raise Unreadable(file, getattr(error, "lineno", None), "", f"not readable as JSON: {error}") from None
    steps = [step.strip() for step in records.split("/")] if records else [_only_list(tree)]
    flat, over = _Flat(file, sink.wanted), _Flat(file, sink.wanted)
    found = [flat(leaf) | above for leaf, above in _walk(tree, [step for step in steps if step], {}, over)]
    if not found:
        raise Unreadable(file, None, records, "records there; the file has none")
    header = list(dict.fromkeys([*flat.names, *(name for record in found for name in record)]))
    sink.begin(file, header, typed=header, row=None)
    for start in range(0, len(found), BATCH):
        part = found[start : start + BATCH]
        sink.add_records(part, range(start + 1, start + len(part) + 1))


def _parse(text: str):
    def once(pairs: list) -> dict:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return found

    def odd(word: str):
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_float=str, parse_int=str, parse_constant=odd)
    except json.JSONDecodeError:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2:
            raise
        return [
            json.loads(line, object_pairs_hook=once, parse_float=str, parse_int=str, parse_constant=odd)
            for line in lines
        ]


def _only_list(tree) -> str:
    lists = [name for name, value in tree.items() if isinstance(value, list)] if isinstance(tree, dict) else []
    return lists[0] if len(lists) == 1 else ""


def _walk(tree, steps: list[str], above: dict[str, str], flat: "_Flat") -> Iterator[tuple[dict, dict[str, str]]]:
    if isinstance(tree, list):
        for one in tree:
            yield from _walk(one, steps, above, flat)
    elif isinstance(tree, dict):
        if not steps:
            yield tree, above
            return
        if steps[0] == "*":
            for key, value in tree.items():
                yield from _walk(value, steps[1:], {**above, "key": flat.text(key)}, flat)
        elif steps[0] in tree:
            passed = steps[1:2] == ["*"] and not flat.has_values(tree)
            own = above if passed else _below(above, flat(tree, ".."))
            yield from _walk(tree[steps[0]], steps[1:], own, flat)


def _below(above: dict[str, str], own: dict[str, str]) -> dict[str, str]:
    """What a record knows of those that it stands in, one step further down."""
    key = {name: value for name, value in above.items() if name == "key"}
    return {f".{name}": value for name, value in above.items() if name != "key"} | own | key


class _Flat:
    """Records as flat dictionaries of text, with what is wanted of them; `names` are all that were seen."""

    def __init__(self, file: str, wanted: Names):
        self.file, self.wanted = file, wanted
        self.names: dict[str, bool] = {}  # name -> whether it, or it further down (with more points), may be wanted

    def __call__(self, tree: dict, prefix: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        self._add(tree, prefix, 0, found)
        return found

    def _add(self, tree: dict, prefix: str, depth: int, found: dict[str, str]) -> None:
        for name, value in tree.items():
            if isinstance(value, dict) and depth < DEEPEST:
                self._add(value, self._named(f"{prefix}{name}."), depth + 1, found)
            elif value is None or isinstance(value, bool | str):
                key = self._named(prefix + name)
                if key not in self.names:
                    self.names[key] = self._may_want(key)
                if self.names[key]:
                    found[key] = self.text(value)

    def _named(self, name: str) -> str:
        if len(name) > LONGEST_NAME:
            raise Unreadable(self.file, None, name, f"keys that make names of at most {LONGEST_NAME:,} characters")
        return name

    def _may_want(self, name: str) -> bool:
        further_down = (f"..{'.' * k}{name.lstrip('.')}" for k in range(DEEPEST)) if name.startswith("..") else ()
        return self.wanted.may_want(name) or any(map(self.wanted.may_want, further_down))

    @staticmethod
    def has_values(tree: dict) -> bool:
        """Whether a record has any value of its own."""
        return any(
            _Flat.has_values(value) if isinstance(value, dict) else value is None or isinstance(value, bool | str)
            for value in tree.values()
        )

    @staticmethod
    def text(value: str | bool | None) -> str:
        if isinstance(value, str):  # half of a character that was cut has no bytes
            return value.encode("utf-8", "replace").decode()
        return "" if value is None else str(value).lower()


def read_ics(path: Path, file: str, sink: Sink) -> None:
    """Put the events of a calendar into the sink: uid, summary, start, end, minutes, organizer, status.

    Of an event that repeats the first is read, and such are counted.

    Raises
    ------
    Unreadable
        If it is no calendar.
    """
    from icalendar import Calendar

    if path.stat().st_size > LARGEST_CALENDAR:
        raise Unreadable(file, None, "", f"a calendar of at most {LARGEST_CALENDAR >> 20} MB; split it")
    try:
        events = Calendar.from_ical(path.read_bytes()).walk("VEVENT")
        rows, n_repeats = _occurrences(events)
    except (ValueError, KeyError, IndexError, UnicodeError, AttributeError, TypeError, OverflowError) as error:
        raise Unreadable(file, None, "", f"not readable as a calendar: {' '.join(str(error).split())[:200]}") from None
    header = ["uid", "summary", "start", "end", "minutes", "organizer", "status"]
    sink.begin(file, header, typed=["minutes"], row=None)
    sink.add(rows, list(range(1, len(rows) + 1)))
    sink.note("times of events that repeat", n_repeats)


def _occurrences(events: list) -> tuple[list[list[str]], int]:
    """All times of all events, and how many of them belong to events that repeat.

    What repeats with an end is read to it; what repeats without one is read up to the last moment that the calendar
    itself knows: when it was written, or when its last single event begins. A time that was moved stands in the
    calendar as an event of its own.

    Raises
    ------
    ValueError
        If an event repeats too often to be meant.
    """
    single = [event for event in events if not _repeats(event)]
    moved = {
        (str(event.get("UID", "")), _utc(event["RECURRENCE-ID"].dt)) for event in events if "RECURRENCE-ID" in event
    }
    known = [_utc(event["DTSTAMP"].dt) for event in events if "DTSTAMP" in event] + [
        _utc(event.start) for event in single
    ]
    last = max(known, default=None)
    rows, n_repeats, left = [], 0, [MOST_STEPS]
    for event in events:
        if not _repeats(event):
            at = _utc(event.start) if "RECURRENCE-ID" in event else None
            rows.append(_row(event, event.start, at))
            continue
        for start in _times(event, last, left):
            if len(rows) > MOST_ROWS:
                raise ValueError(f"its events take place more than {MOST_ROWS:,} times; split it")
            if (str(event.get("UID", "")), _utc(start)) not in moved:
                rows.append(_row(event, start, _utc(start)))
                n_repeats += 1
    return rows, n_repeats


def _repeats(event) -> bool:
    return "RRULE" in event or "RDATE" in event


def _times(event, last: dt.datetime | None, left: list[int]) -> list:
    """When an event that repeats takes place: to its end, or without one up to `last`; its first time always.

    `left` has how many steps through days all events together may still take: a rule that no day fits takes them too.
    """
    from dateutil.rrule import rruleset

    begin = event.start
    first = begin if isinstance(begin, dt.datetime) else dt.datetime.combine(begin, dt.time())
    rules = rruleset()
    rules.rdate(first)
    ends = all("COUNT" in rule or "UNTIL" in rule for rule in _all(event, "RRULE"))
    for rule in _all(event, "RRULE"):
        if rule.get("FREQ", [""])[0] not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
            raise ValueError("an event repeats in another way than by days, weeks, months or years")
        if "UNTIL" in rule and first.tzinfo:  # a day, or a moment of its own zone, though it should be UTC
            rule["UNTIL"] = [_like(first, until, dt.time(23, 59, 59)).astimezone(dt.UTC) for until in rule["UNTIL"]]
        rules.rrule(_bounded(rule, first, last, left))
    for name, add in (("RDATE", rules.rdate), ("EXDATE", rules.exdate)):
        for one in _all(event, name):
            for day in one.dts:
                add(_like(first, day.dt, first.time()))
    found = []
    for start in rules:
        if found and not ends and (last is None or _utc(start) > last):
            break
        found.append(start if isinstance(begin, dt.datetime) else start.date())
        if len(found) > MOST_TIMES:
            raise ValueError(f"an event repeats more than {MOST_TIMES} times")
    return found


def _bounded(rule, first: dt.datetime, last: dt.datetime | None, left: list[int]) -> Iterable[dt.datetime]:
    """The times of a rule, to an end that it may not have itself; else one that no day fits would be followed to the
    year 9999."""
    from dateutil.rrule import rrulestr

    if any(int(step) < 1 for step in rule.get("INTERVAL", [])):
        raise ValueError("an event repeats every 0 days, weeks, months or years")
    if last is None:
        last = _utc(first)
    end = first.replace(year=min(first.year + MOST_YEARS, dt.MAXYEAR), day=min(first.day, 28))
    if "COUNT" not in rule and "UNTIL" not in rule:
        until = max(last, _utc(first)).astimezone(first.tzinfo) if first.tzinfo else last.replace(tzinfo=None)
        end = min(end, max(until, first) + dt.timedelta(days=1))
    parsed = rrulestr(rule.to_ical().decode(), dtstart=first)
    count = parsed._count
    end = min(end, parsed._until) if parsed._until else end
    left[0] -= max((end - first).days, 0) // STEP[rule["FREQ"][0]] + 1
    if parsed._byyearday or parsed._byweekno or parsed._byeaster or max(map(abs, parsed._bysetpos or (0,))) > 4:
        left[0] -= MAY_SEARCH
    if not _can_be(parsed, first):
        return []
    if left[0] < 0:
        raise ValueError(f"its events repeat over more than {MOST_STEPS:,} days together; split it")
    times = parsed.replace(count=None, until=end)
    return times if count is None else itertools.islice(times, count)


def _can_be(rule, first: dt.datetime) -> bool:
    """Whether any day fits a rule; one that none fits would be followed day by day to the year 9999."""
    from dateutil import rrule

    months = rule._bymonth or range(1, 13)
    days = [abs(day) for day in (*(rule._bymonthday or ()), *(rule._bynmonthday or ()))]
    if days and not any(day <= calendar.monthrange(2024, month)[1] for day in days for month in months):
        return False
    if rule._freq == rrule.MONTHLY:
        return any((month - first.month) % math.gcd(rule._interval, 12) == 0 for month in months)
    if rule._freq != rrule.DAILY or not (rule._bymonth or days or rule._byweekday):
        return True
    start = first.date()
    return any(
        day.month in months and (not rule._byweekday or day.weekday() in rule._byweekday)
        and (not days or day.day in (rule._bymonthday or ())
             or day.day - calendar.monthrange(day.year, day.month)[1] - 1 in (rule._bynmonthday or ()))
        for day in (start + dt.timedelta(days=k) for k in range(0, CYCLE_YEARS * 366, rule._interval))
    )  # fmt: skip


def _all(event, name: str) -> list:
    given = event.get(name, [])
    return given if isinstance(given, list) else [given]


def _like(first: dt.datetime, moment: dt.date, time: dt.time) -> dt.datetime:
    """A moment that compares with the first one; a day alone is at `time`."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, time)
    if first.tzinfo is None:
        return moment.replace(tzinfo=None)
    return moment.replace(tzinfo=first.tzinfo) if moment.tzinfo is None else moment


def _utc(moment: dt.date) -> dt.datetime:
    """A moment that compares with any other; without a zone it counts as UTC."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _row(event, start, at: dt.datetime | None) -> list[str]:
    """One time of an event; `at` tells it apart from the others of the same event."""
    length = event.end - event.start
    organizer = str(event.get("ORGANIZER", "")).removeprefix("mailto:").removeprefix("MAILTO:")
    uid = str(event.get("UID", "")) + (f"#{at:%Y%m%dT%H%M%SZ}" if at else "")
    words = [uid, str(event.get("SUMMARY", "")), start.isoformat(), (start + length).isoformat()]
    return [*words, f"{length.total_seconds() / 60:g}", organizer, str(event.get("STATUS", ""))]


def read_xes(path: Path, file: str, sink: Sink, *, rows: str, budget: Budget) -> None:
    """Put the cases of an event log into the sink, or its events with the attributes of their case as `case:<name>`.

    Raises
    ------
    Unreadable
        If it is no event log.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    header, seen, pending = [], 0, []

    def flush() -> None:
        nonlocal header, seen
        new = [name for record in pending for name in record if name not in known]
        known.update(dict.fromkeys(new))
        if new or not header:
            header = list(known)
            sink.begin(file, header, typed=header, row=None)
        sink.add_records(pending, range(seen + 1, seen + len(pending) + 1))
        seen += len(pending)
        pending.clear()

    known: dict[str, None] = {}
    try:
        with (gzip.open if packed else open)(path, "rb") as stream:
            guarded = io.BufferedReader(Guard(stream, file, b">", budget if packed else None, LONGEST_TAG), 1 << 16)
            for case, events in _cases(guarded, file):
                pending += [{**event, **case} for event in events] if rows == "events" else [case]
                if len(pending) >= BATCH:
                    flush()
    except (ParseError, DefusedXmlException, OSError, EOFError, zlib.error) as error:
        raise Unreadable(file, None, "", f"not readable as XES: {error}") from None
    flush()


def _cases(stream, file: str) -> Iterator[tuple[dict, list[dict]]]:
    parents: list = []
    n_elements = 0
    for moment, element in iterparse(stream, events=("start", "end")):
        if moment == "start":
            parents.append(element)
            n_elements = n_elements + 1 if len(parents) > 2 else 0
            if n_elements > MOST_ELEMENTS or len(parents) > DEEPEST:
                raise Unreadable(file, None, "", f"cases of at most {MOST_ELEMENTS:,} elements, {DEEPEST} deep")
            continue
        parents.pop()
        if element.tag.rpartition("}")[2] == "trace":
            events = [child for child in element if child.tag.rpartition("}")[2] == "event"]
            case = {f"case:{name}": value for name, value in _attributes(element).items()}
            yield case, [_attributes(event) for event in events]
        if len(parents) == 1:
            parents[0].clear()  # otherwise the whole log stays in memory


def _attributes(element) -> dict[str, str]:
    return {child.get("key"): child.get("value", "") for child in element if child.get("key")}
