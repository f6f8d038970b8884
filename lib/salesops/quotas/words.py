"""Quotas in sentences: finished numbers in, finished text out, in every language."""

import numpy as np

from salesops import lang
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.quotas.chances import BANDS
from salesops.quotas.compute import OTHERS, Found

ALPHA = 0.05
CAREFUL = 0.8  # a chance above this is called likely, below one less than it unlikely
SURE = 0.99


def title() -> str:
    return _("Quotas")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [found.plan.plan, _("fiscal year {year}").format(year=found.quarters[0].name[:4])]


def _money(amount: float, found: Found) -> str:
    return lang.money(amount, found.currency, compact=True)


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    low, middle, high = (_money(float(one), found) for one in np.quantile(found.booked, (0.1, 0.5, 0.9)))
    said = []
    if found.target:
        chance = float((found.booked >= found.target).mean())
        words = {"target": _money(found.target, found), "chance": chance_text(chance), "middle": middle, "low": low,
                 "high": high}  # fmt: skip
        text, tone = _("The target of {target} is missed more likely than not: {chance} that it is met"), "bad"
        if chance >= CAREFUL:
            text, tone = _("The target of {target} is likely met: {chance}"), "good"
        elif chance >= 0.5:
            text, tone = _("The target of {target} is met more likely than not: {chance}"), "plain"
        detail = _("To be expected: {middle}, with 80% probability {low} to {high}.") + " " + known_by()
        said.append(Finding(tone, text.format(**words), detail.format(**words)))
        over = found.over_assigned
        words = {"share": lang.percent(abs(over), 1), "sum": _money(float(found.seats["whole"].sum()), found)}
        text = _("Quotas are {share} above the target: {sum}") if over >= 0 else _(
            "Quotas do not add up to the target: {share} below it, {sum}"
        )  # fmt: skip
        said.append(Finding("plain" if over >= 0 else "bad", text.format(**words)))
    else:
        text = _("Of the seats there are, {middle} is to be expected in the year; with 80% probability {low} to {high}")
        said.append(Finding("plain", text.format(low=low, middle=middle, high=high), known_by()))
    n, few = len(found.seats), int((found.seats["chance"] < 1 - CAREFUL).sum())
    sure = int((found.seats["chance"] >= CAREFUL).sum())
    text = ngettext("{sure} of {n} seat is likely to attain the year's quota, {few} hardly any more",
                    "{sure} of {n} seats are likely to attain the year's quota, {few} hardly any more", n)  # fmt: skip
    detail = _("Likely: at least {high}; hardly: below {low}. What is booked counts as it is.").format(
        high=lang.percent(CAREFUL), low=lang.percent(1 - CAREFUL)
    )
    said.append(Finding("plain", text.format(sure=lang.count(sure), n=lang.count(n), few=lang.count(few)), detail))
    said.append(_fairness(found))
    if found.record is not None and not found.record.p < ALPHA:
        said.append(Finding("warn", _("A rep's own record says hardly more of the next quarter than everybody's"), _(
            "Of chances told quarter by quarter from what was known before: error {brier}, of telling everybody the "
            "same {base}. Do not rank people by them.").format(
            brier=lang.decimal(found.record.brier, 3), base=lang.decimal(found.record.base, 3))))  # fmt: skip
    return said


def known_by() -> str:
    return _(
        "By how attainments have scattered; open deals are not looked at here: the forecast's page does, and may say "
        "otherwise of the running quarter."
    )


def chance_text(chance: float) -> str:
    """A chance that was drawn is never quite none, nor quite all."""
    if chance > SURE:
        return f"> {lang.percent(SURE)}"
    return f"< {lang.percent(1 - SURE)}" if chance < 1 - SURE else lang.percent(chance)


def _fairness(found: Found) -> Finding:
    if found.p_groups is None:
        return Finding("plain", _("Too few teams are large enough to be compared"))
    if found.p_groups < ALPHA:
        worst = found.groups.loc[found.groups["attainment"].idxmin()]
        text = _("Teams attain their quotas unequally, beyond chance: p {p}")
        detail = _("Least in {team}: {attainment} on average.")
        return Finding("warn", text.format(p=lang.p_value(found.p_groups)), detail.format(
            team=team_name(worst["team"]), attainment=lang.percent(float(worst["attainment"]))),
            key="fairness", p=float(found.p_groups), family="teams")  # fmt: skip
    text = _("Teams differ in attainment no more than chance makes them: p {p}")
    return Finding("plain", text.format(p=lang.p_value(found.p_groups)), p=float(found.p_groups), family="teams")


