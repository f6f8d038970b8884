"""Pay: worked cases to the cent, written by hand in fractions; a second way to compute each table; laws that hold."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction as F

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops import lang, periods
from salesops.pay import (
    accrual,
    costing,
    credits,
    curves,
    explain,
    gaming,
    lint,
    payouts,
    plans,
    scores,
    spans,
    statements,
    team,
    vector,
)
from salesops.pay.records import Assignment, Cancellation, Credit, Payment, Person, QuotaSpell, round_money
from salesops.problems import BadInput
from scipy.stats import norm

from tests.conftest import ROOT, examples
from tests.pay_cases import (
    TIERS,
    YEAR_END,
    amounts,
    by_month,
    component,
    credit,
    paid,
    person,
    plan,
    small_book,
    table,
)


def again(bands, at, unit):
    """A marginal table a second way: each step of the rate, for all that lies above it."""
    total, before = F(0), F(0)
    for start, rate in bands:
        total += (rate - before) * max(at - start * unit, 0)
        before = rate
    return total


# Tables


def test_the_published_cases_are_met():
    """Oracle: step rates on each transaction, 164 together, and 2,500 at a blended 1.6 %; a quarter of 5, 6 and 7 %
    beyond a quota of 100,000: 5,000 + 1,500 + 1,750; three tiers on 30,000."""
    bands = [{"from": 0, "rate": 0.01}, {"from": 1000, "rate": 0.02}, {"from": 3000, "rate": 0.03},
             {"from": 8000, "rate": 0.05}]  # fmt: skip
    each = plan(component(period="deal", table=table(bands, by="amount")))
    sold = [credit(k, "2026-02-03", amount) for k, amount in enumerate([200, 300, 1500, 1200, 2000, 4500])]
    assert amounts(each, sold) == ["2.00", "3.00", "20.00", "14.00", "30.00", "95.00"]
    assert sum(map(Decimal, amounts(each, sold))) == 164
    bands = [{"from": 0, "rate": 0.01}, {"from": 1000, "rate": 0.02}, {"from": 5000, "rate": 0.03}]
    assert amounts(
        plan(component(period="deal", table=table(bands, by="amount"))), [credit(1, "2026-02-03", 2500)]
    ) == ["40.00"]
    lines = payouts.pay(person(), {"AE": plan()}, [credit(1, "2026-02-03", 150_000)], through=dt.date(2026, 3, 31))
    assert str(lines[0].amount) == "8250.00"
    step = next(one for one in lines[0].steps if one.what == "bands")
    assert [value * part for _start, value, part in step.values["bands"]] == [5000, 1500, 1750]
    bands = [{"from": 0, "rate": "5%"}, {"from": 10_000, "rate": "7%"}, {"from": 25_000, "rate": "10%"}]
    assert amounts(
        plan(component(period="deal", table=table(bands, by="amount"))), [credit(1, "2026-02-03", 30_000)]
    ) == ["2050.00"]


def test_no_accelerator_before_the_quota_of_the_year():
    """50,000, 75,000 and 200,000 are 325,000 of 400,000: flat 5 %, the third quarter too: 10,000."""
    gated = plan(component(accelerates_after="100%"))
    sold = [credit(1, "2026-02-03", 50_000), credit(2, "2026-05-03", 75_000), credit(3, "2026-08-03", 200_000)]
    assert amounts(gated, sold) == ["2500.00", "3750.00", "10000.00", "0.00"]
    assert amounts(plan(), sold) == ["2500.00", "3750.00", "11750.00", "0.00"]  # 5,000 + 1,500 + 5,250
    more = [*sold, credit(4, "2026-11-03", 150_000)]
    assert amounts(gated, more)[3] == "8250.00"  # 475,000 of 400,000


@pytest.mark.parametrize(("way", "expected"), [("marginal", "88148.15"), ("whole", "148148.15")])
def test_the_whole_and_the_part_above(way, expected):
    """1,234,567.89 at 6 % up to a million and 12 % above."""
    bands = [{"from": "0%", "rate": "6%"}, {"from": "100%", "rate": "12%"}]
    who = person({"2026-Q1": 1_000_000, "2026-Q2": 0, "2026-Q3": 0, "2026-Q4": 0})
    one = plan(component(table=table(bands, way=way)))
    assert amounts(one, [credit(1, "2026-03-31", "1234567.89")], who, through=dt.date(2026, 3, 31)) == [expected]


def test_curves_between_their_points():
    """Half the quota pays half the target pay, all of it all, half as much again twice: at 125 % 1.5 times 10,000."""
    points = [{"from": "50%", "pays": "50%"}, {"from": "100%", "pays": "100%"}, {"from": "150%", "pays": "200%"}]
    linear = plan(component(weight="100%", table=table(points, way="whole", between="linear")))
    step = plan(component(weight="100%", table=table(points, way="whole")))
    sold = [credit(1, "2026-02-01", 125_000), credit(2, "2026-05-01", "49999.99"), credit(3, "2026-08-01", 75_000),
            credit(4, "2026-11-01", 400_000)]  # fmt: skip
    assert amounts(linear, sold) == ["15000.00", "0.00", "7500.00", "20000.00"]
    assert amounts(step, sold) == ["10000.00", "0.00", "5000.00", "20000.00"]
    dues = [{"from": "0%", "pays": "50%"}, {"from": "80%", "pays": "300%"}, {"from": "100%", "pays": "60%"}]
    slowing = plan(component(weight="100%", table=table(dues)))  # a decelerator: 0.4 + 0.6 + 0.15 of 10,000
    assert amounts(slowing, sold[:1], through=dt.date(2026, 3, 31)) == ["11500.00"]


rates = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 400)), min_size=1, max_size=6, unique_by=lambda x: x[0])


@given(rates, st.integers(0, 10**9), st.integers(1, 10**7))
@settings(max_examples=examples(300))
def test_marginal_tables_are_what_a_second_way_says_and_continuous(found, cents, quota):
    bands = sorted((F(start - 1, 100), F(rate, 1000)) for start, rate in found)
    made = plans.Table.model_validate(table([{"from": str(a), "rate": str(b)} for a, b in bands]))
    at = F(cents, 100)
    assert curves.earned(made, at, F(quota), F(0)) == again(bands, at, quota)
    for start, _rate in bands:
        edge = start * quota
        tiny = F(1, 10**9)
        assert abs(curves.earned(made, edge + tiny, F(quota), F(0)) - curves.earned(made, edge, F(quota), F(0))) <= tiny


@given(rates, st.integers(0, 10**8), st.integers(0, 10**8), st.integers(1, 10**6))
@settings(max_examples=examples(200))
def test_pay_rises_where_rates_do_not_fall(found, one, other, quota):
    bands = sorted((F(start - 1, 100), F(rate, 1000)) for start, rate in found)
    rising = [(start, max(rate for _s, rate in bands[: k + 1])) for k, (start, _rate) in enumerate(bands)]
    for way in ("marginal", "whole"):
        made = plans.Table.model_validate(table([{"from": str(a), "rate": str(b)} for a, b in rising], way=way))
        low, high = sorted([F(one, 100), F(other, 100)])
        assert curves.earned(made, low, F(quota), F(0)) <= curves.earned(made, high, F(quota), F(0))


# Limits and links


def test_below_the_threshold_nothing_and_at_it_all():
    at = plan(component(threshold="75%"))
    sold = [credit(1, "2026-02-01", "74999.99"), credit(2, "2026-05-01", 75_000)]
    assert amounts(at, sold) == ["0.00", "3750.00", "0.00", "0.00"]


def test_caps_of_a_deal_a_period_and_a_year():
    """5 % of 60,000 and of 20,000, the first capped at 2,000; a quarter at 2,500; the year at 4,000."""
    sold = [credit(1, "2026-02-01", 60_000), credit(2, "2026-02-02", 20_000), credit(3, "2026-05-01", 80_000)]
    assert amounts(plan(component(cap={"deal": 2000})), sold)[:2] == ["3000.00", "2000.00"]
    assert amounts(plan(component(cap={"period": 2500})), sold)[:2] == ["2500.00", "2500.00"]
    assert amounts(plan(component(cap={"year": 4500})), sold)[:2] == ["4000.00", "500.00"]
    of_target = plan(component(cap={"period": "30%"}, weight="100%"))  # of 10,000 a quarter
    assert amounts(of_target, sold)[:2] == ["3000.00", "3000.00"]


def test_a_gate_and_a_multiplier_look_at_another_component():
    """Renewals at 80 of 100: below 90 % nothing (or the first rate only), times 0.9 below par."""
    renewals = component(name="Renewals", measure="revenue", table=table([{"from": "0%", "rate": "1%"}]))
    who = person()
    who = who._replace(quotas={**who.quotas, **{("revenue", f"2026-Q{k}"): F(100) for k in range(1, 5)}})
    sold = [Credit("C1", "D1", dt.date(2026, 2, 1), {"bookings": F(150_000), "revenue": F(80)})]
    for link, expected in (
        ({"gate": {"of": "Renewals", "at_least": "90%"}}, "0.00"),
        ({"gate": {"of": "Renewals", "at_least": "90%", "otherwise": "first_band"}}, "7500.00"),
        ({"gate": {"of": "Renewals", "at_least": "80%"}}, "8250.00"),
        (
            {"multiplier": {"of": "Renewals", "bands": [{"from": 0, "times": 0.9}, {"from": "100%", "times": 1.2}]}},
            "7425.00",
        ),
    ):
        assert amounts(plan(component(**link), renewals), sold, who, through=dt.date(2026, 3, 31)) == [expected, "0.80"]


def test_a_windfall_is_not_counted_or_carved_out():
    """300,000 in one deal, 100,000 of it counts: 5,000. Carved out, the other 200,000 at the 6 % reached: 17,000."""
    sold = [credit(1, "2026-02-01", 300_000)]
    assert amounts(plan(component(windfall={"over": 100_000, "way": "cap"})), sold)[0] == "5000.00"
    assert amounts(plan(component(windfall={"over": 100_000, "way": "carve_out"})), sold)[0] == "17000.00"
    assert amounts(plan(), sold)[0] == "18750.00"  # 5,000 + 1,500 + 12,250


# Time


def test_a_true_up_makes_the_year():
    """80, 120, 60, 140 thousand against 100 each: to date 80, 200, 260, 400 of 100, 200, 300, 400: 5 % all the way."""
    to_date = plan(component(to_date=True))
    sold = [credit(1, "2026-02-01", 80_000), credit(2, "2026-05-01", 120_000), credit(3, "2026-08-01", 60_000),
            credit(4, "2026-11-01", 140_000)]  # fmt: skip
    assert amounts(to_date, sold) == ["4000.00", "6000.00", "3000.00", "7000.00"]
    assert amounts(plan(), sold) == ["4000.00", "6200.00", "3000.00", "7550.00"]
    early = [credit(1, "2026-02-01", 200_000)]  # 5,000 + 1,500 + 5,250; at half the year it is on plan: 10,000
    assert amounts(to_date, early) == ["11750.00", "-1750.00", "0.00", "0.00"]


@given(st.lists(st.tuples(st.integers(0, 364), st.integers(1, 30_000_000)), min_size=1, max_size=12), rates)
@settings(max_examples=examples(60), deadline=None)
def test_months_with_true_up_are_the_year_and_order_does_not_matter(found, tiers):
    bands = [{"from": f"{start - 1}%", "rate": str(F(rate, 1000))} for start, rate in sorted(tiers)]
    sold = [Credit(f"C{k}", f"D{k}", dt.date(2026, 1, 1) + dt.timedelta(days=day), {"bookings": F(cents, 100)})
            for k, (day, cents) in enumerate(found)]  # fmt: skip
    who = person({f"2026-{k:02}": 50_000 for k in range(1, 13)})
    by_month = plan(component(period="month", to_date=True, table=table(bands)))
    by_year = plan(component(period="year", table=table(bands)))
    monthly = amounts(by_month, sold, who)
    assert len(monthly) == 12 and sum(map(Decimal, monthly)) == Decimal(amounts(by_year, sold, who)[0])
    assert monthly == amounts(by_month, sold[::-1], who)
    # A month's lines are the same whenever they are computed.
    for month in (3, 7):
        early = payouts.pay(who, {"AE": by_month}, sold, through=dt.date(2026, month, 28))
        later = payouts.pay(who, {"AE": by_month}, sold, through=YEAR_END)
        assert early == [line for line in later if line.month <= f"2026-{month:02}"]


def test_part_of_a_quarter_has_part_of_the_quota_and_of_the_pay():
    """There from 15 February on, 45 of 90 days: a quota of 50,000, and half of the target pay."""
    who = person(hired="2026-02-15", start="2026-02-15")
    sold = [credit(1, "2026-03-01", 75_000)]
    assert amounts(plan(), sold, who)[0] == "4125.00"  # 2,500 + 750 + 875
    whole = plan(component(weight="100%", table=table([{"from": "0%", "pays": "100%"}])))
    assert amounts(whole, sold, who)[0] == "7500.00"  # 150 % of 5,000
    assert amounts(plan(prorate=False), sold, who)[0] == "3750.00"
    away = person(leaves=((dt.date(2026, 1, 1), dt.date(2026, 2, 14)),))
    assert amounts(plan(), sold, away)[0] == "4125.00"


def test_the_quota_of_a_newcomer_grows():
    """January to March at 25, 50 and 75 %: (31 x 0.25 + 28 x 0.5 + 31 x 0.75) / 90 of 100,000 is 50,000."""
    who = person(hired="2026-01-01")
    ramped = plan(ramp=["25%", "50%", "75%"])
    assert amounts(ramped, [credit(1, "2026-03-01", 75_000)], who)[0] == "4125.00"
    assert spans.tenure_month(dt.date(2026, 1, 31), dt.date(2026, 2, 28)) == 0


def test_two_plans_in_one_quarter():
    """Until 14 February on 5 %, from then on 10 %: credits go to the plan of their day, quotas by days."""
    second = plan(component(table=table([{"from": "0%", "rate": "10%"}])))
    who = person(assignments=(Assignment("AE", dt.date(2026, 1, 1), dt.date(2026, 2, 14)),
                              Assignment("New", dt.date(2026, 2, 15))))  # fmt: skip
    sold = [credit(1, "2026-02-14", 75_000), credit(2, "2026-02-15", 30_000)]
    lines = payouts.pay(who, {"AE": plan(), "New": second}, sold, through=dt.date(2026, 3, 31))
    assert [str(line.amount) for line in lines] == ["4125.00", "3000.00"]


def test_a_quota_changed_within_the_year_is_given_by_month():
    who = person({"2026-01": 20_000, "2026-02": 30_000, "2026-03": 50_000, **{f"2026-Q{k}": 1 for k in (2, 3, 4)}})
    assert amounts(plan(), [credit(1, "2026-03-01", 150_000)], who)[0] == "8250.00"


# Draws, holds, clawbacks


def test_a_draw_is_paid_back_from_what_is_earned_above_it():
    """1,000 a month; 400, 1,300, 2,000 earned: 600 drawn, 300 and 300 recovered."""
    drawn = plan(component(period="month", table=table([{"from": 0, "rate": "10%"}], by="amount")),
                 draw={"amount": 1000, "kind": "recoverable"})  # fmt: skip
    sold = [credit(1, "2026-01-05", 4000), credit(2, "2026-02-05", 13_000), credit(3, "2026-03-05", 20_000)]
    assert paid(drawn, sold, through=dt.date(2026, 3, 31)) == [
        ("2026-01", "earned", "400.00"), ("2026-01", "draw", "600.00"),
        ("2026-02", "earned", "1300.00"), ("2026-02", "recovered", "-300.00"),
        ("2026-03", "earned", "2000.00"), ("2026-03", "recovered", "-300.00"),
    ]  # fmt: skip
    kept = plan(component(period="month", table=table([{"from": 0, "rate": "10%"}], by="amount")),
                draw={"amount": 1000, "kind": "guarantee", "months": 2})  # fmt: skip
    who = person(hired="2026-01-01")
    assert [one for one in paid(kept, sold, who, through=dt.date(2026, 3, 31)) if one[1] != "earned"] == [
        ("2026-01", "guarantee", "600.00")
    ]


@given(st.lists(st.integers(0, 3_000_000), min_size=12, max_size=12))
@settings(max_examples=examples(50), deadline=None)
def test_draws_balance(cents):
    drawn = plan(component(period="month", table=table([{"from": 0, "rate": "10%"}], by="amount")),
                 draw={"amount": 1000, "kind": "recoverable"})  # fmt: skip
    sold = [credit(k, f"2026-{k:02}-05", str(F(amount, 100))) for k, amount in enumerate(cents, 1) if amount]
    lines = payouts.pay(person(), {"AE": drawn}, sold, through=YEAR_END)
    left = sum(line.amount for line in lines if line.kind in ("draw", "recovered"))
    balance = [line.steps[-1].values["balance"] for line in lines if line.kind in ("draw", "recovered")]
    assert left >= 0 and F(left) == (balance[-1] if balance else 0)
    by_month = {}
    for line in lines:
        by_month[line.month] = by_month.get(line.month, 0) + line.amount
    assert all(amount >= 1000 for amount in by_month.values())


def test_a_share_is_held_until_the_customer_pays():
    """5 % of 40,000 is 2,000, half of it held; a quarter of the price is paid in May, the rest in July."""
    held = plan(hold={"share": "50%"})
    payments = [Payment("D1", dt.date(2026, 5, 5), F(1, 4)), Payment("D1", dt.date(2026, 7, 5), F(3, 4))]
    lines = [one for one in paid(held, [credit(1, "2026-02-01", 40_000)], payments=payments) if one[2] != "0.00"]
    assert lines == [
        ("2026-03", "earned", "2000.00"), ("2026-03", "held", "-1000.00"), ("2026-05", "released", "250.00"),
        ("2026-07", "released", "750.00"),
    ]  # fmt: skip


def test_what_is_cancelled_is_taken_back_at_its_rate_or_by_running_the_period_again():
    """150,000 in a quarter earns 8,250; a deal of 50,000 of it is cancelled in May. At its rate it was a third, 2,750;
    run again, 100,000 earn 5,000, and 3,250 go back."""
    sold = [credit(1, "2026-02-01", 100_000), credit(2, "2026-02-10", 50_000)]
    gone = [Cancellation("D2", dt.date(2026, 5, 10), F(1))]
    at_rate = paid(plan(clawback={"days": 180, "way": "original_rate"}), sold, cancellations=gone)
    assert [one for one in at_rate if one[2] != "0.00"] == [
        ("2026-03", "earned", "8250.00"), ("2026-05", "clawback", "-2750.00")
    ]  # fmt: skip
    again_run = paid(plan(clawback={"days": 180, "way": "rerun"}), sold, cancellations=gone)
    assert [one for one in again_run if one[2] != "0.00"] == [
        ("2026-03", "earned", "8250.00"), ("2026-05", "true_up", "-3250.00")
    ]  # fmt: skip
    on_the_day = [Cancellation("D2", dt.date(2026, 2, 10) + dt.timedelta(days=180), F(1))]
    lines = paid(plan(clawback={"days": 180, "way": "original_rate"}), sold, cancellations=on_the_day)
    assert ("2026-08", "clawback", "-2750.00") in lines  # the last day counts, the next one does not
    next_day = [on_the_day[0]._replace(on=on_the_day[0].on + dt.timedelta(days=1))]
    assert not [line for line in paid(plan(clawback={"days": 180, "way": "original_rate"}), sold,
                                      cancellations=next_day) if line[1] == "clawback"]  # fmt: skip
    late = [Cancellation("D2", dt.date(2026, 11, 10), F(1))]
    for way in ("original_rate", "rerun"):
        lines = paid(plan(clawback={"days": 180, "way": way}), sold, cancellations=late)
        assert [one for one in lines if one[2] != "0.00"] == [("2026-03", "earned", "8250.00")]


@pytest.mark.parametrize("way", ["original_rate", "rerun"])
def test_what_was_held_is_not_taken_back_twice(way):
    """2,000 earned, half of it held, all cancelled before the customer paid: nothing is left, and nothing is owed."""
    held = plan(hold={"share": "50%"}, clawback={"days": 180, "way": way})
    gone = [Cancellation("D1", dt.date(2026, 5, 5), F(1))]
    lines = payouts.pay(person(), {"AE": held}, [credit(1, "2026-02-01", 40_000)], through=YEAR_END, cancellations=gone)
    assert sum(line.amount for line in lines) == 0 and len([line for line in lines if line.amount]) == 4
    half = [Cancellation("D1", dt.date(2026, 5, 5), F(1, 2))]
    lines = payouts.pay(person(), {"AE": held}, [credit(1, "2026-02-01", 40_000)], through=YEAR_END, cancellations=half)
    assert sum(line.amount for line in lines) == 500  # of the 1,000 that are left, half is held


def test_a_spiff_pays_by_the_deal_up_to_its_most():
    one = plan(spiffs=[{"name": "Sensors", "from": "2026-02-01", "until": "2026-03-31", "only": {"product": ["S"]},
                        "each": 300, "most": 500}])  # fmt: skip
    days = [("2026-01-31", "S"), ("2026-02-01", "S"), ("2026-02-02", "T"), ("2026-03-31", "S"), ("2026-04-01", "S")]
    sold = [credit(k, day, 100, product=product) for k, (day, product) in enumerate(days)]
    assert [line[2] for line in paid(one, sold) if line[1] == "spiff"] == ["300.00", "200.00"]
    lines = [line for line in payouts.pay(person(), {"AE": one}, sold, through=YEAR_END) if line.kind == "spiff"]
    assert [explain.explain(line, "USD") for line in lines] == [
        ["Deals that count so far: 1. At $300.00 each, and a share of it for a split deal, they bring $300.00, $0.00 "
         "of it before. Together they bring at most $500.00."],
        ["Deals that count so far: 2. At $300.00 each, and a share of it for a split deal, they bring $500.00, $300.00 "
         "of it before. Together they bring at most $500.00."],
    ]  # fmt: skip


def test_returns_take_back_at_the_first_rate():
    assert amounts(plan(), [credit(1, "2026-02-01", 10_000), credit(2, "2026-03-01", -30_000)])[0] == "-1000.00"


@pytest.mark.parametrize(("rounding", "expected"), [("half_up", "0.13"), ("half_even", "0.12"), ("down", "0.12")])
def test_each_line_is_rounded_once(rounding, expected):
    """5 % of 2.50 is 0.125."""
    assert amounts(plan(rounding=rounding), [credit(1, "2026-02-01", "2.50")])[0] == expected
    assert amounts(plan(rounding=rounding), [credit(1, "2026-02-01", "-2.50")])[0] == f"-{expected}"


# Credits


def test_credit_goes_to_those_who_share_and_to_those_above_as_it_was():
    """A deal shared 60 to 40, an overlay of half; the manager of both is credited once for all, in March; from April
    on another."""
    deals = [credits.Deal("D1", dt.date(2026, 3, 1), "A", {"bookings": F(1000)}),
             credits.Deal("D2", dt.date(2026, 4, 1), "A", {"bookings": F(500)})]  # fmt: skip
    splits = [credits.Split("D1", "A", F(3, 5)), credits.Split("D1", "B", F(2, 5)),
              credits.Split("D1", "E", F(1, 2), "overlay")]  # fmt: skip
    until, since = dt.date(2026, 3, 31), dt.date(2026, 4, 1)
    reports = [credits.Reports("A", "M", dt.date(2020, 1, 1), until), credits.Reports("B", "M", dt.date(2020, 1, 1)),
               credits.Reports("A", "N", since), credits.Reports("M", "V", dt.date(2020, 1, 1))]  # fmt: skip
    made = credits.make(deals, splits, reports)
    got = {who: [(one.deal_id, one.kind, one.measures["bookings"]) for one in found] for who, found in made.items()}
    assert got == {
        "A": [("D1", "direct", 600), ("D2", "direct", 500)], "B": [("D1", "direct", 400)],
        "E": [("D1", "overlay", 500)], "M": [("D1", "override", 1000)], "V": [("D1", "override", 1000)],
        "N": [("D2", "override", 500)],
    }  # fmt: skip
    manages = plan(component(credits=["override"]))
    assert amounts(manages, made["M"], through=dt.date(2026, 3, 31)) == ["50.00"]
    assert amounts(plan(), made["M"], through=dt.date(2026, 3, 31)) == ["0.00"]


def test_a_deal_shared_across_hierarchies_is_each_managers_for_the_part_of_their_own():
    """70 to 30 between a rep below M and one below N; V, above both, is credited once for all of it."""
    deals = [credits.Deal("D1", dt.date(2026, 3, 1), "A", {"bookings": F(1000)})]
    splits = [credits.Split("D1", "A", F(7, 10)), credits.Split("D1", "B", F(3, 10))]
    long = dt.date(2020, 1, 1)
    above = [credits.Reports(*pair, long) for pair in (("A", "M"), ("B", "N"), ("M", "V"), ("N", "V"))]
    made = credits.make(deals, splits, above)
    got = {who: [(one.kind, one.measures["bookings"]) for one in found] for who, found in made.items()}
    assert got == {"A": [("direct", 700)], "B": [("direct", 300)], "M": [("override", 700)], "N": [("override", 300)],
                   "V": [("override", 1000)]}  # fmt: skip


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(1, 10**9))
def test_splits_conserve_credit(parts, cents):
    shares = [F(part, sum(parts)) for part in parts]
    splits = [credits.Split("D", f"P{k}", share) for k, share in enumerate(shares)]
    made = credits.make([credits.Deal("D", dt.date(2026, 3, 1), "x", {"bookings": F(cents, 100)})], splits)
    assert sum(one.measures["bookings"] for found in made.values() for one in found) == F(cents, 100)


def test_credits_that_cannot_be_are_refused_all_at_once():
    deal = credits.Deal("D1", dt.date(2026, 3, 1), "A", {"bookings": F(1000)})
    splits = [credits.Split("D1", "A", F(3, 5)), credits.Split("D1", "A", F(-1, 5))]
    since = dt.date(2020, 1, 1)
    circle = [credits.Reports("A", "M", since), credits.Reports("M", "V", since), credits.Reports("V", "M", since)]
    with pytest.raises(BadInput) as refused:
        credits.make([deal], splits, circle)
    said = "\n".join(refused.value.problems)
    for part in ("direct shares are 40.00% together", "is -20.00%", "A has two direct shares",
                 "A reports to M reports to V reports to M, a circle"):  # fmt: skip
        assert part in said


# What cannot be


def test_a_plan_is_refused_with_every_problem_and_its_place():
    values = {
        "plan": "AE", "version": "1", "from": "2026-12-31", "until": "2026-01-01", "currency": "dollars",
        "pay": {"base": -1, "variable": True}, "colour": "red",
        "components": [
            component(measure="love", gate={"of": "Bookings", "at_least": "90%"}, weight="60%"),
            component(name="Other", table=table([{"from": "50%", "rate": "5%"}, {"from": "20%", "pays": "6%"}])),
            component(name="Third", multiplier={"of": "Nobody", "bands": [{"from": 0, "times": 2}]}, weight="60%"),
            component(name="Fourth", threshold="80%", weight="10%", cap={"period": "50%"},
                      table=table([{"from": "0%", "pays": "1"}])),
            component(name="Fifth", period="deal", to_date=True),
            component(name="Sixth", table=table([{"from": "0%", "rate": 60}])),
        ],
    }  # fmt: skip
    with pytest.raises(BadInput) as refused:
        plans.check(values, where="params/plans/ae.yml")
    said = str(refused.value)
    for part in (
        "params/plans/ae.yml: the plan cannot be used", "currency: ", "pay.base: -1 must not be below 0",
        "pay.variable: True is no number", "colour: unknown", "components.0: measure 'love' is unknown: bookings",
        "components.0.gate.of: 'Bookings' is the component itself", "components.1.table: bands overlap",
        "components.2.multiplier.of: 'Nobody' is no component; there are: Bookings, Other",
        "components.3: the cap lies below the threshold", "components.4: `period: deal` takes each deal",
        "components.5.table.bands.0.rate: 60 would be 6000%", "weights are 130% together",
        "until: 2026-01-01 is before from 2026-12-31",
    ):  # fmt: skip
        assert part in said, part


def test_pay_is_refused_with_every_problem():
    who = person(
        {"2026-Q1": -5}, assignments=(Assignment("AE", dt.date(2025, 1, 1)), Assignment("Gone", dt.date(2026, 5, 1)))
    )
    with pytest.raises(BadInput) as refused:
        payouts.pay(who, {"AE": plan()}, [credit(1, "2026-02-01", 1)] * 2, through=YEAR_END)
    said = str(refused.value)
    for part in ("credit C1 stands twice", "quota of bookings in 2026-Q1 is -5.00", "two plans hold on 2026-05-01",
                 "AE holds from 2026-01-01", "the plan 'Gone' is not known; there are: AE"):  # fmt: skip
        assert part in said, part
    with pytest.raises(BadInput, match="no quota of bookings for 2026-Q1"):
        payouts.pay(person({}), {"AE": plan()}, [], through=YEAR_END)


def test_the_plan_of_the_sample_company_reads_and_pays():
    made = plans.load(ROOT / "params" / "plans" / "account_executive.yml")
    assert made.component("Bookings").table.bands[2].pays == F(9, 5) and made.hold.share == F(1, 4)
    # All of the quota in the first quarter: 0.5 x 0.8 + 0.5 x 1.2 of 16,000, a quarter of it held.
    lines = paid(made, [credit(1, "2026-02-01", 100_000)], through=dt.date(2026, 3, 31))
    assert ("2026-03", "earned", "16000.00") in lines and ("2026-03", "held", "-4000.00") in lines


# Many outcomes at once


def exact(made, cents, quota, target, rounding):
    """One outcome by the exact engine's own arithmetic, in cents."""
    amount = curves.earned(made, F(int(cents), 100), quota, target)
    return int(round_money(amount, plan(rounding=rounding)) * 100)


