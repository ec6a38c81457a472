"""Shards of 256-pixel JPEGs with captions of web length, for benchmarks."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["CAPTIONS", "write_jpeg_shards"]

PIXELS = 256
PAIRS_PER_SHARD = 4096
_DISTINCT = 64
_WORDS = ("red blue green old new large small dog cat house town hall car tree road river photo of "
          "the a in on with and from best free sale 2024").split()  # fmt: skip


def _captions(num: int) -> list[str]:
    """Return captions of 3 to 20 words, 9 in the middle, as alt-texts have."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(9), 0.5, num), 3, 20).astype(int)
    return [" ".join(rng.choice(_WORDS, length)) for length in lengths]


CAPTIONS = _captions(4096)


def write_jpeg_shards(folder: Path, num_pairs: int) -> list[str]:
    """Write tars of JPEG and text; a few dozen images come again and again.

    Args:
        folder: is there.
        num_pairs: in all.

    Returns:
        Their paths.
    """
    images = _jpegs()
    shards = []
    for first in range(0, num_pairs, PAIRS_PER_SHARD):
        shards.append(str(folder / f"{first // PAIRS_PER_SHARD:05d}.tar"))
        with tarfile.open(shards[-1], "w") as tar:
            for number in range(first, min(first + PAIRS_PER_SHARD, num_pairs)):
                caption = CAPTIONS[number % len(CAPTIONS)].encode()
                _add(tar, f"{number:09d}.jpg", images[number % len(images)])
                _add(tar, f"{number:09d}.txt", caption)
    return shards


def _jpegs() -> list[bytes]:
    """Return JPEGs of smooth noise, of about the 20 kB that photos of this size have."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(_DISTINCT):
        pixels = rng.integers(0, 256, (PIXELS, PIXELS, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.0))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        found.append(buffer.getvalue())
    return found


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
