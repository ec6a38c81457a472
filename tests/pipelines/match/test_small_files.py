"""Many small files and row groups: matched together, with the result of one file."""

import pyarrow as pa
import pyarrow.parquet as pq

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
    assert again == together(parts) and again[0].only(["3", "5"]).name() == "3 and 1 more files"


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
