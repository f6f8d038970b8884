"""The hygiene's sentences and tables: finished numbers in, finished text out, in every language."""

import datetime as dt
from collections.abc import Sequence
from urllib.parse import quote

from salesops import lang
from salesops.crm.rules import DOUBT
from salesops.findings import Finding, Link, Table, Tile
from salesops.hygiene.compute import Hygiene
from salesops.hygiene.cost import Range
from salesops.hygiene.params import Params
from salesops.lang import _, ngettext

SIGNIFICANT = 0.05
MOST_REPS = 30
WIDE = 0.05  # of a number: a range wider than this is marked


def title() -> str:
    return _("Hygiene of the records")


def facts(found: Hygiene) -> list[str]:
    """What stands in the page's head beside the source and the period."""
    n = len(found.rules)
    return [ngettext("{n} rule", "{n} rules", n).format(n=lang.count(n))]


def rule_name(rule: str) -> str:
    return {
        "close_past": _("Closing day is over"),
        "no_next_step": _("No next step"),
        "untouched": _("Untouched"),
        "no_amount": _("No amount"),
        "pushed": _("Pushed again and again"),
        "probability_unlike": _("Chance unlike its stage's"),
        "owner_gone": _("Owner is gone"),
        "duplicate": _("Written down twice"),
        "no_reason": _("Lost without a reason"),
        "won_before_created": _("Closed before created"),
        "skipped": _("Went over a stage"),
        "missing": _("Required field is blank"),
    }[rule]


def what_to_do(rule: str) -> str:
    return {
        "close_past": _("set the day it will close, or close it"),
        "no_next_step": _("write the next step"),
        "untouched": _("call, or close it"),
        "no_amount": _("write the amount"),
        "pushed": _("agree a closing day with the buyer"),
        "probability_unlike": _("set the chance of its stage, or move it"),
        "owner_gone": _("give it to somebody"),
        "duplicate": _("merge it into the older one"),
        "no_reason": _("write why it was lost"),
        "won_before_created": _("mend the day it was created"),
        "skipped": _("see whether the stage is needed"),
        "missing": _("fill the field"),
    }[rule]


def findings(found: Hygiene, currency: str) -> list[Finding]:
    """What the reader should know first: the money in doubt, the number that is least sure, the rule broken most."""
    return [
        *_doubt(found, currency),
        *_least_sure(found, currency),
        *_worst_rule(found),
        *_who(found),
        *_not_asked(found),
    ]


def _doubt(found: Hygiene, currency: str) -> list[Finding]:
    made = [rule for rule in DOUBT if found.asked.get(rule)]
    if not found.n_open or not made:
        return []
    n = ngettext("{n} of {of} open deal", "{n} of {of} open deals", found.n_open).format(
        n=lang.count(found.n_doubtful), of=lang.count(found.n_open)
    )
    if found.pipeline is None or found.pipeline <= 0:
        headline = _("{deals} cannot be relied on").format(deals=n)
    else:
        headline = _("{amount} of {pipeline} open pipeline rests on doubtful records").format(
            amount=lang.money(found.doubtful, currency, compact=True),
            pipeline=lang.money(found.pipeline, currency, compact=True),
        )
    detail = _("{deals} break one of these rules: {rules}.").format(deals=n, rules=_listed(made))
    sure = not found.n_doubtful and len(made) == len(DOUBT)
    tone, money = "good" if sure else "warn" if found.n_doubtful else "plain", found.doubtful
    return [Finding(tone, headline, detail, key="doubtful" if tone == "warn" else "", money=money)]


def _listed(rules: Sequence[str]) -> str:
    """Rules by their names, inside a sentence."""
    return ", ".join(rule_name(rule)[0].lower() + rule_name(rule)[1:] for rule in rules)


