"""Cohorts in sentences: finished numbers in, finished text out, in every language."""

import datetime as dt

import numpy as np

from salesops import crm, lang, periods
from salesops.cohort import compare, retention
from salesops.cohort.compute import EARLIER, Found
from salesops.findings import Finding, Tile
from salesops.lang import _, ngettext
from salesops.stats import Estimate

ALPHA = 0.05
SHOWN = 24  # months of movements


def title() -> str:
    return _("Cohorts of customers")


def facts(found: Found) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    split = [] if found.split_by == "none" else [_("by {what}").format(what=split_name(found).lower())]
    return [{"month": _("cohorts of a month"), "quarter": _("cohorts of a quarter"),
             "year": _("cohorts of a year")}[found.step], *split]  # fmt: skip


def split_name(found: Found) -> str:
    return _("Plan") if found.split_by == "plan" else lang.dimension(found.split_by)


def money(minor: float, found: Found, *, compact: bool = True) -> str:
    return lang.money(minor / found.minor_units, found.currency, compact=compact)


def money_of(one: Estimate, found: Found) -> str:
    """An amount with its limits."""
    return _("{value} ({low} to {high})").format(
        value=signed(one.value, found), low=signed(one.low, found), high=signed(one.high, found)
    )


def signed(minor: float, found: Found) -> str:
    sign = "\N{MINUS SIGN}" if minor < 0 else "+"
    return sign + money(abs(minor), found)


def cohort_name(day: dt.date, step: str) -> str:
    if step == "year":
        return str(day.year)
    return f"{day.year}-Q{(day.month - 1) // 3 + 1}" if step == "quarter" else f"{day:%Y-%m}"


def group_name(group: str) -> str:
    return _("(not known)") if group == crm.NOT_KNOWN else group


def unit_name(one: compare.Differs, found: Found) -> str:
    return cohort_name(one.name, found.step) if one.kind == "cohort" else group_name(one.name)


def measure_name(measure: str) -> str:
    return {"stayed": _("stayed"), "more": _("pay more than at the start"), "less": _("pay less than at the start"),
            "churn": _("left"), "expansion": _("pay more than a month ago"),
            "contraction": _("pay less than a month ago")}[measure]  # fmt: skip


def method_name(method: str) -> str:
    return {"contracts": _("shifted beta-geometric"), "ladder": _("chain ladder"),
            "constant": _("one rate for all ages")}[method]  # fmt: skip


def movement_name(name: str) -> str:
    return {"new": _("new"), "expansion": _("expansion"), "contraction": _("contraction"), "churn": _("churn"),
            "reactivation": _("reactivation")}[name]  # fmt: skip


def findings(found: Found) -> list[Finding]:
    """What the reader should know first."""
    return [*_differences(found), *_renewal(found), *_event(found), *_to_come(found), *_base(found)]


def _differences(found: Found) -> list[Finding]:
    said = []
    for one in found.differs:
        words = {
            "name": unit_name(one, found), "age": lang.count(one.age), "n": lang.count(one.n),
            "what": measure_name(one.measure), "share": lang.percent(one.share.value),
            "others": lang.percent(one.others.value), "net": lang.percent(one.net.value),
            "net_others": lang.percent(one.net_others.value), "money": money_of(one.money, found),
            "p": lang.p_value(one.p_adjusted), "limits": lang.between(one.share.low, one.share.high),
        }  # fmt: skip
        good = (one.change.value > 0) == (one.measure != "less")
        text = _("{name} stands out at {age} months: {share} {what}, of the others {others}")
        if one.kind == "cohort":
            text = _("Customers who began in {name} stand out at {age} months: {share} {what}, of the others {others}")
        detail = _(
            "{n} customers; interval {limits}, p {p} after correction. Of the revenue that they began with {net} is "
            "there, of the others' {net_others}; the difference is {money} a month."
        )
        name = words["name"]
        year = abs(one.money.value) * 12 / found.minor_units  # what recurs is at stake for a year
        said.append(Finding("good" if good else "bad", text.format(**words), detail.format(**words),
                            key=f"{one.kind}/{name}/{one.measure}", cause=f"{one.kind}/{name}", money=year,
                            p=float(one.p_adjusted), family="cohorts"))  # fmt: skip
    if not said and found.n_compared:
        text = ngettext("No cohort stands out at equal age, of {n} comparison",
                        "No cohort stands out at equal age, of {n} comparisons", found.n_compared)  # fmt: skip
        said.append(Finding("plain", text.format(n=lang.count(found.n_compared)), _(
            "One correction for all of them; what seems to differ in the triangles is what chance makes.",
        ), family="cohorts"))  # fmt: skip
    elif not found.n_compared:
        said.append(Finding("plain", _("Too few customers to compare cohorts at equal age"), _(
            "Cohorts of {n} customers or more are compared.").format(n=lang.count(found.min_customers))))  # fmt: skip
    return said


