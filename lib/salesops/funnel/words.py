"""The funnel's sentences and tables: finished numbers in, finished text out, in every language."""

import numpy as np
import pandas as pd

from salesops import lang
from salesops.findings import Finding, Table, Tile
from salesops.funnel.compute import ALL, LEAST_VALUED, Funnel
from salesops.funnel.counts import NOT_KNOWN
from salesops.lang import _, ngettext
from salesops.stats import Estimate

SIGNIFICANT = 0.05
MOST_GROUPS = 12


def title() -> str:
    return _("Funnel")


def facts(funnel: Funnel) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    created = _("deals created {window}").format(window=lang.period(funnel.scope.cohorts["now"]))
    return [part for part in (funnel.scope.pipeline, created) if part]


def findings(funnel: Funnel) -> list[Finding]:
    """What the reader should know first: what changed beyond chance, then where things stand."""
    return [*_changed(funnel), _won(funnel), *_weakest(funnel), *_slowest(funnel)]


def _changed(funnel: Funnel) -> list[Finding]:
    """One finding for each stage that changed beyond chance: of all deals, or of the group that did."""
    table = funnel.changes
    if table.empty:
        return []
    found = table[table["p_adjusted"] < SIGNIFICANT].sort_values("p", kind="stable")
    if found.empty:
        text = ngettext(
            "{n} comparison with {before}; chance alone could explain the difference.",
            "{n} comparisons with {before}, by stage and group; chance alone could explain every difference, "
            "which does not mean that there is none.",
            len(table),
        )
        detail = text.format(n=len(table), before=lang.period(funnel.scope.cohorts["before"]))
        return [Finding("plain", _("No stage changed beyond what chance explains"), detail)]
    findings_ = []
    for step in found["step"].drop_duplicates():
        here = found[found["step"] == step]
        together = here[here["group"] == ALL]
        row = next((together if len(together) else here).itertuples())
        findings_.append(_one_change(funnel, row, here[here["group"] != row.group]))
    return findings_


def _one_change(funnel: Funnel, row, others: pd.DataFrame) -> Finding:
    """`others` are the groups that changed beyond chance at the same stage."""
    points = abs(round(row.change.value * 100))
    step = step_name(funnel, row.step)
    place = step if row.group == ALL else _("{group}: {step}").format(group=group_name(row.group), step=step)
    if row.change.value < 0:
        headline = ngettext("{step} fell {points} point to {now}", "{step} fell {points} points to {now}", points)
    else:
        headline = ngettext("{step} rose {points} point to {now}", "{step} rose {points} points to {now}", points)
    headline = headline.format(step=place, points=points, now=lang.percent(row.rate.value))
    detail = _(
        "It was {before} for deals created in {period}. The 95% interval of the change is {low} to {high} points; it "
        "stands out after correcting for {n} comparisons (adjusted p {p}). Deals that reached the stage: {n_deals}, "
        "followed for {age} days."
    ).format(
        before=lang.percent(row.rate_before.value),
        period=lang.period(funnel.scope.cohorts["before"]),
        low=lang.points(row.change.low, signed=True),
        high=lang.points(row.change.high, signed=True),
        n=len(funnel.changes),
        p=p_value(row.p_adjusted),
        n_deals=lang.count(row.n),
        age=lang.days(row.age_days),
    )
    tone = "bad" if row.change.value < 0 else "good"
    return Finding(tone, headline, " ".join([detail, *_groups_too(funnel, row, others)]))


def _groups_too(funnel: Funnel, row, others: pd.DataFrame) -> list[str]:
    """Which groups changed beyond chance at the same stage; that none did, if all deals together did."""
    if row.group == ALL and others.empty and (funnel.changes["group"] != ALL).any():
        return [_("No single group stands out beyond chance.")]
    return [
        _("{group} stands out: {before} before, {now} now.").format(
            group=group_name(other.group),
            before=lang.percent(other.rate_before.value),
            now=lang.percent(other.rate.value),
        )
        for other in others.itertuples()
    ]


