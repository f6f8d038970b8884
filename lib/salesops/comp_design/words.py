"""Plans side by side in sentences: finished numbers in, finished text out, in every language."""

import numpy as np

from salesops import lang
from salesops.comp_design.compute import Found
from salesops.comp_design.options import AS_MUCH, POINTS, Option
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext


def title() -> str:
    return _("Compensation plans side by side")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    first = found.options[0].plan
    return [first.plan, _("version {version}").format(version=first.version)]


def name(found: Found, option: Option) -> str:
    """What a plan is called on the page: by its document; those found are `Plan A`, `Plan B`, ..."""
    if option.found is not None:
        return _("Plan {letter}").format(letter=option.name)
    same = [one for one in found.options if one.plan.plan == option.plan.plan]
    return option.plan.plan if len(same) == 1 else f"{option.plan.plan} ({option.name})"


def counts(found: Found, option: Option) -> tuple[int, int, int]:
    """Reps who would have earned more, less, and as much."""
    gains = found.gains(option)
    more, less = int((gains > AS_MUCH).sum()), int((gains < -AS_MUCH).sum())
    return more, less, len(gains) - more - less


def difference(found: Found, option: Option) -> tuple[float, float, float]:
    """P10, P50, P90 of the cost of a year against the plan that holds, of the same drawn years."""
    gap = option.cost - found.options[0].cost
    return tuple(float(one) for one in np.quantile(gap, (0.1, 0.5, 0.9)))


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    first, said = found.options[0], []
    low, middle, high = (_money(one, found) for one in first.quantiles())
    text = _("The plan that holds costs {middle} a year; with 80% probability {low} to {high}")
    at_mean = _("Were every rep at the mean attainment, it would be {at_mean}; the mean of all years is {mean}.")
    said.append(Finding("plain", text.format(low=low, middle=middle, high=high), at_mean.format(
        at_mean=_money(first.costs.at_mean, found), mean=_money(float(first.costs.paid.mean()), found))))  # fmt: skip
    for option in found.options[1:]:
        if option.found is None:
            said.append(_against(found, option))
    best = [one for one in found.options if one.found is not None]
    if best:
        text = ngettext("{n} plan within the limits is worth a look", "{n} plans within the limits are worth a look",
                        len(best))  # fmt: skip
        detail = _("Of {all} tried, {allowed} cost no more than {budget} at P90 and leave few enough with less; none "
                   "of those is both cheaper and rewards the best more than these.")  # fmt: skip
        said.append(Finding("plain", text.format(n=lang.count(len(best))), detail.format(
            all=lang.count(len(found.search.candidates)), allowed=lang.count(sum(found.search.allowed)),
            budget=_money(found.budget, found))))  # fmt: skip
    elif found.why_not != "none":
        said.append(Finding("warn", why_not(found.why_not)))
    return said


def _against(found: Found, option: Option) -> Finding:
    words = {"name": name(found, option)}
    if not found.comparable(option):
        left = dict.fromkeys([*found.options[0].costs.left_out, *option.costs.left_out])
        text = _("What {name} costs cannot be compared in drawn years")
        detail = _("Not everything is in them: {components}.").format(components=", ".join(left))
        return Finding("warn", text.format(**words), " ".join([detail, *_gains(found, option)]))
    low, middle, high = difference(found, option)
    words["by"] = _money(abs(middle), found)
    if low <= 0 <= high:
        text = _("{name} costs no clearly different amount")
    else:
        text = _("{name} costs {by} a year more") if middle > 0 else _("{name} costs {by} a year less")
    detail = _("Of the same drawn years, with 80% probability {low} to {high}; P90 {p90}.").format(
        low=_signed(low, found), high=_signed(high, found), p90=_money(option.quantiles()[2], found)
    )
    return Finding("warn" if low > 0 else "plain", text.format(**words), " ".join([detail, *_gains(found, option)]))


def _gains(found: Found, option: Option) -> list[str]:
    if found.through is None:
        return [_("The past cannot be compared yet: a period of every component has to end first.")]
    if not option.earned:
        return []
    more, less, _same = counts(found, option)
    text = _("On the deals sold, {more} reps would have had more pay and {less} less.")
    return [text.format(more=count_text(more, found), less=count_text(less, found))]


