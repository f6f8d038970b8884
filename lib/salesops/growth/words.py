"""Growth in sentences: finished numbers in, finished text out, in every language."""

from salesops import crm, lang
from salesops.findings import Finding, Tile
from salesops.growth.compute import Growth, Stalled
from salesops.growth.concentrated import Concentration
from salesops.lang import _, ngettext

TRAPPED = 0.75  # share of growth from home, from which on it is said


def title() -> str:
    return _("Growth")


def facts(found: Growth) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    said = [
        _("{now} against {before}").format(now=lang.period(found.spans.now), before=lang.period(found.spans.before))
    ]
    return said + ([_("the month that has begun is left out")] if found.partial else [])


def money(minor: float, found: Growth) -> str:
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    return sign + lang.money(abs(minor) / found.minor_units, found.currency, compact=True)


def signed(minor: float, found: Growth) -> str:
    return ("+" if minor > 0 else "") + money(minor, found)


def signed_share(share: float | None, digits: int = 0) -> str:
    if not lang.known(share):
        return lang.NONE
    text = lang.percent(abs(share), digits)
    if text == lang.percent(0.0, digits):
        return text
    return ("\N{MINUS SIGN}" if share < 0 else "+") + text


def split_name(split: str) -> str:
    return _("Customers since") if split == "customer" else lang.dimension(split)


def group_name(split: str, group: str) -> str:
    if group == crm.NOT_KNOWN:
        return _("not known")
    if split == "customer":
        return {"new": _("these months"), "young": _("the year before them"), "old": _("earlier"),
                "known": _("before these months")}[group]  # fmt: skip
    if split == "deal_type":
        return {"new": _("new business"), "expansion": _("expansion"), "renewal": _("renewal")}.get(group, group)
    return group


def holder_name(holder: str) -> str:
    return {"customer": _("customers"), "source": _("channels"), "region": _("regions"), "product": _("products"),
            "rep": _("reps")}[holder]  # fmt: skip


def findings(found: Growth) -> list[Finding]:
    """What the reader should know first."""
    return [_whole(found), *_home(found), *_stalled(found), *_held(found), *_largest(found), *_largest_weighted(found)]


def _whole(found: Growth) -> Finding:
    words = {"now": money(found.now, found), "before": money(found.before, found),
             "share": lang.percent(abs(found.now / found.before - 1))}  # fmt: skip
    text = _("Bookings grew by {share}: {now} after {before}")
    if found.now < found.before:
        text = _("Bookings fell by {share}: {now} after {before}")
    detail = _("{n_now} deals after {n_before}; the mean deal went from {was} to {is_}.").format(
        n_now=lang.count(found.n_now), n_before=lang.count(found.n_before),
        was=lang.money(found.before / found.n_before / found.minor_units, found.currency),
        is_=lang.money(found.now / found.n_now / found.minor_units, found.currency),
    )  # fmt: skip
    return Finding("plain", text.format(**words), detail)


def _home(found: Growth) -> list[Finding]:
    """Whether growth comes from the home market alone."""
    if found.home is None:
        return []
    home, now, before = found.home
    table = found.parts["region"]
    grown = found.now - found.before
    own = int(table.loc[home, "now"] - table.loc[home, "before"])
    away_now, away_before = found.now - table.loc[home, "now"], found.before - table.loc[home, "before"]
    words = {"home": home, "now": lang.percent(1 - now), "before": lang.percent(1 - before),
             "own": signed(own, found), "away": signed(away_now - away_before, found)}  # fmt: skip
    text = _("{now} of bookings come from outside of {home}, {before} before")
    detail = _("{home} brought {own} of the change, the other regions {away}.").format(**words)
    if grown > 0 and own > TRAPPED * grown:
        return [Finding("warn", _("Growth comes from {home}, the home market").format(**words),
                        f"{text.format(**words)}. {detail}", key="home", money=own / found.minor_units)]  # fmt: skip
    return [Finding("plain", text.format(**words), detail)]


