"""Articles as a Parquet file of titles and plain texts, the layout of `wikimedia/wikipedia`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from curate.errors import InputError
from curate.files.parquet.footer import RowGroup, read_footer
from curate.files.parquet.guard import PARQUET_ERRORS, open_guarded

__all__ = ["ArticlePart", "read_articles", "split_articles"]

_COLUMNS = ("title", "text")
_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticlePart:
    """Row groups of a Parquet file; picklable.

    Attributes:
        path: local path or fsspec URL.
        first: the first row group.
        stop: the one after the last.
    """

    path: str
    first: int
    stop: int


def split_articles(path: str, part_bytes: int) -> list[ArticlePart]:
    """Cut a file into parts of about a size, as it is on the disk.

    Raises:
        InputError: the file is missing, no Parquet, or lacks a column.
    """
    try:
        with open_guarded(path) as file:
            _check_columns(path, file.schema_arrow)
        sizes = [_group_bytes(group) for group in read_footer(path).row_groups]
    except PARQUET_ERRORS as error:
        raise _unreadable(path, error) from error
    stops, size = [], 0
    for number, group_bytes in enumerate(sizes, 1):
        size += group_bytes
        if size >= part_bytes or number == len(sizes):
            stops.append(number)
            size = 0
    starts = [0, *stops[:-1]]
    return [ArticlePart(path=path, first=a, stop=b) for a, b in zip(starts, stops, strict=True)]


def _group_bytes(group: RowGroup) -> int:
    return sum(chunk.length for chunk in group.chunks if chunk is not None)


def _check_columns(path: str, schema: pa.Schema) -> None:
    for name in _COLUMNS:
        if name not in schema.names or not _is_text(schema.field(name).type):
            found = ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"
            raise InputError(
                f"{path}: no column {name!r} of strings; expected title and text, got {found}"
            )


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _unreadable(path: str, error: Exception) -> InputError:
    return InputError(
        f"{path}: not readable as Parquet; corrupt or cut off ({error}). Download it again."
    )


def read_articles(part: ArticlePart, tally: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield title and text of each article.

    Args:
        part: of `split_articles`.
        tally: the number of rows without a title or a text is added to it, as ``broken``, and the
            size of the texts, as ``bytes``.

    Raises:
        InputError: the file is corrupt.
    """
    try:
        with open_guarded(part.path) as file:
            groups = range(part.first, part.stop)
            for batch in file.iter_batches(_ROWS, groups, list(_COLUMNS), use_threads=False):
                batch.validate()  # of damaged files columns may come in different lengths
                rows = (batch.column(name).to_pylist() for name in _COLUMNS)
                for title, text in zip(*rows, strict=True):
                    if not title or text is None:
                        tally["broken"] += 1
                        continue
                    tally["bytes"] += len(text)
                    yield title, text
    except PARQUET_ERRORS as error:
        raise _unreadable(part.path, error) from error
