"""The forecast's sentences: finished numbers in, finished text out, in every language."""

import numpy as np

from salesops import crm, lang
from salesops.findings import Finding, Tile
from salesops.forecast.compute import FEW_WON, Forecast
from salesops.forecast.needs import WANTED
from salesops.forecast.params import Params
from salesops.lang import _, ngettext
from salesops.stats import scores

FEW_RECORDS = 4  # past forecasts, below which a share of them says nothing
ENOUGH = 0.5  # chance of the target, below which it is bad news


def title() -> str:
    return _("Forecast")


def facts(found: Forecast, params: Params) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    return [part for part in (params.pipeline, lang.period(found.weeks.target)) if part]


def band(found: Forecast) -> tuple[float, float, float]:
    """P10, P50 and P90 of the quarter."""
    whole = found.quantiles.iloc[0]
    return tuple(float(whole[level]) for level in (0.1, 0.5, 0.9))


def findings(found: Forecast, currency: str) -> list[Finding]:
    """What the reader should know first."""
    return [
        _quarter(found, currency), *_target(found, currency), *_record(found), *_changed(found, currency),
        *_top(found, currency), *_callers(found),
    ]  # fmt: skip


def _money(value: float, currency: str) -> str:
    return lang.money(value, currency, compact=True)


def _quarter(found: Forecast, currency: str) -> Finding:
    low, middle, high = band(found)
    made = found.made
    words = {
        "quarter": lang.period(found.weeks.target), "middle": _money(middle, currency), "low": _money(low, currency),
        "high": _money(high, currency), "booked": _money(made.booked, currency),
        "open": _money(float(made.part.p @ made.part.amounts), currency), "n_open": lang.count(len(made.deals)),
        "to_come": _money(float(made.part.unborn[:, 0] @ made.part.unborn[:, 1]), currency),
        "n_to_come": lang.count(round(made.to_come.n)), "n": lang.count(found.n_won),
    }  # fmt: skip
    headline = _("{quarter} will bring {middle}; with 80% probability {low} to {high}").format(**words)
    detail = _(
        "Booked so far: {booked}. Of the {n_open} deals open now "
        "{open} is expected in time, of about {n_to_come} that are "
        "still to come in {to_come}."
    ).format(**words)
    if found.n_won < FEW_WON:
        text = ngettext(
            "Chances are learnt from {n} deal won, which is few: the band is wide for that.",
            "Chances are learnt from {n} deals won, which is few: the band is wide for that.",
            found.n_won,
        )
        detail += " " + text.format(**words)
    return Finding("plain", headline[0].upper() + headline[1:], detail)


def _target(found: Forecast, currency: str) -> list[Finding]:
    needs = found.needs
    if needs.target is None:
        return []
    words = {
        "quarter": lang.period(found.weeks.target), "chance": _chance(needs.chance, len(found.totals)),
        "target": _money(needs.target, currency), "wanted": lang.percent(WANTED),
    }  # fmt: skip
    if found.made.booked >= needs.target:
        over = found.made.booked - needs.target
        return [Finding("good", _("The target of {target} is reached").format(**words), key="target", money=over,
                        status=True)]  # fmt: skip
    headline = _("{quarter}: the chance to reach the target of {target} is {chance}").format(**words)
    headline = headline[0].upper() + headline[1:]
    tone = "good" if needs.chance >= WANTED else "bad" if needs.chance < ENOUGH else "warn"
    low, middle, high = band(found)
    about = {"key": "target", "money": abs(middle - needs.target), "status": True}
    expected = _("Most likely it brings {middle}, with 80% probability {low} to {high}.").format(
        middle=_money(middle, currency), low=_money(low, currency), high=_money(high, currency)
    )
    if needs.chance >= WANTED:
        return [Finding(tone, headline, expected, **about)]
    if needs.new_deals is None:
        text = _("New deals would hardly close in time any more.")
        return [Finding(tone, headline, f"{expected} {text}", **about)]
    words |= {"n": lang.count(needs.new_deals), "amount": _money(needs.new_amount, currency)}
    detail = _("For {wanted} it would take {n} new deals more in the coming week than usual, worth {amount}.").format(
        **words
    )
    if needs.room is not None and needs.room >= needs.new_deals:
        detail += " " + _("The reps have hours for all of them.")
    elif needs.room is not None:
        text = _("The reps have hours for {room} of them; with these it would be {reachable}.")
        detail += " " + text.format(room=lang.count(needs.room), reachable=_chance(needs.reachable, len(found.totals)))
    return [Finding(tone, headline, f"{expected} {detail}", **about)]