def _stalled(found: Growth) -> list[Finding]:
    said = [_one_stalled(found, one) for one in found.stalled]
    if not said and found.tried:
        text = ngettext("No region has stopped growing while the others grow, of {n}",
                        "No region has stopped growing while the others grow, of {n}", found.tried)  # fmt: skip
        detail = _("Shares of deals created, of the last {n} months against those before.").format(
            n=lang.count(found.recent_months)
        )
        said.append(
            Finding("plain", text.format(n=lang.count(found.tried)), detail, p=found.smallest, family="stalled")
        )
    return said


def _one_stalled(found: Growth, one: Stalled) -> Finding:
    words = {"group": one.group, "n": lang.count(found.recent_months), "p": lang.p_value(one.p_adjusted),
             "others": signed_share(one.others.value if one.others else None)}  # fmt: skip
    if one.own is None:
        text, detail = _("{group} creates hardly any deals any more, elsewhere {others} a year"), ""
    else:
        words |= {
            "own": signed_share(one.own.value),
            "low": signed_share(one.own.low),
            "high": signed_share(one.own.high),
        }
        text = _("{group} has stopped growing: deals created {own} a year by their trend, elsewhere {others}")
        if one.own.high < 0:
            text = _("{group} is shrinking: deals created {own} a year by their trend, elsewhere {others}")
        detail = _("The trend is that of the last {n} months, interval {low} to {high}.") + " "
    detail += _("In the last {n} months its share of all deals created has fallen, p {p} after correction.")
    if one.money is not None:
        more = _("At its share of before it would have booked {money} more in the months compared.")
        detail += " " + more.format(money=money(one.money, found))
    stake = one.money / found.minor_units if one.money is not None else None
    return Finding("bad", text.format(**words), detail.format(**words), key=f"stalled/region/{one.group}", money=stake,
                   p=one.p_adjusted, family="stalled")  # fmt: skip


def _held(found: Growth) -> list[Finding]:
    """Where one customer, channel or rep holds more than is said to be much; regions and products are few anyway."""
    said = []
    for holder in ("customer", "source", "rep"):
        now = found.held[holder][0]
        if now is None or now.n < 2 or now.tops[0] < found.most_of_one:
            continue
        if holder == "source" and now.n <= 1 / found.most_of_one:  # of so few one holds as much anyway
            continue
        text = _("{share} of bookings come through one of {n} {holders}")
        head = text.format(share=lang.percent(now.tops[0]), n=lang.count(now.n), holders=holder_name(holder))
        said.append(Finding("warn", head, _concentrated(now), key=f"largest/{holder}",
                            cause=f"concentration/{holder_plural(holder)}",
                            money=now.tops[0] * found.now / found.minor_units))  # fmt: skip
    one = found.open_deals
    if one is not None and one.tops[0] >= found.most_of_one:
        text = _("{share} of the open pipeline is one deal of {n}")
        said.append(Finding("warn", text.format(share=lang.percent(one.tops[0]), n=lang.count(one.n)),
                            _concentrated(one), key="largest/open", cause="concentration/pipeline"))  # fmt: skip
    return said


def holder_plural(holder: str) -> str:
    return {"customer": "customers", "source": "sources", "rep": "reps"}[holder]


def _concentrated(one: Concentration) -> str:
    text = _("The five largest hold {five}, the ten largest {ten}; as concentrated as {effective} equal ones.")
    return text.format(five=lang.percent(one.tops[1]), ten=lang.percent(one.tops[2]),
                       effective=lang.decimal(one.effective))  # fmt: skip


def _largest(found: Growth) -> list[Finding]:
    if found.largest is None or found.largest[3] is None:
        return []
    name, share, with_, without = found.largest
    text = _("Without the largest customer growth is {without}, with it {with_}")
    detail = _("{name} brings {share} of bookings.").format(name=name, share=lang.percent(share, 1))
    turned = with_ > 0 >= without
    return [Finding("warn" if turned else "plain", text.format(without=signed_share(without, 1),
            with_=signed_share(with_, 1)), detail, key="largest_customer" if turned else "",
            cause="concentration/customers")]  # fmt: skip


