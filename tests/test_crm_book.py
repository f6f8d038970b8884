"""Books as known on a day: the rebuilt past equals a replay of the log in plain Python."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from salesops import crm
from salesops.crm import prepare
from salesops.crm.tables import TABLES
from salesops.problems import BadInput

from tests.conftest import examples

START = dt.datetime(2026, 1, 1)
LAST = dt.date(2026, 3, 1)
STAGES = [
    ("", "Lead", 1, "open"),
    ("", "Offer", 2, "open"),
    ("", "Talks", 3, "open"),
    ("", "Won", 4, "won"),
    ("", "Lost", 5, "lost"),
]
ABOUT = {
    "title": "t",
    "currency": "USD",
    "minor_digits": 2,
    "time_zone": "UTC",
    "exported_on": "2026-03-01",
    "n_refused": {},
    "refused": [],
    "n_left_out": {},
    "repairs": [],
    "notes_of_files": [],
    "written": {},
    "converted": [],
    "vat": None,
    "sha256": "0",
}


def write(folder, deals: list[dict], changes: list[dict], about=ABOUT) -> crm.Book:
    folder.mkdir(parents=True, exist_ok=True)
    stages = [dict(zip(("pipeline", "stage", "position", "kind"), row, strict=True)) for row in STAGES]
    for name, rows in (("deals", deals), ("changes", changes), ("stages", stages)):
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].schema), folder / f"{name}.parquet")
    prepare.prepare(folder, about)
    return crm.Book(folder)


EVENT = st.tuples(st.integers(0, 50), st.sampled_from(["stage", "amount"]), st.integers(0, 4))
LIVES = st.lists(st.tuples(st.integers(0, 30), st.lists(EVENT, max_size=8)), min_size=1, max_size=8)


def history(lives) -> tuple[list[dict], list[dict]]:
    """Deals as they are at last, and their log; the first values of each deal are Lead and 100."""
    deals, changes = [], []
    for number, (created, events) in enumerate(lives):
        now = {"stage": "Lead", "amount": 100}
        for day, field, value in sorted(events, key=lambda event: event[0]):
            new = STAGES[value][1] if field == "stage" else (value + 1) * 100
            at = START + dt.timedelta(days=created + 1 + day, hours=number)
            changes.append(
                {
                    "deal_id": f"d{number}",
                    "changed_at": at,
                    "field": field,
                    "old_value": str(now[field]),
                    "new_value": str(new),
                }
            )
            now[field] = new
        deals.append(
            {
                "deal_id": f"d{number}",
                "pipeline": "",
                "stage": now["stage"],
                "amount_minor": now["amount"],
                "currency": "USD",
                "created_at": START + dt.timedelta(days=created, hours=number),
            }
        )
    return deals, changes


def replay(deals, changes, day: dt.date) -> dict:
    """What was known at the end of a day: deal -> (stage, amount, status, closed at)."""
    end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time())
    kinds = {stage: kind for _, stage, _, kind in STAGES}
    known = {}
    for deal in deals:
        if deal["created_at"] >= end:
            continue
        now, since = {"stage": "Lead", "amount": "100"}, deal["created_at"]
        for change in changes:
            if change["deal_id"] == deal["deal_id"] and change["changed_at"] < end:
                if change["field"] == "stage" and kinds[change["new_value"]] != kinds[now["stage"]]:
                    since = change["changed_at"]
                now[change["field"]] = change["new_value"]
        kind = kinds[now["stage"]]
        logged = any(change["field"] == "amount" for change in changes) or kind != "open" or day >= LAST
        amount = int(now["amount"]) if logged else None  # what no log tells of an open deal is not known
        known[deal["deal_id"]] = (now["stage"], amount, kind, None if kind == "open" else since)
    return known


@pytest.mark.slow
@given(LIVES, st.integers(0, 59))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_day_in_the_past_is_what_a_replay_of_the_log_gives(tmp_path_factory, lives, day):
    deals, changes = history(lives)
    folder = tmp_path_factory.mktemp("book")
    write(folder, deals, changes)
    as_of = START.date() + dt.timedelta(days=day)
    rows = crm.Book(folder, as_of).deals.execute()
    found = {
        row.deal_id: (
            row.stage,
            None if pd.isna(row.amount_minor) else int(row.amount_minor),
            row.status,
            None if pd.isna(row.closed_at) else row.closed_at.to_pydatetime(),
        )
        for row in rows.itertuples()
    }
    assert found == replay(deals, changes, as_of)


@given(LIVES)
@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_visits_follow_each_other_without_gap_or_overlap(tmp_path_factory, lives):
    visits = write(tmp_path_factory.mktemp("book"), *history(lives)).visits.execute().sort_values(["deal_id", "seq"])
    for _, own in visits.groupby("deal_id"):
        assert own["seq"].tolist() == list(range(len(own)))
        assert own["left_at"].iloc[:-1].tolist() == own["entered_at"].iloc[1:].tolist()
        assert pd.isna(own["left_at"].iloc[-1])
        assert (own["stage"].iloc[1:].to_numpy() != own["stage"].iloc[:-1].to_numpy()).all()


@pytest.mark.slow
@given(LIVES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_month_ends_are_what_was_open_on_those_days(tmp_path_factory, lives):
    """The sweep line against the book opened at each month's end."""
    folder = tmp_path_factory.mktemp("book")
    write(folder, *history(lives), {**ABOUT, "time_zone": "Asia/Kolkata"})
    ends = crm.Book(folder).month_ends.execute()
    for month, rows in ends.groupby("month_on"):
        last_on = (pd.Timestamp(month) + pd.offsets.MonthEnd()).date()
        known = crm.Book(folder, last_on).deals.execute().query("status == 'open'")
        by_stage = known.groupby("stage")["amount_minor"].agg(["size", "sum"])
        found = rows[rows["n_open"] != 0].set_index("stage")
        assert found["n_open"].to_dict() == by_stage["size"].to_dict()
        if "amount" in crm.Book(folder).about["tracked"]:
            assert found["amount_minor"].to_dict() == by_stage["sum"].to_dict()
        else:
            assert found["amount_minor"].isna().all()
    assert len(ends) or not lives


