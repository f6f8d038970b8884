"""The sample company: the same seed gives the same book, and what is planted is in it."""

import datetime as dt
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from salesops import crm, ownership
from salesops.crm import whole
from salesops.crm.sample import truth


@pytest.fixture(scope="module")
def planted(book) -> dict:
    return json.loads((book.folder / "truth.json").read_text())


@pytest.mark.parametrize("size", ["deals=2000", pytest.param("deals=20000", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_bytes(tmp_path, monkeypatch, size):
    book = crm.open(f"sample:{size}")
    monkeypatch.setenv("SALESOPS_CACHE", str(tmp_path))
    again = crm.open(f"sample:{size}")
    names = sorted(path.name for path in book.folder.iterdir())
    assert names == sorted(path.name for path in again.folder.iterdir())
    assert all((book.folder / name).read_bytes() == (again.folder / name).read_bytes() for name in names
               if name not in (ownership.MARK, whole.NAME))  # fmt: skip
    assert whole.content(book.folder) == whole.content(again.folder)
    other = crm.open(f"sample:{size},seed=2")
    assert (other.folder / "deals.parquet").read_bytes() != (book.folder / "deals.parquet").read_bytes()


def test_leads_become_deals_as_often_in_every_year():
    """One in three, also while deals grow: else a company in which nothing happens would have a change to find."""
    leads = crm.open("sample:seed=3,planted=0").leads.select("created_at", "deal_id").execute()
    rates = leads["deal_id"].notna().groupby(leads["created_at"].dt.year).mean()
    assert len(rates) == 4 and (abs(rates - 1 / 3) < 0.02).all()


def test_every_table_has_rows_and_its_key_is_one(book):
    for name in (
        "deals",
        "changes",
        "stages",
        "accounts",
        "reps",
        "quotas",
        "forecast_calls",
        "leads",
        "activities",
        "revenue",
        "subscriptions",
        "cancellations",
        "payments",
    ):
        table = getattr(book, name)
        assert table.count().execute() > 0, name
        key = list(crm.TABLES[name].key)
        if key:
            rows = table.select(*key).execute()
            assert not rows.duplicated().any(), name


def test_the_book_knows_what_real_books_know(book):
    moves = book.visits.entry_kind.value_counts().execute().set_index("entry_kind").iloc[:, 0]
    assert set(moves.index) == {"new", "advance", "skip", "back", "close", "reopen"}
    assert set(book.about["tracked"]) == {"stage", "amount", "expected_close_on", "rep_id", "forecast_category"}
    assert book.about["history"] == "changes" and book.about["notes"]["stage_not_as_logged"] == 0
    deals = book.deals.execute()
    assert set(deals["pipeline"]) == set(truth.PIPELINES) and set(deals["region"]) == set(truth.REGIONS)
    pushed = book.changes.filter(book.changes.field == "expected_close_on").deal_id.nunique().execute()
    assert 0.2 < pushed / len(deals) < 1


def test_the_planted_drop_is_in_the_log(book, planted):
    plan = planted["plan"]
    visits = book.visits.execute().merge(book.deals.select("deal_id", "segment").execute(), on="deal_id")
    here = visits[
        (visits["pipeline"] == plan["drop_pipeline"])
        & (visits["stage"] == plan["drop_stage"])
        & visits["left_at"].notna()
    ]
    nxt = visits[["deal_id", "seq", "position"]].assign(seq=visits["seq"] - 1).rename(columns={"position": "to"})
    here = here.merge(nxt, on=["deal_id", "seq"])
    advanced = here["to"].isin([here["position"].iloc[0] + 1])
    quarter = pd.PeriodIndex(here["entered_at"], freq="Q").astype(str)
    share = advanced.groupby([here["segment"], quarter]).mean()
    usual = share[plan["drop_segment"]].drop(["2026Q3", "2026Q4"]).mean()
    assert share[plan["drop_segment"], "2026Q3"] / usual == pytest.approx(plan["drop_factor"], abs=0.2)
    assert share["SMB", "2026Q3"] / share["SMB"].mean() == pytest.approx(1, abs=0.2)


def test_partner_deals_close_sooner_and_stale_ones_rarely_win(book, planted):
    plan = planted["plan"]
    deals = book.deals.execute()
    won = deals[(deals["status"] == "won") & (deals["pipeline"] == "New business")]
    days = np.log((won["closed_at"] - won["created_at"]).dt.total_seconds())
    by = days.groupby(won["source"] == "Partner").mean()
    assert np.exp(by[True] - by[False]) == pytest.approx(plan["partner_dwell_factor"], abs=0.08)
    visits = book.visits.execute()
    third = visits[(visits["stage"] == "Proposal") & visits["left_at"].notna()]
    stale = (third["left_at"] - third["entered_at"]).dt.days >= plan["stale_days"][0] * 1.5
    won_later = third["deal_id"].isin(won["deal_id"])
    assert won_later[stale].mean() < 0.5 * won_later[~stale].mean()


def test_one_region_stopped_growing(book, planted):
    created = book.deals.select("region", "created_at").execute()
    year = (created["created_at"] >= "2025-11-01").groupby(created["region"]).sum()
    before = created["created_at"].between("2024-11-01", "2025-11-01").groupby(created["region"]).sum()
    growth = year / before - 1
    assert growth.idxmin() == planted["plan"]["stalled_region"]


def test_the_callers_are_biased_as_planted(book, planted):
    plan = planted["plan"]
    calls = book.forecast_calls.execute()
    deals = book.deals.execute()
    won = deals[deals["status"] == "won"]
    quarter = won["closed_at"].dt.year.astype(str) + "-Q" + won["closed_at"].dt.quarter.astype(str)
    booked = won.groupby([won["rep_id"], quarter.rename("period")])["amount_minor"].sum()
    last = calls.sort_values("called_at").groupby(["rep_id", "period"])["amount_minor"].last()
    both = pd.concat([last.rename("call"), booked.rename("booked")], axis=1).dropna()
    both = both[both.index.get_level_values("period") < "2026-Q4"]
    ratio = both.groupby("rep_id").sum().eval("call / booked")
    assert ratio[planted["sandbagger"]] == pytest.approx(plan["sandbagger_factor"], abs=0.12)
    assert ratio[planted["optimist"]] == pytest.approx(plan["optimist_factor"], abs=0.25)
    assert ratio.drop([planted["sandbagger"], planted["optimist"]]).median() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_the_price_rise_raised_churn_in_one_cohort():
    """On a larger company: the cohort is one quarter, and churn is one in eighty a month."""
    book = crm.open("sample:deals=60000")
    plan = truth.Plan()
    revenue = book.revenue.execute()
    month = pd.to_datetime(revenue["month_on"]).dt.to_period("M").astype("int64")
    first, last = (month.groupby(revenue["account_id"]).agg(how) for how in ("min", "max"))
    end = month.max()
    cohort = pd.PeriodIndex(pd.to_datetime(revenue.groupby("account_id")["month_on"].min()), freq="Q").astype(str)
    lived = last - first + 1
    reached, ended = lived >= 12, (lived < 16) & (last < end)
    watched = reached & (first + 16 <= end)
    hot = cohort[watched] == plan.price_rise_cohort.replace("-", "")
    rates = ended[watched].groupby(hot).mean()
    assert rates[True] / rates[False] == pytest.approx(plan.price_rise_churn_factor, abs=1.0)


def test_the_dirt_is_measured(book, planted):
    deals = book.deals.execute()
    assert int(deals["source"].isna().sum()) == planted["dirty"]["no_source"]
    assert planted["dirty"]["no_source"] / len(deals) == pytest.approx(planted["plan"]["dirty_share"], abs=0.01)
    open_ = deals[deals["status"] == "open"]
    assert int((open_["amount_minor"] == 0).sum()) == planted["dirty"]["no_amount"] > 0
    overdue = pd.to_datetime(open_["expected_close_on"]) < pd.Timestamp("2026-11-01")
    assert int(overdue.sum()) == planted["dirty"]["close_day_past"] > 0


def test_quarters_end_in_a_rush(book):
    deals = book.deals.execute()
    won = deals.loc[deals["status"] == "won", "closed_at"]
    left = (won.dt.to_period("Q").dt.end_time - won).dt.days
    assert (left < 4).mean() > 1.8 * ((left >= 20) & (left < 70)).mean() * 4 / 50


def test_true_conversions_come_from_the_chain():
    """Two stages only forward: the chance to go further is that of advancing, skips included by hand."""
    plan = truth.NOTHING
    for (pipeline, segment), moves in truth.MOVES.items():
        found = truth.conversion(plan, pipeline, segment)
        assert all(m.advance + m.skip <= share < 1 for m, share in zip(moves, found, strict=True))
    simulated = _simulate(truth.moves(truth.Plan(), "New business", "SMB"), 400_000)
    assert truth.conversion(truth.Plan(), "New business", "SMB") == pytest.approx(simulated, abs=0.004)


def _simulate(moves, n: int) -> list[float]:
    """The chain deal by deal, in the plainest way."""
    rng = np.random.default_rng(5)
    last = len(moves)
    at, best = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    alive = np.ones(n, dtype=bool)
    while alive.any():
        drawn = rng.random(n)
        for k, move in enumerate(moves):
            here = alive & (at == k) & (drawn >= 0)
            to = np.select(
                [drawn < move.advance, drawn < move.advance + move.skip, drawn < move.advance + move.skip + move.back],
                [k + 1, k + 2, k - 1],
                np.where(rng.random(n) < truth.REOPENED, last - 2, -9),
            )
            at[here] = to[here]
            drawn[here] = -1
        alive &= (at >= 0) & (at < last)
        best = np.maximum(best, np.where(at >= 0, at, best))
    return [float((best >= k + 1).sum() / (best >= k).sum()) for k in range(last)]


def test_month_ends_of_the_company_equal_the_books_of_those_days(book):
    ends = book.month_ends.execute()
    assert ends["month_on"].nunique() == truth.MONTHS
    for last_on in ("2024-02-29", "2026-10-31"):
        known = crm.open("sample", as_of=last_on).deals.execute().query("status == 'open'")
        here = ends[pd.to_datetime(ends["month_on"]) == pd.Timestamp(last_on).replace(day=1)]
        assert here["n_open"].sum() == len(known)
        assert here["amount_minor"].sum() == known["amount_minor"].sum()


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A small book of one's own, to change."""
    folder = tmp_path_factory.mktemp("copied") / "book"
    shutil.copytree(crm.open("sample:deals=2000").folder, folder)
    return folder


KNOWN_ON = dt.date(2026, 6, 30)


@pytest.mark.parametrize(
    "table", ["deals", "changes", "visits", "states", "accounts", "reps", "quotas", "leads", "activities"]
)
def test_the_digest_sees_every_table_as_far_as_it_was_known(copied, table):
    """A row less in what was known is another digest; one less of the rows that came later is the same."""
    path = copied / f"{table}.parquet"
    whole, before = pq.read_table(path), crm.Book(copied, KNOWN_ON).digest()
    moment = {"changes": "changed_at", "visits": "entered_at", "states": "entered_at", "activities": "started_at"}
    at = whole[moment.get(table, "created_at")].to_pandas() if table in {*moment, "leads"} else None
    later = np.zeros(len(whole), bool) if at is None else (at >= pd.Timestamp("2026-07-02")).to_numpy()
    try:
        pq.write_table(_without(whole, int(np.flatnonzero(~later)[0])), path)
        assert crm.Book(copied, KNOWN_ON).digest() != before
        if later.any() and table in ("changes", "activities", "leads"):
            pq.write_table(_without(whole, int(np.flatnonzero(later)[0])), path)
            assert crm.Book(copied, KNOWN_ON).digest() == before
    finally:
        pq.write_table(whole, path)


def _without(table, row: int):
    return table.filter(np.arange(len(table)) != row)


@pytest.mark.parametrize("dimension", ["region", "team"])
def test_parts_add_up_to_the_whole(copied, dimension):
    """Every deal, stay and change belongs to one region and to one team at most; month ends add up too."""
    whole = crm.Book(copied, KNOWN_ON)
    known = crm.with_group(whole, whole.deals, dimension).select("deal_id", "group").execute()
    parts = {name: whole.only(**{dimension: name}) for name in known["group"].dropna().unique()}
    assert len(parts) >= 4
    for table in ("deals", "visits", "states", "changes"):
        counts = {name: int(getattr(part, table).count().execute()) for name, part in parts.items()}
        rows = getattr(whole, table).select("deal_id").execute().merge(known, on="deal_id")
        assert counts == rows["group"].value_counts().to_dict(), table
    if known["group"].notna().all():
        ends = [book.month_ends.execute()["n_open"].sum() for book in (whole, *parts.values())]
        assert ends[0] == sum(ends[1:])
