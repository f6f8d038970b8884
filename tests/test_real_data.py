"""Real exports through their mappings: the checked figures, to the last digit, on pages made by the same notebook."""

import datetime as dt
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from salesops import crm, yamlfile
from salesops.crm import importing
from salesops.crm import read as reading
from salesops.crm.mapping import Mapping
from salesops.funnel import Params, measure

from tests.test_report import Page

pytestmark = pytest.mark.real_data


def params(root: Path, variant: str, source: str) -> Params:
    path = root / "params" / f"funnel.{variant}.yml"
    return Params.check({**yamlfile.load(path), "source": source}, where=path.name)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert book.about["n_left_out"] == {"changes": {"of no use here": 262_200 - 38_255}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "folder", "expected"),
    [
        (
            "maven",
            "maven_crm",
            ["8,800", "4,238", "2,473", "63.15%", "$10,005,534", "deals.product: GTXPro → GTX Pro, 1,480 rows"],
        ),
        ("bpic2012", "bpic2012", ["13,087", "7,367", "5,113", "2,246", "399 are still open", "the CRM's change log"]),
        (
            "pbi",
            "pbi_regional_sales/extracted",
            ["known only as it is now, or was at closing", "Created → Won", "7,138"],
        ),
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


def amounts(frame) -> float:
    return frame["amount_minor"].sum() / 100


@pytest.mark.slow
def test_dynamics_like_tables_have_their_checked_figures(data):
    book = crm.open(f"pbi:{data}/pbi_regional_sales/extracted")
    deals = book.deals.execute()
    assert deals["status"].value_counts().to_dict() == {"lost": 7385, "won": 7282, "open": 5333}
    by = dict(list(deals.groupby("status")))
    assert (amounts(by["won"]), amounts(by["open"])) == (26_435_925, 27_812_381)
    assert by["open"]["stage"].value_counts().tolist() == [1_658, 1_578, 1_325, 772]
    assert amounts(by["open"][by["open"]["stage"] != "1-Qualify"]) == 19_900_361
    won = by["won"].groupby("rep_id")["amount_minor"].sum()
    names = book.reps.execute().set_index("rep_id")["name"]
    assert (names[won.idxmax()], won.max() / 100) == ("Riley Johnson", 3_439_781)
    assert len(names) == 20 and book.reps.execute()["manager_id"].nunique() == 3 and book.n_known["accounts"] == 300
    last, first = by["open"]["expected_close_on"].max(), deals["created_at"].min()
    assert (str(last)[:10], str(first)[:10]) == ("2022-05-01", "2019-06-22")


def test_leads_have_their_checked_figures(data):
    book = crm.open(f"olist:{data}/olist_funnel_pristine")
    leads = book.leads.execute()
    assert len(leads) == 8000 and int(leads["deal_id"].notna().sum()) == 842
    found = leads.groupby(leads["source"].fillna("")).agg(n=("lead_id", "size"), won=("deal_id", "count"))
    expected = {
        "unknown": (1099, 179), "paid_search": (1586, 195), "organic_search": (2296, 271), "direct_traffic": (499, 56),
        "referral": (284, 24), "social": (1350, 75), "display": (118, 6), "other_publicities": (65, 3),
        "email": (493, 15), "other": (150, 4), "": (60, 14),
    }  # fmt: skip
    assert {source: tuple(row) for source, row in found.iterrows()} == expected
    deals = book.deals.execute()
    begun = deals["deal_id"].map(leads.dropna(subset="deal_id").set_index("deal_id")["created_at"])
    days = (deals["closed_at"] - begun).dt.total_seconds() / 86_400
    assert (round(days.median(), 2), int((days < 0).sum())) == (14.65, 1)


@pytest.mark.slow
def test_invoice_lines_in_305_files_have_their_checked_figures(data):
    book = crm.open(f"online_retail:{data}/online_retail")
    table = book.purchases.execute()
    bought = table[table["amount_minor"] > 0]
    assert amounts(bought) == 8_911_407.90 and bought["account_id"].nunique() == 4_338
    assert amounts(table) == 8_300_065.81  # returns and cancellations taken off
    left_out = book.about["n_left_out"]["purchases"]
    assert left_out["without a customer"] == 135_080 and sum(left_out.values()) + len(table) == 541_909
    month = bought["bought_at"].dt.year * 12 + bought["bought_at"].dt.month - 1
    first = month.groupby(bought["account_id"]).transform("min")
    sizes = bought[month == first].groupby(first)["account_id"].nunique()
    assert sizes.tolist() == [885, 417, 380, 452, 300, 284, 242, 188, 169, 299, 358, 323, 41]
    oldest = bought[first == first.min()].groupby(month - first)["account_id"].nunique()
    assert oldest.tolist() == [885, 324, 286, 340, 321, 352, 321, 309, 313, 350, 331, 445, 235]


@pytest.mark.slow
def test_targets_in_columns_and_orders_in_lines_have_their_checked_figures(data):
    book = crm.open(f"aw:{data}/aw_sales_targets")
    quotas, deals, reps = book.quotas.execute(), book.deals.execute(), book.reps.execute().set_index("rep_id")["name"]
    assert (len(quotas), quotas["rep_id"].nunique(), amounts(quotas)) == (809, 18, 676_210_000)
    assert (len(deals), book.n_known["lines"], amounts(deals)) == (3_616, 57_851, 77_548_570.20)
    assert book.lines.execute()["net_amount_minor"].sum() == 7_754_857_020
    fiscal = deals["closed_at"].dt.year + (deals["closed_at"].dt.month >= 7)
    assert (deals.groupby(fiscal)["amount_minor"].sum() / 100).tolist() == [16_429_042.60, 27_979_779.53, 33_139_748.07]
    target = quotas[quotas["period"].between("2019-07", "2020-06")].groupby("rep_id")["amount_minor"].sum()
    sold = deals[fiscal == 2020].groupby("rep_id")["amount_minor"].sum()
    attained = (sold / target).rename(reps).map("{:.1%}".format)
    assert [attained[name] for name in ("Lynn Tsoflias", "Ranjit Varkey Chudukatil", "Jillian Carson", "Shu Ito")] == [
        "137.5%", "102.9%", "98.0%", "13.7%",
    ]  # fmt: skip


def test_a_russian_export_has_its_checked_figures(data):
    book = crm.open(f"ru_wholesale:{data}/ru_wholesale_2020")
    revenue = book.revenue.execute()
    assert amounts(revenue) == 237_276_715 and set(revenue["currency"]) == {"RUB"}
    assert book.about["n_left_out"]["revenue"]["added up with others of the same key"] + len(revenue) == 3_439
    assert "О'КЕЙ" in set(revenue["account_id"]) and revenue["month_on"].nunique() == 12


@pytest.mark.slow
def test_warehouse_tables_import_with_their_deleted_and_merged_rows(data, tmp_path):
    """Every opportunity of these seeds is deleted; their words are hashed, and their tables do not fit together."""
    importing.bring_in("salesforce", [data / "dbt_salesforce_seeds"], tmp_path / "sf", currency="USD")
    book = crm.open(tmp_path / "sf")
    assert book.about["n_left_out"]["deals"] == {"deleted": 10} and not book.has("deals")
    assert book.about["n_rows"]["reps"] == 10 and not book.about["n_refused"].get("reps")
    mapping = yamlfile.load(Path("params/crm/hubspot.yml")) | {"max_refused": 1, "currency": "USD"}
    got = reading.read(data / "dbt_hubspot_seeds", Mapping(**mapping), tmp_path)
    assert got.n_left_out["stages"] == {"deleted": 2}
    assert pq.read_metadata(tmp_path / "deals.parquet").num_rows == 44
