"""What deals can be split by, wherever the source keeps it: on the deal, its account or its rep."""

import ibis

from salesops.crm.book import Book

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
        return deals.mutate(group=ibis.literal("all"))
    places = []
    if dimension in deals.columns:
        places.append(deals[dimension])
    if dimension in ON_ACCOUNT and book.has("accounts"):
        accounts = book.accounts.select("account_id", from_account=book.accounts[dimension])
        deals = deals.left_join(accounts, "account_id").drop("account_id_right")
        places = [deals[place.get_name()] for place in places] + [deals.from_account]
    if dimension in ON_REP and book.has("reps"):
        reps = book.reps.select("rep_id", from_rep=book.reps[dimension])
        deals = deals.left_join(reps, "rep_id").drop("rep_id_right")
        places = [deals[place.get_name()] for place in places] + [deals.from_rep]
    if not places or not deals.filter(ibis.coalesce(*places).notnull()).limit(1).count().execute():
        raise ValueError(f"segment_by {dimension}: the source has no value of it on deals, accounts or reps")
    grouped = deals.mutate(group=ibis.coalesce(*places))
    return grouped.drop(*[name for name in ("from_account", "from_rep") if name in grouped.columns])
