"""What each rep is paid, for the rep alone; and what another system paid against it, for who runs compensation."""

import datetime as dt
import io
import re
from pathlib import Path

from salesops import crm, lang, project, sheets
from salesops.comp import compute
from salesops.comp.params import Params
from salesops.lang import _
from salesops.pay import claims, clauses, letters, proof, recompute, signing, spans
from salesops.problems import BadInput, printable

LONGEST = 80  # characters of a folder's name
MOST_NAMED = 5  # deals
WIDE = 400  # characters of a reason


def statements(params: Params, *, rep_id: str = "") -> tuple[dict[str, bytes], list[str]]:
    """Statements of the months of the period that have ended, in the language of the parameters: name of a file in the
    rep's own folder -> contents; and who cannot be paid, with the reason. Signed where `$SALESOPS_SIGNING_KEY` names a
    key.

    Raises
    ------
    BadInput
        If the source, the plan or the key cannot be used, or nobody can be paid.
    """
    lang.use(params.lang)
    key = signing.from_environment()
    try:
        book = crm.open(**params.book)
        _plan, versions, read = compute.people(book, params)
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    if blind := clauses.find(book, versions):
        raise BadInput("nothing was written", [
            f"{'the plan' if not one.clause else one.clause} needs {one.needs}, which this source does not have"
            for one in blind])  # fmt: skip
    if rep_id and rep_id not in {one.person_id for one in read.people}:
        raise BadInput("nothing was written", [f"--rep: {printable(rep_id)!r} is not on the plan"])
    through = spans.last_ended(book.as_of)
    first = params.reported.first_on
    months = [span.month for span in spans.find(1, first, min(through, params.reported.last_on), 1, through)]
    by_version = {one.version: one for one in versions}
    names = dict(book.reps.select("rep_id", "name").execute().itertuples(index=False))
    deals = _deal_names(book, read)
    facts = {"period": params.period, "as_of": str(book.as_of)}
    made: dict[str, dict[str, bytes]] = {}
    left_out = _unlisted(sorted(read.unlisted))
    for one in read.people:
        if rep_id and one.person_id != rep_id:
            continue
        own = read.history.credits.get(one.person_id, [])
        try:
            lines = read.paid(one, by_version, through)
        except BadInput as error:
            left_out += [printable(str(problem), WIDE) for problem in error.problems]
            continue
        name = names.get(one.person_id)
        name = name if isinstance(name, str) else one.person_id
        if pages := letters.write(name, lines, own, by_version, months, deals, facts):
            made[_folder(one.person_id, {folder.casefold() for folder in made})] = pages
    if not made:
        raise BadInput("nothing was written", left_out or [f"nothing is paid in {params.period}"])
    return proof.sealed(made, facts, key), left_out


def _unlisted(deals: list[str]) -> list[str]:
    """What is said of deals that are credited to people who are not among the reps."""
    if not deals:
        return []
    first = ", ".join(deals[:MOST_NAMED]) + (", ..." if len(deals) > MOST_NAMED else "")
    text = "won deals that are credited, at least in part, to people who are not among the reps"
    return [printable(f"{text}: {len(deals)} ({first})", WIDE)]


def _folder(rep_id: str, taken: set[str]) -> str:
    """A folder's name from an id, another one's never."""
    name = re.sub(r"[^\w-]+", "-", rep_id).strip("-")[:LONGEST] or "rep"
    k, free = 1, name
    while free.casefold() in taken:
        k += 1
        free = f"{name}-{k}"
    return free


def _deal_names(book: crm.Book, read) -> dict[str, str]:
    ids = {one.deal_id for made in read.history.credits.values() for one in made}
    table = book.deals.select("deal_id", "name").execute()
    table = table[table["deal_id"].isin(ids) & table["name"].notna()]
    return dict(table.itertuples(index=False))


