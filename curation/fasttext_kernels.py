"""Compiled evaluation of a fastText classifier over the buffers of an Arrow string array."""

import math
from typing import Any

import numba
import numpy as np

from curation.fasttext_model import HIERARCHICAL_SOFTMAX, SOFTMAX
from curation.unit_keys import compiled

__all__ = ["predict"]

_OFFSET = np.uint32(2166136261)
_PRIME = np.uint32(16777619)
_BEGIN, _END = np.uint8(60), np.uint8(62)  # < and >, which stand around a word's letters
_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
_END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
_LEAST = np.float32(math.log(1e-5))


@numba.njit(inline="always")
def _hash_byte(state: np.uint32, byte: np.uint8) -> np.uint32:
    return np.uint32((state ^ np.uint32(np.int32(np.int8(byte)))) * _PRIME)


@numba.njit(inline="always")
def _remainder(state: np.uint32, divisor: np.int64, inverse: float) -> np.int64:
    """Return a hash modulo the number of buckets, without a division."""
    value = np.int64(state)
    rest = value - np.int64(value * inverse) * divisor
    if rest < 0:
        rest += divisor
    elif rest >= divisor:
        rest -= divisor
    return rest


@numba.njit(inline="always")
def _std_log(x: np.float32) -> np.float32:
    return np.float32(math.log(np.float64(x) + 1e-5))


@compiled
def _find_word(
    word: Any,
    first: int,
    stop: int,
    state: np.uint32,
    strings: Any,
    offsets: Any,
    vocabulary: Any,
) -> int:
    """Return a word's place in the vocabulary, −1 if it is not there."""  # fmt: skip
    mask = len(vocabulary) - 1
    at = np.int64(state) & mask
    while vocabulary[at] >= 0:
        place = vocabulary[at]
        start = offsets[place]
        if offsets[place + 1] - start == stop - first:
            same = True
            for i in range(stop - first):
                if strings[start + i] != word[first + i]:
                    same = False
                    break
            if same:
                return int(place)
        at = (at + 1) & mask
    return -1


@compiled
def _is_space(byte: int) -> bool:
    return byte == 32 or (9 <= byte <= 13) or byte == 0


@compiled
def _row_of_bucket(place: int, num_words: int, row_of_bucket: Any, is_there: Any) -> int:
    """Return the row of a bucket, −1 if it was pruned."""
    if len(row_of_bucket) == 0:
        return num_words + place
    if is_there[place >> 6] >> np.uint64(place & 63) & np.uint64(1) == 0:
        return -1
    return int(num_words + row_of_bucket[place])


@compiled
def _add_ngrams(
    word: Any,
    size: int,
    min_ngram: int,
    max_ngram: int,
    bucket: int,
    num_words: int,
    row_of_bucket: Any,
    is_there: Any,
    found: Any,
    num: int,
) -> int:
    """Append the rows of the character n-grams of a word with its brackets."""  # fmt: skip
    inverse = 1.0 / bucket
    for first in range(size):
        if word[first] & 0xC0 == 0x80:
            continue
        state = _OFFSET
        at = first
        length = 1
        while at < size and length <= max_ngram:
            state = _hash_byte(state, word[at])
            at += 1
            while at < size and word[at] & 0xC0 == 0x80:
                state = _hash_byte(state, word[at])
                at += 1
            if length >= min_ngram and not (length == 1 and (first == 0 or at == size)):
                row = _row_of_bucket(
                    _remainder(state, bucket, inverse), num_words, row_of_bucket, is_there
                )
                if row >= 0:
                    found[num] = row
                    num += 1
            length += 1
    return num


@compiled
def _equals(word: Any, first: int, stop: int, other: Any) -> bool:
    if stop - first < len(other):
        return False
    for i in range(len(other)):
        if word[first + i] != other[i]:
            return False
    return True


@compiled
def _leaf_of_tree(tree: Any, outputs: Any, hidden: Any, stack: Any, scores: Any) -> tuple[int, Any]:
    """Return the label of the highest probability and its logarithm, searched as fastText does."""
    num_labels = len(outputs)
    best, best_score = -1, np.float32(-np.inf)
    depth = 1
    stack[0] = 2 * num_labels - 2
    scores[0] = np.float32(0)
    while depth:
        depth -= 1
        node, score = stack[depth], scores[depth]
        if score < _LEAST or (best >= 0 and score < best_score):
            continue
        if tree[node, 0] < 0:
            best, best_score = node, score
            continue
        dot = np.float32(0)
        for i in range(len(hidden)):
            dot += outputs[node - num_labels, i] * hidden[i]
        right = np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-dot)))))
        stack[depth] = tree[node, 1]
        scores[depth] = score + _std_log(right)
        left = np.float32(1.0 - np.float64(right))
        stack[depth + 1] = tree[node, 0]
        scores[depth + 1] = score + _std_log(left)
        depth += 2
    return best, best_score


