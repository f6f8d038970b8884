"""The forecast's tables: finished numbers in, finished tables out, in every language."""

import numpy as np
import pandas as pd

from salesops import lang
from salesops.findings import Table
from salesops.forecast.compute import Forecast
from salesops.forecast.record import METHODS
from salesops.forecast.topdown import LEAST_WEIGHTS, SEASONED
from salesops.forecast.topdown import METHODS as METHODS_OF_SERIES
from salesops.forecast.weeks import NOW
from salesops.forecast.words import (
    FEW_RECORDS,
    cause_name,
    deal_name,
    group_label,
    method_name,
    percent_signed,
    series_name,
)
from salesops.lang import _, ngettext
from salesops.stats import Estimate, scores

SHOWN_CALLERS = 12


def unit_table(found: Forecast, unit: str, currency: str) -> Table | None:
    """The quarter by unit; the means sum to the whole, the quantiles do not."""
    table = found.quantiles
    if unit not in set(table["unit"]):
        return None
    rows, hot = [], []
    for row in table[table["unit"].isin(["", unit])].to_dict("records"):
        name = _("Together") if row["unit"] == "" else group_label(row["value"])
        rows.append([name, *(lang.money(row[one], currency) for one in ("booked", "mean", 0.1, 0.5, 0.9))])
        hot.append(row["unit"] == "")
    columns = [lang.dimension(unit), _("Booked"), _("Mean"), "P10", "P50", "P90"]
    notes = [_("All from the same draws: means sum to the whole; quantiles need not, for not all fall low together.")]
    if found.without_top is not None and len(found.deals):
        text = _("Without “{name}”, which is expected to bring most: P10 {low}, P50 {middle}, P90 {high}.")
        low, middle, high = (lang.money(one, currency) for one in found.without_top)
        notes.append(text.format(name=deal_name(found.deals.iloc[0]), low=low, middle=middle, high=high))
    return Table(_("The quarter by {unit}").format(unit=lang.dimension(unit).lower()), columns, rows,
                 [False] + [True] * 5, hot, notes)  # fmt: skip


def record_table(found: Forecast, currency: str) -> Table | None:
    """Every forecast made again at today's point of an earlier quarter, against what came."""
    here = found.here
    if not len(here):
        return None
    rows, hot = [], []
    for row in here.itertuples():
        inside = row.low <= row.actual <= row.high
        rows.append([
            row.quarter, lang.day(row.on), lang.money(row.booked, currency), lang.money(row.low, currency),
            lang.money(row.middle, currency), lang.money(row.high, currency), lang.money(row.actual, currency),
            _("inside") if inside else _("below") if row.actual < row.low else _("above"),
            percent_signed(row.mean / row.actual - 1) if row.actual else lang.NONE,
        ])  # fmt: skip
        hot.append(not inside)
    columns = [
        _("Quarter"),
        _("Made at the end of"),
        _("Booked then"),
        "P10",
        "P50",
        "P90",
        _("What came"),
        _("Band"),
        _("Error"),
    ]
    notes = [
        _(
            "Each was made by the same rule from what was known on its "
            "day: fitted on the weeks that had ended, its band judged "
            "by the quarters that had. The error is forecast less actual, in parts of the actual."
        )
    ]
    if found.widened > 1:
        notes.append(
            _("Today's band is {factor} times as wide as the draws say, for that is what past ones needed.").format(
                factor=lang.decimal(found.widened, 2)
            )
        )
    return Table(
        _("Forecasts made on this day of earlier quarters"),
        columns,
        rows,
        [False, False] + [True] * 5 + [False, True],
        hot,
        notes,
    )


