"""Which expert a run is to be: its cluster, what is outside of it, the run that it goes on from.

clusters/pairs ─► files sorted by hash in the user's cache ─► mapped by every rank
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.files.disk_space import told_when_full
from curate.files.paths import cache_folder
from curate.files.processes import locked
from curate.pipelines.clustered.plan import Centres, ClusteredPlan
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log
from curate.training.captions.write import make_room, touch
from curate.training.experts.choice import Expert
from curate.training.experts.index import ClusterIndex, is_whole, write_clusters

__all__ = ["ExpertOptions", "expert_identity", "opened_expert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertOptions:
    """Which expert a run is.

    Attributes:
        cluster: that it is trained on.
        clusters: folder that `cluster` wrote.
        outside: chance of a pair of another cluster, in each epoch.
        cache: local folder for sorted clusters; None: in the user's cache.
        cache_bytes: of all that is there.
    """

    cluster: int
    clusters: str
    outside: float = 0.02
    cache: str | None = None
    cache_bytes: int = 50_000_000_000

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if not 0.0 <= self.outside <= 1.0:
            raise UsageError(f"--outside is {self.outside}; expected 0 to 1")


def expert_identity(options: ExpertOptions) -> dict[str, Any]:
    """Return what decides which pairs an expert is trained on, for the run's config.json.

    Raises:
        ArtifactError: there are no clusters, or not of all pairs yet.
        UsageError: there is no such cluster, or no pair is in it.
    """
    plan = ClusteredPlan.read(options.clusters)
    sizes = plan.sizes()
    if not 0 <= options.cluster < len(sizes):
        raise UsageError(
            f"--expert is {options.cluster}; expected 0 to {len(sizes) - 1}: {options.clusters} "
            f"has {len(sizes)} clusters"
        )
    if not sizes[options.cluster]:
        raise UsageError(
            f"--expert is {options.cluster}, and no pair of {options.clusters} is in that cluster; "
            "the others go on without it"
        )
    return {
        "cluster": options.cluster,
        "pairs": sizes[options.cluster],
        "outside": options.outside,
        "clusters": Centres.read(options.clusters).identity,
        "of_pairs": artifacts.digest(plan.parameters),
    }


def opened_expert(
    options: ExpertOptions, identity: dict[str, Any], seed: int, *, quiet: bool
) -> Expert:
    """Return what decides which pairs a run is trained on; whoever comes first sorts them.

    Args:
        options: of the run.
        identity: as `expert_identity` gives it.
        seed: of the run.
        quiet: no messages.

    Raises:
        ArtifactError: the clusters are damaged.
        CurateError: the disk is full.
    """
    digest = artifacts.digest({key: identity[key] for key in ("clusters", "of_pairs")})[:16]
    base = Path(options.cache or cache_folder("clusters"))
    folder = base / digest
    with locked(base / f"{digest}.lock"), told_when_full(str(base)):
        if not is_whole(str(folder)):
            plan = ClusteredPlan.read(options.clusters)
            log(f"sorting the clusters of {plan.summary['pairs']:,} pairs into {folder}",
                quiet=quiet)  # fmt: skip
            write_clusters(str(folder), _pairs(plan), num_pairs=int(plan.summary["pairs"]))
        touch(str(folder))
        make_room(str(base), options.cache_bytes, str(folder))
        index = ClusterIndex(str(folder))
    return Expert(cluster=options.cluster, outside=options.outside, seed=seed, index=index)


def _pairs(plan: ClusteredPlan) -> Iterator[tuple[pa.StringArray, NDArray[np.uint16]]]:
    for batch in plan.batches(["pair_id", "cluster"]):
        there = batch.filter(batch.column("cluster").is_valid())
        yield there.column("pair_id"), there.column("cluster").to_numpy()
