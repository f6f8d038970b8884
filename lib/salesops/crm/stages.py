"""The stages of a source that does not declare them: derived where that is certain, else asked for.

What a stage means is known by its words (`won`, `lost` of the mapping, and those that CRMs bring); the order of the open
ones by the CRM's own probability, or by how deals have moved.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

import duckdb

from salesops.crm.mapping import Mapping
from salesops.problems import Problem, printable

WON = ("won", "closed won", "closedwon", "успешно реализовано", "сделка успешна", "выиграно", "142", "won deal")
LOST = (
    "lost", "closed lost", "closedlost", "закрыто и не реализовано", "сделка провалена", "проиграно", "143",
    "closed-lost to competition", "closed lost to competition",
)  # fmt: skip
MOST_STAGES = 1000  # of a pipeline
MOST_PIPELINES = 1000
MOST_NAMED = 40  # stages in a message, those with most deals
SETTLED = 10**9  # moves that an order known before counts as
CLEAR = 0.8  # share of the moves between two stages that go one way


def derive(
    con: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    deals: str,
    changes: str | None,
    before: Sequence[dict],
    fatal: list[Problem],
) -> list[dict]:
    """Rows of the table of stages, in order; where they cannot be told, a fatal problem with what to declare.

    `before` are the stages of an earlier export, in their order, which stays.
    """
    seen = con.execute(
        f"SELECT coalesce(pipeline, ''), stage, count(*) FROM {deals} WHERE stage IS NOT NULL GROUP BY ALL"
    )
    sizes = {(pipeline, stage): n for pipeline, stage, n in seen.fetchall()}
    moves: Counter[tuple[str, str, str]] = Counter()
    if changes:
        for was, prior, pipeline, stage, n in con.execute(_moves(deals, changes)).fetchall():
            for place in filter(lambda place: place[1], ((was, prior), (pipeline, stage))):
                sizes.setdefault(place, 0)
            if prior and prior != stage and was == pipeline:
                moves[pipeline, prior, stage] += n
    chances = _chances(con, deals)
    for row in before:
        sizes.setdefault((row["pipeline"], row["stage"]), 0)
        if row["probability"] is not None:
            chances.setdefault((row["pipeline"], row["stage"]), row["probability"])
    for first, then in zip(before, before[1:], strict=False):
        if first["pipeline"] == then["pipeline"] and first["kind"] == then["kind"] == "open":
            moves[first["pipeline"], first["stage"], then["stage"]] += SETTLED
    stages, rows, meant = defaultdict(list), [], _meanings(mapping)
    for pipeline, stage in sorted(sizes):
        stages[pipeline].append(stage)
    if problem := too_many({pipeline: len(names) for pipeline, names in stages.items()}):
        fatal.append(problem)
        return []
    steps: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for (pipeline, prior, stage), n in moves.items():
        steps[pipeline][prior, stage] = n
    for pipeline, names in stages.items():
        kinds = {name: meant.get(name.casefold(), "open") for name in names}
        order = _order([name for name in names if kinds[name] == "open"], pipeline, chances, steps[pipeline])
        if order is None:
            fatal.append(Problem("mapping", None, "stages", "", _ask(pipeline, names, kinds, sizes)))
            continue
        closed = [name for kind in ("won", "lost") for name in names if kinds[name] == kind]
        rows += [
            {"pipeline": pipeline, "stage": name, "kind": kinds[name], "probability": chances.get((pipeline, name))}
            for name in [*order, *closed]
        ]
    return rows


def _moves(deals: str, changes: str) -> str:
    """SQL of the moves of deals between stages: pipeline and stage before, pipeline and stage after, how often.

    The pipeline is the one that the deal was in, by its log, when it entered the stage; of a moment with a change of
    both, the pipeline changed first.
    """
    order = "PARTITION BY deal_id ORDER BY changed_at, field <> 'pipeline', part, n"
    log = (
        f"SELECT c.*, coalesce(d.pipeline, '') AS now FROM {changes} c JOIN {deals} d ON d.deal_id = c.deal_id"
        " WHERE (field = 'stage' AND new_value IS NOT NULL) OR field = 'pipeline'"
    )
    then, at_first = (
        f"{which}(CASE WHEN field = 'pipeline' THEN coalesce({side}, '') END IGNORE NULLS) OVER ({order} {rows})"
        for which, side, rows in (
            ("last_value", "new_value", "ROWS UNBOUNDED PRECEDING"),
            ("first_value", "old_value", "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"),
        )
    )
    placed = (
        f"SELECT *, coalesce({at_first}, now) AS at_first, coalesce({then}, {at_first}, now) AS pipeline FROM ({log})"
    )
    steps = (
        f"SELECT *, lag(new_value) OVER ({order}) AS prior, lag(pipeline) OVER ({order}) AS was"
        f" FROM ({placed}) WHERE field = 'stage'"
    )
    return (
        f"SELECT coalesce(was, at_first), coalesce(prior, old_value), pipeline, new_value, count(*)"
        f" FROM ({steps}) GROUP BY ALL"
    )


def _meanings(mapping: Mapping) -> dict[str, str]:
    """What a word says of a stage that is not open: won or lost."""
    lost = dict.fromkeys([*(one.casefold() for one in mapping.lost), *LOST], "lost")
    return lost | dict.fromkeys([*(one.casefold() for one in mapping.won), *WON], "won")


def too_many(sizes: dict[str, int]) -> Problem | None:
    """What is wrong where a column of stages or pipelines holds something else; `sizes` are stages by pipeline."""
    if len(sizes) > MOST_PIPELINES:
        allowed = f"at most {MOST_PIPELINES:,}; is it another column that names the pipeline?"
        return Problem("mapping", None, "pipeline", f"{len(sizes):,} pipelines", allowed)
    pipeline = max(sizes, key=sizes.__getitem__, default="")
    if sizes and sizes[pipeline] > MOST_STAGES:
        of = f" of the pipeline {printable(pipeline)}" if pipeline else ""
        allowed = f"at most {MOST_STAGES:,}{of}; is it another column that names the stage?"
        return Problem("mapping", None, "stage", f"{sizes[pipeline]:,} stages", allowed)
    return None


def _chances(con: duckdb.DuckDBPyConnection, deals: str) -> dict[tuple[str, str], float]:
    """The CRM's own chance of winning of each stage, where all of its deals have the same."""
    found = con.execute(
        f"SELECT coalesce(pipeline, ''), stage, mode(probability) FROM {deals}"
        " WHERE stage IS NOT NULL AND probability IS NOT NULL GROUP BY ALL"
    ).fetchall()
    return {(pipeline, stage): chance for pipeline, stage, chance in found}


