"""Restatements: told and now against a loop over two books, causes that sum exactly, each cause by hand."""

import datetime as dt
import itertools
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure
from salesops import crm, lang, restated
from salesops.restated import charts, tables, words
from salesops.restated.compute import CAUSES

from tests.conftest import bare_book, checked


@pytest.fixture(scope="module")
def found(book):
    return restated.measure(book, checked("restated"))


def test_figures_equal_two_books(found, book):
    now = book.deals.execute()
    for month, day in (("2026-07", "2026-07-31"), ("2026-08", "2026-08-31"), ("2026-09", "2026-09-30")):
        then = crm.open("sample", as_of=day).deals.execute()
        for side, deals in (("then", then), ("now", now)):
            closed = deals[deals["closed_at"].dt.strftime("%Y-%m") == month]
            won = closed[closed["status"] == "won"]
            created = (deals["created_at"].dt.strftime("%Y-%m") == month).sum()
            told = found.told[found.told["month_on"] == dt.date.fromisoformat(f"{month}-01")].set_index("figure")[side]
            assert told.to_dict() == {"bookings": won["amount_minor"].sum(), "n_won": len(won),
                                      "n_lost": (closed["status"] == "lost").sum(), "n_created": created}  # fmt: skip


def test_causes_sum_to_the_change(found):
    told = found.told
    assert (told["then"] + told[list(CAUSES)].sum(axis=1) == told["now"]).all()
    sums = found.deals.groupby(["month_on", "figure"])["change"].sum()
    for row in told.itertuples():
        assert sums.get((row.month_on, row.figure), 0) == row.now - row.then
    assert (told["undone"] < 0).any()  # the sample re-opens deals that were lost


def history(folder) -> crm.Book:
    """Won in September: A, whose amount is put right in October; B, which is opened again; C, which stays."""
    log = [("A", "2026-09-01", "created", None, "Open"), ("A", "2026-09-01", "amount", None, "10000"),
           ("A", "2026-09-10", "stage", "Open", "Won"), ("A", "2026-10-05", "amount", "10000", "13000"),
           ("B", "2026-09-01", "created", None, "Open"), ("B", "2026-09-01", "amount", None, "5000"),
           ("B", "2026-09-12", "stage", "Open", "Won"), ("B", "2026-10-07", "stage", "Won", "Open"),
           ("C", "2026-08-02", "created", None, "Open"), ("C", "2026-08-02", "amount", None, "7000"),
           ("C", "2026-09-20", "stage", "Open", "Won")]  # fmt: skip
    changes = pd.DataFrame(log, columns=["deal_id", "changed_at", "field", "old_value", "new_value"])
    changes["changed_at"] = pd.to_datetime(changes["changed_at"])
    deals = pd.DataFrame({"deal_id": ["A", "B", "C"], "stage": ["Won", "Open", "Won"], "pipeline": "",
                          "created_at": pd.to_datetime(["2026-09-01", "2026-09-01", "2026-08-02"]),
                          "amount_minor": [13_000, 5_000, 7_000]})  # fmt: skip
    stages = pd.DataFrame({"pipeline": "", "stage": ["Open", "Won"], "position": [1, 2], "kind": ["open", "won"]})
    return bare_book(folder, exported_on="2026-10-31", deals=deals, changes=changes, stages=stages)


def test_each_cause_by_hand(tmp_path):
    found = restated.measure(history(tmp_path), checked("restated", months=1))
    row = found.told.set_index("figure").loc["bookings"]
    assert (row["then"], row["now"]) == (22_000, 20_000)
    assert row[list(CAUSES)].to_dict() == {"late": 0, "dated": 0, "undone": -5_000, "vanished": 0, "amount": 3_000}
    said = words.findings(found)[0]
    assert said.headline == ("Bookings of September 2026 are −$20 against what was told at its end: $200 after $220")
    assert said.key == "bookings/2026-09" and said.money == 20
    assert found.deals["deal_id"].tolist()[:2] == ["B", "A"]


def test_a_source_without_a_log_is_refused(tmp_path):
    deals = pd.DataFrame(
        {"deal_id": ["A"], "stage": ["Won"], "pipeline": [""], "closed_at": [pd.Timestamp("2026-09-01")]}
    )
    stages = pd.DataFrame({"pipeline": [""], "stage": ["Won"], "position": [1], "kind": ["won"]})
    book = bare_book(tmp_path, exported_on="2026-10-31", deals=deals, stages=stages)
    with pytest.raises(ValueError, match="keeps no log of changes"):
        restated.measure(book, checked("restated"))
    with pytest.raises(ValueError, match="no earlier month was watched"):
        restated.measure(crm.open("sample"), checked("restated", period="2023-11"))


def test_a_book_on_an_earlier_day_is_that_of_the_day(book):
    for narrowed in ({}, {"region": "EMEA"}):
        then, day = crm.open("sample", as_of="2026-08-31", **narrowed), dt.date(2026, 8, 31)
        same = crm.open("sample", **narrowed).on(day)
        assert same.as_of == day and not same.complete
        columns = [name for name in then.deals.columns if name != "region"]
        one, other = (b.deals.order_by("deal_id").select(*columns).execute() for b in (then, same))
        pd.testing.assert_frame_equal(one, other)
        assert same.leads.count().execute() == then.leads.count().execute()


def test_words_hold_in_every_shape_of_result(found, tmp_path):
    nothing = found._replace(told=found.told.assign(now=found.told["then"], **dict.fromkeys(CAUSES, 0)),
                             deals=found.deals.head(0))  # fmt: skip
    shapes = (found, nothing, restated.measure(history(tmp_path), checked("restated", months=1)))
    for one, language in itertools.product(shapes, ("en", "ru")):
        lang.use(language)
        shown = [t for t in (tables.told_table(one), tables.deal_table(one)) if t]
        text = [part for made in (*words.findings(one), *words.tiles(one)) for part in made if isinstance(part, str)]
        text += [cell for t in shown for row in ([t.caption], t.columns, t.notes, *t.rows) for cell in row]
        text += [words.caption(), words.step_alt(one), words.note(one), *words.facts(one)]
        assert not [part for part in text if re.search(r"[{}]|\b(nan|None|inf)\b", part)]
        assert all(len(row) == len(t.columns) == len(t.numeric) for t in shown for row in t.rows)
        figure = Figure()
        charts.plot_steps(*words.step_rows(one), ax=figure.add_subplot())
        figure.canvas.draw()
    assert words.findings(nothing)[0].tone == "good"
