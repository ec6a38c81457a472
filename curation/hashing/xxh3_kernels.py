"""XXH3 of the strings of an Arrow array, in compiled code.

The ids of pairs are 24 characters long, so strings of 17 to 64 bytes are hashed here, and all
others by the xxhash library, which is also what the tests compare with.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import load_word

__all__ = ["MAX_LENGTH", "MIN_LENGTH", "hash_strings"]

MIN_LENGTH, MAX_LENGTH = 17, 64

# The first 64 bytes of the constant that XXH3 calls kSecret, as little-endian words.
_SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
        "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    ),
    np.uint64,
)
_PRIME = np.uint64(0x9E3779B185EBCA87)
_AVALANCHE = np.uint64(0x165667919E3779F9)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@inlined
def _fold_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the exclusive or of the two halves of the 128-bit product."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low = a_low * b_low
    cross = a_high * b_low + (low >> _HALF)
    middle = a_low * b_high + (cross & _LOW)
    high = a_high * b_high + (cross >> _HALF) + (middle >> _HALF)
    return high ^ (middle << _HALF | low & _LOW)


@inlined
def _mix(data: Any, at: int, secret: int, seed: np.uint64) -> np.uint64:
    low, high = load_word(data, at), load_word(data, at + 8)
    return _fold_product(low ^ (_SECRET[secret] + seed), high ^ (_SECRET[secret + 1] - seed))


@compiled
def hash_strings(data: Any, offsets: Any, seed: np.uint64, out: Any) -> int:
    """Hash the strings of 17 to 64 bytes; return how many others there are.

    Args:
        data: bytes of all strings; uint8.
        offsets: shape (num_strings + 1,).
        seed: of XXH3.
        out: written where the length is in range; uint64, shape (num_strings,).
    """
    num_others = 0
    for i in range(len(offsets) - 1):
        at = np.int64(offsets[i])
        length = np.int64(offsets[i + 1]) - at
        if length < MIN_LENGTH or length > MAX_LENGTH:
            num_others += 1
            continue
        state = np.uint64(length) * _PRIME
        if length > 32:
            state += _mix(data, at + 16, 4, seed)
            state += _mix(data, at + length - 32, 6, seed)
        state += _mix(data, at, 0, seed)
        state += _mix(data, at + length - 16, 2, seed)
        state = (state ^ state >> np.uint64(37)) * _AVALANCHE
        out[i] = state ^ state >> _HALF
    return num_others