def test_what_happens_after_the_day_changes_nothing_known_on_it(tmp_path):
    lives = [(0, [(5, "stage", 1), (20, "stage", 3)]), (3, [(2, "amount", 4), (30, "stage", 4)]), (40, [])]
    changed = [
        (0, [(5, "stage", 1), (20, "stage", 4), (21, "amount", 3)]),
        (3, [(2, "amount", 4), (39, "stage", 2)]),
        (45, []),
    ]
    seen = []
    for name, version in (("one", lives), ("two", changed)):
        write(tmp_path / name, *history(version))
        known = crm.Book(tmp_path / name, START.date() + dt.timedelta(days=15))
        seen.append((known.deals.order_by("deal_id").execute(), known.visits.order_by("deal_id", "seq").execute()))
    for one, two in zip(*seen, strict=True):
        pd.testing.assert_frame_equal(one, two)


def test_moves_are_named(tmp_path):
    lives = [
        (0, [(1, "stage", 2), (2, "stage", 1), (3, "stage", 2), (4, "stage", 4), (5, "stage", 2), (6, "stage", 3)])
    ]
    visits = write(tmp_path / "b", *history(lives)).visits.order_by("seq").execute()
    assert visits["entry_kind"].tolist() == ["new", "skip", "back", "advance", "close", "reopen", "close"]


def test_as_of_never_runs_past_the_data_and_a_day_belongs_to_its_time_zone(tmp_path):
    deals, changes = history([(0, [])])
    write(tmp_path / "b", deals, changes, {**ABOUT, "time_zone": "Asia/Tokyo"})
    assert crm.Book(tmp_path / "b", dt.date(2030, 1, 1)).as_of == dt.date(2026, 3, 1)
    known = crm.Book(tmp_path / "b", dt.date(2026, 1, 1))
    assert known.cut == dt.datetime(2026, 1, 1, 15)  # midnight in Tokyo
    assert crm.Book(tmp_path / "b", dt.date(2025, 12, 31)).deals.count().execute() == 0


