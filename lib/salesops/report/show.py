"""What a notebook calls to put things on its page. All text is escaped here, once, for every analysis.

Beside the HTML that JupyterLab and the page show, findings and the page's own facts are emitted as
data under MIME types of ours, so that the index and the delivery need not read HTML.
"""

import datetime as dt
import html
import io
import re
from collections.abc import Sequence

from IPython.display import display
from matplotlib.figure import Figure

from salesops import crm, lang, plaintext, settings, theme
from salesops.findings import FINDINGS, FRONT, MARKS, PAGE, Finding, Link, Table, Tile
from salesops.lang import _, ngettext
from salesops.report import spark
from salesops.report.svg import named, rounded

_n_figures = 0


def start(params: settings.Params, book: crm.Book, *, title: str, facts: Sequence[str] = ()) -> None:
    """Begin a page: set the look, and say what the page is about."""
    global _n_figures
    _n_figures = 0
    theme.apply()
    vat = {"in": _("with VAT"), "out": _("without VAT")}.get(params.vat)
    facts = [*filter(None, (params.region, params.team, vat)), *facts]
    about = {
        "analysis": type(params).__module__.split(".")[1],
        "parameters": params.model_dump(mode="json"),
        "title": title,
        "company": book.title,
        "currency": book.currency,
        "period": lang.period(params.reported),
        "as_of": lang.day(book.as_of),
        "facts": facts,
        "data": book.digest(),
        "lacking": _lacking(book),
    }
    deck = " · ".join([title, book.title, about["period"], *facts])
    _emit(f"<p>{_e(deck)}</p>", **{PAGE: about})


def _lacking(book: crm.Book) -> dict:
    """The day of the last snapshot, its open deals, and how many of them are shown as last seen because their rows were
    refused; empty where none is."""
    taken = book.about.get("snapshots") or {}
    n_kept = taken.get("kept", {}).get("open", 0)
    return {"day": taken["taken"][-1], "n_kept": n_kept, "n_open": taken["open"]} if n_kept else {}


def findings(found: Sequence[Finding]) -> None:
    """The findings, most important first; the first is the title of the page."""
    rows = [
        f'<li class="{f.tone}"><span class="mark" aria-hidden="true">{MARKS[f.tone]}</span>'
        f"<p><strong>{_e(f.headline.rstrip('.'))}.</strong> {_e(f.detail)}</p></li>"
        for f in found
    ]
    _emit(f'<ul class="findings">{"".join(rows)}</ul>', **{FINDINGS: [f._asdict() for f in found]})


def tiles(shown: Sequence[Tile], *, front: bool = False) -> None:
    """The headline numbers in a row; those of the month's `front` page are emitted as data too."""
    cells = [
        f'<li class="{t.tone}"><span class="name">{_e(t.name)}</span><span class="value">{_e(t.value)}</span>'
        f'<span class="change">{_e(": ".join(filter(None, (t.against, t.change))) if t.change else " ")}</span>'
        f'{spark.line(t.series)}<span class="note">{_e(t.note)}</span></li>'
        for t in shown
    ]
    data = {FRONT: [t._asdict() for t in shown]} if front else {}
    _emit(f'<ul class="tiles">{"".join(cells)}</ul>', **data)


def table(shown: Table | None) -> None:
    """A table with its caption, headers and notes; nothing where there is no table."""
    if shown is None:
        return
    kind = ["n" if numeric else "t" for numeric in shown.numeric]
    head = "".join(f'<th scope="col" class="{k}">{_e(c)}</th>' for k, c in zip(kind, shown.columns, strict=True))
    body = []
    for row, hot in zip(shown.rows, shown.hot or [False] * len(shown.rows), strict=True):
        first = f'<th scope="row" class="{kind[0]}">{_cell(row[0])}</th>'
        cells = "".join(f'<td class="{k}">{_cell(c)}</td>' for k, c in zip(kind[1:], row[1:], strict=True))
        mark = ' class="hot"' if hot else ""
        body.append(f"<tr{mark}>{first}{cells}</tr>")
    notes = "".join(f'<p class="note">{_e(note)}</p>' for note in shown.notes)
    _emit(
        f'<div class="table" role="region" tabindex="0" aria-label="{_e(shown.caption)}"><table>'
        f"<caption>{_e(shown.caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>{notes}"
    )


def _cell(cell: str | Link) -> str:
    if isinstance(cell, Link) and cell.address.startswith(("https://", "http://")):
        return f'<a href="{_e(cell.address)}" rel="noopener noreferrer">{_e(cell.text)}</a>'
    return _e(cell.text if isinstance(cell, Link) else cell)


