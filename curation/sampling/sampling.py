"""Counts in, sampling probabilities and decisions out: the balancing of MetaCLIP.

Every decision is a function of its arguments alone: a pair's draw is a hash of its id and the
seed, so the kept set does not depend on the number of workers, the order of files or the engine,
and what a smaller t keeps a larger t keeps too.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes
from curate.errors import ArtifactError, ThresholdError, UsageError

__all__ = [
    "count_entries",
    "hash_draws",
    "pair_probability",
    "sampling_probability",
    "slots",
    "tail_share",
    "threshold_for_tail_share",
]


def count_entries(entry_ids: pa.ListArray, num_entries: int) -> NDArray[np.int64]:
    """Count the pairs that match each entry; counts of parts add up to those of the whole.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,); unique within a list.
        num_entries: length of the metadata.

    Returns:
        Shape (num_entries,).

    >>> count_entries(pa.array([[0, 2], [2]], pa.list_(pa.uint32())), 4).tolist()
    [1, 0, 2, 0]
    """
    values = pc.list_flatten(entry_ids).to_numpy(zero_copy_only=False)
    return np.bincount(values, minlength=num_entries).astype(np.int64, copy=False)


def check_threshold(t: int) -> int:
    """Return t.

    Raises:
        ThresholdError: it is not in [1, 2^53].
    """
    if not 1 <= t <= 2**53:
        raise ThresholdError(
            f"t is {t}; expected a number of pairs per entry, at least 1 and at most 2^53"
        )
    return t


def check_seed(seed: int) -> int:
    """Return the seed of the draws.

    Raises:
        UsageError: it is not in [0, 2^64).
    """
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed}; expected 0 <= seed < 2^64")
    return seed


def sampling_probability(entry_count: NDArray[np.int64], t: int) -> NDArray[np.float64]:
    """Probability that each entry keeps a pair it matches.

    1 where entry_count < t, else t / entry_count: a tail entry keeps every pair, a head entry
    keeps t pairs in expectation.

    Args:
        entry_count: pairs matched per entry; shape (num_entries,); >= 0.
        t: threshold in pairs; >= 1.

    Returns:
        Shape (num_entries,), in (0, 1]; a new array.

    Raises:
        ThresholdError: t < 1.

    Source: Xu et al. 2023, arXiv:2309.16671, Algorithm 1.

    >>> sampling_probability(np.array([5, 40]), t=20).tolist()
    [1.0, 0.5]
    """
    check_threshold(t)
    return np.asarray(t / np.maximum(entry_count, t), dtype=np.float64)


def slots(entry_count: NDArray[np.int64], t: int) -> int:
    """Σ min(entry_count, t): what the entries would keep if no pair filled several slots.

    >>> slots(np.array([5, 40]), t=20)
    25
    """
    return int(np.minimum(entry_count, check_threshold(t)).sum())


def pair_probability(
    entry_ids: pa.ListArray,
    entry_probability: NDArray[np.float64],
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Probability that each pair is kept: 1 − Π(1 − prob_i) over the entries it matches.

    The factors are multiplied in the order of the list, so that the result has the same bits
    wherever and in whatever batches it is computed.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,); a pair without entries has probability 0.
        entry_probability: shape (num_entries,).
        rows: positions of the pairs asked for; None for all.

    Returns:
        Shape (num_rows,), in [0, 1].

    Raises:
        ArtifactError: an entry id is beyond the entries.

    Source: Xu et al. 2023, arXiv:2309.16671, Algorithm 1.

    >>> ids = pa.array([[0], [0, 1], []], pa.list_(pa.uint32()))
    >>> pair_probability(ids, np.array([0.5, 0.5])).tolist()
    [0.5, 0.75, 0.0]
    """
    from curate.curation.sampling.kernels import multiply_misses

    chosen = np.arange(len(entry_ids)) if rows is None else rows
    missed = np.empty(len(chosen))
    is_known = multiply_misses(
        entry_ids.offsets.to_numpy().astype(np.int64),
        entry_ids.values.to_numpy(zero_copy_only=False).astype(np.uint32, copy=False),
        np.ascontiguousarray(chosen, dtype=np.int64),
        np.ascontiguousarray(entry_probability, dtype=np.float64),
        missed,
    )
    if not is_known:
        raise ArtifactError(
            f"entry ids of matches go beyond the {len(entry_probability)} entries of their "
            "language. Run `curate match` again with --overwrite."
        )
    return 1.0 - missed


def hash_draws(pair_ids: pa.StringArray, seed: int) -> NDArray[np.float64]:
    """Uniform draws in [0, 1): the upper 53 bits of xxh3_64(pair_id, seed), times 2^-53.

    Args:
        pair_ids: string, shape (num_pairs,); hashed as UTF-8.
        seed: 0 <= seed < 2^64.

    Returns:
        Shape (num_pairs,).

    >>> hash_draws(pa.array(["a"]), seed=0)[0] == hash_draws(pa.array(["b", "a"]), seed=0)[1]
    np.True_
    """
    hashes = quick_hashes(pair_ids, seed)
    return np.asarray((hashes >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def tail_share(entry_count: NDArray[np.int64], t: int) -> float:
    """Share p of all matches that belong to tail entries (entry_count < t); nan without matches.

    Source: Chuang et al. 2025, arXiv:2507.22062, section 3.3.

    >>> tail_share(np.array([1, 4, 5]), t=5)
    0.5
    """
    total = entry_count.sum()
    tail = entry_count[entry_count < check_threshold(t)].sum()
    return float(tail / total) if total else float("nan")


def threshold_for_tail_share(entry_count: NDArray[np.int64], p: float) -> int | None:
    """Largest t whose tail share does not exceed p.

    Tie rule: entries of equal count are in the tail together or not at all, and t is the count of
    the smallest head entry, so that t → p → t comes back wherever t is a count that occurs. If
    the smallest entry alone exceeds p, t is its count and the tail is empty; where every entry
    fits in the tail, t is the largest count plus one.

    Args:
        entry_count: pairs matched per entry; zeros are ignored.
        p: tail share, 0 <= p <= 1.

    Returns:
        t >= 1, or None if nothing matched.

    Raises:
        ThresholdError: p is not in [0, 1].

    Source: Chuang et al. 2025, arXiv:2507.22062, section 3.3.

    >>> threshold_for_tail_share(np.array([0, 1, 4, 5]), p=0.5)
    5
    >>> threshold_for_tail_share(np.array([3, 3, 4]), p=0.5)
    3
    """
    if not 0.0 <= p <= 1.0:
        raise ThresholdError(f"tail share p is {p}; expected 0 <= p <= 1")
    counts, num_entries = np.unique(entry_count[entry_count > 0], return_counts=True)
    if not len(counts):
        return None
    matches = np.cumsum(counts * num_entries)
    # matches[k] / total is the tail share of any t in (counts[k], counts[k + 1]].
    num_tail = int(np.searchsorted(matches / matches[-1], p, side="right"))
    return int(counts[num_tail]) if num_tail < len(counts) else int(counts[-1]) + 1