ways = st.sampled_from(["marginal", "whole", "linear"])
kinds = st.sampled_from(["rate", "pays", "amount"])


roundings = st.sampled_from(["half_up", "half_even", "down"])
many = st.lists(st.integers(0, 10**10), min_size=1, max_size=8)
bys = st.sampled_from(["attainment", "amount"])


@given(rates, ways, kinds, bys, st.integers(1, 10**7), st.integers(0, 10**6), many, roundings)
@settings(max_examples=examples(400), deadline=None)
def test_many_at_once_are_to_the_cent_what_each_alone_is(found, way, kind, by, quota, target, cents, rounding):
    bands = [{"from": str(F(start - 1, 100)), kind: str(F(rate, 100))} for start, rate in sorted(found)]
    between = {"between": "linear"} if way == "linear" else {}
    try:
        made = plans.Table.model_validate(table(bands, by=by, way="whole" if way == "linear" else way, **between))
    except ValueError:
        return  # a table that no plan may have
    measured = np.array([*cents, *(int(F(start - 1, 100) * quota * 100) for start, _rate in found)])
    got = vector.earned(made, measured, F(quota), F(target), rounding=rounding)
    assert got.dtype == np.int64
    assert got.tolist() == [exact(made, one, F(quota), F(target), rounding) for one in measured]


