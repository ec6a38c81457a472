"""A memory of texts: those that were identified before, and what was found, come back at once.

Alt-texts come again: a shop's name, "logo", a caption that a page shows twice. What is found of a
text follows from its bytes alone, so a memory changes how long it takes and nothing else.

A text is kept when it comes for the second time: of one that came once its tag is left at a door,
where it stands until another is left in its place. So most texts that are new cost no more than
two looks at what lies close together.

A text's hash names a set of WAYS cells; its tag, which is the hash and whether the text came again
since it is kept, 0 for none, and the bytes of the text lie apart. Where all cells of a set are
taken, one whose text did not come again gives way. Longer texts than LONGEST are not kept.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.arrow_buffers import with_slack
from curate.curation.compiled.intrinsics import load_word, prefetch
from curate.curation.compiled.unit_keys import hash_bytes, low_bytes

__all__ = ["KnownTexts"]

_CELLS, _WAYS, _CELL = 1 << 16, 4, 24  # cells, those of a set; machine words of a cell
_DOORS = 2  # places at the door for each cell
_LONGEST = 8 * (_CELL - 1)  # bytes of a text that is kept, before which its length stands
_AT_ONCE = 64  # texts whose tags, and then cells, are loaded side by side
_AGAIN, _USED = np.uint64(1), np.uint64(2)  # bits of a tag


@inlined
def _tag_of(data: Any, at: int, length: int) -> Any:
    """Return a text's hash without the bits that tags have for other things."""
    return (hash_bytes(data, at, length) | _USED) & ~_AGAIN


@inlined
def _first_of_set(tag: np.uint64, tags: Any) -> Any:
    return np.int64(tag >> np.uint64(2)) * _WAYS & (len(tags) - 1)


@inlined
def _place_at_door(tag: np.uint64, door: Any) -> Any:
    return np.int64(tag >> np.uint64(24)) & (len(door) - 1)


@inlined
def _same_tag(tag: np.uint64, tags: Any, cell: int) -> bool:
    return bool((tags[np.uint64(cell)] ^ tag) & ~_AGAIN == 0)


@compiled
def _cell_of(data: Any, at: int, length: int, tag: np.uint64, tags: Any, cells: Any) -> int:
    """Return the cell of a text, -1 if it has none."""
    first = _first_of_set(tag, tags)
    for cell in range(first, first + _WAYS):
        if not _same_tag(tag, tags, cell):
            continue
        there = cells[cell]
        different = there[0] ^ np.uint64(length)
        for i in range(1, ((length + 7) >> 3) + 1 if different == 0 else 1):
            word = load_word(data, at + 8 * i - 8)
            if 8 * i > length:
                word = low_bytes(word, length - 8 * i + 8)
            different |= word ^ there[np.uint64(i)]
        if different == 0:
            return cell
    return -1


@compiled
def find_texts(
    data: Any, offsets: Any, door: Any, tags: Any, cells: Any, own: Any, found: Any
) -> int:
    """Write the cell of each text, -1 where it has none; return how many have one.

    Args:
        data: UTF-8 of all texts, and SLACK.
        offsets: shape (num_texts + 1,).
        door: tags of texts that came once; uint64, shape (a power of two,).
        tags: of the cells; uint64, shape (a power of two,).
        cells: uint64, shape (len(tags), _CELL).
        own: written: the tag of each text, 0 for one that is not to be kept; uint64, shape
            (num_texts,).
        found: written: int32, shape (num_texts,).
    """
    num_texts, num_found = len(offsets) - 1, 0
    for begin in range(0, num_texts, _AT_ONCE):
        stop = min(begin + _AT_ONCE, num_texts)
        for text in range(begin, stop):
            at, length = offsets[text], offsets[text + 1] - offsets[text]
            own[text] = _tag_of(data, at, length) if length <= _LONGEST else np.uint64(0)
            prefetch(tags, 8 * _first_of_set(own[text], tags))
            prefetch(door, 8 * _place_at_door(own[text], door))
        for text in range(begin, stop):
            first = _first_of_set(own[text], tags)
            for cell in range(first, first + _WAYS):
                if _same_tag(own[text], tags, cell):
                    prefetch(cells, 8 * _CELL * cell)
                    prefetch(cells, 8 * _CELL * cell + 64)
        for text in range(begin, stop):
            cell = -1
            if own[text] != 0:
                at, length = offsets[text], offsets[text + 1] - offsets[text]
                cell = _cell_of(data, at, length, own[text], tags, cells)
                place = _place_at_door(own[text], door)
                if cell >= 0:
                    tags[cell] |= _AGAIN
                    num_found += 1
                elif door[place] != own[text]:
                    door[place], own[text] = own[text], 0
            found[text] = cell
    return num_found


