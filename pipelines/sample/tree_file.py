"""A folder of vectors in; a tree fitted on some of them, the ones with the smallest hashes, out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes
from curate.curation.vectors.tree import Level, fit_tree
from curate.files import storage
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["count_vectors", "read_tree", "write_tree"]

_SAMPLE_BYTES = 512 << 20  # of single precision
_PER_LEAF = 64


def count_vectors(plan: EmbeddedPlan, kind: str) -> int:
    """Return how many rows have a vector.

    Raises:
        ArtifactError: there are no such vectors.
    """
    plan.model_of(kind)
    return int(plan.whole_summary()[f"{kind}_vectors"])


def write_tree(
    plan: EmbeddedPlan, path: str, clusters: Sequence[int], *, kind: str, seed: int, resample: int,
    stamp: dict[str, str], quiet: bool,
) -> None:  # fmt: skip
    """Fit a tree and publish it, unless it is there.

    Args:
        plan: of the vectors.
        path: of the file.
        clusters: of each level, the leaves first.
        kind: of vectors.
        seed: of hashes and first centres.
        resample: see `fit_tree`.
        stamp: of the file.
        quiet: no progress.
    """
    if storage.exists(path) and artifacts.read_stamp(path) == stamp:
        return
    width = plan.width(kind) or 1
    most = max(clusters[0], min(clusters[0] * _PER_LEAF, _SAMPLE_BYTES // (4 * width)))
    levels = fit_tree(
        _smallest(plan, kind, most, seed, quiet), clusters, seed=seed, resample=resample
    )
    names = np.repeat(np.arange(len(levels)), [len(one.centres) for one in levels])
    numbers = np.concatenate([np.arange(len(one.centres)) for one in levels])
    parents = np.concatenate([one.parent for one in levels])
    centres = np.concatenate([one.centres for one in levels])
    table = pa.table(
        {
            "level": pa.array(names, pa.uint8()), "cluster": pa.array(numbers, pa.uint32()),
            "parent": pa.array(parents, pa.uint32(), mask=names == len(levels) - 1),
            "centre": pa.FixedSizeListArray.from_arrays(pa.array(centres.reshape(-1)), width),
        }
    )  # fmt: skip
    artifacts.write_table(path, table, stamp, "")


def read_tree(path: str) -> list[Level]:
    """Return the levels of a tree, the leaves first."""
    table = artifacts.read_table(path)
    names = table.column("level").to_numpy()
    parents = table.column("parent").fill_null(0).to_numpy().astype(np.int64)
    column = table.column("centre").combine_chunks()
    centres = column.flatten().to_numpy().reshape(-1, column.type.list_size)
    return [
        Level(np.ascontiguousarray(centres[names == one], np.float32), parents[names == one])
        for one in range(int(names.max()) + 1)
    ]


def _smallest(
    plan: EmbeddedPlan, kind: str, most: int, seed: int, quiet: bool
) -> NDArray[np.float32]:
    """Return the vectors of the pairs with the smallest hashes, in the order of these."""
    keys = np.zeros(0, np.uint64)
    kept = np.zeros((0, plan.width(kind) or 1), np.float16)
    parts = range(len(plan.sources))
    for part in progress(parts, total=len(parts), label="draw", unit="part", quiet=quiet):
        for batch in plan.batches(part, ["pair_id", kind]):
            vectors, there = vectors_of(batch.column(kind), plan.path(part))
            keys = np.concatenate([keys, quick_hashes(batch.column("pair_id"), seed)[there]])
            kept = np.concatenate([kept, vectors[there]])
            if len(keys) > most + (1 << 15):
                keys, kept = _first(keys, kept, most)
    return _first(keys, kept, most)[1].astype(np.float32)


def _first(
    keys: NDArray[np.uint64], kept: NDArray[np.float16], most: int
) -> tuple[NDArray[np.uint64], NDArray[np.float16]]:
    order = np.argsort(keys, kind="stable")[:most]
    return keys[order], kept[order]
