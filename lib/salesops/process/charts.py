"""The process's pictures: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Estimate


def plot_graph(stages: Sequence[str], edges: Sequence[tuple[int, int, int, str]], *, ax: Axes) -> Axes:
    """The directly-follows graph: stages from top to bottom, won last; skips to the right, moves back to the left.

    `edges` are (from, to, deals, kind), by place of the stages; what is lost stands beside its stage.
    """
    most = max((n for _a, _b, n, _kind in edges), default=1)
    for row, stage in enumerate(stages):
        colour = theme.ACCENT if row == len(stages) - 1 else theme.INK
        ax.text(
            0,
            row,
            lang.short(stage, 18),
            ha="center",
            va="center",
            weight="bold",
            color=colour,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.35", "fc": "white", "ec": theme.LINE},
        )
    for a, b, n, kind in edges:
        if kind == "lost":
            ax.text(-1.35, a, _("lost {n}").format(n=lang.count(n)), ha="right", va="center", color=theme.MUTED)
            continue
        bend = {"skip": 0.55, "back": 0.55, "reopen": 0.9}.get(kind, 0.0) if b != a + 1 or kind != "forward" else 0.0
        colour = {"skip": theme.ORANGE, "back": theme.ORANGE, "reopen": theme.ORANGE}.get(kind, theme.ACCENT)
        bend = 0.0 if kind == "won" and b == a + 1 else bend or (0.55 if kind == "won" else 0.0)
        side = 0.42 if b > a else -0.42
        x = 0.0 if bend == 0 else side
        ax.add_patch(
            FancyArrowPatch(
                (x, a + (0.24 if b > a else -0.24)),
                (x, b - (0.24 if b > a else -0.24)),
                arrowstyle="-|>",
                mutation_scale=9,
                connectionstyle=f"arc3,rad={-bend if b > a else -bend}",
                lw=0.8 + 4 * n / most,
                color=colour,
                alpha=0.75,
                zorder=2,
            )
        )
        middle = (a + b) / 2
        at = 0.12 if bend == 0 else side + (0.36 if b > a else -0.36) * abs(b - a)
        ax.text(at, middle, lang.count(n), ha="left" if b > a else "right", va="center", color=theme.MUTED, zorder=5)
    ax.set(xlim=(-2.6, 2.2), ylim=(len(stages) - 0.5, -0.6), xticks=[], yticks=[], title=_("Moves between stages"))
    return theme.quiet(ax)


def plot_prices(names: Sequence[str], gaps: Sequence[Estimate | None], beyond: Sequence[bool], *, ax: Axes) -> Axes:
    """The difference in the share won after each detour, with its interval; beyond chance in orange or blue."""
    known = [one for one in gaps if one is not None]
    reach = max([abs(x) for one in known for x in (one.low, one.high)], default=0.1) * 1.1
    for row, (gap, sure) in enumerate(zip(gaps, beyond, strict=True)):
        if gap is None:
            ax.text(0, row, _("too few deals"), ha="center", va="center", color=theme.MUTED)
            continue
        colour, pale = (theme.ACCENT, theme.PALE) if gap.value > 0 else (theme.ORANGE, theme.PALE_ORANGE)
        colour, pale = (colour, pale) if sure else (theme.GREY, theme.LINE)
        ax.plot([gap.low, gap.high], [row, row], color=pale, lw=6, solid_capstyle="round", zorder=1)
        ax.plot(gap.value, row, "o", color=colour, ms=7, zorder=3)
        ax.text(
            1.02,
            row,
            lang.points(gap.value, signed=True),
            transform=ax.get_yaxis_transform(),
            va="center",
            weight="bold",
        )
    ax.axvline(0, color=theme.MUTED, lw=1)
    ax.set(title=_("Share won after a detour, points"), xlim=(-reach, reach), ylim=(len(names) - 0.5, -0.5))
    ax.set(yticks=range(len(names)), yticklabels=list(names))
    ax.xaxis.set_major_formatter(lambda share, _position: lang.points(share, signed=True))
    ax.grid(axis="x")
    return theme.quiet(ax)
