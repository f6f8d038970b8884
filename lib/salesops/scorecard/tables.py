"""The tables of the scorecard: finished numbers in, finished tables out, in every language."""

from salesops import crm, lang
from salesops.findings import MARKS, Table
from salesops.lang import _
from salesops.scorecard import words
from salesops.scorecard.compute import Scorecard, value_of

MOST_REPS = 40


def metric_table(found: Scorecard) -> Table:
    """Every metric of the company: now, compared, its usual range, n, target."""
    rows, hot = [], []
    signals = found.signals[found.signals["said"] & (found.signals["group"] == crm.ALL)]
    for key, metric in found.metrics.items():
        one = value_of(found, key)
        if one is None:
            continue
        change, against = words.compared(found, key)
        target = words.amount(metric.target.value, metric, found) if metric.target else ""
        mark = MARKS[words.status(found, key)] if metric.target else ""
        own = found.values[(found.values["metric"] == key) & (found.values["level"] == "company")]
        if metric.of.by == "month":
            own = own[own["period"] <= found.months.whole]
        rows.append([metric.called, words.short(own["period"].iloc[-1]).replace("-", "\N{NON-BREAKING HYPHEN}"),
        words.with_limits(one, metric, found),
                     lang.count(one.n), change or lang.NONE,
                     against.replace(" ", "\N{NO-BREAK SPACE}"), _usual(found, key),
                     f"{mark} {target}".strip()])  # fmt: skip
        hot.append(key in set(signals["metric"]))
    columns = [_("Metric"), _("Period"), _("Value"), _("n"), _("Change"), "", _("Usual range"), _("Target")]
    notes = [_("n: the cases, deals, customers or working days that a figure rests on. The usual range is where the "
               "series of the metric varies by itself; a change within it is no news. Marked: beyond it after "
               "correction for all series.")]  # fmt: skip
    missing = [metric.called for key, metric in found.metrics.items() if value_of(found, key) is None]
    if missing:
        notes.append(_("Not told, for the source lacks what they need or has too few cases: {metrics}.").format(
            metrics=", ".join(missing)))  # fmt: skip
    numbers = [False, False, True, True, True, False, True, True]
    if not any(row[-1] for row in rows):  # nobody has set a target
        columns, numbers, rows = columns[:-1], numbers[:-1], [row[:-1] for row in rows]
    return Table(_("Every metric"), columns, rows, numbers, hot, notes)


def _usual(found: Scorecard, key: str) -> str:
    known = found.behaviour.get((key, "company", crm.ALL))
    if known is None:
        return lang.NONE
    metric = found.metrics[key]
    return " – ".join(words.amount(float(limit[-1]), metric, found) for limit in (known[0].low, known[0].high))


def group_table(found: Scorecard, level: str) -> Table | None:
    """The metrics of each region or team beside the company's; None where there are no groups."""
    known = found.values[(found.values["level"] == level) & found.values["value"].notna()]
    groups = sorted(group for group in known["group"].unique() if group != crm.NOT_KNOWN)
    groups += [crm.NOT_KNOWN] * (crm.NOT_KNOWN in set(known["group"]))
    if len(groups) < 2:
        return None
    rows = []
    for key, metric in found.metrics.items():
        cells = [value_of(found, key, level, group) for group in groups]
        if metric.of.by == "window" or not any(cells):
            continue
        texts = [words.with_limits(one, metric, found) for one in cells]
        whole = words.with_limits(value_of(found, key), metric, found)
        rows.append([metric.called, *texts, whole if level == "region" else whole])
    heads = [words.group_name(group) for group in groups]
    caption = {"region": _("By region"), "team": _("By team")}[level]
    notes = [_("Amounts and counts of the groups sum to the company's.")]
    return Table(caption, [_("Metric"), *heads, _("All")], rows, [False] + [True] * (len(groups) + 1), notes=notes)


def rep_table(found: Scorecard) -> Table | None:
    """Reps by how likely they win more often than the others."""
    if found.reps.empty:
        return None
    rows = []
    for rep in found.reps.head(MOST_REPS).itertuples():
        money = [getattr(rep, name, float("nan")) / found.minor_units for name in ("won", "deal_size")]
        team = rep.team if isinstance(rep.team, str) and rep.team else lang.NONE
        rows.append([rep.name or rep.rep_id, team, lang.count(rep.n_won + rep.n_lost),
                     lang.percent(rep.n_won / (rep.n_won + rep.n_lost)) if found.spread_p is not None else lang.NONE,
                     lang.estimate(rep.win_rate),
                     lang.percent(rep.above), lang.percent(rep.best),
                     *(lang.money(one, found.currency, compact=True) for one in money),
                     lang.days(getattr(rep, "cycle", None)), lang.decimal(getattr(rep, "meetings", None), 2),
                     lang.percent(rep.attained)])  # fmt: skip
    columns = [_("Rep"), _("Team"), _("Closed"), _("Won"), _("Drawn to the common rate"), _("Above it with"),
               _("Best with"), _("Bookings"), _("Deal size"), _("Cycle, days"), _("First meetings a day"),
               _("Of quota")]  # fmt: skip
    notes = [_("Rates of few deals are drawn to that of all, by as much as the spread between reps says "
               "(beta-binomial); the limits are credible ones. Above and best: the probability of that.")]  # fmt: skip
    if len(found.reps) > MOST_REPS:
        notes.append(_("The first {n} of {all}.").format(n=lang.count(MOST_REPS), all=lang.count(len(found.reps))))
    return Table(_("Reps"), columns, rows, [False, False] + [True] * 10, notes=notes)


