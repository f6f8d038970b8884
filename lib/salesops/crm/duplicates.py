"""Open deals that are written down twice: of one account, with names that are alike.

Accounts are one if they have the same id, or names that are the same without case, signs and legal form. The engine
finds the accounts with more than one open deal; only their deals are compared.
"""

import re
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _
from rapidfuzz import fuzz, process, utils
from scipy.sparse.csgraph import connected_components

from salesops.crm.book import Book

MOST = 3_000  # open deals of one account that are compared with each other
FORMS = "ltd inc corp co llc llp plc gmbh ag kg sa sas sarl srl bv nv ab as oy oyj spa ооо оао зао пао ао ип нко"
SAME = {"limited": "ltd", "incorporated": "inc", "corporation": "corp", "company": "co"}
LEGAL = {form: form for form in FORMS.split()} | SAME
# What tells two deals apart however alike their names are: numbers, single letters, Roman numerals.
APART = re.compile(r"\d+|\b\w\b|\b[ivx]+\b")


class Copies(NamedTuple):
    """of: deal -> the deal created first among those it is a copy of; n_left_out: deals of accounts with too many."""

    of: dict[str, str]
    n_left_out: int


def find(book: Book, similarity: int) -> Copies:
    """The open deals that are copies of an older one, at the end of the book's day.

    Parameters
    ----------
    similarity : 0 to 100; names as alike as this by their sorted words are the same.

    References
    ----------
    Winkler (2006), Overview of record linkage and current research directions: compare within blocks, then join the
    pairs that agree; the likeness is rapidfuzz's normalised indel similarity of the sorted words.
    """
    rows = _candidates(book)
    of, n_left_out = {}, 0
    for _block, part in rows.groupby("block", sort=True):
        if len(part) > MOST:
            n_left_out += len(part)
            continue
        names = part["name"].tolist()
        alike = process.cdist(
            names, names, scorer=fuzz.token_sort_ratio, processor=utils.default_process, score_cutoff=similarity
        )
        # "Renewal 2025" and "Renewal 2026" are alike, and two deals; so are those of Acme Inc and Acme GmbH.
        apart = part["pipeline"] + "\0" + part["name"].map(_apart)
        same = _equal(apart) & (_equal(part["account_id"]) | _equal(part["form"]) | _blank(part["form"]))
        same &= part["name"].map(lambda name: bool(utils.default_process(name))).to_numpy()[:, None]
        _n, label = connected_components(np.triu((alike >= similarity) & same, 1), directed=False)
        ids = part["deal_id"].to_numpy()
        for group in np.unique(label):
            first, *later = ids[label == group]  # the rows are in order of their creation
            of |= dict.fromkeys(later, first)
    return Copies(of, n_left_out)


def _apart(name: str) -> str:
    return " ".join(sorted(APART.findall(utils.default_process(name))))


def _equal(column: pd.Series) -> np.ndarray:
    values = column.to_numpy()
    return values[:, None] == values[None, :]


def _blank(column: pd.Series) -> np.ndarray:
    """Whether one of two is blank."""
    blank = (column == "").to_numpy()
    return blank[:, None] | blank[None, :]


def _candidates(book: Book) -> pd.DataFrame:
    """block, deal_id, name, pipeline, account_id, form of the open deals of accounts with several, oldest first."""
    deals = book.deals.filter(_.status == "open", _.account_id.notnull(), _.name.notnull())
    deals = deals.select("deal_id", "name", "account_id", "created_at", pipeline=_.pipeline.coalesce(""))
    accounts = book.accounts.select("account_id", written=_.name)
    named = deals.left_join(accounts, "account_id").drop("account_id_right")
    plain = ibis.literal(" ") + named.written.lower().re_replace(r"[^\p{L}\p{N}]+", " ") + " "
    stripped = plain.re_replace(rf"( ({'|'.join(LEGAL)}))+ ", " ").strip()
    form = plain.re_extract(rf" ({'|'.join(LEGAL)}) ", 1)
    named = named.mutate(block=stripped.nullif("").coalesce(named.account_id), form=form.fill_null(""))
    several = named.group_by("block").agg(n=_.count()).filter(_.n > 1)
    rows = named.semi_join(several, "block").order_by("block", ibis.asc("created_at", nulls_first=True), "deal_id")
    found = rows.select("block", "deal_id", "name", "pipeline", "account_id", "form").execute()
    return found.assign(form=found["form"].map(lambda form: LEGAL.get(form, "")))
