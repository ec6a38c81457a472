"""Compiled evaluation of a fastText classifier over the buffers of an Arrow string array.

A block of texts goes through in four steps: words and characters; the buckets of all n-grams, of
one length after the other, so that the compiler does several at once; the rows that were not
pruned, in the library's order, since a sum of floats depends on it; the label of each text's mean.
"""

from typing import Any

import numba
import numpy as np

from curation.fasttext_model import HIERARCHICAL_SOFTMAX, SOFTMAX
from curation.fasttext_outputs import best_output, exact_leaf, likeliest_leaf
from curation.intrinsics import (
    LANES,
    count_ones,
    load_word,
    store_word,
    sum_rows,
    trailing_zeros,
)
from curation.unit_keys import SLACK, compiled
from curation.vocabulary import find_word

__all__ = ["predict"]

_OFFSET = np.uint32(2166136261)
_PRIME = np.uint32(16777619)
_BEGIN, _END = np.uint8(60), np.uint8(62)  # < and >, which stand around a word's letters
_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
_END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
_IS_SPACE = np.array([b in b" \n\r\t\v\f\0" for b in range(256)])
_MAX_BYTES = 4  # of a character
_BLOCK_LETTERS, _BLOCK_TEXTS = 4096, 256  # a block's arrays stay in the cache of one core

_ONES = 0x0101010101010101
_LOW_BITS, _HIGH_BITS = np.uint64(0x7F * _ONES), np.uint64(0x80 * _ONES)
_BLANKS, _FROM_TAB = np.uint64(0x20 * _ONES), np.uint64((0x80 - 9) * _ONES)
_AFTER_RETURN = np.uint64((0x7F - 13) * _ONES)


@numba.njit(inline="always")
def _operand(byte: np.uint8) -> np.uint32:
    """Return a byte as the hash takes it: with its sign."""
    return np.uint32(np.int32(np.int8(byte)))


@numba.njit(inline="always")
def _hashed(state: np.uint32, operand: np.uint32) -> np.uint32:
    return np.uint32(np.uint32(state ^ operand) * _PRIME)


@compiled
def _hash_of(data: Any, first: int, stop: int) -> np.int32:
    state = _OFFSET
    for i in range(first, stop):
        state = _hashed(state, _operand(data[i]))
    return np.int32(state)


@compiled
def _begins_with(data: Any, first: int, stop: int, other: Any) -> bool:
    if stop - first < len(other):
        return False
    for i in range(len(other)):
        if data[first + i] != other[i]:
            return False
    return True


@numba.njit(inline="always")
def _leading_letters(word: np.uint64) -> int:
    """Return how many of a word's first bytes are no white space: not 0, 9 to 13, or 32."""
    low = word & _LOW_BITS
    blank = ~(((word ^ _BLANKS) & _LOW_BITS) + _LOW_BITS | word)
    nothing = ~(low + _LOW_BITS | word)
    between = (low + _FROM_TAB) & ~(low + _AFTER_RETURN) & ~word
    return trailing_zeros((blank | nothing | between) & _HIGH_BITS) >> 3


