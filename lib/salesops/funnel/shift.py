"""What changed: every stage and group against before, what the mix of groups did, since when, and what it costs."""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.funnel import cohorts, counts
from salesops.funnel.cohorts import LOST, Scope
from salesops.funnel.params import Params
from salesops.funnel.watching import DAY_HOURS, p_of_change, watch
from salesops.stats import Estimate

ALL = crm.ALL
# Of the adjusted p: at 0.05 rather more than 5 % of companies without any change were said to change.
SIGNIFICANT = 0.03
N_QUARTERS = 8
LEAST_PART = 0.5  # of the horizon, that a quarter has to be watched to be compared


class Shift(NamedTuple):
    """The change of one stage's share, taken apart.

    total, mix, own : in shares; total is mix and own together. own : Estimate of what the groups' own rates did.
    parts : group, n, rate, rate_before, age_days (one for all), share, share_before, mix, own (Estimate); exact to the
        total.
    leader : the group whose own rate explains most, or None; `share_of_own`: how much of the groups' own change.
    reversed : the groups' own rates went beyond chance one way, the total the other (Simpson).
    quarters : period, n, rate (Estimate or None), p_adjusted: the share by quarter of reaching the stage, `of_group`.
    since : the quarters that stand out the way the stage changed; empty where none does, or it did not beyond chance.
    money : Estimate of the won amount that the change costs or brings in these months, or None.
    """

    total: float
    mix: float
    own: Estimate
    parts: pd.DataFrame
    leader: str | None
    share_of_own: float | None
    reversed: bool
    of_group: str
    quarters: pd.DataFrame
    since: list[periods.Period]
    money: Estimate | None


def changes(steps: pd.DataFrame) -> pd.DataFrame:
    """Now against before, by group and step, at the latest age that both cohorts support.

    Returns
    -------
    DataFrame
        group, step, n, rate, rate_before, age_days, change (Estimate), p, p_adjusted. Every stage of all
        deals together and of every group is one family of comparisons (Benjamini-Hochberg).
    """
    columns = ["group", "step", "n", "rate", "rate_before", "age_days", "change", "p"]
    usable = steps[steps["watched"].notna()].set_index(["cohort", "group", "step"])
    rows = []
    for group, step in [key[1:] for key in usable.index if key[0] == "now"]:
        if ("before", group, step) not in usable.index:
            continue
        now, before = usable.loc[("now", group, step)], usable.loc[("before", group, step)]
        rates = [side["rate"] for side in (now, before)]
        p = p_of_change(now["watched"], before["watched"], now["age_days"])
        rows.append([group, step, now["n_reached"], *rates, now["age_days"], stats.difference(*rates), p])
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_adjusted=stats.adjust_for_many(table["p"]))


def shifts(
    book: crm.Book, params: Params, scope: Scope, steps: pd.DataFrame, changed: pd.DataFrame, closed: pd.DataFrame
) -> dict[int, Shift]:
    """Each stage that changed beyond chance, taken apart; and the one that changed least by chance where none did."""
    found = changed[changed["p_adjusted"] < SIGNIFICANT]
    found = found if len(found) else changed.sort_values("p", kind="stable").head(1)
    wanted = list(found.sort_values("p", kind="stable")["step"].drop_duplicates())
    return {int(step): one for step in wanted if (one := _shift(book, params, scope, steps, changed, closed, step))}


