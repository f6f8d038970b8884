"""Plans, people and credits small enough to reckon by hand."""

import datetime as dt
from fractions import Fraction as F

import pyarrow as pa
import pyarrow.parquet as pq
from salesops import crm
from salesops.crm import prepare
from salesops.crm.tables import TABLES
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


ABOUT = {
    "title": "Four deals", "source": "test", "currency": "USD", "minor_digits": 2, "time_zone": "UTC",
    "history": "log", "vat": None,
}  # fmt: skip


def answering(reps) -> dict:
    """What a plan with a hold and a ramp asks of a book: one payment, and first days."""
    paid = {"payment_id": "p1", "deal_id": "d0", "amount_minor": 1_000_000, "currency": "USD",
            "paid_at": dt.datetime(2026, 4, 2)}  # fmt: skip
    return {"payments": [paid], "reps": [{**one, "hired_on": dt.date(2020, 1, 1)} for one in reps]}


def small_book(folder, **tables) -> crm.Book:
    """A book of four won deals of three reps under two managers; tables replace or add to those here."""
    when = [dt.datetime(2026, 2, 3), dt.datetime(2026, 3, 31, 12), dt.datetime(2026, 5, 20), dt.datetime(2026, 8, 8)]
    deals, changes = [], []
    for k, (at, rep) in enumerate(zip(when, ["r1", "r2", "r1", "r3"], strict=True)):
        deal = {"deal_id": f"d{k}", "pipeline": "", "stage": "Won", "amount_minor": (k + 1) * 4_000_000,
                "currency": "USD", "created_at": at - dt.timedelta(days=30), "closed_at": at, "rep_id": rep,
                "deal_type": "new", "product": "Base", "list_amount_minor": (k + 1) * 5_000_000}  # fmt: skip
        deals.append(deal)
        for field, old, new, moment in (("created", None, "Lead", deal["created_at"]), ("stage", "Lead", "Won", at)):
            changes.append({"deal_id": deal["deal_id"], "changed_at": moment, "field": field, "old_value": old,
                            "new_value": new})  # fmt: skip
    usual = {
        "deals": deals,
        "changes": sorted(changes, key=lambda one: one["changed_at"]),
        "stages": [{"pipeline": "", "stage": "Lead", "position": 1, "kind": "open"},
                   {"pipeline": "", "stage": "Won", "position": 2, "kind": "won"}],
        "reps": [{"rep_id": rep, "role": "AE", "team": "T"} for rep in ("r1", "r2", "r3")],
        "quotas": [{"rep_id": rep, "period": f"2026-Q{k}", "amount_minor": 10_000_000, "currency": "USD",
                    "kind": "bookings"} for rep in ("r1", "r2", "r3") for k in range(1, 5)],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (usual | tables).items():
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].schema), folder / f"{name}.parquet")
    prepare.prepare(folder, ABOUT)
    return crm.Book(folder)
