"""The funnel's sentences and tables: finished numbers in, finished text out, in every language."""

import numpy as np
import pandas as pd

from salesops import crm, lang
from salesops.findings import Finding, Tile
from salesops.funnel.cohorts import Scope
from salesops.funnel.compute import ALL, Funnel
from salesops.funnel.shift import SIGNIFICANT, Shift
from salesops.lang import _, ngettext
from salesops.stats import Estimate

MOST_GROUPS = 12


def title() -> str:
    return _("Funnel")


def facts(funnel: Funnel) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    deals = _("deals {whose}").format(whose=whose(funnel.scope, "now"))
    return [part for part in (funnel.scope.pipeline, deals) if part]


def whose(scope: Scope, cohort: str) -> str:
    """Which deals: created in May – October 2026, or what the page's convention says instead."""
    rules = scope.rules
    text = {"active": _("open at any time in {window}"), "snapshot": _("open at the end of {window}")}.get(
        rules.cohort_by
    )
    if text is None:
        text = _("created in {window}") if rules.accepted_stage == 1 else _("accepted in {window}")
    return text.format(window=lang.period(scope.cohorts[cohort]))


def findings(funnel: Funnel, currency: str) -> list[Finding]:
    """What the reader should know first: what changed beyond chance, then where things stand and stand still."""
    return [
        *_changed(funnel, currency), *_recent(funnel, currency), *_reversed(funnel), _won(funnel),
        *_stale(funnel, currency), *_weakest(funnel), *_slowest(funnel), *_velocity(funnel, currency),
        *_differs(funnel),
    ]  # fmt: skip


def _changed(funnel: Funnel, currency: str) -> list[Finding]:
    """One finding for each stage that changed beyond chance: of all deals, or of the group that did."""
    table = funnel.changes
    if table.empty:
        return []
    found = table[table["p_adjusted"] < SIGNIFICANT].sort_values("p", kind="stable")
    if found.empty:
        text = ngettext(
            "{n} comparison with {before}; chance alone could explain the difference.",
            "{n} comparisons with {before}, by stage and group; chance alone could explain every difference, "
            "which does not mean that there is none.",
            len(table),
        )
        detail = text.format(n=len(table), before=lang.period(funnel.scope.cohorts["before"]))
        p = float(table["p_adjusted"].min())
        return [Finding("plain", _("No stage changed beyond what chance explains"), detail, p=p, family="stages")]
    findings_ = []
    for step in found["step"].drop_duplicates():
        here = found[found["step"] == step]
        together = here[here["group"] == ALL]
        row = next((together if len(together) else here).itertuples())
        findings_.append(_one_change(funnel, row, here[here["group"] != row.group], currency))
    return findings_


def _one_change(funnel: Funnel, row, others: pd.DataFrame, currency: str) -> Finding:
    """`others` are the groups that changed beyond chance at the same stage."""
    points = abs(round(row.change.value * 100))
    step = step_name(funnel, row.step)
    group = group_name(funnel.scope, row.group)
    place = step if row.group == ALL else _("{group}: {step}").format(group=group, step=step)
    if row.change.value < 0:
        headline = ngettext("{step} fell {points} point to {now}", "{step} fell {points} points to {now}", points)
    else:
        headline = ngettext("{step} rose {points} point to {now}", "{step} rose {points} points to {now}", points)
    headline = headline.format(step=place, points=points, now=lang.percent(row.rate.value))
    taken = funnel.shifts.get(int(row.step))
    parts = [
        _("It was {before} for deals of {period}; the 95% interval of the change is {low} to {high} points.").format(
            before=lang.percent(row.rate_before.value),
            period=lang.period(funnel.scope.cohorts["before"]),
            low=lang.points(row.change.low, signed=True),
            high=lang.points(row.change.high, signed=True),
        ),
        *_since(funnel, row, taken),
        *_explained(funnel, taken),
        *_at_stake(taken, currency),
        *_groups_too(funnel, row, others),
        _(
            "It stands out after correcting for {n} comparisons (adjusted p {p}). Deals that reached the stage: "
            "{n_deals}, followed for {age} days."
        ).format(
            n=len(funnel.changes),
            p=lang.p_value(row.p_adjusted),
            n_deals=lang.count(row.n),
            age=lang.days(row.age_days),
        ),
    ]
    fell = row.change.value < 0
    money = abs(taken.money.value) if taken is not None and taken.money is not None else None
    return Finding("bad" if fell else "good", headline, " ".join(parts), key=_key(funnel, row), money=money,
                   p=float(row.p_adjusted), family="stages")  # fmt: skip


