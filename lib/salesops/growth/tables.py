"""The tables of growth: finished numbers in, finished tables out, in every language."""

from salesops import lang
from salesops.findings import Table
from salesops.growth import words
from salesops.growth.compute import Growth
from salesops.lang import _


def part_table(found: Growth) -> Table:
    """What each group of each split brought; each split sums to the whole."""
    rows, hot = [], []
    whole = found.now - found.before
    for split, table in found.parts.items():
        order = (table["now"] - table["before"]).sort_values(ascending=False, kind="stable").index
        for group in order:
            one = table.loc[group]
            change = int(one["now"] - one["before"])
            growth = change / one["before"] if one["before"] > 0 else None
            rows.append([words.split_name(split), words.group_name(split, group), words.money(one["before"], found),
                         words.money(one["now"], found), words.signed(change, found), words.signed_share(growth),
                         words.signed_share(change / found.before, 1)])  # fmt: skip
            hot.append(False)
    rows.append([_("All"), "", words.money(found.before, found), words.money(found.now, found),
                 words.signed(whole, found), words.signed_share(whole / found.before),
                 words.signed_share(whole / found.before, 1)])  # fmt: skip
    hot.append(True)
    columns = [_("By"), _("Group"), _("Before"), _("Now"), _("Change"), _("Growth"), _("Points of growth")]
    notes = [_("Points of growth: the change over what all booked before; those of a split sum to the growth of all.")]
    return Table(_("Where growth comes from"), columns, rows, [False, False] + [True] * 5, hot, notes)


def held_table(found: Growth) -> Table:
    """Concentration of bookings and of the open pipeline."""
    rows = []
    for holder, (now, before) in found.held.items():
        if now is not None:
            was = lang.decimal(before.effective) if before is not None else lang.NONE
            rows.append([_("Bookings by {holders}").format(holders=words.holder_name(holder)), *_cells(now), was])
    for name, one in ((_("Open pipeline by deal"), found.open_deals),
                      (_("Open pipeline by customer"), found.open_customers),
                      (_("Weighted pipeline by customer"), found.weighted_customers)):  # fmt: skip
        if one is not None:
            rows.append([name, *_cells(one), lang.NONE])
    columns = [_("Of"), _("n"), _("Largest"), _("Five largest"), _("Ten largest"), _("Herfindahl"), _("Gini"),
               _("Equal ones"), _("Before")]  # fmt: skip
    notes = [_("Herfindahl: the sum of squared shares. Equal ones: how many of equal size would be as concentrated, "
               "one "
               "over it; before: of the months before. What has no customer, channel or rep is left out.")]  # fmt: skip
    return Table(_("On how few it rests"), columns, rows, [False] + [True] * 8, notes=notes)


def _cells(one) -> list[str]:
    return [lang.count(one.n), *(lang.percent(share, 1) for share in one.tops), lang.decimal(one.hhi, 3),
            lang.decimal(one.gini, 2), lang.decimal(one.effective)]  # fmt: skip
