"""The funnel: recovers the truth where plain ratios fail, holds its properties, refuses what it cannot answer."""

import itertools
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from salesops import crm, lang, stats
from salesops.crm.sample import truth
from salesops.crm.tables import TABLES
from salesops.funnel import charts, cohorts, counts, measure, tables, watching, words
from salesops.funnel.compute import ALL
from salesops.problems import BadInput
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from statsmodels.stats.multitest import multipletests


@pytest.fixture(scope="module")
def book():
    return crm.open("sample")


@pytest.fixture(autouse=True)
def english():
    lang.use("en")
    yield
    lang.use("en")


def steps(found, cohort="now", group=ALL) -> pd.DataFrame:
    table = found.steps
    return table[(table["cohort"] == cohort) & (table["group"] == group)].set_index("step")


def test_mature_deals_recover_the_true_stage_conversions_within_their_intervals(book, funnel_params):
    params = funnel_params(period="2023-11..2026-01", months=0, compare_to="none", horizon_days=400)
    found = measure(book, params)
    inside = []
    for segment in truth.SEGMENTS:
        true = truth.conversion(truth.Plan(), "New business", segment)
        for step, row in steps(found, group=segment).iterrows():
            inside.append(row["rate"].low <= true[step] <= row["rate"].high)
            assert abs(row["rate"].value - true[step]) < 4 * (row["rate"].high - row["rate"].low) / 3.92, (
                segment,
                step,
            )
    assert len(inside) == 12 and sum(inside) >= 10


@pytest.mark.slow
def test_the_newest_quarter_recovers_the_truth_where_won_over_created_is_far_too_low(funnel_params):
    """Deals of the last three months, most of them open, in a company where nothing changes."""
    book = crm.open("sample:deals=40000,planted=0")
    params = funnel_params(months=3, compare_to="none", horizon_days=85)
    found = measure(book, params)
    for segment in ("SMB", "Mid-market"):
        true = truth.conversion(truth.NOTHING, "New business", segment)
        mine = steps(found, group=segment)
        rates = mine["rate"].tolist()
        assert all(abs(rate.value - p) < 3 * (rate.high - rate.low) / 3.92 for rate, p in zip(rates, true, strict=True))
        plain = mine["n_moved"].iloc[-1] / mine["n_reached"].iloc[0]
        recovered, eventual = np.prod([rate.value for rate in rates]), np.prod(true)
        assert plain < 0.65 * eventual
        spread = np.sqrt(sum(((r.high - r.low) / 3.92 / r.value) ** 2 for r in rates)) * recovered
        assert abs(recovered - eventual) < 2.5 * spread < 0.3 * eventual


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say(funnel_params):
    """Coverage over 20 null companies x 4 stages, newest half year: 95 % intervals, at least 88 of 100."""
    inside = []
    for seed in range(20):
        book = crm.open(f"sample:deals=4000,seed={seed + 100},planted=0")
        found = measure(book, funnel_params(period="2025-10", months=12, compare_to="none", horizon_days=350))
        true = truth.conversion(truth.NOTHING, "New business", "SMB")
        inside += [r.low <= p <= r.high for r, p in zip(steps(found, group="SMB")["rate"], true, strict=True)]
    assert np.mean(inside) >= 0.88


def test_the_planted_drop_is_the_first_finding(book, funnel_params):
    found = words.findings(measure(book, funnel_params()), "USD")
    assert found[0].tone == "bad" and "Proposal → Negotiation fell" in found[0].headline
    assert "Mid-market" in found[0].headline + found[0].detail


@pytest.mark.slow
def test_a_company_where_nothing_changes_is_rarely_said_to_change(funnel_params):
    claims = 0
    for seed in range(20):
        book = crm.open(f"sample:deals=4000,seed={seed + 100},planted=0")
        found = measure(book, funnel_params())
        claims += bool((found.changes["p_adjusted"] < words.SIGNIFICANT).any())
    assert claims <= 3  # 5 % of 20 is one


