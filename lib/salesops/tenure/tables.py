"""The tables of tenure: finished numbers in, finished tables out, in every language."""

from salesops import lang
from salesops.findings import Table
from salesops.lang import _
from salesops.tenure import words
from salesops.tenure.compute import ALPHA, Found


def group_table(found: Found) -> Table:
    """How many are still there by group and tenure."""
    rows, hot = [], []
    for row in found.table.itertuples():
        p = lang.NONE if row.p_adjusted != row.p_adjusted else lang.p_value(row.p_adjusted)
        rows.append([words.group_name(row.group), lang.count(row.n), lang.count(row.n_ended), lang.rate(row.ended, 1),
                     *(lang.estimate(row.at[age]) for age in found.ages), lang.months(row.median),
                     p])  # fmt: skip
        hot.append(bool(row.p_adjusted < ALPHA))
    ages = [_("{n} months").format(n=lang.count(age)) for age in found.ages]
    columns = [words.split_name(found), _("Contracts"), _("Ended"), _("Ended, of all"), *ages, _("Median, months"),
               _("p, corrected")]  # fmt: skip
    notes = [
        _("Share still there with its 95% interval (Kaplan-Meier, running contracts censored). A dash: fewer than {n} "
          "contracts, or nobody was watched so long. p: of the share at the longest tenure that enough were watched "
          "for "
          "being that of all others; Holm's correction.").format(n=lang.count(found.min_customers)),
        _("Ended, of all: whatever their tenure; it is the rate of no month and no year."),
    ]  # fmt: skip
    return Table(_("Who stays how long"), columns, rows, [False] + [True] * (len(columns) - 1), hot, notes)


def record_table(found: Found) -> Table | None:
    """Accounts by what each record says of them."""
    made = found.disagreements
    if len(made.kept) < 2:
        return None
    says = {True: _("left"), False: _("there")}
    rows, hot = [], []
    for row in made.table.to_dict("records"):
        rows.append([*(says[row[name]] for name in made.kept), lang.count(row["n"]),
                     lang.money(row["amount"] / found.minor_units, found.currency)])  # fmt: skip
        hot.append(len({row[name] for name in made.kept}) > 1)
    columns = [
        *(words.record_name(name).capitalize() for name in made.kept),
        _("Accounts"),
        _("Their contracts, a month"),
    ]
    notes = [_("Marked: the records contradict each other. By flag: the account's, or that of all its contracts. "
               "Logged: "
               "cancelled, and nothing began since. Ended: all contracts have a last day that has passed.",
               )]  # fmt: skip
    return Table(_("What the records say of who has left"), columns, rows,
                 [False] * len(made.kept) + [True, True], hot, notes)  # fmt: skip


def ahead_table(found: Found) -> Table | None:
    """How long those will stay who have stayed so long."""
    if not found.months_ahead:
        return None
    rows = [[lang.count(age), lang.decimal(middle), f"{lang.decimal(low)} … {lang.decimal(high)}"]
            for age, (low, middle, high) in found.months_ahead.items()]  # fmt: skip
    columns = [_("Has stayed, months"), _("Will stay, of {n} months").format(n=lang.count(found.horizon_months)),
               _("P5 … P95")]  # fmt: skip
    notes = [_("Shifted beta-geometric, all contracts together: who leaves easily leaves first, so that those who have "
               "stayed stay longer. Alpha {a}, beta {b}.").format(
        a=lang.decimal(found.fit.alpha, 3), b=lang.decimal(found.fit.beta, 3))]  # fmt: skip
    if len(found.trial):
        off = found.trial.set_index("method")["told"]["contracts"] - found.came
        notes.append(_("Told of long tenures from short ones, such a projection was {points} points off; the interval "
                       "knows only how few contracts there are.").format(points=lang.points(off,
                       signed=True)))  # fmt: skip
    return Table(_("How long those there will stay"), columns, rows, [True] * 3, notes=notes)


def trial_table(found: Found) -> Table | None:
    """What was told of long tenures from short ones alone."""
    if not len(found.trial):
        return None
    names = {"contracts": _("shifted beta-geometric"), "constant": _("one rate for all tenures")}
    rows = [[names[row.method], lang.percent(row.told, 1), lang.percent(found.came, 1),
             lang.points(row.told - found.came, signed=True)] for row in found.trial.itertuples()]  # fmt: skip
    hot = [row.error == found.trial["error"].min() for row in found.trial.itertuples()]
    columns = [_("Method"), _("Told"), _("Came"), _("Points off")]
    notes = [_("The share still there after {n} months, told from what is known of the first {half} alone.").format(
        n=lang.count(found.trial_age), half=lang.count(found.trial_age // 2))]  # fmt: skip
    return Table(_("How right that is"), columns, rows, [False, True, True, True], hot, notes)
