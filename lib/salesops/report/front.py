"""The month's front page: where the company stands, what matters most, what is asked; made of what the pages say.

It knows no analysis: status, tiles and findings are the pages' own data (`salesops.findings`).
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from salesops import lang, periods, plaintext
from salesops.findings import MARKS
from salesops.lang import _, ngettext
from salesops.report import banner, files, ledger, spark
from salesops.report.asks import Ask

MOST = 7  # findings on the page; the others stand below, folded


def render(
    pages: Mapping[str, dict],
    not_made: Mapping[str, dict],
    *,
    language: str,
    folder: Path,
    rows: Sequence[ledger.Row],
    before: Sequence[list[ledger.Row]],
    asks: Sequence[Ask],
    other: tuple[str, str] | None,
    was: Mapping[str, dict],
    retold: Mapping[str, dict],
    damaged: str = "",
) -> str:
    """The page of a period in one language.

    Parameters
    ----------
    rows : the findings of the period, open and closed; see `ledger`.
    before : those of the periods before, the nearest first.
    other : language and file of the same page in another language.
    was : the pages of the period before, as they were made then; retold : see `followup.retell`. damaged : the period
    whose findings cannot be read.
    """
    import jinja2

    spoken = lang.current()
    lang.use(language)
    try:
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(files.TEMPLATES / "salesops"), autoescape=True)
        environment.tests["page_name"] = files.is_page_name
        page = environment.get_template("month.html.j2").render(
            **_told(pages, not_made, language, folder, rows, before, asks, was, damaged),
            restated=_restated(pages, was, retold, language),
            lang=language,
            other=other,
            marks=MARKS,
        )
        return plaintext.clean(page, lines=True)
    finally:
        lang.use(spoken)


def _told(pages, not_made, language, folder, rows, before, asks, was, damaged) -> dict:
    own = {stem: page for stem, page in pages.items() if page["lang"] == language}
    whole = {stem: page for stem, page in own.items() if not _part(page)} or own
    status = [{**found, "page": page["page"], "of": page["title"], "old": stem in not_made}
              for stem, page in whole.items() for found in page["findings"] if found.get("status")]  # fmt: skip
    tiles = [{**tile, "page": page["page"], "spark": spark.line(tile["series"]), "old": stem in not_made}
             for stem, page in whole.items() for tile in page.get("tiles", [])]  # fmt: skip
    mine = [row for row in rows if row.lang == language]
    ages = ledger.ages([row for row in mine if row.state == ledger.OPEN], before)
    findings = [_finding(row, pages, ages, before) | {"old": row.stem in not_made} for row in mine
                if row.state == ledger.OPEN]  # fmt: skip
    failed = {
        stem: banner.sentence(pages.get(stem, {}).get("lang", language), dt.date.fromisoformat(one["on"]),
                              one["reason"], earlier=stem in pages)
        for stem, one in not_made.items()
    }  # fmt: skip
    period = _period(folder)
    named = list(dict.fromkeys(page["period"] for page in own.values()))
    named = named or ([lang.period(period)] if period is not None else [])
    sources = {page["parameters"].get("source") for page in own.values()}
    ends = str(period.last_on) if period is not None else ""
    known_on = max((page["parameters"].get("as_of") or ends for page in own.values()), default="")
    stands = [ask for ask in asks if period is not None and ask.stands_in(period)
              and (not ask.source or ask.source in sources)]  # fmt: skip
    parts = [] if whole != own else sorted({_part(page) for page in own.values()} - {""})
    known = {row.id: row for row in mine}
    return {
        "title": ", ".join(named),
        "parts": parts,
        "damaged": _damaged(damaged) if damaged else "",
        "outdated": _outdated(own, not_made),
        "lacking": _lacking(own.values()),
        "companies": list(dict.fromkeys(page["company"] for page in own.values())),
        "headline": _headline(status, findings, whole) if own else _("Nothing was made"),
        "no_plan": bool(tiles) and not status,
        "as_of": list(dict.fromkeys(page.get("as_of", "") for page in own.values())),
        "status": status,
        "tiles": tiles,
        "findings": findings[:MOST],
        "others": findings[MOST:],
        "asks": [_ask(ask, language, known, known_on) for ask in stands],
        "closed": [_closed(row, pages, was) for row in mine if row.state == ledger.CLOSED],
        "unseen": [{"id": row.id, "headline": row.headline} for row in mine if row.state == ledger.UNSEEN],
        "pages": [{**page, "failed": failed.get(stem, ""), "part": _part(page)} for stem, page in own.items()],
        "elsewhere": [page for page in pages.values() if page["lang"] != language],
        "missing": [(stem, failed[stem]) for stem in not_made if stem not in pages],
        "earlier": _earlier(folder),
        "words": _words(),
    }


def _title(page: dict) -> str:
    return " · ".join(filter(None, (page["title"], _part(page))))


def _part(page: dict) -> str:
    return " · ".join(filter(None, (page["parameters"].get("region"), page["parameters"].get("team"))))


def _period(folder: Path) -> periods.Period | None:
    try:
        return periods.parse(folder.name)
    except ValueError:
        return None


def _headline(status: list[dict], findings: list[dict], pages: dict[str, dict]) -> str:
    """Where the company stands; else what matters most; else what the first page says."""
    return next(one["headline"] for one in (*status, *findings, *pages.values()))


def _finding(row: ledger.Row, pages, ages: dict[str, int], before) -> dict:
    page = pages[row.stem]
    age = ages[row.id]
    since = ""
    first = next((one.period for past in reversed(before) for one in past if one.id == row.id and not one.verdict), "")
    if age == 1 and first:
        since = _("again; first found in {period}").format(period=lang.period(periods.parse(first)))
    if age > 1:
        text = ngettext("open for {n} period", "open for {n} periods", age)
        if periods.parse(row.period).n_months == 1:
            text = ngettext("open for {n} month", "open for {n} months", age)
        since = text.format(n=lang.count(age))
        was = next((one.money for one in before[0] if one.id == row.id), None) if before else None
        if was is not None and row.money is not None:
            change = lang.money(abs(row.money - was), _currency(page), compact=True)
            grown = _("{amount} more than before") if row.money > was else _("{amount} less than before")
            since += ", " + grown.format(amount=change) if round(row.money) != round(was) else ""
    money = "" if row.money is None else lang.money(row.money, _currency(page), compact=True)
    return {
        **row._asdict(), "detail": shortened(row.detail), "part": _part(page), "page": page["page"],
        "of": _title(page), "since": since, "is_new": age == 1 and bool(before) and not first, "amount": money,
    }  # fmt: skip


def _currency(page: dict) -> str:
    return page.get("currency") or "USD"


def shortened(detail: str, most: int = 260) -> str:
    """Whole sentences, as many as fit; the first one always. The page itself tells the rest."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[^\W\d_a-zа-яё])", detail)
    kept = sentences[0]
    for one in sentences[1:]:
        if len(kept) + 1 + len(one) > most:
            break
        kept += " " + one
    return kept


