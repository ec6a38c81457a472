"""Tables in memory as inputs of stages: written to a temporary folder, batch by batch.

In: an object that streams Arrow, or entries by language. Out: paths that the stages read. So what
is in memory goes the way of files, and the result is the same pair for pair.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["entries_folder", "is_stream", "stored_stream", "temporary_folder"]

_ROWS_PER_GROUP = 1 << 16

Folder = tempfile.TemporaryDirectory[str]


def temporary_folder() -> Folder:
    """Return a folder that is removed with the last reference to it."""
    return tempfile.TemporaryDirectory(prefix="curate-")


def is_stream(data: object) -> bool:
    """Tell whether something is a table or a stream of Arrow batches."""
    return hasattr(data, "__arrow_c_stream__")


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
    reader = pa.RecordBatchReader.from_stream(data)
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
