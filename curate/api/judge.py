"""`judge_captions`: captions beside their images and alt-texts in; which are good, out."""

from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.names import model_of, shards_of
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    num_workers,
    path_of,
    place_of,
    running,
)
from curate.api.results import JudgeResult

__all__ = ["judge_captions"]


@command
def judge_captions(
    *,
    captions: str | list[str] | None = None,
    model: str | None = None,
    metadata: Folder = None,
    normalization: str = "standard",
    max_repetition: float = 0.3,
    tail_below: int = 5,
    precision: str = "auto",
    pairs_per_part: int = 20_000,
    shards: Folder = None,
    shard_cache: str | None = None,
    shard_cache_gb: float = 50.0,
    device: str | None = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> JudgeResult:
    """Judge captions beside the images and alt-texts of their pairs.

    Example: curate judge-captions --captions data/captions/altogether --model data/runs/clip

    Args:
        captions: table, folder or pattern of captions by pair id, or NAME=TABLE; several, for all.
        model: run, export or published model, for similarities; default: none.
        metadata: whose entries captions keep, gain and lose; default: the workspace's, if there.
        normalization: standard, metaclip.
        max_repetition: share of trigrams that a caption has had before, above which it is dropped.
        tail_below: pairs of alt-texts below which an entry is of the tail.
        precision: of the model: auto, float32, bfloat16, float16; auto: bfloat16 on a GPU.
        pairs_per_part: a killed run loses what it has of one part.
        shards: folder, pattern or URL of tars instead of balanced/.
        shard_cache: local folder for copies of remote tars.
        shard_cache_gb: of such copies; the oldest make room.
        workers: processes, each with the model; default: all cores, with a model on a GPU one.

    Returns:
        Captions = kept + dropped, by reason; mean figures; entries that gain and lose.

    Raises:
        UsageError: there are no captions to judge.
        InputError: none of them is of a pair of the shards.
        ArtifactError: the folder holds something else.
    """
    from curate.errors import UsageError
    from curate.files import storage
    from curate.pipelines.caption_tables import CaptionOptions
    from curate.pipelines.judge_captions import JudgeOptions, judge_captions
    from curate.training import require_packages
    from curate.training.data.shard_cache import ShardCache, default_folder

    require_packages("curate judge-captions")
    if normalization not in ("standard", "metaclip"):
        raise UsageError(f"--normalization is {normalization!r}; expected standard or metaclip")
    place = place_of(workspace)
    folder = path_of(output) or place.folder("judged")
    known = path_of(metadata)
    if known is None and storage.exists(f"{place.metadata}/manifest.json"):
        known = place.metadata
    with running(cluster):
        found = judge_captions(
            shards=path_of(shards) or f"{place.balanced}/shards",
            output=folder,
            options=JudgeOptions(
                captions=CaptionOptions(tables=tuple(shards_of(captions))),
                model=None if model is None else model_of(model, place),
                precision=precision,
                metadata=known,
                normalization="metaclip" if normalization == "metaclip" else "standard",
                max_repetition=max_repetition,
                tail_below=tail_below,
                device=device,
            ),
            pairs_per_part=pairs_per_part,
            workers=None if workers is None else num_workers(workers),
            cache=ShardCache(
                folder=shard_cache or default_folder(), max_bytes=int(shard_cache_gb * 1e9)
            ),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return JudgeResult(found, folder)
