"""A run whose shards and results are behind URLs."""

import fsspec
import pytest
import torch

from curate import training
from curate.errors import ArtifactError
from curate.pipelines.evaluate.stage import evaluate_model
from curate.pipelines.export.stage import export_model
from curate.pipelines.train.stage import TrainExtras, train_model
from curate.training.loop.config import TrainConfig
from tests.pipelines.train_helpers import train, weights, write_train_workspace

FAR = "memory://train-far"
CONFIG = {
    "steps": 8, "batch_size": 32, "warmup_steps": 2, "checkpoint_every": 3, "learning_rate": 3e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("remote"))
    memory = fsspec.filesystem("memory")
    # Without what `balance` wrote beside the shards, as those of others are.
    for path in sorted((folder / "balanced/shards").glob("*.tar")):
        memory.put(str(path), f"/train-far/shards/{path.name}")
    (folder / "balanced/shards/00000.json").rename(folder / "kept.json")
    (folder / "balanced/shards/00000.json").write_text("[]")  # a foreign file of that name
    yield folder
    memory.rm("/train-far", recursive=True)


def far(workspace, name, **changes):
    return train_model(
        shards=f"{FAR}/shards", output=f"{FAR}/runs/{name}", model=str(workspace / "tiny.json"),
        config=TrainConfig(**{**CONFIG, **changes}), device="cpu", quiet=True,
        extras=TrainExtras(shard_cache=str(workspace / "cache")),
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_behind_urls_is_that_of_local_files_and_is_evaluated_and_exported(workspace):
    card = far(workspace, "a")
    train(workspace, "near", **CONFIG)
    expected = weights(workspace, "near")
    with fsspec.open(f"{FAR}/runs/a/checkpoints/final.pt") as file:
        found = torch.load(file, weights_only=True)["model"]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert card["pairs_seen"] == 8 * 32 and list((workspace / "cache").glob("*.tar"))
    model, _, tokenize = training.load(f"{FAR}/runs/a")
    assert model.encode_text(tokenize(["something red"])).shape == (1, 16)
    results = [
        evaluate_model([str(workspace / "classes.parquet")], run=run, device="cpu")["results"]
        for run in (f"{FAR}/runs/a", str(workspace / "near"))
    ]
    assert results[0] == results[1]
    exported = export_model(f"{FAR}/runs/a", output=None, export_format="huggingface")
    assert exported["output"] == f"{FAR}/runs/a/export/huggingface"
    again, _, _ = training.load(exported["output"])
    assert torch.equal(again.text_projection, model.text_projection)


@pytest.mark.slow
def test_it_goes_on_begins_others_and_refuses_other_shards(workspace):
    far(workspace, "b")
    again = train_model(
        shards=f"{FAR}/shards", output=f"{FAR}/runs/c", model=str(workspace / "tiny.json"),
        config=TrainConfig(**CONFIG), device="cpu", quiet=True,
        extras=TrainExtras(init=f"{FAR}/runs/b", shard_cache=str(workspace / "cache")),
    )  # fmt: skip
    assert again["init_sha256"] is not None and again["tokenizer_sha256"] is not None
    memory = fsspec.filesystem("memory")
    memory.rm("/train-far/runs/b/modelcard.json")
    assert far(workspace, "b")["final_loss"] > 0, "it goes on from its last checkpoint"
    memory.pipe("/train-far/shards/00000.tar", memory.cat("/train-far/shards/00000.tar")[:-512])
    with pytest.raises(ArtifactError, match="shards"):
        far(workspace, "b")
