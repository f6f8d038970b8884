"""The pipeline's sentences and tables: finished numbers in, finished text out, in every language."""

import pandas as pd

from salesops import crm, lang
from salesops.bridge.compute import Pipeline
from salesops.bridge.moves import MOVEMENTS, Bridge
from salesops.bridge.params import Params
from salesops.bridge.pushes import MOST
from salesops.findings import Finding, Table, Tile
from salesops.lang import _, ngettext
from salesops.stats import Estimate

MOST_GROUPS = 12


def title() -> str:
    return _("Pipeline")


def facts(found: Pipeline, params: Params) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [part for part in (params.pipeline, lang.period(found.frame)) if part]


def movement_name(movement: str) -> str:
    return {
        "opening": _("Opening"),
        "created": _("Created"),
        "pulled_in": _("Pulled in"),
        "increased": _("Increased"),
        "reopened": _("Re-opened"),
        "decreased": _("Decreased"),
        "won": _("Won"),
        "lost": _("Lost"),
        "slipped": _("Slipped"),
        "pushed_out": _("Pushed out"),
        "closing": _("Closing"),
    }[movement]


def findings(found: Pipeline, currency: str) -> list[Finding]:
    """What the reader should know first: whether it is enough, what moved, what pushing does."""
    return [*_enough(found, currency), _moved(found, currency), *_pushed(found), *_landed(found.bridge, currency)]


def _enough(found: Pipeline, currency: str) -> list[Finding]:
    """Coverage against what earlier quarters needed at this day."""
    cover = found.coverage
    needed = _needed_now(found)
    if cover.target is None or needed is None:
        return []
    words = {
        "quarter": lang.period(cover.quarter),
        "now": lang.decimal(cover.now),
        "needed": lang.decimal(needed.value),
        "low": lang.decimal(needed.low),
        "high": lang.decimal(needed.high),
        "day": lang.count(cover.day),
        "n": lang.count(needed.n),
        "target": lang.money(cover.target, currency, compact=True),
        "booked": lang.money(cover.booked, currency, compact=True),
        "left": lang.money(max(cover.target - cover.booked, 0), currency, compact=True),
        "open": lang.money(cover.open_now, currency, compact=True),
    }
    if cover.booked >= cover.target:
        headline = _("The target of {quarter} is reached: {booked} of {target}").format(**words)
        return [Finding("good", headline, _("{open} is still open.").format(**words))]
    detail = _(
        "On day {day} of ninety, {open} is open for the {left} that "
        "is left of {target}. In {n} earlier quarters what was "
        "open at this day was {needed} times what was booked from "
        "then on; the next one is to be expected between {low} "
        "and {high}."
    ).format(**words)
    if cover.landing is not None:
        ends = {
            name: lang.money(value, currency, compact=True)
            for name, value in zip(("value", "low", "high"), cover.landing[:3], strict=True)
        }
        detail += " " + _("That would be {value} in all ({low} to {high}).").format(**ends)
    if cover.now is None or cover.now < needed.low:
        return [
            Finding(
                "bad",
                _("{now} times coverage of {quarter} is below what earlier quarters needed: {needed}").format(**words),
                detail,
                key="coverage",
                cause="coverage",
                money=max(cover.target - cover.booked, 0),
            )
        ]
    if cover.now > needed.high:
        return [
            Finding(
                "good",
                _("{now} times coverage of {quarter} is above what earlier quarters needed: {needed}").format(**words),
                detail,
            )
        ]
    headline = _("{now} times coverage of {quarter} is within what earlier quarters needed: {needed}")
    return [Finding("warn", headline.format(**words), detail)]


def _needed_now(found: Pipeline) -> Estimate | None:
    curve = found.coverage.curve
    return curve.loc[curve["day"] == found.coverage.day, "needed"].item() if len(curve) else None


