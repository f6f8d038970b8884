"""Money in one currency, with VAT or without it; days of a time zone, working days of a country."""

import datetime as dt
import random
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops import crm, funnel, hygiene, workdays, yamlfile
from salesops.crm import importing
from salesops.problems import BadInput

from tests.conftest import ROOT, examples

SAY = {"currency": "USD", "exported_on": "2026-03-31", "time_zone": "UTC", "stages": "Lead, Won=won, Lost=lost"}
HEAD = "Record ID,Deal Name,Deal Stage,Pipeline,Amount,Currency,Create Date,Close Date,Deal owner\n"


def imported(folder, deals: str, **told) -> crm.Book:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "deals.csv").write_text(HEAD + deals, "utf-8")
    importing.bring_in("hubspot", [folder / "deals.csv"], folder / "book", **SAY | told)
    return crm.open(folder / "book")


def amounts(book: crm.Book) -> dict:
    return book.deals.execute().set_index("deal_id")["amount_minor"].dropna().astype(int).to_dict()


def rates(folder, text: str):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rates.csv"
    path.write_text(text, "utf-8")
    return path


# --- currencies ---


def test_amounts_are_converted_at_the_rate_of_the_day_of_creation(tmp_path):
    told = rates(tmp_path, "date,currency,rate\n2026-01-01,EUR,1.10\n2026-02-01,EUR,1.25\n2025-01-01,RUB,0.0125\n")
    book = imported(
        tmp_path,
        "1,a,Lead,P,100.10,EUR,2026-01-31 23:59,,Ann\n2,b,Lead,P,100.10,EUR,2026-02-01 00:00,,Ann\n"
        "3,c,Won,P,1000,RUB,2026-02-15 10:00,2026-03-01,Ann\n4,d,Lead,P,55.55,USD,2026-02-15 10:00,,Ann\n"
        "5,e,Lead,P,,EUR,2026-02-15 10:00,,Ann\n",
        rates=told,
    )
    assert amounts(book) == {"1": 11011, "2": 12512, "3": 1250, "4": 5555}  # 125.125 is rounded half to even
    assert set(book.deals.execute()["currency"]) == {"USD"}
    assert book.about["converted"] == [["deals", "EUR", 2], ["deals", "RUB", 1]]


def test_conversion_is_exact_to_the_minor_unit(tmp_path):
    """600 amounts and 90 rates by chance against decimals; `per` is 1, 10, 100 or 10,000 units."""
    draw = random.Random(7)
    known = {}
    for currency in ("EUR", "RUB", "IDR"):
        for month in range(1, 31):
            on = dt.date(2023, 10, 1) + dt.timedelta(days=30 * month)
            known[currency, on] = (
                Decimal(draw.randrange(1, 10**9)).scaleb(-draw.choice([2, 4, 8])),
                draw.choice([1, 10, 100, 10_000]),
            )
    told = rates(
        tmp_path,
        "currency,date,rate,per\n" + "".join(f"{c},{on},{rate:f},{per}\n" for (c, on), (rate, per) in known.items()),
    )
    rows, expected = [], {}
    for number in range(600):
        currency, cents = draw.choice(["EUR", "RUB", "IDR"]), draw.randrange(-(10**6), 10**9)
        on = dt.date(2023, 11, 1) + dt.timedelta(days=draw.randrange(800))
        amount = Decimal(cents).scaleb(-2)
        rows.append(f"{number},x,Lead,P,{amount:f},{currency},{on} 12:00,,Ann")
        rate, per = known[max(key for key in known if key[0] == currency and key[1] <= on)]
        expected[str(number)] = int((cents * rate / per).quantize(Decimal(1), ROUND_HALF_EVEN))
    assert amounts(imported(tmp_path, "\n".join(rows) + "\n", rates=told)) == expected


