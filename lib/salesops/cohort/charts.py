"""The pictures of cohorts: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_triangle(
    names: Sequence[str], ages: Sequence[int], shares: Sequence[Sequence[float | None]], *, title: str, ax: Axes
) -> Axes:
    """Shares by cohort (rows, the oldest on top) and age in months; nothing where not watched."""
    theme.heat(ax, shares, [[lang.percent(one) for one in row] for row in shares])
    ax.set(title=title, xlabel=_("months since a customer's first"), xticks=range(len(ages)), yticks=range(len(names)),
           xlim=(-0.5, max(len(ages), 1) - 0.5), ylim=(max(len(names), 1) - 0.5, -0.5))  # fmt: skip
    ax.set_xticklabels([str(age) for age in ages])
    ax.set_yticklabels([lang.short(name) for name in names])
    return theme.quiet(ax)


def plot_movements(
    months: Sequence[str], parts: Sequence[tuple[str, Sequence[float]]], *, currency: str, ax: Axes
) -> Axes:
    """What came (above the line) and went (below it) each month."""
    colours = (theme.ACCENT, theme.PALE, theme.GREY, theme.PALE_ORANGE, theme.ORANGE)
    above, below = [0.0] * len(months), [0.0] * len(months)
    for colour, (name, amounts) in zip(colours, parts, strict=True):
        base = above if sum(amounts) >= 0 else below
        ax.bar(range(len(months)), amounts, bottom=base, color=colour, width=0.8, label=name)
        for k, amount in enumerate(amounts):
            base[k] += amount
    ax.axhline(0, color=theme.MUTED, lw=0.8)
    ax.set(title=_("What moved recurring revenue"))
    ax.set_xticks(range(0, len(months), max(len(months) // 6, 1)))
    ax.set_xticklabels(list(months)[:: max(len(months) // 6, 1)])
    ax.yaxis.set_major_formatter(lambda amount, _at: lang.money(amount, currency, compact=True))
    ax.set_ylim(min([*below, 0]) * 1.1, max([*above, 1e-9]) * 1.35)
    ax.legend(loc="upper left", fontsize=8.5, ncols=3)
    return theme.quiet(ax)


def plot_ahead(
    past: Sequence[float], low: Sequence[float], middle: Sequence[float], high: Sequence[float], *, currency: str,
    ax: Axes,
) -> Axes:  # fmt: skip
    """Revenue of a month up to now, and of today's customers in the months to come; the band is P10 to P90."""
    ax.set(title=_("Recurring revenue of today's customers"), xlabel=_("months from now"))
    if not len(middle):
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    ax.plot(range(1 - len(past), 1), past, color=theme.INK, lw=2)
    ax.fill_between(range(len(middle)), low, high, color=theme.PALE, alpha=0.6, lw=0)
    ax.plot(range(len(middle)), middle, color=theme.ACCENT, lw=2.4)
    ax.yaxis.set_major_formatter(lambda amount, _at: lang.money(amount, currency, compact=True))
    ax.set_ylim(0, max([*past, *high]) * 1.12)
    ax.grid(axis="y")
    return theme.quiet(ax)


def plot_around(
    months: Sequence[str], observed: Sequence[float], expected: Sequence[float], at: int, *, title: str, ax: Axes
) -> Axes:
    """A movement in the months around an event (which begins before place `at`), and what was to be expected."""
    ax.set(title=title)
    if not len(months):
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    ax.bar(range(len(months)), observed, color=[theme.PALE if k < at else theme.ORANGE for k in range(len(months))],
           width=0.7)  # fmt: skip
    ax.plot(range(len(months)), expected, color=theme.INK, lw=1.8, marker="o", ms=3.5, label=_("to be expected"))
    ax.axvline(at - 0.5, color=theme.MUTED, lw=1, ls="--")
    ax.set_xticks(range(0, len(months), 2))
    ax.set_xticklabels(list(months)[::2], rotation=30, ha="right")
    ax.set_ylim(0, max([*observed, *expected, 1]) * 1.2)
    ax.legend(loc="upper left", fontsize=8.5)
    return theme.quiet(ax)
