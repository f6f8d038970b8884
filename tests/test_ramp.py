"""The ramp: bookings by tenure against loops and planted ramps, leavers included, time to ramp, the curve for plans."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import yaml
from salesops import lang, ramp
from salesops.pay import plans
from salesops.problems import BadInput
from salesops.ramp import compute, files, months, tables, words
from statsmodels.duration.survfunc import SurvfuncRight

from tests.conftest import ROOT, bare_book, by_owner_then, checked

ENDS = dt.date(2026, 10, 31)
START = dt.date(2023, 11, 1)


@pytest.fixture(scope="module")
def found(book):
    return ramp.measure(book, checked("ramp"))


def world(folder, rng, *, n=120, shape=(0.1, 0.2, 0.4, 0.6, 0.8), leave=0.0, season=False, bad_leave=False):
    """Reps, half of them there from the beginning; what each books is the shape by month of tenure times a mean of a
    deal
    every three days."""
    people, deals = [], []
    last = (ENDS - START).days
    for k in range(n):
        hired = -900 if k % 2 else int(rng.integers(0, last - 200))
        bad = bad_leave and k % 2 == 0 and k % 4 == 0
        left = hired + int(rng.integers(150, 260)) if bad else last + 1
        if leave and rng.random() < leave:
            left = max(hired, 0) + int(rng.integers(100, 700))
        gone = left <= last
        people.append({"rep_id": f"r{k:03d}", "hired_on": START + dt.timedelta(days=hired),
                       "left_on": START + dt.timedelta(days=left) if gone else None, "role": "AE"})  # fmt: skip
        for day in range(max(hired, 0), min(left, last) + 1):
            tenure = int((day - hired) / months.MONTH)
            rate = (shape[tenure] if tenure < len(shape) else 1.0) / 3
            if bad:
                rate *= 0.2
            if season:
                rate *= 1.5 if (day // 30) % 6 < 3 else 0.5
            if rng.random() < rate:
                at = dt.datetime.combine(START + dt.timedelta(days=day), dt.time(12))
                deals.append({"deal_id": f"d{len(deals)}", "rep_id": f"r{k:03d}", "closed_at": at, "created_at": at,
                              "amount_minor": int(rng.integers(50, 150)) * 100, "pipeline": "P", "stage": "Won",
                              "currency": "USD"})  # fmt: skip
    stages = [{"pipeline": "P", "stage": "Open", "position": 1, "kind": "open"},
              {"pipeline": "P", "stage": "Won", "position": 2, "kind": "won"}]  # fmt: skip
    return bare_book(folder, exported_on=str(ENDS), deals=pd.DataFrame(deals), reps=pd.DataFrame(people),
                     stages=pd.DataFrame(stages))  # fmt: skip


# Months of tenure


def test_months_are_what_a_loop_says(book, found):
    deals, reps = book.deals.execute(), book.reps.execute().set_index("rep_id")
    won = by_owner_then(book, deals[(deals["status"] == "won") & deals["rep_id"].notna()], "closed_at")
    quotas = book.quotas.execute()
    begun = dt.date(1970, 1, 1) + dt.timedelta(days=int(found.reps.people["first"].min()))
    seen = 0
    for rep_id in ("R0000010", "R0000020", "R0000023"):
        hired, left = reps.loc[rep_id, "hired_on"].date(), reps.loc[rep_id, "left_on"]
        ends = ENDS if pd.isna(left) else min(left.date(), ENDS)
        own = won[won["rep_id"] == rep_id]
        table = found.reps.months[found.reps.months["rep_id"] == rep_id].set_index("month")
        for k in range(60):
            first = hired + dt.timedelta(days=int(k * months.MONTH))
            last = hired + dt.timedelta(days=int((k + 1) * months.MONTH) - 1)
            whole = first >= begun and last <= ends
            assert (k in table.index) == whole or (first < begun <= last), (rep_id, k)
            if k not in table.index:
                continue
            seen += 1
            day = own["closed_at"].dt.date
            assert table.loc[k, "booked"] == own.loc[(day >= first) & (day <= last), "amount_minor"].sum()
            asked = 0.0
            for quota in quotas[quotas["rep_id"] == rep_id].itertuples():
                span = pd.Period(quota.period.replace("-", ""), freq="Q")
                a, b = span.start_time.date(), span.end_time.date()
                asked += quota.amount_minor / ((b - a).days + 1) * max((min(last, b) - max(first, a)).days + 1, 0)
            assert table.loc[k, "quota"] == pytest.approx(asked) or (not asked and np.isnan(table.loc[k, "quota"]))
    assert seen > 30


def test_who_was_hired_before_the_record_is_not_watched_from_the_first_month(found):
    early = found.reps.people[found.reps.people["hired"] < found.reps.people["first"]]
    table = found.reps.months[found.reps.months["rep_id"].isin(early["rep_id"])]
    first = table.groupby("rep_id")["month"].min()
    for row in early.itertuples():
        assert first[row.rep_id] == int(np.ceil((row.first - row.hired) / months.MONTH)) > 0
    assert not set(found.newcomers["rep_id"]) & set(early["rep_id"])


# The curve


@pytest.mark.slow
def test_a_planted_ramp_is_met_and_a_season_is_none(tmp_path):
    rng = np.random.default_rng(1)
    for k, season in enumerate((False, True)):
        book = world(tmp_path / str(k), rng, season=season)
        made = ramp.measure(book, checked("ramp", settled_months=9))
        for month, truth in enumerate((0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0)):
            one = made.curve.loc[month, "share"]
            assert one.low - 0.05 <= truth <= one.high + 0.05 and one.value == pytest.approx(truth, abs=0.17), (
                season,
                month,
            )
        shares = compute.plan_ramp(made)
        assert shares[:4] == pytest.approx([0.1, 0.2, 0.4, 0.6], abs=0.1) and 4 <= len(shares) <= 8
        by_hand = (0.9 + 0.8 + 0.6 + 0.4 + 0.2) * made.reps.peers_a_month
        assert made.missed.low - 1 <= by_hand <= made.missed.high + 1


@pytest.mark.slow
def test_those_who_stayed_look_better_than_all_did(tmp_path):
    """A quarter fail and leave by their ninth month: the mean over those still there hides it, the page does not."""
    book = world(tmp_path / "b", np.random.default_rng(2), n=160, bad_leave=True)
    made = ramp.measure(book, checked("ramp", settled_months=9))
    rows = made.bands[made.bands["first"] == 3].set_index("who")
    assert rows.loc["left", "n"] >= 20
    assert rows.loc["stays", "share"].value > rows.loc["all", "share"].value + 0.1 > rows.loc["left", "share"].value
    assert rows.loc["all", "n"] == rows.loc["stays", "n"] + rows.loc["left", "n"]
    assert any("Those who are still there would say" in one.headline for one in words.findings(made))
    ends = made.newcomers["end"].value_counts()
    assert ends["left"] >= 20 and made.incidence.at("left", 12).value > 0.2


def test_the_curve_for_plans_never_falls_and_a_plan_takes_it(found, tmp_path):
    smooth = found.curve["smooth"].dropna().to_numpy()
    assert (np.diff(smooth) >= -1e-12).all()
    known = found.curve[found.curve["share"].notna()]
    weights = known["n"].to_numpy("float64")
    raw = np.array([one.value for one in known["share"]])
    assert weights @ smooth == pytest.approx(weights @ raw)  # the nearest such curve keeps the mean
    made = files.write(checked("ramp"))
    line = yaml.safe_load(made["ramp.yml"])
    assert (
        line == {"ramp": [f"{round(100 * one)}%" for one in compute.plan_ramp(found)]} and 3 <= len(line["ramp"]) <= 8
    )
    folder = tmp_path / "plans"
    folder.mkdir()
    text = (ROOT / "params" / "plans" / "account_executive.yml").read_text("utf-8").split("\n")
    text = [made["ramp.yml"].decode().strip() if one.startswith("ramp:") else one for one in text]
    (folder / "account_executive.yml").write_text("\n".join(text), "utf-8")
    plan = plans.versions(folder, "account_executive")[0]
    assert [float(one) for one in plan.ramp] == pytest.approx(compute.plan_ramp(found))
    rows = made["ramp.csv"].decode().splitlines()
    assert rows[0] == "month,reps,share,low,high,never_falling" and len(rows) == len(known) + 1


# Time to ramp


def test_ramped_is_told_by_its_definition(found):
    for row in found.newcomers.itertuples():
        own = found.reps.months[found.reps.months["rep_id"] == row.rep_id].sort_values("month")
        sums = own[["booked", "peers"]].rolling(3).sum().to_numpy()
        reached = [k + 1 for k in range(2, len(own)) if sums[k, 0] >= 0.75 * sums[k, 1]]
        assert (row.end == "ramped") == bool(reached)
        assert row.age == (reached[0] if reached else len(own))
    curve = SurvfuncRight(found.newcomers["age"], (found.newcomers["end"] == "ramped").astype("int64"))
    assert found.to_ramp.value == curve.quantile(0.5)
    left = found.newcomers["end"] == "left"
    assert found.incidence.share["left"][-1] >= 0 and left.sum() == 0


def test_quotas_can_tell_it_too(book):
    made = ramp.measure(book, checked("ramp", ramped_by="quota", in_a_row=1))
    assert "own quota, in 1 month" in words.definition(made)
    for row in made.newcomers[made.newcomers["end"] == "ramped"].itertuples():
        own = made.reps.months[made.reps.months["rep_id"] == row.rep_id].set_index("month")
        assert own.loc[row.age - 1, "booked"] >= 0.75 * own.loc[row.age - 1, "quota"]


# The page


def test_bad_input_is_refused(book, tmp_path):
    with pytest.raises(BadInput, match="leave both blank"):
        checked("ramp", region="EMEA")
    with pytest.raises(ValueError, match="role 'X' is not in the source; it has: Account executive"):
        ramp.measure(book, checked("ramp", role="X"))
    bare = bare_book(tmp_path / "a", exported_on=str(ENDS), reps=pd.DataFrame({"rep_id": ["r"]}),
                     activities=pd.DataFrame({"activity_id": ["a"], "started_at": [dt.datetime(2026, 1,
                     1)]}))  # fmt: skip
    with pytest.raises(ValueError, match="no rep has a first day"):
        ramp.measure(bare, checked("ramp"))
    new = world(tmp_path / "b", np.random.default_rng(3), n=1)
    with pytest.raises(ValueError, match="no rep has been there for 60 months"):
        ramp.measure(new, checked("ramp", settled_months=60))
    with pytest.raises(ValueError, match="the source has no quotas of these reps"):
        ramp.measure(new, checked("ramp", ramped_by="quota", settled_months=3))
    alone = ramp.measure(new, checked("ramp", settled_months=3))
    assert alone.to_ramp is None and alone.missed is None and words.findings(alone) and words.tiles(alone)


@pytest.mark.parametrize("language", lang.LANGUAGES)
def test_all_that_is_said_can_be_said(found, language):
    lang.use(language)
    told = [words.findings(found), words.tiles(found), words.note(found), words.facts(found), words.caption(),
            words.ramp_alt(found), words.end_alt(found)]  # fmt: skip
    made = [getattr(tables, name)(found) for name in dir(tables) if name.endswith("_table")]
    for one in made:
        assert all(len(row) == len(one.columns) == len(one.numeric) for row in one.rows), one.caption
    assert "nan" not in str([told, made]).lower().replace("финан", "")
