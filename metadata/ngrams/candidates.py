"""Counted words and pairs in, the candidates among them out: by count, and by PMI."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.metadata.best import NUM_EXAMPLES, Best, Selected, cut
from curate.metadata.entries import Candidate, Thresholds, limit_of
from curate.metadata.ngrams.runs import Run, column, num_rows, read_groups
from curate.metadata.ngrams.words import is_single_kana, join_words

__all__ = ["CorpusCounts", "pmi", "select_bigrams", "select_unigrams"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_NUM_KANA = 1 << 12  # there are no more, with any mark that voices them


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCounts:
    """The counts of a whole corpus.

    Attributes:
        run: words and pairs, each once.
        num_tokens: occurrences of words.
        num_pair_tokens: occurrences of pairs.
    """

    run: Run
    num_tokens: int
    num_pair_tokens: int


def pmi(
    both: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    num_tokens: int,
    num_pair_tokens: int,
) -> NDArray[np.float64]:
    """Return pointwise mutual information: log2 of p(xy) / (p(x) p(y)).

    Args:
        both: occurrences of each pair; shape (num_pairs,).
        first: occurrences of its first word.
        second: occurrences of its second word.
        num_tokens: occurrences of words in all.
        num_pair_tokens: occurrences of pairs in all.

    Returns:
        Bits, shape (num_pairs,).

    Source: Church and Hanks 1990, "Word association norms, mutual information, and lexicography".

    >>> pmi(np.array([2]), np.array([2]), np.array([2]), 8, 4).tolist()
    [3.0]
    """
    expected = (first / num_tokens) * (second / num_tokens)
    return np.asarray(np.log2(both / num_pair_tokens / expected), dtype=np.float64)


def select_unigrams(counts: CorpusCounts, limits: Thresholds) -> Selected:
    """Select words by count; single kana, which nearly every Japanese text has, are left out."""
    num_raw = num_rows(counts.run.words)
    limit = limit_of(limits.unigram_top_share, num_raw, limits.unigram_max)
    floor = limits.unigram_min_count
    best = Best(None if limit is None else limit + NUM_EXAMPLES + _NUM_KANA)
    first = 0
    for table in read_groups(counts.run.words, ["count"]):
        scores = column(table, "count").astype(np.float64)
        best.add(scores, np.arange(first, first + len(scores), dtype=np.uint64))
        first += len(scores)
    scores, ids = best.result()
    words = zip(_words(counts.run, ids), scores.tolist(), strict=True)
    return cut(num_raw, [one for one in words if not is_single_kana(one[0])], limit, floor)


def select_bigrams(
    counts: CorpusCounts, lang: str, limits: Thresholds, num_unigrams: int
) -> Selected:
    """Select pairs by PMI; those seen less often than the minimum are accidents and left out.

    Args:
        counts: of the corpus.
        lang: metadata language.
        limits: what is kept.
        num_unigrams: words that are kept, of which the limit may be a share.
    """
    num_raw = num_rows(counts.run.pairs)
    limit = limit_of(limits.bigram_max_share, num_unigrams, limits.bigram_max)
    wanted = None if limit is None else limit + NUM_EXAMPLES
    floor = -np.inf if limits.bigram_min_pmi is None else limits.bigram_min_pmi
    while True:
        scores, keys = _best_pairs(counts, limits, wanted)
        candidates = _joined(counts.run, keys, scores, lang)
        # Two pairs without a space may spell one string, so that there are fewer strings.
        if wanted is None or len(keys) < wanted or len(candidates) >= (limit or 0) + NUM_EXAMPLES:
            return cut(num_raw, candidates, limit, floor)
        wanted *= 2


def _best_pairs(
    counts: CorpusCounts, limits: Thresholds, num: int | None
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    of_words = [column(t, "count") for t in read_groups(counts.run.words, ["count"])]
    num_of = np.concatenate([*of_words, np.zeros(0, np.int64)])
    best = Best(num)
    for table in read_groups(counts.run.pairs):
        nums = column(table, "count")
        frequent = nums >= limits.bigram_min_count
        keys, nums = column(table, "key")[frequent], nums[frequent]
        first, second = num_of[keys >> _HALF], num_of[keys & _LOW]
        bits = pmi(nums, first, second, counts.num_tokens, counts.num_pair_tokens)
        best.add(bits, keys)
    return best.result()


def _joined(
    run: Run, keys: NDArray[np.uint64], scores: NDArray[np.float64], lang: str
) -> list[Candidate]:
    """Return the pairs as strings, each once, with the highest of its scores."""
    first = _words(run, keys >> _HALF)
    second = _words(run, keys & _LOW)
    best: dict[str, float] = {}
    for pair, bits in zip(zip(first, second, strict=True), scores.tolist(), strict=True):
        entry = join_words(pair, lang)
        best[entry] = max(bits, best.get(entry, bits))
    return list(best.items())


def _words(run: Run, ids: NDArray[np.uint64]) -> Sequence[str]:
    """Return the words of ids, which come in any order and more than once."""
    asked, positions = np.unique(ids, return_inverse=True)
    found: list[pa.Table] = []
    first = 0
    for table in read_groups(run.words, ["word"]):
        low, high = np.searchsorted(asked, [first, first + table.num_rows])
        if low < high:
            found.append(table.take(asked[low:high] - np.uint64(first)))
        first += table.num_rows
    if not found:
        return []
    words = pa.concat_tables(found).column("word").combine_chunks()
    strings: list[str] = words.take(positions).to_pylist()
    return strings
