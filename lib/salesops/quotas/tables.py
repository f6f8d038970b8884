"""The tables of quotas: finished numbers in, finished tables out, in every language."""

import numpy as np

from salesops import lang
from salesops.findings import Table
from salesops.lang import _
from salesops.quotas.chances import BANDS
from salesops.quotas.compute import Found
from salesops.quotas.words import chance_names, chance_text, team_name


def _about(amount: float, currency: str) -> str:
    return lang.money(round(amount, -3), currency)


def quarter_table(found: Found) -> Table:
    """Quotas and bookings by quarter, and the year against the target."""
    rows = [
        [row.quarter, lang.money(row.quota, found.currency), lang.money(row.booked, found.currency),
         lang.percent(row.booked / row.quota) if row.quota else lang.NONE,
         _("over") if row.ended else _("running or to come")]
        for row in found.by_quarter.itertuples()
    ]  # fmt: skip
    quota, booked = found.by_quarter["quota"].sum(), found.by_quarter["booked"].sum()
    rows.append([_("Year"), lang.money(quota, found.currency), lang.money(booked, found.currency),
                 lang.percent(booked / quota) if quota else lang.NONE, ""])  # fmt: skip
    low, middle, high = (_about(float(one), found.currency) for one in np.quantile(found.booked, (0.1, 0.5, 0.9)))
    if found.elsewhere > 0:
        others = lang.money(found.elsewhere, found.currency)
        rows.append([_("by those without such a seat"), lang.NONE, others, lang.NONE, ""])
    notes = [
        _("To be expected of the year: P10 {low}, P50 {middle}, P90 {high}.").format(low=low, middle=middle, high=high)
    ]
    if found.target:
        text = _("The target is {target}: from the top; the gap to what is to be expected is {gap} (P50).")
        gap = float(np.median(found.booked)) - found.target
        sign = "+" if gap > 0 else "−" if gap < 0 else ""
        notes.append(text.format(target=lang.money(found.target, found.currency),
                                 gap=sign + _about(abs(gap), found.currency)))  # fmt: skip
    columns = [_("Quarter"), _("Quota"), _("Booked"), _("Attainment"), ""]
    return Table(_("From the top and from the seats"), columns, rows, [False] + [True] * 3 + [False],
                 [row[0] == _("Year") for row in rows], notes)  # fmt: skip


def chance_table(found: Found) -> Table:
    """Seats by their chance to attain the year's quota, and what such chances were worth."""
    at = np.searchsorted(BANDS, found.seats["chance"].to_numpy(), side="right") - 1
    counts, made = np.bincount(at, minlength=len(BANDS)), found.record
    rows = []
    for k, name in enumerate(chance_names()):
        row = [name, lang.count(counts[k])]
        if made is None or not made.n[k]:
            row += [lang.NONE, lang.NONE, lang.NONE]
        else:
            row += [lang.count(made.n[k]), lang.percent(float(made.said[k])), lang.percent(float(made.came[k]))]
        rows.append(row)
    columns = [_("Chance"), _("Seats, this year"), _("Told before, of quarters"), _("Mean chance told"), _("Attained")]
    notes = [_("A seat's chance is its own record drawn towards everybody's, by how much reps differ beyond chance. "
               "Told before: for each quarter of the record, from the quarters before it alone.")]  # fmt: skip
    if made is None:
        notes.append(_("No quarter has enough quarters before it to have told chances."))
    else:
        text = _("Mean squared error {brier}; {base} if everybody is told the share that attained before.")
        notes.append(text.format(brier=lang.decimal(made.brier, 3), base=lang.decimal(made.base, 3)))
    return Table(_("Who can attain the quota"), columns, rows, [False] + [True] * 4, notes=notes)


