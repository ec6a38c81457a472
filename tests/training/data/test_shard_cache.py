import os
import threading

import fsspec
import pytest

from curate.errors import DiskSpaceError, FetchError, InputError
from curate.pipelines.train.shard_facts import take_stock
from curate.training.data import shard_cache
from curate.training.data.sampler import Sampler
from curate.training.data.samples import captions
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import index_shard, list_shards
from tests.training.data.test_data import epoch, ids, take, tokenizer  # noqa: F401
from tests.training.shard_files import write_shard


@pytest.fixture
def remote(tmp_path):
    """A folder of four shards in memory, as far away as a test goes, and the same on the disk."""
    memory = fsspec.filesystem("memory")
    for number in range(4):
        path = write_shard(tmp_path / f"{number}.tar", [f"{number}-{i}" for i in range(10)])
        memory.put(path, f"/far/{tmp_path.name}/{number}.tar")
    yield f"memory://far/{tmp_path.name}"
    memory.rm("/far", recursive=True)


def cache_in(folder, **values):
    return ShardCache(folder=str(folder / "cache"), wait_s=0, **values)


def copies(folder):
    return sorted(p.name.partition("-")[2] for p in (folder / "cache").glob("*.tar"))


def read(cache, shard):
    descriptor = cache.open(shard)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def test_shards_behind_urls_give_the_batches_of_local_ones(remote, tmp_path, tokenizer):  # noqa: F811
    shards, local = list_shards(remote), list_shards(str(tmp_path))
    assert [s.rpartition("/")[2] for s in shards] == ["0.tar", "1.tar", "2.tar", "3.tar"]
    cache = cache_in(tmp_path)
    assert list(captions(shards, cache.open)) == list(captions(local))
    for values in ({}, {"unit": "image", "shuffle_pairs": 1}):
        found = epoch(shards, tokenizer, cache=cache, **values)
        assert ids(found) == ids(epoch(local, tokenizer, **values)) and len(found) == 5
    assert copies(tmp_path) == ["0.tar", "1.tar", "2.tar", "3.tar"]


def test_copies_make_room_for_others_and_come_again(remote, tmp_path, tokenizer):  # noqa: F811
    shards = list_shards(remote)
    size = fsspec.filesystem("memory").info(shards[0])["size"]
    cache = cache_in(tmp_path, max_bytes=2 * size)
    expected = take(list_shards(str(tmp_path)), tokenizer, 15)
    assert ids(take(shards, tokenizer, 15, cache=cache)) == ids(expected)
    assert len(copies(tmp_path)) == 2
    none = cache_in(tmp_path, max_bytes=0)
    for shard in shards:
        assert read(none, shard)
    assert len(copies(tmp_path)) == 1, "the one at hand stays"


def test_a_copy_that_others_remove_before_it_is_opened_is_fetched_again(
    remote, tmp_path, monkeypatch
):
    opened, removed = shard_cache._opened, []

    def remove_first(place):
        if place.exists() and not removed:
            removed.append(place.unlink())
        return opened(place)

    monkeypatch.setattr(shard_cache, "_opened", remove_first)
    assert read(cache_in(tmp_path), list_shards(remote)[0]) and removed


def test_the_copy_not_opened_for_the_longest_time_goes_first(remote, tmp_path):
    shards = list_shards(remote)
    size = fsspec.filesystem("memory").info(shards[0])["size"]
    cache = cache_in(tmp_path, max_bytes=2 * size)
    for at in (0, 1, 0, 2):
        read(cache, shards[at])
    assert copies(tmp_path) == ["0.tar", "2.tar"]


