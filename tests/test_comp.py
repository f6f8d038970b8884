"""The page of a plan: what it has paid, to groups only; to the cent what the engine pays each rep."""

import numpy as np
import pandas as pd
import pytest
from ibis import _
from matplotlib.figure import Figure
from salesops import comp, crm, lang
from salesops.comp import charts, tables, words
from salesops.comp.compute import _kinds, group
from salesops.pay import accrual, costing, payouts, plans, team
from salesops.problems import BadInput
from salesops.report import inputs

from tests.conftest import ROOT, by_owner_then, checked
from tests.pay_cases import YEAR_END, by_month, credit, person, small_book

# The page


@pytest.fixture(scope="module")
def found(book):
    return comp.measure(book, checked("comp"))


def test_the_page_adds_up_what_each_rep_is_paid(found, book):
    """Every figure again by a loop over the book's rows and the engine."""
    the_plan = plans.load(ROOT / "params" / "plans" / "account_executive.yml")
    deals = book.deals.execute()
    wins = book.visits.filter(_.kind == "won").execute()
    assert found.history.n_deals == wins[wins["kind_since"] >= "2026-01-01"].groupby(["deal_id", "kind_since"]).ngroups
    assert (found.history.n_unowned, found.history.n_unpriced) == (0, 0)
    won = deals[(deals["status"] == "won") & (deals["closed_at"] >= "2026-01-01")]
    ended = won[won["closed_at"] < "2026-10-01"]
    assert found.reps["booked"].sum() == pytest.approx(ended["amount_minor"].sum() / 100)
    read = team.read(book, [the_plan], "")
    lines = []
    for who in read.people:
        lines += payouts.pay(
            who, {the_plan.version: the_plan}, read.history.credits.get(who.person_id, []), through=book.as_of,
            payments=read.payments, cancellations=read.history.cancellations,
        )  # fmt: skip
    total = sum(line.amount for line in lines)
    assert sum(found.kinds.values()) == pytest.approx(float(total))
    assert found.reps["paid"].sum() == pytest.approx(float(total))
    kinds = ("earned", "spiff", "clawback", "adjustment")
    earned = [line.amount for line in lines if line.kind in kinds and line.month <= "2026-09"]
    assert found.reps["earned"].sum() == pytest.approx(float(sum(earned)))
    assert found.groups["earned"].sum() == pytest.approx(found.reps["earned"].sum())
    assert found.groups["n"].sum() == len(found.reps) == 26 and not found.unpaid
    quotas = book.quotas.execute()
    reps = book.reps.execute()
    away = book.rep_spells.filter(_.status == "leave").execute()["rep_id"]
    steady = reps[(reps["hired_on"] < pd.Timestamp(2025, 9, 1)) & reps["left_on"].isna()]["rep_id"]
    steady = steady[~steady.isin(away)]
    mine = quotas[quotas["rep_id"].isin(steady) & quotas["period"].isin(["2026-Q1", "2026-Q2", "2026-Q3"])]
    per_rep = mine.groupby("rep_id")["amount_minor"].sum() / 100
    assert set(per_rep.round(2)) <= set(found.reps["quota"].round(2))


def test_nobody_can_be_read_from_a_group():
    """Small teams stand together, with the smallest of the others where they are too few even so."""
    reps = pd.DataFrame({"team": [*"AAAAABBBBC", None], "booked": 1.0, "quota": 2.0, "earned": 3.0, "paid": 3.0})
    assert group(reps, 3)[["team", "n"]].to_numpy().tolist() == [["A", 5], ["", 6]]
    assert group(reps, 2)[["team", "n"]].to_numpy().tolist() == [["A", 5], ["B", 4], ["", 2]]
    for least in range(2, 12):
        assert (group(reps, least)["n"] >= least).all()


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_page_says_what_it_holds_and_no_name(found, book, language):
    lang.use(language)
    shown = [
        tables.component_table(found), tables.issue_table(found, "USD"), tables.group_table(found, "USD", 3),
        tables.kind_table(found, "USD"), tables.pull_table(found, "USD"),
    ]  # fmt: skip
    said = [one.headline + one.detail for one in words.findings(found, "USD")]
    said += [words.note(found, book.as_of), words.caption(found, "USD"), words.curve_alt(found, "USD")]
    said += [str(one) for one in shown] + [str(one) for one in words.tiles(found, "USD", tables.at_quota(found))]
    text = "\n".join(said)
    assert "{" not in text and "nan" not in text
    reps = book.reps.execute()
    assert not [one for one in [*reps["name"], *reps["rep_id"]] if one in text]
    figure = Figure()
    places = words.marks(found)
    charts.plot_curve(*found.curve.to_numpy().T, places, currency="USD", ax=figure.add_subplot(2, 1, 1))
    charts.plot_bands(words.band_names(), found.bands.tolist(), ax=figure.add_subplot(2, 1, 2))
    if language == "en":
        assert said[0].startswith("26 reps earned $1.6M, 6.4% of what was booked")
        assert "from 183% on" in text  # 0.4 + 0.6 + 1.8 x (a - 1) = 2.5 at a = 1.8333


