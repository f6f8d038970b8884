"""Owner then or now: a small company in which a deal is handed over after its win, another before it, a rep changes
team, and one is promoted in mid-year. Right values are worked out by hand."""

import datetime as dt

import pandas as pd
import pytest
from salesops import crm
from salesops.crm import owners, prepare

from tests.conftest import bare_book, checked

DAY = dt.date
NOON = dt.time(12)
ENDS = DAY(2026, 6, 30)


def at(text: str) -> dt.datetime:
    return dt.datetime.combine(DAY.fromisoformat(text), NOON)


REPS = [
    # rep, team, region, role, manager, hired, from, to
    ("ann", "North", "EU", "AE", "max", "2024-01-01", "2024-01-01", "2026-03-31"),
    ("ann", "South", "US", "AE", "sue", "2024-01-01", "2026-04-01", None),
    ("bob", "North", "EU", "AE", "max", "2024-01-01", None, None),
    ("cid", "South", "US", "AE", "sue", "2024-01-01", None, None),
    ("dan", "North", "EU", "SDR", "max", "2025-09-01", "2025-09-01", "2026-02-28"),
    ("dan", "North", "EU", "AE", "max", "2025-09-01", "2026-03-01", None),
    ("max", "North", "EU", "Manager", None, "2024-01-01", None, None),
    ("sue", "South", "US", "Manager", None, "2024-01-01", None, None),
]
DEALS = [
    # deal, owner at creation, created, won or lost on, amount, [(handed over on, to)]
    ("after", "ann", "2026-01-05", "2026-02-10", 100, [("2026-05-04", "cid")]),
    ("before", "ann", "2026-01-05", "2026-02-20", 200, [("2026-02-15", "bob")]),
    ("north", "ann", "2026-01-06", "2026-03-31", 400, []),
    ("south", "ann", "2026-02-06", "2026-04-02", 800, []),
    ("junior", "dan", "2026-01-12", "2026-02-16", 1600, []),
    ("senior", "dan", "2026-03-12", "2026-04-16", 3200, []),
    ("lost", "bob", "2026-02-02", "2026-03-02", 6400, [("2026-03-20", "cid")]),
    ("open", "bob", "2026-03-03", None, 12800, [("2026-06-01", "ann")]),
]
QUOTAS = [("ann", "2026-Q1", 1000), ("ann", "2026-Q2", 1000), ("bob", "2026-Q1", 1000), ("cid", "2026-Q2", 1000),
          ("dan", "2026-Q1", 900)]  # fmt: skip


