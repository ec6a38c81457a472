"""An encoded image as it goes into a shard: JPEG, PNG or WebP, resized if that is asked for.

What an image is, its bytes say and nobody else. Pillow's limit of pixels stays on.
"""

import io
import math
import struct
import warnings
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from curate.errors import InputError, MissingExtraError
from curate.pipelines.shards.options import Resize, ShardOptions
from curate.training.tars.names import IMAGE_FORMATS

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "FoundImage", "ShardImage", "UnusableImageError", "image_of_shard", "image_suffix",
    "prepare_image", "require_pillow",
]  # fmt: skip

_MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}
# What Pillow is seen to raise over damaged files.
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip


class UnusableImageError(InputError):
    """Bytes that cannot become an image of a shard.

    Attributes:
        reason: not_an_image, corrupt_image or decompression_bomb.
        detail: a sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class ShardImage:
    """An image of a shard: its suffix, bytes, and its size in pixels now and before."""

    suffix: str
    content: bytes
    width: int
    height: int
    original_width: int
    original_height: int


def require_pillow(feature: str) -> None:
    """Check that Pillow is installed, and have it fail at its limit of pixels, not at twice that.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("PIL") is None:
        raise MissingExtraError(feature, "download")
    from PIL import Image

    warnings.simplefilter("error", Image.DecompressionBombWarning)


def image_suffix(content: bytes) -> str:
    """Return the suffix of a JPEG, PNG or WebP, or "" if these bytes do not begin as one."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((s for magic, s in _MAGIC.items() if content.startswith(magic)), "")


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What a pair's image became.

    Attributes:
        suffix: of its file; "" without one.
        content: its bytes.
        reason: why there is none.
        converted: the format that it had, if it has another one only for the sake of one suffix.
    """

    suffix: str = ""
    content: bytes = b""
    reason: str = ""
    converted: str = ""


def image_of_shard(content: bytes | None, options: ShardOptions) -> FoundImage:
    """Return an image as it goes into a shard, or why there is none.

    Raises:
        MissingExtraError: it has to be converted, and Pillow is not installed.
    """
    if not content:
        return FoundImage(reason="no_image")
    resize, suffix = options.resize, image_suffix(content)
    if resize.mode == "no":
        if suffix and options.image_format in ("keep", suffix):
            return FoundImage(suffix, content)
        if options.image_format == "keep":
            return FoundImage(reason="not_jpeg_png_or_webp")
    require_pillow("Converting images (--image-format keep leaves them as they are)")
    try:
        image = prepare_image(content, resize, options.image_format)
    except UnusableImageError as error:
        return FoundImage(reason=error.reason)
    converted = "" if image.suffix == suffix else suffix or "others"
    return FoundImage(image.suffix, image.content, converted=converted)


def prepare_image(content: bytes, resize: Resize, image_format: str = "keep") -> ShardImage:
    """Return an image as it goes into a shard.

    Those that have the format and are not resized stay as they are, byte for byte, and only their
    headers are read; all others are upright, in RGB, transparency on white.

    Args:
        content: its bytes.
        resize: what becomes of it.
        image_format: jpg, png or webp; keep: any of these as it is, and the others become a JPEG.

    Raises:
        UnusableImageError: it is no image, damaged, or decodes to more pixels than Pillow allows.
    """
    from PIL import Image

    try:
        opened = Image.open(io.BytesIO(content), formats=IMAGE_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError("decompression_bomb", "too many pixels") from error
    except _BROKEN as error:
        # Pillow's own words hold an address in memory.
        raise UnusableImageError("not_an_image", "the bytes are no image") from error
    with opened:
        width, height = opened.size
        suffix = image_suffix(content)
        is_kept = suffix and image_format in ("keep", suffix)
        if is_kept and not _is_to_change(width, height, resize):
            return ShardImage(suffix, content, width, height, width, height)
        try:
            return _redrawn(opened, resize, "jpg" if image_format == "keep" else image_format)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UnusableImageError("decompression_bomb", "too many pixels") from error
        except _BROKEN as error:
            raise UnusableImageError("corrupt_image", "it cannot be decoded") from error


def _is_to_change(width: int, height: int, resize: Resize) -> bool:
    if resize.mode == "no":
        return False
    longest = resize.mode in ("keep_ratio_largest", "border")
    side = max(width, height) if longest else min(width, height)
    return side > resize.size or not resize.only_if_bigger


def _redrawn(opened: "Image.Image", resize: Resize, suffix: str) -> ShardImage:
    """Decode an image, resize it and encode it."""
    from PIL import ImageOps

    from curate.training.data.images import to_rgb

    original_width, original_height = opened.size
    if _is_to_change(*opened.size, resize):
        # A JPEG is decoded at a half, a quarter or an eighth where that is still large enough.
        opened.draft(None, (2 * resize.size, 2 * resize.size))
        image = _resized(to_rgb(ImageOps.exif_transpose(opened)), resize)
    else:
        image = to_rgb(ImageOps.exif_transpose(opened))
    out = io.BytesIO()
    quality = {} if suffix == "png" else {"quality": resize.quality}
    image.save(out, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[suffix], **quality)
    return ShardImage(suffix, out.getvalue(), *image.size, original_width, original_height)


def _resized(image: "Image.Image", resize: Resize) -> "Image.Image":
    from PIL import Image, ImageOps

    method, size = Image.Resampling.BICUBIC, resize.size
    if resize.mode == "center_crop":
        return ImageOps.fit(image, (size, size), method)
    if resize.mode == "border":
        return ImageOps.pad(image, (size, size), method, "white")
    side = min(image.size) if resize.mode == "keep_ratio" else max(image.size)
    width, height = (max(1, round(length * size / side)) for length in image.size)
    # A line of one pixel would become gigabytes.
    if width * height > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise Image.DecompressionBombError(f"{width} x {height} pixels")
    return image.resize((width, height), method)
