"""The picture of maturity: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_ladder(
    rows: Sequence[tuple[str, int | None, str]], *, whole: int | None, names: Sequence[str], ax: Axes
) -> Axes:
    """The stage of each evidence: (name, stage, value) each; `names` of the stages, `whole` that of all."""
    if whole is not None:
        ax.axvline(whole, color=theme.MUTED, lw=1, ls="--")
    for at, (_name, stage, value) in enumerate(reversed(rows)):
        if stage is None:
            ax.text(0, at, _("not known"), va="center", fontsize=9.5, color=theme.MUTED)
            continue
        colour = theme.ORANGE if whole is not None and stage < whole else theme.ACCENT
        ax.plot([0, stage], [at, at], color=theme.PALE, lw=3, solid_capstyle="butt")
        ax.plot(stage, at, color=colour, marker="o", ms=8)
        ax.text(stage + 0.09, at, value, va="center", fontsize=9.5)
    ax.set(xlim=(-0.15, len(names) - 0.2))
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(rows)), [lang.short(name, 26) for name, _stage, _value in reversed(rows)])
    ax.grid(axis="x")
    return theme.quiet(ax)
