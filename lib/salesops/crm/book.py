"""A book: the canonical tables of one company as they were known at the end of a day."""

import datetime as dt
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import ibis
import pandas as pd
import pyarrow.parquet as pq
from ibis import _

from salesops import periods, project
from salesops.crm import engine, mapping, prepare, sample
from salesops.crm.read import read
from salesops.problems import BadInput, printable

LISTED = 200


class Book:
    """The tables of one company, as Ibis tables, as known at the end of the day `as_of`.

    Attributes
    ----------
    as_of : the last day known; never after the last day in the data, because a later day was not watched.
    cut : the first moment not known (naive UTC).
    about : facts of the source: title, currency, history, refused and repaired rows, notes.
    """

    def __init__(self, folder: Path, as_of: dt.date | None = None):
        self.folder = folder
        self.about = json.loads((folder / "book.json").read_text("utf-8"))
        last_on = self.last_on
        self.as_of = min(as_of, last_on) if as_of else last_on
        self.cut = periods.end_of(self.as_of, self.time_zone)
        self.complete = self.as_of == last_on
        self._con = engine.connect()

    def __repr__(self) -> str:
        return f"<Book {self.title}, as of {self.as_of}: {self.about['n_rows']['deals']} deals>"

    @property
    def title(self) -> str:
        return self.about["title"]

    @property
    def currency(self) -> str:
        return self.about["currency"]

    @property
    def time_zone(self) -> str:
        return self.about["time_zone"]

    @property
    def minor_units(self) -> int:
        """Minor units in one unit of the currency: 100 for USD."""
        return 10 ** self.about["minor_digits"]

    @property
    def last_on(self) -> dt.date:
        """The last day in the data: the declared day of the export, else that of the last moment."""
        if self.about.get("exported_on"):
            return dt.date.fromisoformat(self.about["exported_on"])
        moment = pd.Timestamp(self.about["last_moment"]).tz_localize("UTC")
        return moment.tz_convert(self.time_zone).date()

    def has(self, table: str) -> bool:
        """Whether the source has any row of a table."""
        return self.about["n_rows"].get(table, 0) > 0

    def _read(self, name: str) -> ibis.Table:
        if name not in self._con.list_tables():
            self._con.read_parquet(self.folder / f"{name}.parquet", table_name=name)
        return self._con.table(name)

    def _known(self, moment: ibis.Column) -> ibis.Column:
        """Whether something had happened; what has no date is known with the last day only."""
        return (moment < self.cut) | (moment.isnull() & ibis.literal(self.complete))

    @property
    def states(self) -> ibis.Table:
        """Spans in which nothing tracked of a deal changed: [entered_at, left_at), null while it lasts."""
        return self._until_cut(self._read("states"))

    @property
    def visits(self) -> ibis.Table:
        """Stays of deals in stages: seq, stage, position, kind, entry_kind, half-open [entered_at, left_at)."""
        return self._until_cut(self._read("visits"))

    def _until_cut(self, spans: ibis.Table) -> ibis.Table:
        spans = spans.filter(self._known(spans.entered_at))
        return spans.mutate(left_at=ibis.ifelse(_.left_at < self.cut, _.left_at, ibis.null("timestamp")))

    @property
    def deals(self) -> ibis.Table:
        """Deals as the CRM showed them at the end of `as_of`, with `position` and `stage_entered_at`.

        What the source does not log is known of closed deals and on the last day only: an open deal's
        amount of a day in the past is missing rather than today's.
        """
        now = self.states.filter(_.left_at.isnull())
        static = self._read("deals").drop(*prepare.TRACKED, "stage", "status", "closed_at")
        joined = static.join(now.drop("entered_at", "left_at", "seq"), "deal_id")
        closed, lost = joined.kind != "open", joined.kind == "lost"
        known = {
            "closed_at": (joined.kind_since, closed),
            "lost_reason": (joined.lost_reason, lost),
            "last_activity_at": (joined.last_activity_at, joined.last_activity_at < self.cut),
        }
        if not self.complete:
            unlogged = {
                stored for stored, (field, _kind) in prepare.TRACKED.items() if field not in self.about["tracked"]
            }
            for name in ({"list_amount_minor", "next_step"} | unlogged) - {"rep_id"}:
                known[name] = (joined[name], closed)
        only = {name: ibis.ifelse(when, value, ibis.null(value.type())) for name, (value, when) in known.items()}
        return joined.mutate(status=joined.kind, **only).drop("kind", "kind_since")

    @property
    def all_deals(self) -> ibis.Table:
        """Deals as the source shows them now, whatever the day: for what is in the source, not for what was known."""
        return self._read("deals")

    @property
    def month_ends(self) -> ibis.Table:
        """The open pipeline at each known month's end: pipeline, stage, month_on, end_at, n_open, amount_minor."""
        return self._read("month_ends").filter(_.end_at <= self.cut)

    @property
    def changes(self) -> ibis.Table:
        return self._read("changes").filter(_.changed_at < self.cut)

    @property
    def stages(self) -> ibis.Table:
        return self._read("stages")

    @property
    def accounts(self) -> ibis.Table:
        return self._read("accounts")

    @property
    def reps(self) -> ibis.Table:
        """One row per rep: the one that holds on `as_of`, of several the one that began last."""
        day = ibis.literal(self.as_of)
        reps = self._read("reps")
        known = reps.filter(
            reps.valid_from.isnull() | (reps.valid_from <= day), reps.valid_to.isnull() | (reps.valid_to >= day)
        )
        latest = ibis.window(group_by=known.rep_id, order_by=[known.valid_from.desc(nulls_first=False), known.team])
        return known.mutate(n=ibis.row_number().over(latest)).filter(_.n == 0).drop("n")

    @property
    def quotas(self) -> ibis.Table:
        return self._read("quotas")

    @property
    def forecast_calls(self) -> ibis.Table:
        return self._read("forecast_calls").filter(_.called_at < self.cut)

    @property
    def leads(self) -> ibis.Table:
        leads = self._read("leads").filter(_.created_at < self.cut)
        later = {
            name: ibis.ifelse(leads[name] < self.cut, leads[name], ibis.null("timestamp"))
            for name in ("first_response_at", "mql_at", "sql_at")
        }
        known = self._read("deals").filter(_.created_at < self.cut).select(deal_id=_.deal_id)
        became = ibis.ifelse(leads.deal_id.isin(known.deal_id), leads.deal_id, ibis.null("string"))
        return leads.mutate(**later, deal_id=became)

    @property
    def activities(self) -> ibis.Table:
        return self._read("activities").filter(_.started_at < self.cut)

    @property
    def revenue(self) -> ibis.Table:
        return self._read("revenue").filter(_.month_on <= ibis.literal(self.as_of))

    @property
    def payments(self) -> ibis.Table:
        return self._read("payments").filter(_.paid_at < self.cut)

    @property
    def lines(self) -> ibis.Table:
        return self._read("lines")

    @property
    def splits(self) -> ibis.Table:
        return self._read("splits")


