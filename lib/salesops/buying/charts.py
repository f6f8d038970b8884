"""The pictures of repeat buying: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_triangle(
    names: Sequence[str], ages: Sequence[int], shares: Sequence[Sequence[float | None]], *, unit: str, ax: Axes
) -> Axes:
    """Shares of cohorts (rows, the oldest on top) that bought again in a later period."""
    theme.heat(ax, shares, [[lang.percent(one) for one in row] for row in shares])
    ax.set(title=_("Who bought again"), xlabel=unit, xticks=range(len(ages)), yticks=range(len(names)),
           xlim=(-0.5, max(len(ages), 1) - 0.5), ylim=(max(len(names), 1) - 0.5, -0.5))  # fmt: skip
    ax.set_xticklabels([str(age) for age in ages])
    ax.set_yticklabels([lang.short(name) for name in names])
    return theme.quiet(ax)


def plot_classes(names: Sequence[str], expected: Sequence[float], came: Sequence[float], *, ax: Axes) -> Axes:
    """Purchases that were expected of customers by how often they had come back, and what came."""
    ax.set(title=_("Told on a day of the past, and what came"), xlabel=_("times that customers had come back by then"))
    if not len(names):
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    at = range(len(names))
    ax.bar([k - 0.2 for k in at], expected, width=0.4, color=theme.PALE, label=_("expected"))
    ax.bar([k + 0.2 for k in at], came, width=0.4, color=theme.ACCENT, label=_("came"))
    ax.set_xticks(list(at))
    ax.set_xticklabels(list(names))
    ax.set_ylim(0, max([*expected, *came, 1]) * 1.2)
    ax.grid(axis="y")
    ax.legend(loc="upper left", fontsize=9)
    return theme.quiet(ax)
