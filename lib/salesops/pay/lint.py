"""What a plan makes people do: where its pay jumps, stands still, falls, costs more than it brings, or stops.

A plan is looked at before anyone signs it, for one quota and the target pay that goes with it.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from salesops.pay import curves
from salesops.pay.plans import Component, Plan

ZERO = Fraction(0)


class Issue(NamedTuple):
    """kind : cliff (pay jumps by `pay`), fall (it falls by `pay`, or by `rate` with every unit more), dead_zone
    (nothing more is paid up to `until`), over_margin (`rate` of every unit more is above the margin), capped (nothing
    more is paid from here on than `pay`). at, until : what is measured, in its unit; until is None where there is no
    end.
    """

    component: str
    kind: str
    at: Fraction
    until: Fraction | None = None
    pay: Fraction | None = None
    rate: Fraction | None = None


def find(plan: Plan, quotas: dict[str, Fraction], *, margin: Fraction | None = None) -> list[Issue]:
    """What is to be seen in a plan's components.

    Parameters
    ----------
    quotas : of a component's `months`, by its name; one that asks for a quota and is not here is left out. margin :
    share of what is sold that is left after its cost; None where it is not known.
    """
    found: list[Issue] = []
    for component in plan.components:
        quota = quotas.get(component.name)
        if component.needs_quota and not quota:
            continue
        target = plan.pay.variable * component.weight * Fraction(component.months, 12)
        found += _of(component, quota, target, margin)
    return found


def _of(component: Component, quota: Fraction | None, target: Fraction, margin: Fraction | None) -> Iterator[Issue]:
    scale = quota if component.table.by == "attainment" else Fraction(1)
    pieces = curves.straight(component.table, scale, target)
    if pieces is None:
        return
    if component.threshold is not None:
        pieces = _from(pieces, component.threshold * quota)
    name, most = component.name, _most(component, target)
    capped_at = None if most is None else _reaches(pieces, most)
    before = ZERO
    if pieces[0][0] > 0:
        yield Issue(name, "dead_zone", ZERO, pieces[0][0])
    for k, (start, slope, level) in enumerate(pieces):
        if capped_at is not None and start >= capped_at:
            break
        after = slope * start + level
        if after > before:
            yield Issue(name, "cliff", start, pay=after - before)
        elif after < before:
            yield Issue(name, "fall", start, pay=before - after)
        end = pieces[k + 1][0] if k + 1 < len(pieces) else None
        if slope < 0:
            yield Issue(name, "fall", start, end, rate=slope)
        elif slope == 0 and end is not None:
            yield Issue(name, "dead_zone", start, end)
        elif slope == 0 and capped_at is None:
            yield Issue(name, "capped", start, pay=after)
        if margin is not None and slope > margin and component.measure in ("bookings", "revenue"):
            yield Issue(name, "over_margin", start, end, rate=slope)
        before = slope * end + level if end is not None else after
    if capped_at is not None:
        yield Issue(name, "capped", capped_at, pay=most)


def _from(pieces: list[tuple[Fraction, Fraction, Fraction]], least: Fraction):
    """The pieces from a threshold on, below which nothing is paid."""
    running = [piece for piece in pieces if piece[0] <= least]
    head = [(least, *running[-1][1:])] if running else []
    return head + [piece for piece in pieces if piece[0] > least]


def _most(component: Component, target: Fraction) -> Fraction | None:
    """The cap that binds in one period."""
    caps = [component.cap.period] + ([component.cap.year] if component.months == 12 else [])
    limits = [cap.of(target) for cap in caps if cap is not None]
    return min(limits) if limits else None


def _reaches(pieces: list[tuple[Fraction, Fraction, Fraction]], most: Fraction) -> Fraction | None:
    """Where pay first comes to the cap; None where it never does."""
    for k, (start, slope, level) in enumerate(pieces):
        if slope * start + level >= most:
            return start
        end = pieces[k + 1][0] if k + 1 < len(pieces) else None
        if slope > 0:
            at = (most - level) / slope
            if end is None or at < end:
                return at
    return None


def gain_from_delay(plan: Plan, component: str, measured: Fraction, next_measured: Fraction, amount: Fraction,
                    quota: Fraction, next_quota: Fraction) -> Fraction:  # fmt: skip
    """What a rep gains (below zero: loses) by closing a deal in the next period instead of this one.

    Parameters
    ----------
    measured, next_measured : of both periods without the deal. amount : the deal. quota, next_quota : of both.
    """
    one = plan.component(component)
    target = plan.pay.variable * one.weight * Fraction(one.months, 12)

    def pays(value: Fraction, of: Fraction) -> Fraction:
        if one.threshold is not None and (not of or value / of < one.threshold):
            return ZERO
        paid = curves.earned(one.table, value, of, target)
        most = _most(one, target)
        return paid if most is None else min(paid, most)

    now = pays(measured + amount, quota) + pays(next_measured, next_quota)
    later = pays(measured, quota) + pays(next_measured + amount, next_quota)
    return later - now