def _key(funnel: Funnel, row) -> str:
    """Of a stage that changed, whatever group it is told of: the same next month, also among more or fewer stages."""
    scope = funnel.scope
    return f"stage/{scope.pipeline}/{scope.stages[row.step]}/{'fell' if row.change.value < 0 else 'rose'}"


def _recent(funnel: Funnel, currency: str) -> list[Finding]:
    """What changed only lately, of each stage the group in which it is surest; not what all months tell already."""
    made = funnel.recent
    if made is None or made.table.empty:
        return []
    table, now = made.table, lang.period(made.now)
    told = funnel.changes[funnel.changes["p_adjusted"] < SIGNIFICANT]
    told = {_key(funnel, row) for row in told.itertuples()}
    sure = table[table["p_adjusted"] < SIGNIFICANT].sort_values("p", kind="stable").drop_duplicates("step")
    if sure.empty:
        text = _("In {now} alone no stage stands out beyond what chance explains").format(now=now)
        detail = ngettext(
            "{n} comparison of deals that reached a stage in {now} with those of the months before.",
            "{n} comparisons of deals that reached a stage in {now} with those of the months before.",
            len(table),
        )
        smallest = float(table["p_adjusted"].min())
        return [Finding("plain", text, detail.format(n=len(table), now=now), p=smallest, family="recent")]
    return [_one_recent(funnel, row, currency) for row in sure.itertuples() if _key(funnel, row) not in told]


def _one_recent(funnel: Funnel, row, currency: str) -> Finding:
    made, fell = funnel.recent, row.change.value < 0
    points = abs(round(row.change.value * 100))
    text = ngettext(
        "Lately {step} rose {points} point to {share}", "Lately {step} rose {points} points to {share}", points
    )
    if fell:
        text = ngettext(
            "Lately {step} fell {points} point to {share}", "Lately {step} fell {points} points to {share}", points
        )
    step = step_name(funnel, row.step)
    if row.group != ALL:
        step = _("{group}: {step}").format(group=group_name(funnel.scope, row.group), step=step)
    words = {"step": step, "points": points, "share": lang.percent(row.rate.value), "now": lang.period(made.now),
             "n": lang.count(row.n), "age": lang.days(row.age_days), "was": lang.percent(row.rate_before.value),
             "before": lang.period(made.before), "low": lang.points(row.change.low, signed=True),
             "high": lang.points(row.change.high, signed=True), "p": lang.p_value(row.p_adjusted),
             "m": len(made.table)}  # fmt: skip
    detail = _("Of {n} deals that reached the stage in {now}, so many went further within {age} days; of those of "
               "{before} {was}. The 95% interval of the change is {low} to {high} points, adjusted p {p} of {m} "
               "comparisons. Most of these deals are young yet.")  # fmt: skip
    parts = [detail.format(**words), *_at_stake(row, currency)]
    amount = abs(row.money.value) if row.money is not None else None
    return Finding("bad" if fell else "good", text.format(**words), " ".join(parts), key=_key(funnel, row),
                   money=amount, p=float(row.p_adjusted), family="recent")  # fmt: skip


