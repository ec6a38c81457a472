"""Clusters of pairs in; the probability of each cluster, and which pairs are drawn, out."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws
from curate.pipelines.matched.drops import Drops
from curate.pipelines.sample.part import SampleJob
from curate.pipelines.store import artifacts

__all__ = ["NOT_SAMPLED", "NO_VECTOR", "decided", "sizes_of_leaves"]

NOT_SAMPLED, NO_VECTOR = "not_sampled", "no_vector"


def sizes_of_leaves(job: SampleJob, parts: Sequence[int], drops: Drops, num: int) -> tuple[
    NDArray[np.int64], int, int
]:  # fmt: skip
    """Count the pairs of each leaf that count; and those without a vector, and those dropped.

    Args:
        job: of the run; its parts are written.
        parts: of it.
        drops: what does not count for other reasons.
        num: of leaves.
    """
    sizes, without, dropped = np.zeros(num, np.int64), 0, 0
    for ids, cluster, there in _rows(job, parts):
        counts = drops.found(ids) < 0
        dropped += int((~counts).sum())
        without += int((counts & ~there).sum())
        sizes += np.bincount(cluster[counts & there], minlength=num)
    return sizes, without, dropped


def decided(
    job: SampleJob, parts: Sequence[int], drops: Drops, probability: NDArray[np.float64], seed: int
) -> Iterator[tuple[pa.StringArray, list[str], NDArray[np.int64]]]:
    """Yield, part by part, ids of the pairs that fall, why, and the leaves of those that stay.

    A pair stays iff its draw, xxh3_64 of its id with the seed, is below its cluster's probability.
    """
    for ids, cluster, there in _rows(job, parts):
        counts = drops.found(ids) < 0
        stays = there & (hash_draws(ids, seed) < probability[cluster])
        falls = counts & ~stays
        reasons = np.where(there[falls], NOT_SAMPLED, NO_VECTOR).tolist()
        yield ids.filter(pa.array(falls)), reasons, cluster[counts & stays]


def _rows(
    job: SampleJob, parts: Sequence[int]
) -> Iterator[tuple[pa.StringArray, NDArray[np.int64], NDArray[np.bool_]]]:
    for part in parts:
        table = artifacts.read_table(job.path(part), ["pair_id", "cluster"])
        column = table.column("cluster").combine_chunks()
        there = column.is_valid().to_numpy(zero_copy_only=False)
        cluster = column.fill_null(0).to_numpy().astype(np.int64)
        yield table.column("pair_id").combine_chunks(), cluster, there
