"""Quotas: what is said of seats, teams and heads against loops, planted truths and laws."""

import datetime as dt
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from salesops import crm, lang, quotas
from salesops.crm.tables import TABLES
from salesops.pay import costing
from salesops.problems import BadInput
from salesops.quotas import capacity, chances, charts, tables, words
from salesops.quotas.compute import OTHERS
from scipy.stats import norm

from tests.conftest import by_owner_then, checked

FEW = {"n_years": 1000}


@pytest.fixture(scope="module")
def found(book):
    return quotas.measure(book, checked("quotas", **FEW))


def record_of(rng, n_reps, n_quarters, rep, quarter, spread=0.4):
    """Attainments with known shares of rep and quarter in their scatter."""
    z = np.sqrt(rep) * rng.standard_normal((n_reps, 1)) + np.sqrt(quarter) * rng.standard_normal((1, n_quarters))
    z = z + np.sqrt(1 - rep - quarter) * rng.standard_normal((n_reps, n_quarters))
    rows = [(f"r{i:02d}", f"{2020 + j // 4}-{3 * (j % 4) + 1:02d}-01", float(np.exp(spread * z[i, j])))
            for i in range(n_reps) for j in range(n_quarters)]  # fmt: skip
    return pd.DataFrame(rows, columns=["rep_id", "quarter", "attainment"])


# Against the book


def credited(book, won: pd.DataFrame) -> pd.Series:
    """By rep, what is booked (whole units): to the owner at the win; of a shared deal the share."""
    won = by_owner_then(book, won, "closed_at")
    shares = won.drop(columns="rep_id").merge(book.splits.select("deal_id", "rep_id", "share").execute(), on="deal_id")
    alone = won[~won["deal_id"].isin(shares["deal_id"])].assign(share=1.0)
    both = pd.concat([alone, shares])
    return (both["amount_minor"].astype("float64") * both["share"]).groupby(both["rep_id"]).sum() / 100


def test_the_seats_quotas_and_bookings_are_those_of_the_book(found, book):
    given, deals, reps = book.quotas.execute(), book.deals.execute(), book.reps.execute()
    there = set(reps[reps["left_on"].isna()]["rep_id"])
    assert set(found.seats["rep_id"]) == there and len(there) == 26
    year = given[given["period"].str.startswith("2026")]
    booked = credited(book, deals[(deals["status"] == "won") & (deals["closed_at"] >= "2026-01-01")])
    for row in found.seats.itertuples():
        assert row.whole == pytest.approx(year[year["rep_id"] == row.rep_id]["amount_minor"].sum() / 100)
        assert row.booked == pytest.approx(booked[row.rep_id])
    late = found.seats[found.seats["rep_id"] == "R0000011"].iloc[0]  # hired on 15 March: 25, 50, 75 % of its quotas
    assert late["quota"] < late["whole"]
    settled = found.seats[found.seats["rep_id"] == "R0000001"].iloc[0]
    assert settled["quota"] == settled["whole"]
    assert found.by_quarter["ended"].tolist() == [True, True, True, False]
    assert found.over_assigned == pytest.approx(found.seats["whole"].sum() / 28_000_000 - 1)
    assert (found.seats["ratio"] * 160_000).to_numpy() == pytest.approx(found.seats["whole"].to_numpy())


def test_what_is_over_counts_as_it_was(found):
    """No drawn year is below what is booked, and who has booked the year's quota has attained it."""
    booked, quota = found.seats["booked"].to_numpy(), found.seats["quota"].to_numpy()
    assert (found.drawn * quota >= booked - 1e-6).all()
    assert (found.seats["chance"][booked >= quota] == 1).all()
    assert found.booked == pytest.approx(found.drawn @ quota + found.elsewhere)
    for share, factor in found.factors.items():  # by so much more, so many attain it
        assert (found.drawn >= factor).mean() == pytest.approx(share, abs=0.01)
    assert list(found.factors.values()) == sorted(found.factors.values(), reverse=True)


def test_teams_have_their_shares(found, book):
    assert found.groups[["quota_share", "pipeline_share", "booked_share"]].sum().to_numpy() == pytest.approx([1, 1, 1])
    assert found.groups["n"].sum() == 26 and found.groups["team"].iloc[-1] == OTHERS
    history = costing.read_history(book, found.plan)
    emea = found.seats[found.seats["team"] == "EMEA 1"]["rep_id"]
    mean = history[history["rep_id"].isin(emea)].groupby("rep_id")["attainment"].mean().mean()
    assert found.groups.set_index("team").loc["EMEA 1", "attainment"] == pytest.approx(mean)
    deals = by_owner_then(book, book.deals.execute(), "created_at")
    new = deals[(deals["created_at"] >= "2025-11-01") & deals["rep_id"].isin(found.seats["rep_id"])]
    share = new[new["rep_id"].isin(emea)]["amount_minor"].sum() / new["amount_minor"].sum()
    assert found.groups.set_index("team").loc["EMEA 1", "pipeline_share"] == pytest.approx(share)


