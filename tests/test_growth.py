"""Growth: exact contributions, what has stopped growing, concentration, each against a loop or a hand-made case."""

import datetime as dt
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from matplotlib.figure import Figure
from salesops import crm, growth, lang
from salesops.growth import (
    charts,
    compute,  # noqa: F401
    tables,
    words,
)
from salesops.growth.compute import _stalled, bend, yearly
from salesops.growth.concentrated import concentration

from tests.conftest import bare_book, checked


@pytest.fixture(scope="module")
def found(book):
    return growth.measure(book, checked("growth"))


def won(book):
    deals = book.deals.execute()
    deals = deals[deals["status"] == "won"]
    year = np.where(
        deals["closed_at"] >= "2025-11-01", "now", np.where(deals["closed_at"] >= "2024-11-01", "before", "")
    )
    return deals.assign(span=year)


def test_contributions_equal_a_loop_and_sum_to_the_whole(found, book):
    deals = won(book)
    for name in ("now", "before"):
        here = deals[deals["span"] == name]
        assert getattr(found, name) == here["amount_minor"].sum() and getattr(found, f"n_{name}") == len(here)
        for split in ("region", "source", "segment", "product", "deal_type"):
            assert found.parts[split][name].to_dict() == (
                here.groupby(here[split].fillna(crm.NOT_KNOWN))["amount_minor"].sum().to_dict()
            )
    for table in found.parts.values():
        assert table["now"].sum() - table["before"].sum() == found.now - found.before
    assert found.home == ("North America", *(
        float(found.parts["region"].loc["North America", name] / getattr(found, name)) for name in ("now", "before")
    ))  # fmt: skip


def test_customers_are_as_old_as_their_first_deal(found, book):
    """The record begins in November 2023, twelve months before the earlier span: of both spans twelve months are looked
    back, so that nobody can be told to be older than a year."""
    deals = won(book)
    assert found.known_months == 12
    for name, begun, since in (("now", "2025-11-01", "2024-11-01"), ("before", "2024-11-01", "2023-11-01")):
        here = deals["span"] == name
        first = deals["closed_at"].where(deals["closed_at"] >= since).groupby(deals["account_id"]).transform("min")
        age = np.where(first >= begun, "new", "known")
        sums = deals[here].groupby(age[here])["amount_minor"].sum()
        assert found.parts["customer"][name][sums.index].to_dict() == sums.to_dict()


def test_the_stalled_region_is_found_with_its_growth(found):
    (one,) = found.stalled
    assert one.group == "LatAm" and one.p_adjusted < 0.01 and found.tried == 4
    assert one.own.low < 0 < one.own.high and one.others.low > 0
    said = [said for said in words.findings(found) if said.key == "stalled/region/LatAm"]
    assert "LatAm has stopped growing" in said[0].headline and said[0].money > 0 and said[0].p == one.p_adjusted


@pytest.mark.slow
def test_a_region_is_said_to_have_stopped_where_it_has_and_rarely_elsewhere():
    """Six companies with a stalled region, six without; of more, benchmarks/front.py."""
    hits = false = 0
    for seed in range(6):
        there = growth.measure(crm.open(f"sample:deals=12000,seed={seed + 50}"), checked("growth"))
        hits += [one.group for one in there.stalled] == ["LatAm"]
        none = growth.measure(crm.open(f"sample:deals=12000,seed={seed + 50},planted=0"), checked("growth"))
        false += bool(none.stalled)
    assert hits >= 3 and false <= 1, (hits, false)


def test_p_of_a_bend_is_as_rare_as_it_says():
    rng = np.random.default_rng(5)
    season = 1 + 0.2 * np.sin(np.arange(36) / 2) + np.arange(36) / 60
    drawn = [pd.DataFrame({"a": rng.poisson(30 * season), "b": rng.poisson(90 * season)}) for _ in range(1500)]
    p = np.array([bend(one, "a", 18) for one in drawn])
    assert 0.03 < (p < 0.05).mean() < 0.065
    assert bend(pd.DataFrame({"a": [30] * 18 + [30 - k for k in range(18)], "b": [90] * 36}), "a", 18) < 1e-6
    assert yearly(np.round(1000 * 1.02 ** np.arange(24)).astype(int)).value == pytest.approx(1.02**12 - 1, abs=0.002)


def stalled(groups, **changed):
    return _stalled(pd.DataFrame(groups), checked("growth", **changed), None)


