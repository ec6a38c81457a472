"""Matches and counts in, how many pairs each of many thresholds keeps out; nothing is sampled."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.unit_keys import compiled
from metadata.errors import ArtifactError, ThresholdError

__all__ = ["Yields", "pair_yields"]

_LANES = 8  # thresholds that are worked on at once


class Yields(NamedTuple):
    """What thresholds keep; those of parts add up.

    Attributes:
        expected: Σ of the pairs' probabilities; float64, shape (num_thresholds,).
        kept: pairs whose draw is below their probability; int64, same shape.
    """

    expected: NDArray[np.float64]
    kept: NDArray[np.int64]


def pair_yields(
    entry_ids: pa.ListArray,
    rows: NDArray[np.int64],
    draws: NDArray[np.float64],
    entry_count: NDArray[np.int64],
    thresholds: NDArray[np.int64],
) -> Yields:
    """Return how many of some pairs each threshold keeps, as `balance` would with it.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,).
        rows: positions of the pairs of one language.
        draws: of all pairs, shape (num_pairs,); see `hash_draws`.
        entry_count: of the language; shape (num_entries,).
        thresholds: t, each >= 1; shape (num_thresholds,).

    Raises:
        ThresholdError: a threshold is less than 1.
        ArtifactError: an entry id is beyond the counts.

    Source: Xu et al. 2023, arXiv:2309.16671, Algorithm 1.

    >>> ids = pa.array([[0], [0, 1]], pa.list_(pa.uint32()))
    >>> count = np.array([2, 1])
    >>> yields = pair_yields(ids, np.arange(2), np.array([0.6, 0.9]), count, np.array([1, 2]))
    >>> yields.expected.tolist(), yields.kept.tolist()
    ([1.5, 2.0], [1, 2])
    """
    if thresholds.min(initial=1) < 1:
        raise ThresholdError(
            f"a threshold t is {thresholds.min()}; expected pairs per entry, at least 1"
        )
    padded = np.pad(thresholds.astype(np.float64), (0, -len(thresholds) % _LANES), mode="edge")
    expected, kept = np.zeros(len(padded)), np.zeros(len(padded), np.int64)
    is_known = _add(
        entry_ids.offsets.to_numpy().astype(np.int64),
        entry_ids.values.to_numpy(zero_copy_only=False).astype(np.uint32, copy=False),
        np.ascontiguousarray(rows, dtype=np.int64),
        np.ascontiguousarray(draws, dtype=np.float64),
        np.ascontiguousarray(entry_count, dtype=np.int64),
        padded, expected, kept,
    )  # fmt: skip
    if not is_known:
        raise ArtifactError(
            f"entry ids of matches go beyond the {len(entry_count)} counts of their language. "
            "Run `curate match` again with --overwrite."
        )
    return Yields(expected[: len(thresholds)], kept[: len(thresholds)])


@compiled
def _add(
    offsets: Any,
    values: Any,
    rows: Any,
    draws: Any,
    entry_count: Any,
    thresholds: Any,
    expected: Any,
    kept: Any,
) -> bool:
    """Add to expected and kept, with the very operations of sampling; False for unknown ids."""
    missed = np.empty(_LANES)
    lowest = np.empty(len(thresholds) // _LANES)
    for block in range(len(lowest)):
        lowest[block] = thresholds[block * _LANES : (block + 1) * _LANES].min()
    for i in range(len(rows)):
        row = rows[i]
        rarest = np.inf
        for at in range(offsets[row], offsets[row + 1]):
            if values[at] >= len(entry_count):
                return False
            rarest = min(rarest, np.float64(entry_count[values[at]]))
        for block in range(0, len(thresholds), _LANES):
            if rarest <= lowest[block // _LANES]:
                for lane in range(_LANES):  # each t is at least that entry's count: p is 1
                    expected[block + lane] += 1.0
                    kept[block + lane] += 1
                continue
            for lane in range(_LANES):
                missed[lane] = 1.0
            for at in range(offsets[row], offsets[row + 1]):
                count = np.float64(entry_count[values[at]])
                for lane in range(_LANES):
                    t = thresholds[block + lane]
                    missed[lane] *= 1.0 - t / max(count, t)
            for lane in range(_LANES):
                probability = 1.0 - missed[lane]
                expected[block + lane] += probability
                kept[block + lane] += np.int64(draws[row] < probability)
    return True
