"""How often the funnel's page finds what is planted in the sample company, and claims what is not.

    python benchmarks/planted.py --seeds 100 --null 200

Each seed is a company of its own. The truth of what the page estimates is the planted factor, or, since shares end at the
page's horizon and limits are those of won deals, the same estimate in one company of 400,000 deals. Writes its part of
benchmarks/README.md; half an hour on one core.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import readme
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
    partner = found.splits.set_index(["dimension", "group"]).loc[("source", "Partner"), "p_pace"] < words.SIGNIFICANT
    return {"seed": seed, "first": named, "partner_found": bool(partner), **inside}


def null(seed: int) -> dict:
    found, _currency = page(f"sample:seed={seed},planted=0")
    changed = bool((found.changes["p_adjusted"] < words.SIGNIFICANT).any())
    mine = found.splits[found.splits["dimension"].isin(FIXED)]
    return {
        "seed": seed, "changed": changed, "won": bool((mine["p_won"] < words.SIGNIFICANT).any()),
        "pace": bool((mine["p_pace"] < words.SIGNIFICANT).any()), "velocity": bool(found.velocity and found.velocity.beyond),
        "velocity_parts": found.velocity.beyond if found.velocity else [],
        "reps": bool(found.reps.groups["differ"].any()),
    }  # fmt: skip


def summary(rows: list[dict], truth: dict) -> list[str]:
    """The lines of benchmarks/README.md."""
    planted_, nulls = ([row for row in rows if row["kind"] == kind] for kind in ("planted", "null"))
    said = {
        "first": "the drop, with stage, segment and quarter, is the first finding",
        "drop": f"the interval of the stage's share in the quarter holds {truth['drop']:.3f}",
        "partner_found": "partners are found to be quicker",
        "partner": "the interval of their time in a stage holds the planted 0.72 of the others'",
        "stale": f"the interval of the share won of deals past their limit holds {truth['stale']:.3f}",
    }
    lines = [
        f"{len(planted_)} sample companies with what is planted, {len(nulls)} in which nothing is, 12,000 deals each.",
        "",
    ]
    lines += ["| planted | of companies |", "|---|---|"]
    lines += [f"| {text} | {sum(row[name] is True for row in planted_)} |" for name, text in said.items()]
    claims = {
        "changed": "a stage is said to have changed", "won": "a group that is treated alike is said to win unlike often",
        "pace": "such a group is said to be quicker or slower", "reps": "reps are said to differ",
    }  # fmt: skip
    lines += ["", "| nothing planted | of companies |", "|---|---|"]
    lines += [f"| {text} | {sum(row[name] for row in nulls)} |" for name, text in claims.items()]
    return lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=100)
    options.add_argument("--null", type=int, default=200)
    asked = options.parse_args()
    cache = Path(tempfile.mkdtemp())
    os.environ["SALESOPS_CACHE"] = str(cache)
    truth = {name: got.value for name, got in estimates(page("sample:deals=400000,seed=99991")[0]).items()}
    rows = []
    for kind, n, run in (("planted", asked.seeds, lambda s: planted(s, truth)), ("null", asked.null, null)):
        for seed in range(1, n + 1):
            shutil.rmtree(cache, ignore_errors=True)
            rows.append({"kind": kind, **run(seed)})
            print(json.dumps(rows[-1]), flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    readme.write("planted", summary(rows, truth))


if __name__ == "__main__":
    sys.exit(main())