def _largest_weighted(found: Growth) -> list[Finding]:
    if found.largest_weighted is None:
        return []
    name, own, whole = found.largest_weighted
    text = _("Without its largest customer the weighted pipeline is {without}, with it {whole}")
    detail = _("{name} holds {share} of it; open deals by the chance of their stage.")
    much = own >= found.most_of_one * whole
    words = {"without": money(whole - own, found), "whole": money(whole, found), "name": name,
             "share": lang.percent(own / whole, 1)}  # fmt: skip
    return [Finding("warn" if much else "plain", text.format(**words), detail.format(**words),
                    key="largest_weighted" if much else "", cause="concentration/pipeline",
                    money=own / found.minor_units if much else None)]  # fmt: skip


def tiles(found: Growth) -> list[Tile]:
    """The headline numbers."""
    shown = [Tile(_("Bookings"), money(found.now, found), signed_share(found.now / found.before - 1),
                  _("as many months before"), lang.period(found.spans.now))]  # fmt: skip
    if found.home is not None:
        home, now, before = found.home
        shown.append(Tile(_("Outside of {home}").format(home=home), lang.percent(1 - now), lang.percent(1 - before),
                          _("before")))  # fmt: skip
    new = found.parts.get("customer")
    if new is not None and "new" in new.index:
        share = [float(new.loc["new", name] / new[name].sum()) for name in ("now", "before")]
        text = ngettext("nothing won in the {n} month before", "nothing won in the {n} months before",
                        found.known_months)  # fmt: skip
        note = text.format(n=lang.count(found.known_months))
        shown.append(Tile(_("From new customers"), lang.percent(share[0]), lang.percent(share[1]), _("before"), note))
    for name, one in ((_("Largest customer"), found.held["customer"][0]), (_("Largest open deal"), found.open_deals)):
        if one is not None:
            note = _("as concentrated as {n} equal ones").format(n=lang.decimal(one.effective, 0))
            shown.append(Tile(name, lang.percent(one.tops[0], 1), note=note))
    return shown


def note(found: Growth) -> str:
    return _("Bookings of {now} against {before}, by the day deals were won; groups as they are known now.").format(
        now=lang.period(found.spans.now), before=lang.period(found.spans.before)
    )


def change_rows(found: Growth, split: str = "region") -> list[tuple[str, float]]:
    """What each group brought to the change, the largest first; whole units."""
    table = found.parts.get(split)
    if table is None:
        return []
    change = (table["now"] - table["before"]).sort_values(ascending=False, kind="stable") / found.minor_units
    return [(group_name(split, group), float(value)) for group, value in change.items()]


def change_alt(found: Growth) -> str:
    parts = "; ".join(f"{name} {signed(value * found.minor_units, found)}" for name, value in change_rows(found))
    return _("What each region brought to the change of bookings: {parts}.").format(parts=parts or lang.NONE)


def share_lines(found: Growth) -> dict[str, list[float]]:
    """Each region's share of the deals created, over quarters of months; the latest last."""
    if found.monthly.empty:
        return {}
    whole = found.monthly.iloc[len(found.monthly) % 3 :]
    quarters = whole.groupby([k // 3 for k in range(len(whole))]).sum()
    return {name: (quarters[name] / quarters.sum(axis=1)).tolist() for name in quarters}


def share_alt(found: Growth) -> str:
    parts = "; ".join(f"{name} {lang.percent(values[0])} → {lang.percent(values[-1])}"
                      for name, values in share_lines(found).items())  # fmt: skip
    return _("Shares of deals created, by quarters of a year: {parts}.").format(parts=parts or lang.NONE)


def caption() -> str:
    return _("Left: contributions sum to the change. Right: shares of deals created, each point three months.")
