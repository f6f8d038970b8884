"""Ripening in sentences: finished numbers in, finished text out, in every language."""

import numpy as np

from salesops import lang
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.ripening.compute import RIPE, Found
from salesops.ripening.counts import WON

SHOWN = 16  # cohorts of the picture


def title() -> str:
    return _("Ripening")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    what = {"deals": _("deals, from created to won"), "leads": _("leads, from came in to a deal")}[found.what]
    return [what, *filter(None, [found.pipeline])]


def cohort_name(number: int, step: str) -> str:
    if step == "quarter":
        return f"{number // 4}-Q{number % 4 + 1}"
    return f"{number // 12}-{number % 12 + 1:02d}"


def method_name(method: str) -> str:
    return {"credibility": _("own record, by how much cohorts differ"), "bf": _("Bornhuetter-Ferguson"),
            "ladder": _("chain ladder"), "so_far": _("what they have, as if it were all")}[method]  # fmt: skip


def money(minor: float, found: Found) -> str:
    return lang.money(minor / found.minor_units, found.currency, compact=True)


def method(found: Found) -> str:
    return found.record.chosen if found.record else "credibility"


def shares(found: Found) -> dict[str, np.ndarray]:
    """so_far, told, low, high of each cohort, over its size."""
    made = found.ultimate
    n = made.cohorts.n
    return {"so_far": made.so_far / n, "told": made.told[method(found)] / n, "low": made.low / n, "high": made.high / n}


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    said = []
    made, own = found.ultimate, shares(found)
    young = [k for k in range(len(made.cohorts.names)) if made.open[k] and made.cohorts.n[k] >= found.min_deals]
    if young:
        k = max(young, key=lambda k: own["told"][k] - own["so_far"][k])
        words = {"name": cohort_name(int(made.cohorts.names[k]), found.step), "so_far": lang.percent(own["so_far"][k]),
                 "told": lang.percent(own["told"][k]), "limits": lang.between(own["low"][k], own["high"][k]),
                 "all": lang.percent(found.overall.value), "n": lang.count(made.cohorts.n[k]),
                 "days": lang.count(found.horizon)}  # fmt: skip
        text = _("{name} has converted {so_far} so far, and will come to {told}")
        detail = _("{n} in the cohort; with 90% probability {limits} by {days} days of age. All cohorts: {all}.")
        said.append(Finding("plain", text.format(**words), detail.format(**words)))
    said += _differences(found)
    if found.ripe is not None:
        text = ngettext("A cohort is ripe at {n} day: {share} of what it will come to has come",
                        "A cohort is ripe at {n} days: {share} of what it will come to has come",
                        found.ripe)  # fmt: skip
        said.append(Finding("plain", text.format(n=lang.count(found.ripe), share=lang.percent(RIPE)),
                            _("Younger ones are compared at equal age only.")))  # fmt: skip
    if found.record is not None:
        errors = found.record.errors.set_index("method")["error"]
        text = _("Told when they were young, cohorts were missed by {error}")
        detail = _("Their conversions so far, taken for all, would have missed by {naive}. The 90% interval held "
                   "what came "
                   "of {held} of {n} cohorts.")  # fmt: skip
        said.append(Finding("plain", text.format(error=lang.percent(errors[method(found)], 1)), detail.format(
            naive=lang.percent(errors["so_far"], 1), held=lang.count(found.record.n_held),
            n=lang.count(found.record.n))))  # fmt: skip
    else:
        said.append(Finding("warn", _("The record is too short to say how right this is")))
    return said


