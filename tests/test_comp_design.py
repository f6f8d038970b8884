"""Plans side by side: the same past and the same draws, paid as the engine pays; a search that hides nothing."""

import datetime as dt
import shutil
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from salesops import comp_design, crm, lang
from salesops.comp_design import charts, compute, options, search, tables, words
from salesops.pay import costing, curves, payouts, plans, team
from salesops.problems import BadInput

from tests.conftest import ROOT, checked, examples
from tests.pay_cases import component, plan, table

FEW = {"n_years": 500}


@pytest.fixture(scope="module")
def found(book):
    return comp_design.measure(book, checked("comp_design", **FEW))


def test_the_past_is_paid_by_each_plan_as_the_engine_pays_it(found, book):
    folder = ROOT / "params" / "plans"
    other = plans.load(folder / "account_executive_2027.yml")
    other = other.model_copy(update={"start": dt.date(2026, 1, 1), "until": dt.date(2026, 12, 31)})
    read = team.read(book, [other], "")
    at_once = other.model_copy(update={"hold": None, "draw": None})
    for one in read.people:  # what all months and adjustments bring together, where nothing waits
        lines = payouts.pay(
            one, {other.version: at_once}, read.history.credits.get(one.person_id, []), through=dt.date(2026, 9, 30),
            cancellations=read.history.cancellations,
        )  # fmt: skip
        earned = sum(line.amount for line in lines)
        assert found.options[1].earned[one.person_id] == pytest.approx(float(earned), abs=0.02), one.person_id
    assert len(found.options[1].earned) == len(found.options[0].earned) == 26
    gains = found.gains(found.options[1])
    base = np.array([80_000 * found.years[one] for one in found.options[0].earned])
    now = np.array(list(found.options[0].earned.values()))
    assert gains == pytest.approx((np.array(list(found.options[1].earned.values())) + base) / (now + base) - 1)
    assert max(found.years.values()) == 273 / 365  # periods that have ended: January to September
    assert not found.gains(found.options[0]).any()
    more, less, same = words.counts(found, found.options[1])
    assert (more, less, same) == ((gains > 0.01).sum(), (gains < -0.01).sum(), (abs(gains) <= 0.01).sum())


def test_plans_are_compared_on_the_same_draws(found):
    first, other = found.options[:2]
    assert np.array_equal(first.costs.booked, other.costs.booked)
    gap = other.costs.paid - first.costs.paid  # both have the same base pay
    assert words.difference(found, other) == pytest.approx(np.quantile(gap, (0.1, 0.5, 0.9)))
    at = (first.costs.booked / 1.0).ravel()
    assert at.size == first.costs.pay.size
    assert first.bands.sum() == pytest.approx(1) and other.bands.sum() == pytest.approx(1)
    assert first.shifts == sorted(first.shifts) and first.shifts[2] == pytest.approx(
        first.costs.quantiles()[1], rel=0.02
    )  # At twice the quota: 80,000 and what is paid of 64,000 at 250 %, and 2 % of the expansion, over 80,000.
    assert first.leverage == pytest.approx((80_000 + first.curve[-1]) / 80_000) and first.curve[-1] >= 160_000


def test_each_plan_measures_its_own_share_of_what_is_booked(book, tmp_path, monkeypatch):
    """A proposal that pays 1 % of expansion only, under a name that the plan that holds does not have."""
    folder = tmp_path / "params" / "plans"
    shutil.copytree(ROOT / "params", tmp_path / "params")
    text = (folder / "account_executive_2027.yml").read_text("utf-8")
    head, _sep, _rest = text.partition("components:")
    (folder / "small.yml").write_text(head + """components:
  - {name: Growth, measure: bookings, only: {deal_type: [expansion]}, weight: 100%, period: quarter,
     table: {by: amount, way: whole, bands: [{from: 0, rate: 1%}]}}
""", "utf-8")  # fmt: skip
    monkeypatch.setattr(compute.project, "root", lambda: tmp_path)
    made = comp_design.measure(book, checked("comp_design", against="small", n_best=0, **FEW))
    deals = book.deals.execute()
    won = deals[(deals["status"] == "won") & (deals["closed_at"] >= "2026-01-01") & deals["rep_id"].notna()]
    share = won[won["deal_type"] == "expansion"]["amount_minor"].sum() / won["amount_minor"].sum()
    got = made.options[1].costs
    assert got.paid.sum() / got.booked.sum() == pytest.approx(0.01 * share, rel=1e-3)


