"""How dear it is to pay many outcomes: 1,000 reps x 10,000 years of a tiered plan with caps, in whole cents.

    OMP_NUM_THREADS=1 python benchmarks/comp_speed.py

Beside numpy's own piecewise-linear interpolation of the same array, and the same pay in Decimal (on a part of it).
Writes its part of benchmarks/README.md.
"""

import statistics
import sys
import time
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import readme
from salesops.pay import plans, vector

REPS, YEARS, ROUNDS, FEW = 1000, 10_000, 5, 20_000
BANDS = [("0", "0.05"), ("0.5", "0.08"), ("1", "0.12"), ("1.5", "0.15")]
CAP = "250%"


def component() -> plans.Component:
    bands = [{"from": start, "rate": rate} for start, rate in BANDS]
    return plans.Component.model_validate({
        "name": "Bookings", "measure": "bookings", "period": "year", "weight": "100%", "cap": {"period": CAP},
        "table": {"by": "attainment", "way": "marginal", "bands": bands},
    })  # fmt: skip


def in_decimal(amounts: list[Decimal], quota: Decimal, cap: Decimal) -> list[Decimal]:
    bands = [(Decimal(start) * quota, Decimal(rate)) for start, rate in BANDS]
    found = []
    for amount in amounts:
        total = Decimal(0)
        for k, (start, rate) in enumerate(bands):
            end = bands[k + 1][0] if k + 1 < len(bands) else amount
            total += max(min(amount, end) - start, Decimal(0)) * rate
        found.append(min(total, cap).quantize(Decimal("0.01"), ROUND_HALF_UP))
    return found


def main() -> None:
    rng = np.random.default_rng(1)
    quotas = rng.integers(500_000, 2_000_000, REPS)
    measured = np.round(quotas[:, None] * 100 * rng.lognormal(-0.1, 0.4, (REPS, YEARS))).astype(np.int64)
    target, one = Fraction(100_000), component()
    starts, rates = (np.array([float(band[k]) for band in BANDS]) for k in (0, 1))
    paid = np.empty_like(measured)
    times: dict[str, list[float]] = {"ours": [], "interp": [], "decimal": []}
    for _round in range(ROUNDS):
        begun = time.process_time()
        for k, quota in enumerate(quotas):
            paid[k] = vector.entitled(one, measured[k], Fraction(int(quota)), target)
        times["ours"].append(time.process_time() - begun)
        begun = time.process_time()
        for k, quota in enumerate(quotas):
            points = np.append(starts, 10.0) * quota * 100
            heights = np.append(0, np.cumsum(np.diff(points) * rates))
            np.interp(measured[k], points, heights)
        times["interp"].append(time.process_time() - begun)
        few = [Decimal(int(x)).scaleb(-2) for x in measured[0, :FEW]]
        begun = time.process_time()
        exact = in_decimal(few, Decimal(int(quotas[0])), Decimal(250_000))
        times["decimal"].append((time.process_time() - begun) * REPS * YEARS / len(few))
        assert [int(x.scaleb(2)) for x in exact] == paid[0, : len(few)].tolist()
    ours, interp, exact = (statistics.median(times[name]) for name in ("ours", "interp", "decimal"))
    readme.write("comp speed", [
        "| work | CPU |", "|---|---|",
        f"| {REPS:,} reps x {YEARS:,} years, four tiers and a cap, exact to the cent | {ours / interp:.1f} times "
        f"`numpy.interp` on the same array, {exact / ours:,.0f} times faster than the same in Decimal |",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