def _chance(p: float, n_draws: int) -> str:
    """A probability from draws: never 0 or 1, which no number of draws can say."""
    if p <= 0.5 / n_draws or p < 0.01:
        return _("below {p}").format(p=lang.percent(0.01))
    if p > 0.99:
        return _("above {p}").format(p=lang.percent(0.99))
    return lang.percent(p)


def _record(found: Forecast) -> list[Finding]:
    here = found.here
    if len(here) < FEW_RECORDS:
        text = _("How good such forecasts are is not known: {n} were made again for earlier quarters, which is too few")
        return [Finding("warn", text.format(n=lang.count(len(here))))]
    inside = int(((here["actual"] >= here["low"]) & (here["actual"] <= here["high"])).sum())
    words = {
        "n": lang.count(len(here)), "inside": lang.count(inside), "days": lang.count(found.weeks.days_left),
        "wape": lang.percent(scores.wape(here["mean"], here["actual"]), 1),
        "bias": percent_signed(scores.bias(here["mean"], here["actual"]), 1),
    }  # fmt: skip
    headline = _(
        "Of the last {n} forecasts made {days} days before a quarter's end, {inside} held what came inside the 80% band"
    )
    detail = _("They were off by {wape} of what was booked (WAPE), and by {bias} on the whole.").format(**words)
    both = here[here["mean_crm"].notna()] if "mean_crm" in here else here.iloc[:0]
    if len(both) >= FEW_RECORDS:
        usual = scores.wape(both["mean_crm"], both["actual"])
        detail += " " + _("The CRM's stage probabilities were off by {usual}.").format(usual=lang.percent(usual, 1))
    return [Finding("plain", headline.format(**words), detail)]


def cause_name(cause: str) -> str:
    return {
        "won": _("won"),
        "lost": _("lost"),
        "undone": _("booked, and open again"),
        "new": _("new deals"),
        "amount": _("amounts changed"),
        "stage": _("moved to another stage"),
        "judged": _("stayed: time passed, or pushed"),
        "to_come": _("deals still to come"),
    }[cause]


def _changed(found: Forecast, currency: str) -> list[Finding]:
    if found.change is None:
        return []
    change = found.change
    by = change.now.mean - change.before.mean
    words = {
        "by": _money(abs(by), currency), "since": lang.day(change.before.on),
        "before": _money(change.before.mean, currency), "now": _money(change.now.mean, currency),
    }  # fmt: skip
    text = _("Since {since} the forecast rose by {by}, from {before} to {now}")
    if by < 0:
        text = _("Since {since} the forecast fell by {by}, from {before} to {now}")
    if words["before"] == words["now"]:  # no change that can be seen in what is told
        text = _("Since {since} the forecast has stayed at {now}")
    causes = change.causes[change.causes["amount"] != 0]
    order = causes["amount"].abs().sort_values(ascending=False, kind="stable").index[:4]
    parts = [f"{cause_name(row.cause)} {_signed(row.amount, currency)}" for row in causes.loc[order].itertuples()]
    detail = "; ".join(parts) + "."
    return [Finding("plain", text.format(**words), detail[0].upper() + detail[1:])]


def _signed(amount: float, currency: str) -> str:
    sign = "\N{MINUS SIGN}" if amount < 0 else "+"
    return sign + lang.money(abs(amount), currency, compact=True)


def _top(found: Forecast, currency: str) -> list[Finding]:
    if found.without_top is None or not len(found.deals):
        return []
    deal = found.deals.iloc[0]
    low, middle, _high = found.without_top
    part = deal["p"] * deal["expected"] / max(band(found)[1], 1e-9)
    if part < 0.05:
        return []
    words = {
        "name": deal_name(deal), "amount": _money(deal["expected"], currency), "p": lang.percent(deal["p"]),
        "low": _money(low, currency), "middle": _money(middle, currency),
    }  # fmt: skip
    headline = _("Without “{name}” the quarter would bring {middle}").format(**words)
    return [
        Finding(
            "warn",
            headline,
            _("It is worth {amount}, and is won in time with {p}; P10 without it: {low}.").format(**words),
            key="top_deal",
            money=float(deal["p"] * deal["expected"]),
        )
    ]


