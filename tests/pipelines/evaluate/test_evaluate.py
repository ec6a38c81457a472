"""`curate eval` on a run that was trained for a few steps."""

import json
import os
import subprocess
import sys
import tarfile
import types

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.cli.main import main
from curate.errors import InputError, UsageError
from curate.files.sealed_json import read_json
from curate.pipelines.evaluate.stage import evaluate_model
from curate.pipelines.evaluate.view import eval_table
from curate.pipelines.train.stage import train_model
from curate.training.eval.table_files import named_image
from curate.training.export import clip_benchmark
from curate.training.loop.config import TrainConfig
from tests.in_process import run_here
from tests.pipelines.helpers import png
from tests.training.eval.test_evaluate import write_multilabel, write_xm3600
from tests.training.eval_world import (
    NAMES,
    add,
    shade,
    write_cvqa,
    write_folder,
    write_table,
    write_wds,
)

SHAPE = {
    "embed_dim": 16, "image_size": 16, "patch_size": 8, "vision_width": 32, "vision_layers": 1,
    "vision_head_width": 16, "text_width": 32, "text_layers": 1, "text_heads": 2,
    "context_length": 12, "vocab_size": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "tiny.json").write_text(json.dumps(SHAPE))
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "00000.tar", "w") as tar:
        for i in range(192):
            add(tar, f"p{i:05d}.png", shade(NAMES[i % 3], i % 32))
            add(tar, f"p{i:05d}.txt", f"a {NAMES[i % 3]} thing".encode())
    train_model(
        shards=str(folder / "shards"),
        output=str(folder / "runs" / "clip"),
        model=str(folder / "tiny.json"),
        config=TrainConfig(steps=60, batch_size=16, learning_rate=3e-3, warmup_steps=4,
                           checkpoint_every=0),
        device="cpu",
        quiet=True,
    )  # fmt: skip
    write_wds(folder / "wds")
    write_folder(folder / "folder")
    write_cvqa(folder / "cvqa.parquet")
    write_table(folder / "table.parquet")
    write_xm3600(folder / "xm", jsonl=True)
    (folder / "templates.txt").write_text("a {} thing\n")
    return folder


def test_every_kind_of_set_is_evaluated_and_its_result_written(workspace):
    sets = [str(workspace / n) for n in ("wds", "folder", "cvqa.parquet", "xm", "table.parquet")]
    found = evaluate_model(sets, run=str(workspace / "runs/clip"), batch_size=4)["results"]
    assert list(found) == ["wds", "folder", "cvqa", "xm", "table"]
    for name, result in found.items():
        written = read_json(str(workspace / "runs/clip/eval" / f"{name}.json"))
        assert written == result and written["schema_version"] == 1
    assert found["folder"]["top1"] == found["table"]["top1"]
    assert found["cvqa"]["questions"] == 4 and found["xm"]["texts"] == 6


def test_a_trained_model_tells_colours(workspace):
    found = evaluate_model(
        [str(workspace / "wds")],
        run=str(workspace / "runs/clip"),
        templates=str(workspace / "templates.txt"),
    )
    # One of the eight labels is wrong.
    assert found["results"]["wds"]["top1"] == 7 / 8


def test_tables_show_every_task(workspace):
    sets = [str(workspace / n) for n in ("wds", "cvqa.parquet", "xm")]
    shown = eval_table(evaluate_model(sets, run=str(workspace / "runs/clip")))
    assert "wds: zero-shot accuracy" in shown and "8 images of 3 classes; chance 33.3%" in shown
    assert "cvqa: multiple choice" in shown and "Chinese, Singapore: " in shown
    assert "xm: retrieval, 2 images, 6 texts" in shown and "left out: no_image 1" in shown
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines[-6:-1]] == ["i→t", "all", "de", "en", "mean"]


def test_a_set_of_several_classes_per_image_has_its_table(workspace):
    write_multilabel(workspace / "several")
    found = evaluate_model([str(workspace / "several")], run=str(workspace / "runs/clip"))
    assert 0 < found["results"]["several"]["mean_average_precision"] <= 1
    shown = eval_table(found)
    assert "several: multilabel, mean average precision" in shown and "chance 33.3%" in shown