def _shift(book, params, scope, steps, changed, closed, step) -> Shift | None:
    here = changed[changed["step"] == step]
    groups = here[here["group"] != ALL]
    parts = _parts(groups if len(groups) else here, steps, step)
    if parts.empty:
        return None
    own = _added(parts["own"].tolist())
    mix = float(parts["mix"].sum())
    leader, share = _leader(parts, own)
    beyond = own.low > 0 or own.high < 0
    hot = here[here["p_adjusted"] < SIGNIFICANT].sort_values("p", kind="stable")
    least = here.sort_values("p", kind="stable").iloc[0]
    of_group = leader if leader in set(hot["group"]) else least["group"]
    quarters = _quarters(book, params, scope, step, of_group)
    together = hot[hot["group"] == ALL]
    row = (together if len(together) else hot).iloc[0] if len(hot) else None  # the one that the page speaks of
    since = []
    if row is not None:
        way = np.sign(here.set_index("group").loc[of_group, "change"].value)
        out = quarters[(quarters["p_adjusted"] < SIGNIFICANT) & (np.sign(quarters["gap"]) == way)]
        since = out["period"].tolist()
    return Shift(
        total=mix + own.value,
        mix=mix,
        own=own,
        parts=parts,
        leader=leader,
        share_of_own=share,
        reversed=bool(beyond and len(parts) > 1 and (mix + own.value) * own.value < 0),
        of_group=of_group,
        quarters=quarters.drop(columns="gap"),
        since=since,
        money=money(steps, closed, row) if row is not None else None,
    )


def _parts(groups: pd.DataFrame, steps: pd.DataFrame, step: int) -> pd.DataFrame:
    """Kitagawa's parts over the groups whose rates are known in both times, all at the least of their ages."""
    here = steps[steps["step"] == step].set_index(["cohort", "group"])
    reached, age = here["n_reached"], groups["age_days"].min() * DAY_HOURS
    rates = {side: [here.loc[(side, g), "watched"].at(age) for g in groups["group"]] for side in ("now", "before")}
    n = pd.DataFrame({side: [reached.get((side, g), 0) for g in groups["group"]] for side in ("now", "before")})
    share = n / n.sum()
    rate = pd.DataFrame({side: [one.value for one in found] for side, found in rates.items()})
    found = stats.kitagawa(share, rate)
    middle = share.mean(axis=1)
    changed = [stats.difference(*pair) for pair in zip(rates["now"], rates["before"], strict=True)]
    own = [Estimate(*(w * x for x in c[:3]), c.n) for w, c in zip(middle, changed, strict=True)]
    return pd.DataFrame({
        "group": groups["group"].to_numpy(), "n": n["now"].to_numpy(), "rate": rates["now"],
        "rate_before": rates["before"], "age_days": age / DAY_HOURS, "share": share["now"].to_numpy(),
        "share_before": share["before"].to_numpy(), "mix": found["mix"].to_numpy(), "own": own,
    })  # fmt: skip


def _added(parts: list[Estimate]) -> Estimate:
    """The sum of independent estimates, from their own intervals (square and add)."""
    value = sum(one.value for one in parts)
    low = value - np.sqrt(sum((one.value - one.low) ** 2 for one in parts))
    high = value + np.sqrt(sum((one.high - one.value) ** 2 for one in parts))
    return Estimate(value, float(low), float(high), sum(one.n for one in parts))


def _leader(parts: pd.DataFrame, own: Estimate) -> tuple[str | None, float | None]:
    """The group whose own rate did most in the direction of all, and its share of what all did."""
    if len(parts) < 2 or own.value == 0:
        return None, None
    values = np.array([one.value for one in parts["own"]]) * np.sign(own.value)
    return parts["group"].iloc[int(values.argmax())], float(values.max() / abs(own.value))


