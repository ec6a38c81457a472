"""Compiled hashes of runs of units, and the places in a table that they lead to."""

from functools import cache
from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.unit_keys import SLACK, key_units, mix

__all__ = [
    "filter_place",
    "hash_fingerprint",
    "head_hash",
    "log2",
    "next_hash",
    "slot",
    "tail_slot",
]

_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)


@inlined
def head_hash(low: np.uint64, high: np.uint64, length: int) -> np.uint64:
    """Return the hash of a run of one unit."""
    return mix((low * _MULTIPLIER + np.uint64(length)) ^ mix(high))


@inlined
def next_hash(state: np.uint64, low: np.uint64, high: np.uint64, length: int) -> np.uint64:
    """Return the hash of a run that is one unit longer."""
    return mix((state ^ mix((low + np.uint64(length)) ^ high * _MULTIPLIER)) * _MULTIPLIER)


@inlined
def slot(state: np.uint64, num_slots: np.uint64) -> int:
    """Return the slot where a search begins: the upper half of the hash, scaled."""
    return np.int64((state >> np.uint64(32)) * num_slots >> np.uint64(32))


@inlined
def tail_slot(state: np.uint64, num_slots: np.uint64) -> int:
    """Return the slot where a search among the tails begins: the first of a line of the cache."""
    return slot(state, num_slots >> np.uint64(3)) << 3


@compiled
def log2(size: int) -> int:
    """Return n for a size of 2^n."""
    bits = 0
    while size > 1:
        size >>= 1
        bits += 1
    return bits


@compiled
def filter_place(state: np.uint64, bits: int) -> tuple[int, np.uint64]:
    """Return the word and the bit of a hash; its middle bits, which choose no slot."""
    place = state >> np.uint64(8) & np.uint64((64 << bits) - 1)
    return np.int64(place >> np.uint64(6)), np.uint64(1) << (place & np.uint64(63))


@compiled
def _hash_pieces(text: Any, starts: Any, ends: Any) -> np.uint64:
    keys = np.empty((len(starts), 2), dtype=np.uint64)
    lengths = np.empty(len(starts), dtype=np.uint8)
    key_units(text, starts, ends, len(starts), keys, lengths)
    state = np.uint64(0)
    for i in range(len(starts)):
        state ^= head_hash(keys[i, 0], keys[i, 1], lengths[i])
        state = next_hash(state, keys[i, 0], keys[i, 1], lengths[i])
    return state


@cache
def hash_fingerprint() -> int:
    """Return what the hashes make of a fixed text: a table of other hashes is of no use."""
    text = np.arange(64 + SLACK, dtype=np.uint8)
    starts = np.array([0, 3, 20], np.int64)
    return int(_hash_pieces(text, starts, np.array([3, 16, 60], np.int64)))