def test_counts_equal_a_loop_over_the_log(book, funnel_params):
    """Reached, moved, lost and open at each stage, deal by deal in plain Python."""
    found = measure(book, funnel_params(compare_to="none"))
    deals = book.deals.execute()
    cohort = deals[(deals["pipeline"] == "New business") & (deals["created_at"] >= "2026-05-01")].set_index("deal_id")
    visits = book.visits.execute()
    visits = visits[visits["deal_id"].isin(cohort.index)].sort_values(["deal_id", "seq"])
    table = np.zeros((4, 4), dtype=int)
    for deal, own in visits.groupby("deal_id"):
        status = cohort.loc[deal, "status"]
        furthest = max([p for p, kind in zip(own["position"], own["kind"], strict=True) if kind == "open"])
        furthest = 5 if status == "won" else furthest
        for step in range(min(furthest, 4)):
            table[step, 0] += 1
            table[step, 1 if furthest > step + 1 else 2 if status == "lost" else 3] += 1
    columns = ["n_reached", "n_moved", "n_lost", "n_open"]
    assert steps(found)[columns].to_numpy().tolist() == table.tolist()


def test_counts_hold_together(book, funnel_params):
    found = measure(book, funnel_params(segment_by="region"))
    for cohort in ("now", "before"):
        mine = steps(found, cohort)
        assert (np.diff(mine["n_reached"]) <= 0).all()
        assert (mine["n_reached"] == mine["n_moved"] + mine["n_lost"] + mine["n_open"]).all()
        assert mine["n_moved"].tolist()[:-1] == mine["n_reached"].tolist()[1:]
        groups = found.steps[(found.steps["cohort"] == cohort) & (found.steps["group"] != ALL)]
        assert groups.groupby("step")["n_reached"].sum().tolist() == mine["n_reached"].tolist()
        assert found.lives.query("cohort == @cohort and group == @ALL")["n"].item() == mine["n_reached"].iloc[0]
    closed = found.closings.query("cohort == 'now'")
    assert (
        closed.loc[closed["group"] != ALL, ["n_won", "n_lost"]].sum().tolist()
        == closed.loc[closed["group"] == ALL, ["n_won", "n_lost"]].sum().tolist()
    )


def test_what_is_learned_later_does_not_change_an_earlier_page(funnel_params, tmp_path):
    """Two books that differ only after the day: other closings, other amounts, new deals."""
    from tests.test_crm_book import history, write

    def company(late: int) -> list:
        rng, lives = np.random.default_rng(3), []
        for n in range(60):
            early = [
                (int(day), "stage", int(to))
                for day, to in zip(rng.integers(0, 8, 2), rng.integers(1, 5, 2), strict=True)
            ]
            lives.append(
                (
                    n % 10,
                    [*early, (20 + n % 7, "stage", (n + late) % 5), (30, "amount", (n * late) % 4), (1, "amount", 2)],
                )
            )
        return lives + [(25 + late, []) for _ in range(10 * late)]

    params = funnel_params(
        period="2026-01", months=0, compare_to="none", segment_by="none", min_deals=5, horizon_days=9
    )
    pages = []
    for late in (1, 3):
        write(tmp_path / str(late), *history(company(late)))
        found = measure(crm.Book(tmp_path / str(late), pd.Timestamp("2026-01-18").date()), params)
        shown = [tables.stage_table(found), tables.time_table(found), tables.win_table(found, "USD")]
        shown += [tables.standing_table(found, "USD"), tables.longest_table(found, "USD")]
        pages.append(
            [words.findings(found, "USD"), words.tiles(found, "USD"), shown, found.curves["now"].share["won"].tolist()]
        )
    assert pages[0] == pages[1]


