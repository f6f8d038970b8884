"""The forecast's pictures: finished numbers and an Axes in, Axes out."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from salesops import lang, theme
from salesops.lang import _


def plot_record(
    names: Sequence[str], low: Sequence[float], middle: Sequence[float], high: Sequence[float], actual: Sequence[float],
    booked: Sequence[float], *, currency: str, ax: Axes,
) -> Axes:  # fmt: skip
    """Bands told for earlier quarters with what came, and today's band with what is booked."""
    last = len(names) - 1
    for row in range(len(names)):
        colour = theme.ACCENT if row == last else theme.PALE
        ax.plot([row, row], [low[row], high[row]], color=colour, lw=7, solid_capstyle="butt", zorder=1)
        ax.plot(
            [row - 0.22, row + 0.22],
            [middle[row]] * 2,
            color=theme.INK if row == last else theme.MUTED,
            lw=1.5,
            zorder=2,
        )
        if actual[row] == actual[row]:
            inside = low[row] <= actual[row] <= high[row]
            ax.plot(row, actual[row], "o", ms=7, color=theme.INK if inside else theme.ORANGE, zorder=3)
    ax.bar(last, booked[last], color=theme.PALE, width=0.5, zorder=0)
    ax.annotate(lang.money(middle[last], currency, compact=True), (last, high[last]), xytext=(0, 5), ha="right",
                textcoords="offset points", va="bottom", weight="bold", color=theme.ACCENT)  # fmt: skip
    top = max([*high, *(one for one in actual if one == one)], default=1.0)
    ax.set(
        title=_("What was told on this day of the quarter, and what came"),
        xticks=range(len(names)),
        ylim=(0, top * 1.12),
    )
    ax.set_xticklabels([name[2:].replace("-", "\n") for name in names])
    ax.yaxis.set_major_formatter(lambda value, _position: lang.money(value, currency, compact=True))
    ax.grid(axis="y")
    return theme.quiet(ax)


def plot_errors(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], *, ax: Axes) -> Axes:
    """Error of each method by weeks before the quarter's end; the first is ours. Keys are the names to show."""
    colours = [theme.ACCENT, theme.ORANGE, theme.GREY, theme.PALE]
    ax.set(title=_("Error of past forecasts (WAPE)"), xlabel=_("weeks before the quarter's end"))
    for k, (name, (points, errors)) in enumerate(curves.items()):
        ax.plot(points, errors, color=colours[k % 4], lw=2.6 if k == 0 else 1.8, marker="o", ms=4, label=name)
    if curves:
        ax.legend(loc="upper right", fontsize=9)
        ax.invert_xaxis()
        ax.set_ylim(top=1.4 * max(max(errors) for _points, errors in curves.values()))  # room for the names
    else:
        ax.text(
            0.5, 0.5, _("too few past forecasts"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes
        )
        ax.set(xticks=[], yticks=[])
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _position: lang.percent(value))
    ax.grid(axis="y")
    return theme.quiet(ax)
