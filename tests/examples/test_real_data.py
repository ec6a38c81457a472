"""The stages on the public data that the README lists."""

import pytest

from examples.real_data import emoji, english, six_languages


def test_english_metadata_matches_half_of_laions_alt_texts(real_data, wordnet_dir, tmp_path):
    found = english(real_data, tmp_path, wordnet_dir)
    assert found["sources"]["number"] + found["sources"]["wordnet"] == 86_654
    assert found["read"] == 10_000 == found["matched"] + sum(found["dropped"].values())
    assert found["kept"] < found["matched"] < found["slots"]
    # Σ p (1 − p) <= matched / 4, so five standard deviations are at most 5 √(matched) / 2.
    assert abs(found["kept"] - found["expected"]) < 2.5 * found["matched"] ** 0.5


def test_captions_match_the_wordnet_of_their_language(real_data, tmp_path):
    found = six_languages(real_data, tmp_path)
    assert found["read"] == 9943
    languages = found["languages"]
    assert languages["zh"]["matched"] > 0.95 * languages["zh"]["read"] > 200
    assert languages["da"]["matched"] > 0.6 * languages["da"]["read"] > 150
    assert found["matched_in_the_language_of_their_author"] > 0.85


@pytest.mark.slow
def test_names_that_a_model_has_never_seen_find_their_emoji(real_data, tmp_path):
    found = emoji(real_data, tmp_path, steps=200)
    chance = found["chance_R@1"]
    assert chance < 0.001 and found["held_out"] > 1000
    assert found["text_to_image"]["R@10"] > 4 * (10 * chance)
