"""An encoded image in; out what is known of it after one decoding: pixels, size, fingerprints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.curation.vectors.perceptual import SIDE, perceptual_hash
from curate.training.data.images import UnusableImageError, crops_into, decode_pixels, fit_into

__all__ = ["SeenImage", "see_image"]


@dataclass(frozen=True, slots=True)
class SeenImage:
    """What is known of an image.

    Attributes:
        exact: xxh3_128 of its bytes; None without any.
        perceptual: its perceptual hash; None of one grey, or if it cannot be decoded.
        width: pixels, upright; 0 if it cannot be decoded.
        height: likewise.
        reason: why it cannot be used; "" if it can.
    """

    exact: bytes | None = None
    perceptual: bytes | None = None
    width: int = 0
    height: int = 0
    reason: str = ""


def see_image(
    encoded: bytes | None,
    decoder: str,
    out: NDArray[np.uint8] | None,
    crop_keys: Sequence[int] = (),
) -> SeenImage:
    """Look at an image; decode it once, and once more for its cuts.

    Args:
        encoded: its bytes; None or empty for none.
        decoder: of JPEGs: simplejpeg or pillow.
        out: written, unless it is None: what a model sees, uint8, shape (3, S, S); with crop_keys
            (1 + K, 3, S, S), the whole image's middle and then its cuts.
        crop_keys: of cuts, as `crops_into` takes them; shape (K,).
    """
    if not encoded:
        return SeenImage(reason="no_image")
    exact = xxhash.xxh3_128_digest(encoded)
    least = SIDE if out is None else max(SIDE, out.shape[-1])
    try:
        pixels, (width, height) = decode_pixels(encoded, least, decoder)
        if out is not None:
            fit_into(out[0] if crop_keys else out, pixels)
        perceptual = perceptual_hash(pixels)  # of memory that the next decoding writes over
        if out is not None and crop_keys:
            crops_into(out[1:], encoded, crop_keys, decoder)
    except UnusableImageError as error:
        return SeenImage(exact, reason=error.reason)
    return SeenImage(exact, perceptual, width, height)