def _moved(found: Pipeline, currency: str) -> Finding:
    """From what to what, and which movement was the largest on either side."""
    amounts = found.bridge.total.set_index("movement")["amount"]
    words = {
        "opening": lang.money(amounts["opening"], currency, compact=True),
        "closing": lang.money(amounts["closing"], currency, compact=True),
        "frame": lang.period(found.frame),
        "from": lang.day(found.bridge.opening_on),
        "to": lang.day(found.bridge.closing_on),
    }
    if not found.bridge.amounts:
        n = found.bridge.total.set_index("movement")["n"]
        text = _("The open pipeline went from {opening} to {closing} deals")
        if found.bridge.due:
            text = _("The open pipeline due in {frame} went from {opening} to {closing} deals")
        detail = _("From the end of {from} to the end of {to}; what they were worth on these days is on no log.")
        counted = {"opening": lang.count(n["opening"]), "closing": lang.count(n["closing"])}
        return Finding("plain", text.format(**words | counted), detail.format(**words))
    text = _("The open pipeline went from {opening} to {closing}")
    if found.bridge.due:
        text = _("The open pipeline due in {frame} went from {opening} to {closing}")
    headline = text.format(**words)
    sides = [amounts[list(MOVEMENTS)].clip(lower=0), amounts[list(MOVEMENTS)].clip(upper=0)]
    parts = []
    if sides[0].max() > 0:
        name = sides[0].idxmax()
        parts.append(
            _("most came in as: {name}, {amount}").format(
                name=movement_name(name).lower(), amount=lang.money(sides[0][name], currency, compact=True)
            )
        )
    if sides[1].min() < 0:
        name = sides[1].idxmin()
        parts.append(
            _("most went out as: {name}, {amount}").format(
                name=movement_name(name).lower(), amount=lang.money(-sides[1][name], currency, compact=True)
            )
        )
    detail = _("From the end of {from} to the end of {to}").format(**words)
    return Finding("plain", headline, "; ".join([detail, *parts]) + ".")


def _pushed(found: Pipeline) -> list[Finding]:
    """What became of deals that were pushed more than once, against those pushed never or once."""
    table = found.pushes
    known = table[[one is not None for one in table["won"]]] if len(table) else table
    often = known[known["pushes"] >= 2]
    if often.empty or not (known["pushes"] == 1).any():
        return []
    once, more = known[known["pushes"] == 1].iloc[0], often.iloc[0]
    words = {
        "share": lang.percent(more["won"].value),
        "interval": lang.between(more["won"].low, more["won"].high),
        "once": lang.percent(once["won"].value),
        "once_days": lang.days(once["age_days"]),
        "again": lang.percent(more["again"].value),
        "days": lang.days(more["age_days"]),
        "n": lang.count(more["n"]),
    }
    headline = _("After a second push {share} of deals are won within {days} days")
    detail = _(
        "The 95% interval is {interval}, n = {n}; {again} are pushed "
        "again within as many days. After the first push it is "
        "{once} within {once_days} days. Those pushed twice are "
        "other deals, and older: what a push itself does is on the "
        "process page."
    )
    return [Finding("plain", headline.format(**words), detail.format(**words))]


def _landed(bridge: Bridge, currency: str) -> list[Finding]:
    if not bridge.booked_n:
        return []
    text = ngettext(
        "{n} of {of} deal won was also created between the two days",
        "{n} of {of} deals won were also created between the two days",
        bridge.booked_n,
    )
    headline = text.format(n=lang.count(bridge.landed_n), of=lang.count(bridge.booked_n))
    detail = _("They are worth {landed} of {booked}; no look at the opening pipeline could have shown them.").format(
        landed=lang.money(bridge.landed, currency, compact=True),
        booked=lang.money(bridge.booked, currency, compact=True),
    )
    return [Finding("plain", headline, detail)]


