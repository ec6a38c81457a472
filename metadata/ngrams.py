"""Words in, counts of words and of pairs of neighbours out, and how closely a pair belongs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bigram", "NgramCounts", "count_ngrams", "pmi"]

Bigram = tuple[str, str]


@dataclass(slots=True)
class NgramCounts:
    """Counts over a corpus; those of parts add up.

    Attributes:
        unigrams: occurrences of each word.
        bigrams: occurrences of each pair of neighbours within a run.
    """

    unigrams: Counter[str] = field(default_factory=Counter)
    bigrams: Counter[Bigram] = field(default_factory=Counter)

    def add(self, runs: Iterable[Sequence[str]]) -> None:
        """Count the words of runs; a pair never reaches over the end of a run."""
        for run in runs:
            self.unigrams.update(run)
            self.bigrams.update(pairwise(run))

    def __iadd__(self, other: "NgramCounts") -> "NgramCounts":
        """Add the counts of another part of the corpus."""
        self.unigrams.update(other.unigrams)
        self.bigrams.update(other.bigrams)
        return self

    @property
    def num_tokens(self) -> int:
        """Words in all."""
        return self.unigrams.total()


def count_ngrams(runs: Iterable[Sequence[str]]) -> NgramCounts:
    """Return the counts of runs of words.

    >>> count_ngrams([["a", "b"], ["a"]]).bigrams
    Counter({('a', 'b'): 1})
    """
    counts = NgramCounts()
    counts.add(runs)
    return counts


def pmi(bigrams: Sequence[Bigram], counts: NgramCounts) -> NDArray[np.float64]:
    """Return pointwise mutual information: log2 of p(xy) / (p(x) p(y)).

    Args:
        bigrams: shape (num_bigrams,); each occurs in the counts.
        counts: of the whole corpus.

    Returns:
        Bits, shape (num_bigrams,).

    Source: Church and Hanks 1990, "Word association norms, mutual information, and lexicography".

    >>> counts = count_ngrams([["red", "dog"], ["red", "dog"], ["a", "b"], ["c", "d"]])
    >>> pmi([("red", "dog")], counts).tolist()
    [3.0]
    """
    num_unigrams = counts.num_tokens
    num_bigrams = counts.bigrams.total()
    both = np.array([counts.bigrams[b] for b in bigrams], dtype=np.float64)
    first = np.array([counts.unigrams[x] for x, _ in bigrams], dtype=np.float64)
    second = np.array([counts.unigrams[y] for _, y in bigrams], dtype=np.float64)
    ratio = (both / num_bigrams) / ((first / num_unigrams) * (second / num_unigrams))
    return np.asarray(np.log2(ratio), dtype=np.float64)
