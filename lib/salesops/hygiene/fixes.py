"""What to mend: one row per deal, rule and field, with what stands there and, where the book itself knows it, what
should stand there. Nothing is guessed: where no other table holds the answer, the cell is left to the rep.
"""

import ibis
import pandas as pd
from ibis import _

from salesops import crm
from salesops.crm.rules import BLANK
from salesops.crm.tables import AS_GIVEN
from salesops.hygiene.params import Params

FIELD = {  # rule -> the field of deals that mends it; blank where something is to be done, not written
    "close_past": "expected_close_on",
    "no_next_step": "next_step",
    "untouched": "",
    "no_amount": "amount",
    "pushed": "expected_close_on",
    "probability_unlike": "probability",
    "owner_gone": "rep_id",
    "duplicate": "",
    "no_reason": "lost_reason",
    "won_before_created": "created_at",
    "skipped": "",
    "missing": "",  # the fields themselves
}


MONEY = ("amount", "list_amount")


def listed(book: crm.Book, params: Params, rows: ibis.Table, *, most: int | None) -> pd.DataFrame:
    """What to mend, the deals with the greatest weight first, then the largest amount.

    Amounts that were converted, or are shown with other VAT than the source's, are no values to write back: they have
    no field then.

    Parameters
    ----------
    rows : of `rules.facts`, weighed.
    most : how many deals; None is all.

    Returns
    -------
    DataFrame
        deal_id, name, rep_id, rep, team, stage, status, amount, weight, rule, field, before, after (None where a
        person has to say it), copy_of.
    """
    asked = [rule for rule in params.weights if rule in rows.columns]
    as_given = not book.about["converted"] and params.vat == AS_GIVEN  # else an amount is not what the CRM holds
    order = [ibis.desc("lost"), ibis.desc(_.amount_minor.coalesce(0)), ibis.asc("deal_id")]
    worst = _with_answers(book, rows.filter(rows.lost > 0)).order_by(*order)
    frame = (worst.limit(most) if most else worst).execute()
    people = book.reps.select("rep_id", "name", "team").execute().drop_duplicates("rep_id").set_index("rep_id")
    found = []
    for deal in frame.to_dict("records"):
        for rule in asked:
            if deal[rule] is True or deal[rule] == 1:
                for field in _blanks(deal) if rule == "missing" else [FIELD[rule]]:
                    field = "" if field in MONEY and not as_given else field
                    found.append(_row(deal, rule, field, people, book.minor_units))
    columns = ["deal_id", "name", "rep_id", "rep", "team", "stage", "status", "amount", "weight", "rule", "field",
               "before", "after", "copy_of"]  # fmt: skip
    return pd.DataFrame(found, columns=columns)


def _blanks(deal: dict) -> list[str]:
    """The required fields that are blank on a deal."""
    return [name.removeprefix(BLANK) for name, is_blank in deal.items() if name.startswith(BLANK) and is_blank]


def _row(deal: dict, rule: str, field: str, people: pd.DataFrame, minor_units: int) -> dict:
    rep = deal["rep_id"] if isinstance(deal["rep_id"], str) else ""
    known = people.loc[rep] if rep in people.index else {"name": "", "team": ""}
    plain = {name: None if _none(deal[name]) else deal[name] for name in deal}
    amount = None if plain["amount_minor"] is None else int(plain["amount_minor"]) / minor_units
    return {
        "deal_id": deal["deal_id"],
        "name": plain["name"] or "",
        "rep_id": rep,
        "rep": known["name"] or rep,
        "team": known["team"] or "",
        "stage": plain["stage"] or "",
        "status": deal["status"],
        "amount": amount,
        "weight": int(deal["lost"]),
        "rule": rule,
        "field": field,
        "before": _before(plain, field, amount),
        "after": _after(plain, rule, field, minor_units),
        "copy_of": plain["copy_of"] if rule == "duplicate" else None,
    }


def _none(value: object) -> bool:
    return value is None or value is pd.NaT or value != value


def _before(deal: dict, field: str, amount: float | None):
    """What stands in a field now: text, a number or a day; None where it is blank."""
    match field:
        case "":
            return None
        case "amount":
            return amount
        case "probability":
            return deal["chance"]
        case "expected_close_on" | "created_at":
            return None if deal[field] is None else pd.Timestamp(deal[field]).date()
    return deal.get(field)


def _after(deal: dict, rule: str, field: str, minor_units: int):
    """What should stand in a field, as another table of the book has it."""
    if rule == "probability_unlike":
        return deal["stage_chance"]
    if field == "amount" and deal["of_lines"]:
        return int(deal["of_lines"]) / minor_units
    if rule == "owner_gone":
        return deal["heir"]
    if rule == "missing":
        return deal.get(f"of_{field}")
    return None


def _with_answers(book: crm.Book, rows: ibis.Table) -> ibis.Table:
    """What other tables know of a deal: of_lines (the amount of its lines), heir (the manager of an owner who
    has left), and of_source (its lead's), of_segment, of_region (its account's)."""
    lines = book.lines.group_by("deal_id").agg(of_lines=_.net_amount_minor.sum()).filter(_.of_lines > 0)
    leads = book.leads.filter(_.deal_id.notnull(), _.source.notnull())
    leads = leads.group_by("deal_id").agg(of_source=_.source.min(), n=_.source.nunique()).filter(_.n == 1).drop("n")
    accounts = book.accounts.select("account_id", of_segment="segment", of_region="region")
    here = book.reps.filter(_.left_on.isnull(), _.status.isnull() | (_.status == "active")).select(there="rep_id")
    heirs = book.reps.join(here, book.reps.manager_id == here.there).select("rep_id", heir="manager_id")
    for part, key in ((lines, "deal_id"), (leads, "deal_id"), (accounts, "account_id"), (heirs, "rep_id")):
        rows = rows.left_join(part, key).drop(f"{key}_right")
    return rows