def tiles(found: Pipeline, currency: str) -> list[Tile]:
    """The headline numbers."""
    bridge, cover = found.bridge, found.coverage
    amounts = bridge.total.set_index("movement")["amount"]
    before = found.before.total.set_index("movement")["amount"] if found.before else None
    against = _("span before") if before is not None else ""
    moved_out = ["slipped", "pushed_out"]
    compact = [
        (_("Opening"), amounts["opening"], None if before is None else before["opening"], lang.day(bridge.opening_on)),
        (_("Closing"), amounts["closing"], None if before is None else before["closing"], lang.day(bridge.closing_on)),
        (_("Won"), bridge.booked, None if found.before is None else found.before.booked, _("whenever they were due")),
        (
            _("Moved out by date"),
            abs(amounts[moved_out].sum(min_count=1)),
            None if before is None else abs(before[moved_out].sum(min_count=1)),
            _("slipped and pushed out"),
        ),
    ]
    shown = [
        Tile(
            name,
            lang.money(now, currency, compact=True),
            "" if old is None else lang.money(old, currency, compact=True),
            against if old is not None else "",
            note,
        )
        for name, now, old, note in compact
    ]
    needed = _needed_now(found)
    note = _no_target(cover.no_target) if cover.target is None else ""
    if needed is not None and not note:
        note = _("needed: {needed} ({low} to {high})").format(
            needed=lang.decimal(needed.value), low=lang.decimal(needed.low), high=lang.decimal(needed.high)
        )
    shown.append(Tile(_("Coverage of what is left"), lang.decimal(cover.now), note=note))
    return shown


def _no_target(why: str) -> str:
    return _("the source keeps no log of amounts") if why == "no_amounts" else lang.no_quota(why)


def tiles_note(found: Pipeline) -> str:
    """What counts, between which days."""
    text = _("Open deals between the end of {opening} and the end of {closing}.")
    if found.bridge.due:
        text = _("Open deals expected to close in {frame}, between the end of {opening} and the end of {closing}.")
    said = text.format(
        frame=lang.period(found.frame),
        opening=lang.day(found.bridge.opening_on),
        closing=lang.day(found.bridge.closing_on),
    )
    if not found.bridge.amounts:
        said += " " + _("The source keeps no log of amounts, so what deals were worth on these days is not known.")
    return said


def bridge_bars(found: Pipeline) -> tuple[list[str], list[float]]:
    """Names and amounts for the waterfall; movements of nothing are left out."""
    table = found.bridge.total
    ends = table["movement"].isin(["opening", "closing"])
    if not found.bridge.amounts:  # deals at both ends; what moved is in the table
        return [movement_name(name) for name in table.loc[ends, "movement"]], table.loc[ends, "n"].astype(
            float
        ).tolist()
    shown = table[(table["amount"] != 0) | ends]
    return [movement_name(name) for name in shown["movement"]], shown["amount"].tolist()


def bridge_alt(found: Pipeline, currency: str) -> str:
    written = [bar_text(found, one, currency) for one in bridge_bars(found)[1]]
    bars = "; ".join(f"{name}: {text}" for name, text in zip(bridge_bars(found)[0], written, strict=True))
    return _("Bars: {bars}.").format(bars=bars)


def bar_text(found: Pipeline, value: float, currency: str) -> str:
    """A bar's number: money, or deals where amounts are not known."""
    return lang.money(value, currency, compact=True) if found.bridge.amounts else lang.count(value)


def bar_texts(found: Pipeline, currency: str) -> list[str]:
    return [bar_text(found, one, currency) for one in bridge_bars(found)[1]]


def coverage_curves(found: Pipeline) -> tuple:
    """Days and needed coverage; days and this quarter's own."""
    cover = found.coverage
    own = cover.own[cover.own["coverage"].notna()]
    return cover.curve["day"].tolist(), cover.curve["needed"].tolist(), own["day"].tolist(), own["coverage"].tolist()