def point_table(found: Forecast) -> Table | None:
    """The record by week of the quarter."""
    record = found.record[found.record["point"] > 0]
    rows = []
    for point, mine in sorted(record.groupby("point"), reverse=True) if len(record) else []:
        inside = (mine["actual"] >= mine["low"]) & (mine["actual"] <= mine["high"])
        alone = (mine["actual"] >= mine["alone_low"]) & (mine["actual"] <= mine["alone_high"])
        rows.append(
            [
                lang.count(point),
                lang.count(len(mine)),
                lang.percent(scores.wape(mine["mean"], mine["actual"]), 1),
                _signed_share(scores.bias(mine["mean"], mine["actual"])),
                _mase(found, mine, "mean"),
                lang.percent(_pinball(mine), 1),
                f"{lang.count(inside.sum())} / {lang.count(len(mine))}",
                f"{lang.count(alone.sum())} / {lang.count(len(mine))}",
                *(_skill(mine, one) for one in ("crm", "stage_week")),
            ]
        )
    if not rows:
        return None
    columns = [_("Weeks before the end"), _("Forecasts"), "WAPE", _("Bias"), "MASE", _("Pinball"),
               _("Inside the 80% band"), _("Inside, were deals independent"),
               _("CRPS below that of CRM stage probabilities"),
               _("CRPS below that of shares by stage and week")]  # fmt: skip
    notes = [
        _(
            "WAPE: sum of absolute errors over the sum of what came. MASE: mean absolute error "
            "over that of taking the quarter "
            "before; below 1 is better than that. Pinball: what P10, P50 and P90 lose on average,"
            " in parts of what came. CRPS "
            "scores the whole distribution; below by 20% is a fifth "
            "better. A common shock that moves all deals of a quarter "
            "together is in the band, and left out in the column beside it."
        )
    ]
    return Table(_("The record by week"), columns, rows, [True] * 10, notes=notes)


def _mase(found: Forecast, rows: pd.DataFrame, told: str) -> str:
    """Scaled by what taking the quarter before would have missed in the quarters of the record."""
    quarters = found.record.drop_duplicates("quarter").sort_values("quarter")["actual"]
    return lang.decimal(scores.mase(rows[told], rows["actual"], quarters), 2)


def _pinball(rows: pd.DataFrame) -> float | None:
    lost = [
        scores.pinball(getattr(row, name), level, row.actual)
        for row in rows.itertuples()
        for name, level in (("low", 0.1), ("middle", 0.5), ("high", 0.9))
    ]
    whole = rows["actual"].mean()
    return float(np.mean(lost)) / whole if whole else None


def _signed_share(share: float | None) -> str:
    return lang.NONE if share is None else percent_signed(share)


def _skill(rows, method: str) -> str:
    column = f"crps_{method}"
    if column not in rows or rows[column].notna().sum() < FEW_RECORDS:
        return lang.NONE
    both = rows[rows[column].notna()]
    return percent_signed(1 - both["crps"].sum() / both[column].sum()) if both[column].sum() else lang.NONE


def chance_table(found: Forecast) -> Table | None:
    """Whether deals were won as often as they were told to be."""
    told = found.reliability
    if told is None:
        return None
    rows = [
        [
            lang.between(row.low, row.high),
            lang.count(row.n),
            lang.percent(row.told),
            lang.rate(row.won),
            lang.interval(row.won),
        ]
        for row in told.bands.itertuples()
    ]
    columns = [_("Chance told"), _("Deals"), _("Told on average"), _("Won in time"), _("95% interval")]
    text = _(
        "Brier score {brier}; {plain} if every deal had been told the share that was won. Less is better, 0 is perfect."
    )
    notes = [
        _("Open deals on this day of past quarters; the same deal may stand open in several."),
        text.format(brier=lang.decimal(told.brier, 3), plain=lang.decimal(told.plain, 3)),
    ]
    return Table(_("Chances of single deals, and what came"), columns, rows, [True] * 5, notes=notes)


def method_table(found: Forecast, currency: str) -> Table:
    """What the usual methods say now, and how they did at this point."""
    now = {"": found.made.mean} | {name: found.made.usual[name][0] for name in METHODS if name in found.made.usual}
    if found.combination is not None:
        now["combined"] = found.combination.mean
    if found.calls.total is not None:
        now["called"] = found.calls.total
    rows = []
    for method, value in now.items():
        past = _past(found, method)
        known = len(past) >= FEW_RECORDS
        rows.append([
            method_name(method), lang.money(value, currency), lang.count(len(past)),
            lang.percent(scores.wape(past["told"], past["actual"]), 1) if known else lang.NONE,
            _signed_share(scores.bias(past["told"], past["actual"])) if known else lang.NONE,
            _mase(found, past, "told") if known else lang.NONE, method_means(method),
        ])  # fmt: skip
    columns = [_("Method"), _("Says now"), _("Past forecasts"), "WAPE", _("Bias"), "MASE", _("What it is")]
    notes = []
    if found.combination is not None:
        if len(found.combination.record) < LEAST_WEIGHTS:
            text = _(
                "By deals and by months together: half of each, for fewer than {n} past forecasts"
                " say nothing of weights."
            )
        else:
            text = _(
                "By deals and by months together: {weight} of the first, as past forecasts ask "
                "for; each of those with the weight that those before it asked for."
            )
        notes.append(text.format(weight=lang.percent(found.combination.weight), n=lang.count(LEAST_WEIGHTS)))
    return Table(_("Methods beside each other"), columns, rows, [False] + [True] * 5 + [False],
                 [True] + [False] * (len(rows) - 1), notes)  # fmt: skip