def figures(*shown: tuple[Figure, str], caption: str) -> None:
    """Pictures side by side, each with its alternative text, under one caption; nothing where there are none."""
    if not shown:
        return
    pictures = "".join(_svg(figure, alt) for figure, alt in shown)
    _emit(f'<figure class="of{len(shown)}"><div>{pictures}</div><figcaption>{_e(caption)}</figcaption></figure>')


def note(sentence: str) -> None:
    """A small line of finished text under what it explains."""
    _emit(f'<p class="note">{_e(sentence)}</p>')


def sources(book: crm.Book, *, credits: bool = False) -> None:
    """Where the numbers come from, and what was refused, mended or left out on the way.

    Parameters
    ----------
    credits : whether figures of the page are credited to reps, teams or regions.
    """
    about = book.about
    history = {
        "changes": _("the CRM's change log"),
        "stage_dates": _("dated stage columns; the source keeps no change log"),
        "current_stage": _("the current stage alone; the source keeps no history"),
    }[about["history"]]
    rows = [
        (_("Source"), book.title),
        (_("Known up to"), _("{day}, end of day, {zone}").format(day=lang.day(book.as_of), zone=book.time_zone)),
        (_("Later data"), _("the source ends on that day") if book.complete else _("in the source, and not used")),
        (_("Stage history from"), history),
        *_snapshots(about),
        *_prices(about),
        (
            _("Rows"),
            ", ".join(f"{name} {lang.count(n)}" for name, n in book.n_known.items()),
        ),
        *_mended(about),
    ]
    missing = [name for name in ("amount", "expected_close_on", "rep_id") if name not in about["tracked"]]
    if missing:
        rows.append((_("Kept without a log"), ", ".join(missing)))
    if credits and (known_now := credited_as_now(book)):
        rows.append((_("Credited"), known_now))
    _emit(f"<dl>{''.join(f'<dt>{_e(name)}</dt><dd>{_e(value)}</dd>' for name, value in rows)}</dl>")
    _refused(about)


def credited_as_now(book: crm.Book) -> str:
    """What of the owners of past deals is not known, in a sentence; blank where all is, or deals have no owners."""
    if "rep_id" not in book.about["filled"]["deals"]:
        return ""
    logged = "rep_id" in book.about["tracked"]
    if logged and book.has_dated_reps:
        return ""
    if logged:
        return _("to the owner at the close, with role, team, region and manager as known now: reps have no dated rows")
    if book.has_dated_reps:
        return _("to the owner known now, where that rep was on the day: owners are on no log")
    return _("to owner, role, team, region and manager as known now: owners are on no log, reps have no dated rows")


def _prices(about: dict) -> list[tuple[str, str]]:
    """What was converted, and whether the amounts hold VAT."""
    rows = []
    for name, currency, n in about["converted"]:
        text_ = ngettext("{table}: {n} row from {currency}", "{table}: {n} rows from {currency}", n)
        rows.append((_("Converted by dated rates"), text_.format(table=name, n=lang.count(n), currency=currency)))
    if vat := about["vat"]:
        shares = ", ".join(
            _("{share} from {day}").format(share=lang.percent(share, 1), day=lang.day(dt.date.fromisoformat(day)))
            if day
            else lang.percent(share, 1)
            for day, share in vat["share"].items()
        )
        given = (
            _("the source's amounts hold it: {shares}")
            if vat["included"]
            else _("the source's amounts do not: {shares}")
        )
        rows.append((_("VAT"), given.format(shares=shares)))
    return rows


def _snapshots(about: dict) -> list[tuple[str, str]]:
    """How often the export was looked at, where the history is what differs between snapshots."""
    if not (taken := about.get("snapshots")):
        return []
    days = [lang.day(dt.date.fromisoformat(day)) for day in (taken["taken"][0], taken["taken"][-1])]
    text_ = ngettext("{n} snapshot, {first}", "{n} snapshots, {first} to {last}", len(taken["taken"]))
    rows = [(_("Snapshots compared"), text_.format(n=lang.count(len(taken["taken"])), first=days[0], last=days[1]))]
    if n_kept := sum(taken.get("kept", {}).values()):
        rows.append((_("Deals shown as last seen, because their rows were refused"), lang.count(n_kept)))
    if taken["gap"]:
        first, last = (lang.day(dt.date.fromisoformat(day)) for day in taken["gap"][:2])
        gap = ngettext("{n} day, {first} to {last}", "{n} days, {first} to {last}", taken["gap"][2])
        rows.append((_("Longest time without one"), gap.format(n=lang.count(taken["gap"][2]), first=first, last=last)))
    return rows


