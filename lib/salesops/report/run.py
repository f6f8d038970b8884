"""Many pages at once: what need not run does not, what fails does not stop the others.

Pages are made in processes of their own (`workers`), or on a cluster (`cluster`); only this process writes into
the folders of the reports.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from salesops import interrupts, locks, ownership, project
from salesops.crm import source
from salesops.problems import BadInput, printable
from salesops.report import asks, files, followup, inputs, records
from salesops.report.jobs import Job
from salesops.report.manifest import Folder

TRIES = 3  # times that a source is read whose files change meanwhile
Tell = Callable[..., None]  # an event by name, with its facts


def silent(event: str, **facts) -> None:
    """Tell nobody."""


class Limits(NamedTuple):
    """What a page may take: seconds of a cell and of all, memory of its processes in megabytes (None: no limit)."""

    cell_seconds: float = 1200
    page_seconds: float = 3600
    memory: int | None = None


class Plan(NamedTuple):
    """A job, and why it is to be run; an empty reason: the page is as it would be made now."""

    job: Job
    why: str
    now: inputs.Inputs | None = None


class Failure(NamedTuple):
    job: Job
    reason: str
    notebook: Path | None = None


class Result(NamedTuple):
    """What a run did."""

    made: list[Job]
    unchanged: list[Job]
    failed: list[Failure]
    trouble: list[str]  # manifests that could not be written

    @property
    def good(self) -> bool:
        return not self.failed and not self.trouble


def run(
    jobs: Sequence[Job],
    do: Callable[[dict], dict],
    *,
    executor: Executor | None = None,
    at_once: int = 1,
    limits: Limits = Limits(),  # noqa: B008  immutable
    force: bool = False,
    tell: Tell = silent,
    stop: Callable[[], None] = lambda: None,
) -> Result:
    """Make the pages of jobs that are not as they would be made now.

    Parameters
    ----------
    do : makes the outcome of a task; `workers.Workers.do`.
    executor : runs `do`; None is threads of this process. Tasks go to it `at_once` at a time.
    tell : called with what happens, when it happens.
    stop : ends what `do` has begun; called when this run is interrupted.

    Raises
    ------
    BadInput
        If what is asked of the reader (`params/asks.yml`) cannot be used; nothing was run then.
    Locked
        If another run is writing into one of the folders; nothing was run then.
    """
    result = Result([], [], [], [])
    inputs.forget()
    asked = {root: asks.read(root) for root in {job.root for job in jobs}}
    with ExitStack() as held:
        folders = _open_folders(jobs, asked, held, result, tell)
        jobs = [job for job in jobs if job.folder in folders]
        executor = executor or held.enter_context(ThreadPoolExecutor(at_once))
        try:
            _make(jobs, folders, do, executor, at_once, limits, force, result, tell)
            again = partial(outcomes, do=do, executor=executor, at_once=at_once, limits=limits)
            followup.judge(jobs, folders, again)
            followup.retell(jobs, folders, again)
        except BaseException:
            stop()
            raise
    return result


def _make(jobs, folders, do, executor, at_once, limits, force, result: Result, tell: Tell) -> None:
    located, bad = _prepare_data(jobs, do, executor, at_once, limits, tell)
    for job in (job for job in jobs if _where(job) in bad):
        _fail(folders, Plan(job, ""), {"ending": "bad_source", "reason": bad[_where(job)]}, result, tell)
    plans = [_plan(job, folders[job.folder], located[_where(job)], force) for job in jobs if _where(job) in located]
    for one in plans:
        if not one.why:
            _publish(folders[one.job.folder].still_good, one, result, tell, made=False)
    todo = sorted((one for one in plans if one.why), key=lambda one: -_seconds_before(folders, one.job))
    tasks = ((one, _task(one.job, located[_where(one.job)], limits)) for one in todo)
    for one, outcome in _outcomes(executor, do, tasks, at_once, tell):
        if outcome["ending"] == "made":
            _publish(folders[one.job.folder].made, one, result, tell, outcome["page"], _record(one, outcome))
        else:
            _fail(folders, one, outcome, result, tell)


def digests(
    jobs: Sequence[Job], do: Callable[[dict], dict], executor: Executor, *, at_once: int, limits: Limits
) -> dict[str, str]:
    """Stem of each job -> the hash of what its data knew at the end of its last day; only of data that can be read."""
    located, _bad = _prepare_data(jobs, do, executor, at_once, limits, silent)
    known = {
        job.stem: located[_where(job)].contents(job.params.last_known_on) for job in jobs if _where(job) in located
    }
    return {stem: contents["digest"] for stem, contents in known.items() if contents}


def outcomes(
    jobs: Sequence[Job], do: Callable[[dict], dict], executor: Executor, *, at_once: int, limits: Limits
) -> Iterator[tuple[Job, dict]]:
    """The outcome of each job, made and not published; in the order in which they end."""
    located, bad = _prepare_data(jobs, do, executor, at_once, limits, silent)
    yield from ((job, {"ending": "bad_source", "reason": bad[_where(job)]}) for job in jobs if _where(job) in bad)
    tasks = ((Plan(job, ""), _task(job, located[_where(job)], limits)) for job in jobs if _where(job) in located)
    yield from ((one.job, outcome) for one, outcome in _outcomes(executor, do, tasks, at_once, silent))


def plan(jobs: Sequence[Job], *, force: bool = False) -> list[Plan]:
    """For each job, why it would run; nothing is locked, read or written."""
    located, bad = _locate({_where(job) for job in jobs})
    folders = {path: Folder(path) for path in {job.folder for job in jobs}}
    return [
        Plan(job, f"it would fail: {bad[_where(job)]}")
        if _where(job) in bad
        else _plan(job, folders[job.folder], located[_where(job)], force)
        for job in jobs
    ]


def _plan(job: Job, folder: Folder, located: source.Located, force: bool) -> Plan:
    contents = located.contents(job.params.last_known_on)
    if contents is None:
        return Plan(job, "the data were not seen before")
    now = inputs.of(job.root, job.analysis, job.params.model_dump(mode="json"), data=contents["digest"])
    record = folder.pages.get(job.stem)
    if force:
        return Plan(job, "asked for", now)
    if record is None:
        return Plan(job, "not made before", now)
    if changed := now.differ(record):
        return Plan(job, f"{', '.join(changed)} changed", now)
    if not folder.is_as_made(job.stem):
        return Plan(job, "the page is not as it was made", now)
    return Plan(job, "", now)


def _open_folders(jobs: Sequence[Job], asked: dict, held: ExitStack, result: Result, tell: Tell) -> dict[Path, Folder]:
    """The folders of the jobs, locked; the jobs of one that cannot be written to have failed."""
    folders = {}
    for path in sorted({job.folder for job in jobs}):
        try:
            held.enter_context(locks.hold(path))
            _remove_drafts(path)
            records.migrate(path.parent)
            folders[path] = Folder(path, asks=next(asked[job.root] for job in jobs if job.folder == path))
        except OSError as error:
            for job in (job for job in jobs if job.folder == path):
                result.failed.append(Failure(job, _said(error)))
                tell("failed", name=job.name, reason=_said(error), page=str(job.page))
    # All are ours: of a run that is refused nothing is written. A callback that comes later is called earlier, and a
    # period's front page rests on the findings of those before it.
    for _path, folder in sorted(folders.items(), reverse=True):
        held.callback(_write, folder, result)
    return folders


def _remove_drafts(folder: Path) -> None:
    """What a killed run had begun to write; the lock says that nobody is writing now."""
    for place in (folder, folder / "failed", records.place(folder)):
        for left in list(ownership.in_(place, files.DRAFTS)):
            ownership.remove(left, files.DRAFTS)
        ownership.remove_empty(place, files.NAMES)


def _write(folder: Folder, result: Result) -> None:
    try:
        folder.write()
    except OSError as error:
        result.trouble.append(f"{folder.path}: the manifest could not be written: {_said(error)}")


def _where(job: Job) -> tuple[Path, str]:
    """What tells one source from another: its name, and the project in which it is looked for."""
    return job.root, job.params.source


def _locate(wheres: Iterable[tuple[Path, str]]) -> tuple[dict, dict]:
    """Each source looked at once: where its book is, or why there is none."""
    located: dict[tuple, source.Located] = {}
    bad: dict[tuple, str] = {}
    for root, name in wheres:
        try:
            located[root, name] = source.locate(name, root)
        except BadInput as error:
            bad[root, name] = str(error)
        except OSError as error:
            bad[root, name] = f"source {printable(name)} cannot be read: {_said(error)}"
    return located, bad


def _prepare_data(jobs: Sequence[Job], do, executor: Executor, at_once: int, limits: Limits, tell: Tell) -> tuple:
    """Every source of the jobs prepared once, with the hashes of its days; all pages of a run rest on these books.

    Returns
    -------
    located : source -> where its book is.
    bad : source -> why it cannot be used.
    """
    located, bad = _locate(dict.fromkeys(_where(job) for job in jobs))
    for _attempt in range(TRIES):
        unseen: dict[tuple, dict[str, Job]] = {}
        for where, place in located.items():
            if place.folder.exists() and (fault := place.fault) and not _attempt:
                tell("again", name=where[1], reason=f"its prepared book was damaged ({fault}); it is prepared again")
        for job in (job for job in jobs if _where(job) in located):
            if located[_where(job)].contents(job.params.last_known_on) is None:
                unseen.setdefault(_where(job), {}).setdefault(str(job.params.last_known_on), job)
        if not unseen:
            break
        again = list(unseen)
        while unseen:  # a source's first day makes the book, which the other days then find
            now = {where: days.popitem() for where, days in unseen.items()}
            unseen = {where: days for where, days in unseen.items() if days}
            tasks = (
                (where, _task(job, None, limits) | {"do": "prepare", "as_of": day}) for where, (day, job) in now.items()
            )
            for where, outcome in _outcomes(executor, do, tasks, at_once, tell):
                if outcome["ending"] != "made":
                    bad[where] = outcome["reason"]
                    unseen.pop(where, None)
        fresh, gone = _locate(where for where in again if where not in bad)  # its files may have changed meanwhile
        located, bad = located | fresh, bad | gone
        located = {where: one for where, one in located.items() if where not in bad}
    else:
        bad |= {where: f"source {printable(where[1])}: its files change while they are read" for where in again}
    return {where: one for where, one in located.items() if where not in bad}, bad


def _task(job: Job, located: source.Located | None, limits: Limits) -> dict:
    """A job as plain data, for a process that knows nothing of it."""
    environment = {"SALESOPS_CACHE": str(project.cache(job.root).absolute())}
    if located is not None:
        environment[source.BOOKS] = json.dumps({job.params.source: [str(located.folder), located.key]})
    return {
        "do": "page",
        "root": str(job.root),
        "notebook": (job.root / "notebooks" / f"{job.analysis}.ipynb").read_text("utf-8"),
        "parameters": job.params.model_dump(mode="json"),
        "env": environment,
        **limits._asdict(),
    }


def _outcomes(executor: Executor, do, tasks: Iterable[tuple], at_once: int, tell: Tell) -> Iterator:
    """(what, outcome) of each task as it ends, with `at_once` under way; an error of `do` is an outcome too."""
    ended = SimpleQueue()  # of futures, and of a signal that came
    tasks, under_way = iter(tasks), {}
    with interrupts.told_to(ended.put):
        while True:
            while len(under_way) < at_once and (following := next(tasks, None)):
                what, task = following
                if isinstance(what, Plan):
                    tell("page", name=what.job.name, why=what.why)
                else:
                    tell("data", name=what[1])
                future = executor.submit(do, task)
                under_way[future] = what
                future.add_done_callback(ended.put)
            if not under_way:
                return
            future = ended.get()
            if isinstance(future, interrupts.Interrupted):
                raise future
            what, error = under_way.pop(future), future.exception()
            yield what, {"ending": "broken", "reason": _said(error)} if error else future.result()


def _publish(write: Callable, one: Plan, result: Result, tell: Tell, *content, made: bool = True) -> None:
    """Write a page, or note that it is as it was; a disk that is full fails this page and stops no other."""
    try:
        write(one.job.stem, *content)
    except OSError as error:
        result.failed.append(Failure(one.job, _said(error)))
        tell("failed", name=one.job.name, reason=_said(error), page=str(one.job.page))
        return
    (result.made if made else result.unchanged).append(one.job)
    tell("made" if made else "unchanged", name=one.job.name, page=str(one.job.page))


def _fail(folders: dict[Path, Folder], one: Plan, outcome: dict, result: Result, tell: Tell) -> None:
    job, reason = one.job, outcome["reason"]
    if outcome.get("cell"):
        reason = f"cell {outcome['cell']}: {reason}"
    kept = None
    try:
        kept = folders[job.folder].failed(
            job.stem,
            language=job.params.lang,
            ending=outcome["ending"],
            reason=reason,
            notebook=outcome.get("notebook"),
        )
    except OSError as error:
        reason = f"{reason} (and the folder could not be written: {_said(error)})"
    result.failed.append(Failure(job, reason, kept))
    tell("failed", name=job.name, reason=reason, ending=outcome["ending"], page=str(job.page), notebook=str(kept or ""))


def _record(one: Plan, outcome: dict) -> dict:
    """What the manifest keeps of a page."""
    job, said = one.job, outcome["record"]
    parameters = job.params.model_dump(mode="json")
    now = inputs.of(job.root, job.analysis, parameters, data=said.pop("data"))
    return {
        "page": job.page.name,
        "analysis": job.analysis,
        "params_file": job.params_file,
        "lang": job.params.lang,
        **said,
        "parameters": parameters,
        "hashes": {**now.hashes, "page": files.sha256(outcome["page"].encode())},
        "files": now.files,
        "versions": now.versions,
    }


def _seconds_before(folders: dict[Path, Folder], job: Job) -> float:
    """How long a page took last time; the long ones begin first, and one never made counts as long."""
    record = folders[job.folder].pages.get(job.stem)
    return float(record["seconds"].get("execute") or 0) if record else float("inf")


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"{error.strerror or os.strerror(error.errno)}: {error.filename or ''}"
    return f"{type(error).__name__}: {error}"
