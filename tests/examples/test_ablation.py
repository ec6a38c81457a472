"""The ablation and the emoji's locales, small: that they run, and that pools are what they say."""

import tarfile
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.curation import hash_draws, normalize_entry, normalize_text
from curate.pipelines.train.loading import read_online
from curate.training.data.loader import Loader, LoaderConfig, Position, list_shards
from curate.training.model.config import load_model_config
from curate.training.text.tokenizer import learn_tokenizer
from examples.ablation import runs as ablation_runs
from examples.ablation.__main__ import MODEL, ablate
from examples.ablation.pools import (
    concept_names,
    raw_pairs,
    read_web,
    write_shards,
)
from examples.ablation.runs import Ablation, prepare, write_pool
from examples.ablation.table import gain, gains, table
from examples.emoji import HELD_OUT_LOCALES, write_emoji
from examples.toyweb.world import LANGUAGES, Scene, caption
from tests.in_process import curate_here

TINY = Ablation(
    rows=1500, steps=4, batch_size=32, seeds=1, thresholds=(5,), online_t=5, eval_rows=80,
    jobs=1, model=str(MODEL), learning_rate=0.003,
)  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    return folder, prepare(folder, TINY)


def members(folder):
    """Yield name and content of the files in a folder's tars."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                yield member.name, tar.extractfile(member).read()


def keys(folder):
    return {name.rpartition(".")[0] for name, _ in members(folder)}


def test_a_pool_is_what_balancing_keeps(web):
    folder, matched = web
    ids = np.array(matched.pairs.column("pair_id").to_pylist())
    entry_ids = matched.pairs.column("entry_ids").to_pylist()
    langs = matched.pairs.column("lang").to_pylist()
    thresholds = matched.thresholds(5)
    assert thresholds["en"] == 5 and set(thresholds) == set(LANGUAGES)
    for seed in (0, 3):
        shards = write_pool(folder, matched, TINY, "balanced t=5", seed)
        draws = hash_draws(pa.array(ids), seed)
        expected = set()
        for pair, entries, lang, draw in zip(ids, entry_ids, langs, draws, strict=True):
            missed = 1.0
            for entry in entries:
                missed *= 1 - min(1, thresholds[lang] / matched.counts[lang][entry])
            if draw < 1 - missed:
                expected.add(pair)
        assert keys(shards) == expected and 0 < len(expected) < len(ids)
    assert keys(write_pool(folder, matched, TINY, "matched", 0)) == set(ids)


def test_every_concept_is_an_entry_in_every_language():
    for lang in LANGUAGES:
        names = concept_names(lang)
        assert len(set(names)) == len(names) == (80 if lang in ("ja", "zh") else 160), lang
    assert {"red circle", "red circles"} <= set(concept_names("en"))
    # A caption of the concept holds its name, in the singular or the plural.
    for lang in LANGUAGES:
        for number in (1, 2, 3):
            text = normalize_text(caption(Scene(3, 4, texture=1, number=number), lang, 1))
            names = concept_names(lang)
            forms = len(names) // 80
            at = forms * Scene(3, 4).concept
            assert any(normalize_entry(n) in text for n in names[at : at + forms]), (lang, text)


def test_the_raw_pool_holds_more_than_matches(web, tmp_path):
    folder, matched = web
    num_raw = write_shards(tmp_path / "raw", raw_pairs(read_web(folder / "web")))
    assert matched.pairs.num_rows < num_raw <= 1500
    assert write_shards(tmp_path / "raw", iter(())) == num_raw  # not written twice


def test_the_online_pool_is_drawn_anew_for_every_epoch(web):
    folder, matched = web
    tars = list_shards(str(write_pool(folder, matched, TINY, "online t=5", 7)))
    config = LoaderConfig(batch_size=16, image_size=8, seed=7)
    tokenizer = learn_tokenizer(["a red dog"], 300, 8)
    loader = Loader(tars, tokenizer, config, online=read_online(str(folder / "online")))
    epochs = defaultdict(set)
    for batch in loader.batches(Position()):
        if batch.end.epoch > 1:
            break
        epochs[batch.end.epoch] |= set(batch.pair_ids)
    ids = np.array(matched.pairs.column("pair_id").to_pylist())
    for epoch, found in epochs.items():
        expected = set(ids[matched.kept(5, 7 + epoch)])
        # What is left of an epoch and fills no batch is not trained on.
        assert found <= expected and len(expected) - len(found) < 16
    assert epochs[0] != epochs[1]


def test_the_table_shows_means_with_intervals():
    runs = [{"all": 0.5, "head": 0.6, "tail": 0.4}, {"all": 0.7, "head": 0.8, "tail": 0.6}]
    found = {"matched": runs, "balanced t=5": [{k: v + 0.1 for k, v in r.items()} for r in runs]}
    lines = table(found, {"matched": 1000, "balanced t=5": 50}).splitlines()
    # The standard deviation of 0.5 and 0.7 is 0.2 / sqrt(2) = 0.141; 12.706 · 0.141 / sqrt(2).
    shown = "| matched | 1,000 | 60.0% ± 127.1% | 70.0% ± 127.1% | 50.0% ± 127.1% | 14.1% |"
    assert lines[2] == shown
    assert gains(found, [("balanced t=5", "matched")]).splitlines()[2] == (
        "| balanced t=5 | matched | +10.0% ± 0.0% | +10.0% ± 0.0% | +10.0% ± 0.0% |"
    )
    mean, spread = gain(found, "balanced t=5", "matched", "tail")
    assert mean == pytest.approx(0.1) and spread == pytest.approx(0, abs=1e-9)
    one = {"matched": runs[:1]}
    assert "50.0% ± 0.0%" in table(one, {"matched": 1})


@pytest.mark.slow
def test_the_whole_ablation_runs(web, capsys, monkeypatch):
    monkeypatch.setattr(ablation_runs, "curate", curate_here)
    folder, _ = web
    found = ablate(folder, TINY)
    assert set(found["pools"]) == {"raw", "matched", "balanced t=5", "online t=5"}
    for runs in found["accuracy"].values():
        assert all(0 <= run[f] <= 1 for run in runs for f in ("all", "head", "tail"))
    shown = capsys.readouterr().out
    assert "| online t=5 |" in shown and "| balanced t=5 | matched | " in shown
    kept = folder / "results/raw-seed0.json"
    before = kept.stat().st_mtime_ns
    assert (
        ablate(folder, replace(TINY, only=("raw",)))["accuracy"]["raw"]
        == (found["accuracy"]["raw"])
    )
    assert kept.stat().st_mtime_ns == before, "what was done is not done again"


def test_the_model_of_the_ablation_is_a_small_one():
    config = load_model_config(str(MODEL))
    assert (config.image_size, config.embed_dim) == (32, 64)


@pytest.mark.slow
def test_locales_are_held_out_as_a_whole(real_data, tmp_path):
    num_train, num_held = write_emoji(real_data, tmp_path, locales=HELD_OUT_LOCALES, every=4)
    texts = [c.decode() for name, c in members(tmp_path / "shards") if name.endswith(".txt")]
    assert len(texts) == num_train > 12_500
    every = pq.read_table(tmp_path / "locales.parquet", columns=["text", "lang"])
    new = pq.read_table(tmp_path / "new.parquet", columns=["text", "lang"])
    assert set(every.column("lang").to_pylist()) == set(HELD_OUT_LOCALES)
    spelled_anew = set(new.column("text").to_pylist())
    assert not spelled_anew & set(texts)
    assert set(every.column("text").to_pylist()) - spelled_anew <= set(texts)
    held = pq.read_table(tmp_path / "held_out.parquet", columns=["text", "lang"])
    assert held.num_rows == num_held and not set(held.column("text").to_pylist()) & set(texts)
    assert not set(held.column("lang").to_pylist()) & set(HELD_OUT_LOCALES)