def tables(deals=DEALS) -> dict[str, pd.DataFrame]:
    rows, log = [], []
    for deal, owner, created, closed, amount, handed in deals:
        end = "Lost" if deal == "lost" else "Won"
        first = {"deal_id": deal, "changed_by": None}
        log.append(first | {"changed_at": at(created), "field": "stage", "old_value": None, "new_value": "Open"})
        if closed:
            log.append(first | {"changed_at": at(closed), "field": "stage", "old_value": "Open", "new_value": end})
        for day, to in handed:
            log.append(first | {"changed_at": at(day), "field": "rep_id", "old_value": owner, "new_value": to})
            owner = to
        rows.append({"deal_id": deal, "name": deal, "rep_id": owner, "pipeline": "P", "stage": end if closed else "Open",
                     "status": end.lower() if closed else "open", "amount_minor": amount * 100, "currency": "USD",
                     "created_at": at(created), "closed_at": at(closed) if closed else None})  # fmt: skip
    days = ("hired_on", "valid_from", "valid_to")
    reps = pd.DataFrame(REPS, columns=["rep_id", "team", "region", "role", "manager_id", *days])
    for name in days:
        reps[name] = [DAY.fromisoformat(one) if isinstance(one, str) else None for one in reps[name]]
    reps["name"] = reps["rep_id"].str.title()
    stages = [("Open", 1, "open"), ("Won", 2, "won"), ("Lost", 3, "lost")]
    quotas = pd.DataFrame(QUOTAS, columns=["rep_id", "period", "amount_minor"])
    return {
        "deals": pd.DataFrame(rows), "changes": pd.DataFrame(log).sort_values("changed_at", kind="stable"), "reps": reps,
        "stages": pd.DataFrame(stages, columns=["stage", "position", "kind"]).assign(pipeline="P"),
        "quotas": quotas.assign(amount_minor=quotas["amount_minor"] * 100, kind="bookings"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    return bare_book(tmp_path_factory.mktemp("owners"), exported_on=str(ENDS), **tables())


def of(table, key="deal_id", value="rep_id") -> dict:
    rows = table.execute()
    return {row[key]: row[value] for row in rows.astype(object).where(rows.notna(), None).to_dict("records")}


# The credit


def test_a_deal_stays_with_its_owner_at_the_close_and_an_open_one_is_its_owners_now(company):
    assert of(company.deals)["after"] == "cid"  # as the CRM shows it
    assert of(company.credited) == {"after": "ann", "before": "bob", "north": "ann", "south": "ann", "junior": "dan",
                                    "senior": "dan", "lost": "bob", "open": "ann"}  # fmt: skip
    teams = {"after": "North", "before": "North", "north": "North", "south": "South", "junior": "North",
             "senior": "North", "lost": "North", "open": "South"}  # fmt: skip
    assert of(company.credited, value="rep_team") == teams
    assert of(company.credited, value="manager_id")["south"] == "sue"
    roles = of(company.credited, value="rep_role")
    assert (roles["junior"], roles["senior"]) == ("SDR", "AE")


def test_the_credit_of_a_day_knows_nothing_later(company):
    """On 31 May the open deal was bob's, and on 30 April nobody knew that the won one would be handed over."""
    assert of(company.on(DAY(2026, 5, 31)).credited)["open"] == "bob"
    early = company.on(DAY(2026, 2, 18))
    assert of(early.credited) == {"after": "ann", "before": "bob", "north": "ann", "south": "ann", "junior": "dan"} | {
        "lost": "bob"
    }
    assert set(of(early.assignments, "rep_id", "team").items()) >= {("ann", "North"), ("dan", "North")}


def test_parts_and_splits_are_by_who_was_where_at_the_close(company):
    assert set(of(company.only(team="North").deals)) == {"after", "before", "north", "junior", "senior", "lost"}
    assert set(of(company.only(team="South").deals)) == {"south", "open"}
    assert set(of(company.only(region="US").deals)) == {"south", "open"}
    split = of(crm.with_group(company, company.deals, "rep"), value="group")
    assert (split["after"], split["before"], split["lost"]) == ("Ann", "Bob", "Bob")


def test_without_a_log_or_dated_rows_owners_are_those_known_now(tmp_path):
    made = tables()
    made["changes"] = made["changes"][made["changes"]["field"] == "stage"]
    made["reps"] = made["reps"][made["reps"]["valid_to"].isna()].assign(valid_from=None)
    plain = bare_book(tmp_path, exported_on=str(ENDS), **made)
    assert of(plain.credited) == of(plain.deals)
    assert of(plain.credited, value="rep_team")["north"] == "South"


def test_days_belong_to_the_time_zone_and_dated_rows_may_overlap_or_leave_gaps(tmp_path):
    made = tables()
    rows = [("ann", "A", DAY(2026, 1, 1), DAY(2026, 1, 31)), ("ann", "B", DAY(2026, 1, 20), DAY(2026, 1, 25)),
            ("ann", "C", DAY(2026, 3, 1), DAY(2026, 3, 31))]  # fmt: skip
    made["reps"] = pd.DataFrame(rows, columns=["rep_id", "team", "valid_from", "valid_to"])
    book = bare_book(tmp_path, exported_on=str(ENDS), time_zone="Asia/Tokyo", **made)
    spans = owners.assignments(book)[["since_on", "until_on", "team"]].values.tolist()
    assert spans == [
        [None, DAY(2026, 1, 1), "A"], [DAY(2026, 1, 1), DAY(2026, 1, 20), "A"],
        [DAY(2026, 1, 20), DAY(2026, 1, 26), "B"], [DAY(2026, 1, 26), DAY(2026, 2, 1), "A"],
        [DAY(2026, 2, 1), DAY(2026, 3, 1), "A"], [DAY(2026, 3, 1), DAY(2026, 4, 1), "C"], [DAY(2026, 4, 1), None, "C"],
    ]  # fmt: skip
    late = dt.datetime(2026, 1, 19, 15)  # midnight in Tokyo: the 20th has begun
    moments = book.deals.filter(lambda deals: deals.deal_id == "north").select("deal_id", at=late)
    assert of(crm.with_owner(book, moments, "at"), value="rep_team")["north"] == "B"
    just_before = moments.mutate(at=late - dt.timedelta(seconds=1))
    assert of(crm.with_owner(book, just_before, "at"), value="rep_team")["north"] == "A"
