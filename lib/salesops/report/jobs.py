"""What is to be made: a parameter file is one page, a pack is many.

A job knows only the convention of the stem: `params/funnel.maven.yml` is the variant `maven` of the analysis
`funnel`, whose notebook is `notebooks/funnel.ipynb` and whose schema `salesops.funnel.params.Params`.
"""

import datetime as dt
import importlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from salesops import periods, project, settings, yamlfile
from salesops.problems import BadInput, explain, printable

LAST_MONTH = "last-month"
MOST = 5_000  # pages of one run
LONGEST = 200  # bytes in the name of a page


class Job(NamedTuple):
    """A checked page to make: everything that can be refused before anything runs has been."""

    stem: str  # funnel.maven, or funnel.maven.ru for the Russian page
    analysis: str
    params: settings.Params
    root: Path
    folder: Path  # of the pages of this period
    params_file: str = ""  # from the project's folder

    @property
    def page(self) -> Path:
        return self.folder / f"{self.stem}.html"

    @property
    def name(self) -> str:
        return f"{self.folder.name}/{self.stem}"


class Run(BaseModel):
    """A line of a pack: a parameter file, with values set, once for each combination of a matrix."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    run: str = Field(description="a parameter file without .yml, as funnel or funnel.maven")
    name: str = Field("", pattern=r"^[a-z0-9][a-z0-9-]*$|^$", description="put into the names of the pages")
    set: dict[str, str | int | float] = Field({}, description="parameters for all pages of this line")
    matrix: dict[str, Annotated[list[str | int | float], Field(min_length=1)]] = Field(
        {}, description="a page for each combination of these values"
    )
    months: int = Field(1, ge=1, le=120, description="this many months, the last of them the period")


class Pack(BaseModel):
    """A parameter file that names runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    runs: list[Run] = Field(min_length=1)


def analyses(root: Path) -> list[str]:
    """The questions the playbook answers: the folders of the library with a `params.py`, with a notebook."""
    found = sorted(path.parent.name for path in project.PACKAGE.glob("*/params.py"))
    return [name for name in found if (root / "notebooks" / f"{name}.ipynb").is_file()]


def prepare(
    params_files: Sequence[Path], *, overrides: Mapping[str, object], out: Path | None = None, only: str = "*"
) -> list[Job]:
    """Check parameter files and packs with what is set for all of their pages.

    Parameters
    ----------
    overrides : parameters that stand above those of the files.
    out : folder of the reports; None is `reports/` of the project.
    only : a pattern such as `funnel*` or `*.ru`; other stems are left out.

    Raises
    ------
    BadInput
        With every problem of every file at once, and where two pages would have one name.
    """
    jobs, refused = [], []
    for params_file in map(Path, params_files):
        try:
            content = yamlfile.load(params_file)
            made = _pack(params_file, content, overrides, out) if "runs" in content else [
                _job(params_file, content, overrides, out)
            ]  # fmt: skip
            jobs += made
        except BadInput as error:
            refused.append(error)
    if refused:
        raise refused[0] if len(refused) == 1 else BadInput("nothing was run", refused)
    jobs = [job for job in jobs if fnmatchcase(job.stem, only)]
    twice = [name for name, n in Counter(job.page for job in jobs).items() if n > 1]
    if twice:
        raise BadInput("nothing was run", [f"two pages would be {page}; give one of them a name" for page in twice])
    if not jobs:
        raise BadInput("nothing was run", [f"no page is called {only!r}"])
    _check_files(jobs)
    return jobs


def _check_files(jobs: Sequence[Job]) -> None:
    """Refuse everything where a file that parameters name cannot be used."""
    refused: dict[str, BadInput] = {}
    for job in jobs:
        try:
            job.params.check_files(job.root)
        except BadInput as error:
            refused.setdefault(str(error), error)
    if refused:
        raise next(iter(refused.values())) if len(refused) == 1 else BadInput("nothing was run", list(refused))


