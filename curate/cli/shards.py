"""The options of the commands that write shards."""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.pipelines.shards.options import ShardOptions

__all__ = [
    "ImageSize",
    "OnlyIfBigger",
    "PairsPerShard",
    "Quality",
    "ResizeMode",
    "ShardSize",
    "ShuffleShards",
    "shard_options",
]

PairsPerShard = Annotated[int, typer.Option("--pairs-per-shard", help="Size of a shard.")]
ShardSize = Annotated[
    str | None, typer.Option("--shard-size", help="Such as 300MB, about, instead of pairs.")
]
ShuffleShards = Annotated[
    int,
    typer.Option("--shuffle-shards", help="Shards that are shuffled together; 0: as matched."),
]
ResizeMode = Annotated[
    str,
    typer.Option(
        "--resize", help="no, keep_ratio, keep_ratio_largest, border, center_crop; as JPEG."
    ),
]
ImageSize = Annotated[int, typer.Option("--image-size", help="Pixels of the resized side.")]
Quality = Annotated[int, typer.Option("--quality", help="Of a JPEG that is written; 1 to 100.")]
OnlyIfBigger = Annotated[
    bool, typer.Option("--resize-only-if-bigger", help="Leave smaller images as they are.")
]


def shard_options(
    shard_size: str | None, window: int, mode: str, size: int, quality: int, only_if_bigger: bool
) -> "ShardOptions":
    """Return the options of shards as the command line gives them.

    Raises:
        UsageError: one of them cannot be meant.
    """
    from curate.files.sizes import parse_size
    from curate.pipelines.shards.options import Resize, ShardOptions

    if shard_size and mode != "no":
        raise UsageError(
            "--shard-size is of images as they are, and --resize changes them; "
            "give --pairs-per-shard"
        )
    return ShardOptions(
        shard_bytes=parse_size(shard_size, "--shard-size") if shard_size else None,
        window_shards=window,
        resize=Resize(mode=mode, size=size, quality=quality, only_if_bigger=only_if_bigger),
    )
