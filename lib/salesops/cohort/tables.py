"""The tables of cohorts: finished numbers in, finished tables out, in every language."""

import numpy as np

from salesops import lang, stats
from salesops.cohort import compare, words
from salesops.cohort.compute import Found
from salesops.cohort.retention import MOVEMENTS
from salesops.findings import Table
from salesops.lang import _

MONTHS = 13
COHORTS = 16


def triangle_table(found: Found, what: str) -> Table:
    """Customers (`active`), gross (`kept`) or net revenue (`revenue`) at the ages compared, with intervals."""
    cells = found.triangle.cells
    cells = cells[cells["age"].isin(found.ages)]
    every = sorted(found.triangle.cells["cohort"].unique())
    first = found.triangle.cells[found.triangle.cells["age"] == 0].set_index("cohort")
    hot = {one.name for one in found.differs if one.kind == "cohort"}
    days = [day for day in every if day in hot or day in every[-COHORTS:]]
    rows = []
    for day in days:
        own = cells[cells["cohort"] == day].set_index("age")
        row = [words.cohort_name(day, found.step), lang.count(first.at[day, "n"])]
        row += [
            _cell(own.loc[[age]], what, found.min_customers) if age in own.index else lang.NONE for age in found.ages
        ]
        rows.append(row)
    together = [_cell(cells[cells["age"] == age], what, found.min_customers) for age in found.ages]
    rows.append([_("All that were watched so long"), lang.count(first["n"].sum()), *together])
    names = {"active": _("Customers who are still there (logo retention)"),
             "kept": _("Gross revenue retention: no more than at the start, nothing of those who came back"),
             "revenue": _("Net revenue retention: everything that the customers pay, over what they began with"),
             }  # fmt: skip
    columns = [_("Cohort"), _("Customers"), *(_("{n} months").format(n=lang.count(age)) for age in found.ages)]
    notes = [_("Share and 95% interval. A dash: fewer than {n} customers, or not all of the cohort was watched so "
               "long. The "
               "last row weighs cohorts by their size.").format(n=lang.count(found.min_customers))]  # fmt: skip
    if len(days) < len(every):
        notes.append(_("{n} of {all} cohorts are listed: the last, and those that stand out.").format(
            n=lang.count(len(days)), all=lang.count(len(every))))  # fmt: skip
    return Table(names[what], columns, rows, [False] + [True] * (len(columns) - 1),
                 [day in hot for day in days] + [False], notes)  # fmt: skip


def _cell(cells, what: str, least: int) -> str:
    n = int(cells["n"].sum())
    if n < least:
        return lang.NONE
    if what == "active":
        return lang.estimate(stats.wilson(int(cells["active"].sum()), n))
    return lang.estimate(compare.ratio(cells, what))


def movement_table(found: Found) -> Table:
    """The movement bridge of the last months: each row sums exactly."""
    columns = [_("Month"), _("Opening"), *(words.movement_name(name) for name in MOVEMENTS), _("Closing"), _("Left")]
    rows = []
    for row in found.months.tail(MONTHS).to_dict("records"):
        amounts = [row[name] / found.minor_units for name in ("opening", *MOVEMENTS, "closing")]
        rows.append([f"{row['month_on']:%Y-%m}", *(lang.money(one, found.currency) for one in amounts),
                     lang.count(row["n_churn"])])  # fmt: skip
    notes = [_("Opening and movements are the closing, to the cent; shown in whole units. New: never a customer "
               "before. "
               "Churn: nothing active is left; who ends one of several contracts has contracted. Reactivation: came "
               "back after a month or more without anything.")]  # fmt: skip
    return Table(_("What moved recurring revenue"), columns, rows, [False] + [True] * 8, notes=notes)


def renewal_table(found: Found) -> Table | None:
    """NRR and GRR with the convention named."""
    told = [one for one in (found.renewed, found.renewed_before) if one is not None]
    if not told:
        return None
    rows = [
        [f"{one.month_on:%Y-%m}", lang.count(one.n), lang.money(one.then / found.minor_units, found.currency),
         lang.money(one.now / found.minor_units, found.currency), lang.estimate(one.net),
         lang.estimate(one.gross), lang.count(one.n_all)]
        for one in told
    ]  # fmt: skip
    columns = [_("Month"), _("Customers of a year before"), _("They paid then"), _("They pay"), _("NRR"), _("GRR"),
               _("All customers then")]  # fmt: skip
    asked = found.asked
    notes = [
        {"all": _("The denominator is the revenue of all customers of a year before."),
         "renewing": _("The denominator is the revenue of customers of a year before a contract of whom came up for "
                       "renewal since.")}[asked["base"]],
        {"in": _("What contracts themselves raise counts as growth."),
         "out": _("What contracts themselves raise is taken off.")}[asked["escalators"]],
        {"in": _("Who left and came back counts with what is paid now."),
         "out": _("Who left and came back counts as gone.")}[asked["reactivation"]],
    ]  # fmt: skip
    return Table(_("Revenue retention over twelve months"), columns, rows, [False] + [True] * 6, notes=notes)


def difference_table(found: Found) -> Table | None:
    """What stands out at equal age."""
    if not found.differs:
        return None
    rows = [
        [words.unit_name(one, found), lang.count(one.age), words.measure_name(one.measure), lang.count(one.n),
         lang.estimate(one.share), lang.estimate(one.others), lang.p_value(one.p_adjusted),
         words.money_of(one.money, found)]
        for one in found.differs
    ]  # fmt: skip
    columns = [_("Cohort or group"), _("Age, months"), _("What"), _("Customers"), _("Share"), _("Others"), _("p, "
                                                                                                             "corrected"),
               _("Revenue a month against the others")]  # fmt: skip
    notes = [_("Each is compared with all others at the same age: who stayed, pays more, pays less than at the start. "
               "Fisher's exact test, Holm's correction over all {n} comparisons. What is found is set aside before the "
               "others are compared.").format(n=lang.count(found.n_compared))]  # fmt: skip
    return Table(_("What stands out at equal age"), columns, rows, [False, True, False, *[True] * 5], notes=notes)


