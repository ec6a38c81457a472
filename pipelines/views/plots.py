"""A run's curves and languages as SVG: a few lines and labels, no library needed."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from curate.pipelines.views.tables import cell

__all__ = ["bars_svg", "curve_svg"]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 40
_MAX_POINTS = 600
_BAR = 18
_COLOURS = ("#0b6", "#36c", "#c50")


def curve_svg(title: str, x_label: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return a drawing of curves over one axis, on one scale from their lowest to highest value.

    Args:
        title: above it.
        x_label: below it.
        curves: points (x, y) by name, in order of x; those that are not finite are left out.
    """
    thinned = {name: _thin(points) for name, points in curves.items()}
    points = [p for of_curve in thinned.values() for p in of_curve]
    if not points:
        return _page(HEIGHT, title, "")
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _round_range(min(y for _, y in points), max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / ((right - left) or 1)
        up = (y - low) / (high - low)
        return (round(LEFT + (WIDTH - LEFT - RIGHT) * across, 1),
                round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * up, 1))  # fmt: skip

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = low + share * (high - low)
        x = left + share * (right - left)
        at_x, at_y = place(x, y)
        parts.append(
            f'<line x1="{LEFT}" y1="{at_y}" x2="{WIDTH - RIGHT}" y2="{at_y}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{at_y + 4}" text-anchor="end">{cell(y)}</text>'
            f'<text x="{at_x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:,.0f}</text>'
        )
    for number, (name, of_curve) in enumerate(thinned.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        line = " ".join("{},{}".format(*place(*p)) for p in of_curve)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{WIDTH - RIGHT}" y="{TOP + 14 * (number + 1)}" text-anchor="end" '
            f'fill="{colour}">{escape(name)}</text>'
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return _page(HEIGHT, title, "".join(parts))


def bars_svg(title: str, values: Mapping[str, float]) -> str:
    """Return a drawing of shares as horizontal bars, in the order given.

    Args:
        title: above it.
        values: shares of 1 by name.
    """
    longest = max(values.values(), default=1) or 1
    parts = []
    for number, (name, value) in enumerate(values.items()):
        y = TOP + 4 + number * _BAR
        width = round((WIDTH - LEFT - RIGHT - 60) * value / longest, 1)
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LEFT}" y="{y + 2}" width="{width}" height="{_BAR - 5}" fill="#36c"/>'
            f'<text x="{LEFT + width + 5}" y="{y + 12}">{value:.2%}</text>'
        )
    return _page(TOP + 12 + len(values) * _BAR, title, "".join(parts))


def _page(height: int, title: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>{content}</svg>\n'
    )


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average neighbours until there are few enough to draw."""
    finite = [p for p in points if all(math.isfinite(v) for v in p)]
    size = math.ceil(len(finite) / _MAX_POINTS) or 1
    groups = [finite[i : i + size] for i in range(0, len(finite), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _round_range(low: float, high: float) -> tuple[float, float]:
    """Widen a range to round numbers.

    >>> _round_range(0.13, 4.71)
    (0.0, 5.0)
    """
    unit = 10.0 ** math.floor(math.log10((high - low) or abs(high) or 1))
    bottom, top = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    return bottom, top if top > bottom else bottom + unit
