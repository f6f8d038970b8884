"""The playbook's languages: one gettext catalogue, and numbers, dates and money as Babel writes them.

English is the source; `locale/<language>/LC_MESSAGES/salesops.po` holds the others. A sentence is
marked with `_()` where it is written; `ngettext()` chooses the plural form.
"""

import datetime as dt
import gettext
import io
import math
from decimal import Decimal
from functools import lru_cache

from babel import Locale, dates, numbers
from babel.messages import mofile, pofile

from salesops import periods, plaintext
from salesops.project import PACKAGE

LANGUAGES = ("en", "ru")
NONE = "—"  # an em dash: a number that is absent; its reason stands beside it
DIGITS = 13  # that are safe to print: sixteen less those that sums in another order change
_current = "en"


def use(language: str) -> None:
    """Speak this language from now on (in this process)."""
    global _current
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is not a language of the playbook: {', '.join(LANGUAGES)}")
    _current = language


def current() -> str:
    return _current


@lru_cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations into a language; compiled in memory from its .po file."""
    path = PACKAGE / "locale" / language / "LC_MESSAGES" / "salesops.po"
    if not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as source:
        messages = pofile.read_po(source, locale=language)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, messages)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _(text: str) -> str:
    return catalogue(_current).gettext(text)


def ngettext(one: str, many: str, n: int) -> str:
    return catalogue(_current).ngettext(one, many, int(_settled(n)))


def locale() -> Locale:
    return Locale.parse({"en": "en_US"}.get(_current, _current))


def _settled(value: float) -> float:
    """A number without its last digits, which hang on the order in which a processor adds: what lies halfway between
    two printed figures, or is a whole number, would be written either way."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def count(n: float) -> str:
    return numbers.format_decimal(int(_settled(n)), locale=locale())


def percent(share: float | None, digits: int = 0) -> str:
    if not known(share):
        return NONE
    share = 0.0 if abs(share) < 0.005 / 10**digits else share  # never minus nothing
    return numbers.format_percent(
        _settled(share), format="0" + ("." + "0" * digits if digits else "") + _percent_sign(), locale=locale()
    )


def _percent_sign() -> str:
    return "\N{NO-BREAK SPACE}%" if _current == "ru" else "%"


def between(low: float, high: float) -> str:
    """The limits of a share: 55–67%."""
    return f"{numbers.format_decimal(_settled(low * 100), format='0', locale=locale())}–{percent(high)}"


def rate(found, digits: int = 0) -> str:
    """A share with `value`, `low` and `high`, or None: the value alone."""
    return NONE if found is None else percent(found.value, digits)


def interval(found) -> str:
    """The limits of a share with `low` and `high`, or of None."""
    return NONE if found is None else between(found.low, found.high)


def estimate(found) -> str:
    """A share with its limits, 55% (50–60%); None is absent."""
    return NONE if found is None else f"{percent(found.value)} ({between(found.low, found.high)})"


def months(found) -> str:
    """A number of months with its limits, of which one may be infinite: not reached by the data; None is absent."""
    if found is None:
        return NONE
    high = _("not reached") if math.isinf(found.high) else count(found.high)
    return _("{value} ({low} to {high})").format(value=count(found.value), low=count(found.low), high=high)


def point_cells(found) -> list[str]:
    """A difference of shares and its limits, in percentage points: +5, −1 … +11."""
    if found is None:
        return [NONE] * 2
    limits = [points(limit, signed=True) for limit in (found.low, found.high)]
    return [points(found.value, signed=True), " … ".join(limits)]


def p_value(p: float | None) -> str:
    """Relation and value: = 0.012, < 0.001."""
    if not known(p):
        return NONE
    return f"<\N{NO-BREAK SPACE}{decimal(0.001, 3)}" if p < 0.001 else f"=\N{NO-BREAK SPACE}{decimal(p, 3)}"


def dimension(name: str) -> str:
    """What deals or leads are split by, as the head of a column."""
    return {
        "none": _("All"),
        "segment": _("Segment"),
        "region": _("Region"),
        "source": _("Source"),
        "campaign": _("Campaign"),
        "product": _("Product"),
        "deal_type": _("Deal type"),
        "industry": _("Industry"),
        "country": _("Country"),
        "team": _("Team"),
        "rep": _("Rep"),
        "size": _("Deal size"),
    }[name]


def no_quota(why: str) -> str:
    """Why no target is known; see `crm.find_quota`."""
    return {
        "no_quotas": _("the source has no quotas"),
        "one_pipeline": _("quotas are for all pipelines together"),
        "not_for_quarter": _("no quota is set for this quarter"),
    }[why]


def points(change: float, *, signed: bool = False) -> str:
    """A difference of two shares in percentage points, without the word."""
    text = numbers.format_decimal(_settled(abs(change) * 100), format="0", locale=locale())
    sign = "\N{MINUS SIGN}" if change < 0 else "+"
    return f"{sign}{text}" if signed and text != "0" else text


def decimal(value: float | None, digits: int = 1) -> str:
    if not known(value):
        return NONE
    return numbers.format_decimal(
        _settled(value), format="#,##0" + ("." + "0" * digits if digits else ""), locale=locale()
    )


def days(value: float | None) -> str:
    """A number of days: one decimal below ten, none above; very short ones as below a tenth."""
    if known(value) and 0 <= value < 0.05:
        return f"<\N{NO-BREAK SPACE}{decimal(0.1)}"
    return decimal(value, 1 if known(value) and value < 10 else 0)


def cents(amount: Decimal, currency: str) -> str:
    """Money to the last digit it has, as pay is told."""
    digits = max(-amount.as_tuple().exponent, 0)
    pattern = locale().currency_formats["standard"].pattern
    pattern = pattern.replace("0.00", "0" + ("." + "0" * digits if digits else ""))
    shown = numbers.format_currency(abs(amount), currency, pattern, locale=locale(), currency_digits=False)
    return ("\N{MINUS SIGN}" if amount < 0 else "") + shown


def money(amount: float | None, currency: str, *, compact: bool = False) -> str:
    """An amount in whole units of its currency; `compact` is $1.2M."""
    if not known(amount):
        return NONE
    amount = _settled(amount)
    size, sign = abs(amount), "\N{MINUS SIGN}" if round(amount) < 0 else ""
    if compact and round(size) >= 1000:
        digits = 1 if size >= 1e6 else 0
        return sign + numbers.format_compact_currency(size, currency, locale=locale(), fraction_digits=digits)
    return sign + numbers.format_currency(size, currency, locale=locale(), currency_digits=False, format=_whole())


def _whole() -> str:
    return locale().currency_formats["standard"].pattern.replace("0.00", "0")


def day(value: dt.date) -> str:
    return dates.format_date(value, format="d MMM y", locale=locale())


def period(span: periods.Period) -> str:
    """A period as people say it: October 2026; May – October 2026."""
    if span.n_months == 1:
        return month(span.first_on)
    if span.first_on.year == span.last_on.year:
        first = dates.format_date(span.first_on, format="LLLL", locale=locale())
        return f"{first} – {month(span.last_on)}"
    return f"{month(span.first_on)} – {month(span.last_on)}"


def month(value: dt.date) -> str:
    return dates.format_date(value, format="LLLL y", locale=locale())


def short(text: str, most: int = 24) -> str:
    """A name that fits the axis of a picture."""
    return plaintext.line(text, most)


def known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
