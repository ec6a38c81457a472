"""The fast engine finds exactly what the reference engine finds."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.curation.matching.character_table import character_table
from curate.curation.matching.index import (
    VERSION,
    IndexMatcher,
    build_index,
    pack_index,
    unpack_index,
)
from curate.curation.matching.normalize import compose, tokens
from curate.curation.matching.reference import AhoCorasickMatcher
from curate.errors import ArtifactError
from tests.curation.matching.test_normalize import CASES

NORMALIZATIONS = ("standard", "metaclip")
# What splits, joins, folds, combines or vanishes, in several scripts.
PIECES = [
    *"ab12 .,'-()«»_`!?;:", "ab", "  ", "’", "‐", "\u200c", "\u200d", "\u00ad", "é", "e\u0301",
    "ก", "\u0e34", "ខ\u17d2ញ", "漢", "字", "カ", "ｶﾞ", "Ａ", "\ufe0f", "❤", "\n", "\t", "\u3000",
    "٣", "क\u094d", "़", "\x00", "ཀ", "་", "한", "\U00020bb7", "word" * 5,
]  # fmt: skip
STRINGS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(
    st.characters(codec="utf-8"), max_size=20
)


def both(entries, texts, normalization):
    strings = pa.array(texts, pa.string())
    expected = AhoCorasickMatcher(entries, normalization).match(strings)
    found = IndexMatcher(build_index(entries, normalization)).match(strings)
    return expected.to_pylist(), found.to_pylist()


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@settings(max_examples=300)
@given(st.lists(STRINGS, max_size=20), st.lists(STRINGS, max_size=12))
def test_it_equals_the_reference_engine(normalization, entries, texts):
    expected, found = both(entries, [*texts, *entries], normalization)
    assert found == expected


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_it_equals_the_reference_engine_on_the_table_of_cases(normalization):
    entries, texts = [c[1] for c in CASES], [c[2] for c in CASES]
    expected, found = both(entries, texts, normalization)
    assert found == expected and any(found)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_change_nothing(threads):
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdef", k=rng.randint(1, 4))) for _ in range(500)]
    texts = pa.array([" ".join(rng.choices(words, k=9)) for _ in range(1000)])
    index = build_index(words[:200], "standard")
    found = IndexMatcher(index, threads=threads).match(texts)
    assert found.equals(IndexMatcher(index).match(texts))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize(
    "text",
    ["x" * 10_000_000, "red " * 100_000, "a\x00red dog\x00", "", "漢" * 10_000, "é" * 100_000],
    ids=["one word of 10 MB", "100,000 words", "NUL", "empty", "no spaces", "two-byte letters"],
)
def test_hostile_texts_get_the_answer_of_the_reference(normalization, text):
    entries = ["red", "red dog", "漢漢", "x", "é", "red red", "\x00red"]
    expected, found = both(entries, [text, "a red dog"], normalization)
    assert found == expected


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("num", [1, 3, 40])
def test_units_of_more_than_sixteen_bytes_are_found_wherever_they_stand(normalization, num):
    """Their slot holds a hash, so that it is never the unit's by a glance."""
    long = [f"{i:05}" * 4 for i in range(num)]
    entries = [*long, *(f"{word} red" for word in long), *(f"red {word} red" for word in long)]
    texts = [f"a red {word} red {word}" for word in [*long, "x" * 20]]
    expected, found = both(entries, texts, normalization)
    assert found == expected and found[0] == [0, num, 2 * num]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_many_edges_from_few_nodes_are_told_apart(normalization):
    """So many that lines of the table are full, and edges lie in those after them."""
    rng = random.Random(3)
    letters = [chr(c) for c in range(0x4E00, 0x4E00 + 150)]
    words = list(dict.fromkeys("".join(rng.choices(letters, k=k)) for k in (1, 2, 3, 4) * 3000))
    texts = ["".join(rng.choices(words[:6000], k=8)) for _ in range(300)]
    expected, found = both(words[:6000], texts, normalization)
    assert found == expected and max(map(len, found)) > 20


def test_a_text_with_more_finds_than_it_was_given_room_for_keeps_them_all():
    entries = ["a" + " a" * n for n in range(40)] * 3
    expected, found = both(entries, ["a " * 60, "b", "a", "a " * 30], "standard")
    assert found == expected and len(found[0]) == 120