def audit(params: Params, system: str, folder: Path) -> tuple[dict[str, bytes], recompute.Audit]:
    """What another system paid against what the plan pays: `recompute.xlsx`, in the language of the parameters.

    Parameters
    ----------
    system : a file of params/claims. folder : its export.

    Raises
    ------
    BadInput
        If the source, the plan, the mapping or the export cannot be used; with every problem at once.
    """
    lang.use(params.lang)
    known = project.root() / "params" / "claims"
    if "/" in system or not (known / f"{system}.yml").is_file():
        names = ", ".join(sorted(path.stem for path in known.glob("*.yml")))
        raise BadInput(f"{printable(system)!r} is not a system", [f"allowed: {names}"])
    spec = claims.load(known / f"{system}.yml")
    given = claims.read(folder, spec)
    try:
        book = crm.open(**params.book)
        _plan, versions, read = compute.people(book, params)
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    names = {rep: name for rep, name in book.reps.select("rep_id", "name").execute().itertuples(index=False)
             if isinstance(name, str)}  # fmt: skip
    compared = recompute.audit(
        read.people, {one.version: one for one in versions}, read.history.known(book.as_of), given, names,
        spec.components, through=spans.last_ended(book.as_of), cancellations=read.history.cancellations,
    )  # fmt: skip
    return {"recompute.xlsx": _workbook(compared, names, versions[-1].currency, book.as_of)}, compared


def cause_name(cause: str) -> str:
    return {
        "quota": _("other quota"), "not_credited": _("deal not credited there"),
        "credited_besides": _("deal credited there only"), "amount": _("other amount of a deal"),
        "day": _("other day of a deal"), "rounding": _("rounding"), "rule": _("other rate or rule"),
        "person": _("not on the plan"), "component": _("not in the plan"),
    }[cause]  # fmt: skip


def _workbook(made: recompute.Audit, names: dict[str, str], currency: str, as_of: dt.date) -> bytes:
    """Causes, lines and credits; text is never a formula."""
    stream = io.BytesIO()
    book = sheets.workbook(stream, as_of)
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    money, day = book.add_format({"num_format": "#,##0.00"}), book.add_format({"num_format": "yyyy-mm-dd"})
    rate = book.add_format({"num_format": "0.00%"})
    causes = [cause for cause in recompute.CAUSES if any(cause in row.causes for row in made.rows)]

    def sheet(title: str, columns: list[str], rows: list[list]) -> None:
        made_sheet = book.add_worksheet(title)
        for at, name in enumerate(columns):
            made_sheet.write_string(0, at, name, head)
        for k, row in enumerate(rows, 1):
            for at, value in enumerate(row):
                if isinstance(value, str):
                    made_sheet.write_string(k, at, value)
                elif isinstance(value, dt.date):
                    made_sheet.write_datetime(k, at, dt.datetime.combine(value, dt.time()), day)
                elif isinstance(value, tuple):
                    made_sheet.write_number(k, at, value[0], rate)
                elif value is not None:
                    made_sheet.write_number(k, at, float(value), money)
        made_sheet.freeze_panes(1, 0)

    sums = [[cause_name(cause), sum(row.causes.get(cause, 0) for row in made.rows)] for cause in causes]
    sums.append([_("Together"), sum(row.difference for row in made.rows)])
    sheet("causes", [_("Cause"), f"{_('Paid there more than here')}, {currency}"], sums)
    lines = [
        [row.person_id, names.get(row.person_id, ""), row.component, row.span, row.theirs, row.ours, row.difference,
         (float(row.theirs / row.measured),) if row.measured else None,
         (float((row.theirs - row.causes.get("rule", 0) - row.causes.get("rounding", 0)) / row.measured),)
         if row.measured else None, *(row.causes.get(cause) for cause in causes)]
        for row in made.rows
    ]  # fmt: skip
    columns = ["rep_id", _("Rep"), _("Component"), _("Period"), _("Paid there"), _("Paid here"), _("Difference"),
               _("Rate there"), _("Rate here, on the same")]  # fmt: skip
    sheet("lines", [*columns, *(cause_name(cause) for cause in causes)], lines)
    odd = [
        [one.person_id, one.deal_id, cause_name(one.what), one.theirs.amount if one.theirs else None,
         one.ours.measures.get("bookings") if one.ours else None, one.theirs.on if one.theirs else None,
         one.ours.on if one.ours else None]
        for one in made.credits
    ]  # fmt: skip
    sheet("credits", ["rep_id", "deal_id", _("What"), _("Amount there"), _("Amount here"), _("Day there"), _("Day "
                                                                                                             "here")],
          odd)  # fmt: skip
    book.close()
    return stream.getvalue()
