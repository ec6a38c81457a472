"""Matches of pairs in, the pairs of each entry out, in pieces that fit into memory.

Entries of all languages stand in one row, those of a language from its base on. The row is cut into
buckets of about as many matches; matches are put into their buckets as pairs go by, and a bucket is
then ordered by counting.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.sampling.tally import EntryRanges

__all__ = ["Buckets", "order_bucket", "split_matches"]


class Buckets(NamedTuple):
    """Where the row of entries is cut.

    Attributes:
        edges: first entry of each bucket, and the number of entries; shape (num_buckets + 1,).
        of_block: bucket of each block of entries, since edges lie between blocks.
        block: entries of a block; a power of two.
    """

    edges: NDArray[np.int64]
    of_block: NDArray[np.int32]
    block: int


def split_matches(
    entry_ids: pa.ListArray,
    langs: NDArray[np.int32],
    ranges: EntryRanges,
    buckets: Buckets,
    first_pair: int,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
    """Put the matches of a batch of pairs into their buckets.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,); checked against the ranges before.
        langs: of the pairs, as positions in the ranges.
        ranges: where the entries of each language stand.
        buckets: of the entries.
        first_pair: number of the batch's first pair; with the others below 2^32.

    Returns:
        Of each match, bucket by bucket and in the order of the pairs: the entry, counted from the
        first of its bucket, and the number of the pair; and where each bucket begins,
        shape (num_buckets + 1,).
    """
    offsets = entry_ids.offsets.to_numpy()
    values = entry_ids.values.to_numpy(zero_copy_only=False)
    num = len(buckets.edges) - 1
    starts = np.zeros(num + 1, np.int64)
    shift = buckets.block.bit_length() - 1
    _count(offsets, values, langs, ranges.base, buckets.of_block, shift, starts[1:])
    np.cumsum(starts, out=starts)
    entries, pairs = (np.empty(int(starts[-1]), np.uint32) for _ in range(2))
    _split(offsets, values, langs, ranges.base, buckets.of_block, shift, buckets.edges, first_pair,
           starts[:-1].copy(), entries, pairs)  # fmt: skip
    return entries, pairs, starts


def order_bucket(
    entries: NDArray[np.uint32],
    pairs: NDArray[np.uint32],
    num_pairs: NDArray[np.integer[Any]],
    is_kept: NDArray[np.bool_],
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the pairs of each entry of a bucket, one entry after the other, and how many are kept.

    Args:
        entries: of each match, from the first of the bucket on.
        pairs: of each match, ascending.
        num_pairs: of each entry, together as many as there are matches; shape (num_entries,).
        is_kept: of all pairs, by number.

    Returns:
        Pairs, shape (num_matches,), and kept pairs of each entry, shape (num_entries,).

    >>> entries, pairs = np.array([1, 0, 1], np.uint32), np.array([0, 1, 1], np.uint32)
    >>> found, kept = order_bucket(entries, pairs, np.array([1, 2]), np.array([False, True]))
    >>> found.tolist(), kept.tolist()
    ([1, 0, 1], [1, 1])
    """
    out = np.empty(len(pairs), np.uint32)
    kept = np.zeros(len(num_pairs), np.uint32)
    ends = np.zeros(len(num_pairs), np.int64)
    np.cumsum(num_pairs[:-1], out=ends[1:])
    _order(entries, pairs, ends, is_kept, out, kept)
    return out, kept


@compiled
def _count(
    offsets: Any, values: Any, langs: Any, base: Any, of_block: Any, shift: Any, sizes: Any
) -> None:
    for row in range(len(langs)):
        first = base[langs[row]]
        for at in range(offsets[row], offsets[row + 1]):
            sizes[of_block[(first + np.int64(values[at])) >> shift]] += 1


@compiled
def _split(
    offsets: Any, values: Any, langs: Any, base: Any, of_block: Any, shift: Any, edges: Any,
    first_pair: Any, ends: Any, entries: Any, pairs: Any,
) -> None:  # fmt: skip
    for row in range(len(langs)):
        first = base[langs[row]]
        for at in range(offsets[row], offsets[row + 1]):
            entry = first + np.int64(values[at])
            bucket = of_block[entry >> shift]
            to = ends[bucket]
            entries[to] = entry - edges[bucket]
            pairs[to] = first_pair + row
            ends[bucket] = to + 1


@compiled
def _order(entries: Any, pairs: Any, ends: Any, is_kept: Any, out: Any, kept: Any) -> None:
    for at in range(len(entries)):
        entry, pair = entries[at], pairs[at]
        out[ends[entry]] = pair
        ends[entry] += 1
        kept[entry] += is_kept[pair]
