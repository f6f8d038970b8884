"""The month's front page: what comes onto it and in which order, ids that last, what closed, what is told
differently."""

import json
import shutil
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from salesops import check, findings, periods
from salesops.problems import BadInput
from salesops.report import asks, front, ledger, records, show, spark
from salesops.report.manifest import Folder

NASTY = "<b onclick=x>R&D</b>"


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def record(stem="funnel", said=(), tiles=(), *, lang="en", region="", month="2026-10") -> dict:
    period = periods.parse(month)
    return {
        "page": f"{stem}.html", "analysis": stem.split(".")[0], "params_file": f"params/{stem.split('.')[0]}.yml",
        "lang": lang, "title": stem, "company": "Northwind", "currency": "USD", "period": f"{period.first_on:%B %Y}",
        "as_of": str(period.last_on), "headline": said[0].headline if said else stem, "deck": "", "seconds": {},
        "hashes": {"page": f"{stem}{month}"}, "versions": {}, "tiles": [one._asdict() for one in tiles],
        "parameters": {"region": region, "team": "", "period": month, "lang": lang},
        "findings": [one._asdict() for one in said],
    }  # fmt: skip


def finding(key, *, money=None, p=None, family="", cause="", tone="bad", status=False, headline=None):
    return findings.Finding(tone, headline or f"About {key}", "And more.", key, cause, money, p, family, status)


def folder(path, *records, **options) -> Folder:
    made = Folder(path, **options)
    path.mkdir(parents=True, exist_ok=True)
    for one in records:
        made.made(one["page"].removesuffix(".html"), "<html>", one)
    made.write()
    return made


# --- which findings, in which order ---


def keys(pages, language="en"):
    return [row.key for row in ledger.candidates(pages, language, "2026-10")]


def test_money_times_surprise_ranks_and_one_cause_comes_once():
    pages = {
        "a": record("a", [finding("small", money=10), finding("large", money=1000), finding("unknown"),
                          finding("doubled", money=500, cause="x"), finding("", money=10**9)]),
        "b": record("b", [finding("twin", money=400, cause="x"), finding("plan", money=10**9, status=True)]),
        "ru": record("c", [finding("foreign", money=10**9)], lang="ru"),
    }  # fmt: skip
    assert keys(pages) == ["large", "doubled", "unknown", "small"]  # of 10, 400, 500, 1000 the lower quartile is 400
    assert keys(pages, "ru") == ["foreign"]
    sure = {"a": record("a", [finding("sure", money=100, p=1e-9), finding("counted", money=300)])}
    assert keys(sure) == ["sure", "counted"] and ledger.surprise(1e-9) == 10 and ledger.surprise(0.25) == 2


def test_claims_of_all_pages_are_held_to_one_rate():
    """Of ten families, two are chosen at 0.05: within them the level is 0.01 (Benjamini, Bogomolov 2014)."""
    quiet = {f"q{k}": record(f"q{k}", [finding("", p=0.6 + k / 100, family="f", tone="plain")]) for k in range(8)}
    loud = {"a": record("a", [finding("one", p=0.001, family="f"), finding("two", p=0.015, family="f")]),
            "b": record("b", [finding("three", p=0.008, family="f"), finding("counted")])}  # fmt: skip
    assert set(keys(loud | quiet)) == {"one", "three", "counted"}
    assert set(keys(loud)) == {"one", "two", "three", "counted"}  # two of two: the level stays 0.05
    alone = {"a": record("a", [finding("weak", p=0.03, family="f")])}
    assert keys(alone) == ["weak"] and keys(alone | quiet) == []
    tried = {"q": record("q", [finding("", family="tried", tone="plain"), finding("", tone="plain")])}
    assert keys(alone | tried) == []  # of two families one has found nothing: the level is 0.025


