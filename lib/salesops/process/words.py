"""The process's sentences and tables: finished numbers in, finished text out, in every language."""

from salesops import lang
from salesops.findings import Finding, Table, Tile
from salesops.lang import _, ngettext
from salesops.process.compute import Process
from salesops.process.params import Params
from salesops.stats import Estimate

SIGNIFICANT = 0.05


def title() -> str:
    return _("Process")


def facts(found: Process, params: Params) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [
        part
        for part in (found.pipeline, _("deals created in {window}").format(window=lang.period(params.window)))
        if part
    ]


def detour_name(detour: str) -> str:
    return {
        "skip": _("Stage skipped"),
        "back": _("Moved back"),
        "reopen": _("Re-opened"),
        "owner": _("Owner changed"),
        "amount_cut": _("Amount reduced"),
        "push": _("Pushed to a later month"),
    }[detour]


def findings(found: Process) -> list[Finding]:
    """What the reader should know first: which detours cost, beyond chance; then how many go straight."""
    table = found.prices.table
    costly = table[(table["p_gap"] < SIGNIFICANT) & table["gap"].notna()]
    order = costly.assign(value=[one.value for one in costly["gap"]]).sort_values("value", kind="stable")
    made = [_price(row) for row in order.itertuples()]
    if not made and table["gap"].notna().any():
        text = _("{n} kinds of detour were compared; chance alone could explain every difference.")
        detail = text.format(n=int(table["gap"].notna().sum()))
        headline, p = _("No detour changes the share won beyond what chance explains"), float(table["p_gap"].min())
        made = [Finding("plain", headline, detail, p=p, family="detours")]
    return [*made, *_straight(found)]


def _price(row) -> Finding:
    points = abs(round(row.gap.value * 100))
    text = ngettext("Deals with “{detour}” are won {points} point less often",
                    "Deals with “{detour}” are won {points} points less often", points)  # fmt: skip
    if row.gap.value > 0:
        text = ngettext("Deals with “{detour}” are won {points} point more often",
                        "Deals with “{detour}” are won {points} points more often", points)  # fmt: skip
    headline = text.format(detour=detour_name(row.detour).lower(), points=points)
    detail = _(
        "{won} of such deals were won within {days} days, of comparable "
        "deals {others}; the 95% interval of the difference "
        "is {low} to {high} points, n = {n}."
    ).format(
        won=lang.percent(row.won),
        others=lang.percent(row.won_others),
        days=lang.count(row.days),
        low=lang.points(row.gap.low, signed=True),
        high=lang.points(row.gap.high, signed=True),
        n=lang.count(row.n_matched),
    )
    if row.p_days < SIGNIFICANT:
        longer = (
            _("They also stayed open {days} days longer.")
            if row.more_days.value > 0
            else _("They also closed {days} days sooner.")
        )
        detail += " " + longer.format(days=lang.days(abs(row.more_days.value)))
    detail += " " + _("That is a difference, not its cause.")
    costs = row.gap.value < 0
    return Finding("bad" if costs else "plain", headline, detail, key=f"detour/{row.detour}" if costs else "",
                   p=float(row.p_gap), family="detours")  # fmt: skip


def _straight(found: Process) -> list[Finding]:
    ways = found.ways
    if ways.straight is None:
        return [Finding("warn", _("Too few deals to say how many go straight"))]
    headline = _("{share} of deals go the straight way").format(share=lang.percent(ways.straight.value))
    detail = _(
        "Of {n} closed deals, {share} ({interval}) skipped no stage, did not move back and were not re-opened. "
        "There are {n_ways} ways in all."
    ).format(
        n=lang.count(ways.straight.n),
        share=lang.percent(ways.straight.value),
        interval=lang.between(ways.straight.low, ways.straight.high),
        n_ways=lang.count(ways.n_variants),
    )
    return [Finding("plain", headline, detail)]


def tiles(found: Process) -> list[Tile]:
    """The headline numbers."""
    ways, edges = found.ways, found.ways.edges
    counted = edges.groupby("kind")["n"].sum()
    straight = ways.straight
    shown = [Tile(_("Deals"), lang.count(ways.n), note=found.pipeline)]
    note = (
        _("too few deals") if straight is None else _("95%: {interval}").format(interval=lang.between(*straight[1:3]))
    )
    shown.append(Tile(_("Straight"), lang.NONE if straight is None else lang.percent(straight.value), note=note))
    for kind, name in (("skip", _("Stages skipped")), ("back", _("Moves back")), ("reopen", _("Re-openings"))):
        shown.append(Tile(name, lang.count(counted.get(kind, 0)), note=_("moves, of any deal")))
    return shown


def graph(found: Process) -> tuple[list[str], list[tuple[int, int, int, str]]]:
    """Stages and won, and the edges between them by place."""
    names = [*found.stages, _("Won")]
    place = {stage: k for k, stage in enumerate(found.stages)}
    totals: dict[tuple[int, int, str], int] = {}
    for row in found.ways.edges.itertuples():
        a = place.get(row.stage)
        b = len(found.stages) if row.kind == "won" else place.get(row.to)
        if row.kind == "lost" and a is not None:
            totals[a, a, "lost"] = totals.get((a, a, "lost"), 0) + row.n
        elif a is not None and b is not None:
            totals[a, b, row.kind] = totals.get((a, b, row.kind), 0) + row.n
    return names, [(a, b, n, kind) for (a, b, kind), n in totals.items()]


