"""The leads: counts against plain Python, working hours minute by minute, answers against statsmodels, real data."""

import datetime as dt
import functools
import itertools
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from salesops import crm, lang, workdays, yamlfile
from salesops.crm import prepare
from salesops.crm.tables import TABLES
from salesops.leads import Params, charts, compute, counts, measure, words
from salesops.problems import BadInput
from statsmodels.duration.survfunc import SurvfuncRight

from tests.conftest import ROOT, checked
from tests.test_crm_book import ABOUT, START

params = functools.partial(checked, "leads")


@pytest.fixture(scope="module")
def found(book):
    return measure(book, params())


def write(folder, leads: list[dict], deals: list[dict] = (), about=ABOUT) -> crm.Book:
    folder.mkdir(parents=True, exist_ok=True)
    stages = [
        {"pipeline": "", "stage": s, "position": k, "kind": kind}
        for k, (s, kind) in enumerate((("Talks", "open"), ("Won", "won"), ("Lost", "lost")))
    ]
    for name, rows in (("leads", leads), ("deals", list(deals)), ("stages", stages)):
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].schema), folder / f"{name}.parquet")
    prepare.prepare(folder, about)
    return crm.Book(folder)


def test_counts_are_those_of_a_loop(book, found):
    leads = book.leads.execute()
    mine = leads[leads["created_at"] >= "2026-05-01"]
    status = book.deals.execute().set_index("deal_id")["status"]
    deal = mine["deal_id"].notna()
    accepted = deal | mine["sql_at"].notna()
    qualified = accepted | mine["mql_at"].notna()
    won = mine["deal_id"].map(status) == "won"
    assert found.n == len(mine)
    assert found.table["n"].tolist() == [len(mine), qualified.sum(), accepted.sum(), deal.sum()]
    assert found.table["n_moved"].tolist() == [qualified.sum(), accepted.sum(), deal.sum(), won.sum()]
    groups = found.groups.set_index("group")
    for source, part in mine.groupby("source"):
        row = groups.loc[source]
        assert (row["n"], row["n_deal"], row["n_won"]) == (
            len(part),
            part["deal_id"].notna().sum(),
            won[part.index].sum(),
        )
    assert groups["n"].sum() == found.n and (found.table["n_moved"] <= found.table["n"]).all()


def test_the_share_answered_is_that_of_statsmodels_in_working_hours(book, found):
    """From the leads, one by one: working hours until the answer, those waiting censored."""
    asked = params()
    leads = book.leads.execute()
    mine = leads[leads["created_at"] >= "2026-05-01"].reset_index(drop=True)
    deals = book.deals.execute().set_index("deal_id")["created_at"]
    cut = pd.Timestamp(book.cut)
    worked = mine["sql_at"].fillna(mine["deal_id"].map(deals))
    early = worked.notna() & ~(worked >= mine["first_response_at"])
    until = mine["first_response_at"].mask(early, worked).fillna(cut).clip(lower=mine["created_at"])
    answered = mine["first_response_at"].notna() & ~early
    hours = [np.ceil(60 * worked_hours(a, b, asked) - 1e-6) for a, b in zip(mine["created_at"], until, strict=True)]
    reference = SurvfuncRight(np.array(hours), answered.to_numpy())
    at = np.searchsorted(reference.surv_times, 240, side="right") - 1
    assert found.in_sla.value == pytest.approx(1 - reference.surv_prob[at], abs=1e-9)
    assert found.p90_hours.value == pytest.approx(reference.quantile(0.9) / 60)
    assert (found.n_waiting, found.n_unrecorded) == ((~answered & ~early).sum(), early.sum())


def worked_hours(begin: pd.Timestamp, end: pd.Timestamp, asked: Params) -> float:
    """Working hours between two moments (UTC), day by day."""
    total, day = 0.0, begin.floor("D")
    while day < end:
        works = workdays.is_working(day.date(), asked.calendar) if asked.calendar else day.weekday() < 5
        if works:
            opens, closes = day + pd.Timedelta(hours=asked.work_from), day + pd.Timedelta(hours=asked.work_to)
            total += max((min(end, closes) - max(begin, opens)) / pd.Timedelta(hours=1), 0.0)
        day += pd.Timedelta(days=1)
    return total


