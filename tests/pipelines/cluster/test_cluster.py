"""`curate cluster`: pairs by the vectors of their captions; the same bytes whatever happens."""

import json
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, UsageError
from curate.pipelines.cluster.options import ClusterPairsOptions
from curate.pipelines.cluster.stage import cluster_pairs
from curate.pipelines.cluster.view import cluster_table
from curate.pipelines.clustered.plan import Centres, ClusteredPlan
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.store import artifacts
from tests.pipelines.embedded_helpers import write_embeddings
from tests.pipelines.helpers import KILLS, contents, match, write_metadata, write_pairs
from tests.pipelines.tar_helpers import write_tar
from tests.training.embedding.test_encoders import static_model

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")


def spots(num, seed=0, width=16):
    """Return unit vectors around four directions, of which each has its own share."""
    rng = np.random.default_rng(seed)
    which = rng.choice(4, num, p=[0.4, 0.3, 0.2, 0.1])
    rows = np.eye(4, width)[which] + 0.1 * rng.standard_normal((num, width))
    return which, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def embeddings(folder, sizes=(500,), *, none=(), **given):
    which, vectors = (found[: sum(sizes)] for found in spots(max(500, sum(sizes))))
    rows, parts = [None if i in none else v for i, v in enumerate(vectors)], []
    for first, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
        names = [f"pair {n}" for n in range(first, first + size)]
        parts.append({"pair_id": names, "lang": ["en"] * size, "text": rows[first : first + size]})
    write_embeddings(folder, parts, **given)
    return which


def cluster(folder, output=None, *, fine=16, coarse=4, **given):
    run = {k: given.pop(k) for k in ("matched", "shards", "centres", "workers", "overwrite",
                                     "dry_run") if k in given}  # fmt: skip
    return cluster_pairs(
        embeddings=str(folder / "embeddings"), output=str(output or folder / "clusters"),
        options=ClusterPairsOptions(fine=fine, coarse=coarse, **given), quiet=True,
        **{k: str(v) if k in ("matched", "shards", "centres") else v for k, v in run.items()},
    )  # fmt: skip


def rows(folder):
    paths = sorted((folder / "pairs").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths])


def test_pairs_are_put_with_their_likes_and_figures_add_up(tmp_path):
    which = embeddings(tmp_path / "embeddings", (300, 200), none={3, 400})
    found = cluster(tmp_path)
    table = rows(tmp_path / "clusters").to_pylist()
    assert [row["pair_id"] for row in table] == [f"pair {n}" for n in range(500)]
    assert [n for n, row in enumerate(table) if row["cluster"] is None] == [3, 400]
    assert table[3]["fine"] is table[3]["distance"] is None
    sizes = [one["pairs"] for one in found["clusters"]]
    assert (found["pairs"], found["without_text"], sum(sizes)) == (500, 2, 498)
    centres = Centres.read(str(tmp_path / "clusters"))
    fine_of = {}
    for n, row in enumerate(table):
        if row["cluster"] is not None:
            assert row["cluster"] == centres.cluster[row["fine"]]
            fine_of.setdefault(row["fine"], []).append(which[n])
    # A fine centre is in one of the four spots, and so are all of its pairs.
    assert all(len(set(spots)) == 1 for spots in fine_of.values())
    assert [one["fine"] for one in found["clusters"]] == [4, 4, 4, 4]
    assert found["clusters"][0]["languages"] == {"en": sizes[0]}
    assert "entry_ids" not in table[0] and found["clusters"][0]["captions"] == []


def test_bytes_are_the_same_for_any_number_of_workers(tmp_path):
    embeddings(tmp_path / "embeddings", (200, 10, 290), none={7})
    for workers in (1, 3):
        cluster(tmp_path, tmp_path / f"w{workers}", workers=workers)
    assert contents(tmp_path / "w1") == contents(tmp_path / "w3")
    again = contents(tmp_path / "w1")
    cluster(tmp_path, tmp_path / "w1")
    assert contents(tmp_path / "w1") == again


def test_the_files_that_pairs_are_in_do_not_decide_their_clusters(tmp_path):
    for name, sizes in (("one", (500,)), ("many", (1, 99, 400))):
        embeddings(tmp_path / name / "embeddings", sizes)
        cluster(tmp_path / name, sample=100)
    one, many = (rows(tmp_path / n / "clusters").drop_columns("lang") for n in ("one", "many"))
    assert one.combine_chunks().equals(many.combine_chunks())


def captions(folder, num=120):
    """Match, embed and cluster captions of two kinds of words; return the folder."""
    texts = [f"red dog {i}" if i % 3 else f"blue cat {i}" for i in range(num)]
    write_pairs(folder / "in.parquet", texts)
    metadata = write_metadata(folder / "metadata", {"en": ["red", "blue", "dog", "cat"]})
    match([folder / "in.parquet"], metadata, folder / "matched")
    static_model(folder / "static", ["red", "dog", "blue", "cat"])
    embed_pairs(
        output=str(folder / "embeddings"), matched=str(folder / "matched"), quiet=True,
        options=EmbedOptions(text_encoder=str(folder / "static"), kinds=("text",)),
    )  # fmt: skip
    return folder


