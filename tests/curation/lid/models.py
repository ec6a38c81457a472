"""fastText classifiers as files, as the library lays them out: for tests, which have no trainer."""

import struct

import numpy as np

__all__ = ["write_classifier", "write_random_classifier"]

SOFTMAX = 3


def write_classifier(
    path, words, labels, rows, outputs, *, loss=SOFTMAX, word_ngrams=1, max_ngram=0
):
    """Write a dense model.

    Args:
        path: of the file.
        words: of the vocabulary, the most frequent first.
        labels: with their ``__label__``, the most frequent first.
        rows: vectors of words, and of n-grams below them; (num_rows, dim).
        outputs: vectors of labels; (num_labels, dim).
        loss: 1 hierarchical softmax, 3 softmax, 4 one against all.
        word_ngrams: longest run of words that has a vector.
        max_ngram: longest run of characters that has one.
    """
    head = struct.pack("<ii", 793712314, 12)
    head += struct.pack(
        "<12id", rows.shape[1], 5, 5, 1, 5, word_ngrams, loss, 3, len(rows) - len(words), 2,
        max_ngram, 9, 1e-4,
    )  # fmt: skip
    head += struct.pack("<iiiqq", len(words) + len(labels), len(words), len(labels), 100, -1)
    for i, word in enumerate(words):
        head += word.encode() + b"\0" + struct.pack("<qb", 50 - i, 0)
    for i, label in enumerate(labels):
        head += label.encode() + b"\0" + struct.pack("<qb", 90 - 7 * i, 1)
    matrices = [matrix.astype("<f4") for matrix in (rows, outputs)]
    body = b"".join(b"\0" + struct.pack("<qq", *one.shape) + one.tobytes() for one in matrices)
    path.write_bytes(head + body)


def write_random_classifier(path, *, loss, word_ngrams, max_ngram, labels=5, seed=0):
    """Write a model of seven words with random weights."""
    rng = np.random.default_rng(seed)
    words = ["</s>", "red", "dog", "der", "hund", "le", "chien"]
    num_ngrams = 500 if max_ngram or word_ngrams > 1 else 0
    names = [f"__label__{lang}" for lang in "en de fr es zh".split()[:labels]]
    rows = rng.normal(size=(len(words) + num_ngrams, 8))
    write_classifier(
        path, words, names, rows, rng.normal(size=(labels, 8)), loss=loss,
        word_ngrams=word_ngrams, max_ngram=max_ngram,
    )  # fmt: skip
