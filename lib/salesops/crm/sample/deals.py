"""The deals of the sample company: how they are created, how they live, what the CRM wrote down."""

import numpy as np
import pandas as pd

from salesops import periods
from salesops.crm.sample.people import DAY, END, START, ids, moments
from salesops.crm.sample.truth import (
    DWELL_DAYS,
    DWELL_FACTOR,
    DWELL_SIGMA,
    MONTHS,
    MOVES,
    PIPELINES,
    PRODUCTS,
    REOPENED,
    SOURCES,
    Plan,
)

END_S = (END - START).total_seconds()
SEASON = np.array([0.92, 1.0, 1.12, 0.95, 0.98, 1.06, 0.84, 0.80, 1.10, 1.06, 1.12, 0.95])  # by calendar month
AMOUNT = {"Enterprise": 90_000, "Mid-market": 28_000, "SMB": 7_500}  # medians
LIMIT = 40  # moves of one deal; the chance of more is below one in a million
CATEGORY = ("pipeline", "pipeline", "best_case", "commit")
REASONS = ("Price", "No decision", "Competitor", "No budget", "Timing")
STEPS = ("Call the buyer", "Send the offer", "Meet the board", "Agree the contract")


def stages() -> pd.DataFrame:
    rows = []
    for pipeline, names in PIPELINES.items():
        n = len(names)
        chance = np.linspace(0.15, 0.75, n)
        for k, stage in enumerate(names):
            rows.append((pipeline, stage, k + 1, "open", round(float(chance[k]), 2), _category(n)[k]))
        rows += [(pipeline, "Won", n + 1, "won", 1.0, "closed"), (pipeline, "Lost", n + 2, "lost", 0.0, "omitted")]
    return pd.DataFrame(rows, columns=["pipeline", "stage", "position", "kind", "probability", "forecast_category"])


