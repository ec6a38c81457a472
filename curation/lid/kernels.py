"""Compiled evaluation of a fastText classifier over the buffers of an Arrow string array.

A text goes through in three steps: its words, and the rows of each, out of the memory of words or
by hashing; the mean of the rows in the library's order, since a sum of floats depends on it; the
label of the mean.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled
from curate.curation.compiled.intrinsics import LANES, load_word, prefetch, sum_rows
from curate.curation.compiled.unit_keys import SLACK
from curate.curation.lid.memory import fetch_words, hash_more, recall, remember, slot_of
from curate.curation.lid.model import HIERARCHICAL_SOFTMAX, SOFTMAX
from curate.curation.lid.ngrams import append_rows, find_word_ngrams, place_ngrams
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
    IS_SPACE,
    LABEL_PREFIX,
    begins_with,
    hash_of,
    leading_letters,
)

__all__ = ["label_probabilities", "predict"]

_BEGIN, _END = np.uint8(60), np.uint8(62)  # < and >, which stand around a word's letters
_WORDS_AT_ONCE = 256  # of some texts, whose places in the memory are loaded side by side
_SPARE = 8  # rows behind the last that may be written


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
def _split(
    data: Any,
    offsets: Any,
    text: int,
    end_word: np.uint64,
    slots: Any,
    begins: Any,
    lengths: Any,
    states: Any,
    stops: Any,
) -> int:
    """Find the words of some texts and begin to load their slots; return the text after these.

    What stands behind the end of a line in a text is not looked at.

    Args:
        data: as in `predict`.
        offsets: see there.
        text: the first of them.
        end_word: the end of a line as a machine word.
        slots: as in `Memory`.
        begins: written: where each word begins.
        lengths: written: of each in bytes, -1 for the end of a line.
        states: written: the hash of each.
        stops: written: how many words there are up to the end of each text.
    """
    first, num = text, 0
    mask = len(slots) - 1
    while text < len(offsets) - 1 and text - first < len(stops) and num < _WORDS_AT_ONCE:
        at, stop = offsets[text], offsets[text + 1]
        is_over = False
        while not is_over:
            while at < stop and IS_SPACE[data[np.uint64(at)]]:
                at += 1
            if at >= stop:
                break
            begin, size, state = at, 8, np.uint64(0)
            word = np.uint64(0)
            while size == 8:
                word = load_word(data, at)
                size = min(leading_letters(word), stop - at)
                if size < 8:
                    word &= (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
                state = hash_more(state, word)
                at += size
            is_over = at - begin == len(END_OF_LINE) and word == end_word
            begins[num], states[num] = begin, state
            lengths[num] = -1 if is_over else at - begin
            prefetch(slots, slot_of(state, mask) << 3)
            num += 1
        stops[text - first] = num
        text += 1
    return text


@compiled
def _learn(
    state: np.uint64,
    data: Any,
    begin: int,
    at: int,
    min_ngram: int,
    max_ngram: int,
    bucket: int,
    num_words: int,
    strings: Any,
    string_offsets: Any,
    vocabulary: Any,
    is_there: Any,
    slots: Any,
    store: Any,
    used: Any,
    letters: Any,
    places: Any,
    found: Any,
    num_found: int,
) -> tuple[int, bool]:
    """Append the rows of a word that is not remembered; return their number, and whether it counts.

    A label of the model is no word.
    """
    length, first, num = at - begin, num_found, 0
    if max_ngram > 0:
        letters[0], letters[length + 1] = _BEGIN, _END
        for i in range(length):
            letters[i + 1] = data[begin + i]
        num = place_ngrams(letters, length + 2, min_ngram, max_ngram, bucket, is_there, places)
    place = find_word(data, begin, length, strings, string_offsets, vocabulary)
    is_word = place < num_words and (place >= 0 or not begins_with(data, begin, at, LABEL_PREFIX))
    if is_word:
        found[num_found] = max(place, 0)
        num_found += np.int64(place >= 0)
        num_found = append_rows(places, num, num_words, is_there, found, num_found)
    remember(state, data, begin, length, is_word, slots, store, used, found, first, num_found)
    return num_found, is_word


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
    matrix: Any,
    outputs: Any,
    top: Any,
    tree: Any,
    slots: Any,
    store: Any,
    used: Any,
    labels: Any,
    probabilities: Any,
    evidence: Any,
    means: Any,
) -> None:
    """Predict the label of each text.

    Args:
        data: UTF-8 of all texts, and SLACK.
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
        matrix: its rows.
        outputs: see there.
        top: see there.
        tree: see there.
        slots: as in `Memory`, as are the next two; no other thread has them at the same time.
        store: see there.
        used: see there.
        labels: written: the label of each text, −1 for none; int32, shape (num_texts,).
        probabilities: written: its probability; float32, shape (num_texts,).
        evidence: written: how many of its words and n-grams the model has; int32, shape
            (num_texts,). The end of the line, which every text has, is not among them.
        means: written: mean of the rows of each text, NaN where there are none; float32, shape
            (num_texts, dim).
    """
    longest = _longest(offsets)
    letters = np.zeros(longest + 2, dtype=np.uint8)
    hashes = np.empty(longest // 2 + 2 if word_ngrams > 1 else 1, dtype=np.int32)
    # A word of one byte is three characters.
    room = (max_ngram + word_ngrams + 2) * (3 * longest + 3) + _SPARE
    found = np.empty(room, dtype=np.uint32)
    places = np.empty(room, dtype=np.uint32)
    nodes = np.empty(2 * len(outputs) + 2, dtype=np.int64)
    scores = np.empty((2, 2 * len(outputs) + 2), dtype=np.float32)
    products = np.empty(2 * len(outputs) + 2, dtype=np.float64)
    dots = np.empty(top.shape[1], dtype=np.float32)
    end = np.zeros(len(END_OF_LINE) + SLACK, dtype=np.uint8)
    for i in range(len(END_OF_LINE)):
        end[i] = END_OF_LINE[i]
    end_place = find_word(end, 0, len(END_OF_LINE), strings, string_offsets, vocabulary)
    end_word, end_hash = load_word(end, 0), hash_of(END_OF_LINE, 0, len(END_OF_LINE))
    has_end = 0 <= end_place < num_words
    num_texts, text, split_to, word = len(offsets) - 1, 0, 0, 0
    begins = np.empty(longest // 2 + 2 + _WORDS_AT_ONCE, dtype=np.int64)
    lengths, states = np.empty_like(begins), np.empty(len(begins), dtype=np.uint64)
    stops = np.empty(_WORDS_AT_ONCE, dtype=np.int64)
    first = 0
    for text in range(num_texts):
        if text == split_to:
            first, word = text, 0
            split_to = _split(data, offsets, text, end_word, slots, begins, lengths, states, stops)
            fetch_words(states, stops[split_to - first - 1], slots, store)
        stop = stops[text - first]
        num = num_found = 0
        is_over = False
        while word < stop:
            begin, length = begins[word], lengths[word]
            is_over = length < 0
            if is_over:
                length = len(END_OF_LINE)
                found[num_found] = max(end_place, 0)
                num_found += np.int64(has_end)
                is_word = 1
            else:
                num_found, is_word = recall(
                    states[word], data, begin, length, slots, store, found, num_found
                )
                if is_word < 0:
                    num_found, counts = _learn(
                        states[word], data, begin, begin + length, min_ngram, max_ngram, bucket,
                        num_words, strings, string_offsets, vocabulary, is_there, slots, store,
                        used, letters, places, found, num_found,
                    )  # fmt: skip
                    is_word = np.int64(counts)
            if word_ngrams > 1 and is_word == 1:
                hashes[num] = hash_of(data, begin, begin + length)
                num += 1
            word += 1
        if not is_over and has_end:
            found[num_found] = end_place  # the end of the line is a word too
            num_found += 1
        if word_ngrams > 1:
            num_found = find_word_ngrams(
                hashes, num, is_over, end_hash, word_ngrams, bucket, num_words, is_there, found,
                num_found,
            )  # fmt: skip
        # Written out or not, it says nothing of the language.
        evidence[text] = num_found - np.int64(has_end)
        hidden = means[text]
        label, score = -1, np.float32(-np.inf)
        if num_found > 0:
            _mean_of_rows(matrix, found, num_found, hidden)
            if loss == HIERARCHICAL_SOFTMAX:
                label, score = likeliest_leaf(
                    tree, outputs, top, hidden, dots, nodes, scores, products
                )
                if label < 0:
                    label, score = exact_leaf(tree, outputs, hidden, nodes, scores[0])
            else:
                label, score = best_output(outputs, hidden, scores[0], loss == SOFTMAX)
        else:
            hidden[:] = np.nan
        labels[text] = label
        probabilities[text] = np.float32(np.exp(score)) if label >= 0 else 0


@compiled
def label_probabilities(
    means: Any, loss: int, outputs: Any, columns: Any, tree: Any, everything: Any
) -> None:
    """Write the probability of every label of each text, maybe 0 below 1e-3.

    Args:
        means: as `predict` gives them.
        loss: as in `FastTextModel`, as are outputs and tree.
        outputs: see there.
        columns: the same, each a column here, and zeros up to a multiple of LANES.
        tree: see there.
        everything: written; zeros before; float32, shape (num_texts, num_labels).
    """
    nodes = np.empty(2 * len(outputs) + 2, dtype=np.int64)
    products = np.empty(2 * len(outputs) + 2, dtype=np.float32)
    dots = np.empty(columns.shape[1], dtype=np.float32)
    for text in range(len(means)):
        hidden = means[text]
        if np.isnan(hidden[0]):
            continue
        if loss == HIERARCHICAL_SOFTMAX:
            all_leaves(tree, columns, hidden, dots, nodes, products, everything[text])
        else:
            all_outputs(outputs, hidden, loss == SOFTMAX, everything[text])
