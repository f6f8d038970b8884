"""Every preset with an export written by hand to its documented shape: all give the same small book."""

import datetime as dt
import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from salesops import crm
from salesops.crm import importing, store
from salesops.problems import BadInput

EXPORTS = Path(__file__).parent / "exports"
DEALS = {  # name -> amount, status, created (UTC), closed on
    "Acme; pilot": (120050, "won", "2026-01-05 09:00", "2026-02-20"),
    'Beta "big"': (2500000, "open", "2026-01-12 10:30", None),
    "Гамма": (80000, "lost", "2026-01-15 08:00", "2026-03-01"),
    "Delta": (None, "open", "2026-02-10 12:00", None),
}
STAYS = {  # name -> the days on which it entered its stages, where the system keeps them
    "Acme; pilot": ["2026-01-05", "2026-01-20", "2026-02-20"],
    'Beta "big"': ["2026-01-12", "2026-02-01"],
    "Гамма": ["2026-01-15", "2026-03-01"],
    "Delta": ["2026-02-10"],
}
SYSTEMS = {  # folder -> the system, whether it has history, what has to be said beside the currency
    "salesforce": ("salesforce", True, {}),
    "salesforce_report": ("salesforce", False, {}),
    "hubspot": ("hubspot", True, {}),
    "hubspot_csv": ("hubspot", False, {}),
    "hubspot_ru": ("hubspot", False, {"stages": "Продажи: Lead, Offer, Closed Won=won, Closed Lost=lost"}),
    "pipedrive": ("pipedrive", True, {"stages": "Pipeline: Lead, Offer, Won=won, Lost=lost"}),
    "amocrm": (
        "amocrm", False, {"stages": "Продажи: Лид, Оферта, Успешно реализовано=won, Закрыто и не реализовано=lost"}),
    "bitrix24": ("bitrix24", True, {}),
    "zoho": ("zoho", True, {}),
    "dynamics": ("dynamics", False, {"stages": "1-Lead, 2-Offer, Won=won, Lost=lost"}),
}  # fmt: skip


@pytest.mark.parametrize("folder", SYSTEMS)
def test_each_system_gives_the_same_book(tmp_path, folder):
    system, logged, told = SYSTEMS[folder]
    told = {"currency": "USD", "exported_on": "2026-03-31", **told}
    importing.bring_in(system, [EXPORTS / folder], tmp_path / "book", **told)
    book = crm.open(tmp_path / "book")
    deals = book.deals.execute().set_index("name")
    found = {}
    for name, deal in deals.iterrows():
        closed = (
            None
            if deal["status"] == "open"
            else str(deal["closed_at"].tz_localize("UTC").tz_convert(book.time_zone))[:10]
        )
        amount = None if deal["amount_minor"] != deal["amount_minor"] else int(deal["amount_minor"])
        found[name] = (amount, deal["status"], str(deal["created_at"])[:16], closed)
    expected = dict(DEALS)
    if folder == "amocrm":  # whole roubles alone
        expected["Acme; pilot"] = (120000, *expected["Acme; pilot"][1:])
    if folder == "salesforce_report":  # days alone
        expected = {name: (*row[:2], row[2][:10] + " 00:00", row[3]) for name, row in expected.items()}
    assert found == expected
    assert not book.about["n_refused"]
    assert (book.about["history"] == "changes") == logged
    if logged:
        visits = book.visits.execute().merge(deals.reset_index()[["deal_id", "name"]], on="deal_id")
        stays = (
            visits.sort_values("entered_at").groupby("name")["entered_at"].agg(lambda at: [str(one)[:10] for one in at])
        )
        assert stays.to_dict() == STAYS
    opened = book.stages.execute().query("kind == 'open'").sort_values("position")["stage"].tolist()
    assert (
        len(opened) == 2
        and opened.index(deals.loc["Delta", "stage"]) == 0
        and deals.loc['Beta "big"', "stage"] == opened[1]
    )


