"""The leads' sentences and tables: finished numbers in, finished text out, in every language."""

import numpy as np

from salesops import lang
from salesops.findings import Finding, Table, Tile
from salesops.lang import _, ngettext
from salesops.leads.compute import MOST_GROUPS, Leads
from salesops.leads.counts import NOT_KNOWN
from salesops.leads.params import Params
from salesops.stats import Estimate

SIGNIFICANT = 0.05


def title() -> str:
    return _("Leads")


def facts(params: Params) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [_("leads of {window}").format(window=lang.period(params.window))]


def step_name(step: str) -> str:
    return {
        "lead": _("Lead"),
        "qualified": _("Qualified"),
        "accepted": _("Accepted"),
        "deal": _("Deal"),
        "won": _("Won"),
    }[step]


def _pair(found: Leads, k: int) -> str:
    return f"{step_name(found.steps[k])} → {step_name(found.steps[k + 1])}"


def group_name(group: str) -> str:
    return _("not known") if group == NOT_KNOWN else group


def dimension_name(dimension: str) -> str:
    return {"none": _("All leads"), "source": _("Source"), "campaign": _("Campaign"), "region": _("Region")}[dimension]


def findings(found: Leads, params: Params) -> list[Finding]:
    """What the reader should know first: who waits, what changed, which sources differ."""
    return [*_late(found, params), *_changed(found), *_differs(found, params), *_answers(found)]


def _late(found: Leads, params: Params) -> list[Finding]:
    if found.in_sla is None:
        return []
    hours = _hours_words(params.sla_hours)
    headline = _("{share} of leads are answered within {hours}").format(
        share=lang.percent(found.in_sla.value), hours=hours
    )
    text = ngettext(
        "{n} lead still waits, {late} of all that wait for longer than that.",
        "{n} leads still wait, {late} of them for longer than that.",
        found.n_waiting,
    ).format(n=lang.count(found.n_waiting), late=lang.count(found.n_late))
    detail = _(
        "The 95% interval is {interval}, n = {n}; leads that still wait count for the time they have waited."
    ).format(interval=lang.between(found.in_sla.low, found.in_sla.high), n=lang.count(found.n))
    return [Finding("warn" if found.n_late else "plain", headline, f"{detail} {text}")]


def _hours_words(hours: float) -> str:
    text = lang.decimal(hours, 0 if float(hours).is_integer() else 1)
    return ngettext("{hours} working hour", "{hours} working hours", int(np.ceil(hours))).format(hours=text)


def _changed(found: Leads) -> list[Finding]:
    """The steps that changed beyond chance against as many months before."""
    table = found.table
    made = []
    for row in table[table["p_adjusted"] < SIGNIFICANT].itertuples():
        points = abs(round(row.change.value * 100))
        text = ngettext("{step} fell {points} point to {now}", "{step} fell {points} points to {now}", points)
        if row.change.value > 0:
            text = ngettext("{step} rose {points} point to {now}", "{step} rose {points} points to {now}", points)
        headline = text.format(step=_pair(found, row.step), points=points, now=lang.percent(row.rate.value))
        detail = _(
            "It was {before} in as many months before; the 95% interval of the change is {low} to {high} points, by "
            "{days} days, corrected for {n} steps."
        ).format(
            before=lang.percent(row.rate_before.value),
            low=lang.points(row.change.low, signed=True),
            high=lang.points(row.change.high, signed=True),
            days=lang.days(row.age_days),
            n=int(table["p_adjusted"].notna().sum()),
        )
        made.append(Finding("bad" if row.change.value < 0 else "good", headline, detail))
    return made


def _differs(found: Leads, params: Params) -> list[Finding]:
    """The groups whose leads become deals more or less often than all others'."""
    table = found.groups
    beyond = table[(table["p_adjusted"] < SIGNIFICANT) & table["deal"].notna()] if len(table) else table
    if not len(beyond):
        return []
    order = beyond.assign(value=[one.value for one in beyond["deal"]]).sort_values("value", kind="stable")
    best, worst = order.iloc[-1], order.iloc[0]
    said = [worst] if len(order) == 1 else [best, worst]
    named = "; ".join(
        _("{group} {share} ({interval}), n = {n}").format(
            group=group_name(row["group"]),
            share=lang.percent(row["deal"].value, 1),
            interval=lang.between(row["deal"].low, row["deal"].high),
            n=lang.count(row["n"]),
        )
        for row in said
    )
    headline = _("Leads become deals unlike often, by {dimension}").format(
        dimension=dimension_name(params.split_by).lower()
    )
    detail = _("Became a deal: {named}; each beyond chance against all others, corrected for {n} comparisons.")
    return [Finding("plain", headline, detail.format(named=named, n=int(table["p_adjusted"].notna().sum())))]


