"""Matplotlib's SVG for a page: the same bytes on every processor, and not more digits than a screen shows."""

import re

DIGITS = 2  # of coordinates: a hundredth of a point

_TAG = re.compile(r"<[a-zA-Z][^>]*>")  # matplotlib escapes what stands in attributes, so that no > is inside a tag
_DRAWN = re.compile(r'\b(?:d|x|y|x1|y1|x2|y2|cx|cy|r|rx|ry|width|height|points|style|viewBox)="[^"]*"')
_MOVED = re.compile(r"\b(?:translate|rotate)\([^)]*\)")  # factors of a scale keep their digits
_LONG = re.compile(rf"-?\d*\.\d{{{DIGITS + 1},}}")
_NAME = re.compile(r'\bid="([^"]*)"')
_USE = re.compile(r'(\bhref="#|url\(#)([^")]*)')


def rounded(svg: str) -> str:
    """Coordinates, lengths and opacities to `DIGITS` decimals; texts, names and factors of scale stay as they are.

    Matplotlib writes six decimals. To round what it wrote, not what it computed, is what makes the result safe: a
    coordinate that lies halfway by its making (the middle of a bar) is written alike whatever its last bits are.
    """
    return _TAG.sub(lambda tag: _MOVED.sub(_shortened, _DRAWN.sub(_shortened, tag[0])), svg)


def _shortened(part: re.Match) -> str:
    return _LONG.sub(_short, part[0])


def _short(number: re.Match) -> str:
    text = f"{float(number[0]):.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def named(svg: str, prefix: str) -> str:
    """Ids that begin with `prefix`; those that are referred to are numbered in the order in which they stand.

    Matplotlib makes the ids of clips and markers of a hash over coordinates with all their bits.
    """
    referred = {name for _before, name in _USE.findall(svg)}
    places = dict.fromkeys(name for name in _NAME.findall(svg) if name in referred)
    new = {name: f"ref_{k}" for k, name in enumerate(places, 1)}
    svg = _NAME.sub(lambda match: f'id="{prefix}{new.get(match[1], match[1])}"', svg)
    return _USE.sub(lambda match: f"{match[1]}{prefix}{new.get(match[2], match[2])}", svg)
