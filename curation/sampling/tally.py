"""Matches of many languages at once in; probabilities, and counts of what is kept, out.

The entries of all languages stand in one array, those of a language from its base on, so that a
batch of pairs in hundreds of languages is one loop and not hundreds of small ones.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.errors import ArtifactError

__all__ = ["EntryRanges", "add_kept", "probabilities_of_pairs"]


class EntryRanges(NamedTuple):
    """Where the entries of each language of a batch stand; int64, shape (num_languages,).

    Attributes:
        base: position of the language's first entry.
        size: number of its entries.
    """

    base: NDArray[np.int64]
    size: NDArray[np.int64]


def probabilities_of_pairs(
    entry_ids: pa.ListArray,
    langs: NDArray[np.int32],
    ranges: EntryRanges,
    entry_probability: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Probability that each pair is kept, bit for bit that of `pair_probability`.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,).
        langs: of the pairs, as positions in the ranges.
        ranges: of the batch's languages.
        entry_probability: of the entries of all languages.

    Returns:
        Shape (num_pairs,), in [0, 1].

    Raises:
        ArtifactError: an entry id is beyond the entries of its language.

    >>> ids = pa.array([[0], [0]], pa.list_(pa.uint32()))
    >>> ranges = EntryRanges(np.array([0, 1]), np.array([1, 1]))
    >>> langs = np.array([1, 0], np.int32)
    >>> probabilities_of_pairs(ids, langs, ranges, np.array([0.25, 0.5])).tolist()
    [0.5, 0.25]
    """
    out = np.empty(len(entry_ids))
    if not _multiply(*_buffers(entry_ids), langs, *ranges, entry_probability, out):
        raise ArtifactError(
            "entry ids of matches go beyond the entries of their language. "
            "Run `curate match` again with --overwrite."
        )
    return out


def add_kept(
    entry_ids: pa.ListArray,
    langs: NDArray[np.int32],
    ranges: EntryRanges,
    keep: NDArray[np.bool_],
    kept_count: NDArray[np.int64],
) -> None:
    """Add the kept pairs to the counts of their entries, which were checked with the probabilities.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,).
        langs: of the pairs, as positions in the ranges.
        ranges: of the batch's languages.
        keep: whether each pair is kept.
        kept_count: of the entries of all languages; added to.
    """
    _count(*_buffers(entry_ids), langs, ranges.base, keep, kept_count)


def _buffers(entry_ids: pa.ListArray) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    return entry_ids.offsets.to_numpy(), entry_ids.values.to_numpy(zero_copy_only=False)


@compiled
def _multiply(
    offsets: Any, values: Any, langs: Any, base: Any, size: Any, probability: Any, out: Any
) -> bool:
    for row in range(len(langs)):
        first, limit = base[langs[row]], size[langs[row]]
        missed = 1.0
        for at in range(offsets[row], offsets[row + 1]):
            if values[at] >= limit:
                return False
            missed *= 1.0 - probability[first + np.int64(values[at])]
        out[row] = 1.0 - missed
    return True


@compiled
def _count(offsets: Any, values: Any, langs: Any, base: Any, keep: Any, kept_count: Any) -> None:
    for row in range(len(langs)):
        if keep[row]:
            first = base[langs[row]]
            for at in range(offsets[row], offsets[row + 1]):
                kept_count[first + np.int64(values[at])] += 1