def _answers(found: Leads) -> list[Finding]:
    """Quick answers against slow ones, without claiming a cause."""
    known = found.answers[found.answers["deal"].notna()] if len(found.answers) else found.answers
    if len(known) < 2:
        return []
    first, last = known.iloc[0], known.iloc[-1]
    apart = first["deal"].low > last["deal"].high or first["deal"].high < last["deal"].low
    words = {
        "quick": band_name(found, int(first["band"])),
        "slow": band_name(found, int(last["band"])),
        "quick_share": lang.percent(first["deal"].value),
        "slow_share": lang.percent(last["deal"].value),
        "days": lang.days(first["age_days"]),
    }
    if not apart:
        headline = _("Quick and slow answers cannot be told apart by what became of the leads")
        detail = _("Answered {quick}: {quick_share} became a deal within {days} days; {slow}: {slow_share}.")
        return [Finding("plain", headline, detail.format(**words))]
    headline = _("Answered {quick}, {quick_share} of leads became a deal; {slow}, {slow_share}").format(**words)
    detail = _(
        "Within {days} days of the answer. It does not say that "
        "quickness is the reason: leads that look good are often "
        "answered first."
    ).format(**words)
    return [Finding("plain", headline, detail)]


def band_name(found: Leads, band: int) -> str:
    """How long a band of leads waited for its answer."""
    edges = [lang.decimal(edge, 0 if float(edge).is_integer() else 1) for edge in found.edges]
    if band == 0:
        return _("within {to} h").format(to=edges[0])
    if band == len(edges):
        return _("after {from} h").format(**{"from": edges[-1]})
    return _("after {from} to {to} h").format(**{"from": edges[band - 1], "to": edges[band]})


def tiles(found: Leads, params: Params) -> list[Tile]:
    """The headline numbers."""
    before = lang.count(found.n_before) if found.n_before else ""
    shown = [Tile(_("Leads"), lang.count(found.n), before, _("before") if before else "", lang.period(params.window))]
    for row in found.table.itertuples():
        now, old = row.rate, row.rate_before
        note = (
            _("too few leads") if now is None else _("95%: {interval}").format(interval=lang.between(now.low, now.high))
        )
        shown.append(
            Tile(_pair(found, row.step), _share(now), _share(old) if old else "", _("before") if old else "", note)
        )
    median = found.median_hours
    if median is not None:
        note = _("nine in ten: {hours}").format(hours=_number(found.p90_hours))
        shown.append(Tile(_("Median working hours to answer"), _number(median), note=note))
    return shown


def _number(hours: Estimate | None) -> str:
    if hours is None:
        return lang.NONE
    return f"<\N{NO-BREAK SPACE}{lang.decimal(0.1)}" if hours.value < 0.1 else lang.decimal(hours.value)


def reached(found: Leads) -> tuple[list[str], list[int]]:
    """Names and counts for the bars."""
    counts = [found.n, *(int(row.n_moved) for row in found.table.itertuples())]
    return [step_name(step) for step in found.steps], counts


def reached_alt(found: Leads) -> str:
    bars = "; ".join(f"{name}: {lang.count(n)}" for name, n in zip(*reached(found), strict=True))
    return _("Bars: {bars}.").format(bars=bars)


def group_points(found: Leads) -> tuple[list[str], list[Estimate | None], list[bool]]:
    """Names, shares that became a deal, and whether they are beyond chance."""
    table = found.groups.head(10)
    hot = [bool(p < SIGNIFICANT) for p in table["p_adjusted"]]
    return [group_name(group) for group in table["group"]], table["deal"].tolist(), hot


def group_alt(found: Leads) -> str:
    names, shares, _hot = group_points(found)
    points = "; ".join(f"{name}: {_share(share)}" for name, share in zip(names, shares, strict=True))
    return _("Points with intervals: {points}.").format(points=points or _("not split"))


def caption(found: Leads, params: Params) -> str:
    return _(
        "Leads of {window}, n = {n}. Left: up to now. Right: within "
        "{days} days of coming in, or as long as enough were "
        "watched; orange differs from all others beyond chance."
    ).format(window=lang.period(params.window), n=lang.count(found.n), days=lang.count(params.horizon_days))


