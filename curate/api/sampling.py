"""`curate.sample`: vectors to clusters of clusters, and a sample drawn evenly of them."""

from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    Number,
    num_workers,
    number,
    path_of,
    place_of,
    running,
)
from curate.api.results import SampleResult

__all__ = ["sample"]


@command
def sample(
    *,
    target_pairs: Number | None = None,
    clusters: str | None = None,
    kind: str = "image",
    resample: int = 0,
    seed: int = 0,
    report_only: bool = False,
    undo: bool = False,
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
) -> SampleResult:
    """Sample pairs evenly over what their images show; the others count no more.

    Vectors are clustered, the clusters' centres again, and so on; the target is shared out evenly
    among the clusters at the top, inside of each among its own, down to the leaves, whose pairs are
    drawn by hash. What a smaller target keeps, a larger one keeps.

    Example: curate sample --target-pairs 1m

    Args:
        target_pairs: pairs to keep, such as 1m: their expected number.
        clusters: of each level from the leaves up, such as 4096,256,16; default: one for 128
            vectors, and 16 times fewer in each further level.
        kind: of the vectors: image or text.
        resample: how often a level is fitted again to the vectors nearest to its centres.
        seed: of the draws, and of k-means.
        report_only: write the tables; have everything count.
        undo: have pairs that were not sampled count again.
        embeddings: embeddings folder instead of the workspace's.

    Returns:
        read = kept + fallen by reason + left_out, which did not count before; clusters of each
        level; with dry_run, the plan.

    Raises:
        ArtifactError: nothing is embedded, or other pairs than those that are matched now.
        UsageError: an option is out of range, or there are fewer vectors than clusters.
        MissingExtraError: the extra `dedup` is not installed.

    Source: Vo et al. 2024, arXiv:2405.15613.
    """
    from curate.errors import UsageError
    from curate.pipelines.sample import SampleOptions, sample_pairs, undo_sample
    from curate.pipelines.sample.options import parse_clusters

    place = place_of(workspace)
    of = path_of(matched) or place.matched
    folder = path_of(output) or place.folder("sampled")
    if undo:
        undone = undo_sample(
            matched=of, metadata=path_of(metadata), workers=num_workers(workers), quiet=quiet
        )
        return SampleResult(undone, of)
    if target_pairs is None:
        raise UsageError("--target-pairs says how many pairs are to be kept, about; give it")
    with running(cluster):
        found = sample_pairs(
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=SampleOptions(
                target_pairs=number(target_pairs, "--target-pairs"),
                clusters=parse_clusters(clusters),
                kind=kind,
                resample=resample,
                seed=seed,
            ),
            matched=of,
            enter=not report_only,
            metadata=path_of(metadata),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return SampleResult(found, folder)
