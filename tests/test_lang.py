"""Two languages: nothing missing, nothing left over, placeholders kept, numbers as each writes them."""

import datetime as dt
import string

import numpy as np
import pytest
from salesops import lang, messages, periods

from tests.conftest import ROOT


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_russian_catalogue_is_complete_and_holds_nothing_else():
    wanted, known = messages.collect(ROOT), messages.read("ru")
    have = {message.id[0] if isinstance(message.id, tuple) else message.id: message for message in known if message.id}
    assert set(have) == set(wanted)
    for one, many in wanted.items():
        forms = have[one].string if isinstance(have[one].string, tuple) else (have[one].string,)
        assert len(forms) == (3 if many else 1) and all(forms), one
        assert all(fields(form) == fields(many or one) for form in forms), one


@pytest.mark.parametrize(("n", "form"), [(1, "сделка"), (2, "сделки"), (5, "сделок"), (21, "сделка"), (112, "сделок")])
def test_russian_has_three_plurals(n, form):
    lang.use("ru")
    text = lang.ngettext("{n} deal; at least {least} are needed.", "{n} deals; at least {least} are needed.", n)
    assert text.format(n=n, least=20) == f"{n} {form}; нужно не меньше 20."


def test_numbers_dates_and_money_are_written_as_each_language_does():
    space = "\N{NO-BREAK SPACE}"
    written = {
        "en": ["1,234", "61%", "55–67%", "−3", "$1.2M", "$1,235", "31 Oct 2026", "October 2026", "July – October 2026"],
        "ru": [
            f"1{space}234",
            f"61{space}%",
            f"55–67{space}%",
            "−3",
            f"1,2{space}млн{space}$",
            f"1{space}235{space}$",
            "31 окт. 2026",
            "октябрь 2026",
            "июль – октябрь 2026",
        ],
    }
    span = periods.parse("2026-07..2026-10")
    for language, expected in written.items():
        lang.use(language)
        assert [
            lang.count(1234),
            lang.percent(0.614),
            lang.between(0.55, 0.67),
            lang.points(-0.03, signed=True),
            lang.money(1_234_567, "USD", compact=True),
            lang.money(1234.6, "USD"),
            lang.day(dt.date(2026, 10, 31)),
            lang.month(dt.date(2026, 10, 1)),
            lang.period(span),
        ] == expected


def test_money_below_zero_has_a_minus_and_nothing_has_none():
    shown = [lang.money(amount, "USD", compact=True) for amount in (-1_234_567, -999, -0.4, 0.4)]
    assert shown == ["−$1.2M", "−$999", "$0", "$0"]


def test_a_number_that_is_absent_is_a_dash():
    assert [lang.percent(None), lang.days(float("nan")), lang.money(None, "USD"), lang.decimal(float("inf"))] == [
        "—"
    ] * 4


def test_the_last_bits_of_a_number_are_not_printed():
    """Halves, and whole numbers: written alike whatever the order in which they were added up."""
    assert lang.percent(0.125) == lang.percent(0.125 + 3e-17) == lang.percent(np.nextafter(0.125, 1)) == "12%"
    assert lang.points(np.nextafter(0.145, 0)) == lang.points(0.145) and lang.between(0.125, 1) == lang.between(
        np.nextafter(0.125, 1), 1
    )
    assert lang.decimal(np.nextafter(2.5, 3), 0) == lang.decimal(2.5, 0) == "2"
    assert lang.count(np.nextafter(3, 0)) == "3" and lang.money(np.nextafter(1234.5, 2000), "USD") == "$1,234"
    assert lang.money(9_876_543_210_987.0, "USD") == "$9,876,543,210,987"
