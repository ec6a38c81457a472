"""A run whose images grow: killed and gone on, in its log, on its card, and what is refused."""

import json

import pytest
import torch

from curate.api.calls.names import sizes_of
from curate.errors import ArtifactError, UsageError
from curate.pipelines.train.stage import TrainExtras
from curate.training.loop.config import TrainConfig
from curate.training.loop.resolution import phases, state_for
from curate.training.loop.trainer import Trainer
from curate.training.model.config import load_model_config
from curate.training.model.positions import VISION_POSITIONS
from tests.pipelines.train.test_train import assert_same, interrupt_at
from tests.pipelines.train_helpers import log_lines, train, weights, write_train_workspace
from tests.training.tiny_trainer import TINY, tiny_batch, tiny_trainer

GROWING = ((8, 0.5), (16, 0.5))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_train_workspace(tmp_path_factory.mktemp("resolution"))


@pytest.mark.parametrize("cut", [9, 12, 15], ids=["before", "at", "after"])
def test_a_killed_run_ends_with_the_same_weights(workspace, monkeypatch, cut):
    config = {"steps": 24, "resolution_schedule": GROWING, "ema_decay": 0.9, "checkpoint_every": 5}
    card = train(workspace, "straight", **config)
    name = f"cut-{cut}"
    interrupt_at(monkeypatch, cut, lambda: train(workspace, name, **config))
    train(workspace, name, **config)
    assert_same(weights(workspace, "straight"), weights(workspace, name))
    lines = [log_lines(workspace, run) for run in ("straight", name)]
    assert [(x["step"], x["loss"]) for x in lines[0]] == [(x["step"], x["loss"]) for x in lines[1]]
    assert {x["step"]: x["image_size"] for x in lines[0]} == {5: 8, 10: 8, 15: 16, 20: 16, 24: 16}
    assert weights(workspace, name)[VISION_POSITIONS].shape == (5, 32)
    expected = [{"image_size": 8, "last_step": 12}, {"image_size": 16, "last_step": 24}]
    assert card["resolutions"] == expected
    text = (workspace / "straight/modelcard.md").read_text()
    assert "- images: 8 pixels up to step 12, 16 pixels up to step 24" in text
    config["resolution_schedule"] = ((8, 0.25), (16, 0.75))
    with pytest.raises(ArtifactError, match=r"train\.resolution_schedule: it was made with"):
        train(workspace, name, **config)


@pytest.mark.parametrize("how, pairs", [("length", 120), ("entries", 60)])
def test_what_makes_a_batch_is_what_a_run_is_made_of(workspace, monkeypatch, how, pairs):
    few = {"steps": 12, "batch_size": 16}
    extras = TrainExtras(batch_by=how)
    card = train(workspace, f"{how}-straight", extras=extras, **few)
    interrupt_at(monkeypatch, 11, lambda: train(workspace, how, extras=extras, **few))
    with pytest.raises(ArtifactError, match=r"loader\.batch_by: it was made with"):
        train(workspace, how, **few)
    train(workspace, how, extras=extras, **few)
    assert_same(weights(workspace, how), weights(workspace, f"{how}-straight"))
    assert card["pairs_per_epoch"] == pairs
    assert ("other_entries" in card["skipped"]) == (how == "entries")


def test_state_of_small_images_becomes_that_of_large_ones():
    small = tiny_trainer(ema_decay=0.9)
    for seed in range(3):
        small.step(tiny_batch(seed=seed))
    shape = load_model_config("vit-b-32").__class__(
        **{**{f: getattr(TINY, f) for f in TINY.__dataclass_fields__}, "image_size": 32}
    )
    state = small.state()
    found = state_for(state, shape)
    large = Trainer(shape, TrainConfig(steps=10, batch_size=8, ema_decay=0.9), 2)
    large.load_state(found)
    old = state["model"][VISION_POSITIONS]
    new = large.model.visual.positional_embedding.detach()
    assert new.shape == (17, 16) and torch.equal(new[0], old[0])
    # Twice as many patches a side, between which nothing is made up: the mean stays.
    assert torch.allclose(new[1:].mean(0), old[1:].mean(0), atol=1e-3)
    moments = found["optimizer"][VISION_POSITIONS]
    assert moments["exp_avg_sq"].min() >= 0 and moments["exp_avg_sq"].shape == (17, 16)
    assert state_for(state, TINY)["model"].keys() == state["model"].keys()
    assert torch.equal(state_for(state, TINY)["model"][VISION_POSITIONS], old)


def test_steps_are_shared_out_to_the_last(workspace):
    shape = load_model_config("vit-b-32")
    found = phases(TrainConfig(steps=7, resolution_schedule=((96, 0.5), (224, 0.5))), shape)
    assert [(p.image_size, p.first, p.end) for p in found] == [(96, 0, 4), (224, 4, 7)]


@pytest.mark.parametrize(
    "schedule, message",
    [
        ("112", "--resolution-schedule is '112'; expected sizes"),
        ("8:0.5,16:0.6", "--resolution-schedule is 8:0.5,16:0.6; expected sizes with shares"),
        ("8:1", "ends with images of 8 pixels; expected those of the model that comes out, 16"),
        ("12:0.5,16:0.5", "has images of 12 pixels; expected a multiple of the model's patches, 8"),
        ("8:0.999,16:0.001", "images of 16 pixels 0.001 of 40 steps, which is less than one"),
    ],
)
def test_schedules_that_cannot_be_are_refused_before_anything_is_written(
    workspace, schedule, message
):
    with pytest.raises(UsageError, match=message):
        train(workspace, "refused", resolution_schedule=sizes_of(schedule))
    with pytest.raises(UsageError, match="--batch-by is 'size'"):
        TrainExtras(batch_by="size")
    assert not (workspace / "refused").exists()
    assert json.loads((workspace / "tiny.json").read_text())["image_size"] == 16
