"""What each rep is paid, for the rep alone."""

import re

from salesops import crm, lang
from salesops.comp import compute
from salesops.comp.params import Params
from salesops.pay import letters, payouts, spans
from salesops.problems import BadInput, printable

LONGEST = 80  # characters of a folder's name


def statements(params: Params, *, rep_id: str = "") -> tuple[dict[str, bytes], list[str]]:
    """Statements of the months of the period that have ended, in the language of the parameters: name of a file in the
    rep's own folder -> contents; and who cannot be paid, with the reason.

    Raises
    ------
    BadInput
        If the source or the plan cannot be used, or nobody can be paid.
    """
    lang.use(params.lang)
    try:
        book = crm.open(**params.book)
        _plan, versions, read = compute.people(book, params)
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput("nothing was written", [str(error)]) from None
    if rep_id and rep_id not in {one.person_id for one in read.people}:
        raise BadInput("nothing was written", [f"--rep: {printable(rep_id)!r} is not on the plan"])
    through = spans.last_ended(book.as_of)
    first = params.reported.first_on
    months = [span.month for span in spans.find(1, first, min(through, params.reported.last_on), 1, through)]
    by_version = {one.version: one for one in versions}
    names = dict(book.reps.select("rep_id", "name").execute().itertuples(index=False))
    deals = _deal_names(book, read)
    made: dict[str, bytes] = {}
    left_out: list[str] = []
    for one in read.people:
        if rep_id and one.person_id != rep_id:
            continue
        own = read.credits.get(one.person_id, [])
        try:
            lines = payouts.pay(one, by_version, own, through=through, payments=read.payments)
        except BadInput as error:
            left_out += [printable(str(problem)) for problem in error.problems]
            continue
        name = names.get(one.person_id)
        pages = letters.write(name if isinstance(name, str) else one.person_id, lines, own, by_version, months, deals)
        folder = _folder(one.person_id, {path.split("/")[0].casefold() for path in made})
        made |= {f"{folder}/{file}": content for file, content in pages.items()}
    if not made:
        raise BadInput("nothing was written", left_out or [f"nothing is paid in {params.period}"])
    return made, left_out


def _folder(rep_id: str, taken: set[str]) -> str:
    """A folder's name from an id, another one's never."""
    name = re.sub(r"[^\w-]+", "-", rep_id).strip("-")[:LONGEST] or "rep"
    k, free = 1, name
    while free.casefold() in taken:
        k += 1
        free = f"{name}-{k}"
    return free


def _deal_names(book: crm.Book, read) -> dict[str, str]:
    ids = {one.deal_id for made in read.credits.values() for one in made}
    table = book.deals.select("deal_id", "name").execute()
    table = table[table["deal_id"].isin(ids) & table["name"].notna()]
    return dict(table.itertuples(index=False))
