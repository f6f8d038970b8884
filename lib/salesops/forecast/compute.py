"""The forecast's numbers, put together."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from ibis import _

from salesops import crm, periods
from salesops.forecast import calls, change, needs, reasons, record, risk, topdown, weeks
from salesops.forecast.params import Params
from salesops.forecast.record import Made
from salesops.forecast.weeks import EARLIER, END, NOW, Weeks

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
ALL_DEALS = 10**9  # to list
FEW_WON = 50  # that chances are learnt from, below which the page says that little is known


class Forecast(NamedTuple):
    """weeks : the calendar. layout : what codes stand for. made : today's forecast. totals : draws of the quarter's
    total, whole units. quantiles : unit, value ("" is the whole), booked, mean, and one column for each of `LEVELS`.
    record : see `record.score`. widened : by which the record widened today's band. change : since an earlier forecast
    of the quarter, or None where there is none. calls, hand_offs, needs, topdown, combination : see their modules.
    reliability : of the chances of single deals at today's point. without_top : P10, P50, P90 if the deal that is
    expected to bring most is not won; None without any. deals : open deals, most expected first: deal_id, name,
    account, rep, stage_name, expected (amount if won), p, why (list of (factor, points)). n_won : wins that chances are
    learnt from.
    """

    weeks: Weeks
    layout: risk.Layout
    made: Made
    totals: np.ndarray
    quantiles: pd.DataFrame
    record: pd.DataFrame
    widened: float
    change: change.Change | None
    calls: calls.Calls
    hand_offs: pd.DataFrame
    needs: needs.Needs
    topdown: topdown.TopDown
    combination: topdown.Combination | None
    reliability: record.Reliability | None
    without_top: tuple[float, float, float] | None
    deals: pd.DataFrame
    n_won: int

    @property
    def here(self) -> pd.DataFrame:
        """The record of forecasts made at today's point of the quarter."""
        return self.record[self.record["point"] == NOW]


def measure(book: crm.Book, params: Params) -> Forecast:
    """What the quarter of the day after `as_of` will bring, how sure that is, and how wrong such forecasts have been.

    Raises
    ------
    ValueError
        If the pipeline is not in the book, no deal is known, or none was ever won with an amount.
    """
    layout = risk.find_layout(book, params)
    calendar = weeks.lay_out(book, params.year_starts)
    spans = risk.read_spans(book, params, layout)
    history = risk.read_history(spans, calendar)
    origins = weeks.origins(book, calendar, record.POINTS, params.record_quarters)
    before_on = _before(calendar)
    if before_on:
        origins = weeks.with_day(book, calendar, origins, before_on)
    moments = risk.read_moments(book, spans, origins)
    atoms, history, moments = risk.number_atoms(layout, history, moments)
    made = record.make_all(layout, history, moments, origins, calendar, minor_units=book.minor_units,
                           learn_quarters=params.learn_quarters, n_atoms=len(atoms))  # fmt: skip
    if not (made[-1].model and made[-1].model.n_won and history.wins["n_paid"].sum()):
        raise ValueError(
            f"nothing can be forecast: no deal that was seen open was won with an amount by the end of {book.as_of}"
        )
    now, scored = made[-1], record.score(made, seed=params.seed)
    here = scored[scored["point"] == NOW]
    draws, widened = record.draw(now, here.to_dict("records"), n_draws=params.n_draws, seed=params.seed)
    totals = draws.sum(axis=1) + now.booked
    part = {"region": params.region, "team": params.team}
    target, no_target = crm.find_quota(book, calendar.target, **part, pipeline=params.pipeline)
    target, no_target = (params.target, "") if params.target else (target, no_target)
    booked = moments.booked[moments.booked["week"] == origins["week"].iloc[-1]]
    called = calls.measure(book, params, origins, made)
    won = moments.booked.groupby("week")["amount"].sum().reindex(origins["week"], fill_value=0.0)
    came = origins[origins["point"] == END].set_index("quarter")["week"].map(won)
    by_months = topdown.measure(book, params, calendar, origins, won, came)
    return Forecast(
        calendar, layout, now, totals, _quantiles(layout, atoms, now, draws, booked), scored, widened,
        _change(spans, made, origins), called, calls.hand_offs(here, called),
        needs.measure(now, totals, target, no_target, crm.count_reps(book, **part), calendar.days_left / 7, params),
        by_months,
        topdown.combine(here, now.mean, by_months),
        record.reliability(made, NOW),
        _without_top(now, here, params), _listed(book, layout, now, params), now.model.n_won,
    )  # fmt: skip


