"""Whether the pages of a folder are what their manifest says, and would be made again from the same inputs.

What stands in the folder is compared before anything runs. Pages of which all inputs are as they were are then made
again by the notebooks of the user's own project, and compared byte by byte; nothing is published.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from salesops import project
from salesops.problems import BadInput, printable
from salesops.report import banner, files, inputs, records, run
from salesops.report.jobs import Job, analyses
from salesops.report.manifest import NAME, Folder

SHOWN = 12  # characters of a hash
RECORDED = ("title", "company", "period", "headline", "deck", "findings", "tiles")  # what a record says of its page
MADE = re.compile(r'<footer class="made" id="made">.*?</footer>', re.DOTALL)  # the hashes that a page is made from
STRANGE = (
    "not made again: no page was made in this project by this user on this machine, so its notebooks may be somebody "
    "else's; stay in your own project and name the folder, or say --trust"
)
ALIKE = ("code", "lock", "versions")  # inputs that may differ where pages alone are compared


class Verdict(NamedTuple):
    """Of one page: what differs, and why; nothing where it is the same."""

    name: str
    differs: list[str]


def verify(
    path: Path,
    do: Callable[[dict], dict],
    *,
    pages_only: bool = False,
    trust: bool = False,
    at_once: int = 1,
    limits: run.Limits = run.Limits(),  # noqa: B008
    stop: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """A verdict on every page of the manifest of a folder, and on its front pages.

    Parameters
    ----------
    do : makes the outcome of a task; `workers.Workers.do`.
    pages_only : compare pages, but for the hashes they print, also where code, lock file or versions are not those of
        then.
    trust : run the notebooks of the project that the folder is in, whoever wrote them. Without it those of the project
        worked in run, if this user has made pages in it.
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
    root = project.root(path.resolve()) if trust else project.root()
    jobs, differs = [], {}
    for stem, record in folder.pages.items():
        try:
            jobs.append(_job(path, stem, record, root))
        except BadInput as error:
            differs[stem] = ["; ".join(map(str, [error.what, *error.problems]))]
    how = {"at_once": at_once, "limits": limits}
    with ThreadPoolExecutor(at_once) as executor:
        try:
            data = run.digests(jobs, do, executor, **how)
            differs |= {job.stem: _seen(folder, job, data.get(job.stem)) for job in jobs}
            same = [job for job in jobs if not _that_count(differs[job.stem], pages_only=pages_only)]
            if not trust and not records.is_own(root):
                for job in same:
                    differs[job.stem].append(STRANGE)
                same = []
            for job, outcome in run.outcomes(same, do, executor, **how):
                differs[job.stem] = _differences(folder, job, outcome, pages_only=pages_only)
        except BaseException:
            stop()
            raise
    verdicts = [Verdict(stem, differs[stem]) for stem in folder.pages]
    fronts = sorted((name, digest) for name, digest in folder.front.items() if files.is_page_name(name))
    return verdicts + [Verdict(name, _front(path / name, digest)) for name, digest in fronts]


def _job(path: Path, stem: str, record: dict, root: Path) -> Job:
    if record.get("analysis") not in analyses(root):
        raise BadInput(f"{path / NAME}", [f"{stem}: no analysis {printable(record.get('analysis'))!r} in {root}"])
    schema = importlib.import_module(f"salesops.{record['analysis']}.params").Params
    params = schema.check(record["parameters"], where=f"{path / NAME}, {stem}")
    return Job(stem, record["analysis"], params, root, path, str(record.get("params_file", "")))


def _that_count(differs: Sequence[str], *, pages_only: bool) -> list[str]:
    return [text for text in differs if not (pages_only and text.startswith(ALIKE))]


def _seen(folder: Folder, job: Job, data: str | None) -> list[str]:
    """What differs without a notebook being run: the page on disk, and every input."""
    record = folder.pages[job.stem]
    differs = []
    if not folder.is_as_made(job.stem):
        there = (folder.path / f"{job.stem}.html").is_file()
        differs.append("the page was changed after it was made" if there else "the page is missing")
    now = inputs.of(job.root, job.analysis, record["parameters"], data=data or "")
    return differs + _inputs(record, now, [name for name in now.hashes if name != "data" or data])


def _inputs(record: Mapping, now: inputs.Inputs, names: Sequence[str]) -> list[str]:
    then, differs = dict(record["hashes"]), []
    if "files" not in then:  # format 1 has one hash of both, which does not say which differs
        then |= {name: now.hashes[name] for name in ("parameters", "files")}
    for name in (name for name in names if then.get(name) != now.hashes[name]):
        if name == "parameters":
            differs.append("parameters: those in the manifest are not the ones the page was made with")
        elif name == "files":
            differs.append(f"{now.say_files(record)}: not as the page was made with")
        else:
            before = str(then.get(name, "not recorded"))[:SHOWN]
            differs.append(f"{name}: {before} then, {now.hashes[name][:SHOWN]} now")
    for name, value in now.versions.items():
        if record["versions"].get(name) != value:
            differs.append(f"versions: {name} {record['versions'].get(name, 'not recorded')} then, {value} now")
    return differs


def _differences(folder: Folder, job: Job, outcome: dict, *, pages_only: bool) -> list[str]:
    """What differs of a page that was made again."""
    record = folder.pages[job.stem]
    if outcome["ending"] != "made":
        return [f"it cannot be made again: {outcome['reason']}"]
    now = inputs.of(job.root, job.analysis, record["parameters"], data=outcome["record"]["data"])
    if differs := _that_count(_inputs(record, now, list(now.hashes)), pages_only=pages_only):
        return differs
    then, made = banner.without(files.read(folder.path / f"{job.stem}.html")), outcome["page"]
    if pages_only:
        then, made = (MADE.sub("", page) for page in (then, made))
    if then != made:
        return [f"the same inputs made another page: {_first_difference(then, made)}"]
    untrue = [name for name in RECORDED if name in outcome["record"] and outcome["record"][name] != record.get(name)]
    return [f"the manifest says otherwise of it: {', '.join(untrue)}"] if untrue else []


def _front(path: Path, digest: str) -> list[str]:
    if not files.is_page_name(path.name) or path.is_symlink() or not path.is_file():
        return ["the front page is missing"]
    page = files.read(path)
    same = files.sha256(page.encode("utf-8", "surrogateescape")) == digest
    return [] if same else ["the front page was changed after it was made"]


def _first_difference(then: str, made: str) -> str:
    lines = zip(then.splitlines(), made.splitlines(), strict=False)
    for number, (before, now) in enumerate(lines, 1):
        if before != now:
            return f"line {number}: {_around(before, now)} then, {_around(now, before)} now"
    return "one is longer than the other"


def _around(line: str, other: str) -> str:
    """The part of a line where another begins to differ from it."""
    at = next((k for k, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    return repr(printable(line[max(0, at - 20) :]))
