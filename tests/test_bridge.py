"""The bridge: to the cent against a replay of random change logs, coverage and pushes against loops."""

import datetime as dt
import functools
import itertools
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from salesops import crm, lang, periods
from salesops.bridge import charts, measure, moves, pushes, words
from salesops.bridge.moves import MOVEMENTS, OUT
from salesops.crm import prepare
from salesops.crm.tables import TABLES

from tests.conftest import checked, examples
from tests.test_crm_book import ABOUT, STAGES, START

params = functools.partial(checked, "bridge")


@pytest.fixture(scope="module")
def found(book):
    return measure(book, params())


KINDS = {stage: kind for _, stage, _, kind in STAGES}
EVENT = st.tuples(
    st.integers(0, 57 * 24), st.sampled_from(["stage", "amount", "expected_close_on"]), st.integers(0, 4), st.booleans()
)
LIVES = st.lists(st.tuples(st.integers(0, 50), st.lists(EVENT, max_size=9)), min_size=1, max_size=60)
DUE = [dt.date(2026, month, 15) for month in (1, 2, 3, 6)]
FRAME = periods.parse("2026-02")


def logs(lives) -> tuple[list[dict], list[dict]]:
    """Deals and their log; values are from the start Lead, 1.00 and 15 February; some changes come at one moment."""
    deals, changes = [], []
    for number, (created, events) in enumerate(lives):
        now = {"stage": "Lead", "amount": "100", "expected_close_on": str(DUE[1])}
        begun = START + dt.timedelta(days=created, seconds=number)
        deal, last = f"d{number}", begun
        for field, value in now.items():
            changes.append(
                {"deal_id": deal, "changed_at": begun, "field": field, "old_value": None, "new_value": value}
            )
        for hours, field, value, together in sorted(events, key=lambda event: event[0]):
            at = last if together else max(START + dt.timedelta(hours=hours, seconds=number), begun)
            new = {
                "stage": STAGES[value][1],
                "amount": str((value + 1) * 100),
                "expected_close_on": str(DUE[value % 4]),
            }[field]
            if new != now[field]:
                changes.append(
                    {"deal_id": deal, "changed_at": at, "field": field, "old_value": now[field], "new_value": new}
                )
                now[field], last = new, at
        deals.append({"deal_id": deal, "pipeline": "", "stage": now["stage"], "amount_minor": int(now["amount"]), "currency": "USD",
                      "created_at": begun, "expected_close_on": dt.date.fromisoformat(now["expected_close_on"])})  # fmt: skip
    changes.sort(key=lambda change: change["changed_at"])
    return deals, changes


def write(folder, deals, changes) -> crm.Book:
    folder.mkdir(parents=True, exist_ok=True)
    stages = [dict(zip(("pipeline", "stage", "position", "kind"), row, strict=True)) for row in STAGES]
    for name, rows in (("deals", deals), ("changes", changes), ("stages", stages)):
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].schema), folder / f"{name}.parquet")
    prepare.prepare(folder, ABOUT)
    return crm.Book(folder)


def spans_of(deal: str, changes: list[dict]) -> list[tuple]:
    """(moment, stage, amount, due) of one deal, each as it was after all changes of the moment."""
    now, spans = {}, []
    for change in changes:
        if change["deal_id"] == deal:
            now[change["field"]] = change["new_value"]
            if spans and spans[-1][0] == change["changed_at"]:
                spans.pop()
            spans.append((change["changed_at"], dict(now)))
    return [(at, KINDS[v["stage"]], int(v["amount"]), dt.date.fromisoformat(v["expected_close_on"])) for at, v in spans]


