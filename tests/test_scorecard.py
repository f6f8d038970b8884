"""The scorecard: each metric against a loop in plain Python, sums, limits, bridges to the cent, and what is refused."""

import datetime as dt
import importlib
from collections import defaultdict
from fractions import Fraction
from statistics import median

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from salesops import crm, periods, scorecard, stats, yamlfile
from salesops.problems import BadInput
from salesops.scorecard import bridges, months, people, registry, tables, words
from salesops.scorecard.compute import value_of
from salesops.scorecard.registry import FORMULAS

from tests.conftest import ROOT, bare_book, by_owner_then, checked, examples

MONTH = 2026 * 12 + 9


@pytest.fixture(scope="module")
def params():
    return checked("scorecard")


@pytest.fixture(scope="module")
def found(book, params):
    return scorecard.measure(book, params)


@pytest.fixture(scope="module")
def rows(book):
    """The sample company's rows as plain dictionaries; closed deals with the owner at the close."""
    names = ("deals", "activities", "leads", "quotas", "reps", "forecast_calls", "revenue", "stages", "accounts")
    tables = {name: getattr(book, name).execute() for name in names}
    tables["deals"] = by_owner_then(book, tables["deals"], "closed_at")
    return {name: table.replace({np.nan: None}).to_dict("records") for name, table in tables.items()}


def number(moment) -> int | None:
    return None if moment is None or moment is pd.NaT else moment.year * 12 + moment.month - 1


def value(found, key, level="company", group=crm.ALL):
    one = value_of(found, key, level, group)
    return None if one is None else one.value


def closed(rows, month=MONTH, **wanted):
    return [deal for deal in rows["deals"] if deal["status"] in ("won", "lost") and number(deal["closed_at"]) == month
            and all(deal[name] == one for name, one in wanted.items())]  # fmt: skip


