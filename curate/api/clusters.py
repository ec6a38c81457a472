"""`curate.cluster`: captions' vectors to clusters, one for each expert."""

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
from curate.api.results import ClusterResult

__all__ = ["cluster"]


@command
def cluster(
    *,
    fine: Number = 1024,
    coarse: int = 4,
    sample: Number | None = None,
    steps: int = 50,
    seed: int = 0,
    centres: Folder = None,
    embeddings: Folder = None,
    matched: Folder = None,
    shards: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> ClusterResult:
    """Cluster pairs by the vectors of their captions, for experts that are trained on a cluster.

    Fine centres by balanced k-means on a sample, these put into clusters, and each pair into that
    of its nearest centre.

    Example: curate cluster --fine 1024 --coarse 4

    Args:
        fine: centres, fitted on a sample.
        coarse: clusters of them.
        sample: pairs that centres are fitted on; default: 64 for each.
        steps: of the fit, at most.
        centres: folder of clusters whose centres are taken, instead of fitting others.
        embeddings: embeddings folder instead of the workspace's, with vectors of texts.
        shards: the tars that were embedded, if they were, for entries and captions.

    Returns:
        pairs = those of the clusters + without_text; of each cluster its size, languages, nearest
        captions, and the entries that it has more of than its share; with dry_run, the plan.

    Raises:
        ArtifactError: no texts are embedded, or other pairs than those at hand; or centres are of
            another model's vectors.
        UsageError: an option is out of range, or there are fewer pairs than centres.
    """
    from curate.pipelines.cluster import ClusterPairsOptions, cluster_pairs

    place = place_of(workspace)
    folder = path_of(output) or place.folder("clusters")
    with running(cluster):
        found = cluster_pairs(
            embeddings=path_of(embeddings) or place.folder("embeddings"),
            output=folder,
            options=ClusterPairsOptions(
                fine=number(fine, "--fine"),
                coarse=coarse,
                sample=None if sample is None else number(sample, "--sample"),
                steps=steps,
                seed=seed,
            ),
            matched=None if shards is not None else path_of(matched) or place.matched,
            shards=path_of(shards),
            centres=path_of(centres),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return ClusterResult(found, folder)
