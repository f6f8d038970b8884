"""What customers will buy: fitted, tried on months that were held out, drawn."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2

from salesops import crm
from salesops.buying import purchases
from salesops.stats import buying, optima

MOST_FITTED = 20_000  # customers; of more, as many are drawn, by their place in the order of ids
WEEKS = 365.25 / 7  # of a year
HELD = 3  # a third of the record is held out, and
MOST_HELD = 26  # weeks at most
LEAST_WEEKS = 4
MOST_TRIALS = 3  # days that are gone back to
METHODS = ("model", "own_rate", "before")
REGION = float(chi2.ppf(0.99, 4) / 2)  # of logarithms of likelihood
WIDEST = 3.0  # standard deviations of a logarithm
MOST_TRIES = 5
CLASSES = (0, 1, 2, 3, 5, 8)  # repeat purchases, by which errors are told


class Model(NamedTuple):
    """rates : BG/NBD. amounts : gamma-gamma, or None of too few who came back. look : minus the log-likelihood and its
    slope, by the logarithms of the rates' parameters. n : customers fitted. correlation : of how often and how much."""

    rates: buying.Rates
    amounts: buying.Amounts | None
    look: optima.Look
    n: int
    correlation: float | None


class Record(NamedTuple):
    """errors : method, error (sum of absolute errors by class over what came), total (sum told over what came).
    by_class : of the last day gone back to: low (repeat purchases from), n, expected, came (of the model). days : gone
    back to. weeks : held out. chosen : the method with the least error. shock : how far its totals were off, as the
    standard deviation of a logarithm. expected : method -> purchases expected of everybody within the horizon."""

    errors: pd.DataFrame
    by_class: pd.DataFrame
    days: list[dt.date]
    weeks: int
    chosen: str
    shock: float
    expected: dict[str, float]


class Worth(NamedTuple):
    """One value for each customer, in their order: alive, silence (the chance that one who is still a customer is
    silent
    for so long), expected (purchases), value (expected, discounted), and
    its low and high (P10, P90); if_alive (value of one who is surely still a customer). total : draws of all together;
    minor units."""

    alive: np.ndarray
    silence: np.ndarray
    expected: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    if_alive: np.ndarray
    total: np.ndarray
    purchases: np.ndarray


def fit(table: pd.DataFrame) -> Model | None:
    """The model of customers as `purchases.customers` gives them; None where too few, or nobody came back."""
    part = table
    if len(table) > MOST_FITTED:
        part = table.iloc[np.linspace(0, len(table) - 1, MOST_FITTED).astype("int64")]
    rates = buying.fit_rates(part["x"], part["t_x"], part["t"])
    if rates is None:
        return None
    back = part[part["x"] > 0]
    amounts = buying.fit_amounts(back["x"], back["mean"])
    correlation = None
    if len(back) >= buying.LEAST and back["mean"].std() > 0 and back["x"].std() > 0:
        correlation = float(np.corrcoef(back["x"], back["mean"])[0, 1])
    look = buying.rates_likelihood(part["x"], part["t_x"], part["t"])
    return Model(rates, amounts, look, len(part), correlation)


def parameters(model: Model, n_draws: int, rng: np.random.Generator) -> list[buying.Rates]:
    """Parameters as uncertain as the data leave them: drawn about the likeliest by the curvature of the likelihood
    there, and kept where the likelihood is not much less (within a region of 99 %)."""
    at = np.log(np.array(model.rates[:4]))
    weights, ways = np.linalg.eigh(optima.curvature(model.look, at))
    # Where the data say next to nothing, the region bounds what is drawn, not the curvature.
    reach = np.minimum(1 / np.sqrt(np.maximum(weights, 1e-12)), WIDEST)
    spread = ways * reach @ ways.T  # the symmetric root: the signs of `ways` are as the processor has it
    best, kept = model.look(at)[0], []
    for _try in range(MOST_TRIES * n_draws):
        one = np.clip(at + spread @ rng.standard_normal(4), -buying.BOUND, buying.BOUND)
        if model.look(one)[0] - best < REGION:
            kept.append(buying.Rates(*map(float, np.exp(one)), 0.0))
            if len(kept) == n_draws:
                return kept
    return (kept or [model.rates]) * n_draws


