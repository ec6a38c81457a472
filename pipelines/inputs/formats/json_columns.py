"""Values that JSON can spell in, Arrow columns out; and one type for all blocks of a file.

A value is never changed. Types widen where that loses nothing: nulls to anything, whole numbers to
fractions if they are exactly as large there, structs to structs of more fields. A column of values
that have no common type becomes text: strings as they are, others as JSON spells them.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Column", "as_type", "common_type", "is_storable", "to_column"]

_MISFITS = (pa.ArrowException, OverflowError, TypeError)
_MOST_FIELDS, _DEEPEST = 256, 12


class Column(NamedTuple):
    """Values of a column, and the places of those that stand there as JSON spells them."""

    values: pa.Array
    spelled: tuple[int, ...]


def to_column(values: list[Any]) -> Column:
    """Return Python values as a column.

    Raises:
        UnicodeEncodeError: one holds a lone surrogate.
    """
    try:
        column = pa.array(values, from_pandas=False)
    except _MISFITS:
        return _spelled(values)
    return Column(column, ()) if is_storable(column.type) else _spelled(values)


def _spelled(values: Sequence[Any]) -> Column:
    places = tuple(i for i, v in enumerate(values) if v is not None and not isinstance(v, str))
    texts = [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False)
             for v in values]  # fmt: skip
    return Column(pa.array(texts, pa.string()), places)


def is_storable(kind: pa.DataType, depth: int = 0) -> bool:
    """Tell whether Parquet can hold a type: no struct without fields, and not too deep."""
    if depth > _DEEPEST:
        return False
    if pa.types.is_struct(kind):
        inside = [field.type for field in kind]
        return 0 < len(inside) <= _MOST_FIELDS and all(is_storable(t, depth + 1) for t in inside)
    return is_storable(kind.value_type, depth + 1) if pa.types.is_list(kind) else True


def common_type(kinds: Iterable[pa.DataType]) -> pa.DataType | None:
    """Return the type that can hold the values of all these, None if there is none.

    >>> str(common_type([pa.null(), pa.int64(), pa.float64()]))
    'double'
    >>> common_type([pa.int64(), pa.string()]) is None
    True
    """
    found: pa.DataType | None = pa.null()
    for kind in kinds:
        found = _wider(found, kind) if found is not None else None
    return found if found is not None and is_storable(found) else None


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(other):
        inside = _wider(one.value_type, other.value_type)
        return None if inside is None else pa.list_(inside)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        names = list(dict.fromkeys([f.name for f in one] + [f.name for f in other]))
        fields = [(n, _wider(_field(one, n), _field(other, n))) for n in names]
        return None if any(kind is None for _, kind in fields) else pa.struct(fields)
    return None


def _field(kind: pa.StructType, name: str) -> pa.DataType:
    at = kind.get_field_index(name)
    return kind[at].type if at >= 0 else pa.null()


def as_type(column: Column, kind: pa.DataType | None) -> Column:
    """Return a column as a type that holds its values; as text for None.

    Raises:
        pyarrow.ArrowInvalid: a whole number is too large to be a fraction.
    """
    values = column.values
    if kind is None:
        if pa.types.is_string(values.type):
            return column
        return _spelled(values.to_pylist())
    if values.type == kind:
        return column
    if pa.types.is_nested(kind):
        # Arrow's cast knows structs by their fields' places; building anew knows the names.
        return Column(pa.array(values.to_pylist(), kind), column.spelled)
    return Column(pc.cast(values, kind), column.spelled)
