"""A book: the canonical tables of one company as they were known at the end of a day."""

import copy
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa
from ibis import _

from salesops import periods
from salesops.crm import about, cache, engine, owners, prepare
from salesops.crm import vat as vat_
from salesops.crm.dimensions import with_group
from salesops.crm.source import Located, locate
from salesops.crm.tables import AS_GIVEN, TABLES
from salesops.problems import BadInput

OF_DEALS = {"deals", "states", "visits", "changes", "activities", "lines", "splits"}  # rows that belong to a deal
OF_ACCOUNTS = {"revenue", "subscriptions", "cancellations", "purchases"}  # rows that belong to an account
# Facts that later data change, or that tell the same data apart by how they came.
OF_THE_WHOLE = ("n_rows", "filled", "first_moment", "last_moment", "exported_on", "written", "format",
                "n_refused_without_id", "n_refused_without_key", "stages_derived", "system",)  # fmt: skip


class Book:
    """The tables of one company, as Ibis tables, as known at the end of the day `as_of`.

    Attributes
    ----------
    as_of : the last day known; never after the last day in the data, because a later day was not watched.
    cut : the first moment not known (naive UTC).
    about : facts of the source: title, currency, history, refused and repaired rows, notes.
    whole : the book of all deals that this one is a part of.
    """

    def __init__(
        self, folder: Path, as_of: dt.date | None = None, *, located: Located | None = None, vat: str = AS_GIVEN
    ):
        self.folder = folder
        self._located, self._asked = located, as_of
        self.about = about.read(folder)
        last_on = self.last_on
        self.as_of = min(as_of, last_on) if as_of else last_on
        self.cut = periods.end_of(self.as_of, self.time_zone)
        self.complete = self.as_of == last_on
        self._con = engine.connect()
        self._tables: dict[str, ibis.Table] = {}  # as read
        self._views: dict[str, ibis.Table] = {}  # as known
        self._ids: ibis.Table | None = None  # of the deals that are looked at; None is all
        self._accounts: ibis.Table | None = None  # of the accounts whose revenue is looked at; None is all
        self.whole = self  # the book that this one is a part of
        self._prices = vat_.Prices.of(self.about["vat"], vat, self.time_zone)
        # Contents are told by what was read, not by how it is shown.
        self._as_given = self if self._prices is None else Book(folder, as_of, located=located)

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

    def check_covers(self, period: periods.Period) -> None:
        """Refuse a period of which this book can know nothing.

        Raises
        ------
        ValueError
            If the source ends before the period, or begins after it.
        """
        if self.as_of < period.first_on:
            raise ValueError(f"period {period.name}: the source ends on {self.as_of}, before it")
        first = self.about["first_moment"]
        if first and period.last_on < (begins := pd.Timestamp(first).date()):
            raise ValueError(f"period {period.name}: the source begins on {begins}, after it")

    def has(self, table: str) -> bool:
        """Whether the source has any row of a table."""
        return self.about["n_rows"].get(table, 0) > 0

    def _stored(self, name: str) -> ibis.Table:
        if name not in self._tables:
            table = self._con.read_parquet(self.folder / f"{name}.parquet", table_name=name)
            self._tables[name] = self._as_today(name, table)
        return self._tables[name]

    def _as_today(self, name: str, table: ibis.Table) -> ibis.Table:
        """A table with the columns of today's format, where a book of an earlier one has fewer; and with what a blank
        value means."""
        if name == "states" and "pipeline" not in table.columns:  # none was logged
            return table.join(self._stored("deals").select("deal_id", "pipeline"), "deal_id")
        if name not in TABLES:
            return table
        types, shown = ibis.Schema.from_pyarrow(TABLES[name].schema), {}
        for column in TABLES[name].columns:
            value = table[column.stored] if column.stored in table.columns else ibis.null(types[column.stored])
            shown[column.stored] = value.coalesce(column.blank) if column.blank else value
        is_same = tuple(shown) == table.columns and not any(column.blank for column in TABLES[name].columns)
        return table if is_same else table.select(**shown)

    def _read(self, name: str) -> ibis.Table:
        table = self._stored(name)
        if self._prices is not None:
            table = self._prices.show(name, table, lambda: self._stored("deals"))
        if self._accounts is not None and name in OF_ACCOUNTS:
            return table.semi_join(self._accounts, "account_id")
        return table.semi_join(self._ids, "deal_id") if self._ids is not None and name in OF_DEALS else table

    def only(self, *, region: str = "", team: str = "") -> "Book":
        """The book of the deals of one region or team, as known on `as_of`; of all where both are blank. Revenue,
        contracts and purchases of a region are those of its accounts; of a team they are all.

        Raises
        ------
        ValueError
            If no deal has that region or team; it names those there are.
        """
        narrowed = self
        for dimension, wanted in (("region", region), ("team", team)):
            if wanted:
                deals = with_group(narrowed, narrowed.deals, dimension)
                part = deals.filter(_.group == wanted).drop("group").cache()  # asked many times of one page
                n_deals = int(part.count().execute())
                if not n_deals:
                    known = deals.filter(_.group.notnull()).select("group").distinct().execute()["group"]
                    listed = ", ".join(sorted(known))
                    raise ValueError(f"{dimension} {wanted!r} is not in the source; it has: {listed}")
                narrowed = copy.copy(narrowed)
                narrowed._ids = part.select("deal_id")
                narrowed._views = {"deals": part}
                if dimension == "region":
                    narrowed._accounts = self.accounts.filter(_.region == wanted).select("account_id")
                narrowed.n_known = {"deals": n_deals}
        return narrowed

    def on(self, day: dt.date) -> "Book":
        """The same deals as known at the end of an earlier day; not after the one that this book knows."""
        other = copy.copy(self)
        for name in ("n_known", "_contents"):  # of this day
            other.__dict__.pop(name, None)
        other.as_of, other._asked, other._views = min(day, self.as_of), day, {}
        other.cut = periods.end_of(other.as_of, self.time_zone)
        other.complete = other.as_of == self.last_on
        other.whole = other if self.whole is self else self.whole.on(day)
        return other

    def digest(self) -> str:
        """The hash of everything known at the end of `as_of`, the same whatever the source learnt later.

        Of the whole book, also where this is a part of it. Rows count without their order; what no day is known
        of (accounts, refused rows, repairs) counts whole. Computed once per book and day.
        """
        return self.whole._as_given._contents["digest"]

    @cached_property
    def n_known(self) -> dict[str, int]:
        """Rows known at the end of `as_of`, by table; tables without any are left out. Of a part, the deals alone."""
        return {name: n for name, n in self._as_given._contents["n_known"].items() if n}

    @cached_property
    def _contents(self) -> dict:
        """The digest and the numbers of rows, from their file if they were computed before."""
        if self._located is None:
            return self._count_contents()
        found = self._located.contents(self._asked)
        if found is None:
            found, kept = self._count_contents(), self._located.digest_file(self._asked)
            cache.write(kept, json.dumps(found))
        return found

    def _count_contents(self) -> dict:
        facts = {name: value for name, value in self.about.items() if name not in OF_THE_WHOLE}
        parts, n_known = [json.dumps([facts, str(self.as_of), self.complete], sort_keys=True)], {}
        for name in (*TABLES, "visits", "states"):
            table = getattr(self, name)
            columns = ", ".join(f"coalesce({column}::VARCHAR, chr(0))" for column in sorted(table.columns))
            rows = f"SELECT md5(concat_ws(chr(31), {columns})) AS h FROM ({self._con.compile(table)})"  # noqa: S608
            halves = ", ".join(f"sum(('0x' || substr(h, {at}, 16))::UBIGINT)" for at in (1, 17))
            n, *sums = self._con.raw_sql(f"SELECT count(*), {halves} FROM ({rows})").fetchone()  # noqa: S608
            parts.append(f"{name} {n} {sums}")
            n_known |= {name: n} if name in TABLES else {}
        return {"digest": hashlib.sha256("\n".join(parts).encode()).hexdigest(), "n_known": n_known}

    def _view(self, name: str, make: Callable[[], ibis.Table]) -> ibis.Table:
        """A table under a name of the engine's, so that what is asked of it need not be written out each time."""
        if name not in self._views:
            if self._ids is not None:
                return self._views.setdefault(name, getattr(self.whole, name).semi_join(self._ids, "deal_id"))
            self._views[name] = self._con.create_view(ibis.util.gen_name(name), make())
        return self._views[name]

    def _known(self, moment: ibis.Column) -> ibis.Column:
        """Whether something had happened; what has no date is known with the last day only."""
        return (moment < self.cut) | (moment.isnull() & ibis.literal(self.complete))

    @property
    def states(self) -> ibis.Table:
        """Spans in which nothing tracked of a deal changed: [entered_at, left_at), null while it lasts."""
        return self._view("states", lambda: self._until_cut(self._read("states")))

    @property
    def visits(self) -> ibis.Table:
        """Stays of deals in stages: seq, stage, position, kind, entry_kind, half-open [entered_at, left_at)."""
        return self._view("visits", lambda: self._until_cut(self._read("visits")))

    @property
    def own_visits(self) -> ibis.Table:
        """The stays of `visits` in stages of the pipeline that the deal is in on `as_of`, whose positions can be
        compared: a deal that was moved has stays in others too."""
        if "pipeline" not in self.about["tracked"]:
            return self.visits
        return self.visits.semi_join(self.deals, ["deal_id", "pipeline"])

    def _until_cut(self, spans: ibis.Table) -> ibis.Table:
        spans = spans.filter(self._known(spans.entered_at))
        return spans.mutate(left_at=ibis.ifelse(_.left_at < self.cut, _.left_at, ibis.null("timestamp")))

    @property
    def deals(self) -> ibis.Table:
        """Deals as the CRM showed them at the end of `as_of`, with `position` and `stage_entered_at`.

        What the source does not log is known of closed deals and on the last day only: an open deal's
        amount of a day in the past is missing rather than today's.
        """
        return self._view("deals", self._deals)

    def _deals(self) -> ibis.Table:
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
            for name in ({"list_amount_minor", "next_step", "probability"} | unlogged) - set(prepare.ALWAYS_KNOWN):
                known[name] = (joined[name], closed)
        only = {name: ibis.ifelse(when, value, ibis.null(value.type())) for name, (value, when) in known.items()}
        return joined.mutate(status=joined.kind, **only).drop("kind", "kind_since")

    @property
    def credited(self) -> ibis.Table:
        """`deals` by who is credited: of a closed deal `rep_id` is its owner when it closed, of an open one its owner
        now, with `rep_role`, `rep_team`, `rep_region` and `manager_id` of that owner on that day; see `owners`."""
        return self._view("credited", lambda: owners.credited(self))

    @property
    def month_ends(self) -> ibis.Table:
        """The open pipeline at each known month's end: pipeline, stage, month_on, end_at, n_open, amount_minor."""
        if self._ids is None and self._prices is None:
            ends = self._read("month_ends")
        else:
            ends = ibis.memtable(prepare.month_ends(self._read("states"), self.about))
        return ends.filter(_.end_at <= self.cut)

    @property
    def changes(self) -> ibis.Table:
        return self._read("changes").filter(_.changed_at < self.cut)

    @property
    def stages(self) -> ibis.Table:
        return self._read("stages")

    @property
    def accounts(self) -> ibis.Table:
        """Accounts as they are now; the flag of a customer who left is known with the last day only."""
        rows = self._read("accounts")
        return rows.mutate(status=ibis.ifelse(ibis.literal(self.complete), rows.status, ibis.null("string")))

    @property
    def reps(self) -> ibis.Table:
        """One row per rep: the one that holds on `as_of`, of several the one that began last."""
        return self._holding("reps", "team")

    @property
    def rep_spells(self) -> ibis.Table:
        """All rows of reps that had begun by `as_of`: who stood where, and below whom, from when to when. A row without
        a last day ends before the rep's next one begins."""
        spells = self._begun("reps")
        order = ibis.window(group_by=spells.rep_id, order_by=[ibis.asc("valid_from", nulls_first=True), spells.team])
        before = spells.valid_from.lead().over(order) - ibis.interval(days=1)
        return spells.mutate(valid_to=spells.valid_to.coalesce(before.cast("date")))

    def _begun(self, name: str) -> ibis.Table:
        """The rows of a dated table that had begun by `as_of`; the end of one that had not ended before that day is
        missing, because it was not known yet."""
        day, rows = ibis.literal(self.as_of), self._read(name)
        rows = rows.filter(rows.valid_from.isnull() | (rows.valid_from <= day))
        return rows.mutate(valid_to=ibis.ifelse(rows.valid_to < day, rows.valid_to, ibis.null("date")))

    def _holding(self, name: str, *more: str) -> ibis.Table:
        """The rows of a dated table that hold on `as_of`: of each subject one, the one that began last (of those of one
        day the first by the columns `more`)."""
        rows = self._begun(name).filter(_.valid_to.isnull())
        order = [rows.valid_from.desc(nulls_first=False), *(rows[column] for column in more)]
        latest = ibis.window(group_by=[rows[column] for column in TABLES[name].subject], order_by=order)
        return rows.mutate(n=ibis.row_number().over(latest)).filter(_.n == 0).drop("n")

    @property
    def has_dated_reps(self) -> bool:
        """Whether any row of reps says from when or until when it holds."""
        return bool({"valid_from", "valid_to"} & set(self.about["filled"]["reps"]))

    @property
    def assignments(self) -> ibis.Table:
        """Who was where, and below whom, from when to when: spans of each rep without gap or overlap; see
        `owners.assignments`."""
        views = self.whole._views
        if "assignments" not in views:
            rows = pa.Table.from_pandas(owners.assignments(self.whole), owners.SCHEMA, preserve_index=False)
            views["assignments"] = self._con.create_table(ibis.util.gen_name("assignments"), rows, temp=True)
        return views["assignments"]

    @property
    def quotas(self) -> ibis.Table:
        """The quotas as they are on `as_of`, of whatever period: one row per rep, period and kind at most."""
        return self._holding("quotas", "amount_minor")

    @property
    def quota_spells(self) -> ibis.Table:
        """All rows of quotas that had begun by `as_of`: which quota of a period was valid from when to when."""
        return self._begun("quotas")

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
    def subscriptions(self) -> ibis.Table:
        """Contracts that had begun; one that ended later still ran. What has no day is known with the last day only."""
        rows = self._read("subscriptions")
        day, complete = ibis.literal(self.as_of), ibis.literal(self.complete)
        rows = rows.filter((rows.started_on <= day) | (rows.started_on.isnull() & complete))
        ended = ibis.ifelse(rows.ended_on <= day, rows.ended_on, ibis.null("date"))
        flags = {
            name: ibis.ifelse(complete, rows[name], ibis.null(rows[name].type()))
            for name in ("status", "tenure_months")
        }
        return rows.mutate(ended_on=ended, **flags)

    @property
    def cancellations(self) -> ibis.Table:
        return self._read("cancellations").filter(_.cancelled_on <= ibis.literal(self.as_of))

    @property
    def purchases(self) -> ibis.Table:
        return self._read("purchases").filter(_.bought_at < self.cut)

    @property
    def payments(self) -> ibis.Table:
        return self._read("payments").filter(_.paid_at < self.cut)

    @property
    def rates(self) -> ibis.Table:
        return self._read("rates").filter(_.rate_on <= ibis.literal(self.as_of))

    @property
    def lines(self) -> ibis.Table:
        return self._read("lines")

    @property
    def splits(self) -> ibis.Table:
        """The shares of the credit for deals as they are on `as_of`: one row per deal, rep and kind at most."""
        return self._holding("splits", "share")

    @property
    def split_spells(self) -> ibis.Table:
        """All rows of splits that had begun by `as_of`: who had which share of a deal from when to when."""
        return self._begun("splits")


