"""Repeat buying in sentences: finished numbers in, finished text out, in every language."""

from salesops import lang
from salesops.buying import purchases, values
from salesops.buying.compute import Found
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext

NEVER = 0.999  # a chance of still being a customer that says that nobody seems to stop
STOCK = 1.5  # times the usual cohort's size, from which on the first one is no cohort like the others
MOST = 13  # cohorts and ages of the picture


def title() -> str:
    return _("Repeat buying")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [
        {"purchases": _("purchases as invoiced or ordered"), "deals": _("each won deal is a purchase")}[
            found.bought.kind
        ]
    ]


def money(minor: float, found: Found) -> str:
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    return sign + lang.money(abs(minor) / found.minor_units, found.currency, compact=True)


def period_name(number: int, step: str) -> str:
    first = purchases.span(number, step)[0]
    if step == "year":
        return str(first.year)
    return f"{first.year}-Q{(first.month - 1) // 3 + 1}" if step == "quarter" else f"{first:%Y-%m}"


def method_name(method: str) -> str:
    return {"model": _("BG/NBD"), "own_rate": _("each customer's own rate so far"),
            "before": _("as many as in as much time before")}[method]  # fmt: skip


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    said = []
    if found.again is not None:
        text = ngettext("{share} of customers buy a second time within {n} month",
                        "{share} of customers buy a second time within {n} months", found.again_months)  # fmt: skip
        detail = _("{n} customers were watched so long; interval {limits}.")
        said.append(Finding("plain", text.format(share=lang.percent(found.again.value),
        n=lang.count(found.again_months)),
                            detail.format(n=lang.count(found.again.n), limits=lang.interval(found.again))))  # fmt: skip
    else:
        said.append(Finding("plain", _("Too few customers were watched long enough to tell how many buy again")))
    if found.model is None:
        return [*said, Finding("plain", _("Too few customers have come back to tell who will"))]
    said += [_dormant(found), _to_come(found)]
    share = found.largest.get("10")
    if share is not None:
        text = _("The ten largest of {n} customers bring {share} of what was bought in twelve months")
        said.append(Finding("warn" if share > 0.5 else "plain", text.format(
            n=lang.count(found.n_recent), share=lang.percent(share)), _("The top tenth brings {share}.").format(
            share=lang.percent(found.largest["tenth"])) if "tenth" in found.largest else "",
            key="largest" if share > 0.5 else "", cause="concentration/customers"))  # fmt: skip
    return said


def _dormant(found: Found) -> Finding:
    n = len(found.dormant)
    rule = _("Silent for so long as less than {silence} of customers still buying are, or a chance of less than "
             "{alive} "
             "still to be one.").format(silence=lang.percent(found.silence_below),
                                        alive=lang.percent(found.dormant_below))  # fmt: skip
    if not n:
        detail = rule
        if found.customers["alive"].min() > NEVER:
            detail += " " + _("By what is known, no customer stops for good: they come back, if rarely.")
        return Finding("plain", _("No customer is silent for longer than chance makes them"), detail)
    text = ngettext("{n} dormant customer is worth a call: {money} if still a customer",
                    "{n} dormant customers are worth a call: {money} if they are still customers", n)  # fmt: skip
    worth = money(float(found.dormant["if_alive"].sum()), found)
    more = _("The command salesops files writes the list.")
    return Finding("warn", text.format(n=lang.count(n), money=worth), f"{rule} {more}", key="dormant",
                   money=float(found.dormant["if_alive"].sum()) / found.minor_units)  # fmt: skip


def _to_come(found: Found) -> Finding:
    low, middle, high = (money(one, found) for one in found.total)
    text = ngettext("Customers of today will bring {middle} in {n} month", "Customers of today will bring {middle} "
                                                                           "in {n} months",
                    found.horizon_months)  # fmt: skip
    detail = _("Discounted; with 80% probability {low} to {high}.").format(low=low, high=high)
    mean = float(found.customers["value"].sum())
    if mean > found.total[2]:
        detail += " " + _("The mean is {mean}: it hangs on a few customers, who may buy very much or nothing.").format(
            mean=money(mean, found))  # fmt: skip
    made = found.record
    if made is None:
        detail += " " + _("The record is too short to say how wrong that may be.")
        return Finding("warn", text.format(middle=middle, n=lang.count(found.horizon_months)), detail)
    row = made.errors.set_index("method").loc[made.chosen]
    more = ngettext("Told on {n} day of the past: {total} of what came, by {method}; an error of {error} by how "
                    "often they "
                    "had come back.", "Told on {n} days of the past: {total} of what came, by {method}; an error of "
                                      "{error} "
                    "by how often they had come back.", len(made.days))  # fmt: skip
    detail += " " + more.format(n=lang.count(len(made.days)), total=lang.percent(row["total"]),
                                method=method_name(made.chosen), error=lang.percent(row["error"]))  # fmt: skip
    return Finding("plain", text.format(middle=middle, n=lang.count(found.horizon_months)), detail)


