"""Owner then or now: a small company in which a deal is handed over after its win, another before it, a rep changes
team, and one is promoted in mid-year. Right values are worked out by hand."""

import datetime as dt
from types import SimpleNamespace

import ibis
import pandas as pd
import pytest
from salesops import crm, periods
from salesops.crm import owners, rules
from salesops.forecast import calls
from salesops.funnel import reps
from salesops.growth import counts as growth
from salesops.leads import counts as leads
from salesops.maturity import compute as maturity
from salesops.pay import costing
from salesops.process import events
from salesops.quotas import compute as quotas
from salesops.ramp import months as ramp_months
from salesops.report import show
from salesops.scorecard import counts, months, people

from tests.conftest import bare_book, checked
from tests.pay_cases import plan

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
    ("dan", "North", "EU", "SDR", "max", "2025-09-20", "2025-09-20", "2026-02-28"),
    ("dan", "North", "EU", "AE", "max", "2025-09-20", "2026-03-01", None),
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
    ("old", "cid", "2025-12-01", "2025-12-10", 0, []),
    ("open", "bob", "2026-03-03", None, 12800, [("2026-06-01", "ann")]),
]
QUOTAS = [("ann", "2026-Q1", 1000), ("ann", "2026-Q2", 1000), ("bob", "2026-Q1", 1000), ("cid", "2026-Q2", 1000),
          ("dan", "2026-Q1", 900)]  # fmt: skip


def tables(deals=DEALS) -> dict[str, pd.DataFrame]:
    rows, log = [], []
    for deal, owner, created, closed, amount, handed in deals:
        end = "Lost" if deal in ("lost", "old") else "Won"
        first = {"deal_id": deal, "changed_by": None}
        log.append(first | {"changed_at": at(created), "field": "stage", "old_value": None, "new_value": "Open"})
        if closed:
            log.append(first | {"changed_at": at(closed), "field": "stage", "old_value": "Open", "new_value": end})
        if not closed:  # so that amounts are on the log, and the pipeline of the months' ends is told
            worth = str(amount * 100)
            log.append(first | {"changed_at": at(created), "field": "amount", "old_value": worth, "new_value": worth})
        for day, to in handed:
            log.append(first | {"changed_at": at(day), "field": "rep_id", "old_value": owner, "new_value": to})
            owner = to
        stage = end if closed else "Open"
        rows.append({"deal_id": deal, "name": deal, "rep_id": owner, "pipeline": "P", "stage": stage,
                     "status": end.lower() if closed else "open", "amount_minor": amount * 100, "currency": "USD",
                     "created_at": at(created), "closed_at": at(closed) if closed else None})  # fmt: skip
    days = ("hired_on", "valid_from", "valid_to")
    reps = pd.DataFrame(REPS, columns=["rep_id", "team", "region", "role", "manager_id", *days])
    for name in days:
        reps[name] = [DAY.fromisoformat(one) if isinstance(one, str) else None for one in reps[name]]
    reps["name"] = reps["rep_id"].str.title()
    stages = [("Open", 1, "open"), ("Won", 2, "won"), ("Lost", 3, "lost")]
    quotas = pd.DataFrame(QUOTAS, columns=["rep_id", "period", "amount_minor"])
    changes = pd.DataFrame(log).sort_values("changed_at", kind="stable")
    return {
        "deals": pd.DataFrame(rows), "changes": changes, "reps": reps,
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
                                    "senior": "dan", "lost": "bob", "old": "cid", "open": "ann"}  # fmt: skip
    teams = {"after": "North", "before": "North", "north": "North", "south": "South", "junior": "North",
             "senior": "North", "lost": "North", "old": "South", "open": "South"}  # fmt: skip
    assert of(company.credited, value="rep_team") == teams
    assert of(company.credited, value="manager_id")["south"] == "sue"
    roles = of(company.credited, value="rep_role")
    assert (roles["junior"], roles["senior"]) == ("SDR", "AE")


def test_the_credit_of_a_day_knows_nothing_later(company):
    """On 31 May the open deal was bob's, and on 30 April nobody knew that the won one would be handed over."""
    assert of(company.on(DAY(2026, 5, 31)).credited)["open"] == "bob"
    early = company.on(DAY(2026, 2, 18))
    assert of(early.credited) == {"after": "ann", "before": "bob", "north": "ann", "south": "ann", "junior": "dan"} | {
        "lost": "bob",
        "old": "cid",
    }
    assert set(of(early.assignments, "rep_id", "team").items()) >= {("ann", "North"), ("dan", "North")}


