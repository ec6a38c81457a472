import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import curate
from curate.errors import ArtifactError, CurateError, InputError, UsageError
from curate.pipelines.caption_tables import CaptionOptions
from curate.pipelines.store import artifacts
from curate.pipelines.train import TrainExtras
from curate.pipelines.train_captioner import CaptionerParts, train_captioner
from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.trainer import CaptionTrainer
from curate.training.loop.config import StepOptions, TrainConfig
from tests.in_process import run_here
from tests.pipelines.train_helpers import environment, train, weights, write_train_workspace
from tests.training.captioner.tiny_lm import write_lm
from tests.training.ranks import run_command_on_ranks

SHAPE = CaptionerConfig(
    prefix_tokens=4, mapper_layers=2, mapper_heads=2, prompt_tokens=4, text_tokens=12
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("captioner"))
    train(folder, "clip", steps=60)
    train(folder, "clip2", steps=1)
    write_lm(folder / "lm", dropout=0.1)
    kept = artifacts.read_table(str(folder / "matched/pairs/00000.parquet"), ["pair_id", "text"])
    texts = [f"a very {text.split()[1]} dog" for text in kept.column("text").to_pylist()]
    table = pa.table({"pair_id": kept.column("pair_id"), "text": texts})
    pq.write_table(table, folder / "altogether.parquet")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def parts(workspace):
    return CaptionerParts(image_model=str(workspace / "clip"), language_model=str(workspace / "lm"))


def learn(workspace, name, *, begin=None, phase="finetune", options=None, shape=SHAPE,
          overwrite=False, captions=None, extras=None, shards=None, **config):  # fmt: skip
    values = {"steps": 20, "batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 4,
              "checkpoint_every": 5, "log_every": 5, **config}  # fmt: skip
    tables = [str(workspace / "altogether.parquet")] if phase == "finetune" else []
    return train_captioner(
        shards=str(shards or workspace / "balanced/shards"), output=str(workspace / name),
        parts=begin or parts(workspace), phase=phase, shape=shape, config=TrainConfig(**values),
        options=options, device="cpu", overwrite=overwrite, quiet=True,
        extras=TrainExtras(captions=captions or CaptionOptions(tables=tables),
                           **{"threads": 1, **(extras or {})}),
    )  # fmt: skip


