"""What decides how shards are cut, ordered and filled."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import UsageError

__all__ = ["IMAGE_FORMATS", "RESIZE_MODES", "Resize", "ShardOptions", "parse_window"]

IMAGE_FORMATS = ("jpg", "png", "webp", "keep")
# Fewer shards than these are filled together, in one pass.
_AT_ONCE = 4
_LEAST_BYTES = 1_000_000  # 1MB
RESIZE_MODES = ("no", "keep_ratio", "keep_ratio_largest", "border", "center_crop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """What becomes of an image on its way into a shard; the modes are called as in img2dataset.

    Attributes:
        mode: ``no``: its bytes as they are; ``keep_ratio`` / ``keep_ratio_largest``: the shorter /
            longer side becomes `size`; ``border``: the longer side, and white up to a square;
            ``center_crop``: the shorter side, and what is over is cut off.
        size: pixels, >= 1.
        only_if_bigger: leave an image that is not larger than that as it is.
        quality: of the JPEG that is written, 1 to 100.
    """

    mode: str = "no"
    size: int = 256
    only_if_bigger: bool = False
    quality: int = 95

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.mode not in RESIZE_MODES:
            raise UsageError(
                f"--resize is {self.mode!r}; expected one of {', '.join(RESIZE_MODES)}"
            )
        if self.size < 1:
            raise UsageError(f"--image-size is {self.size}; expected at least 1 pixel")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality is {self.quality}; expected 1 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """What decides the bytes of shards, given the pairs.

    Attributes:
        shard_bytes: size that shards are to have about, instead of a number of pairs.
        window_shards: shards whose pairs are put in order of a hash together; None: all of them;
            0 leaves the order.
        resize: of the images.
        image_format: that all images get, so that they have one suffix: ``jpg``, ``png`` or
            ``webp``; those that have it stay as they are, byte for byte. ``keep``: what each is,
            and JPEG where it is resized.
    """

    shard_bytes: int | None = None
    window_shards: int | None = None
    resize: Resize = Resize()
    image_format: str = "jpg"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.shard_bytes is not None and self.shard_bytes < _LEAST_BYTES:
            raise UsageError(f"--shard-size is {self.shard_bytes:,} bytes; expected at least 1MB")
        if self.window_shards is not None and self.window_shards < 0:
            raise UsageError(
                f"--shuffle-shards is {self.window_shards}; expected all, or a number from 0 on"
            )
        if self.image_format not in IMAGE_FORMATS:
            raise UsageError(
                f"--image-format is {self.image_format!r}; expected one of "
                f"{', '.join(IMAGE_FORMATS)}"
            )

    def window_of(self, num_pairs: int, per_shard: int) -> int | None:
        """Return how many shards are filled together; None if all are, and are too many for it."""
        if self.window_shards is None and num_pairs <= _AT_ONCE * per_shard:
            return _AT_ONCE
        return self.window_shards

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON-able values; as version 0.1 had them where it knew them."""
        values = asdict(self)
        if self.image_format == "keep":
            del values["image_format"]
        return values

    def as_arguments(self) -> list[str]:
        """Return what `curate balance` has to be told beside the number of pairs."""
        resize = self.resize
        window = "all" if self.window_shards is None else str(self.window_shards)
        arguments = ["--shuffle-shards", window, "--image-format", self.image_format]
        if resize.mode != "no":
            arguments += ["--resize", resize.mode, "--image-size", str(resize.size)]
            arguments += ["--quality", str(resize.quality)]
            arguments += ["--resize-only-if-bigger"] if resize.only_if_bigger else []
        return arguments

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ShardOptions":
        """Return the options that `as_dict` gave the values of."""
        return cls(**{"image_format": "keep", **values, "resize": Resize(**values["resize"])})


def parse_window(text: str) -> int | None:
    """Return the number of shards that ``--shuffle-shards`` gives; None for all.

    Raises:
        UsageError: it is neither ``all`` nor a whole number.

    >>> parse_window("all"), parse_window("4")
    (None, 4)
    """
    if text == "all":
        return None
    if not text.isdecimal():
        raise UsageError(f"--shuffle-shards is {text!r}; expected all, or a number from 0 on")
    return int(text)
