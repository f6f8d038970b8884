"""How often the month's front page claims what is not there, and finds what is planted, over many sample companies.

    python benchmarks/front.py --null 200 --seeds 20

A company is a seed. Without anything planted, a front page is wrong where it claims that something changed or differs that
does not; with it, each planted fact is to be on the front page, among the findings or below them. The pages are measured in
this process and ranked as `salesops report` does. Writes its part of benchmarks/README.md.
"""

import argparse
import importlib
import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import readme
from salesops import crm, yamlfile
from salesops.report import front, ledger

ROOT = Path(__file__).resolve().parents[1]
BATCH = 20
CLAIM = ("scorecard", "funnel", "growth", "cohort", "leads", "ripening")  # pages that say that something changed
ALL = (*CLAIM, "process", "forecast", "hygiene", "tenure")
FACTS = {
    "the stage that half as many pass since July 2026": lambda key: key == "stage/New business/Proposal/fell",
    "the region that stopped growing in May 2025": lambda key: key == "stalled/region/LatAm",
    "deals that go stale": lambda key: key == "stale",
    "partners' deals that are quicker": lambda key: key == "pace/source/Partner",
    "the rep who calls too little": lambda key: key.startswith("calls/under/"),
    "the rep who calls too much": lambda key: key.startswith("calls/over/"),
    "the cohort whose prices rose": lambda key: key.startswith(("cohort/2025-Q1", "event/")),
    "dirty records": lambda key: key == "doubtful",
}

BEGAN = {  # facts that begin on a day, with the months in which we look for them; the last is everybody's
    "the stage that half as many pass since July 2026": ("2026-07", "2026-08", "2026-09", "2026-10"),
    "the cohort whose prices rose": ("2026-01", "2026-02", "2026-03", "2026-04", "2026-10"),
    "the region that stopped growing in May 2025": ("2025-11", "2026-02", "2026-04", "2026-07", "2026-10"),
}
LAST = "2026-10"


def pages(source: str, names: tuple[str, ...], period: str) -> dict[str, dict]:
    """Records of pages as the manifest keeps them, as far as the front page looks at them."""
    made = {}
    for name in names:
        slice_ = importlib.import_module(f"salesops.{name}")
        values = yamlfile.load(ROOT / "params" / f"{name}.yml") | {"source": source, "period": period}
        params = slice_.Params.check(values, where="benchmark")
        book = crm.open(**params.book)
        found = slice_.measure(book, params)
        more = {"funnel": [book.currency], "forecast": [book.currency], "hygiene": [book.currency], "leads": [params]}
        said = slice_.words.findings(found, *more.get(name, []))
        made[name] = {"lang": "en", "parameters": values, "params_file": f"params/{name}.yml", "analysis": name,
                      "findings": [one._asdict() for one in said]}  # fmt: skip
    return made


def look(job: tuple[int, int, str]) -> dict:
    """One company's front page: what it claims, and which planted facts are on it."""
    seed, planted, period = job
    os.environ["SALESOPS_CACHE"] = cache = tempfile.mkdtemp(prefix="front-")
    try:
        rows = ledger.candidates(
            pages(f"sample:seed={seed},planted={planted}", ALL if planted else CLAIM, period), "en", period
        )
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    keys = [row.key for row in rows]
    return {
        "seed": seed, "planted": planted, "period": period, "claims": [row.key for row in rows if row.p is not None],
        "first": {fact: any(is_it(key) for key in keys[: front.MOST]) for fact, is_it in FACTS.items()},
        "found": {fact: any(map(is_it, keys)) for fact, is_it in FACTS.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--null", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000)
    asked = parser.parse_args()
    months = sorted({month for looked in BEGAN.values() for month in looked})
    jobs = [(asked.first + k, 1, month) for k in range(asked.seeds) for month in months]
    jobs = [(asked.first + k, 0, LAST) for k in range(asked.null)] + jobs
    rows = []
    fresh = multiprocessing.get_context("spawn")
    for begin in range(
        0, len(jobs), BATCH
    ):  # processes of a few companies each: what a company leaves behind goes with them
        with ProcessPoolExecutor(2, mp_context=fresh) as pool:
            for row in pool.map(look, jobs[begin : begin + BATCH]):
                rows.append(row)
                print(row["seed"], row["planted"], row["period"], row["claims"], flush=True)
    readme.write("front", summary(rows))


def summary(rows: list[dict]) -> list[str]:
    """The lines of benchmarks/README.md."""
    nulls = [row for row in rows if not row["planted"]]
    planted = [row for row in rows if row["planted"]]
    lines = []
    if nulls:
        wrong = [row for row in nulls if row["claims"]]
        kinds = sorted({claim.split("/")[0] for row in wrong for claim in row["claims"]})
        lines += [f"Of {len(nulls)} companies in which nothing happens, the front page claims a change or a difference in "
                  f"{len(wrong)} ({len(wrong) / len(nulls):.1%}){': ' + ', '.join(kinds) if kinds else ''}.", ""]  # fmt: skip
    if last := [row for row in planted if row["period"] == LAST]:
        lines += [f"| planted, seen in {LAST} | on the front page | among its first seven |", "|---|---|---|"]
        for fact in FACTS:
            found, first = (sum(row[which][fact] for row in last) for which in ("found", "first"))
            lines.append(f"| {fact} | {found} of {len(last)} | {first} of {len(last)} |")
        lines += ["", "| planted | on the front page of |", "|---|---|"]
        for fact, months in BEGAN.items():
            of = {month: [row["found"][fact] for row in planted if row["period"] == month] for month in months}
            lines.append(f"| {fact} | {', '.join(f'{month}: {sum(got)} of {len(got)}' for month, got in of.items())} |")
    return lines


if __name__ == "__main__":
    main()