def test_parts_and_splits_are_by_who_was_where_at_the_close(company):
    assert set(of(company.only(team="North").deals)) == {"after", "before", "north", "junior", "senior", "lost"}
    assert set(of(company.only(team="South").deals)) == {"south", "open", "old"}
    assert set(of(company.only(region="US").deals)) == {"south", "open", "old"}
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


# The questions


def scorecard_params(**changed):
    base = {"period": "2026-06", "months": 6, "window": 6, "min_cases": 3, "role": "", "ramp_months": 0}
    return checked("scorecard", **base | changed)


def rows_of(table, *columns) -> dict:
    return {tuple(row[:-1]): row[-1] for row in table[list(columns)].values.tolist()}


def test_scorecard_attainment_is_by_who_won_and_where_they_were(company):
    carried = people.quotas(company, scorecard_params())
    booked = rows_of(carried, "rep_id", "period", "team", "booked")
    assert booked["ann", "2026-Q1", "North"] == (100 + 400) * 100  # "after" was won by ann; "before" was bob's by then
    assert booked["ann", "2026-Q2", "South"] == 800 * 100
    assert booked["bob", "2026-Q1", "North"] == 200 * 100 and booked["cid", "2026-Q2", "South"] == 0
    north = people.quotas(company, scorecard_params(team="North"))
    assert ("ann", "2026-Q2") not in rows_of(north, "rep_id", "period", "booked")


def test_scorecard_of_a_role_has_the_days_in_it_alone(company):
    """dan was promoted on 1 March: 31 of the quarter's 90 days, and no deal of that quarter."""
    carried = people.quotas(company, scorecard_params(role="AE"))
    dan = carried[carried["rep_id"] == "dan"].iloc[0]
    assert (dan["quota"], dan["booked"], dan["share"]) == (round(900_00 * 31 / 90), 0, pytest.approx(31 / 90))
    whole = people.quotas(company, scorecard_params())
    assert rows_of(whole, "rep_id", "booked")[("dan",)] == 1600_00


def test_a_quota_of_two_teams_is_split_by_days_and_sums_to_it(tmp_path):
    made = tables()
    made["reps"].loc[0, "valid_to"], made["reps"].loc[1, "valid_from"] = DAY(2026, 2, 14), DAY(2026, 2, 15)
    book = bare_book(tmp_path, exported_on=str(ENDS), **made)
    carried = people.quotas(book, scorecard_params())
    first = rows_of(carried[carried["period"] == "2026-Q1"], "rep_id", "team", "quota")
    assert (first["ann", "North"], first["ann", "South"]) == (50_000, 50_000)  # 45 of 90 days in each
    booked = rows_of(carried[carried["period"] == "2026-Q1"], "rep_id", "team", "booked")
    assert (booked["ann", "North"], booked["ann", "South"]) == (100_00, 400_00)
    quarter = periods.parse("2026-Q1")
    assert crm.find_quota(book, quarter, team="South") == (500.0, "") == crm.find_quota(book, quarter, region="US")
    assert crm.find_quota(book, quarter)[0] == 2900.0


def test_scorecard_counts_closings_creations_and_days_where_reps_were(company):
    params = scorecard_params()
    cells = counts.read(company, params, months.span(company, params))
    month = lambda number: 2026 * 12 + number - 1  # noqa: E731
    sums = cells.groupby(["month", "team", "rep_id"])[["n_won", "n_lost", "n_created", "n_open"]].sum()
    assert sums.loc[(month(2), "North", "ann"), ["n_won", "n_created"]].tolist() == [1, 1]
    assert sums.loc[(month(1), "North", "ann"), "n_created"] == 3  # "before" too: it was handed over later
    assert sums.loc[(month(3), "North", "bob"), "n_lost"] == 1
    assert sums.loc[(month(5), "North", "bob"), "n_open"] == 1 and sums.loc[(month(6), "South", "ann"), "n_open"] == 1
    here = people.presence(company, params, months.span(company, params))
    ann = here[here["rep_id"] == "ann"]
    assert set(ann.loc[ann["work_days"] > 0, ["month", "team"]].itertuples(index=False, name=None)) == {
        *((month(k), "North") for k in (1, 2, 3)), *((month(k), "South") for k in (4, 5, 6))
    }  # fmt: skip


