"""The ways deals take: variants, the directly-follows graph, who keeps to the straight way."""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.process.params import Params
from salesops.stats import Estimate

OPEN, WON, LOST = "open", "won", "lost"
HOUR, DAY_HOURS = 3600, 24
DETOURS = ("skip", "back", "reopen", "owner", "amount_cut", "push")
BASE, LONGEST = 16, 15  # a way is a number: stage k as the nth visit adds k * 16 ** n
LATER, WON_AT, LOST_AT = 13, 14, 15  # stages from the thirteenth on are one


class Ways(NamedTuple):
    """n : deals. straight : Estimate of the share of closed deals without any skip, move back or re-opening, or None.

    variants : way (names of stages, in order), n, share, days (median from creation to close, or NaN); the most
        frequent, by number. n_variants : how many there are. n_longer : deals of more than 15 visits.
    edges : stage, to, n, days (median of the stays that ended so), kind (forward, skip, back, reopen, won, lost).
    """

    n: int
    straight: Estimate | None
    variants: pd.DataFrame
    n_variants: int
    n_longer: int
    edges: pd.DataFrame


def looked_at(book: crm.Book, params: Params, pipeline: str) -> ibis.Table:
    """The deals created in the months, with `by_<dimension>` to match on, and begun, closed in epoch seconds.

    Raises
    ------
    ValueError
        If there is none.
    """
    low, high = (
        periods.start_of(params.window.first_on, book.time_zone),
        periods.end_of(min(params.window.last_on, book.as_of), book.time_zone),
    )
    deals = book.deals.filter(_.pipeline == pipeline, _.created_at >= low, _.created_at < high)
    deals = deals.filter((_.status == OPEN) | _.closed_at.notnull())
    if book.about["log_begins"]:
        deals = deals.filter(deals.created_at >= ibis.timestamp(book.about["log_begins"]).truncate("s"))
    deals = crm.with_group(book, deals, params.match_by)
    found = deals.select(
        "deal_id",
        "status",
        "amount_minor",
        "group",
        begun=_.created_at.epoch_seconds(),
        closed=_.closed_at.epoch_seconds(),
    ).cache()
    if not found.count().execute():
        raise ValueError(
            f"no deal of the pipeline {pipeline!r} was created from {params.window.first_on} to {book.as_of}"
        )
    return found


def measure(book: crm.Book, params: Params, pipeline: str, deals: ibis.Table) -> Ways:
    """The ways of the deals looked at; see `Ways`."""
    stages = book.stages.filter(_.pipeline == pipeline).order_by("position").execute()
    names = _names(stages)
    visits = book.own_visits.semi_join(deals, "deal_id").filter(_.entered_at.notnull(), _.position.notnull())
    last = int((stages["kind"] == OPEN).sum())
    place = ibis.cases(
        (visits.kind == WON, WON_AT), (visits.kind == LOST, LOST_AT), else_=ibis.least(visits.position, LATER)
    )
    order = ibis.window(group_by=visits.deal_id, order_by=visits.seq)
    before = visits.position.lag().over(order)
    jumped = ((visits.kind == WON) & (before < last)) | (
        (visits.seq == 0) & (visits.kind == OPEN) & (visits.position > 1)
    )
    weight = ibis.cases(*[(visits.seq == k, ibis.literal(BASE**k, "int64")) for k in range(LONGEST)], else_=0)
    bent = visits.entry_kind.isin(["skip", "back", "reopen"]) | jumped.fill_null(False)
    visits = visits.mutate(code=place.cast("int64") * weight, bent=bent)
    coded = visits.group_by("deal_id").agg(code=_.code.sum(), last=_.seq.max(), bent=_.bent.any())
    each = deals.join(coded, "deal_id")
    day = ibis.greatest(each.closed - each.begun, 0) // 86_400
    table = each.select("code", "bent", "status", longer=each["last"] >= LONGEST, day=day)
    counted = table.group_by("code", "bent", "status", "longer", "day").agg(n=_.count()).execute()
    return Ways(
        n=int(counted["n"].sum()),
        straight=_straight(counted, params),
        variants=_variants(counted[~counted["longer"]], names, params),
        n_variants=int(counted.loc[~counted["longer"], "code"].nunique()),
        n_longer=int(counted.loc[counted["longer"], "n"].sum()),
        edges=_edges(book, deals, dict(zip(stages["position"], stages["stage"], strict=True))),
    )


def _names(stages: pd.DataFrame) -> dict[int, str]:
    """What a digit of a way means: the open stages, later ones together, won, lost."""
    names = {
        k: stage
        for k, stage, kind in zip(stages["position"], stages["stage"], stages["kind"], strict=True)
        if kind == OPEN
    }
    found = {k: stage for k, stage in names.items() if k < LATER}
    found |= {LATER: names[LATER] if len(names) == LATER else "…"} if len(names) >= LATER else {}
    for place, kind in ((WON_AT, WON), (LOST_AT, LOST)):
        ends = stages.loc[stages["kind"] == kind, "stage"]
        found |= {place: ends.iloc[0]} if len(ends) else {}
    return found


