"""Another system's payouts recomputed: planted differences are found, each with its cause, and nothing is left over."""

import csv
import datetime as dt
from fractions import Fraction as F

import pytest
import python_calamine
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops.pay import claims, payouts, plans, recompute, team
from salesops.pay.records import QuotaSpell
from salesops.problems import BadInput

from tests.conftest import ROOT, examples
from tests.pay_cases import YEAR_END, component, credit, person, plan, small_book, table

XACTLY = claims.load(ROOT / "params" / "claims" / "xactly.yml")
FLAT = component(table=table([{"from": 0, "rate": "5%"}, {"from": 50_000, "rate": "8%"}], by="amount"))


def claim(paid, credits=None, quotas=None, people=None):
    day = dt.date
    spans = {f"2026-Q{k}": (day(2026, 3 * k - 2, 1), claims.named_period(f"2026-Q{k}")[1]) for k in range(1, 5)}
    return claims.Claims(
        [claims.Payout(who, *spans[span], name, F(amount)) for who, span, name, amount in paid],
        None if credits is None else [claims.Given(*one) for one in credits],
        None if quotas is None else [claims.Quota(who, *spans[span], F(amount)) for who, span, amount in quotas],
        people or {},
    )


def audit(the_plan, sold, claimed, who=None, **more):
    who = who or person()
    made = recompute.audit([who], {"AE": the_plan}, {who.person_id: sold}, claimed, {"P1": "Ann Lee"},
                           more.pop("components", {}), through=YEAR_END)  # fmt: skip
    return {(row.component, row.span): row for row in made.rows}, made.credits


def theirs_of(sold):
    return [("P1", one.deal_id, one.on, one.measures["bookings"]) for one in sold]


def test_what_is_paid_alike_does_not_differ():
    sold = [credit(1, "2026-02-01", 40_000), credit(2, "2026-05-01", 80_000)]
    paid = [("Ann Lee", "2026-Q1", "Bookings", 2000), ("P1", "2026-Q2", "Commission", 4900)]
    rows, odd = audit(plan(FLAT), sold, claim(paid, theirs_of(sold)), components={"Commission": "Bookings"})
    assert not odd and not [row for row in rows.values() if row.causes or row.difference]


def test_each_planted_difference_is_found_with_its_cause():
    """5 % up to 50,000 and 8 % above. Left out: 40,000 (2,000). Besides: 10,000 (500). Amount: 70,000 for 80,000 (800
    less). Day: 20,000 of April credited in March (1,000 there, none here). Rate: 6 % for 5 %. A cent is rounding."""
    sold = [credit(1, "2026-02-01", 40_000), credit(2, "2026-05-01", 80_000), credit(3, "2026-07-02", 20_000),
            credit(4, "2026-11-01", 10_000)]  # fmt: skip
    day = dt.date
    given_ = [("P1", "D2", day(2026, 5, 1), F(70_000)), ("P1", "D3", day(2026, 6, 30), F(20_000)),
              ("P1", "X9", day(2026, 2, 5), F(10_000)), ("P1", "D4", day(2026, 11, 1), F(10_000))]  # fmt: skip
    paid = [("P1", "2026-Q1", "Bookings", "500.01"), ("P1", "2026-Q2", "Bookings", 5700),
            ("P1", "2026-Q4", "Bookings", 600), ("Nobody", "2026-Q1", "Bookings", 9),
            ("P1", "2026-Q3", "Bonus", 70)]  # fmt: skip
    rows, odd = audit(plan(FLAT), sold, claim(paid, given_))
    assert rows["Bookings", "2026-Q1"].causes == {"not_credited": -2000, "credited_besides": 500, "rounding": F(1, 100)}
    assert rows["Bookings", "2026-Q2"].causes == {"amount": -800, "day": 1600}
    assert rows["Bookings", "2026-Q3"].causes == {"day": -1000}
    assert rows["Bookings", "2026-Q4"].causes == {"rule": 100}
    assert rows["Bonus", "2026-Q3"].causes == {"component": 70}
    assert sorted(one.what for one in odd) == ["amount", "credited_besides", "day", "not_credited"]
    nobody = recompute.audit([person()], {"AE": plan(FLAT)}, {}, claim(paid), {}, {}, through=YEAR_END).rows[0]
    assert (nobody.person_id, nobody.causes) == ("Nobody", {"person": 9})


