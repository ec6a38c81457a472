import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.training.data.samples import captions
from curate.training.data.shards import OpenShards, gather_strings, index_shard, list_shards
from curate.training.tars import members
from tests.training.shard_files import IMAGE, sample, write_tar

MEMBERS = [
    ("a/00", {"jpg": b"J" * 700, "txt": b"one", "json": b'{"x": 1}'}),
    ("a/01", {"cls": b"7", "PNG": b"P", "seg.png": b"S"}),
    ("b/01", {"txt": b"two", "webp": b"W" * 512, "jpeg": b"E"}),
    ("02", {"json": b"", "txt": b"three"}),
]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_of_any_format_is_indexed(tmp_path, format):
    path = write_tar(tmp_path / "0.tar", MEMBERS, format=format)
    index, files = index_shard(path), OpenShards()
    assert index.is_whole
    assert [files.key(index, i) for i in range(4)] == ["a/00", "a/01", "b/01", "02"]
    contents = [
        [files.read(path, at, size) for at, size in part.tolist() if size]
        for part in (index.image, index.text, index.json)
    ]
    assert contents == [[b"J" * 700, b"P", b"E"], [b"one", b"two", b"three"], [b'{"x": 1}']]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_and_names_beyond_ascii_are_read(tmp_path, format):
    names = ["k" * 130 if format != tarfile.USTAR_FORMAT else "d" * 90 + "/" + "k" * 60, "ключ"]
    path = write_tar(tmp_path / "0.tar", [sample(name) for name in names], format=format)
    index, files = index_shard(path), OpenShards()
    found = [files.key(index, i) for i in range(len(index.places))]
    assert found == names
    assert (index.image[:, 1] == [len(sample(name)[1]["png"]) for name in names]).all()


def write_pax(tar_path, **headers):
    with tarfile.open(tar_path, "w", format=tarfile.PAX_FORMAT) as tar:
        for key, members in MEMBERS:
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size, info.pax_headers = len(content), headers
                info.mtime = 1.5  # what webdataset's and img2dataset's writers leave behind
                tar.addfile(info, io.BytesIO(content))
    return str(tar_path)


def test_extended_headers_that_say_nothing_of_names_are_passed_over(tmp_path, monkeypatch):
    path = write_pax(tmp_path / "0.tar")
    with monkeypatch.context() as patch:
        # The compiled reader does it all: what it asks about is the end.
        patch.setattr(members, "read_header", lambda *_: None)
        index = index_shard(path)
    assert index.is_whole and len(index.places) == 4
    assert [OpenShards().key(index, i) for i in range(4)] == ["a/00", "a/01", "b/01", "02"]
    path = write_pax(tmp_path / "1.tar", comment="x", path="other/name.txt")
    index = index_shard(path)
    assert index.places[0, 1] == -1 and OpenShards().key(index, 0) == "other/name"


def test_a_tar_that_is_cut_off_gives_what_is_whole(tmp_path):
    path = tmp_path / "0.tar"
    write_tar(path, [sample(str(i)) for i in range(6)])
    whole, found = path.read_bytes(), []
    for size in range(0, len(whole) - 2048, 256):
        path.write_bytes(whole[:size])
        index = index_shard(str(path))
        found.append(len(index.places))
        assert (index.places[:, 2::2] + index.places[:, 3::2]).max(initial=0) <= size
    path.write_bytes(whole)
    ends = index_shard(str(path)).places[-1]
    assert index_shard(str(path)).is_whole and found[0] == 0 and found == sorted(found)
    path.write_bytes(whole[: int(ends[4] + 512)])  # all samples, and no end of the archive
    assert len(index_shard(str(path)).places) == 6 and not index_shard(str(path)).is_whole


def test_what_is_no_tar_holds_nothing(tmp_path):
    for content in (b"", b"no tar" * 400, bytes([1]) * 100):
        (tmp_path / "0.tar").write_bytes(content)
        index = index_shard(str(tmp_path / "0.tar"))
        assert len(index.places) == 0 and not index.is_whole
    index = index_shard(write_tar(tmp_path / "0.tar", []))
    assert len(index.places) == 0 and index.is_whole


