"""Pay in sentences: finished lines in, finished text out, in every language."""

import datetime as dt
from fractions import Fraction

from salesops import lang
from salesops.comp.compute import BANDS, Found
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.pay import explain
from salesops.pay.lint import Issue
from salesops.stats import Estimate

SHOWN_ISSUES = 4
UNDONE = ("lost", "lowered", "unpaid")  # causes for which a plan takes back
ALPHA = 0.05  # for both piles together


def title() -> str:
    return _("Compensation plan")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [found.plan.plan, _("version {version}").format(version=found.plan.version)]


def findings(found: Found, currency: str) -> list[Finding]:
    """What the reader should know first."""
    earned, booked = float(found.reps["earned"].sum()), float(found.reps["booked"].sum())
    words = {
        "n": lang.count(len(found.reps)), "earned": lang.money(earned, currency, compact=True),
        "share": lang.percent(earned / booked, 1) if booked > 0 else lang.NONE,
        "booked": lang.money(booked, currency, compact=True),
        "paid": lang.money(sum(found.kinds.values()), currency, compact=True),
    }  # fmt: skip
    text = ngettext(
        "{n} rep earned {earned}, {share} of what was booked", "{n} reps earned {earned}, {share} of what was booked",
        len(found.reps),
    )  # fmt: skip
    detail = _("Booked in periods that have ended: {booked}. Paid out so far, after what is held and drawn: {paid}.")
    said = [Finding("plain", text.format(**words), detail.format(**words))]
    if found.unpaid:
        n = len(found.unpaid)
        text = ngettext("{n} rep could not be paid", "{n} reps could not be paid", n)
        reasons = "; ".join(dict.fromkeys(explain.unpaid(one) for one in found.unpaid))
        said.append(Finding("bad", text.format(n=lang.count(n)), reasons[0].upper() + reasons[1:] + ".", key="unpaid"))
    said += _paying_nobody(found)
    said += [*_blind(found), *_after_the_win(found, currency)]
    if found.costs is not None:
        low, middle, high = (lang.money(one, currency, compact=True) for one in found.costs.quantiles())
        text = _("A year of it costs {middle}; with 80% probability {low} to {high}")
        said.append(
            Finding("plain", text.format(low=low, middle=middle, high=high), _("As attainments have scattered."))
        )
    said += _piles(found)
    return [*said, *(_issue(found, one, currency) for one in found.issues[:SHOWN_ISSUES])]


def _paying_nobody(found: Found) -> list[Finding]:
    """Deals that were won and are credited, at least in part, to nobody who can be paid."""
    counts = {
        _("{n} without an owner"): found.history.n_unowned, _("{n} without an amount"): found.history.n_unpriced,
        _("{n} of people who are not among the reps"): found.n_unlisted,
        _("{n} of reps who were not there on the day"): found.n_absent,
    }  # fmt: skip
    left = sum(counts.values())
    if not left:
        return []
    text = ngettext("{n} won deal pays nobody, or only in part", "{n} won deals pay nobody, or only in part", left)
    parts = [part.format(n=lang.count(n)) for part, n in counts.items() if n]
    return [Finding("warn", text.format(n=lang.count(left)), ", ".join(parts) + ".", key="nobody")]


def _blind(found: Found) -> list[Finding]:
    """Clauses for which there is no data: what they would pay is in no figure."""
    if not found.blind:
        return []
    n = len(found.blind)
    text = ngettext(
        "{n} clause of the plan has no data to be paid from", "{n} clauses of the plan have no data to be paid from", n
    )
    parts = [
        _("{clause}: {needs}").format(clause=one.clause, needs=need(one.needs)) if one.clause else need(one.needs)
        for one in found.blind
    ]
    detail = _("What they would pay is in no figure here, and statements are not written. What is missing: {parts}.")
    return [Finding("bad", text.format(n=lang.count(n)), detail.format(parts="; ".join(parts)), key="no_data")]


def _after_the_win(found: Found, currency: str) -> list[Finding]:
    """What was taken back and adjusted; nothing where that is of too few reps to be shown."""
    n = sum(one.n for one in found.later if one.cause in UNDONE)
    if "clawback" not in found.kinds or not n:
        return []
    text = ngettext("{n} deal was lost, lowered or not paid after the win: {back} was taken back",
                    "{n} deals were lost, lowered or not paid after the win: {back} was taken back", n)  # fmt: skip
    detail = _("What else became known of earlier months: {more}. Months that were reported stay as they were.")
    back, more = (lang.money(found.kinds.get(kind, 0.0), currency, compact=True) for kind in ("clawback", "adjustment"))
    words = {"n": lang.count(n), "back": back.lstrip("-\N{MINUS SIGN}"), "more": more}
    detail = detail if "adjustment" in found.kinds else _("Months that were reported stay as they were.")
    return [Finding("plain", text.format(**words), detail.format(**words), key="after_the_win")]


