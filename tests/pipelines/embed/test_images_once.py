"""`curate embed` looks at an image once, in whatever parts it stands."""

import random
import shutil
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import curate
from curate.errors import ArtifactError
from curate.files import storage
from curate.pipelines.embed import batches, lend, shares
from curate.pipelines.embed import rows as rows_module
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.embed.view import embed_table
from curate.pipelines.embedded import purge
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.executor import journal
from curate.pipelines.executor.cluster import Cluster, use_cluster
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store import artifacts
from curate.training.embedding.images import see_image
from tests.pipelines.helpers import KILLS, contents, match, write_metadata
from tests.pipelines.kills import kill_at_work, run_to_its_end
from tests.pipelines.tar_helpers import write_tar
from tests.pipelines.train_helpers import train, write_train_workspace
from tests.training.embedding.test_encoders import jpeg

BAD = (None, b"no image")
# Of an image, its bytes as they came in three parts: so that rows say whose image they have.
PICTURES = {name: [jpeg(90 + 3 * i + at) for at in range(3)] for i, name in enumerate("abcdef")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("once") / "data")
    train(folder, "runs/clip", steps=2)
    return str(folder / "runs/clip")


@pytest.fixture
def looks(monkeypatch):
    """Give the images that are looked at, and how many a model sees."""
    seen, lock, encoded = [], threading.Lock(), batches._encoded

    def see(one, *rest):
        with lock:
            seen.append(one)
        return see_image(one, *rest)

    def encode(encoder, pixels):
        with lock:
            encode.images += len(pixels)
        return encoded(encoder, pixels)

    encode.images = 0
    monkeypatch.setattr(batches, "see_image", see)
    monkeypatch.setattr(batches, "_encoded", encode)
    return seen, encode


def write_shards(folder, parts):
    """Write a tar a part of (name, bytes); what has no name has no URL."""
    for number, rows in enumerate(parts):
        members = {}
        for row, (name, image) in enumerate(rows):
            key = f"{number:03d}{row:05d}"
            about = {} if name is None else {"url": f"https://a.org/{name}.jpg"}
            members |= {} if image is None else {f"{key}.jpg": image}
            members |= {f"{key}.txt": f"text {row} of {number}", f"{key}.json": about}
        write_tar(folder / f"{number:05d}.tar", members)
    return folder


def embed(output, *, matched=None, shards=None, run=None, workers=1, **options):
    overwrite = options.pop("overwrite", False)
    return embed_pairs(
        output=str(output), options=EmbedOptions(run=run, **options), workers=workers, quiet=True,
        matched=None if matched is None else str(matched), overwrite=overwrite,
        shards=None if shards is None else str(shards),
    )  # fmt: skip


def tables(folder):
    return [pq.read_table(path) for path in sorted((folder / "pairs").glob("*.parquet"))]


def naive(parts):
    """Return, of each row, the bytes that it is to tell of, and how often images are looked at."""
    owner, told, looked = {}, [], 0
    for number, rows in enumerate(parts):
        of_part = [None] * len(rows)
        by_name = {}
        for row, (name, _) in enumerate(rows):
            by_name.setdefault(row if name is None else name, []).append(row)
        for name, mine in by_name.items():
            first_part, found = owner.setdefault(name if isinstance(name, str) else object(),
                                                 (number, {}))  # fmt: skip
            images = [rows[row][1] for row in mine]
            usable = [one for one in images if one not in BAD]
            if first_part != number and found:
                of_part = _put(of_part, mine, [found["image"]] * len(mine))
                continue
            looked += 1 if images[0] not in BAD else len(mine)
            of_part = _put(of_part, mine, [usable[0]] * len(mine) if usable else images)
            if first_part == number and usable:
                found["image"] = usable[0]
        told.append(of_part)
    return told, looked


def _put(values, places, new):
    by_place = dict(zip(places, new, strict=True))
    return [by_place.get(at, value) for at, value in enumerate(values)]


