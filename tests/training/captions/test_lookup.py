import json

import numpy as np
import pyarrow as pa
import pytest

from curate.curation.hashing import ids
from curate.errors import ArtifactError
from curate.training.captions import write
from curate.training.captions.bulk import first_captions
from curate.training.captions.lookup import CaptionIndex, is_whole
from curate.training.captions.write import KEYS, NOTE, TEXTS, Captions, make_room, write_index


def captions(rows):
    """Captions from (pair_id, text, source number, and a language's number where it is known)."""
    rows = [(*row, 0)[:4] for row in rows]
    ids, texts, source, lang = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Captions(pa.array(ids, pa.string()), pa.array(texts, pa.string()),
                    np.array(source, np.uint16), np.array(lang, np.uint16))  # fmt: skip


def build(folder, rows, sources=("a", "b"), *, batch=7, size_bytes=0):
    batches = [captions(rows[at : at + batch]) for at in range(0, len(rows), batch)]
    return write_index(
        str(folder), batches, sources, ["de", "fr"], size_bytes=size_bytes, note={"dropped": {}}
    )


def found(index, pair_id):
    return [(index.sources[p.source], index.read(p)) for p in index.places(pair_id)]


def test_every_caption_is_found_by_its_pair_and_no_other(tmp_path):
    rows = [(f"pair-{i}", f"text {i} ü", i % 2) for i in range(5000)]
    note = build(tmp_path / "x", rows, batch=997)
    index = CaptionIndex(str(tmp_path / "x"))
    assert note["captions"] == note["pairs"] == len(index) == 5000
    assert note["by_source"] == {"a": 2500, "b": 2500}
    for pair_id, text, source in rows:
        assert found(index, pair_id) == [("ab"[source], text)]
    assert not any(index.places(f"other-{i}") for i in range(5000))


@pytest.mark.parametrize("size_bytes", [0, 1 << 28, 1 << 33])
def test_order_batches_and_piles_decide_nothing(tmp_path, size_bytes):
    rng = np.random.default_rng(0)
    rows = [(f"{i % 300}", f"text {i}", i % 2) for i in range(1000)]
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    build(tmp_path / "x", rows)
    build(tmp_path / "y", shuffled, batch=400, size_bytes=size_bytes)
    for name in (KEYS, TEXTS, NOTE):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()
    assert len(list((tmp_path / "y").iterdir())) == 4  # no pile is left


def test_repeated_captions_are_kept_once_and_several_of_a_source_are_counted(tmp_path):
    rows = [("p", "one", 0), ("p", "one", 0), ("p", "one", 1), ("p", "two", 0), ("q", "one", 0)]
    note = build(tmp_path / "x", rows)
    index = CaptionIndex(str(tmp_path / "x"))
    assert found(index, "p") == [("a", "one"), ("a", "two"), ("b", "one")]
    assert (note["captions"], note["pairs"], note["repeated"], note["pairs_with_several"]) == (
        4, 2, 1, 1,
    )  # fmt: skip


def test_pairs_whose_first_hash_is_the_same_are_told_apart_by_the_second(tmp_path, monkeypatch):
    real = ids.quick_hashes

    def colliding(strings, seed):
        is_first = seed == write.SEEDS[0]
        return np.full(len(strings), 5, np.uint64) if is_first else real(strings, seed)

    monkeypatch.setattr(ids, "quick_hashes", colliding)
    build(tmp_path / "x", [("p", "one", 0), ("q", "two", 0), ("r", "three", 1)])
    import curate.training.captions.lookup as lookup

    hashed = lookup.xxhash.xxh3_64_intdigest
    monkeypatch.setattr(
        lookup.xxhash, "xxh3_64_intdigest",
        lambda raw, seed=0: 5 if seed == write.SEEDS[0] else hashed(raw, seed),
    )  # fmt: skip
    index = CaptionIndex(str(tmp_path / "x"))
    assert found(index, "q") == [("a", "two")] and found(index, "r") == [("b", "three")]
    assert found(index, "s") == []
    of_all = first_captions(index, pa.array(["q", "s", "r", "p"]))
    assert of_all.texts.to_pylist() == ["two", None, "three", "one"]


def test_of_several_captions_the_first_by_source_and_text_stands_for_a_pair(tmp_path):
    rows = [("p", "x", 0, 1), ("p", "d", 1), ("p", "c", 1, 2), ("q", "y", 0), ("q", "y", 0, 2),
            ("r", "z", 1, 1), ("r", "z", 1, 2), ("r", "z", 1)]  # fmt: skip
    build(tmp_path / "x", rows, sources=("zoe", "ann"), batch=3)
    index = CaptionIndex(str(tmp_path / "x"))
    of = first_captions(index, pa.array(["r", "nobody", "p", "q", "p"]))
    assert of.texts.to_pylist() == ["z", None, "c", "y", "c"]
    assert of.sources.to_pylist() == ["ann", None, "ann", "zoe", "ann"]
    # Repetitions agree on a language, or it is not known.
    assert of.langs.to_pylist() == [None, None, "fr", "fr", "fr"]
    ids = [f"pair-{i}" for i in range(3000)]
    build(tmp_path / "y", [(i, f"text of {i}", 0) for i in ids[::2]], batch=500)
    of = first_captions(CaptionIndex(str(tmp_path / "y")), pa.array(ids))
    assert of.texts.to_pylist() == [f"text of {i}" if not n % 2 else None
                                    for n, i in enumerate(ids)]  # fmt: skip


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".x-left").mkdir()
    (tmp_path / ".x-left/pile-0000").write_bytes(b"half")
    build(tmp_path / "x", [("p", "one", 0)])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_index_of_nothing_finds_nothing(tmp_path):
    build(tmp_path / "x", [])
    index = CaptionIndex(str(tmp_path / "x"))
    assert len(index) == 0 and not index.places("p") and list(index.texts()) == []
    assert first_captions(index, pa.array(["p"])).texts.to_pylist() == [None]


def test_all_texts_come_once(tmp_path):
    rows = [(f"{i}", f"text {i}", 0) for i in range(70_000)]
    build(tmp_path / "x", rows, batch=10_000)
    assert sorted(CaptionIndex(str(tmp_path / "x")).texts()) == sorted(text for _, text, _ in rows)


def test_damage_is_noticed_and_another_size_refused(tmp_path):
    build(tmp_path / "x", [("p", "one", 0)])
    assert is_whole(str(tmp_path / "x")) and not is_whole(str(tmp_path / "y"))
    path = tmp_path / "x" / TEXTS
    path.write_bytes(b"two")
    assert not is_whole(str(tmp_path / "x"))
    (tmp_path / "x" / KEYS).write_bytes(b"123")
    with pytest.raises(ArtifactError, match=r"has 3 bytes, expected 8\. Remove its folder"):
        CaptionIndex(str(tmp_path / "x"))
    (tmp_path / "x" / NOTE).write_text(json.dumps({"version": 99}))
    with pytest.raises(ArtifactError, match="there are no captions in it"):
        CaptionIndex(str(tmp_path / "x"))


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def failing():
        yield captions([("p", "one", 0)])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_index(str(tmp_path / "x"), failing(), ["a"], size_bytes=0, note={})
    assert list(tmp_path.iterdir()) == []


def test_indices_that_were_not_opened_for_longest_make_room(tmp_path):
    import os

    for at, name in enumerate("xyz"):
        build(tmp_path / name, [("p", "one", 0)])
        os.utime(tmp_path / name / NOTE, (at, at))
    make_room(str(tmp_path), 1, keep=str(tmp_path / "x"))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
