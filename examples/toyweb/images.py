"""Draw scenes with Pillow: small, but shape, colour, texture, number and place can be told."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from examples.toyweb.world import SHAPES, Scene

RGB = ((214, 40, 40), (38, 84, 200), (40, 150, 60), (235, 205, 40), (25, 25, 25), (240, 130, 30),
       (125, 55, 165), (245, 130, 180))  # fmt: skip
SUPERSAMPLING = 2

Point = tuple[float, float]


def draw_scene(scene: Scene, jitter: NDArray[np.float64], size: int) -> bytes:
    """Draw a scene.

    Args:
        scene: what to draw.
        jitter: uniform in [0, 1), shape (8,): moves, sizes and tints.
        size: pixels of both sides.

    Returns:
        PNG.
    """
    wide = size * SUPERSAMPLING
    tint = tuple(int(225 + 30 * v) for v in jitter[:3])
    image = Image.new("RGB", (wide, wide), tint)
    mask = Image.new("L", (wide, wide), 0)
    radius = wide * (0.30 + 0.08 * jitter[3]) * {1: 1.0, 2: 0.68, 3: 0.6}[scene.number]
    if scene.place:
        radius *= 0.65
    for x, y in _centres(scene, jitter, wide):
        _draw_shape(mask, SHAPES[scene.shape], x, y, radius)
    shift = int(v) if (v := 20 * (jitter[6] - 0.5)) else 0
    colour = tuple(max(0, min(255, c + shift)) for c in RGB[scene.colour])
    image.paste(colour, (0, 0), _textured(mask, scene.texture, wide))
    out = io.BytesIO()
    image.resize((size, size), Image.Resampling.BOX).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _centres(scene: Scene, jitter: NDArray[np.float64], wide: int) -> list[Point]:
    dx, dy = (0.08 * wide * (v - 0.5) for v in jitter[4:6])
    grid = {1: [(0.5, 0.5)], 2: [(0.27, 0.5), (0.73, 0.5)],
            3: [(0.5, 0.27), (0.27, 0.73), (0.73, 0.73)]}[scene.number]  # fmt: skip
    if scene.place:
        grid = [(0.28 if scene.place in (1, 3) else 0.72, 0.28 if scene.place < 3 else 0.72)]
    return [(x * wide + dx, y * wide + dy) for x, y in grid]


def _polygon(x: float, y: float, radii: list[float], turn: float) -> list[Point]:
    step = 2 * math.pi / len(radii)
    return [
        (x + r * math.sin(turn + i * step), y - r * math.cos(turn + i * step))
        for i, r in enumerate(radii)
    ]


def _draw_shape(mask: Image.Image, shape: str, x: float, y: float, r: float) -> None:
    draw = ImageDraw.Draw(mask)
    box = (x - r, y - r, x + r, y + r)
    inner = r * 0.35
    if shape in ("circle", "ring", "crescent"):
        draw.ellipse(box, fill=255)
        if shape == "ring":
            draw.ellipse((x - r * 0.55, y - r * 0.55, x + r * 0.55, y + r * 0.55), fill=0)
        elif shape == "crescent":
            draw.ellipse((x - r * 0.35, y - r * 0.95, x + r * 1.45, y + r * 0.95), fill=0)
    elif shape == "square":
        draw.rectangle((x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r), fill=255)
    elif shape == "cross":
        draw.rectangle((x - inner, y - r, x + inner, y + r), fill=255)
        draw.rectangle((x - r, y - inner, x + r, y + inner), fill=255)
    elif shape == "heart":
        half = r * 0.55
        draw.ellipse((x - r, y - r, x - r + 2 * half, y - r + 2 * half), fill=255)
        draw.ellipse((x + r - 2 * half, y - r, x + r, y - r + 2 * half), fill=255)
        draw.polygon(
            [(x - 0.95 * r, y - 0.2 * r), (x + 0.95 * r, y - 0.2 * r), (x, y + r)], fill=255
        )
    elif shape == "arrow":
        draw.rectangle((x - r, y - inner, x + 0.2 * r, y + inner), fill=255)
        draw.polygon([(x + 0.1 * r, y - r), (x + r, y), (x + 0.1 * r, y + r)], fill=255)
    else:
        radii = {"triangle": [r] * 3, "star": [r, 0.42 * r] * 5, "diamond": [r, 0.65 * r] * 2}
        draw.polygon(_polygon(x, y, radii[shape], 0.0), fill=255)


def _textured(mask: Image.Image, texture: int, wide: int) -> Image.Image:
    if not texture:
        return mask
    pattern = Image.new("L", (wide, wide), 255)
    draw = ImageDraw.Draw(pattern)
    step = wide // 8
    for at in range(0, wide, step):
        if texture == 1:
            draw.rectangle((0, at, wide, at + step // 2 - 1), fill=0)
        else:
            for across in range(0, wide, step):
                draw.ellipse((across, at, across + step * 0.6, at + step * 0.6), fill=0)
    return ImageChops.multiply(mask, pattern)
