"""Tenure: survival with running contracts censored, records that contradict each other, data without dates."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops import crm, lang, stats, tenure
from salesops.problems import BadInput
from salesops.stats import contracts
from salesops.tenure import compute, records, tables, words
from statsmodels.duration.survfunc import SurvfuncRight

from tests.conftest import bare_book, checked, examples

ENDS = dt.date(2026, 10, 31)


@pytest.fixture(scope="module")
def found(book):
    return tenure.measure(book, checked("tenure"))


# Survival


@pytest.mark.real_data
def test_telco_customers_have_their_checked_rates_and_no_dates(data):
    source = f"telco:{data}/telco_churn"
    made = tenure.measure(
        crm.open(source), checked("tenure", source=source, period="2019-12", ages="12, 24, 36, 48, 60")
    )
    rows = {row[0]: row for row in tables.group_table(made).rows}
    assert rows["All"][1:4] == ["7,043", "1,869", "26.5%"]
    assert [rows[name][3] for name in ("Month-to-month", "One year", "Two year")] == ["42.7%", "11.3%", "2.8%"]
    assert made.counts["amount"].sum() == 45_611_660
    given_ = pd.read_csv(data / "telco_churn" / "Telco-Customer-Churn.csv")
    for plan, part in [("", given_), *given_.groupby("Contract")]:
        curve = SurvfuncRight(part["tenure"], (part["Churn"] == "Yes").astype("int64"))
        row = made.table[made.table["group"] == (plan or crm.ALL)].iloc[0]
        for age in (12, 36, 60):
            share = [1.0, *curve.surv_prob][int((curve.surv_times <= age).sum())]
            assert row["at"][age].value == pytest.approx(share, abs=1e-12)
    assert (made.table["p_adjusted"].dropna() < 0.001).all()
    said = words.findings(made)
    assert any("no dates" in one.headline for one in said) and "the source has no dates" in words.facts(made)
    assert made.disagreements.kept == ("flag",) and tables.record_table(made) is None
    assert made.trial_age > 50 and made.trial.set_index("method")["error"]["contracts"] < 0.1


def test_a_running_contract_is_not_one_that_ended(found, book):
    rows = book.subscriptions.execute()
    undated = (rows["status"] == "ended") & rows["ended_on"].isna()
    assert found.n_left_out == undated.sum() > 0
    known = rows[~undated]
    last = known["ended_on"].fillna(pd.Timestamp(ENDS))
    months = (((last - known["started_on"]).dt.days + 1) / 30.4375).astype("int64")
    curve = SurvfuncRight(months, known["ended_on"].notna().astype("int64"))
    for age in (6, 12, 24):
        at = np.flatnonzero(curve.surv_times <= age)[-1]
        assert compute.share_at(found.counts, age).value == pytest.approx(curve.surv_prob[at])
    naive = 1 - known["ended_on"].notna().mean()
    assert compute.share_at(found.counts, 24).value < naive - 0.05  # those who run on are no stayers of two years


def test_months_to_come_are_those_of_a_drawn_world():
    """Customers with chances of their own: how long those stay who have stayed a year is met, and the interval
    holds."""
    rng = np.random.default_rng(3)
    chance = rng.beta(0.8, 9, 4000)
    lasts, watched = rng.geometric(chance), rng.integers(13, 37, 4000)
    rows = [
        (f"s{k}", int(min(a, w)), "ended" if a <= w else "active")
        for k, (a, w) in enumerate(zip(lasts, watched, strict=True))
    ]
    counts = pd.DataFrame(rows, columns=["id", "age", "status"])
    counts = counts.assign(ended=counts["status"] == "ended", group=crm.ALL)
    counts["age"] -= counts["ended"]  # who left in the first month has no whole one
    counts = counts.groupby(["group", "age", "ended"], as_index=False).size().rename(columns={"size": "n"})
    left, stayed = compute._by_month(counts)
    assert left.sum() + stayed.sum() == 4000
    made = contracts.fit(left, stayed)
    params = checked("tenure", ages="12")
    low, middle, high = compute._ahead(made, left, stayed, params)[12]
    truth = np.minimum(lasts[lasts > 12] - 12 - 1, 24).mean()  # payments after the twelfth, of 24
    assert low - 0.4 <= truth <= high + 0.4 and low < middle < high


def test_a_group_that_left_at_once_is_compared(tmp_path):
    """Two hundred trials, all over within four months, beside two hundred years: none is there after six months, which
    is
    known of each of them, though none was running then."""
    rng, rows = np.random.default_rng(4), []
    for k in range(400):
        trial = k < 200
        start = dt.date(2024, 1, 1) + dt.timedelta(days=int(rng.integers(0, 300)))
        end = start + dt.timedelta(days=int(rng.integers(35, 130))) if trial else None
        rows.append((f"s{k}", "Trial" if trial else "Annual", start, end))
    table = pd.DataFrame(rows, columns=["subscription_id", "plan", "started_on", "ended_on"])
    made = tenure.measure(bare_book(tmp_path / "b", exported_on=str(ENDS), subscriptions=table), checked("tenure"))
    row = made.table[made.table["group"] == "Trial"].iloc[0]
    assert row["at"][6].value == 0 and row["p_adjusted"] < 1e-6
    assert any("Trial" in one.headline or "Trial" in one.detail for one in words.findings(made))


# Records

kinds = st.tuples(
    st.booleans(), st.booleans(), st.sampled_from(["none", "ended", "both", "later"]), st.integers(1, 900)
)


@given(st.lists(kinds, min_size=2, max_size=12), st.booleans())
@settings(max_examples=examples(8))
def test_records_are_counted_as_a_loop_counts_them(tmp_path_factory, accounts, by_account):
    """Flags on accounts or contracts; a log; one or two contracts, one of which may begin after a cancellation."""
    flags, log, subs, expected = [], [], [], {}
    for k, (flag, logged, ends, amount) in enumerate(accounts):
        name = f"a{k}"
        flags.append({"account_id": name, "status": "churned" if flag else "active"})
        if logged:
            log.append({"account_id": name, "cancelled_on": dt.date(2026, 3, 1)})
        one = {"subscription_id": f"s{k}", "account_id": name, "started_on": dt.date(2025, 1, 1),
        "amount_minor": amount,
               "status": "ended" if flag else "active", "ended_on": dt.date(2026, 3,
               1) if ends != "none" else None}  # fmt: skip
        subs.append(one)
        if ends == "later":
            subs.append(one | {"subscription_id": f"t{k}", "started_on": dt.date(2026, 5, 1), "ended_on": None})
        elif ends == "both":
            subs.append(one | {"subscription_id": f"t{k}"})
        key = (flag, logged and ends != "later", ends in ("ended", "both"))
        n, paid = expected.get(key, (0, 0))
        expected[key] = (n + 1, paid + amount * (2 if ends in ("later", "both") else 1))
    frames = {"subscriptions": pd.DataFrame(subs), "accounts": pd.DataFrame(flags)}
    frames["cancellations"] = pd.DataFrame(log, columns=["account_id", "cancelled_on"])
    if not by_account:
        frames["accounts"]["status"] = None
    made = records.disagreements(bare_book(tmp_path_factory.mktemp("r"), exported_on=str(ENDS), **frames))
    names = [name for name in records.RECORDS if name in made.kept]
    got = {tuple(row[name] for name in names): (row["n"], row["amount"]) for row in made.table.to_dict("records")}
    wanted = {}
    for key, (n, paid) in expected.items():
        short = tuple(value for value, name in zip(key, records.RECORDS, strict=True) if name in names)
        before = wanted.get(short, (0, 0))
        wanted[short] = (before[0] + n, before[1] + paid)
    assert got == wanted and made.n == len(accounts)
    assert made.n_disputed == sum(n for key, (n, _paid) in wanted.items() if len(set(key)) > 1)
    for at, name in enumerate(names):
        assert made.left[name] == sum(n for key, (n, _paid) in wanted.items() if key[at])


def test_the_planted_contradictions_are_reported_and_not_averaged(found, book):
    rows = book.subscriptions.execute().set_index("account_id")
    log = set(book.cancellations.execute()["account_id"])
    flag, end = rows["status"] == "ended", rows["ended_on"].notna()
    logged = pd.Series(rows.index.isin(log), index=rows.index)
    made = found.disagreements
    assert made.left == {"flag": flag.sum(), "log": logged.sum(), "end": end.sum()}
    assert (
        made.n_agreed == (flag & logged & end).sum()
        and made.n_disputed == ((flag != logged) | (logged != end)).sum() == 28
    )
    said = next(one for one in words.findings(found) if "contradict" in one.headline)
    for n in made.left.values():
        assert f" {n}" in said.headline
    assert "nor is their mean" in said.detail and said.tone == "bad"


def test_a_past_day_knows_no_flag_of_the_last_one(book):
    past = crm.open("sample", as_of="2025-12-31")
    made = records.disagreements(past)
    assert made.kept == ("log", "end")
    rows = book.subscriptions.execute()
    begun = rows[rows["started_on"] <= "2025-12-31"]
    counts, dated, _left_out = records.spells(past, "none")
    assert dated == "days" and counts["n"].sum() == len(begun)
    assert counts.loc[counts["ended"], "n"].sum() == (begun["ended_on"] <= "2025-12-31").sum()


# The page


def test_bad_input_is_refused(tmp_path, book):
    with pytest.raises(BadInput, match="write months from 1 to 600"):
        checked("tenure", ages="0")
    with pytest.raises(BadInput, match="leave both blank"):
        checked("tenure", team="EMEA 1")
    bare = bare_book(tmp_path / "b", exported_on=str(ENDS), subscriptions=pd.DataFrame({"subscription_id": ["s"]}))
    with pytest.raises(ValueError, match="no contract has a first day"):
        tenure.measure(bare, checked("tenure"))
    one = pd.DataFrame({"subscription_id": ["s"], "started_on": [dt.date(2026, 1, 1)]})
    bare = bare_book(tmp_path / "c", exported_on=str(ENDS), subscriptions=one)
    with pytest.raises(ValueError, match="split_by plan: the source has no value of it"):
        tenure.measure(bare, checked("tenure"))
    few = tenure.measure(bare, checked("tenure", split_by="none"))
    assert few.fit is None and any("Too few contracts" in one.headline for one in words.findings(few))
    assert tables.ahead_table(few) is None and tables.trial_table(few) is None


def test_what_no_noise_explains_is_said_and_noise_is_not(found):
    assert any("No group stays longer or shorter" in one.headline for one in words.findings(found))  # plans are alike


@pytest.mark.parametrize("language", lang.LANGUAGES)
def test_all_that_is_said_can_be_said(found, language):
    lang.use(language)
    told = [words.findings(found), words.tiles(found), words.note(found), words.facts(found), words.caption(),
            words.curve_alt(found), words.record_alt(found)]  # fmt: skip
    made = [getattr(tables, name)(found) for name in dir(tables) if name.endswith("_table")]
    for one in filter(None, made):
        assert all(len(row) == len(one.columns) == len(one.numeric) for row in one.rows), one.caption
    assert "nan" not in str([told, made]).lower().replace("финан", "")
    assert isinstance(found.curves[crm.ALL], stats.Survival)
