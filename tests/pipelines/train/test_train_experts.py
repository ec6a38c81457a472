"""`curate train --expert`: a cluster's pairs, from where the full run stood, bit for bit."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
import torch

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.caption_tables import CaptionOptions
from curate.pipelines.cluster.options import ClusterPairsOptions
from curate.pipelines.cluster.stage import cluster_pairs
from curate.pipelines.clustered.expert import ExpertOptions
from curate.pipelines.train.stage import TrainExtras
from curate.training.data.batch import Batch
from curate.training.loop.trainer import Trainer
from tests.in_process import run_here
from tests.pipelines.expert_helpers import cluster, expert, train, write_expert_workspace
from tests.pipelines.train_helpers import weights, words
from tests.training.ranks import run_command_on_ranks


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_expert_workspace(tmp_path_factory.mktemp("experts"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def clusters_of(folder):
    table = pq.read_table(folder / "clusters/pairs/00000.parquet").to_pydict()
    return dict(zip(table["pair_id"], table["cluster"], strict=True))


def watched(monkeypatch):
    """Note the pairs of every batch that is trained on."""
    seen, step = [], Trainer.step

    def noting(self, batch: Batch, taught=None):
        seen.append((self.step_number, list(batch.pair_ids)))
        return step(self, batch, taught)

    monkeypatch.setattr(Trainer, "step", noting)
    return seen


def test_an_expert_goes_on_with_the_schedule_and_the_pairs_of_its_cluster(workspace, monkeypatch):
    of, seen = clusters_of(workspace), watched(monkeypatch)
    for number in (0, 1):
        card = expert(workspace, number, outside=0.0)
        assert {of[pair] for _, ids in seen for pair in ids} == {number}
        assert [step for step, _ in seen] == list(range(20, 40))
        assert card["pairs_seen"] == 20 * 16
        assert card["pairs_per_epoch"] == card["expert"]["pairs"] == Counter(of.values())[number]
        assert card["train"]["learning_rate"] == 3e-3 and card["expert"]["from_step"] == 20
        seen.clear()
    text = (workspace / "expert-1/modelcard.md").read_text()
    assert "- expert of cluster 1 (" in text and "from step 20 of its run on" in text
    first = json.loads((workspace / "expert-0/log.jsonl").read_text().splitlines()[0])
    whole = (workspace / "full/log.jsonl").read_text().splitlines()
    (there,) = [line for line in map(json.loads, whole) if line["step"] == first["step"] == 25]
    assert first["learning_rate"] == there["learning_rate"]


def test_others_come_with_their_share_and_anew_in_each_epoch(workspace, monkeypatch):
    of, seen = clusters_of(workspace), watched(monkeypatch)
    expert(workspace, 0, "wide", outside=0.3)
    by_pair = Counter(pair for _, ids in seen for pair in ids)
    outside = [pair for pair in by_pair if of[pair] == 1]
    of_others = sum(num == 1 for num in of.values())
    drawn = sum(by_pair[pair] for pair in outside)
    # 4 epochs or so of 0.3 · of_others: 5 standard deviations.
    expected = 320 * 0.3 * of_others / (len(of) - of_others + 0.3 * of_others)
    assert abs(drawn - expected) < 5 * (expected * 0.7) ** 0.5
    assert len(outside) > 0.5 * of_others  # not the same 0.3 of them again and again


def test_an_expert_that_was_killed_goes_on_bit_for_bit(workspace, monkeypatch):
    expert(workspace, 1, "whole")
    step = Trainer.step

    def failing(self, batch, taught=None):
        if self.step_number == 33:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        expert(workspace, 1, "killed")
    monkeypatch.setattr(Trainer, "step", step)
    expert(workspace, 1, "killed")
    a, b = weights(workspace, "whole"), weights(workspace, "killed")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert (
        json.loads((workspace / "whole/modelcard.json").read_text())["consumed_sha256"]
        == (json.loads((workspace / "killed/modelcard.json").read_text())["consumed_sha256"])
    )


def test_the_newest_checkpoint_that_leaves_steps_is_gone_on_from(workspace):
    card = expert(workspace, 0, "newest", init="full", steps=40, checkpoint_every=0)
    assert card["expert"]["from_step"] == 30 and card["pairs_seen"] == 160
    one, other = weights(workspace, "newest"), weights(workspace, "full")
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_an_expert_is_made_of_its_clusters_its_share_and_its_run(workspace):
    expert(workspace, 0, "fixed")
    with pytest.raises(ArtifactError, match=r"expert\.outside: it was made with 0\.02"):
        expert(workspace, 0, "fixed", outside=0.1)
    with pytest.raises(ArtifactError, match=r"expert\.cluster: it was made with 0"):
        expert(workspace, 1, "fixed")
    with pytest.raises(ArtifactError, match="init_sha256: it was made with"):
        expert(workspace, 0, "fixed", init="full@10")
    cluster(workspace, "others", seed=3, fine=3)
    with pytest.raises(ArtifactError, match=r"expert\.clusters: it was made with"):
        expert(workspace, 0, "fixed", clusters="others")


def test_what_cannot_be_an_expert_is_refused_before_a_step(workspace, tmp_path):
    with pytest.raises(UsageError, match="--expert is 2; expected 0 to 1: .* has 2 clusters"):
        expert(workspace, 2)
    with pytest.raises(UsageError, match="--outside is 1.5; expected 0 to 1"):
        expert(workspace, 0, outside=1.5)
    with pytest.raises(UsageError, match="--learning-rate is 0.5, and --init .* was trained with"):
        expert(workspace, 0, "x", learning_rate=0.5)
    with pytest.raises(ArtifactError, match="no checkpoint of step 15; those that leave steps to "
                                            "do: 10, 20, 30"):  # fmt: skip
        expert(workspace, 0, "x", init="full@15")
    with pytest.raises(ArtifactError, match="no run of `curate train`"):
        expert(workspace, 0, "x", init="balanced")
    with pytest.raises(ArtifactError, match="matched: it holds no clusters"):
        expert(workspace, 0, "x", clusters="matched")
    options = ExpertOptions(cluster=0, clusters=str(workspace / "clusters"))
    with pytest.raises(UsageError, match="name it with --init RUN"):
        TrainExtras(expert=options)
    captions = CaptionOptions(json_keys=("caption",), syn_ratio=0.5)
    with pytest.raises(UsageError, match="the caption that was clustered is the one to train on"):
        TrainExtras(expert=options, init="full", captions=captions)
    with pytest.raises(UsageError, match="leave --model out"):
        train(workspace, "x", TrainExtras(expert=options, init=str(workspace / "full")), "toy")
    assert not (workspace / "x").exists()


def test_clusters_of_other_pairs_leave_none_to_train_on(workspace, tmp_path):
    from tests.pipelines.embedded_helpers import write_embeddings

    part = {"pair_id": [f"p{i}" for i in range(8)], "text": [[1.0, 0.0], [0.0, 1.0]] * 4}
    write_embeddings(tmp_path / "embeddings", [part])
    cluster_pairs(embeddings=str(tmp_path / "embeddings"), output=str(tmp_path / "clusters"),
                  options=ClusterPairsOptions(fine=2, coarse=2), quiet=True)  # fmt: skip
    with pytest.raises(InputError, match="skipped: no_cluster 120"):
        expert(workspace, 0, "none", clusters=tmp_path / "clusters")


@pytest.mark.slow
def test_two_processes_train_the_expert_that_one_does(workspace, tmp_path):
    more = ["--init", workspace / "full@20", "--expert", "1", "--clusters",
            workspace / "clusters"]  # fmt: skip
    alone, pair = (words(workspace, name, *more) for name in ("alone", "pair"))
    for started in (alone, pair):
        at = started.index("--model")
        del started[at : at + 2]
        started[started.index("--batch-size") + 1] = "16"
    run_here(alone)
    run_command_on_ranks(pair, 2, tmp_path)
    a, b = weights(workspace, "alone"), weights(workspace, "pair")
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a)
    one, two = ((workspace / n / "consumed.json").read_bytes() for n in ("alone", "pair"))
    assert one == two
