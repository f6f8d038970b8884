"""Why deals are lost: reasons by count and by value, and the stage they are lost from."""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, stats
from salesops.funnel.cohorts import LOST, OPEN, Scope, closed_within

MOST_REASONS = 10


class Losses(NamedTuple):
    """Deals lost in the months.

    reasons : reason, n, share (Estimate of those with a reason), amount, stage (lost from most often), n_stage; the
        most frequent ten. n_other : how many have a rarer reason.
    n, n_without : all lost deals, and those without a reason. amount : of all.
    asked : whether the source has reasons at all.
    """

    reasons: pd.DataFrame
    n: int
    n_without: int
    n_other: int
    amount: float
    asked: bool


def measure(book: crm.Book, scope: Scope, base: ibis.Table) -> Losses:
    """The reasons of the deals lost in the months."""
    deals = base.filter(_.status == LOST, _.closed_at.notnull())
    deals = deals.filter(closed_within(deals, book, scope) == "now")
    visits = book.own_visits.semi_join(deals, "deal_id").filter(_.kind == OPEN)
    last = visits.group_by("deal_id").agg(stage=_.stage.argmax(_.seq))
    rows = deals.select("deal_id", "amount_minor", reason=_.lost_reason.strip().nullif(""))
    rows = rows.left_join(last, "deal_id").drop("deal_id_right")
    counted = rows.group_by("reason", "stage").agg(
        n=_.count(), minor=_.amount_minor.sum(), n_amount=_.amount_minor.count()
    )
    table = counted.order_by(ibis.desc("n"), "reason", "stage").execute()
    known = table[table["reason"].notna()]
    n_known, n = int(known["n"].sum()), int(table["n"].sum())
    found = []
    for reason, part in known.groupby("reason", sort=True):
        top = part[part["stage"].notna()].head(1)
        amount = float(part["minor"].fillna(0).sum()) / book.minor_units if part["n_amount"].sum() else np.nan
        share = stats.wilson(int(part["n"].sum()), n_known) if n_known >= scope.min_deals else None
        stage = (top["stage"].item(), int(top["n"].item())) if len(top) else (None, 0)
        found.append((reason, int(part["n"].sum()), share, amount, *stage))
    reasons = pd.DataFrame(found, columns=["reason", "n", "share", "amount", "stage", "n_stage"])
    reasons = reasons.sort_values(["n", "reason"], ascending=[False, True], kind="stable", ignore_index=True)
    total = float(table["minor"].fillna(0).sum()) / book.minor_units if table["n_amount"].sum() else np.nan
    shown = reasons.head(MOST_REASONS)
    return Losses(
        shown, n, n - n_known, n_known - int(shown["n"].sum()), total, "lost_reason" in book.about["filled"]["deals"]
    )