def _renewal(found: Found) -> list[Finding]:
    made, before = found.renewed, found.renewed_before
    if made is None or made.net is None:
        return [Finding("plain", _("Too few customers of a year ago for NRR and GRR"))]
    words = {"net": lang.percent(made.net.value), "gross": lang.percent(made.gross.value), "n": lang.count(made.n),
             "net_limits": lang.between(made.net.low, made.net.high), "then": money(made.then, found),
             "gross_limits": lang.between(made.gross.low, made.gross.high), "now": money(made.now, found)}  # fmt: skip
    text = {
        "all": _("Of the revenue of a year ago {net} is there (NRR), {gross} without what grew (GRR)"),
        "renewing": _("Of the revenue of customers whose contracts came up for renewal {net} is there (NRR), {gross} "
                      "without what grew (GRR)"),
    }[found.asked["base"]]  # fmt: skip
    detail = _("{n} customers paid {then} a month, now {now}; intervals {net_limits} and {gross_limits}.").format(
        **words
    )
    worse = False
    if before is not None and before.net is not None:
        change = compare.stats.difference(made.net, before.net)
        sure = change.low > 0 or change.high < 0
        worse = change.high < 0
        points = {name: lang.points(getattr(change, of), signed=True)
                  for name, of in (("change", "value"), ("low", "low"), ("high", "high"))}  # fmt: skip
        words = {"then": lang.percent(before.net.value)} | points
        more = _("NRR a year before: {then}; the change of {change} points ({low} to {high}) is more than chance.")
        less = _("NRR a year before: {then}; the change of {change} points ({low} to {high}) is no more than chance.")
        detail += " " + (more if sure else less).format(**words)
    tone = "good" if made.net.low > 1 else "bad" if made.net.high < 1 else "plain"
    headline = text.format(net=lang.percent(made.net.value), gross=lang.percent(made.gross.value))
    key = "nrr" if tone == "bad" and worse else ""  # what stands as it stood is no news
    return [Finding(tone, headline, detail, key=key, money=(made.then - made.now) * 12 / found.minor_units)]


def _event(found: Found) -> list[Finding]:
    if found.no_event:
        return [Finding("warn", {
            "unknown": _("The event's cohort is not in the record"),
            "early": _("The event is outside of the record, or too near its beginning"),
            "thin": _("Too few customers were there at the event"),
        }[found.no_event])]  # fmt: skip
    said = []
    for one in found.event:
        if one.p_adjusted >= ALPHA or one.after.ratio is None:
            continue
        words = {"what": measure_name(one.measure), "ratio": lang.decimal(one.after.ratio.value),
                 "low": lang.decimal(one.after.ratio.low), "high": lang.decimal(one.after.ratio.high),
                 "n": lang.count(one.n), "p": lang.p_value(one.p_adjusted),
                 "before": lang.decimal(one.before.ratio.value) if one.before.ratio else lang.NONE}  # fmt: skip
        cause = f"cohort/{found.event_for}" if found.event_for else "event"
        text = _("After the event, {ratio} times as many as expected {what}")
        detail = _("Of {n} customers; interval {low} to {high}, before the event {before} times; p {p}.")
        if one.p_trend is not None and one.p_trend < ALPHA:
            detail += " " + _("It had begun to change before the event, which therefore does not explain all of it.")
        said.append(Finding("warn", text.format(**words), detail.format(**words), key=f"event/{one.measure}",
                            cause=cause, p=float(one.p_adjusted), family="event"))  # fmt: skip
    if found.event and not said:
        said.append(Finding("plain", _("Nothing changed with the event by more than chance"), _(
            "Leaving, growing and shrinking before and after it, at equal age."), family="event"))  # fmt: skip
    return said


