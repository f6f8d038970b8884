"""The forecast on real deals: how far off each method was, whatever that is.

    python benchmarks/forecasts_real.py ../shared/data

Needs the folders `maven_crm` and `bpic2012` of public data sets. Writes its part of benchmarks/README.md.
"""

import sys
from pathlib import Path

import readme
from salesops import crm, yamlfile
from salesops.forecast import Params, measure
from salesops.forecast.record import LEAST_WEEKS, METHODS
from salesops.stats import scores

ROOT = Path(__file__).resolve().parents[1]
SETS = {"maven": ("maven_crm", "2017-11-30"), "bpic2012": ("bpic2012", "2012-02-29")}


def rows(mapping: str, folder: Path, last: str) -> list[str]:
    """The methods by their error, the best first, over all points of all past quarters that each could be used at."""
    values = yamlfile.load(ROOT / "params" / "forecast.yml")
    values |= {"source": f"{mapping}:{folder}", "period": last[:7], "as_of": last, "segment_by": "none"}
    params = Params.check(values, where="benchmark")
    table = measure(crm.open(**params.book), params).record
    table = table[table["point"] > 0] if len(table) else table
    found = []
    for method in ("", *METHODS):
        column = f"mean_{method}" if method else "mean"
        mine = table[table[column].notna()] if column in table else table.iloc[:0]
        if len(mine):
            error, bias = scores.wape(mine[column], mine["actual"]), scores.bias(mine[column], mine["actual"])
            found.append(
                (error, f"| {mapping} | {method or 'this forecast'} | {len(mine)} | {error:.1%} | {bias:+.1%} |")
            )
    inside = ((table["actual"] >= table["low"]) & (table["actual"] <= table["high"])).sum() if len(table) else 0
    quarters = table["quarter"].nunique() if len(table) else 0
    said = f"{mapping}, up to {last}: {len(table)} forecasts of {quarters} quarters, {inside} inside the 80 % band."
    if not len(table):
        said = f"{mapping}, up to {last}: no quarter that {LEAST_WEEKS} weeks of history come before; no record."
    return [said, *[line for _error, line in sorted(found)]]


def main() -> None:
    data = Path(sys.argv[1]).resolve()
    lines, said = ["| deals | method | forecasts | WAPE | bias |", "|---|---|---|---|---|"], []
    for mapping, (folder, last) in SETS.items():
        one, *more = rows(mapping, data / folder, last)
        said.append(one)
        lines += more
    readme.write("forecasts on real deals", [*lines, "", *said])


if __name__ == "__main__":
    main()