def test_kopecks_times_rate_times_multiplier_do_not_overflow():
    """Ten billion roubles in kopecks at a rate of many digits, and a quota that is no round number."""
    bands = [{"from": "0%", "rate": "6.123457%"}, {"from": "33.333333%", "rate": "12.7654321%"}]
    made = plans.Table.model_validate(table(bands))
    measured, quota = np.array([10**12, 10**12 - 1, 3]), F(1234567891, 7)
    pieces = vector.cut(made, quota, F(0))
    assert pieces.pieces[0].slope * int(measured.max()) > 2**63  # would not fit
    assert vector.earned(made, measured, quota, F(0)).tolist() == [
        exact(made, one, quota, F(0), "half_up") for one in measured
    ]
    with pytest.raises(ValueError, match="below zero"):
        vector.earned(made, np.array([-1]), quota, F(0))


def test_totals_with_threshold_and_cap_are_what_the_engine_pays():
    one = component(threshold="50%", cap={"period": "120%"}, weight="100%")
    made = plan(one)
    measured = np.array([49_999_99, 50_000_00, 125_000_37, 900_000_00])
    got = vector.entitled(made.components[0], measured, F(100_000), F(10_000))
    for cents, amount in zip(measured, got, strict=True):
        sold = [credit(1, "2026-02-01", F(int(cents), 100))]
        assert amounts(made, sold, through=dt.date(2026, 3, 31)) == [str(Decimal(int(amount)).scaleb(-2))]
    with pytest.raises(NotImplementedError, match=r"to_date, cap\.deal"):
        vector.entitled(plan(component(to_date=True, cap={"deal": 5})).components[0], measured, F(1), F(1))


