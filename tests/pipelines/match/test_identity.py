"""A pair's id names one pair: whatever its type, wherever its file is, however rows are cut."""

import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.curation.hashing.ids import short_hash
from curate.errors import InputError
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.match.view import match_table
from tests.pipelines.helpers import WORDS, match, png, read_pairs, write_metadata, write_pairs
from tests.pipelines.tar_helpers import write_tar

UUIDS = [uuid.UUID(int=(i + 1) << 90) for i in range(3)]
TEXTS = ["a red dog", "a blue dog", "a cat"]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    return write_metadata(tmp_path_factory.mktemp("identity") / "m", {"en": WORDS})


def ids_of(folder):
    return read_pairs(folder).column("pair_id").to_pylist()


@pytest.mark.parametrize(
    ("name", "column", "wanted"),
    [
        ("uuid", pa.ExtensionArray.from_storage(
            pa.uuid(), pa.array([u.bytes for u in UUIDS], pa.binary(16))
        ), [str(u) for u in UUIDS]),
        ("uuid", pa.array([u.bytes for u in UUIDS], pa.binary(16)), [str(u) for u in UUIDS]),
        ("id", pa.array([u.bytes for u in UUIDS], pa.binary(16)), [u.bytes.hex() for u in UUIDS]),
        ("id", pa.array([b"\xff\x00", b"\x01", b"a1"]), ["ff00", "01", "a1"]),
        ("key", pa.array([1581282014547.0, 2.0, 2.5]), ["1581282014547", "2", "2.5"]),
        ("uid", pa.array([1e20, 3.0, -4.0], pa.float32()),
         ["100000002004087734272", "3", "-4"]),
        ("uid", pa.array(["x", "y", "z"]).dictionary_encode(), ["x", "y", "z"]),
    ],
    ids=["uuid", "16 bytes named uuid", "fixed bytes", "bytes", "doubles", "floats", "dictionary"],
)  # fmt: skip
@pytest.mark.parametrize("with_schema", [True, False])
def test_ids_of_any_type_are_written_as_usual(
    tmp_path, metadata, name, column, wanted, with_schema
):
    urls = [f"https://example.org/{i}.jpg" for i in range(3)]
    table = pa.table({name: column, "url": urls, "text": TEXTS})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=with_schema)
    assert match([tmp_path / "a.parquet"], metadata, tmp_path / "out")["matched"] == 3
    assert ids_of(tmp_path / "out") == wanted


def test_an_id_that_is_no_number_or_empty_gives_way_to_the_hash(tmp_path, metadata):
    a = write_pairs(tmp_path / "a.parquet", TEXTS, uid=[7.0, float("nan"), None])
    match([a], metadata, tmp_path / "out")
    hashes = [short_hash(f"https://example.org/{i}.jpg\t{TEXTS[i]}") for i in (1, 2)]
    assert ids_of(tmp_path / "out") == ["7", *hashes]


def test_a_tar_s_id_is_the_whole_key_or_what_the_json_says(tmp_path, metadata):
    image = png((1, 2, 3))
    members = {}
    abouts = {"cats/0000": {}, "dogs/0000": {}, "./0000": {}, "a": {"uid": 17},
              "b": {"uid": 18.0}, "c": {"uid": "x"}, "d": {"uid": None}}  # fmt: skip
    for key, about in abouts.items():
        members |= {f"{key}.png": image, f"{key}.txt": f"a dog {key}", f"{key}.json": about}
    match([write_tar(tmp_path / "a.tar", members)], metadata, tmp_path / "out")
    assert ids_of(tmp_path / "out") == ["cats/0000", "dogs/0000", "0000", "17", "18", "x", "d"]


def shard(path, word, keys):
    members = {}
    for key in keys:
        members |= {f"{key}.png": png((9, 9, 9)), f"{key}.txt": f"a dog {word}{key}"}
    return write_tar(path, members)


def test_keys_that_repeat_between_tars_get_the_tar_s_name_in_any_order(tmp_path, metadata):
    tars = [
        shard(tmp_path / "s-0.tar", "x", ["000", "001"]),
        shard(tmp_path / "s-1.tar", "y", ["001", "002"]),
        shard(tmp_path / "s-2.tar", "z", ["003"]),
        shard(tmp_path / "more/s-0.tar", "v", ["002"]),
    ]
    summary = match(tars, metadata, tmp_path / "out")
    found = ids_of(tmp_path / "out")
    names = {i.rpartition("/")[0] for i in found}
    assert len(set(found)) == 6 and {"s-1/001", "s-1/002", "003"} < set(found)
    assert (
        sorted(n.partition("-")[0] + n[1:4] for n in names if n.startswith("s-0")) == ["s-0-"] * 2
    )
    assert "repeated_ids" not in summary
    match(tars[::-1], metadata, tmp_path / "back")
    assert sorted(ids_of(tmp_path / "back")) == sorted(found)
    for stop in range(1, 5):
        match(tars[:stop], metadata, tmp_path / "grown")
    assert sorted(ids_of(tmp_path / "grown")) == sorted(found)
    assert not (tmp_path / "out/keys").exists()


