"""`train --teacher`: a student that learns from a run as well."""

import json

import pytest

import curate
from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.train.stage import TrainExtras
from curate.training.loop.config import DistillConfig
from tests.pipelines.train.test_train import assert_same, interrupt_at
from tests.pipelines.train_helpers import SHAPE, train, weights, write_train_workspace

DISTILL = DistillConfig(teacher_scale=None, feature_weight=0.5)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Shards, and a teacher of another width, resolution and tokenizer than the students."""
    folder = write_train_workspace(tmp_path_factory.mktemp("teacher"))
    shape = {**SHAPE, "embed_dim": 24, "image_size": 24, "vision_width": 48, "vocab_size": 280,
             "context_length": 12}  # fmt: skip
    (folder / "large.json").write_text(json.dumps(shape))
    curate.train(
        name="teacher", model=str(folder / "large.json"), shards=str(folder / "balanced/shards"),
        workspace=str(folder), steps=60, batch_size=32, learning_rate=3e-3, warmup_steps=4,
        device="cpu", threads=1, quiet=True,
    )  # fmt: skip
    return folder


def learn(workspace, name, *, teacher="runs/teacher", **config):
    extras = TrainExtras(teacher=str(workspace / teacher))
    return train(workspace, name, extras=extras, **{"distill": DISTILL, **config})


def test_a_student_learns_from_a_run_and_its_card_says_so(workspace):
    card = learn(workspace, "student")
    assert card["teacher"]["name"] == "teacher" and len(card["teacher"]["weights_sha256"]) == 64
    assert card["train"]["distill"]["feature_weight"] == 0.5
    assert "- teacher: teacher, sha256" in (workspace / "student/modelcard.md").read_text("utf-8")
    model, _, tokenize = curate.load(workspace / "student")
    assert model.config.embed_dim == 16 and tokenize(["something red"]).shape == (1, 8)
    assert not any("projection.0" in key for key in weights(workspace, "student"))


def test_an_interrupted_student_ends_with_the_same_weights(workspace, monkeypatch):
    learn(workspace, "straight")
    interrupt_at(monkeypatch, 25, lambda: learn(workspace, "interrupted"))
    learn(workspace, "interrupted")
    assert_same(weights(workspace, "straight"), weights(workspace, "interrupted"))


def test_another_teacher_or_none_is_another_run(workspace):
    learn(workspace, "mine", steps=4, warmup_steps=1)
    train(workspace, "other", steps=4, warmup_steps=1)
    with pytest.raises(ArtifactError, match=r"teacher\.weights_sha256: it was made with"):
        learn(workspace, "mine", teacher="other", steps=4, warmup_steps=1)
    with pytest.raises(ArtifactError, match="mine was made with something else"):
        train(workspace, "mine", steps=4, warmup_steps=1)
    with pytest.raises(ArtifactError, match=r"distill\.relation_weight"):
        other = DistillConfig(teacher_scale=None, feature_weight=0.5, relation_weight=2)
        learn(workspace, "mine", steps=4, warmup_steps=1, distill=other)


def test_what_is_no_teacher_is_told(workspace, tmp_path):
    common = {"shards": str(workspace / "balanced/shards"), "workspace": str(workspace),
              "model": str(workspace / "tiny.json"), "steps": 2, "device": "cpu", "quiet": True,
              "output": str(tmp_path / "run")}  # fmt: skip
    with pytest.raises(InputError, match="there are no weights here"):
        curate.train(teacher="tacher", **common)
    final = workspace / "runs/teacher/checkpoints/final.pt"
    (tmp_path / "bare.pt").write_bytes(final.read_bytes())
    with pytest.raises(UsageError, match="a file of weights alone; expected a run"):
        curate.train(teacher=str(tmp_path / "bare.pt"), **common)
    with pytest.raises(UsageError, match="--teacher with --loss siglip"):
        curate.train(teacher="teacher", loss="siglip", **common)
    with pytest.raises(UsageError, match="--teacher-scale is 'hot'; expected a number, or own"):
        curate.train(teacher="teacher", teacher_scale="hot", **common)
    assert not (tmp_path / "run/checkpoints").exists()
