"""A memory of words: the rows of those that were met before are copied instead of hashed for.

Captions are made of few words that come again and again. What a word adds to a text is a list of
rows, its own and those of its n-grams, which follows from its bytes alone. So a memory changes how
long it takes and nothing else; when it is full it is forgotten as a whole.

Each word lies in `store`, as uint64: its length, the number of its rows and whether it is one of
the text's; its bytes, the rest of the last eight 0; its rows, two to a word. `slots` find it: the
upper half of a word's hash, and 1 + its place, 0 for none.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import load_word, prefetch, store_word
from curate.curation.compiled.unit_keys import mix

__all__ = ["Memory", "fetch_words", "hash_more", "recall", "remember", "slot_of"]

_SLOTS, _STORE = 1 << 18, 1 << 20
_LONGEST, _MOST_ROWS = 64, 200  # of a word that is remembered; longer ones do not come again
_LONGEST_NUMBER, _ZERO, _NINE = 4, np.uint8(48), np.uint8(57)
_SLACK = 2 * _MOST_ROWS
_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_NUM_AT, _IS_WORD = np.uint64(16), np.uint64(1 << 63)
_AT_ONCE = 8  # rows that are copied without asking how many there are


class Memory(NamedTuple):
    """What one thread remembers.

    Attributes:
        slots: uint64, shape (a power of two,).
        store: uint64.
        used: places of the store that are taken, and words that are remembered; int64, shape (2,).
    """

    slots: NDArray[np.uint64]
    store: NDArray[np.uint64]
    used: NDArray[np.int64]

    @classmethod
    def empty(cls) -> "Memory":
        """Return a memory of nothing."""
        slots, store = np.zeros(_SLOTS, np.uint64), np.zeros(_STORE, np.uint64)
        return cls(slots, store, np.zeros(2, np.int64))


@inlined
def hash_more(state: np.uint64, word: np.uint64) -> np.uint64:
    """Return the hash of what was hashed and eight bytes more, of which the last may be 0."""
    return mix((state ^ word) * _MULTIPLIER)


@inlined
def slot_of(state: np.uint64, mask: int) -> int:
    """Return the slot where the search for a word begins."""
    return np.int64(state & _LOW) & mask


@compiled
def fetch_words(states: Any, num: int, slots: Any, store: Any) -> None:
    """Begin to load what is remembered of words; their slots are on the way."""
    mask = len(slots) - 1
    for i in range(num):
        place = np.int64(slots[np.uint64(slot_of(states[i], mask))] & _LOW)
        prefetch(store, max(place - 1, 0) << 3)


@inlined
def _bytes_left(word: np.uint64, num: int) -> np.uint64:
    """Return the first bytes of a word, at most eight, the others 0."""
    if num >= 8:
        return word
    return word & ((np.uint64(1) << np.uint64(8 * num)) - np.uint64(1))


@compiled
def recall(
    state: np.uint64,
    data: Any,
    at: int,
    length: int,
    slots: Any,
    store: Any,
    found: Any,
    num_found: int,
) -> tuple[int, int]:
    """Append the rows of a word, if it is remembered.

    Args:
        state: hash of its bytes.
        data: uint8, with SLACK behind the word.
        at: where it begins.
        length: of it in bytes.
        slots: as in `Memory`.
        store: see there.
        found: rows; uint32, with room for some more than there will be.
        num_found: how many there are.

    Returns:
        How many rows there are now; and 1 for a word, 0 for what counts as none, -1 if it is not
        remembered.
    """
    mask = len(slots) - 1
    slot = slot_of(state, mask)
    num_bytes = (length + 7) >> 3
    while True:
        value = slots[np.uint64(slot)]
        if value == 0:
            return num_found, -1
        if value >> _HALF == state >> _HALF:
            place = np.int64(value & _LOW) - 1
            header = store[np.uint64(place)]
            if np.int64(header & np.uint64(0xFFFF)) == length:
                differs = np.uint64(0)
                for i in range(num_bytes):
                    word = _bytes_left(load_word(data, at + 8 * i), length - 8 * i)
                    differs |= word ^ store[np.uint64(place + 1 + i)]
                if differs == 0:
                    rows = 8 * (place + 1 + num_bytes)
                    num = np.int64(header >> _NUM_AT & np.uint64(0xFFFF))
                    for i in range(0, _AT_ONCE, 2):
                        store_word(found, 4 * (num_found + i), load_word(store, rows + 4 * i))
                    for i in range(_AT_ONCE, num, 2):
                        store_word(found, 4 * (num_found + i), load_word(store, rows + 4 * i))
                    return num_found + num, np.int64(header >> np.uint64(63))
        slot = (slot + 1) & mask


@compiled
def remember(
    state: np.uint64,
    data: Any,
    at: int,
    length: int,
    is_word: bool,
    slots: Any,
    store: Any,
    used: Any,
    found: Any,
    first: int,
    num_found: int,
) -> None:
    """Keep a word that was not remembered and its rows, from `first` to `num_found`."""
    num, num_bytes = num_found - first, (length + 7) >> 3
    if length > _LONGEST or num > _MOST_ROWS:
        return
    if length > _LONGEST_NUMBER and _ZERO <= data[at] <= _NINE:
        return  # a number of some digits hardly comes again
    size = 1 + num_bytes + (num + 1) // 2
    if used[0] + size + _SLACK > len(store) or 2 * used[1] > len(slots):
        slots[:] = 0
        used[:] = 0
    place = used[0]
    header = np.uint64(length) | np.uint64(num) << _NUM_AT
    store[place] = header | _IS_WORD if is_word else header
    for i in range(num_bytes):
        store[place + 1 + i] = _bytes_left(load_word(data, at + 8 * i), length - 8 * i)
    for i in range(0, num, 2):
        store_word(store, 8 * (place + 1 + num_bytes) + 4 * i, load_word(found, 4 * (first + i)))
    mask = len(slots) - 1
    slot = slot_of(state, mask)
    while slots[slot] != 0:
        slot = (slot + 1) & mask
    slots[slot] = state >> _HALF << _HALF | np.uint64(place + 1)
    used[0] += size
    used[1] += 1