@pytest.mark.parametrize(("period", "first_on"), [("2026-10", "2026-05-01"), ("2026-03", "2025-10-01")])
def test_the_share_won_and_the_time_in_stage_are_those_of_statsmodels(funnel_params, period, first_on):
    """From the visits, deal by deal, open ones censored, against an independent estimate."""
    params = funnel_params(period=period, segment_by="none")
    book = crm.open("sample", as_of=params.last_known_on)
    found = measure(book, params)
    deals = book.deals.execute()
    cohort = deals[(deals["pipeline"] == "New business") & (deals["created_at"] >= first_on)]
    cut = pd.Timestamp(book.cut)
    hours = (cohort["closed_at"].fillna(cut) - cohort["created_at"]).dt.total_seconds() // 3600
    code = cohort["status"].map({"open": 0, "won": 1, "lost": 2})
    reference = CumIncidenceRight(hours.to_numpy(), code.to_numpy())
    last = np.searchsorted(reference.times, 90 * 24, side="right") - 1
    rate = found.lives.query("cohort == 'now'").iloc[0]["rate"]
    assert rate.value == pytest.approx(reference.cinc[0][last], abs=1e-12)
    share, se = reference.cinc[0][last], reference.cinc_se[0][last]
    width = 1.959963984540054 * se / ((1 - share) * abs(np.log(1 - share)))
    assert (rate.low, rate.high) == pytest.approx(
        (1 - (1 - share) ** np.exp(-width), 1 - (1 - share) ** np.exp(width)), abs=1e-9
    )
    visits = book.visits.execute()
    visits = visits[visits["deal_id"].isin(cohort["deal_id"]) & (visits["stage"] == "Proposal")]
    stay = (visits["left_at"].fillna(cut) - visits["entered_at"]).dt.total_seconds() // 3600
    median = SurvfuncRight(stay.to_numpy(), visits["left_at"].notna().to_numpy()).quantile(0.5) / 24
    row = found.times.stays.set_index("stage").loc["Proposal"]
    assert (row["n"], row["n_open"]) == (len(visits), int(visits["left_at"].isna().sum()))
    assert row["median"].value == pytest.approx(median, abs=1e-12)


def test_closings_are_those_of_the_months_in_money(book, funnel_params):
    found = measure(book, funnel_params(segment_by="region"))
    deals = book.deals.execute()
    closed = deals[(deals["pipeline"] == "New business") & (deals["closed_at"] >= "2026-05-01")]
    for group in (ALL, *truth.REGIONS):
        here = closed if group == ALL else closed[closed["region"] == group]
        row = found.closings.query("cohort == 'now' and group == @group").iloc[0]
        money = here.groupby("status")["amount_minor"].sum() / 100
        assert (row["n_won"], row["n_lost"]) == ((here["status"] == "won").sum(), (here["status"] == "lost").sum())
        assert row["won_amount"] == money["won"]
        assert row["by_value"].value == pytest.approx(money["won"] / money.sum())
        assert row["by_count"].value == pytest.approx((here["status"] == "won").mean())


def test_every_comparison_is_corrected_for_all_the_others(book, funnel_params):
    found = measure(book, funnel_params())
    assert len(found.changes) == 16
    assert found.changes["p_adjusted"].tolist() == pytest.approx(multipletests(found.changes["p"], method="fdr_bh")[1])
    assert (found.changes["p_adjusted"] >= found.changes["p"]).all()


def test_now_and_before_are_compared_at_one_age(book, funnel_params):
    """One month of deals, watched for weeks: the months before must not be given longer."""
    found = measure(book, funnel_params(months=1, segment_by="none"))
    now, before = steps(found), steps(found, "before")
    assert (now["age_days"] < 90).any() and now["age_days"].tolist() == before["age_days"].tolist()
    for row in found.changes.itertuples():
        assert row.change.value == pytest.approx(now.loc[row.step, "rate"].value - before.loc[row.step, "rate"].value)
    assert found.lives["age_days"].nunique() == 1


def test_deals_created_today_do_not_make_none_certain():
    """25 deals watched for 90 days, none moved; 975 created yesterday add nothing to what is known."""
    scope = cohorts.Scope("", (), {}, 90, 20)
    old = pd.DataFrame({"outcome": ["open"], "age": [2200], "n": [25]})
    new = pd.DataFrame({"outcome": ["open"], "age": [24], "n": [975]})
    rates = [watching.watch(table, "moved", scope)["watched"].at(90 * 24) for table in (old, pd.concat([old, new]))]
    assert rates[1].high == pytest.approx(rates[0].high) == pytest.approx(stats.wilson(0, 25).high)
    before = watching.watch(
        pd.DataFrame({"outcome": ["moved", "lost"], "age": [24, 24], "n": [100, 900]}), "moved", scope
    )
    sides = [watching.watch(pd.concat([old, new]), "moved", scope)["watched"], before["watched"]]
    assert watching.p_of_change(*sides, 90) > 0.05  # Fisher's test on the 25: 0.16