# Chances


@pytest.mark.slow
def test_chances_are_what_comes_where_reps_differ_and_where_they_do_not():
    """Told before each quarter; over forty records each band holds, and they gain only where reps differ."""
    for rep, better in ((0.5, True), (0.0, False)):
        gains, told, came, n = [], np.zeros(4), np.zeros(4), np.zeros(4)
        for seed in range(40):
            made = chances.record(record_of(np.random.default_rng(seed), 30, 10, rep, 0.1))
            gains.append(made.base - made.brier)
            told += np.nan_to_num(made.said) * made.n
            came += np.nan_to_num(made.came) * made.n
            n += made.n
        assert (told / n)[n > 200] == pytest.approx((came / n)[n > 200], abs=0.06)
        assert (np.mean(gains) > 0.03) if better else (abs(np.mean(gains)) < 0.01)


@pytest.mark.slow
def test_a_gain_is_called_one_only_where_there_is_one():
    called = {rep: np.mean([chances.record(record_of(np.random.default_rng(seed), 26, 10, rep, 0.1)).p < 0.05
                            for seed in range(40)]) for rep in (0.0, 0.5)}  # fmt: skip
    assert called[0.0] <= 0.1 and called[0.5] > 0.8


def test_a_reps_own_record_is_drawn_towards_everybodys():
    history = record_of(np.random.default_rng(1), 20, 9, 0.4, 0.1)
    scatter = costing.judge(history)
    best = history.groupby("rep_id")["attainment"].mean().idxmax()
    few = pd.concat([history, pd.DataFrame({"rep_id": ["new"], "quarter": ["2020-01-01"],
                                            "attainment": [history["attainment"].max()]})])  # fmt: skip
    known = chances.own(scatter, few, [best, "new", "nobody"])
    assert known.mean[0] > known.mean[1] > known.mean[2] == 0  # nine good quarters say more than one
    assert known.sd[0] < known.sd[1] < known.sd[2] == pytest.approx(np.sqrt(scatter.of_rep))
    drawn = chances.draw(scatter, few, [best, "new", "nobody"], 20_000, seed=3)
    assert (drawn[:, :, 0] >= 1).mean(axis=0) == pytest.approx(chances.of_a_quarter(scatter, known), abs=0.02)
    # Who is not known is drawn as everybody: as attainments were met.
    assert np.median(drawn[:, 2]) == pytest.approx(np.median(scatter.values), rel=0.05)
    alone = costing.Scatter(scatter.values, 0.0, 0.0, 20, 9)
    nothing = chances.own(alone, history, [best])
    assert nothing.mean[0] == 0 and nothing.sd[0] == 0  # where reps do not differ, a record says nothing
    below = (scatter.values < 1).mean()
    assert chances.of_a_quarter(alone, nothing)[0] == pytest.approx(norm.sf(norm.ppf(below)))


def test_teams_that_differ_are_told_from_teams_that_do_not():
    groups = {f"r{i:02d}": "AB"[i % 2] for i in range(24)}
    alike = [chances.fair(record_of(np.random.default_rng(seed), 24, 8, 0.4, 0.1), groups, seed=1, times=300)
             for seed in range(60)]  # fmt: skip
    assert 0.0 <= np.mean([p < 0.05 for p in alike]) <= 0.12
    apart = []
    for seed in range(20):
        history = record_of(np.random.default_rng(seed), 24, 8, 0.1, 0.1)
        worse = history["rep_id"].map(groups) == "B"
        history["attainment"] = history["attainment"] * np.where(worse, 0.7, 1.0)
        apart.append(chances.fair(history, groups, seed=1, times=300) < 0.05)
    assert np.mean(apart) > 0.9
    assert chances.fair(history, {"r00": "A", "r01": "A"}, seed=1) is None


# Heads