def _least_sure(found: Hygiene, currency: str) -> list[Finding]:
    """The headline number with the widest range beside its value."""
    wide = [(one, _width(one)) for one in found.costs if one.printed and any(one.why.values())]
    if not wide:
        unasked = sorted({rule for one in found.costs for rule in one.unasked}, key=DOUBT.index)
        if unasked:
            headline = _("How sure the headline numbers are cannot be told")
            return [
                Finding(
                    "plain", headline, _("The source has nothing to ask of it: {rules}.").format(rules=_listed(unasked))
                )
            ]
        return [Finding("good", _("No headline number is left open by missing or doubtful records"))]
    worst, _share = max(wide, key=lambda pair: pair[1])
    text = _("{number} is {printed}, and can be anything from {low} to {high}")
    if worst.high is None:
        text = _("{number} is {printed}, and can be anything from {low} up")
    headline = text.format(
        number=kpi_name(worst.name),
        printed=_value(worst, worst.printed, currency),
        low=_value(worst, worst.low, currency),
        high=_upper(worst, currency),
    )
    return [Finding("plain", headline, _("What leaves it open: {why}.").format(why=why(worst)))]


def _width(one: Range) -> float:
    return float("inf") if one.low is None or one.high is None else (one.high - one.low) / abs(one.printed)


def _worst_rule(found: Hygiene) -> list[Finding]:
    table = found.rules[found.rules["n_broken"] > 0]
    if table.empty:
        return [Finding("good", _("Every rule that could be asked is kept"))]
    cost = table.assign(cost=table["n_broken"] * table["weight"]).sort_values("cost", ascending=False, kind="stable")
    row = cost.iloc[0]
    headline = _("{rule} weighs most: {n} of {of} deals").format(
        rule=rule_name(row["rule"]), n=lang.count(row["n_broken"]), of=lang.count(row["n_asked"])
    )
    share = row["n_broken"] * row["weight"] / (table["n_broken"] * table["weight"]).sum()
    detail = _("It is {share} of all the weight that is lost; what to do: {what}.").format(
        share=lang.percent(share), what=what_to_do(row["rule"])
    )
    return [Finding("plain", headline, detail)]


def _who(found: Hygiene) -> list[Finding]:
    """Whose deals break rules more often than the others', beyond chance; that nobody's do."""
    tested = found.reps[found.reps["p_adjusted"].notna()]
    if len(tested) < 2:
        return []
    rest = 1 - found.clean.value
    worse = tested[(tested["p_adjusted"] < SIGNIFICANT) & (tested["share"].map(lambda share: share.value) > rest)]
    if worse.empty:
        text = ngettext(
            "{n} rep was compared with all others.", "{n} reps were compared, each with all others.", len(tested)
        ).format(n=lang.count(len(tested)))
        headline, p = _("No rep's records are worse than the others' beyond chance"), float(tested["p_adjusted"].min())
        return [Finding("plain", headline, text, p=p, family="reps")]
    names = ", ".join(worse["name"].where(worse["name"] != "", worse["rep_id"]).head(5))
    headline = ngettext(
        "The records of {n} rep are worse than the others' beyond chance",
        "The records of {n} reps are worse than the others' beyond chance",
        len(worse),
    ).format(n=lang.count(len(worse)))
    detail = _("{names}; corrected for {n} comparisons.").format(names=names, n=lang.count(len(tested)))
    p = float(worse["p_adjusted"].min())
    return [Finding("warn", headline, detail, key="reps", p=p, family="reps")]


def _not_asked(found: Hygiene) -> list[Finding]:
    left = [rule_name(rule) for rule, can in found.asked.items() if not can]
    detail = [_("The source has nothing to ask of it: {rules}.").format(rules=", ".join(left))] if left else []
    if found.never:
        fields = ", ".join(field_name(field) for field in found.never)
        detail.append(_("Required fields that the source does not have at all: {fields}.").format(fields=fields))
    if not detail:
        return []
    n = len(left) + len(found.never)
    headline = ngettext("{n} check could not be made", "{n} checks could not be made", n).format(n=lang.count(n))
    return [Finding("plain", headline, " ".join(detail))]