def test_the_rewards_of_the_best_are_what_a_loop_says():
    rng = np.random.default_rng(4)
    attained, pay = rng.lognormal(0, 0.4, (50, 8)), rng.random((50, 8))
    pairs = sorted(zip(attained.ravel(), pay.ravel(), strict=True))
    low, high = np.quantile(attained, (0.25, 0.75))
    best, middle = [p for a, p in pairs if a > high], [p for a, p in pairs if low <= a <= high]
    assert search.reward(attained, pay) == pytest.approx((sum(best) / len(best)) / (sum(middle) / len(middle)))


def test_every_plan_that_is_tried_pays_the_target_at_the_quota():
    tried = list(search.shapes())
    assert len(tried) == len(set(tried)) > 300
    for shape in tried:
        assert np.interp(1.0, *search.curve(*shape)) == pytest.approx(1, abs=1e-4)
        x, y = search.curve(*shape)
        assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()


@given(st.sampled_from(list(search.shapes())), st.integers(0, 4000))
@settings(max_examples=examples(150))
def test_a_plan_that_is_found_pays_exactly_what_was_looked_at(shape, per_mille):
    """Built as a plan, its table pays in fractions what the search took in floats; so does the plan it came from."""
    main = component(weight="100%", table=table([{"from": 0, "pays": "50%"}, {"from": "80%", "pays": "300%"}]))
    made = search.build(plan(main), search.Candidate(*shape, 0, 0, 0, 0, 0.4))
    one, at = made.components[0], F(per_mille, 1000)
    pays = curves.earned(one.table, at * 100_000, F(100_000), F(10_000))
    if one.cap.period is not None:
        pays = min(pays, one.cap.period.of(F(10_000)))
    assert float(pays) / 10_000 == pytest.approx(np.interp(float(at), *search.curve(*shape)), abs=1e-9)
    own = plan(main).components[0]
    exact = curves.earned(own.table, at * 100_000, F(100_000), F(10_000))
    assert float(exact) / 10_000 == pytest.approx(np.interp(float(at), *search.curve_of(own, 10_000.0)), abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_nothing_on_the_frontier_is_both_dearer_and_rewards_less(pairs):
    made = [search.Candidate(0, 0, 0, 0, None, cost, 0, reward, 0, 0) for cost, reward in pairs]
    front = search.frontier(made)
    better = lambda one, other: (  # noqa: E731
        one.cost <= other.cost and one.reward >= other.reward and (one.cost, one.reward) != (other.cost, other.reward)
    )
    assert not [one for one in front if any(better(other, one) for other in made)]
    off = [one for one in made if not any(better(other, one) for other in made)]
    assert {(one.cost, one.reward) for one in off} == {(one.cost, one.reward) for one in front}


@pytest.mark.slow
def test_what_is_found_keeps_the_limits_and_costs_what_it_was_thought_to(found, book):
    made = found.search
    assert found.why_not == "" and len(made.best) == 3 and [one.name for one in made.best] == ["A", "B", "C"]
    for option in found.options[2:]:
        assert option.found.p90 <= found.budget and option.found.losers <= 0.5
        assert option.quantiles()[2] <= found.budget * 1.01
        # Looked for on the first thousand years in floats, paid on all of them to the cent.
        assert option.quantiles()[1] == pytest.approx(option.found.cost, rel=0.02)
        assert option.reward == pytest.approx(option.found.reward, rel=0.03)
        losers = found.gains(option) < -0.01
        assert losers.mean() == pytest.approx(option.found.losers, abs=0.15)  # which leaves out what else is paid
    strict = comp_design.measure(book, checked("comp_design", budget=1000.0, against="", **FEW))
    assert strict.search.best == [] and strict.why_not == "none_allowed" and len(strict.options) == 1
    assert "keeps within the budget" in words.findings(strict)[-1].headline
    other_mix = comp_design.measure(
        book, checked("comp_design", pay_mix=0.3, n_best=1, most_losers=1.0, against="", **FEW)
    )
    best = other_mix.options[-1].plan
    assert (best.pay.base, best.pay.variable) == (112_000, 48_000)


@pytest.mark.slow
def test_sales_answer_only_where_it_is_assumed(found, book):
    assert all(one.with_effort is None for one in found.options)
    at = np.full((3, 2, 4), 0.9)
    curve = options.POINTS * 50_000
    assert options.answered(at, curve, curve, 0.3) == pytest.approx(at)  # the same plan, the same sales
    twice = options.answered(at, curve, 2 * curve, 0.1)
    assert twice == pytest.approx(0.9 * 2**0.1, rel=0.002)  # twice the pay for the next sale, 7 % more
    flat = options.answered(at, curve, curve * 0, 0.1)
    assert flat == pytest.approx(0.9 * 4**-0.1)  # nothing for it: taken as a quarter
    assumed = comp_design.measure(book, checked("comp_design", effort=0.1, n_best=0, **FEW))
    assert assumed.options[0].with_effort is None and assumed.search is None
    assert assumed.options[1].with_effort.booked.sum() > assumed.options[1].costs.booked.sum()
    note = tables.shift_table(assumed).notes[-1]
    assert "no data of one plan can show it" in note and "If sales answer" in tables.shift_table(assumed).columns


def test_a_plan_moves_to_the_year_that_it_is_compared_in():
    spiff = {"name": "S", "from": "2026-07-01", "until": "2026-09-30", "each": 10}
    made = compute.moved(plan(spiffs=[spiff]), dt.date(2025, 1, 1), dt.date(2025, 12, 31))
    assert (made.start, made.until) == (dt.date(2025, 1, 1), dt.date(2025, 12, 31))
    assert (made.spiffs[0].start, made.spiffs[0].until) == (dt.date(2025, 7, 1), dt.date(2025, 9, 30))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_page_says_what_it_holds_and_no_name(found, book, language):
    lang.use(language)
    shown = [tables.cost_table(found), tables.gain_table(found, 3), tables.band_table(found), tables.shift_table(found),
             tables.found_table(found)]  # fmt: skip
    said = [one.headline + one.detail for one in words.findings(found)]
    said += [words.note(found), words.caption(found), words.curve_alt(found), words.frontier_alt(found), words.title()]
    said += [str(one) for one in shown] + [str(one) for one in words.tiles(found)] + words.facts(found)
    text = "\n".join(said)
    assert "{" not in text and "nan" not in text and "None" not in text.replace("hot=None", "")
    reps = book.reps.execute()
    assert not [one for one in [*reps["name"], *reps["rep_id"]] if one in text]
    figure = Figure()
    charts.plot_curves(options.POINTS, words.curves(found), currency="USD", ax=figure.add_subplot(2, 1, 1))
    charts.plot_frontier(*words.points(found), currency="USD", ax=figure.add_subplot(2, 1, 2))
    assert tables.gain_table(found, 30).rows[0][2] == lang.NONE  # a median of too few is not shown


def test_what_cannot_be_compared_is_refused_with_its_reason(book, tmp_path, monkeypatch):
    for wrong in ({"region": "EMEA"}, {"against": "../x"}, {"against": "account_executive"}, {"n_best": 9}):
        with pytest.raises(BadInput):
            checked("comp_design", **wrong)
    with pytest.raises(BadInput, match="no such file"):
        comp_design.measure(book, checked("comp_design", against="nobody", **FEW))
    with pytest.raises(ValueError, match="no version of account_executive holds on 2025-10-31"):
        early = crm.open("sample", as_of="2025-10-31")
        comp_design.measure(early, checked("comp_design", period="2025-10", **FEW))
    with pytest.raises(ValueError, match="pay could be read off"):
        comp_design.measure(book, checked("comp_design", min_group=40, **FEW))
    flat = plan(component(table=table([{"from": 0, "rate": "6%"}], by="amount")))
    assert search.main_of(flat) is None
    assert costing.cost(flat, costing.Scatter(np.ones(3), 0, 0, 3, 3), np.ones((2, 1, 4)), np.full((1, 4), 100.0),
                        {}).paid == pytest.approx([24, 24])  # fmt: skip


def compared(book, tmp_path, monkeypatch, *, now=None, n_best=0, **others):
    """The plan that holds, changed, against others made of the same file by replacing text."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    folder = tmp_path / "params" / "plans"
    text = (folder / "account_executive.yml").read_text("utf-8")
    for name, changes in others.items():
        made = text
        for before, after in changes:
            assert before in made
            made = made.replace(before, after)
        (folder / f"{name}.yml").write_text(made, "utf-8")
    for before, after in now or ():
        assert before in text
        text = text.replace(before, after)
    (folder / "account_executive.yml").write_text(text, "utf-8")
    monkeypatch.setattr(compute.project, "root", lambda: tmp_path)
    return comp_design.measure(book, checked("comp_design", against=", ".join(others), n_best=n_best, **FEW))


@pytest.mark.slow
def test_the_same_plan_under_other_names_costs_and_pays_the_same(book, tmp_path, monkeypatch):
    made = compared(book, tmp_path, monkeypatch, same=[("name: Expansion", "name: Upsell")])
    assert words.difference(made, made.options[1]) == (0, 0, 0) and not made.gains(made.options[1]).any()


@pytest.mark.slow
def test_what_is_left_out_of_drawn_years_is_not_compared(book, tmp_path, monkeypatch):
    monthly = [("weight: 20%\n    period: quarter", "weight: 20%\n    period: month")]
    made = compared(book, tmp_path, monkeypatch, monthly=monthly)
    assert made.options[1].costs.left_out == ["Expansion"] and not made.comparable(made.options[1])
    said = words.findings(made)[1]
    assert "cannot be compared in drawn years" in said.headline and "Expansion" in said.detail
    row = tables.cost_table(made).rows[1]
    assert row[4] == row[5] == lang.NONE
    capped = compared(book, tmp_path / "b", monkeypatch, n_best=1,
                      now=[("cap: {period: 250%}", "cap: {deal: 20000}")])  # fmt: skip
    assert capped.why_not == "left_out" and capped.search is None


@pytest.mark.slow
def test_other_base_pay_is_part_of_what_a_plan_costs(book, tmp_path, monkeypatch):
    """40,000 more base pay for 26 reps are 1,040,000 a year."""
    made = compared(book, tmp_path, monkeypatch, richer=[("base: 80000", "base: 120000")])
    assert words.difference(made, made.options[1]) == pytest.approx([1_040_000] * 3)
    assert "a year more" in words.findings(made)[1].headline
    assert (made.gains(made.options[1]) > 0.1).all()


@pytest.mark.slow
def test_a_plan_of_two_years_is_looked_at_in_the_year_of_the_day(book, tmp_path, monkeypatch):
    long = [('from: "2026-01-01"', 'from: "2025-01-01"')]
    usual = comp_design.measure(book, checked("comp_design", against="", n_best=0, **FEW))
    made = compared(book, tmp_path, monkeypatch, now=long)
    assert made.since == dt.date(2026, 1, 1) and made.options[0].quantiles() == usual.options[0].quantiles()
    assert made.options[0].earned == usual.options[0].earned


@pytest.mark.slow
def test_the_past_is_compared_up_to_where_periods_of_both_plans_end(book, tmp_path, monkeypatch):
    """At the end of October: by half-year, to June; by year, not yet."""
    half = [("period: quarter\n    table:\n      by: attainment", "period: half\n    table:\n      by: attainment")]
    made = compared(book, tmp_path, monkeypatch, half=half)
    assert made.through == dt.date(2026, 6, 30) and abs(np.median(made.gains(made.options[1]))) < 0.05
    yearly = [(half[0][0], half[0][1].replace("half", "year"))]
    never = compared(book, tmp_path / "b", monkeypatch, yearly=yearly)
    assert never.through is None and tables.gain_table(never, 3) is None and not never.options[0].earned
    assert "cannot be compared yet" in words.findings(never)[1].detail


@pytest.mark.slow
@pytest.mark.parametrize("change", [("cap: {period: 250%}", "cap: {period: 24000}"),
                                    ("measure: bookings\n    weight: 80%", "measure: bookings\n    only: {deal_type: "
                                                                           "[new]}\n    weight: 80%"),
                                    ("cap: {period: 250%}", "cap: {year: 150%}")])  # fmt: skip
def test_what_is_found_keeps_the_limits_when_paid_exactly_under_any_plan(book, tmp_path, monkeypatch, change):
    made = compared(book, tmp_path, monkeypatch, n_best=3, now=[change])
    assert made.search is not None
    for one in made.options[1:]:
        assert one.quantiles()[2] <= made.budget and (made.gains(one) < -0.01).mean() <= 0.5
        assert one.quantiles()[1] == pytest.approx(one.found.cost, rel=0.02)


def test_few_are_not_counted_so_that_they_could_be_found_out(found):
    few = found._replace(least=5)
    assert words.count_text(3, few) == "< 5" and words.count_text(0, few) == "0" and words.count_text(5, few) == "5"
    gains = found.gains(found.options[1])
    least = int((gains < -0.01).sum()) + 1
    row = tables.gain_table(found._replace(least=least), least).rows[0]
    assert row[3] == f"< {least}" and row[4] == row[6] == row[7] == lang.NONE