def _straight(counted: pd.DataFrame, params: Params) -> Estimate | None:
    """Of closed deals: one that is open may still leave the straight way."""
    counted = counted[counted["status"] != OPEN]
    n = int(counted["n"].sum())
    return stats.wilson(int(counted.loc[~counted["bent"], "n"].sum()), n) if n >= params.min_deals else None


def _variants(counted: pd.DataFrame, names: dict[int, str], params: Params) -> pd.DataFrame:
    total = int(counted["n"].sum())
    sizes = counted.groupby("code")["n"].sum().sort_index().sort_values(ascending=False, kind="stable")
    rows = []
    for code in sizes.index[: params.variants]:
        closed = counted[(counted["code"] == code) & (counted["status"] != OPEN)]
        days = _median(closed["day"], closed["n"])
        rows.append((_way(int(code), names), int(sizes[code]), sizes[code] / total, days))
    return pd.DataFrame(rows, columns=["way", "n", "share", "days"])


def _way(code: int, names: dict[int, str]) -> tuple[str, ...]:
    way = []
    while code:
        way.append(names.get(code % BASE, "…"))
        code //= BASE
    return tuple(way)


def _median(values: pd.Series, n: pd.Series) -> float:
    """The median of values that stand for `n` cases each; NaN of none."""
    order = np.argsort(values.to_numpy(dtype=float), kind="stable")
    upto = n.to_numpy()[order].cumsum()
    if not len(upto):
        return float("nan")
    return float(values.to_numpy(dtype=float)[order][np.searchsorted(upto, upto[-1] / 2)])


def _edges(book: crm.Book, deals: ibis.Table, names: dict[int, str]) -> pd.DataFrame:
    """The directly-follows graph, by position of the stages."""
    visits = book.own_visits.semi_join(deals, "deal_id")
    order = ibis.window(group_by=visits.deal_id, order_by=visits.seq)
    after = visits.mutate(
        to=visits.position.lead().over(order),
        to_kind=visits.kind.lead().over(order),
        entry=visits.entry_kind.lead().over(order),
        then=visits.seq.lead().over(order),
    ).filter(
        _.to.notnull(), _.position.notnull(), _.entered_at.notnull(), _.then == _.seq + 1
    )  # not by another pipeline
    kind = ibis.cases((after.to_kind != OPEN, after.to_kind), (after.entry == "advance", "forward"), else_=after.entry)
    age = ibis.greatest((after.left_at.epoch_seconds() - after.entered_at.epoch_seconds()) // HOUR, 0)
    rows = after.select("position", "to", kind=kind, age=age)
    table = rows.group_by("position", "to", "kind", "age").agg(n=_.count()).execute()
    found = []
    for (position, to, kind_), part in table.groupby(["position", "to", "kind"], sort=True):
        days = _median(part["age"], part["n"]) / DAY_HOURS
        found.append(
            (names.get(position, "…"), names.get(to, "…"), int(position), int(to), int(part["n"].sum()), days, kind_)
        )
    return pd.DataFrame(found, columns=["stage", "to", "position", "to_position", "n", "days", "kind"])


def detour_events(book: crm.Book, deals: ibis.Table) -> ibis.Table:
    """deal_id, kind (of `DETOURS`), at (epoch seconds): the first of each kind of each deal."""
    visits = book.own_visits.semi_join(deals, "deal_id").filter(_.entered_at.notnull())
    moved = visits.filter(_.entry_kind.isin(["skip", "back", "reopen"])).select(
        "deal_id", kind=_.entry_kind, at=_.entered_at.epoch_seconds()
    )
    spans = book.states.semi_join(deals, "deal_id").filter(_.entered_at.notnull())
    order = ibis.window(group_by=spans.deal_id, order_by=spans.entered_at)
    due = spans.expected_close_on.cast("date")
    spans = spans.mutate(month=due.year() * 12 + due.month())
    spans = spans.mutate(
        **{f"was_{name}": spans[name].lag().over(order) for name in ("kind", "rep_id", "amount_minor", "month")}
    ).filter(_.kind == OPEN, _.was_kind == OPEN)
    tracked = book.about["tracked"]
    parts = [moved]
    for name, field, when in (
        ("owner", "rep_id", spans.rep_id != spans.was_rep_id),
        ("amount_cut", "amount", spans.amount_minor < spans.was_amount_minor),
        ("push", "expected_close_on", spans.month > spans.was_month),
    ):
        if field in tracked:
            parts.append(spans.filter(when).select("deal_id", kind=ibis.literal(name), at=_.entered_at.epoch_seconds()))
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return every.group_by("deal_id", "kind").agg(at=_.at.min())


def as_of_end(book: crm.Book) -> int:
    """The first moment not known, in epoch seconds."""
    return int(pd.Timestamp(book.cut).timestamp())