def tiles(found: Hygiene, currency: str) -> list[Tile]:
    score = lang.NONE if found.score is None else lang.decimal(100 * found.score)
    clean = found.clean
    note = (
        _("too few deals")
        if clean is None
        else _("95%: {interval}").format(interval=lang.between(clean.low, clean.high))
    )
    share = (
        ""
        if not found.pipeline
        else _("{share} of the open pipeline").format(share=lang.percent(found.doubtful / found.pipeline))
    )
    return [
        Tile(_("Score, of 100"), score, note=_("weight kept in the weight asked")),
        Tile(_("Deals that keep every rule"), lang.percent(None if clean is None else clean.value), note=note),
        Tile(_("Deals to mend"), lang.count(found.n_fixes), note=_("open, or closed in the period")),
        Tile(
            _("Open pipeline in doubt"),
            lang.money(found.doubtful, currency, compact=True),
            note=share or _("no amount is known"),
        ),
        Tile(
            _("Open deals in doubt"),
            lang.count(found.n_doubtful),
            note=_("of {n} open deals").format(n=lang.count(found.n_open)),
        ),
    ]


def tiles_note(params: Params, as_of: dt.date) -> str:
    return _("Deals open at the end of {day}, and those closed in {period} up to then.").format(
        day=lang.day(as_of), period=lang.period(params.reported)
    )


def rule_names(found: Hygiene) -> list[str]:
    return [rule_name(rule) for rule in found.rules["rule"]]


def rules_alt(found: Hygiene) -> str:
    parts = [
        f"{rule_name(row.rule)}: {lang.percent(row.share.value, 1) if row.share else _('too few deals')}"
        for row in found.rules.itertuples()
    ]
    return _("Share of the deals asked that break each rule. {parts}.").format(parts="; ".join(parts))


def rules_caption(found: Hygiene, params: Params) -> str:
    text = _(
        "A rule is asked only of the deals it applies to. Untouched: longer than {days} days; pushed: more than "
        "{pushes} times; an amount is needed from stage {stage} on."
    ).format(days=params.untouched_days, pushes=params.most_pushes, stage=params.amount_from)
    if found.n_not_compared:
        text += " " + _("{n} open deals belong to accounts with too many of them to look for duplicates.").format(
            n=lang.count(found.n_not_compared)
        )
    return text


def rule_table(found: Hygiene, currency: str) -> Table:
    rows = [
        [
            rule_name(row.rule),
            lang.count(row.weight),
            lang.count(row.n_asked),
            lang.count(row.n_broken),
            lang.percent(row.share.value, 1) if row.share else lang.NONE,
            lang.between(row.share.low, row.share.high) if row.share else _("too few"),
            lang.money(row.amount, currency),
            what_to_do(row.rule),
        ]
        for row in found.rules.itertuples()
    ]
    columns = [
        _("Rule"),
        _("Weight"),
        _("Deals asked"),
        _("Break it"),
        _("Share"),
        _("95% interval"),
        _("Open amount"),
        _("What to do"),
    ]
    return Table(_("The rules"), columns, rows, [False, True, True, True, True, True, True, False])


def month_names(found: Hygiene) -> list[str]:
    return [lang.month(month) for month in found.months["month_on"]]


def months_alt(found: Hygiene) -> str:
    pairs = zip(month_names(found), found.months["score"], strict=True)
    parts = "; ".join(f"{name}: {lang.decimal(100 * score)}" for name, score in pairs)
    return _("Score at the end of each month, of 100. {parts}.").format(parts=parts)


def months_caption(found: Hygiene) -> str:
    if found.months.empty:
        return _(
            "The source keeps no log of changes, or there are too few deals: the score of days in the past is not "
            "known."
        )
    names = ", ".join(rule_name(rule) for rule in found.past)
    return _(
        "Only rules that the log can answer for every one of these days, so that they compare: {rules}. Each month: "
        "deals open at its end, and those closed in it. These are all deals, not a sample: the line is what was, and "
        "says nothing of why."
    ).format(rules=names)


def month_table(found: Hygiene) -> Table | None:
    if found.months.empty:
        return None
    rows = [
        [lang.month(row.month_on), lang.decimal(100 * row.score), lang.count(row.n)]
        for row in found.months.itertuples()
    ]
    return Table(_("Score by month"), [_("Month"), _("Score, of 100"), _("Deals")], rows, [False, True, True])


