"""Units in, their keys out: what is compared before bytes are."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import load_word

__all__ = [
    "LONG",
    "SHORT",
    "SLACK",
    "hash_bytes",
    "key_units",
    "low_bytes",
    "mix",
    "same_bytes",
    "same_short_bytes",
]


LONG = 17  # length given for units of more than 16 bytes
SHORT = 32  # bytes that are compared without a branch
SLACK = 48  # bytes behind the last one that matters, so that whole words can be read

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME = np.uint64(0xFF51AFD7ED558CCD)

# The bits of the first n bytes of some words, for n up to SHORT.
_BITS_OF_WORDS = np.array(
    [
        [(1 << 8 * min(8, max(0, n - first))) - 1 for first in range(0, SHORT, 8)]
        for n in range(SHORT + 1)
    ],
    np.uint64,
)


@inlined
def mix(state: np.uint64) -> np.uint64:
    """Spread the bits of a hash: its upper ones choose the slot, its lower ones are compared."""
    state ^= state >> np.uint64(32)
    state *= _SEED
    return state ^ state >> np.uint64(29)


@inlined
def low_bytes(word: np.uint64, num: int) -> np.uint64:
    """Return the first bytes of a word, the others 0; 0 < num <= 8."""
    return word << np.uint64(64 - 8 * num) >> np.uint64(64 - 8 * num)


@inlined
def hash_bytes(data: Any, at: int, length: int) -> np.uint64:
    """Return a hash of a string, eight bytes at a time; SLACK comes behind it."""
    state = np.uint64(length)
    while length > 8:
        state = mix((state ^ load_word(data, at)) * _MULTIPLIER)
        at += 8
        length -= 8
    if length > 0:
        state = mix((state ^ low_bytes(load_word(data, at), length)) * _MULTIPLIER)
    return state


@compiled
def key_units(text: Any, starts: Any, ends: Any, num: int, keys: Any, lengths: Any) -> None:
    """Compute what tells units apart.

    Args:
        text: with SLACK behind the last unit; uint8.
        starts: first byte of each unit.
        ends: byte after each unit.
        num: units.
        keys: written: a unit's bytes where there are at most sixteen, else a hash of them and 0;
            uint64, shape (at least num, 2).
        lengths: written: bytes of each unit, LONG for more than sixteen; uint8.
    """
    for unit in range(num):
        start = np.int64(starts[unit])
        length = np.int64(ends[unit]) - start
        if length == 0:
            keys[unit, 0] = 0
            keys[unit, 1] = 0
            lengths[unit] = 0
        elif length <= 8:
            keys[unit, 0] = low_bytes(load_word(text, start), length)
            keys[unit, 1] = 0
            lengths[unit] = length
        elif length <= 16:
            keys[unit, 0] = load_word(text, start)
            keys[unit, 1] = low_bytes(load_word(text, start + 8), length - 8)
            lengths[unit] = length
        else:
            state = _SEED
            for at in range(start, start + length - 8, 8):
                state = mix(state ^ load_word(text, at)) * _PRIME
            state = mix(state ^ load_word(text, start + length - 8)) * _PRIME
            keys[unit, 0] = mix(state ^ np.uint64(length))
            keys[unit, 1] = 0
            lengths[unit] = LONG


@compiled
def same_bytes(first: Any, at: int, second: Any, start: int, length: int) -> bool:
    """Compare bytes of two arrays that both end with SLACK."""
    while length > 8:
        if load_word(first, at) != load_word(second, start):
            return False
        at += 8
        start += 8
        length -= 8
    if length == 0:
        return True
    difference = load_word(first, at) ^ load_word(second, start)
    return low_bytes(difference, length) == 0


@inlined
def same_short_bytes(first: Any, at: int, second: Any, start: int, length: int) -> bool:
    """Compare at most SHORT bytes of two arrays that both end with SLACK, without a branch."""
    different = np.uint64(0)
    for word in range(SHORT // 8):
        bits = load_word(first, at + 8 * word) ^ load_word(second, start + 8 * word)
        different |= bits & _BITS_OF_WORDS[length, word]
    return bool(different == 0)
