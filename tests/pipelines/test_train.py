import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import training
from metadata.errors import ArtifactError, InputError
from pipelines.balance import BalanceOptions, balance_pairs
from pipelines.evaluate import evaluate_model
from pipelines.train import train_model
from tests.pipelines.helpers import match, png, write_metadata, write_pairs
from training.config import TrainConfig

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250,) * 3}
SHAPE = {
    "embed_dim": 16, "image_size": 16, "patch_size": 8, "vision_width": 32, "vision_layers": 1,
    "vision_head_width": 16, "text_width": 32, "text_layers": 1, "text_heads": 2,
    "context_length": 8, "vocab_size": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    (folder / "tiny.json").write_text(json.dumps(SHAPE))
    names = [name for name in COLOURS for _ in range(30)]
    rng = np.random.default_rng(0)
    images = [
        png(tuple(int(c) for c in np.clip(np.add(COLOURS[n], rng.integers(-9, 9, 3)), 0, 255)))
        for n in names
    ]
    metadata = write_metadata(folder / "metadata", {"en": list(COLOURS)})
    a = write_pairs(folder / "a.parquet", [f"something {n}" for n in names], image=images)
    match([a], metadata, folder / "matched")
    balance_pairs(
        matched=str(folder / "matched"),
        output=str(folder / "balanced"),
        options=BalanceOptions(t=1000, pairs_per_shard=50),
        quiet=True,
    )
    table = {"image": [png(c) for c in COLOURS.values()], "label": list(COLOURS)}
    pq.write_table(pa.table(table), folder / "classes.parquet")
    texts = [f"something {n}" for n in COLOURS]
    table = {"image": table["image"], "text": texts, "lang": ["en", "en", "de", "de"]}
    pq.write_table(pa.table(table), folder / "texts.parquet")
    return folder


def train(workspace, name, *, overwrite=False, steps=40, **config):
    return train_model(
        shards=str(workspace / "balanced/shards"),
        output=str(workspace / name),
        model=str(workspace / "tiny.json"),
        config=TrainConfig(
            **{"steps": steps, "batch_size": 32, "learning_rate": 3e-3, "warmup_steps": 4,
               "checkpoint_every": 10, "log_every": 5, **config}
        ),
        datacard=str(workspace / "balanced/datacard.json"),
        device="cpu",
        overwrite=overwrite,
        quiet=True,
    )  # fmt: skip


def weights(workspace, name):
    return torch.load(workspace / name / "checkpoints/final.pt", weights_only=True)["model"]


def test_a_model_learns_colours_and_is_used_with_one_call(workspace):
    card = train(workspace, "learned", steps=150)
    assert card["final_loss"] < 2.5 and card["parameters"] > 0
    found = evaluate_model([str(workspace / "classes.parquet")], run=str(workspace / "learned"))
    assert found["results"]["classes"]["top1"] == 1.0
    found = evaluate_model(
        [str(workspace / "texts.parquet")], run=str(workspace / "learned"), group_by="lang"
    )
    assert found["results"]["texts"]["image_to_text"]["R@1"] == 1.0
    assert set(found["results"]["texts"]["by_group"]) == {"en", "de"}
    model, preprocess, tokenize = training.load(str(workspace / "learned"))
    pixels = preprocess(Image.new("RGB", (40, 30), COLOURS["red"])).unsqueeze(0)
    image, text = model.encode_image(pixels), model.encode_text(tokenize(["something red"]))
    assert image.shape == text.shape == (1, 16)


def test_an_interrupted_run_ends_with_the_same_weights(workspace, monkeypatch):
    train(workspace, "straight")

    from training.trainer import Trainer

    step = Trainer.step

    def failing(self, batch):
        if self.step_number == 25:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", failing)
        train(workspace, "interrupted")
    assert not (workspace / "interrupted/modelcard.json").exists()
    with pytest.raises(ArtifactError, match="the run is not finished"):
        training.load(str(workspace / "interrupted"))
    train(workspace, "interrupted")
    a, b = weights(workspace, "straight"), weights(workspace, "interrupted")
    assert all(torch.equal(a[key], b[key]) for key in a)
    lines = [
        [json.loads(line) for line in (workspace / name / "log.jsonl").read_text().splitlines()]
        for name in ("straight", "interrupted")
    ]
    assert [(x["step"], x["loss"]) for x in lines[0]] == [(x["step"], x["loss"]) for x in lines[1]]


def test_a_finished_run_is_not_trained_again_and_others_are_refused(workspace):
    first = train(workspace, "done")
    before = (workspace / "done/checkpoints/final.pt").stat().st_mtime_ns
    assert train(workspace, "done") == first
    assert (workspace / "done/checkpoints/final.pt").stat().st_mtime_ns == before
    with pytest.raises(ArtifactError, match=r"train\.learning_rate: it was made with"):
        train(workspace, "done", learning_rate=1e-4)
    assert train(workspace, "done", learning_rate=1e-4, overwrite=True)["final_loss"] > 0


def test_a_damaged_checkpoint_says_what_to_do(workspace):
    train(workspace, "damaged")
    last = sorted((workspace / "damaged/checkpoints").glob("step-*"))[-1]
    last.write_bytes(last.read_bytes()[:100])
    (workspace / "damaged/checkpoints/final.pt").unlink()
    with pytest.raises(ArtifactError, match=r"step-000000040\.pt: not a readable checkpoint"):
        train(workspace, "damaged")


def test_shards_that_are_missing_or_too_small_are_errors(workspace, tmp_path):
    with pytest.raises(InputError, match="no shards"):
        train_model(
            shards=str(tmp_path), output=str(tmp_path / "run"), model="toy",
            config=TrainConfig(), quiet=True,
        )  # fmt: skip
    with pytest.raises(InputError, match="fewer than a batch of 4096"):
        train(workspace, "large", batch_size=4096)


def test_evaluation_needs_images_and_something_to_compare(workspace, tmp_path):
    train(workspace, "plain")
    run = str(workspace / "plain")
    pq.write_table(pa.table({"image": [png((1, 1, 1))]}), tmp_path / "none.parquet")
    with pytest.raises(InputError, match="expected a column label or text"):
        evaluate_model([str(tmp_path / "none.parquet")], run=run)
    pq.write_table(pa.table({"image": [b"no"], "label": ["red"]}), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="no usable image"):
        evaluate_model([str(tmp_path / "bad.parquet")], run=run)
    Path(tmp_path / "classes.txt").write_text("green\n")
    with pytest.raises(InputError, match="'blue' is not in this list of classes, nor are 2 others"):
        evaluate_model(
            [str(workspace / "classes.parquet")], run=run, classes=str(tmp_path / "classes.txt")
        )