def test_pay_at_the_mean_is_not_the_mean_of_pay():
    """Lognormal attainment (mean 0.95, sigma 0.45), nothing below a half, at par, twice beyond: against the closed form
    of hinges, each a call option."""
    mean, sigma, n = 0.95, 0.45, 2_000_000
    mu = np.log(mean) - sigma**2 / 2
    draws = np.exp(mu + sigma * np.random.default_rng(3).standard_normal(n))

    def call(strike):
        d = (mu + sigma**2 - np.log(strike)) / sigma
        return mean * norm.cdf(d) - strike * norm.cdf(d - sigma)

    closed = 1.0 * call(0.5) + 1.0 * call(1.0)
    bands = [{"from": "50%", "pays": "100%"}, {"from": "100%", "pays": "200%"}]
    made = plans.Table.model_validate(table(bands))
    measured = np.round(draws * 100_000_00).astype(np.int64)
    paid_out = vector.earned(made, measured, F(100_000), F(10_000)) / 10_000_00
    assert paid_out.mean() == pytest.approx(closed, abs=4 * paid_out.std() / np.sqrt(n))
    assert max(mean - 0.5, 0) < closed - 0.05


# What a plan makes people do


def seen(one, quota=100_000, **more):
    found = lint.find(plan(one, **more), {"Bookings": F(quota)}, margin=F(1, 10))
    return [(issue.kind, float(issue.at), None if issue.until is None else float(issue.until)) for issue in found]


def test_jumps_flats_falls_and_caps_are_seen():
    assert seen(component()) == []
    assert seen(component(threshold="60%")) == [("dead_zone", 0, 60_000), ("cliff", 60_000, None)]
    whole = component(table=table([{"from": 0, "rate": "4%"}, {"from": "100%", "rate": "6%"}], way="whole"))
    found = lint.find(plan(whole), {"Bookings": F(100_000)})
    assert [(one.kind, one.at, one.pay) for one in found] == [("cliff", 100_000, 2000)]  # 6,000 instead of 4,000
    falling = component(table=table([{"from": 0, "rate": "6%"}, {"from": "100%", "rate": "4%"}], way="whole"))
    assert seen(falling) == [("fall", 100_000, None)]
    rich = component(table=table([{"from": 0, "rate": "8%"}, {"from": "100%", "rate": "12%"}]))
    assert seen(rich) == [("over_margin", 100_000, None)]
    capped = component(table=table([{"from": 0, "pays": "100%"}]), weight="100%", cap={"period": "150%"})
    assert seen(capped) == [("capped", 150_000, None)]
    flat = component(table=table([{"from": "50%", "pays": "50%"}, {"from": "100%", "pays": "100%"}], way="whole"),
                     weight="100%")  # fmt: skip
    assert seen(flat) == [("dead_zone", 0, 50_000), ("cliff", 50_000, None), ("dead_zone", 50_000, 100_000),
                          ("cliff", 100_000, None), ("capped", 100_000, None)]  # fmt: skip


@given(rates, st.integers(1, 10**6), st.integers(0, 300), ways)
@settings(max_examples=examples(200), deadline=None)
def test_where_nothing_is_seen_pay_rises_without_jumps(found, quota, threshold, way):
    """Just before and at every cent of a band's start: a jump is a cliff that was named, and the other way round."""
    bands = [{"from": str(F(start - 1, 100)), "pays": str(F(rate, 100))} for start, rate in sorted(found)]
    between = {"between": "linear"} if way == "linear" else {}
    try:
        one = component(table=table(bands, way="whole" if way == "linear" else way, **between), weight="100%",
                        threshold=str(F(threshold, 100)))  # fmt: skip
        made = plan(one)
    except BadInput:
        return
    issues = lint.find(made, {"Bookings": F(quota)})
    named = {issue.at for issue in issues if issue.kind in ("cliff", "fall") and issue.pay is not None}
    edges = {F(start - 1, 100) * quota for start, _rate in found} | {F(threshold, 100) * quota}

    def pays(x):
        below = x < F(threshold, 100) * quota
        return F(0) if below else curves.earned(made.components[0].table, x, F(quota), F(10_000))

    tiny = F(1, 10**12)
    for edge in edges:
        jumps = abs(pays(edge) - (pays(edge - tiny) if edge else F(0))) > F(1, 10**4)
        assert jumps == (edge in named)


def test_what_waiting_pays_is_what_both_ways_pay():
    """95,000 of 100,000 and a deal of 20,000: now 5,900 (5 % up to the quota, 6 % above), later 4,750 + 1,000. With a
    whole table of 4 and 6 %, closing now is worth 6 % of all."""
    gain = lint.gain_from_delay(plan(), "Bookings", F(95_000), F(0), F(20_000), F(100_000), F(100_000))
    assert gain == 4750 + 1000 - (5000 + 900)
    whole = component(table=table([{"from": 0, "rate": "4%"}, {"from": "100%", "rate": "6%"}], way="whole"))
    gain = lint.gain_from_delay(plan(whole), "Bookings", F(70_000), F(90_000), F(20_000), F(100_000), F(100_000))
    assert gain == (2800 + 6600) - (3600 + 3600)


# What an auditor found


@pytest.mark.parametrize("kind", ["guarantee", "recoverable"])
def test_no_draw_makes_up_for_what_is_taken_back(kind):
    """5,000 earned and all of it taken back, long after the draw's months: nothing is left; within them, no more."""
    made = by_month(draw={"amount": 1000, "kind": kind, "months": 2}, clawback={"days": 300, "way": "original_rate"})
    sold, gone = [credit(1, "2026-01-05", 50_000)], [Cancellation("D1", dt.date(2026, 6, 5), F(1))]
    lines = payouts.pay(person(), {"AE": made}, sold, through=YEAR_END, cancellations=gone)
    assert sum(line.amount for line in lines) == 0 and {line.kind for line in lines} == {"earned", "clawback"}
    new = person(hired="2026-01-31")  # two calendar months, whatever the day
    lines = payouts.pay(new, {"AE": made}, [], through=YEAR_END)
    assert [line.month for line in lines if line.kind in ("draw", "guarantee")] == ["2026-01", "2026-02"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"hold": {"share": "20%"}}, "components.0.to_date: what makes up for earlier periods is no single deal's"),
        ({"clawback": {"days": 9, "way": "original_rate"}}, "components.0.to_date"),
        ({"clawback": {"days": 9, "way": "rerun"}}, "components.1.period: a deal has no period to run again"),
        ({"hold": {"share": 2}}, "hold.share: 2 must not be above 100%"),
        ({"components": 5}, "components: "),
        ({"pay": {"base": 10**20, "variable": "1e-20000000"}}, "pay.variable: '1e-20000000' is no number that pay"),
    ],
)
def test_plans_that_make_no_sense_are_refused(changed, says):
    with pytest.raises(BadInput) as refused:
        plan(component(to_date=True), component(name="Big", period="deal", table=table([{"from": 0, "rate": "1%"}],
             by="amount")), **changed)  # fmt: skip
    assert says in str(refused.value)


def test_a_missing_quota_is_said_and_not_left_out():
    who = person({"2026-Q1": 100_000, "2026-Q3": 100_000, "2026-Q4": 100_000})
    with pytest.raises(BadInput, match="no quota of bookings for 2026-Q2"):
        payouts.pay(who, {"AE": plan(component(to_date=True))}, [], through=YEAR_END)
    gated = plan(component(gate={"of": "Other", "at_least": 1}), component(name="Other", measure="revenue",
                 table=table([{"from": 0, "rate": "1%"}], by="amount")))  # fmt: skip
    with pytest.raises(BadInput, match="no quota of revenue"):
        payouts.pay(person(), {"AE": gated}, [], through=YEAR_END)


def test_a_windfall_is_no_attainment():
    """10,000 of a deal of 100,000 count: a tenth of the quota, below the threshold."""
    made = plan(component(threshold="75%", windfall={"over": 10_000, "way": "cap"}))
    assert amounts(made, [credit(1, "2026-02-01", 100_000)])[0] == "0.00"
    closed = plan(component(accelerates_after="100%", windfall={"over": 110_000, "way": "carve_out"}))
    assert amounts(closed, [credit(1, "2026-02-01", 210_000)])[0] == "10500.00"  # all at 5 %, the first band's
    netted = plan(component(windfall={"over": 100_000, "way": "carve_out"}))
    assert amounts(netted, [credit(1, "2026-02-01", 300_000), credit(2, "2026-02-02", -150_000)])[0] == "7500.00"


def test_of_no_quota_only_the_first_band_is_reached():
    away = person(leaves=((dt.date(2026, 1, 1), dt.date(2026, 3, 31)),))
    for way in ("marginal", "whole"):
        one = plan(component(table=table(TIERS, way=way)))
        assert amounts(one, [credit(1, "2026-02-01", 50_000)], away)[0] == "2500.00"
        assert vector.earned(one.components[0].table, np.array([50_000_00]), F(0), F(0)).tolist() == [2500_00]


def test_a_newcomer_is_asked_for_the_year_from_the_first_day_on():
    made = plan(component(accelerates_after="100%"))
    who = person(hired="2026-07-01", start="2026-07-01")
    sold = [credit(1, "2026-08-01", 200_000), credit(2, "2026-11-01", 150_000)]
    assert amounts(made, sold, who) == ["11750.00", "8250.00"]
    late = plan(component(to_date=True), prorate=False)
    assert amounts(late, [credit(1, "2026-08-01", 150_000)], who)[0] == "8250.00"


def test_the_cap_of_a_year_is_of_the_part_of_it():
    """There from October on, 92 of 365 days of 40,000."""
    made = plan(component(weight="100%", cap={"year": "100%"}, table=table([{"from": 0, "rate": "10%"}], by="amount")))
    who = person(hired="2026-10-01", start="2026-10-01")
    assert amounts(made, [credit(1, "2026-11-01", 500_000)], who) == ["10082.19"]