def test_ids_last_and_tell_regions_apart():
    one = ledger.identify("params/funnel.yml", "", "", "stale")
    assert one == ledger.identify("params/funnel.yml", "", "", "stale") and len(one) == 8
    others = [("params/funnel.yml", "EMEA", "", "stale"), ("params/funnel.yml", "", "EMEA", "stale"),
              ("params/funnel.x.yml", "", "", "stale"), ("params/funnel.yml", "", "", "old")]  # fmt: skip
    assert len({one, *(ledger.identify(*other) for other in others)}) == 5
    english, russian = (record("a", [finding("stale")], lang=lang) for lang in ("en", "ru"))
    ids = {
        row.id for lang, page in (("en", english), ("ru", russian)) for row in ledger.candidates({"a": page}, lang, "x")
    }
    assert len(ids) == 1


# --- from month to month ---


def test_findings_are_open_for_months_closed_and_found_again(tmp_path):
    months = {"2026-07": ["a", "b"], "2026-08": ["a"], "2026-09": ["a", "b"], "2026-10": ["b"]}
    for month, said in months.items():
        money = {"a": 1e6 * int(month[-2:]), "b": 5e6}
        page = record("funnel", [finding(key, money=money[key]) for key in said], month=month)
        folder(tmp_path / month, page)
    told = {month: Page(tmp_path / month / "index.html").said for month in months}
    assert "new" not in told["2026-07"] and "open for" not in told["2026-07"]
    assert "open for 2 months, $1M more than before" in told["2026-08"]
    assert "Not found any more – About b. Not looked at again." in told["2026-08"]
    assert "open for 3 months" in told["2026-09"] and "again; first found in July 2026" in told["2026-09"]
    assert "open for 2 months" in told["2026-10"] and "September 2026 August 2026 July 2026" in told["2026-10"]
    rows = ledger.read(tmp_path / "2026-10")
    assert [(row.key, row.state, row.rank) for row in rows] == [("b", "open", 1), ("a", "closed", 0)]
    shutil.rmtree(tmp_path / "2026-09")  # pages can be made again, and what was found stays known
    folder(tmp_path / "2026-10", record("funnel", [finding("b")]))
    assert "open for 2 months" in Page(tmp_path / "2026-10" / "index.html").said
    shutil.rmtree(records.place(tmp_path / "2026-09"))  # a month that was not run breaks the chain
    folder(tmp_path / "2026-10", record("funnel", [finding("b")]))
    assert "open for" not in Page(tmp_path / "2026-10" / "index.html").said


def test_a_verdict_is_kept_and_said(tmp_path):
    folder(tmp_path / "2026-09", record("funnel", [finding("a"), finding("b")], month="2026-09"))
    now = folder(tmp_path / "2026-10", record("funnel", [finding("c")]))
    ids = {row.key: row.id for row in now.findings()}
    now.judge({(ids["a"], "en"): ledger.HELD, (ids["b"], "en"): ledger.GONE})
    now.write()
    again = Folder(tmp_path / "2026-10")
    assert {row.key: row.verdict for row in again.findings()} == {"a": "held", "b": "gone", "c": ""}
    said = Page(tmp_path / "2026-10" / "index.html").said
    assert "About a. It was true" in said and "About b. It is not found of its month any more" in said


def test_periods_of_every_kind_follow_on_each_other(tmp_path):
    for names in (
        ("2026-12", "2027-01"),
        ("2025-Q4", "2026-Q1"),
        ("2025", "2026"),
        ("2025-05..2025-10", "2025-11..2026-04"),
    ):
        before, here = (tmp_path / name for name in names)
        folder(before, record("funnel", [finding("a")]))
        assert ledger.earlier(here) == [before], names
    assert ledger.earlier(tmp_path / "notes") == []


@pytest.mark.parametrize("damage", [b"hello", b"PAR1 not", "money"])
def test_damaged_findings_of_the_month_before_are_said_and_stop_nothing(tmp_path, damage):
    """Nothing is called new where what was there before cannot be read."""
    for month in ("2026-07", "2026-08", "2026-09"):
        folder(tmp_path / month, record("funnel", [finding("stale", money=4e6)], month=month))
    path = records.findings(tmp_path / "2026-09")
    if damage == "money":
        table = pq.read_table(path)
        table = table.set_column(table.column_names.index("money"), "money", pa.array(["lots"] * len(table)))
        pq.write_table(table, path)
    else:
        path.write_bytes(damage)
    with pytest.raises(ValueError, match="not as it was written"):
        ledger.read(tmp_path / "2026-09")
    folder(tmp_path / "2026-10", record("funnel", [finding("stale", money=5e6)]))
    page = Page(tmp_path / "2026-10" / "index.html")
    assert "The findings of September 2026 cannot be read" in page.said
    assert "new ·" not in page.said and "open for" not in page.said
    assert [row.key for row in ledger.read(tmp_path / "2026-10")] == ["stale"]