@compiled
def _split(
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
        is_over = at - begin == len(_END_OF_LINE) and _begins_with(data, begin, at, _END_OF_LINE)
        if is_over:
            write = first
        else:
            letters[write] = _END
            write += 1
        places[num] = place
        firsts[num] = first
        if word_ngrams > 1:
            hashes[num] = _hash_of(data, begin, at)
        num += 1
    firsts[num] = write
    return num, write, is_over


@numba.njit(inline="always")
def _whole(num: int) -> int:
    """Round up to whole vectors, so that no loop goes through what is left one by one."""
    return (num + LANES - 1) & -LANES


@compiled
def _to_operands(letters: Any, num: int, operands: Any) -> bool:
    """Write bytes as the hash takes them; return whether all of them are ASCII."""
    any_bits = np.uint8(0)
    letters[num : num + LANES] = 0
    for i in range(_whole(num)):
        operands[i] = _operand(letters[i])
        any_bits |= letters[i]
    return any_bits < 0x80


@compiled
def _to_characters(
    letters: Any, num_letters: int, firsts: Any, num: int, operands: Any, sizes: Any, char_of: Any
) -> int:
    """Gather the bytes of each character; return the largest number of them.

    Args:
        letters: of the words, and SLACK.
        num_letters: how many.
        firsts: first letter of each word, and then their number; replaced by characters.
        num: words.
        operands: written: byte by byte of each character; uint32, shape (_MAX_BYTES, letters).
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
        if letters[at] & 0xC0 == 0x80 and num_chars and sizes[num_chars - 1] < _MAX_BYTES:
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


@compiled
def _extend(states: Any, operands: Any, sizes: Any, shift: int, num: int, widest: int) -> None:
    """Hash the character that stands `shift` after each one into the state of each one."""
    # Slices, because the compiler cannot do several at once where an index might be negative.
    first = operands[0, shift : shift + num]
    for i in range(num):
        states[i] = _hashed(states[i], first[i])
    for byte in range(1, widest):
        following, size = operands[byte, shift : shift + num], sizes[shift : shift + num]
        for i in range(num):
            longer = _hashed(states[i], following[i])
            states[i] = longer if size[i] > byte else states[i]


@compiled
def _mark_ngrams(
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
        operands: as `_to_characters` gives them; so are sizes and widest.
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
    num = _whole(num)
    states[:num] = _OFFSET
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


@numba.njit(inline="always")
def _row_of(place: int, num_words: int, is_there: Any, num_before: Any) -> int:
    """Return the row of a bucket that was not pruned."""
    if len(is_there) == 0:
        return num_words + place
    below = (np.uint64(1) << np.uint64(place & 31)) - np.uint64(1)
    bits = np.uint64(is_there[place >> 5]) & below
    return num_words + np.int64(num_before[place >> 5]) + count_ones(bits)


@compiled
def _list_marked(marks: Any, num: int, marked: Any) -> int:
    """List the characters with a mark; return their number. No branch: it would be a guess."""
    num_marked = 0
    for i in range(num):
        marked[num_marked] = i
        num_marked += np.int64(marks[i] != 0)
    marked[num_marked] = num
    return num_marked


@compiled
def _find_rows(
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
        marks: as `_mark_ngrams` gives them, as are the buckets.
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
def _find_word_ngrams(
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


@compiled
def _mean_of_rows(matrix: Any, found: Any, num: int, hidden: Any) -> None:
    """Write the mean of some rows, added up one after the other."""
    width = matrix.shape[1]
    whole = width - width % LANES
    for column in range(0, whole, LANES):
        sum_rows(matrix, found, num, column, hidden)
    for column in range(whole, width):
        hidden[column] = np.float32(0)
        for i in range(num):
            hidden[column] += matrix[found[i], column]
    scale = np.float32(1.0 / num)
    for column in range(width):
        hidden[column] *= scale


@compiled
def _longest(offsets: Any) -> int:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    return longest


@compiled
def predict(
    data: Any,
    offsets: Any,
    loss: int,
    min_ngram: int,
    max_ngram: int,
    word_ngrams: int,
    bucket: int,
    num_words: int,
    strings: Any,
    string_offsets: Any,
    vocabulary: Any,
    is_there: Any,
    num_before: Any,
    matrix: Any,
    outputs: Any,
    tree: Any,
    labels: Any,
    probabilities: Any,
) -> None:
    """Predict the label of each text.

    Args:
        data: UTF-8 of all texts.
        offsets: shape (num_texts + 1,).
        loss: as in `FastTextModel`, as are the next ones.
        min_ngram: see there.
        max_ngram: see there.
        word_ngrams: see there.
        bucket: see there.
        num_words: see there.
        strings: see there.
        string_offsets: see there.
        vocabulary: see there.
        is_there: see there.
        num_before: see there.
        matrix: its rows.
        outputs: see there.
        tree: see there.
        labels: written: the label of each text, −1 for none; int32, shape (num_texts,).
        probabilities: written: its probability; float32, shape (num_texts,).
    """
    longest = _longest(offsets)
    # A word of one byte is three characters.
    space = max(3 * longest, _BLOCK_LETTERS) + SLACK + 2 * LANES + max_ngram
    letters = np.zeros(space, dtype=np.uint8)
    operands = np.zeros((_MAX_BYTES, space), dtype=np.uint32)
    sizes = np.empty(space, dtype=np.uint32)
    states = np.empty(space, dtype=np.uint32)
    char_of = np.empty(space, dtype=np.int32)
    marks = np.zeros(space, dtype=np.uint64)
    marked = np.empty(space, dtype=np.int32)
    places = np.empty(space, dtype=np.int64)
    firsts = np.zeros(space, dtype=np.int64)
    hashes = np.empty(space, dtype=np.int32)
    buckets = np.empty((max_ngram + 1, space), dtype=np.uint32)
    found = np.empty((max_ngram + word_ngrams + 2) * space, dtype=np.int64)
    stops = np.empty(_BLOCK_TEXTS, dtype=np.int64)
    is_over = np.empty(_BLOCK_TEXTS, dtype=np.bool_)
    hidden = np.empty(matrix.shape[1], dtype=np.float32)
    nodes = np.empty(2 * len(outputs) + 2, dtype=np.int64)
    scores = np.empty((2, 2 * len(outputs) + 2), dtype=np.float32)
    products = np.empty(2 * len(outputs) + 2, dtype=np.float64)
    letters[: len(_END_OF_LINE)] = _END_OF_LINE
    end_place = find_word(letters, 0, len(_END_OF_LINE), strings, string_offsets, vocabulary)
    end_hash = _hash_of(_END_OF_LINE, 0, len(_END_OF_LINE))
    begin = 0
    while begin < len(offsets) - 1:
        num = write = 0
        stop = begin
        while stop < len(offsets) - 1 and (
            stop == begin
            or (
                write + 3 * (offsets[stop + 1] - offsets[stop]) <= _BLOCK_LETTERS
                and stop - begin < _BLOCK_TEXTS
            )
        ):
            num, write, over = _split(
                data, offsets[stop], offsets[stop + 1], word_ngrams, num_words,
                strings, string_offsets, vocabulary, letters, places, firsts, hashes, num, write,
            )  # fmt: skip
            stops[stop - begin], is_over[stop - begin] = num, over
            stop += 1
        if max_ngram > 0:
            widest = 1
            if not _to_operands(letters, write, operands[0]):
                widest = _to_characters(letters, write, firsts, num, operands, sizes, char_of)
            _mark_ngrams(
                operands, sizes, firsts[num], widest, min_ngram, max_ngram, bucket, is_there,
                states, buckets, marks,
            )  # fmt: skip
        _list_marked(marks, firsts[num], marked)
        num_found = first_word = at = 0
        for text in range(stop - begin):
            stop_word = stops[text]
            at, num_found = _find_rows(
                first_word, stop_word, places, firsts, marked, at, marks, buckets, num_words,
                is_there, num_before, found, num_found,
            )  # fmt: skip
            if not is_over[text] and 0 <= end_place < num_words:
                found[num_found] = end_place  # the end of the line is a word too
                num_found += 1
            if word_ngrams > 1:
                num_found = _find_word_ngrams(
                    hashes[first_word:stop_word], stop_word - first_word, is_over[text],
                    end_hash, word_ngrams, bucket, num_words,
                    is_there, num_before, found, num_found,
                )  # fmt: skip
            first_word = stop_word
            stops[text] = num_found
        first = 0
        for text in range(stop - begin):
            label, score = -1, np.float32(-np.inf)
            if stops[text] > first:
                _mean_of_rows(matrix, found[first:], stops[text] - first, hidden)
                if loss == HIERARCHICAL_SOFTMAX:
                    label, score = likeliest_leaf(tree, outputs, hidden, nodes, scores, products)
                    if label < 0:
                        label, score = exact_leaf(tree, outputs, hidden, nodes, scores[0])
                else:
                    label, score = best_output(outputs, hidden, scores[0], loss == SOFTMAX)
            labels[begin + text] = label
            probabilities[begin + text] = np.float32(np.exp(score)) if label >= 0 else 0
            first = stops[text]
        begin = stop