def test_spiffs_are_for_deals_that_are_sold_each_once():
    each = {"name": "S", "from": "2026-01-01", "until": "2026-12-31", "each": 250}
    back = Credit("C9", "D9", dt.date(2026, 3, 3), {"bookings": F(-5000)})
    twice = Credit("C8", "D1", dt.date(2026, 4, 3), {"bookings": F(10)})
    made = plan(spiffs=[each], clawback={"days": 90, "way": "rerun"})
    gone = [Cancellation("D2", dt.date(2026, 1, 20), F(1))]
    sold = [credit(1, "2026-01-02", 10), credit(2, "2026-01-03", 10), back, twice]
    assert [line[2] for line in paid(made, sold, cancellations=gone) if line[1] == "spiff"] == ["250.00"]
    rated = plan(spiffs=[{"name": "S", "from": "2026-01-01", "until": "2026-12-31", "rate": "10%", "most": 0.25}])
    sold = [credit(1, "2026-01-02", "1.25"), credit(2, "2026-02-02", "1.25")]
    assert [line[2] for line in paid(rated, sold) if line[1] == "spiff"] == ["0.13", "0.12"]


def test_parts_of_deals_sum_to_what_was_earned():
    """2.00 for three equal deals, all cancelled: nothing is left, to the cent; a deal returned whole has no part."""
    made = by_month(clawback={"days": 300, "way": "original_rate"})
    sold = [credit(k, "2026-01-05", F(20, 3)) for k in (1, 2, 3)]
    gone = [Cancellation(f"D{k}", dt.date(2026, 3, 5), F(1)) for k in (1, 2, 3)]
    lines = payouts.pay(person(), {"AE": made}, sold, through=YEAR_END, cancellations=gone)
    assert sum(line.amount for line in lines) == 0
    same = [credit(1, "2026-01-05", 60_000), credit(2, "2026-01-06", -60_000)._replace(deal_id="D1"),
            credit(3, "2026-01-07", 20_000)]  # fmt: skip
    lines = payouts.pay(person(), {"AE": made}, same, through=YEAR_END,
                        cancellations=[Cancellation("D3", dt.date(2026, 2, 5), F(1))])  # fmt: skip
    assert sum(line.amount for line in lines) == 0
    half = [Cancellation("D1", dt.date(2026, 2, 20), F(1, 2))]
    held = plan(hold={"share": "50%"}, clawback={"days": 99, "way": "rerun"})
    lines = payouts.pay(person(), {"AE": held}, [credit(1, "2026-02-01", 40_000)], through=YEAR_END, cancellations=half)
    assert sum(line.amount for line in lines) == 500


def test_quotas_by_the_calendar_are_taken_where_the_plans_year_has_such_periods(book):
    calendar = plan(**{"from": "2026-01-01"})
    named = lambda the_plan: {one.period for one in team._quotas(book, the_plan).get("R0000001", ())}  # noqa: E731
    assert "2026-Q1" in named(calendar)
    assert "2025-Q4" in named(plan(year_starts=4))
    assert team._quotas(book, plan(year_starts=2)) == {}


def test_what_a_large_deal_earns_above_a_limit_is_paid_by_a_schedule():
    """300,000 against 100,000 pays 5,000 + 1,500 + 12,250 = 18,750; two thirds are of what lies above 100,000: 12,500
    in five months of 2,500 from April on. Cancelled in June, nothing is kept back any more, and all is taken back."""
    by_schedule = component(windfall={"over": 100_000, "way": "schedule", "months": 5})
    sold = [credit(1, "2026-02-03", 300_000)]
    lines = paid(plan(by_schedule), sold)
    assert lines[:2] == [("2026-03", "earned", "18750.00"), ("2026-03", "held", "-12500.00")]
    assert [line for line in lines if line[1] == "released"] == [
        (f"2026-{k:02d}", "released", "2500.00") for k in range(4, 9)
    ]
    undone = [Cancellation("D1", dt.date(2026, 6, 10), F(1))]
    lines = paid(plan(by_schedule, clawback={"days": 200, "way": "original_rate"}), sold, cancellations=undone)
    assert {line for line in lines if line[0] == "2026-06" and line[1] != "earned"} == {
        ("2026-06", "released", "7500.00"), ("2026-06", "clawback", "-18750.00")
    }  # fmt: skip
    assert sum(Decimal(amount) for _month, _kind, amount in lines) == 0
    for wrong, says in (({"way": "schedule"}, "months"), ({"way": "cap", "months": 5}, "months")):
        with pytest.raises(BadInput, match=says):
            plan(component(windfall={"over": 1, **wrong}))
    with pytest.raises(BadInput, match="no hold"):
        plan(by_schedule, hold={"share": "10%"})
    with pytest.raises(BadInput, match="which `to_date` is not"):
        plan(by_schedule | {"to_date": True})


# What the running quarter will cost


def test_what_a_quarter_will_cost_is_what_the_engine_pays_for_each_draw():
    """Each draw paid again by the exact engine, as one more deal of the quarter; what is earned by now is the part of
    it that is booked by now."""
    made = plan(
        component(weight="60%", cap={"period": "220%"}, threshold="30%",
                  table=table([{"from": "0%", "pays": "70%"}, {"from": "60%", "pays": "145%"}])),
        component(name="Year", to_date=True, weight="40%", cap={"year": "150%"},
                  table=table([{"from": "0%", "pays": "90%"}, {"from": "100%", "pays": "190%"}])),
        component(name="Half", period="half", table=table([{"from": 0, "rate": "1%"}], by="amount")),
        component(name="Each", period="deal", table=table([{"from": 0, "rate": "1%"}], by="amount")),
    )  # fmt: skip
    known, rng = dt.date(2026, 8, 20), np.random.default_rng(6)
    people, sold, draws = [], {}, {}
    for k in range(3):
        who = person({f"2026-Q{q}": int(rng.integers(60_000, 140_000)) for q in range(1, 5)}, person_id=f"P{k}")
        people.append(who._replace(assignments=(Assignment("1", dt.date(2026, 1, 1), YEAR_END),)))
        sold[f"P{k}"] = [credit(100 * k + n, f"2026-{n + 1:02d}-15", int(rng.integers(1000, 60_000))) for n in range(8)]
        draws[f"P{k}"] = np.round(rng.gamma(2, 30_000, 12), 2)
    got = accrual.accrue(made, people, sold, pd.DataFrame(draws), "2026-Q3", {}, known=known)
    assert got.left_out == ["Half", "Each"] and got.n_reps == 3
    for k in range(12):
        total = so_far = 0.0
        for who in people:
            own = sold[who.person_id]
            more = [*own, credit(999, "2026-09-10", F(str(draws[who.person_id][k])))]
            lines = [line for line in payouts.pay(who, {"1": made}, more, through=dt.date(2026, 9, 30))
                     if line.month == "2026-09" and line.component in ("Bookings", "Year")]  # fmt: skip
            paid_ = float(sum(line.amount for line in lines))
            booked = float(sum(one.measures["bookings"] for one in own if one.on >= dt.date(2026, 7, 1)))
            total += paid_
            so_far += paid_ * booked / (booked + draws[who.person_id][k])
        assert got.paid[k] == pytest.approx(total, abs=0.005)
        assert got.accrued[k] == pytest.approx(so_far, abs=0.01)
    half = accrual.accrue(made, people, sold, pd.DataFrame(draws), "2026-Q4", {}, known=known)
    assert half.left_out == ["Each"]  # the half-year ends with it
    # A half-year that ends with the quarter is due whole; who left within it is paid for what was booked.
    flat = plan(component(name="Half", period="half", table=table([{"from": 0, "rate": "10%"}], by="amount")))
    left = people[0]._replace(left_on=dt.date(2026, 10, 20))
    own = {"P0": [credit(1, "2026-08-01", 90_000), credit(2, "2026-10-10", 10_000)]}
    due = accrual.accrue(flat, [left], own, pd.DataFrame({"P0": [0.0]}), "2026-Q4", {}, known=dt.date(2026, 11, 1))
    assert due.paid.tolist() == due.accrued.tolist() == [10_000]
    with pytest.raises(ValueError, match="is no quarter of the plan that runs on 2026-08-20"):
        accrual.accrue(made, people, sold, pd.DataFrame(draws), "2026-Q2", {}, known=known)


def test_a_forecast_of_another_day_or_currency_is_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no such file: salesops files writes it"):
        accrual.read(tmp_path, as_of=YEAR_END, currency="USD")
    rows = {"as_of": [dt.date(2026, 10, 31)], "period": ["2026-Q4"], "currency": ["USD"], "draw": [0], "rep_id": ["r1"]}
    frame = pd.DataFrame(rows | {"to_come": [5.0]})
    frame.to_parquet(tmp_path / accrual.FILE)
    quarter, draws = accrual.read(tmp_path, as_of=dt.date(2026, 10, 31), currency="USD")
    assert quarter == "2026-Q4" and draws["r1"].tolist() == [5.0]
    with pytest.raises(BadInput) as refused:
        accrual.read(tmp_path, as_of=YEAR_END, currency="EUR")
    assert "as_of: got 2026-10-31, allowed: 2026-12-31" in str(refused.value) and "currency" in str(refused.value)
    (tmp_path / accrual.FILE).write_text("no parquet")
    with pytest.raises(BadInput, match="cannot be read"):
        accrual.read(tmp_path, as_of=YEAR_END, currency="USD")


# What the record shows of a plan's pull


def test_what_waiting_would_have_paid_is_what_the_engine_pays_for_the_other_day():
    """Every deal near the end of a quarter, put on the other side of it and paid again."""
    rng = np.random.default_rng(8)
    made = plan(component(threshold="40%", cap={"period": 9000}))
    people, sold = [], {}
    for k in range(6):
        who = person({f"2026-Q{q}": int(rng.integers(60_000, 160_000)) for q in range(1, 5)}, person_id=f"P{k}")
        days = pd.to_datetime("2026-01-01") + pd.to_timedelta(rng.integers(0, 365, 20), unit="D")
        sold[who.person_id] = [credit(100 * k + n, str(day.date()), int(rng.integers(1_000, 40_000)))
                               for n, day in enumerate(days)]  # fmt: skip
        people.append(who._replace(assignments=(Assignment("1", dt.date(2026, 1, 1)),)))
    got = gaming.moves(made, made.components[0], people, sold, YEAR_END)

    def total(who, own):
        lines = payouts.pay(who, {"1": made}, own, through=YEAR_END)
        return float(sum(line.amount for line in lines))

    ends, counts, gained = [dt.date(2026, 3, 31), dt.date(2026, 6, 30), dt.date(2026, 9, 30)], [0, 0, 0, 0], [0.0, 0.0]
    for who in people:
        own = sold[who.person_id]
        for one in own:
            for end in ends:
                away = (one.on - end).days
                side = 0 if -14 < away <= 0 else 1 if 0 < away <= 14 else None
                if side is None:
                    continue
                other = end + dt.timedelta(days=1) if side == 0 else end
                moved = [each._replace(on=other) if each is one else each for each in own]
                gain = total(who, moved) - total(who, own)
                counts[2 * side] += 1
                counts[2 * side + 1] += gain > 0.02
                gained[side] += gain if gain > 0.02 else 0
    assert [got.n, got.waiting, got.n_after, got.hurrying] == counts and min(counts) >= 3
    assert [got.by_waiting, got.by_hurrying] == pytest.approx(gained, abs=0.5)
    to_date = plan(component(to_date=True))
    assert gaming.moves(to_date, to_date.components[0], [], {}, YEAR_END) is None


