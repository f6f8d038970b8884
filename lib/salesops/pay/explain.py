"""A line of pay in sentences, in every language: what was measured, by what rule, and how the amount came about."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from salesops import lang
from salesops.lang import _
from salesops.pay.payouts import NoQuota
from salesops.pay.plans import MEASURES, Component
from salesops.pay.records import Line, Step
from salesops.problems import BadInput

DIGITS = 4  # after the point, of what is not rounded yet
SHARES = ("share", "attainment", "threshold", "at_least", "rate")
MEASURED = ("measured", "whole", "quota", "over", "above")  # in the unit of the measure


def kind_name(kind: str) -> str:
    return {
        "earned": _("earned"),
        "true_up": _("earlier period, run again"),
        "spiff": _("spiff"),
        "held": _("held until it is due"),
        "released": _("released, as it fell due"),
        "clawback": _("taken back, the deal was cancelled"),
        "adjustment": _("adjustment of earlier months"),
        "draw": _("draw"),
        "recovered": _("draw recovered"),
        "guarantee": _("guarantee"),
        "other": _("other, of few reps each"),
    }[kind]


def measure_name(measure: str) -> str:
    names = dict(zip(MEASURES, (_("bookings"), _("revenue"), _("margin"), _("units"), _("score")), strict=True))
    return names.get(measure) or measure.removeprefix("column:")


def unpaid(error: BadInput) -> str:
    """Why somebody cannot be paid, without saying who."""
    if isinstance(error, NoQuota):
        text = _("no quota of {measure} for {span}")
        return text.format(measure=measure_name(error.measure), span=error.span)
    return _("what is known of them contradicts itself; salesops statements says how")


def explain(line: Line, currency: str) -> list[str]:
    """How a line came about, a sentence for each step."""
    measure = next((step.values["measure"] for step in line.steps if "measure" in step.values), "bookings")
    return [_sentence(step, currency, measure) for step in line.steps]


def _sentence(step: Step, currency: str, measure: str) -> str:
    lists = ("bands", "kinds")
    shown = {name: _shown(name, value, currency, measure) for name, value in step.values.items() if name not in lists}
    if step.what == "bands":
        parts = [
            _band(step.values["kind"], value, part, currency, measure) for _at, value, part in step.values["bands"]
        ]
        shown["parts"] = "; ".join(parts)
    if step.what == "parts":
        parts = [f"{kind_name(kind)}: {_money(amount, currency)}" for kind, amount in step.values["kinds"]]
        shown["parts"] = "; ".join(parts)
    return _text(step).format(**shown)


def _shown(name: str, value: object, currency: str, measure: str) -> str:
    match value:
        case None:
            return lang.NONE
        case Fraction() if name in SHARES:
            return lang.percent(float(value), 2)
        case Fraction() if name == "factor":
            return lang.decimal(float(value), 2)
        case Fraction() if name in MEASURED:
            return _measured(value, currency, measure)
        case Fraction() | Decimal():
            return _money(value, currency)
        case dt.date():
            return lang.day(value)
        case int():
            return lang.count(value)
        case _:
            return measure_name(value) if name == "measure" else str(value)


def _money(amount: Fraction | Decimal, currency: str) -> str:
    """What is rounded as it is; what is not, in whole cents where it has no more, else to the fourth digit."""
    if isinstance(amount, Decimal):
        return lang.cents(amount, currency)
    digits = 2 if (amount * 100).denominator == 1 else DIGITS
    return lang.cents(Decimal(round(amount * 10**digits)).scaleb(-digits), currency)


def _measured(amount: Fraction, currency: str, measure: str) -> str:
    if measure in ("units", "score") or measure.startswith("column:"):
        return lang.decimal(float(amount), 0 if amount.denominator == 1 else 2)
    return _money(amount, currency)


def _band(kind: str, value: Fraction, part: Fraction, currency: str, measure: str) -> str:
    words = {"part": _measured(part, currency, measure), "value": lang.percent(float(value), 2)}
    if kind == "rate":
        return "{part} × {value} = {paid}".format(**words, paid=_money(part * value, currency))
    return _("{part} at {value} of the target pay").format(**words)


def _text(step: Step) -> str:
    match step.what:
        case "measured":
            return _("From {first_on} to {last_on} {measured} of {measure} are credited; the target pay is {target}.")
        case "quota" if step.values["share"] == 1:
            return _("The quota of {span} is {quota}.")
        case "quota":
            return _("The quota of {span} is {whole}; for the days there and the ramp {share} of it: {quota}.")
        case "attainment":
            return _("Attainment: {measured} / {quota} = {attainment}.")
        case "below_threshold":
            return _("That is below the threshold of {threshold}: nothing is paid.")
        case "not_accelerated":
            return _("The year to date is below {at_least} of the year's quota: only the first band counts.")
        case "gate_closed":
            return _("The gate is closed: {of} is at {attainment}, {at_least} is asked for.")
        case "bands":
            return _("Band by band: {parts}; together {amount}.")
        case "table":
            return _("By the table, {measured} earn {amount}.")
        case "windfall":
            return _("Of single deals {above} lie above {over} and do not count for the quota.")
        case "carved_out":
            return _("They are paid at the rate reached without them, {rate}: {paid}.")
        case "times":
            return _("{of} is at {attainment}: times {factor}.")
        case "deal_cap":
            return _("No deal pays more than {cap}: {after} instead of {before}.")
        case "period_cap":
            return _("The cap of the period is {cap}, instead of {before}.")
        case "year_cap":
            return _("The cap of the year leaves {left}, instead of {before}.")
        case "rounded":
            return _("Rounded: {amount}.")
        case "less_paid":
            return _("Less what was paid for it before, {paid}: {amount}.")
        case "held":
            return _("Of {earned} for deal {deal}, {share} is held.")
        case "released":
            return _(
                "Of {held} held for deal {deal}, {share} of the price is paid or cancelled; "
                "{before} was released before."
            )
        case "scheduled":
            return _("Of {earned} for deal {deal}, {share} is of what lies above the limit: paid in {months} months.")
        case "scheduled_part":
            return _("Of {held} for deal {deal}, {share} has fallen due; {before} was released before.")
        case "clawback":
            return _("{share} of deal {deal} was cancelled, which had earned {earned}; {before} was taken back before.")
        case "credit_known":
            return _("On {on} it became known: deal {deal} counts for {over}, before {measured}.")
        case "restored":
            return _("On {on} {share} of deal {deal} counted again, which had been cancelled.")
        case "quota_known" if step.values["whole"] is None:
            return _("The quota of {span} was set: {quota}.")
        case "quota_known":
            return _("The quota of {span} is {quota} now, before {whole}.")
        case "parts":
            return _("What is known now makes {known} ({parts}).")
        case "adjusted":
            return _(
                "Paid for it so far, after what is held and taken back: {reported}; by what is known now: {known}; the "
                "difference: {amount}."
            )
        case "spiff_again":
            return _("Deals that counted were cancelled: together {after}, before {before}.")
        case "spiff":
            return _spiff(step.values)
        case _:
            return _("Earned in the month: {earned}; the draw is {draw}; still to be recovered: {balance}.")


def _spiff(values: Mapping[str, object]) -> str:
    if values["rate"] is not None:
        text = _(
            "Deals that count so far: {deals}. At {rate} of their amounts they bring {after}, {before} of it before."
        )
    else:
        text = _(
            "Deals that count so far: {deals}. At {each} each, and a share of it for a split deal, they bring {after}, "
            "{before} of it before."
        )
    return text if values["most"] is None else " ".join([text, _("Together they bring at most {most}.")])


def share(value: Fraction) -> str:
    return lang.percent(float(value), 0 if (value * 100).denominator == 1 else 2)


def bands(one: Component) -> str:
    parts = []
    for band in one.table.bands:
        start = share(band.start) if one.table.by == "attainment" else lang.decimal(float(band.start), 0)
        value = lang.decimal(float(band.value), 0) if band.kind == "amount" else share(band.value)
        if band.kind == "pays":
            value = _("{share} of target").format(share=value)
        said = _("from {start}: {value}").format(start=start, value=value)
        parts.append(said.replace(" ", "\N{NO-BREAK SPACE}"))  # a band is read in one line, on a telephone too
    return "; ".join(parts)


def limits(one: Component) -> str:
    parts = []
    if one.threshold is not None:
        parts.append(_("nothing below {share}").format(share=share(one.threshold)))
    if one.gate is not None:
        parts.append(_("if {of} is at {share}").format(of=one.gate.of, share=share(one.gate.at_least)))
    for cap, name in ((one.cap.deal, _("deal")), (one.cap.period, _("period")), (one.cap.year, _("year"))):
        if cap is not None:
            most = _("{share} of target").format(share=share(cap.value)) if cap.of_target else lang.decimal(
                float(cap.value), 0
            )  # fmt: skip
            parts.append(_("at most {most} a {span}").format(most=most, span=name))
    return "; ".join(parts) or lang.NONE