def test_who_leaves_is_counted_in_rep_years_with_its_exact_interval():
    """Four in twenty rep-years: 0.2, from 0.0545 to 0.5121 (exact Poisson: 1.0899 and 10.2416)."""
    day = dt.date
    reps = pd.DataFrame({"hired_on": [day(2020, 1, 1)] * 4 + [None], "left_on": [day(2024, 6, 30)] * 4 + [None]})
    gone = capacity.leaving(reps, day(2020, 7, 1), day(2024, 6, 30))
    assert gone.n == 4 and gone.years == pytest.approx(5 * 1461 / 365.25)
    assert (gone.low, gone.high) == pytest.approx((1.0899 / 20, 10.2416 / 20), abs=2e-4)
    before = pd.DataFrame({"hired_on": [day(2020, 1, 1)], "left_on": [day(2020, 3, 1)]})
    assert capacity.leaving(before, day(2021, 1, 1), day(2022, 1, 1))[:3] == (0, 0.0, 0.0)


ALIKE = capacity.Each(np.array([100.0, 100.0]), 0.0, 9)


def planned(n_draws=3000, **changed):
    none = capacity.Leaving(0, 0.0, 0.0, 0.0, 0.0)
    usual = {"tenures": [40] * 10, "ramp": [0.25, 0.5, 0.75], "gone": none, "hires": {}}
    usual |= {"first": dt.date(2026, 11, 1), "months_to_fill": 2, "each": ALIKE, "seed": 1}
    return capacity.plan_heads(n_draws=n_draws, **(usual | changed))


def test_heads_are_what_a_calendar_says():
    """Ten stay; two come in January and are whole in April; a newcomer of October is whole in January."""
    made = planned(hires={"2027-01": 2}, n_draws=5)
    assert (made.heads == [10, 10] + [12] * 10).all()
    assert made.productive[0].tolist() == [10, 10, 10.5, 11, 11.5] + [12] * 7
    assert made.booked[0].sum() == pytest.approx(100 * made.productive[0].sum())
    assert planned(tenures=[40] * 9 + [1], n_draws=5).productive[0][:3].tolist() == [9.5, 9.75, 10]
    assert [str(one) for one in made.months[:3]] == ["2026-11-01", "2026-12-01", "2027-01-01"]


def test_those_who_leave_are_followed_after_the_time_it_takes():
    fast = capacity.Leaving(200, 100.0, 2.0, 1.7, 2.3)  # two in a rep's year: a share of exp(-1/6) stays each month
    unfilled = planned(gone=fast, months_to_fill=24)
    stay = unfilled.heads.mean(axis=0)
    assert stay[1:] / stay[:-1] == pytest.approx(np.exp(-1 / 6), abs=0.02)
    filled = planned(gone=fast, months_to_fill=0)
    assert (filled.heads == 10).all() and filled.productive[:, 6:].mean() < 9
    later = planned(gone=fast, months_to_fill=2).heads.mean(axis=0)
    assert stay[-1] < later[-1] < 10 and (planned(gone=fast).heads.sum(axis=1) <= 120).all()


# The page


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_page_says_what_it_holds_and_names_nobody_unasked(found, book, language):
    lang.use(language)
    shown = [tables.quarter_table(found), tables.chance_table(found), tables.group_table(found, 3),
             tables.ratio_table(found), tables.head_table(found)]  # fmt: skip
    said = [one.headline + one.detail for one in words.findings(found)]
    said += [words.note(found), words.caption(), words.bar_alt(found), words.head_alt(found), words.title()]
    said += [str(one) for one in shown] + [str(one) for one in words.tiles(found)] + words.facts(found)
    text = "\n".join(said)
    assert "{" not in text and "nan" not in text
    reps = book.reps.execute()
    assert not [one for one in [*reps["name"], *reps["rep_id"]] if one in text]
    assert tables.seat_table(found, "no") is None
    seats = tables.seat_table(found, "yes")
    assert len(seats.rows) == 26 and seats.rows[0][0] in set(reps["name"])
    figure = Figure()
    charts.plot_year(words.bars(found), currency="USD", ax=figure.add_subplot(2, 1, 1))
    charts.plot_heads(*words.head_lines(found), ax=figure.add_subplot(2, 1, 2))
    nobody = found._replace(heads=None)
    charts.plot_heads(*words.head_lines(nobody), ax=figure.add_subplot(2, 1, 2))
    assert words.head_alt(nobody) and words.tiles(nobody)[-1].value == lang.NONE and tables.head_table(nobody) is None


def test_the_target_is_judged_by_its_chance(found):
    for target, tone, says in ((1e6, "good", "likely met: > 99%"), (31.9e6, "plain", "more likely than not"),
                               (90e6, "bad", "missed more likely than not: < 1%")):  # fmt: skip
        first = words.findings(found._replace(target=target))[0]
        assert first.tone == tone and says in first.headline
    assert "do not add up" in words.findings(found._replace(target=90e6))[1].headline
    untold = found._replace(target=0.0)
    assert untold.over_assigned is None and "is to be expected in the year" in words.findings(untold)[0].headline