def create(n: int, reps: pd.DataFrame, accounts: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """The deals at birth: when, for whom, by whom, how large. Sorted by the moment of creation."""
    account = rng.integers(0, len(accounts), n)
    region = accounts["region_code"].to_numpy()[account]
    created = np.empty(n)
    for k, name in enumerate(accounts["region"].unique()[np.argsort(accounts["region_code"].unique())]):
        here = region == k
        created[here] = _when(int(here.sum()), name == plan.stalled_region, plan, rng)
    order = np.argsort(created, kind="stable")
    created, account, region = created[order], account[order], region[order]
    segment = accounts["segment"].to_numpy()[account]
    median = pd.Series(segment).map(AMOUNT).to_numpy()
    expansion = rng.random(n) < 0.25
    amount = np.round(median * rng.lognormal(0, 0.55, n) * np.where(expansion, 0.4, 1.0), -1).clip(500)
    discount = np.round(rng.beta(2, 14, n), 3)
    return pd.DataFrame({
        "deal_id": ids("D", n), "account_id": accounts["account_id"].to_numpy()[account],
        "account": accounts["name"].to_numpy()[account], "segment": segment,
        "region": accounts["region"].to_numpy()[account], "created_s": created,
        "rep_id": _owner(created, region, reps, rng),
        "pipeline": np.where(expansion, "Expansion", "New business"),
        "source": np.array(SOURCES, dtype=object)[rng.choice(4, n, p=[0.38, 0.30, 0.18, 0.14])],
        "product": np.array(PRODUCTS, dtype=object)[rng.choice(3, n, p=[0.5, 0.3, 0.2])],
        "amount": amount, "list_amount": np.round(amount / (1 - discount), 2),
    })  # fmt: skip


def _when(n: int, stalls: bool, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Seconds since `START`, by growth and season; in working hours of working days mostly."""
    month = np.arange(MONTHS)
    first = START.year * 12 + START.month - 1
    since = int(plan.stalled_since[:4]) * 12 + int(plan.stalled_since[5:]) - 1 - first
    grown = np.minimum(month, since) if stalls else month
    weight = (1 + plan.growth_a_year) ** (grown / 12) * SEASON[(first + month) % 12]
    edges = [(START + pd.DateOffset(months=int(m)) - START).days for m in range(MONTHS + 1)]
    drawn = rng.choice(MONTHS, n, p=weight / weight.sum())
    low, high = np.array(edges[:-1])[drawn], np.array(edges[1:])[drawn]
    day = low + np.floor(rng.random(n) * (high - low))
    weekday = (day + START.weekday()) % 7
    moved = np.where((weekday >= 5) & (day >= low + 2), day - (weekday - 4), day)
    return moved * DAY + np.floor((8 + 10 * rng.random(n)) * 3600)


def _owner(created: np.ndarray, region: np.ndarray, reps: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """A rep of the region who was there on the day; new ones ramp up over their first half year."""
    owner = np.empty(len(created), dtype=object)
    day = created // DAY
    for k in range(4):
        team = reps[np.arange(len(reps)) % 4 == k]
        hired, left = team["hired_day"].to_numpy(), team["left_day"].to_numpy()
        month = (day // 30).astype(int)
        for m in np.unique(month[region == k]):
            here = (region == k) & (month == m)
            tenure = m * 30 - hired
            weight = np.where((tenure >= 0) & (m * 30 + 30 < left), np.clip(tenure / 180, 0.15, 1.0), 0.0)
            owner[here] = team["rep_id"].to_numpy()[rng.choice(len(team), here.sum(), p=weight / weight.sum())]
    return owner


def shocks(seed: int, spread: float) -> np.ndarray:
    """What all chances to go on have in common, on the logit, by quarter from that of `START`."""
    return np.random.default_rng([seed, 20261031]).normal(0, spread, MONTHS // 3 + 1)


def live(created: pd.DataFrame, plan: Plan, common: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Every stay of every deal until the last day: deal, at (seconds), code of the stage.

    Codes: 0, 1, ... are the open stages of the deal's pipeline, -1 is won, -2 is lost. All deals move
    at once, step by step. `created` gains `ended_s`, NaN while open.
    """
    n = len(created)
    expansion = (created["pipeline"] == "Expansion").to_numpy()
    last = np.where(expansion, 2, 3)
    chance, usual_days = _chances(created)
    partner = (created["source"] == "Partner").to_numpy()
    at, stage, who = created["created_s"].to_numpy().copy(), np.zeros(n, dtype=int), np.arange(n)
    ended, stays = np.full(n, np.nan), [(who, at.copy(), stage.copy())]
    drop = _drop(created, plan)
    for _step in range(LIMIT):
        k, m = stage[who], len(who)
        advance, skip, back = (chance[who, k, j] for j in range(3))
        in_drop = drop["deal"][who] & (k == drop["stage"]) & (at[who] >= drop["from"]) & (at[who] < drop["to"])
        advance = np.where(in_drop, advance * plan.drop_factor, advance)
        if common.any():
            advance, skip = _shocked(advance, skip, back, common[_quarter_number(at[who])])
        stale = ~expansion[who] & (k == 2) & (rng.random(m) < plan.stale_share)
        advance = np.where(stale, plan.stale_advance, advance)
        skip, back = np.where(stale, 0, skip), np.where(stale, 0, back)
        drawn = rng.random(m)
        to = np.select(
            [drawn < advance, drawn < advance + skip, drawn < advance + skip + back], [k + 1, k + 2, k - 1], -2
        )
        days = usual_days[who, k] * rng.lognormal(0, DWELL_SIGMA, m) * np.where(to == -2, 1.3, 1.0)
        days = np.where(stale, rng.uniform(*plan.stale_days, m), days) * np.where(
            partner[who], plan.partner_dwell_factor, 1
        )
        won = to > last[who]
        leaves = _rush(at[who] + np.maximum(days, 0.02) * DAY, at[who], won, rng)
        at[who], stage[who] = leaves, np.where(won, -1, to)
        who = who[leaves < END_S]
        if not len(who):
            break
        stays.append((who, at[who].copy(), stage[who].copy()))
        ended[who[stage[who] < 0]] = at[who[stage[who] < 0]]
        comes_back = (stage[who] == -2) & (rng.random(len(who)) < REOPENED)
        returning = who[comes_back]
        at[returning] += rng.uniform(20, 60, len(returning)) * DAY
        stage[returning] = last[returning] - 1
        returning = returning[at[returning] < END_S]
        ended[returning] = np.nan
        if len(returning):
            stays.append((returning, at[returning].copy(), stage[returning].copy()))
        who = who[(stage[who] >= 0) & (at[who] < END_S)]
    created["ended_s"] = ended
    log = pd.DataFrame(
        {
            name: np.concatenate(part)
            for name, part in zip(("deal", "at", "code"), zip(*stays, strict=True), strict=True)
        }
    )
    return log.sort_values(["deal", "at"], kind="stable", ignore_index=True)


def _quarter_number(at: np.ndarray) -> np.ndarray:
    """Quarters since that of `START`, of seconds since then."""
    when = (START + pd.to_timedelta(at, unit="s")).to_period("Q")
    return np.asarray(when.year * 4 + when.quarter) - (START.year * 4 + (START.month - 1) // 3 + 1)


def _shocked(advance: np.ndarray, skip: np.ndarray, back: np.ndarray, shock: np.ndarray) -> tuple:
    """Chances to go on, by one step or two, with their odds to do so moved; never more than what `back` leaves."""
    on = advance + skip
    odds = on / (1 - on) * np.exp(shock)
    moved = np.minimum(odds / (1 + odds), 1 - back)
    return advance * moved / on, skip * moved / on


def _chances(created: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """By deal and stage: chances (advance, skip, back), and the median days of a stay."""
    keys = list(MOVES)
    table, days = np.zeros((len(keys), 4, 3)), np.zeros((len(keys), 4))
    for i, (pipeline, segment) in enumerate(keys):
        for k, move in enumerate(MOVES[pipeline, segment]):
            table[i, k] = move.advance, move.skip, move.back
            days[i, k] = DWELL_DAYS[pipeline][k] * DWELL_FACTOR[segment]
    row = {key: i for i, key in enumerate(keys)}
    code = np.array([row[key] for key in zip(created["pipeline"], created["segment"], strict=True)])
    return table[code], days[code]


def _drop(created: pd.DataFrame, plan: Plan) -> dict:
    quarter = periods.parse(plan.drop_quarter)
    seconds = [(pd.Timestamp(day) - START).total_seconds() for day in (quarter.first_on, quarter.last_on)]
    return {
        "deal": ((created["pipeline"] == plan.drop_pipeline) & (created["segment"] == plan.drop_segment)).to_numpy(),
        "stage": PIPELINES[plan.drop_pipeline].index(plan.drop_stage),
        "from": seconds[0],
        "to": seconds[1] + DAY,
    }


def _rush(leaves: np.ndarray, entered: np.ndarray, won: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Quarter-end rush: six in ten wins due in a quarter's first three weeks are signed in the last days before it."""
    began = (START + pd.to_timedelta(leaves, unit="s")).to_period("Q").start_time
    quarter = (began - START).total_seconds().to_numpy()
    early = quarter - rng.uniform(0, 4, len(leaves)) * DAY
    pulled = won & (leaves - quarter < 21 * DAY) & (early > entered) & (rng.random(len(leaves)) < 0.6)
    return np.where(pulled, early, leaves)


def tables(
    created: pd.DataFrame, log: pd.DataFrame, reps: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """What the CRM holds: the deals now, the change log, and how many records are dirty, by kind."""
    n = len(created)
    pipeline = created["pipeline"].to_numpy()[log["deal"]]
    stage_of = np.array([[*PIPELINES["New business"], "Lost", "Won"], [*PIPELINES["Expansion"], "", "Lost", "Won"]])
    log["stage"] = stage_of[(pipeline == "Expansion").astype(int), log["code"]]
    n_open = np.where(pipeline == "Expansion", 3, 4)
    categories = np.array([[*_category(4), "omitted", "closed"], [*_category(3), "", "omitted", "closed"]])
    log["category"] = categories[(n_open == 3).astype(int), log["code"]]
    first = ~log["deal"].duplicated()
    now = log.groupby("deal").last()
    stage_rows = _rows(log, "stage", log["stage"], log["stage"].shift().mask(first))
    category_rows = _rows(log, "forecast_category", log["category"], log["category"].shift().mask(first))
    category_rows = category_rows[category_rows["old_value"] != category_rows["new_value"]]
    amount_rows, amount = _amounts(created, log, rng)
    close_rows, expected = _closing_days(created, now, plan, rng)
    owner_rows, owner = _owners(created, reps)
    changes = pd.concat([stage_rows, category_rows, amount_rows, close_rows, owner_rows], ignore_index=True)
    changes = changes.sort_values(["deal", "at"], kind="stable", ignore_index=True)
    changes["deal_id"] = created["deal_id"].to_numpy()[changes["deal"]]
    changes["changed_at"] = moments(changes["at"].to_numpy())
    changes["changed_by"] = created["rep_id"].to_numpy()[changes["deal"]]
    code = now["code"].to_numpy()
    status = np.where(code == -1, "won", np.where(code == -2, "lost", "open"))
    active = created["created_s"] + (created["ended_s"].fillna(END_S) - created["created_s"]) * rng.beta(6, 1, n)
    deals = created.assign(
        name=created["account"] + ": " + created["product"], rep_id=owner, currency="USD",
        stage=now["stage"].to_numpy(), status=status, forecast_category=now["category"].to_numpy(),
        amount_minor=amount, list_amount_minor=np.round(created["list_amount"] * 100).astype("int64"),
        created_at=moments(created["created_s"].to_numpy()), closed_at=moments(created["ended_s"].to_numpy()),
        expected_close_on=expected, deal_type=np.where(created["pipeline"] == "Expansion", "expansion", "new"),
        lost_reason=np.where(status == "lost", np.array(REASONS, dtype=object)[rng.integers(0, 5, n)], None),
        next_step=np.where(status == "open", np.array(STEPS, dtype=object)[rng.integers(0, 4, n)], None),
        last_activity_at=moments(active.to_numpy()),
    )  # fmt: skip
    return deals, changes, _dirty(deals, changes, plan, rng)


def _category(n_open: int) -> tuple[str, ...]:
    return CATEGORY if n_open == 4 else CATEGORY[1:]


def _rows(at: pd.DataFrame, field: str, new, old) -> pd.DataFrame:
    return pd.DataFrame({"deal": at["deal"], "at": at["at"], "field": field, "old_value": old, "new_value": new})


def _amounts(created: pd.DataFrame, log: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """A quarter of the deals change their amount once, when they move for the second time."""
    amount = np.round(created["amount"].to_numpy() * 100).astype("int64")
    nth = log.groupby("deal").cumcount()
    moved = log[(nth == 2) & (log["code"] >= 0)]
    moved = moved[rng.random(len(moved)) < 0.6]
    before = amount[moved["deal"]]
    after = (np.round(before * rng.uniform(0.75, 1.25, len(moved)) / 1000) * 1000).astype("int64")
    amount[moved["deal"]] = after
    text = [pd.Series(values, index=moved.index).astype("str") for values in (after, before)]
    return _rows(moved, "amount", *text), amount


def _closing_days(created: pd.DataFrame, now: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> tuple:
    """Expected closing days: pushed when they pass while the deal is open, set to the day it closes."""
    usual = np.array(
        [sum(DWELL_DAYS[p]) * DWELL_FACTOR[s] for p, s in zip(created["pipeline"], created["segment"], strict=True)]
    )
    expected = np.floor(created["created_s"].to_numpy() / DAY + usual * rng.uniform(0.7, 1.5, len(created)))
    end = created["ended_s"].fillna(END_S).to_numpy()
    neglected = rng.random(len(created)) < plan.dirty_share
    rows = []
    for _push in range(12):
        due = (expected * DAY < end - DAY) & ~neglected
        if not due.any():
            break
        who = np.flatnonzero(due)
        later = expected[who] + np.floor(rng.uniform(14, 60, len(who)))
        rows.append(_pushes(who, expected[who] * DAY + 10 * 3600, expected[who], later))
        expected[who] = later
    closed = np.flatnonzero((now["code"].to_numpy() < 0) & (np.floor(end / DAY) != expected))
    rows.append(_pushes(closed, end[closed], expected[closed], np.floor(end[closed] / DAY)))
    expected[closed] = np.floor(end[closed] / DAY)
    return pd.concat(rows, ignore_index=True), (START + pd.to_timedelta(pd.Series(expected), unit="D")).dt.date


def _pushes(who: np.ndarray, at: np.ndarray, before: np.ndarray, after: np.ndarray) -> pd.DataFrame:
    days = [(START + pd.to_timedelta(pd.Series(d), unit="D")).dt.strftime("%Y-%m-%d") for d in (after, before)]
    return _rows(pd.DataFrame({"deal": who, "at": at}), "expected_close_on", *days)


def _owners(created: pd.DataFrame, reps: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Open deals of a rep who leaves go to the next rep of the region who is there."""
    owner = created["rep_id"].to_numpy().copy()
    end = created["ended_s"].fillna(np.inf).to_numpy()
    rows = []
    leavers = reps[reps["left_day"] * DAY < END_S]
    by_rep = created.groupby("rep_id").indices
    for leaver in leavers.itertuples():
        leaves = leaver.left_day * DAY
        mine = by_rep.get(leaver.rep_id, np.array([], dtype=int))
        mine = mine[end[mine] > leaves]
        there = (
            (reps["region"] == leaver.region) & (reps["hired_day"] < leaver.left_day) & (reps["left_day"] * DAY > END_S)
        )
        heir = reps.loc[there, "rep_id"].iloc[0]
        owner[mine] = heir
        rows.append(_rows(pd.DataFrame({"deal": mine, "at": leaves + 9.0 * 3600}), "rep_id", heir, leaver.rep_id))
    return (
        pd.concat(rows, ignore_index=True) if rows else _rows(created.iloc[:0].assign(deal=0, at=0.0), "rep_id", "", "")
    ), owner


def _dirty(deals: pd.DataFrame, changes: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> dict:
    """Damage a measured share of the records; counts by kind."""
    n, share = len(deals), plan.dirty_share
    no_source = rng.random(n) < share
    deals.loc[no_source, "source"] = None
    no_reason = (deals["status"] == "lost").to_numpy() & (rng.random(n) < share)
    deals.loc[no_reason, "lost_reason"] = None
    no_step = (deals["status"] == "open").to_numpy() & (rng.random(n) < share)
    deals.loc[no_step, "next_step"] = None
    untouched = ~deals["deal_id"].isin(changes.loc[changes["field"] == "amount", "deal_id"]).to_numpy()
    own_chance = (deals["status"] == "open").to_numpy() & (rng.spawn(1)[0].random(n) < share)
    standard = {
        (pipeline, stage): chance for pipeline, stage, _k, _kind, chance, _c in stages().itertuples(index=False)
    }
    chance = pd.Series(list(zip(deals["pipeline"], deals["stage"], strict=True)), index=deals.index).map(standard)
    deals["probability"] = chance.mask(own_chance, (chance - 0.35).clip(0.05).where(chance > 0.5, 0.9))
    no_amount = untouched & (rng.random(n) < share / 4) & (deals["status"] == "open").to_numpy()
    deals["amount_minor"] = deals["amount_minor"].astype("Int64").mask(no_amount, 0)
    overdue = (deals["status"] == "open") & (pd.to_datetime(deals["expected_close_on"]) < END)
    return {
        "no_source": int(no_source.sum()), "no_lost_reason": int(no_reason.sum()), "no_next_step": int(no_step.sum()),
        "own_chance": int(own_chance.sum()), "no_amount": int(no_amount.sum()), "close_day_past": int(overdue.sum()),
    }  # fmt: skip