IMAGES = st.tuples(
    st.sampled_from([*"abc", None]),
    st.sampled_from([None, b"no image", *range(3), *range(3)]),
).map(lambda one: (one[0], PICTURES[one[0] or "f"][one[1]] if isinstance(one[1], int) else one[1]))
PARTS = st.lists(st.lists(IMAGES, max_size=5), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(PARTS, st.integers(1, 3), st.integers(1, 4))
@example([[("a", None), ("a", PICTURES["a"][0]), ("a", PICTURES["a"][1])]], 1, 1)
def test_each_row_tells_of_the_first_part_that_can_use_its_image(
    tmp_path_factory, parts, workers, together
):
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder / "in", parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "_LENT_TOGETHER", together)
        found = embed(folder / "e", shards=folder / "in", workers=workers)
    told, looked = naive(parts)
    assert found["images"] == looked
    for table, images in zip(tables(folder / "e"), told, strict=True):
        expected = [see_image(one, "simplejpeg", None) for one in images]
        assert table.column("image_xxh3").to_pylist() == [one.exact for one in expected]
        assert table.column("image_hash").to_pylist() == [one.perceptual for one in expected]
        for side in ("width", "height"):
            sizes = [getattr(one, side) or None for one in expected]
            assert table.column(side).to_pylist() == sizes
    lacking = [see_image(one, "simplejpeg", None).reason for part in told for one in part]
    assert found["without_image"] == {
        reason: lacking.count(reason) for reason in sorted({*lacking} - {""})
    }
    assert not (folder / "e/.working").exists()


def five_parts():
    """Return parts of which all but the first and the last have images of earlier ones."""
    parts = [["a", "b"], ["b", "c", "c"], ["a", "d", "b", "c"], ["d", "d", "e"], ["f"]]
    return [[(name, PICTURES[name][at % 3]) for name in names] for at, names in enumerate(parts)]


def write_matches(folder, parts, metadata=None, *, first=0):
    """Match parts one after the other: small files would be matched together."""
    metadata = metadata or write_metadata(folder / "metadata", {"en": ["red"]})
    inputs = folder.with_name(f"{folder.name} in")  # which no retraction takes pairs out of
    inputs.mkdir(exist_ok=True)
    for number, rows in [*enumerate(parts)][first:]:
        table = {"url": [f"https://a.org/{name}.jpg" for name, _ in rows],
                 "text": [f"red {number} {row}" for row in range(len(rows))],
                 "image": [image for _, image in rows]}  # fmt: skip
        pq.write_table(pa.table(table), inputs / f"{number}.parquet")
        match([inputs / f"{i}.parquet" for i in range(number + 1)], metadata, folder / "matched")
    return folder / "matched"


def test_a_model_sees_an_image_once_and_equal_ones_have_equal_vectors(tmp_path, run, looks):
    parts = five_parts()
    matched = write_matches(tmp_path, parts)
    found = embed(tmp_path / "e", matched=matched, run=run)
    seen, encode = looks
    assert len(seen) == encode.images == found["images"] == 6
    assert found["images_of_earlier_parts"] == 1 + 3 + 1
    assert found["pairs"] == found["image_vectors"] == found["text_vectors"] == 13
    assert "images looked at, each once: 6; handed over to later parts: 5" in embed_table(found, "")
    rows = pa.concat_tables(tables(tmp_path / "e")).to_pylist()
    by_image = {}
    for row in rows:
        assert row["image"] == by_image.setdefault(row["image_id"], row["image"])
    assert len(by_image) == 6
    # Each part alone, its texts the same, its images but for the last bits of a batch of another
    # size.
    for number, part in enumerate(parts):
        owner = {name: next(i for i, p in enumerate(parts) if name in dict(p)) for name, _ in part}
        firsts = [(name, PICTURES[name][owner[name] % 3]) for name, _ in part]
        (tmp_path / f"alone {number}").mkdir()
        alone = write_matches(tmp_path / f"alone {number}", [firsts], tmp_path / "metadata")
        embed(tmp_path / f"alone {number}/e", matched=alone, run=run)
        mine, [other] = tables(tmp_path / "e")[number], tables(tmp_path / f"alone {number}/e")
        for name in ("image_id", "image_xxh3", "image_hash", "width", "height"):
            assert mine.column(name).equals(other.column(name)), name
        vectors = [np.array(one.column("image").to_pylist(), float) for one in (mine, other)]
        np.testing.assert_allclose(*vectors, atol=2e-3)


