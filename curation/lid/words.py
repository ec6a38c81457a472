"""Compiled first steps of a fastText classifier: where words end, and how the library hashes.

Texts lie in a buffer with SLACK behind the last one, so that whole machine words can be read.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import trailing_zeros

__all__ = [
    "END_OF_LINE",
    "IS_SPACE",
    "LABEL_PREFIX",
    "OFFSET",
    "begins_with",
    "hash_of",
    "hashed",
    "leading_letters",
    "operand",
]

OFFSET = np.uint32(2166136261)
_PRIME = np.uint32(16777619)
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
IS_SPACE = np.array([b in b" \n\r\t\v\f\0" for b in range(256)])

_ONES = 0x0101010101010101
_LOW_BITS, _HIGH_BITS = np.uint64(0x7F * _ONES), np.uint64(0x80 * _ONES)
_BLANKS, _FROM_TAB = np.uint64(0x20 * _ONES), np.uint64((0x80 - 9) * _ONES)
_AFTER_RETURN = np.uint64((0x7F - 13) * _ONES)


@inlined
def operand(byte: np.uint8) -> np.uint32:
    """Return a byte as the hash takes it: with its sign."""
    return np.uint32(np.int32(np.int8(byte)))


@inlined
def hashed(state: np.uint32, operand: np.uint32) -> np.uint32:
    """Return FNV-1a's hash of one byte more."""
    return np.uint32(np.uint32(state ^ operand) * _PRIME)


@compiled
def hash_of(data: Any, first: int, stop: int) -> np.int32:
    """Return the library's hash of a word, which it takes runs of words by."""
    state = OFFSET
    for i in range(first, stop):
        state = hashed(state, operand(data[i]))
    return np.int32(state)


@compiled
def begins_with(data: Any, first: int, stop: int, other: Any) -> bool:
    """Tell whether bytes from `first` to `stop` begin with others."""
    if stop - first < len(other):
        return False
    for i in range(len(other)):
        if data[first + i] != other[i]:
            return False
    return True


@inlined
def leading_letters(word: np.uint64) -> int:
    """Return how many of a word's first bytes are no white space: not 0, 9 to 13, or 32."""
    low = word & _LOW_BITS
    blank = ~(((word ^ _BLANKS) & _LOW_BITS) + _LOW_BITS | word)
    nothing = ~(low + _LOW_BITS | word)
    between = (low + _FROM_TAB) & ~(low + _AFTER_RETURN) & ~word
    return trailing_zeros((blank | nothing | between) & _HIGH_BITS) >> 3