def _past(found: Forecast, method: str) -> pd.DataFrame:
    """actual and told: what a method said at today's point of past quarters, where it could be used."""
    if method == "combined":
        return found.combination.record.rename(columns={"mean": "told"})
    if method == "called":
        mine = found.calls.record
        mine = mine[(mine["point"] == NOW) & (mine["level"] == mine["level"].min())]
        mine = mine[["quarter", "called"]].rename(columns={"called": "told"})
        return found.here[["quarter", "actual"]].merge(mine, on="quarter")
    column = f"mean_{method}" if method else "mean"
    if column not in found.here:
        return pd.DataFrame(columns=["actual", "told"])
    return found.here[["actual", column]].rename(columns={column: "told"}).dropna()


def method_means(method: str) -> str:
    return {
        "": _("booked, open deals by their chances week by week, and deals still to come; drawn together"),
        "crm": _("booked, and open deals due in the quarter by the probability that the CRM gives their stage"),
        "cycle": _(
            "booked, and open deals by age over the average cycle: one "
            "month of four is 25%; it calls every old deal nearly won"
        ),
        "stage": _(
            "booked, and open deals by the share of their stage that was won by a quarter's end, whenever it stood open"
        ),
        "stage_week": _("the same at this very week, and what deals created later brought on average"),
        "last_year": _("as much as the same quarter a year before"),
        "last_quarter": _("as much as the quarter before"),
        "combined": _("this forecast and that by the months before, weighted"),
        "called": _("the last commit of each rep before the day, added up"),
    }[method]


def series_table(found: Forecast, currency: str) -> Table | None:
    """What the months before would make of the quarter, whatever its deals are."""
    top = found.topdown
    if not top.quarter:
        return None
    rows = []
    for method in (one for one in METHODS_OF_SERIES if one in top.quarter):
        past = top.record.loc[top.record[method].notna(), ["actual", method]].astype("float64")
        known = len(past) >= FEW_RECORDS
        weight = lang.percent(top.weights[method]) if method in top.weights else lang.NONE
        rows.append([series_name(method), lang.money(top.quarter[method], currency), weight, lang.count(len(past)),
                     lang.percent(scores.wape(past[method], past["actual"]), 1) if known else lang.NONE,
                     _signed_share(scores.bias(past[method], past["actual"])) if known else lang.NONE])  # fmt: skip
    notes = [
        ngettext(
            "From {n} whole month of won amounts. What is booked counts as it is; months to come, and the days left of "
            "the running one, are forecast.",
            "From {n} whole months of won amounts. What is booked counts as it is; months to "
            "come, and the days left of "
            "the running one, are forecast.",
            top.n_months,
        ).format(n=lang.count(top.n_months))
    ]
    if top.band is not None:
        text = _("Together, 80% band as wide as its past errors: {low} to {high}.")
        notes.append(text.format(low=lang.money(top.band[0], currency), high=lang.money(top.band[1], currency)))
    if top.weights:
        text = _(
            "Together: weights alike below {n} past forecasts, by their errors from then on; from"
            " then on, too, a fitted "
            "model counts, where it erred no more than the same months a year before."
        )
        notes.append(text.format(n=lang.count(LEAST_WEIGHTS)))
    if top.n_months < SEASONED:
        notes.append(_("Less than two years: no season can be told, and no model is fitted."))
    columns = [_("Method"), _("Says now"), _("Weight"), _("Past forecasts"), "WAPE", _("Bias")]
    return Table(_("The quarter by the months before it"), columns, rows, [False] + [True] * 5,
                 [True] + [False] * (len(rows) - 1), notes)  # fmt: skip