def test_clusters_are_shown_by_their_captions_and_entries(tmp_path):
    captions(tmp_path)
    found = cluster(tmp_path, fine=2, coarse=2, matched=tmp_path / "matched")
    by_entries = {frozenset(e["entry"] for e in one["entries"]): one for one in found["clusters"]}
    assert set(by_entries) == {frozenset({"red", "dog"}), frozenset({"blue", "cat"})}
    dogs = by_entries[frozenset({"red", "dog"})]
    assert dogs["pairs"] == 80
    assert [(e["lang"], e["pairs"], e["times"]) for e in dogs["entries"]] == [("en", 80, 1.5)] * 2
    (caption,) = dogs["captions"]
    assert caption["text"].startswith("red dog") and caption["distance"] < 0.1
    matched = pq.read_table(tmp_path / "matched/pairs/00000.parquet")
    table = rows(tmp_path / "clusters")
    assert table.column("entry_ids").to_pylist() == matched.column("entry_ids").to_pylist()
    page = (tmp_path / "clusters/clusters.md").read_text()
    assert caption["text"] in page and "model2vec, sha256" in page and "| dog | en | 80 |" in page
    assert "red" in cluster_table(found, "clusters") and "read 120 = " in cluster_table(found, "c")


def write_shards(folder):
    """Write what is matched into two shards of a set, with its entries beside them."""
    pairs = pq.read_table(folder / "matched/pairs/00000.parquet").to_pylist()
    for number in range(2):
        members = {}
        for at, pair in enumerate(pairs[number::2]):
            members[f"{at}.txt"] = pair["text"]
            members[f"{at}.json"] = json.dumps({
                name: pair[name] for name in ("pair_id", "lang", "entry_ids")
            })  # fmt: skip
        write_tar(folder / f"balanced/shards/{number:05d}.tar", members)
    shutil.copytree(folder / "matched/counts", folder / "balanced/probabilities")
    return folder / "balanced/shards"


@pytest.mark.parametrize("name", ["shards", "shards/", "shards/*.tar", "shards/00000.tar", "."])
def test_clusters_of_shards_are_shown_by_entries_however_the_shards_are_named(
    tmp_path, monkeypatch, name
):
    captions(tmp_path)
    shards = write_shards(tmp_path)
    monkeypatch.chdir(shards if name == "." else shards.parent)
    shutil.rmtree(tmp_path / "embeddings")
    embed_pairs(
        output=str(tmp_path / "embeddings"), shards=name, quiet=True,
        options=EmbedOptions(text_encoder=str(tmp_path / "static"), kinds=("text",)),
    )  # fmt: skip
    found = cluster(tmp_path, fine=2, coarse=2, shards=name)
    assert {frozenset(e.get("entry") for e in one["entries"]) for one in found["clusters"]} == {
        frozenset({"red", "dog"}), frozenset({"blue", "cat"})
    }  # fmt: skip
    assert found["pairs"] == (60 if name.endswith("0.tar") else 120)


