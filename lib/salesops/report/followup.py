"""What became of what was told a period ago: pages of the period before, made again and published nowhere."""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from salesops.problems import BadInput
from salesops.report import front, ledger
from salesops.report.jobs import Job
from salesops.report.manifest import Folder, pages_of

Outcomes = Callable[[Sequence[Job]], Iterator[tuple[Job, dict]]]


def judge(jobs: Sequence[Job], folders: Mapping[Path, Folder], outcomes: Outcomes) -> None:
    """Look again at the findings that closed in the folders of a run, and note what came of it; nothing is published.

    A finding was true if its page, made again for its own period and with all that is known on the last day of this
    one, still finds it. A page that cannot be made again leaves it as not looked at.
    """
    for path, folder in folders.items():
        here = [job for job in jobs if job.folder == path]
        waiting = [row for row in folder.findings() if row.state == ledger.CLOSED and not row.verdict]
        before = ledger.earlier(path)
        if not waiting or not before:
            continue
        again = {job.stem: job for job in _again({row.stem for row in waiting}, before[0], here)}
        verdicts = {}
        for job, outcome in outcomes(list(again.values())):
            if outcome["ending"] == "made":
                mine = [row for row in waiting if row.stem == job.stem]
                verdicts |= _verdicts(mine, outcome["record"]["findings"])
        if verdicts:
            folder.judge(verdicts)


def retell(jobs: Sequence[Job], folders: Mapping[Path, Folder], outcomes: Outcomes) -> None:
    """Where a page tells a figure of the period before differently, note what that period's page would tell with the
    data of then and the playbook and definitions of now: what lies before it is their doing, what lies after later
    data's. Looked at once for each pair of pages."""
    for path, folder in folders.items():
        was, here = folder.period_before, [job for job in jobs if job.folder == path]
        again, marks = [], {}
        for stem, page in folder.pages.items():
            now = next((job for job in here if job.stem == stem), None)
            if stem not in was or now is None or not front.differing(page, was[stem]):
                continue
            marks[stem] = [was[stem]["hashes"].get("page"), page["hashes"].get("page")]
            if folder.retold.get(stem, {}).get("of") != marks[stem]:
                again += _as_told(now, was[stem], path)
        for job, outcome in outcomes(again) if again else ():
            tiles = outcome["record"]["tiles"] if outcome["ending"] == "made" else []
            texts = {tile["key"]: tile["texts"][-1] for tile in tiles if tile["key"] and tile["texts"]}
            folder.retell(job.stem, {"of": marks[job.stem], "texts": texts})


def _as_told(now: Job, record: dict, path: Path) -> list[Job]:
    """The page of the period before with its own parameters; none where they are of an earlier version."""
    schema = importlib.import_module(f"salesops.{now.analysis}.params").Params
    try:
        params = schema.check(record["parameters"], where=f"{path.name}/{now.stem}")
    except BadInput:
        return []
    return [now._replace(params=params)]


def _again(stems: Iterable[str], earlier: Path, here: Sequence[Job]) -> Iterator[Job]:
    """The pages of the period before, as they were told to be, with what is known on the last day of this one."""
    pages = pages_of(earlier)
    for stem in sorted(stems):
        record = pages.get(stem)
        now = next((job for job in here if job.stem == stem), None)
        if record is None or now is None:
            continue
        schema = importlib.import_module(f"salesops.{now.analysis}.params").Params
        try:
            values = record["parameters"] | {"as_of": str(now.params.last_known_on)}
            params = schema.check(values, where=f"{earlier.name}/{stem}")
        except BadInput:
            continue  # its parameters are of an earlier version
        yield now._replace(params=params, folder=earlier)


def _verdicts(rows: Sequence[ledger.Row], findings: Sequence[dict]) -> dict[tuple[str, str], str]:
    found = {one.get("key") for one in findings if one.get("key")}
    return {(row.id, row.lang): ledger.HELD if row.key in found else ledger.GONE for row in rows}