def test_what_was_not_looked_at_is_not_closed_and_keeps_its_age(tmp_path):
    """Growth was not in September's run: its finding is not said to be gone, and is three months old in October."""
    both = [record("funnel", [finding("stale")]), record("growth", [finding("stalled")])]
    folder(tmp_path / "2026-08", *(one | {"period": "August 2026"} for one in both))
    folder(tmp_path / "2026-09", record("funnel", [], month="2026-09"))
    rows = {row.key: row for row in ledger.read(tmp_path / "2026-09")}
    assert rows["stale"].state == ledger.CLOSED and rows["stalled"].state == ledger.UNSEEN and rows["stalled"].rank
    said = Page(tmp_path / "2026-09" / "index.html").said
    assert said.index("Not found any more") < said.index("About stale") < said.index("Not looked at")
    assert said.index("Not looked at") < said.index("About stalled") < said.index("Its page was not made")
    folder(tmp_path / "2026-10", *both)
    said = Page(tmp_path / "2026-10" / "index.html").said
    assert "open for 3 months" in said and "again; first found" in said
    old = folder(tmp_path / "2026-11", record("funnel", [], month="2026-11"), record("growth", [], month="2026-11"))
    assert {row.state for row in old.findings()} == {ledger.CLOSED}


def test_a_closed_finding_whose_page_is_asked_otherwise_says_so(tmp_path):
    folder(tmp_path / "2026-09", record("funnel", [finding("stale")], month="2026-09"))
    now = record("funnel", [])
    now["parameters"] |= {"min_deals": 90}
    folder(tmp_path / "2026-10", now)
    assert "Its page is asked otherwise since then: min_deals." in Page(tmp_path / "2026-10" / "index.html").said


def test_what_is_of_an_earlier_run_is_marked_where_it_is_read(tmp_path):
    status = finding("plan", status=True, headline="On plan", tone="good")
    made = folder(
        tmp_path / "2026-10", record("scorecard", [status, finding("fell")], [tile(0.2, 0.3)]), record("leads")
    )
    made.failed("scorecard", language="en", ending="cell_error", reason="no target", notebook=None)
    made.failed("growth", language="en", ending="cell_error", reason="no home", notebook=None)
    made.write()
    said = Page(tmp_path / "2026-10" / "index.html").said
    assert said.index("Of an earlier run: scorecard. Not made: growth.") < said.index("Are we on plan?")
    assert said.count("of an earlier run") == 3  # the status, the tile, the finding
    assert "Not renewed on" in said and "Not made on" in said
    nothing = folder(tmp_path / "2026-09")
    nothing.failed("growth", language="en", ending="cell_error", reason="no home", notebook=None)
    nothing.write()
    said = Page(tmp_path / "2026-09" / "index.html").said
    assert "September 2026" in said and "Nothing was made" in said and "Not renewed" not in said


def test_a_running_month_is_not_judged_as_if_it_were_over(tmp_path):
    """Due on the 20th: not overdue on the 15th; in Russian, where days are written otherwise, neither."""
    ask = asks.Ask(
        what={"en": "Decide", "ru": "Решить"}, owner="Head", due="2026-10-20", since="2026-10", source="sample"
    )
    for day, state in (("2026-10-15", ("open", "открыто")), ("2026-10-21", ("overdue", "просрочено"))):
        pages = [record(stem, [finding("fell")], lang=language) for stem, language in (("a", "en"), ("a.ru", "ru"))]
        for page in pages:
            page["parameters"] |= {"as_of": day, "source": "sample"}
            page["as_of"] = "15 окт. 2026"
        folder(tmp_path / day / "2026-10", *pages, asks=[ask])
        for name, word in zip(("index.html", "index.ru.html"), state, strict=True):
            assert (
                f"Head {'20 Oct 2026' if name == 'index.html' else '20 окт. 2026'}"
                in Page(tmp_path / day / "2026-10" / name).said
            )
            assert f" {word} " in Page(tmp_path / day / "2026-10" / name).said.lower()
    pages[0]["parameters"] |= {"source": "another"}
    folder(tmp_path / "b" / "2026-10", pages[0], asks=[ask])
    assert "Decide" not in Page(tmp_path / "b" / "2026-10" / "index.html").said  # another source's page


