"""The bridge between two days: every change of every deal in its movement, exact in whole minor units.

A change counts when it happens. Where one change moves a deal and its amount at once, the date comes before the amount
on the way in and out by date, and the amount before the close. Of one deal, what cancels itself is taken out: pulled in
against moved out, increased against decreased, re-opened against won and lost.
"""

import datetime as dt
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.bridge.params import Params

OPEN, WON, LOST = "open", "won", "lost"
INTO = ("created", "pulled_in", "increased", "reopened")
OUT = ("decreased", "won", "lost", "slipped", "pushed_out")
MOVEMENTS = (*INTO, *OUT)
NINETY = 90


class Bridge(NamedTuple):
    """Amounts in whole units; what goes out is negative.

    opening_on, closing_on : at the end of these days.
    total : movement (opening, MOVEMENTS, closing), n deals, amount.
    groups : group, one column of amounts for each of these.
    moved : deal_id, name, account, movement, amount: the largest.
    landed_n, landed, booked_n, booked : deals won between the two days that were created in between; all that were won.
    n_blank : open deals on the closing day without an amount, which count as nothing.
    n_undated : deals without a creation date, which are in no number here.
    due : whether deals count by their expected closing day; not where the source has none on a log.
    amounts : whether amounts of open deals are known as of these days: only where the source logs them. Where not, all
        amounts but those of won deals are absent.
    """

    opening_on: dt.date
    closing_on: dt.date
    total: pd.DataFrame
    groups: pd.DataFrame
    moved: pd.DataFrame
    landed_n: int
    landed: float
    booked_n: int
    booked: float
    n_blank: int
    n_undated: int
    due: bool
    amounts: bool


def measure(
    book: crm.Book, params: Params, frame: periods.Period, closing_on: dt.date, *, amounts: bool | None = None
) -> Bridge:
    """The bridge of a span, up to and with a day of it; `amounts`: take those of the source for known, log or not.

    Raises
    ------
    ValueError
        If the span is not known on its opening day, or the amounts do not close, which would be a fault of ours.
    """
    opening_on = periods.days_after(frame.first_on, params.opening_day - 1)
    if closing_on <= opening_on:
        raise ValueError(f"nothing lies between the end of {opening_on} and {closing_on}, the last day known")
    start, end = (periods.end_of(day, book.time_zone) for day in (opening_on, closing_on))
    due, amounts = by_due(book, params), "amount" in book.about["tracked"] if amounts is None else amounts
    spans = _spans(book, params, frame, due=due, amounts=amounts)
    ends = [_standing(spans, moment) for moment in (start, end)]
    deals = _netted(_moves(spans, start, end, _slip_moment(frame, params, book))).cache()
    totals = _summed(deals)
    table = _total(ends, totals)
    off = int(ends[0]["minor"].sum() + totals[list(MOVEMENTS)].to_numpy().sum() - ends[1]["minor"].sum())
    if off:
        raise ValueError(f"the bridge does not close: {off} minor units are left over")
    units = book.minor_units if amounts else np.nan  # what is not known is absent, not nothing
    n_undated = part_of(book, params).filter(_.created_at.isnull()).count().execute()
    return Bridge(
        opening_on, closing_on, table.assign(amount=table.pop("minor") / units), _groups(ends, totals, units),
        _listed(book, deals, params.listed), *_landed(book, params, start, end), int(ends[1]["n_blank"].sum()),
        int(n_undated), due, amounts,
    )  # fmt: skip


def by_due(book: crm.Book, params: Params) -> bool:
    """Whether deals count by their expected closing day: asked for, and on a log."""
    return params.due == "span" and "expected_close_on" in book.about["tracked"]


def part_of(book: crm.Book, params: Params) -> ibis.Table:
    """The deals looked at, with their group."""
    deals = book.deals.filter(_.pipeline == params.pipeline) if params.pipeline else book.deals
    return crm.with_group(book, deals, params.segment_by)


