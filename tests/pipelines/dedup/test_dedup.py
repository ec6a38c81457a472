"""`curate dedup`: planted duplicates fall, others stay, and the counts are those without them."""

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

from curate.curation.hashing.ids import quick_hashes
from curate.errors import ArtifactError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.dedup import semantic
from curate.pipelines.dedup.options import DedupOptions
from curate.pipelines.dedup.stage import dedup_pairs, undo_dedup
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.match import enter_drops
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.store import artifacts
from tests.pipelines.embedded_helpers import encoded, picture, planted, write_embeddings
from tests.pipelines.helpers import KILLS, contents, match, read_pairs, write_metadata, write_pairs

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")


def dedup(folder, **options):
    run = {k: options.pop(k) for k in ("matched", "workers", "overwrite", "dry_run", "output")
           if k in options}  # fmt: skip
    if (matched := run.get("matched")) is not None:
        run["matched"] = str(matched)
    return dedup_pairs(
        embeddings=str(folder / "embeddings"), output=str(run.pop("output", folder / "deduped")),
        options=DedupOptions(**options), quiet=True, **run,
    )  # fmt: skip


def fallen(folder):
    paths = sorted((folder / "pairs").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()


def world(folder, num=12):
    """Match and embed pictures with duplicates of every kind; return kinds by pair id."""
    images, texts, kinds = [], [], []
    for seed in range(num):
        whole = {"first": encoded(picture(seed))} | planted(picture(seed))
        for kind, content in whole.items():
            images.append(content)
            texts.append(f"red {'dog' if seed % 2 else 'cat'} {kind}")
            kinds.append((seed, kind))
    write_pairs(folder / "in.parquet", texts, image=images)
    metadata = write_metadata(folder / "metadata", {"en": ["red", "dog", "cat"]})
    match([folder / "in.parquet"], metadata, folder / "matched")
    embed(folder)
    ids = read_pairs(folder / "matched").column("pair_id").to_pylist()
    return dict(zip(ids, kinds, strict=True))


def embed(folder):
    embed_pairs(output=str(folder / "embeddings"), options=EmbedOptions(),
                matched=str(folder / "matched"), quiet=True)  # fmt: skip


def test_planted_duplicates_fall_for_the_first_by_the_hash_of_its_id(tmp_path):
    kinds = world(tmp_path)
    found = dedup(tmp_path, matched=tmp_path / "matched")
    rows = fallen(tmp_path / "deduped")
    assert (found["read"], found["kept"], len(rows)) == (84, 12, 72)
    image_of = {row["pair_id"]: row["image_id"]
                for row in read_pairs(tmp_path / "matched").to_pylist()}  # fmt: skip
    for row in rows:
        seed, kind = kinds[row["pair_id"]]
        assert kinds[row["kept_pair_id"]][0] == seed
        assert row["reason"] in ("duplicate_exact", "duplicate_perceptual")
        assert row["distance"] <= 48
    exact = [row for row in rows if row["reason"] == "duplicate_exact"]
    assert {kinds[r["pair_id"]][1] for r in exact} <= {"first", "again"} and len(exact) == 12
    by_seed = {}
    for pair, (seed, _) in kinds.items():
        by_seed.setdefault(seed, []).append(image_of[pair])
    kept = {image_of[pair] for pair in kinds} - {row["image_id"] for row in rows}
    for images in by_seed.values():
        hashes = quick_hashes(pa.array(images), 0)
        assert images[int(np.argmin(hashes))] in kept


def test_pairs_that_fall_for_one_that_does_not_count_are_told(tmp_path, caplog):
    kinds = world(tmp_path, num=3)
    matched = str(tmp_path / "matched")
    dedup(tmp_path)
    rows = fallen(tmp_path / "deduped")
    stays = rows[0]["kept_pair_id"]
    mine = [row["pair_id"] for row in rows if row["kept_pair_id"] == stays]
    caplog.set_level("INFO", "curate")
    run = {"embeddings": str(tmp_path / "embeddings"), "output": str(tmp_path / "deduped"),
           "options": DedupOptions(), "matched": matched}  # fmt: skip
    for dropped, told in (([], 0), ([stays], len(mine)), ([stays, mine[0]], len(mine) - 1)):
        names = artifacts.strings(dropped)
        reasons = artifacts.strings(["clip_score"] * len(dropped))
        enter_drops(matched, "scores", [(names, reasons)], quiet=True)
        caplog.clear()
        left = dedup_pairs(**run)["matched"]
        assert left == (3 if not dropped else 2) and len(kinds) == 21
        lines = [line for line in caplog.messages if "does not count itself" in line]
        assert len(lines) == bool(told)
        assert not told or f"{told} pairs fell" in lines[0] and f"(clip_score {told})" in lines[0]


def test_the_counts_are_those_without_the_duplicates_until_it_is_undone(tmp_path):
    kinds = world(tmp_path)
    before = contents(tmp_path / "matched")
    found = dedup(tmp_path, matched=tmp_path / "matched")
    summary = artifacts.read_json(str(tmp_path / "matched/summary.json"))
    assert summary["matched"] == found["matched"] == 12
    assert summary["dropped"]["duplicate_exact"] == 12
    counts = pq.read_table(tmp_path / "matched/counts/en.parquet").to_pydict()
    by_entry = zip(counts["entry"], counts["count"], strict=True)
    assert {entry: count for entry, count in by_entry if count} == {"red": 12, "dog": 6, "cat": 6}
    balance_pairs(matched=str(tmp_path / "matched"), output=str(tmp_path / "balanced"), quiet=True,
                  options=BalanceOptions(t=5, output_format="parquet"))  # fmt: skip
    kept = read_pairs(tmp_path / "balanced").column("pair_id").to_pylist()
    assert len({kinds[pair][0] for pair in kept}) == len(kept) > 0
    again = undo_dedup(matched=str(tmp_path / "matched"), metadata=None, workers=1, quiet=True)
    assert again == {"counted_again": 72, "matched": 84}
    assert contents(tmp_path / "matched") == before


def test_methods_and_what_counts_as_turned_are_chosen(tmp_path):
    kinds = world(tmp_path, 4)
    found = dedup(tmp_path, methods=("exact",))
    assert found["fallen"] == {"duplicate_exact": 4} and found["matched"] is None
    straight = dedup(tmp_path, turned=False, output=tmp_path / "straight")
    left = {kinds[r["pair_id"]] for r in fallen(tmp_path / "straight")}
    assert straight["kept"] == 12  # one each as it was, mirrored, and turned
    assert len({seed for seed, _ in left}) == 4


def test_captions_of_one_image_are_no_duplicates_and_fall_together(tmp_path):
    content = encoded(picture(1))
    urls = ["https://a.org/1.jpg"] * 3 + ["https://a.org/2.jpg"]
    table = pa.table({"url": urls, "text": ["red 1", "red 2", "red 3", "red 4"],
                      "image": [content] * 4})  # fmt: skip
    pq.write_table(table, tmp_path / "in.parquet")
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red"]})
    match([tmp_path / "in.parquet"], metadata, tmp_path / "matched")
    embed(tmp_path)
    found = dedup(tmp_path)
    assert found["images"] == 2 and found["images_fallen"]["duplicate_exact"] == 1
    assert found["kept"] in (1, 3) and found["kept"] + sum(found["fallen"].values()) == 4


def test_the_largest_image_stays_if_it_is_asked_for(tmp_path):
    kinds = world(tmp_path, 6)
    dedup(tmp_path, keep_best="resolution")
    gone = {kinds[row["pair_id"]] for row in fallen(tmp_path / "deduped")}
    kept = set(kinds.values()) - gone
    assert len(kept) == 6 and all(kind != "half" for _, kind in kept)
    with pytest.raises(UsageError, match="--keep-best is 'beauty'"):
        dedup(tmp_path, keep_best="beauty", output=tmp_path / "b")


def clouds(num, copies, width=24, noise=0.02):
    rng = np.random.default_rng(num)
    base = rng.normal(size=(num, width))
    rows = np.concatenate([base + (noise * rng.normal(size=base.shape) if c else 0)
                           for c in range(copies + 1)])  # fmt: skip
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def vector_parts(vectors, sizes):
    parts, first = [], 0
    for size in sizes:
        names = [f"pair {n}" for n in range(first, first + size)]
        parts.append({"pair_id": names, "image": list(vectors[first : first + size])})
        first += size
    assert first == len(vectors)
    return parts


def test_near_vectors_fall_and_any_number_of_files_gives_the_same(tmp_path, monkeypatch):
    vectors = clouds(300, 2)
    for name, sizes in (("one", [900]), ("many", [1, 199, 300, 400])):
        write_embeddings(tmp_path / name / "embeddings", vector_parts(vectors, sizes))
        dedup(tmp_path / name, methods=("semantic",), epsilon=0.05)
    rows = [sorted(fallen(tmp_path / n / "deduped"), key=lambda r: r["pair_id"])
            for n in ("one", "many")]  # fmt: skip
    assert rows[0] == rows[1] and len(rows[0]) == 600
    for row in rows[0]:
        numbers = [int(row[name].split()[1]) % 300 for name in ("pair_id", "kept_pair_id")]
        assert numbers[0] == numbers[1] and row["reason"] == "duplicate_semantic"
        assert 0 <= row["distance"] <= 0.05


def test_clusters_shelves_and_workers_do_not_show_in_the_result(tmp_path, monkeypatch):
    vectors = clouds(700, 2)
    write_embeddings(tmp_path / "embeddings", vector_parts(vectors, [1000, 1100]))
    dedup(tmp_path, methods=("semantic",))
    monkeypatch.setattr(semantic, "num_clusters", lambda _: 20)
    monkeypatch.setattr(semantic, "_SHELF_BYTES", 40_000)
    monkeypatch.setattr(semantic, "_RUN_BYTES", 20_000)
    for workers in (1, 3):
        found = dedup(tmp_path, methods=("semantic",), output=tmp_path / f"w{workers}",
                      workers=workers)  # fmt: skip
        assert found["clusters"] == 20
    assert contents(tmp_path / "w1") == contents(tmp_path / "w3")
    whole, parted = ({r["pair_id"] for r in fallen(tmp_path / n)} for n in ("deduped", "w1"))
    assert len(whole) == 1400 and len(whole & parted) >= 0.99 * 1400


def test_pairs_without_image_and_vectors_stay_and_are_told(tmp_path):
    vectors = clouds(5, 1)
    part = {"pair_id": [f"p{i}" for i in range(12)], "image": [*vectors, None, None],
            "image_xxh3": [None] * 12}  # fmt: skip
    write_embeddings(tmp_path / "embeddings", [part])
    found = dedup(tmp_path)
    assert found["not_compared"] == {"exact": 12, "perceptual": 12, "semantic": 2}
    assert found["kept"] == 7
    write_embeddings(tmp_path / "one/embeddings", [{"pair_id": ["a"], "image": [vectors[0]]}])
    assert dedup(tmp_path / "one")["kept"] == 1


def test_a_run_that_was_stopped_compares_only_what_is_left(tmp_path, monkeypatch):
    vectors = clouds(700, 2)
    write_embeddings(tmp_path / "embeddings", vector_parts(vectors, [1000, 1100]))
    monkeypatch.setattr(semantic, "num_clusters", lambda _: 20)
    monkeypatch.setattr(semantic, "_SHELF_BYTES", 40_000)
    dedup(tmp_path, output=tmp_path / "whole")
    calls, compare = [], semantic.fall_for_earlier

    def stopped(*arguments):
        calls.append("compare")
        if len(calls) == 9:
            raise KeyboardInterrupt
        return compare(*arguments)

    monkeypatch.setattr(semantic, "fall_for_earlier", stopped)
    with pytest.raises(KeyboardInterrupt):
        dedup(tmp_path)
    done = len(list((tmp_path / "deduped/.working").glob("*.found.parquet")))
    assert 0 < done < 9
    for name in ("fit_clusters", "_write_run"):
        monkeypatch.setattr(semantic, name, None)
    dedup(tmp_path)
    assert 20 <= len(calls) < 20 + 9
    assert contents(tmp_path / "deduped") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(tmp_path):
    world(tmp_path / "a", 8)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    words = ["dedup", "-w", ".", "--quiet", "--workers", "2"]
    whole = subprocess.run([*CURATE, *words], cwd=tmp_path / "a", capture_output=True, check=False)
    assert whole.returncode == 0, whole.stderr
    rng = random.Random(1)
    for _ in range(max(2, KILLS // 7)):
        process = subprocess.Popen([*CURATE, *words], cwd=tmp_path / "b", stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not (tmp_path / "b/deduped/plan.json").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
    done = subprocess.run([*CURATE, *words, "--json"], cwd=tmp_path / "b", capture_output=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0 and json.loads(done.stdout)["matched"] == 8, done.stderr
    for name in ("deduped", "matched/counts", "matched/drops", "matched/pairs"):
        assert contents(tmp_path / "a" / name) == contents(tmp_path / "b" / name)


def test_what_was_cut_short_while_counts_were_made_anew_goes_on(tmp_path, monkeypatch):
    world(tmp_path, 3)
    matched = tmp_path / "matched"
    whole = dedup(tmp_path, matched=matched)["matched"]
    expected = contents(matched)

    def cut_short(*_, **__):
        raise KeyboardInterrupt

    for again in (
        lambda: undo_dedup(matched=str(matched), metadata=None, workers=1, quiet=True)["matched"],
        lambda: dedup(tmp_path, matched=matched)["matched"],
    ):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("curate.pipelines.match.dropping.finish_matched", cut_short)
            again()
        with pytest.raises(ArtifactError, match="not come to its end"):
            load_counts(MatchedPlan.read(str(matched)))
        left = again()
    assert left == whole and contents(matched) == expected


def test_vectors_of_other_pairs_than_are_matched_now_are_refused(tmp_path):
    kinds = world(tmp_path, 3)
    (tmp_path / "list.txt").write_text(next(iter(kinds)))
    retract_pairs(str(tmp_path / "list.txt"), matched=str(tmp_path / "matched"), balanced=[],
                  metadata=str(tmp_path / "metadata"), quiet=True)  # fmt: skip
    with pytest.raises(ArtifactError, match="Run the same `curate embed"):
        dedup(tmp_path, matched=tmp_path / "matched")
    embed(tmp_path)
    assert dedup(tmp_path, matched=tmp_path / "matched")["read"] == 20


def test_what_cannot_be_meant_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--methods is 'smell'"):
        DedupOptions(methods=("smell",))
    with pytest.raises(UsageError, match="--distance is 100"):
        DedupOptions(distance=100)
    with pytest.raises(UsageError, match="--epsilon is 1.5"):
        DedupOptions(epsilon=1.5)
    with pytest.raises(ArtifactError, match="nothing is embedded here"):
        dedup(tmp_path)
    write_embeddings(tmp_path / "embeddings", [{"pair_id": ["a"], "text": [[1.0, 0.0]]}])
    with pytest.raises(UsageError, match="it has no vectors of images"):
        dedup(tmp_path, methods=("semantic",))
    assert dedup(tmp_path, dry_run=True)["methods"] == ["exact", "perceptual"]
    assert not (tmp_path / "deduped").exists()
    dedup(tmp_path)
    with pytest.raises(ArtifactError, match="distance: it was made with 48"):
        dedup(tmp_path, distance=10)
    assert dedup(tmp_path, distance=10, overwrite=True)["kept"] == 1
