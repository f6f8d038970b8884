"""The tables of the ramp: finished numbers in, finished tables out, in every language."""

from salesops import lang
from salesops.findings import Table
from salesops.lang import _
from salesops.ramp import words
from salesops.ramp.compute import Found


def band_table(found: Found) -> Table:
    """Bookings and attainment by tenure: all who were there, those who are still there, those who left."""
    names = {"all": _("all"), "stays": _("still there"), "left": _("left since")}
    rows, hot = [], []
    for row in found.bands.itertuples():
        if not row.n:
            continue
        span = _("{first} to {last}").format(first=lang.count(row.first + 1), last=lang.count(row.last + 1))
        rows.append([span, names[row.who], lang.count(row.n), lang.estimate(row.share), lang.estimate(row.attained)])
        hot.append(row.who == "all")
    columns = [_("Months of tenure"), _("Reps who"), _("Reps"), _("Bookings over peers'"), _("Attainment of own quota")]
    notes = [_("Sums of bookings over sums of what settled peers booked in the same days, so that no season is taken "
               "for a ramp; "
               "95% intervals with reps varying. A dash: fewer than {n} reps, or no quota. A mean over those still "
               "there "
               "alone would leave out who failed.").format(n=lang.count(found.min_reps))]  # fmt: skip
    return Table(_("Bookings and attainment by tenure"), columns, rows, [False, False, True, True, True], hot, notes)


def end_table(found: Found) -> Table:
    """What became of newcomers, by how long they were watched."""
    names = {"ramped": _("ramped"), "left": _("left before"), "open": _("not yet ramped")}
    rows = []
    for end, name in names.items():
        part = found.newcomers[found.newcomers["end"] == end]
        middle = lang.decimal(float(part["age"].median())) if len(part) else lang.NONE
        rows.append([name, lang.count(len(part)), middle])
    notes = [words.definition(found)]
    if found.incidence is not None and len(found.incidence.age):
        for age in (6, 9, 12):
            ramped, left = (found.incidence.at(cause, age) for cause in ("ramped", "left"))
            text = _("By month {n}: ramped {ramped}, left before {left}.")
            notes.append(text.format(n=lang.count(age), ramped=lang.estimate(ramped), left=lang.estimate(left)))
    return Table(_("What became of newcomers"), [_("Newcomers"), _("Reps"), _("Months, median")], rows,
                 [False, True, True], notes=notes)  # fmt: skip


def month_table(found: Found) -> Table:
    """The curve, month by month."""
    rows = [
        [lang.count(row.month + 1), lang.count(row.n), lang.estimate(row.share),
         lang.percent(row.smooth) if row.share is not None else lang.NONE]
        for row in found.curve.itertuples() if row.n
    ]  # fmt: skip
    columns = [_("Month of tenure"), _("Reps"), _("Bookings over peers'"), _("Never falling")]
    notes = [
        _("Never falling: the nearest curve that does not fall from month to month; what plans and quotas can take.")
    ]
    return Table(_("The ramp, month by month"), columns, rows, [True] * 4, notes=notes)