def test_lines_and_logged_amounts_are_in_the_currency_of_their_deal(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "Opportunity.csv").write_text(
        "Id,StageName,CloseDate,CreatedDate,OwnerId,Name,Amount,CurrencyIsoCode\n"
        "006A,Lead,2026-05-01,2026-01-05T09:00:00Z,u1,one,200.00,EUR\n006B,Lead,2026-05-01,2026-01-05T09:00:00Z,u1,two,50.00,USD\n"
    )
    (files / "OpportunityFieldHistory.csv").write_text(
        "Id,OpportunityId,Field,OldValue,NewValue,CreatedById,CreatedDate\n"
        "1,006A,Amount,100.00,200.00,u1,2026-02-01T09:00:00Z\n2,006B,Amount,40.00,50.00,u1,2026-02-01T09:00:00Z\n"
    )
    (files / "Lines.csv").write_text("OpportunityId,Product2Id,Quantity,TotalPrice\n006A,p,1,200.00\n006B,p,1,50.00\n")
    told = rates(tmp_path, "currency,date,rate\nEUR,2026-01-01,1.5\nEUR,2026-02-01,9\n")
    importing.bring_in("salesforce", [files], tmp_path / "book", **SAY, rates=told)
    at = {day: amounts(crm.open(tmp_path / "book", as_of=day)) for day in ("2026-01-31", "2026-03-01")}
    assert at == {"2026-01-31": {"006A": 15000, "006B": 4000}, "2026-03-01": {"006A": 30000, "006B": 5000}}
    lines = crm.open(tmp_path / "book").lines.execute().set_index("deal_id")["net_amount_minor"].to_dict()
    assert lines == {"006A": 30000, "006B": 5000}


def test_rates_as_the_bank_of_russia_exports_them(tmp_path):
    path = tmp_path / "RC.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("RC")
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        sheet.write_row(0, 0, ["nominal", "data", "curs", "cdx"])
        for row, (per, on, rate, name) in enumerate(
            [(1, dt.date(2026, 1, 1), 92.5058, "Доллар США"), (10, dt.date(2026, 1, 1), 127.31, "Китайский юань")], 1
        ):
            sheet.write_number(row, 0, per)
            sheet.write_datetime(row, 1, dt.datetime.combine(on, dt.time()), day)
            sheet.write_number(row, 2, rate)
            sheet.write_string(row, 3, name)
    deals = "1,a,Lead,P,100,USD,2026-01-15 10:00,,Ann\n2,b,Lead,P,100,CNY,2026-01-15 10:00,,Ann\n"
    assert amounts(imported(tmp_path, deals, currency="RUB", rates=path)) == {"1": 925058, "2": 127310}


def test_what_has_no_rate_is_refused_and_says_why(tmp_path):
    deals = "1,a,Lead,P,5,EUR,2026-01-15 10:00,,Ann\n"
    with pytest.raises(BadInput, match=r"row 2, currency: got 'EUR', the reporting currency USD, or rates of others"):
        imported(tmp_path / "a", deals)
    late = rates(tmp_path / "b", "currency,date,rate\nEUR,2026-01-16,1.5\n")
    with pytest.raises(BadInput, match="a rate on the day of creation or before; rates: EUR from 2026-01-16"):
        imported(tmp_path / "b", deals, rates=late)
    wrong = rates(tmp_path / "c", "currency,date,rate\nEUR,2026-01-01,0\n")
    with pytest.raises(BadInput, match="row 2, rate: got '0.0', a number above zero"):
        imported(tmp_path / "c", deals, rates=wrong)
    twice = rates(tmp_path / "d", "currency,date,rate\nEUR,2026-01-01,1\nEUR,2026-01-01,2\n")
    with pytest.raises(BadInput, match="each key once"):
        imported(tmp_path / "d", deals, rates=twice)
    with pytest.raises(BadInput, match="JPY has no minor units"):
        imported(tmp_path / "e", deals, currency="JPY", rates=late)
    with pytest.raises(BadInput, match="there is no "):
        imported(tmp_path / "f", deals, rates=tmp_path / "nowhere.csv")
    assert not list(tmp_path.rglob("book"))


def test_what_a_deal_without_a_rate_has_logged_does_not_stay(tmp_path):
    """Blank now, created before the first rate, worth 1,000 EUR in its log: 1,000 of nothing."""
    files = tmp_path / "files"
    files.mkdir()
    row = "006A,Lead,2026-05-01,2025-12-05T09:00:00Z,u1,one,,EUR\n006B,Lead,2026-05-01,,u1,two,5,EUR\n"
    (files / "Opportunity.csv").write_text(
        "Id,StageName,CloseDate,CreatedDate,OwnerId,Name,Amount,CurrencyIsoCode\n" + row
    )
    told = rates(tmp_path, "currency,date,rate\nEUR,2026-01-01,2\n")
    with pytest.raises(
        BadInput, match="row 2, currency: got 'EUR', a currency with a rate on the day of creation"
    ) as error:
        importing.bring_in("salesforce", [files], tmp_path / "book", **SAY, rates=told)
    assert len(error.value.problems) == 2, "neither does one that was created nobody knows when"