def test_deleted_records_leave_with_a_count(tmp_path):
    for folder in ("salesforce", "hubspot", "pipedrive"):
        system, _logged, told = SYSTEMS[folder]
        importing.bring_in(system, [EXPORTS / folder], tmp_path / folder, currency="USD", **told)
        assert crm.open(tmp_path / folder).about["n_left_out"]["deals"] == {"deleted": 1}


def test_salesforce_ids_of_15_and_18_characters_are_one(tmp_path):
    importing.bring_in("salesforce", [EXPORTS / "salesforce"], tmp_path / "book", currency="USD")
    book = crm.open(tmp_path / "book")
    assert set(book.changes.execute()["deal_id"]) == set(book.deals.execute()["deal_id"])
    assert {len(deal) for deal in book.deals.execute()["deal_id"]} == {18}


def test_rows_repeated_for_each_product_become_a_deal_and_lines(tmp_path):
    importing.bring_in("bitrix24", [EXPORTS / "bitrix24"], tmp_path / "book", currency="USD")
    book = crm.open(tmp_path / "book")
    lines = book.lines.execute().set_index("product")["net_amount_minor"].to_dict()
    assert lines == {"Станок": 100050, "Монтаж": 20000} and book.n_known["deals"] == 4
    assert book.about["n_left_out"]["deals"] == {"repeated": 1}


def test_what_cannot_be_told_is_asked_for(tmp_path):
    with pytest.raises(BadInput, match="currency: the reporting currency, such as USD"):
        importing.bring_in("zoho", [EXPORTS / "zoho"], tmp_path / "book")
    with pytest.raises(BadInput, match=r"declare the stages of the pipeline Продажи(.|\n)*Лид \(1 deals, open\)"):
        importing.bring_in("amocrm", [EXPORTS / "amocrm"], tmp_path / "book", currency="USD")
    with pytest.raises(BadInput, match="allowed: 1c, amocrm, aw, bitrix24"):
        importing.bring_in("../zoho", [EXPORTS / "zoho"], tmp_path / "book")
    with pytest.raises(BadInput, match=r"Deals.csv(.|\n)*a file for deals: \* with the columns Record ID, Deal Name"):
        importing.bring_in("hubspot", [EXPORTS / "zoho" / "Deals.csv"], tmp_path / "book", currency="USD")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_book_is_replaced_only_when_it_is_said_and_the_new_one_is_good(salesops, tmp_path):
    book, export = tmp_path / "book", tmp_path / "Deals.csv"
    shutil.copy(EXPORTS / "zoho" / "Deals.csv", export)
    say = ("import", "zoho", export, "--to", book, "--currency", "USD", "--exported-on", "2026-03-31")
    done = salesops(*say)
    assert done.returncode == 0 and "deals: 4 rows" in done.stdout and "funnel: can be answered" in done.stdout
    before = (store.tables(book) / "deals.parquet").read_bytes()
    assert salesops(*say).returncode == 2
    export.write_text("Deal Name,Stage,Closing Date,Created Time\nx,Lead,soon,never\n")
    refused = salesops(*say, "--replace")
    assert refused.returncode == 2 and (store.tables(book) / "deals.parquet").read_bytes() == before
    assert sorted(path.name for path in book.iterdir()) == [".salesops-made", "book.json", "tables"]