def test_regions_that_open_or_close_are_told_for_what_they_are():
    rng = np.random.default_rng(4)
    old = {name: rng.poisson(60, 36) for name in "abc"}
    opened = old | {"new": np.r_[np.zeros(24, dtype=int), rng.poisson(300, 12)]}
    assert stalled(opened)[0] == [] and stalled(opened)[1] == 3  # who takes share from all makes none of them stop
    for months in (18, 17, 12):
        closed = old | {"d": np.r_[rng.poisson(60, 36 - months), np.zeros(months, dtype=int)]}
        found, _tried, _p = stalled(closed)
        assert [one.group for one in found] == ["d"] and found[0].own is None
    growing = old | {"d": rng.poisson(40 * 1.03 ** np.arange(36)), "e": rng.poisson(20 * 1.09 ** np.arange(36))}
    assert not [one.group for one in stalled(growing)[0] if one.group == "d"]  # slower than another is no stop
    step = old | {"d": np.r_[rng.poisson(80, 8), rng.poisson(60, 28)]}
    assert "d" not in [one.group for one in stalled(step)[0]]


def test_the_weighted_pipeline_without_its_largest_customer(found, book):
    """Deal by deal in plain Python; deals without a customer count for the whole and are nobody's."""
    chance = {(row.pipeline, row.stage): row.probability for row in book.stages.execute().itertuples()}
    held = {}
    for row in book.deals.execute().itertuples():
        if row.status == "open" and row.amount_minor > 0:
            own = row.account_id if isinstance(row.account_id, str) else None
            held[own] = held.get(own, 0) + round(row.amount_minor * chance[row.pipeline, row.stage])
    most = max(value for own, value in held.items() if own)
    assert found.largest_weighted[1] == pytest.approx(most, abs=2)
    assert found.largest_weighted[2] == pytest.approx(sum(held.values()), abs=len(held))
    assert found.weighted_customers.n == len(held) - (None in held)
    said = words.findings(found)[-1]
    assert said.headline.startswith("Without its largest customer the weighted pipeline is $") and not said.key
    much = found._replace(most_of_one=0.0001)
    assert words.findings(much)[-1].key == "largest_weighted"
    assert growth.compute._largest_weighted(book, pd.DataFrame({"account_id": [np.nan], "weighted": [5]})) is None


def test_concentration_by_hand():
    """Shares 1/2, 1/4, 1/4: Herfindahl 3/8, as 8/3 equal ones; Gini 1/6."""
    one = concentration([50, 25, 25, 0])
    assert (one.n, one.tops, one.hhi) == (3, (0.5, 1.0, 1.0), 0.375)
    assert one.effective == pytest.approx(8 / 3) and one.gini == pytest.approx(1 / 6)
    assert concentration([]) is None and concentration([7]).effective == 1


@given(some.lists(some.integers(1, 10**9), min_size=1, max_size=60), some.integers(2, 9))
def test_concentration_keeps_its_laws(amounts, times):
    one, more = concentration(amounts), concentration(amounts * times)
    assert 1 - 1e-9 <= one.effective <= len(amounts) + 1e-6 and -1e-9 <= one.gini < 1
    assert more.effective == pytest.approx(times * one.effective) and more.gini == pytest.approx(one.gini, abs=1e-9)
    assert list(one.tops) == sorted(one.tops) and one.tops[0] >= 1 / len(amounts) - 1e-12


def test_holders_equal_a_loop(found, book):
    deals = won(book)
    here = deals[deals["span"] == "now"]
    top = here.groupby("account_id")["amount_minor"].sum().sort_values(ascending=False)
    one = found.held["customer"][0]
    assert one.n == (top > 0).sum() and one.tops[0] == top.iloc[0] / top.sum()
    assert one.tops[2] == pytest.approx(top.head(10).sum() / top.sum())
    open_ = book.deals.execute().query("status == 'open' and amount_minor > 0")
    assert found.open_deals.tops[0] == open_["amount_minor"].max() / open_["amount_minor"].sum()
    name, share, with_, without = found.largest
    mine = deals[deals["account_id"] == top.index[0]].groupby("span")["amount_minor"].sum()
    assert with_ == found.now / found.before - 1 and share == top.iloc[0] / found.now
    rest = (found.now - mine.get("now", 0)) / (found.before - mine.get("before", 0)) - 1
    assert without == pytest.approx(rest) and name


def small(folder, amounts, **columns) -> crm.Book:
    """A book of won deals: (day, amount, region, customer) each."""
    table = pd.DataFrame(amounts, columns=["closed_at", "amount_minor", "region", "account_id"])
    table = table.assign(deal_id=[f"D{k}" for k in range(len(table))], stage="Won", pipeline="",
                         closed_at=pd.to_datetime(table["closed_at"]), **columns)  # fmt: skip
    stages = pd.DataFrame({"pipeline": [""], "stage": ["Won"], "position": [1], "kind": ["won"]})
    return bare_book(folder, exported_on="2026-10-31", deals=table, stages=stages)


