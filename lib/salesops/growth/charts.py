"""The pictures of growth: finished numbers and an Axes in, Axes out."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from salesops import lang, theme
from salesops.lang import _


def plot_changes(rows: Sequence[tuple[str, float]], *, currency: str, ax: Axes) -> Axes:
    """What each group brought to the change, the largest on top: (name, amount) each."""
    ax.set(title=_("Change of bookings by region"))
    if not rows:
        return _nothing(ax)
    reach = max(abs(value) for _name, value in rows) or 1.0
    for at, (_name, value) in enumerate(reversed(rows)):
        ax.barh(at, value, color=theme.ACCENT if value >= 0 else theme.ORANGE, height=0.6)
        sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
        text = sign + lang.money(abs(value), currency, compact=True)
        ax.text(max(value, 0) + reach * 0.03, at, text, va="center", fontsize=10)
    ax.axvline(0, color=theme.MUTED, lw=1)
    low = min(0.0, *(value for _name, value in rows))
    ax.set_xlim(low * 1.1, reach * 1.35)
    ax.set_yticks(range(len(rows)), [lang.short(name) for name, _value in reversed(rows)])
    ax.xaxis.set_major_formatter(lambda value, _at: lang.money(value, currency, compact=True))
    ax.xaxis.set_major_locator(theme.few(4))
    ax.grid(axis="x")
    return theme.quiet(ax)


def plot_shares(lines: Mapping[str, Sequence[float]], stalled: Sequence[str], *, ax: Axes) -> Axes:
    """Each group's share over time; those that have stopped growing are marked."""
    ax.set(title=_("Share of deals created"))
    if not lines:
        return _nothing(ax)
    for name, values in lines.items():
        hot = name in stalled
        ax.plot(range(len(values)), values, color=theme.ORANGE if hot else theme.PALE, lw=2.4 if hot else 1.8)
        ax.text(len(values) - 0.8, values[-1], lang.short(name, 16), va="center", fontsize=9.5)
    longest = max(map(len, lines.values()))
    ax.set(xlim=(-0.3, longest * 1.35), ylim=(0, None), xticks=[])
    ax.yaxis.set_major_formatter(lambda share, _at: lang.percent(share))
    ax.yaxis.set_major_locator(theme.few(4))
    ax.grid(axis="y")
    return theme.quiet(ax)


def _nothing(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, _("not known"), ha="center", va="center", color=theme.MUTED, transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    return theme.quiet(ax)