def test_the_page_says_that_there_is_no_plan_and_whose_region_it_is(tmp_path):
    region = record("scorecard", [finding("fell")], [tile(0.2, 0.3)], region="EMEA")
    folder(tmp_path / "2026-10", region)
    said = Page(tmp_path / "2026-10" / "index.html").said
    assert "No page tells of a quota or a target" in said and "Northwind · EMEA · October 2026" in said


def test_details_end_with_a_sentence():
    long = "It fell to 46.5% in Q3. " + "The others rose by a point. " * 20
    assert front.shortened(long).endswith("a point.") and 200 < len(front.shortened(long)) <= 260
    assert front.shortened("One sentence " * 40) == "One sentence " * 40
    assert front.shortened("At 5 p.m. it was so. Then not.") == "At 5 p.m. it was so. Then not."


def test_regions_in_one_language_change_no_order_of_the_company():
    said = [finding("large", money=9e5), finding("unknown"), finding("small", money=3e5)]
    pages = {"a": record("a", said), "a.ru": record("a", said, lang="ru")}
    for k in range(9):
        pages[f"r{k}"] = record("b", [finding(f"k{k}", money=10)], region=f"R{k}")
    english = [key for key in keys(pages) if not key.startswith("k")]
    assert english == keys(pages, "ru") == ["large", "unknown", "small"]


def test_languages_are_held_to_the_same_rate():
    """Regions have pages in English only; what is said in Russian is what is said in English of the company."""
    claim = [finding("weak", p=0.02, family="f")]
    quiet = [record(f"q{k}", [finding("", p=0.6, family="f", tone="plain")], region=f"R{k}") for k in range(4)]
    pages = {"a": record("a", claim), "a.ru": record("a", claim, lang="ru"), **{one["page"]: one for one in quiet}}
    assert keys(pages) == keys(pages, "ru") == []
    assert keys({"a": pages["a"], "a.ru": pages["a.ru"]}, "ru") == ["weak"]


def tile(*series, key="win_rate", name="Win rate"):
    at = [f"2026-{k:02}" for k in range(11 - len(series), 11)]
    return findings.Tile(name, f"{series[-1]:.0%}", series=series, at=at, texts=[f"{x:.0%}" for x in series], key=key)


def test_what_is_told_differently_is_split_into_playbook_and_data(tmp_path):
    then = [findings.Tile("Win rate", "30%", series=[0.2, 0.3], at=["2026-08", "2026-09"], texts=["20%", "30%"],
    key="w"),
            findings.Tile("Same", "5%", series=[0.05], at=["2026-09"], texts=["5%"], key="s")]  # fmt: skip
    now = [findings.Tile("Win rate", "40%", series=[0.34, 0.4], at=["2026-09", "2026-10"], texts=["34%", "40%"],
    key="w"),
           findings.Tile("Same", "6%", series=[0.05, 0.06], at=["2026-09", "2026-10"], texts=["5%", "6%"],
           key="s")]  # fmt: skip
    folder(tmp_path / "2026-09", record("scorecard", [finding("a")], then, month="2026-09"))
    made = folder(tmp_path / "2026-10", record("scorecard", [finding("a")], now))
    assert [(new["name"], at) for new, _old, at in front.differing(made.pages["scorecard"],
    made.period_before["scorecard"])] == [
        ("Win rate", 0)
    ]  # fmt: skip
    for by_now, why in ((None, "not known"), ("30%", "later data"), ("34%", "definitions or the playbook"),
                        ("32%", "definitions or the playbook; later data")):  # fmt: skip
        if by_now:
            made.retell("scorecard", {"of": [], "texts": {"w": by_now}})
        made.write()
        said = Page(tmp_path / "2026-10" / "index.html").said
        assert f"Win rate September 2026 30% {by_now or '—'} 34% {why}" in said
        if by_now:
            assert Folder(tmp_path / "2026-10").retold["scorecard"]["texts"] == {"w": by_now}


