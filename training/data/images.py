"""Encoded images in, uint8 arrays out: any mode as RGB, upright, cropped and resized.

A JPEG is decoded by simplejpeg (libjpeg-turbo) or by Pillow, whichever the run was begun with;
both give the same pixels, and a JPEG far larger than needed is decoded at a half, a quarter or an
eighth of its size (libjpeg's scaled DCT) by both. Everything else is decoded by Pillow. Colour
profiles are not applied.
"""

import io
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from curate.errors import CurateError, InputError, MissingExtraError, UsageError
from curate.training.data.jpeg import is_jpeg, is_progressive, orientation
from curate.training.tars.names import IMAGE_FORMATS

__all__ = [
    "DECODERS",
    "UnusableImageError",
    "crop_into",
    "crops_into",
    "decode",
    "decode_pixels",
    "describe_decoder",
    "fit",
    "fit_into",
    "host_decoder",
    "resolve_decoder",
    "to_rgb",
]


DECODERS = ("auto", "simplejpeg", "pillow", "nvimgcodec")
# Of decoded pixels, three bytes each; Pillow warns above as many.
MAX_PIXELS = 89_478_485
_SCALES = (8, 4, 2)
_TURNS = {  # Exif orientation: quarter turns to the left, then whether to mirror left and right
    2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True),
    6: (3, False), 7: (1, True), 8: (1, False),
}  # fmt: skip
# What Pillow is seen to raise over damaged files.
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
_held = threading.local()


class UnusableImageError(InputError):
    """An image that cannot be trained on.

    Attributes:
        reason: corrupt_image or image_too_large.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def resolve_decoder(name: str) -> str:
    """Return the decoder of JPEGs that a run begun now has.

    Args:
        name: one of DECODERS; auto for simplejpeg where it is installed, else pillow.

    Raises:
        UsageError: there is no such decoder.
        MissingExtraError: simplejpeg is not installed.
        CurateError: nvimgcodec is not installed.
    """
    if name not in DECODERS:
        raise UsageError(f"decoder is {name!r}; expected one of {', '.join(DECODERS)}")
    if name == "nvimgcodec" and not _is_there("nvidia.nvimgcodec"):
        raise CurateError(
            "Decoding on the GPU needs NVIDIA's nvImageCodec. Install it with: "
            "pip install 'nvidia-nvimgcodec-cu12[all]' (or -cu13), or use --decoder simplejpeg"
        )
    is_there = _is_there("simplejpeg")
    if name == "auto":
        return "simplejpeg" if is_there else "pillow"
    if name == "simplejpeg" and not is_there:
        raise MissingExtraError("Decoding with simplejpeg", "train")
    return name


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def describe_decoder(name: str) -> dict[str, str]:
    """Return what decides pixels, for the record of a run.

    Args:
        name: as `resolve_decoder` gives it.
    """
    described = {"jpeg": name, "pillow": version("pillow"), "resize": "bicubic, rows first"}
    if name == "nvimgcodec":
        library: Any = import_module("nvidia.nvimgcodec")
        described |= {"nvimgcodec": library.__version__, "resize": "torch's bicubic, antialiased"}
    if _is_there("simplejpeg") and name != "pillow":
        described["simplejpeg"] = version("simplejpeg")
    return described


def host_decoder(name: str) -> str:
    """Return what decodes the images that a decoder leaves to the host."""
    return resolve_decoder("auto") if name == "nvimgcodec" else name


def decode(encoded: bytes) -> Image.Image:
    """Decode an image as a viewer shows it: upright, in RGB, transparency on white.

    Raises:
        OSError: it is no image, or cut off.
        Image.DecompressionBombError: it is larger than Pillow allows.
    """
    with Image.open(io.BytesIO(encoded), formats=IMAGE_FORMATS) as opened:
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


def crop_into(out: NDArray[np.uint8], encoded: bytes, key: int, decoder: str) -> None:
    """Cut one rectangle out of an image, as `crops_into` does: (3, S, S)."""
    crops_into(out[None], encoded, [key], decoder)


def crops_into(outs: NDArray[np.uint8], encoded: bytes, keys: Sequence[int], decoder: str) -> None:
    """Decode an image, cut random rectangles of 90-100 % of its area out, and resize each.

    Args:
        outs: written: shape (K, 3, S, S), C order.
        encoded: the file's bytes.
        keys: decide the rectangles; 0 <= key < 2^64; shape (K,).
        decoder: of JPEGs: simplejpeg or pillow.

    Raises:
        UnusableImageError: it is no image, cut off, or too large.
    """
    from curate.training.data.resize_kernels import random_box, resize_box

    with _told_if_unusable():
        image = _Encoded(encoded, decoder)
    boxes = [random_box(image.width, image.height, np.uint64(key)) for key in keys]
    decoded_at = 0
    for out, box in zip(outs, boxes, strict=True):
        scale = next((s for s in _SCALES if min(box[2:]) >= s * out.shape[1]), 1)
        scale = scale if image.can_scale else 1
        if scale != decoded_at:  # cuts are mostly of about one size
            with _told_if_unusable():
                image = _Encoded(encoded, decoder) if decoded_at else image
                pixels, decoded_at = image.pixels(scale), scale
        left, top, width, height = (side / scale for side in box)
        resize_box(pixels, left, top, left + width, top + height, out)


def decode_pixels(
    encoded: bytes, least: int, decoder: str
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an image, upright; a JPEG no larger than needed.

    Args:
        encoded: the file's bytes.
        least: pixels that the shorter side has to have, if the image has as many.
        decoder: of JPEGs: simplejpeg or pillow.

    Returns:
        Pixels, shape (H, W, 3), valid until this thread decodes again; and the image's own width
        and height, upright.

    Raises:
        UnusableImageError: it is no image, cut off, or too large.
    """
    with _told_if_unusable():
        image = _Encoded(encoded, decoder)
        shorter = min(image.width, image.height)
        scale = next((s for s in _SCALES if shorter >= s * least), 1) if image.can_scale else 1
        return image.pixels(scale), (image.width, image.height)


