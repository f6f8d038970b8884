"""The pipeline's pictures: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Estimate


def plot_bridge(names: Sequence[str], amounts: Sequence[float], texts: Sequence[str], *, ax: Axes) -> Axes:
    """A waterfall: the first and the last are totals, what lies between is what changed them."""
    level, last = 0.0, len(amounts) - 1
    reach = max(amounts[0], amounts[-1], 1.0)
    for row, amount in enumerate(amounts):
        total = row in (0, last)
        start = 0.0 if total else level
        colour = theme.ACCENT if total else theme.PALE if amount >= 0 else theme.ORANGE
        ax.barh(row, amount, left=start, color=colour, height=0.62)
        level = amount if total else level + amount
        end = max(start, start + amount)
        reach = max(reach, end)
        ax.annotate(texts[row], (end, row), xytext=(5, 0), textcoords="offset points", va="center", weight="bold")
        if row < last:
            ax.plot([level, level], [row - 0.31, row + 1.31], color=theme.LINE, lw=1, zorder=0)
    ax.invert_yaxis()
    ax.set(title=_("From opening to closing"), xticks=[], xlim=(0, reach * 1.2), yticks=range(len(names)))
    ax.set_yticklabels([lang.short(name) for name in names])
    return theme.quiet(ax)


def plot_coverage(
    days: Sequence[float],
    needed: Sequence[Estimate | None],
    own_days: Sequence[float],
    own: Sequence[float],
    *,
    ax: Axes,
) -> Axes:
    """What quarters needed by day, with its interval, and this quarter's coverage of its target up to now."""
    ax.set(title=_("Coverage by day of the quarter"), xlabel=_("day of ninety"), xlim=(0, 90))
    known = [(day, one) for day, one in zip(days, needed, strict=True) if one is not None]
    if known:
        at = [day for day, _one in known]
        ax.fill_between(at, [e.low for _d, e in known], [e.high for _d, e in known], color=theme.PALE, alpha=0.6, lw=0)
        ax.plot(at, [e.value for _d, e in known], color=theme.GREY, lw=2)
        ax.annotate(_("needed"), (at[-1], known[-1][1].value), xytext=(4, 0), textcoords="offset points",
                    color=theme.MUTED, va="center", weight="bold", annotation_clip=False)  # fmt: skip
    if len(own):
        ax.plot(own_days, own, color=theme.ACCENT, lw=2.4, marker="o", ms=4)
        ax.annotate(
            lang.decimal(own[-1]), (own_days[-1], own[-1]), xytext=(0, 8), textcoords="offset points", ha="center",
            weight="bold", color=theme.ACCENT,
        )  # fmt: skip
    if not known and not len(own):
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(yticks=[])
    ceiling = max([e.high for day, e in known if day <= 77] + [*own], default=1.0)
    ax.set(ylim=(0, ceiling * 1.15))
    ax.yaxis.set_major_formatter(lambda value, _position: lang.decimal(value))
    ax.grid(axis="y")
    return theme.quiet(ax)