def test_quotas_of_something_else_are_refused_with_what_to_write(tmp_path):
    quotas = [{"rep_id": "r1", "period": "2026-Q1", "amount_minor": 100, "currency": "USD", "kind": "revenue"}]
    book = small_book(tmp_path / "a", quotas=quotas)
    with pytest.raises(BadInput, match="of revenue: if they are of what is booked, write kind: bookings"):
        team.read(book, [plan()], "")
    flat = plan(component(table=table([{"from": 0, "rate": "5%"}], by="amount")))  # asks for no quota
    assert len(team.read(book, [flat], "").people) == 3
    both = small_book(tmp_path / "b", quotas=[*quotas, quotas[0] | {"kind": None}])
    assert team.read(both, [plan()], "").people[0].quotas == {("bookings", "2026-Q1"): 1}


def test_a_wrong_quota_with_days_is_said_once():
    spell = QuotaSpell("bookings", "2026-Q1", F(-5))
    who = person()._replace(quotas={("bookings", "2026-Q1"): F(-5)}, quota_spells=(spell,))
    with pytest.raises(BadInput) as refused:
        payouts.pay(who, {"AE": plan()}, [], through=YEAR_END)
    assert refused.value.problems == ["P1: the quota of bookings in 2026-Q1 is -5.00, must not be below 0"]


def test_credits_of_people_who_are_not_among_the_reps_are_counted(tmp_path):
    """r3 is no rep, and has a tenth of d0 and all of d3; r2 left before the win of d1."""
    shares = [{"deal_id": "d0", "rep_id": rep, "share": share, "kind": "direct"} for rep, share in
              (("r1", 0.9), ("r3", 0.1))]  # fmt: skip
    reps = [{"rep_id": "r1", "role": "AE"}, {"rep_id": "r2", "role": "AE", "left_on": dt.date(2026, 3, 1)}]
    read = team.read(small_book(tmp_path, splits=shares, reps=reps), [plan()], "")
    assert (read.unlisted, read.absent) == ({"d0", "d3"}, {"d1"})
    assert {rep: [one.deal_id for one in listed] for rep, listed in read.history.credits.items()} == {
        "r1": ["d0", "d2"], "r2": [],
    }  # fmt: skip


def test_what_a_component_takes_of_all_that_is_booked():
    """Of 100, 300 and 600, `only` takes the first, and all but it the rest."""
    sold = [credit(k, "2026-02-01", amount, product=product) for k, (product, amount) in
            enumerate((("A", 100), ("B", 300), ("C", 600)))]  # fmt: skip
    made = plan(component(name="A", weight="50%", only={"product": ["A"]}),
                component(name="Rest", weight="50%", all_but={"product": ["A"]}))  # fmt: skip
    assert costing.shares(made, {"P1": sold}) == {"A": 0.1, "Rest": 0.9}


def test_a_pile_above_the_quota_is_seen_and_a_smooth_record_is_not():
    """Two hundred records of each: about one in twenty of the smooth ones is called a pile, nearly all planted ones."""
    rng = np.random.default_rng(2)
    smooth, piled = [], []
    for _k in range(200):
        values = rng.lognormal(-0.1, 0.35, 400)
        smooth.append(gaming.at_quota(values))
        near = (values > 0.9) & (values < 1) & (rng.random(400) < 0.5)
        piled.append(gaming.at_quota(np.where(near, 1 + 0.04 * rng.random(400), values)))
    assert 0.01 <= np.mean([one.p < 0.05 for one in smooth]) <= 0.10
    assert np.mean([one.p < 0.05 and one.ratio > 1 for one in piled]) > 0.9
    assert np.mean([one.low <= 1 <= one.high for one in smooth]) >= 0.9
    assert gaming.at_quota(values[:90]) is None and gaming.at_quota(np.full(500, 0.8)) is None
    one = gaming.at_quota(values)
    assert one.n == ((values >= 1) & (values < 1.05)).sum() and one.of == ((values >= 0.5) & (values < 1.5)).sum()


@pytest.mark.slow
def test_wins_that_pile_up_at_the_end_of_quarters_are_seen():
    """Quarters of many or few, days that vary by more than chance: one in twenty is called a pile where there is
    none."""
    rng = np.random.default_rng(3)
    quarters = [periods.parse(f"{year}-Q{k}") for year in (2024, 2025) for k in (1, 2, 3, 4)]
    called, planted = [], []
    for _k in range(150):
        for times, into in ((1.0, called), (1.8, planted)):
            days = []
            for quarter in quarters:
                worked = pd.bdate_range(quarter.first_on, quarter.last_on)
                mean = rng.gamma(10, 0.3) * rng.gamma(10, 0.1, len(worked)) * np.where(worked >= worked[-5], times, 1)
                days += [day.date() for day, n in zip(worked, rng.poisson(mean), strict=True) for _n in range(n)]
            into.append(gaming.at_the_end(days, quarters))
    assert np.mean([one.p < 0.05 for one in called]) < 0.10
    assert np.mean([one.low <= 1.8 <= one.high for one in planted]) > 0.85
    assert np.mean([one.p < 0.05 for one in planted]) > 0.9
    assert gaming.at_the_end(days, quarters[:5]) is None
    last = {day for quarter in quarters for day in pd.bdate_range(quarter.first_on, quarter.last_on)[-5:].date}
    assert planted[-1].n == sum(day in last for day in days)


# From a book


def pay_all(book, *versions, role="", scored=()):
    read = team.read(book, versions, role, scored)
    by_version = {one.version: one for one in versions}
    return {
        one.person_id: [
            (line.month, line.kind, str(line.amount))
            for line in payouts.pay(one, by_version, read.credits.get(one.person_id, []), through=book.as_of)
            if line.amount
        ]
        for one in read.people
    }


def test_a_version_holds_for_the_deals_of_its_days(tmp_path):
    """Until May at 5, 6 and 7 %, from June at 10 %: r3's 160,000 of August, in a quarter that has not ended, come in
    December."""
    book = small_book(tmp_path)
    old = plan(component(), until="2026-05-31")
    new = plan(component(table=table([{"from": 0, "rate": "10%"}], by="amount"), period="month"), version="2",
               **{"from": "2026-06-01"})  # fmt: skip
    got = pay_all(book, old, new)
    # Of the second quarter 61 of 91 days are of the old version: 120,000 of 67,032.97 at 5, 6 and 7 %.
    quota = F(100_000 * 61, 91)
    second = quota * F(5, 100) + quota * F(1, 4) * F(6, 100) + (120_000 - quota * F(5, 4)) * F(7, 100)
    assert got["r1"] == [("2026-03", "earned", "2000.00"), ("2026-06", "earned", str(round_money(second, old)))]
    assert got["r2"] == [("2026-03", "earned", "4000.00")]
    assert got["r3"] == [("2026-08", "earned", "16000.00")]


def test_versions_are_read_together_and_every_problem_is_said(tmp_path):
    text = (ROOT / "params" / "plans" / "account_executive.yml").read_text("utf-8")
    (tmp_path / "ae.yml").write_text(text.replace("2026-12-31", "2026-06-30"), "utf-8")
    later = text.replace('from: "2026-01-01"', 'from: "2026-07-01"').replace('"2026.1"', '"2026.2"')
    (tmp_path / "ae.july.yml").write_text(later, "utf-8")
    assert [one.version for one in plans.versions(tmp_path, "ae")] == ["2026.1", "2026.2"]
    (tmp_path / "ae.july.yml").write_text(text.replace("currency: USD", "currency: EUR"), "utf-8")
    with pytest.raises(BadInput) as refused:
        plans.versions(tmp_path, "ae")
    assert "both hold on 2026-01-01" in str(refused.value) and "differ in currency" in str(refused.value)
    (tmp_path / "ae.july.yml").write_text("plan: x", "utf-8")
    with pytest.raises(BadInput, match="ae.july.yml: version: missing"):
        plans.versions(tmp_path, "ae")


def test_managers_are_credited_for_those_who_reported_to_them_then(tmp_path):
    """r1 and r2 report to m1, from April r1 to r3, who reports to m1 too: r3 gets 1 % of r1's 120,000 of May."""
    spells = [
        {"rep_id": "r1", "manager_id": "m1", "valid_to": dt.date(2026, 3, 31), "role": "AE"},
        {"rep_id": "r1", "manager_id": "r3", "valid_from": dt.date(2026, 4, 1), "role": "AE"},
        {"rep_id": "r2", "manager_id": "m1", "role": "AE"}, {"rep_id": "r3", "manager_id": "m1", "role": "Lead"},
        {"rep_id": "m1", "role": "Manager"},
    ]  # fmt: skip
    book = small_book(tmp_path / "a", reps=spells)
    over = component(name="Team", credits=["override"], period="month",
                     table=table([{"from": 0, "rate": "1%"}], by="amount"))  # fmt: skip
    got = pay_all(book, plan(over))
    assert [line[2] for line in got["m1"]] == ["400.00", "800.00", "1200.00", "1600.00"]
    assert got["r3"] == [("2026-05", "earned", "1200.00")] and not got["r1"] and not got["r2"]
    spells[-1] = {"rep_id": "m1", "role": "Manager", "manager_id": "r2"}
    round_ = small_book(tmp_path / "b", reps=spells)
    with pytest.raises(BadInput, match="a circle"):
        pay_all(round_, plan(over))
    assert pay_all(round_, plan(component()), role="AE")["r2"]  # whom no component pays for, nobody asks about


def test_what_a_book_does_not_tell_is_refused_and_never_zero(tmp_path):
    book = small_book(tmp_path)
    by_margin, by_list = component(measure="margin"), component(name="List", measure="column:list_amount")
    with pytest.raises(BadInput) as refused:
        pay_all(book, plan(by_margin, component(name="Words", measure="column:stage"),
                           component(name="MBO", measure="score")))  # fmt: skip
    assert [str(one) for one in refused.value.problems] == [
        "Bookings measures margin, which the deals of this book do not tell",
        "Words measures stage, which the deals of this book do not tell",
        "MBO measures a score: name a file of them",
    ]
    flat = table([{"from": 0, "rate": "1%"}], by="amount")
    assert pay_all(book, plan(by_list | {"table": flat}))["r1"][0] == ("2026-03", "earned", "500.00")
    with pytest.raises(ValueError, match="1 reps have another role than 'AE', fewer than 2"):
        others = [{"rep_id": rep, "role": role} for rep, role in (("r1", "AE"), ("r2", "AE"), ("r3", "SE"))]
        team.read(small_book(tmp_path / "roles", reps=others), [plan()], "AE", least=2)


