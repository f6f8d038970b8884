"""How good the forecast is: on sample companies, with and without a common shock, beside the usual methods.

    python benchmarks/forecasts.py --seeds 30

Each seed is a company of its own, eight quarters of it forecast from each of the weeks of the record. Writes its part of
benchmarks/README.md; a quarter of an hour on one core.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
import readme
from salesops import crm, yamlfile
from salesops.forecast import Params, measure
from salesops.forecast.record import METHODS

ROOT = Path(__file__).resolve().parents[1]
QUARTERS = 8


def record(source: str) -> pd.DataFrame:
    """Forecasts of the last eight quarters that have ended, at every point."""
    values = yamlfile.load(ROOT / "params" / "forecast.yml") | {"source": source, "record_quarters": 12}
    params = Params.check(values, where="benchmark")
    table = measure(crm.open(**params.book), params).record
    kept = sorted(table["quarter"].unique())[-QUARTERS:]
    return table[table["quarter"].isin(kept)].assign(source=source)


def summary(table: pd.DataFrame) -> list[str]:
    """The lines of a table by week of the quarter."""
    lines = [
        "| weeks before the end | forecasts | inside the 80 % band | inside, were deals independent | bias | WAPE |"
    ]
    lines[0] += " CRPS less than: CRM weights | shares by stage | shares by stage and week | age over cycle |"
    lines.append("|---" * 10 + "|")
    every = [("all", table)] + [(f"{k}" if k > 0 else "today's day", part) for k, part in table.groupby("point")]
    for name, part in every:
        off = part["mean"] - part["actual"]
        inside = ((part["actual"] >= part["low"]) & (part["actual"] <= part["high"])).mean()
        alone = ((part["actual"] >= part["alone_low"]) & (part["actual"] <= part["alone_high"])).mean()
        better = []
        for method in ("crm", "stage", "stage_week", "cycle"):
            both = part[part[f"crps_{method}"].notna()]
            better.append(f"{1 - both['crps'].sum() / both[f'crps_{method}'].sum():.0%}")
        cells = [f"{inside:.1%}", f"{alone:.1%}", f"{off.sum() / part['actual'].sum():+.1%}",
                 f"{off.abs().sum() / part['actual'].sum():.1%}", *better]  # fmt: skip
        lines.append(f"| {name} | {len(part):,} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=30)
    asked = options.parse_args()
    assert {"crm", "stage", "stage_week", "cycle"} <= set(METHODS)
    cache = Path(tempfile.mkdtemp())
    os.environ["SALESOPS_CACHE"] = str(cache)
    lines = []
    for title, setting in (
        ("The sample company", ""),
        ("A company with a common shock of 0.3 on the logit", ",shock=30"),
    ):
        parts = []
        for seed in range(1, asked.seeds + 1):
            shutil.rmtree(cache, ignore_errors=True)
            parts.append(record(f"sample:seed={seed}{setting}"))
            part = parts[-1]
            print(
                setting,
                seed,
                f"{((part['actual'] >= part['low']) & (part['actual'] <= part['high'])).mean():.2f}",
                flush=True,
            )
        lines += [f"{title}, {asked.seeds} seeds, {QUARTERS} quarters:", "", *summary(pd.concat(parts)), ""]
        print("\n".join(lines), flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    readme.write("forecasts", lines[:-1])


if __name__ == "__main__":
    sys.exit(main())
