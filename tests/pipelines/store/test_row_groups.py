"""Our Parquet files: row groups follow from the rows alone."""

import pyarrow as pa
import pyarrow.parquet as pq

from curate.pipelines.store.artifacts import StampedWriter, parquet_writer
from tests.pipelines.helpers import contents


def test_a_file_depends_on_its_rows_and_not_on_the_batches_they_came_in(tmp_path, monkeypatch):
    monkeypatch.setattr(StampedWriter, "ROW_GROUP_ROWS", 100)
    monkeypatch.setattr(StampedWriter, "ROW_GROUP_BYTES", 5000)
    words = [f"word{i % 7} " * (i % 23) for i in range(999)]
    table = pa.table(
        {
            "text": words,
            "lang": pa.array([w[:5] for w in words]).dictionary_encode(),
            "ids": [[i] * (i % 5) for i in range(999)],
            "nested": [{"a": w, "b": [w, None]} for w in words],
        }
    )
    for size in (1, 64, 333, 999):
        with parquet_writer(str(tmp_path / f"{size}.parquet"), table.schema) as writer:
            for batch in table.to_batches(max_chunksize=size):
                writer.write(batch)
            writer.close({}, "")
    assert len(set(contents(tmp_path).values())) == 1
    assert pq.read_table(tmp_path / "64.parquet").to_pylist() == table.to_pylist()
    assert pq.ParquetFile(tmp_path / "64.parquet").num_row_groups > 9
