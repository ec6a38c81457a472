"""Images and captions as the web has them, generated or public, and shards of them."""

import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import webdataset
from PIL import Image

__all__ = ["enlarged", "jpeg", "public_data", "smallest_jpeg", "web_captions", "web_like_captions",
           "write_shards"]  # fmt: skip

_WORDS = ("red blue green old new large small dog cat house town hall car tree road river photo of "
          "the a in on with and from best free sale 2024").split()  # fmt: skip


def public_data() -> Path:
    """Return the folder of public data, which CURATE_TEST_DATA names."""
    return Path(os.environ.get("CURATE_TEST_DATA", "../shared/data"))


def web_captions(data: Path) -> list[str]:
    """Return the captions of LAION-400M's sample that have any text."""
    table = pq.read_table(data / "laion/laion400m_10k.parquet", columns=["TEXT"])
    return [text for text in table.column("TEXT").to_pylist() if text and text.strip()]


def web_like_captions(num: int, seed: int = 0) -> list[str]:
    """Return captions of 3 to 20 words, 9 in the middle, as alt-texts have."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(9), 0.5, num), 3, 20).astype(int)
    return [" ".join(rng.choice(_WORDS, length)) for length in lengths]


def enlarged(
    rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]
) -> Image.Image:
    """Return an image of a width and height, smooth between rows and columns of random cells."""
    small = Image.fromarray(rng.integers(0, 256, (*cells, 3), np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return an image as a JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def smallest_jpeg(image: Image.Image, most_bytes: float, qualities: Iterable[int]) -> bytes:
    """Return the first of some JPEGs that has not more bytes than it may; the last, if none has."""
    encoded = b""
    for quality in qualities:
        encoded = jpeg(image, quality)
        if len(encoded) <= most_bytes:
            break
    return encoded


def write_shards(
    folder: Path, num: int, images: Sequence[bytes], captions: Sequence[str], per_shard: int
) -> list[str]:
    """Write tars of JPEG, text and JSON as `curate balance` does.

    Args:
        folder: is there.
        num: pairs in all.
        images: and captions: come again and again.
        captions: see `images`.
        per_shard: pairs of a tar.

    Returns:
        Their paths.
    """
    rng = np.random.default_rng(0)
    shards = []
    for first in range(0, num, per_shard):
        shards.append(str(folder / f"{first:08d}.tar"))
        with webdataset.TarWriter(shards[-1], encoder=False) as tar:
            for number in range(first, min(first + per_shard, num)):
                about = {
                    "url": f"https://example.org/{number}",
                    "lang": "en",
                    "probability": 0.5,
                    "entry_ids": rng.integers(0, 1000, 4).tolist(),
                }
                members = {
                    "jpg": images[number % len(images)],
                    "txt": captions[number % len(captions)].encode(),
                    "json": json.dumps(about).encode(),
                }
                tar.write({"__key__": f"{number:024x}", **members})
    return shards