def rep_table(found: Hygiene, currency: str) -> Table:
    rows, hot = [], []
    for row in found.reps.head(MOST_REPS).itertuples():
        rows.append(
            [row.name or row.rep_id or _("(nobody)"), row.team, *_common(row, currency), lang.p_value(row.p_adjusted)]
        )
        hot.append(bool(row.p_adjusted < SIGNIFICANT and row.n_broken / row.n > found.n_fixes / found.n_deals))
    columns = [_("Rep"), _("Team"), *_columns(), _("Adjusted p")]
    notes = [
        _(
            "Adjusted p: of the share being the same as of all other reps together (Fisher's exact test, "
            "Benjamini–Hochberg)."
        )
    ]
    if len(found.reps) > MOST_REPS:
        notes.append(_("The {n} lowest scores of {of} reps.").format(n=MOST_REPS, of=lang.count(len(found.reps))))
    return Table(
        _("By rep, the lowest score first"),
        columns,
        rows,
        [False, False, True, True, True, True, True, True, True, True],
        hot,
        notes,
    )


def team_table(found: Hygiene, currency: str) -> Table | None:
    if len(found.teams) < 2:
        return None
    rows = [[row.team or _("(none)"), *_common(row, currency)] for row in found.teams.itertuples()]
    return Table(_("By team, the lowest score first"), [_("Team"), *_columns()], rows, [False] + [True] * 7)


def _columns() -> list[str]:
    return [
        _("Score, of 100"),
        _("Deals"),
        _("To mend"),
        _("Share"),
        _("95% interval"),
        _("Open amount"),
        _("In doubt"),
    ]


def _common(row, currency: str) -> list[str]:
    few = row.share is None or row.score is None or not lang.known(row.score)
    return [
        lang.NONE if few else lang.decimal(100 * row.score),
        lang.count(row.n),
        lang.count(row.n_broken),
        lang.NONE if row.share is None else lang.percent(row.share.value),
        _("too few") if row.share is None else lang.between(row.share.low, row.share.high),
        lang.money(row.amount, currency),
        lang.money(row.doubtful, currency),
    ]


def kpi_name(name: str) -> str:
    return {
        "win_rate": _("Win rate of closed deals"),
        "won_amount": _("Won amount"),
        "average_won": _("Average won deal"),
        "pipeline": _("Open pipeline"),
        "cycle": _("Median days from creation to won"),
        "created": _("Deals created"),
    }[name]


def why(one: Range) -> str:
    """The records that leave a number open, in words, with how many they are."""
    reasons = {
        "undated": _("closed on a day not known"),
        "neglected": _("open, overdue and untouched, so perhaps ended"),
        "no_amount": _("without an amount"),
        "doubt": _("doubtful"),
        "copies": _("written down twice"),
        "no_creation": _("created on a day not known"),
        "before_created": _("closed before created"),
    }
    parts = [f"{reasons[name]}: {lang.count(n)}" for name, n in one.why.items() if n]
    if one.unasked:
        parts.append(_("not asked: {rules}").format(rules=_listed(one.unasked)))
    return ", ".join(parts) or _("nothing")


def _value(one: Range, value: float | None, currency: str) -> str:
    match one.kind:
        case "share":
            return lang.percent(value, 1)
        case "money":
            return lang.money(value, currency)
        case "days":
            return lang.days(value)
    return lang.NONE if value is None else lang.count(value)


def _upper(one: Range, currency: str) -> str:
    return _("without limit") if one.high is None else _value(one, one.high, currency)


