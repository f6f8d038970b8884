"""How every picture of the playbook looks: one palette, one size of type, quiet axes."""

from collections.abc import Sequence

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, MUTED, LINE = "#1b2733", "#5b6a78", "#dfe5ea"
ACCENT, PALE, ORANGE, PALE_ORANGE, GREY = "#1f5fa8", "#a9c6ea", "#c9610b", "#f3c9a5", "#9aa7b3"

_SETTINGS = {
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.titlecolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titlepad": 10,
    "figure.dpi": 72,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine lays out the same
    "font.size": 10,
    "grid.color": LINE,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "salesops",  # the same picture has the same ids
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 10,
}


def apply() -> None:
    """Set the look; whatever the user's own matplotlib settings are."""
    matplotlib.rcdefaults()
    sns.set_theme(style="white", palette=[ACCENT, ORANGE, PALE, GREY, INK], rc=_SETTINGS)


def figure(height: float) -> Figure:
    """A figure of the one width that fits a column on a screen and the whole of a telephone; inches."""
    return Figure(figsize=(5.2, height), layout="constrained")


def heat(ax: Axes, shares: Sequence[Sequence[float | None]], texts: Sequence[Sequence[str]]) -> Axes:
    """Cells of a table, darker where a share is larger; nothing where it is None."""
    known = [share for row in shares for share in row if share is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    for y, (row, words) in enumerate(zip(shares, texts, strict=True)):
        for x, (share, text) in enumerate(zip(row, words, strict=True)):
            if share is None:
                continue
            strength = (share - low) / (high - low) if high > low else 0.5
            ax.barh(y, 1, left=x - 0.5, height=1, color=ACCENT, alpha=0.1 + 0.7 * strength, lw=0)
            ax.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if strength > 0.7 else INK)
    return ax


def quiet(ax: Axes) -> Axes:
    """An Axes without frame and ticks, its grid behind what is drawn."""
    sns.despine(ax=ax, left=True, bottom=True)
    ax.tick_params(length=0)
    ax.set_axisbelow(True)
    return ax


def few(n: int) -> MaxNLocator:
    """At most `n` steps between round numbers along an axis."""
    return MaxNLocator(nbins=n)
