"""Folders as other tools leave them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.files.patterns import expand
from curate.pipelines.inputs.own_outputs import input_files
from curate.pipelines.inputs.readers import read_part
from curate.pipelines.inputs.rows import Part, Rows, Unreadable
from curate.pipelines.store.pools import concat_pool, disagreeing_columns
from tests.training.shard_files import sample, write_tar


def files(tmp_path, *patterns):
    found = input_files([str(tmp_path / p) for p in patterns], str(tmp_path / "w/matched"),
                        str(tmp_path / "w/metadata"), quiet=False)  # fmt: skip
    return [path.removeprefix(f"{tmp_path}/") for path in found]


def touch(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")


def test_what_is_no_data_is_passed_over_in_folders_and_behind_patterns(tmp_path, capsys):
    touch(tmp_path, "a/README.md", "a/.gitattributes", "a/data/x.parquet", "a/data/.x.parquet.crc",
          "a/._y.parquet", "a/.ipynb_checkpoints/z.csv", "a/__MACOSX/q.csv", "a/_SUCCESS",
          "a/_day=1/p.parquet")  # fmt: skip
    assert files(tmp_path, "a") == ["a/_day=1/p.parquet", "a/data/x.parquet"]
    assert "README.md" in capsys.readouterr().err
    assert files(tmp_path, "a/data/*") == ["a/data/x.parquet"]
    with pytest.raises(InputError, match="nothing but names"):
        files(tmp_path, "a/**/*.csv")
    assert expand([str(tmp_path / "a/._y.parquet")])  # named in full, it is taken


def test_a_folder_of_nothing_but_other_files_is_refused(tmp_path):
    touch(tmp_path, "a/README.md", "a/b.json")
    with pytest.raises(InputError, match="cannot tell what kind of file"):
        files(tmp_path, "a")


def test_tables_beside_tars_are_not_inputs_again(tmp_path, capsys):
    touch(tmp_path, "out/00000.tar", "out/00000.parquet", "out/00000_stats.json", "out/00000.idx",
          "out/more.parquet")  # fmt: skip
    expected = ["out/00000.tar", "out/more.parquet"]
    assert files(tmp_path, "out") == expected
    assert "00000.parquet" in capsys.readouterr().err
    assert files(tmp_path, "out/*.tar", "out/*.parquet") == expected
    assert files(tmp_path, "out/00000.parquet") == ["out/00000.parquet"]


def test_a_shard_that_is_missing_is_named(tmp_path):
    touch(tmp_path, "out/00000.tar")
    (tmp_path / "out/00001.idx").write_text("v1.2 7\n")
    with pytest.raises(InputError, match=r"00001\.tar is missing.*promises 7 samples"):
        files(tmp_path, "out")
    assert files(tmp_path, "out/*.tar") == ["out/00000.tar"]


def read_tar(path):
    rows, reasons = [], []
    for item in read_part(Part(path=path, sha256="", kind="tar")):
        if isinstance(item, Rows):
            rows += item.batch.to_pylist()
            reasons += [(problem.reason, problem.detail) for problem in item.problems.values()]
        else:
            assert isinstance(item, Unreadable)
            reasons.append((item.reason, item.num_rows))
    return rows, reasons


def test_a_sample_has_its_whole_key_and_its_caption_from_wherever(tmp_path):
    path = write_tar(tmp_path / "a.tar", [
        ("cats/0", {"jpg": b"J", "txt": b"one"}),
        ("dogs/0", {"input.png": b"P", "outputs.txt": b"two"}),
        ("0", {"json": json.dumps({"TEXT": "three"}).encode(), "txt": b""}),
        ("1", {"json": json.dumps({"text": 5, "alt": "four"}).encode()}),
        ("2", {"cls": b"7"}),
    ])  # fmt: skip
    rows, reasons = read_tar(path)
    assert [(r["uid"], r["text"], r["image_ext"]) for r in rows] == [
        ("cats/0", b"one", "jpg"), ("dogs/0", b"two", "png"), ("0", b"three", None),
        ("1", b"four", None), ("2", None, None),
    ]  # fmt: skip
    ((reason, detail),) = reasons
    assert reason == "null_text" and "'2' has the suffixes .cls" in detail


def test_points_in_keys_are_named(tmp_path):
    samples = [(f"IMG_2021.05.{i:02d}", {"jpg": b"J", "txt": b"x"}) for i in range(6)]
    _, reasons = read_tar(write_tar(tmp_path / "a.tar", samples))
    ((reason, detail),) = reasons
    assert reason == "unclear_sample" and "IMG_2021" in detail and ".05.00.jpg" in detail


def test_promised_samples_that_are_not_there_are_counted(tmp_path):
    path = write_tar(tmp_path / "a.tar", [sample(str(i)) for i in range(6)])
    (tmp_path / "a.idx").write_text("v1.2 9\n")
    assert read_tar(path)[1] == [("missing_sample", 3)]
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 1536 * 7])
    rows, reasons = read_tar(path)
    assert len(rows) + reasons[0][1] == 9 and reasons[0][0] == "unreadable_file"


def test_a_parquet_file_with_a_name_that_is_no_utf8_is_a_lost_file(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "zzzz": [1]}), path)
    path.write_bytes(path.read_bytes().replace(b"zzzz", b"\xff\xffzz"))
    found = list(read_part(Part(path=str(path), sha256="", kind="parquet")))
    assert [(item.reason, item.is_file) for item in found] == [("unreadable_file", True)]


def test_tables_of_a_pool_become_one_whatever_their_types():
    tables = [
        pa.table({"a": [1], "b": ["x"], "c": [[1]]}),
        pa.table({"a": ["y"], "b": pa.array(["z"], pa.large_string()), "c": ["w"]}),
        pa.table({"b": pa.array([None], pa.string())}),
    ]
    assert disagreeing_columns(t.schema for t in tables) == {"a", "c"}
    assert concat_pool(tables).to_pylist() == [
        {"a": "1", "b": "x", "c": "[1]"}, {"a": "y", "b": "z", "c": "w"},
        {"a": None, "b": None, "c": None},
    ]  # fmt: skip
