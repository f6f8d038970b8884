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
from salesops.crm.sample import Size, make, truth
from salesops.crm.sample import deals as deals_of


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


@pytest.mark.slow
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
        "splits",
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


# What was true on the day of the win and is not true now

QUIET = {name: getattr(truth.NOTHING, name) for name in (
    "handed_over", "cancelled", "lowered", "raised", "shared", "promoted_on", "manager_on", "moved_on", "on_leave",
    "quota_cut_on")}  # fmt: skip


def divided(n: int, plan: truth.Plan, seed: int = 4):
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    return make._division(n, plan, deals_of.shocks(seed, 0), rng)


def dated(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["valid_from"].notna() | table["valid_to"].notna()]


@pytest.fixture(scope="module")
def since_win(book) -> pd.DataFrame:
    """Changes of deals after they were won: with the moment of the win `won_at`, and `days` since its day."""
    visits = book.visits.execute()
    won = visits[visits["kind"] == "won"].groupby("deal_id")["entered_at"].min().rename("won_at")
    log = book.changes.execute().merge(won, on="deal_id")
    log = log[log["changed_at"] > log["won_at"]]
    return log.assign(days=(log["changed_at"].dt.normalize() - log["won_at"].dt.normalize()).dt.days)


def test_the_log_has_as_many_events_as_are_planted(book, planted, since_win):
    happened, plan = planted["happened"], truth.Plan(**planted["plan"])
    moved = since_win.groupby("field")["deal_id"].nunique()
    assert moved["rep_id"] == happened["handed_over"]
    assert moved["stage"] == moved["forecast_category"] == happened["cancelled"]
    assert moved["amount"] == happened["lowered"] + happened["raised"]
    for field, days in (("rep_id", plan.handed_over_days), ("stage", plan.cancelled_days),
                        ("amount", plan.amended_days)):  # fmt: skip
        assert since_win.loc[since_win["field"] == field, "days"].between(*days).all()
    splits = pd.read_parquet(book.folder / "splits.parquet")
    assert splits["deal_id"].nunique() == happened["shared"]
    assert splits.loc[splits["valid_to"].notna(), "deal_id"].nunique() == happened["reshared"] > 0
    n_won = since_win["deal_id"].nunique(), int((book.deals.status == "won").sum().execute())
    assert happened["handed_over"] / n_won[1] == pytest.approx(plan.handed_over, abs=0.015)
    events = since_win.groupby("deal_id")["field"].unique().map(lambda fields: set(fields) - {"forecast_category"})
    assert (events.map(len) == 1).all() and not splits["deal_id"].isin(events.index).any()


def test_reps_and_quotas_have_dated_rows_as_planted(book, planted):
    happened, plan = planted["happened"], truth.Plan(**planted["plan"])
    reps = dated(pd.read_parquet(book.folder / "reps.parquet"))
    later = reps[reps["valid_from"].notna()]
    new = later["role"].value_counts()
    assert (new["Senior account executive"], new["Manager"]) == (happened["promoted"], happened["managers"]) == (2, 1)
    assert {str(day) for day in later.loc[later["role"] == "Senior account executive", "valid_from"]} == {
        *plan.promoted_on
    }
    leave = later[later["status"] == "leave"]
    weeks = (pd.to_datetime(leave["valid_to"]) - pd.to_datetime(leave["valid_from"])).dt.days + 1
    assert len(leave) == happened["on_leave"] == 2 and (weeks / 7).isin(range(4, 9)).all()
    teams = reps.groupby("rep_id")["team"].nunique()
    assert (teams > 1).sum() == happened["moved"] == 1
    assert not reps["rep_id"].isin([planted["sandbagger"], planted["optimist"]]).any()
    cut = dated(pd.read_parquet(book.folder / "quotas.parquet")).sort_values("valid_from", na_position="first")
    assert len(cut) == 2 * happened["quotas_cut"] == 2 and set(cut["period"]) == {"2026-Q2"}
    assert cut["amount_minor"].iloc[1] / cut["amount_minor"].iloc[0] == pytest.approx(1 - plan.quota_cut, abs=0.01)
    for day, amount in zip(("2026-05-17", "2026-05-18"), cut["amount_minor"], strict=True):
        known = crm.open("sample", as_of=day)
        quotas = known.quotas.filter(known.quotas.rep_id == cut["rep_id"].iloc[0]).execute()
        assert quotas.set_index("period").loc["2026-Q2", "amount_minor"] == amount
        assert not quotas["period"].duplicated().any()


def test_no_day_has_a_rep_twice_or_without_a_row(book):
    rows = pd.read_parquet(book.folder / "reps.parquet")
    for day in {*rows["valid_from"].dropna(), *rows["valid_to"].dropna()}:
        reps = crm.open("sample", as_of=day).reps.execute()
        assert sorted(reps["rep_id"]) == sorted(rows["rep_id"].unique()), day