def cost_table(found: Hygiene, currency: str) -> Table:
    rows = []
    for one in found.costs:
        if one.printed is None:
            rows.append(
                [
                    kpi_name(one.name),
                    lang.NONE,
                    lang.NONE,
                    lang.NONE,
                    lang.count(one.n),
                    _("nothing to compute it from"),
                ]
            )
            continue
        least, most = _value(one, one.low, currency), _upper(one, currency)
        rows.append([kpi_name(one.name), _value(one, one.printed, currency), least, most, lang.count(one.n), why(one)])
    columns = [_("Number"), _("As printed"), _("At least"), _("At most"), _("Deals"), _("What leaves it open")]
    notes = [
        _(
            "Worst cases, not chances: what a number can be, whatever the missing values are. An amount that is "
            "missing lies between the smallest and the largest one known in its pipeline."
        )
    ]
    return Table(
        _("What each number can be, given the records"),
        columns,
        rows,
        [False, True, True, True, True, False],
        [bool(one.printed) and _width(one) > WIDE for one in found.costs],
        notes,
    )


def field_name(field: str) -> str:
    return {
        "amount": _("amount"),
        "expected_close_on": _("expected closing day"),
        "next_step": _("next step"),
        "probability": _("chance of winning"),
        "rep_id": _("owner"),
        "lost_reason": _("reason of the loss"),
        "created_at": _("day of creation"),
        "account_id": _("account"),
        "name": _("name"),
        "pipeline": _("pipeline"),
        "stage": _("stage"),
        "source": _("source"),
        "segment": _("segment"),
        "region": _("region"),
        "product": _("product"),
        "deal_type": _("deal type"),
        "forecast_category": _("forecast category"),
        "list_amount": _("amount at list prices"),
        "last_activity_at": _("last activity"),
    }.get(field, field)


def written(value: object, field: str, currency: str) -> str:
    """A value of a field, as a person reads it; blank where there is none."""
    if value is None or value != value:
        return ""
    match field:
        case "amount":
            return lang.money(value, currency)
        case "probability":
            return lang.percent(value)
        case _ if isinstance(value, dt.date):
            return lang.day(value)
    return str(value)


def fix_table(found: Hygiene, params: Params, currency: str) -> Table | None:
    """What to mend, one row per deal: the most important deals, by rep."""
    if found.fixes.empty:
        return None
    rows = []
    deals = found.fixes.groupby("deal_id", sort=False)
    ranked = sorted(deals, key=lambda pair: (pair[1]["rep"].iloc[0], -pair[1]["weight"].iloc[0]))
    for deal_id, part in ranked:
        first = part.iloc[0]
        name = lang.short(first["name"] or deal_id, 48)
        rows.append(
            [
                first["rep"] or _("(nobody)"),
                Link(name, address(params.link, deal_id)) if params.link else name,
                deal_id,
                first["stage"],
                lang.money(first["amount"], currency),
                lang.count(first["weight"]),
                "; ".join(_one_fix(row, currency) for row in part.itertuples()),
            ]
        )
    columns = [_("Rep"), _("Deal"), _("Id"), _("Stage"), _("Amount"), _("Weight"), _("What to mend")]
    text = ngettext(
        "What to mend: the {n} deal worth most, by rep", "What to mend: the {n} deals worth most, by rep", len(rows)
    ).format(n=lang.count(len(rows)))
    notes = []
    if found.n_fixes > len(rows):
        notes.append(
            _("All {n} of them, one workbook for each rep and files for the CRM's own import: salesops fixes.").format(
                n=lang.count(found.n_fixes)
            )
        )
    return Table(text, columns, rows, [False, False, False, False, True, True, False], notes=notes)


def address(link: str, deal_id: str) -> str:
    """The address of a deal in the CRM; its id is data, whatever is in it."""
    return link.replace("{deal_id}", quote(deal_id, safe=""))


def _one_fix(row, currency: str) -> str:
    """One rule broken by one deal: what, what stands there, what should."""
    name = rule_name(row.rule)
    if row.rule == "missing":
        name = _("{field} is blank").format(field=field_name(row.field))
    if row.rule == "duplicate":
        name = _("{rule} ({older})").format(rule=name, older=row.copy_of)
    before, after = written(row.before, row.field, currency), written(row.after, row.field, currency)
    if after:
        return _("{what}: {before} → {after}").format(what=name, before=before or lang.NONE, after=after)
    return f"{name}: {before}" if before else name


def scores(found: Hygiene) -> list[float]:
    return found.months["score"].tolist()
