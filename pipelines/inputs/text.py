"""Line-based inputs: JSON lines, and comma or tab separated values."""

import json
from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from curate.files import storage
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.rows import BATCH_BYTES, BATCH_ROWS, Part, Rows, Unreadable

__all__ = ["invalid_utf8", "read_csv", "read_jsonl"]

# A value of a CSV file has to fit in a block.
_CSV_BLOCK_BYTES = 32 << 20

_MISFITS = (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, KeyError)


def invalid_utf8(values: pa.Array) -> list[int]:
    """Return the positions of the values of a string or binary array that are not UTF-8."""
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        raw = values
    else:
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            wide = pa.types.is_large_string(values.type)
            raw = values.view(pa.large_binary() if wide else pa.binary())
        else:
            return []
    return [i for i, value in enumerate(raw.to_pylist()) if value is not None and not _utf8(value)]


def _utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_csv(part: Part) -> Iterator[Rows | Unreadable]:
    """Yield the rows of a CSV or TSV file, all columns as strings.

    Tab-separated files of this field (captions, Wikimedia's) do not quote; comma-separated do.
    A row's position counts the well-formed rows before it.
    """
    ragged: list[Unreadable] = []

    def skip(row: Any) -> str:
        detail = f"{row.actual_columns} columns, expected {row.expected_columns}"
        ragged.append(Unreadable(None, 1, "bad_csv_row", detail))
        return "skip"

    row = 0
    try:
        for batch in _csv_batches(part, skip):
            yield from _as_strings(batch, row)
            yield from ragged
            ragged.clear()
            row += batch.num_rows
    except (pa.ArrowException, OSError, EOFError) as error:
        if is_transient(error):
            raise
        yield Unreadable(row, 1, "unreadable_file", str(error), is_file=True)
    yield from ragged


def _csv_batches(part: Part, skip: Any) -> Iterator[pa.RecordBatch]:
    is_csv = part.kind == "csv"
    delimiter = "," if is_csv else "\t"
    with storage.open_read(part.source, decompress=True) as file:
        header = file.readline()
    if not header.strip():
        return
    # Every column as bytes: neither an encoding nor a guessed type can then fail a whole block.
    names = [n.strip('"') for n in header.decode("utf-8-sig", "replace").strip().split(delimiter)]
    with storage.open_read(part.source, decompress=True) as file:
        yield from pa_csv.open_csv(
            file,
            pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False),
            pa_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if is_csv else False,
                newlines_in_values=is_csv,
                invalid_row_handler=skip,
            ),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary())),
        )


def _as_strings(batch: pa.RecordBatch, first_row: int) -> Iterator[Rows | Unreadable]:
    """Yield the rows as strings and those that are not UTF-8 as unreadable, in runs, in order."""
    bad = sorted({i for column in batch.columns for i in invalid_utf8(column)})
    start = 0
    for stop in [*bad, batch.num_rows]:
        if stop > start:
            piece = batch.slice(start, stop - start)
            columns = [pc.cast(c, pa.string()) for c in piece.columns]
            yield Rows(first_row + start, pa.RecordBatch.from_arrays(columns, batch.schema.names))
        if stop < batch.num_rows:
            yield Unreadable(first_row + stop, 1, "invalid_utf8", "the row is not UTF-8")
        start = stop + 1


def read_jsonl(part: Part) -> Iterator[Rows | Unreadable]:
    """Yield the rows of a JSON lines file.

    The columns and their types are those of the first rows; a later row that does not fit them
    (another type, another column) is not silently changed but given as unreadable.
    """
    schema: pa.Schema | None = None
    with storage.open_read(part.source, decompress=True) as file:
        lines = enumerate(file)
        row = 0
        try:
            while block := _next_lines(lines):
                objects = [_parse_line(row, line) for row, line in block if line.strip()]
                good = [item for item in objects if isinstance(item, tuple)]
                yield from (item for item in objects if isinstance(item, Unreadable))
                schema = schema or _infer_schema([values for _, values in good])
                yield from _fitting(good, schema)
                row = block[-1][0] + 1
        except (OSError, EOFError) as error:
            if is_transient(error):
                raise
            yield Unreadable(row, 1, "unreadable_file", str(error), is_file=True)


def _next_lines(lines: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Take so many lines that neither their number nor their bytes are too many at once."""
    block: list[tuple[int, bytes]] = []
    num_bytes = 0
    for line in islice(lines, BATCH_ROWS):
        block.append(line)
        num_bytes += len(line[1])
        if num_bytes >= BATCH_BYTES:
            break
    return block


def _parse_line(row: int, line: bytes) -> tuple[int, dict[str, Any]] | Unreadable:
    try:
        value = json.loads(line)
    except UnicodeDecodeError as error:
        return Unreadable(row, 1, "invalid_utf8", str(error))
    except (ValueError, RecursionError) as error:
        return Unreadable(row, 1, "bad_json", str(error))
    if not isinstance(value, dict):
        return Unreadable(row, 1, "bad_json", f"{type(value).__name__}, expected an object")
    return row, value


def _infer_schema(rows: list[dict[str, Any]]) -> pa.Schema | None:
    names = dict.fromkeys(name for values in rows for name in values)
    types = [(name, _infer_type([values.get(name) for values in rows])) for name in names]
    return pa.schema(types) if rows else None


def _infer_type(values: list[Any]) -> pa.DataType:
    """Return the type of a column; of mixed values, that of most of them."""
    try:
        inferred = pa.infer_type(values, from_pandas=False)
    except pa.ArrowException:
        kinds = [type(v) for v in values if v is not None]
        most = max(dict.fromkeys(kinds), key=kinds.count)
        return pa.infer_type([v for v in values if type(v) is most][:1])
    return inferred


def _fitting(
    rows: list[tuple[int, dict[str, Any]]], schema: pa.Schema | None
) -> Iterator[Rows | Unreadable]:
    """Yield the rows that fit the schema, in runs of neighbours, and the others as unreadable."""
    for run in _runs(rows) if schema is not None else ():
        try:
            yield _to_rows(run, schema)
        except _MISFITS:
            for row, values in run:
                problem = _misfit(values, schema)
                yield (
                    Unreadable(row, 1, "wrong_type", problem)
                    if problem
                    else _to_rows([(row, values)], schema)
                )


def _runs(rows: list[tuple[int, dict[str, Any]]]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Yield the rows in runs of neighbours, so that a run's positions follow from its first."""
    for _, run in groupby(enumerate(rows), lambda item: item[1][0] - item[0]):
        yield [row for _, row in run]


def _misfit(values: dict[str, Any], schema: pa.Schema) -> str | None:
    for name, value in values.items():
        if name not in schema.names:
            return f"column {name!r} is not in the first rows of the file"
        kind = schema.field(name).type
        try:
            pa.array([value], kind)
        except _MISFITS as error:
            return f"column {name!r}: {type(value).__name__}, expected {kind} ({error})"
    return None


def _to_rows(run: list[tuple[int, dict[str, Any]]], schema: pa.Schema) -> Rows:
    known = set(schema.names)
    if not all(known.issuperset(values) for _, values in run):
        raise KeyError("a column that the first rows do not have")
    batch = pa.RecordBatch.from_pylist([values for _, values in run], schema)
    return Rows(run[0][0], batch)
