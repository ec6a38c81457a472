"""Counting as one would write it down; the fast counting is checked against it."""

from collections import Counter
from itertools import pairwise

from curate.metadata.ngrams.runs import Run, column, read_groups
from curate.metadata.ngrams.words import split_runs


def count_texts(texts, lang):
    """Return counts of words and of pairs of neighbours, which no run's end parts."""
    words, pairs = Counter(), Counter()
    for text in texts:
        for run in split_runs(text, lang):
            words.update(run)
            pairs.update(pairwise(run))
    return words, pairs


def counts_of(*runs: Run):
    """Return what runs hold, added up."""
    words, pairs = Counter(), Counter()
    for run in runs:
        names = []
        for table in read_groups(run.words):
            names += table.column("word").to_pylist()
            words.update(
                dict(zip(names[-table.num_rows :], column(table, "count").tolist(), strict=True))
            )
        for table in read_groups(run.pairs):
            rows = zip(column(table, "key").tolist(), column(table, "count").tolist(), strict=True)
            for key, num in rows:
                pairs[names[key >> 32], names[key & 0xFFFFFFFF]] += num
    return +words, pairs