@pytest.mark.parametrize("kind", ["matched", "shards"])
def test_bytes_are_those_of_any_number_of_workers(tmp_path, run, kind):
    source = {kind: write_matches(tmp_path, five_parts()) if kind == "matched"
              else write_shards(tmp_path / "in", five_parts())}  # fmt: skip
    for workers in (1, 2, 5):
        embed(tmp_path / f"{workers}", run=run, workers=workers, batch_size=2, **source)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")
    assert set(contents(tmp_path / "1")) == {
        *(f"pairs/{i:05d}.parquet" for i in range(5)), "parts.parquet", "plan.json", "summary.json",
    }  # fmt: skip


def test_a_pool_whose_images_come_once_is_as_it_was_part_by_part(tmp_path, run):
    names = ["ab", "cd", "e"]
    parts = [[(name, PICTURES[name][0]) for name in part] for part in names]
    found = embed(tmp_path / "e", shards=write_shards(tmp_path / "in", parts), run=run)
    assert "images_of_earlier_parts" not in found
    for number, part in enumerate(parts):
        shard = f"{number:05d}.tar"
        (tmp_path / f"alone {number}").mkdir()
        shutil.copy(tmp_path / "in" / shard, tmp_path / f"alone {number}/{shard}")
        embed(tmp_path / f"e {number}", shards=tmp_path / f"alone {number}", run=run)
        assert (tmp_path / f"e/pairs/{number:05d}.parquet").read_bytes() == (
            tmp_path / f"e {number}/pairs/00000.parquet"
        ).read_bytes(), part


class _CutShortError(RuntimeError):
    pass


