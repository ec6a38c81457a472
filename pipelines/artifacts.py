"""Our Parquet files: each carries a stamp that says what it was made from.

The stamp is JSON in the key-value metadata, next to `schema_version` and `metadata_hash`. A file
whose stamp equals the one a run would write is done, and a rerun skips it; any other is refused.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metadata.errors import ArtifactError
from pipelines import storage

__all__ = [
    "SCHEMA_VERSION",
    "describe_difference",
    "digest",
    "open_parquet",
    "parquet_writer",
    "read_stamp",
    "read_table",
    "require_same",
    "write_table",
]

SCHEMA_VERSION = "1"

Stamp = Mapping[str, Any]


def digest(value: Any) -> str:
    """Return the sha256 of a JSON-able value, independent of the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _key_values(stamp: Stamp, metadata_hash: str) -> dict[str, str]:
    return {
        "schema_version": SCHEMA_VERSION,
        "metadata_hash": metadata_hash,
        "curate": json.dumps(stamp, sort_keys=True, ensure_ascii=False),
    }


class StampedWriter:
    """A Parquet writer that gathers small batches into row groups and takes its stamp last."""

    ROW_GROUP_ROWS = 1 << 16
    ROW_GROUP_BYTES = 64 << 20

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self.schema = schema
        # Ids, URLs and texts hardly repeat: looking for repetition costs a third of the time.
        repeating = [f.name for f in schema if pa.types.is_dictionary(f.type)]
        self._writer = pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=repeating, write_statistics=repeating
        )
        self._pending: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch's rows."""
        if batch.num_rows:
            self._pending.append(batch)
        rows = sum(b.num_rows for b in self._pending)
        if rows >= self.ROW_GROUP_ROWS or self._bytes() >= self.ROW_GROUP_BYTES:
            self._flush()

    def _bytes(self) -> int:
        return sum(b.get_total_buffer_size() for b in self._pending)

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, self.schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._pending = []

    def close(self, stamp: Stamp, metadata_hash: str) -> None:
        """Write what is pending, then the stamp and the footer."""
        self._flush()
        self._writer.add_key_value_metadata(_key_values(stamp, metadata_hash))
        self._writer.close()


@contextmanager
def parquet_writer(path: str, schema: pa.Schema) -> Iterator[StampedWriter]:
    """Open a Parquet file for writing that appears only if the block closes the writer.

    The schema's own metadata (pandas', say) is left out: it describes another file.
    """
    with storage.publish(path) as file:
        writer = StampedWriter(file, schema.remove_metadata())
        yield writer
        if writer._writer.is_open:
            raise AssertionError(f"{path}: closed without a stamp")


def write_table(path: str, table: pa.Table, stamp: Stamp, metadata_hash: str) -> None:
    """Publish a table as one stamped Parquet file."""
    with parquet_writer(path, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=StampedWriter.ROW_GROUP_ROWS):
            writer.write(batch)
        writer.close(stamp, metadata_hash)


def open_parquet(path: str) -> pq.ParquetFile:
    """Open one of our Parquet files.

    Raises:
        ArtifactError: it is missing, cut off, or not a Parquet file.
    """
    if not storage.exists(path):
        raise ArtifactError(f"{path}: there is no such file")
    try:
        return pq.ParquetFile(storage.open_arrow(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(
            f"{path}: not a readable Parquet file ({error}). "
            "Remove it and run the command that writes it again."
        ) from error


def read_stamp(path: str) -> dict[str, Any]:
    """Return the stamp of one of our Parquet files.

    Raises:
        ArtifactError: it is not ours, or of another schema version.
    """
    with open_parquet(path) as file:
        found = file.metadata.metadata or {}
    version = found.get(b"schema_version", b"none").decode()
    if b"curate" not in found or version != SCHEMA_VERSION:
        raise ArtifactError(
            f"{path}: schema version is {version}, expected {SCHEMA_VERSION}. "
            "Run the command that writes it again with --overwrite."
        )
    stamp: dict[str, Any] = json.loads(found[b"curate"])
    return stamp


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """Read one of our Parquet files whole."""
    read_stamp(path)
    with open_parquet(path) as file:
        return file.read(columns=columns)


def describe_difference(found: Any, expected: Any, name: str = "") -> list[str]:
    """Return lines that say where two JSON-able values differ.

    >>> describe_difference({"t": 5, "seed": 0}, {"t": 6, "seed": 0})
    ['t: it was made with 5, this run has 6']
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        lines = []
        for key in sorted({*found, *expected}):
            inner = f"{name}.{key}" if name else key
            lines += describe_difference(found.get(key), expected.get(key), inner)
        return lines
    if found == expected:
        return []
    return [f"{name}: it was made with {_shown(found)}, this run has {_shown(expected)}"]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def require_same(path: str, found: Any, expected: Any) -> None:
    """Refuse an artifact that was made from something else.

    Raises:
        ArtifactError: they differ; the message lists where.
    """
    lines = describe_difference(found, expected)
    if lines:
        shown = lines[:8] + ([f"and {len(lines) - 8} more"] if len(lines) > 8 else [])
        raise ArtifactError(
            f"{path} was made with something else:\n  "
            + "\n  ".join(shown)
            + "\nChoose another --output, or replace it with --overwrite."
        )