# --- the page ---


def test_the_page_answers_plan_change_and_decision_first(tmp_path):
    ask = asks.Ask(what={"en": f"Decide {NASTY}", "ru": "Решить"}, owner=NASTY, due="2026-10-15", since="2026-09",
                   about=ledger.identify("params/funnel.yml", "", "", "k1"))  # fmt: skip
    said = [finding("plan", status=True, headline="On plan", tone="good"),
            *(finding(f"k{k}", money=10.0**k, headline=f"{NASTY} {k}") for k in range(9))]  # fmt: skip
    region = record("funnel.emea", [finding("plan", status=True, headline="EMEA is short")], region="EMEA")
    made = folder(tmp_path / "2026-10", record("funnel", said, [tile(0.2, 0.3)]), region, asks=[ask])
    made.failed("leads", language="en", ending="cell_error", reason=f"no {NASTY}", notebook=None)
    made.write()
    page = Page(tmp_path / "2026-10" / "index.html")
    text = (tmp_path / "2026-10" / "index.html").read_text("utf-8")
    assert "onclick=x>R" not in text.replace("&lt;", "<_")
    order = ["Are we on plan?", "What matters", "What is asked", "Also found", "Not made on", "Pages"]
    assert sorted(order, key=page.said.index) == order
    heads = [one for one in page.text if one.startswith(f"{NASTY} ")]
    assert [one[-2] if one.endswith(".") else one[-1] for one in heads] == list("876543210")
    status = page.said[page.said.index("Are we on plan?") : page.said.index("What matters")]
    assert "EMEA is short" not in status and "30%" in status  # a region's plan is not the company's
    assert "overdue" in page.said and page.said.count("at stake ·") == front.MOST
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    ids = [attributes["id"] for _tag, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) and all(link[1:] in ids for link in links if link.startswith("#"))
    assert {link for link in links if not link.startswith("#")} == {"funnel.html", "funnel.emea.html"}


def test_a_page_of_nothing_says_so(tmp_path):
    folder(tmp_path / "2026-10", record("funnel", [findings.Finding("plain", "All quiet")]))
    said = Page(tmp_path / "2026-10" / "index.html").said
    assert "Nothing was found that chance could not explain" in said and "What is asked" not in said
    (row,) = [*ledger.read(tmp_path / "2026-10"), None]
    assert row is None and not records.findings(tmp_path / "2026-10").exists()


def test_each_language_has_its_page_and_they_know_each_other(tmp_path):
    folder(tmp_path / "2026-10", record("funnel", [finding("a")]), record("funnel.ru", [finding("a")], lang="ru"))
    english, russian = (Page(tmp_path / "2026-10" / name) for name in ("index.html", "index.ru.html"))
    assert ("a", "index.ru.html") in [(tag, one.get("href")) for tag, one in english.tags]
    assert "Что важно" in russian.said and "What matters" not in russian.said
    only = folder(tmp_path / "b" / "2026-10", record("funnel.ru", [finding("a")], lang="ru"))
    assert "Что важно" in Page(only.path / "index.html").said


def test_a_sparkline_is_a_line_with_its_last_point():
    assert spark.line([1]) == "" and spark.line([float("nan"), 2]) == ""
    assert spark.line([0, 1, 0.5]).count(",") == 3 and "nan" not in spark.line([3, 3, 3])