def test_a_shard_is_fetched_once_by_all_who_ask_for_it(remote, tmp_path, monkeypatch):
    fetched = []
    copy = shard_cache._copy
    monkeypatch.setattr(shard_cache, "_copy", lambda *p: fetched.append(p[0]) or copy(*p))
    shard = list_shards(remote)[0]
    caches = [cache_in(tmp_path) for _ in range(4)]  # as processes have one each
    threads = [threading.Thread(target=read, args=(cache, shard)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [shard]


def test_a_shard_that_has_changed_is_fetched_again(remote, tmp_path):
    shard = list_shards(remote)[0]
    assert read(cache_in(tmp_path), shard)[:1] == b"0"
    fsspec.filesystem("memory").pipe(shard, b"another")
    assert read(cache_in(tmp_path), shard) == b"another"


def test_a_download_that_breaks_off_is_tried_again_and_never_taken_for_a_shard(
    remote, tmp_path, monkeypatch
):
    copy, tries = shard_cache._copy, []

    def broken(shard, to):
        tries.append(shard)
        copy(shard, to)
        if len(tries) < 3:
            os.truncate(to, 100)
        elif len(tries) == 3:
            raise TimeoutError("no answer")

    monkeypatch.setattr(shard_cache, "_copy", broken)
    shards = list_shards(remote)
    assert len(read(cache_in(tmp_path), shards[0])) > 100 and len(tries) == 4
    monkeypatch.setattr(shard_cache, "_copy", lambda _, to: to.write_bytes(b"short"))
    with pytest.raises(FetchError, match="1.tar: cannot be fetched, tried 4 times"):
        cache_in(tmp_path).open(shards[1])
    assert copies(tmp_path) == ["0.tar"]


def test_a_full_disk_and_what_is_not_there_are_told(remote, tmp_path, monkeypatch):
    def full(shard, to):
        raise OSError(28, "No space left on device")

    with pytest.raises(FetchError, match=r"9\.tar: cannot be read"):
        cache_in(tmp_path).open(f"{remote}/9.tar")
    monkeypatch.setattr(shard_cache, "_copy", full)
    with pytest.raises(DiskSpaceError, match="--shard-cache"):
        cache_in(tmp_path).open(list_shards(remote)[0])


def test_what_is_fetched_ahead_and_fails_is_met_again_when_it_is_asked_for(remote, tmp_path):
    cache = cache_in(tmp_path)
    cache.fetch_ahead([f"{remote}/9.tar", f"{remote}/1.tar", str(tmp_path / "0.tar")])
    cache.stop()
    assert set(copies(tmp_path)) <= {"1.tar"}
    with pytest.raises(FetchError):
        cache.open(f"{remote}/9.tar")


def test_patterns_and_urls_name_shards(remote, tmp_path):
    assert list_shards(f"{remote}/[12].tar") == [
        f"memory:///far/{tmp_path.name}/{n}.tar" for n in (1, 2)
    ]
    assert list_shards(f"file://{tmp_path}") == list_shards(str(tmp_path / "*.tar"))
    assert list_shards(f"{remote}/3.tar") == [f"{remote}/3.tar"]
    with pytest.raises(InputError, match="there are no shards"):
        list_shards(f"{remote}/none")


def test_nothing_is_fetched_beside_the_first_group_of_shards(remote, tmp_path, monkeypatch):
    shards = list_shards(remote)
    asked = []
    fetch_ahead = shard_cache.ShardCache.fetch_ahead

    def noted(self, wanted):
        asked.append(len(wanted))
        return fetch_ahead(self, wanted)

    monkeypatch.setattr(shard_cache.ShardCache, "fetch_ahead", noted)
    each = len(index_shard(str(tmp_path / "0.tar")).places)
    for pairs, expected in ((1, [0]), (each // 2, [0, 0]), (each, [0, 2, 1, 0])):
        asked.clear()
        cache = cache_in(tmp_path / f"of {pairs}")
        sampler = Sampler(shards=shards, seed=0, shuffle_pairs=pairs, cache=cache)
        groups = sampler.groups(0)
        first = next(groups)
        assert asked == expected and len(first.shards) == len(expected)
        rest = list(groups)
        assert len(asked) == len(shards) and sum(map(len, [first, *rest])) == each * len(shards)
        assert pairs > 1 or asked == [0, 2, 1, 0], (
            "then the next ones are fetched while one is read"
        )
        cache.stop()


def test_a_store_is_listed_once(remote, monkeypatch):
    listings = {}
    shards = list_shards(remote, listings)
    expected = take_stock(shards)
    filesystem = fsspec.filesystem("memory")
    monkeypatch.setattr(type(filesystem), "ls", lambda *_, **__: pytest.fail("listed again"))
    assert take_stock(shards, listings=listings) == expected
    assert [one.samples for one in expected].count(None) in (0, len(shards))
    with pytest.raises(pytest.fail.Exception, match="listed again"):
        take_stock(shards)