def _since(funnel: Funnel, row, taken: Shift | None) -> list[str]:
    """Since when: the quarters of reaching the stage that stand out."""
    if taken is None or not taken.since:
        return []
    of = "" if taken.of_group in (ALL, row.group) else group_name(funnel.scope, taken.of_group) + ": "
    table = taken.quarters.set_index("period")
    named = "; ".join(
        _("{period} with {share} ({interval})").format(
            period=lang.period(period),
            share=lang.percent(table.loc[[period], "rate"].iloc[0].value),
            interval=lang.between(*table.loc[[period], "rate"].iloc[0][1:3]),
        )
        for period in taken.since
    )
    text = ngettext(
        "By quarter of reaching the stage, one stands out: {of}{named}.",
        "By quarter of reaching the stage, {n} stand out: {of}{named}.",
        len(taken.since),
    )
    return [text.format(n=len(taken.since), of=of, named=named)]


def _explained(funnel: Funnel, taken: Shift | None) -> list[str]:
    """The group that explains most of what the groups' own shares did, with how much of it."""
    if taken is None or taken.leader is None:
        return []
    group = group_name(funnel.scope, taken.leader)
    if taken.share_of_own > 1:
        text = _("{group} explains all of the stage's change and more; the other groups together went the other way.")
        return [text.format(group=group)]
    text = _("{group} explains most: {share} of the change of the groups' own shares.")
    return [text.format(group=group, share=lang.percent(taken.share_of_own))]


def _at_stake(taken, currency: str) -> list[str]:
    """What a change costs or brings; `taken` is a `Shift`, or a row of `Recent`."""
    if taken is None or taken.money is None:
        return []
    money = taken.money
    text = _("It costs about {money} of won amount (95%: {low} to {high})")
    low, high = -money.high, -money.low
    if money.value > 0:
        text = _("It brings about {money} of won amount (95%: {low} to {high})")
        low, high = money.low, money.high
    text += _(", if what goes further is won as often, and is worth as much, as before.")
    amounts = {"money": abs(money.value), "low": low, "high": high}
    return [text.format(**{name: lang.money(value, currency, compact=True) for name, value in amounts.items()})]


def _groups_too(funnel: Funnel, row, others: pd.DataFrame) -> list[str]:
    """Which groups changed beyond chance at the same stage; that none did, if all deals together did."""
    if row.group == ALL and others.empty and (funnel.changes["group"] != ALL).any():
        return [_("No single group stands out beyond chance.")]
    return [
        _("{group} stands out: {before} before, {now} now.").format(
            group=group_name(funnel.scope, other.group),
            before=lang.percent(other.rate_before.value),
            now=lang.percent(other.rate.value),
        )
        for other in others.itertuples()
    ]


def _reversed(funnel: Funnel) -> list[Finding]:
    """Stages whose total went one way while the groups' own shares went the other (Simpson's paradox)."""
    found = []
    for step, taken in funnel.shifts.items():
        if taken.reversed:
            headline = _("{step}: the total hides what the groups did").format(step=step_name(funnel, step))
            text = _(
                "All together the share changed by {total} points, but at an unchanged mix of groups it would have "
                "changed by {own} points ({low} to {high}); the mix brought {mix} points. Judge the groups, not the "
                "total."
            )
            points = {"total": taken.total, "own": taken.own.value, "low": taken.own.low, "high": taken.own.high,
                      "mix": taken.mix}  # fmt: skip
            detail = text.format(**{name: lang.points(value, signed=True) for name, value in points.items()})
            found.append(Finding("warn", headline, detail))
    return found