def tiles(found: Found) -> list[Tile]:
    """The headline numbers."""
    n = int(found.bought.sizes.sum())
    recent = float(found.by_year["recent"].sum())
    shown = [
        Tile(_("Customers"), lang.count(n), note=_("bought at least once")),
        Tile(_("Bought in twelve months"), money(recent, found), note=_("returns taken off")),
        Tile(_("Buy a second time"), lang.rate(found.again), note=ngettext(
            "within {n} month; interval {limits}", "within {n} months; interval {limits}", found.again_months).format(
            n=lang.count(found.again_months), limits=lang.interval(found.again)) if found.again else _("too few")),
    ]  # fmt: skip
    note = _("too few have come back")
    if found.total is not None:
        note = _("P10 {low}, P90 {high}").format(low=money(found.total[0], found), high=money(found.total[2], found))
    shown.append(Tile(_("To come from today's"), money(found.total[1], found) if found.total else lang.NONE, note=note))
    shown.append(Tile(_("Dormant"), lang.count(len(found.dormant)) if found.model else lang.NONE,
                      note=_("silent for longer than chance makes them") if found.model else _("too few have come "
                                                                                               "back")))  # fmt: skip
    return shown


def note(found: Found) -> str:
    """What the page rests on, and what it leaves out."""
    made = found.bought
    text = _("Returns of {returned} are taken off in the month they came back.").format(
        returned=money(-made.returned, found)
    ) if made.returned else _("The source has no returns.")  # fmt: skip
    if made.n_never:
        more = ngettext("{n} customer returned and never bought here: in no cohort ({net}).",
                        "{n} customers returned and never bought here: in no cohort ({net}).",
                        made.n_never)  # fmt: skip
        text += " " + more.format(n=lang.count(made.n_never), net=money(made.net_never, found))
    later = made.sizes.iloc[1:]
    if len(later) and made.sizes.iloc[0] > STOCK * later.median():
        text += " " + _("Many of the first cohort had bought before the record begins; it is not like the others.")
    if made.n_days:
        more = _("{name} is known for {n} of {of} days: marked, and in no share.")
        text += " " + more.format(name=period_name(made.last + 1, found.step), n=lang.count(made.n_days),
                                  of=lang.count(made.of_days))  # fmt: skip
    return text


def ages(found: Found) -> list[int]:
    oldest = int(found.triangle["age"].max()) if len(found.triangle) else 0
    first = list(range(1, min(oldest, MOST) + 1))
    return first if oldest <= MOST else [*range(1, 7), *(age for age in (9, 12, 18, 24, 30, 36, 48) if age <= oldest)]


def unit(found: Found) -> str:
    return {"month": _("months after the first purchase"), "quarter": _("quarters after the first purchase"),
            "year": _("years after the first purchase")}[found.step]  # fmt: skip


def triangle_rows(found: Found) -> tuple[list[str], list[list[float | None]]]:
    """Names of the last cohorts, and which shares bought again at `ages`."""
    names, shares = [], []
    for started in sorted(found.triangle["started"].unique())[-MOST - 1 :]:
        own = found.triangle[found.triangle["started"] == started].set_index("age")
        row = [float(own.at[age, "active"] / own.at[age, "n"]) if age in own.index and own.at[age, "n"] >=
               found.min_customers else None for age in ages(found)]  # fmt: skip
        if any(one is not None for one in row):
            names.append(period_name(int(started), found.step))
            shares.append(row)
    return names, shares


def triangle_alt(found: Found) -> str:
    age = _("age {n}")
    parts = [f"{age.format(n=row.age)}: {lang.percent(row.active.value)}" for row in found.together.itertuples()]
    return _("Share of customers who bought again, all cohorts together: {parts}.").format(
        parts="; ".join(parts) or lang.NONE
    )


def class_names() -> list[str]:
    edges = [*values.CLASSES, None]
    return [str(low) if high == low + 1 else f"{low}–{high - 1}" if high else f"{low}+"
            for low, high in zip(edges[:-1], edges[1:], strict=True)]  # fmt: skip


def class_bars(found: Found) -> tuple[list[str], list[float], list[float]]:
    made = found.record
    if made is None:
        return [], [], []
    return class_names(), made.by_class["expected"].tolist(), made.by_class["came"].tolist()


def class_alt(found: Found) -> str:
    names, expected, came = class_bars(found)
    parts = [f"{name}: {lang.count(round(one))}, {lang.count(other)}" for name, one, other in
             zip(names, expected, came, strict=True)]  # fmt: skip
    return _("Purchases expected and what came, by times that customers had come back: {parts}.").format(
        parts="; ".join(parts) or lang.NONE
    )


def caption(found: Found) -> str:
    text = _("Left: a cell is shown only where the whole period was watched.")
    if found.record is not None:
        more = _("Right: told on {day} by the BG/NBD for {n} weeks.")
        text += " " + more.format(day=lang.day(found.record.days[0]), n=lang.count(found.record.weeks))
    return text