def test_wrong_parameters_are_refused(book):
    for wrong, says in (({"hires": "2027-13: 1"}, "write a month and how many"), ({"region": "EMEA"}, "leave both "
                                                                                                      "blank"),
                        ({"hires": "2027-01: 99999"}, "more than 10,000"), ({"names": "maybe"}, "names")):  # fmt: skip
        with pytest.raises(BadInput, match=says):
            checked("quotas", **wrong)
    assert checked("quotas", hires="2027-01: 2, 2027-01:1,2027-02: 4").starting == {"2027-01": 3, "2027-02": 4}
    with pytest.raises(ValueError, match="fewer than 40"):
        quotas.measure(book, checked("quotas", min_group=40, **FEW))


@pytest.mark.slow
def test_what_is_to_be_expected_does_not_rise_as_a_quarter_runs_out():
    """Day by day through a quarter: the median moves with what is booked, and does not drop on its last day."""
    middles = []
    for day in ("2026-08-01", "2026-08-31", "2026-09-23", "2026-09-29", "2026-09-30"):
        asked = checked("quotas", period="2026-Q3", as_of=day, hires="", **FEW)
        middles.append(float(np.median(quotas.measure(crm.open("sample", as_of=day), asked).booked)))
    assert abs(middles[-1] / middles[-2] - 1) < 0.01
    assert max(middles) / min(middles) < 1.05


@pytest.mark.slow
def test_what_is_booked_by_those_who_left_counts_for_the_target(tmp_path, book):
    folder = tmp_path / "left"
    shutil.copytree(book.folder, folder)
    reps = pq.read_table(folder / "reps.parquet").to_pandas()
    gone = reps["rep_id"].isin(["R0000001", "R0000005", "R0000010", "R0000025"])
    reps.loc[gone, "left_on"] = dt.date(2026, 10, 15)
    reps["left_on"] = pd.to_datetime(reps["left_on"]).dt.date
    reps["hired_on"] = pd.to_datetime(reps["hired_on"]).dt.date
    pq.write_table(
        pa.Table.from_pandas(reps, schema=TABLES["reps"].schema, preserve_index=False), folder / "reps.parquet"
    )
    made = quotas.measure(crm.Book(folder), checked("quotas", **FEW))
    deals = book.deals.execute()
    won = deals[(deals["status"] == "won") & (deals["closed_at"] >= "2026-01-01")]
    elsewhere = won["amount_minor"].sum() / 100 - credited(book, won)[made.seats["rep_id"]].sum()
    assert len(made.seats) == 22 and made.elsewhere == pytest.approx(elsewhere)
    assert words.bars(made)[3][1] == pytest.approx(won["amount_minor"].sum() / 100)
    assert tables.quarter_table(made).rows[-1][0] == "by those without such a seat"


def test_what_heads_book_is_drawn_as_quarters_have_been():
    """Fifty records whose next four quarters are drawn alike: 80 % bands of a quarter hold 64 to 96 % of them."""
    rng, inside = np.random.default_rng(4), []
    for _k in range(50):
        level = rng.lognormal(4.6, 0.15, 15)
        record = capacity.Each(level[:11], 30.0, 200)
        made = planned(each=record, n_draws=500)
        low, high = np.quantile(made.booked[:, :3].sum(axis=1), (0.1, 0.9))
        came = 10 * level[11:] * 3 + 30 * np.sqrt(10) * 3 * rng.standard_normal(4)
        inside += ((low <= came) & (came <= high)).tolist()
    assert 0.64 <= np.mean(inside) <= 0.96
    made = planned(each=record, n_draws=3000)
    assert made.booked.mean() == pytest.approx(10 * level[:11].mean(), rel=0.03)


@pytest.mark.slow
def test_a_role_of_few_and_months_that_are_over_are_refused(tmp_path, book):
    folder = tmp_path / "roles"
    shutil.copytree(book.folder, folder)
    reps = pq.read_table(folder / "reps.parquet").to_pandas()
    reps["role"] = "Account executive"
    reps.loc[reps["rep_id"] == "R0000001", "role"] = "Engineer"
    pq.write_table(
        pa.Table.from_pandas(reps, schema=TABLES["reps"].schema, preserve_index=False), folder / "reps.parquet"
    )
    with pytest.raises(ValueError, match="could be had by subtraction"):
        quotas.measure(crm.Book(folder), checked("quotas", role="Account executive", **FEW))
    with pytest.raises(ValueError, match="hires: 2026-05 is not in the twelve months from 2026-11 on"):
        quotas.measure(book, checked("quotas", hires="2026-05: 5", **FEW))