def need(name: str) -> str:
    """What a book lacks, in the reader's words."""
    return {
        "payments": _("payments, which holds and unpaid deals wait for"),
        "overlays": _("overlay shares of deals"), "managers": _("who reports to whom"),
        "first_days": _("the reps' first days, for the ramp or the draw"),
    }.get(name) or _("{fact} of deals").format(fact=name)  # fmt: skip


def cause_name(cause: str) -> str:
    return {
        "lost": _("Lost or opened again after the win"), "lowered": _("Amount lowered after the win"),
        "unpaid": _("Not paid by the customer in time"), "raised": _("Amount raised after the win"),
        "shared": _("Shares set or changed after the win"), "reassigned": _("Owner corrected after the win"),
        "handed_over": _("Another owner after the win"),
    }[cause]  # fmt: skip


def effect(cause: str, found: Found) -> str:
    """What the plan makes of something that became known after the win."""
    if cause in UNDONE:
        clawback = found.plan.clawback
        if clawback is None:
            return _("nothing is taken back once the period is paid")
        text = ngettext("taken back within {n} day", "taken back within {n} days", clawback.days)
        return text.format(n=lang.count(clawback.days))
    if cause == "handed_over":
        return _("stays with the owner on the day of the win")
    return _("adjustment in the month in which it became known")


def as_now(found: Found) -> str:
    """What is taken as known now, for it has no log; blank where everything has one."""
    names = {
        "stage": _("stages"), "amount": _("amounts"), "rep_id": _("owners of deals"), "reps": _("roles and teams"),
        "quotas": _("quotas"), "splits": _("shares of deals"),
    }  # fmt: skip
    if not found.unlogged:
        return ""
    text = _("No change is logged of: {names}. They are taken as known on the last day, for all months.")
    return text.format(names=", ".join(names[one] for one in found.unlogged))


def _piles(found: Found) -> list[Finding]:
    """Piles that chance does not make; two are looked for, each where there is enough to tell one."""
    at_quota, at_the_end = found.pull.at_quota, found.pull.at_the_end
    said = []
    for key, one, text in (
        ("quota", at_quota, _("Just above the quota end {ratio} times as many as expected")),
        (
            "quarter_end",
            at_the_end,
            _("In the last days of quarters {ratio} times as many deals are won as on others"),
        ),
    ):
        if one is not None and one.p < ALPHA / 2 and one.ratio > 1:
            said.append(Finding("warn", text.format(ratio=lang.decimal(one.ratio, 1)), _(
                "95% interval {low} to {high}; deals may be held back or pulled in.").format(
                low=lang.decimal(one.low, 1), high=lang.decimal(one.high, 1)),
                key=f"pile/{key}", p=min(1.0, 2 * float(one.p)), family="piles"))  # fmt: skip
    if not said and (at_quota is not None or at_the_end is not None):
        text = _("Neither the quota nor the end of a quarter gathers more than chance does")
        if at_quota is None:
            text = _("The ends of quarters gather no more wins than chance does")
        elif at_the_end is None:
            text = _("Just above the quota end no more reps than chance brings there")
        said.append(Finding("plain", text, family="piles"))
    return said


def _issue(found: Found, one: Issue, currency: str) -> Finding:
    words = {"component": one.component, "at": issue_place(found, one, currency)}
    words["span"] = span_name(found.plan.component(one.component).months)
    words["pay"] = lang.money(float(one.pay), currency, compact=True) if one.pay is not None else ""
    words["rate"] = lang.percent(float(one.rate), 1) if one.rate is not None else ""
    match one.kind:
        case "cliff":
            return Finding("warn", _("{component}: pay jumps by {pay} at {at}").format(**words),
                           _("Deals are held back or pulled in to get over it."))  # fmt: skip
        case "fall":
            return Finding("bad", _("{component}: pay falls at {at}, whoever sells more gets less").format(**words))
        case "dead_zone":
            return Finding("warn", _("{component}: nothing more is paid {at}").format(**words),
                           _("Who stands there has no reason to sell more now."))  # fmt: skip
        case "over_margin":
            return Finding("bad", _("{component}: {at} each sale costs {rate}, more than its margin").format(**words))
        case _:
            return Finding("warn", _("{component}: {at} no more is paid, {pay} is the most ({span})").format(**words))


def span_name(months: int) -> str:
    return {1: _("month"), 3: _("quarter"), 6: _("half-year"), 12: _("year")}[months]


def issue_name(kind: str) -> str:
    return {
        "cliff": _("pay jumps"), "fall": _("pay falls"), "dead_zone": _("nothing more is paid"),
        "over_margin": _("costs more than the margin"), "capped": _("capped"),
    }[kind]  # fmt: skip


