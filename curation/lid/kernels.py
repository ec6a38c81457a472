"""Compiled evaluation of a fastText classifier over the buffers of an Arrow string array.

A block of texts goes through in four steps: words and characters; the buckets of all n-grams, of
one length after the other, so that the compiler does several at once; the rows that were not
pruned, in the library's order, since a sum of floats depends on it; the label of each text's mean.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled
from curate.curation.compiled.intrinsics import LANES, sum_rows
from curate.curation.compiled.unit_keys import SLACK
from curate.curation.lid.model import HIERARCHICAL_SOFTMAX, SOFTMAX
from curate.curation.lid.ngrams import find_rows, find_word_ngrams, list_marked, mark_ngrams
from curate.curation.lid.outputs import (
    all_leaves,
    all_outputs,
    best_output,
    exact_leaf,
    likeliest_leaf,
)
from curate.curation.lid.vocabulary import find_word
from curate.curation.lid.words import (
    END_OF_LINE,
    MAX_BYTES,
    hash_of,
    split_words,
    to_characters,
    to_operands,
)

__all__ = ["predict"]

_BLOCK_LETTERS, _BLOCK_TEXTS = 4096, 256  # a block's arrays stay in the cache of one core


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
    evidence: Any,
    everything: Any,
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
        evidence: written: how many of its words and n-grams the model has; int32, shape
            (num_texts,). The end of the line, which every text has, is not among them.
        everything: written: the probability of every label; float32, shape (num_texts, num_labels),
            or (0, 0) for none.
    """
    longest = _longest(offsets)
    # A word of one byte is three characters.
    space = max(3 * longest, _BLOCK_LETTERS) + SLACK + 2 * LANES + max_ngram
    letters = np.zeros(space, dtype=np.uint8)
    operands = np.zeros((MAX_BYTES, space), dtype=np.uint32)
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
    for i in range(len(END_OF_LINE)):
        letters[i] = END_OF_LINE[i]
    end_place = find_word(letters, 0, len(END_OF_LINE), strings, string_offsets, vocabulary)
    end_hash = hash_of(END_OF_LINE, 0, len(END_OF_LINE))
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
            num, write, over = split_words(
                data, offsets[stop], offsets[stop + 1], word_ngrams, num_words,
                strings, string_offsets, vocabulary, letters, places, firsts, hashes, num, write,
            )  # fmt: skip
            stops[stop - begin], is_over[stop - begin] = num, over
            stop += 1
        if max_ngram > 0:
            widest = 1
            if not to_operands(letters, write, operands[0]):
                widest = to_characters(letters, write, firsts, num, operands, sizes, char_of)
            mark_ngrams(
                operands, sizes, firsts[num], widest, min_ngram, max_ngram, bucket, is_there,
                states, buckets, marks,
            )  # fmt: skip
        list_marked(marks, firsts[num], marked)
        num_found = first_word = at = 0
        for text in range(stop - begin):
            stop_word = stops[text]
            at, num_found = find_rows(
                first_word, stop_word, places, firsts, marked, at, marks, buckets, num_words,
                is_there, num_before, found, num_found,
            )  # fmt: skip
            if not is_over[text] and 0 <= end_place < num_words:
                found[num_found] = end_place  # the end of the line is a word too
                num_found += 1
            if word_ngrams > 1:
                num_found = find_word_ngrams(
                    hashes[first_word:stop_word], stop_word - first_word, is_over[text],
                    end_hash, word_ngrams, bucket, num_words,
                    is_there, num_before, found, num_found,
                )  # fmt: skip
            first_word = stop_word
            begun = stops[text - 1] if text > 0 else 0
            # Written out or not, it says nothing of the language.
            evidence[begin + text] = num_found - begun - np.int64(0 <= end_place < num_words)
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
                if len(everything) > 0 and loss == HIERARCHICAL_SOFTMAX:
                    all_leaves(tree, outputs, hidden, nodes, scores[0], everything[begin + text])
                elif len(everything) > 0:
                    all_outputs(outputs, hidden, loss == SOFTMAX, everything[begin + text])
            labels[begin + text] = label
            probabilities[begin + text] = np.float32(np.exp(score)) if label >= 0 else 0
            first = stops[text]
        begin = stop
