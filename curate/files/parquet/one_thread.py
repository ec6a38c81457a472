"""Parquet files behind an object of Python's, read by the thread that asks and by no other.

Arrow's own threads let go of such an object a moment after the reader has its columns, and need the
interpreter's lock for it. Where the process ends just then, they abort it or wait for ever (pyarrow
26.0.1, https://github.com/apache/arrow/issues/34314 and 50482), so that a command that has printed
its answer fails. Columns behind one lock gain nothing from several threads.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.files import storage

__all__ = ["OneThreadFile", "open_unsealed"]

_ALONE = {"use_threads": False}


class OneThreadFile(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no types
    """A Parquet file that no thread of Arrow's touches.

    Args:
        source: an object with `read`, `seek`, `tell` and `close`.
    """

    def __init__(self, source: Any) -> None:
        super().__init__(source, pre_buffer=False)

    def read(self, *words: Any, **options: Any) -> pa.Table:
        """Return all rows, as `pyarrow.parquet.ParquetFile` does."""
        return super().read(*words, **options | _ALONE)

    def read_row_group(self, *words: Any, **options: Any) -> pa.Table:
        """Return the rows of one row group."""
        return super().read_row_group(*words, **options | _ALONE)

    def read_row_groups(self, *words: Any, **options: Any) -> pa.Table:
        """Return the rows of some row groups."""
        return super().read_row_groups(*words, **options | _ALONE)

    def iter_batches(self, *words: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches."""
        batches: Iterator[pa.RecordBatch] = super().iter_batches(*words, **options | _ALONE)
        return batches


def open_unsealed(path: str) -> pq.ParquetFile:
    """Open a Parquet file of anybody: a local one is read by Arrow itself, with its threads.

    Raises:
        InputError: there is no such file.
        ArrowException, OSError: it cannot be read.
    """
    source = storage.open_arrow(path)
    return pq.ParquetFile(source) if storage.is_local(path) else OneThreadFile(source)