TRAP = [("2024-11-01", 100, "Home", "A"), ("2025-01-10", 900, "Home", "A"), ("2025-02-10", 500, "Away", "B"),
        ("2025-12-10", 2000, "Home", "A"), ("2026-02-10", 450, "Away", "B")]  # fmt: skip


def test_growth_from_home_alone_is_said(tmp_path):
    found = growth.measure(small(tmp_path, TRAP), checked("growth"))
    said = {one.key: one for one in words.findings(found)}
    assert "Growth comes from Home" in said["home"].headline and said["home"].money == 10
    assert "18% of bookings come from outside of Home, 33% before" in said["home"].detail
    assert said["largest/customer"].headline.startswith("82% of bookings come through one of 2")
    assert said["largest_customer"].headline == "Without the largest customer growth is −10.0%, with it +63.3%"
    with pytest.raises(ValueError, match="home 'Mars' is not a region of the source; it has: Away, Home"):
        growth.measure(small(tmp_path / "b", TRAP), checked("growth", home="Mars"))


@pytest.mark.slow
def test_a_part_is_not_compared_with_a_whole(book, tmp_path):
    """A month that has begun is left out, and the page says so; one that is not there yet is refused."""
    begun = growth.measure(crm.open("sample", as_of=dt.date(2026, 10, 12)), checked("growth", as_of="2026-10-12"))
    assert begun.partial and str(begun.spans.now.last_on) == "2026-09-30" and begun.known_months == 11
    assert "customer" not in begun.parts and "the month that has begun is left out" in words.facts(begun)
    with pytest.raises(ValueError, match="the source ends on 2026-10-31, before it"):
        growth.measure(book, checked("growth", period="2026-11"))
    with pytest.raises(ValueError, match="as many before would begin in 2022-11"):
        growth.measure(book, checked("growth", months=24))
    with pytest.raises(ValueError, match="no growth to tell"):
        growth.measure(small(tmp_path, TRAP[:3]), checked("growth"))
    back = [(day, -amount, *who) for day, amount, *who in TRAP]
    with pytest.raises(ValueError, match="comes to nothing, or less, .* no growth to tell"):
        growth.measure(small(tmp_path / "back", back), checked("growth"))


def test_words_hold_in_every_shape_of_result(found, book, tmp_path):
    emea = checked("growth", region="EMEA")
    shapes = [found, growth.measure(small(tmp_path, TRAP), checked("growth")),
              growth.measure(crm.open(**emea.book), emea)]  # fmt: skip
    for one, language in itertools.product(shapes, ("en", "ru")):
        lang.use(language)
        shown = [tables.part_table(one), tables.held_table(one)]
        text = [part for made in (*words.findings(one), *words.tiles(one)) for part in made if isinstance(part, str)]
        text += [cell for t in shown for row in ([t.caption], t.columns, t.notes, *t.rows) for cell in row]
        text += [words.caption(), words.change_alt(one), words.share_alt(one), words.note(one), *words.facts(one)]
        assert not [part for part in text if re.search(r"[{}]|\b(nan|None|inf)\b", part)]
        assert all(len(row) == len(t.columns) == len(t.numeric) for t in shown for row in t.rows)
        figure = Figure()
        charts.plot_changes(words.change_rows(one), currency="USD", ax=figure.add_subplot(121))
        charts.plot_shares(words.share_lines(one), ["LatAm"], ax=figure.add_subplot(122))
        figure.canvas.draw()


@pytest.mark.real_data
def test_a_shop_has_its_checked_figures(data):
    params = checked("growth", source=f"superstore:{data}/superstore", period="2017-12", months=12)
    book = crm.open(**params.book)
    deals, lines = book.deals.execute(), book.lines.execute()
    # The file's own sum is 2,297,200.86, with up to four decimals in a line; here each line is in whole cents.
    assert abs(lines["net_amount_minor"].sum() - 2_297_200_86) < 25 and len(deals) == 5_009
    assert book.n_known["accounts"] == 793
    found = growth.measure(book, params)
    here = deals[deals["closed_at"] >= "2017-01-01"]
    top = here.groupby("account_id")["amount_minor"].sum().sort_values(ascending=False)
    one = found.held["customer"][0]
    assert one.n == len(top) and one.hhi == pytest.approx(((top / top.sum()) ** 2).sum())
    assert set(found.parts["customer"].index) == {"new", "young", "old"}
    assert found.now == here["amount_minor"].sum() and found.parts["region"]["now"].sum() == found.now
