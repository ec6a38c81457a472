"""Texts in, runs of counted words and pairs out, in bounded memory.

What is counted lies in hash tables (`ngram_kernels`). They grow up to a share of the memory; when
they are full their content goes to the disk as a sorted run (`ngram_runs`) and they are emptied.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.metadata.ngrams import kernels as kernels
from curate.metadata.ngrams.runs import PAIRS, word_order, word_table

__all__ = ["NgramCounter"]

_FIRST_WORDS = 1 << 12
_FIRST_PAIRS = 1 << 14
_PAIRS_PER_WORD = 4
_WORD_BYTES = 16
# A pair in the table is 24 bytes at two thirds full, and half of that again while the table grows
# or is emptied; its share of a word is 20.
_BYTES_PER_PAIR = 80
_ROWS = 1 << 16
_BLOCK_BYTES = 1 << 20
_PADDING = bytes(8)

Spill = Callable[[Iterator[pa.Table], Iterator[pa.Table]], None]


@dataclass(slots=True)
class _Tables:
    """The arrays of the kernels."""

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]
    arena: NDArray[np.uint8]
    pairs: NDArray[np.uint64]

    @classmethod
    def empty(cls, num_words: int, num_pairs: int, arena_bytes: int) -> "_Tables":
        return cls(
            slots=np.zeros(num_words * 3 // 2 + 2, np.int32),
            hashes=np.zeros(num_words + 2, np.uint64),
            ends=np.zeros(num_words + 2, np.int64),
            counts=np.zeros(num_words + 2, np.int64),
            arena=np.zeros(arena_bytes, np.uint8),
            pairs=np.zeros(2 * (num_pairs * 3 // 2 + 2), np.uint64),
        )


class NgramCounter:
    """Counts words and pairs; whatever the memory, its runs add up to the same.

    Attributes:
        num_tokens: occurrences of words so far.
        num_pair_tokens: occurrences of pairs so far.
    """

    def __init__(
        self, classes: NDArray[np.uint8], *, segmented: bool, memory_bytes: int, spill: Spill
    ) -> None:
        r"""Start with empty tables.

        Args:
            classes: of each code point, as `ngram_kernels` has them.
            segmented: whether texts come as segments, each followed by ``\0``.
            memory_bytes: what the tables may take.
            spill: takes a run: tables of words and tables of pairs, each in order.
        """
        self._classes = classes
        self._count = kernels.count_segments if segmented else kernels.count_words
        # Parts two texts: a line end is neither a word nor blank.
        self._end = b"\0\n\0" if segmented else b"\n"
        self._max_pairs = max(_FIRST_PAIRS, memory_bytes // _BYTES_PER_PAIR)
        self._spill = spill
        self._texts: list[bytes] = []
        self._waiting_bytes = 0
        self._sizes = np.zeros(4, np.int64)
        self._tables = self._first_tables()

    def _first_tables(self) -> _Tables:
        return _Tables.empty(_FIRST_WORDS, _FIRST_PAIRS, _FIRST_WORDS * _WORD_BYTES)

    @property
    def num_tokens(self) -> int:
        """Occurrences of words in all texts."""
        return int(self._sizes[2])

    @property
    def num_pair_tokens(self) -> int:
        """Occurrences of pairs in all texts."""
        return int(self._sizes[3])

    def add(self, text: str) -> None:
        """Count a text; no pair reaches over its end."""
        # A lone surrogate is no character, and no valid text has one.
        self._texts.append(text.encode("utf-8", "replace"))
        self._waiting_bytes += len(self._texts[-1])
        if self._waiting_bytes >= _BLOCK_BYTES:
            self._count_waiting()

    def finish(self) -> None:
        """Count what waits, and hand over what is in the tables."""
        self._count_waiting()
        if self._sizes[0]:
            self._empty_tables()
        pa.default_memory_pool().release_unused()

    def _count_waiting(self) -> None:
        self._texts.append(_PADDING)
        text = np.frombuffer(self._end.join(self._texts), np.uint8)
        self._texts.clear()
        self._waiting_bytes = 0
        state = np.zeros(3, np.int64)
        while not self._count_block(text, state):
            self._make_room(len(text))

    def _count_block(self, text: NDArray[np.uint8], state: NDArray[np.int64]) -> bool:
        t = self._tables
        return bool(
            self._count(
                text, len(text) - len(_PADDING), self._classes, t.slots, t.hashes, t.ends,
                t.counts, t.arena, t.pairs, self._sizes, state,
            )
        )  # fmt: skip

    def _make_room(self, longest: int) -> None:
        """Double the tables, or, at their largest, empty them."""
        t = self._tables
        if self._sizes[1] * 3 >= len(t.pairs):
            if self._sizes[1] >= self._max_pairs:
                self._empty_tables(longest)
            else:
                self._grow_pairs()
        elif self._sizes[0] >= self._max_pairs // _PAIRS_PER_WORD:
            self._empty_tables(longest)
        else:
            self._grow_words(longest)

    def _grow_pairs(self) -> None:
        num = min(2 * int(self._sizes[1]) + 1, self._max_pairs)
        larger = np.zeros(2 * (num * 3 // 2 + 2), np.uint64)
        kernels.put_pairs(self._tables.pairs, larger)
        self._tables.pairs = larger

    def _grow_words(self, longest: int) -> None:
        t, num = self._tables, int(self._sizes[0])
        most = 2 * len(t.ends)
        t.slots = np.zeros(most * 3 // 2 + 2, np.int32)
        t.hashes, t.ends, t.counts = (
            np.concatenate([a, np.zeros_like(a)]) for a in (t.hashes, t.ends, t.counts)
        )
        used = int(t.ends[num])
        if len(t.arena) - used < max(longest, most * _WORD_BYTES // 2):
            room = max(longest, most * _WORD_BYTES)
            t.arena = np.concatenate([t.arena[:used], np.zeros(room, np.uint8)])
        kernels.put_words(t.slots, t.hashes, num)

    def _empty_tables(self, longest: int = 0) -> None:
        """Hand over a run: the words by hash, pairs by the ranks of their words."""
        t, num = self._tables, int(self._sizes[0])
        words = word_table(t.hashes[1 : num + 1], t.ends[: num + 1], t.arena, t.counts[1 : num + 1])
        order = word_order(words)
        ranks = np.zeros(num + 1, np.uint64)
        ranks[order + 1] = np.arange(num, dtype=np.uint64)
        keys = np.empty(int(self._sizes[1]), np.uint64)
        counts = np.empty(len(keys), np.uint32)
        kernels.take_pairs(t.pairs, ranks, keys, counts)
        # The table of pairs is the largest: it goes before anything is sorted.
        self._tables = self._first_tables()
        self._sizes[:2] = 0
        del t, ranks
        self._spill(_taken(words, order), _sorted_pairs(keys, counts))
        del words
        if longest > len(self._tables.arena):
            self._tables.arena = np.zeros(longest, np.uint8)


def _taken(table: pa.Table, order: NDArray[np.int64]) -> Iterator[pa.Table]:
    for start in range(0, len(order), _ROWS):
        yield table.take(order[start : start + _ROWS])


def _sorted_pairs(keys: NDArray[np.uint64], counts: NDArray[np.uint32]) -> Iterator[pa.Table]:
    order = np.argsort(keys)
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        yield pa.table([keys[rows], counts[rows].astype(np.int64)], schema=PAIRS)
