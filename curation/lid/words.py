"""Compiled first steps of a fastText classifier: texts in, words and characters out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import LANES, load_word, store_word, trailing_zeros
from curate.curation.lid.vocabulary import find_word

__all__ = [
    "END_OF_LINE",
    "MAX_BYTES",
    "OFFSET",
    "hash_of",
    "hashed",
    "split_words",
    "to_characters",
    "to_operands",
    "whole_lanes",
]

OFFSET = np.uint32(2166136261)
_PRIME = np.uint32(16777619)
_BEGIN, _END = np.uint8(60), np.uint8(62)  # < and >, which stand around a word's letters
_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
_IS_SPACE = np.array([b in b" \n\r\t\v\f\0" for b in range(256)])
MAX_BYTES = 4  # of a character

_ONES = 0x0101010101010101
_LOW_BITS, _HIGH_BITS = np.uint64(0x7F * _ONES), np.uint64(0x80 * _ONES)
_BLANKS, _FROM_TAB = np.uint64(0x20 * _ONES), np.uint64((0x80 - 9) * _ONES)
_AFTER_RETURN = np.uint64((0x7F - 13) * _ONES)


@inlined
def _operand(byte: np.uint8) -> np.uint32:
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
        state = hashed(state, _operand(data[i]))
    return np.int32(state)


@compiled
def _begins_with(data: Any, first: int, stop: int, other: Any) -> bool:
    if stop - first < len(other):
        return False
    for i in range(len(other)):
        if data[first + i] != other[i]:
            return False
    return True


@inlined
def _leading_letters(word: np.uint64) -> int:
    """Return how many of a word's first bytes are no white space: not 0, 9 to 13, or 32."""
    low = word & _LOW_BITS
    blank = ~(((word ^ _BLANKS) & _LOW_BITS) + _LOW_BITS | word)
    nothing = ~(low + _LOW_BITS | word)
    between = (low + _FROM_TAB) & ~(low + _AFTER_RETURN) & ~word
    return trailing_zeros((blank | nothing | between) & _HIGH_BITS) >> 3


@compiled
def split_words(
    data: Any,
    at: int,
    stop: int,
    word_ngrams: int,
    num_words: int,
    strings: Any,
    string_offsets: Any,
    vocabulary: Any,
    letters: Any,
    places: Any,
    firsts: Any,
    hashes: Any,
    num: int,
    write: int,
) -> tuple[int, int, bool]:
    """Split a text into words, and write these with their brackets, one after the other.

    Args:
        data: UTF-8.
        at: where the text begins.
        stop: where it ends.
        word_ngrams: as in `FastTextModel`, as are the next four.
        num_words: see there.
        strings: see there.
        string_offsets: see there.
        vocabulary: see there.
        letters: written: uint8, shape (at least 3 · bytes + SLACK,), the slack set to 0.
        places: written: of each word in the vocabulary, −1 for none.
        firsts: written: first letter of each word, and then their number; `</s>` has none.
        hashes: written: of each word; int32.
        num: words before those of this text.
        write: letters before them.

    Returns:
        The numbers of words and letters now, and whether the text has come to `</s>`, behind which
        nothing counts.
    """
    is_over = False
    while not is_over:
        while at < stop and _IS_SPACE[data[at]]:
            at += 1
        if at >= stop:
            break
        begin, first = at, write
        letters[write] = _BEGIN
        write += 1
        size = 8
        while size == 8 and at + 8 <= len(data):
            word = load_word(data, at)
            size = min(_leading_letters(word), stop - at)
            store_word(letters, write, word)
            at += size
            write += size
        while size == 8 and at < stop and not _IS_SPACE[data[at]]:  # the end of all texts
            letters[write] = data[at]
            at += 1
            write += 1
        place = find_word(letters, first + 1, at - begin, strings, string_offsets, vocabulary)
        if place >= num_words or (place < 0 and _begins_with(data, begin, at, _LABEL_PREFIX)):
            write = first
            continue
        is_over = at - begin == len(END_OF_LINE) and _begins_with(data, begin, at, END_OF_LINE)
        if is_over:
            write = first
        else:
            letters[write] = _END
            write += 1
        places[num] = place
        firsts[num] = first
        if word_ngrams > 1:
            hashes[num] = hash_of(data, begin, at)
        num += 1
    firsts[num] = write
    return num, write, is_over


@inlined
def whole_lanes(num: int) -> int:
    """Round up to whole vectors, so that no loop goes through what is left one by one."""
    return (num + LANES - 1) & -LANES


@compiled
def to_operands(letters: Any, num: int, operands: Any) -> bool:
    """Write bytes as the hash takes them; return whether all of them are ASCII."""
    any_bits = np.uint8(0)
    letters[num : num + LANES] = 0
    for i in range(whole_lanes(num)):
        operands[i] = _operand(letters[i])
        any_bits |= letters[i]
    return any_bits < 0x80


@compiled
def to_characters(
    letters: Any, num_letters: int, firsts: Any, num: int, operands: Any, sizes: Any, char_of: Any
) -> int:
    """Gather the bytes of each character; return the largest number of them.

    Args:
        letters: of the words, and SLACK.
        num_letters: how many.
        firsts: first letter of each word, and then their number; replaced by characters.
        num: words.
        operands: written: byte by byte of each character; uint32, shape (MAX_BYTES, letters).
        sizes: written: bytes of each character; uint32.
        char_of: written: the character of each letter; int32.
    """  # fmt: skip
    num_chars = at = 0
    widest = 1
    while at < num_letters:
        if at + 8 <= num_letters and load_word(letters, at) & _HIGH_BITS == 0:
            for i in range(8):
                operands[0, num_chars + i] = _operand(letters[at + i])
                sizes[num_chars + i] = 1
                char_of[at + i] = num_chars + i
            num_chars += 8
            at += 8
            continue
        size = 0
        if letters[at] & 0xC0 == 0x80 and num_chars and sizes[num_chars - 1] < MAX_BYTES:
            num_chars -= 1
            size = np.int64(sizes[num_chars])
        operands[size, num_chars] = _operand(letters[at])
        sizes[num_chars] = size + 1
        char_of[at] = num_chars
        widest = max(widest, size + 1)
        num_chars += 1
        at += 1
    for word in range(num):
        firsts[word] = char_of[firsts[word]] if firsts[word] < num_letters else num_chars
    firsts[num] = num_chars
    return widest
