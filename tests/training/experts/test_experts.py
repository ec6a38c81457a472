"""Which pairs an expert is trained on: by the clusters of all pairs, and by draws."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import ArtifactError
from curate.pipelines.embed.rows import shard_rows
from curate.training.data.loader import Loader, LoaderConfig
from curate.training.data.samples import first_text
from curate.training.experts import index as index_module
from curate.training.experts.choice import Expert
from curate.training.experts.index import UNKNOWN, ClusterIndex, is_whole, write_clusters
from tests.training.shard_files import sample, write_tar
from tests.training.tiny import tiny_tokenizer

IDS = [f"pair-{n}" for n in range(4000)]


def index_of(folder, clusters, ids=IDS, batch=700):
    pairs = [
        (pa.array(ids[at : at + batch]), np.array(clusters[at : at + batch], np.uint16))
        for at in range(0, len(ids), batch)
    ]
    write_clusters(str(folder), pairs, num_pairs=len(ids))
    return ClusterIndex(str(folder))


def test_every_pair_has_its_cluster_and_others_have_none(tmp_path, monkeypatch):
    clusters = [n % 5 for n in range(len(IDS))]
    one = index_of(tmp_path / "one", clusters)
    monkeypatch.setattr(index_module, "_PILE_PAIRS", 300)
    many = index_of(tmp_path / "many", clusters[::-1], IDS[::-1])
    for found in (one, many):
        assert len(found) == 4000
        assert found.clusters_of(pa.array(IDS)).tolist() == clusters
        assert found.clusters_of(pa.array(["other", "pair-7"])).tolist() == [UNKNOWN, 2]
    for name in (index_module.KEYS, index_module.CLUSTERS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_an_id_that_comes_twice_is_in_the_smaller_cluster_and_none_is_no_error(tmp_path):
    found = index_of(tmp_path / "twice", [3, 1, 2], ["a", "b", "a"], batch=1)
    assert len(found) == 2 and found.clusters_of(pa.array(["a", "b"])).tolist() == [2, 1]
    write_clusters(str(tmp_path / "none"), [], num_pairs=0)
    none = ClusterIndex(str(tmp_path / "none"))
    assert none.clusters_of(pa.array(["a"])).tolist() == [UNKNOWN]


def test_damaged_files_are_noticed(tmp_path):
    index_of(tmp_path / "c", [0] * 4000)
    assert is_whole(str(tmp_path / "c")) and not is_whole(str(tmp_path / "d"))
    path = tmp_path / "c" / index_module.CLUSTERS
    path.write_bytes(path.read_bytes()[:-2] + b"\1\0")
    assert not is_whole(str(tmp_path / "c"))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ArtifactError, match="expected 8,000"):
        ClusterIndex(str(tmp_path / "c"))
    with pytest.raises(ArtifactError, match="there are no clusters in it"):
        ClusterIndex(str(tmp_path / "d"))


def test_others_are_drawn_with_their_chance_anew_in_each_epoch_and_for_each_expert(tmp_path):
    index = index_of(tmp_path / "c", [n % 4 for n in range(len(IDS))])
    ids = pa.array([*IDS, "unknown"])

    def drawn(cluster, epoch, outside=0.1):
        expert = Expert(cluster=cluster, outside=outside, seed=0, index=index)
        is_known, is_kept = expert.decide(ids, epoch)
        assert is_known.tolist() == [True] * 4000 + [False] and not is_kept[-1]
        of = np.arange(4000) % 4 == cluster
        assert is_kept[:4000][of].all()
        return set(np.flatnonzero(is_kept[:4000] & ~of).tolist())

    first, later, other = drawn(0, 0), drawn(0, 1), drawn(1, 0)
    # 3,000 draws of 0.1: 5 standard deviations are 82.
    assert all(abs(len(some) - 300) < 82 for some in (first, later, other))
    assert len(first & later) < 70 and len(first & other) < 60  # by chance 30 and 20
    assert drawn(0, 0) == first and first <= drawn(0, 0, outside=0.3)
    assert drawn(0, 0, outside=0.0) == set() and len(drawn(0, 0, outside=1.0)) == 3000


def test_the_loader_gives_the_pairs_of_a_cluster_and_counts_the_others(tmp_path):
    keys = [f"k{n:03d}" for n in range(60)]
    shards = [write_tar(tmp_path / f"{s}.tar", [sample(k) for k in keys[s::2]]) for s in (0, 1)]
    index = index_of(tmp_path / "c", [n % 3 for n in range(50)], keys[:50])
    expert = Expert(cluster=1, outside=0.0, seed=0, index=index)
    seen = {}
    for lanes, ranks in ((1, 1), (1, 2), (2, 1)):
        skipped, pairs = Counter(), set()
        for rank in range(ranks):
            config = LoaderConfig(image_size=8, batch_size=16, lanes=lanes, rank=rank,
                                  num_ranks=ranks, threads=1)  # fmt: skip
            loader = Loader(shards, tiny_tokenizer(), config, expert=expert)
            batch = next(iter(loader.batches()))
            pairs |= set(batch.pair_ids)
            skipped.update(batch.skipped)
        seen[lanes, ranks] = pairs
        assert {int(pair[1:]) % 3 for pair in pairs} == {1}
        if lanes == 1:
            assert skipped["no_cluster"] == 10 and skipped["other_cluster"] == 33
    assert seen[1, 1] == seen[1, 2] and len(seen[1, 1]) == 16


def test_the_caption_that_has_a_vector_is_the_one_that_is_trained_on(tmp_path):
    several = [{"texts": [" ", {"text": f"first {n}"}, f"second {n}", "third"]} for n in range(8)]
    shard = write_tar(
        tmp_path / "0.tar", [sample(f"k{n}", text=None, **about) for n, about in enumerate(several)]
    )
    rows, _ = shard_rows(shard)
    (chunk,) = rows.chunks(0, with_texts=True)
    assert list(chunk.texts) == [f"first {n}" for n in range(8)]
    index = index_of(tmp_path / "c", [0] * 8, [f"k{n}" for n in range(8)])
    expert = Expert(cluster=0, outside=0.0, seed=0, index=index)
    words = tiny_tokenizer()
    config = LoaderConfig(image_size=8, batch_size=8, threads=1)
    for trained, expected in ((expert, True), (None, False)):
        batch = next(iter(Loader([shard], words, config, expert=trained).batches()))
        texts = [f"first {pair[1:]}" for pair in batch.pair_ids]
        assert (batch.tokens == words.encode(texts)).all() == expected
    assert first_text([]) is first_text(None) is first_text([3, ""]) is None
