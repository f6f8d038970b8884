"""Laws of pay that hold for any plan and any history: thousands of both, drawn."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction as F

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from salesops.pay import explain, payouts, statements
from salesops.pay.records import Cancellation, Credit, Payment
from salesops.problems import BadInput

from tests.conftest import examples
from tests.pay_cases import YEAR_END, person, plan

BY_MONTH = {f"2026-{k:02d}": 10_000 * k for k in range(1, 13)}
PERCENT = st.integers(0, 300).map(lambda n: f"{n}%")
DAYS = st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31))


@st.composite
def tables(draw, *, rising=False, marginal=False):
    by = draw(st.sampled_from(["attainment", "amount"]))
    way = "marginal" if marginal else draw(st.sampled_from(["marginal", "whole"]))
    kinds = (
        ["rate"] + (["amount"] if way == "whole" else []) + (["pays"] if (way, by) != ("marginal", "amount") else [])
    )
    kind = draw(st.sampled_from(kinds))
    n = draw(st.integers(1, 4))
    scale = 100 if by == "attainment" else 1_000_000
    starts = sorted(draw(st.sets(st.integers(0, 200), min_size=n, max_size=n)))
    values = draw(st.lists(st.integers(0, 300), min_size=n, max_size=n))
    values = sorted(values) if rising else values
    unit = {"rate": 1000, "pays": 100, "amount": F(1, 10)}[kind]
    bands = [
        {"from": str(F(a * scale, 100 * 100) if by == "attainment" else F(a * 1000)), kind: str(F(b) / unit)}
        for a, b in zip(starts, values, strict=True)
    ]
    linear = way == "whole" and n > 1 and draw(st.booleans()) and not rising
    return {"by": by, "way": way, "bands": bands, "between": "linear" if linear else "step"}


@st.composite
def components(draw, name, *, rising=False, marginal=False):
    made = {"name": name, "measure": "bookings", "table": draw(tables(rising=rising, marginal=marginal)),
            "period": draw(st.sampled_from(["month", "quarter", "half", "year"])), "weight": "50%"}  # fmt: skip
    made["to_date"] = made["period"] != "year" and draw(st.booleans())
    if draw(st.booleans()):
        made["threshold"] = draw(PERCENT)
    if draw(st.booleans()):
        made["accelerates_after"] = draw(PERCENT)
    if draw(st.booleans()) and not rising:
        made["only"] = {"kind": ["a"]}
    caps = {name: draw(st.sampled_from(["80%", "250%", 900])) for name in ("period", "year") if draw(st.booleans())}
    if draw(st.booleans()) and not rising:
        caps["deal"] = draw(st.integers(1, 5000))
    made["cap"] = caps
    if draw(st.booleans()) and not rising:
        way = draw(st.sampled_from(["cap", "carve_out", "schedule"]))
        made["windfall"] = {"over": draw(st.integers(1, 90_000)), "way": way}
        made["windfall"] |= {"months": 6} if way == "schedule" else {}
    return made


@st.composite
def any_plan(draw):
    """A plan that the checks let through, with most of what a plan can have."""
    first, second = draw(components("One")), draw(components("Two"))
    if draw(st.booleans()):
        second["gate"] = {
            "of": "One",
            "at_least": draw(PERCENT),
            "otherwise": draw(st.sampled_from(["nothing", "first_band"])),
        }
    if draw(st.booleans()):
        second["multiplier"] = {"of": "One", "bands": [{"from": 0, "times": "0.9"}, {"from": "1", "times": "1.1"}]}
    more = {"rounding": draw(st.sampled_from(["half_up", "half_even", "down"])), "prorate": draw(st.booleans()),
            "ramp": draw(st.sampled_from([[], ["25%", "50%"]]))}  # fmt: skip
    if draw(st.booleans()):
        more["draw"] = {
            "amount": draw(st.integers(1, 5000)),
            "kind": draw(st.sampled_from(["recoverable", "guarantee"])),
        }
    if draw(st.booleans()):
        more["hold"] = {"share": "40%"}
    if draw(st.booleans()):
        more["clawback"] = {"days": draw(st.integers(1, 300)), "way": draw(st.sampled_from(["original_rate", "rerun"]))}
    if draw(st.booleans()):
        more["spiffs"] = [{"name": "S", "from": "2026-03-01", "until": "2026-08-15", "rate": "1%", "most": 500}]
    try:
        return plan(first, second, **more)
    except BadInput:
        assume(False)


@st.composite
def histories(draw):
    n = draw(st.integers(0, 8))
    credits = [
        Credit(f"C{k}", f"D{draw(st.integers(0, 5))}", draw(DAYS),
               {"bookings": F(draw(st.integers(0, 9_000_000)), 100)}, "direct", {"kind": draw(st.sampled_from("ab"))})
        for k in range(n)
    ]  # fmt: skip
    shares = st.integers(1, 10).map(lambda k: F(k, 10))
    undone = [Cancellation(f"D{k}", draw(DAYS), draw(shares)) for k in range(draw(st.integers(0, 3)))]
    paid = [Payment(f"D{k}", draw(DAYS), draw(shares)) for k in range(draw(st.integers(0, 3)))]
    return credits, undone, paid


def pay(the_plan, history, *, through=YEAR_END, who=None):
    credits, undone, paid = history
    who = who or person(BY_MONTH, hired="2025-12-20")
    return payouts.pay(who, {"AE": the_plan}, credits, through=through, cancellations=undone, payments=paid)


def holds(the_plan, history, data):
    lines = pay(the_plan, history)
    credits, undone, paid = history
    mixed = [data.draw(st.permutations(part)) for part in (credits, undone, paid)]
    assert pay(the_plan, mixed) == lines  # the order of credits and of files does not matter

    month = data.draw(st.integers(1, 11))  # what is known later changes no month that is closed
    closed = dt.date(2026, month + 1, 1) - dt.timedelta(days=1)
    known = [[one for one in part if one.on <= closed] for part in history]
    assert pay(the_plan, known, through=closed) == [line for line in lines if line.month <= f"{closed:%Y-%m}"]

    held = sum((line.amount for line in lines if line.kind in ("held", "released")), Decimal(0))
    assert held <= 0  # nothing is released that was not held
    drawn = [line.amount for line in lines if line.kind in ("draw", "recovered")]
    for k in range(len(drawn)):
        assert sum(drawn[: k + 1]) >= 0  # nothing is recovered that was not drawn
    for line in lines:
        assert -line.amount.as_tuple().exponent == the_plan.digits and explain.explain(line, "USD")
    made = statements.draw_up(lines) if lines else []
    assert statements.broken(made) == [] and sum((one.total for one in made), Decimal(0)) == sum(
        (line.amount for line in lines), Decimal(0)
    )
    halves = [
        one._replace(credit_id=f"{one.credit_id}{side}", measures={"bookings": one.measures["bookings"] / 2})
        for one in credits for side in "xy"
    ]  # fmt: skip
    assert pay(the_plan, (halves, undone, paid)) == lines  # a credit in two parts is the same credit


@given(any_plan(), histories(), st.data())
@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
def test_pay_keeps_its_laws(the_plan, history, data):
    holds(the_plan, history, data)


@pytest.mark.slow
@given(any_plan(), histories(), st.data())
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_pay_keeps_its_laws_thousands_of_times(the_plan, history, data):
    holds(the_plan, history, data)


@st.composite
def rising_plan(draw):
    try:
        return plan(draw(components("One", rising=True, marginal=True)),
                    draw(components("Two", rising=True)))  # fmt: skip
    except BadInput:
        assume(False)


@given(rising_plan(), histories(), st.integers(0, 10_000_000), DAYS)
@settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))
def test_who_sells_more_is_never_paid_less_where_rates_rise(the_plan, history, cents, day):
    """By the end of the year; in the middle of it a year's cap may only move pay forward."""
    credits, _undone, _paid = history
    more = [*credits, Credit("C99", "D99", day, {"bookings": F(cents, 100)})]
    before, after = (sum(line.amount for line in pay(the_plan, (part, [], []))) for part in (credits, more))
    assert after >= before


