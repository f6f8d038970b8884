"""Plans, people and credits small enough to reckon by hand."""

import datetime as dt
from fractions import Fraction as F

from salesops.pay import payouts, plans
from salesops.pay.records import Assignment, Credit, Person

YEAR_END = dt.date(2026, 12, 31)
TIERS = [{"from": "0%", "rate": "5%"}, {"from": "100%", "rate": "6%"}, {"from": "125%", "rate": "7%"}]


def table(bands, by="attainment", way="marginal", **more):
    return {"by": by, "way": way, "bands": bands, **more}


def component(**changed):
    usual = {"name": "Bookings", "measure": "bookings", "period": "quarter", "table": table(TIERS)}
    return usual | changed


def plan(*components, **changed):
    values = {
        "plan": "AE", "version": "1", "from": "2026-01-01", "until": "2026-12-31", "currency": "USD",
        "pay": {"base": 60000, "variable": 40000}, "components": list(components) or [component()],
    }  # fmt: skip
    return plans.check(values | changed, where="plan")


def credit(number, day, amount, **facts):
    return Credit(f"C{number}", f"D{number}", dt.date.fromisoformat(day), {"bookings": F(amount)}, "direct", facts)


def person(quotas=None, hired="2020-01-01", start="2026-01-01", **changed):
    quotas = {f"2026-Q{k}": 100_000 for k in range(1, 5)} if quotas is None else quotas
    own = {("bookings", name): F(value) for name, value in quotas.items()}
    one = Person("P1", dt.date.fromisoformat(hired), (Assignment("AE", dt.date.fromisoformat(start)),), own)
    return one._replace(**changed)


def paid(the_plan, made, who=None, through=YEAR_END, **more):
    """Month, kind and amount of each line."""
    lines = payouts.pay(who or person(), {"AE": the_plan}, made, through=through, **more)
    return [(line.month, line.kind, str(line.amount)) for line in lines]


def amounts(the_plan, made, who=None, **more):
    """What is earned by quarter, as text."""
    return [amount for _month, kind, amount in paid(the_plan, made, who, **more) if kind == "earned"]


def by_month(**changed):
    return plan(component(period="month", table=table([{"from": 0, "rate": "10%"}], by="amount")), **changed)
