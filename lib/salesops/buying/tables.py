"""The tables of repeat buying: finished numbers in, finished tables out, in every language."""

import pandas as pd

from salesops import lang
from salesops.buying import words
from salesops.buying.compute import Found
from salesops.findings import Table
from salesops.lang import _

COHORTS = 24
AGES = 12


def triangle_table(found: Found) -> Table:
    """Cohorts: size, how many were active in each later period, and in the one that has only begun."""
    made = found.triangle
    begun = found.bought.begun.set_index("started")["n"] if len(found.bought.begun) else pd.Series(dtype="int64")
    ages = list(range(1, min(int(made["age"].max()) if len(made) else 0, AGES) + 1))
    rows = []
    for started, n in found.bought.sizes.tail(COHORTS).items():
        own = made[made["started"] == started].set_index("age")["active"]
        row = [words.period_name(int(started), found.step), lang.count(n)]
        row += [lang.count(own[age]) if age in own.index else "" for age in ages]
        if found.bought.n_days:
            row.append(f"({lang.count(begun.get(started, 0))})")
        rows.append(row)
    columns = [_("Cohort"), _("Customers"), *map(str, ages)]
    notes = [_("Customers of the cohort who bought in the first, second, ... later period.")]
    if found.bought.n_days:
        columns.append(_("({name}, begun)").format(name=words.period_name(found.bought.last + 1, found.step)))
        notes.append(_("In brackets, the period that has only begun: {n} of {of} days. It is no fall.").format(
            n=lang.count(found.bought.n_days), of=lang.count(found.bought.of_days)))  # fmt: skip
    return Table(_("Who bought again, and when"), columns, rows, [False] + [True] * (len(columns) - 1), notes=notes)


def together_table(found: Found) -> Table | None:
    """All cohorts that were watched so long, together."""
    if not len(found.together):
        return None
    rows = [[lang.count(row.age), lang.count(row.n), lang.percent(row.active.value, 1), lang.interval(row.active)]
            for row in found.together.itertuples()]  # fmt: skip
    columns = [
        words.unit(found).capitalize(),
        _("Customers watched so long"),
        _("Bought in that period"),
        _("95% interval"),
    ]
    return Table(_("All cohorts together"), columns, rows, [True] * 4)


def record_table(found: Found) -> Table | None:
    """How wrong each method was on days of the past."""
    made = found.record
    if made is None:
        return None
    rows = [[words.method_name(row.method), lang.percent(row.error, 1), lang.percent(row.total),
             lang.count(round(made.expected[row.method]))] for row in made.errors.itertuples()]  # fmt: skip
    hot = [row.method == made.chosen for row in made.errors.itertuples()]
    columns = [_("Method"), _("Error"), _("Told over what came"), _("Purchases to come")]
    days = ", ".join(lang.day(day) for day in made.days)
    notes = [
        _("Told on {days}, for {n} weeks from then on, from what was known that day. Error: sum of absolute errors by "
          "how often customers had come back, over what came. The method with the least tells how many purchases "
          "there will be (marked); the BG/NBD, of whom.").format(days=days, n=lang.count(made.weeks)),
        _("Totals scatter by {share} beside what the model foresees: seasons and the market. The intervals hold "
          "it.").format(share=lang.percent(made.shock)),
    ]  # fmt: skip
    return Table(_("How right such figures were"), columns, rows, [False, True, True, True], hot, notes)


def model_table(found: Found) -> Table | None:
    """What the model says of customers as a whole."""
    made = found.model
    if made is None:
        return None
    r, alpha, a, b = made.rates[:4]
    rows = [
        [_("Purchases of a customer, a year"), lang.decimal(r / alpha * 365.25 / 7, 2)],
        [_("Chance to stop after a purchase"), lang.percent(a / (a + b), 1)],
        [_("Customers who are still customers"), lang.percent(float(found.customers["alive"].mean()))],
    ]
    if made.amounts is not None and made.amounts.q > 1:
        mean = made.amounts.v * made.amounts.p / (made.amounts.q - 1)
        rows.append([_("A repeat purchase, on average"), words.money(mean, found)])
    notes = [_("BG/NBD: r {r}, alpha {alpha} weeks, a {a}, b {b}, of {n} customers.").format(
        r=lang.decimal(r, 3), alpha=lang.decimal(alpha, 3), a=lang.decimal(a, 3), b=lang.decimal(b, 3),
        n=lang.count(made.n))]  # fmt: skip
    if made.amounts is not None:
        text = _("Gamma-gamma: p {p}, q {q}, v {v}; how often and for how much are correlated by {correlation}, and "
                 "the model "
                 "takes them for independent.")  # fmt: skip
        notes.append(text.format(
            p=lang.decimal(made.amounts.p, 3), q=lang.decimal(made.amounts.q, 3),
            v=lang.decimal(made.amounts.v / found.minor_units, 2),
            correlation=lang.NONE if made.correlation is None else lang.decimal(made.correlation, 2)))  # fmt: skip
    return Table(_("What is said of customers as a whole"), ["", _("Value")], rows, [False, True], notes=notes)


def dormant_table(found: Found) -> Table | None:
    """Dormant customers by their chance of still being one; who they are stands in the list alone."""
    if not len(found.dormant):
        return None
    edges = [0.0, 0.25, 0.5, 0.75, 1.0001]
    rows = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        part = found.dormant[found.dormant["alive"].between(low, high, inclusive="left")]
        if len(part):
            rows.append([lang.between(low, min(high, 1)), lang.count(len(part)),
                         words.money(float(part["value"].sum()), found), words.money(float(part["if_alive"].sum()),
                         found)])  # fmt: skip
    columns = [_("Chance of still being a customer"), _("Customers"), _("Expected"), _("If they are still customers")]
    notes = [_("Who they are, with the last purchase and the value of each: salesops files PARAMS --to FOLDER.")]
    return Table(_("Dormant customers worth a call"), columns, rows, [False] + [True] * 3, notes=notes)


def mix_table(found: Found) -> Table:
    """Of whom the year's revenue is, and how much hangs on the largest."""
    recent = float(found.by_year["recent"].sum())
    rows = [
        [str(int(row.year)), lang.count(row.n), words.money(row.net, found), words.money(row.recent, found),
         lang.percent(row.recent / recent) if recent else lang.NONE]
        for row in found.by_year.itertuples()
    ]  # fmt: skip
    names = {
        "1": _("the largest"),
        "5": _("the five largest"),
        "10": _("the ten largest"),
        "tenth": _("a tenth of all"),
    }
    parts = [f"{names[name]} {lang.percent(share)}" for name, share in found.largest.items()]
    columns = [_("First bought in"), _("Customers"), _("So far"), _("In twelve months"), _("Share")]
    notes = [_("Share of revenue: {parts}.").format(parts="; ".join(parts))] if parts else []
    return Table(_("Of whom revenue is"), columns, rows, [False] + [True] * 4, notes=notes)
