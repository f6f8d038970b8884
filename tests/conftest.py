"""What the tests share: the project, one cache of books for the session, and what may be missing."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import ibis
import matplotlib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from salesops import crm, lang, yamlfile
from salesops.crm import prepare

matplotlib.use("Agg")
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SALESOPS_REAL_DATA", ROOT.parent / "shared" / "data"))

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


quick = False  # whether slow tests are left out
SHARE = 3  # of the examples of a law, a quick run tries one in so many


def pytest_configure(config):
    global quick
    quick = config.option.markexpr.startswith("not slow")


def examples(n: int) -> int:
    """How many examples a law is tried on: all `n` in a whole run, a third of them (two or more) in a quick one."""
    return max(n // SHARE, 2) if quick else n


def pytest_collection_modifyitems(items):
    missing = {
        "real_data": None if DATA.is_dir() else "the folder of public data sets is not here",
        "postgres": None if POSTGRES else "PostgreSQL is not installed",
        "browser": None if shutil.which("chromedriver") and shutil.which("chromium") else "Chromium is not installed",
    }
    for item in items:
        for name, reason in missing.items():
            if reason and name in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Books prepared by the tests stay out of the project."""
    os.environ["SALESOPS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def english():
    lang.use("en")
    yield
    lang.use("en")


def by_owner_then(book: crm.Book, deals, moment: str):
    """`deals` with `rep_id` as it was at a moment of theirs (closed_at, created_at): by a walk over the log."""
    log = book.changes.filter(ibis._.field == "rep_id").order_by("changed_at").execute()
    later = log.merge(deals[["deal_id", moment]], on="deal_id")
    then = later[later["changed_at"] > later[moment]].drop_duplicates("deal_id").set_index("deal_id")["old_value"]
    return deals.assign(rep_id=deals["deal_id"].map(then).fillna(deals["rep_id"]))


@pytest.fixture(scope="session")
def book(cache) -> crm.Book:
    """The sample company."""
    return crm.open("sample")


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def salesops():
    """Run the command `salesops` as a user would; gives the finished process."""

    def run(*arguments, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "salesops", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **{"cwd": ROOT, **options})

    return run


@pytest.fixture
def project_copy(tmp_path) -> Path:
    """A project of one's own: the notebooks and parameters, to add mappings and data to."""
    for name in ("notebooks", "params"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    return tmp_path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The URL of a PostgreSQL server of one's own, on a socket in a folder of its own."""
    import getpass
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path has to be short
    user, run = getpass.getuser(), {"check": True, "capture_output": True, "cwd": place}
    if user == "root":  # which PostgreSQL refuses to run as
        user, run = "postgres", run | {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(place, user)
    subprocess.run([POSTGRES / "initdb", "-D", place / "data", "-A", "trust", "-E", "UTF8", "--no-sync"], **run)
    control = [POSTGRES / "pg_ctl", "-D", place / "data", "-w", "-l", place / "log"]
    subprocess.run([*control, "-o", f"-k {place} -c listen_addresses='127.0.0.1' -p 54329", "start"], **run)
    try:
        yield f"postgresql://{user}:geheim77@127.0.0.1:54329/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(place, ignore_errors=True)


def bare_book(folder: Path, *, exported_on: str, time_zone: str = "UTC", **tables) -> crm.Book:
    """A book of the tables given (frames) and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        schema, values = crm.TABLES[name].schema, frame.astype("object").where(frame.notna(), None)
        nothing = [None] * len(frame)
        columns = [values[field.name].tolist() if field.name in values else nothing for field in schema]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / f"{name}.parquet")
    about = {"title": "Bare", "currency": "USD", "minor_digits": 2, "time_zone": time_zone, "exported_on": exported_on}
    nothing = {"n_refused": {}, "refused": [], "n_left_out": {}, "repairs": [], "notes_of_files": [], "written": {},
               "converted": [], "vat": None}  # fmt: skip
    prepare.prepare(folder, about | nothing)
    return crm.Book(folder)


def parameters(stem: str, **changed) -> dict:
    """What params/<stem>.yml says, some of it changed."""
    return yamlfile.load(ROOT / "params" / f"{stem}.yml") | changed


def checked(stem: str, **changed):
    """The same as the Params of its analysis."""
    return importlib.import_module(f"salesops.{stem}").Params.check(parameters(stem, **changed), where="the test")


FUNNEL = parameters("funnel", exclude_reasons="", exclude_amounts="none")


@pytest.fixture
def funnel_params():
    """Parameters of the funnel, with some changed."""
    return lambda **changed: checked("funnel", **(FUNNEL | changed))