def test_newcomers_ramp_by_what_they_won_in_their_role(company):
    reps = ramp_months.read(company, role="AE", settled=12)
    booked = reps.months.groupby("rep_id")["booked"].sum()
    assert booked["ann"] == (100 + 400 + 800) * 100 and booked["bob"] == 200 * 100 and booked["cid"] == 0
    dan = reps.people.set_index("rep_id").loc["dan"]
    promoted = (DAY(2026, 3, 1) - ramp_months.EPOCH).days
    assert dan["first"] == promoted and booked["dan"] == 3200 * 100
    juniors = ramp_months.read(company, role="SDR", settled=3)
    assert juniors.people["rep_id"].tolist() == ["dan"] and juniors.people["stays"].all()
    assert juniors.people["last"].item() == promoted - 1 and juniors.months["booked"].sum() == 1600 * 100


def test_callers_are_judged_by_what_they_won_and_managers_by_who_reported_to_them_then(tmp_path):
    made = tables()
    said = [("ann", "2026-Q1", 500, "2026-01-15"), ("max", "2026-Q1", 900, "2026-01-15"),
            ("ann", "2026-Q2", 700, "2026-04-15"), ("sue", "2026-Q2", 700, "2026-04-15")]  # fmt: skip
    made["forecast_calls"] = pd.DataFrame(
        [(rep, period, amount * 100, at(day), "commit") for rep, period, amount, day in said],
        columns=["rep_id", "period", "amount_minor", "called_at", "category"],
    )
    book = bare_book(tmp_path, exported_on=str(ENDS), **made)
    quarters = [periods.parse("2026-Q1"), periods.parse("2026-Q2")]
    ends = [periods.end_of(one.last_on, "UTC") for one in quarters]
    origins = pd.DataFrame({"week": [0, 1], "quarter": ["2026-Q1", "2026-Q2"], "end": ends, "at": ends,
                            "begun": [periods.start_of(one.first_on, "UTC") for one in quarters],
                            "due_by": [one.last_on for one in quarters]})  # fmt: skip
    called, booked = calls._read(book, checked("forecast"), origins)
    sums = rows_of(booked, "quarter", "rep_id", "amount")
    assert sums["2026-Q1", "ann"] == 500 and sums["2026-Q1", "bob"] == 200  # "before" was handed over after the call
    assert sums["2026-Q1", "max"] == 100 + 200 + 400 + 1600 and ("2026-Q1", "sue") not in sums
    assert sums["2026-Q2", "sue"] == 800 and sums["2026-Q2", "max"] == 3200
    assert rows_of(called, "rep_id", "week", "level") == {("ann", 0): 0, ("max", 0): 1, ("ann", 1): 0, ("sue", 1): 1}
    south, _own = calls._read(book, checked("forecast", team="South"), origins)
    assert rows_of(south, "rep_id", "week", "amount") == {("ann", 1): 700, ("sue", 1): 700}


def test_quarters_of_maturity_are_by_who_won(company):
    table = maturity._quarters(company, periods.parse("2026-01..2026-06"))
    booked = rows_of(table, "rep_id", "period", "booked")
    assert (booked["ann", "2026-Q1"], booked["bob", "2026-Q1"], booked["cid", "2026-Q2"]) == (500_00, 200_00, 0)


def test_years_of_a_plan_are_drawn_from_who_won(company):
    attained = rows_of(costing.read_history(company, plan()), "rep_id", "quarter", "attainment")
    assert (attained["ann", "2026-01-01"], attained["bob", "2026-01-01"]) == (0.5, 0.2)
    assert (attained["ann", "2026-04-01"], attained["cid", "2026-04-01"]) == (0.8, 0)


def test_growth_rests_on_the_reps_who_won(company):
    spans = growth.Spans(periods.parse("2026-Q1"), periods.parse("2025-Q4"))
    won = growth.won_in(company, company.deals, spans)
    assert growth.holders(company, won, "rep")[0] == [1600_00, 500_00, 200_00]
    table = growth.created_by_month(company, "region", periods.parse("2026-03"), 3)
    assert table["EU"].tolist() == [4, 2, 2] and "US" not in table  # ann was in the EU until the end of March