@pytest.mark.parametrize("region", ["", "EMEA", "APAC"])
def test_metrics_of_closed_deals_equal_a_loop(found, rows, region):
    where = ("region", region) if region else ()
    here = closed(rows, **({"region": region} if region else {}))
    won = [deal for deal in here if deal["status"] == "won"]
    amounts = [deal["amount_minor"] for deal in won]
    days = [(deal["closed_at"] - deal["created_at"]).total_seconds() // 86_400 for deal in won]
    listed = sum(deal["list_amount_minor"] for deal in won)
    assert value(found, "bookings", *where) == pytest.approx(sum(amounts) / 100, abs=1e-9)
    assert value(found, "win_rate", *where) == len(won) / len(here)
    closed_amount = sum(deal["amount_minor"] or 0 for deal in here)
    assert value(found, "win_rate_by_value", *where) == pytest.approx(sum(amounts) / closed_amount)
    assert value(found, "deal_size_won", *where) == pytest.approx(sum(amounts) / 100 / len(won))
    assert value(found, "cycle_mean", *where) == pytest.approx(sum(days) / len(days))
    assert value(found, "discount", *where) == pytest.approx(1 - sum(amounts) / listed)
    fresh = sum(deal["amount_minor"] for deal in won if deal["deal_type"] == "new")
    assert value(found, "new_share", *where) == pytest.approx(fresh / sum(amounts))


def test_the_pipeline_of_the_last_day_equals_a_loop(found, rows):
    chance = {(stage["pipeline"], stage["stage"]): stage["probability"] for stage in rows["stages"]}
    open_ = [deal for deal in rows["deals"] if deal["status"] == "open"]
    priced = [deal for deal in open_ if deal["amount_minor"] is not None]
    total = sum(deal["amount_minor"] for deal in priced)
    weighted = sum(round(deal["amount_minor"] * chance[deal["pipeline"], deal["stage"]]) for deal in priced)
    assert value(found, "pipeline_open") == total / 100
    assert value(found, "pipeline_weighted") == pytest.approx(weighted / 100, abs=len(priced) * 0.005)
    assert value(found, "deal_size_open") == pytest.approx(total / 100 / len(priced))
    assert value(found, "deal_size_open_median") == median(deal["amount_minor"] for deal in priced) / 100
    created = [deal for deal in rows["deals"] if number(deal["created_at"]) == MONTH]
    assert value(found, "n_created") == len(created)
    assert value(found, "pipeline_created") == sum(deal["amount_minor"] or 0 for deal in created) / 100


def test_a_stock_of_the_past_is_what_the_source_showed_then(found, book):
    before = crm.open("sample", as_of="2026-09-30").deals.execute()
    before = before[before["status"] == "open"]
    was = value_of(found, "pipeline_open", back=1)
    assert was.value == before["amount_minor"].sum() / 100 and was.n == len(before)
    now = value(found, "bookings") / (was.value + value(found, "pipeline_created"))
    assert value(found, "pipeline_yield") == pytest.approx(now)
    win, size, days = (value(found, name) for name in ("win_rate", "deal_size_won", "cycle_mean"))
    assert value(found, "velocity") == pytest.approx(len(before) * win * size / days)


def test_stays_in_stages_equal_a_loop_over_visits(found, book):
    by_deal = defaultdict(list)
    for visit in book.visits.execute().sort_values(["deal_id", "seq"]).to_dict("records"):
        by_deal[visit["deal_id"]].append(visit)
    moved = left = 0
    for visits in by_deal.values():
        for here, following in zip(visits, visits[1:], strict=False):
            if here["kind"] == "open" and number(here["left_at"]) == MONTH:
                left += 1
                moved += following["kind"] == "won" or (
                    following["kind"] == "open" and following["position"] > here["position"]
                )
    assert value(found, "stage_conversion") == moved / left


def test_time_and_meetings_equal_a_loop(found, rows):
    first_on, last_on = dt.date(2026, 10, 1), dt.date(2026, 10, 31)
    weekdays = [first_on + dt.timedelta(days=k) for k in range(31) if (first_on + dt.timedelta(days=k)).weekday() < 5]
    there = sum(
        rep["hired_on"].date() <= day and (rep["left_on"] is None or rep["left_on"].date() >= day)
        for rep in rows["reps"] for day in weekdays
    )  # fmt: skip
    held = [one for one in rows["activities"] if one["kind"] == "meeting" and one["outcome"] != "no_show"]
    absent = [one for one in rows["activities"] if one["kind"] == "meeting" and one["outcome"] == "no_show"]
    minutes = sum(one["minutes"] for one in [*held, *(a for a in rows["activities"] if a["kind"] == "call")]
                  if number(one["started_at"]) == MONTH)  # fmt: skip
    assert value(found, "time_selling") == pytest.approx(minutes / (there * 9 * 60), rel=1e-4)
    firsts: dict = {}
    for one in sorted(held, key=lambda one: one["started_at"]):
        firsts.setdefault(one["deal_id"], one["started_at"])
    n_first = sum(number(at) == MONTH for at in firsts.values())
    assert value(found, "meetings") == n_first / there and last_on == found.as_of
    here = [sum(number(one["started_at"]) == MONTH for one in some_) for some_ in (held, absent)]
    assert value(found, "meetings_held") == here[0] / sum(here)


def worked(moment: dt.datetime, until: dt.datetime) -> float:
    """Working minutes, Monday to Friday from nine to six, minute by minute's end."""
    total, day = 0.0, moment.date()
    while day <= until.date():
        if day.weekday() < 5:
            begin, end = dt.datetime.combine(day, dt.time(9)), dt.datetime.combine(day, dt.time(18))
            total += max((min(end, until) - max(begin, moment)).total_seconds(), 0)
        day += dt.timedelta(days=1)
    return -(-total // 60)


def test_answers_to_leads_equal_a_loop(found, rows):
    in_time = late = 0
    cut = dt.datetime(2026, 11, 1)
    for lead in rows["leads"]:
        if number(lead["created_at"]) == MONTH:
            answered = lead["first_response_at"]
            minutes = worked(lead["created_at"], max(answered if answered is not None else cut, lead["created_at"]))
            late += minutes > 240
            in_time += minutes <= 240 and answered is not None
    assert value(found, "lead_sla") == in_time / (in_time + late)


def test_attainment_equals_a_loop(found, rows):
    booked: dict = defaultdict(int)
    for deal in rows["deals"]:
        if deal["status"] == "won" and "2026-07-01" <= str(deal["closed_at"])[:10] <= "2026-09-30":
            booked[deal["rep_id"]] += deal["amount_minor"]
    quotas = {one["rep_id"]: one["amount_minor"] for one in rows["quotas"] if one["period"] == "2026-Q3"}
    hired = {rep["rep_id"]: rep["hired_on"].date() for rep in rows["reps"]}
    shares = {rep: booked[rep] / quota for rep, quota in quotas.items()}
    ramped = [rep for rep in quotas if (dt.date(2026, 7, 1) - hired[rep]).days / 30.4375 >= 9]
    assert value(found, "attainment") == sum(booked[rep] for rep in quotas) / sum(quotas.values())
    assert value(found, "quota_achievement") == sum(share >= 1 for share in shares.values()) / len(quotas)
    assert value(found, "quota_achievement_ramped") == sum(shares[rep] >= 1 for rep in ramped) / len(ramped)
    assert value(found, "attainment_median") == pytest.approx(median(shares.values()))
    quartiles = np.quantile(list(shares.values()), (0.25, 0.75))
    assert [value(found, f"attainment_{name}") for name in ("p25", "p75")] == pytest.approx(quartiles)
    called: dict = {}
    for call in sorted(rows["forecast_calls"], key=lambda call: call["called_at"]):
        if call["period"] == "2026-Q3" and call["called_at"] < dt.datetime(2026, 9, 3):
            called[call["rep_id"]] = call["amount_minor"]
    both = [rep for rep in quotas if rep in called]
    actual, off = sum(booked[rep] for rep in both), sum(abs(called[rep] - booked[rep]) for rep in both)
    assert value(found, "forecast_accuracy") == pytest.approx(1 - off / actual)
    assert value(found, "forecast_bias") == pytest.approx(sum(called[rep] for rep in both) / actual - 1)


def test_reps_equal_a_loop(found, rows):
    rep = found.reps.iloc[0]
    mine = [deal for back in range(12) for deal in closed(rows, MONTH - back, rep_id=rep["rep_id"])]
    won = [deal for deal in mine if deal["status"] == "won"]
    assert (rep["n_won"], rep["n_lost"]) == (len(won), len(mine) - len(won))
    assert rep["won"] == sum(deal["amount_minor"] for deal in won) and rep["deal_size"] == rep["won"] / len(won)
    days = [(deal["closed_at"] - deal["created_at"]).total_seconds() // 86_400 for deal in won]
    assert rep["cycle"] == pytest.approx(sum(days) / len(days)) and rep["meetings"] > 0


def test_retention_equals_a_loop_and_the_page_of_cohorts(found, rows, book):
    from salesops.cohort import renewals

    paid = {name: defaultdict(int) for name in ("then", "now")}
    for one in rows["revenue"]:
        for name, month in (("then", MONTH - 12), ("now", MONTH)):
            if number(one["month_on"]) == month:
                paid[name][one["account_id"]] += one["amount_minor"]
    then = sum(paid["then"].values())
    assert value(found, "nrr") == sum(paid["now"][one] for one in paid["then"]) / then
    assert value(found, "grr") == sum(min(paid["now"][one], was) for one, was in paid["then"].items()) / then
    same = renewals.measure(book, MONTH, base="all", escalators="in", reactivation="in", least=5)
    assert (value(found, "nrr"), value(found, "grr")) == (same.net.value, same.gross.value)


@pytest.mark.slow
def test_the_hygiene_score_is_that_of_its_page(found, book):
    from salesops import hygiene

    page = hygiene.measure(book, checked("hygiene"))
    assert value(found, "hygiene") == pytest.approx(page.months["score"].iloc[-1], abs=1e-12)


@pytest.mark.slow
def test_capacity_and_coverage_equal_a_loop(found, rows):
    heads, settled_months, settled_won = 0.0, 0, 0
    for rep in rows["reps"]:
        left = rep["left_on"].date() if rep["left_on"] is not None else dt.date.max
        hired = rep["hired_on"].date()
        if hired <= dt.date(2026, 10, 31) <= left:
            heads += min((dt.date(2026, 10, 31) - hired).days / 30.4375 / 9, 1)
        for back in range(12):
            end = periods.add_months(dt.date(2026, 11, 1), -back) - dt.timedelta(days=1)
            if hired <= end <= left and (end - hired).days / 30.4375 >= 9:
                settled_months += 1
                settled_won += sum(
                    deal["amount_minor"] for deal in closed(rows, MONTH - back, rep_id=rep["rep_id"])
                    if deal["status"] == "won"
                )  # fmt: skip
    assert value(found, "capacity") == pytest.approx(heads * settled_won / settled_months / 100)
    quota = sum(one["amount_minor"] for one in rows["quotas"] if one["period"] == "2026-Q4") / 100
    assert value(found, "coverage") == pytest.approx(value(found, "pipeline_open") / (quota - value(found, "bookings")))


def test_medians_of_the_window_equal_a_loop(found, rows):
    days = [(deal["closed_at"] - deal["created_at"]).total_seconds() // 86_400 for deal in rows["deals"]
            if deal["status"] == "won" and number(deal["closed_at"]) > MONTH - 12]  # fmt: skip
    assert value(found, "cycle_median") == median(day for day in days if day >= 0)
    assert value_of(found, "cycle_median").low <= value(found, "cycle_median") <= value_of(found, "cycle_median").high


def test_groups_sum_to_the_company(found):
    additive = [key for key, metric in found.metrics.items() if metric.of.additive]
    assert len(additive) >= 5
    for level in ("region", "team"):
        for key in additive:
            rows = found.values[found.values["metric"] == key]
            sums = rows[rows["level"] == level].groupby("period")["value"].sum()
            whole = rows[rows["level"] == "company"].set_index("period")["value"]
            assert sums.to_numpy() == pytest.approx(whole.to_numpy(), abs=1e-6), (level, key)


@pytest.mark.slow
def test_a_page_of_a_region_tells_what_the_company_page_tells_of_it(found):
    params = checked("scorecard", region="EMEA")
    own = scorecard.measure(crm.open(**params.book), params)
    for key, metric in found.metrics.items():
        if metric.of.by != "window" and not metric.formula.startswith("forecast"):
            assert value(own, key) == pytest.approx(value(found, key, "region", "EMEA")), key
    assert own.plan.booked == found.plan.parts.set_index("group").loc["EMEA", "booked"]


def test_every_formula_stands_in_the_registry_and_every_metric_is_told(found):
    assert {metric.formula for metric in found.metrics.values()} | {"n_won"} == set(FORMULAS)
    absent = [key for key in found.metrics if value(found, key) is None]
    assert absent == ["lead_response_p95"]  # eight in a hundred leads are never answered


def test_tiles_say_whether_a_value_is_usual(found):
    """Against the lowest and highest of the series, and its limits; a target that somebody set stands there too."""
    notes = {one.key: one.note for one in words.tiles(found)}
    rates = found.values.query("metric == 'win_rate' and level == 'company'")["value"].dropna()
    assert rates.iloc[-1] == rates.min() and notes["win_rate"].endswith(
        f"the lowest of {len(rates)}, within its usual range"
    )
    assert notes["bookings"].endswith("October 2026 · within its usual range") and "usual" not in notes["nrr"]
    limits = dict(found.behaviour)
    key = ("bookings", "company", crm.ALL)
    limits[key] = (limits[key][0]._replace(low=limits[key][0].high), *limits[key][1:])
    aimed = found.metrics | {"win_rate": found.metrics["win_rate"].model_copy(
        update={"target": registry.Target(value=0.25, source="board")})}  # fmt: skip
    notes = {one.key: one.note for one in words.tiles(found._replace(behaviour=limits, metrics=aimed))}
    assert notes["bookings"].endswith("beyond its usual range") and " · target 25.0% · " in notes["win_rate"]
    assert tables.metric_table(found).columns[-1] == "Usual range"
    assert tables.metric_table(found._replace(metrics=aimed)).columns[-1] == "Target"


# --- limits ---


def test_limits_are_those_of_the_handbook():
    """NIST/SEMATECH e-Handbook, 6.3.2.2: ten flow rates, limits 45.8159 and 55.8041 around 50.81."""
    rates = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]
    found = stats.behaviour([*rates, 50.0], least=8)
    assert [round(float(one[0]), 2) for one in (found.centre, found.low, found.high)] == [50.81, 45.82, 55.80]
    assert found.n == 10 and found.p > 0.5


@pytest.mark.slow
def test_p_values_of_limits_are_as_rare_as_they_say():
    rng = np.random.default_rng(3)
    for scale, trend in (("plain", False), ("plain", True), ("log", False)):
        draws = [rng.normal(0, 1, 24) + (0.2 * np.arange(24) if trend else 0) for _ in range(3000)]
        made = [stats.behaviour(np.exp(x / 10) if scale == "log" else x, scale=scale, trend=trend) for x in draws]
        for name in ("p", "p_recent"):
            p = np.array([getattr(one, name) for one in made])
            assert 0.035 < (p < 0.05).mean() < 0.065 and (p < 0.005).mean() < 0.009, (scale, trend, name)


def test_a_line_is_no_news_and_a_step_is():
    noise = np.random.default_rng(1).normal(0, 0.05, 24)
    growing = np.exp(0.03 * np.arange(24) + noise)
    assert stats.behaviour(growing, scale="log", trend=True).p > 0.05
    growing[-3:] *= 0.6
    assert stats.behaviour(growing, scale="log", trend=True).p_recent < 0.001
    assert stats.behaviour([1.0] * 12).p == 1 and stats.behaviour([*[1.0] * 12, 2.0]).p == 0
    assert stats.behaviour([1.0] * 8) is None
    with pytest.raises(ValueError, match="no logarithm"):
        stats.behaviour([1.0] * 12 + [0.0], scale="log")


# --- bridges ---

UNITS = some.dictionaries(
    some.sampled_from("abcd"),
    some.tuples(some.integers(1, 50), some.integers(0, 10**9), some.integers(0, 10**9)),
    min_size=1,
)


def units(drawn) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(drawn, orient="index", columns=["n", "listed", "net"])
    return table.rename_axis("product")


@given(UNITS, UNITS)
@settings(max_examples=examples(300))
def test_the_effects_sum_to_the_change_to_the_cent(new, old):
    parts = bridges.effects(units(new), units(old))
    change = sum(one[2] for one in new.values()) - sum(one[2] for one in old.values())
    assert sum(parts.values()) == change and sum(stats.whole_parts(parts).values()) == change
    alike = bridges.effects(units(old), units(old))
    assert set(alike.values()) == {Fraction(0)}
    twice = {name: tuple(2 * x for x in one) for name, one in old.items()}
    assert bridges.effects(units(twice), units(old)) == {
        "volume": sum(one[2] for one in old.values()), "mix": 0, "size": 0, "discount": 0
    }  # fmt: skip


def test_effects_by_hand():
    """Ten at 100 less 10 %, ten at 50; then 12 and 6, the first at 110 less 20 %."""
    old = units({"a": (10, 1000, 900), "b": (10, 500, 500)})
    new = units({"a": (12, 1320, 1056), "b": (6, 300, 300)})
    parts = bridges.effects(new, old)
    assert parts == {"volume": -140, "mix": Fraction(120), "size": Fraction(108), "discount": Fraction(-132)}
    assert sum(parts.values()) == 1356 - 1400


def test_bridges_of_the_sample_close(found, rows):
    assert found.sales.amount_now - found.sales.amount_before == sum(found.sales.parts.values())
    won = sum(deal["amount_minor"] for deal in closed(rows) if deal["status"] == "won")
    assert found.sales.amount_now == won and found.sales.n_now == 88
    plan = found.plan
    assert plan.parts[["quota", "booked"]].sum().tolist() == [plan.quota, plan.booked]
    assert plan.running[0] == "2026-Q4" and plan.running[2] == won


# --- public data with checked figures ---


@pytest.mark.slow
@pytest.mark.real_data
def test_eleven_months_of_sales_are_not_compared_with_twelve_of_targets(data):
    params = checked("scorecard", source=f"aw:{data}/aw_sales_targets", period="2019-07..2020-06", window=12)
    book = crm.open(**params.book)
    found = scorecard.measure(book, params)
    assert len(found.plan.periods) == 11 and found.plan.unsold == ["2020-06"]
    assert found.plan.booked == 33_139_748_07
    said = words.findings(found)[0]
    assert "The quotas of June 2020" in said.detail and "left out" in said.detail
    assert "4 of them booked nothing" in said.detail or "booked nothing at all" in said.detail  # managers
    assert found.spread_p is None and value_of(found, "win_rate") is None  # all orders are won
    selling = checked("scorecard", source=params.source, period=params.period, window=12, role="Sales Representative")
    plan = scorecard.measure(crm.open(**selling.book), selling).plan
    assert int(plan.parts["n"].sum()) == 14 and plan.quota < found.plan.quota and plan.booked < found.plan.booked + 1
    own = found.reps.set_index("name")["attained"]
    assert f"{own['Lynn Tsoflias']:.1%}" == "155.0%"  # of eleven months; of all twelve targets it would be 137.5 %
    assert found.sales is None  # eleven months against twelve
    whole = checked("scorecard", source=params.source, period="2018-07..2019-06", year_starts=7)
    sales = scorecard.measure(crm.open(**whole.book), whole).sales
    assert sales.unit == "pieces" and (sales.amount_now, sales.amount_before) == (27_979_779_53, 16_429_042_60)
    assert sum(sales.parts.values()) == sales.amount_now - sales.amount_before


@pytest.mark.slow
@pytest.mark.real_data
def test_public_companies_have_their_checked_figures(data):
    params = checked("scorecard", source=f"maven:{data}/maven_crm", period="2017", window=10)
    found = scorecard.measure(crm.open(**params.book), params)
    values = found.values[(found.values["level"] == "company")]
    won = values[values["metric"] == "bookings"].set_index("period")["value"]
    quarters = [round(won.loc[2017 * 12 + k : 2017 * 12 + k + 2].sum()) for k in (0, 3, 6, 9)]
    assert quarters == [1_134_672, 3_086_111, 2_982_255, 2_802_496]
    reps = found.reps.set_index("name")
    assert round(reps.loc["Darcel Schlecht", "won"] / 100) == 1_153_214
    raw = (reps["n_won"] / (reps["n_won"] + reps["n_lost"])).map("{:.1%}".format)
    assert (raw["Hayden Neloms"], raw["Lajuana Vencill"]) == ("70.4%", "55.0%")
    assert value_of(found, "cycle_median").value == 57 and found.plan is None
    assert value_of(found, "win_rate_by_value") is None  # lost deals have an amount of zero there

    params = checked(
        "scorecard", source=f"pbi:{data}/pbi_regional_sales/extracted", period="2021", window=36, months=60
    )
    found = scorecard.measure(crm.open(**params.book), params)
    values = found.values[(found.values["level"] == "company")]
    assert round(values.loc[values["metric"] == "bookings", "value"].sum()) <= 26_435_925
    reps = found.reps.set_index("name")
    riley = reps.loc["Riley Johnson"]
    assert f"{riley['n_won'] / (riley['n_won'] + riley['n_lost']):.1%}" == "64.5%"


# --- what is refused, and what is said ---


def test_a_registry_is_refused_with_every_problem(tmp_path):
    good = yamlfile.load(ROOT / "params" / "metrics.yml")
    assert list(registry.read(ROOT / "params" / "metrics.yml")) == list(good)
    path = tmp_path / "metrics.yml"
    path.write_text(
        "a: 1\n"
        "b: {name: {en: B}, definition: {en: d, ru: д}, formula: win_rate, unit: money, better: up, against: none, "
        "digits: 0}\n"
        "c: {name: {en: C, ru: Ц}, definition: {en: d, ru: д}, formula: sqrt, unit: share, better: up, against: none, "
        "digits: 9, colour: red}\n"
        "d: {name: {en: C, ru: Ц}, definition: {en: d, ru: д}, formula: sqrt, unit: share, better: up, against: none, "
        "digits: 0}\n"
    )
    with pytest.raises(BadInput) as refused:
        registry.read(path)
    said = "\n".join(refused.value.problems)
    for part in ("a: expected lines", "b: unit: win_rate is told in share", "b: name: ru", "c: digits", "c: colour",
                 "d: formula: 'sqrt', allowed: bookings"):  # fmt: skip
        assert part in said, said
    entry = (
        "{name: {en: B, ru: Б}, definition: {en: d, ru: д}, formula: FORMULA, unit: share, better: up, against: none, "
    )
    entry += "digits: 0, target: {value: 25, source: board}}"
    path.write_text(f"e: {entry.replace('FORMULA', 'win_rate')}\nf: {entry.replace('FORMULA', 'nrr')}\n"
                    f"g: {entry.replace('FORMULA', 'win_rat')}\n")  # fmt: skip
    with pytest.raises(BadInput) as refused:
        registry.read(path)
    said = "\n".join(refused.value.problems)
    for part in (
        "e: target: value: a share, as 0.25 for 25%, got 25",
        "f: target",
        "g: formula: 'win_rat', did you mean 'win_rate'?",
    ):
        assert part in said, said
    path.write_text("")
    with pytest.raises(BadInput, match="no metric"):
        registry.read(path)


@pytest.mark.slow
def test_a_begun_month_is_compared_with_nothing():
    params = checked("scorecard", as_of="2026-10-13")
    found = scorecard.measure(crm.open(**params.book), params)
    assert found.partial == (13, 31) and found.months.whole == MONTH - 1
    assert "13 of 31 days of the last month are known" in words.facts(found)
    assert "October 2026 is not over" in words.note(found) and found.sales is None
    deals = crm.open("sample", as_of="2026-10-13").deals.execute()
    ended = deals[
        (deals["status"] != "open") & (deals["closed_at"] >= "2026-09-01") & (deals["closed_at"] < "2026-10-01")
    ]
    assert value(found, "win_rate") == (ended["status"] == "won").mean()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["sample", "sample:planted=0"])
def test_what_came_after_the_period_is_no_part_of_it(source):
    """The same month told with more known: no later deal, meeting or lead is put into it."""
    asked = {"period": "2026-08", "source": source}
    told, again = checked("scorecard", **asked), checked("scorecard", **asked, as_of="2026-10-31")
    then, now = (scorecard.measure(crm.open(**one.book), one) for one in (told, again))
    for key in ("n_created", "meetings", "time_selling"):
        assert value(now, key) == pytest.approx(value(then, key)), key
    # In the sample company amounts of won deals change later and deals won earlier are lost; in the other none does.
    since = {"rel": 1e-6 if source == "sample:planted=0" else 0.005}
    for key in ("bookings", "discount", "capacity", "attainment"):
        assert value(now, key) == pytest.approx(value(then, key), **since), key
    assert value(now, "win_rate") == pytest.approx(value(then, "win_rate"), abs=0.02)  # lost deals came back since
    assert now.plan.running[1:] == pytest.approx(then.plan.running[1:], **since)
    assert now.reps["won"].sum() == pytest.approx(then.reps["won"].sum(), **since)
    august = crm.open(**again.book).deals.filter(ibis._.status == "won", ibis._.closed_at >= dt.datetime(2026, 8, 1),
                                                 ibis._.closed_at < dt.datetime(2026, 9, 1))  # fmt: skip
    assert value(now, "bookings") == august.amount_minor.sum().execute() / 100
    assert value(now, "cycle_median") == value(then, "cycle_median") and value(now, "deal_size_open_median") is None


@pytest.mark.slow
def test_a_team_and_the_first_months_of_a_record_can_be_told():
    team = checked("scorecard", team="EMEA 1")
    found = scorecard.measure(crm.open(**team.book), team)
    assert value(found, "lead_response_median") is not None and words.findings(found)
    early = checked("scorecard", period="2023-12")
    found = scorecard.measure(crm.open(**early.book), early)
    assert found.plan is None and value(found, "attainment") is None  # October of that quarter is not in the record


def test_amounts_that_are_not_known_are_no_zeros(tmp_path):
    at = pd.date_range("2025-01-02", "2026-10-30", freq="D")
    known = at < "2026-09-01"
    deals = pd.DataFrame({"deal_id": [f"D{k}" for k in range(len(at))], "stage": "Open", "pipeline": "",
    "created_at": at,
                          "amount_minor": pd.array(np.where(known, 100, 0), dtype="Int64")})  # fmt: skip
    deals.loc[~known, "amount_minor"] = pd.NA
    stages = pd.DataFrame({"pipeline": "", "stage": ["Open", "Won"], "position": [1, 2], "kind": ["open", "won"]})
    book = bare_book(tmp_path, exported_on="2026-10-31", deals=deals, stages=stages)
    found = scorecard.measure(book, checked("scorecard"))
    created = found.values[(found.values["metric"] == "pipeline_created") & (found.values["level"] == "company")]
    assert created.set_index("period")["value"].isna().tail(3).tolist() == [False, True, True]
    assert value(found, "n_created") == 30 and value(found, "pipeline_weighted") is None
    assert not found.signals["metric"].str.startswith("pipeline").any()


@pytest.mark.slow
def test_shares_of_few_cases_at_their_end_are_no_signals():
    """Twenty cases a month of which 99 in a hundred are a yes: a no is no wonder."""
    from salesops.scorecard import compute

    rng, low = np.random.default_rng(2), 0
    metric = registry.read(ROOT / "params" / "metrics.yml")["meetings_held"]
    for _draw in range(400):
        n = pd.DataFrame({"value": rng.binomial(20, 0.99, 24) / 20, "n": 20.0, "period": range(24)})
        made = compute._behaviours(
            {"m": metric}, n.assign(metric="m", level="company", group=""), months.Span(0, 23, 23)
        )
        low += made["m", "company", ""][0].p < 0.001
    assert low <= 4


def test_a_target_is_judged_by_distance_and_scatter(found):
    def judged(target, **changed):
        metric = found.metrics["win_rate"].model_copy(update={"target": registry.Target(value=target, source="board")})
        own = found._replace(metrics=found.metrics | {"win_rate": metric}, **changed)
        return words.status(own, "win_rate"), [one.key for one in words.findings(own)]

    assert judged(0.20)[0] == "good"
    assert judged(0.22)[0] == "warn"  # within Wilson's limits
    tone, keys = judged(0.5)
    assert tone == "bad" and "target/win_rate" in keys
    assert judged(0.27, behaviour={})[0] == "bad" and judged(0.27)[0] == "warn"  # the series scatters as far


def test_a_signal_is_said_once_for_a_metric_with_its_money(found):
    table = found.signals.copy()
    mine = (table["metric"] == "win_rate") & (table["kind"] == "point")
    table.loc[mine & table["group"].isin(["", "EMEA"]), ["p_adjusted", "said"]] = (0.01, True)
    said = words.findings(found._replace(signals=table.sort_values("said", ascending=False)))
    mine = [one for one in said if one.key.startswith("signal/win_rate")]
    assert len(mine) == 1 and mine[0].money > 0 and mine[0].p == 0.01
    assert "Also in" in mine[0].detail and mine[0].tone == "bad"


def test_a_source_with_deals_alone_is_told_what_it_can(tmp_path):
    at = pd.date_range("2025-01-05", "2026-10-30", freq="2D")
    deals = pd.DataFrame({"deal_id": [f"D{k}" for k in range(len(at))], "stage": "Won", "pipeline": "", "closed_at": at,
                          "created_at": at - pd.Timedelta(hours=9), "amount_minor": 10_000})  # fmt: skip
    stages = pd.DataFrame({"pipeline": [""], "stage": ["Won"], "position": [1], "kind": ["won"]})
    book = bare_book(tmp_path, exported_on="2026-10-31", deals=deals, stages=stages)
    found = scorecard.measure(book, checked("scorecard"))
    assert value(found, "bookings") == 100.0 * (at >= "2026-10-01").sum() and found.plan is None
    assert value(found, "nrr") is None and value(found, "hygiene") is None
    assert found.reps.empty and scorecard.tables.rep_table(found) is None
    assert "NRR" in scorecard.tables.metric_table(found).notes[-1]
    assert words.findings(found)[0].tone == "plain" and words.tiles(found)
    with pytest.raises(ValueError, match="the source ends on 2026-10-31"):
        scorecard.measure(book, checked("scorecard", period="2026-12"))


@pytest.mark.parametrize("stem", ["scorecard", "maturity"])
@pytest.mark.parametrize(("period", "says"), [("2020-01", "the source begins on 2023-11-01, after it"),
                                              ("2028-01", "the source ends on 2026-10-31, before it")])  # fmt: skip
def test_a_period_outside_of_the_record_is_refused(stem, period, says):
    asked = checked(stem, period=period)
    with pytest.raises(ValueError, match=says):
        importlib.import_module(f"salesops.{stem}").measure(crm.open(**asked.book), asked)


@pytest.mark.parametrize(
    "kind", ["deal_type", *(pytest.param(name, marks=pytest.mark.slow) for name in ("segment", "pipeline"))]
)
def test_reps_are_compared_among_deals_of_one_kind(tmp_path, kind):
    """Two sell what one in five wins, two what four in five win: each wins as often as who sells the same, or not."""
    values = {"deal_type": ("new", "expansion"), "segment": ("A", "B"), "pipeline": ("P", "Q")}[kind]
    for name, wins in (("alike", (10, 10, 40, 40)), ("unlike", (2, 18, 40, 40))):
        deals = pd.DataFrame([
            {"deal_id": f"D{rep}-{k}", "rep_id": f"R{rep}", "pipeline": "P", kind: values[rep // 2],
             "stage": "Won" if k < n_won else "Lost", "closed_at": pd.Timestamp("2026-08-15")}
            for rep, n_won in enumerate(wins) for k in range(50)
        ])  # fmt: skip
        stages = pd.DataFrame([{"pipeline": one, "stage": stage, "position": k, "kind": stage.lower()}
                               for one in deals["pipeline"].unique()
                               for k, stage in ((1, "Won"), (2, "Lost"))])  # fmt: skip
        book = bare_book(tmp_path / name, exported_on="2026-10-31", deals=deals, stages=stages)
        span = months.span(book, checked("scorecard"))
        p = people.p_of_alike(book, span, span.last - 11)
        assert p > 0.99 if name == "alike" else p < 0.001