@pytest.mark.parametrize("positions", [(10, 20, 30, 40, 50), (0, 1, 2, 3, 4), (3, 4, 5, 1, 2)])
def test_the_order_of_stages_counts_not_their_numbers(tmp_path, monkeypatch, positions):
    import tests.test_crm_book as by_hand

    lives = [(0, [(1, "stage", 1), (2, "stage", 2)]), (0, [(1, "stage", 1), (3, "stage", 4)]), (0, [])]
    numbered = [(p, name, k, kind) for (p, name, _, kind), k in zip(by_hand.STAGES, positions, strict=True)]
    made = by_hand.history(lives)
    monkeypatch.setattr(by_hand, "STAGES", numbered)
    book = by_hand.write(tmp_path / "b", *made)
    scope = cohorts.Scope("", ("Lead", "Offer", "Talks"), {"now": compute_window()}, 60, 5)
    table = counts.step_counts(scope, counts.paths(book, scope, cohorts.cohort_deals(book, scope, [], "none")))
    assert table.groupby("step")["n"].sum().to_dict() == {0: 3, 1: 2, 2: 1}


def test_a_rep_with_several_spans_does_not_double_deals(tmp_path, funnel_params):
    from tests.test_crm_book import history, write

    deals, changes = history([(n % 20, [(3, "stage", 1 + n % 4)]) for n in range(40)])
    deals = [deal | {"rep_id": "r"} for deal in deals]
    rows = [
        {"rep_id": "r", "team": team, "valid_from": pd.Timestamp(day).date()}
        for team, day in (("A", "2025-01-01"), ("B", "2025-06-01"))
    ]
    (tmp_path / "b").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["reps"].schema), tmp_path / "b" / "reps.parquet")
    book = write(tmp_path / "b", deals, changes)
    found = measure(book, funnel_params(period="2026-01", months=0, compare_to="none", segment_by="team", min_deals=5))
    assert found.lives.set_index("group")["n"].to_dict() == {ALL: 40, "B": 40}


def test_without_any_history_nothing_is_said_of_single_stages(tmp_path, funnel_params):
    from tests.test_crm_book import START, write

    ends = [("Offer", None), ("Won", 9), ("Lost", 20), ("Lead", None)]
    deals = [
        {"deal_id": f"{n}", "pipeline": "", "stage": ends[n % 4][0], "created_at": START + pd.Timedelta(days=n % 20),
         "closed_at": ends[n % 4][1] and START + pd.Timedelta(days=n % 20 + ends[n % 4][1])}
        for n in range(80)
    ]  # fmt: skip
    params = funnel_params(
        period="2026-01", months=0, compare_to="none", segment_by="none", min_deals=5, horizon_days=30
    )
    found = measure(write(tmp_path / "b", deals, []), params)
    table = tables.stage_table(found)
    assert [row[0] for row in table.rows] == ["Created → Won"] and "keeps no history of stages" in table.notes[0]
    assert table.rows[0][1:5] == ["80", "20", "20", "40"]
    assert tables.time_table(found) is None and tables.longest_table(found, "USD") is None


def test_won_then_delivered_is_one_win_on_the_first_day(tmp_path, monkeypatch, funnel_params):
    import tests.test_crm_book as by_hand

    staged = [*by_hand.STAGES[:3], ("", "Won", 4, "won"), ("", "Delivered", 5, "won")]
    monkeypatch.setattr(by_hand, "STAGES", staged)
    lives = [(0, [(4, "stage", 3), (39, "stage", 4)]) for _ in range(20)]
    book = by_hand.write(tmp_path / "b", *by_hand.history(lives))
    days = (book.deals.closed_at.epoch_seconds() - book.deals.created_at.epoch_seconds()) / 86_400
    assert set(days.execute()) == {5.0}
    found = measure(
        book, funnel_params(period="2026-01", months=0, compare_to="none", segment_by="none", horizon_days=30)
    )
    assert found.lives.iloc[0]["rate"].value == 1


