"""How fast a large export is imported, and in how much memory, beside the engine's own reading of the same files.

    python benchmarks/imports.py     # writes its part of benchmarks/README.md; some minutes on 2 cores

A million deals and ten million changes as CSV; ours checks every value, row and reference and derives the history of
every deal; `read_csv` into Parquet does nothing of that and is the floor.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import readme

STAGES = ("Lead", "Qualified", "Offer", "Talks", "Contract", "Won", "Lost")
MAPPING = """
title: Large
currency: USD
time_zone: Europe/Berlin
stages:
{stages}
tables:
  deals:
    file: deals.csv
    columns: {{deal_id: id, name: name, account_id: account, rep_id: owner, stage: stage, amount: amount,
              created_at: created, closed_at: closed, source: source}}
    constants: {{currency: USD}}
  changes:
    file: changes.csv
    columns: {{deal_id: deal, changed_at: at, field: field, old_value: old, new_value: new, changed_by: by}}
"""
MAKE = """
import duckdb, sys
duckdb.execute("SET enable_progress_bar = false")
folder, n = sys.argv[1], int(sys.argv[2])
con = duckdb.connect()
con.execute("SELECT setseed(0.5)")
con.execute(f'''CREATE TABLE d AS SELECT lpad(i::VARCHAR, 12, '0') AS id, 'Deal ' || i AS name, 'A' || (hash(i) % 50000) AS account,
  'R' || (hash(i * 3) % 400) AS owner, TIMESTAMP '2022-01-01' + to_seconds((hash(i * 7) % 100000000)::BIGINT) AS created,
  (hash(i * 11) % 10000000) / 100.0 AS amount, ['web', 'event', 'partner', 'outbound'][(1 + hash(i * 13) % 4)::BIGINT] AS source
  FROM range({n}) t(i)''')
con.execute(f'''CREATE TABLE c AS SELECT id, created, amount, k, created + to_seconds((k * 86400 * 3 + hash(id || k) % 80000)::BIGINT) AS at
  FROM d, range(10) t(k)''')
stages = "['Lead', 'Qualified', 'Offer', 'Talks', 'Contract', 'Won']"
con.execute(f'''COPY (SELECT id AS deal, c.at AS "at", CASE WHEN k % 2 = 0 THEN 'stage' ELSE 'amount' END AS "field",
  CASE WHEN k % 2 = 0 THEN {stages}[k // 2 + 1] ELSE (amount + k - 1)::VARCHAR END AS "old",
  CASE WHEN k % 2 = 0 THEN {stages}[k // 2 + 2] ELSE (amount + k)::VARCHAR END AS "new", 'U' || (hash(id) % 400) AS "by"
  FROM c ORDER BY id, k) TO '{folder}/changes.csv' (HEADER)''')
con.execute(f'''COPY (SELECT id, name, account, owner, 'Won' AS stage, amount, created, NULL AS closed, source FROM d ORDER BY id)
  TO '{folder}/deals.csv' (HEADER)''')
"""
OURS = """
import sys
from pathlib import Path
from salesops.crm import making, mapping
target = Path(sys.argv[1]) / "book"
target.mkdir()
making.from_export(target, Path(sys.argv[1]), mapping.load(Path(sys.argv[1]) / "large.yml"))
"""
FLOOR = """
import duckdb, sys
duckdb.execute("SET enable_progress_bar = false")
for name in ("deals", "changes"):
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{sys.argv[1]}/{name}.csv')) TO '{sys.argv[1]}/{name}.floor.parquet' (COMPRESSION zstd)")
"""


def run(code: str, *arguments: object) -> tuple[float, float]:
    """Seconds, and the most resident memory in MB, of some code in a process of its own."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=env)
    watched, over = psutil.Process(process.pid), threading.Event()

    def watch():
        nonlocal peak
        while not over.wait(0.02):
            try:
                peak = max(peak, watched.memory_info().rss / 1e6)
            except psutil.Error:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    if code:
        raise SystemExit(f"ended with {code}")
    return time.perf_counter() - start, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deals", type=int, default=1_000_000)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run(MAKE, folder, told.deals)
        kinds = {"Won": "won", "Lost": "lost"}
        stages = "\n".join(f"  - {{stage: {name}, kind: {kinds.get(name, 'open')}}}" for name in STAGES)
        (folder / "large.yml").write_text(MAPPING.format(stages=stages))
        size = sum(path.stat().st_size for path in folder.glob("*.csv")) / 1e6
        ours, floor = [], []
        for _ in range(told.rounds):
            floor.append(run(FLOOR, folder))
            ours.append(run(OURS, folder))
            subprocess.run(["rm", "-rf", str(folder / "book")], check=True)
    ratios = [one[0] / other[0] for one, other in zip(ours, floor, strict=True)]
    lines = [
        f"{told.deals:,} deals and {10 * told.deals:,} changes, {size:,.0f} MB of CSV, medians of {told.rounds} interleaved rounds.",
        "",
        "| | s | most memory MB |",
        "|---|---|---|",
        f"| `read_csv` into Parquet, unchecked | {statistics.median(s for s, _m in floor):.1f} | {max(m for _s, m in floor):,.0f} |",
        f"| checked, and the history of every deal derived | {statistics.median(s for s, _m in ours):.1f}"
        f" ({statistics.median(ratios):.1f} times) | {max(m for _s, m in ours):,.0f} |",
    ]
    readme.write("imports", lines)


if __name__ == "__main__":
    main()