def coverage_alt(found: Pipeline) -> str:
    days, needed, own_days, own = coverage_curves(found)
    parts = [f"{day}: {lang.decimal(one.value)}" for day, one in zip(days, needed, strict=True) if one is not None]
    mine = [f"{day}: {lang.decimal(one)}" for day, one in zip(own_days, own, strict=True)]
    none = _("not known")
    return _("Lines by day: needed {needed}; this quarter {own}.").format(
        needed="; ".join(parts) or none, own="; ".join(mine) or none
    )


def caption(found: Pipeline) -> str:
    n = max((one.n for one in found.coverage.curve["needed"] if one is not None), default=0)
    text = _(
        "Left: blue came in, orange went out. Right: open pipeline ÷ (target − booked) of this quarter, blue; in grey "
    )
    text += _(
        "open pipeline ÷ what was booked from then on, of earlier "
        "quarters (n = {n}), and where the next is expected (95%)."
    )
    return text.format(n=n)


def bridge_table(found: Pipeline, currency: str) -> Table:
    """Every movement with its deals, and the span before."""
    rows, before = [], found.before
    old = before.total.set_index("movement") if before else None
    for row in found.bridge.total.itertuples():
        cells = [movement_name(row.movement), lang.count(row.n), lang.money(row.amount, currency)]
        if old is not None:
            cells += [lang.count(old.loc[row.movement, "n"]), lang.money(old.loc[row.movement, "amount"], currency)]
        rows.append([*cells, movement_means(row.movement, due=found.bridge.due)])
    columns = [_("Movement"), _("Deals"), _("Amount, {currency}").format(currency=currency)]
    columns += [_("Deals, span before"), _("Amount, span before")] if old is not None else []
    notes = [
        _(
            "The parts sum to the closing to the cent, deal by deal. A change counts when it happens; where one change "
            "moves a deal and its amount at once, the date comes first, before a close the amount. What cancels itself "
            "in one deal (out and in again, up and down, lost and re-opened) is taken out."
        )
    ]
    if found.bridge.n_blank and found.bridge.amounts:
        text = ngettext(
            "{n} open deal has no amount and counts as nothing.",
            "{n} open deals have no amount and count as nothing.",
            found.bridge.n_blank,
        )
        notes.append(text.format(n=lang.count(found.bridge.n_blank)))
    numeric = [False] + [True] * (len(columns) - 1) + [False]
    caption_ = _("From the end of {opening} to the end of {closing}").format(
        opening=lang.day(found.bridge.opening_on), closing=lang.day(found.bridge.closing_on)
    )
    if found.bridge.n_undated:
        text = ngettext(
            "{n} deal has no creation date and is in no number here.",
            "{n} deals have no creation date and are in no number here.",
            found.bridge.n_undated,
        )
        notes.append(text.format(n=lang.count(found.bridge.n_undated)))
    hot = [row.movement in ("opening", "closing") for row in found.bridge.total.itertuples()]
    return Table(caption_, [*columns, _("What it means")], rows, numeric, hot, notes)


def movement_means(movement: str, *, due: bool) -> str:
    if movement in ("opening", "closing"):
        return _("open, and expected to close in the span") if due else _("open")
    return {
        "created": _("new, at the amount it began with"),
        "pulled_in": _("its closing day moved into the span"),
        "increased": _("its amount rose"),
        "reopened": _("was won or lost, and is open again"),
        "decreased": _("its amount fell"),
        "won": _("won, at its last amount"),
        "lost": _("lost, at its last amount"),
        "slipped": _("its closing day left the span late in it"),
        "pushed_out": _("its closing day left the span earlier"),
    }[movement]