def test_pay_in_another_currency_is_at_the_plans_rate_or_that_of_the_day(tmp_path):
    """40,000 dollars at 0.9 are 36,000, of a quota of 90,000; of the day: 1.25 dollars a euro, 32,000."""
    flat = component(table=table([{"from": 0, "rate": "10%"}], by="amount"), period="month")
    book = small_book(tmp_path / "a")
    assert pay_all(book, plan(flat, currency="EUR", rates={"USD": "0.9"}))["r1"][0][2] == "3600.00"
    whole = plan(component(), currency="EUR", rates={"USD": "0.9"})
    assert pay_all(book, whole)["r1"] == [("2026-03", "earned", "1800.00"), ("2026-06", "earned", "5580.00")]
    with pytest.raises(BadInput, match=r"there is no rate: write rates: \{USD: ...\}"):
        pay_all(book, plan(flat, currency="EUR"))
    rates = [{"currency": "EUR", "rate_on": dt.date(2026, 1, 1), "rate": 125.0, "per": 100.0},
             {"currency": "EUR", "rate_on": dt.date(2026, 5, 20), "rate": 1.5}]  # fmt: skip
    daily = small_book(tmp_path / "b", rates=rates)
    got = pay_all(daily, plan(flat, currency="EUR"))
    assert got["r1"] == [("2026-02", "earned", "3200.00"), ("2026-05", "earned", "8000.00")]
    with pytest.raises(BadInput, match="must be above 0"):
        plan(flat, rates={"USD": 0})


def test_scores_of_people_come_from_a_file(tmp_path):
    """80 % of what was set: 80 % of a quarter's 10,000; a goal of its own is what counts."""
    file = tmp_path / "mbo.csv"
    file.write_text("rep_id,period,score,goal\nr1,2026-Q1,80%,\nr2,2026-Q1,12,8\nr1,2026-Q2,1,\nr2,2026-Q2,0,8\n"
                    "r3,2026-Q1,0,\nr3,2026-Q2,0,\n", "utf-8")  # fmt: skip
    mbo = component(name="MBO", measure="score", weight="100%",
                    table=table([{"from": 0, "pays": "100%"}, {"from": "100%", "pays": "50%"}]))  # fmt: skip
    got = pay_all(small_book(tmp_path / "a"), plan(mbo), scored=scores.read(file, 1))
    assert got["r1"] == [("2026-03", "earned", "8000.00"), ("2026-06", "earned", "10000.00")]
    assert got["r2"] == [("2026-03", "earned", "12500.00")]
    file.write_text("rep_id,period,score\n,2026-Q1,1\nr1,2026-W1,x\nr2,2026-Q1,1\nr2,2026-Q1,1\nr3,2026-Q1,-1\n")
    with pytest.raises(BadInput) as refused:
        scores.read(file, 1)
    assert [str(one).split(":")[0] for one in refused.value.problems] == [
        "row 2, rep_id", "row 3, score", "row 3, period", "row 5", "row 6, score"
    ]  # fmt: skip
    large = 'rep_id,period,score\n"' + "x" * 200_000
    for text, says in (
        ("a,b\n", "the column rep_id is missing"),
        (None, "no such file or directory"),
        (large, "field larger"),
    ):
        path = tmp_path / ("x.csv" if text else "nothing.csv")
        if text:
            path.write_text(text)
        with pytest.raises(BadInput, match=says):
            scores.read(path, 1)


# Statements


def year_of_lines():
    made = plan(
        component(threshold="10%", cap={"year": 8000},
                  multiplier={"of": "Renewals", "bands": [{"from": 0, "times": 1.5}]}),
        component(name="Renewals", measure="revenue", table=table([{"from": "0%", "rate": "0.333%"}])),
        component(name="Big", period="deal", table=table([{"from": 0, "rate": "1%"}], by="amount"), cap={"deal": 100},
                  windfall={"over": 20_000, "way": "carve_out"}),
        component(name="Gated", accelerates_after="100%", gate={"of": "Renewals", "at_least": "999%"}),
        hold={"share": "30%"}, clawback={"days": 90, "way": "original_rate"}, ramp=["50%"],
        draw={"amount": 900, "kind": "recoverable"},
        spiffs=[{"name": "S", "from": "2026-01-01", "until": "2026-12-31", "each": 10}],
    )  # fmt: skip
    who = person(hired="2026-01-10", start="2026-01-10")
    who = who._replace(quotas={**who.quotas, **{("revenue", f"2026-Q{k}"): F(100) for k in range(1, 5)}})
    sold = [Credit(f"C{k}", f"D{k}", dt.date(2026, k, 11), {"bookings": F(10_000 * k), "revenue": F(33)})
            for k in range(1, 7)]  # fmt: skip
    lines = payouts.pay(
        who, {"AE": made}, sold, through=YEAR_END, payments=[Payment("D2", dt.date(2026, 7, 1), F(1, 3))],
        cancellations=[Cancellation("D3", dt.date(2026, 5, 1), F(1, 2))],
    )  # fmt: skip
    return lines + payouts.pay(who, {"AE": plan(component(to_date=True))}, sold, through=YEAR_END)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_line_is_explained_in_both_languages(language):
    lines = year_of_lines()
    lang.use(language)
    said = [sentence for line in lines for sentence in explain.explain(line, "USD")]
    assert all(explain.explain(line, "USD") and explain.kind_name(line.kind) for line in lines)
    assert not [one for one in said if "{" in one or "Fraction" in one or "None" in one]
    whats = {step.what for line in lines for step in line.steps}
    assert whats >= {"measured", "quota", "attainment", "bands", "times", "year_cap", "rounded", "less_paid", "held",
                     "released", "clawback", "spiff", "draw", "recovered", "windfall", "carved_out", "deal_cap",
                     "gate_closed", "not_accelerated", "table"}  # fmt: skip
    if language == "ru":
        assert not [one for one in said if "quota" in one or "Rounded" in one]
    else:
        lines = payouts.pay(person(), {"AE": plan()}, [credit(1, "2026-02-03", 150_000)], through=dt.date(2026, 3, 31))
        assert explain.explain(lines[0], "USD") == [
            "From 1 Jan 2026 to 31 Mar 2026 $150,000.00 of bookings are credited; the target pay is $0.00.",
            "The quota of 2026-Q1 is $100,000.00.",
            "Attainment: $150,000.00 / $100,000.00 = 150.00%.",
            "Band by band: $100,000.00 × 5.00% = $5,000.00; $25,000.00 × 6.00% = $1,500.00; $25,000.00 × 7.00% = "
            "$1,750.00; together $8,250.00.",
            "Rounded: $8,250.00.",
        ]


def test_a_later_edit_of_a_statement_shows():
    lines = year_of_lines()
    made = statements.draw_up(lines)
    assert statements.broken(made) == [] and made == statements.draw_up(lines)
    assert sum(one.total for one in made) == sum(line.amount for line in lines) == made[-1].year_to_date
    edited = [
        made[0],
        made[1]._replace(lines=(made[1].lines[0]._replace(amount=Decimal(1)), *made[1].lines[1:])),
        *made[2:],
    ]
    assert statements.broken(edited) == [made[1].month]
    for told in ({"total": Decimal(1)}, {"year_to_date": Decimal(1)}, {"person_id": "P9"}, {"month": "2025-01"}):
        assert statements.broken([made[0]._replace(**told), *made[1:]])
    total = sum(line.amount for line in edited[1].lines)
    sealed = edited[1]._replace(total=total, year_to_date=made[0].total + total)  # mended, and sealed anew
    sealed = sealed._replace(digest=statements.seal(sealed.lines, sealed.before))
    assert statements.broken([made[0], sealed, *made[2:]]) == [made[2].month]
    with pytest.raises(ValueError, match="one person"):
        statements.draw_up([*lines, lines[0]._replace(person_id="P2")])


# What a year may cost


def test_attainments_are_of_what_was_asked(book):
    """Newcomers' quotas by days and ramp, as the engine has them; of quarters hardly begun, nothing."""
    the_plan = plans.load(ROOT / "params" / "plans" / "account_executive.yml")
    history = costing.read_history(book, the_plan)
    reps = book.reps.execute().set_index("rep_id")
    late = history[history["rep_id"] == "R0000011"]  # hired on 15 March 2026
    assert late["quarter"].tolist() == ["2026-07-01"] or late["quarter"].min() >= "2026-04-01"
    quarter = history[history["quarter"] >= "2026-04-01"]
    for row in quarter[quarter["rep_id"].isin(["R0000011", "R0000001"])].itertuples():
        start = dt.date.fromisoformat(row.quarter)
        hired = reps.loc[row.rep_id, "hired_on"].date()
        name = f"2026-Q{(start.month + 2) // 3}"
        given_ = book.quotas.execute().set_index(["rep_id", "period"])["amount_minor"]
        who = Person(row.rep_id, hired, (Assignment("1", max(hired, the_plan.start)),),
                     {("bookings", name): F(int(given_[row.rep_id, name]), 100)})  # fmt: skip
        run = payouts.Run(who, the_plan, who.assignments[0], [], {}, {}, YEAR_END)
        span = next(one for one in spans.find(3, start, start, 1, YEAR_END))
        quota = float(run.quota(the_plan.components[0], span)[0])
        deals = book.deals.execute()
        won = deals[(deals["rep_id"] == row.rep_id) & (deals["status"] == "won")]
        end = str(span.last_on + dt.timedelta(days=1))
        won = won[(won["closed_at"] >= row.quarter) & (won["closed_at"] < end)]["amount_minor"].sum() / 100
        assert row.attainment == pytest.approx(won / quota)


@pytest.mark.slow
def test_drawn_years_hold_what_comes_as_often_as_they_say():
    """Worlds with known shares of rep and quarter; the total attainment of the next year is in the 80 % band in 70 to
    90 of a hundred of them."""
    inside, rng = [], np.random.default_rng(11)
    for _world in range(100):
        own_, common = np.sqrt(0.15) * rng.standard_normal((26, 1)), np.sqrt(0.1) * rng.standard_normal((1, 15))
        z = np.exp(0.4 * (own_ + common + np.sqrt(0.75) * rng.standard_normal((26, 15))))
        rows = [(str(i), f"{j:02d}", z[i, j]) for i in range(26) for j in range(11)]
        scatter = costing.judge(pd.DataFrame(rows, columns=["rep_id", "quarter", "attainment"]), n_blocks=40)
        drawn = costing.draw(scatter, 2000, 26, seed=1).mean(axis=(1, 2))
        low, high = np.quantile(drawn, (0.1, 0.9))
        inside.append(low <= z[:, 11:].mean() <= high)
    assert 0.70 <= np.mean(inside) <= 0.90


