"""The tables of restatements: finished numbers in, finished tables out, in every language."""

from salesops import lang
from salesops.findings import Table
from salesops.lang import _
from salesops.restated import words
from salesops.restated.compute import CAUSES, Restated


def told_table(found: Restated) -> Table:
    """Each figure of each month: told, what changed it, now."""
    rows, hot = [], []
    for row in found.told.itertuples():
        steps = [words.amount(getattr(row, cause), row.figure, found, signed=True) for cause in CAUSES]
        rows.append([lang.month(row.month_on), words.figure_name(row.figure), words.amount(row.then, row.figure, found),
                     *steps, words.amount(row.now, row.figure, found)])  # fmt: skip
        hot.append(row.then != row.now)
    columns = [_("Month"), _("Figure"), _("Told"), *(words.cause_name(cause) for cause in CAUSES), _("Now")]
    notes = [_("What was told, and what lies between, sum to what is known now. Marked: changed.")]
    return Table(_("From what was told to what is known now"), columns, rows, [False] * 2 + [True] * 7, hot, notes)


def deal_table(found: Restated) -> Table | None:
    """The deals that changed a figure; nothing where none did."""
    if found.deals.empty:
        return None
    rows = []
    for row in found.deals.head(found.listed).itertuples():
        name = row.name if isinstance(row.name, str) and row.name else row.deal_id
        rows.append([name, row.deal_id, lang.month(row.month_on), words.figure_name(row.figure),
                     words.cause_name(row.cause), words.amount(row.change, row.figure, found,
                     signed=True)])  # fmt: skip
    columns = [_("Deal"), _("Id"), _("Month"), _("Figure"), _("Cause"), _("Change")]
    n = len(found.deals)
    notes = [_("The first {n} of {all}.").format(n=lang.count(len(rows)), all=lang.count(n))] if n > len(rows) else []
    return Table(_("Deals that changed a figure"), columns, rows, [False] * 5 + [True], notes=notes)
