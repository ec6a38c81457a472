import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.metadata.best import Best
from curate.metadata.entries import Thresholds
from curate.metadata.ngrams.candidates import CorpusCounts, pmi, select_bigrams, select_unigrams
from curate.metadata.ngrams.merge import merge_runs
from curate.metadata.ngrams.runs import Run
from tests.metadata.ngram_reference import count_texts
from tests.metadata.ngrams.test_ngram_counter import count

TEXTS = st.lists(st.text(st.sampled_from("aabbcd  "), max_size=40), max_size=6)
ALL = Thresholds(unigram_top_share=None, bigram_min_count=1, bigram_max_share=None)


def corpus(texts, lang, folder):
    counter, runs = count(texts, lang, folder)
    merge_runs(runs, Run(folder / "all"), 0)
    return CorpusCounts(
        run=Run(folder / "all"),
        num_tokens=counter.num_tokens,
        num_pair_tokens=counter.num_pair_tokens,
    )


@given(TEXTS)
def test_pmi_is_that_of_its_definition(tmp_path_factory, texts):
    counts = corpus(texts, "en", tmp_path_factory.mktemp("corpus"))
    words, pairs = count_texts(texts, "en")
    n, m = words.total(), pairs.total()
    expected = {
        f"{x} {y}": math.log2(pairs[x, y] / m / (words[x] / n * words[y] / n)) for x, y in pairs
    }
    found = select_bigrams(counts, "en", ALL, len(words))
    assert found.num_raw == len(pairs) == len(found.kept)
    assert dict(found.kept) == pytest.approx(expected, abs=1e-12)
    assert dict(select_unigrams(counts, ALL).kept) == words


def test_no_pairs_have_no_pmi():
    nothing = np.zeros(0, np.int64)
    assert pmi(nothing, nothing, nothing, 0, 0).shape == (0,)


@pytest.fixture
def counts(tmp_path):
    return corpus(["a b. a b. a b. c d. c d. e f. e g"] * 2, "en", tmp_path)


def test_words_are_cut_by_count_and_equal_counts_by_code_point(counts):
    found = select_unigrams(counts, Thresholds(unigram_top_share=0.5))
    assert found.num_raw == 7
    assert found.kept == [("a", 6.0), ("b", 6.0), ("c", 4.0)]
    assert found.left_out == [("d", 4.0), ("e", 4.0), ("f", 2.0)]


def test_rare_words_are_left_out(counts):
    found = select_unigrams(counts, Thresholds(unigram_min_count=5, unigram_top_share=None))
    assert [word for word, _ in found.kept] == ["a", "b"]
    assert [word for word, _ in found.left_out] == ["c", "d", "e"]


def test_single_kana_are_no_unigrams_but_may_stand_in_pairs(tmp_path):
    pytest.importorskip("icu4py", reason="needs the extra `segment`")
    counts = corpus(["猫の犬 ソファ ー"] * 9, "ja", tmp_path)
    words = {word for word, _ in select_unigrams(counts, ALL).kept}
    assert words == {"猫", "犬", "ソファ"}
    limited = select_unigrams(counts, Thresholds(unigram_max=2, unigram_top_share=None))
    assert len(limited.kept) == 2 and len(limited.left_out) == 1
    assert "猫の" in {pair for pair, _ in select_bigrams(counts, "ja", ALL, 9).kept}


def test_pairs_are_cut_by_pmi_and_rare_ones_are_left_out(counts):
    limits = Thresholds(bigram_min_count=3, bigram_max_share=0.5)
    found = select_bigrams(counts, "en", limits, 3)
    assert [entry for entry, _ in found.kept] == ["c d"]
    assert [entry for entry, _ in found.left_out] == ["a b"]


def test_limits_of_nothing_keep_nothing_and_say_what_was_next(counts):
    found = select_unigrams(counts, Thresholds(unigram_max=0))
    assert (found.kept, len(found.left_out)) == ([], 3)


def test_pairs_that_spell_one_string_are_one_entry(tmp_path):
    counts = corpus(["ab c. a bc. a bc. x y"], "en", tmp_path)
    found = select_bigrams(counts, "zh", ALL, 9)
    assert found.num_raw == 3
    both = dict(select_bigrams(counts, "en", ALL, 9).kept)
    assert dict(found.kept) == {"abc": max(both["ab c"], both["a bc"]), "xy": both["x y"]}


def test_enough_pairs_are_looked_at_where_many_spell_one_string(tmp_path):
    """Of the best pairs most are of one string, so the limit reaches the others only later."""
    letters = "abcdefghijklmnopqrstuvwxyz" * 4
    splits = [f"{letters[:n]} {letters[n:]}. " for n in range(1, len(letters))]
    others = [f"x{n} y. " for n in range(5)]
    counts = corpus(["".join([*splits, *others])], "en", tmp_path)
    found = select_bigrams(counts, "zh", Thresholds(bigram_min_count=1, bigram_max=3), 9)
    assert [entry for entry, _ in found.kept] == [letters, "x0y", "x1y"]
    assert [entry for entry, _ in found.left_out] == ["x2y", "x3y", "x4y"]


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=6),
    st.one_of(st.none(), st.integers(0, 8)),
)
def test_the_best_are_those_of_a_sort_and_their_ties(blocks, num):
    best = Best(num)
    for block in blocks:
        best.add(np.array(block, np.float64), np.array(block, np.int64))
    everything = sorted((x for block in blocks for x in block), reverse=True)
    scores, things = best.result()
    assert scores.tolist() == things.tolist()
    wanted = len(everything) if num is None else max(1, num)
    floor = everything[wanted - 1] if 0 < wanted <= len(everything) else -1
    assert Counter(things.tolist()) == Counter(x for x in everything if x >= floor)


def test_the_best_of_many_take_little_room(monkeypatch):
    monkeypatch.setattr("curate.metadata.best._SLACK", 10)
    best = Best(5)
    rng = np.random.default_rng(0)
    everything = rng.permutation(10_000)
    for block in everything.reshape(100, 100):
        best.add(block.astype(np.float64), block)
        assert sum(map(len, best._scores)) <= 20 + 100
    assert sorted(best.result()[1].tolist()) == [9995, 9996, 9997, 9998, 9999]
