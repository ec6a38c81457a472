"""Shards: the tars, their order, their indices, their sums, and what becomes of images."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curate.errors import InputError, UsageError
from curate.files.sizes import parse_size
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.balance.uid_file import UID_DTYPE, parse_uids, write_uid_file
from curate.pipelines.shards.images import (
    UnusableImageError,
    image_suffix,
    prepare_image,
    require_pillow,
)
from curate.pipelines.shards.options import Resize, ShardOptions
from curate.pipelines.shards.tar import member_header, read_index, shard_writer
from curate.pipelines.shards.windows import order_draws
from curate.training.data.shards import OpenShards, index_shard
from tests.pipelines.helpers import WORDS, contents, match, png, texts, write_metadata, write_pairs


def encoded(size, form="JPEG", mode="RGB", **options):
    out = io.BytesIO()
    Image.new(mode, size, 200 if mode == "L" else (200, 30, 30)).save(out, form, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    metadata = write_metadata(folder / "m", {"en": WORDS})
    images = [png((i, 2 * i % 256, 9)) for i in range(100)]
    a = write_pairs(folder / "a.parquet", texts(100), image=images)
    match([a], metadata, folder / "matched")
    return folder / "matched"


def balance(matched, output, *, workers=1, uids=None, shards=None, **options):
    return balance_pairs(
        matched=str(matched), output=str(output), workers=workers, uids=uids, quiet=True,
        options=BalanceOptions(t=1000, shards=ShardOptions(**(shards or {})), **options),
    )  # fmt: skip


def keys(path):
    with tarfile.open(path) as tar:
        return list(dict.fromkeys(name.partition(".")[0] for name in tar.getnames()))


def test_a_header_is_the_one_that_tarfile_writes():
    for name, size in (("a.jpg", 0), ("x" * 96 + ".txt", 8**10), ("ü" * 60 + ".json", 7)):
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.uname, info.gname = size, 0o444, "curate", "curate"
        assert member_header(name, size) == info.tobuf(tarfile.PAX_FORMAT)


def test_the_index_tells_where_every_file_is_and_the_loader_agrees(tmp_path):
    path = str(tmp_path / "00000.tar")
    with shard_writer(path) as writer:
        writer.add("a", {"jpg": b"J" * 700, "txt": b"text", "json": b"{}"})
        writer.add("k" * 150, {"txt": b"a key that needs an extended header"})
    raw = (tmp_path / "00000.tar").read_bytes()
    assert writer.sha256 == hashlib.sha256(raw).hexdigest() and len(raw) == writer.size_bytes
    assert len(raw) % tarfile.RECORDSIZE == 0
    text = (tmp_path / "00000.idx").read_text("ascii")
    assert text.startswith("v1.2 2\njpg 512 700 a.jpg ")
    with tarfile.open(path) as tar:
        wanted = [(m.offset_data, m.size) for m in tar]
    found = [place for sample in read_index(text) for place in sample.values()]
    assert found == wanted
    index, files = index_shard(path), OpenShards()
    assert index.is_whole and index.image[0].tolist() == list(found[0])
    assert files.key(index, 1) == "k" * 150


def test_nothing_is_there_if_writing_a_shard_fails(tmp_path):
    with pytest.raises(RuntimeError), shard_writer(str(tmp_path / "00000.tar")) as writer:
        writer.add("a", {"txt": b"x"})
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_pairs_stand_in_the_order_of_a_hash_within_a_window(tmp_path, matched):
    options = {"pairs_per_shard": 10}
    balance(matched, tmp_path / "plain", shards={"window_shards": 0}, **options)
    balance(matched, tmp_path / "mixed", shards={"window_shards": 3}, **options)
    plain, mixed = (
        [keys(p) for p in sorted((tmp_path / n / "shards").glob("*.tar"))]
        for n in ("plain", "mixed")
    )
    assert [len(k) for k in plain] == [len(k) for k in mixed]
    for first in range(0, len(plain), 3):
        window = [key for shard in plain[first : first + 3] for key in shard]
        draws = order_draws(pa.array(window), 0)
        wanted = [window[i] for i in np.argsort(draws)]
        assert [key for shard in mixed[first : first + 3] for key in shard] == wanted
        assert wanted != window


def test_shards_are_the_same_for_any_workers_and_after_a_loss(tmp_path, matched):
    options = {"pairs_per_shard": 7, "shards": {"window_shards": 2}}
    balance(matched, tmp_path / "a", **options)
    balance(matched, tmp_path / "b", workers=2, **options)
    before = contents(tmp_path / "a")
    assert before == contents(tmp_path / "b")
    for name in ("00003.tar", "00004.json", "00006.idx"):
        (tmp_path / "a" / "shards" / name).unlink()
    balance(matched, tmp_path / "a", **options)
    assert contents(tmp_path / "a") == before


def test_sums_of_a_shard_are_those_of_its_bytes(tmp_path, matched):
    balance(matched, tmp_path / "a", pairs_per_shard=50)
    for tar in (tmp_path / "a/shards").glob("*.tar"):
        about = json.loads(tar.with_suffix(".json").read_text("utf-8"))
        assert about["sha256"] == hashlib.sha256(tar.read_bytes()).hexdigest()
        assert about["pairs"] == about["images"] == len(keys(tar))


def test_a_shard_has_about_the_size_that_is_asked_for(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    noise = np.random.default_rng(0).integers(0, 256, (200, 30_000), np.uint8)
    images = [png((1, 2, 3)) + row.tobytes() for row in noise]
    a = write_pairs(tmp_path / "a.parquet", texts(200), image=images)
    match([a], metadata, tmp_path / "matched")
    balance(
        tmp_path / "matched",
        tmp_path / "b",
        shards={"shard_bytes": 1_000_000, "image_format": "keep"},
    )
    sizes = [p.stat().st_size for p in sorted((tmp_path / "b/shards").glob("*.tar"))]
    assert len(sizes) > 4 and all(0.9 < size / 1e6 < 1.1 for size in sizes[:-1])


def test_resized_images_and_images_that_are_none_are_counted(tmp_path):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    cut = encoded((300, 300))[:1000]
    images = [encoded((80, 40)), encoded((30, 90), "GIF"), b"<html>", None, cut]
    a = write_pairs(tmp_path / "a.parquet", ["a dog"] * 5, image=images)
    match([a], metadata, tmp_path / "matched")
    resize = {"resize": Resize(mode="center_crop", size=32)}
    balance(tmp_path / "matched", tmp_path / "b", shards=resize)
    about = json.loads((tmp_path / "b/shards/00000.json").read_text("utf-8"))
    assert about["pairs"] == 5 and about["images"] == 2
    assert about["without_image"] == {"corrupt_image": 1, "no_image": 1, "not_an_image": 1}
    with tarfile.open(tmp_path / "b/shards/00000.tar") as tar:
        for member in tar:
            if member.name.endswith(".jpg"):
                assert Image.open(tar.extractfile(member)).size == (32, 32)


@pytest.mark.parametrize(
    ("image_format", "suffixes", "converted"),
    [
        ("jpg", {"jpg"}, {"others": 1, "png": 1, "webp": 1}),
        ("png", {"png"}, {"jpg": 1, "others": 1, "webp": 1}),
        ("webp", {"webp"}, {"jpg": 1, "others": 1, "png": 1}),
        ("keep", {"jpg", "png", "webp"}, {}),
    ],
)
def test_all_images_get_one_suffix_and_those_that_have_it_keep_their_bytes(
    tmp_path, capsys, image_format, suffixes, converted
):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    images = [encoded((20, 10), form) for form in ("JPEG", "PNG", "WEBP", "GIF")]
    a = write_pairs(tmp_path / "a.parquet", ["a dog"] * 5, image=[*images, b"<html>"])
    match([a], metadata, tmp_path / "matched")
    balance_pairs(
        matched=str(tmp_path / "matched"), output=str(tmp_path / "b"),
        options=BalanceOptions(t=1000, shards=ShardOptions(image_format=image_format)),
    )  # fmt: skip
    with tarfile.open(tmp_path / "b/shards/00000.tar") as tar:
        found = {m.name.partition(".")[2]: tar.extractfile(m).read() for m in tar}
    assert set(found) == {*suffixes, "txt", "json"}
    kinds = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    assert all(Image.open(io.BytesIO(found[s])).format == kinds[s] for s in suffixes)
    about = json.loads((tmp_path / "b/shards/00000.json").read_text("utf-8"))
    assert about.get("converted", {}) == converted
    assert about["without_image"] == (
        {"not_jpeg_png_or_webp": 2} if image_format == "keep" else {"not_an_image": 1}
    )
    said = capsys.readouterr().err
    assert (f"that became {image_format}, so that all have one suffix: " in said) == bool(converted)
    with tarfile.open(tmp_path / "b/shards/00000.tar") as tar:
        contents_of = [tar.extractfile(m).read() for m in tar]
    kept = [image for image, form in zip(images, ("jpg", "png", "webp"), strict=False)
            if form in suffixes]  # fmt: skip
    assert all(image in contents_of for image in kept)


def test_options_of_version_0_1_mean_what_they_meant():
    old = {"shard_bytes": None, "window_shards": 4, "resize": {"mode": "no", "size": 256,
           "only_if_bigger": False, "quality": 95}}  # fmt: skip
    found = ShardOptions.from_dict(old)
    assert (found.image_format, found.window_shards, found.as_dict()) == ("keep", 4, old)
    new = ShardOptions()
    assert ShardOptions.from_dict(new.as_dict()) == new
    assert (new.image_format, new.window_shards) == ("jpg", None)


@pytest.mark.parametrize(("size", "is_taken"), [(1_000_000, True), (999_999, False)])
def test_a_shard_may_be_of_one_megabyte(size, is_taken):
    if is_taken:
        assert ShardOptions(shard_bytes=parse_size("1MB", "--shard-size")).shard_bytes == size
    else:
        with pytest.raises(UsageError, match="--shard-size is 999,999 bytes; expected at least 1M"):
            ShardOptions(shard_bytes=size)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("no", (200, 100)), ("keep_ratio", (128, 64)), ("keep_ratio_largest", (64, 32)),
        ("border", (64, 64)), ("center_crop", (64, 64)),
    ],
)  # fmt: skip
def test_each_mode_of_resizing_gives_its_size(mode, wanted):
    image = prepare_image(encoded((200, 100)), Resize(mode=mode, size=64))
    assert (image.width, image.height) == Image.open(io.BytesIO(image.content)).size == wanted
    assert (image.original_width, image.original_height) == (200, 100)


def test_what_needs_no_change_keeps_its_bytes_and_the_rest_becomes_jpeg():
    for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
        content = encoded((20, 10), form)
        image = prepare_image(content, Resize())
        assert (image.suffix, image.content) == (suffix, content) and image_suffix(content)
        small = Resize(mode="border", size=64, only_if_bigger=True)
        assert prepare_image(content, small).content == content
    for form in ("GIF", "BMP", "TIFF"):
        content = encoded((20, 10), form)
        assert not image_suffix(content) and prepare_image(content, Resize()).suffix == "jpg"


def test_a_turned_photo_is_upright_after_resizing():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded((200, 100), exif=exif)
    image = prepare_image(content, Resize(mode="keep_ratio_largest", size=50))
    assert (image.width, image.height) == (25, 50)


def test_a_decompression_bomb_and_a_lie_are_told_apart(monkeypatch):
    require_pillow("a test")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for side, reason in ((40, "decompression_bomb"), (200, "decompression_bomb"), (30, None)):
        content = encoded((side, side), "PNG")
        if reason is None:
            assert prepare_image(content, Resize()).width == side
            continue
        with pytest.raises(UnusableImageError) as error:
            prepare_image(content, Resize())
        assert error.value.reason == reason
    with pytest.raises(UnusableImageError, match="not_an_image"):
        prepare_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Resize())


def test_a_line_of_pixels_is_not_blown_up_to_gigabytes(monkeypatch):
    require_pillow("a test")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    line = encoded((1, 1000), "PNG")  # 64 x 64,000
    with pytest.raises(UnusableImageError, match="decompression_bomb"):
        prepare_image(line, Resize(mode="keep_ratio", size=64))
    image = prepare_image(line, Resize(mode="keep_ratio_largest", size=64))
    assert (image.width, image.height) == (1, 64)


def test_uids_are_sorted_as_datacomp_wants_them(tmp_path):
    rng = np.random.default_rng(3)
    ids = [rng.bytes(16).hex() for _ in range(5000)] + ["00" * 16, "ff" * 16, "AB" * 16]
    path = str(tmp_path / "subset.npy")
    assert write_uid_file(path, [pa.array(ids[:3000]), pa.array(ids[3000:])]) == len(ids)
    found = np.load(path)
    wanted = sorted((int(i[:16], 16), int(i[16:], 16)) for i in ids)
    assert found.dtype == UID_DTYPE and found.tolist() == wanted
    assert write_uid_file(path, []) == 0 and np.load(path).shape == (0,)
    sliced = pa.array(ids)[7:9]
    assert parse_uids(sliced).tolist() == [(int(i[:16], 16), int(i[16:], 16)) for i in ids[7:9]]


def test_balance_writes_the_kept_uids_and_refuses_ids_that_are_none(tmp_path, matched):
    metadata = write_metadata(tmp_path / "m", {"en": WORDS})
    uids = [hashlib.md5(str(i).encode()).hexdigest() for i in range(50)]
    a = write_pairs(tmp_path / "a.parquet", ["a dog"] * 50, uid=uids)
    match([a], metadata, tmp_path / "matched")
    balance(tmp_path / "matched", tmp_path / "b", uids=str(tmp_path / "kept.npy"))
    assert np.load(tmp_path / "kept.npy").tolist() == sorted(
        (int(u[:16], 16), int(u[16:], 16)) for u in uids
    )
    with pytest.raises(InputError, match="no uid of DataComp"):
        balance(matched, tmp_path / "c", uids=str(tmp_path / "no.npy"))
    assert not (tmp_path / "no.npy").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mode": "squash"}, "--resize is 'squash'"), ({"size": 0}, "--image-size is 0"),
     ({"quality": 0}, "--quality is 0")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Resize(**options)
