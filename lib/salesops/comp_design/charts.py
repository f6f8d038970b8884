"""The pictures of plans side by side: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _

LINES = ((theme.ACCENT, "-"), (theme.ORANGE, "-"), (theme.INK, "--"), (theme.GREY, "-"), (theme.ACCENT, ":"))


def plot_curves(
    attainment: Sequence[float], curves: Sequence[tuple[str, Sequence[float]]], *, currency: str, ax: Axes
) -> Axes:
    """What a year at one attainment earns under each plan."""
    for k, (name, pay) in enumerate(curves):
        colour, style = LINES[k % len(LINES)]
        ax.plot(attainment, pay, color=colour, ls=style, lw=2.4 if k < 2 else 1.6, label=name)
    ax.axvline(1, color=theme.LINE, lw=1.5, zorder=0)
    ax.set(title=_("What a year at one attainment earns"), xlabel=_("attainment of the quota"), ylim=(0, None))
    ax.set_xlim(attainment[0], attainment[-1])
    ax.xaxis.set_major_formatter(lambda value, _position: lang.percent(value))
    ax.yaxis.set_major_formatter(lambda value, _position: lang.money(value, currency, compact=True))
    ax.grid(axis="y")
    ax.legend(loc="upper left", fontsize=9)
    return theme.quiet(ax)


def plot_frontier(
    others: Sequence[tuple[float, float]], allowed: Sequence[tuple[float, float]],
    named: Sequence[tuple[str, float, float]], *, currency: str, ax: Axes,
) -> Axes:  # fmt: skip
    """Cost against reward of every candidate; those within the limits stand out, and the compared ones by name."""
    for points, colour, size in ((others, theme.LINE, 14), (allowed, theme.PALE, 18)):
        if len(points):
            ax.scatter(*zip(*points, strict=True), color=colour, s=size, lw=0)
    for k, (name, cost, reward) in enumerate(named):
        colour, _style = LINES[k % len(LINES)]
        ax.scatter([cost], [reward], color=colour, s=52, zorder=3)
        up = 7 if k else -15  # the first one, which holds, is named below: others are often close to it
        ax.annotate(name, (cost, reward), xytext=(0, up), textcoords="offset points", ha="center", fontsize=9,
                    weight="bold", color=theme.INK, zorder=4)  # fmt: skip
    ax.set(title=_("What a year costs, and what the best are paid over the middle"), xlabel=_("cost of a year, P50"))
    ax.xaxis.set_major_locator(_few())
    ax.xaxis.set_major_formatter(lambda value, _position: lang.money(value, currency, compact=True))
    ax.yaxis.set_major_formatter(lambda value, _position: f"{lang.decimal(value, 2)}×")
    ax.grid(axis="y")
    ax.margins(0.08, 0.12)
    return theme.quiet(ax)


def _few():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)
