"""Counted words and pairs on the disk: a sorted run is two Parquet files.

``<run>.words.parquet``: hash, word and count, by hash, then word; a word's id is its row.
``<run>.pairs.parquet``: key and count, by key, which is ``first id << 32 | second id``.

The order by hash makes every run's ids come in the same order as those of any other run, so ids
can be translated from one to another without sorting pairs anew.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.files.parquet.sealed import open_sealed, sealed_writer

__all__ = [
    "PAIRS",
    "WORDS",
    "Run",
    "column",
    "num_rows",
    "open_counts",
    "read_groups",
    "run_writer",
    "word_order",
    "word_table",
    "write_run",
]

WORDS = pa.schema([("hash", pa.uint64()), ("word", pa.large_string()), ("count", pa.int64())])
PAIRS = pa.schema([("key", pa.uint64()), ("count", pa.int64())])

# Small, since merging holds one group of each run.
_WORDS_PER_GROUP = 8192
_PAIRS_PER_GROUP = 16384


@dataclass(frozen=True, slots=True)
class Run:
    """The files of a run."""

    path: Path

    @property
    def words(self) -> Path:
        """Return the file of words."""
        return self.path.with_name(self.path.name + ".words.parquet")

    @property
    def pairs(self) -> Path:
        """Return the file of pairs."""
        return self.path.with_name(self.path.name + ".pairs.parquet")

    def remove(self) -> None:
        """Remove both files."""
        self.words.unlink(missing_ok=True)
        self.pairs.unlink(missing_ok=True)

    def rename(self, path: Path) -> None:
        """Give both files another name."""
        target = Run(path)
        self.words.replace(target.words)
        self.pairs.replace(target.pairs)


def word_table(
    hashes: NDArray[np.uint64],
    ends: NDArray[np.int64],
    arena: NDArray[np.uint8],
    counts: NDArray[np.int64],
) -> pa.Table:
    """Return words as a table of the schema `WORDS`, on the same memory.

    Args:
        hashes: shape (num_words,).
        ends: of each word in the arena, after a 0; shape (num_words + 1,).
        arena: UTF-8.
        counts: shape (num_words,).
    """
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(arena)]
    words = pa.Array.from_buffers(pa.large_string(), len(hashes), buffers)
    return pa.table([hashes, words, counts], schema=WORDS)


def word_order(table: pa.Table) -> NDArray[np.int64]:
    """Return the order of words by hash, then word."""
    hashes = table.column("hash").to_numpy()
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    same = hashes[1:] == hashes[:-1]
    if same.any():
        words = table.column("word").take(order)
        # Equal words may stand together; different words of one hash, once in 2**64, may not.
        if not pc.all(pc.or_(pc.equal(words[1:], words[:-1]), pa.array(~same))).as_py():
            keys = [("hash", "ascending"), ("word", "ascending")]
            order = pc.sort_indices(table, sort_keys=keys).to_numpy()
    return np.asarray(order, dtype=np.int64)


class _RunWriter:
    """Writes tables that come in order to one file of a run."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._rows = _WORDS_PER_GROUP if schema is WORDS else _PAIRS_PER_GROUP
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        """Write rows; small tables are gathered."""
        self._waiting.append(table)
        self._num_waiting += table.num_rows
        if self._num_waiting >= 8 * self._rows:
            self._write_waiting()

    def _write_waiting(self, *, is_end: bool = False) -> None:
        # Whole groups, so that the bytes do not depend on how the rows came.
        table = pa.concat_tables([self._schema.empty_table(), *self._waiting]).combine_chunks()
        num = table.num_rows if is_end else table.num_rows // self._rows * self._rows
        if num:
            self._writer.write_table(table.slice(0, num), row_group_size=self._rows)
        self._waiting = [table.slice(num)]
        self._num_waiting = table.num_rows - num

    def finish(self) -> None:
        """Write what waits."""
        self._write_waiting(is_end=True)


@contextmanager
def run_writer(path: Path, schema: pa.Schema) -> Iterator[_RunWriter]:
    """Open a file of a run for writing; it carries its checksums, as runs outlive a killed one."""
    encoding = {"hash": "PLAIN"} if schema is WORDS else {"key": "DELTA_BINARY_PACKED"}
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": ["count"],
    }
    with (
        path.open("wb") as sink,
        sealed_writer(sink, schema, column_encoding=encoding, **options) as opened,
    ):
        writer = _RunWriter(opened, schema)
        yield writer
        writer.finish()


def open_counts(path: Path) -> pq.ParquetFile:
    """Open a file of counts; what is read of it is compared with its checksums.

    Raises:
        InputError: it is missing or damaged; also later, where it is read.
    """
    return open_sealed(str(path), f"Remove {path.parent}, and what is in it is counted again.")


def write_run(run: Run, words: Iterable[pa.Table], pairs: Iterable[pa.Table]) -> None:
    """Write a whole run, of tables that come in order."""
    for path, schema, tables in ((run.words, WORDS, words), (run.pairs, PAIRS, pairs)):
        with run_writer(path, schema) as writer:
            for table in tables:
                writer.write(table)


def read_groups(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield a file of a run in its order, a small table at a time."""
    with open_counts(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns, use_threads=False)


def num_rows(path: Path) -> int:
    """Return the number of rows of a file of a run."""
    with open_counts(path) as file:
        return int(file.metadata.num_rows)


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column of numbers."""
    return np.asarray(table.column(name).to_numpy())
