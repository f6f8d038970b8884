"""What the engine counts for the funnel: Ibis expressions that return small tables.

What a deal is (won, lost, open) is what it was at the end of `as_of`, so a deal that was lost and came back is
followed on; a lost deal is not counted beyond its last real stage. Ages are whole hours, by epoch seconds, which every
engine counts alike.
"""

import ibis
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.funnel.cohorts import HOUR, LOST, OPEN, WON, Scope, closed_within

AMOUNTS = ("n_amount", "n_negative", "total", "squares")


def _sums(amount: ibis.Column) -> dict[str, ibis.Value]:
    """How many have an amount, how many one below zero, their sum and the sum of their squares, in minor units."""
    exact = amount.cast("float64")
    return {
        "n_amount": amount.count(),
        "n_negative": (amount < 0).sum().coalesce(0),
        "total": exact.sum().coalesce(0.0),
        "squares": (exact * exact).sum().coalesce(0.0),
    }


def paths(book: crm.Book, scope: Scope, cohort: ibis.Table) -> ibis.Table:
    """`cohort` with when each deal reached each step (t0, t1, ... won) or was lost, in epoch seconds.

    A step counts by the rule of the scope: `reached` or passed, or `strict`ly entered after all before it; `r0, r1,
    ...` are when it was reached or passed. `own0, ...`: whether it was entered itself, which dates it.
    """
    n, offset = len(scope.stages), scope.rules.accepted_stage - 1
    visits = book.own_visits.semi_join(cohort, "deal_id")
    won, lost = (visits.kind == kind for kind in (WON, LOST))
    ended = visits.left_at.isnull()
    at = visits.entered_at.epoch_seconds()
    place = visits.position - offset
    step = ibis.cases((won, n + 1), (place > n, n), else_=place)  # missing where not known
    reached = ~lost & (~won | ended)
    since = visits.kind_since.epoch_seconds()
    times = {f"r{k}": at.min(where=reached & (step >= k + 1)) for k in range(1, n)}
    times[f"r{n}"] = since.min(where=won & ended)
    entered = {f"e{k}": at.min(where=(step == k + 1) & (visits.kind == OPEN)) for k in range(n)}
    own = {f"own{k}": ((step == k + 1) & (visits.kind == OPEN)).any().fill_null(False) for k in range(n)}
    own |= {} if any(scope.stages) else {"own0": (visits.seq >= 0).any()}  # every deal's creation is known
    times_of = visits.group_by("deal_id").agg(
        first_s=at.min(), t_lost=since.max(where=lost & ended), **times, **entered, **own
    )
    found = cohort.join(times_of, "deal_id")
    begun = ibis.least(found.first_s, found.entry_s) if offset == 0 else found.entry_s
    found = found.mutate(r0=begun, t_end=ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64"))
    if scope.rules.stage_rule == "reached":
        return found.mutate(**{f"t{k}": found[f"r{k}"] for k in range(n + 1)})
    strict = found.own0
    steps = {"t0": ibis.ifelse(strict, found.r0, ibis.null("int64"))}
    for k in range(1, n):
        strict = strict & found[f"own{k}"]
        steps[f"t{k}"] = ibis.ifelse(strict, found[f"e{k}"], ibis.null("int64"))
    return found.mutate(**steps, **{f"t{n}": ibis.ifelse(strict, found[f"r{n}"], ibis.null("int64"))})


def step_counts(scope: Scope, paths: ibis.Table) -> pd.DataFrame:
    """cohort, group, step, dated, outcome, age (hours), n and sums of amounts: what became of the deals at each step.

    The outcome is moved, lost, open, or under the strict rule other: it went past the next step.
    """
    parts = []
    for k in range(len(scope.stages)):
        here = paths.filter(paths[f"t{k}"].notnull())
        moved, lost, past = here[f"t{k + 1}"].notnull(), here.t_lost.notnull(), here[f"r{k + 1}"].notnull()
        last = ibis.cases((moved, here[f"t{k + 1}"]), (past, here[f"r{k + 1}"]), (lost, here.t_lost), else_=here.t_end)
        outcome = ibis.cases((moved, "moved"), (past, "other"), (lost, "lost"), else_="open")
        rows = here.select(
            "cohort", "group", "amount_minor", "until_s", "from_s",
            step=ibis.literal(k), dated=here[f"own{k}"], outcome=outcome, begun=here[f"t{k}"], last=last,
        )  # fmt: skip
        parts.append(rows)
    rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return _by_age(rows, scope, ["cohort", "group", "step", "dated", "outcome"])


def visit_counts(book: crm.Book, scope: Scope, cohort: ibis.Table) -> pd.DataFrame:
    """As `step_counts`, each visit of a stage for itself: it ended further on, lost, other (a stage before), or not."""
    visits = book.own_visits
    order = ibis.window(group_by=visits.deal_id, order_by=visits.seq)
    visits = visits.mutate(
        to=visits.position.lead().over(order), to_kind=visits.kind.lead().over(order), to_at=visits.left_at
    )
    visits = visits.filter(_.kind == OPEN, _.entered_at.notnull(), _.position >= scope.rules.accepted_stage)
    seen = visits.join(cohort, "deal_id")
    further = (seen.to_kind == WON) | ((seen.to_kind == OPEN) & (seen.to > seen.position))
    outcome = ibis.cases(
        (seen.to_at.isnull(), "open"), (further, "moved"), (seen.to_kind == LOST, "lost"), else_="other"
    )
    end = ibis.literal(int(pd.Timestamp(book.cut).timestamp()), "int64")
    rows = seen.select(
        "cohort", "group", "amount_minor", "until_s", "from_s",
        step=seen.position - scope.rules.accepted_stage, dated=ibis.literal(True), outcome=outcome,
        begun=seen.entered_at.epoch_seconds(), last=seen.to_at.epoch_seconds().coalesce(end),
    )  # fmt: skip
    return _by_age(rows, scope, ["cohort", "group", "step", "dated", "outcome"])


def _by_age(rows: ibis.Table, scope: Scope, keys: list[str]) -> pd.DataFrame:
    """Counts by age since the clock started, of what the cohort's convention takes."""
    match scope.rules.cohort_by:
        case "entry":
            clock = rows.begun
        case "active":  # from_s is the later of the entry and the first day of the months
            clock = ibis.greatest(rows.begun, rows.from_s)
            rows = rows.filter(rows.begun < rows.until_s, rows["last"] >= rows.from_s)
        case "snapshot":
            clock = rows.from_s
            rows = rows.filter(rows.begun < rows.until_s, rows["last"] >= rows.until_s)
    age = ibis.greatest((rows["last"] - clock) // HOUR, 0)
    counted = rows.select(*keys, "amount_minor", age=age).group_by(*keys, "age")
    return counted.agg(lambda table: table.count().name("n"), **_sums(rows.amount_minor)).execute()


def life_counts(paths: ibis.Table, dimensions: list[str]) -> pd.DataFrame:
    """dimension, cohort, group, outcome, age (hours since the clock started), n and sums of amounts.

    The dimension `group` is the one that the page is split by.
    """
    last = max(
        (name for name in paths.columns if name[0] == "r" and name[1:].isdigit()), key=lambda name: int(name[1:])
    )
    until = ibis.cases((paths.status == WON, paths[last]), (paths.status == LOST, paths.t_lost), else_=paths.t_end)
    clock = ibis.ifelse(paths.from_s == paths.entry_s, paths.r0, paths.from_s)
    age = ibis.greatest((until - clock) // HOUR, 0)
    names = ["group", *(f"by_{one}" for one in dimensions)]
    rows = paths.select(
        "cohort", "amount_minor", outcome=paths.status, age=age, **{name: paths[name] for name in names}
    )
    long = rows.pivot_longer(list(names), names_to="dimension", values_to="value")
    counted = long.group_by("dimension", "cohort", _.value.name("group"), "outcome", "age")
    table = counted.agg(n=_.count(), **_sums(long.amount_minor)).execute()
    return table.assign(dimension=table["dimension"].str.removeprefix("by_"))


def closing_counts(book: crm.Book, scope: Scope, base: ibis.Table) -> pd.DataFrame:
    """cohort (of the closing day), group, status, n, sums of amounts, days and squared days from creation to close.

    A deal closes when it was moved to won or lost; a lost one on its entered closing day where the scope says so.
    """
    deals = base.filter(_.closed_at.notnull())
    deals = deals.mutate(cohort=closed_within(deals, book, scope)).filter(_.cohort.notnull())
    days = (deals.closed_at.epoch_seconds() - deals.created_at.epoch_seconds()).cast("float64") / 86_400
    days = ibis.greatest(days, 0)
    counts = deals.group_by("cohort", "group", "status").agg(
        n=_.count(),
        **_sums(deals.amount_minor),
        n_days=days.count(),
        days=days.sum().coalesce(0.0),
        days_squares=(days * days).sum().coalesce(0.0),
    )
    return counts.execute().fillna({"group": crm.NOT_KNOWN})


def standing(book: crm.Book, scope: Scope) -> pd.DataFrame:
    """Every deal of the pipeline at the end of `as_of`: stage (missing where not known), kind, n, n_undated,
    n_amount, amount."""
    deals = book.deals.filter(_.pipeline == scope.pipeline)
    counts = deals.group_by("stage").agg(
        n=_.count(), n_undated=_.created_at.isnull().sum(), n_amount=_.amount_minor.count(), minor=_.amount_minor.sum()
    )
    stages = book.stages.filter(_.pipeline == scope.pipeline).execute().sort_values("position")
    counted = counts.execute()
    table = stages[["stage", "kind"]].merge(counted[counted["stage"].notna()], on="stage", how="left")
    table = pd.concat([table, counted[counted["stage"].isna()].assign(kind=OPEN)], ignore_index=True)
    table[["n", "n_undated", "n_amount"]] = table[["n", "n_undated", "n_amount"]].fillna(0).astype(int)
    amount = table["minor"].astype("float64") / book.minor_units
    return table.assign(amount=amount.where(table["n_amount"] > 0)).drop(columns="minor")


def open_before(book: crm.Book, scope: Scope) -> pd.DataFrame:
    """n_open and amount_minor of the pipeline at the end of the months compared with; no row where not known."""
    if "before" not in scope.cohorts or "amount" not in book.about["tracked"]:
        return pd.DataFrame(columns=["n_open", "amount_minor"])
    end = periods.end_of(scope.cohorts["before"].last_on, book.time_zone)
    spans = book.states.filter(_.kind == OPEN, _.entered_at < end, _.left_at.isnull() | (_.left_at >= end))
    spans = spans.filter(_.pipeline == scope.pipeline)
    return spans.agg(n_open=_.count(), amount_minor=_.amount_minor.sum()).execute()