def _damaged(period: str) -> str:
    text = _("The findings of {period} cannot be read, so that what is new and for how long is not told.")
    return text.format(period=lang.period(periods.parse(period)))


def _lacking(pages: Iterable[dict]) -> list[str]:
    """For each source whose last snapshot lacks open deals, how many."""
    noted = [(page["company"], page["lacking"]) for page in pages if page.get("lacking")]
    lacks = {(company, *(one.get(name) for name in ("day", "n_kept", "n_open"))) for company, one in noted}
    text = _(
        "The snapshot of {day} has no usable row for {kept} of {company}'s {open} open deals; they are shown as last"
        " seen."
    )
    return [
        text.format(company=company, day=lang.day(dt.date.fromisoformat(day)), kept=lang.count(n), open=lang.count(of))
        for company, day, n, of in sorted(lacks)
    ]


def _outdated(own: Mapping[str, dict], not_made: Mapping[str, dict]) -> str:
    """Which pages are of an earlier run, or were not made at all."""
    old = [_title(page) for stem, page in own.items() if stem in not_made]
    said = [_("Of an earlier run: {pages}.").format(pages=", ".join(old))] if old else []
    none = [stem for stem in not_made if stem not in own]
    if none:
        said.append(_("Not made: {pages}.").format(pages=", ".join(none)))
    return " ".join(said)


def _ask(ask: Ask, language: str, known: Mapping[str, ledger.Row], known_on: str) -> dict:
    about = known.get(ask.about)
    late = bool(known_on) and ask.is_late(dt.date.fromisoformat(known_on))
    state = _("done in {month}").format(month=lang.period(periods.parse(ask.done))) if ask.done else ""
    found = about is not None and about.state == ledger.OPEN
    return {
        "what": ask.what[language],
        "owner": ask.owner_in(language),
        "due": lang.day(dt.date.fromisoformat(ask.due)),
        "state": state or (_("overdue") if late else _("open")),
        "late": late,
        "about": ask.about if found else "",
        "was": _("{id}, not found now").format(id=ask.about) if ask.about and not found else "",
    }