def group_table(found: Found) -> Table | None:
    """Groups at one age."""
    if not len(found.groups):
        return None
    rows = []
    for row in found.groups.itertuples():
        known = row.n_watched > 0
        rows.append([words.group_name(row.group), lang.count(row.n), lang.count(row.n_watched) if known else lang.NONE,
                     *(lang.estimate(one if known else None) for one in (row.stayed, row.gross,
                     row.net))])  # fmt: skip
    age = found.groups["age"].dropna()
    caption = _("Groups at {n} months").format(n=lang.count(age.iloc[0])) if len(age) else _("Groups")
    columns = [words.split_name(found), _("Customers"), _("Watched so long"), _("Still there"), _("GRR"), _("NRR")]
    notes = [] if len(age) else [_("No age is known of {n} customers of each group.").format(
        n=lang.count(found.min_customers))]  # fmt: skip
    return Table(caption, columns, rows, [False] + [True] * 5, notes=notes)


def event_table(found: Found) -> Table | None:
    """Movements before and after the event, and whether they had been changing before."""
    if not found.event:
        return None
    rows = []
    for one in found.event:
        sides = []
        for side in (one.before, one.after):
            limits = _("{value} ({low} to {high})").format(
                value=lang.decimal(side.ratio.value), low=lang.decimal(side.ratio.low),
                high=lang.decimal(side.ratio.high)
            ) if side.ratio else lang.NONE  # fmt: skip
            sides += [f"{lang.count(side.observed)} / {lang.decimal(side.expected)}", limits]
        trend = lang.NONE
        if one.trend is not None:
            trend = _("×{factor} a month, p {p}").format(
                factor=lang.decimal(one.trend.value, 2), p=lang.p_value(one.p_trend)
            )
        rows.append([words.measure_name(one.measure), *sides, lang.p_value(one.p_adjusted), trend])
    columns = [_("Customers who"), _("Before: came / expected"), _("Ratio"), _("After: came / expected"), _("Ratio"),
               _("p, corrected"), _("Trend before")]  # fmt: skip
    notes = [_("Expected: what others do at the same ages. The trend before is that of the ratio by month; where there "
               "was one, the event does not explain all that followed. A ratio of fewer than {n} expected is not "
               "told.").format(n=lang.count(compare.FEWEST))]  # fmt: skip
    return Table(_("Before and after the event"), columns, rows, [False] + [True] * 6, notes=notes)


def method_table(found: Found) -> Table | None:
    """How wrong each way to go on was on months that were held out."""
    made = found.projection
    if made is None or not len(made.errors):
        return None
    names = {"customers": _("customers"), "revenue": _("revenue")}
    rows, hot = [], []
    for row in made.errors.itertuples():
        rows.append([names[row.value], words.method_name(row.method), lang.percent(row.error, 1),
                     lang.count(row.n_origins), lang.count(row.horizon)])  # fmt: skip
        hot.append(made.chosen[row.value] == row.method)
    columns = [_("Of"), _("Method"), _("Error"), _("Times gone back"), _("Months held out")]
    notes = [_("Error: sum of absolute errors of cohorts of {n} months over what came. The method with the least is "
               "used; "
               "marked.").format(n=3)]  # fmt: skip
    return Table(_("Which way to go on"), columns, rows, [False, False, True, True, True], hot, notes)


def value_table(found: Found) -> Table | None:
    """What customers by the year they began have brought, and are to bring."""
    made = found.projection
    if made is None:
        return None
    rows = []
    for row in made.by_year.itertuples():
        low, middle, high = np.quantile(made.to_come[int(row.year)], (0.1, 0.5, 0.9))
        each = (row.so_far + middle) / row.n if row.n else None
        rows.append([words.year_name(int(row.year)), lang.count(row.n), words.money(row.so_far, found),
                     words.money(middle, found), f"{words.money(low, found)} … {words.money(high, found)}",
                     words.money(each, found) if each is not None else lang.NONE])  # fmt: skip
    columns = [_("Began in"), _("Customers"), _("So far"), _("To come, P50"), _("P10 … P90"), _("Each, in all")]
    text = _("Revenue times the margin; to come within {n} months, a year's delay making it worth {share} less.")
    notes = [text.format(n=lang.count(found.horizon_months), share=lang.percent(found.discount))]
    return Table(_("Lifetime value by cohort"), columns, rows, [False] + [True] * 5, notes=notes)


def mix_table(found: Found) -> Table:
    """Of whom the base is made, and how much hangs on the largest."""
    n, revenue = found.mix["n"].sum(), found.mix["revenue"].sum()
    rows = [
        [words.year_name(int(row.year)), lang.count(row.n), lang.percent(row.n / n), words.money(row.revenue, found),
         lang.percent(row.revenue / revenue)]
        for row in found.mix.itertuples()
    ]  # fmt: skip
    names = {
        "1": _("the largest"),
        "5": _("the five largest"),
        "10": _("the ten largest"),
        "tenth": _("a tenth of all"),
    }
    parts = [f"{names[name]} {lang.percent(share)}" for name, share in found.largest.items()]
    notes = [_("Share of revenue: {parts}.").format(parts="; ".join(parts))] if parts else []
    columns = [_("Began in"), _("Customers"), _("Share"), _("Revenue a month"), _("Share")]
    return Table(_("Of whom the base is made"), columns, rows, [False] + [True] * 4, notes=notes)