def replay(deals, changes, start, end, slip) -> dict[str, int]:
    """The bridge in plain Python, deal by deal, by the rule that the page states."""
    total = dict.fromkeys(("opening", *MOVEMENTS, "closing"), 0)
    inside = lambda kind, due: kind == "open" and FRAME.first_on <= due <= FRAME.last_on  # noqa: E731
    for deal in deals:
        gross, before = dict.fromkeys(MOVEMENTS, 0), None
        for at, kind, amount, due in spans_of(deal["deal_id"], changes):
            if at >= end:
                break
            member = inside(kind, due)
            if at >= start:
                was_member = before is not None and before[3]
                if before is None:
                    gross["created"] += amount if member else 0
                elif not was_member and member:
                    gross["pulled_in" if before[0] == "open" else "reopened"] += before[1]
                    gross["increased"] += max(amount - before[1], 0)
                    gross["decreased"] += max(before[1] - amount, 0)
                elif was_member and (member or kind != "open"):
                    gross["increased"] += max(amount - before[1], 0)
                    gross["decreased"] += max(before[1] - amount, 0)
                    if kind != "open":
                        gross[kind] += amount
                elif was_member:
                    gross["slipped" if at >= slip else "pushed_out"] += before[1]
            before = (kind, amount, due, member)
            if at < start:
                opening = amount if member else 0
        first = spans_of(deal["deal_id"], changes)[0][0]
        total["opening"] += opening if first < start else 0
        total["closing"] += before[1] if before and before[3] else 0
        for into, out in (("pulled_in", "pushed_out"), ("pulled_in", "slipped"), ("increased", "decreased"),
                          ("reopened", "lost"), ("reopened", "won")):  # fmt: skip
            both = min(gross[into], gross[out])
            gross[into] -= both
            gross[out] -= both
        for name, value in gross.items():
            total[name] += -value if name in OUT else value
    return total


@given(LIVES)
@settings(
    max_examples=examples(5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@pytest.mark.slow
def test_the_bridge_of_random_logs_is_a_replay_of_them_to_the_cent(tmp_path_factory, lives):
    deals, changes = logs(lives)
    book = write(tmp_path_factory.mktemp("book"), deals, changes)
    asked = params(source="x", period="2026-02", span="period", segment_by="none", slip_from=60)
    end = min(FRAME.last_on, book.as_of)
    found = moves.measure(book, asked, FRAME, end)
    start = dt.datetime.combine(FRAME.first_on, dt.time())
    slip = dt.datetime.combine(FRAME.last_on - dt.timedelta(days=round(30 * 28 / 90)), dt.time())
    table = found.total.set_index("movement")["amount"] * 100
    expected = replay(deals, changes, start, dt.datetime.combine(end + dt.timedelta(days=1), dt.time()), slip)
    assert {name: round(value) for name, value in table.items()} == expected
    assert expected["opening"] + sum(expected[name] for name in MOVEMENTS) == expected["closing"]


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(0, 50))
@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_thousands_of_random_logs_close(tmp_path_factory, seed, first):
    rng = np.random.default_rng(seed)
    fields = ["stage", "amount", "expected_close_on"]
    lives = [
        (int(rng.integers(0, 51)), [(int(rng.integers(0, 57 * 24)), fields[rng.integers(3)], int(rng.integers(5)), bool(rng.integers(2)))
                                    for _ in range(rng.integers(9))]) for _ in range(500)
    ]  # fmt: skip
    deals, changes = logs(lives)
    book = write(tmp_path_factory.mktemp("book"), deals, changes)
    asked = params(
        source="x",
        period="2026-02",
        span="period",
        segment_by="none",
        opening_day=first % 28,
        due=("span", "all")[seed % 2],
    )
    found = moves.measure(book, asked, FRAME, FRAME.last_on)  # refuses to return what does not close
    amounts = found.total["amount"] * 100
    assert round(amounts.iloc[:-1].sum()) == round(amounts.iloc[-1])


SLOW = [
    {"period": "2026-09"},
    {"period": "2025-03", "due": "all"},
    {"period": "2026-08", "span": "period"},
    {"period": "2026-10", "region": "EMEA"},
    {"period": "2026-10", "pipeline": "Expansion"},
]


@pytest.mark.parametrize(
    "changed",
    [{"period": "2026-09", "opening_day": 5}, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)],
    ids=str,
)
def test_the_bridge_of_the_sample_company_closes_by_group_and_in_all(changed):
    asked = params(**changed)
    found = measure(crm.open(**asked.book), asked)
    for bridge in filter(None, (found.bridge, found.before)):
        amounts = bridge.total.set_index("movement")["amount"]
        assert round(amounts["opening"] * 100) + round(amounts[list(MOVEMENTS)].sum() * 100) == round(
            amounts["closing"] * 100
        )
        for name in amounts.index:
            assert bridge.groups[name].sum() == pytest.approx(amounts[name], abs=1e-6)
        sums = bridge.groups[["opening", *MOVEMENTS]].sum(axis=1)
        assert sums.to_numpy() == pytest.approx(bridge.groups["closing"].to_numpy(), abs=1e-6)