def test_few_deals_are_too_few(book, funnel_params):
    found = measure(book, funnel_params(min_deals=5000))
    assert found.steps["rate"].isna().all() and found.changes.empty
    table = tables.stage_table(found)
    assert all(row[5] == "—" for row in table.rows) and "at least 5000 are needed" in table.notes[0]
    assert words.findings(found, "USD")[0].headline == "Too few deals to say what share is won"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"pipeline": "Renewals"}, "pipeline 'Renewals' is not in the source; it has: New business, Expansion"),
        ({"period": "2030-01"}, "no deal of the pipeline 'New business' was created"),
        ({"period": "2020-01"}, "no deal is known at the end of 2020-01-31"),
        ({"segment_by": "industry", "source": "?"}, None),
    ],
)
def test_what_the_book_cannot_answer_is_refused(book, funnel_params, changed, says):
    params = funnel_params(**changed)
    if says is None:
        assert measure(book, params).lives["group"].nunique() == 7
        return
    with pytest.raises(ValueError, match=says):
        measure(crm.open("sample", as_of=params.last_known_on), params)


def test_parameters_are_refused_all_at_once(funnel_params):
    with pytest.raises(BadInput) as error:
        funnel_params(
            perod="x", min_deals="many", segment_by="shoe size", horizon_days=-1, as_of="31.10.2026", lang="fr"
        )
    message = str(error.value)
    for part in (
        "perod: unknown, did you mean period?",
        "min_deals",
        "'many'",
        "segment_by",
        "'shoe size'",
        "horizon_days",
        "write a day as 2026-10-31",
        "lang",
    ):
        assert part in message
    with pytest.raises(BadInput, match="compare_to.*'last summer': write previous, year_ago, none"):
        funnel_params(compare_to="last summer")
    with pytest.raises(BadInput, match="must end before 2025-01..2026-12 begins; previous always does"):
        funnel_params(months=24, period="2026-12", compare_to="year_ago")
    with pytest.raises(BadInput, match="is before the period"):
        funnel_params(as_of="2026-09-01")


def test_a_year_without_quotes_is_a_year(funnel_params):
    assert funnel_params(period=2026).reported.n_months == 12


def test_a_move_back_a_skip_and_a_return_are_counted_as_said(tmp_path):
    """Four deals by hand: a skip, a move back, a loss that came back, and a win that was undone."""
    from tests.test_crm_book import history, write

    stage = lambda day, position: (day, "stage", position - 1)  # noqa: E731
    lives = [
        (0, [stage(4, 3), stage(9, 4)]),  # Lead, over Offer to Talks, won
        (0, [stage(4, 2), stage(9, 1), stage(14, 5)]),  # to Offer, back to Lead, lost
        (0, [stage(4, 5), stage(9, 2)]),  # lost, back in Offer, open
        (0, [stage(4, 2), stage(5, 3), stage(6, 4), stage(7, 3)]),  # won, undone: open in Talks
    ]
    book = write(tmp_path / "b", *history(lives))
    scope = cohorts.Scope("", ("Lead", "Offer", "Talks"), {"now": compute_window()}, 60, 5)
    table = counts.step_counts(scope, counts.paths(book, scope, cohorts.cohort_deals(book, scope, [], "none")))
    table = table.groupby(["step", "outcome"])["n"].sum().to_dict()
    assert table == {(0, "moved"): 4, (1, "moved"): 2, (1, "lost"): 1, (1, "open"): 1, (2, "moved"): 1, (2, "open"): 1}


def compute_window():
    from salesops import periods

    return periods.parse("2026-01")


def test_the_way_on_is_wilson_where_complete_and_censored_where_not():
    table = pd.DataFrame({"outcome": ["moved", "lost"], "age": [10, 20], "n": [30, 70]})
    scope = cohorts.Scope("", (), {}, 90, 20)
    assert watching.watch(table, "moved", scope)["watched"].at(90 * 24) == stats.wilson(30, 100)
    watched = pd.concat([table, pd.DataFrame({"outcome": ["open"], "age": [15], "n": [40]})])
    found = watching.watch(watched, "moved", scope)["watched"].at(90 * 24)
    assert found.value == pytest.approx(30 / 140) and found.n == 140


