"""Clauses of a plan for which a book has no data, and what of pay is not logged.

A clause without data is never paid as nothing: a page names it, and statements are refused.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ibis import _

from salesops import crm
from salesops.pay.plans import Component, Plan

LOGGED = ("stage", "amount", "rep_id")  # fields of deals whose changes pay looks at


class Blind(NamedTuple):
    """clause : the name of a component or spiff; blank is the whole plan. needs : what the book lacks: a fact of deals
    (as deal_type), payments, overlays, managers or first_days."""

    clause: str
    needs: str


def find(book: crm.Book, versions: Sequence[Plan]) -> list[Blind]:
    """The clauses of a plan that this book cannot answer, each once."""
    return list(dict.fromkeys(one for plan in versions for one in _of_plan(book, plan)))


def _of_plan(book: crm.Book, plan: Plan) -> Iterator[Blind]:
    filled = {name: set(columns) for name, columns in book.about["filled"].items()}
    for name, choice in plan.choices.items():
        for fact in sorted(choice.facts):
            by_line = fact == "product" and "product" in filled.get("lines", ())
            if fact not in filled["deals"] and not by_line:
                yield Blind(name, fact)
        if isinstance(choice, Component):
            if choice.credits == ("overlay",) and not _has_overlays(book):
                yield Blind(name, "overlays")
            if choice.credits == ("override",) and "manager_id" not in filled["reps"]:
                yield Blind(name, "managers")
    unpaid = plan.clawback is not None and plan.clawback.unpaid_after is not None
    if (plan.hold is not None or unpaid) and not book.has("payments"):
        yield Blind("", "payments")
    newcomers = plan.ramp or (plan.draw is not None and plan.draw.months is not None)
    if newcomers and "hired_on" not in filled["reps"]:
        yield Blind("", "first_days")


def _has_overlays(book: crm.Book) -> bool:
    return book.has("splits") and bool(book.split_spells.filter(_.kind == "overlay").count().execute())


def unlogged(book: crm.Book) -> list[str]:
    """What pay takes as known now, for the book has no log of it: stage, amount, rep_id, reps, quotas, splits."""
    tracked = set(book.about["tracked"])
    has_stages = book.about["history"] != "current_stage"
    lacking = [name for name in LOGGED if not (has_stages if name == "stage" else name in tracked)]
    for table in ("reps", "quotas", "splits"):
        if book.has(table) and not {"valid_from", "valid_to"} & set(book.about["filled"].get(table, ())):
            lacking.append(table)
    return lacking
