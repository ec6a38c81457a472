"""A table names no file outside of its folder, whatever it says and however it says it."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.files import storage
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.inputs.image_roots import ImageRoots
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.match.view import match_table
from tests.pipelines.helpers import match, read_pairs, write_metadata
from tests.pipelines.image_server import photo


@pytest.fixture
def world(tmp_path):
    """A folder of photos with a table, and one photo of the user's beside it."""
    write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    (tmp_path / "in").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/private.jpg").write_bytes(photo(99))
    (tmp_path / "in/1.jpg").write_bytes(photo(1))
    (tmp_path / "in/link.jpg").symlink_to(tmp_path / "home/private.jpg")
    (tmp_path / "in/folder").symlink_to(tmp_path / "home")
    return tmp_path


def write_table(folder, names, **columns):
    table = {"file_name": names, "text": [f"a dog, {i}" for i in range(len(names))], **columns}
    pq.write_table(pa.table(table), folder / "in/a.parquet")
    return folder / "in/a.parquet"


def balanced(folder, **options):
    return balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), quiet=True,
        overwrite=True, options=BalanceOptions(t=1000, output_format="shards", **options),
    )  # fmt: skip


def shards(folder):
    return b"".join(path.read_bytes() for path in (folder / "balanced/shards").glob("*.tar"))


def outside(folder):
    private = folder / "home/private.jpg"
    return [str(private), "../home/private.jpg", f"file://{private}", f"local://{private}",
            "link.jpg", "folder/private.jpg", "./folder/../../home/private.jpg",
            "1.jpg::/etc/hostname", f"simplecache::file://{private}",
            "http://127.0.0.1:9/a.jpg", "s3://bucket/a.jpg"]  # fmt: skip


def test_files_outside_of_the_table_s_folder_are_left_out_and_counted(world):
    names = ["1.jpg", str(world / "in/1.jpg"), *outside(world), "none.jpg", None]
    path = write_table(world, names)
    summary = match([path], world / "metadata", world / "matched", max_bad=0.0)
    assert summary["dropped"] == {"image_outside": 8, "missing_image": 4}
    assert summary["read"] == summary["matched"] + 12
    rejected = pq.read_table(world / "matched/rejected").to_pylist()
    assert [r["row"] for r in rejected] == list(range(2, 14))
    assert "--image-root" in rejected[0]["detail"]
    assert "name others with --image-root" in match_table(summary, "data/matched")
    card = balanced(world)
    assert card["total"]["dropped"]["image_outside"] == 8
    assert "image\\_outside" in (world / "balanced/datacard.md").read_text()
    assert photo(99) not in shards(world) and shards(world).count(photo(1)) == 2


def test_a_folder_that_the_user_names_is_read_too(world):
    path = write_table(world, ["1.jpg", *outside(world)])
    roots = (str(world / "home"),)
    summary = match([path], world / "metadata", world / "matched", image_roots=roots)
    assert summary["dropped"] == {"image_outside": 2, "missing_image": 3}
    balanced(world)
    assert shards(world).count(photo(99)) == 6
    assert storage.read_json(str(world / "matched/plan.json"))["parameters"]["image_roots"] == [
        str(world / "home")
    ]


def test_columns_named_as_ours_are_the_input_s_own_and_are_not_believed(world):
    private = str(world / "home/private.jpg")
    size = len(photo(99))
    columns = {"image_file": [private] * 2, "image_offset": [0] * 2, "image_size": [size] * 2,
               "image_ext": ["jpg"] * 2}  # fmt: skip
    path = write_table(world, ["1.jpg", None], **columns)
    match([path], world / "metadata", world / "matched")
    pairs = read_pairs(world / "matched")
    assert pairs.column("input_image_file").to_pylist() == [private] * 2
    assert pairs.column("input_image_size").to_pylist() == [size] * 2
    assert pairs.column("image_file").to_pylist() == [str(world / "in/1.jpg"), None]
    balanced(world)
    assert photo(99) not in shards(world) and photo(1) in shards(world)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_no_reader_believes_them_without_images_of_the_input_either(world, name):
    private = world / "home/private.jpg"
    values = {"text": "a dog", "image_file": str(private), "image_offset": 0,
              "image_size": len(photo(99))}  # fmt: skip
    path = world / "in" / name
    if name == "a.csv":
        path.write_text(",".join(values) + "\n" + ",".join(map(str, values.values())) + "\n")
    elif name == "a.jsonl":
        import json

        path.write_text(json.dumps(values) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([values]), path)
    assert match([path], world / "metadata", world / "matched")["matched"] == 1
    assert "image_file" not in read_pairs(world / "matched").column_names
    balanced(world)
    assert photo(99) not in shards(world)


def test_matches_that_point_elsewhere_are_an_error_of_balance(world):
    path = write_table(world, ["1.jpg"])
    match([path], world / "metadata", world / "matched")
    (world / "in/1.jpg").unlink()
    os.symlink(world / "home/private.jpg", world / "in/1.jpg")
    with pytest.raises(InputError, match="not where its input is"):
        balanced(world)
    assert photo(99) not in shards(world)


@pytest.mark.parametrize(
    ("root", "name", "wanted"),
    [
        ("s3://b/in", "s3://b/in/a.jpg", "s3://b/in/a.jpg"),
        ("s3://b/in", "s3://b/in/../a.jpg", None),
        ("https://h/in", "https://h/in/%2e%2E/a.jpg", None),
        ("https://h/in", "https://h/in/..%2fa.jpg", None),
        ("https://h/in", "https://h/in/..%5Ca.jpg", None),
        ("https://h/in", "https://h/inner/a.jpg", None),
        ("https://h/in", "https://h.example/in/a.jpg", None),
        ("https://h/in", "http://h/in/a.jpg", None),
        ("https://h/in", "https://h/in/a::b.jpg", None),
        ("https://h/in", "/in/a.jpg", None),
        ("/in", "https://h/in/a.jpg", None),
        ("https://me:pw@h/in?sig=s", "https://h/in/a.jpg", "https://me:pw@h/in/a.jpg?sig=s"),
    ],
)
def test_remote_files_lie_below_the_address_of_a_root(root, name, wanted):
    assert ImageRoots([root]).address(name) == wanted


def test_the_column_that_names_files_is_told(world, capfd):
    match_inputs([str(write_table(world, ["1.jpg"]))], metadata=str(world / "metadata"),
                 output=str(world / "matched"), options=MatchOptions(lang="en"))  # fmt: skip
    assert "images from 'file_name'" in capfd.readouterr().err


def test_a_column_of_files_beside_urls_is_told_to_be_left_alone(world, capfd):
    path = write_table(world, ["1.jpg"])
    table = pq.read_table(path).append_column("url", pa.array(["https://example.org/1.jpg"]))
    pq.write_table(table, path)
    match_inputs([str(path)], metadata=str(world / "metadata"), output=str(world / "matched"),
                 options=MatchOptions(lang="en"))  # fmt: skip
    said = "URLs from 'url', no files from 'file_name', since images are at URLs"
    assert said in capfd.readouterr().err
