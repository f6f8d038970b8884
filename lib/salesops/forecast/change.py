"""What changed since an earlier forecast of the same quarter, by deal and cause; the parts sum to the change."""

from typing import NamedTuple

import pandas as pd

from salesops.forecast.record import Made

CAUSES = ("won", "lost", "undone", "new", "amount", "stage", "judged", "to_come")


class Change(NamedTuple):
    """before, now : the two forecasts. causes : cause, n (deals), amount; in the order of `CAUSES`.
    deals : deal_id, cause, amount; a deal has a row for each of its causes."""

    before: Made
    now: Made
    causes: pd.DataFrame
    deals: pd.DataFrame


def compare(before: Made, now: Made, booked_before: pd.Series, booked_now: pd.Series) -> Change:
    """The bridge between two forecasts of one quarter.

    Parameters
    ----------
    booked_before, booked_now : amount (whole units) by deal_id of what was booked in the quarter at both times.

    What a deal was expected to bring is its chance times its amount, or what it was booked with. A deal that was won
    brings the difference, one that was lost loses what was expected, one booked before and open again is undone; a deal
    that was not there is new. Of one that is still open first the amount changes, at the old chance, then the chance:
    by its stage, if that changed, else by what else is known of it and how chances are judged now. What is expected of
    deals to come is a part of its own.
    """
    sides = []
    for one, booked in ((before, booked_before), (now, booked_now)):
        here = one.deals.set_index("deal_id")[["p", "expected", "stage"]]
        sides.append(here.join(booked.rename("booked"), how="outer"))
    both = sides[0].join(sides[1], how="outer", suffixes=("_old", "_new"))
    was = both["p_old"] * both["expected_old"]
    is_ = both["p_new"] * both["expected_new"]
    won, was_won = both["booked_new"].notna(), both["booked_old"].notna()
    there, here = both["p_old"].notna(), both["p_new"].notna()
    kept = there & here & ~won & ~was_won
    by_chance = (both["expected_new"] * (both["p_new"] - both["p_old"])).where(kept)
    moved = both["stage_new"] != both["stage_old"]
    by_amount = (both["p_old"] * (both["expected_new"] - both["expected_old"])).where(kept)
    parts = {
        "won": (both["booked_new"] - was.fillna(0.0)).where(won & ~was_won),
        "lost": -was.where(there & ~here & ~won & ~was_won),
        "undone": (is_.fillna(0.0) - both["booked_old"]).where(was_won & ~won),
        "new": is_.where(here & ~there & ~was_won & ~won),
        "amount": by_amount.fillna((both["booked_new"] - both["booked_old"]).where(won & was_won)),
        "stage": by_chance.where(moved),
        "judged": by_chance.where(~moved),
    }
    rows = [part.dropna().rename("amount").reset_index().assign(cause=cause) for cause, part in parts.items()]
    deals = pd.concat(rows, ignore_index=True)[["deal_id", "cause", "amount"]]
    deals = deals[deals["amount"] != 0].reset_index(drop=True)
    table = deals.groupby("cause")["amount"].agg(["count", "sum"]).reindex(CAUSES).fillna(0)
    to_come = [float(one.part.unborn[:, 0] @ one.part.unborn[:, 1]) for one in (before, now)]
    table.loc["to_come", "sum"] = to_come[1] - to_come[0]
    table = table.rename(columns={"count": "n", "sum": "amount"}).reset_index().astype({"n": "int64"})
    return Change(before, now, table, deals)