def test_every_movement_of_the_sample_company_happens_somewhere():
    asked = params(period="2026-09", opening_day=5)
    total = measure(crm.open(**asked.book), asked).bridge.total.set_index("movement")
    assert (
        total.loc[["created", "increased", "reopened", "decreased", "won", "lost", "slipped", "pushed_out"], "n"] > 0
    ).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_the_bridge_closes_on_other_seeds(seed):
    asked = params(source=f"sample:deals=4000,seed={seed}", period="2026-09")
    measure(crm.open(**asked.book), asked)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_bridge_closes_on_bpic2012(data):
    """13,087 cases, no expected closing days: every open deal counts, by the day it was begun and ended."""
    asked = params(source=f"bpic2012:{data}/bpic2012", period="2011-12", span="period", segment_by="none")
    book = crm.open(**asked.book)
    assert moves.measure(book, asked, asked.frame, asked.frame.last_on).total["amount"].isna().all()  # on no log
    found = moves.measure(
        book, asked, asked.frame, asked.frame.last_on, amounts=True
    )  # refuses to return what does not close
    total = found.total.set_index("movement")
    assert not found.due and total.loc["closing", "amount"] > 0
    deals = crm.open(f"bpic2012:{data}/bpic2012").deals.execute()
    begun, ended = deals["created_at"], deals["closed_at"]
    low, high = (
        pd.Timestamp(moment)
        for moment in (
            periods.start_of(asked.frame.first_on, book.time_zone),
            periods.end_of(asked.frame.last_on, book.time_zone),
        )
    )
    is_open = lambda moment: (begun < moment) & (ended.isna() | (ended >= moment))  # noqa: E731
    assert total.loc["opening", "n"] == is_open(low).sum() and total.loc["closing", "n"] == is_open(high).sum()
    assert total.loc["created", "n"] == ((begun >= low) & (begun < high)).sum()


def test_created_and_landed_are_those_of_a_loop(book, found):
    deals = book.deals.execute()
    won = deals[(deals["status"] == "won") & (deals["closed_at"] >= "2026-10-01")]
    landed = won[won["created_at"] >= "2026-10-01"]
    assert (found.bridge.landed_n, found.bridge.booked_n) == (len(landed), len(won))
    assert (found.bridge.landed, found.bridge.booked) == (
        landed["amount_minor"].sum() / 100,
        won["amount_minor"].sum() / 100,
    )