def issue_place(found: Found, one: Issue, currency: str) -> str:
    """Where something happens: a share of the quota, or an amount."""
    component = found.plan.component(one.component)
    quota = found.quota * component.months / 12 if component.table.by == "attainment" else 0

    def place(at: Fraction) -> str:
        return lang.percent(float(at) / quota) if quota else lang.money(float(at), currency)

    if one.kind in ("cliff", "fall") and one.pay is not None:
        return place(one.at)
    if one.until is None:
        return _("from {at} on").format(at=place(one.at))
    return _("from {at} to {until}").format(at=place(one.at), until=place(one.until))


def tiles(found: Found, currency: str, at_quota: Estimate | None) -> list[Tile]:
    """The headline numbers."""
    earned, booked = float(found.reps["earned"].sum()), float(found.reps["booked"].sum())
    known = found.reps[found.reps["quota"] > 0]
    held = -found.kinds.get("held", 0.0) - found.kinds.get("released", 0.0)
    return [
        Tile(_("Earned"), lang.money(earned, currency, compact=True),
             note=ngettext("{n} rep", "{n} reps", len(found.reps)).format(n=lang.count(len(found.reps)))),
        Tile(_("Paid"), lang.money(sum(found.kinds.values()), currency, compact=True),
             note=_("{held} is held").format(held=lang.money(held, currency, compact=True))),
        Tile(_("Cost of sales"), lang.percent(earned / booked, 1) if booked > 0 else lang.NONE,
             note=_("earned over booked, of periods that have ended")),
        Tile(_("At or above quota"), lang.rate(at_quota), note=_("{interval}, n = {n}").format(
            interval=lang.interval(at_quota), n=lang.count(len(known)))),
        Tile(_("Median attainment"), lang.percent(float((known["booked"] / known["quota"]).median()))
             if len(known) else lang.NONE, note=_("of periods that have ended")),
    ]  # fmt: skip


def note(found: Found, as_of: dt.date) -> str:
    text = _(
        "The plan holds from {start}; paid up to the end of {as_of}, months and quarters that have ended. Deals count "
        "on the day they were won, for who owned them on that day."
    )
    said = text.format(start=lang.day(found.plan.start), as_of=lang.day(as_of))
    undrawn = (
        ""
        if found.costs is not None
        else _(
            "What a year may cost is not drawn: too few attainments of quarters with a quota of their own are known."
        )
    )
    return " ".join(filter(None, [said, as_now(found), _uneven(found.history.n_uneven), undrawn]))


def _uneven(n: int) -> str:
    if not n:
        return ""
    text = ngettext(
        "The lines of {n} deal do not sum to its amount: the rest is of the deal's own product.",
        "The lines of {n} deals do not sum to their amounts: the rest is of the deal's own product.", n,
    )  # fmt: skip
    return text.format(n=lang.count(n))


def band_names() -> list[str]:
    names = [lang.between(low, high) for low, high in zip(BANDS, BANDS[1:], strict=False)]
    return [*names, f"≥ {lang.percent(BANDS[-1])}"]


def marks(found: Found) -> list[tuple[float, str]]:
    """Where on the curve the main component jumps, falls or ends."""
    if found.main is None or not found.quota:
        return []
    quota = found.quota * found.main.months / 12
    return [(float(one.at) / quota, issue_name(one.kind)) for one in found.issues
            if one.component == found.main.name and one.kind in ("cliff", "capped") and one.at]  # fmt: skip


def curve_alt(found: Found, currency: str) -> str:
    shown = found.curve.iloc[::20]
    parts = [f"{lang.percent(row.attainment)}: {lang.money(row.pay, currency)}" for row in shown.itertuples()]
    return _("What a year earns by attainment: {parts}.").format(parts="; ".join(parts) or _("not known"))


def band_alt(found: Found) -> str:
    parts = [f"{name}: {lang.count(n)}" for name, n in zip(band_names(), found.bands, strict=True)]
    return _("Reps by attainment: {parts}.").format(parts="; ".join(parts))


def caption(found: Found, currency: str) -> str:
    n_quotas = lang.count(int((found.reps["quota"] > 0).sum()))
    if found.curve.empty:
        text = _(
            "Left: nothing, for no component pays by the attainment of a quota, or nobody has one for the whole year. "
            "Right: n = {n} reps with a quota."
        )
        return text.format(n=n_quotas)
    text = _(
        "Left: variable pay of a year by attainment, at the median quota of {quota}; the target pay "
        "is {target}. Right: "
    
             "n = {n} reps with a quota.")  # fmt: skip
    return text.format(quota=lang.money(found.quota, currency), target=lang.money(found.target, currency),
                       n=n_quotas)  # fmt: skip