def _to_come(found: Found) -> list[Finding]:
    made = found.projection
    if made is None:
        return [Finding("plain", _("The record is too short to project"))]
    last = made.draws["revenue"][:, -1] / max(made.draws["revenue"][0, 0], 1)
    low, middle, high = (lang.percent(float(one)) for one in np.quantile(last, (0.1, 0.5, 0.9)))
    text = ngettext("Of today's revenue {share} will be there in {n} month, without new customers",
                    "Of today's revenue {share} will be there in {n} months, without new customers",
                    found.horizon_months)  # fmt: skip
    error = made.errors[(made.errors["value"] == "revenue") & (made.errors["method"] == made.chosen["revenue"])]
    detail = _("With 80% probability {low} to {high}; {method}").format(
        low=low, high=high, method=method_name(made.chosen["revenue"])
    )
    if len(error):
        detail += _(", which missed what came by {error} on months that were held out").format(
            error=lang.percent(float(error["error"].iloc[0]), 1))  # fmt: skip
    return [Finding("plain", text.format(share=middle, n=lang.count(found.horizon_months)), detail + ".")]


def _base(found: Found) -> list[Finding]:
    share = found.largest.get("10")
    if share is None:
        return []
    n = int(found.mix["n"].sum())
    text = _("The ten largest of {n} customers bring {share} of recurring revenue")
    old = found.mix[found.mix["year"] < found.span.last_on.year - 1]
    detail = _("Customers who began before {year} bring {share}.").format(
        year=found.span.last_on.year - 1, share=lang.percent(float(old["revenue"].sum() / found.mix["revenue"].sum()))
    )
    return [
        Finding(
            "warn" if share > 0.5 else "plain",
            text.format(n=lang.count(n), share=lang.percent(share)),
            detail,
            key="largest" if share > 0.5 else "",
            cause="concentration/customers",
        )  # fmt: skip
    ]


def tiles(found: Found) -> list[Tile]:
    """The headline numbers."""
    made, last = found.renewed, found.months.iloc[-1]
    few = _("too few customers of a year ago")
    value = found.projection.value if found.projection else None
    shown = [
        Tile(_("Recurring revenue a month"), money(last["closing"], found),
             note=ngettext("{n} customer", "{n} customers", int(found.mix["n"].sum())).format(
                 n=lang.count(found.mix["n"].sum()))),
    ]  # fmt: skip
    for name, one in ((_("NRR"), made and made.net), (_("GRR"), made and made.gross)):
        note = _("12 months; interval {limits}").format(limits=lang.interval(one)) if one else few
        shown.append(Tile(name, lang.rate(one), note=note))
    churn = float(-last["churn"] / last["opening"]) if last["opening"] else None
    shown.append(Tile(_("Churned revenue, last month"), lang.percent(churn, 1),
                      note=ngettext("{n} customer left", "{n} customers left", int(last["n_churn"])).format(
                          n=lang.count(last["n_churn"]))))  # fmt: skip
    note = _("not known")
    if value is not None:
        low, high = (money(float(one), found) for one in np.quantile(value, (0.1, 0.9)))
        note = _("{n} months, discounted; P10 {low}, P90 {high}").format(
            n=lang.count(found.horizon_months), low=low, high=high
        )
    shown.append(Tile(_("Value of a new customer"), money(float(np.median(value)), found) if value is not None
                      else lang.NONE, note=note))  # fmt: skip
    return shown


def note(found: Found) -> str:
    """What the page rests on."""
    text = _("Months up to {day}.").format(day=lang.day(found.cube.last_on))
    if found.cube.partial:
        text += " " + _("The month that has begun since is left out: it is no fall.")
    if found.cube.n_below:
        said = ngettext("{n} month of an account is below nothing ({sum}): a month without revenue, in no figure.",
                        "{n} months of accounts are below nothing ({sum}): months without revenue, in no figure.",
                        found.cube.n_below)  # fmt: skip
        text += " " + said.format(n=lang.count(found.cube.n_below), sum=signed(found.cube.below, found))
    if found.cube.stock:
        said = ngettext("{n} customer of the first month had begun before it, at an age not known: in the movements, "
                        "in "
                        "no cohort.", "{n} customers of the first month had begun before it, at ages not known: in the "
                        "movements, in no cohort.", found.cube.n_stock)  # fmt: skip
        text += " " + said.format(n=lang.count(found.cube.n_stock))
    return text


