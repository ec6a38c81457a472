"""`train --teacher`: a student that learns from a run as well."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import curate
from curate.errors import ArtifactError, InputError, UsageError
from curate.files.remedies import on_command_line
from curate.pipelines.embedded.lookup import StoredVectors
from curate.pipelines.train.stage import TrainExtras
from curate.pipelines.train.students import train_students
from curate.pipelines.train.told.view import train_table
from curate.training.loop.config import DistillConfig, TrainConfig
from curate.training.loop.distill import Distiller
from curate.training.loop.trainer import Trainer
from curate.training.text.tokenizer import learn_tokenizer
from tests.pipelines.train.test_train import assert_same, interrupt_at
from tests.pipelines.train_helpers import (
    SHAPE,
    log_lines,
    train,
    weights,
    write_train_workspace,
)
from tests.training.ranks import run_on_ranks

DISTILL = DistillConfig(teacher_scale=None, feature_weight=0.5)


@pytest.fixture(autouse=True)
def told_as_to_a_shell():
    with on_command_line():
        yield


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


def write_students(workspace):
    """Shapes of three students: one smaller, one of another resolution, one of its own words."""
    (workspace / "small.json").write_text(json.dumps({**SHAPE, "vision_width": 16}))
    (workspace / "sharp.json").write_text(json.dumps({**SHAPE, "image_size": 24}))
    (workspace / "own.json").write_text(json.dumps({**SHAPE, "context_length": 12}))
    words = workspace / "runs/teacher/tokenizer.json"
    return [str(workspace / "small.json"), str(workspace / "sharp.json"),
            f"{workspace / 'own.json'}@{words}"]  # fmt: skip


def learn_together(workspace, name, students, **config):
    values = {"steps": 20, "batch_size": 32, "learning_rate": 3e-3, "warmup_steps": 4,
              "checkpoint_every": 5, "log_every": 5, "distill": DISTILL, **config}  # fmt: skip
    return train_students(
        shards=str(workspace / "balanced/shards"), output=str(workspace / name),
        students=students, config=TrainConfig(**values), device="cpu", quiet=True,
        extras=TrainExtras(teacher=str(workspace / "runs/teacher"), threads=1),
    )  # fmt: skip


def test_students_of_one_teacher_are_runs_of_their_own(workspace, monkeypatch):
    asked = []
    features = Distiller.features
    monkeypatch.setattr(
        Distiller, "features", lambda *args: asked.append(args[2].shape) or features(*args)
    )
    found = learn_together(workspace, "group", write_students(workspace))["students"]
    assert asked == [(32, 3, 24, 24)] * 20, "the teacher sees each batch once"
    assert list(found) == ["small", "sharp", "own"]
    for name, size, length in (("small", 16, 8), ("sharp", 24, 8), ("own", 16, 12)):
        model, _, tokenize = curate.load(workspace / "group" / name)
        assert model.config.image_size == size and tokenize(["a"]).shape == (1, length)
        losses = [line["loss"] for line in log_lines(workspace, f"group/{name}")]
        assert losses[-1] < losses[0] and found[name]["teacher"]["name"] == "teacher"
    again = learn_together(workspace, "group", write_students(workspace))["students"]
    assert again == found and len(asked) == 20
    assert "small" in train_table({"students": found}, "group")


@pytest.mark.slow
def test_a_student_among_others_is_the_student_alone(workspace):
    # All of one resolution: the same pairs, crops and teacher, so the same weights.
    students = [s for s in write_students(workspace) if "sharp" not in s]
    learn_together(workspace, "pair", students)
    learn_together(workspace, "alone", students[:1])
    assert_same(weights(workspace, "pair/small"), weights(workspace, "alone/small"))
    extras = TrainExtras(teacher=str(workspace / "runs/teacher"), threads=1)
    options = {"steps": 20, "checkpoint_every": 5, "distill": DISTILL}
    shutil.copy(workspace / "small.json", workspace / "tiny.json")
    train(workspace, "single", extras=extras, **options)
    assert_same(weights(workspace, "pair/small"), weights(workspace, "single"))
    (workspace / "tiny.json").write_text(json.dumps(SHAPE))


@pytest.mark.slow
def test_students_go_on_from_the_last_step_that_all_have(workspace, monkeypatch):
    students = write_students(workspace)
    learn_together(workspace, "whole", students)
    # The second student of three is killed before it saves step 10.
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        step = Trainer.step

        def failing(self, batch, taught=None):
            if self.step_number == 9 and self.model.config.image_size == 24:
                raise KeyboardInterrupt
            return step(self, batch, taught)

        patch.setattr(Trainer, "step", failing)
        learn_together(workspace, "cut", students)
    there = [sorted(p.name for p in (workspace / "cut" / n / "checkpoints").iterdir())
             for n in ("small", "sharp")]  # fmt: skip
    assert there == [["step-000000005.pt", "step-000000010.pt"], ["step-000000005.pt"]]
    learn_together(workspace, "cut", students)
    for name in ("small", "sharp", "own"):
        assert_same(weights(workspace, f"whole/{name}"), weights(workspace, f"cut/{name}"))
        lines = [[(x["step"], x["loss"]) for x in log_lines(workspace, f"{run}/{name}")]
                 for run in ("whole", "cut")]  # fmt: skip
        assert lines[0] == lines[1]


def test_students_that_cannot_be_meant_are_refused(workspace, tmp_path):
    students = write_students(workspace)
    with pytest.raises(UsageError, match="two students are called small"):
        learn_together(workspace, "twice", [students[0]] * 2)
    with pytest.raises(UsageError, match="need --keep-checkpoints 2 or more"):
        learn_together(workspace, "keep", students, keep_checkpoints=1)
    common = {"shards": str(workspace / "balanced/shards"), "output": str(tmp_path / "run"),
              "steps": 2, "device": "cpu", "quiet": True, "workspace": str(workspace)}  # fmt: skip
    with pytest.raises(UsageError, match="--students learn from a --teacher"):
        curate.train(students=students, **common)
    with pytest.raises(UsageError, match="--students with --overwrite"):
        curate.train(students=students, teacher="teacher", overwrite=True, **common)
    found = curate.train(
        students=students[:1], teacher="teacher", batch_size=32, warmup_steps=1, threads=1,
        **common,
    )  # fmt: skip
    assert found["students"]["small"]["train"]["steps"] == 2
    with pytest.raises(ArtifactError, match="small was made with something else"):
        curate.train(students=students[:2], teacher="teacher", batch_size=32, warmup_steps=1,
                     threads=1, teacher_scale="own", **common)  # fmt: skip


def test_a_student_of_a_trimmed_vocabulary_has_a_smaller_table(workspace, tmp_path):
    write_students(workspace)
    words = learn_tokenizer(["something red, green, blue", "elephants in gardens"] * 9, 300, 12)
    (tmp_path / "words.json").write_text(words.to_json())
    found = curate.train(
        students=f"{workspace / 'own.json'}@{tmp_path / 'words.json'}", teacher="teacher",
        trim_vocabulary=True,
        shards=str(workspace / "balanced/shards"), output=str(tmp_path / "run"), steps=6,
        batch_size=32, warmup_steps=1, workspace=str(workspace), device="cpu", threads=1,
        quiet=True,
    )["students"]["own"]  # fmt: skip
    folder = tmp_path / "run/own"
    ids = json.loads((folder / "tokenizer.json").read_text())["trimmed_from"]
    rows = weights(tmp_path, "run/own")["token_embedding.weight"]
    assert len(rows) == found["model"]["vocab_size"] == len(ids) < words.vocab_size
    model, _, tokenize = curate.load(folder)
    whole = words.encode(["something red"])[0].tolist()
    small = tokenize(["something red"])[0].tolist()
    end = whole.index(words.eos_id) + 1
    assert [ids[i] for i in small[:end]] == whole[:end] and model.config.vocab_size == len(ids)
    with pytest.raises(UsageError, match="has nothing that they do not use"):
        curate.train(model=str(workspace / "own.json"), trim_vocabulary=True, steps=2,
                     shards=str(workspace / "balanced/shards"), output=str(tmp_path / "other"),
                     workspace=str(workspace), device="cpu", quiet=True)  # fmt: skip


def students_of_ranks(world, folder, students):
    del world  # the group that is there already is used
    learn_together(Path(folder), "ranks", students, steps=6)


@pytest.mark.slow
def test_students_on_two_processes_learn_what_they_do_on_one(workspace, tmp_path):
    students = write_students(workspace)
    learn_together(workspace, "process", students, steps=6)
    run_on_ranks(students_of_ranks, 2, tmp_path, str(workspace), students)
    for name in ("small", "sharp", "own"):
        one, two = (weights(workspace, f"{run}/{name}") for run in ("process", "ranks"))
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=1e-2, atol=3e-3, msg=f"{name} {key}")


def test_a_teachers_stored_vectors_teach_instead_of_it(workspace, tmp_path):
    shards = str(workspace / "balanced/shards")
    vectors = tmp_path / "vectors"
    curate.embed(str(workspace / "runs/teacher"), shards=shards, output=str(vectors),
                 device="cpu", workers=1, quiet=True)  # fmt: skip
    common = {
        "shards": shards, "workspace": str(workspace), "batch_size": 32, "warmup_steps": 1,
        "steps": 3, "log_every": 1, "device": "cpu", "threads": 1, "quiet": True,
        "model": str(workspace / "tiny.json"), "teacher_scale": "20",
        "shard_cache": str(tmp_path / "cache"),
    }  # fmt: skip
    losses = {}
    for name, teacher in (("model", workspace / "runs/teacher"), ("stored", vectors)):
        card = curate.train(teacher=str(teacher), output=str(tmp_path / name), **common)
        losses[name] = [line["loss"] for line in log_lines(tmp_path, name)]
    # Crops of 90 to 100 % of one colour look like the whole image: float16 is what differs.
    assert losses["stored"] == pytest.approx(losses["model"], rel=2e-3)
    assert card["teacher"]["name"] == "vectors vectors" and len(card["teacher"]["vectors"]) == 64
    again = curate.train(
        teacher=str(vectors), students=write_students(workspace)[:2], output=str(tmp_path / "all"),
        **{key: value for key, value in common.items() if key != "model"},
    )  # fmt: skip
    assert list(again["students"]) == ["small", "sharp"]
    with pytest.raises(UsageError, match="--teacher-scale own with stored vectors"):
        curate.train(teacher=str(vectors), output=str(tmp_path / "own"),
                     **{**common, "teacher_scale": "own"})  # fmt: skip
    found = StoredVectors(str(vectors), str(tmp_path / "cache"))
    with pytest.raises(InputError, match="pair nobody has no vectors"):
        found.find(["nobody"])
