"""Maturity: each evidence against a loop, the stage by a stated rule, the file of stages refused with every problem."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from salesops import lang, maturity
from salesops.maturity import charts, stages, tables, words
from salesops.maturity.compute import Evidence
from salesops.problems import BadInput
from salesops.stats import Estimate

from tests.conftest import ROOT, by_owner_then, checked


@pytest.fixture(scope="module")
def found(book):
    return maturity.measure(book, checked("maturity"))


def test_evidence_equals_a_loop(found, book):
    value = {one.name: one.value for one in found.evidence}
    deals, visits = book.deals.execute(), book.visits.execute()
    here = deals[(deals["status"] != "open") & (deals["closed_at"] >= "2025-11-01")]
    won = by_owner_then(book, here[here["status"] == "won"], "closed_at")
    off = set(visits.loc[visits["entry_kind"].isin(["skip", "back", "reopen"]), "deal_id"])
    assert value["discipline"].value == (~here["deal_id"].isin(off)).mean()
    top = won.groupby("account_id")["amount_minor"].sum().sort_values(ascending=False)
    assert value["concentration"].value == pytest.approx(top.head(10).sum() / top.sum())
    assert value["volume"].value == won["amount_minor"].sum() / 100  # of 365 days known
    sold = won.groupby("product")["amount_minor"].sum() / won["amount_minor"].sum()
    plan = {"Sensors": 0.40, "Analytics": 0.35, "Platform": 0.25}
    assert value["mix"].value == pytest.approx(sum(min(sold[name], share) for name, share in plan.items()))
    quotas = book.quotas.execute().query("period in ['2026-Q1', '2026-Q2', '2026-Q3']")
    quarter = won["closed_at"].dt.year.astype(str) + "-Q" + won["closed_at"].dt.quarter.astype(str)
    booked = won.groupby(["rep_id", quarter.rename("period")])["amount_minor"].sum().rename("booked").reset_index()
    both = quotas.merge(booked, on=["rep_id", "period"], how="left").fillna({"booked": 0})
    sums = both.groupby("rep_id")[["amount_minor", "booked"]].sum()
    shares = sums["booked"] / sums["amount_minor"]
    assert value["spread"].value == pytest.approx(shares.quantile(0.75) / shares.quantile(0.25))
    calls, off, total = book.forecast_calls.execute(), 0, 0
    for row in both.itertuples():
        end = {"2026-Q1": "2026-03-04", "2026-Q2": "2026-06-03", "2026-Q3": "2026-09-03"}[row.period]
        mine = calls[(calls["rep_id"] == row.rep_id) & (calls["period"] == row.period) & (calls["called_at"] < end)]
        if len(mine):
            off += abs(mine.sort_values("called_at")["amount_minor"].iloc[-1] - row.booked)
            total += row.booked
    assert value["forecast_error"].value == pytest.approx(off / total)
    assert value["measured"].value == 1 and not found.missing


def test_the_stage_is_the_highest_that_enough_has_reached(found):
    def staged(*reached, needed=0.66):
        share = [float(np.mean([one >= k for one in reached])) for k in range(3)]
        return max(k for k in range(3) if all(share[j] >= needed for j in range(1, k + 1)))

    known = [one.stage for one in found.evidence]
    assert found.stage == staged(*known) == 2 and found.share[2] == np.mean([one == 2 for one in known])
    assert staged(2, 2, 0) == 2 and staged(2, 2, 0, 0) == 0 and staged(1, 1, 1, 2) == 1
    low = found._replace(
        stage=0, evidence=[one._replace(stage=0) if one.name == "mix" else one for one in found.evidence]
    )
    assert [one.name for one in words.behind(low)] == ["mix"]
    assert "a planned mix of products" in words.findings(low)[1].headline.lower()
    band = found.asked.evidence["forecast_error"]
    assert [band.stage(x) for x in (0.41, 0.40, 0.26, 0.25)] == [0, 1, 1, 2]


def test_a_mix_has_to_sum_and_parts_are_refused():
    assert checked("maturity", planned_mix="A b 50%, C 50").mix == {"A b": 0.5, "C": 0.5}
    for text, says in (("A 50, B 20", "sum to 70"), ("A", "write a product"), ("A -5, B 105", "from 0 to 100")):
        with pytest.raises(BadInput, match=says):
            checked("maturity", planned_mix=text)
    with pytest.raises(BadInput, match="the whole organisation"):
        checked("maturity", region="EMEA")


def test_the_file_of_stages_is_refused_with_every_problem(tmp_path):
    assert set(stages.read(ROOT / "params" / "stages.yml").evidence) == set(stages.EVIDENCE)
    path = tmp_path / "stages.yml"
    path.write_text(
        "evidence:\n"
        "  luck: {efficiency: 1, scale: 2, better: up, next: {efficiency: {en: a, ru: б}, scale: {en: a, ru: б}}}\n"
        "checklist:\n  - {what: {en: A}, stage: early, done: yes}\n  - {what: {en: A, ru: Б}, stage: late, done: "
        "true}\n"
    )
    with pytest.raises(BadInput) as refused:
        stages.read(path)
    said = "\n".join(refused.value.problems)
    assert all(part in said for part in ("luck", "checklist.0.what", "checklist.1.stage")), said
    path.write_text("evidence: {mix: {efficiency: 2, scale: 1, better: up, next: {}}}\nchecklist: []\n")
    with pytest.raises(BadInput, match="has to be up from"):
        stages.read(path)


def test_what_a_source_does_not_tell_is_absent_with_its_reason(found, tmp_path):
    import pandas as pd

    from tests.conftest import bare_book

    at = pd.date_range("2025-11-05", "2026-10-30", freq="9D")
    deals = pd.DataFrame({"deal_id": [f"D{k}" for k in range(len(at))], "stage": "Won", "pipeline": "", "closed_at": at,
                          "amount_minor": 10_000})  # fmt: skip
    stage = pd.DataFrame({"pipeline": [""], "stage": ["Won"], "position": [1], "kind": ["won"]})
    bare = maturity.measure(bare_book(tmp_path, exported_on="2026-10-31", deals=deals, stages=stage),
                            checked("maturity", planned_mix=""))  # fmt: skip
    why = {one.name: one.why for one in bare.evidence if one.value is None}
    assert why == {"forecast_error": "no_calls", "hygiene": "too_few", "discipline": "no_log",
    "concentration": "too_few",
                   "spread": "no_quotas", "mix": "no_plan"}  # fmt: skip
    assert bare.stage is None and "Too little evidence" in words.findings(bare)[0].headline
    empty = found._replace(evidence=[Evidence("mix", Estimate(0.5, np.nan, np.nan, 9), "", 0)] * 3, stage=0)
    for one, language in itertools.product((found, bare, empty), ("en", "ru")):
        lang.use(language)
        shown = [tables.evidence_table(one), tables.checklist_table(one)]
        text = [part for made in (*words.findings(one), *words.tiles(one)) for part in made if isinstance(part, str)]
        text += [cell for t in shown for row in ([t.caption], t.columns, t.notes, *t.rows) for cell in row]
        text += [words.caption(), words.ladder_alt(one), *words.facts(one)]
        assert not [part for part in text if re.search(r"[{}]|\b(nan|None|inf)\b", part)]
        figure = Figure()
        charts.plot_ladder(words.ladder(one), whole=one.stage, names=["a", "b", "c"], ax=figure.add_subplot())
        figure.canvas.draw()


def test_the_hygiene_of_the_page_is_the_same(found, book):
    from salesops import hygiene

    page = hygiene.measure(book, checked("hygiene"))
    mine = next(one.value.value for one in found.evidence if one.name == "hygiene")
    assert mine == pytest.approx(page.score)


@pytest.mark.slow
def test_a_planned_product_that_is_misspelt_is_refused(book):
    """A product that is planned and has not been sold yet is none of those."""
    with pytest.raises(ValueError, match="planned_mix: no product of the source: 'Sensor', did you mean 'Sensors'"):
        maturity.measure(book, checked("maturity", planned_mix="Sensor 40, Analytics 35, Platform 25"))
    new = maturity.measure(book, checked("maturity", planned_mix="Robots 40, Analytics 35, Platform 25"))
    assert next(one for one in new.evidence if one.name == "mix").value.value < 0.6
