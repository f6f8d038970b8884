"""Amounts with VAT or without it, whichever of the two the source has.

The share is that of the day a deal was created, a payment was made or a month began. Amounts are rounded half away
from zero to minor units, each for itself, as an invoice is; quotas and forecast calls stay as they were set.
"""

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

import ibis
from ibis import _

from salesops import periods
from salesops.crm.tables import AS_GIVEN

UNITS = 10**6  # of a share
TIE = 1e-7  # a half that a binary fraction falls short of is a half
OF_DEALS = ("states", "lines")
DATED = {"revenue": "month_on", "payments": "paid_at", "purchases": "bought_at", "subscriptions": "started_on"}


class Prices(NamedTuple):
    """How amounts are shown: days from which a share holds, with what amounts are multiplied by and divided by."""

    steps: tuple[tuple[dt.date, int, int], ...]
    time_zone: str

    @classmethod
    def of(cls, vat: dict | None, wanted: str, time_zone: str) -> "Prices | None":
        """None where amounts are shown as they were given.

        Raises
        ------
        ValueError
            If the source does not say its VAT.
        """
        if wanted == AS_GIVEN:
            return None
        if vat is None:
            raise ValueError(
                f"vat {wanted}: the source does not say whether its amounts hold VAT; say it in the mapping (vat)"
            )
        if vat["included"] == (wanted == "in"):
            return None
        steps = []
        for day, share in sorted(vat["share"].items()):
            with_vat = UNITS + round(share * UNITS)
            pair = (UNITS, with_vat) if vat["included"] else (with_vat, UNITS)
            steps.append((dt.date.fromisoformat(day) if day else dt.date(1, 1, 1), *pair))
        return cls(tuple(steps), time_zone)

    def show(self, name: str, table: ibis.Table, deals: Callable[[], ibis.Table]) -> ibis.Table:
        """A table of the book with its amounts so."""
        money = [column for column in table.columns if column.endswith("_minor")]
        if name not in ("deals", "states", "lines", *DATED) or not money:
            return table
        known = table
        if name in OF_DEALS and len(self.steps) > 1:
            known = table.join(
                deals().select("deal_id", vat_at=_.created_at.coalesce(_.closed_at)), "deal_id", how="left"
            ).drop("deal_id_right")
        day = {"deals": "created_at", **DATED}.get(name, "vat_at")
        told = None
        if len(self.steps) > 1:
            told = known[day].coalesce(known.closed_at) if name == "deals" else known[day]
        times, per = self._factor(told)
        shown = {}
        for column in money:
            exact = known[column].abs().cast("float64") * times / per
            shown[column] = (known[column].sign() * (exact + 0.5 + TIE).floor()).cast("int64")
        return known.mutate(**shown).select(*table.columns)

    def _factor(self, day: ibis.Column | None):
        """What amounts of a day are multiplied by and divided by; of a day not known, as from the beginning. Before the
        first share nothing is changed."""
        if day is None:
            (first, times, per), *_rest = self.steps
            return times, per
        _first, *pair = self.steps[0]
        cases = [(day.isnull(), *pair)]
        for first, times, per in reversed(self.steps):
            begins = periods.start_of(first, self.time_zone) if day.type().is_timestamp() and first.year > 1 else first
            cases.append((day >= ibis.literal(begins, type=day.type()), times, per))
        return (
            ibis.cases(*[(when, times) for when, times, _per in cases], else_=1),
            ibis.cases(*[(when, per) for when, _times, per in cases], else_=1),
        )
