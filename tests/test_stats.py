"""The shared methods against printed tables, statsmodels, fractions by hand, and their own properties."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from salesops import stats
from salesops.stats import shrinkage
from scipy.stats import beta, chi2, chi2_contingency
from scipy.stats import t as student
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

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


def test_lmdi_parts_sum_to_the_change_of_the_product():
    new, old = {"n": 110.0, "rate": 0.2, "size": 300.0}, {"n": 100.0, "rate": 0.25, "size": 290.0}
    parts = stats.lmdi(new, old)
    assert sum(parts.values()) == pytest.approx(np.prod(list(new.values())) - np.prod(list(old.values())), abs=1e-9)
    assert parts["n"] > 0 > parts["rate"]
    # By hand: V 6600 and 7250, L = 650 / ln(7250 / 6600), times ln 1.1.
    assert parts["n"] == pytest.approx(650 / np.log(7250 / 6600) * np.log(1.1))
    assert stats.lmdi(old, old) == {"n": 0, "rate": 0, "size": 0}
    with pytest.raises(ValueError, match="not above zero: rate"):
        stats.lmdi(new | {"rate": 0.0}, old)
    with pytest.raises(ValueError, match="factors differ"):
        stats.lmdi(new, {"n": 1.0})


def test_kitagawa_by_hand():
    """Rates 0.2 and 0.6, shares 0.5 and 0.5, then 0.3 and 0.7 with rates 0.1 and 0.6."""
    share = pd.DataFrame({"now": [0.3, 0.7], "before": [0.5, 0.5]})
    rate = pd.DataFrame({"now": [0.1, 0.6], "before": [0.2, 0.6]})
    parts = stats.kitagawa(share, rate)
    assert parts["own"].tolist() == pytest.approx([-0.1 * 0.4, 0.0])
    usual = (0.45 + 0.40) / 2  # the averages are 0.3 x 0.1 + 0.7 x 0.6 and 0.5 x 0.2 + 0.5 x 0.6
    assert parts["mix"].tolist() == pytest.approx([-0.2 * (0.15 - usual), 0.2 * (0.6 - usual)])
    assert parts.to_numpy().sum() == pytest.approx(0.45 - 0.40)
    with pytest.raises(ValueError, match="not to 1"):
        stats.kitagawa(share * 2, rate)


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_kitagawa_and_shapley_are_exact(n, seed):
    rng = np.random.default_rng(seed)
    share = pd.DataFrame({side: rng.dirichlet(np.ones(n)) for side in ("now", "before")})
    rate = pd.DataFrame({side: rng.random(n) for side in ("now", "before")})
    change = (share["now"] * rate["now"]).sum() - (share["before"] * rate["before"]).sum()
    assert stats.kitagawa(share, rate).to_numpy().sum() == pytest.approx(change, abs=1e-12)
    worth = {}
    value = lambda some: worth.setdefault(some, rng.random() if some else 0.0)  # noqa: E731
    shares = stats.shapley(range(n), value)
    assert sum(shares.values()) == pytest.approx(worth[frozenset(range(n))], abs=1e-12)


def test_shapley_is_the_mean_over_all_orders():
    worth = {
        frozenset(some): len(some) ** 2 + 3 * ("a" in some)
        for k in range(4)
        for some in itertools.combinations("abc", k)
    }
    orders = list(itertools.permutations("abc"))
    mean = {
        one: np.mean([worth[frozenset(o[: o.index(one) + 1])] - worth[frozenset(o[: o.index(one)])] for o in orders])
        for one in "abc"
    }
    assert stats.shapley("abc", worth.__getitem__) == pytest.approx(mean)
    with pytest.raises(ValueError, match="13 players"):
        stats.shapley(range(13), len)


def test_rates_drawn_together_meet_the_reference():
    """a = 4, b = 12: 1/2, 9/30 and 30/60 become .2778, .2826, .4474 (statistics.md, part 5)."""
    drawn = shrinkage.drawn_together([1, 9, 30], [2, 30, 60], 0.25, 16)
    assert [round(rate.value, 4) for rate in drawn] == [0.2778, 0.2826, 0.4474]
    a, b = 4 + 9, 12 + 21
    assert (drawn[1].low, drawn[1].high) == pytest.approx((beta.ppf(0.025, a, b), beta.ppf(0.975, a, b)))


def test_rates_alike_are_drawn_together_and_unlike_ones_are_not():
    rng = np.random.default_rng(2)
    n = np.full(40, 60)
    alike = stats.pool_rates(rng.binomial(60, 0.3, 40), n)
    unlike = stats.pool_rates(rng.binomial(60, rng.beta(6, 14, 40)), n)  # counts for 20 cases
    assert alike.weight > 200 and alike.p > 0.05
    assert 10 < unlike.weight < 45 and unlike.p < 1e-6
    undefeated = stats.pool_rates(np.array([4, 10, 12]), np.array([4, 40, 41]))
    assert undefeated.rates[0].value < 1 and undefeated.rates[0].high <= 1
    with pytest.raises(ValueError, match="two members"):
        stats.pool_rates([3], [4])


def test_the_chance_of_being_best_is_that_of_a_simulation():
    """Of many cases, where the family says little: independent posteriors."""
    n_yes, n = np.array([500, 520, 545, 150]), np.full(4, 1000)
    pooled = stats.pool_rates(n_yes, n)
    drawn = np.random.default_rng(0).beta(n_yes, n - n_yes, (200_000, 4))
    best = np.bincount(drawn.argmax(axis=1), minlength=4) / 200_000
    assert pooled.best == pytest.approx(best, abs=0.03) and pooled.best.sum() == pytest.approx(1)
    assert (pooled.above[:3] > 0.5).all() and pooled.above[3] < 0.05


@pytest.mark.slow
def test_intervals_of_rates_drawn_together_cover_with_and_without_spread():
    """20 members of 25 cases: the mean and the weight are not known either."""
    rng, inside = np.random.default_rng(1), []
    for k in range(30):
        true = rng.beta(5, 15, 20) if k % 2 else np.full(20, 0.25)
        pooled = stats.pool_rates(rng.binomial(25, true), np.full(20, 25))
        inside += [rate.low <= p <= rate.high for rate, p in zip(pooled.rates, true, strict=True)]
    assert np.mean(inside) > 0.9


def _weighed(seed: int, n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount = rng.integers(1, 100, n).astype(float)
    outcome = rng.choice(["won", "lost", "open"], n, p=[0.3, 0.4, 0.3])
    return pd.DataFrame(
        {"age": rng.integers(1, 40, n), "outcome": outcome, "n": 1, "total": amount, "squares": amount**2}
    )


def test_an_incidence_by_value_with_equal_amounts_is_aalen_johansen():
    table = _weighed(1).assign(total=7.0, squares=49.0)
    counted = table.assign(**{f"n_{end}": (table["outcome"] == end).astype(int) for end in ("won", "lost", "open")})
    curve = stats.aalen_johansen(counted, {"won": "n_won", "lost": "n_lost"})
    found = stats.incidence_by_value(table, ["won", "lost"], "won", 25)
    assert tuple(found) == pytest.approx(tuple(curve.at("won", 25)), abs=1e-12)


def test_the_spread_by_value_is_that_of_numerical_derivatives():
    table = _weighed(4)
    found = stats.incidence_by_value(table, ["won", "lost"], "won", 30)
    moves = []
    for row in range(len(table)):
        changed = table["total"].copy()
        changed[row] *= 1 + 1e-6
        moved = stats.incidence_by_value(table.assign(total=changed), ["won", "lost"], "won", 30)
        moves.append((moved.value - found.value) / 1e-6)
    se = np.sqrt(np.square(moves).sum())
    width = np.exp(1.959963984540054 * se / ((1 - found.value) * abs(np.log(1 - found.value))))
    assert found.low == pytest.approx(1 - (1 - found.value) ** (1 / width), abs=1e-5)
    complete = table[table["outcome"] != "open"]
    share = complete.loc[complete["outcome"] == "won", "total"].sum() / complete["total"].sum()
    assert stats.incidence_by_value(complete, ["won", "lost"], "won", 99).value == pytest.approx(share)
    with pytest.raises(ValueError, match="sum of nothing"):
        stats.incidence_by_value(table.assign(total=0.0), ["won"], "won", 3)


def test_the_mean_time_open_is_the_area_of_kaplan_meier():
    table = _weighed(5).assign(total=1.0, squares=1.0)
    ended = table["outcome"] != "open"
    reference = SurvfuncRight(table["age"], ended)

    def at(age):
        return float(np.append(1.0, reference.surv_prob)[np.searchsorted(reference.surv_times, age, side="right")])

    area, se = stats.mean_open(table, ["won", "lost"], 20)
    assert area == pytest.approx(sum(at(age) for age in range(20)))
    complete = table.assign(outcome="won")
    mean, spread = stats.mean_open(complete, ["won"], 100)
    assert (mean, spread) == pytest.approx(
        (complete["age"].mean(), complete["age"].std(ddof=0) / np.sqrt(len(complete)))
    )
    assert se > 0


def test_equal_incidence_is_tested_as_welch_does_where_all_ended():
    sides = []
    for n_won, n in ((30, 100), (48, 110)):
        counted = pd.DataFrame({"age": [5, 6], "n_won": [n_won, 0], "n_lost": [0, n - n_won], "n_open": [0, 0]})
        sides.append(stats.aalen_johansen(counted, {"won": "n_won", "lost": "n_lost"}))
    p = stats.p_of_equal_incidence(*sides, "won", 10)
    pooled = 78 / 210
    spread = [
        max(np.sqrt(x * (1 - x) / n), np.sqrt(pooled * (1 - pooled) / n)) for x, n in ((0.3, 100), (48 / 110, 110))
    ]
    freedom = sum(s**2 for s in spread) ** 2 / (spread[0] ** 4 / 99 + spread[1] ** 4 / 109)
    apart = 48 / 110 - 0.3 - (1 / 100 + 1 / 110) / 2
    assert p == pytest.approx(2 * student.sf(apart / np.hypot(*spread), freedom))
    assert stats.p_of_equal_incidence(sides[0], sides[0], "won", 10) == 1


def test_holm_rejects_what_is_published():
    p = published("benjamini_hochberg_1995.csv")["p"]
    assert (stats.adjust_for_any(p) < 0.05).sum() == 3  # Bonferroni and Holm 3, Benjamini-Hochberg 4
    shuffled = p.sample(frac=1, random_state=1)
    assert stats.adjust_for_any(shuffled) == pytest.approx(multipletests(shuffled, method="holm")[1])


def test_many_medians_at_once_are_those_one_by_one():
    rng = np.random.default_rng(3)
    ages = np.arange(1, 31)
    ended, still = rng.integers(0, 4, (5, 30)).astype(float), rng.integers(0, 3, (5, 30)).astype(float)
    ended[4] = 0  # nothing ended
    value, low, high = stats.medians(ages, ended, still)
    for k in range(4):
        one = stats.kaplan_meier(pd.DataFrame({"age": ages, "n_ended": ended[k], "n_open": still[k]})).quantile(0.5)
        assert (value[k], low[k], high[k]) == tuple(one[:3])
    assert np.isinf(value[4])


def test_equal_rates_within_strata_are_those_of_mantel_and_haenszel():
    """Two members: the Cochran-Mantel-Haenszel statistic of statsmodels; one stratum: Pearson's, times (N - 1) / N,
    against scipy."""
    rng = np.random.default_rng(4)
    tables = [rng.integers(3, 40, (2, 2)) for _ in range(5)]
    cells = [(k, h, table[k, 0], table[k].sum()) for h, table in enumerate(tables) for k in (0, 1)]
    member, stratum, yes, n = map(np.array, zip(*cells, strict=True))
    expected = StratifiedTable(tables).test_null_odds(correction=False).pvalue
    assert stats.p_of_equal_rates_within(yes, n, member, stratum) == pytest.approx(expected, rel=1e-12)
    one = rng.integers(5, 60, (7, 2))
    plain = chi2_contingency(one, correction=False).statistic * (one.sum() - 1) / one.sum()
    got = stats.p_of_equal_rates_within(one[:, 0], one.sum(axis=1), np.arange(7), np.zeros(7, dtype=int))
    assert got == pytest.approx(chi2.sf(plain, 6), rel=1e-9)
    nothing = np.array([1]), np.array([4]), np.array([0]), np.array([0])
    assert (
        stats.p_of_equal_rates_within(*nothing) == stats.p_of_equal_rates_within(*(one[:0] for one in nothing)) == 1.0
    )


def test_who_is_given_what_is_won_more_easily_wins_no_better():
    """Two kinds of deals, won at 0.7 and 0.2, in unlike shares: p is as rare as it says, and small for a better one."""
    rng = np.random.default_rng(8)
    member, stratum = np.repeat(np.arange(12), 2), np.tile([0, 1], 12)
    n = np.where(stratum == 0, 10 + 8 * member, 110 - 8 * member)
    rate = np.where(stratum == 0, 0.7, 0.2)
    p = [stats.p_of_equal_rates_within(rng.binomial(n, rate), n, member, stratum) for _ in range(2000)]
    assert 0.035 < np.mean(np.array(p) < 0.05) < 0.065
    better = np.where(member == 5, rate + 0.15, rate)
    assert (
        np.median([stats.p_of_equal_rates_within(rng.binomial(n, better), n, member, stratum) for _ in range(99)]) < 0.1
    )