def triangle_rows(found: Found, column: str) -> tuple[list[str], list[list[float | None]]]:
    """Names of the last cohorts, and their shares of the start (customers, revenue) at `shown_ages`."""
    cells = found.triangle.cells
    base = "n" if column == "active" else "start"
    names, shares = [], []
    for day in found.shown_cohorts:
        own = cells[cells["cohort"] == day].set_index("age")
        row = [float(own.at[age, column] / own.at[age, base]) if age in own.index and own.at[age, "n"] >=
               found.min_customers else None for age in found.shown_ages]  # fmt: skip
        if any(one is not None for one in row):
            names.append(cohort_name(day, found.step))
            shares.append(row)
    return names, shares


def triangle_alt(found: Found, column: str) -> str:
    names, shares = triangle_rows(found, column)
    what = _("customers who are still there") if column == "active" else _("revenue over that of the start")
    parts = []
    for name, row in zip(names, shares, strict=True):
        known = [(age, one) for age, one in zip(found.shown_ages, row, strict=True) if one is not None]
        parts.append(f"{name}: {lang.percent(known[-1][1])} ({known[-1][0]})")
    return _("By cohort, {what}, at the last age watched: {parts}.").format(what=what, parts="; ".join(parts))


def movement_bars(found: Found) -> tuple[list[str], list[tuple[str, list[float]]]]:
    rows = found.months.tail(SHOWN)
    order = ("new", "expansion", "reactivation", "contraction", "churn")
    parts = [(movement_name(name), (rows[name] / found.minor_units).tolist()) for name in order]
    return [f"{day:%Y-%m}" for day in rows["month_on"]], parts


def movement_alt(found: Found) -> str:
    rows = found.months.tail(SHOWN)
    parts = [f"{movement_name(name)} {signed(float(rows[name].sum()), found)}" for name in retention.MOVEMENTS]
    return _("What moved recurring revenue in {n} months: {parts}.").format(
        n=lang.count(len(rows)), parts="; ".join(parts)
    )


def ahead_lines(found: Found) -> tuple[list[float], list[float], list[float], list[float]]:
    made = found.projection
    if made is None:
        return [], [], [], []
    past = (found.months["closing"].tail(SHOWN) / found.minor_units).tolist()
    low, middle, high = np.quantile(made.draws["revenue"] / found.minor_units, (0.1, 0.5, 0.9), axis=0)
    return past, low.tolist(), middle.tolist(), high.tolist()


def ahead_alt(found: Found) -> str:
    _past, low, middle, high = ahead_lines(found)
    if not middle:
        return _("What is to come is not known.")
    words = {"n": lang.count(found.horizon_months), "low": money(low[-1] * found.minor_units, found),
             "middle": money(middle[-1] * found.minor_units, found), "high": money(high[-1] * found.minor_units,
             found)}  # fmt: skip
    return _("Revenue of today's customers in {n} months: P10 {low}, P50 {middle}, P90 {high} a month.").format(**words)


def picture_names() -> tuple[str, str]:
    return _("Customers who are still there"), _("Revenue over that of the start")


def caption() -> str:
    return _("A cell is shown only where the whole cohort was watched so long. Darker is more.")


def ahead_caption() -> str:
    return _("Right: without customers to come; the band is P10 to P90.")


def around_lines(found: Found, measure: str) -> tuple[list[str], list[float], list[float], int]:
    one = next((one for one in found.event if one.measure == measure), None)
    if one is None:
        return [], [], [], 0
    names = [f"{retention.first_day(int(month)):%Y-%m}" for month in one.months["month"]]
    at = int((one.months["month"] < found.event_month).sum())
    return names, one.months["observed"].tolist(), one.months["expected"].tolist(), at


def around_alt(found: Found, measure: str) -> str:
    names, observed, expected, _at = around_lines(found, measure)
    parts = [f"{name}: {lang.count(one)}, {lang.decimal(other)}" for name, one, other in
             zip(names, observed, expected, strict=True)]  # fmt: skip
    return _("{what}, and to be expected: {parts}.").format(
        what=measure_name(measure), parts="; ".join(parts) or lang.NONE
    )


def around_title(measure: str) -> str:
    return {"churn": _("Customers who left, around the event"),
            "expansion": _("Customers who grew, around the event")}[measure]  # fmt: skip


def event_caption(found: Found) -> str:
    if not found.event:
        return _("No event is given.") if not found.no_event else _("Nothing is known around the event.")
    return _("The event is in {month}. To be expected: at equal age, as others do, or as all did before it.").format(
        month=lang.month(periods.parse(found.event_name).first_on)
    )


def year_name(year: int) -> str:
    return _("earlier") if year == EARLIER else str(year)