def test_coverage_is_that_of_a_loop_over_states(book, found):
    """Open, due in the quarter, at the end of day 28 of each of two quarters; what was booked before and after."""
    states = crm.Book(book.folder).states.execute()
    deals = book.deals.execute()
    won = deals[deals["status"] == "won"]
    for quarter, last in (("2026-Q2", dt.date(2026, 6, 30)), ("2025-Q1", dt.date(2025, 3, 31))):
        span, cut = periods.parse(quarter), pd.Timestamp(last - dt.timedelta(days=90 - 29)) + pd.Timedelta(days=1)
        due = pd.to_datetime(states["expected_close_on"]).dt.date.between(span.first_on, span.last_on)
        here = (
            (states["kind"] == "open")
            & due
            & (states["entered_at"] < cut)
            & (states["left_at"].isna() | (states["left_at"] >= cut))
        )
        inside = won[
            (won["closed_at"] >= str(span.first_on))
            & (won["closed_at"] < pd.Timestamp(span.last_on) + pd.Timedelta(days=1))
        ]
        final, booked = (
            inside["amount_minor"].sum() / 100,
            inside.loc[inside["closed_at"] < cut, "amount_minor"].sum() / 100,
        )
        row = found.coverage.past.set_index("quarter").loc[quarter]
        assert (row["open"], row["booked"], row["final"]) == (
            states.loc[here, "amount_minor"].sum() / 100,
            booked,
            final,
        )
        assert row["needed"] == pytest.approx(row["open"] / (final - booked))
    quotas = book.quotas.execute()
    assert found.coverage.target == quotas.loc[quotas["period"] == "2026-Q4", "amount_minor"].sum() / 100
    assert found.coverage.now == pytest.approx(
        found.coverage.open_now / (found.coverage.target - found.coverage.booked)
    )


def test_needed_coverage_is_students_interval_in_logarithms():
    from salesops.bridge import coverage

    ratios = [2.0, 3.0, 2.5, 2.2]
    found = coverage._needed(pd.DataFrame({"needed": ratios}))
    logs = np.log(ratios)
    half = 3.182446 * logs.std(ddof=1) * np.sqrt(1 + 1 / 4)  # t at 3 degrees of freedom, from a table
    assert found["needed"].low == pytest.approx(np.exp(logs.mean() - half), rel=1e-6)
    assert found["needed"].value == pytest.approx(np.exp(logs.mean())) and found["needed"].n == 4
    assert coverage._needed(pd.DataFrame({"needed": ratios[:3]}))["needed"] is None
    assert coverage._needed(pd.DataFrame({"needed": [*ratios, np.nan]}))["needed"] is None  # nothing came in one
    assert coverage._needed(pd.DataFrame({"needed": [0.1, 9.0, 0.5, 4.0]}))["needed"] is None  # says too little


def test_quotas_of_quarters_and_of_months_add_up_by_rep(tmp_path):
    deals, changes = logs([(1, [])])
    (tmp_path / "b").mkdir()
    rows = [{"rep_id": "r1", "period": "2026-Q1", "amount_minor": 1000, "currency": "USD", "kind": "bookings"}]
    rows += [
        {"rep_id": "r2", "period": f"2026-0{k}", "amount_minor": 500, "currency": "USD", "kind": "bookings"}
        for k in (1, 2, 3)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["quotas"].schema), tmp_path / "b" / "quotas.parquet")
    book = write(tmp_path / "b", deals, changes)
    assert crm.find_quota(book, periods.parse("2026-Q1")) == (25.0, "")
    assert crm.find_quota(book, periods.parse("2026-Q2")) == (None, "not_for_quarter")
    assert crm.find_quota(book, periods.parse("2026-Q1"), pipeline="x") == (None, "one_pipeline")


@pytest.mark.slow
def test_the_interval_of_needed_coverage_holds_the_next_quarter():
    """Nine in ten or more of the quarters that follow, over days of the quarter and seeds of the sample company."""
    inside = []
    for seed in range(1, 3):
        for period in ("2026-01", "2026-04", "2026-07", "2025-10"):
            asked = params(source=f"sample:deals=6000,seed={seed}", period=period)
            cover = measure(crm.open(**asked.book), asked).coverage
            final = measure(
                crm.open(**params(source=asked.source, period=str(cover.quarter.name)).book),
                params(source=asked.source, period=cover.quarter.name),
            ).coverage.booked
            if cover.landing is not None:
                inside.append(cover.landing.low <= final <= cover.landing.high)
    assert len(inside) >= 6 and np.mean(inside) >= 0.85