def _quarters(book: crm.Book, params: Params, scope: Scope, step: int, group: str) -> pd.DataFrame:
    """The share by quarter of reaching the stage, each against all the others, corrected for their number."""
    if not scope.rules.once_reached:  # would count otherwise than the page
        return pd.DataFrame(columns=["period", "n", "rate", "gap", "p_adjusted"])
    last = scope.cohorts["now"].last_on
    months = [periods.add_months(last, -3 * k) for k in reversed(range(N_QUARTERS))]
    spans = {f"q{k}": periods.quarter_of(month, params.year_starts) for k, month in enumerate(months)}
    table = _by_quarter(book, scope, params.segment_by, step, group, spans)
    rows = []
    for key, span in spans.items():
        part, rest = table[table["quarter"] == key], table[table["quarter"] != key]
        here, others = watch(part, "moved", scope), watch(rest, "moved", scope)
        age = np.nanmin([here["age_days"], others["age_days"]]) if here["watched"] and others["watched"] else np.nan
        row = {"period": span, "n": int(part["n"].sum()), "rate": None, "gap": np.nan, "p": np.nan}
        if age >= LEAST_PART * scope.horizon_days:
            rates = [one["watched"].at(age * DAY_HOURS) for one in (here, others)]
            p = p_of_change(here["watched"], others["watched"], age)
            row |= {"rate": rates[0], "gap": rates[0].value - rates[1].value, "p": p}
        rows.append(row)
    found = pd.DataFrame(rows)
    tested = found["p"].notna()
    found["p_adjusted"] = np.nan
    found.loc[tested, "p_adjusted"] = stats.adjust_for_many(found.loc[tested, "p"])
    return found[found["n"] > 0].drop(columns="p").reset_index(drop=True)


def _by_quarter(book, scope, segment_by, step, group, spans) -> pd.DataFrame:
    """quarter, outcome, age, n: of every deal that reached the stage in these quarters, whenever it was created."""
    first, last = min(s.first_on for s in spans.values()), max(s.last_on for s in spans.values())
    whole = periods.Period("", periods.add_months(first, -12), last)
    everyone = scope._replace(cohorts={"now": whole}, rules=scope.rules._replace(cohort_by="entry", count_of="uniques"))
    everyone = everyone._replace(segment_by=segment_by if group != ALL else "none")
    deals = cohorts.cohort_deals(book, everyone, cohorts.base_deals(book, everyone, []))
    if group != ALL:
        deals = deals.filter(_.group.isnull() if group == crm.NOT_KNOWN else _.group == group)
    paths = counts.paths(book, everyone, deals)
    reached = paths[f"t{step}"]
    bounds = {key: cohorts.bounds(span, book) for key, span in spans.items()}
    epochs = {key: [int(pd.Timestamp(moment).timestamp()) for moment in pair] for key, pair in bounds.items()}
    quarter = ibis.cases(*[((reached >= low) & (reached < high), key) for key, (low, high) in epochs.items()])
    moved, lost = paths[f"t{step + 1}"], paths.t_lost
    until = moved.coalesce(lost).coalesce(paths.t_end)
    outcome = ibis.cases((moved.notnull(), "moved"), (lost.notnull(), LOST), else_="open")
    age = ibis.greatest((until - reached) // cohorts.HOUR, 0)
    rows = paths.select(quarter=quarter, outcome=outcome, age=age).filter(_.quarter.notnull())
    return rows.group_by("quarter", "outcome", "age").agg(n=_.count()).execute()


def money(steps: pd.DataFrame, closed: pd.DataFrame, row: pd.Series) -> Estimate | None:
    """What the change costs or brings: deals that reached the stage now x change x share of those further that
    were won before x their mean won amount; of the group, or of all where the group has too few."""
    won = closed[(closed["group"] == row["group"])]
    if won["n_won"].sum() < 20:
        won = closed[closed["group"] == ALL]
    n_won, amount = won["n_won"].sum(), won["won_amount"].sum()
    before = steps[(steps["cohort"] == "before") & (steps["step"] > row["step"])].set_index(["group", "step"])["rate"]
    later = sorted(steps.loc[steps["step"] > row["step"], "step"].unique())
    rates = [before.get((row["group"], k)) or before.get((ALL, k)) for k in later]
    if not n_won or not np.isfinite(amount) or amount <= 0 or any(rate is None for rate in rates):
        return None
    worth = row["n"] * float(np.prod([rate.value for rate in rates])) * amount / n_won
    return Estimate(*(worth * x for x in row["change"][:3]), row["n"])
