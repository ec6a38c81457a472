"""`curate sample`: pairs drawn evenly over clusters of clusters, and the same for any workers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.curation.sampling.sampling import hash_draws
from curate.errors import ArtifactError, UsageError
from curate.pipelines.match import enter_drops, remove_drops
from curate.pipelines.sample import stage
from curate.pipelines.sample.options import SampleOptions, parse_clusters
from curate.pipelines.sample.stage import sample_pairs
from curate.pipelines.store import artifacts
from tests.pipelines.embedded_helpers import write_embeddings
from tests.pipelines.helpers import contents, match, read_pairs, write_metadata, write_pairs

CROWD, RARE = 600, 15


def vectors_of_pool(seed=0, width=12):
    """Return vectors of one crowded region and of eight rare ones, and the region of each."""
    rng = np.random.default_rng(seed)
    region = np.repeat(np.arange(9), [CROWD, *[RARE] * 8])
    means = np.linalg.qr(rng.normal(size=(width, 9)))[0].T
    rows = means[region] + 0.1 * rng.normal(size=(len(region), width))
    order = rng.permutation(len(region))
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[order].astype(np.float16), region[order]


def world(folder, parts=(300, 420)):
    """Match pairs, and write vectors of them, in some parts; return their regions by id."""
    vectors, region = vectors_of_pool()
    metadata = write_metadata(folder / "metadata", {"en": ["red"]})
    write_pairs(folder / "in.parquet", [f"red {i}" for i in range(len(region))])
    match([folder / "in.parquet"], metadata, folder / "matched")
    ids = read_pairs(folder / "matched").column("pair_id").to_pylist()
    first, tables = 0, []
    for num in parts:
        some = list(vectors[first : first + num])
        if first == 0:
            some[0] = None
        tables.append({"pair_id": ids[first : first + num], "image": some})
        first += num
    plan = write_embeddings(folder / "embeddings", tables)
    values = artifacts.read_json(str(folder / "embeddings/summary.json"))
    values |= {"plan": plan.digest(), "image_vectors": len(ids) - 1}
    artifacts.write_json(str(folder / "embeddings/summary.json"), values)
    return dict(zip(ids, region.tolist(), strict=True))


def sample(folder, target=90, output="sampled", **options):
    run = {k: options.pop(k) for k in ("matched", "workers", "overwrite", "enter") if k in options}
    return sample_pairs(
        embeddings=str(folder / "embeddings"), output=str(folder / output), quiet=True,
        options=SampleOptions(target_pairs=target, **{"clusters": (30, 9), **options}), **run,
    )  # fmt: skip


def kept_by(folder, output="sampled"):
    """Decide again by the definition: draw < probability of the pair's leaf."""
    rows = pa.concat_tables(
        [pq.read_table(p) for p in sorted((folder / output / "pairs").glob("*.parquet"))]
    ).to_pylist()
    leaves = pq.read_table(folder / output / "leaves.parquet").column("probability").to_pylist()
    draws = hash_draws(pa.array([row["pair_id"] for row in rows]), 0)
    return {row["pair_id"] for row, draw in zip(rows, draws.tolist(), strict=True)
            if row["cluster"] is not None and draw < leaves[row["cluster"]]}  # fmt: skip


def test_rare_regions_are_kept_and_crowded_ones_thinned_out(tmp_path):
    region = world(tmp_path)
    found = sample(tmp_path, matched=str(tmp_path / "matched"))
    kept = kept_by(tmp_path)
    assert found["kept"] == found["matched"] == len(kept)
    assert found["expected"] == pytest.approx(90, abs=1e-3)
    # A sum of independent draws: its variance is below its mean, 90; five deviations.
    assert abs(len(kept) - 90) < 5 * 90**0.5
    of_region = np.bincount([region[pair] for pair in kept], minlength=9)
    assert of_region[1:].sum() > 2 * of_region[0] > 0  # of all pairs, they are one in six
    assert found["read"] == found["kept"] + sum(found["fallen"].values()) == 720
    assert found["fallen"]["no_vector"] == 1
    top = found["levels"][-1]
    assert top["clusters"] == 9 and top["largest_share"] > 0.6 > 0.3 > top["largest_share_kept"]
    summary = artifacts.read_json(str(tmp_path / "matched/summary.json"))
    assert summary["dropped"]["not_sampled"] == found["fallen"]["not_sampled"]
    card = curate.balance(workspace=tmp_path, t=10**9, format="parquet", quiet=True)
    assert card["total"]["kept"] == len(kept)
    assert set(read_pairs(tmp_path / "balanced").column("pair_id").to_pylist()) == kept
    again = curate.sample(undo=True, workspace=tmp_path, quiet=True)
    assert again["matched"] == 720
    # By entries, on the same pool: every pair has the same one, so that regions stay as they were.
    entries = curate.balance(workspace=tmp_path, target_pairs=90, exact=True, format="parquet",
                             output=tmp_path / "entries", quiet=True)  # fmt: skip
    assert entries["total"]["kept"] == 90
    ids = read_pairs(tmp_path / "entries").column("pair_id").to_pylist()
    assert sum(region[pair] == 0 for pair in ids) > 60


def test_a_larger_target_keeps_what_a_smaller_one_does_without_clustering_again(
    tmp_path, monkeypatch
):
    world(tmp_path)
    sample(tmp_path, 40)
    few = kept_by(tmp_path)
    monkeypatch.setattr(stage, "assign_part", _is_there)
    sample(tmp_path, 200)
    assert few < kept_by(tmp_path)
    assert sample(tmp_path, 10**6)["kept"] == 719