@given(
    st.lists(st.tuples(st.integers(0, 58 * 1440), st.integers(0, 20 * 1440)), min_size=1, max_size=30),
    st.sampled_from(["", "RU", "DE-BY"]),
    st.integers(0, 12),
)
@settings(max_examples=3, deadline=None)
def test_working_hours_are_those_of_a_walk_over_days(tmp_path_factory, spans, calendar, work_from):
    asked = params(
        source="x",
        period="2026-02",
        split_by="none",
        calendar=calendar,
        work_from=work_from,
        work_to=work_from + 8,
        min_leads=5,
    )
    begins = [START + dt.timedelta(minutes=a) for a, _length in spans]
    leads = [
        {"lead_id": f"l{k}", "created_at": a, "first_response_at": a + dt.timedelta(minutes=n)}
        for k, (a, (_a, n)) in enumerate(zip(begins, spans, strict=True))
    ]
    book = write(tmp_path_factory.mktemp("b"), leads)
    table = counts.waits(book, asked, counts.looked_at(book, asked))
    known = [row for row in leads if row["first_response_at"] < book.cut]
    expected = sorted(
        int(
            np.ceil(
                60 * worked_hours(pd.Timestamp(r["created_at"]), pd.Timestamp(r["first_response_at"]), asked) - 1e-6
            )
        )
        for r in known
    )
    mine = table[table["state"] == "answered"]
    assert sorted(np.repeat(mine["age"], mine["n"]).tolist()) == expected


def test_working_hours_are_those_of_the_reports_time_zone(tmp_path):
    """10:00 to 11:00 in Tokyo is one in the night in UTC."""
    at = dt.datetime(2026, 2, 3, 1, 0)
    leads = [{"lead_id": f"{n}", "created_at": at, "first_response_at": at + dt.timedelta(hours=1)} for n in range(9)]
    asked = params(source="x", period="2026-02", split_by="none", min_leads=5)
    assert (
        measure(write(tmp_path / "t", leads, about=ABOUT | {"time_zone": "Asia/Tokyo"}), asked).median_hours.value == 1
    )
    assert measure(write(tmp_path / "u", leads), asked).median_hours.value == 0


def test_quick_answers_that_do_nothing_are_not_said_to_help(found):
    """In the sample company an answer changes nothing; those answered late are not the ones that were to fail."""
    assert (found.answers["p_adjusted"] > 0.05).all()
    assert any("cannot be told apart" in one.headline for one in words.findings(found, params()))


def test_an_answer_counts_only_for_leads_that_were_no_deal_yet(tmp_path):
    leads, deals = [], []
    for n in range(60):
        at = START + dt.timedelta(hours=n)
        leads.append({"lead_id": f"l{n}", "created_at": at, "first_response_at": at + dt.timedelta(hours=2 if n % 2 else 30),
                      "deal_id": f"d{n}" if n % 3 == 0 else None})  # fmt: skip
        if n % 3 == 0:  # a deal after three hours
            deals.append(
                {"deal_id": f"d{n}", "pipeline": "", "stage": "Talks", "created_at": at + dt.timedelta(hours=3)}
            )
    book = write(tmp_path / "b", leads, deals)
    table = counts.answered_by(
        book,
        counts.looked_at(book, params(source="x", period="2026-02", split_by="none")),
        len(counts.steps_known(book)),
        (1, 4),
    )
    sizes = table.groupby(["landmark", "answered"])["n"].sum()
    assert sizes.to_dict() == {(1, False): 60, (4, False): 20, (4, True): 20}
    assert set(table.loc[table["landmark"] == 4, "outcome"]) == {"open"}


@pytest.mark.slow
@pytest.mark.real_data
def test_real_leads_have_their_published_shares(data):
    asked = Params.check(
        yamlfile.load(ROOT / "params" / "leads.olist.yml") | {"source": f"olist:{data}/olist_funnel_pristine"},
        where="the test",
    )
    book = crm.open(**asked.book)
    found = measure(book, asked)
    assert found.n == 8000 and found.steps == ("lead", "qualified", "deal", "won")
    groups = found.groups.set_index("group")
    for source, (n, won) in {"paid_search": (1586, 195), "organic_search": (2296, 271), "social": (1350, 75),
                             "unknown": (1099, 179), "email": (493, 15), crm.NOT_KNOWN: (60, 14)}.items():  # fmt: skip
        assert tuple(groups.loc[source, ["n", "n_won"]]) == (n, won)
    assert groups["n_won"].sum() == 842
    table = words.group_table(found, asked)
    assert {row[0]: row[4] for row in table.rows}["paid_search"] == "12.30%"
    assert "does not say: accepted" in " ".join(words.step_table(found).notes)
    assert words.answer_table(found) is None and "does not say when" in words.hours_note(found, asked)
    by_page = measure(book, asked.model_copy(update={"split_by": "campaign"}))
    assert by_page.groups["n"].sum() == 8000 and len(words.group_table(by_page, asked).rows) == compute.MOST_GROUPS