def deal_name(deal) -> str:
    return deal["name"] if isinstance(deal["name"], str) and deal["name"] else deal["deal_id"]


def _callers(found: Forecast) -> list[Finding]:
    """Who is known to call too little or too much."""
    table = found.calls.callers
    known = table[[one is not None for one in table["bias"]]] if len(table) else table
    sure = known[known["p"] < 0.05] if len(known) else known
    sure = sure[[one.low > 0 or one.high < 0 for one in sure["bias"]]] if len(sure) else sure
    said = []
    for low in (True, False):
        mine = sure[[(one.value < 0) == low for one in sure["bias"]]] if len(sure) else sure
        if not len(mine):
            continue
        names = ", ".join(
            _("{name} {bias}").format(name=row.name, bias=percent_signed(row.bias.value))
            for row in mine.itertuples(index=False)
        )
        text = _("Calls less than is booked: {names}") if low else _("Calls more than is booked: {names}")
        detail = _(
            "Against what was booked in {n} quarters, drawn to what is "
            "usual; beyond chance after correcting for {m} callers."
        )
        n = max(one.n for one in mine["bias"])
        off = [abs(one.bias.value * one.now) for one in mine.itertuples() if lang.known(one.now)]
        who = "+".join(sorted(mine["rep_id"]))
        said.append(Finding("warn", text.format(names=names), detail.format(n=lang.count(n), m=lang.count(len(known))),
                            key=f"calls/{'under' if low else 'over'}/{who}", money=sum(off) if off else None,
                            p=float(mine["p"].min()), family="callers"))  # fmt: skip
    if not said and len(known):
        text = ngettext("Nobody's calls are off by more than chance, of {n} caller",
                        "Nobody's calls are off by more than chance, of {n} callers", len(known))  # fmt: skip
        said.append(Finding("plain", text.format(n=lang.count(len(known))), family="callers"))
    return said


def percent_signed(share: float, digits: int = 0) -> str:
    """+4%, −4%, or 0%."""
    text = lang.percent(abs(share), digits)
    if text == lang.percent(0.0, digits):
        return text
    return ("\N{MINUS SIGN}" if share < 0 else "+") + text


def tiles(found: Forecast, currency: str) -> list[Tile]:
    """The headline numbers."""
    low, middle, high = band(found)
    made, needs = found.made, found.needs
    before = found.change.before.mean if found.change else None
    shown = [
        Tile(
            _("P50, the quarter"),
            _money(middle, currency),
            note=f"P10 {_money(low, currency)}, P90 {_money(high, currency)}",
        ),
        Tile(
            _("Booked so far"),
            _money(made.booked, currency),
            note=_("day {day} of {of}").format(
                day=lang.count((found.weeks.as_of - found.weeks.target.first_on).days + 1),
                of=lang.count((found.weeks.target.last_on - found.weeks.target.first_on).days + 1),
            ),
        ),
        Tile(
            _("Mean"),
            _money(made.mean, currency),
            "" if before is None else _money(before, currency),
            "" if before is None else lang.day(found.change.before.on),
        ),
    ]
    if needs.target is not None:
        shown.append(Tile(_("Target"), _money(needs.target, currency), note=_("probability {p}").format(
            p=_chance(needs.chance, len(found.totals)))))  # fmt: skip
    else:
        shown.append(Tile(_("Target"), lang.NONE, note=lang.no_quota(needs.no_target)))
    calls = found.calls
    if calls.total is not None:
        note = _("without the callers' bias {corrected}").format(corrected=_money(calls.corrected, currency))
        shown.append(Tile(_("Called"), _money(calls.total, currency), note=note))
    return shown


