"""The shared methods against printed tables, statsmodels, fractions by hand, and their own properties."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from salesops import stats
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

PUBLISHED = Path(__file__).parent / "published"
CAUSES = {"won": "n_won", "lost": "n_lost"}
FREIREICH = [
    "6",
    "6",
    "6",
    "6+",
    "7",
    "9+",
    "10",
    "10+",
    "11+",
    "13",
    "16",
    "17+",
    "19+",
    "20+",
    "22",
    "23",
    "25+",
    "32+",
    "32+",
    "34+",
    "35+",
]


def published(name: str) -> pd.DataFrame:
    return pd.read_csv(PUBLISHED / name, comment="#")


def deals(ages, outcomes) -> pd.DataFrame:
    """Counts from single deals; outcome 1 is won, 2 is lost, 0 is open."""
    outcomes = np.asarray(outcomes)
    return pd.DataFrame({"age": ages, **{f"n_{n}": (outcomes == k) * 1 for k, n in enumerate(("open", "won", "lost"))}})


@pytest.mark.parametrize("row", published("newcombe_1998a_wilson.csv").to_records(index=False).tolist(), ids=str)
def test_wilson_meets_newcombe_1998a(row):
    n_yes, n, *limits = row
    found = stats.wilson(n_yes, n)
    assert [round(found.low, 4), round(found.high, 4)] == limits


@pytest.mark.parametrize("row", published("newcombe_1998b_method10.csv").to_records(index=False).tolist(), ids=str)
def test_difference_meets_newcombe_1998b_method_10(row):
    yes_1, n_1, yes_2, n_2, *limits = row
    found = stats.difference(stats.wilson(yes_1, n_1), stats.wilson(yes_2, n_2))
    assert [round(found.low, 4), round(found.high, 4)] == limits


def test_adjustment_meets_benjamini_hochberg_1995():
    table = published("benjamini_hochberg_1995.csv")
    adjusted = stats.adjust_for_many(table["p"])
    assert int((adjusted <= 0.05).sum()) == 4
    known = table["adjusted"].notna()
    assert adjusted[known] == pytest.approx(table["adjusted"][known], abs=0.00005)


def test_kaplan_meier_meets_the_printed_table():
    table = published("freireich_1963_6mp.csv")
    ages = [int(age.rstrip("+")) for age in FREIREICH]
    ended = [int(not age.endswith("+")) for age in FREIREICH]
    found = stats.kaplan_meier(pd.DataFrame({"age": ages, "n_ended": ended, "n_open": [1 - e for e in ended]}))
    assert found.age.tolist() == table["age"].tolist()
    assert np.round(found.share, 4).tolist() == table["share"].tolist()
    assert np.round(found.se, 4).tolist() == table["se"].tolist()
    assert found.quantile(0.5).value == 23
    assert found.quantile(0.6) is None  # 9 of 21 ended: not even six in ten


def test_aalen_johansen_meets_the_hand_table_in_fractions():
    found = stats.aalen_johansen(deals([1, 2, 2, 3, 4, 5, 6, 6, 7, 8], [2, 1, 2, 0, 2, 1, 0, 2, 1, 0]), CAUSES)
    last = [Fraction(47, 120), Fraction(13, 30), Fraction(7, 40)]
    assert sum(last) == 1
    assert [found.share["won"][-1], found.share["lost"][-1], found.still_open[-1]] == pytest.approx(
        [float(f) for f in last], abs=1e-15
    )


@pytest.mark.parametrize("seed", range(5))
def test_survival_equals_statsmodels(seed):
    rng = np.random.default_rng(seed)
    ages, outcomes = rng.integers(0, 60, 3_000), rng.integers(0, 3, 3_000)
    ours, theirs = stats.aalen_johansen(deals(ages, outcomes), CAUSES), CumIncidenceRight(ages, outcomes)
    at = np.isin(theirs.times, ours.age)
    for k, cause in enumerate(CAUSES):
        assert np.abs(ours.share[cause] - theirs.cinc[k][at]).max() < 1e-12
        assert np.abs(ours.se[cause] - theirs.cinc_se[k][at])[:-1].max() < 1e-12
    ended = (outcomes > 0) * 1
    km = stats.kaplan_meier(pd.DataFrame({"age": ages, "n_ended": ended, "n_open": 1 - ended}))
    reference = SurvfuncRight(ages, ended)
    assert np.abs(km.share - reference.surv_prob).max() < 1e-12
    for share in (0.25, 0.5, 0.75):
        low, high = reference.quantile_ci(share, method="cloglog")
        assert km.quantile(share)[:3] == (reference.quantile(share), low, high)


MANY = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=1, max_size=60)


@given(MANY, st.randoms())
def test_shares_sum_to_one_and_the_order_of_deals_does_not_matter(cases, random):
    found = stats.aalen_johansen(deals(*zip(*cases, strict=True)), CAUSES)
    total = found.share["won"] + found.share["lost"] + found.still_open
    assert total == pytest.approx(np.ones(len(found.age)), abs=1e-12)
    assert (found.still_open > -1e-12).all()
    assert all((np.diff(found.share[cause]) >= -1e-12).all() for cause in CAUSES)
    random.shuffle(cases)
    again = stats.aalen_johansen(deals(*zip(*cases, strict=True)), CAUSES)
    assert all((found.share[cause] == again.share[cause]).all() for cause in CAUSES)


@given(MANY)
def test_a_deal_created_today_changes_nothing(cases):
    cases = [(age + 1, outcome) for age, outcome in cases]
    found = stats.aalen_johansen(deals(*zip(*cases, strict=True)), CAUSES)
    more = stats.aalen_johansen(deals(*zip(*cases, (0, 0), strict=True)), CAUSES)
    assert (found.share["won"] == more.share["won"]).all()


@given(MANY, st.integers(0, 40))
def test_intervals_hold_their_estimate_and_stay_within_0_and_1(cases, age):
    found = stats.aalen_johansen(deals(*zip(*cases, strict=True)), CAUSES).at("won", age)
    assert 0 <= found.low <= found.value + 1e-12 <= found.high + 2e-12 <= 1 + 3e-12


def test_an_undefeated_rep_has_a_hundred_percent_with_an_interval():
    found = stats.wilson(3, 3)
    assert found.value == 1 and 0.4 < found.low < 0.5 and found.high == 1


def test_share_of_a_sum_has_the_delta_method_interval():
    rng = np.random.default_rng(3)
    amount, won = rng.lognormal(10, 0.8, 400), rng.random(400) < 0.3
    found = stats.ratio_of_sums(
        amount[won].sum(), amount[~won].sum(), (amount[won] ** 2).sum(), (amount[~won] ** 2).sum(), 400
    )
    draws = [rng.integers(0, 400, 400) for _ in range(4_000)]
    bootstrap = [amount[d][won[d]].sum() / amount[d].sum() for d in draws]
    assert (found.low, found.high) == pytest.approx(np.quantile(bootstrap, [0.025, 0.975]), abs=0.015)


@pytest.mark.parametrize(
    "case",
    [
        lambda: stats.wilson(0, 0),
        lambda: stats.wilson(3, 2),
        lambda: stats.ratio_of_sums(0, 0, 0, 0, 0),
        lambda: stats.kaplan_meier(pd.DataFrame({"age": [], "n_ended": [], "n_open": []})),
        lambda: stats.kaplan_meier(pd.DataFrame({"age": [-1], "n_ended": [1], "n_open": [0]})),
        lambda: stats.aalen_johansen(deals([], []), CAUSES),
    ],
)
def test_what_has_no_answer_is_refused(case):
    with pytest.raises(ValueError, match=r"no rate|no share|no case|negative"):
        case()


def test_follow_up_is_the_kaplan_meier_of_censoring():
    rng = np.random.default_rng(7)
    ages, outcomes = rng.integers(0, 60, 900), rng.integers(0, 3, 900)
    found = stats.aalen_johansen(deals(ages, outcomes), CAUSES)
    # ends come before censorings at the same age, so for the censoring they happen half a step earlier
    reference = SurvfuncRight(ages - 0.5 * (outcomes > 0), (outcomes == 0) * 1)
    assert np.abs(found.kept - reference.surv_prob).max() < 1e-12
    for least in (1, 100, 500):
        first = np.flatnonzero(900 * reference.surv_prob < least)[0]
        assert found.watched_until(least) == reference.surv_times[first]
    assert stats.aalen_johansen(deals([3, 4], [1, 2]), CAUSES).watched_until(2) == np.inf
