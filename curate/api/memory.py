"""Tables in memory as inputs of stages: written to a temporary folder, batch by batch.

In: an object that streams Arrow, or entries by language. Out: paths that the stages read. So what
is in memory goes the way of files, and the result is the same pair for pair.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any
from weakref import finalize

__all__ = ["entries_folder", "is_stream", "stored_stream", "temporary_folder"]

_ROWS_PER_GROUP = 1 << 16


class Folder:
    """A temporary folder that is removed with the last reference to it, or when Python ends."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="curate-")
        finalize(self, rmtree, self.name, ignore_errors=True)


def temporary_folder() -> Folder:
    """Return a new temporary folder."""
    return Folder()


def is_stream(data: object) -> bool:
    """Tell whether something is a table or a stream of Arrow batches, or a data set of these."""
    return hasattr(data, "__arrow_c_stream__") or _is_dataset(data)


def _is_dataset(data: object) -> bool:
    """Tell whether something is a `datasets.Dataset`, which streams Arrow under names of its own.

    datasets 5.2.0 has no ``__arrow_c_stream__``; what `select` and `shuffle` chose is not in its
    table, but comes out of `iter`.
    """
    kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(data).__mro__]
    return "datasets.arrow_dataset.Dataset" in kinds


def _reader(data: Any) -> Any:
    import pyarrow as pa

    if not _is_dataset(data):
        return pa.RecordBatchReader.from_stream(data)
    tables = data.with_format("arrow").iter(batch_size=_ROWS_PER_GROUP)
    batches = (batch for table in tables for batch in table.to_batches())
    return pa.RecordBatchReader.from_batches(data.features.arrow_schema, batches)


def stored_stream(folder: Folder, data: Any) -> str:
    """Write a stream of Arrow batches into a Parquet file of a folder, in bounded memory.

    Returns:
        The file's path.

    Raises:
        InputError: Parquet cannot hold one of the columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from curate.errors import InputError

    path = f"{folder.name}/pairs.parquet"
    reader = _reader(data)
    schema = reader.schema.remove_metadata()
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in reader:
                waiting.append(batch)
                if sum(b.num_rows for b in waiting) >= _ROWS_PER_GROUP:
                    writer.write_table(_table(waiting, schema), _ROWS_PER_GROUP)
                    waiting.clear()
            if waiting:
                writer.write_table(_table(waiting, schema), _ROWS_PER_GROUP)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise InputError(
            f"the table in memory cannot be matched: {error}. Leave out or convert that column."
        ) from error
    return path


def _table(batches: list[Any], schema: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches(batches).replace_schema_metadata(None).cast(schema)


def entries_folder(folder: Folder, entries: Mapping[str, Iterable[str]]) -> str:
    """Build the metadata of entries by language.

    Returns:
        The metadata folder.

    Raises:
        UsageError: a language is unknown.
        InputError: an entry is no text.
    """
    from curate.pipelines.build_metadata import build_languages

    for lang, strings in entries.items():
        lines = "".join(f"{entry}\n" for entry in strings)
        Path(folder.name, f"{lang}.txt").write_text(lines, "utf-8")
    output = f"{folder.name}/metadata"
    build_languages(
        ",".join(entries),
        kinds="none",
        dumps=f"{folder.name}/dumps",
        pageviews=f"{folder.name}/pageviews",
        wordnet_dir=None,
        output=output,
        overrides={},
        entries=f"{folder.name}/{{lang}}.txt",
        quiet=True,
    )
    return output
