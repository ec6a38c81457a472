import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.caption_tables import CaptionOptions
from curate.pipelines.store import artifacts
from curate.pipelines.train.consumed import Consumed
from curate.pipelines.train.stage import TrainExtras
from curate.pipelines.train.students import train_students
from curate.training.data.loader import Loader, LoaderConfig
from curate.training.loop.config import DistillConfig, TrainConfig
from curate.training.loop.trainer import Trainer
from curate.training.text.tokenizer import learn_tokenizer
from tests.in_process import run_here
from tests.pipelines.train_helpers import (
    train,
    weights,
    words,
    write_train_workspace,
)
from tests.training.ranks import run_command_on_ranks
from tests.training.shard_files import sample, write_tar


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("train"))
    kept = artifacts.read_table(str(folder / "matched/pairs/00000.parquet"), ["pair_id", "text"])
    ids, texts = kept.column("pair_id").to_pylist(), kept.column("text").to_pylist()
    num = len(ids) // 2
    pq.write_table(
        pa.table({
            "pair_id": [*ids[:num], "unknown"], "text": [f"re {t}" for t in texts[: num + 1]],
            "source": ["altogether"] * (num + 1),
        }),
        folder / "captions.parquet",
    )  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def captions_of(workspace, **options):
    return CaptionOptions(tables=[str(workspace / "captions.parquet")], **options)


def extras(workspace, **options):
    return TrainExtras(captions=captions_of(workspace, **options))


def test_the_card_says_what_was_consumed_from_which_source(workspace):
    card = train(workspace, "mixed", extras=extras(workspace, syn_ratio=0.5))
    consumed = json.loads((workspace / "mixed/consumed.json").read_text())
    sources = consumed["sources"]
    assert sources["alt"]["pairs"] + sources["altogether"]["pairs"] == 40 * 32 == consumed["pairs"]
    # Half of the pairs have a caption, which half of the draws take; 5 standard deviations.
    assert abs(sources["altogether"]["share"] - 0.25) < 5 * (0.25 * 0.75 / 1280) ** 0.5
    assert card["captions"]["pairs"] == 61 and card["captions"]["mix"]["syn_ratio"] == 0.5
    text = (workspace / "mixed/modelcard.md").read_text()
    assert f"- texts by source: alt {sources['alt']['pairs']:,}" in text
    assert "- captions: 61 of 61 pairs, 0 repeated, left out: none" in text


def test_a_run_without_captions_is_what_it_was_and_has_one_source(workspace):
    train(workspace, "plain")
    config = json.loads((workspace / "plain/config.json").read_text())
    assert "captions" not in config["loader"]
    consumed = json.loads((workspace / "plain/consumed.json").read_text())
    assert consumed["sources"] == {"alt": {"pairs": 1280, "share": 1.0}}
    assert "texts by source" not in (workspace / "plain/modelcard.md").read_text()


def test_a_run_with_captions_goes_on_bit_for_bit(workspace, monkeypatch):
    chosen = extras(workspace, weights={"alt": 0.5, "altogether": 0.5})
    whole = train(workspace, "whole", extras=chosen)
    step = Trainer.step

    def failing(self, batch):
        if self.step_number == 25:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        train(workspace, "killed", extras=chosen)
    monkeypatch.setattr(Trainer, "step", step)
    again = train(workspace, "killed", extras=chosen)
    a, b = weights(workspace, "whole"), weights(workspace, "killed")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert again["consumed_sha256"] == whole["consumed_sha256"]


def test_a_run_does_not_go_on_with_other_captions_or_shares(workspace):
    train(workspace, "one", steps=10, extras=extras(workspace, syn_ratio=0.5))
    with pytest.raises(ArtifactError, match=r"loader\.captions\.syn_ratio: it was made with 0\.5"):
        train(workspace, "one", steps=10, extras=extras(workspace, syn_ratio=0.25))
    with pytest.raises(ArtifactError, match=r"loader\.captions"):
        train(workspace, "one", steps=10)


def test_students_and_lanes_are_trained_on_captions_as_well(workspace):
    config = {"steps": 12, "batch_size": 32, "warmup_steps": 2, "checkpoint_every": 6}
    train(workspace, "teacher", **{**config, "steps": 4})
    given = TrainExtras(
        teacher=str(workspace / "teacher"), captions=captions_of(workspace, syn_ratio=0.5),
        lanes=2, threads=1,
    )  # fmt: skip
    distill = DistillConfig(teacher_scale=None)
    found = train_students(
        shards=str(workspace / "balanced/shards"), output=str(workspace / "students"),
        students=[str(workspace / "tiny.json")], device="cpu", quiet=True, extras=given,
        config=TrainConfig(**config, learning_rate=3e-3, distill=distill, log_every=5),
    )  # fmt: skip
    single = train(workspace, "by_itself", extras=given, distill=distill, **config)
    card = found["students"]["tiny"]
    assert card["captions"] == single["captions"] and card["loader"]["lanes"] == 2
    assert card["consumed_sha256"] == single["consumed_sha256"]
    consumed = json.loads((workspace / "students/tiny/consumed.json").read_text())
    assert consumed["sources"]["altogether"]["pairs"] > 0
    a, b = weights(workspace, "students/tiny"), weights(workspace, "by_itself")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_with_captions_goes_on_without_a_shard_that_is_lost(workspace, tmp_path):
    shards = workspace / "balanced/shards"
    lost, aside = sorted(shards.glob("*.tar"))[-1], tmp_path / "aside.tar"
    given = extras(workspace, syn_ratio=0.5)
    config = {"steps": 10, "checkpoint_every": 5}
    train(workspace, "losing", extras=given, **config)
    for name in ("modelcard.json", "checkpoints/final.pt", "checkpoints/step-000000010.pt"):
        (workspace / "losing" / name).unlink()
    lost.rename(aside)
    try:
        card = train(workspace, "losing", extras=replace(given, allow_lost=True), **config)
    finally:
        aside.rename(lost)
    assert card["captions"]["pairs"] == 61 and card["pairs_seen"] == 320
    assert card["skipped"]["missing_sample"] >= 20


