"""Published models by their names in `train`, `eval`, `export` and `models`."""

import json

import pytest
import torch

import curate
from curate.cli.main import main
from curate.errors import ArtifactError, InputError, UsageError
from curate.files.remedies import on_command_line
from curate.pipelines.models import list_models, models_table
from curate.training.export.load import load_model
from tests.pipelines.helpers import png
from tests.training.published.test_by_name import english, server  # noqa: F401  fixtures
from tests.training.shard_files import sample, write_tar

NAME = "metaclip_400m/ViT-B-32-quickgelu"


@pytest.fixture(autouse=True)
def told_as_to_a_shell():
    with on_command_line():
        yield


@pytest.fixture
def shards(tmp_path):
    members = [sample(f"{i}", image=png((i * 20, 90, 90)), text="a red dog") for i in range(8)]
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards/00000.tar", members)
    return str(tmp_path / "shards")


def train(shards, tmp_path, **options):
    values = {"steps": 2, "batch_size": 4, "warmup_steps": 1, "checkpoint_every": 0,
              "threads": 1, "device": "cpu", "quiet": True, **options}  # fmt: skip
    return curate.train(shards=shards, output=str(tmp_path / "run"), **values)


def test_a_run_begins_with_a_published_model_and_its_shape(server, english, shards, tmp_path):  # noqa: F811
    found = train(shards, tmp_path, init=NAME, learning_rate=1e-12)
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["model"]["quick_gelu"] and config["model"]["vocab_size"] == 49_408
    assert config["init_sha256"] and found["train"]["steps"] == 2
    model, words = load_model(str(tmp_path / "run"))
    assert words.cleaning == "clip"  # goes on with the run
    for name, value in english[1].state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-4, rtol=1e-4)
    # Another resolution of the same model is fitted; another activation is not the same model.
    shape = tmp_path / "shape.json"
    shape.write_text(json.dumps({**config["model"], "image_size": 64}))
    found = train(shards, tmp_path, init=NAME, model=str(shape), overwrite=True)
    assert found["model"]["image_size"] == 64
    shape.write_text(json.dumps({**config["model"], "quick_gelu": False}))
    with pytest.raises(ArtifactError, match=f"{NAME}: trained with QuickGELU, as {NAME} says"):
        train(shards, tmp_path, init=NAME, model=str(shape), overwrite=True)


def test_a_published_model_is_evaluated_and_exported_by_its_name(server, tmp_path, capsys):  # noqa: F811
    for colour, value in (("red", (220, 0, 0)), ("blue", (0, 0, 220))):
        (tmp_path / "set" / colour).mkdir(parents=True)
        (tmp_path / "set" / colour / "1.png").write_bytes(png(value))
    (tmp_path / "classes.txt").write_text("blue\nred\n")
    options = ["--classes", str(tmp_path / "classes.txt"), "-w", str(tmp_path / "w"), "--json"]
    with pytest.raises(SystemExit) as ended:
        main(["eval", str(tmp_path / "set"), "--name", NAME, *options])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["run"] == NAME and printed["results"]["set"]["images"] == 2
    with pytest.raises(UsageError, match="is no run; say with --output where"):
        curate.export(NAME, workspace=str(tmp_path / "w"))
    found = curate.export(NAME, format="huggingface", output=str(tmp_path / "out"))
    model, _, tokenize = curate.load(str(tmp_path / "out"))
    by_name, _, _ = curate.load(NAME)
    tokens = tokenize(["a red dog"])
    with torch.no_grad():
        assert torch.equal(model.encode_text(tokens), by_name.encode_text(tokens))
    assert found["parameters"] == sum(p.numel() for p in by_name.parameters())


def test_the_models_are_listed_with_what_one_wants_to_know(server, capsys):  # noqa: F811
    found = curate.models()
    assert len(found["models"]) == 25 and not any(one["cached"] for one in found["models"])
    shown = str(found)
    assert "metaclip2_worldwide/ViT-bigG-14-378-worldwide" in shown and "62.0 CVQA" in shown
    assert "Licence of the weights: CC-BY-NC-4.0" in shown
    assert "The published table links the file of 224 px" in shown
    with pytest.raises(SystemExit):
        main(["models", "b-32-quickgelu", "--json"])
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [one["name"].rpartition("/")[0] for one in rows] == ["metaclip_400m", "metaclip_2_5b"]
    assert rows[0].keys() >= {"parameters", "image_size", "languages", "score", "licence", "sha256"}
    assert len(list_models(["ViT-H-14-378-worldwide@WorldWideCLIP"])["models"]) == 1
    with pytest.raises(InputError, match="no published model of this name.*nearest"):
        list_models(["ViT-B-32-quickgelo"])


def test_models_are_fetched_when_they_are_named(server):  # noqa: F811
    with pytest.raises(InputError, match="name the models to fetch"):
        list_models(fetch=True)
    found = list_models([NAME], fetch=True)
    assert [one["cached"] for one in found["models"]] == [True]
    assert "yes" in models_table(found)
