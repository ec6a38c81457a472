"""The curve of pairs kept over t, as SVG: a few lines and labels, no library needed."""

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["yield_svg"]

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 30, 50


def yield_svg(rows: Sequence[dict[str, Any]], num_matched: int) -> str:
    """Return a drawing of kept pairs over t on a logarithmic axis.

    Args:
        rows: of `table_of_yields`; those without a t are left out.
        num_matched: pairs matched, the top of the drawing.
    """
    rows = [row for row in rows if row["t"]]
    low, high = (rows[0]["t"], rows[-1]["t"]) if rows else (1, 10)
    span = math.log10(high / low) or 1.0

    def place(t: int, pairs: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(t / low) / span)
        share = min(1.0, pairs / max(1, num_matched))
        return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    points = [place(row["t"], row["kept"]) for row in rows]
    path = " ".join(f"{x},{y}" for x, y in points)
    ticks = "".join(_tick(*place(row["t"], 0), f"{row['t']:,}") for row in _spread(rows))
    levels = "".join(
        _level(place(low, share * num_matched)[1], f"{share * num_matched:,.0f}")
        for share in (0.25, 0.5, 0.75, 1.0)
    )
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
        f'<title>Pairs kept over t</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="18">pairs kept, of {num_matched:,} that matched</text>{levels}{ticks}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">t, pairs per entry</text>'
        f'<g fill="#0b6" stroke="#0b6"><polyline points="{path}" fill="none" '
        f'stroke-width="2"/>{dots}</g></svg>\n'
    )


def _spread(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return so few of the rows that their labels have room."""
    return rows[:: max(1, math.ceil(len(rows) / 7))]


def _tick(x: float, y: float, label: str) -> str:
    return (
        f'<line x1="{x}" y1="{y}" x2="{x}" y2="{y + 5}" stroke="#777"/>'
        f'<text x="{x}" y="{y + 18}" text-anchor="middle">{label}</text>'
    )


def _level(y: float, label: str) -> str:
    return (
        f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{label}</text>'
    )
