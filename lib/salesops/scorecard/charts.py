"""The pictures of the scorecard: finished numbers in, figures out."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from salesops import lang, theme
from salesops.lang import _

Drawn = list[tuple[Figure, str]]  # figures with their alternative texts


def draw_series(series: Sequence[Mapping]) -> Drawn:
    """A small picture of each series; see `words.all_series`."""
    drawn = []
    for one in series:
        figure = theme.figure(2.2)
        given = {name: value for name, value in one.items() if name != "alt"}
        plot_series(**given, ax=figure.add_subplot())
        drawn.append((figure, one["alt"]))
    return drawn


def draw_plan(known: Mapping | None) -> Drawn:
    """Booked and quota of each group; nothing without quotas. See `words.plan_picture`."""
    if known is None:
        return []
    figure = theme.figure(0.9 + 0.42 * len(known["rows"]))
    plot_plan(known["rows"], currency=known["currency"], ax=figure.add_subplot())
    return [(figure, known["alt"])]


def draw_effects(known: Mapping | None) -> Drawn:
    """The steps from one period's bookings to another's; nothing where none are compared. See
    `words.effect_picture`."""
    if known is None:
        return []
    figure = theme.figure(2.8)
    plot_effects(known["before"], known["steps"], known["now"], currency=known["currency"], ax=figure.add_subplot())
    return [(figure, known["alt"])]


def plot_series(
    names: Sequence[str],
    values: Sequence[float],
    limits,
    *,
    title: str,
    says: Callable[[float], str],
    ax: Axes,
) -> Axes:
    """A series in its usual range; points outside are marked.

    Parameters
    ----------
    names, values : of the periods, in order. limits : centre, low and high of each, and how many they rest on.
    says : a value of the axis as text.
    """
    at = range(len(values))
    ax.fill_between(at, limits.low, limits.high, color=theme.PALE, alpha=0.35, lw=0)
    ax.plot(at, limits.centre, color=theme.MUTED, lw=1, ls="--")
    ax.plot(at, values, color=theme.ACCENT, lw=1.6, marker="o", ms=3)
    outside = [k for k in at if not limits.low[k] <= values[k] <= limits.high[k]]
    ax.plot(outside, [values[k] for k in outside], color=theme.ORANGE, lw=0, marker="o", ms=6)
    ax.set(title=title)
    step = max(1, (len(names) - 1) // 3)
    ticks = list(at)[::-1][::step][::-1]
    ax.set_xticks(ticks, [names[k] for k in ticks])
    ax.yaxis.set_major_formatter(lambda value, _at: says(value))
    ax.yaxis.set_major_locator(theme.few(4))
    ax.grid(axis="y")
    return theme.quiet(ax)


def plot_plan(rows: Sequence[tuple[str, float, float]], *, currency: str, ax: Axes) -> Axes:
    """What groups booked, as bars, with a line where their quota is: (name, booked, quota) each."""
    widest = max([1.0, *(max(booked, quota) for _name, booked, quota in rows)])
    for at, (_name, booked, quota) in enumerate(rows):
        ax.barh(at, booked, color=theme.ACCENT if booked >= quota else theme.ORANGE, height=0.55)
        ax.plot([quota, quota], [at - 0.42, at + 0.42], color=theme.INK, lw=2)
        text = lang.percent(booked / quota) if quota else lang.NONE
        ax.text(max(booked, quota) + widest * 0.02, at, text, va="center", fontsize=10)
    ax.set(title=_("Booked; the line is the quota"), xlim=(0, widest * 1.15))
    ax.set_yticks(range(len(rows)), [lang.short(name) for name, _booked, _quota in rows])
    return _in_money(ax, currency)


def plot_effects(before: float, steps: Sequence[tuple[str, float]], now: float, *, currency: str, ax: Axes) -> Axes:
    """From one amount to another, step by step: (name, change) each."""
    ends, level = [before, now], before
    ax.barh(0, before, color=theme.GREY, height=0.6)
    texts = [lang.money(before, currency, compact=True)]
    for at, (_name, change) in enumerate(steps, 1):
        ax.barh(at, change, left=level, color=theme.ACCENT if change >= 0 else theme.ORANGE, height=0.6)
        level += change
        ends.append(level)
        sign = "+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else ""
        texts.append(sign + lang.money(abs(change), currency, compact=True))
    ax.barh(len(steps) + 1, now, color=theme.GREY, height=0.6)
    texts.append(lang.money(now, currency, compact=True))
    reach = max(*ends, 1.0)
    for at, (bar, text) in enumerate(zip(ax.patches, texts, strict=True)):
        right = max(bar.get_x(), bar.get_x() + bar.get_width())
        ax.text(right + reach * 0.015, at, text, va="center", fontsize=10)
    ax.set(title=_("From one period's bookings to the other's"), xlim=(min(0.0, *ends), reach * 1.18))
    ax.set_yticks(range(len(texts)), [_("before"), *(name for name, _change in steps), _("now")])
    ax.invert_yaxis()
    return _in_money(ax, currency)


def _in_money(ax: Axes, currency: str) -> Axes:
    ax.xaxis.set_major_formatter(lambda value, _at: lang.money(value, currency, compact=True))
    ax.xaxis.set_major_locator(theme.few(4))
    ax.grid(axis="x")
    return theme.quiet(ax)