def change_table(found: Forecast, currency: str) -> Table | None:
    """The bridge from the earlier forecast of this quarter."""
    change = found.change
    if change is None:
        return None
    rows = [
        [_("Forecast of {day}").format(day=lang.day(change.before.on)), "", lang.money(change.before.mean, currency)]
    ]
    for row in change.causes.itertuples():
        if row.amount or row.n:
            n = lang.count(row.n) if row.cause != "to_come" else ""
            rows.append([cause_name(row.cause).capitalize(), n, lang.money(row.amount, currency)])
    rows.append([_("Forecast of {day}").format(day=lang.day(change.now.on)), "", lang.money(change.now.mean, currency)])
    hot = [True] + [False] * (len(rows) - 2) + [True]
    notes = [
        _(
            "What each deal was expected to bring is its chance times "
            "its amount. Won: what it brought above that. Amounts change "
            "at the old chance; then the chance, by its stage or by what else is known. The parts sum to the change."
        )
    ]
    return Table(
        _("From the earlier forecast to this one"),
        [_("Cause"), _("Deals"), _("Amount, {currency}").format(currency=currency)],
        rows,
        [False, True, True],
        hot,
        notes,
    )


def deal_table(found: Forecast, currency: str) -> Table | None:
    """The open deals that are expected to bring most, and why."""
    if not len(found.deals):
        return None
    rows = [
        [
            deal_name(row),
            _text(row["account"]),
            _text(row["rep"]),
            row["stage_name"] or lang.NONE,
            lang.money(row["expected"], currency),
            lang.percent(row["p"]),
            lang.money(row["p"] * row["expected"], currency),
            why(row["why"], found.layout.dimension),
        ]
        for row in found.deals.to_dict("records")
    ]
    columns = [_("Deal"), _("Account"), _("Rep"), _("Stage"), _("Amount, {currency}").format(currency=currency),
               _("Won in time"), _("Expected"), _("Why")]  # fmt: skip
    notes = [
        _(
            "Won in time: the probability to be won by the quarter's "
            "end. Why: percentage points against what it would be on "
            "average over all open deals in that respect, all else as it "
            "is. That tells how it is judged, not what would change it."
        )
    ]
    return Table(
        _("Open deals that are expected to bring most"), columns, rows, [False] * 4 + [True] * 3 + [False], notes=notes
    )


def _text(value) -> str:
    return value if isinstance(value, str) and value else lang.NONE


def why(parts: list[tuple[str, float]], dimension: str) -> str:
    shown = [
        f"{factor_name(factor, dimension)} {lang.points(points, signed=True)}"
        for factor, points in parts[:3]
        if abs(points) >= 0.005
    ]
    return ", ".join(shown) or _("as usual")


def factor_name(factor: str, dimension: str) -> str:
    return {
        "stay_weeks": _("weeks in stage"),
        "age_weeks": _("age"),
        "pushes": _("pushes"),
        "group": lang.dimension(dimension).lower(),
        "size": _("amount"),
    }[factor]


def caller_table(found: Forecast, currency: str) -> Table | None:
    """What each caller called, and how far off they usually are."""
    called = found.calls
    if not len(called.callers):
        return None
    rows, hot = [], []
    known = called.callers[called.callers["now"].notna()]
    known = known[known["bias"].notna()]
    order = known["p"].sort_values(kind="stable").index[:SHOWN_CALLERS]
    for row in known.loc[order].itertuples():
        rows.append([
            row.name, lang.count(row.n), percent_signed(row.bias.value), _between(row.bias), lang.percent(row.spread),
            lang.p_value(row.p), lang.money(row.now, currency), lang.money(row.corrected, currency),
        ])  # fmt: skip
        hot.append(row.p < 0.05)
    if not rows:
        return None
    columns = [_("Caller"), _("Quarters"), _("Bias"), _("95% interval"), _("Spread"), _("Adjusted p"), _("Calls now"),
               _("Without the bias")]  # fmt: skip
    notes = [
        _(
            "Bias: call over what the caller booked, less one, at this "
            "point of past quarters; drawn to that of all callers of the same level as far as "
            "they cannot be told apart. Spread: relative standard "
            "deviation. Quarters without any call or booking are left out."
        )
    ]
    left = len(known) - len(rows)
    if left:
        notes.append(ngettext("{n} more caller is not shown.", "{n} more callers are not shown.", left).format(n=left))
    return Table(_("Callers and their bias"), columns, rows, [False] + [True] * 7, hot, notes)