@pytest.mark.parametrize("kind", ["matched", "shards"])
def test_cut_short_before_any_file_it_ends_with_the_same_bytes(tmp_path, monkeypatch, kind, looks):
    parts = five_parts()
    parts[0][0] = ("a", b"no image")  # so that a later part looks at its own
    source = {kind: write_matches(tmp_path, parts) if kind == "matched"
              else write_shards(tmp_path / "in", parts)}  # fmt: skip
    published, publish = [], storage.publish

    def counted(path):
        published.append(path)
        if len(published) == counted.last:
            raise _CutShortError(path)
        return publish(path)

    counted.last = 0
    monkeypatch.setattr(storage, "publish", counted)
    monkeypatch.setattr(journal, "_FLUSH_EVERY_S", np.inf)  # so that each run writes the same files
    embed(tmp_path / "whole", **source)
    num = len(published)
    assert sum(path.endswith(".images") for path in published) == 1
    looked = len(looks[0])
    for cut in range(2, num + 1):
        published.clear()
        counted.last = cut
        folder = tmp_path / f"cut {cut}"
        with pytest.raises(_CutShortError):
            embed(folder, **source)
        published.clear()
        counted.last = max(2, cut // 2)  # and once more
        try:
            embed(folder, **source)
        except _CutShortError:
            published.clear()
            counted.last = 0
            embed(folder, **source)
        assert contents(folder) == contents(tmp_path / "whole"), cut
    counted.last = 0
    looks[0].clear()
    published.clear()
    counted.last = num - 3  # all is looked at, and parts are put together
    with pytest.raises(_CutShortError):
        embed(tmp_path / "late", **source)
    counted.last = 0
    embed(tmp_path / "late", **source)
    assert len(looks[0]) <= looked + 1  # of the part that was cut short, its own


@pytest.mark.parametrize("kind", ["matched", "shards"])
def test_parts_that_are_added_borrow_of_the_old_ones_which_stay(tmp_path, run, kind, looks):
    parts = five_parts()
    for first, num in ((0, 1), (1, 2), (2, 3), (3, 5)):
        if kind == "matched":
            source = {"matched": write_matches(tmp_path, parts[:num], first=first)}
        else:
            source = {"shards": write_shards(tmp_path / "in", parts[:num])}
        before = {name: one for name, one in contents(tmp_path / "e").items()
                  if name.startswith("pairs/")} if num > 1 else {}  # fmt: skip
        embed(tmp_path / "e", run=run, **source)
        # Of all runs together, each image once.
        assert len(looks[0]) == len({name for part in parts[:num] for name, _ in part})
        assert before.items() <= contents(tmp_path / "e").items()
    embed(tmp_path / "anew", run=run, **source)
    assert contents(tmp_path / "anew") == contents(tmp_path / "e")


def test_parts_that_are_added_after_a_kill(tmp_path, monkeypatch):
    parts = five_parts()
    write_shards(tmp_path / "in", parts[:3])
    with monkeypatch.context() as patch:
        patch.setattr(lend, "_lend", _fails)
        with pytest.raises(_CutShortError):
            embed(tmp_path / "e", shards=tmp_path / "in")
    assert len(list((tmp_path / "e/.working/owned").glob("*.parquet"))) == 2
    write_shards(tmp_path / "in", parts)
    embed(tmp_path / "e", shards=tmp_path / "in")
    embed(tmp_path / "anew", shards=tmp_path / "in")
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")


def _fails(*_, **__):
    raise _CutShortError


def test_a_part_that_changed_is_made_anew_and_the_others_stay(tmp_path, looks):
    parts = five_parts()
    embed(tmp_path / "e", shards=write_shards(tmp_path / "in", parts))
    before = contents(tmp_path / "e")
    parts[1] = [("b", PICTURES["b"][1]), ("f", PICTURES["f"][2]), ("a", PICTURES["a"][1])]
    looks[0].clear()
    embed(tmp_path / "e", shards=write_shards(tmp_path / "in", parts))
    assert looks[0] == [PICTURES["f"][2]]  # a and b are those of the first part
    after = contents(tmp_path / "e")
    assert {n for n in before if n.startswith("pairs/") and before[n] != after[n]} == {
        "pairs/00001.parquet"
    }
    told = {row["image_id"]: row for row in tables(tmp_path / "e")[0].to_pylist()}
    for row in tables(tmp_path / "e")[1].to_pylist():
        if row["image_id"] in told:
            assert row["image_xxh3"] == told[row["image_id"]]["image_xxh3"]


def test_a_done_part_that_is_lost_is_made_again_with_the_same_bytes(tmp_path):
    source = write_shards(tmp_path / "in", five_parts())
    embed(tmp_path / "e", shards=source)
    before = contents(tmp_path / "e")
    for number in (0, 2):
        (tmp_path / f"e/pairs/{number:05d}.parquet").unlink()
    embed(tmp_path / "e", shards=source)
    assert contents(tmp_path / "e") == before


def test_what_is_lent_is_compared_with_its_checksum(tmp_path, monkeypatch):
    source = write_shards(tmp_path / "in", five_parts())
    with monkeypatch.context() as patch:
        patch.setattr("curate.pipelines.embed.borrow.read_lent", _fails)
        with pytest.raises(_CutShortError):
            embed(tmp_path / "e", shards=source)
    [path] = (tmp_path / "e/.working").glob("shares-*/*.images")
    whole = path.read_bytes()
    places = np.frombuffer(whole[: 24 * 5], "<u8").reshape(5, 3)
    assert places[:, 1].tolist() == [0, 1, 3, 1, 0]
    for damaged in (whole[:-1], whole[: 24 * 5] + b"x" + whole[24 * 5 + 1 :],
                    whole[:24] + bytes(24) + whole[48:]):  # fmt: skip
        shutil.copytree(tmp_path / "e", tmp_path / "damaged")
        (tmp_path / "damaged/.working" / path.parent.name / path.name).write_bytes(damaged)
        with pytest.raises(ArtifactError, match="has for part . is not what was written"):
            embed(tmp_path / "damaged", shards=source)
        shutil.rmtree(tmp_path / "damaged")
    embed(tmp_path / "e", shards=source)
    embed(tmp_path / "anew", shards=source)
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")


def test_texts_alone_and_cuts_are_of_each_part(tmp_path, run, looks):
    source = write_shards(tmp_path / "in", five_parts())
    found = embed(tmp_path / "texts", shards=source, run=run, kinds=("text",))
    assert found["text_vectors"] == 13 and not looks[0]
    found = embed(tmp_path / "cuts", shards=source, run=run, crops=2)
    assert "images_of_earlier_parts" not in found and len(looks[0]) == 13
    rows = pa.concat_tables(tables(tmp_path / "cuts"))
    assert rows.column("crops").null_count == 0


def test_what_is_asked_for_in_several_chunks_is_the_same(tmp_path, monkeypatch):
    source = write_shards(tmp_path / "in", five_parts())
    embed(tmp_path / "whole", shards=source)
    monkeypatch.setattr(rows_module, "CHUNK_ROWS", 1)
    embed(tmp_path / "chunks", shards=source)
    assert contents(tmp_path / "chunks") == contents(tmp_path / "whole")


def test_retracted_images_go_and_what_was_borrowed_stays(tmp_path):
    matched = write_matches(tmp_path, five_parts())
    embed(tmp_path / "embeddings", matched=matched)
    before = tables(tmp_path / "embeddings")
    first = before[0].to_pylist()[0]  # of a, which the third part has borrowed
    (tmp_path / "list.txt").write_text(f"https://a.org/b.jpg\n{first['pair_id']}")
    curate.retract(tmp_path / "list.txt", workspace=tmp_path, quiet=True)
    b = next(row["image_id"] for row in before[0].to_pylist() if row != first)
    after = tables(tmp_path / "embeddings")
    for old, new in zip(before, after, strict=True):
        left = [row for row in old.to_pylist()
                if row["pair_id"] != first["pair_id"] and row["image_id"] != b]  # fmt: skip
        assert new.to_pylist() == left
    assert len(after[0]) == 0 and len(after[2]) == 3
    assert curate.embed(workspace=tmp_path, dry_run=True, quiet=True)["parts_to_do"] == 0
    counts = [artifacts.read_stamp(str(tmp_path / f"embeddings/pairs/{i:05d}.parquet"))["summary"]
              for i in range(5)]  # fmt: skip
    assert [one["images"] for one in counts] == [0, 1, 2, 1, 1]
    assert [one.get("images_of_earlier_parts", 0) for one in counts] == [0, 0, 1, 1, 0]
    summary = artifacts.read_json(str(tmp_path / "embeddings/summary.json"))
    assert (summary["pairs"], summary["images"]) == (9, 5)
    assert not (tmp_path / "embeddings/.working").exists()


def test_a_retraction_while_a_run_is_cut_short_holds(tmp_path, monkeypatch, looks):
    matched = write_matches(tmp_path, five_parts())
    with monkeypatch.context() as patch:
        patch.setattr("curate.pipelines.embed.borrow.read_lent", _fails)
        with pytest.raises(_CutShortError):
            embed(tmp_path / "embeddings", matched=matched)
    plan = EmbeddedPlan.read(str(tmp_path / "embeddings"))
    assert len(plan.sources) == 5 and len(tables(tmp_path / "embeddings")) == 2
    (tmp_path / "list.txt").write_text("https://a.org/e.jpg")
    curate.retract(tmp_path / "list.txt", workspace=tmp_path, quiet=True)
    left = sorted(path.name for path in (tmp_path / "embeddings/.working").rglob("*.*"))
    assert left == ["00001.parquet", "00002.parquet"]  # owned ones without it
    looks[0].clear()
    embed(tmp_path / "embeddings", matched=matched)
    assert looks[0] == []  # what e's part has beside it is borrowed
    embed(tmp_path / "anew", matched=matched)
    for mine, other in zip(tables(tmp_path / "embeddings"), tables(tmp_path / "anew"), strict=True):
        assert mine.equals(other)


def cut_before_borrowing(monkeypatch, output, **source):
    with monkeypatch.context() as patch:
        patch.setattr("curate.pipelines.embed.borrow.read_lent", _fails)
        with pytest.raises(_CutShortError):
            embed(output, **source)


def test_nothing_of_an_unfinished_run_is_left_by_overwrite(tmp_path, monkeypatch):
    source = write_shards(tmp_path / "in", five_parts())
    cut_before_borrowing(monkeypatch, tmp_path / "e", shards=source)
    assert len(list((tmp_path / "e/.working/owned").iterdir())) == 3
    embed(tmp_path / "e", shards=source, decoder="pillow", overwrite=True)
    embed(tmp_path / "anew", shards=source, decoder="pillow")
    assert not (tmp_path / "e/.working").exists() and not (tmp_path / "e/.next").exists()
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")


def test_what_was_looked_at_of_a_shard_that_went_or_changed_goes_at_once(tmp_path, monkeypatch):
    parts = five_parts()
    source = write_shards(tmp_path / "in", parts)
    cut_before_borrowing(monkeypatch, tmp_path / "e", shards=source)
    write_shards(tmp_path / "in", [parts[0], [*parts[1], ("f", PICTURES["f"][0])]])
    for number in (2, 3, 4):
        (source / f"{number:05d}.tar").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("curate.pipelines.embed.stage.plan_shares", _fails)
        with pytest.raises(_CutShortError):
            embed(tmp_path / "e", shards=source)
    assert list((tmp_path / "e/.working/owned").iterdir()) == []


def test_a_lent_file_of_an_earlier_plan_is_in_nobodys_way(tmp_path, monkeypatch):
    parts = five_parts()
    source = write_shards(tmp_path / "in", parts[:4])
    cut_before_borrowing(monkeypatch, tmp_path / "e", shards=source)
    [old] = (tmp_path / "e/.working").glob("shares-*")
    shutil.copytree(old, tmp_path / "old")
    parts[0] = [("b", PICTURES["b"][2]), ("a", PICTURES["a"][2])]
    write_shards(tmp_path / "in", parts)
    cut_before_borrowing(monkeypatch, tmp_path / "e", shards=source)
    assert not old.exists()
    shutil.copytree(tmp_path / "old", old)  # by a worker that was not ended with its driver
    embed(tmp_path / "e", shards=source)
    embed(tmp_path / "anew", shards=source)
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")


@pytest.mark.parametrize("lost", ["shares.json", "shares-*/parts.shares", "shares-*/*.images"])
def test_what_parts_share_is_found_again_where_a_file_of_it_is_gone(tmp_path, monkeypatch, lost):
    source = write_shards(tmp_path / "in", five_parts())
    cut_before_borrowing(monkeypatch, tmp_path / "e", shards=source)
    [path] = (tmp_path / "e/.working").glob(lost)
    path.unlink()
    embed(tmp_path / "e", shards=source)
    embed(tmp_path / "anew", shards=source)
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")


def test_what_is_damaged_meanwhile_is_made_anew_as_the_message_says(tmp_path, monkeypatch):
    write_matches(tmp_path, five_parts())
    with monkeypatch.context() as patch:
        patch.setattr("curate.pipelines.embed.borrow.read_lent", _fails)
        with pytest.raises(_CutShortError):
            curate.embed(workspace=tmp_path, output=tmp_path / "e", quiet=True)
    for name in ("shares-*/parts.shares", "shares-*/00000.images", "owned/00003.parquet"):
        [path] = (tmp_path / "e/.working").glob(name)
        whole = path.read_bytes()
        path.write_bytes(whole[:-3] + b"xyz")
        with pytest.raises(ArtifactError, match=r"Remove it and run `curate.embed\(") as told:
            curate.embed(workspace=tmp_path, output=tmp_path / "e", quiet=True)
        assert str(path) in str(told.value), name
        path.write_bytes(whole)
    path.unlink()
    curate.embed(workspace=tmp_path, output=tmp_path / "e", quiet=True)
    curate.embed(workspace=tmp_path, output=tmp_path / "anew", quiet=True)
    assert contents(tmp_path / "e") == contents(tmp_path / "anew")


def test_status_counts_a_part_once(tmp_path, monkeypatch):
    matched = write_matches(tmp_path, five_parts())
    cut_before_borrowing(monkeypatch, tmp_path / "embeddings", matched=matched)
    shutil.copytree(tmp_path / "embeddings/.working", tmp_path / "working")
    found = curate.status(workspace=tmp_path)["stages"]["embeddings"]
    assert (found["state"], found["done"], found["total"]) == ("incomplete", 5, 5)
    embed(tmp_path / "embeddings", matched=matched)
    # As a kill leaves it, between a part's place and the end of what it was made of.
    shutil.copytree(tmp_path / "working", tmp_path / "embeddings/.working")
    assert curate.status(workspace=tmp_path)["stages"]["embeddings"]["done"] == 5


def test_a_retraction_that_was_cut_short_ends_with_the_same_figures(tmp_path, monkeypatch):
    parts = [["a"], ["a", "b", "c"], ["b", "c", "b"], ["c", "b"]]
    write_matches(tmp_path / "one", [[(n, PICTURES[n][0]) for n in part] for part in parts])
    embed(tmp_path / "one/embeddings", matched=tmp_path / "one/matched")
    gone = [tables(tmp_path / "one/embeddings")[part].column("pair_id")[row].as_py()
            for part, row in ((1, 1), (2, 2), (3, 0))]  # fmt: skip
    (tmp_path / "list.txt").write_text("\n".join(gone))
    for name in ("two", "three"):
        shutil.copytree(tmp_path / "one", tmp_path / name)
    curate.retract(tmp_path / "list.txt", workspace=tmp_path / "one", quiet=True)
    rewrite = purge._rewrite
    for name, last in (("two", 1), ("three", 2)):
        left = [last]

        def cut(*words, left=left):
            if not left[0]:
                raise _CutShortError
            left[0] -= 1
            rewrite(*words)

        with monkeypatch.context() as patch:
            patch.setattr(purge, "_rewrite", cut)
            with pytest.raises(_CutShortError):
                curate.retract(tmp_path / "list.txt", workspace=tmp_path / name, quiet=True)
        curate.retract(tmp_path / "list.txt", workspace=tmp_path / name, quiet=True)
        assert figures_of(tmp_path / name) == figures_of(tmp_path / "one")
    assert [(one["images"], one.get("images_of_earlier_parts")) for one in figures_of(
        tmp_path / "one")] == [(1, None), (1, 1), (1, 1), (0, 1)]  # fmt: skip


def figures_of(folder):
    paths = sorted((folder / "embeddings/pairs").glob("*.parquet"))
    return [artifacts.read_stamp(str(path))["summary"] for path in paths]


def test_a_retraction_takes_the_sign_of_shares_before_them(tmp_path, monkeypatch):
    write_matches(tmp_path, five_parts())
    cut_before_borrowing(monkeypatch, tmp_path / "embeddings", matched=tmp_path / "matched")
    removed = []
    with monkeypatch.context() as patch:
        patch.setattr(storage, "remove", removed.append)
        purge._purge_working(str(tmp_path / "embeddings"), Tombstones())
    names = [path.rpartition("/")[2] for path in removed]
    assert names[0] == "shares.json" and names[1].startswith("shares-") and len(names) == 2


CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["matched", "shards"])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path, kind):
    parts = [[(f"{name}{at % 7}", PICTURES[name][at % 3]) for name in PICTURES for at in range(9)]
             for _ in range(6)]  # fmt: skip
    folder = tmp_path / "a"
    folder.mkdir()
    if kind == "matched":
        write_matches(folder, parts)
        words = ["-w", "."]
    else:
        write_shards(folder / "in", parts)
        words = ["--shards", "in"]
    shutil.copytree(folder, tmp_path / "b")
    command = [*CURATE, "embed", *words, "-o", "e", "--workers", "2", "--quiet"]
    seconds = run_to_its_end(command, folder)

    def anew():
        shutil.rmtree(tmp_path / "b/e", ignore_errors=True)

    kill_at_work(command, tmp_path / "b", seconds, random.Random(3), max(2, KILLS // 5), anew)
    run_to_its_end(command, tmp_path / "b")
    assert contents(tmp_path / "b/e") == contents(tmp_path / "a/e")


@pytest.mark.slow
def test_ray_gives_the_same_bytes(tmp_path, run):
    source = write_shards(tmp_path / "in", five_parts())
    embed(tmp_path / "here", shards=source, run=run)
    with use_cluster(Cluster(kind="ray")):
        embed(tmp_path / "ray", shards=source, run=run, workers=2)
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
