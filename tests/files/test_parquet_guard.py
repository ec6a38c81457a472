"""Files that end the process that reads them cost one file; the stand-ins here are harmless."""

import os
import time

import pyarrow as pa
import pyarrow.parquet as pq

from curate.files.parquet.footer import read_footer
from curate.files.parquet.guard import contradiction, why_it_dies
from curate.pipelines.inputs.formats import parquet
from curate.pipelines.inputs.readers import plan_parts, read_part
from curate.pipelines.inputs.rows import Rows

HERE = "tests.files.test_parquet_guard"


def ends_the_process(path):
    os.abort()


def never_ends(path):
    time.sleep(60)


def raises(path):
    raise ValueError(path)


def write(path, **options):
    table = pa.table({"text": [f"a dog {i}" for i in range(90)], "tags": [["a", "b"]] * 90})
    pq.write_table(table, path, **options)
    return str(path)


def test_a_child_that_ends_badly_is_told(tmp_path):
    path = write(tmp_path / "a.parquet")
    assert why_it_dies(path) is None
    assert why_it_dies(path, reader=f"{HERE}:raises") is None
    assert "signal 6" in why_it_dies(path, reader=f"{HERE}:ends_the_process")
    assert "more than 2 seconds" in why_it_dies(path, reader=f"{HERE}:never_ends", seconds=2)


def test_footers_of_whole_files_add_up(tmp_path):
    for number, options in enumerate(
        [{}, {"row_group_size": 7}, {"use_dictionary": False}, {"compression": "zstd"},
         {"data_page_version": "2.0"}, {"write_statistics": False}]
    ):  # fmt: skip
        path = write(tmp_path / f"{number}.parquet", **options)
        footer, columns = read_footer(path), pq.read_metadata(path).num_columns
        assert contradiction(footer, columns, os.path.getsize(path)) is None
        assert "lies at" in contradiction(footer, columns, os.path.getsize(path) // 4)


def test_a_file_that_would_end_the_process_is_one_lost_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet")
    (part,) = plan_parts(path, "")
    assert all(isinstance(item, Rows) for item in read_part(part))
    monkeypatch.setattr(parquet, "contradiction", lambda *_: "90 rows, 91 in its row groups")
    monkeypatch.setattr(parquet, "why_it_dies", lambda _: "reading it ended the process")
    (lost,) = read_part(part)
    assert (lost.num_rows, lost.reason, lost.is_file) == (90, "unreadable_file", True)
    assert "90 rows, 91" in lost.detail


def test_rows_that_do_not_come_are_counted(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", row_group_size=1 << 20)
    (part,) = plan_parts(path, "")
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: iter([]))
    (item,) = read_part(part)
    assert (item.row, item.num_rows, item.reason) == (0, part.num_rows, "unreadable_rows")
