"""Compiled hashes of units and of edges between runs of units, and the places they lead to."""

from functools import cache
from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.unit_keys import SLACK, key_units, mix

__all__ = ["PRINT_BITS", "edge_line", "hash_fingerprint", "head_hash", "head_line", "spread_edge"]

PRINT_BITS = 26  # of an edge, that its slot holds

_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)


@inlined
def head_hash(low: np.uint64, high: np.uint64, length: int) -> np.uint64:
    """Return the hash of a unit."""
    return mix((low * _MULTIPLIER + np.uint64(length)) ^ mix(high))


@inlined
def head_line(low: np.uint64, high: np.uint64, length: int, num_lines: np.uint64) -> int:
    """Return the first slot of the line, of two slots, where a search for a unit begins."""
    state = head_hash(low, high, length)
    return np.int64((state >> np.uint64(32)) * num_lines >> np.uint64(32)) << 1


@inlined
def spread_edge(
    node: np.uint64, unit: np.uint64, unit_bits: np.uint64, key_bits: np.uint64
) -> np.uint64:
    """Return the edge from a node by a unit as a number of `key_bits` bits, with its bits spread.

    No two edges have the same number: every step can be undone.
    """
    half, mask = key_bits >> np.uint64(1), (np.uint64(1) << key_bits) - np.uint64(1)
    key = (node << unit_bits | unit) * _MULTIPLIER & mask
    key ^= key >> half
    return key * _MULTIPLIER & mask


@inlined
def edge_line(spread: np.uint64, key_bits: np.uint64, num_lines: np.uint64) -> int:
    """Return the line where a search for an edge begins: the upper 32 bits, scaled."""
    return np.int64((spread >> (key_bits - np.uint64(32))) * num_lines >> np.uint64(32))


@compiled
def _hash_pieces(text: Any, starts: Any, ends: Any) -> np.uint64:
    keys = np.empty((len(starts), 2), dtype=np.uint64)
    lengths = np.empty(len(starts), dtype=np.uint8)
    key_units(text, starts, ends, len(starts), keys, lengths)
    state = np.uint64(0)
    for i in range(len(starts)):
        state ^= head_hash(keys[i, 0], keys[i, 1], lengths[i])
        unit = state & np.uint64(0xFFFF)
        state ^= spread_edge(state >> np.uint64(40), unit, np.uint64(16), np.uint64(40))
    return state


@cache
def hash_fingerprint() -> int:
    """Return what the hashes make of a fixed text: a table of other hashes is of no use."""
    text = np.arange(64 + SLACK, dtype=np.uint8)
    starts = np.array([0, 3, 20], np.int64)
    return int(_hash_pieces(text, starts, np.array([3, 16, 60], np.int64)))