def worth(
    model: Model, table: pd.DataFrame, *, weeks: float, margin: float, discount: float, n_draws: int, seed: int,
    scale: float = 1.0, shock: float = 0.0,
) -> Worth:  # fmt: skip
    """What each customer will buy within so many weeks, and what it is worth today.

    Each draw has parameters of its own (as uncertain as they are), and leaves to chance who is still a customer, how
    often they buy until they stop, and for how much. scale : by which all purchases are multiplied, where another
    method tells how many there will be. shock : how far totals are off besides, as the standard deviation of a
    logarithm, drawn once for all customers of a draw.
    """
    x, t_x, t = _known(table)
    alive = model.rates.alive(x, t_x, t)
    expected = np.maximum(model.rates.expected(x, t_x, t, weeks), 0)
    mean = _mean_amount(model, table)
    steps = np.linspace(0, weeks, max(2, round(weeks / 4)) + 1)
    so_far = np.array(
        [np.maximum(model.rates.expected(x, t_x, t, one), 0) if one else np.zeros(len(x)) for one in steps]
    )
    middle = (steps[1:] + steps[:-1]) / 2 / WEEKS
    value = margin * mean * (np.diff(so_far, axis=0).T @ (1 + discount) ** -middle)
    rng = np.random.default_rng(seed)
    total, bought = np.empty(n_draws), np.empty(n_draws)
    kept = np.empty((min(n_draws, 200), len(x)), dtype="float32")
    for k, one in enumerate(parameters(model, n_draws, rng)[:n_draws]):
        n, delayed = _draw(one, x, t_x, t, weeks, discount, rng)
        spent = _spend(model, table, mean, n, rng) * np.where(n > 0, delayed / np.maximum(n, 1), 0) * margin
        common = scale * np.exp(shock * rng.standard_normal())
        spent, n = spent * common, n * common
        total[k], bought[k] = spent.sum(), n.sum()
        if k < len(kept):
            kept[k] = spent
    low, high = np.quantile(kept, (0.1, 0.9), axis=0)
    value, expected = value * scale, expected * scale
    if_alive = np.where(alive > 0, value / np.maximum(alive, 1e-12), 0)
    return Worth(alive, model.rates.silence(x, t_x, t), expected, value, low, high, if_alive, total, bought)


def _mean_amount(model: Model, table: pd.DataFrame) -> np.ndarray:
    x, mean = table["x"].to_numpy("float64"), table["mean"].to_numpy("float64")
    if model.amounts is None or model.amounts.q <= 1:
        everybody = mean[x > 0].mean() if (x > 0).any() else 0.0
        return np.where(x > 0, mean, everybody)
    return model.amounts.expected(x, mean)


def _draw(rates: buying.Rates, x, t_x, t, weeks: float, discount: float, rng: np.random.Generator):
    """Purchases of each within so many weeks, and the sum of what a purchase's delay leaves of its worth."""
    alive = rng.random(len(x)) < rates.alive(x, t_x, t)
    at = np.flatnonzero(alive)
    pace = np.maximum(rng.gamma(rates.r + x[at], 1 / (rates.alpha + t[at])), 1e-12)
    # Who is still there has not stopped after any of their purchases (the first counts where there was none later).
    stop = rng.beta(rates.a, rates.b + np.maximum(x[at], 0))
    n, worth_left = np.zeros(len(x)), np.zeros(len(x))
    now = np.zeros(len(at))
    while len(at):
        now = now + rng.exponential(1, len(at)) / pace
        here = now < weeks
        at, now, pace, stop = at[here], now[here], pace[here], stop[here]
        n[at] += 1
        worth_left[at] += (1 + discount) ** (-now / WEEKS)
        stays = rng.random(len(at)) >= stop
        at, now, pace, stop = at[stays], now[stays], pace[stays], stop[stays]
    return n, worth_left