def count_text(n: int, found: Found) -> str:
    """How many; of a few, who could be found out, only that they are few."""
    return f"< {lang.count(found.least)}" if 0 < n < found.least else lang.count(n)


def why_not(why: str) -> str:
    return {
        "no_main": _("No plan is looked for: the plan has no component that pays shares of the target pay for bookings "
                     "in marginal bands by attainment"),
        "none_allowed": _("None of the plans tried keeps within the budget and the limit of those who have less"),
        "left_out": _("No plan is looked for: not everything that the plan pays for is in the drawn years"),
        "none": _("no plan was looked for"),
    }[why]  # fmt: skip


def _money(amount: float, found: Found) -> str:
    return lang.money(amount, found.currency, compact=True)


def _signed(amount: float, found: Found) -> str:
    sign = "+" if amount > 0 else "−" if amount < 0 else ""
    return sign + _money(abs(amount), found)


def tiles(found: Found) -> list[Tile]:
    """The headline numbers of the plan that holds."""
    first = found.options[0]
    low, middle, high = first.quantiles()
    return [
        Tile(_("Cost of a year"), _money(middle, found), note=_("P10 {low}, P90 {high}").format(
            low=_money(low, found), high=_money(high, found))),
        Tile(_("Cost of sales"), lang.percent(float(np.median(first.costs.cost_of_sales)), 1),
             note=_("variable pay over booked, P50")),
        Tile(_("Best over middle"), f"{lang.decimal(first.reward, 2)}×",
             note=_("pay of the best quarter over the middle half")),
        Tile(_("Leverage"), f"{lang.decimal(first.leverage, 2)}×", note=_("base and pay at twice the quota, over "
                                                                          "base")),
    ]  # fmt: skip


def note(found: Found) -> str:
    drawn = _("Drawn years: {n} attainments of the last {quarters} quarters, {years} years, the same for all plans.")
    said = [drawn.format(n=lang.count(len(found.scatter.values)), quarters=lang.count(found.scatter.n_quarters),
                         years=lang.count(len(found.options[0].costs.pay)))]  # fmt: skip
    if found.through is not None:
        past = _(
            "Past: deals won from {since} to {through}, as each plan would have paid them, as if it had held then."
        )
        said.insert(0, past.format(since=lang.day(found.since), through=lang.day(found.through)))
    return " ".join(said)


def curves(found: Found) -> list[tuple[str, list[float]]]:
    return [(name(found, one), one.curve.tolist()) for one in found.options]


def points(found: Found) -> tuple[list, list, list]:
    """Candidates outside the limits, within them, and the plans compared: name, cost, reward."""
    made = found.search
    pairs = [] if made is None else list(zip(made.candidates, made.allowed, strict=True))
    outside = [(one.cost, one.reward) for one, good in pairs if not good]
    inside = [(one.cost, one.reward) for one, good in pairs if good]
    named = []
    for k, one in enumerate(found.options):
        short = _("now") if k == 0 else one.name if one.found is not None else str(k + 1)
        named.append((short, one.quantiles()[1], one.reward))
    return outside, inside, named


def curve_alt(found: Found) -> str:
    parts = []
    for one in found.options:
        at = [f"{lang.percent(float(x))}: {lang.money(float(y), found.currency)}"
              for x, y in zip(POINTS[20::20], one.curve[20::20], strict=True)]  # fmt: skip
        parts.append(f"{name(found, one)} – {', '.join(at)}")
    return _("What a year earns by attainment: {parts}.").format(parts="; ".join(parts))


def frontier_alt(found: Found) -> str:
    _outside, _inside, named = points(found)
    parts = [f"{one}: {_money(cost, found)}, {lang.decimal(reward, 2)}" for one, cost, reward in named]
    return _("Cost of a year and pay of the best over the middle: {parts}.").format(parts="; ".join(parts))


def caption(found: Found) -> str:
    text = _("Left: variable pay of a year at the mean quota of those drawn. Right: each dot is a plan; blue ones are "
             "within the limits.")  # fmt: skip
    return text if found.search is not None else text.split(" Right")[0]
