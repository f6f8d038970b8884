"""Sparklines: a series as one small line, without axes, in the page's own colours."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT, EDGE = 120, 26, 3


def line(values: Sequence[float]) -> str:
    """A series as inline SVG, its last point marked; blank for fewer than two points. The number stands beside it, so
    that readers who do not see it miss nothing."""
    known = [float(value) for value in values if math.isfinite(value)]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    reach = (high - low) or 1.0
    step = (WIDTH - 2 * EDGE) / (len(known) - 1)
    heights = [(value - low) / reach * (HEIGHT - 2 * EDGE) for value in known]
    # Rounded twice, so that what lies halfway is written alike whatever its last bits are.
    points = [(round(EDGE + k * step, 6), round(HEIGHT - EDGE - one, 6)) for k, one in enumerate(heights)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true"><polyline points="{path}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/></svg>'
    )
