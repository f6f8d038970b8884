"""What a table of a plan pays for so much measured: exact fractions in, exact fractions out."""

from fractions import Fraction

from salesops.pay.plans import Band, Multiplier, Table

NOTHING = Fraction(0)


def reached(bands: tuple[Band, ...], at: Fraction) -> int:
    """The number of the band that a value has reached; -1 below the first. A band begins at its own start."""
    return sum(band.start <= at for band in bands) - 1


def earned(
    table: Table, measured: Fraction, quota: Fraction | None, target: Fraction, *, open_to: int | None = None
) -> Fraction:
    """What is earned for `measured`, money.

    Parameters
    ----------
    quota : of the span, in the same unit; may be None where the table goes by amount. target : target pay of the span.
    open_to : the number of bands that count; None is all of them.

    Notes
    -----
    Below the first band nothing is earned; measured below zero (more returned than sold) takes back at the first
    band's rate. Linear tables hold their last value beyond the last band.
    """
    scale = quota if table.by == "attainment" else Fraction(1)
    if not scale:
        open_to = 1  # of a quota of nothing, no band beyond the first is ever reached
    bands = table.bands if open_to is None else table.bands[:open_to]
    if measured < 0:
        return measured * _unit(table, bands[0], scale, target) if bands[0].start == 0 else NOTHING
    at = measured / scale if scale else NOTHING
    if table.way == "marginal":
        parts = [part * _unit(table, band, scale, target) for band, part in portions(table, measured, scale, open_to)]
        return sum(parts, NOTHING)
    k = reached(bands, at)
    if k < 0:
        return NOTHING
    value = bands[k].value
    if table.between == "linear" and k + 1 < len(bands):
        one, other = bands[k], bands[k + 1]
        value += (other.value - one.value) * (at - one.start) / (other.start - one.start)
    return {"rate": measured, "pays": target, "amount": Fraction(1)}[table.kind] * value


def portions(
    table: Table, measured: Fraction, scale: Fraction, open_to: int | None = None
) -> list[tuple[Band, Fraction]]:
    """The bands and how much of `measured` lies in each; of a closed band, it stays in the last open one."""
    bands = table.bands if open_to is None else table.bands[:open_to]
    found = []
    for k, band in enumerate(bands):
        low = band.start * scale
        high = bands[k + 1].start * scale if k + 1 < len(bands) else None
        part = (measured if high is None else min(measured, high)) - low
        if part > 0:
            found.append((band, part))
    return found


def _unit(table: Table, band: Band, scale: Fraction, target: Fraction) -> Fraction:
    """Money for one unit of what is measured, in a band."""
    if band.kind == "rate":
        return band.value
    if band.kind == "pays" and table.way == "marginal":
        return band.value * target / scale if scale else NOTHING
    return NOTHING


def next_rate(
    table: Table, measured: Fraction, quota: Fraction | None, target: Fraction, *, open_to: int | None = None
) -> Fraction:
    """Money for one unit more at the band that `measured` has reached: what a windfall carved out is paid at."""
    scale = quota if table.by == "attainment" else Fraction(1)
    bands = table.bands if open_to is None else table.bands[:open_to]
    k = reached(bands, max(measured, NOTHING) / scale if scale else NOTHING)
    if k < 0:
        return NOTHING
    band = bands[k]
    if band.kind == "pays" and table.way == "whole":
        return band.value * target / measured if measured else NOTHING
    return _unit(table, band, scale, target)


def times(multiplier: Multiplier, attainment: Fraction | None) -> Fraction:
    """The factor of the band reached; 1 below the first, or where nothing is to be attained."""
    if attainment is None:
        return Fraction(1)
    k = reached(multiplier.bands, attainment)
    return multiplier.bands[k].value if k >= 0 else Fraction(1)


def straight(table: Table, scale: Fraction, target: Fraction) -> list[tuple[Fraction, Fraction, Fraction]] | None:
    """start, slope and level of each straight piece: pay = slope x + level from the start on; None where a piece is no
    straight line (rates that are linear between bands)."""
    found, paid = [], Fraction(0)
    bands = table.bands if scale else table.bands[:1]
    for k, band in enumerate(bands):
        start = band.start * scale
        if table.way == "marginal":
            slope = band.value if band.kind == "rate" else (band.value * target / scale if scale else Fraction(0))
            if k:
                paid += (start - bands[k - 1].start * scale) * found[-1][1]
            found.append((start, slope, paid - slope * start))
            continue
        base = {"rate": None, "pays": target, "amount": Fraction(1)}[band.kind]
        following = bands[k + 1] if k + 1 < len(bands) else None
        if table.between == "linear" and following is not None:
            if base is None:
                return None
            width = (following.start - band.start) * scale
            slope = base * (following.value - band.value) / width if width else Fraction(0)
            found.append((start, slope, base * band.value - slope * start))
        elif base is None:
            found.append((start, band.value, Fraction(0)))
        else:
            found.append((start, Fraction(0), base * band.value))
    return found
