"""The tables of plans side by side: finished numbers in, finished tables out, in every language."""

from collections import Counter

import numpy as np

from salesops import lang
from salesops.comp_design.compute import Found
from salesops.comp_design.options import AS_MUCH, EDGES, SHIFTS, Option
from salesops.comp_design.search import main_of
from salesops.comp_design.words import count_text, counts, difference, name
from salesops.findings import Table
from salesops.lang import _
from salesops.pay.explain import bands, limits, unpaid


def _about(amount: float, currency: str) -> str:
    """To thousands, for more is noise."""
    return lang.money(round(amount, -3), currency)


def _signed(amount: float, currency: str) -> str:
    return ("+" if amount > 0 else "−" if amount < 0 else "") + _about(abs(amount), currency)


def cost_table(found: Found) -> Table:
    """What a drawn year costs under each plan."""
    rows = []
    for k, one in enumerate(found.options):
        low, middle, high = (_about(x, found.currency) for x in one.quantiles())
        gap, against, over = difference(found, one), lang.NONE, lang.NONE
        if k and found.comparable(one):
            against = _("{middle} ({low} to {high})").format(
                low=_signed(gap[0], found.currency), middle=_signed(gap[1], found.currency),
                high=_signed(gap[2], found.currency))  # fmt: skip
        if not one.costs.left_out:
            over = lang.percent(float((one.cost > found.budget).mean()))
        sales = lang.percent(float(np.median(one.costs.cost_of_sales)), 1)
        rows.append([name(found, one), low, middle, high, against, over, sales, f"{lang.decimal(one.reward, 2)}×",
                     f"{lang.decimal(one.leverage, 2)}×"])  # fmt: skip
    columns = [_("Plan"), "P10", "P50", "P90", _("Against now"), _("Over budget"), _("Cost of sales"),
               _("Best over middle"), _("Leverage")]  # fmt: skip
    text = _("Budget: {budget}. Against now: of the same drawn years, P50 with P10 and P90. Best over middle: what the "
             "quarter of rep-years with the highest attainment is paid, over the middle half. Leverage: base and pay "
             "at twice the quota, over base. The cost is of variable pay, and of the change of base pay where a plan "
             "has another. Draws, holds, spiffs and clawbacks are left aside.")  # fmt: skip
    notes = [text.format(budget=lang.money(found.budget, found.currency))]
    for one in found.options:
        if one.costs.left_out:
            text = _("{name}: left out, for they depend on more than what a rep has booked: {components}.")
            notes.append(text.format(name=name(found, one), components=", ".join(one.costs.left_out)))
    return Table(_("What a year costs"), columns, rows, [False] + [True] * 8, [True] + [False] * (len(rows) - 1), notes)


def gain_table(found: Found, least: int) -> Table | None:
    """Who would have earned more or less on the deals sold; medians only of groups large enough."""
    rows, notes = [], []
    if found.through is None:
        return None
    for one in found.options[1:]:
        gains = found.gains(one)
        for reason, n in Counter(unpaid(error) for error in one.why).items():
            text = _("{name}: {n} reps are left out: {reason}.")
            notes.append(text.format(name=name(found, one), n=lang.count(n), reason=reason))
        if not len(gains):
            continue
        more, less, same = counts(found, one)
        both = [who for who in one.earned if who in found.options[0].earned]
        all_, before = (sum(each.earned[who] for who in both) for each in (one, found.options[0]))
        # The sum of all would tell the pay of the few whose pay changes.
        few = any(0 < n < least for n in (more, less, same, more + less))
        rows.append([
            name(found, one), count_text(more, found), _median(gains[gains > AS_MUCH], least), count_text(less, found),
            _median(gains[gains < -AS_MUCH], least), count_text(same, found),
            lang.NONE if few else _about(all_, found.currency),
            lang.percent(all_ / before - 1, 1) if before > 0 and not few else lang.NONE,
        ])  # fmt: skip
    if not rows:
        return None
    columns = [_("Plan"), _("Would have had more"), _("median"), _("Would have had less"), _("median"),
               _("As much"), _("Earned in all"), _("against now")]  # fmt: skip
    text = _("Deals won from {since} to {through}, periods that have ended; pay is base and variable together, and a "
             "change within 1% is none. Medians of "
             "fewer than {n} reps are not shown.")  # fmt: skip
    notes.insert(0, text.format(since=lang.day(found.since), through=lang.day(found.through), n=lang.count(least)))
    return Table(_("Who gains and who loses"), columns, rows, [False] + [True] * 7, notes=notes)