def test_two_credits_of_one_deal_are_compared_together():
    """Halves of a deal of 100,000, which the export credits whole: nothing differs; of 80,000, each half is 40,000."""
    halves = [credit(1, "2026-02-01", 50_000)._replace(credit_id=name) for name in ("a", "b")]
    given_ = [("P1", "D1", dt.date(2026, 2, 1), F(100_000))]
    rows, odd = audit(plan(FLAT), halves, claim([("P1", "2026-Q1", "Bookings", 6500)], given_))
    assert not odd and not rows["Bookings", "2026-Q1"].causes
    less = [("P1", "D1", dt.date(2026, 2, 1), F(80_000))]
    rows, odd = audit(plan(FLAT), halves, claim([("P1", "2026-Q1", "Bookings", 4900)], less))
    assert rows["Bookings", "2026-Q1"].causes == {"amount": -1600} and len(odd) == 1
    assert claims.named_period("2026-01..2026-02") is None


def test_another_quota_is_a_cause_of_its_own():
    """60,000 of 100,000 at 5 %; of 40,000 the part above pays 6 and 7 %: 2,000 + 600 + 700."""
    sold = [credit(1, "2026-02-01", 60_000)]
    claimed = claim([("P1", "2026-Q1", "Bookings", 3300)], quotas=[("P1", "2026-Q1", 40_000)])
    who = person({"2026-Q1": 100_000})
    rows = recompute.audit([who], {"AE": plan()}, {"P1": sold}, claimed, {}, {}, through=dt.date(2026, 3, 31)).rows
    assert rows[0].causes == {"quota": 300} and rows[0].ours == 3000
    dated = who._replace(quotas={}, quota_spells=(QuotaSpell("bookings", "2026-Q1", F(100_000)),))  # as a book has it
    again = recompute.audit([dated], {"AE": plan()}, {"P1": sold}, claimed, {}, {}, through=dt.date(2026, 3, 31)).rows
    assert again == rows


amounts = st.integers(1, 9_000_000).map(lambda cents: F(cents, 100))
days = st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31))


@given(st.lists(st.tuples(amounts, days), max_size=5),
       st.lists(st.tuples(st.integers(1, 7), days, amounts), max_size=5),
       st.lists(st.tuples(st.integers(1, 4), st.integers(-(10**6), 10**7)), max_size=6))  # fmt: skip
@settings(max_examples=examples(60))
def test_causes_sum_to_the_difference_whatever_is_claimed(ours, theirs, paid):
    sold = [credit(k, str(day), amount) for k, (amount, day) in enumerate(ours)]
    claimed = claim([("P1", f"2026-Q{k}", "Bookings", F(cents, 100)) for k, cents in paid],
                    [("P1", f"D{k}", day, amount) for k, day, amount in theirs])  # fmt: skip
    rows, _odd = audit(plan(), sold, claimed)
    for row in rows.values():
        assert sum(row.causes.values(), F(0)) == row.difference and 0 not in row.causes.values()
    assert sum((row.theirs for row in rows.values()), F(0)) == sum((F(cents, 100) for _k, cents in paid), F(0))
    total = sum(line.amount for line in payouts.pay(person(), {"AE": plan()}, sold, through=YEAR_END))
    assert sum((row.ours for row in rows.values()), F(0)) == F(total)


def write(folder, name, rows):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def export(folder, *, period="Q1-2026", amount="$2,000.00", day="2026-02-03T00:00:00Z"):
    write(folder, "xc_commission.csv", [{"participant_name": "Lee, Ann", "period_name": period, "rule_name": "Bookings",
                                         "order_code": "d0", "amount": amount}])  # fmt: skip
    write(folder, "xc_credit.csv", [{"participant_name": "Lee, Ann", "order_code": "d0", "incentive_date": day,
                                     "amount": "40000"}])  # fmt: skip
    write(folder, "xc_quota_assignment.csv", [{"assignment_name": "Lee, Ann", "period_id": str(k), "amount": "100000"}
                                              for k in range(1, 5)])  # fmt: skip
    write(folder, "xc_period.csv", [{"period_id": str(k), "name": f"Q{k}-2026"} for k in range(1, 5)])
    write(folder, "xc_participant.csv", [{"name": "Lee, Ann", "employee_id": "r1"}])


def test_tables_of_the_system_are_read_by_its_mapping(tmp_path):
    export(tmp_path / "x")
    read = claims.read(tmp_path / "x", XACTLY)
    book = small_book(tmp_path / "book")
    the_plan = plan()
    people = team.read(book, [the_plan], "")
    made = recompute.audit(people.people, {the_plan.version: the_plan}, people.credits, read, {}, {},
                           through=dt.date(2026, 3, 31))  # fmt: skip
    row = next(one for one in made.rows if one.person_id == "r1")
    assert (row.theirs, row.ours, row.causes) == (2000, 2000, {})
    assert {one.person_id for one in made.rows if one.causes} == {"r2"}  # whom the export does not pay
    for text, first in (("Mar-2026", "2026-03-01"), ("March 2026", "2026-03-01"), ("Q2 2026", "2026-04-01"),
                        ("2026", "2026-01-01"), ("2026-03", "2026-03-01")):  # fmt: skip
        assert str(claims.named_period(text)[0]) == first
    assert claims.named_period("Q7 2026") is None and claims.named_period("Foo 2026") is None