def _stale(funnel: Funnel, currency: str) -> list[Finding]:
    """Open deals past the age of three quarters of the won ones, and what became of such deals, at the worst stage."""
    table = funnel.times.stale
    n_stale, n_limited = int(table["n_stale"].sum()), int(table["n_limited"].sum())
    if not n_stale:
        return []
    headline = ngettext(
        "{n} of {of} open deals is older in its stage than three in four won deals were",
        "{n} of {of} open deals are older in their stage than three in four won deals were",
        n_stale,
    ).format(n=lang.count(n_stale), of=lang.count(n_limited))
    amount = table["amount"].sum(min_count=1)
    detail = ""
    if lang.known(amount):
        detail = _("Their amounts sum to {money}.").format(money=lang.money(amount, currency, compact=True))
    known = table[[one is not None for one in table["after"]]]
    money = None
    worst = known[[a.high < u.low for a, u in zip(known["after"], known["usual"], strict=True)]]
    if len(worst):
        row = worst.assign(gap=[u.value - a.value for a, u in zip(worst["after"], worst["usual"], strict=True)])
        row = row.sort_values("gap", kind="stable").iloc[-1]
        detail += " " + _(
            "In {stage}, {share} ({interval}) of the deals that passed that age were won within {days} days; of all "
            "that entered it, {usual}."
        ).format(
            stage=row["stage"],
            share=lang.percent(row["after"].value),
            interval=lang.between(*row["after"][1:3]),
            days=lang.days(row["age_days"]),
            usual=lang.percent(row["usual"].value),
        )
        gaps = [max(u.value - a.value, 0.0) for a, u in zip(known["after"], known["usual"], strict=True)]
        short = float((known["amount"] * gaps).sum())
        if short > 0:
            money = short
            text = _("At these shares the deals past their age bring about {money} less than as many others.")
            detail += " " + text.format(money=lang.money(short, currency, compact=True))
    if worst.empty:  # they are as good as others, as far as can be told
        return [Finding("plain", headline, detail.strip())]
    return [Finding("warn", headline, detail.strip(), key="stale", money=money)]


def _velocity(funnel: Funnel, currency: str) -> list[Finding]:
    """What changed the amount won a day, where a part is beyond chance."""
    found = funnel.velocity
    if found is None or not found.beyond:
        return []
    name = max(found.beyond, key=lambda one: abs(found.parts[one].value))
    part = found.parts[name]
    text = (
        _("{factor} brought {part} a day to velocity")
        if part.value > 0
        else _("{factor} took {part} a day from velocity")
    )
    headline = text.format(factor=factor_name(name), part=lang.money(abs(part.value), currency, compact=True))
    detail = _(
        "Velocity went from {before} to {now} a day; the 95% interval of this part is {low} to {high}. The four parts "
        "sum to the change."
    ).format(
        before=lang.money(found.before["velocity"], currency, compact=True),
        now=lang.money(found.now["velocity"], currency, compact=True),
        low=lang.money(part.low, currency, compact=True),
        high=lang.money(part.high, currency, compact=True),
    )
    return [Finding("good" if part.value > 0 else "bad", headline, detail)]


def factor_name(name: str) -> str:
    return {
        "n_deals": _("Number of deals"),
        "win_rate": _("Win rate"),
        "deal_size": _("Deal size"),
        "cycle": _("Length of the cycle"),
    }[name]