def _job(params_file: Path, content: dict, overrides: Mapping, out: Path | None, *, parts: Sequence[str] = ()) -> Job:
    values = {**content, **overrides}
    if values.get("period") == LAST_MONTH:
        values["period"] = last_month()
    root = project.root(params_file.resolve().parent)
    analysis = params_file.name.split(".")[0]
    if analysis not in analyses(root):
        raise BadInput(
            f"{params_file} cannot be used", [f"no analysis {analysis!r}; there are: {', '.join(analyses(root))}"]
        )
    schema = importlib.import_module(f"salesops.{analysis}.params").Params
    params = schema.check(values, where=str(params_file))
    stem = ".".join([params_file.name.removesuffix(".yml"), *parts, *([params.lang] if params.lang != "en" else [])])
    if len(os.fsencode(stem)) > LONGEST:
        raise BadInput(f"{params_file} cannot be used", [f"the page's name is too long: {printable(stem)}"])
    place = params_file.resolve()
    file = place.relative_to(root).as_posix() if place.is_relative_to(root) else place.name
    return Job(stem, analysis, params, root, (out or root / "reports").absolute() / params.period, file)


def _pack(pack_file: Path, content: dict, overrides: Mapping, out: Path | None) -> list[Job]:
    try:
        pack = Pack.model_validate(content, strict=True)
    except ValidationError as error:
        raise BadInput(f"{pack_file} cannot be used", [explain(one) for one in error.errors()]) from None
    jobs, problems = [], []
    for number, run in enumerate(pack.runs, 1):
        try:
            for values, parts in _combinations(run, overrides):
                path = pack_file.parent / f"{run.run}.yml"
                jobs.append(_job(path, yamlfile.load(path), values, out, parts=parts))
                if len(jobs) > MOST:
                    raise BadInput(f"{pack_file} cannot be used", [f"more than {MOST:,} pages"])
        except BadInput as error:
            problems.append(f"run {number} ({printable(run.run)}): {error.what}: {'; '.join(map(str, error.problems))}")
    if problems:
        raise BadInput(f"{pack_file} cannot be used", list(dict.fromkeys(problems)))
    return jobs


def _combinations(run: Run, overrides: Mapping) -> Iterator[tuple[dict, list[str]]]:
    """The values of each page of a line, and what its name gets: the line's name, then its own values."""
    if set(run.matrix) & set(run.set):
        raise BadInput(
            run.run, [f"{name}: stands in set and in matrix" for name in sorted(set(run.matrix) & set(run.set))]
        )
    if run.run != Path(run.run).name:
        raise BadInput(run.run, ["write the name of a parameter file beside the pack"])
    for combination in itertools.product(*run.matrix.values()):
        own = dict(zip(run.matrix, combination, strict=True))
        shown = [
            _slug(value) for name, value in own.items() if name not in ("lang", "period") and name not in overrides
        ]
        values = {**run.set, **own, **overrides}
        for period in _months(values, run.months):
            yield {**values, **period}, [part for part in (run.name, *shown) if part]


def _months(values: Mapping, n_months: int) -> list[dict]:
    """The periods of a line: the one it has, or the months that end with it."""
    if n_months == 1:
        return [{}]
    named = values.get("period", LAST_MONTH)
    try:
        last = periods.parse(last_month() if named == LAST_MONTH else named)
    except ValueError as error:
        raise BadInput("period", [str(error)]) from None
    months = periods.trailing(last, n_months)
    return [{"period": f"{periods.add_months(months.first_on, k):%Y-%m}"} for k in range(n_months)]


def _slug(value: object) -> str:
    """A value as a part of a file's name: letters and digits of any language, in lower case."""
    return re.sub(r"[\W_]+", "-", str(value).lower()).strip("-")


def last_month(now: dt.datetime | None = None) -> str:
    """The month before this one, by the clock and in the time zone of the machine (`TZ`)."""
    return periods.month_before((now or dt.datetime.now()).astimezone().date())