def test_who_moves_a_deal_in_the_event_log_is_its_owner_of_that_moment(company):
    log = events._events(company, "").execute()
    assert rows_of(log, "deal_id", "stage", "rep_id")["before", "Open"] == "ann"
    assert rows_of(log, "deal_id", "stage", "rep_id")["before", "Won"] == "bob"
    assert rows_of(log, "deal_id", "stage", "rep_id")["after", "Won"] == "ann"


@pytest.mark.slow
def test_leads_and_meetings_count_for_the_team_of_the_day(tmp_path):
    made = tables()
    made["leads"] = pd.DataFrame({"lead_id": ["l1", "l2"], "rep_id": ["ann", "ann"], "source": ["web", "web"],
                                  "created_at": [at("2026-03-02"), at("2026-05-04")],
                                  "first_response_at": [at("2026-03-02"), at("2026-05-04")]})  # fmt: skip
    done = [("a1", at("2026-03-03"), 30), ("a2", at("2026-05-05"), 60)]
    made["activities"] = pd.DataFrame(done, columns=["activity_id", "started_at", "minutes"]).assign(
        rep_id="ann", kind="meeting"
    )
    book = bare_book(tmp_path, exported_on=str(ENDS), **made)
    for team, lead in (("North", "l1"), ("South", "l2")):
        params = checked("leads", period="2026-06", months=6, team=team, split_by="none")
        assert leads.looked_at(book.only(team=team), params).execute()["lead_id"].tolist() == [lead]
    params = scorecard_params()
    cells = counts.read(book, params, months.span(book, params))
    meetings = cells[cells["n_meetings"] > 0].set_index("team")["sold_seconds"].to_dict()
    assert meetings == {"North": 1800, "South": 3600}


def test_quota_pages_credit_pipeline_to_its_creator_and_wins_to_the_winner(company):
    seats = pd.DataFrame({"rep_id": ["ann", "bob", "cid", "dan"], "team": ["A", "B", "C", "D"], "whole": [1.0] * 4})
    history = pd.DataFrame({"rep_id": ["ann", "bob"], "quarter": ["2026-01-01"] * 2, "attainment": [0.5, 0.2]})
    groups, _p = quotas._groups(company, seats, history, SimpleNamespace(min_group=1, seed=1))
    shares = groups.set_index("team")
    assert shares["booked_share"].to_dict() == pytest.approx(
        {"A": 1300 / 6300, "B": 200 / 6300, "C": 0.0, "D": 4800 / 6300}
    )
    made = {"A": 1500, "B": 19200, "C": 0, "D": 4800}
    assert shares["pipeline_share"].to_dict() == pytest.approx({team: made[team] / 25500 for team in made})


def test_win_rates_of_reps_are_those_of_who_closed(company):
    base = crm.with_dimensions(company, company.deals, ["rep"]).mutate(group=ibis.literal("all"))
    scope = SimpleNamespace(segment_by="none")
    table = reps._closed(company, scope, base, periods.parse("2026-Q1"))
    assert rows_of(table, "rep", "n_won", "n") == {("Ann", 2): 2, ("Bob", 1): 2, ("Dan", 1): 1}


def test_what_is_to_be_mended_goes_to_who_owns_the_deal_now(company):
    params = checked("hygiene", period="2026-06")
    listed = rules.facts(company, params, [rules.Day(ENDS, DAY(2026, 1, 1))], {}).execute()
    assert rows_of(listed, "deal_id", "rep_id") == {
        ("open",): "ann", ("after",): "cid", ("before",): "bob", ("north",): "ann", ("south",): "ann",
        ("junior",): "dan", ("senior",): "dan", ("lost",): "cid",
    }  # fmt: skip


def test_a_page_says_what_of_the_owners_is_known_now(company, tmp_path):
    assert show.credited_as_now(company) == ""
    made = tables()
    made["reps"] = made["reps"][made["reps"]["valid_to"].isna()].assign(valid_from=None)
    undated = bare_book(tmp_path / "undated", exported_on=str(ENDS), **made)
    assert show.credited_as_now(undated).endswith("reps have no dated rows")
    made["changes"] = made["changes"][made["changes"]["field"] == "stage"]
    assert "owners are on no log" in show.credited_as_now(bare_book(tmp_path / "now", exported_on=str(ENDS), **made))
