"""The same figures as other systems would print them, from the same deals, without any convention of this page.

The definitions are those the vendors document; what differs from ours is said beside each figure.
"""

from typing import NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm
from salesops.funnel.cohorts import LOST, OPEN, WON, Scope, bounds


class Figure(NamedTuple):
    """A share as a system prints it: `yes` of `of`, counted in deals or in money (whole units)."""

    yes: float
    of: float
    unit: str = "deals"

    @property
    def share(self) -> float | None:
        return self.yes / self.of if self.of else None


class Parity(NamedTuple):
    """win : system -> Figure, its win rate. steps : step, and for each rule the Figure of its conversion, or None."""

    win: dict[str, Figure]
    steps: pd.DataFrame


def measure(book: crm.Book, scope: Scope, paths: ibis.Table) -> Parity:
    """Win rates and conversions of the months by the definitions of other systems."""
    return Parity(_win(book, scope), _steps(book, scope, paths) if any(scope.stages) else pd.DataFrame())


def _win(book: crm.Book, scope: Scope) -> dict[str, Figure]:
    low, high = bounds(scope.cohorts["now"], book)
    deals = book.deals.filter(_.pipeline == scope.pipeline)
    first, last = (ibis.literal(day) for day in scope.cohorts["now"][1:])
    moved = ((deals.closed_at >= low) & (deals.closed_at < high)).fill_null(False)
    entered = deals.expected_close_on.cast("date")
    dated = ibis.ifelse(entered.notnull(), entered.between(first, last), moved).fill_null(False)
    created = ((deals.created_at >= low) & (deals.created_at < high)).fill_null(False)
    won, lost = deals.status == WON, deals.status == LOST
    real = (deals.amount_minor > 0).fill_null(False)
    if scope.rules.accepted_stage > 1:
        reached = book.own_visits.filter(_.position >= scope.rules.accepted_stage, _.kind != LOST)
        real = real & deals.deal_id.isin(reached.deal_id)
    amount = deals.amount_minor.cast("float64")
    row = deals.agg(
        won=(won & moved).sum(), lost=(lost & moved).sum(),
        won_dated=(won & dated).sum(), lost_dated=(lost & dated).sum(),
        won_real=(won & dated & real).sum(), lost_real=(lost & moved & real).sum(),
        created=created.sum(), created_won=(created & won).sum(),
        won_amount=amount.sum(where=won & dated), lost_amount=amount.sum(where=lost & dated),
    ).execute().fillna(0).iloc[0]  # fmt: skip
    money = [row["won_amount"] / book.minor_units, row["lost_amount"] / book.minor_units]
    return {
        "hubspot": Figure(row["won"], row["won"] + row["lost"]),
        "salesforce": Figure(row["won_dated"], row["won_dated"] + row["lost_dated"]),
        "atrium": Figure(row["won_real"], row["won_real"] + row["lost_real"]),
        "close": Figure(row["won"], row["won"] + row["lost"]),
        "varicent": Figure(row["created_won"], row["created"]),
        "dbt_salesforce": Figure(money[0], sum(money), "money"),
    }


def _steps(book: crm.Book, scope: Scope, paths: ibis.Table) -> pd.DataFrame:
    """step and a Figure for hubspot_next, hubspot_cumulative, atrium_next, atrium_won, gitlab."""
    n = len(scope.stages)
    now = paths.filter(_.cohort == "now")
    sums = {f"own{k}": now[f"own{k}"].sum() for k in range(n)} | {f"r{k}": now[f"r{k}"].count() for k in range(n + 1)}
    row = now.agg(**sums).execute().fillna(0).iloc[0]
    ever = [*(row[f"own{k}"] for k in range(n)), row[f"r{n}"]]
    left = _left(book, scope)
    closed = _closed(book, scope)
    found = []
    for k in range(n):
        found.append({
            "step": k,
            "hubspot_next": Figure(ever[k + 1], ever[k]),
            "hubspot_cumulative": Figure(ever[k + 1], ever[0]),
            "atrium_next": Figure(*left.get(k, (0, 0))),
            "atrium_won": Figure(*closed.get(k, (0, 0))),
            "gitlab": Figure(row[f"r{k + 1}"], row[f"r{k}"]),
        })  # fmt: skip
    return pd.DataFrame(found)


def _left(book: crm.Book, scope: Scope) -> dict[int, tuple[int, int]]:
    """step -> (went further, went further or was lost) of the visits that ended in the months."""
    low, high = bounds(scope.cohorts["now"], book)
    visits = book.visits.filter(_.pipeline == scope.pipeline)
    order = ibis.window(group_by=visits.deal_id, order_by=visits.seq)
    visits = visits.mutate(to=visits.position.lead().over(order), to_kind=visits.kind.lead().over(order))
    visits = visits.filter(_.kind == OPEN, _.left_at >= low, _.left_at < high, _.position.notnull())
    further = (visits.to_kind == WON) | ((visits.to_kind == OPEN) & (visits.to > visits.position))
    table = visits.group_by(step=visits.position - scope.rules.accepted_stage).agg(
        further=further.sum(), lost=(visits.to_kind == LOST).sum()
    )
    return {int(row.step): (row.further, row.further + row.lost) for row in table.execute().itertuples()}


def _closed(book: crm.Book, scope: Scope) -> dict[int, tuple[int, int]]:
    """step -> (won, closed) of the deals closed in the months that were ever in the stage."""
    low, high = bounds(scope.cohorts["now"], book)
    deals = book.deals.filter(_.pipeline == scope.pipeline, _.closed_at >= low, _.closed_at < high)
    visits = book.own_visits.filter(_.kind == OPEN, _.position.notnull()).select("deal_id", "position").distinct()
    seen = visits.join(deals.select("deal_id", "status"), "deal_id")
    table = seen.group_by(step=seen.position - scope.rules.accepted_stage).agg(
        won=(seen.status == WON).sum(), n=seen.count()
    )
    return {int(row.step): (row.won, row.n) for row in table.execute().itertuples()}