def _won(funnel: Funnel) -> Finding:
    life = _life(funnel, "now")
    window = lang.period(funnel.scope.cohorts["now"])
    if life["rate"] is None:
        headline = _("Too few deals to say what share is won")
        if life["n"] >= funnel.scope.min_deals:
            headline = _("The deals are too young to say what share is won")
        return Finding("warn", headline, _too_few(life["n"], funnel.scope.min_deals))
    headline = _("{share} of deals are won within {days} days").format(
        share=lang.percent(life["rate"].value), days=lang.days(life["age_days"])
    )
    created = ngettext("Of {n} deal created in {window}", "Of {n} deals created in {window}", life["n"]).format(
        n=lang.count(life["n"]), window=window
    )
    still = ngettext("{n} is still open", "{n} are still open", life["n_open"]).format(n=lang.count(life["n_open"]))
    detail = _(
        "{created}, {still} and counted only for the time they have been watched; the 95% interval is {interval}."
    ).format(created=created, still=still, interval=lang.between(life["rate"].low, life["rate"].high))
    return Finding("plain", headline, detail)


def _weakest(funnel: Funnel) -> list[Finding]:
    now = _steps(funnel, "now")
    known = now[now["rate"].notna()]
    if len(known) < 2 or known["age_days"].nunique() > 1:  # shares at different ages say nothing of each other
        return []
    order = known.assign(value=[rate.value for rate in known["rate"]]).sort_values("value", kind="stable")
    weakest, next_one = order.iloc[0], order.iloc[1]
    words = {
        "step": step_name(funnel, weakest["step"]),
        "share": lang.percent(weakest["rate"].value),
        "interval": lang.between(weakest["rate"].low, weakest["rate"].high),
        "days": lang.days(weakest["age_days"]),
    }
    headline = _("{step} is the narrowest place: {share} go further within {days} days").format(**words)
    if weakest["rate"].high >= next_one["rate"].low:
        headline = _("The narrowest place cannot be told from the next one")
        detail = _(
            "{step} has {share} ({interval}), {other} has {other_share} ({other_interval}); the intervals overlap."
        )
        return [
            Finding(
                "plain",
                headline,
                detail.format(
                    **words,
                    other=step_name(funnel, next_one["step"]),
                    other_share=lang.percent(next_one["rate"].value),
                    other_interval=lang.between(next_one["rate"].low, next_one["rate"].high),
                ),
            )
        ]
    detail = _("The 95% interval is {interval}; the next narrowest is {other} with {other_share}.").format(
        **words, other=step_name(funnel, next_one["step"]), other_share=lang.percent(next_one["rate"].value)
    )
    return [Finding("warn", headline, detail)]


def _slowest(funnel: Funnel) -> list[Finding]:
    known = funnel.stays[funnel.stays["median"].notna()]
    if known.empty:
        return []
    row = known.assign(days=[m.value for m in known["median"]]).sort_values("days", kind="stable").iloc[-1]
    headline = _("Deals stay longest in {stage}: half leave within {days} days").format(
        stage=row["stage"], days=lang.days(row["days"])
    )
    detail = ngettext(
        "{n} stay, {n_open} of them still going on; the 95% interval of the median is {low} to {high} days.",
        "{n} stays, {n_open} of them still going on; the 95% interval of the median is {low} to {high} days.",
        row["n"],
    ).format(n=lang.count(row["n"]), n_open=lang.count(row["n_open"]), **_limits(row["median"]))
    return [Finding("plain", headline, detail)]