def _spans(book: crm.Book, params: Params, frame: periods.Period, *, due: bool, amounts: bool) -> ibis.Table:
    """Each span of each deal with the one before: member (open, and due in the span), amount, kind."""
    # What was never dated is known with the last day alone, and would stand in every earlier one.
    deals = part_of(book, params).filter(_.created_at.notnull()).select("deal_id", "group")
    spans = book.states.filter(_.entered_at.notnull()).join(deals, "deal_id")
    first, last = (ibis.literal(day) for day in frame[1:])
    here = spans.expected_close_on.cast("date").between(first, last) if due else ibis.literal(True)
    member = ((spans.kind == OPEN) & here).fill_null(False)
    amount = spans.amount_minor if amounts else ibis.null("int64")
    spans = spans.select(
        "deal_id", "group", "kind", "kind_since", "entered_at", "left_at", member=member, blank=amount.isnull(),
        amount=amount.coalesce(0),
    )  # fmt: skip
    order = ibis.window(group_by=spans.deal_id, order_by=ibis.asc(spans.entered_at, nulls_first=True))
    return spans.mutate(
        was_member=spans.member.lag().over(order),
        was_amount=spans.amount.lag().over(order),
        was_kind=spans.kind.lag().over(order),
    )


def _standing(spans: ibis.Table, moment: dt.datetime) -> pd.DataFrame:
    """group, n, minor, n_blank: what stands in the pipeline at a moment."""
    here = spans.filter(_.entered_at < moment, _.left_at.isnull() | (_.left_at >= moment), _.member)
    table = here.group_by("group").agg(n=_.count(), minor=_.amount.sum(), n_blank=_.blank.sum()).execute()
    return table.fillna({"group": crm.NOT_KNOWN})


def _slip_moment(frame: periods.Period, params: Params, book: crm.Book) -> dt.datetime:
    """From when on leaving the span is slipping: day `slip_from` of ninety, counted back from the span's end."""
    length = (frame.last_on - frame.first_on).days + 1
    back = NINETY - params.slip_from
    days = back if params.span == "quarter" else round(back * length / NINETY)
    return periods.start_of(periods.days_after(frame.last_on, -days), book.time_zone)


def _moves(spans: ibis.Table, start: dt.datetime, end: dt.datetime, slip: dt.datetime) -> ibis.Table:
    """One row per deal that changed: the gross sum of each movement, in minor units, all above zero as a rule."""
    moved = spans.filter(_.entered_at >= start, _.entered_at < end)
    before, now, was, amount = moved.was_member.fill_null(False), moved.member, moved.was_amount, moved.amount
    new, open_before = moved.was_kind.isnull(), moved.was_kind == OPEN
    still = moved.kind == OPEN
    inward = now & ~before & ~new
    change = amount - was.coalesce(amount)
    changes = (before & (now | ~still)) | inward
    by_date = before & ~now & still
    late = moved.entered_at >= slip
    sums = {
        "created": (now & new, amount),
        "pulled_in": (inward & open_before, was),
        "reopened": (inward & ~open_before, was),
        "increased": (changes & (change > 0), change),
        "decreased": (changes & (change < 0), -change),
        "won": (before & (moved.kind == WON), amount),
        "lost": (before & (moved.kind == LOST), amount),
        "slipped": (by_date & late, was),
        "pushed_out": (by_date & ~late, was),
    }
    values = {name: ibis.ifelse(when, value, 0) for name, (when, value) in sums.items()}
    marks = {f"n_{name}": when.fill_null(False) for name, (when, _value) in sums.items()}
    flat = moved.select("deal_id", "group", **values, **marks)
    return flat.group_by("deal_id", "group").agg(
        **{name: flat[name].sum().coalesce(0) for name in sums},
        **{f"n_{name}": flat[f"n_{name}"].any() for name in sums},
    )


