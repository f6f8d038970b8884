"""Optima to their last digits: flat where they are, alike from every start, at the edge where nothing is in between."""

import numpy as np
import pytest
from salesops.forecast import models, series
from salesops.stats import buying, contracts, optima

RNG = np.random.default_rng(11)
DONKEY = np.array([131, 126, 90, 60, 42, 34, 26]), np.array([0, 0, 0, 0, 0, 0, 491])  # left, stayed


def shoppers(n: int, r: float, alpha: float, a: float, b: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customers drawn from a BG/NBD: repeat purchases, time of the last one, time watched."""
    rng, rows = np.random.default_rng(4), []
    for _customer in range(n):
        t, pace, chance = rng.uniform(20, 120), rng.gamma(r, 1 / alpha), rng.beta(a, b)
        at, now, stays = [0.0], rng.exponential(1 / pace), True
        while now < t and stays:
            at.append(now)
            stays, now = rng.random() >= chance, now + rng.exponential(1 / pace)
        rows.append((len(at) - 1, at[-1], t))
    return tuple(np.array(rows).T)


def test_an_optimum_is_where_the_slope_is_nothing():
    fitted = buying.fit_rates(*(known := shoppers(400, 0.6, 8, 0.8, 2.4)))
    value, slope = buying.rates_likelihood(*known)(np.log(np.array(fitted[:4])))
    assert np.abs(slope).max() < 1e-9 and -value == pytest.approx(fitted.log_likelihood, rel=1e-14)


def test_slopes_are_those_of_the_values():
    """Each likelihood's own slope against differences of its values, at a place that is not its optimum."""
    look = buying.rates_likelihood(*shoppers(200, 0.6, 8, 0.8, 2.4))
    at = np.array([0.3, 1.9, -0.4, 0.8])
    steps = np.eye(4) * 1e-5
    numbers = [(look(at + step)[0] - look(at - step)[0]) / 2e-5 for step in steps]
    assert look(at)[1] == pytest.approx(numbers, rel=1e-6)
    x, t_x, n = (np.array(one) for one in ([0, 1, 2, 3, 5], [0, 1, 4, 6, 6], [6] * 5))
    ends = [[np.log([0.9, 1.4, 0.7, 2.2]) + sign * step for sign in (1, -1)] for step in steps]
    numbers = [np.subtract(*(buying._occasion_slopes(np.exp(one), x, t_x, n)[0] for one in pair)) / 2e-5
               for pair in ends]  # fmt: skip
    slopes = buying._occasion_slopes((0.9, 1.4, 0.7, 2.2), x, t_x, n)[1]
    assert slopes == pytest.approx(np.array(numbers), rel=1e-6, abs=1e-8)


def test_every_start_ends_at_the_same_place():
    look = buying.rates_likelihood(*shoppers(400, 0.6, 8, 0.8, 2.4))
    ends = [optima.lowest(look, [RNG.normal((-0.5, 2, 0, 1), 0.5)], -20, 20).x for _start in range(5)]
    assert np.ptp(ends, axis=0).max() < 1e-9
    near = [contracts.fit(*DONKEY, near=contracts.Fit(*np.exp(RNG.normal((-0.4, 1.3), 0.5)), 0.0)) for _fit in range(5)]
    assert np.ptp([one[:2] for one in near], axis=0).max() < 1e-9
    x, spent = RNG.poisson(3, 300) + 1, RNG.gamma(5, 1, 300) * RNG.gamma(3, 1 / 3, 300)
    amounts = [buying.fit_amounts(x[order], spent[order]) for order in (RNG.permutation(300) for _fit in range(3))]
    assert np.ptp(np.log([one[:3] for one in amounts]), axis=0).max() < 1e-9


def test_the_published_fits_are_those_of_the_last_digits():
    """Fader & Hardie (2007): 0.668 and 3.806 of the customers of their example."""
    assert [round(one, 3) for one in contracts.fit(*DONKEY)[:2]] == [0.668, 3.806]


def test_customers_who_are_all_alike_are_at_the_edge():
    """Ever greater parameters say the same of them: the greatest are taken, not those at which a search gave up."""
    fitted = buying.fit_rates(*shoppers(400, 2, 20, 3e4, 3e5))
    assert max(fitted.a, fitted.b) == pytest.approx(np.exp(buying.BOUND))
    assert fitted.a / fitted.b == pytest.approx(0.1, rel=0.2)
    even = contracts.fit(np.array([100, 90, 81, 73, 66]), np.array([0, 0, 0, 0, 590]))
    assert even.beta == pytest.approx(contracts.WIDE) and even.retention(5) == pytest.approx(np.full(5, 0.9), abs=1e-3)


@pytest.mark.filterwarnings("ignore:Maximum Likelihood")  # of the search that is brought to its end
def test_models_of_a_series_end_where_their_slope_is_nothing():
    months = np.arange(72)
    values = 4 + 0.01 * months + 0.1 * np.sin(months * np.pi / 6) + np.random.default_rng(2).normal(0, 0.05, 72)
    fits = {name: model(values, 12) for name, model in models.MODELS.items()}
    for name, fit in fits.items():
        other = models.MODELS[name](values + RNG.normal(0, 1e-13, 72), 12)  # rounding, as another processor has it
        assert other.forecast(6) == pytest.approx(fit.forecast(6), rel=1e-10), name
    slope = fits["components"].model.score(fits["components"].params, approx_complex_step=True)
    assert np.abs(slope * fits["components"].params).max() < 1e-6


def test_a_few_equations_are_solved_or_refused():
    matrix = np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 2]])
    assert matrix @ optima.solve(matrix, np.array([1.0, 2, 3])) == pytest.approx([1, 2, 3])
    assert optima.solve(np.array([[1.0, 2], [2, 1]]), np.ones(2)) is None


def test_theta_does_not_choose_by_rounding():
    rng = np.random.default_rng(1)
    values = 1e6 * np.exp(rng.normal(0, 0.1, (100, 60)).cumsum(axis=1) / 2 + rng.normal(0, 0.1, (100, 60)))
    other = values * (1 + rng.choice([-1, 0, 1], values.shape) * 1.2e-16)
    assert series.theta(other, 3).forecasts == pytest.approx(series.theta(values, 3).forecasts, rel=1e-11)