def tiles(funnel: Funnel, currency: str) -> list[Tile]:
    """The headline numbers, each with what it was before."""
    now, before = _life(funnel, "now"), _life(funnel, "before")
    against = _("before") if before is not None else ""
    shares = [None if life is None else life["rate"] for life in (now, before)]
    closed = [_closing(funnel, name) for name in ("now", "before")]
    by_count = [None if row is None else row["by_count"] for row in closed]
    won = [None if row is None else row["won_amount"] for row in closed]
    open_now = funnel.standing[funnel.standing["kind"] == "open"]
    n_open, amount = int(open_now["n"].sum()), open_now["amount"].sum(min_count=1)
    return [
        Tile(
            _("Deals created"),
            lang.count(now["n"]),
            "" if before is None else lang.count(before["n"]),
            against,
            lang.period(funnel.scope.cohorts["now"]),
        ),
        _share_tile(_won_within(funnel, now), shares, against),
        _share_tile(_("Win rate of closed deals"), by_count, against),
        Tile(
            _("Won amount"),
            lang.money(won[0], currency, compact=True),
            lang.money(won[1], currency, compact=True) if won[1] is not None else "",
            against,
            _("closed in these months"),
        ),
        Tile(
            _("Open pipeline"),
            lang.money(amount, currency, compact=True),
            "" if funnel.open_before is None else lang.money(funnel.open_before, currency, compact=True),
            "" if funnel.open_before is None else against,
            ngettext("{n} open deal on the last day", "{n} open deals on the last day", n_open).format(
                n=lang.count(n_open)
            ),
        ),
    ]


def shown_days(funnel: Funnel) -> float:
    """How far the picture by age goes: to the horizon, or as far as enough deals were watched."""
    age = _life(funnel, "now")["age_days"]
    return age if lang.known(age) else funnel.scope.horizon_days


def _won_within(funnel: Funnel, life) -> str:
    days = life["age_days"] if lang.known(life["age_days"]) else funnel.scope.horizon_days
    return _("Won within {days} days").format(days=lang.days(days))


def tiles_note(funnel: Funnel) -> str:
    """What "before" is, what the months are, and why nothing is compared where it is not."""
    scope, now = funnel.scope, lang.period(funnel.scope.cohorts["now"])
    if "before" in scope.cohorts:
        before = lang.period(scope.cohorts["before"])
        text = _("Deals created, or closed, in {now}, or open at the end of it; before: {before}.").format(
            now=now, before=before
        )
    else:
        text = _("Deals created, or closed, in {now}.").format(now=now)
    if scope.begins_on:
        text += " " + _("Nothing is compared: the history begins in {month}.").format(month=lang.month(scope.begins_on))
    if scope.known_to:
        text += " " + _("These months are known only to {day}.").format(day=lang.day(scope.known_to))
    return text


def _share_tile(name: str, rates: list[Estimate | None], against: str) -> Tile:
    now, before = rates
    if now is None:
        return Tile(name, lang.NONE, note=_("too few deals"))
    note = _("95%: {interval}").format(interval=lang.between(now.low, now.high))
    return Tile(
        name, lang.percent(now.value), lang.percent(before.value) if before else "", against if before else "", note
    )


