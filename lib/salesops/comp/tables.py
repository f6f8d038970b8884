"""The tables of a compensation plan: finished numbers in, finished tables out, in every language."""

import numpy as np

from salesops import lang, stats
from salesops.comp.compute import OTHERS, Found
from salesops.comp.words import cause_name, effect, issue_name, issue_place, span_name
from salesops.findings import Table
from salesops.lang import _
from salesops.pay import gaming
from salesops.pay.explain import bands, kind_name, limits, measure_name, share
from salesops.pay.plans import SPANS, Component


def component_table(found: Found) -> Table:
    """What the plan pays for, as its file says."""
    rows = [
        [one.name, measure_name(one.measure), _period(one), share(one.weight), _way(one), bands(one), limits(one)]
        for one in found.plan.components
    ]
    columns = [_("Component"), _("Measures"), _("Period"), _("Weight"), _("How it pays"), _("Bands"), _("Limits")]
    notes = [_(
        "Marginal: each band pays its own rate; whole: the band reached pays for everything. To date:"
        " the year so "
    
               "far, less what was paid.")]  # fmt: skip
    return Table(_("What the plan pays for"), columns, rows, [False] * 7, notes=notes)


def _period(one: Component) -> str:
    name = _("each deal") if one.period == "deal" else span_name(SPANS[one.period])
    return name + ", " + _("to date") if one.to_date else name


def _way(one: Component) -> str:
    if one.table.between == "linear":
        return _("whole, linear between")
    return _("marginal") if one.table.way == "marginal" else _("whole")


def issue_table(found: Found, currency: str) -> Table | None:
    """What the plan makes people do."""
    if not found.issues:
        return None
    rows = []
    for one in found.issues:
        much = _(
            "{share} of each unit more"
        ).format(share=lang.percent(float(one.rate), 1)) if one.rate is not None else (
            lang.money(float(one.pay), currency) if one.pay is not None else lang.NONE
        )  # fmt: skip
        rows.append([one.component, issue_name(one.kind), issue_place(found, one, currency), much])
    columns = [_("Component"), _("What"), _("Where"), _("How much")]
    notes = [_(
        "Looked at for one period at the median quota of a year, {quota}; gates and multipliers left "
        "aside."
    ).format(
        quota=lang.money(found.quota, currency))]  # fmt: skip
    return Table(_("What the plan makes people do"), columns, rows, [False] * 3 + [True], notes=notes)


def pull_table(found: Found, currency: str) -> Table | None:
    """What the record shows of the plan's pull."""
    pull, rows, notes = found.pull, [], []
    if pull.moves is not None:
        made, hidden = pull.moves, _("of too few reps to be shown")
        waited = lang.money(made.by_waiting, currency) if pull.enough[0] or not made.waiting else hidden
        hurried = lang.money(made.by_hurrying, currency) if pull.enough[1] or not made.hurrying else hidden
        rows.append(
            [
                _("Closed in the last {n} days, waiting would have paid more").format(n=gaming.NEAR),
                _("{n} of {all}").format(n=lang.count(made.waiting), all=lang.count(made.n)),
                lang.NONE,
                waited,
            ]
        )
        rows.append([_("Closed in the first {n} days, hurrying would have paid more").format(n=gaming.NEAR),
                     _("{n} of {all}").format(n=lang.count(made.hurrying), all=lang.count(made.n_after)), lang.NONE,
                     hurried])  # fmt: skip
        notes.append(_("Waiting and hurrying: each deal near the end of a period, alone, put on the other side of it; "
                       "what the plan would have paid more for it."))  # fmt: skip
    for one, name in (
        (pull.at_quota, _("Attainments from {low} to {high}")),
        (pull.at_the_end, _("Wins in the last {n} working days of quarters")),
    ):
        if one is None:
            continue
        words = {"low": lang.percent(1), "high": lang.percent(1 + gaming.WIDTH), "n": gaming.LAST}
        says = _("{ratio} times what was to be expected ({low} to {high}); p {p}").format(
            ratio=lang.decimal(one.ratio, 2), low=lang.decimal(one.low, 2), high=lang.decimal(one.high, 2),
            p=lang.p_value(one.p))  # fmt: skip
        rows.append([name.format(**words), lang.count(one.n), lang.decimal(one.expected, 1), says])
    if pull.at_quota is None:
        notes.append(_("Whether reps end just above their quota is not tested: fewer than {n} attainments are near "
                       "it.").format(
            n=gaming.LEAST))  # fmt: skip
    else:
        notes.append(_("Attainments of reps and quarters near the quota, against a smooth curve through the others; "
                       "95% intervals. A pile shows that something pulls, not what."))  # fmt: skip
    if pull.at_the_end is None:
        notes.append(_("Whether wins pile up at the end of quarters is "
                       "not tested: fewer than {n} quarters are known.").format(
            n=gaming.QUARTERS))  # fmt: skip
    columns = [_("What"), _("Counted"), _("Expected"), _("How much")]
    return (
        Table(_("What the record shows of it"), columns, rows, [False, True, True, False], notes=notes)
        if rows
        else None
    )