def _differs(funnel: Funnel) -> list[Finding]:
    """The groups that are won more or less often, and those that are quicker or slower, beyond chance."""
    table, found = funnel.splits, []
    pace = table[table["p_pace"] < SIGNIFICANT]
    order = pace.assign(size=[abs(np.log(one.value)) for one in pace["pace"]]).sort_values(
        "size", ascending=False, kind="stable"
    )
    if len(order):
        found += _pace_of_sources(funnel, order[order["dimension"] == "source"])
        top = order.drop_duplicates("dimension").head(3)
        named = "; ".join(_pace_words(funnel, row) for row in top.itertuples())
        headline = _("How long stages take differs by {what}").format(what=_listed(top["dimension"]))
        detail = _(
            "{named}; each against all others, beyond chance after correcting for {n} comparisons. That says who, not "
            "why: groups overlap."
        ).format(named=named, n=int(table["p_pace"].notna().sum()))
        found.append(Finding("plain", headline, detail))
    elif n := int(table["p_pace"].notna().sum()):
        text = ngettext("No group passes stages quicker or slower by more than chance, of {n}",
                        "No group passes stages quicker or slower by more than chance, of {n}", n)  # fmt: skip
        found.append(Finding("plain", text.format(n=lang.count(n)), family="pace"))
    won = table[table["p_won"] < SIGNIFICANT]
    order = won.assign(size=[abs(one.value) for one in won["change"]]).sort_values(
        "size", ascending=False, kind="stable"
    )
    if len(order):
        top = order.drop_duplicates("dimension").head(3)
        named = "; ".join(
            _("{group} {share} ({interval}), others {others}, by day {days}").format(
                days=lang.days(row.age_days),
                group=group_name(funnel.scope, row.group, row.dimension),
                share=lang.percent(row.rate.value),
                interval=lang.between(row.rate.low, row.rate.high),
                others=lang.percent(row.rate_others.value),
            )
            for row in top.itertuples()
        )
        headline = _("The share won differs by {what}").format(what=_listed(top["dimension"]))
        detail = _(
            "Won: {named}; beyond chance after correcting for {n} comparisons. That says who, not why: groups overlap."
        ).format(named=named, n=int(table["p_won"].notna().sum()))
        found.append(Finding("plain", headline, detail))
    return found


def _pace_of_sources(funnel: Funnel, sources: pd.DataFrame) -> list[Finding]:
    """The source whose deals are quickest or slowest most of all: what can be had more of."""
    if sources.empty:
        return []
    row = next(sources.itertuples())
    quick = row.pace.value < 1
    text = _("Deals from {group} pass stages in {share} of the others' time")
    headline = text.format(group=group_name(funnel.scope, row.group, row.dimension), share=lang.percent(row.pace.value))
    detail = _("Interval {interval}, beyond chance after correction. That says who, not why.").format(
        interval=lang.between(row.pace.low, row.pace.high)
    )
    return [Finding("good" if quick else "bad", headline, detail, key=f"pace/source/{row.group}", p=float(row.p_pace),
                    family="pace")]  # fmt: skip


def _listed(dimensions) -> str:
    return ", ".join(lang.dimension(one).lower() for one in dimensions)


def _pace_words(funnel: Funnel, row) -> str:
    """A group's time in the others'."""
    group, pace = group_name(funnel.scope, row.group, row.dimension), row.pace
    text = _("{group} takes {share} of the others' time in a stage ({interval})")
    interval = lang.between(pace.low, pace.high)
    return text.format(group=group, share=lang.percent(pace.value), interval=interval)


def _won(funnel: Funnel) -> Finding:
    life = life_of(funnel, "now")
    if life["rate"] is None:
        headline = _("Too few deals to say what share is won")
        if life["n"] >= funnel.scope.min_deals:
            headline = _("The deals are too young to say what share is won")
            detail = _("{n} deals, of which fewer than {least} were watched for a day.")
            words = {"n": lang.count(life["n"]), "least": lang.count(funnel.scope.min_deals)}
            return Finding("warn", headline, detail.format(**words))
        return Finding("warn", headline, too_few(life["n"], funnel.scope.min_deals))
    headline = _("{share} of deals are won within {days} days").format(
        share=lang.percent(life["rate"].value), days=lang.days(life["age_days"])
    )
    created = ngettext("Of {n} deal {whose}", "Of {n} deals {whose}", life["n"]).format(
        n=lang.count(life["n"]), whose=whose(funnel.scope, "now")
    )
    still = ngettext("{n} is still open", "{n} are still open", life["n_open"]).format(n=lang.count(life["n_open"]))
    detail = _(
        "{created}, {still} and counted only for the time they have been watched; the 95% interval is {interval}."
    ).format(created=created, still=still, interval=lang.between(life["rate"].low, life["rate"].high))
    return Finding("plain", headline, detail)


