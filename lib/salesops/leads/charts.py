"""The leads' pictures: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Estimate


def plot_steps(names: Sequence[str], counts: Sequence[int], *, ax: Axes) -> Axes:
    """How many leads reached each step up to now."""
    colours = [theme.PALE] * (len(names) - 1) + [theme.ACCENT]
    ax.barh(range(len(names)), counts, color=colours, height=0.58)
    ax.invert_yaxis()
    most = max([*counts, 1])
    for row, count in enumerate(counts):
        ax.text(count + most * 0.015, row, lang.count(count), va="center", weight="bold")
    ax.set(title=_("Leads that reached each step, up to now"), xlim=(0, most * 1.16), xticks=[])
    ax.set(yticks=range(len(names)), yticklabels=list(names))
    return theme.quiet(ax)


def plot_groups(names: Sequence[str], shares: Sequence[Estimate | None], hot: Sequence[bool], *, ax: Axes) -> Axes:
    """The share that became a deal, by group, with its interval; beyond chance in orange."""
    high = max((one.high for one in shares if one is not None), default=0.1)
    for row, (share, beyond) in enumerate(zip(shares, hot, strict=True)):
        if share is None:
            ax.text(0, row, _("too few leads"), va="center", color=theme.MUTED)
            continue
        colour, pale = (theme.ORANGE, theme.PALE_ORANGE) if beyond else (theme.ACCENT, theme.PALE)
        ax.plot([share.low, share.high], [row, row], color=pale, lw=6, solid_capstyle="round", zorder=1)
        ax.plot(share.value, row, "o", color=colour, ms=7, zorder=3)
        text = lang.percent(share.value, 1)
        ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", weight="bold")
    if not names:
        ax.text(0.5, 0.5, _("not split"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
    ax.set(title=_("Share that became a deal, 95% interval"), xlim=(0, high * 1.05))
    ax.set(yticks=range(len(names)), yticklabels=[lang.short(name, 22) for name in names])
    ax.set(ylim=(max(len(names), 1) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(lambda share, _position: lang.percent(share))
    ax.grid(axis="x")
    return theme.quiet(ax)