def test_one_deal_of_each_kind_is_another_on_the_day_before_and_after(book, since_win):
    """Owner, status and amount as the CRM showed them at the end of the day before the event and of its day."""
    first = since_win[since_win["changed_at"] < "2026-10-31"].drop_duplicates("field").set_index("field")
    for field, column in (("rep_id", "rep_id"), ("stage", "stage"), ("amount", "amount_minor")):
        one = first.loc[field]
        day = one["changed_at"].date()
        for known_on, value in ((day - dt.timedelta(days=1), one["old_value"]), (day, one["new_value"])):
            known = crm.open("sample", as_of=known_on)
            deal = known.deals.filter(known.deals.deal_id == one["deal_id"]).execute().iloc[0]
            assert str(deal[column]) == value
            assert deal["status"] == ("lost" if value == "Lost" else "won")
    cancelled = first.loc["stage"]
    deal = book.deals.filter(book.deals.deal_id == cancelled["deal_id"]).execute().iloc[0]
    assert deal["closed_at"] == cancelled["changed_at"] and deal["lost_reason"] == "Contract cancelled"
    assert (deal["forecast_category"], deal["probability"]) == ("omitted", 0.0)
    ended = since_win[since_win["field"] == "stage"].set_index("deal_id")["changed_at"]
    payments = book.payments.execute()
    paid = payments[payments["deal_id"].isin(ended.index)]
    assert len(paid) and (paid["paid_at"] < ended[paid["deal_id"]].to_numpy()).all()


def test_shares_are_whole_on_every_day_and_of_reps_who_are_there(book):
    splits = pd.read_parquet(book.folder / "splits.parquet")
    deals = book.deals.execute().set_index("deal_id")
    reps = book.reps.execute().set_index("rep_id")
    for deal_id, rows in splits.groupby("deal_id"):
        won_on = deals.at[deal_id, "closed_at"].date()
        assert rows["valid_from"].min() == won_on and deals.at[deal_id, "rep_id"] in set(rows["rep_id"])
        for _day, shares in rows.groupby("valid_from"):
            assert shares["share"].sum() == 1 and shares["rep_id"].nunique() == 2
        assert set(reps.loc[rows["rep_id"], "region"]) == {deals.at[deal_id, "region"]}
        assert (reps.loc[rows["rep_id"], "hired_on"] <= pd.Timestamp(won_on)).all()
    changed = splits.loc[splits["valid_to"].notna()].iloc[0]
    for day, n_days in ((changed["valid_to"], 0), (changed["valid_to"], 1)):
        known = crm.open("sample", as_of=day + dt.timedelta(days=n_days)).splits
        shares = known.filter(known.deal_id == changed["deal_id"]).execute()
        assert len(shares) == 2 and (shares["valid_from"] > pd.Timestamp(changed["valid_to"])).all() == bool(n_days)


@pytest.mark.parametrize("n", [300, 2000])
def test_without_events_every_other_fact_is_the_same(n):
    plan = truth.Plan()
    (with_them, dirty, happened), (without, as_dirty, none) = divided(n, plan), divided(n, plan._replace(**QUIET))
    assert dirty == as_dirty and not any(none.values()) and sum(happened.values()) > 5
    assert set(with_them) == set(without) and without["splits"].empty
    for name in ("accounts", "leads", "activities", "forecast_calls", "revenue", "subscriptions", "cancellations"):
        pd.testing.assert_frame_equal(with_them[name], without[name])
    deals, before = with_them["deals"], without["deals"]
    facts = ["rep_id", "stage", "status", "forecast_category", "closed_at", "lost_reason", "probability",
             "amount_minor"]  # fmt: skip
    pd.testing.assert_frame_equal(deals.drop(columns=facts), before.drop(columns=facts))
    same = (deals[facts] == before[facts]) | (deals[facts].isna() & before[facts].isna())
    touched = ~same.fillna(False).all(axis=1)
    assert touched.sum() == sum(happened[kind] for kind in ("handed_over", "cancelled", "lowered", "raised"))
    for name in ("changes", "payments", "quotas", "reps"):
        more, table = (each[name].astype("str") for each in (with_them, without))
        key = list(table) if name != "reps" else ["rep_id", "name", "hired_on", "left_on", "region"]
        kept = table.merge(more[key].drop_duplicates(), on=key)
        lost = len(table) - len(kept)
        assert lost == {"quotas": happened["quotas_cut"]}.get(name, 0) or name == "payments"
    assert divided(n, plan)[0]["changes"].equals(with_them["changes"])


def test_the_company_in_which_nothing_happens_has_no_events():
    made, _dirty, happened = divided(2000, truth.NOTHING)
    assert not any(happened.values()) and made["splits"].empty
    assert dated(made["reps"]).empty and dated(made["quotas"]).empty
    won = made["deals"].loc[made["deals"]["status"] == "won"].set_index("deal_id")["closed_at"]
    log = made["changes"][made["changes"]["deal_id"].isin(won.index)]
    assert (log["changed_at"] <= log["deal_id"].map(won)).all()


@pytest.mark.slow
def test_a_company_of_several_divisions_names_reps_by_their_division(tmp_path, monkeypatch):
    """Owners in the log, shares and biased callers too: 00-R0000001, not R0000001."""
    monkeypatch.setattr(make, "DIVISION", 1_000)
    make.write(tmp_path, Size(deals=2_000, seed=4))
    reps = set(pd.read_parquet(tmp_path / "reps.parquet")["rep_id"])
    log = pd.read_parquet(tmp_path / "changes.parquet")
    owners = log[log["field"] == "rep_id"]
    facts = json.loads((tmp_path / "truth.json").read_text())
    named = [owners["old_value"], owners["new_value"], pd.read_parquet(tmp_path / "splits.parquet")["rep_id"],
             [facts["sandbagger"], facts["optimist"]]]  # fmt: skip
    assert all(len(one) and set(one) <= reps for one in named)
    assert facts["happened"]["promoted"] == 4
