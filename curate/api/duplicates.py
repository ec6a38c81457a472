"""`curate.dedup` and `curate.decontaminate`: vectors in; pairs that are to count no more out."""

from collections.abc import Sequence
from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    listed,
    num_workers,
    path_of,
    place_of,
    running,
    words_of,
)
from curate.api.results import DecontaminateResult, DedupResult

__all__ = ["decontaminate", "dedup"]


@command
def dedup(
    *,
    methods: str | None = None,
    distance: int = 48,
    turned: bool = True,
    epsilon: float = 0.05,
    keep_best: str | None = None,
    seed: int = 0,
    report_only: bool = False,
    undo: bool = False,
    embeddings: Folder = None,
    scores: Folder = None,
    matched: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> DedupResult:
    """Find images that are there more than once; all but one of each count no more.

    What is matched stays as it is, without the duplicates in its counts: balance again then.

    Example: curate dedup --epsilon 0.03

    Args:
        methods: exact, perceptual, semantic, comma-separated; default: all that the vectors allow.
        distance: bits of 256 that the perceptual hashes of duplicates may differ in.
        turned: mirrored and turned images are duplicates too.
        epsilon: images whose vectors have a cosine of 1 - epsilon are duplicates.
        keep_best: resolution, or a column of scores: the largest value stays; default: the first by
            the hash of its id.
        seed: of that hash, and of k-means.
        report_only: write the table; have everything count.
        undo: have duplicates count again.
        embeddings: embeddings folder instead of the workspace's.
        scores: scores folder instead of the workspace's.

    Returns:
        read = kept + fallen by reason, in pairs; with dry_run, what would be compared.

    Raises:
        ArtifactError: nothing is embedded, or other pairs than those that are matched now.
        UsageError: an option is out of range, or the vectors do not allow a method.
        MissingExtraError: the extra `dedup` is not installed.

    Source: Abbas et al. 2023, arXiv:2303.09540 (semantic).
    """
    from curate.pipelines.dedup import DedupOptions, dedup_pairs, undo_dedup

    place = place_of(workspace)
    of = path_of(matched) or place.matched
    folder = path_of(output) or place.folder("deduped")
    if undo:
        return DedupResult(
            undo_dedup(
                matched=of, metadata=path_of(metadata), workers=num_workers(workers), quiet=quiet
            ),
            of,
        )
    with running(cluster):
        found = dedup_pairs(
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=DedupOptions(
                methods=words_of(methods),
                distance=distance,
                turned=turned,
                epsilon=epsilon,
                keep_best=keep_best,
                seed=seed,
            ),
            matched=None if report_only else of,
            metadata=path_of(metadata),
            scores=path_of(scores) or place.folder("scores"),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return DedupResult(found, folder)


@command
def decontaminate(
    data: str | Sequence[str] = (),
    *,
    config: str | None = None,
    format: str = "auto",
    run: Folder = None,
    methods: str | None = None,
    distance: int = 40,
    turned: bool = True,
    epsilon: float = 0.03,
    min_characters: int = 30,
    report_only: bool = False,
    undo: bool = False,
    model: str | None = None,
    tokenizer: str | None = None,
    device: str | None = None,
    embeddings: Folder = None,
    matched: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> DecontaminateResult:
    """Find pairs that evaluation sets hold too; they count no more, and the data card says so.

    Example: curate decontaminate imagenet/val flickr30k --run clip

    Args:
        data: evaluation sets, in any layout that eval reads.
        config: eval.json that names more sets.
        format: as for eval.
        run: model of the vectors, for the semantic way: name of a run, a folder or a file.
        methods: exact, perceptual, semantic, text, comma-separated; default: all that can be.
        distance: bits of 256 that perceptual hashes may differ in.
        turned: mirrored and turned images are the same.
        epsilon: images whose vectors have a cosine of 1 - epsilon are the same.
        min_characters: of a caption that is looked for among the texts.
        report_only: write the table; have everything count.
        undo: have what is in evaluation sets count again.
        model: of a file: name or JSON file.
        tokenizer: of a file: file or Hub name.
        embeddings: embeddings folder instead of the workspace's.

    Returns:
        read = kept + pairs of the sets; of each set, images and pairs; with dry_run, the plan.

    Raises:
        ArtifactError: nothing is embedded, with another model, or other pairs than are matched.
        InputError: a set cannot be read, or has no image.
        UsageError: there is no set, or an option is out of range.
    """
    from curate.pipelines.decontaminate import (
        DecontaminateOptions,
        decontaminate_pairs,
        undo_decontamination,
    )
    from curate.pipelines.export import find_run

    place = place_of(workspace)
    of = path_of(matched) or place.matched
    folder = path_of(output) or place.folder("decontaminated")
    if undo:
        return DecontaminateResult(
            undo_decontamination(
                matched=of, metadata=path_of(metadata), workers=num_workers(workers), quiet=quiet
            ),
            of,
        )
    named = path_of(run)
    with running(cluster):
        found = decontaminate_pairs(
            listed(data),
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=DecontaminateOptions(
                methods=words_of(methods),
                distance=distance,
                turned=turned,
                epsilon=epsilon,
                min_characters=min_characters,
                run=None if named is None else find_run(named, place.root),
                model=model,
                tokenizer=tokenizer,
                device=device,
            ),
            config=config,
            eval_format=format,
            matched=of,
            enter=not report_only,
            metadata=path_of(metadata),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return DecontaminateResult(found, folder)