@given(components("One", rising=True), histories())
@settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))
def test_paying_to_date_by_month_is_paying_the_year(made, history):
    """With a quota, the cap of the year and no limit that looks at a single period."""
    year = {**made, "period": "year", "to_date": False, "cap": {}, "accelerates_after": None, "weight": "100%"}
    monthly = {**year, "period": "month", "to_date": True}
    quotas = {f"2026-{k:02d}": 30_000 for k in range(1, 13)}
    try:
        one, other = plan(year), plan(monthly)
    except BadInput:
        assume(False)
    who = person(quotas)
    total = [sum(line.amount for line in pay(each, (history[0], [], []), who=who)) for each in (one, other)]
    assert total[0] == total[1]


@pytest.mark.slow
def test_the_drawn_plans_are_many_kinds():
    """So that the laws above are of something."""
    seen = set()

    @given(any_plan())
    @settings(max_examples=200, suppress_health_check=list(HealthCheck), database=None)
    def look(the_plan):
        for one in the_plan.components:
            seen.update({one.table.way, one.table.kind, one.table.by, one.table.between, one.period})
            seen.update(name for name in ("threshold", "gate", "multiplier", "windfall", "accelerates_after")
                        if getattr(one, name) is not None)  # fmt: skip
            seen.update({"to_date"} if one.to_date else ())
        seen.update(name for name in ("draw", "hold", "clawback", "spiffs") if getattr(the_plan, name))

    look()
    assert seen >= {"marginal", "whole", "rate", "pays", "amount", "attainment", "linear", "month", "quarter", "half",
                    "year", "threshold", "gate", "multiplier", "windfall", "accelerates_after", "to_date", "draw",
                    "hold", "clawback", "spiffs"}  # fmt: skip
