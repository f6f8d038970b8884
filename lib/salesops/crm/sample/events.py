"""What happens after a win in the sample company: what was true on that day is not true now.

Deals get another owner, are cancelled, change their amount, are shared by two reps; reps get another role or team, or
take leave; a quota is lowered. Every kind has a stream of its own and is drawn after all else, so without these events
every other fact is the same to the byte. Revenue, quotas, forecast calls and payments are those of the day of the win;
only what a cancelled deal would have paid later is left out.
"""

import datetime as dt

import numpy as np
import pandas as pd

from salesops import periods
from salesops.crm.sample.money import callers
from salesops.crm.sample.people import END, START
from salesops.crm.sample.truth import Plan

Tables = dict[str, pd.DataFrame]
KINDS = ("handed_over", "cancelled", "lowered", "raised", "shared")  # of deals; the first takes a deal first
EXECUTIVE, SENIOR, MANAGER = "Account executive", "Senior account executive", "Manager"
SHARES = (0.7, 0.5)  # of the owner; the other rep has the rest
LEAVES_FROM, LEAVES_TO = dt.date(2026, 1, 5), dt.date(2026, 8, 31)  # Mondays on which a leave may begin
MONDAYS = (LEAVES_TO - LEAVES_FROM).days // 7 + 1


def happen(made: Tables, plan: Plan, rng: np.random.Generator) -> tuple[Tables, dict[str, int]]:
    """The tables with the events of `plan`, and how many of each kind there are.

    What would happen after the last day of the sample does not happen. A small company may have none of a kind.
    """
    made = dict(made)
    streams = rng.spawn(len(KINDS) + 2)
    deals, reps = made["deals"], made["reps"]
    picked = _pick(deals, plan, streams)
    known = callers(reps).values()
    handed = picked["handed_over"]
    others = reps[~reps["rep_id"].isin(known)]  # the biased callers keep what they sold, so that their bias is seen
    happened = {
        "handed_over": _hand_over(made, handed[~handed["rep_id"].isin(known)], others, streams[0]),
        "cancelled": _cancel(made, picked["cancelled"]),
        "lowered": _amend(made, picked["lowered"], plan, -1, streams[2]),
        "raised": _amend(made, picked["raised"], plan, 1, streams[3]),
        **_share(made, picked["shared"], reps, plan, streams[4]),
        **_staff(made, plan, streams[5]),
        "quotas_cut": _cut_quotas(made, plan, streams[6]),
    }
    return made, happened


def _pick(deals: pd.DataFrame, plan: Plan, streams: list[np.random.Generator]) -> Tables:
    """By kind, the deals with the moment `at` of their event; no deal has two kinds."""
    won = deals[deals["status"] == "won"]
    month = won["closed_at"].dt.strftime("%Y-%m")
    watched = month.between(plan.events_since, plan.events_until)
    asked = {
        "handed_over": (plan.handed_over, plan.handed_over_days, month.notna()),
        "cancelled": (plan.cancelled, plan.cancelled_days, watched),
        "lowered": (plan.lowered, plan.amended_days, watched),
        "raised": (plan.raised, plan.amended_days, watched),
        "shared": (plan.shared, (0, 0), month >= plan.shared_since),
    }
    free, picked = np.ones(len(won), dtype=bool), {}
    for (kind, (share, days, where)), rng in zip(asked.items(), streams, strict=False):
        drawn = (rng.random(len(won)) < share) & where.to_numpy()
        at = won["closed_at"] if kind == "shared" else _later(won["closed_at"], days, rng)
        here = drawn & free & (at < END).to_numpy()
        picked[kind] = won[here].assign(at=at[here])
        free &= ~here
    return picked


def _later(won_at: pd.Series, days: tuple[int, int], rng: np.random.Generator) -> pd.Series:
    """Moments in working hours so many days after the day of the win."""
    day = pd.to_timedelta(rng.integers(days[0], days[1] + 1, len(won_at)), unit="D")
    seconds = pd.to_timedelta(8 * 3600 + rng.integers(0, 10 * 3600, len(won_at)), unit="s")
    return (won_at.dt.normalize() + day + seconds).astype(won_at.dtype)


