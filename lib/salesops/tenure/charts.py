"""The pictures of tenure: finished numbers and an Axes in, Axes out."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Survival


def plot_curves(curves: Mapping[str, Survival], *, until: int, ax: Axes) -> Axes:
    """The share still there by months, of up to four groups; the first with its interval."""
    colours = (theme.INK, theme.ACCENT, theme.ORANGE, theme.GREY)
    for k, (colour, (name, curve)) in enumerate(zip(colours, curves.items(), strict=False)):
        at = [0, *curve.age, max(until, *curve.age, 0)]
        share = [1.0, *curve.share, curve.share[-1] if len(curve.share) else 1.0]
        ax.step(at, share, where="post", color=colour, lw=2.2 if k == 0 else 1.8, label=lang.short(name))
        if k == 0 and len(curve.age):
            ax.fill_between(curve.age, curve.low, curve.high, step="post", color=theme.PALE, alpha=0.5, lw=0)
    ax.set(title=_("Still there"), xlabel=_("months since the start"), xlim=(0, until), ylim=(0, 1.02))
    ax.yaxis.set_major_formatter(lambda share, _at: lang.percent(share))
    ax.grid(axis="y")
    ax.legend(loc="best", fontsize=9)
    return theme.quiet(ax)


def plot_records(names: Sequence[str], counts: Sequence[int], *, ax: Axes) -> Axes:
    """How many have left by each record, and by all of them."""
    ax.set(title=_("Who has left, by which record"))
    if not len(names):
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    last = len(names) - 1
    for row, (name, n) in enumerate(zip(names, counts, strict=True)):
        ax.barh(row, n, color=theme.ACCENT if row == last and last else theme.PALE, height=0.62)
        ax.text(n, row, f" {lang.count(n)}", va="center", weight="bold")
        ax.text(0, row - 0.42, name, va="bottom", color=theme.MUTED, fontsize=9)
    ax.set(xticks=[], yticks=[], xlim=(0, max([*counts, 1]) * 1.15), ylim=(max(len(names), 3) - 0.5, -0.8))
    return theme.quiet(ax)
