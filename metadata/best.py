"""The best of a stream of scored things, in bounded memory."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.metadata.entries import Candidate, rank

__all__ = ["NUM_EXAMPLES", "Best", "Selected", "cut"]

NUM_EXAMPLES = 3
_SLACK = 1 << 16


@dataclass(frozen=True, slots=True)
class Selected:
    """The candidates of one source.

    Attributes:
        num_raw: how many there were.
        kept: those within the thresholds, in order.
        left_out: the best of those that the limits cut off, for the report.
    """

    num_raw: int
    kept: list[Candidate]
    left_out: list[Candidate]


def cut(
    num_raw: int, candidates: list[Candidate], limit: int | None, floor: float = -np.inf
) -> Selected:
    """Rank candidates and cut them at a limit, or where scores fall below a floor.

    >>> cut(9, [("a", 1.0), ("b", 2.0)], 1)
    Selected(num_raw=9, kept=[('b', 2.0)], left_out=[('a', 1.0)])
    """
    ordered = rank(candidates, [])
    num = bisect_right(ordered, -floor, key=lambda candidate: -candidate[1])
    num = num if limit is None else min(num, limit)
    return Selected(num_raw, ordered[:num], ordered[num : num + NUM_EXAMPLES])


class Best:
    """Holds the things of the highest scores, and all that tie with the last of them."""

    def __init__(self, num: int | None) -> None:
        """Start with nothing.

        Args:
            num: how many are wanted; None for all.
        """
        self._num = num
        self._floor = -np.inf
        self._scores: list[NDArray[np.float64]] = []
        self._things: list[NDArray[Any]] = []
        self._num_held = 0

    def add(self, scores: NDArray[np.float64], things: NDArray[Any]) -> None:
        """Take in things with their scores."""
        wanted = scores >= self._floor
        self._scores.append(scores[wanted])
        self._things.append(things[wanted])
        self._num_held += len(self._scores[-1])
        if self._num is not None and self._num_held > 2 * self._num + _SLACK:
            self._drop()

    def _drop(self) -> None:
        scores, things = np.concatenate(self._scores), np.concatenate(self._things)
        if self._num is not None and len(scores) > self._num:
            at = len(scores) - max(1, self._num)
            self._floor = float(np.partition(scores, at)[at])
            wanted = scores >= self._floor
            scores, things = scores[wanted], things[wanted]
        self._scores, self._things, self._num_held = [scores], [things], len(scores)

    def result(self) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return scores and things, in any order; more than wanted only where they tie."""
        if not self._scores:
            return np.zeros(0), np.zeros(0, np.uint64)
        self._drop()
        return self._scores[0], self._things[0]
