"""Strings of pairs in, how many of them are repeated out: by a sample of their hashes.

A string is in the sample if its hash is below a bound, so that what parts saw adds up: the sample
of several parts is the union of theirs, whatever their order and size. The share of hashes below
the bound is chosen once for a whole set, so that about `SAMPLE` strings are in it at most, and all
of them of a set that has no more. A sketch of registers (HyperLogLog) with as small an error takes
32 kB of every part and every shard, and is never exact.

Source: Gibbons 2001, Distinct sampling for highly-accurate answers to distinct values queries
(VLDB), here with a share that is known beforehand instead of one that is found.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.curation.hashing.ids import quick_hashes

__all__ = ["SAMPLE", "Estimate", "duplicate_share", "is_sampled", "sample_share", "sampled_hashes",
           "share_interval", "string_hashes"]  # fmt: skip

SAMPLE = 1 << 16
_PIECE = 64  # bytes that are hashed at once
_PRIME = np.uint64(0x9E3779B185EBCA87)
_Z = 1.959964  # of 95 %


class Estimate(NamedTuple):
    """A share with its 95 % interval; the three are one where nothing was estimated."""

    share: float
    low: float
    high: float


def sample_share(num_pairs: int) -> float:
    """Return the share of hashes that are sampled of a set of so many pairs.

    >>> sample_share(1000), sample_share(1 << 26)
    (1.0, 0.0009765625)
    """
    return min(1.0, SAMPLE / max(1, num_pairs))


def string_hashes(strings: pa.StringArray) -> NDArray[np.uint64]:
    """Return a hash of each string, of 64 bits; shape (num_strings,).

    What is longer than 64 bytes is hashed in pieces, in compiled code as the others are.

    >>> hashes = string_hashes(pa.array(["a dog " * 30, "a dog", "a dog " * 30]))
    >>> bool(hashes[0] == hashes[2] != hashes[1])
    True
    """
    data, offsets = string_buffers(strings)
    lengths = np.diff(offsets)
    num = np.maximum(1, -(-lengths // _PIECE))
    first = np.concatenate([[0], np.cumsum(num)])
    row = np.repeat(np.arange(len(lengths)), num)
    place = np.arange(first[-1]) - first[row]
    cuts = offsets[row] + lengths[row] * place // num[row]
    ends = np.concatenate([cuts, offsets[-1:]]).astype(np.int64)
    pieces = pa.LargeStringArray.from_buffers(  # may be cut within a character: bytes are hashed
        len(cuts), pa.py_buffer(ends), pa.py_buffer(data)
    )
    hashes = quick_hashes(pieces, 0) * (_PRIME * (place.astype(np.uint64) + np.uint64(1)))
    found = np.add.reduceat(hashes, first[:-1]) if len(lengths) else hashes
    found ^= found >> np.uint64(29)
    found *= _PRIME
    return np.asarray(found ^ found >> np.uint64(32))


def sampled_hashes(strings: pa.StringArray, share: float) -> NDArray[np.uint64]:
    """Return the hashes in the sample of strings, ascending, each once; empty strings are none.

    Args:
        strings: shape (num_strings,); a null is as an empty string.
        share: of hashes that are sampled, in (0, 1].
    """
    hashes = string_hashes(strings)
    return np.unique(hashes[is_sampled(strings, hashes, share)])


def is_sampled(
    strings: pa.StringArray, hashes: NDArray[np.uint64], share: float
) -> NDArray[np.bool_]:
    """Return which strings are in the sample by their hashes; shape (num_strings,)."""
    there = np.diff(string_buffers(strings)[1]) > 0
    return there if share >= 1 else there & (hashes < np.uint64(int(share * 2.0**53) << 11))


def duplicate_share(num_sampled: int, share: float, num_strings: int) -> Estimate:
    """Return which share of strings are copies of another one, beyond the first of each.

    1 − distinct / num_strings, where distinct is num_sampled / share: a binomial whose relative
    standard error is sqrt((1 − share) / num_sampled). Exact where all hashes are sampled.

    Args:
        num_sampled: distinct strings in the sample.
        share: of hashes that are sampled.
        num_strings: strings in all, >= 1.

    >>> duplicate_share(6, 1.0, 8)
    Estimate(share=0.25, low=0.25, high=0.25)
    """
    distinct = num_sampled / share
    error = _Z * distinct * float(np.sqrt((1 - share) / max(1, num_sampled)))
    low, middle, high = (
        float(np.clip(1 - d / num_strings, 0.0, 1.0))
        for d in (distinct + error, distinct, distinct - error)
    )
    return Estimate(middle, low, high)


def share_interval(num: int, of: int, share: float) -> Estimate:
    """Return the share of pairs that have something, by a sample of them: Wilson's interval.

    Args:
        num: sampled pairs that have it.
        of: sampled pairs, >= 1.
        share: of pairs that were sampled; 1 for all, whose share is exact.

    >>> share_interval(1, 4, 1.0)
    Estimate(share=0.25, low=0.25, high=0.25)
    """
    p = num / of
    if share >= 1:
        return Estimate(p, p, p)
    middle = (p + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z * float(np.sqrt(p * (1 - p) / of + _Z**2 / (4 * of**2))) / (1 + _Z**2 / of)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))
