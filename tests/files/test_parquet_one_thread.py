"""Our own Parquet files are read by the thread that asks, and by none of Arrow's."""

import io
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.files import storage
from curate.files.parquet.guard import open_guarded
from curate.files.parquet.one_thread import OneThreadFile, open_unsealed
from curate.pipelines.store import artifacts

NUM = 1000
TABLE = pa.table({f"c{i}": list(range(i, NUM + i)) for i in range(8)})


class Source(io.BytesIO):
    """A file that notes which threads read it."""

    def __init__(self, data):
        super().__init__(data)
        self.threads = set()

    def read(self, *words):
        self.threads.add(threading.get_ident())
        return super().read(*words)


def written():
    sink = io.BytesIO()
    pq.write_table(TABLE, sink, row_group_size=NUM // 4)
    return sink.getvalue()


READS = {
    "read": lambda file: file.read(use_threads=True),
    "columns": lambda file: file.read(["c0", "c1"]),
    "read_row_group": lambda file: file.read_row_group(1, columns=["c2"]),
    "read_row_groups": lambda file: file.read_row_groups([1, 2]),
    "iter_batches": lambda file: pa.Table.from_batches(file.iter_batches(100, columns=["c3"])),
}
RIGHT = {
    "read": TABLE,
    "columns": TABLE.select(["c0", "c1"]),
    "read_row_group": TABLE.slice(NUM // 4, NUM // 4).select(["c2"]),
    "read_row_groups": TABLE.slice(NUM // 4, NUM // 2),
    "iter_batches": TABLE.select(["c3"]),
}


@pytest.mark.parametrize("how", READS)
def test_no_other_thread_reads(how):
    source = Source(written())
    with OneThreadFile(source) as file:
        assert READS[how](file).equals(RIGHT[how])
    assert source.threads == {threading.get_ident()}
    other = Source(written())
    with pq.ParquetFile(other) as file:
        READS[how](file)
    assert other.threads - {threading.get_ident()}  # as pyarrow does it by itself


def test_every_file_of_ours_is_one(tmp_path):
    path = str(tmp_path / "a.parquet")
    artifacts.write_table(path, TABLE, {}, "0" * 16)
    for opened in (artifacts.open_parquet(path), artifacts.open_input(path)):
        with opened as file:
            assert isinstance(file, OneThreadFile) and file.read().equals(TABLE)


@pytest.mark.parametrize("opened", [open_unsealed, open_guarded, artifacts.open_input])
def test_of_anybody_those_behind_a_url_are(opened, tmp_path):
    for path, is_one in ((str(tmp_path / "a.parquet"), False), ("memory://one/a.parquet", True)):
        with storage.publish(path) as file:
            file.write(written())
        with opened(path) as file:
            assert isinstance(file, OneThreadFile) is is_one and file.read().equals(TABLE)
