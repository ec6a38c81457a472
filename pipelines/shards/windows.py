"""Which pairs stand in which shard where parts are taken one after the other, window by window."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws

__all__ = ["Window", "order_draws", "windows"]

# Added to the seed of the draws: in the order of those, likely pairs would stand behind others.
_ORDER = 0x9E3779B97F4A7C15


def order_draws(pair_ids: pa.StringArray, seed: int) -> NDArray[np.float64]:
    """Return the numbers in whose order pairs stand in shards; in [0, 1), shape (num_pairs,)."""
    return hash_draws(pair_ids, (seed + _ORDER) % 2**64)


@dataclass(frozen=True, slots=True)
class Window:
    """Neighbouring shards that are filled together.

    Attributes:
        first_shard: number of the first one.
        pairs_per_shard: pairs in each but the very last.
        slices: the kept pairs it takes from each part, as (part, first, stop).
    """

    first_shard: int
    pairs_per_shard: int
    slices: tuple[tuple[int, int, int], ...]

    @property
    def num_pairs(self) -> int:
        """Pairs in all of its shards."""
        return sum(stop - first for _, first, stop in self.slices)

    def shards(self) -> list[tuple[int, int, int]]:
        """Return the number of each shard, and the first and stop of its pairs in the window."""
        per, num = self.pairs_per_shard, self.num_pairs
        return [
            (self.first_shard + i, first, min(first + per, num))
            for i, first in enumerate(range(0, num, per))
        ]


def windows(num_pairs: Sequence[int], per_shard: int, window_shards: int) -> list[Window]:
    """Cut the pairs of all parts, one after the other, into windows of shards.

    >>> [window.slices for window in windows([3, 0, 2], 2, 1)]
    [((0, 0, 2),), ((0, 2, 3), (2, 0, 1)), ((2, 1, 2),)]
    >>> windows([3, 0, 2], 2, 2)[0].shards()
    [(0, 0, 2), (1, 2, 4)]
    """
    ends = list(accumulate(num_pairs))
    size = per_shard * max(1, window_shards)
    found = []
    for index, first in enumerate(range(0, ends[-1] if ends else 0, size)):
        stop = min(first + size, ends[-1])
        slices = [
            (part, max(first, end - num) - (end - num), min(stop, end) - (end - num))
            for part, (end, num) in enumerate(zip(ends, num_pairs, strict=True))
            if num and end > first and end - num < stop
        ]
        found.append(Window(index * max(1, window_shards), per_shard, tuple(slices)))
    return found