def group_table(found: Pipeline, dimension: str, currency: str) -> Table | None:
    """The bridge of each group; they sum to the whole."""
    table = found.bridge.groups
    if len(table) < 2 or not found.bridge.amounts:
        return None
    shown, rest = table.head(MOST_GROUPS), table.iloc[MOST_GROUPS:]
    names = [name for name in table.columns if name != "group" and table[name].any()]
    rows = [
        [
            _("not known") if row["group"] == crm.NOT_KNOWN else row["group"],
            *(lang.money(row[name], currency) for name in names),
        ]
        for _k, row in shown.iterrows()
    ]
    if len(rest):
        rows.append([_("all others"), *(lang.money(rest[name].sum(), currency) for name in names)])
    rows.append([_("Together"), *(lang.money(table[name].sum(), currency) for name in names)])
    columns = [lang.dimension(dimension), *(movement_name(name) for name in names)]
    caption_ = _("By {dimension}, {currency}").format(dimension=lang.dimension(dimension).lower(), currency=currency)
    return Table(caption_, columns, rows, [False] + [True] * len(names))


def moved_table(found: Pipeline, currency: str) -> Table | None:
    """The single deals that moved the pipeline most."""
    if found.bridge.moved.empty:
        return None
    rows = [
        [
            row.name if pd.notna(row.name) else row.deal_id,
            row.account if pd.notna(row.account) else lang.NONE,
            movement_name(row.movement),
            lang.money(row.amount, currency),
        ]
        for row in found.bridge.moved.rename_axis(None).itertuples(index=False, name="Deal")
    ]
    columns = [_("Deal"), _("Account"), _("Movement"), _("Amount, {currency}").format(currency=currency)]
    return Table(_("The largest movements of single deals"), columns, rows, [False, False, False, True])


def push_table(found: Pipeline, currency: str) -> Table | None:
    """What became of deals after each push of their closing day to a later month."""
    if found.pushes.empty:
        return None
    rows = []
    for row in found.pushes.itertuples():
        name = _("never (from creation)") if row.pushes == 0 else lang.count(row.pushes)
        if row.pushes == MOST:
            name = _("{n} and more").format(n=MOST)
        shares = [
            lang.rate(row.won),
            lang.interval(row.won),
            lang.rate(row.again),
            lang.interval(row.again),
            lang.days(row.age_days),
        ]
        rows.append([name, lang.count(row.n), *shares, lang.count(row.n_open), lang.money(row.amount, currency)])
    columns = [
        _("Pushes"),
        _("Deals that had them"),
        _("Won from then on"),
        _("95% interval"),
        _("Pushed again"),
        _("95% interval"),
        _("by day"),
        _("Open now"),
        _("Amount, {currency}").format(currency=currency),
    ]
    notes = [
        _(
            "A push: the closing day moves to a later month while the deal is open. "
            "Pushes of two years; open deals are censored."
        ),
        _("A deal that gets pushed is alive: the first push tells it from those lost early, so it says little of why."),
    ]
    return Table(_("Pushes, and what became of the deals"), columns, rows, [False] + [True] * 8, notes=notes)


def coverage_table(found: Pipeline, currency: str) -> Table | None:
    """Each earlier quarter at this day: what was open, what was booked, what came."""
    cover = found.coverage
    if cover.past.empty:
        return None
    rows = [
        [
            row.quarter,
            *(lang.money(x, currency) for x in (row.open, row.booked, row.final)),
            lang.decimal(row.needed, 2),
        ]
        for row in cover.past.itertuples()
    ]
    target = lang.money(cover.target, currency) if cover.target is not None else lang.NONE
    rows.append(
        [
            cover.quarter.name,
            lang.money(cover.open_now, currency),
            lang.money(cover.booked, currency),
            target,
            lang.decimal(cover.now, 2),
        ]
    )
    columns = [
        _("Quarter"),
        _("Open at this day"),
        _("Booked by then"),
        _("Booked in all; now: target"),
        _("Coverage needed; now: had"),
    ]
    notes = []
    if cover.target is None:
        notes.append(_("No target: {why}.").format(why=_no_target(cover.no_target)))
    if _needed_now(found) is None:
        notes.append(_("Fewer than four earlier quarters are known, too few to say what coverage is needed."))
    hot = [False] * (len(rows) - 1) + [True]
    caption_ = _("Coverage on day {day} of ninety").format(day=cover.day)
    return Table(caption_, columns, rows, [False] + [True] * 4, hot, notes)
