"""How often the funnel's page finds what is planted in the sample company, and claims what is not.

    python benchmarks/planted.py --seeds 100 --null 200

Each seed is a company of its own. `truth` of what the page estimates is the same estimate in one company of 400,000
deals, since the page's shares end at its horizon and its limits are those of won deals.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from salesops import crm, yamlfile
from salesops.funnel import Params, measure, words

ROOT = Path(__file__).resolve().parents[1]
FIXED = ("country", "source", "product", "industry", "team", "rep", "region")  # the company treats their groups alike


def page(source: str):
    values = yamlfile.load(ROOT / "params" / "funnel.yml") | {"source": source}
    params = Params.check(values, where="benchmark")
    book = crm.open(**params.book)
    return measure(book, params), book.currency


def estimates(found) -> dict:
    """What is planted, as the page has it: value, low, high; None where it does not say."""
    drop = [taken for taken in found.shifts.values() if taken.of_group == "Mid-market" and len(taken.quarters)]
    quarter = [row.rate for row in drop[0].quarters.itertuples() if row.period.name == "2026-Q3"] if drop else [None]
    splits = found.splits.set_index(["dimension", "group"])
    stale = found.times.stale.set_index("stage")
    return {
        "drop": quarter[0],
        "partner": splits.loc[("source", "Partner"), "pace"],
        "stale": stale.loc["Proposal", "after"],
    }


def planted(seed: int, truth: dict) -> dict:
    found, currency = page(f"sample:seed={seed}")
    said = words.findings(found, currency)
    first = said[0].headline + " " + said[0].detail
    inside = {
        name: None if got is None else bool(got.low <= truth[name] <= got.high)
        for name, got in estimates(found).items()
    }
    named = all(part in first for part in ("Mid-market", "Proposal → Negotiation fell", "July – September 2026"))
    partner = found.splits.set_index(["dimension", "group"]).loc[("source", "Partner"), "p_pace"] < 0.05
    return {"seed": seed, "first": named, "partner_found": bool(partner), **inside}


def null(seed: int) -> dict:
    found, _currency = page(f"sample:seed={seed},planted=0")
    changed = bool((found.changes["p_adjusted"] < words.SIGNIFICANT).any())
    mine = found.splits[found.splits["dimension"].isin(FIXED)]
    return {
        "seed": seed, "changed": changed, "won": bool((mine["p_won"] < 0.05).any()),
        "pace": bool((mine["p_pace"] < 0.05).any()), "velocity": bool(found.velocity and found.velocity.beyond),
        "velocity_parts": found.velocity.beyond if found.velocity else [],
        "reps": bool(found.reps.groups["differ"].any()),
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=100)
    options.add_argument("--null", type=int, default=200)
    asked = options.parse_args()
    cache = Path(tempfile.mkdtemp())
    os.environ["SALESOPS_CACHE"] = str(cache)
    truth = {name: got.value for name, got in estimates(page("sample:deals=400000,seed=99991")[0]).items()}
    print(json.dumps({"truth": truth}), flush=True)
    totals: dict[str, list] = {}
    for kind, n, run in (("planted", asked.seeds, lambda s: planted(s, truth)), ("null", asked.null, null)):
        for seed in range(1, n + 1):
            shutil.rmtree(cache, ignore_errors=True)
            row = run(seed)
            print(json.dumps({"kind": kind, **row}), flush=True)
            for name, value in row.items():
                if isinstance(value, bool):
                    totals.setdefault(f"{kind} {name}", []).append(value)
    for name, values in totals.items():
        print(f"{name}: {sum(values)} of {len(values)}")
    shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
