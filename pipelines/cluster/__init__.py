"""`curate cluster`: vectors of captions in; clusters, and every pair's cluster, out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.cluster.options import ClusterPairsOptions
    from curate.pipelines.cluster.stage import cluster_pairs
    from curate.pipelines.cluster.view import cluster_table

__all__ = ["ClusterPairsOptions", "cluster_pairs", "cluster_table"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["ClusterPairsOptions"],
        "stage": ["cluster_pairs"],
        "view": ["cluster_table"],
    },
)
