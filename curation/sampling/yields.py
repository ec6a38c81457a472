"""Matches and counts in, how many pairs each of many thresholds keeps out; nothing is sampled.

Pairs of all languages are worked on in one loop, as in `curate.curation.sampling.tally`.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.sampling.tally import EntryRanges
from curate.errors import ArtifactError, ThresholdError

__all__ = ["Yields", "pair_yields"]

_LANES = 8  # thresholds that are worked on at once


class Yields(NamedTuple):
    """What thresholds keep; those of parts add up.

    Attributes:
        expected: Σ of the pairs' probabilities; float64, shape (num_languages, num_thresholds).
        kept: pairs whose draw is below their probability; int64, same shape.
    """

    expected: NDArray[np.float64]
    kept: NDArray[np.int64]

    def plus(self, other: "Yields") -> "Yields":
        """Return the sums of both."""
        return Yields(self.expected + other.expected, self.kept + other.kept)


def pair_yields(
    entry_ids: pa.ListArray,
    langs: NDArray[np.int32],
    ranges: EntryRanges,
    draws: NDArray[np.float64],
    entry_count: NDArray[np.int64],
    thresholds: NDArray[np.int64],
) -> Yields:
    """Return how many of some pairs each threshold keeps, as `balance` would with it.

    Args:
        entry_ids: list<uint32>, shape (num_pairs,).
        langs: of the pairs, as positions in the ranges.
        ranges: where the entries of each language stand.
        draws: of the pairs, shape (num_pairs,); see `hash_draws`.
        entry_count: of the entries of all languages.
        thresholds: t of each language, each >= 1; shape (num_languages, num_thresholds).

    Raises:
        ThresholdError: a threshold is less than 1.
        ArtifactError: an entry id is beyond the counts.

    Source: Xu et al. 2023, arXiv:2309.16671, Algorithm 1.

    >>> ids = pa.array([[0], [0, 1]], pa.list_(pa.uint32()))
    >>> langs, ranges = np.zeros(2, np.int32), EntryRanges(np.array([0]), np.array([2]))
    >>> draws, count = np.array([0.6, 0.9]), np.array([2, 1])
    >>> yields = pair_yields(ids, langs, ranges, draws, count, np.array([[1, 2]]))
    >>> yields.expected.tolist(), yields.kept.tolist()
    ([[1.5, 2.0]], [[1, 2]])
    """
    if thresholds.min(initial=1) < 1:
        raise ThresholdError(
            f"a threshold t is {thresholds.min()}; expected pairs per entry, at least 1"
        )
    num = thresholds.shape[1]
    padded = np.pad(thresholds.astype(np.float64), ((0, 0), (0, -num % _LANES)), mode="edge")
    expected, kept = np.zeros(padded.shape), np.zeros(padded.shape, np.int64)
    is_known = _add(
        entry_ids.offsets.to_numpy(), entry_ids.values.to_numpy(zero_copy_only=False),
        langs, *ranges, draws, entry_count,
        padded, padded.reshape(len(padded), -1, _LANES).min(axis=2), expected, kept,
    )  # fmt: skip
    if not is_known:
        raise ArtifactError(
            "entry ids of matches go beyond the counts of their language. "
            "Run `curate match` again with --overwrite."
        )
    return Yields(expected[:, :num], kept[:, :num])


@compiled
def _add(
    offsets: Any,
    values: Any,
    langs: Any,
    base: Any,
    size: Any,
    draws: Any,
    entry_count: Any,
    thresholds: Any,
    lowest: Any,
    expected: Any,
    kept: Any,
) -> bool:
    """Add to expected and kept, with the very operations of sampling; False for unknown ids."""
    missed = np.empty(_LANES)
    for row in range(len(langs)):
        lang = langs[row]
        first, limit = base[lang], size[lang]
        rarest = np.inf
        for at in range(offsets[row], offsets[row + 1]):
            if values[at] >= limit:
                return False
            rarest = min(rarest, np.float64(entry_count[first + np.int64(values[at])]))
        for block in range(0, thresholds.shape[1], _LANES):
            if rarest <= lowest[lang, block // _LANES]:
                for lane in range(_LANES):  # each t is at least that entry's count: p is 1
                    expected[lang, block + lane] += 1.0
                    kept[lang, block + lane] += 1
                continue
            for lane in range(_LANES):
                missed[lane] = 1.0
            for at in range(offsets[row], offsets[row + 1]):
                count = np.float64(entry_count[first + np.int64(values[at])])
                for lane in range(_LANES):
                    t = thresholds[lang, block + lane]
                    missed[lane] *= 1.0 - t / max(count, t)
            for lane in range(_LANES):
                probability = 1.0 - missed[lane]
                expected[lang, block + lane] += probability
                kept[lang, block + lane] += np.int64(draws[row] < probability)
    return True
