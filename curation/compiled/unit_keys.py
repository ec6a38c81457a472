"""Units in, their keys out: what is compared before bytes are."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numba
import numpy as np

from curate.curation.compiled.intrinsics import load_word

__all__ = [
    "LONG",
    "SHORT",
    "SLACK",
    "compiled",
    "key_units",
    "low_bytes",
    "mix",
    "same_bytes",
    "same_short_bytes",
]


@cache
def _sources() -> str:
    """Return a hash of all of our sources: compiled functions hold code of several of them."""
    digest = sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep the machine code on disk.

    numba looks at a function's own file to tell whether what it kept is still true; what is
    compiled here calls functions of other files, so all of them count. Where no cache can be
    written (a read-only installation without a home), every process compiles anew;
    NUMBA_CACHE_DIR names a place.
    """
    try:
        dispatcher: Any = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return _without_literals(numba.njit(nogil=True, error_model="numpy")(function))
    kept = dispatcher._cache._cache_file
    kept._source_stamp = (kept._source_stamp, _sources())
    return _without_literals(dispatcher)


def _without_literals(dispatcher: Any) -> Any:
    """Have a variable that begins as a constant passed as the number that it becomes.

    While numba infers types, such an argument is a literal at first: the function, and all that it
    calls, would be compiled for it, never run, and compiled again for a number.
    """
    of_types, plain = dispatcher.get_call_template, cast(Any, numba.types.unliteral)

    def of_numbers(args: Any, kws: Any) -> Any:
        return of_types(tuple(map(plain, args)), {name: plain(kws[name]) for name in kws})

    dispatcher.get_call_template = of_numbers
    return dispatcher


LONG = 17  # length given for units of more than 16 bytes
SHORT = 32  # bytes that are compared without a branch
SLACK = 48  # bytes behind the last one that matters, so that whole words can be read

_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xFF51AFD7ED558CCD)

# The bits of the first n bytes of some words, for n up to SHORT.
_BITS_OF_WORDS = np.array(
    [
        [(1 << 8 * min(8, max(0, n - first))) - 1 for first in range(0, SHORT, 8)]
        for n in range(SHORT + 1)
    ],
    np.uint64,
)


@numba.njit(forceinline=True)
def mix(state: np.uint64) -> np.uint64:
    """Spread the bits of a hash: its upper ones choose the slot, its lower ones are compared."""
    state ^= state >> np.uint64(32)
    state *= _SEED
    return state ^ state >> np.uint64(29)


@numba.njit(forceinline=True)
def low_bytes(word: np.uint64, num: int) -> np.uint64:
    """Return the first bytes of a word, the others 0; 0 < num <= 8."""
    return word << np.uint64(64 - 8 * num) >> np.uint64(64 - 8 * num)


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


@numba.njit(forceinline=True)
def same_short_bytes(first: Any, at: int, second: Any, start: int, length: int) -> bool:
    """Compare at most SHORT bytes of two arrays that both end with SLACK, without a branch."""
    different = np.uint64(0)
    for word in range(SHORT // 8):
        bits = load_word(first, at + 8 * word) ^ load_word(second, start + 8 * word)
        different |= bits & _BITS_OF_WORDS[length, word]
    return bool(different == 0)
