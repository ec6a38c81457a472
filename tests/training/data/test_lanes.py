"""Batches from several lanes: the same for any processes, each of which reads its own shards."""

import os
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from curate.errors import InputError, UsageError
from curate.training.data.lanes import lane_pieces
from curate.training.data.loader import Loader, LoaderConfig, Online, Position
from curate.training.data.shard_cache import ShardCache
from curate.training.text.tokenizer import learn_tokenizer
from tests.training.data.test_data import BAD, write_pool
from tests.training.shard_files import sample, write_shard, write_tar

START = Position()


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer(["a red dog"] * 4, 300, 8)


@pytest.fixture
def shards(tmp_path):
    return [write_shard(tmp_path / f"{s}.tar", [f"{s}-{i}" for i in range(10)]) for s in range(8)]


class Watching(ShardCache):
    """Remembers which shards were opened."""

    def open(self, shard):
        opened.add(shard)
        return super().open(shard)


opened = set()


def take(shards, tokenizer, num, *, start=START, online=None, num_samples=None, **config):
    """The next batches, and the shards that were opened for them."""
    values = {"image_size": 8, "batch_size": 8, "shuffle_pairs": 20, "threads": 2, "lanes": 4}
    counts = dict.fromkeys(shards, 10) if num_samples is None else num_samples
    opened.clear()
    loader = Loader(
        shards, tokenizer, LoaderConfig(**{**values, **config}), online=online, cache=Watching(),
        num_samples=counts,
    )  # fmt: skip
    loading = loader.batches(start)
    found = list(islice(loading, num))
    loading.close()
    return found, set(opened)


def ids(found):
    return [i for batch in found for i in batch.pair_ids]


def merged(ends):
    """The position that the processes together are at."""
    return replace(ends[0], lanes={k: v for end in ends for k, v in end.lanes.items()})


def on_ranks(shards, tokenizer, num, num_ranks, **config):
    return [
        take(shards, tokenizer, num, rank=rank, num_ranks=num_ranks, threads=1 + rank % 2, **config)
        for rank in range(num_ranks)
    ]


