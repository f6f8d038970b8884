"""Projections: each method against its published table at the last printed digit, and against its own laws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops.stats import buying, contracts, triangle

TAYLOR_ASHE = [  # cumulative claims, Taylor & Ashe (1983), as printed in Mack (1993)
    [357848, 1124788, 1735330, 2218270, 2745596, 3319994, 3466336, 3606286, 3833515, 3901463],
    [352118, 1236139, 2170033, 3353322, 3799067, 4120063, 4647867, 4914039, 5339085],
    [290507, 1292306, 2218525, 3235179, 3985995, 4132918, 4628910, 4909315],
    [310608, 1418858, 2195047, 3757447, 4029929, 4381982, 4588268],
    [443160, 1136350, 2128333, 2897821, 3402672, 3873311],
    [396132, 1333217, 2180715, 2985752, 3691712],
    [440832, 1288463, 2419861, 3483130],
    [359480, 1421128, 2864498],
    [376686, 1363294],
    [344014],
]
RAA = [  # Reinsurance Association of America, as printed in Mack (1994)
    [5012, 8269, 10907, 11805, 13539, 16181, 18009, 18608, 18662, 18834],
    [106, 4285, 5396, 10666, 13782, 15599, 15496, 16169, 16704],
    [3410, 8992, 13873, 16141, 18735, 22214, 22863, 23466],
    [5655, 11555, 15766, 21266, 23425, 26083, 27067],
    [1092, 9565, 15836, 22169, 25955, 26180],
    [1513, 6445, 11702, 12935, 15852],
    [557, 4020, 10946, 12314],
    [1351, 6947, 13112],
    [3133, 5395],
    [2063],
]


def filled(rows):
    made = np.full((len(rows), len(rows[0])), np.nan)
    for k, row in enumerate(rows):
        made[k, : len(row)] = row
    return made


# Contracts


@pytest.mark.parametrize(
    ("survivors", "alpha", "beta", "log_likelihood", "later"),
    [
        ([86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1], 0.6681, 3.8061, -1611.16, [46.0, 43.6, 41.4, 39.5, 37.8]),
        ([63.1, 46.8, 38.2, 32.6, 28.9, 26.2, 24.1], 0.7041, 1.1820, -1680.27, [22.0, 20.4, 19.1, 18.0, 17.0]),
    ],
)
def test_contracts_are_fitted_and_projected_as_published(survivors, alpha, beta, log_likelihood, later):
    """Fader & Hardie (2007): a thousand customers of each segment, seven years; years eight to twelve."""
    there = np.array([1000, *(10 * one for one in survivors)])
    made = contracts.fit(-np.diff(there), [0] * 6 + [there[-1]])
    assert (made.alpha, made.beta) == pytest.approx((alpha, beta), abs=5e-5)
    assert made.log_likelihood == pytest.approx(log_likelihood, abs=0.005)
    assert 100 * made.survival(12)[8:] == pytest.approx(later, abs=0.05)
    assert made.survival(12)[1:] / made.survival(12)[:-1] == pytest.approx(made.retention(12))
    assert (np.diff(made.retention(12)) > 0).all()  # those who leave easily leave first


def test_a_model_at_the_edge_is_left_again():
    """Everybody leaves at one rate: the fit is at its edge, and fits near it to data drawn again are no worse than fits
    from anywhere."""
    rng = np.random.default_rng(8)
    gone = rng.multinomial(300, [*(0.03 * 0.97 ** np.arange(24)), 0.97**24])
    left, stayed = gone[:24], np.array([0] * 23 + [gone[24]])
    made = contracts.fit(left, stayed)
    for _k in range(20):
        again = rng.multinomial(300, gone / 300)
        data = again[:24], np.array([0] * 23 + [again[24]])
        assert contracts.fit(*data, near=made).log_likelihood >= contracts.fit(*data).log_likelihood - 0.05


def test_the_value_of_a_contract_is_the_sum_of_its_chances():
    made = contracts.Fit(0.7, 1.2, 0.0)
    s = made.survival(60)
    for renewed in (0, 3):
        by_hand = sum(s[renewed + k] / s[renewed] / 1.1**k for k in range(1, 41))
        assert made.expected(renewed, 40, 0.1) == pytest.approx(by_hand)
    assert made.expected(3, 40) > made.expected(0, 40)
    assert contracts.fit([5, 0, 0], [0, 0, 20]) is None


@pytest.mark.slow
def test_intervals_of_survivors_hold_what_comes():
    """Thirty cohorts of 300, seen for five periods: 90 % intervals of the ninth hold 23 of them or more (27 - 2.4 sd;
    of 120 cohorts, 112)."""
    truth, inside = contracts.Fit(0.8, 2.5, 0.0).survival(9), 0
    rng = np.random.default_rng(7)
    for _k in range(30):
        gone = rng.multinomial(300, np.append(truth[:-1] - truth[1:], truth[-1]))
        left, stayed = gone[:5], np.array([0, 0, 0, 0, gone[5:].sum()])
        made = contracts.fit(left, stayed)
        drawn = contracts.draw_survivors(made, left, stayed, int(stayed[-1]), 5, 4, n_draws=120, seed=1)
        assert (drawn[:, 0] == stayed[-1]).all() and (np.diff(drawn) <= 0).all()
        low, high = np.quantile(drawn[:, 4], (0.05, 0.95))
        inside += low <= gone[9] <= high
    assert inside >= 23


# Buying


@pytest.mark.real_data
def test_buying_is_fitted_as_published(data):
    """CDNOW, 2,357 customers over 39 weeks: Fader, Hardie & Lee (2005); amounts of the 946 who came back: Fader &
    Hardie (2013)."""
    table = pd.read_csv(data / "cdnow" / "cdnow_customers_summary.csv")
    made = buying.fit_rates(table["frequency"], table["recency"], table["T"])
    assert (made.r, made.alpha, made.a, made.b) == pytest.approx((0.2426, 4.4136, 0.7929, 2.4259), abs=1.5e-4)
    assert made.log_likelihood == pytest.approx(-9582.43, abs=0.005)
    # The paper's example: x = 2, t_x = 30.43, T = 38.86 is expected to buy 1.226 times in the 39 weeks to come.
    assert made.expected(np.array([2.0]), np.array([30.43]), np.array([38.86]), 39.0)[0] == pytest.approx(
        1.226, abs=5e-4
    )
    table = pd.read_csv(data / "cdnow" / "cdnow_customers_summary_with_transactions.csv")
    repeat = table[table["x"] > 0]
    amounts = buying.fit_amounts(repeat["x"], repeat["zbar"])
    assert len(repeat) == 946
    assert (amounts.p, amounts.q, amounts.v) == pytest.approx((6.25, 3.74, 15.45), abs=0.006)
    assert amounts.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    everybody = amounts.v * amounts.p / (amounts.q - 1)
    assert amounts.expected([0, 1000], [0, 50]) == pytest.approx([everybody, 50], rel=2e-3)


@pytest.mark.real_data
def test_occasions_are_fitted_as_published(data):
    """11,104 donors over six years: Fader, Hardie & Shang (2010)."""
    table = pd.read_csv(data / "cdnow" / "donations.csv")
    made = buying.fit_occasions(table["frequency"], table["recency"], table["periods"], table["weights"])
    got = (made.alpha, made.beta, made.gamma, made.delta)
    assert table["weights"].sum() == 11_104 and got == pytest.approx((1.204, 0.750, 0.657, 2.783), abs=6e-4)
    assert made.log_likelihood == pytest.approx(-33225.6, abs=0.05)
    # Table 5: who gave each year is expected to give 3.75 times in the next five, who never did 0.07 times.
    expected = made.expected(np.array([6, 0]), np.array([6, 0]), np.array([6, 6]), 5)
    assert expected == pytest.approx([3.75, 0.07], abs=0.005)


def test_who_is_silent_for_long_has_probably_stopped():
    made = buying.Rates(0.24, 4.4, 0.79, 2.43, 0.0)
    x, t_x, t = np.array([0, 5, 5, 5]), np.array([0, 38.0, 20, 2]), np.full(4, 39.0)
    alive = made.alive(x, t_x, t)
    assert alive[0] == 1 and 0.5 < alive[1] < 1 and (np.diff(alive[1:]) < 0).all()
    assert (made.expected(x, t_x, t, 10) >= 0).all()
    grows = [made.expected(x, t_x, t, horizon)[1] for horizon in (1, 10, 100, 1000)]
    assert grows == sorted(grows)
    assert made.expected_new(np.array([0.0, 10, 20])) == pytest.approx(
        [0, *(made.expected(np.array([0]), np.array([0.0]), np.array([0.0]), h)[0] for h in (10, 20))]
    )
    assert buying.fit_rates([0] * 100, [0] * 100, [10] * 100) is None and buying.fit_rates([1], [1], [2]) is None


def test_expectations_do_not_run_out_of_digits():
    """Where the series is fine, the mean over chances to stop agrees with it; where all customers are alike it stands
    alone, and is a rate times a time."""
    x, t_x, t = np.array([0.0, 2, 9]), np.array([0.0, 20, 35]), np.full(3, 40.0)
    made = buying.Rates(0.6, 8.0, 2.0, 6.0, 0.0)
    assert made._expected_by_nodes(x, t_x, t, 30.0) == pytest.approx(made.expected(x, t_x, t, 30.0), rel=5e-3)
    alike = buying.Rates(4.4e5, 1.4e8, 3e3, 4.8e8, 0.0)
    assert alike.expected(x, t_x, t, 52.0) == pytest.approx(np.full(3, 52 * 4.4e5 / 1.4e8), rel=2e-3)


def test_buying_is_what_a_drawn_world_does():
    """Six thousand drawn customers: parameters are met, and what they buy later is what was expected of them."""
    rng = np.random.default_rng(2)
    r, alpha, a, b, n = 0.6, 6.0, 0.8, 2.6, 6000
    rate, stop, watched = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), rng.uniform(20, 40, n)
    x, t_x, later = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(n):
        now, alive = 0.0, True
        while alive:
            now += rng.exponential(1 / rate[k])
            if now > watched[k] + 26:
                break
            if now <= watched[k]:
                x[k], t_x[k] = x[k] + 1, now
            else:
                later[k] += 1
            alive = rng.random() > stop[k]
    made = buying.fit_rates(x, t_x, watched)
    assert (made.r, made.alpha) == pytest.approx((r, alpha), rel=0.12)
    assert made.a / (made.a + made.b) == pytest.approx(a / (a + b), rel=0.15)
    expected = made.expected(x, t_x, watched, 26.0)
    assert expected.sum() == pytest.approx(later.sum(), rel=0.05)
    best = np.argsort(expected)[-600:]
    assert expected[best].sum() == pytest.approx(later[best].sum(), rel=0.08)


# Triangles


def test_the_chain_ladder_is_macks():
    """Mack (1993), Taylor-Ashe: factors, what is to come and its standard errors, of each cohort and of all."""
    made = triangle.project(filled(TAYLOR_ASHE))
    assert made.factors == pytest.approx(
        [3.4906, 1.7473, 1.4574, 1.1739, 1.1038, 1.0863, 1.0539, 1.0766, 1.0177], abs=5e-5
    )
    assert made.to_come == pytest.approx(
        [0, 94634, 469511, 709638, 984889, 1419459, 2177641, 3920301, 4278972, 4625811], abs=0.5
    )
    assert made.se == pytest.approx(
        [0, 75535, 121699, 133549, 261406, 411010, 558317, 875328, 971258, 1363155], abs=0.5
    )
    assert made.to_come.sum() == pytest.approx(18_680_856, abs=0.5) and made.total_se == pytest.approx(
        2_447_095, abs=0.5
    )
    assert made.total_se > np.sqrt((made.se**2).sum())  # cohorts have the factors in common


def test_the_chain_ladder_on_raa():
    made = triangle.project(filled(RAA))
    assert made.factors == pytest.approx([2.999, 1.624, 1.271, 1.172, 1.113, 1.042, 1.033, 1.017, 1.009], abs=5e-4)
    assert made.to_come.sum() == pytest.approx(52_135.23, abs=0.005)
    assert made.total_se == pytest.approx(26_909.01, abs=0.005)


@given(st.integers(3, 8), st.lists(st.floats(0.3, 3), min_size=8, max_size=8), st.floats(1, 1e6))
@settings(max_examples=60)
def test_a_triangle_of_one_pattern_is_projected_without_error(n, steps, size):
    """Cohorts of different sizes that all ripen alike: ultimates are exact, and nothing is unsure."""
    pattern = np.cumprod([1, *steps[: n - 1]])
    sizes = size * np.arange(1, n + 1)
    table = np.where(np.arange(n) < n - np.arange(n)[:, None], sizes[:, None] * pattern, np.nan)
    made = triangle.project(table)
    assert made.ultimate == pytest.approx(sizes * pattern[-1]) and made.total_se == pytest.approx(0, abs=1e-6 * size)
    assert triangle.bornhuetter_ferguson(made, sizes, table) == pytest.approx(sizes * pattern[-1])


def test_a_young_cohort_with_nothing_yet_is_not_taken_for_nothing():
    table = filled([[10, 20, 25], [12, 22], [0]])
    made = triangle.project(table)
    assert made.ultimate[-1] == 0  # the ladder multiplies what is there
    other = triangle.bornhuetter_ferguson(made, np.array([100, 100, 100]), table)
    assert other[-1] > 5 and other[0] == 25


@pytest.mark.parametrize("rows", [[[1, 2], [1]], [[1, np.nan, 3], [1, 2], [1]], [[1, 2], [1, 2, 3], [1]],
                                  [[0, 0], [0, 0], [1]]])  # fmt: skip
def test_what_is_no_triangle_is_refused(rows):
    width = max(len(row) for row in rows)
    table = np.full((len(rows), width), np.nan)
    for k, row in enumerate(rows):
        table[k, : len(row)] = row
    with pytest.raises(ValueError, match=r"triangle|nothing was reached"):
        triangle.project(table)
