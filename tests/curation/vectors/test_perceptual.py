"""Perceptual hashes: as a naive transform computes them, and steady under what hardly shows."""

import io

import numpy as np
import pytest
from PIL import Image

from curate.curation.vectors.perceptual import (
    HASH_BYTES,
    ORIENTATIONS,
    perceptual_hash,
    turned_hashes,
)


def picture(seed, height=180, width=260):
    """Return a smooth picture with edges, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (9, 13, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def bits(hashed):
    return np.unpackbits(np.frombuffer(hashed, np.uint8))


def distance(a, b):
    return int((bits(a) != bits(b)).sum())


def naive(pixels):
    """The definition, with loops over frequencies: mean grey of each cell, cosine transform."""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    height, width = grey.shape
    cells = np.zeros((64, 64))
    for y in range(64):
        for x in range(64):
            cells[y, x] = grey[
                y * height // 64 : (y + 1) * height // 64, x * width // 64 : (x + 1) * width // 64
            ].mean()
    at = (np.arange(64) + 0.5) / 64 * np.pi
    return np.array([
        (cells * np.cos(v * at)[:, None] * np.cos(u * at)).sum() > 0 and (u, v) != (0, 0)
        for v in range(16) for u in range(16)
    ]).astype(np.uint8)  # fmt: skip


def test_the_hash_is_the_signs_of_low_frequencies():
    for seed in range(3):
        pixels = picture(seed, 128, 192)
        found = bits(perceptual_hash(pixels))
        # The mean is taken off before, which no frequency but the lowest sees.
        assert (found != naive(pixels)).sum() <= 2


@pytest.mark.parametrize("quality", [30, 90])
def test_encoding_and_resizing_hardly_change_it_and_other_pictures_are_far(quality):
    hashes = [perceptual_hash(picture(seed)) for seed in range(20)]
    for seed in range(20):
        image = Image.fromarray(picture(seed)).resize((131, 90), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        again = perceptual_hash(np.asarray(Image.open(buffer).convert("RGB")))
        assert distance(hashes[seed], again) <= 32
        assert all(distance(h, again) > 64 for i, h in enumerate(hashes) if i != seed)


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)))
def test_turned_images_have_turned_hashes(orientation):
    swap, down, across = ORIENTATIONS[orientation]
    pixels = picture(3)
    turned = pixels.transpose(1, 0, 2) if swap else pixels
    turned = turned[::-1] if down else turned
    turned = np.ascontiguousarray(turned[:, ::-1] if across else turned)
    hashed = np.frombuffer(perceptual_hash(pixels), np.uint8)[None]
    found = turned_hashes(hashed, orientation)
    assert found.shape == (1, HASH_BYTES)
    assert distance(found[0].tobytes(), perceptual_hash(turned)) <= 2


def test_one_grey_has_no_hash_and_small_images_have_one():
    assert perceptual_hash(np.full((50, 60, 3), 77, np.uint8)) is None
    checks = np.zeros((2, 2, 3), np.uint8)
    checks[0, 0] = checks[1, 1] = 255
    assert perceptual_hash(checks) is not None
    assert perceptual_hash(np.zeros((1, 1, 3), np.uint8)) is None