def plan_table(found: Scorecard) -> Table | None:
    """From quota to booked, group by group, to the cent."""
    plan = found.plan
    if plan is None:
        return None
    exact = lambda minor: words.signed_exact(minor, found)  # noqa: E731
    money = lambda minor: lang.money(minor / found.minor_units, found.currency)  # noqa: E731
    rows = [[words.group_name(row.group), lang.count(row.n), lang.count(row.n_at), money(row.quota), money(row.booked),
             exact(row.booked - row.quota), lang.percent(row.booked / row.quota) if row.quota else lang.NONE]
            for row in plan.parts.itertuples()]  # fmt: skip
    rows.append([_("All"), lang.count(plan.parts["n"].sum()), lang.count(plan.parts["n_at"].sum()), money(plan.quota),
                 money(plan.booked), exact(plan.booked - plan.quota),
                 lang.percent(plan.booked / plan.quota) if plan.quota else lang.NONE])  # fmt: skip
    columns = [_("Group"), _("Reps"), _("At quota"), _("Quota"), _("Booked"), _("Over or short"), _("Attainment")]
    caption = _("From plan to booked, {periods}").format(periods=words.span(plan.periods))
    hot = [False] * len(plan.parts) + [True]
    return Table(caption, columns, rows, [False] + [True] * 6, hot)


def sales_table(found: Scorecard) -> Table | None:
    """What brought the change of bookings."""
    sales = found.sales
    if sales is None:
        return None
    money = lambda minor: lang.money(minor / found.minor_units, found.currency)  # noqa: E731
    rows = [[lang.period(sales.before), money(sales.amount_before)]]
    rows += [[words.effect_name(name), words.signed_exact(minor, found)] for name, minor in sales.parts.items()]
    rows.append([lang.period(sales.now), money(sales.amount_now)])
    units = {"deals": _("deals won"), "pieces": _("pieces sold")}[sales.unit]
    text = _("Units are {units}: {before} and {now}. Number sold: more or fewer of them at the mean price before. Mix: "
             "other shares of products. Size: a unit's list price within its product. Discount: the share of the list "
             "price that was paid.")  # fmt: skip
    notes = [text.format(units=units, before=lang.count(sales.n_before), now=lang.count(sales.n_now))]
    if sales.n_unlisted:
        notes.append(_("{n} have no list price; their discount counts as none.").format(n=lang.count(sales.n_unlisted)))
    return Table(_("Price, volume and mix"), [_("Step"), _("Amount")], rows, [False, True], notes=notes)


def call_table(found: Scorecard) -> Table | None:
    """How right calls were, by how long before the end they were made; all periods that have ended together."""
    if found.called.empty:
        return None
    rows = []
    for weeks, own in found.called.groupby("weeks", sort=True):
        actual = own["actual"].sum()
        rows.append([lang.count(weeks), lang.count(len(own)), lang.percent(1 - own["off"].sum() / actual),
                     words.signed_share((own["called"].sum() - actual) / actual)])  # fmt: skip
    columns = [_("Weeks before the end"), _("Periods"), _("Accuracy"), _("Bias")]
    notes = [_("Accuracy: 1 less what reps' calls were off by, each rep alone, over what they booked (1 less WAPE). "
               "Bias: "
               "calls together less bookings together, over bookings.")]  # fmt: skip
    return Table(_("How right the calls were"), columns, rows, [True] * 4, notes=notes)


def glossary(found: Scorecard) -> Table:
    """Every metric with its definition, as the registry has it."""
    better = {"up": _("more"), "down": _("less"), "neither": lang.NONE}
    rows = [[metric.called, metric.meaning, better[metric.better],
             metric.target.source if metric.target else lang.NONE] for metric in found.metrics.values()]  # fmt: skip
    return Table(_("Definitions"), [_("Metric"), _("Definition"), _("Good is"), _("Target set by")], rows, [False] * 4)
