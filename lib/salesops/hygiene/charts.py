"""The hygiene's pictures: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Estimate


def plot_rules(names: Sequence[str], shares: Sequence[Estimate | None], *, ax: Axes) -> Axes:
    """The share of deals that break each rule, with its interval."""
    high = max((share.high for share in shares if share is not None), default=0.1)
    for row, share in enumerate(shares):
        if share is None:
            ax.text(0, row, _("too few deals"), va="center", color=theme.MUTED)
            continue
        ax.plot([share.low, share.high], [row, row], color=theme.PALE, lw=6, solid_capstyle="round", zorder=1)
        ax.plot(share.value, row, "o", color=theme.ACCENT, ms=7, zorder=3)
        ax.text(1.02, row, lang.percent(share.value, 1), transform=ax.get_yaxis_transform(), va="center", weight="bold")
    ax.set(title=_("Share that breaks the rule, 95% interval"))
    ax.set(yticks=range(len(names)), yticklabels=[lang.short(name, 30) for name in names])
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, high * 1.05))
    ax.xaxis.set_major_formatter(lambda share, _position: lang.percent(share))
    ax.grid(axis="x")
    return theme.quiet(ax)


def plot_months(names: Sequence[str], scores: Sequence[float], *, ax: Axes) -> Axes:
    """The score at each month's end; the last one is the one reported."""
    rows = range(len(names))
    ax.set(title=_("Score at the end of each month, of 100"))
    if not names:
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    ax.plot(rows, list(scores), color=theme.ACCENT, lw=2, marker="o", ms=5)
    ax.annotate(
        lang.decimal(100 * scores[-1]), (rows[-1], scores[-1]), xytext=(0, 9), textcoords="offset points",
        ha="center", weight="bold", color=theme.ACCENT,
    )  # fmt: skip
    least, most = min(scores), max(scores)
    room = max(0.02, (most - least) * 0.6)
    ax.set(xticks=rows, xticklabels=list(names))
    ax.set(ylim=(max(least - room, 0), min(most + room, 1.01)), xlim=(-0.4, len(names) - 0.6))
    ax.yaxis.set_major_formatter(lambda score, _position: lang.decimal(100 * score, 0))
    ax.tick_params(axis="x", rotation=30)
    ax.grid(axis="y")
    return theme.quiet(ax)