@pytest.mark.slow
def test_pushes_are_those_of_a_loop_over_the_log(book, found):
    """Moves of the closing day to a later month while the deal is open, before and after."""
    changes = book.changes.filter(book.changes.field == "expected_close_on").execute()
    deals = book.deals.execute().set_index("deal_id")
    stays = {deal: list(zip(own["entered_at"], own["kind"], strict=True))
             for deal, own in book.visits.execute().sort_values(["deal_id", "entered_at"]).groupby("deal_id")}  # fmt: skip
    counts = {}
    for row in changes.sort_values("changed_at").itertuples():
        if not isinstance(row.old_value, str) or row.new_value[:7] <= row.old_value[:7]:
            continue
        before = [kind for at, kind in stays[row.deal_id] if at < row.changed_at]
        after = [kind for at, kind in stays[row.deal_id] if at <= row.changed_at]
        if before and before[-1] == after[-1] == "open":
            counts.setdefault(row.deal_id, []).append(row.changed_at)
    since = pd.Timestamp("2024-11-01")
    table = found.pushes.set_index("pushes")
    for k in (1, 2, 3, 4):
        assert table.loc[k, "n"] == sum(len(at) >= k and at[k - 1] >= since for at in counts.values())
    never = deals[(deals["created_at"] >= since)]
    assert table.loc[0, "n"] == len(never)
    still = deals[deals["status"] == "open"]
    assert table["n_open"].sum() == len(still)
    assert table["amount"].sum() == pytest.approx(still["amount_minor"].sum() / 100)


def test_a_push_is_a_later_month_while_open(tmp_path):
    day = lambda d, value: (d, "expected_close_on", value)  # noqa: E731
    at = lambda days, field, to: {"deal_id": "d0", "changed_at": START + dt.timedelta(days=days), "field": field, **to}  # noqa: E731
    changes = [
        at(0, "stage", {"old_value": None, "new_value": "Lead"}),
        at(0, "expected_close_on", {"old_value": None, "new_value": "2026-01-20"}),
        at(2, "expected_close_on", {"old_value": "2026-01-20", "new_value": "2026-01-30"}),  # the same month
        at(3, "expected_close_on", {"old_value": "2026-01-30", "new_value": "2026-02-03"}),  # a push
        at(4, "expected_close_on", {"old_value": "2026-02-03", "new_value": "2026-01-29"}),  # pulled in
        at(5, "expected_close_on", {"old_value": "2026-01-29", "new_value": "2026-03-01"}),  # a push
        at(6, "stage", {"old_value": "Lead", "new_value": "Won"}),
        at(6, "expected_close_on", {"old_value": "2026-03-01", "new_value": "2026-04-01"}),  # with the close: none
    ]
    deal = {"deal_id": "d0", "pipeline": "", "stage": "Won", "amount_minor": 100, "currency": "USD", "created_at": START,
            "expected_close_on": dt.date(2026, 4, 1)}  # fmt: skip
    book = write(tmp_path / "b", [deal], changes)
    table = pushes.measure(book, params(source="x", period="2026-01", segment_by="none")).set_index("pushes")
    assert table["n"].to_dict() == {0: 1, 1: 1, 2: 1, 3: 0, 4: 0} and day