def test_a_front_page_is_written_again_where_what_it_rests_on_changed_and_only_then(tmp_path):
    """What is asked, and the findings of the period before, though no page was made again."""
    october = tmp_path / "2026-10"
    folder(october, record("funnel", [finding("stale", money=5e6)]))
    index = october / "index.html"
    before = index.stat().st_mtime_ns, index.read_text("utf-8")
    Folder(october).write()
    assert index.stat().st_mtime_ns == before[0]
    ask = asks.Ask(
        what={"en": "Decide", "ru": "Решить"}, owner="Head", due="2026-11-15", since="2026-10", about="F-000000"
    )
    Folder(october, asks=[ask]).write()
    asked = index.read_text("utf-8")
    assert "Decide" in asked and "F-000000, not found now" in asked and "Decide" not in before[1]
    folder(tmp_path / "2026-09", record("funnel", [finding("stale", money=4e6)], month="2026-09"))
    Folder(october, asks=[ask]).write()
    assert "open for 2 months" in index.read_text("utf-8") and "open for 2 months" not in asked
    before = index.stat().st_mtime_ns
    Folder(october, asks=[ask]).write()
    assert index.stat().st_mtime_ns == before


def test_months_of_one_run_are_written_in_their_order(tmp_path):
    """The later one had been begun before the earlier one was whole."""
    later = folder(tmp_path / "2026-10", record("funnel", [finding("stale", money=5e6)]))
    folder(tmp_path / "2026-09", record("funnel", [finding("stale", money=4e6)], month="2026-09"))
    later.write()
    assert "open for 2 months" in (tmp_path / "2026-10" / "index.html").read_text("utf-8")


# --- asks ---


def write_asks(root, *entries):
    (root / "params").mkdir(exist_ok=True)
    (root / "params" / "asks.yml").write_text(yaml.safe_dump({"asks": list(entries)}, allow_unicode=True))


GOOD = {"what": {"en": "Decide", "ru": "Решить"}, "owner": "Head of sales", "due": "2026-11-13", "since": "2026-09"}


def test_asks_are_shown_from_their_first_month_until_done(tmp_path):
    write_asks(tmp_path, GOOD | {"done": "2026-10"})
    (ask,) = asks.read(tmp_path)
    stands = [month for month in ("2026-08", "2026-09", "2026-10", "2026-11") if ask.stands_in(periods.parse(month))]
    assert stands == ["2026-09", "2026-10"] and not ask.is_late(periods.parse("2026-12").last_on)
    assert asks.read(tmp_path / "params") == []
    write_asks(tmp_path, GOOD, GOOD | {"owner": {"en": "Finance", "ru": "Финансы"}})
    assert [ask.owner_in("ru") for ask in asks.read(tmp_path)] == ["Финансы", "Head of sales"]


def test_asks_are_refused_all_problems_at_once_before_anything_runs(project_copy, salesops):
    write_asks(
        project_copy, GOOD | {"due": "soon", "about": "F-1"}, GOOD | {"what": {"en": "x"}, "colour": "red"}, "no",
        GOOD | {"owner": 5}, GOOD | {"owner": {"en": "Finance"}},
    )  # fmt: skip
    with pytest.raises(BadInput) as refused:
        asks.read(project_copy)
    said = "\n".join(refused.value.problems)
    told = "ask 1: due", "ask 1: about", "ask 2: what", "ask 2: colour", "ask 3", "ask 4: owner", "ask 5: owner"
    assert [part for part in told if part not in said] == []
    done = salesops("report", "params/restated.yml", "--out", "out", cwd=project_copy)
    assert done.returncode == 2 and "ask 1: due" in done.stderr and not (project_copy / "out").exists()


# --- the real thing ---


