"""The tables of ripening: finished numbers in, finished tables out, in every language."""

import numpy as np

from salesops import lang
from salesops.findings import Table
from salesops.lang import _
from salesops.ripening import words
from salesops.ripening.compute import Found

COHORTS = 16


def rate_table(found: Found) -> Table:
    """Shares converted by cohort at equal ages."""
    hot = {one.cohort for one in found.differs}
    rows = [
        [words.cohort_name(int(row["cohort"]), found.step), lang.count(row["n"]),
         *(lang.estimate(row[age]) for age in found.ages)]
        for row in found.rates.tail(COHORTS).to_dict("records")
    ]  # fmt: skip
    marks = [int(cohort) in hot for cohort in found.rates.tail(COHORTS)["cohort"]]
    columns = [_("Cohort"), _("Size"), *(_("{n} days").format(n=lang.count(age)) for age in found.ages)]
    notes = [_("Share converted by that age and its 95% interval (Aalen-Johansen: open ones censored, losing "
               "competes). A "
               "dash: fewer than {n}, or not all of the cohort is so old. Never compare across columns.").format(
        n=lang.count(found.min_deals))]  # fmt: skip
    if len(found.rates) > COHORTS:
        notes.append(
            _("The last {n} of {all} cohorts.").format(n=lang.count(COHORTS), all=lang.count(len(found.rates)))
        )
    return Table(_("Cohorts at equal age"), columns, rows, [False] + [True] * (len(columns) - 1), marks, notes)


def ultimate_table(found: Found) -> Table:
    """What each cohort will come to, by each method."""
    made, own = found.ultimate, words.shares(found)
    n = made.cohorts.n
    rows = []
    for k in range(max(len(n) - COHORTS, 0), len(n)):
        ripe = not made.open[k]
        limits = lang.NONE if ripe else lang.between(own["low"][k], own["high"][k])
        rows.append([words.cohort_name(int(made.cohorts.names[k]), found.step), lang.count(n[k]),
        lang.count(made.open[k]),
                     lang.percent(own["so_far"][k]), lang.percent(own["told"][k]), limits,
                     lang.percent(made.told["bf"][k] / n[k]), lang.percent(made.told["ladder"][k] / n[k])])  # fmt: skip
    columns = [_("Cohort"), _("Size"), _("Open"), _("So far"), _("Comes to"), _("90% interval"),
    _("Bornhuetter-Ferguson"),
               _("Chain ladder")]  # fmt: skip
    notes = [_("Conversions by {n} days of age over the cohort's size. Comes to: {method}. The interval knows that "
               "chances are "
               "estimates and that cohorts differ, and leaves to chance what each open one does.").format(
        n=lang.count(found.horizon), method=words.method_name(words.method(found)))]  # fmt: skip
    return Table(_("What each cohort comes to"), columns, rows, [False] + [True] * 7, notes=notes)


def record_table(found: Found) -> Table | None:
    """How wrong each method was on days of the past."""
    made = found.record
    if made is None:
        return None
    rows = [[words.method_name(row.method), lang.percent(row.error, 1)] for row in made.errors.itertuples()]
    hot = [row.method == made.chosen for row in made.errors.itertuples()]
    days = [lang.day((np.datetime64("1970-01-01") + int(day)).astype(object)) for day in made.days]
    notes = [_("Told on {days} of {n} cohorts that were not ripe then and are now. Error: sum of absolute errors "
               "over what "
               "came. The method with the least is used (marked).").format(days=", ".join(days),
               n=lang.count(made.n))]  # fmt: skip
    return Table(_("How right such figures were"), [_("Method"), _("Error")], rows, [False, True], hot, notes)


def money_table(found: Found) -> Table | None:
    """Won money by month of creation: so far, to come, with Mack's standard errors."""
    made = found.money
    if made is None:
        return None
    rows = []
    for k in range(max(len(made.names) - 12, 0), len(made.names)):
        rows.append([words.cohort_name(made.names[k], "month"), lang.count(made.n[k]), words.money(made.so_far[k],
        found),
                     words.money(made.ultimate[k], found), f"± {words.money(made.se[k], found)}",
                     words.money(made.bf[k], found)])  # fmt: skip
    so_far, ultimate = float(made.so_far.sum()), float(made.ultimate.sum())
    rows.append([_("All"), lang.count(made.n.sum()), words.money(so_far, found), words.money(ultimate, found),
                 f"± {words.money(made.total_se, found)}", words.money(float(made.bf.sum()), found)])  # fmt: skip
    columns = [
        _("Created in"),
        _("Size"),
        _("So far"),
        _("Chain ladder"),
        _("Standard error"),
        _("Bornhuetter-Ferguson"),
    ]
    notes = [_("Amounts of those converted, by month of creation and months since; whole months only. Standard "
               "errors by Mack, "
               "with what cohorts have in common. A month with little of its own is told better by "
               "Bornhuetter-Ferguson.")]  # fmt: skip
    if found.what == "leads":
        notes.append(_("The amount is that of the deals that leads became, won or not."))
    return Table(_("Money by month of creation"), columns, rows, [False] + [True] * 5,
                 [False] * (len(rows) - 1) + [True], notes)  # fmt: skip