def test_a_pile_is_told_only_where_chance_makes_none(found):
    """The sample company closes deals at the end of quarters; its reps do not stop at their quota."""
    assert found.pull.at_the_end.p < 0.001 and found.pull.at_quota.p > 0.05
    said = [one.headline for one in words.findings(found, "USD")]
    assert [one for one in said if "last days of quarters 1.8 times" in one]
    assert not [one for one in said if "Just above the quota" in one]
    few = found._replace(pull=found.pull._replace(enough=(False, True), at_the_end=None, at_quota=None))
    table = tables.pull_table(few, "USD")
    assert (
        table.rows[0][3] == "of too few reps to be shown" and table.rows[1][3].startswith("$") and len(table.rows) == 2
    )
    assert sum("is not tested" in note for note in table.notes) == 2


def test_no_pile_is_denied_that_was_not_looked_for(found):
    quiet = found.pull.at_the_end._replace(p=0.9)
    said = {
        (True, True): "Neither the quota nor the end of a quarter gathers more than chance does",
        (False, True): "The ends of quarters gather no more wins than chance does",
        (True, False): "Just above the quota end no more reps than chance brings there",
        (False, False): None,
    }
    for (quota, ends), text in said.items():
        pull = found.pull._replace(at_quota=quiet if quota else None, at_the_end=quiet if ends else None)
        headlines = [one.headline for one in words.findings(found._replace(pull=pull), "USD")]
        assert [one for one in headlines if one in said.values()] == ([text] if text else [])


def test_deals_that_pay_nobody_are_counted_by_why(found):
    assert not [one for one in words.findings(found, "USD") if one.key == "nobody"]
    some = found._replace(history=found.history._replace(n_unowned=2), n_unlisted=3, n_absent=1)
    (finding,) = [one for one in words.findings(some, "USD") if one.key == "nobody"]
    assert finding.headline == "6 won deals pay nobody, or only in part"
    assert finding.detail == (
        "2 without an owner, 3 of people who are not among the reps, 1 of reps who were not there on the day."
    )
    empty = found._replace(curve=found.curve.iloc[:0])
    assert words.caption(empty, "USD").startswith("Left: nothing, for") and "$0" not in words.caption(empty, "USD")


def test_a_year_that_is_not_drawn_has_its_reason(found, book):
    text = "What a year may cost is not drawn: too few attainments of quarters with a quota of their own are known."
    assert text not in words.note(found, book.as_of)
    assert text in words.note(found._replace(costs=None), book.as_of)


def test_the_running_quarter_is_told_where_a_forecast_is_named(found, book, tmp_path):
    assert found.accrual is None and tables.accrual_table(found, "USD") is None
    rows = [(book.as_of, "2026-Q4", "USD", draw, f"R{k:07d}", 1000.0 * draw) for draw in range(5) for k in range(1, 27)]
    pd.DataFrame(rows, columns=accrual.COLUMNS).to_parquet(tmp_path / accrual.FILE)
    made = comp.measure(book, checked("comp", forecast=str(tmp_path)))
    assert made.accrual.n_reps >= 20 and (np.diff(made.accrual.paid) > 0).all()
    table = tables.accrual_table(made, "USD")
    assert len(table.rows) == 3 and "2026-Q4" in table.notes[0] and "nan" not in str(table)