def _order(names: list[str], pipeline: str, chances: dict, moves: dict[tuple[str, str], int]) -> list[str] | None:
    """The order of the open stages; None where it is not certain. Looks at each move once, not at each pair."""
    if len(names) <= 1:
        return names
    known = [chances.get((pipeline, name)) for name in names]
    if None not in known and len(set(known)) == len(names):
        return sorted(names, key=lambda name: chances[pipeline, name])
    before: dict[str, set[str]] = defaultdict(set)  # stage -> those that come before it
    open_ = set(names)
    for (a, b), forth in moves.items():
        if {a, b} <= open_ and forth and forth >= CLEAR * (forth + moves.get((b, a), 0)):
            before[b].add(a)
    try:
        order = list(TopologicalSorter({name: before[name] for name in names}).static_order())
    except CycleError:
        return None
    sure = all(first in before[then] for first, then in zip(order, order[1:], strict=False))
    return order if sure else None


def _ask(pipeline: str, names: list[str], kinds: dict[str, str], sizes: dict) -> str:
    largest = sorted(names, key=lambda name: (-sizes[pipeline, name], name))[:MOST_NAMED]
    found = "; ".join(
        f"{printable(name)} ({sizes[pipeline, name]} deals, {kinds[name]})" for name in names if name in set(largest)
    )
    found += f"; and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    of = f" of the pipeline {pipeline}" if pipeline else ""
    return f"declare the stages{of} in their order (--stages, or stages in the mapping); it cannot be told from the data: {found}"
