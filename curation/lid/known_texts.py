"""A memory of texts: those that were identified before, and what was found, come back at once.

Alt-texts come again: a shop's name, "logo", a caption that a page shows twice. What is found of a
text follows from its bytes alone, so a memory changes how long it takes and nothing else.

Each text lies in a cell of CELL machine words: a hash, which is 0 in an empty cell; its length; its
bytes. A hash names two cells, and a text that comes when both are taken replaces one that did not
come again since it was kept. Longer texts are not kept.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.arrow_buffers import with_slack
from curate.curation.compiled.intrinsics import fetch, load_word
from curate.curation.compiled.unit_keys import low_bytes, mix

__all__ = ["KnownTexts"]

_CELLS, _CELL = 1 << 16, 32  # cells; words of a cell
_LONGEST = 8 * (_CELL - 2)  # bytes of a text that is kept
_AT_ONCE = 64  # texts whose cells are loaded side by side
_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
_CAME_AGAIN = np.uint64(1 << 63)


@inlined
def _hash(data: Any, at: int, length: int) -> np.uint64:
    """Return the hash of a text, which is never 0."""
    state = np.uint64(length)
    while length > 8:
        state = mix((state ^ load_word(data, at)) * _MULTIPLIER)
        at += 8
        length -= 8
    if length > 0:
        state = mix((state ^ low_bytes(load_word(data, at), length)) * _MULTIPLIER)
    return state | np.uint64(1)


@compiled
def _place(data: Any, at: int, length: int, state: np.uint64, cells: Any) -> int:
    """Return the cell of a text, -1 if it has none."""
    first = np.int64(state >> np.uint64(1)) & (len(cells) - 2)
    for cell in range(first, first + 2):
        head = cells[cell]
        if head[0] == state and np.int64(head[1] & ~_CAME_AGAIN) == length:
            different = np.uint64(0)
            for word in range((length + 7) >> 3):
                there = load_word(data, at + 8 * word)
                if length - 8 * word < 8:
                    there = low_bytes(there, length - 8 * word)
                different |= there ^ head[2 + word]
            if different == 0:
                return cell
    return -1


@compiled
def find_texts(data: Any, offsets: Any, cells: Any, found: Any) -> int:
    """Write the cell of each text, -1 where it has none; return how many have one.

    Args:
        data: UTF-8 of all texts, and SLACK.
        offsets: shape (num_texts + 1,).
        cells: uint64, shape (a power of two, CELL).
        found: written: int32, shape (num_texts,).
    """
    num_texts, num_found = len(offsets) - 1, 0
    states = np.empty(_AT_ONCE, dtype=np.uint64)
    for begin in range(0, num_texts, _AT_ONCE):
        num = min(_AT_ONCE, num_texts - begin)
        for i in range(num):
            at = offsets[begin + i]
            length = offsets[begin + i + 1] - at
            if length <= _LONGEST:
                states[i] = _hash(data, at, length)
                cell = np.int64(states[i] >> np.uint64(1)) & (len(cells) - 2)
                fetch(cells, 8 * _CELL * cell)
                fetch(cells, 8 * _CELL * (cell + 1))
        for i in range(num):
            at = offsets[begin + i]
            length, cell = offsets[begin + i + 1] - at, -1
            if length <= _LONGEST:
                cell = _place(data, at, length, states[i], cells)
            if cell >= 0:
                cells[cell, 1] |= _CAME_AGAIN
                num_found += 1
            found[begin + i] = cell
    return num_found


@compiled
def keep_texts(data: Any, offsets: Any, cells: Any, found: Any) -> None:
    """Keep texts; write the cell of each, -1 for one that is too long.

    Args:
        data: as in `find_texts`.
        offsets: see there.
        cells: see there; changed.
        found: written; of texts with one cell the last one is there.
    """
    for text in range(len(offsets) - 1):
        at = offsets[text]
        length = offsets[text + 1] - at
        found[text] = -1
        if length > _LONGEST:
            continue
        state = _hash(data, at, length)
        cell = _place(data, at, length, state, cells)
        if cell < 0:
            cell = np.int64(state >> np.uint64(1)) & (len(cells) - 2)
            if cells[cell, 0] != 0 and (
                cells[cell + 1, 0] == 0 or cells[cell, 1] >= _CAME_AGAIN > cells[cell + 1, 1]
            ):
                cell += 1
            elif cells[cell, 1] >= _CAME_AGAIN:  # both did: who comes again may stay
                cells[cell, 1] &= ~_CAME_AGAIN
                cells[cell + 1, 1] &= ~_CAME_AGAIN
            cells[cell, 0], cells[cell, 1] = state, np.uint64(length)
            for word in range((length + 7) >> 3):
                there = load_word(data, at + 8 * word)
                if length - 8 * word < 8:
                    there = low_bytes(there, length - 8 * word)
                cells[cell, 2 + word] = there
        found[text] = cell


class KnownTexts:
    """Texts and what was found of them; of one thread at a time.

    Args:
        kinds: of the numbers that are found of a text.
        cells: how many texts there is room for; a power of two.
    """

    def __init__(self, kinds: tuple[DTypeLike, ...], cells: int = _CELLS) -> None:
        self._cells = np.zeros((cells, _CELL), np.uint64)
        self._answers = [np.zeros(cells, kind) for kind in kinds]

    def find(self, texts: pa.StringArray) -> tuple[NDArray[np.int32], list[NDArray[Any]]]:
        """Return the rows of the texts that are not known, and the numbers of all.

        What stands in the rows of those that are not known is anything.

        Args:
            texts: shape (num_texts,); no nulls.
        """
        found = np.empty(len(texts), np.int32)
        num = find_texts(*with_slack(texts), self._cells, found)
        unknown = np.flatnonzero(found < 0) if num else np.arange(len(texts))
        return unknown, [answers[found] for answers in self._answers]

    def keep(self, texts: pa.StringArray, answers: list[NDArray[Any]]) -> None:
        """Keep texts that are not known, and what was found of them.

        Args:
            texts: shape (num_texts,); no nulls.
            answers: each of shape (num_texts,).
        """
        cells = np.empty(len(texts), np.int32)
        keep_texts(*with_slack(texts), self._cells, cells)
        kept = np.flatnonzero(cells >= 0)
        for mine, new in zip(self._answers, answers, strict=True):
            mine[cells[kept]] = new[kept]
