"""Batches by the length of texts and by entries: the same for any processes, and after a resume."""

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from curate.errors import InputError, UsageError
from curate.training.data.arrange import length_bucket, rarest, same_lengths
from curate.training.data.loader import Loader, LoaderConfig, Online, Position
from curate.training.text.tokenizer import learn_tokenizer
from tests.training.shard_files import colour, write_shard, write_tar

NUM_ENTRIES = 40


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer(["a red dog"] * 4, 300, 77)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Three tars of 60 pairs with captions of 1 to 60 letters, and entries, some of them rare."""
    folder, rng = tmp_path_factory.mktemp("arranged"), np.random.default_rng(0)
    paths = []
    for number in range(3):
        samples = []
        for i in range(60):
            key = f"{number}-{i:02d}"
            ids = np.unique((rng.random(3) ** 3 * NUM_ENTRIES).astype(int))[: rng.integers(0, 4)]
            about = {"lang": "en" if i % 4 else "de", "entry_ids": ids.tolist(), "pair_id": key}
            text = "x" * int(rng.integers(1, 61))
            members = {"png": colour(key), "txt": text.encode(), "json": json.dumps(about).encode()}
            samples.append((key, members))
        paths.append(write_tar(folder / f"{number}.tar", samples))
    return paths


def take(shards, tokenizer, num, *, start=None, online=None, **config):
    values = {"image_size": 8, "batch_size": 8, "shuffle_pairs": 12, "threads": 2, **config}
    loading = Loader(shards, tokenizer, LoaderConfig(**values), online=online).batches(start)
    found = list(islice(loading, num))
    loading.close()
    return found


def ids(found):
    return [i for batch in found for i in batch.pair_ids]


def longest(batch):
    return int((batch.tokens == 2).argmax(axis=1).max()) + 1


WAYS = [{"batch_by": "length"}, {"batch_by": "entries"}, {"batch_by": "diverse", "super_batch": 3}]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way["batch_by"])
@pytest.mark.parametrize("lanes", [1, 2])
def test_batches_are_the_same_on_any_processes_and_after_a_resume(shards, tokenizer, way, lanes):
    config = {**way, "lanes": lanes, "batch_size": 8 if lanes == 1 else 10}
    straight = take(shards, tokenizer, 14, **config)
    parts = [take(shards, tokenizer, 14, rank=rank, num_ranks=2, **config) for rank in (0, 1)]
    for whole, *of_ranks in zip(straight, *parts, strict=True):
        assert Counter(whole.pair_ids) == Counter(i for part in of_ranks for i in part.pair_ids)
        assert lanes > 1 or whole.end == of_ranks[0].end
    for cut in (1, 4, 9, 12):
        again = take(shards, tokenizer, 14 - cut, start=straight[cut - 1].end, **config)
        for a, b in zip(again, straight[cut:], strict=True):
            assert a.pair_ids == b.pair_ids and np.array_equal(a.images, b.images)
            assert a.skipped == b.skipped and a.end == b.end
    # Where to begin looking is a help, not a part of the position.
    if lanes == 1:
        bare = Position(straight[8].end.epoch, straight[8].end.drawn)
        assert ids(take(shards, tokenizer, 5, start=bare, **config)) == ids(straight[9:])


def test_texts_of_like_length_make_a_batch_and_every_pair_comes_once(shards, tokenizer):
    plain = take(shards, tokenizer, 22)
    found = take(shards, tokenizer, 22, batch_by="length", shuffle_pairs=45)
    assert len(set(ids(found))) == 176 and set(map(len, map(set, (ids(found), ids(plain))))) == {
        176
    }
    mean = [np.mean([longest(batch) for batch in some]) for some in (plain, found)]
    assert mean[1] < 0.72 * mean[0]  # 180 lengths, 0 to 60 evenly: 56 on average, and about 36
    # Batches of short and of long texts come in no order.
    lengths = [longest(batch) for batch in found]
    assert abs(np.corrcoef(lengths, np.arange(22))[0, 1]) < 0.6
    assert ids(take(shards, tokenizer, 22, batch_by="length", seed=1)) != ids(found)


def test_a_batch_holds_one_bucket_but_at_the_borders():
    rng = np.random.default_rng(0)
    buckets = length_bucket(rng.integers(1, 78, 1000))
    order = same_lengths(buckets, first=37, batch_size=32, salt=5)
    assert sorted(order) == list(range(1000))
    head = -37 % 32
    batches = buckets[order][head : head + 960 // 32 * 32].reshape(-1, 32)
    assert sum(len(set(batch)) > 1 for batch in batches.tolist()) <= len(set(buckets)) - 1
    # Two lanes that are equally far meet like lengths at once.
    other = buckets[rng.permutation(1000)]
    lanes = [b[same_lengths(b, 37, 32, 5)][head : head + 960].reshape(-1, 32).max(1)
             for b in (buckets, other)]  # fmt: skip
    assert np.array_equal(*lanes)


def chosen_by_hand(sets, batch_size, super_batch, diverse):
    """`rarest` in plain words, from the beginning of an epoch."""
    seen, chosen = Counter(), []
    size = super_batch * batch_size
    for first in range(0, len(sets), size):
        before, scores = Counter(), {}
        some = range(first, min(first + size, len(sets)))
        for i in some:
            known = [before[e] + (0 if diverse else seen[e]) for e in sets[i]]
            scores[i] = min(known) if known else float("inf")
            before.update(sets[i])
        taken = sorted(some, key=lambda i: (scores[i], i))[: int(len(some) / super_batch)]
        chosen += sorted(taken)
        seen.update(e for i in taken for e in sets[i])
    return chosen


@pytest.mark.parametrize("diverse", [False, True])
def test_the_samples_with_the_least_seen_entries_are_chosen(diverse):
    rng = np.random.default_rng(3)
    sets = [np.unique((rng.random(4) ** 4 * 50).astype(int))[: rng.integers(0, 5)].tolist()
            for _ in range(203)]  # fmt: skip
    starts = np.concatenate([[0], np.cumsum([len(s) for s in sets])])
    found = rarest(
        starts, np.array([e for s in sets for e in s], np.int64), first=0, batch_size=10,
        super_batch=3, diverse=diverse,
    )  # fmt: skip
    assert found.tolist() == chosen_by_hand(sets, 10, 3, diverse)


def test_rare_entries_come_more_often_and_what_is_left_out_is_counted(shards, tokenizer):
    def matches(found):
        return Counter(entry for batch in found for ids in batch.entry_ids for entry in ids)

    plain = take(shards, tokenizer, 11)
    found = take(shards, tokenizer, 11, batch_by="entries")
    assert len(set(ids(found))) == 88 and all(batch.end.epoch == 0 for batch in found)
    skipped = sum((Counter(batch.skipped) for batch in found), Counter())
    assert skipped["other_entries"] == 90  # of all 180 pairs every other one
    rare = [entry for entry, num in matches(take(shards, tokenizer, 22)).items() if num <= 3]
    share = [sum(matches(some)[e] for e in rare) for some in (plain, found)]
    assert share[1] > 1.3 * share[0]


def test_online_balancing_decides_before_entries_do(shards, tokenizer):
    probability = {"en": np.full(NUM_ENTRIES, 0.5), "de": np.full(NUM_ENTRIES, 0.5)}
    found = take(shards, tokenizer, 7, batch_size=4, batch_by="entries", online=Online(probability))
    kept = take(shards, tokenizer, 20, batch_size=4, online=Online(probability))
    of_epoch = {i for batch in kept if batch.end.epoch == 0 for i in batch.pair_ids}
    last = {i for batch in kept if batch.end.epoch == 1 for i in batch.pair_ids}
    assert set(ids([b for b in found if b.end.epoch == 0])) <= of_epoch | last
    skipped = sum((Counter(batch.skipped) for batch in found), Counter())
    assert skipped["not_sampled"] > 0 and skipped["other_entries"] > 0


def test_shards_without_entries_are_refused(tmp_path, tokenizer):
    path = write_shard(tmp_path / "0.tar", [f"{i}" for i in range(20)])
    with pytest.raises(InputError, match="none of 20 samples .*0.tar has entry_ids"):
        take([path], tokenizer, 1, batch_by="entries")


@pytest.mark.parametrize(
    "values, message",
    [({"batch_by": "concepts"}, "--batch-by is 'concepts'; expected order, length, entries"),
     ({"batch_by": "entries", "super_batch": 0.5}, "--super-batch is 0.5; expected 1 to 1000")],
)  # fmt: skip
def test_ways_that_there_are_not_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        LoaderConfig(image_size=8, batch_size=8, **values)
