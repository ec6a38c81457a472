from hashlib import sha256

import pytest

from curate.errors import UsageError
from curate.metadata.entries import (
    SCHEMA,
    SOURCES,
    Thresholds,
    assemble_entries,
    metadata_hash,
    problem_with,
    rank,
    union_entries,
)


def rows(table):
    return [(r["entry"], r["source"], r["score"]) for r in table.to_pylist()]


def test_english_has_the_thresholds_of_v1_and_others_those_of_v2():
    english, other = Thresholds.for_language("en"), Thresholds.for_language("de")
    assert (english.unigram_min_count, english.unigram_top_share) == (100, None)
    assert (english.title_min_views, english.title_top_share) == (70, None)
    assert (other.unigram_min_count, other.unigram_top_share) == (1, 0.10)
    assert (other.title_min_views, other.title_top_share) == (None, 0.76)
    for both in (english, other):
        assert (both.unigram_max, both.bigram_max, both.title_max) == (251_465, 100_646, 61_235)


def test_thresholds_can_be_overridden_by_name():
    assert Thresholds.for_language("en", bigram_min_pmi=30.0).bigram_min_pmi == 30


@pytest.mark.parametrize(
    "wrong",
    [
        {"unigram_min_count": 0},
        {"bigram_min_count": -1},
        {"unigram_top_share": 1.5},
        {"title_top_share": -0.1},
        {"bigram_max": -5},
        {"bigram_min_pmi": float("nan")},
    ],
)
def test_thresholds_out_of_range_are_refused_with_their_option(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is"):
        Thresholds(**wrong)


def test_entries_stand_by_source_then_score_then_code_points():
    table, _ = assemble_entries(
        {
            "title": [("T", 1.0)],
            "bigram": [("b c", 2.5)],
            "unigram": [("b", 1.0), ("a", 1.0), ("Z", 1.0), ("c", 9.0)],
            "wordnet": [("dog", 0.0), ("cat", 0.0)],
        },
        256,
    )
    assert table.schema == SCHEMA
    assert table.column("source").chunk(0).dictionary.to_pylist() == list(SOURCES)
    found = rows(table)
    assert [entry for entry, _, _ in found[:100]] == sorted(map(str, range(100)))
    assert found[100:] == [
        ("cat", "wordnet", 0.0),
        ("dog", "wordnet", 0.0),
        ("c", "unigram", 9.0),
        ("Z", "unigram", 1.0),
        ("a", "unigram", 1.0),
        ("b", "unigram", 1.0),
        ("b c", "bigram", 2.5),
        ("T", "title", 1.0),
    ]


def test_the_first_source_wins_a_duplicate():
    table, left_out = assemble_entries({"wordnet": [("dog", 0.0)], "title": [("dog", 9.0)]}, 256)
    assert rows(table)[100:] == [("dog", "wordnet", 0.0)]
    assert left_out == {"duplicate": 1}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("St. John", None),
        ("C++", None),
        ("x" * 256, None),
        ("x" * 257, "too_long"),
        ("", "punctuation_only"),
        ("...", "punctuation_only"),
        ("« »", "punctuation_only"),
        ("\u0301", "punctuation_only"),
        ("a\nb", "control_character"),
        ("a\u2028b", "control_character"),
        ("a\x00", "control_character"),
        ("\ud800a", "control_character"),
    ],
)
def test_strings_that_cannot_match_are_left_out_with_their_reason(entry, problem):
    assert problem_with(entry, 256) == problem


def test_kept_and_left_out_make_up_all_candidates():
    candidates = [("a", 1.0), ("!", 1.0), ("a", 2.0), ("y" * 300, 1.0), ("7", 1.0)]
    table, left_out = assemble_entries({"unigram": candidates}, 256)
    assert left_out == {"duplicate": 2, "punctuation_only": 1, "too_long": 1}
    assert table.num_rows + sum(left_out.values()) == 100 + len(candidates)


def test_the_smallest_limit_holds():
    assert rank([("a", 1.0), ("b", 2.0), ("c", 3.0)], [2.9, 5, None]) == [("c", 3.0), ("b", 2.0)]


def test_the_hash_depends_on_entries_and_their_order():
    assert metadata_hash(["a", "ä"]) == sha256("a\nä\n".encode()).hexdigest()
    assert metadata_hash(["ä", "a"]) != metadata_hash(["a", "ä"])


def test_a_union_has_each_entry_once_by_its_first_source():
    first, _ = assemble_entries({"unigram": [("a", 1.0), ("b", 5.0)]}, 256)
    second, _ = assemble_entries({"wordnet": [("a", 0.0)], "unigram": [("b", 7.0)]}, 256)
    union = union_entries([first, second])
    assert rows(union)[100:] == [("a", "wordnet", 0.0), ("b", "unigram", 7.0)]
    assert union.equals(union_entries([second, first]))
    assert union.schema == SCHEMA


def test_a_union_of_nothing_is_an_empty_table():
    assert union_entries([]).schema == SCHEMA