def test_rates_are_read_as_people_write_them(tmp_path):
    deals = "1,a,Lead,P,100,eur,2026-02-15 10:00,,Ann\n"
    for name, text in {
        "point": "Currency,Date,Rate\nEUR,2026-01-01,1.125\nUSD,2026-01-01,1\n",
        "comma": "currency;date;rate\neur;13.01.2026;1,125\nusd;01.02.2026;1,000\n",
    }.items():
        assert amounts(imported(tmp_path / name, deals, rates=rates(tmp_path / name, text))) == {"1": 11250}
    wrong = rates(tmp_path / "bad", "currency,date,rate\nEUR,2026-01-01,much\n")
    with pytest.raises(BadInput, match=r"  rates\.csv, row 2, rate: got 'much'"):
        imported(tmp_path / "bad", deals, rates=wrong)


def test_snapshots_keep_their_rates_and_their_vat(tmp_path):
    deals = "1,a,Lead,P,100,EUR,2026-01-15 10:00,,Ann\n"
    (tmp_path / "deals.csv").write_text(HEAD + deals)
    first = "currency,date,rate\nEUR,2026-01-01,1.1\n"

    def snapshot(day, text, **told):
        given = SAY | {"exported_on": day, "rates": rates(tmp_path, text), "vat": "included 20%"} | told
        importing.bring_in("hubspot", [tmp_path / "deals.csv"], tmp_path / "book", snapshot=True, **given)

    snapshot("2026-02-01", first)
    with pytest.raises(BadInput, match="rates up to 2026-02-01 are not those of then: EUR of 2026-01-10"):
        snapshot("2026-03-01", first + "EUR,2026-01-10,1.2\n")
    with pytest.raises(BadInput, match="its amounts had other VAT"):
        snapshot("2026-03-01", first, vat="excluded 20%")
    snapshot("2026-03-01", first + "EUR,2026-02-10,1.2\n")
    book = crm.open(tmp_path / "book")
    assert amounts(book) == {"1": 11000} and not len(book.changes.execute())


@pytest.mark.slow
def test_converted_amounts_are_not_written_back(tmp_path):
    from tests.test_hygiene import params

    files = tmp_path / "files"
    files.mkdir()
    rows = "".join(
        f"006{k},Offer,2026-05-01,2026-01-05T09:00:00Z,u1,one,,{of}\n" for k, of in (("A", "EUR"), ("B", "USD"))
    )
    rows += "006C,Lead,2026-05-01,2026-01-05T09:00:00Z,u1,two,7,USD\n"
    (files / "Opportunity.csv").write_text(
        "Id,StageName,CloseDate,CreatedDate,OwnerId,Name,Amount,CurrencyIsoCode\n" + rows
    )
    (files / "Lines.csv").write_text("OpportunityId,Product2Id,Quantity,TotalPrice\n006A,p,1,1000\n006B,p,1,1000\n")
    said = SAY | {"stages": "Lead, Offer, Won=won, Lost=lost"}
    told = params(period="2026-03")
    found = {}
    for name, more in (
        ("given", {}),
        ("converted", {"rates": rates(tmp_path, "currency,date,rate\nEUR,2026-01-01,1.1\n")}),
    ):
        if not more:
            (files / "Opportunity.csv").write_text((files / "Opportunity.csv").read_text().replace("EUR", "USD"))
        importing.bring_in("salesforce", [files], tmp_path / name, **said, vat="included 20%", **more)
        for vat in ("as_given", "out"):
            shown = told.model_copy(update={"vat": vat})
            fixes = hygiene.compute.broken(crm.open(tmp_path / name, vat=vat), shown).query("rule == 'no_amount'")
            found[name, vat] = sorted({(row.field, row.after) for row in fixes.fillna("").itertuples()})
        if not more:
            (files / "Opportunity.csv").write_text(
                (files / "Opportunity.csv")
                .read_text()
                .replace(
                    "006A,Offer,2026-05-01,2026-01-05T09:00:00Z,u1,one,,USD",
                    "006A,Offer,2026-05-01,2026-01-05T09:00:00Z,u1,one,,EUR",
                )
            )
    assert found["given", "as_given"] == [("amount", 1000.0)]
    assert found["given", "out"] == found["converted", "as_given"] == found["converted", "out"] == [("", "")]


