"""The picture of restatements: finished numbers and an Axes in, Axes out."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_steps(months: Sequence[str], causes: Mapping[str, Sequence[float]], *, ax: Axes) -> Axes:
    """What each cause took from or brought to each month's figure, stacked on either side of nothing."""
    ax.set(title=_("Since it was told"))
    ax.axhline(0, color=theme.MUTED, lw=1)
    colours = [theme.ACCENT, theme.PALE, theme.ORANGE, theme.PALE_ORANGE, theme.GREY]
    above, below = [0.0] * len(months), [0.0] * len(months)
    for colour, (name, values) in zip(colours, causes.items(), strict=False):
        starts = [above[k] if value >= 0 else below[k] for k, value in enumerate(values)]
        ax.bar(range(len(months)), values, bottom=starts, color=colour, width=0.6, label=name)
        for k, value in enumerate(values):
            above[k], below[k] = above[k] + max(value, 0), below[k] + min(value, 0)
    if not causes:
        ax.text(0.5, 0.5, _("nothing changed"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(yticks=[])
    else:
        ax.legend(loc="best", fontsize=9)
        ax.yaxis.set_major_formatter(lambda value, _at: lang.decimal(value, 0))
        ax.yaxis.set_major_locator(theme.few(4))
        ax.grid(axis="y")
    ax.set_xticks(range(len(months)), months)
    return theme.quiet(ax)
