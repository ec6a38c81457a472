"""Compiled table of the words of a fastText classifier: a word in, its place out.

The hash is our own, eight bytes at a time; the library's serves its n-grams only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.compiled.unit_keys import hash_bytes, same_bytes

__all__ = ["build_vocabulary", "find_word"]

_PLACE = np.uint64(0xFFFFFFFF)
_HASH_SHIFT = np.uint64(32)


@compiled
def find_word(data: Any, at: int, length: int, strings: Any, offsets: Any, vocabulary: Any) -> int:
    """Return a word's place in the vocabulary, −1 if it is not there.

    Args:
        data: with SLACK behind the word; uint8.
        at: where the word begins.
        length: of the word in bytes.
        strings: words and labels, one after the other, and SLACK; uint8.
        offsets: of the strings; int64.
        vocabulary: as `build_vocabulary` makes it.
    """
    state = hash_bytes(data, at, length)
    mask = len(vocabulary) - 1
    slot = np.int64(state & _PLACE) & mask
    while vocabulary[slot] != 0:
        if vocabulary[slot] >> _HASH_SHIFT == state >> _HASH_SHIFT:
            place = np.int64(vocabulary[slot] & _PLACE) - 1
            start = offsets[place]
            if offsets[place + 1] - start == length and same_bytes(
                strings, start, data, at, length
            ):
                return place
        slot = (slot + 1) & mask
    return -1


@compiled
def _fill(vocabulary: Any, strings: Any, offsets: Any) -> None:
    mask = len(vocabulary) - 1
    for place in range(len(offsets) - 1):
        state = hash_bytes(strings, offsets[place], offsets[place + 1] - offsets[place])
        slot = np.int64(state & _PLACE) & mask
        while vocabulary[slot] != 0:
            slot = (slot + 1) & mask
        vocabulary[slot] = state >> _HASH_SHIFT << _HASH_SHIFT | np.uint64(place + 1)


def build_vocabulary(strings: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return an open-addressing table of words, at most half full.

    A slot is 0, or the upper half of the word's hash, and 1 + the word's place.

    Args:
        strings: words, one after the other, and SLACK.
        offsets: shape (num_words + 1,); of equal words one is found.
    """
    size = 1 << max(4, (2 * len(offsets)).bit_length())
    vocabulary = np.zeros(size, dtype=np.uint64)
    _fill(vocabulary, strings, offsets)
    return vocabulary