def _differences(found: Found) -> list[Finding]:
    said = []
    for one in found.differs:
        text = _("{name} differs at {age} days: {share} converted, of the others {others}")
        detail = _("{n} in the cohort; interval {limits}, p {p} after correction for {tried} comparisons.")
        said.append(Finding("good" if one.share.value > one.others.value else "bad", text.format(
            name=cohort_name(one.cohort, found.step), age=lang.count(one.age), share=lang.percent(one.share.value),
            others=lang.percent(one.others.value)), detail.format(
            n=lang.count(one.n), limits=lang.interval(one.share), p=lang.p_value(one.p_adjusted),
            tried=lang.count(found.n_compared)), key=f"cohort/{one.cohort}", p=float(one.p_adjusted),
            family="cohorts"))  # fmt: skip
    if not said and found.n_compared:
        text = ngettext("No cohort differs at equal age, of {n} comparison", "No cohort differs at equal age, of {n} "
                                                                             "comparisons",
                        found.n_compared)  # fmt: skip
        said.append(Finding("plain", text.format(n=lang.count(found.n_compared)), family="cohorts"))
    elif not found.n_compared:
        said.append(Finding("plain", _("Too few of equal age to compare cohorts")))
    return said


def tiles(found: Found) -> list[Tile]:
    """The headline numbers."""
    made = found.ultimate
    to_come = float((made.told[method(found)] - made.so_far).sum())
    shown = [
        Tile(_("Converted by {n} days").format(n=lang.count(found.horizon)), lang.percent(found.overall.value),
             note=_("interval {limits}").format(limits=lang.interval(found.overall))),
        Tile(_("Ripe at"), _("{n} days").format(n=lang.count(found.ripe)) if found.ripe is not None else lang.NONE,
             note=_("{share} of what will come has come").format(share=lang.percent(RIPE))),
        Tile(_("Still to come"), lang.count(round(to_come)), note=ngettext(
            "of {n} that is open", "of {n} that are open", int(made.open.sum())).format(n=lang.count(made.open.sum()))),
    ]  # fmt: skip
    note = (
        _("{n} cohorts, told when young").format(n=lang.count(found.record.n))
        if found.record
        else _("the record is too short")
    )
    error = found.record.errors.set_index("method")["error"][method(found)] if found.record else None
    shown.append(Tile(_("Error of such figures"), lang.percent(error, 1), note=note))
    spread = float(np.sqrt(made.spread))
    shown.append(Tile(_("Cohorts differ by"), lang.percent(spread), note=_("beyond what chance makes")))
    return shown


def note(found: Found) -> str:
    """What the page rests on."""
    n = int(found.counts["n"].sum())
    text = {"deals": _("{n} deals; open ones are censored, and losing competes with winning."),
            "leads": _("{n} leads; those that are no deal yet are censored: the source does not say which never will "
                       "be.")}[
        found.what]  # fmt: skip
    return text.format(n=lang.count(n))


def curve_lines(found: Found) -> tuple[list[float], list[float], list[float], list[float], int | None]:
    within = found.curve.age <= found.horizon
    ages = [0.0, *found.curve.age[within].tolist()]
    points = [found.curve.at(WON, age) for age in ages[1:]]
    shares_ = [0.0, *(one.value for one in points)]
    return ages, shares_, [0.0, *(one.low for one in points)], [0.0, *(one.high for one in points)], found.ripe


def curve_alt(found: Found) -> str:
    parts = [
        f"{lang.count(age)}: {lang.percent(found.curve.at(WON, age).value)}" for age in [*found.ages, found.horizon]
    ]
    return _("Share converted by age in days: {parts}.").format(parts="; ".join(parts))


def ultimate_bars(found: Found) -> tuple[list[str], list[float], list[float], list[float], list[float]]:
    own = shares(found)
    names = [cohort_name(int(one), found.step) for one in found.ultimate.cohorts.names][-SHOWN:]
    return names, *(own[name][-SHOWN:].tolist() for name in ("so_far", "told", "low", "high"))


def ultimate_alt(found: Found) -> str:
    names, so_far, told, _low, _high = ultimate_bars(found)
    parts = [f"{name}: {lang.percent(one)}, {lang.percent(other)}" for name, one, other in
             zip(names, so_far, told, strict=True)]  # fmt: skip
    return _("Converted so far, and what each cohort comes to: {parts}.").format(parts="; ".join(parts))


def caption(found: Found) -> str:
    return _("Right: by {n} days of age; the line is the 90% interval.").format(n=lang.count(found.horizon))