def test_lanes_cut_the_order_of_shards_into_equal_stretches():
    order, rng = [f"{i}" for i in range(23)], np.random.default_rng(0)
    for num_lanes in (1, 2, 3, 7, 40):
        counts = {path: int(rng.integers(0, 30)) for path in order if path != "4"}
        seen, sizes = {}, []
        for lane in range(num_lanes):
            size = 0
            for path, start, stop in lane_pieces(order, counts, range(lane, lane + 1), num_lanes):
                seen.setdefault(path, []).append((start, stop))
                num = counts.get(path, sum(counts.values()) // len(counts))
                size += (num if stop is None else stop) - start
            sizes.append(size)
        assert max(sizes) - min(sizes) <= 1
        for path in order:  # its pieces follow each other from its first sample to its end
            pieces = seen[path]
            assert pieces[0][0] == 0 and pieces[-1][1] is None
            assert all(a[1] == b[0] for a, b in zip(pieces, pieces[1:], strict=False))


def test_every_pair_comes_once_per_epoch_whatever_the_lanes(shards, tokenizer):
    for lanes in (1, 2, 4, 8):
        found, _ = take(shards, tokenizer, 20, lanes=lanes)
        first, second = ids(found[:10]), ids(found[10:])
        assert len(set(first)) == 80 and sorted(first) == sorted(second) and first != second
    # Eight places in five lanes: lanes are as long as their shares, up to a sample.
    for lanes in (3, 5):
        found, _ = take(shards, tokenizer, 9, lanes=lanes)
        assert len(set(ids(found))) == 72


def test_a_batch_takes_from_all_lanes_and_mixes_each(shards, tokenizer):
    found, _ = take(shards, tokenizer, 10)
    for batch in found:
        assert len({name[0] for name in batch.pair_ids}) >= 4
    numbers = [int(name[2:]) for name in ids(found) if name[0] == "3"]
    assert numbers != sorted(numbers)


@pytest.mark.parametrize("num_ranks", [2, 4, 8])
def test_processes_share_the_batches_of_one(shards, tokenizer, num_ranks):
    whole, _ = take(shards, tokenizer, 14)
    parts = on_ranks(shards, tokenizer, 14, num_ranks)
    for step, batch in enumerate(whole):
        assert [i for found, _ in parts for i in found[step].pair_ids] == batch.pair_ids
        images = np.concatenate([found[step].images for found, _ in parts])
        assert np.array_equal(images, batch.images)
        assert merged([found[step].end for found, _ in parts]).lanes == batch.end.lanes


@pytest.mark.parametrize("num_ranks, each", [(1, 8), (2, 4), (4, 2), (8, 2)])
def test_a_process_opens_the_shards_of_its_own_lanes(shards, tokenizer, num_ranks, each):
    parts = on_ranks(shards, tokenizer, 10, num_ranks, ahead=1)
    # The shard that the next epoch begins with is opened ahead.
    assert all(len(paths) <= each + 1 + 2 * (4 // min(4, num_ranks)) for _, paths in parts)
    parts = on_ranks(shards, tokenizer, 5, num_ranks, ahead=1)
    assert {len(paths) for _, paths in parts} == {each}
    assert set().union(*(paths for _, paths in parts)) == set(shards)
    mixed, paths = take(shards, tokenizer, 5, lanes=1, rank=0, num_ranks=8, shuffle_pairs=80)
    assert len(paths) == 8  # what one lane costs


def test_a_run_goes_on_with_other_processes_at_any_batch(shards, tokenizer):
    straight, _ = take(shards, tokenizer, 16)
    for cut, before, after in [(1, 1, 2), (3, 2, 8), (7, 4, 1), (10, 8, 4), (11, 2, 2)]:
        ends = [found[-1].end for found, _ in on_ranks(shards, tokenizer, cut, before)]
        parts = on_ranks(shards, tokenizer, 16 - cut, after, start=merged(ends))
        for step, batch in enumerate(straight[cut:]):
            assert [i for found, _ in parts for i in found[step].pair_ids] == batch.pair_ids


def test_said_numbers_of_samples_may_be_wrong_or_missing(shards, tokenizer):
    right = sorted(f"{s}-{i}" for s in range(8) for i in range(10))
    for wrong in ({}, {shards[0]: 3, shards[1]: 40}, dict.fromkeys(shards, 7)):
        found, _ = take(shards, tokenizer, 40, num_samples=wrong, batch_size=8)
        seen = Counter(ids(found))
        assert sorted(seen) == right
        # Lanes are not as long as each other then; each pair comes once per epoch of its lane.
        for lane in range(4):
            stream, _ = take(shards, tokenizer, 40, num_samples=wrong, batch_size=4)
            own = [batch.pair_ids[lane] for batch in stream if batch.end.lanes[lane][0] == 0]
            assert len(set(own)) == len(own)


def test_bad_samples_are_counted_once_by_all_processes(tmp_path, tokenizer):
    bad = [(f"{name}{i}", members) for name, members in BAD.items() for i in range(3)]
    good = [sample(f"a{i}") for i in range(30)]
    paths = [write_tar(tmp_path / "0.tar", [*good[:10], *bad]),
             write_tar(tmp_path / "1.tar", good[10:])]  # fmt: skip
    counts = {paths[0]: 19, paths[1]: 20}
    config = {"lanes": 3, "batch_size": 6, "num_samples": counts}
    # 39 samples in three lanes of 13 each; in the first epochs of all of them together.
    for num_ranks in (1, 2, 6):
        parts = on_ranks(paths, tokenizer, 5, num_ranks, **config)
        skipped = Counter()
        for found, _ in parts:
            skipped += sum((Counter(batch.skipped) for batch in found), Counter())
        assert skipped["no_image"] >= 3 and skipped["no_caption"] >= 3
        if num_ranks == 1:
            alone = skipped
        assert skipped == alone


def test_a_lane_without_a_usable_pair_is_an_error(shards, tmp_path, tokenizer):
    bare = [(str(i), BAD["no_image"]) for i in range(10)]
    paths = [shards[0], write_tar(tmp_path / "bare.tar", bare)]
    with pytest.raises(
        InputError, match=r"places \d to \d of a batch has no usable pair.*fewer --lanes"
    ):
        take(paths, tokenizer, 4, lanes=2)
    with pytest.raises(UsageError, match="lanes is 9; expected at most the batch size, 8"):
        LoaderConfig(image_size=8, batch_size=8, lanes=9)


def test_online_balancing_decides_alike_in_lanes(tmp_path, tokenizer):
    paths, _ = write_pool(tmp_path)
    online = Online({"en": np.full(50, 0.5), "de": np.full(50, 0.5)})
    config = {"online": online, "batch_size": 1, "num_samples": dict.fromkeys(paths, 100)}
    one, _ = take(paths, tokenizer, 60, lanes=1, **config)
    kept = {i for batch in one if not batch.end.epoch for i in batch.pair_ids}
    several, _ = take(paths, tokenizer, 80, **{**config, "batch_size": 3}, lanes=3)
    seen = [b.pair_ids[k] for b in several for k in range(3) if not b.end.lanes[k][0]]
    assert len(seen) == len(set(seen)) > 100 and kept <= set(seen) | kept
    everything, _ = take(paths, tokenizer, 300, lanes=1, **config)
    assert set(seen) <= {i for b in everything if not b.end.epoch for i in b.pair_ids}


def test_images_with_several_pairs_are_drawn_once_across_a_cut(tmp_path, tokenizer):
    members = [sample(f"{i}", image_id=f"i{i // 4}") for i in range(40)]
    path = write_tar(tmp_path / "0.tar", members)
    config = {"unit": "image", "lanes": 3, "batch_size": 3, "num_samples": {path: 40}}
    found, _ = take([path], tokenizer, 5, **config)
    seen = [b.pair_ids[k] for b in found for k in range(3) if not b.end.lanes[k][0]]
    images = Counter(int(i) // 4 for i in seen)
    assert set(images.values()) == {1} and len(images) >= 8


def test_threads_of_all_lanes_are_gone_when_a_stream_is_closed(shards, tokenizer):
    import threading

    before = threading.active_count()
    take(shards, tokenizer, 3)
    assert threading.active_count() == before
    assert len(os.listdir("/proc/self/fd")) < 200
