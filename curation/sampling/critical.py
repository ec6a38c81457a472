"""Matches, counts and draws in, the smallest threshold that keeps each pair out.

What a threshold keeps, every larger one keeps too. So one number a pair says all: it is kept by t
if and only if t is at least its critical threshold, and what any t keeps is counted without looking
at pairs again.
"""

import math
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.sampling.tally import EntryRanges
from curate.errors import ArtifactError

__all__ = ["NEVER", "critical_thresholds"]

NEVER = 2**53 + 1  # of a pair without entries: beyond any threshold
_STEPS = 12  # of Newton's method, at most; the search that follows is exact whatever they give


def critical_thresholds(
    entry_ids: pa.ListArray,
    langs: NDArray[np.int32],
    ranges: EntryRanges,
    draws: NDArray[np.float64],
    entry_count: NDArray[np.integer[Any]],
) -> NDArray[np.int64]:
    """Return the smallest t that keeps each pair, as `balance` would with it, bit for bit.

    A probability is computed from t by operations that are each rounded and never fall when t
    rises, so that there is exactly one such t. It is found by Newton's method, whose answer is then
    corrected by the very operations of sampling.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,).
        langs: of the pairs, as positions in the ranges.
        ranges: where the entries of each language stand.
        draws: of the pairs, shape (num_pairs,); see `hash_draws`.
        entry_count: of the entries of all languages.

    Returns:
        Shape (num_pairs,), at least 1; `NEVER` for a pair without entries.

    Raises:
        ArtifactError: an entry id is beyond the counts.

    Source: Xu et al. 2023, arXiv:2309.16671, Algorithm 1.

    >>> ids = pa.array([[0], [0, 1], []], pa.list_(pa.uint32()))
    >>> langs, ranges = np.zeros(3, np.int32), EntryRanges(np.array([0]), np.array([2]))
    >>> draws, count = np.array([0.6, 0.6, 0.6]), np.array([40, 8])
    >>> critical_thresholds(ids, langs, ranges, draws, count)[:2].tolist()
    [25, 5]
    """
    out = np.empty(len(entry_ids), np.int64)
    offsets = entry_ids.offsets.to_numpy()
    counts = np.empty(int(np.diff(offsets).max(initial=0)))
    is_known = _find(
        offsets, entry_ids.values.to_numpy(zero_copy_only=False), langs, *ranges, draws,
        entry_count, counts, out,
    )  # fmt: skip
    if not is_known:
        raise ArtifactError(
            "entry ids of matches go beyond the counts of their language. "
            "Run `curate match` again with --overwrite."
        )
    return out


@compiled
def _find(
    offsets: Any, values: Any, langs: Any, base: Any, size: Any, draws: Any, entry_count: Any,
    counts: Any, out: Any,
) -> bool:  # fmt: skip
    """Fill `out`; False for unknown ids. A pair's counts stand in `counts` meanwhile."""
    for row in range(len(langs)):
        first, limit = base[langs[row]], size[langs[row]]
        start, num = offsets[row], offsets[row + 1] - offsets[row]
        if num == 0:
            out[row] = NEVER
            continue
        rarest, inverse = np.inf, 0.0
        for at in range(num):
            entry_id = values[start + at]
            if entry_id >= limit:
                return False
            count = max(1.0, np.float64(entry_count[first + np.int64(entry_id)]))
            counts[at] = count
            rarest = min(rarest, count)
            inverse += 1.0 / count
        draw = draws[row]
        # t / rarest <= probability <= t * inverse.
        most = min(rarest, math.floor(draw * rarest) + 2.0)
        guess = min(most, draw / inverse)
        for _ in range(_STEPS):
            if guess >= rarest - 1.0:
                break
            missed, slope = 1.0, 0.0
            for at in range(num):
                left = counts[at] - guess
                missed *= left / counts[at]
                slope += 1.0 / left
            step = (draw - 1.0 + missed) / (missed * slope)
            guess += step
            if abs(step) < 0.25:
                break
        t = max(1.0, min(most, math.floor(guess) + 1.0))
        out[row] = _exact(t, draw, counts, num)
    return True


@compiled
def _exact(t: Any, draw: Any, counts: Any, num: Any) -> int:
    """Return the smallest t that keeps a pair, from a guess on: the rarest count keeps it."""
    width = 1.0
    if _keeps(t, draw, counts, num):
        kept, lost = t, t - 1.0
        while lost >= 1.0 and _keeps(lost, draw, counts, num):
            width *= 2.0
            kept, lost = lost, lost - width
        lost = max(lost, 0.0)
    else:
        lost, kept = t, t + 1.0
        while not _keeps(kept, draw, counts, num):
            width *= 2.0
            lost, kept = kept, kept + width
    while kept - lost > 1.0:
        middle = math.floor((kept + lost) / 2.0)
        if _keeps(middle, draw, counts, num):
            kept = middle
        else:
            lost = middle
    return int(kept)


@compiled
def _keeps(t: Any, draw: Any, counts: Any, num: Any) -> bool:
    """Tell whether t keeps a pair, with the very operations of sampling."""
    missed = 1.0
    for at in range(num):
        missed *= 1.0 - t / max(counts[at], t)
    return bool(draw < 1.0 - missed)
