"""Two counts of the same entries in, how far their distributions are apart out."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["align_counts", "divergence_bits", "largest_changes", "moved_share", "shares"]

Counts = NDArray[np.int64]


def align_counts(
    entries_a: pa.Array, count_a: Counts, entries_b: pa.Array, count_b: Counts
) -> tuple[pa.Array, Counts, Counts]:
    """Return the entries of both, A's in their order and then B's others, and both counts of each.

    Args:
        entries_a: string, unique; shape (num_a,).
        count_a: shape (num_a,).
        entries_b: string, unique; shape (num_b,).
        count_b: shape (num_b,).

    >>> entries, a, b = align_counts(
    ...     pa.array(["x", "y"]), np.array([1, 2]), pa.array(["z", "y"]), np.array([3, 4])
    ... )
    >>> entries.to_pylist(), a.tolist(), b.tolist()
    (['x', 'y', 'z'], [1, 2, 0], [0, 4, 3])
    """
    place = pc.index_in(entries_b, value_set=entries_a)
    is_new = pc.is_null(place).to_numpy(zero_copy_only=False)
    at = pc.fill_null(place, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    at[is_new] = len(entries_a) + np.arange(np.count_nonzero(is_new))
    entries = pa.concat_arrays([entries_a, entries_b.filter(pa.array(is_new))])
    both = np.zeros((2, len(entries)), np.int64)
    both[0, : len(count_a)] = count_a
    both[1, at] = count_b
    return entries, both[0], both[1]


def shares(count: Counts) -> NDArray[np.float64]:
    """Return each entry's share of all matches; zeros where there are none."""
    return np.asarray(count / max(1, int(count.sum())), dtype=np.float64)


def divergence_bits(count_a: Counts, count_b: Counts) -> float:
    """Return KL(A‖B) = Σ a log2(a / b) over the shares of entries, in bits.

    One match is added to every entry that occurs in A or B: otherwise an entry that only A has
    would make it infinite.

    Args:
        count_a: matches of each entry; shape (num_entries,).
        count_b: of the same entries.

    >>> divergence_bits(np.array([5, 1, 0]), np.array([5, 1, 0]))
    0.0
    >>> round(divergence_bits(np.array([2, 0]), np.array([0, 2])), 6)
    0.792481
    """
    occurs = (count_a > 0) | (count_b > 0)
    a, b = count_a[occurs] + 1.0, count_b[occurs] + 1.0
    a, b = a / a.sum(), b / b.sum()
    return float(np.sum(a * np.log2(a / b)))


def moved_share(count_a: Counts, count_b: Counts) -> float:
    """Return ½ Σ |a − b| over the shares of entries: what part of the matches is elsewhere.

    >>> moved_share(np.array([1, 1]), np.array([2, 0]))
    0.5
    """
    return float(np.abs(shares(count_a) - shares(count_b)).sum() / 2)


def largest_changes(count_a: Counts, count_b: Counts, num: int) -> NDArray[np.int64]:
    """Return the entries whose share changes most, the largest change first, equal ones by place.

    >>> largest_changes(np.array([4, 3, 3]), np.array([1, 3, 6]), 2).tolist()
    [0, 2]
    """
    change = np.abs(shares(count_a) - shares(count_b))
    order = np.argsort(-change, kind="stable")[:num]
    return np.asarray(order[change[order] > 0], dtype=np.int64)