def test_what_cannot_be_read_is_said_with_its_place_all_at_once(tmp_path):
    export(tmp_path / "x", period="soon", amount="a lot", day="3.2.2026")
    (tmp_path / "x" / "xc_period.csv").write_text("period_id,name\n1,Q1-2026\n")
    with pytest.raises(BadInput) as refused:
        claims.read(tmp_path / "x", XACTLY)
    said = str(refused.value)
    for part in ("xc_commission.csv, row 2, period: got "
                 "'soon'", "row 2, amount: got 'a lot'", "row 2, day: got '3.2.2026'",
                 "xc_quota_assignment.csv, row 3, period_id: got '2', not in xc_period.csv"):  # fmt: skip
        assert part in said, said
    (tmp_path / "x" / "xc_credit.csv").write_text("participant_name,order_code\nA,1\n")
    (tmp_path / "x" / "xc_participant.csv").unlink()
    with pytest.raises(BadInput) as refused:
        claims.read(tmp_path / "x", XACTLY)
    assert "xc_credit.csv, row 1, incentive_date: the column is missing" in str(refused.value)
    assert "xc_participant.csv: there is no such file in x" in str(refused.value)
    spec = tmp_path / "bad.yml"
    spec.write_text("payouts: {file: a.csv, columns: {person: a, who: b}, lookups: {x: {file: b, from: c, to: d}}}")
    with pytest.raises(BadInput) as refused:
        claims.load(spec)
    assert [part in str(refused.value) for part in ("period is missing", "who is unknown", "x is none of")] == [
        True
    ] * 3


@pytest.mark.slow
def test_the_workbook_holds_causes_lines_and_credits_as_text(tmp_path, salesops, book):
    """The sample company's own pay, exported; one payout raised, one deal left out, and a name that would be a
    formula."""
    the_plan = plans.load(ROOT / "params" / "plans" / "account_executive.yml")
    read = team.read(book, [the_plan], "")
    known, undone = read.history.known(book.as_of), read.history.cancellations
    payouts_, credits_, people_ = [], [], []
    for one in read.people:
        own = known.get(one.person_id, [])
        people_.append({"name": f"=cmd|{one.person_id}", "employee_id": one.person_id})
        versions = {the_plan.version: the_plan}
        for line in payouts.pay(one, versions, own, through=book.as_of, cancellations=undone):
            if line.kind in ("earned", "true_up", "spiff", "clawback", "adjustment"):
                payouts_.append({"participant_name": f"=cmd|{one.person_id}", "period_name": line.span,
                                 "rule_name": line.component, "order_code": "",
                                 "amount": str(line.amount)})  # fmt: skip
        credits_ += [{"participant_name": f"=cmd|{one.person_id}", "order_code": sold.deal_id,
                      "incentive_date": str(sold.on), "amount": str(float(sold.measures["bookings"]))}
                     for sold in own]  # fmt: skip
    folder = tmp_path / "x"
    for name, rows in (("xc_commission.csv", payouts_), ("xc_credit.csv", credits_), ("xc_participant.csv", people_)):
        write(folder, name, rows)
    years = [{"assignment_name": f"=cmd|{one.person_id}", "period_id": name, "amount": str(float(amount))}
             for one in read.people for (_m, name), amount in one.quotas.items()]  # fmt: skip
    write(folder, "xc_quota_assignment.csv", years)
    write(
        folder,
        "xc_period.csv",
        [{"period_id": name, "name": name} for name in sorted({one["period_id"] for one in years})],
    )
    done = salesops("recompute", "params/comp.yml", "xactly", folder, "--to", tmp_path / "same")
    assert done.returncode == 0, done.stdout + done.stderr
    payouts_[0]["amount"] = str(float(payouts_[0]["amount"]) + 123.45)
    write(folder, "xc_commission.csv", payouts_)
    write(folder, "xc_credit.csv", credits_[1:])
    done = salesops("recompute", "params/comp.yml", "xactly", folder, "--to", tmp_path / "made")
    assert done.returncode == 1 and "other rate or rule" in done.stdout and "deal not credited there" in done.stdout
    sheets = python_calamine.CalamineWorkbook.from_path(tmp_path / "made" / "recompute.xlsx")
    lines = sheets.get_sheet_by_name("lines").to_python()
    assert sum(row[6] or 0 for row in lines[1:]) == pytest.approx(123.45)
    odd = sheets.get_sheet_by_name("credits").to_python()
    assert len(odd) == 2 and odd[1][1] == credits_[0]["order_code"] and odd[1][2] == "deal not credited there"
    assert salesops("recompute", "params/comp.yml", "nobody", folder, "--to", tmp_path / "no").returncode == 2
    assert not (tmp_path / "no").exists()
