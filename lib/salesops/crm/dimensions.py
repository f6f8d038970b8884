"""What deals can be split by, wherever the source keeps it: on the deal, its account or its rep.

The rep of a closed deal is its owner at the close, with the team and region of that day; of an open one its owner now
(`owners`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from salesops.crm.tables import DIMENSIONS

if TYPE_CHECKING:
    from salesops.crm.book import Book

ALL = ""  # the group of deals that are not split; no deal can have it as a value
NOT_KNOWN = "\0"  # the group of those for which the source has no value; no value can be this
ON_ACCOUNT = ("segment", "industry", "region", "country")
ON_REP = ("region", "team")


def known_dimensions(book: Book) -> list[str]:
    """The dimensions of which the source has any value."""
    return [one for one in DIMENSIONS if one != "none" and _places(book, one)]


def _places(book: Book, dimension: str) -> list[str]:
    """The tables that have a dimension, the first that has a value of a deal counts."""
    filled = book.about["filled"]
    if dimension == "rep":
        return ["deals"] if "rep_id" in filled["deals"] else []
    if dimension == "size":
        return ["deals"] if "amount_minor" in filled["deals"] else []
    places = ["deals"] if dimension in filled["deals"] else []
    places += ["accounts"] if dimension in ON_ACCOUNT and dimension in filled["accounts"] else []
    return places + (["reps"] if dimension in ON_REP and dimension in filled["reps"] else [])


def with_dimensions(book: Book, deals: ibis.Table, dimensions: Sequence[str], *, sizes: Sequence[float] = ()):
    """`deals` with a text column `by_<dimension>` for each: the deal's own value, else its account's, else its rep's.

    Parameters
    ----------
    deals : any table with the columns of `book.deals`. Where it has `rep_team` too, the reps are those that it says
        (`crm.with_owner`); else those who are credited (`book.credited`).
    sizes : amounts, rising, that part deals by `size` into bands 0, 1, ...: below the first, from it on, ...

    Missing where none of the places has it. A rep is called by name, with the id where two have one name, or by id
    alone.

    Raises
    ------
    ValueError
        If no table of the book has any value of a dimension.
    """
    wanted = [one for one in dimensions if one != "none"]
    places = {one: _places(book, one) for one in wanted}
    if missing := [one for one, where in places.items() if not where]:
        has = ", ".join([*known_dimensions(book), "none"])
        raise ValueError(
            f"segment_by {missing[0]}: the source has no value of it on deals, accounts or reps; allowed: {has}"
        )
    found = {one: [deals[one]] for one in wanted if "deals" in places[one] and one not in ("rep", "size")}
    from_accounts = [one for one in wanted if "accounts" in places[one]]
    from_reps = [one for one in wanted if "reps" in places[one]] + (["name"] if "rep" in wanted else [])
    joined = deals
    if from_accounts:
        accounts = book.accounts.select("account_id", **{f"account_{one}": book.accounts[one] for one in from_accounts})
        joined = joined.left_join(accounts, "account_id").drop("account_id_right")
    if from_reps:
        joined = _with_reps(book, joined, from_reps)
    columns = {}
    for one in wanted:
        if one == "size":
            columns["by_size"] = _band(joined.amount_minor, [round(edge * book.minor_units) for edge in sizes])
        elif one == "rep":
            columns["by_rep"] = ibis.coalesce(joined.of_rep_name, joined.of_rep_id)
        else:
            values = [joined[one]] if one in found else []
            values += [joined[f"account_{one}"]] if one in from_accounts else []
            values += [joined[f"of_rep_{one}"]] if one in from_reps else []
            columns[f"by_{one}"] = ibis.coalesce(*values)
    if "none" in dimensions:
        columns["by_none"] = ibis.literal(ALL)
    made = joined.mutate(**columns)
    return made.select(*deals.columns, *columns)


def _with_reps(book: Book, deals: ibis.Table, wanted: Sequence[str]) -> ibis.Table:
    """`deals` with `of_rep_id` and, for each wanted, `of_rep_name`, `of_rep_team`, `of_rep_region` of their reps."""
    facts = {f"of_rep_{one}": f"rep_{one}" for one in wanted if one != "name"}
    if "rep_team" in deals.columns:
        placed = deals.mutate(of_rep_id=deals.rep_id, **{name: deals[fact] for name, fact in facts.items()})
    else:
        credited = book.credited
        of = credited.select("deal_id", of_rep_id="rep_id", **{name: credited[fact] for name, fact in facts.items()})
        placed = deals.left_join(of, "deal_id").drop("deal_id_right")
    if "name" not in wanted:
        return placed
    reps = book.reps.select("rep_id", "name")
    namesakes = reps.count().over(ibis.window(group_by=reps.name))
    named = ibis.ifelse(namesakes > 1, reps.name + " (" + reps.rep_id + ")", reps.name)
    reps = reps.select(of_rep_id=reps.rep_id, of_rep_name=named)
    return placed.left_join(reps, "of_rep_id").drop("of_rep_id_right")


def _band(amount: ibis.Column, edges: Sequence[int]) -> ibis.Column:
    band = ibis.literal(0)
    for edge in edges:
        band = band + (amount >= edge).cast("int64")
    return ibis.ifelse(amount.isnull(), ibis.null("string"), band.cast("string"))


def with_group(book: Book, deals: ibis.Table, dimension: str, *, sizes: Sequence[float] = ()) -> ibis.Table:
    """`deals` with one dimension as the text column `group`; see `with_dimensions`."""
    made = with_dimensions(book, deals, [dimension], sizes=sizes)
    return made.rename(group=f"by_{dimension}")
