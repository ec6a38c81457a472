"""Tables of one pool, whose columns may have other types from file to file, as one table."""

import json
from collections.abc import Collection, Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["concat_pool", "disagreeing_columns"]


def disagreeing_columns(schemas: Iterable[pa.Schema]) -> frozenset[str]:
    """Return the names of columns that no type can hold in all of these tables.

    >>> sorted(disagreeing_columns([pa.schema({"a": pa.int64(), "b": pa.int32()}),
    ...                             pa.schema({"a": pa.string(), "b": pa.int64()})]))
    ['a']
    """
    kinds: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for field in schema:
            found = kinds.setdefault(field.name, [])
            if field.type not in found:
                found.append(field.type)
    return frozenset(name for name, found in kinds.items() if not _agree(found))


def _agree(kinds: Sequence[pa.DataType]) -> bool:
    try:
        pa.unify_schemas([pa.schema({"": kind}) for kind in kinds], promote_options="permissive")
    except pa.ArrowException:
        return False
    return True


def concat_pool(tables: Sequence[pa.Table], as_text: Collection[str] | None = None) -> pa.Table:
    """Return tables one behind the other; what a table has no column for is null.

    Args:
        tables: of any columns.
        as_text: columns that become text, as JSON spells what is no string; None for those whose
            types disagree here.
    """
    names = disagreeing_columns(t.schema for t in tables) if as_text is None else as_text
    return pa.concat_tables([_with_texts(t, names) for t in tables], promote_options="permissive")


def _with_texts(table: pa.Table, names: Collection[str]) -> pa.Table:
    for at, field in enumerate(table.schema):
        if field.name in names:
            table = table.set_column(at, field.name, _as_text(table.column(at)))
    return table


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowException:
        values = [None if v is None else json.dumps(v, ensure_ascii=False, default=str)
                  for v in column.to_pylist()]  # fmt: skip
        return pa.chunked_array([pa.array(values, pa.string())])
