"""Our Parquet files: each carries a stamp that says what it was made from.

The stamp is JSON in the key-value metadata, next to `schema_version` and `metadata_hash`. A file
whose stamp equals the one a run would write is done, and a rerun skips it; any other is refused.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import OwnObject, parse_own
from curate.files.parquet.one_thread import OneThreadFile, open_unsealed
from curate.files.parquet.sealed_file import SealedReader, SealingWriter
from curate.files.remedies import damaged, remedy
from curate.files.sealed_json import read_json_of_anyone, write_json
from curate.pipelines.store.row_sizes import row_bytes
from curate.pipelines.store.shapes import read_json, require_stamp

__all__ = [
    "PLAN",
    "SCHEMA_VERSION",
    "begin_output",
    "describe_difference",
    "digest",
    "open_input",
    "open_parquet",
    "parquet_writer",
    "read_json",
    "read_json_of_anyone",
    "read_stamp",
    "read_table",
    "read_versioned",
    "require_same",
    "seal_of",
    "strings",
    "verify_parquet",
    "write_json",
    "write_table",
]

SCHEMA_VERSION = "2"
PLAN = "plan.json"
REPLACE = "Choose another --output, or replace it with --overwrite."

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
    """A Parquet writer that cuts rows into row groups and takes its stamp last.

    A row group ends where its rows or its bytes reach a limit, counted row by row, so that a file
    depends on the rows alone and not on the batches that they came in.
    """

    ROW_GROUP_ROWS = 1 << 16
    ROW_GROUP_BYTES = 64 << 20

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self.schema = schema
        self._file = SealingWriter(file)
        # Ids, URLs and texts hardly repeat: looking for repetition costs a third of the time.
        self._repeating = [f.name for f in schema if pa.types.is_dictionary(f.type)]
        self._writer = pq.ParquetWriter(
            self._file,
            schema,
            compression="zstd",
            use_dictionary=self._repeating,
            write_statistics=self._repeating,
        )
        self._pending: list[pa.RecordBatch] = []
        self._num_rows = self._num_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch's rows."""
        sizes = np.cumsum(row_bytes(batch))
        written = written_bytes = 0
        while written < batch.num_rows:
            room = self.ROW_GROUP_BYTES - self._num_bytes
            stop = 1 + int(np.searchsorted(sizes, written_bytes + room))
            stop = min(stop, written + self.ROW_GROUP_ROWS - self._num_rows, batch.num_rows)
            self._pending.append(batch.slice(written, stop - written))
            self._num_rows += stop - written
            self._num_bytes += int(sizes[stop - 1]) - written_bytes
            written, written_bytes = stop, int(sizes[stop - 1])
            if self._num_rows >= self.ROW_GROUP_ROWS or self._num_bytes >= self.ROW_GROUP_BYTES:
                self._flush()

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending).cast(self.schema).combine_chunks()
            for name in self._repeating:  # each batch has a dictionary of its own
                at = table.schema.get_field_index(name)
                kind = self.schema.field(name).type
                column = pc.cast(table.column(name), kind.value_type).dictionary_encode()
                table = table.set_column(at, self.schema.field(name), column.cast(kind))
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._pending = []
            self._num_rows = self._num_bytes = 0

    def close(self, stamp: Stamp, metadata_hash: str) -> None:
        """Write what is pending, then the stamp and the footer."""
        self._flush()
        values = {**_key_values(stamp, metadata_hash), **self._file.end_body()}
        self._writer.add_key_value_metadata(values)
        self._writer.close()
        self._file.finish()


def strings(values: Iterable[str]) -> pa.StringArray:
    """Return values as an Arrow array, also if there are none."""
    return pa.array(list(values), pa.string())


def _canonical(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(f.name, _renamed(f.type), f.nullable) for f in schema])


def _renamed(kind: pa.DataType, *, in_list: bool = False) -> pa.DataType:
    if in_list and pa.types.is_null(kind):
        return pa.string()  # pyarrow 26 cannot cast a list of structs with nothing but nulls
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        inside = kind.value_field
        element = _renamed(inside.type, in_list=True)
        return make(pa.field("element", element, inside.nullable))
    if pa.types.is_struct(kind):
        return pa.struct(
            [pa.field(f.name, _renamed(f.type, in_list=in_list), f.nullable) for f in kind]
        )
    return kind


@contextmanager
def parquet_writer(path: str, schema: pa.Schema) -> Iterator[StampedWriter]:
    """Open a Parquet file for writing that appears only if the block closes the writer.

    The schema's own metadata (pandas', say) is left out: it describes another file. What lists hold
    is called as Parquet calls it, so that a file that is read and written again stays the same.
    """
    with storage.publish(path) as file:
        writer = StampedWriter(file, _canonical(schema))
        try:
            yield writer
            if writer._writer.is_open:
                raise AssertionError(f"{path}: closed without a stamp")
        finally:
            writer._writer.close()  # also where it failed, while the file is still open