@inlined
def _given_up(tag: np.uint64, tags: Any) -> Any:
    """Return the cell of a set that a new text takes; where all came again, none did from now."""
    first = _first_of_set(tag, tags)
    begin = np.int64(tag >> np.uint64(60))
    for i in range(_WAYS):
        cell = first + ((begin + i) & (_WAYS - 1))
        if tags[cell] & _AGAIN == 0:
            return cell
    for cell in range(first, first + _WAYS):
        tags[cell] &= ~_AGAIN
    return first + (begin & (_WAYS - 1))


@compiled
def keep_texts(data: Any, offsets: Any, tags: Any, cells: Any, own: Any, found: Any) -> None:
    """Keep texts; write the cell of each.

    Args:
        data: as in `find_texts`.
        offsets: see there.
        tags: see there; changed.
        cells: see there; changed.
        own: tag of each text, as it was written there; not 0.
        found: written; of texts with one cell the last one is there.
    """
    for text in range(len(offsets) - 1):
        at, length = offsets[text], offsets[text + 1] - offsets[text]
        cell = _cell_of(data, at, length, own[text], tags, cells)
        if cell < 0:
            cell = _given_up(own[text], tags)
            tags[cell] = own[text]
            there = cells[cell]
            there[0] = np.uint64(length)
            for i in range(1, ((length + 7) >> 3) + 1):
                word = load_word(data, at + 8 * i - 8)
                if 8 * i > length:
                    word = low_bytes(word, length - 8 * i + 8)
                there[np.uint64(i)] = word
        found[text] = cell


class KnownTexts:
    """Texts and what was found of them; of one thread at a time.

    Args:
        kinds: of the numbers that are found of a text.
        cells: how many texts there is room for; a power of two, at least _WAYS.
    """

    def __init__(self, kinds: tuple[DTypeLike, ...], cells: int = _CELLS) -> None:
        self._door = np.zeros(_DOORS * cells, np.uint64)
        self._tags = np.zeros(cells, np.uint64)
        self._cells = np.zeros((cells, _CELL), np.uint64)
        self._answers = [np.zeros(cells, kind) for kind in kinds]

    def found(
        self, texts: pa.StringArray, ask: Callable[[pa.StringArray], list[NDArray[Any]]]
    ) -> list[NDArray[Any]]:
        """Return what is found of texts, asked of those alone that are not known.

        Args:
            texts: shape (num_texts,); no nulls.
            ask: gives the numbers that are found of texts, each of shape (num_texts,).
        """
        own, cells = np.empty(len(texts), np.uint64), np.empty(len(texts), np.int32)
        if not find_texts(*with_slack(texts), self._door, self._tags, self._cells, own, cells):
            answers = ask(texts)
            self._keep(texts, own, answers)
            return answers
        answers = [known[cells] for known in self._answers]
        new = np.flatnonzero(cells < 0)
        if len(new):
            unknown = texts.take(pa.array(new))
            asked = ask(unknown)
            self._keep(unknown, own[new], asked)
            for all_of_them, some in zip(answers, asked, strict=True):
                all_of_them[new] = some
        return answers

    def _keep(
        self, texts: pa.StringArray, own: NDArray[np.uint64], answers: list[NDArray[Any]]
    ) -> None:
        kept = np.flatnonzero(own)
        if not len(kept):
            return
        cells = np.empty(len(kept), np.int32)
        data = with_slack(texts.take(pa.array(kept)))
        keep_texts(*data, self._tags, self._cells, own[kept], cells)
        for mine, new in zip(self._answers, answers, strict=True):
            mine[cells] = new[kept]
