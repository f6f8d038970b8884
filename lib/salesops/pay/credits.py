"""Who is credited for a deal: its owner or those who share it, overlays, and the managers above them on its day."""

import datetime as dt
from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from salesops.pay.records import Credit
from salesops.problems import BadInput


class Deal(NamedTuple):
    """A deal that counts: on its day, for so much of each measure, to its owner if it is not split."""

    deal_id: str
    on: dt.date
    owner: str
    measures: Mapping[str, Fraction]
    facts: Mapping[str, str] = MappingProxyType({})


class Split(NamedTuple):
    """A share of a deal's credit. kind : direct shares are of the whole, and must be it together; overlay ones come on
    top."""

    deal_id: str
    person_id: str
    share: Fraction
    kind: str = "direct"


class Reports(NamedTuple):
    """Who reported to whom, from one day to another, both inclusive; None is open."""

    person_id: str
    manager_id: str
    start: dt.date
    until: dt.date | None = None


def make(
    deals: Iterable[Deal], splits: Iterable[Split] = (), reports: Iterable[Reports] = ()
) -> dict[str, list[Credit]]:
    """Credits by person. A manager is credited (override) for every direct credit of those below on the deal's day.

    Raises
    ------
    BadInput
        Where direct shares are not the whole, a share is below zero, one person shares a deal twice, or people report
        to each other in a circle: all at once.
    """
    by_deal: dict[str, list[Split]] = {}
    for split in splits:
        by_deal.setdefault(split.deal_id, []).append(split)
    above = list(reports)
    found: dict[str, list[Credit]] = {}
    problems: list[str] = []
    for deal in sorted(deals, key=lambda one: one.deal_id):
        shares = by_deal.get(deal.deal_id, [])
        problems += _wrong(deal.deal_id, shares)
        direct = [one for one in shares if one.kind == "direct"] or [Split(deal.deal_id, deal.owner, Fraction(1))]
        credited = [(one.person_id, one.kind, Fraction(one.share)) for one in shares if one.kind != "direct"]
        managed: dict[str, Fraction] = {}
        for one in direct:
            credited.append((one.person_id, "direct", Fraction(one.share)))
            chain = find_chain(one.person_id, deal.on, above)
            if chain and chain[-1] in (one.person_id, *chain[:-1]):
                problems.append(f"{deal.on}: {' reports to '.join((one.person_id, *chain))}, a circle")
                continue
            for manager in chain:
                managed[manager] = managed.get(manager, Fraction(0)) + one.share
        credited += [(manager, "override", share) for manager, share in sorted(managed.items())]
        for person, kind, share in credited:
            measures = {name: Fraction(value) * share for name, value in deal.measures.items()}
            credit = Credit(f"{deal.deal_id}/{person}/{kind}", deal.deal_id, deal.on, measures, kind, deal.facts)
            found.setdefault(person, []).append(credit)
    if problems:
        raise BadInput("deals cannot be credited", list(dict.fromkeys(problems)))
    return found


def _wrong(deal_id: str, shares: list[Split]) -> list[str]:
    problems = []
    direct = sum((Fraction(one.share) for one in shares if one.kind == "direct"), Fraction(0))
    if any(one.kind == "direct" for one in shares) and direct != 1:
        problems.append(f"deal {deal_id}: direct shares are {float(direct):.2%} together, must be 100%")
    for one in shares:
        if one.share < 0:
            problems.append(
                f"deal {deal_id}: the share of {one.person_id} is {float(one.share):.2%}, must not be below 0"
            )
    keys = [(one.person_id, one.kind) for one in shares]
    for person, kind in sorted({key for key in keys if keys.count(key) > 1}):
        problems.append(f"deal {deal_id}: {person} has two {kind} shares")
    return problems


def find_chain(person: str, day: dt.date, reports: Iterable[Reports]) -> list[str]:
    """The managers above a person on a day, the nearest first; a circle ends with who stands in it twice."""
    held = {one.person_id: one.manager_id for one in reports
            if one.start <= day and (one.until is None or day <= one.until)}  # fmt: skip
    chain: list[str] = []
    while (manager := held.get(chain[-1] if chain else person)) is not None:
        chain.append(manager)
        if manager == person or manager in chain[:-1]:
            break
    return chain