def test_without_quotas_or_history_the_page_says_so(tmp_path):
    lives = [(n % 20, [(600, "stage", 3, False)]) for n in range(30)]
    deals, changes = logs(lives)
    book = write(tmp_path / "b", deals, [one for one in changes if one["field"] == "stage"])
    asked = params(source="x", period="2026-02", segment_by="none")
    found = measure(book, asked)
    assert found.coverage.target is None and found.coverage.no_target == "no_amounts" and found.pushes.empty
    assert not found.bridge.due and "expected to close" not in words.tiles_note(found)
    table = words.coverage_table(found, "USD")
    assert table is None or any("No target" in note for note in table.notes)
    assert not [one for one in words.findings(found, "USD") if "coverage" in one.headline]
    early = measure(crm.Book(tmp_path / "b", dt.date(2026, 2, 1)), asked)  # amounts are on no log: not known then
    assert not early.bridge.amounts and early.bridge.total["amount"].isna().all()
    assert "not known" in words.tiles_note(early)


@pytest.mark.slow
def test_what_is_learned_later_does_not_change_the_bridge(tmp_path):
    base = [(n % 20, [(300 + n, "amount", n % 5, False), (500, "expected_close_on", 2, False)]) for n in range(40)]
    found = []
    for late in (0, 3):
        lives = [(created, [*events, (1200 + late, "stage", 3 + late % 2, False)]) for created, events in base]
        deals, changes = logs([*lives, *[(45, [])] * late])
        write(tmp_path / str(late), deals, changes)
        book = crm.Book(tmp_path / str(late), dt.date(2026, 2, 10))
        found.append(measure(book, params(source="x", period="2026-02", segment_by="none")).bridge.total)
    assert found[0].equals(found[1])


@pytest.mark.parametrize(("changed", "says"), [
    ({"pipeline": "Renewals"}, "pipeline 'Renewals' is not in the source; it has: New business, Expansion"),
    ({"period": "2020-01"}, "no deal is known"),
    ({"period": "2026-10", "span": "period", "opening_day": 31}, "nothing lies between the end of 2026-10-31"),
])  # fmt: skip
def test_what_cannot_be_bridged_is_refused(changed, says):
    asked = params(**changed)
    with pytest.raises(ValueError, match=says):
        measure(crm.open(**asked.book), asked)


def test_words_hold_in_every_shape_of_result(found):
    other = params(due="all", segment_by="none", period="2026-09")
    shapes = [(params(), found), (other, measure(crm.open(**other.book), other))]
    for (asked, found), language in itertools.product(shapes, ("en", "ru")):
        lang.use(language)
        segment_by = asked.segment_by
        shown = [words.bridge_table(found, "USD"), words.group_table(found, segment_by, "USD"), words.moved_table(found, "USD"),
                 words.push_table(found, "USD"), words.coverage_table(found, "USD")]  # fmt: skip
        text = [
            part
            for made in (*words.findings(found, "USD"), *words.tiles(found, "USD"))
            for part in made
            if isinstance(part, str)
        ]
        text += [cell for t in shown if t for row in ([t.caption], t.columns, t.notes, *t.rows) for cell in row]
        text += [
            words.caption(found),
            words.bridge_alt(found, "USD"),
            words.coverage_alt(found),
            words.tiles_note(found),
            *words.facts(found, asked),
        ]
        assert not [part for part in text if re.search(r"[{}]|\b(nan|None|inf)\b", part)]
        assert all(len(row) == len(t.columns) == len(t.numeric) for t in shown if t for row in t.rows)


def test_charts_draw_what_they_are_given(found):
    axes = [Figure().add_subplot() for _ in range(3)]
    charts.plot_bridge(["a", "b", "c", "d"], [100.0, 30.0, -50.0, 80.0], ["w", "x", "y", "z"], ax=axes[0])
    assert [(bar.get_x(), bar.get_width()) for bar in axes[0].patches] == [(0, 100), (100, 30), (130, -50), (0, 80)]
    charts.plot_coverage(*words.coverage_curves(found), ax=axes[1])
    assert axes[1].lines[-1].get_ydata()[-1] == found.coverage.now
    charts.plot_coverage([0, 7], [None, None], [], [], ax=axes[2])
    assert "not known" in [text.get_text() for text in axes[2].texts]
