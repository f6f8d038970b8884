"""The ramp in sentences: finished numbers in, finished text out, in every language."""

from salesops import lang
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.ramp.compute import Found, plan_ramp
from salesops.stats import Estimate

TELLING = 0.03  # by how much those who stayed look better, from which on it is said


def title() -> str:
    return _("Ramp of reps")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [found.role] if found.role else []


def money(minor: float, found: Found) -> str:
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    return sign + lang.money(abs(minor) / found.minor_units, found.currency, compact=True)


def definition(found: Found) -> str:
    """When a rep is called ramped."""
    text = {"peers": ngettext("Ramped: {share} of what settled peers book in the same days, in {n} month of tenure.",
                              "Ramped: {share} of what settled peers book in the same days, over {n} months of "
                              "tenure in "
                              "a row.", found.in_a_row),
            "quota": ngettext("Ramped: {share} of the own quota, in {n} month of tenure.",
                              "Ramped: {share} of the own quota, over {n} months of tenure in a row.",
                              found.in_a_row)}  # fmt: skip
    return text[found.ramped_by].format(share=lang.percent(found.ramped_share), n=lang.count(found.in_a_row))


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    said = []
    n = len(found.newcomers)
    if found.incidence is None:
        said.append(Finding("plain", _("Too few reps were hired within the record to tell how long the ramp takes"),
                            definition(found)))  # fmt: skip
    elif found.to_ramp is None:
        text = _("Fewer than half of the newcomers are ramped by now")
        said.append(Finding("warn", text, definition(found)))
    else:
        text = ngettext("Half of the newcomers are ramped after {n} month", "Half of the newcomers are ramped after "
                                                                            "{n} months",
                        int(found.to_ramp.value))  # fmt: skip
        left = int((found.newcomers["end"] == "left").sum())
        detail = _("{definition} {all} newcomers; interval {limits} months, leavers censored; {left} left before. A "
                   "usual deal "
                   "takes {cycle} days from created to won.")  # fmt: skip
        high = _("not reached") if found.to_ramp.high == float("inf") else lang.count(found.to_ramp.high)
        said.append(Finding("plain", text.format(n=lang.count(found.to_ramp.value)), detail.format(
            definition=definition(found), all=lang.count(n), left=lang.count(left), cycle=lang.days(found.cycle_days),
            limits=_("{low} to {high}").format(low=lang.count(found.to_ramp.low), high=high))))  # fmt: skip
    if found.missed is not None:
        text = _("A newcomer books {money} less than a settled peer in the first {n} months")
        detail = _("Interval {low} to {high}; {reps} reps, those who left included.")
        said.append(Finding("plain", text.format(money=money(found.missed.value, found),
        n=lang.count(found.missed_months)),
                            detail.format(low=money(found.missed.low, found), high=money(found.missed.high, found),
                                          reps=lang.count(found.missed.n))))  # fmt: skip
    said += _survivors(found)
    if ramp := plan_ramp(found):
        shares = ", ".join(lang.percent(one) for one in ramp)
        said.append(Finding("plain",
        _("The record says a ramp of {shares} of the quota by month").format(shares=shares), _(
            "salesops files writes it for plans and quotas.")))  # fmt: skip
    return said


def _survivors(found: Found) -> list[Finding]:
    """Whether those who stayed look better than all did."""
    for row in found.bands[found.bands["who"] == "all"].itertuples():
        stayed = found.bands[(found.bands["first"] == row.first) & (found.bands["who"] == "stays")].iloc[0]
        left = found.bands[(found.bands["first"] == row.first) & (found.bands["who"] == "left")].iloc[0]
        told = row.share is not None and stayed["share"] is not None and left["n"]
        if told and row.first >= 3 and stayed["share"].value - row.share.value >= TELLING:
            text = _(
                "Those who are still there would say {stayed} in months {first} to {last}; with leavers it was {all}"
            )
            return [Finding("plain", text.format(
                stayed=lang.percent(stayed["share"].value), all=lang.percent(row.share.value),
                first=lang.count(row.first + 1), last=lang.count(row.last + 1)),
                ngettext("{n} rep of these months has left.", "{n} reps of these months have left.",
                int(left["n"])).format(
                n=lang.count(left["n"])))]  # fmt: skip
    return []


def tiles(found: Found) -> list[Tile]:
    """The headline numbers."""
    n = len(found.newcomers)
    cost = lang.money(found.cost, found.currency, compact=True) if found.cost else lang.NONE
    third = found.bands[(found.bands["first"] == 3) & (found.bands["who"] == "all")].iloc[0]["share"]
    half = _("{n} months").format(n=lang.count(found.to_ramp.value)) if found.to_ramp else lang.NONE
    why = _("of settled peers' bookings; {limits}").format(limits=lang.interval(third)) if third else _("too few")
    short = money(found.missed.value, found) if found.missed else lang.NONE
    span = _("bookings in {n} months").format(n=lang.count(found.missed_months)) if found.missed else _("too few")
    paid = _("what a rep costs is not given")
    if found.cost_a_month:
        paid = _("{money} a month").format(money=lang.money(found.cost_a_month, found.currency))
    peers = _("a month; {n} reps").format(n=lang.count(found.reps.n_settled))
    return [
        Tile(
            _("Half are ramped after"), half, note=ngettext("{n} newcomer", "{n} newcomers", n).format(n=lang.count(n))
        ),
        Tile(_("In months 4 to 6"), lang.rate(third), note=why),
        Tile(_("Short of a peer"), short, note=span),
        Tile(_("Paid until ramped"), cost, note=paid),
        Tile(_("A settled peer books"), money(found.reps.peers_a_month, found), note=peers),
    ]


def note(found: Found) -> str:
    """What the page rests on."""
    text = ngettext(
        "Settled: {n} month of tenure or more.", "Settled: {n} months of tenure or more.", found.settled_months
    )
    text = text.format(n=lang.count(found.settled_months))
    text += " " + _("Months before the record begins are not watched, and count nowhere.")
    if found.reps.n_undated:
        more = ngettext("{n} rep has no first day and is left out.", "{n} reps have no first day and are left out.",
                        found.reps.n_undated)  # fmt: skip
        text += " " + more.format(n=lang.count(found.reps.n_undated))
    return text


def ramp_lines(found: Found) -> tuple[list[int], list[Estimate], list[float]]:
    known = found.curve[found.curve["share"].notna()]
    return known["month"].tolist(), known["share"].tolist(), known["smooth"].tolist()


def ramp_alt(found: Found) -> str:
    months, shares, _smooth = ramp_lines(found)
    parts = [f"{month + 1}: {lang.percent(one.value)}" for month, one in zip(months, shares, strict=True)]
    return _("Bookings over those of settled peers, by month of tenure: {parts}.").format(
        parts="; ".join(parts) or lang.NONE
    )


def end_alt(found: Found) -> str:
    if found.incidence is None:
        return _("Too few newcomers.")
    share = found.incidence.share
    words = {end: lang.percent(float(share[end][-1])) if len(share[end]) else lang.NONE for end in ("ramped", "left")}
    return _("Of the newcomers {ramped} are ramped in the end, {left} left before.").format(**words)


def until(found: Found) -> int:
    return int(found.newcomers["age"].max()) if len(found.newcomers) else 1


def caption() -> str:
    return _(
        "Left: all who were there, those who left since included; lines are 95% intervals. Right: leaving competes."
    )
