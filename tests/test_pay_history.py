"""What holds for pay whatever happens after a win: drawn histories of deals, shares, quotas and payments."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction as F

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from salesops import comp
from salesops.comp import files
from salesops.pay import clauses, credits, history, letters, payouts, team, wins
from salesops.pay.history import Record, SplitSpell, Terms
from salesops.pay.records import Assignment, Person, QuotaSpell
from salesops.problems import BadInput

from tests.conftest import checked
from tests.pay_cases import component, plan, small_book, table
from tests.test_pay_laws import any_plan

FIRST, YEAR_END = dt.date(2026, 1, 1), dt.date(2026, 12, 31)
REPS = ("r1", "r2", "r3")
DAYS = st.integers(0, 364).map(lambda k: FIRST + dt.timedelta(days=k))


@st.composite
def spells(draw):
    """A deal from day to day: won at least once, perhaps lost, won again, lowered, raised, handed over."""
    days = sorted(draw(st.sets(DAYS, min_size=1, max_size=6)))
    rows = []
    for k, day in enumerate(days):
        kind = "won" if k == 0 else draw(st.sampled_from(["won", "won", "won", "open", "lost"]))
        amount = F(10 * draw(st.integers(1, 9_000)))
        rows.append(wins.Spell(day, kind, amount, draw(st.sampled_from(REPS))))
    return rows


@st.composite
def stories(draw):
    """deals : by id. splits : by deal, of dated shares. quotas : by rep. payments : by deal, (day, amount)."""
    deals = {f"d{k}": draw(spells()) for k in range(draw(st.integers(1, 4)))}
    splits, payments = {}, {}
    for deal in deals:
        if draw(st.booleans()):
            day = draw(DAYS)
            shares = draw(st.sampled_from([(F(1, 2), F(1, 2)), (F(7, 10), F(3, 10))]))
            own = [history.SplitSpell(credits.Split(deal, rep, share), day) for rep, share in zip(REPS, shares)]
            if draw(st.booleans()):
                until = day + dt.timedelta(days=draw(st.integers(1, 90)))
                own = [one._replace(until=until) for one in own]
                own += [SplitSpell(credits.Split(deal, "r3", F(1)), until)]
            splits[deal] = own
        payments[deal] = [(draw(DAYS), F(draw(st.integers(1, 90_000)))) for _k in range(draw(st.integers(0, 2)))]
    quotas = {}
    for rep in REPS:
        quotas[rep] = [QuotaSpell("bookings", f"2026-{k:02d}", F(20_000)) for k in range(1, 13)]
        changed = draw(st.integers(1, 12))
        day = draw(DAYS)
        quotas[rep][changed - 1] = quotas[rep][changed - 1]._replace(until=day)
        quotas[rep].append(QuotaSpell("bookings", f"2026-{changed:02d}", F(draw(st.integers(1, 60)) * 1000), day))
    return deals, splits, quotas, payments


def as_known(story, day):
    """The story as it was known at the end of a day."""
    deals, splits, quotas, payments = story

    def dated(rows):
        return [one._replace(until=one.until if one.until and one.until <= day else None) for one in rows
                if one.since is None or one.since <= day]  # fmt: skip

    deals = {deal: [one for one in rows if one.on <= day] for deal, rows in deals.items()}
    return (
        {deal: rows for deal, rows in deals.items() if rows},
        {deal: dated(rows) for deal, rows in splits.items()},
        {rep: dated(rows) for rep, rows in quotas.items()},
        {deal: [one for one in rows if one[0] <= day] for deal, rows in payments.items()},
    )


def read(story, the_plan, day=YEAR_END):
    """What the library makes of a story: the history, the payments, and the people."""
    deals, splits, quotas, paid = story
    won = {deal: list(wins._episodes(rows)) for deal, rows in deals.items()}
    records = {deal: Record(rows[-1].amount, {"kind": "a"}) for deal, rows in deals.items()}
    payments = [
        share for deal, rows in paid.items() for episode in won.get(deal, ()) for on, amount in rows
        for share in history.shares_paid(deal, episode, on, amount)
    ]  # fmt: skip
    terms = Terms([the_plan], lambda amount, _on: amount, splits)
    past = history.credit(won, records, payouts.by_deal(payments), terms, day, is_paid_known=True)
    people = [
        Person(rep, dt.date(2020, 1, 1), (Assignment("AE", FIRST),), quota_spells=quotas[rep]).as_known(day)
        for rep in REPS
    ]
    return past, payments, people


def pay(story, the_plan, through=YEAR_END):
    past, payments, people = read(story, the_plan, through)
    return {
        who.person_id: payouts.pay(
            who, {"AE": the_plan}, past.credits.get(who.person_id, []), through=through,
            cancellations=past.cancellations, payments=payments,
        )
        for who in people
    }  # fmt: skip


def without_draws(lines):
    return sum((line.amount for line in lines if line.kind not in ("draw", "recovered", "guarantee")), Decimal(0))


def stays_as_reported(the_plan, story, month):
    closed = (FIRST.replace(month=month % 12 + 1) if month < 12 else dt.date(2027, 1, 1)) - dt.timedelta(days=1)
    final, then = pay(story, the_plan), pay(as_known(story, closed), the_plan, closed)
    for rep in REPS:
        assert then[rep] == [line for line in final[rep] if line.month <= f"{closed:%Y-%m}"]


def sums_to_a_rerun(the_plan, story):
    """With the last knowledge from the beginning, and cancellations on their days, which the clawback is about."""
    past, payments, people = read(story, the_plan)
    final = pay(story, the_plan)
    known = past.known(YEAR_END)
    undone = [one._replace(since=None, until=None) for one in past.cancellations if one.is_known(YEAR_END)]
    last = [one for one in payments if one.is_known(YEAR_END)]
    for who in people:
        again = payouts.pay(
            who._replace(quota_spells=()), {"AE": the_plan}, known.get(who.person_id, []), through=YEAR_END,
            cancellations=undone, payments=[one._replace(since=None, until=None) for one in last],
        )  # fmt: skip
        assert without_draws(final[who.person_id]) == without_draws(again)
        assert not [line for line in again if line.kind == "adjustment"]


@given(any_plan(), stories(), st.integers(1, 12))
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_a_reported_month_never_changes(the_plan, story, month):
    stays_as_reported(the_plan, story, month)


@given(any_plan(), stories())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_reported_months_and_adjustments_sum_to_a_rerun(the_plan, story):
    sums_to_a_rerun(the_plan, story)


@pytest.mark.slow
@given(any_plan(), stories(), st.integers(1, 12), st.integers(0, 120))
@settings(max_examples=250, suppress_health_check=list(HealthCheck))
def test_reported_months_stay_and_sum_to_a_rerun_hundreds_of_times(the_plan, story, month, days):
    the_plan = the_plan.model_copy(update={"reassign_days": days})
    stays_as_reported(the_plan, story, month)
    sums_to_a_rerun(the_plan, story)


TENTH = component(period="deal", table=table([{"from": 0, "rate": "10%"}], by="amount"))


@given(stories(), st.integers(0, 400))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_no_credit_is_paid_twice_or_lost_when_owners_change(story, days):
    """A tenth of each deal, all of it taken back on a cancellation: together a tenth of what is won now, whoever had
    what when."""
    the_plan = plan(TENTH, clawback={"days": 3650, "way": "original_rate"}, reassign_days=days)
    total = sum((line.amount for lines in pay(story, the_plan).values() for line in lines), Decimal(0))
    now = sum(rows[-1].amount for rows in story[0].values() if rows[-1].kind == "won")
    assert abs(total - Decimal(int(now)) / 10) <= Decimal("0.05")  # each line is rounded to the cent


@given(stories())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_without_a_clawback_a_deal_is_paid_once(story):
    """Nothing is taken back after its month: of each deal no more is paid than its largest amount earns, and no less
    than what it was worth at the end of a month."""
    the_plan = plan(TENTH)
    by_deal = defaultdict(Decimal)
    for lines in pay(story, the_plan).values():
        for line in lines:
            by_deal[line.span] += line.amount
    for deal, rows in story[0].items():
        largest = max(one.amount for one in rows if one.kind == "won")
        assert by_deal[deal] <= Decimal(int(largest)) / 10 + Decimal("0.05")


@st.composite
def paying_plans(draw):
    try:
        return plan(TENTH, component(name="Quarter"), hold={"share": "40%"},
                    clawback={"days": draw(st.integers(1, 300)), "way": "original_rate",
                              **({"unpaid_after": 1} if draw(st.booleans()) else {})})  # fmt: skip
    except BadInput:
        assume(False)


def pages_stay(the_plan, story):
    """The pages of each month as written at its end, and all of them as written a year later."""
    facts = {"period": "2026", "as_of": "2026-12-31"}

    def pages(day):
        past, _payments, people = read(as_known(story, day), the_plan, day)
        lines = pay(as_known(story, day), the_plan, day)
        months = [f"2026-{k:02d}" for k in range(1, day.month + 1)]
        return {
            who.person_id: letters.write(who.person_id, lines[who.person_id], past.credits.get(who.person_id, []),
                                         {the_plan.version: the_plan}, months, {}, facts | {"as_of": str(day)})
            for who in people if lines[who.person_id]
        }  # fmt: skip

    later = pages(YEAR_END)
    for month in (2, 5, 8):
        closed = dt.date(2026, month + 1, 1) - dt.timedelta(days=1)
        for rep, written in pages(closed).items():
            for name in (name for name in written if name.endswith(".html")):
                assert written[name] == later[rep][name]


@given(paying_plans(), stories())
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_statements_of_a_month_never_change(the_plan, story):
    pages_stay(the_plan, story)


@pytest.mark.slow
@given(paying_plans(), stories())
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
def test_statements_of_a_month_never_change_for_hundreds_of_histories(the_plan, story):
    pages_stay(the_plan, story)


# What the book cannot answer


def test_a_clause_without_data_is_named_and_statements_are_refused(tmp_path, monkeypatch):
    """The sample's plan asks for products, payments and first days; without them nothing is written."""
    book = small_book(tmp_path / "book")
    monkeypatch.setattr(files.crm, "open", lambda **_how: book)
    found = comp.measure(book, checked("comp"))
    assert found.blind == [clauses.Blind("", "payments"), clauses.Blind("", "first_days")]
    text = " ".join(one.detail for one in comp.words.findings(found, "USD"))
    assert "payments, which holds and unpaid deals wait for; the reps' first days, for the ramp or the draw" in text
    with pytest.raises(BadInput, match="needs payments, which this source does not have"):
        files.statements(checked("comp", period="2026-03"))
    by_region = plan(component(only={"region": ["North"]}), component(name="Overlay", credits=["overlay"]))
    assert clauses.find(book, [by_region]) == [
        clauses.Blind("Bookings", "region"),
        clauses.Blind("Overlay", "overlays"),
    ]


def test_what_has_no_log_is_named(tmp_path):
    book = small_book(tmp_path / "book")
    assert clauses.unlogged(book) == ["amount", "rep_id", "reps", "quotas"]
    found = comp.measure(book, checked("comp"))
    text = comp.words.note(found, book.as_of)
    assert "No change is logged of: amounts, owners of deals, roles and teams, quotas." in text


@pytest.mark.parametrize("weights", [("80%", "15%"), ("80%", "25%"), ("50%", 0)])
def test_weights_are_the_whole(weights):
    with pytest.raises(BadInput, match="the weights are .* together, must be 100%"):
        plan(*(component(name=f"C{k}", weight=one) for k, one in enumerate(weights)))


def test_people_of_a_team_are_paid_as_read(tmp_path):
    """`Team.paid` passes everything on: what is credited, undone and paid."""
    book = small_book(tmp_path / "book")
    read_ = team.read(book, [plan()], "")
    lines = [line for who in read_.people for line in read_.paid(who, {"1": plan()}, YEAR_END)]
    assert [str(line.amount) for line in lines if line.amount] == ["2000.00", "6200.00", "4000.00", "8950.00"]
