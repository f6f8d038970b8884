"""The funnel's pictures: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Estimate, Incidence

DAY_HOURS = 24
DRAWN = 240  # points of a curve; more cannot be seen


def plot_reached(names: Sequence[str], counts: Sequence[int], *, ax: Axes) -> Axes:
    """How many deals reached each stage; the last bar is won."""
    colours = [theme.PALE] * (len(names) - 1) + [theme.ACCENT]
    rows = range(len(names))  # not the names, two of which may be the same
    ax.barh(rows, counts, color=colours, height=0.58)
    ax.invert_yaxis()
    top = max(counts)
    for row, count in enumerate(counts):
        ax.text(count + top * 0.015, row, lang.count(count), va="center", weight="bold")
    ax.set(title=_("Deals that reached each stage"), xlabel="", ylabel="", xlim=(0, top * 1.14), xticks=[])
    ax.set(yticks=rows, yticklabels=[lang.short(name) for name in names])
    return theme.quiet(ax)


def plot_conversion(
    names: Sequence[str],
    rates: Sequence[Estimate | None],
    before: Sequence[Estimate | None],
    hot: Sequence[bool],
    *,
    ax: Axes,
) -> Axes:
    """The share that goes further, with its interval; a tick where it was before; `hot` ones in orange."""
    shown = [rate for rate in [*rates, *before] if rate is not None]
    low, high = min((r.low for r in shown), default=0), max((r.high for r in shown), default=1)
    for row, (rate, old, is_hot) in enumerate(zip(rates, before, hot, strict=True)):
        if old is not None:
            ax.plot([old.value] * 2, [row - 0.2, row + 0.2], color=theme.MUTED, lw=1.8, zorder=2)
        if rate is None:
            ax.text((low + high) / 2, row, _("not known"), ha="center", va="center", color=theme.MUTED)
            continue
        colour, pale = (theme.ORANGE, theme.PALE_ORANGE) if is_hot else (theme.ACCENT, theme.PALE)
        ax.plot([rate.low, rate.high], [row, row], color=pale, lw=6, solid_capstyle="round", zorder=1)
        ax.plot(rate.value, row, "o", color=colour, ms=8, zorder=3)
        ax.text(
            1.02,
            row,
            lang.percent(rate.value),
            transform=ax.get_yaxis_transform(),
            va="center",
            weight="bold",
            color=colour if is_hot else theme.INK,
        )
    ax.set(
        title=_("Share that goes further, 95% interval"),
        yticks=range(len(names)),
        yticklabels=[lang.short(name, 36) for name in names],
    )
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(max(low - 0.04, 0), min(high + 0.04, 1)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _position: lang.percent(share)))
    ax.grid(axis="x")
    return theme.quiet(ax)


def plot_won_by_age(now: Incidence, before: Incidence | None, end_days: float, *, ax: Axes) -> Axes:
    """The share won by age with its interval, the share lost, and the share won of the deals before."""
    end = float(end_days)  # no further than enough deals were watched
    ages = np.linspace(0, end, DRAWN)
    estimates = [now.at("won", age * DAY_HOURS) for age in ages]
    won, lost = (np.array([now.at(cause, age * DAY_HOURS).value for age in ages]) for cause in ("won", "lost"))
    ax.fill_between(ages, [e.low for e in estimates], [e.high for e in estimates], color=theme.PALE, alpha=0.6, lw=0)
    ax.plot(ages, won, color=theme.ACCENT, lw=2)
    ax.plot(ages, lost, color=theme.GREY, lw=2)
    labels = [(won[-1], _("won"), theme.ACCENT), (lost[-1], _("lost"), theme.MUTED)]
    if before is not None:
        old = np.array([before.at("won", age * DAY_HOURS).value for age in ages])
        ax.plot(ages, old, color=theme.INK, lw=1.2, ls=(0, (4, 3)))
        labels.append((old[-1], _("won before"), theme.INK))
    _label_ends(ax, labels)
    ax.set(xlim=(0, end), ylim=(0, 1), xlabel=_("days since the deal was created"), ylabel="")
    ax.set_title(_("Share of deals won and lost, by age"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _position: lang.percent(share)))
    ax.grid(axis="y")
    return theme.quiet(ax)


def _label_ends(ax: Axes, labels: list[tuple[float, str, str]]) -> None:
    """A name at the end of each line, pushed apart where they would overlap."""
    least, at = 0.06, -1.0
    for value, name, colour in sorted(labels):
        at = max(value, at + least)
        text = f"{name} {lang.percent(value)}"
        ax.text(1.015, at, text, transform=ax.get_yaxis_transform(), color=colour, va="center", weight="bold")
