"""How large a sample company, from which seed."""

from typing import NamedTuple

from salesops.problems import BadInput

LEAST, MOST = 2_000, 5_000_000
MOST_SHOCK = 150


class Size(NamedTuple):
    """How large a company, from which seed; `planted` = 0 plants nothing (the null company); `shock` is the standard
    deviation, in hundredths on the logit, of what all chances of a quarter have in common."""

    deals: int = 12_000
    seed: int = 1
    planted: int = 1
    shock: int = 0


def parse_size(text: str) -> Size:
    """Read `deals=20000,seed=7`; what is not named keeps its default.

    Raises
    ------
    BadInput
        For an unknown name, no whole number, or a size outside 2,000 to 5,000,000 deals.
    """
    size, problems = Size(), []
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in Size._fields or not value.isascii() or not value.isdigit():
            problems.append(f"{part!r}: write deals=20000, seed=7, planted=0 or shock=30, joined by commas")
        else:
            size = size._replace(**{name: int(value)})
    if size.planted > 1:
        problems.append(f"planted={size.planted}: 1, or 0 for the company in which nothing happens")
    if size.shock > MOST_SHOCK:
        problems.append(f"shock={size.shock}: allowed are 0 to {MOST_SHOCK}, hundredths on the logit")
    if not LEAST <= size.deals <= MOST:
        problems.append(f"deals={size.deals}: allowed are {LEAST:,} to {MOST:,}")
    if problems:
        raise BadInput("source sample cannot be made", problems)
    return size
