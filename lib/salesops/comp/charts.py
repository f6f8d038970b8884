"""The pictures of a compensation plan: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_curve(
    attainment: Sequence[float], pay: Sequence[float], marks: Sequence[tuple[float, str]], *, currency: str, ax: Axes
) -> Axes:
    """What a year earns by attainment; `marks` are where something happens, with its name."""
    ax.set(title=_("What a year at one attainment earns"), xlabel=_("attainment of the quota"), ylim=(0, None))
    if not len(pay):
        ax.text(
            0.5, 0.5, _("no quota is attained"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes
        )
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    ax.plot(attainment, pay, color=theme.ACCENT, lw=2.6)
    ax.axvline(1, color=theme.LINE, lw=1.5, zorder=0)
    ax.set_ylim(0, max(pay) * 1.15 or 1)
    for at, name in marks:
        ax.axvline(at, color=theme.PALE_ORANGE, lw=1.5, zorder=0)
        ax.text(at, max(pay) * 1.08, name, color=theme.ORANGE, ha="right", va="center", fontsize=9)
    ax.set_xlim(attainment[0], attainment[-1])
    ax.xaxis.set_major_formatter(lambda value, _position: lang.percent(value))
    ax.yaxis.set_major_formatter(lambda value, _position: lang.money(value, currency, compact=True))
    ax.grid(axis="y")
    return theme.quiet(ax)


def plot_bands(names: Sequence[str], counts: Sequence[int], *, ax: Axes) -> Axes:
    """How many reps stand at which attainment."""
    ax.bar(range(len(names)), counts, color=theme.PALE, width=0.72)
    for x, n in enumerate(counts):
        ax.text(x, n, lang.count(n), ha="center", va="bottom", weight="bold")
    ax.set(
        title=_("Reps by attainment to date"), xticks=range(len(names)), yticks=[], ylim=(0, max([*counts, 1]) * 1.15)
    )
    ax.set_xticklabels(list(names))
    return theme.quiet(ax)
