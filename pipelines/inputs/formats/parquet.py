"""Parquet files, and ranges of their row groups."""

from collections.abc import Iterator
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq

from curate.files import storage
from curate.files.parquet.footer import Footer, read_footer
from curate.files.parquet.guard import PARQUET_ERRORS, contradiction, why_it_dies
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.rows import BATCH_BYTES, BATCH_ROWS, Part, Rows, Unreadable
from curate.pipelines.store import artifacts

__all__ = ["PARQUET_ERRORS", "open_parquet", "read_parquet"]

_SAMPLE_ROWS = 64


def open_parquet(path: str) -> pq.ParquetFile:
    """Open a Parquet file of anybody's, and look whether its columns have names.

    What is read of one of ours is compared with its checksums.

    Raises:
        InputError: there is no such file.
        ArtifactError: it is ours, and damaged.
        PARQUET_ERRORS: its footer cannot be read.
    """
    file = artifacts.open_input(path)
    try:
        file.schema_arrow.names  # noqa: B018  raises where one is no UTF-8
    except BaseException:
        file.close(force=True)
        raise
    return file


def read_parquet(part: Part) -> Iterator[Rows | Unreadable]:
    """Yield the rows of a file, or of some of its row groups.

    Small row groups come in one batch, as far as its rows and bytes go.
    """
    try:
        file = open_parquet(part.source)
    except PARQUET_ERRORS as error:
        if is_transient(error):
            raise
        yield Unreadable(None, 1, "unreadable_file", str(error), is_file=True)
        return
    row = part.first_row
    with file:
        footer, wrong = _footer(file, part.source)
        death = None if wrong is None else why_it_dies(part.source)
        if death is not None:
            death = f"its footer contradicts itself ({wrong}), and {death}"
            num = max(1, part.num_rows or 0)
            yield Unreadable(None, num, "unreadable_file", death, is_file=True)
            return
        for groups in _together(file, *(part.row_groups or (0, file.num_row_groups))):
            yield from _read_groups(file, footer, groups, row)
            row += sum(file.metadata.row_group(group).num_rows for group in groups)


def _footer(file: pq.ParquetFile, path: str) -> tuple[Footer | None, str | None]:
    """Return a footer if it can be read without pyarrow, and what in it cannot be true."""
    size, modified = storage.size_and_time(path)
    try:
        footer = _read_footer(path, size, modified)
    except ValueError as error:
        return None, str(error)
    return footer, contradiction(footer, file.metadata.num_columns, size)


@lru_cache(maxsize=1)
def _read_footer(path: str, size: int, modified: str) -> Footer:
    """Read the footer of a file once for parts of it that follow each other."""
    del size, modified  # another file has others
    return read_footer(path)


def _together(file: pq.ParquetFile, first: int, stop: int) -> Iterator[list[int]]:
    """Yield neighbouring row groups that make a batch together; a large one is by itself."""
    groups: list[int] = []
    rows = size = 0
    for group in range(first, stop):
        meta = file.metadata.row_group(group)
        rows, size = rows + meta.num_rows, size + meta.total_byte_size
        if groups and (rows > BATCH_ROWS or size > BATCH_BYTES):
            yield groups
            groups, rows, size = [], meta.num_rows, meta.total_byte_size
        groups.append(group)
    if groups:
        yield groups


def _read_groups(
    file: pq.ParquetFile, footer: Footer | None, groups: list[int], row: int
) -> Iterator[Rows | Unreadable]:
    """Yield the rows of neighbouring row groups; where they cannot be read, one by one."""
    stop = row + sum(file.metadata.row_group(group).num_rows for group in groups)
    try:
        if len(groups) > 1:
            table = file.read_row_groups(groups, use_threads=False).combine_chunks()
            for batch in table.to_batches(_rows_of(table)):
                yield Rows(row, batch)
                row += batch.num_rows
        else:
            num_rows = _batch_rows(file, footer, groups[0])
            for batch in file.iter_batches(num_rows, row_groups=groups):
                yield Rows(row, batch)
                row += batch.num_rows
        if row < stop:  # of a column that is not there nothing comes, without an error
            yield Unreadable(row, stop - row, "unreadable_rows", "its columns end before its rows")
    except PARQUET_ERRORS as error:
        if is_transient(error):  # another try may read them
            raise
        if len(groups) == 1:
            yield Unreadable(row, stop - row, "unreadable_rows", str(error))
            return
        for group in groups:
            yield from _read_groups(file, footer, [group], row)
            row += file.metadata.row_group(group).num_rows


def _rows_of(table: pa.Table) -> int:
    return _rows_per_batch(table.get_total_buffer_size() // max(1, table.num_rows))


def _rows_per_batch(row_bytes: int) -> int:
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))


def _batch_rows(file: pq.ParquetFile, footer: Footer | None, group: int) -> int:
    """Rows per batch such that a batch stays small where rows hold images or long texts.

    What a dictionary holds counts once in the file and for each row in memory, so that some rows
    are looked at.
    """
    meta = file.metadata.row_group(group)
    chunks = (None,) if footer is None else footer.row_groups[group].chunks
    row_bytes: int = max(1, meta.total_byte_size // max(meta.num_rows, 1))
    if any(chunk is None or chunk.has_dictionary for chunk in chunks):
        sample = next(file.iter_batches(_SAMPLE_ROWS, row_groups=[group]), None)
        if sample is not None and sample.num_rows:
            row_bytes = max(row_bytes, sample.get_total_buffer_size() // sample.num_rows)
    return _rows_per_batch(row_bytes)
