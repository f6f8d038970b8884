"""The border of text: all of it that leaves for a page, a terminal, a log or a workbook passes one function.

Names and notes are other people's text. Control characters steer a terminal, direction marks turn a name round,
invisible ones make two names look alike. What is hidden is replaced by a visible mark, so that the reader sees that
something stood there.
"""

import re
import unicodedata
from functools import lru_cache

MARK = "\N{REPLACEMENT CHARACTER}"
HIDDEN = {"Cc", "Cf", "Cs", "Co"}  # and of those not assigned, the ones below
# Hints that change neither the letters nor their order: where a word may be broken, and on which side a sign stands.
HINTS = "\N{SOFT HYPHEN}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"
KEPT_BREAKS = "\t\n\r"
NON_JOINER, JOINER = "\N{ZERO WIDTH NON-JOINER}", "\N{ZERO WIDTH JOINER}"
# Signs of Arabic and other scripts that Unicode counts as formats, though they are seen.
SEEN_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Letters and marks that show nothing.
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\uffa0")
# Scripts in which a joiner makes another letter: Arabic and its kin, those of India and around, Mongolian.
JOINING = (
    (0x0600, 0x08FF),
    (0x0900, 0x0DFF),
    (0x0F00, 0x109F),
    (0x1780, 0x18AF),
    (0xA840, 0xA8DF),
    (0xFB50, 0xFDFF),
    (0xFE70, 0xFEFC),
)
# The flags of England, Scotland and Wales are written with letters that are hidden elsewhere.
FLAG = "\N{WAVING BLACK FLAG}"
REGIONS = frozenset(
    "".join(chr(0xE0000 + ord(c)) for c in name) + "\N{CANCEL TAG}" for name in ("gbeng", "gbsct", "gbwls")
)
_FLAGS = re.compile(f"(?<={FLAG})(?:{'|'.join(sorted(REGIONS))})")


def clean(text: object, *, lines: bool = False) -> str:
    """Text that shows what it holds: no control, direction, invisible or private character.

    Hidden characters become U+FFFD; soft hyphens and marks of side leave without a trace. Joiners stay inside words of
    scripts that need them and between the parts of an emoji, a variation selector after a character that is seen.
    Idempotent; markup with such text in it stays markup.

    Parameters
    ----------
    lines : whether tabs and line breaks stay; else each is a space, so that no text begins a line of its own.
    """
    text = str(text)
    if not any(_is_odd(c) for c in set(text).difference(KEPT_BREAKS if lines else "")):
        return text
    text = text.translate(_WITHOUT_HINTS)
    flags = {place for match in _FLAGS.finditer(text) for place in range(*match.span())}
    return "".join(
        c if at in flags else _shown(c, text[at - 1] if at else "", text[at + 1 : at + 2], lines)
        for at, c in enumerate(text)
    )


def line(text: object, most: int | None = None) -> str:
    """One line, of at most `most` characters."""
    shown = clean(text)
    return shown if most is None or len(shown) <= most else shown[: most - 1] + "…"


def block(text: object) -> str:
    """Several lines for a terminal or a log; the later ones are indented, so that none looks like the next event."""
    first, *others = (clean(one) for one in str(text).splitlines() or [""])
    return "\n".join([first, *(one if one.startswith("  ") else f"  {one}" for one in others)])


def is_hidden(c: str) -> bool:
    """Whether a character shows nothing by itself, or steers what shows it; line breaks too."""
    if c in SEEN_SIGNS:
        return False
    return unicodedata.category(c) in HIDDEN or c in FILLERS or c in BREAKS or _is_no_character(ord(c))


_WITHOUT_HINTS = dict.fromkeys(map(ord, HINTS))


def _is_no_character(code: int) -> bool:
    """What is not and will not be a character, and what is set aside for invisible ones. What is merely not assigned
    yet, such as an emoji newer than this Python, is shown."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF or code == 0x2065 or 0xFFF0 <= code <= 0xFFF8 or (
        0xE0000 <= code <= 0xE0FFF and not 0xE0100 <= code <= 0xE01EF
    )  # fmt: skip


def _shown(c: str, before: str, after: str, lines: bool) -> str:
    if c in BREAKS:
        return c if lines and c in KEPT_BREAKS else " "
    if c in (JOINER, NON_JOINER):
        return c if _joins(c, before, after) else MARK
    if _selects(c):
        return c if before and not before.isspace() and not _selects(before) and not _is_hidden(before) else MARK
    return MARK if _is_hidden(c) else c


_is_hidden = lru_cache(10_000)(is_hidden)


@lru_cache(10_000)
def _is_odd(c: str) -> bool:
    """Whether a character has to be looked at in its place."""
    return is_hidden(c) or c in HINTS or _selects(c)


def _joins(c: str, before: str, after: str) -> bool:
    """Whether a joiner has something to join: two letters of a script that knows it, or two emoji."""
    if not before or not after:
        return False
    return (_is_of_joining_script(before) and _is_of_joining_script(after)) or (
        c == JOINER and _ends_emoji(before) and _ends_emoji(after) and not _selects(after)
    )


def _is_of_joining_script(c: str) -> bool:
    return unicodedata.category(c)[0] in "LM" and c not in FILLERS and any(
        low <= ord(c) <= high for low, high in JOINING
    )  # fmt: skip


def _ends_emoji(c: str) -> bool:
    return c == "\ufe0f" or 0x1F3FB <= ord(c) <= 0x1F3FF or (
        c != MARK and unicodedata.category(c) in ("So", "Cn") and not _is_hidden(c)
    )  # fmt: skip


def _selects(c: str) -> bool:
    """A selector of a variant of the character before it: text or emoji, a form of a Chinese character."""
    return 0xFE00 <= ord(c) <= 0xFE0F or 0xE0100 <= ord(c) <= 0xE01EF