def hand_off_table(found: Forecast, currency: str) -> Table | None:
    """What each hand-off, from the naive forecast to the managers' calls, made better or worse."""
    steps = found.hand_offs
    if not len(steps):
        return None
    rows = []
    for row in steps.itertuples():
        closer = lang.NONE if not lang.known(row.closer) else f"{lang.count(row.closer)} / {lang.count(row.n)}"
        gain = lang.NONE if row.step == "naive" or row.gain is None else lang.points(row.gain, signed=True)
        now = found.calls.totals.get(int(row.step)) if row.step.isdigit() else _said_now(found, row.step)
        rows.append([_step_name(row.step), lang.money(now, currency), lang.percent(row.wape, 1), gain, closer])
    columns = [
        _("Hand-off"),
        _("Says now"),
        "WAPE",
        _("Better than the naive one by, points"),
        _("Closer than the step before"),
    ]
    notes = [
        ngettext(
            "On the {n} quarter that all of them told, at this point of it. "
            "What is better by a few points in few quarters may be luck.",
            "On the {n} quarters that all of them told, at this point of "
            "each. What is better by a few points in few quarters may be luck.",
            int(steps["n"].iloc[0]),
        ).format(n=lang.count(steps["n"].iloc[0]))
    ]
    return Table(_("What each hand-off added"), columns, rows, [False] + [True] * 4, notes=notes)


def _said_now(found: Forecast, step: str) -> float | None:
    return found.made.mean if step == "model" else found.made.usual.get("last_quarter", (None,))[0]


def _step_name(step: str) -> str:
    names = {
        "naive": _("naive: the quarter before"), "model": method_name(""), "0": _("called by reps"),
        "1": _("called by their managers"),
    }  # fmt: skip
    return names.get(step) or _("called by managers of level {level}").format(level=lang.count(int(step)))


def _between(found: Estimate) -> str:
    return f"{percent_signed(found.low)} … {percent_signed(found.high)}"


def category_table(found: Forecast, currency: str) -> Table | None:
    """The reps' categories, cumulative as CRMs show them."""
    called = found.calls
    if not len(called.categories):
        return None
    names = {
        "closed": _("Closed"), "commit": _("Commit"), "most_likely": _("Most likely"), "best_case": _("Best case"),
        "pipeline": _("Pipeline"),
    }  # fmt: skip
    rows = [
        [names[row.category], lang.NONE if np.isnan(row.n) else lang.count(row.n), lang.money(row.amount, currency)]
        for row in called.categories.itertuples()
    ]
    notes = [_("Each with all above it, of open deals due in the quarter; amounts are not weighted.")]
    if called.precision is not None:
        text = _(
            "Of deals in commit on this day of past quarters {precision} ({interval}) were won in the quarter, n = {n}."
        )
        notes.append(text.format(precision=lang.rate(called.precision), interval=lang.interval(called.precision),
                                 n=lang.count(called.precision.n)))  # fmt: skip
    if called.recall is not None:
        text = _("Of the open deals that were won in it, {recall} ({interval}) were in commit, n = {n}.")
        notes.append(
            text.format(
                recall=lang.rate(called.recall), interval=lang.interval(called.recall), n=lang.count(called.recall.n)
            )
        )
    columns = [_("Category"), _("Deals"), _("Amount, {currency}").format(currency=currency)]
    return Table(_("Forecast categories"), columns, rows, [False, True, True], notes=notes)


def need_table(found: Forecast, currency: str) -> Table:
    """What it takes to reach the target."""
    needs = found.needs
    rows = [
        [
            _("Target"),
            lang.money(needs.target, currency) if needs.target is not None else lang.no_quota(needs.no_target),
        ]
    ]
    if needs.target is not None:
        left = needs.target - found.made.booked
        rows += [
            [_("Left to book"), lang.money(max(left, 0), currency)],
            [_("Open pipeline over what is left"), lang.decimal(needs.coverage)],
            [_("Expected of one more deal that comes in this week"), lang.money(needs.each, currency)],
        ]
        wanted = lang.count(needs.new_deals) if needs.new_deals is not None else _("not to be reached")
        rows.append([_("New deals needed, beyond those expected, for 80%"), wanted])
        if needs.new_amount:
            rows.append([_("Their amount"), lang.money(needs.new_amount, currency)])
    if needs.n_reps:
        rows += [
            [_("Reps"), lang.count(needs.n_reps)],
            [_("Hours they have until the quarter's end"), lang.count(needs.hours_free)],
            [_("Hours that open and expected deals need"), lang.count(needs.hours_bound)],
        ]
    notes = [
        _(
            "New deals are like those of the last year, and come in this "
            "week. Hours: open deals are half done, deals to come begin "
            "anew; both by the parameters of hours. Deals beyond the hours there are help nobody."
        )
    ]
    return Table(_("What the target takes"), [_("What"), _("How much")], rows, [False, True], notes=notes)
