import json
import threading
from collections import Counter
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest

from curate.curation import hash_draws
from curate.errors import ArtifactError, InputError, UsageError
from curate.training.data.loader import Loader, LoaderConfig, Online, Position, batches
from curate.training.data.sampler import Sampler, shard_order
from curate.training.data.shards import OpenShards
from curate.training.text.tokenizer import learn_tokenizer
from tests.training.shard_files import sample, write_shard, write_tar

START = Position()


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer(["a red dog"] * 4, 300, 8)


@pytest.fixture
def shards(tmp_path):
    return [write_shard(tmp_path / f"{s}.tar", [f"{s}-{i}" for i in range(10)]) for s in range(4)]


def stream(shards, tokenizer, *, start=START, online=None, cache=None, **config):
    values = {"image_size": 8, "batch_size": 8, "shuffle_pairs": 5, "threads": 2, **config}
    loader = Loader(shards, tokenizer, LoaderConfig(**values), online=online, cache=cache)
    return loader.batches(start)


def take(shards, tokenizer, num, **config):
    loading = stream(shards, tokenizer, **config)
    found = list(islice(loading, num))
    loading.close()
    return found


def epoch(shards, tokenizer, number=0, **config):
    """The batches of one epoch."""
    loading = stream(shards, tokenizer, start=Position(number), **config)
    found = []
    for batch in loading:
        if batch.end.epoch != number:
            loading.close()
            return found
        found.append(batch)
    raise AssertionError("the stream ended")


def ids(found):
    return [i for batch in found for i in batch.pair_ids]


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.pair_ids == b.pair_ids and a.end == b.end and a.skipped == b.skipped
        assert np.array_equal(a.images, b.images) and np.array_equal(a.tokens, b.tokens)


def test_every_pair_comes_once_per_epoch_in_an_order_of_its_own(shards, tokenizer):
    found = [epoch(shards, tokenizer, number) for number in (0, 1)]
    assert all(len(batches) == 5 for batches in found)
    first, second = map(ids, found)
    assert len(set(first)) == 40 and sorted(first) == sorted(second) and first != second
    assert found[0][0].images.shape == (8, 3, 8, 8) and found[0][0].images.dtype == np.uint8
    assert ids(epoch(shards, tokenizer, seed=1)) != first


def test_the_short_way_to_the_loader_gives_the_same(shards, tokenizer):
    short = batches(
        shards, tokenizer, image_size=8, batch_size=8, seed=0, shuffle_pairs=5, start=START
    )
    assert_same(list(islice(short, 6)), take(shards, tokenizer, 6))


def test_windows_mix_shards_and_neighbours(tmp_path, tokenizer):
    names = [f"{s}-{i:03d}" for s in range(4) for i in range(60)]
    paths = [write_shard(tmp_path / f"{s}.tar", names[60 * s : 60 * s + 60]) for s in range(4)]
    order = ids(epoch(paths, tokenizer, shuffle_pairs=240))
    # Neighbours of a shard follow each other in 1 of 240 places by chance.
    place = np.array([names.index(name) for name in order])
    assert (np.diff(place) == 1).sum() < 8
    assert len({name[0] for name in order[:16]}) == 4
    assert abs(np.corrcoef(place, np.arange(240))[0, 1]) < 0.25  # 4 standard deviations


@pytest.mark.parametrize("num_ranks", [1, 2, 4, 8])
def test_ranks_share_the_batches_of_one_process(shards, tokenizer, num_ranks):
    one = take(shards, tokenizer, 7)
    ranks = [
        take(shards, tokenizer, 7, num_ranks=num_ranks, rank=rank, threads=1 + rank % 3)
        for rank in range(num_ranks)
    ]
    for step, whole in enumerate(one):
        parts = [found[step] for found in ranks]
        for rank, part in enumerate(parts):
            assert part.pair_ids == whole.pair_ids[rank::num_ranks] and part.end == whole.end
            assert np.array_equal(part.images, whole.images[rank::num_ranks])
            assert np.array_equal(part.tokens, whole.tokens[rank::num_ranks])


