"""The money around the deals of the sample company: quotas, forecast calls, revenue, payments."""

import numpy as np
import pandas as pd

from salesops import periods
from salesops.crm.sample.people import DAY, END, START, ids
from salesops.crm.sample.truth import MONTHS, Plan

CHURN, EXPAND, CONTRACT = 0.012, 0.02, 0.01  # a month
WEEKS = 13
YEARLY = 0.4  # share of contracts for a year


def callers(reps: pd.DataFrame) -> dict:
    """Who sandbags and who is over-optimistic: two reps who were there all the time."""
    steady = reps.loc[(reps["hired_day"] < 0) & (reps["left_day"] > 10**5), "rep_id"]
    return {"sandbagger": steady.iloc[0], "optimist": steady.iloc[1]}


def tables(deals: pd.DataFrame, reps: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> dict:
    booked = _booked(deals)
    return {
        "quotas": _quotas(booked, reps, rng),
        "forecast_calls": _calls(booked, reps, plan, rng),
        "revenue": (revenue := _revenue(deals, plan, rng)),
        "payments": _payments(deals, rng),
        **_contracts(revenue, plan, rng.spawn(1)[0]),
    }


def _booked(deals: pd.DataFrame) -> pd.DataFrame:
    """Won minor units by rep (rows) and quarter (columns, named 2026-Q3)."""
    won = deals[deals["status"] == "won"]
    quarter = _quarter(won["closed_at"])
    table = won["amount_minor"].astype("float").groupby([won["rep_id"], quarter]).sum().unstack(fill_value=0.0)
    names = [f"{p.year}-Q{p.quarter}" for p in pd.period_range(START, END - pd.Timedelta(seconds=1), freq="Q")]
    return table.reindex(columns=names, fill_value=0.0)


def _quarter(at: pd.Series) -> pd.Series:
    return at.dt.year.astype("str") + "-Q" + at.dt.quarter.astype("str")


def _quotas(booked: pd.DataFrame, reps: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One quota for each rep and quarter they worked, 8 % above what a usual rep books; less while ramping."""
    table = pd.MultiIndex.from_product([reps.index, booked.columns]).to_frame(index=False, name=["rep", "period"])
    rep = reps.loc[table["rep"]].reset_index(drop=True)
    first = table["period"].map({p: (pd.Timestamp(periods.parse(p).first_on) - START).days for p in booked.columns})
    there = (rep["hired_day"] < first + 90) & (rep["left_day"] > first)
    ramp = np.clip((first + 90 - rep["hired_day"]) / 270, 0.25, 1.0)
    usual = booked.to_numpy()[booked.to_numpy() > 0].mean() * 1.08
    quota = np.round(usual * ramp * rng.uniform(0.9, 1.1, len(table)) / 100_000) * 100_000
    frame = pd.DataFrame(
        {
            "rep_id": rep["rep_id"],
            "period": table["period"],
            "amount_minor": quota.astype("int64"),
            "currency": "USD",
            "kind": "bookings",
        }
    )
    return frame[there.to_numpy()]


def _calls(booked: pd.DataFrame, reps: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """A weekly commit of each rep: what the quarter became, times the caller's bias, times noise that shrinks; and an
    hour later one of each manager for the team, who errs by as much as a rep does and has no bias."""
    who = callers(reps)
    of_managers = rng.spawn(1)[0]
    bias = pd.Series(1.0, index=booked.index)
    bias[who["sandbagger"]], bias[who["optimist"]] = plan.sandbagger_factor, plan.optimist_factor
    manager_of = reps.set_index("rep_id")["manager_id"].reindex(booked.index)
    rows = []
    for name in booked.columns:
        first, last = (pd.Timestamp(day) for day in periods.parse(name)[1:])
        # What a quarter that has not ended will become is not known: as much as at its pace so far.
        pace = max((last - first).days + 1, 1) / ((min(END, last + pd.Timedelta(days=1)) - first).days)
        own = booked[name] * pace
        teams = own.groupby(manager_of).sum()
        for week in range(WEEKS):
            called = first + pd.Timedelta(days=7 * week, hours=9)
            if called < START or called >= END:
                continue
            noise = rng.lognormal(0, 0.35 * (1 - week / WEEKS) + 0.05, len(booked))
            scatter = of_managers.lognormal(0, 0.35 * (1 - week / WEEKS) + 0.05, len(teams))
            rows.append((own * bias * noise, name, called))
            rows.append((teams * scatter, name, called + pd.Timedelta(hours=1)))
    n_rows = [len(amounts) for amounts, _name, _called in rows]
    return pd.DataFrame(
        {
            "rep_id": np.concatenate([amounts.index for amounts, _name, _called in rows]),
            "period": np.repeat([name for _amounts, name, _called in rows], n_rows),
            "category": "commit",
            "amount_minor": np.round(np.concatenate([amounts for amounts, *_rest in rows]), -3).astype("int64"),
            "currency": "USD",
            "called_at": pd.Series([called for *_rest, called in rows]).repeat(n_rows).to_numpy(),
        }
    )


def _revenue(deals: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Monthly recurring revenue of the accounts won, from the month after: expansion, contraction, churn.

    The cohort of `price_rise_cohort` pays `price_rise` more from its thirteenth month, and for the four
    months from then on churns `price_rise_churn_factor` times as often.
    """
    won = deals[(deals["status"] == "won") & (deals["pipeline"] == "New business")]
    won = won.sort_values("closed_at", kind="stable").drop_duplicates("account_id")
    start = ((won["closed_at"].dt.year - START.year) * 12 + won["closed_at"].dt.month - START.month + 1).to_numpy()
    month_on = [(START + pd.DateOffset(months=m)).date() for m in range(MONTHS + 1)]
    rise = (_quarter(pd.to_datetime(pd.Series(month_on))) == plan.price_rise_cohort).to_numpy()[start]
    rent = np.round(won["amount_minor"].astype("float").to_numpy() / 12)
    alive, rows = np.ones(len(won), dtype=bool), []
    for m in range(MONTHS):
        age = m - start
        hot = rise & (age >= 12) & (age < 16)
        alive &= (rng.random(len(won)) >= CHURN * np.where(hot, plan.price_rise_churn_factor, 1.0)) | (age <= 0)
        moved = rng.random(len(won))
        factor = np.where(moved < EXPAND, 1.25, np.where(moved < EXPAND + CONTRACT, 0.8, 1.0))
        rent = np.round(rent * np.where(age > 0, factor, 1.0) * np.where(rise & (age == 12), 1 + plan.price_rise, 1.0))
        here = alive & (age >= 0)
        rows.append(
            pd.DataFrame(
                {
                    "account_id": won["account_id"].to_numpy()[here],
                    "month_on": month_on[m],
                    "kind": "recurring",
                    "amount_minor": rent[here].astype("int64"),
                    "currency": "USD",
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _contracts(revenue: pd.DataFrame, plan: Plan, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """A contract for each account with recurring revenue, renewed each month or each year, and the log of who left.

    A share of those who left, `dirty_share` for each kind, have no last day, no entry in the log, or a flag that says
    that they are still there.
    """
    own = revenue.sort_values("month_on", kind="stable").groupby("account_id")
    table = own.agg(started_on=("month_on", "first"), last=("month_on", "last"), amount_minor=("amount_minor", "last"))
    n = len(table)
    after = pd.to_datetime(table["last"]) + pd.offsets.MonthBegin(1)
    left = (after < END).to_numpy()
    spoilt = rng.choice(4, n, p=[1 - 3 * plan.dirty_share, *[plan.dirty_share] * 3])
    yearly = rng.random(n) < YEARLY
    contracts = pd.DataFrame(
        {
            "subscription_id": ids("C", n),
            "account_id": table.index,
            "plan": np.where(yearly, "Annual", "Monthly"),
            "status": np.where(left & (spoilt != 3), "ended", "active"),
            "started_on": table["started_on"].to_numpy(),
            "ended_on": (after - pd.Timedelta(days=1)).dt.date.where(left & (spoilt != 1), None).to_numpy(),
            "term_months": np.where(yearly, 12, 1),
            "amount_minor": table["amount_minor"].to_numpy(),
            "currency": "USD",
        }
    )
    logged = left & (spoilt != 2)
    reasons = rng.choice(["Price", "Competitor", "No longer needed", "Service"], n)
    log = {"account_id": table.index[logged], "cancelled_on": after[logged].dt.date.to_numpy()}
    return {"subscriptions": contracts, "cancellations": pd.DataFrame({**log, "reason": reasons[logged]})}


def _payments(deals: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One payment for each won deal, some weeks after it was signed."""
    won = deals[deals["status"] == "won"]
    paid = won["closed_at"] + pd.to_timedelta(np.floor(rng.lognormal(np.log(30), 0.5, len(won)) * DAY), unit="s")
    here = (paid < END).to_numpy()
    return pd.DataFrame(
        {
            "payment_id": ids("P", int(here.sum())),
            "account_id": won["account_id"].to_numpy()[here],
            "deal_id": won["deal_id"].to_numpy()[here],
            "amount_minor": won["amount_minor"].to_numpy()[here],
            "currency": "USD",
            "paid_at": paid[here].to_numpy(),
        }
    )