def test_the_scatter_of_reps_and_of_quarters_is_found():
    """Two-way layouts with known shares: on average within three points."""
    rng = np.random.default_rng(5)
    for rep, quarter in ((0.2, 0.3), (0.0, 0.0), (0.4, 0.1)):
        got = []
        for _time in range(60):
            z = np.sqrt(rep) * rng.standard_normal((26, 1)) + np.sqrt(quarter) * rng.standard_normal((1, 11))
            z = np.exp(0.4 * (z + np.sqrt(1 - rep - quarter) * rng.standard_normal((26, 11))))
            rows = [(str(i), str(j), z[i, j]) for i in range(26) for j in range(11)]
            got.append(costing.judge(pd.DataFrame(rows, columns=["rep_id", "quarter", "attainment"]))[1:3])
        assert np.mean(got, axis=0) == pytest.approx([rep, quarter], abs=0.03)
    assert costing.judge(pd.DataFrame(rows[:20], columns=["rep_id", "quarter", "attainment"])) is None


def test_drawn_attainments_are_those_met_and_move_together_as_told():
    values = np.sort(np.random.default_rng(1).lognormal(0, 0.4, 400))
    scatter = costing.Scatter(values, 0.2, 0.5, 10, 10)
    drawn = costing.draw(scatter, 4000, 12, seed=2)
    assert drawn.shape == (4000, 12, 4) and drawn.min() >= values[0] and drawn.max() <= values[-1]
    assert np.quantile(drawn, (0.1, 0.5, 0.9)) == pytest.approx(np.quantile(values, (0.1, 0.5, 0.9)), rel=0.02)
    ranks = norm.ppf(np.clip(np.searchsorted(values, drawn) / 400, 0.002, 0.998))
    same_quarter = np.corrcoef(ranks[:, 0, 0], ranks[:, 1, 0])[0, 1]
    same_rep = np.corrcoef(ranks[:, 0, 0], ranks[:, 0, 1])[0, 1]
    assert (same_quarter, same_rep) == pytest.approx((0.5, 0.2), abs=0.05)


@pytest.mark.slow
def test_a_drawn_year_costs_what_the_engine_pays_for_it():
    """Years of three reps, each paid again by the exact engine from deals of the same amounts."""
    made = plan(
        component(to_date=True, weight="70%", cap={"year": "180%"}, threshold="20%",
                  table=table([{"from": "0%", "pays": "80%"}, {"from": "60%", "pays": "150%"}])),
        component(name="Quarterly", cap={"period": 4000}),
        component(name="Halves", period="half", weight="30%",
                  table=table([{"from": "50%", "pays": "50%"}, {"from": "120%", "pays": "140%"}], way="whole",
                              between="linear")),
        component(name="Gated", gate={"of": "Quarterly", "at_least": "95%"}),
        component(name="Slow", gate={"of": "Bookings", "at_least": "100%", "otherwise": "first_band"}),
        component(name="Later", accelerates_after="60%", cap={"period": 5000}),
        component(name="Times", multiplier={"of": "Quarterly", "bands": [{"from": "80%", "times": "0.9"},
                                                                         {"from": "100%", "times": "1.3"}]}),
        component(name="Monthly", period="month"),
        component(name="Carved", windfall={"over": 1000, "way": "carve_out"}),
    )  # fmt: skip
    quotas = np.array([[100_000.0, 120_000, 80_000, 150_000], [60_000.0] * 4, [90_000, 1, 90_000, 90_000.37]])
    scatter = costing.Scatter(np.sort(np.random.default_rng(3).lognormal(-0.1, 0.5, 60)), 0.2, 0.2, 6, 10)
    got = costing.simulate(made, scatter, quotas, {}, n_years=25, seed=4)
    assert got.left_out == ["Monthly", "Carved"]
    drawn = costing.draw(scatter, 25, 3, seed=4)
    days = ("2026-02-01", "2026-05-01", "2026-08-01", "2026-11-01")
    for year in range(25):
        total = F(0)
        for rep in range(3):
            cents = np.round(drawn[year, rep] * quotas[rep] * 100).astype(int)
            sold = [
                credit(k, day, F(int(amount), 100)) for k, (day, amount) in enumerate(zip(days, cents, strict=True))
            ]
            months = {f"2026-{m:02d}": F(str(quotas[rep, (m - 1) // 3])) / 3 for m in range(1, 13)}
            who = person({f"2026-Q{k + 1}": F(str(quotas[rep, k])) for k in range(4)} | months)
            lines = payouts.pay(who, {"AE": made}, sold, through=YEAR_END)
            total += sum((F(line.amount) for line in lines if line.component not in got.left_out), F(0))
        assert F(str(round(got.paid[year], 2))) == total


def test_drawn_deals_make_up_what_is_booked_and_are_paid_one_by_one():
    """A rate by the amount of each deal with a cap, and a quarter that counts no deal above 30,000: each drawn deal
    paid again by the exact engine."""
    made = plan(
        component(name="Each", period="deal", cap={"deal": 900},
                  table=table([{"from": 0, "rate": "2%"}, {"from": 20_000, "rate": "5%"}], by="amount")),
        component(name="Capped", windfall={"over": 30_000, "way": "cap"}),
    )  # fmt: skip
    quotas, sizes = np.array([[100_000.0, 120_000, 80_000, 150_000]]), np.array([4000.0, 9000.5, 25_000, 61_000])
    scatter = costing.Scatter(np.sort(np.random.default_rng(3).lognormal(-0.1, 0.5, 60)), 0.2, 0.2, 6, 10)
    got = costing.simulate(made, scatter, quotas, {}, n_years=12, seed=4, sizes=sizes)
    assert not got.left_out and costing.simulate(made, scatter, quotas, {}, n_years=12, seed=4).left_out == [
        "Each",
        "Capped",
    ]
    booked = np.round(costing.draw(scatter, 12, 1, seed=4) * quotas * 100).astype(np.int64)[:, 0]
    year = costing._Year(made, {}, quotas, 100, sizes, 4)
    quarters = list(year.deals(made.components[0], booked, 0))
    assert all((part.sum(axis=1) == booked[:, k]).all() for k, part in enumerate(quarters))
    known = {400_000, 900_050, 2_500_000, 6_100_000}
    for k in range(12):
        sold = []
        for q, part in enumerate(quarters):
            own = [int(cents) for cents in part[k] if cents]
            assert set(own[:-1]) <= known  # the last one is what is left
            sold += [credit(100 * q + n, f"2026-{3 * q + 2:02d}-01", F(cents, 100)) for n, cents in enumerate(own)]
        who = person({f"2026-Q{q + 1}": F(str(quotas[0, q])) for q in range(4)})
        total = sum((F(line.amount) for line in payouts.pay(who, {"AE": made}, sold, through=YEAR_END)), F(0))
        assert F(str(round(got.paid[k], 2))) == total
    half = costing._Year(made, {"Each": 0.5}, quotas, 100, sizes, 4)
    kept = sum(part.sum() for part in half.deals(made.components[0], np.repeat(booked, 50, axis=0), 0))
    assert kept / (50 * booked.sum()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.real_data
def test_attainment_of_a_year_so_far_is_of_the_targets_so_far(data):
    """An invented company's resellers: sales stop in May 2020, targets run on to June; its year begins in July. Of the
    whole year's target Lynn Tsoflias has 137.5 %, as its data sheet says; of the eleven months', which is what counts
    here, 155.0 %. The director has targets and no sales of his own."""
    folder = data / "aw_sales_targets" / "extracted"
    sales, targets, people = (pd.read_csv(folder / f"{name}.csv") for name in ("Sales", "Targets", "Salesperson"))
    sold = sales.merge(people, on="EmployeeKey").query("OrderDate >= '2019-07-01' and OrderDate < '2020-06-01'")
    orders = sold.groupby(["EmployeeID", "SalesOrderNumber", "OrderDate"])["Sales"].sum().round(2).reset_index()
    assert sales["Sales"].sum() == pytest.approx(77_548_570.20, abs=0.5) and sales["SalesOrderNumber"].nunique() == 3616
    the_plan = plan(
        component(period="month", to_date=True, table=table([{"from": 0, "rate": "1%"}])),
        **{"from": "2019-07-01", "until": "2020-06-30"}, year_starts=7,
    )  # fmt: skip
    attained, of_the_year = {}, {}
    for row in people.itertuples():
        mine = targets[
            (targets["EmployeeID"] == row.EmployeeID) & targets["TargetMonth"].between("2019-07", "2020-06-30")
        ]
        quotas = {("bookings", month[:7]): F(str(amount))
                  for month, amount in zip(mine["TargetMonth"], mine["TargetAmount"], strict=True)}  # fmt: skip
        own = [
            Credit(one.SalesOrderNumber, one.SalesOrderNumber, dt.date.fromisoformat(one.OrderDate),
                   {"bookings": F(str(one.Sales))})
            for one in orders[orders["EmployeeID"] == row.EmployeeID].itertuples()
        ]  # fmt: skip
        if len(quotas) < 12:
            continue
        start = dt.date(2019, 7, 1)
        who = Person(str(row.EmployeeID), start, (Assignment("AE", start),), quotas)
        lines = payouts.pay(who, {"AE": the_plan}, own, through=dt.date(2020, 5, 31))
        last = next(step for step in lines[-1].steps if step.what == "attainment")
        attained[row.Salesperson] = float(last.values["attainment"])
        of_the_year[row.Salesperson] = float(last.values["measured"] / sum(quotas.values()))
        assert lines[-1].month == "2020-05"
    printed = {"Lynn Tsoflias": 1.375, "Ranjit Varkey Chudukatil": 1.029, "Jillian Carson": 0.980, "Shu Ito": 0.137}
    for name, share in printed.items():
        assert of_the_year[name] == pytest.approx(share, abs=0.0005), name
        assert attained[name] > of_the_year[name]
    assert attained["Lynn Tsoflias"] == pytest.approx(1.5502, abs=0.00005)
    assert attained["Brian Welcker"] == 0
    # Managers without sales of their own are credited by the hierarchy only.
    who = dict(zip(people["EmployeeID"].astype("str"), people["Salesperson"], strict=True))
    director = next(one for one, name in who.items() if name == "Brian Welcker")
    deals = [credits.Deal(row.SalesOrderNumber, dt.date.fromisoformat(row.OrderDate), str(row.EmployeeID),
                          {"bookings": F(str(row.Sales))}) for row in orders.itertuples()]  # fmt: skip
    below = [credits.Reports(one, director, dt.date(2017, 1, 1)) for one in who if one != director]
    made = credits.make(deals, (), below)
    assert {one.kind for one in made[director]} == {"override"}
    assert sum(one.measures["bookings"] for one in made[director]) == sum(F(str(one)) for one in orders["Sales"])