def test_captions_of_other_pairs_or_without_a_share_are_refused_before_a_step(workspace, tmp_path):
    pq.write_table(pa.table({"pair_id": ["unknown"], "text": ["x"]}), tmp_path / "other.parquet")
    other = CaptionOptions(tables=[str(tmp_path / "other.parquet")], syn_ratio=0.5)
    with pytest.raises(InputError, match="has a caption in"):
        train(workspace, "other", extras=TrainExtras(captions=other))
    with pytest.raises(UsageError, match="give --syn-ratio"):
        train(workspace, "none", extras=extras(workspace))
    assert not (workspace / "none/checkpoints").exists()


@pytest.mark.slow
def test_two_processes_draw_what_one_does(workspace, tmp_path):
    more = ["--captions", workspace / "captions.parquet", "--syn-ratio", "0.5"]
    run_here(words(workspace, "alone", *more))
    run_command_on_ranks(words(workspace, "pair", *more), 2, tmp_path)
    one, two = (
        json.loads((workspace / n / "consumed.json").read_text()) for n in ("alone", "pair")
    )
    assert one["sources"] == two["sources"] and len(one["sources"]) == 2


def test_counts_of_ranks_and_of_old_checkpoints_add_up():
    one, two = Consumed(), Consumed()
    one.add(["en"], [[1]], ["alt"])
    two.add(["en", "de"], [[1], [2]], ["a", "alt"])
    one.merge([two.state(), {"pairs": {"en": 1}, "entries": {}}])
    assert one.sources == {"alt": 2, "a": 1}
    assert one.card(lambda *_: None)["sources"]["a"] == {"pairs": 1, "share": 0.25}


def mixed_batches(tar, mix, **options):
    tokenizer = learn_tokenizer(["a dog", "caption 000"], 300, 16)
    config = LoaderConfig(image_size=8, batch_size=2, seed=1, **options)
    return Loader([tar], tokenizer, config, texts=mix), tokenizer


def test_images_without_any_text_are_trained_on_by_their_captions(tmp_path):
    from curate.pipelines.caption_tables.join import caption_identity, joined_captions

    samples = [sample(f"{i:03}", text=None) for i in range(4)]
    tar = write_tar(tmp_path / "0.tar", samples)
    table = pa.table({"pair_id": ["000", "001"], "text": ["a dog", "a dog"], "source": ["x", "y"]})
    pq.write_table(table, tmp_path / "t.parquet")
    options = CaptionOptions(
        tables=[str(tmp_path / "t.parquet")], weights={"x": 1.0, "y": 1.0}, cache=str(tmp_path)
    )
    index = joined_captions(options, caption_identity(options)["tables"], quiet=True)
    loader, tokenizer = mixed_batches(tar, options.mix(1, index))
    stream = loader.batches()
    batches = [next(stream) for _ in range(2)]
    stream.close()
    ids = [i for batch in batches for i in batch.pair_ids]
    assert set(ids) == {"000", "001"} and sum(b.skipped.get("no_caption", 0) for b in batches) == 2
    expected = tokenizer.encode(["a dog"])[0].tolist()
    assert all(row.tolist() == expected for batch in batches for row in batch.tokens)
    assert {s for b in batches for s in b.sources} <= {"x", "y"}


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_text_of_a_pair_in_an_epoch_is_the_same_in_any_lane(tmp_path, lanes):
    tars = []
    for shard in range(4):
        samples = [sample(f"{shard}{i:02}", caption=f"said {shard}{i:02}") for i in range(8)]
        tars.append(write_tar(tmp_path / f"{shard}.tar", samples))
    mix = CaptionOptions(json_keys=["caption"], syn_ratio=0.5).mix(1, None)
    tokenizer = learn_tokenizer([f"said {i}" for i in range(99)], 300, 16)
    config = LoaderConfig(image_size=8, batch_size=4, seed=1, shuffle_pairs=8, lanes=lanes)
    loader = Loader(tars, tokenizer, config, texts=mix, num_samples=dict.fromkeys(tars, 8))
    stream = loader.batches()
    for epoch in range(3):
        seen = [next(stream) for _ in range(8)]
        ids = [i for batch in seen for i in batch.pair_ids]
        assert sorted(ids) == sorted(f"{s}{i:02}" for s in range(4) for i in range(8))
        chosen = [mix.choose(i, epoch, f"caption {i}", {"caption": f"said {i}"}) for i in ids]
        assert [s for batch in seen for s in batch.sources] == [one.source for one in chosen]
        expected = tokenizer.encode([one.text for one in chosen]).tolist()
        assert [row.tolist() for batch in seen for row in batch.tokens] == expected
    stream.close()


def test_json_fields_of_a_shard_are_drawn(tmp_path):
    samples = [sample(f"{i:03}", caption=f"said {i}", recaption=[f"more {i}"]) for i in range(4)]
    tar = write_tar(tmp_path / "0.tar", samples)
    options = CaptionOptions(json_keys=["caption", "recaption"], weights={"recaption": 1.0})
    loader, tokenizer = mixed_batches(tar, options.mix(1, None))
    stream = loader.batches()
    batch = next(stream)
    stream.close()
    assert list(batch.sources) == ["recaption"] * 2
    expected = tokenizer.encode([f"more {int(i)}" for i in batch.pair_ids])
    assert (batch.tokens == expected).all()
