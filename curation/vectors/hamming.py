"""Hashes of bits in, pairs that differ in few of them out: banded search, each hit compared.

The bits are cut into bands, after a fixed shuffle since neighbouring frequencies go together. Two
hashes meet if they agree in a whole band; those that meet are compared in all bits. Of n bits of
which d differ, b of a band, a pair meets with probability 1 - (1 - (1 - d/n)^b)^(n/b), about: for
256 bits, 32 differing and 12 a band, 0.99.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled

__all__ = ["band_bits", "near_hashes"]

_SHUFFLE_SEED = 20_240_426
_MOST = 1 << 20  # pairs that a call of the kernel finds


def band_bits(num: int) -> int:
    """Return how many bits a band has, so that few hashes of as many meet by chance.

    >>> band_bits(600), band_bits(1_000_000), band_bits(10_000_000)
    (8, 12, 16)
    """
    return int(np.clip(np.ceil(np.log2(max(num, 1))) - 8, 8, 22))


def near_hashes(
    hashes: NDArray[np.uint8],
    probes: NDArray[np.uint8],
    distance: int,
    bits: int,
    *,
    are_same: bool = True,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Find which hashes differ from which probes in few bits, as far as they meet in a band.

    Args:
        hashes: uint8, shape (N, num_bytes).
        probes: shape (M, num_bytes).
        distance: bits that may differ.
        bits: of a band.
        are_same: the probes are of the same things, turned perhaps: pairs (i, i) are left out, and
            of (i, j) and (j, i) the first is enough, so that only i < j is looked at.

    Yields:
        Places of hashes, places of probes, and how many bits differ; a pair may come again.
    """
    num_bits = 8 * hashes.shape[1]
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(num_bits)
    words, probe_words = (np.ascontiguousarray(one).view(np.uint64) for one in (hashes, probes))
    is_same = hashes is probes
    for start in range(0, num_bits - bits + 1, bits):
        columns = order[start : start + bits]
        keys = _keys(hashes, columns)
        probe_keys = keys if is_same else _keys(probes, columns)
        by_key, by_probe_key = (np.argsort(one, kind="stable") for one in (keys, probe_keys))
        place = np.zeros(3, np.int64)
        out = np.empty((_MOST, 3), np.int64)
        while True:
            num = _compare(
                words, probe_words, keys, probe_keys, by_key, by_probe_key, distance, are_same,
                place, out,
            )  # fmt: skip
            yield out[:num, 0].copy(), out[:num, 1].copy(), out[:num, 2].copy()
            if num < _MOST:
                break


def _keys(hashes: NDArray[np.uint8], columns: NDArray[np.int64]) -> NDArray[np.uint32]:
    keys = np.zeros(len(hashes), np.uint32)
    for column in columns.tolist():
        bit = (hashes[:, column >> 3] >> (7 - (column & 7))) & 1
        keys = (keys << np.uint32(1)) | bit
    return keys


@compiled
def _bits_in(word: Any) -> Any:
    """Count the bits of a word, as SSE4.2's popcnt does."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    twos = np.uint64(0x3333333333333333)
    word = (word & twos) + ((word >> np.uint64(2)) & twos)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def _compare(
    words: Any, probes: Any, keys: Any, probe_keys: Any, by_key: Any, by_probe_key: Any,
    distance: int, are_same: bool, place: Any, out: Any,
) -> int:  # fmt: skip
    """Compare all that meet, from a place on; stop where the output is full, and note the place.

    `place`: how many hashes are done, where their bucket begins among the probes, and how many
    probes of it are done.
    """
    num, num_probes, found = len(words), len(probes), 0
    at, begin, done = place[0], place[1], place[2]
    while at < num:
        i = by_key[at]
        while begin < num_probes and probe_keys[by_probe_key[begin]] < keys[i]:
            begin += 1
            done = 0
        other = begin + done
        while other < num_probes and probe_keys[by_probe_key[other]] == keys[i]:
            j = by_probe_key[other]
            other += 1
            if are_same and i >= j:
                continue
            differ = 0
            for word in range(words.shape[1]):
                differ += _bits_in(words[i, word] ^ probes[j, word])
                if differ > distance:
                    break
            if differ <= distance:
                out[found, 0], out[found, 1], out[found, 2] = i, j, differ
                found += 1
                if found == len(out):
                    place[0], place[1], place[2] = at, begin, other - begin
                    return found
        at += 1
        done = 0
    place[0], place[1], place[2] = at, begin, 0
    return found
