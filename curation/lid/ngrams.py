"""Compiled middle steps of a fastText classifier: characters in, rows of n-grams out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import LANES, count_ones, trailing_zeros
from curate.curation.lid.words import OFFSET, hashed, whole_lanes

__all__ = ["find_rows", "find_word_ngrams", "list_marked", "mark_ngrams"]


@compiled
def _extend(states: Any, operands: Any, sizes: Any, shift: int, num: int, widest: int) -> None:
    """Hash the character that stands `shift` after each one into the state of each one."""
    # Slices, because the compiler cannot do several at once where an index might be negative.
    first = operands[0, shift : shift + num]
    for i in range(num):
        states[i] = hashed(states[i], first[i])
    for byte in range(1, widest):
        following, size = operands[byte, shift : shift + num], sizes[shift : shift + num]
        for i in range(num):
            longer = hashed(states[i], following[i])
            states[i] = longer if size[i] > byte else states[i]


@compiled
def mark_ngrams(
    operands: Any,
    sizes: Any,
    num: int,
    widest: int,
    min_ngram: int,
    max_ngram: int,
    bucket: int,
    is_there: Any,
    states: Any,
    buckets: Any,
    marks: Any,
) -> None:
    """Write the bucket of the n-gram of each length that begins at each character.

    n-grams over the end of a word are hashed with what stands there; nobody looks at them. The
    remainder needs no division: h · ⌊2³² / d⌋ / 2³² is the quotient or one less.

    Args:
        operands: as `to_characters` gives them; so are sizes and widest.
        sizes: see there.
        num: characters.
        widest: see there.
        min_ngram: as in `FastTextModel`, as are the next three.
        max_ngram: see there.
        bucket: see there.
        is_there: see there.
        states: scratch: uint32, as many as characters.
        buckets: written: uint32, shape (max_ngram + 1, characters).
        marks: written: a bit for each length whose bucket has a row; uint64.
    """
    operands[:widest, num : num + max_ngram + LANES] = 0
    sizes[num : num + max_ngram + LANES] = 1
    num = whole_lanes(num)
    states[:num] = OFFSET
    marks[:num] = 0
    divisor, factor = np.uint32(bucket), np.uint64((1 << 32) // bucket)
    for length in range(1, max_ngram + 1):
        _extend(states, operands, sizes, length - 1, num, widest)
        if length < min_ngram:
            continue
        places = buckets[length, :num]
        for i in range(num):
            quotient = np.uint32(np.uint64(states[i]) * factor >> np.uint64(32))
            rest = np.uint32(states[i] - np.uint32(quotient * divisor))
            places[i] = min(rest, np.uint32(rest - divisor))
        shift = np.uint64(length)
        if len(is_there) == 0:
            for i in range(num):
                marks[i] |= np.uint64(1) << shift
        else:
            for i in range(num):
                bits = is_there[places[i] >> np.uint32(5)] >> (places[i] & np.uint32(31))
                marks[i] |= np.uint64(bits & np.uint32(1)) << shift


@inlined
def _row_of(place: int, num_words: int, is_there: Any, num_before: Any) -> int:
    """Return the row of a bucket that was not pruned."""
    if len(is_there) == 0:
        return num_words + place
    below = (np.uint64(1) << np.uint64(place & 31)) - np.uint64(1)
    bits = np.uint64(is_there[place >> 5]) & below
    return num_words + np.int64(num_before[place >> 5]) + count_ones(bits)


@compiled
def list_marked(marks: Any, num: int, marked: Any) -> int:
    """List the characters with a mark; return their number. No branch: it would be a guess."""
    num_marked = 0
    for i in range(num):
        marked[num_marked] = i
        num_marked += np.int64(marks[i] != 0)
    marked[num_marked] = num
    return num_marked


@compiled
def find_rows(
    first_word: int,
    stop_word: int,
    places: Any,
    firsts: Any,
    marked: Any,
    at: int,
    marks: Any,
    buckets: Any,
    num_words: int,
    is_there: Any,
    num_before: Any,
    found: Any,
    num_found: int,
) -> tuple[int, int]:
    """Append the rows of words and of their n-grams, word after word.

    Args:
        first_word: of the text.
        stop_word: of the text.
        places: of words in the vocabulary, −1 for none.
        firsts: first character of each word, and then their number.
        marked: characters with a mark, and then their number.
        at: the first of them that is of this text.
        marks: as `mark_ngrams` gives them, as are the buckets.
        buckets: see there.
        num_words: as in `FastTextModel`, as are the next two.
        is_there: see there.
        num_before: see there.
        found: rows.
        num_found: how many there are.

    Returns:
        The first marked character after this text, and how many rows there are now.
    """  # fmt: skip
    for word in range(first_word, stop_word):
        found[num_found] = places[word]
        num_found += np.int64(places[word] >= 0)
        first, stop = firsts[word], firsts[word + 1]
        while marked[at] < stop:
            i = np.int64(marked[at])
            left = marks[i]
            while left != 0:
                length = trailing_zeros(left)
                left &= left - np.uint64(1)
                place = np.int64(buckets[length, i])
                found[num_found] = _row_of(place, num_words, is_there, num_before)
                # Neither over the end of the word, nor a bracket alone.
                num_found += np.int64(i + length <= stop) & (
                    np.int64(length > 1) | (np.int64(i > first) & np.int64(i + 1 < stop))
                )
            at += 1
    return at, num_found


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
    num_before: Any,
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
            if len(is_there) == 0 or is_there[place >> 5] >> np.uint32(place & 31) & np.uint32(1):
                found[num_found] = _row_of(place, num_words, is_there, num_before)
                num_found += 1
    return num_found