def graph_alt(found: Process) -> str:
    edges = "; ".join(f"{row.stage} → {row.to}: {lang.count(row.n)}" for row in found.ways.edges.itertuples())
    return _("Arrows: {edges}.").format(edges=edges)


def price_bars(found: Process) -> tuple[list[str], list[Estimate | None], list[bool]]:
    """Names, differences in the share won, and whether they are beyond chance."""
    table = found.prices.table
    return [detour_name(one) for one in table["detour"]], table["gap"].tolist(), (table["p_gap"] < SIGNIFICANT).tolist()


def price_alt(found: Process) -> str:
    names, gaps, _beyond = price_bars(found)
    none = _("too few deals")
    points = "; ".join(
        f"{n}: {lang.points(g.value, signed=True) if g else none}" for n, g in zip(names, gaps, strict=True)
    )
    return _("Points with intervals: {points}.").format(points=points)


def caption(found: Process) -> str:
    return _(
        "Left: moves of {n} deals; orange leaves the straight way; "
        "re-openings from lost are in the table. Right: against "
        "comparable deals, 95% interval; grey is not beyond chance."
    ).format(n=lang.count(found.ways.n))


def price_table(found: Process, params: Params) -> Table | None:
    """What each detour costs, in chances and in days."""
    table = found.prices.table
    if table.empty:
        return None
    rows, hot, notes = [], [], []
    for row in table.itertuples():
        cells = [
            detour_name(row.detour),
            lang.count(row.n),
            lang.percent(row.n / found.prices.n, 1),
            lang.count(row.n_matched),
        ]
        if row.gap is None:
            cells += [lang.NONE] * 9
            notes.append(
                _("{detour}: fewer than {least} deals with comparable others.").format(
                    detour=detour_name(row.detour), least=params.min_deals
                )
            )
        else:
            cells += [
                lang.percent(row.won, 1),
                lang.percent(row.won_others, 1),
                lang.count(row.days),
                *lang.point_cells(row.gap),
                lang.p_value(row.p_gap),
                *_days(row.more_days),
                lang.p_value(row.p_days),
            ]
        rows.append(cells)
        hot.append(bool(row.p_gap < SIGNIFICANT))
    columns = [
        _("Detour"),
        _("Deals"),
        _("of all"),
        _("Compared"),
        _("Won after it"),
        _("Won, comparable"),
        _("by day"),
        _("Difference, points"),
        _("95% interval"),
        _("Adjusted p"),
        _("Days longer open"),
        _("95% interval"),
        _("Adjusted p"),
    ]
    notes.append(
        _(
            "Comparable: open in the same week of age, in the same "
            "stage (of its beginning for skips and moves back, of its "
            "end for the others), third of amounts and {dimension}, "
            "without the detour so far; for a skip those that went "
            "on by one stage in that week. Open deals are censored; p adjusted for all comparisons (Holm)."
        ).format(dimension=lang.dimension(params.match_by).lower() if params.match_by != "none" else _("nothing else"))
    )
    return Table(_("What detours cost"), columns, rows, [False] + [True] * 12, hot, notes)


def variant_table(found: Process) -> Table:
    """The most frequent ways, with what came of them."""
    ways, rows = found.ways, []
    for row in ways.variants.itertuples():
        rows.append([" → ".join(row.way), lang.count(row.n), lang.percent(row.share, 1), lang.days(row.days)])
    rest = ways.n - ways.n_longer - int(ways.variants["n"].sum())
    notes = []
    if rest:
        notes.append(
            _("{n} other ways, {deals} deals, are not shown.").format(
                n=lang.count(ways.n_variants - len(rows)), deals=lang.count(rest)
            )
        )
    if ways.n_longer:
        text = ngettext("{n} deal has more than 15 visits.", "{n} deals have more than 15 visits.", ways.n_longer)
        notes.append(text.format(n=lang.count(ways.n_longer)))
    columns = [_("Way"), _("Deals"), _("of all"), _("Median days to close")]
    return Table(_("The ways deals take, up to now"), columns, rows, [False] + [True] * 3, notes=notes)


def edge_table(found: Process) -> Table:
    """The directly-follows graph as a table."""
    kinds = {
        "forward": _("forward"),
        "advance": _("forward"),
        "skip": _("skip"),
        "back": _("back"),
        "reopen": _("re-opened"),
        "won": _("won"),
        "lost": _("lost"),
        "new": _("new"),
        "close": _("closed"),
    }
    rows, hot = [], []
    for row in found.ways.edges.sort_values(["position", "to_position"], kind="stable").itertuples():
        rows.append([row.stage, row.to, kinds[row.kind], lang.count(row.n), lang.days(row.days)])
        hot.append(row.kind in ("skip", "back", "reopen"))
    columns = [_("From"), _("To"), _("Move"), _("Times"), _("Median days before it")]
    note = _("Moves that happened; stays still going on are in the funnel's times, which count them.")
    return Table(_("What directly follows what"), columns, rows, [False, False, False, True, True], hot, [note])


def _days(found: Estimate) -> list[str]:
    return [_signed(found.value), f"{_signed(found.low)} … {_signed(found.high)}"]


def _signed(days: float) -> str:
    text = lang.decimal(abs(days))
    return text if text == lang.decimal(0) else ("\N{MINUS SIGN}" if days < 0 else "+") + text