def test_a_damaged_header_ends_a_shard(tmp_path):
    path = tmp_path / "0.tar"
    write_tar(path, [sample(str(i)) for i in range(6)])
    content = bytearray(path.read_bytes())
    at = int(index_shard(str(path)).places[3, 0])
    content[at + 3] ^= 1
    path.write_bytes(content)
    index = index_shard(str(path))
    assert len(index.places) == 3 and not index.is_whole


def test_folders_and_links_in_a_tar_are_passed_over(tmp_path):
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as tar:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("a/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "a/0.png"
        tar.addfile(link)
        info = tarfile.TarInfo("a/0.png")
        info.size = len(IMAGE)
        tar.addfile(info, io.BytesIO(IMAGE))
    index = index_shard(str(path))
    assert len(index.places) == 1 and index.image[0, 1] == len(IMAGE)


def test_pieces_are_gathered_with_a_filler_for_the_missing(tmp_path):
    path = write_tar(tmp_path / "0.tar", MEMBERS)
    found = gather_strings(path, index_shard(path).json, b"{}")
    assert found.cast(pa.string()).to_pylist() == ['{"x": 1}', "{}", "{}", "{}"]
    assert gather_strings(path, np.zeros((0, 2), np.int64), b"{}").to_pylist() == []


def test_captions_are_those_of_all_shards_in_order(tmp_path):
    paths = [
        write_tar(tmp_path / "0.tar", MEMBERS),
        write_tar(tmp_path / "1.tar", [("x", {"txt": b"caf\xc3\xa9 \xff"})]),
    ]
    assert list(captions(paths)) == ["one", "two", "three", "café \ufffd"]
    about = [
        {"caption": "four"},
        {"texts": ["five", {"text": "six"}, ""]},
        {"text": 7},
        {"alt": ""},
    ]
    samples = [(f"{i}", {"json": json.dumps(a).encode()}) for i, a in enumerate(about)]
    path = write_tar(tmp_path / "2.tar", [*samples, ("9", {"json": b"[", "txt": b"nine"})])
    assert list(captions([path])) == ["four", "five", "six", "nine"]


def test_a_file_that_ends_before_a_sample_does_is_an_error(tmp_path):
    path = write_tar(tmp_path / "0.tar", MEMBERS)
    with pytest.raises(OSError, match="ends at byte"):
        OpenShards().read(path, 0, 1 << 20)


def test_more_shards_than_files_may_be_open_are_read(tmp_path):
    files = OpenShards()
    paths = [write_tar(tmp_path / f"{i}.tar", [(str(i), {"txt": b"x"})]) for i in range(80)]
    for path in (*paths, *paths):
        assert files.read(path, 512, 1) == b"x"
    assert len(files._files) == 64


def test_a_folder_without_shards_is_an_error(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.tar"):
        with pytest.raises(InputError, match="no shards"):
            list_shards(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        index_shard(str(tmp_path / "none.tar"))


def test_shards_that_an_index_promises_are_counted(tmp_path):
    for name in ("0", "1"):
        write_tar(tmp_path / f"{name}.tar", [sample(f"{name}{i}") for i in range(3)])
        (tmp_path / f"{name}.idx").write_text("v1.2 4\n")
    (tmp_path / "2.idx").write_text("v1.2 7\n")
    (tmp_path / "3_stats.json").write_text('{"successes": 5}')
    (tmp_path / "3.tar").write_bytes((tmp_path / "0.tar").read_bytes())
    indices = [index_shard(path) for path in list_shards(str(tmp_path))]
    assert [(len(i.places), i.num_missing, i.is_whole) for i in indices] == [
        (3, 1, False), (3, 1, False), (0, 7, False), (3, 2, False)
    ]  # fmt: skip