def _is_there(worker, part):
    assert artifacts.read_stamp(worker.job.path(part))["source"]
    return part


def test_pairs_that_do_not_count_are_not_sampled_from(tmp_path):
    region = world(tmp_path)
    matched = str(tmp_path / "matched")
    crowd = [pair for pair, one in region.items() if one == 0]
    reasons = artifacts.strings(["duplicate_exact"] * len(crowd))
    enter_drops(matched, "duplicates", [(artifacts.strings(crowd), reasons)], quiet=True)
    found = sample(tmp_path, 60, matched=matched)
    assert found["left_out"] == CROWD and found["expected"] == 60
    assert found["matched"] == found["kept"]
    assert not kept_by(tmp_path) <= set(crowd)
    twice = sample(tmp_path, 60, matched=matched)  # its own list is no reason to leave pairs out
    assert twice == found


def test_what_a_sample_was_drawn_without_does_not_come_back_beside_it(tmp_path, caplog):
    region = world(tmp_path)
    matched = str(tmp_path / "matched")
    crowd = [pair for pair, one in region.items() if one == 0]
    some = {"few": crowd[:100], "many": crowd}

    def enter(name, pairs):
        caplog.clear()
        reasons = artifacts.strings(["why"] * len(pairs))
        with caplog.at_level("INFO", "curate"):
            return enter_drops(matched, name, [(artifacts.strings(pairs), reasons)])["matched"]

    def why():
        return curate.status(workspace=tmp_path)["stages"]["sampled"]["why"]

    assert enter("duplicates", some["many"]) == 720 - CROWD
    kept = sample(tmp_path, 60, matched=matched)["kept"]
    assert why() == []
    with pytest.raises(ArtifactError, match="list 'duplicates' leaves.*curate.sample"):
        remove_drops(matched, "duplicates", metadata=None, workers=1, quiet=True)
    assert artifacts.read_json(f"{matched}/summary.json")["matched"] == kept
    # The same list again changes nothing; another one brings pairs back, and that is said.
    assert enter("duplicates", some["many"]) == kept and "the sample" not in caplog.text
    assert enter("duplicates", some["few"]) == kept + CROWD - 100
    assert "the sample was drawn while other pairs counted" in caplog.text
    assert "than those that it was drawn from" in why()[0]
    kept = sample(tmp_path, 60, matched=matched)["matched"]
    assert kept < 100 and why() == []
    # A list that came afterwards is no part of what was drawn from.
    assert enter("scores", sorted(kept_by(tmp_path) - set(some["few"]))[:5]) == kept - 5
    remove_drops(matched, "scores", metadata=None, workers=1, quiet=True)
    assert artifacts.read_json(f"{matched}/summary.json")["matched"] == kept and why() == []
    remove_drops(matched, "sample", metadata=None, workers=1, quiet=True)
    left = remove_drops(matched, "duplicates", metadata=None, workers=1, quiet=True)
    assert left == {"counted_again": 100, "matched": 720}


def test_workers_files_and_kills_do_not_show_in_the_result(tmp_path, monkeypatch):
    world(tmp_path)
    whole = sample(tmp_path, output="one", resample=1)
    assert sample(tmp_path, output="three", resample=1, workers=3) == whole
    expected = contents(tmp_path / "one")
    assert contents(tmp_path / "three") == expected
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(stage, "leaf_budgets", _stop)
        sample(tmp_path, output="three", resample=1, overwrite=True)
    assert contents(tmp_path / "three").items() >= expected.items()  # what was there stays
    (tmp_path / "three/pairs/00001.parquet").unlink()
    (tmp_path / "three/summary.json").unlink()
    sample(tmp_path, output="three", resample=1)
    assert contents(tmp_path / "three") == expected


def _stop(*_):
    raise KeyboardInterrupt


def test_what_cannot_be_meant_is_refused(tmp_path):
    world(tmp_path)
    with pytest.raises(UsageError, match="begins with 1,000 clusters, and 719 pairs have a vector"):
        sample(tmp_path, clusters=(1000, 10))
    for bad, text in (
        ({"clusters": (4, 9)}, "fall from the leaves"),
        ({"clusters": ()}, "fall"),
        ({"kind": "sound"}, "expected image or text"),
        ({"resample": -1}, "0 to"),
    ):
        with pytest.raises(UsageError, match=text):
            sample(tmp_path, **bad)
    with pytest.raises(UsageError, match="--target-pairs is 0"):
        SampleOptions(target_pairs=0)
    with pytest.raises(ArtifactError, match="no vectors of the kind text"):
        sample(tmp_path, kind="text")
    with pytest.raises(UsageError, match="--clusters"):
        parse_clusters("9,x")
    sample(tmp_path)
    with pytest.raises(ArtifactError, match="clusters"):
        sample(tmp_path, clusters=(20, 9))
    vectors = [[np.inf, 0.0], [1.0, 0.0]]
    plan = write_embeddings(
        tmp_path / "bad/embeddings", [{"pair_id": ["a", "b"], "image": vectors}]
    )
    artifacts.write_json(str(tmp_path / "bad/embeddings/summary.json"),
                         {"plan": plan.digest(), "image_vectors": 2, "pairs": 2})  # fmt: skip
    with pytest.raises(ArtifactError, match="not finite"):
        sample(tmp_path / "bad", clusters=(2,))