def step_table(found: Leads) -> Table:
    """One row per step: how many reached it and went on, the share, and what it was before."""
    rows, hot = [], []
    for row in found.table.itertuples():
        change = [lang.NONE] * 2
        if row.change is not None:
            limits = f"{lang.points(row.change.low, signed=True)} … {lang.points(row.change.high, signed=True)}"
            change = [lang.points(row.change.value, signed=True), limits]
        counted = [lang.count(n) for n in (row.n, row.n_moved, row.n_open)]
        rates = [_share(row.rate), _limits(row.rate), lang.days(row.age_days), _share(row.rate_before)]
        rows.append([_pair(found, row.step), *counted, *rates, *change])
        hot.append(bool(row.p_adjusted < SIGNIFICANT))
    columns = [
        _("Step"),
        _("Reached"),
        _("Went further"),
        _("Not further yet"),
        _("Share further"),
        _("95% interval"),
        _("by day"),
        _("Before"),
        _("Change, points"),
        _("95% interval of the change"),
    ]
    missing = [step for step in ("qualified", "accepted", "deal") if step not in found.steps]
    notes = [
        _(
            "A lead counts at a step if it reached it or passed it; what "
            "is not further yet counts for the time it was watched."
        )
    ]
    if missing:
        named = ", ".join(step_name(step).lower() for step in missing)
        notes.append(_("The source does not say: {steps}.").format(steps=named))
    return Table(_("From lead to won"), columns, rows, [False] + [True] * 9, hot, notes)


def group_table(found: Leads, params: Params) -> Table | None:
    """One row per group: how many leads, deals and wins, the shares, and how soon they are answered."""
    if found.groups.empty:
        return None
    shown, rows, hot = found.groups.head(MOST_GROUPS), [], []
    answers = found.in_sla is not None
    for row in shown.itertuples():
        cells = [
            group_name(row.group),
            *(lang.count(n) for n in (row.n, row.n_deal, row.n_won)),
            lang.percent(row.n_won / row.n, 2),
        ]
        cells += [
            _share(row.deal),
            _limits(row.deal),
            _p(row.p_adjusted),
            _share(row.won),
            _limits(row.won),
            lang.days(row.age_days),
        ]
        cells += [_share(row.in_sla), _limits(row.in_sla), _number(row.median_hours)] if answers else []
        rows.append(cells)
        hot.append(bool(row.p_adjusted < SIGNIFICANT))
    columns = [
        dimension_name(params.split_by),
        _("Leads"),
        _("Deals"),
        _("Won"),
        _("Won so far"),
        _("Became a deal"),
        _("95% interval"),
        _("Adjusted p"),
        _("Won"),
        _("95% interval"),
        _("by day"),
    ]
    columns += [_("Answered in time"), _("95% interval"), _("Median hours")] if answers else []
    notes = [
        _(
            "Adjusted p: of becoming a deal as often as all others "
            "(Holm). Won so far counts young leads as if they had failed."
        )
    ]
    left = len(found.groups) - len(shown)
    if left:
        notes.append(
            ngettext("{n} smaller group is not shown.", "{n} smaller groups are not shown.", left).format(n=left)
        )
    caption_ = _("By {dimension}").format(dimension=dimension_name(params.split_by).lower())
    return Table(caption_, columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def answer_table(found: Leads, params: Params) -> Table | None:
    """How long leads waited for an answer, and what became of them."""
    if found.answers.empty:
        return None
    rows = [
        [
            band_name(found, int(row.band)),
            lang.count(row.n),
            _share(row.deal),
            _limits(row.deal),
            lang.days(row.age_days),
        ]
        for row in found.answers.itertuples()
    ]
    columns = [_("Answered"), _("Leads"), _("Became a deal"), _("95% interval"), _("days after the answer")]
    hours = _("{begin}:00 to {end}:00").format(begin=params.work_from, end=params.work_to)
    where = params.calendar or _("Monday to Friday")
    notes = [
        _(
            "Working hours: {hours}, {calendar}. Leads that became a deal before they were answered are left out. What "
            "leads are answered first is somebody's choice, so this says nothing of the cause."
        ).format(hours=hours, calendar=where)
    ]
    return Table(
        _("How soon leads are answered, and what becomes of them"), columns, rows, [False] + [True] * 4, notes=notes
    )


def no_answers(found: Leads) -> str:
    """Why nothing is said of answers; blank where something is."""
    return "" if found.in_sla is not None else _("The source does not say when leads were answered.")


def _share(found: Estimate | None) -> str:
    return lang.NONE if found is None else lang.percent(found.value, 1)


def _limits(found: Estimate | None) -> str:
    return lang.NONE if found is None else lang.between(found.low, found.high)


def _p(p: float) -> str:
    if np.isnan(p):
        return lang.NONE
    return f"< {lang.decimal(0.001, 3)}" if p < 0.001 else f"= {lang.decimal(p, 3)}"
