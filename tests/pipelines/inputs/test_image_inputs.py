"""Images that arrive in any usual way come into shards: Parquet, tars, folders with a table."""

import csv
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from tests.pipelines.helpers import WORDS, match, read_pairs, write_metadata
from tests.pipelines.image_server import photo

NUM = 12


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    return write_metadata(tmp_path_factory.mktemp("images") / "m", {"en": WORDS})


def write_photos(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(NUM):
        (folder / f"{i}.jpg").write_bytes(photo(i))


def write_csv(folder):
    write_photos(folder / "photos")
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text"])
        table.writerows([f"photos/{i}.jpg", f"a dog, {i}"] for i in range(NUM))
    return folder / "metadata.csv"


def write_folder(folder):
    write_csv(folder)
    return folder


def write_jsonl(folder):
    write_photos(folder)
    lines = [json.dumps({"image_path": str(folder / f"{i}.jpg"), "caption": f"a dog, {i}"})
             for i in range(NUM)]  # fmt: skip
    (folder / "list.jsonl").write_text("\n".join(lines))
    return folder / "list.jsonl"


def write_struct(folder, *, with_bytes):
    write_photos(folder)
    images = [
        {"bytes": photo(i) if with_bytes(i) else None, "path": f"{i}.jpg"} for i in range(NUM)
    ]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"image": pa.array(images, kind), "text": [f"a dog, {i}" for i in range(NUM)]})
    pq.write_table(table, folder / "data.parquet", row_group_size=5)
    return folder / "data.parquet"


def write_bytes(folder):
    folder.mkdir()
    table = {"image": [photo(i) for i in range(NUM)], "text": [f"a dog, {i}" for i in range(NUM)]}
    pq.write_table(pa.table(table), folder / "data.parquet")
    return folder / "data.parquet"


def write_wds(folder):
    write_photos(folder)
    with tarfile.open(folder / "in.tar", "w") as tar:
        for i in range(NUM):
            tar.add(folder / f"{i}.jpg", f"{i:05d}.jpg")
            (folder / "text").write_text(f"a dog, {i}")
            tar.add(folder / "text", f"{i:05d}.txt")
    return folder / "in.tar"


INPUTS = {
    "csv": write_csv,
    "folder": write_folder,
    "jsonl": write_jsonl,
    "bytes": write_bytes,
    "struct of bytes": lambda folder: write_struct(folder, with_bytes=lambda _: True),
    "struct of paths": lambda folder: write_struct(folder, with_bytes=lambda _: False),
    "struct of both": lambda folder: write_struct(folder, with_bytes=lambda i: i % 2 == 0),
    "tar": write_wds,
}


@pytest.mark.parametrize("kind", INPUTS)
def test_images_of_any_input_come_into_shards(tmp_path, metadata, kind):
    path = INPUTS[kind](tmp_path / "in")
    assert match([path], metadata, tmp_path / "matched")["matched"] == NUM
    card = balance_pairs(
        matched=str(tmp_path / "matched"), output=str(tmp_path / "balanced"), quiet=True,
        options=BalanceOptions(t=1000, pairs_per_shard=5),
    )  # fmt: skip
    assert card["format"] == "shards"
    found = {}
    for shard in (tmp_path / "balanced/shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                found.setdefault(key, {})[suffix] = tar.extractfile(member).read()
    assert {s["txt"].decode(): s["jpg"] for s in found.values()} == {
        f"a dog, {i}": photo(i) for i in range(NUM)
    }


def test_a_row_whose_file_is_missing_is_rejected_with_its_reason(tmp_path, metadata):
    path = write_csv(tmp_path / "in")
    for i in (0, 3, 4, NUM - 1):
        (tmp_path / f"in/photos/{i}.jpg").unlink()
    summary = match([path], metadata, tmp_path / "matched", max_bad=1.0)
    assert summary["dropped"] == {"missing_image": 4}
    rejected = pq.read_table(next((tmp_path / "matched/rejected").glob("*.parquet"))).to_pylist()
    assert [r["row"] for r in rejected] == [0, 3, 4, NUM - 1]
    assert rejected[0]["detail"].endswith("photos/0.jpg: there is no such file")


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/a.jpg", "foo://a.jpg", "s3://a/b.jpg"])
def test_a_table_cannot_have_other_servers_asked(tmp_path, metadata, name):
    table = pa.table({"file_name": [name, None], "text": ["a dog", "a dog"]})
    pq.write_table(table, tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], metadata, tmp_path / "matched", max_bad=1.0)
    assert summary["dropped"] == {"missing_image": 1}
    (rejected,) = pq.read_table(tmp_path / "matched/rejected").to_pylist()
    assert rejected["detail"] == f"{name}: it is in another file system"


def test_members_whose_names_are_no_utf8_are_samples_too(tmp_path, metadata):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in (b"\xff.txt", b"\xfe.txt", b"b.txt"):
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            info.size = 5
            tar.addfile(info, io.BytesIO(b"a dog"))
    assert match([tmp_path / "a.tar"], metadata, tmp_path / "matched")["matched"] == 3
    ids = read_pairs(tmp_path / "matched").column("pair_id").to_pylist()
    assert ids == ["\\xff", "\\xfe", "b"]


def test_inputs_that_have_urls_are_not_looked_for_on_the_disk(tmp_path, metadata):
    table = pa.table({"url": ["http://x/a.jpg"], "file_name": ["a.jpg"], "text": ["a dog"]})
    pq.write_table(table, tmp_path / "a.parquet")
    match([tmp_path / "a.parquet"], metadata, tmp_path / "matched")
    assert "image_file" not in read_pairs(tmp_path / "matched").column_names


def test_an_image_alone_is_no_input(tmp_path, metadata):
    write_photos(tmp_path / "in")
    with pytest.raises(InputError, match="whose column `file_name`"):
        match([tmp_path / "in"], metadata, tmp_path / "matched")


def test_an_image_that_changed_after_matching_is_an_error(tmp_path, metadata):
    path = write_csv(tmp_path / "in")
    match([path], metadata, tmp_path / "matched")
    (tmp_path / "in/photos/0.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="changed after"):
        balance_pairs(
            matched=str(tmp_path / "matched"), output=str(tmp_path / "balanced"), quiet=True,
            options=BalanceOptions(t=1000),
        )  # fmt: skip
