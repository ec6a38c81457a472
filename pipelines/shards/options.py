"""What decides how shards are cut, ordered and filled."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import UsageError

__all__ = ["RESIZE_MODES", "Resize", "ShardOptions"]

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
        window_shards: shards whose pairs are put in order of a hash together; 0 leaves the order.
        resize: of the images.
    """

    shard_bytes: int | None = None
    window_shards: int = 4
    resize: Resize = Resize()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.shard_bytes is not None and self.shard_bytes < 1 << 20:
            raise UsageError(f"--shard-size is {self.shard_bytes} bytes; expected at least 1MB")
        if self.window_shards < 0:
            raise UsageError(f"--shuffle-shards is {self.window_shards}; expected at least 0")

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON-able values."""
        return asdict(self)

    def as_arguments(self) -> list[str]:
        """Return what `curate balance` has to be told beside the number of pairs."""
        resize = self.resize
        arguments = ["--shuffle-shards", str(self.window_shards)]
        if resize.mode != "no":
            arguments += ["--resize", resize.mode, "--image-size", str(resize.size)]
            arguments += ["--quality", str(resize.quality)]
            arguments += ["--resize-only-if-bigger"] if resize.only_if_bigger else []
        return arguments

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ShardOptions":
        """Return the options that `as_dict` gave the values of."""
        return cls(**{**values, "resize": Resize(**values["resize"])})