def test_a_source_without_history_says_so(tmp_path):
    deals = [
        {"deal_id": "a", "pipeline": "", "stage": "Offer", "created_at": START},
        {
            "deal_id": "b",
            "pipeline": "",
            "stage": "Won",
            "created_at": START,
            "closed_at": START + dt.timedelta(days=9),
        },
        {
            "deal_id": "c",
            "pipeline": "",
            "stage": "Lost",
            "created_at": START,
            "closed_at": START - dt.timedelta(days=2),
        },
        {"deal_id": "d", "pipeline": "", "stage": "Lead", "created_at": None},
    ]
    book = write(tmp_path / "b", deals, [])
    assert book.about["history"] == "current_stage"
    assert book.about["notes"] == {
        "older_than_log": 0,
        "created_unknown": 1,
        "closed_undated": 0,
        "closed_before_created": 1,
        "stage_not_as_logged": 0,
    }
    early = crm.Book(tmp_path / "b", START.date() + dt.timedelta(days=3)).deals.execute().set_index("deal_id")
    assert early.loc["b", "status"] == "open" and pd.isna(early.loc["b", "stage"])
    assert "d" not in early.index  # without a date it is known with the last day only
    assert book.deals.execute().set_index("deal_id")["status"].to_dict() == {
        "a": "open",
        "b": "won",
        "c": "lost",
        "d": "open",
    }


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nowhere", "allowed: sample, 1c:<folder>, amocrm:<folder>, "),
        ("maven:nowhere", "there is no folder"),
        ("sample:deals=10", "deals=10: allowed are 2,000 to 5,000,000"),
        ("sample:deals=3e3,sead=1", "'sead=1': write deals=20000"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(source, says):
    with pytest.raises(BadInput) as error:
        crm.open(source)
    assert says in str(error.value)


def test_every_table_is_declared_and_reachable():
    assert all(hasattr(crm.Book, name) for name in TABLES)
    for table in TABLES.values():
        assert all(column.meaning for column in table.columns)
        assert set(table.key) <= set(table.names)


# --- what was valid on a day ---

PIPES = [("New", "Idea", 1, "open"), ("New", "Offer", 2, "open"), ("New", "Done", 3, "won"), ("New", "Lost", 4, "lost"),
         ("Care", "Call", 1, "open"), ("Care", "Talks", 2, "open"), ("Care", "Offer", 3, "open"),
         ("Care", "Done", 4, "open"), ("Care", "Paid", 5, "won")]  # fmt: skip


def moved(folder, log: list[tuple], *, stage: str, pipeline: str = "Care", closed: int | None = None) -> crm.Book:
    """One deal, created on 1 January: its log as (day of January, hour, field, old, new), and where it is now."""
    deal = {"deal_id": "d", "pipeline": pipeline, "stage": stage, "created_at": START, "amount_minor": 100,
            "closed_at": closed and START + dt.timedelta(days=closed - 1)}  # fmt: skip
    changes = [
        {
            "deal_id": "d",
            "changed_at": dt.datetime(2026, 1, day, hour),
            "field": field,
            "old_value": old,
            "new_value": new,
        }
        for day, hour, field, old, new in log
    ]
    folder.mkdir(parents=True)
    stages = [dict(zip(("pipeline", "stage", "position", "kind"), row, strict=True)) for row in PIPES]
    for name, rows in (("deals", [deal]), ("changes", changes), ("stages", stages)):
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].schema), folder / f"{name}.parquet")
    prepare.prepare(folder, ABOUT)
    return crm.Book(folder)


def stays(book: crm.Book) -> list[tuple]:
    rows = book.visits.order_by("seq").execute()
    return [(row.entered_at.day, row.pipeline, row.stage, row.position, row.kind, row.entry_kind)
            for row in rows.itertuples()]  # fmt: skip


def test_a_stay_is_in_the_pipeline_that_the_deal_was_in_when_it_began(tmp_path):
    """New: Idea, Offer; on the 10th to Care, where Offer is the third stage; there to Talks, the second."""
    log = [(5, 9, "stage", "Idea", "Offer"), (10, 9, "pipeline", "New", "Care"), (12, 9, "stage", "Offer", "Talks")]
    book = moved(tmp_path / "b", log, stage="Talks")
    assert stays(book) == [
        (1, "New", "Idea", 1, "open", "new"), (5, "New", "Offer", 2, "open", "advance"),
        (10, "Care", "Offer", 3, "open", "moved"), (12, "Care", "Talks", 2, "open", "back"),
    ]  # fmt: skip
    for day, expected in ((4, ("New", "Idea", 1)), (9, ("New", "Offer", 2)), (10, ("Care", "Offer", 3))):
        deal = book.on(dt.date(2026, 1, day)).deals.execute().iloc[0]
        assert (deal["pipeline"], deal["stage"], deal["position"]) == expected, day
    assert [row[1] for row in book.own_visits.order_by("seq").execute()[["seq", "pipeline"]].to_numpy()] == ["Care"] * 2
    ends = book.month_ends.execute()
    assert set(ends[ends["n_open"] > 0]["pipeline"]) == {"Care"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_one_moment_the_pipeline_changes_before_the_stage(tmp_path, order):
    """Done is won in New and open in Care: moved and put there at once, the deal is open; no stay lasts no time."""
    log = [(10, 9, "pipeline", "New", "Care"), (10, 9, "stage", "Idea", "Done")][::order]
    assert stays(moved(tmp_path / "b", log, stage="Done")) == [
        (1, "New", "Idea", 1, "open", "new"), (10, "Care", "Done", 4, "open", "moved"),
    ]  # fmt: skip


def test_a_stage_logged_before_its_pipeline_is_that_of_the_pipeline_now(tmp_path):
    """Paid is no stage of New: the log of stages is right to the day, that of pipelines as late as a snapshot."""
    log = [(10, 9, "stage", "Idea", "Paid"), (31, 23, "pipeline", "New", "Care")]
    book = moved(tmp_path / "b", log, stage="Paid", closed=10)
    assert stays(book) == [(1, "New", "Idea", 1, "open", "new"), (10, "Care", "Paid", 5, "won", "close")]
    assert book.deals.execute()["closed_at"].dt.day.tolist() == [10]


def test_a_pipeline_that_is_not_logged_is_known_on_every_day(tmp_path):
    book = moved(tmp_path / "b", [(5, 9, "stage", "Call", "Talks")], stage="Talks")
    deal = book.on(dt.date(2026, 1, 3)).deals.execute().iloc[0]
    assert (deal["pipeline"], deal["stage"]) == ("Care", "Call")


def dated(folder, **tables: list[dict]) -> crm.Book:
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        days = [row | {key: row.get(key) and dt.date.fromisoformat(row[key]) for key in ("valid_from", "valid_to")}
                for row in rows]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(days, schema=TABLES[name].schema), folder / f"{name}.parquet")
    return write(folder, *history([(0, [])]))


