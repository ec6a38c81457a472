"""Text files as people have them: types that change, other delimiters and encodings, damage."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.pipelines.inputs.formats import json_lines
from curate.pipelines.inputs.readers import input_schema, plan_parts, read_part
from curate.pipelines.inputs.records import ColumnNames, to_records
from curate.pipelines.inputs.rows import Rows, Unreadable


def read(path):
    """All columns of a file as one table, usable texts, and the reasons of what is lost."""
    batches, texts, reasons = [], [], []
    for part in plan_parts(str(path), ""):
        for item in read_part(part):
            if isinstance(item, Unreadable):
                reasons.append((item.row, item.reason))
                continue
            batches.append(item.batch)
            records, rejects = to_records(item, ColumnNames(), str(path))
            texts += records.texts.to_pylist()
            reasons += [(r.row, r.reason) for r in rejects]
    return pa.Table.from_batches(batches) if batches else None, texts, reasons


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=[2, 1 << 15], ids=["many blocks", "one block"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(json_lines, "BATCH_ROWS", request.param)


BIG = (1 << 53) + 1
TYPES = [
    ("fractions after whole numbers", [1, 2, 0.75], pa.float64(), [1.0, 2.0, 0.75]),
    ("a number that no fraction is", [BIG, 2, 0.5], pa.string(), [str(BIG), "2", "0.5"]),
    ("a struct that grows", [{"w": 1}, {"w": 2}, {"w": 3, "h": 2}],
     pa.struct({"w": pa.int64(), "h": pa.int64()}),
     [{"w": 1, "h": None}, {"w": 2, "h": None}, {"w": 3, "h": 2}]),
    ("nulls first", [None, None, 5], pa.int64(), [None, None, 5]),
    ("an empty list first", [[], [], [1]], pa.list_(pa.int64()), [[], [], [1]]),
    ("no common type", [5, "x", [1]], pa.string(), ["5", "x", "[1]"]),
    ("strings and one number", ["x", "y", 5], pa.string(), ["x", "y", "5"]),
    ("objects of nothing", [{}, {}, {}], pa.string(), ["{}"] * 3),
    ("larger than any integer", [1, 2, 1 << 70], pa.string(), ["1", "2", str(1 << 70)]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "expected"), [c[1:] for c in TYPES],
                         ids=[c[0] for c in TYPES])  # fmt: skip
def test_values_of_an_unused_column_are_kept_and_cost_no_row(
    values, kind, expected, tmp_path, blocks
):
    rows = [{"text": f"a dog {i}", "other": value} for i, value in enumerate(values)]
    table, texts, reasons = read(lines(tmp_path / "a.jsonl", rows))
    assert texts == ["a dog 0", "a dog 1", "a dog 2"] and reasons == []
    assert table.schema.field("other").type == kind
    assert table.column("other").to_pylist() == expected


def test_a_column_may_turn_up_late(tmp_path, blocks):
    rows = [{"text": "a"}, {"text": "b"}, {"text": "c", "late": 5}]
    table, texts, reasons = read(lines(tmp_path / "a.jsonl", rows))
    assert table.column("late").to_pylist() == [None, None, 5] and (len(texts), reasons) == (3, [])


@pytest.mark.parametrize("place", [0, 5])
def test_a_number_among_captions_costs_its_row(place, tmp_path, blocks):
    rows = [{"caption": "a dog"}] * 9
    rows.insert(place, {"caption": 7})
    _, texts, reasons = read(lines(tmp_path / "a.jsonl", rows))
    assert (len(texts), reasons) == (9, [(place, "wrong_type")])


def test_bad_lines_keep_their_places(tmp_path, blocks):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"text": "a"}\n\n{"text": \n[1]\n{"text": "\\ud800"}\n{"\\ud800": 1, "text": "x"}\n'
        b'{"text": "\xff"}\n' + b"[" * 5000 + b'\n{"text": "b"}\n'
    )
    _, texts, reasons = read(path)
    assert texts == ["a", "b"]
    named = {2: "bad_json", 3: "bad_json", 4: "invalid_utf8", 5: "invalid_utf8",
             6: "invalid_utf8", 7: "bad_json"}  # fmt: skip
    assert dict(reasons) == named and len(reasons) == len(named)


def test_a_file_of_ever_new_columns_is_refused(tmp_path):
    rows = [{"text": "a", f"k{i}": 1} for i in range(2500)]
    assert read(lines(tmp_path / "a.jsonl", rows))[2] == [(0, "unreadable_file")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_text_files_of_any_encoding_are_read(encoding, kind, tmp_path):
    path = tmp_path / f"a.{kind}"
    table = "text,n\ncafé,1\nhund,007\n"
    objects = '{"text": "café", "n": "1"}\n{"text": "hund", "n": "007"}\n'
    content = {"csv": table, "tsv": table.replace(",", "\t"), "jsonl": objects}[kind]
    path.write_bytes(content.encode(encoding))
    table, texts, reasons = read(path)
    assert (texts, reasons) == (["café", "hund"], [])
    assert table.column("n").to_pylist() == ["1", "007"]
    assert input_schema(str(path)).names == ["text", "n"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_the_first_line_tells_the_delimiter(delimiter, kind, tmp_path):
    path = tmp_path / f"a.{kind}"
    path.write_text(f"url{delimiter}text\nhttp://x{delimiter}a dog\n")
    assert read(path)[1:] == (["a dog"], [])


def test_names_in_quotes_may_hold_delimiters(tmp_path):
    (tmp_path / "a.csv").write_text('"size, in cm",text\n007,"a dog, a cat"\n')
    table, texts, _ = read(tmp_path / "a.csv")
    assert table.column("size, in cm").to_pylist() == ["007"] and texts == ["a dog, a cat"]


def test_a_row_with_a_bad_byte_and_too_many_values_costs_itself(tmp_path):
    rows = [b"url,text\n", *(b"u,a dog\n" for _ in range(5)), b"u,b\xff,c\n", b"u,\xff\n",
            b"u,caf\xc3\xa9\n"]  # fmt: skip
    (tmp_path / "a.csv").write_bytes(b"".join(rows))
    _, texts, reasons = read(tmp_path / "a.csv")
    assert texts == ["a dog"] * 5 + ["café"]
    assert sorted(r for _, r in reasons) == ["bad_csv_row", "invalid_utf8"]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress),
                                              ("xz", lzma.compress)])  # fmt: skip
def test_damaged_compression_is_one_lost_file(suffix, pack, tmp_path):
    content = bytearray(
        pack("".join(f'{{"text": "dog {i * 7919}"}}\n' for i in range(9000)).encode())
    )
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    path = tmp_path / f"a.jsonl.{suffix}"
    path.write_bytes(content)
    _, _, reasons = read(path)
    assert [reason for _, reason in reasons].count("unreadable_file") == 1


def test_folders_that_name_columns_give_them(tmp_path):
    folder = tmp_path / "lang=da" / "source=a%2Fb"
    folder.mkdir(parents=True)
    path = lines(folder / "a.jsonl", [{"text": "en hund", "source": "own"}])
    table, _, _ = read(path)
    assert table.column("lang").to_pylist() == ["da"]
    assert table.column("source").to_pylist() == ["own"]
    assert "lang" in input_schema(str(path)).names


def test_no_rows_of_a_problem_are_lost(tmp_path):
    rows = [Rows(0, pa.record_batch({"text": ["a", "b"]}), misfits={"text": (1,)})]
    records, rejects = to_records(rows[0], ColumnNames(), "x")
    assert (len(records.texts), [r.reason for r in rejects]) == (1, ["wrong_type"])
    with pytest.raises(InputError, match="no text column"):
        to_records(Rows(0, pa.record_batch({"x": ["a"]})), ColumnNames(), "x")
