"""The pictures of ripening: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_curve(
    ages: Sequence[float], shares: Sequence[float], low: Sequence[float], high: Sequence[float], ripe: int | None, *,
    ax: Axes,
) -> Axes:  # fmt: skip
    """The share converted by age of all cohorts, with its band, and the age at which it is ripe."""
    ax.step(ages, shares, where="post", color=theme.ACCENT, lw=2.2)
    ax.fill_between(ages, low, high, step="post", color=theme.PALE, alpha=0.6, lw=0)
    if ripe is not None:
        ax.axvline(ripe, color=theme.ORANGE, lw=1.4, ls="--")
        ax.annotate(_("ripe: {n} days").format(n=lang.count(ripe)), (ripe, 0), xytext=(5, 6),
                    textcoords="offset points", color=theme.ORANGE, weight="bold")  # fmt: skip
    ax.set(title=_("Converted by age, all cohorts"), xlabel=_("days"), xlim=(0, max([*ages, 1])),
           ylim=(0, max([*high, 0.01]) * 1.1))  # fmt: skip
    ax.yaxis.set_major_formatter(lambda share, _at: lang.percent(share))
    ax.grid(axis="y")
    return theme.quiet(ax)


def plot_ultimates(
    names: Sequence[str], so_far: Sequence[float], told: Sequence[float], low: Sequence[float],
    high: Sequence[float], *,
    ax: Axes,
) -> Axes:  # fmt: skip
    """What each cohort has converted, and what it will, with its interval; shares."""
    at = range(len(names))
    ax.bar(at, told, color=theme.PALE, width=0.7, label=_("to come"))
    ax.bar(at, so_far, color=theme.ACCENT, width=0.7, label=_("so far"))
    for k in at:
        if high[k] > low[k]:
            ax.plot([k, k], [low[k], high[k]], color=theme.INK, lw=1.6, solid_capstyle="butt")
    ax.set(title=_("What each cohort comes to"))
    every = max(len(names) // 8, 1)
    ax.set_xticks(list(at)[::every])
    ax.set_xticklabels(list(names)[::every], rotation=30, ha="right")
    ax.set_ylim(0, max([*high, *told, 0.01]) * 1.25)
    ax.yaxis.set_major_formatter(lambda share, _at: lang.percent(share))
    ax.grid(axis="y")
    ax.legend(loc="upper left", fontsize=9, ncols=2)
    return theme.quiet(ax)
