import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metadata.ngrams import NgramCounts, count_ngrams, pmi

RUNS = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), max_size=8)


def test_pairs_never_cross_the_end_of_a_run():
    counts = count_ngrams([["a", "b"], ["c"], ["a", "b", "c"]])
    assert counts.unigrams == Counter(a=2, b=2, c=2)
    assert counts.bigrams == Counter({("a", "b"): 2, ("b", "c"): 1})
    assert counts.num_tokens == 6


@given(RUNS, RUNS)
def test_counts_of_parts_add_up_to_those_of_the_whole(first, second):
    counts = count_ngrams(first)
    counts += count_ngrams(second)
    assert counts == count_ngrams([*first, *second])


@given(RUNS)
def test_pmi_is_that_of_its_definition(runs):
    counts = count_ngrams(runs)
    pairs = sorted(counts.bigrams)
    n, m = counts.num_tokens, counts.bigrams.total()
    expected = [
        math.log2(counts.bigrams[x, y] / m / (counts.unigrams[x] / n * counts.unigrams[y] / n))
        for x, y in pairs
    ]
    np.testing.assert_allclose(pmi(pairs, counts), expected, rtol=1e-12, atol=1e-12)


def test_no_pairs_have_no_pmi():
    assert pmi([], NgramCounts()).shape == (0,)
