"""Tenure in sentences: finished numbers in, finished text out, in every language."""

from salesops import crm, lang
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.stats import Survival
from salesops.tenure.compute import ALPHA, Found

MOST_NAMED = 5  # groups of a sentence
SHOWN = 4  # curves of the picture


def title() -> str:
    return _("Tenure of customers")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [] if found.dated == "days" else [_("the source has no dates")]


def group_name(group: str) -> str:
    return {crm.ALL: _("All"), crm.NOT_KNOWN: _("(not known)")}.get(group, group)


def split_name(found: Found) -> str:
    return _("Plan") if found.split_by == "plan" else lang.dimension(found.split_by)


def record_name(record: str) -> str:
    return {"flag": _("flagged as left"), "log": _("logged as cancelled"),
            "end": _("all contracts have ended")}[record]  # fmt: skip


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    whole = found.table[found.table["group"] == crm.ALL].iloc[0]
    known = [age for age in found.ages if whole["at"][age] is not None]
    said = []
    if not known:
        said.append(Finding("plain", _("Too few contracts were watched long enough to tell how long they last")))
    else:
        age = known[0]
        one = whole["at"][age]
        text = ngettext("{share} of contracts are still there after {n} month",
                        "{share} of contracts are still there after {n} months", age)  # fmt: skip
        detail = _("Interval {limits}; of {all} contracts {ended} have ended, the others are still running and count "
                   "for "
                   "as long as they have lasted.")  # fmt: skip
        said.append(Finding("plain", text.format(share=lang.percent(one.value), n=lang.count(age)), detail.format(
            limits=lang.interval(one), all=lang.count(found.n), ended=lang.count(found.n_ended))))  # fmt: skip
    said += _groups(found)
    if (dispute := _dispute(found)) is not None:
        said.append(dispute)
    if found.dated != "days":
        said.append(Finding("warn", _("The source has no dates: nothing can be said of any month or year"), _(
            "Tenures and flags are as of one day. Whoever left earlier and is not in it would make customers look more "
            "loyal than they are.")))  # fmt: skip
    return said


def _groups(found: Found) -> list[Finding]:
    tested = found.table[found.table["p_adjusted"] < ALPHA]
    if found.split_by == "none" or not found.table["p_adjusted"].notna().any():
        return []
    if not len(tested):
        p = float(found.table["p_adjusted"].min())
        headline = _("No group stays longer or shorter than the others beyond chance")
        return [Finding("plain", headline, p=p, family="groups")]
    first = tested.sort_values("p_adjusted", kind="stable").iloc[0]
    share = first["at"][first["age"]]
    text = _("{group} differs: {share} are still there after {n} months; p {p} after correction")
    more = [f"{group_name(row.group)} {lang.percent(row.at[row.age].value)}" for row in tested.itertuples()
            if row.group != first["group"]]  # fmt: skip
    detail = (
        _("Also different from the others: {groups}.").format(
            groups="; ".join(more[:MOST_NAMED]) + ("; …" if len(more) > MOST_NAMED else "")
        )
        if more
        else ""
    )
    return [Finding("warn", text.format(group=group_name(first["group"]), share=lang.estimate(share),
                                        n=lang.count(first["age"]), p=lang.p_value(first["p_adjusted"])),
                    detail, key=f"group/{first['group']}", p=float(first["p_adjusted"]), family="groups")]  # fmt: skip


def _dispute(found: Found) -> Finding | None:
    made = found.disagreements
    if len(made.kept) < 2:
        return None
    parts = "; ".join(f"{record_name(name)} {lang.count(made.left[name])}" for name in made.kept)
    if not made.n_disputed:
        return Finding("good", _("All records agree on who has left: {n}").format(n=lang.count(made.n_agreed)))
    text = _("The records contradict each other on who has left: {parts}")
    detail = ngettext("They disagree on {n} account ({money} a month), and agree that {agreed} have left. None of the "
                      "figures is right by itself, nor is their mean.", "They disagree on {n} accounts ({money} a "
                                                                        "month), "
                      "and agree that {agreed} have left. None of the figures is right by itself, nor is their mean.",
                      made.n_disputed)  # fmt: skip
    return Finding("bad", text.format(parts=parts), detail.format(
        n=lang.count(made.n_disputed), agreed=lang.count(made.n_agreed),
        money=lang.money(made.amount_disputed / found.minor_units, found.currency, compact=True)),
        key="churn_records", money=made.amount_disputed * 12 / found.minor_units)  # fmt: skip


def tiles(found: Found) -> list[Tile]:
    """The headline numbers."""
    whole = found.table[found.table["group"] == crm.ALL].iloc[0]
    shown = [Tile(_("Contracts"), lang.count(found.n), note=_("{n} have ended").format(n=lang.count(found.n_ended)))]
    for age in found.ages[:2]:
        one = whole["at"][age]
        why = _("interval {limits}").format(limits=lang.interval(one)) if one else _("too few")
        shown.append(Tile(_("Still there after {n} months").format(n=lang.count(age)), lang.rate(one), note=why))
    median = whole["median"]
    value = _("{n} months").format(n=lang.count(median.value)) if median else lang.NONE
    why = _("median, running contracts censored") if median else _("not reached by the data")
    shown.append(Tile(_("Half have left after"), value, note=why))
    made = found.disagreements
    several = len(made.kept) > 1
    why = _("records disagree whether they left") if several else _("the source keeps one record")
    shown.append(Tile(_("Disputed accounts"), lang.count(made.n_disputed) if several else lang.NONE, note=why))
    return shown


def note(found: Found) -> str:
    """What the page rests on."""
    text = {"days": _("Tenures are from first and last days of contracts, in whole months."),
            "months": _("Tenures are as the source says them, in months; it has no dates.")}[found.dated]  # fmt: skip
    if found.n_left_out:
        more = ngettext("{n} contract is left out: flagged as ended on a day that is not known, or of no known tenure.",
                        "{n} contracts are left out: flagged as ended on days that are not known, or of no known "
                        "tenure.",
                        found.n_left_out)  # fmt: skip
        text += " " + more.format(n=lang.count(found.n_left_out))
    return text


def curves(found: Found) -> dict[str, Survival]:
    return {group_name(group): curve for group, curve in list(found.curves.items())[:SHOWN]}


def until(found: Found) -> int:
    return max(int(found.counts["age"].max()), 1)


def curve_alt(found: Found) -> str:
    parts = []
    for row in found.table.itertuples():
        known = [age for age in found.ages if row.at[age] is not None]
        if known:
            parts.append(f"{group_name(row.group)}: {lang.percent(row.at[known[-1]].value)} ({known[-1]})")
    return _("Share still there, after so many months: {parts}.").format(parts="; ".join(parts) or lang.NONE)


def record_bars(found: Found) -> tuple[list[str], list[int]]:
    made = found.disagreements
    if not made.kept:
        return [], []
    names = [record_name(name) for name in made.kept]
    counts = [made.left[name] for name in made.kept]
    return ([*names, _("by all of them")], [*counts, made.n_agreed]) if len(names) > 1 else (names, counts)


def record_alt(found: Found) -> str:
    names, counts = record_bars(found)
    parts = [f"{name} {lang.count(n)}" for name, n in zip(names, counts, strict=True)]
    return _("Accounts that have left: {parts}.").format(parts="; ".join(parts) or lang.NONE)


def caption() -> str:
    return _("Left: Kaplan-Meier; the band is the 95% interval of all. Right: accounts, not contracts.")
