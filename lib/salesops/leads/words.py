"""The leads' sentences and tables: finished numbers in, finished text out, in every language."""

import numpy as np

from salesops import crm, lang
from salesops.findings import Finding, Table, Tile
from salesops.lang import _, ngettext
from salesops.leads.compute import MOST_GROUPS, Leads
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
    return _("not known") if group == crm.NOT_KNOWN else group


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
    text = lang.decimal(hours, next(digits for digits in (0, 1, 2) if digits == 2 or round(hours, digits) == hours))
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
        fell = row.change.value < 0
        made.append(Finding("bad" if fell else "good", headline, detail,
                            key=f"step/{found.steps[row.step]}/{'fell' if fell else 'rose'}", p=float(row.p_adjusted),
                            family="steps"))  # fmt: skip
    if not made and table["p_adjusted"].notna().any():
        made.append(Finding("plain", _("No step changed beyond what chance explains"), family="steps"))
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
    headline = _("How often leads become deals differs by {dimension}").format(
        dimension=lang.dimension(params.split_by).lower()
    )
    detail = _("Became a deal: {named}; each beyond chance against all others, corrected for {n} comparisons.")
    return [Finding("plain", headline, detail.format(named=named, n=int(table["p_adjusted"].notna().sum())))]


def _answers(found: Leads) -> list[Finding]:
    """Leads answered by some hour against those not yet, without claiming a cause."""
    known = found.answers[found.answers["change"].notna()] if len(found.answers) else found.answers
    if not len(known):
        return []
    beyond = known[known["p_adjusted"] < SIGNIFICANT].sort_values("p_adjusted", kind="stable")
    if not len(beyond):
        headline = _("Quick and slow answers cannot be told apart by what became of the leads")
        detail = _("{n} ages were compared; chance alone could explain every difference.").format(n=len(known))
        return [Finding("plain", headline, detail)]
    row = beyond.iloc[0]
    headline = _("Of leads answered within {hours} hours {share} became a deal, of the others {others}").format(
        hours=lang.count(row["hours"]),
        share=lang.percent(row["deal"].value),
        others=lang.percent(row["deal_waiting"].value),
    )
    detail = _(
        "Within {days} days from then on; the 95% interval of the "
        "difference is {low} to {high} points. It does not say "
        "that quickness is the reason: leads that look good are often answered first."
    ).format(
        days=lang.days(row["age_days"]),
        low=lang.points(row["change"].low, signed=True),
        high=lang.points(row["change"].high, signed=True),
    )
    return [Finding("plain", headline, detail)]


def tiles(found: Leads, params: Params) -> list[Tile]:
    """The headline numbers."""
    before = lang.count(found.n_before) if found.n_before else ""
    shown = [Tile(_("Leads"), lang.count(found.n), before, _("before") if before else "", lang.period(params.window))]
    days = lang.days(found.age_days) if lang.known(found.age_days) else lang.count(params.horizon_days)
    for text, share in ((_("A deal within {days} days"), found.deal), (_("Won within {days} days"), found.won)):
        note = _("too few leads") if share is None else _("95%: {interval}").format(interval=lang.between(*share[1:3]))
        shown.append(Tile(text.format(days=days), lang.rate(share, 1), note=note))
    if found.in_sla is not None:
        note = _("95%: {interval}").format(interval=lang.between(*found.in_sla[1:3]))
        shown.append(Tile(_("Answered in time"), lang.percent(found.in_sla.value), note=note))
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
    points = "; ".join(f"{name}: {lang.rate(share, 1)}" for name, share in zip(names, shares, strict=True))
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
        counted = [lang.count(n) for n in (row.n, row.n_moved, row.n_open)]
        rates = [
            lang.rate(row.rate, 1),
            lang.interval(row.rate),
            lang.days(row.age_days),
            lang.rate(row.rate_before, 1),
        ]
        rows.append([_pair(found, row.step), *counted, *rates, *lang.point_cells(row.change)])
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
            lang.rate(row.deal, 1),
            lang.interval(row.deal),
            lang.p_value(row.p_adjusted),
            lang.rate(row.won, 1),
            lang.interval(row.won),
            lang.days(row.age_days),
        ]
        cells += [lang.rate(row.in_sla, 1), lang.interval(row.in_sla), _number(row.median_hours)] if answers else []
        rows.append(cells)
        hot.append(bool(row.p_adjusted < SIGNIFICANT))
    columns = [
        lang.dimension(params.split_by),
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
    caption_ = _("By {dimension}").format(dimension=lang.dimension(params.split_by).lower())
    return Table(caption_, columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def answer_table(found: Leads) -> Table | None:
    """Leads answered by some age against those that were not, and what became of both."""
    if found.answers.empty:
        return None
    rows, hot = [], []
    for row in found.answers.itertuples():
        sides = [lang.count(row.n), lang.rate(row.deal, 1), lang.count(row.n_waiting), lang.rate(row.deal_waiting, 1)]
        rows.append(
            [
                lang.count(row.hours),
                *sides,
                *lang.point_cells(row.change),
                lang.p_value(row.p_adjusted),
                lang.days(row.age_days),
            ]
        )
        hot.append(bool(row.p_adjusted < SIGNIFICANT))
    columns = [
        _("Hours since it came in"),
        _("Answered by then"),
        _("Became a deal"),
        _("Not yet answered"),
        _("Became a deal"),
        _("Difference, points"),
        _("95% interval"),
        _("Adjusted p"),
        _("days from then on"),
    ]
    notes = [
        _(
            "Leads that were no deal yet at that age, so that both "
            "sides have come as far. What leads are answered first "
            "is somebody's choice, and {n} leads were accepted "
            "without an answer on record, so this says nothing of the "
            "cause."
        ).format(n=lang.count(found.n_unrecorded))
    ]
    return Table(_("How soon leads are answered, and what becomes of them"), columns, rows, [True] * 9, hot, notes)


def hours_note(found: Leads, params: Params) -> str:
    """What a working hour is; why nothing is said of answers where the source has none."""
    if found.in_sla is None:
        return _("The source does not say when leads were answered.")
    return _("In time is within {sla}. Working hours: {begin}:00 to {end}:00, {calendar}.").format(
        sla=_hours_words(params.sla_hours),
        begin=params.work_from,
        end=params.work_to,
        calendar=params.calendar or _("Monday to Friday"),
    )