def write_table(path: str, table: pa.Table, stamp: Stamp, metadata_hash: str) -> None:
    """Publish a table as one stamped Parquet file."""
    with parquet_writer(path, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=StampedWriter.ROW_GROUP_ROWS):
            writer.write(batch)
        writer.close(stamp, metadata_hash)


def open_parquet(path: str) -> pq.ParquetFile:
    """Open one of our Parquet files; what is read of it is compared with its checksums.

    Raises:
        ArtifactError: it is missing, cut off, damaged, or not a Parquet file of ours.
    """
    if not storage.exists(path):
        raise ArtifactError(f"{path}: there is no such file")
    return _opened(path, SealedReader(path, partial(damaged, path)))


class _ForeignError(Exception):
    """A Parquet file is none of ours."""


def _foreign(why: str) -> NoReturn:
    raise _ForeignError(why)


def open_input(path: str) -> pq.ParquetFile:
    """Open a Parquet file of anybody; if it is ours, what is read of it is compared.

    Raises:
        ArtifactError: it is ours, and damaged.
        InputError: there is no such file.
        ArrowException, OSError: it cannot be read.
    """
    try:
        return _opened(path, SealedReader(path, partial(damaged, path), _foreign))
    except _ForeignError:
        return open_unsealed(path)


def _opened(path: str, source: SealedReader) -> pq.ParquetFile:
    try:
        return OneThreadFile(source)
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(
            f"{path}: not a readable Parquet file ({error}). {remedy(path)}"
        ) from error


def verify_parquet(path: str) -> str:
    """Compare all bytes of one of our Parquet files with their checksums.

    Returns:
        The sum that stands for the file, in hexadecimal.

    Raises:
        ArtifactError: it is missing, cut off, damaged, or not a Parquet file of ours.
    """
    source = SealedReader(path, partial(damaged, path))
    with _opened(path, source):
        source.compare_all()
    return source.seal


def seal_of(path: str) -> str:
    """Return the sum that stands for one of our Parquet files; its footer alone is read.

    Raises:
        ArtifactError: it is missing, cut off, or not a Parquet file of ours.
    """
    if not storage.exists(path):
        raise ArtifactError(f"{path}: there is no such file")
    source = SealedReader(path, partial(damaged, path))
    try:
        return source.seal
    finally:
        source.close()


def read_stamp(path: str) -> dict[str, Any]:
    """Return the stamp of one of our Parquet files.

    Raises:
        ArtifactError: it is not ours, or of another schema version.
    """
    with open_parquet(path) as file:
        return _stamp_of(file, path)


def _stamp_of(file: pq.ParquetFile, path: str) -> dict[str, Any]:
    found = file.metadata.metadata or {}
    version = found.get(b"schema_version", b"none").decode()
    if b"curate" not in found or version != SCHEMA_VERSION:
        raise ArtifactError(
            f"{path}: schema version is {version}, expected {SCHEMA_VERSION}. "
            "Run the command that writes it again with --overwrite."
        )
    stamp = parse_own(found[b"curate"], path)
    require_stamp(stamp, path)
    return stamp


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """Read one of our Parquet files whole, or some of its columns."""
    with open_parquet(path) as file:
        _stamp_of(file, path)
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
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def require_same(path: str, found: Any, expected: Any, *, remedy: str = REPLACE) -> None:
    """Refuse an artifact that was made from something else, and say what to do.

    Raises:
        ArtifactError: they differ; the message lists where.
    """
    lines = describe_difference(found, expected)
    if lines:
        shown = lines[:8] + ([f"and {len(lines) - 8} more"] if len(lines) > 8 else [])
        raise ArtifactError(
            f"{path} was made with something else:\n  " + "\n  ".join(shown) + f"\n{remedy}"
        )


def read_versioned(path: str) -> OwnObject:
    """Read a JSON file of ours that says which version of the layout it is of.

    Raises:
        ArtifactError: it is another one, or not what was written.
    """
    values = read_json(path)
    expected = {"schema_version": SCHEMA_VERSION}
    require_same(path, {name: values[name] for name in expected}, expected)
    return values


def begin_output(output: str, parameters: dict[str, Any], *, anew: bool = False) -> None:
    """Write the plan of an output, or find that it is the one that was begun before.

    Args:
        output: folder.
        parameters: what decides what comes into it.
        anew: what a run with other parameters left there goes; else it is refused.

    Raises:
        ArtifactError: it was made with other parameters.
    """
    path = storage.join(output, PLAN)
    plan = {"schema_version": SCHEMA_VERSION, "parameters": parameters}
    if storage.exists(path):
        if anew and read_json(path) != plan:
            storage.remove(output)
        else:
            require_same(output, read_json(path), plan)
    storage.remove_leftovers(output)
    write_json(path, plan)