def same_weights(workspace, a, b):
    one, two = weights(workspace, a), weights(workspace, b)
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def interrupted(monkeypatch, number, run):
    step = CaptionTrainer.step

    def failing(self, batch):
        if self.step_number == number:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(CaptionTrainer, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(CaptionTrainer, "step", step)


def test_a_killed_run_goes_on_bit_for_bit_with_dropout(workspace, monkeypatch):
    whole = learn(workspace, "whole")
    interrupted(monkeypatch, 13, lambda: learn(workspace, "killed"))
    again = learn(workspace, "killed")
    assert same_weights(workspace, "whole", "killed") and again == whole
    lines = [json.loads(x) for x in (workspace / "killed/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_the_card_says_what_was_trained_on_what(workspace):
    card = learn(workspace, "carded", steps=2)
    assert card["phase"] == "finetune" and card["sources"] == {
        "altogether": {"pairs": 32, "share": 1.0}
    }
    assert (workspace / "carded/image_model/model.safetensors").exists()
    assert not (workspace / "carded/language_model/model.safetensors").exists()


def test_parts_of_a_batch_change_nothing_but_rounding(workspace):
    learn(workspace, "plain", steps=3, checkpoint_every=0, shape=SHAPE)
    learn(workspace, "parted", steps=3, options=StepOptions(accumulate=2))
    one, two = weights(workspace, "plain"), weights(workspace, "parted")
    # Dropout draws for each part, so that the two are near and not equal.
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 0.05


def test_averaged_weights_are_published_and_go_on_bit_for_bit(workspace, monkeypatch):
    values = {"steps": 4, "checkpoint_every": 1, "ema_decay": 0.9}
    card = learn(workspace, "averaged", **values)
    interrupted(monkeypatch, 2, lambda: learn(workspace, "averaged2", **values))
    learn(workspace, "averaged2", **values)
    learn(workspace, "last", **{**values, "ema_decay": None})
    assert card["averaged"] and same_weights(workspace, "averaged", "averaged2")
    one, two = weights(workspace, "averaged"), weights(workspace, "last")
    tied = [k for k in one if k.endswith(("embed_tokens.weight", "lm_head.weight"))]
    assert len(tied) == 2 and torch.equal(one[tied[0]], one[tied[1]])
    assert all(not torch.equal(one[k], two[k]) for k in tied)


def test_a_lost_shard_is_refused_named_and_gone_on_without(workspace, tmp_path, monkeypatch):
    shutil.copytree(workspace / "balanced/shards", tmp_path / "shards")
    options = {"shards": tmp_path / "shards", "steps": 8}
    interrupted(monkeypatch, 6, lambda: learn(workspace, "lost", **options))
    lost = sorted((tmp_path / "shards").glob("*.tar"))[-1]
    lost.unlink()
    with pytest.raises(ArtifactError, match=rf"not there any more: {lost.name}\n.*--allow-lost"):
        learn(workspace, "lost", **options)
    card = learn(workspace, "lost", extras={"allow_lost": True}, **options)
    assert card["num_shards"] == len(list((tmp_path / "shards").glob("*.tar"))) + 1
    other = sorted((tmp_path / "shards").glob("*.tar"))[0]
    other.write_bytes(other.read_bytes() + b"\0" * 512)
    with pytest.raises(ArtifactError, match="has [0-9]+ bytes, expected|another content"):
        learn(workspace, "lost", extras={"allow_lost": True}, **options)


def test_lanes_are_of_the_run_and_go_on_as_it_was_begun(workspace, monkeypatch):
    values = {"steps": 4, "checkpoint_every": 1}
    learn(workspace, "laned", extras={"lanes": 2}, **values)
    interrupted(monkeypatch, 2, lambda: learn(workspace, "laned2", extras={"lanes": 2}, **values))
    learn(workspace, "laned2", **values)
    assert same_weights(workspace, "laned", "laned2")
    assert json.loads((workspace / "laned/config.json").read_text())["loader"]["lanes"] == 2
    with pytest.raises(UsageError, match="--lanes is 99"):
        learn(workspace, "x", extras={"lanes": 99})


@pytest.mark.slow
# torch's compiler looks at inner gradients.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_compiled_blocks_train_the_same(workspace, monkeypatch):
    from curate.training.captioner import trainer

    compiled = []

    def compile_eagerly(blocks):  # machine code of all shapes takes minutes on a CPU
        for block in blocks:
            compiled.append(block)
            block.compile(backend="eager", dynamic=False)

    monkeypatch.setattr(trainer, "compile_blocks", compile_eagerly)
    learn(workspace, "eager", steps=2, checkpoint_every=0)
    learn(workspace, "compiled", steps=2, checkpoint_every=0, options=StepOptions(compile=True))
    assert len(compiled) == SHAPE.mapper_layers + 2  # of the language model
    one, two = weights(workspace, "eager"), weights(workspace, "compiled")
    assert one.keys() == two.keys()
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-4


def test_another_language_model_of_that_name_is_another_run(workspace, tmp_path, monkeypatch):
    shutil.copytree(workspace / "lm", tmp_path / "lm")
    begin = CaptionerParts(image_model=str(workspace / "clip"), language_model=str(tmp_path / "lm"))
    values = {"steps": 3, "checkpoint_every": 1}
    interrupted(monkeypatch, 2, lambda: learn(workspace, "moved", **values))
    learn(workspace, "moved", begin=begin, **values)
    write_lm(tmp_path / "lm", dropout=0.2)
    with pytest.raises(ArtifactError, match=r"language_model\.weights: it was made with"):
        learn(workspace, "moved", begin=begin, **values)


def test_the_image_model_may_be_a_run_of_the_workspace_or_a_published_name(workspace):
    from curate.api.calls.names import model_of
    from curate.api.calls.options import place_of

    place = place_of(workspace)
    assert model_of("clip", place) == place.run("clip")
    assert model_of("ViT-B-16-worldwide", place) == "ViT-B-16-worldwide"
    assert model_of(workspace / "clip", place) == str(workspace / "clip")
    with pytest.raises(InputError, match="there is no .*/nothing; .*Nor is it the name"):
        curate.train_captioner(
            image_model="nothing", language_model=str(workspace / "lm"), workspace=workspace,
            shards=workspace / "balanced/shards", output=workspace / "x", steps=1, quiet=True,
        )  # fmt: skip


def test_fine_tuning_begins_with_a_pretrained_captioner_alone(workspace, tmp_path):
    first = learn(workspace, "pt", phase="pretrain", steps=3)
    assert first["phase"] == "pretrain" and set(first["sources"]) == {"alt"}
    begin = CaptionerParts(init=str(workspace / "pt"))
    learn(workspace, "ft0", begin=begin, steps=1, learning_rate=0.0, weight_decay=0.0)
    assert same_weights(workspace, "pt", "ft0")
    found = learn(workspace, "ft", begin=begin, steps=3)
    assert found["captioner"] == first["captioner"] and found["init"]


def test_what_cannot_be_meant_is_refused_before_a_step(workspace, tmp_path):
    with pytest.raises(UsageError, match="begins with --image-model"):
        CaptionerParts(language_model="x")
    with pytest.raises(UsageError, match="brings its own models"):
        CaptionerParts(init="x", image_model="y")
    with pytest.raises(UsageError, match="--phase is 'x'"):
        learn(workspace, "x", phase="x")
    with pytest.raises(UsageError, match="name a table of them with --captions"):
        learn(workspace, "x", captions=CaptionOptions())
    with pytest.raises(InputError, match="is no captioner"):
        learn(workspace, "x", begin=CaptionerParts(init=str(workspace / "clip")))
    nothing = CaptionerParts(image_model=str(workspace / "clip"), language_model=str(tmp_path))
    with pytest.raises(InputError, match="no causal language model of transformers"):
        learn(workspace, "x", begin=nothing)
    learn(workspace, "refused", steps=2)
    with pytest.raises(ArtifactError, match=r"train\.steps: it was made with 2"):
        learn(workspace, "refused", steps=3)
    learn(workspace, "refused", steps=3, overwrite=True)
    with pytest.raises(ArtifactError, match="is not an output of this command|made with something"):
        learn(workspace, "clip")


def test_a_loss_that_is_not_finite_is_left_out_and_too_many_end_the_run(workspace):
    with pytest.raises(CurateError, match="2 steps in a row gave no finite loss"):
        learn(workspace, "nan", learning_rate=1e30, warmup_steps=0, max_bad_steps=2)


@pytest.mark.slow
def test_it_learns_to_name_what_is_seen_and_the_command_writes_it(workspace, tmp_path):
    found = curate.train_captioner(
        image_model=workspace / "clip", language_model=str(workspace / "lm"), phase="finetune",
        captions=str(workspace / "altogether.parquet"), shards=workspace / "balanced/shards",
        output=tmp_path / "run", steps=150, batch_size=32, learning_rate=3e-3, warmup_steps=10,
        prefix_tokens=4, mapper_layers=2, mapper_heads=2, prompt_tokens=4, text_tokens=12,
        device="cpu", quiet=True,
    )  # fmt: skip
    assert found.final_loss < 0.3 and "last loss" in str(found)
    said = curate.caption(
        str(tmp_path / "run"), shards=workspace / "balanced/shards", output=tmp_path / "said",
        max_tokens=8, device="cpu", batch_size=7, quiet=True,
    )  # fmt: skip
    table = said.to_arrow()
    expected = pq.read_table(workspace / "altogether.parquet").to_pydict()
    truth = dict(zip(expected["pair_id"], expected["text"], strict=True))
    right = [truth[i] == text for i, text in
             zip(table["pair_id"].to_pylist(), table["text"].to_pylist(), strict=True)]  # fmt: skip
    assert len(right) == said.captions == 120 and sum(right) > 100
    assert said.to_arrow().column("source").to_pylist()[0] == "run"
    vectors_are_read_instead_of_images(workspace, tmp_path, table)


def vectors_are_read_instead_of_images(workspace, tmp_path, by_images):
    """Captions of vectors of shards, and of matched pairs, are those of their images."""
    texts = dict(zip(*(by_images[n].to_pylist() for n in ("pair_id", "text")), strict=True))
    own, shards = tmp_path / "run/image_model", workspace / "balanced/shards"
    for name, where in (("by_shard", {"shards": shards}), ("by_pair", {})):
        vectors = curate.embed(own, workspace=workspace, output=tmp_path / name, kinds="image",
                               device="cpu", quiet=True, **where)  # fmt: skip
        options = {"embeddings": vectors, "shards": shards, "workspace": workspace,
                   "output": tmp_path / f"said_{name}", "max_tokens": 8, "device": "cpu",
                   "pairs_per_part": 50, "source": "run", "quiet": True}  # fmt: skip
        found = curate.caption(str(tmp_path / "run"), **options)
        rows = found.to_arrow().to_pylist()
        assert found.captions >= 120 and not found.failed and {r["lang"] for r in rows} == {"en"}
        # Vectors are rounded to 16 bits: a word that is as good as another may be another.
        same = [row["text"] == texts[row["pair_id"]] for row in rows if row["pair_id"] in texts]
        assert len(same) == 120 and sum(same) >= 118
        assert curate.caption(str(tmp_path / "run"), dry_run=True, **options)["parts_to_do"] == 0
    other = curate.embed(workspace / "clip2", workspace=workspace, output=tmp_path / "other",
                         kinds="image", device="cpu", quiet=True)  # fmt: skip
    with pytest.raises(ArtifactError, match="vectors of images are those of another model"):
        curate.caption(str(tmp_path / "run"), embeddings=other, workspace=workspace,
                       output=tmp_path / "x", device="cpu", quiet=True)  # fmt: skip


def test_damage_of_a_captioner_is_noticed(workspace):
    from curate.pipelines.train_captioner import open_own

    learn(workspace, "damaged", steps=1)
    open_own(str(workspace / "damaged"), device="cpu", dtype=torch.float32)
    path = workspace / "damaged/image_model/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="model.safetensors"):
        open_own(str(workspace / "damaged"), device="cpu", dtype=torch.float32)
    (workspace / "damaged/modelcard.json").unlink()
    with pytest.raises(ArtifactError, match="is not finished"):
        curate.caption(str(workspace / "damaged"), shards=workspace / "balanced/shards",
                       output=workspace / "never", quiet=True)  # fmt: skip


def command(workspace, name, *more):
    """Return the words of a command, behind its name."""
    words = ["--image-model", workspace / "clip", "--language-model", workspace / "lm", "--shards",
             workspace / "balanced/shards", "--output", workspace / name, "--steps", "20",
             "--batch-size", "16", "--phase", "finetune", "--captions",
             workspace / "altogether.parquet", "--prefix-tokens", "4", "--mapper-layers", "2",
             "--mapper-heads", "2", "--prompt-tokens", "4", "--text-tokens", "12", "--threads",
             "1", "--device", "cpu", "--log-every", "5", "--checkpoint-every", "5"]  # fmt: skip
    return ["train-captioner", *map(str, [*words, *more])]


@pytest.mark.slow
def test_two_processes_train_what_one_does_but_for_dropout(workspace, tmp_path):
    write_lm(workspace / "dry", dropout=0.0)
    words = [command(workspace, name, "--language-model", workspace / "dry")
             for name in ("alone", "pair")]  # fmt: skip
    run_here(words[0])
    run_command_on_ranks(words[1], 2, tmp_path)
    one, two = weights(workspace, "alone"), weights(workspace, "pair")
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-4


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(workspace):
    words = [sys.executable, "-m", "curate", *command(workspace, "stopped", "--steps", "400")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=environment())
    try:
        deadline = time.monotonic() + 100
        while not list(Path(workspace / "stopped").glob("checkpoints/step-*.pt")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert not (workspace / "stopped/modelcard.json").exists()
    card = learn(workspace, "stopped", steps=400, learning_rate=2e-4, warmup_steps=200,
                 weight_decay=0.2)  # fmt: skip
    assert card["pairs_seen"] == 6400