def _spend(model: Model, table: pd.DataFrame, mean: np.ndarray, n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each spends on so many purchases."""
    if model.amounts is None:
        return mean * n
    p, q, v = model.amounts[:3]
    x = table["x"].to_numpy("float64")
    scale = rng.gamma(q + p * x) / (v + x * table["mean"].to_numpy("float64"))
    return np.where(n > 0, rng.gamma(np.maximum(p * n, 1e-9)) / scale, 0.0)


def record(book: crm.Book, table: pd.DataFrame, model: Model | None, horizon: float) -> Record | None:
    """The model, each customer's own rate, and as many repeat purchases as in as many weeks before, told on days of the
    past and compared with what came. None of a record too short, or of too few.

    table : `purchases.customers` of today. horizon : weeks ahead for which today's expectations are.
    """
    longest = float(table["t"].max()) if len(table) else 0.0
    weeks = int(min(longest / HELD, MOST_HELD))
    if model is None or weeks < LEAST_WEEKS:
        return None
    days = [book.as_of - dt.timedelta(weeks=weeks * k) for k in range(1, MOST_TRIALS + 1)]
    days = [day for day in days if (book.as_of - day).days / 7 + weeks <= longest]
    sums: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    by_class, told_on = None, []
    for day in days:
        then = purchases.customers(book, day)
        made = fit(then)
        came = purchases.bought_between(book, day, day + dt.timedelta(weeks=weeks))
        came = came.reindex(then["account_id"]).fillna(0).to_numpy()
        if made is None or not came.sum():
            continue
        at = np.searchsorted(CLASSES, then["x"].to_numpy(), side="right") - 1
        happened = np.bincount(at, came, len(CLASSES))
        for name, one in _told(book, made, then, day, weeks).items():
            missed = np.abs(np.bincount(at, one, len(CLASSES)) - happened).sum()
            sums[name].append((missed, float(one.sum()), came.sum()))
        told_on.append(day)
        if by_class is None:
            expected = np.bincount(at, made.rates.expected(*_known(then), weeks), len(CLASSES))
            by_class = pd.DataFrame({"low": CLASSES, "n": np.bincount(at, minlength=len(CLASSES)), "expected": expected,
                                     "came": happened})  # fmt: skip
    if by_class is None:
        return None
    rows = []
    for name, parts in sums.items():
        missed, told, came = np.array(parts).T
        rows.append((name, missed.sum() / came.sum(), told.sum() / came.sum()))
    errors = pd.DataFrame(rows, columns=["method", "error", "total"])
    chosen = errors.loc[errors["error"].idxmin(), "method"]
    _missed, told, came = np.array(sums[chosen]).T
    shock = float(np.sqrt(np.mean(np.log(np.maximum(told, 0.5) / came) ** 2)))
    # As many weeks before as the horizon is long; of a shorter record, as many as there are, and in proportion.
    past = int(min(horizon, longest / 2))
    ahead = {name: float(one.sum()) for name, one in _told(book, model, table, book.as_of, past).items()}
    ahead = {"model": float(np.maximum(model.rates.expected(*_known(table), horizon), 0).sum()),
             "own_rate": ahead["own_rate"] * horizon / past, "before": ahead["before"] * horizon / past}  # fmt: skip
    return Record(errors, by_class, told_on, weeks, chosen, shock, ahead)


def _known(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(table[name].to_numpy("float64") for name in ("x", "t_x", "t"))


def _told(book: crm.Book, model: Model, table: pd.DataFrame, day: dt.date, weeks: int) -> dict[str, np.ndarray]:
    """Purchases that each method tells of each customer, for so many weeks from a day on."""
    x, t_x, t = _known(table)
    earlier = purchases.customers(book, day - dt.timedelta(weeks=weeks)).set_index("account_id")["x"]
    before = x - earlier.reindex(table["account_id"]).fillna(0).to_numpy()
    return {"model": np.maximum(model.rates.expected(x, t_x, t, weeks), 0),
            "own_rate": np.where(t > 0, x / np.maximum(t, 1e-9), 0) * weeks, "before": before}  # fmt: skip
