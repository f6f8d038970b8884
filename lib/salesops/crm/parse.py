"""Text of a file into typed values, a whole column at a time, by the mapping's declared conventions.

Each function takes a Series of text without blanks and gives a Series of typed values with a missing
value wherever the text is not what was declared. Nothing is guessed.
"""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal

import pandas as pd

from salesops.crm.mapping import Mapping
from salesops.crm.tables import Column

_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_OFFSET = r"\d\d:\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
_ISO_DAY = r"\d{4}-?\d\d-?\d\d(?:[T ].*)?"
_YEARS = (1900, 2037)  # engines count seconds since 1970 in 32 bits
_LARGEST = 10**16  # minor units: sums of 900 such amounts still fit 64 bits


class Conventions:
    """How numbers and moments are written in one file."""

    def __init__(self, mapping: Mapping, *, typed: bool):
        self.mapping = mapping
        self.decimal, self.thousands = (".", "") if typed else (mapping.decimal, mapping.thousands)
        self.dates = ["iso"] if typed else mapping.dates

    def parser(self, column: Column) -> Callable[[pd.Series], pd.Series]:
        return {
            "money": self.money,
            "moment": self.moments,
            "day": lambda text: self.local_moments(text).dt.date,
            "share": lambda text: self.numbers(text).where(lambda share: share.between(0, 1)),
            "number": self.numbers,
            "count": lambda text: self.numbers(text).where(lambda n: n % 1 == 0),
            "choice": lambda text: text.where(text.isin(column.allowed)),
        }.get(column.kind, lambda text: text)

    def plain(self, text: pd.Series) -> pd.Series:
        """Numbers with a point for the decimal mark and no thousands marks; missing where malformed."""
        mark = f"[{_SPACES}]" if self.thousands == " " else re.escape(self.thousands)
        whole = rf"(?:\d+|\d{{1,3}}(?:{mark}\d{{3}})+)" if self.thousands else r"\d+"
        well_formed = text.str.fullmatch(rf"[-+]?(?:{whole}(?:{re.escape(self.decimal)}\d*)?)")
        stripped = text.str.replace(mark, "", regex=True) if self.thousands else text
        return stripped.str.replace(self.decimal, ".", regex=False).where(well_formed)

    def numbers(self, text: pd.Series) -> pd.Series:
        return pd.to_numeric(self.plain(text))

    def money(self, text: pd.Series) -> pd.Series:
        """Whole minor units; digits beyond the currency's are rounded half to even."""
        one = Decimal(10) ** self.mapping.minor_digits

        def minor(number: str) -> int | None:
            value = int((Decimal(number) * one).to_integral_value(ROUND_HALF_EVEN))
            return value if abs(value) <= _LARGEST else None

        return self.plain(text).map(minor, na_action="ignore").astype("Int64")

    def local_moments(self, text: pd.Series) -> pd.Series:
        """Moments in the mapping's time zone (aware); those without an offset are local."""
        codes, distinct = pd.factorize(text)
        distinct = pd.Series(distinct, dtype="str")
        zone = self.mapping.zone
        result = pd.Series(pd.NaT, index=distinct.index, dtype=pd.DatetimeTZDtype("us", zone))
        for pattern in self.dates:
            # pandas would take now and today for the clock's time
            left = distinct[result.isna() & ~distinct.str.lower().isin(["now", "today"])]
            shifted = pd.Series("%z" in pattern, index=left.index)
            if pattern == "iso":
                left = left[left.str.fullmatch(_ISO_DAY)]
                shifted, pattern = left.str.contains(_OFFSET), "ISO8601"
            with_offset = pd.to_datetime(left[shifted], format=pattern, utc=True, errors="coerce")
            result = result.fillna(with_offset.dt.tz_convert(zone).dt.as_unit("us"))
            left = left[~shifted]
            naive = pd.to_datetime(left, format=pattern, errors="coerce")
            # A clock set back shows an hour twice: the first one is meant. Set forward, an hour is
            # not there: the moment after it is meant.
            local = naive.dt.tz_localize(zone, ambiguous=[True] * len(naive), nonexistent="shift_forward")
            result = result.fillna(local.dt.as_unit("us"))
        result = result.where(result.dt.year.between(*_YEARS))
        return result.take(codes).set_axis(text.index)

    def moments(self, text: pd.Series) -> pd.Series:
        """Naive UTC moments."""
        return self.local_moments(text).dt.tz_convert("UTC").dt.tz_localize(None)