def open(source: str | Path, *, as_of: dt.date | str | None = None) -> Book:
    """The book of a source as known at the end of a day.

    Parameters
    ----------
    source : `sample` (or `sample:deals=20000,seed=7`); `<mapping>:<folder>`, where the mapping is
        `params/crm/<mapping>.yml`; or a folder that holds a prepared book. Folders count from the project.
    as_of : the last day known, inclusive; None is the last day in the data.

    Raises
    ------
    BadInput
        If the source cannot be read; with every problem at once.
    """
    as_of = dt.date.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    return Book(_prepared(str(source)), as_of)


def _prepared(source: str) -> Path:
    """The folder of the prepared book of a source; made when its inputs have not been seen before."""
    name, _colon, rest = source.partition(":")
    if name == "sample":
        size = sample.parse_size(rest)
        return _cached("sample", repr(size).encode(), lambda folder: sample.write(folder, size))
    root = project.root()
    spec_path = root / "params" / "crm" / f"{name}.yml"
    try:
        if rest and spec_path.is_file():
            return _imported(spec_path, root / Path(rest).expanduser())
        folder = root / Path(source).expanduser()
        if (folder / "book.json").is_file():
            return folder
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a path too long, a NUL in it
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"source {printable(source)!r} cannot be read", [str(error)]) from None
    known = sorted(path.stem for path in (root / "params" / "crm").glob("*.yml"))
    allowed = [f"{mapping_name}:<folder>" for mapping_name in known]
    raise BadInput(f"source {source!r} cannot be read", [f"allowed: sample, {', '.join(allowed)}, a book's folder"])


def _imported(spec_path: Path, folder: Path) -> Path:
    spec = mapping.load(spec_path)
    if not folder.is_dir():
        raise BadInput(f"source {spec_path.stem} cannot be read", [f"there is no folder {folder}"])
    digest = hashlib.sha256(spec.model_dump_json().encode())
    for table in spec.tables.values():
        for path in sorted(p for p in folder.glob(table.file) if p.is_file()):
            with path.open("rb") as stream:
                digest.update(path.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return _cached(spec_path.stem, digest.digest(), lambda target: _import(target, folder, spec))


def _import(target: Path, folder: Path, spec: mapping.Mapping) -> None:
    got = read(folder, spec)
    for name, table in got.tables.items():
        pq.write_table(table, target / f"{name}.parquet")
    columns = ["file", "row", "column", "value", "allowed"]
    pd.DataFrame(got.refused, columns=columns).to_parquet(target / "refused.parquet")
    about = {
        "title": spec.title,
        "currency": spec.currency,
        "minor_digits": spec.minor_digits,
        "time_zone": spec.time_zone,
        "exported_on": spec.exported_on,
        "n_refused": got.n_refused,
        "refused": [problem._asdict() for problem in got.refused[:LISTED]],
        "n_left_out": got.n_left_out,
        "repairs": [repair._asdict() for repair in got.repairs],
    }
    if not got.stage_dates.empty:
        got.stage_dates.to_parquet(target / "stage_dates.parquet", index=False)
    prepare.prepare(target, about)


def _cached(name: str, content: bytes, make: Callable[[Path], None]) -> Path:
    """The folder made from `content` by this code; made in a temporary place and moved when whole."""
    code = hashlib.sha256(content)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    books = project.cache() / "books"
    folder = books / f"{name}-{code.hexdigest()[:16]}"
    if (folder / "book.json").is_file():
        return folder
    books.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=books))
    try:
        make(draft)
        about = json.loads((draft / "book.json").read_text("utf-8"))
        about["sha256"] = code.hexdigest()
        (draft / "book.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
        try:
            draft.rename(folder)
        except OSError:  # another run made the same book first
            if not (folder / "book.json").is_file():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
