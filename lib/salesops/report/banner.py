"""The line on a page that says it could not be renewed. It is not part of what was made."""

import datetime as dt
import html

from salesops import lang
from salesops.lang import _
from salesops.report import files

_BODY = '<div class="page">\n'


def put(page: str, *, language: str, on: dt.date, reason: str) -> str:
    """The page with the line; it takes the place of an earlier one."""
    text = html.escape(sentence(language, on, reason))
    return without(page).replace(_BODY, f'<p class="failed" role="status">{text}</p>\n{_BODY}', 1)


def without(page: str) -> str:
    """The page as it was made."""
    return files.NOT_RENEWED.sub("", page, count=1)


def sentence(language: str, on: dt.date, reason: str, *, earlier: bool = True) -> str:
    """Not renewed (or, where there is no earlier one, not made) on which day, and why, in the language of the page."""
    before = lang.current()
    lang.use(language)
    try:
        text = _("Not renewed on {day} because: {reason}") if earlier else _("Not made on {day} because: {reason}")
        return text.format(day=lang.day(on), reason=lang.short(reason, 400))
    finally:
        lang.use(before)