@pytest.mark.parametrize(("language", "says"), [("en", "No quota of bookings for 2026-Q1."), ("ru", "2026-Q1.")])
def test_who_cannot_be_paid_is_counted_with_the_reason_in_the_pages_language(tmp_path, language, says):
    quotas = [{"rep_id": rep, "period": f"2026-Q{k}", "amount_minor": 10_000_000, "currency": "USD", "kind": "bookings"}
              for rep in ("r1", "r2") for k in range(1, 5)]  # fmt: skip
    found = comp.measure(small_book(tmp_path, quotas=quotas), checked("comp", min_group=2))
    lang.use(language)
    said = words.findings(found, "USD")[1]
    assert len(found.reps) == 2 and len(found.unpaid) == 1 and "1" in said.headline and "r3" not in said.detail
    assert said.detail.endswith(says) and (language == "en") == ("quota" in said.detail)


def test_a_page_that_cannot_be_is_refused_with_its_reason(book, tmp_path):
    for wrong in ({"region": "EMEA"}, {"plan": "../secrets"}, {"min_group": 1}):
        with pytest.raises(BadInput):
            checked("comp", **wrong)
    with pytest.raises(BadInput, match="there is no such file"):
        comp.measure(book, checked("comp", plan="nobody"))
    with pytest.raises(ValueError, match="fewer than 50: pay could be read off"):
        comp.measure(book, checked("comp", min_group=50))
    early = crm.open("sample", as_of="2025-10-31")
    with pytest.raises(ValueError, match="holds from 2026-01-01 to 2026-12-31, not on 2025-10-31"):
        comp.measure(early, checked("comp", period="2025-10"))


def test_a_page_is_made_again_when_its_plan_has_changed(project_copy):
    asked = {"plan": "account_executive"}
    one = inputs.of(project_copy, "comp", asked, data="x").hashes["files"]
    assert one == inputs.of(project_copy, "comp", asked, data="x").hashes["files"]
    file = project_copy / "params" / "plans" / "account_executive.yml"
    file.write_text(file.read_text("utf-8").replace("weight: 80%", "weight: 80.0%"), "utf-8")
    two = inputs.of(project_copy, "comp", asked, data="x").hashes["files"]
    later = file.with_name("account_executive.july.yml")
    later.write_text("plan: later", "utf-8")
    three = inputs.of(project_copy, "comp", asked, data="x").hashes["files"]
    (project_copy / "mbo.csv").write_text("rep_id,period,score\n", "utf-8")
    four = inputs.of(project_copy, "comp", asked | {"scores": "mbo.csv"}, data="x").hashes["files"]
    (project_copy / "mbo.csv").write_text("rep_id,period,score\nr1,2026,1\n", "utf-8")
    assert (
        len(
            {
                one,
                two,
                three,
                four,
                inputs.of(project_copy, "comp", asked | {"scores": "mbo.csv"}, data="x").hashes["files"],
            }
        )
        == 5
    )


def test_the_year_on_the_page_is_what_its_history_says(found, book):
    costs = found.costs
    history = costing.read_history(book, found.plan)
    assert history["quarter"].max() == "2026-07-01" and history["quarter"].min() == "2024-01-01"
    quotas, deals = book.quotas.execute(), by_owner_then(book, book.deals.execute(), "closed_at")
    one = history[history["quarter"] == "2026-07-01"].iloc[-1]
    won = deals[(deals["status"] == "won") & (deals["rep_id"] == one["rep_id"])]
    won = won[(won["closed_at"] >= "2026-07-01") & (won["closed_at"] < "2026-10-01")]
    quota = quotas[(quotas["rep_id"] == one["rep_id"]) & (quotas["period"] == "2026-Q3")]["amount_minor"].sum()
    assert one["attainment"] == pytest.approx(won["amount_minor"].sum() / quota)
    low, middle, high = costs.quantiles()
    assert low < middle < high and not costs.left_out and costs.pay.shape[1] <= 26
    assert costs.at_mean != pytest.approx(costs.paid.mean(), rel=0.01)  # the curve bends


def test_what_few_are_paid_stands_together():
    line = payouts.pay(person(), {"AE": by_month()}, [credit(1, "2026-01-05", 50)], through=YEAR_END)[0]
    many = [[line, line._replace(kind="draw")] if k == 0 else [line] for k in range(5)]
    many[1].append(line._replace(kind="spiff"))
    assert _kinds(many, 3) == {"other": 35.0}  # two kinds of one rep each, and the next rarest with them
    assert _kinds(many[:1] * 3, 3) == {"earned": 15.0, "draw": 15.0}
