"""Encoded images in, uint8 arrays out: any mode as RGB, cropped and resized by Pillow."""

import io
import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "decode", "fit", "random_crop"]

# OpenAI's statistics, which all published CLIP models share.
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)

CROP_SCALE = (0.9, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
_CROP_TRIES = 10


def decode(encoded: bytes) -> Image.Image:
    """Decode an image as a viewer shows it: upright, in RGB, transparency on white.

    Raises:
        OSError: it is no image, or cut off.
        Image.DecompressionBombError: it is larger than Pillow allows.
    """
    with Image.open(io.BytesIO(encoded)) as opened:
        return to_rgb(ImageOps.exif_transpose(opened))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey: scale to 8 bits; Pillow's own conversion would clip everything to white.
        values = np.asarray(image, dtype=np.float32)
        peak = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values / peak * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def random_crop(image: Image.Image, size: int, rng: random.Random) -> NDArray[np.uint8]:
    """Cut a random rectangle of 90–100 % of the area and resize it.

    Args:
        image: RGB.
        size: pixels of both sides of the result.
        rng: decides where.

    Returns:
        Shape (3, size, size).
    """
    left, top, width, height = _random_box(image.width, image.height, rng)
    box = (left, top, left + width, top + height)
    return _to_array(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _random_box(width: int, height: int, rng: random.Random) -> tuple[int, int, int, int]:
    for _ in range(_CROP_TRIES):
        area = width * height * rng.uniform(*CROP_SCALE)
        ratio = math.exp(rng.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(0, width - w), rng.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def fit(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Resize the shorter side and cut out the middle, as for evaluation.

    Returns:
        Shape (3, size, size).
    """
    fitted = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return _to_array(fitted)


def _to_array(image: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