def test_a_folder_behind_links_is_evaluated_like_the_folder(workspace, tmp_path):
    real = write_folder(tmp_path / "real")
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in NAMES:
        (linked / name).symlink_to(real / name)
    (real / NAMES[0] / "back").symlink_to(real / NAMES[0])
    (tmp_path / "set").symlink_to(linked)
    classes = str(tmp_path / "classes.txt")
    found = [
        evaluate_model([str(tmp_path / name)], run=str(workspace / "runs/clip"), classes=classes,
                       output=str(tmp_path / "out"))["results"][name]
        for name in ("real", "linked", "set")
    ]  # fmt: skip
    assert found[0]["images"] == found[1]["images"] == found[2]["images"] == 8
    assert found[0]["top1"] == found[1]["top1"] == found[2]["top1"]


def test_a_file_of_weights_is_evaluated_as_the_run_is(workspace, tmp_path):
    run, sets = workspace / "runs/clip", [str(workspace / "folder")]
    expected = evaluate_model(sets, run=str(run))["results"]
    found = evaluate_model(sets, run=str(run / "checkpoints/final.pt"))["results"]
    assert found == expected and not (run / "checkpoints/final.pt/eval").exists()
    weights = tmp_path / "weights.pt"
    weights.write_bytes((run / "checkpoints/final.pt").read_bytes())
    with pytest.raises(UsageError, match="does not say what model it is of"):
        evaluate_model(sets, run=str(weights))
    (tmp_path / "shape.json").write_text(json.dumps({**SHAPE, "eos_id": 2}))
    given = {"model": str(tmp_path / "shape.json"), "tokenizer": str(run / "tokenizer.json")}
    out = tmp_path / "out"
    found = evaluate_model(sets, run=str(weights), output=str(out), **given)["results"]
    assert found == expected and read_json(str(out / "eval/folder.json")) == expected["folder"]


def test_wrong_use_says_what_to_do(workspace):
    run = str(workspace / "runs/clip")
    with pytest.raises(UsageError, match="nothing to evaluate on; name files or folders"):
        evaluate_model([], run=run)
    same = [str(workspace / "wds"), str(workspace / "wds")]
    with pytest.raises(UsageError, match="two sets would be named 'wds' and are the same one"):
        evaluate_model(same, run=run)
    with pytest.raises(InputError, match="there is no such file or folder"):
        evaluate_model([str(workspace / "nothing")], run=run)


def test_sets_of_one_name_do_not_overwrite_each_other(workspace):
    run = workspace / "runs/clip"
    write_folder(workspace / "one/val")
    write_wds(workspace / "two/val")
    first = evaluate_model([str(workspace / "one/val")], run=str(run))["results"]["val"]
    second = evaluate_model([str(workspace / "two/val")], run=str(run))["results"]["val"]
    templates = {"templates": str(workspace / "templates.txt")}
    again = evaluate_model([str(workspace / "two/val")], run=str(run), **templates)["results"][
        "val"
    ]
    assert again["asked"] == templates
    files = {p.stem: read_json(str(p)) for p in (run / "eval").glob("val*.json")}
    assert files["val"] == first and len(files) == 3
    assert sorted(map(str, files.values())) == sorted(map(str, (first, second, again)))
    evaluate_model([str(workspace / "two/val")], run=str(run))
    assert len(list((run / "eval").glob("val*.json"))) == 3
    both = evaluate_model([str(workspace / n / "val") for n in ("one", "two")], run=str(run))
    assert [name[:4] for name in both["results"]] == ["val", "val-"]


def test_results_reach_the_model_card(workspace):
    run = workspace / "runs/clip"
    found = evaluate_model([str(workspace / "table.parquet")], run=str(run))["results"]["table"]
    card = json.loads((run / "modelcard.json").read_text())
    shown = card["evaluations"]["table"]
    assert shown["top1"] == found["top1"] and shown["file"] == str(workspace / "table.parquet")
    text = (run / "modelcard.md").read_text("utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| table |")]
    assert row.startswith(f"| table | {found['task']} | {found['images']:,} | ")
    assert f"top1 {found['top1']:.4g}" in row
    assert text.count("## Evaluations") == 1 and text.startswith("# Model card")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_that_names_image_files_is_a_set(workspace, tmp_path, kind):
    (tmp_path / "set/images").mkdir(parents=True)
    rows = []
    for i, name in enumerate(NAMES):
        (tmp_path / "set/images" / f"{i}.png").write_bytes(shade(name, 3))
        rows.append({"file_name": f"images/{i}.png", "label": name})
    rows.append({"file_name": "images/missing.png", "label": NAMES[0]})
    table = pa.Table.from_pylist(rows)
    if kind == "csv":
        pacsv.write_csv(table, tmp_path / "set/metadata.csv")
    elif kind == "jsonl":
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "set/metadata.jsonl").write_text(lines)
    else:
        pq.write_table(table, tmp_path / "set/metadata.parquet")
    inside = pa.table({"image": [shade(name, 3) for name in NAMES], "label": list(NAMES)})
    pq.write_table(inside, tmp_path / "inside.parquet")
    run = str(workspace / "runs/clip")
    found = evaluate_model([str(tmp_path / "set")], run=run)["results"]["set"]
    wanted = evaluate_model([str(tmp_path / "inside.parquet")], run=run)["results"]["inside"]
    assert found["top1"] == wanted["top1"] and found["images"] == len(NAMES)
    assert found["skipped"] == {"no_image": 1}


