"""The scorecard in sentences: finished numbers in, finished text out, in every language."""

import datetime as dt
from functools import partial

import numpy as np
import pandas as pd

from salesops import crm, lang, periods
from salesops.findings import Finding, Tile, Tone
from salesops.lang import _, ngettext
from salesops.scorecard.compute import Scorecard, value_of
from salesops.scorecard.registry import Metric
from salesops.stats import RECENT, Estimate

LEVEL_NAMES = ("region", "team")
# What a change of these does to a month's bookings, in proportion.
DRIVES = ("bookings", "win_rate", "deal_size_won", "stage_conversion", "velocity", "pipeline_yield")
MOST_SIGNALS = 4
SHOWN = 24  # points of a sparkline
SPREAD = 0.01  # p from which on reps are said to differ


def title() -> str:
    return _("Scorecard")


def facts(found: Scorecard) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    if found.partial is None:
        return []
    known, whole = (lang.count(n) for n in found.partial)
    return [_("{known} of {whole} days of the last month are known").format(known=known, whole=whole)]


def amount(value: float, metric: Metric, found: Scorecard, *, compact: bool = True) -> str:
    """A figure in its metric's unit."""
    if not lang.known(value):
        return lang.NONE
    match metric.unit:
        case "share":
            return ("\N{MINUS SIGN}" if value < 0 else "") + lang.percent(abs(value), metric.digits)
        case "money":
            sign = "\N{MINUS SIGN}" if value < 0 else ""
            return sign + lang.money(abs(value), found.currency, compact=compact)
        case "days":
            return _("{n} days").format(n=lang.days(value))
        case "hours":
            return _("{n} hours").format(n=lang.days(value))
    return lang.decimal(value, metric.digits)


def with_limits(one: Estimate | None, metric: Metric, found: Scorecard) -> str:
    """A figure with its 95 % limits where it has any; absent with a dash."""
    if one is None:
        return lang.NONE
    text = amount(one.value, metric, found)
    if not np.isfinite(one.low):
        return text
    low, high = (amount(limit, metric, found) for limit in (one.low, one.high))
    return f"{text} ({low} – {high})" if metric.unit != "share" else f"{text} ({lang.between(one.low, one.high)})"