def _weakest(funnel: Funnel) -> list[Finding]:
    now = steps_of(funnel, "now")
    known = now[now["rate"].notna()]
    if len(known) < 2 or known["age_days"].nunique() > 1:  # shares at different ages say nothing of each other
        return []
    order = known.assign(value=[rate.value for rate in known["rate"]]).sort_values("value", kind="stable")
    weakest, next_one = order.iloc[0], order.iloc[1]
    words = {
        "step": step_name(funnel, weakest["step"]),
        "share": lang.percent(weakest["rate"].value),
        "interval": lang.between(weakest["rate"].low, weakest["rate"].high),
        "days": lang.days(weakest["age_days"]),
    }
    headline = _("{step} is the narrowest place: {share} go further within {days} days").format(**words)
    nearest = min(range(1, len(order)), key=lambda k: order.iloc[k]["rate"].low)  # by its interval, not by its value
    if weakest["rate"].high >= order.iloc[nearest]["rate"].low:
        next_one = order.iloc[nearest]
        headline = _("The narrowest place cannot be told from the next one")
        detail = _(
            "{step} has {share} ({interval}), {other} has {other_share} ({other_interval}); the intervals overlap."
        )
        return [
            Finding(
                "plain",
                headline,
                detail.format(
                    **words,
                    other=step_name(funnel, next_one["step"]),
                    other_share=lang.percent(next_one["rate"].value),
                    other_interval=lang.between(next_one["rate"].low, next_one["rate"].high),
                ),
            )
        ]
    detail = _("The 95% interval is {interval}; the next narrowest is {other} with {other_share}.").format(
        **words, other=step_name(funnel, next_one["step"]), other_share=lang.percent(next_one["rate"].value)
    )
    return [Finding("warn", headline, detail)]


def _slowest(funnel: Funnel) -> list[Finding]:
    stays = funnel.times.stays
    known = stays[stays["median"].notna()]
    if len(known) < 2 or (stays["median"].isna() & (stays["n"] >= funnel.scope.min_deals)).any():
        return []  # a stage that half have not left yet may be the slowest
    order = known.assign(days=[m.value for m in known["median"]]).sort_values("days", kind="stable")
    row = order.iloc[-1]
    if row["median"].low <= max(other.high for other in order["median"].iloc[:-1]):
        return []
    headline = _("Deals stay longest in {stage}: half leave within {days} days").format(
        stage=row["stage"], days=lang.days(row["days"])
    )
    detail = ngettext(
        "{n} stay, {n_open} of them still going on; the 95% interval of the median is {low} to {high} days.",
        "{n} stays, {n_open} of them still going on; the 95% interval of the median is {low} to {high} days.",
        row["n"],
    ).format(n=lang.count(row["n"]), n_open=lang.count(row["n_open"]), **limits(row["median"]))
    return [Finding("plain", headline, detail)]


def tiles(funnel: Funnel, currency: str) -> list[Tile]:
    """The headline numbers, each with what it was before."""
    now, before = life_of(funnel, "now"), life_of(funnel, "before")
    against = _("before") if before is not None else ""
    shares = [None if life is None else life["rate"] for life in (now, before)]
    closed = [closing_of(funnel, name) for name in ("now", "before")]
    by_count = [None if row is None else row["by_count"] for row in closed]
    won = [None if row is None else row["won_amount"] for row in closed]
    open_now = funnel.standing[funnel.standing["kind"] == "open"]
    n_open, amount = int(open_now["n"].sum()), open_now["amount"].sum(min_count=1)
    return [
        Tile(
            deals_name(funnel.scope),
            lang.count(now["n"]),
            "" if before is None else lang.count(before["n"]),
            against,
            lang.period(funnel.scope.cohorts["now"]),
        ),
        _share_tile(won_within(funnel, now), shares, against),
        _share_tile(_("Win rate of closed deals"), by_count, against),
        Tile(
            _("Won amount"),
            lang.money(won[0], currency, compact=True),
            lang.money(won[1], currency, compact=True) if won[1] is not None else "",
            against,
            _("closed in these months"),
        ),
        Tile(
            _("Open pipeline"),
            lang.money(amount, currency, compact=True),
            "" if funnel.open_before is None else lang.money(funnel.open_before, currency, compact=True),
            "" if funnel.open_before is None else against,
            ngettext("{n} open deal on the last day", "{n} open deals on the last day", n_open).format(
                n=lang.count(n_open)
            ),
        ),
    ]


