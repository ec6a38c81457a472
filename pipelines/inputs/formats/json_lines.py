"""JSON lines: an object a line. What type a column has, the whole file says, not its beginning.

A file is parsed once, block by block; a file of several blocks waits in a temporary file, so that
the types of all its columns are known before the first row is given.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import IO, Any

import pyarrow as pa

from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.formats.json_columns import Column, as_type, common_type, to_column
from curate.pipelines.inputs.formats.text_bytes import open_text
from curate.pipelines.inputs.rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    Part,
    Problem,
    Rows,
    Unreadable,
)

__all__ = ["first_schema", "read_jsonl"]

_MOST_COLUMNS = 2000
_DEEPEST = 200  # brackets in a line before it is looked at how deep they are


@dataclass(slots=True)
class _Block:
    """Neighbouring rows: place of the first in its file, columns, and why rows cannot be used."""

    first_row: int
    num_rows: int
    columns: dict[str, Column]
    problems: dict[int, Problem] = field(default_factory=dict)


def read_jsonl(part: Part) -> Iterator[Rows | Unreadable]:
    """Yield the rows of a JSON lines file.

    A value is kept as it is or its row is counted as bad. Where the values of a column have no
    common type they become text (see `json_columns`); rows whose value is no string there can
    then not be used if the column is the one of the texts.
    """
    with _Waiting() as waiting:
        lost: Unreadable | None = None
        blocks = _blocks(part.source)
        while True:
            try:
                block = next(blocks, None)
            except (OSError, EOFError) as error:
                if is_transient(error):
                    raise
                lost = Unreadable(waiting.stop, 1, "unreadable_file", str(error), is_file=True)
                break
            if block is None:
                break
            waiting.add(block)
        try:
            yield from waiting.rows()
        except _TooManyColumnsError as error:
            num = max(1, waiting.num_rows)
            yield Unreadable(0, num, "unreadable_file", str(error), is_file=True)
        if lost:
            yield lost


def first_schema(path: str) -> pa.Schema | None:
    """Return the columns of a file's first rows, None if there are none or it cannot be read."""
    try:
        block = next(_blocks(path), None)
    except (OSError, EOFError) as error:
        if is_transient(error):
            raise
        return None
    if block is None or not block.columns:
        return None
    return pa.schema([(name, column.values.type) for name, column in block.columns.items()])


def _blocks(path: str) -> Iterator[_Block]:
    """Yield the blocks of a file; of a damaged one, those before the damage.

    Raises:
        OSError: it is damaged, or cannot be read.
    """
    with open_text(path) as file:
        lines = _Lines(file)
        while taken := lines.next_ones():
            rows = [(row, line) for row, line in taken if line.strip()]
            # A blank line has a place and is no row, so that rows come in runs of neighbours.
            for _, run in groupby(enumerate(rows), lambda item: item[1][0] - item[0]):
                yield _block([row for _, row in run])
        if lines.error is not None:
            raise lines.error


class _Lines:
    """The lines of a file with their numbers; an error ends them and is kept."""

    def __init__(self, file: IO[bytes]) -> None:
        self._lines = enumerate(file)
        self.error: OSError | EOFError | None = None

    def next_ones(self) -> list[tuple[int, bytes]]:
        """Take so many lines that neither their number nor their bytes are too many at once."""
        block: list[tuple[int, bytes]] = []
        num_bytes = 0
        try:
            for line in islice(self._lines, BATCH_ROWS):
                block.append(line)
                num_bytes += len(line[1])
                if num_bytes >= BATCH_BYTES:
                    break
        except (OSError, EOFError) as error:
            self.error = error
        return block


def _block(lines: list[tuple[int, bytes]]) -> _Block:
    values: list[dict[str, Any]] = []
    problems: dict[int, Problem] = {}
    for i, (_, line) in enumerate(lines):
        found = _parse_line(line)
        if isinstance(found, Problem):
            problems[i] = found
        values.append({} if isinstance(found, Problem) else found)
    try:
        columns = _columns(values)
    except UnicodeEncodeError:
        for i, row in enumerate(values):
            if not _encodable(row):
                problems[i], values[i] = Problem("invalid_utf8", "a lone surrogate"), {}
        columns = _columns(values)
    return _Block(lines[0][0], len(lines), columns, problems)