def _closed(row: ledger.Row, pages, was) -> dict:
    """A finding that closed, and whether it was true; or why it may have closed."""
    verdict = {
        ledger.HELD: _("It was true: with what is known now it is still found of its month."),
        ledger.GONE: _("It is not found of its month any more, with what is known now."),
    }.get(row.verdict, _("Not looked at again."))
    asked = [pages.get(row.stem, {}).get("parameters", {}), was.get(row.stem, {}).get("parameters", {})]
    changed = [name for name in asked[0] if name not in ("period", "as_of") and asked[0][name] != asked[1].get(name)]
    if changed and asked[1]:
        verdict += " " + _("Its page is asked otherwise since then: {names}.").format(names=", ".join(changed))
    return {"id": row.id, "headline": row.headline, "verdict": verdict}


def differing(now: dict, then: dict) -> list[tuple[dict, dict, int]]:
    """Tiles of a page of now and of the one of the period before that tell one period differently: (tile of now, tile
    of then, where in the series of now the period is)."""
    found = []
    for tile in now.get("tiles", []):
        old = next((one for one in then.get("tiles", []) if one.get("key") and one["key"] == tile.get("key")), None)
        if old is None or not old.get("at") or old["at"][-1] not in tile["at"]:
            continue
        at = tile["at"].index(old["at"][-1])
        if abs(tile["series"][at] - old["series"][-1]) > 1e-9 * max(abs(old["series"][-1]), 1):
            found.append((tile, old, at))
    return found


def _restated(pages, was, retold, language: str) -> list[dict]:
    """Figures of the period before that are told differently now, and what made the difference."""
    rows = []
    for stem, page in pages.items():
        if page["lang"] != language or _part(page) or stem not in was:
            continue
        again = retold.get(stem, {}).get("texts", {})
        for tile, old, at in differing(page, was[stem]):
            then, now, by_now = old["texts"][-1], tile["texts"][at], again.get(tile["key"])
            if now == then:  # no difference that can be seen in what is told
                continue
            why = _("not known") if by_now is None else _("later data")
            if by_now is not None and by_now != then:
                why = (
                    _("definitions or the playbook") if by_now == now else _("definitions or the playbook; later data")
                )
            rows.append({"name": tile["name"], "period": lang.period(periods.parse(old["at"][-1])), "then": then,
                         "again": by_now or lang.NONE, "now": now, "why": why, "page": page["page"]})  # fmt: skip
    return rows


def _earlier(folder: Path) -> list[tuple[str, str]]:
    """Names and addresses of the front pages of earlier periods, the latest first."""
    found = []
    here = _period(folder)
    if here is None:
        return found
    for path in folder.parent.iterdir() if folder.parent.is_dir() else ():
        one = _period(path)
        if one is not None and one.first_on < here.first_on and (path / "index.html").is_file():
            found.append((one.first_on, lang.period(one), f"../{path.name}/index.html"))
    return [(name, address) for _on, name, address in sorted(found, reverse=True)][:12]


def _words() -> dict[str, str]:
    return {
        "skip": _("Skip to the report"),
        "known": _("data as of"),
        "status": _("Are we on plan?"),
        "findings": _("What matters"),
        "nothing": _("Nothing was found that chance could not explain, and nothing counted stands out."),
        "others": _("Also found"),
        "asks": _("What is asked"),
        "asks_about": _("Who decides what by when"),
        "what": _("What"), "owner": _("Owner"), "due": _("Due"), "state": _("State"), "about": _("About"),
        "closed": _("Not found any more"),
        "unseen": _("Not looked at"),
        "unseen_why": _("Its page was not made."),
        "old": _("of an earlier run"),
        "no_plan": _("No page tells of a quota or a target for this period."),
        "restated": _("Told differently now"), "restated_about": _("Figures of the period before"),
        "told": _("Told then"), "again": _("By the playbook of now"),
        "now": _("Known now"), "why": _("What made it"), "metric": _("Metric"), "period": _("Period"),
        "pages": _("Pages"),
        "none": _("Not made"),
        "earlier": _("Earlier"),
        "elsewhere": _("In other languages"),
        "new": _("new"),
        "stake": _("at stake"),
        "how": _(
            "Ranked by the money at stake times surprise; of one cause only the largest. Claims that something changed "
            "or differs are held to one false-discovery rate over all pages, a twentieth; what is counted is not. "
            "Findings without an amount count as the lower quartile of the others. Each leads to the page it comes "
            "from."
        ),
    }  # fmt: skip