# --- VAT ---


DEALS = (
    "1,a,Lead,P,120.00,USD,2025-12-31 10:00,,Ann\n2,b,Won,P,122.00,USD,2026-01-01 10:00,2026-02-01,Ann\n"
    "3,c,Lead,P,0.03,USD,2026-01-05 10:00,,Ann\n4,d,Lead,P,,USD,2026-01-05 10:00,,Ann\n"
    "5,e,Lead,P,-1.22,USD,2026-01-05 10:00,,Ann\n"
)


def test_amounts_are_shown_with_vat_or_without_it(tmp_path):
    imported(tmp_path / "in", DEALS, vat="included 20%, 22% from 2026-01-01")
    imported(tmp_path / "out", DEALS, vat="excluded 20%, 22% from 2026-01-01")
    of = {
        (given, shown): amounts(crm.open(tmp_path / given / "book", vat=shown))
        for given in ("in", "out")
        for shown in ("as_given", "in", "out")
    }
    plain = {"1": 12000, "2": 12200, "3": 3, "5": -122}
    assert of["in", "as_given"] == of["in", "in"] == of["out", "as_given"] == of["out", "out"] == plain
    assert of["in", "out"] == {"1": 10000, "2": 10000, "3": 2, "5": -100}  # 3 / 1.22 = 2.46
    assert of["out", "in"] == {"1": 14400, "2": 14884, "3": 4, "5": -149}  # 3 x 1.22 = 3.66, 122 x 1.22 = 148.84


def test_a_deal_of_no_known_day_has_the_first_share(tmp_path):
    deals = "1,a,Lead,P,120.00,USD,,,Ann\n2,b,Lead,P,122.00,USD,2026-02-01 10:00,,Ann\n"
    imported(tmp_path, deals, vat="included 20%, 22% from 2026-01-01")
    assert amounts(crm.open(tmp_path / "book", vat="out")) == {"1": 10000, "2": 10000}
    with pytest.raises(BadInput, match="two shares from one day"):
        imported(tmp_path / "x", deals, vat="included 20%, 22%")


@settings(max_examples=examples(30))
@given(
    st.lists(
        st.tuples(st.integers(-(10**11), 10**11), st.sampled_from(["7%", "18%", "20%", "8.875%"])),
        min_size=1,
        max_size=8,
    )
)
def test_vat_is_rounded_half_away_from_zero(cases):
    import ibis
    import pandas as pd
    from salesops.crm.vat import Prices

    for share in {share for _cents, share in cases}:
        cents = [one for one, its in cases if its == share]
        table = ibis.memtable(pd.DataFrame({"deal_id": "d", "amount_minor": pd.array(cents, dtype="int64")}))
        whole = 1 + Decimal(share[:-1]) / 100
        for included, factor in ((True, 1 / whole), (False, whole)):
            told = {"included": included, "share": {"": float(whole - 1)}}
            prices = Prices.of(told, "out" if included else "in", "UTC")
            shown = prices.show("deals", table, None).execute()["amount_minor"].tolist()
            exact = [Decimal(one) / whole if included else Decimal(one) * factor for one in cents]
            assert shown == [int(one.quantize(Decimal(1), ROUND_HALF_UP)) for one in exact]


@pytest.mark.slow
def test_every_view_has_the_same_prices_and_the_data_are_the_same(tmp_path, funnel_params):
    book = imported(tmp_path, DEALS, vat="included 20%")
    net = crm.open(tmp_path / "book", vat="out")
    assert net.digest() == book.digest() and net.n_known == book.n_known
    last = net.states.filter(lambda spans: spans.left_at.isnull()).execute()["amount_minor"].dropna()
    assert sorted(last) == sorted(amounts(net).values())
    given = {
        "source": str(tmp_path / "book"),
        "period": "2026-03",
        "months": 12,
        "compare_to": "none",
        "segment_by": "none",
    }
    pages = {
        shown: funnel.measure(crm.open(**params.book), params)
        for shown in ("in", "out")
        for params in [funnel_params(**given, vat=shown)]
    }
    won = {shown: page.closings["won_amount"].sum() for shown, page in pages.items()}
    assert won["in"] == 0 or won["out"] == pytest.approx(won["in"] / 1.2, abs=0.01)
    totals = {shown: page.standing["amount"].sum() for shown, page in pages.items()}
    assert totals["out"] == pytest.approx(totals["in"] / 1.2, abs=0.02) and totals["in"] > 0