def _netted(deals: ibis.Table) -> ibis.Table:
    """What cancels itself in one deal is taken out, what goes out is negative; `n_...`: whether a deal counts there."""
    pairs = [("pulled_in", "pushed_out"), ("pulled_in", "slipped"), ("increased", "decreased"), ("reopened", "lost"),
             ("reopened", "won")]  # fmt: skip
    for into, out in pairs:
        both = ibis.greatest(ibis.least(deals[into], deals[out]), 0)
        blank = deals[f"n_{into}"] & deals[f"n_{out}"] & (deals[into] == 0) & (deals[out] == 0)
        deals = deals.mutate(**{
            into: deals[into] - both, out: deals[out] - both,
            f"n_{into}": deals[f"n_{into}"] & ~blank & ((deals[into] != both) | (deals[into] == 0)),
            f"n_{out}": deals[f"n_{out}"] & ~blank & ((deals[out] != both) | (deals[out] == 0)),
        })  # fmt: skip
    return deals.mutate(**{name: -deals[name] for name in OUT})


def _summed(deals: ibis.Table) -> pd.DataFrame:
    """By group, the sum of each movement and how many deals are in it."""
    table = deals.group_by("group").agg(
        **{name: deals[name].sum() for name in MOVEMENTS},
        **{f"n_{name}": deals[f"n_{name}"].sum() for name in MOVEMENTS},
    )
    return table.execute().fillna({"group": crm.NOT_KNOWN})


def _total(ends: list[pd.DataFrame], totals: pd.DataFrame) -> pd.DataFrame:
    rows = [("opening", int(ends[0]["n"].sum()), int(ends[0]["minor"].sum()))]
    rows += [(name, int(totals[f"n_{name}"].sum()), int(totals[name].sum())) for name in MOVEMENTS]
    rows.append(("closing", int(ends[1]["n"].sum()), int(ends[1]["minor"].sum())))
    return pd.DataFrame(rows, columns=["movement", "n", "minor"])


def _groups(ends: list[pd.DataFrame], totals: pd.DataFrame, units: float) -> pd.DataFrame:
    """One row per group, the largest opening or closing first."""
    sides = [
        part.set_index("group")["minor"].rename(name) for part, name in zip(ends, ("opening", "closing"), strict=True)
    ]
    table = pd.concat([sides[0], totals.set_index("group")[list(MOVEMENTS)], sides[1]], axis=1).fillna(0)
    table = table.rename_axis("group").reset_index()
    largest = table[["opening", "closing"]].max(axis=1)
    table = table.assign(largest=largest).sort_values(["largest", "group"], ascending=[False, True], kind="stable")
    table = table.drop(columns="largest").reset_index(drop=True)
    return table.assign(**{name: table[name].astype("float64") / units for name in table if name != "group"})


def _listed(book: crm.Book, deals: ibis.Table, n: int) -> pd.DataFrame:
    """The largest movements of single deals."""
    long = deals.select("deal_id", *MOVEMENTS).pivot_longer(list(MOVEMENTS), names_to="movement", values_to="minor")
    long = long.filter(_.minor != 0).order_by(ibis.desc(_.minor.abs()), "deal_id", "movement").limit(n)
    names = book.deals.select("deal_id", "name", "account_id")
    accounts = book.accounts.select("account_id", account=_.name)
    table = long.left_join(names, "deal_id").drop("deal_id_right").left_join(accounts, "account_id").execute()
    table = table.assign(size=table["minor"].abs())
    table = table.sort_values(["size", "deal_id", "movement"], ascending=[False, True, True], kind="stable")
    table = table.assign(amount=table["minor"] / book.minor_units)
    return table[["deal_id", "name", "account", "movement", "amount"]].reset_index(drop=True)


def _landed(book: crm.Book, params: Params, start: dt.datetime, end: dt.datetime) -> tuple[int, float, int, float]:
    """Of the deals won between the days and still so: those created in between, and all; deals, amount."""
    won = part_of(book, params).filter(_.status == WON, _.closed_at >= start, _.closed_at < end)
    rows = won.mutate(inside=(_.created_at >= start).fill_null(False))
    table = (
        rows.group_by("inside").agg(n=_.count(), minor=_.amount_minor.sum().coalesce(0)).execute().set_index("inside")
    )
    inside = table.loc[True] if True in table.index else {"n": 0, "minor": 0}
    n, minor = int(np.sum(table["n"])), int(np.sum(table["minor"]))
    return int(inside["n"]), int(inside["minor"]) / book.minor_units, n, minor / book.minor_units