def tiles_note(found: Forecast) -> str:
    """What counts, and what it rests on."""
    text = _(
        "Amounts won in {quarter}, by the day of winning; as known at "
        "the end of {as_of}. P10 and P90: one in ten falls below, "
        "one in ten above. Learnt from {weeks} deal-weeks, {won} of them wins."
    )
    said = text.format(
        quarter=lang.period(found.weeks.target), as_of=lang.day(found.weeks.as_of),
        weeks=lang.count(found.made.n_learnt), won=lang.count(found.n_won),
    )  # fmt: skip
    if not found.layout.amounts:
        said += " " + _(
            "The source keeps no log of amounts: past forecasts took "
            "the mean won amount for every open deal, today's takes "
            "the amounts of today."
        )
    if found.layout.stages["position"].max() == 0:
        said += " " + _("The source keeps no history of stages: chances depend on age, not on the stage.")
    return said


def record_bars(found: Forecast) -> tuple:
    """Quarters, low, middle, high, actual of forecasts made at this point; the last is today's, its actual NaN."""
    here = found.here
    low, middle, high = band(found)
    names = [*here["quarter"], found.weeks.target.name]
    return (
        names, [*here["low"], low], [*here["middle"], middle], [*here["high"], high], [*here["actual"], np.nan],
        [*here["booked"], found.made.booked],
    )  # fmt: skip


def record_alt(found: Forecast, currency: str) -> str:
    parts = []
    for name, low, _middle, high, actual, _booked in zip(*record_bars(found), strict=True):
        came = _("not known yet") if actual != actual else _money(actual, currency)
        parts.append(f"{name}: {_money(low, currency)} – {_money(high, currency)}, {came}")
    return _("Bands and what came, by quarter: {parts}.").format(parts="; ".join(parts))


def method_name(method: str) -> str:
    return {
        "": _("this forecast"),
        "crm": _("CRM stage probabilities"),
        "cycle": _("age over average cycle"),
        "stage": _("shares won by stage"),
        "stage_week": _("shares won by stage and week"),
        "last_year": _("the quarter a year before"),
        "last_quarter": _("the quarter before"),
        "combined": _("by deals and by months"),
        "called": _("called by reps"),
    }[method]


def series_name(method: str) -> str:
    return {
        "combined": _("together"),
        "theta": _("Theta"),
        "damped": _("damped trend"),
        "ets": _("ETS with a damped trend (statsmodels)"),
        "sarimax": _("SARIMAX, the airline model (statsmodels)"),
        "components": _("unobserved components (statsmodels)"),
        "seasonal_naive": _("the same months a year before"),
    }[method]


def error_curves(found: Forecast) -> dict[str, tuple[list[int], list[float]]]:
    """By the name of a method, weeks before the end and WAPE; where at least `FEW_RECORDS` forecasts of each were
    made."""
    curves = {}
    table = found.record[found.record["point"] > 0]
    for method in ("", "crm", "stage_week", "last_quarter"):
        column = f"mean_{method}" if method else "mean"
        if column not in table:
            continue
        rows = table[table[column].notna()]
        points = [(point, scores.wape(mine[column], mine["actual"])) for point, mine in rows.groupby("point")
                  if len(mine) >= FEW_RECORDS]  # fmt: skip
        points = [(point, error) for point, error in points if error is not None]
        if points:
            curves[method_name(method)] = ([point for point, _e in points[::-1]], [error for _p, error in points[::-1]])
    return curves


def error_alt(found: Forecast) -> str:
    parts = []
    for method, (points, errors) in error_curves(found).items():
        shown = ", ".join(f"{point}: {lang.percent(error)}" for point, error in zip(points, errors, strict=True))
        parts.append(f"{method} {shown}")
    return _("Error (WAPE) by weeks before the quarter's end: {parts}.").format(
        parts="; ".join(parts) or _("not known")
    )


def caption(found: Forecast) -> str:
    return _(
        "Left: bands of 80% as they would have been told on this day "
        "of each quarter, and what came (dots); the last is this "
        "quarter, booked so far in blue. Right: WAPE of past forecasts "
        "by weeks before the quarter's end (n = {n} quarters)."
    ).format(n=lang.count(found.record["quarter"].nunique()))


def group_label(name: str) -> str:
    return _("not known") if name == crm.NOT_KNOWN else name