def stage_table(funnel: Funnel) -> Table:
    """One row per stage: how many reached it, what became of them, the share that goes further."""
    now, before = _steps(funnel, "now"), _steps(funnel, "before")
    together = funnel.changes[funnel.changes["group"] == ALL].set_index("step")
    compared = "before" in funnel.scope.cohorts
    rows, hot, notes = [], [], []
    if not any(funnel.scope.stages):
        notes.append(_("The source keeps no history of stages, so nothing can be said of single stages."))
    for row in now.itertuples():
        change = together.loc[row.step] if row.step in together.index else None
        older = before[before["step"] == row.step] if before is not None else None
        rows.append(
            [
                step_name(funnel, row.step),
                *(lang.count(n) for n in (row.n_reached, row.n_moved, row.n_lost, row.n_open)),
                *_rate_cells(row.rate),
                *([_cell(older, "rate"), *_change_cells(change)] if compared else []),
            ]
        )
        hot.append(change is not None and change["p_adjusted"] < SIGNIFICANT)
        notes += _reason(funnel, row)
    columns = [
        _("Stage"),
        _("Reached"),
        _("Went further"),
        _("Lost"),
        _("Not further yet"),
        _("Share further"),
        _("95% interval"),
    ]
    if compared:
        columns += [_("Before"), _("Change, points"), _("95% interval of the change")]
    caption = _("What became of deals created in {window}").format(window=lang.period(funnel.scope.cohorts["now"]))
    return Table(caption, columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def _reason(funnel: Funnel, row) -> list[str]:
    """Why a share is absent, or holds at another age than the page's."""
    name = step_name(funnel, row.step)
    if row.rate is None and row.n_reached >= funnel.scope.min_deals and 2 * row.dated < row.n_reached:
        return [
            _("{step}: the source does not date entries into this stage, so no share can be known.").format(step=name)
        ]
    if row.rate is None and row.n_reached >= funnel.scope.min_deals:
        text = _("{step}: fewer than {least} deals were watched for a day.")
        return [text.format(step=name, least=funnel.scope.min_deals)]
    if row.rate is None:
        return [f"{name}: {_too_few(row.n_reached, funnel.scope.min_deals)}"]
    if row.age_days < funnel.scope.horizon_days:
        text = _(
            "{step}: the share holds {age} days after reaching the stage; fewer than {least} deals were watched longer."
        )
        return [text.format(step=name, age=lang.days(row.age_days), least=funnel.scope.min_deals)]
    return []


def group_table(funnel: Funnel, dimension: str) -> Table | None:
    """One row per group: deals, the share won by the horizon, the win rate of closed deals, the stage
    that changed most; None where the page is not split."""
    now = funnel.lives[(funnel.lives["cohort"] == "now") & (funnel.lives["group"] != ALL)]
    if now.empty:
        return None
    shown = now.sort_values(["n", "group"], ascending=[False, True], kind="stable").head(MOST_GROUPS)
    focus = _focus(funnel)
    changed = funnel.changes[funnel.changes["step"] == focus].set_index("group")
    rows, hot = [], []
    for row in shown.itertuples():
        closing = _closing(funnel, "now", row.group)
        change = changed.loc[row.group] if row.group in changed.index else None
        win = closing["by_count"] if closing is not None else None
        win = win if win is not None and win.n >= funnel.scope.min_deals else None
        rows.append(
            [
                group_name(row.group),
                lang.count(row.n),
                lang.count(row.n_open),
                *_rate_cells(row.rate),
                lang.days(row.age_days),
                *_rate_cells(win),
                *([] if focus is None else _group_change(change)),
            ]
        )
        hot.append(change is not None and change["p_adjusted"] < SIGNIFICANT)
    columns = [
        dimension_name(dimension),
        _("Deals"),
        _("Open"),
        _("Won"),
        _("95% interval"),
        _("by day"),
        _("Win rate of closed"),
        _("95% interval"),
    ]
    if focus is not None:
        now_title = _("{step}: now").format(step=step_name(funnel, focus))
        columns += [now_title, _("before"), _("Change, points"), _("95% interval of the change")]
    notes = [_("A dash: fewer than {least} deals, too few for a rate.").format(least=funnel.scope.min_deals)]
    n_left = len(now) - len(shown)
    if n_left:
        text = ngettext("{n} smaller group is not shown.", "{n} smaller groups are not shown.", n_left)
        notes.append(text.format(n=n_left))
    caption = _("By {dimension}").format(dimension=dimension_name(dimension).lower())
    return Table(caption, columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def _focus(funnel: Funnel) -> int | None:
    """The stage whose share changed least by chance; without a comparison, none."""
    together = funnel.changes[funnel.changes["group"] == ALL]
    return None if together.empty else int(together.sort_values("p", kind="stable")["step"].iloc[0])


def _group_change(change) -> list[str]:
    if change is None:
        return [lang.NONE] * 4
    return [lang.percent(change["rate"].value), lang.percent(change["rate_before"].value), *_change_cells(change)]


def time_table(funnel: Funnel) -> Table | None:
    """One row per stage: how long visits last, those still going on included; None without a history."""
    if funnel.stays.empty:
        return None
    rows, notes = [], []
    for row in funnel.stays.itertuples():
        quantiles = [_quantile_cells(q) for q in (row.median, row.upper)]
        rows.append([row.stage, lang.count(row.n), lang.count(row.n_open), *quantiles[0], *quantiles[1]])
        if row.median is None:
            notes.append(f"{row.stage}: {_no_median(row, funnel.scope.min_deals)}")
    columns = [
        _("Stage"),
        _("Visits"),
        _("Still going on"),
        _("Median, days"),
        _("95% interval"),
        _("Three quarters leave within, days"),
        _("95% interval"),
    ]
    return Table(_("Time in stage (Kaplan–Meier)"), columns, rows, [False] + [True] * 6, notes=notes)


def _no_median(row, least: int) -> str:
    if row.n == 0:
        return _("no dated visit in these months.")
    if row.n < least:
        return _too_few(row.n, least)
    return _("fewer than half of the visits have ended, so the median is not known yet.")


def rate_table(funnel: Funnel, currency: str) -> Table:
    """The win rate by every definition on this page, each with its definition."""
    life, closing = _life(funnel, "now"), _closing(funnel, "now")
    n, n_won, n_closed = life["n"], life["n_won"], life["n_won"] + life["n_lost"]
    rows = [
        [
            _won_within(funnel, life),
            *_rate_cells(life["rate"], 2),
            lang.count(n),
            _("Of deals created in the period, the share won by that age; open deals are censored (Aalen–Johansen)."),
        ]
    ]
    by_count = closing["by_count"] if closing is not None else None
    rows.append(
        [
            _("Win rate, by count"),
            *_rate_cells(by_count, 2),
            lang.count(by_count.n if by_count else 0),
            _("Won ÷ (won + lost) among deals closed in the period, whenever they were created (Wilson)."),
        ]
    )
    by_value = closing["by_value"] if closing is not None else None
    reason = "" if by_value else " " + _no_value(closing)
    rows.append(
        [
            _("Win rate, by value"),
            *_rate_cells(by_value, 2),
            lang.count(by_value.n if by_value else 0),
            _("Won amount ÷ (won + lost amount), {currency}, among the same deals.").format(currency=currency) + reason,
        ]
    )
    rows.append(
        [
            _("Won so far ÷ created"),
            lang.percent(n_won / n, 2),
            lang.NONE,
            lang.count(n),
            _("Counts open deals as if they were lost, at whatever age; shown because other systems print it."),
        ]
    )
    resolved = lang.percent(n_won / n_closed, 2) if n_closed else lang.NONE
    rows.append(
        [
            _("Won ÷ closed so far, same deals"),
            resolved,
            lang.NONE,
            lang.count(n_closed),
            _("Of the deals created in the period, those already closed; the quick ones weigh too much."),
        ]
    )
    columns = [_("Definition"), _("Rate"), _("95% interval"), _("Deals"), _("How it is counted")]
    notes = [
        _(
            "A dash instead of an interval: too few deals, or a share so biased that an interval around it would "
            "mislead."
        )
    ]
    return Table(_("One win rate, five definitions"), columns, rows, [False, True, True, True, False], notes=notes)


def _no_value(closing) -> str:
    n_closed = 0 if closing is None else closing["n_won"] + closing["n_lost"]
    if n_closed < LEAST_VALUED:
        return _("Not known here: amounts differ so much that at least {least} closed deals are needed.").format(
            least=LEAST_VALUED
        )
    return _("Not known here: too many of them have no amount, or one is below zero.")


def standing_table(funnel: Funnel, currency: str) -> Table:
    """Every deal of the pipeline on the last day known."""
    table, rows, notes = funnel.standing, [], []
    for row in table.itertuples():
        rows.append([_stage(row.stage), kind_name(row.kind), lang.count(row.n), lang.money(row.amount, currency)])
        if row.n and row.n_amount < row.n:
            n_missing = row.n - row.n_amount
            text = ngettext(
                "{stage}: {n} deal has no amount in the source.",
                "{stage}: {n} deals have no amount in the source.",
                n_missing,
            )
            notes.append(text.format(stage=_stage(row.stage), n=lang.count(n_missing)))
    total = [_("All deals"), "", lang.count(table["n"].sum()), lang.money(table["amount"].sum(min_count=1), currency)]
    columns = [_("Stage"), _("Kind"), _("Deals"), _("Amount, {currency}").format(currency=currency)]
    n_undated = int(table["n_undated"].sum())
    if n_undated:
        text = ngettext(
            "{n} deal has no creation date: it is counted here and belongs to no period above.",
            "{n} deals have no creation date: they are counted here and belong to no period above.",
            n_undated,
        )
        notes.append(text.format(n=lang.count(n_undated)))
    caption = _("Where every deal of the pipeline stands on the last day known")
    return Table(caption, columns, [*rows, total], [False, False, True, True], [False] * len(rows) + [False], notes)


def longest_table(funnel: Funnel, currency: str) -> Table | None:
    """The open deals that have stayed longest where they are."""
    if funnel.longest.empty:
        return None
    rows = [
        [
            row.name if pd.notna(row.name) else row.deal_id,
            row.account if pd.notna(row.account) else lang.NONE,
            row.stage,
            lang.days(row.days_in_stage),
            lang.money(row.amount, currency),
        ]
        for row in funnel.longest.rename_axis(None).itertuples(index=False, name="Deal")
    ]
    columns = [
        _("Deal"),
        _("Account"),
        _("Stage"),
        _("Days in stage"),
        _("Amount, {currency}").format(currency=currency),
    ]
    return Table(
        _("Open deals that have stayed longest in their stage"), columns, rows, [False, False, False, True, True]
    )


def reached(funnel: Funnel) -> tuple[list[str], list[int]]:
    """Names and counts for the bars: the stages, then won."""
    now = _steps(funnel, "now")
    names = [*(_stage_names(funnel)[k] for k in now["step"]), _("Won")]
    return names, [*now["n_reached"].tolist(), int(now["n_moved"].iloc[-1])]


def reached_alt(funnel: Funnel) -> str:
    names, counts = reached(funnel)
    return _("Bars: {bars}.").format(
        bars="; ".join(f"{n}: {lang.count(c)}" for n, c in zip(names, counts, strict=True))
    )


def conversion_alt(funnel: Funnel) -> str:
    rates = [
        f"{step_name(funnel, row.step)}: {lang.percent(row.rate.value) if row.rate else _('not known')}"
        for row in _steps(funnel, "now").itertuples()
    ]
    return _("Points with intervals: {points}.").format(points="; ".join(rates))


def conversion_caption(funnel: Funnel) -> str:
    life, scope = _life(funnel, "now"), funnel.scope
    text = _("Deals created in {window}, n = {n}, by {days} days after reaching the stage at the latest.").format(
        window=lang.period(scope.cohorts["now"]), n=lang.count(life["n"]), days=scope.horizon_days
    )
    if any(rates(funnel, "before")):
        text += " " + _(
            "The grey tick is {before}. Orange: a change that survives the correction for several comparisons."
        ).format(before=lang.period(scope.cohorts["before"]))
    return text


def age_alt(funnel: Funnel) -> str:
    days = int(shown_days(funnel))
    won, lost = (funnel.curves["now"].at(cause, days * 24).value for cause in ("won", "lost"))
    return _("Curves from 0 to {days} days: won rises to {won}, lost to {lost}; the rest is still open.").format(
        days=days, won=lang.percent(won), lost=lang.percent(lost)
    )


def age_caption(funnel: Funnel) -> str:
    text = _("Aalen–Johansen shares with open deals censored, n = {n}; the band is the 95% interval of won.").format(
        n=lang.count(_life(funnel, "now")["n"])
    )
    if "before" in funnel.curves:
        text += " " + _("Dashed: won, deals created in {before}.").format(
            before=lang.period(funnel.scope.cohorts["before"])
        )
    return text


def step_names(funnel: Funnel) -> list[str]:
    return [step_name(funnel, step) for step in _steps(funnel, "now")["step"]]


def rates(funnel: Funnel, cohort: str) -> list[Estimate | None]:
    """The share that goes further, for each stage of the present cohort."""
    table = _steps(funnel, cohort)
    known = {} if table is None else dict(zip(table["step"], table["rate"], strict=True))
    return [known.get(step) for step in _steps(funnel, "now")["step"]]


def hot(funnel: Funnel) -> list[bool]:
    """Which stages changed beyond chance."""
    found = funnel.changes[(funnel.changes["group"] == ALL) & (funnel.changes["p_adjusted"] < SIGNIFICANT)]
    return [step in set(found["step"]) for step in _steps(funnel, "now")["step"]]


def step_name(funnel: Funnel, step: int) -> str:
    stages = [*_stage_names(funnel), _("Won")]
    return f"{stages[step]} → {stages[step + 1]}"


def _stage_names(funnel: Funnel) -> list[str]:
    return [stage or _("Created") for stage in funnel.scope.stages]


def group_name(group: str) -> str:
    return _("not known") if group == NOT_KNOWN else group


def dimension_name(dimension: str) -> str:
    return {
        "segment": _("Segment"),
        "region": _("Region"),
        "source": _("Source"),
        "product": _("Product"),
        "deal_type": _("Deal type"),
        "industry": _("Industry"),
        "country": _("Country"),
        "team": _("Team"),
    }.get(dimension, dimension)


def _stage(stage) -> str:
    return stage if pd.notna(stage) else _("not known")


def kind_name(kind: str) -> str:
    return {"open": _("open"), "won": _("won"), "lost": _("lost")}[kind]


def p_value(p: float) -> str:
    """Relation and value: = 0.012, < 0.001."""
    return f"<\N{NO-BREAK SPACE}{lang.decimal(0.001, 3)}" if p < 0.001 else f"=\N{NO-BREAK SPACE}{lang.decimal(p, 3)}"


def _steps(funnel: Funnel, cohort: str) -> pd.DataFrame | None:
    table = funnel.steps[(funnel.steps["cohort"] == cohort) & (funnel.steps["group"] == ALL)]
    return None if table.empty else table.sort_values("step")


def _life(funnel: Funnel, cohort: str, group: str = ALL):
    return _row(funnel.lives, cohort, group)


def _closing(funnel: Funnel, cohort: str, group: str = ALL):
    return _row(funnel.closings, cohort, group)


def _row(table: pd.DataFrame, cohort: str, group: str):
    found = table[(table["cohort"] == cohort) & (table["group"] == group)]
    return None if found.empty else found.iloc[0]


def _cell(table: pd.DataFrame | None, column: str) -> str:
    rate = None if table is None or table.empty else table[column].iloc[0]
    return lang.NONE if rate is None else lang.percent(rate.value)


def _rate_cells(rate: Estimate | None, digits: int = 1) -> list[str]:
    return [lang.NONE] * 2 if rate is None else [lang.percent(rate.value, digits), lang.between(rate.low, rate.high)]


def _change_cells(change) -> list[str]:
    if change is None:
        return [lang.NONE] * 2
    found = change["change"]
    interval = f"{lang.points(found.low, signed=True)} … {lang.points(found.high, signed=True)}"
    return [lang.points(found.value, signed=True), interval]


def _quantile_cells(quantile: Estimate | None) -> list[str]:
    if quantile is None:
        return [lang.NONE] * 2
    limits = _limits(quantile)
    return [lang.days(quantile.value), f"{limits['low']}–{limits['high']}"]


def _limits(quantile: Estimate) -> dict[str, str]:
    return {"low": lang.days(quantile.low), "high": lang.days(quantile.high) if np.isfinite(quantile.high) else "∞"}


def _too_few(n: int, least: int) -> str:
    return ngettext("{n} deal; at least {least} are needed.", "{n} deals; at least {least} are needed.", n).format(
        n=lang.count(n), least=least
    )