def deals_name(scope: Scope) -> str:
    """What the first tile counts."""
    if scope.rules.cohort_by != "entry":
        return _("Deals in the funnel")
    return _("Deals created") if scope.rules.accepted_stage == 1 else _("Deals accepted")


def shown_days(funnel: Funnel) -> float:
    """How far the picture by age goes: to the horizon, or as far as enough deals were watched."""
    age = life_of(funnel, "now")["age_days"]
    return age if lang.known(age) else funnel.scope.horizon_days


def won_within(funnel: Funnel, life) -> str:
    days = life["age_days"] if lang.known(life["age_days"]) else funnel.scope.horizon_days
    return _("Won within {days} days").format(days=lang.days(days))


def tiles_note(funnel: Funnel) -> str:
    """What "before" is, what the months are, and why nothing is compared where it is not."""
    scope, now = funnel.scope, lang.period(funnel.scope.cohorts["now"])
    if "before" in scope.cohorts:
        before = lang.period(scope.cohorts["before"])
        text = _("Deals created, or closed, in {now}, or open on the last day known; before: {before}.").format(
            now=now, before=before
        )
    else:
        text = _("Deals created, or closed, in {now}.").format(now=now)
    if scope.begins_on:
        text += " " + _("Nothing is compared: the history begins in {month}.").format(month=lang.month(scope.begins_on))
    if scope.known_to:
        text += " " + _("These months are known only to {day}.").format(day=lang.day(scope.known_to))
    return text


def _share_tile(name: str, rates: list[Estimate | None], against: str) -> Tile:
    now, before = rates
    if now is None:
        return Tile(name, lang.NONE, note=_("too few deals"))
    note = _("95%: {interval}").format(interval=lang.between(now.low, now.high))
    return Tile(
        name, lang.percent(now.value), lang.percent(before.value) if before else "", against if before else "", note
    )


def reached(funnel: Funnel) -> tuple[list[str], list[int]]:
    """Names and counts for the bars: the stages, then won."""
    now = steps_of(funnel, "now")
    names = [*(stage_names(funnel)[k] for k in now["step"]), _("Won")]
    return names, [*now["n_reached"].tolist(), int(now["n_moved"].iloc[-1])]


def reached_alt(funnel: Funnel) -> str:
    names, counts = reached(funnel)
    return _("Bars: {bars}.").format(
        bars="; ".join(f"{n}: {lang.count(c)}" for n, c in zip(names, counts, strict=True))
    )


def conversion_alt(funnel: Funnel) -> str:
    rates = [
        f"{step_name(funnel, row.step)}: {lang.percent(row.rate.value) if row.rate else _('not known')}"
        for row in steps_of(funnel, "now").itertuples()
    ]
    return _("Points with intervals: {points}.").format(points="; ".join(rates))


def conversion_caption(funnel: Funnel) -> str:
    life, scope = life_of(funnel, "now"), funnel.scope
    text = _("Deals {whose}, n = {n}, by {days} days after reaching the stage at the latest.").format(
        whose=whose(scope, "now"), n=lang.count(life["n"]), days=scope.horizon_days
    )
    if any(rates(funnel, "before")):
        text += " " + _(
            "The grey tick is {before}. Orange: a change that survives the correction for several comparisons."
        ).format(before=lang.period(scope.cohorts["before"]))
    return text