@pytest.mark.slow
def test_two_real_months_follow_up_what_was_told(salesops, tmp_path):
    """Pages of two months: findings that stay and close, looked at again; figures told differently since."""
    wanted = ["params/scorecard.yml", "params/forecast.yml", "params/restated.yml"]
    for month in ("2026-08", "2026-09"):
        done = salesops("report", *wanted, "--out", tmp_path, "--period", month)
        assert done.returncode == 0, done.stderr
    here = tmp_path / "2026-09"
    rows = ledger.read(here)
    closed = [row for row in rows if row.state == ledger.CLOSED]
    assert closed and {row.verdict for row in closed} <= {ledger.HELD, ledger.GONE}
    manifest = json.loads((here / "manifest.json").read_text())
    assert manifest["retold"]["scorecard"]["texts"]["win_rate"]
    pages = {
        month: json.loads((tmp_path / month / "manifest.json").read_text())["pages"] for month in ("2026-08", "2026-09")
    }
    then = {one["key"]: one for one in pages["2026-08"]["scorecard"]["tiles"]}
    assert manifest["retold"]["scorecard"]["texts"] == {
        key: one["texts"][-1] for key, one in then.items()
    }  # same playbook
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    again = salesops("report", *wanted, "--out", tmp_path, "--period", "2026-09")
    assert again.returncode == 0 and "running" not in again.stdout
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_region_is_no_double_of_the_company_and_regions_are_none_of_each_other():
    def signal(where):
        return finding(f"signal/win_rate/down/{where}", cause=f"win_rate/{where}", money=9)

    emea, apac = (
        record(f"a.{name}", [signal("all"), finding("stale", money=2)], region=name) for name in ("EMEA", "APAC")
    )
    whole = record("a", [signal("region=EMEA"), finding("stale", money=5)])
    assert keys({"a": whole, "a.emea": emea, "a.apac": apac}) == [
        "signal/win_rate/down/region=EMEA",
        "signal/win_rate/down/all",
        "stale",
    ]  # fmt: skip  APAC's own, and not EMEA's twice
    assert keys({"a.emea": emea, "a.apac": apac}).count("stale") == 2


def test_files_of_the_team_are_checked_before_anything_runs(project_copy, salesops):
    """Of every page of the run, each file once; an earlier good page stays as it was."""
    for name, old, new in (
        ("metrics", "  unit: money\n", "  unit: euros\n"),
        ("stages", "efficiency: 0.40", "efficiency: 0.2"),
    ):
        path = project_copy / "params" / f"{name}.yml"
        path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    done = salesops("report", "params/monthly.yml", "--only", "[ms]*", cwd=project_copy)
    assert done.returncode == 2 and not (project_copy / "reports" / "2026-10").exists()
    assert done.stderr.count("bookings: unit: input should be 'share'") == 1
    assert done.stderr.count("evidence.forecast_error: scale 0.25 has to be down from efficiency 0.2") == 1


def test_the_front_page_says_which_open_deals_the_last_snapshot_lacks(tmp_path):
    lacking = {"lacking": {"day": "2026-10-31", "n_kept": 3, "n_open": 1240}}
    pages = [record("funnel") | lacking, record("growth") | lacking, record("leads", lang="ru") | lacking]
    folder(tmp_path / "2026-10", *pages)
    said = Page(tmp_path / "2026-10" / "index.html").said
    assert said.count("has no usable row for") == 1
    assert ("The snapshot of 31 Oct 2026 has no usable row for 3 of Northwind's 1,240 open deals; "
            "they are shown as last seen.") in said  # fmt: skip
    assert (
        "нет пригодных строк для части открытых сделок (Northwind): 3 из 1"
        in Page(tmp_path / "2026-10" / "index.ru.html").said
    )
    for broken in ([], {"day": "soon", "n_kept": 1, "n_open": 2}, {"day": "2026-10-31", "n_kept": "1", "n_open": 2}, 5):
        content = json.loads((tmp_path / "2026-10" / "manifest.json").read_text())
        content["pages"]["funnel"]["lacking"] = broken
        (tmp_path / "2026-10" / "manifest.json").write_text(json.dumps(content))
        assert ("funnel" in Folder(tmp_path / "2026-10").pages) == (broken == [])


def test_a_page_says_what_its_last_snapshot_lacks(tmp_path):
    from tests.test_store import DAYS, take

    many = "".join(f"{n};D{n};50;Лид;07.01.2026;не закрыта;Анна\n" for n in range(10, 50))
    take(tmp_path / "book", "2026-01-31", DAYS["2026-01-31"] + many)
    book = take(tmp_path / "book", "2026-02-28", DAYS["2026-02-28"].replace("2;B;200", "2;B;1.2.3") + many)
    assert show._lacking(book) == {"day": "2026-02-28", "n_kept": 1, "n_open": 42}
    assert check.text(check.facts(book)).count("shown as last seen, because their rows were refused: 1 open") == 1