def _before(calendar: Weeks) -> dt.date | None:
    """The day of the forecast that today's is compared with: the end of the month before, or of the quarter before."""
    opening = periods.days_after(calendar.target.first_on, -1)
    month = periods.days_after(calendar.as_of.replace(day=1), -1)
    return max(month, opening) if calendar.as_of > opening else None


def _quantiles(
    layout: risk.Layout, atoms: pd.DataFrame, now: Made, draws: np.ndarray, booked: pd.DataFrame
) -> pd.DataFrame:
    """Quantiles of the whole and of every unit, from the same draws; the parts' means sum to the whole's."""
    by_atom = booked.groupby("atom")["amount"].sum().reindex(range(len(atoms)), fill_value=0.0).to_numpy()
    means, rows = by_atom + now.part.means, []
    for unit in ("", *layout.units):
        values = atoms[unit] if unit else pd.Series("", index=atoms.index)
        for value in sorted(values.unique()):
            mine = (values == value).to_numpy()
            total = draws[:, mine].sum(axis=1) + by_atom[mine].sum()
            cuts = np.quantile(total, LEVELS)
            rows.append((unit, value, by_atom[mine].sum(), means[mine].sum(), *cuts))
    return pd.DataFrame(rows, columns=["unit", "value", "booked", "mean", *LEVELS])


def _change(spans: risk.Spans, made: list[Made], origins: pd.DataFrame) -> change.Change | None:
    before = next((one for one in made if (one.point, one.quarter) == (EARLIER, made[-1].quarter)), None)
    if before is None:
        return None
    rows = origins.iloc[-2:]
    booked = risk.read_booked(spans, rows)
    sides = [booked[booked["week"] == week].set_index("deal_id")["amount"] for week in rows["week"]]
    return change.compare(before, made[-1], *sides)


def _without_top(now: Made, here: pd.DataFrame, params: Params) -> tuple[float, float, float] | None:
    """The band of the quarter if the deal expected to bring most is not won."""
    if not len(now.deals):
        return None
    worth = now.part.p * now.part.amounts
    p = now.part.p.copy()
    p[int(worth.argmax())] = 0.0
    rest = now._replace(part=now.part._replace(p=p).whole())
    draws, _widened = record.draw(rest, here.to_dict("records"), n_draws=params.n_draws, seed=params.seed)
    return tuple(float(x) for x in np.quantile(draws.sum(axis=1) + now.booked, record.QUANTILES))


def _listed(book: crm.Book, layout: risk.Layout, now: Made, params: Params) -> pd.DataFrame:
    """The open deals that are expected to bring most, with what makes each likely or not."""
    worth = now.deals["p"] * now.deals["expected"]
    order = worth.sort_values(ascending=False, kind="stable").index[: params.listed]
    table = now.deals.loc[order]
    names = book.deals.filter(_.deal_id.isin(table["deal_id"].tolist())).select(
        "deal_id", "name", "account_id", "rep_id"
    )
    accounts = book.accounts.select("account_id", account=_.name)
    reps = book.reps.select("rep_id", rep=_.name)
    named = names.left_join(accounts, "account_id").left_join(reps, "rep_id")
    named = named.select("deal_id", "name", "account", "rep").execute()
    table = table.merge(named, on="deal_id", how="left")
    table["stage_name"] = layout.stages["stage"].to_numpy()[table["stage"].to_numpy(dtype=int)]
    table["why"] = reasons.of(now, table)
    return table[["deal_id", "name", "account", "rep", "stage_name", "expected", "p", "why"]]