def age_alt(funnel: Funnel) -> str:
    days = int(shown_days(funnel))
    won, lost = (funnel.curves["now"].at(cause, days * 24).value for cause in ("won", "lost"))
    return _("Curves from 0 to {days} days: won rises to {won}, lost to {lost}; the rest is still open.").format(
        days=days, won=lang.percent(won), lost=lang.percent(lost)
    )


def age_caption(funnel: Funnel) -> str:
    text = _("Aalen–Johansen shares with open deals censored, n = {n}; the band is the 95% interval of won.").format(
        n=lang.count(life_of(funnel, "now")["n"])
    )
    if "before" in funnel.curves:
        text += " " + _("Dashed: won, deals {whose}.").format(whose=whose(funnel.scope, "before"))
    return text


def step_names(funnel: Funnel) -> list[str]:
    return [step_name(funnel, step) for step in steps_of(funnel, "now")["step"]]


def rates(funnel: Funnel, cohort: str) -> list[Estimate | None]:
    """The share that goes further, for each stage of the present cohort."""
    table = steps_of(funnel, cohort)
    known = {} if table is None else dict(zip(table["step"], table["rate"], strict=True))
    return [known.get(step) for step in steps_of(funnel, "now")["step"]]


def hot(funnel: Funnel) -> list[bool]:
    """Which stages changed beyond chance."""
    found = funnel.changes[(funnel.changes["group"] == ALL) & (funnel.changes["p_adjusted"] < SIGNIFICANT)]
    return [step in set(found["step"]) for step in steps_of(funnel, "now")["step"]]


def step_name(funnel: Funnel, step: int) -> str:
    stages = [*stage_names(funnel), _("Won")]
    return f"{stages[step]} → {stages[step + 1]}"


def stage_names(funnel: Funnel) -> list[str]:
    return [stage or _("Created") for stage in funnel.scope.stages]


def group_name(scope: Scope, group: str, dimension: str = "") -> str:
    """A group of a dimension, blank: of the page's own, as people say it; bands of size by their limits."""
    if group == crm.NOT_KNOWN:
        return _("not known")
    if (dimension or scope.segment_by) != "size":
        return group
    edges, band = [lang.count(edge) for edge in scope.rules.sizes], int(group)
    if not edges:
        return _("all")
    if band == 0:
        return _("below {amount}").format(amount=edges[0])
    if band == len(edges):
        return _("from {amount}").format(amount=edges[-1])
    return f"{edges[band - 1]} – {edges[band]}"


def stage_name(stage) -> str:
    return stage if pd.notna(stage) else _("not known")


def kind_name(kind: str) -> str:
    return {"open": _("open"), "won": _("won"), "lost": _("lost")}[kind]


def steps_of(funnel: Funnel, cohort: str) -> pd.DataFrame | None:
    table = funnel.steps[(funnel.steps["cohort"] == cohort) & (funnel.steps["group"] == ALL)]
    return None if table.empty else table.sort_values("step")


def life_of(funnel: Funnel, cohort: str, group: str = ALL):
    return _row(funnel.lives, cohort, group)


def closing_of(funnel: Funnel, cohort: str, group: str = ALL):
    return _row(funnel.closings, cohort, group)


def _row(table: pd.DataFrame, cohort: str, group: str):
    found = table[(table["cohort"] == cohort) & (table["group"] == group)]
    return None if found.empty else found.iloc[0]


def rate_cells(rate: Estimate | None, digits: int = 1) -> list[str]:
    return [lang.rate(rate, digits), lang.interval(rate)]


def limits(quantile: Estimate) -> dict[str, str]:
    return {"low": lang.days(quantile.low), "high": lang.days(quantile.high) if np.isfinite(quantile.high) else "∞"}


def too_few(n: int, least: int) -> str:
    return ngettext("{n} deal; at least {least} are needed.", "{n} deals; at least {least} are needed.", n).format(
        n=lang.count(n), least=least
    )
