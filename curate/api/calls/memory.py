"""Tables in memory as inputs of stages: written to a temporary folder, batch by batch.

In: an object that streams Arrow, or entries by language. Out: paths that the stages read. So what
is in memory goes the way of files, and the result is the same pair for pair.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any
from weakref import finalize

from curate.api.calls.options import kind_of
from curate.errors import InputError, UsageError

__all__ = ["check_inputs", "entries_folder", "is_stream", "stored_stream", "temporary_folder"]

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


def check_inputs(data: Any) -> None:
    """Refuse what is neither paths nor a table, and say how it becomes one.

    Raises:
        UsageError: it is none of these.
    """
    kind = type(data).__name__
    remedy = None
    if kind == "LazyFrame":
        remedy = "collect it first: inputs.collect()"
    elif kind in ("Series", "ChunkedArray") or hasattr(data, "__arrow_c_array__"):
        remedy = (
            "" if kind == "RecordBatch" else "a column alone has no name: series.to_frame('text')"
        )
    elif isinstance(data, Mapping):
        remedy = "make it a table: pyarrow.table(inputs)"
    elif isinstance(data, list | tuple) and any(isinstance(one, Mapping) for one in data):
        remedy = "make it a table: pyarrow.Table.from_pylist(inputs)"
    elif isinstance(data, str | os.PathLike | list | tuple) or is_stream(data):
        return
    if remedy != "":
        raise UsageError(
            f"inputs is {kind_of(data)}; expected paths, or a table that streams Arrow, such as a "
            f"data frame{'; ' + remedy if remedy else ''}"
        )


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

    path = f"{folder.name}/pairs.parquet"
    reader = _reader(data)
    schema = pa.schema([_plain(field) for field in reader.schema])
    _check_columns(schema)
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


def _plain(field: Any) -> Any:
    """Return a column with plain strings in its dictionary: Polars has views there."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_dictionary(kind) and kind.value_type == pa.string_view():
        return field.with_type(pa.dictionary(kind.index_type, pa.large_string(), kind.ordered))
    return field


def _check_columns(schema: Any) -> None:
    """Refuse a column that Parquet cannot hold, by its name.

    Raises:
        InputError: there is one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for field in schema:
        alone = pa.schema([field.remove_metadata()])
        try:
            pq.write_table(alone.empty_table(), pa.BufferOutputStream())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise InputError(
                f"the table in memory cannot be matched: column {field.name!r} is {field.type}, "
                f"which Parquet does not hold ({error}). Leave it out or convert it."
            ) from error


def _table(batches: list[Any], schema: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches(batches).replace_schema_metadata(None).cast(schema)


def entries_folder(folder: Folder, entries: Mapping[str, Iterable[str]]) -> str:
    """Build the metadata of entries by language.

    Returns:
        The metadata folder.

    Raises:
        UsageError: a language is unknown, or has no list of texts.
    """
    from curate.pipelines.build_metadata import build_languages
    from curate.pipelines.store.build_ways import note_in_memory

    if not entries:
        raise UsageError("metadata= has no language; expected such as {'en': ['dog', 'red dog']}")
    for lang, strings in entries.items():
        lines = "".join(f"{_entry(entry, lang)}\n" for entry in _several(strings, lang))
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
    note_in_memory(output)
    return output


def _several(strings: Any, lang: object) -> Iterable[Any]:
    """Return the entries of a language, unless they are one text, whose letters are none.

    Raises:
        UsageError: they are, or nothing of several.
    """
    if isinstance(strings, str | bytes) or not isinstance(strings, Iterable):
        raise UsageError(
            f"metadata[{lang!r}] is {strings!r:.80}; expected a list of entries, such as ['dog']"
        )
    return strings


def _entry(entry: object, lang: object) -> str:
    if hasattr(entry, "as_py"):  # a value of Arrow's
        entry = entry.as_py()
    if not isinstance(entry, str) or len(entry.splitlines()) > 1:
        what = "of several lines" if isinstance(entry, str) else type(entry).__name__
        raise UsageError(
            f"metadata[{lang!r}] has the entry {entry!r:.80}, {what}; expected a text of one line"
        )
    return entry