def _columns(values: list[dict[str, Any]]) -> dict[str, Column]:
    names = dict.fromkeys(name for row in values for name in row)
    for name in names:
        name.encode()  # a lone surrogate is no more welcome in a name
    return {name: to_column([row.get(name) for row in values]) for name in names}


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_line(line: bytes) -> dict[str, Any] | Problem:
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(line) > _DEEPEST:
        return Problem("bad_json", f"nested more than {_DEEPEST} levels deep")
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        return Problem("invalid_utf8", str(error))
    except (ValueError, RecursionError) as error:
        return Problem("bad_json", str(error))
    if not isinstance(value, dict):
        return Problem("bad_json", f"{type(value).__name__}, expected an object")
    return value


def _depth(line: bytes) -> int:
    """Return about how deep a line is nested: brackets in strings count too."""
    depth = deepest = 0
    for byte in line:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


class _TooManyColumnsError(ValueError):
    """A file whose lines have no columns in common."""


class _Waiting:
    """Blocks that wait until all are there: the last one in memory, those before in a file."""

    def __init__(self) -> None:
        self._types: dict[str, list[pa.DataType]] = {}
        self._last: _Block | None = None
        self._places: list[tuple[int, int, _Block]] = []
        self._file: IO[bytes] | None = None
        self.num_rows = 0

    def __enter__(self) -> "_Waiting":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def stop(self) -> int:
        """Place behind the last row."""
        return self._last.first_row + self._last.num_rows if self._last else 0

    def add(self, block: _Block) -> None:
        """Take a block."""
        if self._last is not None:
            self._put_away(self._last)
        self._last = block
        self.num_rows += block.num_rows
        for name, column in block.columns.items():
            kinds = self._types.setdefault(name, [])
            if column.spelled:
                kinds.append(pa.binary())  # has no type in common with any other
            elif column.values.type not in kinds:
                kinds.append(column.values.type)

    def _put_away(self, block: _Block) -> None:
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115
        at = self._file.tell()
        arrays = [column.values for column in block.columns.values()]
        batch = pa.RecordBatch.from_arrays(arrays, list(block.columns))
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, batch.schema) as writer:
            writer.write_batch(batch)
        self._file.write(out.getvalue())
        spelled = {name: Column(pa.nulls(0), c.spelled) for name, c in block.columns.items()}
        size = self._file.tell() - at
        kept = _Block(block.first_row, block.num_rows, spelled, block.problems)
        self._places.append((at, size, kept))

    def _all(self) -> Iterator[_Block]:
        for at, size, block in self._places:
            assert self._file is not None
            self._file.seek(at)
            with pa.ipc.open_stream(self._file.read(size)) as reader:
                batch = reader.read_next_batch()
            columns = {
                name: Column(values, block.columns[name].spelled)
                for name, values in zip(block.columns, batch.columns, strict=True)
            }
            yield _Block(block.first_row, block.num_rows, columns, block.problems)
        if self._last is not None:
            yield self._last

    def rows(self) -> Iterator[Rows | Unreadable]:
        """Yield all rows, in columns that have one type in all of the file.

        Where no line says anything, each is unreadable.

        Raises:
            _TooManyColumnsError: there are more columns than a table can have.
        """
        if len(self._types) > _MOST_COLUMNS:
            raise _TooManyColumnsError(
                f"{len(self._types)} columns, expected at most {_MOST_COLUMNS}; put what differs "
                "from line to line into one object"
            )
        types = {name: _settled(kinds) for name, kinds in self._types.items()}
        # Whether whole numbers can be fractions, only the numbers tell.
        unsure = [n for n, kinds in self._types.items() if types[n] is not None and len(kinds) > 1]
        for block in self._all() if unsure else ():
            for name in [n for n in unsure if n in block.columns]:
                try:
                    as_type(block.columns[name], types[name])
                except pa.ArrowException:
                    types[name] = None
                    unsure.remove(name)
        for block in self._all():
            yield from [_to_rows(block, types)] if types else _none_of(block)


def _none_of(block: _Block) -> Iterator[Unreadable]:
    for i in range(block.num_rows):
        problem = block.problems.get(i, Problem("null_text", "an object that says nothing"))
        yield Unreadable(block.first_row + i, 1, *problem)


def _settled(kinds: list[pa.DataType]) -> pa.DataType | None:
    return None if pa.binary() in kinds else common_type(kinds)


def _to_rows(block: _Block, types: Mapping[str, pa.DataType | None]) -> Rows:
    arrays, misfits = [], {}
    for name, kind in types.items():
        column = block.columns.get(name)
        if column is None:
            arrays.append(pa.nulls(block.num_rows, kind or pa.string()))
            continue
        column = as_type(column, kind)
        arrays.append(column.values)
        if column.spelled:
            misfits[name] = column.spelled
    batch = pa.RecordBatch.from_arrays(arrays, list(types))
    return Rows(block.first_row, batch, block.problems, misfits)