def group_table(found: Found, currency: str, least: int) -> Table | None:
    """Teams, none so small that a person could be read from it."""
    if not len(found.groups):
        return None
    rows = [
        [_(
            "Small teams together"
        ) if row.team == OTHERS else row.team, lang.count(row.n), lang.money(row.booked, currency),
         lang.money(row.quota, currency) if row.quota > 0 else lang.NONE,
         lang.percent(row.booked / row.quota) if row.quota > 0 else lang.NONE,
         lang.money(row.earned, currency), lang.percent(row.earned / row.booked, 1) if row.booked > 0 else lang.NONE]
        for row in found.groups.itertuples()
    ]  # fmt: skip
    columns = [_("Team"), _("Reps"), _("Booked"), _("Quota to date"), _("Attainment"), _("Earned"), _("Cost of sales")]
    notes = [_(
        "Of periods that have ended; quotas for the days there and by the ramp. Teams of fewer than "
        "{n} reps stand "
    
               "together, with a larger one where needed, so that nobody's pay can be read or reckoned.").format(
        n=lang.count(least))]  # fmt: skip
    return Table(_("By team"), columns, rows, [False] + [True] * 6, notes=notes)


def cost_table(found: Found, currency: str, budget: float) -> Table | None:
    """What a year of the plan may cost."""
    costs = found.costs
    if costs is None:
        return None
    low, middle, high = costs.quantiles()
    shares = [lang.percent(float(one), 1) for one in np.quantile(costs.cost_of_sales, (0.1, 0.5, 0.9))]
    booked = [lang.money(float(one), currency) for one in np.quantile(costs.booked.sum(axis=1), (0.1, 0.5, 0.9))]
    rows = [
        [_("Variable pay of a year"), *(lang.money(one, currency) for one in (low, middle, high))],
        [_("Booked"), *booked],
        [_("Cost of sales"), *shares],
    ]
    scatter = costs.scatter
    text = _(
        "Years drawn for {reps} reps with a quota for each quarter, from {n} attainments of the "
        "last {quarters} quarters: "
        "{rep} of their scatter is the rep's own, {quarter} common to a quarter. Nobody sells more or less because of "
        "the plan. Draws, holds and spiffs are left aside."
    )
    notes = [text.format(reps=lang.count(costs.pay.shape[1]), n=lang.count(len(scatter.values)),
                         quarters=lang.count(scatter.n_quarters), rep=lang.percent(scatter.of_rep),
                         quarter=lang.percent(scatter.of_quarter))]  # fmt: skip
    text = _("Were every rep at the mean attainment, {at_mean} would be paid; on average of all years it is {mean}.")
    notes.append(text.format(at_mean=lang.money(costs.at_mean, currency),
                             mean=lang.money(float(costs.paid.mean()), currency)))  # fmt: skip
    if costs.left_out:
        text = _("Left out, for they depend on more than a rep's total: {names}.")
        notes.append(text.format(names=", ".join(costs.left_out)))
    if budget:
        over = float((costs.paid > budget).mean())
        text = _("The budget of {budget} is exceeded in {share} of the years drawn.")
        notes.append(text.format(budget=lang.money(budget, currency), share=lang.percent(over)))
    return Table(_("What a year may cost"), [_("What"), "P10", "P50", "P90"], rows, [False] + [True] * 3, notes=notes)


def accrual_table(found: Found, currency: str) -> Table | None:
    """What the running quarter will cost, by the forecast's draws."""
    made = found.accrual
    if made is None:
        return None
    rows = []
    for name, values in ((_("Booked, to come"), made.to_come), (_("Variable pay of the quarter"), made.paid),
                         (_("of it for what is booked by now"), made.accrued)):  # fmt: skip
        cuts = [lang.money(float(one), currency) for one in np.quantile(values, (0.1, 0.5, 0.9))]
        rows.append([name, *cuts, lang.money(float(values.mean()), currency)])
    text = _("{period}, {n} reps with a quota: {booked} is booked by now; what is to come is drawn by the forecast of "
             "open deals and deals to come. What is booked by now is taken at the rate that the quarter ends with: "
             "its mean is what to accrue.")  # fmt: skip
    notes = [text.format(period=made.period, n=lang.count(made.n_reps), booked=lang.money(made.booked, currency))]
    if made.left_out:
        text = _("Left out, for they depend on more than a rep's total: {names}.")
        notes.append(text.format(names=", ".join(made.left_out)))
    columns = [_("What"), "P10", "P50", "P90", _("Mean")]
    return Table(_("What the running quarter will cost"), columns, rows, [False] + [True] * 4, notes=notes)


def kind_table(found: Found, currency: str) -> Table:
    """From what is earned to what is paid."""
    rows = [[kind_name(kind).capitalize(), lang.money(amount, currency)] for kind, amount in found.kinds.items()]
    rows.append([_("Paid"), lang.money(sum(found.kinds.values()), currency)])
    return Table(_("From earned to paid"), [_("What"), _("Amount, {currency}").format(currency=currency)], rows,
                 [False, True], [False] * (len(rows) - 1) + [True])  # fmt: skip


def later_table(found: Found, currency: str) -> Table | None:
    """What became known of wins after their day, and what the plan makes of it."""
    if not found.later:
        return None
    rows = [
        [cause_name(one.cause), lang.count(one.n), lang.money(float(one.amount), currency), effect(one.cause, found)]
        for one in found.later
    ]
    columns = [_("What"), _("Deals"), _("Amount of deals, {currency}").format(currency=currency), _("What it means")]
    notes = [_(
        "Of {n} deals won under the plan, up to the last day known. A month that was reported stays as it was: what is "
        "taken back, and each adjustment, belongs to the month in which it became known."
    ).format(n=lang.count(found.history.n_deals))]  # fmt: skip
    return Table(_("What became known after the win"), columns, rows, [False, True, True, False], notes=notes)


def at_quota(found: Found) -> stats.Estimate | None:
    """The share of reps at or above their quota to date."""
    known = found.reps[found.reps["quota"] > 0]
    return stats.wilson(int((known["booked"] >= known["quota"]).sum()), len(known)) if len(known) else None
