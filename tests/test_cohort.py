"""Cohorts of customers with contracts: triangles, movements, comparison, events, projection."""

import datetime as dt
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from salesops import cohort, crm, lang
from salesops.cohort import compare, projection, renewals, retention, tables, words
from salesops.crm.sample import money, truth
from salesops.problems import BadInput

from tests.conftest import bare_book, checked, examples

MONTHS = [dt.date(2024 + k // 12, k % 12 + 1, 1) for k in range(14)]


def again(history, ends):
    """Movements and triangles month by month in plain Python: account -> amounts of months, one after another."""
    names = (*retention.MOVEMENTS, *(f"n_{one}" for one in retention.MOVEMENTS), "opening", "closing")
    moves = {month: dict.fromkeys(names, 0) for month in MONTHS[: ends + 1]}
    cells = {}
    for amounts in history.values():
        began = next((k for k, amount in enumerate(amounts[: ends + 1]) if amount > 0), None)
        if began is None:
            continue
        least = amounts[began]
        for k in range(ends + 1):
            before, now = amounts[k - 1] if k else 0, amounts[k]
            moves[MONTHS[k]]["opening"] += before
            moves[MONTHS[k]]["closing"] += now
            kind, change = None, now - before
            if before and now:
                kind = "expansion" if now > before else "contraction" if now < before else None
            elif before:
                kind = "churn"
            elif now:
                kind = "new" if k == began else "reactivation"
            if kind:
                moves[MONTHS[k]][kind] += change
                moves[MONTHS[k]][f"n_{kind}"] += 1
            if k >= began:
                least = min(least, now)
                cell = cells.setdefault((MONTHS[began], k - began), [0, 0, 0])
                cell[0] += now > 0
                cell[1] += now
                cell[2] += least
    return moves, cells


def held(history, as_of):
    """The recurring revenue of accounts as a book has it; an account's amount of a month may be of two
    subscriptions."""
    rows = [
        (account, MONTHS[k], "recurring", part, "USD")
        for account, amounts in history.items() for k, amount in enumerate(amounts) if amount
        for part in ((amount - amount // 3, amount // 3) if amount > 2 else (amount,))
    ]  # fmt: skip
    names = ["account_id", "month_on", "kind", "amount_minor", "currency"]
    table = pd.DataFrame(rows or [("x", MONTHS[0], "one_off", 1, "USD")], columns=names)
    return SimpleNamespace(revenue=ibis.memtable(table), as_of=as_of, accounts=None)


amounts = st.one_of(st.just(0), st.integers(1, 10**6))
histories = st.dictionaries(st.sampled_from("abcdef"), st.lists(amounts, min_size=14, max_size=14), min_size=1)


def holds(book, history, ends):
    """Whether what one pass over a book gives is what the loop says."""
    moves, cells = again(history, ends)
    cube = retention.read_cube(book)._replace(stock=False)
    table = retention.movements(cube)
    assert (table["opening"] + table[list(retention.MOVEMENTS)].sum(axis=1) == table["closing"]).all()
    assert (table["opening"].iloc[1:].to_numpy() == table["closing"].iloc[:-1].to_numpy()).all()
    for row in table.to_dict("records"):
        assert row == {"month_on": row["month_on"], **moves[row["month_on"]]}
    made = retention.triangle(cube).cells
    assert {(row.cohort, row.age): [row.active, row.revenue, row.kept] for row in made.itertuples()} == cells
    assert (made["kept"] <= made["start"]).all()  # gross revenue never above what it began with
    assert (made.groupby("cohort")["kept"].diff().dropna() <= 0).all()
    return cube


@given(histories, st.integers(3, 13), st.booleans())
@settings(max_examples=examples(12))
def test_movements_close_and_triangles_are_what_a_loop_says(history, ends, begun):
    """Overlapping subscriptions, gaps and returns; a month that has begun is known as such and left out."""
    last = (MONTHS[ends + 1] if ends < 13 else dt.date(2025, 3, 1)) - dt.timedelta(days=1)
    book = held(history, last + dt.timedelta(days=9) if begun else last)
    if not again(history, ends)[1]:
        with pytest.raises(ValueError, match="no month that has ended"):
            retention.read_cube(book)
        return
    cube = holds(book, history, ends)
    assert cube.last_on == last and cube.partial == begun


def test_movements_of_thousands_of_histories_close_to_the_cent(monkeypatch):
    """Five thousand accounts at once, in parts too, as very many are read."""
    rng = np.random.default_rng(5)
    there = rng.random((5000, 14)) < rng.choice([0.2, 0.9], (5000, 1))
    amounts = np.where(there, rng.integers(1, 10**6, (5000, 14)), 0)
    history = {f"a{k}": row.tolist() for k, row in enumerate(amounts)}
    book = held(history, dt.date(2025, 2, 28))
    whole = holds(book, history, 13)
    monkeypatch.setattr(retention, "AT_ONCE", 20_000)
    assert holds(book, history, 13).rows.equals(whole.rows)


def test_cohorts_of_a_year_are_shown_only_as_long_as_all_were_watched(book):
    cube = retention.read_cube(book)
    year = retention.triangle(cube, "year").cells
    assert year[year["cohort"] == dt.date(2026, 1, 1)]["age"].tolist() == [0]  # some of them began in October
    months = retention.triangle(cube).cells
    assert year[year["age"] == 0]["n"].sum() == months[months["age"] == 0]["n"].sum()
    old = year[(year["cohort"] == dt.date(2024, 1, 1)) & (year["age"] == 9)].iloc[0]
    parts = months[
        (months["cohort"] >= dt.date(2024, 1, 1)) & (months["cohort"] < dt.date(2025, 1, 1)) & (months["age"] == 9)
    ]
    assert (old["active"], old["revenue"], old["kept"]) == tuple(parts[["active", "revenue", "kept"]].sum())
    by_segment = retention.triangle(retention.read_cube(book, "segment"), "quarter", split=True).cells
    whole = retention.triangle(cube, "quarter").cells
    first = by_segment[by_segment["age"] == 0].groupby("cohort")["n"].sum()
    assert first.tolist() == whole[whole["age"] == 0]["n"].tolist()


@pytest.fixture(scope="module")
def found(book):
    return cohort.measure(book, checked("cohort", n_draws=200))


@pytest.fixture(scope="module")
def deals(book):
    return book.deals.execute()


def again_with(deals, seed, plan):
    """The sample's customers with another fate: revenue drawn anew, planted or not."""
    revenue = money._revenue(deals, plan, np.random.default_rng(seed))
    return SimpleNamespace(revenue=ibis.memtable(revenue), as_of=truth.UNTIL, accounts=None)


def stands_out(made):
    cells = retention.triangle(retention.read_cube(made), "quarter").cells
    return {
        one.name for one in compare.find(cells.assign(kind="cohort", name=cells["cohort"]), [3, 6, 12, 18, 24], 20)[0]
    }


# Comparison


@pytest.mark.slow
def test_the_price_rise_is_found_and_nothing_else(deals):
    """Fifty fates of the sample's customers with the planted rise, fifty without: it is found in each (at least 49);
    something else, or anything where nothing is planted, in 6 at most: 2.5 and two standard deviations."""
    rise, found, others, false = dt.date(2025, 1, 1), 0, 0, 0
    for seed in range(50):
        names = stands_out(again_with(deals, seed, truth.Plan()))
        found, others = found + (rise in names), others + bool(names - {rise})
        false += bool(stands_out(again_with(deals, seed, truth.NOTHING)))
    assert found >= 49 and others <= 6 and false <= 6, (found, others, false)


def test_the_sample_page_names_the_cohort_its_age_size_and_money(found):
    assert [(one.kind, one.name) for one in found.differs] == [("cohort", dt.date(2025, 1, 1))]
    one = found.differs[0]
    cells = found.triangle.cells
    own = cells[(cells["cohort"] == one.name) & (cells["age"] == one.age)].iloc[0]
    rest = cells[(cells["cohort"] != one.name) & (cells["age"] == one.age) & (cells["n"] >= 20)]
    gap = own["revenue"] / own["start"] - rest["revenue"].sum() / rest["start"].sum()
    assert one.money.value == pytest.approx(gap * own["start"]) and one.money.low < one.money.value < one.money.high
    said = words.findings(found)[0]
    told = "Customers who began in 2025-Q1 stand out at 12 months: 81% pay more than at the start, of the others 18%"
    assert said.headline == told
    assert "160 customers" in said.detail and "+$50K" in said.detail


def test_nrr_is_news_where_it_is_worse_than_a_year_before(found):
    keys = {one.key for one in words.findings(found)}
    assert found.renewed.net.high < 1 and "nrr" not in keys  # 93 % now, and as much then
    better = found.renewed_before._replace(net=found.renewed_before.net._replace(value=1.2, low=1.19, high=1.21))
    assert "nrr" in {one.key for one in words.findings(found._replace(renewed_before=better))}


def test_nobody_is_compared_at_another_age(found):
    """A young cohort is worse than old ones only because of what has not happened yet; or better."""
    cells = found.triangle.cells.assign(kind="cohort", name=found.triangle.cells["cohort"])
    young = cells["cohort"] >= dt.date(2026, 7, 1)
    assert compare.find(cells[young], [12], 20) == ([], 0)
    only = compare.find(cells, [24], 20)[1]
    assert only == 3 * (cells[(cells["age"] == 24) & (cells["n"] >= 20)]["cohort"].nunique())


def test_a_ratio_has_the_interval_of_its_customers():
    """Against the formula on the customers themselves, and against drawing them again."""
    rng = np.random.default_rng(3)
    start = rng.lognormal(5, 1, 400)
    now = start * rng.choice([0, 0.8, 1, 1.4], 400, p=[0.2, 0.1, 0.6, 0.1])
    kept = np.minimum(start, now)
    cells = pd.DataFrame([{"n": 400, "start": start.sum(), "revenue": now.sum(), "kept": kept.sum(),
    "bb": start @ start,
                           "aa": now @ now, "ab": now @ start, "kk": kept @ kept, "kb": kept @ start}])  # fmt: skip
    for of, amounts in (("revenue", now), ("kept", kept)):
        made = compare.ratio(cells, of)
        value = amounts.sum() / start.sum()
        se = np.sqrt(400 / 399 * ((amounts - value * start) ** 2).sum()) / start.sum()
        assert made[:3] == pytest.approx((value, value - 1.965927 * se, value + 1.965927 * se))  # t of 399 degrees
        drawn = rng.integers(0, 400, (4000, 400))
        again = amounts[drawn].sum(axis=1) / start[drawn].sum(axis=1)
        assert again.std() == pytest.approx(se, rel=0.1)


def test_a_stock_of_customers_has_no_age():
    """Those who were there when the record begins are no cohort, if they are far more than begin in a month."""
    history = {f"o{k}": [5] * 14 for k in range(100)} | {
        f"n{k}": [0] * (k % 12 + 1) + [7] * (13 - k % 12) for k in range(48)
    }
    cube = retention.read_cube(held(history, dt.date(2025, 2, 28)))
    assert cube.stock and cube.n_stock == 100
    made = retention.triangle(cube).cells
    assert made["cohort"].min() == dt.date(2024, 2, 1) and made[made["age"] == 0]["n"].sum() == 48
    assert retention.movements(cube)["closing"].iloc[-1] == 100 * 5 + 48 * 7


@pytest.mark.parametrize("split", ["none", "segment"])
def test_a_base_of_which_no_age_is_known_has_movements_and_nothing_else(tmp_path, split):
    """Everybody was there in the first month: NRR and the bridge are told, triangles and projections are not."""
    rows = [(f"a{k}", dt.date(2024 + month // 12, month % 12 + 1, 1), "recurring", 100 + k, "USD")
            for k in range(60) for month in range(18)]  # fmt: skip
    names = ["account_id", "month_on", "kind", "amount_minor", "currency"]
    accounts = pd.DataFrame({"account_id": [f"a{k}" for k in range(60)], "segment": "A"})
    book = bare_book(
        tmp_path / "b", exported_on="2025-06-30", revenue=pd.DataFrame(rows, columns=names), accounts=accounts
    )
    made = cohort.measure(book, checked("cohort", period="2025-06", split_by=split, event="2025-03", event_for=""))
    assert made.cube.n_stock == 60 and made.triangle.cells.empty and made.projection is None and made.n_compared == 0
    assert made.renewed.net.value == 1 and made.months["closing"].iloc[-1] == sum(range(100, 160))
    assert [len(tables.triangle_table(made, what).rows) for what in ("active", "kept", "revenue")] == [1, 1, 1]
    assert words.triangle_rows(made, "active") == ([], []) and "60 customers of the first month" in words.note(made)


@pytest.mark.parametrize("by", ["plan", "product", "source"])
def test_groups_are_those_of_the_first_contract_or_deal(book, deals, by):
    cube = retention.read_cube(book, by)
    sizes = cube.rows[cube.rows["month"] == cube.rows["started"]].groupby("group")["n"].sum()
    if by == "plan":
        first = book.subscriptions.execute().sort_values("started_on").drop_duplicates("account_id")["plan"]
        assert sizes.to_dict() == first.value_counts().to_dict()
        return
    won = deals[(deals["status"] == "won") & deals["account_id"].notna()].sort_values("closed_at", kind="stable")
    first = won.drop_duplicates("account_id").set_index("account_id")[by]
    customers = book.revenue.execute()["account_id"].unique()
    known = first.reindex(customers).fillna(crm.NOT_KNOWN)  # the only deal of some was cancelled
    assert sizes.to_dict() == known.value_counts().to_dict()


def test_credit_notes_are_said(tmp_path):
    rows = [("a", dt.date(2025, month, 1), "recurring", -500 if month == 3 else 100, "USD") for month in range(1, 7)]
    names = ["account_id", "month_on", "kind", "amount_minor", "currency"]
    book = bare_book(tmp_path / "b", exported_on="2025-06-30", revenue=pd.DataFrame(rows, columns=names))
    made = cohort.measure(book, checked("cohort", period="2025-06", split_by="none", event="", event_for=""))
    assert (made.cube.n_below, made.cube.below) == (1, -500)
    assert "1 month of an account is below nothing" in words.note(made)


# Renewal


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(amounts, min_size=14, max_size=14), min_size=2),
       st.sampled_from(["all", "renewing"]), st.sampled_from(["in", "out"]), st.sampled_from(["in", "out"]),
       st.randoms(use_true_random=False))  # fmt: skip
@settings(max_examples=examples(10))
def test_revenue_retention_is_what_a_loop_says_by_each_convention(history, base, escalators, reactivation, rng):
    book = held(history, dt.date(2025, 2, 28))
    rows, contract = [], {}
    for k, account in enumerate(history):
        start, term, rise = rng.randrange(-20, 12), rng.choice([1, 6, 12, 24]), rng.choice([0.0, 0.05])
        contract[account] = (start, term, rise)
        began = dt.date(2024 + start // 12, start % 12 + 1, 1)
        rows.append((f"s{k}", account, began, None, term, rise, history[account][13] or 1))
    names = ["subscription_id", "account_id", "started_on", "ended_on", "term_months", "escalator", "amount_minor"]
    table = pd.DataFrame(rows, columns=names).astype({"term_months": "int64"})
    book.subscriptions = ibis.memtable(table).cast({"ended_on": "date", "started_on": "date"})
    made = renewals.measure(book, 2025 * 12 + 1, base=base, escalators=escalators, reactivation=reactivation, least=1)
    n = then = now = kept = 0
    for account, paid in history.items():
        if not paid[1]:
            continue
        start, term, rise = contract[account]
        times = max((13 - start) // term - max((1 - start) // term, 0), 0)
        if base == "renewing" and not times:
            continue
        pays = paid[13]
        if escalators == "out":
            pays = max(pays - round((paid[13] or 1) * (1 - 1 / (1 + rise) ** times)), 0)
        if reactivation == "out" and not all(paid[1:14]):
            pays = 0
        n, then, now, kept = n + 1, then + paid[1], now + pays, kept + min(paid[1], pays)
    assert (made.n, made.then) == (n, then) and abs(made.now - now) <= n  # a half is rounded either way
    if n:
        assert made.net.value == pytest.approx(now / then, abs=1e-3)
        assert made.gross.value == pytest.approx(kept / then, abs=1e-3) and made.gross.value <= 1
    if base == "all":
        assert (made.n, made.then) == (made.n_all, made.then_all)


def test_terms_are_asked_of_a_source_that_has_them(book):
    assert cohort.measure(book, checked("cohort", base="renewing", n_draws=200)).renewed.n > 500
    bare = held({"a": [5] * 14, "b": [7] * 14}, dt.date(2025, 2, 28))
    bare.subscriptions = book.subscriptions.filter(book.subscriptions.term_months > 99)
    asked = {"escalators": "in", "reactivation": "in", "least": 1}
    with pytest.raises(ValueError, match="does not tell the terms"):
        renewals.measure(bare, 2025 * 12 + 1, base="renewing", **asked)


# An event


def test_the_price_rise_is_an_event_of_its_cohort(found):
    by = {one.measure: one for one in found.event}
    assert by["expansion"].p_adjusted < 1e-6 and by["expansion"].after.ratio.low > 5
    assert by["churn"].after.ratio.low > 1.2 and by["contraction"].p_adjusted > 0.05
    assert by["churn"].p_trend > 0.05 and by["churn"].n == 144
    assert by["churn"].months["month"].tolist() == list(range(2025 * 12 + 6, 2026 * 12 + 6))
    assert "8.8 times as many as expected" in words.findings(found)[2].headline


@pytest.mark.slow
def test_an_event_without_effect_is_none(deals):
    """Of sixty fates without a rise, two in a hundred movements at most stand out (5 of 100 families)."""
    wrong = 0
    for seed in range(60):
        cube = retention.read_cube(again_with(deals, seed, truth.NOTHING))
        months = (2025 * 12, 2025 * 12 + 2)
        wrong += any(one.p_adjusted < 0.05 for one in compare.around(cube, 2026 * 12, 6, months))
    assert wrong <= 7


@pytest.mark.slow
def test_months_that_scatter_make_an_event_less_sure():
    """Forty worlds in which nothing happened, but some months see five times as many leave as others: an event is
    found in
    6 at most (2 and two standard deviations; counts taken as they are would find it in more)."""
    rng, wrong = np.random.default_rng(11), 0
    for _k in range(40):
        rate = np.where(rng.random(14) < 0.5, 0.05, 0.01)
        gone = rng.random((500, 14)) < rate
        lasts = np.where(gone.any(axis=1), gone.argmax(axis=1), 14)
        history = {f"a{k}": [100] * (n + 1) + [0] * (13 - n) for k, n in enumerate(np.minimum(lasts, 13))}
        cube = retention.read_cube(held(history, dt.date(2025, 2, 28)))._replace(stock=False)
        wrong += compare.around(cube, 2024 * 12 + 9, 5, None)[0].p < 0.05
    assert wrong <= 6, wrong


def test_a_change_that_had_begun_before_the_event_is_told():
    """Those who began in January leave more and more often from May on, the others as ever; the event is in
    September."""
    rng, history = np.random.default_rng(4), {}
    for k in range(3000):
        start, m = k % 2, k % 2
        while m < 13 and rng.random() > (min(0.006 * 1.9 ** max(m - 3, 0), 0.5) if start == 0 else 0.01):
            m += 1
        history[f"a{k}"] = [0] * start + [100] * (m + 1 - start) + [0] * (13 - m)
    cube = retention.read_cube(held(history, dt.date(2025, 2, 28)))._replace(stock=False)
    churn = compare.around(cube, 2024 * 12 + 8, 6, (2024 * 12, 2024 * 12))[0]
    assert churn.measure == "churn" and churn.p_trend < 0.01 and churn.trend.low > 1.2


# Projection


def test_what_is_held_out_is_not_known(found):
    made = projection.table(found.cube)
    then = made.until(11)
    spoilt = made._replace(revenue=made.revenue * 3, unbroken=made.unbroken * 0)
    for one in ("unbroken", "revenue"):
        n = len(then.unbroken)
        known = np.add.outer(np.arange(n), np.arange(n)) < n
        assert (np.isnan(getattr(then, one)) == ~known).all()
        whole = getattr(made, one)
        assert getattr(then, one)[known].tolist() == whole[:n, :n][known].tolist()
    assert projection.judge(spoilt)[0]["error"].tolist() != projection.judge(made)[0]["error"].tolist()


def test_the_ladder_of_customers_is_kaplan_meier(found):
    from salesops import stats

    made = projection.table(found.cube)
    path = projection.factors(made, "customers", "ladder", 20)
    n = len(made.unbroken)
    rows = []
    for k, row in enumerate(made.unbroken):
        for age in range(1, n - k):
            rows.append((age, row[age - 1] - row[age], row[age] if age == n - k - 1 else 0))
        if n - k == 1:
            rows.append((0, 0, row[0]))
    counts = pd.DataFrame(rows, columns=["age", "n_ended", "n_open"]).groupby("age", as_index=False).sum()
    curve = stats.kaplan_meier(counts)
    told = dict(zip(curve.age, curve.share, strict=True))
    for age, share in enumerate(np.cumprod(path)[:20], 1):
        if age in told:
            assert share == pytest.approx(told[age])


def test_the_method_is_the_one_that_missed_least_where_customers_are_of_two_kinds():
    """Half leave at 25 % a month, half at 1 %: one rate for all ages misses, the others do not."""
    rng, history = np.random.default_rng(6), {}
    for k in range(4000):
        start, rate = int(rng.integers(0, 34)), 0.25 if k % 2 else 0.01
        life = int(rng.geometric(rate))
        history[k] = (start, min(life, 36 - start))
    table = np.zeros((36, 36))
    for start, life in history.values():
        table[start, :life] += 1
    known = np.add.outer(np.arange(36), np.arange(36)) < 36
    table = np.where(known, table, np.nan)
    errors, chosen = projection.judge(projection.Table(24000, table, table * 100))
    by = errors[errors["value"] == "customers"].set_index("method")["error"]
    assert chosen["customers"] != "constant" and by["constant"] > 2 * by.min() and by["contracts"] < 0.1


@pytest.mark.slow
def test_intervals_of_revenue_hold_what_comes(deals):
    """Twenty fates, known up to a year before the end: 80 % intervals of the revenue of those customers a year later
    hold 11 to 19 of 20 (80 % and 2.7 standard deviations, and a little on the safe side)."""
    inside = {"customers": 0, "revenue": 0}
    for seed in range(20):
        made = projection.table(retention.read_cube(again_with(deals, seed, truth.NOTHING)))
        n = len(made.unbroken)
        then, m = made.until(12), n - 12
        got = projection.project(then, n_months=12, margin=1, discount=0, n_draws=100, seed=seed)
        for value, actual in (("customers", made.unbroken), ("revenue", made.revenue)):
            came = sum(actual[k, m - 1 - k + 12] for k in range(m))
            low, high = np.quantile(got.draws[value][:, -1], (0.1, 0.9))
            inside[value] += low <= came <= high
    assert all(11 <= one <= 19 for one in inside.values()), inside


def test_the_value_of_a_customer_is_the_sum_of_what_is_paid():
    """Everybody pays 100 a month and nobody leaves: 24 months at 10 % a year, to the cent, without any doubt."""
    history = {f"c{k}": [0] * (k % 12) + [100] * (14 - k % 12) for k in range(120)}
    cube = retention.read_cube(held(history, dt.date(2025, 2, 28)))
    made = projection.project(projection.table(cube), n_months=24, margin=0.5, discount=0.1, n_draws=200, seed=1)
    by_hand = 0.5 * sum(100 * 1.1 ** (-k / 12) for k in range(24))
    assert made.value == pytest.approx(np.full(200, by_hand))
    assert made.draws["customers"][:, -1] == pytest.approx(np.full(200, 120.0))
    short = retention.read_cube(held({"a": [0] * 10 + [5] * 4, "b": [0] * 11 + [5] * 3}, dt.date(2025, 2, 28)))
    assert projection.project(projection.table(short), n_months=12, margin=1, discount=0, n_draws=200, seed=1) is None


# The page


def test_bad_parameters_are_refused_at_once():
    for changed, says in (
        ({"ages": "3, x"}, "write months from 1 to 240"), ({"event": "2026"}, "write a month"),
        ({"event": "", "event_for": "2025"}, "there is no event"), ({"team": "EMEA 1"}, "belongs to accounts"),
        ({"cohorts": "week"}, "cohorts"), ({"discount": 2}, "discount"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=says):
            checked("cohort", **changed)


@pytest.mark.parametrize(
    ("event", "event_for", "why"),
    [
        ("2023-12", "", "early"),
        pytest.param("2026-01", "2019", "unknown", marks=pytest.mark.slow),
        pytest.param("2026-01", "2023-12", "thin", marks=pytest.mark.slow),
    ],
)
def test_an_event_of_which_nothing_is_known_says_so(book, event, event_for, why):
    made = cohort.measure(book, checked("cohort", event=event, event_for=event_for, n_draws=200, split_by="none"))
    assert made.no_event == why and tables.event_table(made) is None
    assert any(one.tone == "warn" for one in words.findings(made))


@pytest.mark.slow
def test_regions_are_those_of_accounts_and_sum_to_the_company(book, found):
    """Movements of each region, month by month, to the cent; a customer of a region may have been won elsewhere."""
    whole, names = (
        found.months.set_index("month_on"),
        sorted(book.accounts.select("region").distinct().execute()["region"]),
    )
    parts, sources = [], []
    for name in names:
        asked = checked("cohort", region=name, split_by="source", n_draws=200)
        part = cohort.measure(crm.open(**asked.book), asked)
        parts.append(part.months.set_index("month_on").reindex(whole.index).fillna(0))
        sources.append(part.cube.rows.groupby("group", dropna=False)["n"].sum())
    assert len(names) == 4 and (sum(parts) == whole).all(axis=None)
    assert sum(sources).equals(retention.read_cube(book, "source").rows.groupby("group", dropna=False)["n"].sum())
    bare = crm.open("sample")
    bare._accounts = bare.accounts.filter(bare.accounts.region == "nowhere").select("account_id")
    with pytest.raises(ValueError, match="region 'EMEA': no account of it has revenue"):
        cohort.measure(bare, checked("cohort", region="EMEA"))


def test_a_split_by_what_is_not_known_is_refused(book):
    bare = held({"a": [5] * 14}, dt.date(2025, 2, 28))
    bare.accounts = book.accounts.mutate(region=ibis.null("string"))
    with pytest.raises(ValueError, match="split_by region: the source has no value of it"):
        retention.read_cube(bare, "region")


@pytest.mark.parametrize("language", lang.LANGUAGES)
def test_all_that_is_said_can_be_said(found, language):
    lang.use(language)
    told = [words.findings(found), words.tiles(found), words.note(found), words.facts(found)]
    made = [tables.triangle_table(found, what) for what in ("active", "kept", "revenue")]
    made += [
        getattr(tables, name)(found) for name in dir(tables) if name.endswith("_table") and name != "triangle_table"
    ]
    for one in made:
        assert all(len(row) == len(one.columns) == len(one.numeric) for row in one.rows), one.caption
    assert "nan" not in str([told, made]).lower().replace("финан", "")
    few = (
        cohort.measure.__globals__["Found"]
        ._make(found)
        ._replace(projection=None, renewed=None, renewed_before=None, event=[], differs=[], n_compared=0)
    )
    assert words.findings(few) and words.tiles(few) and tables.value_table(few) is None