def test_pairs_that_come_later_go_to_the_centres_that_there_are(tmp_path):
    embeddings(tmp_path / "embeddings", (300,))
    cluster(tmp_path)
    embeddings(tmp_path / "embeddings", (300, 200))
    with pytest.raises(ArtifactError, match="embedded: it was made with"):
        cluster(tmp_path)
    cluster(tmp_path, tmp_path / "later", centres=tmp_path / "clusters")
    early, later = (rows(tmp_path / n).to_pylist() for n in ("clusters", "later"))
    assert len(later) == 500 and later[:300] == early
    one, other = (Centres.read(str(tmp_path / n)).identity for n in ("clusters", "later"))
    assert one == other
    cluster(tmp_path, centres=tmp_path / "clusters", overwrite=True)
    assert contents(tmp_path / "clusters") == contents(tmp_path / "later")


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(tmp_path):
    embeddings(tmp_path / "embeddings", (1000,) * 6)
    words = ["cluster", "-w", str(tmp_path), "--fine", "64", "--workers", "2", "--quiet",
             "--json"]  # fmt: skip

    def begin(name):
        process = subprocess.Popen([*CURATE, *words, "-o", str(tmp_path / name)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        deadline = time.monotonic() + 60
        while not (tmp_path / name / "plan.json").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return process, time.monotonic()

    process, since = begin("whole")
    _, problems = process.communicate()
    takes = time.monotonic() - since
    assert process.returncode == 0, problems
    rng, killed = random.Random(0), 0
    while killed < max(2, KILLS // 7):
        process, _ = begin("killed")
        time.sleep(rng.uniform(0, takes))
        at_work = process.poll() is None
        process.kill()
        process.communicate()
        killed += at_work
        if not at_work:  # it came to its end: the next ones begin anew, and are killed earlier
            shutil.rmtree(tmp_path / "killed")
            takes *= 0.8
    process, _ = begin("killed")
    shown, problems = process.communicate()
    assert process.returncode == 0 and json.loads(shown)["pairs"] == 6000, problems
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_more_centres_than_pairs_and_other_wrong_numbers_are_refused(tmp_path):
    embeddings(tmp_path / "embeddings", (20,), none={1})
    with pytest.raises(UsageError, match="--fine is 20, and of the pairs of .* 19 have a vector"):
        cluster(tmp_path, fine=20)
    with pytest.raises(UsageError, match="--sample is 10; expected at least --fine, 16"):
        cluster(tmp_path, sample=10)
    with pytest.raises(UsageError, match="--coarse is 17; expected 1 to the number of fine"):
        cluster(tmp_path, coarse=17)
    with pytest.raises(UsageError, match="--steps is 0"):
        cluster(tmp_path, steps=0)
    assert cluster(tmp_path, fine=19, dry_run=True) == {"parts": 1, "fine": 19, "coarse": 4}
    assert not (tmp_path / "clusters").exists()
    assert cluster(tmp_path, fine=19)["without_text"] == 1
    with pytest.raises(ArtifactError, match="fine: it was made with 19, this run has 16"):
        cluster(tmp_path)


def test_vectors_of_another_width_of_two_models_or_of_images_alone_are_refused(tmp_path):
    embeddings(tmp_path / "embeddings", (60, 40))
    part = tmp_path / "embeddings/pairs/00001.parquet"
    stamp, column = artifacts.read_stamp(str(part)), pq.read_table(part)
    narrow = pa.array([[1.0, 0.0]] * 40, pa.list_(pa.float16(), 2))
    at = column.schema.get_field_index("text")
    artifacts.write_table(str(part), column.set_column(at, "text", narrow), stamp, "")
    with pytest.raises(ArtifactError, match="its vectors are of width 2, expected 16"):
        cluster(tmp_path)
    other = {**stamp, "parameters": "another model's"}
    artifacts.write_table(str(part), column, other, "")
    with pytest.raises(ArtifactError, match="00001.parquet was made with something else"):
        cluster(tmp_path, tmp_path / "c")
    flat = np.full((40, 16), np.nan, np.float16).reshape(-1)
    broken = pa.FixedSizeListArray.from_arrays(pa.array(flat), 16)
    artifacts.write_table(str(part), column.set_column(at, "text", broken), stamp, "")
    with pytest.raises(ArtifactError, match="a vector in it is not finite"):
        cluster(tmp_path, tmp_path / "d")
    images = {"pair_id": ["a"], "image": [[1.0, 0.0]]}
    write_embeddings(tmp_path / "images/embeddings", [images])
    with pytest.raises(ArtifactError, match="it has no vectors of the kind text"):
        cluster(tmp_path / "images")
    with pytest.raises(ArtifactError, match="nothing is embedded here"):
        cluster(tmp_path / "nothing")


def test_centres_of_another_models_vectors_are_refused(tmp_path):
    embeddings(tmp_path / "embeddings")
    cluster(tmp_path)
    embeddings(tmp_path / "other/embeddings", one_model=True)
    with pytest.raises(ArtifactError, match="its centres are of vectors by the model text model"):
        cluster(tmp_path / "other", centres=tmp_path / "clusters")
    with pytest.raises(ArtifactError, match="there are no centres of clusters in it"):
        cluster(tmp_path, tmp_path / "x", centres=tmp_path / "embeddings")


def test_a_part_that_was_damaged_is_noticed_and_told_what_makes_it_anew(tmp_path):
    embeddings(tmp_path / "embeddings")
    cluster(tmp_path)
    before = contents(tmp_path / "clusters")
    for name in ("pairs/00000.parquet", "centres.parquet"):
        path = tmp_path / "clusters" / name
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(bytes(content))
        with pytest.raises(ArtifactError, match=f"{name} is damaged.*run `curate.cluster"):
            Centres.read(str(tmp_path / "clusters"))
            list(ClusteredPlan.read(str(tmp_path / "clusters")).batches(["pair_id", "cluster"]))
        path.unlink()
        (tmp_path / "clusters/summary.json").unlink()
        cluster(tmp_path)
        assert contents(tmp_path / "clusters") == before


def test_centres_and_clusters_without_a_pair_are_told(tmp_path):
    part = {"pair_id": [f"p{i}" for i in range(40)], "text": [[1.0, 0.0]] * 40}
    write_embeddings(tmp_path / "embeddings", [part])
    found = cluster(tmp_path, fine=8, coarse=2)  # all are one caption: its first centre has all
    assert sorted(one["pairs"] for one in found["clusters"]) == [0, 40]
    shown = cluster_table(found, "clusters")
    assert "fine centres that no pair is nearest to: 7 of 8" in shown
    assert "clusters without a pair: 1; no expert can be trained on one" in shown
    assert ClusteredPlan.read(str(tmp_path / "clusters")).sizes() == [40, 0]
