"""`curate eval --ensemble` on experts that were trained for a few steps."""

import json

import pytest

from curate.cli.main import main
from curate.errors import ArtifactError, UsageError
from curate.files.sealed_json import read_json
from curate.pipelines.evaluate.ensemble import evaluate_ensemble
from curate.pipelines.evaluate.stage import evaluate_model
from curate.pipelines.evaluate.view import eval_table
from tests.pipelines.expert_helpers import cluster, expert, write_expert_workspace
from tests.training.embedding.test_encoders import static_model


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = write_expert_workspace(tmp_path_factory.mktemp("ensemble"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        for number in (0, 1):
            expert(folder, number, f"runs/e{number}", init="full@30")
    return folder


def ensemble(folder, names=("e0", "e1"), sets=("classes.parquet",), **given):
    options = {"clusters": str(folder / "clusters"), "text_encoder": str(folder / "static"),
               **given}  # fmt: skip
    return evaluate_ensemble([str(folder / s) for s in sets],
                             runs=[str(folder / "runs" / n) for n in names], **options)  # fmt: skip


def test_experts_the_mean_and_the_best_stand_beside_the_ensemble(experts, tmp_path):
    found = ensemble(experts, sets=("classes.parquet", "texts.parquet"), output=str(tmp_path))
    classes = found["results"]["classes"]
    assert sum(classes["weights"].values()) == pytest.approx(1)
    for name in ("e0", "e1"):
        alone = evaluate_model([str(experts / "classes.parquet"), str(experts / "texts.parquet")],
                               run=str(experts / "runs" / name))["results"]  # fmt: skip
        assert classes["experts"][name]["top1"] == alone["classes"]["top1"]
        retrieval = found["results"]["texts"]["experts"][name]
        assert retrieval["image_to_text"] == alone["texts"]["image_to_text"]
    assert classes["best"] in classes["experts"] and "top1" in classes["mean"]
    assert read_json(str(tmp_path / "eval/classes.json")) == classes
    shown = eval_table(found)
    assert "plain mean" in shown and "(best on this set)" in shown


def test_an_expert_that_is_added_changes_no_other(experts):
    one = ensemble(experts, ("e1",))["results"]["classes"]
    both = ensemble(experts, ("e0", "e1"))["results"]["classes"]
    turned = ensemble(experts, ("e1", "e0"))["results"]["classes"]
    assert one["experts"]["e1"] == both["experts"]["e1"] == turned["experts"]["e1"]
    assert one["weights"] == {"e1": 1.0} and both["weights"] == turned["weights"]
    assert one["top1"] == one["experts"]["e1"]["top1"] == one["mean"]["top1"]


def test_runs_of_other_clusters_encoders_and_no_experts_are_refused(experts, tmp_path):
    with pytest.raises(ArtifactError, match="full: it is no expert's run"):
        ensemble(experts, ("../full",))
    with pytest.raises(UsageError, match="are both for cluster 1"):
        ensemble(experts, ("e1", "e1"))
    with pytest.raises(UsageError, match="name the encoder that .* with --text-encoder"):
        ensemble(experts, text_encoder=None)
    static_model(tmp_path / "other")
    with pytest.raises(ArtifactError, match="is not the one that the clusters were made with"):
        ensemble(experts, text_encoder=str(tmp_path / "other"))
    cluster(experts, "again", seed=5, fine=3)
    with pytest.raises(ArtifactError, match="it is an expert for a cluster of others than those"):
        ensemble(experts, clusters=str(experts / "again"))
    with pytest.raises(UsageError, match="nothing to evaluate on"):
        ensemble(experts, sets=())


def test_the_command_takes_experts_by_their_names(experts, capsys):
    words = ["eval", str(experts / "classes.parquet"), "--ensemble", "e0", "--ensemble", "e1",
             "--text-encoder", str(experts / "static"), "-w", str(experts), "--json"]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(words)
    shown, problems = capsys.readouterr()
    assert ended.value.code == 0, problems
    assert set(json.loads(shown)["results"]["classes"]["experts"]) == {"e0", "e1"}