def month(number: int) -> str:
    return lang.month(dt.date(number // 12, number % 12 + 1, 1))


def when(period: object) -> str:
    """A month's number or a quota's period as people say it."""
    return month(int(period)) if not isinstance(period, str) else lang.period(periods.parse(period))


def group_name(group: str) -> str:
    return {crm.ALL: _("the company"), crm.NOT_KNOWN: _("not known")}.get(group, group)


def tone_of(metric: Metric, up: bool) -> Tone:
    if metric.better == "neither":
        return "warn"
    return "good" if (metric.better == "up") == up else "bad"


def findings(found: Scorecard) -> list[Finding]:
    """What the reader should know first: the plan, then what is more than noise."""
    said = [*_plan(found), *_targets(found), *_signals(found), *_sales(found), *_spread(found)]
    return said or [Finding("plain", _("The source tells too little for any metric"), "")]


def plan_tone(share: float, near: float) -> Tone:
    return "good" if share >= 1 else "warn" if share >= 1 - near else "bad"


def _plan(found: Scorecard) -> list[Finding]:
    plan = found.plan
    if plan is None or not plan.quota:
        return []
    share = plan.booked / plan.quota
    money = lambda minor: lang.money(minor / found.minor_units, found.currency, compact=True)  # noqa: E731
    names = span(plan.periods)
    head = _("{period} came to {share} of quota: {booked} of {quota}").format(
        period=names, share=lang.percent(share), booked=money(plan.booked), quota=money(plan.quota)
    )
    head = head[0].upper() + head[1:]
    n, n_at = int(plan.parts["n"].sum()), int(plan.parts["n_at"].sum())
    detail = ngettext(
        "{at} of {n} rep booked the quota or more.", "{at} of {n} reps booked their quota or more.", n
    ).format(at=lang.count(n_at), n=lang.count(n))
    if plan.n_idle:
        text = ngettext("{n} of them booked nothing at all, with {quota} of quota: if that is a manager's, it counts "
                        "twice.",
                        "{n} of them booked nothing at all, with {quota} of quota: if those are managers', they "
                        "count twice.",
                        plan.n_idle)  # fmt: skip
        detail += " " + text.format(n=lang.count(plan.n_idle), quota=money(plan.idle_quota))
    worst = plan.parts.iloc[0]
    if len(plan.parts) > 1 and worst["booked"] < worst["quota"]:
        text = _("{group} is the furthest short: {gap}, at {share} of its quota.")
        detail += " " + text.format(group=group_name(worst["group"]), gap=money(worst["quota"] - worst["booked"]),
                                    share=lang.percent(worst["booked"] / worst["quota"]))  # fmt: skip
    if plan.running:
        name, quota, booked, over = plan.running
        text = _("{period} so far: {booked} of {quota}, with {over} of its days over.")
        span_ = when(name)
        detail += " " + text.format(
            period=span_[0].upper() + span_[1:], booked=money(booked), quota=money(quota), over=lang.percent(over)
        )
    if plan.unsold:
        text = _(
            "The quotas of {periods} ({quota}) are left out, for what was sold then is not known in full; with them it "
            "would look like {share}."
        )
        with_them = plan.booked / (plan.quota + plan.unsold_quota)
        detail += " " + text.format(
            periods=span(plan.unsold), quota=money(plan.unsold_quota), share=lang.percent(with_them)
        )
    gap = abs(plan.booked - plan.quota) / found.minor_units
    return [Finding(plan_tone(share, found.near), head, detail, key="plan", money=gap, status=True)]


def span(names: list[str]) -> str:
    """Periods that follow on each other as one."""
    first, last = periods.parse(names[0]).first_on, periods.parse(names[-1]).last_on
    return lang.period(periods.parse(f"{first:%Y-%m}..{last:%Y-%m}"))


def _targets(found: Scorecard) -> list[Finding]:
    """Metrics that miss the target that someone set, by more than their own scatter explains."""
    said = []
    for key, metric in found.metrics.items():
        one = value_of(found, key)
        if metric.target is None or one is None or status(found, key) != "bad":
            continue
        text = _("{metric}: {value}, the target is {target}")
        head = text.format(metric=metric.called, value=amount(one.value, metric, found),
                           target=amount(metric.target.value, metric, found))  # fmt: skip
        said.append(
            Finding("bad", head, _("Set by {source}.").format(source=metric.target.source), key=f"target/{key}")
        )
    return said


def status(found: Scorecard, key: str) -> Tone:
    """good: the target is reached; warn: missed by little, or by no more than the series' usual scatter; bad: missed.
    plain: there is no target."""
    metric, one = found.metrics[key], value_of(found, key)
    if metric.target is None or one is None or metric.better == "neither":
        return "plain"
    aim, up = metric.target.value, metric.better == "up"
    if (one.value >= aim) if up else (one.value <= aim):
        return "good"
    if np.isfinite(one.low) and one.low <= aim <= one.high:
        return "warn"
    if aim and abs(one.value / aim - 1) < found.near:
        return "warn"
    known = found.behaviour.get((key, "company", crm.ALL))
    if known is not None and known[0].low[-1] <= aim <= known[0].high[-1]:
        return "warn"
    return "bad"


def _signals(found: Scorecard) -> list[Finding]:
    """One finding for each metric with a signal: its clearest, and where else it shows."""
    table, n = found.signals, len(found.signals)
    n_series = len(table[["metric", "level", "group"]].drop_duplicates())
    said = []
    for (key, up), rows in (
        table[table["said"]].assign(up=table["value"] > table["usual"]).groupby(["metric", "up"], sort=False)
    ):
        first, metric = rows.iloc[0], found.metrics[key]
        who = first["group"]
        when_ = _last_of(found, metric)
        text = {
            ("point", crm.ALL): _("{metric} was {value} in {when}, {expected}"),
            ("point", None): _("{metric} in {group} was {value} in {when}, {expected}"),
            ("recent", crm.ALL): _("{metric} has been {value} in the {n} periods up to {when}, {expected}"),
            ("recent", None): _("{metric} in {group} has been {value} in the {n} periods up to {when}, {expected}"),
        }[first["kind"], crm.ALL if who == crm.ALL else None]
        expected = _("by its trend {usual}") if metric.growing else _("usually {usual}")
        expected = expected.format(usual=amount(first["usual"], metric, found))
        head = text.format(expected=expected, metric=metric.called, value=amount(first["value"], metric, found),
                           when=when_, group=who, n=lang.count(RECENT))  # fmt: skip
        detail = _("p {p}, corrected for {n} comparisons {corrected}.").format(
            p=lang.p_value(first["p"]), n=lang.count(n), corrected=lang.p_value(first["p_adjusted"])
        )
        others = [group_name(group) for group in dict.fromkeys(rows["group"]) if group != who]
        if others:
            detail += " " + _("Also in: {groups}.").format(groups=", ".join(others))
        where = f"region={who}" if who != crm.ALL else "all"
        said.append(Finding(tone_of(metric, up), head, detail, key=f"signal/{key}/{'up' if up else 'down'}/{where}",
                            cause=f"{key}/{where}", money=_stake(found, key, first), p=float(first["p_adjusted"]),
                            family="signals"))  # fmt: skip
    if said or not n:
        return said[:MOST_SIGNALS]
    text = ngettext("No series moved beyond its usual scatter, of {n} watched",
                    "No series moved beyond its usual scatter, of {n} watched", n_series)  # fmt: skip
    detail = _("After correction for all of them; each series' own scatter could explain every move, which does not "
               "mean that there is none.")  # fmt: skip
    return [
        Finding("plain", text.format(n=lang.count(n)), detail, p=float(table["p_adjusted"].min()), family="signals")
    ]


def _last_of(found: Scorecard, metric: Metric) -> str:
    if metric.of.by == "month":
        return month(found.months.whole)
    rows = found.values[found.values["metric"].map(lambda key: found.metrics[key].of.by == "quota")]
    return when(rows["period"].max())


def _stake(found: Scorecard, key: str, row) -> float | None:
    """What the move is worth in a month: its share of the group's bookings; None where that is not told."""
    if key not in DRIVES or "bookings" not in found.metrics or not row["usual"]:
        return None
    bookings = found.values[(found.values["metric"] == "bookings") & (found.values["level"] == row["level"])
                            & (found.values["group"] == row["group"])]  # fmt: skip
    known = bookings.loc[bookings["period"] <= found.months.whole, "value"].tail(RECENT)
    return float(abs(row["value"] / row["usual"] - 1) * known.mean()) if len(known) else None


def _sales(found: Scorecard) -> list[Finding]:
    sales = found.sales
    if sales is None:
        return []
    change = (sales.amount_now - sales.amount_before) / found.minor_units
    text = _("Bookings of {now} are {change} against {before}: {effect} most of all")
    effect = max(sales.parts, key=lambda name: abs(sales.parts[name]))
    parts = ", ".join(f"{effect_name(name)} {signed(minor / found.minor_units, found)}"
                      for name, minor in sales.parts.items())  # fmt: skip
    head = text.format(now=lang.period(sales.now), before=lang.period(sales.before), change=signed(change, found),
                       effect=effect_name(effect))  # fmt: skip
    return [Finding("plain", head, _("{parts}; they sum to the change.").format(parts=parts[0].upper() + parts[1:]))]


def effect_name(effect: str) -> str:
    return {
        "volume": _("number sold"),
        "mix": _("mix of products"),
        "size": _("size at list prices"),
        "discount": _("discount"),
    }[effect]


def signed_exact(minor: int, found: Scorecard) -> str:
    """An amount to the whole unit with its sign."""
    sign = "+" if minor > 0 else "\N{MINUS SIGN}" if minor < 0 else ""
    return sign + lang.money(abs(minor) / found.minor_units, found.currency)


def signed_share(share: float) -> str:
    sign = "+" if share >= 0.0005 else "\N{MINUS SIGN}" if share <= -0.0005 else ""
    return sign + lang.percent(abs(share), 1)


def signed(value: float, found: Scorecard) -> str:
    text = lang.money(abs(value), found.currency, compact=True)
    return ("+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "") + text


def _spread(found: Scorecard) -> list[Finding]:
    if found.spread_p is None:
        return []
    n, p = lang.count(len(found.reps)), lang.p_value(found.spread_p)
    if found.spread_p >= SPREAD:
        head = _("The win rates of {n} reps cannot be told apart").format(n=n)
        detail = _("All winning alike, they would differ as much with p {p}; it has to be below {level}. Deals of one "
                   "pipeline, type and segment are compared with each other. Do not rank them.")  # fmt: skip
        detail = detail.format(p=p, level=lang.decimal(SPREAD, 2))
        return [Finding("plain", head, detail, p=found.spread_p, family="reps")]
    head = _("The win rates of {n} reps differ beyond chance").format(n=n)
    detail = _("p {p}, deals of one pipeline, type and segment compared with each other.").format(p=p)
    return [Finding("warn", head, detail, key="reps/win_rate", p=found.spread_p, family="reps")]


def tiles(found: Scorecard) -> list[Tile]:
    """The headline numbers: those that the registry marks."""
    return [_tile(found, key) for key, metric in found.metrics.items() if metric.tile and value_of(found, key)]


def _tile(found: Scorecard, key: str) -> Tile:
    metric, now = found.metrics[key], value_of(found, key)
    change, against = compared(found, key)
    rows = found.values[(found.values["metric"] == key) & (found.values["level"] == "company")]
    if metric.of.by == "month":
        rows = rows[rows["period"] <= found.months.whole]
    note = when(rows["period"].iloc[-1])
    if np.isfinite(now.low):
        note += f" · {lang.between(now.low, now.high)}"
    tone = status(found, key)
    if tone == "plain":
        tone = _moved(found, key)
    if metric.target is not None:
        note += " · " + _("target {value}").format(value=amount(metric.target.value, metric, found))
    note += _verdict(found, key, rows["value"].dropna())
    told = rows[rows["value"].notna()].tail(SHOWN)
    return Tile(metric.called, amount(now.value, metric, found), f"{change} {against}".strip(), "", note, tone,
                [round(float(one), 9) for one in told["value"]], [short(one) for one in told["period"]],
                [amount(one, metric, found) for one in told["value"]], key)  # fmt: skip


def _verdict(found: Scorecard, key: str, values: pd.Series) -> str:
    """Whether the latest value is within the series' own scatter, and whether there was none like it."""
    known = found.behaviour.get((key, "company", crm.ALL))
    if known is None or len(values) < 2:
        return ""
    now, low, high = float(values.iloc[-1]), float(known[0].low[-1]), float(known[0].high[-1])
    said = _("within its usual range") if low <= now <= high else _("beyond its usual range")
    earlier = values.iloc[:-1]
    if now < earlier.min():
        said = _("the lowest of {n}, {said}").format(n=lang.count(len(values)), said=said)
    elif now > earlier.max():
        said = _("the highest of {n}, {said}").format(n=lang.count(len(values)), said=said)
    return f" · {said}"


def _moved(found: Scorecard, key: str) -> Tone:
    """How a metric without a target moved: by its clearest signal; plain where there is none."""
    rows = found.signals[(found.signals["metric"] == key) & found.signals["said"]]
    rows = rows[rows["group"] == crm.ALL]
    if rows.empty:
        return "plain"
    return tone_of(found.metrics[key], rows.iloc[0]["value"] > rows.iloc[0]["usual"])


BACK = {"month_before": 1, "period_before": 1, "year_ago": 12}


def compared(found: Scorecard, key: str, level: str = "company", group: str = crm.ALL) -> tuple[str, str]:
    """The change of a metric and what it is against; blank where that is not known."""
    metric = found.metrics[key]
    if metric.against == "none":
        return "", ""
    back = BACK[metric.against] if metric.of.by == "month" or metric.against != "year_ago" else 1
    now, then = (value_of(found, key, level, group, back=n) for n in (0, back))
    if now is None or then is None:
        return "", ""
    against = {
        "month_before": _("on a month before"),
        "period_before": _("on the period before"),
        "year_ago": _("on a year before"),
    }[metric.against]
    change = now.value - then.value
    if metric.unit == "share":
        digits = max(metric.digits, 0)
        text = lang.decimal(abs(change) * 100, digits)
        sign = "" if not float(f"{abs(change) * 100:.{digits}f}") else "+" if change > 0 else "\N{MINUS SIGN}"
        return _("{points} pt").format(points=sign + text), against
    if then.value > 0:
        share = lang.percent(abs(change) / then.value)
        sign = "" if round(abs(change) / then.value * 100) == 0 else "+" if change > 0 else "\N{MINUS SIGN}"
        return sign + share, against
    return "", ""


def note(found: Scorecard) -> str:
    """What the page rests on."""
    first, last = month(found.months.first), month(found.months.whole)
    text = _(
        "Series run from {first} to {last}. Their usual range is told by all months but those judged: the mean and "
        "2.66 mean moving ranges (process behaviour chart); a single share has the 95% limits of Wilson. Season is not "
        "taken off: it widens the range."
    ).format(first=first, last=last)
    if found.partial:
        text += " " + _("{month} is not over, and is compared with nothing.").format(month=month(found.months.last))
    return text


def all_series(found: Scorecard) -> list[dict]:
    """What is drawn of each metric that is a tile and has limits: names and values of its periods, limits, title, how
    its values are written, and the picture in words."""
    made = []
    for key, metric in found.metrics.items():
        known = found.behaviour.get((key, "company", crm.ALL))
        if not metric.tile or known is None:
            continue
        limits, periods_ = known
        rows = found.values[(found.values["metric"] == key) & (found.values["level"] == "company")]
        values = rows.set_index("period")["value"].loc[periods_].tolist()
        names = [short(one) for one in periods_]
        alt = _("{metric}, {first} to {last}: the last is {value}, its usual range {low} to {high}.").format(
            metric=metric.called, first=names[0], last=names[-1], value=amount(values[-1], metric, found),
            low=amount(float(limits.low[-1]), metric, found), high=amount(float(limits.high[-1]), metric, found),
        )  # fmt: skip
        says = partial(amount, metric=metric, found=found)
        made.append(
            {"names": names, "values": values, "limits": limits, "title": metric.called, "says": says, "alt": alt}
        )
    return made


def short(period: object) -> str:
    """A period as 2026-10 or 2026-Q3."""
    return period if isinstance(period, str) else f"{(period // 12):04}-{period % 12 + 1:02}"


def series_caption() -> str:
    return _("Band: the usual range; dashed: its middle; orange: a point outside it.")


def plan_picture(found: Scorecard) -> dict | None:
    """Groups, what they booked and their quotas in whole units, and the picture in words; None without quotas."""
    if found.plan is None:
        return None
    parts, scale = found.plan.parts.iloc[::-1], found.minor_units
    rows = [(group_name(row.group), row.booked / scale, row.quota / scale) for row in parts.itertuples()]
    money = partial(lang.money, currency=found.currency, compact=True)
    text = "; ".join(f"{name}: {money(booked)} / {money(quota)}" for name, booked, quota in rows)
    alt = _("Booked over quota: {parts}.").format(parts=text)
    return {"rows": rows, "currency": found.currency, "alt": alt}


def plan_caption(found: Scorecard) -> str:
    return (
        ""
        if found.plan is None
        else _("{periods}, by the owner of each deal won.").format(periods=span(found.plan.periods))
    )


def effect_picture(found: Scorecard) -> dict | None:
    """Bookings before, the steps to now in whole units, and the picture in words; None where nothing is compared."""
    sales, scale = found.sales, found.minor_units
    if sales is None:
        return None
    steps = [(effect_name(name), minor / scale) for name, minor in sales.parts.items()]
    one = _sales(found)[0]
    return {"before": sales.amount_before / scale, "steps": steps, "now": sales.amount_now / scale,
            "currency": found.currency, "alt": f"{one.headline}. {one.detail}"}  # fmt: skip


def effects_caption(found: Scorecard) -> str:
    if found.sales is None:
        return ""
    return _("{before} to {now}; the steps sum to the cent.").format(
        before=lang.period(found.sales.before), now=lang.period(found.sales.now)
    )
