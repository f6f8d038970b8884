"""Maturity in sentences: finished numbers in, finished text out, in every language."""

import math

from salesops import lang
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.maturity.compute import WEEKS, Evidence, Maturity
from salesops.maturity.stages import STAGES


def title() -> str:
    return _("Maturity")


def facts(found: Maturity) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [_("evidence of {months}").format(months=lang.period(found.months))]


def stage_name(stage: int | None) -> str:
    if stage is None:
        return lang.NONE
    return {"early": _("early"), "efficiency": _("efficiency"), "scale": _("scale")}[STAGES[stage]]


def evidence_name(name: str) -> str:
    return {
        "forecast_error": _("Error of forecasts"), "hygiene": _("Hygiene score"), "discipline": _("Stage discipline"),
        "concentration": _("Ten largest customers"), "spread": _("Spread between reps"),
        "mix": _("Planned mix sold"), "volume": _("Bookings a year"), "measured": _("What is measured"),
    }[name]  # fmt: skip


def evidence_meaning(name: str) -> str:
    return {
        "forecast_error": _(
            "what reps' calls were off by, {n} weeks before quarters end, over what they booked (WAPE)"
        ),
        "hygiene": _("weight of rules kept in the weight of rules asked, on the last day"),
        "discipline": _("closed deals that skipped no stage, did not move back and were not re-opened"),
        "concentration": _("share of bookings that they bring"),
        "spread": _("attainment that a quarter of reps are above, over that which a quarter are below"),
        "mix": _("part of what was sold that follows the planned shares of products"),
        "volume": _("what was won, for a year"),
        "measured": _("of changes, quotas, forecast calls, leads, activities and revenue, what the source holds"),
    }[name].format(n=lang.count(WEEKS))


def why_not(why: str) -> str:
    return {
        "no_calls": _("the source has no forecast calls with quotas"),
        "no_log": _("the source keeps no log of changes"),
        "too_few": _("too few cases"),
        "no_quotas": _("the source has no quotas"),
        "no_plan": _("no mix of products is planned"),
    }[why]


def value_text(name: str, value: float, found: Maturity) -> str:
    if name == "volume":
        return lang.money(value, found.currency, compact=True)
    if name == "spread":
        return f"{lang.decimal(value)}×"
    return lang.percent(value, 1)


def shown(one: Evidence, found: Maturity) -> str:
    if one.value is None:
        return lang.NONE
    text = value_text(one.name, one.value.value, found)
    return text if math.isnan(one.value.low) else f"{text} ({lang.between(one.value.low, one.value.high)})"


def behind(found: Maturity) -> list[Evidence]:
    """The evidence that is not yet at the next stage (at the last one: at it), the furthest behind first."""
    if found.stage is None:
        return []
    wanted = min(found.stage + 1, len(STAGES) - 1)
    known = [one for one in found.evidence if one.stage is not None and one.stage < wanted]
    return sorted(known, key=lambda one: one.stage)


def findings(found: Maturity) -> list[Finding]:
    """What the reader should know first: the stage, then what to build next."""
    known = [one for one in found.evidence if one.stage is not None]
    if found.stage is None:
        text = ngettext("Too little evidence for a stage: {n} is known", "Too little evidence for a stage: {n} are "
                                                                         "known",
                        len(known))  # fmt: skip
        return [Finding("plain", text.format(n=lang.count(len(known))), "")]
    reached = ", ".join(f"{stage_name(k)} {lang.percent(found.share[k])}" for k in range(1, len(STAGES)))
    head = _("The sales organisation is at the stage of {stage}").format(stage=stage_name(found.stage))
    detail = _("Of {n} evidences known, have reached: {reached}; {needed} are needed.").format(
        n=lang.count(len(known)), reached=reached, needed=lang.percent(found.needed_share)
    )
    said = [Finding("plain", head, detail)]
    last = behind(found)
    if last:
        first = last[0]
        following = STAGES[first.stage + 1]
        text = _("To build next: {what}")
        what = found.asked.evidence[first.name].next[following][lang.current()]
        names = ", ".join(f"{evidence_name(one.name).lower()} {shown(one, found)}" for one in last)
        said.append(Finding("warn", text.format(what=what[0].lower() + what[1:].rstrip(".")),
                            _("Not yet there: {names}.").format(names=names),
                            key=f"next/{first.name}"))  # fmt: skip
    return said


def tiles(found: Maturity) -> list[Tile]:
    """The headline numbers."""
    made = [Tile(_("Stage"), stage_name(found.stage), note=lang.period(found.months))]
    for one in found.evidence:
        if one.value is not None and one.name in ("forecast_error", "hygiene", "discipline", "spread"):
            made.append(Tile(evidence_name(one.name), shown(one, found), note=stage_name(one.stage)))
    return made


def note() -> str:
    return _("The bands are rules of thumb that the team sets; the evidence is its own data. A stage is reached where "
             "enough of the evidence has reached it and every stage below it.")  # fmt: skip


def ladder(found: Maturity) -> list[tuple[str, int | None, str]]:
    """Each evidence: its name, its stage, its value."""
    return [(evidence_name(one.name), one.stage, shown(one, found)) for one in found.evidence]


def ladder_alt(found: Maturity) -> str:
    parts = "; ".join(f"{name}: {value}, {stage_name(stage)}" for name, stage, value in ladder(found))
    return _("Stage of each evidence: {parts}.").format(parts=parts)


def caption() -> str:
    return _("Each evidence at the stage that its value has reached; the line is the stage of the whole.")
