import errno
import json
import os
import shutil
import signal
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from curate import training
from curate.errors import ArtifactError, CurateError, DiskSpaceError, InputError, UsageError
from curate.files import storage
from curate.pipelines.card.stage import make_card
from curate.pipelines.evaluate.stage import evaluate_model
from curate.pipelines.executor.lease import driving
from curate.pipelines.executor.stopping import stop_on_sigterm
from curate.pipelines.train.consumed import Consumed
from curate.pipelines.train.files import CheckpointWriter, RunFiles, save_tensors
from curate.pipelines.train.identity import identity
from curate.pipelines.train.loading import epochs_seen, pairs_per_epoch
from curate.pipelines.train.shard_facts import take_stock
from curate.pipelines.train.stage import TrainExtras, train_model
from curate.pipelines.train.start import Start
from curate.pipelines.train.told.run_log import RunLog
from curate.pipelines.train.told.view import train_table
from curate.pipelines.views.plots import can_draw
from curate.training.data.sampler import Sampler
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distributed import launched_machines
from curate.training.loop.trainer import Trainer
from curate.training.model.config import load_model_config
from tests.pipelines.helpers import png
from tests.pipelines.train_helpers import (
    COLOURS,
    log_lines,
    train,
    weights,
    write_train_workspace,
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_train_workspace(tmp_path_factory.mktemp("train"))


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def interrupt_at(monkeypatch, number, run):
    step = Trainer.step

    def failing(self, batch):
        if self.step_number == number:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", failing)
        run()


def test_a_run_whose_folder_is_named_as_a_url_of_this_disk_goes_on(workspace, monkeypatch):
    def run(name):
        return train_model(
            shards=str(workspace / "balanced/shards"), output=f"file://{workspace}/{name}",
            model=str(workspace / "tiny.json"), device="cpu", quiet=True,
            config=TrainConfig(steps=4, batch_size=32, warmup_steps=1, checkpoint_every=2),
        )  # fmt: skip

    run("as a url")
    interrupt_at(monkeypatch, 3, lambda: run("cut as a url"))
    run("cut as a url")
    assert_same(weights(workspace, "as a url"), weights(workspace, "cut as a url"))


def test_a_model_learns_colours_and_is_used_with_one_call(workspace):
    card = train(workspace, "learned", steps=100)
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


@pytest.mark.parametrize(
    "name, config, options",
    [
        ("plain", {}, {}),
        ("everything", {"loss": "siglip", "patch_dropout": 0.5, "ema_decay": 0.9,
                        "schedule": "wsd", "max_grad_norm": 1.0}, {"accumulate": 2}),
    ],
)  # fmt: skip
def test_an_interrupted_run_ends_with_the_same_weights(
    workspace, monkeypatch, name, config, options
):
    straight, interrupted = f"{name}-straight", f"{name}-interrupted"
    options = StepOptions(**options)
    train(workspace, straight, options=options, **config)
    interrupt_at(monkeypatch, 25, lambda: train(workspace, interrupted, options=options, **config))
    assert not (workspace / interrupted / "modelcard.json").exists()
    with pytest.raises(ArtifactError, match="the run is not finished"):
        training.load(str(workspace / interrupted))
    train(workspace, interrupted, options=options, **config)
    assert_same(weights(workspace, straight), weights(workspace, interrupted))
    lines = [log_lines(workspace, run) for run in (straight, interrupted)]
    assert [(x["step"], x["loss"]) for x in lines[0]] == [(x["step"], x["loss"]) for x in lines[1]]
    consumed = [(workspace / run / "consumed.json").read_bytes() for run in (straight, interrupted)]
    assert consumed[0] == consumed[1]


def test_shards_of_several_folders_are_added_and_none_comes_twice(workspace, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(workspace / "balanced/shards", tmp_path / name / "shards")
    places = [f"{tmp_path}/a/shards", f"{tmp_path}/b/shards"]
    options = {"model": str(workspace / "tiny.json"), "device": "cpu", "quiet": True,
               "config": TrainConfig(steps=4, batch_size=60, warmup_steps=1)}  # fmt: skip
    found = train_model(shards=places, output=str(tmp_path / "run"), **options)
    assert found["num_shards"] == 6 and found["pairs_per_epoch"] == 240
    # Shards of one name are two: each of their pairs comes, and with crops of its own.
    consumed = json.loads((tmp_path / "run/consumed.json").read_text())
    assert consumed["pairs"] == 240
    with pytest.raises(UsageError, match="00000.tar is named twice by --shards"):
        train_model(shards=[*places, places[0]], output=str(tmp_path / "twice"), **options)


def test_a_run_in_lanes_goes_on_in_them_and_in_no_others(workspace, monkeypatch):
    train(workspace, "lanes", extras=TrainExtras(lanes=3))
    interrupt_at(monkeypatch, 25, lambda: train(workspace, "cut", extras=TrainExtras(lanes=3)))
    with pytest.raises(ArtifactError, match=r"loader\.lanes: it was made with 3"):
        train(workspace, "cut", extras=TrainExtras(lanes=2))
    train(workspace, "cut")
    assert_same(weights(workspace, "lanes"), weights(workspace, "cut"))
    with pytest.raises(UsageError, match="--lanes is 4; expected 1 to the number of shards, 3"):
        train(workspace, "lanes4", extras=TrainExtras(lanes=4))


def test_a_run_has_a_lane_for_each_machine_that_it_is_begun_on(workspace, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    with monkeypatch.context() as patch:
        patch.setattr("curate.training.loop.distributed.launched_ranks", lambda: (0, 2))
        assert launched_machines() == 2
        patch.setattr("curate.training.loop.distributed.launched_machines", lambda: 2)
        found = train_model(
            shards=str(workspace / "balanced/shards"), output=str(workspace / "machines"),
            model=str(workspace / "tiny.json"), config=TrainConfig(steps=5, warmup_steps=1),
            device="cpu", dry_run=True, quiet=True,
        )  # fmt: skip
    assert found["lanes"] == 2


def test_sigterm_saves_the_step_it_came_in_and_the_run_goes_on(workspace, monkeypatch):
    step = Trainer.step

    def told_to_stop(self, batch):
        if self.step_number == 14:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", told_to_stop)
        with stop_on_sigterm():  # as the command line does
            found = train(workspace, "stopped")
    assert found["stopped_at"] == 15 and found["of"] == 40
    assert (
        found["goes_on_from"].endswith("step-000000015.pt") and Path(found["goes_on_from"]).exists()
    )
    assert signal.getsignal(signal.SIGTERM) is before
    train(workspace, "stopped")
    train(workspace, "never-stopped")
    assert_same(weights(workspace, "stopped"), weights(workspace, "never-stopped"))


def test_what_does_not_decide_the_weights_may_change_when_a_run_goes_on(workspace, monkeypatch):
    interrupt_at(monkeypatch, 15, lambda: train(workspace, "changed"))
    train(workspace, "changed", checkpoint_every=7, log_every=3, options=StepOptions(loss_chunk=99))
    train(workspace, "unchanged")
    assert_same(weights(workspace, "unchanged"), weights(workspace, "changed"))


def test_a_run_without_a_checkpoint_has_nothing_to_lose(workspace, monkeypatch):
    interrupt_at(monkeypatch, 2, lambda: train(workspace, "corrected", seed=8))
    assert (workspace / "corrected/config.json").exists()
    train(workspace, "corrected")
    train(workspace, "at-once")
    assert_same(weights(workspace, "corrected"), weights(workspace, "at-once"))


def test_a_run_that_is_not_there_is_told_with_those_that_are(workspace):
    train(workspace, "there")
    with pytest.raises(InputError, match=r"there is no .*/tehre; the runs there are .*there"):
        training.load(str(workspace / "tehre"))


def test_a_finished_run_is_not_trained_again_and_others_are_refused(workspace):
    first = train(workspace, "done")
    before = (workspace / "done/checkpoints/final.pt").stat().st_mtime_ns
    assert train(workspace, "done") == first
    assert (workspace / "done/checkpoints/final.pt").stat().st_mtime_ns == before
    with pytest.raises(ArtifactError, match=r"train\.learning_rate: it was made with"):
        train(workspace, "done", learning_rate=1e-4)
    assert train(workspace, "done", learning_rate=1e-4, overwrite=True)["final_loss"] > 0


def test_a_run_that_was_finished_anew_takes_its_place_when_it_is_asked_for_again(
    workspace, monkeypatch
):
    few = {"steps": 3, "warmup_steps": 1, "checkpoint_every": 2}
    train(workspace, "anew", **few)
    stopped = "curate.pipelines.train.stage.swap_in"
    with monkeypatch.context() as patch:
        patch.setattr(stopped, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(workspace, "anew", overwrite=True, seed=5, **few)
    found = train(workspace, "anew", overwrite=True, seed=5, **few)
    assert json.loads((workspace / "anew/modelcard.json").read_text())["train"]["seed"] == 5
    assert found["train"]["seed"] == 5 and not (workspace / "anew/.next").exists()


def test_a_run_has_one_driver(workspace):
    with driving(str(workspace / "held"), "train"):
        with pytest.raises(ArtifactError, match="held: .*works on it already"):
            train(workspace, "held", steps=2, warmup_steps=1)
    assert not (workspace / "held/config.json").exists()


def test_shards_of_one_name_in_two_folders_are_all_of_the_run(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.tar").write_bytes(name.encode())
    tars = [str(tmp_path / "a/0.tar"), str(tmp_path / "b/0.tar")]
    parts = load_model_config("toy"), TrainConfig(steps=1), TrainExtras(), Start()
    before = identity(take_stock(tars), *parts)["shards"]
    (tmp_path / "a/0.tar").write_bytes(b"another")
    assert identity(take_stock(tars), *parts)["shards"] != before


def test_a_card_that_is_drawn_otherwise_does_not_keep_a_run_from_going_on(workspace, monkeypatch):
    interrupt_at(monkeypatch, 20, lambda: train(workspace, "drawn"))
    card = workspace / "balanced/datacard.json"
    before = card.read_bytes()
    make_card(matched=str(workspace / "matched"), balanced=str(workspace / "balanced"),
              num_examples=3, quiet=True)  # fmt: skip
    assert card.read_bytes() != before
    found = train(workspace, "drawn")
    assert found["datacard_sha256"] == storage.file_sha256(str(card))
    made_of = json.loads((workspace / "drawn/config.json").read_text())
    assert made_of["balanced"] == json.loads(card.read_text())["balanced"]
    assert "datacard_sha256" not in made_of


def test_epochs_are_told_as_a_share(workspace):
    found = train(workspace, "share", steps=3, batch_size=32, warmup_steps=1, checkpoint_every=0)
    assert (found["pairs_seen"], found["pairs_per_epoch"], found["epochs"]) == (96, 120, 0.8)
    assert "96 pairs (0.8 epochs of 120 pairs)" in (workspace / "share/modelcard.md").read_text()
    assert "0.8" in train_table(found, "share")


@pytest.mark.parametrize("known", [[40, None, 40], []])
def test_the_pairs_of_an_epoch_are_counted_where_nothing_stands_beside_shards(
    workspace, tmp_path, known
):
    tars = []
    for tar in sorted((workspace / "balanced/shards").glob("*.tar")):
        tars.append(str(shutil.copy(tar, tmp_path)))
    sampler = Sampler(shards=tars, seed=0, shuffle_pairs=50)
    assert pairs_per_epoch(tars, sampler, 0, known) == 120
    assert pairs_per_epoch(["memory://a.tar"], sampler, 0, known) is None
    assert pairs_per_epoch(["memory://a.tar"], sampler, 0, [7]) == 7
    assert pairs_per_epoch(tars * 1000, sampler, 0, known) is None  # too many to be read for it
    assert epochs_seen(5, None) is None


def test_the_newest_checkpoints_stay_and_the_clock_writes_some_too(workspace):
    train(workspace, "kept", keep_checkpoints=3)
    names = sorted(p.name for p in (workspace / "kept/checkpoints").iterdir())
    assert names == ["final.pt", *(f"step-{step:09d}.pt" for step in (20, 30, 40))]
    train(workspace, "clock", checkpoint_every=0, checkpoint_minutes=1e-9, steps=3)
    assert len([*(workspace / "clock/checkpoints").glob("step-*")]) == 2
    train(workspace, "never", checkpoint_every=0, steps=3)
    assert [p.name for p in (workspace / "never/checkpoints").iterdir()] == ["final.pt"]


def test_a_damaged_checkpoint_says_what_to_do(workspace):
    train(workspace, "damaged")
    last = sorted((workspace / "damaged/checkpoints").glob("step-*"))[-1]
    last.write_bytes(last.read_bytes()[:100])
    (workspace / "damaged/checkpoints/final.pt").unlink()
    with pytest.raises(ArtifactError, match=r"step-000000040\.pt is damaged: it has 100 bytes"):
        train(workspace, "damaged")
    files = RunFiles(str(workspace / "damaged"))
    save_tensors(files, str(last), {"model": {}, "format": 99})
    with pytest.raises(ArtifactError, match=r"checkpoint of format 99.*Update curate"):
        train(workspace, "damaged")
    save_tensors(files, str(last), [1])
    with pytest.raises(ArtifactError, match="it has no weights"):
        train(workspace, "damaged")


def test_a_checkpoint_that_cannot_be_written_is_an_error(tmp_path):
    files = RunFiles(str(tmp_path))
    (tmp_path / "checkpoints").write_text("in the way")
    writer = CheckpointWriter(files, keep=1)
    writer.save(1, {"model": {}})
    with pytest.raises(OSError, match="checkpoints"):
        writer.wait()
    writer.wait()  # told once


def test_a_full_disk_says_that_the_run_goes_on_when_there_is_room(tmp_path, monkeypatch):
    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("curate.pipelines.train.files.SummedFile.write", full)
    writer = CheckpointWriter(RunFiles(str(tmp_path)), keep=1)
    writer.save(1, {"model": {"weight": torch.zeros(100_000)}})
    # torch closes its archive over the error, and raises another one: that too is a full disk.
    with pytest.raises(DiskSpaceError, match="run the same command again"):
        writer.wait()
    assert [*(tmp_path / "checkpoints").iterdir()] == []


def nan_loss_in(monkeypatch, steps):
    step = Trainer.step

    def failing(self, batch):
        if self.step_number + 1 in steps:
            kept = self.model.text_projection.detach().clone()
            self.model.text_projection.data[0, 0] = float("nan")
            found = step(self, batch)
            self.model.text_projection.data.copy_(kept)
            return found
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", failing)


def test_steps_without_a_finite_loss_are_left_out_and_written_down(workspace, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        nan_loss_in(patch, {7, 8, 20})
        card = train(workspace, "skipping", max_bad_steps=3)
    assert card["bad_steps"] == 3 and card["final_loss"] < 5
    dumped = sorted((workspace / "skipping/nonfinite").iterdir())
    assert [p.stem for p in dumped] == [f"step-{step:09d}" for step in (7, 8, 20)]
    values = json.loads(dumped[0].read_text())
    assert values["step"] == 7 and values["loss"] == "nan" and len(set(values["pair_ids"])) == 32
    assert "step 8 is left out: loss nan" in capsys.readouterr().err
    lines = {line["step"]: line for line in log_lines(workspace, "skipping")}
    assert lines[20]["loss"] is None and lines[40]["bad_steps"] == 3


def test_too_many_steps_in_a_row_without_a_finite_loss_end_the_run(workspace, monkeypatch):
    with monkeypatch.context() as patch:
        nan_loss_in(patch, set(range(12, 99)))
        with pytest.raises(CurateError, match="step 14: 3 steps in a row gave no finite loss"):
            train(workspace, "hopeless", max_bad_steps=3)
    assert len([*(workspace / "hopeless/nonfinite").iterdir()]) == 3


def test_the_card_links_what_was_consumed_and_shows_curves(workspace):
    card = train(workspace, "card", extras=TrainExtras(balanced=str(workspace / "balanced")))
    folder = workspace / "card"
    consumed = json.loads((folder / "consumed.json").read_text())
    assert sha256((folder / "consumed.json").read_bytes()).hexdigest() == card["consumed_sha256"]
    assert consumed["pairs"] == 40 * 32 and [*consumed["languages"]] == ["en"]
    english = consumed["languages"]["en"]
    assert english["pairs"] == english["matches"] == 1280 and english["distinct_entries"] == 4
    assert {e["entry"] for e in english["top_entries"]} == set(COLOURS)
    assert sum(e["pairs"] for e in english["top_entries"]) == 1280
    text = (folder / "modelcard.md").read_text()
    assert card["consumed_sha256"] in text and "| en | 1,280 |" in text
    assert ("(loss.svg)" in text) == can_draw()
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    assert "</svg>" in (folder / "loss.svg").read_text() and (folder / "loss.png").exists()
    line = log_lines(workspace, "card")[-1]
    shares = [line[name] for name in ("data", "copy", "compute", "communication")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3) and line["images_per_s"] > 0
    assert line["mfu"] is None, "the peak of a CPU is not known"


def test_mfu_is_arithmetic_done_over_arithmetic_possible(workspace):
    extras = TrainExtras(peak_tflops=1.0)
    train(workspace, "mfu", extras=extras, steps=10)
    line = log_lines(workspace, "mfu")[-1]
    flops = 3 * (
        5 * 12 * 32**2 * 2 + 4 * 5**2 * 32 + 2 * 4 * 192 * 32 + 2 * 32 * 16  # image: 4 patches + 1
        + line["tokens"] * 12 * 32**2 * 2 + 4 * line["tokens"] ** 2 * 32 + 2 * 32 * 16
    )  # fmt: skip
    assert 3 <= line["tokens"] <= 8  # that were computed: texts are two words in start and end
    # Given to four places, and this model takes a few millionths of a TFLOP per pair.
    assert line["mfu"] == pytest.approx(line["images_per_s"] * flops / 1e12, abs=6e-5)


def test_online_balancing_trains_on_the_pairs_that_balance_keeps(workspace):
    kept = {i for path in sorted((workspace / "few/shards").glob("*.tar")) for i in _pair_ids(path)}
    assert 8 <= len(kept) < 60
    seen = []
    step = Trainer.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", lambda self, b: (seen.extend(b.pair_ids), step(self, b))[1])
        train(workspace, "online", steps=1, batch_size=len(kept),
              extras=TrainExtras(online=str(workspace / "few")))  # fmt: skip
    assert set(seen) == kept
    config = json.loads((workspace / "online/config.json").read_text())
    assert config["loader"]["online"]
    with pytest.raises(ArtifactError, match=r"no probabilities/\*\.parquet"):
        train(workspace, "online2", extras=TrainExtras(online=str(workspace / "matched")))


def _pair_ids(path):
    import tarfile

    with tarfile.open(path) as tar:
        return {name.split(".")[0] for name in tar.getnames()}


def test_a_run_is_evaluated_as_it_goes(workspace):
    config = workspace / "eval.json"
    config.write_text(json.dumps({"datasets": [{"path": "classes.parquet"}]}))
    extras = TrainExtras(eval_config=str(config), eval_every=20)
    train(workspace, "evaluated", extras=extras)
    names = sorted(p.name for p in (workspace / "evaluated/eval").iterdir())
    assert names == ["step-000000020.json", "step-000000040.json"]
    found = json.loads((workspace / "evaluated/eval" / names[1]).read_text())
    assert 0 <= found["results"]["classes"]["top1"] <= 1
    train(workspace, "not-evaluated")
    assert_same(weights(workspace, "evaluated"), weights(workspace, "not-evaluated"))


def test_trackers_are_told_the_figures(workspace, monkeypatch):
    told = {}
    run = SimpleNamespace(
        log=lambda values, step: told.setdefault(step, values),
        finish=lambda: told.setdefault("finished", True),
    )
    board = SimpleNamespace(SummaryWriter=_Board)
    monkeypatch.setitem(__import__("sys").modules, "wandb", SimpleNamespace(init=lambda **_: run))
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", board)
    extras = TrainExtras(trackers=("wandb", "tensorboard"))
    train(workspace, "tracked", steps=10, extras=extras)
    assert set(told) == {5, 10, "finished"} and told[10]["loss"] > 0
    assert ("loss", 10) in _Board.told and _Board.told[-1] == "closed"


class _Board:
    told = []  # noqa: RUF012

    def __init__(self, folder):
        assert folder.endswith("tracked/tensorboard")

    def add_text(self, name, text):
        self.told.append((name, text[:7]))

    def add_scalar(self, name, value, step):
        assert isinstance(value, (int, float))
        self.told.append((name, step))

    def close(self):
        self.told.append("closed")


def test_a_tracker_that_is_not_there_says_how_to_get_it(workspace, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(CurateError, match="pip install wandb"):
        train(workspace, "untracked", extras=TrainExtras(trackers=("wandb",)))
    with pytest.raises(UsageError, match="'mlflow'; expected tensorboard or wandb"):
        train(workspace, "untracked", extras=TrainExtras(trackers=("mlflow",)))


def test_a_run_may_begin_with_the_weights_of_another(workspace):
    train(workspace, "first", steps=40)
    extras = TrainExtras(init=str(workspace / "first"))
    card = train(workspace, "second", steps=1, learning_rate=0.0, extras=extras)
    assert card["init_sha256"] and card["final_loss"] < 4
    assert_same(weights(workspace, "first"), weights(workspace, "second"))


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


def test_a_log_drops_what_is_computed_again_and_the_line_a_kill_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    log = RunLog(str(path), last_step=0)
    for step, loss in ((1, 2.0), (2, 1.0)):
        log.add({"step": step, "loss": loss})
    whole = path.read_text()
    path.write_text(whole + '{"step": 3, "lo')
    log = RunLog(str(path), last_step=1)
    log.add({"step": 2, "loss": 0.5})
    lines = [json.loads(x) for x in path.read_text().splitlines()]
    assert all(len(line.pop("checksum")) == 16 for line in lines) and lines == log.lines
    assert log.lines == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 0.5}]
    for damaged in ('{"step": 1\n', '{"step": 1, "loss": 9.0}\n', whole.replace("2.0", "2.5")):
        path.write_text(damaged + whole)
        with pytest.raises(ArtifactError, match="line 1: not what was written"):
            RunLog(str(path), last_step=9)


def test_counts_of_what_was_consumed_add_up():
    parts = [Consumed(), Consumed()]
    parts[0].add(["en", "de", None], [[1, 2], [5], []])
    parts[1].add(["en", "en"], [[2], None])
    total = Consumed()
    total.merge(part.state() for part in parts)
    card = total.card(lambda lang, ids: [f"{lang}{i}" for i in ids] if lang == "en" else None)
    assert card["pairs"] == 5
    assert {k: v["pairs"] for k, v in card["languages"].items()} == {"en": 3, "de": 1, "unknown": 1}
    assert card["languages"]["en"]["top_entries"] == [
        {"entry_id": 2, "entry": "en2", "pairs": 2},
        {"entry_id": 1, "entry": "en1", "pairs": 1},
    ]
    assert card["languages"]["de"]["top_entries"] == [{"entry_id": 5, "pairs": 1}]
