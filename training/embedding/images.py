"""An encoded image in; out what is known of it after one decoding: pixels, size, fingerprints."""

from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.curation.vectors.perceptual import SIDE, perceptual_hash
from curate.training.data.images import UnusableImageError, decode_pixels, fit_into

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


def see_image(encoded: bytes | None, decoder: str, out: NDArray[np.uint8] | None) -> SeenImage:
    """Decode an image once.

    Args:
        encoded: its bytes; None or empty for none.
        decoder: of JPEGs: simplejpeg or pillow.
        out: written, unless it is None: what a model sees, uint8, shape (3, S, S).
    """
    if not encoded:
        return SeenImage(reason="no_image")
    exact = xxhash.xxh3_128_digest(encoded)
    least = SIDE if out is None else max(SIDE, out.shape[1])
    try:
        pixels, (width, height) = decode_pixels(encoded, least, decoder)
        if out is not None:
            fit_into(out, pixels)
    except UnusableImageError as error:
        return SeenImage(exact, reason=error.reason)
    return SeenImage(exact, perceptual_hash(pixels), width, height)
