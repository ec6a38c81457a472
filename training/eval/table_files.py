"""Tables of an evaluation set: Parquet, CSV, TSV, JSON lines, and image files that rows name."""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from curate.errors import InputError
from curate.files.parquet.guard import PARQUET_ERRORS, open_guarded
from curate.files.storage import is_file, is_local, join, local_path, open_read, read_bytes

__all__ = [
    "PATH_COLUMNS", "TABLE_SUFFIXES", "TEXT_TABLE_SUFFIXES", "first_names", "named_image",
    "table_batches", "table_schema",
]  # fmt: skip

# In the order in which they are looked for.
PATH_COLUMNS = ("file_name", "image_path", "file_path", "filepath")
TEXT_TABLE_SUFFIXES = ("csv", "tsv", "jsonl", "ndjson")
TABLE_SUFFIXES = ("parquet", *TEXT_TABLE_SUFFIXES)
_BATCH_BYTES = 32 << 20
_MAX_BATCH_ROWS = 1024
_MAX_LINE = 1 << 20


def table_schema(path: str) -> pa.Schema:
    """Return the schema of a table; of a text file that of its first rows.

    Raises:
        InputError: it cannot be read.
    """
    if not path.lower().endswith(TEXT_TABLE_SUFFIXES):
        try:
            with open_guarded(path) as file:
                return file.schema_arrow
        except PARQUET_ERRORS as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}") from error
    first = next(_text_batches(path), None)
    if first is None:
        raise InputError(f"{path}: there is no row in it")
    return first.schema


def first_names(path: str) -> list[str]:
    """Return the column names in the first line of a CSV, TSV or JSON lines; [] if it has none."""
    with open_read(path) as file:
        line = file.readline(_MAX_LINE).decode("utf-8-sig", "replace")
    if path.lower().endswith(("csv", "tsv")):
        return next(csv.reader([line], delimiter=_delimiter(path)), [])
    try:
        row = json.loads(line)
    except ValueError:  # then it is no table of ours
        return []
    return list(row) if isinstance(row, dict) else []


def _delimiter(path: str) -> str:
    return "\t" if path.lower().endswith("tsv") else ","


def table_batches(path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield given columns of a table, some rows at a time.

    Raises:
        InputError: it cannot be read, or a column is not in it.
    """
    if not path.lower().endswith(TEXT_TABLE_SUFFIXES):
        yield from _parquet_batches(path, columns)
        return
    for batch in _text_batches(path):
        missing = [name for name in columns if name not in batch.schema.names]
        if missing:
            raise InputError(f"{path}: there is no column {missing[0]!r} in some of its rows")
        yield batch.select(list(columns))


def _parquet_batches(path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with open_guarded(path) as file:
            for group in range(file.num_row_groups):
                meta = file.metadata.row_group(group)
                row_bytes = max(1, meta.total_byte_size // max(1, meta.num_rows))
                num = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // row_bytes))
                yield from file.iter_batches(num, row_groups=[group], columns=list(columns))
    except PARQUET_ERRORS as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from error


def _text_batches(path: str) -> Iterator[pa.RecordBatch]:
    if path.lower().endswith(("csv", "tsv")):
        yield from _csv_batches(path)
    else:
        yield from _json_batches(path)


def _csv_batches(path: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV or TSV with a header; numbers are numbers."""
    with open_read(path) as file:
        try:
            yield from pacsv.open_csv(
                file,
                read_options=pacsv.ReadOptions(block_size=1 << 20),
                parse_options=pacsv.ParseOptions(
                    delimiter=_delimiter(path), newlines_in_values=True
                ),
                convert_options=pacsv.ConvertOptions(strings_can_be_null=True, null_values=[""]),
            )
        except pa.ArrowException as error:
            raise InputError(f"{path}: cannot be read as a table: {error}") from error


def _json_batches(path: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of JSON lines; all batches have the columns of the first."""
    schema: pa.Schema | None = None
    with open_read(path) as file:
        lines = enumerate(file, start=1)
        while block := list(islice(lines, _MAX_BATCH_ROWS)):
            rows = [_json_row(path, *line) for line in block if line[1].strip()]
            if rows:
                try:
                    batch = pa.RecordBatch.from_pylist(rows, schema)
                except pa.ArrowException as error:
                    raise InputError(
                        f"{path}, lines from {block[0][0]}: the values of a column are not all of "
                        f"one type ({error})"
                    ) from error
                schema = batch.schema
                yield batch


def _json_row(path: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise InputError(f"{path}, line {number}: not a JSON object")
    return row


def named_image(table: str, name: str) -> bytes | None:
    """Return the image that a row of a table names; None where there is none.

    Args:
        table: path of the table, local or an fsspec URL.
        name: of a file in the table's folder or below it; any other is taken for none, so that a
            table can have no file read from elsewhere, and no server asked.
    """
    folder = table.rpartition("/")[0] or "."
    if is_local(table):
        root = os.path.realpath(local_path(folder))
        path = os.path.realpath(os.path.join(root, name))
        is_inside = path.startswith(root + os.sep)
    else:
        path = join(folder, name)
        is_inside = "://" not in name and ".." not in name.split("/") and not name.startswith("/")
    return read_bytes(path) if is_inside and is_file(path) else None
