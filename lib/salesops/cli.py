"""The command `salesops`. Nothing heavy is imported before it is needed.

Exit codes: 0 all is well; 1 a page failed, or differs; 2 what was asked for was refused, and nothing was run; 3 another
run is writing into the folder, and nothing was run; 70 an error that nobody foresaw (see `faults`); 130 and 143 ended
by Ctrl-C and SIGTERM; 141 who read the output has gone.
"""

import contextlib
import os
import sys
from pathlib import Path

import click

from salesops import __version__, faults, interrupts, plaintext
from salesops.arguments import NAME, PATH
from salesops.problems import BadInput, printable

FAILED, REFUSED, LOCKED = 1, 2, 3
WRITES_FILES = ("buying", "cohort", "forecast", "ramp")  # analyses whose files.write(params) gives more than a page
SECONDS = click.FloatRange(0.1, 30 * 86_400)


@click.group(cls=faults.Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """SalesOps Playbook: from CRM data to pages that leaders can decide on."""
    interrupts.listen()


def _many(command):
    """The options of commands that run pages."""
    for option in reversed([
        click.option("--jobs", "n_jobs", type=click.IntRange(1), help="Pages at once; by default one for each core."),
        click.option("--cold", is_flag=True, help="Ordinary kernels, without a warm parent."),
        click.option("--cell-timeout", default=1200.0, show_default=True, type=SECONDS, metavar="SECONDS",
                     help="Longest time of a cell."),
        click.option("--timeout", default=3600.0, show_default=True, type=SECONDS, metavar="SECONDS",
                     help="Longest time of a page."),
        click.option("--memory", type=click.IntRange(256), metavar="MB", help="Most memory of a page's process."),
        click.option("--log", "log", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     help="What is printed: for people, or a line of JSON for each event."),
    ]):  # fmt: skip
        command = option(command)
    return command


@main.command()
@click.argument("params_files", nargs=-1, required=True, metavar="PARAMS...", type=PATH)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter; may be repeated.")
@click.option(
    "--period", help="Month, quarter, year or span (2026-10, 2026-Q3, 2026, 2026-01..2026-06), or last-month."
)
@click.option("--lang", help="Language of the page: en or ru.")
@click.option("--out", type=PATH, help="Folder of the reports; by default reports/ of the project.")
@click.option("--only", default="*", metavar="PATTERN", help="Only pages with such names, as funnel* or *.ru.")
@click.option("--force", is_flag=True, help="Also make pages that are as they would be made now.")
@click.option("--list", "listed", is_flag=True, help="Print the names of the pages, and make none.")
@click.option("--dry-run", is_flag=True, help="Print which pages would be made, and why, and make none.")
@click.option(
    "--on", "cluster", metavar="dask:ADDRESS", help="Make the pages on a Dask cluster, as dask:tcp://host:8786."
)
@click.option("--files", metavar="URL", help="With --on: where this machine and the workers both find files.")
@_many
def report(params_files, pairs, period, lang, out, only, force, listed, dry_run, cluster, files, n_jobs, log, **limits):
    """Make the page of each parameter file, such as params/funnel.yml, or the pages of a pack.

    A page that is as it would be made now is not made again.

    Exit code 0: every page is there; 1: a page failed, and an earlier one stays; 2: parameters were refused;
    3: another run is writing into the folder. After 2 and 3 nothing was run.
    """
    from salesops import locks, project
    from salesops.report import jobs, records, run, tell

    overrides = dict(pairs)
    overrides |= {name: value for name, value in (("period", period), ("lang", lang)) if value is not None}
    try:
        wanted = jobs.prepare(params_files, overrides=overrides, out=out, only=only)
        if listed or dry_run:
            return _show(wanted, why=dry_run, force=force)
        with tell.teller(log, len(wanted)) as telling, _making(cluster, files, n_jobs, wanted, limits) as how:
            result = run.run(wanted, force=force, tell=telling, **how)
            records.adopt(project.root())
            telling("end", result=result, folders=list(dict.fromkeys(job.folder for job in wanted)))
    except BadInput as error:
        _refuse(str(error))
    except locks.Locked as error:
        _refuse(str(error), LOCKED)
    sys.exit(0 if result.good else FAILED)


def _refuse(message: str, code: int = REFUSED) -> None:
    click.echo(plaintext.block(message), err=True)
    sys.exit(code)


def _say(text: object, *, err: bool = False) -> None:
    """Print one line, whatever stands in a name."""
    click.echo(plaintext.line(text), err=err)


def _making(cluster: str | None, files: str | None, n_jobs: int | None, wanted, limits: dict):
    """How pages are made: a context that gives the arguments of `run.run`."""
    from salesops.report import run

    bounds = run.Limits(limits["cell_timeout"], limits["timeout"], limits["memory"])
    if cluster:
        from salesops.report import cluster as elsewhere

        return elsewhere.workers(cluster, files=files, cold=limits["cold"], limits=bounds)
    return _here(n_jobs or _cores(), limits["cold"], bounds, wanted)


def _here(n_jobs: int, cold: bool, limits, wanted):
    from salesops.report.workers import Workers

    @contextlib.contextmanager
    def context():
        with Workers(cold=cold) as workers:
            yield {"do": workers.do, "stop": workers.close, "at_once": min(n_jobs, len(wanted)), "limits": limits}

    return context()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _show(wanted, *, why: bool, force: bool) -> None:
    """Print the names of pages, or whether and why each would be made."""
    from salesops.report import run

    if not why:
        for job in wanted:
            _say(job.name)
        return
    for one in run.plan(wanted, force=force):
        _say(f"{one.job.name}: {f'would be made: {one.why}' if one.why else 'as it would be made now'}")


@main.command()
@click.argument("folder", type=PATH)
@click.option(
    "--pages",
    is_flag=True,
    help="Compare pages, but for the hashes they print, also where code, lock file or versions differ.",
)
@click.option("--trust", is_flag=True, help="Run the notebooks beside FOLDER, not those of the project worked in.")
@_many
def verify(folder: Path, pages, trust, n_jobs, log, **limits) -> None:
    """Compare the pages of FOLDER (such as reports/2026-10) with their manifest; make those again of which every input
    is as it was, publish none, and compare the bytes.

    Exit code 0: every page is the same; 1: a page differs, and what and why is printed; 2: nothing was compared.
    """
    import json

    from salesops.report import manifest, verify

    try:
        n_pages = len(manifest.Folder(folder).pages)
        with _making(None, None, n_jobs, range(n_pages or 1), limits) as how:
            verdicts = verify.verify(folder, pages_only=pages, trust=trust, **how)
    except BadInput as error:
        _refuse(str(error))
    for verdict in verdicts:
        if log == "json":
            click.echo(json.dumps({"event": "verified", "name": verdict.name, "differs": verdict.differs}))
        else:
            _say(f"{printable(verdict.name)}: {'; '.join(verdict.differs) or 'the same'}")
    sys.exit(FAILED if any(verdict.differs for verdict in verdicts) else 0)


def _of_export(command):
    """The arguments and options of commands that read an export."""
    for option in reversed([
        click.argument("system", required=False, type=NAME),
        click.argument("given", nargs=-1, metavar="FILES...", type=PATH),
        click.option("--to", required=True, metavar="BOOK", type=PATH, help="The book's folder."),
        click.option("--title", help="What the source is called on the pages."),
        click.option("--currency", help="The reporting currency, such as USD."),
        click.option("--time-zone", help="Of moments without an offset, and of the reports' days; as Europe/Moscow."),
        click.option("--report-zone", help="Of the reports' days, where it is not that of the export's moments."),
        click.option("--rates", type=PATH, metavar="FILE",
                     help="What currencies are worth: columns currency, date, rate and, if not one, per."),
        click.option("--vat", default="", metavar="TEXT",
                     help="As 'included 20%' or 'excluded 18%, 20% from 2019-01-01'."),
        click.option("--exported-on", help="Day of the export, such as 2026-10-31."),
        click.option("--date-order", help="dmy, mdy or ymd, where it cannot be told from the dates."),
        click.option("--decimal", help="The decimal mark, where it cannot be told from the numbers."),
        click.option("--thousands", help="The thousands mark."),
        click.option("--encoding", help="Such as cp1251, where it cannot be told from the file."),
        click.option("--stages", default="", help="In their order, as 'Lead, Offer, Won=won, Lost=lost'."),
    ]):  # fmt: skip
        command = option(command)
    return command


@main.command(name="import")
@_of_export
@click.option("--replace", is_flag=True, help="Take the place of an earlier book.")
def import_(system, given, to, **options) -> None:
    """Import the files or folders that a system exported, by params/crm/SYSTEM.yml, into a book.

    Instead of files, '$NAME' is a data base: the environment variable NAME holds its URL.

    The book's folder is then a source of every question: -p source BOOK. Exit code 2: nothing was imported; 3: another
    process writes into the book.
    """
    _bring_in(system, given, to, options)


@main.command()
@click.argument("system", type=NAME)
@click.option(
    "--to",
    required=True,
    metavar="FOLDER",
    type=PATH,
    help="A new folder, or that of the last time.",
)
def fetch(system, to) -> None:
    """Read SYSTEM (salesforce, hubspot or bitrix24) as it is now into FOLDER, and print the folder to import.

    The next time only what has changed is read. Needs `pip install salesops[SYSTEM]`; secrets are in environment
    variables alone: $SALESFORCE_INSTANCE and $SALESFORCE_TOKEN, $HUBSPOT_TOKEN, $BITRIX24_WEBHOOK.

    Exit code 1: the system would not go on; what was read is kept, and the next run goes on from there. 2: refused.
    """
    from salesops import live

    try:
        _say(live.fetch(system, to, tell=_say))
    except BadInput as error:
        _refuse(str(error))
    except live.Stopped as error:
        _refuse(str(error), FAILED)


@main.command()
@_of_export
@click.option("--replace", is_flag=True, help="Take the place of the snapshot of that day.")
@click.option("--fewer", is_flag=True, help="It lacks most deals of the snapshot before, and that is meant.")
@click.option("--undo", "undone", metavar="DAY", help="Take the snapshot of DAY out of the book; SYSTEM, FILES: none.")
@click.option("--rebuild", is_flag=True, help="Derive the book again from its snapshots; SYSTEM, FILES: none.")
def snapshot(system, given, to, undone, rebuild, **options) -> None:
    """Add an export to a book as the snapshot of its day, and derive what changed.

    For systems that export no history. The day is that of --exported-on, else the one that the files' names have. A
    book keeps every table of each snapshot. What one snapshot says of the past against what an earlier one had seen is
    listed. Exit code 2: nothing was added; 3: another process writes into the book.
    """
    from salesops.crm import importing

    if undone or rebuild:
        if system or given or (undone and rebuild):
            _refuse("--undo and --rebuild stand alone with --to: salesops snapshot --undo 2026-10-31 --to BOOK")
        _change_book(to, lambda: importing.undo(undone, to) if undone else importing.rebuild(to))
    else:
        _bring_in(system, given, to, options | {"snapshot": True})


def _bring_in(system, given, to, options) -> None:
    from salesops.crm import importing

    if not system or not given:
        _refuse("name the system and its files, such as: salesops import hubspot exports/ --to data/book")
    _change_book(to, lambda: importing.bring_in(system, given, to, **options))


def _change_book(to: Path, change) -> None:
    """Change the book of a folder, and print what it is then."""
    from salesops import locks

    try:
        change()
    except BadInput as error:
        _refuse(str(error))
    except locks.Locked as error:
        _refuse(str(error), LOCKED)
    except (PermissionError, FileExistsError) as error:
        _refuse(f"{to} cannot be written: {error.strerror}: {error.filename}; nothing was changed")
    _check(str(to), as_json=False)


@main.group()
def cache() -> None:
    """The books prepared from sources, which can always be made again."""


@cache.command(name="list")
def list_cache() -> None:
    """Print what is there, how large it is, and when it was used last."""
    from salesops import project
    from salesops.crm import cache as prepared

    click.echo(prepared.text(prepared.entries(project.cache())))


@cache.command()
@click.option("--older-than", "days", type=click.FloatRange(0), metavar="DAYS", help="Not used for so many days.")
@click.option("--larger-than", "gigabytes", type=click.FloatRange(0), metavar="GB",
              help="The longest unused, until the rest takes no more.")  # fmt: skip
def prune(days, gigabytes) -> None:
    """Remove prepared books, and what killed runs left. Without options, those not used for 90 days.

    A book that a run may still need (used within the last hour) stays.
    """
    from salesops import project
    from salesops.crm import cache as prepared

    limit = float("inf") if gigabytes is None else gigabytes * prepared.GIGABYTE
    days = prepared.LONGEST_DAYS if days is None and gigabytes is None else float("inf") if days is None else days
    removed = prepared.evict(project.cache(), n_bytes=limit, days=days, grace=3600)
    click.echo("removed:\n" + prepared.text(removed) if removed else "nothing to remove")


@main.command()
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(source: str, as_json: bool) -> None:
    """Read and validate SOURCE (sample, a mapping with its folder, or a book), and print what it holds.

    Exit code 0: all of it was read; 1: some rows were refused; 2: the source was.
    """
    sys.exit(FAILED if _check(source, as_json=as_json) else 0)


def _check(source: str, *, as_json: bool) -> bool:
    """Print what a source holds; whether rows of it were refused."""
    import json

    from salesops import check, crm

    try:
        found = check.facts(crm.open(source))
    except BadInput as error:
        if as_json:
            problems = [one._asdict() if hasattr(one, "_asdict") else {"allowed": str(one)} for one in error.problems]
            click.echo(json.dumps({"refused": error.what, "problems": problems}))
        _refuse(str(error))
    click.echo(json.dumps(found, indent=1) if as_json else check.text(found))
    return bool(found["refused"])


@main.command()
@click.argument("params_file", metavar="PARAMS", type=PATH)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter; may be repeated.")
@click.option("--period", help="As of `salesops report`.")
@click.option("--lang", help="Language of the workbooks: en or ru.")
@click.option("--to", required=True, type=PATH, metavar="FOLDER", help="A folder that does not exist.")
def fixes(params_file, pairs, period, lang, to) -> None:
    """Write what to mend, by the rules of PARAMS (params/hygiene.yml): a workbook for each rep into FOLDER.

    What other tables of the book know stands under "After"; the rest is for the rep. Exit code 2: nothing was written.
    """
    from salesops.hygiene import files

    _write_whole(to, lambda: files.for_reps(_params_of("hygiene", params_file, pairs, period, lang)))


@main.command()
@click.argument("params_file", metavar="PARAMS", type=PATH)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter; may be repeated.")
@click.option("--period", help="As of `salesops report`.")
@click.option("--lang", help="Language of the workbooks: en or ru.")
@click.option("--to", required=True, type=PATH, metavar="FOLDER", help="A folder that does not exist.")
def files(params_file, pairs, period, lang, to) -> None:
    """Write the files of an analysis, by PARAMS (such as params/forecast.yml), into FOLDER.

    forecast: quantiles, draws of each rep, and a workbook of the open deals. cohort, buying: workbooks of customers,
    the
    dormant ones worth a call among them. ramp: the curve, for plans and quotas. Exit code 2: nothing was written.
    """
    import importlib

    def make() -> dict[str, bytes]:
        params = _params_of(WRITES_FILES, params_file, pairs, period, lang)
        analysis = type(params).__module__.split(".")[1]
        return importlib.import_module(f"salesops.{analysis}.files").write(params)

    _write_whole(to, make)


@main.command()
@click.argument("params_file", metavar="PARAMS", type=PATH)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter; may be repeated.")
@click.option("--period", help="As of `salesops report`: the months of it get a page.")
@click.option("--lang", help="Language of the statements: en or ru.")
@click.option("--rep", "rep_id", default="", help="Only this rep.")
@click.option("--to", required=True, type=PATH, metavar="FOLDER", help="A folder that does not exist.")
def statements(params_file, pairs, period, lang, rep_id, to) -> None:
    """Write what each rep is paid and why, by the plan of PARAMS (params/comp.yml): a folder for each rep into FOLDER.

    A folder holds a page for each month, and the chain by which a later edit shows (salesops check-statements); signed
    where SALESOPS_SIGNING_KEY is the path of a private key (salesops signing-key). Who cannot be paid is said, and left
    out. Exit code 1: somebody was left out; 2: nothing was written.
    """
    from salesops.comp import files

    left_out: list[str] = []

    def make() -> dict[str, bytes]:
        made, unpaid = files.statements(_params_of("comp", params_file, pairs, period, lang), rep_id=rep_id)
        left_out.extend(unpaid)
        return made

    _write_whole(to, make)
    for one in left_out:
        _say(f"left out: {one}", err=True)
    sys.exit(FAILED if left_out else 0)


@main.command()
@click.argument("params_file", metavar="PARAMS", type=PATH)
@click.argument("system", type=NAME)
@click.argument("export", metavar="EXPORT", type=PATH)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set one parameter; may be repeated.")
@click.option("--period", help="As of `salesops report`: its last day is the last one looked at.")
@click.option("--lang", help="Language of the workbook: en or ru.")
@click.option("--to", required=True, type=PATH, metavar="FOLDER", help="A folder that does not exist.")
def recompute(params_file, system, export, pairs, period, lang, to) -> None:
    """Compare what SYSTEM paid (params/claims/SYSTEM.yml: xactly, captivateiq) with what the plan of PARAMS pays.

    EXPORT is the folder of its files. Writes recompute.xlsx into FOLDER: what differs by cause, by line, and by credit.

    Exit code 0: nothing differs; 1: something does; 2: nothing was written.
    """
    from salesops.comp import files

    differs: list[str] = []

    def make() -> dict[str, bytes]:
        made, found = files.audit(_params_of("comp", params_file, pairs, period, lang), system, export)
        for cause, amount, n in found.by_cause():
            differs.append(f"{files.cause_name(cause)}: {amount:+,.2f} in {n:,} lines")
        return made

    _write_whole(to, make)
    for one in differs:
        _say(one)
    sys.exit(FAILED if differs else 0)


@main.command(name="check-statements")
@click.argument("folder", metavar="FOLDER", type=PATH)
@click.option("--key", "key_file", metavar="PUBLIC", type=PATH, help="Verify the signatures.")
@click.option("--rep", "rep_id", default="", help="Whose statements they have to be.")
def check_statements(folder, key_file, rep_id) -> None:
    """Say what was edited in the statements of FOLDER, one person's or all, and what is proved where nothing was.

    Without --key accidental edits show: whoever holds the folder can seal the chain anew. With the public key of who
    signed them (salesops signing-key) every change shows, except a whole folder replaced by an earlier one that was
    signed too: look at the dates, which are signed and printed.

    Exit code 0: nothing was edited; 1: something was, or is not signed; 2: there are none.
    """
    from salesops.pay import proof, signing

    try:
        key = signing.public(key_file) if key_file else None
        proved = proof.check(folder, key=key, person_id=rep_id)
    except BadInput as error:
        _refuse(str(error))
    for text in proved.faults or proved.shown:
        _say(text)
    sys.exit(FAILED if proved.faults else 0)


@main.command(name="signing-key")
@click.argument("file", type=PATH)
def signing_key(file) -> None:
    """Make the pair of keys that sign statements: FILE is the private one, FILE.pub the public one.

    Sign with SALESOPS_SIGNING_KEY=FILE, keep FILE where the statements are not, and give FILE.pub to who checks them.
    """
    from salesops.pay import signing

    try:
        public_file = signing.generate(file)
        _say(f"{file}: the private key, for {signing.KEY}; nobody else may have it")
        _say(f"{public_file}: the public key, {signing.fingerprint(signing.public(public_file))}")
    except BadInput as error:
        _refuse(str(error))


def _params_of(analyses: str | tuple[str, ...], params_file: Path, pairs, period: str | None, lang: str | None):
    """The checked parameters of a file that has to be one of an analysis, or of some."""
    analyses = (analyses,) if isinstance(analyses, str) else analyses
    from salesops.report import jobs

    overrides = dict(pairs) | {name: value for name, value in (("period", period), ("lang", lang)) if value is not None}
    wanted = jobs.prepare([params_file], overrides=overrides)
    if len(wanted) != 1 or wanted[0].analysis not in analyses:
        raise BadInput(f"{params_file} cannot be used", [f"name one parameter file of {' or '.join(analyses)}"])
    return wanted[0].params


@main.command()
@click.argument("source")
@click.option(
    "--to",
    required=True,
    type=PATH,
    metavar="FILE",
    help="Ends in .xes, .xes.gz, .csv or .csv.gz.",
)
@click.option("--as-of", help="The last day known, as 2026-10-31; by default the last in the data.")
@click.option("--pipeline", default="", help="Only this pipeline.")
def events(source, to, as_of, pipeline) -> None:
    """Write the stage history of SOURCE as an event log for process-mining tools: XES (IEEE 1849) or CSV.

    A case is a deal, an event its entry into a stage. Exit code 2: nothing was written.
    """
    from salesops import crm, periods
    from salesops.process import write_events

    try:
        if as_of and not periods.is_day(as_of):
            raise BadInput("no events were written", [f"--as-of {as_of!r}: write a day as 2026-10-31"])
        n = write_events(crm.open(source, as_of=as_of or None), to, pipeline=pipeline)
    except (BadInput, ValueError, OSError) as error:
        _refuse(printable(str(error)) if not isinstance(error, BadInput) else str(error))
    _say(f"{to}: {n:,} events")


@main.command(name="write-back")
@click.argument("system", type=NAME)
@click.argument("given", nargs=-1, required=True, metavar="WORKBOOKS...", type=PATH)
@click.option("--to", required=True, type=PATH, metavar="FOLDER", help="A folder that does not exist.")
def write_back(system, given, to) -> None:
    """Make of filled workbooks of `salesops fixes` the files that SYSTEM's own import takes, one for each field.

    What stood there before is written beside them, to go back. Exit code 2: nothing was written.
    """
    from salesops.hygiene import files

    def make() -> dict[str, bytes]:
        made, left_out = files.for_import(system, given)
        for field, n in left_out.items():
            _say(f"left out: {n:,} of {field}, which {printable(system)} does not take", err=True)
        return made

    _write_whole(to, make)


def _write_whole(folder: Path, make) -> None:
    """Write files into a new folder, all or none; print their names."""
    try:
        _check_new(folder)
        made = make()
        if not made:
            raise BadInput("nothing was written", ["there is nothing to write"])
        with _new_folder(folder) as draft:
            for name, content in made.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(content)
    except BadInput as error:
        _refuse(str(error))
    for name in made:
        _say(folder / name)


def _check_new(folder: Path) -> None:
    if os.path.lexists(folder):
        raise BadInput(f"{folder} exists already", ["name a folder that does not"])


@contextlib.contextmanager
def _new_folder(folder: Path):
    """A folder to fill, which gets its name once it is whole; `BadInput` where it cannot be written."""
    import shutil

    from salesops import ownership

    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with ownership.working(folder.absolute().parent, "writing") as place:
            draft = place / "files"
            draft.mkdir()
            yield draft
            _check_new(folder)  # another run may have written it meanwhile
            draft.rename(folder)
    except shutil.Error as error:  # of many files, each with its reason
        raise BadInput(f"{folder} cannot be written", [printable(one[-1]) for one in error.args[0][:3]]) from None
    except OSError as error:
        raise BadInput(f"{folder} cannot be written", [faults.in_words(error)]) from None


@main.command()
@click.argument("folder", type=PATH)
@click.option("--deals", default=12_000, show_default=True, help="How many deals, 2,000 to 5,000,000.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same company.")
def sample(folder: Path, deals: int, seed: int) -> None:
    """Write the sample company's book, with its planted truth, into FOLDER."""
    from salesops import crm
    from salesops.crm import whole

    try:
        _check_new(folder)
        book = crm.open(f"sample:deals={deals},seed={seed}")
        with _new_folder(folder) as draft:
            whole.copy(book.folder, draft)
    except BadInput as error:
        _refuse(str(error))
    _say(folder)


@main.command()
@click.argument("question", type=NAME)
def new(question: str) -> None:
    """Write a new question, small and whole: library, notebook, parameters, test; all to be rewritten from there."""
    from salesops import project, scaffold

    root = project.root()
    try:
        for path in scaffold.new(question, root=root):
            _say(path.relative_to(root))
    except BadInput as error:
        _refuse(str(error))
