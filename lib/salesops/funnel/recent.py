"""What changed only lately: deals that reached a stage in the last two months against those of the year before.

Deals created in the months of the page have reached the late stages over all of these months, so that what changed in
the last of them is thinned out among the others, and shows a quarter later.
"""

from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods, stats
from salesops.funnel import cohorts, counts
from salesops.funnel.cohorts import LOST, OPEN, Scope
from salesops.funnel.shift import SIGNIFICANT, money
from salesops.funnel.watching import DAY_HOURS, p_of_change, watch

MONTHS, YEAR = 2, 12


class Recent(NamedTuple):
    """now, before : the last two months, and the year before them. table : group, step, n, rate, rate_before, age_days,
    change (Estimate), p, p_adjusted, and money (Estimate) of what changed beyond chance, see `shift.money`; every
    stage of all deals and of every group is one family (Benjamini-Hochberg)."""

    now: periods.Period
    before: periods.Period
    table: pd.DataFrame


def measure(book: crm.Book, scope: Scope, base: ibis.Table, steps: pd.DataFrame, closed: pd.DataFrame) -> Recent | None:
    """None where stages are not logged, or are counted otherwise than once for each deal that reached them, or where
    the last month is not known in full.

    base : the deals that count, with `group`; see `cohorts.base_deals`. steps, closed : as in `Funnel`.
    """
    if book.about["history"] != "changes" or not scope.rules.once_reached:
        return None
    last = scope.cohorts["now"].last_on
    if book.as_of < last:
        return None
    now = periods.trailing(scope.cohorts["now"], MONTHS)
    before = periods.trailing(periods.before(now), YEAR)
    rows, counted = [], _counts(book, scope, base, now, before)
    groups = [crm.ALL, *sorted(set(counted["group"]) - {crm.ALL})]
    for group in groups:
        own = counted[counted["group"] == group] if group != crm.ALL else counted
        for step in range(len(scope.stages)):
            here = own[own["step"] == step]
            sides = [watch(here[here["cohort"] == name], "moved", scope) for name in ("now", "before")]
            if not all(side["watched"] for side in sides):
                continue
            age = float(np.min([side["age_days"] for side in sides]))
            rates = [side["watched"].at(age * DAY_HOURS) for side in sides]
            p = p_of_change(*(side["watched"] for side in sides), age)
            n = int(here.loc[here["cohort"] == "now", "n"].sum())
            rows.append([group, step, n, *rates, age, stats.difference(*rates), p])
    columns = ["group", "step", "n", "rate", "rate_before", "age_days", "change", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_adjusted"] = stats.adjust_for_many(table["p"]) if len(table) else []
    beyond = table["p_adjusted"] < SIGNIFICANT
    table["money"] = [
        money(steps, closed, row) if hot else None for (_k, row), hot in zip(table.iterrows(), beyond, strict=True)
    ]
    return Recent(now, before, table)


def _counts(
    book: crm.Book, scope: Scope, base: ibis.Table, now: periods.Period, before: periods.Period
) -> pd.DataFrame:
    """cohort, group, step, outcome, age (hours), n: by when a deal reached the step, whenever it was created."""
    whole = periods.Period("", periods.add_months(before.first_on, -YEAR), now.last_on)
    everyone = scope._replace(cohorts={"now": whole}, rules=scope.rules._replace(cohort_by="entry"))
    paths = counts.paths(book, everyone, cohorts.cohort_deals(book, everyone, base))
    parts = []
    for k in range(len(scope.stages)):
        here = paths.filter(paths[f"t{k}"].notnull())
        moved, lost = here[f"t{k + 1}"], here.t_lost
        outcome = ibis.cases((moved.notnull(), "moved"), (lost.notnull(), LOST), else_=OPEN)
        age = (moved.coalesce(lost).coalesce(here.t_end) - here[f"t{k}"]) // cohorts.HOUR
        parts.append(here.select("group", reached=here[f"t{k}"], step=ibis.literal(k), outcome=outcome,
                                 age=ibis.greatest(age, 0)))  # fmt: skip
    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    spans = {name: [int(pd.Timestamp(moment).timestamp()) for moment in cohorts.bounds(span, book)]
             for name, span in (("now", now), ("before", before))}  # fmt: skip
    cohort = ibis.cases(*[((_.reached >= low) & (_.reached < high), name) for name, (low, high) in spans.items()])
    rows = rows.mutate(cohort=cohort).filter(_.cohort.notnull())
    found = rows.group_by("cohort", "group", "step", "outcome", "age").agg(n=_.count()).execute()
    return found.assign(group=found["group"].fillna(crm.NOT_KNOWN))
