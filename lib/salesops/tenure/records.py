"""Who left, by each of the records that a source keeps of it: flags, the log of cancellations, last days of
contracts."""

from typing import NamedTuple

import ibis
import pandas as pd
from ibis import _

from salesops import crm

RECORDS = ("flag", "log", "end")


class Disagreements(NamedTuple):
    """kept : the records that the source keeps. n : accounts with contracts. left : record -> accounts that left by it.
    table : one row for each combination that occurs: flag, log, end (bool; those kept), n, amount (a month, of all
    their contracts; minor units)."""

    kept: tuple[str, ...]
    n: int
    left: dict[str, int]
    table: pd.DataFrame

    @property
    def n_disputed(self) -> int:
        """Accounts of which the records do not say the same."""
        return int(self.table.loc[self._disputed, "n"].sum()) if len(self.kept) > 1 else 0

    @property
    def amount_disputed(self) -> int:
        return int(self.table.loc[self._disputed, "amount"].sum()) if len(self.kept) > 1 else 0

    @property
    def n_agreed(self) -> int:
        """Accounts that left by every record."""
        return int(self.table.loc[self.table[list(self.kept)].all(axis=1), "n"].sum()) if self.kept else 0

    @property
    def _disputed(self) -> pd.Series:
        return self.table[list(self.kept)].nunique(axis=1) > 1


def disagreements(book: crm.Book) -> Disagreements:
    """Accounts with contracts, by which record says that they have left.

    By flag: the account is flagged as churned, or, where accounts have no flag, all its contracts as ended. By the log:
    it was cancelled, and no contract began since. By the end: all its contracts have a last day that has passed.
    """
    contracts = book.subscriptions.filter(_.account_id.notnull())
    filled = book.about["filled"]
    flags = "accounts" if "status" in filled["accounts"] else "contracts" if "status" in filled["subscriptions"] else ""
    if not book.complete:
        flags = ""  # a flag is that of the last day
    kept = [name for name, there in (("flag", bool(flags)), ("log", book.has("cancellations")),
                                     ("end", "ended_on" in filled["subscriptions"])) if there]  # fmt: skip
    rows = contracts.group_by("account_id").agg(
        ended=_.ended_on.notnull().all(), flagged=(_.status == "ended").fill_null(False).all(),
        began=_.started_on.max(), amount=_.amount_minor.sum().fill_null(0),
    )  # fmt: skip
    if flags == "accounts":
        marked = book.accounts.select("account_id", own=_.status == "churned")
        rows = rows.left_join(marked, "account_id").drop("account_id_right")
        rows = rows.mutate(flagged=rows.own.fill_null(False)).drop("own")
    logged = book.cancellations.group_by("account_id").agg(cancelled_on=_.cancelled_on.max())
    rows = rows.left_join(logged, "account_id")
    since = rows.began.isnull() | (rows.began <= rows.cancelled_on)
    rows = rows.mutate(flag=rows.flagged, log=rows.cancelled_on.notnull() & since.fill_null(False), end=rows.ended)
    keys = kept or ["end"]
    table = rows.group_by(keys).agg(n=_.count(), amount=_.amount.sum()).order_by(keys).execute()
    table = table.astype(dict.fromkeys(keys, "bool") | {"n": "int64", "amount": "int64"})
    left = {name: int(table.loc[table[name], "n"].sum()) for name in kept}
    return Disagreements(tuple(kept), int(table["n"].sum()), left, table)


def spells(book: crm.Book, by: str) -> tuple[pd.DataFrame, str, int]:
    """group, age (whole months), ended, n, amount (a month; minor units); where tenures are from (days or months); and
    contracts left out because it is not known when they ended, or how long they have lasted.

    Raises
    ------
    ValueError
        If no contract has a first day or a tenure, or no value of `by`.
    """
    rows = book.subscriptions
    days = "started_on" in book.about["filled"]["subscriptions"]
    if by == "none":
        rows = rows.mutate(group=ibis.literal(crm.ALL))
    elif by == "plan":
        rows = rows.mutate(group=rows.plan)
    else:
        groups = book.accounts.select("account_id", group=book.accounts[by])
        rows = rows.left_join(groups, "account_id").drop("account_id_right")
    if days:
        last = rows.ended_on.fill_null(ibis.literal(book.as_of))
        lasted = (last.epoch_seconds() - rows.started_on.epoch_seconds()) // 86_400 + 1
        # The engine's month is the mean one; a contract of a day has lasted no whole month.
        age = (lasted * 10_000 // 304_375).cast("int64")
        undated = (rows.status == "ended").fill_null(False) & rows.ended_on.isnull()
        known = rows.started_on.notnull() & ~undated & (lasted >= 0)
        ended = rows.ended_on.notnull()
    else:
        age, ended = rows.tenure_months.floor().cast("int64"), (rows.status == "ended").fill_null(False)
        known = rows.tenure_months.notnull() & (rows.tenure_months >= 0)
    rows = rows.mutate(age=age, ended=ended, known=known)
    counts = (
        rows.filter(_.known)
        .group_by("group", "age", "ended")
        .agg(n=_.count(), amount=_.amount_minor.sum().fill_null(0))
    )
    table = counts.execute()
    n_all = int(rows.count().execute())
    if table.empty:
        raise ValueError("no contract has a first day, or says how long it has lasted")
    if by != "none" and table["group"].isna().all():
        raise ValueError(f"split_by {by}: the source has no value of it")
    table["group"] = table["group"].fillna(crm.NOT_KNOWN)
    table = table.sort_values(["group", "age", "ended"], ignore_index=True)
    return table, "days" if days else "months", n_all - int(table["n"].sum())
