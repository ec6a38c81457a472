"""The reference engine equals the naive search, in both normalizations, over several scripts."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.curation.matching.normalize import Normalization
from curate.curation.matching.reference import AhoCorasickMatcher, match_by_language
from tests import reference

# Few letters of many scripts, marks and punctuation, so that entries do occur in texts.
ALPHABET = "abA1 .,'-()\u0301\u200d_東京のカｶ々ー กินែក្មব্দ한дאب\u00a0\n￾é"
WORDS = st.text(st.sampled_from(ALPHABET), max_size=6)
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=30)
ENTRIES = st.lists(WORDS, max_size=12)


@pytest.mark.parametrize("normalization", ["standard", "metaclip"])
@settings(max_examples=400)
@given(entries=ENTRIES, texts=st.lists(TEXTS, max_size=4))
def test_the_engine_equals_the_naive_search(
    entries: list[str], texts: list[str], normalization: Normalization
) -> None:
    found = AhoCorasickMatcher(entries, normalization).match(pa.array(texts, pa.string()))
    expected = [reference.match_text(entries, text, normalization) for text in texts]
    assert found.to_pylist() == expected


@settings(max_examples=400)
@given(entries=ENTRIES, text=TEXTS)
def test_standard_matching_is_neighbouring_tokens(entries: list[str], text: str) -> None:
    assert reference.match_text(entries, text, "standard") == reference.match_tokens(entries, text)


@given(entries=ENTRIES, text=TEXTS)
def test_spans_show_where_the_matches_are(entries: list[str], text: str) -> None:
    matcher = AhoCorasickMatcher(entries)
    spans = list(matcher.spans(text))
    assert sorted({s.entry_id for s in spans}) == matcher.match(pa.array([text])).to_pylist()[0]
    for span in spans:
        shown = reference.normalize_text(text)[span.start : span.stop]
        assert shown == reference.normalize_text(entries[span.entry_id]).strip(" ")


def test_entries_that_normalize_alike_match_together() -> None:
    matcher = AhoCorasickMatcher(["café", "cafe\u0301", "tea"])
    assert matcher.match(pa.array(["a café"])).to_pylist() == [[0, 1]]


def test_a_null_and_an_empty_text_match_nothing() -> None:
    matcher = AhoCorasickMatcher(["dog"])
    assert matcher.match(pa.array([None, "", "dog"])).to_pylist() == [[], [], [0]]


def test_no_entries_match_nothing() -> None:
    assert AhoCorasickMatcher([]).match(pa.array(["dog"])).to_pylist() == [[]]


def test_a_text_of_ten_megabytes_is_matched() -> None:
    text = "dog " * 2_500_000 + "end"
    assert AhoCorasickMatcher(["dog dog", "end", "cat"]).match(pa.array([text])).to_pylist() == [
        [0, 1]
    ]


def test_each_text_is_matched_against_its_own_language() -> None:
    matchers = {"en": AhoCorasickMatcher(["dog"]), "de": AhoCorasickMatcher(["Hund", "dog"])}
    texts = pa.array(["a dog", "ein Hund", "un dog", "the dog"])
    found = match_by_language(
        texts, pa.array(["en", "de", "fr", "de"]).dictionary_encode(), matchers.get
    )
    assert found.entry_ids.to_pylist() == [[0], [0], [], [1]]
    assert found.has_metadata.tolist() == [True, True, False, True]


def test_no_texts_give_no_lists() -> None:
    found = match_by_language(
        pa.array([], pa.string()), pa.array([], pa.string()).dictionary_encode(), {}.get
    )
    assert found.entry_ids.to_pylist() == [] and found.entry_ids.type == pa.list_(pa.uint32())