def test_a_table_names_images_of_its_own_folder_alone(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").write_bytes(b"x")
    (tmp_path / "out.png").write_bytes(b"y")
    (tmp_path / "set/link.png").symlink_to(tmp_path / "out.png")
    table = str(tmp_path / "set/t.csv")
    assert named_image(table, "a.png") == b"x" == named_image(table, str(tmp_path / "set/a.png"))
    for name in ("../out.png", str(tmp_path / "out.png"), "link.png", "memory://a.png", "b.png"):
        assert named_image(table, name) is None


def command_line(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return ended.value.code, *capsys.readouterr()


def curate(*arguments, workspace, launcher=()):
    command = [sys.executable, *launcher, "-m", "curate.cli.main", *map(str, arguments)]
    return subprocess.run(
        [*command, "--workspace", str(workspace)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_the_command_takes_a_config_and_prints_one_object(workspace, capsys):
    config = workspace / "eval.json"
    config.write_text(json.dumps({"datasets": [{"path": "wds", "name": "colours"}]}))
    place = ("--workspace", workspace)
    given = ("eval", workspace / "cvqa.parquet", "--config", config, "--json", *place)
    code, shown, problems = command_line(capsys, *given)
    assert (code, problems) == (0, "")
    assert set(json.loads(shown)["results"]) == {"cvqa", "colours"}
    given = ("eval", workspace / "wds", "--templates", workspace / "none.txt", *place)
    code, shown, problems = command_line(capsys, *given)
    assert (code, shown) == (1, "") and problems.startswith("Error: ")
    assert "none.txt: there is no such file" in problems


@pytest.mark.slow
def test_ranks_of_torchrun_print_once_what_one_process_does(workspace):
    alone = run_here(["eval", workspace / "xm", "--json", "--workspace", workspace])
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    found = curate("eval", workspace / "xm", "--json", workspace=workspace, launcher=launcher)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == json.loads(alone)


def test_clip_benchmark_loads_our_models_by_the_names_it_uses(workspace, monkeypatch):
    # The parts of CLIP_benchmark 1.6 that a loader meets: the table, and the call.
    models = types.ModuleType("clip_benchmark.models")
    models.TYPE2FUNC = {"open_clip": None}
    models.MODEL_TYPES = ["open_clip"]
    package = types.ModuleType("clip_benchmark")
    package.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "clip_benchmark", package)
    monkeypatch.setitem(sys.modules, "clip_benchmark.models", models)
    clip_benchmark.register()
    clip_benchmark.register()
    assert models.MODEL_TYPES == ["open_clip", "curate"]
    load = models.TYPE2FUNC["curate"]
    model, transform, tokenizer = load(
        model_name="any", pretrained=str(workspace / "runs/clip"), cache_dir=None, device="cpu"
    )
    image = transform(Image.new("RGB", (40, 20), (255, 0, 0))).unsqueeze(0)
    assert model.encode_image(image).shape == (1, 16)
    assert model.encode_text(tokenizer(["a red thing", "blue"]).to("cpu")).shape == (2, 16)
    with pytest.raises(UsageError, match="--pretrained is empty"):
        load(model_name="any", pretrained="")


def test_without_clip_benchmark_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(clip_benchmark, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install clip-benchmark"):
        clip_benchmark.register()


def test_an_image_of_another_size_and_mode_is_evaluated(workspace):
    (workspace / "odd" / "red").mkdir(parents=True)
    (workspace / "odd" / "red" / "a.png").write_bytes(png((255, 0, 0), size=3))
    (workspace / "odd" / "blue").mkdir()
    (workspace / "odd" / "blue" / "b.png").write_bytes(b"GIF89a")
    found = evaluate_model([str(workspace / "odd")], run=str(workspace / "runs/clip"))
    assert found["results"]["odd"]["skipped"] == {"corrupt_image": 1}
