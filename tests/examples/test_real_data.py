"""The stages on the public data that the README lists."""

import json

import pytest

import examples.real_data
from examples.real_captions import compare
from examples.real_data import emoji, english, six_languages
from tests.conftest import ROOT
from tests.in_process import curate_here

SMALLER = {
    "embed_dim": 64, "vision_width": 64, "vision_layers": 2, "text_width": 64, "text_layers": 1,
    "text_heads": 2, "context_length": 16, "vocab_size": 4096,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """English metadata are built here once."""
    return tmp_path_factory.mktemp("english")


@pytest.mark.slow
def test_english_metadata_matches_half_of_laions_alt_texts(real_data, wordnet_dir, workspace):
    found = english(real_data, workspace, wordnet_dir)
    assert found["sources"]["number"] + found["sources"]["wordnet"] == 86_654
    assert found["read"] == 10_000 == found["matched"] + sum(found["dropped"].values())
    assert found["kept"] < found["matched"] < found["slots"]
    # Σ p (1 − p) <= matched / 4, so five standard deviations are at most 5 √(matched) / 2.
    assert abs(found["kept"] - found["expected"]) < 2.5 * found["matched"] ** 0.5


@pytest.mark.slow
def test_real_captions_are_joined_judged_and_mixed(
    real_data, wordnet_dir, workspace, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = compare(real_data, workspace, wordnet_dir)
    judged = found["judged"]
    assert judged["captions"] == 600 and judged["kept"] + sum(judged["dropped"].values()) == 600
    assert judged["entries"]["en"]["tail_entries_that_gain"] > 1000
    # Matched by captions instead of alt-texts, entries change as the judge has counted them.
    english, counted = found["diff"]["languages"]["en"], judged["entries"]["en"]
    for name in ("entries_that_gain", "entries_that_lose", "tail_entries_that_gain"):
        assert english[name] == counted[name]
    assert english["matches_b"] == counted["caption_matches"] > english["matches_a"]
    assert abs(found["consumed"]["dense"]["share"] - 0.15) < 5 * (0.15 * 0.85 / 3000) ** 0.5


@pytest.mark.slow
def test_captions_match_the_wordnet_of_their_language(real_data, tmp_path):
    found = six_languages(real_data, tmp_path)
    assert found["read"] == 9943
    languages = found["languages"]
    assert languages["zh"]["matched"] > 0.95 * languages["zh"]["read"] > 200
    assert languages["da"]["matched"] > 0.6 * languages["da"]["read"] > 150
    assert found["matched_in_the_language_of_their_author"] > 0.85


@pytest.mark.slow
def test_names_that_a_model_has_never_seen_find_their_emoji(real_data, tmp_path, monkeypatch):
    # Threads that wait for each other on a machine with other work cost more than they bring.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(examples.real_data, "curate", curate_here)
    shape = {**json.loads((ROOT / "training/model/configs/emoji.json").read_text()), **SMALLER}
    (tmp_path / "small.json").write_text(json.dumps(shape))
    options = f"--model {tmp_path}/small.json --batch-size 128 --learning-rate 0.003"
    found = emoji(real_data, tmp_path, 200, f"{options} --warmup-steps 20", every=6)
    chance = 10 * found["chance_R@1"]
    assert 0.04 < chance < 0.05 and found["held_out"] > 600
    # About 3.5 times chance was measured. By chance, 2 times would be 5 standard deviations away.
    assert found["text_to_image"]["R@10"] > 2 * chance
