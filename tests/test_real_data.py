"""Real exports through their mappings: the checked figures, to the last digit, on pages made by the same notebook."""

import datetime as dt
import json
from pathlib import Path

import pytest
from salesops import crm, yamlfile
from salesops.funnel import Params, measure

from tests.test_report import Page

pytestmark = pytest.mark.real_data


def params(root: Path, variant: str, source: str) -> Params:
    path = root / "params" / f"funnel.{variant}.yml"
    return Params.check({**yamlfile.load(path), "source": source}, where=path.name)


def test_maven_has_its_checked_figures(root, data):
    told = params(root, "maven", f"maven:{data}/maven_crm")
    book = crm.open(told.source, as_of=told.last_known_on)
    found = measure(book, told)
    standing = found.standing.set_index("stage")
    assert standing["n"].to_dict() == {"Prospecting": 500, "Engaging": 1589, "Won": 4238, "Lost": 2473}
    assert standing.loc["Won", "amount"] == 10_005_534
    assert (standing["n_amount"].to_dict()["Won"], standing["n_amount"].sum()) == (4238, 4238)
    closed = found.closings.query("group == ''").iloc[0]
    assert (closed["n_won"], closed["n_lost"], closed["won_amount"]) == (4238, 2473, 10_005_534)
    assert f"{closed['by_count'].value:.2%}" == "63.15%" and closed["by_value"] is None
    assert sum(book.about["n_refused"].values()) == 0
    repaired = {(r["table"], r["came"]): r["n_rows"] for r in book.about["repairs"]}
    assert repaired[("deals", "GTXPro")] == 1480
    deals = book.deals.execute()
    won = deals[deals["status"] == "won"]
    assert won.loc[won["product"] == "GTX Pro", "amount_minor"].sum() == 351_057_800
    days = (won["closed_at"] - won["created_at"]).dt.days
    assert (round(days.mean(), 1), days.median()) == (51.8, 57)
    quarters = won.groupby(won["closed_at"].dt.quarter)["amount_minor"].agg(["size", "sum"])
    assert quarters["size"].tolist() == [531, 1254, 1257, 1196]
    assert quarters["sum"].tolist() == [113_467_200, 308_611_100, 298_225_500, 280_249_600]
    agents = won.groupby("rep_id")["amount_minor"].sum()
    assert (agents.idxmax(), agents.max()) == ("Darcel Schlecht", 115_321_400)


def test_maven_does_not_print_a_conversion_that_its_data_cannot_support(root, data):
    told = params(root, "maven", f"maven:{data}/maven_crm")
    found = measure(crm.open(told.source, as_of=told.last_known_on), told)
    first = found.steps.query("group == '' and step == 0").iloc[0]
    assert first["rate"] is None and first["dated"] == 0


def test_maven_as_of_an_earlier_day_knows_nothing_later(data):
    book = crm.open(f"maven:{data}/maven_crm", as_of="2017-06-30")
    deals = book.deals.execute()
    assert len(deals) < 8300 and deals["closed_at"].max().date() <= dt.date(2017, 6, 30)
    assert int((deals["status"] == "won").sum()) == 531 + 1254
    assert deals.loc[deals["status"] == "open", "amount_minor"].isna().all()  # an amount now would tell who wins


def test_bpic2012_has_its_checked_figures(root, data):
    told = params(root, "bpic2012", f"bpic2012:{data}/bpic2012")
    book = crm.open(told.source, as_of=told.last_known_on)
    found = measure(book, told)
    steps = found.steps.query("group == ''")
    assert steps["n_reached"].tolist() == [13_087, 7_367, 5_113]
    assert steps["n_moved"].tolist() == [7_367, 5_113, 2_246]
    standing = found.standing.set_index("stage")["n"]
    assert (standing["A_ACTIVATED"], standing["A_DECLINED"], standing["A_CANCELLED"]) == (2_246, 7_635, 2_807)
    life = found.lives.query("group == ''").iloc[0]
    assert (life["n"], life["n_open"]) == (13_087, 399)
    ended = sum(found.curves["now"].at(cause, 24 * 24).value for cause in ("won", "lost"))
    assert 0.8 < ended < 0.99  # at 24 days: the undecided are open, not lost
    assert book.about["n_left_out"] == {"changes": 262_200 - 38_255}


@pytest.mark.parametrize(
    ("variant", "folder", "expected"),
    [
        (
            "maven",
            "maven_crm",
            ["8,800", "4,238", "2,473", "63.15%", "$10,005,534", "deals.product: GTXPro → GTX Pro, 1,480 rows"],
        ),
        ("bpic2012", "bpic2012", ["13,087", "7,367", "5,113", "2,246", "399 are still open", "the CRM's change log"]),
    ],
)
def test_the_same_notebook_makes_their_pages(salesops, root, data, tmp_path, variant, folder, expected):
    done = salesops(
        "report", f"params/funnel.{variant}.yml", "-p", "source", f"{variant}:{data}/{folder}", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob(f"*/funnel.{variant}.html")
    text = " ".join(" ".join(Page(page).text).split())
    assert not [part for part in expected if part not in text]
    assert json.loads((page.parent / "manifest.json").read_text())["pages"][f"funnel.{variant}"]["hashes"]["data"]