def test_vat_that_is_not_known_is_not_guessed(tmp_path):
    imported(tmp_path, DEALS)
    with pytest.raises(ValueError, match="vat out: the source does not say whether its amounts hold VAT"):
        crm.open(tmp_path / "book", vat="out")
    for text in ("20%", "included 20", "included 20% since May", "with 20%", "included 200%"):
        with pytest.raises(BadInput, match="is not VAT: write included 20%"):
            imported(tmp_path / "x", DEALS, vat=text)
    with pytest.raises(BadInput, match="write a day as 2019-01-01"):
        imported(tmp_path / "x", DEALS, vat="included 20% from 2019-02-30")


# --- days ---


def test_moments_of_one_zone_are_days_of_another_and_days_stay_days(tmp_path):
    deals = "1,a,Lead,P,1,USD,2026-01-31 22:30,,Ann\n2,b,Won,P,1,USD,2026-01-31 10:00,2026-02-28,Ann\n"
    book = imported(tmp_path, deals, report_zone="Europe/Moscow")
    rows = book.deals.execute().set_index("deal_id")
    assert book.time_zone == "Europe/Moscow"
    assert str(rows.loc["1", "created_at"]) == "2026-01-31 22:30:00"  # UTC; 1 February in Moscow
    assert str(rows.loc["2", "closed_at"]) == "2026-02-27 21:00:00"  # 28 February in Moscow
    known = {day: len(crm.open(tmp_path / "book", as_of=day).deals.execute()) for day in ("2026-01-31", "2026-02-01")}
    assert known == {"2026-01-31": 1, "2026-02-01": 2}


def test_working_days_of_russia_are_those_of_its_decrees():
    """Days worked in a year: 248 in 2024, 247 in 2025; 15 in January 2026 (production calendars of these years)."""
    year = {y: workdays.count(dt.date(y, 1, 1), dt.date(y, 12, 31), "RU") for y in (2024, 2025)}
    assert year == {2024: 248, 2025: 247} and workdays.count(dt.date(2026, 1, 1), dt.date(2026, 1, 31), "RU") == 15
    assert workdays.is_working(dt.date(2024, 4, 27), "RU") and not workdays.is_working(dt.date(2024, 4, 29), "RU")
    assert workdays.is_working(dt.date(2025, 1, 6), "DE") and not workdays.is_working(dt.date(2025, 1, 6), "DE-BY")


@given(st.dates(dt.date(2020, 1, 1), dt.date(2026, 12, 1)), st.integers(0, 40), st.sampled_from(["RU", "US"]))
def test_so_many_working_days_back_are_so_many(day, n, calendar):
    begin = workdays.back(day, n, calendar)
    assert workdays.count(begin + dt.timedelta(days=1), day, calendar) == n
    assert workdays.back(day, n, "") == day - dt.timedelta(days=n)


@pytest.mark.parametrize("calendar", ["XX", "RU-XX", "Russia", "ru ru"])
def test_a_calendar_that_is_not_there_is_refused(calendar):
    told = yamlfile.load(ROOT / "params" / "hygiene.yml") | {"calendar": calendar}
    with pytest.raises(BadInput, match="is not a calendar: write a country"):
        hygiene.Params.check(told, where="test")


@pytest.mark.slow
def test_holidays_touch_no_deal_and_spoil_none(tmp_path):
    from tests.test_hygiene import company, deal, params

    book = company(
        tmp_path,
        deals=[deal(0, created_at=dt.datetime(2025, 12, 29), last_activity_at=None)],
        activities=[{"activity_id": "t", "deal_id": "d0", "kind": "call", "started_at": dt.datetime(2025, 12, 30, 9)}],
    )
    told = {"period": "2026-01", "as_of": "2026-01-12", "untouched_days": 5}
    found = {}
    for calendar in ("", "RU"):
        rules = hygiene.measure(crm.Book(book.folder, dt.date(2026, 1, 12)), params(**told, calendar=calendar)).rules
        found[calendar] = rules.set_index("rule")["n_broken"]["untouched"]
    assert found == {"": 1, "RU": 0}