def test_a_key_that_repeats_inside_one_tar_alone_does_not_name_it(tmp_path, metadata):
    one = shard(tmp_path / "one.tar", "x", ["000"])
    with one.open("r+b") as file:  # the same key again, behind another one
        other = shard(tmp_path / "b.tar", "x", ["001"]).read_bytes()
        third = shard(tmp_path / "c.tar", "y", ["000"]).read_bytes()
        first = file.read()
        file.seek(0)
        end = first.rstrip(b"\0")
        size = -(-len(end) // 512) * 512
        cut = [data[: -(-len(data.rstrip(b"\0")) // 512) * 512] for data in (other, third)]
        file.write(first[:size] + b"".join(cut) + bytes(10240))
    two = shard(tmp_path / "two.tar", "z", ["005"])
    with pytest.raises(InputError, match="1 pairs have an id that a pair before them has"):
        match([one, two], metadata, tmp_path / "out")
    summary = match([one, two], metadata, tmp_path / "out", repeated_ids="keep")
    assert summary["repeated_ids"] == {"copies": 0, "others": 1}
    assert sorted(ids_of(tmp_path / "out")) == ["000", "000", "001", "005"]


def tables():
    """The same rows as different writers write them."""
    photo = png((1, 2, 3))
    rows = {"text": [*TEXTS, "a dog"], "score": [1.0, 2.5, None, 4.0], "n": [1, 2, 3, 4],
            "image": [photo, photo[:-1], None, photo],
            "when": pa.array([0, 1, 2, 3], pa.timestamp("ms")),
            "tags": [["a"], [], None, ["b", "c"]]}  # fmt: skip
    first = pa.table(rows)
    yield first
    yield first.select(["tags", "image", "n", "when", "text", "score"]).append_column(
        "__index_level_0__", pa.array([5, 6, 7, 8])
    )
    yield first.append_column("extra", pa.nulls(4, pa.string())).append_column(
        "lang_score", pa.array([0.5] * 4)
    )
    lists = [None if v is None else list(v) for v in rows["image"]]
    structs = pa.array([{"bytes": v, "path": None} for v in rows["image"]])
    for image in (pa.array(lists, pa.list_(pa.uint8())), structs):
        table = first.set_column(3, "image", image)
        table = table.set_column(2, "n", table.column("n").cast(pa.int32()))
        table = table.set_column(4, "when", table.column("when").cast(pa.timestamp("us")))
        yield table.set_column(0, "text", table.column("text").cast(pa.large_string()))


def test_without_a_url_the_id_is_that_of_the_row_whoever_wrote_it(tmp_path, metadata):
    found = []
    for number, table in enumerate(tables()):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(table, path, row_group_size=1 + number)
        summary = match([path], metadata, tmp_path / f"{number}")
        assert (summary["without_url"], summary["matched"]) == (4, 4)
        found.append(ids_of(tmp_path / f"{number}"))
    assert len(set(found[0])) == 4 and found == [found[0]] * 5


def test_the_hash_without_a_url_is_the_one_that_is_stated(tmp_path, metadata):
    table = pa.table({"text": ["a dog", "a cat"], "width": [320.0, None], "alt": ["x", ""]})
    pq.write_table(table, tmp_path / "a.parquet")
    match([tmp_path / "a.parquet"], metadata, tmp_path / "out")
    described = f"a dog\talt\t{short_hash('x')}\twidth\t{short_hash('320')}"
    assert ids_of(tmp_path / "out") == [short_hash(described), short_hash("a cat")]


def test_resharding_and_moving_change_no_id(tmp_path, metadata):
    table = pa.table({"text": [f"a dog {chr(97 + i)}" for i in range(9)], "n": range(9)})
    pq.write_table(table, tmp_path / "whole.parquet")
    (tmp_path / "cut").mkdir()
    for i in range(3):
        pq.write_table(table.slice(3 * i, 3), tmp_path / f"cut/{i}.parquet")
    match([tmp_path / "whole.parquet"], metadata, tmp_path / "a")
    match([tmp_path / f"cut/{i}.parquet" for i in (2, 0, 1)], metadata, tmp_path / "b")
    assert sorted(ids_of(tmp_path / "a")) == sorted(ids_of(tmp_path / "b"))


def test_a_mixed_column_of_urls_gives_each_pair_its_id(tmp_path, metadata):
    table = pa.table({"url": ["https://e.org/a.jpg", None, ""], "text": TEXTS})
    pq.write_table(table, tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], metadata, tmp_path / "out")
    assert summary["without_url"] == 2
    wanted = [short_hash(f"https://e.org/a.jpg\t{TEXTS[0]}"), *map(short_hash, TEXTS[1:])]
    assert ids_of(tmp_path / "out") == wanted
    assert "pairs without a URL, which `download` leaves out: 2" in match_table(summary, "out")


@pytest.mark.parametrize("uids", [[0, 1, 2], ["same"] * 3], ids=["row numbers", "a constant"])
def test_ids_of_other_pairs_are_refused_unless_told_otherwise(tmp_path, metadata, uids):
    files = [write_pairs(tmp_path / f"{i}.parquet", TEXTS, first=3 * i, id=uids) for i in range(2)]
    with pytest.raises(InputError, match=r"(3|5) pairs have an id .*--repeated-ids keep"):
        match(files, metadata, tmp_path / "out")
    num = 6 - len(set(uids))
    summary = match(files, metadata, tmp_path / "out", repeated_ids="keep")
    assert summary["repeated_ids"] == {"copies": 0, "others": num}
    assert f"other pairs with the id of a pair before: {num}" in match_table(summary, "out")
    columns = ColumnNames(uid="")
    hashed = match(files, metadata, tmp_path / "hashed", columns=columns)
    assert "repeated_ids" not in hashed and len(set(ids_of(tmp_path / "hashed"))) == 6


@pytest.mark.parametrize("uids", [None, ["u", "v", "w"]], ids=["hashes", "uids"])
def test_pairs_that_come_again_are_told_as_copies(tmp_path, metadata, uids):
    columns = {} if uids is None else {"uid": uids}
    a = write_pairs(tmp_path / "a.parquet", TEXTS, **columns)
    pq.write_table(pq.read_table(a).slice(1), tmp_path / "b.parquet")  # by another writer
    summary = match([a, tmp_path / "b.parquet"], metadata, tmp_path / "out")
    assert summary["repeated_ids"] == {"copies": 2, "others": 0}
    assert "copies, with the id, URL and text of a pair before: 2" in match_table(summary, "out")


def test_the_same_file_elsewhere_is_the_same_file(tmp_path, metadata, capfd):
    a = write_pairs(tmp_path / "a.parquet", TEXTS)
    (tmp_path / "elsewhere").mkdir()
    moved = a.rename(tmp_path / "elsewhere/b.parquet")
    a.write_bytes(moved.read_bytes())
    assert match([a], metadata, tmp_path / "out")["read"] == 3
    plan = (tmp_path / "out/pairs/00000.parquet").read_bytes()
    a.unlink()
    again = match([moved], metadata, tmp_path / "out")
    assert (again["read"], again["inputs_added"]) == (3, 0)
    assert (tmp_path / "out/pairs/00000.parquet").read_bytes() == plan
    inputs = json.loads((tmp_path / "out/plan.json").read_text())["inputs"]
    assert [c["path"] for c in inputs[0]["copies"]] == [str(moved)]


def test_the_same_bytes_where_the_folder_says_more_are_other_pairs(tmp_path, metadata):
    for name in ("x=1", "x=2", "one", "two"):
        (tmp_path / name).mkdir()
    table = "file_name,text\n0.png,a dog\n"
    for number, name in enumerate(("one", "two")):
        (tmp_path / name / "0.png").write_bytes(png((number, 0, 0)) + bytes(number))
        (tmp_path / name / "t.csv").write_text(table)
    paths = [tmp_path / name / "t.csv" for name in ("one", "two")]
    assert match(paths, metadata, tmp_path / "images")["read"] == 2
    assert len(set(ids_of(tmp_path / "images"))) == 2
    for name in ("x=1", "x=2"):
        write_pairs(tmp_path / name / "a.parquet", ["a dog"])
    paths = [tmp_path / name / "a.parquet" for name in ("x=1", "x=2")]
    assert match(paths, metadata, tmp_path / "hive")["read"] == 2


def test_images_of_another_size_are_no_copies(tmp_path, metadata):
    for kind in (pa.binary(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])):
        files = []
        for number, size in enumerate((9, 9, 10)):
            image = b"x" * size if kind == pa.binary() else {"bytes": b"x" * size, "path": None}
            table = {"id": ["a"], "text": TEXTS[:1], "image": pa.array([image], kind)}
            files.append(tmp_path / f"{number}.parquet")
            pq.write_table(pa.table(table).replace_schema_metadata({"n": str(number)}), files[-1])
        summary = match(files, metadata, tmp_path / str(kind)[:3], repeated_ids="keep")
        assert summary["repeated_ids"] == {"copies": 1, "others": 1}
