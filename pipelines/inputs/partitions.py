"""Columns that stand in the names of folders: `lang=en/source=cc/part-0.parquet`.

As Hive, Spark, DuckDB, Polars and pyarrow write partitioned tables: a folder `name=value` is a
column of all the files below it.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from urllib.parse import unquote

import pyarrow as pa

from curate.pipelines.inputs.rows import Rows, Unreadable

__all__ = ["partition_columns", "with_partitions"]

_FOLDER = re.compile(r"([A-Za-z_][^=/]*)=([^/]*)")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def partition_columns(path: str, names: Collection[str]) -> dict[str, str | None]:
    """Return the columns of a path's folders, by name, without those that the file has itself.

    Args:
        path: of a file, local or a URL.
        names: of the file's own columns.

    >>> partition_columns("t/lang=en/day=2%2F1/part-0.parquet", ["url"])
    {'lang': 'en', 'day': '2/1'}
    """
    found = (_FOLDER.fullmatch(folder) for folder in path.split("/")[:-1])
    columns = {unquote(m[1]): None if m[2] == _NULL else unquote(m[2]) for m in found if m}
    return {name: value for name, value in columns.items() if name not in names}


def with_partitions(rows: Iterator[Rows | Unreadable], path: str) -> Iterator[Rows | Unreadable]:
    """Add the columns that the folders of a file name to its rows, as strings."""
    for item in rows:
        if isinstance(item, Unreadable):
            yield item
            continue
        batch = item.batch
        for name, value in partition_columns(path, batch.schema.names).items():
            column = pa.array([value] * batch.num_rows, pa.string())
            batch = batch.append_column(name, column)
        yield replace(item, batch=batch)
