"""Statements for their readers: a page for each person and month, and the chain that a later edit breaks.

A person's folder holds that person's data only.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from salesops import lang, periods, plaintext
from salesops.findings import Table
from salesops.lang import _
from salesops.pay import proof, statements
from salesops.pay.explain import explain, kind_name
from salesops.pay.plans import Plan
from salesops.pay.records import Credit, Line
from salesops.pay.statements import Statement

ORDER = ("earned", "true_up", "spiff", "held", "released", "clawback", "adjustment", "draw", "recovered", "guarantee")


def write(
    name: str, lines: Sequence[Line], credits: Sequence[Credit], versions: Mapping[str, Plan], months: Iterable[str],
    deals: Mapping[str, str], facts: Mapping[str, str],
) -> dict[str, bytes]:  # fmt: skip
    """A page for each of the months that has lines, and the chain of all: file name -> contents.

    Parameters
    ----------
    lines : of one person, all of them. credits : theirs, with the days on which they were known. versions : of the
    plan, by version. deals : deal -> its name.
    facts : of the run, put into the chain: its period, and the last day known, by which an earlier one shows.
    """
    drawn, asked = statements.draw_up(lines), set(months)
    made, chain = {}, []
    for one in drawn:
        entry = {"month": one.month, "before": one.before, "digest": one.digest, "total": str(one.total),
                 "year_to_date": str(one.year_to_date), "lines": statements.as_data(one.lines)}  # fmt: skip
        if one.month in asked:
            plan = versions[one.lines[-1].version]
            year = [line for line in lines if one.month[:4] + "-01" <= line.month <= one.month]
            ends_on = periods.month_end(dt.date.fromisoformat(f"{one.month}-01"))
            own = [credit for credit in credits if f"{credit.on:%Y-%m}" == one.month and credit.is_known(ends_on)]
            made[f"{one.month}.html"] = page = _page(name, one, year, own, plan, deals)
            entry["page"] = hashlib.sha256(page).hexdigest()
        chain.append(entry)
    if made:
        content = {"format": proof.FORMAT, "kind": "chain", "person_id": drawn[0].person_id, **facts}
        made[proof.CHAIN] = json.dumps(content | {"statements": chain}, ensure_ascii=False, indent=1).encode()
    return made


def _page(
    name: str, one: Statement, year: list[Line], credits: list[Credit], plan: Plan, deals: Mapping[str, str]
) -> bytes:
    month = dt.date.fromisoformat(f"{one.month}-01")
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, keep_trailing_newline=True,
    ).get_template("statement.html.j2")  # fmt: skip
    text = template.render(
        language=lang.current(),
        title=_("Statement of {name}, {month}").format(name=name, month=lang.period(periods.parse(one.month))),
        facts=[plan.plan, _("version {version}").format(version=plan.version),
               _("paid by what was known at the end of {day}").format(
                   day=lang.day(periods.days_after(periods.add_months(month, 1), -1)))],
        summary=_summary(one, year, plan),
        lines_caption=_("How it came about"), no_lines=_("Nothing."),
        lines=list(_sections(one, plan)),
        credits=_credits(credits, plan, deals), no_credits=_("No deal was credited in this month."),
        seal_says=_("The marks of the statement before and of this one: an edit of either, or of any before, changes "
                    "them."),
        before=one.before, digest=one.digest,
    )  # fmt: skip
    return plaintext.clean(text, lines=True).encode()


def _sections(one: Statement, plan: Plan) -> Iterable[dict]:
    """What was earned line by line; what follows from it deal by deal, of one component and period together."""
    together: dict[object, list[Line]] = {}
    for k, line in enumerate(one.lines):
        of_deals = line.kind in ("held", "released", "clawback")
        together.setdefault((line.component, line.kind, line.span) if of_deals else k, []).append(line)
    for lines in together.values():
        total = sum((line.amount for line in lines), Decimal(0))
        yield {"name": _line_name(lines[0]), "amount": lang.cents(total, plan.currency),
               "sentences": [said for line in lines for said in explain(line, plan.currency)]}  # fmt: skip


def _line_name(line: Line) -> str:
    kind = kind_name(line.kind)
    span = f", {line.span}" if line.span != line.month else ""
    return f"{kind.capitalize()}{span}" if line.component == line.kind else f"{line.component}: {kind}{span}"


def _summary(one: Statement, year: list[Line], plan: Plan) -> Table:
    rows = []
    for kind in ORDER:
        of_year = [line for line in year if line.kind == kind]
        if of_year:
            now = sum((line.amount for line in one.lines if line.kind == kind), Decimal(0))
            rows.append([kind_name(kind).capitalize(), lang.cents(now, plan.currency),
                         lang.cents(sum(line.amount for line in of_year), plan.currency)])  # fmt: skip
    rows.append([_("Paid"), lang.cents(one.total, plan.currency), lang.cents(one.year_to_date, plan.currency)])
    return Table(_("Summary"), [_("What"), _("This month"), _("Year to date")], rows, [False, True, True])


def _credits(credits: list[Credit], plan: Plan, deals: Mapping[str, str]) -> Table:
    names = {"direct": _("own"), "overlay": _("overlay"), "override": _("of those below")}
    rows = []
    for one in sorted(credits, key=lambda one: (one.on, one.credit_id)):
        worth = one.measures.get("bookings")
        said = lang.cents(Decimal(round(worth * 100)).scaleb(-2), plan.currency) if worth is not None else "; ".join(
            lang.decimal(float(value), 2) for value in one.measures.values()
        )  # fmt: skip
        rows.append([one.deal_id or lang.NONE, deals.get(one.deal_id, ""), lang.day(one.on), names[one.kind], said])
    columns = [_("Deal"), _("Name"), _("Day"), _("Credit"), _("Amount")]
    return Table(_("Credits of the month"), columns, rows, [False] * 4 + [True])