def test_splits_and_quotas_are_those_of_the_day_and_of_each_at_most_one(tmp_path):
    quota = {"rep_id": "r", "period": "2026-Q1", "kind": "bookings"}
    book = dated(
        tmp_path / "b",
        quotas=[quota | {"amount_minor": 100, "valid_to": "2026-01-31"}, quota | {"amount_minor": 150},
                quota | {"amount_minor": 120, "valid_from": "2026-02-01"},
                quota | {"amount_minor": 7, "valid_from": "2026-02-20", "valid_to": "2026-02-22"}],
        splits=[{"deal_id": "d0", "rep_id": "r", "share": 0.5, "valid_to": "2026-02-10"},
                {"deal_id": "d0", "rep_id": "r", "share": 0.1, "kind": "overlay"},
                {"deal_id": "d0", "rep_id": "s", "share": 1.0, "valid_from": "2026-02-11", "valid_to": "2026-12-31"}],
    )  # fmt: skip
    shown = {}
    for day in (dt.date(2026, 2, 10), dt.date(2026, 2, 11), dt.date(2026, 2, 21), dt.date(2026, 2, 23)):
        then = book.on(day)
        splits = then.splits.order_by("rep_id", "kind").execute()
        shown[day.day] = (
            then.quotas.execute()["amount_minor"].tolist(),
            splits["kind"].tolist(),
            splits["share"].tolist(),
        )
    after = ["overlay", "direct"], [0.1, 1.0]
    assert shown == {10: ([120], ["direct", "overlay"], [0.5, 0.1]), 11: ([120], *after), 21: ([7], *after),
                     23: ([120], *after)}  # fmt: skip
    assert len(book.on(dt.date(2026, 2, 10)).quota_spells.execute()) == 3, "the last has not begun"
    ends = book.on(dt.date(2026, 2, 20)).split_spells.order_by("valid_to").execute()["valid_to"]
    assert ends.notna().sum() == 1 and book.splits.execute()["valid_to"].isna().all(), "an end to come is not known"
    assert book.on(dt.date(2026, 2, 10)).split_spells.execute()["valid_to"].isna().all(), "the last day is not over"


def test_a_reps_row_without_a_last_day_ends_before_the_next_one(tmp_path):
    """Else two managers would be paid for one rep."""
    rows = [{"rep_id": "r", "manager_id": boss, "valid_from": day} for boss, day in (("m", None), ("n", "2026-02-01"))]
    book = dated(tmp_path / "b", reps=rows)
    ends = book.rep_spells.order_by("manager_id").execute()["valid_to"]
    assert str(ends[0])[:10] == "2026-01-31" and pd.isna(ends[1])
    assert book.on(dt.date(2026, 1, 31)).rep_spells.execute()["valid_to"].isna().all()


def test_who_is_on_leave_is_not_counted_as_there(tmp_path):
    rows = [{"rep_id": "r", "status": "active", "valid_to": "2026-01-31"},
            {"rep_id": "r", "status": "leave", "valid_from": "2026-02-01"},
            {"rep_id": "s", "status": "active"}]  # fmt: skip
    book = dated(tmp_path / "b", reps=rows)
    assert [crm.count_reps(book.on(dt.date(2026, month, 15))) for month in (1, 2)] == [2, 1]