def group_table(found: Found, least: int) -> Table | None:
    """Whether quotas are spread as the chances to sell are."""
    if not len(found.groups):
        return None
    rows = []
    for row in found.groups.itertuples():
        interval = _("{low} to {high}").format(low=lang.percent(max(row.low, 0)), high=lang.percent(row.high)) if (
            lang.known(row.low)
        ) else lang.NONE  # fmt: skip
        rows.append([team_name(row.team), lang.count(row.n), lang.percent(row.quota_share, 1),
                     lang.percent(row.pipeline_share, 1), lang.percent(row.booked_share, 1),
                     lang.percent(row.attainment) if lang.known(row.attainment) else lang.NONE, interval])  # fmt: skip
    columns = [_("Team"), _("Seats"), _("Share of quotas"), _("of new pipeline"), _("of bookings"), _("Attainment"),
               _("95% interval")]  # fmt: skip
    notes = [_("New pipeline and bookings of the last twelve months. Attainment: mean of reps' means of the record, "
               "all quarters alike; shares are of the teams shown; whether teams differ is tested by putting reps "
               "into teams at random. Teams of fewer than {n} stand together.").format(
        n=lang.count(least))]  # fmt: skip
    return Table(_("Whether quotas are fair"), columns, rows, [False] + [True] * 6, notes=notes)


def ratio_table(found: Found) -> Table:
    """What the quotas would have to be, and what they are of pay."""
    rows = []
    for share, factor in found.factors.items():
        rows.append([_("For {share} of seats to attain them").format(share=lang.percent(share)),
                     ("+" if factor > 1 else "") + lang.percent(factor - 1, 1)])  # fmt: skip
    ratio = found.seats["ratio"]
    if found.ote and lang.known(ratio.median()):
        low, middle, high = (f"{lang.decimal(float(one), 1)}×" for one in np.quantile(ratio, (0.25, 0.5, 0.75)))
        rows.append([_("Quota of a seat over its pay on target, median (quartiles)"), f"{middle} ({low}–{high})"])
    notes = [_("All quotas of the year, as they are, multiplied "
               "alike; by the drawn years. Pay on target: {ote}.").format(
        ote=lang.money(found.ote, found.currency))]  # fmt: skip
    return Table(_("What quotas would have to be"), [_("What"), _("Change")], rows, [False, True], notes=notes)


def head_table(found: Found) -> Table | None:
    """Capacity of the next twelve months, by quarter of them."""
    made = found.heads
    if made is None:
        return None
    rows, booked = [], made.booked
    for k in range(0, len(made.months), 3):
        low, middle, high = np.quantile(booked[:, k : k + 3].sum(axis=1), (0.1, 0.5, 0.9))
        rows.append([
            _("{first} to {last}").format(first=lang.month(made.months[k]), last=lang.month(made.months[k + 2])),
            lang.decimal(float(made.heads[:, k + 2].mean()), 1),
            lang.decimal(float(np.median(made.productive[:, k : k + 3].mean(axis=1))), 1),
            *(_about(float(one), found.currency) for one in (low, middle, high)),
        ])  # fmt: skip
    columns = [_("Months"), _("Heads at the end"), _("As those past the ramp"), "P10", "P50", "P90"]
    gone = made.leaving
    notes = [_("One past the ramp books {each} a month (mean of {n} quarters of reps); each quarter is drawn as good "
               "as one of the record. {gone} reps left in {years} rep-years: {rate} a year (95% interval {low} to "
               "{high}), drawn as it is known. No season; deals open now are not looked at.").format(
        each=_about(float(made.each.means.mean()), found.currency), n=lang.count(made.each.n), gone=lang.count(gone.n),
        years=lang.decimal(gone.years, 1), rate=lang.percent(gone.rate), low=lang.percent(gone.low),
        high=lang.percent(gone.high))]  # fmt: skip
    return Table(_("What heads are good for"), columns, rows, [False] + [True] * 5, notes=notes)


def seat_table(found: Found, names: str) -> Table | None:
    """Each seat by name, where `names` is yes: for readers who are meant to see them."""
    if names != "yes":
        return None
    order = found.seats.sort_values(["chance", "name"], kind="stable")
    rows = [[row.name_, team_name(row.team or ""), lang.money(row.quota, found.currency),
             lang.money(row.booked, found.currency), lang.percent(row.booked / row.quota), chance_text(row.chance)]
            for row in order.rename(columns={"name": "name_"}).itertuples()]  # fmt: skip
    columns = [_("Seat"), _("Team"), _("Quota"), _("Booked"), _("Attainment"), _("Chance")]
    return Table(_("Seats"), columns, rows, [False] * 2 + [True] * 4)