def test_a_resumed_stream_goes_on_with_the_same_pixels(shards, tokenizer):
    straight = take(shards, tokenizer, 12)
    for cut in range(1, 12):
        end = straight[cut - 1].end
        assert_same(take(shards, tokenizer, 12 - cut, start=end), straight[cut:])
        # Where to begin looking is a help, not a part of the position.
        bare = Position(end.epoch, end.drawn)
        assert_same(take(shards, tokenizer, 12 - cut, start=bare), straight[cut:])


def test_a_resumed_stream_may_have_other_ranks_and_threads(shards, tokenizer):
    straight = take(shards, tokenizer, 8)
    for num_ranks, threads in ((2, 1), (4, 3)):
        parts = [
            take(shards, tokenizer, 5, start=straight[2].end, num_ranks=num_ranks, rank=rank,
                 threads=threads)
            for rank in range(num_ranks)
        ]  # fmt: skip
        for step, whole in enumerate(straight[3:]):
            together = Counter(i for found in parts for i in found[step].pair_ids)
            assert together == Counter(whole.pair_ids)


@pytest.mark.parametrize("num_shards, ranks, threads", [(1, 8, 8), (1, 1, 16), (3, 8, 2)])
def test_fewer_shards_than_ranks_and_threads_are_shared(
    tmp_path, tokenizer, num_shards, ranks, threads
):
    paths = [
        write_shard(tmp_path / f"{s}.tar", [f"{s}-{i}" for i in range(16)])
        for s in range(num_shards)
    ]
    found = [
        ids(epoch(paths, tokenizer, num_ranks=ranks, rank=rank, threads=threads))
        for rank in range(ranks)
    ]
    assert {len(part) for part in found} == {16 * num_shards // ranks}
    assert len({i for part in found for i in part}) == 16 * num_shards


def test_the_order_depends_on_names_and_not_on_folders(tmp_path):
    names = [f"{i}.tar" for i in range(9)]
    orders = [
        [path.rpartition("/")[2] for path in shard_order([f"{d}/{n}" for n in names], 3, 1)]
        for d in ("/a", "/b/c")
    ]
    assert orders[0] == orders[1] != names


BAD = {
    "no_image": {"txt": b"x"},
    "no_caption": {"png": b"x"},
    "corrupt_image": {"png": b"no image", "txt": b"x"},
}


def write_bad(folder):
    """Good pairs a0 … a11 among bad ones; returns paths and how often what is wrong."""
    good = write_shard(folder / "0.tar", [f"a{i}" for i in range(12)])
    bad = [(f"{name}{i}", members) for name, members in BAD.items() for i in range(3)]
    cut = folder / "2.tar"
    write_shard(cut, [f"c{i}" for i in range(6)])
    cut.write_bytes(cut.read_bytes()[:700])
    (folder / "3.tar").write_bytes(b"")
    empty = write_tar(folder / "4.tar", [])
    paths = [good, write_tar(folder / "1.tar", bad), str(cut), str(folder / "3.tar"), empty]
    # The sample that is cut through has its image, and its text no more.
    return paths, {**dict.fromkeys(BAD, 3), "no_caption": 4, "corrupt_shard": 2}


def test_bad_samples_are_counted_by_reason_and_others_stand_in(tmp_path, tokenizer):
    paths, expected = write_bad(tmp_path)
    found = epoch(paths, tokenizer, batch_size=5, shuffle_pairs=100)
    assert len(found) == 3 and all(i.startswith("a") for i in ids(found))
    skipped = sum((Counter(batch.skipped) for batch in found), Counter())
    # Twelve good ones and three that turn out bad when they are decoded fill three batches.
    assert skipped == expected and len(set(ids(found))) == 12


def test_bad_samples_are_counted_once_by_all_ranks_and_after_a_resume(tmp_path, tokenizer):
    paths, _ = write_bad(tmp_path)
    config = {"batch_size": 4, "shuffle_pairs": 4}
    one = take(paths, tokenizer, 9, **config)
    ranks = [take(paths, tokenizer, 9, num_ranks=2, rank=rank, **config) for rank in (0, 1)]
    for whole, *parts in zip(one, *ranks, strict=True):
        assert Counter(whole.skipped) == sum((Counter(p.skipped) for p in parts), Counter())
        assert Counter(whole.pair_ids) == Counter(i for p in parts for i in p.pair_ids)
    for cut in (1, 2, 3, 5):
        assert_same(take(paths, tokenizer, 9 - cut, start=one[cut - 1].end, **config), one[cut:])


def test_shards_without_one_usable_image_are_an_error(tmp_path, tokenizer):
    path = write_tar(tmp_path / "0.tar", [(str(i), BAD["corrupt_image"]) for i in range(20)])
    with pytest.raises(InputError, match="none of 20 samples can be used.*corrupt_image"):
        take([path], tokenizer, 1)


def test_too_few_pairs_for_a_batch_is_an_error_that_counts(shards, tmp_path, tokenizer):
    with pytest.raises(
        InputError, match="with no more than 40 usable pairs.*fewer than a batch of 64"
    ):
        take(shards, tokenizer, 1, batch_size=64)
    empty = write_tar(tmp_path / "e.tar", [("0", BAD["no_image"])])
    with pytest.raises(InputError, match=r"more than 0 usable pairs .*no_image 1.*download"):
        take([empty], tokenizer, 1, num_ranks=8, rank=0)


def test_a_lost_file_is_an_error_in_the_process_that_asked(shards, tokenizer):
    with pytest.raises(InputError, match="cannot be read"):
        take([*shards, shards[0] + "x"], tokenizer, 9)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"batch_size": 6, "num_ranks": 4}, "6 pairs cannot be shared by 4"),
        ({"rank": 2, "num_ranks": 2}, "expected 0 to 1"),
        ({"threads": 0}, "threads is 0"),
        ({"unit": "text"}, "expected pair or image"),
        ({"shuffle_pairs": 0}, "shuffle_pairs is 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        LoaderConfig(**{"image_size": 8, "batch_size": 8, **wrong})


def test_threads_are_gone_when_a_stream_is_closed(shards, tokenizer):
    before = threading.active_count()
    loading = stream(shards, tokenizer, threads=4)
    next(loading)
    assert threading.active_count() > before
    loading.close()
    assert threading.active_count() == before


def test_a_batch_that_is_held_is_not_written_over(shards, tokenizer):
    held = take(shards, tokenizer, 12)
    copies = [batch.images.copy() for batch in take(shards, tokenizer, 12)]
    assert all(np.array_equal(b.images, c) for b, c in zip(held, copies, strict=True))
    loading, addresses = stream(shards, tokenizer), []
    for _ in range(12):
        addresses.append(next(loading).images.ctypes.data)
    loading.close()
    assert len(set(addresses)) < 12


def write_pool(folder, num=400):
    """Pairs with language and entries as `balance` writes them, some without."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(num):
        about = {
            "lang": ("en", "de", "xx")[i % 3],
            "entry_ids": sorted(rng.choice(50, rng.integers(0, 4), replace=False).tolist()),
            "pair_id": f"{i:024x}",
        }
        samples.append(sample(f"k{i}", **about) if i % 40 else (f"k{i}", sample(f"k{i}")[1]))
    paths = [
        write_tar(folder / f"{s}.tar", samples[s * num // 4 : (s + 1) * num // 4]) for s in range(4)
    ]
    abouts = {key: json.loads(members.get("json", b"{}")) for key, members in samples}
    return paths, abouts


def naive_kept(abouts, probability, seed):
    """The four lines of the contract."""
    kept = set()
    for key, about in abouts.items():
        pair_id, known = about.get("pair_id", key), probability.get(about.get("lang"))
        missed = 1.0
        for i in about.get("entry_ids", []):
            missed *= 1.0 - known[i] if known is not None else 1.0
        if hash_draws(pa.array([pair_id]), seed)[0] < 1.0 - missed:
            kept.add(pair_id)
    return kept


def test_online_curation_keeps_what_the_contract_says_fresh_in_each_epoch(tmp_path, tokenizer):
    paths, abouts = write_pool(tmp_path)
    rng = np.random.default_rng(1)
    probability = {"en": rng.random(50), "de": rng.random(50)}
    kept = []
    for number in (0, 1):
        expected = naive_kept(abouts, probability, 7 + number)
        found = epoch(paths, tokenizer, number, seed=7, batch_size=1, online=Online(probability))
        assert set(ids(found)) == expected and len(found) == len(expected)
        skipped = sum((Counter(batch.skipped) for batch in found), Counter())
        assert sum(skipped.values()) + len(found) == 400 and skipped["not_sampled"] > 0
        kept.append(expected)
    assert kept[0] != kept[1]


def test_a_larger_t_keeps_what_a_smaller_one_keeps(tmp_path, tokenizer):
    paths, _ = write_pool(tmp_path)
    kept = [
        set(ids(epoch(paths, tokenizer, batch_size=1,
                      online=Online({"en": np.full(50, p), "de": np.full(50, p)}))))
        for p in (0.1, 0.4, 1.0)
    ]  # fmt: skip
    assert kept[0] < kept[1] < kept[2]


def test_batches_say_what_they_consume(tmp_path, tokenizer):
    paths, abouts = write_pool(tmp_path, 40)
    by_id = {about.get("pair_id", key): about for key, about in abouts.items()}
    for batch in epoch(paths, tokenizer):
        for pair_id, lang, entry_ids in zip(
            batch.pair_ids, batch.langs, batch.entry_ids, strict=True
        ):
            assert lang == by_id[pair_id].get("lang")
            assert list(entry_ids) == by_id[pair_id].get("entry_ids", [])


def test_probabilities_of_other_metadata_are_an_error(tmp_path, tokenizer):
    paths, _ = write_pool(tmp_path)
    with pytest.raises(ArtifactError, match="beyond the 3 entries"):
        take(paths, tokenizer, 1, online=Online({"en": np.ones(3)}))


def test_odd_json_says_nothing_and_spoils_nothing(tmp_path, tokenizer):
    odd = [b"{", b"[1]", b"null", b'{"lang": 5, "entry_ids": "x"}', b'{"entry_ids": [-1, "a"]}',
           b'{\n "lang": "en",\n "entry_ids": [0], "more": {"a": [1]}\n}', b"\xff\xfe"]  # fmt: skip
    members = [(f"o{i}", {**sample(f"o{i}")[1], "json": text}) for i, text in enumerate(odd)]
    path = write_tar(tmp_path / "0.tar", [*members, sample("good", lang="en", entry_ids=[0, 1])])
    online = Online({"en": np.ones(2)})
    found = epoch([path], tokenizer, batch_size=1, online=online)
    assert set(ids(found)) == {"o5", "good"}
    found = epoch([path], tokenizer, batch_size=1)
    assert len(ids(found)) == 8
    langs = {b.pair_ids[0]: (b.langs[0], list(b.entry_ids[0])) for b in found}
    assert langs["o3"] == (None, []) and langs["o5"] == ("en", [0])


def test_pretty_and_plain_json_of_a_shard_are_parsed_alike(tmp_path):
    abouts = [{"lang": "en", "entry_ids": [i, i + 1], "url": f"u{i // 2}"} for i in range(5)]
    for indent in (None, 2):
        members = [
            (f"{i}", {**sample(f"{i}")[1], "json": json.dumps(a, indent=indent).encode()})
            for i, a in enumerate(abouts)
        ]
        path = write_tar(tmp_path / "0.tar", members)
        online = Online({"en": np.ones(9)})
        sampler = Sampler(shards=[path], seed=0, shuffle_pairs=9, online=online)
        rows = sampler._index(path)[1]
        assert rows.lang.to_pylist() == ["en"] * 5
        assert rows.entry_ids.to_pylist() == [a["entry_ids"] for a in abouts]
        assert rows.pair_ids.to_pylist() == list("01234") and rows.image.tolist() == [0, 0, 1, 1, 2]


def test_of_several_texts_one_is_drawn_in_each_epoch(tmp_path, tokenizer):
    texts = ["one", {"text": "two", "lang": "de", "entry_ids": [4]}, "", 5, "three"]
    members = [sample(f"{i}", lang="en", entry_ids=[1], texts=texts) for i in range(40)]
    path = write_tar(tmp_path / "0.tar", members)
    words = {text: tokenizer.encode([text])[0].tobytes() for text in ("one", "two", "three")}
    seen, drawn = Counter(), []
    for number in range(4):
        of_epoch = {}
        for batch in epoch([path], tokenizer, number):
            for row, pair_id in enumerate(batch.pair_ids):
                text = next(w for w, t in words.items() if t == batch.tokens[row].tobytes())
                of_epoch[pair_id] = text
                assert batch.langs[row] == ("de" if text == "two" else "en")
                assert batch.entry_ids[row] == ([4] if text == "two" else [1])
        seen.update(of_epoch.values())
        drawn.append(of_epoch)
    # 160 draws of three: 53 each, standard deviation 6.
    assert all(53 - 30 < seen[word] < 53 + 30 for word in words)
    assert drawn[0] != drawn[1]
    again = epoch([path], tokenizer)
    assert [b.tokens.tobytes() for b in again] == [
        b.tokens.tobytes() for b in epoch([path], tokenizer, threads=5)
    ]


def test_a_caption_may_stand_in_the_json_alone(tmp_path, tokenizer):
    members = [sample(f"{i}", text=None, caption="a red dog", width=9) for i in range(8)]
    [batch] = epoch([write_tar(tmp_path / "0.tar", members)], tokenizer)
    assert (batch.tokens == tokenizer.encode(["a red dog"])).all() and not batch.skipped


def test_of_the_pairs_of_an_image_one_is_drawn_in_each_epoch(tmp_path, tokenizer):
    members = [sample(f"{i}", image_id=f"i{i // 4}") for i in range(60)]
    members += [sample(f"u{i}", url=f"http://x/{i // 2}") for i in range(10)]
    members += [sample(f"n{i}") for i in range(3)]
    path = write_tar(tmp_path / "0.tar", members)
    drawn = [ids(epoch([path], tokenizer, n, unit="image", batch_size=1)) for n in (0, 1)]
    for found in drawn:
        images = Counter(f"i{int(i) // 4}" if i.isdigit() else i[0] + str(int(i[1:]) // 2)
                         for i in found if not i.startswith("n"))  # fmt: skip
        assert len(images) == 20 and set(images.values()) == {1} and len(found) == 23
    assert set(drawn[0]) != set(drawn[1])


def test_an_index_is_read_once_and_forgotten_when_there_are_many(shards, monkeypatch):
    from curate.training.data import sampler as module

    read = []
    monkeypatch.setattr(
        module,
        "index_shard",
        lambda path, *more, index=module.index_shard: read.append(path) or index(path, *more),
    )
    sampler = Sampler(shards=shards, seed=0, shuffle_pairs=5)
    for number in range(3):
        assert sum(len(group) for group in sampler.groups(number)) == 40
    assert len(read) == 4
    monkeypatch.setattr(module, "_MAX_REMEMBERED", 15)
    sampler = Sampler(shards=shards, seed=0, shuffle_pairs=5)
    for number in range(3):
        assert sum(len(group) for group in sampler.groups(number)) == 40
    assert len(read) > 8 and len(sampler._indices) == 1


def test_keys_of_a_group_can_be_asked_for_by_place(shards):
    sampler, files = Sampler(shards=shards, seed=0, shuffle_pairs=5), OpenShards()
    groups = list(sampler.groups(0))
    assert [g.first for g in groups] == np.cumsum([0, *map(len, groups)])[:-1].tolist()
    keys = {files.key(s.shard, s.number) for g in groups for s in map(g.sample, range(len(g)))}
    assert len(keys) == 40


def test_what_decides_pairs_and_pixels_is_described(shards, tokenizer):
    config = LoaderConfig(image_size=8, batch_size=8)
    plain = Loader(shards, tokenizer, config).describe()
    assert plain["decoder"]["jpeg"] == "simplejpeg" and plain["online"] is None
    some = [
        Loader(shards, tokenizer, config, online=Online({"en": np.full(3, p)})).describe()
        for p in (0.5, 0.5, 0.25)
    ]
    assert some[0] == some[1] != some[2]