def _logged(made: Tables, deals: pd.DataFrame, field: str, old, new) -> None:
    """One change of each deal at its `at`, in the log's order."""
    at = (deals["at"] - START).dt.total_seconds()
    rows = pd.DataFrame({
        "deal": deals.index, "at": at, "field": field, "old_value": old, "new_value": new,
        "deal_id": deals["deal_id"], "changed_at": deals["at"], "changed_by": deals["rep_id"],
    })  # fmt: skip
    if len(rows):
        log = pd.concat([made["changes"], rows], ignore_index=True)
        made["changes"] = log.sort_values(["deal", "at"], kind="stable", ignore_index=True)


def _now(made: Tables, deals: pd.DataFrame, **values) -> None:
    """What the CRM shows of these deals now."""
    table = made["deals"].copy()
    for column, value in values.items():
        table.loc[deals.index, column] = value
    made["deals"] = table


def _another(deals: pd.DataFrame, on: pd.Series, reps: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Another rep of the deal's region who is there on the day; missing where there is none."""
    day = (on - START).dt.days.to_numpy()[:, None]
    free = (reps["region"].to_numpy() == deals["region"].to_numpy()[:, None]) & (
        reps["rep_id"].to_numpy() != deals["rep_id"].to_numpy()[:, None]
    )
    free &= (reps["hired_day"].to_numpy() <= day) & (reps["left_day"].to_numpy() > day)
    nth = np.where(free, rng.random(free.shape), -1.0).argmax(axis=1)
    return pd.Series(reps["rep_id"].to_numpy()[nth], index=deals.index).where(free.any(axis=1))


def _hand_over(made: Tables, deals: pd.DataFrame, reps: pd.DataFrame, rng: np.random.Generator) -> int:
    heir = _another(deals, deals["at"], reps, rng).dropna()
    deals = deals.loc[heir.index]
    _logged(made, deals, "rep_id", deals["rep_id"], heir)
    _now(made, deals, rep_id=heir)
    return len(deals)


def _cancel(made: Tables, deals: pd.DataFrame) -> int:
    _logged(made, deals, "stage", "Won", "Lost")
    _logged(made, deals, "forecast_category", "closed", "omitted")
    _now(made, deals, stage="Lost", status="lost", forecast_category="omitted", closed_at=deals["at"],
         lost_reason="Contract cancelled", probability=0.0)  # fmt: skip
    payments = made["payments"]
    ended = deals.set_index("deal_id")["at"].reindex(payments["deal_id"])
    made["payments"] = payments[~(payments["paid_at"].to_numpy() >= ended.to_numpy())]
    return len(deals)


def _amend(made: Tables, deals: pd.DataFrame, plan: Plan, sign: int, rng: np.random.Generator) -> int:
    before = deals["amount_minor"].astype("int64")
    factor = 1 + sign * rng.uniform(*plan.amended_by, len(deals))
    after = (np.round(before * factor / 1000) * 1000).astype("int64")
    _logged(made, deals, "amount", before.astype("str"), after.astype("str"))
    _now(made, deals, amount_minor=after)
    return len(deals)


def _share(made: Tables, deals: pd.DataFrame, reps: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> dict:
    """Shares hold from the day of the win; where they change, from one day to the next."""
    other = _another(deals, deals["at"], reps, rng)
    nth = rng.integers(0, len(SHARES), len(deals))
    changed_on = _later(deals["at"], plan.reshared_days, rng)
    changes = (rng.random(len(deals)) < plan.reshared) & (changed_on < END).to_numpy()
    changed_on = changed_on.where(changes).dt.date
    since = deals["closed_at"].dt.date
    parts = [_shares(deals, other, nth, since, changed_on.map(_before, na_action="ignore"))]
    parts += [_shares(deals, other, 1 - nth, changed_on, None)[np.tile(changes, 2)]]
    table = pd.concat(parts).dropna(subset=["rep_id"])
    table = table[table["deal_id"].isin(deals.loc[other.notna(), "deal_id"])]
    made["splits"] = table.sort_values(["deal_id", "valid_from", "rep_id"], kind="stable", ignore_index=True)
    n_shared = table["deal_id"].nunique()
    return {"shared": n_shared, "reshared": len(table) // 2 - n_shared}


def _shares(deals: pd.DataFrame, other: pd.Series, nth: np.ndarray, since, until) -> pd.DataFrame:
    share = np.array(SHARES)[nth]
    facts = {"deal_id": deals["deal_id"], "kind": "direct", "valid_from": since, "valid_to": until}
    both = [(deals["rep_id"], share), (other, np.round(1 - share, 2))]
    return pd.concat([pd.DataFrame({**facts, "rep_id": rep, "share": part}) for rep, part in both])


def _before(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=1)


def _staff(made: Tables, plan: Plan, rng: np.random.Generator) -> dict[str, int]:
    """Dated rows of reps who are there all of 2026; no rep has two events, and the biased callers have none."""
    reps = made["reps"]
    since, until = (pd.Timestamp("2026-01-01") - START).days, (END - START).days
    there = (reps["hired_day"] < since) & (reps["left_day"] > until) & ~reps["rep_id"].isin(callers(reps).values())
    free = list(rng.permutation(reps.index[there]))
    n_teams = reps.groupby("region")["team"].nunique()
    few = _deals_since(made["deals"], reps, plan)
    events = []
    for on in plan.manager_on[: len(free)]:  # who has the fewest new deals: a manager should have none
        events.append(("managers", min(free, key=few.__getitem__), on, {"role": MANAGER}))
        free.remove(events[-1][1])
    for on, rep in zip(plan.moved_on, [one for one in free if n_teams[reps.at[one, "region"]] > 1], strict=False):
        events.append(("moved", rep, on, _other_team(reps, rep)))
        free.remove(rep)
    events += [("promoted", free.pop(), on, {"role": SENIOR}) for on in plan.promoted_on[: len(free)]]
    table = reps.assign(valid_from=None, valid_to=None, status=None)
    for _kind, rep, on, values in events:
        table = _spell(table, rep, dt.date.fromisoformat(on), None, values)
    for rep in (on_leave := free[: plan.on_leave]):
        begins = LEAVES_FROM + dt.timedelta(weeks=int(rng.integers(0, MONDAYS)))
        weeks = int(rng.integers(plan.leave_weeks[0], plan.leave_weeks[1] + 1))
        table = _spell(table, rep, begins, begins + dt.timedelta(days=7 * weeks - 1), {"status": "leave"})
    made["reps"] = table
    kinds = [kind for kind, *_event in events]
    return {kind: kinds.count(kind) for kind in ("promoted", "managers", "moved")} | {"on_leave": len(on_leave)}


def _deals_since(deals: pd.DataFrame, reps: pd.DataFrame, plan: Plan) -> pd.Series:
    """By row of `reps`, the deals created since the first day on which somebody becomes a manager."""
    since = min(plan.manager_on, default="2026-01-01")
    counts = deals.loc[deals["created_at"] >= since, "rep_id"].value_counts()
    return reps["rep_id"].map(counts).fillna(0)


def _other_team(reps: pd.DataFrame, rep: int) -> dict[str, str]:
    """Another team of the rep's region, with its manager: the next by name."""
    mine = reps.loc[rep]
    others = reps[(reps["region"] == mine["region"]) & (reps["team"] != mine["team"])]
    there = others.sort_values(["team", "rep_id"]).iloc[0]
    return {"team": there["team"], "manager_id": there["manager_id"]}


def _spell(table: pd.DataFrame, at: int, since: dt.date, until: dt.date | None, values: dict) -> pd.DataFrame:
    """The row at an index as two or three: before, from `since` to `until` with other values, and as before again."""
    row = table.loc[[at]]
    parts = [row.assign(valid_to=_before(since)), row.assign(valid_from=since, valid_to=until, **values)]
    if until is not None:
        parts.append(row.assign(valid_from=until + dt.timedelta(days=1)))
    return pd.concat([table.drop(index=at), *parts]).sort_index(kind="stable")


def _cut_quotas(made: Tables, plan: Plan, rng: np.random.Generator) -> int:
    """The quota of the running quarter is lowered for one rep on each of the days."""
    table = made["quotas"].reset_index(drop=True).assign(valid_from=None, valid_to=None)
    biased, n_cut = callers(made["reps"]).values(), 0
    for on in map(dt.date.fromisoformat, plan.quota_cut_on):
        asked = table["period"] == periods.calendar_name(periods.quarter_of(on))
        rows = table.index[asked & table["valid_to"].isna() & ~table["rep_id"].isin(biased)]
        if len(rows):
            at = rng.choice(rows)
            amount = int(round(table.at[at, "amount_minor"] * (1 - plan.quota_cut) / 100_000) * 100_000)
            table = _spell(table, at, on, None, {"amount_minor": amount}).reset_index(drop=True)
            n_cut += 1
    made["quotas"] = table
    return n_cut
