"""`judge_captions`: captions beside their images and alt-texts in; which are good, out."""

from curate.api.calls.command import command
from curate.api.calls.options import Folder, listed, path_of, place_of
from curate.api.results import JudgeResult

__all__ = ["judge_captions"]


@command
def judge_captions(
    *,
    captions: str | list[str] | None = None,
    model: Folder = None,
    metadata: Folder = None,
    normalization: str = "standard",
    max_repetition: float = 0.3,
    tail_below: int = 5,
    shards: Folder = None,
    device: str | None = None,
    workspace: Folder = None,
    output: Folder = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> JudgeResult:
    """Judge captions beside the images and alt-texts of their pairs.

    Example: curate judge-captions --captions data/captions/altogether --model data/runs/clip

    Args:
        captions: table, folder or pattern of captions by pair id, or NAME=TABLE; several, for all.
        model: run or export of CLIP, for similarities; default: none.
        metadata: whose entries captions keep, gain and lose; default: the workspace's, if there.
        normalization: standard, metaclip.
        max_repetition: share of trigrams that a caption has had before, above which it is dropped.
        tail_below: pairs of alt-texts below which an entry is of the tail.
        shards: folder, pattern or URL of tars instead of balanced/.

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

    require_packages("curate judge-captions")
    if normalization not in ("standard", "metaclip"):
        raise UsageError(f"--normalization is {normalization!r}; expected standard or metaclip")
    place = place_of(workspace)
    folder = path_of(output) or place.folder("judged")
    known = path_of(metadata)
    if known is None and storage.exists(f"{place.metadata}/manifest.json"):
        known = place.metadata
    found = judge_captions(
        shards=path_of(shards) or f"{place.balanced}/shards",
        output=folder,
        options=JudgeOptions(
            captions=CaptionOptions(tables=tuple(listed(captions))),
            model=path_of(model),
            metadata=known,
            normalization="metaclip" if normalization == "metaclip" else "standard",
            max_repetition=max_repetition,
            tail_below=tail_below,
            device=device or "cpu",
        ),
        overwrite=overwrite,
        dry_run=dry_run,
        quiet=quiet,
    )
    return JudgeResult(found, folder)
