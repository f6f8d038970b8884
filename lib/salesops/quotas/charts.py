"""The pictures of quotas: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_year(rows: Sequence[tuple[str, float, float, float]], *, currency: str, ax: Axes) -> Axes:
    """Amounts of the year from the top: name, amount, and the ends of its interval (the amount itself, where none)."""
    for k, (_name, amount, low, high) in enumerate(rows):
        ax.barh(-k, amount, color=theme.ACCENT if low != high else theme.PALE, height=0.62)
        if low != high:
            ax.plot([low, high], [-k, -k], color=theme.INK, lw=2, solid_capstyle="butt")
        ax.text(max(amount, high), -k, f" {lang.money(amount, currency, compact=True)}", va="center", weight="bold")
    ax.set(title=_("The fiscal year"), yticks=[-k for k in range(len(rows))], xticks=[])
    ax.set_yticklabels([row[0] for row in rows])
    ax.set_xlim(0, max([high for _n, _a, _l, high in rows] + [1]) * 1.2)
    return theme.quiet(ax)


def plot_heads(
    names: Sequence[str], heads: Sequence[float], low: Sequence[float], middle: Sequence[float], high: Sequence[float],
    *, ax: Axes,
) -> Axes:  # fmt: skip
    """Heads there will be (mean), and how many of them sell as those past the ramp do, with its band."""
    ax.set(title=_("Who will be there to sell"))
    if not names:
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    at = range(len(names))
    ax.fill_between(at, low, high, color=theme.PALE, lw=0, alpha=0.6)
    ax.plot(at, middle, color=theme.ACCENT, lw=2.4, label=_("sell as those past the ramp"))
    ax.plot(at, heads, color=theme.INK, lw=1.6, ls="--", label=_("heads"))
    ax.set_xticks(list(at)[::3])
    ax.set_xticklabels(list(names)[::3])
    ax.set_ylim(0, max([*high, *heads, 1]) * 1.2)
    ax.grid(axis="y")
    ax.legend(loc="lower left", fontsize=9)
    return theme.quiet(ax)
