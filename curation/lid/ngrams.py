"""Compiled middle step of a fastText classifier: a word in, the rows of its n-grams out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import count_ones, load_word, prefetch
from curate.curation.lid.words import OFFSET, hashed, operand

__all__ = ["append_rows", "find_word_ngrams", "place_ngrams"]

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@inlined
def _append_row(place: int, num_words: int, is_there: Any, found: Any, num_found: int) -> int:
    """Append the row of a bucket if it was not pruned; return how many rows there are.

    No branch: whether a bucket has a row is as good as random.
    """
    if len(is_there) == 0:
        found[np.uint64(num_found)] = num_words + place
        return num_found + 1
    # Bits below, and the number of bits before them above.
    both = load_word(is_there, (place >> 5) << 3)
    bits, at = both & _LOW, np.uint64(place & 31)
    below = bits & ((np.uint64(1) << at) - np.uint64(1))
    row = num_words + np.int64(both >> _HALF) + count_ones(below)
    found[np.uint64(num_found)] = np.uint32(row)
    return num_found + (np.int64(bits >> at) & 1)


@compiled
def place_ngrams(
    letters: Any,
    stop: int,
    min_ngram: int,
    max_ngram: int,
    bucket: int,
    is_there: Any,
    places: Any,
) -> int:
    """Write the buckets of a word's n-grams, in the library's order; return how many there are.

    Whether they have rows is on its way when this is left. The remainder needs no division:
    h · ⌊2³² / d⌋ / 2³² is the quotient or one less.

    Args:
        letters: the word in its brackets; uint8.
        stop: how many bytes that is.
        min_ngram: as in `FastTextModel`, as are the next three.
        max_ngram: see there.
        bucket: see there.
        is_there: see there.
        places: written: uint32, with room for all.
    """
    num = 0
    divisor, factor = np.uint32(bucket), np.uint64((1 << 32) // bucket)
    for first in range(stop):
        if letters[first] & 0xC0 == 0x80:
            continue
        state, at = OFFSET, first
        for length in range(1, max_ngram + 1):
            if at >= stop:
                break
            state = hashed(state, operand(letters[at]))
            at += 1
            while at < stop and letters[at] & 0xC0 == 0x80:
                state = hashed(state, operand(letters[at]))
                at += 1
            if length < min_ngram:
                continue
            quotient = np.uint32(np.uint64(state) * factor >> _HALF)
            rest = np.uint32(state - np.uint32(quotient * divisor))
            place = np.int64(min(rest, np.uint32(rest - divisor)))
            prefetch(is_there, (place >> 5) << 3)
            places[np.uint64(num)] = np.uint32(place)
            num += np.int64(length > 1 or (first > 0 and at < stop))  # brackets are no n-grams
    return num


@compiled
def append_rows(
    places: Any, num: int, num_words: int, is_there: Any, found: Any, num_found: int
) -> int:
    """Append the rows of buckets; return how many rows there are.

    Args:
        places: uint32.
        num: buckets.
        num_words: as in `FastTextModel`.
        is_there: see there.
        found: rows; uint32.
        num_found: how many there are.
    """
    for i in range(num):
        place = np.int64(places[np.uint64(i)])
        num_found = _append_row(place, num_words, is_there, found, num_found)
    return num_found


@compiled
def find_word_ngrams(
    hashes: Any,
    num: int,
    is_over: bool,
    end_hash: int,
    word_ngrams: int,
    bucket: int,
    num_words: int,
    is_there: Any,
    found: Any,
    num_found: int,
) -> int:
    """Append the rows of runs of several words, the line's end among them; return their number."""
    total = num if is_over else num + 1
    for i in range(num):
        joined = np.uint64(np.int64(hashes[i]))
        for j in range(i + 1, min(total, i + word_ngrams)):
            following = np.int64(hashes[j]) if j < num else np.int64(end_hash)
            joined = joined * np.uint64(116049371) + np.uint64(following)
            place = np.int64(joined % np.uint64(bucket))
            num_found = _append_row(place, num_words, is_there, found, num_found)
    return num_found