def test_a_rate_stops_at_the_age_that_enough_deals_were_watched():
    scope = cohorts.Scope("", (), {}, 90, 20)
    some_open = pd.DataFrame(
        {"outcome": ["moved", "lost", "open", "open"], "age": [24, 50, 60, 900], "n": [30, 30, 85, 5]}
    )
    assert (
        watching.watch(some_open, "moved", scope)["age_days"] == 2
    )  # after hour 60 only 8 in 150 would still be watched
    all_ended = pd.DataFrame({"outcome": ["moved", "lost", "moved"], "age": [24, 50, 900], "n": [30, 30, 2]})
    assert watching.watch(all_ended, "moved", scope)["age_days"] == 90  # few are left because they ended, not unwatched


def test_charts_draw_what_they_are_given():
    rates = [stats.wilson(30, 50), None]
    axes = [Figure().add_subplot() for _ in range(3)]
    charts.plot_reached(["a", "b", "Won"], [30, 20, 10], ax=axes[0])
    assert [round(bar.get_width()) for bar in axes[0].patches] == [30, 20, 10]
    charts.plot_conversion(["a", "b"], rates, [None, stats.wilson(1, 2)], [True, False], ax=axes[1])
    assert "60%" in [text.get_text() for text in axes[1].texts] and "not known" in [
        text.get_text() for text in axes[1].texts
    ]
    counts_ = pd.DataFrame({"age": [24, 48], "n_won": [1, 1], "n_lost": [1, 1], "n_open": [0, 6]})
    curve = stats.aalen_johansen(counts_, {"won": "n_won", "lost": "n_lost"})
    charts.plot_won_by_age(curve, None, 10, ax=axes[2])
    won = axes[2].lines[0].get_ydata()
    assert won[-1] == curve.share["won"][-1] and (np.diff(won) >= 0).all()


def test_words_hold_in_every_shape_of_result(book, funnel_params):
    """With and without comparison, split and not, in both languages: no braces left, no nan, no None."""
    shapes = itertools.product(("previous", "none"), ("none", "segment"), ("en", "ru"))
    for compare_to, segment_by, language in shapes:
        lang.use(language)
        found = measure(book, funnel_params(compare_to=compare_to, segment_by=segment_by, lang=language))
        shown = [
            tables.stage_table(found),
            tables.group_table(found, segment_by),
            tables.mix_table(found),
            tables.quarter_table(found),
            tables.age_table(found),
            tables.time_table(found),
            tables.total_table(found),
            tables.stale_table(found, "USD"),
            tables.longest_table(found, "USD"),
            tables.velocity_table(found, "USD"),
            tables.chain_table(found, "USD"),
            tables.loss_table(found, "USD"),
            tables.split_table(found),
            tables.rep_table(found),
            tables.win_table(found, "USD"),
            tables.parity_table(found),
            tables.convention_table(found),
            tables.left_out_table(found, "USD"),
            tables.standing_table(found, "USD"),
        ]
        text = [part for made in (*words.findings(found, "USD"), *words.tiles(found, "USD")) for part in made]
        text += [cell for t in shown if t for row in ([t.caption], t.columns, t.notes, *t.rows) for cell in row]
        text += [
            words.conversion_caption(found),
            words.age_caption(found),
            words.reached_alt(found),
            words.conversion_alt(found),
        ]
        assert not [part for part in text if re.search(r"[{}]|\b(nan|None|inf)\b", part)]
        assert all(len(row) == len(t.columns) == len(t.numeric) for t in shown if t for row in t.rows)


def test_deals_older_than_the_log_are_left_out(tmp_path, funnel_params):
    """Three that had moved before the log began show that it did; none of their age is counted."""
    from tests.test_crm_book import history, write

    deals, changes = history([(n % 20, [(5, "stage", 1), (9, "stage", 3)]) for n in range(40)])
    begins = min(change["changed_at"] for change in changes[20:])
    known = [change for change in changes if change["changed_at"] >= begins]
    params = funnel_params(
        period="2026-01", months=0, compare_to="none", segment_by="none", min_deals=5, horizon_days=30
    )
    whole = measure(write(tmp_path / "whole", deals, changes), params)
    late = measure(write(tmp_path / "late", deals, known), params)
    assert whole.lives.iloc[0]["n"] == 40
    assert late.lives.iloc[0]["n"] == sum(deal["created_at"] >= begins for deal in deals) < 40
    assert crm.Book(tmp_path / "late").about["notes"]["older_than_log"] == 40 - late.lives.iloc[0]["n"]
