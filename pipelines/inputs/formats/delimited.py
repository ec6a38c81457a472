"""Tables of separated values: commas, tabs, semicolons or bars, as the first line tells."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.formats.text_bytes import open_text
from curate.pipelines.inputs.rows import Part, Problem, Rows, Unreadable
from curate.pipelines.inputs.text import invalid_utf8

__all__ = ["read_csv"]

_BLOCK_BYTES = 32 << 20  # a value has to fit in a block
_HEAD_BYTES = 1 << 20
_DELIMITERS = {"csv": ",\t;|", "tsv": "\t,;|"}  # the one that the name promises first


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a table is written: `quote` is False where quotes are characters like others."""

    names: list[str]
    delimiter: str
    quote: str | bool


def read_csv(part: Part) -> Iterator[Rows | Unreadable]:
    """Yield the rows of a table of separated values, all columns as strings.

    Tab-separated files of this field (captions, Wikimedia's) do not quote; files named .csv do,
    whatever separates their values. A row's position counts the well-formed rows before it.
    """
    row, ragged, is_latin = 0, 0, False
    while True:
        reader = _Reader(part, is_latin=is_latin)
        try:
            for item in reader.rows(row, ragged):
                row += item.batch.num_rows if isinstance(item, Rows) else 0
                ragged += isinstance(item, Unreadable)
                yield item
            return
        except _NotUtf8Error:
            # Arrow cannot show a row that has too many values and is no UTF-8; any bytes are
            # Latin-1, so that way it can. What has been given already is passed over.
            is_latin = True
        except (pa.ArrowException, OSError, EOFError, csv.Error) as error:
            if is_transient(error):
                raise
            yield Unreadable(row, 1, "unreadable_file", str(error), is_file=True)
            return


class _NotUtf8Error(Exception):
    """A file turns out not to be UTF-8."""


class _Utf8:
    """A file that is UTF-8 as far as it is read.

    Raises:
        _NotUtf8Error: it is not, while it is read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.closed = file, False
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        return True

    def read(self, num: int = -1) -> bytes:
        content = self._file.read(num)
        try:
            self._decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:
            raise _NotUtf8Error from error
        return content

    def close(self) -> None:
        self.closed = True


class _Reader:
    """Reads a file from its beginning; where `is_latin`, as if every byte were a character."""

    def __init__(self, part: Part, *, is_latin: bool) -> None:
        self._part, self._is_latin = part, is_latin
        self._ragged: list[Unreadable] = []

    def rows(self, row: int, ragged: int) -> Iterator[Rows | Unreadable]:
        """Yield rows and what is no row, without the first so many of each."""
        at = 0
        to_skip = ragged
        for batch in self._batches():
            start = min(max(row - at, 0), batch.num_rows)
            if start < batch.num_rows:
                yield _as_strings(batch.slice(start), at + start)
            at += batch.num_rows
            yield from self._ragged[to_skip:]
            to_skip = max(0, to_skip - len(self._ragged))
            self._ragged.clear()
        yield from self._ragged[to_skip:]

    def _skip(self, row: Any) -> str:
        detail = f"{row.actual_columns} columns, expected {row.expected_columns}"
        self._ragged.append(Unreadable(None, 1, "bad_csv_row", detail))
        return "skip"

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with open_text(self._part.source) as file:
            dialect = _dialect(file.read(_HEAD_BYTES), self._part.kind)
        if dialect is None:
            return
        # Every column as bytes: neither an encoding nor a guessed type can then fail a block.
        with open_text(self._part.source) as file:
            source = file if self._is_latin else _Utf8(file)
            with _open(source, dialect, self._skip, self._is_latin) as reader:
                for batch in reader:
                    yield _undo_latin(batch) if self._is_latin else batch


def _open(
    file: Any, dialect: _Dialect, skip: Callable[[Any], str], is_latin: bool
) -> pa_csv.CSVStreamingReader:
    return pa_csv.open_csv(
        file,
        pa_csv.ReadOptions(
            block_size=_BLOCK_BYTES,
            use_threads=False,
            column_names=dialect.names,
            skip_rows_after_names=1,
            encoding="latin-1" if is_latin else "utf8",
        ),
        pa_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote,
            newlines_in_values=bool(dialect.quote),
            invalid_row_handler=skip,
        ),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(dialect.names, pa.binary())),
    )


def _dialect(head: bytes, kind: str) -> _Dialect | None:
    """Tell from a file's beginning how it is written; None if it is empty."""
    text = head.decode("utf-8", "replace")
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return None
    outside = re.sub('"[^"]*"', "", first)
    expected = _DELIMITERS[kind]
    delimiter = max(expected, key=lambda d: (outside.count(d), -expected.index(d)))
    quote: str | bool = False if kind == "tsv" and delimiter == "\t" else '"'
    rows = csv.reader(
        io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )  # fmt: skip
    return _Dialect(next(rows), delimiter, quote)


def _undo_latin(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the bytes of a batch as they were before they were taken for Latin-1."""
    columns = [
        pa.array([None if v is None else v.decode().encode("latin-1") for v in c.to_pylist()],
                 pa.binary())
        for c in batch.columns
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _as_strings(batch: pa.RecordBatch, first_row: int) -> Rows:
    """Return rows as strings; one that is not UTF-8 has a problem, and is shown as far as it is."""
    bad = sorted({i for column in batch.columns for i in invalid_utf8(column)})
    columns = [
        _decoded(column) if bad else pc.cast(column, pa.string()) for column in batch.columns
    ]
    problem = Problem("invalid_utf8", "the row is not UTF-8")
    strings = pa.RecordBatch.from_arrays(columns, batch.schema.names)
    return Rows(first_row, strings, dict.fromkeys(bad, problem))


def _decoded(column: pa.Array) -> pa.Array:
    if not invalid_utf8(column):
        return pc.cast(column, pa.string())
    return pa.array(
        [None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()],
        pa.string(),
    )