def open(
    source: str | Path,
    *,
    as_of: dt.date | str | None = None,
    region: str = "",
    team: str = "",
    vat: str = AS_GIVEN,
) -> Book:
    """The book of a source as known at the end of a day.

    Parameters
    ----------
    source : `sample` (or `sample:deals=20000,seed=7`); `<mapping>:<folder>`, where the mapping is
        `params/crm/<mapping>.yml`; or a folder that holds a prepared book. Folders count from the project.
    as_of : the last day known, inclusive; None is the last day in the data.
    region, team : only deals of this region or team; blank is all.
    vat : amounts `as_given`, with VAT (`in`) or without it (`out`).

    Raises
    ------
    BadInput
        If the source cannot be read; with every problem at once.
    ValueError
        If no deal has that region or team, or the source does not say its VAT.
    """
    as_of = dt.date.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    located = locate(str(source))
    if not located.made:
        _prepare(str(source), located)
    cache.note_use(located.folder)
    return Book(located.folder, as_of, located=located, vat=vat).only(region=region, team=team)


def _prepare(source: str, located: Located) -> None:
    """Prepare the book of inputs that were not seen before, or whose book is damaged; one process at a time."""
    if located.given:
        raise BadInput(f"source {source} cannot be read", ["its prepared book is gone; run again"])
    with cache.preparing(located) as draft:
        if draft is None:  # another process has prepared it meanwhile
            return
        from salesops.crm import making  # what reads exports is not needed to open a book made before

        making.make(draft, located)
        if locate(source).key != located.key:
            raise BadInput(f"source {source} cannot be read", ["its files changed while they were read; run again"])
