"""What the forecast's work costs beside what it cannot do without, or beside statsmodels doing the same.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/forecast_speed.py

Interleaved rounds, medians of CPU seconds, one thread; writes its part of benchmarks/README.md.
"""

import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import python_calamine
import readme
import statsmodels.api as sm
from salesops.forecast import series, simulate
from salesops.stats.cells import Factors, fit_logit
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SALESOPS_REAL_DATA", ROOT.parent / "shared" / "data"))
ROUNDS = 5
DEALS, DRAWS = 5_000, 10_000
ROWS = 1_000_000
LEVELS = (7, 6, 4, 3, 4, 6)  # of six factors
SERIES, ORIGINS, STEPS = 200, 24, 3


def cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def medians(ways: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    found = {name: [] for name in ways}
    for _round in range(rounds):
        for name, work in ways.items():
            found[name].append(cpu(work))
    return {name: statistics.median(times) for name, times in found.items()}


def draws() -> list[str]:
    rng = np.random.default_rng(1)
    atoms = 24
    unborn = np.column_stack([rng.uniform(1, 5, atoms), np.full(atoms, 3e4), np.full(atoms, 1.8e9)])
    part = simulate.Part(rng.beta(1, 3, DEALS), rng.lognormal(10, 1, DEALS), rng.integers(0, atoms, DEALS),
                         np.full(DEALS, 0.15), unborn, 0.05, 0.2)  # fmt: skip
    shock = simulate.judge_shock(*[np.array([])] * 3)
    buffer = np.empty((simulate.CHUNK, DEALS), dtype="float32")

    def numbers_alone():
        source = np.random.default_rng(1)
        for first in range(0, DRAWS, simulate.CHUNK):
            source.random(out=buffer[: min(simulate.CHUNK, DRAWS - first)], dtype="float32")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = medians({"numbers": numbers_alone, "ours": lambda: simulate.roll_up(part, shock, n_draws=DRAWS, seed=1)})
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [f"| {DEALS:,} open deals x {DRAWS:,} draws, common shock, deals to come, {atoms} units | "
            f"{found['ours'] / found['numbers']:.1f} times the random numbers alone, {more:.0f} MB more |"]  # fmt: skip


def hazard() -> list[str]:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({f"f{k}": rng.integers(0, n, ROWS) for k, n in enumerate(LEVELS)})
    linear = -2 + sum(rng.normal(0, 0.4, n)[rows[f"f{k}"]] for k, n in enumerate(LEVELS))
    rows["won"] = (rng.random(ROWS) < 1 / (1 + np.exp(-linear))).astype("int64")
    names = [f"f{k}" for k in range(len(LEVELS))]
    sql = f"SELECT {', '.join(names)}, count(*) AS n, sum(won) AS won FROM rows GROUP BY ALL"

    def cells() -> pd.DataFrame:
        with duckdb.connect(config={"threads": 1}) as con:
            con.register("rows", rows)
            return con.execute(sql).df()

    def ours():
        table = cells()
        factors = Factors(table[names].to_numpy(dtype=int), LEVELS, (0.5,) * len(LEVELS))
        return fit_logit(factors, table["n"].to_numpy(float), table["won"].to_numpy(float))

    def theirs():
        table = cells()
        design = sm.add_constant(pd.get_dummies(table[names].astype("category"), drop_first=True, dtype=float))
        ends = np.column_stack([table["won"], table["n"] - table["won"]]).astype(float)
        return sm.GLM(ends, design, family=sm.families.Binomial()).fit()

    found = medians({"ours": ours, "theirs": theirs})
    return [f"| hazard on {ROWS:,} deal-weeks, cells grouped by the engine, then fitted | "
            f"{found['ours'] / found['theirs']:.2f} times statsmodels' GLM on the same cells |"]  # fmt: skip


def backtests() -> list[str]:
    rng = np.random.default_rng(3)
    months = np.arange(60)
    season = 1 + 0.2 * np.sin(months * np.pi / 6)
    values = 1000 * season * rng.lognormal(0, 0.08, (SERIES, 60)) * (1 + 0.003 * months)
    origins = range(60 - ORIGINS - STEPS + 1, 60 - STEPS + 1)

    def theirs():
        index = pd.period_range("2020-01", periods=origins[-1], freq="M")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ETSModel(pd.Series(values[0, : origins[-1]], index=index), error="add", trend="add", damped_trend=True,
                     seasonal="add", seasonal_periods=12).fit(disp=False)  # fmt: skip

    found = medians({"ours": lambda: series.backtest(values, STEPS, origins), "theirs": theirs}, rounds=3)
    ratio = found["theirs"] * SERIES * ORIGINS / found["ours"]
    return [f"| rolling origins of {SERIES} series x {ORIGINS}, four methods, all series at once | "
            f"{ratio:,.0f} times faster than statsmodels' ETS refitted each time (one fit, times {SERIES * ORIGINS:,}) |"]  # fmt: skip


def competition() -> list[str]:
    """The monthly series of the M3 competition, where its file is at hand."""
    path = next((DATA / "m3_competition").glob("*.xls"), None)
    if path is None:
        return []
    rows = python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_name("M3Month").to_python()[1:]
    known = [[float(x) for x in row[6 : 6 + int(row[1])]] for row in rows]
    lengths = sorted({len(row) for row in known})
    errors: dict[str, list] = {"theta": [], "damped": [], "combined": []}

    def run():
        for length in lengths:
            values = np.array([row for row in known if len(row) == length])
            for name, found in errors.items():
                method = series.combined if name == "combined" else series.METHODS[name]
                told, came = method(values[:, :-18], 18), values[:, -18:]
                found.append((200 * np.abs(told - came) / (np.abs(told) + np.abs(came))).mean(axis=1))

    took = cpu(run)
    scores = ", ".join(f"{name} {np.concatenate(found).mean():.2f}" for name, found in errors.items())
    return [
        f"| M3, {len(known):,} monthly series, 18 months ahead: sMAPE {scores} (published Theta 13.85) | {took:.1f} s |"
    ]


if __name__ == "__main__":
    readme.write("forecast speed", ["| work | CPU |", "|---|---|", *draws(), *hazard(), *backtests(), *competition()])
