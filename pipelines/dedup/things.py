"""The rows of all parts in; out the images that are compared, in the order in which they stay.

What is compared are *things*: an image with all the pairs of its `image_id`, or a pair of its own
where there is none. Pairs of one `image_id` are captions of one image and no duplicates of each
other; a thing stays or falls with all of them. Of a row, about 90 bytes are in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes
from curate.curation.vectors.perceptual import HASH_BYTES
from curate.pipelines.embedded.plan import EmbeddedPlan

__all__ = ["Things", "read_things", "thing_keys"]

_ROWS = 1 << 16
Best = Callable[[int, pa.RecordBatch, int], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Things:
    """All things, by number; the number is the place of their key among all keys.

    Attributes:
        keys: xxh3_64 of their ids, ascending; uint64, shape (num,).
        rows: of all rows, the one that stands for the thing: of several images of one id, the one
            with the smallest checksum; shape (num,).
        pairs: how many rows it has; shape (num,).
        part_starts: where the rows of each part begin among all, and where the last ones end.
        exact: checksums of the images' bytes, zeros without any; void of 16 bytes, shape (num,).
        hashes: perceptual hashes; uint8, shape (num, HASH_BYTES).
        has_hash: shape (num,).
        has_vector: shape (num,).
        rank: which of two stays: the smaller one; unique, shape (num,).
    """

    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]
    pairs: NDArray[np.int64]
    part_starts: NDArray[np.int64]
    exact: NDArray[np.void]
    hashes: NDArray[np.uint8]
    has_hash: NDArray[np.bool_]
    has_vector: NDArray[np.bool_]
    rank: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def of_rows(self, batch: pa.RecordBatch, seed: int) -> NDArray[np.int64]:
        """Return the thing of each row of a batch with pair_id and image_id."""
        return np.searchsorted(self.keys, thing_keys(batch, seed))

    def parts_of(self, things: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the part that each thing's row is in, and its place there."""
        rows = self.rows[things]
        parts = np.searchsorted(self.part_starts, rows, side="right") - 1
        return parts, rows - self.part_starts[parts]


def thing_keys(batch: pa.RecordBatch, seed: int) -> NDArray[np.uint64]:
    """Return what things go by: xxh3_64 of the image's id, or of the pair's where there is none."""
    ids = pc.coalesce(batch.column("image_id"), batch.column("pair_id"))
    return quick_hashes(ids, seed)


def read_things(
    plan: EmbeddedPlan, seed: int, *, with_vectors: bool, best: Best | None = None
) -> Things:
    """Read ids and fingerprints of all rows.

    Args:
        plan: of the vectors; with fingerprints of images.
        seed: of the keys.
        with_vectors: find out which have a vector of their image.
        best: returns, of a batch of a part, from a row on, the values of which the largest stays;
            None: keys alone decide.

    Raises:
        ArtifactError: a part is damaged, or of another model.
    """
    columns = ["pair_id", "image_id", "image_xxh3", "image_hash", "width", "height"]
    summary = plan.whole_summary()
    all_have_one = with_vectors and summary.get("image_vectors") == summary["pairs"]
    with_vectors = with_vectors and not all_have_one  # vectors are far more than all else to read
    columns += ["image"] if with_vectors else []
    starts = np.cumsum([0, *(plan.num_rows(index) for index in range(len(plan.sources)))])
    whole = _no_rows(int(starts[-1]))
    for index, begin in enumerate(starts[:-1].tolist()):
        first = begin
        for batch in plan.batches(index, columns, _ROWS if not with_vectors else 1 << 13):
            values = np.zeros(batch.num_rows) if best is None else best(index, batch, first - begin)
            found = (
                thing_keys(batch, seed), *_fingerprints(batch, with_vectors, all_have_one), values
            )  # fmt: skip
            for column, of_batch in zip(whole, found, strict=True):
                column[first : first + batch.num_rows] = of_batch
            first += batch.num_rows
    return _things(whole, starts)


def _no_rows(num: int) -> list[NDArray[Any]]:
    """Return arrays for the columns of so many rows, to be filled: there is no second copy."""
    return [np.empty(num, np.uint64), np.empty(num, "V16"), np.empty((num, HASH_BYTES), np.uint8),
            np.empty(num, bool), np.empty(num, bool), np.empty(num)]  # fmt: skip


def _fingerprints(
    batch: pa.RecordBatch, with_vectors: bool, all_have_one: bool
) -> tuple[NDArray[np.void], NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return checksums, hashes, and who has a hash and a vector."""
    num = batch.num_rows
    exact = _fixed(batch.column("image_xxh3"), 16).view("V16").reshape(num)
    hashes = _fixed(batch.column("image_hash"), HASH_BYTES)
    there = [batch.column("image_hash").is_valid().to_numpy(zero_copy_only=False)]
    has_vector = np.full(num, all_have_one)
    if with_vectors:
        has_vector = batch.column("image").is_valid().to_numpy(zero_copy_only=False)
    return exact, hashes, there[0], has_vector


def _fixed(column: pa.Array, width: int) -> NDArray[np.uint8]:
    """Return fixed_size_binary values as bytes, zeros for nulls; shape (N, width)."""
    filled = pc.fill_null(column, pa.scalar(bytes(width), pa.binary(width)))
    raw = np.frombuffer(filled.buffers()[1], np.uint8)
    return raw[filled.offset * width : (filled.offset + len(filled)) * width].reshape(-1, width)


def _things(columns: list[NDArray[Any]], starts: NDArray[np.int64]) -> Things:
    keys, exact, hashes, has_hash, has_vector, values = columns
    words = exact.view(">u8").reshape(-1, 2)
    order = np.lexsort((words[:, 1], words[:, 0], keys))
    unique, first, num = np.unique(keys[order], return_index=True, return_counts=True)
    rows = order[first]
    best = np.nan_to_num(np.asarray(values, np.float64)[rows], nan=-np.inf, neginf=-np.inf)
    rank = np.empty(len(rows), np.int64)
    rank[np.lexsort((unique, -best))] = np.arange(len(rows))
    return Things(
        unique, rows, num, starts, exact[rows], hashes[rows], has_hash[rows], has_vector[rows], rank
    )
