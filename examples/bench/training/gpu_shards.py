"""Shards of 256-pixel JPEGs with captions of web length, for benchmarks."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from examples.bench.common.pairs import jpeg, web_like_captions, write_shards

__all__ = ["CAPTIONS", "write_jpeg_shards"]

PIXELS = 256
PAIRS_PER_SHARD = 4096
_DISTINCT = 64
CAPTIONS = web_like_captions(4096)


def write_jpeg_shards(folder: Path, num_pairs: int) -> list[str]:
    """Write tars of pairs below a folder that is there; return their paths."""
    return write_shards(folder, num_pairs, _jpegs(), CAPTIONS, PAIRS_PER_SHARD)


def _jpegs() -> list[bytes]:
    """Return JPEGs of smooth noise, of about the 20 kB that photos of this size have."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_DISTINCT):
        pixels = rng.integers(0, 256, (PIXELS, PIXELS, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.0))
        found.append(jpeg(image, 85))
    return found
