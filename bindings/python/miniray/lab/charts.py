"""Small line charts as SVG: several curves over one pair of axes.  Knows nothing of runs."""

from __future__ import annotations

import html
import math
from typing import Callable, Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 190, 46, 10, 8, 26


def marks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from low to high, about ``most`` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, int(high / step + 1e-9) + 1)]


def chart(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], label: str, x_text: Callable[[float], str],
          y_text: Callable[[float], str], *, log_x: bool = False, top: float | None = None, steps: bool = False) -> str:
    """One SVG.  ``curves``: name and points by rising x; the i-th has colour i.  ``log_x`` leaves out what is not positive;
    ``top`` fixes the upper end of y; ``steps`` draws stairs."""
    drawn = [(name, [(x, y) for x, y in points if not log_x or x > 0]) for name, points in curves]
    xs = [x for _, points in drawn for x, _ in points]
    ys = [y for _, points in drawn for _, y in points]
    if not xs:
        return ""
    low, high = (min(xs), max(xs)) if log_x else (min(0.0, min(xs)), max(xs))
    if high <= low:
        low, high = (low / 2, low * 2) if log_x else (low, low + 1)
    ceiling = top if top is not None else max(ys) * 1.05 or 1.0

    def px(x: float) -> float:
        share = math.log(x / low) / math.log(high / low) if log_x else (x - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        return TOP + (1 - y / ceiling) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for y in marks(0, ceiling, 4):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(y):.1f}" y2="{py(y):.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{html.escape(y_text(y))}</text>')
    if log_x:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        apart = max(1, math.ceil(math.log10(high / low) / 6))
        ticks = [v for d in decades for v in ((10.0**d,) if high / low > 30 else (10.0**d, 2 * 10.0**d, 5 * 10.0**d))
                 if d % apart == 0 and low <= v <= high * 1.0001]
        if len(ticks) < 2:
            ticks = marks(low, high, 3)
    else:
        ticks = marks(low, high, 5)
    for x in ticks:
        anchor = "end" if px(x) > WIDTH - 40 else "middle"
        parts.append(f'<line class="grid" x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
                     f'<text x="{px(x):.1f}" y="{HEIGHT - 9}" text-anchor="{anchor}">{html.escape(x_text(x))}</text>')
    for i, (name, points) in enumerate(drawn):
        if not points:
            continue
        line: list[str] = []
        for k, (x, y) in enumerate(points):
            if steps and k:
                line.append(f"{px(x):.1f},{py(points[k - 1][1]):.1f}")
            line.append(f"{px(x):.1f},{py(y):.1f}")
        parts.append(f'<polyline class="curve" stroke="var(--c{i % 9})" stroke-width="{max(1.2, 3.4 - 0.9 * i):.1f}" points="{" ".join(line)}"><title>{html.escape(name)}</title></polyline>')
    return f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def keys(names: Sequence[str]) -> str:
    """The colours of the curves."""
    return '<p class="keys">' + "".join(f'<i style="background:var(--c{i % 9})"></i>{html.escape(n)}' for i, n in enumerate(names)) + "</p>"
