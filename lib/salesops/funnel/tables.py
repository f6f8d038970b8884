"""The funnel's tables: finished numbers in, finished text out, in every language."""

import pandas as pd

from salesops import lang, stats
from salesops.findings import Table
from salesops.funnel.cohorts import Rules
from salesops.funnel.compute import ALL, LEAST_VALUED, Funnel
from salesops.funnel.parity import Figure
from salesops.funnel.velocity import FACTORS
from salesops.funnel.watching import DAY_HOURS
from salesops.funnel.words import (
    SIGNIFICANT,
    closing_of,
    factor_name,
    group_name,
    kind_name,
    life_of,
    limits,
    rate_cells,
    stage_name,
    step_name,
    steps_of,
    too_few,
    whose,
    won_within,
)
from salesops.lang import _, ngettext
from salesops.stats import Estimate

MOST_GROUPS = 12
MOST_ROWS = 16
AGES = (1 / 3, 2 / 3, 1.0)  # of the horizon


def stage_table(funnel: Funnel) -> Table:
    """One row per stage: how many reached it, what became of them, the share that goes further, by count and value."""
    now, before = steps_of(funnel, "now"), steps_of(funnel, "before")
    together = funnel.changes[funnel.changes["group"] == ALL].set_index("step")
    compared, other = "before" in funnel.scope.cohorts, bool(now["n_other"].sum())
    rows, hot, notes = [], [], []
    if not any(funnel.scope.stages):
        notes.append(
            _(
                "The source keeps no history of stages: a stage is known only as it is now, or was at closing. So no "
                "conversion by stage can be said, and none is printed."
            )
        )
    for row in now.itertuples():
        change = together.loc[row.step] if row.step in together.index else None
        older = before[before["step"] == row.step] if before is not None else None
        counted = (row.n_reached, row.n_moved, row.n_lost, *([row.n_other] if other else []), row.n_open)
        rows.append(
            [
                step_name(funnel, row.step),
                *map(lang.count, counted),
                *rate_cells(row.rate),
                *rate_cells(row.by_value),
                *(
                    [_cell(older, "rate"), *lang.point_cells(None if change is None else change["change"])]
                    if compared
                    else []
                ),
            ]
        )
        hot.append(change is not None and change["p_adjusted"] < SIGNIFICANT)
        notes += _reason(funnel, row)
    totals = funnel.scope.rules.count_of == "totals"
    columns = [
        _("Stage"),
        _("Visits") if totals else _("Reached"),
        _("Went further"),
        _("Lost"),
        *([_("Moved back") if totals else _("Past the next stage")] if other else []),
        _("Not further yet"),
        _("Share further"),
        _("95% interval"),
        _("Share of the amount"),
        _("95% interval"),
    ]
    if compared:
        columns += [_("Before"), _("Change, points"), _("95% interval of the change")]
    if now["by_value"].isna().all() and now["rate"].notna().any():
        notes.append(_no_value(funnel))
    caption = _("What became of the deals, {whose}").format(whose=whose(funnel.scope, "now"))
    return Table(caption, columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def _no_value(funnel: Funnel) -> str:
    if not funnel.scope.valued:
        return _("By amount nothing is known: most lost deals have an amount of zero, which says that they were lost.")
    return _("By amount nothing is known: amounts are missing, below zero, or of fewer than {least} deals.").format(
        least=LEAST_VALUED
    )


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
        return [f"{name}: {too_few(row.n_reached, funnel.scope.min_deals)}"]
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
        closing = closing_of(funnel, "now", row.group)
        change = changed.loc[row.group] if row.group in changed.index else None
        win = closing["by_count"] if closing is not None else None
        win = win if win is not None and win.n >= funnel.scope.min_deals else None
        rows.append(
            [
                group_name(funnel.scope, row.group),
                lang.count(row.n),
                lang.count(row.n_open),
                *rate_cells(row.rate),
                lang.days(row.age_days),
                *rate_cells(win),
                *([] if focus is None else _group_change(change)),
            ]
        )
        hot.append(change is not None and change["p_adjusted"] < SIGNIFICANT)
    columns = [
        lang.dimension(dimension),
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
    caption = _("By {dimension}").format(dimension=lang.dimension(dimension).lower())
    return Table(caption, columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def _focus(funnel: Funnel) -> int | None:
    """The stage whose share changed least by chance; without a comparison, none."""
    together = funnel.changes[funnel.changes["group"] == ALL]
    return None if together.empty else int(together.sort_values("p", kind="stable")["step"].iloc[0])


def _group_change(change) -> list[str]:
    if change is None:
        return [lang.NONE] * 4
    return [
        lang.percent(change["rate"].value),
        lang.percent(change["rate_before"].value),
        *lang.point_cells(change["change"]),
    ]


def mix_table(funnel: Funnel) -> Table | None:
    """The stage that changed most, taken apart: what the mix of groups did, and what each group's own share did."""
    if not funnel.shifts:
        return None
    step, taken = next(iter(funnel.shifts.items()))
    if len(taken.parts) < 2:
        return None
    rows = []
    for row in taken.parts.itertuples():
        own = _point_interval(row.own)
        rows.append(
            [
                group_name(funnel.scope, row.group),
                lang.count(row.n),
                lang.percent(row.share_before),
                lang.percent(row.share),
                lang.percent(row.rate_before.value),
                lang.percent(row.rate.value),
                _tenths(row.mix),
                *own,
            ]
        )
    n = int(taken.parts["n"].sum())
    rows.append([_("Together"), lang.count(n), *[""] * 4, _tenths(taken.mix), *_point_interval(taken.own)])
    columns = [
        lang.dimension(funnel.scope.segment_by),
        _("Reached"),
        _("Part of deals before"),
        _("now"),
        _("Share before"),
        _("now"),
        _("From the mix, points"),
        _("From its own share, points"),
        _("95% interval"),
    ]
    notes = [
        _(
            "The two parts sum to the change of the groups' average, {total} points (Kitagawa, at the mean of both "
            "times), by {days} days after reaching the stage. Groups with too few deals are left out."
        ).format(total=_tenths(taken.total), days=lang.days(taken.parts["age_days"].iloc[0]))
    ]
    caption = _("{step}: what changed, by group").format(step=step_name(funnel, step))
    return Table(caption, columns, rows, [False] + [True] * 8, notes=notes)


def _tenths(change: float) -> str:
    """Points with one decimal and a sign."""
    text = lang.decimal(abs(change) * 100)
    return text if text == lang.decimal(0) else ("\N{MINUS SIGN}" if change < 0 else "+") + text


def _point_interval(found: Estimate) -> list[str]:
    return [_tenths(found.value), f"{_tenths(found.low)} … {_tenths(found.high)}"]


def quarter_table(funnel: Funnel) -> Table | None:
    """The share of the changed stage by quarter of reaching it: since when it is what it is."""
    for step, taken in funnel.shifts.items():
        if taken.quarters.empty:
            continue
        rows, hot = [], []
        for row in taken.quarters.itertuples():
            p = lang.NONE if pd.isna(row.p_adjusted) else lang.p_value(row.p_adjusted)
            rows.append([lang.period(row.period), lang.count(row.n), *rate_cells(row.rate), p])
            hot.append(row.period in taken.since)
        group = "" if taken.of_group == ALL else group_name(funnel.scope, taken.of_group) + ", "
        caption = _("{group}{step}: by quarter of reaching the stage").format(group=group, step=step_name(funnel, step))
        notes = [
            _(
                "Whenever the deals were created. Adjusted p: of this "
                "quarter being as the others (Benjamini–Hochberg). "
                "A dash: too few deals, or too young."
            )
        ]
        columns = [_("Quarter"), _("Reached"), _("Share further"), _("95% interval"), _("Adjusted p")]
        return Table(caption, columns, rows, [False, True, True, True, True], hot, notes)
    return None


def recent_table(funnel: Funnel) -> Table | None:
    """Deals that reached each stage lately against those of the year before, by group."""
    made = funnel.recent
    if made is None or made.table.empty:
        return None
    rows, hot = [], []
    for row in made.table.itertuples():
        group = _("All") if row.group == ALL else group_name(funnel.scope, row.group)
        rows.append([step_name(funnel, row.step), group, lang.count(row.n), lang.days(row.age_days),
                     *rate_cells(row.rate), lang.percent(row.rate_before.value, 1),
                     lang.points(row.change.value, signed=True), lang.p_value(row.p_adjusted)])  # fmt: skip
        hot.append(bool(row.p_adjusted < SIGNIFICANT))
    columns = [_("Stage"), _("Group"), _("Reached"), _("By day"), _("Share further"), _("95% interval"), _("Before"),
               _("Points"), _("Adjusted p")]  # fmt: skip
    caption = _("Deals that reached a stage in {now}, against {before}").format(
        now=lang.period(made.now), before=lang.period(made.before)
    )
    notes = [_("Whenever the deals were created; both at the age that both support. Adjusted p: of no change, of all "
               "these comparisons (Benjamini–Hochberg).")]  # fmt: skip
    return Table(caption, columns, rows, [False, False] + [True] * 7, hot, notes)


def age_table(funnel: Funnel) -> Table | None:
    """Won, lost and still open at ages up to the horizon: they sum to one at every age."""
    life, curve = life_of(funnel, "now"), funnel.curves["now"]
    if life["rate"] is None:
        return None
    rows = []
    for age in sorted({round(life["age_days"] * part) for part in AGES} - {0}):
        found = [curve.at(cause, age * DAY_HOURS) for cause in ("won", "lost")]
        still = max(1 - found[0].value - found[1].value, 0.0)
        rows.append([lang.count(age), *rate_cells(found[0]), *rate_cells(found[1]), lang.percent(still, 1)])
    columns = [
        _("Days since the start"),
        _("Won"),
        _("95% interval"),
        _("Lost"),
        _("95% interval"),
        _("Still open"),
    ]
    note = _("n = {n}; open deals count for the time they have been watched.").format(n=lang.count(life["n"]))
    return Table(_("Won, lost and still open, by age"), columns, rows, [True] * 6, notes=[note])


def time_table(funnel: Funnel) -> Table | None:
    """One row per stage: how long visits last, those still going on included; None without a history."""
    return _times(funnel, funnel.times.stays, _("Time in stage, each visit for itself (Kaplan–Meier)"), visits=True)


def total_table(funnel: Funnel) -> Table | None:
    """One row per stage: how long a deal spends in it in all, every visit together."""
    return _times(funnel, funnel.times.totals, _("Time in stage, all visits of a deal together"), visits=False)


def _times(funnel: Funnel, table: pd.DataFrame, caption: str, *, visits: bool) -> Table | None:
    if table.empty:
        return None
    rows, notes = [], []
    for row in table.itertuples():
        again = [lang.count(row.n_again)] if visits else []
        quantiles = [cell for one in (row.median, row.p75, row.p90) for cell in _quantile_cells(one)]
        rows.append([row.stage, lang.count(row.n), *again, lang.count(row.n_open), *quantiles])
        if row.median is None:
            notes.append(f"{row.stage}: {_no_median(row, funnel.scope.min_deals)}")
    notes.append(
        _("Deals of these months: only those quick so far have come to the late stages, so stays there may look short.")
    )
    columns = [_("Stage"), *([_("Visits"), _("of them again")] if visits else [_("Deals")]), _("Still going on")]
    for name in (_("Median, days"), _("Three in four, days"), _("Nine in ten, days")):
        columns += [name, _("95% interval")]
    return Table(caption, columns, rows, [False] + [True] * (len(columns) - 1), notes=notes)


def _no_median(row, least: int) -> str:
    if row.n == 0:
        return _("no dated visit in these months.")
    if row.n < least:
        return too_few(row.n, least)
    return _("fewer than half of the visits have ended, so the median is not known yet.")


def stale_table(funnel: Funnel, currency: str) -> Table | None:
    """Open deals older in their stage than three in four won ones were, and what became of such deals."""
    table = funnel.times.stale
    if table.empty:
        return None
    rows = []
    for row in table.itertuples():
        limit = _limit_words(funnel, row.stage)
        money = lang.money(row.amount if row.n_stale else 0, currency)
        days = lang.days(row.age_days)
        after = [*rate_cells(row.after), *rate_cells(row.usual), days]
        rows.append([row.stage, lang.count(row.n_open), limit, lang.count(row.n_stale), money, *after])
    columns = [
        _("Stage"),
        _("Open deals"),
        _("Limit, days"),
        _("Past it"),
        _("Amount, {currency}").format(currency=currency),
        _("Won after passing it"),
        _("95% interval"),
        _("Won, of all that entered"),
        _("95% interval"),
        _("by day"),
    ]
    limit = _("The limit: three in four stays of the deals won in a year ended by then.")
    if funnel.scope.segment_by != "none":
        limit = _(
            "The limit: three in four stays of the deals won in a year ended by then, by {dimension} where at least "
            "{least} were won."
        ).format(dimension=lang.dimension(funnel.scope.segment_by).lower(), least=funnel.scope.min_deals)
    notes = [limit, _("Won: of stays entered in two years, from the day they passed the limit, or entered.")]
    caption = _("Open deals older in their stage than three in four won deals were")
    return Table(caption, columns, rows, [False] + [True] * 9, notes=notes)


def _limit_words(funnel: Funnel, stage: str) -> str:
    """The limit of a stage, or from the least to the most of its groups'."""
    found = funnel.times.limits[funnel.times.limits["stage"] == stage]
    groups = found.loc[found["group"] != ALL, "limit_days"]
    days = groups if len(groups) else found["limit_days"]
    if not len(days):
        return lang.NONE
    low, high = lang.days(days.min()), lang.days(days.max())
    return low if low == high else f"{low}–{high}"


def longest_table(funnel: Funnel, currency: str) -> Table | None:
    """The open deals that have stayed longest where they are, those past their limit first."""
    table = funnel.times.longest
    if table.empty:
        return None
    rows = [
        [
            row.name if pd.notna(row.name) else row.deal_id,
            row.account if pd.notna(row.account) else lang.NONE,
            row.stage,
            lang.days(row.days_in_stage),
            lang.days(row.limit_days),
            lang.money(row.amount, currency),
        ]
        for row in table.rename_axis(None).itertuples(index=False, name="Deal")
    ]
    columns = [
        _("Deal"),
        _("Account"),
        _("Stage"),
        _("Days in stage"),
        _("Limit, days"),
        _("Amount, {currency}").format(currency=currency),
    ]
    caption = _("Open deals that have stayed longest in their stage")
    return Table(caption, columns, rows, [False, False, False, True, True, True])


def velocity_table(funnel: Funnel, currency: str) -> Table | None:
    """The four factors of velocity, and what each brought to its change."""
    found = funnel.velocity
    if found is None:
        return None
    written = {
        "n_deals": lambda x: lang.count(round(x)),
        "win_rate": lambda x: lang.percent(x, 1),
        "deal_size": lambda x: lang.money(x, currency),
        "cycle": lang.days,
    }
    rows, hot = [], []
    for name in FACTORS:
        row = [factor_name(name), written[name](found.now[name])]
        if found.before:
            part = found.parts[name]
            money = [lang.money(x, currency) for x in part[:3]]
            row += [written[name](found.before[name]), money[0], f"{money[1]} … {money[2]}"]
        rows.append(row)
        hot.append(name in found.beyond)
    total = [_("Velocity, a day"), lang.money(found.now["velocity"], currency)]
    columns, notes = [_("Factor"), _("Now")], []
    if found.before:
        change = found.now["velocity"] - found.before["velocity"]
        total += [lang.money(found.before["velocity"], currency), lang.money(change, currency), ""]
        columns += [_("Before"), _("Part of the change"), _("95% interval")]
        notes.append(
            _(
                "Orange: beyond chance, corrected for the four. The parts "
                "are exact (LMDI); their intervals hold the others fixed."
            )
        )
    notes.append(
        _(
            "Deals closed in the months × win rate × mean won amount ÷ mean days from creation to win, all of the same "
            "deals: a measure to compare, and not what is won on a day. Deals before are scaled to as many days as now."
        )
    )
    return Table(
        _("Velocity of the deals closed in the months"),
        columns,
        [*rows, total],
        [False] + [True] * (len(columns) - 1),
        [*hot, False],
        notes,
    )


def chain_table(funnel: Funnel, currency: str) -> Table | None:
    """What one more point of going further at each stage is worth."""
    found = funnel.chain
    if found is None:
        return None
    rows, n = [], len(found.stages)
    for k, stage in enumerate(found.stages):
        worth = found.worth[k] if found.worth else None
        money = [lang.NONE] * 2
        if worth is not None:
            money = [lang.money(worth.value, currency), _money_between(worth, currency)]
        back = found.moves[k, : k + 1].sum()
        rows.append(
            [
                stage,
                lang.count(found.n_ended[k]),
                lang.count(found.n_open[k]),
                lang.percent(found.moves[k, k + 1 : n + 1].sum()),
                lang.percent(back),
                lang.percent(found.moves[k, n + 1]),
                lang.decimal(found.visits[k], 2),
                lang.percent(found.win[k]),
                lang.decimal(found.wins[k].value),
                *money,
            ]
        )
    columns = [
        _("Stage"),
        _("Visits ended"),
        _("Open"),
        _("Ends further on"),
        _("back"),
        _("lost"),
        _("Visits by a deal"),
        _("Won from here"),
        _("A point more: deals won"),
        _("worth, {currency}").format(currency=currency),
        _("95% interval"),
    ]
    note = _(
        "An absorbing Markov chain of the visits of deals {whose} "
        "(n = {n}). A point more goes further instead of being "
        "lost; what a point at every stage brings together, {joint}, "
        "is shared out by Shapley values, so that the order "
        "does not matter."
    ).format(
        whose=whose(funnel.scope, "now"),
        n=lang.count(found.n_entered),
        joint=lang.money(found.joint, currency) if found.amount else lang.decimal(found.joint),
    )
    caption = _("What one more point of conversion is worth, by stage")
    return Table(caption, columns, rows, [False] + [True] * 10, notes=[note])


def _money_between(found: Estimate, currency: str) -> str:
    return f"{lang.money(found.low, currency)} … {lang.money(found.high, currency)}"


def split_table(funnel: Funnel) -> Table | None:
    """The groups that differ beyond chance, in the share won or in the time that stages take."""
    table = funnel.splits
    if table.empty:
        return None
    found = table[(table["p_won"] < SIGNIFICANT) | (table["p_pace"] < SIGNIFICANT)]
    least = found[["p_won", "p_pace"]].min(axis=1)
    shown = found.assign(least=least).sort_values(["least", "dimension", "group"], kind="stable").head(MOST_ROWS)
    rows = []
    for row in shown.itertuples():
        pace = [lang.NONE] * 2
        if row.pace is not None:
            pace = [lang.percent(row.pace.value), lang.between(row.pace.low, row.pace.high)]
        rows.append(
            [
                lang.dimension(row.dimension),
                group_name(funnel.scope, row.group, row.dimension),
                lang.count(row.n),
                *rate_cells(row.rate),
                lang.rate(row.rate_others, 1),
                lang.days(row.age_days),
                lang.p_value(row.p_won),
                *pace,
                lang.p_value(row.p_pace),
            ]
        )
    columns = [
        _("Split by"),
        _("Group"),
        _("Deals"),
        _("Won"),
        _("95% interval"),
        _("Won, others"),
        _("by day"),
        _("Adjusted p"),
        _("Time in a stage, of the others'"),
        _("95% interval"),
        _("Adjusted p"),
    ]
    dimensions = ", ".join(lang.dimension(one).lower() for one in table["dimension"].drop_duplicates())
    notes = [
        _("Compared: {dimensions}; {n} groups, each with all other deals.").format(dimensions=dimensions, n=len(table)),
        _("Groups overlap, and a difference is not its cause."),
    ]
    if not rows:
        notes.insert(0, _("No group differs beyond chance."))
    caption = _("Who differs from all others beyond chance")
    return Table(caption, columns, rows, [False, False] + [True] * 9, notes=notes)


def rep_table(funnel: Funnel) -> Table | None:
    """Win rates of reps by group, drawn together as far as chance asks for it; small numbers said to be."""
    fit = funnel.reps
    if fit.groups.empty:
        return None
    rows, hot = [], []
    for row in fit.groups.itertuples():
        group = (
            group_name(funnel.scope, row.group) if funnel.scope.segment_by not in ("none", "rep") else _("All deals")
        )
        verdict = _("reps differ (p {p})") if row.differ else _("reps cannot be told apart (p {p})")
        verdict = verdict.format(p=lang.p_value(row.p_adjusted))
        rows.append([f"{group}: {verdict}", "", lang.count(row.n), "", "", lang.percent(row.mean, 1), "", "", ""])
        hot.append(bool(row.differ))
        for rep in fit.reps[fit.reps["group"] == row.group].itertuples():
            rows.append(
                [
                    "",
                    rep.rep,
                    lang.count(rep.n),
                    lang.percent(rep.raw.value),
                    lang.between(rep.raw.low, rep.raw.high),
                    lang.percent(rep.pooled.value, 1),
                    lang.between(rep.pooled.low, rep.pooled.high),
                    lang.percent(rep.above),
                    lang.percent(rep.best),
                ]
            )
            hot.append(False)
    columns = [
        lang.dimension(funnel.scope.segment_by) if funnel.scope.segment_by != "none" else _("Deals"),
        _("Rep"),
        _("Closed"),
        _("Won"),
        _("95% interval"),
        _("Drawn together"),
        _("95% interval"),
        _("Chance to be above"),
        _("to be the best"),
    ]
    notes = [
        _(
            "Deals closed in {period}. A rep's own rate is drawn to "
            "the group's by as much as chance alone would spread "
            "the rates (beta-binomial). Where reps cannot be told apart, the highest is shown alone, and is no better "
            "than chance makes somebody. Fewer than {least} deals are not named."
        ).format(period=lang.period(fit.period), least=5)
    ]
    return Table(_("Which rep suits which deals"), columns, rows, [False, False] + [True] * 7, hot, notes)


def loss_table(funnel: Funnel, currency: str) -> Table | None:
    """Why deals were lost, by count and by value, and where from."""
    found = funnel.losses
    if not found.n:
        return None
    rows = []
    for row in found.reasons.itertuples():
        stage = f"{row.stage} ({lang.count(row.n_stage)})" if isinstance(row.stage, str) else lang.NONE
        part = lang.percent(row.amount / found.amount) if lang.known(found.amount) and found.amount else lang.NONE
        rows.append(
            [row.reason, lang.count(row.n), *rate_cells(row.share), lang.money(row.amount, currency), part, stage]
        )
    if found.n_other:
        rows.append([_("rarer reasons"), lang.count(found.n_other), *[""] * 5])
    if found.n_without:
        rows.append([_("no reason"), lang.count(found.n_without), *[""] * 5])
    columns = [
        _("Reason"),
        _("Lost"),
        _("Share of those with one"),
        _("95% interval"),
        _("Amount, {currency}").format(currency=currency),
        _("Share of the amount"),
        _("Most often from"),
    ]
    notes = []
    if not found.asked:
        notes.append(_("The source has no reasons of loss."))
    elif found.n_without:
        share = stats.wilson(found.n_without, found.n)
        text = _("{share} ({interval}) of the lost deals have no reason; if those differ, so do the shares above.")
        notes.append(text.format(share=lang.percent(share.value), interval=lang.between(share.low, share.high)))
    caption = _("Why deals were lost in {window}, n = {n}").format(
        window=lang.period(funnel.scope.cohorts["now"]), n=lang.count(found.n)
    )
    return Table(caption, columns, rows, [False] + [True] * 5 + [False], notes=notes)


def win_table(funnel: Funnel, currency: str) -> Table:
    """One win rate, as this page and as other systems would print it, each with why it differs."""
    life, closing = life_of(funnel, "now"), closing_of(funnel, "now")
    by_count = closing["by_count"] if closing is not None else None
    by_value = closing["by_value"] if closing is not None else None
    n = life["n"]
    rows = [
        [
            _("This page: {rate}").format(rate=won_within(funnel, life).lower()),
            *rate_cells(life["rate"], 2),
            lang.count(n),
            _("Of the deals {whose}, the share won by that age; open deals are censored (Aalen–Johansen).").format(
                whose=whose(funnel.scope, "now")
            ),
        ],
        [
            _("This page: by value"),
            *rate_cells(life["by_value"], 2),
            lang.count(life["by_value"].n if life["by_value"] else 0),
            _("The same, each deal weighing its amount in {currency}.").format(currency=currency)
            + ("" if life["by_value"] else " " + _no_value(funnel)),
        ],
        [
            _("This page: of closed deals"),
            *rate_cells(by_count, 2),
            lang.count(by_count.n if by_count else 0),
            _("Won ÷ (won + lost) among deals closed in the months, whenever created (Wilson)."),
        ],
        [
            _("This page: of closed, by value"),
            *rate_cells(by_value, 2),
            lang.count(by_value.n if by_value else 0),
            _("Won amount ÷ (won + lost amount) of the same deals.") + ("" if by_value else " " + _no_value(funnel)),
        ],
    ]
    for system, figure in funnel.parity.win.items():
        name, why = _systems()[system]
        rows.append([name, lang.percent(figure.share, 2), lang.NONE, _figure_of(figure, currency), why])
    columns = [_("As printed by"), _("Win rate"), _("95% interval"), _("Of"), _("Why it differs")]
    notes = [
        _(
            "The figures of other systems count the same deals by their documented definitions, without the exclusions "
            "of this page; no interval is printed, as those systems print none."
        )
    ]
    hot = [True] + [False] * (len(rows) - 1)
    return Table(
        _("One win rate, as each system would print it"), columns, rows, [False, True, True, True, False], hot, notes
    )


def _figure_of(figure: Figure, currency: str) -> str:
    return lang.count(figure.of) if figure.unit == "deals" else lang.money(figure.of, currency, compact=True)


def _systems() -> dict[str, tuple[str, str]]:
    return {
        "hubspot": (
            "HubSpot",
            _("Won ÷ closed by the day a deal was moved; deals created long ago count, open ones do not."),
        ),
        "salesforce": ("Salesforce", _("Won ÷ closed by the close date that the rep entered, for won and lost alike.")),
        "atrium": (
            "Atrium",
            _(
                "Won by the entered close date, lost by the day moved; "
                "amounts of zero and deals never accepted are left out."
            ),
        ),
        "close": ("Close", _("Won ÷ (won + lost) in the months, as HubSpot; by value on request.")),
        "varicent": ("Varicent", _("Won ÷ created: open deals count as if they were lost, so young months look bad.")),
        "dbt_salesforce": (
            "dbt_salesforce",
            _("Won amount ÷ closed amount by close date: one large deal can decide it."),
        ),
    }


def parity_table(funnel: Funnel) -> Table | None:
    """The conversion of each stage, as this page and as other systems would print it."""
    table = funnel.parity.steps
    if table.empty:
        return None
    ours = {row.step: row.rate for row in steps_of(funnel, "now").itertuples()}
    others = [name for name in table.columns if name != "step"]
    rows = [
        [
            step_name(funnel, row["step"]),
            lang.rate(ours.get(row["step"]), 1),
            *(lang.percent(row[name].share, 1) for name in others),
        ]
        for _k, row in table.iterrows()
    ]
    columns = [
        _("Stage"),
        _("This page"),
        _("HubSpot, next step"),
        _("HubSpot, cumulative"),
        _("Atrium, to next"),
        _("Atrium, to won"),
        _("GitLab"),
    ]
    notes = [
        _(
            "HubSpot, next step: deals ever in the next stage ÷ ever in "
            "this one; a skipped stage and an open deal count against it."
        ),
        _("HubSpot, cumulative: ever in the next stage ÷ ever in the first."),
        _(
            "Atrium, to next: of the visits that ended in the months, moved forward "
            "÷ (forward + lost); stays still open do not count, so slow deals do not."
        ),
        _("Atrium, to won: of the deals closed in the months that were ever in the stage, the share won."),
        _("GitLab: reached or passed, as this page, but open deals count as not further."),
    ]
    caption = _("Conversion by stage, as each system would print it")
    return Table(caption, columns, rows, [False] + [True] * 6, notes=notes)


def convention_table(funnel: Funnel) -> Table:
    """Every convention that changes a figure: what was chosen, and what it means."""
    rules = funnel.scope.rules
    rows = [
        [_("Which deals"), *_cohort_words(rules)],
        [_("What counts as reached"), *_stage_words(rules)],
        [_("What is counted"), *_unit_words(rules)],
        [
            _("Window"),
            _("{n} days").format(n=lang.count(funnel.scope.horizon_days)),
            _("Shares are of deals followed so long, or as long as enough of them were."),
        ],
        [_("A lost deal closes"), *_lost_words(rules)],
        [
            _("Accepted from"),
            funnel.scope.stages[0] or _("creation"),
            _("The clock starts when a deal reaches or passes this stage; those that never did do not count."),
        ],
        [_("Left out by reason"), ", ".join(rules.reasons) or _("none"), _("Deals lost for one of these reasons.")],
        [_("Left out by amount"), *_amount_words(rules)],
    ]
    columns = [_("Convention"), _("Here"), _("What it means")]
    return Table(_("The conventions of this page"), columns, rows, [False, False, False])


def _cohort_words(rules: Rules) -> tuple[str, str]:
    return {
        "entry": (_("entry"), _("Deals that entered the funnel in the months, from that moment.")),
        "active": (
            _("active"),
            _("Deals that were open at any time in the months; the clock starts with the months or with the stage."),
        ),
        "snapshot": (_("snapshot"), _("Deals that stood open at the end of the months; the clock starts there.")),
    }[rules.cohort_by]


def _stage_words(rules: Rules) -> tuple[str, str]:
    return {
        "reached": (
            _("reached or passed"),
            _(
                "A stage skipped on the way to a later one counts as "
                "reached; a lost deal not beyond its last real stage."
            ),
        ),
        "strict": (
            _("strict"),
            _("Only stages really entered, all before it too; a deal that skips one leaves the funnel there."),
        ),
    }[rules.stage_rule]


def _unit_words(rules: Rules) -> tuple[str, str]:
    return {
        "uniques": (_("uniques"), _("Each deal once at a stage, from its first entry.")),
        "totals": (_("totals"), _("Each visit of a stage; a deal that comes back counts again.")),
    }[rules.count_of]


def _lost_words(rules: Rules) -> tuple[str, str]:
    return {
        "transition": (_("when moved to lost"), _("Reps leave old closing days on lost deals, so the move counts.")),
        "close_date": (
            _("on its entered closing day"),
            _("Only the win rate of closed deals follows it; ages always follow the move."),
        ),
    }[rules.lost_date]


def _amount_words(rules: Rules) -> tuple[str, str]:
    if rules.amounts_kept:
        return _("none"), _(
            "Asked for and not done: most lost deals have an amount of zero, so it would leave out losing."
        )
    return (
        (_("zero or below"), _("Deals whose amount is zero or below."))
        if rules.zero_amounts
        else (_("none"), _("Deals of any amount count."))
    )


def left_out_table(funnel: Funnel, currency: str) -> Table | None:
    """The deals that the conventions leave out, counted and the first of them listed."""
    if not funnel.left_out:
        return None
    why = {"reason": _("reason of loss"), "amount": _("amount")}
    rows = [
        [
            row.name if pd.notna(row.name) else row.deal_id,
            why[row.why],
            row.lost_reason if pd.notna(row.lost_reason) else lang.NONE,
            lang.money(row.amount, currency),
        ]
        for row in funnel.left_out_listed.rename_axis(None).itertuples(index=False, name="Deal")
    ]
    counted = ", ".join(f"{why[name]} {lang.count(n)}" for name, n in sorted(funnel.left_out.items()))
    columns = [_("Deal"), _("Left out by"), _("Lost because of"), _("Amount, {currency}").format(currency=currency)]
    caption = _("Left out by the conventions: {counted}").format(counted=counted)
    notes = [_("Deals created or closed in the months; the first {n}.").format(n=len(rows))]
    return Table(caption, columns, rows, [False, False, False, True], notes=notes)


def standing_table(funnel: Funnel, currency: str) -> Table:
    """Every deal of the pipeline on the last day known."""
    table, rows, notes = funnel.standing, [], []
    for row in table.itertuples():
        rows.append([stage_name(row.stage), kind_name(row.kind), lang.count(row.n), lang.money(row.amount, currency)])
        if row.n and row.n_amount < row.n:
            n_missing = row.n - row.n_amount
            text = ngettext(
                "{stage}: {n} deal has no amount in the source.",
                "{stage}: {n} deals have no amount in the source.",
                n_missing,
            )
            notes.append(text.format(stage=stage_name(row.stage), n=lang.count(n_missing)))
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


def _cell(table: pd.DataFrame | None, column: str) -> str:
    rate = None if table is None or table.empty else table[column].iloc[0]
    return lang.NONE if rate is None else lang.percent(rate.value)


def _quantile_cells(quantile: Estimate | None) -> list[str]:
    if quantile is None:
        return [lang.NONE] * 2
    ends = limits(quantile)
    return [lang.days(quantile.value), f"{ends['low']}–{ends['high']}"]