@pytest.mark.slow
def test_check_says_what_a_book_holds(salesops, tmp_path):
    done = salesops("check", "sample", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["tables"]["deals"]["rows"] == 12_000 and found["questions"]["funnel"] == []
    (tmp_path / "params" / "crm").mkdir(parents=True)
    refused = salesops("check", f"maven:{tmp_path}", "--json")
    assert refused.returncode == 2 and json.loads(refused.stdout)["problems"]


LEADS = {"777001": ("2026-01-03 10:00", "2026-01-05"), "777002": ("2026-01-04 11:00", None)}


@pytest.mark.parametrize("system", ["mailchimp", "marketo", "pardot"])
def test_marketing_systems_give_leads(tmp_path, system):
    importing.bring_in(system, [EXPORTS / system], tmp_path / "book", currency="USD", exported_on="2026-03-31")
    leads = crm.open(tmp_path / "book").leads.execute()
    found = {
        row.lead_id: (str(row.created_at)[:16], None if row.mql_at != row.mql_at else str(row.mql_at)[:10])
        for row in leads.itertuples()
    }
    expected = {lead: (created, None) for lead, (created, _mql) in LEADS.items()} if system == "mailchimp" else LEADS
    assert found == expected


@pytest.mark.parametrize(
    ("system", "told", "expected"),
    [
        ("gong", {}, [("call", "2026-01-06 10:00", 30), ("call", "2026-01-07 12:00", 15)]),
        ("outreach", {}, [("call", "2026-01-06 10:00", None), ("call", "2026-01-07 12:00", None)]),
        ("zoom", {}, [("meeting", "2026-01-06 10:00", 30), ("meeting", "2026-01-27 12:00", 15)]),
        (
            "calendar",
            {},
            [
                ("meeting", "2026-01-06 10:00", 30),
                ("meeting", "2026-01-07 12:00", 15),
                ("meeting", "2026-01-21 14:00", 20),
            ],
        ),
    ],
)
def test_calls_and_meetings_become_activities(tmp_path, system, told, expected):
    importing.bring_in(system, [EXPORTS / system], tmp_path / "book", currency="USD", **told)
    book = crm.open(tmp_path / "book")
    rows = book.activities.execute().sort_values("started_at").itertuples()
    found = [
        (row.kind, str(row.started_at)[:16], None if row.minutes != row.minutes else round(row.minutes, 6))
        for row in rows
    ]
    assert found == expected
    if system == "calendar":
        assert book.about["notes_of_files"] == [["ann.ics", "times of events that repeat", 1]]
        assert book.about["n_left_out"] == {"activities": {"cancelled": 1}}


WEEKLY = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:a
DTSTART;TZID=Europe/Berlin:20260325T130000
DURATION:PT1H
ORGANIZER:mailto:ann@x
{rules}
END:VEVENT
BEGIN:VEVENT
UID:b
DTSTART:20260415T100000Z
DTEND:20260415T103000Z
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize(
    ("rules", "times"),
    [
        ("RRULE:FREQ=WEEKLY", ["03-25 12:00", "04-01 11:00", "04-08 11:00"]),  # the clocks go forward on 29 March
        ("RRULE:FREQ=WEEKLY;COUNT=2", ["03-25 12:00", "04-01 11:00"]),
        ("RRULE:FREQ=WEEKLY;UNTIL=20260401", ["03-25 12:00", "04-01 11:00"]),
        ("RRULE:FREQ=WEEKLY;UNTIL=20260401T110000Z", ["03-25 12:00", "04-01 11:00"]),
        ("RRULE:FREQ=DAILY;INTERVAL=10\nEXDATE;VALUE=DATE:20260404", ["03-25 12:00", "04-14 11:00"]),
        ("RDATE:20260330T090000Z", ["03-25 12:00", "03-30 09:00"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=-1WE", ["03-25 12:00"]),
    ],
)
def test_an_event_that_repeats_counts_each_time(tmp_path, rules, times):
    (tmp_path / "a.ics").write_text(WEEKLY.format(rules=rules))
    importing.bring_in("calendar", [tmp_path / "a.ics"], tmp_path / "book", currency="USD")
    rows = crm.open(tmp_path / "book").activities.execute().sort_values("started_at")
    assert [str(at)[5:16] for at in rows["started_at"]] == [*times, "04-15 10:00"]


def test_calendars_of_two_who_met_hold_one_meeting_and_plans_are_no_meetings(tmp_path):
    text = WEEKLY.format(rules="RRULE:FREQ=WEEKLY;COUNT=4")
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.ics").write_text(text)
    given = [tmp_path / "ann.ics", tmp_path / "bob.ics"]
    importing.bring_in("calendar", given, tmp_path / "book", currency="USD", exported_on="2026-04-10")
    book = crm.open(tmp_path / "book")
    assert [str(at)[5:10] for at in sorted(book.activities.execute()["started_at"])] == ["03-25", "04-01", "04-08"]
    assert book.about["n_left_out"]["activities"] == {"repeated": 5, "planned": 2} and not book.about["n_refused"]


@pytest.mark.parametrize(
    "rules", ["RRULE:FREQ=SECONDLY", "RRULE:FREQ=DAILY;COUNT=30000", "RRULE:FREQ=OFTEN", "RRULE:x"]
)
def test_an_event_that_repeats_without_sense_is_refused(tmp_path, rules):
    (tmp_path / "a.ics").write_text(WEEKLY.format(rules=rules).replace("20260415", "21990415"))
    with pytest.raises(BadInput, match=r"a\.ics(.|\n)*not readable as a calendar"):
        importing.bring_in("calendar", [tmp_path / "a.ics"], tmp_path / "book", currency="USD")


def test_events_of_google_analytics_that_are_leads_become_leads(tmp_path):
    importing.bring_in("google_analytics", [EXPORTS / "google_analytics"], tmp_path / "book", currency="USD")
    book = crm.open(tmp_path / "book")
    rows = book.leads.execute().sort_values("created_at")[["created_at", "source", "region"]]
    found = [(str(row.created_at)[:19], row.source, row.region) for row in rows.itertuples()]
    assert found == [("2026-01-03 10:00:00", "google", "Serbia"), ("2026-01-04 11:00:00", "newsletter", "Russia")]
    assert book.about["n_left_out"]["leads"] == {"of no use here": 3, "repeated": 1}


def test_payments_calls_and_order_items(tmp_path):
    importing.bring_in("1c", [EXPORTS / "1c"], tmp_path / "1c")
    paid = crm.open(tmp_path / "1c").payments.execute().set_index("account_id")["amount_minor"].to_dict()
    assert paid == {'ООО "Ромашка"': 120000050, "Гамма": 80000}
    importing.bring_in("clari", [EXPORTS / "clari"], tmp_path / "clari", currency="USD", exported_on="2026-03-31")
    calls = crm.open(tmp_path / "clari").forecast_calls.execute()
    assert calls.set_index("category")["amount_minor"].to_dict() == {"commit": 12000000, "best_case": 18000050}
    importing.bring_in("xactly", [EXPORTS / "xactly"], tmp_path / "xactly", currency="USD")
    book = crm.open(tmp_path / "xactly")
    assert book.deals.execute().set_index("deal_id")["amount_minor"].to_dict() == {"SO-1": 120050, "SO-2": 80000}
    assert (book.n_known["lines"], book.n_known["reps"]) == (3, 2)


def test_merged_deals_leave_with_a_count(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "deal.csv").write_text(
        "deal_id,deal_pipeline_stage_id,property_dealname,property_createdate,is_deleted\n"
        "1,open,a,2026-01-05,false\n2,open,b,2026-01-06,false\n3,open,c,2026-01-13,false\n"
    )
    (files / "merged_deal.csv").write_text("deal_id,merged_deal_id\n1,2\n")
    importing.bring_in("hubspot", [files], tmp_path / "book", currency="USD")
    book = crm.open(tmp_path / "book")
    assert book.about["n_left_out"]["deals"] == {"merged": 1} and set(book.deals.execute()["deal_id"]) == {"1", "3"}


def test_every_system_has_an_export_to_try_it_on(root):
    """A preset without a fixture is a promise nobody keeps."""
    public = {
        "aw",
        "bpic2012",
        "maven",
        "olist",
        "online_retail",
        "pbi",
        "ru_wholesale",
        "superstore",
        "telco",
    }  # tested on the data themselves
    tried = {system for system, _logged, _told in SYSTEMS.values()} | {path.name for path in EXPORTS.iterdir()}
    assert {path.stem for path in (root / "params" / "crm").glob("*.yml")} - public <= tried


SNAPSHOTS = {
    "2026-01-31": "1;A;100;Лид;05.01.2026\n2;B;200;Лид;06.01.2026\n3;C;300;Оферта;13.01.2026\n9;Z;1;Лид;20.01.2026\n",
    "2026-02-28": "1;A;150;Оферта;05.01.2026\n2;B;200;Лид;06.01.2026\n3;C;300;Успешно реализовано;13.01.2026\n",
    "2026-04-30": "1;A;150;Успешно реализовано;05.01.2026\n2;B;200;Лид;06.01.2026\n"
    "3;C;999;Успешно реализовано;13.01.2026\n",
}
CLOSED = {"2026-02-28": {"3": "20.02.2026"}, "2026-04-30": {"1": "15.02.2026", "3": "20.02.2026"}}


def take(tmp_path: Path, day: str, *, again: bool = False, **said) -> crm.Book:
    files = tmp_path / f"files-{day}"
    files.mkdir(parents=True, exist_ok=again)
    lines = ["ID;Название сделки;Бюджет;Этап сделки;Дата создания сделки;Дата закрытия"]
    for line in SNAPSHOTS[day].splitlines():
        lines.append(f"{line};{CLOSED.get(day, {}).get(line.partition(';')[0], 'не закрыта')}")
    (files / "export.csv").write_text("\n".join(lines))
    stages = "Лид, Оферта, Успешно реализовано=won, Закрыто и не реализовано=lost"
    importing.bring_in(
        "amocrm",
        [files],
        tmp_path / "book",
        currency="RUB",
        stages=stages,
        snapshot=True,
        **({"exported_on": day} | said),
    )
    return crm.open(tmp_path / "book")


def test_snapshots_make_the_history_that_the_crm_does_not_keep(tmp_path):
    first = take(tmp_path, "2026-01-31")
    assert first.about["history"] == "current_stage" and first.about["snapshots"]["gap"] is None
    take(tmp_path, "2026-02-28")
    book = take(tmp_path, "2026-04-30")
    assert book.about["history"] == "changes" and book.about["snapshots"]["gap"] == ["2026-02-28", "2026-04-30", 61]
    stages = {}
    for day in SNAPSHOTS:
        then = crm.open(tmp_path / "book", as_of=day).deals.execute().set_index("deal_id")
        stages[day] = {deal: (row["stage"], row["amount_minor"] // 100) for deal, row in then.iterrows()}
    assert stages == {
        "2026-01-31": {"1": ("Лид", 100), "2": ("Лид", 200), "3": ("Оферта", 300)},
        "2026-02-28": {"1": ("Оферта", 150), "2": ("Лид", 200), "3": ("Успешно реализовано", 300)},
        "2026-04-30": {"1": ("Успешно реализовано", 150), "2": ("Лид", 200), "3": ("Успешно реализовано", 999)},
    }
    won = book.deals.execute().set_index("deal_id")["closed_at"]
    assert str(won["3"].tz_localize("UTC").tz_convert("Europe/Moscow"))[:10] == "2026-02-20"  # its own day, between two
    assert str(won["1"].tz_localize("UTC").tz_convert("Europe/Moscow"))[:10] == "2026-04-30"  # when it was first seen


def test_rewritten_history_is_listed(tmp_path):
    for day in SNAPSHOTS:
        book = take(tmp_path, day)
    assert book.about["snapshots"]["rewritten"] == {"back_dated": 1, "edited_after_close": 1, "vanished": 1}
    audit = pd.read_parquet(book.folder / "audit.parquet")
    found = {(row.day, row.deal_id, row.kind, row.was) for row in audit.itertuples()}
    assert found == {
        ("2026-02-28", "9", "vanished", "Лид"),
        ("2026-04-30", "1", "back_dated", "open on 2026-02-28"),
        ("2026-04-30", "3", "edited_after_close", "amount_minor 30000"),
    }


@pytest.mark.slow
def test_an_earlier_snapshot_finds_its_place_and_one_of_the_same_day_is_refused(tmp_path):
    for day in sorted(SNAPSHOTS):
        in_order = take(tmp_path / "in-order", day)
    take(tmp_path, "2026-04-30")
    take(tmp_path, "2026-01-31")
    book = take(tmp_path, "2026-02-28")
    for name in ("deals", "changes", "stages", "visits", "states"):
        rows = [one._stored(name).execute() for one in (in_order, book)]
        pd.testing.assert_frame_equal(*rows)
    assert in_order.about == book.about
    before = everything(tmp_path / "book")
    with pytest.raises(BadInput, match="there is one of 2026-01-31 already; say --replace, or --undo 2026-01-31"):
        take(tmp_path, "2026-01-31", again=True)
    assert before == everything(tmp_path / "book")


def everything(folder: Path) -> dict[str, bytes]:
    """Each file below a folder, by its name from there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def workbook(path: Path, rows: list[list], **sheets) -> Path:
    import xlsxwriter

    with xlsxwriter.Workbook(path, {"default_date_format": "dd.mm.yyyy hh:mm"}) as book:
        for name, table in {"Сделки": rows, **sheets}.items():
            sheet = book.add_worksheet(name)
            for at, row in enumerate(table):
                sheet.write_row(at, 0, row)
    return path


AMO = [
    "ID",
    "Название сделки",
    "Бюджет",
    "Ответственный",
    "Дата создания сделки",
    "Этап сделки",
    "Воронка",
    "Дата закрытия",
]
STAGES = "Продажи: Лид, Оферта, Успешно реализовано=won, Закрыто и не реализовано=lost"


def test_a_workbook_brings_its_own_types(tmp_path):
    """Days that are days in the sheet need no order; ids that are numbers stay whole; another sheet is not taken."""
    rows = [
        ["Отчёт"], [], AMO,
        [30001, "Acme", 1200.5, "Анна", dt.datetime(2026, 1, 5, 12), "Успешно реализовано", "Продажи",
         dt.datetime(2026, 2, 3)],
        [30002, "Beta", "", "Борис", dt.datetime(2026, 2, 11, 12), "Лид", "Продажи", None],
    ]  # fmt: skip
    path = workbook(tmp_path / "deals.csv", rows, Итоги=[["Всего", 2]])  # what it is, its bytes say
    importing.bring_in("amocrm", [path], tmp_path / "book", currency="RUB", exported_on="2026-03-31", stages=STAGES)
    book = crm.open(tmp_path / "book")
    deals = book.deals.execute().set_index("deal_id")
    assert deals["amount_minor"].fillna(-1).to_dict() == {"30001": 120050, "30002": -1}
    assert [str(at)[:16] for at in deals["created_at"]] == ["2026-01-05 09:00", "2026-02-11 09:00"]  # Moscow
    assert book.about["notes_of_files"] == [["deals.csv[Сделки]", "lines above the header", 1]]


def test_days_that_are_partly_text_are_not_guessed(tmp_path):
    rows = [AMO] + [
        [k, "x", 1, "a", f"{k + 12}.01.2026" if k % 2 else dt.datetime(2026, k, 1), "Лид", "Продажи", ""]
        for k in range(1, 11)
    ]
    path = workbook(tmp_path / "deals.xlsx", rows)
    with pytest.raises(BadInput, match="Дата создания сделки: got '2026-02-01'"):
        importing.bring_in("amocrm", [path], tmp_path / "book", currency="RUB", stages=STAGES)


def test_one_of_two_sheets_has_to_be_named(tmp_path):
    rows = [AMO, [1, "x", 1, "a", dt.datetime(2026, 1, 1), "Лид", "Продажи", ""]]
    path = workbook(tmp_path / "deals.xlsx", rows, Копия=rows)
    with pytest.raises(BadInput, match="one sheet with these columns"):
        importing.bring_in("amocrm", [path], tmp_path / "book", currency="RUB", stages=STAGES)


# What an attacker found

HUB = "Record ID,Deal Name,Deal Stage,Close Date,Create Date,Amount,Deal probability,Pipeline,Deal owner\n"
GOOD = (
    HUB + "1,A,Qualified,,2026-01-05 10:00,100.50,0.2,Sales,Z\n"
    "2,B,closedwon,2026-02-01 11:00,2026-01-06 10:00,200.00,1,Sales,Z\n"
)


def hub(tmp_path: Path, files: dict[str, str | bytes], to: str = "book", system: str = "hubspot", **told) -> crm.Book:
    place = tmp_path / f"in-{len(list(tmp_path.iterdir()))}"
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    importing.bring_in(system, [place], tmp_path / to, **{"currency": "USD", **told})
    return crm.open(tmp_path / to)


def test_a_file_that_looks_like_data_is_not_passed_over(tmp_path):
    more = HUB + "3,Café,Qualified,,2026-01-05 10:00,1,0.2,Sales,Z\n"
    with pytest.raises(BadInput, match="b.csv, row 2: got 'bytes e9"):
        hub(tmp_path, {"a.csv": GOOD, "b.csv": more.encode("cp1252")})
    with pytest.raises(BadInput) as alone:
        hub(tmp_path, {"b.csv": more.encode("cp1252")})
    assert "bytes e9" in str(alone.value) and "a file for" not in str(alone.value)
    with pytest.raises(BadInput, match="b.csv.gz: not readable as gzip"):
        hub(tmp_path, {"a.csv": GOOD, "b.csv.gz": gzip.compress(more.encode() * 50)[:-20]})
    with pytest.raises(BadInput, match="n.json"):
        hub(tmp_path, {"a.csv": GOOD, "n.json": bytes.fromhex("fffe7b00220061")})
    book = hub(tmp_path, {"a.csv": GOOD, "README.md": "about\n", ".DS_Store": b"\0\1", "logo.png": b"\x89PNG\0"})
    named = {file for file, what, _n in book.about["notes_of_files"] if what.startswith("not read")}
    assert named == {"README.md", "logo.png"} and book.n_known["deals"] == 2


def test_links_are_followed_where_they_are_given_and_refused_where_they_lead_out(tmp_path):
    (tmp_path / "real.csv").write_text(GOOD)
    (tmp_path / "latest.csv").symlink_to("real.csv")
    importing.bring_in("hubspot", [tmp_path / "latest.csv"], tmp_path / "book", currency="USD")
    assert crm.open(tmp_path / "book").n_known["deals"] == 2
    place = tmp_path / "in"
    place.mkdir()
    (place / "a.csv").write_text(GOOD.replace("1,A", "5,A").replace("2,B", "6,B"))
    (place / "b.csv").symlink_to(tmp_path / "real.csv")
    with pytest.raises(BadInput, match="b.csv: a file of the folder itself"):
        importing.bring_in("hubspot", [place], tmp_path / "other", currency="USD")


def test_one_deal_in_two_files_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"new.csv, row 2, deal_id: got '1', each key in one file; a-old.csv has it too"):
        hub(tmp_path, {"a-old.csv": "".join(GOOD.splitlines(True)[:2]), "new.csv": GOOD})


def test_snapshots_that_cannot_be_compared_are_refused(tmp_path):
    hub(tmp_path, {"a.csv": GOOD}, snapshot=True, exported_on="2026-02-10")
    with pytest.raises(BadInput, match="currency was USD, and is JPY"):
        hub(tmp_path, {"a.csv": GOOD}, snapshot=True, exported_on="2026-02-15", currency="JPY")
    others = GOOD.replace("\n1,", "\n11,").replace("\n2,", "\n12,")
    with pytest.raises(BadInput, match="not one deal of 2026-02-10 is in it"):
        hub(tmp_path, {"a.csv": others}, snapshot=True, exported_on="2026-02-15")


def test_progress_is_not_taken_for_a_renamed_stage(tmp_path):
    row = "{},D,{},,2026-01-05 10:00,100,{},Sales,Z\n"
    first = HUB + row.format(1, "Qualified", 0.2) + row.format(2, "Proposal", 0.5) + row.format(3, "Proposal", 0.5)
    then = HUB + row.format(1, "Proposal", 0.5) + row.format(2, "closedwon", 1) + row.format(3, "Proposal", 0.5)
    renamed = then.replace("Proposal", "Offer")
    hub(tmp_path, {"a.csv": first}, snapshot=True, exported_on="2026-02-10")
    book = hub(tmp_path, {"a.csv": then}, snapshot=True, exported_on="2026-02-20")
    assert book.about["snapshots"]["rewritten"] == {}
    assert book.stages.execute()["stage"].tolist() == ["Qualified", "Proposal", "closedwon"]
    stages = "Sales: Qualified, Proposal, Offer, closedwon=won"
    book = hub(tmp_path, {"a.csv": renamed}, snapshot=True, exported_on="2026-02-28", stages=stages)
    assert book.about["snapshots"]["rewritten"] == {"stage_renamed": 2}


@pytest.mark.parametrize(
    ("came", "amount"),
    [("12%", None), ("$12.50", 1250), ("(12.50)", -1250), ("€12.50", None), ("12.50-", -1250), ("1e3", None)],
)
def test_an_amount_is_an_amount(tmp_path, came, amount):
    text = (
        GOOD
        + f"3,C,Qualified,,2026-01-05 10:00,{came},0.2,Sales,Z\n"
        + "".join(f"{k},C,Qualified,,2026-01-05 10:00,1.5,0.2,Sales,Z\n" for k in range(10, 60))
    )
    book = hub(tmp_path, {"a.csv": text})
    found = book.deals.execute().set_index("deal_id")["amount_minor"]
    assert found.get("3") == amount
    assert book.about["n_refused"] == ({} if amount else {"deals": 1})


def test_closing_words_in_another_case_keep_their_day(tmp_path):
    header = "Id,Name,StageName,Amount,CloseDate,CreatedDate,OwnerId\n"
    rows = header + "006000000000001,A,Closed won,5,2026-02-01,2026-01-05,u\n"
    book = hub(tmp_path, {"a.csv": rows}, system="salesforce")
    assert str(book.deals.execute()["closed_at"][0])[:10] == "2026-02-01"


def test_ids_guarded_against_spreadsheets_are_plain(tmp_path):
    text = GOOD.replace("\n1,", '\n"=""1""",').replace("\n2,", '\n"=""2""",')
    assert set(hub(tmp_path, {"a.csv": text}).deals.execute()["deal_id"]) == {"1", "2"}


def test_half_a_character_in_json_is_replaced(tmp_path):
    text = (EXPORTS / "hubspot" / "deals.json").read_text().replace("Delta", "bad \\ud83d")
    names = set(hub(tmp_path, {"a.json": text}).deals.execute()["name"])
    assert "bad ?" in names


def test_stages_that_are_declared_once_hold_in_every_pipeline(tmp_path):
    book = hub(tmp_path, {"a.csv": GOOD}, stages="Qualified, closedwon=won")
    assert book.stages.execute()["pipeline"].tolist() == ["Sales", "Sales"]
    with pytest.raises(BadInput, match="write the stage before ="):
        hub(tmp_path, {"a.csv": GOOD}, to="other", stages="Qualified, =won")