@contextmanager
def _told_if_unusable() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise UnusableImageError("corrupt_image", str(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError("image_too_large", str(error)) from error


def fit_into(out: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> None:
    """Resize the shorter side and cut out the middle, as `fit` does.

    Args:
        out: written: uint8, shape (3, S, S), C order.
        pixels: uint8, shape (H, W, 3), C order.
    """
    from curate.training.data.resize_kernels import resize_box

    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    resize_box(pixels, left, top, left + side, top + side, out)


class _Encoded:
    """An image of which so far only the header has been read; width and height are upright."""

    def __init__(self, encoded: bytes, decoder: str) -> None:
        self._encoded = encoded
        self._opened: Image.Image | None = None
        self._turn = 1
        self.can_scale = is_jpeg(encoded)
        if self.can_scale:
            self._turn = orientation(encoded)
        if self.can_scale and decoder == "simplejpeg" and self._read_header():
            return
        self._opened = Image.open(io.BytesIO(encoded), formats=IMAGE_FORMATS)
        if not self.can_scale:
            self._turn = self._opened.getexif().get(0x0112, 1)
        self._size = self._opened.size
        self._set_upright()

    def _read_header(self) -> bool:
        """Read the header with simplejpeg; tell whether it can decode the pixels."""
        try:
            height, width, space, _ = _simplejpeg().decode_jpeg_header(self._encoded)
        except ValueError:  # Pillow says whether there is anything to be had
            return False
        self._size = (width, height)
        self._set_upright()
        return space not in ("CMYK", "YCCK")

    def _set_upright(self) -> None:
        self.width, self.height = self._size[::-1] if self._turn in (5, 6, 7, 8) else self._size

    def pixels(self, scale: int) -> NDArray[np.uint8]:
        """Decode, 1 / scale as large; shape (H, W, 3), valid until this thread decodes again."""
        width, height = (-(-side // scale) for side in self._size)
        whole = self._size[0] * self._size[1]
        is_huge = whole > MAX_PIXELS and self.can_scale and is_progressive(self._encoded)
        if width * height > MAX_PIXELS or is_huge:
            raise UnusableImageError(
                "image_too_large",
                f"{self._size[0]} x {self._size[1]} pixels; expected {MAX_PIXELS:,} in all",
            )
        if self._opened is None:
            decoded = self._decode_jpeg(width, height, scale)
            if decoded is not None:
                return _turned(decoded, self._turn)
            self._opened = Image.open(io.BytesIO(self._encoded), formats=IMAGE_FORMATS)
        with self._opened as opened:
            if scale > 1:
                opened.draft("RGB", (self._size[0] // scale, self._size[1] // scale))
            return _turned(np.ascontiguousarray(to_rgb(opened)), self._turn)

    def _decode_jpeg(self, width: int, height: int, scale: int) -> NDArray[np.uint8] | None:
        """Decode with simplejpeg; None if it finds a fault, which Pillow may put up with."""
        try:
            found: NDArray[np.uint8] = _simplejpeg().decode_jpeg(
                self._encoded, min_width=width, min_height=height, min_factor=scale,
                buffer=_buffer(3 * width * height),
            )  # fmt: skip
        except ValueError:
            return None
        return found


@cache
def _simplejpeg() -> Any:
    """Import simplejpeg, which is optional and has no types."""
    return import_module("simplejpeg")


def _buffer(size_bytes: int) -> NDArray[np.uint8]:
    """Return memory of this thread: a new array for every image costs more than it should."""
    held: NDArray[np.uint8] | None = getattr(_held, "buffer", None)
    if held is None or len(held) < size_bytes:
        held = np.empty(size_bytes, np.uint8)
        if size_bytes <= 16 << 20:
            _held.buffer = held
    return held


def _turned(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    if turn not in _TURNS:
        return pixels
    quarters, is_mirrored = _TURNS[turn]
    upright = np.rot90(pixels, quarters)
    return np.ascontiguousarray(upright[:, ::-1] if is_mirrored else upright)


def fit(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Resize the shorter side and cut out the middle, as for evaluation.

    Pixel for pixel what torchvision's `Resize(size, BICUBIC)` and `CenterCrop(size)` make of a
    Pillow image, which OpenAI's and OpenCLIP's models are used with: the longer side is rounded
    down, and half a pixel beside the middle goes to the even side. Of an image so long that the
    resized whole would be larger than `MAX_PIXELS`, only what is kept is computed.

    Returns:
        Shape (3, size, size).

    Source: torchvision's documentation of `Resize` and `CenterCrop`.
    """
    width, height = image.size
    short = min(width, height)
    to_width, to_height = size * width // short, size * height // short
    left, top = round((to_width - size) / 2), round((to_height - size) / 2)
    cubic = Image.Resampling.BICUBIC
    if to_width * to_height <= MAX_PIXELS:
        resized = image.resize((to_width, to_height), cubic)
        fitted = resized.crop((left, top, left + size, top + size))
    else:
        x, y = width / to_width, height / to_height
        box = (left * x, top * y, (left + size) * x, (top + size) * y)
        fitted = image.resize((size, size), cubic, box=box)
    pixels: Any = np.asarray(fitted)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