def team_name(team: str) -> str:
    return _("Small teams together") if team == OTHERS else team


def tiles(found: Found) -> list[Tile]:
    """The headline numbers."""
    low, middle, high = (_money(float(one), found) for one in np.quantile(found.booked, (0.1, 0.5, 0.9)))
    over = found.over_assigned
    ratio = found.seats["ratio"].median()
    return [
        Tile(_("Quotas of the year"), _money(float(found.seats["whole"].sum()), found),
             note=ngettext("{n} seat", "{n} seats", len(found.seats)).format(n=lang.count(len(found.seats)))),
        Tile(_("To be expected"), middle, note=_("P10 {low}, P90 {high}").format(low=low, high=high)),
        Tile(_("Over-assigned"), lang.percent(over, 1) if over is not None else lang.NONE,
             note=_("quotas over target, less one") if over is not None else _("no target is given")),
        Tile(_("Quota over pay on target"), f"{lang.decimal(float(ratio), 1)}×" if lang.known(ratio) else lang.NONE,
             note=_("median of seats")),
        Tile(_("Reps leaving"), lang.percent(found.heads.leaving.rate) if found.heads is not None else lang.NONE,
             note=_("a year; 95% interval {low} to {high}").format(
                 low=lang.percent(found.heads.leaving.low), high=lang.percent(found.heads.leaving.high))
             if found.heads is not None else _("not known")),
    ]  # fmt: skip


def note(found: Found) -> str:
    text = _("Quotas for the days a rep is there and by the ramp; booked to the end of {through}. Quarters that are "
             "over count as they were, the others as attainments of the last {quarters} quarters have "
             "scattered.")  # fmt: skip
    said = text.format(through=lang.day(found.through), quarters=lang.count(found.scatter.n_quarters))
    if found.n_left_out:
        text = ngettext("{n} rep has no quota for each quarter and is left out.",
                        "{n} reps have no quota for each quarter and are left out.", found.n_left_out)  # fmt: skip
        said += " " + text.format(n=lang.count(found.n_left_out))
    return said


def bars(found: Found) -> list[tuple[str, float, float, float]]:
    low, middle, high = (float(one) for one in np.quantile(found.booked, (0.1, 0.5, 0.9)))
    whole, ramped = float(found.seats["whole"].sum()), float(found.seats["quota"].sum())
    rows = [(_("target"), found.target)] if found.target else []
    rows += [
        (_("quotas as set"), whole),
        (_("quotas, ramped"), ramped),
        (_("booked so far"), float(found.seats["booked"].sum()) + found.elsewhere),
    ]
    return [*((name, amount, amount, amount) for name, amount in rows), (_("to be expected"), middle, low, high)]


def bar_alt(found: Found) -> str:
    parts = [f"{name}: {lang.money(amount, found.currency)}" for name, amount, _low, _high in bars(found)]
    return _("The fiscal year: {parts}.").format(parts="; ".join(parts))


def head_lines(found: Found) -> tuple[list[str], list[float], list[float], list[float], list[float]]:
    made = found.heads
    if made is None:
        return [], [], [], [], []
    low, middle, high = np.quantile(made.productive, (0.1, 0.5, 0.9), axis=0)
    names = [f"{one:%Y-%m}" for one in made.months]
    return names, made.heads.mean(axis=0).tolist(), low.tolist(), middle.tolist(), high.tolist()


def head_alt(found: Found) -> str:
    names, heads, _low, middle, _high = head_lines(found)
    parts = [f"{name}: {lang.decimal(one, 1)}, {lang.decimal(other, 1)}"
             for name, one, other in zip(names, heads, middle, strict=True)]  # fmt: skip
    if not parts:
        return _("Who will be there to sell is not known.")
    return _("Heads, and how many sell as those past the ramp: {parts}.").format(parts="; ".join(parts))


def caption() -> str:
    return _("Left: the line is P10 to P90. Right: the band is P10 to P90.")


def chance_names() -> list[str]:
    return [lang.between(low, high) for low, high in zip(BANDS, [*BANDS[1:], 1.0], strict=True)]