def _median(gains: np.ndarray, least: int) -> str:
    known = gains[np.isfinite(gains)]
    if len(known) < least:
        return lang.NONE
    middle = float(np.median(known))
    return ("+" if middle > 0 else "") + lang.percent(middle)


def band_table(found: Found) -> Table:
    """How pay is spread over rep-years."""
    rows = [[name(found, one), *(lang.percent(float(share)) for share in one.bands)] for one in found.options]
    edges = [_("nothing"), f"< {lang.percent(EDGES[0])}"]
    edges += [lang.between(low, high) for low, high in zip(EDGES, EDGES[1:], strict=False)]
    columns = [_("Plan"), *edges, f"≥ {lang.percent(EDGES[-1])}"]
    notes = [_("Shares of rep-years by what they are paid, of the target pay.")]
    return Table(_("How pay is spread"), columns, rows, [False] + [True] * 5, notes=notes)


def shift_table(found: Found) -> Table:
    """What a year costs if all attainments are higher or lower; and if sales answer the plan."""
    rows = []
    for one in found.options:
        row = [name(found, one), *(_about(cost, found.currency) for cost in one.shifts)]
        if any(other.with_effort is not None for other in found.options):
            row.append(_effort(found, one))
        rows.append(row)
    columns = [_("Plan"), *(("+" if by > 0 else "") + lang.percent(by) for by in SHIFTS)]
    notes = [_("P50 of a year's cost if all attainments are so much higher or lower.")]
    if len(rows[0]) > len(columns):
        columns.append(_("If sales answer"))
        notes.append(_("If sales answer: cost at P50, and booked against now, if each rep sells more where the next "
                       "sale pays more, by the assumption set. That is an assumption: no data of one plan can show "
                       "it."))  # fmt: skip
    return Table(_("If attainment is higher or lower"), columns, rows, [False] + [True] * (len(columns) - 1),
                 notes=notes)  # fmt: skip


def _effort(found: Found, one: Option) -> str:
    if one.with_effort is None:
        return lang.NONE
    cost = float(np.median(one.with_effort.paid)) + one.base
    more = float(one.with_effort.booked.sum() / found.options[0].costs.booked.sum()) - 1
    return f"{_about(cost, found.currency)}; {'+' if more > 0 else ''}{lang.percent(more, 1)}"


def found_table(found: Found) -> Table | None:
    """What the plans that were found pay, beside the one that holds."""
    best = [one for one in found.options if one.found is not None]
    if not best:
        return None
    rows = []
    for one in [found.options[0], *best]:
        main = main_of(one.plan)
        all_ = float(one.plan.pay.base + one.plan.pay.variable)
        mix = lang.percent(float(one.plan.pay.variable) / all_)
        rows.append([name(found, one), main.name, bands(main), limits(main), mix,
                     lang.percent(one.found.losers) if one.found is not None else lang.NONE])  # fmt: skip
    columns = [_("Plan"), _("Component"), _("Bands"), _("Limits"), _("Variable pay"), _("Have less")]
    notes = [_("Each plan tried pays the target pay at the quota: a first band up to a bend, a second one up to the "
               "quota, an accelerator above it, a cap or none; all else is as now. Have less: share of reps whose base "
               "and variable pay is less, on the attainments met so far in the plan's year.")]  # fmt: skip
    return Table(_("What they pay"), columns, rows, [False] * 4 + [True] * 2, notes=notes)