def test_regions_and_teams_narrow_the_leads(book):
    whole = book.leads.execute()
    whole = whole[whole["created_at"] >= "2026-05-01"]
    asked = params(region="EMEA")
    assert measure(crm.open(**asked.book), asked).n == (whole["region"] == "EMEA").sum()


def test_what_is_learned_later_does_not_change_the_page(tmp_path):
    tables = []
    for late in (0, 5):
        leads = [
            {
                "lead_id": f"l{n}",
                "created_at": START + dt.timedelta(days=n),
                "mql_at": START + dt.timedelta(days=n + 20 + late * (n > 10)),
            }
            for n in range(30)
        ]
        leads += [{"lead_id": f"x{n}", "created_at": START + dt.timedelta(days=40)} for n in range(late)]
        write(tmp_path / str(late), leads)
        tables.append(
            measure(
                crm.Book(tmp_path / str(late), dt.date(2026, 1, 31)),
                params(source="x", period="2026-01", split_by="none", min_leads=5),
            ).table
        )
    pd.testing.assert_frame_equal(tables[0], tables[1])


@pytest.mark.parametrize(("changed", "says"), [
    ({"period": "2027-12", "months": 1}, "no lead came in"),
    ({"source": "maven", "split_by": "campaign"}, None),
])  # fmt: skip
def test_what_cannot_be_answered_is_refused(tmp_path, changed, says):
    if says is None:
        book = write(tmp_path / "b", [{"lead_id": "1", "created_at": START}])
        with pytest.raises(ValueError, match="split_by campaign: the source has no value of it on leads"):
            measure(book, params(source="x", period="2026-01", split_by="campaign"))
        return
    asked = params(**changed)
    with pytest.raises(ValueError, match=says):
        measure(crm.open(**asked.book), asked)


def test_parameters_are_refused_all_at_once():
    with pytest.raises(BadInput) as error:
        params(calendar="Mars", work_from=25, sla_hours=0, split_by="shoe size")
    assert all(name in str(error.value) for name in ("calendar", "work_from", "sla_hours", "split_by"))
    with pytest.raises(BadInput, match="work_to 9: must be after work_from 9"):
        params(work_to=9)


def test_words_hold_in_every_shape_of_result(found, tmp_path):
    few = params(source="x", period="2026-01", split_by="none")
    shapes = [(params(), found), (few, measure(write(tmp_path / "b", [{"lead_id": "1", "created_at": START}]), few))]
    for (asked, one), language in itertools.product(shapes, ("en", "ru")):
        lang.use(language)
        shown = [words.step_table(one), words.group_table(one, asked), words.answer_table(one)]
        text = [
            part
            for made in (*words.findings(one, asked), *words.tiles(one, asked))
            for part in made
            if isinstance(part, str)
        ]
        text += [cell for t in shown if t for row in ([t.caption], t.columns, t.notes, *t.rows) for cell in row]
        text += [
            words.caption(one, asked),
            words.reached_alt(one),
            words.group_alt(one),
            words.hours_note(one, asked),
            *words.facts(asked),
        ]
        assert not [part for part in text if re.search(r"[{}]|\b(nan|None|inf)\b", part)]
        assert all(len(row) == len(t.columns) == len(t.numeric) for t in shown if t for row in t.rows)


def test_charts_draw_what_they_are_given(found):
    axes = [Figure().add_subplot() for _ in range(2)]
    charts.plot_steps(["Lead", "Won"], [10, 3], ax=axes[0])
    assert [bar.get_width() for bar in axes[0].patches] == [10, 3]
    charts.plot_groups(*words.group_points(found), ax=axes[1])
    assert lang.percent(found.groups["deal"].iloc[0].value, 1) in {text.get_text() for text in axes[1].texts}
