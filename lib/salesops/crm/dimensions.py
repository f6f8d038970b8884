"""What deals can be split by, wherever the source keeps it: on the deal, its account or its rep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from salesops.crm.book import Book

ALL = ""  # the group of deals that are not split; no deal can have it as a value
ON_ACCOUNT = ("segment", "industry", "region", "country")
ON_REP = ("region", "team")


def with_group(book: Book, deals: ibis.Table, dimension: str) -> ibis.Table:
    """`deals` with a text column `group`: the first of the deal's own value, its account's, its rep's.

    Missing where none of them has it.

    Raises
    ------
    ValueError
        If no table of the book has any value of this dimension.
    """
    if dimension == "none":
        return deals.mutate(group=ibis.literal(ALL))
    places, filled = [], book.about["filled"]
    if dimension in filled["deals"]:
        places.append("own")
        deals = deals.mutate(own=deals[dimension])
    if dimension in ON_ACCOUNT and dimension in filled["accounts"]:
        places.append("from_account")
        accounts = book.accounts.select("account_id", from_account=book.accounts[dimension])
        deals = deals.left_join(accounts, "account_id").drop("account_id_right")
    if dimension in ON_REP and dimension in filled["reps"]:
        places.append("from_rep")
        reps = book.reps.select("rep_id", from_rep=book.reps[dimension])
        deals = deals.left_join(reps, "rep_id").drop("rep_id_right")
    if not places:
        raise ValueError(f"segment_by {dimension}: the source has no value of it on deals, accounts or reps")
    return deals.mutate(group=ibis.coalesce(*(deals[place] for place in places))).drop(*places)
