"""The pictures of the ramp: finished numbers and an Axes in, Axes out."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _
from salesops.stats import Estimate, Incidence


def plot_ramp(months: Sequence[int], shares: Sequence[Estimate], smooth: Sequence[float], *, ax: Axes) -> Axes:
    """Bookings by month of tenure over those of settled peers in the same days, each with its interval."""
    ax.set(title=_("Bookings over those of settled peers"))
    if not len(months):
        ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    ax.axhline(1, color=theme.MUTED, lw=1, ls="--")
    for month, one in zip(months, shares, strict=True):
        ax.plot([month + 1] * 2, [one.low, one.high], color=theme.PALE, lw=4, solid_capstyle="butt")
        ax.plot(month + 1, one.value, color=theme.ACCENT, marker="o", ms=4)
    ax.plot([month + 1 for month in months], smooth, color=theme.INK, lw=1.8, label=_("never falling"))
    ax.set(xlabel=_("month of tenure"),
           ylim=(0, min(max([one.high for one in shares] + [1.2]) * 1.05, 3)))  # fmt: skip
    ax.yaxis.set_major_formatter(lambda share, _at: lang.percent(share))
    ax.grid(axis="y")
    ax.legend(loc="upper left", fontsize=9)
    return theme.quiet(ax)


def plot_ends(incidence: Incidence | None, *, until: float, ax: Axes) -> Axes:
    """The share of newcomers who are ramped, and who left before, by months since they were hired."""
    ax.set(title=_("Ramped, or gone before"), xlabel=_("months since hired"), ylim=(0, 1.02))
    if incidence is None:
        ax.text(0.5, 0.5, _("too few newcomers"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return theme.quiet(ax)
    names = {"ramped": (_("ramped"), theme.ACCENT), "left": (_("left before"), theme.ORANGE)}
    for cause, (name, colour) in names.items():
        share = incidence.share[cause]
        at = [0, *incidence.age, max(until, *incidence.age, 0)]
        ax.step(at, [0.0, *share, share[-1] if len(share) else 0.0], where="post", color=colour, lw=2.2, label=name)
    ax.set_xlim(0, max(until, 1))
    ax.yaxis.set_major_formatter(lambda share, _at: lang.percent(share))
    ax.grid(axis="y")
    ax.legend(loc="upper left", fontsize=9)
    return theme.quiet(ax)