@compiled
def _table_sigmoid(x: np.float32) -> np.float32:
    """Return σ(x) as one-vs-all has it: in steps of 1/32, 0 or 1 beyond ±8."""
    if x < -8:
        return np.float32(0)
    if x > 8:
        return np.float32(1)
    step = np.int64((x + np.float32(8)) * np.float32(512) / np.float32(8) / np.float32(2))
    return np.float32(1.0 / (1.0 + math.exp(-np.float32(step * 2 * 8 / 512.0 - 8))))


@compiled
def _best_output(outputs: Any, hidden: Any, logits: Any, is_softmax: bool) -> tuple[int, Any]:
    """Return the label of the highest probability, the last of equal ones, and its logarithm."""
    highest = np.float32(-np.inf)
    for label in range(len(outputs)):
        dot = np.float32(0)
        for i in range(len(hidden)):
            dot += outputs[label, i] * hidden[i]
        logits[label] = dot
        highest = max(highest, dot)
    total = np.float32(0)
    for label in range(len(outputs)):
        if is_softmax:
            logits[label] = np.float32(math.exp(logits[label] - highest))
            total += logits[label]
        else:
            logits[label] = _table_sigmoid(logits[label])
            total = np.float32(1)
    best = 0
    for label in range(1, len(outputs)):
        if logits[label] >= logits[best]:
            best = label
    return best, _std_log(logits[best] / total)


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
    row_of_bucket: Any,
    is_there: Any,
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
        row_of_bucket: see there.
        is_there: see there.
        matrix: its rows.
        outputs: see there.
        tree: see there.
        labels: written: the label of each text, −1 for none; int32, shape (num_texts,).
        probabilities: written: its probability; float32, shape (num_texts,).
    """  # fmt: skip
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    word = np.empty(longest + 8, dtype=np.uint8)
    found = np.empty((max_ngram + word_ngrams + 1) * (3 * longest + 8), dtype=np.int64)
    word_hashes = np.empty(longest + 8, dtype=np.int32)
    hidden = np.empty(matrix.shape[1], dtype=np.float32)
    stack = np.empty(2 * len(outputs) + 2, dtype=np.int64)
    scores = np.empty(2 * len(outputs) + 2, dtype=np.float32)
    end_state = _OFFSET
    for i in range(len(_END_OF_LINE)):
        end_state = _hash_byte(end_state, _END_OF_LINE[i])
    end_place = _find_word(
        _END_OF_LINE, 0, len(_END_OF_LINE), end_state, strings, string_offsets, vocabulary
    )
    for text in range(len(offsets) - 1):
        num = num_hashes = 0
        at, stop = offsets[text], offsets[text + 1]
        is_over = False
        while not is_over:
            while at < stop and _is_space(data[at]):
                at += 1
            if at >= stop:
                break
            first = at
            state = _OFFSET
            word[0] = _BEGIN
            size = 1
            while at < stop and not _is_space(data[at]):
                word[size] = data[at]
                state = _hash_byte(state, data[at])
                size += 1
                at += 1
            word[size] = _END
            size += 1
            place = _find_word(word, 1, size - 1, state, strings, string_offsets, vocabulary)
            if place >= num_words or (place < 0 and _equals(data, first, at, _LABEL_PREFIX)):
                continue
            is_over = at - first == len(_END_OF_LINE) and _equals(data, first, at, _END_OF_LINE)
            if place >= 0:
                found[num] = place
                num += 1
            if max_ngram > 0 and not is_over:
                num = _add_ngrams(
                    word, size, min_ngram, max_ngram, bucket, num_words,
                    row_of_bucket, is_there, found, num,
                )  # fmt: skip
            word_hashes[num_hashes] = np.int32(state)
            num_hashes += 1
        if not is_over:  # the end of the line is a word too
            if 0 <= end_place < num_words:
                found[num] = end_place
                num += 1
            word_hashes[num_hashes] = np.int32(end_state)
            num_hashes += 1
        if word_ngrams > 1:
            for i in range(num_hashes):
                joined = np.uint64(np.int64(word_hashes[i]))
                for j in range(i + 1, min(num_hashes, i + word_ngrams)):
                    joined = joined * np.uint64(116049371) + np.uint64(np.int64(word_hashes[j]))
                    row = _row_of_bucket(
                        np.int64(joined % np.uint64(bucket)), num_words, row_of_bucket, is_there
                    )
                    if row >= 0:
                        found[num] = row
                        num += 1
        if num == 0:
            labels[text] = -1
            probabilities[text] = 0
            continue
        hidden[:] = 0
        for i in range(num):
            row = found[i]
            for j in range(len(hidden)):
                hidden[j] += matrix[row, j]
        scale = np.float32(1.0 / num)
        for j in range(len(hidden)):
            hidden[j] *= scale
        if loss == HIERARCHICAL_SOFTMAX:
            label, score = _leaf_of_tree(tree, outputs, hidden, stack, scores)
        else:
            label, score = _best_output(outputs, hidden, scores, loss == SOFTMAX)
        labels[text] = label
        probabilities[text] = np.float32(math.exp(score)) if label >= 0 else np.float32(0)
