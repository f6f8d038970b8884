"""Make every page of a folder again from its manifest, publish nothing, and compare the bytes."""

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from salesops import project
from salesops.problems import BadInput, printable
from salesops.report import banner, files, inputs, run
from salesops.report.jobs import Job
from salesops.report.manifest import NAME, Folder

SHOWN = 12  # characters of a hash


class Verdict(NamedTuple):
    """Of one page: what differs, and why; nothing where it is the same."""

    name: str
    differs: list[str]


def verify(
    path: Path,
    do: Callable[[dict], dict],
    *,
    at_once: int = 1,
    limits: run.Limits = run.Limits(),  # noqa: B008
    stop: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """A verdict on every page of the manifest of a folder.

    Parameters
    ----------
    do : makes the outcome of a task; `workers.Workers.do`.
    stop : ends what `do` has begun; called when this is interrupted.

    Raises
    ------
    BadInput
        If the folder has no manifest with pages.
    """
    folder = Folder(path)
    if not folder.pages:
        raise BadInput(f"{path} cannot be verified", [f"there is no {NAME} with pages in it"])
    inputs.forget()
    verdicts = {}
    jobs = []
    for stem, record in folder.pages.items():
        try:
            jobs.append(_job(path, stem, record))
        except BadInput as error:
            verdicts[stem] = Verdict(stem, ["; ".join(map(str, [error.what, *error.problems]))])
    with ThreadPoolExecutor(at_once) as executor:
        try:
            for job, outcome in run.outcomes(jobs, do, executor, at_once=at_once, limits=limits):
                verdicts[job.stem] = Verdict(job.stem, _differences(folder, job, outcome))
        except BaseException:
            stop()
            raise
    return [verdicts[stem] for stem in folder.pages]


def _job(path: Path, stem: str, record: dict) -> Job:
    root = project.root(path.resolve())
    try:
        schema = importlib.import_module(f"salesops.{record['analysis']}.params").Params
    except (ImportError, KeyError):
        raise BadInput(f"{path / NAME}", [f"{stem}: no analysis {record.get('analysis')!r}"]) from None
    params = schema.check(record["parameters"], where=f"{path / NAME}, {stem}")
    return Job(stem, record["analysis"], params, root, path, record.get("params_file", ""))


def _differences(folder: Folder, job: Job, outcome: dict) -> list[str]:
    record = folder.pages[job.stem]
    found = []
    if not folder.is_as_made(job.stem):
        there = (folder.path / f"{job.stem}.html").is_file()
        found.append("the page was changed after it was made" if there else "the page is missing")
    if files.fingerprint(record["parameters"]) != record["hashes"]["parameters"]:
        found.append("parameters: those in the manifest are not the ones the page was made with")
    if outcome["ending"] != "made":
        return [*found, f"it cannot be made again: {outcome['reason']}"]
    now = inputs.of(job.root, job.analysis, record["parameters"], data=outcome["record"]["data"])
    for name, value in now.hashes.items():
        if name != "parameters" and record["hashes"].get(name) != value:
            found.append(f"{name}: {record['hashes'].get(name, 'not recorded')[:SHOWN]} then, {value[:SHOWN]} now")
    for name, value in now.versions.items():
        if record["versions"].get(name) != value:
            found.append(f"versions: {name} {record['versions'].get(name, 'not recorded')} then, {value} now")
    if files.sha256(outcome["page"].encode()) != record["hashes"]["page"] and not found:
        found.append(f"the same inputs made another page: {_first_difference(folder, job, outcome['page'])}")
    return found


def _first_difference(folder: Folder, job: Job, page: str) -> str:
    before: Sequence[str] = banner.without(files.read(folder.path / f"{job.stem}.html")).splitlines()
    for number, (then, now) in enumerate(zip(before, page.splitlines(), strict=False), 1):
        if then != now:
            return f"line {number}: {printable(then)!r} then, {printable(now)!r} now"
    return "one is longer than the other"
