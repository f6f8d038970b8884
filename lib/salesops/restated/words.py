"""Restatements in sentences: finished numbers in, finished text out, in every language."""

from salesops import lang
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.restated.compute import CAUSES, MONEY, Restated

TELLING = 0.02  # of a figure, from which on a restatement comes to the front page


def title() -> str:
    return _("Restatements")


def facts(found: Restated) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    first, last = found.months[0], found.months[-1]
    return [
        lang.month(first.first_on) if first == last else f"{lang.month(first.first_on)} – {lang.month(last.first_on)}"
    ]


def figure_name(figure: str) -> str:
    return {"bookings": _("Bookings"), "n_won": _("Deals won"), "n_lost": _("Deals lost"),
            "n_created": _("Deals created")}[figure]  # fmt: skip


def cause_name(cause: str) -> str:
    return {
        "late": _("not known then"),
        "dated": _("dated into the month since"),
        "undone": _("undone, or dated elsewhere"),
        "vanished": _("gone from the source"),
        "amount": _("another amount"),
    }[cause]


def amount(value: int, figure: str, found: Restated, *, signed: bool = False) -> str:
    sign = ("+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "") if signed else "\N{MINUS SIGN}" * (value < 0)
    text = lang.count(abs(value)) if figure != MONEY else lang.money(abs(value) / found.minor_units, found.currency)
    return sign + text


def findings(found: Restated) -> list[Finding]:
    """What the reader should know first."""
    changed = found.told[found.told["then"] != found.told["now"]]
    said = [_one(found, row) for row in changed[changed["figure"] == MONEY].iloc[::-1].itertuples()]
    counted = changed[changed["figure"] != MONEY]
    if not said and len(counted):
        said = [_one(found, row) for row in counted.iloc[::-1].itertuples()]
    if said:
        return said
    n = len(found.months)
    text = ngettext("The figures of the month before stand as they were told",
                    "The figures of the {n} months before stand as they were told", n)  # fmt: skip
    return [Finding("good", text.format(n=lang.count(n)), _("Nothing that the source has learnt since changes them."))]


def _one(found: Restated, row) -> Finding:
    change = row.now - row.then
    text = _("{figure} of {month} are {change} against what was told at its end: {now} after {then}")
    head = text.format(figure=figure_name(row.figure), month=lang.month(row.month_on),
                       change=amount(change, row.figure, found, signed=True), now=amount(row.now, row.figure, found),
                       then=amount(row.then, row.figure, found))  # fmt: skip
    parts = [f"{cause_name(cause)} {amount(getattr(row, cause), row.figure, found, signed=True)}" for cause in CAUSES
             if getattr(row, cause)]  # fmt: skip
    detail = "; ".join(parts) + "."
    large = row.figure == MONEY and row.then and abs(change / row.then) >= TELLING
    key = f"{row.figure}/{row.month_on:%Y-%m}" if large else ""
    money = abs(change) / found.minor_units if row.figure == MONEY else None
    return Finding("warn" if large else "plain", head, detail[0].upper() + detail[1:], key=key, money=money)


def tiles(found: Restated) -> list[Tile]:
    """The headline numbers."""
    last = found.told[found.told["month_on"] == found.months[-1].first_on]
    return [
        Tile(figure_name(row.figure), amount(row.now, row.figure, found), amount(row.then, row.figure, found),
             _("told then"), lang.month(row.month_on))
        for row in last.itertuples()
    ]  # fmt: skip


def note(found: Restated) -> str:
    return _("Told: as the source showed it at the end of each month. Now: as it shows it at the end of {day}.").format(
        day=lang.day(found.as_of)
    )


def step_rows(found: Restated) -> tuple[list[str], dict[str, list[float]]]:
    """Months, and what each cause brought to the main figure of each; whole units."""
    figure = found.figures[0]
    rows = found.told[found.told["figure"] == figure]
    scale = found.minor_units if figure == MONEY else 1
    names = [f"{day:%Y-%m}" for day in rows["month_on"]]
    return names, {cause_name(cause): (rows[cause] / scale).tolist() for cause in CAUSES if rows[cause].any()}


def step_alt(found: Restated) -> str:
    figure = found.figures[0]
    rows = found.told[found.told["figure"] == figure]
    parts = "; ".join(
        f"{row.month_on:%Y-%m} {amount(row.now - row.then, figure, found, signed=True)}" for row in rows.itertuples()
    )
    return _("How {figure} of each month changed since it was told: {parts}.").format(
        figure=figure_name(figure).lower(), parts=parts
    )


def caption() -> str:
    return _("Each month against what was told at its end; the parts sum to the change.")
