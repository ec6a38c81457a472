"""Many small files and row groups: matched together, with the result of one file."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import CurateError
from curate.pipelines.inputs.readers import plan_parts, read_part
from curate.pipelines.inputs.rows import Part, Unreadable, together
from tests.pipelines.helpers import match, read_pairs, write_metadata


def table(first, num):
    return pa.table({
        "url": [f"http://x/{i}.jpg" for i in range(first, first + num)],
        "text": ["a red dog" if i % 3 else "nothing" for i in range(first, first + num)],
    })  # fmt: skip


def test_small_row_groups_come_in_one_batch(tmp_path):
    path = str(tmp_path / "a.parquet")
    pq.write_table(table(0, 2000), path, row_group_size=4)
    (part,) = plan_parts(path, "")
    (rows,) = read_part(part)
    assert rows.batch.num_rows == 2000 and rows.batch.equals(table(0, 2000).to_batches()[0])


def test_a_bad_row_group_among_small_ones_costs_its_own_rows(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(0, 40), path, row_group_size=4)
    meta = pq.ParquetFile(path).metadata.row_group(3).column(1)
    content = bytearray(path.read_bytes())
    at = meta.dictionary_page_offset or meta.data_page_offset
    content[at : at + meta.total_compressed_size] = b"\xff" * meta.total_compressed_size
    path.write_bytes(content)
    (part,) = plan_parts(str(path), "")
    found = list(read_part(part))
    bad = [item for item in found if isinstance(item, Unreadable)]
    assert [(b.row, b.num_rows, b.reason) for b in bad] == [(12, 4, "unreadable_rows")]
    assert sum(item.batch.num_rows for item in found if item not in bad) == 36


def test_files_that_are_not_alike_are_parts_of_their_own():
    parts = [Part(path=str(i), sha256="", kind="parquet", num_rows=9) for i in range(40)]
    columns = {str(i): "a" if i < 20 else "b" for i in range(40)}
    assert [len(p.pieces()) for p in together(parts, columns)] == [20, 20]
    big = Part(path="x", sha256="", kind="parquet", num_rows=9000)
    assert [len(p.pieces()) for p in together([*parts[:20], big, *parts[20:]])] == [20, 1, 20]
    again = [Part.from_dict(p.as_dict()) for p in together(parts)]
    assert again == together(parts) and again[0].only(["3", "5"]).name() == "3 and 1 more file"


def test_many_small_files_give_the_pairs_of_one(tmp_path):
    english = write_metadata(tmp_path / "metadata", {"en": ["dog", "red dog"]})
    (tmp_path / "many").mkdir()
    for i in range(30):
        pq.write_table(table(10 * i, 10), tmp_path / "many" / f"{i:03d}.parquet")
    pq.write_table(table(0, 300), tmp_path / "one.parquet")
    many = match([tmp_path / "many"], english, tmp_path / "m")
    one = match([tmp_path / "one.parquet"], english, tmp_path / "o")
    assert (many["parts"], one["parts"], many["inputs"]) == (1, 1, 30)
    assert (many["read"], many["matched"]) == (one["read"], one["matched"]) == (300, 200)
    assert read_pairs(tmp_path / "m").equals(read_pairs(tmp_path / "o"))


def test_each_small_file_that_is_lost_is_one_of_them(tmp_path):
    english = write_metadata(tmp_path / "metadata", {"en": ["dog", "red dog"]})
    (tmp_path / "many").mkdir()
    for i in range(20):
        pq.write_table(table(10 * i, 10), tmp_path / "many" / f"{i:03d}.parquet")
    for i in (3, 4, 11):
        path = tmp_path / "many" / f"{i:03d}.parquet"
        whole = path.read_bytes()
        path.write_bytes(b"XXXX" + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4 :])
    with pytest.raises(CurateError, match="3 of 20 files cannot be read whole"):
        match([tmp_path / "many"], english, tmp_path / "m", max_bad=0.14)


def test_an_overwrite_of_copies_goes_on_where_it_was(tmp_path, monkeypatch):
    english = write_metadata(tmp_path / "metadata", {"en": ["dog", "red dog"]})
    for name in ("a", "b"):
        pq.write_table(table(0, 30), tmp_path / f"{name}.parquet")
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    match(files, english, tmp_path / "m")
    monkeypatch.setattr("curate.pipelines.match.stage.finish_matched", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        match(files, english, tmp_path / "m", overwrite=True)
    monkeypatch.undo()
    made = (tmp_path / "m/.next/pairs/00000.parquet").stat().st_mtime_ns
    match(files, english, tmp_path / "m", overwrite=True)
    assert (tmp_path / "m/pairs/00000.parquet").stat().st_mtime_ns == made
