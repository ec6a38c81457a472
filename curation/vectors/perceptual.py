"""Decoded pixels in, 256 bits out that hardly change when an image is encoded or resized anew.

The bits are the signs of the 16 x 16 lowest frequencies of the image in 64 x 64 greys. A mirrored
or turned image has the same frequencies with other signs or the two directions exchanged, so its
bits follow from those of the image (`turned_hash`), and nothing need be decoded again.

Source: the hash of Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash
Functions", section 3.2.1, with signs instead of the comparison with a median.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled

__all__ = ["HASH_BYTES", "ORIENTATIONS", "SIDE", "perceptual_hash", "turned_hashes"]

SIDE = 64
_FREQUENCIES = 16
_AT_ONCE = 1 << 16  # hashes that are taken apart to bits
HASH_BYTES = _FREQUENCIES * _FREQUENCIES // 8
# An image whose greys differ by less, on average, has no pattern that noise would not outweigh.
_LEAST_CONTRAST = 1.0

# Whether the directions are exchanged, then whether odd frequencies down and across change signs.
ORIENTATIONS = tuple(
    (bool(swap), bool(down), bool(across))
    for swap in (0, 1) for down in (0, 1) for across in (0, 1)
)  # fmt: skip


def _cosines() -> NDArray[np.float64]:
    places = (np.arange(SIDE) + 0.5) / SIDE
    return np.ascontiguousarray(np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * places))


_COSINES = _cosines()


def perceptual_hash(pixels: NDArray[np.uint8]) -> bytes | None:
    """Return the hash of an image, HASH_BYTES long; None of one that is all but one grey.

    Args:
        pixels: uint8, shape (H, W, 3), C order.

    >>> cells = np.random.default_rng(0).integers(0, 255, (8, 12, 3))
    >>> image = np.repeat(np.repeat(cells, 16, axis=0), 16, axis=1).astype(np.uint8)
    >>> half = np.ascontiguousarray(image[::2, ::2])
    >>> a, b = (np.frombuffer(perceptual_hash(one), np.uint8) for one in (image, half))
    >>> int(np.unpackbits(a ^ b).sum()) < 16
    True
    """
    grey = np.zeros((SIDE, SIDE))
    bits = np.zeros(HASH_BYTES, np.uint8)
    _greys(pixels, grey)
    if _signs(grey, _COSINES, bits) < _LEAST_CONTRAST:
        return None
    return bits.tobytes()


@compiled
def _greys(pixels: Any, grey: Any) -> None:
    """Add up the greys of each cell of a grid, by the share of each pixel that lies in it."""
    height, width, side = pixels.shape[0], pixels.shape[1], grey.shape[0]
    row = np.empty(side)
    across, down = side / width, side / height
    for y in range(height):
        row[:] = 0.0
        for x in range(width):
            light = 0.299 * pixels[y, x, 0] + 0.587 * pixels[y, x, 1] + 0.114 * pixels[y, x, 2]
            begin, end = x * across, (x + 1) * across
            cell = int(begin)
            while cell < side and cell < end - 1e-9:
                row[cell] += light * (min(end, cell + 1.0) - max(begin, float(cell)))
                cell += 1
        begin, end = y * down, (y + 1) * down
        cell = int(begin)
        while cell < side and cell < end - 1e-9:
            share = min(end, cell + 1.0) - max(begin, float(cell))
            for x in range(side):
                grey[cell, x] += row[x] * share
            cell += 1


@compiled
def _signs(grey: Any, cosines: Any, bits: Any) -> float:
    """Write the sign of each low frequency but the mean; return how much the greys differ."""
    side, num = grey.shape[0], cosines.shape[0]
    mean = 0.0
    for y in range(side):
        for x in range(side):
            mean += grey[y, x]
    mean /= side * side
    spread = 0.0
    for y in range(side):
        for x in range(side):
            grey[y, x] -= mean
            spread += abs(grey[y, x])
    half = np.zeros((num, side))
    for v in range(num):
        for y in range(side):
            for x in range(side):
                half[v, x] += cosines[v, y] * grey[y, x]
    for v in range(num):
        for u in range(num):
            total = 0.0
            for x in range(side):
                total += half[v, x] * cosines[u, x]
            if total > 0.0 and v + u > 0:
                at = v * num + u
                bits[at >> 3] |= np.uint8(128 >> (at & 7))
    return spread / (side * side)


def turned_hashes(hashes: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return the hashes that images would have if they were mirrored or turned.

    Args:
        hashes: uint8, shape (N, HASH_BYTES).
        orientation: one of ORIENTATIONS by number; 0 leaves them as they are.

    Returns:
        Shape (N, HASH_BYTES); a new array.
    """
    swap, down, across = ORIENTATIONS[orientation]
    odd = np.arange(_FREQUENCIES) % 2 == 1
    flips = (odd[:, None] & down) ^ (odd[None, :] & across)
    flips[0, 0] = False
    turned = np.empty_like(hashes)
    for first in range(0, len(hashes), _AT_ONCE):
        some = hashes[first : first + _AT_ONCE]
        bits = np.unpackbits(some, axis=1).reshape(-1, _FREQUENCIES, _FREQUENCIES)
        if swap:
            bits = bits.transpose(0, 2, 1)
        bits = (bits ^ flips.astype(np.uint8)).reshape(len(some), -1)
        turned[first : first + len(some)] = np.packbits(bits, axis=1)
    return turned
