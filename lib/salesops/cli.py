"""The command `salesops`. Nothing heavy is imported before it is needed."""

import datetime as dt
import signal
import sys
from pathlib import Path

import click

from salesops import __version__, periods
from salesops.problems import BadInput

FAILED, REFUSED = 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """SalesOps Playbook: from CRM data to pages that leaders can decide on."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


@main.command()
@click.argument("params_files", nargs=-1, required=True, metavar="PARAMS...", type=click.Path(path_type=Path))
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter; may be repeated.")
@click.option(
    "--period", help="Month, quarter, year or span (2026-10, 2026-Q3, 2026, 2026-01..2026-06), or last-month."
)
@click.option("--lang", help="Language of the page: en or ru.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the reports; by default reports/ of the project."
)
def report(params_files, pairs, period, lang, out) -> None:
    """Make the page of each parameter file, such as params/funnel.yml.

    Exit code 0: every page was made; 1: a page failed, and an earlier one stays; 2: parameters were refused,
    and nothing was run.
    """
    from salesops.report import run

    overrides = dict(pairs)
    overrides |= {name: value for name, value in (("period", _resolved(period)), ("lang", lang)) if value is not None}
    jobs, refused = [], []
    for params_file in params_files:
        try:
            jobs.append(run.prepare(params_file, overrides=overrides, out=out))
        except BadInput as error:
            refused.append(error)
    for error in refused:
        click.echo(str(error), err=True)
    if refused:
        sys.exit(REFUSED)
    made = [_run(job) for job in jobs]
    for index in dict.fromkeys(job.folder / "index.html" for job in jobs):
        if index.is_file():
            click.echo(index)
    sys.exit(0 if all(made) else FAILED)


def _resolved(period: str | None) -> str | None:
    """The period meant; last-month is that of the machine's own time zone."""
    if period != "last-month":
        return period
    today = dt.datetime.now().astimezone().date()
    return periods.month_before(today)


def _run(job) -> bool:
    """Run one job with its progress shown; whether it made its page."""
    from salesops.report import run

    try:
        with _progress(job.stem) as advance:
            page = run.run(job, progress=advance)
    except run.RunFailed as failure:
        click.echo(f"{job.stem}: failed: {failure.reason}", err=True)
        if failure.notebook:
            click.echo(f"{job.stem}: the notebook with its error is {failure.notebook}", err=True)
        if job.page.is_file():
            click.echo(f"{job.stem}: the earlier page stays: {job.page}", err=True)
        return False
    click.echo(f"{job.stem}: {page}")
    return True


def _progress(stem: str):
    """A bar on a terminal, plain lines otherwise; a context that gives a function (done, total)."""
    from contextlib import contextmanager

    @contextmanager
    def lines():
        click.echo(f"{stem}: running")
        yield lambda done, total: None

    @contextmanager
    def bar():
        from rich.progress import Progress

        with Progress(transient=True) as shown:
            task = shown.add_task(stem, total=None)
            yield lambda done, total: shown.update(task, completed=done, total=total)

    return bar() if sys.stdout.isatty() else lines()


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--deals", default=12_000, show_default=True, help="How many deals, 2,000 to 5,000,000.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same company.")
def sample(folder: Path, deals: int, seed: int) -> None:
    """Write the sample company's book, with its planted truth, into FOLDER."""
    import shutil

    from salesops import crm

    if folder.exists():
        click.echo(f"{folder} exists already; name a folder that does not", err=True)
        sys.exit(REFUSED)
    try:
        book = crm.open(f"sample:deals={deals},seed={seed}")
    except BadInput as error:
        click.echo(str(error), err=True)
        sys.exit(REFUSED)
    shutil.copytree(book.folder, folder)
    click.echo(folder)