def _seen(what: str) -> str:
    """What the reader found or left out, in the page's language; the mapping's own names stay as they are."""
    return {
        "lines above the header": _("lines above the header"),
        "lines of a footer": _("lines of a footer"),
        "lines quoted whole, unwrapped": _("lines quoted whole, unwrapped"),
        "times of events that repeat": _("times of events that repeat"),
        "of no use here": _("of no use here"),
        "repeated": _("repeated"),
        "added up with others of the same key": _("added up with others of the same key"),
        "deleted": _("deleted"),
        "of deals that were left out": _("of deals that were left out"),
        "merged": _("merged"),
        "cancelled": _("cancelled"),
        "planned": _("planned"),
    }.get(what, what)


def _mended(about: dict) -> list[tuple[str, str]]:
    rows = []
    for repair in about["repairs"]:
        text_ = ngettext(
            "{table}.{column}: {came} → {became}, {n} row",
            "{table}.{column}: {came} → {became}, {n} rows",
            repair["n_rows"],
        )
        words = {name: repair[name] for name in ("table", "column", "came", "became")}
        rows.append((_("Repaired"), text_.format(n=lang.count(repair["n_rows"]), **words)))
    for table_, reasons in about["n_left_out"].items():
        for why, n in reasons.items():
            text_ = ngettext("{table}: {n} row, {why}", "{table}: {n} rows, {why}", n)
            rows.append((_("Left out by the mapping"), text_.format(table=table_, n=lang.count(n), why=_seen(why))))
    for file, what, n in about["notes_of_files"]:
        rows.append((_("Found in the file"), f"{file}: {_seen(what)}, {lang.count(n)}"))
    notes = {
        "closed_before_created": _("Closed before they were created; their age counts as 0"),
        "stage_not_as_logged": _("Current stage differs from the change log, which was followed"),
        "older_than_log": _("Created before the change log begins; in no share by age"),
        "created_unknown": _("Deals without a creation date"),
        "closed_undated": _("Closed on a day that is not known; in no share by age"),
    }
    rows += [(notes[name], lang.count(n)) for name, n in about["notes"].items() if n]
    refused = sum(about["n_refused"].values())
    rows.append((_("Refused rows"), lang.count(refused) if refused else _("none")))
    return rows


def _refused(about: dict) -> None:
    if not about["refused"]:
        return
    columns = [_("File"), _("Row"), _("Column"), _("Value"), _("Allowed")]
    rows = [
        [str(p[k]) if p[k] is not None else "" for k in ("file", "row", "column", "value", "allowed")]
        for p in about["refused"]
    ]
    caption = _("Refused rows, the first {n}").format(n=len(rows))
    table(Table(caption, columns, rows, [False, True, False, False, False]))


def parameters(params: settings.Params) -> None:
    """Every parameter of this run with its meaning and unit."""
    rows = []
    for name, field in type(params).model_fields.items():
        unit = field.json_schema_extra["unit"]
        value = str(getattr(params, name)) or _("(blank)")
        rows.append([name, value, _(field.description), _(unit) if unit else ""])
    columns = [_("Parameter"), _("Value"), _("Meaning"), _("Unit")]
    table(Table(_("What this run was told"), columns, rows, [False] * 4))


def _svg(figure: Figure, alt: str) -> str:
    """A figure as inline SVG: no clock, ids of its own, its alternative text as the title."""
    global _n_figures
    _n_figures += 1
    stream = io.StringIO()
    if layout := figure.get_layout_engine():  # laid out once; savefig would draw everything twice to do it twice
        layout.execute(figure)
        figure.set_layout_engine(None)
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns:xlink="[^"]*"', "", svg).replace("xlink:href", "href")
    prefix = f"f{_n_figures}-"
    svg = named(rounded(svg), prefix)
    width, height = (float(number) for number in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    head = f'<svg role="img" aria-labelledby="{prefix}title" viewBox="0 0 {width:g} {height:g}"'
    head += ' xmlns="http://www.w3.org/2000/svg">'
    return f'{head}<title id="{prefix}title">{_e(alt)}</title>{svg[svg.index(">") + 1 :]}'


def _emit(markup: str, **data) -> None:
    display({"text/html": markup, **data}, raw=True)


def _e(text_: str) -> str:
    """Text as text: no markup, nothing hidden."""
    return html.escape(plaintext.clean(text_))