def test_slices_nulls_and_large_strings_are_understood():
    matcher = IndexMatcher(build_index(["dog", "cat"], "standard"))
    texts = pa.array(["x", "dog", None, "cat dog"])
    assert matcher.match(texts).to_pylist() == [[], [0], [], [0, 1]]
    assert matcher.match(texts.slice(1, 1)).to_pylist() == [[0]]
    assert matcher.match(texts.cast(pa.large_string())).to_pylist() == [[], [0], [], [0, 1]]
    assert matcher.match(pa.array([], pa.string())).to_pylist() == []


def test_invalid_utf8_is_read_without_harm():
    rng = random.Random(1)
    raw = [bytes(rng.choices(range(256), k=rng.randint(0, 9))) for _ in range(2000)]
    binary = pa.array(raw, pa.binary())
    texts = pa.StringArray.from_buffers(len(raw), binary.buffers()[1], binary.buffers()[2])
    for normalization in NORMALIZATIONS:
        index = build_index(["a", "b"], normalization)
        data, offsets = string_buffers(texts)
        found = IndexMatcher(index)._match_rows(index, data, offsets, np.arange(len(raw)))
        assert len(found) == len(raw)


def test_tokens_of_the_character_table_are_those_of_the_regular_expression():
    text = "".join(chr(c) for c in range(1, 0x30000, 7) if not 0xD800 <= c < 0xE000)
    entries = [t for t in dict.fromkeys(tokens(text)) if t]
    expected, found = both(entries[:3000], [text], "standard")
    assert found == expected


def test_folding_a_composed_text_again_changes_nothing():
    table = character_table()
    for code in np.flatnonzero(table.classes & 64).tolist():
        once = compose(chr(code))
        assert compose(once) == once


@pytest.fixture(scope="module")
def packed():
    return pack_index(
        build_index(["dog", "red dog", "a long entry of many words"], "standard"), "h"
    )


def test_a_packed_index_matches_as_before(packed):
    matcher = unpack_index(packed, "en.index", "h")
    assert matcher.match(pa.array(["a red dog"])).to_pylist() == [[0, 1]]
    assert matcher.normalization == "standard"


def test_an_index_of_other_entries_or_another_version_is_refused(packed, monkeypatch):
    with pytest.raises(ArtifactError, match=r"en\.index.*of entries with sha256 h.*--reindex"):
        unpack_index(packed, "en.index", "other")
    monkeypatch.setattr("curate.curation.matching.index.VERSION", 99)
    with pytest.raises(ArtifactError, match=f"of version {VERSION}, expected 99"):
        unpack_index(packed, "en.index", "h")


def test_truncated_and_flipped_indices_are_errors_and_never_crash(packed):
    rng = random.Random(2)
    texts = pa.array(["a red dog", "a long entry of many words"])
    expected = unpack_index(packed, "x").match(texts).to_pylist()
    harmless = 0
    for _ in range(1500):
        damaged = bytearray(packed)
        if rng.random() < 0.3:
            del damaged[rng.randrange(len(damaged)) :]
        else:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            found = unpack_index(bytes(damaged), "x").match(texts).to_pylist()
        except ArtifactError as error:
            assert "--reindex" in str(error)
        else:
            harmless += 1  # in the padding between arrays, or cut within the last of it
            assert found == expected
    assert harmless < 300


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_finds_that_just_fill_the_room_are_all_kept(normalization):
    """A block has room for as many finds as it has bytes and some more."""
    for num in range(30, 130):
        entries = ["never", *["a"] * num]
        expected, found = both(entries, ["a q", "q a q"], normalization)
        assert found == expected


def test_cut_off_characters_take_no_room_that_is_not_there():
    raw = pa.array([b"\xff\xff\xff"] * 100_000, pa.binary())
    texts = pa.StringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2])
    for normalization in NORMALIZATIONS:
        index = build_index(["a"], normalization)
        data, offsets = string_buffers(texts)
        found = IndexMatcher(index)._match_rows(index, data, offsets, np.arange(len(raw)))
        assert len(found.values) == 0


def test_an_index_of_other_hashes_is_refused(packed, monkeypatch):
    monkeypatch.setattr("curate.curation.matching.index.hash_fingerprint", lambda: 1)
    with pytest.raises(ArtifactError, match="built with other hashes"):
        unpack_index(packed, "en.index")


def test_arrays_of_other_types_are_refused():
    matcher = IndexMatcher(build_index(["dog"], "standard"))
    with pytest.raises(TypeError, match="string_view; expected string or large_string"):
        matcher.match(pa.array(["dog"], pa.string_view()))
